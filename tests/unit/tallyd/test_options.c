/* The options: what the text of each kind means, and which origin wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tallyd/tallyd.h"

static char *word(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* Of a command line of up to three words, without a config file; NULL: all is well. */
static const char *wrong(struct settings *settings, const char *one, const char *two, const char *three)
{
    static char why[768];
    char *argv[] = {word("tallyd"), word(one), word(two), word(three), NULL};
    int argc = 1 + (one != NULL) + (two != NULL) + (three != NULL);
    *why = '\0';
    bool good = settings_read(settings, argc, argv, why, sizeof why);
    assert_int_equal(!*why, good);
    return good ? NULL : why;
}

static int alone(void **state)
{
    (void)state;
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    return 0;
}

static void test_flags(void **state)
{
    struct settings settings;
    const struct options *options = &settings.options;
    (void)state;
    assert_null(wrong(&settings, NULL, NULL, NULL));
    assert_string_equal(options->http_listen, "127.0.0.1:7717");
    assert_null(settings.given[OPTION_OF_http_listen].text);
    settings_free(&settings);
    assert_null(wrong(&settings, "--http-listen", "[::1]:0", "--insecure-http"));
    assert_string_equal(options->http_listen, "[::1]:0");
    assert_non_null(settings.given[OPTION_OF_http_listen].text);
    assert_true(options->insecure_http);
    assert_false(options->remote_control);
    settings_free(&settings);
    assert_null(wrong(&settings, "--runtime-dir=/x", "--system=yes", "--remote-control=no"));
    assert_string_equal(options->runtime_dir, "/x");
    assert_true(options->system && !options->remote_control);
    settings_free(&settings);
    assert_null(wrong(&settings, "--version", NULL, NULL));
    assert_true(options->version);
    settings_free(&settings);
}

/* What is wrong is said with the option's name, and what is allowed. */
static void test_reasons(void **state)
{
    static const struct { const char *one, *two, *why; } rows[] = {
        {"--gone-keep=x", NULL, "--gone-keep: must be a time from 0 to 7d, such as 90s (ms, s, m, h, d)"},
        {"--gone-count", "10001", "--gone-count: must be a number from 0 to 10000"},
        {"--gone-count=1", "--gone-count=2", "--gone-count: stands twice"},
        {"--gone-count", NULL, "--gone-count: needs a value"},
        {"--gone-count=", NULL, "--gone-count: must be a number from 0 to 10000"},
        {"--gone", "5", "--gone: is no option"}, /* of two that begin so */
        {"--nothing", NULL, "--nothing: is no option"},
        {"word", NULL, "word: is no option"},
        {"-h", NULL, "-h: is no option"},
        {"-xyz", NULL, "-x: is no option"},
        {"--system=maybe", NULL, "--system: must be yes or no"},
        {"--system", "--system", "--system: stands twice"},
        {"--http-listen", "7717", "--http-listen: must be HOST:PORT, such as 127.0.0.1:7717 or [::1]:0"},
        {"--public-host", "http://x", "--public-host: must be HOST or HOST:PORT, such as tally.example.org"},
        {"--state-dir", "", "--state-dir: must be a path of 1 to 255 bytes"},
        {"--state-dir", "/a\nb", "--state-dir: must be a path of 1 to 255 bytes"},
        {"--state-dir", "/\xff", "--state-dir: must be a path of 1 to 255 bytes"},
        {"--config", "/nonexistent", "/nonexistent: No such file or directory"},
        {"--config", "/tmp", "/tmp: is no file"},
    };
    struct settings settings;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = wrong(&settings, rows[i].one, rows[i].two, NULL);
        assert_non_null(why);
        assert_string_equal(why, rows[i].why);
    }
}

static const struct option_row size_row = {.kind = OPTION_SIZE, .allowed = "1..2GiB"};
static const struct option_row word_row = {.kind = OPTION_WORD, .allowed = "text|json|none"};

