/* A program whose objects live for as long as it says, and that ends as it is told. Obeys lines on stdin, each a word
 * and a number, and answers each with "ok WORD"; while it works it comes by a safepoint each millisecond. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tally.h"

#define KEPT_A_TICK 20
#define BRIEF_A_TICK 100
#define QUEUE 65536u
#define TICKS 1500
#define KEPT_TICKS 130 /* at the least: in them well over 1 MiB is allocated */

struct kept {
    char bytes[480];
};
struct brief {
    uint64_t number;
};
struct ring {
    void *next;
};

static const struct tally_type *kept_type, *brief_type, *ring_type;
static struct tally_heap *heap;

static struct {
    void *object;
    uint64_t born_ns;
    unsigned long born; /* the tick */
} queue[QUEUE];
static size_t first, last;
static unsigned long ticks;
static uint64_t longest_ns; /* that a kept one has lived */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *object_new(const struct tally_type *type)
{
    void *object = tally_new(heap, type);
    if (!object)
        abort();
    return object;
}

static void ring_drop(void)
{
    struct ring *one = object_new(ring_type), *two = object_new(ring_type);
    tally_store(one, &one->next, two);
    tally_store(two, &two->next, one);
    tally_decref(one);
    tally_decref(two);
}

static void tick(uint64_t keep_ns)
{
    uint64_t now = now_ns();
    ticks++;
    for (; first != last; first++) {
        uint64_t age_ns = now - queue[first % QUEUE].born_ns;
        if (age_ns < keep_ns || ticks - queue[first % QUEUE].born < KEPT_TICKS)
            break;
        tally_decref(queue[first % QUEUE].object);
        if (age_ns > longest_ns)
            longest_ns = age_ns;
    }
    for (int i = 0; i < KEPT_A_TICK && last - first < QUEUE; i++, last++) {
        queue[last % QUEUE].object = object_new(kept_type);
        queue[last % QUEUE].born_ns = now;
        queue[last % QUEUE].born = ticks;
    }
    for (int i = 0; i < BRIEF_A_TICK; i++)
        tally_decref(object_new(brief_type));
    ring_drop();
}

/* Ticks, a millisecond or more each, in which kept objects live for so many ms, or longer where the machine is busy: it
 * prints how long; brief ones not at all, and rings until the next collection, of which there are ten a second. */
static void keep(unsigned long ms)
{
    uint64_t collected_ns = now_ns();
    for (int i = 0; i < TICKS; i++) {
        tick(ms * 1000000u);
        if (now_ns() - collected_ns >= 100000000u) {
            tally_collect(heap, 2);
            collected_ns = now_ns();
        }
        tally_safepoint(heap);
        usleep(1000);
    }
    for (; first != last; first++)
        tally_decref(queue[first % QUEUE].object);
    printf("longest %llu\n", (unsigned long long)longest_ns);
}

/* As fast as it can, for so many ms. */
static void fast(unsigned long ms)
{
    for (uint64_t end = now_ns() + ms * 1000000u; now_ns() < end; tally_safepoint(heap))
        for (int i = 0; i < 1000; i++)
            tally_decref(object_new(brief_type));
}

static void leave(unsigned long code)
{
    exit((int)code);
}

static void fail(unsigned long unused)
{
    (void)unused;
    abort();
}

static void crash(unsigned long unused)
{
    volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)unused;
    *nowhere = 1;
}

static const struct {
    const char *word;
    void (*run)(unsigned long);
} commands[] = {{"keep", keep}, {"fast", fast}, {"exit", leave}, {"abort", fail}, {"crash", crash}};

static void obey(const char *line)
{
    char word[32];
    unsigned long number = 0;
    if (sscanf(line, "%31s %lu", word, &number) < 1)
        return;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].word, word) == 0)
            commands[i].run(number);
    tally_safepoint(heap);
    printf("ok %s\n", word);
    fflush(stdout);
}

int main(void)
{
    char line[256];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's own handler would make it an exit */
    signal(SIGABRT, SIG_DFL);
    if (tally_type_register(&(struct tally_type_info){.name = "kept", .size = sizeof(struct kept)}, &kept_type) ||
        tally_type_register(&(struct tally_type_info){.name = "brief", .size = sizeof(struct brief)}, &brief_type) ||
        tally_type_register(&(struct tally_type_info){.name = "ring",
                                                      .size = sizeof(struct ring),
                                                      .ref_count = 1,
                                                      .refs = (struct tally_ref[]){{"next", 0}}},
                            &ring_type) ||
        tally_heap_new(TALLY_ABI, NULL, &heap))
        return 1;
    tally_set_name("lives");
    if (tally_attach(heap))
        return 1;
    while (fgets(line, sizeof line, stdin))
        obey(line);
    tally_heap_free(heap);
    return 0;
}
