/* The log: forms, escapes, levels, limits, and what the journal is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static int pipe_ends[2], standard_error;
static char said[65536];
static char journal[4096];
static int journal_says;

int __wrap_sd_journal_sendv(const struct iovec *parts, int count);
int __wrap_sd_journal_sendv(const struct iovec *parts, int count)
{
    size_t at = 0;
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(journal + at, sizeof journal - at, "%.*s|", (int)parts[i].iov_len,
                               (const char *)parts[i].iov_base);
    return journal_says;
}

static int start(void **state)
{
    (void)state;
    standard_error = dup(STDERR_FILENO);
    return pipe2(pipe_ends, O_NONBLOCK) || dup2(pipe_ends[1], STDERR_FILENO) < 0;
}

static int stop(void **state)
{
    (void)state;
    log_setup("info", "text");
    log_to_journal(false);
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    close(pipe_ends[0]);
    return close(pipe_ends[1]);
}

/* What was said since the last call; without its time where it is one line of text. */
static const char *heard(void)
{
    ssize_t got = read(pipe_ends[0], said, sizeof said - 1);
    said[got > 0 ? got : 0] = '\0';
    return got > 25 && said[4] == '-' ? said + strlen("2026-01-01T00:00:00.000Z ") : said;
}

static void test_text(void **state)
{
    (void)state;
    log_info("%d is %s", 1, "one");
    assert_string_equal(heard(), "info 1 is one\n");
    log_warn("%s", "a\nb\033[0m\x7f\xc2\x85 \xff\xc3\xa4\"\\");
    assert_string_equal(heard(), "warn a\\x0ab\\x1b[0m\\x7f\\x85 \\xff\xc3\xa4\"\\\n");
    log_debug("nobody hears it");
    assert_string_equal(heard(), "");
    LOG_HERE(LOG_LEVEL_INFO, LOG_FIELDS({"who", "uid 0"}, {"none", ""}, {"null", NULL}, {"what", "x\"=\n"}, {"a", "b"}),
             "audit");
    assert_string_equal(heard(), "info audit who=\"uid 0\" what=\"x\\\"=\\x0a\" a=b\n");
}

static void test_levels(void **state)
{
    (void)state;
    log_setup("debug", "text");
    log_debug("now it is heard");
    assert_string_equal(heard(), "debug now it is heard\n");
    log_setup("warn", "text");
    log_info("not this");
    assert_string_equal(heard(), "");
    log_warn("but this");
    assert_string_equal(heard(), "warn but this\n");
}

/* Whatever is in it, it is one line of JSON that says the same. */
static void test_json(void **state)
{
    char all[600] = "";
    (void)state;
    log_setup("info", "json");
    for (unsigned i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    LOG_HERE(LOG_LEVEL_WARN, LOG_FIELDS({"key", "a\"b\\\n\xc2\x85\xc3\xa4"}), "%s", all);
    const char *line = heard();
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_error_t error;
    json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s: %s", error.text, line);
    assert_string_equal(json_string_value(json_object_get(json, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(json, "key")), "a\"b\\\n\xc2\x85\xc3\xa4");
    assert_memory_equal(json_string_value(json_object_get(json, "message")), all, 127);
    json_decref(json);
    memset(all, 1, 599);
    LOG_HERE(LOG_LEVEL_WARN, LOG_FIELDS({"a", all}, {"b", all}, {"c", all}), "%s", all);
    json = json_loads(heard(), 0, &error);
    if (!json)
        fail_msg("what is long: %s", error.text);
    json_decref(json);
}

static void second_begins(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    nanosleep(&(struct timespec){0, 1000000000 - now.tv_nsec}, NULL);
}

static unsigned lines(const char *text)
{
    unsigned count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* 1,000 of one cause are LOG_LIMIT_LINES and a count; another cause is not held up. */
static void test_limits(void **state)
{
    struct log_limit limit = {.second = 0};
    (void)state;
    uint64_t before = log_left_out();
    second_begins();
    for (int i = 0; i < 1000; i++)
        log_limited(&limit, "again %d", i);
    assert_int_equal(log_left_out() - before, 990);
    log_info("another");
    const char *all = heard();
    assert_int_equal(lines(all), LOG_LIMIT_LINES + 1);
    assert_non_null(strstr(all, "again 9\n"));
    assert_non_null(strstr(all, "info another\n"));
    second_begins();
    log_limited(&limit, "later");
    all = heard();
    assert_non_null(strstr(all, "warn lines like the next were left out left_out=990\n"));
    assert_non_null(strstr(all, "warn later\n"));
    for (int i = 0; i < 100; i++)
        log_info("a place in the code has its limit, too");
    assert_int_equal(lines(heard()), LOG_LIMIT_LINES);
}

static void test_the_journal(void **state)
{
    (void)state;
    log_to_journal(true);
    LOG_HERE(LOG_LEVEL_WARN, LOG_FIELDS({"who", "uid 0"}, {"operation", "7"}), "a\nb");
    assert_string_equal(journal, "MESSAGE=a\\x0ab|PRIORITY=4|TALLY_WHO=uid 0|TALLY_OPERATION=7|");
    assert_string_equal(heard(), "");
    journal_says = -2; /* there is none */
    log_warn("heard all the same");
    assert_string_equal(heard(), "warn heard all the same\n");
    journal_says = 0;
}

static void test_a_stream_of_the_journal_is_known(void **state)
{
    char text[64];
    struct stat status;
    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    unsetenv("JOURNAL_STREAM");
    assert_false(log_is_journal_stream());
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", text, 1);
    assert_true(log_is_journal_stream());
    setenv("JOURNAL_STREAM", "1:1", 1);
    assert_false(log_is_journal_stream());
    setenv("JOURNAL_STREAM", "nonsense", 1);
    assert_false(log_is_journal_stream());
    unsetenv("JOURNAL_STREAM");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {TEST(test_text),   TEST(test_levels),      TEST(test_json),
                                       TEST(test_limits), TEST(test_the_journal), TEST(test_a_stream_of_the_journal_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
