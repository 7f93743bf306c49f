/* Weak references: objects that know their referent without owning it. The newest one of a target heads a
 * doubly linked list; the heads stand in a map beside the heap, behind the WEAK flag of the target's word. */
#include "heap/internal.h"

static void **head_of(const struct tally_heap *heap, const void *target)
{
    return (void **)map_get(&heap->weak_heads, (uintptr_t)target);
}

void *tally__weak_first(const struct tally_heap *heap, const void *target)
{
    void **head = *word_of(target) & FLAG_WEAK ? head_of(heap, target) : NULL;
    return head ? *head : NULL;
}

bool tally__weak_attach(struct tally_heap *heap, struct tally_weak *weak, void *target)
{
    void **head = *word_of(target) & FLAG_WEAK ? head_of(heap, target) : NULL;
    struct tally_weak *older = head ? *head : NULL;
    if (head)
        *head = weak;
    else if (!map_put(&heap->weak_heads, (uintptr_t)target, (uintptr_t)weak))
        return false;
    *word_of(target) |= FLAG_WEAK;
    weak->referent_private = target;
    weak->next_private = older;
    if (older)
        older->previous_private = weak;
    return true;
}

void tally__weak_detach(struct tally_heap *heap, void *object)
{
    struct tally_weak *weak = object;
    void *target = weak->referent_private;
    if (!target)
        return;
    struct tally_weak *newer = weak->previous_private, *older = weak->next_private;
    if (older)
        older->previous_private = newer;
    if (newer) {
        newer->next_private = older;
    } else if (older) {
        *head_of(heap, target) = older;
    } else {
        map_remove(&heap->weak_heads, (uintptr_t)target);
        *word_of(target) &= ~FLAG_WEAK;
    }
    weak->referent_private = weak->next_private = weak->previous_private = NULL;
}

static bool may_call(const struct tally_heap *heap, const struct tally_weak *weak)
{
    return weak->callback_private && !(*word_of(weak) & FLAG_GONE) && !tally__is_trash(heap, weak);
}

/* All weak references to target read NULL afterwards; those whose callback may run are held and queued, the
 * newest first, through their next links. Entries of weak maps go. */
void tally__weak_clear_all(struct tally_heap *heap, void *target, struct weak_queue *queue)
{
    struct tally_weak *weak = tally__weak_first(heap, target);
    bool trash = tally__is_trash(heap, target);
    map_remove(&heap->weak_heads, (uintptr_t)target);
    *word_of(target) &= ~FLAG_WEAK;
    while (weak) {
        struct tally_weak *older = weak->next_private;
        weak->referent_private = weak->next_private = weak->previous_private = NULL;
        if (type_of(weak)->index == TYPE_ENTRY) {
            tally__entry_expire(heap, weak, trash);
        } else if (may_call(heap, weak)) {
            tally_incref(weak);
            *queue->last = weak;
            queue->last = &weak->next_private;
        }
        weak = older;
    }
}

bool tally__weak_callback(struct tally_heap *heap, struct weak_queue *queue, bool keep_hold,
                          int generation_after)
{
    struct tally_weak *weak = queue->first;
    queue->first = weak->next_private;
    if (!queue->first)
        queue->last = &queue->first;
    weak->next_private = NULL;
    tally_weak_fn callback = (tally_weak_fn)(uintptr_t)weak->callback_private;
    if (!keep_hold)
        weak->callback_private = NULL;
    uint64_t entered = tally__host_enter(heap);
#ifdef TALLY_DEBUG
    void *outer = tally__callback_enter(heap, __builtin_frame_address(0));
#endif
    callback(heap, weak, weak->hold_private);
#ifdef TALLY_DEBUG
    heap->callback_frame = outer;
#endif
    tally__host_leave(heap, entered, type_of(weak));
    if (!keep_hold)
        tally_clear(weak, &weak->hold_private);
    bool last = *word_of(weak) >> TALLY_COUNT_SHIFT == 1;
    if (!last && generation_after >= 0)
        tally__generation_set(weak, generation_after);
    tally_decref(weak);
    return last;
}

void *tally_weak_new(struct tally_heap *heap, const struct tally_type *type, void *target,
                     tally_weak_fn callback, void *hold)
{
    if (!type)
        type = atomic_load_explicit(&tally__types[TYPE_WEAKREF], memory_order_acquire);
    if (!type->weak || !target || (hold && !callback))
        return NULL;
    struct tally_weak *weak = tally_new(heap, type);
    if (!weak)
        return NULL;
    /* A target that is dying already has no life left to refer to. */
    if (!(*word_of(target) & FLAG_GONE) && !tally__weak_attach(heap, weak, target)) {
        tally_decref(weak);
        return NULL;
    }
    weak->callback_private = (void *)(uintptr_t)callback;
    tally_store(weak, &weak->hold_private, hold);
    return weak;
}

void *tally_weak_lock(void *object)
{
    struct tally_weak *weak = object;
    void *target = weak->referent_private;
    struct tally_heap *heap = page_of(object)->heap;
    if (!target || *word_of(target) & FLAG_GONE)
        return NULL;
    if (heap->armed)
        tally__touch(heap, target);
    else if (tally__is_trash(heap, target) && !heap->collecting)
        return NULL; /* a run has decided, and its next slice clears it */
    return tally_dup(target);
}

size_t tally_weak_count(const void *object)
{
    size_t count = 0;
    for (const struct tally_weak *weak = tally__weak_first(page_of(object)->heap, object); weak;
         weak = weak->next_private)
        count += type_of(weak)->index != TYPE_ENTRY;
    return count;
}
