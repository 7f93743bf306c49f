/* Allocation. The fast path takes the head of the current page's first list; everything that is due now and
 * then (safepoint, collection, new types, a fork) happens where that list is empty or the young generation
 * full. */
#include <stdlib.h>
#include <string.h>

#include "heap/internal.h"
#include "heap/poison.h"

static void count_new(struct tally_heap *heap, struct page *page, const struct tally_type *type, void *object,
                      size_t bytes)
{
    struct feed_pen *pen = &heap->hot.pen;
    uint32_t row = type->index < pen->row_limit ? type->index : TYPE_OTHER;
    feed_object(pen, WIRE_EVENT_ALLOC, row, row == TYPE_OTHER || type->variable, bytes,
                granule_of(page, object));
}

static inline void *take_slot(struct tally_heap *heap, struct page *page, const struct tally_type *type,
                              size_t bytes)
{
    void *object = page->free;
    page->free = *(void **)object;
    tally__unpoison(object, page->slot_bytes - WORD_BYTES);
    *word_of(object) = type->word;
    memset(object, 0, bytes);
    if (type->tracked)
        heap->hot.young_count++;
    return object;
}

static void *take(struct tally_heap *heap, struct page *page, const struct tally_type *type, size_t bytes)
{
    void *object = take_slot(heap, page, type, bytes);
    count_new(heap, page, type, object, bytes);
    return object;
}

static void *take_large(struct tally_heap *heap, struct page *page, const struct tally_type *type)
{
    page->bump = page->end;
    page->used = 1;
    page->listed = true;
    if (page->tracked) {
        tally__list_add(&heap->lists[LIST_YOUNG], page, LIST_YOUNG);
        heap->hot.young_count++;
    }
    void *object = object_at(page, 0);
    *word_of(object) = type->word;
    return object;
}

void tally__count_moved(struct tally_heap *heap, const void *object, bool in)
{
    const struct tally_type *type = type_of(object);
    const struct feed_pen *pen = &heap->hot.pen;
    uint32_t row = type->index < pen->row_limit ? type->index : TYPE_OTHER;
    feed_moved(&heap->hot.pen, row, row == TYPE_OTHER || type->variable, tally__size_of(type, object), in);
}

/* An object that has moved away, or an unused place for one: its memory goes, and nothing else of it. */
void tally__free_moved(struct tally_heap *heap, void *object)
{
    const struct tally_type *type = type_of(object);
    struct page *page = page_of(object);
    if (page->links[LIST_CANDIDATES].at)
        tally__candidate_drop(heap, page, slot_of(page, object));
    if (type->tracked && heap->hot.young_count)
        heap->hot.young_count--;
    tally__slot_free(page, object);
    if (!page->listed)
        tally__page_room(heap, page);
    if (!page->used)
        tally__page_empty(heap, page);
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
    if (heap->stress && ++heap->stress_count >= heap->stress) {
        heap->stress_count = 0;
        tally__stress(heap);
    }
    if (heap->hot.young_count < heap->hot.young_limit && !tally__work_remains(heap) && !tally__is_due(heap))
        return;
    heap->hot.young_count += type->tracked; /* the object that is asked for counts, as in CPython */
    tally__work(heap);
    heap->hot.young_count -= type->tracked; /* counted when it is taken; from 0 it wraps, for a moment */
    tally__limit_update(heap);
}

/* What is left to do when there is no memory. The first time, a collection. */
static bool try_again(struct tally_heap *heap, size_t bytes, int tries)
{
    if (!tries && !heap->collecting && heap->manager >= TALLY_MANAGER_GENERATIONAL)
        tally__collect(heap, &(struct collect_request){
                                 .generation = 2, .reason = TALLY_REASON_MEMORY, .scope = TALLY_SCOPE_HEAP});
    uint64_t freed = tally__spare_free(heap);
    return (!tries && !heap->collecting) || freed || tally__memory_ask(heap, bytes);
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
        if (!try_again(heap, bytes, tries))
            return NULL;
    }
}

static void *new_large(struct tally_heap *heap, const struct tally_type *type, size_t bytes)
{
    struct page *page;
    for (int tries = 0; !(page = tally__page_new(heap, CLASS_LARGE, type->tracked, WORD_BYTES + bytes));
         tries++)
        if (!try_again(heap, bytes, tries))
            return NULL;
    void *object = take_large(heap, page, type);
    count_new(heap, page, type, object, bytes);
    return object;
}

/* A slot for an object of another heap that is moved here: no collection runs, and nothing is counted. */
void *tally__new_moved(struct tally_heap *heap, const struct tally_type *type, size_t bytes)
{
    uint32_t class_index = tally__class_of(WORD_BYTES + bytes, type->align);
    void *object = NULL;
    if (type->index >= heap->hot.types_known)
        tally__types_describe(heap);
    if (class_index == CLASS_LARGE) {
        struct page *page = tally__page_new(heap, CLASS_LARGE, type->tracked, WORD_BYTES + bytes);
        object = page ? take_large(heap, page, type) : NULL;
    } else {
        class_index += type->tracked ? CLASS_COUNT : 0;
        struct page *page = heap->hot.current[class_index];
        if ((page && page->free) || tally__page_refill(heap, class_index))
            object = take_slot(heap, heap->hot.current[class_index], type, bytes);
    }
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
    if (!tally__owned(heap))
        return NULL;
    attend(heap, type);
    void *object = class_index == CLASS_LARGE ? new_large(heap, type, bytes)
                                              : new_in_class(heap, type, class_index, bytes);
    tally__check_heap(heap, false);
    return object;
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

void *tally_construct(struct tally_heap *heap, const struct tally_type *type, size_t length)
{
    void *object = tally_new_array(heap, type, length);
    if (object)
        *word_of(object) |= FLAG_CONSTRUCTION;
    return object;
}

/* Whatever was stored meanwhile may have closed a cycle; runs that passed the object over meanwhile have taken
 * its page off the list of young ones. */
void tally_publish(void *object)
{
    uint64_t *word = word_of(object);
    if (!(*word & FLAG_CONSTRUCTION))
        return;
    *word &= ~FLAG_CONSTRUCTION;
    struct page *page = page_of(object);
    if (!page->tracked)
        return;
    tally__list_add(&page->heap->lists[LIST_YOUNG], page, LIST_YOUNG);
    tally__candidate(object);
}

void tally_immortalize(void *object)
{
    uint64_t *word = word_of(object);
    if (*word & FLAG_IMMORTAL)
        return;
    struct page *page = page_of(object);
    if (page->heap->armed)
        tally__touch(page->heap, object);
    if (page->tracked)
        tally__candidate_drop(page->heap, page, slot_of(page, object));
    *word |= IMMORTAL_BIAS | FLAG_IMMORTAL | TALLY_FLAG_ACYCLIC;
}

bool tally_is_immortal(const void *object)
{
    return *word_of(object) & FLAG_IMMORTAL;
}

uint64_t tally_object_id(const void *object)
{
    return granule_of(page_of(object), object);
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
    return (*word_of(object) & ~IMMORTAL_BIAS) >> TALLY_COUNT_SHIFT;
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
