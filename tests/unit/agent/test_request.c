/* What a daemon asks for, in the owner's hands: configurations, refusals, commands inside commands. */
#include "attached.h"

static void test_config_is_applied_at_the_safepoint(void **state)
{
    struct world *world = *state;
    uint32_t thresholds[3];
    struct wire_command command = {.operation = 75, .heap_number = world->shown.number,
                                   .deadline_ns = clock_mono_ns() + 20000000000u, .kind = WIRE_COMMAND_CONFIG,
                                   .mask = WIRE_CONFIG_ENABLED | WIRE_CONFIG_THRESHOLDS | WIRE_CONFIG_DEBUG |
                                           WIRE_CONFIG_LEVEL,
                                   .debug = TALLY_DEBUG_SAVEALL, .thresholds = {5, 6, 7}};
    fake_command(world->connection, &command);
    fake_ack(world->connection, 75, WIRE_ACK_WAITING);
    assert_true(tally_is_enabled(world->heap));
    tally_safepoint(world->heap);
    fake_ack(world->connection, 75, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 75, WIRE_ACK_SUCCEEDED);
    assert_false(tally_is_enabled(world->heap));
    tally_get_thresholds(world->heap, thresholds);
    assert_int_equal(thresholds[2], 7);
    const struct wire_counters *shown = world->shown.counters;
    assert_int_equal(atomic_load(&shown->enabled), 0);
    assert_int_equal(atomic_load(&shown->thresholds[1]), 6);
    assert_int_equal(atomic_load(&shown->debug), TALLY_DEBUG_SAVEALL);
    assert_int_equal(atomic_load(&shown->level), WIRE_LEVEL_OFF);
}

/* Sends a CONFIG, lets it run, and returns its last answer. */
static struct wire_ack configure(struct world *world, const struct wire_command *change,
                                 enum wire_ack_state state)
{
    static uint64_t operation = 200;
    struct wire_command command = *change;
    command.kind = WIRE_COMMAND_CONFIG;
    command.operation = ++operation;
    command.heap_number = world->shown.number;
    command.deadline_ns = clock_mono_ns() + 20000000000u;
    fake_command(world->connection, &command);
    fake_ack(world->connection, operation, WIRE_ACK_WAITING);
    tally_safepoint(world->heap);
    fake_ack(world->connection, operation, WIRE_ACK_RUNNING);
    return fake_ack(world->connection, operation, state);
}

static void test_managers_and_limits_are_set(void **state)
{
    struct world *world = *state;
    const struct wire_counters *shown = world->shown.counters;
#define WIRE_X(name, number, word) \
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_MANAGER, .manager = name}, \
              WIRE_ACK_SUCCEEDED); \
    assert_int_equal(tally_get_manager(world->heap), name); \
    assert_int_equal(atomic_load(&shown->manager), name); \
    assert_string_equal(tally_manager_name(tally_get_manager(world->heap)), word);
    WIRE_MANAGERS(WIRE_X)
#undef WIRE_X
    configure(world,
              &(struct wire_command){.mask = WIRE_CONFIG_MAX_PAUSE | WIRE_CONFIG_MEMORY_LIMIT |
                                             WIRE_CONFIG_DEBUG,
                                     .max_pause_us = 10000000, .memory_limit_bytes = (uint64_t)1 << 40,
                                     .debug = TALLY_DEBUG_STATS | TALLY_DEBUG_LEAK},
              WIRE_ACK_SUCCEEDED);
    assert_int_equal(tally_get_max_pause(world->heap), 10000000);
    assert_int_equal(tally_get_memory_limit(world->heap), (uint64_t)1 << 40);
    assert_int_equal(tally_get_debug(world->heap), 39);
    assert_int_equal(atomic_load(&shown->max_pause_us), 10000000);
    assert_int_equal(atomic_load(&shown->memory_limit_bytes), (uint64_t)1 << 40);
    assert_int_equal(atomic_load(&shown->debug), 39);
}

