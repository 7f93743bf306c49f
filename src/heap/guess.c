/* Guessing what lives: before a run over the whole heap counts a single reference, it marks what can be reached
 * from the objects that were held from outside when the last one looked, in one pass instead of two. Only the
 * rest is gone through as find.c says.
 *
 * The guess is checked, never trusted: trial deletion is done for those objects themselves. Marking goes through
 * every edge of what is alive, the subtraction that follows through every edge of the rest, so that an object
 * whose count exceeds what both have met is held from outside indeed. Where one is not, the run starts anew
 * without a guess. */
#include <string.h>

#include "heap/trace.h"

#define WORDS_AHEAD 2u /* of pending bits: some 25 objects */


/* Where marking stands. One on the C stack, of which no pointer is ever stored, so that it lives in registers. */
struct way {
    struct tally_heap *heap;
    struct shadow shadow;      /* the heap's */
    void **first, **top, **end; /* the mark stack */
};

static inline struct way way_of(struct tally_heap *heap)
{
    void **stack = heap->mark_stack;
    return (struct way){heap, heap->shadow, stack, stack + heap->mark_count, stack + MARK_STACK_ENTRIES};
}

static FORCE_INLINE bool mark(const struct shadow *shadow, uint64_t offset)
{
    uint64_t *word = &shadow->marked[shadow_word(offset)], old = *word;
    *word = old | (uint64_t)1 << shadow_bit(offset);
    return !(old >> shadow_bit(offset) & 1);
}

/* The same, in a page with guessed roots: these have their mark from the start, and each edge to them counts. */
static __attribute__((noinline)) bool reach_root(struct tally_heap *heap, void *child)
{
    if (mark(&heap->shadow, shadow_offset(&heap->shadow, child)))
        return true;
    struct page *page = page_of(child);
    uint32_t slot = slot_of(page, child);
    if (bit_get(bits_of(page, BIT_HELD), slot))
        tally__subtract_member(heap, page, slot, child);
    return false;
}

/* Marks; returns whether it was not. What is nothing of ours counts as marked. */
static FORCE_INLINE bool reach(struct tally_heap *heap, const struct shadow *shadow, void *child)
{
    uint64_t offset = shadow_offset(shadow, child);
    if (shadow_page(offset) >= shadow->pages)
        return false;
    unsigned kind = shadow->kinds[shadow_page(offset)];
    if (kind != SHADOW_TRACKED)
        return kind != SHADOW_NONE && reach_root(heap, child);
    return mark(shadow, offset);
}

/* There is room on the stack for what an object holds. No branch on what cannot be predicted. */
static FORCE_INLINE void edge_stack(struct way *way, void *child)
{
    *way->top = child;
    way->top += reach(way->heap, &way->shadow, child);
}

/* What big objects hold, and what does not fit the stack, is gone through in the order of its addresses. */
static FORCE_INLINE void edge_pend(struct tally_heap *heap, const struct shadow *shadow, void *child)
{
    if (!reach(heap, shadow, child))
        return;
    uint64_t offset = shadow_offset(shadow, child);
    shadow->pending[shadow_word(offset)] |= (uint64_t)1 << shadow_bit(offset);
    shadow->waiting[shadow_page(offset)] = true;
    heap->flagged = true;
}

static void slot_pend(void **slot, void *arg)
{
    struct tally_heap *heap = arg;
    edge_pend(heap, &heap->shadow, *slot);
}

static inline bool has_room(const struct way *way, size_t slots)
{
    return (size_t)(way->end - way->top) > slots;
}

static FORCE_INLINE void object_trailing(struct way *way, const struct tally_type *type, void *object)
{
    void **slots = NULL;
    size_t count = trailing_slots(type, object, &slots);
    bool few = count <= SLOTS_CHUNK && has_room(way, count);
    for (size_t at = 0; few && at < count; at++)
        edge_stack(way, slots[at]);
    for (size_t at = 0; !few && at < count; at++)
        edge_pend(way->heap, &way->shadow, slots[at]);
}

/* What is apart is no member: what it holds counts as held from outside. */
static FORCE_INLINE void object_through(struct way *way, void *object)
{
    uint64_t word = *word_of(object);
    const struct tally_type *type = type_of_word(word);
    if (__builtin_expect((word & FLAG_APART) != 0, 0)) {
        way->heap->run.apart = true;
    } else if (__builtin_expect(!type->open || !has_room(way, type->ref_count), 0)) {
        tally__slots_visit(type, object, slot_pend, way->heap);
    } else {
        const uint32_t *end = type->offsets + type->ref_count;
        for (const uint32_t *offset = type->offsets; offset < end; offset++)
            edge_stack(way, *(void **)((char *)object + *offset));
        if (type->variable)
            object_trailing(way, type, object);
    }
}

