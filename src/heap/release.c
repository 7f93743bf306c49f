/* Death by reference count, with constant C stack.
 *
 * A dying object's slots are released last to first, and what dies there dies wholly before the next slot.
 * The way back is kept in the dead themselves: an object whose slot k is being followed has k in the count of
 * its word (the count is zero for good), and in slot k, which is empty by then, the address of the object one
 * further up. A slice that is over leaves the object and its parent in heap->cascade. What is light
 * (fast.h) and not to be sliced dies by a shorter way, light.c.
 *
 * Objects that die where that order cannot be kept (below a traverse callback, where finalizers nest deeper
 * than NEST_MAX, beside a cascade that waits for its next slice, under the manager none) wait on the heap's
 * zero list, in the order of their deaths, linked by compressed references in the counts of their words.
 */
#include "heap/fast.h"

#define NEST_MAX   50u
/* What lets an inline decref pass: the count of the dying is none, and a decref of them must be seen. */
#define FLAGS_QUIET (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)

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

static void dispose(struct tally_heap *heap, void *object, const struct tally_type *type)
{
    uint64_t entered = tally__host_enter(heap);
    type->info.dispose(object);
    tally__host_leave(heap, entered, type);
}

/* What ends with the object beside it. */
static void side_end(struct tally_heap *heap, struct page *page, void *object, const struct tally_type *type)
{
    if (type->weak)
        tally__weak_detach(heap, object);
    if (*word_of(object) & FLAG_EXTERN)
        tally__extern_end(heap, object);
    if (*word_of(object) & FLAG_PINNED)
        map_remove(&heap->pins, (uintptr_t)object);
    if (type->info.dispose)
        dispose(heap, object, type);
    if (!type->tracked)
        return;
    young_subtract_one(heap);
    if (page->links[LIST_CANDIDATES].at)
        tally__candidate_drop(heap, page, slot_of(page, object));
    if (heap->run.phase)
        tally__member_drop(heap, object);
}

void tally__object_free(struct tally_heap *heap, void *object, enum wire_event kind)
{
    struct page *page = page_of(object);
    const struct tally_type *type = type_of(object);
    side_end(heap, page, object, type);
    count_free(heap, page, type, object, kind);
    slot_return(heap, page, object);
}

/* Steps (1) and (2) of a death, and the start of (3). Returns whether the object is dying now. */
static bool die(struct tally_heap *heap, void *object)
{
    const struct tally_type *type = type_of(object);
    if (tally__finalize(heap, object, type))
        return false;
    uint64_t *word = word_of(object);
    *word |= FLAG_DYING;
    if (heap->run.phase)
        tally__member_drop(heap, object);
    if (*word & FLAG_WEAK) {
        struct weak_queue queue = {NULL, &queue.first};
        tally__weak_clear_all(heap, object, &queue);
        while (queue.first)
            tally__weak_callback(heap, &queue, false, -1);
    }
    if (type->weak)
        tally__weak_detach(heap, object);
    *word = (*word & FLAGS_MASK & ~FLAGS_QUIET) | (uint64_t)type->index << TALLY_TYPE_SHIFT |
            (uint64_t)tally__slot_count(type, object) << TALLY_COUNT_SHIFT;
    return true;
}

static void zero_list_push(struct tally_heap *heap, void *object)
{
    uint64_t *word = word_of(object), name = compress(object);
    if (heap->run.phase)
        tally__member_drop(heap, object);
    *word = (*word & (TALLY_COUNT_ONE - 1) & ~FLAGS_QUIET) | FLAG_QUEUED;
    if (heap->zero_last)
        *word_of(expand(heap, heap->zero_last)) |= name << TALLY_COUNT_SHIFT;
    else
        heap->zero_first = name;
    heap->zero_last = name;
    heap->zero_count++;
    heap->hot.direct_limit = 0;
}

