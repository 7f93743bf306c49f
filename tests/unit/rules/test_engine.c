/* States, alerts and controls over views that are fed by hand, on a clock that is set by hand. */
#include <time.h>

#include "rules_world.h"

#define ABOVE_100 "\"when\":{\"series\":\"live_objects\",\"above\":100"

static void test_a_rule_fires_and_clears(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    assert_int_equal(put_rule(world, "big", "{" ABOVE_100 "},\"do\":[\"alert\",\"log\"]}"), RULES_MADE);
    tell_live(world, process, 100);
    at(world, 1);
    assert_string_equal(state_word(world, "big"), "inactive");
    tell_live(world, process, 101);
    at(world, 2);
    assert_string_equal(state_word(world, "big"), "firing");
    at(world, 3);
    assert_int_equal(world->begun, 1);
    tell_live(world, process, 100);
    at(world, 4);
    assert_string_equal(state_word(world, "big"), "inactive");
    assert_int_equal(world->ended, 1);
    assert_string_equal(world->reason, "cleared");
}

static void test_for_delays_both_ways(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "big", "{" ABOVE_100 ",\"for\":\"10s\"},\"do\":[\"alert\"]}");
    const struct { double at; uint64_t live; const char *state; } steps[] = {
        {1, 200, "pending"}, {10, 200, "pending"}, {10.5, 50, "inactive"}, {11, 200, "pending"}, {20, 200, "pending"}, {21, 200, "firing"},
        {22, 50, "firing"}, {30, 50, "firing"}, {31, 200, "firing"}, {32, 50, "firing"}, {41, 50, "firing"}, {42, 50, "inactive"}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        tell_live(world, process, steps[i].live);
        at(world, steps[i].at);
        assert_string_equal(state_word(world, "big"), steps[i].state);
    }
    assert_int_equal(world->begun, 1);
    assert_int_equal(world->ended, 1);
}

static void test_below_and_disabled(void **state)
{
    struct rules_world *world = *state;
    tell_live(world, attach(world->world, 1, 10, 0), 5);
    put_rule(world, "small", "{\"when\":{\"series\":\"live_objects\",\"below\":6},\"do\":[\"alert\"]}");
    put_rule(world, "off", "{\"enabled\":false,\"when\":{\"series\":\"live_objects\",\"below\":6},\"do\":[\"alert\"]}");
    at(world, 1);
    assert_string_equal(state_word(world, "small"), "firing");
    assert_string_equal(state_word(world, "off"), "disabled");
    put_rule(world, "small", "{\"enabled\":false,\"when\":{\"series\":\"live_objects\",\"below\":6},\"do\":[\"alert\"]}");
    assert_int_equal(world->ended, 1);
    assert_string_equal(world->reason, "rule_disabled");
}

static void test_a_selector_selects(void **state)
{
    struct rules_world *world = *state;
    for (unsigned i = 1; i <= 3; i++)
        tell_live(world, attach(world->world, i, 10, 0), 500);
    put_rule(world, "one", "{\"selector\":{\"label\":{\"shard\":\"2\"}}," ABOVE_100 "},\"do\":[\"alert\"]}");
    put_rule(world, "all", "{\"selector\":{\"name\":\"program\"}," ABOVE_100 "},\"do\":[\"alert\"]}");
    put_rule(world, "none", "{\"selector\":{\"name\":\"programs\"}," ABOVE_100 "},\"do\":[\"alert\"]}");
    put_rule(world, "neither", "{\"selector\":{\"label\":{\"shard\":\"2\",\"zone\":\"a\"}}," ABOVE_100 "},\"do\":[\"alert\"]}");
    at(world, 1);
    assert_int_equal(world->begun, 4);
    assert_string_equal(state_word(world, "none"), "inactive");
    assert_string_equal(state_word(world, "neither"), "inactive");
}

static void test_a_process_that_goes_resolves(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "big", "{" ABOVE_100 "},\"do\":[\"alert\",{\"collect\":{}}]}");
    tell_live(world, process, 500);
    at(world, 1);
    assert_int_equal(world->sent, 1);
    world->world->sink.gone(world->world->stats, process, "exited");
    at(world, 2);
    assert_int_equal(world->ended, 1);
    assert_string_equal(world->reason, "process_gone");
    assert_int_equal(world->sent, 1);
}

