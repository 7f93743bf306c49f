/* What goes beyond collecting: weak maps, queues of finalizers, pins and roots, native bytes, limits, looking
 * up, immortal objects, shapes of cycles, transfer. */
#include <stdio.h>

#include "support.h"

static unsigned finalized;
static void *kept;

static void count_finalizer(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    finalized++;
}

static void keep_finalizer(struct tally_heap *heap, void *object)
{
    (void)heap;
    finalized++;
    kept = tally_dup(object);
}

static const struct tally_type *finalized_type(void)
{
    static const struct tally_type *type;
    if (!type)
        type = pair_type_make("finalized", count_finalizer);
    return type;
}

static struct pair *self_made(struct tally_heap *heap, const struct tally_type *type)
{
    struct pair *pair = tally_new(heap, type);
    tally_store(pair, &pair->first, pair);
    return pair;
}

static struct tally_stats stats_of(struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats;
}

/* ---- weak maps */

static void test_weakmap_holds_values_while_keys_live(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    void *map = tally_weakmap_new(heap);
    struct pair *keys[100];
    for (int i = 0; i < 100; i++) {
        keys[i] = pair_make(heap, NULL, NULL);
        struct pair *value = pair_make(heap, NULL, NULL);
        value->number = (uint64_t)i;
        assert_int_equal(tally_weakmap_set(map, keys[i], value), 0);
        tally_decref(value);
    }
    assert_int_equal(tally_weakmap_count(map), 100);
    struct pair *found = tally_weakmap_get(map, keys[42]);
    assert_int_equal(found->number, 42);
    tally_decref(found);
    assert_true(tally_weakmap_remove(map, keys[42]));
    assert_false(tally_weakmap_remove(map, keys[42]));
    assert_null(tally_weakmap_get(map, keys[42]));
    assert_int_equal(tally_weak_count(keys[41]), 0);
    for (int i = 0; i < 50; i++)
        tally_decref(keys[i]);
    assert_int_equal(tally_weakmap_count(map), 50);
    heap_check(heap);
    tally_decref(map);
    assert_int_equal(heap_live(heap), 50);
    for (int i = 50; i < 100; i++)
        tally_decref(keys[i]);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_weakmap_refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make(), *other = heap_make();
    void *map = tally_weakmap_new(heap);
    struct pair *key = pair_make(heap, NULL, NULL), *stranger = pair_make(other, NULL, NULL);
    assert_int_equal(tally_weakmap_set(map, NULL, key), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(map, key, NULL), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(key, key, key), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(map, stranger, key), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(map, key, stranger), TALLY_EINVAL);
    assert_null(tally_weakmap_get(key, key));
    assert_null(tally_weakmap_get(map, NULL));
    assert_false(tally_weakmap_remove(key, key));
    assert_int_equal(tally_weakmap_count(key), 0);
    tally_heap_free(heap);
    tally_heap_free(other);
}

