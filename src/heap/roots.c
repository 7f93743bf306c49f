/* References that the host has declared, and what is left when everything that is known has been taken off
 * the counts: the missing decref. */
#include <stdlib.h>

#include "heap/internal.h"

int tally_pin(void *object)
{
    struct tally_heap *heap = page_of(object)->heap;
    const uint64_t *times = map_get(&heap->pins, (uintptr_t)object);
    if (!map_put(&heap->pins, (uintptr_t)object, times ? *times + 1 : 1))
        return TALLY_ENOMEM;
    *word_of(object) |= FLAG_PINNED;
    tally_incref(object);
    return 0;
}

int tally_unpin(void *object)
{
    struct tally_heap *heap = page_of(object)->heap;
    uint64_t *times = map_get(&heap->pins, (uintptr_t)object);
    if (!times)
        return TALLY_ESTATE;
    if (!--*times) {
        map_remove(&heap->pins, (uintptr_t)object);
        *word_of(object) &= ~FLAG_PINNED;
    }
    tally_decref(object);
    return 0;
}

int tally_root_add(struct tally_heap *heap, void **variable)
{
    if (!variable)
        return TALLY_EINVAL;
    return map_put(&heap->roots, (uintptr_t)variable, 1) ? 0 : TALLY_ENOMEM;
}

int tally_root_remove(struct tally_heap *heap, void **variable)
{
    if (!variable || !map_get(&heap->roots, (uintptr_t)variable))
        return TALLY_ESTATE;
    map_remove(&heap->roots, (uintptr_t)variable);
    return 0;
}

/* ---- unexplained references */

struct explain {
    struct tally_heap *heap;
    struct map known; /* object -> references that are explained */
    struct tally_unexplained *by_type;
    bool failed;
};

static void explained(struct explain *explain, const void *object, uint64_t times)
{
    if (!object)
        return;
    uint64_t *known = map_get(&explain->known, (uintptr_t)object);
    if (known)
        *known += times;
    else
        explain->failed |= !map_put(&explain->known, (uintptr_t)object, times);
}

static void explain_slot(void **slot, void *arg)
{
    explained(arg, *slot, 1);
}

/* Every object that holds something, those that enumerations hide too. */
static void explain_page(struct explain *explain, const struct page *page)
{
    for (uint32_t slot = 0; slot < page->slot_count; slot++) {
        char *object = object_at(page, slot);
        if (object >= page->bump)
            break;
        uint64_t word = *word_of(object);
        if (word && !(word & FLAG_DYING))
            tally__slots_visit(type_of_word(word), object, explain_slot, explain);
    }
}

static void explain_all(struct explain *explain)
{
    struct tally_heap *heap = explain->heap;
    for (uint32_t i = 0; i < heap->page_count; i++)
        if (heap->pages[i])
            explain_page(explain, heap->pages[i]);
    for (size_t i = 0; i < heap->pins.capacity; i++)
        if (heap->pins.entries[i].key)
            explained(explain, (void *)(uintptr_t)heap->pins.entries[i].key, heap->pins.entries[i].value);
    for (size_t i = 0; i < heap->roots.capacity; i++)
        if (heap->roots.entries[i].key)
            explained(explain, *(void **)(uintptr_t)heap->roots.entries[i].key, 1);
    for (size_t i = 0; i < heap->handles.count; i++)
        explained(explain, heap->handles.objects[i], 1);
    for (size_t i = 0; i < heap->garbage.count; i++)
        explained(explain, heap->garbage.items[i], 1);
    for (size_t i = 0; i < heap->due.count; i++)
        explained(explain, heap->due.items[heap->due.first + i], 1);
}

static int sum_up(void *object, void *arg)
{
    struct explain *explain = arg;
    const uint64_t *known = map_get(&explain->known, (uintptr_t)object);
    uint64_t count = tally_refcount(object), explained_count = known ? *known : 0;
    if (count <= explained_count || *word_of(object) & FLAG_IMMORTAL)
        return 0;
    struct tally_unexplained *sum = &explain->by_type[type_of(object)->index];
    if (!sum->objects++)
        sum->sample_id = tally_object_id(object);
    sum->references += count - explained_count;
    return 0;
}

int tally_unexplained(struct tally_heap *heap, tally_unexplained_fn fn, void *arg)
{
    uint32_t types = tally__type_count();
    struct explain explain = {.heap = heap, .by_type = calloc(types, sizeof *explain.by_type)};
    int result = 0;
    if (explain.by_type)
        explain_all(&explain);
    if (!explain.by_type || explain.failed)
        result = TALLY_ENOMEM;
    else
        tally_walk(heap, sum_up, &explain);
    for (uint32_t i = 0; i < types && !result; i++)
        if (explain.by_type[i].objects) {
            explain.by_type[i].type = atomic_load(&tally__types[i]);
            result = fn(&explain.by_type[i], arg);
        }
    map_fini(&explain.known);
    free(explain.by_type);
    return result;
}
