/* Corners of runs: what is handed out, stored or taken in each phase, what takes more than one slice, and
 * tables that are full. White box: a phase is stepped to, a table is said to be full. */
#include "corners.h"

/* ---- touches */

enum { CELLS = 4000 / ROUND_SCALE };

static struct {
    struct wide *root;
    struct pair *frozen, *hub, *whole; /* whole: not seen before it is */
    void *leaf;
    uint64_t live;
} set;

static void set_make(struct tally_heap *heap)
{
    set.frozen = pair_make(heap, NULL, NULL);
    tally_freeze(heap);
    set.whole = tally_construct(heap, pair_type(), 0);
    set.leaf = tally_new(heap, weight_type());
    set.hub = pair_make(heap, NULL, NULL);
    *word_of(set.hub) += 70000 * TALLY_COUNT_ONE;
    set.root = wide_make(heap, CELLS);
    for (size_t i = 0; i < CELLS; i++)
        tally_store_steal(set.root, &set.root->slots[i], pair_make(heap, NULL, NULL));
    tally_decref(tally_dup(set.root));
    tally_decref(tally_dup(set.frozen));
    set.live = heap_live(heap);
}

static void set_drop(struct tally_heap *heap)
{
    *word_of(set.hub) -= 70000 * TALLY_COUNT_ONE;
    tally_unfreeze(heap);
    tally_publish(set.whole);
    drop(heap, set.root);
    drop(heap, set.frozen);
    drop(heap, set.whole);
    drop(heap, set.leaf);
    drop(heap, set.hub);
}

static void store_all(size_t at)
{
    struct pair *cell = set.root->slots[at];
    void *values[] = {
        set.leaf, set.frozen, set.whole, set.hub, set.hub, set.root->slots[0], set.root->slots[CELLS - 1],
        cell,     cell,       NULL};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        tally_store(cell, &cell->second, values[i]);
}

static void ask_all(struct tally_heap *heap)
{
    void *cell = set.root->slots[CELLS / 2];
    assert_ptr_equal(tally_object_at(heap, (char *)cell + 3), cell);
    assert_ptr_equal(tally_object_by_id(heap, tally_object_id(cell)), cell);
    void *weak = tally_weak_new(heap, NULL, cell, NULL, NULL), *locked = tally_weak_lock(weak);
    assert_ptr_equal(locked, cell);
    tally_decref(locked);
    tally_decref(weak);
}

static void test_touches_in_each_phase(void **state)
{
    (void)state;
    unsigned seen[RUN_END] = {0};
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++)
        for (enum phase phase = RUN_UNFLAG; phase <= RUN_PROMOTE; phase++) {
            struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
            set_make(heap);
            void *weight = run_due(heap);
            if (phase_reach(heap, phase)) {
                seen[phase]++;
                heap_check(heap);
                store_all(0);
                tally_step(heap, 0);
                heap_check(heap);
                store_all(CELLS - 1);
                ask_all(heap);
            }
            run_over(heap, weight);
            assert_int_equal(heap_live(heap), set.live);
            heap_check(heap);
            tally_collect(heap, 2);
            assert_int_equal(heap_live(heap), set.live);
            set_drop(heap);
            assert_int_equal(heap_live(heap), 0);
            tally_heap_free(heap);
        }
    for (enum phase phase = RUN_MERGE; phase <= RUN_MARK; phase++)
        assert_true(seen[phase]);
}

/* A finalizer hands trash back to the program: what the program takes out of it, while the trash is counted
 * again, is not freed under its hands. */
static struct pair *given;
static void give(struct tally_heap *heap, void *object)
{
    (void)heap;
    given = tally_dup(object);
}

