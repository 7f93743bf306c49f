/* The ring's reader in spans: how much at once, what a span says, where an overtaken reader goes on, and rings that
 * follow one another. */
#include "ring.h"

enum { PAYLOAD = WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS }; /* words of a block behind its header */

static void short_events(struct world *world, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 0, true, 8, i);
}

static void long_events(struct world *world, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 0, true, 4096, i);
}

/* What spans said in all, and the last one alone. */
struct heard {
    uint64_t spans, plain, records, words, lost, broken;
    struct wire_span last;
};

static void hear(const struct wire_span *span, void *arg)
{
    struct heard *heard = arg;
    uint64_t records = 0;
    bool plain = true;
    for (size_t at = 0; at < span->count; records++) {
        struct wire_event_view event;
        unsigned length = wire_event_decode(&span->words[at], &event);
        assert_true(length && at + length <= span->count);
        plain &= length == 1 && event.kind != WIRE_EVENT_RARE;
        at += length;
    }
    heard->broken += records != span->records || (span->plain && !plain);
    heard->spans++;
    heard->plain += span->plain;
    heard->records += span->records;
    heard->words += span->count;
    heard->lost += span->lost;
    heard->last = *span;
}

static struct heard listen(struct world *world, uint64_t limit, int64_t expected)
{
    struct heard heard = {.spans = 0};
    assert_int_equal(wire_ring_read(&world->reader, limit, hear, &heard), expected);
    assert_int_equal(heard.records, expected);
    assert_int_equal(heard.broken, 0);
    return heard;
}

static void test_a_limit_ends_the_reading_behind_a_block(void **state)
{
    struct world *world = *state;
    short_events(world, 3 * PAYLOAD);
    assert_int_equal(wire_ring_waiting(&world->reader), 3 * WIRE_BLOCK_SIZE);
    assert_int_equal(listen(world, 1, PAYLOAD).spans, 1);
    assert_int_equal(world->reader.position, WIRE_BLOCK_SIZE);
    assert_int_equal(wire_ring_waiting(&world->reader), 2 * WIRE_BLOCK_SIZE);
    listen(world, 0, 0);
    listen(world, WIRE_BLOCK_SIZE, PAYLOAD);
    short_events(world, 5);
    listen(world, WIRE_BLOCK_SIZE + 1, PAYLOAD + 5);
    assert_int_equal(wire_ring_waiting(&world->reader), 0);
    assert_int_equal(world->reader.lost, 0);
}

static void test_spans_say_whether_they_are_plain(void **state)
{
    struct world *world = *state;
    short_events(world, 10);
    struct heard heard = listen(world, UINT64_MAX, 10);
    assert_true(heard.spans == 1 && heard.plain == 1);
    short_events(world, 10);
    long_events(world, 1);
    heard = listen(world, UINT64_MAX, 11);
    assert_true(heard.spans == 1 && heard.plain == 0);
    assert_int_equal(heard.words, 12);
    short_events(world, 10);
    feed_event2(&world->pen, WIRE_EVENT_RARE | WIRE_RARE_CLOCK << 2 | 2u << 8, 5);
    heard = listen(world, UINT64_MAX, 11);
    assert_true(heard.spans == 1 && heard.plain == 0);
    feed_event(&world->pen, WIRE_EVENT_RARE | WIRE_RARE_CLOCK << 2 | 1u << 8); /* one word, and rare */
    assert_false(listen(world, UINT64_MAX, 1).last.plain);
    short_events(world, 1);
    assert_true(listen(world, UINT64_MAX, 1).last.plain);
}

/* The clock is the safepoint's before the block was entered. */
static void test_spans_carry_their_blocks_clock(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 1; i <= 5; i++) {
        feed_safepoint(&world->pen, 1000 * i);
        feed_level_set(&world->pen, WIRE_LEVEL_OFF);
        feed_level_set(&world->pen, WIRE_LEVEL_ALL);
        feed_safepoint(&world->pen, 1000 * i + 500);
        short_events(world, 1);
        assert_int_equal(listen(world, UINT64_MAX, 1).last.clock_ns, 1000 * i);
        assert_int_equal(world->reader.clock_ns, 1000 * i);
    }
}

