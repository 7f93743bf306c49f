/* The two listeners and their connections: who gets in, how many, and for how long.
 *
 * One thread, the door, accepts for both and hands each socket to the listener's libmicrohttpd. That one's own accept()
 * would not do: at its limit it stops without a word until somebody leaves, and without descriptors it spins (nobody
 * there) or stops likewise. Here whoever is over a quota makes room at another's expense: first the stranger that came
 * longest ago (no token shown yet), then who has been idle longest; only a listener full of trusted ones at work says
 * 503. Quotas, deadlines and pauses are a listener's own, so that nothing that happens on TCP keeps anybody off
 * `api.sock`. A connection that has to go is shut down, and libmicrohttpd ends it: only it closes a socket. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"

#define DOOR_NS 100000000u  /* between looks at the deadlines; also how long a listener rests that can't accept */
#define ACCEPTS_A_TURN 32
#define UNANSWERED_MS 20000      /* a peer that is there acknowledges within this; streams, which say something each 10 s, end */
#define SEND_BUFFER_BYTES 131072 /* the kernel doubles it: what waits for a reader beside our own queue */

static uint64_t state_make(enum phase phase, uint64_t now)
{
    return (now & ~(uint64_t)7) | phase;
}

/* Deadlines are seconds; only who has been idle longest is told apart by less. */
void phase_set(struct connection *connection, enum phase phase)
{
    uint64_t now = phase == PHASE_IDLE ? clock_mono_ns() : clock_mono_coarse_ns();
    atomic_store_explicit(&connection->state, state_make(phase, now), memory_order_relaxed);
}

enum phase phase_get(const struct connection *connection)
{
    return (enum phase)(atomic_load_explicit(&connection->state, memory_order_relaxed) & 7);
}

/* That the client has said all libmicrohttpd may have seen together with the request, where it does not look at it: an
 * event of its own makes it read the end. Answers to what was sent ahead still go out. */
void connection_idle(struct connection *connection)
{
    struct pollfd client = {.fd = connection->fd, .events = POLLRDHUP};
    phase_set(connection, PHASE_IDLE);
    if (poll(&client, 1, 0) > 0)
        shutdown(connection->fd, SHUT_RD);
}

/* ---- the list, under the lock */

static void link_in(struct connection *connection)
{
    struct api *api = connection->listener->api;
    connection->next = api->connections;
    if (api->connections)
        api->connections->previous = connection;
    api->connections = connection;
}

static void unlink_and_free(struct connection *connection)
{
    struct api *api = connection->listener->api;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        api->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    free(connection);
}

static void end(struct connection *connection)
{
    connection->ending = true;
    shutdown(connection->fd, SHUT_RDWR);
}

/* Whether one more may come in, after somebody was sent off for it where that had to be. The list is newest first, so
 * the last stranger in it is the oldest. */
static bool room_make(const struct listener *listener)
{
    struct connection *stranger = NULL, *idle = NULL;
    unsigned count = 0, strangers = 0;
    uint64_t idle_since = UINT64_MAX;
    for (struct connection *at = listener->api->connections; at; at = at->next) {
        if (at->listener != listener || at->ending)
            continue;
        uint64_t state = atomic_load_explicit(&at->state, memory_order_relaxed);
        count++;
        if (!at->trusted) {
            strangers++;
            stranger = at;
        } else if ((state & 7) == PHASE_IDLE && state < idle_since) {
            idle_since = state;
            idle = at;
        }
    }
    if (count < listener->limit && strangers < listener->strangers)
        return true;
    struct connection *out = stranger ? stranger : idle;
    if (out)
        end(out);
    return out;
}

/* Those that were sent off but are not closed yet count too: libmicrohttpd's own limit must never be met. */
static bool is_crowded(const struct listener *listener)
{
    unsigned count = 0;
    struct api *api = listener->api;
    pthread_mutex_lock(&api->lock);
    for (struct connection *at = api->connections; at; at = at->next)
        count += at->listener == listener;
    pthread_mutex_unlock(&api->lock);
    return count >= 2 * listener->limit;
}

/* ---- the door */

static void refuse(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";
    char request[2048]; /* unread, it would turn our words into a reset */
    (void)!recv(fd, request, sizeof request, MSG_DONTWAIT);
    (void)!send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

/* Who is at the other end, as the kernel says. */
static void peer_note(struct connection *connection, const struct sockaddr *address, socklen_t address_bytes)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t peer_bytes = sizeof peer;
    char host[40], port[8];
    connection->uid = (uid_t)-1;
    if (connection->is_unix && !getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes)) {
        connection->uid = peer.uid;
        snprintf(connection->from, sizeof connection->from, "api.sock pid %d", (int)peer.pid);
    } else if (!getnameinfo(address, address_bytes, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)) {
        bool six = address->sa_family == AF_INET6;
        snprintf(connection->from, sizeof connection->from, "%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
    }
}