static void test_trash_that_is_taken_while_it_is_counted_again(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (enum phase phase = RUN_FINALIZE; phase <= RUN_PROMOTE_REST; phase++) {
        struct tally_heap *heap = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
        struct pair *head = actor_make(heap, NULL, NULL), *last = head;
        acting(give);
        given = NULL;
        for (int i = 0; i < CELLS; i++) { /* a ring, with a tail that hangs on each */
            struct pair *next = pair_make(heap, NULL, NULL);
            tally_store_steal(last, &last->first, next);
            tally_store_steal(next, &next->second, pair_make(heap, NULL, NULL));
            last = next;
        }
        tally_store(last, &last->first, head);
        tally_decref(head);
        uint64_t live = heap_live(heap);
        void *weight = run_due(heap);
        bool there = phase_reach(heap, phase);
        seen += there;
        struct pair *taken[3] = {NULL};
        if (there && given) {
            struct pair *at = given->first;
            taken[0] = tally_take(at, &at->second);
            taken[1] = tally_take(last, &last->second);
            taken[2] = tally_take(last, &last->first);
            tally_store(last, &last->second, taken[1]);
            tally_store(given, &given->second, last);
        }
        run_over(heap, weight);
        heap_check(heap);
        assert_int_equal(finalized, 1);
        assert_int_equal(heap_live(heap), live);
        for (int i = 0; i < 3; i++)
            if (taken[i])
                drop(heap, taken[i]);
        drop(heap, given);
        collect_all(heap);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
    assert_true(seen >= 3);
}

/* While the trash is counted again the program drops something whose end collects: nobody can tell what the
 * dying still hold, and all of the trash lives on. */
static void collect_at_the_end(void *object)
{
    tally_collect(tally_heap_of(object), 2);
}

static void test_a_death_that_collects_while_trash_is_counted_again(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (enum phase phase = RUN_REST; phase <= RUN_MARK_REST; phase++) {
        struct tally_heap *heap = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
        struct pair *head = actor_make(heap, NULL, NULL), *last = head;
        struct pair *ending = disposer_make(heap, collect_at_the_end);
        acting(give);
        given = NULL;
        for (int i = 0; i < CELLS; i++) {
            struct pair *next = pair_make(heap, NULL, NULL);
            tally_store_steal(last, &last->first, next);
            last = next;
        }
        tally_store(last, &last->first, head);
        tally_decref(head);
        void *weight = run_due(heap);
        if (phase_reach(heap, phase)) {
            seen++;
            drop(heap, ending);
            heap_check(heap);
            size_t length = 1;
            for (struct pair *at = given->first; at != given; at = at->first)
                length++;
            assert_int_equal(length, CELLS + 1);
        } else {
            drop(heap, ending);
        }
        disposing = NULL;
        run_over(heap, weight);
        assert_int_equal(finalized, 1);
        assert_int_equal(heap_live(heap), CELLS + 1);
        drop(heap, given);
        collect_all(heap);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
    assert_true(seen > 0);
}

/* More waits to be marked than the mark stack holds, and then some of it is taken, and some dies: a chain each
 * of whose links is found last of what its holder refers to. */
static void test_a_full_mark_stack(void **state)
{
    (void)state;
    enum { LINKS = 300, EACH = 256, MANY = LINKS * EACH };
    for (enum tally_manager manager = TALLY_MANAGER_CYCLE; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
        struct wide *root = wide_make(heap, EACH), *link = root, *last = root;
        for (size_t i = 0; i < LINKS; i++) {
            struct wide *next = wide_make(heap, EACH);
            for (size_t j = 0; j + 1 < EACH; j++)
                tally_store_steal(link, &link->slots[j], pair_make(heap, NULL, NULL));
            tally_store_steal(link, &link->slots[EACH - 1], next);
            last = link;
            link = next;
        }
        tally_decref(tally_dup(root));
        void *weight = run_due(heap);
        bool full = false;
        while (!full && tally_step(heap, 0))
            full = heap->run.phase == RUN_MARK && heap->mark_count == MARK_STACK_ENTRIES;
        assert_true(full);
        struct page *page = page_of(last->slots[0]);
        uint32_t slot = slot_of(page, last->slots[0]); /* has not been come by */
        assert_false(bit_get(bits_of(page, BIT_ALIVE), slot));
        struct pair *deepest = tally_take(last, &last->slots[0]);
        assert_true(bit_get(bits_of(page, BIT_PENDING), slot));
        tally_decref(deepest);
        run_over(heap, weight);
        heap_check(heap);
        assert_int_equal(heap_live(heap), MANY);
        drop(heap, root);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

/* ---- large objects, whose slots are gone through in more than one slice */

static void test_a_large_key_of_a_weak_map_in_slices(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_CYCLE; manager <= TALLY_MANAGER_FULL; manager++)
        for (int alive = 0; alive < 2; alive++) {
            struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
            void *map = tally_weakmap_new(heap);
            struct wide *key = wide_full(heap, 2000);
            struct pair *value = pair_make(heap, key, NULL);
            assert_int_equal(tally_weakmap_set(map, key, value), 0);
            tally_decref(value);
            if (alive)
                tally_decref(tally_dup(key));
            else
                tally_decref(key);
            run_once(heap);
            assert_int_equal(tally_weakmap_count(map), alive);
            if (alive)
                tally_decref(key);
            collect_all(heap);
            assert_int_equal(tally_weakmap_count(map), 0);
            drop(heap, map);
            assert_int_equal(heap_live(heap), 0);
            tally_heap_free(heap);
        }
}

static void test_a_large_object_dies_while_it_is_gone_through(void **state)
{
    (void)state;
    unsigned died = 0;
    for (enum tally_manager manager = TALLY_MANAGER_CYCLE; manager <= TALLY_MANAGER_FULL; manager++)
        for (enum phase phase = RUN_MERGE; phase <= RUN_MARK; phase++) {
            struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
            struct wide *wide = wide_make(heap, 5000);
            for (size_t i = 0; i < 5000; i++)
                tally_store_steal(wide, &wide->slots[i], pair_make(heap, NULL, NULL));
            tally_decref(tally_dup(wide));
            void *weight = run_due(heap);
            bool there = phase_reach(heap, phase);
            while (there && heap->run.phase == phase && heap->run.open != wide)
                tally_step(heap, 0);
            died += there && heap->run.phase == phase;
            tally_decref(wide);
            run_over(heap, weight);
            assert_int_equal(heap_live(heap), 0);
            tally_heap_free(heap);
        }
    assert_true(died >= 3);
}

/* ---- types with traverse, in slices */

/* With external slots as well as a traverse, of more than a chunk. */
struct mixed {
    struct pair pair;
    void **slots;
    size_t count;
};

static void mixed_dispose(void *object)
{
    free(((struct mixed *)object)->slots);
}

static void mixed_body(struct tally_heap *heap)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(
            tally_type_register(
                &(struct tally_type_info){.name = "mixed",
                                          .size = sizeof(struct mixed),
                                          .has_external = true,
                                          .dispose = mixed_dispose,
                                          .external_pointer_offset = offsetof(struct mixed, slots),
                                          .external_length_offset = offsetof(struct mixed, count),
                                          .traverse = pair_traverse},
                &type),
            0);
    struct mixed *mixed = tally_new(heap, type);
    mixed->slots = calloc(1000, sizeof *mixed->slots);
    mixed->count = 1000;
    for (size_t i = 0; i < mixed->count; i++)
        tally_store_steal(mixed, &mixed->slots[i], pair_make(heap, NULL, NULL));
    struct pair *pair = tally_new(heap, traversed_type());
    tally_store(pair, &pair->second, pair);
    tally_store_steal(mixed, &mixed->pair.first, pair);
    tally_store(mixed, &mixed->pair.second, mixed);
    tally_decref(mixed);
    assert_int_equal(collect_all(heap), 1002);
}

static void test_traverse_beside_slots(void **state)
{
    (void)state;
    each_round(mixed_body);
}

/* The dead's traverse gives references to what lives on: candidates, or not. */
static void traverse_body(struct tally_heap *heap)
{
    struct pair *live = pair_make(heap, NULL, NULL), *suspect = pair_make(heap, NULL, NULL);
    void *leaf = tally_new(heap, weight_type());
    tally_decref(tally_dup(suspect));
    struct pair *holder = tally_new(heap, traversed_type()), *other = tally_new(heap, traversed_type());
    tally_store(holder, &holder->first, live);
    tally_store(holder, &holder->second, suspect);
    tally_store(other, &other->first, leaf);
    tally_store_steal(other, &other->second, holder);
    drop(heap, other);
    assert_int_equal(heap_live(heap), 3);
    assert_int_equal(tally_refcount(live) + tally_refcount(suspect) + tally_refcount(leaf), 3);
    heap_check(heap);
    drop(heap, live);
    drop(heap, suspect);
    drop(heap, leaf);
}

static void test_traverse_of_the_dead(void **state)
{
    (void)state;
    each_round(traverse_body);
}

/* ---- many callbacks, in slices; and under SAVEALL */

static unsigned called;
static void on_clear(struct tally_heap *heap, void *weak, void *hold)
{
    (void)heap, (void)weak, (void)hold;
    called++;
}

static void callbacks_body(struct tally_heap *heap)
{
    enum { WEAKS = 3000 / ROUND_SCALE };
    struct wide *weaks = wide_make(heap, WEAKS);
    called = 0;
    for (size_t i = 0; i < WEAKS; i++) {
        struct pair *loop = pair_make(heap, NULL, NULL);
        tally_store_steal(weaks, &weaks->slots[i], tally_weak_new(heap, NULL, loop, on_clear, NULL));
        tally_store_steal(loop, &loop->first, loop);
    }
    collect_all(heap);
    assert_int_equal(called, WEAKS);
    drop(heap, weaks);
}

static void test_many_callbacks(void **state)
{
    (void)state;
    each_round(callbacks_body);
}

static void saveall_body(struct tally_heap *heap)
{
    enum { LOOPS = 3000 / ROUND_SCALE };
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    for (int i = 0; i < LOOPS; i++)
        loop_leave(heap);
    collect_all(heap);
    assert_int_equal(tally_garbage_count(heap), LOOPS);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
    assert_int_equal(tally_set_debug(heap, 0), 0);
    tally_garbage_clear(heap);
    collect_all(heap);
}

static void test_much_garbage_is_saved(void **state)
{
    (void)state;
    each_round(saveall_body);
}

/* ---- tables that are full */

static void test_a_garbage_list_that_is_full(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    struct pair *loop = loop_leave(heap);
    heap->garbage.first = RESERVE_ENTRIES;
    assert_int_equal(tally_collect(heap, 2), 0); /* nothing saved, nothing freed */
    heap->garbage.first = 0;
    assert_int_equal(tally_garbage_count(heap), 0);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(tally_refcount(loop), 1);
    assert_int_equal(tally_collect(heap, 2), 1);
    tally_set_debug(heap, 0);
    tally_garbage_clear(heap);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_a_finalizer_queue_that_is_full(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(NULL);
    assert_int_equal(tally_set_finalizer_queue(heap, true, NULL, NULL), 0);
    heap->due.first = RESERVE_ENTRIES;
    tally_decref(actor_make(heap, NULL, NULL)); /* at once */
    heap->due.first = 0;
    assert_int_equal(finalized, 1);
    assert_int_equal(heap_live(heap), 0);
    tally_decref(actor_make(heap, NULL, NULL));
    assert_int_equal(finalized, 1);
    assert_int_equal(tally_run_finalizers(heap, 5), 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* References to more objects than the hub table holds are more than 16 bits count: those live on. */
static void test_more_hubs_than_have_room(void **state)
{
    (void)state;
    enum { EXTRA = 66000 };
    struct tally_heap *heap = heap_make();
    struct wide *hubs = wide_make(heap, HUB_ENTRIES);
    for (size_t i = 0; i < HUB_ENTRIES; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        hubs->slots[i] = pair;
        *word_of(pair) += EXTRA * TALLY_COUNT_ONE;
    }
    struct pair *loop = loop_leave(heap);
    (void)loop;
    assert_int_equal(tally_collect(heap, 2), 1);
    for (size_t i = 0; i < HUB_ENTRIES; i++)
        *word_of(hubs->slots[i]) -= EXTRA * TALLY_COUNT_ONE;
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_decref(hubs);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A hub all of whose references come from garbage is garbage; one that a traverse reports too often is not.
 */
static void test_hubs_that_are_garbage(void **state)
{
    (void)state;
    enum { TIMES = 70000 };
    struct tally_heap *heap = heap_make();
    struct wide *wide = wide_make(heap, TIMES);
    struct pair *hub = pair_make(heap, wide, NULL);
    for (size_t i = 0; i < TIMES; i++)
        wide->slots[i] = tally_dup(hub);
    tally_decref(hub);
    tally_decref(wide);
    assert_int_equal(tally_collect(heap, 2), 2);
    wide = wide_make(heap, TIMES + 1);
    hub = pair_make(heap, wide, NULL);
    for (size_t i = 0; i <= TIMES; i++)
        wide->slots[i] = hub; /* the last without a count */
    *word_of(hub) += (TIMES - 1) * TALLY_COUNT_ONE;
    tally_decref(wide);
    assert_int_equal(tally_refcount(hub), TIMES);
#ifndef TALLY_DEBUG
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap_live(heap), 2);
#endif
    wide->slots[TIMES] = NULL;
    tally_decref(tally_dup(hub)); /* somebody looks again */
    assert_int_equal(tally_collect(heap, 2), 2);
    tally_heap_free(heap);
}

/* Finalizers make weak references to what dies with them: those read NULL in the end, and their callbacks
 * run. */
static struct wide *late;
static void refer(struct tally_heap *heap, void *object)
{
    const struct pair *actor = object;
    tally_store_steal(late, &late->slots[actor->number], tally_weak_new(heap, NULL, object, on_clear, NULL));
}

static void late_body(struct tally_heap *heap)
{
    enum { ACTORS = 600 };
    acting(refer);
    called = 0;
    late = wide_make(heap, ACTORS);
    for (uint64_t i = 0; i < ACTORS; i++) {
        struct pair *actor = actor_make(heap, NULL, NULL);
        actor->number = i;
        tally_store_steal(actor, &actor->first, actor);
    }
    assert_int_equal(collect_all(heap), ACTORS);
    assert_int_equal(finalized, ACTORS);
    assert_int_equal(called, ACTORS);
    drop(heap, late);
}

static void test_weak_references_that_finalizers_make(void **state)
{
    (void)state;
    each_round(late_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_touches_in_each_phase),
        cmocka_unit_test(test_trash_that_is_taken_while_it_is_counted_again),
        cmocka_unit_test(test_a_death_that_collects_while_trash_is_counted_again),
        cmocka_unit_test(test_a_full_mark_stack),
        cmocka_unit_test(test_a_large_key_of_a_weak_map_in_slices),
        cmocka_unit_test(test_a_large_object_dies_while_it_is_gone_through),
        cmocka_unit_test(test_traverse_beside_slots),
        cmocka_unit_test(test_traverse_of_the_dead),
        cmocka_unit_test(test_many_callbacks),
        cmocka_unit_test(test_much_garbage_is_saved),
        cmocka_unit_test(test_a_garbage_list_that_is_full),
        cmocka_unit_test(test_a_finalizer_queue_that_is_full),
        cmocka_unit_test(test_more_hubs_than_have_room),
        cmocka_unit_test(test_hubs_that_are_garbage),
        cmocka_unit_test(test_weak_references_that_finalizers_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
