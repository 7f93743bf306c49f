/* graph FILE: the heap of a real program. Full collections with everything alive; then all is dropped, and
 * what that leaves is collected.
 *
 * An object has the size that CPython gave it, without CPython's own headers, and room for its references at
 * least. What nothing else in the file reaches is held from outside, one object a component. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define HEADER_BYTES  16u /* of CPython, count and type; tracked objects have its collector's 16 too */
#define ROUNDS        5
#define FIXED_MOST    (1u << 20)

/* Types by size of the fixed part, in 8 bytes; slots follow it. */
static const struct tally_type *types[2][FIXED_MOST / 8 + 1];

static const struct tally_type *type_for(bool tracked, size_t fixed)
{
    const struct tally_type **type = &types[tracked][fixed / 8];
    char name[64];
    snprintf(name, sizeof name, "%s.%zu", tracked ? "tracked" : "atomic", fixed);
    const struct tally_type_info info = {.name = name,
                                         .size = fixed,
                                         .flags = tracked ? 0 : TALLY_TYPE_ACYCLIC,
                                         .trailing = TALLY_TRAILING_SLOTS};
    if (!*type && tally_type_register(&info, type))
        give_up("a type is refused");
    return *type;
}

static const struct tally_type *leaf_type_for(size_t fixed)
{
    static const struct tally_type *leaves[FIXED_MOST / 8 + 1];
    const struct tally_type_info info = {.name = "leaf", .size = fixed};
    if (!leaves[fixed / 8] && tally_type_register(&info, &leaves[fixed / 8]))
        give_up("a type is refused");
    return leaves[fixed / 8];
}

/* The length stands first; slots begin behind the fixed part. */
static void *object_new(const struct graph *graph, uint32_t at)
{
    bool tracked = graph->tracked[at];
    size_t headers = tracked ? 2 * HEADER_BYTES : HEADER_BYTES, slots = graph->degree[at] * sizeof(void *);
    size_t payload = graph->size[at] > headers ? graph->size[at] - headers : 0;
    bool leaf = !tracked && !slots;
    size_t least = leaf ? 0 : sizeof(size_t), fixed = payload > slots + least ? payload - slots : least;
    fixed = (fixed + 7) & ~(size_t)7;
    if (fixed > FIXED_MOST)
        fixed = FIXED_MOST;
    return wanted(leaf ? tally_new(heap, leaf_type_for(fixed))
                       : tally_new_array(heap, type_for(tracked, fixed), graph->degree[at]));
}

static void **slots_of(void *object, uint32_t degree)
{
    return (void **)((char *)object + tally_size(object)) - degree;
}

static void edges_store(const struct graph *graph, void **objects)
{
    const uint32_t *target = graph->targets;
    for (uint32_t i = 0; i < graph->objects; i++) {
        void **slots = graph->degree[i] ? slots_of(objects[i], graph->degree[i]) : NULL;
        for (uint32_t j = 0; j < graph->degree[i]; j++)
            tally_store(objects[i], &slots[j], objects[*target++]);
    }
}

static void reach(const struct graph *graph, const uint64_t *first, uint8_t *reached, uint32_t *stack, uint32_t from)
{
    size_t waiting = 0;
    reached[from] = 1;
    stack[waiting++] = from;
    while (waiting) {
        uint32_t object = stack[--waiting];
        for (uint64_t i = first[object]; i < first[object] + graph->degree[object]; i++) {
            uint32_t target = graph->targets[i];
            if (!reached[target]) {
                reached[target] = 1;
                stack[waiting++] = target;
            }
        }
    }
}

/* Gives back the references that made the objects but those to roots: objects that no other refers to, then
 * one of each cycle that these do not reach. Returns how many roots there are, moved to the front. */
static uint32_t roots_keep(const struct graph *graph, void **objects)
{
    uint64_t *first = wanted(malloc((size_t)graph->objects * sizeof *first + 1));
    uint8_t *reached = wanted(calloc(graph->objects + 1, 1)), *referred = wanted(calloc(graph->objects + 1, 1));
    uint32_t *stack = wanted(malloc((size_t)graph->objects * sizeof *stack + 1));
    uint64_t at = 0;
    for (uint32_t i = 0; i < graph->objects; at += graph->degree[i++])
        first[i] = at;
    for (uint64_t i = 0; i < at; i++)
        referred[graph->targets[i]] = 1;
    uint32_t roots = 0;
    uint8_t *is_root = wanted(calloc(graph->objects + 1, 1));
    for (int second = 0; second < 2; second++)
        for (uint32_t i = 0; i < graph->objects; i++)
            if (!reached[i] && (second || !referred[i])) {
                is_root[i] = 1;
                reach(graph, first, reached, stack, i);
            }
    for (uint32_t i = 0; i < graph->objects; i++)
        if (!is_root[i])
            tally_decref(objects[i]);
        else
            objects[roots++] = objects[i];
    free(first), free(reached), free(referred), free(stack), free(is_root);
    return roots;
}

