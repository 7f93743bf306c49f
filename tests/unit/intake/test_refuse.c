/* What the intake refuses: memory that could change or vanish, messages that make no sense, peers that are
 * silent. */
#include "forged_host.h"

static void feed_refused(struct world *world, enum wire_kind kind, uint64_t bytes, int fd, const char *words)
{
    static uint8_t id = 1;
    int host = host_attach(world, id++);
    feed_send(host, kind, 1, bytes, fd);
    assert_dropped(world, host, words);
}

static void test_each_seal_is_asked_for(void **state)
{
    const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL};
    for (unsigned i = 0; i < 4; i++) {
        struct forged_heap heap;
        heap_make(&heap, 1, ALL_SEALS & ~seals[i]);
        feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, heap.counters_fd, "lacks a seal");
        heap_free(&heap);
    }
}

static void test_what_is_no_memfd_is_refused(void **state)
{
    int pipes[2];
    char path[] = "/tmp/tally-file-XXXXXX";
    int file = mkstemp(path);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(ftruncate(file, WIRE_COUNTERS_BYTES), 0);
    feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, pipes[0], "feed");
    feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, file, "feed");
    feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, -1, "without its memory");
    close(pipes[0]);
    close(pipes[1]);
    close(file);
    unlink(path);
}

static void test_sizes_and_holes_are_refused(void **state)
{
    struct forged_heap heap;
    void *memory;
    heap_make(&heap, 1, ALL_SEALS);
    feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES + 4096, heap.counters_fd, "promised size");
    feed_refused(*state, WIRE_HEAP_COUNTERS, UINT64_MAX, heap.counters_fd, "");
    feed_refused(*state, WIRE_HEAP_COUNTERS, 0, heap.counters_fd, "promised size");
    feed_refused(*state, WIRE_HEAP_RING, WIRE_RING_BYTES, heap.ring_fd, "before its counters");
    feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_RING_BYTES, heap.ring_fd, "header");
    heap_free(&heap);
    int sparse = memfd_make(WIRE_COUNTERS_BYTES, false, &memory);
    feed_counters_format(memory, FEED_SHAPE_START, 1, 1);
    munmap(memory, WIRE_COUNTERS_BYTES);
    assert_int_equal(fcntl(sparse, F_ADD_SEALS, ALL_SEALS), 0);
    feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, sparse, "holes");
    close(sparse);
}

static void test_layouts_that_lead_out_are_refused(void **state)
{
    struct { size_t offset; uint32_t value; } lies[] = {
        {offsetof(struct wire_counters, row_offset), WIRE_COUNTERS_BYTES},
        {offsetof(struct wire_counters, row_offset), 1025},
        {offsetof(struct wire_counters, row_capacity), 65537},
        {offsetof(struct wire_counters, row_capacity), 0},
        {offsetof(struct wire_counters, desc_offset), UINT32_MAX - 7},
        {offsetof(struct wire_counters, desc_bytes), 32},
        {offsetof(struct wire_counters, string_bytes), WIRE_COUNTERS_BYTES},
        {offsetof(struct wire_counters, record_capacity), UINT32_MAX},
        {offsetof(struct wire_counters, record_capacity), 0},
        {offsetof(struct wire_counters, heap_number), 9},
        {offsetof(struct wire_counters, version), 7},
    };
    for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct forged_heap heap;
        heap_make(&heap, 1, ALL_SEALS);
        memcpy((char *)heap.counters + lies[i].offset, &lies[i].value, 4);
        feed_refused(*state, WIRE_HEAP_COUNTERS, WIRE_COUNTERS_BYTES, heap.counters_fd, "a counters feed");
        heap_free(&heap);
    }
}

