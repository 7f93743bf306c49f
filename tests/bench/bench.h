/* tally-bench: the workloads that collectors are compared by, on libtally. Each prints lines
 *
 *   FIGURE<TAB>NAME<TAB>VALUE<TAB>UNIT
 *
 * the figures spelled as the peers beside it (tests/bench/peers) spell theirs, so that bench.py can set them
 * side by side. A workload does the same work as the peers do: the same graph from the same random numbers,
 * the same payload, the same counts; where they free or store by hand, it calls the library. */
#ifndef TALLY_BENCH_H
#define TALLY_BENCH_H

#include <stdint.h>
#include <stdio.h>

#include "tally.h"

struct node { /* of all graphs but the trees: 32 bytes of payload */
    void *a, *b;
    int64_t x, y;
};

/* Set up by main.c before a workload runs. */
extern struct tally_heap *heap;
extern const struct tally_type *node_type, *acyclic_node_type; /* the same payload */
extern const struct tally_type *array_type;                    /* size_t length; void *slots[] */
extern const char *bench_name;                                 /* "tally cycle" and what the options add */

struct array {
    size_t length;
    void *slots[];
};

/* measure.c */
double now_ns(void);
uint64_t now_ticks(void);       /* CLOCK_MONOTONIC, ns */
uint64_t thread_ticks(void);    /* the thread's CPU time, ns */
uint32_t random_next(void);     /* 31 bits; the peers' sequence */
void random_restart(void);
long memory_kib(const char *field); /* of /proc/self/status: "VmRSS:", "VmHWM:" */
void put(const char *figure, const char *name, double value, const char *unit);
double collect_ns(void);        /* one tally_collect(heap, 2) */
void give_up(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static inline void *wanted(void *memory) /* or the end */
{
    if (!memory)
        give_up("out of memory");
    return memory;
}


/* Gaps between operations: the longest, and percentiles at the upper end of steps of 64 ns, up to 4 ms. */
struct gaps {
    uint64_t count, longest;
    uint32_t steps[65536];
};
void gaps_add(struct gaps *gaps, uint64_t ns);
double gap_of(const struct gaps *gaps, uint64_t one_in); /* ns: so few are longer, one in 100 for p99 */
void gaps_put(const struct gaps *gaps, const char *figure, double seconds);

/* The workloads; arguments as main.c has checked them. */
void workload_churn(const struct tally_type *type, const char *name, long pairs); /* W1 */
void workload_trees(int depth, bool acyclic);                                    /* W2 */
void workload_cycles(void);                                                      /* W3 */
void workload_live(long millions, bool random, bool one_root);                   /* W4 */
void workload_dead(void);                                                        /* W5 */
void workload_pauses(char variant, double seconds);                              /* W6 */
void workload_counts(void);                                                      /* W7 */
void workload_graph(const char *path);
void workload_growth(void);
void workload_memory(double millions);
void workload_header(void);
void workload_stream(void);
void workload_ingest(void);
void workload_attach(long processes);
void workload_daemon(void);
void workload_http(void);
void workload_fleet(void);
void workload_sse(void);
void workload_collect(void);
void workload_snapshot(double megabytes);
void workload_analysis(double objects);
void workload_history(long busy, long hours);

/* graph_file.c: a .tgraph or .tgraph.zst file, whole and checked, or the end with a sentence. */
struct graph {
    uint32_t objects, edges;
    uint32_t *size, *degree, *targets; /* targets: of object 0, then of object 1, ... */
    uint8_t *tracked;
};
void graph_load(struct graph *graph, const char *path);
void graph_free(struct graph *graph);

#endif
