/* What is told of shapes of growth: leaks, slow, late, under noise and under a sawtooth; and what is none: sawteeth of all
 * periods, beginnings that end, caches that fill, noise. Hours of it, a look each quarter of a second. */
#include <math.h>

#include "world.h"

#include "stats/suspects.h"
#include "stats/trend.h"
#include "wire/feed.h"

static double noise(void)
{
    return rand() / (double)RAND_MAX;
}

struct shape {
    double (*of)(double t, double period);
    double period;
};

static double leak(double t, double rate) { return 1000 + rate * t; }
static double noisy_leak(double t, double rate) { return 10000 + rate * t + 300 * rate * noise(); }
static double late_leak(double t, double begin) { return 50000 + 300 * noise() + (t > begin ? 20 * (t - begin) : 0); }
static double saw(double t, double period) { return 1000 + 10000 * fmod(t, period) / period; }
static double leaking_saw(double t, double period) { return saw(t, period) + 1000 * t / period; }
static double ramp(double t, double end) { return 1000 + 50 * (t < end ? t : end); }
static double cache(double t, double filled) { return 20 * (t < filled ? t : filled) - (t < filled ? 0 : 5 * noise()); }
static double soft_cache(double t, double time) { return 1000 + 50000 * (1 - exp(-t / time)); }
static double flat(double t, double width) { return t * 0 + 5000 + width * noise(); }
static double daily(double t, double day) { return 5000 + 4000 * sin(t / day * 2 * M_PI); }

struct seen {
    double first, last, most; /* when it was suspected with the confidence asked for; the greatest of all */
    unsigned looks, suspected;
    struct stats_suspect suspect; /* the last one */
};

/* Looks each `step` seconds, and goes by those from `from` on. */
static struct seen watch(struct shape shape, double seconds, double from, double confidence, uint64_t collections_per_hour)
{
    const uint64_t start_ns = 1000000000u;
    struct stats_type_view type = {.name = "t", .size_bytes = 32, .tracked = true};
    const struct stats_heap_view heap = {.type_count = 1, .types = &type, .config.manager = WIRE_MANAGER_CYCLE};
    struct stats_growth *growth = stats_growth_new(start_ns);
    struct seen seen = {.first = -1, .last = -1};
    unsigned step = seconds > 5000 ? 20 : 1;
    srand(1);
    for (unsigned quarters = 0; quarters < 4 * (unsigned)seconds; quarters++) {
        double t = quarters / 4.0;
        type.live_objects = (uint64_t)shape.of(t, shape.period);
        type.live_bytes = type.live_objects * 32;
        stats_growth_take(growth, &type, 1, (uint64_t)(t * (double)collections_per_hour / 3600), start_ns + (uint64_t)(t * 1e9));
        if (quarters % (4 * step) || t < from)
            continue;
        struct stats_growth_copy *copy = stats_growth_copy_new(growth);
        struct stats_suspect suspect = {.confidence = 0};
        seen.looks++;
        if (stats_suspects(&heap, copy, &suspect) && suspect.confidence >= confidence) {
            seen.suspected++;
            seen.first = seen.first < 0 ? t : seen.first;
            seen.last = t;
        }
        seen.most = fmax(seen.most, suspect.confidence);
        if (suspect.confidence > 0)
            seen.suspect = suspect;
        free(copy);
    }
    stats_growth_unref(growth);
    return seen;
}

#define OFTEN 3600u

static void test_leaks_are_found(void **state)
{
    (void)state;
    struct seen seen = watch((struct shape){leak, 10}, 1800, 200, 0.75, OFTEN);
    assert_int_equal(seen.suspected, seen.looks);
    assert_true(seen.most <= SUSPECT_MOST_CONFIDENCE);
    assert_true(fabs(seen.suspect.objects_per_hour - 36000) < 360);
    assert_true(fabs(seen.suspect.bytes_per_hour - 32 * 36000.0) < 32 * 360);
    assert_true(seen.suspect.windows >= SUSPECT_LEAST_PARTS && seen.suspect.duration_ns > 500000000000u);
    assert_int_equal(seen.suspect.rises, seen.suspect.windows - 1);
    seen = watch((struct shape){leak, 10}, 60, 0, 0.25, OFTEN);
    assert_in_range((int)seen.first, 8, 40); /* soon, but not for sure */
    assert_true(seen.most < 0.5);
}

static void test_leaks_are_found_under_noise(void **state)
{
    (void)state;
    struct seen seen = watch((struct shape){noisy_leak, 10}, 3600, 300, 0.5, OFTEN);
    assert_true(seen.suspected > seen.looks * 9 / 10);
    assert_true(fabs(seen.suspect.objects_per_hour - 36000) < 3600);
    static const double periods[] = {0.7, 3, 10, 30, 60};
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        seen = watch((struct shape){leaking_saw, periods[i]}, 3600, 600, 0.5, OFTEN);
        assert_true(seen.suspected > seen.looks * 9 / 10);
    }
}

