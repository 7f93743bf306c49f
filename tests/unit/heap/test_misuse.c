/* Misuse is reported, with kind and type, and never frees a live object. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static struct {
    unsigned counts[16];
    const struct tally_type *types[16];
    uint64_t objects;
    char sentence[256];
} seen;

static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    seen.counts[report->kind]++;
    seen.types[report->kind] = report->type;
    seen.objects = report->objects;
    snprintf(seen.sentence, sizeof seen.sentence, "%s", report->sentence);
}

static struct tally_heap *watched_make(void)
{
    struct tally_heap *heap = heap_make();
    memset(&seen, 0, sizeof seen);
    tally_set_report(heap, on_report, NULL);
    return heap;
}

static void test_decref_of_what_was_freed_is_reported(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    struct pair *other = pair_make(heap, NULL, NULL), *pair = pair_make(heap, NULL, NULL);
    tally_decref(pair);
    tally_decref(pair);
    assert_int_equal(seen.counts[TALLY_REPORT_DECREF], 1);
    assert_true(strlen(seen.sentence) > 10);
    assert_int_equal(heap_live(heap), 1);
    struct pair *again = pair_make(heap, NULL, NULL); /* the slot is as good as before */
    heap_check(heap);
    tally_decref(again);
    tally_decref(other);
    tally_heap_free(heap);
}

/* Under none the dead wait: their counts are none. */
static void test_decref_of_the_dying_is_reported(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    struct pair *pair = pair_make(heap, NULL, NULL), *next = pair_make(heap, NULL, NULL);
    tally_decref(pair);
    tally_decref(next);
    tally_decref(pair);
    assert_int_equal(seen.counts[TALLY_REPORT_DECREF], 1);
    assert_ptr_equal(seen.types[TALLY_REPORT_DECREF], pair_type());
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
}

struct liar {
    void *slot;
    unsigned times; /* that its traverse reports it */
};

static void liar_traverse(void *object, tally_slot_fn visit, void *arg)
{
    struct liar *liar = object;
    for (unsigned i = 0; i < liar->times; i++)
        visit(&liar->slot, arg);
}

static const struct tally_type *liar_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "liar",
                                                                       .size = sizeof(struct liar),
                                                                       .traverse = liar_traverse},
                                             &type),
                         0);
    return type;
}

