/* Want of memory: the n-th page or native block fails, for every n, once and from then on; nothing is lost.
 */
#include <errno.h>
#include <sys/mman.h>

#include <stdio.h>

#include "support.h"
#include "system.h"

static uint64_t asked, fail_from, fail_to; /* numbers that fail: [fail_from, fail_to) */

static bool fails(void)
{
    uint64_t number = asked++;
    return number >= fail_from && number < fail_to;
}

/* Pages on demand, aligned, or none. */
static void *map_page(size_t bytes, void *arg)
{
    (void)arg;
    void *memory = NULL;
    if (fails() || posix_memalign(&memory, 65536, bytes))
        return NULL;
    memset(memory, 0, bytes);
    return memory;
}
static void unmap_page(void *memory, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    free(memory);
}

/* Builds, links, weakly refers, drops and collects; every step may fail, and says so. Returns whether none
 * did. */
static bool program(struct tally_heap *heap)
{
    struct wide {
        size_t length;
        void *slots[];
    };
    static const struct tally_type *wide_type;
    bool whole = true;
    if (!wide_type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "wide", .size = sizeof(struct wide), .trailing = TALLY_TRAILING_SLOTS}, &wide_type), 0);
    struct tally_scope scope = tally_scope_open(heap);
    struct pair *last = NULL;
    for (int i = 0; i < 4000; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        if (pair) {
            tally_store(pair, &pair->first, pair);
            tally_store(pair, &pair->second, last);
        }
        if (i % 50 == 0 && pair) {
            void *weak = tally_weak_new(heap, NULL, pair, NULL, NULL);
            whole &= weak != NULL;
            whole &= !weak || tally_keep(heap, weak) != NULL;
        }
        if (last)
            tally_decref(last);
        last = pair;
        whole &= pair != NULL;
    }
    struct wide *wide = tally_new_array(heap, wide_type, 50000);
    whole &= wide != NULL;
    if (wide) {
        tally_store(wide, &wide->slots[49999], last);
        tally_decref(wide);
    }
    if (last)
        tally_decref(last);
    heap_check(heap);
    tally_scope_close(&scope);
    assert_true(tally_collect(heap, 2) >= 0);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    return whole;
}

static bool attempt(uint64_t from, uint64_t to)
{
    const struct tally_page_hooks hooks = {map_page, unmap_page, NULL};
    struct tally_heap *heap = NULL;
    fail_from = fail_to = UINT64_MAX;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
    asked = 0;
    fail_from = from;
    fail_to = to;
    bool whole = program(heap);
    fail_from = fail_to = UINT64_MAX;
    assert_true(program(heap)); /* a retry works */
    tally_heap_free(heap);
    return whole;
}

static void test_memory_that_fails_once_or_for_good_loses_nothing(void **state)
{
    (void)state;
    assert_true(attempt(UINT64_MAX, UINT64_MAX));
    uint64_t calls = asked;
    assert_true(calls > 3);
    unsigned failures = 0;
    for (uint64_t n = 0; n < calls; n++) {
        attempt(n, n + 1); /* once: the collection that is tried may make up for it */
        failures += !attempt(n, UINT64_MAX);
    }
    assert_true(failures > 0);
}

/* Payloads are zero whatever was in the slot before, from none to more than the fast path clears itself. */
static void test_memory_is_zero_for_every_size(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (size_t size = 0; size <= 200; size++) {
        const struct tally_type *type;
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "sized", .size = size}, &type), 0);
        for (int round = 0; round < 3; round++) {
            void *objects[100];
            for (int i = 0; i < 100; i++) {
                unsigned char *bytes = objects[i] = tally_new(heap, type);
                for (size_t at = 0; at < size; at++)
                    assert_int_equal(bytes[at], 0);
                memset(bytes, 0xff, size);
            }
            for (int i = 0; i < 100; i++)
                tally_decref(objects[i]);
        }
    }
    heap_check(heap);
    tally_heap_free(heap);
}

/* Heaps of objects large and small leave no address space behind, however their pages came to be aligned. */
static void test_memory_goes_back_with_the_heap(void **state)
{
    (void)state;
    size_t before = 0;
    for (int round = 0; round < 40; round++) {
        struct tally_heap *heap = heap_make();
        void *odd = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* the next is not aligned */
        for (int i = 0; i < 50; i++)
            assert_non_null(tally_new_array(heap, bytes_type(), (size_t)4000 * (size_t)(i + 1)));
        tally_heap_free(heap);
        munmap(odd, 4096);
        if (round == 2)
            before = system_address_space_bytes();
    }
    assert_in_range(system_address_space_bytes(), 0, before + ((size_t)1 << 20));
}

static void test_memory_hooks_that_lie_about_alignment_are_refused(void **state)
{
    (void)state;
    struct tally_heap *heap = NULL;
    const struct tally_page_hooks half = {map_page, NULL, NULL};
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &half}, &heap),
                     TALLY_EINVAL);
    assert_int_equal(tally_heap_new(TALLY_ABI + 1, NULL, &heap), TALLY_EABI);
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.manager = 99}, &heap),
                     TALLY_EINVAL);
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, NULL), TALLY_EINVAL);
    assert_null(heap);
}

static void test_memory_sizes_and_alignments_of_every_class(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct bytes {
        size_t length;
        char data[];
    };
    const struct tally_type *types[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = i ? "aligned bytes" : "bytes", .size = sizeof(struct bytes), .align = i ? 16 : 8,
            .trailing = TALLY_TRAILING_BYTES, .trailing_element_bytes = 1}, &types[i]), 0);
    for (size_t length = 0; length < 100000; length += length < 1200 ? 1 : 997) {
        struct bytes *object = tally_new_array(heap, types[length % 2], length);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % (length % 2 ? 16 : 8), 0);
        assert_int_equal(object->length, length);
        assert_int_equal(tally_size(object), (sizeof(struct bytes) + length + 7) & ~(size_t)7);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(object->data[i], 0);
        memset(object->data, 0xa5, length);
        assert_ptr_equal(tally_heap_of(object), heap);
        if (length % 3)
            tally_decref(object);
    }
    heap_check(heap);
    assert_null(tally_new_array(heap, types[0], (size_t)1 << 50));
    assert_null(tally_new_array(heap, pair_type(), 3));
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_that_fails_once_or_for_good_loses_nothing),
        cmocka_unit_test(test_memory_is_zero_for_every_size),
        cmocka_unit_test(test_memory_goes_back_with_the_heap),
        cmocka_unit_test(test_memory_hooks_that_lie_about_alignment_are_refused),
        cmocka_unit_test(test_memory_sizes_and_alignments_of_every_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
