/* Floors, growth and rates over a window. */
#include "rules_world.h"

#define SLOT SECOND_NS

static void feed(struct window *window, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        window_add(window, SLOT, MONO + i * SECOND_NS / 2, values[i]);
}

static void test_growth_is_from_floor_to_floor(void **state)
{
    (void)state;
    struct window window = {.count = 0};
    double growth, from;
    for (unsigned i = 0; i < 20; i++) { /* two figures a slot: a saw whose floor rises by 10 a slot */
        window_add(&window, SLOT, MONO + i * SECOND_NS / 2, i % 2 ? 1000 : 100 + 10.0 * (i / 2));
        assert_int_equal(window_growth(&window, &growth, &from), i >= 18);
    }
    assert_true(growth == 80 && from == 100);
    assert_true(window_rises(&window));
}

static void test_a_saw_whose_floor_stays_does_not_grow(void **state)
{
    (void)state;
    struct window window = {.count = 0};
    double values[40], growth, from;
    for (unsigned i = 0; i < 40; i++)
        values[i] = i % 2 ? 100 + i * 50 : 100;
    feed(&window, values, 40);
    assert_true(window_growth(&window, &growth, &from));
    assert_true(growth == 0);
    assert_false(window_rises(&window));
}

static void test_steadily_allows_two_rests_and_no_fall(void **state)
{
    (void)state;
    const double floors[][10] = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 9}, {1, 2, 2, 3, 3, 4, 5, 6, 7, 7}, {1, 1, 2, 2, 3, 3, 4, 5, 6, 6},
                                 {1, 2, 3, 4, 3, 5, 6, 7, 8, 8}};
    const bool rise[] = {true, true, false, false};
    for (size_t i = 0; i < 4; i++) {
        struct window window = {.count = 0};
        for (unsigned s = 0; s < 10; s++)
            window_add(&window, SLOT, MONO + s * SECOND_NS, floors[i][s]);
        assert_true(window_full(&window));
        assert_int_equal(window_rises(&window), rise[i]);
    }
}

static void test_a_rate_is_over_the_time_that_passed(void **state)
{
    (void)state;
    struct window window = {.count = 0};
    double rate;
    for (unsigned i = 0; i <= 16; i++)
        window_add(&window, SLOT, MONO + i * SECOND_NS / 2, 500.0 * i);
    assert_true(window_rate(&window, MONO + 8 * SECOND_NS, &rate));
    assert_true(rate == 1000);
    struct window fresh = {.count = 0};
    window_add(&fresh, SLOT, MONO, 1);
    assert_false(window_rate(&fresh, MONO, &rate));
}

static void test_slots_without_a_figure_have_the_last(void **state)
{
    (void)state;
    struct window window = {.count = 0};
    double growth, from;
    window_add(&window, SLOT, MONO, 7);
    window_add(&window, SLOT, MONO + 3600 * SECOND_NS, 50); /* an hour's rest */
    assert_true(window_growth(&window, &growth, &from));
    assert_true(from == 7 && growth == 0);
    assert_in_range(window.began_ns, MONO + 3599 * SECOND_NS, MONO + 3600 * SECOND_NS);
    window_add(&window, SLOT, MONO + 3601 * SECOND_NS, 60);
    assert_true(window_growth(&window, &growth, &from));
    assert_true(growth == 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth_is_from_floor_to_floor),
        cmocka_unit_test(test_a_saw_whose_floor_stays_does_not_grow),
        cmocka_unit_test(test_steadily_allows_two_rests_and_no_fall),
        cmocka_unit_test(test_a_rate_is_over_the_time_that_passed),
        cmocka_unit_test(test_slots_without_a_figure_have_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
