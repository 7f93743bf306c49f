/* The verifier finds each kind of damage, says which, and finds none when it is undone. */
#include "heap/internal.h"
#include "support.h"

static struct tally_heap *heap;
static struct pair *first, *second;
static struct page *page;

/* Debug builds verify by themselves. */
static void ignore(struct tally_heap *where, const struct tally_report *report, void *arg)
{
    (void)where, (void)report, (void)arg;
}

static int setup(void **state)
{
    (void)state;
    heap = heap_make();
    tally_set_report(heap, ignore, NULL);
    first = pair_make(heap, NULL, NULL);
    second = pair_make(heap, NULL, NULL);
    tally_store(first, &first->first, second);
    page = page_of(first);
    heap_check(heap);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    heap_check(heap);
    tally_decref(first);
    tally_decref(second);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
    return 0;
}

static void assert_finds(const char *what)
{
    char message[256] = "", little[5] = "";
    assert_int_equal(tally_verify(heap, message, sizeof message), TALLY_ESTATE);
    if (!strstr(message, what))
        fail_msg("found \"%s\", not \"%s\"", message, what);
    assert_int_equal(tally_verify(heap, NULL, 1000), TALLY_ESTATE);
    assert_int_equal(tally_verify(heap, little, 0), TALLY_ESTATE);
    assert_string_equal(little, "");
    assert_int_equal(tally_verify(heap, little, sizeof little), TALLY_ESTATE);
    assert_memory_equal(little, message, 4);
    assert_int_equal(little[4], 0);
}

/* Puts `damage` into a variable of any type for as long as the verifier looks. */
#define DAMAGED(variable, damage, what)                                                                      \
    do {                                                                                                     \
        __typeof__(variable) before_ = (variable);                                                           \
        (variable) = (damage);                                                                               \
        assert_finds(what);                                                                                  \
        (variable) = before_;                                                                                \
        heap_check(heap);                                                                                    \
    } while (0)

static void test_slots(void **state)
{
    (void)state;
    const char *sentence = "a slot holds what is no live object of this heap";
    struct tally_heap *other = heap_make();
    struct pair *stranger = pair_make(other, NULL, NULL), *freed = pair_make(heap, NULL, NULL);
    tally_decref(freed);
    DAMAGED(first->second, stranger, sentence);
    DAMAGED(first->second, freed, sentence);
    DAMAGED(first->second, (char *)second + 8, sentence);
    DAMAGED(first->second, object_at(page, page->slot_count - 1), sentence);
    void *kept = first->first; /* both of its slots are damaged: the first is said */
    first->first = (char *)second + 8;
    first->second = stranger;
    assert_finds(sentence);
    first->second = NULL;
    first->first = kept;
    DAMAGED(page->serial, heap->page_count, sentence);
    void *leaf = tally_weakmap_new(heap); /* in a page of another class */
    assert_ptr_not_equal(page_of(leaf), page);
    DAMAGED(page->serial, page_of(leaf)->serial, sentence);
    tally_decref(leaf);
    tally_decref(stranger);
    tally_heap_free(other);
}

static void test_counts(void **state)
{
    (void)state;
    DAMAGED(*word_of(second), *word_of(second) - 2 * TALLY_COUNT_ONE,
            "1 references to an object whose count is 0");
    DAMAGED(*word_of(first), *word_of(first) - TALLY_COUNT_ONE, "pair: a live object whose count is 0");
    DAMAGED(*word_of(first), *word_of(first) | FLAG_WEAK,
            "the weak flag and the list of weak references differ");
    assert_false(*word_of(first) & TALLY_FLAG_BUFFERED);
    DAMAGED(*word_of(first), *word_of(first) | TALLY_FLAG_BUFFERED, "flagged as a candidate, and is none");
    void *weak = tally_weak_new(heap, NULL, first, NULL, NULL);
    DAMAGED(*word_of(first), *word_of(first) & ~FLAG_WEAK,
            "the weak flag and the list of weak references differ");
    tally_decref(weak);
}

static void test_what_is_not_tracked_is_no_candidate(void **state)
{
    (void)state;
    const struct tally_type *type;
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "leaf", .size = 16}, &type), 0);
    void *leaf = tally_new(heap, type);
    DAMAGED(*word_of(leaf), *word_of(leaf) | TALLY_FLAG_BUFFERED,
            "leaf: flagged as a candidate, and is none");
    tally_decref(leaf);
}

static void test_weak_references(void **state)
{
    (void)state;
    struct tally_weak *weak = tally_weak_new(heap, NULL, first, NULL, NULL),
                      *other = tally_weak_new(heap, NULL, second, NULL, NULL);
    DAMAGED(weak->referent_private, second, "stands in the list of another object");
    DAMAGED(weak->next_private, other, "stands in the list of another object");
    map_remove(&heap->weak_heads, (uintptr_t)first);
    *word_of(first) &= ~FLAG_WEAK;
    assert_finds("1 weak references stand in no list");
    assert_true(map_put(&heap->weak_heads, (uintptr_t)first, (uintptr_t)weak));
    *word_of(first) |= FLAG_WEAK;
    tally_decref(weak);
    tally_decref(other);
}

static void test_free_lists(void **state)
{
    (void)state;
    const char *sentence = "a free list leads to what is no free slot";
    struct pair *freed = pair_make(heap, NULL, NULL);
    void *map = tally_weakmap_new(heap);
    tally_decref(freed);
    assert_ptr_equal(page->freed, freed);
    DAMAGED(page->freed, second, sentence);
    DAMAGED(page->freed, (void *)((char *)freed + 8), sentence);
    DAMAGED(page->freed, map, sentence);
    DAMAGED(*(void **)freed, freed, "a free list does not end");
    DAMAGED(page->freed, NULL, "live");
    DAMAGED(heap->hot.free[page->class_index], freed, "a page");
    tally_decref(map);
}

