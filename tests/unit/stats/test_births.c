/* The table of births from near: stamps that wrap, marks, budgets, what it costs, and granules of liars. */
#include "spans.h"

#include <sys/mman.h>
#include <unistd.h>

#include "stats/births.h"

#define MIB ((uint64_t)1 << 20)

/* ---- the table alone, at any time */

static void born(struct births *births, uint64_t granule)
{
    assert_true(births_reach(births, granule));
    births->table[births_index(births, granule)] = births->stamp;
}

/* As the fold reckons it. UINT32_MAX: unknown. */
static uint32_t age_of(const struct births *births, uint64_t granule)
{
    uint32_t birth = births->table[births_index(births, granule)], age = births->stamp - birth;
    return birth && age <= births->stamp - births->floor ? age : UINT32_MAX;
}

static void at_stamp(struct births *births, uint64_t stamp)
{
    births_turn(births, (stamp - 1) << BIRTHS_UNIT, stamp * 1000, stamp * 64);
    assert_int_equal(births->stamp, (uint32_t)stamp ? (uint32_t)stamp : 1);
}

/* Objects of every age up to 2^31 stamps, over more than two rounds of the 32 bits. What is older than 2^30 counts as
 * such; nothing that is old ever looks young, and what a gap has made unknown stays so. */
static void test_stamps_wrap(void **state)
{
    struct events_budget budget = {.limit = MIB};
    struct births births;
    uint64_t stamp = 2, first, last_mark = 0;
    (void)state;
    births_init(&births, &budget);
    at_stamp(&births, 1);
    born(&births, 5); /* before the gap */
    at_stamp(&births, stamp);
    births_forget(&births);
    first = stamp;
    born(&births, 6); /* lives for ever */
    for (; stamp < (uint64_t)5 << 31; stamp += (uint64_t)1 << 28) {
        at_stamp(&births, stamp);
        uint64_t age = stamp - first;
        assert_int_equal(age_of(&births, 5), UINT32_MAX);
        uint32_t shown = age_of(&births, 6);
        assert_true(age < (uint64_t)1 << 30 ? shown == age : shown >= (uint32_t)1 << 30);
        if (last_mark) /* born 2^28 ago: over the wrap too */
            assert_in_range(age_of(&births, 7), ((uint32_t)1 << 28) - 1, ((uint32_t)1 << 28) + 1);
        born(&births, 7);
        last_mark = stamp;
    }
    births_fini(&births);
    assert_int_equal(budget.used, 0);
}

/* The pace is steady, so each age's buckets are known. */
static void test_ages_mean_what_they_say_at_any_time(void **state)
{
    struct events_budget budget = {.limit = MIB};
    struct births births;
    (void)state;
    births_init(&births, &budget);
    for (uint64_t stamp = 1; stamp < (uint64_t)9 << 29; stamp += stamp < 1 << 20 ? 2048 : stamp / 64) {
        at_stamp(&births, stamp);
        for (uint32_t age = 1; stamp > 1 << 16 && age < stamp / 2 && age < (uint32_t)1 << 31; age += age / 3 + 1) {
            unsigned ns = births.in_ns[births_age(age)], bytes = births.in_bytes[births_age(age)];
            assert_in_range(ns, bucket_of(age * 860.0 - 1500), bucket_of(age * 1140.0 + 1500));
            assert_in_range(bytes, bucket_of(age * 55.0 - 96), bucket_of(age * 73.0 + 96));
        }
        assert_true(births.mark_count <= BIRTHS_MARKS);
    }
    births_fini(&births);
}

/* Steps of at most a sixth of the age, but for the marks between two turns and those that came since the last
 * thinning. */
static void assert_steps(const struct births *births, uint64_t turn)
{
    for (size_t i = 1; i < births->mark_count; i++) {
        double older = births->stamp - births->marks[i - 1].stamp, newer = births->stamp - births->marks[i].stamp;
        assert_true(older > newer);
        assert_true(older <= newer * 7 / 6 + (double)(turn >> BIRTHS_UNIT) + 2);
    }
}

/* Forty million events, a mark at each turn: what is kept lies denser the younger it is, and reaches back to the
 * first. */
