/* Feeds that grow: asked for by the daemon or by types, made by the helper thread, taken by the owner, announced. */
#include "growth.h"
#include "wire/ring_read.h"

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

static struct successor counters_come(struct world *world)
{
    for (int tries = 0; tries < 3000 && !fake_readable(world->connection, 10); tries++)
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
#undef ROW
    };
    attached_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