static void test_what_was_lost_is_told_once(void **state)
{
    struct world *world = *state;
    uint64_t told = 0, shown = 0;
    for (unsigned round = 0; round < 5; round++) {
        struct heard heard = {.spans = 0};
        short_events(world, 5000);
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, hear, &heard) > 0);
        assert_true(heard.lost > 2000);
        told += heard.lost;
        shown += heard.records;
        assert_int_equal(told + shown, 5000 * (round + 1));
        assert_int_equal(told, world->reader.lost);
        short_events(world, 0);
        assert_int_equal(listen(world, UINT64_MAX, 0).lost, 0);
    }
    short_events(world, 1);
    assert_int_equal(listen(world, UINT64_MAX, 1).lost, 0);
}

/* The first span behind the gap tells, though the header that revealed it was read without a record behind it. */
static void test_a_gap_waits_for_its_span(void **state)
{
    struct world *world = *state;
    short_events(world, 5000);
    assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) > 0);
    uint64_t before = world->reader.lost;
    short_events(world, 5 * PAYLOAD - (feed_position(&world->pen) % WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS));
    assert_int_equal(feed_position(&world->pen) % WIRE_BLOCK_SIZE, 0);
    world->reader.position = feed_position(&world->pen); /* as if it had been overtaken up to here */
    world->reader.in_block = false;
    feed__block_enter(&world->pen, 1);
    listen(world, UINT64_MAX, 0);
    uint64_t gap = world->reader.lost - before;
    assert_true(gap > 0 && world->reader.lost_told == before);
    short_events(world, 2);
    assert_int_equal(listen(world, UINT64_MAX, 2).last.lost, gap);
}

static uint64_t *word_at(struct world *world, uint64_t position)
{
    return (uint64_t *)((char *)world->ring + WIRE_RING_HEADER_BYTES) + position % WIRE_RING_WORDS;
}

/* Padding of some words in the middle of a block is skipped by its length, and is no record. */
static void test_pads_inside_a_block_end_a_span(void **state)
{
    struct world *world = *state;
    short_events(world, 3);
    uint64_t pad = feed_position(&world->pen);
    short_events(world, 4);
    *word_at(world, pad) = WIRE_EVENT_RARE | WIRE_RARE_PAD << 2 | 2u << 8;
    *word_at(world, pad + 1) = UINT64_MAX; /* nobody looks at it */
    struct heard heard = listen(world, UINT64_MAX, 5);
    assert_int_equal(heard.spans, 2);
    assert_int_equal(heard.last.records, 2);
    assert_int_equal(world->reader.malformed, 0);
    uint64_t at = feed_position(&world->pen);
    short_events(world, 2);
    *word_at(world, at) = WIRE_EVENT_RARE | WIRE_RARE_PAD << 2 | 1u << 8; /* one that begins what is new */
    heard = listen(world, UINT64_MAX, 1);
    assert_int_equal(heard.spans, 1);
    short_events(world, 1);
    *word_at(world, feed_position(&world->pen) - 1) =
        WIRE_EVENT_RARE | WIRE_RARE_PAD << 2 | 2u << 8; /* and one that leads out of what is there */
    listen(world, UINT64_MAX, 0);
    assert_int_equal(world->reader.malformed, 1);
}

static void test_a_pad_to_the_end_ends_the_block(void **state)
{
    struct world *world = *state;
    short_events(world, PAYLOAD - 1);
    long_events(world, 1); /* finds one word left */
    struct heard heard = listen(world, UINT64_MAX, PAYLOAD);
    assert_int_equal(heard.spans, 2);
    assert_int_equal(heard.words, PAYLOAD + 1);
    assert_int_equal(world->reader.malformed, 0);
    assert_int_equal(world->reader.position, feed_position(&world->pen));
}

/* Read half-way: the pad stands behind what was read already. */
static void test_a_pad_alone_is_passed_over(void **state)
{
    struct world *world = *state;
    short_events(world, 100);
    listen(world, UINT64_MAX, 100);
    feed_level_set(&world->pen, WIRE_LEVEL_OFF);
    feed_level_set(&world->pen, WIRE_LEVEL_ALL);
    listen(world, UINT64_MAX, 0);
    assert_int_equal(world->reader.position, WIRE_BLOCK_SIZE + WIRE_BLOCK_WORDS);
    short_events(world, 1);
    listen(world, UINT64_MAX, 1);
    assert_int_equal(world->reader.malformed + world->reader.lost, 0);
}

