/* What has changed between two tables is marked, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tallyctl/changes.h"

static void check(const char *before, const char *now, unsigned lines, bool reverse, const char *expected)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    assert_non_null(to);
    changes_print(to, before, now, lines, reverse, "\n");
    fclose(to);
    assert_string_equal(text, expected);
    free(text);
}

static void test_changes_are_marked_in_the_blank_before(void **state)
{
    (void)state;
    check(NULL, "NAME  N\na     1\n", 0, false, "NAME  N\na     1\n");
    check("NAME  N\na     1\n", "NAME  N\na     2\n", 0, false, "NAME  N\na    *2\n");
    check("NAME  N\na     1\n", "NAME  N\na     1\n", 0, false, "NAME  N\na     1\n");
    check("a b  1\n", "a b  2\n", 0, true, "a b  \033[7m2\033[m\n");
}

static void test_changes_follow_a_row_that_moves(void **state)
{
    (void)state;
    check("a  1\nb  2\n", "b  2\na  3\n", 0, false, "b  2\na *3\n");
    check("a  1\n", "a  1\nnew  7\n", 0, true, "a  1\n\033[7mnew\033[m  \033[7m7\033[m\n");
    check("x  1\nx  2\n", "x  1\nx  2\n", 0, false, "x  1\nx  2\n");
}

static void test_changes_stop_at_the_last_line_of_the_screen(void **state)
{
    (void)state;
    check(NULL, "a\nb\nc\n", 2, false, "a\nb\n");
    check(NULL, "no end", 0, false, "no end\n");
    check("", "\n  a  \n", 0, false, "\n *a\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_are_marked_in_the_blank_before),
        cmocka_unit_test(test_changes_follow_a_row_that_moves),
        cmocka_unit_test(test_changes_stop_at_the_last_line_of_the_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
