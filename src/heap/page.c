/* Pages: how they are laid out, which of them have room, and when they go back. */
#include <stdlib.h>
#include <string.h>

#include "heap/fast.h"

#define HEAD_MOST    (sizeof(struct page) + 15 * 64)
#define CHUNK_SLOTS  64u /* fresh slots handed out at a time */
#define SPARE_PAGES  16u        /* empty pages that are kept in any case */
#define SPARE_OLD_NS 100000000u /* those that nobody has wanted for so long go back, */
#define SPARE_BATCH  4u         /* so many each time the owner comes by */
#define LIST_SHORT   32u /* of freed slots */
#define SERIAL_LIMIT (1u << 23)

uint32_t tally__class_of(size_t slot_bytes, size_t align)
{
    if (slot_bytes < 16)
        slot_bytes = 16;
    if (align == 16)
        slot_bytes = (slot_bytes + 15) & ~(size_t)15;
    if (slot_bytes <= CLASS_SMALL_BYTES)
        return (uint32_t)((slot_bytes + 7) / 8 - 2);
    if (slot_bytes > CLASS_LARGEST_BYTES)
        return CLASS_LARGE;
    unsigned doubling = 0;
    while ((size_t)CLASS_SMALL_BYTES << (doubling + 1) < slot_bytes)
        doubling++;
    size_t base = (size_t)CLASS_SMALL_BYTES << doubling, step = base / 8;
    return (uint32_t)(CLASS_SMALL_BYTES / 8 - 1 + doubling * 8 + (slot_bytes - base + step - 1) / step - 1);
}

static size_t class_slot_bytes(uint32_t class_index)
{
    uint32_t class = class_index % CLASS_COUNT;
    if (class <= CLASS_SMALL_BYTES / 8 - 2)
        return (size_t)(class + 2) * 8;
    uint32_t beyond = class - (CLASS_SMALL_BYTES / 8 - 1);
    size_t base = (size_t)CLASS_SMALL_BYTES << (beyond / 8);
    return base + base / 8 * (beyond % 8 + 1);
}

/* Lays the page out, of which only the head need be zero: side data for as many slots as fit beside it, first
 * payload aligned to 16. */
static void layout(struct page *page, size_t slot_bytes, bool tracked, size_t large_bytes)
{
    size_t head = (size_t)((char *)(page + 1) - base_of(page)), side = 0, trial = 0;
    size_t count = large_bytes ? 1 : (PAGE_BYTES - head - 16) / slot_bytes;
    for (;; count--) {
        trial = (count * 2 + 7) & ~(size_t)7;
        side = tracked ? trial + BITMAPS * ((count + 63) / 64) * 8 : 0;
        if (large_bytes || head + side + 16 + count * slot_bytes <= PAGE_BYTES)
            break;
    }
    page->slot_bytes = (uint32_t)slot_bytes;
    page->slot_count = (uint32_t)count;
    page->reciprocal = large_bytes ? 0 : (uint32_t)((((uint64_t)1 << 32) + slot_bytes - 1) / slot_bytes);
    page->words = (uint16_t)((count + 63) / 64);
    size_t first = head + side;
    page->first = (uint32_t)(first + (first % 16 == 8 ? 0 : 8));
    page->bump = base_of(page) + page->first;
    page->end = page->bump + count * (large_bytes ? large_bytes : slot_bytes);
    page->bits = (uint16_t)(sizeof *page + trial);
    memset(page + 1, 0, side);
}

static bool serial_take(struct tally_heap *heap, struct page *page)
{
    uint32_t serial = heap->page_hint;
    while (serial < heap->page_count && heap->pages[serial])
        serial++;
    if (serial == SERIAL_LIMIT)
        return false;
    if (serial == heap->page_room) {
        uint32_t room = heap->page_room ? 2 * heap->page_room : 64;
        struct page **pages = realloc(heap->pages, room * sizeof *pages);
        if (!pages)
            return false;
        heap->pages = pages;
        heap->page_room = room;
    }
    if (serial == heap->page_count)
        heap->page_count++;
    heap->pages[serial] = page;
    heap->page_hint = serial + 1;
    page->serial = serial;
    return true;
}

static struct page *spare_take(struct tally_heap *heap)
{
    struct page *page = heap->spare;
    heap->spare = page->next_scope;
    heap->spare_count--;
    if (heap->spare_count < heap->spare_unused)
        heap->spare_unused = heap->spare_count;
    tally__unpoison(base_of(page), PAGE_BYTES);
    *page = (struct page){.bytes = PAGE_BYTES, .arena = page->arena};
    return page;
}

static struct page *page_map(struct tally_heap *heap, size_t bytes)
{
    struct arena *arena;
    void *memory = tally__page_map(heap, bytes, &arena);
    if (!memory)
        return NULL;
    struct page *page = page_of(memory);
    page->bytes = bytes;
    page->arena = arena;
    return page;
}

static void page_unmap(struct tally_heap *heap, struct page *page)
{
    tally__page_unmap(heap, base_of(page), page->bytes, page->arena);
}

