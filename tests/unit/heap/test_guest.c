/* What the agent may do in the heap of a parked owner: find, and free where no code of the host's can have to
 * run; everything else waits, with what was found, for the owner. */
#include <pthread.h>
#include <unistd.h>

#include "heap/internal.h"
#include "rounds.h"

static pthread_t owner;
static unsigned ran;

static void on_dispose(void *object)
{
    (void)object;
    assert_true(pthread_equal(owner, pthread_self()));
    ran++;
}

static void on_finalize(struct tally_heap *heap, void *object)
{
    (void)heap;
    on_dispose(object);
}

static void no_traverse(void *object, tally_slot_fn visit, void *arg)
{
    (void)object, (void)visit, (void)arg;
}

static const struct tally_type *type_make(struct tally_type_info info)
{
    static struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    const struct tally_type *type;
    if (info.ref_count)
        info.refs = refs;
    assert_int_equal(tally_type_register(&info, &type), 0);
    return type;
}

/* A run by the guest: in a thread of its own, until it is done, refused, or has had its turns. */
struct visit {
    struct tally_heap *heap;
    int generation;
    uint64_t operation;
    unsigned turns;
    enum tally__parked result;
    int64_t collected;
};

static void *guest(void *arg)
{
    struct visit *visit = arg;
    uint64_t pause_ns, freed_bytes;
    assert_true(tally__heap_guest_enter(visit->heap));
    assert_false(tally__heap_guest_enter(visit->heap));
    do
        visit->result = tally__heap_collect_parked(visit->heap, visit->generation, visit->operation, 7,
                                                   &visit->collected, &pause_ns, &freed_bytes);
    while (visit->result == PARKED_MORE && --visit->turns);
    tally__heap_guest_leave(visit->heap);
    return NULL;
}

static enum tally__parked visited(struct tally_heap *heap, int generation, uint64_t operation, unsigned turns)
{
    struct visit visit = {.heap = heap, .generation = generation, .operation = operation, .turns = turns};
    pthread_t thread;
    owner = pthread_self();
    assert_false(tally__heap_guest_enter(heap));
    assert_int_equal(tally_park(heap), 0);
    assert_int_equal(pthread_create(&thread, NULL, guest, &visit), 0);
    pthread_join(thread, NULL);
    assert_int_equal(tally_unpark(heap), 0);
    return visit.result;
}

static int64_t owner_goes_on(struct tally_heap *heap, uint64_t operation)
{
    uint64_t pause_ns, freed_bytes;
    int64_t collected = tally__heap_collect_remote(heap, 2, operation, 0, &pause_ns, &freed_bytes);
    heap_check(heap);
    return collected;
}

/* ---- what is in the trash, and what hangs on it */

static struct pair *loop_with(struct tally_heap *heap, const struct tally_type *type, void *second)
{
    struct pair *loop = tally_new(heap, type ? type : pair_type());
    tally_store(loop, &loop->first, loop);
    if (second)
        tally_store_steal(loop, &loop->second, second);
    return loop;
}

static struct tally_heap *heap;

/* Two candidates of a collection by the guest: one object that is trash, and one that hangs on it. */
static void assert_visit(enum tally__parked wanted, void *trash, int64_t collected)
{
    tally_decref(trash);
    uint64_t live = heap_live(heap);
    ran = 0;
    assert_int_equal(visited(heap, 2, 5, 1000), wanted);
    assert_int_equal(ran, 0);
    if (wanted == PARKED_DONE) {
        assert_true(heap_live(heap) < live);
        heap_check(heap);
    } else {
        assert_int_equal(heap_live(heap), live);
        assert_int_equal(owner_goes_on(heap, 5), collected);
    }
    settle(heap);
    assert_int_equal(tally_collect(heap, 2), 0);
}

