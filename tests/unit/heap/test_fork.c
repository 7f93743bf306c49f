/* A child's heap is its own, however the child was made. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* What the child does: goes on with the parent's objects, collects, verifies. Returns its exit status. */
static int child_work(struct tally_heap *heap, struct pair *chain)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    for (int i = 0; i < 5000; i++) {
        struct pair *loop = tally_new(heap, pair_type());
        tally_store_steal(loop, &loop->first, loop);
    }
    if (tally_collect(heap, 2) != 5000)
        return 2;
    tally_get_stats(heap, &stats, sizeof stats);
    if (stats.live_objects != 1000 || stats.allocations != 6000 || stats.frees_cycle != 5000)
        return 3;
    tally_decref(chain);
    tally_get_stats(heap, &stats, sizeof stats);
    if (stats.live_objects != 0 || stats.frees_refcount != 1000)
        return 4;
    return tally_verify(heap, NULL, 0) ? 5 : 0;
}

static void *mmap_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

static void fork_and_compare(pid_t (*make_child)(void))
{
    struct tally_heap *heap = heap_make();
    /* As if attached: the counters lie in memory that a child shares. */
    void *shared = mmap_shared(WIRE_COUNTERS_BYTES);
    feed_counters_format(shared, tally__heap_number(heap), 2);
    assert_int_equal(tally__heap_feed_swap(heap, shared, NULL), 0);
    struct pair *chain = NULL;
    for (int i = 0; i < 1000; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        tally_store_steal(pair, &pair->first, chain);
        chain = pair;
    }
    pid_t child = make_child();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_work(heap, chain));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    assert_int_equal(stats.allocations, 1000);
    assert_int_equal(stats.frees_refcount + stats.frees_cycle, 0);
    heap_check(heap);
    tally_decref(chain);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
    munmap(shared, WIRE_COUNTERS_BYTES);
}

/* In the middle of a paused run, of a cascade, and with candidates: both go on, each for itself. */
static void go_on(struct tally_heap *heap, uint64_t live)
{
    while (tally_step(heap, 50))
        ;
    tally_collect(heap, 2);
    heap_check(heap);
    assert_int_equal(heap_live(heap), live);
    tally_heap_free(heap);
}

static void test_fork_in_every_state_of_a_run(void **state)
{
    (void)state;
    enum { LENGTH = 2000 };
    for (int steps = 0; steps < 40; steps++) {
        struct tally_heap *heap = heap_make();
        struct pair *live = NULL;
        for (int i = 0; i < LENGTH; i++) {
            struct pair *pair = pair_make(heap, NULL, NULL), *ring = pair_make(heap, NULL, NULL);
            tally_store_steal(pair, &pair->first, live);
            live = pair;
            tally_store_steal(ring, &ring->first, ring);
        }
        assert_int_equal(tally_set_max_pause(heap, 1), 0);
        tally_enable(heap);
        tally_unfreeze(heap);
        for (int i = 0; i < steps; i++)
            tally_step(heap, 0);
        if (steps % 2) { /* a cascade as well */
            tally_decref(live);
            live = NULL;
        }
        pid_t child = fork();
        if (!child) {
            go_on(heap, live ? LENGTH : 0);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        go_on(heap, live ? LENGTH : 0);
    }
}

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, 0UL);
}

static void test_fork_leaves_the_parents_counters_alone(void **state)
{
    (void)state;
    fork_and_compare(fork);
}

static void test_raw_clone_leaves_the_parents_counters_alone(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__) || defined(THREAD_SANITIZER)
    skip(); /* the sanitizer does not see a raw clone */
#endif
    fork_and_compare(raw_clone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork_leaves_the_parents_counters_alone),
        cmocka_unit_test(test_fork_in_every_state_of_a_run),
        cmocka_unit_test(test_raw_clone_leaves_the_parents_counters_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
