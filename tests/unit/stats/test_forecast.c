/* What a collection would take, by what others took. */
#include "world.h"

#include "stats/forecast.h"
#include "wire/feed.h"

/* A heap of `tracked` objects of one tracked type, `young` of them new, beside as many leaves. */
static void tell_heap(struct world *world, void *process, uint32_t heap, uint64_t tracked, uint64_t young, uint32_t manager,
                      const struct intake_record *records, size_t count)
{
    static struct intake_type types[3] = {{.name = "other"}, {.name = "pair", .size_bytes = 16, .flags = WIRE_TYPE_TRACKED},
                                          {.name = "leaf", .size_bytes = 8}};
    struct intake_row rows[3] = {{.allocated = 0}, {.allocated = tracked + 5, .freed_refcount = 5}, {.allocated = tracked}};
    struct intake_sample sample = {.heap_number = heap, .mono_ns = clock_mono_ns(), .type_count = 3, .rows = rows,
                                   .types = types, .record_count = count, .records = records,
                                   .summary = {.valid = true, .manager = manager, .counts = {young, 0, 0}, .frozen = 100}};
    world->sink.sample(world->stats, process, &sample);
}

static struct intake_record run(uint64_t sequence, uint32_t scope, uint32_t generation, uint64_t examined, uint64_t pause_ns)
{
    return (struct intake_record){.sequence = sequence, .start_ns = clock_mono_ns(), .pause_ns = pause_ns,
                                  .examined = examined, .collected = examined / 10, .generation = generation, .scope = scope,
                                  .reason = WIRE_REASON_EXPLICIT};
}

static const struct stats_process_view *shown(struct world *world, const struct stats_view **view)
{
    publish(world);
    *view = stats_view_get_new(world->stats);
    return (*view)->processes[0];
}

static struct stats_forecast forecast(const struct stats_process_view *process, unsigned generation)
{
    struct stats_forecast out;
    stats_forecast_collect(process, &process->heaps[0], generation, &out);
    return out;
}

static void test_nothing_is_known_before_the_first_collection(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    struct stats_forecast full;
    tell_heap(world, process, 1, 1100, 30, WIRE_MANAGER_CYCLE, NULL, 0);
    const struct stats_process_view *one = shown(world, &view);
    struct stats_forecast out = forecast(one, 2);
    assert_non_null(out.unknown);
    assert_int_equal(out.objects, 1000); /* tracked, and not frozen */
    assert_int_equal(forecast(one, 0).objects, 30);
    stats_forecast_full(one, &full);
    assert_non_null(full.unknown);
    stats_view_unref(view);
}

static void test_runs_of_like_size_count(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    struct stats_forecast full;
    struct intake_record records[12] = {run(1, WIRE_SCOPE_HEAP, 2, 10, 10000), run(2, WIRE_SCOPE_HEAP, 2, 20, 20000),
                                        run(3, WIRE_SCOPE_HEAP, 2, 0, 500)};
    for (uint64_t i = 3; i < 12; i++) /* 30 to 38 ns an object */
        records[i] = run(i + 1, WIRE_SCOPE_HEAP, 2, 100000, 100000 * (27 + i));
    tell_heap(world, process, 1, 200100, 30, WIRE_MANAGER_CYCLE, records, 12);
    const struct stats_process_view *one = shown(world, &view);
    struct stats_forecast out = forecast(one, 2);
    assert_null(out.unknown);
    assert_int_equal(out.runs, FORECAST_RUNS);
    assert_in_range(out.pause_ns, 200000 * 33, 200000 * 35);
    assert_in_range(out.least_ns, 200000 * 30, out.pause_ns);
    assert_in_range(out.most_ns, out.pause_ns, 200000 * 38);
    stats_forecast_full(one, &full);
    assert_null(full.unknown);
    assert_int_equal(full.pause_ns, out.pause_ns);
    stats_view_unref(view);
}

