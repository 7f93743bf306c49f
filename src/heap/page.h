/* A page: its head, what is kept beside its objects, and how they are found.
 *
 * A page is 64 KiB, aligned to it, and holds slots of one size; `object & ~0xffff` finds it.
 *
 *   +-------+-----------+----------------------------------------------+------+--------+------+--------+---
 *   | color | page head | side data, tracked pages only:               | word | payload| word | payload| ...
 *   |       |           | 8 bitmaps and a 16-bit trial count per slot  |      |        |      |        |
 *   +-------+-----------+----------------------------------------------+------+--------+------+--------+---
 *
 * The color is 0 to 15 cache lines, by the page's address, so that the heads of many pages do not fall into the
 * same few sets of the cache.
 *
 * The header word stands in front of each payload. A word of 0 is a free slot, whose payload begins with the
 * next free one's address. Live words are never 0, since types count from 1.
 *
 * Generations are bits beside the objects: young objects have none, so that allocation writes no bitmap; the
 * bits of a freed slot are cleared when the slow path takes the page's second free list over. Large objects
 * have a mapping of their own with the same head and one slot.
 */
#ifndef TALLY_HEAP_PAGE_H
#define TALLY_HEAP_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES ((size_t)65536)
#define PAGE_MASK (PAGE_BYTES - 1)
#define WORD_BYTES ((size_t)8)

#define CLASS_SMALL_BYTES 512u /* up to it a class for each multiple of 8, above 8 for each doubling */
#define CLASS_LARGEST_BYTES 16384u
#define CLASS_COUNT 104u
#define CLASS_KINDS (2u * CLASS_COUNT) /* leaf classes, then tracked ones */
#define CLASS_LARGE UINT32_MAX

/* HELD to FROZEN last from run to run: what guess.c goes by, and generations. The first are found at the least cost. */
enum { BIT_CANDIDATE, BIT_MEMBER, BIT_ALIVE, BIT_PENDING, BIT_HELD, BIT_MIDDLE, BIT_OLD, BIT_FROZEN, BITMAPS };
#define TRIAL_HUB 0xffffu /* the count stands in the heap's hub table; held for good where it does not */

enum { ODD_FULL = 1, ODD_CANDIDATES = 2 }; /* not current nor in LIST_ROOM; in LIST_CANDIDATES */
/* Lists of pages; a page is in any of them at most once. MERGE: what a run has yet to merge; EMPTY: what lost its
 * last object while a run was open. */
enum { LIST_CANDIDATES, LIST_ROOM, LIST_YOUNG, LIST_MIDDLE, LIST_MERGE, LIST_EMPTY, LISTS };
struct page_link {
    struct page *next, **at; /* at: what points here; NULL: not in the list */
};

struct page {
    /* One cache line: what a random death or edge needs. */
    struct tally_heap *heap;
    uint64_t run;         /* member, alive, pending and trial are of this run */
    uint32_t reciprocal;  /* ceil(2^32 / slot_bytes) */
    uint32_t first;       /* offset of slot 0's word from the page */
    void *freed;          /* second list: what was freed since */
    uint32_t used;        /* slots handed to the fast path and not freed */
    uint16_t words;       /* 64-bit words of one bitmap */
    bool tracked;
    uint8_t odd;          /* ODD_*: a death in it is not just a slot freed */
    uint16_t bits;        /* offset from the head of all bitmaps, behind the trial counts */
    bool whole;           /* the members of its run are all that live in it */
    uint32_t serial;      /* index in the heap's page table; 23 bits */
    struct page_link links[LISTS];
    /* The rest. */
    char *bump, *end;     /* slots never used yet: [bump, end) */
    uint32_t slot_bytes, slot_count;
    uint32_t class_index;
    bool flagged;         /* some pending bit is set */
    bool sided;           /* generation bits may have been set since its slots were last all free */
    bool recounted;       /* by the rest phase of its run */
    bool doomed;          /* some of its members were trash when its run decided */
    bool merged;          /* its run took its live objects for members all at once */
    uint32_t cleaned;     /* slots on the second list whose lasting bits are clear */
    const struct tally_type *only; /* that all members are of, which is fixed; NULL: unknown (weigh.c) */
    size_t bytes;         /* of the mapping */
    struct arena *arena;  /* NULL: none */
    struct page *next_scope; /* pages of the run */
};
_Static_assert(offsetof(struct page, links) + sizeof(struct page_link) == 64, "what is hot is one cache line");

static inline uint64_t *word_of(const void *object)
{
    return &((uint64_t *)(uintptr_t)object)[-1];
}
/* The head of the page that an address lies in, and the page's own address. */
static inline struct page *page_of(const void *address)
{
    uintptr_t base = (uintptr_t)address & ~PAGE_MASK;
    return (struct page *)(base + (base >> 10 & 15 << 6));
}
static inline char *base_of(const struct page *page)
{
    return (char *)((uintptr_t)page & ~PAGE_MASK);
}
static inline uint16_t *trial_of(const struct page *page)
{
    return (uint16_t *)(uintptr_t)(page + 1);
}
static inline uint64_t *bits_of(const struct page *page, unsigned which)
{
    return (uint64_t *)((uintptr_t)page + page->bits) + (size_t)which * page->words;
}
static inline uint32_t slot_of(const struct page *page, const void *object)
{
    uint64_t offset = ((uintptr_t)object & PAGE_MASK) - WORD_BYTES - page->first;
    return (uint32_t)((offset * page->reciprocal) >> 32);
}
static inline void *object_at(const struct page *page, uint32_t slot)
{
    return base_of(page) + page->first + WORD_BYTES + (size_t)slot * page->slot_bytes;
}
/* The objects of a word of a bitmap, for loops over its bits. */
struct stretch {
    char *first;
    size_t bytes;
};
static inline struct stretch stretch_of(const struct page *page, uint32_t word)
{
    return (struct stretch){object_at(page, word * 64), page->slot_bytes};
}
static inline void *stretch_at(struct stretch stretch, uint64_t bits) /* of the lowest bit that is set */
{
    return stretch.first + (size_t)(unsigned)__builtin_ctzll(bits) * stretch.bytes;
}
static inline bool bit_get(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}
static inline void bit_set(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= (uint64_t)1 << (at % 64);
}
static inline void bit_clear(uint64_t *bits, uint32_t at)
{
    bits[at / 64] &= ~((uint64_t)1 << (at % 64));
}

#endif