static void test_what_a_guest_frees(void **state)
{
    (void)state;
    heap = round_heap(TALLY_MANAGER_CYCLE, 0);
    const struct tally_type *leaf_finalized = type_make(
                                (struct tally_type_info){.name = "lf", .size = 8, .finalize = on_finalize}),
                            *leaf_disposed = type_make(
                                (struct tally_type_info){.name = "ld", .size = 8, .dispose = on_dispose}),
                            *tree = type_make((struct tally_type_info){
                                .name = "tr", .size = 24, .ref_count = 2, .flags = TALLY_TYPE_ACYCLIC}),
                            *finalized_type = type_make((struct tally_type_info){
                                .name = "f", .size = 24, .ref_count = 2, .finalize = on_finalize}),
                            *disposed_type = type_make((struct tally_type_info){
                                .name = "d", .size = 24, .ref_count = 2, .dispose = on_dispose}),
                            *traversed = type_make((struct tally_type_info){
                                .name = "t", .size = 24, .ref_count = 2, .traverse = no_traverse});
    assert_visit(PARKED_DONE, loop_with(heap, NULL, NULL), 1);
    assert_visit(PARKED_DONE, loop_with(heap, NULL, tally_new(heap, weight_type())), 1);
    struct pair *one = loop_with(heap, NULL, NULL), *two = loop_with(heap, NULL, tally_dup(one));
    tally_decref(one);
    assert_visit(PARKED_DONE, two, 2);
    assert_visit(PARKED_OWNER, loop_with(heap, NULL, tally_new(heap, leaf_finalized)), 1);
    assert_int_equal(ran, 1);
    assert_visit(PARKED_OWNER, loop_with(heap, NULL, tally_new(heap, leaf_disposed)), 1);
    assert_int_equal(ran, 1);
    assert_visit(PARKED_OWNER, loop_with(heap, NULL, tally_new(heap, tree)), 1);
    assert_visit(PARKED_OWNER, loop_with(heap, finalized_type, NULL), 1);
    assert_int_equal(ran, 1);
    assert_visit(PARKED_OWNER, loop_with(heap, disposed_type, NULL), 1);
    assert_visit(PARKED_OWNER, loop_with(heap, traversed, NULL), 1);
    struct pair *loop = loop_with(heap, NULL, NULL);
    void *weak = tally_weak_new(heap, NULL, loop, NULL, NULL);
    assert_visit(PARKED_OWNER, loop, 1);
    tally_decref(weak);
    loop = loop_with(heap, NULL, tally_weak_new(heap, NULL, tally_weakmap_new(heap), NULL, NULL));
    void *map = tally_weak_lock(loop->second);
    tally_decref(map);
    tally_decref(map);
    assert_visit(PARKED_OWNER, loop, 2);
    loop = loop_with(heap, NULL, NULL);
    assert_int_equal(tally_extern_bytes(loop, 100), 0);
    assert_visit(PARKED_OWNER, loop, 1);
    void *leaf = tally_new(heap, weight_type());
    assert_int_equal(tally_extern_bytes(leaf, 100), 0);
    assert_visit(PARKED_OWNER, loop_with(heap, NULL, leaf), 1);
    leaf = tally_new(heap, weight_type());
    weak = tally_weak_new(heap, NULL, leaf, NULL, NULL);
    assert_visit(PARKED_OWNER, loop_with(heap, NULL, leaf), 1);
    tally_decref(weak);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* ---- when a guest does not begin */

static void on_collection(struct tally_heap *where, const struct tally_collection *info, void *arg)
{
    (void)where, (void)info, (void)arg;
}

static void *map_pages(size_t bytes, void *arg)
{
    (void)arg;
    void *memory = aligned_alloc(65536, bytes);
    memset(memory, 0, bytes);
    return memory;
}
static void unmap_pages(void *memory, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    free(memory);
}

static void test_when_a_guest_does_not_begin(void **state)
{
    (void)state;
    heap = round_heap(TALLY_MANAGER_CYCLE, 0);
    tally_decref(loop_with(heap, NULL, NULL));
    assert_int_equal(tally_add_collection_hook(heap, on_collection, NULL), 0);
    assert_int_equal(visited(heap, 2, 1, 100), PARKED_OWNER);
    assert_int_equal(tally_remove_collection_hook(heap, on_collection, NULL), 0);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_STATS), 0);
    assert_int_equal(visited(heap, 2, 2, 100), PARKED_OWNER);
    assert_int_equal(tally_set_debug(heap, 0), 0);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_REFCOUNT), 0);
    assert_int_equal(visited(heap, 2, 3, 100), PARKED_OWNER);
    assert_int_equal(owner_goes_on(heap, 3), TALLY_EUNSUPPORTED);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    assert_int_equal(tally_set_max_pause(heap, 1), 0);
    struct wide *wide = wide_make(heap, 20000);
    for (size_t i = 0; i < wide->length; i++)
        tally_store_steal(wide, &wide->slots[i], pair_make(heap, NULL, NULL));
    tally_decref(wide); /* its death takes more than a slice */
    assert_true(tally__deaths_pending(heap));
    assert_int_equal(visited(heap, 2, 4, 100), PARKED_OWNER);
    settle(heap);
    for (int i = 0; i < 20000; i++)
        tally_decref(loop_with(heap, NULL, NULL));
    void *weight = run_due(heap);
    assert_true(tally_step(heap, 0));
    assert_true(heap->run.phase);
    assert_int_equal(visited(heap, 2, 4, 100), PARKED_OWNER); /* the owner's own run is open */
    run_over(heap, weight);
    assert_int_equal(tally_set_max_pause(heap, 0), 0);
    assert_int_equal(visited(heap, 2, 5, 100), PARKED_DONE);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
    struct tally_page_hooks hooks = {.map = map_pages, .unmap = unmap_pages};
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
    tally_decref(loop_with(heap, NULL, NULL));
    assert_int_equal(visited(heap, 2, 6, 100), PARKED_OWNER);
    assert_int_equal(owner_goes_on(heap, 6), 1);
    tally_heap_free(heap);
}

