/* The traps of counting: which edges a run counts, and what that does to counts. Numbers 1 to 6, 8, 9, 32,
 * 35, 36, 39, 44 and 50 of the list of traps that other collectors fell into. */
#include "rounds.h"

static void loop_and_couple(struct tally_heap *heap)
{
    loop_leave(heap);
    assert_int_equal(collect_all(heap), 1);
    struct pair *couple[2];
    ring_make(heap, couple, 2);
    drop(heap, couple[0]);
    drop(heap, couple[1]);
    assert_int_equal(collect_all(heap), 2);
    assert_int_equal(collect_all(heap), 0);
}

static void test_trap_01_self_edge_counts_one_and_a_couple_two(void **state)
{
    (void)state;
    each_round(loop_and_couple);
}

/* Trial counts must be wide: 300 passes 8 bits, 70,000 passes 16. */
static void partners_of_many_references(struct tally_heap *heap)
{
    static const size_t lengths[] = {300, 70000 / ROUND_SCALE};
    for (size_t i = 0; i < 2; i++) {
        struct wide *one = wide_make(heap, lengths[i]), *two = wide_make(heap, lengths[i]);
        for (size_t at = 0; at < lengths[i]; at++) {
            tally_store(one, &one->slots[at], two);
            tally_store(two, &two->slots[at], one);
        }
        drop(heap, one);
        assert_int_equal(collect_all(heap), 0);
        assert_int_equal(tally_refcount(one), lengths[i]);
        assert_int_equal(tally_refcount(two), lengths[i] + 1);
        drop(heap, two);
        assert_int_equal(collect_all(heap), 2);
        assert_int_equal(heap_live(heap), 0);
    }
}

static void test_trap_02_partners_with_300_references_are_both_freed(void **state)
{
    (void)state;
    each_round(partners_of_many_references);
}

static void leave_ring_of_three(struct tally_heap *heap)
{
    struct pair *ring[3];
    ring_make(heap, ring, 3);
    for (int i = 0; i < 3; i++)
        tally_decref(ring[i]);
}

static void ring_of_three(struct tally_heap *heap)
{
    leave_ring_of_three(heap);
    assert_int_equal(collect_all(heap), 3);
    assert_int_equal(heap_live(heap), 0);
}

static void test_trap_03_ring_of_three_left_in_a_function_is_freed(void **state)
{
    (void)state;
    each_round(ring_of_three);
}

static void ring_held_at(struct tally_heap *heap, size_t at)
{
    struct pair *ring[5];
    ring_make(heap, ring, 5);
    for (size_t i = 0; i < 5; i++)
        if (i != at)
            drop(heap, ring[i]);
    for (int times = 0; times < 3; times++) {
        assert_int_equal(collect_all(heap), 0);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(tally_refcount(ring[i]), i == at ? 2 : 1);
    }
    drop(heap, ring[at]);
    assert_int_equal(collect_all(heap), 5);
}

static void ring_held_anywhere(struct tally_heap *heap)
{
    for (size_t at = 0; at < 5; at++)
        ring_held_at(heap, at);
}

static void test_trap_04_ring_held_at_any_node_keeps_every_count(void **state)
{
    (void)state;
    each_round(ring_held_anywhere);
}

/* top -> left, right -> bottom -> top; left, right and, twice, bottom refer to a live object. */
static void diamond(struct tally_heap *heap)
{
    struct pair *live = pair_make(heap, NULL, NULL);
    struct wide *nodes[4];
    for (int i = 0; i < 4; i++)
        nodes[i] = wide_make(heap, 4);
    static const int edges[][3] = {{0, 0, 1}, {0, 1, 2}, {1, 0, 3}, {2, 0, 3}, {3, 0, 0}};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        tally_store(nodes[edges[i][0]], &nodes[edges[i][0]]->slots[edges[i][1]], nodes[edges[i][2]]);
    tally_store(nodes[1], &nodes[1]->slots[3], live);
    tally_store(nodes[2], &nodes[2]->slots[3], live);
    tally_store(nodes[3], &nodes[3]->slots[2], live);
    tally_store(nodes[3], &nodes[3]->slots[3], live);
    assert_int_equal(tally_refcount(live), 5);
    for (int i = 0; i < 4; i++)
        drop(heap, nodes[i]);
    assert_int_equal(collect_all(heap), 4);
    assert_int_equal(tally_refcount(live), 1);
    drop(heap, live);
}

