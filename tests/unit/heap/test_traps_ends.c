/* The traps of ends: of long chains, of heaps, of threads, of a child's pages. Numbers 30, 43, 45, 47 and
 * 49 of the list of traps that other collectors fell into. */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rounds.h"
#include "system.h"

/* Sanitizers need stack and time of their own; the plain build proves the bound. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(TALLY_DEBUG)
#define STACK_BYTES ((size_t)1 << 20)
enum { DEEP = 10000 };
#else
#define STACK_BYTES system_stack_bytes()
enum { DEEP = 1000000 };
#endif

static void in_small_stack(void *(*work)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, work, arg), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

/* ---- 30 */

static struct pair *chain_make(struct tally_heap *heap, const struct tally_type *type, size_t length,
                               bool closed)
{
    struct pair *first = tally_new(heap, type), *last = first;
    for (size_t i = 1; i < length; i++) {
        struct pair *next = tally_new(heap, type);
        tally_store_steal(last, &last->first, next);
        last = next;
    }
    if (closed)
        tally_store(last, &last->first, first);
    return first;
}

static void *die_deep(void *arg)
{
    struct tally_heap *heap = arg;
    if (tally_heap_adopt(heap))
        return NULL;
    drop(heap, chain_make(heap, pair_type(), DEEP, false));
    drop(heap, chain_make(heap, pair_type(), DEEP, true));
    run_once(heap);
    drop(heap, chain_make(heap, actor_type(), DEEP, false));
    drop(heap, chain_make(heap, actor_type(), DEEP, true));
    run_once(heap);
    tally_heap_disown(heap);
    return NULL;
}

static void deep_deaths(struct tally_heap *heap)
{
    acting(NULL);
    assert_int_equal(tally_heap_disown(heap), 0);
    in_small_stack(die_deep, heap);
    assert_int_equal(tally_heap_adopt(heap), 0);
    assert_int_equal(heap_stats(heap).allocations - (tally_get_max_pause(heap) ? 2 : 0), 4 * DEEP);
    assert_int_equal(heap_stats(heap).frees_cycle, 2 * DEEP);
    assert_int_equal(finalized, 2 * DEEP);
}

/* What is dead and waits cannot be had any more; what it still holds can, and then is whole. */
static void weak_references_of_the_postponed(struct tally_heap *heap)
{
    struct pair *chain = chain_make(heap, pair_type(), 20000, false), *waiting = pair_make(heap, NULL, NULL),
                *middle = chain;
    for (int i = 0; i < 10000; i++)
        middle = middle->first;
    void *weak = tally_weak_new(heap, NULL, waiting, NULL, NULL),
         *weak_middle = tally_weak_new(heap, NULL, middle, NULL, NULL);
    tally_decref(chain);
    bool cut = heap_live(heap) > 3;
    tally_decref(waiting);
    assert_null(tally_weak_lock(weak));
    if (cut)
        assert_true(heap_stats(heap).pending_objects > 0);
    struct pair *locked = tally_weak_lock(weak_middle);
    settle(heap);
    assert_true(cut || !locked);
    if (locked) {
        assert_int_equal(heap_live(heap), 10000 + 2);
        drop(heap, locked);
    }
    assert_null(tally_weak_lock(weak_middle));
    drop(heap, weak);
    drop(heap, weak_middle);
}

static void test_trap_30_chains_of_a_million_die_in_constant_stack(void **state)
{
    (void)state;
    each_round(deep_deaths);
    each_round(weak_references_of_the_postponed);
    struct tally_heap *heap = heap_make(); /* under none everything waits */
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    struct pair *object = pair_make(heap, NULL, NULL);
    void *weak = tally_weak_new(heap, NULL, object, NULL, NULL);
    tally_decref(object);
    assert_null(tally_weak_lock(weak));
    assert_int_equal(heap_live(heap), 2);
    assert_int_equal(heap_stats(heap).pending_objects, 1);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    assert_int_equal(heap_live(heap), 1);
    tally_decref(weak);
    heap_check(heap);
    tally_heap_free(heap);
}

/* ---- 43, 49 */

static size_t mapped;
static void *map_page(size_t bytes, void *arg)
{
    (void)arg;
    void *memory = NULL;
    if (posix_memalign(&memory, 65536, bytes))
        return NULL;
    memset(memory, 0, bytes);
    mapped += bytes;
    return memory;
}

static void unmap_page(void *memory, size_t bytes, void *arg)
{
    (void)arg;
    mapped -= bytes;
    free(memory);
}

static uint64_t leaked_actors, leaked_pairs;
static void note_leak(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    assert_int_equal(report->kind, TALLY_REPORT_LEAK);
    if (report->type == actor_type())
        leaked_actors += report->objects;
    else if (report->type == pair_type())
        leaked_pairs += report->objects;
    else
        fail_msg("a leak of %s", tally_type_name(report->type));
    assert_int_equal(report->bytes, report->objects * sizeof(struct pair));
}

