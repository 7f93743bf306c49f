/* The traps of runs: when they come, what they are given up for, what they say of themselves. Numbers 37,
 * 38, 41 and 42 of the list of traps that other collectors fell into. */
#include <sys/resource.h>

#include "rounds.h"

static unsigned starts, stops, abandoned;
static bool open_run;
static uint64_t frees_at_start;
static struct tally_collection last_stop;
static void pair_up(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)arg;
    assert_int_equal(open_run, info->stop);
    open_run = !info->stop;
    if (!info->stop) {
        starts++;
        frees_at_start = heap_stats(heap).frees_cycle;
        return;
    }
    stops++;
    last_stop = *info;
    if (!info->abandoned)
        return;
    abandoned++;
    assert_int_equal(heap_stats(heap).frees_cycle, frees_at_start);
    assert_int_equal(info->collected + info->uncollectable + info->examined + info->freed_bytes, 0);
}

static void watch_runs(struct tally_heap *heap)
{
    starts = stops = abandoned = 0;
    open_run = false;
    assert_int_equal(tally_add_collection_hook(heap, pair_up, NULL), 0);
}

/* ---- 37 */

static bool no_memory;
static void *map_page(size_t bytes, void *arg)
{
    (void)arg;
    void *memory = NULL;
    if (no_memory || posix_memalign(&memory, 65536, bytes))
        return NULL;
    memset(memory, 0, bytes);
    return memory;
}

static void unmap_page(void *memory, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    free(memory);
}

/* Neither pages nor mappings from here on. Sanitizers need mappings of their own. */
static void memory_ends(bool ends)
{
    no_memory = ends;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    static struct rlimit before;
    if (ends) {
        assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
        assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){1 << 20, before.rlim_max}), 0);
    } else {
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    }
#endif
}

enum { WIDTH = 150000 / ROUND_SCALE }; /* more than the collector's stack holds */

static struct wide *star_make(struct tally_heap *heap)
{
    struct wide *star = wide_make(heap, WIDTH);
    for (size_t i = 0; i < WIDTH; i++)
        tally_store_steal(star, &star->slots[i], pair_make(heap, star, NULL));
    return star;
}

/* Of two stars, one of them garbage, a run without memory frees that one. */
static void run_without_memory(enum tally_manager manager, uint64_t max_pause_us)
{
    const struct tally_page_hooks page_hooks = {map_page, unmap_page, NULL};
    struct tally_heap *heap = NULL;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.manager = manager,
                                    .hooks = &page_hooks, .max_pause_us = max_pause_us}, &heap), 0);
    tally_disable(heap);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){INT32_MAX, 10, 10}), 0);
    watch_runs(heap);
    struct wide *live = star_make(heap);
    drop(heap, star_make(heap));
    void *weight = max_pause_us ? run_due(heap) : NULL;
    memory_ends(true);
    if (max_pause_us)
        settle(heap);
    else
        tally_collect(heap, 2);
    memory_ends(false);
    assert_int_equal(heap_collected(heap), WIDTH + 1);
    assert_int_equal(starts, 1);
    assert_int_equal(abandoned, 0);
    if (weight)
        run_over(heap, weight);
    assert_int_equal(heap_live(heap), WIDTH + 1);
    heap_check(heap);
    drop(heap, live);
    assert_int_equal(collect_all(heap), WIDTH + 1);
    tally_heap_free(heap);
}

