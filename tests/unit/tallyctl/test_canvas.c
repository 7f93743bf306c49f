/* What is put on a page stays in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/canvas.h"
#include "tallyctl/text.h"

static void check(struct canvas *canvas, const char *expected)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    canvas_print(canvas, to);
    fclose(to);
    assert_string_equal(text, expected);
    free(text);
    canvas_clear(canvas);
}

static void test_canvas_keeps_places(void **state)
{
    (void)state;
    struct canvas canvas = {.rows = 4, .columns = 10};
    canvas_put(&canvas, 2, 3, 4, CANVAS_PLAIN, true, "7");
    canvas_put(&canvas, 0, 0, 3, CANVAS_BOLD, false, "abc");
    canvas_put(&canvas, 0, 5, 20, CANVAS_PLAIN, false, "x");
    check(&canvas, "abc  x\n\n      7\n");
    canvas_put(&canvas, 4, 0, 5, CANVAS_PLAIN, false, "below");
    canvas_put(&canvas, 0, 10, 5, CANVAS_PLAIN, false, "beside");
    check(&canvas, "");
    canvas_fini(&canvas);
}

static void test_canvas_never_goes_beyond_a_width(void **state)
{
    (void)state;
    static const char *const hostile[] = {"\033[2J\033]0;title\a",
                                          "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2",
                                          "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
                                          "\xe2\x80\xae"
                                          "abc",
                                          "\xff\xfe",
                                          "\n\r\t",
                                          "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xf0\x9f"
                                          "\x91\xa8\xf0\x9f\x91\xa8\xf0\x9f\x91\xa8\xf0\x9f\x91\xa8",
                                          "\xcc\x81\xcc\x81"};
    for (unsigned width = 1; width < 12; width++)
        for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
            for (int ascii = 0; ascii < 2; ascii++) {
                struct canvas canvas = {.rows = 1, .columns = 12, .ascii = ascii};
                canvas_put(&canvas, 0, 0, width, CANVAS_PLAIN, i & 1, hostile[i]);
                assert_int_equal(canvas.count, 1);
                assert_int_equal(text_columns(canvas.runs[0].text), width);
                for (const unsigned char *at = (unsigned char *)canvas.runs[0].text; *at; at++)
                    assert_true(*at >= ' ' && *at != 0x7F && (!ascii || *at < 0x7F));
                canvas_fini(&canvas);
            }
}

static void test_canvas_folds_at_blanks(void **state)
{
    (void)state;
    struct canvas canvas = {.rows = 3, .columns = 10};
    assert_int_equal(canvas_fold(&canvas, 0, 2, CANVAS_PLAIN, "one two three four"), 2);
    check(&canvas, "one two\nthree four\n");
    assert_int_equal(canvas_fold(&canvas, 0, 1, CANVAS_PLAIN, "short"), 1);
    canvas_clear(&canvas);
    assert_int_equal(canvas_fold(&canvas, 0, 3, CANVAS_PLAIN, "012345678901234"), 2);
    canvas_fini(&canvas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canvas_keeps_places),
        cmocka_unit_test(test_canvas_never_goes_beyond_a_width),
        cmocka_unit_test(test_canvas_folds_at_blanks),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
