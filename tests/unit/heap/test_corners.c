/* Corners of a heap: callbacks that do what they should not, thresholds and limits at their ends, pages,
 * threads. */
#include <pthread.h>

#include "corners.h"

/* ---- callbacks that do what they should not */

static int reports[16];
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    reports[report->kind]++;
}

static void end_heap(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_heap_free(heap);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), TALLY_EBUSY);
    assert_int_equal(tally_heap_disown(heap), TALLY_EBUSY);
    assert_int_equal(tally_park(heap), TALLY_EBUSY);
    assert_true(tally_step(heap, 0));
}

static void test_a_finalizer_frees_its_heap(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    acting(end_heap);
    tally_decref(actor_make(heap, NULL, NULL)); /* in a death */
    assert_int_equal(reports[TALLY_REPORT_CALLBACK], 1);
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    assert_int_equal(tally_collect(heap, 2), 1); /* in a collection */
    assert_int_equal(reports[TALLY_REPORT_CALLBACK], 2);
    actor = actor_make(heap, NULL, NULL); /* at the heap's end */
    acting(NULL);
    tally_set_report(heap, on_report, NULL);
    tally_heap_free(heap);
    assert_int_equal(finalized, 1);
}

static void free_at_the_end(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_heap_free(heap);
}

static void test_the_last_finalizer_frees_its_heap_again(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    acting(free_at_the_end);
    actor_make(heap, NULL, NULL); /* its reference is never given back */
    tally_heap_free(heap);
    assert_int_equal(finalized, 1);
    assert_int_equal(reports[TALLY_REPORT_CALLBACK], 1);
    assert_int_equal(reports[TALLY_REPORT_LEAK], 1);
}

static void lose_one(struct tally_heap *heap, void *object)
{
    (void)object;
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_decref(tally_dup(pair)); /* every decref to non-zero would collect */
    tally_decref(pair);
    for (int i = 0; i < 10; i++) /* every allocation would */
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(tally_extern_bytes(object, 1 << 30), 0);
}

static void test_stress_does_not_nest(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(lose_one);
    tally_set_stress(heap, 1, true);
    tally_decref(actor_make(heap, NULL, NULL));
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(finalized, 2);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_REFCOUNT), 0);
    loop_leave(heap);
    for (int i = 0; i < 5; i++)
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(heap_live(heap), 1); /* no collection under refcount */
    tally_set_stress(heap, 0, false);
    tally_heap_free(heap);
}

/* The finalizers of garbage take the rest off the list while it is cleared. */
static void clear_garbage(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_garbage_clear(heap);
}

static void test_the_garbage_list_is_cleared_by_what_is_on_it(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    acting(NULL);
    struct pair *actors[3];
    for (int i = 0; i < 3; i++) {
        actors[i] = actor_make(heap, NULL, NULL);
        tally_store_steal(actors[i], &actors[i]->first, actors[i]);
    }
    assert_int_equal(tally_collect(heap, 2), 3);
    assert_int_equal(finalized, 3);
    tally_set_debug(heap, 0);
    for (int i = 0; i < 3; i++) {
        tally_store_steal(actors[i], &actors[i]->second, actor_make(heap, NULL, NULL));
        tally_clear(actors[i], &actors[i]->first);
    }
    acting(clear_garbage);
    tally_garbage_clear(heap);
    assert_int_equal(finalized, 3);
    assert_int_equal(tally_garbage_count(heap), 0);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* ---- thresholds and triggers at their ends */

static void test_thresholds_of_zero(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = heap_make();
        tally_set_manager(heap, manager);
        assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){0, 0, 0}), 0);
        tally_enable(heap);
        for (int i = 0; i < 3000; i++)
            loop_leave(heap);
        assert_int_equal(heap_live(heap), 3000); /* 0: never by itself */
        assert_int_equal(tally_collect(heap, 2), 3000);
        assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){100, 0, 0}), 0);
        for (int i = 0; i < 3000; i++)
            loop_leave(heap);
        assert_true(heap_live(heap) < 2000);
        tally_heap_free(heap);
    }
}