/* An explicit collection gives up the automatic run that it meets, at any slice, and finds everything. */
static void run_given_up(struct tally_heap *heap)
{
    enum { LOOPS = 3000 / ROUND_SCALE };
    unsigned given_up = 0;
    watch_runs(heap);
    struct pair *live = pair_make(heap, NULL, NULL);
    for (unsigned slices = 0; slices < 60; slices += 1 + slices / 4) {
        for (int i = 0; i < LOOPS; i++)
            tally_store(live, &live->first, loop_leave(heap));
        tally_clear(live, &live->first);
        uint64_t before = heap_collected(heap), abandoned_before = heap_stats(heap).abandoned;
        void *weight = run_due(heap);
        for (unsigned i = 0; i < slices; i++)
            tally_step(heap, 0);
        tally_disable(heap);
        assert_true(tally_collect(heap, 2) >= 0);
        heap_check(heap);
        assert_int_equal(heap_collected(heap) - before, LOOPS);
        assert_int_equal(tally_refcount(live), 1);
        given_up += (unsigned)(heap_stats(heap).abandoned - abandoned_before);
        run_over(heap, weight);
        assert_int_equal(heap_live(heap), 1);
    }
    assert_int_equal(abandoned, given_up);
    assert_int_equal(starts, stops);
    assert_true(tally_get_max_pause(heap) != ROUND_SHORTEST_US || given_up > 3);
    drop(heap, live);
}

static void test_trap_37_runs_need_no_memory_and_given_up_ones_free_nothing(void **state)
{
    (void)state;
    each_round(run_given_up);
#ifdef THREAD_SANITIZER
    skip(); /* the sanitizer has no memory left either */
#endif
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        run_without_memory(manager, 0);
        run_without_memory(manager, 50);
    }
}

/* ---- 38 */

static void allocate_without_runs(struct tally_heap *heap)
{
    enum { COUNT = 50000 / ROUND_SCALE };
    for (int i = 0; i < COUNT; i++)
        loop_leave(heap);
    settle(heap);
    assert_int_equal(starts, 0);
    assert_int_equal(heap_live(heap), COUNT);
    assert_int_equal(tally_collect(heap, 2), COUNT);
    assert_int_equal(starts, 1);
}

static void threshold_zero_and_disabled(struct tally_heap *heap)
{
    watch_runs(heap);
    tally_enable(heap);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){0, 1, 1}), 0);
    allocate_without_runs(heap);
    tally_disable(heap);
    starts = 0;
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){1, 1, 1}), 0);
    allocate_without_runs(heap);
}

static void test_trap_38_threshold_zero_and_disable_cause_no_run(void **state)
{
    (void)state;
    each_round(threshold_zero_and_disabled);
}

/* ---- 41 */

static void saved_garbage(struct tally_heap *heap)
{
    acting(NULL);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    for (uint64_t round = 1; round <= 3; round++) {
        for (int i = 0; i < 4; i++) {
            struct pair *loop = actor_make(heap, NULL, NULL);
            tally_store_steal(loop, &loop->first, loop);
        }
        assert_int_equal(collect_all(heap), 4);
        assert_int_equal(tally_garbage_count(heap), 4 * round);
        assert_int_equal(heap_live(heap), 4 * round);
        assert_int_equal(finalized, 4 * round);
        assert_int_equal(heap_stats(heap).garbage, 4 * round);
    }
    assert_int_equal(heap_stats(heap).frees_cycle, 0);
    struct pair *taken = tally_garbage_take(heap, 5);
    assert_int_equal(tally_garbage_count(heap), 11);
    assert_int_equal(tally_refcount(taken), 2);
    assert_ptr_equal(taken->first, taken);
    assert_int_equal(tally_set_debug(heap, 0), 0);
    assert_int_equal(collect_all(heap), 0); /* the list and C hold all */
    tally_garbage_clear(heap);
    assert_int_equal(tally_garbage_count(heap), 0);
    assert_int_equal(collect_all(heap), 11);
    assert_int_equal(heap_live(heap), 1);
    drop(heap, taken);
    assert_int_equal(collect_all(heap), 1);
    assert_int_equal(finalized, 12);
}

static void test_trap_41_saved_garbage_lives_and_dies_like_any_object(void **state)
{
    (void)state;
    each_round(saved_garbage);
}

/* ---- 42 */

static void *saved[3];
static unsigned saved_count;
static void save_self(struct tally_heap *heap, void *object)
{
    (void)heap;
    saved[saved_count++] = tally_dup(object);
}

