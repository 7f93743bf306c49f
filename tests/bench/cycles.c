/* W3, W4, W5: what the cycle collector does. */
#include <stdlib.h>

#include "bench.h"

#define CYCLES 10000000L

static void cycle_drop(long number)
{
    struct node *one = wanted(tally_new(heap, node_type)), *other = wanted(tally_new(heap, node_type));
    one->x = other->x = number;
    tally_store(one, &one->a, other);
    tally_store(other, &other->a, one);
    tally_decref(one);
    tally_decref(other);
}

/* W3: cycles of two, dropped as soon as they are made. */
void workload_cycles(void)
{
    double start = now_ns();
    for (long i = 0; i < CYCLES; i++)
        cycle_drop(i);
    put("W3 ns/cycle", bench_name, (now_ns() - start) / (double)CYCLES, "ns");
    put("W3 peak RSS", bench_name, (double)memory_kib("VmHWM:") / 1024, "MiB");
}

static struct array *nodes_new(size_t count)
{
    struct array *array = wanted(tally_new_array(heap, array_type, count));
    for (size_t i = 0; i < count; i++) {
        struct node *node = wanted(tally_new(heap, node_type));
        node->x = (int64_t)i;
        tally_store_steal(array, &array->slots[i], node);
    }
    return array;
}

static struct array *graph_new(size_t count, bool random)
{
    struct array *array = nodes_new(count);
    for (size_t i = 0; i < count; i++) {
        struct node *node = array->slots[i];
        size_t a = random ? random_next() % count : (i + 1) % count;
        size_t b = random ? random_next() % count : (i + 2) % count;
        tally_store(node, &node->a, array->slots[a]);
        tally_store(node, &node->b, array->slots[b]);
    }
    return array;
}

/* A decref that leaves it alive: without one there is nothing to find, and no walk. */
static void suspect(void *object)
{
    tally_decref(tally_dup(object));
}

/* W4: a full collection that frees nothing. The objects are held by one tracked array; or, with one_root, by
 * one of them, which the others that are left are reached from. */
void workload_live(long millions, bool random, bool one_root)
{
    size_t count = (size_t)millions * 1000000;
    char figure[80], name[128];
    long before_kib = memory_kib("VmRSS:");
    tally_disable(heap);
    void *root = graph_new(count, random);
    long after_kib = memory_kib("VmRSS:");
    if (one_root) {
        void *first = tally_dup(((struct array *)root)->slots[0]);
        tally_decref(root);
        root = first;
    }
    tally_collect(heap, 2);
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    suspect(root);
    double walk_ns = collect_ns(), nothing_ns = collect_ns();
    snprintf(figure, sizeof figure, "W4 %s %ldM ns/obj", random ? "random" : "seq", millions);
    snprintf(name, sizeof name, "%s%s", bench_name, one_root ? " (1 root)" : "");
    put(figure, name, walk_ns / (double)(stats.live_objects - !one_root), "ns");
    snprintf(name, sizeof name, "%s%s", bench_name, one_root ? " (1 root, nothing suspect)" : " (nothing suspect)");
    snprintf(figure, sizeof figure, "W4 %s %ldM collect", random ? "random" : "seq", millions);
    put(figure, name, nothing_ns / 1e3, "us");
    snprintf(figure, sizeof figure, "W4 %s %ldM B/obj", random ? "random" : "seq", millions);
    put(figure, bench_name, (double)(after_kib - before_kib) * 1024 / (double)count, "B");
    snprintf(figure, sizeof figure, "W4 %s %ldM peak RSS", random ? "random" : "seq", millions);
    put(figure, bench_name, (double)memory_kib("VmHWM:") / 1024, "MiB");
    tally_decref(root);
}

#define DEAD 1000000u

static uint32_t *permutation_new(uint32_t count)
{
    uint32_t *order = wanted(malloc(count * sizeof *order));
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = random_next() % (i + 1), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    return order;
}

/* W5: a million objects in one ring, in random order, each with a random edge more: dropped, and collected. */
void workload_dead(void)
{
    tally_disable(heap);
    struct array *array = nodes_new(DEAD);
    uint32_t *order = permutation_new(DEAD);
    for (uint32_t i = 0; i < DEAD; i++) {
        struct node *node = array->slots[order[i]];
        tally_store(node, &node->a, array->slots[order[(i + 1) % DEAD]]);
        tally_store(node, &node->b, array->slots[random_next() % DEAD]);
    }
    free(order);
    double start = now_ns();
    tally_decref(array);
    double dropped = now_ns();
    int64_t collected = tally_collect(heap, 2);
    double end = now_ns();
    put("W5 ns/freed obj", bench_name, (end - start) / DEAD, "ns");
    put("W5 of which drop", bench_name, (dropped - start) / DEAD, "ns");
    if (collected != DEAD)
        give_up("W5: %lld of %u objects were freed", (long long)collected, DEAD);
}
