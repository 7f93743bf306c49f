/* Slices: how long the collector may go on before the program runs again.
 *
 * Work is counted in units (an object or a slot looked at, a death) and the clock read after each quantum of
 * them. A slice is timed from its second quantum or first callback on: most deaths are over before. Its
 * length is the owner's CPU time, so that a slice is not blamed for what other processes did. */
#include "heap/internal.h"

/* Units that a death which has to wait pays for others that do: more than it adds, so that what waits shrinks
 * however short slices are. */
#define BRIEF 8


/* Without max_pause the default manager's own runs over heaps from this size on go in slices too. */
#define LARGE_BYTES    ((uint64_t)32 << 20)
#define LARGE_SLICE_NS 10000000u

#define COST_OBJECTS  256u /* that say something about what one takes */
#define COST_LEAST_NS 10u
#define COST_MOST_NS  200u

/* Debug builds cut as finely as they can, to meet the program in every state. */
#ifdef TALLY_DEBUG
#define QUANTUM 2
#else
#define QUANTUM 128
#endif

static void slice_time(struct slice *slice)
{
    slice->timed = true;
    slice->start_ns = clock_mono_ns();
    slice->cpu_ns = clock_thread_ns();
    slice->deadline_ns = slice->start_ns + slice->budget_ns / 4 * 3;
}

bool tally__slice_more(struct tally_heap *heap)
{
    struct slice *slice = &heap->slice;
    if (slice->brief) {
        slice->credit = 0;
        return false;
    }
    if (!slice->timed)
        slice_time(slice);
    else if (clock_mono_ns() >= slice->deadline_ns) {
        slice->credit = 0;
        return false;
    }
    slice->credit = QUANTUM;
    return true;
}

bool tally__slice_begin(struct tally_heap *heap, uint64_t budget_ns)
{
    if (heap->slice.open)
        return false;
    bool whole = budget_ns == UINT64_MAX;
    heap->slice = (struct slice){.open = true,
                                 .budget_ns = budget_ns,
                                 .deadline_ns = whole ? UINT64_MAX : 0,
                                 .credit = whole ? INT64_MAX : QUANTUM};
    return true;
}

bool tally__slice_fits(const struct tally_heap *heap, uint64_t objects, const struct cost *cost)
{
    return objects <= heap->slice.budget_ns / cost->object_ns;
}

void tally__cost_learn(struct cost *cost, uint64_t objects, uint64_t spent_ns)
{
    if (objects < COST_OBJECTS)
        return;
    uint64_t object_ns = spent_ns / objects < COST_MOST_NS ? spent_ns / objects + COST_LEAST_NS : COST_MOST_NS;
    cost->object_ns = object_ns > cost->object_ns ? object_ns : cost->object_ns - (cost->object_ns - object_ns) / 16;
}

bool tally__slice_brief(struct tally_heap *heap)
{
    if (!tally__slice_begin(heap, heap->budget_ns))
        return false;
    heap->slice.brief = true;
    heap->slice.credit = BRIEF;
    return true;
}

void tally__slice_end(struct tally_heap *heap)
{
    struct slice *slice = &heap->slice;
    slice->open = false;
    if (!slice->timed)
        return;
    uint64_t spent_ns = clock_thread_ns() - slice->cpu_ns, now_ns = clock_mono_ns();
    heap->slices++;
    heap->next_slice_ns = now_ns + (now_ns - slice->start_ns); /* the program has its half */
    if (spent_ns > heap->longest_slice_ns)
        heap->longest_slice_ns = spent_ns;
    if (spent_ns <= heap->budget_ns || !heap->budget_ns)
        return;
    heap->missed++;
    if (slice->type && spent_ns > heap->longest_missed_ns) {
        heap->longest_missed_ns = spent_ns;
        heap->missed_type = slice->type;
    }
}

uint64_t tally__host_enter(struct tally_heap *heap)
{
    struct slice *slice = &heap->slice;
    if (!slice->open || slice->deadline_ns == UINT64_MAX)
        return 0;
    if (!slice->timed)
        slice_time(slice);
    return clock_mono_ns();
}

