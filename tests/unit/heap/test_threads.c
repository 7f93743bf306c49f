/* Heaps and threads: many at once, handed over, moved between, and constant stack. */
#include <pthread.h>

#include "support.h"
#include "system.h"

enum { THREADS = 4, ROUNDS = 200 };

/* Each thread its heap, nothing shared but types. */
static void *work(void *arg)
{
    (void)arg;
    struct tally_heap *heap = heap_make();
    tally_enable(heap);
    for (int round = 0; round < ROUNDS; round++) {
        struct pair *ring[50];
        for (int i = 0; i < 50; i++)
            ring[i] = pair_make(heap, i ? ring[i - 1] : NULL, NULL);
        tally_store(ring[0], &ring[0]->second, ring[49]);
        for (int i = 0; i < 50; i++)
            tally_decref(ring[i]);
    }
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
    return NULL;
}

static void test_heaps_of_many_threads_do_not_meet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    pair_type();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

struct parcel {
    struct tally_heap *heap;
    void *root;
};

static void *receive(void *arg)
{
    struct parcel *parcel = arg;
    assert_int_equal(tally_heap_adopt(parcel->heap), 0);
    assert_int_equal(tally_heap_adopt(parcel->heap), TALLY_ETHREAD);
    struct tally_heap *own = heap_make();
    void *moved = NULL;
    assert_int_equal(tally_transfer(own, parcel->root, &moved, NULL), 0);
    tally_heap_free(parcel->heap);
    uint64_t length = 0;
    for (struct pair *pair = moved; pair; pair = pair->first)
        assert_int_equal(pair->number, length++);
    assert_int_equal(length, 1000);
    assert_int_equal(heap_live(own), 1000);
    heap_check(own);
    tally_decref(moved);
    assert_int_equal(heap_live(own), 0);
    tally_heap_free(own);
    return NULL;
}

static struct pair *numbered_chain(struct tally_heap *heap, uint64_t length)
{
    struct pair *head = NULL;
    for (uint64_t i = length; i-- > 0;) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        pair->number = i;
        tally_store_steal(pair, &pair->first, head);
        head = pair;
    }
    return head;
}

static void test_a_heap_is_handed_over_as_a_parcel(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct parcel parcel = {.root = numbered_chain(heap, 1000)};
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &parcel.heap), 0);
    void *moved = NULL;
    assert_int_equal(tally_heap_adopt(parcel.heap), TALLY_ETHREAD);
    assert_int_equal(tally_transfer(parcel.heap, parcel.root, &moved, NULL), 0);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    parcel.root = moved;
    assert_int_equal(tally_heap_disown(parcel.heap), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, receive, &parcel), 0);
    pthread_join(thread, NULL);
    tally_heap_free(heap);
}

static void test_transfer_says_what_is_in_the_way(void **state)
{
    (void)state;
    struct tally_heap *from = heap_make(), *to = heap_make();
    struct pair *head = numbered_chain(from, 3), *second = head->first;
    const void *obstacle = NULL;
    void *out = NULL;
    assert_int_equal(tally_transfer(from, head, &out, &obstacle), TALLY_EINVAL);
    assert_int_equal(tally_transfer(to, NULL, &out, &obstacle), TALLY_EINVAL);
    assert_int_equal(tally_transfer(to, head, NULL, &obstacle), TALLY_EINVAL);
    tally_incref(second);
    assert_int_equal(tally_transfer(to, head, &out, &obstacle), TALLY_ENOTISOLATED);
    assert_ptr_equal(obstacle, second);
    tally_decref(second);
    void *weak = tally_weak_new(from, NULL, second, NULL, NULL);
    assert_int_equal(tally_transfer(to, head, &out, &obstacle), TALLY_ENOTISOLATED);
    assert_ptr_equal(obstacle, second);
    tally_decref(weak);
    assert_int_equal(tally_pin(second), 0);
    assert_int_equal(tally_transfer(to, head, &out, &obstacle), TALLY_ENOTISOLATED);
    assert_int_equal(tally_unpin(second), 0);
    assert_int_equal(heap_live(from), 3);
    assert_int_equal(tally_transfer(to, head, &out, NULL), 0);
    assert_int_equal(heap_live(from), 0);
    assert_int_equal(heap_live(to), 3);
    tally_decref(out);
    assert_int_equal(heap_live(to), 0);
    tally_heap_free(from);
    tally_heap_free(to);
}

