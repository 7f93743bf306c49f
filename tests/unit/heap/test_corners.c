/* Corners: what is handed out, stored or asked for in each phase of a run, and at the ends of the library's
 * own tables. White box: a phase is stepped to, a table is said to be full. */
#include <pthread.h>

#include "heap/internal.h"
#include "rounds.h"

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
            tally_store_steal(given, &given->second, last);
            tally_incref(last);
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

/* More waits to be marked than the mark stack holds, and then some of it is taken, and some dies. */
static void test_a_full_mark_stack(void **state)
{
    (void)state;
    enum { MANY = 70000 };
    for (enum tally_manager manager = TALLY_MANAGER_CYCLE; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
        struct wide *root = wide_make(heap, MANY);
        for (size_t i = 0; i < MANY; i++)
            tally_store_steal(root, &root->slots[i], pair_make(heap, NULL, NULL));
        tally_decref(tally_dup(root));
        void *weight = run_due(heap);
        bool full = false;
        while (!full && tally_step(heap, 0))
            full = heap->run.phase == RUN_MARK && heap->mark_count == MARK_STACK_ENTRIES;
        assert_true(full);
        struct pair *last = tally_take(root, &root->slots[MANY - 1]);
        tally_store_steal(root, &root->slots[0], last);
        size_t at = heap->run.at;
        assert_true(at > MARK_STACK_ENTRIES && at < MANY);
        tally_clear(root, &root->slots[at - 1]);
        run_over(heap, weight);
        heap_check(heap);
        assert_int_equal(heap_live(heap), MANY - 1);
        drop(heap, root);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

/* ---- large objects, whose slots are gone through in more than one slice */

static struct wide *wide_full(struct tally_heap *heap, size_t length)
{
    struct wide *wide = wide_make(heap, length);
    for (size_t i = 0; i < length; i++)
        tally_store_steal(wide, &wide->slots[i], pair_make(heap, wide, NULL));
    return wide;
}

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

static void pair_traverse(void *object, tally_slot_fn visit, void *arg)
{
    struct pair *pair = object;
    visit(&pair->first, arg);
    visit(&pair->second, arg);
}

static const struct tally_type *traversed_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "traversed",
                                                                       .size = sizeof(struct pair),
                                                                       .traverse = pair_traverse},
                                             &type),
                         0);
    return type;
}

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

/* ---- callbacks that do what they should not */

static int reports[16];
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    reports[report->kind]++;
}

static void end_heap(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_heap_free(heap);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), TALLY_EBUSY);
    assert_int_equal(tally_heap_disown(heap), TALLY_EBUSY);
    assert_int_equal(tally_park(heap), TALLY_EBUSY);
    assert_true(tally_step(heap, 0));
}

static void test_a_finalizer_frees_its_heap(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    acting(end_heap);
    tally_decref(actor_make(heap, NULL, NULL)); /* in a death */
    assert_int_equal(reports[TALLY_REPORT_CALLBACK], 1);
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    assert_int_equal(tally_collect(heap, 2), 1); /* in a collection */
    assert_int_equal(reports[TALLY_REPORT_CALLBACK], 2);
    actor = actor_make(heap, NULL, NULL); /* at the heap's end */
    acting(NULL);
    tally_set_report(heap, on_report, NULL);
    tally_heap_free(heap);
    assert_int_equal(finalized, 1);
}

static void free_at_the_end(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_heap_free(heap);
}

static void test_the_last_finalizer_frees_its_heap_again(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    acting(free_at_the_end);
    actor_make(heap, NULL, NULL); /* its reference is never given back */
    tally_heap_free(heap);
    assert_int_equal(finalized, 1);
    assert_int_equal(reports[TALLY_REPORT_CALLBACK], 1);
    assert_int_equal(reports[TALLY_REPORT_LEAK], 1);
}

static void lose_one(struct tally_heap *heap, void *object)
{
    (void)object;
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_decref(tally_dup(pair)); /* every decref to non-zero would collect */
    tally_decref(pair);
    for (int i = 0; i < 10; i++) /* every allocation would */
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(tally_extern_bytes(object, 1 << 30), 0);
}

