/* A heap's counters and ring in ordinary memory, its writer, and a reader at the ring's beginning. */
#ifndef TALLY_TESTS_WIRE_RING_H
#define TALLY_TESTS_WIRE_RING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed/feed.h"
#include "wire/ring_read.h"

struct world {
    struct feed_pen pen;
    void *counters, *ring;
    struct wire_ring_reader reader;
};

/* For free(3). */
static inline void *zeroes_new(size_t bytes)
{
    void *at = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
    assert_non_null(at);
    return memset(at, 0, bytes);
}

static inline void *ring_new(uint64_t words, uint32_t generation)
{
    void *at = zeroes_new(feed_ring_bytes(words));
    feed_ring_format(at, words, 3, generation);
    return at;
}

static inline int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->counters = zeroes_new(WIRE_COUNTERS_BYTES);
    feed_counters_format(world->counters, FEED_SHAPE_START, 3, 1);
    world->ring = ring_new(WIRE_RING_WORDS, 1);
    feed_adopt(&world->pen, world->counters, world->ring);
    feed_level_set(&world->pen, WIRE_LEVEL_ALL);
    assert_int_equal(wire_ring_reader_init(&world->reader, world->ring, WIRE_RING_BYTES), 0);
    *state = world;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *world = *state;
    free(world->counters);
    free(world->ring);
    free(world);
    return 0;
}

#endif
