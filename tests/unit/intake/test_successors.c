/* Heaps that go on in other memory: nothing is missed, and nothing counted twice; and successors that lie. */
#include "forged_host.h"

static void write_row(struct forged_heap *heap, uint32_t row, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        feed_object(&heap->pen, WIRE_EVENT_ALLOC, row, false, 16, i);
}

static uint64_t allocations(const struct forged_heap *heap)
{
    struct feed_totals totals;
    feed_totals(&heap->pen, &totals);
    return totals.allocations;
}

/* Waits for the heap's figures and looks whether events agree, of which `lost` were. */
static void exact(struct world *world, const struct forged_heap *heap, uint64_t lost)
{
    const struct stats_process_view *process = NULL;
    const struct stats_view *view = process_wait(world, 1, has_allocations, allocations(heap), &process);
    const struct stats_figures *figures = &process->figures;
    assert_int_equal(figures->events_lost, lost);
    assert_int_equal(figures->events_written, feed_sequence(&heap->pen));
    assert_int_equal(figures->events_seen + figures->events_lost, feed_sequence(&heap->pen));
    assert_false(process->heaps[0].inconsistent);
    assert_int_equal(process->complete, lost == 0);
    for (size_t i = 0; i < process->type_count && !lost; i++)
        assert_int_equal(process->types[i].event_allocations, process->types[i].allocations);
    stats_view_unref(view);
}

static void test_counters_grow(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    int host = host_show(world, 1, &heap);
    for (uint32_t rows = 64; rows <= 4096; rows *= 4) {
        if (rows > 64) {
            counters_succeed(&heap, &(struct feed_shape){rows, rows * 48});
            counters_send(host, &heap);
        }
        types_make(&heap, rows - 5);
        for (uint32_t i = 1; i < rows - 5; i += 7)
            write_row(&heap, i, i % 3 + 1);
        exact(world, &heap, 0);
    }
    const struct stats_process_view *process = NULL;
    const struct stats_view *view = process_wait(world, 1, has_allocations, allocations(&heap), &process);
    assert_int_equal(type_find(process, "type 4089")->allocations, 4089 % 3 + 1);
    assert_int_equal(type_find(process, "type 8")->allocations, (8 % 3 + 1) * 4);
    assert_int_equal(type_find(process, "pair")->live_bytes, (1 % 3 + 1) * 4 * 16);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

/* What has been written to the old ring until the switch is read, whenever the announcement comes. */
static void test_rings_change(void **state)
{
    static const uint64_t words[] = {4096, 2048, 32768, 8192, WIRE_RING_WORDS_MAX, 2048};
    struct world *world = *state;
    struct forged_heap heap;
    int host = host_show(world, 1, &heap);
    write_row(&heap, 1, 1);
    exact(world, &heap, 0);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        write_row(&heap, 1, 1700);
        ring_succeed(&heap, words[i]);
        write_row(&heap, 1, 130);
        if (i % 2)
            usleep(30000); /* the old one has been looked at since */
        ring_send(host, &heap);
        write_row(&heap, 1, 3);
        exact(world, &heap, 0);
    }
    heap_free(&heap);
    close(host);
}

/* Events are read after the counters that tell of them, and in turns: a view may have these and not yet all of those. */
static bool has_events(const struct stats_process_view *process, uint64_t count)
{
    return process->figures.events_written == count;
}

/* Nobody reads, and old and new rings overflow: what is lost is known exactly. */
static void test_what_is_lost_over_rings_is_exact(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, 1);
    heap_make(&heap, 1, ALL_SEALS);
    write_row(&heap, 1, 30000); /* before anybody could read; what follows is lost where this thread is the faster one */
    heap_send(host, &heap);
    for (unsigned round = 0; round < 20; round++) {
        write_row(&heap, 1, 9000);
        ring_succeed(&heap, 2048u << round % 3);
        write_row(&heap, 1, round % 4 ? 20000 : 10);
        ring_send(host, &heap);
    }
    const struct stats_view *view = process_wait(world, 1, has_events, feed_sequence(&heap.pen), &process);
    assert_int_equal(process->figures.allocations, allocations(&heap));
    assert_int_equal(process->figures.events_seen + process->figures.events_lost, feed_sequence(&heap.pen));
    assert_true(process->figures.events_lost > 20000);
    assert_false(process->heaps[0].inconsistent);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

/* The daemon heard nothing of the switch before the connection was lost: what it did not see is lost, and counted. */
static void test_successors_over_a_lost_connection(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = host_show(world, 1, &heap);
    write_row(&heap, 1, 100);
    exact(world, &heap, 0);
    close(host);
    stats_view_unref(process_wait(world, 1, is_gone, 0, &process));
    write_row(&heap, 1, 23);
    ring_succeed(&heap, 4096);
    counters_succeed(&heap, &(struct feed_shape){128, 6144});
    types_make(&heap, 100);
    write_row(&heap, 99, 10);
    host = host_attach(world, 1);
    heap_send(host, &heap);
    write_row(&heap, 99, 1);
    exact(world, &heap, 23);
    heap_free(&heap);
    close(host);
}

