/* The traps of finalizers: what they see, what they bring back, and what they set off. Numbers 10 to 17 of
 * the list of traps that other collectors fell into. */
#include "rounds.h"

static struct pair *saved;
static void save_self(struct tally_heap *heap, void *object)
{
    (void)heap;
    saved = tally_dup(object);
}

/* saver <-> friend -> tail, beside 100 loops. */
static void resurrection(struct tally_heap *heap)
{
    acting(save_self);
    struct pair *tail = pair_make(heap, NULL, NULL), *saver = actor_make(heap, NULL, NULL),
                *friend = pair_make(heap, saver, tail);
    tail->number = 7;
    tally_store(saver, &saver->first, friend);
    drop(heap, tail);
    drop(heap, friend);
    for (int i = 0; i < 100; i++)
        loop_leave(heap);
    drop(heap, saver);
    assert_int_equal(collect_all(heap), 100);
    assert_ptr_equal(saved, saver);
    assert_ptr_equal(saver->first, friend);
    assert_ptr_equal(friend->first, saver);
    assert_int_equal(((struct pair *)friend->second)->number, 7);
    assert_int_equal(tally_refcount(saver), 2);
    assert_int_equal(tally_refcount(friend), 1);
    assert_int_equal(tally_refcount(tail), 1);
    assert_true(tally_is_finalized(saver));
    assert_int_equal(heap_live(heap), 3);
    drop(heap, saver);
    assert_int_equal(collect_all(heap), 3);
    assert_int_equal(finalized, 1);
}

static void test_trap_10_resurrected_object_keeps_what_it_reaches(void **state)
{
    (void)state;
    each_round(resurrection);
}

static void second_deaths(struct tally_heap *heap)
{
    for (int cycle = 0; cycle < 2; cycle++) {
        acting(save_self);
        struct pair *object = actor_make(heap, NULL, NULL);
        if (cycle)
            tally_store(object, &object->first, object);
        saved = NULL;
        drop(heap, object);
        assert_int_equal(collect_all(heap), 0);
        assert_ptr_equal(saved, object);
        saved = NULL;
        drop(heap, object);
        assert_int_equal(collect_all(heap), cycle);
        assert_null(saved);
        assert_int_equal(finalized, 1);
        assert_int_equal(heap_live(heap), 0);
    }
}

static void test_trap_11_resurrected_object_dies_later_without_its_finalizer(void **state)
{
    (void)state;
    each_round(second_deaths);
}

static void break_own_cycle(struct tally_heap *heap, void *object)
{
    (void)heap;
    tally_clear(object, &((struct pair *)object)->first);
}

/* It dies by count then, within the run, which has collected nothing. */
static void suicide(struct tally_heap *heap)
{
    acting(break_own_cycle);
    struct pair *object = actor_make(heap, NULL, NULL);
    tally_store_steal(object, &object->first, object);
    assert_int_equal(collect_all(heap), 0);
    assert_int_equal(finalized, 1);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(heap_stats(heap).frees_cycle, 0);
}

static void test_trap_12_finalizer_that_breaks_its_cycle_runs_once(void **state)
{
    (void)state;
    each_round(suicide);
}

/* ---- rings of plain, suicidal and resurrecting actors: first is the left neighbour, second the right one */

enum kind { PLAIN, SUICIDAL, RESURRECTING };
enum { LINKS = 12 };
static struct {
    enum kind kind;
    bool suicided;
    unsigned finalized;
} links[LINKS];
static void *survivors[LINKS];
static size_t survivor_count;

static void check_neighbour(const struct pair *self, const struct pair *neighbour, const void *back)
{
    if (links[neighbour->number].suicided)
        assert_null(back);
    else
        assert_ptr_equal(back, self);
}

