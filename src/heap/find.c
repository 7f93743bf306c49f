/* Finding garbage: trial deletion on side data. The real counts are read, never written, so that a run leaves
 * nothing to restore and can be given up at any instant.
 *
 *   unflag     in slices: no candidate is flagged any more (candidate.c)
 *   guess      what lives is marked before anything is counted, where the last run knows from where (guess.c)
 *   weigh      sets that hold themselves alone are trash at once (weigh.c), before explore or subtract
 *   merge      members = the live objects of the generations asked for; trial = their counts
 *   explore    instead, for candidates: members = what they reach, as far as barriers let through;
 *              trial = counts less the references that members hold (explore.c)
 *   subtract   trial = references from outside of the members
 *   mark       alive = members that have such a reference, and all members that they reach
 *   promote    survivors are in the next generation; what is left is trash: member and not alive
 *   rest       members = the trash; its trial = their counts of now; subtract and mark follow once more
 *
 * Any set of members will do: what is left out counts as outside, and so keeps alive. That is why barriers
 * are safe, and why a young run needs no write barrier.
 *
 * Between slices the program runs. What it can reach is never taken for trash, because
 *  - a member's trial is read before a reference to it is subtracted, so references from C count as outside;
 *  - what the program stores is touched (candidate.c), so that a reference made since is not taken off a
 *    count that was read before it;
 *  - what it takes out of an object, or lets go of, is touched, and so is marked even where its holder has
 *    been gone through already (Yuasa's snapshot at the beginning);
 *  - at the decision no death is pending (manager.c), so that nothing dead still holds a member.
 */
#include <string.h>

#include "heap/trace.h"

/* ---- subtract */

/* Takes an edge off the count. One more than was counted: the object is held for good. */
void tally__subtract_member(struct tally_heap *heap, struct page *page, uint32_t slot, const void *child)
{
    uint16_t *trial = &trial_of(page)[slot];
    uint64_t *hub = *trial == TRIAL_HUB ? map_get(&heap->hubs, (uintptr_t)child) : NULL;
    if (hub && *hub) {
        --*hub;
    } else if (*trial && *trial != TRIAL_HUB) {
        --*trial;
    } else if (hub || !*trial) {
        if (hub)
            *hub = UINT64_MAX / 2;
        *trial = TRIAL_HUB;
        if (heap->run.sliced)
            return; /* made since the count was read */
        tally__report(
            heap, TALLY_REPORT_EDGES, type_of(child),
            "more references to an object are found than it counts: a traverse reports one twice, or "
            "a slot was written past the library");
    }
}

void tally__subtract_rare(struct tally_heap *heap, void *child)
{
    struct page *page = page_of(child);
    uint32_t slot = slot_of(page, child);
    if (is_member(heap, page, slot))
        tally__subtract_member(heap, page, slot, child);
    else
        heap->run.outside = true;
}

/* The members of a word that the cursor has not passed. */
static bool word_subtract(struct tally_heap *heap, struct edges *edges)
{
    struct run *run = &heap->run;
    struct page *page = run->page;
    struct stretch stretch = stretch_of(page, run->word);
    uint64_t bits = bits_of(page, BIT_MEMBER)[run->word] & ~bits_of(page, BIT_ALIVE)[run->word] & ~run->passed;
    for (; bits; bits &= bits - 1) {
        void *object = stretch_at(stretch, bits);
        run->at = 0;
        if (!slots_continue(heap, object, subtract_edge, edges)) {
            run->passed |= bits ^ (bits - 1); /* this bit and all below it */
            return false;
        }
    }
    return true;
}

static bool subtract_on(struct tally_heap *heap, struct edges *edges)
{
    struct run *run = &heap->run;
    if (run->open && !slots_continue(heap, run->open, subtract_edge, edges))
        return false;
    for (; run->page; run->page = run->page->next_scope, run->word = 0)
        for (; run->word < run->page->words; run->word++, run->passed = 0)
            if (!word_subtract(heap, edges))
                return false;
    return true;
}

static bool members_subtract(struct tally_heap *heap)
{
    struct edges edges;
    edges_init(&edges, heap);
    bool done = subtract_on(heap, &edges);
    edges_end(&edges);
    return done;
}

void tally__members_subtract(struct tally_heap *heap)
{
    tally__find_restart(heap);
    members_subtract(heap);
}

bool tally__find_subtract(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    bool done = run->guessed || run->scope == TALLY_SCOPE_CANDIDATES;
    if (!done && run->phase == RUN_SUBTRACT)
        done = run->weighed = tally__weigh_members(heap);
    return (run->phase == RUN_SUBTRACT ? done : !run->host_ran) || members_subtract(heap);
}

/* ---- mark */

/* Whether the object is a member that was not known to be alive yet. */
static FORCE_INLINE bool mark_alive(const struct tally_heap *heap, void *child)
{
    if (!child || page_of(child)->run != heap->run_number)
        return false;
    const struct page *page = page_of(child);
    uint32_t at = slot_of(page, child);
    if (bit_get(bits_of(page, BIT_ALIVE), at) || !bit_get(bits_of(page, BIT_MEMBER), at))
        return false;
    bit_set(bits_of(page, BIT_ALIVE), at);
    return true;
}

static inline void mark_object(struct tally_heap *heap, void *child)
{
    if (mark_alive(heap, child))
        push(heap, page_of(child), slot_of(page_of(child), child), child);
}

static FORCE_INLINE void mark_edge(void **slot, void *arg)
{
    mark_object(arg, *slot);
}

