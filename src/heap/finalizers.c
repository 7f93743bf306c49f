/* Finalizers: run once for each object, at its death or, where the host wants to choose the place, from a
 * queue, which holds a reference to each object in it. */
#include <string.h>

#include "heap/internal.h"

static bool enqueue(struct tally_heap *heap, void *object)
{
    bool first = !heap->due.count;
    if (!heap->finalizers_queued || !tally__reserve_push(&heap->due, object))
        return false;
    *word_of(object) = (*word_of(object) | FLAG_DUE) + TALLY_COUNT_ONE;
    if (first && heap->finalizers_notify)
        heap->finalizers_notify(heap, heap->finalizers_arg);
    return true;
}

static void run(struct tally_heap *heap, void *object, const struct tally_type *type)
{
    *word_of(object) |= FLAG_FINALIZED;
    uint64_t entered = tally__host_enter(heap);
#ifdef TALLY_DEBUG
    void *outer = tally__callback_enter(heap, __builtin_frame_address(0));
#endif
    type->info.finalize(heap, object);
#ifdef TALLY_DEBUG
    heap->callback_frame = outer;
#endif
    tally__host_leave(heap, entered, type);
}

/* The object's count is 0: it lives while its finalizer runs, and on if that leaves a reference. */
static bool finalize_at_zero(struct tally_heap *heap, void *object, const struct tally_type *type)
{
    uint64_t *word = word_of(object);
    if (type->tracked)
        tally__generation_set(object, 0);
    *word += TALLY_COUNT_ONE;
    run(heap, object, type);
    *word -= TALLY_COUNT_ONE;
    if (*word < TALLY_COUNT_ONE)
        return false;
    if (!(*word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)))
        tally__candidate(object); /* it may hold itself */
    return true;
}

bool tally__finalize(struct tally_heap *heap, void *object, const struct tally_type *type)
{
    uint64_t *word = word_of(object);
    uint64_t not_now = FLAG_FINALIZED | FLAG_CONSTRUCTION | (heap->closing ? 0 : FLAG_DUE);
    if (!type->info.finalize || *word & not_now)
        return false;
    bool at_zero = *word < TALLY_COUNT_ONE;
    if (enqueue(heap, object)) {
        if (at_zero && type->tracked)
            tally__generation_set(object, 0);
        return true;
    }
    if (at_zero)
        return finalize_at_zero(heap, object, type);
    tally_incref(object);
    run(heap, object, type);
    tally_decref(object);
    return true;
}

int tally_set_finalizer_queue(struct tally_heap *heap, bool on, tally_finalizers_fn notify, void *arg)
{
    if (on && !tally__reserve_open(&heap->due))
        return TALLY_ENOMEM;
    heap->finalizers_queued = on;
    heap->finalizers_notify = notify;
    heap->finalizers_arg = arg;
    return 0;
}

size_t tally_run_finalizers(struct tally_heap *heap, size_t most)
{
    size_t ran = 0;
    for (; ran < most && heap->due.count; ran++) {
        void *object = heap->due.items[heap->due.first++];
        if (!--heap->due.count)
            heap->due.first = 0;
        *word_of(object) &= ~FLAG_DUE;
        run(heap, object, type_of(object));
        tally_decref(object);
    }
    tally__check_heap(heap, false);
    return ran;
}
