/* Exploring: the closures of candidates, as far as barriers let through, become the members of a run (find.c). */
#include <string.h>

#include "heap/trace.h"

/* Old objects have survived a collection and are likely to live: a few are entered, and no big ones. */
static bool is_barrier(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    struct run *run = &heap->run;
    if (!bit_get(bits_of(page, BIT_OLD), slot) || bit_get(bits_of(page, BIT_CANDIDATE), slot))
        return false;
    size_t slots = tally__slot_count(type_of(object), object);
    if (slots >= run->follow) {
        heap->deferred = true;
        return true;
    }
    run->follow -= 1 + (uint32_t)(slots / 8);
    return false;
}

static bool enter(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    uint64_t word = *word_of(object);
    if (word & FLAG_APART || bit_get(bits_of(page, BIT_FROZEN), slot) || is_barrier(heap, page, slot, object))
        return false;
    if (page->run != heap->run_number)
        tally__page_enter(heap, page);
    if (bit_get(bits_of(page, BIT_CANDIDATE), slot))
        tally__candidate_take(heap, page, slot);
    bit_clear(bits_of(page, BIT_PENDING), slot);
    bit_set(bits_of(page, BIT_MEMBER), slot);
    page->only = NULL;
    trial_set(heap, page, slot, object);
    heap->run.record.examined++;
    heap->run.mixed |= (word & FLAGS_HEAVY) != 0;
    push(heap, page, slot, object);
    return true;
}

static void explore_edge(void **slot, void *arg)
{
    struct tally_heap *heap = arg;
    void *child = *slot;
    if (!child)
        return;
    struct page *page = page_of(child);
    uint32_t at = slot_of(page, child);
    if (page->tracked && (is_member(heap, page, at) || enter(heap, page, at, child)))
        tally__subtract_member(heap, page, at, child);
    else
        heap->run.outside = true;
}

/* The entry of a weak map that leads from its key to its value. */
static void explore_entries_of(struct tally_heap *heap, const void *key)
{
    for (struct tally_weak *weak = tally__weak_first(heap, key); weak; weak = weak->next_private)
        if (type_of(weak)->index == TYPE_ENTRY) {
            struct page *page = page_of(weak);
            uint32_t slot = slot_of(page, weak);
            if (!is_member(heap, page, slot))
                enter(heap, page, slot, weak);
        }
}

static bool explore_through(struct tally_heap *heap, void *object)
{
    if (*word_of(object) & FLAG_WEAK && !heap->run.at)
        explore_entries_of(heap, object);
    return slots_continue(heap, object, explore_edge, heap);
}

static void candidate_enter(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    if (bit_get(bits_of(page, BIT_CANDIDATE), slot) && !enter(heap, page, slot, object_at(page, slot)))
        tally__candidate_take(heap, page, slot); /* frozen, immortal, dying or under construction */
}

/* A page's pending bits are candidates, or members that did not fit the stack. They are taken together, so that what
 * they hold can be fetched while others are gone through; and they share what they may follow. */
static void page_take(struct tally_heap *heap, struct page *page)
{
    for (uint32_t word = 0; word < page->words; word++) {
        uint64_t pending = bits_of(page, BIT_PENDING)[word], members = pending & bits_of(page, BIT_MEMBER)[word];
        bits_of(page, BIT_PENDING)[word] = 0;
        heap->run.follow += heap->follow * (uint32_t)__builtin_popcountll(pending);
        for (uint64_t bits = members; bits; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            push(heap, page, slot, object_at(page, slot));
        }
        for (uint64_t bits = pending & ~members; bits; bits &= bits - 1)
            candidate_enter(heap, page, word * 64 + (uint32_t)__builtin_ctzll(bits));
    }
}

static void pending_fetch(const struct page *page)
{
    for (uint32_t word = 0; page && page->flagged && word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        for (uint64_t bits = bits_of(page, BIT_PENDING)[word]; bits; bits &= bits - 1)
            __builtin_prefetch(word_of(stretch_at(stretch, bits)));
    }
}

static bool pending_explore(struct tally_heap *heap)
{
    while (heap->flagged) {
        heap->flagged = false;
        for (struct page *page = heap->scope; page; page = page->next_scope) {
            if (!page->flagged)
                continue;
            page->flagged = false;
            heap->run.follow = 0;
            page_take(heap, page);
            pending_fetch(page->next_scope);
            if (!stack_drain(heap, explore_through)) {
                heap->flagged = true; /* others may be */
                return false;
            }
        }
    }
    return true;
}

/* Most edges of dense pages lead to members there. */
static FORCE_INLINE void explore_edge_merged(void **slot, void *arg)
{
    struct edges *edges = arg;
    if (!*slot)
        return;
    const struct page *page = page_of(*slot);
    if (page->run == edges->heap->run_number && page->merged &&
        bit_get(bits_of(page, BIT_MEMBER), slot_of(page, *slot)))
        subtract_edge(slot, edges);
    else
        explore_edge(slot, edges->heap);
}