static void test_stress_does_not_nest(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(lose_one);
    tally_set_stress(heap, 1, true);
    tally_decref(actor_make(heap, NULL, NULL));
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(finalized, 2);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_REFCOUNT), 0);
    loop_leave(heap);
    for (int i = 0; i < 5; i++)
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(heap_live(heap), 1); /* no collection under refcount */
    tally_set_stress(heap, 0, false);
    tally_heap_free(heap);
}

/* The finalizers of garbage take the rest off the list while it is cleared. */
static void clear_garbage(struct tally_heap *heap, void *object)
{
    (void)object;
    tally_garbage_clear(heap);
}

static void test_the_garbage_list_is_cleared_by_what_is_on_it(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    acting(NULL);
    struct pair *actors[3];
    for (int i = 0; i < 3; i++) {
        actors[i] = actor_make(heap, NULL, NULL);
        tally_store_steal(actors[i], &actors[i]->first, actors[i]);
    }
    assert_int_equal(tally_collect(heap, 2), 3);
    assert_int_equal(finalized, 3);
    tally_set_debug(heap, 0);
    for (int i = 0; i < 3; i++) {
        tally_store_steal(actors[i], &actors[i]->second, actor_make(heap, NULL, NULL));
        tally_clear(actors[i], &actors[i]->first);
    }
    acting(clear_garbage);
    tally_garbage_clear(heap);
    assert_int_equal(finalized, 3);
    assert_int_equal(tally_garbage_count(heap), 0);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* ---- thresholds and triggers at their ends */

static void test_thresholds_of_zero(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = heap_make();
        tally_set_manager(heap, manager);
        assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){0, 0, 0}), 0);
        tally_enable(heap);
        for (int i = 0; i < 3000; i++)
            loop_leave(heap);
        assert_int_equal(heap_live(heap), 3000); /* 0: never by itself */
        assert_int_equal(tally_collect(heap, 2), 3000);
        assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){100, 0, 0}), 0);
        for (int i = 0; i < 3000; i++)
            loop_leave(heap);
        assert_true(heap_live(heap) < 2000);
        tally_heap_free(heap);
    }
}

/* A full run waits until a quarter of what lives long is new. */
static void test_a_full_run_waits_for_growth(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL);
    struct wide *old = wide_full(heap, 20000);
    tally_collect(heap, 2);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){10, 1, 1}), 0);
    tally_enable(heap);
    uint64_t full = heap_stats(heap).generations[2].collections,
             middle = heap_stats(heap).generations[1].collections;
    struct pair *pairs[1000];
    for (int i = 0; i < 1000; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    assert_int_equal(heap_stats(heap).generations[2].collections, full);
    assert_true(heap_stats(heap).generations[1].collections > middle + 10);
    for (int i = 0; i < 1000; i++)
        tally_decref(pairs[i]);
    tally_decref(old);
    tally_heap_free(heap);
}

/* Something deferred is looked for when memory grows, even where objects do not. */
static void test_native_memory_makes_a_deferred_run_due(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *loop = loop_leave(heap);
    tally__candidate_take(heap, page_of(loop),
                          slot_of(page_of(loop), loop)); /* as if a barrier had hidden it */
    heap->deferred = true;
    void *weight = tally_new(heap, weight_type());
    tally_enable(heap);
    tally_decref(tally_new(heap, weight_type()));
    assert_int_equal(heap_live(heap), 2);
    assert_int_equal(tally_extern_bytes(weight, 1 << 30), 0);
    for (int i = 0; i < 10; i++)
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(heap_live(heap), 1);
    tally_decref(weight);
    tally_heap_free(heap);
}

static bool greedy(struct tally_heap *heap, size_t bytes, void *arg)
{
    (void)bytes;
    ++*(int *)arg;
    assert_null(tally_new_array(heap, (const struct tally_type *)tally_heap_user(heap),
                                1 << 20)); /* not asked again */
    return false;
}

