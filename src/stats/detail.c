/* What is too much to copy with every view: rates and histograms of each type, made anew once a second, and a heap's
 * last events, once it is gone. Views share one detail until there is a newer one. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "stats/model.h"

#define EVERY_NS 1000000000u

struct detail_box {
    _Atomic unsigned references;
    struct stats_heap_detail detail;
    struct stats_event events[EVENTS_TAIL];
    struct stats_type_detail types[]; /* behind them the histograms */
};

static struct detail_box *box_of(const struct stats_heap_detail *detail)
{
    return (struct detail_box *)((char *)(uintptr_t)detail - offsetof(struct detail_box, detail));
}

const struct stats_heap_detail *stats_detail_ref(const struct stats_heap_detail *detail)
{
    if (detail)
        atomic_fetch_add(&box_of(detail)->references, 1);
    return detail;
}

void stats_detail_unref(const struct stats_heap_detail *detail)
{
    if (detail && atomic_fetch_sub(&box_of(detail)->references, 1) == 1)
        free(box_of(detail));
}

static uint64_t per_second(uint64_t now, uint64_t *before, uint64_t passed_ns)
{
    uint64_t more = now > *before ? now - *before : 0; /* only a liar's goes back */
    *before = now;
    double rate = passed_ns ? (double)more * 1e9 / (double)passed_ns + 0.5 : 0;
    return rate < 0x1p63 ? (uint64_t)rate : (uint64_t)1 << 63;
}

static void rates_fill(struct stats_type_detail *to, const struct stats_type_view *type, struct model_rated *before,
                       uint64_t passed_ns)
{
    to->allocations_per_s = per_second(type->allocations, &before->allocations, passed_ns);
    to->frees_refcount_per_s = per_second(type->frees_refcount, &before->frees_refcount, passed_ns);
    to->frees_cycle_per_s = per_second(type->frees_cycle, &before->frees_cycle, passed_ns);
    to->deaths = type->frees_refcount + type->frees_cycle;
}

/* Sums over the types, and what is the heap's alone. */
static struct stats_rates rates_of(const struct stats_figures *figures, struct stats_rates *before, uint64_t passed_ns)
{
    return (struct stats_rates){
        .allocations = per_second(figures->allocations, &before->allocations, passed_ns),
        .allocated_bytes = per_second(figures->allocated_bytes, &before->allocated_bytes, passed_ns),
        .frees_refcount = per_second(figures->frees_refcount, &before->frees_refcount, passed_ns),
        .frees_cycle = per_second(figures->frees_cycle, &before->frees_cycle, passed_ns),
        .collections = per_second(figures->collections, &before->collections, passed_ns),
        .pause_ns = per_second(figures->pause_ns, &before->pause_ns, passed_ns)};
}

static const char *name_of(const struct model_heap *heap, uint32_t row)
{
    return row < heap->type_count ? heap->types[row].name : NULL;
}

static size_t events_fill(struct stats_event *to, const struct model_heap *heap)
{
    struct events_last last[EVENTS_TAIL];
    size_t count = events_tail(heap->events, last);
    for (size_t i = 0; i < count; i++) {
        struct wire_event_view event;
        bool object = wire_event_decode(last[i].words, &event) && event.kind != WIRE_EVENT_RARE;
        to[i] = (struct stats_event){.kind = event.kind,
                                     .rare = event.rare,
                                     .type = object ? name_of(heap, event.row) : NULL,
                                     .bytes = event.bytes,
                                     .object = event.granule,
                                     .value = event.value,
                                     .mono_ns = last[i].clock_ns};
    }
    return count;
}

static struct detail_box *box_make(const struct model_heap *heap)
{
    size_t histograms = 0;
    for (uint32_t row = 0; row < heap->type_count; row++)
        histograms += events_any(heap->events, row);
    struct detail_box *box = calloc(1, sizeof *box + heap->type_count * sizeof *box->types +
                                           histograms * sizeof(struct stats_histograms));
    if (box)
        atomic_init(&box->references, 1);
    return box;
}

/* A heap that is gone, out of a process that lives on, has no rates; its last detail stays for good. */
void stats_detail_make(struct model_heap *heap, bool last)
{
    uint64_t now_ns = clock_mono_ns(), passed_ns = heap->rated_ns && !heap->view.gone ? now_ns - heap->rated_ns : 0;
    struct detail_box *box = box_make(heap);
    if (!box)
        return; /* the older one stands */
    struct stats_histograms *histograms = (struct stats_histograms *)&box->types[heap->type_count];
    passed_ns = last ? 0 : passed_ns; /* nothing happens any more */
    heap->moving = false;
    for (uint32_t row = 0; row < heap->type_count; row++) {
        struct stats_type_detail *type = &box->types[row];
        rates_fill(type, &heap->types[row], &heap->rated[row], passed_ns);
        heap->moving |= type->allocations_per_s || type->frees_refcount_per_s || type->frees_cycle_per_s;
        if (!events_any(heap->events, row))
            continue;
        events_histograms(heap->events, row, histograms);
        type->histograms = histograms++;
    }
    struct stats_rates per_s = rates_of(&heap->view.figures, &heap->rated_sums, passed_ns);
    heap->moving |= per_s.collections || per_s.pause_ns;
    box->detail = (struct stats_heap_detail){.mono_ns = now_ns,
                                             .per_s = per_s,
                                             .type_count = heap->type_count,
                                             .types = box->types,
                                             .sample_shift = events_sample_shift(heap->events),
                                             .event_count = last ? events_fill(box->events, heap) : 0,
                                             .events = box->events};
    stats_detail_unref(heap->view.detail);
    heap->view.detail = &box->detail;
    heap->rated_ns = now_ns;
}

bool stats_detail_due(const struct model_heap *heap, uint64_t now_ns)
{
    return now_ns - heap->rated_ns >= EVERY_NS;
}
