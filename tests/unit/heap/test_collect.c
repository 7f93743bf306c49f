/* Collections: what they find, keep and count. */
#include "support.h"

static void test_collect_counts_a_self_edge_and_a_couple(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *one = pair_make(heap, NULL, NULL);
    tally_store(one, &one->first, one);
    tally_decref(one);
    assert_int_equal(tally_collect(heap, 2), 1);
    struct pair *a = pair_make(heap, NULL, NULL), *b = pair_make(heap, a, a);
    tally_store(a, &a->first, b);
    tally_decref(a);
    tally_decref(b);
    assert_int_equal(tally_collect(heap, 2), 2);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_collect(heap, 3), TALLY_EINVAL);
    assert_int_equal(tally_collect(heap, -1), TALLY_EINVAL);
    heap_check(heap);
    tally_heap_free(heap);
}

static void test_collect_keeps_what_is_held_and_changes_no_count(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *ring[3];
    for (int i = 0; i < 3; i++)
        ring[i] = pair_make(heap, i ? ring[i - 1] : NULL, NULL);
    tally_store(ring[0], &ring[0]->first, ring[2]);
    tally_decref(ring[0]);
    tally_decref(ring[2]);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_refcount(ring[0]), 1);
    assert_int_equal(tally_refcount(ring[1]), 2);
    assert_int_equal(tally_refcount(ring[2]), 1);
    tally_decref(ring[1]);
    assert_int_equal(tally_collect(heap, 2), 3);
    tally_heap_free(heap);
}

/* More references than 16 bits count, from inside and from outside. */
static void test_collect_counts_hubs_exactly(void **state)
{
    (void)state;
    enum { SPOKES = 70000 };
    struct tally_heap *heap = heap_make();
    struct pair *hub = pair_make(heap, NULL, NULL), *last = NULL;
    for (int i = 0; i < SPOKES; i++) {
        struct pair *spoke = pair_make(heap, hub, last);
        if (last)
            tally_decref(last);
        last = spoke;
    }
    tally_store_steal(hub, &hub->first, last);
    assert_int_equal(tally_refcount(hub), SPOKES + 1);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_refcount(hub), SPOKES + 1);
    tally_decref(hub);
    assert_int_equal(tally_collect(heap, 2), SPOKES + 1);
    heap_check(heap);
    tally_heap_free(heap);
}

static void test_collect_marks_wide_objects_beyond_its_stack(void **state)
{
    (void)state;
    struct wide {
        size_t length;
        void *slots[];
    };
    enum { WIDTH = 200000 };
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    assert_int_equal(tally_type_register(&(struct tally_type_info){
        .name = "wide", .size = sizeof(struct wide), .trailing = TALLY_TRAILING_SLOTS}, &type), 0);
    struct wide *wide = tally_new_array(heap, type, WIDTH);
    assert_non_null(wide);
    for (size_t i = 0; i < WIDTH; i++)
        tally_store_steal(wide, &wide->slots[i], pair_make(heap, wide, NULL));
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap_live(heap), WIDTH + 1);
    tally_decref(wide);
    assert_int_equal(tally_collect(heap, 2), WIDTH + 1);
    heap_check(heap);
    tally_heap_free(heap);
}

static void test_collect_of_the_young_keeps_what_the_old_hold(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *old = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_generation(old), 2);
    struct pair *young = pair_make(heap, old, NULL);
    tally_store(old, &old->first, young);
    tally_decref(young);
    assert_int_equal(tally_collect(heap, 0), 0);
    assert_int_equal(tally_generation(young), 1);
    tally_decref(old);
    assert_int_equal(tally_collect(heap, 1), 0);
    assert_int_equal(tally_collect(heap, 2), 2);
    heap_check(heap);
    tally_heap_free(heap);
}

static unsigned finalized;
static void count_finalizer(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    finalized++;
}

static void *saved;
static void save_first(struct tally_heap *heap, void *object)
{
    (void)heap;
    finalized++;
    if (!saved)
        saved = tally_dup(object);
}

static void test_collect_rescues_what_a_finalizer_saves_and_all_it_reaches(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = pair_type_make("saver", save_first);
    struct pair *a = tally_new(heap, type), *b = pair_make(heap, a, NULL);
    tally_store(a, &a->first, b);
    tally_decref(a);
    tally_decref(b);
    for (int i = 0; i < 100; i++) {
        struct pair *loop = pair_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
    }
    saved = NULL;
    finalized = 0;
    assert_int_equal(tally_collect(heap, 2), 100);
    assert_ptr_equal(saved, a);
    assert_ptr_equal(((struct pair *)a->first)->first, a);
    heap_check(heap);
    tally_decref(a);
    assert_int_equal(tally_collect(heap, 2), 2);
    assert_int_equal(finalized, 1);
    saved = NULL;
    tally_heap_free(heap);
}

