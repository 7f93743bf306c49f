/* Rounds: a test's body under each manager that frees cycles, in one piece, in slices of 50 microseconds,
 * and in the shortest slices there are. A body leaves its heap empty. */
#ifndef TALLY_TEST_HEAP_ROUNDS_H
#define TALLY_TEST_HEAP_ROUNDS_H

#include "heap/internal.h"
#include "support.h"

enum { ROUND_SHORTEST_US = 1, ROUND_STEPS_MAX = 100000000 };

/* Debug builds verify the heap again and again and cut slices finer: their graphs are smaller by this. */
#ifdef TALLY_DEBUG
enum { ROUND_SCALE = 20 };
#else
enum { ROUND_SCALE = 1 };
#endif

static inline struct tally_stats heap_stats(const struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats;
}

/* Objects that all runs so far have collected. */
static inline uint64_t heap_collected(const struct tally_heap *heap)
{
    struct tally_stats stats = heap_stats(heap);
    return stats.generations[0].collected + stats.generations[1].collected + stats.generations[2].collected;
}

static inline uint64_t heap_uncollectable(const struct tally_heap *heap)
{
    struct tally_stats stats = heap_stats(heap);
    return stats.generations[0].uncollectable + stats.generations[1].uncollectable +
           stats.generations[2].uncollectable;
}

static inline uint64_t slice_us(const struct tally_heap *heap)
{
    uint64_t pause = tally_get_max_pause(heap);
    return pause > ROUND_SHORTEST_US ? pause : pause ? 0 : UINT64_MAX;
}

/* What is pending ends: deaths, the run in progress, and what is due. */
static inline void settle(struct tally_heap *heap)
{
    for (unsigned steps = 0; tally_step(heap, slice_us(heap)); steps++)
        assert_true(steps < ROUND_STEPS_MAX);
}

/* Gives a reference back; what dies of that is dead afterwards. */
static inline void drop(struct tally_heap *heap, void *object)
{
    tally_decref(object);
    settle(heap);
}

static inline const struct tally_type *weight_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "weight", .size = 8}, &type),
                         0);
    return type;
}

/* Makes one automatic run due, of the widest scope that the manager has, by the weight of an object that is
 * returned: release it with run_over(). Under cycle something must be a candidate. */
static inline void *run_due(struct tally_heap *heap)
{
    assert_int_equal(tally_set_manager(heap, tally_get_manager(heap)), 0); /* the mark from which it grows */
    void *weight = tally_new(heap, weight_type());
    assert_int_equal(tally_extern_bytes(weight, (int64_t)1 << 40), 0);
    tally_enable(heap);
    return weight;
}

/* Steps, in the shortest slices there are, until the run is in the phase. false: it is over. */
static inline bool phase_reach(struct tally_heap *heap, enum phase phase)
{
    for (unsigned steps = 0; heap->run.phase != phase; steps++) {
        assert_true(steps < 1000000);
        if (!tally_step(heap, 0))
            return false;
    }
    return true;
}

static inline void run_over(struct tally_heap *heap, void *weight)
{
    tally_disable(heap);
    drop(heap, weight);
}

/* One run: automatic and in slices, where the heap has a budget, else an explicit collection. Returns how
 * many objects were collected. */
static inline uint64_t run_once(struct tally_heap *heap)
{
    uint64_t before = heap_collected(heap);
    if (tally_get_max_pause(heap)) {
        void *weight = run_due(heap);
        settle(heap);
        run_over(heap, weight);
    } else {
        assert_true(tally_collect(heap, 2) >= 0);
    }
    return heap_collected(heap) - before;
}

/* All garbage goes, at the latest by an explicit collection. Returns how many objects were collected. */
static inline uint64_t collect_all(struct tally_heap *heap)
{
    settle(heap);
    heap_check(heap);
    uint64_t collected = run_once(heap);
    heap_check(heap);
    int64_t more = tally_collect(heap, 2);
    assert_true(more >= 0);
    settle(heap);
    heap_check(heap);
    return collected + (uint64_t)more;
}

/* Under run_due() alone runs are automatic. */
static inline struct tally_heap *round_heap(enum tally_manager manager, uint64_t max_pause_us)
{
    struct tally_heap *heap = heap_make();
    assert_int_equal(tally_set_manager(heap, manager), 0);
    assert_int_equal(tally_set_max_pause(heap, max_pause_us), 0);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){INT32_MAX, 10, 10}), 0);
    return heap;
}

static inline void each_round(void (*body)(struct tally_heap *heap))
{
    static const uint64_t pauses[] = {0, 50, ROUND_SHORTEST_US};
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++)
        for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
            struct tally_heap *heap = round_heap(manager, pauses[i]);
            body(heap);
            settle(heap);
            heap_check(heap);
            assert_int_equal(heap_live(heap), 0);
            tally_heap_free(heap);
        }
}

/* Actors: pairs whose finalizer is the test's of the moment. */
static tally_finalize_fn act __attribute__((unused));
static unsigned finalized __attribute__((unused));

static inline void actor_finalize(struct tally_heap *heap, void *object)
{
    finalized++;
    if (act)
        act(heap, object);
}

static inline const struct tally_type *actor_type(void)
{
    static const struct tally_type *type;
    if (!type)
        type = pair_type_make("actor", actor_finalize);
    return type;
}

static inline struct pair *actor_make(struct tally_heap *heap, void *first, void *second)
{
    struct pair *actor = tally_new(heap, actor_type());
    assert_non_null(actor);
    tally_store(actor, &actor->first, first);
    tally_store(actor, &actor->second, second);
    return actor;
}

static inline void acting(tally_finalize_fn fn)
{
    act = fn;
    finalized = 0;
}

/* A pair that nobody but itself refers to. */
static inline struct pair *loop_leave(struct tally_heap *heap)
{
    struct pair *loop = pair_make(heap, NULL, NULL);
    tally_store_steal(loop, &loop->first, loop);
    return loop;
}

/* ring[i] holds ring[i + 1] in first; the references returned are the caller's. */
static inline void ring_make(struct tally_heap *heap, struct pair **ring, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ring[i] = pair_make(heap, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        tally_store(ring[i], &ring[i]->first, ring[(i + 1) % count]);
}

/* Objects with as many slots as a test needs. */
struct wide {
    size_t length;
    void *slots[];
};

static inline struct wide *wide_make(struct tally_heap *heap, size_t length)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "wide", .size = sizeof(struct wide), .trailing = TALLY_TRAILING_SLOTS}, &type), 0);
    struct wide *wide = tally_new_array(heap, type, length);
    assert_non_null(wide);
    return wide;
}

/* Pairs whose slots a traverse reports. */
static inline void pair_traverse(void *object, tally_slot_fn visit, void *arg)
{
    struct pair *pair = object;
    visit(&pair->first, arg);
    visit(&pair->second, arg);
}

static inline const struct tally_type *traversed_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "traversed",
                                                                       .size = sizeof(struct pair),
                                                                       .traverse = pair_traverse}, &type), 0);
    return type;
}

#endif