static void leave_loops_and_roots(struct tally_heap *heap)
{
    for (int i = 0; i < 10; i++) {
        struct pair *loop = actor_make(heap, NULL, NULL);
        tally_store_steal(loop, &loop->first, loop);
    }
    for (int i = 0; i < 5; i++)
        assert_non_null(actor_make(heap, NULL, NULL));
    for (int i = 0; i < 3; i++)
        assert_non_null(pair_make(heap, NULL, NULL));
}

static void test_trap_43_heap_that_goes_finalizes_reports_and_returns_all(void **state)
{
    (void)state;
    const struct tally_page_hooks page_hooks = {map_page, unmap_page, NULL};
    for (enum tally_manager manager = TALLY_MANAGER_NONE; manager <= TALLY_MANAGER_FULL; manager++)
        for (uint64_t pause = 0; pause < 2; pause++) {
            struct tally_heap *heap = NULL;
            assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){
                .manager = manager, .hooks = &page_hooks, .max_pause_us = pause}, &heap), 0);
            acting(NULL);
            mapped = leaked_actors = leaked_pairs = 0;
            tally_set_report(heap, note_leak, NULL);
            leave_loops_and_roots(heap);
            heap_check(heap);
            assert_int_equal(mapped, heap_stats(heap).mapped_bytes);
            tally_heap_free(heap);
            assert_int_equal(finalized, 15);
            assert_int_equal(mapped, 0);
            if (manager >= TALLY_MANAGER_GENERATIONAL) {
                assert_int_equal(leaked_actors, 5);
                assert_int_equal(leaked_pairs, 3);
            } else {
                assert_true(leaked_actors >= 10); /* the garbage cycles */
            }
        }
}

static void leave_an_actor(struct tally_heap *heap)
{
    struct pair *loop = actor_make(heap, NULL, NULL);
    tally_store_steal(loop, &loop->first, loop);
}

static void finalizer_of_a_frame(struct tally_heap *heap)
{
    acting(NULL);
    leave_an_actor(heap);
    assert_int_equal(finalized, 0);
    assert_int_equal(collect_all(heap), 1);
    assert_int_equal(finalized, 1);
}

/* It makes another one each time, as long as it is let. */
static void make_another(struct tally_heap *heap, void *object)
{
    (void)object;
    if (finalized < 200000)
        leave_an_actor(heap);
}

static void test_trap_49_finalizer_of_a_frames_cycle_runs_at_the_heaps_end(void **state)
{
    (void)state;
    each_round(finalizer_of_a_frame);
    for (enum tally_manager manager = TALLY_MANAGER_NONE; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = heap_make();
        assert_int_equal(tally_set_manager(heap, manager), 0);
        acting(NULL);
        leave_an_actor(heap);
        heap_check(heap);
        tally_heap_free(heap);
        assert_int_equal(finalized, 1);
        heap = heap_make();
        acting(make_another);
        assert_non_null(actor_make(heap, NULL, NULL)); /* a root that C never gives back */
        leave_an_actor(heap);
        tally_heap_free(heap);
        assert_in_range(finalized, 2, 10); /* what finalizers make at the very end does not go on for ever */
    }
}

/* ---- 45 */

enum { ARENA_BYTES = 32 << 20 };
static char *arena;
static size_t arena_used;
static void *map_in_arena(size_t bytes, void *arg)
{
    (void)arg;
    if (arena_used + bytes > ARENA_BYTES)
        return NULL;
    void *memory = arena + arena_used;
    arena_used += bytes;
    return memory;
}

static void unmap_in_arena(void *memory, size_t bytes, void *arg)
{
    (void)memory, (void)bytes, (void)arg;
}

/* Kilobytes of the arena that this process alone has, and has written. SIZE_MAX: not to be learned here. */
static size_t private_dirty_kib(void)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    if (!file)
        return SIZE_MAX;
    char line[512];
    size_t sum = 0, kib;
    unsigned long from, to;
    bool ours = false, found = false;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            ours = from < (uintptr_t)arena + ARENA_BYTES && to > (uintptr_t)arena;
        else if (ours && sscanf(line, "Private_Dirty: %zu kB", &kib) == 1) {
            sum += kib;
            found = true;
        }
    }
    fclose(file);
    return found ? sum : SIZE_MAX;
}

/* Collects, which writes no object. The heads of pages, with the side data, may be written: of 16 pages of
 * 4 KiB not more than 2. Returns the exit status. */
static int collect_as_a_child(struct tally_heap *heap, struct pair *ring)
{
    size_t before = private_dirty_kib();
    if (before == SIZE_MAX)
        return 77;
    for (int i = 0; i < 5; i++)
        if (tally_collect(heap, 2) || tally_collect(heap, 0) || tally_find_cycles(heap))
            return 2;
    size_t after = private_dirty_kib();
    if (after - before > arena_used / 1024 * 2 / 16)
        return 3;
    for (int i = 0; i < 100; i++)
        loop_leave(heap);
    if (tally_collect(heap, 2) != 100)
        return 4;
    tally_decref(ring);
    if (tally_collect(heap, 2))
        return 5;
    tally_unfreeze(heap);
    if (tally_collect(heap, 2) != 50000 || tally_verify(heap, NULL, 0))
        return 6;
    return private_dirty_kib() > after ? 0 : 7; /* the measure measures */
}

