/* What no script of tests/replay can show: odd bytes, limits, failing output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "replay/replay.h"

struct result {
    enum replay_status status;
    char *out, *err;
};

static struct result run_bytes(const char *text, size_t length, uint64_t work)
{
    struct result result = {.out = NULL};
    size_t size;
    FILE *out = open_memstream(&result.out, &size), *err = open_memstream(&result.err, &size);
    assert_non_null(out);
    assert_non_null(err);
    result.status = replay_run(text, length, &(struct replay_options){.out = out, .err = err, .work = work});
    fclose(out);
    fclose(err);
    return result;
}

static void assert_run(const char *text, enum replay_status status, const char *out, const char *err)
{
    struct result result = run_bytes(text, strlen(text), 0);
    assert_string_equal(result.out, out);
    assert_string_equal(result.err, err);
    assert_int_equal(result.status, status);
    free(result.out);
    free(result.err);
}

static void assert_error(const char *text, const char *err)
{
    assert_run(text, REPLAY_BAD_SCRIPT, "", err);
}

static void test_run_nothing(void **state)
{
    (void)state;
    assert_run("", REPLAY_DONE, "", "");
    assert_run("\n\n  \t# only this", REPLAY_DONE, "", "");
}

static void test_run_odd_bytes_are_words(void **state)
{
    (void)state;
    struct result result = run_bytes("live\0", 5, 0);
    assert_string_equal(result.err, "error 1: unknown command\n");
    assert_int_equal(result.status, REPLAY_BAD_SCRIPT);
    free(result.out);
    free(result.err);
    result = run_bytes("new a\0b", 7, 0);
    assert_string_equal(result.err, "error 1: bad name\n");
    free(result.out);
    free(result.err);
    assert_error("new \xff", "error 1: bad name\n");
    assert_error("live\f", "error 1: unknown command\n");
}

static void test_run_checks_go_from_left_to_right(void **state)
{
    (void)state;
    assert_error("let 1 : 2", "error 1: bad syntax\n");
    assert_error("let 1 = x", "error 1: bad name\n");
    assert_error("set a.x = 1", "error 1: bad number\n");
    assert_error("set a.0 = 1", "error 1: unknown name\n");
    assert_error("set a = b", "error 1: bad syntax\n");
    assert_error("tree t 0 0 what", "error 1: bad number\n");
    assert_error("tree t 1 1 what", "error 1: bad syntax\n");
    assert_error("random 9 0 x", "error 1: bad syntax\n");
    assert_error("random 9 0 0 x", "error 1: bad name\n");
    assert_error("random g 5 0 0 6", "error 1: bad number\n");
    assert_error("rewire g 2 0 0", "error 1: unknown name\n");
    assert_error("new a kind=atom fin=keep:1", "error 1: bad name\n");
    assert_error("new a kind=atom fin=keep:k", "error 1: bad syntax\n");
    assert_error("new a size=1 size=2", "error 1: bad syntax\n");
    assert_error("new a fin=", "error 1: bad syntax\n");
    assert_error("new a\nweak w = a hold=a", "error 2: bad syntax\n");
    assert_error("new a\nweak w = a callback=clear:1", "error 2: bad syntax\n");
    assert_error("new a\nweak w = a callback hold=b", "error 2: unknown name\n");
    assert_error("threshold 1 2", "error 1: bad syntax\n");
    assert_error("repeat 1 2\nend", "error 1: bad syntax\n");
    assert_error("repeat 1\nend x", "error 2: bad syntax\n");
    assert_error("repeat 1", "error 1: repeat without end\n");
}

static void test_run_failed_command_changes_nothing(void **state)
{
    (void)state;
    assert_run("new a\nlive\nnew a fin=keep:k+put:a\n", REPLAY_BAD_SCRIPT, "live 1\n",
               "error 3: bad syntax\n");
    assert_run("new a fin\nlive\nlet a = b", REPLAY_BAD_SCRIPT, "live 1\n", "error 3: unknown name\n");
}

static void test_run_skipped_lines_are_not_checked(void **state)
{
    (void)state;
    assert_run("repeat 0\nwhat\nrepeat x\nend\nend x\nlive", REPLAY_DONE, "live 0\n", "");
}

static void test_run_inner_times_may_count(void **state)
{
    (void)state;
    assert_run("repeat 4\nrepeat $\nnew a$\nend\nend\nalive a2\nalive a0#3\nalive a0#2\nlive", REPLAY_DONE,
               "alive a2 yes\nalive a0#3 yes\nalive a0#2 no\nlive 3\n", "");
}

static void test_run_deep_loops(void **state)
{
    (void)state;
    enum { DEPTH = 20000 };
    static char text[DEPTH * 13 + 8];
    size_t at = 0;
    for (int i = 0; i < DEPTH; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "repeat 1\n");
    for (int i = 0; i < DEPTH; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "end\n");
    snprintf(text + at, sizeof text - at, "live\n");
    assert_run(text, REPLAY_DONE, "live 0\n", "");
}

/* The node that is written to, and the one that comes in, go while the old value is released. */
static void test_run_finalizer_drops_what_is_in_use(void **state)
{
    (void)state;
    assert_run("new a\nnew x fin=drop:a+drop:b\nset a.0 = x\ndrop x\nnew b\nset a.0 = b\nlive", REPLAY_DONE,
               "finalize x\nlive 0\n", "");
    assert_run("new a\nnew x fin=drop:a\nset a.0 = x\nset a.3 = x\ndrop x\nempty a\nlive", REPLAY_DONE,
               "finalize x\nlive 0\n", "");
    assert_run("new a fin=drop:a\nnew a\nlive", REPLAY_DONE, "finalize a\nlive 0\n", "");
    assert_run("random g 2 0 1\nnew x fin=drop:g[0]+drop:g[1]\nset g[0].0 = x\nset g[0].1 = x\n"
               "set g[0].2 = x\nset g[0].3 = x\nset g[1].0 = x\nset g[1].1 = x\nset g[1].2 = x\n"
               "set g[1].3 = x\ndrop x\nrewire g 2 1000 3\ncollect\nlive", REPLAY_DONE,
               "finalize x\ncollected 2\nlive 0\n", "");
}

