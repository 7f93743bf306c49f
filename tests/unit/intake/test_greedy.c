/* A client that has much read for it, again and again, takes its turns and no more. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rings_that_come_and_go_hold_nobody_up, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