/* ---- successors that lie */

/* A host whose heap was shown as it should be, and changes then. */
static int honest(struct world *world, uint8_t id, struct forged_heap *heap)
{
    const struct stats_process_view *process = NULL;
    int host = host_attach(world, id);
    heap_make(heap, 1, ALL_SEALS);
    types_make(heap, 20);
    heap_send(host, heap);
    write_row(heap, 19, 100);
    stats_view_unref(process_wait(world, id, has_allocations, 100, &process));
    return host;
}

static void seal_and_send(int host, struct forged_heap *heap, bool counters)
{
    assert_int_equal(fcntl(counters ? heap->counters_fd : heap->ring_fd, F_ADD_SEALS, ALL_SEALS), 0);
    (counters ? counters_send : ring_send)(host, heap);
}

static void test_counters_of_another_heap_are_refused(void **state)
{
    struct world *world = *state;
    struct forged_heap heap, other;
    int host = honest(world, 1, &heap);
    heap_make(&other, 2, ALL_SEALS);
    feed_send_as(host, WIRE_HEAP_COUNTERS, 1, 1, other.counters_bytes, other.counters_fd);
    assert_dropped(world, host, "counters feed is of another heap");
    host = honest(world, 2, &heap);
    feed_send_as(host, WIRE_HEAP_COUNTERS, 1, 2, heap.counters_bytes, heap.counters_fd); /* of another generation */
    assert_dropped(world, host, "counters feed is of another heap");
    host = honest(world, 3, &heap);
    feed_send_as(host, WIRE_HEAP_RING, 1, 1, other.ring_bytes, other.ring_fd);
    assert_dropped(world, host, "ring feed is of another heap");
    host = honest(world, 4, &heap);
    feed_send_as(host, WIRE_HEAP_RING, 1, 2, heap.ring_bytes, heap.ring_fd);
    assert_dropped(world, host, "ring feed is of another heap");
    host = honest(world, 5, &heap);
    feed_send_as(host, WIRE_HEAP_RING, 1, 1, heap.counters_bytes, heap.counters_fd);
    assert_dropped(world, host, "ring feed has a header of another kind");
    host = honest(world, 6, &heap);
    feed_send_as(host, WIRE_HEAP_COUNTERS, 1, 0, heap.counters_bytes, heap.counters_fd);
    assert_dropped(world, host, "no heap number");
    heap_free(&other);
}

/* Fewer rows than before, types of other names, counts that go back: nothing is read outside of it, and the liar's
 * figures are known to be none. */
static void test_smaller_counters_do_no_harm(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = honest(world, 1, &heap);
    void *old = heap.counters;
    int old_fd = heap.counters_fd;
    counters_make(&heap, &(struct feed_shape){24, 512});
    heap.pen = (struct feed_pen){.rows = NULL};
    feed_counters_adopt(&heap.pen, heap.counters);
    feed_types_describe(&heap.pen, &(struct feed_type){.name = "altogether"}, 1, 1);
    types_make(&heap, 20);
    seal_and_send(host, &heap, true);
    feed_count(&heap.pen, WIRE_EVENT_ALLOC, 1, false, 16);
    feed_safepoint(&heap.pen, clock_mono_ns());
    const struct stats_view *view = process_wait(world, 1, has_allocations, 1, &process);
    assert_true(process->heaps[0].inconsistent);
    stats_view_unref(view);
    counters_succeed(&heap, &(struct feed_shape){256, 12288});
    types_make(&heap, 200);
    counters_send(host, &heap);
    feed_count(&heap.pen, WIRE_EVENT_ALLOC, 199, false, 16);
    feed_safepoint(&heap.pen, clock_mono_ns());
    stats_view_unref(process_wait(world, 1, has_allocations, 2, &process));
    munmap(old, WIRE_COUNTERS_BYTES);
    close(old_fd);
    heap_free(&heap);
    close(host);
}

static void test_types_that_become_fewer_are_refused(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    int host = honest(world, 1, &heap);
    atomic_store(&heap.pen.counters->type_count, 19);
    write_row(&heap, 1, 1);
    assert_dropped(world, host, "counts types that it cannot have");
    heap_free(&heap);
    host = honest(world, 2, &heap);
    counters_succeed(&heap, FEED_SHAPE_START);
    atomic_store(&heap.pen.counters->type_count, 19); /* in a successor */
    counters_send(host, &heap);
    assert_dropped(world, host, "counts types that it cannot have");
    heap_free(&heap);
}

