/* Trial deletion on side data. The real counts are read once, into the page's trial table, and never written,
 * so a run leaves nothing to restore and could stop at any instant.
 *
 *   members_merge   member = the live objects of the generations merged; trial = their counts
 *   trial, pass 1   trial = references from outside of the members
 *   trial, pass 2   alive = members that have such a reference, and all members that they reach
 *   what is left    trash = member and not alive
 */
#include <string.h>

#include "heap/internal.h"

static bool is_member(const struct tally_heap *heap, const struct page *page, const void *object)
{
    return page->run == heap->run && bit_get(page->bits[BIT_MEMBER], slot_of(page, object));
}

bool tally__is_trash(const struct tally_heap *heap, const void *object)
{
    const struct page *page = page_of(object);
    return heap->collecting && is_member(heap, page, object) &&
           !bit_get(page->bits[BIT_ALIVE], slot_of(page, object));
}

static void trial_set(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    uint64_t count = *word_of(object) >> TALLY_COUNT_SHIFT;
    page->trial[slot] = (uint16_t)(count < TRIAL_HUB ? count : TRIAL_HUB);
    if (count >= TRIAL_HUB) /* with no place left it has no entry, and counts as held from outside */
        map_put(&heap->hubs, (uintptr_t)object, count);
}

/* Post-condition: the page's side data is of this run, and its members of at most `generation` are marked. */
static uint64_t page_merge(struct tally_heap *heap, struct page *page, int generation)
{
    uint64_t count = 0;
    size_t bytes = (size_t)page->words * 8;
    page->run = heap->run;
    page->flagged = false;
    memset(page->bits[BIT_MEMBER], 0, bytes);
    memset(page->bits[BIT_ALIVE], 0, bytes);
    memset(page->bits[BIT_PENDING], 0, bytes);
    const char *bump = page->bump;
    for (uint32_t slot = 0; slot < page->slot_count; slot++) {
        char *object = object_at(page, slot);
        if (object >= bump)
            break;
        uint64_t word = *word_of(object);
        if (!word || word & FLAG_GONE || bit_get(page->bits[BIT_FROZEN], slot) ||
            (generation < 2 && bit_get(page->bits[BIT_OLD], slot)) ||
            (generation < 1 && bit_get(page->bits[BIT_MIDDLE], slot)))
            continue;
        bit_set(page->bits[BIT_MEMBER], slot);
        trial_set(heap, page, slot, object);
        count++;
    }
    page->next_scope = heap->scope;
    heap->scope = page;
    return count;
}

/* The pages that are being allocated from take up young objects without passing the slow path. */
static void current_pages_young(struct tally_heap *heap)
{
    for (uint32_t i = CLASS_COUNT; i < CLASS_KINDS; i++)
        if (heap->hot.current[i] && heap->hot.current[i]->free)
            tally__young_page(heap, heap->hot.current[i]);
}

uint64_t tally__members_merge(struct tally_heap *heap, int generation)
{
    uint64_t count = 0;
    heap->run++;
    heap->scope = NULL;
    map_clear(&heap->hubs);
    if (generation == 2) {
        for (uint32_t i = 0; i < heap->page_count; i++)
            if (heap->pages[i] && heap->pages[i]->tracked)
                count += page_merge(heap, heap->pages[i], generation);
    }
    struct page *young = heap->young_pages, *middle = generation ? heap->middle_pages : NULL;
    heap->young_pages = NULL;
    if (generation)
        heap->middle_pages = NULL;
    for (; young; young = young->next_young) {
        young->young = false;
        if (young->run != heap->run)
            count += page_merge(heap, young, generation);
    }
    for (; middle; middle = middle->next_middle) {
        middle->middle = false;
        if (middle->run != heap->run)
            count += page_merge(heap, middle, generation);
    }
    current_pages_young(heap);
    return count;
}

/* An edge more than the count allows is the host's fault; its target counts as held for good. */
static void subtract(void **slot, void *arg)
{
    struct tally_heap *heap = arg;
    void *child = *slot;
    if (!child)
        return;
    struct page *page = page_of(child);
    if (!is_member(heap, page, child))
        return;
    uint16_t *trial = &page->trial[slot_of(page, child)];
    if (*trial == TRIAL_HUB) {
        uint64_t *count = map_get(&heap->hubs, (uintptr_t)child);
        if (count && *count)
            --*count;
    } else if (*trial) {
        --*trial;
    } else {
        *trial = TRIAL_HUB;
    }
}

static void push(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    bit_set(page->bits[BIT_ALIVE], slot);
    if (heap->mark_count < MARK_STACK_ENTRIES) {
        heap->mark_stack[heap->mark_count++] = object;
        return;
    }
    bit_set(page->bits[BIT_PENDING], slot);
    page->flagged = heap->flagged = true;
}