/* Thresholds come after the manager, and what has been set before them is set back. */
static void test_config_is_applied_whole_or_not_at_all(void **state)
{
    struct world *world = *state;
    struct wire_command change = {.mask = WIRE_CONFIG_ALL, .enabled = 0, .manager = TALLY_MANAGER_FULL,
                                  .thresholds = {5, 6, 7}, .max_pause_us = 100, .level = WIRE_LEVEL_OFF};
    uint32_t thresholds[3];
    enum tally_manager before = tally_get_manager(world->heap);
    change.manager = TALLY_MANAGER_REFCOUNT;
    assert_int_equal(configure(world, &change, WIRE_ACK_FAILED).error, TALLY_EUNSUPPORTED);
    assert_int_equal(tally_get_manager(world->heap), before);
    tally_get_thresholds(world->heap, thresholds);
    assert_int_equal(thresholds[0], 700);
    assert_int_equal(tally_get_max_pause(world->heap), 0);
    assert_true(tally_is_enabled(world->heap));
    assert_int_equal(atomic_load(&world->shown.counters->level), WIRE_LEVEL_ALL);
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_MANAGER, .manager = TALLY_MANAGER_NONE},
              WIRE_ACK_SUCCEEDED);
    change.manager = TALLY_MANAGER_FULL; /* under which there are thresholds again */
    configure(world, &change, WIRE_ACK_SUCCEEDED);
    tally_get_thresholds(world->heap, thresholds);
    assert_int_equal(thresholds[2], 7);
    assert_int_equal(tally_get_max_pause(world->heap), 100);
    assert_false(tally_is_enabled(world->heap));
    assert_int_equal(atomic_load(&world->shown.counters->level), WIRE_LEVEL_OFF);
}

static const struct tally_type *final_type;

/* What a finalizer does, in the world of the test that runs. */
static struct world *finalizer_world;
static void (*finalizer_act)(struct world *world);

static void finalizer(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    if (finalizer_act)
        finalizer_act(finalizer_world);
}

/* Makes an object that dies when a command leaves the manager none, and sends that command. */
static void manager_leave_none(struct world *world, uint64_t operation, void (*act)(struct world *world))
{
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_MANAGER, .manager = TALLY_MANAGER_NONE},
              WIRE_ACK_SUCCEEDED);
    tally_decref(tally_new(world->heap, final_type));
    finalizer_world = world;
    finalizer_act = act;
    fake_command(world->connection, &(struct wire_command){.operation = operation,
                                                           .heap_number = world->shown.number,
                                                           .deadline_ns = clock_mono_ns() + 20000000000u,
                                                           .kind = WIRE_COMMAND_CONFIG,
                                                           .mask = WIRE_CONFIG_MANAGER,
                                                           .manager = TALLY_MANAGER_CYCLE});
    fake_ack(world->connection, operation, WIRE_ACK_WAITING);
    tally_safepoint(world->heap);
    assert_null(finalizer_act);
}

static unsigned long acks_seen;

/* Asks for a collection and comes by a safepoint, in the middle of another command. */
static void act_safepoint(struct world *world)
{
    finalizer_act = NULL;
    fake_collect(world->connection, world->shown.number, 401, SECONDS(20));
    for (acks_seen = 0; acks_seen < 2; acks_seen++) { /* that one waits, the other runs: in any order */
        union fake_message message;
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
        assert_int_equal(message.ack.state,
                         message.ack.operation == 401 ? WIRE_ACK_WAITING : WIRE_ACK_RUNNING);
    }
    tally_safepoint(world->heap);
}

static void test_a_command_inside_a_command_runs_behind_it(void **state)
{
    struct world *world = *state;
    manager_leave_none(world, 400, act_safepoint);
    assert_int_equal(acks_seen, 2);
    fake_ack(world->connection, 400, WIRE_ACK_SUCCEEDED);
    tally_safepoint(world->heap);
    fake_ack(world->connection, 401, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 401, WIRE_ACK_SUCCEEDED);
}

static void act_detach(struct world *world)
{
    finalizer_act = NULL;
    tally_detach(world->heap);
    tally_safepoint(world->heap);
}

static void test_detach_from_inside_a_change_of_manager(void **state)
{
    struct world *world = *state;
    union fake_message message;
    manager_leave_none(world, 402, act_detach);
    fake_ack(world->connection, 402, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 402, WIRE_ACK_SUCCEEDED);
    assert_true(fake_receive(world->connection, &message, NULL) > 0);
    assert_int_equal(message.head.kind, WIRE_HEAP_GONE);
    assert_int_equal(tally_get_manager(world->heap), TALLY_MANAGER_CYCLE);
}

