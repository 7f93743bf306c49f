/* The set that a run is about: members, which of them are alive, and what is left: trash. Bits of the pages
 * in heap->scope, valid for one run. */
#include <string.h>

#include "heap/internal.h"

bool tally__is_trash(const struct tally_heap *heap, const void *object)
{
    const struct page *page = page_of(object);
    if (!heap->run.decided || !page->tracked)
        return false;
    uint32_t slot = slot_of(page, object);
    return is_member(heap, page, slot) && !bit_get(bits_of(page, BIT_ALIVE), slot);
}

void tally__member_drop(struct tally_heap *heap, const void *object)
{
    struct page *page = page_of(object);
    if (page->tracked && page->run == heap->run_number)
        bit_clear(bits_of(page, BIT_MEMBER), slot_of(page, object));
    if (heap->run.open == object)
        heap->run.open = NULL;
}

void tally__trial_hub(struct tally_heap *heap, const void *object, uint64_t count)
{
    if (!map_put(&heap->hubs, (uintptr_t)object, count))
        heap->deferred = true; /* no room: held for good */
}

void tally__scope_clear(struct tally_heap *heap)
{
    heap->run_number++;
    heap->scope = NULL;
    heap->scope_end = &heap->scope;
    heap->mark_count = 0;
    heap->flagged = false;
    map_clear(&heap->hubs);
}

/* Post-condition: the page's side data is of this run, without members. */
void tally__page_enter(struct tally_heap *heap, struct page *page)
{
    size_t bytes = (size_t)page->words * 8;
    page->run = heap->run_number;
    page->flagged = page->recounted = page->merged = page->whole = false;
    page->only = NULL;
    memset(bits_of(page, BIT_MEMBER), 0, bytes);
    memset(bits_of(page, BIT_ALIVE), 0, bytes);
    memset(bits_of(page, BIT_PENDING), 0, bytes);
    page->next_scope = NULL;
    *heap->scope_end = page;
    heap->scope_end = &page->next_scope;
}

void tally__member_add(struct tally_heap *heap, void *object)
{
    struct page *page = page_of(object);
    if (page->run != heap->run_number)
        tally__page_enter(heap, page);
    uint32_t slot = slot_of(page, object);
    bit_set(bits_of(page, BIT_MEMBER), slot);
    page->only = NULL;
    bit_clear(bits_of(page, BIT_ALIVE), slot);
    trial_set(heap, page, slot, object);
}

int tally__generation_after(const struct run *run)
{
    return run->generation < 2 && run->scope != TALLY_SCOPE_CANDIDATES ? run->generation + 1 : 2;
}

void tally__find_restart(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    run->page = heap->scope;
    run->word = 0;
    run->passed = 0;
    run->open = NULL;
    run->at = 0;
}

/* While the trash is being counted again, what is touched before its turn leaves it, and counts as outside.
 */
bool tally__find_spare(struct tally_heap *heap, void *object)
{
    struct page *page = page_of(object);
    if (heap->run.phase != RUN_REST || page->recounted)
        return false;
    tally__generation_set(object, tally__generation_after(&heap->run));
    bit_set(bits_of(page, BIT_ALIVE), slot_of(page, object));
    return true;
}

bool tally__find_rest(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (!run->host_ran)
        return true;
    if (run->page == heap->scope)
        map_clear(&heap->hubs);
    for (; run->page; run->page = run->page->next_scope) {
        struct page *page = run->page;
        page->recounted = true;
        for (uint32_t word = 0; word < page->words; word++) {
            bits_of(page, BIT_MEMBER)[word] &= ~bits_of(page, BIT_ALIVE)[word];
            bits_of(page, BIT_ALIVE)[word] = 0;
            for (uint64_t bits = bits_of(page, BIT_MEMBER)[word]; bits; bits &= bits - 1) {
                uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
                trial_set(heap, page, slot, object_at(page, slot));
            }
        }
        if (!slice_spend(heap, page->slot_count / 8)) {
            run->page = page->next_scope;
            return !run->page;
        }
    }
    return true;
}