/* An edge reported twice that passes the count: nothing of the closure is freed. */
static void test_an_edge_reported_twice_is_found(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    struct liar *liar = tally_new(heap, liar_type());
    liar->times = 2;
    liar->slot = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(seen.counts[TALLY_REPORT_EDGES], 1);
    assert_ptr_equal(seen.types[TALLY_REPORT_EDGES], pair_type());
    assert_int_equal(heap_live(heap), 2);
    liar->times = 1;
    tally_decref(liar);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* One that lands exactly on nothing: the live object is kept, cleared, and reported. */
static void test_an_edge_reported_twice_frees_no_live_object(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    struct liar *liar = tally_new(heap, liar_type());
    struct pair *victim = pair_make(heap, NULL, NULL);
    liar->times = 2;
    liar->slot = tally_dup(victim); /* count 2: mine and the liar's, which it reports twice */
    tally_store(victim, &victim->second, liar);
    tally_decref(liar);
    assert_int_equal(tally_collect(heap, 2), 1); /* the liar, which nobody holds now */
    assert_true(seen.counts[TALLY_REPORT_MISSED] >= 1);
    assert_ptr_equal(seen.types[TALLY_REPORT_MISSED], pair_type());
    assert_int_equal(tally_refcount(victim), 1);
    assert_int_equal(heap_live(heap), 1);
    tally_decref(victim);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_an_edge_missed_keeps_alive(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    struct liar *liar = tally_new(heap, liar_type());
    liar->slot = tally_dup(liar);
    tally_decref(liar);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap_live(heap), 1);
    liar->times = 1;
    tally_decref(tally_dup(liar)); /* a candidate again, as after any change of slots */
    assert_int_equal(tally_collect(heap, 2), 1);
    tally_heap_free(heap);
}

static void test_acyclic_types_in_cycles_are_found(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    const struct tally_type *type;
    struct tally_ref ref = {"next", 0};
    assert_int_equal(
        tally_type_register(
            &(struct tally_type_info){
                .name = "claims", .size = 8, .refs = &ref, .ref_count = 1, .flags = TALLY_TYPE_ACYCLIC},
            &type),
        0);
    void **object = tally_new(heap, type);
    assert_int_equal(tally_verify(heap, NULL, 0), 0);
    tally_store_steal(object, object, object);
    char message[128] = "";
    assert_int_equal(tally_verify(heap, message, sizeof message), TALLY_ESTATE);
    assert_non_null(strstr(message, "claims"));
    assert_true(seen.counts[TALLY_REPORT_ACYCLIC] >= 1);
    assert_ptr_equal(seen.types[TALLY_REPORT_ACYCLIC], type);
    tally_heap_free(heap);
    assert_int_equal(seen.counts[TALLY_REPORT_LEAK], 1); /* the wrong claim leaks, nothing worse */
}

static void *use_from_afar(void *arg)
{
    struct tally_heap *heap = arg;
    assert_null(tally_new_array(heap, liar_type(), 1));
    assert_int_equal(tally_collect(heap, 2), TALLY_ETHREAD);
    assert_true(tally_step(heap, 1));
    assert_int_equal(tally_heap_disown(heap), TALLY_ETHREAD);
    assert_int_equal(tally_park(heap), TALLY_ETHREAD);
    assert_int_equal(tally_unpark(heap), TALLY_ETHREAD);
    tally_heap_free(heap);
    return NULL;
}

static void test_wrong_threads_are_found(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, use_from_afar, heap), 0);
    pthread_join(thread, NULL);
    assert_true(seen.counts[TALLY_REPORT_THREAD] >= 6);
    tally_decref(pair_make(heap, NULL, NULL));
    tally_heap_free(heap);
}

static void free_the_heap(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_heap_free(heap);
}

static void test_a_finalizer_cannot_free_its_heap(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    const struct tally_type *type = pair_type_make("frees-heap", free_the_heap);
    tally_decref(tally_new(heap, type));
    struct pair *pair = tally_new(heap, type);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(seen.counts[TALLY_REPORT_CALLBACK], 2);
    tally_heap_free(heap);
}

/* Who uses an object without owning it: the collection at the decref finds what would be found much later. */
static void test_stress_collects_at_every_decref(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    tally_set_stress(heap, 0, true);
    struct pair *ring = pair_make(heap, NULL, NULL), *other = pair_make(heap, NULL, NULL);
    tally_store(ring, &ring->first, ring);
    tally_decref(ring);
    assert_int_equal(heap_live(heap), 1);
    tally_decref(tally_dup(other));
    assert_int_equal(heap_live(heap), 1);
    struct tally_collection last;
    tally_last_collection(heap, &last, sizeof last);
    assert_int_equal(last.reason, TALLY_REASON_STRESS);
    tally_set_stress(heap, 0, false);
    tally_decref(other);
    tally_heap_free(heap);
}

static void test_scopes_out_of_order_are_reported(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    assert_null(tally_keep(heap, tally_new(heap, pair_type())));
    assert_int_equal(heap_live(heap), 0);
    struct tally_scope outer = tally_scope_open(heap);
    size_t references = 7;
    assert_non_null(tally_keep(heap, tally_new(heap, pair_type())));
    struct tally_scope inner = tally_scope_open(heap);
    assert_int_equal(tally_scopes_open(heap, &references), 2);
    assert_int_equal(references, 1);
    tally_scope_close(&outer);
    tally_scope_close(&inner);
    assert_int_equal(seen.counts[TALLY_REPORT_SCOPE], 1);
    tally_scope_close(&outer);
    assert_int_equal(seen.counts[TALLY_REPORT_SCOPE], 1); /* the one that was still open */
    tally_scope_open(heap);
    tally_heap_free(heap);
    assert_int_equal(seen.counts[TALLY_REPORT_SCOPE], 2);
}

