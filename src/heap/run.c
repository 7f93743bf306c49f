/* A collection, from its start to its end: a list of phases, in CPython 3.11's order, each of which goes on
 * from where the last slice left it.
 *
 *   unflag, guess, merge or explore,
 *   subtract, mark, promote                             what is not reachable from outside is trash   find.c
 *   weak, callbacks, finalize                           the host's code sees it                      destroy.c
 *   rest, subtract, mark, promote                       what it made reachable again lives on        find.c
 *   shapes                                              what the cycles looked like                  shapes.c
 *   keep, or weak, hold, clear, free                    the rest goes                                destroy.c
 *
 * What is always true
 *  - Finding decides on side data; no object is written before it is destroyed, no count is ever wrong. Until
 *    it has decided, a run can be abandoned at any instant.
 *  - No memory is taken: side data lies in the pages, the mark stack and the hub table on reserved address
 *    space. Shapes take some, and go without where there is none.
 *  - Once a run has decided, nobody can get at the trash but the run and the host code that it calls: weak
 *    references to it read NULL, enumerations pass it over.
 *  - Pages stay while a run is open, so that members can be gone through while they die: a member that dies
 *    leaves the set. */
#include <errno.h>
#include <string.h>

#include "heap/internal.h"

static const struct {
    bool (*run)(struct tally_heap *heap);
    enum wire_state state;
    bool finding;
} phases[RUN_END] = {
    [RUN_UNFLAG] = {tally__find_unflag, WIRE_STATE_FINDING, true},
    [RUN_GUESS] = {tally__find_guess, WIRE_STATE_FINDING, true},
    [RUN_MERGE] = {tally__find_merge, WIRE_STATE_FINDING, true},
    [RUN_EXPLORE] = {tally__find_explore, WIRE_STATE_FINDING, true},
    [RUN_SUBTRACT] = {tally__find_subtract, WIRE_STATE_FINDING, true},
    [RUN_MARK] = {tally__find_mark, WIRE_STATE_FINDING, true},
    [RUN_PROMOTE] = {tally__find_promote, WIRE_STATE_FINDING, false},
    [RUN_GUEST] = {tally__trash_guest, WIRE_STATE_FINDING, false},
    [RUN_WEAK] = {tally__trash_weak, WIRE_STATE_CALLBACKS, false},
    [RUN_CALLBACKS] = {tally__trash_callbacks, WIRE_STATE_CALLBACKS, false},
    [RUN_FINALIZE] = {tally__trash_finalize, WIRE_STATE_CALLBACKS, false},
    [RUN_REST] = {tally__find_rest, WIRE_STATE_CALLBACKS, true},
    [RUN_SUBTRACT_REST] = {tally__find_subtract, WIRE_STATE_CALLBACKS, true},
    [RUN_MARK_REST] = {tally__find_mark, WIRE_STATE_CALLBACKS, true},
    [RUN_PROMOTE_REST] = {tally__find_promote, WIRE_STATE_CALLBACKS, false},
    [RUN_SHAPES] = {tally__trash_shapes, WIRE_STATE_FREEING, false},
    [RUN_KEEP] = {tally__trash_keep, WIRE_STATE_FREEING, false},
    [RUN_WEAK_REST] = {tally__trash_weak_rest, WIRE_STATE_FREEING, false},
    [RUN_HOLD] = {tally__trash_hold, WIRE_STATE_FREEING, false},
    [RUN_CLEAR] = {tally__trash_clear, WIRE_STATE_FREEING, false},
    [RUN_FREE] = {tally__trash_free, WIRE_STATE_FREEING, false},
    [RUN_CALLBACKS_REST] = {tally__trash_callbacks_rest, WIRE_STATE_FREEING, false},
};

static bool is_finding(const struct run *run)
{
    return run->phase < RUN_END && phases[run->phase].finding;
}

static void hooks_call(struct tally_heap *heap, const struct tally_collection *info)
{
    for (unsigned i = 0; i < heap->collection_hook_count; i++)
        heap->collection_hooks[i].fn(heap, info, heap->collection_hooks[i].arg);
}

static void counts_update(struct tally_heap *heap, int generation)
{
    if (generation < 2)
        heap->counts[generation + 1]++;
    for (int i = 1; i <= generation; i++)
        heap->counts[i] = 0;
    heap->hot.young_count = 0;
}

/* The pages that are being allocated from take up young objects without passing the slow path. */
static void current_pages_young(struct tally_heap *heap)
{
    for (uint32_t i = CLASS_COUNT; i < CLASS_KINDS; i++)
        if (heap->hot.free[i])
            tally__list_add(&heap->lists[LIST_YOUNG], heap->hot.current[i], LIST_YOUNG);
}

