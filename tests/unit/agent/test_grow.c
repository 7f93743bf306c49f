/* Feeds that grow: asked for by the daemon or by types, made by the helper thread, taken by the owner, announced; and
 * whatever may come in between. */
#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

#include "agent/agent.h"
#include "attached.h"
#include "heap/internal.h"
#include "wire/ring_read.h"

/* A child is allowed to have threads of its own here. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static void grow_ask(struct world *world, uint32_t number, uint64_t words)
{
    fake_command(world->connection, &(struct wire_command){.kind = WIRE_COMMAND_GROW, .heap_number = number,
                                                           .ring_words = words, .deadline_ns = UINT64_MAX});
}

static void grow(struct world *world, uint64_t words)
{
    grow_ask(world, world->shown.number, words);
    assert_int_equal(fake_ack(world->connection, 0, WIRE_ACK_SUCCEEDED).error, 0);
}

static struct agent_heap *inside(const struct world *world)
{
    return tally__heap_attachment(world->heap)->agent;
}

static void growth_wait(const struct world *world, enum growth growth)
{
    for (int tries = 0; tries < 5000; tries++) {
        if (atomic_load_explicit(&inside(world)->growth, memory_order_acquire) == growth)
            return;
        usleep(1000);
    }
    fail_msg("growth does not become %d", growth);
}

/* A successor as it was announced. */
struct successor {
    struct wire_heap message;
    int fd;
    const void *at;
};

static struct successor successor_receive(struct world *world, enum wire_kind kind)
{
    union fake_message message;
    struct successor successor;
    size_t bytes = fake_receive(world->connection, &message, &successor.fd);
    assert_int_equal(wire_heap_check(&message, bytes, &successor.message), 0);
    assert_int_equal(successor.message.head.kind, kind);
    assert_int_equal(successor.message.heap_number, world->shown.number);
    assert_true(successor.fd >= 0);
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    assert_int_equal(fcntl(successor.fd, F_GET_SEALS) & wanted, wanted);
    successor.at = fake_map(successor.fd, successor.message.bytes);
    return successor;
}

static void successor_drop(const struct successor *successor)
{
    munmap((void *)(uintptr_t)successor->at, successor->message.bytes);
    close(successor->fd);
}

static void gone_receive(struct world *world)
{
    union fake_message message;
    assert_true(fake_receive(world->connection, &message, NULL) > 0);
    assert_int_equal(message.head.kind, WIRE_HEAP_GONE);
    assert_int_equal(message.heap.heap_number, world->shown.number);
}

static const struct wire_row *rows_of(const struct wire_counters *counters)
{
    return (const struct wire_row *)((const char *)counters + counters->row_offset);
}

static uint64_t sum_allocated(const struct wire_counters *counters)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < counters->row_capacity; i++)
        sum += atomic_load(&rows_of(counters)[i].allocated);
    return sum;
}

static void some_events(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        tally_decref(tally_new(world->heap, node_type));
}

/* ---- asked for */

static void test_a_ring_grows_behind_the_safepoint(void **state)
{
    struct world *world = *state;
    struct wire_ring_reader reader, next;
    some_events(world, 100);
    grow(world, 8192);
    growth_wait(world, GROWTH_READY);
    assert_false(fake_readable(world->connection, 50)); /* the owner has not come by */
    tally_safepoint(world->heap);
    some_events(world, 300);
    struct successor ring = successor_receive(world, WIRE_HEAP_RING);
    assert_int_equal(ring.message.bytes, feed_ring_bytes(8192));
    assert_true(ring.message.feed_generation > world->shown.generation);
    assert_int_equal(((const struct wire_ring *)ring.at)->feed_generation, ring.message.feed_generation);
    assert_int_equal(((const struct wire_ring *)ring.at)->heap_number, world->shown.number);
    assert_int_equal(((const struct wire_ring *)ring.at)->capacity_words, 8192);
    assert_int_equal(wire_ring_reader_init(&reader, world->shown.ring, WIRE_RING_BYTES), 0);
    assert_int_equal(wire_ring_reader_init(&next, ring.at, ring.message.bytes), 0);
    assert_int_equal(wire_ring_read(&reader, UINT64_MAX, NULL, NULL), 200);
    wire_ring_reader_follow(&reader, &next, false);
    assert_int_equal(wire_ring_read(&reader, UINT64_MAX, NULL, NULL), 600);
    assert_int_equal(reader.lost + reader.malformed, 0);
    assert_int_equal(reader.level, WIRE_LEVEL_ALL);
    assert_int_equal(sum_allocated(world->shown.counters), 400); /* the counters are the same */
    assert_false(fake_readable(world->connection, 50));
    successor_drop(&ring);
}