static void test_marks_are_thinned_to_steps(void **state)
{
    struct events_budget budget = {.limit = MIB};
    struct births births;
    (void)state;
    births_init(&births, &budget);
    for (uint64_t event = 0; event < 40000000; event += 500) {
        births_turn(&births, event, 1 + event * 100, event * 32);
        assert_int_equal(births.marks[0].stamp, 1);
        if (event % 100000 == 0)
            assert_steps(&births, 500);
    }
    births_fini(&births);
}

/* The pace was slow, and then a hundred times as fast; an object of each third is known for as old as it is. */
static void test_ages_over_changes_of_pace(void **state)
{
    struct events_budget budget = {.limit = MIB};
    struct births births;
    uint64_t ns = 1, at_ns[3] = {0};
    (void)state;
    births_init(&births, &budget);
    for (uint64_t event = 0; event < 60000000; event += 1000) {
        uint64_t phase = event / 20000000;
        if (event % 20000000 == 10000000)
            at_ns[phase] = ns;
        ns += phase ? 10000 : 1000000;
        births_turn(&births, event, ns, event * 32);
    }
    for (unsigned phase = 0; phase < 3; phase++) {
        uint32_t age = births.stamp - births_stamp(10000000 + (uint64_t)phase * 20000000);
        double passed = (double)(ns - at_ns[phase]);
        assert_in_range(births.in_ns[births_age(age)], bucket_of(passed * 0.75), bucket_of(passed * 1.25));
    }
    births_fini(&births);
}

static void test_every_age_has_a_step(void **state)
{
    unsigned before = 0;
    (void)state;
    for (uint64_t age = 0; age <= UINT32_MAX; age += age / 16 + 1) {
        unsigned at = births_age((uint32_t)age);
        assert_true(at >= before && at < BIRTHS_AGES);
        before = at;
    }
    assert_int_equal(births_age(UINT32_MAX), BIRTHS_AGES - 1);
    assert_int_equal(births_stamp(0), 1);
    assert_int_equal(births_stamp(7), 1);
    assert_int_equal(births_stamp(8), 2);
    assert_int_equal(births_stamp(((uint64_t)UINT32_MAX << BIRTHS_UNIT) + 3), 1); /* not 0, which is unknown */
}

/* ---- budgets */

static void alloc(struct events *events, uint64_t granule)
{
    uint64_t word = WIRE_EVENT_ALLOC | 1 << 2 | 2 << 18 | granule << WIRE_GRANULE_SHIFT;
    events_fold(events, &(struct wire_span){.words = &word, .count = 1, .records = 1, .plain = true}, 4);
}

static uint64_t known_after_death(struct events *events, uint64_t granule)
{
    struct stats_histograms got;
    uint64_t word = WIRE_EVENT_FREE_CYCLE | 1 << 2 | 2 << 18 | granule << WIRE_GRANULE_SHIFT;
    events_fold(events, &(struct wire_span){.words = &word, .count = 1, .records = 1, .plain = true}, 4);
    events_histograms(events, 1, &got);
    return got.known;
}

/* A page is 8192 granules: the budget's megabyte holds 32 of them. */
static void test_beyond_the_budget_fewer_pages_are_followed(void **state)
{
    struct events_budget budget = {.limit = MIB};
    struct events *events = events_new(&budget);
    unsigned shift = 0;
    (void)state;
    events_bound(events, (uint64_t)1000 << 16);
    for (uint64_t page = 0; page < 1000; page++) {
        alloc(events, page << WIRE_PAGE_GRANULE_BITS);
        assert_true(budget.used <= budget.limit);
        assert_true(events_sample_shift(events) >= shift);
        shift = events_sample_shift(events);
    }
    assert_in_range(shift, 5, 6); /* of 1000 pages, 32 or 16 */
    for (uint64_t page = 0; page < 1000; page++) /* births before a change are forgotten: once more */
        alloc(events, page << WIRE_PAGE_GRANULE_BITS);
    uint64_t known = 0;
    for (uint64_t page = 0; page < 1000; page++)
        known = known_after_death(events, page << WIRE_PAGE_GRANULE_BITS);
    assert_int_equal(known, (1000 + ((uint64_t)1 << shift) - 1) >> shift);
    assert_int_equal(events_count(events, 1, WIRE_EVENT_ALLOC), 2000);
    events_rest(events);
    assert_int_equal(budget.used, 0);
    assert_int_equal(events_sample_shift(events), 0);
    events_free(events);
}