static void list_to_merge(struct tally_heap *heap, unsigned list, bool merge)
{
    while (heap->lists[list]) {
        struct page *page = heap->lists[list];
        tally__list_remove(page, list);
        if (merge)
            tally__list_add(&heap->lists[LIST_MERGE], page, LIST_MERGE);
    }
}

/* Young and middle pages are merged one by one, in a whole-heap run by way of the page table. */
static void scope_prepare(struct tally_heap *heap, int generation)
{
    list_to_merge(heap, LIST_YOUNG, generation < 2);
    if (generation)
        list_to_merge(heap, LIST_MIDDLE, generation < 2);
    current_pages_young(heap);
    counts_update(heap, generation);
    if (generation == 2) {
        heap->complete = true;
        heap->deferred = false;
    }
}

bool tally__nothing_to_find(const struct tally_heap *heap)
{
    return heap->complete && !heap->deferred && !heap->candidate_count && tally__nothing_young(heap);
}

void tally__run_start(struct tally_heap *heap, const struct collect_request *request)
{
    struct run *run = &heap->run;
    heap->collecting = true;
    tally__limit_update(heap);
    const struct tally_collection start = {
        .generation = request->generation, .reason = request->reason, .scope = request->scope};
    if (!request->look) {
        hooks_call(heap, &start);
        tally__debug_stats(heap, &start);
    }
    *run = (struct run){.phase = RUN_UNFLAG,
                        .look = request->look,
                        .generation = request->generation,
                        .scope = request->scope,
                        .candidates = heap->candidate_count,
                        .sliced = heap->slice.deadline_ns != UINT64_MAX &&
                                  (request->scope != TALLY_SCOPE_CANDIDATES ||
                                   !tally__slice_fits(heap, heap->candidate_count, &heap->candidate_cost))};
    heap->hot.direct_limit = 0;
    run->queue = (struct weak_queue){NULL, &run->queue.first};
    run->record = (struct feed_record){.start_ns = clock_mono_ns(),
                                       .reason = request->reason,
                                       .generation = (uint32_t)request->generation,
                                       .manager = heap->manager,
                                       .scope = request->scope,
                                       .operation = request->operation,
                                       .safepoint_wait_ns = request->safepoint_wait_ns,
                                       .live_bytes_before = tally__live_bytes(heap)};
    tally__scope_clear(heap);
    run->nothing = request->scope == TALLY_SCOPE_HEAP && !request->look && tally__nothing_to_find(heap);
    if (!request->look && request->scope != TALLY_SCOPE_CANDIDATES)
        scope_prepare(heap, request->generation);
    if (!request->look)
        feed_collection_start(&heap->hot.pen, run->record.generation, run->record.start_ns);
    heap->collecting = false;
}

static void time_add(struct run *run, enum wire_state state, uint64_t ns)
{
    if (state == WIRE_STATE_FINDING)
        run->record.find_ns += ns;
    else if (state == WIRE_STATE_CALLBACKS)
        run->record.callback_ns += ns;
    else
        run->record.free_ns += ns;
    run->record.pause_ns += ns;
}

/* What CPython's automatic full runs wait for. */
static void long_lived_update(struct tally_heap *heap)
{
    const struct run *run = &heap->run;
    if (run->look || run->nothing || run->scope == TALLY_SCOPE_CANDIDATES)
        return;
    if (run->generation == 1)
        heap->long_lived_pending += run->survivors;
    if (run->generation < 2)
        return;
    heap->long_lived_pending = 0;
    heap->long_lived_total = run->survivors;
}

static enum phase next_phase(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (run->phase == RUN_MARK)
        run->decided = true;
    if (run->phase == RUN_PROMOTE) {
        long_lived_update(heap);
        tally__shapes_allow(heap);
    }
    if (run->look && run->phase == RUN_PROMOTE)
        return RUN_SHAPES;
    return run->look && run->phase == RUN_SHAPES ? RUN_END : run->phase + 1;
}

static void collection_describe(const struct run *run, uint64_t now, struct tally_collection *info)
{
    const struct feed_record *record = &run->record;
    *info = (struct tally_collection){.stop = true,
                                      .generation = run->generation,
                                      .reason = (enum tally_reason)record->reason,
                                      .scope = run->scope,
                                      .collected = run->collected,
                                      .uncollectable = run->uncollectable,
                                      .duration_ns = now - record->start_ns,
                                      .examined = record->examined,
                                      .freed_bytes = run->freed_bytes,
                                      .find_ns = record->find_ns,
                                      .callback_ns = record->callback_ns,
                                      .free_ns = record->free_ns,
                                      .slices = record->slices};
}