static void link_finalize(struct tally_heap *heap, void *object)
{
    (void)heap;
    struct pair *self = object, *left = self->first, *right = self->second;
    links[self->number].finalized++;
    check_neighbour(self, left, left->second);
    check_neighbour(self, right, right->first);
    if (links[self->number].kind == SUICIDAL) {
        links[self->number].suicided = true;
        tally_clear(self, &self->first);
        tally_clear(self, &self->second);
    } else if (links[self->number].kind == RESURRECTING) {
        survivors[survivor_count++] = tally_dup(self);
    }
}

static void link_ring(struct tally_heap *heap)
{
    struct pair *ring[LINKS];
    for (uint64_t i = 0; i < LINKS; i++) {
        ring[i] = actor_make(heap, NULL, NULL);
        ring[i]->number = i;
    }
    for (size_t i = 0; i < LINKS; i++) {
        tally_store(ring[i], &ring[i]->second, ring[(i + 1) % LINKS]);
        tally_store(ring[(i + 1) % LINKS], &ring[(i + 1) % LINKS]->first, ring[i]);
    }
    for (size_t i = 0; i < LINKS; i++)
        tally_decref(ring[i]);
}

static void check_links(unsigned resurrecting)
{
    assert_int_equal(survivor_count, resurrecting);
    for (size_t i = 0; i < LINKS; i++)
        assert_int_equal(links[i].finalized, 1);
    for (size_t i = 0; i < survivor_count; i++) {
        const struct pair *self = survivors[i];
        check_neighbour(self, self->first, ((struct pair *)self->first)->second);
        check_neighbour(self, self->second, ((struct pair *)self->second)->first);
    }
}

static void mixed_ring(struct tally_heap *heap, const enum kind *pattern, size_t length)
{
    acting(link_finalize);
    memset(links, 0, sizeof links);
    survivor_count = 0;
    unsigned resurrecting = 0;
    for (size_t i = 0; i < LINKS; i++) {
        links[i].kind = pattern[i % length];
        resurrecting += links[i].kind == RESURRECTING;
    }
    link_ring(heap);
    collect_all(heap);
    check_links(resurrecting);
    if (!resurrecting)
        assert_int_equal(heap_live(heap), 0);
    for (size_t i = 0; i < survivor_count; i++)
        drop(heap, survivors[i]);
    collect_all(heap);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(finalized, LINKS);
}

static void mixed_rings(struct tally_heap *heap)
{
    mixed_ring(heap, (const enum kind[]){PLAIN}, 1);
    mixed_ring(heap, (const enum kind[]){SUICIDAL}, 1);
    mixed_ring(heap, (const enum kind[]){RESURRECTING}, 1);
    mixed_ring(heap, (const enum kind[]){PLAIN, SUICIDAL}, 2);
    mixed_ring(heap, (const enum kind[]){PLAIN, RESURRECTING}, 2);
    mixed_ring(heap, (const enum kind[]){SUICIDAL, RESURRECTING}, 2);
    mixed_ring(heap, (const enum kind[]){PLAIN, SUICIDAL, RESURRECTING}, 3);
    mixed_ring(heap, (const enum kind[]){PLAIN, PLAIN, RESURRECTING, SUICIDAL, SUICIDAL, RESURRECTING}, 6);
}

static void test_trap_13_mixed_ring_finalizes_each_once_and_sees_neighbours_whole(void **state)
{
    (void)state;
    each_round(mixed_rings);
}

/* ---- an edge that leaves the garbage while no count changes */

static struct pair *refuge;
static bool to_refuge;
static void smuggle(struct tally_heap *heap, void *object)
{
    (void)heap;
    struct pair *self = object;
    if (to_refuge)
        tally_move(refuge, &refuge->first, self, &self->second);
    else
        saved = tally_take(self, &self->second);
}

