/* Sets whose counts add up to what they hold among themselves: trash at once; and sets where they must not be
 * taken for that. */
#include "corners.h"

enum { PAIRS = 4000 };
static struct pair *loops[PAIRS];

/* Twins: each holds the other. loops[] borrows them. */
static void twins_make(struct tally_heap *heap)
{
    for (size_t i = 0; i < PAIRS; i++)
        loops[i] = pair_make(heap, NULL, NULL);
    for (size_t i = 0; i < PAIRS; i++)
        tally_store(loops[i], &loops[i]->first, loops[i ^ 1]);
}

static void twins_drop(size_t from)
{
    for (size_t i = from; i < PAIRS; i++)
        tally_decref(loops[i]);
}

static void test_what_holds_itself_alone_goes_at_once(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (int round = 0; round < 3; round++) {
        twins_make(heap);
        twins_drop(0);
        candidates_run(heap);
        assert_true(heap->run.weighed);
        assert_int_equal(heap->run.collected, PAIRS);
        assert_int_equal(heap->run.record.examined, PAIRS);
        assert_int_equal(heap->candidate_count, 0);
        assert_int_equal(heap_live(heap), 0);
    }
    tally_heap_free(heap);
}

/* One reference from a C variable to one of them: the rest is found all the same, and the next tries are further
 * apart. */
static void test_one_reference_from_outside(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    struct pair *kept = tally_dup(loops[PAIRS / 2]);
    twins_drop(0);
    candidates_run(heap);
    assert_false(heap->run.weighed);
    assert_int_equal(heap->run.collected, PAIRS - 2);
    assert_int_equal(tally_refcount(kept), 2);
    assert_int_equal(heap->weigh_skip, 1);
    assert_ptr_equal(((struct pair *)kept->first)->first, kept);
    tally_decref(kept);
    candidates_run(heap); /* too few to be weighed */
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(heap->weigh_wait, 1);
    twins_make(heap);
    twins_drop(0);
    candidates_run(heap); /* its turn: once bitten */
    assert_true(heap->run.weighed);
    assert_int_equal(heap->weigh_skip, 0);
    tally_heap_free(heap);
}