static void test_trap_45_child_of_a_frozen_heap_collects_and_writes_no_object(void **state)
{
    (void)state;
    arena = mmap(NULL, ARENA_BYTES + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(arena, MAP_FAILED);
    char *base = arena;
    arena = (char *)(((uintptr_t)arena + 65535) & ~(uintptr_t)65535);
    madvise(arena, ARENA_BYTES, MADV_NOHUGEPAGE);
    const struct tally_page_hooks page_hooks = {map_in_arena, unmap_in_arena, NULL};
    struct tally_heap *heap = NULL;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){
        .manager = TALLY_MANAGER_FULL, .hooks = &page_hooks}, &heap), 0);
    tally_disable(heap);
    struct pair *ring = chain_make(heap, pair_type(), 50000, true);
    tally_freeze(heap);
    heap_check(heap);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(collect_as_a_child(heap, ring));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 77)
        assert_int_equal(WEXITSTATUS(status), 0);
    heap_check(heap);
    tally_unfreeze(heap);
    tally_decref(ring);
    assert_int_equal(tally_collect(heap, 2), 50000);
    heap_check(heap);
    tally_heap_free(heap);
    munmap(base, ARENA_BYTES + 65536);
    if (WEXITSTATUS(status) == 77)
        skip(); /* no smaps */
}

/* ---- 47 */

static enum tally_manager thread_manager;
static void *own_a_heap(void *arg)
{
    struct tally_heap *heap = NULL;
    if (tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.manager = thread_manager}, &heap))
        return NULL;
    tally_disable(heap);
    for (int i = 0; i < 100; i++)
        leave_an_actor(heap);
    if (arg)
        tally_heap_free(heap);
    else
        tally_heap_disown(heap);
    return heap;
}

static void thread_ends(bool frees)
{
    pthread_t thread;
    void *heap = NULL;
    acting(NULL);
    assert_int_equal(pthread_create(&thread, NULL, own_a_heap, frees ? &thread : NULL), 0);
    assert_int_equal(pthread_join(thread, &heap), 0);
    assert_non_null(heap);
    if (!frees) {
        assert_int_equal(finalized, 0);
        assert_int_equal(tally_heap_adopt(heap), 0);
        heap_check(heap);
        if (thread_manager >= TALLY_MANAGER_GENERATIONAL)
            assert_int_equal(tally_collect(heap, 2), 100);
        tally_heap_free(heap);
    }
    assert_int_equal(finalized, 100);
}

/* What moves to another heap is no candidate of the old one, and dies in the new one like any other. */
static void candidates_move(struct tally_heap *heap)
{
    struct tally_heap *other = round_heap(tally_get_manager(heap), tally_get_max_pause(heap));
    struct pair *ring[3], *moved = NULL;
    const void *obstacle = NULL;
    ring_make(heap, ring, 3);
    for (int i = 1; i < 3; i++)
        drop(heap, ring[i]);
    assert_int_equal(heap_stats(heap).candidates, 2);
    struct pair *left = pair_make(heap, ring[2], NULL);
    assert_int_equal(tally_transfer(other, ring[0], (void **)&moved, &obstacle), TALLY_ENOTISOLATED);
    assert_ptr_equal(obstacle, ring[2]);
    drop(heap, left);
    assert_int_equal(tally_transfer(other, ring[0], (void **)&moved, NULL), 0);
    assert_int_equal(heap_stats(heap).candidates, 0);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(collect_all(heap), 0);
    assert_ptr_equal(tally_heap_of(moved), other);
    assert_ptr_equal(((struct pair *)((struct pair *)moved->first)->first)->first, moved);
    assert_int_equal(collect_all(other), 0);
    drop(other, moved);
    assert_int_equal(collect_all(other), 3);
    assert_int_equal(heap_live(other), 0);
    tally_heap_free(other);
}

static void test_trap_47_garbage_of_a_thread_that_ends_or_hands_over_is_freed(void **state)
{
    (void)state;
    for (thread_manager = TALLY_MANAGER_NONE; thread_manager <= TALLY_MANAGER_FULL; thread_manager++) {
        thread_ends(true);
        thread_ends(false);
    }
    each_round(candidates_move);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_30_chains_of_a_million_die_in_constant_stack),
        cmocka_unit_test(test_trap_43_heap_that_goes_finalizes_reports_and_returns_all),
        cmocka_unit_test(test_trap_45_child_of_a_frozen_heap_collects_and_writes_no_object),
        cmocka_unit_test(test_trap_47_garbage_of_a_thread_that_ends_or_hands_over_is_freed),
        cmocka_unit_test(test_trap_49_finalizer_of_a_frames_cycle_runs_at_the_heaps_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
