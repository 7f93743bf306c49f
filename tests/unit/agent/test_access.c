/* The host's veto: what it forbids the daemon, whenever it says so. */
#include "attached.h"
#include "heap/internal.h"

static void collect_wait(struct world *world, uint64_t operation)
{
    fake_collect(world->connection, world->shown.number, operation, SECONDS(20));
    fake_ack(world->connection, operation, WIRE_ACK_WAITING);
}

static void vetoed(struct world *world, uint64_t operation)
{
    assert_int_equal(fake_ack(world->connection, operation, WIRE_ACK_FAILED).error, TALLY_EVETO);
}

static void succeeds(struct world *world, uint64_t operation)
{
    tally_safepoint(world->heap);
    fake_ack(world->connection, operation, WIRE_ACK_RUNNING);
    fake_ack(world->connection, operation, WIRE_ACK_SUCCEEDED);
}

static void attach_again(struct world *world)
{
    assert_int_equal(tally_attach(world->heap), 0);
    fake_heap_drop(&world->shown);
    world->shown = fake_heap_receive(world->connection);
}

static void test_access_is_one_of_three(void **state)
{
    struct world *world = *state;
    assert_int_equal(tally_get_access(world->heap), TALLY_ACCESS_CONTROL);
    assert_int_equal(atomic_load(&world->shown.counters->access), WIRE_ACCESS_CONTROL);
    assert_int_equal(tally_set_access(world->heap, (enum tally_access)3), TALLY_EINVAL);
    assert_int_equal(tally_set_access(world->heap, (enum tally_access)-1), TALLY_EINVAL);
    assert_int_equal(tally_get_access(world->heap), TALLY_ACCESS_CONTROL);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    assert_int_equal(tally_get_access(world->heap), TALLY_ACCESS_OBSERVE);
    assert_int_equal(atomic_load(&world->shown.counters->access), WIRE_ACCESS_OBSERVE); /* the feed says so at once */
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_CONTROL), 0);
    assert_int_equal(atomic_load(&world->shown.counters->access), WIRE_ACCESS_CONTROL);
}

/* Every command is answered on receipt; the heap is shown as before, and its ring may grow. */
static void test_observed_heaps_take_no_command(void **state)
{
    struct world *world = *state;
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    cycle_make(world->heap);
    fake_collect(world->connection, world->shown.number, 1, SECONDS(20));
    vetoed(world, 1);
    fake_command(world->connection, &(struct wire_command){.operation = 2, .heap_number = world->shown.number,
                                                           .deadline_ns = UINT64_MAX, .kind = WIRE_COMMAND_CONFIG,
                                                           .mask = WIRE_CONFIG_LEVEL, .level = WIRE_LEVEL_OFF});
    vetoed(world, 2);
    fake_command(world->connection, &(struct wire_command){.operation = 3, .heap_number = world->shown.number,
                                                           .deadline_ns = UINT64_MAX, .kind = WIRE_COMMAND_COLLECT,
                                                           .generation = 9});
    assert_int_equal(fake_ack(world->connection, 3, WIRE_ACK_FAILED).error, TALLY_EINVAL); /* the first fault */
    assert_int_equal(tally_safepoint(world->heap), 0);
    assert_int_equal(live(world->heap), 1);
    assert_int_equal(atomic_load(&world->shown.counters->level), WIRE_LEVEL_ALL);
    fake_command(world->connection, &(struct wire_command){.heap_number = world->shown.number, .kind = WIRE_COMMAND_GROW,
                                                           .ring_words = WIRE_RING_WORDS});
    fake_ack(world->connection, 0, WIRE_ACK_SUCCEEDED);
    assert_int_equal(tally_collect(world->heap, 2), 1); /* the host's own */
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_CONTROL), 0);
    collect_wait(world, 4);
    succeeds(world, 4);
}

static void test_a_veto_holds_for_what_waits(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    collect_wait(world, 11);
    collect_wait(world, 12); /* which would share its run */
    fake_command(world->connection, &(struct wire_command){.operation = 13, .heap_number = world->shown.number,
                                                           .deadline_ns = UINT64_MAX, .kind = WIRE_COMMAND_CONFIG,
                                                           .mask = WIRE_CONFIG_ENABLED, .enabled = 0});
    fake_ack(world->connection, 13, WIRE_ACK_WAITING);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    assert_int_equal(tally_safepoint(world->heap), 1);
    vetoed(world, 11);
    vetoed(world, 12);
    vetoed(world, 13);
    assert_int_equal(live(world->heap), 1);
    assert_true(tally_is_enabled(world->heap));
    assert_false(fake_readable(world->connection, 20));
}

static void test_a_veto_that_is_lifted_in_time_stops_nothing(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    collect_wait(world, 21);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_CONTROL), 0);
    succeeds(world, 21);
    assert_int_equal(live(world->heap), 0);
}

/* Nor does the agent collect for the owner. */
static void test_parked_heaps_are_not_collected_against_a_veto(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    assert_int_equal(tally_park(world->heap), 0);
    fake_collect(world->connection, world->shown.number, 31, SECONDS(20));
    vetoed(world, 31);
    assert_int_equal(tally_unpark(world->heap), 0);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_CONTROL), 0);
    collect_wait(world, 32);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    assert_int_equal(tally_park(world->heap), 0);
    vetoed(world, 32);
    assert_int_equal(tally_unpark(world->heap), 0);
    assert_int_equal(live(world->heap), 1);
}

