/* What the heap says of itself: the summary in the feed, the statistics, the record of each run, and the
 * points at which runs become due. */
#include <time.h>

#include "heap/internal.h"
#include "rounds.h"

/* A value that no other figure has, for each: the summary's from 150 on, in its order. */
static void figures_set(struct tally_heap *heap)
{
    heap->enabled = true;
    heap->manager = TALLY_MANAGER_FULL;
    heap->debug = TALLY_DEBUG_STATS;
    for (unsigned i = 0; i < 3; i++) {
        heap->thresholds[i] = 101 + i;
        heap->counts[i] = 111 + i;
        heap->generations[i] = (struct tally_generation_stats){121 + i, 131 + i, 141 + i};
    }
    heap->hot.young_count = 110;
    heap->garbage.count = 150;
    heap->frozen = 151;
    heap->pause_ns = 152;
    heap->max_pause_ns = 153;
    heap->last_pause_ns = 154;
    heap->budget_ns = 155000;
    heap->memory_limit = 156;
    heap->extern_bytes = 157;
    heap->candidate_count = 158;
    heap->zero_count = 159;
    heap->due.count = 160;
    heap->slices = 161;
    heap->missed = 162;
    heap->longest_slice_ns = 163;
    heap->abandoned = 164;
    heap->refused = 165;
    heap->mapped_bytes = 166;
}

static void assert_rising(const uint64_t *figures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(figures[i], 150 + i);
}

static void assert_summary(const struct wire_counters *shown)
{
    assert_true(shown->enabled);
    assert_int_equal(shown->manager, TALLY_MANAGER_FULL);
    assert_int_equal(shown->candidates_due, 0); /* it waits for none */
    assert_int_equal(shown->debug, TALLY_DEBUG_STATS);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(shown->thresholds[i], 101 + i);
        assert_int_equal(shown->counts[i], i ? 111 + i : 110);
        assert_int_equal(shown->generations[i].collections, 121 + i);
        assert_int_equal(shown->generations[i].collected, 131 + i);
        assert_int_equal(shown->generations[i].uncollectable, 141 + i);
    }
    const uint64_t figures[] = {
        shown->garbage,       shown->frozen,           shown->pause_ns,           shown->max_pause_ns,
        shown->last_pause_ns, shown->max_pause_us,     shown->memory_limit_bytes, shown->extern_bytes,
        shown->candidates,    shown->pending_objects,  shown->finalizers_pending, shown->slices,
        shown->missed_slices, shown->longest_slice_ns, shown->abandoned_runs,     shown->refused_runs,
        shown->mapped_bytes};
    assert_rising(figures, sizeof figures / sizeof *figures);
}

static void test_each_figure_is_shown(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally_heap before = *heap;
    figures_set(heap);
    tally__summary(heap);
    assert_summary(heap->hot.pen.counters);
    struct tally_stats stats;
    heap->frozen = 0; /* it is counted anew */
    tally_get_stats(heap, &stats, sizeof stats);
    const uint64_t stated[] = {stats.garbage,
                               151,
                               stats.pause_ns,
                               stats.max_pause_ns,
                               154,
                               155,
                               156,
                               stats.extern_bytes,
                               stats.candidates,
                               stats.pending_objects,
                               stats.finalizers_pending,
                               stats.slices,
                               stats.missed,
                               stats.longest_slice_ns,
                               stats.abandoned,
                               stats.refused,
                               stats.mapped_bytes};
    assert_rising(stated, sizeof stated / sizeof *stated);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(stats.generations[i].collected, 131 + i);
    uint64_t counts[3];
    tally_counts(heap, counts);
    assert_int_equal(counts[0] + counts[1] + counts[2], 110 + 112 + 113);
    *heap = before;
    tally_heap_free(heap);
}

/* The first bytes of statistics and of a record, and no more: programs built with an older header. */
static void test_short_structures(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    loop_leave(heap);
    tally_collect(heap, 2);
    struct tally_stats stats, whole;
    struct tally_collection record, last;
    memset(&stats, 0xee, sizeof stats);
    tally_get_stats(heap, &stats, 16);
    tally_get_stats(heap, &whole, sizeof whole);
    assert_memory_equal(&stats, &whole, 16);
    assert_int_equal(((unsigned char *)&stats)[16], 0xee);
    memset(&record, 0xee, sizeof record);
    tally_last_collection(heap, &record, 8);
    tally_last_collection(heap, &last, sizeof last);
    assert_memory_equal(&record, &last, 8);
    assert_int_equal(((unsigned char *)&record)[8], 0xee);
    assert_int_equal(last.collected, 1);
    tally_heap_free(heap);
}

