/* Light objects die, and are found, by shorter ways: what these leave to the long ones, and where they meet. */
#include <sys/wait.h>
#include <unistd.h>

#include "rounds.h"

static unsigned reports[16];
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    reports[report->kind]++;
}

/* A light pair, of something traversed, of a light pair: the last death has to wait for the traverse's end. */
static struct pair *sandwich_make(struct tally_heap *heap)
{
    struct pair *inner = tally_new(heap, traversed_type()), *outer = pair_make(heap, NULL, NULL);
    tally_store_steal(inner, &inner->first, pair_make(heap, NULL, NULL));
    tally_store_steal(outer, &outer->first, inner);
    tally_store_steal(outer, &outer->second, pair_make(heap, NULL, NULL));
    return outer;
}

static struct pair *waiting;
static void drop_waiting(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)arg;
    if (!info->stop && waiting) {
        struct pair *pair = waiting;
        waiting = NULL;
        tally_decref(pair);
    }
}

static void test_light_parents_of_what_is_not_light(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_decref(sandwich_make(heap)); /* of types that are younger than the heap */
    assert_int_equal(heap_live(heap), 0);
    assert_true(heap->hot.direct_limit > 0);
    assert_int_equal(tally_add_collection_hook(heap, drop_waiting, NULL), 0);
    waiting = sandwich_make(heap);
    loop_leave(heap);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
}

/* A chain longer than the recursion goes, with something that is not light at its end. */
static void test_light_chains_of_any_length(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(NULL);
    for (int length = 1; length < 200; length += 3) {
        struct pair *head = actor_make(heap, NULL, NULL);
        for (int i = 0; i < length; i++) {
            struct pair *next = pair_make(heap, NULL, NULL);
            tally_store_steal(next, i % 2 ? &next->first : &next->second, head);
            head = next;
        }
        tally_decref(head);
        assert_int_equal(heap_live(heap), 0);
    }
    assert_int_equal(finalized, 67);
    heap_check(heap);
    tally_heap_free(heap);
}

static struct pair *dying;
static void give_back_the_dying(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    if (dying) {
        struct pair *pair = dying;
        dying = NULL;
        tally_decref(pair);
    }
}

/* One reference too many is given back of an object that is dying, with its cursor where a count of 1 stands. */
/* A tree of arrays, deeper than plain recursion goes, of pairs, bytes, and what is not light; some are shared. */
static void *arrays_make(struct tally_heap *heap, unsigned depth, void *shared)
{
    struct wide *wide = wide_make(heap, 6);
    tally_store_steal(wide, &wide->slots[0], tally_new_array(heap, bytes_type(), depth));
    tally_store_steal(wide, &wide->slots[1], pair_make(heap, shared, NULL));
    tally_store(wide, &wide->slots[2], shared);
    tally_store_steal(wide, &wide->slots[4], tally_new_array(heap, bytes_type(), 30000)); /* a page of its own */
    if (depth % 16 == 5)
        tally_store_steal(wide, &wide->slots[3], sandwich_make(heap));
    if (depth)
        tally_store_steal(wide, &wide->slots[5], arrays_make(heap, depth - 1, shared));
    return wide;
}

static void test_light_arrays_of_any_depth(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *shared = pair_make(heap, NULL, NULL);
    void *arrays = arrays_make(heap, 100, shared), *empty = wide_make(heap, 0);
    heap_check(heap);
    tally_decref(empty);
    tally_decref(arrays);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(tally_refcount(shared), 1);
    assert_int_equal(heap_stats(heap).live_bytes, sizeof(struct pair));
    heap_check(heap);
    tally_decref(shared);
    tally_heap_free(heap);
}

/* Arrays that hold themselves go with their page, or one by one where something beside them lives. */
static void test_light_arrays_in_cycles(void **state)
{
    (void)state;
    enum { ARRAYS = 3000 };
    static struct wide *arrays[ARRAYS];
    struct tally_heap *heap = heap_make();
    for (int beside = 0; beside < 2; beside++) {
        uint64_t bytes = 0;
        void *leaf = beside ? tally_new_array(heap, bytes_type(), 100) : NULL;
        for (size_t i = 0; i < ARRAYS; i++) {
            arrays[i] = wide_make(heap, 1 + i % 3);
            bytes += tally_size(arrays[i]);
            tally_store(arrays[i], &arrays[i]->slots[0], arrays[i]);
            tally_store(arrays[i], &arrays[i]->slots[i % 3], i % 3 ? leaf : arrays[i]);
        }
        for (size_t i = 0; i < ARRAYS; i++)
            tally_decref(arrays[i]);
        assert_int_equal(tally_collect(heap, 2), ARRAYS);
        assert_int_equal(heap->last.freed_bytes, bytes);
        assert_int_equal(heap_live(heap), beside);
        assert_int_equal(heap_stats(heap).live_bytes, beside ? tally_size(leaf) : 0);
        heap_check(heap);
        if (leaf)
            tally_decref(leaf);
    }
    tally_heap_free(heap);
}

