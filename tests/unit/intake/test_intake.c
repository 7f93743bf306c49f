/* From a host's memory to a view: exact figures, answers, ends, and memory that lies. */
#include <signal.h>
#include <sys/wait.h>

#include "forged_host.h"
#include "tally.h"

static bool is_inconsistent(const struct stats_process_view *process, uint64_t unused)
{
    (void)unused;
    return process->heap_count == 1 && process->heaps[0].inconsistent;
}

static void assert_exact(const struct stats_process_view *process, uint64_t allocated, uint64_t freed)
{
    const struct stats_type_view *pair = type_find(process, "pair");
    assert_true(process->complete);
    assert_int_equal(process->figures.allocations, allocated);
    assert_int_equal(process->figures.frees_refcount, freed);
    assert_int_equal(process->figures.live_objects, allocated - freed);
    assert_int_equal(process->figures.live_bytes, (allocated - freed) * 16);
    assert_int_equal(process->figures.events_lost, 0);
    assert_int_equal(pair->event_allocations, allocated);
    assert_int_equal(pair->event_frees_refcount, freed);
}

static void test_figures_are_exact_and_events_agree(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_show(world, 1, &heap);
    for (unsigned round = 1; round <= 5; round++) {
        heap_write(&heap, WIRE_EVENT_FREE_REFCOUNT, 0);
        heap_write(&heap, WIRE_EVENT_ALLOC, 300);
        const struct stats_view *view = process_wait(world, 1, has_allocations, 300 * round, &process);
        assert_exact(process, 300 * round, 0);
        assert_int_equal(process->pid, getpid());
        stats_view_unref(view);
    }
    heap_write(&heap, WIRE_EVENT_FREE_REFCOUNT, 400);
    heap_write(&heap, WIRE_EVENT_ALLOC, 1);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 1501, &process);
    assert_exact(process, 1501, 400);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

/* The view at the moment of the answer shows what was written before it, however soon it comes. */
static void test_an_answer_comes_after_its_view(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    struct wire_command command = {.operation = 5, .deadline_ns = clock_mono_ns() + 1000000000u,
                                   .heap_number = 1,
                                   .kind = WIRE_COMMAND_COLLECT, .generation = 2}, got;
    char id[33];
    id_text(1, id);
    int host = host_show(world, 1, &heap);
    for (unsigned round = 1; round <= 20; round++) {
        command.operation = round;
        assert_int_equal(intake_command(world->intake, id, &command), 0);
        assert_int_equal(host_receive(host, &got, sizeof got), sizeof got);
        assert_int_equal(got.operation, round);
        assert_int_equal(got.deadline_ns, command.deadline_ns);
        heap_write(&heap, WIRE_EVENT_ALLOC, 10);
        struct wire_ack ack = {.head = wire_head_make(WIRE_ACK, sizeof ack), .operation = round,
                               .heap_number = 1,
                               .state = WIRE_ACK_SUCCEEDED, .collected = 3};
        host_send(host, &ack, sizeof ack, NULL, 0);
        bool answered = false;
        for (unsigned i = 0; i < 15000 && !answered; i++, usleep(answered ? 0 : 2000)) {
            pthread_mutex_lock(&world->lock);
            answered = world->acks == round;
            if (answered)
                assert_int_equal(world->allocations_at_ack, 10 * round);
            pthread_mutex_unlock(&world->lock);
        }
        assert_true(answered);
    }
    assert_int_equal(intake_command(world->intake, "00000000000000000000000000000000", &command), -ESRCH);
    heap_free(&heap);
    close(host);
}

/* The process ends before its command is sent: that is what is told, and no other reason. */
static void test_a_command_to_one_that_has_just_ended(void **state)
{
    struct world *world = *state;
    struct wire_command command = {.operation = 5, .deadline_ns = clock_mono_ns() + 1000000000u, .heap_number = 1,
                                   .kind = WIRE_COMMAND_COLLECT, .generation = 2};
    const struct stats_process_view *process = NULL;
    for (uint8_t id = 1; id <= 8; id++) {
        char text[33];
        int host = host_attach(world, id);
        id_text(id, text);
        for (unsigned i = 0; i < 100; i++) /* fewer than fill the socket */
            assert_int_equal(intake_command(world->intake, text, &command), 0);
        close(host);
        stats_view_unref(process_wait(world, id, is_gone, 0, &process));
    }
    pthread_mutex_lock(&world->lock);
    assert_true(!world->acks || world->ack.error == TALLY_ESTATE);
    pthread_mutex_unlock(&world->lock);
}

static unsigned acks_wait(struct world *world, unsigned wanted)
{
    unsigned acks = 0;
    for (unsigned i = 0; i < 15000 && acks < wanted; i++, usleep(2000)) {
        pthread_mutex_lock(&world->lock);
        acks = world->acks;
        pthread_mutex_unlock(&world->lock);
    }
    return acks;
}