/* An array's slots lie behind its fixed part, perhaps not in the lines that have been fetched with its word. */
static FORCE_INLINE void slots_fetch(void *object)
{
    const struct tally_type *type = type_of(object);
    if (!type->variable)
        return;
    __builtin_prefetch((char *)object + type->size);
    __builtin_prefetch((char *)object + type->size + 64);
}

/* Objects are fetched into the cache while others are gone through. */
static FORCE_INLINE void stack_through(struct way *way)
{
    void *ahead[AHEAD];
    unsigned first = 0, count = 0;
    for (;;) {
        for (; count < AHEAD && way->top > way->first; count++) {
            void *object = *--way->top;
            __builtin_prefetch(word_of(object));
            __builtin_prefetch((char *)object + 32);
            ahead[(first + count) % AHEAD] = object;
        }
        if (!count)
            return;
        if (count > AHEAD / 2)
            slots_fetch(ahead[(first + AHEAD / 2) % AHEAD]);
        count--;
        object_through(way, ahead[first++ % AHEAD]);
    }
}

static inline void *shadow_object(const struct shadow *shadow, uint64_t word, uint64_t bits) /* the lowest bit's */
{
    return (void *)(shadow->base + (word * 64 + (unsigned)__builtin_ctzll(bits)) * 8);
}

/* What is pending in a word is fetched while the words before it are gone through. */
static FORCE_INLINE void pending_fetch(const struct shadow *shadow, uint64_t word)
{
    for (uint64_t bits = shadow->pending[word]; bits; bits &= bits - 1)
        __builtin_prefetch(word_of(shadow_object(shadow, word, bits)));
}

static FORCE_INLINE void page_through(struct way *way, uint64_t page)
{
    const struct shadow *shadow = &way->shadow;
    shadow->waiting[page] = false;
    for (uint64_t at = page * SHADOW_WORDS, end = at + SHADOW_WORDS; at < end; at++) {
        if (at + WORDS_AHEAD < end)
            pending_fetch(shadow, at + WORDS_AHEAD);
        for (uint64_t bits; (bits = shadow->pending[at]);) {
            shadow->pending[at] = 0;
            for (; bits; bits &= bits - 1)
                object_through(way, shadow_object(shadow, at, bits));
            stack_through(way);
        }
    }
}

/* Marks all that is reached from what is on the stack. */
static void stack_mark(struct tally_heap *heap)
{
    struct way way = way_of(heap);
    stack_through(&way);
    while (heap->flagged) {
        heap->flagged = false;
        for (uint64_t page = 0; page < way.shadow.pages; page++)
            if (way.shadow.waiting[page])
                page_through(&way, page);
    }
    heap->mark_count = 0;
}

/* Every tracked page enters, and no slot of it has a trial count. */
static void pages_enter(struct tally_heap *heap)
{
    for (uint32_t i = 0; i < heap->page_count; i++) {
        struct page *page = heap->pages[i];
        if (!page || !page->tracked)
            continue;
        tally__page_candidates(heap, page, 2);
        tally__page_enter(heap, page);
        memset(trial_of(page), 0xff, (size_t)page->slot_count * sizeof(uint16_t));
    }
}

/* A root that is reached from those before it is none that need be checked. */
static void root_mark(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    void *object = object_at(page, slot);
    uint64_t word = *word_of(object), offset = shadow_offset(&heap->shadow, object);
    if (!word || word & FLAG_APART || !mark(&heap->shadow, offset)) {
        bit_clear(bits_of(page, BIT_HELD), slot);
        return;
    }
    trial_set(heap, page, slot, object);
    heap->shadow.kinds[shadow_page(offset)] = SHADOW_ROOTS;
    heap->mark_stack[heap->mark_count++] = object;
    stack_mark(heap);
}

static void roots_mark(struct tally_heap *heap)
{
    for (struct page *page = heap->scope; page; page = page->next_scope)
        for (uint32_t word = 0; word < page->words; word++)
            for (uint64_t bits = bits_of(page, BIT_HELD)[word]; bits; bits &= bits - 1)
                root_mark(heap, page, word * 64 + (uint32_t)__builtin_ctzll(bits));
}

