/* What is made once a second and at the end: rates, histograms, last events. */
#include "world.h"

static const struct stats_view *seen(struct world *world)
{
    publish(world);
    return stats_view_get_new(world->stats);
}

static const struct stats_type_detail *pair_of(const struct stats_heap_view *heap)
{
    assert_non_null(heap->detail);
    assert_true(heap->detail->type_count > 1);
    return &heap->detail->types[1];
}

static void live_and_die(struct world *world, void *process, uint32_t heap, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t words[2] = {word_of(WIRE_EVENT_ALLOC, 1, 16, i), word_of(WIRE_EVENT_FREE_REFCOUNT, 1, 16, i)};
        tell_events(world, process, heap, words, 2, 0);
    }
}

/* So many in the time from since_ns, or a little less of it, to now; it is more than a second. */
static void assert_rate(uint64_t got, uint64_t count, uint64_t since_ns)
{
    assert_in_range(got, count * 990000000u / (clock_mono_ns() - since_ns), count);
}

static void test_rates_are_of_the_last_second_and_settle(void **state)
{
    struct world *world = *state;
    uint64_t start_ns = clock_mono_ns();
    void *process = attach(world, 1, 10, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 5000, .freed_refcount = 100});
    const struct stats_view *view = seen(world);
    assert_int_equal(pair_of(&view->processes[0]->heaps[0])->allocations_per_s, 0); /* there is nothing before it */
    stats_view_unref(view);
    usleep(500000);
    tell(world, process, 1, &(struct intake_row){.allocated = 5500, .freed_refcount = 100});
    usleep(550000);
    tell(world, process, 1,
         &(struct intake_row){.allocated = 7100, .freed_refcount = 1150, .freed_cycle = 525});
    uint64_t told_ns = clock_mono_ns();
    view = seen(world);
    const struct stats_type_detail *pair = pair_of(&view->processes[0]->heaps[0]);
    assert_rate(pair->allocations_per_s, 2100, start_ns);
    assert_rate(pair->frees_refcount_per_s, 1050, start_ns);
    assert_rate(pair->frees_cycle_per_s, 525, start_ns);
    assert_null(pair->histograms);
    uint64_t seq = view->processes[0]->seq;
    stats_view_unref(view);
    usleep(1200000);
    view = seen(world); /* too soon, unless we were held up: its next sample may only be late */
    if (clock_mono_ns() - told_ns < 1450000000u)
        assert_int_equal(view->processes[0]->seq, seq);
    stats_view_unref(view);
    usleep(450000);
    view = seen(world); /* not told of any more: at rest */
    pair = pair_of(&view->processes[0]->heaps[0]);
    assert_int_equal(pair->allocations_per_s + pair->frees_refcount_per_s + pair->frees_cycle_per_s, 0);
    assert_true(view->processes[0]->seq > seq);
    stats_view_unref(view);
}

/* A burst that nothing follows shows in the next detail, though no sample asks for it. */
static void test_what_comes_before_a_rest_is_shown(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 0});
    live_and_die(world, process, 1, 100);
    tell(world, process, 1, &(struct intake_row){.allocated = 100, .freed_refcount = 100});
    const struct stats_view *view = seen(world);
    assert_null(pair_of(&view->processes[0]->heaps[0])->histograms);
    stats_view_unref(view);
    usleep(1550000);
    view = seen(world);
    assert_non_null(pair_of(&view->processes[0]->heaps[0])->histograms);
    assert_int_equal(pair_of(&view->processes[0]->heaps[0])->histograms->known, 100);
    assert_true(pair_of(&view->processes[0]->heaps[0])->allocations_per_s > 0);
    stats_view_unref(view);
    usleep(1550000);
    view = seen(world);
    assert_int_equal(pair_of(&view->processes[0]->heaps[0])->allocations_per_s, 0);
    stats_view_unref(view);
}

static void test_views_share_a_detail_until_there_is_a_newer_one(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    live_and_die(world, process, 1, 5);
    tell(world, process, 1, &(struct intake_row){.allocated = 5, .freed_refcount = 5});
    const struct stats_view *one = seen(world);
    tell(world, process, 1, &(struct intake_row){.allocated = 6, .freed_refcount = 5});
    const struct stats_view *two = seen(world);
    assert_ptr_not_equal(one->processes[0], two->processes[0]);
    assert_ptr_equal(one->processes[0]->heaps[0].detail, two->processes[0]->heaps[0].detail);
    const struct stats_process_view *kept = stats_process_ref(one->processes[0]);
    stats_view_unref(one);
    stats_view_unref(two);
    world->sink.gone(world->stats, process, "bye");
    world->sink.released(world->stats, process);
    teardown(state);
    assert_int_equal(pair_of(&kept->heaps[0])->histograms->known, 5); /* the last reference frees it */
    stats_process_unref(kept);
    setup(state);
}

static void test_histograms_of_types_that_have_events(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    live_and_die(world, process, 1, 100);
    uint64_t far = word_of(WIRE_EVENT_ALLOC, 2, 16, 7); /* row 2 lies behind this heap's rows */
    tell_events(world, process, 1, &far, 1, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 100, .freed_refcount = 100});
    const struct stats_view *view = seen(world);
    const struct stats_heap_detail *detail = view->processes[0]->heaps[0].detail;
    assert_int_equal(detail->type_count, 2);
    assert_null(detail->types[0].histograms);
    assert_int_equal(detail->types[1].histograms->sizes[2], 100);
    assert_int_equal(detail->types[1].histograms->known, 100);
    assert_int_equal(detail->types[1].histograms->short_lived, 100);
    assert_int_equal(detail->event_count, 0); /* it lives */
    stats_view_unref(view);
}