/* More commands than a socket holds: the rest comes when there is room, in order; what nobody reads in time expires. */
static void test_a_full_socket_holds_commands_up_and_fails_none(void **state)
{
    struct world *world = *state;
    struct wire_command command = {.deadline_ns = clock_mono_ns() + 60000000000u, .heap_number = 1,
                                   .kind = WIRE_COMMAND_COLLECT, .generation = 2}, got;
    char id[33];
    id_text(1, id);
    int host = host_attach(world, 1);
    for (uint64_t i = 1; i <= 1500; i++) {
        command.operation = i;
        for (int error = -ENOBUFS; error; usleep(error ? 1000 : 0))
            assert_true(!(error = intake_command(world->intake, id, &command)) || error == -ENOBUFS);
    }
    usleep(300000);
    assert_int_equal(acks_wait(world, 0), 0);
    for (uint64_t i = 1; i <= 1500; i++) {
        assert_int_equal(host_receive(host, &got, sizeof got), sizeof got);
        assert_int_equal(got.operation, i);
    }
    command.deadline_ns = clock_mono_ns() + 500000000u;
    for (uint64_t i = 2001; i <= 2900; i++) {
        command.operation = i;
        assert_int_equal(intake_command(world->intake, id, &command), 0);
    }
    unsigned expired = acks_wait(world, 900);
    assert_in_range(expired, 100, 899);
    pthread_mutex_lock(&world->lock);
    assert_int_equal(world->ack.state, WIRE_ACK_EXPIRED);
    assert_int_equal(world->ack.operation, 2900);
    pthread_mutex_unlock(&world->lock);
    for (uint64_t i = 2001; i <= 2900 - expired; i++) {
        assert_int_equal(host_receive(host, &got, sizeof got), sizeof got);
        assert_int_equal(got.operation, i);
    }
    assert_int_equal(recv(host, &got, sizeof got, MSG_DONTWAIT), -1); /* what has expired never comes */
    close(host);
}

/* Records and figures in rings that no honest writer leaves. */
static void test_rings_that_lie_cost_their_own_process(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, 1);
    heap_make(&heap, 1, ALL_SEALS);
    heap_write(&heap, WIRE_EVENT_ALLOC, 3);
    feed_event(&heap.pen, WIRE_EVENT_ALLOC | 60000u << 2 | (uint64_t)1 << 18); /* a row that is none */
    feed_event(&heap.pen, WIRE_EVENT_RARE | 9u << 2 | 200u << 8); /* leads out of what is written */
    heap_send(host, &heap);
    stats_view_unref(process_wait(world, 1, is_inconsistent, 0, &process));
    heap_free(&heap);
    close(host);
    host = host_attach(world, 2);
    heap_make(&heap, 1, ALL_SEALS);
    atomic_store(&heap.pen.ring->head, UINT64_MAX);
    heap_send(host, &heap);
    assert_dropped(world, host, "positions are impossible");
    heap_free(&heap);
    host = host_attach(world, 3);
    heap_make(&heap, 1, ALL_SEALS);
    atomic_store(&heap.pen.counters->type_count, 65);
    feed_send(host, WIRE_HEAP_COUNTERS, 1, WIRE_COUNTERS_BYTES, heap.counters_fd);
    assert_dropped(world, host, "counts types");
    heap_free(&heap);
}

static void test_counters_that_run_backwards_are_inconsistent(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, 1);
    heap_make(&heap, 1, ALL_SEALS);
    heap_write(&heap, WIRE_EVENT_ALLOC, 100);
    heap_send(host, &heap);
    stats_view_unref(process_wait(world, 1, has_allocations, 100, &process));
    atomic_store(&heap.pen.rows[1].allocated, 49);
    heap_write(&heap, WIRE_EVENT_ALLOC, 1);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 50, &process);
    assert_true(is_inconsistent(process, 0));
    assert_false(process->complete);
    stats_view_unref(view);
    atomic_store(&heap.pen.rows[1].freed_cycle, 1000);
    heap_write(&heap, WIRE_EVENT_ALLOC, 1);
    view = process_wait(world, 1, has_allocations, 51, &process);
    assert_int_equal(process->figures.live_objects, 0); /* and not a wrapped number */
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

static void child_run(const struct world *world)
{
    struct forged_heap heap;
    char byte;
    int host = host_show(world, 7, &heap);
    heap_write(&heap, WIRE_EVENT_ALLOC, 777);
    heap_write(&heap, WIRE_EVENT_FREE_REFCOUNT, 77);
    kill(getpid(), SIGKILL);
    host_receive(host, &byte, 1);
}

static bool has_exited(const struct stats_process_view *process, uint64_t unused)
{
    (void)unused;
    return process->gone && process->end && !strcmp(process->end, "exited");
}