static void test_leaks_are_reported_by_type(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_REFCOUNT), 0);
    for (int i = 0; i < 3; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, pair);
    }
    tally_heap_free(heap);
    assert_int_equal(seen.counts[TALLY_REPORT_LEAK], 1);
    assert_ptr_equal(seen.types[TALLY_REPORT_LEAK], pair_type());
    assert_int_equal(seen.objects, 3);
    heap = watched_make();
    struct pair *cycle = pair_make(heap, NULL, NULL);
    tally_store_steal(cycle, &cycle->first, cycle);
    tally_heap_free(heap);
    assert_int_equal(seen.counts[TALLY_REPORT_LEAK], 0); /* collected */
}

static void test_debug_flags_say_what_happens(void **state)
{
    (void)state;
    struct tally_heap *heap = watched_make();
    assert_int_equal(tally_set_debug(heap, 8), TALLY_EINVAL);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_STATS | TALLY_DEBUG_COLLECTABLE), 0);
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(seen.counts[TALLY_REPORT_DEBUG], 3);
    assert_non_null(strstr(seen.sentence, "1 collected"));
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_LEAK), 0);
    assert_int_equal(tally_get_debug(heap), TALLY_DEBUG_LEAK);
    pair = pair_make(heap, NULL, NULL);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(tally_garbage_count(heap), 1);
    assert_int_equal(seen.counts[TALLY_REPORT_DEBUG], 4);
    assert_non_null(strstr(seen.sentence, "collectable <pair"));
    tally_set_debug(heap, 0);
    tally_garbage_clear(heap);
    tally_heap_free(heap);
}

static void test_reports_are_printed_only_on_request(void **state)
{
    (void)state;
    int ends[2];
    char text[256] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (!child) {
        dup2(ends[1], STDERR_FILENO);
        struct tally_heap *heap = heap_make();
        tally_set_report(heap, tally_report_stderr, NULL);
        tally_set_debug(heap, TALLY_DEBUG_COLLECTABLE);
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, pair);
        tally_collect(heap, 2);
        _exit(0);
    }
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    waitpid(child, NULL, 0);
    close(ends[0]);
    assert_non_null(strstr(text, "tally: debug: pair: collectable <pair"));
}

/* The test of the test: a read behind the free of an object ends a build with AddressSanitizer. */
static void test_use_after_free_is_caught_by_asan(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    pid_t child = fork();
    if (!child) {
        close(STDERR_FILENO); /* where it says so */
        struct tally_heap *heap = heap_make();
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_decref(pair);
        (void)*(volatile uint64_t *)&pair->number;
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decref_of_what_was_freed_is_reported),
        cmocka_unit_test(test_decref_of_the_dying_is_reported),
        cmocka_unit_test(test_an_edge_reported_twice_is_found),
        cmocka_unit_test(test_an_edge_reported_twice_frees_no_live_object),
        cmocka_unit_test(test_an_edge_missed_keeps_alive),
        cmocka_unit_test(test_acyclic_types_in_cycles_are_found),
        cmocka_unit_test(test_wrong_threads_are_found),
        cmocka_unit_test(test_a_finalizer_cannot_free_its_heap),
        cmocka_unit_test(test_stress_collects_at_every_decref),
        cmocka_unit_test(test_scopes_out_of_order_are_reported),
        cmocka_unit_test(test_leaks_are_reported_by_type),
        cmocka_unit_test(test_debug_flags_say_what_happens),
        cmocka_unit_test(test_reports_are_printed_only_on_request),
        cmocka_unit_test(test_use_after_free_is_caught_by_asan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
