/* What a daemon asks for, in the owner's hands: configurations, refusals, commands inside commands. */
#include "agent/agent.h"
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

static void test_stress_is_set_and_shown(void **state)
{
    struct world *world = *state;
    const struct wire_counters *shown = world->shown.counters;
    struct tally_collection last;
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_STRESS, .stress_nth = 2, .stress_every_decref = 1},
              WIRE_ACK_SUCCEEDED);
    assert_int_equal(atomic_load(&shown->stress_nth), 2);
    assert_int_equal(atomic_load(&shown->stress_every_decref), 1);
    cycle_make(world->heap);
    tally_decref(tally_new(world->heap, node_type));
    tally_last_collection(world->heap, &last, sizeof last);
    assert_int_equal(last.reason, TALLY_REASON_STRESS);
    assert_int_equal(live(world->heap), 0);
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_STRESS}, WIRE_ACK_SUCCEEDED);
    assert_int_equal(atomic_load(&shown->stress_nth), 0);
    assert_int_equal(atomic_load(&shown->stress_every_decref), 0);
    cycle_make(world->heap);
    assert_int_equal(live(world->heap), 1);
}

/* Sends a command of a kind, lets it run, and returns its last answer. */
static struct wire_ack command_run(struct world *world, enum wire_command_kind kind, enum wire_ack_state state)
{
    static uint64_t operation = 500;
    fake_command(world->connection,
                 &(struct wire_command){.operation = ++operation, .heap_number = world->shown.number, .kind = kind, .generation = 2,
                                        .deadline_ns = clock_mono_ns() + 20000000000u});
    fake_ack(world->connection, operation, WIRE_ACK_WAITING);
    come_by(world->heap);
    uint64_t before_ns = clock_mono_ns(), started_ns = fake_ack(world->connection, operation, WIRE_ACK_RUNNING).started_ns;
    struct wire_ack ack = fake_ack(world->connection, operation, state);
    assert_true(started_ns && started_ns < before_ns);
    assert_int_equal(ack.started_ns, started_ns);
    return ack;
}

static void test_freeze_and_unfreeze(void **state)
{
    struct world *world = *state;
    void *kept = tally_new(world->heap, node_type);
    cycle_make(world->heap);
    assert_int_equal(command_run(world, WIRE_COMMAND_FREEZE, WIRE_ACK_SUCCEEDED).total, 2);
    assert_int_equal(tally_freeze_count(world->heap), 2);
    assert_int_equal(atomic_load(&world->shown.counters->frozen), 2);
    assert_int_equal(tally_collect(world->heap, 2), 0);
    assert_int_equal(command_run(world, WIRE_COMMAND_UNFREEZE, WIRE_ACK_SUCCEEDED).total, 0);
    assert_int_equal(tally_collect(world->heap, 2), 1);
    tally_decref(kept);
}

static void test_cycles_are_found_and_left(void **state)
{
    struct world *world = *state;
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_MANAGER, .manager = TALLY_MANAGER_REFCOUNT},
              WIRE_ACK_SUCCEEDED);
    for (int i = 0; i < 3; i++)
        cycle_make(world->heap);
    assert_int_equal(command_run(world, WIRE_COMMAND_FIND, WIRE_ACK_SUCCEEDED).collected, 3);
    assert_int_equal(live(world->heap), 3);
}

static void test_the_garbage_list_is_cleared(void **state)
{
    struct world *world = *state;
    assert_int_equal(tally_set_debug(world->heap, TALLY_DEBUG_SAVEALL), 0);
    for (int i = 0; i < 3; i++)
        cycle_make(world->heap);
    tally_collect(world->heap, 2);
    assert_int_equal(tally_garbage_count(world->heap), 3);
    tally_set_debug(world->heap, 0);
    assert_int_equal(command_run(world, WIRE_COMMAND_GARBAGE_CLEAR, WIRE_ACK_SUCCEEDED).total, 3);
    assert_int_equal(tally_garbage_count(world->heap), 0);
    assert_int_equal(command_run(world, WIRE_COMMAND_GARBAGE_CLEAR, WIRE_ACK_SUCCEEDED).total, 0);
}

