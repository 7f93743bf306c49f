/* Counters grow with the types; where they cannot, types count under `other`, and move to rows of their own later. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/internal.h"
#include "support.h"
#include "system.h"

/* ---- mappings fail while this is set */

static bool refuse;

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (!refuse)
        return __real_mmap(address, bytes, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static const struct tally_type *type_new(bool variable)
{
    static unsigned count;
    char name[64];
    struct tally_ref refs[] = {{"first", offsetof(struct pair, first)}, {"second", offsetof(struct pair, second)}};
    struct tally_type_info info = {.name = name, .size = sizeof(struct pair), .refs = refs, .ref_count = 2};
    const struct tally_type *type = NULL;
    if (variable)
        info = (struct tally_type_info){
            .name = name, .size = 8, .trailing = TALLY_TRAILING_BYTES, .trailing_element_bytes = 1};
    snprintf(name, sizeof name, "type %u", ++count);
    assert_int_equal(tally_type_register(&info, &type), 0);
    return type;
}

static struct wire_row *row_of(struct tally_heap *heap, uint32_t row)
{
    return &tally__heap_feed(heap)->rows[row];
}

static uint64_t lives(struct tally_heap *heap, uint32_t row)
{
    const struct wire_row *at = row_of(heap, row);
    return at->allocated + at->moved_in - at->freed_refcount - at->freed_cycle - at->moved_out;
}

static void test_a_thousand_types_have_rows_of_their_own(void **state)
{
    struct tally_heap *heap = heap_make();
    void *objects[1000];
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        const struct tally_type *type = type_new(i % 3 == 0);
        objects[i] = i % 3 ? tally_new(heap, type) : tally_new_array(heap, type, i);
        assert_int_equal(lives(heap, type->index), 1);
    }
    assert_int_equal(lives(heap, TYPE_OTHER), 0);
    assert_int_equal(tally__heap_feed(heap)->row_limit, tally__type_count());
    assert_int_equal(tally__heap_feed(heap)->counters->types_without_row, 0);
    heap_check(heap);
    for (unsigned i = 0; i < 1000; i++)
        tally_decref(objects[i]);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Names take more room than rows, up to a bound from which on they find none. */
static void test_long_names(void **state)
{
    struct tally_heap *heap = heap_make();
    char name[TALLY_NAME_MAX + 1];
    (void)state;
    memset(name, 'n', TALLY_NAME_MAX);
    name[TALLY_NAME_MAX] = '\0';
    for (unsigned i = 0; i < 17000; i++) {
        const struct tally_type *type = NULL;
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = name, .size = 8}, &type), 0);
        if (i % 1000 == 999) {
            void *object = tally_new(heap, type);
            bool own = tally__heap_feed(heap)->row_limit > type->index;
            assert_int_equal(lives(heap, own ? type->index : TYPE_OTHER), 1);
            assert_true(own || i > 15000);
            tally_decref(object);
        }
    }
    assert_true(tally__heap_feed(heap)->counters->types_without_row > 0);
    assert_int_equal(tally__heap_feed(heap)->counters->string_bytes, WIRE_STRING_MAX);
    heap_check(heap);
    tally_heap_free(heap);
}

/* As many types as there are rows for, so that the next one finds none. */
static void rows_fill(struct tally_heap *heap)
{
    tally_safepoint(heap);
    while (tally__type_count() < tally__heap_feed(heap)->counters->row_capacity)
        type_new(false);
    void *warm = tally_new(heap, pair_type()); /* a page is there */
    refuse = true;
    tally_decref(tally_new(heap, type_new(false)));
    refuse = false;
    tally_decref(warm);
}

static void test_what_finds_no_row_counts_under_other(void **state)
{
    struct tally_heap *heap = heap_make(), *second = heap_make();
    const struct tally_type *types[3];
    (void)state;
    void *warm = tally_new(heap, pair_type());
    rows_fill(heap);
    for (unsigned i = 0; i < 3; i++)
        types[i] = type_new(i == 2);
    refuse = true;
    struct pair *held = tally_new(heap, types[0]), *ring = tally_new(heap, types[1]);
    void *bytes = tally_new_array(heap, types[2], 100);
    tally_store(held, &held->first, ring);
    tally_store_steal(ring, &ring->first, ring);
    tally_decref(tally_new(heap, types[0])); /* one that dies there */
    assert_int_equal(lives(heap, TYPE_OTHER), 3);
    assert_int_equal(tally__type_row(heap, held), TYPE_OTHER);
    assert_int_equal(row_of(heap, TYPE_OTHER)->allocated_bytes, 4 * 24 + 112); /* one from before */
    heap_check(heap);
    struct pair *lost = tally_new(heap, types[1]);
    tally_store_steal(lost, &lost->first, lost);
    assert_int_equal(tally_collect(heap, 2), 1);
    refuse = false;
    heap_check(heap);
    void *moved = NULL;
    assert_int_equal(tally_transfer(second, bytes, &moved, NULL), 0);
    assert_int_equal(lives(heap, TYPE_OTHER), 2);
    assert_int_equal(tally_transfer(heap, moved, &bytes, NULL), 0);
    assert_int_equal(lives(heap, TYPE_OTHER), 3);
    tally_decref(tally_new(heap, type_new(false))); /* rows come, and who lives moves there */
    assert_int_equal(lives(heap, TYPE_OTHER), 0);
    assert_int_equal(lives(heap, types[0]->index), 1);
    assert_int_equal(tally__type_row(heap, held), types[0]->index);
    assert_int_equal(lives(heap, types[1]->index), 1);
    assert_int_equal(lives(heap, types[2]->index), 1);
    assert_int_equal(row_of(heap, types[2]->index)->allocated_bytes, 112);
    heap_check(heap);
    tally_decref(bytes);
    tally_decref(held);
    tally_decref(warm);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(lives(heap, types[1]->index), 0);
    heap_check(heap);
    tally_heap_free(second);
    tally_heap_free(heap);
}