static struct tally_collection last_of(const struct tally_heap *heap)
{
    struct tally_collection last;
    tally_last_collection(heap, &last, sizeof last);
    return last;
}

/* Each run adds its figures to the sums, and tells them in its record. */
static void test_sums_and_records(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    uint64_t pauses = 0, longest = 0;
    for (unsigned run = 1; run <= 5; run++) {
        for (unsigned i = 0; i < run * 10; i++)
            loop_leave(heap);
        int generation = (int)(run % 3);
        assert_int_equal(tally_collect(heap, generation), run * 10);
        struct tally_collection last = last_of(heap);
        assert_true(last.stop);
        assert_false(last.abandoned);
        assert_int_equal(last.generation, generation);
        assert_int_equal(last.reason, TALLY_REASON_EXPLICIT);
        assert_int_equal(last.scope, generation == 2 ? TALLY_SCOPE_HEAP : TALLY_SCOPE_GENERATIONS);
        assert_int_equal(last.collected, run * 10);
        assert_int_equal(last.examined, run * 10);
        assert_int_equal(last.uncollectable, 0);
        assert_int_equal(last.freed_bytes, run * 10 * sizeof(struct pair));
        assert_int_equal(last.slices, 1);
        assert_true(last.find_ns > 0 && last.free_ns > 0);
        assert_true(last.find_ns + last.callback_ns + last.free_ns <= last.duration_ns);
        assert_int_equal(heap->last_pause_ns, last.find_ns + last.callback_ns + last.free_ns);
        pauses += heap->last_pause_ns;
        longest = heap->last_pause_ns > longest ? heap->last_pause_ns : longest;
        assert_int_equal(heap_stats(heap).pause_ns, pauses);
        assert_int_equal(heap_stats(heap).max_pause_ns, longest);
    }
    assert_int_equal(heap_stats(heap).generations[0].collections, 1);
    assert_int_equal(heap_stats(heap).generations[0].collected, 30);
    assert_int_equal(heap_stats(heap).generations[1].collections, 2);
    assert_int_equal(heap_stats(heap).generations[1].collected, 50);
    assert_int_equal(heap_stats(heap).generations[2].collections, 2);
    assert_int_equal(heap_stats(heap).generations[2].collected, 70);
    tally_heap_free(heap);
}

/* The newest collection record in the feed says what tally_last_collection() does. */
static void test_records_in_the_feed(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct wire_counters *counters = heap->hot.pen.counters;
    struct pair *kept = pair_make(heap, NULL, NULL);
    for (unsigned i = 0; i < 7; i++)
        loop_leave(heap);
    uint64_t before = heap_stats(heap).live_bytes;
    assert_int_equal(tally_collect(heap, 1), 7);
    struct tally_collection last = last_of(heap);
    const struct wire_record *record =
        (const struct wire_record *)((const char *)counters + counters->record_offset) +
        (counters->record_head - 1) % counters->record_capacity;
    assert_int_equal(record->sequence, counters->record_head);
    assert_int_equal(record->collected, 7);
    assert_int_equal(record->freed_bytes, 7 * sizeof(struct pair));
    assert_int_equal(record->uncollectable, 0);
    assert_int_equal(record->examined, last.examined);
    assert_int_equal(record->generation, 1);
    assert_int_equal(record->reason, TALLY_REASON_EXPLICIT);
    assert_int_equal(record->manager, TALLY_MANAGER_CYCLE);
    assert_int_equal(record->live_bytes_before, before);
    assert_int_equal(record->live_bytes_after, heap_stats(heap).live_bytes);
    assert_int_equal(record->find_ns, last.find_ns);
    assert_int_equal(record->free_ns, last.free_ns);
    assert_int_equal(record->pause_ns, last.find_ns + last.callback_ns + last.free_ns);
    assert_int_equal(record->scope_slices & 0xff, last.scope);
    assert_int_equal(record->scope_slices >> 8, 1);
    tally_decref(kept);
    tally_heap_free(heap);
}

static const struct wire_row *row_of(const struct tally_heap *heap, const void *object)
{
    return &heap->hot.pen.rows[tally_type_of(object)->index];
}

