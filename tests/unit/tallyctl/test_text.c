/* Nothing untrusted reaches the terminal, and figures carry their unit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

static void check_escape(const char *text, const char *escaped)
{
    char *copy = text_escape_dup(text);
    assert_string_equal(copy, escaped);
    free(copy);
}

static void test_text_escape_keeps_what_is_harmless(void **state)
{
    (void)state;
    check_escape("", "");
    check_escape("bakery [1]: 100 %", "bakery [1]: 100 %");
    check_escape("Gr\xc3\xbc\xc3\x9f"
                 "e \xe6\xbc\xa2 \xf0\x9f\x90\x8d",
                 "Gr\xc3\xbc\xc3\x9f"
                 "e \xe6\xbc\xa2 \xf0\x9f\x90\x8d");
}

static void test_text_escape_shows_what_steers_a_terminal(void **state)
{
    (void)state;
    check_escape("a\x1b[31mb\n\r\t\x7f", "a\\x1b[31mb\\x0a\\x0d\\x09\\x7f");
    check_escape("\xc2\x9b"
                 "31m\xc2\x80\xc2\xa0",
                 "\\u{9b}31m\\u{80}\xc2\xa0");
    check_escape("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8", "\\u{202e}\\u{2066}\\u{2028}");
    check_escape("a\\x1b", "a\\\\x1b");
}

static void test_text_escape_shows_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    check_escape("\xff\x80", "\\xff\\x80");
    check_escape("\xc3", "\\xc3");
    check_escape("\xc0\xaf", "\\xc0\\xaf");
    check_escape("\xed\xa0\x80", "\\xed\\xa0\\x80");
    check_escape("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
    check_escape("\xe6\xbc", "\\xe6\\xbc");
}

static void test_text_escape_shows_what_hides_or_piles_up(void **state)
{
    (void)state;
    check_escape("a\xe2\x80\x8b" "b\xef\xbb\xbf", "a\\u{200b}b\\u{feff}");
    check_escape("\xcc\x81x", "\\u{301}x"); /* it would join what stands before */
    check_escape("e\xcc\x81\xcc\x82\xcc\x83z", "e\xcc\x81\xcc\x82\\u{303}z");
}

static void check_fit(const char *text, size_t columns, bool ascii, const char *expected, size_t used)
{
    char out[64];
    assert_int_equal(text_fit(out, sizeof out, text, columns, ascii), used);
    assert_string_equal(out, expected);
}

static void test_text_fit_cuts_at_columns(void **state)
{
    (void)state;
    check_fit("bakery", 6, false, "bakery", 6);
    check_fit("bakery", 5, false, "bake\xe2\x80\xa6", 5);
    check_fit("bakery", 5, true, "bake~", 5);
    check_fit("bakery", 0, false, "", 0);
    check_fit("\xe6\xbc\xa2\xe5\xad\x97", 4, false, "\xe6\xbc\xa2\xe5\xad\x97", 4);
    check_fit("\xe6\xbc\xa2\xe5\xad\x97", 3, false, "\xe6\xbc\xa2\xe2\x80\xa6", 3);
    check_fit("\xe6\xbc\xa2", 1, false, "\xe2\x80\xa6", 1);
    check_fit("\x1b[2J", 8, false, "\\x1b[2J", 7);
    check_fit("\x1b[2J", 3, false, "\xe2\x80\xa6", 1); /* half an escape says nothing */
    check_fit("\xc3\xbc", 8, true, "\\u{fc}", 6);
    char small[8];
    assert_true(text_fit(small, sizeof small, "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", 40, false) <= 7);
    assert_true(strlen(small) < sizeof small);
}

static void test_text_has_word_takes_whole_words(void **state)
{
    (void)state;
    assert_true(text_has_word("a|bc|d", '|', "bc"));
    assert_true(text_has_word("bc", ' ', "bc"));
    assert_false(text_has_word("a|bc|d", '|', "b"));
    assert_false(text_has_word("a|bc|d", '|', "bc|d"));
    assert_false(text_has_word("", '|', "a"));
    assert_false(text_has_word("a", '|', ""));
}

static void test_text_columns_counts_code_points(void **state)
{
    (void)state;
    assert_int_equal(text_columns(""), 0);
    assert_int_equal(text_columns("abc"), 3);
    assert_int_equal(text_columns("Gr\xc3\xbc\xc3\x9f"
                                  "e"),
                     5);
}

static void test_text_fold_breaks_at_blanks(void **state)
{
    (void)state;
    static const struct { const char *text; size_t columns, bytes; } folds[] = {
        {"", 5, 0}, {"one two", 7, 7}, {"one two", 6, 3}, {"one two", 3, 3}, {"one two", 2, 2}, {"onetwo three", 4, 4},
        {" one", 2, 2}, {"\xe6\xbc\xa2\xe5\xad\x97", 3, 3}, {"\xe6\xbc\xa2\xe5\xad\x97", 1, 3}, {"e\xcc\x81x", 1, 3}};
    for (size_t i = 0; i < sizeof folds / sizeof *folds; i++)
        assert_int_equal(text_fold(folds[i].text, folds[i].columns), folds[i].bytes);
}

