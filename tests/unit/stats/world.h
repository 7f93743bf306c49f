/* A model that a test feeds through the sink, as the intake does. */
#ifndef TESTS_UNIT_STATS_WORLD_H
#define TESTS_UNIT_STATS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "intake/intake.h"
#include "stats/stats.h"

struct world {
    struct stats *stats;
    struct intake_sink sink;
};

static inline int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->stats = stats_new();
    stats_sink_init(world->stats, &world->sink);
    *state = world;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *world = *state;
    stats_free(world->stats);
    free(world);
    return 0;
}

static inline void *attach(struct world *world, unsigned number, pid_t pid, uid_t uid)
{
    static struct wire_hello_view hello;
    hello = (struct wire_hello_view){.name = "program", .library = "0.1.0", .label_count = 1};
    snprintf(hello.labels[0].key, sizeof hello.labels[0].key, "shard");
    snprintf(hello.labels[0].value, sizeof hello.labels[0].value, "%u", number);
    struct intake_process process = {.pid = pid, .uid = uid, .hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", number);
    return world->sink.attached(world->stats, &process);
}

static inline uint64_t seq_now(struct world *world)
{
    const struct stats_view *view = stats_view_get_new(world->stats);
    uint64_t seq = view->seq;
    stats_view_unref(view);
    return seq;
}

static inline void publish(struct world *world)
{
    world->sink.swept(world->stats, true);
}

/* One type of 16 bytes with these figures; row 0 is empty. */
static inline void tell(struct world *world, void *process, uint32_t heap, const struct intake_row *row)
{
    struct intake_row rows[2] = {{.allocated = 0}, *row};
    static struct intake_type types[2] = {{.name = "other"}, {.name = "pair", .size_bytes = 16}};
    struct intake_sample sample = {.heap_number = heap, .mono_ns = clock_mono_ns(), .type_count = 2,
                                   .rows = rows,
                                   .types = types, .mapped_bytes = 65536, .events_seen = 7};
    world->sink.sample(world->stats, process, &sample);
}

/* One span of `count` records of one word; type 1 is tell()'s. */
static inline void tell_events(struct world *world, void *process, uint32_t heap, const uint64_t *words, size_t count,
                               uint64_t lost)
{
    struct wire_span span = {.words = words, .count = count, .records = count, .plain = true, .lost = lost,
                             .clock_ns = clock_mono_ns()};
    world->sink.events(world->stats, process, heap, 2, &span);
}

static inline uint64_t word_of(enum wire_event kind, uint32_t row, uint64_t bytes, uint64_t granule)
{
    return kind | (uint64_t)row << 2 | bytes / 8 << 18 | granule << WIRE_GRANULE_SHIFT;
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
