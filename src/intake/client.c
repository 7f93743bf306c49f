/* One connected process: its messages, in the order that wire/message.h draws, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "intake/private.h"
#include "tally.h"

struct received {
    _Alignas(8) char data[WIRE_MESSAGE_MAX + 1];
    size_t bytes;
    int fd; /* -1: none; closed by whoever handles the message */
    bool truncated;
};

static void fds_take(struct msghdr *message, struct received *out)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
            if (out->fd < 0 && count == 1) {
                out->fd = fd;
            } else { /* one a message: the others are not for us */
                close(fd);
                out->truncated = true;
            }
        }
    }
}

/* 1: a message, 0: none now, -1: the connection has ended. A peer that ends before it has read all resets it: that
 * is told once, before what it has sent. */
static int receive(int fd, struct received *out)
{
    union { struct cmsghdr align; char room[CMSG_SPACE(2 * sizeof(int))]; } control;
    struct iovec part = {out->data, sizeof out->data};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t bytes;
    bool reset = false, again;
    do {
        bytes = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        again = bytes < 0 && (errno == EINTR || (errno == ECONNRESET && !reset));
        reset |= bytes < 0 && errno == ECONNRESET;
    } while (again);
    if (bytes < 0)
        return errno == EAGAIN ? 0 : -1;
    out->bytes = (size_t)bytes;
    out->fd = -1;
    out->truncated = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
    fds_take(&message, out);
    if (bytes > 0)
        return 1;
    if (out->fd >= 0) /* an empty message looks like the end, and may still have carried a descriptor */
        close(out->fd);
    return -1;
}

static void id_text(const uint8_t id[WIRE_ID_BYTES], char out[INTAKE_ID_CHARS])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < WIRE_ID_BYTES; i++) {
        out[2 * i] = digits[id[i] >> 4];
        out[2 * i + 1] = digits[id[i] & 15];
    }
    out[2 * WIRE_ID_BYTES] = '\0';
}

