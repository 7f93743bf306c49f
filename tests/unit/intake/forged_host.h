/* A host that is forged by hand: real sockets and memory against a real intake whose sink is a real stats
 * model. Both ends live in this process; every wait is bounded. */
#ifndef FORGED_HOST_H
#define FORGED_HOST_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "feed/feed.h"
#include "intake/intake.h"
#include "stats/stats.h"

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define WAIT_MS 30000

struct world {
    char directory[32], path[64];
    struct stats *stats;
    struct intake *intake;
    struct intake_sink inner;
    pthread_mutex_t lock; /* the fields below */
    char reason[128];
    unsigned refused, acks, rows, rows_objects;
    uint64_t rows_last; /* number of the last object, or time of the last cycle */
    struct wire_snapshot snapshot;
    unsigned snapshots;
    int snapshot_fd; /* of the last one; the test's to close */
    struct wire_ack ack;
    uint64_t allocations_at_ack; /* what the view showed when the last answer came */
};

static void *forged_attached(void *arg, const struct intake_process *process)
{
    struct world *world = arg;
    return world->inner.attached(world->stats, process);
}

static void forged_events(void *arg, void *process, uint32_t heap, uint32_t limit, const struct wire_span *span)
{
    struct world *world = arg;
    world->inner.events(world->stats, process, heap, limit, span);
}

static void forged_sample(void *arg, void *process, const struct intake_sample *sample)
{
    struct world *world = arg;
    world->inner.sample(world->stats, process, sample);
}

static void forged_heap_gone(void *arg, void *process, uint32_t heap)
{
    struct world *world = arg;
    world->inner.heap_gone(world->stats, process, heap);
}

static void forged_gone(void *arg, void *process, const char *end)
{
    struct world *world = arg;
    world->inner.gone(world->stats, process, end);
}

static void forged_ended(void *arg, void *process, int status)
{
    struct world *world = arg;
    world->inner.ended(world->stats, process, status);
}

static void forged_swept(void *arg, bool force)
{
    struct world *world = arg;
    world->inner.swept(world->stats, force);
}

static void forged_released(void *arg, void *process)
{
    struct world *world = arg;
    world->inner.released(world->stats, process);
}

static void forged_refused(void *arg, const char *reason, pid_t pid, uid_t uid)
{
    struct world *world = arg;
    world->inner.refused(world->stats, reason, pid, uid);
    pthread_mutex_lock(&world->lock);
    snprintf(world->reason, sizeof world->reason, "%s", reason);
    world->refused++;
    pthread_mutex_unlock(&world->lock);
}

static void forged_ack(void *arg, const char *id, const struct wire_ack *ack)
{
    struct world *world = arg;
    bool ambiguous;
    const struct stats_view *view = stats_view_get_new(world->stats);
    const struct stats_process_view *process = stats_find(view, id, &ambiguous);
    pthread_mutex_lock(&world->lock);
    world->ack = *ack;
    world->allocations_at_ack = process ? process->figures.allocations : 0;
    world->acks++;
    pthread_mutex_unlock(&world->lock);
    stats_view_unref(view);
}

static void forged_rows(void *arg, const char *id, const struct wire_rows *rows)
{
    struct world *world = arg;
    struct wire_object object;
    struct wire_cycle cycle;
    const char *text;
    (void)id;
    pthread_mutex_lock(&world->lock);
    world->rows++;
    if (rows->kind == WIRE_COMMAND_CYCLES)
        for (size_t at = 0; wire_rows_cycle(rows, &at, &cycle, &text);)
            world->rows_last = cycle.last_ns;
    else
        for (size_t at = 0; wire_rows_object(rows, &at, &object); world->rows_objects++)
            world->rows_last = object.object;
    pthread_mutex_unlock(&world->lock);
}

static void forged_snapshot(void *arg, const char *id, const struct wire_snapshot *snapshot, int fd)
{
    struct world *world = arg;
    (void)id;
    pthread_mutex_lock(&world->lock);
    world->snapshot = *snapshot;
    world->snapshot_fd = fd;
    world->snapshots++;
    pthread_mutex_unlock(&world->lock);
}

static inline void world_start(struct world *world)
{
    struct intake_options options = {.socket_path = world->path};
    struct intake_sink sink = {.arg = world, .attached = forged_attached, .events = forged_events,
                               .sample = forged_sample,
                               .heap_gone = forged_heap_gone, .gone = forged_gone, .ended = forged_ended,
                               .swept = forged_swept,
                               .ack = forged_ack, .rows = forged_rows, .snapshot = forged_snapshot, .refused = forged_refused, .released = forged_released};
    world->stats = stats_new();
    assert_non_null(world->stats);
    stats_sink_init(world->stats, &world->inner);
    assert_int_equal(intake_start(&options, &sink, &world->intake), 0);
}

static inline void world_stop(struct world *world)
{
    intake_stop(world->intake);
    stats_free(world->stats);
}

