/* Corners beside objects: weak references and maps, hooks, reports, scopes, moves, shapes, slots, notices. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "corners.h"

/* ---- weak references that die with, before and beside their targets */

static unsigned called;
static void on_clear(struct tally_heap *heap, void *weak, void *hold)
{
    (void)heap, (void)weak, (void)hold;
    called++;
}

static void weak_body(struct tally_heap *heap)
{
    called = 0;
    /* An object holds the weak reference to what it also holds. */
    struct pair *outer = pair_make(heap, NULL, NULL), *target = pair_make(heap, NULL, NULL);
    tally_store_steal(outer, &outer->first, target);
    tally_store_steal(outer, &outer->second, tally_weak_new(heap, NULL, target, on_clear, NULL));
    drop(heap, outer);
    assert_int_equal(called, 0);
    /* The target goes first. */
    outer = pair_make(heap, NULL, NULL);
    target = pair_make(heap, NULL, NULL);
    tally_store_steal(outer, &outer->second, target);
    tally_store_steal(outer, &outer->first, tally_weak_new(heap, NULL, target, on_clear, NULL));
    drop(heap, outer);
    assert_int_equal(called, 1);
    /* Without a callback, and more than one. */
    target = pair_make(heap, NULL, NULL);
    void *weaks[] = {tally_weak_new(heap, NULL, target, NULL, NULL),
                     tally_weak_new(heap, NULL, target, on_clear, NULL),
                     tally_weak_new(heap, NULL, target, NULL, NULL)};
    drop(heap, target);
    assert_int_equal(called, 2);
    for (int i = 0; i < 3; i++)
        drop(heap, weaks[i]);
}

static void test_weak_references_beside_their_targets(void **state)
{
    (void)state;
    each_round(weak_body);
}

/* Under none both wait, whoever was first. */
static void test_weak_references_that_wait(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct tally_heap *heap = heap_make();
        called = 0;
        assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
        struct pair *target = pair_make(heap, NULL, NULL);
        void *weak = tally_weak_new(heap, NULL, target, on_clear, NULL);
        tally_decref(first ? (void *)target : weak);
        tally_decref(first ? weak : (void *)target);
        assert_int_equal(heap_live(heap), 2);
        assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
        assert_int_equal(heap_live(heap), 0);
        assert_int_equal(called, 0);
        tally_heap_free(heap);
    }
}

/* Keys that are no objects of the collector's, and keys and maps that die together. */
static void map_body(struct tally_heap *heap)
{
    void *map = tally_weakmap_new(heap), *leaf = tally_new(heap, weight_type());
    struct pair *value = pair_make(heap, NULL, NULL);
    tally_store(value, &value->first, value);
    assert_int_equal(tally_weakmap_set(map, leaf, value), 0);
    tally_decref(tally_dup(map));
    tally_decref(value);
    collect_all(heap);
    assert_int_equal(tally_weakmap_count(map), 1);
    drop(heap, leaf);
    assert_int_equal(tally_weakmap_count(map), 0);
    collect_all(heap);
    /* The map goes first, its key after it; and the other way round. */
    for (int first = 0; first < 2; first++) {
        struct pair *outer = pair_make(heap, NULL, NULL), *key = pair_make(heap, NULL, NULL);
        void *other = tally_weakmap_new(heap);
        assert_int_equal(tally_weakmap_set(other, key, key), 0);
        assert_int_equal(tally_weakmap_remove(other, key), true);
        assert_int_equal(tally_weakmap_set(other, key, leaf = tally_new(heap, weight_type())), 0);
        tally_decref(leaf);
        tally_store_steal(outer, first ? &outer->first : &outer->second, other);
        tally_store_steal(outer, first ? &outer->second : &outer->first, key);
        drop(heap, outer);
    }
    drop(heap, map);
    /* Both are garbage, with what the map holds for the key. */
    struct pair *key = pair_make(heap, NULL, NULL);
    map = tally_weakmap_new(heap);
    tally_store_steal(key, &key->first, map);
    assert_int_equal(tally_weakmap_set(map, key, leaf = loop_leave(heap)), 0);
    assert_int_equal(tally_weakmap_set(map, leaf, key), 0);
    tally_store(key, &key->second, key);
    tally_decref(key);
    assert_int_equal(collect_all(heap), 3);
}

