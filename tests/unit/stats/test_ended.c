/* What is left of a heap that ended before its process did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "intake/intake.h"
#include "stats/stats.h"

#define WORD(kind, granule) ((uint64_t)(kind) | 1u << 2 | (uint64_t)2 << 18 | (uint64_t)(granule) << WIRE_GRANULE_SHIFT)

struct world {
    struct stats *stats;
    struct intake_sink sink;
    void *process;
    const struct stats_view *view;
};

static void tell(struct world *world, uint64_t allocated)
{
    struct intake_row rows[2] = {{.allocated = 0}, {.allocated = allocated}};
    static struct intake_type types[2] = {{.name = "other"}, {.name = "pair", .size_bytes = 16}};
    struct intake_sample sample = {.heap_number = 1, .mono_ns = clock_mono_ns(), .type_count = 2, .rows = rows,
                                   .types = types, .mapped_bytes = 65536, .has_ring = true, .events_seen = allocated};
    world->sink.sample(world->stats, world->process, &sample);
}

/* A process whose one heap has told of three births, more than a second after its first figures, and has ended. */
static int setup(void **state)
{
    static struct wire_hello_view hello = {.name = "program", .library = "0.1.0"};
    struct world *world = calloc(1, sizeof *world);
    struct intake_process process = {.pid = 10, .hello = &hello};
    const uint64_t words[] = {WORD(WIRE_EVENT_ALLOC, 1), WORD(WIRE_EVENT_ALLOC, 2), WORD(WIRE_EVENT_ALLOC, 3)};
    const struct wire_span span = {.words = words, .count = 3, .records = 3, .plain = true, .clock_ns = 1000};
    snprintf(process.id, sizeof process.id, "%032x", 1);
    world->stats = stats_new();
    stats_sink_init(world->stats, &world->sink);
    world->process = world->sink.attached(world->stats, &process);
    tell(world, 0);
    usleep(20000);
    world->sink.events(world->stats, world->process, 1, 64, &span);
    tell(world, 3);
    world->sink.heap_gone(world->stats, world->process, 1);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    if (world->view)
        stats_view_unref(world->view);
    stats_free(world->stats);
    free(world);
    return 0;
}

static const struct stats_heap_detail *detail(struct world *world)
{
    world->sink.swept(world->stats, true);
    if (world->view)
        stats_view_unref(world->view);
    world->view = stats_view_get_new(world->stats);
    assert_int_equal(world->view->processes[0]->heap_count, 1);
    return world->view->processes[0]->heaps[0].detail;
}

static void check_whole(const struct stats_heap_detail *left)
{
    assert_non_null(left);
    assert_int_equal(left->event_count, 3);
    assert_int_equal(left->events[2].object, 3);
    assert_non_null(left->types[1].histograms);
    assert_int_equal(left->types[1].histograms->sizes[2], 3);
}

static void test_a_heap_leaves_its_last_events(void **state)
{
    struct world *world = *state;
    check_whole(detail(world));
    assert_int_equal(detail(world)->types[1].allocations_per_s, 0);
}

static void test_the_process_ends_after_its_heap(void **state)
{
    struct world *world = *state;
    world->sink.gone(world->stats, world->process, "bye");
    world->sink.released(world->stats, world->process);
    check_whole(detail(world));
}

static void test_the_process_lives_on(void **state)
{
    struct world *world = *state;
    check_whole(detail(world));
    usleep(1600000); /* rates have been set to 0 by then */
    check_whole(detail(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_heap_leaves_its_last_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_process_ends_after_its_heap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_process_lives_on, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