static bool word_explore(struct tally_heap *heap, struct edges *edges, struct page *page, uint32_t word)
{
    size_t units = 0;
    uint64_t members = bits_of(page, BIT_PENDING)[word] & bits_of(page, BIT_MEMBER)[word];
    bits_of(page, BIT_PENDING)[word] = 0;
    heap->run.follow = heap->follow * (uint32_t)__builtin_popcountll(members);
    struct stretch stretch = stretch_of(page, word);
    for (; members; members &= members - 1) {
        void *object = stretch_at(stretch, members);
        const struct tally_type *type = type_of(object);
        size_t count = type->fixed ? type->ref_count : tally__slot_count(type, object);
        if (count > SLOTS_CHUNK) {
            push(heap, page, word * 64 + (uint32_t)__builtin_ctzll(members), object);
            continue;
        }
        if (*word_of(object) & FLAG_WEAK)
            explore_entries_of(heap, object);
        slots_each(type, object, explore_edge_merged, edges);
        units += 1 + count;
    }
    return stack_drain(heap, explore_through) && slice_spend(heap, units);
}

/* Pages that are dense with candidates are gone through in order, from the cursor on. */
static bool merged_explore(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    struct edges edges;
    bool on = true;
    edges_init(&edges, heap);
    for (; on && run->page; run->page = on ? run->page->next_scope : run->page, run->word = on ? 0 : run->word)
        while (on && run->page->merged && run->word < run->page->words)
            on = word_explore(heap, &edges, run->page, run->word++);
    edges_end(&edges);
    return on;
}

/* Where old candidates hardly ever turn out to be garbage, those of most pages are struck off, unexplored. */
static bool is_spared(const struct tally_heap *heap, const struct page *page)
{
    return (page->serial + heap->old_turn) % heap->old_stride;
}

static void old_fetch(const struct page *page)
{
    for (uint32_t word = 0; page && word < page->words; word++) {
        uint64_t old = bits_of(page, BIT_CANDIDATE)[word] & bits_of(page, BIT_OLD)[word];
        struct stretch stretch = stretch_of(page, word);
        for (; old; old &= old - 1)
            __builtin_prefetch(word_of(stretch_at(stretch, old)), 1);
    }
}

static void old_spare(struct tally_heap *heap, struct page *page)
{
    uint64_t count = 0;
    for (uint32_t word = 0; word < page->words; word++) {
        uint64_t old = bits_of(page, BIT_CANDIDATE)[word] & bits_of(page, BIT_OLD)[word];
        struct stretch stretch = stretch_of(page, word);
        bits_of(page, BIT_CANDIDATE)[word] &= ~old;
        count += (uint64_t)__builtin_popcountll(old);
        for (; old; old &= old - 1)
            *word_of(stretch_at(stretch, old)) &= ~TALLY_FLAG_BUFFERED;
    }
    heap->candidate_count -= count;
    heap->deferred |= count > 0;
}

/* Those of a page that is entered already are members that the program has touched, and need not be explored. */
static void pend_candidates(struct tally_heap *heap, struct page *page)
{
    uint64_t any = 0;
    for (uint32_t word = 0; word < page->words; word++) {
        any |= bits_of(page, BIT_CANDIDATE)[word];
        heap->run.old_entered += (uint64_t)__builtin_popcountll(bits_of(page, BIT_CANDIDATE)[word] &
                                                                bits_of(page, BIT_OLD)[word]);
    }
    if (!any) {
        tally__list_remove(page, LIST_CANDIDATES);
        return;
    }
    if (page->run != heap->run_number)
        tally__page_enter(heap, page);
    for (uint32_t word = 0; word < page->words; word++)
        bits_of(page, BIT_PENDING)[word] = bits_of(page, BIT_CANDIDATE)[word] & ~bits_of(page, BIT_MEMBER)[word];
    page->flagged = heap->flagged = true;
}

/* Pages that are dense with candidates are merged, the candidates of others become pending. New pages with some come
 * before the cursor, and are the next run's. */
static bool candidates_take(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    for (struct page *page; (page = run->page);) {
        run->page = page->links[LIST_CANDIDATES].next;
        if (page->run != heap->run_number && tally__page_is_dense(page)) {
            run->record.examined += tally__page_merge(heap, page, MERGE_CANDIDATES);
        } else {
            if (is_spared(heap, page)) {
                old_fetch(run->page);
                old_spare(heap, page);
            }
            pend_candidates(heap, page);
        }
        if (!slice_spend(heap, page->merged ? page->slot_count : page->words))
            return false;
    }
    return true;
}

/* Post-condition: the candidates there were at the start, and what they reach, are members. */
bool tally__find_explore(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (run->scope != TALLY_SCOPE_CANDIDATES)
        return true;
    if (run->step == EXPLORE_BEGIN) {
        tally__weigh_candidates(heap);
        run->page = heap->lists[LIST_CANDIDATES];
        run->step = EXPLORE_TAKE;
    }
    if (run->step == EXPLORE_TAKE) {
        if (!candidates_take(heap))
            return false;
        tally__find_restart(heap);
        run->step = EXPLORE_FOLLOW;
    }
    if (!stack_drain(heap, explore_through) || !merged_explore(heap) || !pending_explore(heap))
        return false;
    while (!run->sliced && heap->lists[LIST_CANDIDATES]) /* all are taken; else the next run looks which pages have some */
        tally__list_remove(heap->lists[LIST_CANDIDATES], LIST_CANDIDATES);
    return true;
}