static void test_weak_maps_that_die(void **state)
{
    (void)state;
    each_round(map_body);
}

static void *map_of_the_dying;
static void set_the_dying(void *object)
{
    assert_int_equal(tally_weakmap_set(map_of_the_dying, object, map_of_the_dying), TALLY_EINVAL);
}

static void test_the_dying_are_no_keys(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    map_of_the_dying = tally_weakmap_new(heap);
    tally_decref(disposer_make(heap, set_the_dying));
    assert_int_equal(disposed, 1);
    assert_int_equal(tally_weakmap_count(map_of_the_dying), 0);
    /* Under none the map waits while its key dies. */
    struct pair *key = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_weakmap_set(map_of_the_dying, key, key), 0);
    assert_true(tally_weakmap_remove(map_of_the_dying, key));
    assert_int_equal(tally_weakmap_set(map_of_the_dying, key, map_of_the_dying), 0);
    assert_true(tally_weakmap_remove(map_of_the_dying, key));
    void *leaf = tally_new(heap, weight_type());
    assert_int_equal(tally_weakmap_set(map_of_the_dying, key, leaf), 0);
    tally_decref(leaf);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    tally_decref(key);
    tally_decref(map_of_the_dying);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A run over candidates meets a barrier before a key's entry: the entry joins the trash with its key. */
static void test_an_entry_behind_a_barrier(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *head = pair_make(heap, NULL, NULL), *key = pair_make(heap, NULL, NULL),
                *value = pair_make(heap, NULL, NULL);
    void *map = tally_weakmap_new(heap);
    assert_int_equal(tally_weakmap_set(map, key, value), 0);
    tally_decref(value);
    tally_store_steal(head, &head->first, key);
    struct wide *chain = NULL;
    for (int i = 0; i < 700; i++) { /* of one slot each, as an entry is */
        struct wide *next = wide_make(heap, 1);
        tally_store_steal(next, &next->slots[0], chain);
        chain = next;
    }
    tally_store_steal(head, &head->second, chain);
    assert_int_equal(tally_collect(heap, 2), 0); /* all are old */
    tally_store(key, &key->second, head);
    tally_decref(head); /* a ring of head and key; the only candidate */
    tally_enable(heap);
    assert_int_equal(heap_live(heap), 705);
    heap->candidate_limit = 1;
    heap->hot.young_limit = 0;
    tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(heap->last.scope, TALLY_SCOPE_CANDIDATES);
    assert_in_range(heap->last.collected, 500, 520);
    assert_int_equal(tally_weakmap_count(map), 0);
    heap_check(heap);
    tally_disable(heap);
    tally_collect(heap, 2);
    assert_int_equal(tally_weakmap_count(map), 0);
    assert_int_equal(heap_live(heap), 1);
    tally_decref(map);
    tally_heap_free(heap);
}

/* ---- runs that are begun by others */

static unsigned hooked;
static void see(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)info, (void)arg;
}

static void allocate_at_start(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)info, (void)arg;
    hooked++;
    for (int i = 0; i < 3000; i++)
        tally_decref(tally_new(heap, pair_type()));
}

