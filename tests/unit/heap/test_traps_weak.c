/* The traps of weak references: when they read NULL, and whom they call. Numbers 7, 23 to 29 and 40 of the
 * list of traps that other collectors fell into. */
#include "rounds.h"

static void *watched[2]; /* weak references that callbacks and finalizers look at */
static unsigned called;

static void watched_read_null(struct tally_heap *heap)
{
    (void)heap;
    for (int i = 0; i < 2; i++)
        assert_null(tally_weak_lock(watched[i]));
}

static void count_and_look(struct tally_heap *heap, void *weak, void *hold)
{
    (void)weak, (void)hold;
    watched_read_null(heap);
    called++;
}

static void never(struct tally_heap *heap, void *weak, void *hold)
{
    (void)heap, (void)weak, (void)hold;
    fail_msg("the callback of a weak reference that is trash");
}

static void look_at_the_watched(struct tally_heap *heap, void *object)
{
    (void)object;
    watched_read_null(heap);
}

/* loop and friend are garbage, and friend holds what dies by count; all are watched. */
static void finalizer_of_the_dying_looks(struct tally_heap *heap)
{
    acting(look_at_the_watched);
    called = 0;
    struct pair *old = actor_make(heap, NULL, NULL), *loop = pair_make(heap, NULL, NULL),
                *friend = pair_make(heap, loop, old);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_incref(old); /* C's, so that it is not garbage itself */
    tally_store(loop, &loop->first, friend);
    tally_decref(old);
    watched[0] = tally_weak_new(heap, NULL, loop, count_and_look, NULL);
    watched[1] = tally_weak_new(heap, NULL, friend, NULL, NULL);
    drop(heap, old);
    drop(heap, loop);
    drop(heap, friend);
    assert_true(collect_all(heap) >= 2);
    assert_int_equal(finalized, 1);
    assert_int_equal(called, 1);
    drop(heap, watched[0]);
    drop(heap, watched[1]);
}

static void test_trap_07_weak_reference_in_that_finalizer_reads_null(void **state)
{
    (void)state;
    each_round(finalizer_of_the_dying_looks);
}

static void both_null_at_the_first_call(struct tally_heap *heap)
{
    called = 0;
    struct pair *couple[2];
    ring_make(heap, couple, 2);
    for (int i = 0; i < 2; i++)
        watched[i] = tally_weak_new(heap, NULL, couple[i], count_and_look, NULL);
    drop(heap, couple[0]);
    drop(heap, couple[1]);
    void *locked = tally_weak_lock(watched[0]);
    assert_ptr_equal(locked, couple[0]);
    drop(heap, locked);
    assert_int_equal(collect_all(heap), 2);
    assert_int_equal(called, 2);
    assert_int_equal(collect_all(heap), 0);
    assert_int_equal(called, 2);
    drop(heap, watched[0]);
    drop(heap, watched[1]);
}

static void test_trap_23_weak_references_read_null_before_the_first_callback(void **state)
{
    (void)state;
    each_round(both_null_at_the_first_call);
}

static const struct tally_type *hiding_type(void)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"hidden", 0}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "hiding", .size = 8, .flags = TALLY_TYPE_ACYCLIC, .refs = refs, .ref_count = 1}, &type),
            0);
    return type;
}

/* The target dies by count, since no run sees the edge to it, while its weak reference, which is trash and
 * whose callback must not run, has yet to go. */
static void weak_reference_beside_a_hidden_target(struct tally_heap *heap)
{
    struct wide *loop = wide_make(heap, 3);
    void **hiding = tally_new(heap, hiding_type());
    struct pair *target = pair_make(heap, NULL, NULL), *other = pair_make(heap, NULL, NULL);
    void *weak = tally_weak_new(heap, NULL, target, never, NULL);
    tally_store_steal(hiding, hiding, target);
    tally_store(other, &other->first, weak);
    tally_store(other, &other->second, other);
    tally_store(loop, &loop->slots[0], loop);
    tally_store_steal(loop, &loop->slots[1], hiding);
    tally_store_steal(loop, &loop->slots[2], weak);
    tally_decref(other);
    tally_decref(loop);
    assert_int_equal(collect_all(heap), 3);
    assert_int_equal(heap_live(heap), 0);
}

static void weak_reference_in_the_trash(struct tally_heap *heap)
{
    struct pair *target = pair_make(heap, NULL, NULL);
    tally_store_steal(target, &target->second, tally_weak_new(heap, NULL, target, never, target));
    tally_store_steal(target, &target->first, target);
    assert_int_equal(collect_all(heap), 2);
}

static void test_trap_24_weak_reference_in_the_trash_never_calls(void **state)
{
    (void)state;
    each_round(weak_reference_in_the_trash);
    each_round(weak_reference_beside_a_hidden_target);
}

/* ---- 25 */