static void mark(void **slot, void *arg)
{
    struct tally_heap *heap = arg;
    void *child = *slot;
    if (!child)
        return;
    struct page *page = page_of(child);
    if (!is_member(heap, page, child))
        return;
    uint32_t at = slot_of(page, child);
    if (!bit_get(page->bits[BIT_ALIVE], at))
        push(heap, page, at, child);
}

static void drain(struct tally_heap *heap)
{
    while (heap->mark_count) {
        void *object = heap->mark_stack[--heap->mark_count];
        tally__slots_visit(type_of(object), object, mark, heap);
    }
}

/* Calls fn for each member of the page whose bit is set in `select`(member, alive, pending of one word). */
#define PAGE_EACH(page, word, bits, select) \
    for (uint32_t word = 0; word < (page)->words; word++) \
        for (uint64_t bits = (select); bits; bits &= bits - 1)

static void *page_object(const struct page *page, uint32_t word, uint64_t bits)
{
    return object_at(page, word * 64 + (uint32_t)__builtin_ctzll(bits));
}

/* What did not fit the mark stack waits in flagged pages. */
static void flagged_drain(struct tally_heap *heap)
{
    while (heap->flagged) {
        heap->flagged = false;
        for (struct page *page = heap->scope; page; page = page->next_scope) {
            if (!page->flagged)
                continue;
            page->flagged = false;
            PAGE_EACH(page, word, bits, page->bits[BIT_PENDING][word]) {
                void *object = page_object(page, word, bits);
                bit_clear(page->bits[BIT_PENDING], slot_of(page, object));
                tally__slots_visit(type_of(object), object, mark, heap);
                drain(heap);
            }
        }
    }
}

static bool held_outside(const struct tally_heap *heap, const struct page *page, const void *object)
{
    uint16_t trial = page->trial[slot_of(page, object)];
    if (trial != TRIAL_HUB)
        return trial;
    const uint64_t *count = map_get(&heap->hubs, (uintptr_t)object);
    return !count || *count;
}

void tally__trial(struct tally_heap *heap)
{
    for (struct page *page = heap->scope; page; page = page->next_scope)
        PAGE_EACH(page, word, bits, page->bits[BIT_MEMBER][word]) {
            void *object = page_object(page, word, bits);
            tally__slots_visit(type_of(object), object, subtract, heap);
        }
    for (struct page *page = heap->scope; page; page = page->next_scope)
        PAGE_EACH(page, word, bits, page->bits[BIT_MEMBER][word] & ~page->bits[BIT_ALIVE][word]) {
            void *object = page_object(page, word, bits);
            uint32_t slot = slot_of(page, object);
            if (bit_get(page->bits[BIT_ALIVE], slot) || !held_outside(heap, page, object))
                continue;
            push(heap, page, slot, object);
            drain(heap);
        }
    flagged_drain(heap);
}

uint64_t tally__members_rest(struct tally_heap *heap)
{
    uint64_t count = 0;
    map_clear(&heap->hubs);
    for (struct page *page = heap->scope; page; page = page->next_scope) {
        for (uint32_t word = 0; word < page->words; word++) {
            page->bits[BIT_MEMBER][word] &= ~page->bits[BIT_ALIVE][word];
            page->bits[BIT_ALIVE][word] = 0;
        }
        PAGE_EACH(page, word, bits, page->bits[BIT_MEMBER][word]) {
            void *object = page_object(page, word, bits);
            trial_set(heap, page, slot_of(page, object), object);
            count++;
        }
    }
    return count;
}

/* fn may free members and anything else: the bits are read again after each call. */
void tally__trash_each(struct tally_heap *heap, member_fn fn, void *arg)
{
    for (struct page *page = heap->scope; page; page = page->next_scope)
        for (uint32_t word = 0; word < page->words; word++) {
            uint64_t passed = 0;
            for (;;) {
                uint64_t bits = page->bits[BIT_MEMBER][word] & ~page->bits[BIT_ALIVE][word] & ~passed;
                if (!bits)
                    break;
                passed = bits ^ (bits - 1); /* this bit and all below it */
                if (!fn(heap, page_object(page, word, bits), arg))
                    return;
            }
        }
}

void tally__survivors_promote(struct tally_heap *heap, int generation)
{
    int to = generation < 2 ? generation + 1 : 2;
    for (struct page *page = heap->scope; page; page = page->next_scope)
        PAGE_EACH(page, word, bits, page->bits[BIT_MEMBER][word] & page->bits[BIT_ALIVE][word])
            tally__generation_set(page_object(page, word, bits), to);
}
