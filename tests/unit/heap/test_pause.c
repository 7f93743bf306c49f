/* Pause budgets: slices are short, work is done all the same, and what is held back is bounded. Lengths are
 * read from the heap's own figures; limits here are generous, since machines are noisy: the figures that
 * count are the benchmark's. */
#include <time.h>

#include "heap/internal.h"
#include "support.h"

enum { BUDGET_US = 500 };

static struct tally_stats stats_of(struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats;
}

static struct tally_heap *paced_make(void)
{
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_max_pause(heap, 10000001), TALLY_EINVAL);
    assert_int_equal(tally_set_max_pause(heap, BUDGET_US), 0);
    assert_int_equal(tally_get_max_pause(heap), BUDGET_US);
    tally_enable(heap);
    return heap;
}

static struct pair *chain_make(struct tally_heap *heap, int length)
{
    struct pair *head = NULL;
    for (int i = 0; i < length; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        assert_non_null(pair);
        tally_store_steal(pair, &pair->first, head);
        head = pair;
    }
    return head;
}

/* Dropping a big structure takes a slice; the rest goes while the program allocates. */
static void test_a_cascade_is_cut_into_slices(void **state)
{
    (void)state;
    struct tally_heap *heap = paced_make();
    enum { LENGTH = 1000000 };
    struct pair *chain = chain_make(heap, LENGTH);
    struct tally_stats before = stats_of(heap);
    void *weak = tally_weak_new(heap, NULL, chain->first, NULL, NULL);
    tally_decref(chain);
    assert_true(heap_live(heap) > LENGTH / 2); /* far from done */
    assert_null(tally_weak_lock(weak));        /* and yet dead */
    uint64_t most = 0;
    int allocations = 0;
    while (stats_of(heap).live_objects > LENGTH / 100 && allocations < 5000000) {
        tally_decref(tally_new(heap, pair_type()));
        if (++allocations % 1024 == 0 && stats_of(heap).live_objects > most)
            most = stats_of(heap).live_objects;
    }
    struct tally_stats after = stats_of(heap);
    assert_true(after.live_objects <= LENGTH / 100);
    assert_true(most <= LENGTH + LENGTH / 4);
    assert_true(after.slices - before.slices > 10);
    assert_true((after.missed - before.missed) * 2 <= after.slices - before.slices); /* noise */
    tally_decref(weak);
    tally_heap_free(heap);
}

/* A dead component that is bigger than many slices: found, freed, and the program's garbage bounded
 * meanwhile. */
static void test_a_big_component_dies_in_slices(void **state)
{
    (void)state;
    struct tally_heap *heap = paced_make();
    enum { LENGTH = 500000 };
    struct pair *first = pair_make(heap, NULL, NULL);
    struct pair *chain = chain_make(heap, LENGTH), *last = chain;
    while (last->first)
        last = last->first;
    tally_store(last, &last->second, chain);
    tally_decref(chain);
    uint64_t most = 0;
    int cycles = 0;
    for (; heap_live(heap) > LENGTH / 2 && cycles < 5000000; cycles++) {
        struct pair *pair = tally_new(heap, pair_type());
        tally_store(pair, &pair->second, pair);
        tally_decref(pair);
        if (cycles % 256 == 0 && heap_live(heap) > most)
            most = heap_live(heap);
    }
    assert_true(heap_live(heap) <= LENGTH / 2);
    assert_true(most < 3 * LENGTH);
    while (tally_step(heap, UINT64_MAX))
        ;
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 1);
    assert_true(stats_of(heap).slices > 20);
    heap_check(heap);
    tally_decref(first);
    tally_heap_free(heap);
}

static void slow_finalizer(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    struct timespec start, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 3 * BUDGET_US * 1000);
}

static void test_missed_budgets_name_the_type(void **state)
{
    (void)state;
    struct tally_heap *heap = paced_make();
    const struct tally_type *slow = pair_type_make("slow", slow_finalizer);
    assert_null(stats_of(heap).missed_type);
    tally_decref(tally_new(heap, slow));
    assert_true(stats_of(heap).missed >= 1);
    assert_ptr_equal(stats_of(heap).missed_type, slow);
    assert_true(stats_of(heap).longest_slice_ns >= 3 * BUDGET_US * 1000);
    tally_heap_free(heap);
}