/* It controls like anybody: with an operation, and under its name in the audit. */
static void test_controls_are_operations_of_the_rule(void **state)
{
    struct rules_world *world = *state;
    struct audit_record records[4];
    put_rule(world, "big", "{" ABOVE_100 "},\"do\":[{\"collect\":{\"generation\":1}}]}");
    tell_live(world, attach(world->world, 1, 10, 0), 500);
    at(world, 1);
    assert_int_equal(world->sent, 1);
    assert_int_equal(world->last.generation, 1);
    assert_int_equal(heard_list(&world->heard, records, 4), 2); /* its start, and its end */
    const struct audit_record *start = &records[1];
    assert_string_equal(start->who, "rule big");
    assert_string_equal(start->kind, "collect");
    assert_string_equal(start->target, "00000000000000000000000000000001");
    assert_string_equal(start->detail, "{\"generation\":1}");
    assert_string_equal(start->result, "accepted");
    assert_string_equal(records[0].result, "succeeded");
    for (int i = 2; i < 10; i++)
        at(world, i); /* it goes on firing, and does no more */
    assert_int_equal(world->sent, 1);
}

static void test_every_repeats_while_it_fires(void **state)
{
    struct rules_world *world = *state;
    put_rule(world, "big", "{" ABOVE_100 "},\"every\":\"10s\",\"limit_per_hour\":3,\"do\":[{\"collect\":{}}]}");
    tell_live(world, attach(world->world, 1, 10, 0), 500);
    for (int i = 1; i <= 60; i++)
        at(world, i);
    assert_int_equal(world->sent, 3);
    assert_string_equal(state_word(world, "big"), "throttled");
    json_t *status = rules_states_json(world->rules, "big");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "processes"), "throttled")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "controls")), 3);
    json_decref(status);
    at(world, 3601); /* the first is an hour old: one more */
    assert_int_equal(world->sent, 4);
    assert_string_equal(state_word(world, "big"), "firing");
}

/* The limit is the rule's, over all processes; a clock that is set back does not lift it. */
static void test_the_limit_is_of_the_rule(void **state)
{
    struct rules_world *world = *state;
    put_rule(world, "big", "{" ABOVE_100 "},\"limit_per_hour\":2,\"do\":[{\"collect\":{}}]}");
    for (unsigned i = 1; i <= 5; i++)
        tell_live(world, attach(world->world, i, 10, 0), 500);
    at(world, 10000);
    assert_int_equal(world->sent, 2);
    publish(world->world);
    const struct stats_view *view = stats_view_get_new(world->world->stats);
    rules_evaluate(world->rules, view, MONO + 10001 * SECOND_NS, WALL);
    assert_int_equal(world->sent, 2);
    rules_evaluate(world->rules, view, MONO + 10002 * SECOND_NS, WALL + 3601 * SECOND_NS);
    assert_int_equal(world->sent, 4);
    stats_view_unref(view);
}

static void test_a_control_that_is_refused_is_said(void **state)
{
    struct rules_world *world = *state;
    put_rule(world, "big", "{" ABOVE_100 "},\"limit_per_hour\":360,\"do\":[{\"collect\":{}}]}");
    for (unsigned i = 1; i <= 300; i++)
        tell_live(world, attach(world->world, i, 10, 0), 500);
    at(world, 1);
    json_t *status = rules_states_json(world->rules, "big");
    assert_int_equal(json_integer_value(json_object_get(status, "controls")), 256); /* OPERATIONS_OPEN_MAX */
    assert_int_equal(json_integer_value(json_object_get(status, "controls_failed")), 44);
    assert_non_null(strstr(json_string_value(json_object_get(status, "last_error")), "too many operations go on"));
    json_decref(status);
}

static void test_growth_over_a_window(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "grows", "{\"when\":{\"series\":\"live_bytes\",\"grows_by\":1600,\"over\":\"16s\"},\"do\":[\"alert\"]}");
    put_rule(world, "percent", "{\"when\":{\"series\":\"live_bytes\",\"grows_by\":\"50%\",\"over\":\"16s\"},\"do\":[\"alert\"]}");
    int fired = 0;
    for (int i = 0; i <= 60; i++) { /* 10 objects of 16 bytes a second from 20 s on: 2,560 bytes in 16 s */
        tell_live(world, process, i < 20 ? 1000 : 1000 + 10 * (uint64_t)(i - 20));
        at(world, i);
        if (!fired && !strcmp(state_word(world, "grows"), "firing"))
            fired = i;
    }
    assert_in_range(fired, 30, 34);
    assert_string_equal(state_word(world, "percent"), "inactive");
    for (int i = 61; i <= 90; i++)
        at(world, i);
    assert_string_equal(state_word(world, "grows"), "inactive");
    assert_int_equal(world->ended, 1);
}