static void stats_add(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    struct tally_generation_stats *stats = &heap->generations[run->generation];
    stats->collections++;
    stats->collected += run->collected;
    stats->uncollectable += run->uncollectable;
    heap->pause_ns += run->record.pause_ns;
    heap->last_pause_ns = run->record.pause_ns;
    if (run->record.pause_ns > heap->max_pause_ns)
        heap->max_pause_ns = run->record.pause_ns;
    if (heap->frozen)
        heap->frozen = tally__frozen_count(heap);
    if (run->scope == TALLY_SCOPE_CANDIDATES) {
        tally__candidates_adapt(heap, run->record.examined, run->collected);
        tally__cost_learn(&heap->candidate_cost, run->candidates, run->record.find_ns);
    }
    tally__cost_learn(&heap->trash_cost, run->found, run->record.free_ns / (run->heavy ? 4 : 1));
    tally__triggers_reset(heap);
}

/* The run is over, with or without a decision. */
static void close(struct tally_heap *heap, bool abandoned)
{
    struct run *run = &heap->run;
    uint64_t now = clock_mono_ns();
    run->record.collected = run->collected;
    run->record.freed_bytes = run->freed_bytes;
    run->record.uncollectable = run->uncollectable;
    run->record.live_bytes_after = tally__live_bytes(heap);
    if (!abandoned)
        stats_add(heap);
    feed_collection_stop(&heap->hot.pen, &run->record, now);
    collection_describe(run, now, &heap->last);
    if (abandoned)
        heap->last = (struct tally_collection){.stop = true,
                                               .abandoned = true,
                                               .generation = run->generation,
                                               .reason = heap->last.reason,
                                               .scope = run->scope};
    heap->collecting = true;
    struct tally_collection info = heap->last;
    hooks_call(heap, &info);
    heap->collecting = false;
    tally__debug_stats(heap, &info);
}

static void end(struct tally_heap *heap, bool abandoned)
{
    if (!heap->run.look)
        close(heap, abandoned);
    heap->run.phase = RUN_NONE;
    heap->run.decided = false;
    heap->armed = false;
    tally__limit_update(heap);
    tally__pages_sweep(heap);
    tally__summary(heap);
}

/* The program is about to see a run that was begun as if it were to end in this slice: from here on no decref may go
 * unseen, and those who become candidates are not flagged. */
static void cut(struct tally_heap *heap)
{
    for (struct page *page = heap->lists[LIST_CANDIDATES]; page; page = page->links[LIST_CANDIDATES].next)
        tally__page_unflag(page);
    heap->run.sliced = true;
}

bool tally__run_advance(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    heap->collecting = true;
    heap->armed = false;
    run->record.slices++;
    bool on = true;
    uint64_t start = clock_mono_ns();
    while (on && run->phase != RUN_END) {
        enum wire_state state = phases[run->phase].state;
        feed_state_set(&heap->hot.pen, state);
        on = phases[run->phase].run(heap);
        if (on) {
            run->phase = next_phase(heap);
            tally__find_restart(heap);
        }
        if (!on || run->phase == RUN_END || phases[run->phase].state != state) {
            uint64_t now = clock_mono_ns();
            time_add(run, state, now - start);
            start = now;
        }
    }
    feed_state_set(&heap->hot.pen, WIRE_STATE_RUNNING);
    if (!on && !run->sliced)
        cut(heap);
    heap->collecting = false;
    heap->armed = is_finding(run);
    if (on)
        end(heap, false);
    return on;
}

/* Nothing is lost: what the run has taken from the candidates, the next automatic run finds in the whole
 * heap, and every page may hold young and middle objects. */
static void abandon(struct tally_heap *heap)
{
    while (heap->lists[LIST_MERGE])
        tally__list_remove(heap->lists[LIST_MERGE], LIST_MERGE);
    for (uint32_t i = 0; i < heap->page_count; i++) {
        struct page *page = heap->pages[i];
        if (!page || !page->tracked)
            continue;
        tally__list_add(&heap->lists[LIST_YOUNG], page, LIST_YOUNG);
        tally__list_add(&heap->lists[LIST_MIDDLE], page, LIST_MIDDLE);
    }
    heap->complete = false;
    heap->abandoned++;
    end(heap, true);
}

static bool spare_one(struct tally_heap *heap, void *object)
{
    tally__generation_set(object, 2);
    tally__member_drop(heap, object);
    return true;
}

/* In the middle of a death, a run that is finding again cannot tell what the dying still hold: all of its
 * trash lives on, and what is garbage of it is found by the next whole-heap run. */
