/* Going through objects' slots: what the phases that find have in common (explore.c, find.c, weigh.c, guess.c), inline. */
#ifndef TALLY_HEAP_TRACE_H
#define TALLY_HEAP_TRACE_H

#include "heap/fast.h"

/* Goes on with an object's slots, from run.at; false: the slice is over. Types with traverse go in one piece. */
static FORCE_INLINE bool slots_continue(struct tally_heap *heap, void *object, tally_slot_fn visit, void *arg)
{
    struct run *run = &heap->run;
    const struct tally_type *type = type_of(object);
    size_t count = type->fixed ? type->ref_count : tally__slot_count(type, object);
    run->open = NULL;
    if (count <= SLOTS_CHUNK) {
        slots_each(type, object, visit, arg);
        return slice_spend(heap, 1 + count);
    }
    while (run->at < count) {
        size_t to = count - run->at > SLOTS_CHUNK ? run->at + SLOTS_CHUNK : count;
        tally__slots_range(type, object, run->at, to, visit, arg);
        run->at = to;
        if (!slice_spend(heap, SLOTS_CHUNK)) {
            run->open = object;
            return false;
        }
    }
    if (type->info.traverse)
        type->info.traverse(object, visit, arg);
    return true;
}

/* ---- what is yet to be gone through: a stack, or where that is full a bit beside the object */

static inline void pend(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    bit_set(bits_of(page, BIT_PENDING), slot);
    page->flagged = heap->flagged = true;
}

static inline void push(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    if (heap->mark_count < MARK_STACK_ENTRIES)
        heap->mark_stack[heap->mark_count++] = object;
    else
        pend(heap, page, slot);
}

static inline bool still_member(const struct tally_heap *heap, const void *object)
{
    const struct page *page = page_of(object);
    return is_member(heap, page, slot_of(page, object));
}

/* What comes off the mark stack next, fetched into the cache while others are gone through: a dependent access
 * to memory costs twelve times an independent one. */
#define AHEAD 16u
struct ahead {
    void *objects[AHEAD];
    unsigned first, count;
};

static inline void ahead_fill(struct tally_heap *heap, struct ahead *ahead)
{
    for (; ahead->count < AHEAD && heap->mark_count; ahead->count++) {
        void *object = heap->mark_stack[--heap->mark_count];
        __builtin_prefetch(word_of(object));
        __builtin_prefetch((char *)object + 32);
        ahead->objects[(ahead->first + ahead->count) % AHEAD] = object;
    }
}

static inline void *ahead_take(struct ahead *ahead)
{
    ahead->count--;
    return ahead->objects[ahead->first++ % AHEAD];
}

/* The slice is over: back onto the stack, which they came from. */
static inline void ahead_return(struct tally_heap *heap, struct ahead *ahead)
{
    while (ahead->count) {
        void *object = ahead_take(ahead);
        push(heap, page_of(object), slot_of(page_of(object), object), object);
    }
}

typedef bool (*through_fn)(struct tally_heap *heap, void *object);

/* Goes through the slots of what waits on the mark stack; what has died since it was pushed is no member. */
static FORCE_INLINE bool stack_drain(struct tally_heap *heap, through_fn through)
{
    struct run *run = &heap->run;
    struct ahead ahead = {.count = 0};
    if (run->open && !through(heap, run->open))
        return false;
    for (;;) {
        ahead_fill(heap, &ahead);
        if (!ahead.count)
            return true;
        void *object = ahead_take(&ahead);
        if (run->sliced && !still_member(heap, object))
            continue;
        run->at = 0;
        if (!through(heap, object)) {
            ahead_return(heap, &ahead);
            return false;
        }
    }
}

/* ---- edges taken off trial counts */

/* Edges whose trial counts are on their way into the cache. */
#define EDGES 16u
struct edges {
    struct tally_heap *heap;
    uint16_t *trial[EDGES];
    void *child[EDGES];
    unsigned at;
    uint16_t none;
};

static inline void edges_init(struct edges *edges, struct tally_heap *heap)
{
    *edges = (struct edges){.heap = heap, .none = 2 * EDGES};
    for (unsigned i = 0; i < EDGES; i++)
        edges->trial[i] = &edges->none;
}

/* Slots that hold no member have a trial count of TRIAL_HUB, or one that means nothing where they have been
 * taken since. */
static FORCE_INLINE void edge_subtract(struct edges *edges, unsigned at)
{
    uint16_t *trial = edges->trial[at];
    if ((uint16_t)(*trial - 1) < TRIAL_HUB - 1)
        --*trial;
    else
        tally__subtract_rare(edges->heap, edges->child[at]);
}

static FORCE_INLINE void subtract_edge(void **slot, void *arg)
{
    struct edges *edges = arg;
    void *child = *slot;
    if (!child)
        return;
    if (page_of(child)->run != edges->heap->run_number) {
        edges->heap->run.outside = true;
        return;
    }
    const struct page *page = page_of(child);
    unsigned at = edges->at++ % EDGES;
    edge_subtract(edges, at);
    edges->trial[at] = &trial_of(page)[slot_of(page, child)];
    edges->child[at] = child;
    __builtin_prefetch(edges->trial[at], 1);
}

static inline void edges_end(struct edges *edges)
{
    for (unsigned i = 0; i < EDGES; i++)
        edge_subtract(edges, i);
}

#endif