void connection_take(struct listener *listener, int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    struct api *api = listener->api;
    struct connection *connection = calloc(1, sizeof *connection);
    int bytes = SEND_BUFFER_BYTES;
    unsigned unanswered_ms = UNANSWERED_MS;
    if (!connection) {
        refuse(fd);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (!listener->is_unix)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
    connection->listener = listener;
    connection->is_unix = listener->is_unix;
    connection->trusted = listener->is_unix;
    connection->fd = fd;
    peer_note(connection, address, address_bytes);
    phase_set(connection, PHASE_HANDED);
    pthread_mutex_lock(&api->lock);
    bool room = room_make(listener);
    if (room)
        link_in(connection);
    pthread_mutex_unlock(&api->lock);
    if (!room) {
        refuse(fd);
        free(connection);
    } else if (MHD_add_connection(listener->mhd, fd, address, address_bytes) != MHD_YES) { /* it has closed fd */
        pthread_mutex_lock(&api->lock);
        unlink_and_free(connection);
        pthread_mutex_unlock(&api->lock);
    }
}

static void rest(struct listener *listener)
{
    listener->resume_ns = clock_mono_ns() + DOOR_NS;
}

static void accept_some(struct listener *listener)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        if (is_crowded(listener)) {
            rest(listener);
            return;
        }
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            if (!listener->starved)
                log_warn("%s: no connection can be accepted: %s", listener->is_unix ? "api.sock" : "http", strerror(errno));
            listener->starved = true;
            rest(listener);
        }
        if (fd < 0)
            return;
        listener->starved = false;
        connection_take(listener, fd, (struct sockaddr *)&address, length);
    }
}

/* libmicrohttpd 0.9.75 takes 128 events at a time, and after exactly so many (or 256, ...) it waits for more before it
 * looks at any: 128 requests at once can hang until somebody speaks again. So a listener with that many connections is
 * woken at every look at the deadlines, by an event that it knows how to ignore. */
#define EVENTS_AT_A_TIME 128

int listener_wakeable(struct listener *listener)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(listener->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    listener->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!info || listener->wake_fd < 0 || epoll_ctl(info->epoll_fd, EPOLL_CTL_ADD, listener->wake_fd, &event))
        return -EIO;
    return 0;
}

static void listeners_wake(struct listener *listeners[2], const unsigned counts[2])
{
    static const uint64_t one = 1;
    for (int i = 0; i < 2; i++)
        if (counts[i] >= EVENTS_AT_A_TIME - 1) /* its own channel may be the one that is missing */
            (void)!write(listeners[i]->wake_fd, &one, sizeof one);
}

/* Deadlines are absolute: a byte now and then renews nothing. A connection that was handed over and never begun is one
 * for which libmicrohttpd had no memory; it has closed the socket, whose number may be another's by now. Counts connections, on TCP and on the Unix socket. */
static void connections_reap(struct api *api, uint64_t now, unsigned counts[2])
{
    static const uint64_t limits[] = {[PHASE_HANDED] = HEADER_NS,   [PHASE_OPENED] = HEADER_NS,
                                      [PHASE_IDLE] = IDLE_NS,       [PHASE_REQUEST] = REQUEST_NS,
                                      [PHASE_WAITING] = UINT64_MAX};
    pthread_mutex_lock(&api->lock);
    for (struct connection *at = api->connections, *next; at; at = next) {
        uint64_t state = atomic_load_explicit(&at->state, memory_order_relaxed);
        next = at->next;
        counts[at->is_unix]++;
        if (now < state || now - state < limits[state & 7])
            continue;
        if ((state & 7) == PHASE_HANDED)
            unlink_and_free(at);
        else
            end(at);
    }
    pthread_mutex_unlock(&api->lock);
}

static void *door(void *arg)
{
    struct api *api = arg;
    struct listener *listeners[] = {&api->tcp, &api->unix_};
    uint64_t looked = 0;
    while (!api->stopping) {
        pulse_beat(PULSE_DOOR);
        struct pollfd ready[2];
        uint64_t now = clock_mono_ns();
        for (int i = 0; i < 2; i++)
            ready[i] = (struct pollfd){.fd = now < listeners[i]->resume_ns ? -1 : listeners[i]->fd, .events = POLLIN};
        int count = poll(ready, 2, DOOR_NS / 1000000);
        for (int i = 0; i < 2 && count > 0; i++)
            if (ready[i].revents)
                accept_some(listeners[i]);
        now = clock_mono_ns();
        if (now - looked >= DOOR_NS) {
            unsigned counts[2] = {0, 0};
            connections_reap(api, now, counts);
            listeners_wake(listeners, counts);
            looked = now;
        }
    }
    return NULL;
}

/* ---- libmicrohttpd's side */

static void begin(struct listener *listener, int fd, void **context)
{
    struct api *api = listener->api;
    pthread_mutex_lock(&api->lock);
    for (struct connection *at = api->connections; at && !*context; at = at->next)
        if (at->fd == fd && phase_get(at) == PHASE_HANDED)
            *context = at;
    if (*context)
        phase_set(*context, PHASE_OPENED);
    else
        shutdown(fd, SHUT_RDWR); /* it came so late that its record was given up */
    pthread_mutex_unlock(&api->lock);
}

void connection_changed(void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
    struct listener *listener = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        begin(listener, MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, context);
    } else if (*context) {
        pthread_mutex_lock(&listener->api->lock);
        unlink_and_free(*context);
        pthread_mutex_unlock(&listener->api->lock);
        *context = NULL;
    }
}

void connection_refuse(struct connection *connection)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    (void)!send(connection->fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(connection->fd, SHUT_RDWR);
}

int door_open(struct api *api)
{
    return -pthread_create(&api->door, NULL, door, api);
}

void door_close(struct api *api)
{
    pthread_join(api->door, NULL);
}

void connections_free(struct api *api)
{
    while (api->connections)
        unlink_and_free(api->connections);
}