static bool welcome(struct client *client)
{
    struct wire_welcome message = {.head = wire_head_make(WIRE_WELCOME, sizeof message),
                                   .clock_ns = clock_mono_ns()};
    memcpy(message.daemon_id, client->intake->daemon_id, WIRE_ID_BYTES);
    snprintf(message.daemon, sizeof message.daemon, "%s", TALLY_VERSION);
    return send(client->fd, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof message;
}

/* A process that lost its connection and came back goes on where it was read last. */
static void heaps_inherit(struct client *client)
{
    struct client *old = client->intake->over_count ? client->intake->clients : NULL;
    for (; old; old = old->next) {
        if (old == client || !old->over || old->uid != client->uid || strcmp(old->id, client->id))
            continue;
        client->heaps = old->heaps;
        for (struct heap_feed *heap = client->heaps; heap; heap = heap->next)
            heap->unheard_ns = client->connected_ns;
        client->commands_open = old->commands_open;
        old->heaps = NULL;
        intake_client_unwatch(old);
        return;
    }
}

static const char *hello_take(struct client *client, const struct received *received)
{
    struct wire_hello_view hello;
    int fault = wire_hello_check(received->data, received->bytes, &hello);
    if (fault)
        return wire_fault_sentence(fault);
    if (hello.version != WIRE_VERSION)
        return "the library speaks another wire version";
    id_text(hello.id, client->id);
    if (intake_id_known(client->intake, client->id))
        return "a process of this id is attached already";
    heaps_inherit(client);
    int64_t offset = (int64_t)(hello.clock_ns - clock_mono_ns());
    client->clock_offset_ns = offset > 1000000000 || offset < -1000000000 ? offset : 0;
    struct intake_process process = {.pid = client->pid, .uid = client->uid, .hello = &hello};
    memcpy(process.id, client->id, sizeof process.id);
    client->handle = client->intake->sink.attached(client->intake->sink.arg, &process);
    if (!client->handle)
        return "its id is another user's, or memory is short";
    client->hello = true;
    client->intake->silent_count--;
    intake_id_add(client->intake, client->id);
    return welcome(client) ? NULL : "it does not read";
}

static const char *heap_gone(struct client *client, uint32_t number)
{
    struct heap_feed *heap = intake_feed_find(client, number);
    const char *fault = NULL;
    if (!heap)
        return NULL;
    uint64_t again_ns = POLL_ACTIVE_NS;
    heap->told = false;
    intake_heap_sample(client, heap, LAST_WORDS, true, &again_ns, &fault);
    if (!fault)
        client->intake->sink.heap_gone(client->intake->sink.arg, client->handle, number);
    intake_feed_free(client, heap);
    return fault;
}

/* Reads one heap now, whoever's turn it is. */
static const char *heap_look(struct client *client, uint32_t number)
{
    struct heap_feed *heap = intake_feed_find(client, number);
    uint64_t again_ns = POLL_ACTIVE_NS;
    const char *fault = NULL;
    if (heap)
        intake_heap_sample(client, heap, TURN_WORDS, false, &again_ns, &fault);
    return fault;
}

static const char *ack_take(struct client *client, const struct received *received)
{
    struct wire_ack ack;
    int fault = wire_ack_check(received->data, received->bytes, &ack);
    if (fault)
        return wire_fault_sentence(fault);
    if (!ack.operation)
        return NULL; /* to a wish of our own */
    if (ack.started_ns)
        ack.started_ns -= (uint64_t)client->clock_offset_ns;
    /* What the answer tells of is seen before the answer. One that nobody asked for has no such claim. */
    if (ack.state >= WIRE_ACK_SUCCEEDED && client->commands_open) {
        const char *wrong = heap_look(client, ack.heap_number);
        if (wrong)
            return wrong;
        client->commands_open--;
        client->intake->sink.swept(client->intake->sink.arg, true);
    }
    client->intake->sink.ack(client->intake->sink.arg, client->id, &ack);
    return NULL;
}

/* Times are those of the host's clock. */
static void cycles_shift(void *data, int64_t offset_ns)
{
    struct wire_cycle row;
    const char *text;
    for (size_t at = 0; wire_rows_cycle(data, &at, &row, &text);) {
        row.last_ns -= (uint64_t)offset_ns;
        memcpy((char *)data + (text - (const char *)data) - sizeof row, &row, sizeof row);
    }
}

static const char *rows_take(struct client *client, struct received *received)
{
    const struct intake_sink *sink = &client->intake->sink;
    struct wire_rows rows;
    int fault = wire_rows_check(received->data, received->bytes, &rows);
    if (fault)
        return wire_fault_sentence(fault);
    if (rows.kind == WIRE_COMMAND_CYCLES)
        cycles_shift(received->data, client->clock_offset_ns);
    if (client->commands_open && sink->rows) /* else nobody asked */
        sink->rows(sink->arg, client->id, (const struct wire_rows *)(const void *)received->data);
    return NULL;
}

static bool is_pipe_to_read(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY && !fstat(fd, &status) && S_ISFIFO(status.st_mode);
}

static const char *snapshot_take(struct client *client, struct received *received)
{
    const struct intake_sink *sink = &client->intake->sink;
    struct wire_snapshot snapshot;
    int fault = wire_snapshot_check(received->data, received->bytes, &snapshot);
    if (fault)
        return wire_fault_sentence(fault);
    if (received->fd < 0 || !is_pipe_to_read(received->fd))
        return "a snapshot came without a pipe to read it from";
    if (!client->commands_open || !sink->snapshot)
        return NULL; /* nobody asked */
    snapshot.started_ns -= (uint64_t)client->clock_offset_ns;
    sink->snapshot(sink->arg, client->id, &snapshot, received->fd);
    received->fd = -1;
    return NULL;
}

static const char *feed_take(struct client *client, struct received *received)
{
    struct wire_heap message;
    int fault = wire_heap_check(received->data, received->bytes, &message);
    if (fault)
        return wire_fault_sentence(fault);
    if (message.head.kind == WIRE_HEAP_GONE)
        return heap_gone(client, message.heap_number);
    if (received->fd < 0)
        return "a feed came without its memory";
    client->due_ns = client->rested_ns;
    client->intake->due_ns = 0;
    return intake_feed_open(client, &message, received->fd);
}

/* Returns NULL, or the reason to drop the client; sets *bye. */
static const char *handle(struct client *client, struct received *received, bool *bye)
{
    struct wire_head head;
    if (received->truncated)
        return "a message carried more than one descriptor, or was too long";
    int fault = wire_head_check(received->data, received->bytes, &head);
    if (fault)
        return wire_fault_sentence(fault);
    if (!client->hello)
        return head.kind == WIRE_HELLO ? hello_take(client, received) : "it did not say hello first";
    switch (head.kind) {
    case WIRE_HELLO:
        return "it said hello twice";
    case WIRE_HEAP_COUNTERS:
    case WIRE_HEAP_RING:
    case WIRE_HEAP_GONE:
        return feed_take(client, received);
    case WIRE_ACK:
        return ack_take(client, received);
    case WIRE_ROWS:
        return rows_take(client, received);
    case WIRE_SNAPSHOT:
        return snapshot_take(client, received);
    case WIRE_BYE:
        *bye = true;
        return NULL;
    default:
        return NULL;
    }
}

static bool readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&poller, 1, 0) == 1;
}

void intake_client_receive(struct client *client)
{
    uint64_t began_ns = clock_mono_ns();
    for (unsigned i = 0; i < MESSAGES_A_TURN && client->fd >= 0; i++) {
        if (i && clock_mono_ns() - began_ns > MESSAGES_NS)
            return; /* a ring that is succeeded is read to its end */
        struct received received;
        bool bye = false;
        int got = receive(client->fd, &received);
        if (!got)
            return;
        if (got < 0) {
            intake_client_end(client, readable(client->pidfd) ? "exited" : "closed");
            return;
        }
        const char *reason = handle(client, &received, &bye);
        if (received.fd >= 0)
            close(received.fd);
        if (reason)
            intake_client_drop(client, reason);
        else if (bye)
            intake_client_end(client, "bye");
    }
}

