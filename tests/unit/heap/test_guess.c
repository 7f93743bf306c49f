/* Runs over the whole heap that begin with what was held from outside the last time: what they guess rightly,
 * wrongly, and not at all. White box: whether the guess held is read from the run. */
#include <sys/mman.h>

#include "corners.h"
#include "system.h"

static void collects(struct tally_heap *heap, int64_t expected, bool guessed)
{
    heap_check(heap);
    assert_int_equal(tally_collect(heap, 2), expected);
    assert_int_equal(heap->run.guessed, guessed);
    heap_check(heap);
}

/* A decref that leaves it alive, so that there is something to look for. */
static void suspect(void *object)
{
    tally_decref(tally_dup(object));
}

static void ring_drop(struct tally_heap *heap, size_t length)
{
    struct pair *first = pair_make(heap, NULL, NULL), *last = first;
    for (size_t i = 1; i < length; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, last);
        last = pair;
    }
    tally_store_steal(first, &first->first, last);
}

static void test_a_root_that_is_held_still(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *root = chain_make(heap, 100);
    collects(heap, 0, false);
    for (size_t length = 2; length < 200; length += 17) {
        ring_drop(heap, length);
        collects(heap, (int64_t)length, true);
        assert_int_equal(heap->run.record.examined, 100 + length);
        assert_int_equal(heap->run.survivors, 100);
    }
    tally_decref(root);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Nothing but the ring itself refers to what was held: all of it is trash. */
static void test_a_root_that_is_let_go_of(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *root = chain_make(heap, 10);
    collects(heap, 0, false);
    tally_store(root, &root->second, root);
    tally_decref(root);
    collects(heap, 10, false);
    ring_drop(heap, 3);
    collects(heap, 3, false); /* no root is known any more */
    tally_heap_free(heap);
}

/* What was held is reached from a new root alone. */
static void test_a_root_that_has_found_a_holder(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *old = chain_make(heap, 10);
    collects(heap, 0, false);
    struct pair *new = pair_make(heap, old, NULL);
    tally_decref(old);
    ring_drop(heap, 5);
    collects(heap, 5, false);
    assert_int_equal(heap_live(heap), 11);
    ring_drop(heap, 5);
    collects(heap, 5, true);
    tally_decref(new);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* The second is reached from the first by now: it need not be held any more. */
static void test_a_root_below_another(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *first = pair_make(heap, NULL, NULL), *second = pair_make(heap, NULL, NULL);
    collects(heap, 0, false);
    tally_store(first, &first->first, second);
    tally_store(second, &second->first, first);
    tally_decref(second);
    ring_drop(heap, 2);
    collects(heap, 2, true);
    tally_decref(first);
    collects(heap, 2, false);
    tally_heap_free(heap);
}

/* A slot where a root was may hold something else. */
static void test_a_root_that_has_died(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *kept = pair_make(heap, NULL, NULL), *dies = pair_make(heap, NULL, NULL);
    collects(heap, 0, false);
    tally_decref(dies);
    ring_drop(heap, 2000);
    collects(heap, 2000, true);
    tally_decref(kept);
    tally_heap_free(heap);
}

/* More references than a trial count holds, within what is alive, and from what is not. */
static void test_a_root_with_many_references(void **state)
{
    (void)state;
    enum { MANY = 70000 / ROUND_SCALE };
    struct tally_heap *heap = heap_make();
    struct pair *root = pair_make(heap, NULL, NULL);
    struct wide *live = wide_make(heap, MANY);
    tally_store(root, &root->first, live);
    tally_decref(live);
    collects(heap, 0, false);
    struct wide *dead = wide_make(heap, MANY);
    tally_store(dead, &dead->slots[0], dead);
    for (size_t i = 1; i < MANY; i++) {
        tally_store(live, &live->slots[i], root);
        tally_store(dead, &dead->slots[i], root);
    }
    tally_decref(dead);
    collects(heap, 1, true);
    assert_int_equal(tally_refcount(root), MANY);
    tally_decref(root);
    collects(heap, 2, false);
    tally_heap_free(heap);
}

/* Immortal objects and unfinished ones are no members, nor is what they refer to reached by way of them. */
static void test_what_stands_apart(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *root = pair_make(heap, NULL, NULL), *immortal = pair_make(heap, NULL, NULL);
    struct pair *below = pair_make(heap, NULL, NULL), *unborn = tally_construct(heap, pair_type(), 0);
    tally_store(root, &root->first, immortal);
    tally_store_steal(immortal, &immortal->first, below);
    collects(heap, 0, false);
    tally_immortalize(immortal);
    tally_store(root, &root->second, unborn);
    for (int round = 0; round < 2; round++) {
        ring_drop(heap, 4);
        collects(heap, 4, true);
        assert_int_equal(heap->run.record.examined, 2 + 4); /* root, below, ring */
        assert_int_equal(tally_generation(unborn), 0);
    }
    assert_int_equal(heap_live(heap), 4);
    tally_publish(unborn);
    ring_drop(heap, 4);
    collects(heap, 4, true);
    assert_int_equal(heap->run.record.examined, 3 + 4);
    tally_decref(unborn);
    tally_decref(root);
    tally_decref(immortal);
    tally_heap_free(heap);
}

/* No guess is made where it could be wrong. */
static void test_what_forbids_a_guess(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *root = chain_make(heap, 10);
    collects(heap, 0, false);
    suspect(root);
    collects(heap, 0, true);

    void *map = tally_weakmap_new(heap), *value = pair_make(heap, root, NULL);
    assert_int_equal(tally_weakmap_set(map, root, value), 0);
    tally_decref(value);
    suspect(root);
    collects(heap, 0, false);
    assert_true(tally_weakmap_remove(map, root));
    tally_decref(map);
    suspect(root);
    collects(heap, 0, true);

    struct pair *cold = pair_make(heap, NULL, NULL);
    tally_freeze(heap);
    suspect(cold);
    ring_drop(heap, 3);
    collects(heap, 3, false);
    tally_unfreeze(heap);
    tally_decref(cold);

    suspect(root);
    collects(heap, 0, true);
    ring_drop(heap, 3);
    assert_int_equal(tally_find_cycles(heap), 3); /* a look takes no candidates */
    assert_false(heap->run.guessed);
    collects(heap, 3, true);
    assert_int_equal(tally_set_max_pause(heap, 100000), 0);
    ring_drop(heap, 3);
    tally_decref(root);
    assert_int_equal(tally_collect(heap, 2), 3);
    tally_heap_free(heap);
}

/* More is found than the stack holds, from objects with many slots and with few. */
static void test_a_guess_with_a_full_stack(void **state)
{
    (void)state;
    enum { LEVELS = 500 / ROUND_SCALE, EACH = 200 };
    struct tally_heap *heap = heap_make();
    struct wide *root = wide_make(heap, EACH), *level = root;
    for (int i = 0; i < LEVELS; i++) {
        for (size_t at = 0; at + 1 < EACH; at++)
            tally_store_steal(level, &level->slots[at], pair_make(heap, root, level));
        struct wide *next = i + 1 < LEVELS ? wide_make(heap, EACH) : wide_full(heap, 70000 / ROUND_SCALE);
        tally_store_steal(level, &level->slots[EACH - 1], next);
        level = next;
    }
    uint64_t live = heap_live(heap);
    collects(heap, 0, false);
    for (int i = 0; i < 3; i++) {
        ring_drop(heap, 100);
        collects(heap, 100, true);
        assert_int_equal(heap->run.survivors, live);
    }
    tally_decref(root);
    collects(heap, (int64_t)live, false);
    tally_heap_free(heap);
}

static unsigned edges_reported;
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    edges_reported += report->kind == TALLY_REPORT_EDGES;
}

/* A slot written past the library refers to a root once too often: said so, and nothing is freed that lives. */
static void test_an_edge_too_many_to_a_root(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *root = pair_make(heap, NULL, NULL), *holder = pair_make(heap, NULL, NULL);
    tally_set_report(heap, on_report, NULL);
    tally_store(root, &root->first, holder);
    collects(heap, 0, false);
    suspect(root);
    holder->first = holder->second = root;
    edges_reported = 0;
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_true(edges_reported > 0);
    holder->first = holder->second = NULL;
    tally_decref(holder);
    tally_decref(root);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Random programs, collected again and again: what a heap that guesses finds is what one finds that cannot. */
static void test_random_programs_with_and_without_a_guess(void **state)
{
    (void)state;
    enum { OBJECTS = 300, STEPS = 3000 };
    uint32_t seed = 4711;
    unsigned guesses = 0;
    struct tally_heap *heaps[2] = {heap_make(), heap_make()};
    static struct pair *held[2][OBJECTS];
    void *map = tally_weakmap_new(heaps[1]), *key = pair_make(heaps[1], NULL, NULL);
    assert_int_equal(tally_weakmap_set(map, key, key), 0); /* which forbids it */
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t at = seed >> 8 & 0xff, to = seed >> 16 & 0xff;
        for (int i = 0; i < 2; i++) {
            if (!held[i][at])
                held[i][at] = pair_make(heaps[i], held[i][to], NULL);
            else if (held[i][to] && seed >> 30)
                tally_store(held[i][at], seed >> 29 & 1 ? &held[i][at]->first : &held[i][at]->second, held[i][to]);
            else
                tally_decref(held[i][at]), held[i][at] = NULL;
        }
        if (step % 50)
            continue;
        assert_int_equal(tally_collect(heaps[0], 2), tally_collect(heaps[1], 2));
        guesses += heaps[0]->run.guessed;
        assert_false(heaps[1]->run.guessed);
        assert_int_equal(heap_live(heaps[0]), heap_live(heaps[1]) - 3);
        heap_check(heaps[0]);
    }
    assert_true(guesses > 0);
    for (int i = 0; i < 2; i++)
        for (int at = 0; at < OBJECTS; at++)
            if (held[i][at])
                tally_decref(held[i][at]);
    tally_decref(map);
    tally_decref(key);
    for (int i = 0; i < 2; i++)
        tally_heap_free(heaps[i]);
}

/* Pages of a host's own, each so far from the last. */
static size_t apart_bytes;
static char *next_page;
static void *map_apart(size_t bytes, void *arg)
{
    (void)arg;
    void *memory = mmap(next_page, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    next_page += apart_bytes;
    return memory == MAP_FAILED ? NULL : memory;
}
static void unmap_apart(void *memory, size_t bytes, void *arg)
{
    (void)arg;
    munmap(memory, bytes);
}

/* The shadow spans gaps; where they are too wide, a run goes without a guess, and finds the same. */
static void test_pages_far_apart(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(THREAD_SANITIZER)
    skip(); /* their shadows lie there */
#endif
    for (int far = 0; far < 2; far++) {
        next_page = (char *)0x100000000000;
        apart_bytes = far ? (size_t)1 << 39 : (size_t)1 << 30;
        struct tally_page_hooks hooks = {.map = map_apart, .unmap = unmap_apart};
        struct tally_heap *heap;
        assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
        tally_disable(heap);
        struct pair *root = chain_make(heap, 10000);
        collects(heap, 0, false);
        for (int round = 0; round < 3; round++) {
            ring_drop(heap, 100);
            collects(heap, 100, !far);
        }
        tally_trim(heap);
        assert_int_equal(heap->shadow.reserved_pages, 0);
        ring_drop(heap, 100);
        collects(heap, 100, !far);
        tally_decref(root);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

/* What lives beside slots that have been freed, and in pages without any: the marks of both come to the page. */
static void test_pages_with_holes(void **state)
{
    (void)state;
    static struct pair *many[9000];
    struct tally_heap *heap = heap_make();
    struct wide *wide = wide_make(heap, 9000);
    for (int i = 0; i < 9000; i++) {
        many[i] = pair_make(heap, NULL, NULL);
        tally_store_steal(wide, &wide->slots[i], many[i]);
    }
    for (int i = 3000; i < 6000; i += 3)
        tally_clear(wide, &wide->slots[i]);
    collects(heap, 0, false);
    ring_drop(heap, 10);
    collects(heap, 10, true);
    assert_int_equal(heap->run.survivors, 8001);
    for (int i = 0; i < 3000; i++) {
        tally_store(many[i], &many[i]->first, many[i]);
        tally_clear(wide, &wide->slots[i]);
    }
    collects(heap, 3000, true);
    tally_decref(wide);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A chain whose every member has many leaves beside the next: these fill the stack, to the last place. */
static void test_a_stack_that_fills_bit_by_bit(void **state)
{
    (void)state;
    enum { SLOTS = 40, LEVELS = 3000 };
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    struct tally_ref refs[SLOTS];
    for (size_t i = 0; i < SLOTS; i++)
        refs[i] = (struct tally_ref){"slot", i * sizeof(void *)};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "comb", .size = sizeof(void *[SLOTS]),
                                                                   .refs = refs, .ref_count = SLOTS}, &type), 0);
    void **root = NULL;
    for (int level = 0; level < LEVELS; level++) {
        void **next = tally_new(heap, type);
        for (size_t i = 0; i + 1 < SLOTS; i++)
            tally_store_steal(next, &next[i], pair_make(heap, NULL, NULL));
        tally_store_steal(next, &next[SLOTS - 1], root);
        root = next;
    }
    collects(heap, 0, false);
    ring_drop(heap, 10);
    collects(heap, 10, true);
    assert_int_equal(heap->run.survivors, LEVELS * SLOTS);
    tally_decref(root);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* The range of addresses shrinks to less than a quarter, and to nothing. */
static void test_heaps_that_shrink(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *few = chain_make(heap, 10), *many = chain_make(heap, 100000);
    collects(heap, 0, false);
    ring_drop(heap, 10);
    collects(heap, 10, true);
    size_t pages = heap->shadow.reserved_pages;
    tally_decref(many);
    tally_trim(heap);
    ring_drop(heap, 10);
    collects(heap, 10, true);
    bool close = system_gives_addresses_again();
#ifdef __SANITIZE_ADDRESS__
    close = false; /* it scatters addresses */
#endif
    assert_in_range(heap->shadow.reserved_pages, 1, close ? pages / 4 : pages);
    many = chain_make(heap, 100000);
    ring_drop(heap, 10);
    collects(heap, 10, true); /* the new chain's root is not known yet, and counted as ever */
    tally_decref(many);
    ring_drop(heap, 10);
    collects(heap, 10, true);
    tally_decref(few);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
    heap = heap_make(); /* one page, which goes */
    struct wide *large = wide_make(heap, 20000);
    tally_store(large, &large->slots[0], large);
    collects(heap, 0, false);
    tally_clear(large, &large->slots[0]);
    tally_decref(large);
    tally_unfreeze(heap); /* something to look for */
    collects(heap, 0, false);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_root_that_is_held_still),
        cmocka_unit_test(test_a_root_that_is_let_go_of),
        cmocka_unit_test(test_a_root_that_has_found_a_holder),
        cmocka_unit_test(test_a_root_below_another),
        cmocka_unit_test(test_a_root_that_has_died),
        cmocka_unit_test(test_a_root_with_many_references),
        cmocka_unit_test(test_what_stands_apart),
        cmocka_unit_test(test_what_forbids_a_guess),
        cmocka_unit_test(test_a_guess_with_a_full_stack),
        cmocka_unit_test(test_an_edge_too_many_to_a_root),
        cmocka_unit_test(test_random_programs_with_and_without_a_guess),
        cmocka_unit_test(test_pages_far_apart),
        cmocka_unit_test(test_pages_with_holes),
        cmocka_unit_test(test_a_stack_that_fills_bit_by_bit),
        cmocka_unit_test(test_heaps_that_shrink),
    };
    return cmocka_run_group_tests_name("guess", tests, NULL, NULL);
}
