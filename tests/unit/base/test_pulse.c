/* Who has been silent for too long, and who is not missed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/pulse.h"

static void test_silence(void **state)
{
    const uint64_t second = 1000000000;
    (void)state;
    uint64_t now = clock_mono_ns();
    assert_null(pulse_silent(now + 1000 * second)); /* nobody has begun */
    pulse_beat(PULSE_TICKER);
    pulse_beat(PULSE_TCP);
    now = clock_mono_ns();
    assert_null(pulse_silent(now - second));
    assert_null(pulse_silent(now + 14 * second));
    assert_string_equal(pulse_silent(now + 16 * second), "the api's ticker");
    pulse_end(PULSE_TICKER);
    assert_null(pulse_silent(now + 16 * second));
    assert_string_equal(pulse_silent(now + 91 * second), "the TCP listener");
    pulse_end(PULSE_TCP);
    assert_null(pulse_silent(now + 1000 * second));
}

static void test_work_is_added_up(void **state)
{
    (void)state;
    uint64_t now = clock_mono_ns();
    assert_int_equal(pulse_work_get(PULSE_RULES).rounds, 0);
    pulse_worked(PULSE_RULES, now - 5000000);
    pulse_worked(PULSE_RULES, now - 2000000);
    struct pulse_work work = pulse_work_get(PULSE_RULES);
    assert_int_equal(work.rounds, 2);
    assert_in_range(work.longest_ns, 5000000, 60000000000);
    assert_in_range(work.sum_ns, work.longest_ns + 2000000, 120000000000);
    assert_int_equal(pulse_work_get(PULSE_HISTORY).rounds, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_silence), cmocka_unit_test(test_work_is_added_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