/* A quiet writer's ring is read from its edge; the position where the reader was makes no difference. */
static void test_a_reader_that_is_late_reads_a_whole_ring(void **state)
{
    struct world *world = *state;
    short_events(world, 10 * PAYLOAD);
    struct heard heard = listen(world, UINT64_MAX, 4 * PAYLOAD);
    assert_int_equal(heard.lost, 6 * PAYLOAD);
    assert_int_equal(heard.last.records, PAYLOAD);
    short_events(world, 10);
    listen(world, UINT64_MAX, 10);
    for (unsigned i = 0; i < 4; i++) { /* exactly a ring's words: nothing is lost */
        short_events(world, PAYLOAD - 10);
        listen(world, UINT64_MAX, PAYLOAD - 10);
        short_events(world, 10);
        listen(world, UINT64_MAX, 10);
    }
    assert_int_equal(world->reader.lost, 6 * PAYLOAD);
}

static void test_what_the_reserve_claims_is_not_shown(void **state)
{
    struct world *world = *state;
    struct wire_ring *ring = world->ring;
    short_events(world, 4 * PAYLOAD);
    atomic_store(&ring->reserve, WIRE_RING_WORDS + 1); /* the first word may be torn */
    struct heard heard = {.spans = 0};
    int64_t shown = wire_ring_read(&world->reader, UINT64_MAX, hear, &heard);
    assert_int_equal(shown, 3 * PAYLOAD); /* from the next block on */
    assert_int_equal(heard.lost, PAYLOAD);
    assert_int_equal(wire_ring_reader_init(&world->reader, world->ring, WIRE_RING_BYTES), 0);
    atomic_store(&ring->reserve, WIRE_RING_WORDS);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), 4 * PAYLOAD);
}

static void test_positions_at_the_edge_of_the_possible(void **state)
{
    struct world *world = *state;
    struct wire_ring *ring = world->ring;
    short_events(world, 10);
    listen(world, UINT64_MAX, 10);
    uint64_t at = world->reader.position;
    world->reader.position = at + WIRE_RING_WORDS; /* as far ahead of the head as resuming may lead */
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), 0);
    world->reader.position = at + WIRE_RING_WORDS + 1;
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), -1);
    world->reader.position = at;
    atomic_store(&ring->head, UINT64_MAX / 2 + 1);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL), -1);
    atomic_store(&ring->head, UINT64_MAX / 2);
    assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) >= 0);
}

/* A header that goes back is a lie: no record becomes unlost by it. */
static void test_sequences_that_go_back_are_malformed(void **state)
{
    struct world *world = *state;
    short_events(world, PAYLOAD);
    listen(world, UINT64_MAX, PAYLOAD);
    short_events(world, 3);
    *word_at(world, WIRE_BLOCK_SIZE) = PAYLOAD - 1;
    listen(world, UINT64_MAX, 3);
    assert_int_equal(world->reader.malformed, 1);
    assert_int_equal(world->reader.lost, 0);
}

static void test_small_rings_are_read(void **state)
{
    struct world *world = *state;
    void *ring = ring_new(2 * WIRE_BLOCK_SIZE, 2);
    feed_ring_adopt(&world->pen, ring);
    assert_int_equal(wire_ring_reader_init(&world->reader, ring, feed_ring_bytes(2 * WIRE_BLOCK_SIZE)), 0);
    for (uint64_t i = 1; i <= 3000; i++) {
        short_events(world, i % 5 ? 1 : 300);
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) > 0);
    }
    assert_int_equal(world->reader.lost + world->reader.malformed, 0);
    feed_ring_adopt(&world->pen, NULL);
    free(ring);
}

/* ---- rings that follow one another */

