/* What an event costs its writer: alone, with tallyd's reader on another core, and on the same one; beside a bare
 * ring in C that stores a 16-byte record and its head. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "feed/feed.h"
#include "wire/ring_read.h"

#define WRITES 100000000u
#define BARE_RECORDS 65536u

struct bare {
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) struct { uint64_t a, b; } records[BARE_RECORDS];
};

static void bare_ring(void)
{
    struct bare *ring = wanted(aligned_alloc(4096, sizeof *ring + 4096 - sizeof *ring % 4096));
    memset(ring, 0, sizeof *ring);
    double start = now_ns();
    for (uint64_t i = 0, head = 0; i < WRITES; i++) {
        ring->records[head & (BARE_RECORDS - 1)].a = i;
        ring->records[head & (BARE_RECORDS - 1)].b = i * 7;
        atomic_store_explicit(&ring->head, ++head, memory_order_release);
    }
    put("STREAM write one event", "C ring, 1 MiB", (now_ns() - start) / WRITES, "ns");
    free(ring);
}

struct reading {
    struct wire_ring_reader reader;
    atomic_bool over;
    int core;
    double busy_ns;
};

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        give_up("core %d cannot be had", core);
}

/* As tallyd does: a look, then a rest of twice the time that it took, and never less than a millisecond. */
static void *reading_run(void *arg)
{
    struct reading *reading = arg;
    pin(reading->core);
    while (!atomic_load(&reading->over)) {
        uint64_t start = thread_ticks();
        wire_ring_read(&reading->reader, 65536, NULL, NULL);
        uint64_t took = thread_ticks() - start, rest = took * 2 > 1000000 ? took * 2 : 1000000;
        reading->busy_ns += (double)took;
        nanosleep(&(struct timespec){.tv_nsec = (long)rest}, NULL);
    }
    return NULL;
}

/* core: of the reader; -1: none. */
static void ring(uint64_t words, int core, const char *name)
{
    static _Alignas(4096) char counters[WIRE_COUNTERS_BYTES];
    struct feed_pen pen = {.rows = NULL};
    struct reading reading = {.core = core};
    pthread_t thread;
    char figure[64];
    void *memory = mmap(NULL, feed_ring_bytes(words), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        give_up("out of memory");
    memset(counters, 0, sizeof counters);
    feed_counters_format(counters, FEED_SHAPE_START, 1, 1);
    feed_ring_format(memory, words, 1, 1);
    feed_adopt(&pen, counters, memory);
    feed_level_set(&pen, WIRE_LEVEL_ALL);
    if (wire_ring_reader_init(&reading.reader, memory, feed_ring_bytes(words)) ||
        (core >= 0 && pthread_create(&thread, NULL, reading_run, &reading)))
        give_up("no reader");
    const uint64_t type = feed_word(WIRE_EVENT_RARE, 3, 32, 0); /* as the heap has it with each type */
    double start = now_ns();
    for (uint64_t i = 0; i < WRITES; i++)
        feed_event(&pen, type | (i & 1 ? WIRE_EVENT_FREE_REFCOUNT : WIRE_EVENT_ALLOC) | (i & 0xffff) << WIRE_GRANULE_SHIFT);
    double passed = now_ns() - start;
    snprintf(figure, sizeof figure, "STREAM write one event%s", name);
    put(figure, "tally", passed / WRITES, "ns");
    if (core >= 0) {
        atomic_store(&reading.over, true);
        pthread_join(thread, NULL);
        wire_ring_read(&reading.reader, UINT64_MAX, NULL, NULL);
        snprintf(figure, sizeof figure, "STREAM seen%s", name);
        put(figure, "tally", (double)reading.reader.seen / WRITES * 100, "%");
        if (reading.reader.seen + reading.reader.lost != feed_sequence(&pen))
            give_up("seen and lost are not what was written");
    }
    munmap(memory, feed_ring_bytes(words));
}

void workload_stream(void)
{
    cpu_set_t before;
    int core = sched_getcpu(), other = core ? 0 : 1;
    sched_getaffinity(0, sizeof before, &before);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        other = core;
    pin(core);
    bare_ring();
    ring(WIRE_RING_WORDS, -1, "");
    ring(WIRE_RING_WORDS_MAX, -1, ", 4 MiB");
    ring(32768, other, ", reader on another core");
    ring(32768, core, ", reader on the same core");
    sched_setaffinity(0, sizeof before, &before);
}
