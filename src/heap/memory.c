/* How much the heap may take: native bytes tied to objects, the memory limit, and giving back. */
#include "heap/internal.h"

#define EXTERN_MOST ((uint64_t)1 << 62)

void tally__totals(const struct tally_heap *heap, struct feed_totals *totals)
{
    if (!heap->hot.pen.rows)
        tally__forked((struct tally_heap *)(uintptr_t)heap);
    feed_totals(&heap->hot.pen, totals);
}

uint64_t tally__live_bytes(const struct tally_heap *heap)
{
    struct feed_totals totals;
    tally__totals(heap, &totals);
    return totals.allocated_bytes - totals.freed_refcount_bytes - totals.freed_cycle_bytes;
}

int tally_extern_bytes(void *object, int64_t delta)
{
    struct tally_heap *heap = page_of(object)->heap;
    uint64_t *known = *word_of(object) & FLAG_EXTERN ? map_get(&heap->extern_table, (uintptr_t)object) : NULL;
    uint64_t before = known ? *known : 0;
    if (delta < 0 ? (uint64_t) - (delta + 1) >= before : (uint64_t)delta > EXTERN_MOST - heap->extern_bytes)
        return TALLY_EINVAL;
    uint64_t after = before + (uint64_t)delta;
    if (!map_put(&heap->extern_table, (uintptr_t)object, after))
        return TALLY_ENOMEM;
    *word_of(object) |= FLAG_EXTERN;
    heap->extern_bytes += (uint64_t)delta;
    if (delta > 0 && !heap->collecting && tally__is_due(heap))
        heap->hot.young_limit = 0;
    return 0;
}

void tally__extern_end(struct tally_heap *heap, void *object)
{
    heap->extern_bytes -= *map_get(&heap->extern_table, (uintptr_t)object);
    map_remove(&heap->extern_table, (uintptr_t)object);
}

void tally_set_memory_limit(struct tally_heap *heap, uint64_t bytes)
{
    heap->memory_limit = bytes;
    tally__summary(heap);
}

uint64_t tally_get_memory_limit(const struct tally_heap *heap)
{
    return heap->memory_limit;
}

bool tally__memory_allows(const struct tally_heap *heap, size_t bytes)
{
    uint64_t used = heap->mapped_bytes + heap->extern_bytes;
    return !heap->memory_limit || (used <= heap->memory_limit && bytes <= heap->memory_limit - used);
}

void tally_set_memory_hook(struct tally_heap *heap, tally_memory_fn hook, void *arg)
{
    heap->memory_hook = hook;
    heap->memory_hook_arg = arg;
}

bool tally__memory_ask(struct tally_heap *heap, size_t bytes)
{
    if (!heap->memory_hook || heap->memory_asking)
        return false;
    heap->memory_asking = true;
    bool again = heap->memory_hook(heap, bytes, heap->memory_hook_arg);
    heap->memory_asking = false;
    return again;
}

uint64_t tally_trim(struct tally_heap *heap)
{
    tally__shadow_free(heap);
    return tally__spare_free(heap);
}