/* What a big object holds is gone through in the order of its addresses, page by page. */
static inline void mark_edge_of_many(void **slot, void *arg)
{
    if (mark_alive(arg, *slot))
        pend(arg, page_of(*slot), slot_of(page_of(*slot), *slot));
}

static bool is_alive(const struct tally_heap *heap, const void *object)
{
    const struct page *page = page_of(object);
    if (!page->tracked)
        return true;
    uint32_t slot = slot_of(page, object);
    return !is_member(heap, page, slot) || bit_get(bits_of(page, BIT_ALIVE), slot);
}

/* Entries of weak maps are ephemerons: their value is reached only where the key is alive too. */
static void mark_entry(struct tally_heap *heap, void *entry)
{
    const void *key = tally__entry_key(entry);
    if (key && is_alive(heap, key))
        mark_object(heap, tally__entry_value(entry));
}

static void mark_entries_of(struct tally_heap *heap, const void *key)
{
    for (struct tally_weak *weak = tally__weak_first(heap, key); weak; weak = weak->next_private)
        if (type_of(weak)->index == TYPE_ENTRY && is_alive(heap, weak))
            mark_object(heap, tally__entry_value(weak));
}

static bool mark_through(struct tally_heap *heap, void *object)
{
    uint64_t word = *word_of(object);
    if (word & FLAG_WEAK && !heap->run.at)
        mark_entries_of(heap, object);
    const struct tally_type *type = type_of_word(word);
    if (type->index != TYPE_ENTRY)
        return type->fixed || tally__slot_count(type, object) <= SLOTS_CHUNK
                   ? slots_continue(heap, object, mark_edge, heap)
                   : slots_continue(heap, object, mark_edge_of_many, heap);
    mark_entry(heap, object);
    return slice_spend(heap, 1);
}

/* Onto the stack, which is empty: the first on top. */
static void stretch_push(struct tally_heap *heap, const struct page *page, uint32_t word, uint64_t bits)
{
    for (; bits; bits &= ~((uint64_t)1 << 63 >> __builtin_clzll(bits)))
        heap->mark_stack[heap->mark_count++] = object_at(page, word * 64 + 63 - (uint32_t)__builtin_clzll(bits));
}

/* Goes through what is pending in a page's words, which is pushed in the order of its addresses. */
static bool page_drain(struct tally_heap *heap, struct page *page)
{
    for (uint32_t word = 0; word < page->words; word++)
        while (bits_of(page, BIT_PENDING)[word]) {
            stretch_push(heap, page, word, bits_of(page, BIT_PENDING)[word] & bits_of(page, BIT_MEMBER)[word]);
            bits_of(page, BIT_PENDING)[word] = 0;
            if (!stack_drain(heap, mark_through))
                return false;
        }
    return true;
}

static bool flagged_drain(struct tally_heap *heap)
{
    while (heap->flagged) {
        heap->flagged = false;
        for (struct page *page = heap->scope; page; page = page->next_scope) {
            if (!page->flagged)
                continue;
            page->flagged = false;
            if (!page_drain(heap, page)) {
                page->flagged = heap->flagged = true;
                return false;
            }
        }
    }
    return true;
}

bool tally__held_outside(const struct tally_heap *heap, const struct page *page, const void *object)
{
    uint16_t trial = trial_of(page)[slot_of(page, object)];
    if (trial != TRIAL_HUB)
        return trial;
    const uint64_t *count = map_get(&heap->hubs, (uintptr_t)object);
    return !count || *count;
}

/* Whether one of a word's slots has a trial count, or had one. Most words have none. */
static bool has_trial(const struct page *page, uint32_t word)
{
    uint32_t slots = page->slot_count - word * 64 < 64 ? page->slot_count - word * 64 : 64;
    uint64_t any = 0;
    for (uint32_t slot = 0; slot < slots; slot += 4) {
        uint64_t four; /* as layout() has made room for */
        memcpy(&four, &trial_of(page)[word * 64 + slot], sizeof four);
        any |= four;
    }
    return any;
}

/* Marks the members of the word at the cursor that are held from outside. Returns the work done. */
static size_t word_mark(struct tally_heap *heap)
{
    size_t units = 4;
    struct page *page = heap->run.page;
    uint32_t word = heap->run.word;
    if (!has_trial(page, word))
        return units;
    uint64_t bits = bits_of(page, BIT_MEMBER)[word] & ~bits_of(page, BIT_ALIVE)[word];
    for (; bits; bits &= bits - 1) {
        uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
        if (!trial_of(page)[slot] || !tally__held_outside(heap, page, object_at(page, slot)))
            continue;
        units++;
        mark_object(heap, object_at(page, slot));
        if (heap->run.scope != TALLY_SCOPE_HEAP || heap->run.sliced)
            continue;
        bit_set(bits_of(page, BIT_HELD), slot);
        page->sided = heap->held = true;
    }
    return units;
}

/* Keys that are no members are alive, and so may be the maps: their entries' values have kept the counts that
 * those hold, so that only members' entries need to be followed. */
bool tally__find_mark(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (run->phase == RUN_MARK ? run->weighed : !run->host_ran)
        return true;
    if (!stack_drain(heap, mark_through))
        return false;
    for (; run->page; run->page = run->page->next_scope, run->word = 0)
        for (; run->word < run->page->words; run->word++) {
            if (!slice_spend(heap, word_mark(heap)) || (heap->mark_count >= AHEAD && !stack_drain(heap, mark_through)))
                return false;
        }
    return stack_drain(heap, mark_through) && flagged_drain(heap);
}
