/* The command line and addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tallyd/tallyd.h"

static bool parse(struct options *options, const char *one, const char *two, const char *three)
{
    char *argv[] = {(char *)(uintptr_t)"tallyd", (char *)(uintptr_t)one, (char *)(uintptr_t)two,
                    (char *)(uintptr_t)three, NULL};
    int argc = 1 + (one != NULL) + (two != NULL) + (three != NULL);
    char why[320] = "";
    memset(options, 0, sizeof *options);
    bool good = options_parse(options, argc, argv, why, sizeof why);
    assert_int_equal(!*why, good);
    return good;
}

static void test_options(void **state)
{
    struct options options;
    (void)state;
    assert_true(parse(&options, NULL, NULL, NULL));
    assert_null(options.http_listen);
    assert_true(parse(&options, "--http-listen", "[::1]:0", "--insecure-http"));
    assert_string_equal(options.http_listen, "[::1]:0");
    assert_true(options.insecure_http);
    assert_false(options.remote_control);
    assert_true(parse(&options, "--runtime-dir=/x", "--system", "--remote-control"));
    assert_string_equal(options.runtime_dir, "/x");
    assert_true(options.system && options.remote_control);
    assert_true(parse(&options, "--version", NULL, NULL));
    assert_false(parse(&options, "--nothing", NULL, NULL));
    assert_false(parse(&options, "word", NULL, NULL));
    assert_false(parse(&options, "--state-dir", NULL, NULL));
    assert_false(parse(&options, "--system=yes", NULL, NULL));
    assert_false(parse(&options, "--system", "--system", NULL));
    assert_false(parse(&options, "-h", NULL, NULL));
}

static void test_numbers(void **state)
{
    static const struct { const char *text; long value; /* -1: refused */ } rows[] = {
        {"0", 0},        {"1", 1},           {"600", 600},      {"007", 7},
        {"604800", 604800}, {"604801", -1},  {"999999999", -1}, {"0000000001", -1},
        {"99999999999999999999", -1},        {"", -1},          {"-1", -1},
        {"+1", -1},      {" 1", -1},         {"1 ", -1},        {"1s", -1},
        {"0x10", -1},    {"1.5", -1},        {"many", -1},
    };
    struct options options;
    (void)state;
    assert_true(parse(&options, NULL, NULL, NULL));
    assert_int_equal(options.gone_keep_s, -1); /* not given */
    assert_int_equal(options.gone_count, -1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (parse(&options, "--gone-keep", rows[i].text, NULL) != (rows[i].value >= 0))
            fail_msg("--gone-keep '%s'", rows[i].text);
        assert_int_equal(options.gone_keep_s, rows[i].value);
        assert_int_equal(options.gone_count, -1);
    }
    assert_true(parse(&options, "--gone-keep=5", "--gone-count=0", NULL));
    assert_int_equal(options.gone_keep_s, 5);
    assert_int_equal(options.gone_count, 0);
    assert_false(parse(&options, "--gone-keep=", NULL, NULL));
    assert_false(parse(&options, "--gone-keep", NULL, NULL));
    assert_false(parse(&options, "--gone-keep=1", "--gone-keep=1", NULL));
}

/* What is wrong is said with the option's name. */
static void test_reasons(void **state)
{
    static const struct { const char *one, *two, *why; } rows[] = {
        {"--gone-keep=x", NULL, "--gone-keep: must be a number from 0 to 604800"},
        {"--gone-count", "1000000", "--gone-count: must be a number from 0 to 604800"},
        {"--gone-count=1", "--gone-count=2", "--gone-count: stands twice"},
        {"--gone-count", NULL, "--gone-count: needs a value"},
        {"--gone", "5", "--gone: is no option"}, /* of two that begin so */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options options;
        char why[320] = "", *argv[] = {(char *)(uintptr_t)"tallyd", (char *)(uintptr_t)rows[i].one,
                                       (char *)(uintptr_t)rows[i].two, NULL};
        assert_false(options_parse(&options, 2 + (rows[i].two != NULL), argv, why, sizeof why));
        assert_string_equal(why, rows[i].why);
    }
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host, *port; /* NULL: refused */
    } rows[] = {
        {"127.0.0.1:7717", "127.0.0.1", "7717"},
        {"[::1]:0", "::1", "0"},
        {"localhost:80", "localhost", "80"},
        {"", NULL, NULL},
        {":80", NULL, NULL},
        {"host", NULL, NULL},
        {"host:", NULL, NULL},
        {"::1:80", NULL, NULL},
        {"[::1]", NULL, NULL},
        {"[::1]80", NULL, NULL},
        {"[::1:80", NULL, NULL},
        {"[]:80", NULL, NULL},
        {"host:http", NULL, NULL},
        {"host:-1", NULL, NULL},
        {"host:123456", NULL, NULL},
        {"host: 80", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char host[64], port[8];
        if (address_split(rows[i].text, host, sizeof host, port, sizeof port) != (rows[i].host != NULL))
            fail_msg("%s", rows[i].text);
        if (!rows[i].host)
            continue;
        assert_string_equal(host, rows[i].host);
        assert_string_equal(port, rows[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_options), cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_reasons), cmocka_unit_test(test_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
