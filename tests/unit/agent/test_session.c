/* The agent against a daemon that the test plays: announcements, commands, losses, nonsense. */
#include "attached.h"

static void test_session_greets_with_name_and_labels(void **state)
{
    struct world *world = *state;
    assert_string_equal(world->hello.name, "test \xc3\xa4");
    assert_string_equal(world->hello.library, TALLY_VERSION);
    assert_int_equal(world->hello.label_count, 1);
    assert_string_equal(world->hello.labels[0].key, "tier");
    assert_string_equal(world->hello.labels[0].value, "two");
    char sentence[128], expected[128];
    assert_true(tally_agent_status(sentence, sizeof sentence));
    snprintf(expected, sizeof expected, "attached to tallyd 9.8.7 in %s", fake_directory);
    assert_string_equal(sentence, expected);
}

static void sealed_check(int fd, off_t bytes)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    struct stat status;
    assert_int_equal(fcntl(fd, F_GET_SEALS) & wanted, wanted);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, bytes);
    assert_true(status.st_blocks * 512 >= bytes);
    assert_ptr_equal(mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
}

static void test_session_announces_sealed_memory(void **state)
{
    struct world *world = *state;
    sealed_check(world->shown.counters_fd, WIRE_COUNTERS_BYTES);
    sealed_check(world->shown.ring_fd, WIRE_RING_BYTES);
    assert_int_equal(world->shown.counters->magic, WIRE_COUNTERS_MAGIC);
    assert_int_equal(world->shown.counters->heap_number, world->shown.number);
    assert_int_equal(world->shown.counters->feed_generation, world->shown.generation);
    assert_int_equal(world->shown.ring->magic, WIRE_RING_MAGIC);
    assert_int_equal(atomic_load(&world->shown.counters->level), WIRE_LEVEL_ALL);
    assert_int_equal(tally_attach(world->heap), TALLY_ESTATE);
}

static void test_collect_runs_at_the_safepoint_only(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    fake_collect(world->connection, world->shown.number, 71, SECONDS(20));
    fake_ack(world->connection, 71, WIRE_ACK_WAITING);
    usleep(20000);
    assert_int_equal(live(world->heap), 1);
    assert_int_equal(tally_safepoint(world->heap), 1);
    fake_ack(world->connection, 71, WIRE_ACK_RUNNING);
    struct wire_ack ack = fake_ack(world->connection, 71, WIRE_ACK_SUCCEEDED);
    assert_int_equal(ack.collected, 1);
    assert_int_equal(ack.freed_bytes, sizeof(struct node));
    assert_true(ack.pause_ns > 0 && ack.safepoint_wait_ns >= 20000000);
    assert_int_equal(ack.heap_number, world->shown.number);
    assert_int_equal(live(world->heap), 0);
}

static void test_collect_expires_and_never_runs_late(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    fake_collect(world->connection, world->shown.number, 72, 60);
    fake_ack(world->connection, 72, WIRE_ACK_WAITING);
    fake_ack(world->connection, 72, WIRE_ACK_EXPIRED);
    tally_safepoint(world->heap);
    assert_int_equal(live(world->heap), 1);
    fake_collect(world->connection, world->shown.number, 73, SECONDS(20));
    fake_ack(world->connection, 73, WIRE_ACK_WAITING);
    tally_safepoint(world->heap);
    fake_ack(world->connection, 73, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 73, WIRE_ACK_SUCCEEDED);
}

static void test_collect_is_cancelled(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    fake_collect(world->connection, world->shown.number, 74, SECONDS(20));
    fake_ack(world->connection, 74, WIRE_ACK_WAITING);
    fake_command(world->connection, &(struct wire_command){.operation = 74,
                                                           .heap_number = world->shown.number,
                                                           .kind = WIRE_COMMAND_CANCEL});
    fake_ack(world->connection, 74, WIRE_ACK_CANCELLED);
    tally_safepoint(world->heap);
    assert_int_equal(live(world->heap), 1);
}

static void test_collects_beyond_the_slots_are_refused_and_the_others_share_a_run(void **state)
{
    struct world *world = *state;
    struct tally_stats before, after;
    for (uint64_t i = 0; i < 20; i++)
        fake_collect(world->connection, world->shown.number, 100 + i, SECONDS(20));
    for (uint64_t i = 0; i < 20; i++) {
        struct wire_ack ack =
            fake_ack(world->connection, 100 + i, i < 16 ? WIRE_ACK_WAITING : WIRE_ACK_FAILED);
        assert_int_equal(ack.error, i < 16 ? 0 : TALLY_EBUSY);
    }
    tally_get_stats(world->heap, &before, sizeof before);
    cycle_make(world->heap);
    tally_safepoint(world->heap);
    tally_get_stats(world->heap, &after, sizeof after);
    assert_int_equal(after.generations[2].collections, before.generations[2].collections + 1);
    unsigned succeeded = 0;
    for (unsigned i = 0; i < 32; i++) {
        union fake_message message;
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
        succeeded += message.ack.state == WIRE_ACK_SUCCEEDED;
    }
    assert_int_equal(succeeded, 16);
}