/* Members are not frozen. */
static void generation_add(struct page *page, uint32_t word, uint64_t slots, int generation)
{
    uint64_t *middle = &bits_of(page, BIT_MIDDLE)[word], *old = &bits_of(page, BIT_OLD)[word];
    *middle = generation == 1 ? *middle | slots : *middle & ~slots;
    *old = generation == 2 ? *old | slots : *old & ~slots;
    page->sided |= slots != 0;
}

/* Those of a word's members that are held for good: what the program has touched, while the run looked for
 * candidates' closures, may be garbage by now. */
static uint64_t word_touched(const struct page *page, uint32_t word, uint64_t alive)
{
    uint64_t touched = 0;
    for (; alive; alive &= alive - 1)
        if (trial_of(page)[word * 64 + (uint32_t)__builtin_ctzll(alive)] == TRIAL_HUB)
            touched |= alive & -alive;
    return touched;
}

static void page_promote(struct tally_heap *heap, struct page *page, int to)
{
    struct run *run = &heap->run;
    page->doomed = false;
    for (uint32_t word = 0; word < page->words; word++) {
        uint64_t members = bits_of(page, BIT_MEMBER)[word], alive = members & bits_of(page, BIT_ALIVE)[word];
        page->doomed |= members != alive;
        run->survivors += (uint64_t)__builtin_popcountll(alive);
        run->found += (uint64_t)__builtin_popcountll(members & ~alive);
        run->old_found += (uint64_t)__builtin_popcountll(members & ~alive & bits_of(page, BIT_OLD)[word]);
        if (run->sliced && run->scope == TALLY_SCOPE_CANDIDATES)
            alive &= ~word_touched(page, word, alive);
        if (!run->look) /* over all: to == 2 */
            generation_add(page, word, alive, to);
    }
    if (to == 1)
        tally__list_add(&heap->lists[LIST_MIDDLE], page, LIST_MIDDLE);
}

/* Post-condition: survivors are in the next generation, and counted; what candidates reached is old. */
bool tally__find_promote(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (run->phase == RUN_PROMOTE_REST && !run->host_ran)
        return true;
    int to = tally__generation_after(run);
    for (; run->page; run->page = run->page->next_scope) {
        page_promote(heap, run->page, to);
        if (!slice_spend(heap, run->page->slot_count / 8)) {
            run->page = run->page->next_scope;
            return !run->page;
        }
    }
    return true;
}

void tally__trash_fetch(const struct page *page)
{
    for (uint32_t word = 0; page && word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        uint64_t trash = bits_of(page, BIT_MEMBER)[word] & ~bits_of(page, BIT_ALIVE)[word];
        for (; trash; trash &= trash - 1)
            __builtin_prefetch(word_of(stretch_at(stretch, trash)), 1);
    }
}

/* fn may free members and anything else: the bits are read again after each call. */
bool tally__trash_each(struct tally_heap *heap, member_fn fn)
{
    struct run *run = &heap->run;
    for (; run->page; run->page = run->page->next_scope, run->word = 0) {
        tally__trash_fetch(run->page->next_scope);
        for (; run->word < run->page->words; run->word++, run->passed = 0)
            for (;;) {
                const struct page *page = run->page;
                uint64_t bits =
                    bits_of(page, BIT_MEMBER)[run->word] & ~bits_of(page, BIT_ALIVE)[run->word] & ~run->passed;
                if (!bits)
                    break;
                uint64_t below = bits ^ (bits - 1); /* this bit and all below it */
                if (!fn(heap, object_at(page, run->word * 64 + (uint32_t)__builtin_ctzll(bits))))
                    return false;
                run->passed |= below;
                if (!slice_spend(heap, 1))
                    return false;
            }
    }
    return true;
}
