/* Death by reference count, with constant C stack.
 *
 * A dying object's slots are released last to first, and what dies there dies wholly before the next slot.
 * The way back is kept in the dead themselves: an object whose slot k is being followed has k in the count of
 * its word (the count is zero for good), and in slot k, which is empty by then, the address of the object one
 * further up.
 *
 * Objects that die where that order cannot be kept (below a traverse callback, or where finalizers nest
 * deeper than NEST_MAX) wait on the heap's zero list, linked by compressed references in the counts of their
 * words, and die before the outermost release returns.
 */
#include "heap/internal.h"

#define NEST_MAX 50u

static void count_free(struct tally_heap *heap, const struct page *page, const struct tally_type *type,
                       const void *object, enum wire_event kind)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    struct feed_pen *pen = &heap->hot.pen;
    uint32_t row = type->index < pen->row_limit ? type->index : TYPE_OTHER;
    feed_object(pen, kind, row, row == TYPE_OTHER || type->variable, tally__size_of(type, object),
                granule_of(page, object));
}

void tally__object_free(struct tally_heap *heap, void *object, enum wire_event kind)
{
    struct page *page = page_of(object);
    const struct tally_type *type = type_of(object);
    if (type->weak)
        tally__weak_detach(heap, object);
    if (type->info.dispose)
        type->info.dispose(object);
    count_free(heap, page, type, object, kind);
    if (type->tracked) {
        if (heap->hot.young_count)
            heap->hot.young_count--;
        if (heap->collecting && page->run == heap->run)
            bit_clear(page->bits[BIT_MEMBER], slot_of(page, object));
    }
    *word_of(object) = 0;
    *(void **)object = page->freed;
    page->freed = object;
    page->used--;
    if (!page->listed)
        tally__page_room(heap, page);
    if (!page->used)
        tally__page_empty(heap, page);
}

/* The count is zero: runs the finalizer if it never ran. Returns whether the object stays dead. */
static bool finalize(struct tally_heap *heap, void *object, const struct tally_type *type)
{
    uint64_t *word = word_of(object);
    if ((*word & (FLAG_FINALIZER | FLAG_FINALIZED)) != FLAG_FINALIZER)
        return true;
    if (type->tracked)
        tally__generation_set(object, 0);
    *word |= FLAG_FINALIZED | TALLY_COUNT_ONE;
    type->info.finalize(heap, object);
    *word -= TALLY_COUNT_ONE;
    return *word < TALLY_COUNT_ONE;
}

/* Steps (1) and (2) of a death, and the start of (3). Returns whether the object is dying now. */
static bool die(struct tally_heap *heap, void *object)
{
    const struct tally_type *type = type_of(object);
    if (!finalize(heap, object, type))
        return false;
    uint64_t *word = word_of(object);
    *word |= FLAG_DYING;
    if (*word & FLAG_WEAK) {
        struct weak_queue queue = {NULL, &queue.first};
        tally__weak_clear_all(heap, object, &queue);
        tally__weak_callbacks(heap, &queue, false, -1);
    }
    if (type->weak)
        tally__weak_detach(heap, object);
    *word = (*word & FLAGS_MASK) | (uint64_t)type->index << TALLY_TYPE_SHIFT |
            (uint64_t)tally__slot_count(type, object) << TALLY_COUNT_SHIFT;
    return true;
}

static void zero_list_push(struct tally_heap *heap, void *object)
{
    uint64_t *word = word_of(object);
    *word = (*word & (TALLY_COUNT_ONE - 1)) | FLAG_QUEUED | heap->zero_list << TALLY_COUNT_SHIFT;
    heap->zero_list = compress(object);
}

static void *zero_list_pop(struct tally_heap *heap)
{
    void *object = expand(heap, heap->zero_list);
    uint64_t *word = word_of(object);
    heap->zero_list = *word >> TALLY_COUNT_SHIFT;
    *word &= (TALLY_COUNT_ONE - 1) & ~FLAG_QUEUED;
    return object;
}

static void traverse_release(void **slot, void *arg)
{
    void *child = *slot;
    *slot = NULL;
    if (!child)
        return;
    uint64_t word = *word_of(child) -= TALLY_COUNT_ONE;
    if (word < TALLY_COUNT_ONE)
        zero_list_push(arg, child);
    else if (!(word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)))
        tally__candidate(child);
}

/* All slots are released: the object's memory goes. */
static void finish(struct tally_heap *heap, void *object)
{
    const struct tally_type *type = type_of(object);
    if (type->info.traverse)
        type->info.traverse(object, traverse_release, heap);
    tally__object_free(heap, object, WIRE_EVENT_FREE_REFCOUNT);
}

/* Takes the child out of the next slot below the cursor that holds one, and lowers the cursor to that slot.
 */
static void *next_child(void *object, const struct tally_type *type)
{
    uint64_t *word = word_of(object);
    for (uint64_t at = *word >> TALLY_COUNT_SHIFT; at-- > 0;) {
        void **slot = tally__slot_at(type, object, at);
        if (*slot) {
            void *child = *slot;
            *slot = NULL;
            *word = (*word & (TALLY_COUNT_ONE - 1)) | at << TALLY_COUNT_SHIFT;
            return child;
        }
    }
    *word &= TALLY_COUNT_ONE - 1;
    return NULL;
}

static void **cursor_slot(void *object)
{
    return tally__slot_at(type_of(object), object, *word_of(object) >> TALLY_COUNT_SHIFT);
}

/* The whole death of one object whose count is zero. */
static void destroy(struct tally_heap *heap, void *object)
{
    if (!die(heap, object))
        return;
    void *parent = NULL;
    for (;;) {
        void *child = next_child(object, type_of(object));
        if (child) {
            uint64_t word = *word_of(child) -= TALLY_COUNT_ONE;
            if (word >= TALLY_COUNT_ONE) {
                if (!(word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)))
                    tally__candidate(child);
            } else if (die(heap, child)) {
                *cursor_slot(object) = parent;
                parent = object;
                object = child;
            }
            continue;
        }
        finish(heap, object);
        if (!parent)
            return;
        object = parent;
        void **slot = cursor_slot(object);
        parent = *slot;
        *slot = NULL;
    }
}

void tally__destroy(struct tally_heap *heap, void *object)
{
    if (heap->release_depth == NEST_MAX) {
        zero_list_push(heap, object);
        return;
    }
    heap->release_depth++;
    destroy(heap, object);
    heap->release_depth--;
    while (!heap->release_depth && heap->zero_list) {
        heap->release_depth++;
        destroy(heap, zero_list_pop(heap));
        heap->release_depth--;
    }
}

void tally__release(void *object)
{
    struct tally_heap *heap = page_of(object)->heap;
    const struct tally_type *type = type_of(object);
    uint64_t word = *word_of(object);
    HEAP_CHECK(!(word & FLAG_GONE), "a reference is given back to an object that is dying");
    if (!type->tracked && !type->ref_count && !type->info.has_external &&
        !(word & (FLAG_FINALIZER | FLAG_WEAK)) && type->info.trailing != TALLY_TRAILING_SLOTS &&
        !type->info.traverse)
        tally__object_free(heap, object, WIRE_EVENT_FREE_REFCOUNT);
    else
        tally__destroy(heap, object);
}

void tally__candidate(void *object)
{
    *word_of(object) |= TALLY_FLAG_BUFFERED;
    page_of(object)->candidates = true;
}
