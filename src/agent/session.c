/* One connection to tallyd: greet, announce the heaps, take commands, send answers. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "base/clock.h"

#define WINDOW_NS 100000000u
#define WINDOW_MESSAGES 256u /* a flood costs the helper thread so much and no more */

/* Between three and five quarters of it, so that a thousand programs do not come back at one instant. */
static uint64_t jittered(uint64_t ns)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)clock_mono_ns();
    return ns - ns / 4 + (ns / 2) * (random & 0xffff) / 0xffff;
}

static void retry_later(struct agent *agent, uint64_t now_ns)
{
    agent->retry_ns = now_ns + jittered(agent->backoff_ns);
    agent->backoff_ns *= 2;
    if (agent->backoff_ns > AGENT_BACKOFF_MAX_NS)
        agent->backoff_ns = AGENT_BACKOFF_MAX_NS;
}

static void link_drop(struct agent *agent, enum agent_reason reason, int error)
{
    if (agent->link == LINK_DOWN)
        return;
    agent_fd_note(AGENT_FD_SOCKET, -1);
    close(agent->socket);
    agent->socket = -1;
    agent->link = LINK_DOWN;
    agent->reason = reason;
    agent->error = error;
    agent->outbox_count = 0;
    agent->overflow = false;
    for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
        agent_requests_forget(agent, shown);
    if (reason != REASON_LOST)
        agent->backoff_ns = AGENT_BACKOFF_MAX_NS;
    retry_later(agent, clock_mono_ns());
}

/* True: sent, and `fd` with it if it is not -1. False: no room now, or the connection is gone. */
static bool send_bytes(struct agent *agent, const void *data, size_t bytes, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(agent->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)bytes) {
        agent->stuck_ns = 0;
        return true;
    }
    if (sent < 0 && errno == EAGAIN)
        agent->room = false;
    else
        link_drop(agent, REASON_LOST, sent < 0 ? errno : EPROTO);
    return false;
}

void agent_session_open(struct agent *agent, const struct link_result *link, uint64_t now_ns)
{
    agent->directory = link->directory;
    if (link->socket < 0) {
        agent->reason = link->reason;
        agent->error = link->error;
        agent->uid = link->uid;
        retry_later(agent, now_ns);
        return;
    }
    struct wire_hello_view view;
    char hello[sizeof(struct wire_hello) + WIRE_TEXT_MAX];
    agent->link = LINK_GREETING;
    agent->socket = link->socket;
    agent->connection++;
    agent->welcome_by_ns = now_ns + AGENT_WELCOME_NS;
    agent->outbox_first = 0;
    agent->stuck_ns = 0;
    for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
        shown->known = shown->counters_sent = shown->ring_sent = false;
    agent_fd_note(AGENT_FD_SOCKET, agent->socket);
    agent_profile(&view);
    memcpy(view.id, agent->id, sizeof view.id);
    memcpy(view.library, TALLY_VERSION, sizeof TALLY_VERSION);
    view.clock_ns = clock_mono_ns();
    size_t bytes = wire_hello_encode(&view, hello, sizeof hello);
    if (!send_bytes(agent, hello, bytes, -1))
        link_drop(agent, REASON_FULL, 0);
}

void agent_send(struct agent *agent, const union agent_message *message)
{
    if (!agent_session_room(agent, 1)) {
        agent->overflow = true;
        return;
    }
    if (agent->link != LINK_UP)
        return;
    agent->outbox[(agent->outbox_first + agent->outbox_count) % AGENT_OUTBOX] = *message;
    agent->outbox_count++;
}

static void outbox_flush(struct agent *agent)
{
    while (agent->outbox_count && agent->room) {
        const union agent_message *message = &agent->outbox[agent->outbox_first];
        if (!send_bytes(agent, message, message->head.bytes, -1))
            return;
        agent->outbox_first = (agent->outbox_first + 1) % AGENT_OUTBOX;
        agent->outbox_count--;
    }
}

