/* As many types as a process can have: what they are, and that they hold nobody up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "intake/intake.h"
#include "stats/stats.h"

#define TYPES 65000u
#define ENOUGH_NS 5000000000u /* some fifty times what it takes */

struct world {
    struct stats *stats;
    struct intake_sink sink;
    void *process;
    struct intake_type types[TYPES];
    struct intake_row rows[TYPES];
};

static int setup(void **state)
{
    static struct wire_hello_view hello = {.name = "program", .library = "0.1.0"};
    struct world *world = calloc(1, sizeof *world);
    struct intake_process process = {.pid = 10, .hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", 1);
    world->stats = stats_new();
    stats_sink_init(world->stats, &world->sink);
    world->process = world->sink.attached(world->stats, &process);
    for (unsigned i = 0; i < TYPES; i++) {
        char name[24];
        snprintf(name, sizeof name, "type %u", i / 2); /* two sizes of each name */
        world->types[i] = (struct intake_type){.name = strdup(name), .size_bytes = 16 + 8 * (i & 1)};
        world->rows[i].allocated = i + 1;
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    stats_free(world->stats);
    for (unsigned i = 0; i < TYPES; i++)
        free(world->types[i].name);
    free(world);
    return 0;
}

static void tell(struct world *world, uint32_t heap)
{
    struct intake_sample sample = {.heap_number = heap, .mono_ns = clock_mono_ns(), .type_count = TYPES,
                                   .rows = world->rows, .types = world->types, .mapped_bytes = 65536};
    world->sink.sample(world->stats, world->process, &sample);
}

static void test_types_are_merged_in_no_time(void **state)
{
    struct world *world = *state;
    uint64_t began_ns = clock_mono_ns();
    tell(world, 1);
    tell(world, 2);
    world->sink.swept(world->stats, true);
    uint64_t took_ns = clock_mono_ns() - began_ns;
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_process_view *process = view->processes[0];
    assert_int_equal(process->type_count, TYPES);
    for (unsigned i = 0; i < TYPES; i++) {
        assert_string_equal(process->types[i].name, world->types[i].name);
        assert_int_equal(process->types[i].size_bytes, i ? world->types[i].size_bytes : 16);
        assert_int_equal(process->types[i].allocations, 2 * (i + 1));
    }
    assert_ptr_equal(process->heaps[0].types[7].name, process->heaps[1].types[6].name);
    assert_true(took_ns < ENOUGH_NS);
    stats_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_types_are_merged_in_no_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
