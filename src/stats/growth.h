/* The live bytes of each type over time, kept in memory so that growth can be told from use: for each part of time the
 * least that lived in it, which is what was left when something had been freed.
 *
 *   level 0    12 parts of a second at least, in which the heap was told of
 *   level k    12 parts of 4 of level k-1 each: 4 s, 16 s, a minute, ... the last of 4.5 hours
 *
 * What is always true
 *  - Parts of a level lie one behind the other; the oldest is overwritten. All types of a heap share their times.
 *  - A heap at rest is not told of: no part ends, and nothing is paid.
 *  - Levels come when they are reached. A heap takes 52 bytes a type in its first seconds, and 760 after days; types
 *    beyond GROWTH_TYPES are not followed, and counted.
 *  - Fed by the intake's thread alone; copied by any, under a lock of its own. */
#ifndef TALLY_STATS_GROWTH_H
#define TALLY_STATS_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GROWTH_PARTS 12u
#define GROWTH_LEVELS 8u
#define GROWTH_STEP 4u
#define GROWTH_PART_NS 1000000000u
#define GROWTH_TYPES 4096u
#define GROWTH_UNIT 8u /* bytes; objects without any count as one */

struct stats_growth_level { /* oldest first */
    unsigned count;
    uint64_t start_ns;                /* of the oldest part */
    uint64_t end_ns[GROWTH_PARTS];
    uint64_t collections[GROWTH_PARTS]; /* of the heap, up to then */
    const float (*low)[GROWTH_PARTS]; /* by row: the least, in GROWTH_UNITs */
    const float (*high)[GROWTH_PARTS]; /* the greatest of the least of its parts of level 0 */
};

struct stats_growth_copy { /* one allocation, for free(3) */
    uint32_t type_count, left_out; /* rows followed, and not */
    unsigned level_count;
    struct stats_growth_level levels[GROWTH_LEVELS];
};

struct stats_growth; /* of one heap */
struct stats_type_view;

/* NULL: out of memory. */
struct stats_growth *stats_growth_new(uint64_t now_ns);
struct stats_growth *stats_growth_ref(struct stats_growth *growth); /* NULL is allowed, in both */
void stats_growth_unref(struct stats_growth *growth);
/* What the heap's types are now. collections: its sum. */
void stats_growth_take(struct stats_growth *growth, const struct stats_type_view *types, uint32_t count,
                       uint64_t collections, uint64_t now_ns);
/* As far as it has come, or NULL: nothing yet (growth may be NULL), or out of memory. Any thread. */
struct stats_growth_copy *stats_growth_copy_new(struct stats_growth *growth);

#endif