static void test_a_rate_over_a_window(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "fast", "{\"when\":{\"series\":\"allocations_per_s\",\"above\":99},\"do\":[\"alert\"]}");
    put_rule(world, "faster", "{\"when\":{\"series\":\"allocations_per_s\",\"above\":101},\"do\":[\"alert\"]}");
    for (int i = 0; i <= 30; i++) {
        tell_live(world, process, 100 * (uint64_t)i);
        at(world, i);
    }
    assert_string_equal(state_word(world, "fast"), "firing");
    assert_string_equal(state_word(world, "faster"), "inactive");
    for (int i = 31; i <= 60; i++)
        at(world, i); /* at rest */
    assert_string_equal(state_word(world, "fast"), "inactive");
}

static void tell_types(struct rules_world *world, void *process, uint64_t steady, uint64_t saw, uint64_t leak)
{
    struct intake_row rows[4] = {{.allocated = 0}, {.allocated = steady}, {.allocated = saw}, {.allocated = leak}};
    struct intake_type types[4] = {{.name = "other"}, {.name = "steady", .size_bytes = 16}, {.name = "saw", .size_bytes = 16},
                                   {.name = "leak", .size_bytes = 16}};
    struct intake_sample sample = {.heap_number = 1, .mono_ns = clock_mono_ns(), .type_count = 4, .rows = rows, .types = types};
    world->world->sink.sample(world->world->stats, process, &sample);
}

static void test_a_type_that_grows_steadily_is_named(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "leak", "{\"when\":{\"series\":\"type_live_bytes\",\"grows_steadily\":true,\"over\":\"16s\"},\"do\":[\"alert\"]}");
    put_rule(world, "named", "{\"when\":{\"series\":\"type_live_objects\",\"type\":\"saw\",\"grows_steadily\":true,\"over\":\"16s\"},\"do\":[\"alert\"]}");
    for (int i = 0; i <= 40; i++) {
        tell_types(world, process, 100000, 1000 + (uint64_t)(i % 4) * 500, 100 + (uint64_t)i * 3);
        at(world, i);
    }
    assert_string_equal(state_word(world, "leak"), "firing");
    assert_string_equal(world->type, "leak");
    assert_string_equal(world->alerted, "leak");
    assert_string_equal(state_word(world, "named"), "inactive");
    assert_int_equal(world->begun, 1);
}

static void tell_runs(struct rules_world *world, void *process, uint64_t first, size_t count, uint64_t pause_ns, uint64_t collected,
                      uint64_t start_ns)
{
    static struct intake_type types[1] = {{.name = "other"}};
    struct intake_row rows[1] = {{.allocated = 0}};
    struct intake_record records[256];
    for (size_t i = 0; i < count; i++)
        records[i] = (struct intake_record){.sequence = first + i, .start_ns = start_ns, .pause_ns = pause_ns, .collected = collected};
    struct intake_sample sample = {.heap_number = 1, .mono_ns = clock_mono_ns(), .type_count = 1, .rows = rows, .types = types,
                                   .record_count = count, .records = records};
    world->world->sink.sample(world->world->stats, process, &sample);
}