static void test_values(void **state)
{
    const struct option_row *count = &option_rows[OPTION_OF_gone_count], *keep = &option_rows[OPTION_OF_gone_keep_ns];
    const struct {
        const struct option_row *row;
        const char *text;
        int64_t value; /* -1: refused */
    } rows[] = {
        {count, "0", 0},           {count, "1", 1},           {count, "007", 7},
        {count, "10000", 10000},   {count, "10001", -1},      {count, "9999999999999999999", -1},
        {count, "", -1},           {count, "-1", -1},         {count, "+1", -1},
        {count, " 1", -1},         {count, "1 ", -1},         {count, "1s", -1},
        {count, "0x10", -1},       {count, "1.5", -1},        {count, "many", -1},
        {keep, "1", 1000000000},   {keep, "1500ms", 1500000000}, {keep, "2m", 120000000000},
        {keep, "7d", 604800000000000}, {keep, "168h", 604800000000000}, {keep, "169h", -1},
        {keep, "1 s", -1},         {keep, "1S", -1},          {keep, "s", -1},
        {keep, "1us", -1},         {keep, "999999999999999999d", -1}, {keep, "1.5s", -1},
        {&size_row, "1", 1},       {&size_row, "3KiB", 3072}, {&size_row, "2GiB", 2147483648},
        {&size_row, "0", -1},      {&size_row, "2049MiB", -1}, {&size_row, "1kb", -1},
        {&size_row, "1K", -1},     {&size_row, "9TiB", -1},   {&size_row, "10B", 10},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct options options = {.gone_count = 42};
        int64_t *member = (int64_t *)(void *)((char *)&options + rows[i].row->offset);
        *member = -1;
        if (option_set(rows[i].row, &options, rows[i].text) != (rows[i].value >= 0) || *member != rows[i].value)
            fail_msg("'%s': %lld", rows[i].text, (long long)*member);
    }
}

static void test_words(void **state)
{
    static const char *const bad[] = {"", "tex", "texts", "json|none", "|", "Text"};
    struct options options;
    (void)state;
    assert_true(option_set(&word_row, &options, "text"));
    assert_true(option_set(&word_row, &options, "json"));
    assert_true(option_set(&word_row, &options, "none"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(option_set(&word_row, &options, bad[i]));
}

/* A standard value that its own row refuses would be no default at all. */
static void test_standards_are_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTIONS; i++) {
        struct options options;
        char allowed[128];
        if (option_rows[i].standard && !option_set(&option_rows[i], &options, option_rows[i].standard))
            fail_msg("%s", option_rows[i].name);
        option_allowed(&option_rows[i], allowed, sizeof allowed);
        assert_memory_equal(allowed, "must be ", 8);
    }
}

static void test_the_environment(void **state)
{
    struct settings settings;
    (void)state;
    setenv("TALLYD_GONE_COUNT", "7", 1);
    setenv("TALLYD_GONE_KEEP", "8", 1);
    assert_null(wrong(&settings, "--gone-keep=9", NULL, NULL));
    assert_int_equal(settings.options.gone_count, 7);
    assert_int_equal(settings.options.gone_keep_ns, 9000000000);
    assert_int_equal(settings.given[OPTION_OF_gone_count].from, FROM_ENVIRONMENT);
    assert_int_equal(settings.given[OPTION_OF_gone_keep_ns].from, FROM_FLAG);
    settings_free(&settings);
    setenv("TALLYD_GONE_KEEP", "soon", 1); /* what a flag overrules is looked at all the same */
    assert_memory_equal(wrong(&settings, "--gone-keep=9", NULL, NULL), "TALLYD_GONE_KEEP: must be", 25);
    unsetenv("TALLYD_GONE_KEEP");
    unsetenv("TALLYD_GONE_COUNT");
    static const char *const unknown[] = {"TALLYD_GONE", "TALLYD_gone_keep", "TALLYD_", "TALLYD_CONFIG", "TALLYD_HELP"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        setenv(unknown[i], "1", 1);
        const char *why = wrong(&settings, NULL, NULL, NULL);
        assert_non_null(why);
        assert_memory_equal(why, unknown[i], strlen(unknown[i]));
        unsetenv(unknown[i]);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flags),
                                       cmocka_unit_test(test_reasons),
                                       cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_standards_are_allowed),
                                       cmocka_unit_test(test_the_environment),
                                       cmocka_unit_test(test_addresses)};
    return cmocka_run_group_tests(tests, alone, NULL);
}
