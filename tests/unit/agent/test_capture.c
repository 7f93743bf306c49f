/* Snapshots from a heap to the daemon that the test plays: cloned and in slices; the host sees nothing of the child. */
#include <sys/resource.h>

#include "captured.h"

static const struct tally_type *named_type;
static volatile sig_atomic_t children; /* SIGCHLDs */

static void on_child(int signal)
{
    (void)signal;
    children++;
}

static size_t label_of(const void *object, char *text, size_t room)
{
    (void)object;
    return (size_t)snprintf(text, room, "named\t\xc3\xa4");
}

static void whole(struct world *world, enum wire_snapshot_mode asked, enum wire_snapshot_mode taken, uint64_t objects)
{
    static struct outcome outcome;
    static uint64_t operation = 600;
    unsigned fds = fds_open();
    memset(&outcome, 0, sizeof outcome);
    ask(world, ++operation, asked, false);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(outcome.ack.operation, operation);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.snapshot.operation, operation);
    assert_int_equal(outcome.snapshot.mode, taken);
    assert_int_equal(outcome.ack.mode, taken);
    assert_int_equal(outcome.read.objects, objects);
    assert_int_equal(outcome.ack.total, objects);
    assert_int_equal(outcome.ack.stream_bytes, outcome.read.reader.offset);
    assert_int_equal(outcome.read.instant, taken == WIRE_SNAPSHOT_CLONE);
    assert_int_equal(outcome.ack.pause_ns > 0, world->heap || taken == WIRE_SNAPSHOT_CLONE); /* else parked */
    assert_true(outcome.ack.predicted_pause_ns > 0);
    assert_int_equal(outcome.ack.slices > 0, taken == WIRE_SNAPSHOT_SLICES);
    nothing_left(fds);
}

/* A handler and a wait of the host's find nothing. */
static void test_a_clone_is_whole_and_unseen(void **state)
{
    struct world *world = *state;
    struct sigaction action = {.sa_handler = on_child}, before;
    void *chain = chain_make(world->heap, 20000);
    sigaction(SIGCHLD, &action, &before);
    children = 0;
    whole(world, WIRE_SNAPSHOT_CLONE, WIRE_SNAPSHOT_CLONE, 20000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(children, 0);
    sigaction(SIGCHLD, &before, NULL);
    tally_decref(chain);
}

static void test_slices_are_whole(void **state)
{
    struct world *world = *state;
    void *chain = chain_make(world->heap, 20000);
    tally_set_max_pause(world->heap, 200);
    whole(world, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_SLICES, 20000);
    tally_set_max_pause(world->heap, 0);
    tally_decref(chain);
}

/* One that is foreseen to pause for longer than may be is taken in slices, and not at all where those were not asked for. */
static void test_the_way_is_chosen(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    void *chain = chain_make(world->heap, 1000);
    whole(world, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_CLONE, 1000);
    tally_set_max_pause(world->heap, 1);
    whole(world, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_SLICES, 1000);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 650, WIRE_SNAPSHOT_CLONE, false);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.state, WIRE_ACK_FAILED);
    assert_int_equal(outcome.ack.reason, WIRE_SNAPSHOT_PAUSE);
    assert_int_equal(outcome.fd, -1);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 651, WIRE_SNAPSHOT_CLONE, true);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(outcome.ack.mode, WIRE_SNAPSHOT_CLONE);
    tally_set_max_pause(world->heap, 0);
    tally_decref(chain);
}

/* The agent takes both kinds while the owner is parked, labels too. */
static void test_a_parked_heap(void **state)
{
    struct world *world = *state;
    struct tally_heap *heap = world->heap;
    void *chain = chain_make(heap, 5000), *named = tally_new(heap, named_type);
    assert_int_equal(tally_park(heap), 0);
    world->heap = NULL;
    whole(world, WIRE_SNAPSHOT_CLONE, WIRE_SNAPSHOT_CLONE, 5001);
    whole(world, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_SLICES, 5001);
    world->heap = heap;
    assert_int_equal(tally_unpark(heap), 0);
    tally_decref(named);
    tally_decref(chain);
}

static void test_labels_are_told(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    void *named = tally_new(world->heap, named_type);
    for (enum wire_snapshot_mode mode = WIRE_SNAPSHOT_CLONE; mode <= WIRE_SNAPSHOT_SLICES; mode++) {
        memset(&outcome, 0, sizeof outcome);
        ask(world, 660 + mode, mode, false);
        outcome_await(world, &outcome, true);
        assert_int_equal(outcome.read.labels, 1);
        assert_true(outcome.read.label_right);
    }
    tally_decref(named);
}

/* A host that may have no child is asked in slices, or told so. */
static void test_the_system_refuses_a_child(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    struct rlimit before, none;
    void *chain = chain_make(world->heap, 1000);
    getrlimit(RLIMIT_NPROC, &before);
    none = before;
    none.rlim_cur = 0;
    uid_t uid = geteuid();
    if (!uid) { /* whom no limit holds */
        tally_decref(chain);
        return;
    }
    setrlimit(RLIMIT_NPROC, &none);
    whole(world, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_SLICES, 1000);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 720, WIRE_SNAPSHOT_CLONE, false);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.reason, WIRE_SNAPSHOT_SYSTEM);
    setrlimit(RLIMIT_NPROC, &before);
    tally_decref(chain);
}

int main(void)
{
    attached_prepare();
    if (tally_type_register(&(struct tally_type_info){.name = "named", .size = 8, .flags = TALLY_TYPE_LABEL,
                                                      .label = label_of}, &named_type))
        abort();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_clone_is_whole_and_unseen),
        TEST(test_slices_are_whole),
        TEST(test_the_way_is_chosen),
        TEST(test_a_parked_heap),
        TEST(test_labels_are_told),
        TEST(test_the_system_refuses_a_child),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
