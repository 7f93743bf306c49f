/* The config file: what it may hold, what it may not and how that is said, and a second look at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tallyd/tallyd.h"

static char path[] = "/tmp/tally-config-XXXXXX";

static int start(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int stop(void **state)
{
    (void)state;
    return unlink(path);
}

static void put(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static bool look(struct settings *settings, char *why, size_t why_bytes)
{
    char *argv[] = {(char *)(uintptr_t)"tallyd", (char *)(uintptr_t)"--config", path, NULL};
    return settings_read(settings, 3, argv, why, why_bytes);
}

static void test_what_it_may_hold(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a comment\r\n; another\n\n[processes] \n  gone-keep = 5m ; soon\n\tgone-count:3\n"
                               "[paths]\nstate-dir = /tmp/\xc3\xa4 b\n[nothing]\n[http]";
    struct settings settings;
    char why[768] = "";
    (void)state;
    put(text, sizeof text - 1);
    if (!look(&settings, why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(settings.options.gone_keep_ns, 300000000000);
    assert_int_equal(settings.options.gone_count, 3);
    assert_string_equal(settings.options.state_dir, "/tmp/\xc3\xa4 b");
    assert_int_equal(settings.given[OPTION_OF_gone_count].from, FROM_FILE);
    assert_int_equal(settings.given[OPTION_OF_gone_count].line, 6);
    settings_free(&settings);
    put("", 0);
    assert_true(look(&settings, why, sizeof why));
    settings_free(&settings);
}

static void test_what_it_may_not(void **state)
{
#define ROW(text, line, says) {text, sizeof(text) - 1, line, says}
    static const struct {
        const char *text;
        size_t bytes;
        unsigned line;
        const char *says;
    } rows[] = {
        ROW("[processes]\ngone-keep = soon", 2, "gone-keep: must be a time from 0 to 7d"),
        ROW("[processes]\ngone-keep =", 2, "gone-keep: must be a time"),
        ROW("[processes]\n\n\ngone-keep", 4, "is neither a comment"),
        ROW("gone-keep = 1", 1, "gone-keep: stands in section [processes], not in []"),
        ROW("[http]\ngone-keep = 1", 2, "gone-keep: stands in section [processes], not in [http]"),
        ROW("[processes]\ngone-keep = 1\n[http]\n[processes]\ngone-keep = 1", 5, "gone-keep: stands twice, in line 2"),
        ROW("[processes]\ngone-keeper = 1", 2, "gone-keeper: is no key"),
        ROW("[processes]\ngone = 1", 2, "gone: is no key"),
        ROW("[]\nversion = yes", 2, "version: is no key"),
        ROW("[processes]\ngone-keep = 1\n  more = 2", 3, "more: is no key"),
        ROW("[processes]\ngone-\0keep = 1", 2, "control characters"),
        ROW("[processes]\ngone-keep = 1\033[0m", 2, "control characters"),
        ROW("\xff\xfe", 1, "not UTF-8"),
        ROW("# \xc3", 1, "not UTF-8"),
        ROW("[proc", 1, "is neither a comment"),
        ROW("[processes\ngone-keep = 5m\n", 1, "is neither a comment"),
        ROW("[paths]\nstate-dir = /" "01234567890123456789012345678901234567890123456789"
            "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
            "01234567890123456789012345678901234567890123456789012345678901234567890123456789", 2, "longer than 197"),
    };
    struct settings settings;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[768] = "", where[64];
        put(rows[i].text, rows[i].bytes);
        assert_false(look(&settings, why, sizeof why));
        snprintf(where, sizeof where, "%s:%u: ", path, rows[i].line);
        if (strncmp(why, where, strlen(where)) != 0 || !strstr(why, rows[i].says))
            fail_msg("row %zu: %s", i, why);
    }
}

/* A name that inih cuts off must not become another key; a file may not be endless. */
static void test_what_is_long(void **state)
{
    struct settings settings;
    char why[768] = "", text[256];
    (void)state;
    snprintf(text, sizeof text, "[%060d]\n[processes]\n%060d = 1\n", 0, 0);
    put(text, strlen(text));
    assert_false(look(&settings, why, sizeof why));
    assert_non_null(strstr(why, ":3: 000"));
    char *large = calloc(1, 65537);
    assert_non_null(large);
    memset(large, '\n', 65537);
    put(large, 65536);
    assert_true(look(&settings, why, sizeof why));
    settings_free(&settings);
    put(large, 65537);
    free(large);
    assert_false(look(&settings, why, sizeof why));
    assert_non_null(strstr(why, "larger than 64 KiB"));
}

static void test_a_second_look(void **state)
{
    static const char before[] = "[processes]\ngone-keep = 5m\n[http]\nhttp-listen = 127.0.0.1:1",
                      after[] = "[processes]\ngone-keep = 6m\n[http]\nhttp-listen = 127.0.0.1:2",
                      broken[] = "[processes]\ngone-keep = 7m\ngone-count = x";
    struct settings settings;
    char why[768] = "", *argv[] = {(char *)(uintptr_t)"tallyd", (char *)(uintptr_t)"--config", path, NULL};
    (void)state;
    put(before, sizeof before - 1);
    assert_true(look(&settings, why, sizeof why));
    const char *address = settings.options.http_listen;
    put(after, sizeof after - 1);
    settings_reload(&settings, 3, argv);
    assert_int_equal(settings.options.gone_keep_ns, 360000000000);
    assert_ptr_equal(settings.options.http_listen, address);
    assert_string_equal(address, "127.0.0.1:1");
    put(broken, sizeof broken - 1);
    settings_reload(&settings, 3, argv);
    assert_int_equal(settings.options.gone_keep_ns, 360000000000);
    put("", 0);
    settings_reload(&settings, 3, argv);
    assert_int_equal(settings.options.gone_keep_ns, 600000000000);
    settings_free(&settings);
}

/* What is printed is a config file of the same settings. */
static void test_the_print_is_a_config_file(void **state)
{
    static const char text[] = "[processes]\ngone-keep = 5m\ngone-count = 3\n[paths]\nsystem = yes\n";
    struct settings settings, again;
    char why[768] = "";
    (void)state;
    put(text, sizeof text - 1);
    assert_true(look(&settings, why, sizeof why));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    settings_print(&settings, file);
    fclose(file);
    if (!look(&again, why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(again.options.gone_keep_ns, settings.options.gone_keep_ns);
    assert_int_equal(again.options.gone_count, 3);
    assert_true(again.options.system);
    settings_free(&settings);
    settings_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_may_hold), cmocka_unit_test(test_what_it_may_not),
        cmocka_unit_test(test_what_is_long), cmocka_unit_test(test_a_second_look),
        cmocka_unit_test(test_the_print_is_a_config_file)};
    return cmocka_run_group_tests(tests, start, stop);
}
