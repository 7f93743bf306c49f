/* The query: what each kind of parameter allows, and what is said of what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/private.h"

static void test_kinds(void **state)
{
    static const struct {
        enum parameter_kind kind;
        const char *allowed, *value;
        bool good;
    } rows[] = {
        {INTEGER, "1..1000", "1", true},        {INTEGER, "1..1000", "1000", true},     {INTEGER, "1..1000", "0", false},
        {INTEGER, "1..1000", "1001", false},    {INTEGER, "1..1000", "5x", false},      {INTEGER, "1..1000", " 5", false},
        {INTEGER, "1..1000", "+5", false},      {INTEGER, "1..1000", "", false},        {INTEGER, "0..9", "99999999999999999999999", false},
        {BOOLEAN, "", "true", true},            {BOOLEAN, "", "false", true},           {BOOLEAN, "", "1", false},
        {WORD, "live gone", "gone", true},      {WORD, "live gone", "gon", false},      {WORD, "live gone", "live gone", false},
        {WORD, "live gone", "", false},         {SORT, "name live", "name", true},      {SORT, "name live", "-name", true},
        {SORT, "name live", "+live", true},     {SORT, "name live", "--name", false},   {SORT, "name live", "-", false},
        {LIST, "a bc d", "a", true},            {LIST, "a bc d", "bc,a", true},         {LIST, "a bc d", "a,", false},
        {LIST, "a bc d", ",a", false},          {LIST, "a bc d", "b", false},           {LIST, "a bc d", "", false},
        {DURATION, "60s", "60s", true},         {DURATION, "60s", "1m", true},          {DURATION, "60s", "61s", false},
        {DURATION, "60s", "60001ms", false},    {DURATION, "60s", "5", false},          {TEXT, "1..3", "abc", true},
        {TEXT, "1..3", "", false},              {TEXT, "1..3", "abcd", false},          {PAIR, "", "k:v", true},
        {PAIR, "", "k:", true},                 {PAIR, "", ":v", false},                {PAIR, "", "kv", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault fault = {.detail = ""};
        struct parameter_row row = {.name = "it", .kind = rows[i].kind, .allowed = rows[i].allowed};
        if (parameter_check(&row, rows[i].value, &fault) != rows[i].good)
            fail_msg("%s as %s", rows[i].value, rows[i].allowed);
        if (!rows[i].good && strncmp(fault.detail, "it must be ", 11))
            fail_msg("%s", fault.detail);
    }
}

static void test_queries(void **state)
{
    static const struct {
        const char *query, *detail; /* NULL: good */
    } rows[] = {
        {"", NULL}, {"?", NULL}, {"?limit=5", NULL}, {"?limit=5&sort=name", NULL}, {"?limit=5&", NULL},
        {"?label=a:b&label=c:d", NULL}, {"?state=li%76e", NULL}, {"?limit=5&limit=5", "limit has no value, or stands twice"},
        {"?limit", "limit has no value"}, {"?limit=%zz", "limit is malformed"}, {"?nope=1", "nope is not known here; there are: state label sort limit cursor"},
        {"?process_sort=name", "process_sort is not known"}, {"?=1", "not known"}, {"?&limit=5", "not known"}, {"?limit=0", "limit must be an integer"},
        {"?state=%00", "state is malformed"},
    };
    static struct request request;
    static char texts[3 * TARGET_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char allow[64];
        const char *detail = request.fault.detail;
        const char *why;
        bool known;
        memset(&request, 0, sizeof request);
        request.target = texts;
        request.decoded = texts + TARGET_MAX;
        request.decoded_room = 2 * TARGET_MAX;
        snprintf(request.target, TARGET_MAX, "/v1/processes%s", rows[i].query);
        assert_true(target_parse(&request, &why));
        request.route = route_find(&request, "GET", &known, allow, sizeof allow);
        bool good = parameters_read(&request);
        if (good != !rows[i].detail || (rows[i].detail && !strstr(detail, rows[i].detail)))
            fail_msg("%s: %d \"%s\"", rows[i].query, good, detail);
    }
    assert_null(request_parameter(&request, "limit"));
    assert_int_equal(request_integer(&request, "limit", 7), 7);
    assert_false(request_flag(&request, "limit"));
}

/* Every word of a route's whitelist, and every {segment}, has its row. */
static void test_routes_name_rows(void **state)
{
    static const char segments[] =
#define SEGMENT(name, allowed, help) "{" #name "}"
#define PARAMETER(word, name, kind, allowed, help)
#include "api/parameters.def"
        ;
#undef PARAMETER
#undef SEGMENT
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        for (const char *word = routes[i].parameters; *word; word += strspn(word, " ")) {
            size_t bytes = strcspn(word, " ");
            if (!parameter_row(word, bytes))
                fail_msg("%s: no parameter %s", routes[i].path, word);
            word += bytes;
        }
        for (const char *at = routes[i].path; (at = strchr(at, '{')); at++) {
            char segment[32];
            snprintf(segment, sizeof segment, "%.*s", (int)(strcspn(at, "}") + 1), at);
            if (!strstr(segments, segment))
                fail_msg("%s: no segment %s", routes[i].path, segment);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_queries),
                                       cmocka_unit_test(test_routes_name_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
