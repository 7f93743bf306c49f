/* What events tell, as JSON: rates, sizes and lifetimes of types, single events, and what is left of a process that is
 * gone. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "api/private.h"
#include "api/views.h"
#include "wire/feed.h"

#define LAST_COLLECTIONS 16u

struct details_row { /* of a type: what its heaps add up to */
    const struct stats_type_view *type;
    struct stats_type_detail sum;
    struct stats_histograms histograms;
};

struct details {
    size_t count;
    unsigned shift; /* the coarsest sample that lifetimes are from */
    struct details_row rows[];
};

static void histograms_add(struct stats_histograms *sum, const struct stats_histograms *add)
{
    sum->known += add->known;
    sum->short_lived += add->short_lived;
    for (unsigned i = 0; i < STATS_SIZES; i++)
        sum->sizes[i] += add->sizes[i];
    for (unsigned i = 0; i < STATS_LIFETIMES; i++) {
        sum->ns[i] += add->ns[i];
        sum->bytes[i] += add->bytes[i];
    }
}

static void detail_add(struct stats_type_detail *sum, struct stats_histograms *histograms,
                       const struct stats_type_detail *add)
{
    sum->allocations_per_s += add->allocations_per_s;
    sum->frees_refcount_per_s += add->frees_refcount_per_s;
    sum->frees_cycle_per_s += add->frees_cycle_per_s;
    sum->deaths += add->deaths;
    if (!add->histograms)
        return;
    sum->histograms = histograms;
    histograms_add(histograms, add->histograms);
}

static int row_order(const void *a, const void *b)
{
    const struct details_row *one = a, *two = b;
    return stats_type_order(one->type, two->type);
}

static void heap_add(struct details *details, const struct stats_heap_view *heap)
{
    if (heap->detail->sample_shift > details->shift)
        details->shift = heap->detail->sample_shift;
    for (size_t i = 0; i < heap->type_count; i++) {
        struct details_row key = {.type = &heap->types[i]};
        struct details_row *row = bsearch(&key, details->rows, details->count, sizeof key, row_order);
        if (row && key.type->row < heap->detail->type_count)
            detail_add(&row->sum, &row->histograms, &heap->detail->types[key.type->row]);
    }
}

struct details *details_new(const struct stats_process_view *process, uint32_t n)
{
    const struct stats_heap_view *one = n ? view_heap_find(process, n) : NULL;
    const struct stats_type_view *types = one ? one->types : process->types;
    size_t count = one ? one->type_count : process->type_count;
    struct details *details = calloc(1, sizeof *details + count * sizeof details->rows[0]);
    if (!details)
        return NULL;
    details->count = count;
    for (size_t i = 0; i < count; i++)
        details->rows[i].type = &types[i];
    qsort(details->rows, count, sizeof details->rows[0], row_order);
    for (size_t i = 0; i < process->heap_count; i++)
        if ((!n || process->heaps[i].n == n) && process->heaps[i].detail)
            heap_add(details, &process->heaps[i]);
    return details;
}

static json_t *rates_json(const struct stats_type_detail *detail)
{
    return json_pack("{s:o, s:{s:o, s:o}}", "allocations_per_s", view_number(detail->allocations_per_s), "frees_per_s",
                     "refcount", view_number(detail->frees_refcount_per_s), "cycle", view_number(detail->frees_cycle_per_s));
}

/* Buckets that hold something: from each power of two on. */
static json_t *buckets_json(const uint64_t *counts)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < STATS_LIFETIMES; i++)
        if (counts[i])
            json_array_append_new(list, json_pack("{s:o, s:o}", "from", view_number(i ? (uint64_t)1 << i : 0), "count",
                                                  view_number(counts[i])));
    return list;
}

static json_t *sizes_json(const uint64_t *counts)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < STATS_SIZES; i++)
        if (counts[i])
            json_array_append_new(list, json_pack("{s:o, s:b, s:o}", "bytes", view_number(8 * i), "or_more",
                                                  i == STATS_SIZES - 1, "count", view_number(counts[i])));
    return list;
}

static json_t *lifetimes_json(uint64_t deaths, const struct stats_histograms *histograms, unsigned shift)
{
    uint64_t unknown = deaths > histograms->known ? deaths - histograms->known : 0;
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "known", view_number(histograms->known), "unknown", view_number(unknown),
                     "short_lived", view_number(histograms->short_lived), "short_lived_below_bytes",
                     view_number(STATS_SHORT_BYTES), "one_page_in", view_number((uint64_t)1 << shift));
}

