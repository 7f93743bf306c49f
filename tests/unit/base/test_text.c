/* Bytes that grow, and what they do when they cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void test_it_holds_what_was_added(void **state)
{
    (void)state;
    struct text text = {.length = 0};
    text_add(&text, NULL, 0);
    text_add_string(&text, "n=");
    text_add_number(&text, 0);
    text_add_string(&text, " ");
    text_add_number(&text, UINT64_MAX);
    assert_false(text.failed);
    assert_int_equal(text.length, strlen("n=0 18446744073709551615"));
    assert_memory_equal(text.data, "n=0 18446744073709551615", text.length);
    text_free(&text);
    assert_null(text.data);
}

static void test_it_grows_past_any_room_and_gives_much_of_it_back(void **state)
{
    (void)state;
    struct text text = {.length = 0};
    for (unsigned i = 0; i < 100000; i++)
        text_add(&text, "abc", 3);
    assert_int_equal(text.length, 300000);
    assert_memory_equal(text.data + 299997, "abc", 3);
    text_clear(&text);
    assert_int_equal(text.length, 0);
    assert_null(text.data);
    text_add(&text, "x", 1);
    text_clear(&text);
    assert_non_null(text.data);
    text_free(&text);
}

void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes)
{
    return bytes < SIZE_MAX / 8 ? __real_realloc(memory, bytes) : NULL; /* a sanitizer would end the program */
}

static void test_one_that_could_not_grow_takes_nothing_more(void **state)
{
    (void)state;
    struct text text = {.length = 0};
    text_add_string(&text, "kept");
    text_add(&text, "", SIZE_MAX / 4); /* more than there is: the bytes are not looked at */
    assert_true(text.failed);
    text_add_string(&text, "lost");
    assert_int_equal(text.length, 4);
    assert_memory_equal(text.data, "kept", 4);
    text_free(&text);
    assert_true(text.failed);
}

static void test_times_are_of_one_form(void **state)
{
    static const struct {
        uint64_t wall_ns;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00.000Z"}, {1709208000123999999u, "2024-02-29T12:00:00.123Z"}, {UINT64_MAX, "2554-07-21T23:34:33.709Z"}};
    char text[TEXT_TIME];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text_time(text, rows[i].wall_ns);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_holds_what_was_added),
                                       cmocka_unit_test(test_it_grows_past_any_room_and_gives_much_of_it_back),
                                       cmocka_unit_test(test_one_that_could_not_grow_takes_nothing_more), cmocka_unit_test(test_times_are_of_one_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