struct page *tally__page_new(struct tally_heap *heap, uint32_t class_index, bool tracked, size_t large_bytes)
{
    size_t slot_bytes = large_bytes ? PAGE_BYTES : class_slot_bytes(class_index);
    size_t bytes = large_bytes ? (HEAD_MOST + 128 + large_bytes + PAGE_MASK) & ~PAGE_MASK : PAGE_BYTES;
    struct page *page = !large_bytes && heap->spare ? spare_take(heap) : page_map(heap, bytes);
    if (!page)
        return NULL;
    layout(page, slot_bytes, tracked, large_bytes);
    page->heap = heap;
    page->class_index = class_index;
    page->tracked = tracked;
    page->odd = ODD_FULL;
    if (!serial_take(heap, page)) {
        page_unmap(heap, page);
        return NULL;
    }
    return page;
}

void tally__list_add(struct page **head, struct page *page, unsigned list)
{
    struct page_link *link = &page->links[list];
    if (link->at)
        return;
    link->next = *head;
    link->at = head;
    if (*head)
        (*head)->links[list].at = &link->next;
    *head = page;
    if (list == LIST_CANDIDATES)
        page->odd |= ODD_CANDIDATES;
}

void tally__list_remove(struct page *page, unsigned list)
{
    struct page_link *link = &page->links[list];
    if (!link->at)
        return;
    *link->at = link->next;
    if (link->next)
        link->next->links[list].at = link->at;
    *link = (struct page_link){NULL, NULL};
    if (list == LIST_CANDIDATES)
        page->odd &= (uint8_t)~ODD_CANDIDATES;
}

static void spare_unmap(struct tally_heap *heap)
{
    struct page *page = heap->spare;
    heap->spare = page->next_scope;
    heap->spare_count--;
    if (heap->spare_count < heap->spare_unused)
        heap->spare_unused = heap->spare_count;
    page_unmap(heap, page);
}

/* It goes back to where it came from, or to the spares, which are never more than the pages in use. */
void tally__page_free(struct tally_heap *heap, struct page *page)
{
    for (unsigned list = 0; list < LISTS; list++)
        tally__list_remove(page, list);
    heap->pages[page->serial] = NULL;
    if (page->serial < heap->page_hint)
        heap->page_hint = page->serial;
    if (page->class_index == CLASS_LARGE) {
        page_unmap(heap, page);
        return;
    }
    page->next_scope = heap->spare;
    heap->spare = page;
    heap->spare_count++;
    while (heap->spare_count > SPARE_PAGES && heap->spare_count > heap->mapped_bytes / PAGE_BYTES / 2)
        spare_unmap(heap);
}

uint64_t tally__spare_free(struct tally_heap *heap)
{
    uint64_t bytes = heap->spare_count * PAGE_BYTES;
    while (heap->spare)
        spare_unmap(heap);
    heap->spare_unused = heap->spare_old = 0;
    return bytes;
}

/* A heap that breathes keeps what it needs to; one that has shrunk keeps an eighth. */
void tally__spare_age(struct tally_heap *heap, uint64_t now_ns)
{
    if (now_ns >= heap->spare_ns) {
        uint64_t kept = heap->mapped_bytes / PAGE_BYTES / 8;
        heap->spare_old = heap->spare_unused > kept ? heap->spare_unused - (uint32_t)kept : 0;
        heap->spare_unused = heap->spare_count;
        heap->spare_ns = now_ns + SPARE_OLD_NS;
    }
    for (unsigned i = 0; i < SPARE_BATCH && heap->spare_old && heap->spare_count > SPARE_PAGES; i++) {
        heap->spare_old--;
        spare_unmap(heap);
    }
}

void tally__page_room(struct tally_heap *heap, struct page *page)
{
    page->odd &= (uint8_t)~ODD_FULL;
    tally__list_add(&heap->room[page->class_index], page, LIST_ROOM);
}

/* Address space stays as long as a run may look at the page; its memory need not. */
static void large_release(const struct tally_heap *heap, struct page *page)
{
    if (page->bytes > PAGE_BYTES)
        tally__page_unneed(heap, base_of(page) + PAGE_BYTES, page->bytes - PAGE_BYTES);
}

/* Only a page that nobody allocates from goes; a page that a run may look at stays till its end. */
void tally__page_empty(struct tally_heap *heap, struct page *page)
{
    bool large = page->class_index == CLASS_LARGE;
    if (heap->run.phase) {
        tally__list_add(&heap->lists[LIST_EMPTY], page, LIST_EMPTY);
        if (large)
            large_release(heap, page);
    } else if (large || heap->hot.current[page->class_index] != page) {
        tally__page_free(heap, page);
    }
}

void tally__pages_sweep(struct tally_heap *heap)
{
    for (struct page *page; (page = heap->lists[LIST_EMPTY]);) {
        tally__list_remove(page, LIST_EMPTY);
        if (!page->used)
            tally__page_empty(heap, page);
    }
}

static void lasting_clear(struct page *page)
{
    if (page->sided)
        memset(bits_of(page, BIT_HELD), 0, (size_t)(BIT_FROZEN - BIT_HELD + 1) * page->words * 8);
    page->sided = false;
}

