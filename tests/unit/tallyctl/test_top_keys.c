/* Keys of top change what they should, and nothing waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/top.h"

static struct top top;

static int begin(void **state)
{
    (void)state;
    top = (struct top){.model.sort = TOP_BYTES, .shown = 10, .due_ns = 7};
    top_model_take(&top.model,
                   json_pack("{s:i, s:[{s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:i}, {s:s, s:s, s:s}]}", "as_of_mono_ns", 1, "processes", "id",
                             "aa", "name", "b\xc3\xa4" "ckerei", "state", "live", "live_bytes", 9, "id", "bb", "name", "orchard", "state", "live",
                             "live_bytes", 5, "id", "cc", "name", "old", "state", "gone"),
                   1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    top_model_fini(&top.model);
    return 0;
}

static void type(const char *text)
{
    for (; *text; text++)
        top_key(&top, *text);
}

static void test_top_keys_filter_as_they_are_typed(void **state)
{
    (void)state;
    type("/or");
    assert_int_equal(top.mode, TOP_MODE_FILTER);
    assert_int_equal(top.model.count, 1);
    top_key(&top, TOP_KEY_BACKSPACE);
    top_key(&top, TOP_KEY_BACKSPACE);
    top_key(&top, TOP_KEY_BACKSPACE);
    assert_int_equal(top.model.count, 2);
    top_key(&top, 0xE4);
    assert_string_equal(top.model.filter, "\xc3\xa4");
    assert_int_equal(top.model.count, 1);
    top_key(&top, 0x1F40D);
    assert_string_equal(top.model.filter, "\xc3\xa4\xf0\x9f\x90\x8d");
    top_key(&top, TOP_KEY_BACKSPACE);
    top_key(&top, 0x6F22);
    assert_string_equal(top.model.filter, "\xc3\xa4\xe6\xbc\xa2");
    top_key(&top, TOP_KEY_BACKSPACE);
    top_key(&top, TOP_KEY_ENTER);
    assert_int_equal(top.mode, TOP_MODE_LIST);
    assert_string_equal(top.model.filter, "\xc3\xa4");
    type("/q"); /* q is a letter here */
    assert_false(top.quit);
    for (int i = 0; i < 2 * TOP_FILTER_MAX; i++)
        top_key(&top, 0x6F22);
    assert_true(strlen(top.model.filter) < TOP_FILTER_MAX);
    top_key(&top, TOP_KEY_ESCAPE);
    assert_string_equal(top.model.filter, "");
}

static void test_top_keys_sort_within_the_columns(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * TOP_COLUMNS; i++)
        top_key(&top, TOP_KEY_LEFT);
    assert_int_equal(top.model.sort, 0);
    for (int i = 0; i < 3 * TOP_COLUMNS; i++)
        top_key(&top, TOP_KEY_RIGHT);
    assert_int_equal(top.model.sort, TOP_COLUMNS - 1);
    type("r");
    assert_true(top.model.reverse);
}

static void test_top_keys_ask_before_a_control(void **state)
{
    (void)state;
    static const struct {
        char key;
        enum top_control control;
    } keys[] = {{'c', TOP_COLLECT}, {'e', TOP_ENABLE}, {'d', TOP_DISABLE}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        top_key(&top, keys[i].key);
        assert_int_equal(top.mode, TOP_MODE_CONFIRM);
        assert_int_equal(top.control, keys[i].control);
        top_key(&top, i ? 'n' : TOP_KEY_ENTER); /* Enter is not yes */
        assert_int_equal(top.mode, TOP_MODE_LIST);
        assert_string_equal(top.message, "not done");
        assert_null(top.calls[TOP_ASK_CONTROL]);
    }
    type("sa"); /* snapshots are for a page; the gone one is shown */
    assert_int_equal(top.mode, TOP_MODE_LIST);
    assert_int_equal(top.model.count, 3);
    top_key(&top, TOP_KEY_END);
    type("c");
    assert_int_equal(top.mode, TOP_MODE_LIST);
    assert_true(top.warning);
    snprintf(top.operation, sizeof top.operation, "1-2");
    top_key(&top, TOP_KEY_HOME);
    type("c");
    assert_int_equal(top.mode, TOP_MODE_LIST);
}