/* A full run waits until a quarter of what lives long is new. */
static void test_a_full_run_waits_for_growth(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL);
    struct wide *old = wide_full(heap, 20000);
    tally_collect(heap, 2);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){10, 1, 1}), 0);
    tally_enable(heap);
    uint64_t full = heap_stats(heap).generations[2].collections,
             middle = heap_stats(heap).generations[1].collections;
    struct pair *pairs[1000];
    for (int i = 0; i < 1000; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    assert_int_equal(heap_stats(heap).generations[2].collections, full);
    assert_true(heap_stats(heap).generations[1].collections > middle + 10);
    for (int i = 0; i < 1000; i++)
        tally_decref(pairs[i]);
    tally_decref(old);
    tally_heap_free(heap);
}

/* Something deferred is looked for when memory grows, even where objects do not. */
static void test_native_memory_makes_a_deferred_run_due(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *loop = loop_leave(heap);
    tally__candidate_take(heap, page_of(loop),
                          slot_of(page_of(loop), loop)); /* as if a barrier had hidden it */
    heap->deferred = true;
    void *weight = tally_new(heap, weight_type());
    tally_enable(heap);
    tally_decref(tally_new(heap, weight_type()));
    assert_int_equal(heap_live(heap), 2);
    assert_int_equal(tally_extern_bytes(weight, 1 << 30), 0);
    for (int i = 0; i < 10; i++)
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(heap_live(heap), 1);
    tally_decref(weight);
    tally_heap_free(heap);
}

static bool greedy(struct tally_heap *heap, size_t bytes, void *arg)
{
    (void)bytes;
    ++*(int *)arg;
    assert_null(tally_new_array(heap, (const struct tally_type *)tally_heap_user(heap),
                                1 << 20)); /* not asked again */
    return false;
}

/* Out of memory under refcount: no collection; the hook is asked once, not by what it does itself. */
static void test_the_memory_hook_is_not_asked_by_itself(void **state)
{
    (void)state;
    const struct tally_type *bytes = bytes_type();
    struct tally_heap_options options = {
        .manager = TALLY_MANAGER_REFCOUNT, .user = (void *)(uintptr_t)bytes, .memory_limit_bytes = 1 << 20};
    struct tally_heap *heap;
    int asked = 0;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    tally_set_memory_hook(heap, greedy, &asked);
    assert_null(tally_new_array(heap, bytes, 1 << 20));
    assert_int_equal(asked, 1);
    void *weight = tally_new(heap, weight_type());
    assert_int_equal(tally_extern_bytes(weight, 1 << 21), 0); /* past the limit already */
    assert_null(tally_new_array(heap, bytes, 1 << 17));
    assert_int_equal(asked, 2);
    heap_check(heap);
    tally_decref(weight);
    tally_heap_free(heap);
}

/* At the limit, a finalizer's request takes the pages that were kept empty. */
static void *in_finalizer;
static void allocate_large(struct tally_heap *heap, void *object)
{
    (void)object;
    in_finalizer = tally_new_array(heap, tally_heap_user(heap), 100000);
}

static void test_spare_pages_go_to_a_finalizer(void **state)
{
    (void)state;
    const struct tally_type *bytes = bytes_type();
    struct tally_heap *heap;
    struct tally_heap_options options = {.user = (void *)(uintptr_t)bytes};
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    tally_disable(heap);
    struct pair *actor = actor_make(heap, NULL, NULL), *many[20000];
    tally_store_steal(actor, &actor->first, actor);
    for (int i = 0; i < 20000; i++)
        many[i] = pair_make(heap, NULL, NULL);
    for (int i = 0; i < 20000; i++)
        tally_decref(many[i]);
    assert_true(heap->spare_count >= 2);
    tally_set_memory_limit(heap, heap->mapped_bytes);
    acting(allocate_large);
    in_finalizer = NULL;
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_non_null(in_finalizer);
    tally_decref(in_finalizer);
    tally_heap_free(heap);
}

/* ---- pages */

static void *crooked_map(size_t bytes, void *arg)
{
    (void)arg;
    return (char *)aligned_alloc(65536, bytes + 65536) + 8;
}
static unsigned unmapped;
static void crooked_unmap(void *memory, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    free((char *)memory - 8);
    unmapped++;
}

static void test_pages_that_are_not_aligned_are_refused(void **state)
{
    (void)state;
    struct tally_page_hooks hooks = {.map = crooked_map, .unmap = crooked_unmap};
    struct tally_heap *heap;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
    unmapped = 0;
    assert_null(tally_new(heap, pair_type()));
    assert_true(unmapped >= 1); /* each is given back */
    tally_heap_free(heap);
}

static int count_type(const struct tally_unexplained *found, void *arg)
{
    assert_int_equal(found->objects, 1);
    ++*(unsigned *)arg;
    return 0;
}