/* What its callback shows it to be cannot be cleared. */
static bool stubborn;
static void stubborn_traverse(void *object, tally_slot_fn visit, void *arg)
{
    struct pair *self = object;
    void *was = self->first;
    visit(&self->first, arg);
    if (stubborn && was && !self->first) {
        tally_incref(was);
        self->first = was;
    }
}

static void ignore_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)report, (void)arg;
}

static struct pair *stubborn_make(struct tally_heap *heap)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "stubborn", .size = sizeof(struct pair), .traverse = stubborn_traverse}, &type), 0);
    struct pair *loop = tally_new(heap, type);
    tally_store_steal(loop, &loop->first, loop);
    tally_incref(loop);
    return loop;
}

static void sums_of_a_run(struct tally_heap *heap)
{
    acting(save_self);
    watch_runs(heap);
    tally_set_report(heap, ignore_report, NULL);
    saved_count = 0;
    stubborn = true;
    struct pair *left[2];
    for (int i = 0; i < 2; i++) {
        left[i] = stubborn_make(heap);
        drop(heap, left[i]);
    }
    for (int i = 0; i < 3; i++) {
        struct pair *loop = actor_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
    }
    for (int i = 0; i < 10; i++)
        loop_leave(heap);
    int64_t found = tally_find_cycles(heap);
    assert_int_equal(found, 15);
    assert_int_equal(starts + stops, 0);
    assert_int_equal(run_once(heap), 10);
    assert_int_equal(starts, 1);
    assert_int_equal(heap_uncollectable(heap), 2);
    assert_int_equal(saved_count, 3);
    assert_int_equal(starts, stops);
    assert_int_equal(abandoned, 0);
    assert_int_equal(10 + saved_count + heap_uncollectable(heap), (uint64_t)found);
    struct tally_collection last;
    tally_last_collection(heap, &last, sizeof last);
    assert_int_equal(last.collected, last_stop.collected);
    assert_int_equal(last.duration_ns, last_stop.duration_ns);
    stubborn = false;
    for (int i = 0; i < 2; i++) {
        tally_incref(left[i]);
        drop(heap, left[i]);
    }
    for (int i = 0; i < 3; i++)
        drop(heap, saved[i]);
    assert_int_equal(collect_all(heap), 5);
}

/* Given up, whatever it is that gives it up. */
static void each_start_has_its_stop(struct tally_heap *heap)
{
    watch_runs(heap);
    for (int way = 0; way < 4; way++) {
        for (int i = 0; i < 3000 / ROUND_SCALE; i++)
            loop_leave(heap);
        struct pair *live = pair_make(heap, NULL, NULL);
        tally_incref(live);
        tally_decref(live);
        void *weight = run_due(heap);
        tally_step(heap, 0);
        tally_disable(heap);
        bool was_open = open_run;
        unsigned before = abandoned;
        if (way == 0)
            tally_collect(heap, 0);
        else if (way == 1)
            assert_int_equal(tally_set_manager(heap, tally_get_manager(heap)), 0);
        else if (way == 2)
            tally_freeze(heap);
        else
            assert_true(tally_find_cycles(heap) >= 0);
        assert_false(open_run);
        assert_int_equal(abandoned - before, was_open);
        assert_int_equal(starts, stops);
        tally_unfreeze(heap);
        run_over(heap, weight);
        drop(heap, live);
        collect_all(heap);
        assert_int_equal(heap_live(heap), 0);
    }
    assert_int_equal(abandoned, heap_stats(heap).abandoned);
    assert_true(tally_get_max_pause(heap) != ROUND_SHORTEST_US || abandoned > 0);
}

static void test_trap_42_sums_agree_and_each_start_has_its_stop(void **state)
{
    (void)state;
    each_round(sums_of_a_run);
    each_round(each_start_has_its_stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_37_runs_need_no_memory_and_given_up_ones_free_nothing),
        cmocka_unit_test(test_trap_38_threshold_zero_and_disable_cause_no_run),
        cmocka_unit_test(test_trap_41_saved_garbage_lives_and_dies_like_any_object),
        cmocka_unit_test(test_trap_42_sums_agree_and_each_start_has_its_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