static void test_detach_answers_what_waits_and_closes_the_counters(void **state)
{
    struct world *world = *state;
    union fake_message message;
    struct wire_heap gone;
    cycle_make(world->heap);
    fake_collect(world->connection, world->shown.number, 76, SECONDS(20));
    fake_ack(world->connection, 76, WIRE_ACK_WAITING);
    tally_detach(world->heap);
    assert_int_equal(fake_ack(world->connection, 76, WIRE_ACK_FAILED).error, TALLY_ESTATE);
    size_t bytes = fake_receive(world->connection, &message, NULL);
    assert_int_equal(wire_heap_check(&message, bytes, &gone), 0);
    assert_int_equal(gone.head.kind, WIRE_HEAP_GONE);
    assert_int_equal(gone.heap_number, world->shown.number);
    assert_int_equal(atomic_load(&world->shown.counters->state), WIRE_STATE_CLOSED);
    assert_int_equal(tally_safepoint(world->heap), 0);
    assert_int_equal(live(world->heap), 1);
    cycle_make(world->heap);
    assert_int_equal(live(world->heap), 2);
    uint64_t shown_live = 0;
    const struct wire_row *rows = (const struct wire_row *)((const char *)world->shown.counters + 1024);
    for (unsigned i = 0; i < WIRE_ROW_COUNT; i++)
        shown_live += atomic_load(&rows[i].allocated);
    assert_int_equal(shown_live, 1);
    tally_detach(world->heap);
    assert_int_equal(tally_attach(world->heap), 0);
    struct fake_heap again = fake_heap_receive(world->connection);
    assert_int_equal(again.number, world->shown.number);
    assert_true(again.generation > world->shown.generation);
    fake_heap_drop(&again);
}

static void test_session_finds_a_restarted_daemon_within_two_seconds(void **state)
{
    struct world *world = *state;
    struct wire_hello_view before = world->hello;
    uint32_t number = world->shown.number, generation = world->shown.generation;
    cycle_make(world->heap);
    close(world->listener);
    close(world->connection);
    fake_heap_drop(&world->shown);
    fake_status_wait(false);
    usleep(300000);
    world->listener = fake_listen();
    uint64_t start_ns = clock_mono_ns();
    world_connect(world);
    assert_true(clock_mono_ns() - start_ns < 10000000000u); /* 2 s where nobody else runs: tests/scenario */
    assert_memory_equal(before.id, world->hello.id, sizeof before.id);
    assert_int_equal(world->shown.number, number);
    assert_int_equal(world->shown.generation, generation);
    const struct wire_row *rows = (const struct wire_row *)((const char *)world->shown.counters + 1024);
    uint64_t allocated = 0;
    for (unsigned i = 0; i < WIRE_ROW_COUNT; i++)
        allocated += atomic_load(&rows[i].allocated);
    assert_int_equal(allocated, 1);
}

/* A command that came by a connection that is gone does not run, and nobody is told. */
static void test_commands_of_a_lost_daemon_are_dropped(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    fake_collect(world->connection, world->shown.number, 77, SECONDS(20));
    fake_ack(world->connection, 77, WIRE_ACK_WAITING);
    close(world->connection);
    fake_heap_drop(&world->shown);
    world_connect(world);
    tally_safepoint(world->heap);
    assert_int_equal(live(world->heap), 1);
    assert_false(fake_readable(world->connection, 50));
}

static void nonsense_one(struct world *world, const void *data, size_t bytes)
{
    union fake_message message;
    char sentence[256];
    assert_int_equal(send(world->connection, data, bytes, MSG_NOSIGNAL), bytes);
    assert_int_equal(fake_receive(world->connection, &message, NULL), 0);
    assert_false(tally_agent_status(sentence, sizeof sentence));
    assert_non_null(strstr(sentence, "nonsense"));
    close(world->connection);
    fake_heap_drop(&world->shown);
    world_connect(world);
}

static void test_nonsense_costs_the_connection_only(void **state)
{
    struct world *world = *state;
    char large[WIRE_MESSAGE_MAX + 100] = {0};
    struct wire_head unknown = wire_head_make((enum wire_kind)4711, sizeof unknown);
    struct wire_head late = wire_head_make(WIRE_COMMAND, sizeof late);
    struct wire_welcome twice = {.head = wire_head_make(WIRE_WELCOME, sizeof twice)};
    struct wire_head wrong = wire_head_make(WIRE_COMMAND, sizeof(struct wire_command));
    memcpy(large, &wrong, sizeof wrong);
    assert_int_equal(send(world->connection, &unknown, sizeof unknown, MSG_NOSIGNAL), sizeof unknown);
    fake_collect(world->connection, world->shown.number, 78, SECONDS(20));
    fake_ack(world->connection, 78, WIRE_ACK_WAITING); /* the unknown kind was skipped */
    nonsense_one(world, "abc", 3);
    nonsense_one(world, &late, sizeof late);
    nonsense_one(world, &wrong, sizeof wrong);
    nonsense_one(world, large, sizeof large);
    nonsense_one(world, &twice, sizeof twice);
    cycle_make(world->heap);
    assert_int_equal(tally_collect(world->heap, 2), 1);
}