static void test_top_keys_help_and_page_go_back_to_where_they_were(void **state)
{
    (void)state;
    type("?x");
    assert_int_equal(top.mode, TOP_MODE_LIST);
    top_key(&top, TOP_KEY_ENTER);
    assert_int_equal(top.mode, TOP_MODE_PAGE);
    assert_int_equal(top.due_ns, 0);
    top_key(&top, TOP_KEY_TAB);
    assert_int_equal(top.tab, TOP_TAB_COLLECTIONS);
    top_key(&top, TOP_KEY_LEFT);
    top_key(&top, TOP_KEY_LEFT);
    assert_int_equal(top.tab, TOP_TAB_FIGURES);
    type("1");
    assert_int_equal(top.tab, TOP_TAB_TYPES);
    top_key(&top, TOP_KEY_DOWN); /* of no lines */
    assert_int_equal(top.line[TOP_TAB_TYPES], 0);
    top_key(&top, TOP_KEY_HELP);
    assert_int_equal(top.mode, TOP_MODE_HELP);
    top_key(&top, TOP_KEY_ESCAPE);
    assert_int_equal(top.mode, TOP_MODE_PAGE);
    top_key(&top, 's');
    assert_int_equal(top.control, TOP_SNAPSHOT);
    type("n");
    assert_int_equal(top.mode, TOP_MODE_PAGE);
    type("q");
    assert_int_equal(top.mode, TOP_MODE_LIST);
    assert_false(top.quit);
    type(" q");
    assert_true(top.paused);
    assert_true(top.quit);
}

/* Whatever is on the screen, it has no run beyond its edges, and none lies on another. */
static void check_drawn(unsigned rows, unsigned columns)
{
    struct canvas canvas = {.rows = rows, .columns = columns};
    char *cells = calloc(rows * columns + 1, 1);
    assert_non_null(cells);
    top_draw(&top, &canvas);
    for (size_t i = 0; i < canvas.count; i++) {
        assert_true(canvas.runs[i].row < rows);
        assert_true(canvas.runs[i].column + canvas.runs[i].columns <= columns);
        for (unsigned at = 0; at < canvas.runs[i].columns; at++)
            assert_int_equal(cells[canvas.runs[i].row * columns + canvas.runs[i].column + at]++, 0);
    }
    free(cells);
    canvas_fini(&canvas);
}

static void check_all_sizes(void)
{
    for (unsigned rows = 1; rows < 30; rows += 3)
        for (unsigned columns = 1; columns < 200; columns += 13)
            check_drawn(rows, columns);
}

/* The page of a process asks nobody who tallyd is: the list does, and is drawn in a real terminal elsewhere. */
static void test_top_draws_help_and_page_within_every_size(void **state)
{
    (void)state;
    type("?");
    check_all_sizes();
    type("x");
    top_key(&top, TOP_KEY_ENTER);
    check_all_sizes();
    type("c");
    check_all_sizes();
}

/* The lines of the help that a screen of `rows` shows, each once more in `seen`. */
static void look(unsigned rows, unsigned *seen)
{
    static const char *const words[] = {
#define TOP_HELP(keys, what) what,
#include "tallyctl/top_help.def"
#undef TOP_HELP
    };
    struct canvas canvas = {.rows = rows, .columns = 80};
    top_draw(&top, &canvas);
    for (size_t i = 0; i < canvas.count; i++)
        for (size_t word = 0; word < sizeof words / sizeof *words; word++)
            seen[word] += strncmp(canvas.runs[i].text, words[word], strlen(words[word])) == 0; /* blanks follow */
    canvas_fini(&canvas);
}

static void test_help_scrolls_where_it_does_not_fit(void **state)
{
    unsigned seen[64] = {0};
    (void)state;
    type("?");
    for (unsigned i = 0; i < 9; i++) {
        look(8, seen);
        top_key(&top, TOP_KEY_PAGE_DOWN);
        assert_int_equal(top.mode, TOP_MODE_HELP);
    }
    assert_int_equal(seen[0], 1);
    for (unsigned word = 0; word < 16; word++)
        assert_true(seen[word]); /* the last screen is shown again and again */
    top_key(&top, TOP_KEY_HOME);
    look(8, seen);
    assert_int_equal(seen[0], 2);
    type("x");
    assert_int_equal(top.mode, TOP_MODE_LIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_top_keys_filter_as_they_are_typed, begin, end),
        cmocka_unit_test_setup_teardown(test_top_keys_sort_within_the_columns, begin, end),
        cmocka_unit_test_setup_teardown(test_top_keys_ask_before_a_control, begin, end),
        cmocka_unit_test_setup_teardown(test_top_keys_help_and_page_go_back_to_where_they_were, begin, end),
        cmocka_unit_test_setup_teardown(test_help_scrolls_where_it_does_not_fit, begin, end),
        cmocka_unit_test_setup_teardown(test_top_draws_help_and_page_within_every_size, begin, end),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
