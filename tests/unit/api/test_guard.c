/* Hosts, targets, routes, bodies and login: the parts, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "api/private.h"
#include "base/clock.h"

static void test_hosts(void **state)
{
    static const struct {
        const char *host;
        bool known;
    } rows[] = {
        {"127.0.0.1:7717", true},        {"localhost:7717", true},       {"[::1]:7717", true},
        {"192.0.2.7:7717", true},        {"tally.example", true},        {"127.0.0.1", false},
        {"localhost", false},            {"[::1]", false},               {"", false},
        {"127.0.0.1:", false},           {"127.0.0.1:7718", false},      {"127.0.0.1:07717", false},
        {"127.0.0.1:77170", false},      {"127.0.0.1:7717 ", false},     {" 127.0.0.1:7717", false},
        {"127.0.0.1.:7717", false},      {"127.0.0.2:7717", false},      {"127.1:7717", false},
        {"0x7f000001:7717", false},      {"2130706433:7717", false},     {"0.0.0.0:7717", false},
        {"LOCALHOST:7717", false},       {"localhost.:7717", false},     {"localhost.evil.com:7717", false},
        {"127.evil.com:7717", false},    {"evil.com:7717", false},       {"127.0.0.1:7717.evil.com", false},
        {"user@127.0.0.1:7717", false},  {"[::1]:7718", false},          {"::1:7717", false},
        {"[0:0:0:0:0:0:0:1]:7717", false}, {"[::ffff:127.0.0.1]:7717", false}, {"tally.example:7717", false},
        {"tally.example.evil.com", false}, {"http://127.0.0.1:7717", false}, {"127.0.0.1:7717/", false},
    };
    struct api api = {.tcp_address = "192.0.2.7:7717", .public_host = "tally.example", .tcp_port = 7717};
    struct api http = {.tcp_address = "127.0.0.1:80", .tcp_port = 80};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (guard_host_known(&api, rows[i].host) != rows[i].known)
            fail_msg("%s", rows[i].host);
    assert_true(guard_host_known(&http, "localhost")); /* a browser leaves 80 out */
    assert_false(guard_host_known(&http, ""));
}

static bool parse(struct request *request, const char *target)
{
    const char *detail;
    static char texts[3 * TARGET_MAX];
    memset(request, 0, sizeof *request);
    request->target = texts;
    request->decoded = texts + TARGET_MAX;
    request->decoded_room = 2 * TARGET_MAX;
    snprintf(request->target, TARGET_MAX, "%s", target);
    return target_parse(request, &detail);
}

static void test_targets(void **state)
{
    static const struct {
        const char *target;
        const char *segments; /* joined by |; NULL: refused */
    } rows[] = {
        {"/", ""}, {"/a/b", "a|b"}, {"/a/", "a|"}, {"//", "|"}, {"/a%20b", "a b"}, {"/a%2fb/c", "a/b|c"},
        {"/a%2Fb", "a/b"}, {"/%2e%2e/x", "..|x"}, {"/a?b/c", "a"}, {"/a%3fb", "a?b"}, {"/%c3%a9", "\xc3\xa9"},
        {"/a+b", "a+b"}, {"/%2541", "%41"}, {"/a%00b", NULL}, {"/%", NULL}, {"/%4", NULL}, {"/%g0", NULL},
        {"/a%4?x", NULL}, {"", NULL}, {"*", NULL}, {"http://h/", NULL}, {"a/b", NULL},
        {"/1/2/3/4/5/6/7/8", "1|2|3|4|5|6|7|8"}, {"/1/2/3/4/5/6/7/8/9", NULL},
    };
    static struct request request;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char joined[1024] = "";
        size_t used = 0;
        if (parse(&request, rows[i].target) != (rows[i].segments != NULL))
            fail_msg("%s", rows[i].target);
        for (unsigned s = 0; rows[i].segments && s < request.segment_count; s++)
            used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%s", s ? "|" : "",
                                     request.segments[s]);
        if (rows[i].segments)
            assert_string_equal(joined, rows[i].segments);
    }
    char target[SEGMENT_BYTES + 8] = "/";
    memset(target + 1, 'a', SEGMENT_BYTES);
    assert_false(parse(&request, target));
    target[SEGMENT_BYTES] = '\0';
    assert_true(parse(&request, target));
}

