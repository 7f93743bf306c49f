/* Pages that are dense with candidates: merged as one, freed as one where nothing in them lives. */
#include "corners.h"

enum { PAIRS = 3000 }; /* two pages and more */

static void loops_make(struct tally_heap *heap, struct pair **loops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        loops[i] = pair_make(heap, NULL, NULL);
        tally_store(loops[i], &loops[i]->first, loops[i]);
        loops[i]->number = i;
    }
}

static struct page *page_at(void *object)
{
    return page_of(object);
}

static void test_a_page_of_trash_starts_anew(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    loops_make(heap, loops, PAIRS);
    assert_int_equal(tally_collect(heap, 2), 0); /* they are old */
    assert_int_equal(tally_generation(loops[0]), 2);
    struct pair *last = loops[PAIRS - 1];
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS);
    assert_int_equal(heap->run.freed_bytes, PAIRS * sizeof(struct pair));
    assert_int_equal(heap_live(heap), 0);
    assert_ptr_equal(heap->hot.current[page_at(last)->class_index], page_at(last)); /* all others went */
    assert_int_equal(heap->spare_count, (PAIRS - 1) / page_at(last)->slot_count);
    for (size_t i = 0; i < PAIRS; i++) {
        loops[i] = pair_make(heap, NULL, NULL);
        assert_int_equal(loops[i]->number, 0);
        assert_int_equal(tally_generation(loops[i]), 0);
    }
    heap_check(heap);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Half of them live: those are gone through and stay. */
static void test_a_page_of_trash_and_others(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i++) {
        if (i % 3)
            tally_store(loops[i], &loops[i]->second, loops[i - i % 3]);
        else
            tally_incref(loops[i]);
        tally_decref(loops[i]);
    }
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS - PAIRS / 3);
    assert_int_equal(heap->run.survivors, PAIRS / 3);
    assert_int_equal(heap_live(heap), PAIRS / 3);
    for (size_t i = 0; i < PAIRS; i += 3) {
        assert_int_equal(tally_refcount(loops[i]), 2);
        tally_decref(loops[i]);
    }
    candidates_run(heap);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* What the trash refers to in sparse pages is let go of, as is what lives outside; garbage of that is the next run's. */
static void test_a_dense_page_that_refers_to_others(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    struct wide *sparse = wide_make(heap, 100); /* in a page of another size */
    void *leaf = tally_new_array(heap, bytes_type(), 10);
    struct pair *kept = pair_make(heap, NULL, NULL);
    tally_store(sparse, &sparse->slots[0], sparse);
    tally_store(sparse, &sparse->slots[1], kept);
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i++)
        tally_store(loops[i], &loops[i]->second, i % 2 ? leaf : (void *)sparse);
    tally_decref(sparse);
    uint64_t leaves = tally_refcount(leaf);
    assert_int_equal(leaves, 1 + PAIRS / 2);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS);
    candidates_run(heap);
    assert_int_equal(heap->run.collected, 1);
    assert_int_equal(tally_refcount(leaf), 1);
    assert_int_equal(tally_refcount(kept), 1);
    assert_int_equal(heap_live(heap), 2);
    tally_decref(leaf);
    tally_decref(kept);
    tally_heap_free(heap);
}

/* Objects of a dense page that nobody suspects are gone through once, where candidates lead to them: what they refer to
 * does not lose a reference from outside over that. Of 256 objects the first 64 lead to the third, which are no
 * candidates, and these to the last, which C holds. */
static void test_others_of_a_dense_page(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    enum { ALL = PAIRS / 256 * 256 };
    struct tally_heap *heap = heap_make();
    loops_make(heap, loops, ALL);
    for (size_t i = 0; i < ALL; i++)
        if (i % 256 < 64) {
            tally_store(loops[i], &loops[i]->second, loops[i + 128]);
            tally_store(loops[i + 128], &loops[i + 128]->second, loops[i + 192]);
            tally_incref(loops[i + 192]);
        }
    for (size_t i = 0; i < ALL; i++)
        if (i % 256 / 64 != 2)
            tally_decref(loops[i]);
    candidates_run(heap);
    for (size_t i = 0; i < ALL; i++)
        if (i % 256 >= 192) {
            assert_int_equal(loops[i]->number, i);
            assert_int_equal(tally_refcount(loops[i]), 3);
            tally_decref(loops[i - 64]);
            tally_decref(loops[i]);
        }
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Frozen, immortal and unfinished objects among the candidates: they are none, and their page does not go. */
static void test_a_dense_page_with_what_stands_apart(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    struct pair *frozen = pair_make(heap, NULL, NULL);
    tally_freeze(heap);
    struct pair *immortal = pair_make(heap, NULL, NULL), *unborn = tally_construct(heap, pair_type(), 0);
    tally_immortalize(immortal);
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS);
    assert_int_equal(heap_live(heap), 3);
    assert_int_equal(tally_generation(frozen), TALLY_GENERATION_FROZEN);
    tally_publish(unborn);
    tally_decref(unborn);
    tally_decref(frozen);
    assert_int_equal(heap_live(heap), 1);
    tally_heap_free(heap);
}

