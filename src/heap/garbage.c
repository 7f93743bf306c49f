/* The garbage list, and the reserves that it and the finalizer queue are made of: arrays on address space
 * that is reserved when they are switched on, so that a collection never needs memory for them. */
#include <string.h>

#include "heap/internal.h"

bool tally__reserve_open(struct reserve *reserve)
{
    if (!reserve->items)
        reserve->items = tally__reserve(RESERVE_ENTRIES * sizeof *reserve->items);
    return reserve->items;
}

/* Pre-condition: open. false: full. */
bool tally__reserve_push(struct reserve *reserve, void *object)
{
    if (reserve->first + reserve->count == RESERVE_ENTRIES)
        return false;
    reserve->items[reserve->first + reserve->count++] = object;
    return true;
}

int tally_set_debug(struct tally_heap *heap, unsigned flags)
{
    const unsigned known = TALLY_DEBUG_STATS | TALLY_DEBUG_LEAK;
    if (flags & ~known)
        return TALLY_EINVAL;
    if (flags & TALLY_DEBUG_SAVEALL && !tally__reserve_open(&heap->garbage))
        return TALLY_ENOMEM;
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
    if (!tally__reserve_push(&heap->garbage, object))
        return false;
    tally_incref(object);
    return true;
}

size_t tally_garbage_count(const struct tally_heap *heap)
{
    return heap->garbage.count;
}

void *tally_garbage_get(const struct tally_heap *heap, size_t index)
{
    return index < heap->garbage.count ? heap->garbage.items[index] : NULL;
}

void *tally_garbage_take(struct tally_heap *heap, size_t index)
{
    if (index >= heap->garbage.count)
        return NULL;
    void *object = heap->garbage.items[index];
    heap->garbage.count--;
    memmove(&heap->garbage.items[index], &heap->garbage.items[index + 1],
            (heap->garbage.count - index) * sizeof *heap->garbage.items);
    tally__summary(heap);
    return object;
}

/* What a finalizer adds meanwhile stays on the list: only the entries of now are given back, the last first.
 */
void tally_garbage_clear(struct tally_heap *heap)
{
    for (size_t count = heap->garbage.count; count > 0 && heap->garbage.count; count--)
        tally_decref(heap->garbage.items[--heap->garbage.count]);
    tally__summary(heap);
}
