/* Generations: which objects are in which, when the young one is full, and what freezing does. */
#include "heap/internal.h"

void tally__young_page(struct tally_heap *heap, struct page *page)
{
    if (page->young)
        return;
    page->young = true;
    page->next_young = heap->young_pages;
    heap->young_pages = page;
}

static void middle_page(struct tally_heap *heap, struct page *page)
{
    if (page->middle)
        return;
    page->middle = true;
    page->next_middle = heap->middle_pages;
    heap->middle_pages = page;
}

void tally__generation_set(void *object, int generation)
{
    struct page *page = page_of(object);
    uint32_t slot = slot_of(page, object);
    bit_clear(page->bits[BIT_MIDDLE], slot);
    bit_clear(page->bits[BIT_OLD], slot);
    bit_clear(page->bits[BIT_FROZEN], slot);
    if (generation == 0) {
        tally__young_page(page->heap, page);
    } else if (generation == 1) {
        bit_set(page->bits[BIT_MIDDLE], slot);
        middle_page(page->heap, page);
    } else {
        bit_set(page->bits[generation == 2 ? BIT_OLD : BIT_FROZEN], slot);
    }
}

int tally_generation(const void *object)
{
    const struct page *page = page_of(object);
    if (!page->tracked)
        return TALLY_EINVAL;
    uint32_t slot = slot_of(page, object);
    return bit_get(page->bits[BIT_FROZEN], slot)   ? TALLY_GENERATION_FROZEN
           : bit_get(page->bits[BIT_OLD], slot)    ? 2
           : bit_get(page->bits[BIT_MIDDLE], slot) ? 1
                                                   : 0;
}

void tally__limit_update(struct tally_heap *heap)
{
    bool automatic = heap->enabled && heap->thresholds[0] && !heap->collecting;
    heap->hot.young_limit = automatic ? heap->thresholds[0] : UINT64_MAX;
}

/* CPython 3.11's gc_collect_generations(): the oldest generation that is over its threshold; the oldest of
 * all only where what is pending has grown to a quarter of what survived the last full run. */
void tally__collect_automatic(struct tally_heap *heap)
{
    if (!heap->enabled || !heap->thresholds[0] || heap->hot.young_count <= heap->thresholds[0])
        return;
    int generation = 0;
    for (int i = 2; i > 0 && !generation; i--)
        if (heap->counts[i] > heap->thresholds[i] &&
            (i < 2 || heap->long_lived_pending >= heap->long_lived_total / 4))
            generation = i;
    tally__collect(heap,
                   &(struct collect_request){.generation = generation, .reason = TALLY_REASON_THRESHOLD});
}

void tally_enable(struct tally_heap *heap)
{
    heap->enabled = true;
    tally__limit_update(heap);
    tally__summary(heap);
}

void tally_disable(struct tally_heap *heap)
{
    heap->enabled = false;
    tally__limit_update(heap);
    tally__summary(heap);
}

bool tally_is_enabled(const struct tally_heap *heap)
{
    return heap->enabled;
}

int tally_set_thresholds(struct tally_heap *heap, const uint32_t thresholds[3])
{
    for (int i = 0; i < 3; i++)
        if (thresholds[i] > INT32_MAX)
            return TALLY_EINVAL;
    for (int i = 0; i < 3; i++)
        heap->thresholds[i] = thresholds[i];
    tally__limit_update(heap);
    tally__summary(heap);
    return 0;
}

void tally_get_thresholds(const struct tally_heap *heap, uint32_t thresholds[3])
{
    for (int i = 0; i < 3; i++)
        thresholds[i] = heap->thresholds[i];
}

void tally_counts(const struct tally_heap *heap, uint64_t counts[3])
{
    counts[0] = heap->hot.young_count;
    counts[1] = heap->counts[1];
    counts[2] = heap->counts[2];
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
            if (word && !(word & FLAG_GONE) && (freeze || bit_get(page->bits[BIT_FROZEN], slot)))
                tally__generation_set(object, freeze ? TALLY_GENERATION_FROZEN : 2);
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
            for (uint64_t bits = page->bits[BIT_FROZEN][word]; bits; bits &= bits - 1)
                count += *word_of(object_at(page, word * 64 + (uint32_t)__builtin_ctzll(bits))) != 0;
    }
    return count;
}

void tally_freeze(struct tally_heap *heap)
{
    frozen_each(heap, true);
    heap->hot.young_count = heap->counts[1] = heap->counts[2] = 0;
    heap->frozen = tally__frozen_count(heap);
    tally__summary(heap);
}

void tally_unfreeze(struct tally_heap *heap)
{
    frozen_each(heap, false);
    heap->frozen = 0;
    tally__summary(heap);
}