/* Hours of rest are no alibi. */
static void test_a_leak_that_begins_late_is_found(void **state)
{
    (void)state;
    struct seen seen = watch((struct shape){late_leak, 20000}, 22000, 0, 0.5, OFTEN);
    assert_in_range((int)seen.first, 20000, 20300);
    seen = watch((struct shape){late_leak, 20000}, 22000, 20300, 0.5, OFTEN);
    assert_true(seen.suspected > seen.looks * 9 / 10);
}

static void test_without_a_collection_it_may_be_garbage(void **state)
{
    (void)state;
    struct seen seen = watch((struct shape){leak, 10}, 1800, 0, 0.5, 0);
    assert_int_equal(seen.suspected, 0);
    assert_true(seen.most > 0.4);
}

static void test_a_sawtooth_is_no_leak(void **state)
{
    (void)state;
    static const double periods[] = {0.7, 3, 10, 30, 60, 100};
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) /* never, from the first tooth on */
        assert_int_equal(watch((struct shape){saw, periods[i]}, 3600, 0, 0.5, OFTEN).suspected, 0);
    assert_int_equal(watch((struct shape){saw, 600}, 12000, 650, 0.5, OFTEN).suspected, 0); /* the first looks like one */
    struct seen seen = watch((struct shape){daily, 86400}, 300000, 130000, 0.5, OFTEN);
    assert_int_equal(seen.suspected, 0);
}

static void test_a_beginning_is_no_leak(void **state)
{
    (void)state;
    static const double ends[] = {5, 20, 60};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        assert_int_equal(watch((struct shape){ramp, ends[i]}, 900, 0, 0.5, OFTEN).suspected, 0);
    struct seen seen = watch((struct shape){ramp, 300}, 3600, 0, 0.5, OFTEN);
    assert_true(seen.last < 400); /* once it is over, it is over */
    assert_int_equal(watch((struct shape){ramp, 300}, 3600, 500, 0, OFTEN).suspect.confidence > 0, 0);
}

static void test_a_cache_that_has_filled_is_no_leak(void **state)
{
    (void)state;
    static const double filled[] = {5, 20, 60};
    for (size_t i = 0; i < sizeof filled / sizeof *filled; i++) {
        assert_int_equal(watch((struct shape){cache, filled[i]}, 1200, 0, 0.5, OFTEN).suspected, 0);
        assert_int_equal(watch((struct shape){soft_cache, filled[i]}, 1200, 0, 0.5, OFTEN).suspected, 0);
    }
    assert_true(watch((struct shape){cache, 300}, 3600, 0, 0.5, OFTEN).last < 400);
    assert_true(watch((struct shape){soft_cache, 300}, 6000, 0, 0.5, OFTEN).last < 700);
}

static void test_noise_is_no_leak(void **state)
{
    (void)state;
    assert_int_equal(watch((struct shape){flat, 200}, 7200, 0, 0.1, OFTEN).suspected, 0);
    assert_int_equal(watch((struct shape){flat, 0}, 600, 0, 0, OFTEN).suspect.confidence > 0, 0);
}

/* Those that grow fastest first; types that the growth does not reach are passed over. */
#define WANDERERS 200u

static double gauss(void)
{
    return sqrt(-2 * log((rand() + 0.5) / (RAND_MAX + 1.0))) * cos(2 * M_PI * noise());
}

/* Of types that wander about, forgetting in `memory_s` where they were (0: never): how many a look have at least that confidence,
 * as a part of all. */
static void wander(double memory_s, double *half, double *most)
{
    static struct stats_type_view types[WANDERERS];
    static struct stats_suspect found[WANDERERS];
    const struct stats_heap_view heap = {.type_count = WANDERERS, .types = types, .config.manager = WIRE_MANAGER_CYCLE};
    const double kept = memory_s > 0 ? exp(-0.5 / memory_s) : 1, step = memory_s > 0 ? sqrt(1 - kept * kept) : sqrt(0.5);
    struct stats_growth *growth = stats_growth_new(1000000000u);
    double at[WANDERERS] = {0};
    unsigned looks = 0;
    srand(1);
    *half = *most = 0;
    for (unsigned i = 0; i < WANDERERS; i++)
        types[i] = (struct stats_type_view){.name = "t", .row = i, .size_bytes = 32, .tracked = true};
    for (unsigned turn = 0; turn < 1200; turn++) { /* of half a second */
        for (unsigned i = 0; i < WANDERERS; i++) {
            at[i] = kept * at[i] + step * gauss();
            types[i].live_objects = (uint64_t)fmax(20000 + (memory_s > 0 ? 3000 : 100) * at[i], 0);
            types[i].live_bytes = 32 * types[i].live_objects;
        }
        stats_growth_take(growth, types, WANDERERS, turn / 20, 1000000000u + turn * (uint64_t)500000000u);
        if (turn < 120 || turn % 40)
            continue;
        struct stats_growth_copy *copy = stats_growth_copy_new(growth);
        size_t count = stats_suspects(&heap, copy, found);
        for (size_t i = 0; i < count; i++) {
            *half += found[i].confidence >= 0.5;
            *most += found[i].confidence >= 0.75;
        }
        looks++;
        free(copy);
    }
    *half /= (double)looks * WANDERERS;
    *most /= (double)looks * WANDERERS;
    stats_growth_unref(growth);
}

