/* Counts, sizes and lifetimes against a reference that knows when everything was born. */
#include "spans.h"

static void test_nothing_is_known_of_nothing(void **state)
{
    struct stats_histograms got;
    struct events_last last[EVENTS_TAIL];
    (void)state;
    assert_int_equal(events_count(NULL, 0, WIRE_EVENT_ALLOC), 0);
    assert_false(events_any(NULL, 0));
    events_histograms(NULL, 0, &got);
    assert_int_equal(got.known + got.short_lived + got.sizes[0], 0);
    assert_int_equal(events_sample_shift(NULL), 0);
    assert_int_equal(events_tail(NULL, last), 0);
    events_rest(NULL);
    events_free(NULL);
}

/* Rows at random, granules that are used again, kinds and sizes of all sorts, two words where one does not do. */
static void test_counts_and_known_deaths_are_exact(void **state)
{
    struct pen pen;
    uint64_t random = 88172645463325252u;
    static uint32_t row_of[4096];
    static uint64_t bytes_of[4096];
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 400000; i++) {
        uint64_t granule = random_next(&random) % 4096, draw = random_next(&random);
        if (pen.births[granule].known) {
            pen_free(&pen, draw % 3 ? WIRE_EVENT_FREE_REFCOUNT : WIRE_EVENT_FREE_CYCLE, row_of[granule], granule,
                     bytes_of[granule]);
        } else {
            row_of[granule] = draw % ROWS;
            bytes_of[granule] = draw % 5 ? 8 * (draw % 63) : 8 * (draw % 10000);
            pen_alloc(&pen, row_of[granule], granule, bytes_of[granule]);
        }
        if (draw % 977 == 0)
            pen_rare(&pen, WIRE_RARE_COLLECTION_START + draw % 9, 1 + draw % 40);
    }
    pen_flush(&pen);
    for (uint32_t row = 0; row < ROWS; row++)
        assert_row_counts(&pen, row);
    assert_int_equal(events_sample_shift(pen.events), 0);
    pen_end(&pen);
}

/* One object more and one less at each step, of row r after 4^r steps. */
static void queues_run(struct pen *pen, unsigned rows, uint64_t steps, uint64_t *at)
{
    for (uint64_t end = *at + steps; *at < end; ++*at)
        for (uint32_t row = 0; row < rows; row++) {
            uint64_t length = (uint64_t)1 << 2 * row, granule = 2 * ((length + *at % length) * 8 + row);
            if (*at >= length)
                pen_free(pen, *at % 2 ? WIRE_EVENT_FREE_REFCOUNT : WIRE_EVENT_FREE_CYCLE, row, granule, 64);
            pen_alloc(pen, row, granule, 64);
        }
}


static void warm_up(struct pen *pen)
{
    for (unsigned i = 0; i < 20000; i++)
        if (i % 2)
            pen_free(pen, WIRE_EVENT_FREE_CYCLE, 63, 0, 64);
        else
            pen_alloc(pen, 63, 0, 64);
    pen_flush(pen);
}

static void test_lifetimes_are_right_within_an_eighth_and_ten_events(void **state)
{
    struct pen pen;
    uint64_t at = 0;
    (void)state;
    pen_start(&pen);
    warm_up(&pen);
    queues_run(&pen, 8, 200000, &at);
    for (uint32_t row = 0; row < 8; row++) {
        assert_row(&pen, row);
        assert_int_equal(pen.rows[row].known, 200000 - ((uint64_t)1 << 2 * row));
    }
    pen_end(&pen);
}

/* What lived 100 events in a span of 500 has not lived none, and what lived one has not lived 500. */
static void test_lifetimes_inside_of_a_span(void **state)
{
    struct pen pen;
    uint64_t at = 0;
    struct stats_histograms got;
    (void)state;
    pen_start(&pen);
    warm_up(&pen);
    queues_run(&pen, 4, 50000, &at);
    assert_row(&pen, 0);
    assert_row(&pen, 3);
    events_histograms(pen.events, 0, &got); /* 8 events, 4 of which allocate */
    for (unsigned i = 11; i < STATS_LIFETIMES; i++)
        assert_int_equal(got.bytes[i], 0);
    pen_end(&pen);
}

