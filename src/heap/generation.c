/* Generations: which objects are in which, and what freezing does. */
#include "heap/internal.h"

void tally__generation_set(void *object, int generation)
{
    struct page *page = page_of(object);
    uint32_t slot = slot_of(page, object);
    page->sided = true;
    bit_clear(bits_of(page, BIT_MIDDLE), slot);
    bit_clear(bits_of(page, BIT_OLD), slot);
    bit_clear(bits_of(page, BIT_FROZEN), slot);
    if (generation == 0) {
        tally__list_add(&page->heap->lists[LIST_YOUNG], page, LIST_YOUNG);
    } else if (generation == 1) {
        bit_set(bits_of(page, BIT_MIDDLE), slot);
        tally__list_add(&page->heap->lists[LIST_MIDDLE], page, LIST_MIDDLE);
    } else {
        bit_set(bits_of(page, generation == 2 ? BIT_OLD : BIT_FROZEN), slot);
    }
}

int tally_generation(const void *object)
{
    const struct page *page = page_of(object);
    if (!page->tracked)
        return TALLY_EINVAL;
    uint32_t slot = slot_of(page, object);
    return bit_get(bits_of(page, BIT_FROZEN), slot)   ? TALLY_GENERATION_FROZEN
           : bit_get(bits_of(page, BIT_OLD), slot)    ? 2
           : bit_get(bits_of(page, BIT_MIDDLE), slot) ? 1
                                                   : 0;
}

static bool page_is_old(const struct page *page)
{
    const char *object = object_at(page, 0);
    for (uint32_t slot = 0; slot < page->slot_count && object < page->bump; slot++, object += page->slot_bytes)
        if (*word_of(object) && !bit_get(bits_of(page, BIT_OLD), slot) && !bit_get(bits_of(page, BIT_FROZEN), slot))
            return false;
    return true;
}

bool tally__nothing_young(const struct tally_heap *heap)
{
    for (unsigned list = LIST_YOUNG; list <= LIST_MIDDLE; list++)
        for (const struct page *page = heap->lists[list]; page; page = page->links[list].next)
            if (!page_is_old(page))
                return false;
    return true;
}

/* All pages that may hold something; bits of free slots below bump are stale and are passed over by the word.
 */
static void frozen_each(struct tally_heap *heap, bool freeze)
{
    for (uint32_t i = 0; i < heap->page_count; i++) {
        struct page *page = heap->pages[i];
        if (!page || !page->tracked)
            continue;
        for (uint32_t slot = 0; slot < page->slot_count && (char *)object_at(page, slot) < page->bump;
             slot++) {
            void *object = object_at(page, slot);
            uint64_t word = *word_of(object);
            if (!word || word & FLAG_GONE || !(freeze || bit_get(bits_of(page, BIT_FROZEN), slot)))
                continue;
            tally__generation_set(object, freeze ? TALLY_GENERATION_FROZEN : 2);
            if (freeze && bit_get(bits_of(page, BIT_CANDIDATE), slot))
                tally__candidate_take(heap, page, slot);
        }
    }
}

uint64_t tally__frozen_count(const struct tally_heap *heap)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < heap->page_count; i++) {
        const struct page *page = heap->pages[i];
        if (!page || !page->tracked)
            continue;
        for (uint32_t word = 0; word < page->words; word++)
            for (uint64_t bits = bits_of(page, BIT_FROZEN)[word]; bits; bits &= bits - 1)
                count += *word_of(object_at(page, word * 64 + (uint32_t)__builtin_ctzll(bits))) != 0;
    }
    return count;
}

/* Candidates are struck off, so that a forked child's runs write no frozen object; unfreeze makes up for it.
 */
void tally_freeze(struct tally_heap *heap)
{
    if (heap->run.phase && !heap->collecting)
        tally__run_settle(heap);
    frozen_each(heap, true);
    heap->hot.young_count = heap->counts[1] = heap->counts[2] = 0;
    heap->frozen = tally__frozen_count(heap);
    tally__summary(heap);
}

void tally_unfreeze(struct tally_heap *heap)
{
    frozen_each(heap, false);
    heap->frozen = 0;
    heap->complete = false; /* what became garbage among the frozen has no candidate */
    tally__limit_update(heap);
    tally__summary(heap);
}

uint64_t tally_freeze_count(const struct tally_heap *heap)
{
    return tally__frozen_count(heap);
}