static void test_pauses_and_collections_that_free_nothing(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "slow", "{\"when\":{\"series\":\"pause_p99_ns\",\"above\":1000,\"over\":\"30s\"},\"do\":[\"alert\"]}");
    put_rule(world, "vain", "{\"when\":{\"series\":\"collections_freeing_nothing\",\"above\":9},\"do\":[\"alert\"]}");
    tell_runs(world, process, 1, 1, 5000, 5, MONO);
    tell_runs(world, process, 2, 99, 10, 5, MONO);
    at(world, 1);
    assert_string_equal(state_word(world, "slow"), "inactive"); /* one in a hundred: 99 stay below */
    tell_runs(world, process, 101, 1, 5000, 5, MONO);
    at(world, 2);
    assert_string_equal(state_word(world, "slow"), "firing");
    assert_string_equal(state_word(world, "vain"), "inactive");
    tell_runs(world, process, 102, 9, 10, 0, MONO + 2 * SECOND_NS);
    at(world, 3);
    assert_string_equal(state_word(world, "vain"), "inactive");
    tell_runs(world, process, 111, 1, 10, 0, MONO + 3 * SECOND_NS);
    at(world, 4);
    assert_string_equal(state_word(world, "vain"), "firing");
    tell_runs(world, process, 112, 1, 10, 3, MONO + 5 * SECOND_NS);
    at(world, 6);
    assert_string_equal(state_word(world, "vain"), "inactive");
    at(world, 60); /* the slow ones are out of the window */
    assert_string_equal(state_word(world, "slow"), "inactive");
}

static void test_alerts_are_listed_with_filters_and_bounds(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "a", "{" ABOVE_100 "},\"do\":[\"alert\"]}");
    put_rule(world, "b", "{\"when\":{\"series\":\"live_objects\",\"above\":400},\"do\":[\"alert\"]}");
    for (int i = 0; i < 2 * 1100; i++) {
        tell_live(world, process, i % 2 ? 50 : 200);
        at(world, i);
    }
    tell_live(world, process, 500);
    at(world, 3000);
    json_t *all = rules_alerts_json(world->rules, &(struct rules_filter){.rule = NULL});
    assert_int_equal(json_array_size(all), RULES_ALERTS_RESOLVED + 2);
    for (size_t at_row = 0; at_row < json_array_size(all); at_row++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(all, at_row), "id")), 1102 - at_row);
    json_decref(all);
    const struct { struct rules_filter filter; size_t count; } filters[] = {
        {{.rule = "a", .state = "resolved"}, RULES_ALERTS_RESOLVED}, {{.state = "firing"}, 2}, {{.state = "firing", .rule = "b"}, 1},
        {{.process = "ffffffffffffffffffffffffffffffff"}, 0}, {{.process = "00000000000000000000000000000001", .state = "firing"}, 2}};
    for (size_t f = 0; f < sizeof filters / sizeof *filters; f++) {
        json_t *some = rules_alerts_json(world->rules, &filters[f].filter);
        assert_int_equal(json_array_size(some), filters[f].count);
        json_decref(some);
    }
}

static void test_put_is_idempotent_and_revisions_are_checked(void **state)
{
    struct rules_world *world = *state;
    static const char text[] = "{" ABOVE_100 "},\"do\":[\"alert\"]}";
    char why[256];
    uint64_t first, second;
    tell_live(world, attach(world->world, 1, 10, 0), 500);
    assert_int_equal(put_rule(world, "r", text), RULES_MADE);
    at(world, 1);
    json_decref(rules_get_json(world->rules, "r", &first));
    assert_int_equal(put_rule(world, "r", text), RULES_DONE);
    json_decref(rules_get_json(world->rules, "r", &second));
    assert_int_equal(first, second);
    assert_string_equal(state_word(world, "r"), "firing"); /* undisturbed */
    json_t *other = json_loads("{\"when\":{\"series\":\"live_objects\",\"above\":101},\"do\":[\"alert\"]}", 0, NULL);
    assert_int_equal(rules_put(world->rules, "r", other, first + 1, why, sizeof why), RULES_CHANGED);
    assert_int_equal(rules_put(world->rules, "new", other, 1, why, sizeof why), RULES_CHANGED);
    assert_int_equal(rules_put(world->rules, "r", other, first, why, sizeof why), RULES_DONE);
    assert_string_equal(world->reason, "rule_changed");
    json_decref(other);
    assert_int_equal(rules_delete(world->rules, "r", first), RULES_CHANGED);
    at(world, 2);
    assert_int_equal(rules_delete(world->rules, "r", 0), RULES_DONE);
    assert_string_equal(world->reason, "rule_deleted");
    assert_int_equal(rules_delete(world->rules, "r", 0), RULES_UNKNOWN);
}

