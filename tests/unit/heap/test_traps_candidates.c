/* The traps of candidates: registered, consumed, dead before their run. Numbers 18 to 22, 34 and 48 of the
 * list of traps that other collectors fell into. */
#include "rounds.h"

enum { NOTED = 1000 };
static unsigned disposed[NOTED]; /* by number */
static void note_disposal(void *object)
{
    disposed[((struct pair *)object)->number]++;
}

/* Pairs that note their end. */
static struct pair *noted_make(struct tally_heap *heap, uint64_t number)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "noted candidate", .size = sizeof(struct pair), .refs = refs, .ref_count = 2,
            .dispose = note_disposal}, &type), 0);
    struct pair *noted = tally_new(heap, type);
    assert_non_null(noted);
    noted->number = number;
    return noted;
}

static unsigned disposals(void)
{
    unsigned sum = 0;
    for (size_t i = 0; i < NOTED; i++) {
        assert_in_range(disposed[i], 0, 1);
        sum += disposed[i];
    }
    return sum;
}

/* Runs over candidates alone come by themselves, where one is enough. */
static void candidates_run(struct tally_heap *heap)
{
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){1, 10, 10}), 0);
    tally_enable(heap);
    settle(heap);
    tally_disable(heap);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){INT32_MAX, 10, 10}), 0);
}

static void each_cycle_round(void (*body)(struct tally_heap *heap))
{
    static const uint64_t pauses[] = {0, 50, ROUND_SHORTEST_US};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        struct tally_heap *heap = round_heap(TALLY_MANAGER_CYCLE, pauses[i]);
        body(heap);
        settle(heap);
        heap_check(heap);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

/* ---- 18 */

enum { BYSTANDERS = 200 };
static struct pair *bystanders[BYSTANDERS];
static unsigned next_bystander, open_runs, most_open_runs;

static void count_open(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)arg;
    open_runs += info->stop ? -1u : 1u;
    if (open_runs > most_open_runs)
        most_open_runs = open_runs;
}

static void make_a_candidate(struct tally_heap *heap, void *object)
{
    (void)object;
    uint64_t candidates = heap_stats(heap).candidates;
    tally_decref(bystanders[next_bystander++]);
    assert_int_equal(heap_stats(heap).candidates, candidates + 1);
}

static void candidates_made_while_they_are_consumed(struct tally_heap *heap)
{
    acting(make_a_candidate);
    memset(disposed, 0, sizeof disposed);
    next_bystander = open_runs = most_open_runs = 0;
    assert_int_equal(tally_add_collection_hook(heap, count_open, NULL), 0);
    for (uint64_t i = 0; i < BYSTANDERS; i++) {
        bystanders[i] = noted_make(heap, i);
        tally_store(bystanders[i], &bystanders[i]->first, bystanders[i]);
        tally_incref(bystanders[i]);
        struct pair *loop = actor_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
    }
    candidates_run(heap);
    if (tally_get_manager(heap) == TALLY_MANAGER_CYCLE)
        assert_int_equal(finalized, BYSTANDERS);
    collect_all(heap);
    assert_int_equal(finalized, BYSTANDERS);
    assert_int_equal(most_open_runs, 1);
    assert_int_equal(disposals(), 0);
    for (size_t i = 0; i < BYSTANDERS; i++) {
        assert_int_equal(tally_refcount(bystanders[i]), 2);
        drop(heap, bystanders[i]);
    }
    assert_int_equal(collect_all(heap), BYSTANDERS);
    assert_int_equal(disposals(), BYSTANDERS);
}

static void test_trap_18_candidates_made_by_finalizers_start_no_nested_run(void **state)
{
    (void)state;
    each_round(candidates_made_while_they_are_consumed);
}

/* ---- 19 */

static void candidate_that_dies_by_count(struct tally_heap *heap)
{
    struct pair *object = pair_make(heap, NULL, NULL);
    tally_incref(object);
    tally_decref(object);
    assert_int_equal(heap_stats(heap).candidates, 1);
    drop(heap, object);
    assert_int_equal(heap_stats(heap).candidates, 0);
    heap_check(heap);
    for (int i = 0; i < 5000; i++) { /* its place is taken again */
        struct pair *fresh = pair_make(heap, NULL, NULL);
        assert_int_equal(heap_stats(heap).candidates, 0);
        drop(heap, fresh);
    }
    candidates_run(heap);
    assert_int_equal(collect_all(heap), 0);
    struct tally_collection last;
    tally_last_collection(heap, &last, sizeof last);
    assert_int_equal(last.examined, 0);
}