/* Bytes go from heap to heap in the columns of types of many sizes alone. */
static void test_moved_bytes(void **state)
{
    (void)state;
    struct tally_heap *from = heap_make(), *to = heap_make();
    struct pair *pair = pair_make(from, NULL, NULL);
    tally_store_steal(pair, &pair->first, tally_new_array(from, bytes_type(), 100));
    void *moved;
    assert_int_equal(tally_transfer(to, pair, &moved, NULL), 0);
    pair = moved;
    assert_int_equal(row_of(to, pair)->moved_in, 1);
    assert_int_equal(row_of(to, pair)->allocated_bytes, 0);
    assert_int_equal(row_of(from, pair)->moved_out, 1);
    assert_int_equal(row_of(from, pair)->freed_refcount_bytes, 0);
    assert_int_equal(row_of(to, pair->first)->allocated_bytes, tally_size(pair->first));
    assert_int_equal(row_of(from, pair->first)->freed_refcount_bytes, tally_size(pair->first));
    assert_int_equal(heap_stats(from).live_bytes, 0);
    assert_int_equal(heap_stats(to).live_bytes, sizeof(struct pair) + tally_size(pair->first));
    tally_decref(pair);
    assert_int_equal(heap_stats(to).live_bytes, 0);
    tally_heap_free(from);
    tally_heap_free(to);
}

/* Native bytes make a run due from the very byte on. */
static void test_the_byte_that_makes_a_run_due(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, 0);
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_decref(tally_dup(pair)); /* a candidate */
        assert_int_equal(tally_extern_bytes(pair, 1), 0);
        tally_enable(heap);
        uint64_t bytes = heap->extern_bytes + (manager == TALLY_MANAGER_GENERATIONAL ? 0 : heap->mapped_bytes);
        heap->memory_trigger = bytes + 1;
        assert_false(tally__is_due(heap));
        heap->memory_trigger = bytes;
        assert_true(tally__is_due(heap));
        tally_disable(heap);
        tally_decref(pair);
        tally_heap_free(heap);
    }
}

/* The time of the host's code is that of callbacks, in finalizers, and of freeing, in dispose; and the summary
 * in the feed has it as soon as the run is over. */
#define NAP_NS 2000000

static void nap(void)
{
    struct timespec left = {.tv_nsec = NAP_NS};
    while (nanosleep(&left, &left))
        ;
}

static void nap_finalize(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    nap();
}

static void nap_dispose(void *object)
{
    (void)object;
    nap();
}

static struct tally_collection loop_collect(struct tally_heap *heap, tally_finalize_fn finalize,
                                            tally_dispose_fn dispose)
{
    const struct tally_type *type;
    struct tally_ref refs[] = {{"first", offsetof(struct pair, first)}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "napping", .size = sizeof(struct pair),
                                                                   .refs = refs, .ref_count = 1,
                                                                   .finalize = finalize, .dispose = dispose},
                                         &type), 0);
    struct pair *pair = tally_new(heap, type);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(tally_collect(heap, 2), 1);
    return last_of(heap);
}

static void test_where_the_time_goes(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally_collection last = loop_collect(heap, nap_finalize, NULL);
    assert_true(last.callback_ns >= NAP_NS);
    assert_true(heap->hot.pen.counters->last_pause_ns >= NAP_NS);
    assert_int_equal(heap->hot.pen.counters->generations[2].collections, 1);
    last = loop_collect(heap, NULL, nap_dispose);
    assert_true(last.free_ns >= NAP_NS);
    assert_int_equal(heap->hot.pen.counters->generations[2].collections, 2);
    assert_int_equal(heap->hot.pen.counters->generations[2].collected, 2);
    tally_heap_free(heap);
}

/* Where nothing can have become garbage since the last run, nothing is gone through. */
static void test_a_run_with_nothing_to_find(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pairs[100];
    for (int i = 0; i < 100; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 100);
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 0);
    tally_decref(pairs[3]); /* a free slot is nothing young */
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 0);
    tally_freeze(heap);
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 0);
    struct pair *young = pair_make(heap, NULL, NULL);
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 1);
    tally_decref(tally_dup(young));
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 1);
    tally_unfreeze(heap);
    tally_collect(heap, 2);
    assert_int_equal(last_of(heap).examined, 100);
    tally_decref(young);
    for (int i = 0; i < 100; i++)
        if (i != 3)
            tally_decref(pairs[i]);
    tally_heap_free(heap);
}