static void test_none_detaches_and_keeps_from_attaching(void **state)
{
    struct world *world = *state;
    collect_wait(world, 41);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_NONE), 0);
    assert_int_equal(fake_ack(world->connection, 41, WIRE_ACK_FAILED).error, TALLY_ESTATE);
    gone_receive(world);
    assert_int_equal(atomic_load(&world->shown.counters->state), WIRE_STATE_CLOSED);
    assert_int_equal(tally_attach(world->heap), TALLY_EVETO);
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_NONE), 0); /* again: nothing to detach */
    cycle_make(world->heap);
    assert_int_equal(tally_collect(world->heap, 2), 1);
    assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
    assert_false(fake_readable(world->connection, 20));
    assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_OBSERVE), 0);
    attach_again(world);
    assert_int_equal(atomic_load(&world->shown.counters->access), WIRE_ACCESS_OBSERVE);
    fake_collect(world->connection, world->shown.number, 42, SECONDS(20));
    vetoed(world, 42);
}

static void test_heaps_may_forbid_it_from_the_start(void **state)
{
    struct world *world = *state;
    struct tally_heap *heap = NULL;
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &heap), 0);
    assert_int_equal(tally_set_access(heap, TALLY_ACCESS_NONE), 0);
    assert_int_equal(tally_attach(heap), TALLY_EVETO);
    tally_detach(heap);
    tally_safepoint(heap);
    assert_false(fake_readable(world->connection, 50));
    tally_heap_free(heap);
}

/* ---- in the middle of a collection */

static enum tally_access hook_access;
static int hook_attached;

static void hook_veto(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)info, (void)arg;
    assert_int_equal(tally_set_access(heap, hook_access), 0);
    hook_attached = tally_attach(heap);
}

static void test_none_in_a_collection_detaches_behind_it(void **state)
{
    struct world *world = *state;
    for (int remote = 0; remote < 2; remote++) {
        hook_access = TALLY_ACCESS_NONE;
        cycle_make(world->heap);
        assert_int_equal(tally_add_collection_hook(world->heap, hook_veto, NULL), 0);
        if (remote) {
            collect_wait(world, 51);
            tally_safepoint(world->heap);
            fake_ack(world->connection, 51, WIRE_ACK_RUNNING);
            fake_ack(world->connection, 51, WIRE_ACK_SUCCEEDED); /* it ran when it was allowed to */
        } else {
            assert_int_equal(tally_collect(world->heap, 2), 1);
            tally_safepoint(world->heap);
        }
        assert_int_equal(tally_remove_collection_hook(world->heap, hook_veto, NULL), 0);
        assert_int_equal(hook_attached, TALLY_EVETO);
        gone_receive(world);
        assert_int_equal(tally_attach(world->heap), TALLY_EVETO);
        assert_int_equal(live(world->heap), 0);
        assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
        assert_int_equal(tally_set_access(world->heap, TALLY_ACCESS_CONTROL), 0);
        attach_again(world);
    }
}

/* A command that waits while the one before it forbids it. */
static void test_observe_in_a_collection_stops_the_next(void **state)
{
    struct world *world = *state;
    hook_access = TALLY_ACCESS_OBSERVE;
    cycle_make(world->heap);
    collect_wait(world, 61);
    fake_command(world->connection, &(struct wire_command){.operation = 62, .heap_number = world->shown.number,
                                                           .deadline_ns = UINT64_MAX, .kind = WIRE_COMMAND_COLLECT,
                                                           .generation = 0});
    fake_ack(world->connection, 62, WIRE_ACK_WAITING);
    assert_int_equal(tally_add_collection_hook(world->heap, hook_veto, NULL), 0);
    tally_safepoint(world->heap);
    assert_int_equal(tally_remove_collection_hook(world->heap, hook_veto, NULL), 0);
    assert_int_equal(hook_attached, TALLY_ESTATE);
    unsigned succeeded = 0, refused = 0;
    for (int i = 0; i < 3; i++) { /* 61 runs and succeeds, 62 is refused: in any order */
        union fake_message message;
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
        succeeded += message.ack.operation == 61 && message.ack.state == WIRE_ACK_SUCCEEDED;
        refused += message.ack.operation == 62 && message.ack.state == WIRE_ACK_FAILED && message.ack.error == TALLY_EVETO;
    }
    assert_true(succeeded == 1 && refused == 1);
    assert_int_equal(live(world->heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_access_is_one_of_three),
        ROW(test_observed_heaps_take_no_command),
        ROW(test_a_veto_holds_for_what_waits),
        ROW(test_a_veto_that_is_lifted_in_time_stops_nothing),
        ROW(test_parked_heaps_are_not_collected_against_a_veto),
        ROW(test_none_detaches_and_keeps_from_attaching),
        ROW(test_heaps_may_forbid_it_from_the_start),
        ROW(test_none_in_a_collection_detaches_behind_it),
        ROW(test_observe_in_a_collection_stops_the_next),
#undef ROW
    };
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
