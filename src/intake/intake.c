/* The intake's thread: who may come in, whose turn it is, and how often the feeds are read. */
#include "intake/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mapped.h"
#include "base/pulse.h"
#include "intake/private.h"
#include "tally.h"

#define TURN_NS 1000000u /* turns are no denser */
#define PAUSE_NS 200000000u
#define EVENTS_A_TURN 64
#define FDS_RESERVED 64u /* or a quarter of all */

static struct { int unused; } listen_tag, wake_tag;

static int epoll_add(const struct intake *intake, int fd, void *tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(intake->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void intake_refuse(struct intake *intake, const char *reason, pid_t pid, uid_t uid)
{
    log_limited(&intake->refused_log, "refused pid %d, uid %u: %s", (int)pid, (unsigned)uid, reason);
    intake->sink.refused(intake->sink.arg, reason, pid, uid);
}

/* The first bytes tell nearly all apart. */
static unsigned id_find(const struct intake *intake, const char *id)
{
    uint64_t first, other;
    memcpy(&first, id, sizeof first);
    for (unsigned i = 0; i < intake->id_count; i++) {
        memcpy(&other, intake->ids[i], sizeof other);
        if (other == first && !strcmp(intake->ids[i], id))
            return i;
    }
    return UINT_MAX;
}

bool intake_id_known(const struct intake *intake, const char *id)
{
    return id_find(intake, id) != UINT_MAX;
}

void intake_id_add(struct intake *intake, const char *id)
{
    pthread_mutex_lock(&intake->lock);
    memcpy(intake->ids[intake->id_count++], id, INTAKE_ID_CHARS);
    pthread_mutex_unlock(&intake->lock);
}

void intake_id_remove(struct intake *intake, const char *id)
{
    pthread_mutex_lock(&intake->lock);
    unsigned at = id_find(intake, id);
    if (at != UINT_MAX)
        memmove(intake->ids[at], intake->ids[--intake->id_count], INTAKE_ID_CHARS);
    pthread_mutex_unlock(&intake->lock);
}

/* Closing alone would leave it in epoll where somebody else holds it open, too. */
static void fd_leave(const struct intake *intake, int *fd)
{
    if (*fd < 0)
        return;
    epoll_ctl(intake->epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}

void intake_client_close(struct client *client)
{
    intake_commands_forget(client);
    fd_leave(client->intake, &client->fd);
}

void intake_client_unwatch(struct client *client)
{
    fd_leave(client->intake, &client->pidfd);
}

/* NULL: out of memory. */
static struct user *user_get(struct intake *intake, uid_t uid)
{
    struct user *user = intake->users;
    while (user && user->uid != uid)
        user = user->next;
    if (user)
        return user;
    user = calloc(1, sizeof *user);
    if (!user)
        return NULL;
    user->uid = uid;
    user->next = intake->users;
    intake->users = user;
    return user;
}

static void user_leave(struct intake *intake, struct user *user)
{
    struct user **link = &intake->users;
    if (--user->client_count)
        return;
    while (*link != user)
        link = &(*link)->next;
    *link = user->next;
    free(user);
}

static void client_free(struct client *client)
{
    struct intake *intake = client->intake;
    struct client **link = &intake->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    intake->client_count--;
    intake->silent_count -= !client->hello && !client->over;
    intake->over_count -= client->over;
    intake_client_close(client);
    intake_client_unwatch(client);
    while (client->heaps)
        intake_feed_free(client, client->heaps);
    if (client->handle)
        intake->sink.released(intake->sink.arg, client->handle);
    user_leave(intake, client->user);
    free(client);
    intake->resume_ns = 0; /* there is room for another */
}

/* Those that are over and whose process has ended, or is none of ours to watch. */
static void clients_reap(struct intake *intake)
{
    struct client *next;
    for (struct client *client = intake->over_count ? intake->clients : NULL; client; client = next) {
        next = client->next;
        if (client->over && client->pidfd < 0)
            client_free(client);
    }
}

static const char *may_attach(const struct intake *intake, const struct ucred *peer)
{
    const struct user *user = intake->users;
    if (!intake->system && peer->uid != geteuid() && peer->uid != 0)
        return "it belongs to another user";
    if (intake->client_count == CLIENTS_MAX)
        return "too many clients";
    while (user && user->uid != peer->uid)
        user = user->next;
    return user && user->client_count >= CLIENTS_PER_UID ? "its user has too many clients" : NULL;
}

/* A socket that says nothing costs little; beyond some the oldest goes, since an honest one says hello at
 * once. That may wait to be read, where many come together. */
static void silent_evict(struct intake *intake)
{
    struct client *oldest = NULL;
    if (intake->silent_count <= SILENT_MAX)
        return;
    for (struct client *client = intake->clients; client; client = client->next)
        if (!client->hello && !client->over && (!oldest || client->connected_ns < oldest->connected_ns))
            oldest = client;
    intake_client_receive(oldest);
    if (!oldest->hello && !oldest->over)
        intake_client_drop(oldest, "it was silent, and others wait");
}

static void client_add(struct intake *intake, int fd, const struct ucred *peer)
{
    struct user *user = user_get(intake, peer->uid);
    struct client *client = user ? calloc(1, sizeof *client) : NULL;
    if (!client) {
        close(fd);
        return;
    }
    user->client_count++;
    client->user = user;
    client->intake = intake;
    client->fd = fd;
    client->pid = peer->pid;
    client->uid = peer->uid;
    client->connected_ns = clock_mono_ns();
    client->turn = 1; /* a heap's 0 is before all turns: none is passed over in the first */
    client->pidfd = peer->pid > 0 ? (int)syscall(SYS_pidfd_open, peer->pid, 0) : -1;
    client->fd_event.client = client->pid_event.client = client;
    client->pid_event.pid = true;
    client->next = intake->clients;
    intake->clients = client;
    intake->client_count++;
    intake->silent_count++;
    if (epoll_add(intake, fd, &client->fd_event) ||
        (client->pidfd >= 0 && epoll_add(intake, client->pidfd, &client->pid_event)))
        intake_client_drop(client, "the system has no room for it");
    silent_evict(intake);
}

/* The system gives out the lowest free number, so a high one says that few are left. Those are for what clients
 * hand over and for the API's connections: who is in could not stay without them. */
static bool is_reserved(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return false;
    rlim_t reserve = limit.rlim_cur / 4 < FDS_RESERVED ? limit.rlim_cur / 4 : FDS_RESERVED;
    return (rlim_t)fd >= limit.rlim_cur - reserve;
}

/* Takes a connection off the queue for which there is no descriptor: the spare one's number. */
static void accept_by_spare(struct intake *intake)
{
    close(intake->spare_fd);
    int fd = accept4(intake->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    intake->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Accepting and closing would spin: the listener rests for a moment, or until somebody leaves. */
static void listener_pause(struct intake *intake)
{
    intake_refuse(intake, "no file descriptor is left", 0, (uid_t)-1);
    epoll_ctl(intake->epoll_fd, EPOLL_CTL_DEL, intake->listen_fd, NULL);
    intake->paused = true;
    intake->resume_ns = clock_mono_ns() + PAUSE_NS;
}

static void accept_some(struct intake *intake)
{
    for (int i = 0; i < EVENTS_A_TURN; i++) {
        int fd = accept4(intake->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && errno != EMFILE && errno != ENFILE)
            return;
        if (fd < 0 || is_reserved(fd)) {
            if (fd < 0)
                accept_by_spare(intake);
            else
                close(fd);
            listener_pause(intake);
            return;
        }
        struct ucred peer = {.pid = 0};
        socklen_t length = sizeof peer;
        bool known = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
        const char *reason = known ? may_attach(intake, &peer) : "it has no credentials";
        if (reason) {
            intake_refuse(intake, reason, peer.pid, peer.uid);
            close(fd);
        } else {
            client_add(intake, fd, &peer);
        }
    }
}

static void listener_resume(struct intake *intake)
{
    if (intake->paused && clock_mono_ns() >= intake->resume_ns &&
        !epoll_add(intake, intake->listen_fd, &listen_tag))
        intake->paused = false;
}

/* The kernel knows once the parent has waited; one that never does is not waited for for ever. */
static void ending_look(struct client *client, uint64_t now_ns)
{
    const struct intake_sink *sink = &client->intake->sink;
    int status;
    bool known = intake_ending(client->pidfd, &status);
    if (known && client->handle)
        sink->ended(sink->arg, client->handle, status);
    client->due_ns = now_ns + ENDING_EVERY_NS;
    if (!known && client->handle && now_ns - client->exited_ns < ENDING_NS)
        return;
    intake_client_unwatch(client);
}

static void process_exited(struct client *client)
{
    const struct intake_sink *sink = &client->intake->sink;
    intake_client_receive_last(client);
    if (!client->over)
        intake_client_end(client, "exited");
    else if (client->handle)
        sink->gone(sink->arg, client->handle, "exited");
    epoll_ctl(client->intake->epoll_fd, EPOLL_CTL_DEL, client->pidfd, NULL); /* it stays readable */
    client->exited_ns = clock_mono_ns();
    ending_look(client, client->exited_ns);
}

static void event_handle(struct intake *intake, void *tag)
{
    if (tag == &listen_tag) {
        accept_some(intake);
    } else if (tag == &wake_tag) {
        intake_commands_send(intake);
    } else {
        struct client_event *event = tag;
        if (event->pid)
            process_exited(event->client);
        else if (event->client->fd >= 0)
            intake_client_receive(event->client);
    }
}

/* What has come by now, or comes within wait_ms. */
static void events_take(struct intake *intake, int wait_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int count = epoll_wait(intake->epoll_fd, events, EVENTS_A_TURN, wait_ms);
    for (int i = 0; i < count; i++)
        event_handle(intake, events[i].data.ptr);
}

/* Looks at the clients that are due, and finds when the next one is. Many busy ones must not hold up a command or its
 * answer: what comes meanwhile is taken in between. (Nobody leaves the list before the turn is over.) */
static void sweep(struct intake *intake)
{
    uint64_t start = clock_mono_ns(), now = start, next = now + POLL_IDLE_NS, taken = now;
    for (struct client *client = intake->clients; client; client = client->next) {
        if (clock_mono_ns() - taken > TURN_NS) {
            events_take(intake, 0);
            taken = clock_mono_ns();
        }
        if (client->over && client->pidfd >= 0 && client->exited_ns && client->due_ns <= now)
            ending_look(client, now);
        if (client->over)
            continue;
        if (client->hello && client->due_ns <= now)
            intake_client_sweep(client, false);
        else if (!client->hello && now - client->connected_ns > HELLO_DEADLINE_NS)
            intake_client_drop(client, "it said nothing for 10 s");
        if (client->hello && client->due_ns < next)
            next = client->due_ns;
    }
    now = clock_mono_ns();
    intake->due_ns = next > now + TURN_NS ? next : now + TURN_NS;
    pulse_worked(PULSE_INTAKE, start);
}

static bool stopping(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    bool stop = intake->stopping;
    pthread_mutex_unlock(&intake->lock);
    return stop;
}

/* A stream of messages makes the sweeps no denser. */
static void *run(void *arg)
{
    struct intake *intake = arg;
    uint64_t turn_ns = 0;
    while (!stopping(intake)) {
        uint64_t now = clock_mono_ns();
        uint64_t wait_ns = intake->due_ns > now ? intake->due_ns - now : 0;
        events_take(intake, (int)((wait_ns + 999999) / 1000000));
        now = clock_mono_ns();
        if (now >= intake->due_ns && now - turn_ns >= TURN_NS) {
            turn_ns = now;
            sweep(intake);
        }
        intake_commands_again(intake);
        intake->sink.swept(intake->sink.arg, false);
        clients_reap(intake);
        listener_resume(intake);
        pulse_beat(PULSE_INTAKE);
    }
    pulse_end(PULSE_INTAKE);
    return NULL;
}

/* Under another name first, so that nobody finds it without its mode. */
static int listen_at(struct intake *intake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(intake->path) + 5 >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s.new", intake->path);
    unlink(address.sun_path);
    intake->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (intake->listen_fd < 0 || bind(intake->listen_fd, (struct sockaddr *)&address, sizeof address) ||
        chmod(address.sun_path, intake->system ? 0666 : 0600) || listen(intake->listen_fd, 1024) ||
        rename(address.sun_path, intake->path))
        return -errno;
    return 0;
}

static void intake_free(struct intake *intake)
{
    while (intake->clients)
        client_free(intake->clients);
    int fds[] = {intake->listen_fd, intake->epoll_fd, intake->wake_fd, intake->spare_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&intake->lock);
    free(intake->ids);
    free(intake);
}

static int intake_open(struct intake *intake)
{
    int error = intake->listen_fd >= 0 ? 0 : listen_at(intake);
    if (error)
        return error;
    intake->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    intake->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    intake->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    intake->ids = calloc(CLIENTS_MAX, INTAKE_ID_CHARS);
    if (!intake->ids)
        return -ENOMEM;
    if (intake->epoll_fd < 0 || intake->wake_fd < 0 || intake->spare_fd < 0 ||
        epoll_add(intake, intake->listen_fd, &listen_tag) || epoll_add(intake, intake->wake_fd, &wake_tag) ||
        getrandom(intake->daemon_id, sizeof intake->daemon_id, 0) != (ssize_t)sizeof intake->daemon_id)
        return -errno;
    return -pthread_create(&intake->thread, NULL, run, intake);
}

int intake_start(const struct intake_options *options, const struct intake_sink *sink, struct intake **out)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (!intake)
        return -ENOMEM;
    mapped_start();
    intake->sink = *sink;
    intake->system = options->system;
    intake->epoll_fd = intake->wake_fd = intake->spare_fd = -1;
    intake->listen_fd = options->listen_fd > 0 ? options->listen_fd : -1;
    intake->path_is_ours = options->listen_fd <= 0;
    pthread_mutex_init(&intake->lock, NULL);
    int length = snprintf(intake->path, sizeof intake->path, "%s", options->socket_path);
    int error = length < 0 || (size_t)length >= sizeof intake->path ? -ENAMETOOLONG : intake_open(intake);
    if (error)
        intake_free(intake);
    else
        *out = intake;
    return error;
}

static void wake(struct intake *intake)
{
    uint64_t one = 1;
    ssize_t written = write(intake->wake_fd, &one, sizeof one);
    (void)written; /* EAGAIN: it is awake */
}

void intake_stop(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    intake->stopping = true;
    pthread_mutex_unlock(&intake->lock);
    wake(intake);
    pthread_join(intake->thread, NULL);
    if (intake->path_is_ours)
        unlink(intake->path);
    intake_free(intake);
}

int intake_command(struct intake *intake, const char *id, const struct wire_command *command)
{
    int error = -ESRCH;
    pthread_mutex_lock(&intake->lock);
    if (intake_id_known(intake, id))
        error = 0;
    if (!error && intake->command_count == COMMANDS_MAX)
        error = -ENOBUFS;
    if (!error) {
        struct command *to = &intake->commands[(intake->command_first + intake->command_count++) % COMMANDS_MAX];
        memcpy(to->id, id, INTAKE_ID_CHARS);
        to->wire = *command;
    }
    pthread_mutex_unlock(&intake->lock);
    if (!error)
        wake(intake);
    return error;
}
