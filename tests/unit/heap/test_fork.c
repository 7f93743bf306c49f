/* A child's heap is its own, however the child was made. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/internal.h"
#include "support.h"
#include "system.h"

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

static void fork_and_compare(pid_t (*make_child)(void))
{
    struct tally_heap *heap = heap_make();
    /* As if attached: the counters lie in memory that a child shares. */
    void *shared = mmap_shared(WIRE_COUNTERS_BYTES);
    feed_counters_format(shared, FEED_SHAPE_START, tally__heap_number(heap), 2);
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

/* Each generation of children counts anew: what lives is what was allocated, and nothing was freed. */
static int generations(struct tally_heap *heap, unsigned left, uint64_t live)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    if (stats.allocations != live || stats.frees_refcount || stats.frees_cycle || stats.live_bytes != 24 * live)
        return 1;
    for (int i = 0; i < 10; i++)
        tally_decref(pair_make(heap, NULL, NULL));
    if (!pair_make(heap, NULL, NULL) || !left)
        return 0;
    pid_t child = fork();
    if (!child)
        _exit(generations(heap, left - 1, live + 1));
    int status = 0;
    return child < 0 || waitpid(child, &status, 0) != child || status;
}

static void test_children_of_children_count_anew(void **state)
{
    (void)state;
    if (!system_wipes_on_fork())
        skip();
    struct tally_heap *heap = heap_make();
    assert_int_equal(generations(heap, 4, 0), 0);
    assert_int_equal(heap_live(heap), 1);
    tally_heap_free(heap);
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

/* The first thing that a child does with its parent's heap may be anything. */
static struct pair *chain, *suspect;
static void *large;
static struct tally_scope few;

static int do_stats(struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats.live_objects < 3002;
}
static int do_verify(struct tally_heap *heap)
{
    return tally_verify(heap, NULL, 0);
}
static int do_collect(struct tally_heap *heap)
{
    return tally_collect(heap, 2) != 1;
}
static int do_step(struct tally_heap *heap)
{
    return tally_step(heap, UINT64_MAX);
}
static int do_trim(struct tally_heap *heap)
{
    return !tally_trim(heap);
}
static int do_enable(struct tally_heap *heap)
{
    tally_disable(heap);
    return tally_is_enabled(heap);
}
static int do_limit(struct tally_heap *heap)
{
    tally_set_memory_limit(heap, 1 << 30);
    return 0;
}
static int do_notify(struct tally_heap *heap)
{
    return tally_notify_fd(heap) < 0;
}
static int do_safepoint(struct tally_heap *heap)
{
    return tally_safepoint(heap);
}
static int do_manager(struct tally_heap *heap)
{
    return tally_set_manager(heap, TALLY_MANAGER_FULL);
}
static int do_extern(struct tally_heap *heap)
{
    (void)heap;
    return tally_extern_bytes(chain, 1 << 30);
}
static int do_decref(struct tally_heap *heap)
{
    (void)heap;
    tally_decref(chain);
    chain = NULL;
    return 0;
}
static int do_large(struct tally_heap *heap)
{
    (void)heap;
    tally_decref(large);
    large = NULL;
    return 0;
}
static int do_scope(struct tally_heap *heap)
{
    struct tally_scope s = tally_scope_open(heap);
    tally_scope_close(&s);
    return 0;
}
static int do_swap(struct tally_heap *heap)
{
    return tally__heap_feed_swap(heap, NULL, NULL);
}
static int do_park(struct tally_heap *heap)
{
    return tally_park(heap) || tally_unpark(heap);
}
static int do_disown(struct tally_heap *heap)
{
    return tally_heap_disown(heap) || tally_heap_adopt(heap);
}
static int do_transfer(struct tally_heap *heap)
{
    struct tally_heap *other = heap_make();
    void *moved;
    (void)heap;
    int error = tally_transfer(other, chain, &moved, NULL);
    if (!error)
        tally_decref(moved);
    chain = NULL;
    tally_heap_free(other);
    return error;
}
static int do_free(struct tally_heap *heap)
{
    tally_scope_close(&few);
    tally_heap_free(heap);
    return -1;
}

/* What was asked of the parent is not the child's to do. */
static unsigned requests;
static void on_request(struct tally_heap *heap, struct tally__request *request)
{
    (void)heap, (void)request;
    requests++;
}

static int child_begins(struct tally_heap *heap, int (*act)(struct tally_heap *heap))
{
    int error = act(heap);
    if (error < 0 && act == do_free)
        return 0;
    if (error)
        return 1;
    if (tally_verify(heap, NULL, 0))
        return 2;
    if (tally_safepoint(heap) || requests)
        return 5;
    if (chain)
        tally_decref(chain);
    if (large)
        tally_decref(large);
    tally_scope_close(&few);
    struct pair *fresh = NULL;
    for (int i = 0; i < 20000; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, fresh);
        fresh = pair;
    }
    if (tally_verify(heap, NULL, 0))
        return 4;
    tally_decref(fresh);
    tally_collect(heap, 2);
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    tally_heap_free(heap);
    return stats.live_objects ? 3 : 0;
}