static inline int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    pthread_mutex_init(&world->lock, NULL);
    snprintf(world->directory, sizeof world->directory, "/tmp/tally-intake-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/agent.sock", world->directory);
    world_start(world);
    *state = world;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *world = *state;
    world_stop(world);
    assert_int_equal(rmdir(world->directory), 0); /* the socket is gone with its intake */
    pthread_mutex_destroy(&world->lock);
    free(world);
    return 0;
}

static inline int host_connect(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Whether it went out; a peer may have hung up. */
static inline bool host_sent(int fd, const void *data, size_t bytes, const int *fds, unsigned fd_count)
{
    static _Alignas(struct cmsghdr) char room[CMSG_SPACE(253 * sizeof(int))];
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count) {
        message.msg_control = room;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *control = CMSG_FIRSTHDR(&message);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(control), fds, fd_count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static inline void host_send(int fd, const void *data, size_t bytes, const int *fds, unsigned fd_count)
{
    assert_true(host_sent(fd, data, bytes, fds, fd_count));
}

static inline void host_hello_send(int fd, uint8_t id)
{
    static _Alignas(8) char out[WIRE_MESSAGE_MAX];
    static struct wire_hello_view view;
    view = (struct wire_hello_view){.clock_ns = clock_mono_ns(), .name = "forged", .library = "0.1.0"};
    memset(view.id, id, sizeof view.id);
    size_t bytes = wire_hello_encode(&view, out, sizeof out);
    assert_true(bytes > 0);
    host_send(fd, out, bytes, NULL, 0);
}

/* The next message, or 0 at the end of the connection. */
static inline size_t host_receive(int fd, void *out, size_t room)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, WAIT_MS), 1);
    ssize_t got = recv(fd, out, room, 0);
    return got > 0 ? (size_t)got : 0;
}

/* Connects and says hello; the daemon has answered. */
static inline int host_attach(const struct world *world, uint8_t id)
{
    struct wire_welcome welcome;
    int fd = host_connect(world);
    host_hello_send(fd, id);
    assert_int_equal(host_receive(fd, &welcome, sizeof welcome), sizeof welcome);
    return fd;
}

