/* What the fast paths of birth, death and tracing have in common, inline. */
#ifndef TALLY_HEAP_FAST_H
#define TALLY_HEAP_FAST_H

#include "heap/internal.h"
#include "heap/poison.h"

#ifdef __OPTIMIZE__
#define FORCE_INLINE inline __attribute__((always_inline))
#else
#define FORCE_INLINE inline
#endif

/* Deaths of light objects run nothing of the host's and end nothing beside the object. */
#define FLAGS_HEAVY (FLAGS_MASK & ~(TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED | FLAG_STORED))

static inline uint32_t type_index_of(uint64_t word)
{
    return (uint32_t)(word >> TALLY_TYPE_SHIFT & 0xffff);
}

/* What has no count left is light, and may die on the spot. A freed slot's word has type 0. */
static inline bool is_direct(const struct tally_heap *heap, uint64_t word)
{
    return type_index_of(word) - 1 < heap->hot.direct_limit && !(word & FLAGS_HEAVY);
}

/* A fixed slot. */
static inline void **light_slot(const struct tally_type *type, void *object, size_t at)
{
    return (void **)((char *)object + type->offsets[at]);
}

/* Trailing slots: how many, and the first. */
static inline size_t trailing_slots(const struct tally_type *type, void *object, void ***first)
{
    if (!type->variable || type->info.trailing != TALLY_TRAILING_SLOTS)
        return 0;
    *first = (void **)((char *)object + type->size);
    return *(const size_t *)((const char *)object + type->info.trailing_length_offset);
}

static inline uint64_t light_bytes(const struct tally_type *type, const void *object)
{
    return type->variable ? tally__size_of(type, object) : type->size;
}

/* A light object refers to nothing: that is seen at a glance. */
static FORCE_INLINE bool is_bare(const struct tally_type *type, void *object)
{
    void **first;
    if (!type->fixed && trailing_slots(type, object, &first))
        return false;
    for (size_t at = type->ref_count; at > 0; at--)
        if (*light_slot(type, object, at - 1))
            return false;
    return true;
}

/* Freed slots are filled in debug builds, and poisoned for AddressSanitizer and valgrind: all but the word
 * and the link to the next one, which lie in the first 8 bytes of the payload. */
static inline void slot_link(struct page *page, void *object, void **list)
{
    (void)page; /* without checks */
    *word_of(object) = 0;
    *(void **)object = *list;
    *list = object;
    tally__poison((char *)object + WORD_BYTES, (page->class_index == CLASS_LARGE ? PAGE_BYTES - page->first
                                                                                 : page->slot_bytes) -
                                                   2 * WORD_BYTES);
}

static inline void slot_free(struct page *page, void *object)
{
    slot_link(page, object, &page->freed);
    page->used--;
}

/* After slots were freed: the page has room, and goes perhaps to where it came from. */
static inline void page_settle(struct tally_heap *heap, struct page *page)
{
    if (page->odd & ODD_FULL)
        tally__page_room(heap, page);
    if (!page->used)
        tally__page_empty(heap, page);
}

static inline void slot_return(struct tally_heap *heap, struct page *page, void *object)
{
    slot_free(page, object);
    page_settle(heap, page);
}

/* Counts the birth or death of an object of a type of fixed size, with a row of its own. */
static inline void count_fixed(struct tally_heap *heap, const void *object, const struct tally_type *type,
                               enum wire_event kind)
{
    feed_count(&heap->hot.pen, kind, type->index, false, type->size);
    if (__builtin_expect(heap->hot.pen.level != WIRE_LEVEL_OFF, 0))
        tally__event(heap, object, type, kind);
}

/* The same of any light type. */
static inline void count_light(struct tally_heap *heap, const void *object, const struct tally_type *type,
                               enum wire_event kind)
{
    if (__builtin_expect(type->variable, 0))
        tally__count_variable(heap, object, type, kind);
    else
        count_fixed(heap, object, type, kind);
}

/* Tracked objects have died; as in CPython, there are never less than none. */
static inline void young_subtract(struct tally_heap *heap, uint64_t count)
{
    heap->hot.young_count -= count < heap->hot.young_count ? count : heap->hot.young_count;
}
static inline void young_subtract_one(struct tally_heap *heap)
{
    if (heap->hot.young_count)
        heap->hot.young_count--;
}

/* Not a member of an open run, unless that is freeing it; of a type with a row of its own. */
static inline void free_light(struct tally_heap *heap, void *object, const struct tally_type *type,
                              enum wire_event kind)
{
    struct page *page = page_of(object);
    if (type->tracked) {
        young_subtract_one(heap);
        if (page->odd & ODD_CANDIDATES)
            tally__candidate_drop(heap, page, slot_of(page, object));
    }
    count_light(heap, object, type, kind);
    slot_return(heap, page, object);
}

/* The payload's first bytes, a multiple of 8 that is small, become 0. */
#define PAYLOAD_SMALL 64u
static FORCE_INLINE void payload_clear_small(void *object, size_t bytes)
{
    char *from = object, *end = from + bytes;
    if (bytes < 16) {
        if (bytes)
            memset(from, 0, 8);
        return;
    }
    memset(from, 0, 16);
    memset(end - 16, 0, 16);
    if (bytes <= 32)
        return;
    memset(from + 16, 0, 16);
    memset(end - 32, 0, 16);
}

/* tally__slots_visit() with visit inlined, for loops over many objects; what is rare goes by way of that. */
static FORCE_INLINE void slots_each(const struct tally_type *type, void *object, tally_slot_fn visit, void *arg)
{
    if (type->fixed) {
        for (size_t at = 0; at < type->ref_count; at++)
            visit(light_slot(type, object, at), arg);
        return;
    }
    if (__builtin_expect(type->info.has_external || type->info.traverse != NULL, 0)) {
        tally__slots_visit(type, object, visit, arg);
        return;
    }
    for (size_t i = 0; i < type->ref_count; i++)
        visit((void **)((char *)object + type->refs[i].offset), arg);
    if (type->info.trailing != TALLY_TRAILING_SLOTS)
        return;
    void **slots = (void **)((char *)object + type->size);
    size_t count = *(const size_t *)((const char *)object + type->info.trailing_length_offset);
    for (size_t i = 0; i < count; i++)
        visit(&slots[i], arg);
}

#endif