/* What the API's document says of it. */
static void test_few_that_wander_reach_a_confidence(void **state)
{
    (void)state;
    double half, most;
    wander(0, &half, &most);
    print_message("# without direction: %.4f reach 0.5, %.4f 0.75\n", half, most);
    assert_true(half < 0.05 && most < 0.01);
    wander(10, &half, &most);
    print_message("# about a middle: %.4f reach 0.5, %.4f 0.75\n", half, most);
    assert_true(half < 0.002 && most < 0.001);
}

static void test_the_fastest_is_first(void **state)
{
    (void)state;
    struct stats_type_view types[4] = {{.name = "slow", .row = 0}, {.name = "fast", .row = 1}, {.name = "still", .row = 2}, {.name = "beyond", .row = 9}};
    const struct stats_heap_view heap = {.type_count = 4, .types = types, .config.manager = WIRE_MANAGER_REFCOUNT};
    struct stats_growth *growth = stats_growth_new(1);
    struct stats_suspect out[4];
    for (uint64_t t = 1; t < 200; t++) {
        for (unsigned i = 0; i < 4; i++) {
            types[i].live_objects = 100 + (i == 2 ? 0 : t * (i ? 90 : 20));
            types[i].live_bytes = 16 * types[i].live_objects;
        }
        stats_growth_take(growth, types, 3, 0, t * 1000000001u);
    }
    struct stats_growth_copy *copy = stats_growth_copy_new(growth);
    assert_int_equal(stats_suspects(&heap, copy, out), 2);
    assert_string_equal(out[0].type->name, "fast");
    assert_string_equal(out[1].type->name, "slow");
    assert_true(out[0].confidence > 0.5); /* a manager without collections waits for none */
    assert_int_equal(stats_suspects(&heap, NULL, out), 0);
    free(copy);
    stats_growth_unref(growth);
}

static void test_trends_by_hand(void **state)
{
    (void)state;
    const double times[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct trend up = trend_of(times, (double[]){1, 3, 5, 7, 9, 11, 13, 15}, 8);
    assert_true(fabs(up.slope - 2) < 1e-9 && fabs(up.steady - 1) < 1e-9);
    assert_int_equal(up.rises, 7);
    assert_true(fabs(up.p - 0.000419) < 1e-5); /* S = 28, its variance 65.33: z = 3.34 */
    struct trend same = trend_of(times, (double[]){4, 4, 4, 4, 4, 4, 4, 4}, 8);
    assert_true(same.slope == 0 && same.p == 1 && same.steady == 0);
    struct trend down = trend_of(times, (double[]){9, 8, 7, 6, 5, 4, 3, 2}, 8);
    assert_true(down.p == 1 && down.slope < 0 && down.rises == 0);
    struct trend wild = trend_of(times, (double[]){1, 2, 3, 900, 5, 6, 7, 8}, 8); /* one does not decide */
    assert_true(fabs(wild.slope - 1) < 1e-9);
    struct trend ties = trend_of(times, (double[]){0, 0, 0, 0, 1, 1, 1, 1}, 8);
    assert_true(fabs(ties.p - 0.0152) < 1e-4); /* S = 16, its variance (1176 - 2 * 156) / 18: z = 2.165 */
    assert_true(ties.steady == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaks_are_found),
        cmocka_unit_test(test_leaks_are_found_under_noise),
        cmocka_unit_test(test_a_leak_that_begins_late_is_found),
        cmocka_unit_test(test_without_a_collection_it_may_be_garbage),
        cmocka_unit_test(test_a_sawtooth_is_no_leak),
        cmocka_unit_test(test_a_beginning_is_no_leak),
        cmocka_unit_test(test_a_cache_that_has_filled_is_no_leak),
        cmocka_unit_test(test_noise_is_no_leak),
        cmocka_unit_test(test_few_that_wander_reach_a_confidence),
        cmocka_unit_test(test_the_fastest_is_first),
        cmocka_unit_test(test_trends_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
