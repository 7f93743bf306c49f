/* Where pages come from: arenas that many share, their way back to the system, and a host's own hooks. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "corners.h"
#include "system.h"

enum { BLOCK = 15000, BLOCKS = 1200, ARENA = 2 << 20 }; /* four blocks a page: 300 pages, ten arenas */

/* Nothing under ThreadSanitizer, which maps as much again. */
static size_t address_space_bytes(void)
{
#ifdef THREAD_SANITIZER
    return 0;
#endif
    return system_address_space_bytes();
}

static void blocks_make(struct tally_heap *heap, void **blocks)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = tally_new_array(heap, bytes_type(), BLOCK);
        assert_non_null(blocks[i]);
        for (int at = 0; at < BLOCK; at += 1000)
            assert_int_equal(((char *)blocks[i])[8 + at], 0);
        memset((char *)blocks[i] + 8, 0xff, BLOCK);
    }
}

static void test_pages_share_arenas_and_go_back(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    struct tally_heap *heap = heap_make();
    size_t before = address_space_bytes();
    for (int round = 0; round < 3; round++) {
        errno = 7;
        blocks_make(heap, blocks);
        uint64_t mapped = heap_stats(heap).mapped_bytes;
        assert_in_range(mapped, (uint64_t)BLOCKS * BLOCK, (uint64_t)BLOCKS * BLOCK * 5 / 4);
        assert_true(!before || address_space_bytes() >= before + mapped);
        assert_in_range(address_space_bytes(), 0, before + mapped + 2 * ARENA);
        for (int i = 0; i < BLOCKS; i++)
            tally_decref(blocks[i]);
        assert_in_range(heap_stats(heap).mapped_bytes, 0, mapped / 4);
        tally_trim(heap);
        assert_in_range(heap_stats(heap).mapped_bytes, 0, 2 * PAGE_BYTES); /* that is allocated from */
        assert_in_range(address_space_bytes(), 0, before + ARENA);
        assert_int_equal(errno, 7);
    }
    tally_heap_free(heap);
}

/* Half of the pages are emptied: they are kept for what may come, but not for ever. */
static void test_spares_that_nobody_wants_go_back(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    struct tally_heap *heap = heap_make();
    blocks_make(heap, blocks);
    uint64_t mapped = heap_stats(heap).mapped_bytes;
    for (int i = 0; i < BLOCKS / 2; i++)
        tally_decref(blocks[i]);
    assert_in_range(heap_stats(heap).mapped_bytes, mapped * 15 / 16, mapped);
    for (int look = 0; look < 3; look++) {
        usleep(120000);
        for (int i = 0; i < 100; i++)
            tally_safepoint(heap);
    }
    assert_in_range(heap_stats(heap).mapped_bytes, mapped / 2, mapped * 5 / 8 + 4 * PAGE_BYTES);
    for (int i = BLOCKS / 2; i < BLOCKS; i++)
        tally_decref(blocks[i]);
    tally_heap_free(heap);
}

/* One object in eight keeps its page, and so its arena: what lies between is taken again first. */
static void test_arenas_with_holes_are_filled(void **state)
{
    (void)state;
    static void *blocks[BLOCKS], *again[BLOCKS];
    struct tally_heap *heap = heap_make();
    blocks_make(heap, blocks);
    size_t most = address_space_bytes();
    for (int i = 0; i < BLOCKS; i++)
        if (i % 8)
            tally_decref(blocks[i]);
    tally_trim(heap);
    uint64_t mapped = heap_stats(heap).mapped_bytes;
    assert_in_range(mapped, (uint64_t)BLOCKS / 8 * PAGE_BYTES, (uint64_t)BLOCKS / 6 * PAGE_BYTES);
    blocks_make(heap, again);
    assert_in_range(address_space_bytes(), 0, most + 2 * ARENA);
    for (int i = 0; i < BLOCKS; i++) {
        tally_decref(again[i]);
        if (i % 8 == 0)
            tally_decref(blocks[i]);
    }
    tally_trim(heap);
    assert_in_range(heap_stats(heap).mapped_bytes, 0, 2 * PAGE_BYTES);
    heap_check(heap);
    tally_heap_free(heap);
}

static struct {
    uint64_t mapped, unmapped;
    size_t most;
} hooked;

static void *hook_map(size_t bytes, void *arg)
{
    void *memory = NULL;
    assert_ptr_equal(arg, &hooked);
    hooked.mapped += bytes;
    hooked.most = bytes > hooked.most ? bytes : hooked.most;
    assert_int_equal(posix_memalign(&memory, PAGE_BYTES, bytes), 0);
    memset(memory, 0, bytes);
    return memory;
}

static void hook_unmap(void *memory, size_t bytes, void *arg)
{
    assert_ptr_equal(arg, &hooked);
    hooked.unmapped += bytes;
    free(memory);
}

/* A host's own memory is asked for page by page, and all of it given back. */
static void test_hooks_are_asked_for_pages(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    const struct tally_page_hooks hooks = {hook_map, hook_unmap, &hooked};
    struct tally_heap *heap = NULL;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
    blocks_make(heap, blocks);
    assert_int_equal(hooked.most, PAGE_BYTES);
    assert_int_equal(hooked.mapped, heap_stats(heap).mapped_bytes);
    for (int i = 0; i < BLOCKS; i++)
        tally_decref(blocks[i]);
    tally_trim(heap);
    assert_int_equal(hooked.mapped - hooked.unmapped, heap_stats(heap).mapped_bytes);
    tally_heap_free(heap);
    assert_int_equal(hooked.mapped, hooked.unmapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_share_arenas_and_go_back),
        cmocka_unit_test(test_spares_that_nobody_wants_go_back),
        cmocka_unit_test(test_arenas_with_holes_are_filled),
        cmocka_unit_test(test_hooks_are_asked_for_pages),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