static void test_descriptors_do_not_leak(void **state)
{
    struct world *world = *state;
    unsigned before = fds_open();
    int fds[253], host;
    struct wire_heap message = {.head = wire_head_make(WIRE_HEAP_COUNTERS, sizeof message), .heap_number = 1,
                                .feed_generation = 1, .bytes = WIRE_COUNTERS_BYTES};
    for (unsigned i = 0; i < 253; i++)
        fds[i] = STDERR_FILENO;
    for (unsigned count = 1; count < 254; count += 84) {
        host = host_attach(world, (uint8_t)(100 + count));
        host_send(host, &message, sizeof message, fds, count);
        assert_dropped(world, host, count == 1 ? "feed" : "more than one descriptor");
    }
    host = host_attach(world, 99); /* an empty message, which reads like the end */
    host_send(host, "", 0, fds, 1);
    char byte;
    assert_int_equal(host_receive(host, &byte, 1), 0);
    close(host);
    for (unsigned i = 0; i < 250 && fds_open() > before + 1; i++) /* one pidfd waits for our end */
        usleep(10000);
    assert_true(fds_open() <= before + 1);
}

static void test_nonsense_drops_its_sender(void **state)
{
    struct world *world = *state;
    char junk[256];
    memset(junk, 0xa5, sizeof junk);
    int host = host_connect(world);
    host_send(host, junk, sizeof junk, NULL, 0);
    assert_dropped(world, host, "not as long as it says");
    host = host_connect(world);
    host_send(host, junk, 3, NULL, 0);
    assert_dropped(world, host, "shorter");
    host = host_connect(world);
    struct wire_head bye = wire_head_make(WIRE_BYE, sizeof bye);
    host_send(host, &bye, sizeof bye, NULL, 0);
    assert_dropped(world, host, "did not say hello");
    host = host_attach(world, 1);
    host_hello_send(host, 1);
    assert_dropped(world, host, "hello twice");
    host = host_attach(world, 2);
    int second = host_connect(world);
    host_hello_send(second, 2);
    assert_dropped(world, second, "attached already");
    static char big[WIRE_MESSAGE_MAX + 512];
    host_send(host, big, sizeof big, NULL, 0);
    assert_dropped(world, host, "too long");
}

static void test_unknown_messages_are_skipped(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    const struct stats_process_view *process = NULL;
    struct wire_head unknown = wire_head_make((enum wire_kind)77, sizeof unknown);
    int host = host_attach(world, 1);
    host_send(host, &unknown, sizeof unknown, NULL, 0);
    heap_make(&heap, 1, ALL_SEALS);
    heap_write(&heap, WIRE_EVENT_ALLOC, 5);
    heap_send(host, &heap);
    stats_view_unref(process_wait(world, 1, has_allocations, 5, &process));
    heap_free(&heap);
    close(host);
}

static void test_silent_sockets_evict_the_oldest(void **state)
{
    struct world *world = *state;
    int fds[65];
    for (unsigned i = 0; i < 65; i++) {
        fds[i] = host_connect(world);
        if (i == 0)
            usleep(50000); /* its time of arrival is earlier than the others' */
    }
    assert_dropped(world, fds[0], "silent");
    host_hello_send(fds[64], 1);
    struct wire_welcome welcome;
    assert_int_equal(host_receive(fds[64], &welcome, sizeof welcome), sizeof welcome);
    for (unsigned i = 1; i < 65; i++)
        close(fds[i]);
}

/* Those that never said hello leave nothing behind, though their process lives on. */
static void test_comers_and_goers_do_not_fill_the_house(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 4200; i++)
        close(host_connect(world));
    int host = host_attach(world, 1);
    close(host);
}

static void test_the_socket_is_ours_alone(void **state)
{
    struct world *world = *state;
    struct stat status;
    assert_int_equal(stat(world->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_each_seal_is_asked_for),
        WORLD_TEST(test_what_is_no_memfd_is_refused),
        WORLD_TEST(test_sizes_and_holes_are_refused),
        WORLD_TEST(test_layouts_that_lead_out_are_refused),
        WORLD_TEST(test_descriptors_do_not_leak),
        WORLD_TEST(test_nonsense_drops_its_sender),
        WORLD_TEST(test_unknown_messages_are_skipped),
        WORLD_TEST(test_silent_sockets_evict_the_oldest),
        WORLD_TEST(test_comers_and_goers_do_not_fill_the_house),
        WORLD_TEST(test_the_socket_is_ours_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
