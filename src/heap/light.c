/* Deaths that nobody sees: of light objects (fast.h), which run nothing of the host's and end nothing beside
 * themselves, set off by the last reference to one of them.
 *
 * They die as release.c says, slots last to first, the way back kept in the dead themselves; what is left out is
 * what nobody can notice. An object is marked as dying only where it has to wait for a child; one whose last
 * child is in hand goes before that child does; and deaths of one type after another are counted together,
 * since the decref that sets them off is one operation. What turns out not to be light is left to release.c,
 * which goes on from the very state that is kept here.
 */
#include "heap/fast.h"

/* What identifies a word of a light object of a type. */
#define KEY_MASK (((uint64_t)0xffff << TALLY_TYPE_SHIFT) | FLAGS_HEAVY)

/* Of one type after another, not counted yet; and of one page after another, whose slots are not given back yet. */
struct deaths {
    const struct tally_type *type; /* NULL: they are counted one by one */
    uint64_t key, count;
    struct page *page; /* NULL: slots are given back one by one */
    void *freed;       /* its second list */
    uint32_t slots;
};

static void deaths_count(struct tally_heap *heap, const struct deaths *deaths)
{
    if (!deaths->count)
        return;
    feed_add_release(&heap->hot.pen.rows[deaths->type->index].freed_refcount, deaths->count);
    if (deaths->type->tracked)
        young_subtract(heap, deaths->count);
}

/* The first of its type. */
static __attribute__((noinline)) void deaths_turn(struct tally_heap *heap, struct deaths *deaths,
                                                  const void *object, const struct tally_type *type)
{
    deaths_count(heap, deaths);
    if (type->fixed && heap->hot.pen.level == WIRE_LEVEL_OFF) {
        deaths->type = type;
        deaths->key = (uint64_t)type->index << TALLY_TYPE_SHIFT;
        deaths->count = 1;
        return;
    }
    deaths->type = NULL;
    deaths->key = UINT64_MAX;
    deaths->count = 0;
    if (type->tracked)
        young_subtract_one(heap);
    count_light(heap, object, type, WIRE_EVENT_FREE_REFCOUNT);
}

static void slots_give_back(struct tally_heap *heap, struct deaths *deaths)
{
    struct page *page = deaths->page;
    if (!page)
        return;
    deaths->page = NULL;
    page->freed = deaths->freed;
    page->used -= deaths->slots;
    page_settle(heap, page);
}

/* The first in its page. Candidates have a bit there, which goes with them. */
static __attribute__((noinline)) void page_turn(struct tally_heap *heap, struct deaths *deaths, void *object)
{
    struct page *page = page_of(object);
    slots_give_back(heap, deaths);
    if (page->odd & ODD_CANDIDATES) {
        tally__candidate_drop(heap, page, slot_of(page, object));
        slot_return(heap, page, object);
        return;
    }
    deaths->page = page;
    deaths->freed = page->freed;
    deaths->slots = 0;
    slot_link(page, object, &deaths->freed);
    deaths->slots++;
}

static FORCE_INLINE void end(struct tally_heap *heap, struct deaths *deaths, void *object,
                             const struct tally_type *type)
{
    if (type == deaths->type)
        deaths->count++;
    else
        deaths_turn(heap, deaths, object, type);
    if (((uintptr_t)object ^ (uintptr_t)deaths->page) >= PAGE_BYTES) {
        page_turn(heap, deaths, object);
        return;
    }
    slot_link(deaths->page, object, &deaths->freed);
    deaths->slots++;
}

/* Counted, and given back: the heap is as if they had died one by one. */
static void deaths_settle(struct tally_heap *heap, struct deaths *deaths)
{
    slots_give_back(heap, deaths);
    deaths_count(heap, deaths);
}

/* Fixed slots, then trailing ones: a light object has no others. */
static FORCE_INLINE void **slot_at(const struct tally_type *type, void *object, size_t at)
{
    return type->fixed || at < type->ref_count ? light_slot(type, object, at)
                                               : (void **)((char *)object + type->size) + (at - type->ref_count);
}

static FORCE_INLINE size_t slot_count(const struct tally_type *type, void *object)
{
    void **first;
    return type->ref_count + trailing_slots(type, object, &first);
}

/* Lets go of what the slots below *at hold, down to one whose object has lost its last reference: that object.
 * NULL: none has. */
static FORCE_INLINE void *next_dead(struct tally_heap *heap, struct deaths *deaths, const struct tally_type *type,
                                    void *object, size_t *at)
{
    while (*at > 0) {
        void **slot = slot_at(type, object, --*at), *child = *slot;
        if (!child)
            continue;
        *slot = NULL;
        uint64_t word = *word_of(child) -= TALLY_COUNT_ONE;
        if (word < TALLY_COUNT_ONE)
            return child;
        if (word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED))
            continue;
        slots_give_back(heap, deaths); /* its page has candidates from here on */
        tally__candidate(child);
    }
    return NULL;
}

/* The type of what has died; NULL: it is not light. */
static FORCE_INLINE const struct tally_type *light_type(const struct tally_heap *heap, const struct deaths *deaths,
                                                        const void *object)
{
    uint64_t word = *word_of(object);
    if ((word & KEY_MASK) == deaths->key)
        return deaths->type;
    return is_direct(heap, word) ? type_of_word(word) : NULL;
}

/* The object waits for what its slot `at` held: the state in which release.c knows it. */
static inline void wait_at(const struct tally_type *type, void *object, size_t at)
{
    *word_of(object) = FLAG_DYING | (uint64_t)type->index << TALLY_TYPE_SHIFT | (uint64_t)at << TALLY_COUNT_SHIFT;
}

void tally__release_light(struct tally_heap *heap, void *object, const struct tally_type *type)
{
    struct deaths deaths = {.key = UINT64_MAX};
    void *parent = NULL;
    size_t at = slot_count(type, object);
    for (;;) {
        void *child = next_dead(heap, &deaths, type, object, &at);
        if (!child) {
            end(heap, &deaths, object, type);
            if (!(object = parent))
                break;
            type = type_of(object);
            at = *word_of(object) >> TALLY_COUNT_SHIFT;
            void **back = slot_at(type, object, at);
            parent = *back;
            *back = NULL;
            continue;
        }
        const struct tally_type *child_type = light_type(heap, &deaths, child);
        if (!child_type) {
            deaths_settle(heap, &deaths);
            wait_at(type, object, at);
            tally__cascade_whole(heap, (struct cascade){object, parent}, child);
            return;
        }
        if (is_bare(child_type, child)) {
            end(heap, &deaths, child, child_type);
            continue;
        }
        if (at) {
            *slot_at(type, object, at) = parent;
            wait_at(type, object, at);
            parent = object;
        } else {
            end(heap, &deaths, object, type);
        }
        object = child;
        type = child_type;
        at = slot_count(type, object);
    }
    deaths_settle(heap, &deaths);
}
