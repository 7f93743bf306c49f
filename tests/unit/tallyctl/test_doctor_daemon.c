/* What doctor makes of a process that tallyd lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/doctor.h"

/* How many findings there are, and the text of the last one. */
static void check(const char *process, size_t count, const char *level, const char *part)
{
    json_t *json = json_loads(process, 0, NULL), *findings = json_array();
    assert_non_null(json);
    doctor_check_attached(findings, json, "1.2.3");
    assert_int_equal(json_array_size(findings), count);
    const json_t *last = json_array_get(findings, count - 1);
    assert_string_equal(client_text(last, "level"), level);
    if (!strstr(client_text(last, "finding"), part))
        fail_msg("%s", client_text(last, "finding"));
    json_decref(findings);
    json_decref(json);
}

static void test_doctor_finds_nothing_wrong(void **state)
{
    (void)state;
    check("{\"name\":\"a\",\"pid\":7,\"library\":\"1.2.3\",\"heaps\":[{}],\"safepoint_age_ns\":1500000,\"allocations\":10000,"
          "\"frees\":{\"refcount\":0,\"cycle\":0},\"events_lost\":100}",
          1, "ok", "a is attached, pid 7, heaps 1, last safepoint 1.50 ms ago");
    check("{}", 1, "ok", "is attached");
    check("{\"name\":7,\"library\":[],\"events_lost\":\"x\"}", 1, "ok", "is attached");
}

static void test_doctor_finds_another_library(void **state)
{
    (void)state;
    check("{\"name\":\"a\",\"library\":\"1.2.2\"}", 2, "warn", "a has libtally 1.2.2, and tallyd is 1.2.3");
}

static void test_doctor_finds_lost_events(void **state)
{
    (void)state;
    check("{\"name\":\"a\",\"library\":\"1.2.3\",\"allocations\":9000,\"frees\":{\"refcount\":500,\"cycle\":500},\"events_lost\":101}",
          2, "warn", "a has lost 101 events of about 10000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doctor_finds_nothing_wrong),
        cmocka_unit_test(test_doctor_finds_another_library),
        cmocka_unit_test(test_doctor_finds_lost_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
