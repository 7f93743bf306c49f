/* The model and its views, driven through the sink as the intake does it. */
#include "world.h"

static void test_starts_with_an_empty_view(void **state)
{
    struct world *world = *state;
    bool ambiguous;
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_int_equal(view->process_count, 0);
    assert_true(view->seq > 0);
    assert_null(stats_find(view, "1", &ambiguous));
    assert_false(ambiguous);
    stats_view_unref(view);
}

static void test_a_view_never_changes(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    tell(world, process, 1, &(struct intake_row){.allocated = 5, .freed_refcount = 2});
    publish(world);
    const struct stats_view *old = stats_view_get_new(world->stats);
    const struct stats_process_view *kept = stats_process_ref(old->processes[0]);
    tell(world, process, 1, &(struct intake_row){.allocated = 9, .freed_refcount = 9});
    publish(world);
    const struct stats_view *now = stats_view_get_new(world->stats);
    assert_true(now->seq > old->seq);
    assert_int_equal(old->processes[0]->figures.allocations, 5);
    assert_int_equal(old->processes[0]->figures.live_bytes, 48);
    assert_int_equal(now->processes[0]->figures.live_objects, 0);
    stats_view_unref(old);
    stats_view_unref(now);
    world->sink.gone(world->stats, process, "bye");
    world->sink.released(world->stats, process);
    teardown(state); /* what is still held outlives the model */
    assert_int_equal(kept->figures.live_objects, 3);
    assert_string_equal(kept->name, "program");
    assert_string_equal(kept->labels[0].value, "1");
    assert_string_equal(kept->types[0].name, "pair");
    stats_process_unref(kept);
    setup(state);
}

static void test_what_did_not_change_is_shared(void **state)
{
    struct world *world = *state;
    void *first = attach(world, 1, 10, 0), *second = attach(world, 2, 11, 0);
    tell(world, first, 1, &(struct intake_row){.allocated = 1});
    publish(world);
    const struct stats_view *old = stats_view_get_new(world->stats);
    tell(world, second, 1, &(struct intake_row){.allocated = 1});
    publish(world);
    const struct stats_view *now = stats_view_get_new(world->stats);
    assert_ptr_equal(old->processes[0], now->processes[0]);
    assert_ptr_not_equal(old->processes[1], now->processes[1]);
    assert_int_equal(now->processes[1]->seq, now->seq);
    stats_view_unref(old);
    publish(world); /* nothing new: no new view */
    assert_int_equal(seq_now(world), now->seq);
    stats_view_unref(now);
}

static void test_heaps_are_summed_and_types_merged_by_name(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    tell(world, process, 2, &(struct intake_row){.allocated = 5, .freed_cycle = 1});
    tell(world, process, 1, &(struct intake_row){.allocated = 7, .freed_refcount = 3});
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_process_view *shown = view->processes[0];
    assert_int_equal(shown->heap_count, 2);
    assert_int_equal(shown->heaps[0].n, 1);
    assert_int_equal(shown->heaps[1].figures.live_objects, 4);
    assert_int_equal(shown->figures.allocations, 12);
    assert_int_equal(shown->figures.live_objects, 8);
    assert_int_equal(shown->figures.mapped_bytes, 131072);
    assert_int_equal(shown->figures.events_written, 14);
    assert_int_equal(shown->type_count, 1);
    assert_int_equal(shown->types[0].live_bytes, 128);
    assert_int_equal(shown->types[0].frees_cycle, 1);
    stats_view_unref(view);
}

/* Objects that go from one heap to another are live in the other, and count as allocated and freed where that
 * was done. */
static void test_moved_objects_are_neither_allocated_nor_freed(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    tell(world, process, 1,
         &(struct intake_row){.allocated = 9, .moved_out = 5, .moved_in = 1, .freed_refcount = 2});
    tell(world, process, 2, &(struct intake_row){.moved_in = 5, .moved_out = 1, .freed_cycle = 3});
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_process_view *shown = view->processes[0];
    const struct stats_figures *second = &shown->heaps[1].figures;
    assert_int_equal(shown->heaps[0].figures.live_objects, 3);
    assert_int_equal(second->live_objects, 1);
    assert_int_equal(second->live_bytes, 16);
    assert_int_equal(second->allocations, 0);
    assert_int_equal(second->moved_in, 5);
    assert_false(shown->heaps[1].inconsistent);
    assert_int_equal(shown->heaps[1].type_count, 1);
    assert_int_equal(shown->figures.allocations, 9);
    assert_int_equal(shown->figures.live_bytes, 64);
    assert_int_equal(shown->figures.moved_in, 6);
    assert_int_equal(shown->types[0].moved_out, 6);
    assert_int_equal(shown->types[0].live_objects, 4);
    stats_view_unref(view);
}