static void test_failures_are_followed_by_longer_waits(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    unsigned tried = 0;
    twins_make(heap);
    struct pair *kept = tally_dup(loops[0]);
    twins_drop(0);
    candidates_run(heap);
    for (int run = 0; run < 200; run++) {
        twins_make(heap);
        tally_store(loops[7], &loops[7]->second, loops[9]);
        struct pair *held = tally_dup(loops[9]);
        twins_drop(0);
        unsigned skip = heap->weigh_skip;
        candidates_run(heap);
        assert_false(heap->run.weighed);
        tried += heap->weigh_skip != skip || (skip == 64 && heap->weigh_wait == 64);
        tally_decref(held);
    }
    assert_in_range(tried, 5, 10);
    tally_decref(kept);
    assert_int_equal(tally_collect(heap, 2) > 0, true);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A surplus of edges of one must not make up for a reference to another: both are members, neither is trash. */
static void test_a_live_object_beside_members_that_refer_to_it(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *live = pair_make(heap, NULL, NULL);
    twins_make(heap);
    for (size_t i = 0; i < PAIRS; i++)
        tally_store(loops[i], &loops[i]->second, live);
    twins_drop(0);
    tally_decref(tally_dup(live)); /* a candidate too */
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS);
    assert_int_equal(tally_refcount(live), 1);
    tally_decref(live);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Members of other types in one page, and arrays: found by a slower way. */
static void test_sets_of_several_types(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *other = pair_type_make("twin", NULL);
    struct wide *wide = wide_make(heap, PAIRS);
    for (size_t i = 0; i < PAIRS; i++) {
        loops[i] = tally_new(heap, i % 3 ? pair_type() : other);
        tally_store(wide, &wide->slots[i], loops[i]);
        tally_store(loops[i], &loops[i]->second, wide);
    }
    twins_drop(0);
    tally_decref(wide);
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS + 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Finalizers run, weak references are cleared, and what is resurrected can become a candidate again. */
static struct pair *saved;
static void save(struct tally_heap *heap, void *object)
{
    (void)heap;
    saved = tally_dup(object);
}

static void test_what_the_host_has_to_see(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store(actor, &actor->first, actor);
    void *weak = tally_weak_new(heap, NULL, loops[2], NULL, NULL);
    acting(save);
    finalized = 0;
    saved = NULL;
    twins_drop(0);
    tally_decref(actor);
    candidates_run(heap);
    assert_int_equal(finalized, 1);
    assert_ptr_equal(saved, actor);
    assert_null(tally_weak_lock(weak));
    assert_int_equal(heap_live(heap), 2);
    tally_decref(saved); /* seen: nothing is left of its first life as a candidate */
    assert_int_equal(heap->candidate_count, 1);
    candidates_run(heap);
    tally_decref(weak);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* On the garbage list they live on, and their decrefs are seen. */
static void test_what_is_saved(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    twins_drop(0);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    candidates_run(heap);
    assert_true(heap->run.weighed);
    assert_int_equal(tally_garbage_count(heap), PAIRS);
    assert_int_equal(heap_live(heap), PAIRS);
    tally_decref(tally_dup(loops[1]));
    assert_int_equal(heap->candidate_count, 1);
    assert_int_equal(tally_set_debug(heap, 0), 0);
    tally_garbage_clear(heap);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_whole_heaps_of_trash(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (int external = 0; external < 2; external++) {
        twins_make(heap);
        struct pair *kept = external ? tally_dup(loops[5]) : NULL;
        tally_disable(heap);
        twins_drop(0);
        assert_int_equal(tally_collect(heap, 2), external ? PAIRS - 2 : PAIRS);
        assert_int_equal(heap->run.weighed, !external);
        heap_check(heap);
        if (kept)
            tally_decref(kept);
        assert_int_equal(tally_collect(heap, 2), external ? 2 : 0);
        assert_int_equal(heap_live(heap), 0);
    }
    tally_heap_free(heap);
}

/* Hardly any candidates: it is not tried. Frozen ones: it proves nothing. */
static void test_heaps_that_are_not_weighed(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    twins_drop(PAIRS / 2);
    assert_int_equal(tally_collect(heap, 2), PAIRS / 2);
    assert_false(heap->run.weighed);
    tally_freeze(heap);
    for (size_t i = 0; i < PAIRS / 2; i++)
        tally_decref(loops[i]);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_unfreeze(heap);
    assert_int_equal(tally_collect(heap, 2), PAIRS / 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Live objects of other pages that are in the run, but no members; and of pages that are not. */
static void test_members_that_refer_to_live_neighbours(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    struct pair *live = loops[1];
    tally_clear(live, &live->first);
    tally_clear(loops[0], &loops[0]->first);
    for (size_t i = 2; i < PAIRS; i++)
        tally_store(loops[i], &loops[i]->second, live);
    twins_drop(2);
    candidates_run(heap); /* the one is a candidate since it was let go of by the other */
    assert_int_equal(tally_refcount(live), 1);
    assert_int_equal(heap_live(heap), 2);
    candidates_run(heap);
    assert_int_equal(heap->candidate_count, 0);
    heap->weigh_wait = 0;
    for (size_t i = 2; i < PAIRS; i++) {
        loops[i] = pair_make(heap, live, NULL);
        tally_store(loops[i], &loops[i]->second, loops[i]);
    }
    twins_drop(2);
    candidates_run(heap);
    assert_true(heap->run.weighed);
    assert_int_equal(heap->run.collected, PAIRS - 2);
    assert_int_equal(tally_refcount(live), 1);
    tally_decref(live);
    tally_decref(loops[0]);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_frozen_candidates_prove_nothing(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    tally_freeze(heap);
    twins_drop(0);
    candidates_run(heap);
    assert_false(heap->run.weighed);
    assert_int_equal(heap_live(heap), PAIRS);
    tally_unfreeze(heap);
    assert_int_equal(tally_collect(heap, 2), PAIRS);
    tally_heap_free(heap);
}

static void test_a_large_object_among_the_members(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct wide *large = wide_make(heap, 20000);
    tally_store(large, &large->slots[7], large);
    twins_make(heap);
    twins_drop(0);
    tally_decref(large);
    candidates_run(heap);
    assert_true(heap->run.weighed);
    assert_int_equal(heap->run.collected, PAIRS + 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Light types, of which one object has a weak reference: no shorter way then. */
static void test_members_that_are_weakly_referenced(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    twins_make(heap);
    void *weak = tally_weak_new(heap, NULL, loops[9], NULL, NULL);
    twins_drop(0);
    candidates_run(heap);
    assert_true(heap->run.weighed);
    assert_int_equal(heap->run.collected, PAIRS);
    assert_null(tally_weak_lock(weak));
    tally_decref(weak);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Candidates enough, but of no page half. */
static void test_no_page_is_dense(void **state)
{
    (void)state;
    static struct pair *many[20 * PAIRS / 10];
    struct tally_heap *heap = heap_make();
    for (size_t i = 0; i < 2 * PAIRS; i++) {
        many[i] = pair_make(heap, NULL, NULL);
        tally_store(many[i], &many[i]->first, many[i]);
    }
    for (size_t i = 0; i < 2 * PAIRS; i += 10)
        tally_decref(many[i]);
    assert_true(heap->candidate_count >= 512);
    candidates_run(heap);
    assert_false(heap->run.weighed);
    assert_int_equal(heap->run.collected, 2 * PAIRS / 10);
    for (size_t i = 0; i < 2 * PAIRS; i++)
        if (i % 10)
            tally_decref(many[i]);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Events are written one by one, whatever is counted together. */
static void test_trash_and_light_deaths_with_events(void **state)
{
    (void)state;
    static _Alignas(4096) char counters[WIRE_COUNTERS_BYTES], ring[WIRE_RING_BYTES];
    struct tally_heap *heap = heap_make();
    const struct tally_type *big = NULL;
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "big", .size = 1000}, &big), 0);
    feed_counters_format(counters, FEED_SHAPE_START, 1, 1);
    feed_ring_format(ring, WIRE_RING_WORDS, 1, 1);
    assert_int_equal(tally__heap_feed_swap(heap, counters, ring), 0);
    feed_level_set(tally__heap_feed(heap), WIRE_LEVEL_ALL);
    uint64_t before = feed_sequence(&heap->hot.pen);
    twins_make(heap);
    twins_drop(0);
    candidates_run(heap);
    assert_true(heap->run.weighed);
    assert_int_equal(heap_live(heap), 0);
    assert_in_range(feed_sequence(&heap->hot.pen) - before, 2 * PAIRS, 2 * PAIRS + 200);
    before = feed_sequence(&heap->hot.pen);
    tally_decref(chain_make(heap, 1000));
    tally_decref(tally_new(heap, big));
    assert_in_range(feed_sequence(&heap->hot.pen) - before, 2002, 2010);
    assert_int_equal(heap->hot.pen.rows[big->index].freed_refcount, 1);
    heap_check(heap);
    feed_level_set(tally__heap_feed(heap), WIRE_LEVEL_OFF);
    tally_heap_free(heap);
}

/* The page that is allocated from has handed out all that it has. */
static void test_a_current_page_without_room(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    size_t count = 0;
    do {
        loops[count] = pair_make(heap, NULL, NULL);
        tally_store(loops[count], &loops[count]->first, loops[count]);
    } while (++count < page_of(loops[0])->slot_count);
    const struct page *page = page_of(loops[0]);
    assert_ptr_equal(heap->hot.current[page->class_index], page);
    assert_null(heap->hot.free[page->class_index]);
    for (size_t i = 0; i < count; i++)
        tally_decref(loops[i]);
    candidates_run(heap);
    assert_true(heap->run.weighed);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* The run goes on with other candidates, in slices: what has been weighed can still be looked up, and is no candidate. */
static void test_weighed_before_a_run_is_cut(void **state)
{
    (void)state;
    enum { DROPPED = 2000 };
    for (int abandoned = 0; abandoned < 2; abandoned++) {
        struct tally_heap *heap = heap_make();
        assert_int_equal(tally_set_max_pause(heap, 50), 0);
        for (size_t i = 0; i < DROPPED; i++) {
            loops[i] = pair_make(heap, NULL, NULL);
            tally_store(loops[i], &loops[i]->first, loops[i]);
        }
        struct wide *wide = wide_make(heap, 90000);
        for (size_t i = 0; i < 90000; i++)
            tally_store_steal(wide, &wide->slots[i], pair_make(heap, NULL, NULL));
        void *beside = wide_make(heap, 3); /* a page of its own, which the candidate is no half of */
        void *candidate = wide_make(heap, 3);
        tally_store(candidate, &((struct wide *)candidate)->slots[0], wide);
        for (size_t i = 0; i < DROPPED; i++)
            tally_decref(loops[i]);
        tally_decref(tally_dup(candidate));
        tally__slice_begin(heap, 50000);
        tally__run_start(heap, &(struct collect_request){.reason = TALLY_REASON_THRESHOLD,
                                                         .scope = TALLY_SCOPE_CANDIDATES});
        tally__run_advance(heap);
        tally__slice_end(heap);
        heap_check(heap);
        if (heap->run.phase && !heap->run.decided) {
            struct pair *found = tally_object_at(heap, loops[7]);
            assert_ptr_equal(found, loops[7]);
            tally_incref(found);
            if (abandoned)
                assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
            while (tally_step(heap, UINT64_MAX))
                continue;
            heap_check(heap);
            tally_decref(found);
        }
        assert_int_equal(tally_set_max_pause(heap, 0), 0);
        tally_decref(beside);
        tally_decref(candidate);
        tally_decref(wide);
        tally_collect(heap, 2);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

/* Trash of another type joins pages whose members were of one. */
static void test_other_types_that_join(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *other = pair_type_make("joining twin", NULL);
    struct pair *held[PAIRS / 8];
    struct wide *wides[PAIRS / 8];
    size_t others = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        loops[i] = tally_new(heap, i % 8 ? pair_type() : other);
        tally_store(loops[i], &loops[i]->first, loops[i]);
        if (i % 8 == 0)
            held[others++] = loops[i];
    }
    for (size_t i = 0; i < others; i++) { /* each with a candidate of a page that is mostly something else */
        wides[i] = wide_make(heap, 1);
        tally_decref(wide_make(heap, 1));
        tally_store_steal(wides[i], &wides[i]->slots[0], held[i]);
        tally_store(held[i], &held[i]->second, wides[i]);
    }
    void *beside[PAIRS / 4];
    for (size_t i = 0; i < PAIRS / 4; i++)
        beside[i] = wide_make(heap, 1);
    for (size_t i = 0; i < PAIRS; i++)
        if (i % 8)
            tally_decref(loops[i]);
    for (size_t i = 0; i < others; i++)
        tally_decref(wides[i]);
    candidates_run(heap); /* which verifies what is counted of each type */
    candidates_run(heap);
    for (size_t i = 0; i < PAIRS / 4; i++)
        tally_decref(beside[i]);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_holds_itself_alone_goes_at_once),
        cmocka_unit_test(test_one_reference_from_outside),
        cmocka_unit_test(test_failures_are_followed_by_longer_waits),
        cmocka_unit_test(test_a_live_object_beside_members_that_refer_to_it),
        cmocka_unit_test(test_sets_of_several_types),
        cmocka_unit_test(test_what_the_host_has_to_see),
        cmocka_unit_test(test_what_is_saved),
        cmocka_unit_test(test_whole_heaps_of_trash),
        cmocka_unit_test(test_heaps_that_are_not_weighed),
        cmocka_unit_test(test_members_that_refer_to_live_neighbours),
        cmocka_unit_test(test_frozen_candidates_prove_nothing),
        cmocka_unit_test(test_a_large_object_among_the_members),
        cmocka_unit_test(test_members_that_are_weakly_referenced),
        cmocka_unit_test(test_no_page_is_dense),
        cmocka_unit_test(test_a_current_page_without_room),
        cmocka_unit_test(test_weighed_before_a_run_is_cut),
        cmocka_unit_test(test_other_types_that_join),
        cmocka_unit_test(test_trash_and_light_deaths_with_events),
    };
    return cmocka_run_group_tests_name("weigh", tests, NULL, NULL);
}
