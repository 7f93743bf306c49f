/* Which process a word means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tallyctl/match.h"

#define ID(digit) digit digit digit digit digit digit digit digit /* of 4 digits each */

static json_t *list;

static int make_list(void **state)
{
    (void)state;
    static const struct {
        const char *id, *name, *state;
        int pid;
    } rows[] = {
        {ID("aaaa"), "bakery", "live", 100}, {ID("aaab"), "twin", "live", 101},
        {ID("aaac"), "twin", "live", 102},   {ID("bbbb"), "bakery", "gone", 103},
        {ID("cccc"), "102", "live", 104},    {ID("dddd"), "shop", "gone", 100},
        {ID("1234"), "nameless", "live", 0}, {ID("1235"), "123412", "live", 9},
    };
    list = json_array();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i}", "id", rows[i].id, "name", rows[i].name,
                                              "state", rows[i].state, "pid", rows[i].pid));
    return list ? 0 : -1;
}

static int free_list(void **state)
{
    (void)state;
    json_decref(list);
    return 0;
}

/* The only candidate's id, or "" where there is not exactly one. */
static const char *only(const char *word)
{
    const json_t *candidates[4] = {NULL};
    return match_processes(list, word, candidates, 4) == 1 ? client_text(candidates[0], "id") : "";
}

static size_t how_many(const char *word)
{
    const json_t *candidates[1];
    return match_processes(list, word, candidates, 1);
}

static void test_match_by_id_and_its_beginning(void **state)
{
    (void)state;
    assert_string_equal(only(ID("aaaa")), ID("aaaa"));
    assert_string_equal(only(ID("AAAA")), ID("aaaa"));
    assert_string_equal(only("bbbbbb"), ID("bbbb"));
    assert_string_equal(only("dddddddd"), ID("dddd"));
    assert_int_equal(how_many("bbbbb"), 0);
    assert_int_equal(how_many("aaabaaac"), 0);
    assert_int_equal(how_many(ID("ffff")), 0);
}

static void test_match_by_pid_prefers_who_lives(void **state)
{
    (void)state;
    assert_string_equal(only("100"), ID("aaaa"));
    assert_string_equal(only("103"), ID("bbbb"));
    assert_string_equal(only("102"), ID("aaac"));
    assert_int_equal(how_many("0"), 0);
    assert_int_equal(how_many("-100"), 0);
}

static void test_match_by_name_prefers_who_lives(void **state)
{
    (void)state;
    assert_string_equal(only("bakery"), ID("aaaa"));
    assert_string_equal(only("shop"), ID("dddd"));
    assert_string_equal(only("123412"), ID("1235"));
    assert_int_equal(how_many("bake"), 0);
    assert_int_equal(how_many(""), 0);
}

static void test_match_counts_the_ambiguous(void **state)
{
    (void)state;
    assert_int_equal(how_many("twin"), 2);
    assert_string_equal(only("twin"), "");
}

static void test_match_survives_a_strange_list(void **state)
{
    (void)state;
    const json_t *candidates[1];
    json_t *strange = json_loads("[null, 7, {}, {\"id\":5,\"pid\":\"x\",\"name\":null}, []]", 0, NULL);
    assert_non_null(strange);
    assert_int_equal(match_processes(strange, "x", candidates, 1), 0);
    assert_int_equal(match_processes(NULL, "x", candidates, 1), 0);
    json_decref(strange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match_by_id_and_its_beginning),
        cmocka_unit_test(test_match_by_pid_prefers_who_lives),
        cmocka_unit_test(test_match_by_name_prefers_who_lives),
        cmocka_unit_test(test_match_counts_the_ambiguous),
        cmocka_unit_test(test_match_survives_a_strange_list),
    };
    return cmocka_run_group_tests(tests, make_list, free_list);
}