static void test_trap_05_diamond_lowers_the_live_tail_by_its_edges(void **state)
{
    (void)state;
    each_round(diamond);
}

/* ---- older generations */

static bool inside; /* a run, from its start to its stop */
static void note_inside(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)arg;
    inside = !info->stop;
}

static void assert_inside(struct tally_heap *heap, void *object)
{
    (void)object;
    assert_true(inside);
    assert_int_equal(tally_collect(heap, 2), 0);
}

static void young_cycle_holds_an_old_object(struct tally_heap *heap)
{
    acting(assert_inside);
    assert_int_equal(tally_add_collection_hook(heap, note_inside, NULL), 0);
    struct pair *old = actor_make(heap, NULL, NULL);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(tally_generation(old), 2);
    struct pair *loop = pair_make(heap, NULL, old);
    tally_store_steal(loop, &loop->first, loop);
    drop(heap, old);
    assert_int_equal(finalized, 0);
    if (tally_get_max_pause(heap)) {
        assert_int_equal(collect_all(heap), 2); /* a run of the widest scope sees both */
    } else {
        assert_int_equal(tally_collect(heap, 0), 1);
        assert_int_equal(heap_stats(heap).frees_cycle, 1);
        assert_int_equal(heap_stats(heap).frees_refcount, 1);
    }
    assert_int_equal(finalized, 1);
    assert_int_equal(heap_live(heap), 0);
}

static void test_trap_06_old_object_of_a_young_cycle_dies_by_count(void **state)
{
    (void)state;
    each_round(young_cycle_holds_an_old_object);
}

static void old_object_holds_a_young_one(struct tally_heap *heap)
{
    struct pair *old = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_collect(heap, 2), 0);
    struct pair *young = pair_make(heap, NULL, NULL);
    tally_store(old, &old->first, young);
    tally_store_steal(young, &young->first, young); /* no other reference from the young */
    assert_int_equal(tally_generation(young), 0);
    assert_int_equal(tally_collect(heap, 0), 0);
    assert_int_equal(tally_generation(young), 1);
    assert_int_equal(collect_all(heap), 0);
    assert_ptr_equal(old->first, young);
    assert_int_equal(tally_refcount(young), 2);
    drop(heap, old);
    assert_int_equal(collect_all(heap), 1);
}

static void test_trap_08_old_to_young_edge_keeps_the_young(void **state)
{
    (void)state;
    each_round(old_object_holds_a_young_one);
}

static void cycle_through_a_frozen_object(struct tally_heap *heap)
{
    struct pair *frozen = pair_make(heap, NULL, NULL);
    tally_freeze(heap);
    struct pair *fresh = pair_make(heap, frozen, NULL);
    tally_store(frozen, &frozen->first, fresh);
    drop(heap, frozen);
    drop(heap, fresh);
    for (int times = 0; times < 3; times++) {
        assert_int_equal(collect_all(heap), 0);
        assert_int_equal(tally_refcount(frozen), 1);
        assert_int_equal(tally_refcount(fresh), 1);
        assert_int_equal(tally_generation(frozen), TALLY_GENERATION_FROZEN);
    }
    tally_unfreeze(heap);
    assert_int_equal(collect_all(heap), 2);
}

static void test_trap_09_cycle_through_a_frozen_object_waits_for_unfreeze(void **state)
{
    (void)state;
    each_round(cycle_through_a_frozen_object);
}

/* ---- who counts */

static void counted_and_borrowed(struct tally_heap *heap)
{
    struct pair *ring[3];
    ring_make(heap, ring, 3);
    for (int i = 1; i < 3; i++)
        drop(heap, ring[i]);
    struct pair *counted = tally_dup(ring[1]), *borrowed = ring[2];
    drop(heap, ring[0]);
    assert_int_equal(collect_all(heap), 0);
    assert_ptr_equal(counted->first, borrowed);
    drop(heap, counted);
    assert_int_equal(collect_all(heap), 3);
    assert_null(tally_object_at(heap, borrowed));
}

static void test_trap_32_counted_locals_keep_and_borrowed_ones_do_not(void **state)
{
    (void)state;
    each_round(counted_and_borrowed);
}