static void stolen_edges(struct tally_heap *heap)
{
    for (int way = 0; way < 2; way++) {
        acting(smuggle);
        to_refuge = way;
        saved = NULL;
        refuge = pair_make(heap, NULL, NULL);
        struct pair *thief = actor_make(heap, NULL, NULL), *goods = pair_make(heap, thief, NULL);
        goods->number = 5;
        tally_store_steal(thief, &thief->second, goods);
        drop(heap, thief);
        assert_int_equal(collect_all(heap), 0);
        const struct pair *found = way ? refuge->first : saved;
        assert_ptr_equal(found, goods);
        assert_ptr_equal(goods->first, thief);
        assert_null(thief->second);
        assert_int_equal(goods->number, 5);
        assert_int_equal(tally_refcount(goods), 1);
        assert_int_equal(tally_refcount(thief), 1);
        if (!way)
            drop(heap, goods);
        drop(heap, refuge);
        collect_all(heap);
        assert_int_equal(heap_live(heap), 0);
        assert_int_equal(finalized, 1);
    }
}

static void test_trap_14_edge_stolen_by_a_finalizer_is_seen_without_a_count(void **state)
{
    (void)state;
    each_round(stolen_edges);
}

/* ---- finalizers that make garbage */

static unsigned runs, open_runs;
static void count_runs(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)arg;
    if (info->stop) {
        open_runs--;
    } else {
        assert_int_equal(open_runs++, 0);
        runs++;
    }
}

static void leave_a_loop(struct tally_heap *heap, void *object)
{
    (void)object;
    loop_leave(heap);
}

static void leave_an_actor(struct tally_heap *heap, void *object)
{
    (void)object;
    struct pair *next = actor_make(heap, NULL, NULL);
    tally_store_steal(next, &next->first, next);
}

static void many_that_make_garbage(struct tally_heap *heap)
{
    acting(leave_a_loop);
    runs = open_runs = 0;
    assert_int_equal(tally_add_collection_hook(heap, count_runs, NULL), 0);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){10000, 10, 10}), 0);
    tally_enable(heap);
    for (int i = 0; i < 10000; i++)
        leave_an_actor(heap, NULL);
    settle(heap);
    tally_disable(heap);
    assert_in_range(runs, 0, 10);
    while (collect_all(heap))
        assert_int_equal(open_runs, 0);
    assert_int_equal(finalized, 10000);
}

/* Each object that a finalizer makes makes a run due: they follow each other, and never nest. */
static void threshold_of_one(struct tally_heap *heap)
{
    acting(leave_a_loop);
    runs = open_runs = 0;
    assert_int_equal(tally_add_collection_hook(heap, count_runs, NULL), 0);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){1, 1, 1}), 0);
    tally_enable(heap);
    for (int i = 0; i < 200; i++)
        leave_an_actor(heap, NULL);
    settle(heap);
    tally_disable(heap);
    assert_in_range(runs, 1, 1000);
    while (collect_all(heap))
        assert_int_equal(open_runs, 0);
    assert_int_equal(finalized, 200);
}

/* Each finalizer makes an object that has one too: a run ends all the same. */
static void garbage_without_end(struct tally_heap *heap)
{
    acting(leave_an_actor);
    leave_an_actor(heap, NULL);
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(tally_collect(heap, 2), 1);
        assert_int_equal(finalized, i);
        assert_int_equal(heap_live(heap), 1);
    }
    acting(NULL);
    assert_int_equal(collect_all(heap), 1);
}

static void test_trap_15_finalizers_that_make_garbage_cause_few_runs(void **state)
{
    (void)state;
    each_round(many_that_make_garbage);
    each_round(threshold_of_one);
    each_round(garbage_without_end);
}

/* ---- what finalizers may call */

static unsigned callback_reports;
static void count_callback(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    callback_reports += report->kind == TALLY_REPORT_CALLBACK;
}

static int is_actor(void *object, void *arg)
{
    (void)arg;
    return tally_type_of(object) == actor_type();
}

