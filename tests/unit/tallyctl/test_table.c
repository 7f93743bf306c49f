/* Columns are aligned whatever stands in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>

#include "tallyctl/table.h"

static char *printed_new(struct table *table)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    assert_non_null(to);
    table_print_free(table, &(struct paper){.to = to});
    fclose(to);
    return text;
}

static void test_table_aligns_text_left_and_figures_right(void **state)
{
    (void)state;
    static const char *const headings[] = {"NAME", ">N", "LAST"};
    struct table *table = table_new(headings, 3);
    table_cell(table, "%s",
               "Gr\xc3\xbc\xc3\x9f"
               "e");
    table_cell(table, "%d", 7);
    table_cell(table, "x");
    table_cell(table, "a");
    table_cell(table, "%d", 1234);
    table_cell(table, "longer");
    char *text = printed_new(table);
    assert_string_equal(text, "NAME      N  LAST\nGr\xc3\xbc\xc3\x9f"
                              "e     7  x\na      1234  longer\n");
    free(text);
}

static void test_table_counts_columns_of_the_terminal(void **state)
{
    (void)state;
    static const char *const headings[] = {"NAME", ">N"};
    struct table *table = table_new(headings, 2);
    table_cell(table, "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2"); /* three wide ones */
    table_cell(table, "1");
    table_cell(table, "e\xcc\x81"); /* one, with an accent of its own */
    table_cell(table, "22");
    char *text = printed_new(table);
    assert_string_equal(text, "NAME     N\n\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2   1\ne\xcc\x81       22\n");
    free(text);
}

static void test_table_paints_cells_only_in_colour(void **state)
{
    (void)state;
    static const char *const headings[] = {"A"};
    for (int colour = 0; colour < 2; colour++) {
        char *text = NULL;
        size_t bytes = 0;
        struct paper paper = {.to = open_memstream(&text, &bytes), .colour = colour};
        struct table *table = table_new(headings, 1);
        table_cell(table, "x");
        table_paint(table, "31");
        table_print_free(table, &paper);
        fclose(paper.to);
        assert_string_equal(text, colour ? "\033[1mA\033[m\n\033[31mx\033[m\n" : "A\nx\n");
        free(text);
    }
}

static void test_table_escapes_cells(void **state)
{
    (void)state;
    static const char *const headings[] = {"A", ">B"};
    struct table *table = table_new(headings, 2);
    table_cell(table, "%s", "x\x1b\n");
    table_cell(table, "1");
    char *text = printed_new(table);
    assert_string_equal(text, "A          B\nx\\x1b\\x0a  1\n");
    free(text);
}

static void check_within(unsigned columns, const char *expected)
{
    static const char *const headings[] = {"NAME", ">NUMBER", "MIDDLE", "LAST"};
    char *text = NULL;
    size_t bytes = 0;
    struct paper paper = {.to = open_memstream(&text, &bytes), .columns = columns};
    struct table *table = table_new(headings, 4);
    table_cell(table, "banana");
    table_cell(table, "1234567");
    table_cell(table, "0123456789abcdef");
    table_cell(table, "words that go on below one another");
    table_print_free(table, &paper);
    fclose(paper.to);
    assert_string_equal(text, expected);
    free(text);
}

/* Never wider than the terminal; the last text goes on below, another is cut, figures are whole, and what is missing is said. */
static void test_table_stays_within_the_terminal(void **state)
{
    (void)state;
    static const char whole[] = "NAME     NUMBER  MIDDLE            LAST\n"
                                "banana  1234567  0123456789abcdef  words that go on below one another\n";
    check_within(0, whole);
    check_within(69, whole);
    check_within(68, "NAME     NUMBER  MIDDLE            LAST\n"
                     "banana  1234567  0123456789abcdef  words that go on below one\n"
                     "                                   another\n");
    check_within(54, "NAME     NUMBER  MIDDLE\n"
                     "banana  1234567  0123456789abcdef\n"
                     "(a wider terminal, or `| cat`, shows LAST)\n");
    check_within(25, "NAME     NUMBER  MIDDLE\n"
                     "banana  1234567  0123456…\n"
                     "(a wider terminal, or `| cat`, shows LAST)\n");
    check_within(14, "NAME\nbanana\n(a wider terminal, or `| cat`, shows NUMBER, MIDDLE, LAST)\n");
    check_within(3, "NA…\nba…\n(a wider terminal, or `| cat`, shows NUMBER, MIDDLE, LAST)\n");
}

static void test_table_without_rows_is_its_headings(void **state)
{
    (void)state;
    static const char *const headings[] = {"A", ">B"};
    char *text = printed_new(table_new(headings, 2));
    assert_string_equal(text, "A  B\n");
    free(text);
}

static void test_table_drops_a_row_that_is_cut_short(void **state)
{
    (void)state;
    static const char *const headings[] = {"A", "B"};
    struct table *table = table_new(headings, 2);
    for (int i = 0; i < 201; i++)
        table_cell(table, "x");
    char *text = printed_new(table);
    size_t lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 101);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_counts_columns_of_the_terminal),
        cmocka_unit_test(test_table_paints_cells_only_in_colour),
        cmocka_unit_test(test_table_aligns_text_left_and_figures_right),
        cmocka_unit_test(test_table_escapes_cells),
        cmocka_unit_test(test_table_stays_within_the_terminal),
        cmocka_unit_test(test_table_without_rows_is_its_headings),
        cmocka_unit_test(test_table_drops_a_row_that_is_cut_short),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
