/* A heap that is attached to a daemon which the test plays. */
#ifndef ATTACHED_H
#define ATTACHED_H

#include "fake_daemon.h"

struct node {
    void *next;
};

static const struct tally_type *node_type;

struct world {
    int listener, connection;
    struct tally_heap *heap;
    struct fake_heap shown;
    struct wire_hello_view hello;
};

static inline void world_connect(struct world *world)
{
    world->connection = fake_accept(world->listener, SECONDS(30));
    fake_hello(world->connection, &world->hello);
    fake_welcome(world->connection);
    world->shown = fake_heap_receive(world->connection);
    fake_status_wait(true);
}

static inline int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->listener = fake_listen();
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &world->heap), 0);
    assert_int_equal(tally_attach(world->heap), 0);
    world_connect(world);
    *state = world;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *world = *state;
    fake_heap_drop(&world->shown);
    if (world->heap)
        tally_heap_free(world->heap);
    close(world->connection);
    close(world->listener);
    fake_status_wait(false);
    free(world);
    return 0;
}

static inline void cycle_make(struct tally_heap *heap)
{
    struct node *node = tally_new(heap, node_type);
    tally_store(node, &node->next, node);
    tally_decref(node);
}

static inline uint64_t live(struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats.live_objects;
}

/* Comes by until a command has run: it may have to wait for its turn. */
static inline void come_by(struct tally_heap *heap)
{
    uint64_t give_up_ns = clock_mono_ns() + 60000000000u;
    while (!tally_safepoint(heap)) {
        assert_true(clock_mono_ns() < give_up_ns);
        usleep(100);
    }
}

/* Once, before the tests: a folder for the daemon, and the type. */
static inline void attached_prepare(void)
{
    const struct tally_type_info info = {.name = "node", .size = sizeof(struct node), .ref_count = 1,
                                         .refs = (struct tally_ref[]){{"next", offsetof(struct node, next)}}};
    unsetenv("TALLY_DISABLE");
    fake_directory_make();
    if (tally_type_register(&info, &node_type))
        abort();
}

static inline void gone_receive(struct world *world)
{
    union fake_message message;
    assert_true(fake_receive(world->connection, &message, NULL) > 0);
    assert_int_equal(message.head.kind, WIRE_HEAP_GONE);
    assert_int_equal(message.heap.heap_number, world->shown.number);
}

#endif
