/* The daemon's end of agent.sock, played by the test itself: no thread, every wait bounded. */
#ifndef FAKE_DAEMON_H
#define FAKE_DAEMON_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "tally.h"
#include "wire/feed.h"
#include "wire/message.h"

#define SECONDS(n) ((n) * 1000)

static char fake_directory[64];

static inline void fake_directory_make(void)
{
    snprintf(fake_directory, sizeof fake_directory, "/tmp/tally-agent-XXXXXX");
    if (!mkdtemp(fake_directory))
        abort();
    setenv("TALLY_RUNTIME_DIR", fake_directory, 1);
}

static inline void fake_socket_path(char path[108])
{
    snprintf(path, 108, "%.63s/agent.sock", fake_directory);
}

static inline void fake_directory_remove(void)
{
    char path[108];
    fake_socket_path(path);
    unlink(path);
    rmdir(fake_directory);
}

static inline int fake_listen(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fake_socket_path(address.sun_path);
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static inline int fake_readable(int fd, int timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1;
}

static inline int fake_accept(int listener, int timeout_ms)
{
    if (!fake_readable(listener, timeout_ms))
        fail_msg("nobody connected within %d ms", timeout_ms);
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

union fake_message {
    struct wire_head head;
    struct wire_ack ack;
    struct wire_heap heap;
    char bytes[WIRE_MESSAGE_MAX];
};

/* Returns the length, 0 at the end of the connection. *fd: -1 without one. */
static inline size_t fake_receive(int connection, union fake_message *message, int *fd)
{
    char control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec part = {message, sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                            .msg_controllen = sizeof control};
    int got_fd = -1;
    if (!fake_readable(connection, SECONDS(30)))
        fail_msg("no message within 5 s");
    ssize_t got = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
    struct cmsghdr *rights = got > 0 ? CMSG_FIRSTHDR(&header) : NULL;
    if (rights) {
        assert_int_equal(rights->cmsg_len, CMSG_LEN(sizeof(int)));
        memcpy(&got_fd, CMSG_DATA(rights), sizeof got_fd);
    }
    if (fd)
        *fd = got_fd;
    else if (got_fd >= 0)
        close(got_fd);
    return got > 0 ? (size_t)got : 0;
}

static inline void fake_hello(int connection, struct wire_hello_view *view)
{
    union fake_message message;
    size_t bytes = fake_receive(connection, &message, NULL);
    assert_int_equal(wire_hello_check(&message, bytes, view), 0);
}

static inline void fake_welcome(int connection)
{
    struct wire_welcome welcome = {.head = wire_head_make(WIRE_WELCOME, sizeof welcome), .daemon = "9.8.7"};
    assert_int_equal(send(connection, &welcome, sizeof welcome, MSG_NOSIGNAL), sizeof welcome);
}

struct fake_heap {
    uint32_t number, generation;
    int counters_fd, ring_fd;
    const struct wire_counters *counters;
    const struct wire_ring *ring;
};

static inline const void *fake_map(int fd, uint64_t bytes)
{
    const void *at = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    return at;
}

/* Receives the two announcements of a heap, which come in a row. */
static inline struct fake_heap fake_heap_receive(int connection)
{
    union fake_message message;
    struct wire_heap counters, ring;
    struct fake_heap heap;
    size_t bytes = fake_receive(connection, &message, &heap.counters_fd);
    assert_int_equal(wire_heap_check(&message, bytes, &counters), 0);
    assert_int_equal(counters.head.kind, WIRE_HEAP_COUNTERS);
    bytes = fake_receive(connection, &message, &heap.ring_fd);
    assert_int_equal(wire_heap_check(&message, bytes, &ring), 0);
    assert_int_equal(ring.head.kind, WIRE_HEAP_RING);
    assert_true(heap.counters_fd >= 0 && heap.ring_fd >= 0);
    assert_int_equal(counters.heap_number, ring.heap_number);
    assert_int_equal(counters.feed_generation, ring.feed_generation);
    heap.number = counters.heap_number;
    heap.generation = counters.feed_generation;
    heap.counters = fake_map(heap.counters_fd, counters.bytes);
    heap.ring = fake_map(heap.ring_fd, ring.bytes);
    return heap;
}

static inline void fake_heap_drop(struct fake_heap *heap)
{
    munmap((void *)(uintptr_t)heap->counters, heap->counters->total_bytes);
    munmap((void *)(uintptr_t)heap->ring, heap->ring->total_bytes);
    close(heap->counters_fd);
    close(heap->ring_fd);
}

static inline void fake_command(int connection, const struct wire_command *command)
{
    struct wire_command message = *command;
    message.head = wire_head_make(WIRE_COMMAND, sizeof message);
    assert_int_equal(send(connection, &message, sizeof message, MSG_NOSIGNAL), sizeof message);
}

static inline void fake_collect(int connection, uint32_t heap_number, uint64_t operation, uint64_t in_ms)
{
    fake_command(connection, &(struct wire_command){.operation = operation, .heap_number = heap_number,
                                                    .deadline_ns = clock_mono_ns() + in_ms * 1000000,
                                                    .kind = WIRE_COMMAND_COLLECT, .generation = 2});
}

static inline struct wire_ack fake_ack(int connection, uint64_t operation, enum wire_ack_state state)
{
    union fake_message message;
    struct wire_ack ack = {.state = 0};
    size_t bytes = fake_receive(connection, &message, NULL);
    assert_int_equal(wire_ack_check(&message, bytes, &ack), 0);
    assert_int_equal(ack.operation, operation);
    assert_int_equal(ack.state, state);
    return ack;
}

static inline void fake_status_wait(bool attached)
{
    char sentence[256] = "";
    for (int tries = 0; tries < 3000; tries++) {
        if (tally_agent_status(sentence, sizeof sentence) == attached)
            return;
        usleep(10000);
    }
    fail_msg("status stays: %s", sentence);
}

#endif
