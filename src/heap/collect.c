/* One collection, as CPython 3.11's gc_collect_main() orders it.
 *
 *   merge         the generations up to the one asked for become one set of members        (trial.c)
 *   find          members not reachable from outside of the set are trash; the others are
 *                 promoted                                                                 (trial.c)
 *   weak          weak references to trash read NULL, and so do those that are trash; the
 *                 callbacks of the former run
 *   finalize      finalizers of trash run, each once
 *   rescue        what a finalizer made reachable again leaves the trash
 *   free          the rest is cleared and freed, or under SAVEALL kept on the garbage list
 *
 * What is always true
 *  - Finding decides on side data; no object is written before it is destroyed, no count is ever wrong.
 *  - No memory is taken: side data lies in the pages, the mark stack and the hub table on reserved address
 * space.
 *  - Pages stay while a collection runs, so that members can be iterated while host code frees them: a member
 * that dies leaves the set (release.c), a new object is never in it.
 *  - Freeing holds every member of the dead set first, then clears all, and frees only what nobody but this
 * hold keeps: a reference that its type does not describe keeps an object, whole in memory, rather than
 * dangling.
 */
#include <errno.h>

#include "heap/internal.h"

struct run {
    int generation;
    struct weak_queue queue;
    bool host_ran;      /* a callback or finalizer, so that trash may have changed */
    uint64_t collected; /* N */
    uint64_t uncollectable;
    uint64_t freed_bytes;
};

static bool weak_pass(struct tally_heap *heap, void *object, void *arg)
{
    struct run *run = arg;
    if (*word_of(object) & FLAG_WEAK)
        tally__weak_clear_all(heap, object, &run->queue);
    if (type_of(object)->weak)
        tally__weak_detach(heap, object);
    return true;
}

/* Post-condition: no weak reference leads to trash, none in the trash leads anywhere. */
static void weak_clear(struct tally_heap *heap, struct run *run)
{
    run->queue = (struct weak_queue){NULL, &run->queue.first};
    tally__trash_each(heap, weak_pass, run);
    if (run->queue.first) {
        run->host_ran = true;
        run->collected +=
            tally__weak_callbacks(heap, &run->queue, true, run->generation < 2 ? run->generation + 1 : 2);
    }
}

static bool finalize_one(struct tally_heap *heap, void *object, void *arg)
{
    struct run *run = arg;
    uint64_t *word = word_of(object);
    if ((*word & (FLAG_FINALIZER | FLAG_FINALIZED)) != FLAG_FINALIZER)
        return true;
    run->host_ran = true;
    *word |= FLAG_FINALIZED;
    tally_incref(object);
    type_of(object)->info.finalize(heap, object);
    tally_decref(object);
    return true;
}

/* Post-condition: what is reachable from outside after the finalizers is not trash any more, and promoted. */
static void rescue(struct tally_heap *heap, const struct run *run)
{
    if (!run->host_ran)
        return;
    tally__members_rest(heap);
    tally__trial(heap);
    tally__survivors_promote(heap, run->generation);
}

static bool keep_one(struct tally_heap *heap, void *object, void *arg)
{
    struct run *run = arg;
    tally__generation_set(object, run->generation < 2 ? run->generation + 1 : 2);
    run->collected += tally__garbage_push(heap, object);
    return true;
}

static bool hold_one(struct tally_heap *heap, void *object, void *arg)
{
    (void)heap, (void)arg;
    tally_incref(object);
    *word_of(object) |= FLAG_DYING;
    return true;
}

static void clear_slot(void **slot, void *arg)
{
    void *child = *slot;
    *slot = NULL;
    if (!child)
        return;
    if (tally__is_trash(arg, child))
        *word_of(child) -= TALLY_COUNT_ONE; /* held: never the last */
    else
        tally_decref(child);
}

static bool clear_one(struct tally_heap *heap, void *object, void *arg)
{
    (void)arg;
    const struct tally_type *type = type_of(object);
    for (size_t at = tally__slot_count(type, object); at-- > 0;)
        clear_slot(tally__slot_at(type, object, at), heap);
    if (type->info.traverse)
        type->info.traverse(object, clear_slot, heap);
    return true;
}

static bool free_one(struct tally_heap *heap, void *object, void *arg)
{
    struct run *run = arg;
    if (*word_of(object) >> TALLY_COUNT_SHIFT == 1) {
        run->collected++;
        run->freed_bytes += tally__size_of(type_of(object), object);
        tally__object_free(heap, object, WIRE_EVENT_FREE_CYCLE);
    } else {
        run->uncollectable++;
        *word_of(object) = (*word_of(object) - TALLY_COUNT_ONE) & ~FLAG_DYING;
        tally__generation_set(object, run->generation < 2 ? run->generation + 1 : 2);
    }
    return true;
}

/* Post-condition: no member of the dead set refers to another, and each is freed that nobody else holds. */
static void free_trash(struct tally_heap *heap, struct run *run)
{
    if (heap->debug & TALLY_DEBUG_SAVEALL) {
        tally__trash_each(heap, keep_one, run);
        return;
    }
    run->queue = (struct weak_queue){NULL, &run->queue.first};
    if (run->host_ran) /* weak references that finalizers made */
        tally__trash_each(heap, weak_pass, run);
    tally__trash_each(heap, hold_one, NULL);
    tally__trash_each(heap, clear_one, NULL);
    tally__trash_each(heap, free_one, run);
    tally__weak_callbacks(heap, &run->queue, true, -1);
}