static struct pair *holder;
static void *expected;
static void look_at_the_slot(struct tally_heap *heap, void *object)
{
    assert_ptr_not_equal(holder->first, object);
    assert_ptr_equal(holder->first, expected);
    assert_true(tally_collect(heap, 2) >= 0);
}

static void slots_are_empty_before_the_death(struct tally_heap *heap)
{
    acting(look_at_the_slot);
    struct pair *values[3];
    for (int i = 0; i < 3; i++)
        values[i] = actor_make(heap, NULL, NULL);
    holder = pair_make(heap, NULL, NULL);
    tally_store_steal(holder, &holder->first, values[0]);
    expected = values[1];
    tally_store(holder, &holder->first, values[1]);
    settle(heap);
    tally_decref(values[1]);
    expected = values[2];
    tally_store_steal(holder, &holder->first, values[2]);
    settle(heap);
    expected = NULL;
    tally_clear(holder, &holder->first);
    settle(heap);
    assert_int_equal(finalized, 3);
    drop(heap, holder);
}

static void test_trap_35_slots_are_empty_before_what_they_held_dies(void **state)
{
    (void)state;
    each_round(slots_are_empty_before_the_death);
}

static void same_again_and_swapped(struct tally_heap *heap)
{
    acting(NULL);
    struct pair *object = actor_make(heap, NULL, NULL);
    void *one = actor_make(heap, NULL, NULL), *two = actor_make(heap, NULL, NULL);
    tally_store_steal(object, &object->first, one);
    tally_store_steal(object, &object->second, two);
    tally_store(object, &object->first, object->first);
    tally_move(object, &object->first, object, &object->first);
    assert_ptr_equal(object->first, one);
    void *taken = tally_take(object, &object->first); /* a swap without a count changing */
    tally_move(object, &object->first, object, &object->second);
    tally_store_steal(object, &object->second, taken);
    assert_ptr_equal(object->first, two);
    assert_ptr_equal(object->second, one);
    taken = tally_dup(object->first); /* and one by stores */
    tally_store(object, &object->first, object->second);
    tally_store_steal(object, &object->second, taken);
    assert_ptr_equal(object->first, one);
    assert_ptr_equal(object->second, two);
    assert_int_equal(tally_refcount(one), 1);
    assert_int_equal(tally_refcount(two), 1);
    assert_int_equal(finalized, 0);
    assert_int_equal(collect_all(heap), 0);
    drop(heap, object);
    assert_int_equal(finalized, 3);
}

static void test_trap_36_storing_the_same_and_swapping_kill_nobody(void **state)
{
    (void)state;
    each_round(same_again_and_swapped);
}

static unsigned heaps_reports;
static void count_heaps(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    heaps_reports += report->kind == TALLY_REPORT_HEAPS;
}

/* Debug builds refuse the edge and say so; in release builds it counts as one from outside. */
static void edge_to_another_heap(struct tally_heap *heap)
{
    struct tally_heap *other = round_heap(tally_get_manager(heap), tally_get_max_pause(heap));
    tally_set_report(heap, count_heaps, NULL);
    struct pair *stranger = pair_make(other, NULL, NULL), *loop = pair_make(heap, NULL, NULL);
    tally_store(stranger, &stranger->first, stranger);
    tally_store(loop, &loop->first, loop);
    heaps_reports = 0;
    tally_store(loop, &loop->second, stranger);
    assert_true(loop->second == stranger || heaps_reports == 1);
    void *edge = loop->second;
    loop_leave(other);
    tally_decref(stranger);
    assert_int_equal(tally_collect(other, 2), edge ? 1 : 2);
    assert_int_equal(tally_collect(heap, 2), 0); /* it is not its to free */
    assert_int_equal(heap_live(other), edge != NULL);
    heap_check(other);
    tally_clear(loop, &loop->second);
    assert_int_equal(tally_collect(other, 2), edge != NULL);
    heap_check(other);
    tally_heap_free(other);
    drop(heap, loop);
    assert_int_equal(collect_all(heap), 1);
}

static void test_trap_39_edge_to_another_heap_is_refused_or_external(void **state)
{
    (void)state;
    each_round(edge_to_another_heap);
}

/* ---- what holds what */

/* Types are for good here. The nearest that dies with its last instance is a class that is an object:
 * instances hold it, and it may list them. Each finalizer must find the other whole. */