/* ---- when runs are due */

/* As CPython 3.11: one more than the threshold starts a run, for each generation. */
static void test_each_threshold_to_the_object(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){5, 2, 3}), 0);
    tally_enable(heap);
    unsigned allocations = 0;
    struct tally_stats stats = heap_stats(heap);
    struct pair *pairs[1000];
    while (!stats.generations[0].collections) {
        pairs[allocations++] = pair_make(heap, NULL, NULL);
        stats = heap_stats(heap);
    }
    assert_int_equal(allocations, 6);
    assert_int_equal(last_of(heap).scope, TALLY_SCOPE_GENERATIONS);
    assert_int_equal(last_of(heap).reason, TALLY_REASON_THRESHOLD);
    while (!stats.generations[1].collections) {
        pairs[allocations++] = pair_make(heap, NULL, NULL);
        stats = heap_stats(heap);
    }
    assert_int_equal(stats.generations[0].collections, 3);
    assert_int_equal(last_of(heap).scope, TALLY_SCOPE_GENERATIONS);
    while (!stats.generations[2].collections) {
        pairs[allocations++] = pair_make(heap, NULL, NULL);
        stats = heap_stats(heap);
    }
    assert_int_equal(stats.generations[1].collections, 4);
    assert_int_equal(last_of(heap).scope, TALLY_SCOPE_HEAP);
    tally_disable(heap);
    while (allocations)
        tally_decref(pairs[--allocations]);
    tally_heap_free(heap);
}

/* Under cycle, the number of candidates; runs that find little come later, runs that find much sooner. */
static void test_the_limit_of_candidates_adapts(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){20, 1, 1}), 0);
    tally_enable(heap);
    struct pair *live[200];
    for (int i = 0; i < 200; i++)
        live[i] = pair_make(heap, NULL, NULL);
    unsigned suspects = 0;
    while (!heap_stats(heap).generations[0].collections) {
        tally_decref(tally_dup(live[suspects++]));
        tally_decref(tally_new(heap, pair_type()));
    }
    assert_int_equal(suspects, 20);
    assert_int_equal(last_of(heap).scope, TALLY_SCOPE_CANDIDATES);
    assert_int_equal(heap->candidate_limit, 30);
    const struct wire_counters *shown = heap->hot.pen.counters;
    assert_int_equal(shown->candidates_due, 30);
    tally_disable(heap);
    assert_int_equal(shown->candidates_due, 0);
    tally_enable(heap);
    assert_int_equal(shown->candidates_due, 30);
    for (unsigned limit = 30; limit > 20; limit = limit / 3 * 2) { /* all of it is garbage */
        assert_int_equal(heap->candidate_limit, limit);
        uint64_t runs = heap_stats(heap).generations[0].collections;
        unsigned loops = 0;
        while (heap_stats(heap).generations[0].collections == runs) {
            loop_leave(heap);
            loops++;
        }
        assert_in_range(loops, limit, limit + 1);
    }
    assert_int_equal(heap->candidate_limit, 20);
    heap->candidate_limit = UINT64_MAX / 4;
    tally__candidates_adapt(heap, 10, 0);
    assert_true(heap->candidate_limit < 1u << 30); /* bounded */
    heap->candidate_limit = 1000;
    tally__candidates_adapt(heap, 1000000, 0); /* little, and at great cost */
    assert_int_equal(heap->candidate_limit, 666);
    for (int i = 0; i < 20; i++)
        tally__candidates_adapt(heap, 10, 0);
    assert_int_equal(heap->follow, 4);
    tally__candidates_adapt(heap, 10, 10);
    assert_int_equal(heap->follow, 8);
    for (int i = 0; i < 20; i++)
        tally__candidates_adapt(heap, 10, 10);
    assert_int_equal(heap->follow, FOLLOW_MOST);
    heap->mapped_bytes += (uint64_t)400 << 20;
    tally__candidates_adapt(heap, 10, 10);
    assert_int_equal(heap->candidate_limit, 20 * 101); /* each 4 MiB have theirs */
    heap->mapped_bytes -= (uint64_t)400 << 20;
    tally_disable(heap);
    for (int i = 0; i < 200; i++)
        tally_decref(live[i]);
    tally_heap_free(heap);
}

