#include "stats/suspects.h"

#include <math.h>
#include <stdlib.h>

#include "stats/trend.h"
#include "wire/feed.h"

#define CHANCE_MOST 0.01
#define STEADY_LEAST 0.25
#define SHARE_LEAST 0.002 /* of what lives: slower is no leak that anybody looks for */
#define UNITS_LEAST 64.0
#define HOUR_NS 3.6e12
#define MINUTE_NS 6e10
_Static_assert(TREND_MOST == GROWTH_PARTS, "all parts of a level");

/* The start of a level's oldest part is its time 0. */
static struct trend level_trend(const struct stats_growth_level *level, uint32_t row)
{
    double times[GROWTH_PARTS], values[GROWTH_PARTS];
    for (unsigned i = 0; i < level->count; i++) {
        times[i] = (double)(level->end_ns[i] - level->start_ns);
        values[i] = (double)level->low[row][i];
    }
    return trend_of(times, values, level->count);
}

static bool rises(const struct stats_growth_level *level, uint32_t row, const struct trend *trend)
{
    double now = (double)level->low[row][level->count - 1];
    double more = trend->slope * (double)(level->end_ns[level->count - 1] - level->end_ns[0]);
    return trend->p <= CHANCE_MOST && trend->steady >= STEADY_LEAST && more >= UNITS_LEAST && more >= SHARE_LEAST * now;
}

/* Whether there is more of it now than there was before the level's parts began. */
static bool is_highest(const struct stats_growth_copy *copy, unsigned at, uint32_t row)
{
    const struct stats_growth_level *level = &copy->levels[at];
    float now = level->low[row][level->count - 1];
    for (unsigned k = at + 1; k < copy->level_count; k++)
        for (unsigned i = 0; i < copy->levels[k].count && copy->levels[k].end_ns[i] <= level->start_ns; i++)
            if (copy->levels[k].high[row][i] >= now)
                return false;
    return true;
}

/* Garbage that waits for a collection is alive to the counters. */
static double collected(const struct stats_heap_view *heap, uint64_t collections)
{
    bool finds = heap->config.manager != WIRE_MANAGER_REFCOUNT && heap->config.manager != WIRE_MANAGER_NONE;
    return finds ? 1 - 0.5 / (1 + (double)collections) : 1;
}

static void judge(const struct stats_heap_view *heap, const struct stats_type_view *type,
                  const struct stats_growth_copy *copy, unsigned at, const struct trend *trend, struct stats_suspect *out)
{
    const struct stats_growth_level *level = &copy->levels[at];
    unsigned last = level->count - 1;
    double duration_ns = (double)(level->end_ns[last] - level->start_ns), units = trend->slope * HOUR_NS;
    double rising = 2 * (double)trend->rises / last - 1; /* half of them would be chance */
    uint64_t collections = level->collections[last] - level->collections[0];
    double mean = type->live_objects ? (double)type->live_bytes / (double)type->live_objects : 0;
    *out = (struct stats_suspect){.type = type,
                                  .bytes_per_hour = type->live_bytes ? units * GROWTH_UNIT : 0,
                                  .objects_per_hour = mean > 0 ? units * GROWTH_UNIT / mean : units,
                                  .p = trend->p,
                                  .steady = trend->steady,
                                  .windows = level->count,
                                  .rises = trend->rises,
                                  .level = at,
                                  .window_ns = (level->end_ns[last] - level->start_ns) / level->count,
                                  .duration_ns = level->end_ns[last] - level->start_ns,
                                  .collections = collections};
    out->confidence = fmin(fmax(rising, 0) * trend->steady * duration_ns / (duration_ns + MINUTE_NS) *
                               collected(heap, collections),
                           SUSPECT_MOST_CONFIDENCE);
}

/* What ends no higher than it began is most of all types: it takes no test. */
static bool ends_higher(const struct stats_growth_level *level, uint32_t row)
{
    return level->low[row][level->count - 1] > level->low[row][0];
}

/* By the longest level that shows it. */
static bool is_suspect(const struct stats_heap_view *heap, const struct stats_type_view *type,
                       const struct stats_growth_copy *copy, struct stats_suspect *out)
{
    bool longest = true;
    for (unsigned at = copy->level_count; at-- > 0;) {
        if (copy->levels[at].count < SUSPECT_LEAST_PARTS)
            continue;
        const struct stats_growth_level *level = &copy->levels[at];
        if (ends_higher(level, type->row) && (longest || is_highest(copy, at, type->row))) {
            struct trend trend = level_trend(level, type->row);
            if (rises(level, type->row, &trend)) {
                judge(heap, type, copy, at, &trend, out);
                return true;
            }
        }
        longest = false;
    }
    return false;
}

static int suspect_order(const void *first, const void *second)
{
    const struct stats_suspect *a = first, *b = second;
    if (a->bytes_per_hour != b->bytes_per_hour)
        return a->bytes_per_hour < b->bytes_per_hour ? 1 : -1;
    return (a->objects_per_hour < b->objects_per_hour) - (a->objects_per_hour > b->objects_per_hour);
}

size_t stats_suspects(const struct stats_heap_view *heap, const struct stats_growth_copy *copy, struct stats_suspect *out)
{
    size_t count = 0;
    for (size_t i = 0; copy && i < heap->type_count; i++)
        if (heap->types[i].row < copy->type_count && heap->types[i].live_objects)
            count += is_suspect(heap, &heap->types[i], copy, &out[count]);
    qsort(out, count, sizeof *out, suspect_order);
    return count;
}