static void test_pages(void **state)
{
    (void)state;
    DAMAGED(page->used, page->used + 1, "slots in use");
    DAMAGED(page->bump, page->bump + page->slot_bytes, "fresh ones");
}

static void test_generations(void **state)
{
    (void)state;
    struct pair *old = pair_make(heap, NULL, NULL);
    uint32_t slot = slot_of(page, old);
    uint64_t *middle = bits_of(page, BIT_MIDDLE), *bits = bits_of(page, BIT_OLD), *frozen = bits_of(page, BIT_FROZEN);
    tally__generation_set(old, 2);
    DAMAGED(middle[slot / 64], middle[slot / 64] | (uint64_t)1 << slot % 64, "2 generations");
    DAMAGED(frozen[slot / 64], frozen[slot / 64] | (uint64_t)1 << slot % 64, "2 generations");
    DAMAGED(page->links[LIST_YOUNG].at, NULL,
            "a young object stands in a page that no young collection visits");
    assert_null(page->links[LIST_MIDDLE].at);
    uint64_t was = bits[slot / 64];
    bits[slot / 64] &= ~((uint64_t)1 << slot % 64);
    DAMAGED(middle[slot / 64], middle[slot / 64] | (uint64_t)1 << slot % 64,
            "a middle object stands in a page that no middle collection visits");
    bits[slot / 64] = was;
    tally_decref(old);
}

static void test_rows(void **state)
{
    (void)state;
    uint32_t row = pair_type()->index;
    struct wire_row *rows = heap->hot.pen.rows;
    DAMAGED(rows[row].allocated, rows[row].allocated + 1, "live objects, and there are");
    DAMAGED(rows[WIRE_ROW_COUNT - 1].freed_cycle, 1, "live objects, and there are");
}

static void test_candidates(void **state)
{
    (void)state;
    DAMAGED(heap->candidate_count, heap->candidate_count + 1, "candidates are counted, and there are");
    tally_decref(tally_dup(first));
    assert_int_equal(heap->candidate_count, 1);
    DAMAGED(page->links[LIST_CANDIDATES].at, NULL, "a page with candidates stands in no list of such");
}

/* A cycle of objects that say they are in none, with others that hang on it and on which it hangs. */
static void test_acyclic_types(void **state)
{
    (void)state;
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "tree",
                                                                   .size = sizeof(struct pair),
                                                                   .refs = refs,
                                                                   .ref_count = 2,
                                                                   .flags = TALLY_TYPE_ACYCLIC},
                                         &type),
                     0);
    struct pair *tree = tally_new(heap, type), *root = tally_new(heap, type);
    tally_store(root, &root->second, first);
    heap_check(heap);
    tally_store(tree, &tree->first, tree);
    heap_check(heap); /* reached: referenced from outside */
    tally_store(first, &first->second, tree);
    tally_decref(tree);
    heap_check(heap); /* reached through one that is */
    tally_clear(first, &first->second);
    assert_finds("tree: claims to be acyclic, and is part of a garbage cycle");
    struct pair *hanging = tally_new(heap, type);
    tally_store_steal(hanging, &hanging->first, tree->first);
    tree->first = hanging;
    assert_finds("tree: claims to be acyclic, and is part of a garbage cycle");
    tree->first = hanging->first;
    hanging->first = NULL;
    tally_decref(hanging);
    tally_clear(tree, &tree->first);
    tally_decref(root);
    const struct tally_type *plain;
    struct tally_type_info info = {.name = "plain", .size = 8, .flags = TALLY_TYPE_ACYCLIC};
    assert_int_equal(tally_type_register(&info, &plain), 0);
    tally_decref(tally_new(heap, plain));
    /* More of them hang on garbage than are looked at, and none is in a cycle. */
    struct pair *loop = pair_make(heap, NULL, NULL);
    tally_store(loop, &loop->first, loop);
    void *chain = NULL;
    for (int i = 0; i < 100; i++) {
        struct pair *next = tally_new(heap, type);
        tally_store_steal(next, &next->first, chain);
        chain = next;
    }
    tally_store_steal(loop, &loop->second, chain);
    tally_decref(loop);
    heap_check(heap);
    assert_int_equal(tally_collect(heap, 2), 1);
}

/* More than the verifier's stack has room for at first; where there are acyclic types it reaches for all. */
static void test_wide_and_deep_graphs(void **state)
{
    (void)state;
    const struct tally_type *type;
    assert_int_equal(
        tally_type_register(
            &(struct tally_type_info){.name = "wide", .size = 8, .trailing = TALLY_TRAILING_SLOTS}, &type),
        0);
    void **wide = tally_new_array(heap, type, 2000);
    for (int i = 1; i <= 2000; i++)
        tally_store_steal(wide, &wide[i], pair_make(heap, NULL, NULL));
    heap_check(heap);
    tally_decref(wide);
    struct pair *head = NULL;
    for (int i = 0; i < 2000; i++) {
        struct pair *pair = pair_make(heap, head, NULL);
        for (int k = 0; k < 3; k++) {
            struct pair *side = pair_make(heap, NULL, pair->second);
            tally_store_steal(pair, &pair->second, side);
        }
        if (head)
            tally_decref(head);
        head = pair;
    }
    heap_check(heap);
    tally_decref(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_tracked_is_no_candidate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weak_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_candidates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acyclic_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wide_and_deep_graphs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
