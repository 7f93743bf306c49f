/* What the tests of growing feeds share: wishes, what is announced, and types without end. */
#ifndef GROWTH_H
#define GROWTH_H

#include "agent/agent.h"
#include "attached.h"
#include "heap/internal.h"

static inline void grow_ask(struct world *world, uint32_t number, uint64_t words)
{
    fake_command(world->connection, &(struct wire_command){.kind = WIRE_COMMAND_GROW, .heap_number = number,
                                                           .ring_words = words, .deadline_ns = UINT64_MAX});
}

static inline void grow(struct world *world, uint64_t words)
{
    grow_ask(world, world->shown.number, words);
    assert_int_equal(fake_ack(world->connection, 0, WIRE_ACK_SUCCEEDED).error, 0);
}

static inline struct agent_heap *inside(const struct world *world)
{
    return tally__heap_attachment(world->heap)->agent;
}

static inline void growth_wait(const struct world *world, enum growth growth)
{
    for (int tries = 0; tries < 5000; tries++) {
        if (atomic_load_explicit(&inside(world)->growth, memory_order_acquire) == growth)
            return;
        usleep(1000);
    }
    fail_msg("growth does not become %d", growth);
}

/* A successor as it was announced. */
struct successor {
    struct wire_heap message;
    int fd;
    const void *at;
};

static inline struct successor successor_receive(struct world *world, enum wire_kind kind)
{
    union fake_message message;
    struct successor successor;
    size_t bytes = fake_receive(world->connection, &message, &successor.fd);
    assert_int_equal(wire_heap_check(&message, bytes, &successor.message), 0);
    assert_int_equal(successor.message.head.kind, kind);
    assert_int_equal(successor.message.heap_number, world->shown.number);
    assert_true(successor.fd >= 0);
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    assert_int_equal(fcntl(successor.fd, F_GET_SEALS) & wanted, wanted);
    successor.at = fake_map(successor.fd, successor.message.bytes);
    return successor;
}

static inline void successor_drop(const struct successor *successor)
{
    munmap((void *)(uintptr_t)successor->at, successor->message.bytes);
    close(successor->fd);
}

static inline const struct wire_row *rows_of(const struct wire_counters *counters)
{
    return (const struct wire_row *)((const char *)counters + counters->row_offset);
}

static inline uint64_t sum_allocated(const struct wire_counters *counters)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < counters->row_capacity; i++)
        sum += atomic_load(&rows_of(counters)[i].allocated);
    return sum;
}

static inline void some_events(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        tally_decref(tally_new(world->heap, node_type));
}

/* What of the feeds is mapped here, the daemon's own mappings included. */
static inline uint64_t feeds_mapped(void)
{
    char line[512];
    uint64_t sum = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long long from, to;
        if (strstr(line, "memfd:tally-") && sscanf(line, "%llx-%llx", &from, &to) == 2)
            sum += to - from;
    }
    fclose(file);
    return sum;
}

static inline const struct tally_type *type_new(void)
{
    static unsigned number;
    const struct tally_type *type;
    char name[64];
    snprintf(name, sizeof name, "a type of the tests of growth %u", number++);
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = name, .size = 24}, &type), 0);
    return type;
}

#endif