static void test_names_that_lead_out_are_refused(void **state)
{
    static const struct { uint32_t offset, bytes; const char *words; } lies[] = {
        {WIRE_STRING_BYTES + 1, 4, "leads out"}, {WIRE_STRING_BYTES - 3, 4, "leads out"},
        {0, 256, "leads out"}, {0, 0, "leads out"}, {UINT32_MAX, 4, "leads out"}, {0, UINT32_MAX, "leads out"},
        {WIRE_STRING_BYTES - 4, 4, "clean UTF-8"}}; /* nobody has written there: zeroes */
    struct world *world = *state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct forged_heap heap;
        int host = honest(world, (uint8_t)(i + 1), &heap);
        counters_succeed(&heap, FEED_SHAPE_START);
        struct wire_counters *counters = heap.counters;
        struct wire_desc *descs = (struct wire_desc *)((char *)heap.counters + counters->desc_offset);
        descs[7].name_offset = lies[i].offset;
        descs[7].name_bytes = lies[i].bytes;
        counters_send(host, &heap);
        assert_dropped(world, host, lies[i].words);
        heap_free(&heap);
    }
}

/* The old ring is read to its end before the new one is believed. */
static void test_a_lie_in_the_old_ring_is_found_at_its_end(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    int host = honest(world, 1, &heap);
    atomic_store(&heap.pen.ring->head, UINT64_MAX);
    usleep(1000);
    ring_make(&heap, 4096);
    seal_and_send(host, &heap, false);
    assert_dropped(world, host, "positions are impossible");
    heap_free(&heap);
}

/* A ring that claims to begin before the old one ended, and records that go back. */
static void test_figures_that_go_back_are_malformed(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = honest(world, 1, &heap);
    for (unsigned i = 0; i < 10; i++)
        feed_collection_stop(&heap.pen, &(struct feed_record){.start_ns = clock_mono_ns()}, 1);
    write_row(&heap, 19, 1);
    stats_view_unref(process_wait(world, 1, has_allocations, 101, &process));
    heap.pen.skip += 50;
    ring_succeed(&heap, 4096);
    atomic_store(&heap.pen.counters->record_head, 3);
    ring_send(host, &heap);
    write_row(&heap, 19, 1);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 102, &process);
    assert_true(process->heaps[0].inconsistent);
    assert_int_equal(process->collection_count, 10);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

/* A writer that never lets go of the summary leaves what was read before; the rows go on. */
static void test_a_summary_that_stays_open_is_left_as_it_was(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    int host = honest(world, 1, &heap);
    feed_summary_begin(&heap.pen);
    atomic_store(&heap.pen.counters->garbage, 12345);
    write_row(&heap, 19, 1);
    const struct stats_view *view = process_wait(world, 1, has_allocations, 101, &process);
    assert_int_equal(process->figures.garbage, 0);
    stats_view_unref(view);
    feed_summary_end(&heap.pen);
    write_row(&heap, 19, 1);
    view = process_wait(world, 1, has_allocations, 102, &process);
    assert_int_equal(process->figures.garbage, 12345);
    stats_view_unref(view);
    heap_free(&heap);
    close(host);
}

/* An answer to a wish of the daemon's own is nobody else's. */
static void test_answers_to_own_wishes_are_kept(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    int host = honest(world, 1, &heap);
    struct wire_ack ack = {.head = wire_head_make(WIRE_ACK, sizeof ack), .heap_number = 1,
                           .state = WIRE_ACK_SUCCEEDED};
    host_send(host, &ack, sizeof ack, NULL, 0);
    ack.operation = 9;
    host_send(host, &ack, sizeof ack, NULL, 0);
    for (unsigned i = 0, acks = 0; i < 30000 && !acks; i++, usleep(1000)) {
        pthread_mutex_lock(&world->lock);
        acks = world->acks;
        pthread_mutex_unlock(&world->lock);
    }
    pthread_mutex_lock(&world->lock);
    assert_int_equal(world->acks, 1);
    assert_int_equal(world->ack.operation, 9);
    pthread_mutex_unlock(&world->lock);
    heap_free(&heap);
    close(host);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_counters_grow),
        WORLD_TEST(test_rings_change),
        WORLD_TEST(test_what_is_lost_over_rings_is_exact),
        WORLD_TEST(test_successors_over_a_lost_connection),
        WORLD_TEST(test_counters_of_another_heap_are_refused),
        WORLD_TEST(test_smaller_counters_do_no_harm),
        WORLD_TEST(test_types_that_become_fewer_are_refused),
        WORLD_TEST(test_names_that_lead_out_are_refused),
        WORLD_TEST(test_a_lie_in_the_old_ring_is_found_at_its_end),
        WORLD_TEST(test_figures_that_go_back_are_malformed),
        WORLD_TEST(test_a_summary_that_stays_open_is_left_as_it_was),
        WORLD_TEST(test_answers_to_own_wishes_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
