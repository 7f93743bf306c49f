/* Pages: where they come from, which of them have room, and when they go back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap/internal.h"
#include "heap/poison.h"

#define HEAD_MOST    (sizeof(struct page) + 15 * 64)
#define CHUNK_SLOTS  64u /* fresh slots handed out at a time */
#define SPARE_PAGES  16u /* empty pages kept, and no less than one in eight */
#define SERIAL_LIMIT (1u << 23)

void *tally__map(size_t bytes)
{
    int saved = errno;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved;
    return memory == MAP_FAILED ? NULL : memory;
}

void *tally__reserve(size_t bytes)
{
    int saved = errno;
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    return memory == MAP_FAILED ? NULL : memory;
}

void tally__unmap(void *memory, size_t bytes)
{
    int saved = errno;
    if (memory)
        munmap(memory, bytes);
    errno = saved;
}

/* A mapping aligned to PAGE_BYTES: neighbours of an aligned one mostly are, else the overhang goes back. */
static void *map_aligned(size_t bytes)
{
    char *memory = tally__map(bytes);
    if (!memory || !((uintptr_t)memory & PAGE_MASK))
        return memory;
    tally__unmap(memory, bytes);
    memory = tally__map(bytes + PAGE_BYTES);
    if (!memory)
        return NULL;
    size_t before = (PAGE_BYTES - ((uintptr_t)memory & PAGE_MASK)) & PAGE_MASK;
    if (before)
        tally__unmap(memory, before);
    tally__unmap(memory + before + bytes, PAGE_BYTES - before);
    return memory + before;
}

static void *hook_map(struct tally_heap *heap, size_t bytes)
{
    void *memory = heap->hooks.map ? heap->hooks.map(bytes, heap->hooks.arg) : map_aligned(bytes);
    if (memory && (uintptr_t)memory & PAGE_MASK) { /* a hook's fault: unusable */
        heap->hooks.unmap(memory, bytes, heap->hooks.arg);
        return NULL;
    }
    return memory;
}

static void hook_unmap(struct tally_heap *heap, void *memory, size_t bytes)
{
    tally__unpoison(memory, bytes);
    if (heap->hooks.unmap)
        heap->hooks.unmap(memory, bytes, heap->hooks.arg);
    else
        tally__unmap(memory, bytes);
}

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

/* Lays the page out: side data for as many slots as fit beside it, first payload aligned to 16. */
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
    page->bits = (uint64_t *)((char *)(page + 1) + trial);
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

static void mapped_add(struct tally_heap *heap, size_t bytes)
{
    heap->mapped_bytes += bytes;
    if (heap->hot.pen.counters)
        atomic_store_explicit(&heap->hot.pen.counters->mapped_bytes, heap->mapped_bytes,
                              memory_order_relaxed);
}

static struct page *spare_take(struct tally_heap *heap)
{
    struct page *page = heap->spare;
    if (page) {
        heap->spare = page->next_scope;
        heap->spare_count--;
        tally__unpoison(base_of(page), PAGE_BYTES);
        memset(base_of(page), 0, PAGE_BYTES);
    }
    return page;
}