/* Out of memory under refcount: no collection; the hook is asked once, not by what it does itself. */
static void test_the_memory_hook_is_not_asked_by_itself(void **state)
{
    (void)state;
    const struct tally_type *bytes = bytes_type();
    struct tally_heap_options options = {
        .manager = TALLY_MANAGER_REFCOUNT, .user = (void *)(uintptr_t)bytes, .memory_limit_bytes = 1 << 20};
    struct tally_heap *heap;
    int asked = 0;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    tally_set_memory_hook(heap, greedy, &asked);
    assert_null(tally_new_array(heap, bytes, 1 << 20));
    assert_int_equal(asked, 1);
    void *weight = tally_new(heap, weight_type());
    assert_int_equal(tally_extern_bytes(weight, 1 << 21), 0); /* past the limit already */
    assert_null(tally_new_array(heap, bytes, 1 << 17));
    assert_int_equal(asked, 2);
    heap_check(heap);
    tally_decref(weight);
    tally_heap_free(heap);
}

/* At the limit, a finalizer's request takes the pages that were kept empty. */
static void *in_finalizer;
static void allocate_large(struct tally_heap *heap, void *object)
{
    (void)object;
    in_finalizer = tally_new_array(heap, tally_heap_user(heap), 100000);
}

static void test_spare_pages_go_to_a_finalizer(void **state)
{
    (void)state;
    const struct tally_type *bytes = bytes_type();
    struct tally_heap *heap;
    struct tally_heap_options options = {.user = (void *)(uintptr_t)bytes};
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    tally_disable(heap);
    struct pair *actor = actor_make(heap, NULL, NULL), *many[20000];
    tally_store_steal(actor, &actor->first, actor);
    for (int i = 0; i < 20000; i++)
        many[i] = pair_make(heap, NULL, NULL);
    for (int i = 0; i < 20000; i++)
        tally_decref(many[i]);
    assert_true(heap->spare_count >= 2);
    tally_set_memory_limit(heap, heap->mapped_bytes);
    acting(allocate_large);
    in_finalizer = NULL;
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_non_null(in_finalizer);
    tally_decref(in_finalizer);
    tally_heap_free(heap);
}

/* ---- pages */

static void *crooked_map(size_t bytes, void *arg)
{
    (void)arg;
    return (char *)aligned_alloc(65536, bytes + 65536) + 8;
}
static unsigned unmapped;
static void crooked_unmap(void *memory, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    free((char *)memory - 8);
    unmapped++;
}

static void test_pages_that_are_not_aligned_are_refused(void **state)
{
    (void)state;
    struct tally_page_hooks hooks = {.map = crooked_map, .unmap = crooked_unmap};
    struct tally_heap *heap;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
    unmapped = 0;
    assert_null(tally_new(heap, pair_type()));
    assert_true(unmapped >= 1); /* each is given back */
    tally_heap_free(heap);
}

static int count_type(const struct tally_unexplained *found, void *arg)
{
    assert_int_equal(found->objects, 1);
    ++*(unsigned *)arg;
    return 0;
}

