/* A parked heap: the agent collects it, as far as no code of the host's has to run, and gives it back at
 * once. */
#include <pthread.h>

#include "agent/agent.h"
#include "attached.h"

static pthread_t owner;
static unsigned finalized, disposed;

static void on_finalize(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    assert_true(pthread_equal(owner, pthread_self()));
    finalized++;
}

static void on_dispose(void *object)
{
    (void)object;
    assert_true(pthread_equal(owner, pthread_self()));
    disposed++;
}

static void self_made(struct tally_heap *heap, const struct tally_type *type)
{
    struct node *node = tally_new(heap, type);
    tally_store(node, &node->next, node);
    tally_decref(node);
}

static void test_garbage_is_freed_while_the_owner_is_parked(void **state)
{
    struct world *world = *state;
    tally_disable(world->heap);
    for (int i = 0; i < 1000; i++)
        cycle_make(world->heap);
    assert_int_equal(tally_park(world->heap), 0);
    assert_int_equal(tally_park(world->heap), TALLY_ESTATE);
    fake_collect(world->connection, world->shown.number, 301, 20000);
    fake_ack(world->connection, 301, WIRE_ACK_WAITING);
    fake_ack(world->connection, 301, WIRE_ACK_RUNNING);
    struct wire_ack ack = fake_ack(world->connection, 301, WIRE_ACK_SUCCEEDED);
    assert_int_equal(ack.collected, 1000);
    assert_true(ack.pause_ns > 0);
    assert_int_equal(tally_unpark(world->heap), 0);
    assert_int_equal(tally_unpark(world->heap), TALLY_ESTATE);
    assert_int_equal(live(world->heap), 0);
    assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
}

/* The agent finds; finalizers and dispose are the owner's, who goes on with what was found. */
static void test_code_of_the_host_waits_for_the_owner(void **state)
{
    struct world *world = *state;
    const struct tally_type *types[2];
    struct tally_ref refs[] = {{"next", 0}};
    assert_int_equal(
        tally_type_register(
            &(struct tally_type_info){
                .name = "finalized-node", .size = 8, .refs = refs, .ref_count = 1, .finalize = on_finalize},
            &types[0]),
        0);
    assert_int_equal(
        tally_type_register(
            &(struct tally_type_info){
                .name = "disposed-node", .size = 8, .refs = refs, .ref_count = 1, .dispose = on_dispose},
            &types[1]),
        0);
    owner = pthread_self();
    self_made(world->heap, types[0]);
    self_made(world->heap, types[1]);
    cycle_make(world->heap);
    assert_int_equal(tally_park(world->heap), 0);
    fake_collect(world->connection, world->shown.number, 302, 20000);
    fake_ack(world->connection, 302, WIRE_ACK_WAITING);
    assert_false(fake_readable(world->connection, 50));
    assert_int_equal(tally_unpark(world->heap), 0);
    assert_int_equal(finalized + disposed, 0);
    tally_safepoint(world->heap);
    fake_ack(world->connection, 302, WIRE_ACK_RUNNING);
    assert_int_equal(fake_ack(world->connection, 302, WIRE_ACK_SUCCEEDED).collected, 3);
    assert_int_equal(finalized, 1);
    assert_int_equal(disposed, 1);
    assert_int_equal(live(world->heap), 0);
}

/* What the agent has begun in time has not expired when it takes longer; and it is not to be cancelled any more. */
static void test_what_began_in_time_is_finished(void **state)
{
    struct world *world = *state;
    enum { NODES = 2000000 };
    void *head = NULL;
    tally_disable(world->heap);
    for (int i = 0; i < NODES; i++) {
        struct node *node = tally_new(world->heap, node_type);
        tally_store_steal(node, &node->next, head);
        head = node;
    }
    cycle_make(world->heap);
    assert_int_equal(tally_park(world->heap), 0);
    struct wire_ack ack = {.state = WIRE_ACK_EXPIRED};
    uint64_t operation = 302;
    while (ack.state == WIRE_ACK_EXPIRED && operation < 302 + AGENT_COLLECTS) { /* where the machine is too busy */
        union fake_message message;
        fake_collect(world->connection, world->shown.number, ++operation, 30);
        fake_ack(world->connection, operation, WIRE_ACK_WAITING);
        assert_int_equal(wire_ack_check(&message, fake_receive(world->connection, &message, NULL), &ack), 0);
    }
    assert_int_equal(ack.state, WIRE_ACK_RUNNING);
    fake_command(world->connection, &(struct wire_command){.operation = operation, .heap_number = world->shown.number,
                                                           .kind = WIRE_COMMAND_CANCEL});
    assert_int_equal(fake_ack(world->connection, operation, WIRE_ACK_SUCCEEDED).collected, 1);
    assert_int_equal(tally_unpark(world->heap), 0);
    tally_decref(head);
}