/* The same in each scope that can find it: value -> key, value -> map, the map itself as a value. */
static void test_weakmap_keeps_no_cycle_alive(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *key = self_made(heap, pair_type()), *value = pair_make(heap, key, NULL);
    void *map = tally_weakmap_new(heap);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    assert_int_equal(tally_weakmap_set(map, value, value), 0);
    tally_decref(key);
    tally_decref(value);
    assert_int_equal(tally_collect(heap, 2), 2);
    assert_int_equal(tally_weakmap_count(map), 0);
    key = pair_make(heap, NULL, NULL);
    value = pair_make(heap, map, key);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    tally_decref(value);
    tally_decref(map); /* now only its own value refers to it, while the key lives */
    assert_int_equal(tally_collect(heap, 2), 2);
    assert_int_equal(heap_live(heap), 1);
    tally_decref(key);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static int referent_is(void *object, void *arg)
{
    *(void **)arg = object;
    return 0;
}

static void test_weakmap_shows_its_values_and_not_its_entries(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    void *map = tally_weakmap_new(heap), *shown = NULL;
    struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    tally_referents(map, referent_is, &shown);
    assert_ptr_equal(shown, value);
    tally_heap_free(heap);
}

/* A finalizer brings the map back: its entries were cleared with the trash. */
static void test_weakmap_resurrected_is_empty(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = pair_type_make("keeps-itself", keep_finalizer);
    void *map = tally_weakmap_new(heap);
    struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    struct pair *holder = self_made(heap, type);
    tally_store_steal(holder, &holder->second, map);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    tally_decref(holder);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_ptr_equal(kept, holder);
    assert_null(tally_weakmap_get(map, key));
    assert_int_equal(tally_weakmap_count(map), 0);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    assert_int_equal(tally_weakmap_count(map), 1);
    heap_check(heap);
    tally_decref(kept);
    tally_decref(key);
    tally_decref(value);
    assert_int_equal(tally_collect(heap, 2), 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* ---- the finalizer queue */

static void count_notify(struct tally_heap *heap, void *arg)
{
    (void)heap;
    ++*(unsigned *)arg;
}

static void test_finalizers_wait_in_the_queue(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    unsigned notified = 0;
    finalized = 0;
    assert_int_equal(tally_set_finalizer_queue(heap, true, count_notify, &notified), 0);
    tally_decref(tally_new(heap, finalized_type()));
    tally_decref(self_made(heap, finalized_type()));
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(finalized, 0);
    assert_int_equal(notified, 1);
    assert_int_equal(stats_of(heap).finalizers_pending, 2);
    assert_int_equal(heap_live(heap), 2);
    heap_check(heap);
    assert_int_equal(tally_run_finalizers(heap, 1), 1);
    assert_int_equal(heap_live(heap), 1); /* the acyclic one went with its finalizer */
    assert_int_equal(tally_run_finalizers(heap, 10), 1);
    assert_int_equal(tally_run_finalizers(heap, 10), 0);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(finalized, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_decref(self_made(heap, finalized_type()));
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_set_finalizer_queue(heap, false, NULL, NULL), 0);
    tally_decref(tally_new(heap, finalized_type()));
    assert_int_equal(finalized, 3); /* at once; what was queued stays so */
    tally_heap_free(heap);
    assert_int_equal(finalized, 4);
}

/* ---- pins, roots, unexplained references */

static int take_unexplained(const struct tally_unexplained *found, void *arg)
{
    if (found->type == pair_type())
        *(struct tally_unexplained *)arg = *found;
    return 0;
}

static struct tally_unexplained unexplained(struct tally_heap *heap)
{
    struct tally_unexplained found = {.objects = 0};
    assert_int_equal(tally_unexplained(heap, take_unexplained, &found), 0);
    return found;
}

static void test_unexplained_references_are_what_is_not_declared(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    void *variable = pair_make(heap, NULL, NULL), *lost = pair_make(heap, NULL, NULL);
    struct pair *holder = pair_make(heap, variable, NULL);
    assert_int_equal(unexplained(heap).objects, 3);
    assert_int_equal(tally_root_add(heap, NULL), TALLY_EINVAL);
    assert_int_equal(tally_root_add(heap, &variable), 0);
    assert_int_equal(tally_pin(holder), 0);
    tally_decref(holder);
    struct tally_scope scope = tally_scope_open(heap);
    tally_keep(heap, tally_new(heap, pair_type()));
    tally_incref(lost);
    assert_int_equal(unexplained(heap).objects, 1);
    assert_int_equal(unexplained(heap).references, 2);
    assert_ptr_equal(tally_object_by_id(heap, unexplained(heap).sample_id), lost);
    tally_scope_close(&scope);
    assert_int_equal(tally_root_remove(heap, &variable), 0);
    assert_int_equal(tally_root_remove(heap, &variable), TALLY_ESTATE);
    assert_int_equal(unexplained(heap).objects, 2);
    tally_heap_free(heap);
}

static void test_pins_are_counted(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pair = self_made(heap, pair_type());
    assert_int_equal(tally_unpin(pair), TALLY_ESTATE);
    assert_int_equal(tally_pin(pair), 0);
    assert_int_equal(tally_pin(pair), 0);
    tally_decref(pair);
    assert_int_equal(tally_refcount(pair), 3);
    assert_int_equal(tally_unpin(pair), 0);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_unpin(pair), 0);
    assert_int_equal(tally_collect(heap, 2), 1);
    tally_heap_free(heap);
}

/* ---- native bytes and limits */

static void test_extern_bytes_end_with_the_object_and_drive_collections(void **state)
{
    (void)state;
    for (int manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = heap_make();
        assert_int_equal(tally_set_manager(heap, (enum tally_manager)manager), 0);
        struct pair *pair = pair_make(heap, NULL, NULL);
        assert_int_equal(tally_extern_bytes(pair, -1), TALLY_EINVAL);
        assert_int_equal(tally_extern_bytes(pair, INT64_MAX), TALLY_EINVAL);
        assert_int_equal(tally_extern_bytes(pair, 100), 0);
        assert_int_equal(tally_extern_bytes(pair, -100), 0);
        assert_int_equal(tally_extern_bytes(pair, 7), 0);
        assert_int_equal(stats_of(heap).extern_bytes, 7);
        assert_int_equal(tally_extern_bytes(pair, INT64_MIN), TALLY_EINVAL);
        tally_decref(pair);
        assert_int_equal(stats_of(heap).extern_bytes, 0);
        tally_enable(heap);
        for (int i = 0; i < 100; i++) { /* 100 small cycles, each with a megabyte behind it */
            pair = self_made(heap, pair_type());
            assert_int_equal(tally_extern_bytes(pair, 1 << 20), 0);
            tally_decref(pair);
        }
        assert_true(stats_of(heap).extern_bytes < 40u << 20);
        tally_heap_free(heap);
    }
}

struct ask {
    struct tally_heap *heap;
    unsigned asked;
    void *given;
};

static bool give(struct tally_heap *heap, size_t bytes, void *arg)
{
    (void)heap;
    struct ask *ask = arg;
    assert_true(bytes > 0);
    ask->asked++;
    if (!ask->given)
        return false;
    tally_decref(ask->given);
    ask->given = NULL;
    return true;
}

static void test_memory_limit_collects_then_asks_then_fails(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally_type_info info = {.name = "block", .size = 100000};
    const struct tally_type *block;
    assert_int_equal(tally_type_register(&info, &block), 0);
    struct ask ask = {.heap = heap};
    tally_set_memory_limit(heap, 1 << 20);
    assert_int_equal(tally_get_memory_limit(heap), 1 << 20);
    tally_set_memory_hook(heap, give, &ask);
    void *blocks[16];
    int count = 0;
    while (count < 16 && (blocks[count] = tally_new(heap, block)))
        count++;
    assert_true(count > 3 && count < 11);
    assert_int_equal(ask.asked, 1);
    assert_true(stats_of(heap).mapped_bytes <= 1 << 20);
    ask.given = blocks[--count];
    blocks[count] = tally_new(heap, block);
    assert_non_null(blocks[count]);
    assert_null(ask.given);
    heap_check(heap);
    tally_set_memory_limit(heap, 0);
    void *more = tally_new(heap, block);
    assert_non_null(more);
    tally_decref(more);
    while (count >= 0)
        tally_decref(blocks[count--]);
    tally_trim(heap);
    assert_int_equal(tally_trim(heap), 0);
    tally_heap_free(heap);
}

/* ---- looking up */

static void test_objects_are_found_by_address_and_number(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally_type_info info = {.name = "wide", .size = 200000};
    const struct tally_type *wide;
    assert_int_equal(tally_type_register(&info, &wide), 0);
    struct pair *pair = pair_make(heap, NULL, NULL);
    char *large = tally_new(heap, wide);
    assert_ptr_equal(tally_object_at(heap, pair), pair);
    assert_ptr_equal(tally_object_at(heap, &pair->number), pair);
    assert_ptr_equal(tally_object_at(heap, (char *)pair - 1), pair);
    assert_ptr_equal(tally_object_at(heap, large + 199999), large);
    assert_null(tally_object_at(heap, large + 200000));
    assert_null(tally_object_at(heap, (void *)((uintptr_t)pair & ~(uintptr_t)0xffff)));
    assert_null(tally_object_at(heap, NULL));
    assert_null(tally_object_at(heap, &heap));
    assert_null(tally_object_at(heap, (void *)UINTPTR_MAX));
    assert_ptr_equal(tally_object_by_id(heap, tally_object_id(pair)), pair);
    assert_ptr_equal(tally_object_by_id(heap, tally_object_id(large)), large);
    assert_null(tally_object_by_id(heap, tally_object_id(pair) + 1));
    assert_null(tally_object_by_id(heap, UINT64_MAX));
    uint64_t id = tally_object_id(pair);
    tally_decref(pair);
    assert_null(tally_object_by_id(heap, id));
    assert_null(tally_object_at(heap, pair));
    tally_heap_free(heap);
}

static int count_one(void *object, void *arg)
{
    (void)object;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned objects(struct tally_heap *heap, int generation)
{
    unsigned count = 0;
    assert_int_equal(tally_objects(heap, generation, count_one, &count), 0);
    return count;
}

static void test_objects_of_a_generation(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *old = pair_make(heap, NULL, NULL);
    tally_collect(heap, 2);
    struct pair *young = pair_make(heap, NULL, NULL);
    void *hidden = tally_construct(heap, pair_type(), 0);
    assert_int_equal(objects(heap, 0), 1);
    assert_int_equal(objects(heap, 1), 0);
    assert_int_equal(objects(heap, 2), 1);
    assert_int_equal(objects(heap, -1), 2);
    tally_freeze(heap);
    assert_int_equal(tally_freeze_count(heap), 3);
    assert_int_equal(objects(heap, -1), 0);
    assert_int_equal(objects(heap, TALLY_GENERATION_FROZEN), 2);
    unsigned none = 0;
    assert_int_equal(tally_objects(heap, 4, count_one, &none), TALLY_EINVAL);
    assert_int_equal(tally_objects(heap, -2, count_one, &none), TALLY_EINVAL);
    tally_publish(hidden);
    tally_publish(hidden);
    assert_int_equal(objects(heap, TALLY_GENERATION_FROZEN), 3);
    tally_decref(old);
    tally_decref(young);
    tally_decref(hidden);
    tally_heap_free(heap);
}

static void test_immortal_objects_stay(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *immortal = self_made(heap, pair_type()), *held = pair_make(heap, NULL, NULL);
    tally_store_steal(immortal, &immortal->second, held);
    tally_immortalize(immortal);
    tally_immortalize(immortal);
    assert_true(tally_is_immortal(immortal));
    assert_false(tally_is_immortal(held));
    assert_int_equal(tally_refcount(immortal), 2);
    tally_decref(immortal);
    tally_clear(immortal, &immortal->first);
    assert_int_equal(tally_refcount(immortal), 0);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap_live(heap), 2);
    heap_check(heap);
    tally_heap_free(heap);
}

static void test_construction_is_not_examined(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    finalized = 0;
    struct pair *pair = tally_construct(heap, finalized_type(), 0);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_publish(pair);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(finalized, 1);
    tally_decref(tally_construct(heap, finalized_type(), 0)); /* never whole: nothing to finalize */
    assert_int_equal(finalized, 1);
    tally_heap_free(heap);
}

/* ---- shapes */

static int take_shape(const struct tally_cycle *cycle, void *arg)
{
    struct tally_cycle *wanted = arg;
    if (!strcmp(cycle->shape, wanted->shape))
        *wanted = *cycle;
    return 0;
}

static struct tally_cycle shape_of(struct tally_heap *heap, const char *shape)
{
    struct tally_cycle cycle = {.shape = shape};
    tally_cycles(heap, take_shape, &cycle);
    return cycle;
}

static void ring_make(struct tally_heap *heap, int length)
{
    struct pair *first = pair_make(heap, NULL, NULL), *last = first;
    for (int i = 1; i < length; i++) {
        struct pair *next = pair_make(heap, NULL, NULL);
        tally_store_steal(last, &last->second, next);
        last = next;
    }
    tally_store_steal(last, &last->second, first);
}

static void test_shapes_of_cycles_are_counted(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    ring_make(heap, 1);
    ring_make(heap, 2);
    ring_make(heap, 100);
    struct pair *one = pair_make(heap, NULL, NULL), *other = tally_new(heap, finalized_type());
    tally_store(one, &one->first, other);
    tally_store(other, &other->second, one);
    tally_decref(one);
    tally_decref(other);
    assert_int_equal(tally_find_cycles(heap), 105);
    assert_int_equal(heap_live(heap), 105);
    assert_int_equal(shape_of(heap, "pair.second").count, 3);
    assert_int_equal(shape_of(heap, "pair.second").objects, 103);
    assert_int_equal(shape_of(heap, "pair.second").bytes, 103 * sizeof(struct pair));
    assert_non_null(tally_object_by_id(heap, shape_of(heap, "pair.second").sample_id));
    assert_int_equal(shape_of(heap, "finalized.second -> pair.first").count, 1);
    tally_cycles_clear(heap);
    assert_int_equal(shape_of(heap, "pair.second").count, 0);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_REFCOUNT), 0);
    assert_int_equal(tally_collect(heap, 2), TALLY_EUNSUPPORTED);
    assert_int_equal(tally_find_cycles(heap), 105);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    assert_int_equal(tally_collect(heap, 2), 105);
    assert_int_equal(shape_of(heap, "pair.second").count, 6);
    ring_make(heap, 100000); /* longer than is followed */
    assert_int_equal(tally_collect(heap, 2), 100000);
    assert_int_equal(shape_of(heap, "pair.second").count, 7);
    tally_heap_free(heap);
}