/* The last phase's lifetimes are reckoned from its own marks, and not from the oldest. */
static void test_lifetimes_follow_a_change_of_pace(void **state)
{
    struct pen pen;
    uint64_t at = 0;
    (void)state;
    pen_start(&pen);
    pen.ns_an_event = 10000;
    queues_run(&pen, 6, 20000, &at);
    pen_flush(&pen);
    pen.ns_an_event = 100;
    queues_run(&pen, 6, 100000, &at);
    pen_flush(&pen);
    memset(pen.rows, 0, sizeof pen.rows);
    struct stats_histograms before, after;
    events_histograms(pen.events, 5, &before);
    queues_run(&pen, 6, 100000, &at);
    pen_flush(&pen);
    events_histograms(pen.events, 5, &after);
    for (unsigned i = 0; i < STATS_LIFETIMES; i++) {
        after.ns[i] -= before.ns[i];
        after.bytes[i] -= before.bytes[i];
    }
    assert_between(after.ns, pen.rows[5].least_ns, pen.rows[5].most_ns);
    assert_between(after.bytes, pen.rows[5].least_bytes, pen.rows[5].most_bytes);
    pen_end(&pen);
}

/* Ten million events and more, a clock that moves with every span: 512 marks for all of them. */
static void test_lifetimes_of_old_objects_after_many_events(void **state)
{
    struct pen pen;
    uint64_t at = 0;
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 1000; i++)
        pen_alloc(&pen, 9, GRANULES - 2 - i, 64);
    queues_run(&pen, 5, 1200000, &at);
    memset(pen.rows, 0, 5 * sizeof *pen.rows);
    pen.rows[9].known = 0;
    for (unsigned i = 0; i < 1000; i++)
        pen_free(&pen, WIRE_EVENT_FREE_CYCLE, 9, GRANULES - 2 - i, 64);
    assert_true(pen.event > 10000000);
    assert_row(&pen, 9);
    pen_end(&pen);
}

/* A heap that rests for an hour in the middle of a block, whose clock is the one before: when it was looked at counts. */
static void test_lifetimes_over_a_rest(void **state)
{
    struct pen pen;
    struct stats_histograms got;
    (void)state;
    pen_start(&pen);
    pen.ns_an_event = 0;
    for (unsigned i = 0; i < 200; i++)
        pen_alloc(&pen, 1, i, 64);
    pen_flush(&pen);
    pen.since_ns = (uint64_t)3600 * 1000000000u;
    for (unsigned i = 0; i < 200; i++)
        pen_free(&pen, WIRE_EVENT_FREE_REFCOUNT, 1, i, 64);
    pen_flush(&pen);
    events_histograms(pen.events, 1, &got);
    assert_int_equal(got.known, 200);
    assert_in_range(got.ns[41] + got.ns[42], 180, 200); /* 2^41 ns are 37 minutes */
    pen_end(&pen);
}

static void test_what_was_born_before_a_gap_is_unknown(void **state)
{
    struct pen pen;
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 1000; i++)
        pen_alloc(&pen, 1, i, 16);
    for (unsigned i = 0; i < 300; i++)
        pen_free(&pen, WIRE_EVENT_FREE_CYCLE, 1, i, 16);
    pen_lose(&pen, 3);
    for (unsigned i = 1000; i < 1003; i++) /* at once behind it */
        pen_alloc(&pen, 2, i, 16);
    for (unsigned i = 300; i < 1003; i++)
        pen_free(&pen, WIRE_EVENT_FREE_REFCOUNT, i < 1000 ? 1 : 2, i, 16);
    pen_flush(&pen);
    assert_int_equal(pen.rows[1].known, 300);
    assert_int_equal(pen.rows[2].known, 3);
    for (uint32_t row = 1; row <= 2; row++)
        assert_row_counts(&pen, row);
    for (unsigned gap = 0; gap < 20; gap++) { /* gaps in a row, short stretches between */
        pen_alloc(&pen, 3, gap, 16);
        pen_lose(&pen, 1);
        pen_free(&pen, WIRE_EVENT_FREE_REFCOUNT, 3, gap, 16);
    }
    pen_flush(&pen);
    assert_int_equal(pen.rows[3].known, 0);
    assert_row_counts(&pen, 3);
    pen_end(&pen);
}