static void test_run_stops_at_its_limit(void **state)
{
    (void)state;
    const char *text = "live\nrepeat 10000000\nchain c 10000000\nend\n";
    struct result result = run_bytes(text, strlen(text), 1000);
    assert_int_equal(result.status, REPLAY_FAULT);
    assert_string_equal(result.out, "live 0\n");
    assert_non_null(strstr(result.err, "limit"));
    free(result.out);
    free(result.err);
}

static void test_run_says_that_output_failed(void **state)
{
    (void)state;
    char *message;
    size_t size;
    FILE *out = fopen("/dev/full", "w"), *err = open_memstream(&message, &size);
    if (!out)
        skip();
    assert_int_equal(replay_run("live\n", 5, &(struct replay_options){.out = out, .err = err}), REPLAY_FAULT);
    fclose(out);
    fclose(err);
    assert_non_null(strstr(message, "cannot write the output"));
    free(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_nothing), cmocka_unit_test(test_run_odd_bytes_are_words),
        cmocka_unit_test(test_run_checks_go_from_left_to_right),
        cmocka_unit_test(test_run_failed_command_changes_nothing),
        cmocka_unit_test(test_run_skipped_lines_are_not_checked),
        cmocka_unit_test(test_run_inner_times_may_count),
        cmocka_unit_test(test_run_deep_loops), cmocka_unit_test(test_run_finalizer_drops_what_is_in_use),
        cmocka_unit_test(test_run_stops_at_its_limit), cmocka_unit_test(test_run_says_that_output_failed),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
