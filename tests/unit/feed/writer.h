/* A writer whose every word says what it must be, on the smallest ring there may be; and what a reader may find
 * of it. All that depends on how a feed is made stands here.
 *
 * Record number i of the ring says so: granule, or the second word of a rare event, is i, all else follows from
 * it. Likewise summary n, and collection n. */
#ifndef TALLY_TEST_FEED_WRITER_H
#define TALLY_TEST_FEED_WRITER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "feed/feed.h"
#include "wire/ring_read.h"

#define ROWS 3u
#define CAPACITY (2u * WIRE_BLOCK_SIZE) /* words */
#define RING_BYTES (WIRE_RING_HEADER_BYTES + CAPACITY * 8)

struct writer {
    struct feed_pen pen;
    uint64_t summaries;
    struct wire_counters *counters;
    struct wire_ring *ring;
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
    feed_counters_format(writer->counters, FEED_SHAPE_START, 7, 1);
    feed_ring_format(writer->ring, CAPACITY, 7, 1);
    feed_adopt(&writer->pen, writer->counters, writer->ring);
    feed_types_describe(&writer->pen, types, ROWS, ROWS);
    for (unsigned i = 0; i < 100 * ROWS; i++) /* so many are there before the first event */
        feed_object(&writer->pen, WIRE_EVENT_ALLOC, i % ROWS, true, 8, i);
    feed_level_set(&writer->pen, WIRE_LEVEL_ALL);
}

/* ---- reading, an event at a time */

typedef void (*event_fn)(const struct wire_event_view *event, void *arg);
struct each {
    event_fn fn;
    void *arg;
};

static void span_each(const struct wire_span *span, void *arg)
{
    const struct each *each = arg;
    for (size_t at = 0; at < span->count;) {
        struct wire_event_view event;
        at += wire_event_decode(&span->words[at], &event);
        each->fn(&event, each->arg);
    }
}

static inline int64_t events_read(struct wire_ring_reader *reader, event_fn fn, void *arg)
{
    return wire_ring_read(reader, UINT64_MAX, span_each, &(struct each){fn, arg});
}

/* ---- record i */

static inline enum wire_event kind_of(uint64_t i)
{
    static const enum wire_event kinds[] = {WIRE_EVENT_ALLOC, WIRE_EVENT_ALLOC, WIRE_EVENT_FREE_REFCOUNT,
                                            WIRE_EVENT_FREE_CYCLE};
    return kinds[i % 4];
}

static inline uint32_t row_of(uint64_t i)
{
    return (uint32_t)(i / 4 % ROWS);
}

static inline uint64_t bytes_of(uint64_t i, bool two_words)
{
    return two_words ? 504 + i % 100 * 8 : i % 60 * 8;
}

static inline void event_write(struct writer *writer, bool two_words)
{
    uint64_t i = feed_sequence(&writer->pen);
    feed_object(&writer->pen, kind_of(i), row_of(i), true, bytes_of(i, two_words), i);
}

static inline uint64_t event_number(const struct wire_event_view *event)
{
    return event->kind == WIRE_EVENT_RARE ? event->value : event->granule;
}

static inline bool event_is_right(const struct wire_event_view *event)
{
    uint64_t i = event_number(event);
    if (event->kind == WIRE_EVENT_RARE)
        return event->rare == WIRE_RARE_COLLECTION_START || event->rare == WIRE_RARE_COLLECTION_STOP;
    return event->kind == kind_of(i) && event->row == row_of(i) &&
           event->bytes == bytes_of(i, event->bytes >= 504);
}

/* ---- summary n, collection n */

/* Summary n: members that say n, each in its own way. pause is between the two halves. */
static inline void summary_write(struct writer *writer, unsigned pause)
{
    struct wire_counters *to = writer->counters;
    uint64_t n = ++writer->summaries;
    feed_summary_begin(&writer->pen);
    for (unsigned i = 0; i < 3; i++) {
        atomic_store_explicit(&to->generations[i].collections, n + i, memory_order_relaxed);
        atomic_store_explicit(&to->counts[i], n + 10 + i, memory_order_relaxed);
    }
    for (volatile unsigned i = 0; i < pause; i++)
        continue;
    atomic_store_explicit(&to->garbage, n + 20, memory_order_relaxed);
    atomic_store_explicit(&to->refused_runs, n + 21, memory_order_relaxed);
    feed_summary_end(&writer->pen);
}

/* A copy of the header: one summary's, or from before the first. */
static inline bool summary_is_right(const struct wire_counters *from)
{
    uint64_t n = atomic_load_explicit(&from->garbage, memory_order_relaxed) - 20;
    bool none = n + 20 == 0, right = true;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t runs = atomic_load_explicit(&from->generations[i].collections, memory_order_relaxed);
        uint64_t count = atomic_load_explicit(&from->counts[i], memory_order_relaxed);
        right &= runs == (none ? 0 : n + i) && count == (none ? 0 : n + 10 + i);
    }
    return right &&
           atomic_load_explicit(&from->refused_runs, memory_order_relaxed) == (none ? 0 : n + 21);
}

static inline void record_write(struct writer *writer)
{
    uint64_t n = atomic_load(&writer->counters->record_head) + 1;
    struct feed_record record = {.start_ns = n, .pause_ns = n + 1, .find_ns = n + 2, .callback_ns = n + 3,
                                 .free_ns = n + 4, .examined = n + 5, .collected = n + 6,
                                 .freed_bytes = n + 7, .uncollectable = n + 8, .live_bytes_before = n + 9,
                                 .live_bytes_after = n + 10, .safepoint_wait_ns = n + 11,
                                 .operation = n + 12, .reason = (uint32_t)n + 13,
                                 .generation = (uint32_t)n + 14, .manager = (uint32_t)n + 15,
                                 .scope = WIRE_SCOPE_HEAP, .slices = (uint32_t)n};
    feed_collection_start(&writer->pen, 2, feed_sequence(&writer->pen));
    feed_collection_stop(&writer->pen, &record, feed_sequence(&writer->pen));
}

static inline bool record_is_right(const struct wire_record *record, uint64_t n)
{
    const _Atomic uint64_t *members = &record->start_ns;
    bool right = true;
    for (unsigned i = 0; i < 13; i++)
        right &= atomic_load_explicit(&members[i], memory_order_relaxed) == n + i;
    return right && atomic_load_explicit(&record->reason, memory_order_relaxed) == n + 13 &&
           atomic_load_explicit(&record->generation, memory_order_relaxed) == n + 14 &&
           atomic_load_explicit(&record->manager, memory_order_relaxed) == n + 15 &&
           atomic_load_explicit(&record->scope_slices, memory_order_relaxed) ==
               (WIRE_SCOPE_HEAP | n << WIRE_SLICES_SHIFT);
}

#endif
