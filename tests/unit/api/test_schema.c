/* The schemas as they are woven, and bodies held against them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/files.h"
#include "api/private.h"

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!json)
        fail_msg("no JSON: %s", text);
    return json;
}

static void test_what_is_woven(void **state)
{
    json_t *schemas = schemas_load(), *stats = json_object_get(schemas, "Stats");
    (void)state;
    assert_non_null(stats);
    json_t *properties = json_object_get(stats, "properties");
    assert_non_null(json_object_get(properties, "live_bytes"));
    assert_non_null(json_object_get(properties, "seq"));
    json_t *events = json_object_get(json_object_get(properties, "events"), "properties");
    assert_non_null(json_object_get(events, "level"));
    assert_non_null(json_object_get(events, "lost"));
    assert_int_equal(json_array_size(json_object_get(stats, "required")), json_object_size(properties));
    assert_null(json_object_get(stats, "x-members"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(schemas, "Collect"), "required")), 0);
    assert_null(json_object_get(json_object_get(schemas, "Type"), "x-optional"));
    char *text = json_dumps(schemas, 0);
    assert_null(strstr(text, "\"x-"));
    free(text);
    json_decref(schemas);
}

/* Every keyword that a body's schema uses is one that the check knows. */
static void keywords_check(const json_t *schemas, const json_t *schema, int depth)
{
    static const char known[] = " $ref type enum const minimum maximum minLength maxLength pattern items minItems maxItems "
                                "uniqueItems properties required additionalProperties propertyNames minProperties "
                                "maxProperties oneOf description default format ";
    const char *name, *member;
    json_t *part, *property;
    assert_true(depth < 16);
    json_object_foreach((json_t *)(uintptr_t)schema, name, part)
    {
        char word[64];
        snprintf(word, sizeof word, " %s ", name);
        if (!strstr(known, word))
            fail_msg("keyword %s", name);
        if (!strcmp(name, "$ref"))
            keywords_check(schemas, json_object_get(schemas, strrchr(json_string_value(part), '/') + 1), depth + 1);
        if (!strcmp(name, "items") || !strcmp(name, "additionalProperties") || !strcmp(name, "propertyNames"))
            keywords_check(schemas, part, depth + 1);
        if (!strcmp(name, "properties"))
            json_object_foreach(part, member, property) keywords_check(schemas, property, depth + 1);
        for (size_t i = 0; !strcmp(name, "oneOf") && i < json_array_size(part); i++)
            keywords_check(schemas, json_array_get(part, i), depth + 1);
    }
}

static void test_bodies_use_known_keywords(void **state)
{
    json_t *schemas = schemas_load();
    unsigned bodies = 0;
    (void)state;
    for (size_t i = 0; i < route_count; i++)
        if (routes[i].body) {
            json_t *schema = json_object_get(schemas, routes[i].body);
            if (!schema)
                fail_msg("%s: no schema %s", routes[i].path, routes[i].body);
            keywords_check(schemas, schema, 0);
            bodies++;
        }
    assert_true(bodies > 3);
    json_decref(schemas);
}

static void test_no_name_stands_in_two_files(void **state)
{
    json_t *schemas = schemas_load();
    size_t names = 1; /* Figures */
    (void)state;
    for (size_t i = 0; i < schema_file_count; i++) {
        json_t *some = json_loadb(schema_files[i].start, (size_t)(schema_files[i].end - schema_files[i].start), 0, NULL);
        names += json_object_size(some);
        json_decref(some);
    }
    assert_int_equal(json_object_size(schemas), names);
    json_decref(schemas);
}

static void test_values(void **state)
{
    static const struct {
        const char *schema, *value, *detail; /* NULL: good */
    } rows[] = {
        {"{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}", "1", NULL},
        {"{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}", "3", NULL},
        {"{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}", "0", "must be 1 to 3"},
        {"{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}", "4", "must be 1 to 3"},
        {"{\"type\":\"integer\"}", "1.0", "must be \"integer\""},
        {"{\"type\":\"number\"}", "1.5", NULL},
        {"{\"type\":\"boolean\"}", "0", "boolean"},
        {"{\"type\":[\"string\",\"null\"]}", "null", NULL},
        {"{\"type\":[\"string\",\"null\"]}", "1", "[\"string\",\"null\"]"},
        {"{\"enum\":[\"a\",2]}", "2", NULL},
        {"{\"enum\":[\"a\",2]}", "\"b\"", "must be one of [\"a\",2]"},
        {"{\"const\":1}", "2", "must be 1"},
        {"{\"oneOf\":[{\"type\":\"array\",\"items\":{\"const\":1}},{\"enum\":[\"a\"]}]}", "[2]", "must be 1"},
        {"{\"oneOf\":[{\"type\":\"array\",\"items\":{\"const\":1}},{\"enum\":[\"a\"]}]}", "2", "must be one of [\"a\"]"},
        {"{\"type\":\"array\",\"minItems\":3,\"maxItems\":3}", "[1]", "must be 3 items"},
        {"{\"type\":\"string\",\"minLength\":1,\"maxLength\":2}", "\"\"", "1 to 2 bytes"},
        {"{\"type\":\"string\",\"minLength\":1,\"maxLength\":2}", "\"abc\"", "1 to 2 bytes"},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}", "\"abc\"", NULL},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}", "\"Abc\"", "pattern ^[a-z]+$"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", "[1,2]", NULL},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", "[1,true]", "member \"[1]\""},
        {"{\"type\":\"array\",\"minItems\":1}", "[]", "1 to any items"},
        {"{\"type\":\"array\",\"maxItems\":1}", "[1,2]", "0 to 1 items"},
        {"{\"type\":\"array\",\"uniqueItems\":true}", "[1,2,1]", "twice"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"null\"}}}}}",
         "{\"a\":{\"b\":1}}", "member \"a.b\" is"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{}}}", "{\"b\":1}", "member \"b\" is not known"},
        {"{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{}}}", "{}", "lacks a"},
        {"{\"type\":\"object\",\"minProperties\":1}", "{}", "1 to any members"},
        {"{\"type\":\"object\",\"maxProperties\":0}", "{\"a\":1}", "0 members"},
        {"{\"type\":\"object\",\"additionalProperties\":true}", "{\"a\":1}", NULL},
        {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}", "{\"a\":1}", "member \"a\""},
        {"{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^x\"},\"additionalProperties\":true}", "{\"a\":1}", "^x"},
        {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"integer\",\"minimum\":2}]}", "\"a\"", NULL},
        {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"integer\",\"minimum\":2}]}", "1", "2 to any"},
        {"{\"$ref\":\"#/components/schemas/Other\"}", "\"x\"", NULL},
        {"{\"$ref\":\"#/components/schemas/Other\"}", "1", "string"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault fault = {.detail = ""};
        json_t *schemas = json_object(), *value = parse(rows[i].value);
        json_object_set_new(schemas, "It", parse(rows[i].schema));
        json_object_set_new(schemas, "Other", parse("{\"type\":\"string\"}"));
        bool good = schema_check(schemas, "It", value, &fault);
        if (good != !rows[i].detail || (rows[i].detail && !strstr(fault.detail, rows[i].detail)))
            fail_msg("%s of %s: %d \"%s\"", rows[i].value, rows[i].schema, good, fault.detail);
        json_decref(value);
        json_decref(schemas);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_woven), cmocka_unit_test(test_bodies_use_known_keywords), cmocka_unit_test(test_no_name_stands_in_two_files),
                                       cmocka_unit_test(test_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
