/* Live tails: what passes their filters, what they miss, and who opens and closes them meanwhile. */
#include "world.h"

#include <pthread.h>

#define ID(number) "0000000000000000000000000000000" number

static struct stats_tail *open_tail(struct world *world, struct stats_tail_filter filter)
{
    if (!filter.process[0])
        snprintf(filter.process, sizeof filter.process, ID("1"));
    struct stats_tail *tail = stats_tail_open(world->stats, &filter);
    assert_non_null(tail);
    return tail;
}

/* Publishes, and takes all that waits. Returns how many. */
static size_t take(struct world *world, struct stats_tail *tail, struct stats_tail_event *out, uint64_t *missed,
                   uint64_t *lost)
{
    world->sink.refused(world->stats, "to have news", 1, 1);
    publish(world);
    return stats_tail_take(world->stats, tail, out, STATS_TAIL_EVENTS, missed, lost);
}

/* One of each: two types, two sizes, three kinds, and a collection's start. */
static void tell_some(struct world *world, void *process, uint32_t heap)
{
    const uint64_t words[] = {
        word_of(WIRE_EVENT_ALLOC, 0, 8, 1), word_of(WIRE_EVENT_ALLOC, 1, 16, 2),
        word_of(WIRE_EVENT_ALLOC, 1, 496, 3), word_of(WIRE_EVENT_FREE_REFCOUNT, 1, 16, 2),
        word_of(WIRE_EVENT_FREE_CYCLE, 0, 8, 1),
        WIRE_EVENT_RARE | WIRE_RARE_COLLECTION_START << 2 | 2 << 8 | 1 << 16, 4711,
        WIRE_EVENT_ALLOC | 1 << 2 | (uint64_t)WIRE_SIZE_CODE_LONG << 18 | (uint64_t)9 << WIRE_GRANULE_SHIFT, 4096};
    struct wire_span span = {.words = words, .count = 9, .records = 7, .clock_ns = 99};
    world->sink.events(world->stats, process, heap, 2, &span);
}

static const struct stats_tail_filter everything = {.heap = 0};

static void test_filters(void **state)
{
    static const struct {
        struct stats_tail_filter filter;
        const char *granules; /* of what passes, r: rare */
    } rows[] = {
        {{.heap = 0}, "12321r9"},
        {{.heap = 1}, "12321r9"},
        {{.heap = 2}, ""},
        {{.kinds = 1u << WIRE_EVENT_ALLOC}, "1239"},
        {{.kinds = 1u << WIRE_EVENT_FREE_REFCOUNT}, "2"},
        {{.kinds = 1u << WIRE_EVENT_FREE_CYCLE | STATS_TAIL_RARE}, "1r"},
        {{.type = "pair"}, "2329"},
        {{.type = "other"}, "11"},
        {{.type = "pai"}, ""},
        {{.least_bytes = 16}, "2329"},
        {{.least_bytes = 17}, "39"},
        {{.least_bytes = 4097}, ""},
        {{.type = "pair", .kinds = 1u << WIRE_EVENT_ALLOC, .least_bytes = 100}, "39"},
        {{.process = ID("2")}, ""},
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    static struct stats_tail_event events[STATS_TAIL_EVENTS];
    struct world *world = *state;
    struct stats_tail *tails[ROWS];
    void *process = attach(world, 1, 10, 0);
    attach(world, 2, 11, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 0});
    for (size_t i = 0; i < ROWS; i++)
        tails[i] = open_tail(world, rows[i].filter);
    tell_some(world, process, 1);
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t missed, lost;
        char seen[16] = "";
        size_t count = take(world, tails[i], events, &missed, &lost);
        for (size_t e = 0; e < count; e++) {
            bool rare = events[e].event.kind == WIRE_EVENT_RARE;
            seen[e] = rare ? 'r' : (char)('0' + events[e].event.granule);
            assert_int_equal(events[e].mono_ns, 99);
            assert_int_equal(events[e].heap, 1);
            assert_true(!rare || events[e].event.value == 4711);
        }
        assert_string_equal(seen, rows[i].granules);
        assert_int_equal(missed + lost, 0);
        assert_int_equal(take(world, tails[i], events, &missed, &lost), 0);
        stats_tail_close(world->stats, tails[i]);
    }
    tell_some(world, process, 1); /* to nobody */
}

