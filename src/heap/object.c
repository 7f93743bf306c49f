/* Allocation. The fast path takes the head of the current page's first list; everything that is due now and
 * then (safepoint, collection, new types, a fork) happens where that list is empty or the young generation
 * full. */
#include <stdlib.h>
#include <string.h>

#include "heap/fast.h"

static void count_new(struct tally_heap *heap, struct page *page, const struct tally_type *type, void *object,
                      size_t bytes)
{
    struct feed_pen *pen = &heap->hot.pen;
    uint32_t row = type->index < pen->row_limit ? type->index : TYPE_OTHER;
    feed_object(pen, WIRE_EVENT_ALLOC, row, row == TYPE_OTHER || type->variable, bytes,
                granule_of(page, object));
}

static __attribute__((noinline)) void event_more(struct tally_heap *heap, const void *object,
                                                 const struct tally_type *type, enum wire_event kind)
{
    feed_object_event(&heap->hot.pen, kind, type->index, type->size, granule_of(page_of(object), object));
}

void tally__event(struct tally_heap *heap, const void *object, const struct tally_type *type, enum wire_event kind)
{
    if (!type->event || !feed_has_room(&heap->hot.pen))
        event_more(heap, object, type, kind);
    else
        feed_event_put(&heap->hot.pen,
                       type->event | kind | granule_of(page_of(object), object) << WIRE_GRANULE_SHIFT);
}

/* The event included. */
void tally__count_variable(struct tally_heap *heap, const void *object, const struct tally_type *type,
                           enum wire_event kind)
{
    feed_object(&heap->hot.pen, kind, type->index, true, tally__size_of(type, object),
                granule_of(page_of(object), object));
}

/* The class's list of free slots is not empty. The payload is as it was left. */
static FORCE_INLINE void *take_slot(struct tally_heap *heap, uint32_t class_index, const struct tally_type *type)
{
    void *object = heap->hot.free[class_index];
    heap->hot.free[class_index] = *(void **)object;
    tally__unpoison(object, page_of(object)->slot_bytes - WORD_BYTES);
    *word_of(object) = type->word;
    heap->hot.young_count += type->tracked;
    return object;
}

static void *take(struct tally_heap *heap, uint32_t class_index, const struct tally_type *type, size_t bytes)
{
    void *object = take_slot(heap, class_index, type);
    memset(object, 0, bytes);
    count_new(heap, page_of(object), type, object, bytes);
    return object;
}

static void *take_large(struct tally_heap *heap, struct page *page, const struct tally_type *type)
{
    page->bump = page->end;
    page->used = 1;
    page->odd &= (uint8_t)~ODD_FULL;
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
    if (type->tracked)
        young_subtract_one(heap);
    slot_return(heap, page, object);
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
        if (heap->hot.free[class_index])
            return take(heap, class_index, type, bytes);
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
    if (class_index == CLASS_LARGE) {
        struct page *page = tally__page_new(heap, CLASS_LARGE, type->tracked, WORD_BYTES + bytes);
        object = page ? take_large(heap, page, type) : NULL;
    } else {
        class_index += type->tracked ? CLASS_COUNT : 0;
        if (heap->hot.free[class_index] || tally__page_refill(heap, class_index))
            object = memset(take_slot(heap, class_index, type), 0, bytes);
    }
    return object;
}

/* An object of a type with a row of its own may be taken at once: nothing is due first. */
static inline bool is_ready(const struct tally_heap *heap, const struct tally_type *type, uint32_t class_index)
{
    return heap->hot.free[class_index] && type->index < heap->hot.pen.row_limit &&
           heap->hot.young_count < heap->hot.young_limit;
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

/* With a large payload, or after what is due. */
static __attribute__((noinline)) void *new_more(struct tally_heap *heap, const struct tally_type *type)
{
    if (type->variable)
        return tally_new_array(heap, type, 0);
    return type->class_index != CLASS_LARGE && is_ready(heap, type, type->class_index)
               ? take(heap, type->class_index, type, type->size)
               : new_slow(heap, type, type->class_index, type->size);
}

static __attribute__((noinline)) void *new_event(struct tally_heap *heap, void *object,
                                                 const struct tally_type *type)
{
    tally__event(heap, object, type, WIRE_EVENT_ALLOC);
    return object;
}

void *tally_new(struct tally_heap *heap, const struct tally_type *type)
{
    if (!is_ready(heap, type, type->fast_class))
        return new_more(heap, type);
    void *object = take_slot(heap, type->fast_class, type);
    payload_clear_small(object, type->size);
    feed_count(&heap->hot.pen, WIRE_EVENT_ALLOC, type->index, false, type->size);
    if (__builtin_expect(heap->hot.pen.level != WIRE_LEVEL_OFF, 0))
        return new_event(heap, object, type);
    return object;
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
    void *object = class_index != CLASS_LARGE && is_ready(heap, type, class_index)
                       ? take(heap, class_index, type, bytes)
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
    *word |= FLAG_IMMORTAL | TALLY_FLAG_ACYCLIC;
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
    return (*word_of(object) & ~FLAG_IMMORTAL) >> TALLY_COUNT_SHIFT;
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