static void *zero_list_pop(struct tally_heap *heap)
{
    void *object = expand(heap, heap->zero_first);
    uint64_t *word = word_of(object);
    heap->zero_first = *word >> TALLY_COUNT_SHIFT;
    if (!heap->zero_first)
        heap->zero_last = 0;
    heap->zero_count--;
    *word &= (TALLY_COUNT_ONE - 1) & ~FLAG_QUEUED;
    *word |= type_of_word(*word)->word & TALLY_FLAG_ACYCLIC;
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

static inline void **slot_at(const struct tally_type *type, void *object, uint64_t at)
{
    return type->fixed ? light_slot(type, object, at) : tally__slot_at(type, object, at);
}

/* Takes the child out of the next slot below the cursor that holds one, and lowers the cursor to that slot.
 * Gives up after a chunk of empty ones, with the cursor where it came to: 0 at the end. */
static inline void *next_child(void *object, const struct tally_type *type)
{
    uint64_t *word = word_of(object);
    uint64_t at = *word >> TALLY_COUNT_SHIFT, stop = at > SLOTS_CHUNK ? at - SLOTS_CHUNK : 0;
    void *child = NULL;
    while (at > stop && !child) {
        void **slot = slot_at(type, object, --at);
        child = *slot;
        *slot = NULL;
    }
    *word = (*word & (TALLY_COUNT_ONE - 1)) | at << TALLY_COUNT_SHIFT;
    return child;
}

static inline void **cursor_slot(void *object)
{
    return slot_at(type_of(object), object, *word_of(object) >> TALLY_COUNT_SHIFT);
}

/* The child has lost the last reference, which its dying holder had. */
static inline void lost_last(struct tally_heap *heap, struct cascade *cascade, void *child)
{
    uint64_t word = *word_of(child);
    const struct tally_type *type = type_of_word(word);
    if (is_direct(heap, word) && is_bare(type, child)) {
        free_light(heap, child, type, WIRE_EVENT_FREE_REFCOUNT);
        return;
    }
    if (!die(heap, child))
        return;
    *cursor_slot(cascade->object) = cascade->parent;
    cascade->parent = cascade->object;
    cascade->object = child;
}

static inline void lose(struct tally_heap *heap, struct cascade *cascade, void *child)
{
    uint64_t word = *word_of(child) -= TALLY_COUNT_ONE;
    if (word < TALLY_COUNT_ONE)
        lost_last(heap, cascade, child);
    else if (!(word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)))
        tally__candidate(child);
}

static inline void leave(struct tally_heap *heap, struct cascade *cascade)
{
    uint64_t word = *word_of(cascade->object);
    const struct tally_type *type = type_of_word(word);
    if (is_direct(heap, word & ~FLAG_DYING))
        free_light(heap, cascade->object, type, WIRE_EVENT_FREE_REFCOUNT);
    else
        finish(heap, cascade->object);
    cascade->object = cascade->parent;
    if (!cascade->object)
        return;
    void **slot = cursor_slot(cascade->object);
    cascade->parent = *slot;
    *slot = NULL;
}

/* Goes on with the deaths of a cascade; returns whether they are done, which `whole` makes sure of. */
static bool cascade_run(struct tally_heap *heap, struct cascade *cascade, bool whole)
{
    while (cascade->object) {
        if (!slice_spend(heap, 1) && !whole)
            return false;
        void *child = next_child(cascade->object, type_of(cascade->object));
        if (child)
            lose(heap, cascade, child);
        else if (*word_of(cascade->object) < TALLY_COUNT_ONE)
            leave(heap, cascade);
    }
    return true;
}

static bool destroy(struct tally_heap *heap, void *object, bool whole)
{
    struct cascade cascade = {.object = object};
    heap->release_depth++;
    if (!die(heap, object)) {
        cascade.object = NULL; /* it lives on; its finalizer has taken its time */
        heap->slice.credit--;
    }
    bool done = cascade_run(heap, &cascade, whole);
    heap->release_depth--;
    if (!done)
        heap->cascade = cascade;
    return done;
}

bool tally__deaths_pending(const struct tally_heap *heap)
{
    return heap->cascade.object || heap->zero_first;
}

