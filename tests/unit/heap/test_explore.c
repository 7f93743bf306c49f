/* Which candidates are explored, and which are spared that. */
#include "corners.h"

enum { PAIRS = 8000, EVERY = 40 }; /* sparse: far less than half of a page */
static struct pair *pairs[PAIRS];

/* Old pairs, each held by a C variable and by itself. */
static struct tally_heap *old_pairs(void)
{
    struct tally_heap *heap = heap_make();
    for (size_t i = 0; i < PAIRS; i++) {
        pairs[i] = pair_make(heap, NULL, NULL);
        tally_store(pairs[i], &pairs[i]->first, pairs[i]);
    }
    assert_int_equal(tally_collect(heap, 2), 0);
    return heap;
}

static void suspect_some(void)
{
    for (size_t i = 0; i < PAIRS; i += EVERY)
        tally_decref(tally_dup(pairs[i]));
}

/* The stride grows as long as old candidates live; those that are spared are none any more, and deferred. */
static void become_choosy(struct tally_heap *heap)
{
    for (unsigned run = 0; run < 200 && heap->old_stride < 64; run++) {
        unsigned stride = heap->old_stride;
        suspect_some();
        heap->deferred = false;
        candidates_run(heap);
        assert_int_equal(heap->candidate_count, 0);
        assert_int_equal(heap->deferred, run > 0);
        assert_int_equal(heap->old_stride, heap->run.old_entered ? stride * 8 : stride);
        assert_in_range(heap->run.old_entered, 0, run ? PAIRS / EVERY / 2 : PAIRS / EVERY);
    }
    assert_int_equal(heap->old_stride, 64);
}