static void test_a_killed_host_leaves_its_last_figures(void **state)
{
    struct world *world = *state;
    const struct stats_process_view *process = NULL;
    pid_t child = fork();
    if (!child) {
        child_run(world);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    const struct stats_view *view = process_wait(world, 7, has_exited, 0, &process);
    assert_int_equal(process->pid, child);
    assert_exact(process, 777, 77);
    assert_true(process->gone_wall_ns >= process->attached_wall_ns);
    stats_view_unref(view);
}

/* The same memory handed over again: nothing is counted twice, and no event between is lost. */
static void test_coming_back_goes_on_where_it_was(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    heap_make(&heap, 1, ALL_SEALS);
    for (unsigned round = 1; round <= 3; round++) {
        int host = host_attach(world, 1);
        heap_send(host, &heap);
        heap_write(&heap, WIRE_EVENT_ALLOC, 100);
        const struct stats_view *view = process_wait(world, 1, has_allocations, 150 * round - 50, &process);
        assert_false(process->gone);
        assert_exact(process, 150 * round - 50, 0);
        stats_view_unref(view);
        close(host);
        stats_view_unref(process_wait(world, 1, is_gone, 0, &process));
        heap_write(&heap, WIRE_EVENT_ALLOC, 50);
    }
    heap_free(&heap);
}

static void test_a_new_tallyd_counts_what_the_old_one_saw_as_lost(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    heap_make(&heap, 1, ALL_SEALS);
    heap_write(&heap, WIRE_EVENT_ALLOC, 5000); /* more than the ring holds */
    world_stop(world);
    world_start(world);
    int host = host_attach(world, 1);
    heap_send(host, &heap);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 5000, &process);
    const struct stats_figures figures = process->figures;
    assert_false(process->complete);
    stats_view_unref(view);
    assert_int_equal(figures.events_written, feed_sequence(&heap.pen));
    assert_int_equal(figures.events_seen + figures.events_lost, figures.events_written);
    assert_true(figures.events_lost > 0 && figures.events_seen > 1000);
    heap_free(&heap);
    close(host);
}

/* Who follows its events, and has heard of those from the tallyd before, hears of those alone that come now. */
static void test_a_tail_that_waited_is_not_told_of_what_was_before(void **state)
{
    struct world *world = *state;
    struct stats_tail_filter filter = {.kinds = 0};
    struct stats_tail_event events[16];
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    uint64_t missed, lost;
    id_text(1, filter.process);
    heap_make(&heap, 1, ALL_SEALS);
    heap_write(&heap, WIRE_EVENT_ALLOC, 5000);
    struct stats_tail *tail = stats_tail_open(world->stats, &filter);
    int host = host_attach(world, 1);
    heap_send(host, &heap);
    stats_view_unref(process_wait(world, 1, has_allocations, 5000, &process));
    assert_int_equal(stats_tail_ready(world->stats, tail), 0);
    heap_write(&heap, WIRE_EVENT_ALLOC, 7);
    stats_view_unref(process_wait(world, 1, has_allocations, 5007, &process));
    assert_int_equal(stats_tail_take(world->stats, tail, events, 16, &missed, &lost), 7);
    assert_int_equal(missed + lost, 0);
    stats_tail_close(world->stats, tail);
    heap_free(&heap);
    close(host);
}

static void *write_on(void *arg)
{
    heap_write(arg, WIRE_EVENT_ALLOC, 3000000);
    return NULL;
}

static void test_gaps_are_exact_while_the_writer_runs(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    pthread_t writer;
    const struct stats_process_view *process = NULL;
    int host = host_show(world, 1, &heap);
    assert_int_equal(pthread_create(&writer, NULL, write_on, &heap), 0);
    pthread_join(writer, NULL);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 3000000, &process);
    const struct stats_figures figures = process->figures;
    assert_false(process->heaps[0].inconsistent);
    stats_view_unref(view);
    assert_int_equal(figures.events_written, feed_sequence(&heap.pen));
    assert_int_equal(figures.events_seen + figures.events_lost, feed_sequence(&heap.pen));
    heap_free(&heap);
    close(host);
}

static bool has_gone_heap(const struct stats_process_view *process, uint64_t count)
{
    return process->heap_count && process->heaps[process->heap_count - 1].gone &&
           process->figures.allocations == count;
}

/* More heaps, one after the other, than may live at once: none is forgotten in the sums. */
static void test_heaps_come_and_go(void **state)
{
    struct world *world = *state;
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, 1);
    for (uint32_t number = 1; number <= 1100; number++) {
        struct forged_heap heap;
        heap_make(&heap, number, ALL_SEALS);
        heap_write(&heap, WIRE_EVENT_ALLOC, 2);
        heap_send(host, &heap);
        feed_send(host, WIRE_HEAP_GONE, number, 0, -1);
        heap_free(&heap);
    }
    const struct stats_view *view = process_wait(world, 1, has_gone_heap, 2200, &process);
    assert_exact(process, 2200, 0);
    assert_true(process->heap_count <= 128);
    assert_int_equal(process->heaps[process->heap_count - 1].n, 1100);
    stats_view_unref(view);
    close(host);
}

