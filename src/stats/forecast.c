#include "stats/forecast.h"

#include <string.h>

#include "wire/feed.h"

struct near { /* a collection, and how far it is from what is asked for */
    double distance;
    uint64_t sequence, object_ps;
};

/* By what factor the two differ. */
static double distance_of(uint64_t examined, uint64_t objects)
{
    double a = (double)examined, b = (double)(objects ? objects : 1);
    return a > b ? a / b : b / a;
}

/* Of two as far away the newer one. */
static bool is_nearer(const struct near *a, const struct near *b)
{
    return a->distance != b->distance ? a->distance < b->distance : a->sequence > b->sequence;
}

static unsigned near_add(struct near *near, unsigned count, struct near one)
{
    unsigned at = count < FORECAST_RUNS ? count : FORECAST_RUNS - 1;
    if (count == FORECAST_RUNS && !is_nearer(&one, &near[at]))
        return count;
    for (; at && is_nearer(&one, &near[at - 1]); at--)
        near[at] = near[at - 1];
    near[at] = one;
    return count < FORECAST_RUNS ? count + 1 : count;
}

static void pace_sort(struct near *near, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct near one = near[i];
        unsigned at = i;
        for (; at && near[at - 1].object_ps > one.object_ps; at--)
            near[at] = near[at - 1];
        near[at] = one;
    }
}

static uint64_t object_ps(uint64_t pause_ns, uint64_t examined)
{
    double ps = (double)pause_ns * 1e3 / (double)examined;
    return ps < 0x1p62 ? (uint64_t)ps : (uint64_t)1 << 62;
}

struct stats_pace stats_pace_of(const struct stats_collection_view *collections, size_t count, uint32_t n, uint32_t scope,
                                uint64_t objects)
{
    struct near near[FORECAST_RUNS];
    unsigned runs = 0;
    for (size_t i = 0; i < count; i++) {
        const struct stats_collection_view *run = &collections[i];
        if (run->heap == n && run->scope == scope && run->examined)
            runs = near_add(near, runs,
                            (struct near){distance_of(run->examined, objects), run->sequence,
                                          object_ps(run->pause_ns, run->examined)});
    }
    if (!runs)
        return (struct stats_pace){.runs = 0};
    pace_sort(near, runs);
    return (struct stats_pace){runs, near[runs / 2].object_ps, near[0].object_ps, near[runs - 1].object_ps};
}

static uint64_t pause_of(uint64_t objects, uint64_t ps)
{
    double ns = (double)objects * (double)ps / 1e3;
    return ns < 0x1p62 ? (uint64_t)ns : (uint64_t)1 << 62;
}

static bool is_full(const struct stats_collection_view *run)
{
    return run->scope != WIRE_SCOPE_CANDIDATES && run->generation > 0;
}

/* The survivors of the youngest collections since the last one that took them further. */
static uint64_t middle_objects(const struct stats_process_view *process, uint32_t n)
{
    uint64_t count = 0;
    for (size_t i = 0; i < process->collection_count; i++) {
        const struct stats_collection_view *run = &process->collections[i]; /* newest first */
        if (run->heap != n)
            continue;
        if (is_full(run))
            break;
        if (run->scope == WIRE_SCOPE_GENERATIONS && run->examined > run->collected)
            count += run->examined - run->collected;
    }
    return count;
}

static uint64_t objects_of(const struct stats_process_view *process, const struct stats_heap_view *heap, unsigned generation)
{
    uint64_t frozen = heap->figures.frozen, tracked = heap->tracked_objects;
    uint64_t all = tracked > frozen ? tracked - frozen : 0, young = heap->counts[0];
    if (generation < 2 && young < all) {
        uint64_t middle = generation ? middle_objects(process, heap->n) : 0;
        return middle < all - young ? young + middle : all;
    }
    return all;
}

static const char *never(const struct stats_heap_view *heap)
{
    if (heap->gone)
        return "the heap is gone";
    if (heap->config.manager == WIRE_MANAGER_NONE || heap->config.manager == WIRE_MANAGER_REFCOUNT)
        return "its manager finds no cycles";
    return NULL;
}

static void fill(struct stats_forecast *out, const struct stats_pace *pace)
{
    out->runs = pace->runs;
    out->unknown = pace->runs ? NULL : "no such collection of it has been seen yet";
    if (!pace->runs && !out->objects)
        out->unknown = NULL; /* nothing takes no time */
    out->pause_ns = pause_of(out->objects, pace->object_ps);
    out->least_ns = pause_of(out->objects, pace->least_ps);
    out->most_ns = pause_of(out->objects, pace->most_ps);
}

/* Where nothing can be found, a full collection returns without a walk. */
static void settle(const struct stats_heap_view *heap, struct stats_forecast *out)
{
    out->settled = heap->settled;
    if (!heap->settled || !out->runs)
        return;
    out->objects = out->pause_ns = out->least_ns = 0;
}

void stats_forecast_collect(const struct stats_process_view *process, const struct stats_heap_view *heap,
                            unsigned generation, struct stats_forecast *out)
{
    *out = (struct stats_forecast){.unknown = process->gone ? "the process is gone" : never(heap)};
    if (out->unknown)
        return;
    uint32_t scope = generation < 2 ? WIRE_SCOPE_GENERATIONS : WIRE_SCOPE_HEAP;
    out->objects = objects_of(process, heap, generation);
    struct stats_pace pace =
        stats_pace_of(process->collections, process->collection_count, heap->n, scope, out->objects);
    if (!pace.runs && generation < 2) /* a young object takes no more than one of all */
        pace = stats_pace_of(process->collections, process->collection_count, heap->n, WIRE_SCOPE_HEAP, out->objects);
    fill(out, &pace);
    if (generation == 2)
        settle(heap, out);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void stats_forecast_full(const struct stats_process_view *process, struct stats_forecast *out)
{
    bool any = false;
    const char *unknown = NULL;
    *out = (struct stats_forecast){.objects = 0};
    for (size_t i = 0; i < process->heap_count && !process->gone; i++) {
        const struct stats_heap_view *heap = &process->heaps[i];
        struct stats_forecast one = {.unknown = never(heap)};
        if (heap->gone)
            continue;
        any = true;
        if (!one.unknown) {
            one.objects = objects_of(process, heap, 2);
            fill(&one, &heap->full_pace);
            settle(heap, &one);
        }
        unknown = one.unknown ? one.unknown : unknown;
        out->objects += one.objects;
        out->runs += one.runs;
        out->pause_ns = larger(out->pause_ns, one.pause_ns);
        out->least_ns = larger(out->least_ns, one.least_ns);
        out->most_ns = larger(out->most_ns, one.most_ns);
    }
    out->unknown = process->gone ? "the process is gone" : any ? unknown : "it has no heap";
}
