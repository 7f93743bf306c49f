/* Details that other tests pass by. White box where nothing else shows them. */
#include <errno.h>

#include "corners.h"
#include "heap/poison.h"

static void set_errno(struct tally_heap *heap, struct tally__request *request)
{
    (void)heap, (void)request;
    errno = EIO;
}

static void test_safepoints_keep_errno(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally__request request = {.run = set_errno};
    errno = 0;
    tally__heap_post(heap, &request);
    assert_int_equal(tally_safepoint(heap), 1);
    assert_int_equal(errno, 0);
    tally_heap_free(heap);
}

/* Only runs that go through a generation say how much of it is long-lived. */
static void test_what_counts_as_long_lived(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *chain = chain_make(heap, 100);
    assert_int_equal(tally_collect(heap, 1), 0);
    assert_int_equal(heap->long_lived_pending, 100);
    assert_int_equal(tally_find_cycles(heap), 0);
    assert_int_equal(heap->long_lived_pending, 100);
    assert_int_equal(tally_collect(heap, 0), 0);
    assert_int_equal(heap->long_lived_pending, 100);
    tally__collect(
        heap, &(struct collect_request){.reason = TALLY_REASON_THRESHOLD, .scope = TALLY_SCOPE_CANDIDATES});
    assert_int_equal(heap->long_lived_pending, 100);
    tally_store_steal(chain, &chain->second, pair_make(heap, NULL, NULL));
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap->long_lived_pending, 0);
    assert_int_equal(heap->long_lived_total, 101);
    assert_int_equal(tally_collect(heap, 2), 0); /* nothing to look for */
    assert_int_equal(heap->long_lived_total, 101);
    assert_int_equal(tally_find_cycles(heap), 0);
    assert_int_equal(heap->long_lived_total, 101);
    tally_decref(chain);
    tally_heap_free(heap);
}

/* What a traverse reported is gone where its holder is disposed of. */
struct outside {
    void **slot;
};
static unsigned emptied;

static void outside_traverse(void *object, tally_slot_fn visit, void *arg)
{
    struct outside *outside = object;
    if (outside->slot)
        visit(outside->slot, arg);
}

static void outside_dispose(void *object)
{
    emptied += !*((struct outside *)object)->slot;
}

static void test_reported_slots_are_empty_at_the_end(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    void *slots[2] = {NULL, NULL};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "outside", .size = sizeof(struct outside),
                                                                   .traverse = outside_traverse,
                                                                   .dispose = outside_dispose}, &type), 0);
    for (int cyclic = 0; cyclic < 2; cyclic++) {
        struct outside *outside = tally_new(heap, type);
        outside->slot = &slots[cyclic];
        struct pair *pair = pair_make(heap, cyclic ? outside : NULL, NULL);
        tally_store_steal(outside, outside->slot, pair);
        tally_decref(outside);
        assert_int_equal(tally_collect(heap, 2), cyclic ? 2 : 0);
        assert_int_equal(emptied, cyclic + 1);
        assert_int_equal(heap_live(heap), 0);
    }
    tally_heap_free(heap);
}

/* Each decref of the same object is another one. */
static void test_stress_at_each_decref_of_one_object(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_set_stress(heap, 0, true);
    for (uint64_t i = 1; i <= 5; i++) {
        tally_decref(tally_dup(pair));
        assert_int_equal(heap_stats(heap).generations[2].collections, i);
    }
    tally_set_stress(heap, 0, false);
    tally_decref(tally_dup(pair));
    assert_int_equal(heap_stats(heap).generations[2].collections, 5);
    tally_decref(pair);
    tally_heap_free(heap);
}

/* However a run is cut, each survivor is counted once. */
static void test_survivors_of_sliced_runs(void **state)
{
    (void)state;
    enum { LENGTH = 20000 / ROUND_SCALE };
    struct tally_heap *heap = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
    struct pair *chain = chain_make(heap, LENGTH);
    void *weight = run_due(heap);
    settle(heap);
    assert_int_equal(heap->run.survivors, heap_live(heap) - (weight && !tally_is_tracked(weight)));
    assert_true(heap->last.slices > 1);
    tally_decref(chain);
    drop(heap, weight);
    tally_heap_free(heap);
}

/* Where pages are all there is, an entry may find no place: the map is as it was. */
static void test_weak_maps_without_memory(void **state)
{
    (void)state;
    static struct pair *keys[10000];
    struct tally_heap *heap = heap_make();
    void *map = tally_weakmap_new(heap);
    for (size_t i = 0; i < 10000; i++)
        keys[i] = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_weakmap_set(map, keys[0], keys[0]), 0);
    tally_set_memory_limit(heap, 1);
    size_t set = 1;
    while (set < 10000 && !tally_weakmap_set(map, keys[set], keys[0]))
        set++;
    assert_in_range(set, 2, 9999);
    assert_int_equal(tally_weakmap_set(map, keys[set], keys[0]), TALLY_ENOMEM);
    assert_int_equal(tally_weakmap_count(map), set);
    assert_null(tally_weakmap_get(map, keys[set]));
    heap_check(heap);
    tally_set_memory_limit(heap, 0);
    assert_int_equal(tally_weakmap_set(map, keys[set], keys[0]), 0);
    for (size_t i = 0; i < 10000; i++)
        tally_decref(keys[i]);
    tally_collect(heap, 2);
    assert_int_equal(tally_weakmap_count(map), 0);
    tally_decref(map);
    tally_heap_free(heap);
}