static void test_a_child_begins_with_anything(void **state)
{
    (void)state;
    static int (*const acts[])(struct tally_heap *) = {
        do_stats,  do_verify,    do_collect, do_step,     do_trim,   do_enable, do_limit,
        do_notify, do_safepoint, do_manager, do_extern,   do_decref, do_large,  do_scope,
        do_swap,   do_park,      do_disown,  do_transfer, do_free};
    if (!system_wipes_on_fork())
        skip();
    struct tally_heap *heap = heap_make();
    const struct tally_type *bytes = bytes_type();
    few = tally_scope_open(heap);
    assert_true(tally_notify_fd(heap) >= 0);
    struct pair *many[5000];
    for (int i = 0; i < 5000; i++)
        many[i] = pair_make(heap, NULL, NULL);
    large = tally_new_array(heap, bytes, 1 << 20);
    void *after = tally_new_array(heap, bytes, 1 << 20);
    for (int i = 0; i < 3000; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, chain);
        chain = pair;
    }
    for (int i = 0; i < 5000; i++)
        tally_decref(many[i]);
    tally_decref(after);
    while (heap->hot.free[page_of(chain)->class_index]) { /* a page with fresh slots alone */
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, chain);
        chain = pair;
    }
    void *first = tally_keep(heap, tally_new_array(heap, bytes, 8));
    while (heap->hot.free[page_of(first)->class_index])
        tally_keep(heap, tally_new_array(heap, bytes, 8));
    assert_true(page_of(first)->bump < page_of(first)->end);
    suspect = pair_make(heap, NULL, NULL);
    tally_store_steal(suspect, &suspect->first, suspect);
    struct tally__request request = {.run = on_request};
    tally__heap_post(heap, &request);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        pid_t child = fork();
        if (!child)
            _exit(child_begins(heap, acts[i]));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (status)
            fail_msg("act %zu: status %x", i, status);
    }
    assert_int_equal(tally_safepoint(heap), 1);
    assert_int_equal(requests, 1);
    heap_check(heap);
    tally_scope_close(&few);
    tally_decref(chain);
    tally_decref(large);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, 0UL);
}

static void test_fork_leaves_the_parents_counters_alone(void **state)
{
    (void)state;
    if (!system_wipes_on_fork())
        skip();
    fork_and_compare(fork);
}

static void test_raw_clone_leaves_the_parents_counters_alone(void **state)
{
    (void)state;
#ifdef THREAD_SANITIZER
    skip(); /* the sanitizer does not see a raw clone */
#endif
    if (!system_wipes_on_fork())
        skip();
    fork_and_compare(raw_clone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork_leaves_the_parents_counters_alone),
        cmocka_unit_test(test_children_of_children_count_anew),
        cmocka_unit_test(test_fork_in_every_state_of_a_run),
        cmocka_unit_test(test_a_child_begins_with_anything),
        cmocka_unit_test(test_raw_clone_leaves_the_parents_counters_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