static void test_generations_of_a_guest(void **state)
{
    (void)state;
    heap = round_heap(TALLY_MANAGER_GENERATIONAL, 0);
    struct pair *old = loop_with(heap, NULL, NULL);
    assert_int_equal(visited(heap, 0, 1, 100), PARKED_DONE);
    assert_int_equal(tally_generation(old), 1);
    tally_decref(loop_with(heap, NULL, NULL));
    tally_decref(old);
    assert_int_equal(visited(heap, 0, 2, 100), PARKED_DONE);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(visited(heap, 1, 3, 100), PARKED_DONE);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* One turn of a long run, and then another's request, the owner's own, or no more at all. */
static void test_a_run_that_a_guest_leaves_open(void **state)
{
    (void)state;
    enum { LOOPS = 200000 / ROUND_SCALE };
    unsigned open = 0;
    for (int next = 0; next < 4; next++) {
        heap = round_heap(TALLY_MANAGER_FULL, 0);
        struct wide *root = wide_make(heap, LOOPS);
        for (size_t i = 0; i < LOOPS; i++)
            tally_store_steal(root, &root->slots[i], loop_with(heap, NULL, NULL));
        tally_decref(root);
        open += visited(heap, 2, 1, 1) == PARKED_MORE;
        if (next == 0)
            assert_int_equal(visited(heap, 2, 1, 1000000), PARKED_DONE);
        else if (next == 1)
            visited(heap, 2, 2, 1);
        else if (next == 2)
            owner_goes_on(heap, 2);
        else
            assert_true(tally_collect(heap, 2) >= 0);
        settle(heap);
        tally_collect(heap, 2);
        heap_check(heap);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
    assert_true(open);
}

/* A guest that has decided, and was refused: the owner's request of another number ends that run first. */
static void test_another_request_ends_what_a_guest_has_found(void **state)
{
    (void)state;
    heap = round_heap(TALLY_MANAGER_FULL, 0);
    const struct tally_type *disposed_type =
        type_make((struct tally_type_info){.name = "d", .size = 24, .ref_count = 2, .dispose = on_dispose});
    tally_decref(loop_with(heap, disposed_type, NULL));
    ran = 0;
    assert_int_equal(visited(heap, 2, 1, 100), PARKED_OWNER);
    assert_int_equal(owner_goes_on(heap, 2), 0);
    assert_int_equal(ran, 1);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

/* ---- parking */

static void *stay(void *arg)
{
    assert_true(tally__heap_guest_enter(arg));
    *(_Atomic bool *)tally_heap_user(arg) = true;
    usleep(20000);
    tally__heap_guest_leave(arg);
    return NULL;
}

static void test_unpark_waits_for_a_guest_that_has_lost_its_processor(void **state)
{
    (void)state;
    _Atomic bool inside = false;
    pthread_t thread;
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.user = &inside}, &heap), 0);
    assert_int_equal(tally_park(heap), 0);
    assert_int_equal(pthread_create(&thread, NULL, stay, heap), 0);
    while (!inside)
        usleep(100);
    assert_int_equal(tally_unpark(heap), 0);
    pthread_join(thread, NULL);
    assert_false(tally__heap_guest_enter(heap));
    tally_heap_free(heap);
}

static struct tally__request second;
static unsigned requests, told;
static void run_request(struct tally_heap *where, struct tally__request *request)
{
    requests++;
    if (request != &second)
        tally__heap_post(where, &second);
}
static void on_parked(void *agent)
{
    told += agent == &told;
}

/* A request that comes while the owner parks is not left to the next safepoint: the agent hears of it. */
static void test_a_request_in_the_last_moment(void **state)
{
    (void)state;
    heap = heap_make();
    struct tally__request first = {.run = run_request};
    second.run = run_request;
    *tally__heap_attachment(heap) = (struct tally__attachment){.agent = &told, .parked = on_parked};
    assert_int_equal(tally_park(heap), 0);
    assert_int_equal(told, 0);
    assert_int_equal(tally_unpark(heap), 0);
    tally__heap_post(heap, &first);
    assert_int_equal(tally_park(heap), 0);
    assert_int_equal(requests, 1);
    assert_int_equal(told, 1);
    assert_int_equal(tally_unpark(heap), 0);
    assert_int_equal(tally_safepoint(heap), 1);
    assert_int_equal(requests, 2);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_guest_frees),
        cmocka_unit_test(test_when_a_guest_does_not_begin),
        cmocka_unit_test(test_generations_of_a_guest),
        cmocka_unit_test(test_a_run_that_a_guest_leaves_open),
        cmocka_unit_test(test_another_request_ends_what_a_guest_has_found),
        cmocka_unit_test(test_unpark_waits_for_a_guest_that_has_lost_its_processor),
        cmocka_unit_test(test_a_request_in_the_last_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