/* What is not taken in time: the newest stay, the others are counted once. */
static void test_overflow_is_missed(void **state)
{
    static struct stats_tail_event events[STATS_TAIL_EVENTS];
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    struct stats_tail *tail = open_tail(world, everything), *narrow = open_tail(world, (struct stats_tail_filter){.heap = 7});
    uint64_t missed, lost, next = 0;
    for (unsigned round = 0; round < 3; round++) {
        uint64_t first = next;
        for (unsigned i = 0; i < STATS_TAIL_EVENTS + 100 * round; i++, next++) {
            uint64_t word = word_of(WIRE_EVENT_ALLOC, 1, 16, next);
            tell_events(world, process, 1, &word, 1, 0);
        }
        world->sink.refused(world->stats, "to have news", 1, 1);
        publish(world);
        assert_int_equal(stats_tail_take(world->stats, tail, events, 10, &missed, &lost), 10);
        assert_int_equal(missed, 100 * round);
        assert_int_equal(events[0].event.granule, first + missed);
        assert_int_equal(events[0].missed_before, missed);
        assert_int_equal(events[1].missed_before, 0);
        assert_int_equal(take(world, tail, events, &missed, &lost), STATS_TAIL_EVENTS - 10);
        assert_int_equal(missed, 0);
        assert_int_equal(events[STATS_TAIL_EVENTS - 11].event.granule, next - 1);
    }
    assert_int_equal(take(world, narrow, events, &missed, &lost), 0); /* what did not pass is not missed */
    assert_int_equal(missed, 0);
    stats_tail_close(world->stats, narrow);
    stats_tail_close(world->stats, tail);
}

static void test_lost_is_told_once_to_each(void **state)
{
    static struct stats_tail_event events[STATS_TAIL_EVENTS];
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    uint64_t missed, lost, word = word_of(WIRE_EVENT_ALLOC, 1, 16, 1);
    struct stats_tail *early = open_tail(world, everything);
    tell_events(world, process, 1, &word, 1, 40);
    struct stats_tail *late = open_tail(world, everything);
    tell_events(world, process, 2, &word, 1, 2);
    tell_events(world, process, 1, &word, 1, 0);
    assert_int_equal(take(world, early, events, &missed, &lost), 3);
    assert_int_equal(lost, 42);
    assert_int_equal(take(world, late, events, &missed, &lost), 2);
    assert_int_equal(lost, 2);
    take(world, early, events, &missed, &lost);
    assert_int_equal(lost, 0);
    stats_tail_close(world->stats, early);
    tell_events(world, process, 1, &word, 1, 0);
    assert_int_equal(take(world, late, events, &missed, &lost), 1);
    stats_tail_close(world->stats, late);
}

/* A gap stands before the event that comes after it: what is overwritten, or does not pass, hands its own on. */
static void test_a_gap_is_where_it_was(void **state)
{
    static struct stats_tail_event events[STATS_TAIL_EVENTS];
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    uint64_t missed, lost, word = word_of(WIRE_EVENT_ALLOC, 1, 16, 1), small = word_of(WIRE_EVENT_ALLOC, 1, 8, 1);
    struct stats_tail *tail = open_tail(world, (struct stats_tail_filter){.least_bytes = 16});
    tell_events(world, process, 1, &word, 1, 40);
    tell_events(world, process, 1, &small, 1, 2);
    tell_events(world, process, 1, &word, 1, 3);
    assert_int_equal(take(world, tail, events, &missed, &lost), 2);
    assert_int_equal(lost, 45);
    assert_int_equal(events[0].lost_before, 40);
    assert_int_equal(events[1].lost_before, 5);
    tell_events(world, process, 1, &word, 1, 6);
    tell_events(world, process, 1, &word, 1, 7);
    for (unsigned i = 0; i < STATS_TAIL_EVENTS; i++)
        tell_events(world, process, 1, &word, 1, 0);
    assert_int_equal(take(world, tail, events, &missed, &lost), STATS_TAIL_EVENTS);
    assert_int_equal(events[0].missed_before, 2);
    assert_int_equal(events[0].lost_before, 13);
    assert_int_equal(events[1].missed_before + events[1].lost_before, 0);
    stats_tail_close(world->stats, tail);
}