static int by_value(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

/* A collection walks where something has lost a reference. */
static void suspect(void **roots, uint32_t count)
{
    uint32_t i = 0;
    while (i + 1 < count && !tally_is_tracked(roots[i]))
        i++;
    tally_decref(tally_dup(roots[i]));
}

static void live_measure(const char *figure, void **roots, uint32_t count, double tracked)
{
    double times[ROUNDS];
    char line[128];
    tally_collect(heap, 2);
    for (int i = 0; i < ROUNDS; i++) {
        suspect(roots, count);
        times[i] = collect_ns();
    }
    qsort(times, ROUNDS, sizeof *times, by_value);
    snprintf(line, sizeof line, "graph %s collect", figure);
    put(line, bench_name, times[ROUNDS / 2] / 1e6, "ms");
    snprintf(line, sizeof line, "graph %s ns/tracked", figure);
    put(line, bench_name, times[ROUNDS / 2] / tracked, "ns");
}

static void drop_measure(const char *figure, void **objects, uint32_t roots)
{
    char line[128];
    struct tally_stats before, after;
    tally_get_stats(heap, &before, sizeof before);
    double start = now_ns();
    for (uint32_t i = 0; i < roots; i++)
        tally_decref(objects[i]);
    double dropped = now_ns();
    int64_t collected = tally_collect(heap, 2);
    double end = now_ns();
    tally_get_stats(heap, &after, sizeof after);
    snprintf(line, sizeof line, "graph %s left", figure); /* untracked objects that stand in a cycle */
    put(line, bench_name, (double)after.live_objects, "objects");
    snprintf(line, sizeof line, "graph %s drop", figure);
    put(line, bench_name, (end - start) / 1e6, "ms");
    snprintf(line, sizeof line, "graph %s drop, of which collect", figure);
    put(line, bench_name, (end - dropped) / 1e6, "ms");
    snprintf(line, sizeof line, "graph %s collected", figure);
    put(line, bench_name, (double)collected, "objects");
    snprintf(line, sizeof line, "graph %s ns/freed", figure);
    put(line, bench_name, (end - start) / (double)before.live_objects, "ns");
}

static void name_of(char *name, size_t room, const char *path)
{
    const char *base = strrchr(path, '/');
    snprintf(name, room, "%s", base ? base + 1 : path);
    char *dot = strchr(name, '.');
    if (dot)
        *dot = '\0';
}

static double bytes_of(const struct graph *graph)
{
    double bytes = 0;
    for (uint32_t i = 0; i < graph->objects; i++)
        bytes += graph->size[i];
    return bytes;
}

void workload_graph(const char *path)
{
    struct graph graph;
    struct tally_stats stats;
    char name[64], line[128];
    graph_load(&graph, path);
    name_of(name, sizeof name, path);
    double tracked = 0, theirs = bytes_of(&graph);
    for (uint32_t i = 0; i < graph.objects; i++)
        tracked += graph.tracked[i];
    void **objects = wanted(malloc((size_t)graph.objects * sizeof *objects + 1));
    memset(objects, 0xff, (size_t)graph.objects * sizeof *objects);
    long before_kib = memory_kib("VmRSS:");
    tally_disable(heap);
    for (uint32_t i = 0; i < graph.objects; i++)
        objects[i] = object_new(&graph, i);
    long after_kib = memory_kib("VmRSS:");
    edges_store(&graph, objects);
    uint32_t roots = roots_keep(&graph, objects), count = graph.objects;
    graph_free(&graph);
    if (!roots)
        give_up("%s: no objects", path);
    tally_get_stats(heap, &stats, sizeof stats);
    snprintf(line, sizeof line, "graph %s B/obj", name);
    put(line, bench_name, (double)(after_kib - before_kib) * 1024 / count, "B");
    put(line, "CPython 3.11", theirs / count, "B");
    snprintf(line, sizeof line, "graph %s mapped B/obj", name);
    put(line, bench_name, (double)stats.mapped_bytes / count, "B");
    live_measure(name, objects, roots, tracked);
    drop_measure(name, objects, roots);
    free(objects);
}
