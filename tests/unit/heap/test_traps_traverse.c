/* The traps of host code in a run: traverse callbacks that lie, slots that will not be cleared, hooks that
 * must not be asked. Numbers 31, 33 and 46 of the list of traps that other collectors fell into. */
#include "rounds.h"

/* A pair that only its callback describes, which says what the test wants of it. */
enum lie { TRUTH, MISSES, TWICE, PUTS_BACK, COPIES };
static enum lie lie;
static const void *liar; /* NULL: all of them */
static unsigned traversed;

static void tell(void **slot, tally_slot_fn visit, void *arg, bool lies)
{
    void *was = *slot, *copy = *slot;
    visit(lies && lie == COPIES ? &copy : slot, arg);
    if (lies && lie == TWICE)
        visit(slot, arg);
    if (lies && lie == PUTS_BACK && was && !*slot) { /* a new edge in the place of the one that is cleared */
        tally_incref(was);
        *slot = was;
    }
}

static void lying_traverse(void *object, tally_slot_fn visit, void *arg)
{
    struct pair *self = object;
    bool lies = !liar || liar == object;
    traversed++;
    if (lies && lie == MISSES)
        return;
    tell(&self->first, visit, arg, lies);
    tell(&self->second, visit, arg, lies);
}

static const struct tally_type *liar_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "liar", .size = sizeof(struct pair), .traverse = lying_traverse}, &type), 0);
    return type;
}

static void liars_make(struct tally_heap *heap, struct pair *liars[2])
{
    for (int i = 0; i < 2; i++)
        liars[i] = tally_new(heap, liar_type());
    tally_store(liars[0], &liars[0]->first, liars[1]);
    tally_store(liars[1], &liars[1]->first, liars[0]);
}

static unsigned reports[16];
static const struct tally_type *reported;
static void count_reports(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)arg;
    reports[report->kind]++;
    if (report->kind == TALLY_REPORT_EDGES || report->kind == TALLY_REPORT_MISSED)
        reported = report->type;
}

static void lie_from_now(struct tally_heap *heap, enum lie what, const void *who)
{
    tally_set_report(heap, count_reports, NULL);
    memset(reports, 0, sizeof reports);
    reported = NULL;
    lie = what;
    liar = who;
}

/* collect_all() without the verifier, who would be lied to as well. */
static uint64_t collect_unverified(struct tally_heap *heap)
{
    uint64_t collected = run_once(heap);
    int64_t more = tally_collect(heap, 2);
    settle(heap);
    return collected + (uint64_t)more;
}

static void nudge(struct pair *object) /* makes it a candidate */
{
    tally_incref(object);
    tally_decref(object);
}

/* A run that was lied to has struck the candidates off; the truth is looked for where something changes. */
static void truth_frees(struct tally_heap *heap, struct pair *left, uint64_t count)
{
    lie = TRUTH;
    heap_check(heap);
    assert_int_equal(tally_find_cycles(heap), count);
    if (left)
        nudge(left);
    assert_int_equal(collect_all(heap), count);
    assert_int_equal(heap_live(heap), 0);
}

/* ---- 31 */

static void missed_edge(struct tally_heap *heap)
{
    struct pair *liars[2];
    liars_make(heap, liars);
    lie_from_now(heap, MISSES, liars[0]);
    drop(heap, liars[0]);
    drop(heap, liars[1]);
    for (int times = 0; times < 3; times++)
        assert_int_equal(collect_unverified(heap), 0);
    assert_int_equal(heap_live(heap), 2);
    assert_int_equal(tally_refcount(liars[0]), 1);
    assert_int_equal(tally_refcount(liars[1]), 1);
    truth_frees(heap, liars[0], 2);
}

/* More references than the count says: reported, and nothing of what is reached is freed. A run in slices
 * does not tell such an edge from one that was made since it read the count: the next one in one piece
 * does. */
static void edge_reported_twice(struct tally_heap *heap)
{
    struct pair *liars[2];
    liars_make(heap, liars);
    lie_from_now(heap, TWICE, liars[0]);
    drop(heap, liars[0]);
    drop(heap, liars[1]);
    assert_int_equal(run_once(heap), 0);
    nudge(liars[0]);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_true(reports[TALLY_REPORT_EDGES] > 0);
    assert_ptr_equal(reported, liar_type());
    assert_int_equal(heap_live(heap), 2);
    assert_ptr_equal(liars[0]->first, liars[1]);
    truth_frees(heap, liars[0], 2);
}

/* Exactly as many as the count says: what C holds looks dead, and is cleared; its memory stays. */
static void edge_that_replaces_a_live_one(struct tally_heap *heap)
{
    struct pair *loop = tally_new(heap, liar_type()), *live = pair_make(heap, NULL, NULL);
    live->number = 99;
    tally_store(live, &live->first, live);
    tally_store(live, &live->second, live);
    tally_store(loop, &loop->first, loop);
    tally_store(loop, &loop->second, live);
    void *weak = tally_weak_new(heap, NULL, live, NULL, NULL);
    nudge(loop);
    lie_from_now(heap, TWICE, loop);
    assert_int_equal(tally_refcount(loop), 2); /* itself, told twice, and C's */
    assert_int_equal(tally_refcount(live), 4); /* itself, twice, loop's, told twice, and C's */
    assert_int_equal(collect_unverified(heap), 0);
    assert_int_equal(heap_uncollectable(heap), 2);
    assert_int_equal(reports[TALLY_REPORT_MISSED], 2);
    assert_non_null(reported);
    assert_int_equal(heap_live(heap), 3);
    lie = TRUTH;
    heap_check(heap);
    assert_int_equal(live->number, 99);
    assert_int_equal(tally_refcount(live), 1);
    assert_int_equal(tally_refcount(loop), 1);
    assert_null(tally_weak_lock(weak));
    tally_store(live, &live->first, loop); /* both are as good as new */
    drop(heap, loop);
    drop(heap, weak);
    drop(heap, live);
    truth_frees(heap, NULL, 0);
}