static inline void id_text(uint8_t id, char out[33])
{
    for (unsigned i = 0; i < 16; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02x", id);
}

static inline int memfd_make(uint64_t bytes, bool allocate, void **memory)
{
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    if (allocate)
        assert_int_equal(fallocate(fd, 0, 0, (off_t)bytes), 0);
    *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(*memory != MAP_FAILED);
    return fd;
}

struct forged_heap {
    uint32_t number, counters_generation, ring_generation;
    int counters_fd, ring_fd;
    void *counters, *ring;
    size_t counters_bytes, ring_bytes;
    struct feed_pen pen;
};

/* Memory of the heap's next feed generation, formatted and not sealed yet. */
static inline void counters_make(struct forged_heap *heap, const struct feed_shape *shape)
{
    heap->counters_bytes = feed_counters_bytes(shape);
    heap->counters_fd = memfd_make(heap->counters_bytes, true, &heap->counters);
    feed_counters_format(heap->counters, shape, heap->number, ++heap->counters_generation);
}

static inline void ring_make(struct forged_heap *heap, uint64_t words)
{
    heap->ring_bytes = feed_ring_bytes(words);
    heap->ring_fd = memfd_make(heap->ring_bytes, true, &heap->ring);
    feed_ring_format(heap->ring, words, heap->number, ++heap->ring_generation);
}

/* A whole heap with one type of 16 bytes in row 1; seals: of both files. */
static inline void heap_make(struct forged_heap *heap, uint32_t number, int seals)
{
    struct feed_type types[] = {{.name = "other"}, {.name = "pair", .size_bytes = 16, .ref_count = 2,
                                                    .flags = WIRE_TYPE_TRACKED}};
    memset(heap, 0, sizeof *heap);
    heap->number = number;
    counters_make(heap, FEED_SHAPE_START);
    ring_make(heap, WIRE_RING_WORDS);
    feed_adopt(&heap->pen, heap->counters, heap->ring);
    feed_types_describe(&heap->pen, types, 2, 2);
    feed_level_set(&heap->pen, WIRE_LEVEL_ALL);
    assert_int_equal(fcntl(heap->counters_fd, F_ADD_SEALS, seals), 0);
    assert_int_equal(fcntl(heap->ring_fd, F_ADD_SEALS, seals), 0);
}

static inline void heap_free(struct forged_heap *heap)
{
    munmap(heap->counters, heap->counters_bytes);
    munmap(heap->ring, heap->ring_bytes);
    close(heap->counters_fd);
    close(heap->ring_fd);
}

static inline void feed_send_as(int fd, enum wire_kind kind, uint32_t number, uint32_t generation, uint64_t bytes,
                                int memfd)
{
    struct wire_heap message = {.head = wire_head_make(kind, sizeof message), .heap_number = number,
                                .feed_generation = generation, .bytes = bytes};
    host_send(fd, &message, sizeof message, &memfd, memfd >= 0);
}

static inline void feed_send(int fd, enum wire_kind kind, uint32_t number, uint64_t bytes, int memfd)
{
    feed_send_as(fd, kind, number, 1, bytes, memfd);
}

static inline void counters_send(int fd, const struct forged_heap *heap)
{
    feed_send_as(fd, WIRE_HEAP_COUNTERS, heap->number, heap->counters_generation, heap->counters_bytes,
                 heap->counters_fd);
}

static inline void ring_send(int fd, const struct forged_heap *heap)
{
    feed_send_as(fd, WIRE_HEAP_RING, heap->number, heap->ring_generation, heap->ring_bytes, heap->ring_fd);
}

static inline void heap_send(int fd, const struct forged_heap *heap)
{
    counters_send(fd, heap);
    ring_send(fd, heap);
}

/* A host that attaches, with a heap. */
static inline int host_show(const struct world *world, uint8_t id, struct forged_heap *heap)
{
    int host = host_attach(world, id);
    heap_make(heap, 1, ALL_SEALS);
    heap_send(host, heap);
    return host;
}

/* Goes on in a successor, sealed and not announced yet; the old memory goes. */
static inline void counters_succeed(struct forged_heap *heap, const struct feed_shape *shape)
{
    struct forged_heap old = *heap;
    counters_make(heap, shape);
    feed_counters_adopt(&heap->pen, heap->counters);
    assert_int_equal(fcntl(heap->counters_fd, F_ADD_SEALS, ALL_SEALS), 0);
    munmap(old.counters, old.counters_bytes);
    close(old.counters_fd);
}

static inline void ring_succeed(struct forged_heap *heap, uint64_t words)
{
    struct forged_heap old = *heap;
    ring_make(heap, words);
    feed_ring_adopt(&heap->pen, heap->ring);
    assert_int_equal(fcntl(heap->ring_fd, F_ADD_SEALS, ALL_SEALS), 0);
    munmap(old.ring, old.ring_bytes);
    close(old.ring_fd);
}

/* Types up to `count`, beyond the two that there are: "type 2" and so on, of 16 bytes. */
static inline void types_make(struct forged_heap *heap, uint32_t count)
{
    while (heap->pen.row_limit < count) {
        char name[32];
        uint32_t before = heap->pen.row_limit;
        snprintf(name, sizeof name, "type %u", before);
        feed_types_describe(&heap->pen, &(struct feed_type){.name = name, .size_bytes = 16}, before + 1, before + 1);
        assert_int_equal(heap->pen.row_limit, before + 1);
    }
}

static inline void heap_write(struct forged_heap *heap, enum wire_event kind, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        feed_object(&heap->pen, kind, 1, false, 16, i);
}

typedef bool (*process_test_fn)(const struct stats_process_view *process, uint64_t argument);

/* Waits until a published view of the process passes; the view is the caller's. */
static inline const struct stats_view *process_wait(struct world *world, uint8_t id, process_test_fn test,
                                                    uint64_t argument, const struct stats_process_view **out)
{
    char text[33];
    bool ambiguous;
    id_text(id, text);
    for (uint64_t until = clock_mono_ns() + WAIT_MS * 1000000ull; clock_mono_ns() < until; usleep(2000)) {
        const struct stats_view *view = stats_view_get_new(world->stats);
        *out = stats_find(view, text, &ambiguous);
        if (*out && test(*out, argument))
            return view;
        stats_view_unref(view);
    }
    fail_msg("no view showed it within %d ms", WAIT_MS);
    return NULL;
}

static inline bool has_allocations(const struct stats_process_view *process, uint64_t count)
{
    return process->figures.allocations == count;
}

static inline bool is_gone(const struct stats_process_view *process, uint64_t unused)
{
    (void)unused;
    return process->gone;
}

/* The peer has hung up, and the newest refusal says so in these words. */
static inline void assert_dropped(struct world *world, int fd, const char *words)
{
    char data[WIRE_MESSAGE_MAX];
    while (host_receive(fd, data, sizeof data))
        continue;
    pthread_mutex_lock(&world->lock);
    bool said = strstr(world->reason, words) != NULL;
    if (!said)
        print_error("refused with \"%s\" and not with \"%s\"\n", world->reason, words);
    world->reason[0] = '\0';
    pthread_mutex_unlock(&world->lock);
    assert_true(said);
    close(fd);
}

static inline unsigned fds_open(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static inline const struct stats_type_view *type_find(const struct stats_process_view *process, const char *name)
{
    for (size_t i = 0; i < process->type_count; i++)
        if (!strcmp(process->types[i].name, name))
            return &process->types[i];
    fail_msg("no type %s", name);
    return NULL;
}

static inline void *copy_of(const void *memory, size_t bytes)
{
    void *copy = malloc(bytes);
    assert_non_null(copy);
    return memcpy(copy, memory, bytes);
}

#endif
