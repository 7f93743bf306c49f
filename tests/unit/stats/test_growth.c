/* The least of each type in parts of time, level by level, beside a slow reckoning of the same. */
#include <pthread.h>
#include <stdatomic.h>

#include "world.h"

#include "stats/growth.h"

#define TYPES 3u
#define SECONDS 3000u

static struct stats_type_view types[TYPES];

/* `seconds` looks a second apart, in each four, the third of which is the lowest. */
static void second(struct stats_growth *growth, uint32_t count, uint64_t at, const uint64_t lowest[TYPES])
{
    for (unsigned quarter = 1; quarter <= 4; quarter++) {
        for (uint32_t row = 0; row < count; row++) {
            types[row].live_objects = lowest[row] + (quarter == 3 ? 0 : 10 + quarter);
            types[row].live_bytes = types[row].live_objects * 16;
        }
        stats_growth_take(growth, types, count, at, 1000000000u * (at + 1) + 250000000u * quarter);
    }
}

static uint64_t value(unsigned row, uint64_t at)
{
    return 1000 * (row + 1) + (at * 7919 + row * 31) % 997;
}

/* A part begins with what the one before it ended with. */
static uint64_t least_of(unsigned row, uint64_t at)
{
    uint64_t before = at ? value(row, at - 1) + 14 : UINT64_MAX;
    return value(row, at) < before ? value(row, at) : before;
}

static void expect_level(const struct stats_growth_copy *copy, unsigned level)
{
    const struct stats_growth_level *is = &copy->levels[level];
    uint64_t length = 1, parts;
    for (unsigned i = 0; i < level; i++)
        length *= GROWTH_STEP;
    parts = SECONDS / length;
    assert_int_equal(is->count, parts < GROWTH_PARTS ? parts : GROWTH_PARTS);
    for (unsigned i = 0; i < is->count; i++) {
        uint64_t first = (parts - is->count + i) * length;
        assert_int_equal(is->end_ns[i], 1000000000u * (first + length + 1));
        assert_int_equal(is->collections[i], first + length - 1);
        for (unsigned row = 0; row < TYPES; row++) {
            uint64_t low = UINT64_MAX, high = 0;
            for (uint64_t at = first; at < first + length; at++) {
                low = least_of(row, at) < low ? least_of(row, at) : low;
                high = least_of(row, at) > high ? least_of(row, at) : high;
            }
            assert_int_equal((uint64_t)is->low[row][i], 2 * low);
            assert_int_equal((uint64_t)is->high[row][i], 2 * high);
        }
    }
}

static void test_parts_hold_the_least(void **state)
{
    (void)state;
    struct stats_growth *growth = stats_growth_new(1000000000u);
    assert_null(stats_growth_copy_new(growth));
    assert_null(stats_growth_copy_new(NULL));
    for (uint64_t at = 0; at < SECONDS; at++)
        second(growth, TYPES, at, (uint64_t[]){value(0, at), value(1, at), value(2, at)});
    struct stats_growth_copy *copy = stats_growth_copy_new(growth);
    assert_int_equal(copy->type_count, TYPES);
    assert_int_equal(copy->left_out, 0);
    assert_int_equal(copy->level_count, 6); /* 4^5 seconds, and not 4^6 */
    for (unsigned level = 0; level < copy->level_count; level++)
        expect_level(copy, level);
    free(copy);
    stats_growth_unref(growth);
}

static void test_a_type_that_comes_late_had_none_before(void **state)
{
    (void)state;
    struct stats_growth *growth = stats_growth_new(1000000000u);
    const uint64_t lowest[TYPES] = {50, 60, 70};
    for (uint64_t at = 0; at < 10; at++)
        second(growth, at < 6 ? 1 : TYPES, at, lowest);
    struct stats_growth_copy *copy = stats_growth_copy_new(growth);
    assert_int_equal(copy->type_count, TYPES);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal((int)copy->levels[0].low[0][i], 100);
        assert_int_equal((int)copy->levels[0].low[2][i], i <= 6 ? 0 : 140);
    }
    assert_int_equal((int)copy->levels[1].low[2][0], 0);
    free(copy);
    stats_growth_unref(growth);
}

static void test_types_beyond_the_bound_are_counted(void **state)
{
    enum { MANY = GROWTH_TYPES + 5 };
    (void)state;
    struct stats_growth *growth = stats_growth_new(1000000000u);
    struct stats_type_view *many = calloc(MANY, sizeof *many);
    many[GROWTH_TYPES - 1].live_objects = 3; /* without bytes: objects count */
    stats_growth_take(growth, many, 10, 0, 1500000000u);
    stats_growth_take(growth, many, MANY, 0, 2500000000u);
    many[0].live_bytes = UINT64_MAX;
    stats_growth_take(growth, many, MANY, 0, 3500000000u);
    struct stats_growth_copy *copy = stats_growth_copy_new(growth);
    assert_int_equal(copy->type_count, GROWTH_TYPES);
    assert_int_equal(copy->left_out, 5);
    assert_int_equal(copy->levels[0].count, 2);
    assert_int_equal((int)copy->levels[0].low[GROWTH_TYPES - 1][1], 3);
    free(copy);
    free(many);
    stats_growth_unref(growth);
}

struct race {
    struct stats_growth *growth;
    atomic_bool over;
    atomic_uint copies;
};

/* Parts of one level are of one time each, whoever copies meanwhile. */
static void *copy_all(void *arg)
{
    struct race *race = arg;
    while (!race->over) {
        struct stats_growth_copy *copy = stats_growth_copy_new(race->growth);
        for (unsigned level = 0; copy && level < copy->level_count; level++)
            for (unsigned i = 0; i < copy->levels[level].count; i++)
                for (uint32_t row = 1; row < copy->type_count; row++)
                    assert_true(copy->levels[level].low[row][i] <= copy->levels[level].low[0][i]);
        race->copies += copy != NULL;
        free(copy);
    }
    stats_growth_unref(race->growth);
    return NULL;
}

static void test_copies_are_made_while_it_goes_on(void **state)
{
    enum { MOST = 40 };
    (void)state;
    struct stats_type_view many[MOST] = {{.live_objects = 0}};
    struct stats_growth *growth = stats_growth_new(0);
    struct race race = {.growth = stats_growth_ref(growth)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, copy_all, &race), 0);
    for (uint64_t at = 1; at < 3000 || (race.copies < 3 && at < 1000000); at++) {
        uint32_t count = at < 1500 ? 1 + (uint32_t)(at / 50) : MOST; /* more and more of them */
        for (uint32_t row = 0; row < count; row++)
            many[row].live_objects = 100 + at % 7;
        stats_growth_take(growth, many, count, at, at * 1000000000u);
    }
    race.over = true;
    stats_growth_unref(growth);
    pthread_join(thread, NULL);
    assert_true(race.copies > 0);
}

/* Views share what goes on, until the last of them is gone; a heap that is told of once has none. */
static void test_a_heap_at_rest_costs_nothing(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 11, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 5});
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_null(view->processes[0]->heaps[0].growth);
    stats_view_unref(view);
    world->sink.released(world->stats, process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts_hold_the_least),
                                       cmocka_unit_test(test_a_type_that_comes_late_had_none_before),
                                       cmocka_unit_test(test_types_beyond_the_bound_are_counted),
                                       cmocka_unit_test(test_copies_are_made_while_it_goes_on),
                                       WORLD_TEST(test_a_heap_at_rest_costs_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
