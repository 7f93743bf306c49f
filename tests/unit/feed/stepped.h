/* The writer of test_steps.c: a feed with the smallest ring there may be, and a program that the pen goes
 * through. All that depends on how a feed is made stands here.
 *
 * Record number i says so: granule, or the second word of a rare event, is i, all else follows from it. */
#ifndef TALLY_TEST_FEED_STEPPED_H
#define TALLY_TEST_FEED_STEPPED_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "feed/feed.h"

#define ROWS 3u
#define CAPACITY (2u * WIRE_BLOCK_SIZE) /* words */
#define RING_BYTES (WIRE_RING_HEADER_BYTES + CAPACITY * 8)

struct shared { /* between child and parent, besides the feed */
    atomic_bool stepping;
    _Atomic uint64_t sequence; /* at the start of a phase */
};

struct writer {
    struct feed_pen pen; /* the child's, as is all but the memory that the pointers lead to */
    struct feed feed;
    uint64_t summaries;
    struct wire_counters *counters;
    struct wire_ring *ring;
    struct shared *shared;
};

static inline void *memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    return at;
}

static inline void writer_make(struct writer *writer)
{
    static const struct feed_type types[] = {
        {.name = "other"},
        {.name = "pair", .size_bytes = 16, .ref_count = 2, .flags = WIRE_TYPE_TRACKED | WIRE_TYPE_VARIABLE},
        {.name = "text", .size_bytes = 8, .flags = WIRE_TYPE_VARIABLE},
    };
    writer->counters = memory(WIRE_COUNTERS_BYTES);
    writer->ring = memory(RING_BYTES);
    feed_counters_format(writer->counters, 7, 1);
    feed_ring_format(writer->ring, 7, 1);
    writer->ring->capacity_words = CAPACITY;
    writer->ring->total_bytes = RING_BYTES;
    writer->feed.pen = &writer->pen;
    feed_adopt(&writer->feed, writer->counters, writer->ring);
    writer->pen.mask = CAPACITY - 1;
    feed_types_describe(&writer->feed, types, ROWS);
    for (unsigned i = 0; i < 100 * ROWS; i++) /* so many are there before the first event */
        feed_object(&writer->pen, WIRE_EVENT_ALLOC, i % ROWS, true, 8, i);
    feed_level_set(&writer->feed, WIRE_LEVEL_ALL);
    writer->shared = memory(sizeof *writer->shared);
}

/* ---- record i */

static enum wire_event kind_of(uint64_t i)
{
    static const enum wire_event kinds[] = {WIRE_EVENT_ALLOC, WIRE_EVENT_ALLOC, WIRE_EVENT_FREE_REFCOUNT,
                                            WIRE_EVENT_FREE_CYCLE};
    return kinds[i % 4];
}

static uint32_t row_of(uint64_t i)
{
    return (uint32_t)(i / 4 % ROWS);
}

static uint64_t bytes_of(uint64_t i, bool two_words)
{
    return two_words ? 504 + i % 100 * 8 : i % 60 * 8;
}

static void event_write(struct writer *writer, bool two_words)
{
    uint64_t i = writer->pen.sequence;
    feed_object(&writer->pen, kind_of(i), row_of(i), true, bytes_of(i, two_words), i);
}

/* ---- what the child does: a phase's first half runs freely, its second step by step */

static void fill_until(struct writer *writer, uint64_t left)
{
    while (writer->pen.block_end - writer->pen.position != left)
        event_write(writer, false);
}

static void fill_0(struct writer *writer)
{
    fill_until(writer, 0);
}

static void fill_1(struct writer *writer)
{
    fill_until(writer, 1);
}

static void fill_2(struct writer *writer)
{
    fill_until(writer, 2);
}

static void fill_20(struct writer *writer)
{
    fill_until(writer, 20);
}

static void nothing(struct writer *writer)
{
    (void)writer;
}

static void ones_and_twos(struct writer *writer)
{
    for (unsigned i = 0; i < 12; i++)
        event_write(writer, i % 3 == 1);
}

static void one_two_one(struct writer *writer)
{
    event_write(writer, false);
    event_write(writer, true);
    event_write(writer, false);
}

static void two_one(struct writer *writer)
{
    event_write(writer, true);
    event_write(writer, false);
}

