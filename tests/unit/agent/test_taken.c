/* A heap that is detached between going on in a successor and tallyd's hearing of that. */
#include "agent/agent.h"
#include "attached.h"

#define WORDS 8192u

static void ask(struct world *world, uint32_t number, uint64_t words)
{
    fake_command(world->connection, &(struct wire_command){.heap_number = number, .kind = WIRE_COMMAND_GROW,
                                                           .deadline_ns = UINT64_MAX, .ring_words = words});
}

/* Returns what comes, past answers: its kind, or 0 at the end. */
static uint32_t next_kind(struct world *world, union fake_message *message, int *fd)
{
    do {
        if (!fake_receive(world->connection, message, fd))
            return 0;
    } while (message->head.kind == WIRE_ACK);
    return message->head.kind;
}

/* Goes on in the successor and detaches, while the helper thread sleeps: the doorbell, which would wake it, waits. */
static void take_and_detach(struct world *world, int notified)
{
    assert_true(fake_readable(notified, SECONDS(30)));
    usleep(20000); /* it has gone to sleep */
    agent_growth_take(world->heap, agent_get()->heaps);
    tally_decref(tally_new(world->heap, node_type));
    tally_detach(world->heap);
}

static const void *successor_receive(struct world *world, enum wire_kind kind, uint64_t *bytes)
{
    union fake_message message;
    int fd = -1;
    assert_int_equal(next_kind(world, &message, &fd), kind);
    assert_true(fd >= 0);
    *bytes = message.heap.bytes;
    const void *at = fake_map(fd, *bytes);
    close(fd);
    return at;
}

static void gone_awaited(struct world *world)
{
    union fake_message message;
    assert_int_equal(next_kind(world, &message, NULL), WIRE_HEAP_GONE);
    assert_int_equal(message.heap.heap_number, world->shown.number);
}

static void test_the_last_events_are_shown(void **state)
{
    struct world *world = *state;
    uint64_t bytes;
    int notified = tally_notify_fd(world->heap);
    ask(world, world->shown.number, WORDS);
    take_and_detach(world, notified);
    const struct wire_ring *ring = successor_receive(world, WIRE_HEAP_RING, &bytes);
    assert_int_equal(bytes, WIRE_RING_HEADER_BYTES + WORDS * 8);
    assert_int_equal(atomic_load(&ring->head), WIRE_BLOCK_WORDS + 2);
    munmap((void *)(uintptr_t)ring, bytes);
    gone_awaited(world);
}

static void test_the_last_counts_are_shown(void **state)
{
    struct world *world = *state;
    uint64_t bytes;
    int notified = tally_notify_fd(world->heap);
    for (unsigned i = 0; i < WIRE_ROW_COUNT; i++) {
        const struct tally_type *type;
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "more", .size = 8}, &type), 0);
    }
    take_and_detach(world, notified);
    const struct wire_counters *counters = successor_receive(world, WIRE_HEAP_COUNTERS, &bytes);
    const struct wire_row *rows = (const struct wire_row *)((const char *)counters + counters->row_offset);
    uint64_t freed = 0;
    gone_awaited(world);
    for (uint32_t row = 0; row < counters->row_capacity; row++)
        freed += atomic_load(&rows[row].freed_refcount);
    assert_int_equal(freed, 1);
    assert_int_equal(atomic_load(&counters->state), WIRE_STATE_CLOSED);
    munmap((void *)(uintptr_t)counters, bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_last_events_are_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_counts_are_shown, setup, teardown),
    };
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
