/* Allocation. The fast path takes the head of the current page's first list; everything that is due now and
 * then (safepoint, collection, new types, a fork) happens where that list is empty or the young generation
 * full. */
#include <stdlib.h>
#include <string.h>

#include "heap/internal.h"

static void count_new(struct tally_heap *heap, struct page *page, const struct tally_type *type, void *object,
                      size_t bytes)
{
    struct feed_pen *pen = &heap->hot.pen;
    uint32_t row = type->index < pen->row_limit ? type->index : TYPE_OTHER;
    feed_object(pen, WIRE_EVENT_ALLOC, row, row == TYPE_OTHER || type->variable, bytes,
                granule_of(page, object));
}

static void *take(struct tally_heap *heap, struct page *page, const struct tally_type *type, size_t bytes)
{
    void *object = page->free;
    page->free = *(void **)object;
    *word_of(object) = type->word;
    memset(object, 0, bytes);
    if (type->tracked)
        heap->hot.young_count++;
    count_new(heap, page, type, object, bytes);
    return object;
}

/* What may be due before an allocation: afterwards the pen is there, the type has a row if rows last,
 * requests have run, and a young generation that was full has been collected. */
static void attend(struct tally_heap *heap, const struct tally_type *type)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    if (type->index >= heap->hot.types_known)
        tally__types_describe(heap);
    tally__safepoint(heap);
    if (heap->stress && !heap->collecting && ++heap->stress_count >= heap->stress) {
        heap->stress_count = 0;
        tally__collect(heap, &(struct collect_request){.generation = 2, .reason = TALLY_REASON_STRESS});
    }
    if (type->tracked && heap->hot.young_count >= heap->hot.young_limit) {
        heap->hot.young_count++; /* the object that is asked for counts, as in CPython */
        tally__collect_automatic(heap);
        heap->hot.young_count--; /* take() counts it, or wraps from -1 to 0 where a run has reset the count */
    }
}

static void *new_in_class(struct tally_heap *heap, const struct tally_type *type, uint32_t class_index,
                          size_t bytes)
{
    for (int tries = 0;; tries++) {
        struct page *page = heap->hot.current[class_index];
        if (page && page->free)
            return take(heap, page, type, bytes);
        if (tally__page_refill(heap, class_index))
            continue;
        if (tries || heap->collecting)
            return NULL;
        tally__collect(heap, &(struct collect_request){.generation = 2, .reason = TALLY_REASON_MEMORY});
        tally__spare_free(heap);
    }
}

static void *new_large(struct tally_heap *heap, const struct tally_type *type, size_t bytes)
{
    struct page *page = tally__page_new(heap, CLASS_LARGE, type->tracked, WORD_BYTES + bytes);
    if (!page && !heap->collecting) {
        tally__collect(heap, &(struct collect_request){.generation = 2, .reason = TALLY_REASON_MEMORY});
        tally__spare_free(heap);
        page = tally__page_new(heap, CLASS_LARGE, type->tracked, WORD_BYTES + bytes);
    }
    if (!page)
        return NULL;
    page->bump = page->end;
    page->used = 1;
    page->listed = true;
    if (page->tracked) {
        tally__young_page(heap, page);
        heap->hot.young_count++;
    }
    void *object = object_at(page, 0);
    *word_of(object) = type->word;
    count_new(heap, page, type, object, bytes);
    return object;
}

static bool fast(const struct tally_heap *heap, const struct tally_type *type)
{
    return heap->hot.pen.rows && !heap->stress && type->index < heap->hot.types_known &&
           (!type->tracked || heap->hot.young_count < heap->hot.young_limit);
}

static void *new_slow(struct tally_heap *heap, const struct tally_type *type, uint32_t class_index,
                      size_t bytes)
{
    attend(heap, type);
    return class_index == CLASS_LARGE ? new_large(heap, type, bytes)
                                      : new_in_class(heap, type, class_index, bytes);
}

void *tally_new(struct tally_heap *heap, const struct tally_type *type)
{
    if (type->variable)
        return tally_new_array(heap, type, 0);
    if (type->class_index != CLASS_LARGE && fast(heap, type)) {
        struct page *page = heap->hot.current[type->class_index];
        if (page && page->free)
            return take(heap, page, type, type->size);
    }
    return new_slow(heap, type, type->class_index, type->size);
}

#define ARRAY_LIMIT ((size_t)1 << 40)

void *tally_new_array(struct tally_heap *heap, const struct tally_type *type, size_t length)
{
    if (!type->variable)
        return length ? NULL : tally_new(heap, type);
    if (length > (ARRAY_LIMIT - type->size) / type->info.trailing_element_bytes)
        return NULL;
    size_t bytes = (type->size + length * type->info.trailing_element_bytes + 7) & ~(size_t)7;
    uint32_t class_index = tally__class_of(WORD_BYTES + bytes, type->align);
    if (class_index != CLASS_LARGE && type->tracked)
        class_index += CLASS_COUNT;
    struct page *page = class_index == CLASS_LARGE ? NULL : heap->hot.current[class_index];
    void *object = page && page->free && fast(heap, type) ? take(heap, page, type, bytes)
                                                           : new_slow(heap, type, class_index, bytes);
    if (object)
        *(size_t *)((char *)object + type->info.trailing_length_offset) = length;
    return object;
}

struct tally_heap *tally_heap_of(const void *object)
{
    return page_of(object)->heap;
}

const struct tally_type *tally_type_of(const void *object)
{
    return type_of(object);
}

uint64_t tally_refcount(const void *object)
{
    return *word_of(object) >> TALLY_COUNT_SHIFT;
}

bool tally_is_tracked(const void *object)
{
    return type_of(object)->tracked;
}

bool tally_is_finalized(const void *object)
{
    return *word_of(object) & FLAG_FINALIZED;
}

size_t tally_size(const void *object)
{
    return tally__size_of(type_of(object), object);
}
