/* Baselines: figures of a process of a moment, to which others are compared later: its own, or those of another release
 * of the program. Several are kept of each process, and they outlive it.
 *
 * What is always true
 *  - There are at most BASELINES_EACH of a process, BASELINES_ALL in all, and BASELINES_BYTES of memory that they hold
 *    alone: the oldest goes first, of the same process where that has too many. The newest always stays.
 *  - Numbers count from 1 and are never reused. Any thread. */
#ifndef TALLY_STATS_BASELINE_H
#define TALLY_STATS_BASELINE_H

#include "stats/stats.h"

#define BASELINES_EACH 16u
#define BASELINES_ALL 256u
#define BASELINES_BYTES ((size_t)64 << 20)

struct stats_baseline {
    uint64_t number, set_wall_ns;
    const struct stats_process_view *process; /* a reference, for stats_process_unref() */
};

/* Keeps what the view says. Its number, or 0: out of memory. */
uint64_t stats_baseline_set(struct stats *stats, const struct stats_process_view *process);
/* The newest of a process (its id), or the one of a number. false: there is none. */
bool stats_baseline_newest(struct stats *stats, const char *id, struct stats_baseline *out);
bool stats_baseline_find(struct stats *stats, uint64_t number, struct stats_baseline *out);
/* The newest first, of a process or (NULL) of all, at most `most`; returns how many. */
size_t stats_baselines_list(struct stats *stats, const char *id, struct stats_baseline *out, size_t most);
/* false: there is none of this number. */
bool stats_baseline_delete(struct stats *stats, uint64_t number);

#endif