/* As many new objects as the threshold says are not yet too many. */
static void test_the_threshold_itself_is_not_passed(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pairs[11];
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL), 0);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){10, 10, 10}), 0);
    tally_enable(heap);
    for (int i = 0; i < 11; i++) {
        if (i == 10) {
            assert_false(tally_step(heap, UINT64_MAX));
            assert_int_equal(heap_stats(heap).generations[0].collections, 0);
        }
        pairs[i] = pair_make(heap, NULL, NULL);
    }
    assert_int_equal(heap_stats(heap).generations[0].collections, 1);
    for (int i = 0; i < 11; i++)
        tally_decref(pairs[i]);
    tally_heap_free(heap);
}

/* Cycles are followed through what a traverse reports, too. */
static int cycle_see(const struct tally_cycle *cycle, void *arg)
{
    *(struct tally_cycle *)arg = *cycle;
    return 0;
}

static void test_shapes_by_way_of_a_traverse(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    struct tally_cycle cycle = {.count = 0};
    void *slot = NULL;
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "porch", .size = sizeof(struct outside),
                                                                   .traverse = outside_traverse}, &type), 0);
    struct outside *porch = tally_new(heap, type);
    porch->slot = &slot;
    tally_store_steal(porch, porch->slot, pair_make(heap, porch, NULL));
    tally_decref(porch);
    assert_int_equal(tally_find_cycles(heap), 2);
    assert_int_equal(tally_cycles(heap, cycle_see, &cycle), 0);
    assert_int_equal(cycle.count, 1);
    assert_int_equal(cycle.objects, 2);
    assert_non_null(strstr(cycle.shape, "porch"));
    assert_non_null(strstr(cycle.shape, "pair.first"));
    assert_int_equal(tally_collect(heap, 2), 2);
    tally_heap_free(heap);
}

/* A death that has to wait pays for a few that do, and not for all of them at once. */
static void test_a_death_that_waits_pays_for_a_few(void **state)
{
    (void)state;
    enum { LENGTH = 3000 };
    struct tally_heap *heap = heap_make();
    struct wide *many = wide_make(heap, LENGTH);
    struct pair *one = pair_make(heap, NULL, NULL);
    for (size_t i = 0; i < LENGTH; i++)
        tally_store_steal(many, &many->slots[i], pair_make(heap, NULL, NULL));
    assert_int_equal(tally_set_max_pause(heap, 1), 0);
    tally_decref(many);
    assert_true(tally__deaths_pending(heap));
    uint64_t before = heap_live(heap);
    tally_decref(one);
    uint64_t died = before - heap_live(heap);
    assert_in_range(died, 1, 16);
    settle(heap);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

#if defined(TALLY_DEBUG) && !defined(TALLY_ASAN) /* which would not let it be read */
/* Freed memory is filled but for the word and the link: deaths by count, of large objects, and with their page. */
static void test_freed_memory_is_filled(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *kept = pair_make(heap, NULL, NULL), *gone = pair_make(heap, NULL, NULL);
    tally_decref(gone);
    assert_int_equal((uint8_t)gone->number, 0xdb);
    for (int i = 0; i < 2; i++) {
        struct pair *loop = pair_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
        if (i)
            tally_decref(kept); /* now nothing lives in the page */
        assert_int_equal(tally_collect(heap, 2), 1);
        assert_int_equal((uint8_t)loop->number, 0xdb);
    }
    tally_heap_free(heap);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safepoints_keep_errno),
        cmocka_unit_test(test_what_counts_as_long_lived),
        cmocka_unit_test(test_reported_slots_are_empty_at_the_end),
        cmocka_unit_test(test_stress_at_each_decref_of_one_object),
        cmocka_unit_test(test_survivors_of_sliced_runs),
        cmocka_unit_test(test_weak_maps_without_memory),
        cmocka_unit_test(test_the_threshold_itself_is_not_passed),
        cmocka_unit_test(test_shapes_by_way_of_a_traverse),
        cmocka_unit_test(test_a_death_that_waits_pays_for_a_few),
#if defined(TALLY_DEBUG) && !defined(TALLY_ASAN)
        cmocka_unit_test(test_freed_memory_is_filled),
#endif
    };
    return cmocka_run_group_tests_name("details", tests, NULL, NULL);
}
