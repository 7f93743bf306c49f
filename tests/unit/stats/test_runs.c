/* Sums over collection records, and what apps keep of processes that have left. */
#include "world.h"

static void tell_records(struct world *world, void *process, uint32_t heap, const struct intake_record *records, size_t count)
{
    static struct intake_type types[2] = {{.name = "other"}, {.name = "pair", .size_bytes = 16}};
    struct intake_row rows[2] = {{.allocated = 0}, {.allocated = 10, .freed_refcount = 4}};
    struct intake_sample sample = {.heap_number = heap, .mono_ns = clock_mono_ns(), .type_count = 2, .rows = rows,
                                   .types = types, .record_count = count, .records = records,
                                   .summary = {.valid = true, .collections = {3, 2, 1}, .collected = {30, 20, 10}}};
    world->sink.sample(world->stats, process, &sample);
}

static struct intake_record record(uint64_t sequence, uint64_t pause_ns)
{
    return (struct intake_record){.sequence = sequence, .start_ns = clock_mono_ns(), .pause_ns = pause_ns,
                                  .find_ns = 1, .callback_ns = 2, .free_ns = 3, .examined = 7,
                                  .reason = WIRE_REASON_EXPLICIT, .live_bytes_after = sequence * 100};
}

static const struct stats_process_view *shown(struct world *world, const struct stats_view **view)
{
    publish(world);
    *view = stats_view_get_new(world->stats);
    return (*view)->process_count ? (*view)->processes[0] : NULL;
}

static void test_pauses_fall_into_their_buckets(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    const struct intake_record records[] = {record(1, 0), record(2, 10000), record(3, 10001), record(4, 10000000000u),
                                            record(5, 10000000001u), record(6, UINT64_MAX)};
    tell_records(world, process, 1, records, 6);
    const struct stats_runs *runs = &shown(world, &view)->runs;
    assert_int_equal(runs->pauses[0], 2);
    assert_int_equal(runs->pauses[1], 1);
    assert_int_equal(runs->pauses[STATS_PAUSE_BUCKETS - 2], 1);
    assert_int_equal(runs->pauses[STATS_PAUSE_BUCKETS - 1], 2);
    assert_int_equal(runs->reasons[WIRE_REASON_EXPLICIT], 6);
    assert_int_equal(runs->missed, 0);
    assert_int_equal(runs->find_ns + runs->callback_ns + runs->free_ns, 36);
    assert_int_equal(runs->examined, 42);
    assert_int_equal(runs->live_bytes_after, 600);
    assert_true(runs->last_wall_ns > 0);
    stats_view_unref(view);
}

static void test_overwritten_records_are_missed_to_the_number(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    const struct intake_record first[] = {record(745, 1), record(746, 1)}, later[] = {record(750, 1)};
    tell_records(world, process, 1, first, 2);
    tell_records(world, process, 1, later, 1);
    const struct stats_runs *runs = &shown(world, &view)->runs;
    assert_int_equal(runs->missed, 747);
    assert_int_equal(runs->reasons[WIRE_REASON_EXPLICIT], 3);
    stats_view_unref(view);
}

/* One whose connection was lost hands its last records over again. */
static void test_records_told_again_count_once(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    const struct intake_record records[] = {record(1, 1), record(2, 1), record(3, 1)};
    tell_records(world, process, 1, records, 3);
    tell_records(world, process, 1, records, 3);
    tell_records(world, process, 1, &records[1], 1);
    const struct stats_process_view *found = shown(world, &view);
    assert_int_equal(found->runs.reasons[WIRE_REASON_EXPLICIT], 3);
    assert_int_equal(found->runs.missed, 0);
    assert_int_equal(found->collection_count, 3);
    stats_view_unref(view);
}

static void test_unknown_reasons_count_as_such(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    struct intake_record records[] = {record(1, 1)};
    records[0].reason = UINT32_MAX;
    tell_records(world, process, 1, records, 1);
    assert_int_equal(shown(world, &view)->runs.reasons[0], 1);
    stats_view_unref(view);
}

static void test_a_process_sums_its_heaps_those_that_left_too(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    void *process = attach(world, 1, 10, 0);
    const struct intake_record records[] = {record(1, 1), record(2, 1)};
    for (uint32_t heap = 1; heap <= 70; heap++) {
        tell_records(world, process, heap, records, 2);
        if (heap < 70)
            world->sink.heap_gone(world->stats, process, heap);
    }
    const struct stats_process_view *found = shown(world, &view);
    assert_true(found->heap_count < 70);
    assert_int_equal(found->runs.reasons[WIRE_REASON_EXPLICIT], 140);
    assert_int_equal(found->generations[0].collections, 210);
    assert_int_equal(found->generations[2].collected, 700);
    assert_int_equal(found->runs.live_bytes_after, 200); /* of the one that lives */
    stats_view_unref(view);
}

static void leave(struct world *world, unsigned number)
{
    void *process = attach(world, number, 10, 0);
    const struct intake_record records[] = {record(1, 5), record(2, 5)};
    tell_records(world, process, 1, records, 2);
    publish(world);
    world->sink.gone(world->stats, process, "bye");
    world->sink.released(world->stats, process);
}