static void test_trap_19_candidate_that_dies_by_count_is_none_any_more(void **state)
{
    (void)state;
    each_round(candidate_that_dies_by_count);
}

/* ---- 20 */

static void young_run_leaves_old_candidates(struct tally_heap *heap)
{
    memset(disposed, 0, sizeof disposed);
    struct pair *loops[2];
    for (uint64_t i = 0; i < 2; i++) {
        loops[i] = noted_make(heap, i);
        tally_store(loops[i], &loops[i]->first, loops[i]);
        if (!i)
            assert_int_equal(tally_collect(heap, 2), 0);
    }
    drop(heap, loops[0]);
    drop(heap, loops[1]);
    assert_int_equal(heap_stats(heap).candidates, 2);
    assert_int_equal(tally_collect(heap, 0), 1);
    assert_int_equal(disposed[1], 1);
    assert_int_equal(heap_stats(heap).candidates, 1);
    heap_check(heap);
    candidates_run(heap);
    assert_int_equal(disposals(), 2);
    assert_int_equal(heap_stats(heap).candidates, 0);
}

/* What is let go of while a run goes on is the next run's. */
static void candidates_between_slices(struct tally_heap *heap)
{
    enum { RING = 5000, LATE = 100 };
    memset(disposed, 0, sizeof disposed);
    struct pair **ring = calloc(RING, sizeof *ring), *late[LATE];
    ring_make(heap, ring, RING);
    for (size_t i = 0; i < RING; i++)
        tally_decref(ring[i]);
    for (uint64_t i = 0; i < LATE; i++) {
        late[i] = noted_make(heap, i);
        tally_store(late[i], &late[i]->first, late[i]);
    }
    void *weight = run_due(heap);
    for (size_t i = 0; i < LATE; i++) {
        tally_step(heap, 0);
        tally_decref(late[i]);
    }
    run_over(heap, weight);
    heap_check(heap);
    candidates_run(heap);
    assert_int_equal(disposals(), LATE);
    assert_int_equal(heap_live(heap), 0);
    free(ring);
}

static void test_trap_20_partial_runs_leave_other_candidates_registered(void **state)
{
    (void)state;
    each_cycle_round(young_run_leaves_old_candidates);
    each_cycle_round(candidates_between_slices);
}

/* ---- 21: a hole in what is being cleared would be seen by the first object that is freed */

static void *memory_of[NOTED];
static bool cleared_all;
static void check_cleared(void *object)
{
    for (int i = 0; i < 100; i++) /* freeing starts when all are cleared */
        cleared_all &= disposed[i] ||
                       (!((struct pair *)memory_of[i])->first && !((struct pair *)memory_of[i])->second);
    note_disposal(object);
}

static void free_after_traversal(struct tally_heap *heap)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "late", .size = sizeof(struct pair), .refs = refs, .ref_count = 2,
            .dispose = check_cleared}, &type), 0);
    memset(disposed, 0, sizeof disposed);
    cleared_all = true;
    for (uint64_t i = 0; i < 100; i++) {
        struct pair *object = tally_new(heap, type);
        object->number = i;
        memory_of[i] = object;
    }
    for (int i = 0; i < 100; i++) {
        struct pair *object = memory_of[i];
        tally_store(object, &object->first, memory_of[(i + 1) % 100]);
        tally_store(object, &object->second, memory_of[(i * 7) % 100]);
    }
    for (int i = 0; i < 100; i++)
        tally_decref(memory_of[i]);
    assert_int_equal(collect_all(heap), 100);
    assert_int_equal(disposals(), 100);
    assert_true(cleared_all);
}

static void test_trap_21_memory_goes_after_all_of_the_garbage_is_cleared(void **state)
{
    (void)state;
    each_round(free_after_traversal);
}

/* ---- 22 */

static void white_and_buffered(struct tally_heap *heap)
{
    memset(disposed, 0, sizeof disposed);
    struct pair *ring[3];
    for (uint64_t i = 0; i < 3; i++)
        ring[i] = noted_make(heap, i);
    for (int i = 0; i < 3; i++)
        tally_store(ring[i], &ring[i]->first, ring[(i + 1) % 3]);
    for (int i = 0; i < 3; i++) { /* the first decref registers it, the second finds it registered */
        tally_incref(ring[i]);
        tally_decref(ring[i]);
        tally_decref(ring[i]);
    }
    assert_int_equal(heap_stats(heap).candidates, 3);
    assert_int_equal(collect_all(heap), 3);
    assert_int_equal(disposals(), 3);
    assert_int_equal(heap_stats(heap).candidates, 0);
    assert_int_equal(heap_stats(heap).frees_cycle, 3);
    assert_int_equal(collect_all(heap), 0);
}