/* The process shows the sums, and of longest slices the longest; what waited in a heap that is gone waits no
 * more. */
static void test_slices_and_what_waits_over_heaps(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    for (uint32_t heap = 1; heap <= 2; heap++) {
        struct intake_sample sample = {.heap_number = heap, .mono_ns = clock_mono_ns()};
        sample.summary = (struct intake_summary){.valid = true, .max_pause_us = 100 * heap,
                                                 .slices = 10 * heap, .missed_slices = heap,
                                                 .longest_slice_ns = 5000 / heap,
                                                 .extern_bytes = 64, .candidates = 7, .pending_objects = 8,
                                                 .finalizers_pending = 9, .refused_runs = heap};
        world->sink.sample(world->stats, process, &sample);
    }
    world->sink.heap_gone(world->stats, process, 1);
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_figures *figures = &view->processes[0]->figures;
    assert_int_equal(view->processes[0]->heaps[1].config.max_pause_us, 200);
    assert_int_equal(figures->slices, 30);
    assert_int_equal(figures->missed_slices, 3);
    assert_int_equal(figures->longest_slice_ns, 5000);
    assert_int_equal(figures->refused_runs, 3);
    assert_int_equal(figures->extern_bytes, 64);
    assert_int_equal(figures->candidates, 7);
    assert_int_equal(figures->pending_objects, 8);
    assert_int_equal(figures->finalizers_pending, 9);
    stats_view_unref(view);
}

static void test_find_by_id_and_by_pid(void **state)
{
    struct world *world = *state;
    bool ambiguous;
    void *gone = attach(world, 1, 42, 0);
    world->sink.gone(world->stats, gone, "exited");
    world->sink.released(world->stats, gone);
    attach(world, 2, 42, 0);
    attach(world, 3, 43, 0);
    attach(world, 4, 43, 0);
    attach(world, 5, 0, 0);
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_process_view *found = stats_find(view, "00000000000000000000000000000001", &ambiguous);
    assert_true(found && found->gone);
    assert_ptr_equal(view->processes[view->process_count - 1], found); /* live ones come first */
    found = stats_find(view, "42", &ambiguous); /* the one that lives */
    assert_true(found && !found->gone && !ambiguous);
    assert_null(stats_find(view, "43", &ambiguous));
    assert_true(ambiguous);
    assert_null(stats_find(view, "44", &ambiguous));
    assert_false(ambiguous);
    assert_null(stats_find(view, "0", &ambiguous));
    assert_null(stats_find(view, "042", &ambiguous));
    assert_null(stats_find(view, "", &ambiguous));
    stats_view_unref(view);
}

static void test_gone_processes_are_kept_up_to_a_number(void **state)
{
    struct world *world = *state;
    bool ambiguous;
    attach(world, 9999, 1, 0);
    for (unsigned number = 1; number <= 300; number++) {
        void *process = attach(world, number, (pid_t)(1000 + number), 0);
        world->sink.gone(world->stats, process, "exited");
        world->sink.released(world->stats, process);
    }
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_int_equal(view->process_count, 257);
    assert_null(stats_find(view, "1044", &ambiguous)); /* the oldest left first */
    assert_non_null(stats_find(view, "1045", &ambiguous));
    assert_non_null(stats_find(view, "1", &ambiguous));
    stats_view_unref(view);
}

/* What counts is when they went, and not when they came: who ran longest must not be the first to be forgotten. */
static void test_of_the_gone_the_newest_are_kept(void **state)
{
    struct world *world = *state;
    bool ambiguous;
    stats_gone_keep(world->stats, 600000000000u, 2);
    void *service = attach(world, 1, 101, 0);
    for (unsigned number = 2; number <= 4; number++) {
        void *process = attach(world, number, (pid_t)(100 + number), 0);
        world->sink.gone(world->stats, process, "exited");
        world->sink.released(world->stats, process);
    }
    world->sink.gone(world->stats, service, "exited");
    world->sink.released(world->stats, service);
    attach(world, 5, 105, 0);
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_int_equal(view->process_count, 3);
    assert_non_null(stats_find(view, "101", &ambiguous));
    assert_non_null(stats_find(view, "104", &ambiguous));
    assert_non_null(stats_find(view, "105", &ambiguous));
    stats_view_unref(view);
    attach(world, 6, 106, 0); /* the list's end is where it should be */
    stats_gone_keep(world->stats, 0, 2);
    usleep(1000);
    publish(world);
    view = stats_view_get_new(world->stats);
    assert_int_equal(view->process_count, 2);
    stats_view_unref(view);
}