bool tally__deaths_run(struct tally_heap *heap)
{
    bool whole = heap->slice.deadline_ns == UINT64_MAX;
    if (heap->cascade.object) {
        struct cascade cascade = heap->cascade;
        heap->cascade.object = NULL;
        heap->release_depth++;
        bool done = cascade_run(heap, &cascade, whole);
        heap->release_depth--;
        if (!done) {
            heap->cascade = cascade;
            return false;
        }
    }
    while (heap->zero_first) {
        if (!destroy(heap, zero_list_pop(heap), whole))
            return false;
        if (!whole && heap->slice.credit <= 0 && !tally__slice_more(heap))
            return !heap->zero_first;
    }
    return true;
}

/* Whether a death must wait: what it would set off could not be cut into slices here, or order demands it. */
static bool must_wait(const struct tally_heap *heap)
{
    if (heap->manager == TALLY_MANAGER_NONE && !heap->closing)
        return true;
    if (heap->release_depth)
        return heap->release_depth >= NEST_MAX ||
               (heap->slice.deadline_ns != UINT64_MAX && heap->slice.credit <= 0);
    return heap->budget_ns && !heap->closing && tally__deaths_pending(heap);
}

/* The outermost death of a program that has a budget is a slice; what it leaves is done by the next ones. */
void tally__destroy(struct tally_heap *heap, void *object)
{
    if (must_wait(heap)) {
        zero_list_push(heap, object);
        tally__limit_update(heap);
        if (heap->manager != TALLY_MANAGER_NONE && !heap->release_depth && tally__slice_brief(heap)) {
            tally__deaths_run(heap);
            tally__slice_end(heap);
        }
        return;
    }
    if (heap->release_depth) {
        destroy(heap, object, true);
        return;
    }
    bool opened = tally__slice_begin(heap, heap->budget_ns && !heap->closing ? heap->budget_ns : UINT64_MAX);
    if (destroy(heap, object, heap->slice.deadline_ns == UINT64_MAX) && heap->zero_first)
        tally__deaths_run(heap);
    if (opened)
        tally__slice_end(heap);
    tally__direct_update(heap);
}

void tally__cascade_whole(struct tally_heap *heap, struct cascade cascade, void *child)
{
    bool opened = tally__slice_begin(heap, UINT64_MAX);
    heap->release_depth++;
    lost_last(heap, &cascade, child);
    cascade_run(heap, &cascade, true);
    heap->release_depth--;
    if (opened)
        tally__slice_end(heap);
}

/* What waits on the zero list since a death that was not light. */
static void release_rest(struct tally_heap *heap)
{
    bool opened = tally__slice_begin(heap, UINT64_MAX);
    tally__deaths_run(heap);
    if (opened)
        tally__slice_end(heap);
    tally__direct_update(heap);
}

static __attribute__((noinline)) void release_more(struct tally_heap *heap, void *object)
{
    uint64_t word = *word_of(object);
    const struct tally_type *type = type_of_word(word);
    if (is_direct(heap, word) && !heap->release_depth && !heap->budget_ns) {
        tally__release_light(heap, object, type);
        if (!heap->hot.direct_limit)
            release_rest(heap);
    } else if (!tally__is_gone(heap, object)) {
        if (type->plain && !type->info.finalize && !(word & FLAG_WEAK) && !must_wait(heap))
            tally__object_free(heap, object, WIRE_EVENT_FREE_REFCOUNT);
        else
            tally__destroy(heap, object);
    }
    tally__check_heap(heap, false);
}

/* One that refers to nothing, in a page where nothing else comes of it, goes at once. */
void tally__release(void *object)
{
    struct page *page = page_of(object);
    struct tally_heap *heap = page->heap;
    uint64_t word = *word_of(object);
    const struct tally_type *type = type_of_word(word);
    if (!is_direct(heap, word) || !type->fixed || !is_bare(type, object) || page->odd || page->used == 1) {
        release_more(heap, object);
        return;
    }
    slot_free(page, object);
    if (!(word & TALLY_FLAG_ACYCLIC))
        young_subtract_one(heap);
    count_fixed(heap, object, type, WIRE_EVENT_FREE_REFCOUNT);
}