static const void *dying;
static int is_dying(void *object, void *arg)
{
    (void)arg;
    return object == dying;
}

static void collect_in_the_callback(struct tally_heap *heap, void *weak, void *hold)
{
    (void)hold;
    called++;
    int64_t collected = tally_collect(heap, 2);
    assert_in_range(collected, 0, 1); /* the bystander, where no run is on */
    assert_int_equal(tally_walk(heap, is_dying, NULL), 0);
    assert_int_equal(tally_objects(heap, -1, is_dying, NULL), 0);
    assert_null(tally_weak_lock(weak));
    assert_null(tally_object_at(heap, dying));
}

static void callback_collects(struct tally_heap *heap)
{
    for (int cycle = 0; cycle < 2; cycle++) {
        called = 0;
        struct pair *target = pair_make(heap, NULL, NULL);
        target->number = 3;
        dying = target;
        void *weak = tally_weak_new(heap, NULL, target, collect_in_the_callback, NULL);
        if (cycle)
            tally_store(target, &target->first, target);
        tally_store(target, &target->second, loop_leave(heap));
        loop_leave(heap);
        drop(heap, target);
        collect_all(heap);
        assert_int_equal(called, 1);
        assert_int_equal(heap_live(heap), 1);
        drop(heap, weak);
    }
}

static void test_trap_25_dying_object_is_hidden_from_a_collecting_callback(void **state)
{
    (void)state;
    each_round(callback_collects);
}

/* ---- 26, 27 */

static struct pair *partner;
static void watch_the_partner(struct tally_heap *heap, void *object)
{
    if (object != partner->first) /* the partner's own finalizer */
        return;
    watched[0] = tally_weak_new(heap, NULL, partner, NULL, NULL);
    watched[1] = tally_weak_new(heap, NULL, partner, count_and_look, NULL);
    struct pair *locked = tally_weak_lock(watched[0]);
    assert_ptr_equal(locked, partner);
    assert_int_equal(locked->number, 8);
    assert_ptr_equal(locked->first, object);
    tally_decref(locked);
}

static void weak_reference_made_by_a_partner(struct tally_heap *heap)
{
    acting(watch_the_partner);
    struct pair *self = actor_make(heap, NULL, NULL);
    partner = actor_make(heap, self, NULL);
    partner->number = 8;
    tally_store_steal(self, &self->first, partner);
    watched[0] = watched[1] = NULL;
    called = 0;
    tally_decref(self);
    assert_int_equal(collect_all(heap), 2);
    assert_non_null(watched[0]);
    assert_int_equal(called, 1);
    watched_read_null(heap);
    assert_int_equal(heap_live(heap), 2);
    drop(heap, watched[0]);
    drop(heap, watched[1]);
}

static void test_trap_26_weak_reference_made_to_a_garbage_partner_reads_null(void **state)
{
    (void)state;
    each_round(weak_reference_made_by_a_partner);
}

static void watch_oneself(struct tally_heap *heap, void *object)
{
    watched[0] = tally_weak_new(heap, NULL, object, NULL, NULL);
    watched[1] = tally_weak_new(heap, NULL, object, NULL, NULL);
}

static void weak_reference_made_by_oneself(struct tally_heap *heap)
{
    for (int cycle = 0; cycle < 2; cycle++) {
        acting(watch_oneself);
        struct pair *self = actor_make(heap, NULL, NULL);
        if (cycle)
            tally_store(self, &self->first, self);
        drop(heap, self);
        assert_int_equal(collect_all(heap), cycle);
        assert_int_equal(finalized, 1);
        watched_read_null(heap);
        assert_int_equal(heap_live(heap), 2);
        struct pair *heir = pair_make(heap, NULL, NULL); /* maybe in the same place */
        watched_read_null(heap);
        assert_int_equal(tally_weak_count(heir), 0);
        drop(heap, heir);
        drop(heap, watched[0]);
        heap_check(heap);
        drop(heap, watched[1]);
    }
}

static void test_trap_27_weak_reference_made_in_the_own_finalizer_reads_null(void **state)
{
    (void)state;
    each_round(weak_reference_made_by_oneself);
}

/* ---- 28 */

enum { RING = 3000 / ROUND_SCALE };

