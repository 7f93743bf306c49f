/* What a PATCH of the configuration sends to a host, what is refused before that, and what is shown then. */
#include "listed.h"
#include "tally.h"

static void test_config_members_become_a_command(void **state)
{
    static const struct {
        const char *body;
        struct wire_command command;
    } rows[] = {
        {"{\"manager\":\"none\"}", {.mask = WIRE_CONFIG_MANAGER, .manager = WIRE_MANAGER_NONE}},
        {"{\"manager\":\"refcount\"}", {.mask = WIRE_CONFIG_MANAGER, .manager = WIRE_MANAGER_REFCOUNT}},
        {"{\"manager\":\"generational\"}",
         {.mask = WIRE_CONFIG_MANAGER, .manager = WIRE_MANAGER_GENERATIONAL}},
        {"{\"manager\":\"cycle\"}", {.mask = WIRE_CONFIG_MANAGER, .manager = WIRE_MANAGER_CYCLE}},
        {"{\"manager\":\"full\"}", {.mask = WIRE_CONFIG_MANAGER, .manager = WIRE_MANAGER_FULL}},
        {"{\"max_pause_us\":0}", {.mask = WIRE_CONFIG_MAX_PAUSE}},
        {"{\"max_pause_us\":10000000}", {.mask = WIRE_CONFIG_MAX_PAUSE, .max_pause_us = 10000000}},
        {"{\"memory_limit_bytes\":0}", {.mask = WIRE_CONFIG_MEMORY_LIMIT}},
        {"{\"memory_limit_bytes\":9223372036854775807}",
         {.mask = WIRE_CONFIG_MEMORY_LIMIT, .memory_limit_bytes = INT64_MAX}},
        {"{\"debug\":[\"stats\",\"collectable\"]}", {.mask = WIRE_CONFIG_DEBUG, .debug = 3}},
        {"{\"debug\":[\"leak\"]}", {.mask = WIRE_CONFIG_DEBUG, .debug = 38}},
        {"{\"debug\":[\"uncollectable\",\"leak\",\"stats\"]}", {.mask = WIRE_CONFIG_DEBUG, .debug = 39}},
        {"{\"debug\":[]}", {.mask = WIRE_CONFIG_DEBUG}},
        {"{\"stress\":700}", {.mask = WIRE_CONFIG_STRESS, .stress_nth = 700}},
        {"{\"stress\":{\"every_decref\":true}}", {.mask = WIRE_CONFIG_STRESS, .stress_every_decref = 1}},
        {"{\"manager\":\"full\",\"thresholds\":[5,6,7],\"enabled\":true}",
         {.mask = WIRE_CONFIG_MANAGER | WIRE_CONFIG_THRESHOLDS | WIRE_CONFIG_ENABLED, .enabled = 1,
          .manager = WIRE_MANAGER_FULL, .thresholds = {5, 6, 7}}},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct wire_command *want = &rows[i].command, *got = &world->last;
        memset(&world->last, 0xaa, sizeof world->last);
        assert_int_equal(status_of(ask(world, "PATCH", P "/config", rows[i].body)), 200);
        assert_int_equal(got->kind, WIRE_COMMAND_CONFIG);
        assert_int_equal(got->mask, want->mask);
        assert_int_equal(got->enabled, want->enabled);
        assert_int_equal(got->manager, want->manager);
        assert_int_equal(got->debug, want->debug);
        assert_int_equal(got->max_pause_us, want->max_pause_us);
        assert_int_equal(got->stress_nth, want->stress_nth);
        assert_int_equal(got->stress_every_decref, want->stress_every_decref);
        assert_int_equal(got->memory_limit_bytes, want->memory_limit_bytes);
        assert_memory_equal(got->thresholds, want->thresholds, sizeof want->thresholds);
    }
}

static void test_wrong_values_name_their_member_and_send_nothing(void **state)
{
    static const char *const rows[][2] = {
        {"{\"manager\":\"x\"}", "manager"},
        {"{\"manager\":\"Cycle\"}", "manager"},
        {"{\"manager\":4}", "manager"},
        {"{\"manager\":null}", "manager"},
        {"{\"max_pause_us\":-1}", "max_pause_us"},
        {"{\"max_pause_us\":10000001}", "max_pause_us"},
        {"{\"max_pause_us\":1.5}", "max_pause_us"},
        {"{\"max_pause_us\":\"500\"}", "max_pause_us"},
        {"{\"memory_limit_bytes\":-1}", "memory_limit_bytes"},
        {"{\"memory_limit_bytes\":true}", "memory_limit_bytes"},
        {"{\"debug\":[\"leaks\"]}", "debug"},
        {"{\"debug\":\"leak\"}", "debug"},
        {"{\"debug\":[38]}", "debug"},
        {"{\"enabled\":true,\"manager\":\"\"}", "manager"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[64];
        const char *answer = ask(world, "PATCH", P "/config", rows[i][0]);
        snprintf(expected, sizeof expected, "\"detail\":\"member \\\"%s", rows[i][1]);
        if (status_of(answer) != 422 || !strstr(answer, expected))
            fail_msg("%s: want 422 and %s, got:\n%s", rows[i][0], expected, answer);
    }
    assert_int_equal(world->last.mask, 0);
}

static void test_what_the_heap_refuses_is_an_operation_with_its_sentence(void **state)
{
    struct world *world = *state;
    world->host = HOST_REFUSES;
    world->error = TALLY_EUNSUPPORTED;
    const char *answer = ask(world, "POST", P "/collect?wait=5s", "{}");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"state\":\"failed\",\"code\":\"unsupported\","
                                   "\"detail\":\"this manager does not have that\""));
    answer = ask(world, "PATCH", P "/config", "{\"thresholds\":[1,2,3]}");
    assert_int_equal(status_of(answer), 202);
    assert_non_null(strstr(answer, "\"heaps\":[{\"n\":1,\"state\":\"failed\",\"code\":\"unsupported\","
                                   "\"detail\":\"this manager does not have that\""));
    world->error = TALLY_ENOMEM;
    answer = ask(world, "PATCH", P "/config", "{\"debug\":[\"saveall\"]}");
    assert_non_null(strstr(answer, "\"code\":\"refused_by_host\",\"detail\":\"out of memory\""));
}

