/* Types of which ever more live: told from the least that lived in parts of time (growth.h), without asking the program.
 *
 * A type is suspected by the parts of one level where
 *  - they rise: Mann and Kendall's test says that such order would be chance once in a hundred times at most;
 *  - they still rise in the last third: what has come to its bound, or was a beginning, does not;
 *  - what was before is no higher: of longer levels either rise themselves, or had never as much.
 * The confidence is the product of how many parts rose, how steadily, how long that was seen, and whether collections
 * ran meanwhile, since until one has run garbage counts as alive. It is never certain: a cache that still fills looks
 * the same. */
#ifndef TALLY_STATS_SUSPECTS_H
#define TALLY_STATS_SUSPECTS_H

#include "stats/growth.h"
#include "stats/stats.h"

#define SUSPECT_LEAST_PARTS 8u
#define SUSPECT_MOST_CONFIDENCE 0.95

struct stats_suspect {
    const struct stats_type_view *type; /* the heap's */
    double confidence; /* 0 to SUSPECT_MOST_CONFIDENCE */
    double bytes_per_hour, objects_per_hour;
    double p, steady;
    unsigned windows, rises; /* parts, and how many of those behind the first were not below the one before */
    unsigned level;
    uint64_t window_ns, duration_ns, collections; /* of one of them; of all; run in all */
};

/* The heap's suspects, those that grow fastest first; `out` has room for heap->type_count. Returns how many. copy: of
 * the heap's growth; NULL: none. */
size_t stats_suspects(const struct stats_heap_view *heap, const struct stats_growth_copy *copy, struct stats_suspect *out);

#endif
