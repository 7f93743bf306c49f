/* Verdicts of assert, and how they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tallyctl/judge.h"

static struct verdict given(const struct ctl *ctl, const char *stats, const char *types)
{
    json_t *first = json_loads(stats, 0, NULL), *second = json_loads(types, 0, NULL);
    assert_non_null(first);
    assert_non_null(second);
    struct verdict verdict = judge(ctl, first, second);
    json_decref(first);
    json_decref(second);
    return verdict;
}

static const char stats[] =
    "{\"state\":\"live\",\"live_objects\":10,\"live_bytes\":320,\"heaps\":[{\"types_without_row\":0}]}";
static const char types[] =
    "[{\"name\":\"Node\",\"live_objects\":3,\"live_bytes\":96,\"since_baseline\":{\"live_objects\":2}},"
    "{\"name\":\"Leaf\",\"live_objects\":7,\"live_bytes\":224,\"since_baseline\":{\"live_objects\":-5}},"
    "{\"name\":\"Node\",\"live_objects\":1,\"live_bytes\":8,\"since_baseline\":{\"live_objects\":1}}]";

static void test_judge_by_type_and_by_all(void **state)
{
    (void)state;
    struct ctl ctl = {.type = "Node", .max_live = {true, 4}, .max_bytes = {true, 103}, .max_growth = {true, 3}};
    struct verdict verdict = given(&ctl, stats, types);
    assert_int_equal(verdict.count, 3);
    assert_true(verdict.checks[0].holds);
    assert_int_equal(verdict.checks[0].value, 4);
    assert_false(verdict.checks[1].holds);
    assert_int_equal(verdict.checks[1].value, 104);
    assert_true(verdict.checks[2].holds);
    assert_false(verdict.holds);
    ctl = (struct ctl){.max_live = {true, 9}, .max_growth = {true, 0}};
    verdict = given(&ctl, stats, types);
    assert_int_equal(verdict.checks[0].value, 10);
    assert_false(verdict.checks[0].holds);
    assert_int_equal(verdict.checks[1].value, -2);
    assert_true(verdict.checks[1].holds);
}

static void test_judge_says_the_numbers_and_what_is_odd(void **state)
{
    (void)state;
    struct ctl ctl = {.type = "Nodd", .max_live = {true, 0}};
    struct verdict verdict = given(&ctl, "{\"state\":\"gone\",\"heaps\":[{\"types_without_row\":2}]}", types);
    assert_true(verdict.holds);
    char *text = judge_sentence_dup(&verdict);
    assert_string_equal(text, "Nodd: 0 live objects, at most 0 (no object of this type was ever seen: is that its name?) "
                              "(some types have no row of their own: there may be more) (the last figures: it has ended)");
    free(text);
    json_t *json = judge_json(&verdict, "app");
    assert_true(json_is_false(json_object_get(json, "known")));
    assert_true(json_is_true(json_object_get(json, "holds")));
    json_decref(json);
}

static void test_judge_is_blind_where_nothing_was_seen(void **state)
{
    (void)state;
    static const struct { const char *text; bool blind; } cases[] = {
        {"{\"state\":\"gone\",\"allocations\":0}", true},
        {"{\"state\":\"gone\"}", true},
        {"{\"state\":\"gone\",\"allocations\":1}", false},
        {"{\"state\":\"gone\",\"allocations\":0,\"heaps\":[{\"n\":1}]}", false},
        {"{\"state\":\"live\",\"allocations\":0}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *seen = json_loads(cases[i].text, 0, NULL);
        assert_int_equal(judge_is_blind(seen), cases[i].blind);
        json_decref(seen);
    }
}

static char *junit_new(const struct verdict *verdict, const char *process, const char *error)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    judge_junit(to, verdict, process, error, 0.5);
    fclose(to);
    return text;
}

static void test_judge_junit_is_xml_whatever_the_names(void **state)
{
    (void)state;
    struct ctl ctl = {.type = "a<b>&\"\x01", .max_live = {true, 0}};
    struct verdict verdict = given(&ctl, stats, "[{\"name\":\"a<b>&\\\"\\u0001\",\"live_objects\":2}]");
    char *text = junit_new(&verdict, "x&y", NULL);
    assert_string_equal(text,
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<testsuite name=\"tallyctl assert\" tests=\"1\" failures=\"1\" errors=\"0\" time=\"0.500\">\n"
                        "  <testcase classname=\"tallyctl.assert.x&amp;y\" time=\"0.500\" "
                        "name=\"a&lt;b&gt;&amp;&quot;\\x01: at most 0 live objects\">"
                        "<failure message=\"2 live objects, at most 0\"/></testcase>\n</testsuite>\n");
    free(text);
    text = junit_new(&(struct verdict){.of = ""}, "app", "no \"tallyd\"");
    assert_non_null(strstr(text, "errors=\"1\""));
    assert_non_null(strstr(text, "<error message=\"no &quot;tallyd&quot;\"/>"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge_by_type_and_by_all),
        cmocka_unit_test(test_judge_is_blind_where_nothing_was_seen),
        cmocka_unit_test(test_judge_says_the_numbers_and_what_is_odd),
        cmocka_unit_test(test_judge_junit_is_xml_whatever_the_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