static void test_an_operation_shows_what_it_put_into_force(void **state)
{
    struct world *world = *state;
    ask(world, "PATCH", P "/config",
        "{\"manager\":\"cycle\",\"max_pause_us\":500,\"memory_limit_bytes\":65536,\"debug\":[\"leak\"]}");
    const char *answer = ask(world, "GET", "/v1/operations/feedbeef-1", "");
    assert_non_null(strstr(answer, "\"result\":{\"debug\":[\"collectable\",\"uncollectable\",\"saveall\"],"
                                   "\"manager\":\"cycle\",\"max_pause_us\":500,"
                                   "\"memory_limit_bytes\":65536}"));
}

static void heap_tell(struct world *world, uint32_t heap, uint32_t manager, uint64_t max_pause_us)
{
    const struct intake_record record = {.sequence = 1, .start_ns = clock_mono_ns(), .reason = 1,
                                         .manager = manager, .scope = WIRE_SCOPE_CANDIDATES, .slices = 4};
    const struct intake_sample sample = {
        .heap_number = heap, .mono_ns = clock_mono_ns(), .record_count = 1, .records = &record,
        .summary = {.valid = true, .enabled = 1, .manager = manager, .max_pause_us = max_pause_us,
                    .memory_limit_bytes = 4096, .extern_bytes = 11, .candidates = 12, .pending_objects = 13,
                    .finalizers_pending = 14, .slices = 15, .missed_slices = 16, .longest_slice_ns = 17,
                    .abandoned_runs = 18, .refused_runs = 19, .candidates_due = 20}};
    world->sink.sample(world->stats, world->process, &sample);
    world->sink.swept(world->stats, true);
}

static void test_views_tell_limits_and_what_waits(void **state)
{
    struct world *world = *state;
    heap_tell(world, 2, WIRE_MANAGER_CYCLE, 500);
    json_t *stats = json_of(ask(world, "GET", P "/heaps/2/stats", ""));
    static const struct {
        const char *name, *below;
        json_int_t value;
    } rows[] = {{"max_pause_us", NULL, 500},      {"memory_limit_bytes", NULL, 4096},
                {"extern_bytes", NULL, 11},       {"candidates", NULL, 12},
                {"pending_objects", NULL, 13},    {"finalizers_pending", NULL, 14},
                {"slices", "count", 15},          {"slices", "missed", 16},
                {"slices", "longest_ns", 17},     {"abandoned_runs", NULL, 18},
                {"refused_runs", NULL, 19},       {"candidates_due", NULL, 20}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *value = json_object_get(stats, rows[i].name);
        if (rows[i].below)
            value = json_object_get(value, rows[i].below);
        assert_true(json_is_integer(value));
        assert_int_equal(json_integer_value(value), rows[i].value);
    }
    assert_string_equal(json_string_value(json_object_get(stats, "manager")), "cycle");
    json_decref(stats);
    assert_non_null(strstr(ask(world, "GET", P "/heaps/2/collections", ""),
                           "\"manager\":\"cycle\",\"pause_ns\":0"));
    assert_non_null(strstr(ask(world, "GET", P "/heaps/2/collections", ""),
                           "\"scope\":\"candidates\",\"slices\":4"));
}

static void test_where_heaps_differ_limits_are_null(void **state)
{
    struct world *world = *state;
    heap_tell(world, 1, WIRE_MANAGER_CYCLE, 500);
    heap_tell(world, 2, WIRE_MANAGER_FULL, 0);
    for (int i = 0; i < 2; i++) {
        json_t *json = json_of(ask(world, "GET", i ? P "/config" : P "/stats", ""));
        assert_true(json_is_null(json_object_get(json, "manager")));
        assert_true(json_is_null(json_object_get(json, "max_pause_us")));
        assert_int_equal(json_integer_value(json_object_get(json, "memory_limit_bytes")), 4096);
        json_decref(json);
    }
}

static void test_info_lists_the_managers(void **state)
{
    assert_non_null(strstr(ask(*state, "GET", "/v1/info", ""),
                           "\"managers\":[\"none\",\"refcount\",\"generational\",\"cycle\",\"full\"]"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_config_members_become_a_command),
                                       TEST(test_wrong_values_name_their_member_and_send_nothing),
                                       TEST(test_what_the_heap_refuses_is_an_operation_with_its_sentence),
                                       TEST(test_an_operation_shows_what_it_put_into_force),
                                       TEST(test_views_tell_limits_and_what_waits),
                                       TEST(test_where_heaps_differ_limits_are_null),
                                       TEST(test_info_lists_the_managers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
