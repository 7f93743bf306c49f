/* Whether a few numbers go up, and how fast: by ranks and medians, so that no single one decides.
 * Private to this folder. */
#ifndef TALLY_STATS_TREND_H
#define TALLY_STATS_TREND_H

#define TREND_MOST 12u

struct trend {
    double slope;  /* Theil and Sen's: the median of the slopes of all pairs */
    double p;      /* Mann and Kendall's, one-sided: how likely as much order upwards is where there is no trend */
    double steady; /* the slope of the last third, as a part of the whole's: 0 to 1 */
    unsigned rises; /* numbers that are not less than the one before */
};

/* Of 4 to TREND_MOST numbers at rising times. */
struct trend trend_of(const double *times, const double *values, unsigned count);

#endif