/* An explicit collection in the middle of a paused run: the run is given up, and all is found. */
static void test_explicit_collections_abandon_what_has_not_decided(void **state)
{
    (void)state;
    struct tally_heap *heap = paced_make();
    struct pair *live = chain_make(heap, 200000);
    tally_unfreeze(heap); /* candidates are not complete: the next run is over the heap */
    tally_step(heap, 1);
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(stats_of(heap).abandoned, 1);
    struct tally_collection last;
    tally_last_collection(heap, &last, sizeof last);
    assert_true(last.stop && !last.abandoned);
    assert_int_equal(last.reason, TALLY_REASON_EXPLICIT);
    assert_int_equal(last.collected, 1);
    assert_int_equal(last.examined, 200001);
    heap_check(heap);
    tally_set_max_pause(heap, 0);
    tally_decref(live);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void abandon_hook(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap;
    int *counts = arg;
    counts[info->stop]++;
    counts[2] += info->abandoned;
}

static void test_starts_are_paired_with_stops(void **state)
{
    (void)state;
    struct tally_heap *heap = paced_make();
    int counts[3] = {0};
    assert_int_equal(tally_add_collection_hook(heap, NULL, NULL), TALLY_EINVAL);
    assert_int_equal(tally_add_collection_hook(heap, abandon_hook, counts), 0);
    assert_int_equal(tally_add_collection_hook(heap, abandon_hook, counts), TALLY_EINVAL);
    int others[8][3] = {{0}};
    for (int i = 0; i < 7; i++)
        assert_int_equal(tally_add_collection_hook(heap, abandon_hook, others[i]), 0);
    assert_int_equal(tally_add_collection_hook(heap, abandon_hook, others[7]), TALLY_ELIMIT);
    tally_disable(heap);
    struct pair *live = chain_make(heap, 100000);
    tally_unfreeze(heap);
    tally_enable(heap);
    tally_step(heap, 1);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 0);
    tally_collect(heap, 2);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[2], 1);
    assert_int_equal(others[6][1], 2);
    assert_int_equal(tally_remove_collection_hook(heap, abandon_hook, counts), 0);
    assert_int_equal(tally_remove_collection_hook(heap, abandon_hook, counts), TALLY_ESTATE);
    tally_collect(heap, 2);
    assert_int_equal(counts[0], 2);
    assert_int_equal(others[6][1], 3);
    tally_decref(live);
    tally_heap_free(heap);
}

/* A candidate from which a million young objects are reached, live or dead, in a heap of the default manager. */
static struct pair *large_make(struct tally_heap *heap, bool dead)
{
    enum { LENGTH = 1000000 };
    struct pair *chain = chain_make(heap, LENGTH), *last = chain;
    while (last->first)
        last = last->first;
    if (dead)
        tally_store(last, &last->first, chain);
    tally_incref(chain);
    tally_decref(chain);
    if (!dead)
        return chain;
    tally_decref(chain);
    return NULL;
}

/* Allocates until a run is open; whether one came to be, before another ended. */
static bool run_opens(struct tally_heap *heap)
{
    for (int i = 0; i < 10000 && !heap->run.phase; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, pair);
    }
    return heap->run.phase;
}

static void finish(struct tally_heap *heap)
{
    for (int i = 0; i < 1000 && tally_step(heap, 100000); i++)
        continue;
}

static void test_large_heaps_are_cut_without_a_budget(void **state)
{
    (void)state;
    for (int dead = 0; dead < 2; dead++) {
        struct tally_heap *heap = heap_make();
        assert_int_equal(tally_get_max_pause(heap), 0);
        struct pair *chain = large_make(heap, dead);
        tally_enable(heap);
        assert_true(run_opens(heap));
        heap_check(heap);
        finish(heap);
        struct tally_collection last;
        tally_last_collection(heap, &last, sizeof last);
        assert_true(last.examined >= 1000000);
        assert_int_equal(last.scope, TALLY_SCOPE_CANDIDATES);
        assert_true(last.slices > 1);
        assert_int_equal(stats_of(heap).missed, 0);
        tally_disable(heap);
        tally_collect(heap, 2);
        assert_int_equal(heap_live(heap), dead ? 0 : 1000000);
        heap_check(heap);
        if (chain)
            tally_decref(chain);
        tally_heap_free(heap);
    }
}

/* What the run began in one piece goes on beside a program that changes what it has seen. */
static void test_a_run_that_is_cut_sees_what_the_program_does(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *chain = large_make(heap, false), *kept = chain;
    for (int i = 0; i < 500000; i++)
        kept = kept->first;
    tally_enable(heap);
    assert_true(run_opens(heap));
    tally_incref(kept);
    for (struct pair *pair = chain; pair != kept;) { /* each is moved out of the one before, which is let go of */
        struct pair *next = tally_dup(pair->first);
        tally_store(pair, &pair->first, pair);
        tally_decref(pair);
        pair = next;
        if (pair == kept)
            tally_decref(pair);
    }
    finish(heap);
    heap_check(heap);
    tally_disable(heap);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 500000);
    heap_check(heap);
    tally_decref(kept);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cascade_is_cut_into_slices),
        cmocka_unit_test(test_a_big_component_dies_in_slices),
        cmocka_unit_test(test_missed_budgets_name_the_type),
        cmocka_unit_test(test_explicit_collections_abandon_what_has_not_decided),
        cmocka_unit_test(test_starts_are_paired_with_stops),
        cmocka_unit_test(test_large_heaps_are_cut_without_a_budget),
        cmocka_unit_test(test_a_run_that_is_cut_sees_what_the_program_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
