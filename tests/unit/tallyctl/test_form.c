/* Which form words are of, and what may stand next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tallyctl/form.h"

static int fits(const char *arguments, const char *first, const char *second, const char *third, int *count)
{
    char *words[] = {(char *)first, (char *)second, (char *)third}, *values[FORM_VALUES_MAX];
    int given = !first ? 0 : !second ? 1 : !third ? 2 : 3;
    return form_fits(arguments, words, given, values, count);
}

static void test_form_literals_values_and_what_may_be_left_out(void **state)
{
    (void)state;
    int count = -1;
    assert_true(fits("", NULL, NULL, NULL, &count));
    assert_int_equal(count, 0);
    assert_false(fits("", "x", NULL, NULL, &count));
    assert_true(fits("PROCESS since", "app", "since", NULL, &count));
    assert_int_equal(count, 1);
    assert_false(fits("PROCESS since", "app", "then", NULL, &count));
    assert_false(fits("PROCESS since", "app", NULL, NULL, &count));
    assert_true(fits("PROCESS [GENERATION]", "app", NULL, NULL, &count));
    assert_int_equal(count, 1);
    assert_true(fits("PROCESS [GENERATION]", "app", "2", NULL, &count));
    assert_int_equal(count, 2);
    assert_true(fits("PROCESS [SERIES,... [AGO]]", "app", NULL, NULL, &count));
    assert_true(fits("PROCESS [SERIES,... [AGO]]", "app", "a,b", "1h", &count));
    assert_int_equal(count, 3);
}

static void test_form_alternatives_and_repetition(void **state)
{
    (void)state;
    int count = -1;
    assert_true(fits("collect|freeze", "freeze", NULL, NULL, &count));
    assert_int_equal(count, 1);
    assert_false(fits("collect|freeze", "free", NULL, NULL, &count));
    assert_false(fits("collect|freeze", "collect|freeze", NULL, NULL, &count));
    assert_true(fits("AGE|PROCESS|all", "30d", NULL, NULL, &count));
    assert_true(fits("set SETTING=VALUE...", "set", "a=1", "b=2", &count));
    assert_int_equal(count, 2);
    assert_false(fits("set SETTING=VALUE...", "set", NULL, NULL, &count));
}

static void test_form_bounds_what_it_keeps(void **state)
{
    (void)state;
    char *words[FORM_VALUES_MAX + 1], *values[FORM_VALUES_MAX];
    int count = 0;
    for (size_t i = 0; i <= FORM_VALUES_MAX; i++)
        words[i] = "x";
    assert_true(form_fits("WORD...", words, FORM_VALUES_MAX, values, &count));
    assert_false(form_fits("WORD...", words, FORM_VALUES_MAX + 1, values, &count));
}

static void test_form_next_names_the_argument(void **state)
{
    (void)state;
    char *words[] = {"set", "a=1", "x"};
    const char *name;
    assert_int_equal(form_next("set SETTING=VALUE...", words, 1, &name), strlen("SETTING=VALUE"));
    assert_memory_equal(name, "SETTING=VALUE", strlen("SETTING=VALUE"));
    assert_int_equal(form_next("set SETTING=VALUE...", words, 3, &name), strlen("SETTING=VALUE"));
    assert_int_equal(form_next("show RULE", words, 1, &name), 0);
    assert_int_equal(form_next("[PROCESS]", words, 0, &name), strlen("PROCESS"));
    assert_int_equal(form_next("", words, 0, &name), 0);
}

static void test_form_literal_is_the_first_that_stands_for_itself(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *literal;
    } forms_[] = {{"", ""}, {"PROCESS", ""}, {"create NAME", "create"}, {"ARTIFACT types", "types"}, {"a|b", ""}, {"PROCESS since [B]", "since"}};
    char word[FORM_WORD_MAX];
    for (size_t i = 0; i < sizeof forms_ / sizeof *forms_; i++) {
        form_literal(forms_[i].arguments, word);
        assert_string_equal(word, forms_[i].literal);
    }
}

static void test_form_every_word_of_the_table_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < form_count; i++)
        if (forms[i].word) {
            assert_non_null(form_find(forms[i].word));
            assert_non_null(forms[i].run);
        }
    assert_null(form_find("nonsense"));
    assert_null(form_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form_literals_values_and_what_may_be_left_out),
        cmocka_unit_test(test_form_alternatives_and_repetition),
        cmocka_unit_test(test_form_bounds_what_it_keeps),
        cmocka_unit_test(test_form_next_names_the_argument),
        cmocka_unit_test(test_form_literal_is_the_first_that_stands_for_itself),
        cmocka_unit_test(test_form_every_word_of_the_table_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