static void level_cycle(struct writer *writer)
{
    feed_level_set(&writer->feed, WIRE_LEVEL_OFF);
    for (unsigned i = 0; i < 4; i++)
        feed_object(&writer->pen, i < 3 ? WIRE_EVENT_ALLOC : WIRE_EVENT_FREE_CYCLE, i % ROWS, true, 8, 0);
    feed_level_set(&writer->feed, WIRE_LEVEL_ALL);
    one_two_one(writer);
}

/* Summary n: every member that the writer may set says n in its own way. */
static void summary_write(struct writer *writer)
{
    struct wire_counters *to = writer->counters;
    uint64_t n = ++writer->summaries;
    feed_summary_begin(&writer->pen);
    for (unsigned i = 0; i < 3; i++) {
        atomic_store_explicit(&to->generations[i].collections, n + i, memory_order_relaxed);
        atomic_store_explicit(&to->counts[i], n + 10 + i, memory_order_relaxed);
    }
    atomic_store_explicit(&to->garbage, n + 20, memory_order_relaxed);
    atomic_store_explicit(&to->refused_runs, n + 21, memory_order_relaxed);
    feed_summary_end(&writer->pen);
}

static void summaries(struct writer *writer)
{
    for (unsigned i = 0; i < 4; i++)
        summary_write(writer);
}

static void record_write(struct writer *writer)
{
    uint64_t n = atomic_load(&writer->counters->record_head) + 1;
    struct feed_record record = {.start_ns = n, .pause_ns = n + 1, .find_ns = n + 2, .callback_ns = n + 3,
                                 .free_ns = n + 4, .examined = n + 5, .collected = n + 6,
                                 .freed_bytes = n + 7, .uncollectable = n + 8, .live_bytes_before = n + 9,
                                 .live_bytes_after = n + 10, .safepoint_wait_ns = n + 11,
                                 .operation = n + 12, .reason = (uint32_t)n + 13,
                                 .generation = (uint32_t)n + 14, .manager = (uint32_t)n + 15,
                                 .scope = WIRE_SCOPE_HEAP, .slices = (uint32_t)n};
    feed_collection_start(&writer->pen, 2, writer->pen.sequence);
    feed_collection_stop(&writer->pen, &record, writer->pen.sequence);
}

static void records(struct writer *writer)
{
    for (unsigned i = 0; i < 4; i++)
        record_write(writer);
}

/* All slots but two have been used; without events, which would fill the ring. */
static void records_nearly_all(struct writer *writer)
{
    feed_level_set(&writer->feed, WIRE_LEVEL_OFF);
    while (atomic_load(&writer->counters->record_head) < writer->counters->record_capacity - 2)
        record_write(writer);
    feed_level_set(&writer->feed, WIRE_LEVEL_ALL);
}

static void types_describe(struct writer *writer)
{
    struct feed_type types[ROWS + 3] = {{.name = NULL}};
    for (unsigned i = ROWS; i < ROWS + 3; i++)
        types[i] = (struct feed_type){.name = "more", .size_bytes = 8 * i};
    feed_types_describe(&writer->feed, types, ROWS + 3);
}

static void many(struct writer *writer)
{
    for (unsigned i = 0; i < 60; i++)
        event_write(writer, i % 7 == 3);
}

static const struct {
    void (*freely)(struct writer *writer), (*stepped)(struct writer *writer);
} phases[] = {
    {nothing, ones_and_twos}, {fill_2, one_two_one}, {fill_2, two_one},   {fill_1, two_one},
    {fill_0, two_one},        {fill_1, level_cycle}, {fill_0, level_cycle}, {nothing, summaries},
    {nothing, records},       {records_nearly_all, records}, {nothing, types_describe},
    {fill_20, many},          {fill_20, many},       {fill_20, many},     {fill_20, many},
    {fill_20, many},          {nothing, level_cycle},
};
#define PHASES (sizeof phases / sizeof *phases)

static inline void writer_run(struct writer *writer)
{
    for (size_t i = 0; i < PHASES; i++) {
        phases[i].freely(writer);
        atomic_store(&writer->shared->sequence, writer->pen.sequence);
        atomic_store(&writer->shared->stepping, true);
        raise(SIGTRAP);
        phases[i].stepped(writer);
        atomic_store(&writer->shared->stepping, false);
    }
}

#endif
