/* Collection records as they come, kept and added up; and the sums of all that is counted. */
#include <stdlib.h>

#include "base/clock.h"
#include "stats/forecast.h"
#include "stats/model.h"
#include "wire/feed.h"

static const uint64_t bounds_ns[] = {
#define BOUND(ns, seconds) ns##u,
    STATS_PAUSES(BOUND)
#undef BOUND
};
_Static_assert(sizeof bounds_ns / sizeof *bounds_ns + 1 == STATS_PAUSE_BUCKETS, "a bucket a bound, and the longer ones");

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void stats_figures_add(struct stats_figures *sum, const struct stats_figures *add)
{
    uint64_t pause = larger(sum->max_pause_ns, add->max_pause_ns);
    uint64_t slice = larger(sum->longest_slice_ns, add->longest_slice_ns);
#define STATS_FIELD(member, path, kind, unit, label, help) sum->member += add->member;
#include "stats/fields.def"
#undef STATS_FIELD
    sum->max_pause_ns = pause;
    sum->longest_slice_ns = slice;
}

void stats_generations_add(struct stats_generation sum[3], const struct stats_generation add[3])
{
    for (int i = 0; i < 3; i++) {
        sum[i].collections += add[i].collections;
        sum[i].collected += add[i].collected;
        sum[i].uncollectable += add[i].uncollectable;
    }
}

void stats_runs_add(struct stats_runs *sum, const struct stats_runs *add)
{
    sum->missed += add->missed;
    for (unsigned i = 0; i < STATS_REASONS; i++)
        sum->reasons[i] += add->reasons[i];
    for (unsigned i = 0; i < STATS_PAUSE_BUCKETS; i++)
        sum->pauses[i] += add->pauses[i];
    sum->pause_ns += add->pause_ns;
    sum->find_ns += add->find_ns;
    sum->callback_ns += add->callback_ns;
    sum->free_ns += add->free_ns;
    sum->examined += add->examined;
    sum->last_wall_ns = larger(sum->last_wall_ns, add->last_wall_ns);
    sum->live_bytes_after += add->live_bytes_after;
}

uint64_t stats_pause_quantile(const struct stats_runs *runs, unsigned percent, uint64_t longest_ns)
{
    uint64_t count = 0, seen = 0;
    unsigned bucket = 0;
    for (unsigned i = 0; i < STATS_PAUSE_BUCKETS; i++)
        count += runs->pauses[i];
    uint64_t wanted = count / 100 * percent + (count % 100 * percent + 99) / 100;
    if (!count)
        return 0;
    while (bucket < STATS_PAUSE_BUCKETS - 1 && (seen += runs->pauses[bucket]) < wanted)
        bucket++;
    return bucket == STATS_PAUSE_BUCKETS - 1 || bounds_ns[bucket] > longest_ns ? longest_ns : bounds_ns[bucket];
}

/* Numbers of records have no gaps: what lies between the last one and this was overwritten. */
static void runs_take(struct model_heap *heap, const struct intake_record *record, uint64_t start_wall_ns)
{
    struct stats_runs *runs = &heap->view.runs;
    unsigned bucket = 0;
    while (bucket < STATS_PAUSE_BUCKETS - 1 && record->pause_ns > bounds_ns[bucket])
        bucket++;
    runs->missed += record->sequence - heap->last_record - 1;
    runs->reasons[record->reason < STATS_REASONS ? record->reason : 0]++;
    runs->pauses[bucket]++;
    runs->pause_ns += record->pause_ns;
    runs->find_ns += record->find_ns;
    runs->callback_ns += record->callback_ns;
    runs->free_ns += record->free_ns;
    runs->examined += record->examined;
    runs->last_wall_ns = larger(runs->last_wall_ns, start_wall_ns);
    runs->live_bytes_after = record->live_bytes_after;
}

/* The ring grows to its full size before it goes round. */
static bool collection_room(struct model_process *process)
{
    size_t room = process->collection_room ? 2 * process->collection_room : 8;
    if (process->collection_count < process->collection_room || process->collection_room == STATS_COLLECTIONS_KEPT)
        return true;
    struct stats_collection_view *grown = realloc(process->collections, room * sizeof *grown);
    if (!grown)
        return false;
    process->collections = grown;
    process->collection_room = room;
    return true;
}

static void collection_add(struct model_process *process, uint32_t heap, const struct intake_record *from,
                           uint64_t start_wall_ns)
{
    if (!collection_room(process))
        return;
    process->collections[process->collection_next] = (struct stats_collection_view){
        .heap = heap, .sequence = from->sequence, .start_mono_ns = from->start_ns,
        .start_wall_ns = start_wall_ns, .reason = from->reason,
        .generation = from->generation, .manager = from->manager, .scope = from->scope,
        .slices = from->slices, .pause_ns = from->pause_ns,
        .find_ns = from->find_ns,
        .callback_ns = from->callback_ns, .free_ns = from->free_ns, .examined = from->examined,
        .collected = from->collected, .freed_bytes = from->freed_bytes, .uncollectable = from->uncollectable,
        .live_bytes_before = from->live_bytes_before, .live_bytes_after = from->live_bytes_after,
        .safepoint_wait_ns = from->safepoint_wait_ns, .operation = from->operation};
    process->collection_next = (process->collection_next + 1) % STATS_COLLECTIONS_KEPT;
    if (process->collection_count < STATS_COLLECTIONS_KEPT)
        process->collection_count++;
}

/* What the views say of the kept ones, so that no reader need go through them. */
static void runs_sum(struct model_process *process, struct model_heap *heap)
{
    heap->view.full_pace = stats_pace_of(process->collections, process->collection_count, heap->view.n, WIRE_SCOPE_HEAP,
                                         heap->view.tracked_objects);
}

/* One that is attached again brings its last ones along. */
void stats_records_take(struct model_process *process, struct model_heap *heap, const struct intake_sample *sample)
{
    uint64_t wall_ns = clock_wall_ns(), mono_ns = clock_mono_ns();
    bool any = false;
    for (size_t i = 0; i < sample->record_count; i++) {
        const struct intake_record *record = &sample->records[i];
        uint64_t start_wall_ns = wall_ns - (mono_ns - record->start_ns);
        if (record->sequence <= heap->last_record)
            continue;
        runs_take(heap, record, start_wall_ns);
        collection_add(process, heap->view.n, record, start_wall_ns);
        heap->last_record = record->sequence;
        any = true;
    }
    if (any)
        runs_sum(process, heap);
}
