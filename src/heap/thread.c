/* Who may use the heap: its owner; nobody, between disown and adopt; or, while the owner is parked, the agent.
 *
 *   OWNER ─park─▶ PARKED ─agent takes─▶ AGENT ─agent returns─▶ PARKED      unpark: PARKED ▶ OWNER, waits while AGENT
 *
 * The agent works in slices so short that unpark waits for one at most, and asks between them whether it is
 * wanted. What it has found by then stays in the heap as an open run, which the owner goes on with. */
#include <sched.h>

#include "heap/internal.h"

bool tally__owned(struct tally_heap *heap)
{
    if (pthread_equal(heap->owner, pthread_self()))
        return true;
    tally__report(heap, TALLY_REPORT_THREAD, NULL, "a heap is used by a thread that does not own it");
    return false;
}

int tally_heap_disown(struct tally_heap *heap)
{
    if (!tally__owned(heap))
        return TALLY_ETHREAD;
    if (heap->collecting || heap->release_depth)
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
    if (heap->collecting || heap->release_depth)
        return TALLY_EBUSY;
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    int owner = HOLD_OWNER;
    tally__safepoint(heap);
    return atomic_compare_exchange_strong_explicit(&heap->hold, &owner, HOLD_PARKED, memory_order_acq_rel,
                                                   memory_order_relaxed)
               ? 0
               : TALLY_ESTATE;
}

int tally_unpark(struct tally_heap *heap)
{
    if (!tally__owned(heap))
        return TALLY_ETHREAD;
    if (atomic_load_explicit(&heap->hold, memory_order_acquire) == HOLD_OWNER)
        return TALLY_ESTATE;
    atomic_store_explicit(&heap->wanted, true, memory_order_relaxed);
    int parked = HOLD_PARKED;
    while (!atomic_compare_exchange_weak_explicit(&heap->hold, &parked, HOLD_OWNER, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
        parked = HOLD_PARKED;
        sched_yield();
    }
    atomic_store_explicit(&heap->wanted, false, memory_order_relaxed);
    tally_safepoint(heap);
    return 0;
}
