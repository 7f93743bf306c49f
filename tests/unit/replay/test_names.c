#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "replay/names.h"

static struct names names;

static int fini(void **state)
{
    (void)state;
    names_free(&names);
    return 0;
}

static struct word word(const char *text)
{
    return (struct word){text, strlen(text)};
}

static struct name *intern(const char *text)
{
    struct spelling spelling;
    assert_int_equal(lex_name(word(text), &spelling), REASON_NONE);
    return names_intern(&names, &spelling);
}

static bool alive(const char *text)
{
    bool is = false;
    assert_int_equal(label_alive(&names, word(text), &is), REASON_NONE);
    return is;
}

static void assert_label(const struct label *label, const char *want)
{
    struct text text = {.length = 0};
    label_write(&text, label);
    assert_int_equal(text.length, strlen(want));
    assert_memory_equal(text.data, want, text.length);
    text_free(&text);
}

static void test_intern_is_unique_and_stays(void **state)
{
    (void)state;
    struct name *first = intern("n[0]");
    for (uint64_t i = 0; i < 20000; i++) {
        struct name *name = names_intern(&names, &(struct spelling){word("n"), i});
        assert_true(name->index == i);
    }
    assert_ptr_equal(first, intern("n[0]"));
    assert_ptr_not_equal(first, intern("n"));
    assert_ptr_not_equal(first, intern("m[0]"));
    assert_ptr_not_equal(first, intern("n0"));
    assert_null(names_find(&names, &(struct spelling){word("n"), 20000}));
    assert_null(names_find(&names, &(struct spelling){word("absent"), INDEX_NONE}));
}

static void test_intern_in_any_order(void **state)
{
    (void)state;
    enum { COUNT = 300, STEP = 77 }; /* STEP has no divisor in common with COUNT */
    struct name *made[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t index = i * STEP % COUNT;
        struct spelling spelling = {word("n"), index};
        assert_null(names_find(&names, &spelling));
        made[index] = names_intern(&names, &spelling);
        assert_true(made[index]->index == index);
    }
    for (uint64_t i = 0; i < COUNT; i++)
        assert_ptr_equal(made[i], names_find(&names, &(struct spelling){word("n"), i}));
}

static void test_start_matches_as_text_would(void **state)
{
    (void)state;
    assert_true(name_starts_with(intern("next"), word("n")));
    assert_true(name_starts_with(intern("n[5]"), word("n")));
    assert_true(name_starts_with(intern("n[5]"), word("n[")));
    assert_true(name_starts_with(intern("n[99999999999999999999]"), word("n[")));
    assert_false(name_starts_with(intern("n"), word("n[")));
    assert_false(name_starts_with(intern("nn[5]"), word("n[")));
    assert_false(name_starts_with(intern("m"), word("n")));
}

static void test_labels_are_numbered_from_the_second(void **state)
{
    (void)state;
    struct label first, second, indexed;
    assert_true(label_take(&first, intern("a")));
    assert_true(label_take(&second, intern("a")));
    assert_true(label_take(&indexed, intern("p[7]")));
    assert_label(&first, "a");
    assert_label(&second, "a#2");
    assert_label(&indexed, "p[7]");
}

static void test_alive_knows_each_of_many(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct label labels[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_true(label_take(&labels[i], intern("a")));
    for (size_t i = 0; i < COUNT; i += 3)
        label_end(&labels[i]);
    assert_int_equal(names.live, COUNT - (COUNT + 2) / 3);
    for (size_t i = 1; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "a#%zu", i + 1);
        assert_int_equal(alive(text), i % 3 != 0);
    }
    assert_false(alive("a"));
}

static void test_alive_takes_odd_labels(void **state)
{
    (void)state;
    struct label label;
    for (int i = 0; i < 2; i++)
        assert_true(label_take(&label, intern("a")));
    assert_true(alive("a"));
    assert_true(alive("a#2"));
    const char *const none[] = {"a#", "a#0", "a#1", "a#02", "a#3", "a#2x", "a#2#2", "a#18446744073709551616",
                                "b", "a[0]"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(alive(none[i]));
    bool is;
    assert_int_equal(label_alive(&names, word("#2"), &is), REASON_BAD_NAME);
    assert_int_equal(label_alive(&names, word("a[#2"), &is), REASON_BAD_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_intern_is_unique_and_stays, fini),
        cmocka_unit_test_teardown(test_intern_in_any_order, fini),
        cmocka_unit_test_teardown(test_start_matches_as_text_would, fini),
        cmocka_unit_test_teardown(test_labels_are_numbered_from_the_second, fini),
        cmocka_unit_test_teardown(test_alive_knows_each_of_many, fini),
        cmocka_unit_test_teardown(test_alive_takes_odd_labels, fini),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
