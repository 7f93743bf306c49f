/* The ring's reader: exact loss, resuming, and mappings that lie. */
#include "ring.h"

static void write_some(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 0, true, i % 3 ? 8 : 4096, i);
}

static void test_reads_what_is_new(void **state)
{
    struct world *world = *state;
    uint32_t number, generation;
    wire_ring_identity(world->ring, &number, &generation);
    assert_int_equal(number, 3);
    assert_int_equal(generation, 1);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), 0);
    for (unsigned count = 0; count < 700; count += 7) {
        write_some(world, count);
        assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), count);
        assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), 0);
    }
    assert_int_equal(world->reader.lost, 0);
    assert_int_equal(world->reader.malformed, 0);
    assert_int_equal(world->reader.level, WIRE_LEVEL_ALL);
}

static void test_counts_what_was_overwritten(void **state)
{
    struct world *world = *state;
    uint64_t written = 0;
    for (unsigned count = 1; count < 20000; count = count * 3 + 1) {
        write_some(world, count);
        written += count;
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) >= 0);
        assert_int_equal(world->reader.seen + world->reader.lost, written);
    }
    assert_true(world->reader.lost > 0);
    assert_int_equal(world->reader.malformed, 0);
}

/* A reader that comes late, as after a restart of the daemon, counts all that it cannot see. */
static void test_a_late_reader_counts_from_the_beginning(void **state)
{
    struct world *world = *state;
    struct wire_ring_reader late;
    write_some(world, 12345);
    assert_int_equal(wire_ring_reader_init(&late, world->ring, WIRE_RING_BYTES), 0);
    int64_t seen = wire_ring_read(&late, UINT64_MAX, NULL, NULL);
    assert_true(seen > 500);
    assert_int_equal(late.lost, 12345 - seen);
}

struct last {
    struct wire_event_view event;
};

static void last_keep(const struct wire_span *span, void *arg)
{
    assert_int_equal(span->records, 1);
    assert_int_equal(wire_event_decode(span->words, &((struct last *)arg)->event), span->count);
    assert_int_equal(span->plain, span->count == 1);
}

static void test_decodes_every_kind(void **state)
{
    struct world *world = *state;
    struct last last;
    feed_event(&world->pen, feed_word(WIRE_EVENT_FREE_CYCLE, 65535, 496, 0xffffffffffu));
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, last_keep, &last), 1);
    assert_int_equal(last.event.kind, WIRE_EVENT_FREE_CYCLE);
    assert_int_equal(last.event.row, 65535);
    assert_int_equal(last.event.bytes, 496);
    assert_true(last.event.granule == 0xffffffffffu);
    feed_object(&world->pen, WIRE_EVENT_FREE_REFCOUNT, 0, true, 504, 5);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, last_keep, &last), 1);
    assert_int_equal(last.event.bytes, 504);
    feed_collection_start(&world->pen, 2, 777);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, last_keep, &last), 1);
    assert_int_equal(last.event.rare, WIRE_RARE_COLLECTION_START);
    assert_int_equal(last.event.argument, 2);
    assert_int_equal(last.event.value, 777);
    feed_event2(&world->pen, WIRE_EVENT_RARE | 60u << 2 | 2u << 8, 1); /* from a later version */
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, last_keep, &last), 1);
    assert_int_equal(last.event.rare, 60);
}

static void test_headers_that_lie_are_refused(void **state)
{
    struct world *world = *state;
    struct wire_ring *ring = world->ring, good = *ring;
    struct wire_ring_reader reader;
#define REFUSED(change) \
    do { \
        change; \
        assert_int_equal(wire_ring_reader_init(&reader, ring, WIRE_RING_BYTES), -1); \
        memcpy(ring, &good, offsetof(struct wire_ring, reserve)); \
    } while (0)
    REFUSED(ring->magic++);
    REFUSED(ring->version = 2);
    REFUSED(ring->header_bytes = 64);
    REFUSED(ring->total_bytes++);
    REFUSED(ring->block_words = 256);
    REFUSED(ring->capacity_words = 0);
    REFUSED(ring->capacity_words = 4096);
    REFUSED(ring->capacity_words = 2047);
    REFUSED(ring->capacity_words = 512);
    REFUSED(ring->capacity_words = (uint64_t)1 << 63);
#undef REFUSED
    assert_int_equal(wire_ring_reader_init(&reader, ring, 100), -1);
    assert_int_equal(wire_ring_reader_init(&reader, ring, WIRE_RING_BYTES), 0);
}

static void test_heads_that_lie_end_the_reading(void **state)
{
    struct world *world = *state;
    struct wire_ring *ring = world->ring;
    write_some(world, 5000);
    assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) > 0);
    atomic_store(&ring->head, UINT64_MAX);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), -1);
    atomic_store(&ring->head, 0);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), -1);
    atomic_store(&ring->head, world->reader.position + 5000000);
    atomic_store(&ring->reserve, UINT64_MAX);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), -1);
}

/* A record that ends behind the head or the block, or has no length, costs the rest of its block, counted. */
static void test_garbled_records_are_skipped_and_counted(void **state)
{
    struct world *world = *state;
    const uint64_t garbled[] = {WIRE_EVENT_RARE | WIRE_RARE_CLOCK << 2, /* no length */
                                WIRE_EVENT_RARE | WIRE_RARE_CLOCK << 2 | 255u << 8};
    uint64_t written = 0;
    for (unsigned i = 0; i < 2; i++) {
        for (; feed_position(&world->pen) % WIRE_BLOCK_SIZE < 300;
             written++) /* so that 255 words pass the block's end */
            write_some(world, 1);
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) >= 0);
        feed_event(&world->pen, garbled[i]);
        write_some(world, 1200);
        written += 1201;
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) > 0);
        assert_int_equal(world->reader.malformed, i + 1);
        assert_int_equal(world->reader.seen + world->reader.lost, written);
    }
    feed_event(&world->pen,
               WIRE_EVENT_ALLOC | (uint64_t)WIRE_SIZE_CODE_LONG << 18); /* its second word is missing */
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(world->reader.malformed, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_reads_what_is_new),
        ROW(test_counts_what_was_overwritten),
        ROW(test_a_late_reader_counts_from_the_beginning),
        ROW(test_decodes_every_kind),
        ROW(test_headers_that_lie_are_refused),
        ROW(test_heads_that_lie_end_the_reading),
        ROW(test_garbled_records_are_skipped_and_counted),
#undef ROW
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
