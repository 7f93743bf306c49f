/* Requests from another thread, and how the owner comes to run them. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support.h"

struct order {
    struct tally__request request;
    struct tally_heap *heap;
    _Atomic int ran;
    int rank;
};
static _Atomic int ranks;

static void run_order(struct tally_heap *heap, struct tally__request *request)
{
    struct order *order = (struct order *)request;
    assert_ptr_equal(heap, order->heap);
    order->rank = atomic_fetch_add(&ranks, 1);
    atomic_store(&order->ran, 1);
}

static void *post(void *arg)
{
    struct order *order = arg;
    tally__heap_post(order->heap, &order->request);
    return NULL;
}

static void post_from_a_thread(struct order *order)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post, order), 0);
    pthread_join(thread, NULL);
}

static void test_safepoint_runs_requests_in_the_order_of_posting(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct order orders[3];
    atomic_store(&ranks, 0);
    for (int i = 0; i < 3; i++) {
        orders[i] = (struct order){.request.run = run_order, .heap = heap};
        post_from_a_thread(&orders[i]);
    }
    assert_int_equal(tally_safepoint(heap), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(orders[i].rank, i);
    assert_int_equal(tally_safepoint(heap), 0);
    tally_heap_free(heap);
}

/* A loop that frees what it allocates, and never asks, still comes by. */
static void test_safepoint_is_reached_by_a_loop_that_frees_what_it_makes(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct order order = {.request.run = run_order, .heap = heap};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post, &order), 0);
    int turns = 0;
    for (; turns < 100000000 && !atomic_load(&order.ran); turns++)
        tally_decref(tally_new(heap, pair_type()));
    pthread_join(thread, NULL);
    assert_true(order.ran);
    order.ran = 0;
    post_from_a_thread(&order);
    for (turns = 0; !atomic_load(&order.ran); turns++)
        tally_decref(tally_new(heap, pair_type()));
    assert_in_range(turns, 0, 65536 / 32);
    tally_heap_free(heap);
}

static void note_wake(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void test_notify_wakes_by_callback_and_by_descriptor(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    _Atomic int wakes = 0;
    struct order order = {.request.run = run_order, .heap = heap};
    tally_set_notify(heap, note_wake, &wakes);
    post_from_a_thread(&order);
    assert_int_equal(wakes, 1);
    assert_int_equal(tally_safepoint(heap), 1);
    struct pollfd file = {.fd = tally_notify_fd(heap), .events = POLLIN};
    assert_true(file.fd >= 0);
    assert_int_equal(tally_notify_fd(heap), file.fd);
    assert_int_equal(poll(&file, 1, 0), 0);
    post_from_a_thread(&order);
    assert_int_equal(wakes, 1);
    assert_int_equal(poll(&file, 1, 1000), 1);
    assert_int_equal(tally_safepoint(heap), 1);
    assert_int_equal(poll(&file, 1, 0), 0);
    tally_heap_free(heap);
}

static struct order held_back;
static void post_in_finalizer(struct tally_heap *heap, void *object)
{
    (void)object;
    post_from_a_thread(&held_back);
    assert_int_equal(tally_safepoint(heap), 0);
    assert_int_equal(held_back.ran, 0);
}
static void test_safepoint_waits_for_the_end_of_a_collection(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    held_back = (struct order){.request.run = run_order, .heap = heap};
    struct pair *loop = tally_new(heap, pair_type_make("poster", post_in_finalizer));
    tally_store_steal(loop, &loop->first, loop);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(tally_safepoint(heap), 1);
    assert_int_equal(held_back.ran, 1);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safepoint_runs_requests_in_the_order_of_posting),
        cmocka_unit_test(test_safepoint_is_reached_by_a_loop_that_frees_what_it_makes),
        cmocka_unit_test(test_notify_wakes_by_callback_and_by_descriptor),
        cmocka_unit_test(test_safepoint_waits_for_the_end_of_a_collection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
