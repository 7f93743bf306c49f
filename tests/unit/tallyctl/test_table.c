/* Columns are aligned whatever stands in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tallyctl/table.h"

static char *printed_new(struct table *table)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    assert_non_null(to);
    table_print_free(table, to);
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
        cmocka_unit_test(test_table_aligns_text_left_and_figures_right),
        cmocka_unit_test(test_table_escapes_cells),
        cmocka_unit_test(test_table_without_rows_is_its_headings),
        cmocka_unit_test(test_table_drops_a_row_that_is_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
