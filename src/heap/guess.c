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

/* An edge to one that is marked already may be one to a guessed root: those alone have their mark. */
static FORCE_INLINE bool guess_reach(struct tally_heap *heap, void *child)
{
    if (!child || page_of(child)->run != heap->run_number)
        return false;
    struct page *page = page_of(child);
    uint32_t at = slot_of(page, child);
    if (!bit_get(bits_of(page, BIT_ALIVE), at)) {
        bit_set(bits_of(page, BIT_ALIVE), at);
        return true;
    }
    if (bit_get(bits_of(page, BIT_HELD), at))
        tally__subtract_member(heap, page, at, child);
    return false;
}

static FORCE_INLINE void guess_edge(void **slot, void *arg)
{
    if (guess_reach(arg, *slot))
        push(arg, page_of(*slot), slot_of(page_of(*slot), *slot), *slot);
}

/* As mark_edge_of_many() in find.c. */
static inline void guess_edge_of_many(void **slot, void *arg)
{
    if (guess_reach(arg, *slot))
        pend(arg, page_of(*slot), slot_of(page_of(*slot), *slot));
}

/* What is apart is no member: what it holds counts as held from outside. */
static FORCE_INLINE bool guess_through(struct tally_heap *heap, void *object)
{
    uint64_t word = *word_of(object);
    const struct tally_type *type = type_of_word(word);
    if (word & FLAG_APART) {
        heap->run.apart = true;
        return true;
    }
    return type->fixed || tally__slot_count(type, object) <= SLOTS_CHUNK
               ? slots_continue(heap, object, guess_edge, heap)
               : slots_continue(heap, object, guess_edge_of_many, heap);
}

/* What big objects hold, in the order of its addresses. */
static void word_through(struct tally_heap *heap, struct page *page, uint32_t word)
{
    struct stretch stretch = stretch_of(page, word);
    uint64_t bits = bits_of(page, BIT_PENDING)[word];
    bits_of(page, BIT_PENDING)[word] = 0;
    for (; bits; bits &= bits - 1) {
        heap->run.at = 0;
        guess_through(heap, stretch_at(stretch, bits));
    }
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
    uint64_t word = *word_of(object);
    if (!word || word & FLAG_APART || bit_get(bits_of(page, BIT_ALIVE), slot)) {
        bit_clear(bits_of(page, BIT_HELD), slot);
        return;
    }
    trial_set(heap, page, slot, object);
    bit_set(bits_of(page, BIT_ALIVE), slot);
    push(heap, page, slot, object);
    stack_drain(heap, guess_through);
    flagged_drain(heap, word_through, guess_through);
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

/* Members are what is alive, and the rest, which has its trial counts set. Returns how many. */
static uint64_t page_members(struct tally_heap *heap, struct page *page)
{
    uint64_t count = 0, flags = 0;
    page->whole = true;
    for (uint32_t word = 0; word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        uint64_t alive = bits_of(page, BIT_ALIVE)[word];
        uint64_t rest = members_among(page, stretch, word_used(page, word, stretch) & ~alive, &flags);
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
    if (!can_guess(heap))
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
