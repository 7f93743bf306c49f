/* What tallyd does with each event: its fold (src/stats/events.c) beside a loop in C that keeps the same tables: births
 * by granule, sizes and lifetimes by type, fetched ahead, and checks nothing. The words are those of a heap with so many
 * live objects, of which random ones are replaced. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "stats/events.h"

#define WORDS ((size_t)1 << 23)
#define ROUNDS 3
#define SPAN 509u
#define TYPES 8u
#define SLOT_GRANULES 5u /* 40 bytes */
#define PAGE_SLOTS (8192u / SLOT_GRANULES)

static uint64_t granule_of(uint64_t object)
{
    return object / PAGE_SLOTS << WIRE_PAGE_GRANULE_BITS | object % PAGE_SLOTS * SLOT_GRANULES;
}

static uint64_t word_of(enum wire_event kind, uint64_t object)
{
    return (uint64_t)kind | object % TYPES << 2 | (uint64_t)4 << 18 | granule_of(object) << WIRE_GRANULE_SHIFT;
}

/* ---- the loop */

struct plain {
    uint32_t *births;
    uint64_t sizes[TYPES][64], ns[TYPES][64], bytes[TYPES][64], freed[TYPES][4];
    uint8_t in_ns[128], in_bytes[128];
    uint64_t sequence, allocated;
};

static void plain_fold(struct plain *plain, const uint64_t *words, size_t count)
{
    uint32_t stamp = (uint32_t)(plain->sequence >> 3) + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = words[i], granule = word >> WIRE_GRANULE_SHIFT;
        uint64_t type = word >> 2 & 0xffff, code = word >> 18 & 63;
        if (i + 16 < count)
            __builtin_prefetch(&plain->births[words[i + 16] >> WIRE_GRANULE_SHIFT], 1);
        if ((word & 3) == WIRE_EVENT_ALLOC) {
            plain->sizes[type][code]++;
            plain->allocated += code * 8;
            plain->births[granule] = stamp;
        } else {
            uint32_t age = stamp - plain->births[granule];
            unsigned top = age < 4 ? 0 : 31 - (unsigned)__builtin_clz(age);
            unsigned at = age < 4 ? age : top * 4 + (age >> (top - 2) & 3);
            plain->freed[type][word & 3]++;
            plain->ns[type][plain->in_ns[at]]++;
            plain->bytes[type][plain->in_bytes[at]]++;
            plain->births[granule] = 0;
        }
    }
    plain->sequence += count;
}

static double plain_run(const uint64_t *words, const uint64_t *first, uint64_t live)
{
    size_t bytes = (granule_of(live) + 8192) * sizeof(uint32_t);
    struct plain *plain = wanted(calloc(1, sizeof *plain));
    plain->births = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (plain->births == MAP_FAILED)
        give_up("out of memory");
    madvise(plain->births, bytes, MADV_HUGEPAGE);
    for (unsigned at = 0; at < 128; at++)
        plain->in_ns[at] = plain->in_bytes[at] = (uint8_t)(at / 4);
    plain_fold(plain, first, live);
    uint64_t start = thread_ticks();
    for (int round = 0; round < ROUNDS; round++)
        for (size_t at = 0; at < WORDS; at += SPAN)
            plain_fold(plain, words + at, WORDS - at < SPAN ? WORDS - at : SPAN);
    double passed = (double)(thread_ticks() - start);
    fprintf(stderr, "check %llu\n", (unsigned long long)plain->ns[1][3]);
    munmap(plain->births, bytes);
    free(plain);
    return passed / ROUNDS / (double)WORDS;
}

/* ---- ours */

static void spans_fold(struct events *events, const uint64_t *words, size_t count, uint64_t *clock_ns)
{
    for (size_t at = 0; at < count; at += SPAN) {
        size_t length = count - at < SPAN ? count - at : SPAN;
        const struct wire_span span = {.words = words + at, .count = length, .records = length, .plain = true,
                                       .clock_ns = *clock_ns};
        *clock_ns += 100000; /* 5 million events a second */
        events_fold(events, &span, TYPES);
    }
}

static double our_run(const uint64_t *words, const uint64_t *first, uint64_t live)
{
    struct events_budget budget = {.limit = (uint64_t)1 << 30};
    struct events *events = wanted(events_new(&budget));
    uint64_t clock_ns = 1000000000;
    events_bound(events, granule_of(live) * 8);
    spans_fold(events, first, live, &clock_ns);
    uint64_t start = thread_ticks();
    for (int round = 0; round < ROUNDS; round++)
        spans_fold(events, words, WORDS, &clock_ns);
    double passed = (double)(thread_ticks() - start);
    if (events_count(events, 1, WIRE_EVENT_ALLOC) - events_count(events, 1, WIRE_EVENT_FREE_REFCOUNT) != live / TYPES)
        give_up("the counts are wrong");
    events_free(events);
    return passed / ROUNDS / (double)WORDS;
}

static void ingest(uint64_t live, const char *what)
{
    uint64_t *words = wanted(malloc(WORDS * sizeof *words)), *first = wanted(malloc(live * sizeof *first));
    char figure[64];
    random_restart();
    for (uint64_t i = 0; i < live; i++)
        first[i] = word_of(WIRE_EVENT_ALLOC, i);
    for (size_t i = 0; i < WORDS; i += 2) {
        uint64_t object = random_next() % live;
        words[i] = word_of(WIRE_EVENT_FREE_REFCOUNT, object);
        words[i + 1] = word_of(WIRE_EVENT_ALLOC, object);
    }
    snprintf(figure, sizeof figure, "INGEST %s live", what);
    put(figure, "C loop", plain_run(words, first, live), "ns/event");
    put(figure, "tally", our_run(words, first, live), "ns/event");
    free(words);
    free(first);
}

void workload_ingest(void)
{
    ingest(1024, "1024");
    ingest(5000000, "5M");
}