/* Unpark waits for a slice of the agent's, not for the collection: its own CPU time is what counts, and the
 * graph is live whatever the agent has found by then. */
static void test_unpark_takes_the_heap_back_in_the_middle(void **state)
{
    struct world *world = *state;
    void *head = NULL;
    tally_disable(world->heap);
    enum { NODES = 300000, ROUNDS = AGENT_COLLECTS };
    for (int i = 0; i < NODES; i++) {
        struct node *node = tally_new(world->heap, node_type);
        tally_store_steal(node, &node->next, head);
        head = node;
    }
    uint64_t longest_ns = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        assert_int_equal(tally_park(world->heap), 0);
        fake_collect(world->connection, world->shown.number, 400 + round, 20000);
        fake_ack(world->connection, 400 + round, WIRE_ACK_WAITING);
        usleep((useconds_t)(round * 400));
        uint64_t before_ns = clock_thread_ns();
        assert_int_equal(tally_unpark(world->heap), 0);
        uint64_t spent_ns = clock_thread_ns() - before_ns;
        longest_ns = spent_ns > longest_ns ? spent_ns : longest_ns;
        struct node *fresh = tally_new(world->heap, node_type);
        tally_store_steal(fresh, &fresh->next, tally_take(head, &((struct node *)head)->next));
        tally_store_steal(head, &((struct node *)head)->next, fresh);
        tally_safepoint(world->heap);
        fake_ack(world->connection, 400 + round, WIRE_ACK_RUNNING);
        assert_int_equal(fake_ack(world->connection, 400 + round, WIRE_ACK_SUCCEEDED).collected, 0);
    }
    print_message("# longest unpark: %llu us of CPU time\n", (unsigned long long)longest_ns / 1000);
    assert_int_equal(live(world->heap), NODES + ROUNDS);
    assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
    tally_decref(head);
    assert_int_equal(live(world->heap), 0);
}

/* Comes by safepoints, at varying distances, until the answer is there. */
static void work_until_ack(struct world *world, uint64_t operation, enum wire_ack_state state)
{
    uint64_t give_up_ns = clock_mono_ns() + 30000000000u;
    while (!fake_readable(world->connection, 0)) {
        assert_true(clock_mono_ns() < give_up_ns);
        for (int i = 0; i < 20; i++) {
            for (volatile uint64_t busy = operation % 50 * 20; busy; busy--)
                continue;
            tally_safepoint(world->heap);
        }
    }
    fake_ack(world->connection, operation, state);
}

/* The agent tries each request, as the owner might be parked; one who is at work must not miss it by that. */
static void test_an_owner_at_work_misses_no_request(void **state)
{
    struct world *world = *state;
    for (uint64_t operation = 500; operation < 2500; operation++) {
        fake_command(world->connection,
                     &(struct wire_command){.operation = operation, .heap_number = world->shown.number, .limit = 1,
                                            .kind = WIRE_COMMAND_CYCLES, .deadline_ns = clock_mono_ns() + 20000000000u});
        work_until_ack(world, operation, WIRE_ACK_WAITING);
        work_until_ack(world, operation, WIRE_ACK_RUNNING);
        work_until_ack(world, operation, WIRE_ACK_SUCCEEDED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_garbage_is_freed_while_the_owner_is_parked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_of_the_host_waits_for_the_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_began_in_time_is_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unpark_takes_the_heap_back_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_owner_at_work_misses_no_request, setup, teardown),
    };
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