static void test_old_candidates_that_live_are_spared(void **state)
{
    (void)state;
    struct tally_heap *heap = old_pairs();
    become_choosy(heap);
    uint64_t before = heap->candidate_count;
    tally_decref(tally_dup(pairs[0])); /* seen again */
    assert_int_equal(heap->candidate_count, before + 1);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(pairs[i]);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Garbage among the spared waits for a run over the heap; young candidates do not. */
static void test_garbage_among_the_spared(void **state)
{
    (void)state;
    struct tally_heap *heap = old_pairs();
    become_choosy(heap);
    for (size_t i = 0; i < PAIRS; i += EVERY)
        tally_decref(pairs[i]);
    for (int i = 0; i < 50; i++)
        loop_leave(heap);
    candidates_run(heap);
    uint64_t collected = heap->run.collected;
    assert_in_range(collected, 50, PAIRS / EVERY / 2 + 50);
    assert_true(heap->deferred);
    assert_int_equal(tally_collect(heap, 2), PAIRS / EVERY + 50 - collected);
    for (size_t i = 0; i < PAIRS; i++)
        if (i % EVERY)
            tally_decref(pairs[i]);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Where a sample turns out to be garbage, all are explored again. */
static void test_garbage_in_the_sample(void **state)
{
    (void)state;
    struct tally_heap *heap = old_pairs();
    become_choosy(heap);
    for (size_t run = 0; run < 64 && heap->old_stride > 1; run++) { /* each page's turn comes */
        for (size_t i = run; i < PAIRS; i += 100) {
            tally_decref(pairs[i]);
            pairs[i] = NULL;
        }
        candidates_run(heap);
    }
    assert_int_equal(heap->old_stride, 1);
    for (size_t i = 0; i < PAIRS; i++)
        if (pairs[i])
            tally_decref(pairs[i]);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* What is made and dropped while a run goes on in slices is as young afterwards as before. */
static void test_what_is_touched_stays_young(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    static struct pair *made[1000];
    size_t count = 0;
    assert_int_equal(tally_set_max_pause(heap, 20), 0);
    struct wide *hub = wide_make(heap, 60000);
    for (size_t i = 0; i < 60000; i++)
        tally_store_steal(hub, &hub->slots[i], pair_make(heap, hub, NULL));
    tally_decref(tally_dup(hub));
    tally__slice_begin(heap, 20000);
    tally__run_start(heap, &(struct collect_request){.reason = TALLY_REASON_THRESHOLD,
                                                     .scope = TALLY_SCOPE_CANDIDATES});
    tally__run_advance(heap);
    tally__slice_end(heap);
    while (heap->run.phase && count < 1000) {
        if (heap->run.phase == RUN_EXPLORE) {
            struct pair *pair = pair_make(heap, NULL, NULL);
            tally_store(pair, &pair->first, pair);
            tally_decref(tally_dup(pair));
            made[count++] = pair;
        }
        tally_step(heap, 20);
    }
    assert_true(count > 2);
    while (tally_step(heap, UINT64_MAX))
        continue;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(tally_generation(made[i]), 0);
        tally_decref(made[i]);
    }
    assert_int_equal(tally_generation(hub), 2);
    heap_check(heap);
    tally_decref(hub);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* More than the stack holds waits beside the objects. */
static void test_a_candidate_with_more_than_the_stack_holds(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct wide *wide = wide_make(heap, 70000);
    for (size_t i = 0; i < 70000; i++)
        tally_store_steal(wide, &wide->slots[i], pair_make(heap, NULL, NULL));
    tally_decref(tally_dup(wide));
    assert_int_equal(heap->candidate_count, 1);
    candidates_run(heap);
    assert_int_equal(heap->run.record.examined, 70001);
    assert_int_equal(heap->run.survivors, 70001);
    tally_decref(wide);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A candidate that waits for its turn dies between two slices. */
static void test_a_pending_candidate_that_dies(void **state)
{
    (void)state;
    struct tally_heap *heap = old_pairs();
    struct wide *hub = wide_full(heap, 60000);
    for (size_t i = 0; i < PAIRS; i++)
        tally_clear(pairs[i], &pairs[i]->first);
    suspect_some();
    tally_decref(tally_dup(hub));
    assert_int_equal(tally_set_max_pause(heap, 20), 0);
    tally__slice_begin(heap, 20000);
    tally__run_start(heap, &(struct collect_request){.reason = TALLY_REASON_THRESHOLD,
                                                     .scope = TALLY_SCOPE_CANDIDATES});
    tally__run_advance(heap);
    tally__slice_end(heap);
    while (heap->run.phase < RUN_EXPLORE || (heap->run.phase == RUN_EXPLORE && heap->run.step != EXPLORE_FOLLOW))
        tally_step(heap, 20);
    assert_int_equal(heap->run.phase, RUN_EXPLORE);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(pairs[i]);
    while (tally_step(heap, UINT64_MAX))
        continue;
    heap_check(heap);
    assert_int_equal(heap_live(heap), 60001);
    tally_decref(hub);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Frozen candidates, dense or not, are struck off, and none the worse for it. */
static void test_frozen_candidates_are_struck_off(void **state)
{
    (void)state;
    struct tally_heap *heap = old_pairs();
    tally_freeze(heap);
    suspect_some();
    candidates_run(heap);
    assert_int_equal(heap->candidate_count, 0);
    assert_int_equal(heap->run.record.examined, 0);
    tally_unfreeze(heap);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(pairs[i]);
    assert_int_equal(tally_collect(heap, 2), PAIRS);
    tally_heap_free(heap);
}

/* Programs that make, link, and let go of pairs at random, a few hot places among many: pages are dense with candidates
 * here, sparse there, and hold live objects besides. What C holds stays whole, and in the end all goes. */
enum { PLACES = 6000, OPERATIONS = 6000, ROUNDS_RANDOM = 60 / ROUND_SCALE };
static struct pair *places[PLACES];

static size_t place_pick(uint32_t *random)
{
    *random = *random * 1103515245u + 12345u;
    size_t at = *random >> 8;
    return at % 4 == 0 ? at / 4 % (PLACES / 8) : at / 4 % PLACES;
}

static void operate(struct tally_heap *heap, uint32_t *random)
{
    size_t at = place_pick(random), other = place_pick(random);
    struct pair *pair = places[at];
    unsigned choice = *random >> 28;
    if (!pair || choice < 3) {
        places[at] = pair_make(heap, places[other], places[other ^ 1]);
        places[at]->number = at;
        if (pair)
            tally_decref(pair);
    } else if (choice < 7) {
        tally_store(pair, &pair->first, places[other]);
    } else if (choice < 11) {
        tally_store(pair, &pair->second, places[other]);
    } else if (choice < 14) {
        places[at] = NULL;
        tally_decref(pair);
    } else if (pair->first) {
        struct pair *next = tally_dup(pair->first), *old = places[other];
        places[other] = next;
        if (old)
            tally_decref(old);
    }
}

static void all_dropped(struct tally_heap *heap)
{
    for (size_t i = 0; i < PLACES; i++)
        if (places[i])
            tally_decref(places[i]);
    memset(places, 0, sizeof places);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
}

static void test_random_programs(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        uint32_t random = seed;
        struct tally_heap *heap = heap_make();
        bool slices = seed % 2 == 0;
        assert_int_equal(tally_set_max_pause(heap, slices ? 5 : 0), 0);
        if (slices) {
            assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){200, 10, 10}), 0);
            tally_enable(heap);
        }
        for (int round = 0; round < ROUNDS_RANDOM; round++) {
            for (int i = 0; i < OPERATIONS; i++) {
                operate(heap, &random);
                if (slices && i % 50 == 0)
                    tally_step(heap, 5);
            }
            for (size_t i = 0; i < PLACES && round % 3; i++) {
                size_t choice = place_pick(&random) % 8;
                if (places[i] && choice)
                    tally_decref(choice < 4 ? tally_dup(places[i]) : places[i]);
                if (choice >= 4)
                    places[i] = NULL;
            }
            if (!slices)
                candidates_run(heap);
            else if (!heap->run.phase)
                heap_check(heap);
            if (round % 16 == 15)
                tally_collect(heap, 2);
        }
        tally_disable(heap);
        assert_int_equal(tally_set_max_pause(heap, 0), 0);
        heap_check(heap);
        all_dropped(heap);
        tally_heap_free(heap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_candidates_that_live_are_spared),
        cmocka_unit_test(test_garbage_among_the_spared),
        cmocka_unit_test(test_garbage_in_the_sample),
        cmocka_unit_test(test_what_is_touched_stays_young),
        cmocka_unit_test(test_a_candidate_with_more_than_the_stack_holds),
        cmocka_unit_test(test_a_pending_candidate_that_dies),
        cmocka_unit_test(test_frozen_candidates_are_struck_off),
        cmocka_unit_test(test_random_programs),
    };
    return cmocka_run_group_tests_name("explore", tests, NULL, NULL);
}