static void test_hooks_that_allocate(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    int one, two;
    hooked = 0;
    tally_set_thresholds(heap, (uint32_t[]){10, 1, 1});
    assert_int_equal(tally_add_collection_hook(heap, see, NULL), 0);
    assert_int_equal(tally_add_collection_hook(heap, allocate_at_start, &one), 0);
    assert_int_equal(tally_add_collection_hook(heap, allocate_at_start, &two), 0);
    assert_int_equal(tally_add_collection_hook(heap, allocate_at_start, &two), TALLY_EINVAL);
    tally_enable(heap);
    for (int i = 0; i < 100; i++)
        loop_leave(heap);
    assert_true(hooked >= 4);
    assert_int_equal(tally_remove_collection_hook(heap, allocate_at_start, &two), 0);
    assert_int_equal(tally_remove_collection_hook(heap, allocate_at_start, &two), TALLY_ESTATE);
    assert_int_equal(tally_remove_collection_hook(heap, allocate_at_start, &one), 0);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A step without a budget does all there is, and what becomes due by it. */
static void make_due(struct tally_heap *heap, void *object)
{
    (void)object;
    for (int i = 0; i < 30; i++)
        loop_leave(heap);
}

static void test_a_step_ends_when_nothing_is_due(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(make_due);
    for (int i = 0; i < 2; i++) {
        struct pair *actor = actor_make(heap, NULL, NULL);
        tally_store_steal(actor, &actor->first, actor);
    }
    tally_set_thresholds(heap, (uint32_t[]){1, 1, 1});
    tally_enable(heap);
    assert_false(tally_step(heap, UINT64_MAX));
    assert_int_equal(finalized, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Host code in a slice of a run lets go of something while deaths wait: they go on waiting. */
static void decref_in_a_slice(struct tally_heap *heap, void *object)
{
    (void)object;
    struct pair *long_one = chain_make(heap, 3000 / ROUND_SCALE), *other = chain_make(heap, 50);
    tally_decref(long_one);
    tally_decref(other);
    for (int i = 0; i < 1000; i++)
        tally_decref(tally_new(heap, pair_type()));
    struct pair *immortal = pair_make(heap, NULL, NULL);
    tally_immortalize(immortal);
    tally_decref(immortal);
}

static void test_deaths_in_a_slice_of_a_run(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_CYCLE; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
        acting(decref_in_a_slice);
        for (int i = 0; i < 3; i++) {
            struct pair *actor = actor_make(heap, NULL, NULL);
            tally_store_steal(actor, &actor->first, actor);
        }
        assert_int_equal(collect_all(heap), 3);
        assert_int_equal(finalized, 3);
        assert_int_equal(heap_live(heap), 3); /* the immortal ones */
        assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
        tally_heap_free(heap);
    }
}

static void test_immortality_in_each_phase(void **state)
{
    (void)state;
    for (enum phase phase = RUN_UNFLAG; phase <= RUN_MARK; phase++) {
        struct tally_heap *heap = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
        struct wide *root = wide_make(heap, 3000 / ROUND_SCALE);
        for (size_t i = 0; i < root->length; i++)
            tally_store_steal(root, &root->slots[i], pair_make(heap, NULL, NULL));
        void *weight = run_due(heap);
        phase_reach(heap, phase);
        struct pair *pair = root->slots[root->length - 1];
        tally_immortalize(pair);
        tally_store(pair, &pair->second, root->slots[0]);
        run_over(heap, weight);
        drop(heap, root);
        assert_int_equal(heap_live(heap), 2);
        assert_int_equal(tally_collect(heap, 2), 0);
        heap_check(heap);
        tally_heap_free(heap);
    }
}

/* ---- reports at the end */

static uint64_t leaked;
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    if (report->kind == TALLY_REPORT_LEAK)
        leaked += report->objects;
}

static void test_immortal_objects_are_no_leak(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    leaked = 0;
    tally_set_report(heap, on_report, NULL);
    tally_immortalize(pair_make(heap, NULL, NULL));
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
    pair_make(heap, NULL, NULL);
    tally_heap_free(heap);
    assert_int_equal(leaked, 1);
}

/* ---- scopes */

static void test_scopes_that_close_out_of_order(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_report(heap, on_report, NULL);
    struct tally_scope outer = tally_scope_open(heap);
    tally_keep(heap, pair_make(heap, NULL, NULL));
    struct tally_scope inner = tally_scope_open(heap);
    tally_keep(heap, pair_make(heap, NULL, NULL));
    tally_scope_close(&outer);
    assert_int_equal(heap_live(heap), 0);
    tally_scope_close(&inner); /* reported, and nothing else */
    assert_int_equal(tally_scopes_open(heap, NULL), 1);
    struct tally_scope again = {.heap = heap, .base = 0};
    tally_scope_close(&again);
    tally_scope_close(&again);
    assert_int_equal(tally_scopes_open(heap, NULL), 0);
    tally_heap_free(heap);
}

/* ---- moving */

static unsigned obstacles(struct tally_heap *from, void *object)
{
    struct tally_heap *to = heap_make();
    void *moved = NULL;
    const void *obstacle = NULL;
    int error = tally_transfer(to, object, &moved, &obstacle);
    assert_int_equal(tally_transfer(to, object, &moved, NULL), error);
    assert_int_equal(error, TALLY_ENOTISOLATED);
    assert_non_null(obstacle);
    heap_check(from);
    heap_check(to);
    assert_int_equal(heap_live(to), 0);
    tally_heap_free(to);
    return 1;
}

static void no_traverse(void *object, tally_slot_fn visit, void *arg)
{
    (void)object, (void)visit, (void)arg;
}

static void test_what_does_not_move(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    static const struct tally_type *own;
    assert_int_equal(tally_type_register(
                         &(struct tally_type_info){.name = "own", .size = 8, .traverse = no_traverse}, &own),
                     0);
    struct pair *pair = pair_make(heap, NULL, NULL), *outside = pair_make(heap, NULL, NULL);
    tally_store_steal(pair, &pair->first, chain_make(heap, 3));
    void *things[] = {tally_new(heap, own), tally_weakmap_new(heap),
                      tally_weak_new(heap, NULL, outside, NULL, NULL), tally_construct(heap, pair_type(), 0),
                      tally_dup(outside)};
    for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
        tally_store(pair, &pair->second, things[i]);
        tally_decref(things[i]);
        assert_int_equal(obstacles(heap, pair), 1);
        if (i == 3)
            tally_publish(things[i]);
        tally_clear(pair, &pair->second);
    }
    void *weak = tally_weak_new(heap, NULL, pair, NULL, NULL);
    assert_int_equal(obstacles(heap, pair), 1);
    tally_decref(weak);
    assert_int_equal(tally_pin(pair), 0);
    assert_int_equal(obstacles(heap, pair), 1);
    assert_int_equal(tally_unpin(pair), 0);
    tally_decref(pair);
    tally_decref(outside);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Leaves, large objects, and what has grown old. */
static void test_what_moves(void **state)
{
    (void)state;
    struct tally_heap *from = heap_make(), *to = heap_make();
    struct pair *pair = pair_make(from, NULL, NULL);
    struct wide *large = wide_make(from, 20000);
    tally_store_steal(pair, &pair->first, tally_new(from, weight_type()));
    tally_store_steal(pair, &pair->second, large);
    tally_store_steal(large, &large->slots[19999], tally_new(from, weight_type()));
    assert_int_equal(tally_collect(from, 2), 0); /* nothing is young */
    void *moved = NULL;
    assert_int_equal(tally_transfer(to, pair, &moved, NULL), 0);
    assert_int_equal(heap_live(from), 0);
    assert_int_equal(heap_live(to), 4);
    heap_check(from);
    heap_check(to);
    assert_int_equal(((struct wide *)((struct pair *)moved)->second)->length, 20000);
    tally_decref(moved);
    assert_int_equal(heap_live(to), 0);
    tally_heap_free(to);
    tally_heap_free(from);
}

/* ---- shapes */

struct seen_shapes {
    unsigned count;
    char text[2048];
};
static int see_shape(const struct tally_cycle *cycle, void *arg)
{
    struct seen_shapes *seen = arg;
    assert_true(cycle->last_ns > 0);
    seen->count++;
    snprintf(seen->text, sizeof seen->text, "%s", cycle->shape);
    return seen->count == 2;
}

static void test_shapes_of_namesakes_and_of_long_names(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *twins[2];
    for (int i = 0; i < 2; i++)
        twins[i] = tally_new(heap, pair_type_make("twin", NULL));
    tally_store(twins[0], &twins[0]->first, twins[1]);
    tally_store(twins[1], &twins[1]->first, twins[0]);
    tally_decref(twins[0]);
    tally_decref(twins[1]);
    assert_int_equal(tally_collect(heap, 2), 2);
    struct seen_shapes seen = {.count = 0};
    assert_int_equal(tally_cycles(heap, see_shape, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_non_null(strstr(seen.text, "twin.first"));
    struct pair *ring[40];
    char name[TALLY_NAME_MAX + 1];
    for (int i = 0; i < 40; i++) {
        memset(name, 'a' + i % 26, TALLY_NAME_MAX);
        name[TALLY_NAME_MAX] = '\0';
        name[0] = (char)('A' + i % 26);
        name[1] = (char)('A' + i / 26);
        ring[i] = tally_new(heap, pair_type_make(name, NULL));
    }
    for (int i = 0; i < 40; i++)
        tally_store(ring[i], &ring[i]->second, ring[(i + 1) % 40]);
    for (int i = 0; i < 40; i++)
        tally_decref(ring[i]);
    loop_leave(heap);
    assert_int_equal(tally_collect(heap, 2), 41);
    seen.count = 0;
    assert_int_equal(tally_cycles(heap, see_shape, &seen), 1); /* enough */
    assert_int_equal(seen.count, 2);
    tally_heap_free(heap);
}

/* ---- slots */

static void test_many_named_slots_in_slices(void **state)
{
    (void)state;
    enum { NAMED = 600, TRAILING = 600 };
    static struct tally_ref refs[NAMED];
    for (size_t i = 0; i < NAMED; i++)
        refs[i] = (struct tally_ref){"named", 8 + i * 8};
    const struct tally_type *type;
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "broad",
                                                                   .size = 8 + NAMED * 8,
                                                                   .refs = refs,
                                                                   .ref_count = NAMED,
                                                                   .trailing = TALLY_TRAILING_SLOTS},
                                         &type),
                     0);
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
        void **broad = tally_new_array(heap, type, TRAILING);
        for (size_t i = 1; i <= NAMED + TRAILING; i++) {
            struct pair *pair = pair_make(heap, broad, NULL);
            pair->number = i;
            tally_store_steal(broad, &broad[i], pair);
        }
        collect_all(heap);
        for (size_t i = 1; i <= NAMED + TRAILING; i++)
            assert_int_equal(((struct pair *)broad[i])->number, i);
        tally_decref(broad);
        collect_all(heap);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

/* ---- notices */

static unsigned asked;
static void on_request(struct tally_heap *heap, struct tally__request *request)
{
    (void)heap, (void)request;
    asked++;
}

/* The descriptor is the host's as well: it may be read empty, or written full, and requests are served. */
static void test_notices_that_say_nothing(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct tally__request request = {.run = on_request};
    int fd = tally_notify_fd(heap);
    uint64_t value = UINT64_MAX - 1;
    asked = 0;
    tally__heap_post(heap, &request);
    assert_int_equal(read(fd, &value, sizeof value), sizeof value);
    assert_int_equal(value, 1);
    assert_int_equal(tally_safepoint(heap), 1);
    value = UINT64_MAX - 1;
    assert_int_equal(write(fd, &value, sizeof value), sizeof value);
    tally__heap_post(heap, &request);
    assert_int_equal(tally_safepoint(heap), 1);
    assert_int_equal(asked, 2);
    assert_int_equal(read(fd, &value, sizeof value), -1);
    tally_heap_free(heap);
}

static void test_no_descriptor_for_notices(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = tally_notify_fd(heap);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(error, TALLY_ESYS);
    assert_true(tally_notify_fd(heap) >= 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weak_references_beside_their_targets),
        cmocka_unit_test(test_weak_references_that_wait),
        cmocka_unit_test(test_weak_maps_that_die),
        cmocka_unit_test(test_the_dying_are_no_keys),
        cmocka_unit_test(test_an_entry_behind_a_barrier),
        cmocka_unit_test(test_hooks_that_allocate),
        cmocka_unit_test(test_a_step_ends_when_nothing_is_due),
        cmocka_unit_test(test_deaths_in_a_slice_of_a_run),
        cmocka_unit_test(test_immortality_in_each_phase),
        cmocka_unit_test(test_immortal_objects_are_no_leak),
        cmocka_unit_test(test_scopes_that_close_out_of_order),
        cmocka_unit_test(test_what_does_not_move),
        cmocka_unit_test(test_what_moves),
        cmocka_unit_test(test_shapes_of_namesakes_and_of_long_names),
        cmocka_unit_test(test_many_named_slots_in_slices),
        cmocka_unit_test(test_notices_that_say_nothing),
        cmocka_unit_test(test_no_descriptor_for_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