static void test_the_same_ring_goes_on_where_it_was(void **state)
{
    struct world *world = *state;
    struct wire_ring_reader again;
    short_events(world, 100);
    listen(world, UINT64_MAX, 100);
    for (unsigned round = 0; round < 3; round++) {
        short_events(world, 50);
        assert_int_equal(wire_ring_reader_init(&again, world->ring, WIRE_RING_BYTES), 0);
        wire_ring_reader_follow(&world->reader, &again, true);
        assert_int_equal(listen(world, UINT64_MAX, 50).lost, 0);
    }
    assert_int_equal(world->reader.seen, 250);
    assert_true(world->reader.in_block);
}

/* Reads the old ring to its end or not, goes over to one of another size, and counts everything exactly. */
static void successor_follow(struct world *world, uint64_t words, bool drain, uint32_t generation)
{
    struct wire_ring_reader next;
    void *ring = ring_new(words, generation), *old = world->ring;
    feed_ring_adopt(&world->pen, ring);
    if (drain)
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) >= 0);
    assert_int_equal(wire_ring_reader_init(&next, ring, feed_ring_bytes(words)), 0);
    wire_ring_reader_follow(&world->reader, &next, false);
    world->ring = ring;
    free(old);
    assert_int_equal(world->reader.position, 0);
    assert_false(world->reader.in_block);
    assert_int_equal(world->reader.capacity_words, words);
}

static void test_successors_are_counted_on(void **state)
{
    struct world *world = *state;
    uint64_t written = 0, unread = 0, words = WIRE_RING_WORDS;
    for (uint32_t round = 0; round < 12; round++) {
        bool drain = round % 3 != 2;
        short_events(world, 300 + 7 * round);
        long_events(world, 3);
        written += 303 + 7 * round;
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) > 0);
        short_events(world, 41);
        written += 41;
        unread += drain ? 0 : 41;
        words = round % 2 ? words / 2 : words * 4;
        successor_follow(world, words, drain, round + 2);
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, NULL, NULL) >= 0);
        assert_int_equal(world->reader.seen + world->reader.lost, written);
        assert_int_equal(world->reader.lost, unread);
        assert_int_equal(world->reader.malformed, 0);
    }
    struct heard heard = {.spans = 0};
    short_events(world, 1);
    assert_int_equal(wire_ring_read(&world->reader, UINT64_MAX, hear, &heard), 1);
    assert_int_equal(world->reader.lost_told, unread);
}

static void test_following_keeps_what_was_counted(void **state)
{
    struct world *world = *state;
    struct wire_ring_reader next;
    world->reader.malformed = 7;
    world->reader.lost = 5;
    world->reader.lost_told = 4;
    world->reader.seen = 11;
    world->reader.sequence = 16;
    world->reader.clock_ns = 99;
    world->reader.level = WIRE_LEVEL_ALL;
    assert_int_equal(wire_ring_reader_init(&next, world->ring, WIRE_RING_BYTES), 0);
    wire_ring_reader_follow(&world->reader, &next, false);
    assert_int_equal(world->reader.malformed, 7);
    assert_int_equal(world->reader.lost, 5);
    assert_int_equal(world->reader.lost_told, 4);
    assert_int_equal(world->reader.seen, 11);
    assert_int_equal(world->reader.sequence, 16);
    assert_int_equal(world->reader.clock_ns, 99);
    assert_int_equal(world->reader.level, WIRE_LEVEL_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_a_limit_ends_the_reading_behind_a_block),
        ROW(test_spans_say_whether_they_are_plain),
        ROW(test_spans_carry_their_blocks_clock),
        ROW(test_what_was_lost_is_told_once),
        ROW(test_a_gap_waits_for_its_span),
        ROW(test_pads_inside_a_block_end_a_span),
        ROW(test_a_pad_to_the_end_ends_the_block),
        ROW(test_a_pad_alone_is_passed_over),
        ROW(test_a_reader_that_is_late_reads_a_whole_ring),
        ROW(test_what_the_reserve_claims_is_not_shown),
        ROW(test_positions_at_the_edge_of_the_possible),
        ROW(test_sequences_that_go_back_are_malformed),
        ROW(test_small_rings_are_read),
        ROW(test_the_same_ring_goes_on_where_it_was),
        ROW(test_successors_are_counted_on),
        ROW(test_following_keeps_what_was_counted),
#undef ROW
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
