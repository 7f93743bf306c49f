/* What the tests of snapshots share: the daemon's side, which asks and reads to the end, and what must be left then. */
#ifndef TALLY_TESTS_CAPTURED_H
#define TALLY_TESTS_CAPTURED_H

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "agent/capture.h"
#include "attached.h"
#include "heap/heap.h"

struct read_all {
    struct snapshot_reader reader;
    uint64_t objects, edges, labels, last;
    bool instant, label_right;
};

static inline void header_hear(void *arg, const struct snapshot_header *header)
{
    ((struct read_all *)arg)->instant = header->flags & SNAPSHOT_INSTANT;
}
static inline bool object_hear(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    struct read_all *all = arg;
    (void)offset;
    assert_true(object->number > all->last);
    all->last = object->number;
    all->objects++;
    all->labels += object->label.bytes > 0;
    all->label_right = object->label.bytes == 8 && !memcmp(object->label.at, "named \xc3\xa4", 8);
    return true;
}
static inline bool edge_hear(void *arg, const struct snapshot_edge *edge)
{
    (void)edge;
    ((struct read_all *)arg)->edges++;
    return true;
}

static inline struct snapshot_sink sink_of(struct read_all *all)
{
    return (struct snapshot_sink){.arg = all, .header = header_hear, .object = object_hear, .edge = edge_hear};
}

/* Reads what is there; false: the end. */
static inline bool pipe_read(int fd, struct read_all *all, int wait_ms)
{
    static char bytes[65536];
    ssize_t got = fake_readable(fd, wait_ms) ? read(fd, bytes, sizeof bytes) : -1;
    if (got > 0)
        snapshot_read(&all->reader, bytes, (size_t)got);
    return got != 0;
}

static inline void ask(struct world *world, uint64_t operation, enum wire_snapshot_mode mode, bool force)
{
    fake_command(world->connection, &(struct wire_command){.operation = operation, .heap_number = world->shown.number,
                                                           .deadline_ns = clock_mono_ns() + 60000000000u,
                                                           .kind = WIRE_COMMAND_SNAPSHOT, .mode = mode, .force = force});
}

struct outcome {
    struct wire_ack ack; /* the last one */
    int fd;
    struct wire_snapshot snapshot;
    struct read_all read;
};

/* Goes on with the host, the pipe and the socket until the operation has ended and, if the stream is read, it has, too. */
static inline void outcome_await(struct world *world, struct outcome *outcome, bool reads)
{
    struct snapshot_sink sink = sink_of(&outcome->read);
    uint64_t give_up_ns = clock_mono_ns() + 60000000000u;
    bool open = true;
    outcome->fd = -1;
    snapshot_read_begin(&outcome->read.reader, &sink);
    for (bool over = false; !over || (reads && outcome->fd >= 0 && open);) {
        assert_true(clock_mono_ns() < give_up_ns);
        if (world->heap)
            tally_safepoint(world->heap);
        if (outcome->fd >= 0 && reads)
            open = pipe_read(outcome->fd, &outcome->read, 0);
        if (!fake_readable(world->connection, 1))
            continue;
        union fake_message message;
        int fd;
        size_t bytes = fake_receive(world->connection, &message, &fd);
        if (message.head.kind == WIRE_SNAPSHOT) {
            assert_int_equal(wire_snapshot_check(&message, bytes, &outcome->snapshot), 0);
            outcome->fd = fd;
        } else if (message.head.kind == WIRE_ACK) {
            assert_int_equal(wire_ack_check(&message, bytes, &outcome->ack), 0);
            over = outcome->ack.state >= WIRE_ACK_SUCCEEDED;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    if (outcome->fd >= 0)
        close(outcome->fd);
}

static inline void *chain_make(struct tally_heap *heap, unsigned count)
{
    struct node *first = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct node *node = tally_new(heap, node_type);
        assert_non_null(node);
        tally_store_steal(node, &node->next, first);
        first = node;
    }
    return first;
}

static inline unsigned fds_open(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Processes whose parent is this one, zombies too. */
static inline unsigned own_children(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[300];
        int parent = 0;
        snprintf(path, sizeof path, "/proc/%.250s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file && fscanf(file, "%*d (%*[^)]) %*c %d", &parent) == 1)
            count += parent == getpid();
        if (file)
            fclose(file);
    }
    closedir(folder);
    return count;
}

/* The agent has put everything away. */
static inline void nothing_left(unsigned fds)
{
    struct agent *agent = agent_get();
    for (int tries = 0; tries < 2000; tries++) {
        pthread_mutex_lock(&agent->lock);
        bool idle = !agent->capture;
        pthread_mutex_unlock(&agent->lock);
        if (idle && own_children() == 0 && fds_open() == fds)
            return;
        usleep(5000);
    }
    fail_msg("left: %u children, %u descriptors more", own_children(), fds_open() - fds);
}

#endif