/* Answers pile up at a daemon that does not read: the connection goes, the heap does not wait. */
static void test_a_daemon_that_never_reads_is_left(void **state)
{
    struct world *world = *state;
    struct wire_command command = {.head = wire_head_make(WIRE_COMMAND, sizeof command),
                                   .heap_number = 4000000000u,
                                   .kind = WIRE_COMMAND_COLLECT};
    int old = world->connection;
    bool left = false;
    for (unsigned i = 0; i < 200000 && !left; i++) {
        ssize_t sent = send(old, &command, sizeof command, MSG_NOSIGNAL | MSG_DONTWAIT);
        left = sent < 0 && errno == EPIPE; /* after one ECONNRESET, as answers had not been read */
        if (sent < 0 && !left)
            usleep(1000);
    }
    assert_true(left);
    close(old);
    fake_heap_drop(&world->shown);
    world_connect(world);
}

/* As many heaps as a process may have, each asked once, by a daemon that takes its time to read: all answer. */
static void test_many_heaps_answer_a_slow_daemon(void **state)
{
    enum { MANY = 600 };
    struct world *world = *state;
    static struct tally_heap *heaps[MANY];
    static uint32_t numbers[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &heaps[i]), 0);
        assert_int_equal(tally_attach(heaps[i]), 0);
        struct fake_heap shown = fake_heap_receive(world->connection);
        numbers[i] = shown.number;
        fake_heap_drop(&shown);
    }
    unsigned asked = 0, succeeded = 0;
    uint64_t give_up_ns = clock_mono_ns() + 60000000000u;
    while (succeeded < MANY && clock_mono_ns() < give_up_ns) {
        struct wire_command command = {.head = wire_head_make(WIRE_COMMAND, sizeof command), .operation = 1 + asked,
                                       .heap_number = numbers[asked % MANY], .kind = WIRE_COMMAND_COLLECT,
                                       .generation = 2, .deadline_ns = UINT64_MAX};
        if (asked < MANY && send(world->connection, &command, sizeof command, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
            asked++;
            continue;
        }
        usleep(150000); /* what is asked has been read by then, and has run */
        for (unsigned i = 0; i < MANY; i++)
            tally_safepoint(heaps[i]);
        usleep(50000);
        while (fake_readable(world->connection, 1)) {
            union fake_message message;
            assert_true(fake_receive(world->connection, &message, NULL) > 0);
            succeeded += message.head.kind == WIRE_ACK && message.ack.state == WIRE_ACK_SUCCEEDED;
        }
    }
    assert_int_equal(succeeded, MANY);
    for (unsigned i = 0; i < MANY; i++)
        tally_heap_free(heaps[i]);
}

static void detach_hook(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)info, (void)arg;
    tally_detach(heap);
}

static void test_detach_from_inside_a_remote_collection(void **state)
{
    struct world *world = *state;
    union fake_message message;
    tally_add_collection_hook(world->heap, detach_hook, NULL);
    fake_collect(world->connection, world->shown.number, 79, SECONDS(20));
    fake_ack(world->connection, 79, WIRE_ACK_WAITING);
    tally_safepoint(world->heap);
    tally_remove_collection_hook(world->heap, detach_hook, NULL);
    fake_ack(world->connection, 79, WIRE_ACK_RUNNING);
    fake_ack(world->connection, 79, WIRE_ACK_SUCCEEDED);
    assert_true(fake_receive(world->connection, &message, NULL) > 0);
    assert_int_equal(message.head.kind, WIRE_HEAP_GONE);
}

static void test_detach_from_inside_a_collection(void **state)
{
    struct world *world = *state;
    union fake_message message;
    tally_add_collection_hook(world->heap, detach_hook, NULL);
    tally_collect(world->heap, 2);
    tally_remove_collection_hook(world->heap, detach_hook, NULL);
    tally_safepoint(world->heap);
    assert_true(fake_receive(world->connection, &message, NULL) > 0);
    assert_int_equal(message.head.kind, WIRE_HEAP_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_session_greets_with_name_and_labels),
        ROW(test_session_announces_sealed_memory),
        ROW(test_collect_runs_at_the_safepoint_only),
        ROW(test_collect_expires_and_never_runs_late),
        ROW(test_collect_is_cancelled),
        ROW(test_collects_beyond_the_slots_are_refused_and_the_others_share_a_run),
        ROW(test_detach_answers_what_waits_and_closes_the_counters),
        ROW(test_detach_from_inside_a_remote_collection),
        ROW(test_detach_from_inside_a_collection),
        ROW(test_session_finds_a_restarted_daemon_within_two_seconds),
        ROW(test_commands_of_a_lost_daemon_are_dropped),
        ROW(test_nonsense_costs_the_connection_only),
        ROW(test_a_daemon_that_never_reads_is_left),
        ROW(test_many_heaps_answer_a_slow_daemon),
#undef ROW
    };
    tally_set_name("test \xc3\xa4");
    tally_set_label("tier", "one");
    tally_set_label("tier", "two");
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