void tally__run_settle(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (is_finding(run) && !run->decided) {
        abandon(heap);
        return;
    }
    struct slice outer = heap->slice;
    heap->slice.open = false;
    tally__slice_begin(heap, UINT64_MAX);
    run->refused = false;
    if (is_finding(run) && heap->release_depth) {
        tally__find_restart(heap);
        tally__trash_each(heap, spare_one);
        heap->deferred = true;
        run->phase = RUN_SHAPES;
        tally__find_restart(heap);
    }
    tally__run_advance(heap);
    heap->slice = outer;
}

int64_t tally__collect(struct tally_heap *heap, struct collect_request *request)
{
    if (heap->collecting) {
        heap->refused++;
        return 0;
    }
    int saved = errno;
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    if (heap->run.phase)
        tally__run_settle(heap);
    struct slice outer = heap->slice;
    heap->slice.open = false;
    tally__slice_begin(heap, UINT64_MAX);
    if (!heap->release_depth && (heap->manager != TALLY_MANAGER_NONE || heap->closing))
        tally__deaths_run(heap);
    tally__run_start(heap, request);
    tally__run_advance(heap);
    heap->slice = outer;
    request->pause_ns = heap->run.record.pause_ns;
    request->freed_bytes = heap->run.freed_bytes;
    int64_t collected = (int64_t)heap->run.collected;
    tally__check_heap(heap, request->generation == 2);
    errno = saved;
    return collected;
}

int64_t tally_collect(struct tally_heap *heap, int generation)
{
    if (generation < 0 || generation > 2)
        return TALLY_EINVAL;
    if (heap->manager < TALLY_MANAGER_GENERATIONAL)
        return TALLY_EUNSUPPORTED;
    if (!tally__owned(heap))
        return TALLY_ETHREAD;
    return tally__collect(heap, &(struct collect_request){
                                    .generation = generation,
                                    .reason = TALLY_REASON_EXPLICIT,
                                    .scope = generation == 2 ? TALLY_SCOPE_HEAP : TALLY_SCOPE_GENERATIONS});
}

int64_t tally__heap_collect_remote(struct tally_heap *heap, int generation, uint64_t operation,
                                   uint64_t safepoint_wait_ns, uint64_t *pause_ns, uint64_t *freed_bytes)
{
    if (heap->manager < TALLY_MANAGER_GENERATIONAL)
        return TALLY_EUNSUPPORTED;
    if (heap->run.guest && heap->run.decided && heap->run.record.operation == operation) {
        tally__run_settle(heap); /* what the agent has found while the owner was parked */
        *pause_ns = heap->run.record.pause_ns;
        *freed_bytes = heap->run.freed_bytes;
        return (int64_t)heap->run.collected;
    }
    struct collect_request request = {.generation = generation,
                                      .reason = TALLY_REASON_REMOTE,
                                      .scope = generation == 2 ? TALLY_SCOPE_HEAP : TALLY_SCOPE_GENERATIONS,
                                      .operation = operation,
                                      .safepoint_wait_ns = safepoint_wait_ns};
    int64_t collected = tally__collect(heap, &request);
    *pause_ns = request.pause_ns;
    *freed_bytes = request.freed_bytes;
    return collected;
}

int64_t tally_find_cycles(struct tally_heap *heap)
{
    if (heap->collecting)
        return TALLY_EBUSY;
    struct collect_request request = {.generation = 2, .scope = TALLY_SCOPE_HEAP, .look = true};
    tally__collect(heap, &request);
    return (int64_t)heap->run.found;
}

static unsigned hook_find(const struct tally_heap *heap, tally_collection_fn fn, const void *arg)
{
    unsigned i = 0;
    while (i < heap->collection_hook_count &&
           (heap->collection_hooks[i].fn != fn || heap->collection_hooks[i].arg != arg))
        i++;
    return i;
}

int tally_add_collection_hook(struct tally_heap *heap, tally_collection_fn hook, void *arg)
{
    if (!hook || hook_find(heap, hook, arg) < heap->collection_hook_count)
        return TALLY_EINVAL;
    if (heap->collection_hook_count == HOOKS_MAX)
        return TALLY_ELIMIT;
    heap->collection_hooks[heap->collection_hook_count++] = (struct hook){hook, arg};
    return 0;
}

int tally_remove_collection_hook(struct tally_heap *heap, tally_collection_fn hook, void *arg)
{
    unsigned at = hook_find(heap, hook, arg);
    if (at == heap->collection_hook_count)
        return TALLY_ESTATE;
    heap->collection_hook_count--;
    for (; at < heap->collection_hook_count; at++)
        heap->collection_hooks[at] = heap->collection_hooks[at + 1];
    return 0;
}

void tally_last_collection(const struct tally_heap *heap, struct tally_collection *info, size_t size)
{
    memcpy(info, &heap->last, size < sizeof heap->last ? size : sizeof heap->last);
}
