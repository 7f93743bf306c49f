/* What a rule may say, and what is said to one that says something else. */
#include "rules_world.h"

#define WHEN "\"when\":{\"series\":\"live_bytes\",\"above\":1}"
#define DO "\"do\":[\"log\"]"

static struct rule *parse(const char *name, const char *text, char *why, size_t why_bytes)
{
    json_t *body = json_loads(text, 0, NULL);
    assert_non_null(body);
    struct rule *rule = rule_parse(name, body, read_command, why, why_bytes);
    json_decref(body);
    return rule;
}

static void test_what_is_left_out_is_filled_in(void **state)
{
    char why[256];
    (void)state;
    struct rule *rule = parse("big-heap", "{" WHEN "," DO "}", why, sizeof why);
    assert_non_null(rule);
    json_t *expected = json_loads("{\"name\":\"big-heap\",\"enabled\":true,\"selector\":{},\"limit_per_hour\":6," DO ","
                                  "\"when\":{\"series\":\"live_bytes\",\"above\":1,\"for\":\"0s\"}}", 0, NULL);
    assert_true(json_equal(rule->json, expected));
    json_decref(expected);
    rule_free(rule);
}

static void test_all_of_a_rule_is_read(void **state)
{
    char why[256], condition[96];
    (void)state;
    struct rule *rule = parse("r", "{\"name\":\"r\",\"enabled\":false,\"selector\":{\"name\":\"shop\",\"label\":{\"a\":\"b\"}},"
                                   "\"when\":{\"series\":\"type_live_bytes\",\"type\":\"node\",\"grows_by\":\"20%\",\"grows_steadily\":true,"
                                   "\"over\":\"10m\",\"for\":\"1500ms\"},\"do\":[\"alert\",{\"collect\":{\"generation\":1,\"deadline_ms\":900}},"
                                   "{\"config\":{}}],\"every\":\"5m\",\"limit_per_hour\":360}", why, sizeof why);
    assert_non_null(rule);
    assert_false(rule->enabled);
    assert_string_equal(rule->process_name, "shop");
    assert_int_equal(json_object_size(rule->labels), 1);
    assert_string_equal(rule->type, "node");
    assert_true(rule->condition == GROWS && rule->steadily && rule->percent && rule->bound == 20);
    assert_true(rule->over_ns == 600 * SECOND_NS && rule->for_ns == 1500000000u && rule->every_ns == 300 * SECOND_NS);
    assert_true(rule->alert && !rule->log);
    assert_int_equal(rule->action_count, 2);
    assert_string_equal(rule->actions[0].kind, "collect");
    assert_int_equal(rule->actions[0].deadline_ms, 900);
    assert_int_equal(rule->actions[0].command.generation, 1);
    assert_int_equal(rule->actions[1].deadline_ms, 30000);
    rule_condition(rule, condition, sizeof condition);
    assert_string_equal(condition, "grows by 20% steadily over 10m");
    rule_free(rule);
}

static void test_every_series_can_be_watched(void **state)
{
    char text[256], why[256];
    size_t at;
    json_t *all = rules_series_json(), *each;
    (void)state;
    assert_true(json_array_size(all) > 30);
    json_array_foreach(all, at, each)
    {
        snprintf(text, sizeof text, "{\"when\":{\"series\":\"%s\",\"above\":0}," DO "}", json_string_value(json_object_get(each, "name")));
        struct rule *rule = parse("r", text, why, sizeof why);
        assert_non_null(rule);
        rule_free(rule);
    }
    json_decref(all);
}