/* As of its last safepoint, and what it takes where that is not so any more. */
static void test_where_nothing_can_be_found_it_takes_no_time(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    struct stats_forecast full;
    const struct intake_record record = run(1, WIRE_SCOPE_HEAP, 2, 1000, 50000);
    struct intake_sample sample = {.heap_number = 1, .mono_ns = clock_mono_ns(), .record_count = 1, .records = &record,
                                   .summary = {.valid = true, .manager = WIRE_MANAGER_CYCLE, .settled = true}};
    tell_heap(world, process, 1, 1100, 0, WIRE_MANAGER_CYCLE, NULL, 0);
    struct intake_row rows[3] = {{.allocated = 0}, {.allocated = 1105, .freed_refcount = 5}, {.allocated = 1100}};
    struct intake_type types[3] = {{.name = "other"}, {.name = "pair", .size_bytes = 16, .flags = WIRE_TYPE_TRACKED},
                                   {.name = "leaf", .size_bytes = 8}};
    sample.type_count = 3;
    sample.rows = rows;
    sample.types = types;
    world->sink.sample(world->stats, process, &sample);
    const struct stats_process_view *one = shown(world, &view);
    struct stats_forecast out = forecast(one, 2);
    assert_null(out.unknown);
    assert_true(out.settled);
    assert_int_equal(out.objects + out.pause_ns + out.least_ns, 0);
    assert_int_equal(out.most_ns, 1100 * 50);
    assert_false(forecast(one, 1).settled); /* which walks what is young, whatever that is */
    stats_forecast_full(one, &full);
    assert_int_equal(full.pause_ns, 0);
    stats_view_unref(view);
}

static void test_a_young_run_takes_what_survived_to_the_middle(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    const struct intake_record records[] = {
        run(1, WIRE_SCOPE_GENERATIONS, 0, 1000, 50000), run(2, WIRE_SCOPE_GENERATIONS, 1, 2000, 100000),
        run(3, WIRE_SCOPE_GENERATIONS, 0, 700, 35000), run(4, WIRE_SCOPE_GENERATIONS, 0, 700, 35000)};
    tell_heap(world, process, 1, 100100, 40, WIRE_MANAGER_GENERATIONAL, records, 4);
    const struct stats_process_view *one = shown(world, &view);
    assert_int_equal(forecast(one, 0).objects, 40);
    assert_int_equal(forecast(one, 0).pause_ns, 40 * 50);
    assert_int_equal(forecast(one, 1).objects, 40 + 2 * 630);
    assert_non_null(forecast(one, 2).unknown); /* no run over the heap */
    stats_view_unref(view);
}

static void test_counts_that_mean_nothing_are_bounded(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    const struct intake_record records[] = {run(1, WIRE_SCOPE_HEAP, 2, 1, UINT64_MAX),
                                            run(2, WIRE_SCOPE_GENERATIONS, 0, UINT64_MAX, 1)};
    tell_heap(world, process, 1, 50, UINT64_MAX, WIRE_MANAGER_CYCLE, records, 2);
    const struct stats_process_view *one = shown(world, &view);
    assert_int_equal(forecast(one, 2).objects, 0); /* more frozen than there are */
    assert_int_equal(forecast(one, 1).objects, 0);
    stats_view_unref(view);
    tell_heap(world, process, 1, UINT64_MAX / 2, UINT64_MAX, WIRE_MANAGER_CYCLE, NULL, 0);
    one = shown(world, &view);
    assert_true(forecast(one, 2).pause_ns <= INT64_MAX);
    assert_true(forecast(one, 1).objects <= UINT64_MAX / 2);
    stats_view_unref(view);
}

static void test_the_longest_heap_is_the_process_s_pause(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    struct stats_forecast full;
    const struct intake_record records[] = {run(1, WIRE_SCOPE_HEAP, 2, 1000, 30000)};
    tell_heap(world, process, 1, 1100, 0, WIRE_MANAGER_CYCLE, records, 1);
    tell_heap(world, process, 2, 3100, 0, WIRE_MANAGER_FULL, records, 1);
    stats_forecast_full(shown(world, &view), &full);
    assert_null(full.unknown);
    assert_int_equal(full.objects, 4000);
    assert_int_equal(full.pause_ns, 90000);
    stats_view_unref(view);
    tell_heap(world, process, 3, 5000, 0, WIRE_MANAGER_REFCOUNT, NULL, 0);
    stats_forecast_full(shown(world, &view), &full);
    assert_string_equal(full.unknown, "its manager finds no cycles");
    stats_view_unref(view);
    world->sink.heap_gone(world->stats, process, 3);
    stats_forecast_full(shown(world, &view), &full);
    assert_null(full.unknown);
    stats_view_unref(view);
    world->sink.gone(world->stats, process, "bye");
    stats_forecast_full(shown(world, &view), &full);
    assert_string_equal(full.unknown, "the process is gone");
    stats_view_unref(view);
    world->sink.released(world->stats, process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_known_before_the_first_collection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_of_like_size_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_where_nothing_can_be_found_it_takes_no_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_young_run_takes_what_survived_to_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts_that_mean_nothing_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_heap_is_the_process_s_pause, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
