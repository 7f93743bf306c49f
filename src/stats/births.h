/* When each object of a heap was born, by its granule: one table of 32-bit stamps, which costs what is touched of
 * it, and the clocks that turn the age of a stamp into time and bytes. Private to events.c. */
#ifndef TALLY_STATS_BIRTHS_H
#define TALLY_STATS_BIRTHS_H

#include "stats/events.h"

#define BIRTHS_UNIT 3u /* a stamp counts 8 events */
#define BIRTHS_MARKS 512u
#define BIRTHS_AGES 128u
#define BIRTHS_BOUND ((uint64_t)1 << 19) /* granules that are taken for possible before the heap has said more */

struct mark { /* where the heap stood at a stamp */
    uint32_t stamp;
    uint64_t ns, bytes;
};

struct births {
    struct events_budget *budget;
    uint32_t *table;   /* 0: unknown; else a stamp */
    uint64_t granules; /* of the table */
    uint64_t reserved; /* bytes, of the budget */
    uint64_t bound;    /* granules that the heap can have */
    unsigned shift;    /* only pages whose serial is a multiple of 2^shift */
    uint32_t floor;    /* what is older is not known */
    uint32_t stamp;    /* now */
    uint32_t swept;    /* when the table was last freed of what is too old */
    uint64_t ns, bytes;
    size_t mark_count;
    struct mark marks[BIRTHS_MARKS]; /* oldest first, ever denser */
    uint8_t in_ns[BIRTHS_AGES], in_bytes[BIRTHS_AGES]; /* bucket of each age */
};

void births_init(struct births *births, struct events_budget *budget);
void births_fini(struct births *births);
/* What was born before the present stamp is unknown from here on. */
void births_forget(struct births *births);
/* Sets what the ages mean now. */
void births_turn(struct births *births, uint64_t sequence, uint64_t ns, uint64_t bytes);
/* Makes the table reach a granule that lies beyond it; may thin it out. false: this one is not followed. */
bool births_reach(struct births *births, uint64_t granule);

#define BIRTHS_NONE UINT64_MAX
/* The entry of a granule; BIRTHS_NONE: its page is not followed. */
static inline uint64_t births_index(const struct births *births, uint64_t granule)
{
    uint64_t page = granule >> WIRE_PAGE_GRANULE_BITS, low = ((uint64_t)1 << births->shift) - 1;
    if (page & low)
        return BIRTHS_NONE;
    return (page >> births->shift << WIRE_PAGE_GRANULE_BITS) | (granule & (((uint64_t)1 << WIRE_PAGE_GRANULE_BITS) - 1));
}

static inline uint32_t births_stamp(uint64_t sequence)
{
    uint32_t stamp = (uint32_t)(sequence >> BIRTHS_UNIT) + 1;
    return stamp ? stamp : 1;
}

/* Four steps to each power of two. */
static inline unsigned births_age(uint32_t age)
{
    if (age < 4)
        return age;
    unsigned top = 31 - (unsigned)__builtin_clz(age);
    return top * 4 + (age >> (top - 2) & 3);
}

#endif
