/* W6: churn beside 5 million live objects, and how long the program was held up.
 *
 *   a  cycles of two are made and dropped; the 5 million are static
 *   b  and in each step a pointer among them is overwritten
 *   c  2.5 million live pairs, of which a random one is replaced each time
 *   d  as a; and in between rings of a million objects die at once
 */
#include <stdlib.h>

#include "bench.h"

#define LIVE 5000000u
#define RING 1000000u

static struct node *pair_new(long number)
{
    struct node *one = wanted(tally_new(heap, node_type)), *other = wanted(tally_new(heap, node_type));
    one->x = other->x = number;
    tally_store(one, &one->a, other);
    tally_store_steal(other, &other->a, tally_dup(one));
    tally_decref(other);
    return one;
}

static struct node **random_graph_new(void)
{
    struct node **nodes = wanted(calloc(LIVE, sizeof *nodes));
    for (uint32_t i = 0; i < LIVE; i++)
        nodes[i] = wanted(tally_new(heap, node_type));
    for (uint32_t i = 0; i < LIVE; i++) {
        uint32_t a = random_next() % LIVE, b = random_next() % LIVE;
        tally_store(nodes[i], &nodes[i]->a, nodes[a]);
        tally_store(nodes[i], &nodes[i]->b, nodes[b]);
    }
    return nodes;
}

static struct node **pairs_new(void)
{
    struct node **pairs = wanted(calloc(LIVE / 2, sizeof *pairs));
    for (uint32_t i = 0; i < LIVE / 2; i++)
        pairs[i] = pair_new(i);
    return pairs;
}

/* A ring that grows by one object a step, and is dropped when it has a million. */
static struct node *ring, *ring_end;
static uint32_t ring_size;

static void ring_step(void)
{
    struct node *node = wanted(tally_new(heap, node_type));
    if (ring)
        tally_store(ring_end, &ring_end->a, node);
    else
        ring = tally_dup(node);
    ring_end = node;
    tally_decref(node);
    if (++ring_size < RING)
        return;
    tally_store(ring_end, &ring_end->a, ring);
    tally_decref(ring);
    ring = NULL;
    ring_size = 0;
}

static void step(char variant, struct node **nodes, long number)
{
    if (variant == 'c') {
        uint32_t at = random_next() % (LIVE / 2);
        struct node *old = nodes[at];
        nodes[at] = pair_new(number);
        tally_decref(old);
        return;
    }
    tally_decref(pair_new(number));
    if (variant == 'b') {
        struct node *node = nodes[random_next() % LIVE];
        tally_store(node, &node->a, nodes[random_next() % LIVE]);
    } else if (variant == 'd') {
        ring_step();
    }
}

/* Slices by their thread CPU time; and the memory beside what is live for good: the 5 million objects, each its
 * payload and a header of 8 bytes, and the program's own array of pointers, which the peers have as well. */
static void slices_put(const char *figure, size_t pointers)
{
    const double kept_bytes = (double)LIVE * (sizeof(struct node) + 8) + (double)(pointers * sizeof(void *));
    struct tally_stats stats;
    char line[64];
    tally_get_stats(heap, &stats, sizeof stats);
    snprintf(line, sizeof line, "%s longest slice", figure);
    put(line, bench_name, (double)stats.longest_slice_ns / 1e6, "ms");
    snprintf(line, sizeof line, "%s missed slices", figure);
    put(line, bench_name, (double)stats.missed, "of slices");
    snprintf(line, sizeof line, "%s missed share", figure);
    put(line, bench_name, stats.slices ? 100 * (double)stats.missed / (double)stats.slices : 0, "%");
    snprintf(line, sizeof line, "%s slices", figure);
    put(line, bench_name, (double)stats.slices, "slices");
    snprintf(line, sizeof line, "%s live", figure);
    put(line, bench_name, (double)stats.live_bytes / 1048576, "MiB");
    snprintf(line, sizeof line, "%s peak RSS / live", figure);
    put(line, bench_name, (double)memory_kib("VmHWM:") * 1024 / kept_bytes, "x");
}

void workload_pauses(char variant, double seconds)
{
    static struct gaps gaps;
    static struct node **nodes;
    char figure[16];
    nodes = variant == 'c' ? pairs_new() : random_graph_new();
    uint64_t before = now_ticks(), end = before + (uint64_t)(seconds * 1e9);
    for (long i = 0; before < end; i++) {
        step(variant, nodes, i);
        uint64_t now = now_ticks();
        gaps_add(&gaps, now - before);
        before = now;
    }
    snprintf(figure, sizeof figure, "W6%c", variant);
    gaps_put(&gaps, figure, seconds);
    slices_put(figure, variant == 'c' ? LIVE / 2 : LIVE);
}
