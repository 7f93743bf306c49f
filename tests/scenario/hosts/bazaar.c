/* Very many types, and events as fast as somebody wants to see them: `bazaar TYPES EVENTS_PER_S`. One object of each type
 * stays; then each millisecond as many are made and given back as the rate asks for, of every type in turn. Says "open"
 * once the first are there, and goes on until it is killed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "tally.h"

#define TYPES_MAX 20000u
#define TICK_NS 1000000
#define STALLS 16u /* sizes */

static const struct tally_type *types[TYPES_MAX];

static void tick_wait(struct timespec *next)
{
    next->tv_nsec += TICK_NS;
    if (next->tv_nsec >= 1000000000) {
        next->tv_nsec -= 1000000000;
        next->tv_sec++;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

static int types_make(size_t count)
{
    char name[64];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "ware %05zu of stall %zu", i, i % 97);
        if (tally_type_register(&(struct tally_type_info){.name = name, .size = 8 * (1 + i % STALLS)}, &types[i]))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10, at = 0;
    size_t pairs = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1000) / 2000; /* a millisecond: each is two events */
    struct tally_heap *heap;
    struct timespec next;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    tally_set_name("bazaar");
    if (!count || count > TYPES_MAX || tally_heap_new(TALLY_ABI, NULL, &heap) || types_make(count))
        return 1;
    for (size_t i = 0; i < count; i++)
        if (!tally_new(heap, types[i]))
            return 1;
    if (tally_attach(heap))
        return 1;
    puts("open");
    fflush(stdout);
    for (clock_gettime(CLOCK_MONOTONIC, &next);; tick_wait(&next)) {
        for (size_t i = 0; i < pairs; i++, at = (at + 1) % count) {
            void *ware = tally_new(heap, types[at]);
            if (ware)
                tally_decref(ware);
        }
        tally_safepoint(heap);
    }
}