static void test_deaths_without_birth_and_births_without_death(void **state)
{
    struct pen pen;
    struct stats_histograms got;
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 100; i++)
        pen_object(&pen, WIRE_EVENT_FREE_REFCOUNT, 1, i, 16); /* never seen */
    for (unsigned i = 0; i < 100; i++)
        pen_object(&pen, WIRE_EVENT_ALLOC, 2, 7, 16); /* the later one counts */
    pen_object(&pen, WIRE_EVENT_FREE_REFCOUNT, 2, 7, 16);
    pen_object(&pen, WIRE_EVENT_FREE_REFCOUNT, 2, 7, 16); /* dead already */
    pen_flush(&pen);
    assert_int_equal(events_count(pen.events, 1, WIRE_EVENT_FREE_REFCOUNT), 100);
    events_histograms(pen.events, 1, &got);
    assert_int_equal(got.known, 0);
    events_histograms(pen.events, 2, &got);
    assert_int_equal(got.known, 1);
    assert_int_equal(got.sizes[2], 100);
    assert_int_equal(events_count(pen.events, 2, WIRE_EVENT_FREE_REFCOUNT), 2);
    pen_end(&pen);
}

static void test_rows_beyond_the_limit_count_for_nothing(void **state)
{
    struct pen pen;
    (void)state;
    pen_start(&pen);
    pen.row_limit = 40;
    pen_object(&pen, WIRE_EVENT_ALLOC, 39, 1, 16);
    pen_object(&pen, WIRE_EVENT_ALLOC, 40, 2, 16);
    pen_object(&pen, WIRE_EVENT_FREE_CYCLE, 65535, 1, 16);
    pen_flush(&pen);
    pen_object(&pen, WIRE_EVENT_ALLOC, 65535, 3, 8000); /* likewise where there are two words */
    pen_object(&pen, WIRE_EVENT_FREE_CYCLE, 39, 1, 16);
    pen_flush(&pen);
    assert_int_equal(events_count(pen.events, 39, WIRE_EVENT_ALLOC), 1);
    assert_int_equal(events_count(pen.events, 39, WIRE_EVENT_FREE_CYCLE), 1);
    assert_false(events_any(pen.events, 40));
    assert_false(events_any(pen.events, 65535));
    pen.row_limit = WIRE_ROW_MAX; /* a memory with more rows */
    pen_object(&pen, WIRE_EVENT_ALLOC, 65535, 3, 8000);
    pen_flush(&pen);
    assert_int_equal(events_count(pen.events, 65535, WIRE_EVENT_ALLOC), 1);
    pen_end(&pen);
}

static void test_rest_gives_births_back_and_keeps_counts(void **state)
{
    struct pen pen;
    struct stats_histograms got;
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 1000; i++)
        pen_alloc(&pen, 1, i, 16);
    pen_flush(&pen);
    assert_true(pen.budget.used > 0);
    events_rest(pen.events);
    assert_int_equal(pen.budget.used, 0);
    memset(pen.births, 0, GRANULES * sizeof *pen.births);
    for (unsigned i = 0; i < 1000; i++)
        pen_free(&pen, WIRE_EVENT_FREE_REFCOUNT, 1, i, 16);
    for (unsigned i = 0; i < 10; i++)
        pen_alloc(&pen, 1, i, 16);
    for (unsigned i = 0; i < 10; i++)
        pen_free(&pen, WIRE_EVENT_FREE_REFCOUNT, 1, i, 16);
    pen_flush(&pen);
    assert_row_counts(&pen, 1);
    events_histograms(pen.events, 1, &got);
    assert_int_equal(got.known, 10);
    pen_end(&pen);
}

