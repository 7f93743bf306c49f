/* Clocks, random numbers, memory, and the lines that are printed. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

uint64_t now_ticks(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

double now_ns(void)
{
    return (double)now_ticks();
}

uint64_t thread_ticks(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

#define RANDOM_SEED 12345u
static uint32_t random_state = RANDOM_SEED;

void random_restart(void)
{
    random_state = RANDOM_SEED;
}

uint32_t random_next(void)
{
    random_state = random_state * 1103515245u + 12345u;
    return random_state >> 1;
}

long memory_kib(const char *field)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, field, strlen(field)))
            kib = strtol(line + strlen(field), NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

void put(const char *figure, const char *name, double value, const char *unit)
{
    printf("%s\t%s\t%.6g\t%s\n", figure, name, value, unit);
    fflush(stdout);
}

double collect_ns(void)
{
    double start = now_ns();
    tally_collect(heap, 2);
    return now_ns() - start;
}

void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tally-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void gaps_add(struct gaps *gaps, uint64_t ns)
{
    uint64_t step = ns / 64;
    gaps->count++;
    if (ns > gaps->longest)
        gaps->longest = ns;
    gaps->steps[step < 65535 ? step : 65535]++;
}

/* The gap that one in so many is longer than; the longest, where that is off the scale. */
double gap_of(const struct gaps *gaps, uint64_t one_in)
{
    uint64_t above = 0;
    unsigned step = 65535;
    while (step > 0 && (above += gaps->steps[step]) <= gaps->count / one_in)
        step--;
    return step < 65535 ? (step + 1) * 64.0 : (double)gaps->longest;
}

void gaps_put(const struct gaps *gaps, const char *figure, double seconds)
{
    char line[64];
    snprintf(line, sizeof line, "%s max pause", figure);
    put(line, bench_name, (double)gaps->longest / 1e6, "ms");
    snprintf(line, sizeof line, "%s p99.9 gap", figure);
    put(line, bench_name, gap_of(gaps, 1000) / 1e3, "us");
    snprintf(line, sizeof line, "%s p99.99 gap", figure);
    put(line, bench_name, gap_of(gaps, 10000) / 1e3, "us");
    snprintf(line, sizeof line, "%s ops", figure);
    put(line, bench_name, (double)gaps->count / seconds / 1e6, "Mop/s");
    snprintf(line, sizeof line, "%s peak RSS", figure);
    put(line, bench_name, (double)memory_kib("VmHWM:") / 1024, "MiB");
}