static void test_rules_are_bounded(void **state)
{
    struct rules_world *world = *state;
    char name[16];
    for (unsigned i = 0; i <= RULES_MAX; i++) {
        snprintf(name, sizeof name, "r%u", i);
        assert_int_equal(put_rule(world, name, "{" ABOVE_100 "},\"do\":[\"log\"]}"), i < RULES_MAX ? RULES_MADE : RULES_FULL);
    }
    assert_int_equal(rules_delete(world->rules, "r50", 0), RULES_DONE);
    assert_int_equal(put_rule(world, "more", "{" ABOVE_100 "},\"do\":[\"log\"]}"), RULES_MADE);
}

/* Of this thread alone: what others take of a busy machine is no cost. */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* 100 rules of all kinds at 1,000 processes that change all the time. */
static void test_a_hundred_rules_at_a_thousand_processes_cost_little(void **state)
{
    static const char *const texts[] = {
        "{" ABOVE_100 ",\"for\":\"5s\"},\"do\":[\"alert\"]}",
        "{\"when\":{\"series\":\"live_bytes\",\"above\":1e9},\"do\":[\"log\"]}",
        "{\"when\":{\"series\":\"allocations_per_s\",\"above\":1e9},\"do\":[\"log\"]}",
        "{\"when\":{\"series\":\"live_bytes\",\"grows_by\":\"900%\",\"over\":\"60s\"},\"do\":[\"log\"]}",
        "{\"when\":{\"series\":\"type_live_bytes\",\"grows_steadily\":true,\"over\":\"10m\"},\"do\":[\"log\"]}",
        "{\"when\":{\"series\":\"pause_p99_ns\",\"above\":1e9},\"do\":[\"log\"]}",
        "{\"when\":{\"series\":\"events.lost_per_s\",\"above\":0},\"do\":[\"log\"]}",
        "{\"when\":{\"series\":\"safepoint_age_ns\",\"above\":1e15},\"do\":[\"log\"]}"};
    struct rules_world *world = *state;
    void *processes[1000];
    char name[16];
    for (unsigned i = 0; i < 1000; i++)
        processes[i] = attach(world->world, i + 1, 10, 0);
    for (unsigned i = 0; i < RULES_MAX; i++) {
        snprintf(name, sizeof name, "r%u", i);
        assert_int_equal(put_rule(world, name, texts[i % 8]), RULES_MADE);
    }
    uint64_t spent = 0, worst = 0;
    for (int turn = 0; turn < 40; turn++) {
        for (unsigned i = 0; i < 1000; i++)
            tell_live(world, processes[i], 50 + (uint64_t)(turn * 7 + (int)i) % 40);
        publish(world->world);
        const struct stats_view *view = stats_view_get_new(world->world->stats);
        uint64_t start = cpu_ns();
        rules_evaluate(world->rules, view, MONO + (uint64_t)turn * SECOND_NS, WALL + (uint64_t)turn * SECOND_NS);
        uint64_t took = cpu_ns() - start;
        stats_view_unref(view);
        spent += turn >= 10 ? took : 0;
        worst = took > worst ? took : worst;
    }
    print_message("100 rules x 1,000 processes: %.2f ms an evaluation, worst %.2f ms; windows %zu bytes\n", (double)spent / 30e6,
                  (double)worst / 1e6, world->rules->window_bytes);
    assert_true(spent / 30 < 100000000);
    assert_int_equal(world->rules->windows_left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULES_TEST(test_a_rule_fires_and_clears),
        RULES_TEST(test_for_delays_both_ways),
        RULES_TEST(test_below_and_disabled),
        RULES_TEST(test_a_selector_selects),
        RULES_TEST(test_a_process_that_goes_resolves),
        RULES_TEST(test_controls_are_operations_of_the_rule),
        RULES_TEST(test_every_repeats_while_it_fires),
        RULES_TEST(test_the_limit_is_of_the_rule),
        RULES_TEST(test_a_control_that_is_refused_is_said),
        RULES_TEST(test_growth_over_a_window),
        RULES_TEST(test_a_rate_over_a_window),
        RULES_TEST(test_a_type_that_grows_steadily_is_named),
        RULES_TEST(test_pauses_and_collections_that_free_nothing),
        RULES_TEST(test_alerts_are_listed_with_filters_and_bounds),
        RULES_TEST(test_put_is_idempotent_and_revisions_are_checked),
        RULES_TEST(test_rules_are_bounded),
        RULES_TEST(test_a_hundred_rules_at_a_thousand_processes_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