/* Takes hold of a ring after so many slices. Returns false where it had been judged dead by then. */
static bool upgrade_after(struct tally_heap *heap, unsigned slices, uint64_t *open_runs)
{
    struct pair **ring = calloc(RING, sizeof *ring);
    ring_make(heap, ring, RING);
    void *weak = tally_weak_new(heap, NULL, ring[RING / 2], NULL, NULL);
    for (size_t i = 0; i < RING; i++)
        tally_decref(ring[i]);
    void *weight = run_due(heap);
    for (unsigned i = 0; i < slices; i++)
        *open_runs += tally_step(heap, 0);
    struct pair *locked = tally_weak_lock(weak);
    run_over(heap, weight);
    heap_check(heap);
    if (locked) {
        assert_ptr_equal(locked, ring[RING / 2]);
        assert_int_equal(tally_weak_count(locked), 1);
        const struct pair *at = locked;
        for (size_t i = 0; i < RING; i++, at = at->first)
            assert_ptr_equal(at, ring[(RING / 2 + i) % RING]);
        assert_ptr_equal(at, locked);
        assert_int_equal(tally_refcount(locked), 2);
        void *again = tally_weak_lock(weak);
        assert_ptr_equal(again, locked);
        drop(heap, again);
        drop(heap, locked);
        collect_all(heap);
    }
    assert_int_equal(heap_live(heap), 1);
    assert_null(tally_weak_lock(weak));
    drop(heap, weak);
    free(ring);
    return locked;
}

static void test_trap_28_weak_upgrade_between_slices_keeps_the_target(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
        uint64_t open_runs = 0;
        for (unsigned slices = 0; upgrade_after(heap, slices, &open_runs); slices += 1 + slices / 16)
            assert_true(slices < 100000);
        assert_true(open_runs > 10); /* it was in the middle of runs */
        tally_heap_free(heap);
    }
}

/* ---- 29: as CPython 3.11 has it, a cycle's weak references are cleared before its finalizers run and stay
 * so; at a death by count the finalizer comes first. */

static void *saved;
static void save_self(struct tally_heap *heap, void *object)
{
    (void)heap;
    saved = tally_dup(object);
}

static void weak_references_of_the_resurrected(struct tally_heap *heap)
{
    for (int cycle = 0; cycle < 2; cycle++) {
        acting(save_self);
        struct pair *object = actor_make(heap, NULL, NULL);
        if (cycle)
            tally_store(object, &object->first, object);
        void *weak = tally_weak_new(heap, NULL, object, NULL, NULL);
        drop(heap, object);
        collect_all(heap);
        assert_ptr_equal(saved, object);
        void *locked = tally_weak_lock(weak);
        assert_ptr_equal(locked, cycle ? NULL : object);
        assert_int_equal(tally_weak_count(object), !cycle);
        if (locked)
            drop(heap, locked);
        drop(heap, object);
        collect_all(heap);
        assert_null(tally_weak_lock(weak));
        drop(heap, weak);
    }
}

static void test_trap_29_resurrection_keeps_weak_references_by_count_only(void **state)
{
    (void)state;
    each_round(weak_references_of_the_resurrected);
}

/* ---- 40 */

static void values_that_lead_back(struct tally_heap *heap)
{
    for (int to_map = 0; to_map < 2; to_map++) {
        void *map = tally_weakmap_new(heap);
        struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, to_map ? map : NULL, key);
        assert_int_equal(tally_weakmap_set(map, key, value), 0);
        drop(heap, value);
        assert_int_equal(collect_all(heap), 0);
        struct pair *found = tally_weakmap_get(map, key);
        assert_ptr_equal(found, value);
        drop(heap, found);
        drop(heap, key);
        assert_int_equal(collect_all(heap), 2);
        assert_int_equal(tally_weakmap_count(map), 0);
        assert_int_equal(heap_live(heap), 1);
        drop(heap, map);
        assert_int_equal(heap_live(heap), 0);
    }
}

static void live_key_of_a_dead_map(struct tally_heap *heap)
{
    for (int cycle = 0; cycle < 2; cycle++) {
        void *map = tally_weakmap_new(heap);
        struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, cycle ? map : NULL, key);
        assert_int_equal(tally_weakmap_set(map, key, value), 0);
        drop(heap, value);
        drop(heap, map);
        collect_all(heap);
        assert_int_equal(heap_live(heap), 1);
        assert_int_equal(tally_refcount(key), 1);
        assert_int_equal(tally_weak_count(key), 0);
        drop(heap, key);
    }
}

static void test_trap_40_weak_map_entries_keep_neither_key_nor_map(void **state)
{
    (void)state;
    each_round(values_that_lead_back);
    each_round(live_key_of_a_dead_map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_07_weak_reference_in_that_finalizer_reads_null),
        cmocka_unit_test(test_trap_23_weak_references_read_null_before_the_first_callback),
        cmocka_unit_test(test_trap_24_weak_reference_in_the_trash_never_calls),
        cmocka_unit_test(test_trap_25_dying_object_is_hidden_from_a_collecting_callback),
        cmocka_unit_test(test_trap_26_weak_reference_made_to_a_garbage_partner_reads_null),
        cmocka_unit_test(test_trap_27_weak_reference_made_in_the_own_finalizer_reads_null),
        cmocka_unit_test(test_trap_28_weak_upgrade_between_slices_keeps_the_target),
        cmocka_unit_test(test_trap_29_resurrection_keeps_weak_references_by_count_only),
        cmocka_unit_test(test_trap_40_weak_map_entries_keep_neither_key_nor_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