static void test_a_ring_that_is_large_enough_stays(void **state)
{
    struct world *world = *state;
    grow(world, WIRE_RING_WORDS);
    tally_safepoint(world->heap);
    grow(world, 4096);
    growth_wait(world, GROWTH_READY);
    tally_safepoint(world->heap);
    struct successor ring = successor_receive(world, WIRE_HEAP_RING);
    grow(world, WIRE_RING_WORDS);
    grow(world, 4096);
    usleep(20000);
    tally_safepoint(world->heap);
    assert_false(fake_readable(world->connection, 50));
    assert_int_equal(atomic_load(&inside(world)->growth), GROWTH_IDLE);
    successor_drop(&ring);
}

static void test_wishes_that_cannot_be_are_refused(void **state)
{
    static const uint64_t sizes[] = {0, 1, 1024, WIRE_RING_WORDS - 1, WIRE_RING_WORDS + 1, 3 * 1024, WIRE_RING_WORDS_MAX - 1,
                                     2 * WIRE_RING_WORDS_MAX, (uint64_t)1 << 63, UINT64_MAX};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        grow_ask(world, world->shown.number, sizes[i]);
        assert_int_equal(fake_ack(world->connection, 0, WIRE_ACK_FAILED).error, TALLY_ELIMIT);
    }
    grow_ask(world, 4000000000u, 4096);
    assert_int_equal(fake_ack(world->connection, 0, WIRE_ACK_FAILED).error, TALLY_ESTATE);
    usleep(20000);
    assert_int_equal(tally_safepoint(world->heap), 0);
    assert_false(fake_readable(world->connection, 20));
}

/* What of the feeds is mapped here, the daemon's own mappings included. */
static uint64_t feeds_mapped(void)
{
    char line[512];
    uint64_t sum = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long long from, to;
        if (strstr(line, "memfd:tally-") && sscanf(line, "%llx-%llx", &from, &to) == 2)
            sum += to - from;
    }
    fclose(file);
    return sum;
}

enum { MANY = 24 };

static unsigned wishes_answered(struct world *world, const uint32_t numbers[MANY], uint64_t words)
{
    unsigned granted = 0;
    for (unsigned i = 0; i < MANY; i++) {
        union fake_message message;
        grow_ask(world, numbers[i], words);
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
        assert_int_equal(message.head.kind, WIRE_ACK);
        assert_int_equal(message.ack.error, message.ack.state == WIRE_ACK_SUCCEEDED ? 0 : TALLY_ELIMIT);
        granted += message.ack.state == WIRE_ACK_SUCCEEDED;
    }
    return granted;
}

/* However the wishes come: before any owner has been by, and when all have. */
static void test_all_feeds_together_have_a_limit(void **state)
{
    struct world *world = *state;
    struct tally_heap *heaps[MANY];
    uint32_t numbers[MANY];
    uint64_t allowed = AGENT_FEED_BYTES + WIRE_COUNTERS_BYTES + WIRE_RING_BYTES; /* those of the world's daemon */
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &heaps[i]), 0);
        assert_int_equal(tally_attach(heaps[i]), 0);
        numbers[i] = tally__heap_number(heaps[i]);
        for (int n = 0; n < 2; n++)
            assert_true(fake_receive(world->connection, &(union fake_message){.bytes = {0}}, NULL) > 0);
    }
    unsigned granted = wishes_answered(world, numbers, WIRE_RING_WORDS_MAX);
    assert_in_range(granted, 14, 15); /* of 4 MiB and a page */
    for (int tries = 0; tries < 40; tries++, usleep(10000))
        assert_true(feeds_mapped() <= allowed);
    for (unsigned i = 0; i < MANY; i++)
        tally_safepoint(heaps[i]);
    for (unsigned i = 0; i < granted; i++) {
        union fake_message message;
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
        assert_int_equal(message.head.kind, WIRE_HEAP_RING);
        assert_int_equal(message.heap.bytes, feed_ring_bytes(WIRE_RING_WORDS_MAX));
    }
    assert_true(feeds_mapped() <= allowed && feeds_mapped() > allowed - ((uint64_t)8 << 20));
    assert_in_range(wishes_answered(world, numbers, WIRE_RING_WORDS_MAX), granted, granted); /* those that have it */
    assert_true(feeds_mapped() <= allowed);
    for (unsigned i = 0; i < MANY; i++)
        tally_heap_free(heaps[i]);
}

/* A wish that was granted, and fits no more by the time it comes to it, is given up; rows are not held up by it. */
static void test_a_wish_that_fits_no_more_is_given_up(void **state)
{
    struct world *world = *state;
    struct agent *agent = agent_get();
    pthread_mutex_lock(&agent->lock);
    assert_true(agent_growth_ask(agent, inside(world), WIRE_RING_WORDS_MAX));
    size_t bytes = inside(world)->counters.bytes;
    inside(world)->counters.bytes = AGENT_FEED_BYTES; /* as if others had attached */
    assert_false(agent_growth_ask(agent, inside(world), 4096));
    assert_int_equal(inside(world)->ring_wanted, WIRE_RING_WORDS_MAX);
    assert_true(agent_growth_start(agent));
    assert_int_equal(inside(world)->ring_wanted, 0);
    inside(world)->counters.bytes = bytes;
    assert_false(agent_growth_start(agent));
    pthread_mutex_unlock(&agent->lock);
    tally_safepoint(world->heap);
    assert_int_equal(atomic_load(&inside(world)->growth), GROWTH_IDLE);
}

