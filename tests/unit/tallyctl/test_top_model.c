/* Rates, order and filter of top. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tallyctl/top_model.h"

static json_t *frame(double seconds, int first, int second)
{
    return json_pack("{s:I, s:[{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:{s:i, s:i}, s:I, s:{s:s}}, {s:s, s:s, s:s, s:i, s:i, "
                     "s:i, s:i, s:{s:i, s:i}, s:I}, {s:s, s:s, s:s, s:i}]}",
                     "as_of_mono_ns", (json_int_t)(seconds * 1e9), "processes", "id", "aa11", "name", "bakery", "state",
                     "live", "pid", 7, "live_objects", 10, "live_bytes", 500, "allocations", first, "frees", "refcount",
                     first / 2, "cycle", 3, "pause_ns", (json_int_t)(seconds * 1e7), "labels", "team", "bread", "id",
                     "bb22", "name", "Orchard", "state", "live", "pid", 8, "live_objects", 20, "live_bytes", 100,
                     "allocations", second, "frees", "refcount", 0, "cycle", 0, "pause_ns", (json_int_t)0, "id", "cc33",
                     "name", "old", "state", "gone", "live_bytes", 9000);
}

static void test_top_model_rates_need_two_frames(void **state)
{
    (void)state;
    struct top_model model = {.sort = TOP_BYTES};
    top_model_take(&model, frame(10, 100, 50), 1);
    assert_int_equal(model.count, 2);
    assert_int_equal(model.gone, 1);
    assert_true(isnan(model.rows[0].values[TOP_ALLOCATED]));
    top_model_take(&model, frame(12, 300, 40), 2000000000); /* the second one's counter fell: it is another process's */
    assert_string_equal(model.rows[0].name, "bakery");
    assert_true(fabs(model.rows[0].values[TOP_ALLOCATED] - 100) < 0.01);
    assert_true(fabs(model.rows[0].values[TOP_FREED] - 50) < 0.01);
    assert_true(fabs(model.rows[0].values[TOP_SHARE] - 1) < 0.001);
    assert_true(model.rows[1].values[TOP_ALLOCATED] == 0);
    top_model_take(&model, frame(12, 300, 40), 2200000000); /* nothing was published yet */
    assert_true(fabs(model.rows[0].values[TOP_ALLOCATED] - 100) < 0.01);
    top_model_take(&model, frame(12, 300, 40), 3000000000); /* and nothing will be: all is at rest */
    assert_true(model.rows[0].values[TOP_ALLOCATED] == 0);
    top_model_take(&model, frame(13, 400, 40), 4000000000);
    assert_true(fabs(model.rows[0].values[TOP_ALLOCATED] - 100) < 0.01);
    top_model_take(&model, json_pack("{s:s}", "nonsense", "x"), 5000000000);
    assert_int_equal(model.count, 2);
    top_model_fini(&model);
}

static void test_top_model_orders_and_filters(void **state)
{
    (void)state;
    struct top_model model = {.sort = TOP_OBJECTS};
    top_model_take(&model, frame(1, 0, 0), 1);
    assert_string_equal(model.rows[0].name, "Orchard");
    model.reverse = true;
    top_model_order(&model);
    assert_string_equal(model.rows[0].name, "bakery");
    model.reverse = false;
    model.sort = TOP_NAME;
    model.show_gone = true;
    top_model_order(&model);
    assert_string_equal(model.rows[0].name, "bakery");
    assert_string_equal(model.rows[2].name, "Orchard");
    model.sort = TOP_OBJECTS; /* of one that is gone nothing is known: it is last */
    model.reverse = true;
    top_model_order(&model);
    assert_string_equal(model.rows[2].name, "old");
    static const struct {
        const char *filter;
        size_t count;
    } filters[] = {{"ORCH", 1}, {"team=br", 1}, {"8", 1}, {"cc", 1}, {"zz", 0}, {"", 3}};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        snprintf(model.filter, sizeof model.filter, "%s", filters[i].filter);
        top_model_order(&model);
        assert_int_equal(model.count, filters[i].count);
    }
    top_model_fini(&model);
}

static void test_top_model_the_chosen_one_stays_chosen(void **state)
{
    (void)state;
    struct top_model model = {.sort = TOP_OBJECTS};
    top_model_take(&model, frame(1, 0, 0), 1);
    assert_int_equal(top_model_chosen(&model), 0);
    top_model_move(&model, 1);
    assert_string_equal(model.chosen, "aa11");
    model.sort = TOP_BYTES;
    top_model_order(&model);
    assert_int_equal(top_model_chosen(&model), 0);
    top_model_move(&model, 100);
    assert_string_equal(model.chosen, "bb22");
    top_model_move(&model, -100);
    assert_string_equal(model.chosen, "aa11");
    snprintf(model.filter, sizeof model.filter, "nobody");
    top_model_order(&model);
    assert_int_equal(top_model_chosen(&model), 0);
    assert_string_equal(model.chosen, "");
    top_model_move(&model, 1);
    top_model_fini(&model);
}

static void test_top_short_fits_seven_columns(void **state)
{
    (void)state;
    static const struct { double value; unsigned thousand; const char *text;
    } cases[] = {{0, 1000, "0"},
                 {999999, 1000, "999999"},
                 {1000000, 1000, "1.00M"},
                 {999999999, 1000, "1.00G"},
                 {12345678, 1000, "12.3M"},
                 {1023, 1024, "1023"},
                 {1024, 1024, "1.00K"},
                 {1048575, 1024, "1.00M"},
                 {5368709120, 1024, "5.00G"},
                 {9.2e18, 1000, "9.20E"}};
    char out[16];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(top_short(out, sizeof out, cases[i].value, cases[i].thousand), cases[i].text);
}

static void test_top_column_find_takes_headings_and_paths(void **state)
{
    (void)state;
    assert_int_equal(top_column_find("bytes"), TOP_BYTES);
    assert_int_equal(top_column_find("live_bytes"), TOP_BYTES);
    assert_int_equal(top_column_find("gc%"), TOP_SHARE);
    assert_int_equal(top_column_find("P99"), TOP_P99);
    assert_int_equal(top_column_find(""), TOP_COLUMNS);
    assert_int_equal(top_column_find("nonsense"), TOP_COLUMNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_model_rates_need_two_frames),
        cmocka_unit_test(test_top_model_orders_and_filters),
        cmocka_unit_test(test_top_model_the_chosen_one_stays_chosen),
        cmocka_unit_test(test_top_short_fits_seven_columns),
        cmocka_unit_test(test_top_column_find_takes_headings_and_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