static void test_trap_31_lying_traverse_never_frees_what_is_held(void **state)
{
    (void)state;
    each_round(missed_edge);
    each_round(edge_reported_twice);
    each_round(edge_that_replaces_a_live_one);
    lie = TRUTH;
}

/* ---- 33 */

static void edge_put_back(struct tally_heap *heap)
{
    struct pair *liars[2];
    liars_make(heap, liars);
    drop(heap, liars[0]);
    drop(heap, liars[1]);
    lie_from_now(heap, PUTS_BACK, NULL);
    uint64_t before = heap_uncollectable(heap);
    assert_int_equal(tally_collect(heap, 2), 0);
    assert_int_equal(heap_uncollectable(heap) - before, 2);
    assert_int_equal(reports[TALLY_REPORT_MISSED], 2);
    assert_ptr_equal(reported, liar_type());
    assert_int_equal(collect_unverified(heap), 0); /* in slices too */
    assert_int_equal(heap_live(heap), 2);
    assert_ptr_equal(liars[0]->first, liars[1]);
    assert_int_equal(tally_refcount(liars[1]), 1);
    truth_frees(heap, liars[0], 2);
}

/* The slot stays as it is, and its holder goes. */
static void edge_not_cleared(struct tally_heap *heap)
{
    struct pair *liars[2];
    liars_make(heap, liars);
    drop(heap, liars[0]);
    drop(heap, liars[1]);
    lie_from_now(heap, COPIES, NULL);
    assert_int_equal(collect_unverified(heap), 2);
    assert_int_equal(heap_uncollectable(heap), 0);
    truth_frees(heap, NULL, 0);
}

static void test_trap_33_slots_that_are_not_cleared_end_as_uncollectable(void **state)
{
    (void)state;
    each_round(edge_put_back);
    each_round(edge_not_cleared);
    lie = TRUTH;
}

/* ---- 46 */

static unsigned disposals, callbacks, hooks;
static void count_dispose(void *object)
{
    (void)object;
    disposals++;
}

static void count_callback(struct tally_heap *heap, void *weak, void *hold)
{
    (void)heap, (void)weak, (void)hold;
    callbacks++;
}

static void count_hook(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    (void)heap, (void)info, (void)arg;
    hooks++;
}

/* While a run decides, nothing but traverse is called, whatever a type has. */
static bool deciding;
static void traverse_while_deciding(void *object, tally_slot_fn visit, void *arg)
{
    traversed++;
    if (deciding)
        assert_int_equal(finalized + disposals + callbacks, 0);
    visit(&((struct pair *)object)->first, arg);
    visit(&((struct pair *)object)->second, arg);
}

static void end_deciding(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
    deciding = false;
}

static const struct tally_type *hooked_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "hooked", .size = sizeof(struct pair), .traverse = traverse_while_deciding,
            .finalize = actor_finalize, .dispose = count_dispose}, &type), 0);
    return type;
}

static void counting_hooks(struct tally_heap *heap)
{
    enum { COUNT = 50 };
    struct pair *hooked[COUNT];
    void *weak[COUNT];
    acting(end_deciding);
    disposals = callbacks = hooks = 0;
    deciding = true;
    for (int i = 0; i < COUNT; i++)
        hooked[i] = tally_new(heap, hooked_type());
    for (int i = 0; i < COUNT; i++) {
        tally_store(hooked[i], &hooked[i]->first, hooked[(i + 1) % COUNT]);
        weak[i] = tally_weak_new(heap, NULL, hooked[i], count_callback, NULL);
    }
    assert_int_equal(tally_add_collection_hook(heap, count_hook, NULL), 0);
    traversed = 0;
    assert_int_equal(collect_all(heap), 0);
    assert_true(traversed >= COUNT);
    assert_int_equal(finalized + disposals + callbacks, 0);
    for (int i = 0; i < COUNT; i++)
        tally_decref(hooked[i]);
    traversed = hooks = 0;
    assert_int_equal(tally_find_cycles(heap), COUNT);
    assert_true(traversed >= COUNT);
    assert_int_equal(finalized + disposals + callbacks + hooks, 0);
    deciding = false; /* callbacks precede the finalizers, and both the second traversal */
    assert_int_equal(collect_all(heap), COUNT);
    assert_int_equal(finalized, COUNT);
    assert_int_equal(disposals, COUNT);
    assert_int_equal(callbacks, COUNT);
    for (int i = 0; i < COUNT; i++)
        drop(heap, weak[i]);
}

static void test_trap_46_deciding_calls_no_host_code_but_traverse(void **state)
{
    (void)state;
    each_round(counting_hooks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_31_lying_traverse_never_frees_what_is_held),
        cmocka_unit_test(test_trap_33_slots_that_are_not_cleared_end_as_uncollectable),
        cmocka_unit_test(test_trap_46_deciding_calls_no_host_code_but_traverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
