/* What a collection would take before anybody asks for one: so many objects, at what the process's own collections took
 * for each that they examined. Of views alone, and so free for the program.
 *
 * What is always true
 *  - Nothing is made up: where no collection of the kind has been seen there is no pause, but the reason why.
 *  - Those collections count that examined most nearly as many: what an object takes grows with the heap.
 *  - One that is asked for runs in one piece, whatever max_pause says.
 */
#ifndef TALLY_STATS_FORECAST_H
#define TALLY_STATS_FORECAST_H

#include "stats/stats.h"

#define FORECAST_RUNS 8u /* collections that it rests on, at most */

struct stats_forecast {
    const char *unknown; /* why there is no pause, in a phrase; NULL: there is one */
    uint64_t objects;    /* that would be examined, as far as can be told from outside */
    uint64_t pause_ns, least_ns, most_ns; /* by the middle, the fastest and the slowest of the collections */
    unsigned runs;       /* that it rests on */
    bool settled; /* as of the last safepoint there was nothing to look at: the pause is 0, and most_ns what it is if something has
                   * come since */
};

/* Of collect(generation), 0 to 2, in one heap of the process. Any thread. */
void stats_forecast_collect(const struct stats_process_view *process, const struct stats_heap_view *heap,
                            unsigned generation, struct stats_forecast *out);

/* Of collect(2) in all heaps: their objects, and the pause of the heap that takes longest, since each stops its own
 * thread. What is not known of one heap is not known. Without a look at the collections. */
void stats_forecast_full(const struct stats_process_view *process, struct stats_forecast *out);

/* What runs of one scope (enum wire_scope) took for each object: of the `count` collections those of heap n that
 * examined most nearly so many; in any order. */
struct stats_pace stats_pace_of(const struct stats_collection_view *collections, size_t count, uint32_t n, uint32_t scope,
                                uint64_t objects);

#endif
