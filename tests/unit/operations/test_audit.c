/* The audit gives what it is told to its sink, in order and fit to be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "heard.h"
#include "wire/message.h"

static int start(void **state)
{
    struct heard *heard = calloc(1, sizeof *heard);
    *state = heard;
    return heard_start(heard) ? 0 : -1;
}

static int stop(void **state)
{
    struct heard *heard = *state;
    audit_free(heard->audit);
    free(heard);
    return 0;
}

static void add(struct audit *audit, const char *kind, const char *result)
{
    struct audit_record record = {.who = "uid 1000", .seq = 77};
    snprintf(record.kind, sizeof record.kind, "%s", kind);
    snprintf(record.result, sizeof record.result, "%s", result);
    audit_record(audit, &record);
}

static void test_records_are_numbered_and_timed(void **state)
{
    struct heard *heard = *state;
    uint64_t before_ns = clock_wall_ns();
    add(heard->audit, "one", "done");
    add(heard->audit, "two", "done");
    assert_int_equal(heard->count, 2);
    assert_string_equal(heard->records[0].kind, "one");
    assert_string_equal(heard->records[1].kind, "two");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(heard->records[i].seq, i + 1);
        assert_in_range(heard->records[i].wall_ns, before_ns, clock_wall_ns());
    }
}

/* What the outside has written is in it: a request's body, a token's name. */
static void test_texts_are_valid_whatever_comes(void **state)
{
    struct heard *heard = *state;
    struct audit_record record = {.kind = "config"};
    memset(record.who, 'x', sizeof record.who); /* no NUL */
    snprintf(record.target, sizeof record.target, "one\ntwo\x80");
    for (size_t i = 0; i + 1 < sizeof record.detail; i += 2)
        memcpy(record.detail + i, "\xc3\xa9", 2); /* the last one is cut in half */
    audit_record(heard->audit, &record);
    const struct audit_record *made = &heard->records[0];
    assert_int_equal(heard->count, 1);
    assert_int_equal(strlen(made->who), sizeof made->who - 1);
    assert_string_equal(made->target, "one?two?");
    assert_int_equal(strlen(made->detail), sizeof made->detail - 2);
    assert_true(wire_text_valid(made->detail, strlen(made->detail)));
}

static void test_refusals_do_not_push_out_what_was_done(void **state)
{
    struct heard *heard = *state;
    uint64_t left_out = 0, start_ns = clock_mono_ns();
    for (unsigned i = 0; i < 5000; i++)
        add(heard->audit, "collect", "refused");
    add(heard->audit, "collect", "accepted");
    uint64_t seconds = (clock_mono_ns() - start_ns) / 1000000000u + 2; /* that it touched */
    assert_in_range(heard->count, AUDIT_REFUSED_MAX + 1, seconds * AUDIT_REFUSED_MAX + 1);
    assert_string_equal(heard->records[heard->count - 1].result, "accepted");
    for (size_t i = 0; i < heard->count; i++)
        left_out += heard->records[i].left_out;
    assert_int_equal(left_out + heard->count, 5001);
}

static void *many(void *arg)
{
    for (int i = 0; i < 300; i++)
        add(arg, "collect", "done");
    return NULL;
}

static void test_the_sink_hears_all_in_order(void **state)
{
    struct heard *heard = *state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, many, heard->audit);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    audit_to(heard->audit, NULL, NULL);
    add(heard->audit, "after", "done");
    assert_int_equal(heard->count, 900);
    for (size_t i = 0; i < heard->count; i++)
        assert_int_equal(heard->records[i].seq, i + 1);
    audit_record(NULL, &(struct audit_record){.kind = "nowhere"});
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {TEST(test_records_are_numbered_and_timed),
                                       TEST(test_texts_are_valid_whatever_comes),
                                       TEST(test_refusals_do_not_push_out_what_was_done),
                                       TEST(test_the_sink_hears_all_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
