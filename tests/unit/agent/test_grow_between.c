/* What may come in between, while feeds grow: collections, detach, free, a lost daemon, children. */
#include <dirent.h>
#include <sys/wait.h>

#include "growth.h"
#include "wire/ring_read.h"

/* A child is allowed to have threads of its own here. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static void hook_safepoint(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    struct world *world = arg;
    (void)info;
    tally_safepoint(heap);
    assert_int_equal(atomic_load(&inside(world)->growth), GROWTH_READY);
}

static void test_a_safepoint_in_a_collection_takes_nothing(void **state)
{
    struct world *world = *state;
    cycle_make(world->heap);
    grow(world, 4096);
    growth_wait(world, GROWTH_READY);
    assert_int_equal(tally_add_collection_hook(world->heap, hook_safepoint, world), 0);
    assert_int_equal(tally_collect(world->heap, 2), 1);
    assert_int_equal(tally_remove_collection_hook(world->heap, hook_safepoint, world), 0);
    tally_safepoint(world->heap);
    struct successor ring = successor_receive(world, WIRE_HEAP_RING);
    successor_drop(&ring);
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void test_detach_before_the_successor_is_taken(void **state)
{
    struct world *world = *state;
    some_events(world, 7);
    unsigned fds = entries("/proc/self/fd");
    grow(world, 65536);
    growth_wait(world, GROWTH_READY);
    assert_int_equal(entries("/proc/self/fd"), fds + 1);
    tally_detach(world->heap);
    gone_receive(world);
    assert_false(fake_readable(world->connection, 20));
    assert_int_equal(entries("/proc/self/fd"), fds - 2);
    assert_int_equal(sum_allocated(world->shown.counters), 7);
    assert_int_equal(atomic_load(&world->shown.counters->state), WIRE_STATE_CLOSED);
    assert_int_equal(tally_safepoint(world->heap), 0);
    some_events(world, 7);
    assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
}

/* Takes the successor while the helper cannot settle, and keeps it from that until `then` has run. */
static void taken(struct world *world, bool counters, void (*then)(struct world *world))
{
    struct agent *agent = agent_get();
    uint64_t capacity = world->shown.counters->row_capacity;
    if (counters) {
        pthread_mutex_lock(&agent->lock); /* so that one successor is for all of them */
        while (tally__type_count() <= capacity)
            type_new();
        pthread_mutex_unlock(&agent->lock);
        agent_wake();
    } else {
        grow(world, 4096);
    }
    growth_wait(world, GROWTH_READY);
    pthread_mutex_lock(&agent->lock);
    tally_safepoint(world->heap);
    assert_int_equal(atomic_load(&inside(world)->growth), GROWTH_TAKEN);
    enum link_state link = agent->link;
    agent->link = LINK_GREETING; /* so that it settles, and announces nothing */
    pthread_mutex_unlock(&agent->lock);
    growth_wait(world, GROWTH_IDLE);
    pthread_mutex_lock(&agent->lock);
    agent->link = link;
    pthread_mutex_unlock(&agent->lock);
    then(world);
}

/* The last word of a heap stands in the memory that it wrote last: that one is announced before it is gone. */
static void detach_and_look(struct world *world)
{
    some_events(world, 9);
    tally_detach(world->heap);
}

static void test_detach_before_the_counters_are_announced(void **state)
{
    struct world *world = *state;
    taken(world, true, detach_and_look);
    struct successor counters = successor_receive(world, WIRE_HEAP_COUNTERS);
    gone_receive(world);
    const struct wire_counters *final = counters.at;
    assert_int_equal(atomic_load(&final->state), WIRE_STATE_CLOSED);
    assert_int_equal(rows_of(final)[node_type->index].allocated, 9);
    successor_drop(&counters);
}

static void test_detach_before_the_ring_is_announced(void **state)
{
    struct world *world = *state;
    taken(world, false, detach_and_look);
    struct successor ring = successor_receive(world, WIRE_HEAP_RING);
    gone_receive(world);
    assert_int_equal(atomic_load(&((const struct wire_ring *)ring.at)->head), WIRE_BLOCK_WORDS + 18);
    assert_int_equal(atomic_load(&world->shown.counters->state), WIRE_STATE_CLOSED);
    successor_drop(&ring);
}

static void test_a_heap_goes_with_its_successor(void **state)
{
    struct world *world = *state;
    grow(world, 4096);
    growth_wait(world, GROWTH_READY);
    tally_heap_free(world->heap);
    world->heap = NULL;
    gone_receive(world);
    assert_false(fake_readable(world->connection, 20));
}

/* Detach and free at any moment of a growth, by turns: nothing is left behind. */
static void test_rounds_of_growth_leave_nothing_behind(void **state)
{
    struct world *world = *state;
    unsigned fds = 0;
    uint64_t mapped = 0;
    for (unsigned round = 0; round < 220; round++) {
        grow(world, 4096u << round % 3);
        if (round % 2)
            growth_wait(world, GROWTH_READY);
        if (round % 4 >= 2)
            tally_safepoint(world->heap);
        if (round % 5 == 0)
            some_events(world, 20);
        if (round % 7 == 0) {
            tally_heap_free(world->heap);
            assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &world->heap), 0);
        } else {
            tally_detach(world->heap);
        }
        union fake_message message;
        do /* successors may come before it */
            assert_true(fake_receive(world->connection, &message, NULL) > 0);
        while (message.head.kind != WIRE_HEAP_GONE);
        assert_int_equal(tally_attach(world->heap), 0);
        fake_heap_drop(&world->shown);
        world->shown = fake_heap_receive(world->connection);
        if (round == 20) {
            fds = entries("/proc/self/fd");
            mapped = feeds_mapped();
        }
    }
    assert_int_equal(entries("/proc/self/fd"), fds);
    assert_int_equal(feeds_mapped(), mapped);
}