/* Whose heap ends before it does, and long before. */
static void assert_last_events(const struct stats_heap_view *heap, uint64_t granule)
{
    assert_int_equal(heap->detail->event_count, 64);
    assert_int_equal(heap->detail->events[63].object, granule);
    assert_int_equal(heap->detail->events[63].kind, WIRE_EVENT_FREE_REFCOUNT);
    assert_int_equal(heap->detail->events[62].kind, WIRE_EVENT_ALLOC);
    assert_string_equal(heap->detail->events[62].type, "pair");
    assert_int_equal(heap->detail->events[62].bytes, 16);
    assert_true(heap->detail->events[62].mono_ns > 0);
    assert_int_equal(pair_of(heap)->histograms->known, granule + 1);
    assert_int_equal(pair_of(heap)->allocations_per_s, 0);
}

static void test_a_heap_that_ended_keeps_what_it_told(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    for (uint32_t heap = 1; heap <= 2; heap++) {
        tell(world, process, heap, &(struct intake_row){.allocated = 0});
        live_and_die(world, process, heap, 100 * heap);
    }
    usleep(1050000);
    for (uint32_t heap = 1; heap <= 2; heap++)
        tell(world, process, heap, &(struct intake_row){.allocated = 100 * heap, .freed_refcount = 100 * heap});
    world->sink.heap_gone(world->stats, process, 1);
    const struct stats_view *view = seen(world);
    assert_last_events(&view->processes[0]->heaps[0], 99);
    assert_true(pair_of(&view->processes[0]->heaps[1])->allocations_per_s > 0);
    stats_view_unref(view);
    usleep(1600000); /* what moved comes to rest */
    view = seen(world);
    assert_last_events(&view->processes[0]->heaps[0], 99);
    assert_int_equal(pair_of(&view->processes[0]->heaps[1])->allocations_per_s, 0);
    stats_view_unref(view);
    world->sink.gone(world->stats, process, "exited");
    world->sink.ended(world->stats, process, 9);
    world->sink.released(world->stats, process);
    view = seen(world);
    assert_last_events(&view->processes[0]->heaps[0], 99);
    assert_last_events(&view->processes[0]->heaps[1], 199);
    assert_true(view->processes[0]->ended);
    assert_int_equal(view->processes[0]->status, 9);
    stats_view_unref(view);
}

/* A lost connection ends nothing: the same process goes on, and its next detail has no last events. Births were given
 * back, and a further attachment's events are counted while an older one is not released. */
static void test_the_same_process_again(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    uint64_t born = word_of(WIRE_EVENT_ALLOC, 1, 16, 7), dead = word_of(WIRE_EVENT_FREE_CYCLE, 1, 16, 7);
    tell_events(world, process, 1, &born, 1, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 1});
    world->sink.gone(world->stats, process, "closed");
    const struct stats_view *view = seen(world);
    assert_true(view->processes[0]->gone);
    assert_int_equal(view->processes[0]->heaps[0].detail->event_count, 1);
    stats_view_unref(view);
    assert_ptr_equal(attach(world, 1, 10, 0), process);
    world->sink.released(world->stats, process);
    usleep(1050000);
    tell_events(world, process, 1, &dead, 1, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 1, .freed_cycle = 1});
    view = seen(world);
    assert_false(view->processes[0]->gone);
    assert_int_equal(view->processes[0]->heaps[0].detail->event_count, 0);
    assert_int_equal(pair_of(&view->processes[0]->heaps[0])->histograms->known, 0);
    assert_int_equal(view->processes[0]->types[0].event_allocations, 1);
    assert_int_equal(view->processes[0]->types[0].event_frees_cycle, 1);
    stats_view_unref(view);
}

/* Events that come before the first sample have no names yet; what is last has. */
static void test_last_events_without_a_sample(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    uint64_t collection[2] = {WIRE_EVENT_RARE | WIRE_RARE_COLLECTION_START << 2 | 2 << 8 | 1 << 16, 777};
    struct wire_span span = {.words = collection, .count = 2, .records = 1};
    uint64_t born = word_of(WIRE_EVENT_ALLOC, 1, 16, 7);
    tell_events(world, process, 3, &born, 1, 0);
    world->sink.events(world->stats, process, 3, 2, &span);
    world->sink.gone(world->stats, process, "exited");
    const struct stats_view *view = seen(world);
    const struct stats_heap_detail *detail = view->processes[0]->heaps[0].detail;
    assert_int_equal(view->processes[0]->heaps[0].n, 3);
    assert_int_equal(detail->event_count, 2);
    assert_null(detail->events[0].type);
    assert_int_equal(detail->events[1].rare, WIRE_RARE_COLLECTION_START);
    assert_int_equal(detail->events[1].value, 777);
    stats_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_rates_are_of_the_last_second_and_settle),
        WORLD_TEST(test_what_comes_before_a_rest_is_shown),
        WORLD_TEST(test_views_share_a_detail_until_there_is_a_newer_one),
        WORLD_TEST(test_histograms_of_types_that_have_events),
        WORLD_TEST(test_a_heap_that_ended_keeps_what_it_told),
        WORLD_TEST(test_the_same_process_again),
        WORLD_TEST(test_last_events_without_a_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