/* Keys of weak maps, weak referents and disposers are dealt with one by one. */
static void test_a_dense_page_with_more_to_do(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    void *map = tally_weakmap_new(heap);
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i += 100)
        assert_int_equal(tally_weakmap_set(map, loops[i], loops[i]), 0);
    void *weak = tally_weak_new(heap, NULL, loops[1], NULL, NULL);
    struct pair *disposer = disposer_make(heap, NULL);
    tally_store(disposer, &disposer->first, disposer);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    tally_decref(disposer);
    candidates_run(heap);
    assert_int_equal(heap->run.collected, PAIRS + 1);
    assert_int_equal(disposed, 1);
    assert_null(tally_weak_lock(weak));
    assert_int_equal(tally_weakmap_count(map), 0);
    tally_decref(weak);
    tally_decref(map);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Types of one size share a page: each has its frees counted. */
static void test_a_page_of_two_types(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    const struct tally_type *types[2] = {pair_type(), pair_type_make("another pair", NULL)};
    for (size_t i = 0; i < PAIRS; i++) {
        loops[i] = tally_new(heap, types[i % 3 == 0]);
        tally_store(loops[i], &loops[i]->first, loops[i]);
    }
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    candidates_run(heap);
    const struct wire_row *rows = heap->hot.pen.rows;
    assert_int_equal(rows[types[1]->index].freed_cycle, PAIRS / 3);
    assert_int_equal(rows[types[0]->index].freed_cycle, PAIRS - PAIRS / 3);
    tally_heap_free(heap);
}

/* Objects that have pages of their own are freed as such. */
static void test_large_objects_among_the_trash(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    struct tally_ref refs[] = {{"self", 0}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "slab", .size = 40000, .refs = refs,
                                                                   .ref_count = 1}, &type), 0);
    uint64_t before = heap_stats(heap).mapped_bytes;
    for (int i = 0; i < 10; i++) {
        void **slab = tally_new(heap, type);
        tally_store_steal(slab, &slab[0], slab);
    }
    assert_true(heap_stats(heap).mapped_bytes > before + 400000);
    assert_int_equal(tally_collect(heap, 2), 10);
    assert_int_equal(heap_stats(heap).mapped_bytes, before);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static unsigned decrefs_reported;
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    decrefs_reported += report->kind == TALLY_REPORT_DECREF;
}

/* A reference too many given back to one that went with its page is seen, as after any other death. */
static void test_a_decref_of_what_went_with_its_page(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    tally_set_report(heap, on_report, NULL);
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    candidates_run(heap);
    assert_int_equal(heap_live(heap), 0);
    decrefs_reported = 0;
    tally_decref(loops[PAIRS - 1]);
    assert_int_equal(decrefs_reported, 1);
    heap_check(heap);
    tally_heap_free(heap);
}

/* A sparse page is not merged: what lives in it and is no candidate is not looked at. */
static void test_a_sparse_page_is_not_merged(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i += 10)
        tally_decref(loops[i]);
    candidates_run(heap);
    assert_int_equal(heap->run.record.examined, PAIRS / 10);
    assert_int_equal(heap->run.collected, PAIRS / 10);
    for (size_t i = 0; i < PAIRS; i++)
        if (i % 10)
            tally_decref(loops[i]);
    candidates_run(heap);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A young run leaves candidates what they are; those that go with their page are none any more. */
static void test_candidates_go_with_a_whole_page(void **state)
{
    (void)state;
    static struct pair *loops[PAIRS];
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL), 0);
    loops_make(heap, loops, PAIRS);
    for (size_t i = 0; i < PAIRS; i++)
        tally_decref(loops[i]);
    assert_int_equal(tally_collect(heap, 0), PAIRS);
    assert_int_equal(heap->candidate_count, 0);
    heap_check(heap);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_of_trash_starts_anew),
        cmocka_unit_test(test_a_page_of_trash_and_others),
        cmocka_unit_test(test_a_dense_page_that_refers_to_others),
        cmocka_unit_test(test_others_of_a_dense_page),
        cmocka_unit_test(test_a_dense_page_with_what_stands_apart),
        cmocka_unit_test(test_a_dense_page_with_more_to_do),
        cmocka_unit_test(test_a_page_of_two_types),
        cmocka_unit_test(test_large_objects_among_the_trash),
        cmocka_unit_test(test_a_decref_of_what_went_with_its_page),
        cmocka_unit_test(test_candidates_go_with_a_whole_page),
        cmocka_unit_test(test_a_sparse_page_is_not_merged),
    };
    return cmocka_run_group_tests_name("dense", tests, NULL, NULL);
}