/* Shared memory that is too small for the types there are: the successor takes over all that it counted. */
static void test_successors_of_shared_counters(void **state)
{
    struct tally_heap *heap = heap_make();
    struct feed_shape shape;
    (void)state;
    rows_fill(heap); /* more types than the smallest memory has rows for */
    void *small = __real_mmap(NULL, WIRE_COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    feed_counters_format(small, FEED_SHAPE_START, heap->number, 2);
    struct tally_heap *fresh = heap_make();
    assert_int_equal(tally__heap_feed_swap(fresh, NULL, NULL), 0);
    shape = tally__feed_shape(small);
    assert_true(tally__feed_small(small, &shape));
    void *large = __real_mmap(NULL, feed_counters_bytes(&shape), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                              0);
    feed_counters_format(large, &shape, fresh->number, 3);
    assert_int_equal(tally__heap_feed_swap(fresh, large, NULL), 0);
    const struct tally_type *late = type_new(false);
    void *object = tally_new(fresh, late);
    struct feed_shape wider = {shape.rows * 2, shape.string_bytes};
    void *successor = __real_mmap(NULL, feed_counters_bytes(&wider), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                  -1, 0);
    feed_counters_format(successor, &wider, fresh->number, 4);
    tally__heap_feed_succeed(fresh, successor, NULL);
    assert_int_equal(lives(fresh, late->index), 1);
    heap_check(fresh);
    tally_decref(object);
    assert_int_equal(tally__heap_feed_swap(fresh, NULL, NULL), 0);
    assert_int_equal(heap_live(fresh), 0);
    tally_heap_free(fresh);
    tally_heap_free(heap);
    munmap(small, WIRE_COUNTERS_BYTES);
    munmap(large, feed_counters_bytes(&shape));
    munmap(successor, feed_counters_bytes(&wider));
}

/* 0, or the number of the first thing that is wrong. */
static int child_run(struct tally_heap *heap, void *object, bool again)
{
    refuse = again; /* there is no memory for what a child of the child will want */
    if (tally_safepoint(heap) || heap_live(heap) != 1 || lives(heap, TYPE_OTHER) != again)
        return 1; /* nor for more rows than there are at the start */
    refuse = false;
    if (again) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(child_run(heap, object, false));
        int status = 0;
        if (waitpid(pid, &status, 0) != pid || status)
            return 2;
    }
    tally_decref(object);
    return heap_live(heap) || tally_verify(heap, NULL, 0) ? 3 : 0;
}

static void test_children_of_children_without_memory(void **state)
{
    (void)state;
    if (!system_wipes_on_fork())
        skip();
    struct tally_heap *heap = heap_make();
    void *object = tally_new(heap, type_new(false));
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_run(heap, object, true));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    tally_decref(object);
    tally_heap_free(heap);
}

/* A child that attaches, without memory for its own children's counters, keeps the private ones for them. */
static void test_attaching_keeps_counters_for_a_child(void **state)
{
    (void)state;
    if (!system_wipes_on_fork())
        skip();
    struct tally_heap *heap = heap_make();
    void *object = tally_new(heap, type_new(false));
    munmap(heap->fork_counters, WIRE_COUNTERS_BYTES);
    heap->fork_counters = NULL;
    struct feed_shape shape = tally__feed_shape(tally__heap_feed(heap)->counters);
    size_t bytes = feed_counters_bytes(&shape);
    void *shared = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    feed_counters_format(shared, &shape, heap->number, 2);
    assert_int_equal(tally__heap_feed_swap(heap, shared, NULL), 0);
    assert_non_null(heap->fork_counters);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_run(heap, object, false));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    tally_decref(object);
    tally_heap_free(heap);
    munmap(shared, bytes);
}

static void test_access(void **state)
{
    struct tally_heap *heap = heap_make();
    (void)state;
    assert_int_equal(tally_get_access(heap), TALLY_ACCESS_CONTROL);
    assert_int_equal(tally_set_access(heap, (enum tally_access)3), TALLY_EINVAL);
    assert_int_equal(tally_set_access(heap, (enum tally_access)-1), TALLY_EINVAL);
    for (enum tally_access access = TALLY_ACCESS_CONTROL; access <= TALLY_ACCESS_NONE; access++) {
        assert_int_equal(tally_set_access(heap, access), 0);
        assert_int_equal(tally_get_access(heap), access);
        assert_int_equal(tally__heap_feed(heap)->counters->access, access);
    }
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_types_have_rows_of_their_own),
        cmocka_unit_test(test_what_finds_no_row_counts_under_other),
        cmocka_unit_test(test_successors_of_shared_counters),
        cmocka_unit_test(test_children_of_children_without_memory),
        cmocka_unit_test(test_attaching_keeps_counters_for_a_child),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_long_names), /* last: it leaves many types */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
