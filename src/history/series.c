/* One series while it lives: its figures now, what was written of it last at each level, and the extremes of the two
 * windows that are open. A window of a level is (label - step, label]; its extremes hold the value with which it began
 * unless that changed in its very first second. */
#include <stdlib.h>
#include <string.h>

#include "history/private.h"
#include "history/sampler.h"

#define NO_BLOCK UINT64_MAX

/* The arrays behind a series, each of shape->count. */
enum { VALUE, EMITTED, LOW = EMITTED + LEVELS, HIGH = LOW + LEVELS - 1, ARRAYS = HIGH + LEVELS - 1 };

static uint64_t *array(struct series *series, const struct shape *shape, unsigned which)
{
    return &series->figures[which * shape->count];
}
static uint64_t *low_of(struct series *series, const struct shape *shape, enum level level)
{
    return level == LEVEL_SECONDS ? NULL : array(series, shape, LOW + level - 1u);
}
static uint64_t *high_of(struct series *series, const struct shape *shape, enum level level)
{
    return level == LEVEL_SECONDS ? NULL : array(series, shape, HIGH + level - 1u);
}

struct series *series_new(struct sampler *sampler, uint32_t process, uint32_t heap, enum subject subject, const char *type)
{
    const struct shape *shape = &sampler->base.figures[subject].shape;
    struct series *series = calloc(1, sizeof *series + ARRAYS * shape->count * sizeof *series->figures);
    if (!series)
        return NULL;
    series->subject = subject;
    series->no = sampler->base.next_series++;
    series_break(series);
    struct row_series row = {.row = {.kind = ROW_SERIES, .epoch = sampler->base.epoch}, .no = series->no, .process = process,
                             .heap = heap, .subject = subject, .at = sampler->at};
    sampler->broken |= !queue_put(sampler->queue, &row.row, sizeof row, type, strlen(type) + 1);
    sampler->series_count++;
    return series;
}

void series_free(struct sampler *sampler, struct series *series)
{
    sampler->series_count -= series != NULL;
    free(series);
}

void series_break(struct series *series)
{
    for (int level = 0; level < LEVELS; level++) {
        series->block[level] = NO_BLOCK;
        series->moved[level] = true;
    }
}

static void put(struct sampler *sampler, uint32_t no, enum level level, uint64_t at, const void *data, size_t bytes)
{
    struct row_sample row = {.row = {.kind = ROW_SAMPLE, .level = (uint16_t)level, .epoch = sampler->base.epoch},
                             .key = key_of(level, no, at)};
    sampler->broken |= !queue_put(sampler->queue, &row.row, sizeof row, data, bytes);
}

static void write_row(struct sampler *sampler, struct series *series, enum level level, uint64_t at)
{
    const struct shape *shape = &sampler->base.figures[series->subject].shape;
    unsigned char data[RECORD_MAX];
    uint64_t *value = array(series, shape, VALUE), *emitted = array(series, shape, EMITTED + level);
    uint64_t block = level_block(level, at);
    size_t bytes = record_pack(data, shape, value, series->block[level] == block ? emitted : NULL,
                               low_of(series, shape, level), high_of(series, shape, level));
    put(sampler, series->no, level, at, data, bytes);
    sampler->wrote = true;
    memcpy(emitted, value, shape->count * sizeof *value);
    series->block[level] = block;
    series->moved[level] = false;
}

void series_sample(struct sampler *sampler, struct series *series, const uint64_t *now)
{
    const struct shape *shape = &sampler->base.figures[series->subject].shape;
    uint64_t *value = array(series, shape, VALUE);
    bool first = series->block[LEVEL_SECONDS] == NO_BLOCK;
    if (!first && !memcmp(now, value, shape->count * sizeof *now))
        return;
    memcpy(value, now, shape->count * sizeof *now);
    for (enum level level = LEVEL_TENS; level < LEVELS; level++) {
        uint64_t *low = low_of(series, shape, level), *high = high_of(series, shape, level);
        bool anew = first || level_label(level, sampler->at - 1) != level_label(level, sampler->at);
        for (unsigned i = 0; i < shape->count; i++) {
            bool counter = !(shape->gauges >> i & 1); /* which has no extremes */
            low[i] = anew || counter || now[i] < low[i] ? now[i] : low[i];
            high[i] = anew || counter || now[i] > high[i] ? now[i] : high[i];
        }
        series->moved[level] = true;
    }
    write_row(sampler, series, LEVEL_SECONDS, sampler->at);
}

/* Minutes, too, where there was none for long: a reader looks back no further than that. */
static bool is_due(const struct series *series, enum level level, uint64_t label)
{
    return level == LEVEL_MINUTES && (label / 60 + series->no) % KEYFRAME_MINUTES == 0;
}

void series_close(struct sampler *sampler, struct series *series, enum level level, uint64_t label)
{
    const struct shape *shape = &sampler->base.figures[series->subject].shape;
    if (series->block[LEVEL_SECONDS] == NO_BLOCK || (!series->moved[level] && !is_due(series, level, label)))
        return;
    write_row(sampler, series, level, label);
    memcpy(low_of(series, shape, level), array(series, shape, VALUE), shape->count * sizeof(uint64_t));
    memcpy(high_of(series, shape, level), array(series, shape, VALUE), shape->count * sizeof(uint64_t));
}

void series_end(struct sampler *sampler, struct series *series, uint64_t last)
{
    if (series->block[LEVEL_SECONDS] == NO_BLOCK)
        return; /* nothing was told of it since the run began */
    for (enum level level = LEVEL_TENS; level < LEVELS; level++) {
        uint64_t label = level_label(level, last);
        series_close(sampler, series, level, label);
        put(sampler, series->no, level, label + level_shapes[level].step_s, NULL, 0);
    }
    put(sampler, series->no, LEVEL_SECONDS, last + 1, NULL, 0);
    series_break(series);
}