/* What no view knows of yet waits for one: its type may be new. */
static void test_events_wait_for_their_view(void **state)
{
    static struct stats_tail_event events[STATS_TAIL_EVENTS];
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    uint64_t missed, lost, word = word_of(WIRE_EVENT_ALLOC, 1, 16, 1);
    struct stats_tail *tail = open_tail(world, everything);
    publish(world);
    tell_events(world, process, 1, &word, 1, 7);
    assert_int_equal(stats_tail_take(world->stats, tail, events, 10, &missed, &lost), 0);
    assert_int_equal(lost, 7);
    tell(world, process, 1, &(struct intake_row){.allocated = 1});
    assert_int_equal(stats_tail_take(world->stats, tail, events, 10, &missed, &lost), 0);
    publish(world);
    tell_events(world, process, 1, &word, 1, 0);
    assert_int_equal(stats_tail_take(world->stats, tail, events, 10, &missed, &lost), 1);
    for (unsigned i = 0; i < STATS_TAIL_EVENTS + 5; i++) /* what is overwritten was not ready either */
        tell_events(world, process, 1, &word, 1, 0);
    assert_int_equal(stats_tail_take(world->stats, tail, events, 10, &missed, &lost), 0);
    assert_int_equal(missed, 6);
    assert_int_equal(take(world, tail, events, &missed, &lost), STATS_TAIL_EVENTS);
    stats_tail_close(world->stats, tail);
}

/* A tail whose process went, and came back, is still its. */
static void test_a_tail_outlives_connections(void **state)
{
    static struct stats_tail_event events[STATS_TAIL_EVENTS];
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    uint64_t missed, lost, word = word_of(WIRE_EVENT_ALLOC, 1, 16, 1);
    struct stats_tail *tail = open_tail(world, everything);
    world->sink.gone(world->stats, process, "closed");
    world->sink.released(world->stats, process);
    attach(world, 1, 10, 0);
    tell_events(world, process, 1, &word, 1, 0);
    assert_int_equal(take(world, tail, events, &missed, &lost), 1);
    world->sink.gone(world->stats, process, "bye");
    world->sink.released(world->stats, process);
    stats_gone_keep(world->stats, 0, 0);
    usleep(1000);
    publish(world); /* forgotten */
    assert_int_equal(take(world, tail, events, &missed, &lost), 0);
    stats_tail_close(world->stats, tail);
}

/* The intake feeds while others open, take and close: a sanitizer sees what is wrong. */
static void *open_and_close(void *arg)
{
    struct world *world = arg;
    struct stats_tail_event *events = malloc(STATS_TAIL_EVENTS * sizeof *events);
    uint64_t missed, lost, last = 0;
    for (unsigned i = 0; i < 300; i++) {
        struct stats_tail *tail = open_tail(world, everything);
        for (unsigned n = 0; n < 5; n++) {
            size_t count = stats_tail_take(world->stats, tail, events, STATS_TAIL_EVENTS, &missed, &lost);
            for (size_t e = 0; e < count; e++) {
                assert_true(events[e].event.granule >= last);
                last = events[e].event.granule;
            }
        }
        stats_tail_close(world->stats, tail);
    }
    free(events);
    return NULL;
}

static void test_tails_come_and_go_while_events_do(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    pthread_t threads[3];
    uint64_t granule = 0, words[100];
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, open_and_close, world);
    for (unsigned span = 0; span < 5000; span++) {
        for (unsigned i = 0; i < 100; i++)
            words[i] = word_of(WIRE_EVENT_ALLOC, 1, 16, ++granule);
        tell_events(world, process, 1, words, 100, 0);
        tell(world, process, 1, &(struct intake_row){.allocated = granule});
        if (span % 10 == 0)
            publish(world);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_filters),
        WORLD_TEST(test_overflow_is_missed),
        WORLD_TEST(test_lost_is_told_once_to_each),
        WORLD_TEST(test_a_gap_is_where_it_was),
        WORLD_TEST(test_events_wait_for_their_view),
        WORLD_TEST(test_a_tail_outlives_connections),
        WORLD_TEST(test_tails_come_and_go_while_events_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