static void test_trap_22_garbage_that_is_registered_is_freed_once(void **state)
{
    (void)state;
    each_round(white_and_buffered);
}

/* ---- 34: there is no decref without a candidate but of what is one already. The nearest is a candidate
 * that a run may not examine: frozen, it is struck off, and after unfreeze no decref is left that would
 * tell. */

static void candidate_lost(struct tally_heap *heap)
{
    memset(disposed, 0, sizeof disposed);
    struct pair *loop = noted_make(heap, 0);
    tally_store(loop, &loop->first, loop);
    tally_freeze(heap);
    drop(heap, loop);
    assert_int_equal(heap_stats(heap).candidates, 1);
    candidates_run(heap);
    assert_int_equal(heap_stats(heap).candidates, 0);
    assert_int_equal(disposals(), 0);
    candidates_run(heap);
    assert_int_equal(disposals(), 0);
    tally_unfreeze(heap);
    candidates_run(heap);
    assert_int_equal(disposals(), 1);
}

/* One that was used up by a run while something held it is found by any full run. */
static void held_temporary(struct tally_heap *heap)
{
    struct pair *outer = pair_make(heap, NULL, NULL), *temporary = pair_make(heap, outer, NULL);
    tally_store(outer, &outer->first, temporary);
    tally_decref(temporary);
    candidates_run(heap);
    assert_int_equal(collect_all(heap), 0);
    drop(heap, outer);
    assert_int_equal(collect_all(heap), 2);
}

static void test_trap_34_garbage_without_a_candidate_is_found_by_a_full_run(void **state)
{
    (void)state;
    each_cycle_round(candidate_lost);
    each_round(held_temporary);
}

/* ---- 48: more old objects than a run over candidates follows */

enum { OLD = 3000 };
static void old_ring_dropped(struct tally_heap *heap)
{
    struct pair **ring = calloc(OLD, sizeof *ring);
    ring_make(heap, ring, OLD);
    for (size_t i = 1; i < OLD; i++)
        tally_decref(ring[i]);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_generation(ring[0]), 2);
    drop(heap, ring[0]);
    free(ring);
}

static void pruned_at_once_by_an_explicit_run(struct tally_heap *heap)
{
    old_ring_dropped(heap);
    candidates_run(heap);
    int64_t left = heap_live(heap) ? OLD : 0;
    assert_int_equal(tally_collect(heap, 2), left);
    assert_int_equal(heap_live(heap), 0);
}

/* By itself at the latest when the heap has grown by a threshold and a quarter: the next whole-heap run. */
static void pruned_by_the_next_heap_run(struct tally_heap *heap)
{
    enum { FRESH = 2 * OLD };
    old_ring_dropped(heap);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){1, 10, 10}), 0);
    tally_enable(heap);
    settle(heap);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){700, 10, 10}), 0);
    struct pair **fresh = calloc(FRESH, sizeof *fresh);
    uint64_t made = 0;
    for (; made < FRESH && heap_stats(heap).frees_cycle < OLD; made++)
        fresh[made] = pair_make(heap, NULL, NULL);
    if (tally_get_max_pause(heap))
        settle(heap); /* slices need time, too */
    else
        assert_in_range(made, 0, FRESH - 1);
    tally_disable(heap);
    assert_int_equal(heap_stats(heap).frees_cycle, OLD);
    assert_int_equal(heap_live(heap), made);
    for (uint64_t i = 0; i < made; i++)
        drop(heap, fresh[i]);
    free(fresh);
}

static void test_trap_48_old_cell_that_was_pruned_is_freed_by_the_next_heap_run(void **state)
{
    (void)state;
    each_round(pruned_at_once_by_an_explicit_run);
    each_cycle_round(pruned_by_the_next_heap_run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_18_candidates_made_by_finalizers_start_no_nested_run),
        cmocka_unit_test(test_trap_19_candidate_that_dies_by_count_is_none_any_more),
        cmocka_unit_test(test_trap_20_partial_runs_leave_other_candidates_registered),
        cmocka_unit_test(test_trap_21_memory_goes_after_all_of_the_garbage_is_cleared),
        cmocka_unit_test(test_trap_22_garbage_that_is_registered_is_freed_once),
        cmocka_unit_test(test_trap_34_garbage_without_a_candidate_is_found_by_a_full_run),
        cmocka_unit_test(test_trap_48_old_cell_that_was_pruned_is_freed_by_the_next_heap_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
