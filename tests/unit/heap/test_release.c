/* Death by reference count. */
#include <pthread.h>

#include "support.h"
#include "system.h"

#define DEEP 1000000

static char order[64];

static void note_death(void *object)
{
    size_t used = strlen(order);
    if (used + 1 < sizeof order)
        order[used] = (char)('a' + ((struct pair *)object)->number);
}

static void test_release_frees_at_zero_and_not_before(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *child = pair_make(heap, NULL, NULL);
    struct pair *parent = pair_make(heap, child, child);
    assert_int_equal(tally_refcount(child), 3);
    tally_decref(child);
    assert_int_equal(heap_live(heap), 2);
    heap_check(heap);
    tally_decref(parent);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
}

static void test_release_goes_last_slot_first_and_whole_deaths(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "noted",
                                                                   .size = sizeof(struct pair),
                                                                   .refs = refs,
                                                                   .ref_count = 2,
                                                                   .dispose = note_death},
                                         &type),
                     0);
    struct pair *nodes[7];
    for (uint64_t i = 0; i < 7; i++) {
        nodes[i] = tally_new(heap, type);
        nodes[i]->number = i;
    }
    for (int i = 0; i < 3; i++) { /* a(b(d, e), c(f, g)) */
        tally_store_steal(nodes[i], &nodes[i]->first, nodes[2 * i + 1]);
        tally_store_steal(nodes[i], &nodes[i]->second, nodes[2 * i + 2]);
    }
    memset(order, 0, sizeof order);
    tally_decref(nodes[0]);
    assert_string_equal(order, "gfcedba");
    tally_heap_free(heap);
}

static void *release_deep(void *arg)
{
    struct tally_heap *heap = arg;
    struct pair *chain = NULL;
    if (tally_heap_adopt(heap))
        return NULL;
    for (int i = 0; i < DEEP; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        tally_store_steal(pair, &pair->first, chain);
        chain = pair;
    }
    struct pair *ring = chain;
    tally_decref(chain);
    ring = pair_make(heap, NULL, NULL);
    struct pair *last = ring;
    for (int i = 1; i < DEEP; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        tally_store_steal(last, &last->first, pair);
        last = pair;
    }
    tally_store_steal(last, &last->first, ring);
    int64_t collected = tally_collect(heap, 2);
    tally_heap_disown(heap);
    return (void *)(uintptr_t)collected;
}

/* Sanitizers need stack of their own; the plain build proves the bound. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)1 << 20)
#else
#define STACK_BYTES system_stack_bytes()
#endif

static void test_release_and_collection_of_a_million_need_64_kib_of_stack(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    pthread_attr_t attributes;
    pthread_t thread;
    void *collected = NULL;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
    assert_int_equal(tally_heap_disown(heap), 0);
    assert_int_equal(pthread_create(&thread, &attributes, release_deep, heap), 0);
    pthread_join(thread, &collected);
    assert_int_equal(tally_heap_adopt(heap), 0);
    pthread_attr_destroy(&attributes);
    assert_int_equal((uintptr_t)collected, DEEP);
    assert_int_equal(heap_live(heap), 0);
    heap_check(heap);
    tally_heap_free(heap);
}

static void *kept;
static void resurrect(struct tally_heap *heap, void *object)
{
    (void)heap;
    kept = tally_dup(object);
}

static void test_release_runs_a_finalizer_once_though_it_resurrects(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *object = tally_new(heap, pair_type_make("phoenix", resurrect));
    kept = NULL;
    tally_decref(object);
    assert_ptr_equal(kept, object);
    assert_true(tally_is_finalized(object));
    assert_int_equal(tally_refcount(object), 1);
    kept = NULL;
    tally_decref(object);
    assert_null(kept);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Containers that only a callback describes. */
struct bag {
    void *slots[40];
};
static void bag_traverse(void *object, tally_slot_fn visit, void *arg)
{
    for (int i = 0; i < 40; i++)
        visit(&((struct bag *)object)->slots[i], arg);
}

static void test_release_of_traversed_containers_nests_without_bound(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "bag", .size = sizeof(struct bag),
                                                                   .traverse = bag_traverse}, &type), 0);
    struct bag *chain = NULL;
    for (int i = 0; i < 100000; i++) {
        struct bag *bag = tally_new(heap, type);
        tally_store_steal(bag, &bag->slots[i % 40], chain);
        chain = bag;
    }
    heap_check(heap);
    tally_decref(chain);
    assert_int_equal(heap_live(heap), 0);
    struct bag *one = tally_new(heap, type), *two = tally_new(heap, type);
    tally_store(one, &one->slots[3], two);
    tally_store_steal(two, &two->slots[39], one);
    tally_decref(two);
    assert_int_equal(tally_collect(heap, 2), 2);
    tally_heap_free(heap);
}

static void test_slots_move_and_are_taken_without_a_death(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *value = pair_make(heap, NULL, NULL), *a = pair_make(heap, value, NULL),
                *b = pair_make(heap, NULL, NULL);
    tally_decref(value);
    tally_move(b, &b->second, a, &a->first);
    assert_null(a->first);
    assert_ptr_equal(b->second, value);
    assert_int_equal(tally_refcount(value), 1);
    tally_store(b, &b->second, b->second);
    assert_int_equal(tally_refcount(value), 1);
    void *taken = tally_take(b, &b->second);
    assert_ptr_equal(taken, value);
    assert_null(b->second);
    tally_decref(taken);
    tally_clear(b, &b->second);
    tally_decref(a);
    tally_decref(b);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_frees_at_zero_and_not_before),
        cmocka_unit_test(test_release_goes_last_slot_first_and_whole_deaths),
        cmocka_unit_test(test_release_and_collection_of_a_million_need_64_kib_of_stack),
        cmocka_unit_test(test_release_runs_a_finalizer_once_though_it_resurrects),
        cmocka_unit_test(test_release_of_traversed_containers_nests_without_bound),
        cmocka_unit_test(test_slots_move_and_are_taken_without_a_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
