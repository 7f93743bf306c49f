/* Baselines: the last that was set, of a process, as long as the process is. */
#include "world.h"

static const struct stats_process_view *process_of(struct world *world, const struct stats_view **view, unsigned number)
{
    char id[33];
    bool ambiguous;
    snprintf(id, sizeof id, "%032x", number);
    *view = stats_view_get_new(world->stats);
    return stats_find(*view, id, &ambiguous);
}

static uint64_t allocations_then(struct world *world, unsigned number)
{
    char id[33];
    snprintf(id, sizeof id, "%032x", number);
    const struct stats_process_view *then = stats_baseline_get_new(world->stats, id);
    uint64_t allocations = then ? then->figures.allocations : UINT64_MAX;
    if (then)
        stats_process_unref(then);
    return allocations;
}

static void set(struct world *world, void *process, unsigned number, uint64_t allocated)
{
    const struct stats_view *view;
    tell(world, process, 1, &(struct intake_row){.allocated = allocated});
    publish(world);
    assert_true(stats_baseline_set(world->stats, process_of(world, &view, number)));
    stats_view_unref(view);
}

static void test_the_last_one_counts(void **state)
{
    struct world *world = *state;
    void *first = attach(world, 1, 11, 0), *second = attach(world, 2, 12, 0);
    set(world, first, 1, 5);
    set(world, second, 2, 7);
    tell(world, first, 1, &(struct intake_row){.allocated = 100});
    publish(world);
    assert_int_equal(allocations_then(world, 1), 5);
    assert_int_equal(allocations_then(world, 2), 7);
    assert_int_equal(allocations_then(world, 3), UINT64_MAX);
    set(world, first, 1, 200);
    assert_int_equal(allocations_then(world, 1), 200);
    world->sink.released(world->stats, first);
    world->sink.released(world->stats, second);
}

static void test_it_goes_with_its_process(void **state)
{
    struct world *world = *state;
    stats_gone_keep(world->stats, 0, 0);
    void *process = attach(world, 1, 11, 0);
    set(world, process, 1, 5);
    world->sink.gone(world->stats, process, "bye");
    assert_int_equal(allocations_then(world, 1), 5);
    world->sink.released(world->stats, process);
    publish(world);
    assert_int_equal(allocations_then(world, 1), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WORLD_TEST(test_the_last_one_counts), WORLD_TEST(test_it_goes_with_its_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
