/* Corners of dying: deaths in deaths, in slices, below callbacks, beside runs. */
#include "corners.h"

/* ---- finalizers in cascades */

static struct pair *kept;
static void keep(struct tally_heap *heap, void *object)
{
    (void)heap;
    kept = tally_dup(object);
}

static void resurrection_body(struct tally_heap *heap)
{
    acting(keep);
    kept = NULL;
    struct pair *outer = pair_make(heap, NULL, NULL), *actor = actor_make(heap, NULL, NULL);
    tally_store_steal(outer, &outer->first, actor);
    drop(heap, outer);
    assert_ptr_equal(kept, actor);
    assert_int_equal(heap_live(heap), 1);
    drop(heap, kept);
    assert_int_equal(finalized, 1);
}

static void test_a_child_lives_on(void **state)
{
    (void)state;
    each_round(resurrection_body);
}

/* A finalizer lets go of a long chain, in the middle of a cascade that is cut into slices: what it sets off
 * is cut as well. */
static void *long_chain;
static void let_go(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    if (long_chain) {
        void *chain = long_chain;
        long_chain = NULL;
        tally_decref(chain);
    }
}

static void long_body(struct tally_heap *heap)
{
    enum { LENGTH = 20000 / ROUND_SCALE };
    for (int at = 0; at < 3; at++) {
        acting(let_go);
        long_chain = chain_make(heap, LENGTH);
        struct pair *head = chain_make(heap, 300), *actor = actor_make(heap, NULL, NULL);
        tally_store_steal(actor, &actor->first, head);
        struct pair *last = pair_make(heap, NULL, NULL);
        tally_store_steal(last, &last->first, actor);
        tally_store_steal(last, &last->second, at ? chain_make(heap, (size_t)at * 127) : NULL);
        tally_decref(last);
        settle(heap);
        assert_int_equal(heap_live(heap), 0);
    }
}

static void test_a_finalizer_sets_off_a_long_death(void **state)
{
    (void)state;
    each_round(long_body);
}

/* Finalizers that set off finalizers, deeper than they nest. */
static void nest_body(struct tally_heap *heap)
{
    enum { DEPTH = 200 };
    acting(NULL);
    void *chain = NULL;
    for (int i = 0; i < DEPTH; i++)
        chain = actor_make(heap, NULL, chain);
    long_chain = NULL;
    for (struct pair *at = chain; at; at = at->second) /* each is the next one's only reference */
        if (at->second)
            tally_decref(at->second);
    drop(heap, chain);
    assert_int_equal(finalized, DEPTH);
}

static void test_deep_finalizers(void **state)
{
    (void)state;
    each_round(nest_body);
}

static void *nested[100];
static void let_go_of_next(struct tally_heap *heap, void *object)
{
    (void)heap;
    uint64_t at = ((struct pair *)object)->number;
    if (at)
        tally_decref(nested[at - 1]);
}

static void test_finalizers_that_nest_too_deep_wait(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (uint64_t i = 0; i < 100; i++) {
        struct pair *actor = actor_make(heap, NULL, NULL);
        actor->number = i;
        nested[i] = actor;
    }
    acting(let_go_of_next);
    tally_decref(nested[99]);
    assert_int_equal(finalized, 100);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* What waits under none dies with the heap, whatever it sets off. */
static void test_the_end_of_a_heap_under_none(void **state)
{
    (void)state;
    struct tally_heap *heap = round_heap(TALLY_MANAGER_CYCLE, ROUND_SHORTEST_US);
    acting(let_go);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    long_chain = chain_make(heap, 3000 / ROUND_SCALE);
    tally_decref(actor_make(heap, NULL, NULL));
    tally_decref(disposer_make(heap, NULL));
    assert_int_equal(finalized + disposed, 0);
    assert_false(tally_step(heap, 0)); /* nothing that may be done */
    tally_heap_free(heap);
    assert_int_equal(finalized, 1);
    assert_int_equal(disposed, 1);
}

/* A finalizer that is called where the slice is long over: what it sets off waits, and is done in later ones.
 */
static void let_go_of_second(struct tally_heap *heap, void *object)
{
    struct pair *actor = object;
    (void)heap;
    tally_clear(actor, &actor->second);
}

static void over_body(struct tally_heap *heap)
{
    acting(let_go_of_second);
    void *chain = NULL;
    for (int round = 0; round < 30; round++) {
        struct pair *actor = actor_make(heap, NULL, NULL);
        tally_store_steal(actor, &actor->first, chain);
        tally_store_steal(actor, &actor->second, chain_make(heap, 300));
        struct pair *outer = actor_make(heap, NULL, NULL);
        tally_store_steal(outer, &outer->second, actor); /* its finalizer lets go of an actor */
        chain = outer;
    }
    drop(heap, chain);
    assert_int_equal(finalized, 60);
}

static void test_finalizers_after_the_end_of_a_slice(void **state)
{
    (void)state;
    each_round(over_body);
}

/* Many that wait, and live on. */
static struct wide *survivors;
static void survive(struct tally_heap *heap, void *object)
{
    (void)heap;
    struct pair *actor = object;
    survivors->slots[actor->number] = tally_dup(object);
}

static void survive_body(struct tally_heap *heap)
{
    enum { ACTORS = 1000 };
    acting(survive);
    survivors = wide_make(heap, ACTORS);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), 0);
    for (uint64_t i = 0; i < ACTORS; i++) {
        struct pair *actor = actor_make(heap, NULL, NULL);
        actor->number = i;
        tally_decref(actor);
    }
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    tally_step(heap, 1000000); /* longer than they take, and than a look at the clock is apart */
    settle(heap);
    assert_int_equal(finalized, ACTORS);
    assert_int_equal(heap_live(heap), ACTORS + 1);
    heap_check(heap);
    drop(heap, survivors);
}

