/* Commands on their way to a process. What its socket has no room for waits here, in order, and expires here: what was
 * not sent by its deadline never is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "intake/private.h"
#include "tally.h"

struct waiting {
    struct waiting *next;
    struct wire_command wire;
};

static void answer(struct intake *intake, const char *id, const struct wire_command *wire, enum wire_ack_state state, int error)
{
    struct wire_ack ack = {.head = wire_head_make(WIRE_ACK, sizeof ack), .operation = wire->operation,
                           .heap_number = wire->heap_number, .state = (uint32_t)state, .error = error};
    if (wire->kind != WIRE_COMMAND_CANCEL) /* the operation that it is about goes on */
        intake->sink.ack(intake->sink.arg, id, &ack);
}

/* false: there is no room now. One that has just ended will be told of. */
static bool deliver(struct client *client, const struct wire_command *wire)
{
    struct wire_command shifted = *wire;
    shifted.head = wire_head_make(WIRE_COMMAND, sizeof shifted);
    shifted.deadline_ns += (uint64_t)client->clock_offset_ns;
    bool sent = send(client->fd, &shifted, sizeof shifted, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    client->commands_open += sent;
    return sent || (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM);
}

/* Wakes when there is room, too, or no longer. */
static void room_watch(struct client *client, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0), .data.ptr = &client->fd_event};
    if (client->fd >= 0)
        epoll_ctl(client->intake->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void waiting_add(struct client *client, const struct wire_command *wire)
{
    struct waiting *waiting = client->waiting_count < WAITING_MAX ? malloc(sizeof *waiting) : NULL;
    if (!waiting) {
        answer(client->intake, client->id, wire, WIRE_ACK_FAILED, TALLY_EBUSY);
        return;
    }
    *waiting = (struct waiting){.wire = *wire};
    if (!client->waiting_count++) {
        client->waiting_last = &client->waiting;
        client->intake->waiting_clients++;
        room_watch(client, true);
    }
    *client->waiting_last = waiting;
    client->waiting_last = &waiting->next;
}

static void waiting_remove(struct client *client, struct waiting **link)
{
    struct waiting *gone = *link;
    *link = gone->next;
    if (client->waiting_last == &gone->next)
        client->waiting_last = link;
    free(gone);
    if (!--client->waiting_count) {
        client->intake->waiting_clients--;
        room_watch(client, false);
    }
}

static void command_send(struct intake *intake, const struct command *command)
{
    for (struct client *client = intake->clients; client; client = client->next) {
        if (client->over || !client->hello || strcmp(client->id, command->id))
            continue;
        if (client->waiting || !deliver(client, &command->wire))
            waiting_add(client, &command->wire);
        return;
    }
    answer(intake, command->id, &command->wire, WIRE_ACK_FAILED, TALLY_ESTATE);
}

void intake_commands_send(struct intake *intake)
{
    uint64_t count;
    ssize_t got = read(intake->wake_fd, &count, sizeof count);
    (void)got;
    for (;;) {
        struct command command;
        pthread_mutex_lock(&intake->lock);
        bool any = intake->command_count > 0;
        if (any) {
            command = intake->commands[intake->command_first];
            intake->command_first = (intake->command_first + 1) % COMMANDS_MAX;
            intake->command_count--;
        }
        pthread_mutex_unlock(&intake->lock);
        if (!any)
            return;
        command_send(intake, &command);
    }
}

static void expired_answer(struct client *client, uint64_t now_ns)
{
    for (struct waiting **link = &client->waiting; *link;) {
        struct wire_command wire = (*link)->wire;
        if (wire.kind == WIRE_COMMAND_CANCEL || wire.deadline_ns > now_ns) {
            link = &(*link)->next;
            continue;
        }
        waiting_remove(client, link);
        answer(client->intake, client->id, &wire, WIRE_ACK_EXPIRED, 0);
    }
}

void intake_commands_again(struct intake *intake)
{
    uint64_t now_ns = clock_mono_ns();
    for (struct client *client = intake->waiting_clients ? intake->clients : NULL; client; client = client->next) {
        expired_answer(client, now_ns);
        while (client->waiting && deliver(client, &client->waiting->wire))
            waiting_remove(client, &client->waiting);
    }
}

void intake_commands_forget(struct client *client)
{
    while (client->waiting)
        waiting_remove(client, &client->waiting);
}
