/* Candidates: objects that lost a reference and lived, or that became part of something in no other visible
 * way (stolen or moved into a slot, published). A garbage cycle has one among its members, or among what
 * reaches it: only their closures need to be searched.
 *
 * A candidate is a bit beside the object; the BUFFERED flag of its word keeps the inline decref from coming
 * here again. While a run in slices is open nothing is flagged, so that every decref between two slices is
 * seen: what the program lets go of, or gets hold of, while the run is finding, is touched, and stays alive
 * for this run, even where the run has not come to it yet. As a candidate it is examined by the next. */
#include "heap/fast.h"

void tally__touch(struct tally_heap *heap, void *object)
{
    struct page *page = page_of(object);
    if (!page->tracked)
        return;
    uint32_t slot = slot_of(page, object);
    bool member = page->run == heap->run_number && bit_get(bits_of(page, BIT_MEMBER), slot);
    if (!member && !tally__find_early(heap, object))
        return;
    if (bit_get(bits_of(page, BIT_ALIVE), slot) || tally__find_spare(heap, object))
        return;
    /* Held for good: a root of mark, which also goes through those that it has passed. */
    uint64_t *count = trial_of(page)[slot] == TRIAL_HUB ? map_get(&heap->hubs, (uintptr_t)object) : NULL;
    trial_of(page)[slot] = TRIAL_HUB;
    if (count)
        *count = UINT64_MAX / 2;
    if (heap->run.phase != RUN_MARK && heap->run.phase != RUN_MARK_REST)
        return;
    bit_set(bits_of(page, BIT_ALIVE), slot);
    if (heap->mark_count < MARK_STACK_ENTRIES) {
        heap->mark_stack[heap->mark_count++] = object;
    } else {
        bit_set(bits_of(page, BIT_PENDING), slot);
        page->flagged = heap->flagged = true;
    }
}

static inline void candidate_set(struct tally_heap *heap, struct page *page, void *object)
{
    uint32_t slot = slot_of(page, object);
    uint64_t *bits = &bits_of(page, BIT_CANDIDATE)[slot / 64], bit = (uint64_t)1 << slot % 64;
    if (*bits & bit)
        return;
    *bits |= bit;
    if (!(page->odd & ODD_CANDIDATES))
        tally__list_add(&heap->lists[LIST_CANDIDATES], page, LIST_CANDIDATES);
    if (++heap->candidate_count >= heap->candidate_limit)
        heap->hot.young_limit = 0;
}

void tally__stress(struct tally_heap *heap)
{
    if (heap->collecting || heap->release_depth || heap->manager < TALLY_MANAGER_GENERATIONAL)
        return;
    tally__collect(heap, &(struct collect_request){
                             .generation = 2, .reason = TALLY_REASON_STRESS, .scope = TALLY_SCOPE_HEAP});
}

/* A freed slot's word is 0, and so has no type; the count of the dying is a cursor or a link. */
bool tally__is_gone(struct tally_heap *heap, void *object)
{
    uint64_t *word = word_of(object);
    bool freed = !(*word >> TALLY_TYPE_SHIFT & 0xffff);
    if (!freed && !(*word & FLAG_GONE))
        return false;
    *word = freed ? 0 : *word + TALLY_COUNT_ONE;
    tally__report(heap, TALLY_REPORT_DECREF, freed ? NULL : type_of(object),
                  "a reference to an object that %s is given back", freed ? "has been freed" : "is dying");
    return true;
}

/* While a run is open, deaths wait, or every decref is stressed. */
static __attribute__((noinline)) void candidate_more(struct tally_heap *heap, struct page *page, void *object)
{
    if (tally__is_gone(heap, object))
        return;
    if (heap->armed)
        tally__touch(heap, object); /* may strike it off */
    if (!heap->run.phase || !heap->run.sliced)
        *word_of(object) |= TALLY_FLAG_BUFFERED;
    candidate_set(heap, page, object);
    if (heap->stress_decref) {
        *word_of(object) &= ~TALLY_FLAG_BUFFERED;
        tally__stress(heap);
    }
}

void tally__candidate(void *object)
{
    struct page *page = page_of(object);
    struct tally_heap *heap = page->heap;
    uint64_t word = *word_of(object);
    if (type_index_of(word) - 1 >= heap->hot.direct_limit || word & FLAG_GONE) {
        candidate_more(heap, page, object);
        return;
    }
    *word_of(object) = word | TALLY_FLAG_BUFFERED;
    candidate_set(heap, page, object);
}

void tally__candidate_take(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    *word_of(object_at(page, slot)) &= ~TALLY_FLAG_BUFFERED;
    tally__candidate_drop(heap, page, slot);
}

void tally__candidate_drop(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    if (!bit_get(bits_of(page, BIT_CANDIDATE), slot))
        return;
    bit_clear(bits_of(page, BIT_CANDIDATE), slot);
    heap->candidate_count--;
}
