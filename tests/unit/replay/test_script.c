#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "replay/script.h"

static void load(struct script *script, const char *text)
{
    assert_true(script_load(script, text, strlen(text)));
}

static void test_lines_end_in_any_way(void **state)
{
    (void)state;
    struct script script;
    load(&script, "live\r\n\rlive\n\nlive");
    assert_int_equal(script.count, 5);
    const enum line_kind kinds[] = {LINE_COMMAND, LINE_BLANK, LINE_COMMAND, LINE_BLANK, LINE_COMMAND};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(script.lines[i].kind, kinds[i]);
    script_free(&script);
}

static void test_comments_need_a_blank_in_front(void **state)
{
    (void)state;
    struct script script;
    struct words words = {.count = 0};
    load(&script, "# all\nalive a#2 # rest # more\nend# no comment\n\t#x\n");
    assert_int_equal(script.lines[0].kind, LINE_BLANK);
    assert_true(words_split(&words, &script.lines[1], NULL));
    assert_int_equal(words.count, 2);
    assert_true(word_is(words.list[1], "a#2"));
    assert_int_equal(script.lines[2].kind, LINE_COMMAND);
    assert_int_equal(script.lines[3].kind, LINE_BLANK);
    words_free(&words);
    script_free(&script);
}

static void test_repeats_find_their_ends(void **state)
{
    (void)state;
    struct script script;
    load(&script, "end\nrepeat 2\nrepeat 3\nend\n#end\nend\nrepeat 1\nrepeat 1\nend\n");
    assert_int_equal(script.lines[1].end, 5);
    assert_int_equal(script.lines[2].end, 3);
    assert_int_equal(script.lines[6].end, NO_END);
    assert_int_equal(script.lines[7].end, 8);
    script_free(&script);
}

static void test_dollars_are_replaced_as_text(void **state)
{
    (void)state;
    struct script script;
    struct words words = {.count = 0};
    load(&script, "set a$$.$ = b[$] # $\n");
    uint64_t iteration = 12;
    assert_true(words_split(&words, &script.lines[0], &iteration));
    assert_int_equal(words.count, 4);
    assert_true(word_is(words.list[1], "a1212.12"));
    assert_true(word_is(words.list[3], "b[12]"));
    assert_true(words_split(&words, &script.lines[0], NULL));
    assert_true(word_is(words.list[1], "a$$.$"));
    words_free(&words);
    script_free(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_end_in_any_way), cmocka_unit_test(test_comments_need_a_blank_in_front),
        cmocka_unit_test(test_repeats_find_their_ends), cmocka_unit_test(test_dollars_are_replaced_as_text),
    };
    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