void tally__host_leave(struct tally_heap *heap, uint64_t entered, const struct tally_type *type)
{
    if (!entered)
        return;
    uint64_t spent_ns = clock_mono_ns() - entered;
    if (spent_ns <= heap->slice.type_ns)
        return;
    heap->slice.type_ns = spent_ns;
    heap->slice.type = type;
}

#ifdef TALLY_DEBUG
void *tally__callback_enter(struct tally_heap *heap, void *frame)
{
    void *outer = heap->callback_frame;
    heap->callback_frame = frame;
    return outer;
}

/* Stacks grow down: who calls from above the frame that called back has come by no return. */
void tally__callback_check(struct tally_heap *heap, void *frame)
{
    if (!heap->callback_frame || (uintptr_t)frame < (uintptr_t)heap->callback_frame)
        return;
    heap->callback_frame = NULL;
    tally__report(heap, TALLY_REPORT_CALLBACK, NULL, "a callback was left by longjmp or an exception");
}
#endif

int tally_set_max_pause(struct tally_heap *heap, uint64_t microseconds)
{
    if (microseconds > 10000000)
        return TALLY_EINVAL;
    heap->budget_ns = microseconds * 1000;
    if (!microseconds)
        tally_step(heap, UINT64_MAX);
    tally__limit_update(heap);
    tally__summary(heap);
    return 0;
}

uint64_t tally_get_max_pause(const struct tally_heap *heap)
{
    return heap->budget_ns / 1000;
}

bool tally__work_remains(const struct tally_heap *heap)
{
    return heap->run.phase || (tally__deaths_pending(heap) && heap->manager != TALLY_MANAGER_NONE);
}

/* Deaths come first: a run that decides while some are pending would not see what they still hold. */
static void pending_run(struct tally_heap *heap)
{
    if ((heap->manager == TALLY_MANAGER_NONE || tally__deaths_run(heap)) && heap->run.phase)
        tally__run_advance(heap);
}

bool tally_step(struct tally_heap *heap, uint64_t microseconds)
{
    if (heap->collecting || heap->release_depth || !tally__owned(heap))
        return true;
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    tally__slice_begin(heap, microseconds < UINT64_MAX / 1000 ? microseconds * 1000 : UINT64_MAX);
    do {
        if (!tally__work_remains(heap) && tally__is_due(heap))
            tally__run_due(heap);
        pending_run(heap);
    } while (heap->slice.deadline_ns == UINT64_MAX && tally__is_due(heap));
    tally__slice_end(heap);
    tally__limit_update(heap);
    tally__check_heap(heap, false);
    return tally__work_remains(heap) || tally__is_due(heap);
}

/* More is held back than an eighth of what lived when the work began: the program gets no half any more. */
static bool is_overheld(const struct tally_heap *heap)
{
    uint64_t live = tally__live_bytes(heap) + heap->extern_bytes;
    return live > heap->held_base_bytes + heap->held_base_bytes / 8;
}

static uint64_t budget_of(const struct tally_heap *heap)
{
    bool cut = heap->manager == TALLY_MANAGER_CYCLE && heap->mapped_bytes >= LARGE_BYTES;
    return heap->budget_ns ? heap->budget_ns : cut ? LARGE_SLICE_NS : UINT64_MAX;
}

void tally__work(struct tally_heap *heap)
{
    if (heap->collecting || heap->release_depth)
        return;
    bool pending = tally__work_remains(heap);
    uint64_t budget_ns = budget_of(heap);
    if (!pending && !tally__is_due(heap))
        return;
    if (!pending)
        heap->held_base_bytes = tally__live_bytes(heap) + heap->extern_bytes;
    else if (budget_ns < UINT64_MAX && clock_mono_ns() < heap->next_slice_ns && !is_overheld(heap))
        return;
    tally__slice_begin(heap, budget_ns);
    if (!pending)
        tally__run_due(heap);
    pending_run(heap);
    tally__slice_end(heap);
    tally__limit_update(heap);
}