/* Pages have come and gone: their places in the table are empty, and everything passes over them. */
static void test_holes_in_the_page_table(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    enum { PAIRS = 20000 };
    struct pair **pairs = calloc(PAIRS, sizeof *pairs);
    void *large = wide_make(heap, 100000);
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    void *last = wide_make(heap, 100000);
    uint64_t id = tally_object_id(pairs[PAIRS / 2]);
    const void *place = pairs[PAIRS / 2];
    assert_ptr_equal(tally_object_at(heap, (char *)last + 700000), last);
    for (int i = 0; i < PAIRS; i++)
        tally_decref(pairs[i]);
    tally_decref(large);
    free(pairs);
    tally_trim(heap);
    bool hole = false;
    for (uint32_t i = 0; i < heap->page_count; i++)
        hole |= !heap->pages[i];
    assert_true(hole);
    assert_null(tally_object_by_id(heap, id));
    assert_null(tally_object_at(heap, place));
    tally_freeze(heap);
    assert_int_equal(tally_freeze_count(heap), 1);
    tally_unfreeze(heap);
    unsigned types = 0;
    assert_int_equal(tally_unexplained(heap, count_type, &types), 0);
    assert_int_equal(types, 1);
    loop_leave(heap);
    assert_int_equal(tally_set_max_pause(heap, ROUND_SHORTEST_US), 0);
    void *weight = run_due(heap);
    assert_true(phase_reach(heap, RUN_MERGE) || phase_reach(heap, RUN_EXPLORE) || true);
    assert_int_equal(tally_collect(heap, 2) >= 0, true); /* abandons what has begun */
    run_over(heap, weight);
    heap_check(heap);
    drop(heap, last);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Between an object's end and its slot's, and where no object has been yet, there is none. */
static void test_addresses_past_an_object(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *bytes = bytes_type();
    unsigned slack = 0;
    for (size_t length = 0; length < 2000; length += 8) {
        char *object = tally_new_array(heap, bytes, length);
        const struct page *page = page_of(object);
        assert_ptr_equal(tally_object_at(heap, object + 8 + length - 1), object);
        if (page->slot_bytes >= tally_size(object) + 16) {
            slack++;
            assert_null(tally_object_at(heap, object + tally_size(object)));
        }
        assert_null(tally_object_at(heap, page->bump - 1));
        tally_decref(object);
    }
    assert_true(slack > 10);
    void *large = wide_make(heap, 100000);
    assert_null(tally_object_at(heap, (char *)large + tally_size(large)));
    tally_decref(large);
    tally_heap_free(heap);
}

/* ---- odds */

static void *foreign(void *arg)
{
    void **work = arg; /* heap, type, array type, pair, other heap */
    struct tally_heap *heap = work[0];
    void *moved;
    assert_null(tally_new_array(heap, work[2], 100000));
    assert_int_equal(tally_collect(heap, 2), TALLY_ETHREAD);
    assert_true(tally_step(heap, 0));
    assert_int_equal(tally_transfer(work[4], work[3], &moved, NULL), TALLY_ETHREAD);
    assert_int_equal(tally_heap_disown(heap), TALLY_ETHREAD);
    assert_int_equal(tally_park(heap), TALLY_ETHREAD);
    assert_int_equal(tally_unpark(heap), TALLY_ETHREAD);
    tally_heap_free(heap);
    struct tally_heap *own = NULL;
    if (!tally_heap_new(TALLY_ABI, NULL, &own)) {
        void *pair = tally_new(own, pair_type());
        assert_int_equal(tally_transfer(heap, pair, &moved, NULL), TALLY_ETHREAD);
        tally_decref(pair);
        tally_heap_free(own);
    }
    return NULL;
}

static void test_another_thread_is_refused(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make(), *other = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    tally_set_report(other, on_report, NULL);
    struct wide *wide = wide_make(heap, 1);
    struct pair *pair = pair_make(heap, NULL, NULL);
    void *work[] = {heap, NULL, (void *)(uintptr_t)tally_type_of(wide), pair, other};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, foreign, work), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reports[TALLY_REPORT_THREAD], 9);
    assert_int_equal(heap_live(heap), 2);
    tally_decref(wide);
    tally_decref(pair);
    tally_heap_free(other);
    tally_heap_free(heap);
}

