/* The shadow of a heap: a bit for each 8 bytes of the addresses among which its tracked pages lie, and what each
 * 64 KiB of them are. Going through a whole heap meets its edges in no order; looking up a page's head for each,
 * and then a bit beside its objects, costs two misses of the cache where heaps are large. The shadow needs one, of
 * less memory, and no head.
 *
 * It lies on address space that is reserved when a run wants it (1/32 of the range, of which only what belongs to
 * pages is touched, the second half hardly ever), and means nothing between runs. */
#ifndef TALLY_HEAP_SHADOW_H
#define TALLY_HEAP_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHADOW_WORDS 128u /* a page has */

/* What 64 KiB are: nothing of ours, or not tracked; a page; one with roots in it. */
enum { SHADOW_NONE, SHADOW_TRACKED, SHADOW_ROOTS };

struct shadow {
    uintptr_t base;    /* the lowest page's address */
    uint64_t pages;    /* 64 KiB each */
    uint64_t *marked;  /* pages * SHADOW_WORDS */
    uint64_t *pending; /* the same: marked, and yet to be gone through; clear between runs */
    uint8_t *kinds;    /* pages */
    uint8_t *waiting;  /* pages: some pending bit is set */
    size_t reserved_pages; /* 0: no memory */
};

struct tally_heap;
/* A clear shadow of all tracked pages there are; false: their addresses are too far apart, or there is no memory. */
bool tally__shadow_open(struct tally_heap *heap);
void tally__shadow_free(struct tally_heap *heap);

/* Where an object's bit is. */
static inline uint64_t shadow_offset(const struct shadow *shadow, const void *object)
{
    return (uintptr_t)object - shadow->base;
}
static inline uint64_t shadow_word(uint64_t offset)
{
    return offset / (8 * 64);
}
static inline unsigned shadow_bit(uint64_t offset)
{
    return offset / 8 % 64;
}
static inline uint64_t shadow_page(uint64_t offset)
{
    return offset / 65536;
}

/* The bits of up to 64 objects, the first of which has that address, in one word. */
static inline uint64_t shadow_gather(const struct shadow *shadow, const void *first, size_t stride_bytes, unsigned count)
{
    uint64_t at = shadow_offset(shadow, first) / 8, gathered = 0;
    for (unsigned i = 0; i < count; i++, at += stride_bytes / 8)
        gathered |= (shadow->marked[at / 64] >> at % 64 & 1) << i;
    return gathered;
}

#endif
