/* See shadow.h. */
#include <string.h>

#include "heap/internal.h"

#define PAGES_MOST ((uint64_t)1 << 24) /* of the range: a terabyte */

static uint64_t index_of(const struct shadow *shadow, const struct page *page)
{
    return ((uintptr_t)base_of(page) - shadow->base) / PAGE_BYTES;
}

/* The range of the tracked pages; false: there are none, or they lie too far apart. */
static bool range_find(const struct tally_heap *heap, struct shadow *shadow)
{
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (uint32_t i = 0; i < heap->page_count; i++) {
        const struct page *page = heap->pages[i];
        if (!page || !page->tracked)
            continue;
        uintptr_t base = (uintptr_t)base_of(page);
        low = base < low ? base : low;
        high = base > high ? base : high;
    }
    shadow->base = low;
    shadow->pages = low <= high ? (high - low) / PAGE_BYTES + 1 : 0;
    return shadow->pages && shadow->pages <= PAGES_MOST;
}

static size_t bytes_of(size_t pages)
{
    return pages * (2 * SHADOW_WORDS * sizeof(uint64_t) + 2);
}

void tally__shadow_free(struct tally_heap *heap)
{
    tally__unmap(heap->shadow.marked, bytes_of(heap->shadow.reserved_pages));
    heap->shadow = (struct shadow){.pages = 0};
}

/* Room for the range, and not for much more. */
static bool room_make(struct tally_heap *heap, uint64_t pages)
{
    struct shadow *shadow = &heap->shadow;
    if (pages <= shadow->reserved_pages && pages >= shadow->reserved_pages / 4)
        return true;
    uintptr_t base = shadow->base;
    tally__shadow_free(heap);
    uint64_t *words = tally__reserve(bytes_of(pages));
    if (!words)
        return false;
    *shadow = (struct shadow){.base = base,
                              .pages = pages,
                              .marked = words,
                              .pending = words + pages * SHADOW_WORDS,
                              .kinds = (uint8_t *)(words + 2 * pages * SHADOW_WORDS),
                              .waiting = (uint8_t *)(words + 2 * pages * SHADOW_WORDS) + pages,
                              .reserved_pages = pages};
    return true;
}

bool tally__shadow_open(struct tally_heap *heap)
{
    struct shadow *shadow = &heap->shadow;
    if (!range_find(heap, shadow) || !room_make(heap, shadow->pages))
        return false;
    memset(shadow->kinds, SHADOW_NONE, shadow->pages);
    for (uint32_t i = 0; i < heap->page_count; i++) {
        const struct page *page = heap->pages[i];
        if (!page || !page->tracked)
            continue;
        memset(shadow->marked + index_of(shadow, page) * SHADOW_WORDS, 0, SHADOW_WORDS * sizeof(uint64_t));
        shadow->kinds[index_of(shadow, page)] = SHADOW_TRACKED;
    }
    return true;
}
