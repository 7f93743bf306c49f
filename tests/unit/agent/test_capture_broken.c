/* Snapshots that are broken off, or go on without somebody: readers, connections, heaps, owners and children that go. */
#include <pthread.h>

#include "captured.h"

#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

/* What nobody reads fills the pipe, and the host gives up; it goes on meanwhile. */
static void unread(struct world *world, enum wire_snapshot_mode mode)
{
    static struct outcome outcome;
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 670, mode, false);
    outcome_await(world, &outcome, false);
    assert_int_equal(outcome.ack.state, WIRE_ACK_FAILED);
    assert_int_equal(outcome.ack.reason, WIRE_SNAPSHOT_STALLED);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_that_nobody_reads(void **state)
{
    unread(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_that_nobody_reads(void **state)
{
    unread(*state, WIRE_SNAPSHOT_SLICES);
}

/* Begins one that cannot end, since the pipe is not read, and comes back when the daemon has that. */
static int begin_unread(struct world *world, uint64_t operation, enum wire_snapshot_mode mode)
{
    ask(world, operation, mode, false);
    for (int tries = 0; tries < 5000; tries++) {
        union fake_message message;
        int fd = -1;
        tally_safepoint(world->heap);
        if (!fake_readable(world->connection, 1))
            continue;
        fake_receive(world->connection, &message, &fd);
        if (message.head.kind == WIRE_SNAPSHOT)
            return fd;
    }
    fail_msg("no snapshot comes");
    return -1;
}

static void cancelled(struct world *world, enum wire_snapshot_mode mode)
{
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    int fd = begin_unread(world, 680, mode);
    fake_command(world->connection, &(struct wire_command){.operation = 680, .heap_number = world->shown.number,
                                                           .kind = WIRE_COMMAND_CANCEL});
    for (int tries = 0; tries < 3000 && !fake_readable(world->connection, 10); tries++)
        tally_safepoint(world->heap);
    fake_ack(world->connection, 680, WIRE_ACK_CANCELLED);
    close(fd);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_is_cancelled(void **state)
{
    cancelled(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_are_cancelled(void **state)
{
    cancelled(*state, WIRE_SNAPSHOT_SLICES);
}

/* A second one waits for the first; a reader that goes ends the first at once. */
static void reader_gone(struct world *world, enum wire_snapshot_mode mode)
{
    static struct outcome outcome;
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    bool slices = mode == WIRE_SNAPSHOT_SLICES; /* of which few fill pipe and ring, so that none is due any more */
    tally_set_max_pause(world->heap, slices ? 50000 : 0);
    int fd = begin_unread(world, 690, mode);
    ask(world, 691, WIRE_SNAPSHOT_CLONE, true);
    for (int i = 0; i < (slices ? 500 : 20); i++) {
        tally_safepoint(world->heap);
        usleep(5000);
    }
    fake_ack(world->connection, 691, WIRE_ACK_WAITING);
    close(fd);
    memset(&outcome, 0, sizeof outcome);
    outcome_await(world, &outcome, false);
    assert_int_equal(outcome.ack.operation, 690);
    assert_int_equal(outcome.ack.state, WIRE_ACK_FAILED);
    memset(&outcome, 0, sizeof outcome);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.operation, 691);
    assert_int_equal(outcome.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(outcome.read.objects, 400000);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_loses_its_reader(void **state)
{
    reader_gone(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_lose_their_reader(void **state)
{
    reader_gone(*state, WIRE_SNAPSHOT_SLICES);
}

/* A heap that goes takes its slices with it; what was cloned is whole all the same. */
static void test_the_heap_goes(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    int fd = begin_unread(world, 700, WIRE_SNAPSHOT_SLICES);
    tally_detach(world->heap);
    fake_ack(world->connection, 700, WIRE_ACK_FAILED);
    close(fd);
    assert_int_equal(tally_attach(world->heap), 0);
    union fake_message message;
    while (fake_receive(world->connection, &message, NULL) && message.head.kind != WIRE_HEAP_GONE)
        continue;
    fake_heap_drop(&world->shown);
    world->shown = fake_heap_receive(world->connection);
    nothing_left(fds);
    fd = begin_unread(world, 701, WIRE_SNAPSHOT_CLONE);
    tally_decref(chain);
    tally_heap_free(world->heap);
    world->heap = NULL;
    struct snapshot_sink sink = sink_of(&outcome.read);
    memset(&outcome, 0, sizeof outcome);
    snapshot_read_begin(&outcome.read.reader, &sink);
    while (pipe_read(fd, &outcome.read, SECONDS(5)))
        continue;
    close(fd);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.read.objects, 400000);
    while (fake_receive(world->connection, &message, NULL) && message.head.kind != WIRE_ACK)
        continue;
    assert_int_equal(message.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(message.ack.total, 400000);
    nothing_left(fds - 2); /* the heap's two memories */
}

/* Another thread goes on with what the owner before has begun. */
static void *second_owner(void *arg)
{
    struct world *world = arg;
    assert_int_equal(tally_heap_adopt(world->heap), 0);
    for (int i = 0; i < 30000 && !fake_readable(world->connection, 0); i++) {
        tally_safepoint(world->heap);
        usleep(1000);
    }
    assert_int_equal(tally_heap_disown(world->heap), 0);
    return NULL;
}

static void test_the_heap_is_handed_over(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    pthread_t second;
    void *chain = chain_make(world->heap, 20000);
    tally_set_max_pause(world->heap, 200);
    int fd = begin_unread(world, 705, WIRE_SNAPSHOT_SLICES);
    assert_int_equal(tally_heap_disown(world->heap), 0);
    assert_int_equal(pthread_create(&second, NULL, second_owner, world), 0);
    struct snapshot_sink sink = sink_of(&outcome.read);
    memset(&outcome, 0, sizeof outcome);
    snapshot_read_begin(&outcome.read.reader, &sink);
    while (pipe_read(fd, &outcome.read, SECONDS(5)))
        continue;
    close(fd);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.read.objects, 20000);
    pthread_join(second, NULL);
    assert_int_equal(tally_heap_adopt(world->heap), 0);
    assert_int_equal(fake_ack(world->connection, 705, WIRE_ACK_SUCCEEDED).total, 20000);
    tally_set_max_pause(world->heap, 0);
    tally_decref(chain);
}

static void connection_lost(struct world *world, enum wire_snapshot_mode mode)
{
    void *chain = chain_make(world->heap, 400000);
    unsigned fds = fds_open();
    int fd = begin_unread(world, 710, mode);
    close(world->connection);
    fake_heap_drop(&world->shown);
    world_connect(world);
    for (int i = 0; i < 20; i++) {
        tally_safepoint(world->heap);
        usleep(5000);
    }
    close(fd);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_loses_its_connection(void **state)
{
    connection_lost(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_lose_their_connection(void **state)
{
    connection_lost(*state, WIRE_SNAPSHOT_SLICES);
}

/* Nor is one let through that the host has forbidden. */
static void test_what_is_wrong_is_refused(void **state)
{
    struct world *world = *state;
    fake_command(world->connection, &(struct wire_command){.operation = 730, .heap_number = world->shown.number,
                                                           .deadline_ns = UINT64_MAX,
                                                           .kind = WIRE_COMMAND_SNAPSHOT, .mode = 3});
    assert_int_equal(fake_ack(world->connection, 730, WIRE_ACK_FAILED).error, TALLY_EINVAL);
    tally_set_access(world->heap, TALLY_ACCESS_OBSERVE);
    ask(world, 731, WIRE_SNAPSHOT_AUTO, false);
    assert_int_equal(fake_ack(world->connection, 731, WIRE_ACK_FAILED).error, TALLY_EVETO);
}

/* A child that the host forks meanwhile holds nothing of it once it attaches. */
static void test_the_host_forks_meanwhile(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    void *chain = chain_make(world->heap, 400000);
    int status = -1, fd = begin_unread(world, 740, WIRE_SNAPSHOT_SLICES);
    pid_t child = fork();
    if (!child) {
        tally_safepoint(world->heap); /* notices, and attaches */
        _exit(tally_verify(world->heap, NULL, 0) ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct snapshot_sink sink = sink_of(&outcome.read);
    memset(&outcome, 0, sizeof outcome);
    snapshot_read_begin(&outcome.read.reader, &sink);
    for (uint64_t end = clock_mono_ns() + 20000000000u; clock_mono_ns() < end && pipe_read(fd, &outcome.read, 1);)
        tally_safepoint(world->heap);
    close(fd);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.read.objects, 400000);
    assert_int_equal(fake_ack(world->connection, 740, WIRE_ACK_SUCCEEDED).total, 400000);
    tally_decref(chain);
}

int main(void)
{
    attached_prepare();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_clone_that_nobody_reads),
        TEST(test_slices_that_nobody_reads),
        TEST(test_a_clone_is_cancelled),
        TEST(test_slices_are_cancelled),
        TEST(test_a_clone_loses_its_reader),
        TEST(test_slices_lose_their_reader),
        TEST(test_the_heap_is_handed_over),
        TEST(test_a_clone_loses_its_connection),
        TEST(test_slices_lose_their_connection),
        TEST(test_what_is_wrong_is_refused),
#ifndef THREAD_SANITIZER /* which lets no child that was forked start a thread */
        TEST(test_the_host_forks_meanwhile),
#endif
        TEST(test_the_heap_goes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