static int64_t nested = -1;
static void collect_again(struct tally_heap *heap, void *object)
{
    (void)object;
    nested = tally_collect(heap, 2);
    for (int i = 0; i < 100; i++) {
        struct pair *loop = pair_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
    }
}

static void test_collect_refuses_to_nest_and_leaves_new_objects_alone(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *a = tally_new(heap, pair_type_make("nester", collect_again));
    tally_store_steal(a, &a->first, a);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(nested, 0);
    assert_int_equal(heap_live(heap), 100);
    assert_int_equal(tally_collect(heap, 0), 100);
    tally_heap_free(heap);
}

static void test_collect_saves_all_on_request(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_debug(heap, 1u << 20), TALLY_EINVAL);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    struct pair *a = pair_make(heap, NULL, NULL);
    tally_store_steal(a, &a->first, a);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(tally_garbage_count(heap), 1);
    assert_ptr_equal(tally_garbage_get(heap, 0), a);
    assert_null(tally_garbage_get(heap, 1));
    void *taken = tally_garbage_take(heap, 0);
    assert_int_equal(tally_garbage_count(heap), 0);
    assert_int_equal(tally_set_debug(heap, 0), 0);
    tally_decref(taken);
    assert_int_equal(tally_collect(heap, 2), 1);
    heap_check(heap);
    tally_heap_free(heap);
}

static void test_collect_never_examines_what_is_frozen(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *a = pair_make(heap, NULL, NULL), *b = pair_make(heap, a, NULL);
    tally_store_steal(a, &a->first, b);
    tally_freeze(heap);
    tally_decref(a);
    assert_int_equal(tally_generation(a), TALLY_GENERATION_FROZEN);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_unfreeze(heap);
    assert_int_equal(tally_generation(a), 2);
    assert_int_equal(tally_collect(heap, 2), 2);
    tally_heap_free(heap);
}

static void test_collect_comes_by_itself_where_the_threshold_says(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL), 0);
    struct tally_stats stats;
    uint64_t counts[3];
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){10, 2, 2}), 0);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){0x80000000u, 2, 2}), TALLY_EINVAL);
    tally_enable(heap);
    struct pair *kept_pairs[11];
    for (int i = 0; i < 10; i++)
        kept_pairs[i] = pair_make(heap, NULL, NULL);
    tally_get_stats(heap, &stats, sizeof stats);
    assert_int_equal(stats.generations[0].collections, 0);
    kept_pairs[10] = pair_make(heap, NULL, NULL);
    tally_get_stats(heap, &stats, sizeof stats);
    assert_int_equal(stats.generations[0].collections, 1);
    tally_counts(heap, counts);
    assert_int_equal(counts[0], 0);
    assert_int_equal(counts[1], 1);
    for (int i = 0; i < 11; i++)
        tally_decref(kept_pairs[i]);
    tally_counts(heap, counts);
    assert_int_equal(counts[0], 0);
    tally_disable(heap);
    for (int i = 0; i < 1000; i++) {
        struct pair *loop = pair_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
    }
    assert_int_equal(heap_live(heap), 1000);
    assert_int_equal(tally_collect(heap, 2), 1000);
    tally_heap_free(heap);
}

static void test_collect_stays_right_under_stress(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_stress(heap, 1, false);
    struct pair *chain = NULL;
    for (int i = 0; i < 300; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        tally_store_steal(pair, &pair->first, chain);
        chain = pair;
        struct pair *loop = pair_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
        heap_check(heap);
    }
    assert_in_range(heap_live(heap), 300, 301);
    tally_decref(chain);
    tally_heap_free(heap);
}

static void test_heap_free_finalizes_what_is_left(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = pair_type_make("left", count_finalizer);
    finalized = 0;
    struct pair *cycle = tally_new(heap, type), *held = tally_new(heap, type);
    tally_store_steal(cycle, &cycle->first, cycle);
    assert_non_null(held);
    tally_heap_free(heap);
    assert_int_equal(finalized, 2);
    tally_heap_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collect_counts_a_self_edge_and_a_couple),
        cmocka_unit_test(test_collect_keeps_what_is_held_and_changes_no_count),
        cmocka_unit_test(test_collect_counts_hubs_exactly),
        cmocka_unit_test(test_collect_marks_wide_objects_beyond_its_stack),
        cmocka_unit_test(test_collect_of_the_young_keeps_what_the_old_hold),
        cmocka_unit_test(test_collect_rescues_what_a_finalizer_saves_and_all_it_reaches),
        cmocka_unit_test(test_collect_refuses_to_nest_and_leaves_new_objects_alone),
        cmocka_unit_test(test_collect_saves_all_on_request),
        cmocka_unit_test(test_collect_never_examines_what_is_frozen),
        cmocka_unit_test(test_collect_comes_by_itself_where_the_threshold_says),
        cmocka_unit_test(test_collect_stays_right_under_stress),
        cmocka_unit_test(test_heap_free_finalizes_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
