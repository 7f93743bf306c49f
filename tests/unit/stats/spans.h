/* Writes spans as a ring's reader shows them, into one heap's events, and keeps a slow reference beside: of each
 * granule when it was born, exactly. */
#ifndef TESTS_UNIT_STATS_SPANS_H
#define TESTS_UNIT_STATS_SPANS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stats/events.h"

#define SPAN_WORDS 509u /* a block's */
#define GRANULES (1u << 21)
#define ROWS 64u

struct birth {
    bool known;
    uint64_t event, bytes, ns;
};

struct row_reference {
    uint64_t counts[4], sizes[STATS_SIZES], known;
    /* Deaths by the least and the greatest bucket that an honest estimate may come to. */
    uint64_t least_ns[STATS_LIFETIMES], most_ns[STATS_LIFETIMES];
    uint64_t least_bytes[STATS_LIFETIMES], most_bytes[STATS_LIFETIMES];
};

struct pen {
    struct events *events;
    struct events_budget budget;
    uint32_t row_limit;
    uint64_t words[SPAN_WORDS];
    size_t count, records;
    bool plain;
    uint64_t lost, span_ns, since_ns;
    uint64_t event, bytes, ns, ns_an_event; /* so far */
    struct birth *births;
    struct row_reference rows[ROWS];
};

static inline void pen_start(struct pen *pen)
{
    *pen = (struct pen){.budget = {.limit = (uint64_t)256 << 20}, .row_limit = ROWS, .plain = true,
                        .ns = 1000000, .ns_an_event = 100};
    pen->events = events_new(&pen->budget);
    events_bound(pen->events, (uint64_t)1 << 40);
    pen->births = calloc(GRANULES, sizeof *pen->births);
    assert_non_null(pen->events);
    assert_non_null(pen->births);
}

static inline void pen_end(struct pen *pen)
{
    events_free(pen->events);
    assert_int_equal(pen->budget.used, 0);
    free(pen->births);
}

static inline void pen_flush(struct pen *pen)
{
    if (pen->records)
        events_fold(pen->events,
                    &(struct wire_span){.words = pen->words, .count = pen->count, .records = pen->records,
                                        .plain = pen->plain, .lost = pen->lost, .clock_ns = pen->span_ns > pen->since_ns ? pen->span_ns : pen->since_ns},
                    pen->row_limit);
    pen->count = pen->records = pen->lost = 0;
    pen->plain = true;
}

/* Any record of `count` words. */
static inline void pen_words(struct pen *pen, const uint64_t *words, size_t count)
{
    if (pen->count + count > SPAN_WORDS)
        pen_flush(pen);
    if (!pen->records)
        pen->span_ns = pen->ns;
    memcpy(&pen->words[pen->count], words, count * sizeof *words);
    pen->plain &= count == 1 && (words[0] & 3) != WIRE_EVENT_RARE;
    pen->count += count;
    pen->records++;
    pen->event++;
    pen->ns += pen->ns_an_event;
}

static inline void pen_rare(struct pen *pen, enum wire_rare rare, uint64_t words)
{
    uint64_t record[SPAN_WORDS] = {WIRE_EVENT_RARE | (uint64_t)rare << 2 | words << 8, pen->ns};
    pen_words(pen, record, words);
}

static inline void pen_object(struct pen *pen, enum wire_event kind, uint32_t row, uint64_t granule, uint64_t bytes)
{
    bool fits = bytes % 8 == 0 && bytes / 8 < WIRE_SIZE_CODE_LONG;
    uint64_t code = fits ? bytes / 8 : WIRE_SIZE_CODE_LONG;
    uint64_t record[2] = {kind | (uint64_t)row << 2 | code << 18 | granule << WIRE_GRANULE_SHIFT, bytes};
    pen_words(pen, record, fits ? 1 : 2);
}

