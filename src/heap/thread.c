/* Who may use the heap: its owner; nobody, between disown and adopt; or, while the owner is parked, the
 * agent.
 *
 *   OWNER ─park─▶ PARKED ─agent takes─▶ AGENT ─agent returns─▶ PARKED      unpark: PARKED ▶ OWNER,
 *                                                                         waits while AGENT
 *
 * The agent works in slices so short that unpark waits for one at most, and asks between them whether it is
 * wanted. What it has found by then stays in the heap as an open run, which the owner goes on with. */
#include <sched.h>

#include "heap/internal.h"

bool tally__owned(struct tally_heap *heap)
{
    if (pthread_equal(heap->owner, pthread_self())) {
#ifdef TALLY_DEBUG
        tally__callback_check(heap, __builtin_frame_address(0));
#endif
        return true;
    }
    tally__report(heap, TALLY_REPORT_THREAD, NULL, "a heap is used by a thread that does not own it");
    return false;
}

int tally_heap_disown(struct tally_heap *heap)
{
    if (!tally__owned(heap))
        return TALLY_ETHREAD;
    if (tally__heap_is_midway(heap))
        return TALLY_EBUSY;
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    heap->owner = (pthread_t)0;
    atomic_store_explicit(&heap->hold, HOLD_NOBODY, memory_order_release);
    return 0;
}

int tally_heap_adopt(struct tally_heap *heap)
{
    int nobody = HOLD_NOBODY;
    if (!atomic_compare_exchange_strong_explicit(&heap->hold, &nobody, HOLD_OWNER, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return TALLY_ETHREAD;
    heap->owner = pthread_self();
    return 0;
}

int tally_park(struct tally_heap *heap)
{
    if (!tally__owned(heap))
        return TALLY_ETHREAD;
    if (tally__heap_is_midway(heap))
        return TALLY_EBUSY;
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    int owner = HOLD_OWNER;
    struct tally__attachment attachment = heap->attachment;
    tally_safepoint(heap);
    if (!atomic_compare_exchange_strong_explicit(&heap->hold, &owner, HOLD_PARKED, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return TALLY_ESTATE;
    if (attachment.parked && atomic_load_explicit(&heap->mailbox, memory_order_relaxed))
        attachment.parked(attachment.agent);
    return 0;
}

#define UNPARK_YIELDS   128
#define UNPARK_SLEEP_NS 200000

int tally_unpark(struct tally_heap *heap)
{
    if (!tally__owned(heap))
        return TALLY_ETHREAD;
    if (atomic_load_explicit(&heap->hold, memory_order_acquire) == HOLD_OWNER)
        return TALLY_ESTATE;
    atomic_store_explicit(&heap->wanted, true, memory_order_relaxed);
    int parked = HOLD_PARKED;
    for (unsigned tries = 0; !atomic_compare_exchange_weak_explicit(
             &heap->hold, &parked, HOLD_OWNER, memory_order_acq_rel, memory_order_relaxed);
         tries++) {
        parked = HOLD_PARKED;
        if (tries < UNPARK_YIELDS)
            sched_yield();
        else /* an agent that has lost its processor costs the owner none */
            nanosleep(&(struct timespec){.tv_nsec = UNPARK_SLEEP_NS}, NULL);
    }
    atomic_store_explicit(&heap->wanted, false, memory_order_relaxed);
    return 0;
}

/* ---- the agent's side */

#define GUEST_SLICE_NS 20000u
#define GUEST_TURN_NS  2000000u /* how long the agent stays away from its other duties */

static bool guest_may_start(const struct tally_heap *heap)
{
    return heap->manager >= TALLY_MANAGER_GENERATIONAL && !heap->run.phase && !heap->collection_hook_count &&
           !heap->debug && !heap->hooks.unmap && !tally__deaths_pending(heap);
}

static void guest_slice(struct tally_heap *heap)
{
    tally__slice_begin(heap, GUEST_SLICE_NS);
    tally__run_advance(heap);
    heap->slice.open = false; /* no pause of the program's */
}

bool tally__heap_is_midway(const struct tally_heap *heap)
{
    return heap->collecting || heap->release_depth;
}

bool tally__heap_wanted(const struct tally_heap *heap)
{
    return atomic_load_explicit(&heap->wanted, memory_order_relaxed);
}

static enum tally__parked guest_run(struct tally_heap *heap)
{
    uint64_t until_ns = clock_mono_ns() + GUEST_TURN_NS;
    while (heap->run.phase && !heap->run.refused) {
        guest_slice(heap);
        if (tally__heap_wanted(heap) || clock_mono_ns() >= until_ns)
            break;
    }
    return heap->run.refused ? PARKED_OWNER : heap->run.phase ? PARKED_MORE : PARKED_DONE;
}

bool tally__heap_guest_enter(struct tally_heap *heap)
{
    int parked = HOLD_PARKED;
    if (tally__heap_wanted(heap))
        return false;
    return atomic_compare_exchange_strong_explicit(&heap->hold, &parked, HOLD_AGENT, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

void tally__heap_guest_leave(struct tally_heap *heap)
{
    atomic_store_explicit(&heap->hold, HOLD_PARKED, memory_order_release);
}

enum tally__parked tally__heap_collect_parked(struct tally_heap *heap, int generation, uint64_t operation,
                                              uint64_t safepoint_wait_ns, int64_t *collected,
                                              uint64_t *pause_ns, uint64_t *freed_bytes)
{
    enum tally__parked result = PARKED_OWNER;
    bool ours = heap->run.phase && heap->run.guest && heap->run.record.operation == operation;
    if (ours || guest_may_start(heap)) {
        if (!ours) {
            heap->slice.deadline_ns = 0;
            tally__run_start(heap, &(struct collect_request){
                                       .generation = generation,
                                       .reason = TALLY_REASON_REMOTE,
                                       .scope = generation == 2 ? TALLY_SCOPE_HEAP : TALLY_SCOPE_GENERATIONS,
                                       .operation = operation,
                                       .safepoint_wait_ns = safepoint_wait_ns});
            heap->run.guest = true;
            heap->run.runner = pthread_self();
        }
        result = guest_run(heap);
    }
    *collected = (int64_t)heap->run.collected;
    *pause_ns = heap->run.record.pause_ns;
    *freed_bytes = heap->run.freed_bytes;
    return result;
}