/* A manager cannot change in the middle of a death. */
static void act_manager(struct world *world)
{
    finalizer_act = NULL;
    fake_command(world->connection, &(struct wire_command){.operation = 403,
                                                           .heap_number = world->shown.number,
                                                           .deadline_ns = clock_mono_ns() + 20000000000u,
                                                           .kind = WIRE_COMMAND_CONFIG,
                                                           .mask = WIRE_CONFIG_MANAGER,
                                                           .manager = TALLY_MANAGER_FULL});
    fake_ack(world->connection, 403, WIRE_ACK_WAITING);
    assert_int_equal(tally_safepoint(world->heap), 1);
    assert_int_equal(tally_get_manager(world->heap), TALLY_MANAGER_CYCLE);
}

static void test_a_manager_that_cannot_change_now_changes_at_the_next_safepoint(void **state)
{
    struct world *world = *state;
    finalizer_world = world;
    finalizer_act = act_manager;
    tally_decref(tally_new(world->heap, final_type));
    assert_null(finalizer_act);
    tally_safepoint(world->heap);
    assert_int_equal(tally_get_manager(world->heap), TALLY_MANAGER_FULL);
    fake_ack(world->connection, 403, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 403, WIRE_ACK_SUCCEEDED);
}

static void test_collects_fail_where_the_manager_has_none(void **state)
{
    struct world *world = *state;
    const uint32_t managers[] = {TALLY_MANAGER_NONE, TALLY_MANAGER_REFCOUNT};
    cycle_make(world->heap);
    for (uint64_t i = 0; i < 2; i++) {
        configure(world, &(struct wire_command){.mask = WIRE_CONFIG_MANAGER, .manager = managers[i]},
                  WIRE_ACK_SUCCEEDED);
        fake_collect(world->connection, world->shown.number, 300 + i, SECONDS(20));
        fake_ack(world->connection, 300 + i, WIRE_ACK_WAITING);
        tally_safepoint(world->heap);
        fake_ack(world->connection, 300 + i, WIRE_ACK_RUNNING);
        assert_int_equal(fake_ack(world->connection, 300 + i, WIRE_ACK_FAILED).error, TALLY_EUNSUPPORTED);
        assert_int_equal(live(world->heap), 1);
    }
}

static void test_bad_commands_are_answered_failed(void **state)
{
    struct world *world = *state;
    const uint64_t later = clock_mono_ns() + 20000000000u;
    struct {
        struct wire_command command;
        int error;
    } rows[] = {
        {{.kind = WIRE_COMMAND_COLLECT, .generation = 3}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_COLLECT, .generation = -1}, TALLY_EINVAL},
        {{.kind = 99}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = 128}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_MANAGER}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_MANAGER, .manager = 6}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_MAX_PAUSE, .max_pause_us = 10000001},
         TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_ENABLED, .enabled = 2}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_LEVEL, .level = 7}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_DEBUG, .debug = 8}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_THRESHOLDS, .thresholds = {0, 0, 1u << 31}},
         TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_COLLECT, .heap_number = 4000000000u}, TALLY_ESTATE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rows[i].command.operation = i;
        rows[i].command.deadline_ns = later;
        if (!rows[i].command.heap_number)
            rows[i].command.heap_number = world->shown.number;
        fake_command(world->connection, &rows[i].command);
        assert_int_equal(fake_ack(world->connection, i, WIRE_ACK_FAILED).error, rows[i].error);
    }
    assert_int_equal(tally_safepoint(world->heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_config_is_applied_at_the_safepoint),
        ROW(test_managers_and_limits_are_set),
        ROW(test_config_is_applied_whole_or_not_at_all),
        ROW(test_collects_fail_where_the_manager_has_none),
        ROW(test_a_command_inside_a_command_runs_behind_it),
        ROW(test_detach_from_inside_a_change_of_manager),
        ROW(test_a_manager_that_cannot_change_now_changes_at_the_next_safepoint),
        ROW(test_bad_commands_are_answered_failed),
#undef ROW
    };
    attached_prepare();
    if (tally_type_register(&(struct tally_type_info){.name = "final", .size = 8, .finalize = finalizer},
                            &final_type))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