/* The daemon goes when the successor is ready; the next one hears of what the owner writes by then. */
static void test_a_daemon_that_is_lost_in_between(void **state)
{
    struct world *world = *state;
    some_events(world, 1); /* the next ones come by no safepoint */
    for (int taken_first = 0; taken_first < 2; taken_first++) {
        uint64_t words = taken_first ? 8192 : 4096;
        grow(world, words);
        growth_wait(world, GROWTH_READY);
        some_events(world, 11);
        close(world->connection);
        fake_status_wait(false);
        if (taken_first)
            tally_safepoint(world->heap);
        world->connection = fake_accept(world->listener, SECONDS(30));
        fake_hello(world->connection, &world->hello);
        fake_welcome(world->connection);
        struct successor counters = successor_receive(world, WIRE_HEAP_COUNTERS);
        struct successor ring = successor_receive(world, WIRE_HEAP_RING);
        assert_int_equal(counters.message.feed_generation, world->shown.generation);
        if (!taken_first) {
            assert_int_equal(ring.message.bytes, WIRE_RING_BYTES);
            successor_drop(&ring);
            tally_safepoint(world->heap);
            ring = successor_receive(world, WIRE_HEAP_RING);
        }
        assert_int_equal(ring.message.bytes, feed_ring_bytes(words));
        struct wire_ring_reader reader;
        some_events(world, 3);
        assert_int_equal(wire_ring_reader_init(&reader, ring.at, ring.message.bytes), 0);
        assert_int_equal(wire_ring_read(&reader, UINT64_MAX, NULL, NULL), 6);
        assert_int_equal(reader.lost, 24 + taken_first * 28); /* the new daemon has seen none of them */
        successor_drop(&ring);
        successor_drop(&counters);
    }
}

/* ---- children */

static void child_work(struct world *world, unsigned way)
{
    alarm(120);
    if (way == 1)
        tally_detach(world->heap);
    for (int i = 0; i < 100; i++)
        tally_decref(tally_new(world->heap, node_type));
    tally_safepoint(world->heap);
    bool exact = live(world->heap) == 1;
    if (way == 2)
        tally_heap_free(world->heap);
    _exit(!exact);
}

static void reap(pid_t child)
{
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_children_of_a_heap_whose_successor_waits(void **state)
{
    struct world *world = *state;
    void *kept = tally_new(world->heap, node_type);
    unsigned fds = entries("/proc/self/fd");
    grow(world, 16384);
    growth_wait(world, GROWTH_READY);
    for (unsigned way = 0; way < 3; way++) {
        fflush(NULL);
        pid_t child = fork();
        if (!child)
            child_work(world, way);
        reap(child);
        assert_int_equal(atomic_load(&inside(world)->growth), GROWTH_READY);
    }
    while (fake_readable(world->listener, 50)) /* the children, who have come and gone */
        close(fake_accept(world->listener, 0));
    tally_safepoint(world->heap);
    struct successor ring = successor_receive(world, WIRE_HEAP_RING);
    some_events(world, 1);
    assert_int_equal(atomic_load(&((const struct wire_ring *)ring.at)->head), WIRE_BLOCK_WORDS + 2);
    assert_int_equal(sum_allocated(world->shown.counters), 2);
    successor_drop(&ring);
    assert_int_equal(entries("/proc/self/fd"), fds);
    tally_decref(kept);
}

static void test_children_of_a_heap_that_has_just_switched(void **state)
{
    struct world *world = *state;
    struct agent *agent = agent_get();
    void *kept = tally_new(world->heap, node_type);
    for (unsigned way = 0; way < 3; way++) {
        grow(world, 4096u << way);
        growth_wait(world, GROWTH_READY);
        pthread_mutex_lock(&agent->lock);
        tally_safepoint(world->heap);
        fflush(NULL);
        pid_t child = fork(); /* in which the lock is free */
        if (!child)
            child_work(world, way);
        reap(child);
        assert_int_equal(atomic_load(&inside(world)->growth), GROWTH_TAKEN);
        pthread_mutex_unlock(&agent->lock);
        agent_wake();
        struct successor ring = successor_receive(world, WIRE_HEAP_RING);
        uint64_t head = atomic_load(&((const struct wire_ring *)ring.at)->head);
        some_events(world, 1);
        assert_int_equal(atomic_load(&((const struct wire_ring *)ring.at)->head), head + 2);
        successor_drop(&ring);
    }
    while (fake_readable(world->listener, 50))
        close(fake_accept(world->listener, 0));
    tally_decref(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_a_safepoint_in_a_collection_takes_nothing),
        ROW(test_detach_before_the_successor_is_taken),
        ROW(test_detach_before_the_counters_are_announced),
        ROW(test_detach_before_the_ring_is_announced),
        ROW(test_a_heap_goes_with_its_successor),
        ROW(test_rounds_of_growth_leave_nothing_behind),
        ROW(test_a_daemon_that_is_lost_in_between),
        ROW(test_children_of_a_heap_whose_successor_waits),
        ROW(test_children_of_a_heap_that_has_just_switched),
#undef ROW
    };
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