/* ---- the last records */

static void assert_tail(struct pen *pen, uint64_t first, size_t count)
{
    struct events_last last[EVENTS_TAIL];
    pen_flush(pen);
    assert_int_equal(events_tail(pen->events, last), count);
    for (size_t i = 0; i < count; i++) {
        struct wire_event_view event;
        unsigned words = wire_event_decode(last[i].words, &event);
        assert_int_equal(event.granule, first + i);
        assert_int_equal(event.bytes, (first + i) % 3 ? 16 : 4096);
        assert_int_equal(last[i].words[1], words == 2 ? 4096 : 0);
    }
}

/* Spans of one, of some, of more records than are kept, with two words and with one. */
static void test_the_last_records_are_kept_in_order(void **state)
{
    static const unsigned spans[] = {1, 5, 63, 64, 65, 200, 3, 1};
    struct pen pen;
    uint64_t next = 0;
    (void)state;
    pen_start(&pen);
    assert_tail(&pen, 0, 0);
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        for (unsigned n = 0; n < spans[i]; n++, next++)
            pen_object(&pen, WIRE_EVENT_ALLOC, 1, next, next % 3 ? 16 : 4096);
        assert_tail(&pen, next > EVENTS_TAIL ? next - EVENTS_TAIL : 0, next > EVENTS_TAIL ? EVENTS_TAIL : next);
    }
    pen_end(&pen);
}

static void test_the_last_of_a_plain_span(void **state)
{
    struct pen pen;
    struct events_last last[EVENTS_TAIL];
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 500; i++)
        pen_object(&pen, WIRE_EVENT_ALLOC, 1, i, 16);
    pen_flush(&pen);
    assert_int_equal(events_tail(pen.events, last), EVENTS_TAIL);
    assert_int_equal(last[0].words[0] >> WIRE_GRANULE_SHIFT, 500 - EVENTS_TAIL);
    assert_int_equal(last[EVENTS_TAIL - 1].words[0] >> WIRE_GRANULE_SHIFT, 499);
    assert_int_equal(last[0].clock_ns, 1000000);
    pen_rare(&pen, WIRE_RARE_COLLECTION_STOP, 2);
    pen_rare(&pen, (enum wire_rare)60, 200); /* of a later version: the first two words */
    pen_flush(&pen);
    assert_int_equal(events_tail(pen.events, last), EVENTS_TAIL);
    assert_int_equal(last[EVENTS_TAIL - 3].words[0] >> WIRE_GRANULE_SHIFT, 499);
    assert_true(last[EVENTS_TAIL - 2].words[1] > 0);
    pen_end(&pen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_of_nothing),
        cmocka_unit_test(test_counts_and_known_deaths_are_exact),
        cmocka_unit_test(test_lifetimes_are_right_within_an_eighth_and_ten_events),
        cmocka_unit_test(test_lifetimes_inside_of_a_span),
        cmocka_unit_test(test_lifetimes_follow_a_change_of_pace),
        cmocka_unit_test(test_lifetimes_of_old_objects_after_many_events),
        cmocka_unit_test(test_lifetimes_over_a_rest),
        cmocka_unit_test(test_what_was_born_before_a_gap_is_unknown),
        cmocka_unit_test(test_deaths_without_birth_and_births_without_death),
        cmocka_unit_test(test_rows_beyond_the_limit_count_for_nothing),
        cmocka_unit_test(test_rest_gives_births_back_and_keeps_counts),
        cmocka_unit_test(test_the_last_records_are_kept_in_order),
        cmocka_unit_test(test_the_last_of_a_plain_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
