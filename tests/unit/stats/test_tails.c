/* How many may follow events at one time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stats/stats.h"

static void test_tails_are_bounded(void **state)
{
    struct stats *stats = stats_new();
    struct stats_tail *tails[STATS_TAILS_MAX];
    const struct stats_tail_filter filter = {.process = "0123456789abcdef0123456789abcdef"};
    (void)state;
    for (unsigned i = 0; i < STATS_TAILS_MAX; i++)
        assert_non_null(tails[i] = stats_tail_open(stats, &filter));
    assert_null(stats_tail_open(stats, &filter));
    stats_tail_close(stats, tails[7]);
    assert_non_null(tails[7] = stats_tail_open(stats, &filter));
    for (unsigned i = 0; i < STATS_TAILS_MAX; i++)
        stats_tail_close(stats, tails[i]);
    stats_free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tails_are_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
