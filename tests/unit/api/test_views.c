/* What a program says of itself reaches JSON as it is, however large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/private.h"
#include "api/views.h"

#define MOST ((json_int_t)UINT32_MAX)

static void test_what_has_32_bits_is_never_negative(void **state)
{
    (void)state;
    struct stats_heap_view heap = {.n = UINT32_MAX,
                                   .config = {.thresholds = {UINT32_MAX, 1u << 31, 7}, .max_pause_us = UINT64_MAX}};
    struct stats_process_view process = {.name = "host", .library = "0", .heap_count = 1, .heaps = &heap};
    json_t *config = view_config(&process, UINT32_MAX), *summary = view_process(&process, 0);
    json_t *thresholds = json_object_get(config, "thresholds");
    assert_int_equal(json_integer_value(json_array_get(thresholds, 0)), MOST);
    assert_int_equal(json_integer_value(json_array_get(thresholds, 1)), MOST / 2 + 1);
    assert_int_equal(json_integer_value(json_object_get(config, "max_pause_us")), INT64_MAX);
    json_t *row = json_array_get(json_object_get(summary, "heaps"), 0);
    assert_int_equal(json_integer_value(json_object_get(row, "n")), MOST);
    json_decref(config);
    json_decref(summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_has_32_bits_is_never_negative)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