/* The slots of a word that have been taken at least once. */
static uint64_t word_used(const struct page *page, uint32_t word, struct stretch stretch)
{
    size_t used = page->slot_count - word * 64;
    if (stretch.first + 64 * stretch.bytes > page->bump && page->class_index != CLASS_LARGE)
        used = stretch.first > page->bump ? 0 : ((size_t)(page->bump - stretch.first) + WORD_BYTES) / stretch.bytes;
    return used < 64 ? ((uint64_t)1 << used) - 1 : UINT64_MAX;
}

/* Those of the slots whose objects are not apart; all that lives among the others is no member. */
static uint64_t members_among(struct page *page, struct stretch stretch, uint64_t slots, uint64_t *flags)
{
    uint64_t members = 0;
    for (; slots; slots &= slots - 1) {
        uint64_t word = *word_of(stretch_at(stretch, slots));
        if (word && !(word & FLAG_APART)) {
            members |= slots & -slots;
            *flags |= word;
        } else {
            page->whole &= !word;
        }
    }
    return members;
}

/* Every slot that has ever been taken holds an object, and all of them are marked. */
static bool is_full_of_marked(const struct tally_heap *heap, const struct page *page)
{
    const uint64_t *marked = &heap->shadow.marked[shadow_word(shadow_offset(&heap->shadow, base_of(page)))];
    uint64_t below = (uint64_t)(page->bump - base_of(page)) - page->first, count = 0;
    uint64_t taken = page->class_index == CLASS_LARGE ? 1 : below * page->reciprocal >> 32;
    if (page->used != taken)
        return false;
    for (unsigned at = 0; at < SHADOW_WORDS; at++)
        count += (uint64_t)__builtin_popcountll(marked[at]);
    return count == taken;
}

/* Members are what is alive, and the rest, which has its trial counts set. Returns how many. */
static uint64_t page_members(struct tally_heap *heap, struct page *page)
{
    uint64_t count = 0, flags = 0;
    bool full = is_full_of_marked(heap, page);
    page->whole = true;
    for (uint32_t word = 0; word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        uint64_t used = word_used(page, word, stretch), alive = used;
        if (used && !full)
            alive = shadow_gather(&heap->shadow, stretch.first, stretch.bytes, 64 - (unsigned)__builtin_clzll(used));
        uint64_t rest = members_among(page, stretch, used & ~alive, &flags);
        bits_of(page, BIT_ALIVE)[word] = alive;
        if (heap->run.apart)
            alive = members_among(page, stretch, alive, &flags);
        bits_of(page, BIT_MEMBER)[word] = alive | rest;
        count += (uint64_t)__builtin_popcountll(alive | rest);
        for (; rest; rest &= rest - 1)
            trial_set(heap, page, word * 64 + (uint32_t)__builtin_ctzll(rest), stretch_at(stretch, rest));
    }
    heap->run.mixed |= (flags & FLAGS_HEAVY) != 0;
    return count;
}

static bool roots_hold(const struct tally_heap *heap)
{
    for (const struct page *page = heap->scope; page; page = page->next_scope)
        for (uint32_t word = 0; word < page->words; word++)
            for (uint64_t bits = bits_of(page, BIT_HELD)[word]; bits; bits &= bits - 1) {
                uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
                if (!tally__held_outside(heap, page, object_at(page, slot)))
                    return false;
            }
    return true;
}

static void forget(struct tally_heap *heap)
{
    for (struct page *page = heap->scope; page; page = page->next_scope)
        memset(bits_of(page, BIT_HELD), 0, (size_t)page->words * 8);
    tally__scope_clear(heap);
    heap->held = heap->run.mixed = heap->run.outside = false;
    heap->run.record.examined = 0;
}

static bool has_entries(const struct tally_heap *heap)
{
    const struct wire_row *row = &heap->hot.pen.rows[TYPE_ENTRY];
    return row->allocated + row->moved_in != row->freed_refcount + row->freed_cycle + row->moved_out;
}

/* Weak maps' entries are not followed here, nor what is frozen kept apart. The dying have other things than
 * references in their slots. */
static bool can_guess(const struct tally_heap *heap)
{
    const struct run *run = &heap->run;
    return heap->held && run->scope == TALLY_SCOPE_HEAP && !run->sliced && !run->look && !run->nothing &&
           !heap->frozen && !heap->release_depth && !has_entries(heap);
}

bool tally__find_guess(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (!can_guess(heap) || !tally__shadow_open(heap))
        return true;
    pages_enter(heap);
    roots_mark(heap);
    for (struct page *page = heap->scope; page; page = page->next_scope)
        run->record.examined += page_members(heap, page);
    tally__members_subtract(heap);
    run->guessed = roots_hold(heap);
    if (!run->guessed)
        forget(heap);
    return true;
}