/* ---- types */

static const struct tally_type *type_new(void)
{
    static unsigned number;
    const struct tally_type *type;
    char name[64];
    snprintf(name, sizeof name, "a type of the tests of growth %u", number++);
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = name, .size = 24}, &type), 0);
    return type;
}

static struct successor counters_come(struct world *world)
{
    for (int tries = 0; tries < 500 && !fake_readable(world->connection, 10); tries++)
        tally_safepoint(world->heap);
    return successor_receive(world, WIRE_HEAP_COUNTERS);
}

static void test_types_find_rows_after_the_attach(void **state)
{
    struct world *world = *state;
    enum { TYPES = 150 };
    void *objects[TYPES];
    uint64_t capacity = world->shown.counters->row_capacity;
    unsigned count = 0;
    while (tally__type_count() < capacity) {
        objects[count++] = tally_new(world->heap, type_new());
        assert_true(count < TYPES);
    }
    while (count < TYPES)
        objects[count++] = tally_new(world->heap, type_new());
    struct successor counters = counters_come(world);
    while (atomic_load(&((const struct wire_counters *)counters.at)->type_count) < tally__type_count()) { /* an earlier one */
        successor_drop(&counters);
        counters = counters_come(world);
    }
    const struct wire_counters *now = counters.at;
    assert_true(counters.message.feed_generation > world->shown.generation);
    assert_int_equal(now->feed_generation, counters.message.feed_generation);
    assert_int_equal(now->total_bytes, counters.message.bytes);
    assert_int_equal(atomic_load(&now->type_count), tally__type_count());
    assert_int_equal(atomic_load(&now->level), WIRE_LEVEL_ALL);
    const struct wire_desc *descs = (const struct wire_desc *)((const char *)now + now->desc_offset);
    uint64_t live = 0;
    for (uint32_t i = 1; i < tally__type_count(); i++) {
        const struct wire_row *row = &rows_of(now)[i];
        live += row->allocated + row->moved_in;
        assert_true(descs[i].name_bytes > 0);
    }
    assert_int_equal(live, TYPES);
    assert_int_equal(rows_of(now)->allocated, rows_of(now)->moved_out);
    uint64_t before = sum_allocated(world->shown.counters);
    some_events(world, 10);
    assert_int_equal(sum_allocated(world->shown.counters), before); /* which nobody writes any more */
    assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
    for (unsigned i = 0; i < TYPES; i++)
        tally_decref(objects[i]);
    assert_int_equal(tally_verify(world->heap, NULL, 0), 0);
    successor_drop(&counters);
}

/* Both at once, and neither waits for the other. */
static void test_both_grow_at_one_safepoint(void **state)
{
    struct world *world = *state;
    struct agent *agent = agent_get();
    uint64_t capacity = world->shown.counters->row_capacity;
    pthread_mutex_lock(&agent->lock); /* the helper waits */
    assert_true(agent_growth_ask(agent, inside(world), 8192));
    while (tally__type_count() <= capacity)
        tally_decref(tally_new(world->heap, type_new()));
    pthread_mutex_unlock(&agent->lock);
    agent_wake();
    growth_wait(world, GROWTH_READY);
    tally_safepoint(world->heap);
    struct successor counters = successor_receive(world, WIRE_HEAP_COUNTERS);
    struct successor ring = successor_receive(world, WIRE_HEAP_RING);
    assert_int_equal(counters.message.feed_generation, ring.message.feed_generation);
    some_events(world, 5);
    assert_int_equal(atomic_load(&((const struct wire_ring *)ring.at)->head), WIRE_BLOCK_WORDS + 10);
    successor_drop(&counters);
    successor_drop(&ring);
}

/* ---- in between */

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
        world->connection = fake_accept(world->listener, SECONDS(3));
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
    alarm(20);
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
        ROW(test_a_ring_grows_behind_the_safepoint),
        ROW(test_a_ring_that_is_large_enough_stays),
        ROW(test_wishes_that_cannot_be_are_refused),
        ROW(test_all_feeds_together_have_a_limit),
        ROW(test_a_wish_that_fits_no_more_is_given_up),
        ROW(test_types_find_rows_after_the_attach),
        ROW(test_both_grow_at_one_safepoint),
        ROW(test_a_safepoint_in_a_collection_takes_nothing),
        ROW(test_detach_before_the_successor_is_taken),
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