/* Two heaps of a process, two processes: each bound holds, and what one gives back another gets. */
static void test_budgets_within_budgets(void **state)
{
    struct events_budget whole = {.limit = 3 * MIB}, one = {.limit = 2 * MIB, .whole = &whole};
    struct events_budget two = one;
    struct events *a = events_new(&one), *b = events_new(&one), *c = events_new(&two);
    (void)state;
    for (uint64_t page = 0; page < 100; page++) {
        alloc(a, page << WIRE_PAGE_GRANULE_BITS);
        alloc(b, page << WIRE_PAGE_GRANULE_BITS);
        alloc(c, page << WIRE_PAGE_GRANULE_BITS);
        assert_true(one.used <= one.limit && two.used <= two.limit && whole.used <= whole.limit);
        assert_int_equal(one.used + two.used, whole.used);
    }
    assert_true(events_sample_shift(b) > 0 && events_sample_shift(c) > 0);
    events_free(a);
    events_free(b);
    assert_int_equal(one.used, 0);
    assert_int_equal(whole.used, two.used);
    events_rest(c);
    for (uint64_t page = 0; page < 60; page++)
        alloc(c, page << WIRE_PAGE_GRANULE_BITS);
    assert_int_equal(events_sample_shift(c), 0);
    events_free(c);
    assert_int_equal(whole.used, 0);
}

static void test_no_budget_at_all(void **state)
{
    struct events_budget none = {.limit = 0};
    struct events *events = events_new(&none);
    (void)state;
    for (uint64_t granule = 0; granule < 100; granule++)
        alloc(events, granule << 10);
    assert_int_equal(known_after_death(events, 0), 0);
    assert_int_equal(events_count(events, 1, WIRE_EVENT_ALLOC), 100);
    assert_int_equal(none.used, 0);
    events_free(events);
}

/* ---- liars */

static void test_the_farthest_granules_cost_no_more_than_the_budget(void **state)
{
    struct events_budget budget = {.limit = MIB};
    struct events *events = events_new(&budget);
    (void)state;
    for (unsigned bit = 0; bit < 40; bit++) {
        alloc(events, ((uint64_t)1 << 40) - 1 - bit);
        alloc(events, (uint64_t)1 << bit);
        assert_true(budget.used <= budget.limit);
    }
    alloc(events, 0);
    assert_int_equal(known_after_death(events, 0), 1);
    known_after_death(events, ((uint64_t)1 << 40) - 1);
    known_after_death(events, (uint64_t)1 << 39);
    assert_true(budget.used <= budget.limit);
    events_free(events);
    assert_int_equal(budget.used, 0);
}

static size_t record_random(uint64_t *random, uint64_t *words, size_t room)
{
    if (!room)
        return 0;
    words[0] = random_next(random);
    if (random_next(random) % 4) /* not too far most of the time */
        words[0] &= ((uint64_t)1 << 44) - 1;
    size_t length = wire_record_words(words[0]);
    if (!length || length > room)
        return 0;
    for (size_t i = 1; i < length; i++)
        words[i] = random_next(random);
    return length;
}

/* Three million words of nonsense, in spans as the reader makes them, with clocks and gaps to match. */
static void test_random_words(void **state)
{
    struct events_budget budget = {.limit = 4 * MIB};
    struct events *events = events_new(&budget);
    uint64_t words[SPAN_WORDS], random = 362436069, total = 0;
    (void)state;
    while (total < 3000000) {
        struct wire_span span = {.words = words, .plain = true, .clock_ns = random_next(&random) >> random % 64};
        span.lost = random_next(&random) % 50 ? 0 : random_next(&random);
        for (size_t length; (length = record_random(&random, words + span.count, SPAN_WORDS - span.count));) {
            span.plain &= length == 1 && (words[span.count] & 3) != WIRE_EVENT_RARE;
            span.count += length;
            span.records++;
        }
        if (span.records)
            events_fold(events, &span, total % 3 ? 100 : WIRE_ROW_MAX);
        assert_true(budget.used <= budget.limit);
        total += span.count + 1;
    }
    for (uint32_t row = 0; row < WIRE_ROW_MAX; row++) {
        struct stats_histograms got;
        uint64_t ns = 0, bytes = 0;
        events_histograms(events, row, &got);
        for (unsigned i = 0; i < STATS_LIFETIMES; i++) {
            ns += got.ns[i];
            bytes += got.bytes[i];
        }
        assert_true(ns == got.known && bytes == got.known && got.short_lived <= got.known);
        assert_true(got.known <= events_count(events, row, WIRE_EVENT_FREE_REFCOUNT) +
                                     events_count(events, row, WIRE_EVENT_FREE_CYCLE));
    }
    events_free(events);
    assert_int_equal(budget.used, 0);
}