bool agent_session_room(struct agent *agent, unsigned messages)
{
    if (agent->link == LINK_UP && agent->outbox_count + messages > AGENT_OUTBOX)
        outbox_flush(agent);
    return agent->link != LINK_UP || agent->outbox_count + messages <= AGENT_OUTBOX;
}

bool agent_session_send(struct agent *agent, const void *message, size_t bytes, int fd)
{
    if (agent->link == LINK_UP)
        outbox_flush(agent);
    return agent->link == LINK_UP && agent->room && send_bytes(agent, message, bytes, fd);
}

static bool memory_announce(struct agent *agent, const struct agent_heap *shown, enum wire_kind kind,
                            const struct agent_memory *memory)
{
    struct wire_heap message = {.head = wire_head_make(kind, sizeof message), .heap_number = shown->number,
                                .feed_generation = memory->generation, .bytes = memory->bytes};
    return send_bytes(agent, &message, sizeof message, memory->fd);
}

/* Behind the outbox: a heap that comes back under its number follows its own HEAP_GONE. */
static void heap_announce(struct agent *agent, struct agent_heap *shown)
{
    if (agent->link != LINK_UP || !agent->room || agent->outbox_count)
        return;
    if (!shown->counters_sent)
        shown->counters_sent = memory_announce(agent, shown, WIRE_HEAP_COUNTERS, &shown->counters);
    shown->known |= shown->counters_sent;
    if (shown->counters_sent && !shown->ring_sent)
        shown->ring_sent = memory_announce(agent, shown, WIRE_HEAP_RING, &shown->ring);
}

void agent_session_announce(struct agent *agent, struct agent_heap *shown)
{
    agent->room = true;
    if (agent->link == LINK_UP)
        outbox_flush(agent);
    heap_announce(agent, shown);
}

/* Returns 0 or the WIRE_FAULT_* that the daemon is dropped for. */
static int message_take(struct agent *agent, const void *data, size_t bytes)
{
    struct wire_head head;
    struct wire_welcome welcome;
    struct wire_command command;
    int fault = wire_head_check(data, bytes, &head);
    if (fault)
        return fault;
    switch (head.kind) {
    case WIRE_WELCOME:
        fault = agent->link == LINK_GREETING ? wire_welcome_check(data, bytes, &welcome) : WIRE_FAULT_KIND;
        if (fault)
            return fault;
        memcpy(agent->daemon, welcome.daemon, sizeof welcome.daemon);
        agent->link = LINK_UP;
        agent->backoff_ns = AGENT_BACKOFF_MIN_NS;
        return 0;
    case WIRE_COMMAND:
        fault = agent->link == LINK_UP ? wire_command_check(data, bytes, &command) : WIRE_FAULT_KIND;
        if (!fault)
            agent_command(agent, &command, clock_mono_ns());
        return fault;
    case WIRE_HELLO:
    case WIRE_HEAP_COUNTERS:
    case WIRE_HEAP_RING:
    case WIRE_HEAP_GONE:
    case WIRE_ACK:
    case WIRE_BYE:
    case WIRE_ROWS:
    case WIRE_SNAPSHOT:
        return WIRE_FAULT_KIND;
    default:
        return 0;
    }
}

bool agent_session_reads(const struct agent *agent, uint64_t now_ns)
{
    return agent->outbox_count <= AGENT_OUTBOX / 2 &&
           (agent->window_count < WINDOW_MESSAGES || now_ns >= agent->window_ns + WINDOW_NS);
}

/* Takes what has arrived. Descriptors that a message carries are thrown away by the kernel: there is no room
 * for them. */