static void test_a_decref_of_the_dying(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    acting(give_back_the_dying);
    struct pair *child = actor_make(heap, NULL, NULL), *parent = actor_make(heap, NULL, child);
    tally_decref(child);
    act = NULL; /* the parent's is not meant */
    tally_incref(parent);
    tally_decref(parent);
    dying = NULL;
    act = give_back_the_dying;
    *word_of(parent) |= FLAG_FINALIZED;
    dying = parent;
    tally_decref(parent);
    assert_null(dying);
    assert_int_equal(reports[TALLY_REPORT_DECREF], 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* What a candidate's closure meets, and does not enter. */
static void test_explore_passes_over_what_it_must(void **state)
{
    (void)state;
    struct tally_heap *heap = round_heap(TALLY_MANAGER_CYCLE, 0);
    struct pair *kept[4];
    kept[0] = pair_make(heap, NULL, NULL);
    tally_freeze(heap);
    kept[1] = pair_make(heap, NULL, NULL);
    tally_immortalize(kept[1]);
    kept[2] = tally_construct(heap, pair_type(), 0);
    kept[3] = pair_make(heap, NULL, NULL);
    for (int i = 0; i < 4; i++) {
        struct pair *loop = pair_make(heap, NULL, kept[i]);
        tally_store(loop, &loop->first, loop);
        tally_decref(loop);
    }
    void *weight = run_due(heap);
    settle(heap);
    run_over(heap, weight);
    assert_int_equal(heap_collected(heap), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tally_refcount(kept[i]), 1);
    heap_check(heap);
    tally_unfreeze(heap);
    tally_publish(kept[2]);
    for (int i = 0; i < 4; i++)
        tally_decref(kept[i]);
    tally_heap_free(heap);
}

static void test_garbage_that_is_saved_grows_older(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (int generation = 0; generation <= 2; generation++) {
        tally_set_debug(heap, TALLY_DEBUG_SAVEALL);
        loop_leave(heap);
        assert_int_equal(tally_collect(heap, generation), 1);
        assert_int_equal(tally_generation(tally_garbage_get(heap, 0)), generation < 2 ? generation + 1 : 2);
        tally_set_debug(heap, 0);
        tally_garbage_clear(heap);
        assert_int_equal(tally_collect(heap, 2), 1);
    }
    tally_heap_free(heap);
}

/* A slot that is taken again is young, whatever the generation was of the one that died in it. */
static void test_slots_forget_their_generation(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    enum { COUNT = 5000 };
    static struct pair *pairs[COUNT];
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < COUNT; i++)
            pairs[i] = pair_make(heap, NULL, NULL);
        if (way == 0)
            tally_freeze(heap);
        else
            assert_int_equal(tally_collect(heap, way), 0);
        for (int i = 0; i < COUNT; i += way + 1)
            tally_decref(pairs[i]);
        for (int i = 0; i < COUNT; i += way + 1) {
            pairs[i] = pair_make(heap, NULL, NULL);
            assert_int_equal(tally_generation(pairs[i]), 0);
        }
        heap_check(heap);
        for (int i = 0; i < COUNT; i++)
            tally_decref(pairs[i]);
        tally_unfreeze(heap);
        heap_check(heap);
    }
    tally_heap_free(heap);
}

static void *rescued;
static void rescue(struct tally_heap *heap, void *object)
{
    (void)heap;
    rescued = tally_dup(object);
}

/* Its finalizer has run: not again at the heap's end. And a key that is young again may die in a young run, which
 * does not come by its entry's page. */
static void test_the_rescued(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(rescue);
    struct pair *key = actor_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    void *map = tally_weakmap_new(heap);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    tally_decref(value);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_decref(key);
    assert_ptr_equal(rescued, key);
    assert_int_equal(tally_weakmap_count(map), 1);
    assert_int_equal(tally_generation(key), 0);
    tally_store_steal(key, &key->first, key);
    assert_int_equal(tally_collect(heap, 0), 1);
    assert_int_equal(tally_weakmap_count(map), 0);
    heap_check(heap);
    tally_decref(map);
    tally_collect(heap, 2);
    tally_decref(actor_make(heap, NULL, NULL)); /* is rescued, and stays */
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(finalized, 2);
    tally_set_report(heap, on_report, NULL);
    tally_heap_free(heap);
    assert_int_equal(finalized, 2);
}

