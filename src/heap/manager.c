/* Managers: when a run is due, over what, and how the heap goes from one manager to another. */
#include <string.h>

#include "heap/internal.h"

#define MEMORY_STEP                                                                                          \
    ((uint64_t)8 << 20) /* bytes that a heap may grow by before memory alone makes a run due */
#define CANDIDATES_MOST ((uint64_t)1 << 20)
#define EXAMINED_MOST   65536u /* by a run over candidates before the next comes sooner: a few milliseconds */
#define FOLLOW_LEAST    4u
#define OLD_SHARE       8u  /* of the old candidates, if it is garbage, they are worth it */
#define OLD_STRIDE_MOST 64u
#define BASE_BYTES      ((uint64_t)4 << 20) /* of heap, for each of which threshold 0 is meant */
#define WORK_STRIDE     32u /* allocations between two looks at pending work */

const char *tally_manager_name(enum tally_manager manager)
{
    switch (manager) {
#define TALLY_X(name, value, word)                                                                           \
    case name:                                                                                               \
        return word;
        TALLY_MANAGERS(TALLY_X)
#undef TALLY_X
    }
    return NULL;
}

static bool frees_cycles(const struct tally_heap *heap)
{
    return heap->manager >= TALLY_MANAGER_GENERATIONAL;
}

static bool is_automatic(const struct tally_heap *heap)
{
    return heap->enabled && heap->thresholds[0] && frees_cycles(heap) && !heap->collecting;
}

/* ---- what is due */

static bool memory_due(const struct tally_heap *heap)
{
    uint64_t bytes = heap->extern_bytes;
    if (heap->manager != TALLY_MANAGER_GENERATIONAL) /* there pages have no say, as in CPython */
        bytes += heap->mapped_bytes;
    return bytes >= heap->memory_trigger;
}

/* More net new objects than this make a whole-heap run due. */
static uint64_t growth_due(const struct tally_heap *heap)
{
    uint64_t quarter = heap->long_lived_total / 4;
    return quarter > heap->thresholds[0] ? quarter - 1 : heap->thresholds[0];
}

static bool grown(const struct tally_heap *heap)
{
    return heap->hot.young_count > growth_due(heap);
}

/* Something that a whole-heap run would find may be there. */
static bool heap_due(const struct tally_heap *heap)
{
    return !heap->complete || (heap->deferred && (grown(heap) || memory_due(heap)));
}

bool tally__is_due(const struct tally_heap *heap)
{
    if (!is_automatic(heap))
        return false;
    if (heap->manager == TALLY_MANAGER_GENERATIONAL)
        return heap->hot.young_count > heap->thresholds[0] || memory_due(heap);
    if (heap->manager == TALLY_MANAGER_FULL)
        return grown(heap) || memory_due(heap);
    return heap->candidate_count >= heap->candidate_limit || (heap->candidate_count && memory_due(heap)) ||
           heap_due(heap);
}

uint64_t tally__candidates_due(const struct tally_heap *heap)
{
    bool counts = heap->manager == TALLY_MANAGER_CYCLE && heap->enabled && heap->thresholds[0];
    return counts ? heap->candidate_limit : 0;
}

/* CPython 3.11's gc_collect_generations(): the oldest generation that is over its threshold; the oldest of
 * all only where what is pending has grown to a quarter of what survived the last full run. */
static int generation_due(const struct tally_heap *heap)
{
    if (heap->hot.young_count <= heap->thresholds[0])
        return 2; /* memory */
    if (heap->counts[2] > heap->thresholds[2] && heap->long_lived_pending >= heap->long_lived_total / 4)
        return 2;
    return heap->counts[1] > heap->thresholds[1] ? 1 : 0;
}

void tally__run_due(struct tally_heap *heap)
{
    struct collect_request request = {
        .generation = 2, .reason = TALLY_REASON_THRESHOLD, .scope = TALLY_SCOPE_HEAP};
    if (heap->manager == TALLY_MANAGER_GENERATIONAL) {
        request.generation = generation_due(heap);
        request.scope = request.generation == 2 ? TALLY_SCOPE_HEAP : TALLY_SCOPE_GENERATIONS;
    } else if (heap->manager == TALLY_MANAGER_CYCLE && !heap_due(heap)) {
        request.generation = 0;
        request.scope = TALLY_SCOPE_CANDIDATES;
    }
    tally__run_start(heap, &request);
}

/* ---- the slow path of allocation is taken where something is due */

void tally__direct_update(struct tally_heap *heap)
{
    bool direct = heap->hot.pen.row_limit && !heap->run.phase && heap->manager != TALLY_MANAGER_NONE &&
                  !tally__deaths_pending(heap) && !heap->stress_decref;
    heap->hot.direct_limit = direct ? heap->hot.pen.row_limit - 1 : 0;
}

