/* growth: how costs grow with the heap, as the exponent of a power: 0 is constant, 1 linear. */
#include <math.h>
#include <stdlib.h>

#include "bench.h"

#define SIZES    4
#define REPEATS  5
#define CLOSURE  1000u
#define HUB      1000u /* slots of the gateway object */

static const double sizes[SIZES] = {1e4, 1e5, 1e6, 1e7};

/* Slope of the least-squares line through the logarithms. */
static double exponent(const double *x, const double *y)
{
    double mean_x = 0, mean_y = 0, above = 0, below = 0;
    for (int i = 0; i < SIZES; i++) {
        mean_x += log(x[i]) / SIZES;
        mean_y += log(y[i]) / SIZES;
    }
    for (int i = 0; i < SIZES; i++) {
        above += (log(x[i]) - mean_x) * (log(y[i]) - mean_y);
        below += (log(x[i]) - mean_x) * (log(x[i]) - mean_x);
    }
    return above / below;
}

static void exponent_put(const char *figure, const char *unit, const double *y)
{
    char line[96];
    for (int i = 0; i < SIZES; i++) {
        snprintf(line, sizeof line, "growth %s, %.0e", figure, sizes[i]);
        put(line, bench_name, y[i], unit);
    }
    snprintf(line, sizeof line, "growth %s", figure);
    put(line, bench_name, exponent(sizes, y), "exponent");
}

/* Objects with random edges among them, all reached from a gateway. */
static struct array *heap_fill(uint32_t count)
{
    struct array *array = wanted(tally_new_array(heap, array_type, count));
    for (uint32_t i = 0; i < count; i++)
        tally_store_steal(array, &array->slots[i], wanted(tally_new(heap, node_type)));
    for (uint32_t i = 0; i < count; i++) {
        struct node *node = array->slots[i];
        tally_store(node, &node->a, array->slots[random_next() % count]);
        tally_store(node, &node->b, array->slots[random_next() % count]);
    }
    return array;
}

/* A dropped ring, each of whose members refers to the gateway. */
static void ring_drop(uint32_t count, void *gateway)
{
    struct node *first = wanted(tally_new(heap, node_type)), *last = first;
    for (uint32_t i = 0; i < count; i++) {
        struct node *node = i + 1 < count ? wanted(tally_new(heap, node_type)) : tally_dup(first);
        if (gateway && node != first)
            tally_store(node, &node->b, gateway);
        tally_store_steal(last, &last->a, node);
        last = node;
    }
    tally_decref(first);
}

/* Allocates until an automatic run has come, and returns the time it took. */
static double automatic_run_ns(void)
{
    struct tally_stats before, after;
    tally_get_stats(heap, &before, sizeof before);
    after = before;
    if (tally_set_thresholds(heap, (uint32_t[]){1, 1, 1})) /* the ring is enough, whatever runs have learnt */
        give_up("thresholds are refused");
    tally_enable(heap);
    for (int rounds = 0; after.generations[0].collections == before.generations[0].collections; rounds++) {
        if (rounds == 1000)
            give_up("no run comes by itself");
        for (int i = 0; i < 1000; i++)
            tally_decref(wanted(tally_new(heap, node_type)));
        tally_safepoint(heap);
        tally_get_stats(heap, &after, sizeof after);
    }
    tally_disable(heap);
    return (double)(after.pause_ns - before.pause_ns);
}

static double least(double (*measure)(void *), void *arg)
{
    double best = INFINITY;
    for (int i = 0; i < REPEATS; i++) {
        double value = measure(arg);
        best = value < best ? value : best;
    }
    return best;
}

static double nothing_ns(void *arg)
{
    (void)arg;
    return collect_ns();
}

static double closure_ns(void *gateway)
{
    ring_drop(CLOSURE, gateway);
    return automatic_run_ns();
}

/* The heap grows, what is looked at does not. */
static void by_heap_size(void)
{
    double nothing[SIZES], closure[SIZES], bytes[SIZES];
    for (int i = 0; i < SIZES; i++) {
        struct tally_stats stats;
        struct array *array = heap_fill((uint32_t)sizes[i]);
        tally_get_stats(heap, &stats, sizeof stats);
        bytes[i] = (double)stats.mapped_bytes / sizes[i];
        tally_collect(heap, 2);
        nothing[i] = least(nothing_ns, NULL);
        closure[i] = least(closure_ns, array);
        tally_decref(array);
        tally_collect(heap, 2);
        tally_trim(heap);
    }
    exponent_put("of a collection with nothing suspect, by heap size", "ns", nothing);
    exponent_put("of a run over 1,000 dead beside a gateway, by heap size", "ns", closure);
    exponent_put("of bytes an object, by heap size", "B", bytes);
}