/* The heap verifies between any two slices, with a map's entry that its key's death has left to the trash. */
static void test_an_entry_in_the_trash_verifies(void **state)
{
    (void)state;
    struct tally_heap *heap = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
    enum { COUNT = 300 };
    void *map = tally_weakmap_new(heap);
    for (int i = 0; i < COUNT; i++) {
        struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, key);
        assert_int_equal(tally_weakmap_set(map, key, value), 0);
        drop(heap, value);
        drop(heap, key);
    }
    void *weight = run_due(heap);
    while (tally_step(heap, 0))
        heap_check(heap);
    run_over(heap, weight);
    assert_int_equal(tally_weakmap_count(map), 0);
    drop(heap, map);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* The program takes hold of what a young run has still to come to, page by page. */
static void test_touches_ahead_of_a_young_run(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct tally_heap *heap = round_heap(TALLY_MANAGER_GENERATIONAL, ROUND_SHORTEST_US);
    struct pair **pairs = malloc(COUNT * sizeof *pairs);
    unsigned ahead = 0;
    tally_disable(heap);
    for (int i = 0; i < COUNT; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_set_thresholds(heap, (const uint32_t[]){700, 10, 10}), 0);
    tally_enable(heap);
    assert_true(phase_reach(heap, RUN_MERGE));
    for (int i = 0; i < COUNT && heap->run.phase == RUN_MERGE; i += 100) {
        ahead += page_of(pairs[i])->links[LIST_MERGE].at != NULL;
        tally_decref(tally_dup(pairs[i]));
    }
    assert_true(ahead > 0);
    settle(heap);
    tally_disable(heap);
    heap_check(heap);
    assert_int_equal(heap_live(heap), COUNT);
    for (int i = 0; i < COUNT; i++)
        tally_decref(pairs[i]);
    settle(heap);
    assert_int_equal(heap_live(heap), 0);
    free(pairs);
    tally_heap_free(heap);
}

/* The child takes up the slots that the parent had at hand, in a page without fresh ones as well. */
static void test_a_child_finds_the_free_slots(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *first = pair_make(heap, NULL, NULL);
    struct page *page = page_of(first);
    struct pair **pairs = malloc(page->slot_count * sizeof *pairs);
    for (uint32_t i = 1; i < page->slot_count; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    for (uint32_t i = 1; i < page->slot_count; i += 2)
        tally_decref(pairs[i]);
    struct pair *again = pair_make(heap, NULL, NULL);
    assert_ptr_equal(page_of(again), page);
    assert_true(page->bump == page->end && heap->hot.free[page->class_index]);
    pid_t child = fork();
    if (!child) {
        uint64_t live = heap_live(heap), mapped = heap_stats(heap).mapped_bytes;
        for (uint32_t i = 2; i < page->slot_count / 2; i++)
            if (page_of(pair_make(heap, NULL, NULL)) != page)
                _exit(1);
        _exit(tally_verify(heap, NULL, 0) ? 2
              : heap_stats(heap).mapped_bytes != mapped ? 3
              : heap_live(heap) == live + page->slot_count / 2 - 2 ? 0 : 4);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    tally_decref(again);
    tally_decref(first);
    for (uint32_t i = 2; i < page->slot_count; i += 2)
        tally_decref(pairs[i]);
    free(pairs);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
}

static struct pair *chain_like(struct tally_heap *heap)
{
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_store_steal(pair, &pair->first, pair_make(heap, NULL, NULL));
    return pair;
}

/* A slot of the fixed part and trailing ones in one light type: all are released. */
static void test_arrays_with_a_fixed_slot(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    struct list {
        size_t length;
        void *owner, *items[];
    };
    struct tally_ref refs[] = {{"owner", offsetof(struct list, owner)}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "list",
                                                                   .size = sizeof(struct list),
                                                                   .refs = refs,
                                                                   .ref_count = 1,
                                                                   .trailing = TALLY_TRAILING_SLOTS},
                                         &type),
                     0);
    struct list *list = tally_new_array(heap, type, 3);
    tally_store_steal(list, &list->owner, chain_like(heap));
    for (int i = 0; i < 3; i++)
        tally_store_steal(list, &list->items[i], chain_like(heap));
    assert_int_equal(heap_live(heap), 9);
    tally_decref(list);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_light_parents_of_what_is_not_light),
        cmocka_unit_test(test_light_chains_of_any_length),
        cmocka_unit_test(test_light_arrays_of_any_depth),
        cmocka_unit_test(test_light_arrays_in_cycles),
        cmocka_unit_test(test_a_decref_of_the_dying),
        cmocka_unit_test(test_explore_passes_over_what_it_must),
        cmocka_unit_test(test_garbage_that_is_saved_grows_older),
        cmocka_unit_test(test_slots_forget_their_generation),
        cmocka_unit_test(test_the_rescued),
        cmocka_unit_test(test_an_entry_in_the_trash_verifies),
        cmocka_unit_test(test_touches_ahead_of_a_young_run),
        cmocka_unit_test(test_a_child_finds_the_free_slots),
        cmocka_unit_test(test_arrays_with_a_fixed_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
