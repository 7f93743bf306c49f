/* The checks of debug builds catch what they are there for; release builds have none of them. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#ifdef TALLY_DEBUG
/* Whether the act ends its process by abort(). */
static bool aborts(void (*act)(void))
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
#endif

static void leave_a_scope_open(void)
{
    struct tally_heap *heap = heap_make();
    tally_scope_open(heap);
    tally_heap_free(heap);
}

static void store_across_heaps(void)
{
    struct tally_heap *one = heap_make(), *two = heap_make();
    struct pair *holder = pair_make(one, NULL, NULL);
    tally_store(holder, &holder->first, pair_make(two, NULL, NULL));
}

static void store_what_was_freed(void)
{
    struct tally_heap *heap = heap_make();
    struct pair *holder = pair_make(heap, NULL, NULL), *gone = pair_make(heap, NULL, NULL);
    tally_decref(gone);
    tally_store_steal(holder, &holder->first, gone);
}

static void count_too_little(void)
{
    struct tally_heap *heap = heap_make();
    struct pair *holder = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    holder->first = value; /* behind the library's back */
    holder->second = value;
    tally_collect(heap, 2);
}

static jmp_buf back;
static void jump_away(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    longjmp(back, 1);
}

__attribute__((noinline)) static void drop_deep(struct tally_heap *heap)
{
    tally_decref(tally_new(heap, pair_type_make("jumper", jump_away)));
}

static void leave_a_finalizer_by_longjmp(void)
{
    struct tally_heap *heap = heap_make();
    if (!setjmp(back))
        drop_deep(heap);
    tally_collect(heap, 2);
}

static void test_debug_builds_catch_misuse(void **state)
{
    (void)state;
    void (*acts[])(void) = {leave_a_scope_open, store_across_heaps, store_what_was_freed, count_too_little,
                           leave_a_finalizer_by_longjmp};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
#ifdef TALLY_DEBUG
        assert_true(aborts(acts[i]));
#else
        assert_non_null(acts[i]);
#endif
    }
}

static void test_scopes_give_back_what_they_keep(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally_scope outer = tally_scope_open(heap);
    for (int i = 0; i < 1000; i++)
        assert_non_null(tally_keep(heap, tally_new(heap, pair_type())));
    assert_null(tally_keep(heap, NULL));
    struct tally_scope inner = tally_scope_open(heap);
    tally_keep(heap, tally_new(heap, pair_type()));
    assert_int_equal(heap_live(heap), 1001);
    tally_scope_close(&inner);
    assert_int_equal(heap_live(heap), 1000);
    tally_scope_close(&outer);
    assert_int_equal(heap_live(heap), 0);
    {
        TALLY_LOCAL struct pair *local = tally_new(heap, pair_type());
        assert_non_null(local);
    }
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_debug_builds_catch_misuse),
        cmocka_unit_test(test_scopes_give_back_what_they_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