/* More shapes than are kept are counted under the last. */
static void test_shapes_are_bounded(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    uint64_t all = 0;
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "shape-%d", i);
        struct pair *pair = self_made(heap, pair_type_make(name, NULL));
        tally_decref(pair);
    }
    assert_int_equal(tally_collect(heap, 2), 300);
    assert_int_equal(tally_cycles(heap, (tally_cycle_fn)(void *)count_one, &all), 0);
    assert_int_equal((unsigned)all, 256);
    assert_int_equal(shape_of(heap, "(other)").count, 45);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weakmap_holds_values_while_keys_live),
        cmocka_unit_test(test_weakmap_refuses_what_it_cannot_hold),
        cmocka_unit_test(test_weakmap_keeps_no_cycle_alive),
        cmocka_unit_test(test_weakmap_shows_its_values_and_not_its_entries),
        cmocka_unit_test(test_weakmap_resurrected_is_empty),
        cmocka_unit_test(test_finalizers_wait_in_the_queue),
        cmocka_unit_test(test_unexplained_references_are_what_is_not_declared),
        cmocka_unit_test(test_pins_are_counted),
        cmocka_unit_test(test_extern_bytes_end_with_the_object_and_drive_collections),
        cmocka_unit_test(test_memory_limit_collects_then_asks_then_fails),
        cmocka_unit_test(test_objects_are_found_by_address_and_number),
        cmocka_unit_test(test_objects_of_a_generation),
        cmocka_unit_test(test_immortal_objects_stay),
        cmocka_unit_test(test_construction_is_not_examined),
        cmocka_unit_test(test_shapes_of_cycles_are_counted),
        cmocka_unit_test(test_shapes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