static void call_everything(struct tally_heap *heap, void *object)
{
    uint64_t refused = heap_stats(heap).refused;
    uint32_t thresholds[3] = {11, 12, 13};
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap_stats(heap).refused, refused + 1);
    assert_int_equal(tally_find_cycles(heap), TALLY_EBUSY);
    tally_disable(heap);
    assert_false(tally_is_enabled(heap));
    assert_int_equal(tally_set_thresholds(heap, thresholds), 0);
    assert_int_equal(tally_objects(heap, -1, is_actor, NULL), 0); /* the dying are hidden */
    assert_int_equal(tally_walk(heap, is_actor, NULL), 0);
    assert_int_equal(tally_referrers(heap, object, is_actor, NULL), 0);
    assert_null(tally_object_by_id(heap, tally_object_id(object)));
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_NONE), TALLY_EBUSY);
    assert_int_equal(tally_heap_disown(heap), TALLY_EBUSY);
    assert_int_equal(tally_park(heap), TALLY_EBUSY);
    assert_true(tally_step(heap, 50));
    unsigned reports = callback_reports;
    tally_heap_free(heap);
    assert_int_equal(callback_reports, reports + 1);
    assert_int_equal(tally_set_debug(heap, tally_get_debug(heap)), 0);
    tally_garbage_clear(heap);
    tally_trim(heap);
    tally_freeze(heap);
    tally_unfreeze(heap);
    tally_safepoint(heap);
}

static void finalizers_call(struct tally_heap *heap)
{
    acting(call_everything);
    callback_reports = 0;
    tally_set_report(heap, count_callback, NULL);
    struct pair *bystander = pair_make(heap, NULL, NULL);
    for (int i = 0; i < 10; i++)
        leave_an_actor(heap, NULL);
    assert_int_equal(collect_all(heap), 10);
    uint32_t thresholds[3];
    tally_get_thresholds(heap, thresholds);
    assert_int_equal(thresholds[0], 11);
    assert_int_equal(thresholds[2], 13);
    assert_false(tally_is_enabled(heap));
    assert_int_equal(finalized, 10);
    assert_int_equal(callback_reports, 10);
    assert_int_equal(heap_live(heap), 1);
    drop(heap, bystander);
}

static void test_trap_16_finalizers_may_call_everything_and_see_no_dying(void **state)
{
    (void)state;
    each_round(finalizers_call);
}

static void release_saved(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    tally_decref(saved);
}

static void chain_of_releases(struct tally_heap *heap)
{
    acting(release_saved);
    saved = pair_make(heap, NULL, NULL);
    tally_store(saved, &saved->first, saved);
    leave_an_actor(heap, NULL);
    uint64_t collected = collect_all(heap);
    assert_int_equal(finalized, 1);
    collected += collect_all(heap);
    assert_int_equal(collected, 2);
    assert_int_equal(heap_live(heap), 0);
    if (tally_get_manager(heap) != TALLY_MANAGER_CYCLE)
        return;
    finalized = 0; /* automatic runs alone, over candidates */
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){1, 10, 10}), 0);
    saved = pair_make(heap, NULL, NULL);
    tally_store(saved, &saved->first, saved);
    leave_an_actor(heap, NULL);
    tally_enable(heap);
    settle(heap);
    tally_disable(heap);
    assert_int_equal(finalized, 1);
    assert_int_equal(heap_live(heap), 0);
}

static void test_trap_17_cycle_that_a_finalizer_lets_go_dies_in_the_next_run(void **state)
{
    (void)state;
    each_round(chain_of_releases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_10_resurrected_object_keeps_what_it_reaches),
        cmocka_unit_test(test_trap_11_resurrected_object_dies_later_without_its_finalizer),
        cmocka_unit_test(test_trap_12_finalizer_that_breaks_its_cycle_runs_once),
        cmocka_unit_test(test_trap_13_mixed_ring_finalizes_each_once_and_sees_neighbours_whole),
        cmocka_unit_test(test_trap_14_edge_stolen_by_a_finalizer_is_seen_without_a_count),
        cmocka_unit_test(test_trap_15_finalizers_that_make_garbage_cause_few_runs),
        cmocka_unit_test(test_trap_16_finalizers_may_call_everything_and_see_no_dying),
        cmocka_unit_test(test_trap_17_cycle_that_a_finalizer_lets_go_dies_in_the_next_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