static void receive(struct agent *agent)
{
    char data[WIRE_MESSAGE_MAX];
    uint64_t now_ns = clock_mono_ns();
    if (now_ns >= agent->window_ns + WINDOW_NS) {
        agent->window_ns = now_ns;
        agent->window_count = 0;
    }
    while (agent->link != LINK_DOWN && agent->window_count < WINDOW_MESSAGES &&
           agent_session_room(agent, AGENT_OUTBOX / 2)) {
        ssize_t got = recv(agent->socket, data, sizeof data, MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        agent->window_count++;
        int fault = got > 0 ? message_take(agent, data, (size_t)got) : 0;
        if (got <= 0)
            link_drop(agent, REASON_LOST, got < 0 ? errno : 0);
        else if (fault)
            link_drop(agent, REASON_NONSENSE, fault);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* While answers wait, no commands are read, and a daemon that takes none for long is left. Returns when. */
static uint64_t stuck_until(struct agent *agent, uint64_t now_ns)
{
    if (agent->link != LINK_UP || agent->outbox_count <= AGENT_OUTBOX / 2)
        return UINT64_MAX;
    if (!agent->stuck_ns)
        agent->stuck_ns = now_ns;
    if (now_ns - agent->stuck_ns >= AGENT_STUCK_NS)
        agent->overflow = true;
    return agent->stuck_ns + AGENT_STUCK_NS;
}

/* So that tallyd can foresee what a clone takes, before there was one. It is read when a feed is about to be announced, since
 * that takes system calls of its kind anyway: at other times an agent that is not asked for anything makes none but poll()
 * and read(), and a program may have itself be killed for others by then. */
static void memory_tell(struct agent *agent, uint64_t now_ns)
{
    bool news = false;
    for (const struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
        news |= !shown->counters_sent || !shown->ring_sent;
    if (!news || now_ns < agent->memory_ns)
        return;
    agent->memory_ns = now_ns + AGENT_MEMORY_NS;
    uint64_t bytes = agent_process_resident();
    for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next) {
        struct wire_counters *counters = shown->counters.at;
        bool copied = atomic_load_explicit(&shown->growth, memory_order_acquire) != GROWTH_IDLE; /* by its owner, now */
        if (counters && !copied)
            atomic_store_explicit(&counters->process_bytes, bytes, memory_order_relaxed);
    }
}

uint64_t agent_session_turn(struct agent *agent)
{
    uint64_t next = UINT64_MAX;
    agent->room = true;
    if (agent->link != LINK_DOWN)
        receive(agent);
    uint64_t now_ns = clock_mono_ns();
    if (agent->link == LINK_GREETING && now_ns >= agent->welcome_by_ns)
        link_drop(agent, REASON_SILENT, 0);
    for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
        agent_growth_settle(shown);
    if (agent->link == LINK_UP || agent->capture) /* whose slot may be in its owner's hands as the link goes */
        for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
            next = earlier(next, agent_requests_turn(agent, shown, now_ns));
    uint64_t snapshot_ns = agent_capture_turn(agent, clock_mono_ns());
    if (agent->link == LINK_UP) {
        memory_tell(agent, now_ns);
        outbox_flush(agent);
        for (struct agent_heap *shown = agent->heaps; shown; shown = shown->next)
            heap_announce(agent, shown);
    }
    next = earlier(next, stuck_until(agent, now_ns));
    if (agent->overflow)
        link_drop(agent, REASON_FULL, 0);
    if (agent->link == LINK_DOWN)
        return earlier(agent->retry_ns, snapshot_ns);
    if (agent->link == LINK_GREETING)
        next = agent->welcome_by_ns;
    next = earlier(next, snapshot_ns);
    if (agent->window_count == WINDOW_MESSAGES)
        next = earlier(next, agent->window_ns + WINDOW_NS);
    return next;
}

void agent_session_bye(struct agent *agent)
{
    if (agent->link == LINK_DOWN)
        return;
    struct wire_head bye = wire_head_make(WIRE_BYE, sizeof bye);
    agent->room = true;
    outbox_flush(agent);
    if (agent->link != LINK_DOWN && agent->room)
        send_bytes(agent, &bye, sizeof bye, -1);
    link_drop(agent, REASON_LOST, 0);
}