static void test_routes(void **state)
{
    static const struct {
        const char *method, *target, *path; /* NULL: none */
        bool known;
    } rows[] = {
        {"GET", "/healthz", "/healthz", true},
        {"HEAD", "/v1/processes/7/stats", "/v1/processes/{id}/stats", true},
        {"PATCH", "/v1/processes/7/config", "/v1/processes/{id}/config", true},
        {"POST", "/v1/processes/7/heaps/2/collect", "/v1/processes/{id}/heaps/{n}/collect", true},
        {"DELETE", "/v1/operations/x", "/v1/operations/{op}", true},
        {"PUT", "/v1/operations/x", NULL, true},
        {"HEAD", "/v1/session", "/v1/session", true},
        {"PUT", "/v1/session", NULL, true},
        {"get", "/healthz", NULL, true},
        {"GET", "/healthz/", NULL, false},
        {"GET", "/v1/processes//stats", NULL, false},
        {"GET", "/v1/processes/%2f/stats", "/v1/processes/{id}/stats", true},
        {"GET", "/v1%2finfo", NULL, false},
        {"GET", "/v1", NULL, false},
        {"GET", "/v1/info/x", NULL, false},
    };
    static struct request request;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool known;
        char allow[64];
        assert_true(parse(&request, rows[i].target));
        const struct route *route = route_find(&request, rows[i].method, &known, allow, sizeof allow);
        assert_int_equal(known, rows[i].known);
        if (!rows[i].path)
            assert_null(route);
        else
            assert_string_equal(route->path, rows[i].path);
    }
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t ns;
    } rows[] = {{"5s", true, 5000000000u},
                {"250ms", true, 250000000u},
                {"0s", true, 0},
                {"60s", true, 60000000000u},
                {"60000ms", true, 60000000000u},
                {"5m", true, 300000000000u},
                {"2h", true, 7200000000000u},
                {"30d", true, 2592000000000000u},
                {"300000d", false, 0},
                {"5", false, 0},
                {"s", false, 0},
                {"", false, 0},
                {"-1s", false, 0},
                {"1.5s", false, 0},
                {"5 s", false, 0},
                {"5w", false, 0},
                {"99999999999999999999s", false, 0},
                {"5S", false, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ns = 0;
        assert_int_equal(parse_duration(rows[i].text, &ns), rows[i].good);
        if (rows[i].good)
            assert_int_equal(ns, rows[i].ns);
    }
}

static void test_bodies(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"{}", true},
        {" {\"a\":[1,{\"b\":\"[[[[[[[[[[[[[[[[[[[[[[\"}]} ", true},
        {"{\"a\":\"\\\"{{{{{{{{{{{{{{{{{{\"}", true},
        {"{\"\\\"\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", false},
        {"{\"a\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}", true},
        {"{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", false},
        {"", false},
        {"[]", false},
        {"1", false},
        {"null", false},
        {"{", false},
        {"{}x", false},
        {"{\"a\":1,\"a\":1}", false},
        {"{\"a\":NaN}", false},
        {"{'a':1}", false},
        {"{\"a\":\"\xff\"}", false},
        {"{\"a\":\"\\u0000\"}", false},
        {"{\"\\u0000\":1}", false},
        {"\"", false},
        {"{\"a\":\"\\", false},
        {"{\"a\":1e999}", false},
        {"{\"a\":99999999999999999999}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char detail[160] = "";
        size_t bytes = strlen(rows[i].text);
        char *exact = malloc(bytes ? bytes : 1); /* no NUL behind it */
        memcpy(exact, rows[i].text, bytes);
        struct request request = {.body = bytes ? exact : NULL, .body_bytes = bytes};
        json_t *json = body_parse(&request, detail, sizeof detail);
        if (!json == rows[i].good)
            fail_msg("%s", rows[i].text);
        assert_int_equal(!*detail, rows[i].good);
        json_decref(json);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts), cmocka_unit_test(test_targets), cmocka_unit_test(test_routes),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_bodies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
