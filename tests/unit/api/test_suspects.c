/* What is made of a host's candidates and cycles, whatever it says; types that grow are tests/unit/stats/test_suspects.c's. */
#include "listed.h"

enum { CYCLIC = 1, FEW, MANY, FRESH, SOME, YOUNG, TYPES };

static void sample(struct world *world)
{
    static struct intake_type types[TYPES] = {{.name = "other"}, {.name = "cyclic"}, {.name = "few"}, {.name = "many"},
                                              {.name = "fresh"}, {.name = "some"}, {.name = "young"}};
    static const struct intake_row rows[TYPES] = {
        [CYCLIC] = {.allocated = 1000, .freed_cycle = 300, .freed_refcount = 100},
        [FEW] = {.allocated = 40, .freed_refcount = 5},
        [MANY] = {.allocated = 5000, .freed_refcount = 900},
        [FRESH] = {.allocated = 5000},
        [SOME] = {.allocated = 5000, .freed_cycle = 100},
        [YOUNG] = {.allocated = 5000}};
    world->sink.sample(world->stats, world->process,
                       &(struct intake_sample){.heap_number = 2, .mono_ns = clock_mono_ns(), .type_count = TYPES, .rows = rows,
                                               .types = types, .summary = {.valid = true, .manager = WIRE_MANAGER_CYCLE}});
    world->sink.swept(world->stats, true);
}

static json_t *suspects(struct world *world, const char *query)
{
    char path[128];
    snprintf(path, sizeof path, P "/heaps/2/suspects%s", query);
    return json_of(ask(world, "GET", path, ""));
}

static const char *word(const json_t *row, const char *name)
{
    return json_string_value(json_object_get(row, name));
}

static bool is_complete(const json_t *json, const char *part)
{
    return json_is_true(json_object_get(json_object_get(json_object_get(json, "completeness"), part), "complete"));
}

static void test_advice_fits_what_is_seen(void **state)
{
    struct world *world = *state;
    static const char *const expected[][2] = {{"many", "acyclic"}, {"cyclic", "weak"}, {"fresh", "freeze"}, {"few", "immortal"}};
    const struct wire_candidates rows[] = {
        {.candidates = 20, .survived = 20, .type_row = FEW},         {.candidates = 500, .survived = 400, .type_row = CYCLIC},
        {.candidates = 3000, .survived = 2999, .type_row = MANY},    {.candidates = 300, .survived = 200, .type_row = FRESH},
        {.candidates = 15, .survived = 15, .type_row = SOME},        {.candidates = 100, .survived = 49, .type_row = YOUNG},
        {.candidates = 100, .survived = 101, .type_row = YOUNG},     {.candidates = UINT64_MAX, .survived = UINT64_MAX, .type_row = UINT32_MAX}};
    sample(world);
    json_t *json = suspects(world, "");
    assert_true(json_is_null(json_object_get(json, "always_alive")));
    assert_false(is_complete(json, "always_alive"));
    json_decref(json);
    json_decref(listed(world, P "/heaps/2/candidates?wait=0s", rows, sizeof rows, 8, 0));
    json = suspects(world, "");
    const json_t *always = json_object_get(json, "always_alive");
    assert_int_equal(json_array_size(always), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *row = json_array_get(always, i);
        assert_string_equal(word(row, "type"), expected[i][0]);
        assert_string_equal(word(json_object_get(row, "advice"), "do"), expected[i][1]);
    }
    assert_true(is_complete(json, "always_alive"));
    json_decref(json);
    json = suspects(world, "?limit=1");
    assert_int_equal(json_array_size(json_object_get(json, "always_alive")), 1);
    json_decref(json);
}

static void test_a_part_of_the_heap_is_not_all(void **state)
{
    struct world *world = *state;
    const struct wire_candidates row = {.candidates = 100, .survived = 100, .type_row = MANY};
    sample(world);
    json_decref(listed(world, P "/heaps/2/candidates?wait=0s", &row, sizeof row, 1, 8192));
    json_t *json = suspects(world, "");
    assert_int_equal(json_array_size(json_object_get(json, "always_alive")), 1);
    assert_false(is_complete(json, "always_alive"));
    json_decref(json);
}

/* Who frees what, those with most first, each with the largest cycle that it is part of. */
static void test_cycles_tell_what_to_weaken(void **state)
{
    struct world *world = *state;
    static const struct { struct wire_cycle row; char text[32]; } cycles[] = {
        {{.count = 1, .objects = 5, .text_bytes = 25}, "cyclic.next -> cyclic.too"},
        {{.count = 9, .objects = 90, .text_bytes = 29}, "cyclic.kids -> many.parent_of"},
        {{.count = 1, .objects = 900, .text_bytes = 4}, "\xff\n.x"}};
    static _Alignas(8) char rows[sizeof cycles];
    size_t used = 0;
    sample(world);
    for (size_t i = 0; i < 3; i++) {
        memcpy(rows + used, &cycles[i], wire_cycle_bytes(cycles[i].row.text_bytes));
        used += wire_cycle_bytes(cycles[i].row.text_bytes);
    }
    json_decref(listed(world, P "/heaps/2/cycles?wait=0s", rows, used, 3, 0));
    json_t *json = suspects(world, "");
    const json_t *reclaimed = json_object_get(json, "reclaimed"), *first = json_array_get(reclaimed, 0);
    assert_int_equal(json_array_size(reclaimed), 2);
    assert_string_equal(word(first, "type"), "cyclic");
    assert_true(json_real_value(json_object_get(first, "share")) == 0.75);
    assert_true(json_real_value(json_object_get(first, "share_of_collected")) == 0.75);
    const json_t *cycle = json_object_get(first, "cycle");
    assert_string_equal(word(cycle, "shape"), cycles[1].text);
    assert_string_equal(word(json_object_get(cycle, "weaken"), "edge"), "many.parent_of");
    assert_true(json_is_null(json_object_get(json_array_get(reclaimed, 1), "cycle"))); /* of no shape */
    assert_true(is_complete(json, "reclaimed"));
    assert_true(json_is_null(json_object_get(json, "external")));
    json_decref(json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_advice_fits_what_is_seen), TEST(test_a_part_of_the_heap_is_not_all),
                                       TEST(test_cycles_tell_what_to_weaken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