static void test_many_that_wait_live_on(void **state)
{
    (void)state;
    each_round(survive_body);
}

/* The end of a heap whose finalizers wait in the queue, with a pause budget that no longer counts. */
static void test_the_end_of_a_heap_with_a_queue(void **state)
{
    (void)state;
    struct tally_heap *heap = round_heap(TALLY_MANAGER_CYCLE, ROUND_SHORTEST_US);
    acting(let_go);
    assert_int_equal(tally_set_finalizer_queue(heap, true, NULL, NULL), 0);
    long_chain = chain_make(heap, 3000 / ROUND_SCALE);
    for (int i = 0; i < 3; i++)
        tally_decref(actor_make(heap, NULL, NULL));
    drop(heap, chain_make(heap, 10));
    assert_int_equal(finalized, 0);
    tally_heap_free(heap);
    assert_int_equal(finalized, 3);
}

/* An object without references that has a finalizer: queued at zero, it is nobody's member. */
static void test_a_queued_leaf(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type;
    assert_int_equal(
        tally_type_register(&(struct tally_type_info){.name = "leaf", .size = 24, .finalize = actor_finalize},
                            &type),
        0);
    acting(NULL);
    assert_int_equal(tally_set_finalizer_queue(heap, true, NULL, NULL), 0);
    tally_decref(tally_new(heap, type));
    heap_check(heap);
    assert_int_equal(finalized, 0);
    assert_int_equal(tally_run_finalizers(heap, 1), 1);
    assert_int_equal(finalized, 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* A child gives its dying parent back once more: reported, and the parent dies once. */
static unsigned decrefs;
static struct pair *parent;
static void on_decref_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    decrefs += report->kind == TALLY_REPORT_DECREF;
}
static void give_back_parent(void *object)
{
    (void)object;
    tally_decref(parent);
}

static void test_a_dying_parent_is_given_back(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    tally_set_report(heap, on_decref_report, NULL);
    decrefs = 0;
    for (int slot = 0; slot < 2; slot++) {
        parent = pair_make(heap, NULL, NULL);
        tally_store_steal(parent, slot ? &parent->second : &parent->first,
                          disposer_make(heap, give_back_parent));
        tally_decref(parent);
        assert_int_equal(decrefs, slot + 1);
        assert_int_equal(heap_live(heap), 0);
        heap_check(heap);
    }
    tally_heap_free(heap);
}

/* ---- below dispose: the library may be called, and refuses what it must */

static struct tally_heap *here;
static void ask_everything(void *object)
{
    (void)object;
    void *moved;
    char message[100];
    assert_int_equal(tally_verify(here, message, sizeof message), 0);
    assert_int_equal(tally_unexplained(here, NULL, NULL), 0);
    assert_int_equal(tally_transfer(here, object, &moved, NULL), TALLY_EINVAL);
    assert_true(tally_step(here, UINT64_MAX));
    assert_int_equal(tally_set_manager(here, TALLY_MANAGER_FULL), TALLY_EBUSY);
    assert_null(tally_weak_lock(tally_weak_new(here, NULL, object, NULL, NULL)));
    for (int i = 0; i < 3000; i++)
        tally_decref(tally_new(here, pair_type()));
}

static void test_questions_below_dispose(void **state)
{
    (void)state;
    here = heap_make();
    tally_set_thresholds(here, (uint32_t[]){5, 1, 1});
    tally_enable(here);
    struct pair *disposer = disposer_make(here, ask_everything), *outer = pair_make(here, NULL, NULL);
    tally_store_steal(outer, &outer->first, disposer);
    for (int i = 0; i < 100; i++) /* something is due */
        loop_leave(here);
    tally_decref(outer);
    assert_int_equal(disposed, 1);
    tally_collect(here, 2);
    assert_int_equal(heap_live(here), 1); /* the weak reference */
    tally_heap_free(here);
}

static void move_it(void *object)
{
    struct tally_heap *other = heap_make();
    struct pair *pair = pair_make(here, NULL, NULL), *theirs = pair_make(other, NULL, NULL);
    void *moved;
    (void)object;
    assert_int_equal(tally_transfer(other, pair, &moved, NULL), TALLY_EBUSY);
    assert_int_equal(tally_transfer(here, theirs, &moved, NULL), TALLY_EBUSY);
    tally_decref(pair);
    tally_decref(theirs);
    tally_heap_free(other);
}

static void move_it_in_a_run(struct tally_heap *heap, void *object)
{
    (void)heap;
    move_it(object);
}

static void test_nothing_moves_below_callbacks(void **state)
{
    (void)state;
    here = heap_make();
    tally_decref(disposer_make(here, move_it));
    assert_int_equal(disposed, 1);
    acting(move_it_in_a_run);
    struct pair *actor = actor_make(here, NULL, NULL);
    tally_store_steal(actor, &actor->first, actor);
    assert_int_equal(tally_collect(here, 2), 1);
    assert_int_equal(finalized, 1);
    tally_heap_free(here);
}

/* A death between two slices of a run that counts its trash again asks for a collection: the run spares its
 * trash, which the collection, or the next one, finds. */
static void collect_now(void *object)
{
    (void)object;
    assert_true(tally_collect(here, 2) >= 0);
}

static void test_a_collection_in_a_death_beside_a_run(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned round = RUN_UNFLAG; round < 2 * RUN_END; round++) {
        enum phase phase = (enum phase)(round % RUN_END);
        bool direct = round > RUN_END; /* as well without a death */
        if (!phase)
            continue;
        here = round_heap(TALLY_MANAGER_FULL, ROUND_SHORTEST_US);
        acting(NULL);
        struct pair *disposer = disposer_make(here, collect_now), *head = actor_make(here, NULL, NULL),
                    *last = head;
        for (int i = 0; i < 4000 / ROUND_SCALE; i++) {
            struct pair *next = pair_make(here, NULL, NULL);
            tally_store_steal(last, &last->first, next);
            last = next;
        }
        tally_store_steal(last, &last->first, head);
        void *weight = run_due(here);
        seen += phase_reach(here, phase);
        if (direct)
            assert_true(tally_collect(here, 2) >= 0);
        tally_decref(disposer);
        settle(here);
        run_over(here, weight);
        assert_int_equal(disposed, 1);
        tally_collect(here, 2);
        heap_check(here);
        assert_int_equal(finalized, 1);
        assert_int_equal(heap_live(here), 0);
        tally_heap_free(here);
    }
    assert_true(seen > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_lives_on),
        cmocka_unit_test(test_a_finalizer_sets_off_a_long_death),
        cmocka_unit_test(test_deep_finalizers),
        cmocka_unit_test(test_finalizers_that_nest_too_deep_wait),
        cmocka_unit_test(test_the_end_of_a_heap_under_none),
        cmocka_unit_test(test_finalizers_after_the_end_of_a_slice),
        cmocka_unit_test(test_many_that_wait_live_on),
        cmocka_unit_test(test_the_end_of_a_heap_with_a_queue),
        cmocka_unit_test(test_a_queued_leaf),
        cmocka_unit_test(test_a_dying_parent_is_given_back),
        cmocka_unit_test(test_questions_below_dispose),
        cmocka_unit_test(test_nothing_moves_below_callbacks),
        cmocka_unit_test(test_a_collection_in_a_death_beside_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
