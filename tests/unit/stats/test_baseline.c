/* Baselines: several of a process, found by number, bounded, and there when the process is not any more. */
#include "world.h"

static const struct stats_process_view *process_of(struct world *world, const struct stats_view **view, unsigned number)
{
    char id[33];
    bool ambiguous;
    snprintf(id, sizeof id, "%032x", number);
    *view = stats_view_get_new(world->stats);
    return stats_find(*view, id, &ambiguous);
}

static uint64_t allocations_of(bool found, const struct stats_baseline *baseline)
{
    uint64_t allocations = found ? baseline->process->figures.allocations : UINT64_MAX;
    if (found)
        stats_process_unref(baseline->process);
    return allocations;
}

static uint64_t newest(struct world *world, unsigned number)
{
    char id[33];
    struct stats_baseline baseline;
    snprintf(id, sizeof id, "%032x", number);
    bool found = stats_baseline_newest(world->stats, id, &baseline);
    return allocations_of(found, &baseline);
}

static uint64_t numbered(struct world *world, uint64_t number)
{
    struct stats_baseline baseline;
    bool found = stats_baseline_find(world->stats, number, &baseline);
    return allocations_of(found, &baseline);
}

static uint64_t set(struct world *world, void *process, unsigned number, uint64_t allocated)
{
    const struct stats_view *view;
    tell(world, process, 1, &(struct intake_row){.allocated = allocated});
    publish(world);
    uint64_t got = stats_baseline_set(world->stats, process_of(world, &view, number));
    assert_true(got > 0);
    stats_view_unref(view);
    return got;
}

static size_t count_of(struct world *world, const char *id)
{
    struct stats_baseline list[BASELINES_ALL + 1];
    size_t count = stats_baselines_list(world->stats, id, list, BASELINES_ALL + 1);
    for (size_t i = 0; i < count; i++) {
        assert_true(!i || list[i].number < list[i - 1].number);
        stats_process_unref(list[i].process);
    }
    return count;
}

static void test_several_are_kept(void **state)
{
    struct world *world = *state;
    void *first = attach(world, 1, 11, 0), *second = attach(world, 2, 12, 0);
    uint64_t one = set(world, first, 1, 5), two = set(world, second, 2, 7);
    tell(world, first, 1, &(struct intake_row){.allocated = 100});
    publish(world);
    assert_int_equal(newest(world, 1), 5);
    assert_int_equal(newest(world, 2), 7);
    assert_int_equal(newest(world, 3), UINT64_MAX);
    uint64_t three = set(world, first, 1, 200);
    assert_int_equal(newest(world, 1), 200);
    assert_int_equal(numbered(world, one), 5);
    assert_int_equal(numbered(world, two), 7);
    assert_int_equal(numbered(world, three), 200);
    assert_int_equal(numbered(world, three + 1), UINT64_MAX);
    assert_int_equal(numbered(world, 0), UINT64_MAX);
    assert_int_equal(count_of(world, "00000000000000000000000000000001"), 2);
    assert_int_equal(count_of(world, NULL), 3);
    assert_true(stats_baseline_delete(world->stats, three));
    assert_false(stats_baseline_delete(world->stats, three));
    assert_false(stats_baseline_delete(world->stats, 0));
    assert_int_equal(newest(world, 1), 5);
    world->sink.released(world->stats, first);
    world->sink.released(world->stats, second);
}

static void test_it_outlives_its_process(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    stats_gone_keep(world->stats, 0, 0);
    void *process = attach(world, 1, 11, 0);
    uint64_t number = set(world, process, 1, 5);
    world->sink.gone(world->stats, process, "bye");
    world->sink.released(world->stats, process);
    publish(world);
    assert_null(process_of(world, &view, 1));
    stats_view_unref(view);
    assert_int_equal(numbered(world, number), 5);
    assert_int_equal(newest(world, 1), 5);
}

static void test_the_oldest_goes_where_there_are_too_many(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 11, 0), *other = attach(world, 2, 12, 0);
    uint64_t others = set(world, other, 2, 7), first = set(world, process, 1, 1);
    for (unsigned i = 1; i <= BASELINES_EACH; i++)
        set(world, process, 1, i + 1);
    assert_int_equal(count_of(world, "00000000000000000000000000000001"), BASELINES_EACH);
    assert_int_equal(numbered(world, first), UINT64_MAX);
    assert_int_equal(numbered(world, first + 1), 2);
    assert_int_equal(numbered(world, others), 7);
    const struct stats_view *view;
    for (unsigned i = 0; i < BASELINES_ALL; i++) { /* of many processes */
        void *one = attach(world, 10 + i, 0, 0);
        publish(world);
        assert_true(stats_baseline_set(world->stats, process_of(world, &view, 10 + i)));
        stats_view_unref(view);
        world->sink.released(world->stats, one);
    }
    assert_int_equal(count_of(world, NULL), BASELINES_ALL);
    assert_int_equal(numbered(world, others), UINT64_MAX);
    world->sink.released(world->stats, process);
    world->sink.released(world->stats, other);
}

/* Views of so many types that a few of them are all the memory that there may be. */
static void test_their_memory_is_bounded(void **state)
{
    enum { TYPES = 20000 };
    struct world *world = *state;
    void *process = attach(world, 1, 11, 0);
    struct intake_row *rows = calloc(TYPES, sizeof *rows);
    struct intake_type *types = calloc(TYPES, sizeof *types);
    for (unsigned i = 0; i < TYPES; i++) {
        types[i].name = malloc(16);
        snprintf(types[i].name, 16, "t%u", i);
        rows[i].allocated = 1;
    }
    world->sink.sample(world->stats, process,
                       &(struct intake_sample){.heap_number = 1, .mono_ns = clock_mono_ns(), .type_count = TYPES, .rows = rows, .types = types});
    publish(world);
    const struct stats_view *view;
    const struct stats_process_view *shown = process_of(world, &view, 1);
    size_t fit = BASELINES_BYTES / stats_process_bytes(shown);
    assert_in_range(fit, 5, BASELINES_EACH - 1);
    for (unsigned i = 0; i < BASELINES_EACH; i++)
        assert_true(stats_baseline_set(world->stats, shown));
    assert_int_equal(count_of(world, NULL), fit);
    stats_view_unref(view);
    world->sink.released(world->stats, process);
    for (unsigned i = 0; i < TYPES; i++)
        free(types[i].name);
    free(types);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WORLD_TEST(test_several_are_kept), WORLD_TEST(test_it_outlives_its_process),
                                       WORLD_TEST(test_the_oldest_goes_where_there_are_too_many), WORLD_TEST(test_their_memory_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