static void hook_call(struct tally_heap *heap, const struct collect_request *request, const struct run *run,
                      uint64_t duration_ns)
{
    if (!heap->hook)
        return;
    struct tally_collection info = {.generation = request->generation, .reason = request->reason};
    if (run) {
        info.stop = true;
        info.collected = run->collected;
        info.uncollectable = run->uncollectable;
        info.duration_ns = duration_ns;
    }
    heap->hook(heap, &info, heap->hook_arg);
}

static void counts_update(struct tally_heap *heap, int generation)
{
    if (generation < 2)
        heap->counts[generation + 1]++;
    for (int i = 1; i <= generation; i++)
        heap->counts[i] = 0;
    heap->hot.young_count = 0;
}

static bool count_one(struct tally_heap *heap, void *object, void *arg)
{
    (void)heap, (void)object;
    ++*(uint64_t *)arg;
    return true;
}

static uint64_t survivors(struct tally_heap *heap, uint64_t members)
{
    uint64_t trash = 0;
    tally__trash_each(heap, count_one, &trash);
    return members - trash;
}

/* Post-condition: survivors are promoted, and the long-lived figures that automatic full runs wait for are
 * true. */
static uint64_t find(struct tally_heap *heap, int generation)
{
    counts_update(heap, generation);
    uint64_t members = tally__members_merge(heap, generation);
    tally__trial(heap);
    tally__survivors_promote(heap, generation);
    if (generation == 1)
        heap->long_lived_pending += survivors(heap, members);
    else if (generation == 2) {
        heap->long_lived_pending = 0;
        heap->long_lived_total = survivors(heap, members);
    }
    return members;
}

static uint64_t live_bytes(const struct tally_heap *heap)
{
    struct feed_totals totals;
    feed_totals(&heap->hot.pen, &totals);
    return totals.allocated_bytes - totals.freed_refcount_bytes - totals.freed_cycle_bytes;
}

static void passes(struct tally_heap *heap, struct run *run, struct feed_record *record)
{
    struct feed_pen *pen = &heap->hot.pen;
    uint64_t start = clock_mono_ns();
    feed_state_set(pen, WIRE_STATE_FINDING);
    record->examined = find(heap, run->generation);
    uint64_t found = clock_mono_ns();
    feed_state_set(pen, WIRE_STATE_CALLBACKS);
    weak_clear(heap, run);
    tally__trash_each(heap, finalize_one, run);
    rescue(heap, run);
    uint64_t called = clock_mono_ns();
    feed_state_set(pen, WIRE_STATE_FREEING);
    free_trash(heap, run);
    feed_state_set(pen, WIRE_STATE_RUNNING);
    record->find_ns = found - start;
    record->callback_ns = called - found;
    record->free_ns = clock_mono_ns() - called;
}

static void finish(struct tally_heap *heap, struct collect_request *request, const struct run *run,
                   struct feed_record *record)
{
    uint64_t now = clock_mono_ns();
    struct tally_generation_stats *stats = &heap->generations[request->generation];
    stats->collections++;
    stats->collected += run->collected;
    stats->uncollectable += run->uncollectable;
    record->pause_ns = now - record->start_ns;
    record->collected = run->collected;
    record->freed_bytes = run->freed_bytes;
    record->uncollectable = run->uncollectable;
    record->live_bytes_after = live_bytes(heap);
    heap->pause_ns += record->pause_ns;
    heap->last_pause_ns = record->pause_ns;
    if (record->pause_ns > heap->max_pause_ns)
        heap->max_pause_ns = record->pause_ns;
    if (heap->frozen)
        heap->frozen = tally__frozen_count(heap);
    feed_collection_stop(&heap->hot.pen, record, now);
    request->pause_ns = record->pause_ns;
    request->freed_bytes = record->freed_bytes;
}

int64_t tally__collect(struct tally_heap *heap, struct collect_request *request)
{
    if (heap->collecting)
        return 0;
    int saved = errno;
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    heap->collecting = true;
    tally__limit_update(heap);
    hook_call(heap, request, NULL, 0);
    struct run run = {.generation = request->generation};
    struct feed_record record = {.start_ns = clock_mono_ns(),
                                 .reason = request->reason,
                                 .generation = (uint32_t)request->generation,
                                 .manager = heap->manager,
                                 .operation = request->operation,
                                 .safepoint_wait_ns = request->safepoint_wait_ns,
                                 .live_bytes_before = live_bytes(heap)};
    feed_collection_start(&heap->hot.pen, record.generation, record.start_ns);
    passes(heap, &run, &record);
    finish(heap, request, &run, &record);
    hook_call(heap, request, &run, record.pause_ns);
    heap->collecting = false;
    tally__limit_update(heap);
    tally__pages_sweep(heap);
    tally__summary(heap);
    if (request->generation == 2)
        tally__check_heap(heap);
    errno = saved;
    return (int64_t)run.collected;
}

int64_t tally_collect(struct tally_heap *heap, int generation)
{
    if (generation < 0 || generation > 2)
        return TALLY_EINVAL;
    return tally__collect(
        heap, &(struct collect_request){.generation = generation, .reason = TALLY_REASON_EXPLICIT});
}

int64_t tally__heap_collect_remote(struct tally_heap *heap, int generation, uint64_t operation,
                                   uint64_t safepoint_wait_ns, uint64_t *pause_ns, uint64_t *freed_bytes)
{
    struct collect_request request = {.generation = generation, .reason = TALLY_REASON_REMOTE,
                                      .operation = operation, .safepoint_wait_ns = safepoint_wait_ns};
    int64_t collected = tally__collect(heap, &request);
    *pause_ns = request.pause_ns;
    *freed_bytes = request.freed_bytes;
    return collected;
}

void tally_set_collection_hook(struct tally_heap *heap, tally_collection_fn hook, void *arg)
{
    heap->hook = hook;
    heap->hook_arg = arg;
}