static void test_text_bytes_has_a_unit(void **state)
{
    (void)state;
    char out[TEXT_FIGURE_MAX];
    assert_string_equal(text_bytes(out, 0), "0 B");
    assert_string_equal(text_bytes(out, 1023), "1023 B");
    assert_string_equal(text_bytes(out, 1024), "1.0 KiB");
    assert_string_equal(text_bytes(out, 1536), "1.5 KiB");
    assert_string_equal(text_bytes(out, (1u << 20) - 1), "1.0 MiB");
    assert_string_equal(text_bytes(out, UINT64_MAX), "16.0 EiB");
}

static void test_text_duration_has_a_unit(void **state)
{
    (void)state;
    char out[TEXT_FIGURE_MAX];
    assert_string_equal(text_duration(out, 0), "0 ns");
    assert_string_equal(text_duration(out, 999), "999 ns");
    assert_string_equal(text_duration(out, 1000), "1.00 us");
    assert_string_equal(text_duration(out, 12340000), "12.3 ms");
    assert_string_equal(text_duration(out, 61000000000), "61.0 s");
    assert_string_equal(text_duration(out, UINT64_MAX), "18446744074 s");
}

static void test_text_parse_duration_takes_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0}, {"5", 5000}, {"5s", 5000}, {"250ms", 250}, {"1m", 60000}, {"60000ms", 60000}, {"2h", 7200000}};
    static const char *const bad[] = {"", "s", "-1s", "+1s", " 1s", "1 s", "1.5s", "1d", "9223372036854775807h",
                                      "99999999999999999999", "1sx"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ms = 1;
        assert_true(text_parse_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 77;
        assert_false(text_parse_duration(bad[i], &ms));
        assert_int_equal(ms, 77);
    }
}

static void test_text_parse_pause_takes_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"0", 0}, {"0us", 0}, {"500us", 500}, {"2ms", 2000}, {"10s", 10000000}};
    static const char *const bad[] = {"",    "us", "5",    "-1us", "1.5ms", "10000001us",
                                      "11s", "1m", " 1ms", "1 ms"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t us = 1;
        assert_true(text_parse_pause(good[i].text, &us));
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t us = 77;
        assert_false(text_parse_pause(bad[i], &us));
        assert_int_equal(us, 77);
    }
}

static void test_text_parse_bytes_takes_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0}, {"65536", 65536}, {"64KiB", 65536}, {"1MiB", 1 << 20}, {"2GiB", (uint64_t)2 << 30},
                {"8388607TiB", (uint64_t)8388607 << 40}, {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",       "KiB",        "-1",                  "1KB",
                                      "1kib",   "8388608TiB", "9223372036854775808", "99999999999999999999",
                                      "1.5GiB", "1 GiB"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 1;
        assert_true(text_parse_bytes(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes = 77;
        assert_false(text_parse_bytes(bad[i], &bytes));
        assert_int_equal(bytes, 77);
    }
}

static void test_text_parse_number_keeps_its_bounds(void **state)
{
    (void)state;
    unsigned number = 77;
    assert_false(text_parse_number("", 0, 2, &number));
    assert_false(text_parse_number("3", 0, 2, &number));
    assert_false(text_parse_number("0", 1, 2, &number));
    assert_false(text_parse_number("-1", 0, 2, &number));
    assert_false(text_parse_number("1x", 0, 2, &number));
    assert_false(text_parse_number("18446744073709551617", 0, 2, &number));
    assert_int_equal(number, 77);
    assert_true(text_parse_number("2", 0, 2, &number));
    assert_int_equal(number, 2);
    assert_true(text_parse_number("4294967295", 1, UINT32_MAX, &number));
    assert_int_equal(number, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_escape_shows_what_hides_or_piles_up),
        cmocka_unit_test(test_text_fit_cuts_at_columns),
        cmocka_unit_test(test_text_has_word_takes_whole_words),
        cmocka_unit_test(test_text_escape_keeps_what_is_harmless),
        cmocka_unit_test(test_text_escape_shows_what_steers_a_terminal),
        cmocka_unit_test(test_text_escape_shows_bytes_that_are_not_utf8),
        cmocka_unit_test(test_text_columns_counts_code_points),
        cmocka_unit_test(test_text_fold_breaks_at_blanks),
        cmocka_unit_test(test_text_bytes_has_a_unit),
        cmocka_unit_test(test_text_duration_has_a_unit),
        cmocka_unit_test(test_text_parse_duration_takes_units),
        cmocka_unit_test(test_text_parse_pause_takes_units),
        cmocka_unit_test(test_text_parse_bytes_takes_units),
        cmocka_unit_test(test_text_parse_number_keeps_its_bounds),
    };
    setlocale(LC_CTYPE, "C.UTF-8"); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