static void test_what_is_wrong_is_named(void **state)
{
    static const struct { const char *text, *why; } wrongs[] = {
        {"[]", "the rule must be an object"},
        {"{" WHEN "," DO ",\"colour\":1}", "member \"colour\" of the rule is unknown; there are: name enabled selector when do every limit_per_hour"},
        {"{" DO "}", "member \"when\" is missing"},
        {"{" WHEN "}", "member \"do\" must be"},
        {"{" WHEN ",\"do\":[]}", "member \"do\" must be"},
        {"{" WHEN ",\"do\":[\"log\",\"log\"]}", "a text of do must be"},
        {"{" WHEN ",\"do\":[\"shout\"]}", "a text of do must be"},
        {"{" WHEN ",\"do\":[{\"collect\":{\"generation\":\"x\"}}]}", "\"collect\" of do: member \"generation\" is wrong"},
        {"{" WHEN ",\"do\":[{\"collect\":3}]}", "\"collect\" of do: must be an object"},
        {"{" WHEN ",\"do\":[{\"reboot\":{}}]}", "an object of do must be"},
        {"{" WHEN ",\"do\":[{\"collect\":{},\"config\":{}}]}", "an object of do must be"},
        {"{" WHEN ",\"do\":[{\"collect\":{}},{\"collect\":{}},{\"collect\":{}},{\"collect\":{}},{\"collect\":{}}]}", "do may have at most 4"},
        {"{" WHEN ",\"do\":[1]}", "an object of do must be"},
        {"{" WHEN "," DO ",\"enabled\":1}", "member \"enabled\""},
        {"{" WHEN "," DO ",\"name\":\"other\"}", "member \"name\""},
        {"{" WHEN "," DO ",\"limit_per_hour\":0}", "member \"limit_per_hour\""},
        {"{" WHEN "," DO ",\"limit_per_hour\":361}", "member \"limit_per_hour\""},
        {"{" WHEN "," DO ",\"every\":\"1s\"}", "member \"every\" of the rule must be a time"},
        {"{" WHEN "," DO ",\"selector\":{\"pid\":1}}", "member \"pid\" of selector is unknown"},
        {"{" WHEN "," DO ",\"selector\":{\"name\":\"\"}}", "member \"name\" of selector"},
        {"{" WHEN "," DO ",\"selector\":{\"label\":{\"a\":1}}}", "label \"a\" of selector"},
        {"{" WHEN "," DO ",\"selector\":{\"state\":\"gone\"}}", "member \"state\" of selector"},
        {"{" WHEN "," DO ",\"selector\":[]}", "selector must be an object"},
        {"{\"when\":{\"series\":\"weather\",\"above\":1}," DO "}", "member \"series\" of when must be one of these, not \"weather\": live_objects"},
        {"{\"when\":{\"series\":\"\",\"above\":1}," DO "}", "member \"series\" of when must be one of these, not \"\": live_objects"},
        {"{\"when\":{\"series\":1,\"above\":1}," DO "}", "member \"series\" of when must be one of these: live_objects"},
        {"{\"when\":{\"series\":\"live_bytes\"}," DO "}", "when needs one of"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":1,\"below\":2}," DO "}", "when needs one of"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":1,\"grows_steadily\":true}," DO "}", "when needs one of"},
        {"{\"when\":{\"series\":\"live_bytes\",\"grows_steadily\":false}," DO "}", "member \"grows_steadily\""},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":-1}," DO "}", "member \"above\" of when must be a number"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":\"5%\"}," DO "}", "member \"above\" of when must be a number"},
        {"{\"when\":{\"series\":\"live_bytes\",\"grows_by\":\"5\"}," DO "}", "member \"grows_by\" of when must be a number"},
        {"{\"when\":{\"series\":\"live_bytes\",\"grows_by\":\"0x5%\"}," DO "}", "member \"grows_by\" of when must be a number"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":1,\"type\":\"t\"}," DO "}", "member \"type\" of when"},
        {"{\"when\":{\"series\":\"type_live_bytes\",\"above\":1,\"type\":\"\"}," DO "}", "member \"type\" of when"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":1,\"over\":\"60s\"}," DO "}", "member \"over\" of when has no meaning"},
        {"{\"when\":{\"series\":\"live_bytes\",\"grows_by\":1,\"over\":\"9s\"}," DO "}", "member \"over\" of when must be a time"},
        {"{\"when\":{\"series\":\"live_bytes\",\"grows_by\":1,\"over\":\"8d\"}," DO "}", "member \"over\" of when must be a time"},
        {"{\"when\":{\"series\":\"live_bytes\",\"grows_by\":1,\"over\":60}," DO "}", "member \"over\" of when must be a time"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":1,\"for\":\"1 s\"}," DO "}", "member \"for\" of when must be a time"},
        {"{\"when\":{\"series\":\"live_bytes\",\"above\":1,\"for\":\"99999999999s\"}," DO "}", "member \"for\" of when must be a time"},
        {"{\"when\":{\"series\":\"allocations_per_s\",\"grows_by\":1}," DO "}", "when: a rate has no growth"},
    };
    char why[256];
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        assert_null(parse("r", wrongs[i].text, why, sizeof why));
        if (strncmp(why, wrongs[i].why, strlen(wrongs[i].why)) != 0)
            fail_msg("%s\n  says: %s\n  not: %s", wrongs[i].text, why, wrongs[i].why);
    }
    assert_null(parse("", "{" WHEN "," DO "}", why, sizeof why));
    assert_null(parse("../x", "{" WHEN "," DO "}", why, sizeof why));
    assert_null(parse("UPPER", "{" WHEN "," DO "}", why, sizeof why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_left_out_is_filled_in),
        cmocka_unit_test(test_all_of_a_rule_is_read),
        cmocka_unit_test(test_every_series_can_be_watched),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