/* So many records were lost before what comes. */
static inline void pen_lose(struct pen *pen, uint64_t lost)
{
    pen_flush(pen);
    pen->lost = lost;
    memset(pen->births, 0, GRANULES * sizeof *pen->births);
}

static inline void pen_alloc(struct pen *pen, uint32_t row, uint64_t granule, uint64_t bytes)
{
    pen->births[granule] = (struct birth){true, pen->event, pen->bytes, pen->ns};
    pen->rows[row].counts[WIRE_EVENT_ALLOC]++;
    pen->rows[row].sizes[bytes / 8 < STATS_SIZES - 1 ? bytes / 8 : STATS_SIZES - 1]++;
    pen->bytes += bytes;
    pen_object(pen, WIRE_EVENT_ALLOC, row, granule, bytes);
}

static inline unsigned bucket_of(double value)
{
    unsigned bucket = 0;
    while (bucket < STATS_LIFETIMES - 1 && value >= (double)((uint64_t)2 << bucket))
        bucket++;
    return bucket;
}

/* An eighth and ten events: a stamp's eight, and what rounding adds. */
static inline void row_death(struct row_reference *row, double ns, double bytes, double event_ns, double event_bytes)
{
    row->known++;
    row->least_ns[bucket_of(ns * 0.86 - 10 * event_ns)]++;
    row->most_ns[bucket_of(ns * 1.14 + 10 * event_ns)]++;
    row->least_bytes[bucket_of(bytes * 0.86 - 10 * event_bytes)]++;
    row->most_bytes[bucket_of(bytes * 1.14 + 10 * event_bytes)]++;
}

static inline void pen_free(struct pen *pen, enum wire_event kind, uint32_t row, uint64_t granule, uint64_t bytes)
{
    struct birth *birth = &pen->births[granule];
    pen->rows[row].counts[kind]++;
    if (birth->known)
        row_death(&pen->rows[row], (double)(pen->ns - birth->ns), (double)(pen->bytes - birth->bytes),
                  (double)pen->ns_an_event, 64);
    birth->known = false;
    pen_object(pen, kind, row, granule, bytes);
}

/* least and most bound what was got: as cumulated counts from 0 on. */
static inline void assert_between(const uint64_t *got, const uint64_t *least, const uint64_t *most)
{
    uint64_t sum = 0, upper = 0, lower = 0;
    for (unsigned i = 0; i < STATS_LIFETIMES; i++) {
        sum += got[i];
        upper += least[i];
        lower += most[i];
        if (sum > upper || sum < lower)
            fail_msg("below 2^%u: %llu, not %llu to %llu", i + 1, (unsigned long long)sum, (unsigned long long)lower,
                     (unsigned long long)upper);
    }
}

static inline void assert_row_counts(const struct pen *pen, uint32_t at)
{
    const struct row_reference *row = &pen->rows[at];
    struct stats_histograms got;
    events_histograms(pen->events, at, &got);
    for (unsigned kind = WIRE_EVENT_ALLOC; kind <= WIRE_EVENT_FREE_CYCLE; kind++)
        assert_int_equal(events_count(pen->events, at, (enum wire_event)kind), row->counts[kind]);
    assert_memory_equal(got.sizes, row->sizes, sizeof got.sizes);
    assert_int_equal(got.known, row->known);
    assert_int_equal(events_any(pen->events, at), row->counts[1] + row->counts[2] + row->counts[3] > 0);
}

static inline void assert_row(struct pen *pen, uint32_t at)
{
    const struct row_reference *row = &pen->rows[at];
    struct stats_histograms got;
    uint64_t short_lived = 0;
    pen_flush(pen);
    assert_row_counts(pen, at);
    events_histograms(pen->events, at, &got);
    assert_between(got.ns, row->least_ns, row->most_ns);
    assert_between(got.bytes, row->least_bytes, row->most_bytes);
    for (unsigned i = 0; i < 20; i++)
        short_lived += got.bytes[i];
    assert_int_equal(got.short_lived, short_lived);
}

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