void intake_client_receive_last(struct client *client)
{
    for (unsigned turn = 0; turn < LAST_TURNS && !client->over && readable(client->fd); turn++)
        intake_client_receive(client);
}

void intake_client_drop(struct client *client, const char *reason)
{
    intake_refuse(client->intake, reason, client->pid, client->uid);
    intake_client_end(client, "closed");
}

/* What is over waits for its process's end, to tell of it; once is enough for one process, and one that
 * never said hello has nothing to tell. Else a process that comes and goes could fill the house. */
static void waiting_bound(struct client *client)
{
    for (struct client *old = client->intake->clients; old; old = old->next) {
        bool same = old->over && old->pid == client->pid && old->uid == client->uid && old != client;
        if (same || (old == client && !old->handle))
            intake_client_unwatch(old);
    }
}

void intake_client_end(struct client *client, const char *end)
{
    const struct intake_sink *sink = &client->intake->sink;
    if (client->over)
        return;
    client->over = true;
    client->intake->over_count++;
    if (client->hello)
        intake_id_remove(client->intake, client->id);
    else
        client->intake->silent_count--;
    if (client->handle) {
        for (struct heap_feed *heap = client->heaps; heap; heap = heap->next)
            heap->told = false;
        intake_client_sweep(client, true);
        sink->gone(sink->arg, client->handle, end);
    }
    for (struct heap_feed *heap = client->heaps; heap; heap = heap->next)
        intake_feed_close(client, heap);
    intake_client_close(client);
    waiting_bound(client);
}

void intake_client_ask(struct client *client, struct wire_command *command)
{
    command->head = wire_head_make(WIRE_COMMAND, sizeof *command);
    command->deadline_ns = UINT64_MAX;
    if (client->fd >= 0 && send(client->fd, command, sizeof *command, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; /* it does not read: the wish comes up again */
}

/* The next look comes after the shortest time that any heap asks for, in steps that clients have in common, so that
 * they are looked at together; and never before this one has been paid for. */
static void look_next(struct client *client, bool any, uint64_t again_ns, uint64_t idle_ns, uint64_t began_ns)
{
    uint64_t now_ns = clock_mono_ns(), step_ns = POLL_MIN_NS;
    uint64_t rest_ns = REST * (now_ns - began_ns);
    while (step_ns * 2 <= again_ns)
        step_ns *= 2;
    if (any)
        client->interval_ns = step_ns;
    else if (client->interval_ns < idle_ns / 2)
        client->interval_ns = client->interval_ns ? client->interval_ns * 2 : step_ns;
    else
        client->interval_ns = idle_ns;
    client->rested_ns = now_ns + rest_ns;
    client->due_ns = client->rested_ns / client->interval_ns * client->interval_ns + client->interval_ns;
}

/* Heaps of before a connection was lost, that were freed while it was. */
static void unheard_end(struct client *client, uint64_t now_ns)
{
    struct heap_feed *next;
    for (struct heap_feed *heap = client->heaps; heap; heap = next) {
        next = heap->next;
        if (!heap->unheard_ns || now_ns - heap->unheard_ns < UNHEARD_NS)
            continue;
        client->intake->sink.heap_gone(client->intake->sink.arg, client->handle, heap->number);
        intake_feed_free(client, heap);
    }
}

/* A feed that lies ends its client; the rest of its heaps keep what was told last. */
static void fault_end(struct client *client, struct heap_feed *heap, const char *fault)
{
    intake_feed_close(client, heap);
    if (!client->over)
        intake_client_drop(client, fault);
    else
        intake_refuse(client->intake, fault, client->pid, client->uid);
}

/* How many words of each heap. */
static uint64_t words_each(const struct client *client, uint64_t words)
{
    uint64_t count = 0;
    for (const struct heap_feed *heap = client->heaps; heap; heap = heap->next)
        count++;
    return count && words / count > HEAP_WORDS ? words / count : HEAP_WORDS;
}

bool intake_client_sweep(struct client *client, bool whole)
{
    uint64_t began_ns = clock_mono_ns(), again_ns = POLL_ACTIVE_NS, idle_ns = POLL_IDLE_NS;
    uint64_t words = words_each(client, whole ? LAST_WORDS : TURN_WORDS);
    bool any = false, left = false;
    if (!client->handle)
        return false;
    unheard_end(client, began_ns);
    for (struct heap_feed *heap = client->heaps; heap && !left; heap = heap->next) {
        const char *fault = NULL;
        if (heap->turn == client->turn && !whole)
            continue; /* the look before this came so far */
        any |= intake_heap_sample(client, heap, words, whole, &again_ns, &fault);
        if (fault) {
            fault_end(client, heap, fault);
            return true;
        }
        uint64_t most_ns = intake_heap_rest(heap);
        idle_ns = most_ns < idle_ns ? most_ns : idle_ns;
        heap->turn = client->turn;
        left = !whole && heap->next && clock_mono_ns() - began_ns > LOOK_NS;
    }
    if (!left)
        client->turn++;
    look_next(client, any || left, left ? POLL_MIN_NS : again_ns, idle_ns, began_ns);
    return any;
}
