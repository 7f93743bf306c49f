/* The start of a finding run (find.c): candidates lose their flags, and the pages of the generations asked for
 * enter the run, their live objects as members. */
#include <string.h>

#include "heap/fast.h"

/* ---- unflag */

uint64_t tally__page_unflag(const struct page *page)
{
    uint64_t count = 0;
    for (uint32_t word = 0; word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        for (uint64_t bits = bits_of(page, BIT_CANDIDATE)[word]; bits; bits &= bits - 1, count++)
            *word_of(stretch_at(stretch, bits)) &= ~TALLY_FLAG_BUFFERED;
    }
    return count;
}

/* Comes before the first count is read: from there on no decref may go unseen. Those who become candidates
 * meanwhile are not flagged. */
bool tally__find_unflag(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    for (; run->sliced && run->index < heap->page_count; run->index++) {
        const struct page *page = heap->pages[run->index];
        if (!page || !page->tracked || !page->links[LIST_CANDIDATES].at)
            continue;
        if (!slice_spend(heap, tally__page_unflag(page) + 1)) {
            run->index++;
            return false;
        }
    }
    run->index = 0;
    return true;
}

/* ---- merge */

/* Slots of a bitmap's word that a run over the generation leaves alone; one over candidates, all others. */
static uint64_t passed_over(const struct page *page, uint32_t word, int generation)
{
    if (generation == MERGE_CANDIDATES)
        return ~bits_of(page, BIT_CANDIDATE)[word] | bits_of(page, BIT_FROZEN)[word];
    return bits_of(page, BIT_FROZEN)[word] | (generation < 2 ? bits_of(page, BIT_OLD)[word] : 0) |
           (generation < 1 ? bits_of(page, BIT_MIDDLE)[word] : 0);
}

/* The members among the 64 slots from `slot` on; what else lives there is no member. */
static uint64_t word_merge(struct tally_heap *heap, struct page *page, uint32_t slot, uint64_t over)
{
    uint64_t members = 0, flags = 0;
    uint32_t slot_bytes = page->slot_bytes;
    unsigned most = page->slot_count - slot < 64 ? page->slot_count - slot : 64;
    char *object = object_at(page, slot), *end = page->bump;
    for (unsigned i = 0; i < most && object < end; i++, slot++, object += slot_bytes) {
        uint64_t word = *word_of(object);
        if (!word || word & FLAG_APART || over >> i & 1) {
            trial_of(page)[slot] = TRIAL_HUB; /* so that subtract looks closer */
            page->whole &= !word;
            continue;
        }
        members |= (uint64_t)1 << i;
        flags |= word;
        trial_set(heap, page, slot, object);
    }
    heap->run.mixed |= (flags & FLAGS_HEAVY) != 0;
    return members;
}

/* A whole-heap run looks at everything, candidates included. A younger one may take a candidate for alive
 * that an older object alone holds: it stays one; its flag goes, so that the next decref is seen. */
void tally__page_candidates(struct tally_heap *heap, struct page *page, int generation)
{
    if (!page->links[LIST_CANDIDATES].at)
        return;
    uint64_t count = tally__page_unflag(page);
    if (generation < 2)
        return;
    memset(bits_of(page, BIT_CANDIDATE), 0, (size_t)page->words * 8);
    heap->candidate_count -= count;
    tally__list_remove(page, LIST_CANDIDATES);
}

/* Half of what lives in it are candidates, or more: merged as one, they cost less. */
bool tally__page_is_dense(const struct page *page)
{
    uint32_t count = 0;
    for (uint32_t word = 0; word < page->words; word++)
        count += (uint32_t)__builtin_popcountll(bits_of(page, BIT_CANDIDATE)[word]);
    return count && 2 * count >= page->used;
}

static bool has_member(const struct page *page, int generation)
{
    for (uint32_t slot = 0; slot < page->slot_count && (char *)object_at(page, slot) < page->bump; slot++) {
        uint64_t word = *word_of(object_at(page, slot));
        if (word && !(word & FLAG_APART) && !(passed_over(page, slot / 64, generation) >> slot % 64 & 1))
            return true;
    }
    return false;
}

/* A page without members, frozen perhaps, is not written to. Candidates are pending as well: others of the page may become
 * members, in their turn. */
uint64_t tally__page_merge(struct tally_heap *heap, struct page *page, int generation)
{
    uint64_t count = 0;
    bool candidates = generation == MERGE_CANDIDATES;
    if (!candidates && !heap->run.look && (generation == 2 || heap->run.sliced))
        tally__page_candidates(heap, page, generation);
    if (!has_member(page, generation)) {
        if (candidates)
            tally__page_candidates(heap, page, 2);
        return 0;
    }
    tally__page_enter(heap, page);
    page->merged = page->whole = true;
    if (generation == 2)
        memset(bits_of(page, BIT_HELD), 0, (size_t)page->words * 8); /* mark finds them anew */
    for (uint32_t word = 0; word < page->words; word++) {
        uint64_t members = word_merge(heap, page, word * 64, passed_over(page, word, generation));
        bits_of(page, BIT_MEMBER)[word] = members;
        count += (uint64_t)__builtin_popcountll(members);
    }
    if (candidates) {
        memcpy(bits_of(page, BIT_PENDING), bits_of(page, BIT_MEMBER), (size_t)page->words * 8);
        tally__page_candidates(heap, page, 2);
    }
    return count;
}

/* The program has got hold of an object whose count has not been read: by way of it, perhaps, of one whose
 * count has been. Its page is merged at once; in a run over candidates it becomes a member that is held, and
 * need not be explored. */
bool tally__find_early(struct tally_heap *heap, void *object)
{
    struct run *run = &heap->run;
    struct page *page = page_of(object);
    uint32_t slot = slot_of(page, object);
    if (run->phase == RUN_MERGE && page->run != heap->run_number) {
        if (page->links[LIST_MERGE].at)
            tally__list_remove(page, LIST_MERGE);
        else if (run->generation < 2)
            return false;
        run->record.examined += tally__page_merge(heap, page, run->generation);
        return is_member(heap, page, slot);
    }
    if (run->phase != RUN_EXPLORE || *word_of(object) & FLAG_APART || bit_get(bits_of(page, BIT_FROZEN), slot))
        return false;
    if (page->run != heap->run_number)
        tally__page_enter(heap, page);
    bit_set(bits_of(page, BIT_MEMBER), slot);
    page->only = NULL;
    bit_clear(bits_of(page, BIT_ALIVE), slot); /* of one that died in the slot */
    bit_clear(bits_of(page, BIT_PENDING), slot);
    trial_of(page)[slot] = TRIAL_HUB;
    return true;
}

/* The next page to merge: of the to-do list, or in a whole-heap run of the page table. */
static struct page *merge_next(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    struct page *page = heap->lists[LIST_MERGE];
    if (page) {
        tally__list_remove(page, LIST_MERGE);
        return page;
    }
    while (run->generation == 2 && run->index < heap->page_count) {
        page = heap->pages[run->index++];
        if (page && page->tracked && page->run != heap->run_number)
            return page;
    }
    return NULL;
}

bool tally__find_merge(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (run->scope == TALLY_SCOPE_CANDIDATES || run->nothing || run->guessed)
        return true;
    for (struct page *page; (page = merge_next(heap));) {
        run->record.examined += tally__page_merge(heap, page, run->generation);
        if (!slice_spend(heap, page->slot_count))
            return false;
    }
    return true;
}