/* The sum over views and apps is the same before and after a process leaves. */
static void test_apps_keep_what_was_counted(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    stats_gone_keep(world->stats, 600000000000u, 1);
    for (unsigned number = 1; number <= 5; number++)
        leave(world, number);
    publish(world); /* shows the last one's end, */
    shown(world, &view); /* and lets go of all but one */
    assert_int_equal(view->process_count, 1);
    assert_int_equal(view->app_count, 1);
    const struct stats_app_view *app = &view->apps[0];
    assert_string_equal(app->name, "program");
    assert_int_equal(app->processes, 4);
    assert_int_equal(app->figures.allocations, 40);
    assert_int_equal(app->figures.live_objects, 0);
    assert_int_equal(app->runs.pauses[0], 8);
    assert_int_equal(app->runs.live_bytes_after, 0);
    assert_int_equal(app->generations[1].collections, 8);
    assert_int_equal(view->processes[0]->figures.allocations, 10);
    stats_view_unref(view);
}

/* Not even what no view has shown yet. */
static void test_many_ends_at_once_lose_nothing(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    uint64_t allocations = 0;
    void *processes[20];
    stats_gone_keep(world->stats, 600000000000u, 2);
    for (unsigned i = 0; i < 20; i++) {
        const struct intake_record records[] = {record(1, 5)};
        processes[i] = attach(world, i + 1, 10, 0);
        tell_records(world, processes[i], 1, records, 1);
    }
    for (unsigned i = 0; i < 20; i++) {
        world->sink.gone(world->stats, processes[i], "bye");
        world->sink.released(world->stats, processes[i]);
    }
    for (int turn = 0; turn < 2; turn++) {
        shown(world, &view);
        allocations = view->app_count ? view->apps[0].figures.allocations : 0;
        for (size_t i = 0; i < view->process_count; i++)
            allocations += view->processes[i]->figures.allocations;
        assert_int_equal(allocations, 200);
        assert_int_equal(view->process_count, 2);
        stats_view_unref(view);
    }
}

static void *attach_named(struct world *world, unsigned number, const char *name, const char *app)
{
    static struct wire_hello_view hello;
    hello = (struct wire_hello_view){.library = "0.1.0", .label_count = app ? 1 : 0};
    snprintf(hello.name, sizeof hello.name, "%s", name);
    snprintf(hello.labels[0].key, sizeof hello.labels[0].key, "app");
    snprintf(hello.labels[0].value, sizeof hello.labels[0].value, "%s", app ? app : "");
    struct intake_process process = {.pid = 1, .hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", number);
    return world->sink.attached(world->stats, &process);
}

static void test_an_app_is_its_label_else_the_name(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    attach_named(world, 1, "worker", "shop");
    attach_named(world, 2, "worker", "");
    attach_named(world, 3, "worker", NULL);
    shown(world, &view);
    assert_string_equal(stats_app_name(view->processes[0]), "shop");
    assert_string_equal(stats_app_name(view->processes[1]), "worker");
    assert_string_equal(stats_app_name(view->processes[2]), "worker");
    stats_view_unref(view);
}

static void test_names_of_apps_are_bounded(void **state)
{
    struct world *world = *state;
    const struct stats_view *view;
    stats_gone_keep(world->stats, 0, 0);
    for (unsigned i = 0; i < STATS_APPS_MAX + 50; i++) {
        char name[32];
        snprintf(name, sizeof name, "app%u", i);
        void *process = attach_named(world, i + 1, name, NULL);
        world->sink.gone(world->stats, process, "bye");
        world->sink.released(world->stats, process);
        publish(world);
    }
    shown(world, &view);
    uint64_t processes = 0, others = 0;
    assert_int_equal(view->app_count, STATS_APPS_MAX);
    for (size_t i = 0; i < view->app_count; i++) {
        assert_true(!i || strcmp(view->apps[i - 1].name, view->apps[i].name) < 0);
        processes += view->apps[i].processes;
        others += strcmp(view->apps[i].name, "other") ? 0 : view->apps[i].processes;
    }
    assert_int_equal(processes, STATS_APPS_MAX + 50);
    assert_int_equal(others, 51);
    stats_view_unref(view);
}

static void test_quantiles_are_bounds_of_buckets_and_no_more_than_the_longest(void **state)
{
    (void)state;
    struct stats_runs runs = {.missed = 7};
    assert_int_equal(stats_pause_quantile(&runs, 99, 5), 0);
    runs.pauses[0] = 1;
    assert_int_equal(stats_pause_quantile(&runs, 99, 4000), 4000);
    assert_int_equal(stats_pause_quantile(&runs, 99, 20000), 10000);
    runs.pauses[0] = 98;
    runs.pauses[6] = 1; /* the 99th of 100 */
    runs.pauses[STATS_PAUSE_BUCKETS - 1] = 1;
    assert_int_equal(stats_pause_quantile(&runs, 50, 20000000000), 10000);
    assert_int_equal(stats_pause_quantile(&runs, 99, 20000000000), 1000000);
    assert_int_equal(stats_pause_quantile(&runs, 100, 20000000000), 20000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_pauses_fall_into_their_buckets),
        WORLD_TEST(test_overwritten_records_are_missed_to_the_number),
        WORLD_TEST(test_records_told_again_count_once),
        WORLD_TEST(test_unknown_reasons_count_as_such),
        WORLD_TEST(test_a_process_sums_its_heaps_those_that_left_too),
        WORLD_TEST(test_apps_keep_what_was_counted),
        WORLD_TEST(test_many_ends_at_once_lose_nothing),
        WORLD_TEST(test_an_app_is_its_label_else_the_name),
        WORLD_TEST(test_names_of_apps_are_bounded),
        cmocka_unit_test(test_quantiles_are_bounds_of_buckets_and_no_more_than_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