static bool has_pending_objects(const struct stats_process_view *process, uint64_t count)
{
    return process->figures.pending_objects == count;
}

/* Each of the summary's members under a number of its own. */
static void summary_write(struct forged_heap *heap)
{
    struct wire_counters *to = heap->pen.counters;
    feed_summary_begin(&heap->pen);
    atomic_store(&to->manager, WIRE_MANAGER_CYCLE);
    atomic_store(&to->debug, WIRE_DEBUG_STATS | WIRE_DEBUG_LEAK);
    atomic_store(&to->max_pause_us, 500);
    atomic_store(&to->memory_limit_bytes, (uint64_t)1 << 40);
    atomic_store(&to->extern_bytes, 1001);
    atomic_store(&to->candidates, 1002);
    atomic_store(&to->pending_objects, 1003);
    atomic_store(&to->finalizers_pending, 1004);
    atomic_store(&to->slices, 1005);
    atomic_store(&to->missed_slices, 1006);
    atomic_store(&to->longest_slice_ns, 1007);
    atomic_store(&to->abandoned_runs, 1008);
    atomic_store(&to->refused_runs, 1009);
    atomic_store(&to->candidates_due, 1010);
    feed_summary_end(&heap->pen);
}

static void test_limits_and_what_waits_are_told(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, 1);
    heap_make(&heap, 1, ALL_SEALS);
    feed_collection_stop(&heap.pen,
                         &(struct feed_record){.manager = WIRE_MANAGER_CYCLE, .scope = WIRE_SCOPE_CANDIDATES,
                                               .slices = 70000},
                         1);
    summary_write(&heap);
    heap_send(host, &heap);
    const struct stats_view *view = process_wait(world, 1, has_pending_objects, 1003, &process);
    const struct stats_config *config = &process->heaps[0].config;
    const struct stats_figures *figures = &process->figures;
    assert_int_equal(config->manager, WIRE_MANAGER_CYCLE);
    assert_int_equal(config->debug, 39);
    assert_int_equal(config->max_pause_us, 500);
    assert_int_equal(config->memory_limit_bytes, (uint64_t)1 << 40);
    assert_int_equal(figures->extern_bytes, 1001);
    assert_int_equal(figures->candidates, 1002);
    assert_int_equal(figures->finalizers_pending, 1004);
    assert_int_equal(figures->slices, 1005);
    assert_int_equal(figures->missed_slices, 1006);
    assert_int_equal(figures->longest_slice_ns, 1007);
    assert_int_equal(figures->abandoned_runs, 1008);
    assert_int_equal(figures->refused_runs, 1009);
    assert_int_equal(figures->candidates_due, 1010);
    assert_int_equal(process->collections[0].scope, WIRE_SCOPE_CANDIDATES);
    assert_int_equal(process->collections[0].slices, 70000);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

static void test_the_last_records_are_told(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, 1);
    heap_make(&heap, 1, ALL_SEALS);
    for (unsigned i = 1; i <= 300; i++)
        feed_collection_stop(&heap.pen, &(struct feed_record){.start_ns = clock_mono_ns(), .collected = i},
                             i);
    heap_write(&heap, WIRE_EVENT_ALLOC, 1);
    heap_send(host, &heap);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 1, &process);
    assert_int_equal(process->collection_count, 256);
    assert_int_equal(process->collections[0].sequence, 300);
    assert_int_equal(process->collections[255].sequence, 45);
    assert_int_equal(process->collections[255].collected, 45);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_figures_are_exact_and_events_agree),
        WORLD_TEST(test_an_answer_comes_after_its_view),
        WORLD_TEST(test_a_command_to_one_that_has_just_ended),
        WORLD_TEST(test_a_full_socket_holds_commands_up_and_fails_none),
        WORLD_TEST(test_rings_that_lie_cost_their_own_process),
        WORLD_TEST(test_counters_that_run_backwards_are_inconsistent),
        WORLD_TEST(test_a_killed_host_leaves_its_last_figures),
        WORLD_TEST(test_coming_back_goes_on_where_it_was),
        WORLD_TEST(test_a_new_tallyd_counts_what_the_old_one_saw_as_lost),
        WORLD_TEST(test_a_tail_that_waited_is_not_told_of_what_was_before),
        WORLD_TEST(test_gaps_are_exact_while_the_writer_runs),
        WORLD_TEST(test_heaps_come_and_go),
        WORLD_TEST(test_limits_and_what_waits_are_told),
        WORLD_TEST(test_the_last_records_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