static void test_an_end_gets_its_better_word(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0), *other = attach(world, 2, 11, 0);
    world->sink.gone(world->stats, process, "closed");
    world->sink.gone(world->stats, process, "exited");
    world->sink.gone(world->stats, other, "bye");
    world->sink.gone(world->stats, other, "exited");
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_string_equal(view->processes[0]->end, "exited");
    assert_string_equal(view->processes[1]->end, "bye");
    stats_view_unref(view);
}

static void test_coming_back_is_the_same_process(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 500);
    world->sink.gone(world->stats, process, "closed");
    assert_null(attach(world, 1, 11, 501)); /* another user */
    assert_ptr_equal(attach(world, 1, 10, 500), process);
    world->sink.released(world->stats, process); /* the old connection's */
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_int_equal(view->process_count, 1);
    assert_false(view->processes[0]->gone);
    assert_null(view->processes[0]->end);
    stats_view_unref(view);
}

static void test_sums_keep_the_heaps_that_are_forgotten(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    for (uint32_t heap = 1; heap <= 200; heap++) {
        tell(world, process, heap, &(struct intake_row){.allocated = heap, .freed_refcount = heap});
        world->sink.heap_gone(world->stats, process, heap);
    }
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_process_view *shown = view->processes[0];
    assert_int_equal(shown->heap_count, 64);
    assert_int_equal(shown->heaps[0].n, 137);
    assert_int_equal(shown->figures.allocations, 20100);
    assert_int_equal(shown->figures.live_objects, 0);
    assert_int_equal(shown->type_count, 1);
    assert_int_equal(shown->types[0].frees_refcount, 20100);
    stats_view_unref(view);
}

static void test_refusals_are_counted_by_reason(void **state)
{
    struct world *world = *state;
    world->sink.refused(world->stats, "too loud", 5, 500);
    world->sink.refused(world->stats, "too loud", 6, 501);
    world->sink.refused(world->stats, "too late", 7, 502);
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    assert_int_equal(view->refusal_count, 2);
    assert_int_equal(view->refusals[0].count, 2);
    assert_int_equal(view->refusals[0].last_pid, 6);
    assert_int_equal(view->refusals[0].last_uid, 501);
    assert_true(view->refusals[0].last_wall_ns > 0);
    stats_view_unref(view);
}

static void test_publications_are_coalesced(void **state)
{
    struct world *world = *state;
    void *process = attach(world, 1, 10, 0);
    publish(world);
    uint64_t seq = seq_now(world), start = clock_mono_ns();
    for (unsigned i = 1; i <= 100; i++) {
        tell(world, process, 1, &(struct intake_row){.allocated = i});
        world->sink.swept(world->stats, false);
    }
    uint64_t allowed = (clock_mono_ns() - start) / 50000000u + 1;
    assert_true(seq_now(world) - seq <= allowed);
    publish(world);
    assert_true(seq_now(world) > seq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_starts_with_an_empty_view),
        WORLD_TEST(test_a_view_never_changes),
        WORLD_TEST(test_what_did_not_change_is_shared),
        WORLD_TEST(test_heaps_are_summed_and_types_merged_by_name),
        WORLD_TEST(test_moved_objects_are_neither_allocated_nor_freed),
        WORLD_TEST(test_slices_and_what_waits_over_heaps),
        WORLD_TEST(test_find_by_id_and_by_pid),
        WORLD_TEST(test_gone_processes_are_kept_up_to_a_number),
        WORLD_TEST(test_of_the_gone_the_newest_are_kept),
        WORLD_TEST(test_an_end_gets_its_better_word),
        WORLD_TEST(test_coming_back_is_the_same_process),
        WORLD_TEST(test_sums_keep_the_heaps_that_are_forgotten),
        WORLD_TEST(test_refusals_are_counted_by_reason),
        WORLD_TEST(test_publications_are_coalesced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
