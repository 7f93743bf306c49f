/* Rows: every value survives, what did not change costs nothing, and no bytes make the reader leave its bounds. */
#include "world.h"

static const struct shape shape = {.count = 30, .gauges = 0x00ff00ff};

static uint64_t any(void)
{
    uint64_t value = ((uint64_t)(unsigned)rand() << 33) ^ ((uint64_t)(unsigned)rand() << 11) ^ (unsigned)rand();
    return value >> rand() % 64;
}

static void test_record_any_values_survive(void **state)
{
    (void)state;
    struct figures read = {.known = false};
    uint64_t value[FIGURES_MAX] = {0}, before[FIGURES_MAX], low[FIGURES_MAX] = {0}, high[FIGURES_MAX] = {0};
    srand(1);
    for (int row = 0; row < 20000; row++) {
        bool whole = row % 7 == 0, rollup = row / 7 % 2;
        unsigned char bytes[RECORD_MAX];
        memcpy(before, value, sizeof before);
        for (unsigned i = 0; i < shape.count; i++) {
            if (rand() % 3)
                value[i] = any();
            low[i] = shape.gauges >> i & 1 ? value[i] - any() % 3 : value[i];
            high[i] = shape.gauges >> i & 1 ? value[i] + any() % 3 : value[i];
        }
        size_t size = record_pack(bytes, &shape, value, whole ? NULL : before, rollup ? low : NULL, rollup ? high : NULL);
        assert_true(size <= RECORD_MAX);
        assert_true(record_unpack(bytes, size, &shape, rollup, &read));
        assert_memory_equal(read.value, value, shape.count * sizeof *value);
        assert_memory_equal(read.low, rollup ? low : value, shape.count * sizeof *value);
        assert_memory_equal(read.high, rollup ? high : value, shape.count * sizeof *value);
    }
}

static void test_record_what_did_not_change_costs_nothing(void **state)
{
    (void)state;
    unsigned char bytes[RECORD_MAX];
    uint64_t value[FIGURES_MAX] = {[3] = 1u << 30, [9] = 77}, before[FIGURES_MAX];
    memcpy(before, value, sizeof before);
    assert_int_equal(record_pack(bytes, &shape, value, before, NULL, NULL), 1);
    value[9]++;
    assert_int_equal(record_pack(bytes, &shape, value, before, NULL, NULL), 2 + 1);
}

static void test_record_no_bytes_end_the_subject(void **state)
{
    (void)state;
    struct figures read = {.known = true};
    const unsigned char part[] = {0};
    assert_true(record_unpack(part, 0, &shape, false, &read));
    assert_false(read.known);
    assert_true(record_unpack(part, 1, &shape, false, &read)); /* a part of what is not known */
    assert_false(read.known);
}

static void test_record_what_is_cut_or_garbage_is_refused(void **state)
{
    (void)state;
    unsigned char bytes[RECORD_MAX];
    uint64_t value[FIGURES_MAX];
    for (unsigned i = 0; i < FIGURES_MAX; i++)
        value[i] = UINT64_MAX - i;
    size_t size = record_pack(bytes, &shape, value, NULL, value, value);
    for (size_t cut = 1; cut < size; cut++) {
        struct figures read = {.known = false};
        unsigned char *exact = malloc(cut);
        memcpy(exact, bytes, cut);
        assert_false(record_unpack(exact, cut, &shape, true, &read));
        free(exact);
    }
    srand(2);
    for (int i = 0; i < 20000; i++) {
        struct figures read = {.known = i & 1};
        size_t length = (size_t)rand() % 40;
        unsigned char *garbage = malloc(length + 1);
        for (size_t at = 0; at < length; at++)
            garbage[at] = (unsigned char)rand();
        record_unpack(garbage, length, &shape, i & 2, &read);
        free(garbage);
    }
}

static void test_record_keys_are_in_the_order_of_blocks_and_tell_their_time(void **state)
{
    (void)state;
    for (enum level level = 0; level < LEVELS; level++) {
        uint64_t step = level_shapes[level].step_s, rows = 1u << level_shapes[level].bits;
        uint64_t at = 1800000000 / (step * rows) * step * rows;
        assert_int_equal(key_at(level, key_of(level, 5, at)), at);
        assert_int_equal(key_at(level, key_of(level, SERIES_MAX, at + step)), at + step);
        assert_true(key_of(level, 5, at) + 1 == key_of(level, 5, at + step));
        assert_true(key_of(level, SERIES_MAX, at) < key_of(level, 0, at + step * rows));
        assert_true(key_of(level, 0, (uint64_t)AT_MAX) < INT64_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_any_values_survive),
        cmocka_unit_test(test_record_what_did_not_change_costs_nothing),
        cmocka_unit_test(test_record_no_bytes_end_the_subject),
        cmocka_unit_test(test_record_what_is_cut_or_garbage_is_refused),
        cmocka_unit_test(test_record_keys_are_in_the_order_of_blocks_and_tell_their_time),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