/* Under full, growth by a quarter of what lives, but no less than the threshold. */
static void test_growth_by_a_quarter(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct wide *root = wide_make(heap, 1000);
    for (size_t i = 0; i < 1000; i++)
        tally_store_steal(root, &root->slots[i], pair_make(heap, NULL, NULL));
    tally_collect(heap, 2);
    tally_set_manager(heap, TALLY_MANAGER_FULL);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){10, 1, 1}), 0);
    tally_enable(heap);
    uint64_t runs = heap_stats(heap).generations[2].collections;
    unsigned loops = 0;
    while (heap_stats(heap).generations[2].collections == runs) {
        loop_leave(heap);
        loops++;
    }
    assert_in_range(loops, 250, 251);
    tally_disable(heap);
    tally_decref(root);
    tally_collect(heap, 2);
    tally_enable(heap);
    runs = heap_stats(heap).generations[2].collections;
    for (loops = 0; heap_stats(heap).generations[2].collections == runs; loops++)
        loop_leave(heap);
    assert_in_range(loops, 10, 12);
    tally_heap_free(heap);
}

/* ---- places */

static void test_alignment(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (size_t size = 8; size <= 5000; size += size < 300 ? 8 : 512) {
        const struct tally_type *types[2];
        for (int i = 0; i < 2; i++)
            assert_int_equal(
                tally_type_register(
                    &(struct tally_type_info){.name = "aligned", .size = size, .align = i ? 16 : 8},
                    &types[i]),
                0);
        void *objects[6];
        for (int i = 0; i < 6; i++) {
            objects[i] = tally_new(heap, types[i % 2]);
            assert_int_equal((uintptr_t)objects[i] % (i % 2 ? 16 : 8), 0);
            memset(objects[i], 0x5a, size);
        }
        for (int i = 0; i < 6; i++)
            tally_decref(objects[i]);
    }
    heap_check(heap);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Numbers and pages are given again, the lowest first. */
static void test_pages_are_numbered_densely(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    void *large[20];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++)
            large[i] = wide_make(heap, 20000);
        for (int i = 0; i < 20; i++)
            tally_decref(large[i]);
    }
    assert_in_range(heap->page_count, 20, 22);
    assert_int_equal(tally_object_id(large[0] = wide_make(heap, 20000)) >> WIRE_PAGE_GRANULE_BITS, 0);
    tally_decref(large[0]);
    tally_heap_free(heap);
}

/* The program gets hold, between two slices, of a hub all of whose references come from garbage. */
static void test_a_hub_that_is_taken_out_of_garbage(void **state)
{
    (void)state;
    enum { TIMES = 70000 };
    unsigned locked = 0;
    for (enum phase phase = RUN_MERGE; phase <= RUN_MARK; phase++) {
        struct tally_heap *heap = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
        struct wide *wide = wide_make(heap, TIMES);
        struct pair *hub = pair_make(heap, wide, NULL);
        void *weak = tally_weak_new(heap, NULL, hub, NULL, NULL);
        for (size_t i = 0; i < TIMES; i++)
            wide->slots[i] = tally_dup(hub);
        tally_decref(hub);
        tally_decref(wide);
        void *weight = run_due(heap), *held = NULL;
        for (unsigned steps = 0; heap->run.phase != phase && tally_step(heap, 0); steps++)
            assert_true(steps < 1000000);
        if (heap->run.phase == phase)
            held = tally_weak_lock(weak);
        locked += held != NULL;
        run_over(heap, weight);
        heap_check(heap);
        if (held) {
            assert_int_equal(heap_live(heap), 3);
            assert_int_equal(tally_refcount(held), TIMES + 1);
            drop(heap, held);
        }
        tally_collect(heap, 2);
        tally_decref(weak);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
    assert_true(locked >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_figure_is_shown),
        cmocka_unit_test(test_short_structures),
        cmocka_unit_test(test_records_in_the_feed), cmocka_unit_test(test_moved_bytes),
        cmocka_unit_test(test_the_byte_that_makes_a_run_due), cmocka_unit_test(test_where_the_time_goes),
        cmocka_unit_test(test_sums_and_records),
        cmocka_unit_test(test_a_run_with_nothing_to_find),
        cmocka_unit_test(test_each_threshold_to_the_object),
        cmocka_unit_test(test_the_limit_of_candidates_adapts),
        cmocka_unit_test(test_growth_by_a_quarter),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_pages_are_numbered_densely),
        cmocka_unit_test(test_a_hub_that_is_taken_out_of_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