void tally__limit_update(struct tally_heap *heap)
{
    uint64_t limit = UINT64_MAX;
    tally__direct_update(heap);
    if (heap->stress)
        limit = 0;
    else if (heap->collecting)
        limit = UINT64_MAX;
    else if (tally__work_remains(heap))
        limit = heap->hot.young_count + WORK_STRIDE;
    else if (is_automatic(heap) && heap->manager == TALLY_MANAGER_CYCLE)
        limit = tally__is_due(heap) ? 0 : heap->deferred ? growth_due(heap) : UINT64_MAX;
    else if (is_automatic(heap))
        limit = heap->thresholds[0];
    heap->hot.young_limit = limit;
}

/* Half as much again as now, so that memory alone never makes runs more frequent than the heap's growth does.
 */
void tally__triggers_reset(struct tally_heap *heap)
{
    uint64_t bytes = heap->extern_bytes;
    if (heap->manager != TALLY_MANAGER_GENERATIONAL)
        bytes += heap->mapped_bytes;
    heap->memory_trigger = bytes + (bytes / 2 > MEMORY_STEP ? bytes / 2 : MEMORY_STEP);
}

/* As Nim's ORC does it: runs that find little come later, runs that find much sooner; and so do runs that look at
 * much. Those that look at much that lives follow fewer old objects from each candidate, and explore fewer old
 * candidates where these hardly ever are garbage. */
void tally__candidates_adapt(struct tally_heap *heap, uint64_t examined, uint64_t collected)
{
    const struct run *run = &heap->run;
    heap->old_turn++;
    if (run->old_entered && run->old_found >= run->old_entered / OLD_SHARE)
        heap->old_stride = 1;
    else if (run->old_entered && heap->old_stride < OLD_STRIDE_MOST)
        heap->old_stride *= 8;
    uint64_t base = heap->thresholds[0] * (1 + heap->mapped_bytes / BASE_BYTES), limit = heap->candidate_limit;
    uint64_t wasted = examined > collected ? examined - collected : 0;
    bool little = collected < examined / 2;
    if (wasted > run->candidates / 8 && heap->follow > FOLLOW_LEAST)
        heap->follow = heap->follow > 8 * FOLLOW_LEAST ? heap->follow / 8 : FOLLOW_LEAST;
    else if (wasted <= run->candidates / 64 && heap->follow < FOLLOW_MOST)
        heap->follow *= 2;
    if (little && examined < EXAMINED_MOST)
        limit += limit / 2;
    else if (limit > base)
        limit = limit / 3 * 2;
    if (limit > CANDIDATES_MOST)
        limit = CANDIDATES_MOST;
    heap->candidate_limit = limit > base ? limit : base;
}

void tally_enable(struct tally_heap *heap)
{
    heap->enabled = true;
    tally__limit_update(heap);
    tally__summary(heap);
}

void tally_disable(struct tally_heap *heap)
{
    heap->enabled = false;
    tally__limit_update(heap);
    tally__summary(heap);
}

bool tally_is_enabled(const struct tally_heap *heap)
{
    return heap->enabled;
}

int tally_set_thresholds(struct tally_heap *heap, const uint32_t thresholds[3])
{
    if (!frees_cycles(heap))
        return TALLY_EUNSUPPORTED;
    for (int i = 0; i < 3; i++)
        if (thresholds[i] > INT32_MAX)
            return TALLY_EINVAL;
    memcpy(heap->thresholds, thresholds, sizeof heap->thresholds);
    heap->candidate_limit = thresholds[0];
    tally__limit_update(heap);
    tally__summary(heap);
    return 0;
}

void tally_get_thresholds(const struct tally_heap *heap, uint32_t thresholds[3])
{
    memcpy(thresholds, heap->thresholds, sizeof heap->thresholds);
}

void tally_counts(const struct tally_heap *heap, uint64_t counts[3])
{
    counts[0] = heap->hot.young_count;
    counts[1] = heap->counts[1];
    counts[2] = heap->counts[2];
}

/* ---- the manager itself */

enum tally_manager tally_get_manager(const struct tally_heap *heap)
{
    return heap->manager;
}

/* Candidates are recorded and generations kept under every manager, so that there is nothing to make up for
 * but the deaths that none has put off. */
int tally_set_manager(struct tally_heap *heap, enum tally_manager manager)
{
    if (!tally_manager_name(manager))
        return TALLY_EINVAL;
    if (tally__heap_is_midway(heap))
        return TALLY_EBUSY;
    if (heap->run.phase)
        tally__run_settle(heap);
    bool waited = heap->manager == TALLY_MANAGER_NONE;
    heap->manager = manager;
    tally__triggers_reset(heap);
    tally__limit_update(heap);
    if (waited && manager != TALLY_MANAGER_NONE) {
        heap->held_base_bytes = tally__live_bytes(heap);
        tally__work(heap);
    }
    tally__summary(heap);
    return 0;
}