/* Pages have come and gone: their places in the table are empty, and everything passes over them. */
static void test_holes_in_the_page_table(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    enum { PAIRS = 20000 };
    struct pair **pairs = calloc(PAIRS, sizeof *pairs);
    void *large = wide_make(heap, 100000);
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    void *last = wide_make(heap, 100000);
    uint64_t id = tally_object_id(pairs[PAIRS / 2]);
    const void *place = pairs[PAIRS / 2];
    assert_ptr_equal(tally_object_at(heap, (char *)last + 700000), last);
    for (int i = 0; i < PAIRS; i++)
        tally_decref(pairs[i]);
    tally_decref(large);
    free(pairs);
    tally_trim(heap);
    bool hole = false;
    for (uint32_t i = 0; i < heap->page_count; i++)
        hole |= !heap->pages[i];
    assert_true(hole);
    assert_null(tally_object_by_id(heap, id));
    assert_null(tally_object_at(heap, place));
    tally_freeze(heap);
    assert_int_equal(tally_freeze_count(heap), 1);
    tally_unfreeze(heap);
    unsigned types = 0;
    assert_int_equal(tally_unexplained(heap, count_type, &types), 0);
    assert_int_equal(types, 1);
    loop_leave(heap);
    assert_int_equal(tally_set_max_pause(heap, ROUND_SHORTEST_US), 0);
    void *weight = run_due(heap);
    assert_true(phase_reach(heap, RUN_MERGE) || phase_reach(heap, RUN_EXPLORE) || true);
    assert_int_equal(tally_collect(heap, 2) >= 0, true); /* abandons what has begun */
    run_over(heap, weight);
    heap_check(heap);
    drop(heap, last);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* Between an object's end and its slot's, and where no object has been yet, there is none. */
static void test_addresses_past_an_object(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *bytes = bytes_type();
    unsigned slack = 0;
    for (size_t length = 0; length < 2000; length += 8) {
        char *object = tally_new_array(heap, bytes, length);
        const struct page *page = page_of(object);
        assert_ptr_equal(tally_object_at(heap, object + 8 + length - 1), object);
        if (page->slot_bytes >= tally_size(object) + 16) {
            slack++;
            assert_null(tally_object_at(heap, object + tally_size(object)));
        }
        assert_null(tally_object_at(heap, page->bump - 1));
        tally_decref(object);
    }
    assert_true(slack > 10);
    void *large = wide_make(heap, 100000);
    assert_null(tally_object_at(heap, (char *)large + tally_size(large)));
    tally_decref(large);
    tally_heap_free(heap);
}

/* ---- odds */

static void *foreign(void *arg)
{
    void **work = arg; /* heap, type, array type, pair, other heap */
    struct tally_heap *heap = work[0];
    void *moved;
    assert_null(tally_new_array(heap, work[2], 100000));
    assert_int_equal(tally_collect(heap, 2), TALLY_ETHREAD);
    assert_true(tally_step(heap, 0));
    assert_int_equal(tally_transfer(work[4], work[3], &moved, NULL), TALLY_ETHREAD);
    assert_int_equal(tally_heap_disown(heap), TALLY_ETHREAD);
    assert_int_equal(tally_park(heap), TALLY_ETHREAD);
    assert_int_equal(tally_unpark(heap), TALLY_ETHREAD);
    tally_heap_free(heap);
    struct tally_heap *own = NULL;
    if (!tally_heap_new(TALLY_ABI, NULL, &own)) {
        void *pair = tally_new(own, pair_type());
        assert_int_equal(tally_transfer(heap, pair, &moved, NULL), TALLY_ETHREAD);
        tally_decref(pair);
        tally_heap_free(own);
    }
    return NULL;
}

static void test_another_thread_is_refused(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make(), *other = heap_make();
    memset(reports, 0, sizeof reports);
    tally_set_report(heap, on_report, NULL);
    tally_set_report(other, on_report, NULL);
    struct wide *wide = wide_make(heap, 1);
    struct pair *pair = pair_make(heap, NULL, NULL);
    void *work[] = {heap, NULL, (void *)(uintptr_t)tally_type_of(wide), pair, other};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, foreign, work), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reports[TALLY_REPORT_THREAD], 9);
    assert_int_equal(heap_live(heap), 2);
    tally_decref(wide);
    tally_decref(pair);
    tally_heap_free(other);
    tally_heap_free(heap);
}

/* A run that passed an object over while it was under construction has not made it old. */
static void test_what_was_under_construction_is_young(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_manager(heap, TALLY_MANAGER_GENERATIONAL);
    struct pair *pair = tally_construct(heap, pair_type(), 0);
    while (heap->hot.current[page_of(pair)->class_index] == page_of(pair))
        tally_new(heap, pair_type());
    tally_collect(heap, 2);
    heap_check(heap);
    tally_store(pair, &pair->first, pair);
    tally_publish(pair);
    heap_check(heap);
    assert_int_equal(tally_generation(pair), 0);
    tally_decref(pair);
    assert_int_equal(tally_collect(heap, 0), 1);
    tally_heap_free(heap);
}

