/* The audit keeps what it is told, in order, and gives it to its sink. */
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
#include "operations/audit.h"
#include "wire/message.h"

static int start(void **state)
{
    *state = audit_new();
    return *state ? 0 : -1;
}

static int stop(void **state)
{
    audit_free(*state);
    return 0;
}

static void add(struct audit *audit, const char *kind, const char *result)
{
    struct audit_record record = {.who = "uid 1000", .seq = 77};
    snprintf(record.kind, sizeof record.kind, "%s", kind);
    snprintf(record.result, sizeof record.result, "%s", result);
    audit_record(audit, &record);
}

static void test_the_last_ones_are_kept_newest_first(void **state)
{
    struct audit *audit = *state;
    static struct audit_record records[AUDIT_KEPT + 5];
    uint64_t before_ns = clock_wall_ns();
    char kind[24];
    assert_int_equal(audit_list(audit, 0, records, 5), 0);
    for (unsigned i = 1; i <= AUDIT_KEPT + 10; i++) {
        snprintf(kind, sizeof kind, "kind%u", i);
        add(audit, kind, "done");
    }
    assert_int_equal(audit_list(audit, 0, records, AUDIT_KEPT + 5), AUDIT_KEPT);
    for (unsigned i = 0; i < AUDIT_KEPT; i++) {
        snprintf(kind, sizeof kind, "kind%u", AUDIT_KEPT + 10 - i);
        assert_string_equal(records[i].kind, kind);
        assert_int_equal(records[i].seq, AUDIT_KEPT + 10 - i);
        assert_true(records[i].wall_ns >= before_ns);
    }
    assert_int_equal(audit_list(audit, 13, records, 5), 2);
    assert_int_equal(records[0].seq, 12);
    assert_int_equal(audit_list(audit, 11, records, 5), 0);
    assert_int_equal(audit_list(audit, 9999, records, 1), 1);
    assert_int_equal(records[0].seq, AUDIT_KEPT + 10);
}

/* What the outside has written is in it: a request's body, a token's name. */
static void test_texts_are_valid_whatever_comes(void **state)
{
    struct audit *audit = *state;
    struct audit_record record = {.kind = "config"}, kept;
    memset(record.who, 'x', sizeof record.who); /* no NUL */
    snprintf(record.target, sizeof record.target, "one\ntwo\x80");
    for (size_t i = 0; i + 1 < sizeof record.detail; i += 2)
        memcpy(record.detail + i, "\xc3\xa9", 2); /* the last one is cut in half */
    audit_record(audit, &record);
    assert_int_equal(audit_list(audit, 0, &kept, 1), 1);
    assert_int_equal(strlen(kept.who), sizeof kept.who - 1);
    assert_string_equal(kept.target, "one?two?");
    assert_int_equal(strlen(kept.detail), sizeof kept.detail - 2);
    assert_true(wire_text_valid(kept.detail, strlen(kept.detail)));
}

static void test_refusals_do_not_push_out_what_was_done(void **state)
{
    struct audit *audit = *state;
    static struct audit_record records[AUDIT_KEPT];
    uint64_t left_out = 0;
    for (unsigned i = 0; i < 5000; i++)
        add(audit, "collect", "refused");
    add(audit, "collect", "accepted");
    size_t count = audit_list(audit, 0, records, AUDIT_KEPT);
    assert_in_range(count, AUDIT_REFUSED_MAX + 1, 4 * AUDIT_REFUSED_MAX + 1); /* a slow machine: some seconds */
    assert_string_equal(records[0].result, "accepted");
    for (size_t i = 0; i < count; i++)
        left_out += records[i].left_out;
    assert_int_equal(left_out + count, 5001);
}

struct heard {
    uint64_t next;
    unsigned count, wrong;
};

static void hear(void *arg, const struct audit_record *record)
{
    struct heard *heard = arg;
    heard->wrong += record->seq != heard->next++;
    heard->count++;
}

static void *many(void *arg)
{
    for (int i = 0; i < 300; i++)
        add(arg, "collect", "done");
    return NULL;
}

static void test_the_sink_hears_all_in_order(void **state)
{
    struct audit *audit = *state;
    struct heard heard = {.next = 2};
    pthread_t threads[3];
    add(audit, "before", "done");
    audit_to(audit, hear, &heard);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, many, audit);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    audit_to(audit, NULL, NULL);
    add(audit, "after", "done");
    assert_int_equal(heard.count, 900);
    assert_int_equal(heard.wrong, 0);
    audit_record(NULL, &(struct audit_record){.kind = "nowhere"});
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {TEST(test_the_last_ones_are_kept_newest_first),
                                       TEST(test_texts_are_valid_whatever_comes),
                                       TEST(test_refusals_do_not_push_out_what_was_done),
                                       TEST(test_the_sink_hears_all_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
