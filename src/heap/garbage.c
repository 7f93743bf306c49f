/* The garbage list: an array on address space that is reserved when SAVEALL is switched on, so that a
 * collection never needs memory for it. */
#include <string.h>

#include "heap/internal.h"

int tally_set_debug(struct tally_heap *heap, unsigned flags)
{
    if (flags & ~(unsigned)TALLY_DEBUG_SAVEALL)
        return TALLY_EINVAL;
    if (flags & TALLY_DEBUG_SAVEALL && !heap->garbage) {
        heap->garbage = tally__reserve(GARBAGE_ENTRIES * sizeof *heap->garbage);
        if (!heap->garbage)
            return TALLY_ENOMEM;
    }
    heap->debug = flags;
    tally__summary(heap);
    return 0;
}

unsigned tally_get_debug(const struct tally_heap *heap)
{
    return heap->debug;
}

/* Takes a reference of its own. false: the list is full, and the object stays a survivor. */
bool tally__garbage_push(struct tally_heap *heap, void *object)
{
    if (heap->garbage_count == GARBAGE_ENTRIES)
        return false;
    tally_incref(object);
    heap->garbage[heap->garbage_count++] = object;
    return true;
}

size_t tally_garbage_count(const struct tally_heap *heap)
{
    return heap->garbage_count;
}

void *tally_garbage_get(const struct tally_heap *heap, size_t index)
{
    return index < heap->garbage_count ? heap->garbage[index] : NULL;
}

void *tally_garbage_take(struct tally_heap *heap, size_t index)
{
    if (index >= heap->garbage_count)
        return NULL;
    void *object = heap->garbage[index];
    heap->garbage_count--;
    memmove(&heap->garbage[index], &heap->garbage[index + 1],
            (heap->garbage_count - index) * sizeof *heap->garbage);
    tally__summary(heap);
    return object;
}

/* What a finalizer adds meanwhile stays on the list: only the entries of now are given back, the last first.
 */
void tally_garbage_clear(struct tally_heap *heap)
{
    for (size_t count = heap->garbage_count; count > 0 && heap->garbage_count; count--)
        tally_decref(heap->garbage[--heap->garbage_count]);
    tally__summary(heap);
}