static void test_construction_and_immortality_of_what_is_not_tracked(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    void *leaf = tally_construct(heap, weight_type(), 0);
    tally_publish(leaf);
    assert_int_equal(heap->candidate_count, 0);
    struct pair *loop = tally_construct(heap, pair_type(), 0);
    tally_store_steal(loop, &loop->first, loop);
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_publish(loop);
    assert_int_equal(tally_collect(heap, 2), 1);
    tally_immortalize(leaf);
    assert_true(tally_is_immortal(leaf));
    tally_immortalize(leaf);
    tally_decref(leaf);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
    tally_heap_free(heap);
}

/* A pinned object that is given back too often is gone, and so is its pin. */
static void test_a_pinned_object_that_dies_all_the_same(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL);
    assert_int_equal(tally_pin(pair), 0);
    tally_decref(pair);
    tally_decref(pair);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(heap->pins.count, 0);
    tally_heap_free(heap);
}

static void test_unexplained_references_past_lists(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    acting(NULL);
    assert_int_equal(tally_set_finalizer_queue(heap, true, NULL, NULL), 0);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    tally_decref(actor_make(heap, NULL, NULL));
    loop_leave(heap);
    assert_int_equal(tally_collect(heap, 2), 1);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0); /* the queue's and the list's are known */
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    struct pair *waiting = pair_make(heap, NULL, NULL);
    tally_store_steal(waiting, &waiting->first, pair_make(heap, NULL, NULL));
    tally_decref(waiting);
    assert_int_equal(tally_unexplained(heap, NULL, NULL), 0);
    assert_int_equal(tally_run_finalizers(heap, 5), 1);
    tally_set_debug(heap, 0);
    tally_heap_free(heap);
}

/* While room is made for an entry, a collection's finalizer sets the same key. */
static void *weak_map, *weak_key;
static void set_the_key(struct tally_heap *heap, void *object)
{
    (void)heap;
    assert_int_equal(tally_weakmap_set(weak_map, weak_key, object), 0);
}

static void test_a_key_that_is_set_while_it_is_set(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *key = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    weak_map = tally_weakmap_new(heap);
    weak_key = key;
    acting(set_the_key);
    struct pair *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    tally_set_stress(heap, 1, false);
    assert_int_equal(tally_weakmap_set(weak_map, key, value), 0);
    tally_set_stress(heap, 0, false);
    assert_int_equal(finalized, 1);
    assert_int_equal(tally_weakmap_count(weak_map), 1);
    void *got = tally_weakmap_get(weak_map, key);
    assert_ptr_equal(got, value);
    tally_decref(got);
    heap_check(heap);
    assert_true(tally_weakmap_remove(weak_map, key));
    assert_int_equal(tally_weakmap_count(weak_map), 0);
    tally_decref(weak_map);
    tally_decref(key);
    tally_decref(value);
    tally_collect(heap, 2);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_touches_in_each_phase),
        cmocka_unit_test(test_trash_that_is_taken_while_it_is_counted_again),
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
        cmocka_unit_test(test_a_finalizer_frees_its_heap),
        cmocka_unit_test(test_the_last_finalizer_frees_its_heap_again),
        cmocka_unit_test(test_stress_does_not_nest),
        cmocka_unit_test(test_the_garbage_list_is_cleared_by_what_is_on_it),
        cmocka_unit_test(test_thresholds_of_zero),
        cmocka_unit_test(test_a_full_run_waits_for_growth),
        cmocka_unit_test(test_native_memory_makes_a_deferred_run_due),
        cmocka_unit_test(test_the_memory_hook_is_not_asked_by_itself),
        cmocka_unit_test(test_spare_pages_go_to_a_finalizer),
        cmocka_unit_test(test_pages_that_are_not_aligned_are_refused),
        cmocka_unit_test(test_holes_in_the_page_table),
        cmocka_unit_test(test_addresses_past_an_object),
        cmocka_unit_test(test_another_thread_is_refused),
        cmocka_unit_test(test_what_was_under_construction_is_young),
        cmocka_unit_test(test_construction_and_immortality_of_what_is_not_tracked),
        cmocka_unit_test(test_a_pinned_object_that_dies_all_the_same),
        cmocka_unit_test(test_unexplained_references_past_lists),
        cmocka_unit_test(test_a_key_that_is_set_while_it_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
