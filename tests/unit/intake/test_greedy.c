/* A client that has much read for it, again and again, takes its turns and no more. */
#include <sys/wait.h>

#include "forged_host.h"

#define RING_BYTES (WIRE_RING_HEADER_BYTES + (uint64_t)WIRE_RING_WORDS_MAX * 8)
#define SWAPS 60

/* A ring of the largest size that is full of births. */
static int ring_full(void)
{
    void *memory;
    int fd = memfd_make(RING_BYTES, true, &memory);
    struct wire_ring *ring = memory;
    uint64_t *words = (uint64_t *)((char *)memory + WIRE_RING_HEADER_BYTES);
    feed_ring_format(memory, WIRE_RING_WORDS_MAX, 1, 1);
    for (uint64_t i = 0; i < WIRE_RING_WORDS_MAX; i++)
        words[i] = feed_word(WIRE_EVENT_ALLOC, 1, 16, i * 7919 % 500000);
    for (uint64_t i = 0; i < WIRE_RING_WORDS_MAX; i += WIRE_BLOCK_SIZE)
        words[i] = words[i + 1] = words[i + 2] = 0;
    atomic_store(&ring->reserve, WIRE_RING_WORDS_MAX);
    atomic_store(&ring->head, WIRE_RING_WORDS_MAX);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, ALL_SEALS), 0);
    munmap(memory, RING_BYTES);
    return fd;
}

/* How long an honest comer waits for the answer to its hello. */
static uint64_t welcome_ns(const struct world *world, uint8_t id)
{
    uint64_t began_ns = clock_mono_ns();
    close(host_attach(world, id));
    return clock_mono_ns() - began_ns;
}

/* When all that it has sent is done with. */
static void bye(int fd)
{
    struct wire_head message = wire_head_make(WIRE_BYE, sizeof message);
    char data[WIRE_MESSAGE_MAX];
    host_send(fd, &message, sizeof message, NULL, 0);
    while (host_receive(fd, data, sizeof data))
        continue;
    close(fd);
}

static void test_rings_that_come_and_go_hold_nobody_up(void **state)
{
    struct world *world = *state;
    struct forged_heap heap;
    int rings[2] = {ring_full(), ring_full()}, greedy = host_attach(world, 1);
    heap_make(&heap, 1, ALL_SEALS);
    heap_send(greedy, &heap);
    uint64_t began_ns = clock_mono_ns();
    for (unsigned i = 0; i < SWAPS; i++)
        feed_send(greedy, WIRE_HEAP_RING, 1, RING_BYTES, rings[i % 2]);
    uint64_t beside_ns = welcome_ns(world, 2);
    bye(greedy);
    uint64_t all_ns = clock_mono_ns() - began_ns;
    if (beside_ns >= all_ns / 3)
        fail_msg("%.1f ms beside what takes %.1f ms", (double)beside_ns / 1e6, (double)all_ns / 1e6);
    close(rings[0]);
    close(rings[1]);
    heap_free(&heap);
}

#define LAST_HEAPS 90u /* two messages each: more than two turns of them */

/* A child that says all that it has to say at one go, when it is told to, and is gone; what it was told it has not
 * read. */
static void brief_host(const struct world *world, uint8_t id, int told, int tells)
{
    static struct forged_heap heaps[LAST_HEAPS];
    char word = 0;
    int fd = host_connect(world);
    host_hello_send(fd, id);
    struct pollfd welcome = {.fd = fd, .events = POLLIN};
    poll(&welcome, 1, WAIT_MS);
    for (uint32_t i = 0; i < LAST_HEAPS; i++) {
        heap_make(&heaps[i], i + 1, ALL_SEALS);
        heap_write(&heaps[i], WIRE_EVENT_ALLOC, 1);
    }
    if (write(tells, &word, 1) != 1 || read(told, &word, 1) != 1)
        _exit(1);
    for (uint32_t i = 0; i < LAST_HEAPS; i++)
        heap_send(fd, &heaps[i]);
    _exit(0);
}

static void test_what_was_said_last_is_heard(void **state)
{
    struct world *world = *state;
    const struct stats_process_view *process = NULL;
    struct forged_heap heap;
    char word = 0;
    int rings[2] = {ring_full(), ring_full()}, greedy = host_attach(world, 1), tell[2], hear[2];
    assert_int_equal(pipe(tell) || pipe(hear), 0);
    heap_make(&heap, 1, ALL_SEALS);
    heap_send(greedy, &heap);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        brief_host(world, 2, tell[0], hear[1]);
    assert_int_equal(read(hear[0], &word, 1), 1);
    for (unsigned i = 0; i < SWAPS; i++) /* so that the intake is late */
        feed_send(greedy, WIRE_HEAP_RING, 1, RING_BYTES, rings[i % 2]);
    assert_int_equal(write(tell[1], &word, 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    const struct stats_view *view = process_wait(world, 2, is_gone, 0, &process);
    assert_int_equal(process->figures.allocations, LAST_HEAPS);
    stats_view_unref(view);
    bye(greedy);
    for (unsigned i = 0; i < 2; i++) {
        close(rings[i]);
        close(tell[i]);
        close(hear[i]);
    }
    heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rings_that_come_and_go_hold_nobody_up, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_said_last_is_heard, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