/* The host has the last word on each of them. */
static void test_observers_may_do_none_of_it(void **state)
{
    static const enum wire_command_kind kinds[] = {WIRE_COMMAND_COLLECT,  WIRE_COMMAND_CONFIG,    WIRE_COMMAND_FREEZE,
                                                   WIRE_COMMAND_UNFREEZE, WIRE_COMMAND_GARBAGE,   WIRE_COMMAND_GARBAGE_CLEAR,
                                                   WIRE_COMMAND_OBJECTS,  WIRE_COMMAND_REFERRERS, WIRE_COMMAND_CYCLES,
                                                   WIRE_COMMAND_FIND};
    struct world *world = *state;
    for (uint64_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        bool waits = i % 2; /* it was sent while that was allowed */
        tally_set_access(world->heap, waits ? TALLY_ACCESS_CONTROL : TALLY_ACCESS_OBSERVE);
        fake_command(world->connection,
                     &(struct wire_command){.operation = 900 + i, .heap_number = world->shown.number, .kind = kinds[i / 2],
                                            .limit = 1, .deadline_ns = clock_mono_ns() + 20000000000u});
        if (waits) {
            fake_ack(world->connection, 900 + i, WIRE_ACK_WAITING);
            tally_set_access(world->heap, TALLY_ACCESS_OBSERVE);
            come_by(world->heap);
        }
        assert_int_equal(fake_ack(world->connection, 900 + i, WIRE_ACK_FAILED).error, TALLY_EVETO);
    }
}

/* However many are asked for, and however fast: what comes while one waits shares its run. */
static void test_no_more_collections_than_so_many_a_second(void **state)
{
    struct world *world = *state;
    uint64_t start_ns, operation = 2000;
    unsigned runs = 0;
    struct tally_stats stats;
    do { /* until so many come fast enough to be within a second of each other */
        if (runs)
            usleep(1100000);
        start_ns = clock_mono_ns();
        for (unsigned i = 0; i < AGENT_COLLECTS; i++, runs++)
            command_run(world, WIRE_COMMAND_COLLECT, WIRE_ACK_SUCCEEDED);
    } while (clock_mono_ns() - start_ns > 500000000u && runs < 20 * AGENT_COLLECTS);
    for (unsigned i = 0; i < 4; i++, operation++) {
        fake_collect(world->connection, world->shown.number, operation, SECONDS(20));
        fake_ack(world->connection, operation, WIRE_ACK_WAITING);
    }
    fake_command(world->connection, &(struct wire_command){.operation = operation - 1, .kind = WIRE_COMMAND_CANCEL,
                                                           .heap_number = world->shown.number});
    fake_ack(world->connection, operation - 1, WIRE_ACK_CANCELLED);
    fake_collect(world->connection, world->shown.number, operation, 20);
    fake_ack(world->connection, operation, WIRE_ACK_WAITING);
    fake_ack(world->connection, operation, WIRE_ACK_EXPIRED);
    while (!tally_safepoint(world->heap))
        usleep(1000);
    assert_true(clock_mono_ns() - start_ns >= 1000000000u);
    while (tally_safepoint(world->heap))
        usleep(1000);
    for (unsigned i = 0, ended = 0; ended < 3; i++) {
        union fake_message message;
        assert_true(i < 6 && fake_receive(world->connection, &message, NULL) > 0);
        ended += message.ack.state == WIRE_ACK_SUCCEEDED;
    }
    tally_get_stats(world->heap, &stats, sizeof stats);
    assert_int_equal(stats.generations[2].collections, runs + 1);
}