/* What moves keeps its weak references, native bytes, cycles and arrays; the counters say moved. */
struct row {
    size_t length;
    void *slots[];
};

static void test_transfer_takes_everything_along(void **state)
{
    (void)state;
    struct tally_heap *from = heap_make(), *to = heap_make();
    const struct tally_type *type;
    struct tally_type_info info = {.name = "row",
                                   .size = sizeof(struct row),
                                   .trailing = TALLY_TRAILING_SLOTS,
                                   .trailing_length_offset = offsetof(struct row, length)};
    assert_int_equal(tally_type_register(&info, &type), 0);
    struct row *row = tally_new_array(from, type, 5000); /* large */
    for (size_t i = 0; i < 5000; i++)
        tally_store_steal(row, &row->slots[i], pair_make(from, row, NULL));
    tally_decref(row); /* the pairs hold it */
    struct pair *pair = tally_dup(row->slots[7]);
    tally_store_steal(row, &row->slots[8], tally_weak_new(from, NULL, row, NULL, NULL));
    assert_int_equal(tally_extern_bytes(row, 12345), 0);
    const void *obstacle;
    void *out = NULL;
    assert_int_equal(tally_transfer(to, pair, &out, &obstacle), 0);
    struct pair *moved = out;
    struct row *moved_row = moved->first;
    assert_int_equal(moved_row->length, 5000);
    assert_ptr_equal(moved_row->slots[7], moved);
    void *locked = tally_weak_lock(moved_row->slots[8]);
    assert_ptr_equal(locked, moved_row);
    tally_decref(locked);
    struct tally_stats stats;
    tally_get_stats(to, &stats, sizeof stats);
    assert_int_equal(stats.extern_bytes, 12345);
    assert_int_equal(stats.live_objects, 5001);
    assert_int_equal(stats.allocations, 0);
    tally_get_stats(from, &stats, sizeof stats);
    assert_int_equal(stats.extern_bytes, 0);
    assert_int_equal(stats.live_objects, 0);
    assert_int_equal(stats.live_bytes, 0);
    assert_int_equal(stats.frees_refcount, 1); /* the pair that the weak reference took the place of */
    heap_check(from);
    heap_check(to);
    tally_decref(moved);
    assert_int_equal(tally_collect(to, 2), 5001);
    tally_heap_free(from);
    tally_heap_free(to);
}

/* ---- nothing grows with depth */

static unsigned long finalized;
static void count_finalizer(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    finalized++;
}

static void *go_deep(void *arg)
{
    int *length = arg;
    const struct tally_type *types[2] = {pair_type(), pair_type_make("deep", count_finalizer)};
    for (int kind = 0; kind < 2; kind++)
        for (int way = 0; way < 3; way++) {
            struct tally_heap *heap = heap_make();
            struct pair *head = NULL, *last = NULL;
            for (int i = 0; i < *length; i++) {
                struct pair *pair = tally_new(heap, types[kind]);
                tally_store_steal(pair, &pair->first, head);
                head = pair;
                last = last ? last : pair;
            }
            finalized = 0;
            assert_int_equal(tally_verify(heap, NULL, 0), 0);
            if (way) /* a ring, found by a collection, or by one in slices */
                tally_store(last, &last->first, head);
            if (way == 2)
                tally_set_max_pause(heap, 100);
            tally_decref(head);
            if (way == 2) {
                tally_unfreeze(heap);
                tally_enable(heap);
                while (tally_step(heap, 100))
                    ;
            } else if (way == 1) {
                assert_int_equal(tally_collect(heap, 2), *length);
            }
            assert_int_equal(heap_live(heap), 0);
            assert_int_equal(finalized, kind ? *length : 0);
            tally_heap_free(heap);
        }
    return NULL;
}

static void test_depth_needs_no_stack(void **state)
{
    (void)state;
    const char *deep = getenv("TALLY_TEST_DEPTH");
    int length = deep ? atoi(deep) : 200000;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    pthread_attr_setstacksize(&attributes, 1 << 20);
#else
    assert_int_equal(pthread_attr_setstacksize(&attributes, system_stack_bytes()), 0);
#endif
    assert_int_equal(pthread_create(&thread, &attributes, go_deep, &length), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heaps_of_many_threads_do_not_meet),
        cmocka_unit_test(test_a_heap_is_handed_over_as_a_parcel),
        cmocka_unit_test(test_transfer_says_what_is_in_the_way),
        cmocka_unit_test(test_transfer_takes_everything_along),
        cmocka_unit_test(test_depth_needs_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