/* A small page starts anew. */
void tally__page_reset(struct tally_heap *heap, struct page *page)
{
    uint32_t slot = 0;
    char *first = base_of(page) + page->first;
    tally__unpoison(first, (size_t)(page->bump - first)); /* what was freed before */
    for (void *object; (char *)(object = object_at(page, slot)) < page->bump; slot++)
        tally__poison((char *)object + WORD_BYTES, page->slot_bytes - 2 * WORD_BYTES);
    page->bump = first;
    page->freed = NULL;
    page->used = page->cleaned = 0;
    lasting_clear(page);
    if (heap->hot.current[page->class_index] == page)
        heap->hot.free[page->class_index] = NULL;
    page_settle(heap, page);
}

/* For a list of so many freed slots: one by one, or all of a word at once. */
static void lasting_clear_of(struct page *page, void *list, uint32_t count)
{
    uint64_t freed[PAGE_BYTES / 16 / 64];
    if (count < LIST_SHORT) {
        for (void *slot = list; slot; slot = *(void **)slot)
            for (unsigned i = BIT_HELD; i <= BIT_FROZEN; i++)
                bit_clear(bits_of(page, i), slot_of(page, slot));
        return;
    }
    memset(freed, 0, page->words * sizeof *freed);
    for (void *slot = list; slot; slot = *(void **)slot)
        bit_set(freed, slot_of(page, slot));
    for (unsigned i = BIT_HELD; i <= BIT_FROZEN; i++)
        for (uint32_t word = 0; word < page->words; word++)
            bits_of(page, i)[word] &= ~freed[word];
}

/* The second list, for the fast path; its slots' generations go, as the other side bits have gone with the
 * objects, or are of a run. The page's slots below bump are in use or on the second list, as the first is empty. */
static void *freed_take(struct page *page)
{
    void *list = page->freed;
    uint32_t taken = (uint32_t)(((uint64_t)(page->bump - base_of(page)) - page->first) * page->reciprocal >> 32);
    if (!page->used)
        lasting_clear(page);
    if (page->sided && page->cleaned != taken - page->used)
        lasting_clear_of(page, list, taken - page->used);
    page->cleaned = 0;
    page->freed = NULL;
    page->used = taken;
    return list;
}

/* Links the next fresh slots. */
static void *bump_take(struct page *page)
{
    void *list, **link = &list;
    for (uint32_t i = 0; i < CHUNK_SLOTS && page->bump < page->end; i++) {
        void *object = page->bump + WORD_BYTES;
        *word_of(object) = 0;
        *link = object;
        link = object;
        page->bump += page->slot_bytes;
        page->used++;
    }
    *link = NULL;
    return list;
}

/* Free slots of a page whose former ones have been taken; NULL: it has none. */
static void *slots_take(struct page *page)
{
    return page->freed ? freed_take(page) : bump_take(page);
}

/* The next page of the class that has slots; NULL: none. */
static struct page *room_take(struct tally_heap *heap, uint32_t class_index)
{
    struct page *page = heap->room[class_index];
    if (page)
        tally__list_remove(page, LIST_ROOM);
    return page;
}

bool tally__page_refill(struct tally_heap *heap, uint32_t class_index)
{
    struct page *page = heap->hot.current[class_index];
    void *list = page ? slots_take(page) : NULL;
    if (page && !list)
        page->odd |= ODD_FULL;
    if (!list) {
        page = room_take(heap, class_index);
        if (!page)
            page = tally__page_new(heap, class_index, class_index >= CLASS_COUNT, 0);
        heap->hot.current[class_index] = page;
        if (!page)
            return false;
        page->odd &= (uint8_t)~ODD_FULL;
        list = slots_take(page);
    }
    if (page->tracked)
        tally__list_add(&heap->lists[LIST_YOUNG], page, LIST_YOUNG);
    heap->hot.free[class_index] = list;
    return true;
}

/* The slots that a page had handed to the fast path, which has lost them. */
static void slots_recover(struct page *page)
{
    page->freed = NULL;
    page->used = page->cleaned = 0;
    for (uint32_t slot = 0; slot < page->slot_count && (char *)object_at(page, slot) < page->bump; slot++) {
        void *object = object_at(page, slot);
        if (*word_of(object)) {
            page->used++;
            continue;
        }
        *(void **)object = page->freed;
        page->freed = object;
    }
}

void tally__pages_relist(struct tally_heap *heap)
{
    memset(heap->room, 0, sizeof heap->room);
    for (uint32_t i = 0; i < heap->page_count; i++) {
        struct page *page = heap->pages[i];
        if (!page || page->class_index == CLASS_LARGE)
            continue;
        if (!(page->odd & ODD_FULL) && !page->links[LIST_ROOM].at) /* it was current */
            slots_recover(page);
        page->odd |= ODD_FULL;
        page->links[LIST_ROOM] = (struct page_link){NULL, NULL};
        if (page->freed || page->bump < page->end)
            tally__page_room(heap, page);
    }
}