/* What looks or freezes takes 5 % of the owner's time at most, whoever asks how often. */
static void test_the_owner_rests_between_commands(void **state)
{
    struct world *world = *state;
    void *head = NULL;
    for (int i = 0; i < 50000; i++) {
        struct node *node = tally_new(world->heap, node_type);
        tally_store_steal(node, &node->next, head);
        head = node;
    }
    uint64_t start_ns = clock_mono_ns(), owed_ns = 0;
    for (uint64_t operation = 3000; operation < 3005; operation++) {
        fake_command(world->connection, &(struct wire_command){.operation = operation, .heap_number = world->shown.number,
                                                               .kind = WIRE_COMMAND_FIND,
                                                               .deadline_ns = clock_mono_ns() + 20000000000u});
        fake_ack(world->connection, operation, WIRE_ACK_WAITING);
        come_by(world->heap);
        fake_ack(world->connection, operation, WIRE_ACK_RUNNING);
        uint64_t took_ns = fake_ack(world->connection, operation, WIRE_ACK_SUCCEEDED).pause_ns;
        assert_true(took_ns > 0);
        assert_true(clock_mono_ns() - start_ns >= owed_ns + took_ns);
        owed_ns += took_ns + (AGENT_REST * took_ns < AGENT_REST_MAX_NS ? AGENT_REST * took_ns : AGENT_REST_MAX_NS);
    }
    configure(world, &(struct wire_command){.mask = WIRE_CONFIG_ENABLED, .enabled = 1}, WIRE_ACK_SUCCEEDED); /* at once */
    tally_decref(head);
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

#define REFUSALS 2000u
static uint64_t refused_ns; /* for the last time */

/* A manager cannot change in the middle of a death, however often its safepoints come by. */
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
    for (unsigned i = 1; i < REFUSALS; i++)
        tally_safepoint(world->heap);
    assert_int_equal(tally_get_manager(world->heap), TALLY_MANAGER_CYCLE);
    refused_ns = clock_mono_ns();
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
    assert_true(fake_ack(world->connection, 403, WIRE_ACK_RUNNING).started_ns >= refused_ns); /* nor is said to run */
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
        {{.kind = 99}, TALLY_EUNSUPPORTED},
        {{.kind = 0}, TALLY_EUNSUPPORTED},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = 256}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CONFIG, .mask = WIRE_CONFIG_STRESS, .stress_every_decref = 2}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_GARBAGE}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_CYCLES, .limit = WIRE_ROWS_MAX + 1}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_REFERRERS, .limit = UINT32_MAX}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_OBJECTS, .limit = 1, .generation = -2}, TALLY_EINVAL},
        {{.kind = WIRE_COMMAND_OBJECTS, .limit = 1, .generation = 4}, TALLY_EINVAL},
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

static bool tag_free(struct agent_slot *slot)
{
    return (atomic_load(&slot->tag) & ((1u << SLOT_STATE_BITS) - 1)) == SLOT_FREE;
}

/* What the owner has claimed and gives back for a later safepoint: here by hand, at the instant that is meant. */
static void test_what_is_cancelled_in_the_owners_hands_is_not_lost(void **state)
{
    struct world *world = *state;
    struct wire_command command = {.operation = 410, .heap_number = world->shown.number, .kind = WIRE_COMMAND_CONFIG,
                                   .deadline_ns = UINT64_MAX, .mask = WIRE_CONFIG_ENABLED};
    fake_command(world->connection, &command);
    fake_ack(world->connection, 410, WIRE_ACK_WAITING);
    struct agent_slot *slot = agent_get()->heaps->slots;
    while (tag_free(slot) || slot->command.operation != 410)
        slot++;
    uint64_t posted = atomic_load(&slot->tag), order = posted >> SLOT_STATE_BITS << SLOT_STATE_BITS;
    assert_int_equal(posted - order, SLOT_POSTED);
    atomic_store(&slot->tag, order | SLOT_RUNNING);
    fake_command(world->connection, &(struct wire_command){.operation = 410, .heap_number = world->shown.number,
                                                           .kind = WIRE_COMMAND_CANCEL});
    fake_command(world->connection, &(struct wire_command){.operation = 411, .heap_number = world->shown.number, .kind = 99});
    fake_ack(world->connection, 411, WIRE_ACK_FAILED); /* so that the one before has been read */
    atomic_store(&slot->tag, posted);
    agent_wake();
    fake_ack(world->connection, 410, WIRE_ACK_CANCELLED);
    tally_safepoint(world->heap);
    assert_true(tally_is_enabled(world->heap));
    command.operation = 412; /* another in the same slot is not meant */
    fake_command(world->connection, &command);
    fake_ack(world->connection, 412, WIRE_ACK_WAITING);
    tally_safepoint(world->heap);
    fake_ack(world->connection, 412, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 412, WIRE_ACK_SUCCEEDED);
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
        ROW(test_what_is_cancelled_in_the_owners_hands_is_not_lost),
        ROW(test_bad_commands_are_answered_failed),
        ROW(test_stress_is_set_and_shown),
        ROW(test_freeze_and_unfreeze),
        ROW(test_cycles_are_found_and_left),
        ROW(test_the_garbage_list_is_cleared),
        ROW(test_observers_may_do_none_of_it),
        ROW(test_no_more_collections_than_so_many_a_second),
        ROW(test_the_owner_rests_between_commands),
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