/* A clock of all ones, and then an honest one: time stands still, and nothing else happens. */
static void test_a_clock_that_has_come_to_its_end(void **state)
{
    struct pen pen;
    struct stats_histograms got;
    (void)state;
    pen_start(&pen);
    for (unsigned i = 0; i < 50000; i++) {
        if (i == 10000)
            pen.ns = UINT64_MAX - 50;
        if (i == 20000)
            pen.ns = 5000;
        pen.ns_an_event = i < 10000 || i >= 20000;
        if (i >= 100)
            pen_free(&pen, WIRE_EVENT_FREE_CYCLE, 1, i % 100, 64);
        pen_alloc(&pen, 1, i % 100, 64);
    }
    pen_flush(&pen);
    events_histograms(pen.events, 1, &got);
    assert_int_equal(got.known, 49900);
    pen_end(&pen);
}

/* ---- what it costs */

static uint64_t touched_bytes(const struct births *births)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = births->reserved / page, count = 0;
    unsigned char *in = malloc(pages);
    assert_int_equal(mincore(births->table, births->reserved, in), 0);
    for (size_t i = 0; i < pages; i++)
        count += in[i] & 1;
    free(in);
    return count * page;
}

/* A heap whose objects lie 16 bytes apart, on 500 pages: 4 bytes a granule of them, and at most half as much again of
 * address space. */
/* A granule far beyond the pages that the heap says it has would make the table reach for it. */
static void test_granules_that_a_heap_cannot_have(void **state)
{
    struct events_budget budget = {.limit = 256 * MIB};
    struct births births;
    (void)state;
    births_init(&births, &budget);
    assert_false(births_reach(&births, BIRTHS_BOUND));
    assert_int_equal(budget.used, 0);
    assert_true(births_reach(&births, BIRTHS_BOUND - 1));
    births_fini(&births);
    struct events *events = events_new(&budget);
    alloc(events, 2 * BIRTHS_BOUND);
    assert_int_equal(budget.used, 0);
    events_bound(events, BIRTHS_BOUND * 8);
    events_bound(events, 0); /* never less */
    alloc(events, 2 * BIRTHS_BOUND);
    assert_true(budget.used > 8 * BIRTHS_BOUND);
    events_free(events);
}

static void test_memory_of_births(void **state)
{
    struct events_budget budget = {.limit = 256 * MIB};
    struct births births;
    uint64_t granules = (uint64_t)500 << WIRE_PAGE_GRANULE_BITS;
    (void)state;
    births_init(&births, &budget);
    births.bound = granules;
    for (uint64_t granule = 0; granule < granules; granule += 2)
        born(&births, granule);
    assert_int_equal(budget.used, births.reserved);
    assert_true(births.reserved <= granules * 6 + 65536);
    assert_true(touched_bytes(&births) <= granules * 4 + 2 * MIB);
    births_fini(&births);
    born(&births, 0); /* a small heap is small */
    assert_int_equal(budget.used, 65536);
    assert_true(touched_bytes(&births) <= 65536);
    births_fini(&births);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamps_wrap),
        cmocka_unit_test(test_ages_mean_what_they_say_at_any_time),
        cmocka_unit_test(test_marks_are_thinned_to_steps),
        cmocka_unit_test(test_ages_over_changes_of_pace),
        cmocka_unit_test(test_every_age_has_a_step),
        cmocka_unit_test(test_beyond_the_budget_fewer_pages_are_followed),
        cmocka_unit_test(test_budgets_within_budgets),
        cmocka_unit_test(test_no_budget_at_all),
        cmocka_unit_test(test_the_farthest_granules_cost_no_more_than_the_budget),
        cmocka_unit_test(test_random_words),
        cmocka_unit_test(test_a_clock_that_has_come_to_its_end),
        cmocka_unit_test(test_granules_that_a_heap_cannot_have),
        cmocka_unit_test(test_memory_of_births),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