struct page *tally__page_new(struct tally_heap *heap, uint32_t class_index, bool tracked, size_t large_bytes)
{
    size_t slot_bytes = large_bytes ? PAGE_BYTES : class_slot_bytes(class_index);
    size_t bytes = large_bytes ? (HEAD_MOST + 128 + large_bytes + PAGE_MASK) & ~PAGE_MASK : PAGE_BYTES;
    struct page *page = large_bytes ? NULL : spare_take(heap);
    if (!page) {
        void *memory = tally__memory_allows(heap, bytes) ? hook_map(heap, bytes) : NULL;
        if (!memory)
            return NULL;
        page = page_of(memory);
        mapped_add(heap, bytes);
    }
    layout(page, slot_bytes, tracked, large_bytes);
    page->heap = heap;
    page->bytes = bytes;
    page->class_index = class_index;
    page->tracked = tracked;
    page->odd = ODD_FULL;
    if (!serial_take(heap, page)) {
        mapped_add(heap, -bytes);
        hook_unmap(heap, base_of(page), bytes);
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

/* It goes to the spares, or back to where it came from. */
void tally__page_free(struct tally_heap *heap, struct page *page)
{
    for (unsigned list = 0; list < LISTS; list++)
        tally__list_remove(page, list);
    heap->pages[page->serial] = NULL;
    if (page->serial < heap->page_hint)
        heap->page_hint = page->serial;
    if (page->class_index != CLASS_LARGE &&
        (heap->spare_count < SPARE_PAGES || heap->spare_count < heap->mapped_bytes / PAGE_BYTES / 8)) {
        page->next_scope = heap->spare;
        heap->spare = page;
        heap->spare_count++;
        return;
    }
    mapped_add(heap, -page->bytes);
    hook_unmap(heap, base_of(page), page->bytes);
}

uint64_t tally__spare_free(struct tally_heap *heap)
{
    uint64_t bytes = 0;
    while (heap->spare) {
        struct page *page = heap->spare;
        heap->spare = page->next_scope;
        heap->spare_count--;
        bytes += PAGE_BYTES;
        mapped_add(heap, -PAGE_BYTES);
        hook_unmap(heap, base_of(page), PAGE_BYTES);
    }
    return bytes;
}

void tally__page_room(struct tally_heap *heap, struct page *page)
{
    page->odd &= (uint8_t)~ODD_FULL;
    tally__list_add(&heap->room[page->class_index], page, LIST_ROOM);
}

/* Address space stays as long as a run may look at the page; its memory need not. */
static void large_release(struct tally_heap *heap, struct page *page)
{
    if (!heap->hooks.unmap && page->bytes > PAGE_BYTES)
        madvise(base_of(page) + PAGE_BYTES, page->bytes - PAGE_BYTES, MADV_DONTNEED);
}

/* Only a page that nobody allocates from goes; a page that a run may look at stays till its end. */
void tally__page_empty(struct tally_heap *heap, struct page *page)
{
    bool large = page->class_index == CLASS_LARGE;
    if (heap->run.phase) {
        heap->emptied = true;
        if (large)
            large_release(heap, page);
    } else if (large || heap->hot.current[page->class_index] != page) {
        tally__page_free(heap, page);
    }
}

void tally__pages_sweep(struct tally_heap *heap)
{
    if (!heap->emptied)
        return;
    heap->emptied = false;
    for (uint32_t i = 0; i < heap->page_count; i++)
        if (heap->pages[i] && !heap->pages[i]->used)
            tally__page_empty(heap, heap->pages[i]);
}

/* The second list, for the fast path; its slots' generations go, as the other side bits have gone with the
 * objects, or are of a run. The page's slots below bump are in use or on the second list, as the first is empty. */
static void *freed_take(struct page *page)
{
    void *list = page->freed;
    if (page->sided && !page->used) {
        memset(page->bits, 0, (size_t)GENERATION_BITMAPS * page->words * 8);
        page->sided = false;
    }
    for (void *slot = page->sided ? list : NULL; slot; slot = *(void **)slot) {
        uint32_t at = slot_of(page, slot);
        for (unsigned i = 0; i < GENERATION_BITMAPS; i++)
            bit_clear(bits_of(page, i), at);
    }
    page->freed = NULL;
    page->used = (uint32_t)(((uint64_t)(page->bump - base_of(page)) - page->first) * page->reciprocal >> 32);
    return list;
}

/* Links the next fresh slots; their words are zero already. */
static void *bump_take(struct page *page)
{
    void *list, **link = &list;
    for (uint32_t i = 0; i < CHUNK_SLOTS && page->bump < page->end; i++) {
        void *object = page->bump + WORD_BYTES;
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
    page->used = 0;
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