static double ring_ns(void *count)
{
    ring_drop(*(uint32_t *)count, NULL);
    return collect_ns();
}

static double tree_ns(void *count)
{
    struct array *array = heap_fill(*(uint32_t *)count);
    double start = now_ns();
    for (size_t i = 0; i < array->length; i++) {
        struct node *node = array->slots[i];
        tally_clear(node, &node->a);
        tally_clear(node, &node->b);
    }
    tally_decref(array);
    return now_ns() - start;
}

/* What dies grows. */
static void by_garbage(void)
{
    double cyclic[SIZES], counted[SIZES];
    for (int i = 0; i < SIZES; i++) {
        uint32_t count = (uint32_t)sizes[i];
        cyclic[i] = least(ring_ns, &count);
        counted[i] = least(tree_ns, &count);
        tally_trim(heap);
    }
    exponent_put("of a collection that frees a ring, by its size", "ns", cyclic);
    exponent_put("of deaths by count, by their number", "ns", counted);
}

void workload_growth(void)
{
    tally_disable(heap);
    if (tally_set_max_pause(heap, 10000000)) /* runs go in one piece, in large heaps too */
        give_up("a pause is refused");
    by_heap_size();
    by_garbage();
}

/* ---- memory: what stays mapped */

#define KEPT 1000000u

/* Random sizes, most of them small; the live ones are replaced at random. */
void workload_memory(double millions)
{
    static void *kept[KEPT];
    const struct tally_type *type;
    const struct tally_type_info info = {.name = "bytes",
                                         .size = sizeof(size_t),
                                         .trailing = TALLY_TRAILING_BYTES,
                                         .trailing_element_bytes = 1};
    struct tally_stats stats;
    if (tally_type_register(&info, &type))
        give_up("a type is refused");
    double worst = 0;
    for (double i = 0; i < millions * 1e6; i++) {
        uint32_t at = random_next() % KEPT, size = 8u << (random_next() >> 7) % 6;
        if (kept[at])
            tally_decref(kept[at]);
        kept[at] = wanted(tally_new_array(heap, type, size + (random_next() >> 7) % size));
    }
    tally_get_stats(heap, &stats, sizeof stats);
    worst = (double)stats.mapped_bytes / (double)stats.live_bytes;
    put("memory mapped / live, random sizes", bench_name, worst, "x");
    put("memory RSS, random sizes", bench_name, (double)memory_kib("VmRSS:") / 1024, "MiB");
    for (uint32_t i = 0; i < KEPT; i++)
        if (kept[i])
            tally_decref(kept[i]);
    put("memory RSS, all freed", bench_name, (double)memory_kib("VmRSS:") / 1024, "MiB");
    tally_trim(heap);
    put("memory RSS, trimmed", bench_name, (double)memory_kib("VmRSS:") / 1024, "MiB");
}

/* ---- header: what an object takes beside its payload */

#define COUNTED 1000000u

/* Neighbours lie as far apart as an object and its header are long; what the heap has grown by beyond that are
 * bitmaps and trial counts beside the objects, heads of pages, and what is left over at their ends. The objects
 * stay: else the next ones would take their pages over. */
static void header_put(const struct tally_type *type, const char *kind)
{
    struct tally_stats before, after;
    char line[64], *last = NULL;
    size_t apart = SIZE_MAX;
    tally_get_stats(heap, &before, sizeof before);
    for (uint32_t i = 0; i < COUNTED; i++) {
        char *made = wanted(tally_new(heap, type));
        size_t from_last = last ? (size_t)labs(made - last) : SIZE_MAX;
        apart = from_last < apart ? from_last : apart;
        last = made;
    }
    tally_get_stats(heap, &after, sizeof after);
    double all = (double)(after.mapped_bytes - before.mapped_bytes) / COUNTED;
    snprintf(line, sizeof line, "HEADER B/obj, %s", kind);
    put(line, bench_name, (double)(apart - tally_size(last)), "B");
    snprintf(line, sizeof line, "HEADER beside B/obj, %s", kind);
    put(line, bench_name, all - (double)apart, "B");
    snprintf(line, sizeof line, "HEADER mapped B/obj, %s", kind);
    put(line, bench_name, all, "B");
}

/* Objects of 32 bytes: of a type without slots for references, and of a tracked one. */
void workload_header(void)
{
    const struct tally_type_info info = {.name = "atomic", .size = sizeof(struct node)};
    const struct tally_type *atomic;
    if (tally_type_register(&info, &atomic))
        give_up("a type is refused");
    tally_disable(heap);
    header_put(atomic, "atomic");
    header_put(node_type, "tracked");
}
