#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "replay/lex.h"

static struct word word(const char *text)
{
    return (struct word){text, strlen(text)};
}

static void test_word_cut_at_the_first_mark(void **state)
{
    (void)state;
    struct word left = word("a=b=c"), right;
    assert_true(word_cut(&left, '=', &right));
    assert_true(word_is(left, "a"));
    assert_true(word_is(right, "b=c"));
    assert_false(word_cut(&left, '=', &right));
    assert_true(word_is(left, "a"));
    assert_int_equal(right.length, 0);
}

static void test_name_plain_and_indexed(void **state)
{
    (void)state;
    struct spelling name;
    assert_int_equal(lex_name(word("_a9"), &name), REASON_NONE);
    assert_true(word_is(name.prefix, "_a9"));
    assert_true(name.index == INDEX_NONE);
    assert_int_equal(lex_name(word("n[17]"), &name), REASON_NONE);
    assert_true(word_is(name.prefix, "n"));
    assert_int_equal(name.index, 17);
    assert_int_equal(lex_name(word("n[0]"), &name), REASON_NONE);
    assert_int_equal(name.index, 0);
}

static void test_name_index_too_big_stays_text(void **state)
{
    (void)state;
    struct spelling name;
    assert_int_equal(lex_name(word("n[18446744073709551614]"), &name), REASON_NONE);
    assert_true(name.index == UINT64_MAX - 1);
    const char *const bigger[] = {"n[18446744073709551615]", "n[18446744073709551616]",
                                  "n[99999999999999999999999999]"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(lex_name(word(bigger[i]), &name), REASON_NONE);
        assert_true(word_is(name.prefix, bigger[i]));
        assert_true(name.index == INDEX_NONE);
    }
}

static void test_name_bad(void **state)
{
    (void)state;
    const char *const bad[] = {"", "9a", "a-b", "a[", "a[]", "a]", "[1]", "a[01]", "a[1", "a[1]x", "a[-1]",
                               "a[ 1]", "a[1][2]", "a.b", "a#2", "\xc3\xa9", "a*"};
    struct spelling name;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lex_name(word(bad[i]), &name), REASON_BAD_NAME);
    assert_int_equal(lex_name((struct word){"a\0b", 3}, &name), REASON_BAD_NAME);
}

static void test_prefix_has_no_index(void **state)
{
    (void)state;
    struct word prefix;
    assert_int_equal(lex_prefix(word("abc"), &prefix), REASON_NONE);
    assert_true(word_is(prefix, "abc"));
    assert_int_equal(lex_prefix(word("a[1]"), &prefix), REASON_BAD_NAME);
    assert_int_equal(lex_prefix(word(""), &prefix), REASON_BAD_NAME);
}

static void test_start_may_end_in_a_bracket(void **state)
{
    (void)state;
    assert_true(lex_is_start(word("n")));
    assert_true(lex_is_start(word("n[")));
    assert_false(lex_is_start(word("")));
    assert_false(lex_is_start(word("[")));
    assert_false(lex_is_start(word("n[1")));
    assert_false(lex_is_start(word("n*")));
}

static void test_number_range(void **state)
{
    (void)state;
    uint64_t number;
    assert_int_equal(lex_number(word("10000000"), 0, COUNT_MAX, &number), REASON_NONE);
    assert_int_equal(number, 10000000);
    assert_int_equal(lex_number(word("10000001"), 0, COUNT_MAX, &number), REASON_BAD_NUMBER);
    assert_int_equal(lex_number(word("0"), 1, COUNT_MAX, &number), REASON_BAD_NUMBER);
    assert_int_equal(lex_number(word("18446744073709551615"), 0, UINT64_MAX, &number), REASON_NONE);
    assert_true(number == UINT64_MAX);
    assert_int_equal(lex_number(word("18446744073709551616"), 0, UINT64_MAX, &number), REASON_BAD_NUMBER);
    assert_int_equal(lex_number(word("99999999999999999999"), 0, UINT64_MAX, &number), REASON_BAD_NUMBER);
}

static void test_number_digits(void **state)
{
    (void)state;
    uint64_t number;
    assert_int_equal(lex_number(word("00000000000000000002"), 0, 2, &number), REASON_NONE);
    assert_int_equal(number, 2);
    const char *const bad[] = {"", "-1", "+1", "1a", "0x1", " 1", "000000000000000000002"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lex_number(word(bad[i]), 0, COUNT_MAX, &number), REASON_BAD_NUMBER);
}

static void test_place_is_cut_at_the_last_dot(void **state)
{
    (void)state;
    struct place place;
    assert_int_equal(lex_place(word("n[3].1048575"), &place), REASON_NONE);
    assert_true(word_is(place.head, "n[3]"));
    assert_int_equal(place.name.index, 3);
    assert_int_equal(place.slot, 1048575);
    assert_int_equal(lex_place(word("n"), &place), REASON_BAD_SYNTAX);
    assert_int_equal(lex_place(word(""), &place), REASON_BAD_SYNTAX);
    assert_int_equal(lex_place(word("a.b.0"), &place), REASON_BAD_NAME);
    assert_int_equal(lex_place(word(".0"), &place), REASON_BAD_NAME);
    assert_int_equal(lex_place(word("a."), &place), REASON_BAD_NUMBER);
    assert_int_equal(lex_place(word("a.1048576"), &place), REASON_BAD_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word_cut_at_the_first_mark), cmocka_unit_test(test_name_plain_and_indexed),
        cmocka_unit_test(test_name_index_too_big_stays_text), cmocka_unit_test(test_name_bad),
        cmocka_unit_test(test_prefix_has_no_index), cmocka_unit_test(test_start_may_end_in_a_bracket),
        cmocka_unit_test(test_number_range), cmocka_unit_test(test_number_digits),
        cmocka_unit_test(test_place_is_cut_at_the_last_dot),
    };
    return cmocka_run_group_tests_name("lex", tests, NULL, NULL);
}