enum { CLASS = 77 };
static void class_is_whole(struct tally_heap *heap, void *object)
{
    (void)heap;
    const struct pair *self = object, *class = self->number == CLASS ? self : self->first;
    assert_int_equal(class->number, CLASS);
    assert_string_equal(tally_type_name(tally_type_of(class)), "actor");
}

static void class_dies_with_its_instances(struct tally_heap *heap)
{
    for (int listed = 0; listed < 2; listed++) {
        acting(class_is_whole);
        struct pair *class = actor_make(heap, NULL, NULL), *instances[10];
        class->number = CLASS;
        for (int i = 0; i < 10; i++)
            instances[i] = actor_make(heap, class, i ? instances[i - 1] : NULL);
        if (listed)
            tally_store(class, &class->second, instances[9]);
        drop(heap, class);
        assert_int_equal(finalized, 0);
        for (int i = 0; i < 10; i++)
            drop(heap, instances[i]);
        assert_int_equal(collect_all(heap), listed ? 11 : 0);
        assert_int_equal(finalized, 11);
        assert_int_equal(heap_live(heap), 0);
    }
}

static void test_trap_44_class_object_dies_after_its_last_instance(void **state)
{
    (void)state;
    each_round(class_dies_with_its_instances);
}

/* Cells of an acyclic type are not examined, so that each run frees a level, and the cells' deaths make the
 * next level's loop a candidate. */
static const struct tally_type *cell_type(void)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"held", 0}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "cell", .size = 8, .flags = TALLY_TYPE_ACYCLIC, .refs = refs, .ref_count = 1}, &type),
            0);
    return type;
}

static struct pair *levels_make(struct tally_heap *heap, int levels, struct pair *last)
{
    struct pair *below = tally_dup(last);
    for (int i = 0; i < levels; i++) {
        void **cell = tally_new(heap, cell_type());
        tally_store_steal(cell, cell, below);
        below = pair_make(heap, NULL, NULL);
        tally_store(below, &below->first, below);
        tally_store_steal(below, &below->second, cell);
    }
    return below;
}

static void acyclic_cells_between_cycles(struct tally_heap *heap)
{
    enum { LEVELS = 40 };
    struct pair *last = pair_make(heap, NULL, NULL);
    tally_store(last, &last->first, last);
    struct pair *top = levels_make(heap, LEVELS, last);
    assert_int_equal(collect_all(heap), 0);
    drop(heap, top);
    uint64_t collected = 0;
    for (int runs = 0; collected < LEVELS; runs++) {
        assert_true(runs <= LEVELS);
        collected += collect_all(heap);
    }
    assert_int_equal(collected, LEVELS);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(tally_refcount(last), 2);
    drop(heap, last);
    assert_int_equal(collect_all(heap), 1);
}

static void test_trap_50_acyclic_cells_between_cycles_hold_and_let_go(void **state)
{
    (void)state;
    each_round(acyclic_cells_between_cycles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_01_self_edge_counts_one_and_a_couple_two),
        cmocka_unit_test(test_trap_02_partners_with_300_references_are_both_freed),
        cmocka_unit_test(test_trap_03_ring_of_three_left_in_a_function_is_freed),
        cmocka_unit_test(test_trap_04_ring_held_at_any_node_keeps_every_count),
        cmocka_unit_test(test_trap_05_diamond_lowers_the_live_tail_by_its_edges),
        cmocka_unit_test(test_trap_06_old_object_of_a_young_cycle_dies_by_count),
        cmocka_unit_test(test_trap_08_old_to_young_edge_keeps_the_young),
        cmocka_unit_test(test_trap_09_cycle_through_a_frozen_object_waits_for_unfreeze),
        cmocka_unit_test(test_trap_32_counted_locals_keep_and_borrowed_ones_do_not),
        cmocka_unit_test(test_trap_35_slots_are_empty_before_what_they_held_dies),
        cmocka_unit_test(test_trap_36_storing_the_same_and_swapping_kill_nobody),
        cmocka_unit_test(test_trap_39_edge_to_another_heap_is_refused_or_external),
        cmocka_unit_test(test_trap_44_class_object_dies_after_its_last_instance),
        cmocka_unit_test(test_trap_50_acyclic_cells_between_cycles_hold_and_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