/* A run that passed an object over while it was under construction has not made it old. */
static void test_what_was_under_construction_is_young(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL);
    struct pair *pair = tally_construct(heap, pair_type(), 0);
    while (heap->hot.current[page_of(pair)->class_index] == page_of(pair))
        tally_new(heap, pair_type());
    tally_collect(heap, 2);
    heap_check(heap);
    tally_store(pair, &pair->first, pair);
    tally_publish(pair);
    heap_check(heap);
    assert_int_equal(tally_generation(pair), 0);
    tally_decref(pair);
    assert_int_equal(tally_collect(heap, 0), 1);
    tally_heap_free(heap);
}

static void test_construction_and_immortality_of_what_is_not_tracked(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    void *leaf = tally_construct(heap, weight_type(), 0);
    tally_publish(leaf);
    assert_int_equal(heap->candidate_count, 0);
    struct pair *loop = tally_construct(heap, pair_type(), 0);
    tally_store_steal(loop, &loop->first, loop);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_publish(loop);
    assert_int_equal(tally_collect(heap, 2), 1);
    tally_immortalize(leaf);
    assert_true(tally_is_immortal(leaf));
    tally_immortalize(leaf);
    tally_decref(leaf);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
    tally_heap_free(heap);
}

/* A pinned object that is given back too often is gone, and so is its pin. */
static void test_a_pinned_object_that_dies_all_the_same(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_pin(pair), 0);
    tally_decref(pair);
    tally_decref(pair);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(heap->pins.count, 0);
    tally_heap_free(heap);
}

static void test_unexplained_references_past_lists(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(NULL);
    assert_int_equal(tally_set_finalizer_queue(heap, true, NULL, NULL), 0);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    tally_decref(actor_make(heap, NULL, NULL));
    loop_leave(heap);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0); /* the queue's and the list's are known */
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    struct pair *waiting = pair_make(heap, NULL, NULL);
    tally_store_steal(waiting, &waiting->first, pair_make(heap, NULL, NULL));
    tally_decref(waiting);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
    assert_int_equal(tally_run_finalizers(heap, 5), 1);
    tally_set_debug(heap, 0);
    tally_heap_free(heap);
}

/* While room is made for an entry, a collection's finalizer sets the same key. */
static void *weak_map, *weak_key;
static void set_the_key(struct tally_heap *heap, void *object)
{
    (void)heap;
    assert_int_equal(tally_weakmap_set(weak_map, weak_key, object), 0);
}

static void test_a_key_that_is_set_while_it_is_set(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    weak_map = tally_weakmap_new(heap);
    weak_key = key;
    acting(set_the_key);
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    tally_set_stress(heap, 1, false);
    assert_int_equal(tally_weakmap_set(weak_map, key, value), 0);
    tally_set_stress(heap, 0, false);
    assert_int_equal(finalized, 1);
    assert_int_equal(tally_weakmap_count(weak_map), 1);
    void *got = tally_weakmap_get(weak_map, key);
    assert_ptr_equal(got, value);
    tally_decref(got);
    heap_check(heap);
    assert_true(tally_weakmap_remove(weak_map, key));
    assert_int_equal(tally_weakmap_count(weak_map), 0);
    tally_decref(weak_map);
    tally_decref(key);
    tally_decref(value);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_finalizer_frees_its_heap),
        cmocka_unit_test(test_the_last_finalizer_frees_its_heap_again),
        cmocka_unit_test(test_stress_does_not_nest),
        cmocka_unit_test(test_the_garbage_list_is_cleared_by_what_is_on_it),
        cmocka_unit_test(test_thresholds_of_zero),
        cmocka_unit_test(test_a_full_run_waits_for_growth),
        cmocka_unit_test(test_native_memory_makes_a_deferred_run_due),
        cmocka_unit_test(test_the_memory_hook_is_not_asked_by_itself),
        cmocka_unit_test(test_spare_pages_go_to_a_finalizer),
        cmocka_unit_test(test_pages_that_are_not_aligned_are_refused),
        cmocka_unit_test(test_holes_in_the_page_table),
        cmocka_unit_test(test_addresses_past_an_object),
        cmocka_unit_test(test_another_thread_is_refused),
        cmocka_unit_test(test_what_was_under_construction_is_young),
        cmocka_unit_test(test_construction_and_immortality_of_what_is_not_tracked),
        cmocka_unit_test(test_a_pinned_object_that_dies_all_the_same),
        cmocka_unit_test(test_unexplained_references_past_lists),
        cmocka_unit_test(test_a_key_that_is_set_while_it_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