void details_type_set(json_t *json, const struct details *details, const struct stats_type_view *type, bool histograms)
{
    const struct details_row key = {.type = type};
    const struct details_row *row = bsearch(&key, details->rows, details->count, sizeof key, row_order);
    const struct stats_histograms *all = &row->histograms; /* the type is one of them */
    json_object_set_new(json, "rates", rates_json(&row->sum));
    json_object_set_new(json, "lifetimes",
                        row->sum.histograms ? lifetimes_json(row->sum.deaths, all, details->shift) : json_null());
    if (!histograms)
        return;
    json_object_set_new(json, "sizes", sizes_json(all->sizes));
    json_object_set_new(json, "lifetime_ns", buckets_json(all->ns));
    json_object_set_new(json, "lifetime_bytes", buckets_json(all->bytes));
}

struct stats_rates details_rates(const struct stats_process_view *process, uint32_t n)
{
    struct stats_rates sum = {.allocations = 0};
    for (size_t i = 0; i < process->heap_count; i++) {
        const struct stats_heap_detail *detail = process->heaps[i].detail;
        if (!detail || (n && process->heaps[i].n != n))
            continue;
        sum.allocations += detail->per_s.allocations;
        sum.allocated_bytes += detail->per_s.allocated_bytes;
        sum.frees_refcount += detail->per_s.frees_refcount;
        sum.frees_cycle += detail->per_s.frees_cycle;
        sum.collections += detail->per_s.collections;
        sum.pause_ns += detail->per_s.pause_ns;
    }
    return sum;
}

json_t *details_rates_json(const struct stats_process_view *process, uint32_t n)
{
    struct stats_rates sum = details_rates(process, n);
    return json_pack("{s:o, s:o, s:{s:o, s:o}, s:o, s:o}", "allocations_per_s", view_number(sum.allocations),
                     "allocated_bytes_per_s", view_number(sum.allocated_bytes), "frees_per_s", "refcount",
                     view_number(sum.frees_refcount), "cycle", view_number(sum.frees_cycle), "collections_per_s",
                     view_number(sum.collections), "pause_ns_per_s", view_number(sum.pause_ns));
}

/* ---- single events */

/* What filters name: events of objects by their kind, and all others. */
static const char *const kinds[] = {"collection", "alloc", "free_refcount", "free_cycle"}; /* by enum wire_event */
static const char *const rares[] = {"pad", "clock", "collection_start", "collection_stop"}; /* by enum wire_rare */

unsigned details_kind(const char *word, size_t bytes)
{
    for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        if (strlen(kinds[kind]) == bytes && !strncmp(kinds[kind], word, bytes))
            return 1u << kind;
    return 0;
}

static const char *kind_word(enum wire_event kind, enum wire_rare rare)
{
    if (kind != WIRE_EVENT_RARE)
        return kinds[kind];
    return (unsigned)rare < sizeof rares / sizeof *rares ? rares[rare] : "unknown";
}

json_t *details_event(const struct stats_event *event)
{
    bool object = event->kind != WIRE_EVENT_RARE;
    return json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o}", "kind", kind_word(event->kind, event->rare), "type", event->type,
                     "bytes", object ? view_number(event->bytes) : json_null(), "object",
                     object ? view_number(event->object) : json_null(), "at_mono_ns", object ? json_null() : view_number(event->value),
                     "after_mono_ns", view_number(event->mono_ns));
}

const char *details_type_name(const struct stats_heap_view *heap, uint32_t row)
{
    for (size_t i = 0; heap && i < heap->type_count; i++)
        if (heap->types[i].row == row)
            return heap->types[i].name;
    return NULL;
}

/* ---- after the end */

json_t *details_exit(int status)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        return json_pack("{s:s, s:i, s:o, s:b}", "kind", "signal", "signal", WTERMSIG(status), "name",
                         name ? json_sprintf("SIG%s", name) : json_null(), "core", WCOREDUMP(status) != 0);
    }
    return json_pack("{s:s, s:i}", "kind", "exit", "code", WEXITSTATUS(status));
}

static json_t *heap_json(const struct stats_heap_view *heap)
{
    json_t *events = json_array();
    const struct stats_heap_detail *detail = heap->detail;
    for (size_t i = 0; detail && i < detail->event_count; i++)
        json_array_append_new(events, details_event(&detail->events[i]));
    return json_pack("{s:o, s:o, s:b, s:o}", "n", view_number(heap->n), "was", view_state(heap->state), "gone_before", heap->gone,
                     "last_events", events);
}

json_t *details_post_mortem(struct api *api, const struct stats_process_view *process)
{
    if (!process->gone)
        return json_null();
    json_t *heaps = json_array();
    for (size_t i = 0; i < process->heap_count; i++)
        json_array_append_new(heaps, heap_json(&process->heaps[i]));
    json_t *stats = view_stats(api, process, 0), *runs = view_collections(api, process, LAST_COLLECTIONS, NULL);
    json_t *json = json_pack("{s:o, s:o, s:O?, s:o}", "exit",
                             process->ended ? details_exit(process->status) : json_null(), "heaps", heaps, "last_collections",
                             json_object_get(runs, "collections"), "stats", stats);
    json_decref(runs);
    return json;
}
