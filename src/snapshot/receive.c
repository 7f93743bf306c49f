/* The receiver: one thread that reads all pipes through which snapshots come, checks what comes, and writes it to files.
 * A pipe is read as far as it has something, READ_BYTES a turn; who trickles costs a turn, and has a deadline. */
#include "snapshot/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define READ_BYTES ((size_t)1 << 18)
#define WRITTEN_BEHIND ((uint64_t)8 << 20) /* what waits for the disk, so that the last sync is short */
#define TURN_MS 1000

struct reception {
    struct reception *next;
    struct artifact *artifact; /* a reference */
    int fd, file;
    uint64_t deadline_ns, received, synced;
    uint64_t expected; /* objects, as the header says */
    bool instant;
    snapshot_done_fn done;
    void *arg;
    struct snapshot_sink sink;
    struct snapshot_reader reader;
};

struct receiver {
    struct snapshots *snapshots;
    struct reception *receptions;
    int own[2]; /* a pipe: pipe_take() */
    struct pollfd polled[SNAPSHOT_RECEIVING + 1];
    unsigned char bytes[READ_BYTES];
};

void receiver_wake(struct snapshots *snapshots)
{
    uint64_t one = 1;
    if (write(snapshots->wake_fd, &one, sizeof one) < 0)
        return; /* it is full of wakings */
}

static void hear_header(void *arg, const struct snapshot_header *header)
{
    struct reception *reception = arg;
    reception->expected = header->objects;
    reception->instant = header->flags & SNAPSHOT_INSTANT;
}

/* ---- how it ends */

static void reception_free(struct snapshots *snapshots, struct reception *reception)
{
    close(reception->fd);
    if (reception->file >= 0)
        close(reception->file);
    artifact_unref(snapshots, reception->artifact);
    free(reception);
}

/* Tells the asker, and forgets it. */
static void reception_end(struct snapshots *snapshots, struct reception *reception)
{
    struct artifact *artifact = reception->artifact;
    pthread_mutex_lock(&snapshots->lock);
    artifact->busy = false;
    struct snapshot_artifact view = artifact->view;
    snapshots->receptions--;
    pthread_cond_signal(&snapshots->analyser_wakes);
    pthread_mutex_unlock(&snapshots->lock);
    if (reception->done)
        reception->done(reception->arg, &view);
    reception_free(snapshots, reception);
}

static void reception_break(struct snapshots *snapshots, struct reception *reception, const char *problem)
{
    char path[PATH_ROOM];
    artifact_path(snapshots, reception->artifact->view.id, ".part", path);
    unlink(path);
    artifact_fail(snapshots, reception->artifact, "%s", problem);
    reception_end(snapshots, reception);
}

static void fault_text(const struct reception *reception, char *out, size_t bytes)
{
    const struct snapshot_reader *reader = &reception->reader;
    if (reader->fault == SNAPSHOT_FAULT_GIVEN_UP)
        snprintf(out, bytes, "the program gave it up: %s", snapshot_end_sentence(reader->end.status));
    else if (reader->fault == SNAPSHOT_FAULT_CUT)
        snprintf(out, bytes, "the program ended it early, after %llu bytes and %llu objects",
                 (unsigned long long)reception->received, (unsigned long long)reader->objects);
    else
        snprintf(out, bytes, "the stream is malformed at byte %llu: %s", (unsigned long long)reader->offset,
                 snapshot_fault_sentence(reader->fault));
}

/* The file is on the disk under its name, and the description beside it. */
static int file_settle(struct snapshots *snapshots, struct reception *reception)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    struct artifact *artifact = reception->artifact;
    artifact_path(snapshots, artifact->view.id, ".part", from);
    artifact_path(snapshots, artifact->view.id, ".stream", to);
    if (fsync(reception->file))
        return -errno;
    pthread_mutex_lock(&snapshots->lock);
    int error = artifact->dropped ? -ECANCELED : rename(from, to) ? -errno : 0;
    struct snapshot_artifact *view = &artifact->view;
    view->objects = reception->reader.objects;
    view->edges = reception->reader.edges;
    view->bytes = reception->reader.bytes;
    view->instant = reception->instant;
    view->size_bytes = reception->received;
    view->meta.pause_ns = reception->reader.end.pause_ns;
    artifact_state(artifact, SNAPSHOT_ANALYSING);
    pthread_mutex_unlock(&snapshots->lock);
    artifact_shrink(snapshots, artifact, reception->received);
    return error ? error : artifact_write(snapshots, artifact);
}

static void reception_finish(struct snapshots *snapshots, struct reception *reception)
{
    char problem[SNAPSHOT_PROBLEM_CHARS];
    if (snapshot_read_finish(&reception->reader)) {
        fault_text(reception, problem, sizeof problem);
        reception_break(snapshots, reception, problem);
        return;
    }
    int error = file_settle(snapshots, reception);
    if (error) {
        snprintf(problem, sizeof problem, "the state folder: %s", strerror(-error));
        reception_break(snapshots, reception, problem);
        return;
    }
    reception_end(snapshots, reception);
}

/* ---- what comes */

static int stream_write(struct reception *reception, const unsigned char *bytes, size_t count)
{
    int error = file_write(reception->file, bytes, count);
    if (error)
        return error;
    reception->received += count;
    if (reception->received - reception->synced >= WRITTEN_BEHIND) {
        sync_file_range(reception->file, (off_t)reception->synced, (off_t)(reception->received - reception->synced),
                        SYNC_FILE_RANGE_WRITE);
        reception->synced = reception->received;
    }
    return 0;
}

static void progress_tell(struct snapshots *snapshots, struct reception *reception)
{
    struct snapshot_artifact *view = &reception->artifact->view;
    pthread_mutex_lock(&snapshots->lock);
    view->objects = reception->reader.objects;
    view->edges = reception->reader.edges;
    view->bytes = reception->reader.bytes;
    view->size_bytes = reception->received;
    view->progress = reception->expected ? (double)view->objects / (double)reception->expected : 0;
    if (view->progress > 0.99)
        view->progress = 0.99; /* it was expected, no more */
    pthread_mutex_unlock(&snapshots->lock);
}

/* false: why not. */
static bool bytes_take(struct snapshots *snapshots, struct reception *reception, const unsigned char *bytes, size_t count,
                       char *problem, size_t room)
{
    if (snapshot_read(&reception->reader, bytes, count)) {
        fault_text(reception, problem, room);
        return false;
    }
    if (reception->received + count > snapshots->stream_bytes_max ||
        !artifact_grow(snapshots, reception->artifact, count)) {
        snprintf(problem, room, "it has more than %llu bytes, which is what artifact-size leaves for one",
                 (unsigned long long)reception->received);
        return false;
    }
    int error = stream_write(reception, bytes, count);
    if (error)
        snprintf(problem, room, "the state folder: %s", strerror(-error));
    return !error;
}

/* The program that has the pipe's other end has this one, too: it may take what poll() has told of, and have reads wait. So
 * what there is is moved to a pipe of ours without waiting, which every kernel can, and read there; preadv2() with
 * RWF_NOWAIT does it to pipes since Linux 6.5 alone. */
ssize_t pipe_take(int fd, const int own[2], void *bytes, size_t room)
{
    ssize_t moved = splice(fd, NULL, own[1], NULL, room, SPLICE_F_NONBLOCK);
    for (ssize_t at = 0, got; at < moved; at += got) {
        got = read(own[0], (char *)bytes + at, (size_t)(moved - at));
        if (got <= 0)
            return -1;
    }
    return moved;
}

/* Reads what the pipe has, as much as one turn allows. false: it is over, and has been freed. What is whole does not wait
 * for the pipe's end, which a child that the program forked meanwhile may hold open. */
static bool pipe_turn(struct receiver *receiver, struct reception *reception)
{
    struct snapshots *snapshots = receiver->snapshots;
    char problem[SNAPSHOT_PROBLEM_CHARS];
    ssize_t got = pipe_take(reception->fd, receiver->own, receiver->bytes, sizeof receiver->bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0)
        snprintf(problem, sizeof problem, "the pipe: %s", strerror(errno));
    if (got > 0 && bytes_take(snapshots, reception, receiver->bytes, (size_t)got, problem, sizeof problem)) {
        progress_tell(snapshots, reception);
        if (reception->reader.state != SNAPSHOT_AT_END)
            return true;
        got = 0;
    }
    if (got)
        reception_break(snapshots, reception, problem);
    else
        reception_finish(snapshots, reception);
    return false;
}

/* ---- the thread */

/* Opens the files of what was handed over, and takes it. false: the daemon ends. */
static bool handed_take(struct receiver *receiver)
{
    struct snapshots *snapshots = receiver->snapshots;
    pthread_mutex_lock(&snapshots->lock);
    struct reception *handed = snapshots->handed;
    bool ending = snapshots->ending;
    snapshots->handed = NULL;
    pthread_mutex_unlock(&snapshots->lock);
    while (handed) {
        struct reception *reception = handed;
        char path[PATH_ROOM], problem[SNAPSHOT_PROBLEM_CHARS];
        handed = handed->next;
        artifact_path(snapshots, reception->artifact->view.id, ".part", path);
        reception->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (reception->file < 0) {
            snprintf(problem, sizeof problem, "the state folder: %s", strerror(errno));
            reception_break(snapshots, reception, problem);
            continue;
        }
        reception->next = receiver->receptions;
        receiver->receptions = reception;
    }
    return !ending;
}

/* When to look whether it is over. */
static uint64_t until_of(const struct reception *reception)
{
    uint64_t gone_ns = atomic_load(&reception->artifact->gone_ns);
    return gone_ns && gone_ns < reception->deadline_ns ? gone_ns : reception->deadline_ns;
}

/* Waits for pipes that have something, the next deadline, or a waking. */
static void pipes_wait(struct receiver *receiver)
{
    nfds_t count = 1;
    uint64_t now_ns = clock_mono_ns();
    int timeout_ms = -1, left_ms;
    receiver->polled[0] = (struct pollfd){.fd = receiver->snapshots->wake_fd, .events = POLLIN};
    for (struct reception *reception = receiver->receptions; reception; reception = reception->next) {
        receiver->polled[count++] = (struct pollfd){.fd = reception->fd, .events = POLLIN};
        uint64_t until_ns = until_of(reception), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        left_ms = left_ns / 1000000u < TURN_MS ? (int)(left_ns / 1000000u) + 1 : TURN_MS;
        timeout_ms = timeout_ms < 0 || left_ms < timeout_ms ? left_ms : timeout_ms;
    }
    uint64_t wakings;
    if (poll(receiver->polled, count, timeout_ms) > 0 && receiver->polled[0].revents &&
        read(receiver->snapshots->wake_fd, &wakings, sizeof wakings) < 0)
        return; /* somebody else's waking was read with an earlier one */
}

/* Why it ends without its writer's doing; NULL: it goes on. */
static const char *reception_over(const struct reception *reception, bool readable, bool ending)
{
    uint64_t now_ns = clock_mono_ns(), gone_ns = atomic_load(&reception->artifact->gone_ns);
    if (reception->artifact->give_up)
        return "it was deleted";
    if (ending)
        return "tallyd was stopped while it came";
    if (now_ns >= reception->deadline_ns)
        return "it was not whole by its deadline";
    return gone_ns && now_ns >= gone_ns && !readable ? "the program went while it came" : NULL;
}

/* A turn of each, in the order in which they were polled. */
static void receptions_turn(struct receiver *receiver, bool ending)
{
    struct reception **place = &receiver->receptions;
    for (nfds_t at = 1; *place; at++) {
        struct reception *reception = *place, *next = reception->next;
        bool readable = receiver->polled[at].revents;
        const char *over = reception_over(reception, readable, ending);
        bool alive = !over;
        if (over)
            reception_break(receiver->snapshots, reception, over);
        else if (readable)
            alive = pipe_turn(receiver, reception);
        if (alive)
            place = &reception->next;
        else
            *place = next;
    }
}

static void receiver_free(struct receiver *receiver)
{
    if (!receiver)
        return;
    for (unsigned i = 0; i < 2; i++)
        if (receiver->own[i] >= 0)
            close(receiver->own[i]);
    free(receiver);
}

/* NULL: there is no memory for it, or no descriptors. */
static struct receiver *receiver_new(struct snapshots *snapshots)
{
    struct receiver *receiver = calloc(1, sizeof *receiver);
    if (!receiver)
        return NULL;
    receiver->snapshots = snapshots;
    receiver->own[0] = receiver->own[1] = -1;
    if (!pipe2(receiver->own, O_CLOEXEC | O_NONBLOCK)) {
        fcntl(receiver->own[1], F_SETPIPE_SZ, (int)READ_BYTES);
        return receiver;
    }
    receiver_free(receiver);
    return NULL;
}

static void *receive(void *arg)
{
    struct receiver *receiver = arg;
    bool going = true;
    while (going) {
        pipes_wait(receiver);
        receptions_turn(receiver, false);
        going = handed_take(receiver);
    }
    memset(receiver->polled, 0, sizeof receiver->polled);
    receptions_turn(receiver, true);
    receiver_free(receiver);
    return NULL;
}

int receiver_start(struct snapshots *snapshots)
{
    struct receiver *receiver = receiver_new(snapshots);
    snapshots->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = !receiver ? -ENOMEM : snapshots->wake_fd < 0 ? -errno : 0;
    if (!error)
        error = -pthread_create(&snapshots->receiver, NULL, receive, receiver);
    if (error) {
        receiver_free(receiver);
        if (snapshots->wake_fd >= 0)
            close(snapshots->wake_fd);
    }
    return error;
}

void receiver_stop(struct snapshots *snapshots)
{
    pthread_mutex_lock(&snapshots->lock);
    snapshots->ending = true;
    pthread_mutex_unlock(&snapshots->lock);
    receiver_wake(snapshots);
    pthread_join(snapshots->receiver, NULL);
    close(snapshots->wake_fd);
}

/* ---- the door */

void snapshots_process_gone(struct snapshots *snapshots, const char *process)
{
    pthread_mutex_lock(&snapshots->lock);
    for (size_t i = 0; i < snapshots->count; i++) {
        struct artifact *artifact = snapshots->artifacts[i];
        bool comes = artifact->view.state == SNAPSHOT_RECEIVING_IT && !strcmp(artifact->view.meta.process, process);
        if (comes && !atomic_load(&artifact->gone_ns))
            atomic_store(&artifact->gone_ns, clock_mono_ns() + SNAPSHOT_GRACE_NS);
    }
    pthread_mutex_unlock(&snapshots->lock);
    receiver_wake(snapshots);
}

static struct reception *reception_new(const struct snapshot_meta *meta, int fd, snapshot_done_fn done, void *arg)
{
    struct reception *reception = calloc(1, sizeof *reception);
    uint64_t latest_ns = clock_mono_ns() + SNAPSHOT_DEADLINE_NS;
    if (!reception)
        return NULL;
    reception->fd = fd;
    reception->file = -1;
    reception->deadline_ns = meta->deadline_ns && meta->deadline_ns < latest_ns ? meta->deadline_ns : latest_ns;
    reception->done = done;
    reception->arg = arg;
    reception->sink = (struct snapshot_sink){.arg = reception, .header = hear_header};
    snapshot_read_begin(&reception->reader, &reception->sink);
    return reception;
}

static int pipe_check(int fd)
{
    struct stat status;
    if (fstat(fd, &status) || !S_ISFIFO(status.st_mode))
        return -EINVAL;
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || (flags & O_ACCMODE) == O_WRONLY || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -EINVAL : 0;
}

/* Hands it over, unless as many go on as may. */
static int reception_hand(struct snapshots *snapshots, struct reception *reception, const struct snapshot_meta *meta, char *id)
{
    pthread_mutex_lock(&snapshots->lock);
    bool fits = !snapshots->ending && snapshots->receptions < SNAPSHOT_RECEIVING;
    reception->artifact = fits ? artifact_new(snapshots, meta) : NULL;
    if (reception->artifact) {
        memcpy(id, reception->artifact->view.id, SNAPSHOT_ID_CHARS); /* from here on it is the receiver's */
        snapshots->receptions++;
        reception->next = snapshots->handed;
        snapshots->handed = reception;
    }
    pthread_mutex_unlock(&snapshots->lock);
    return !fits ? -EBUSY : !reception->artifact ? -ENOMEM : 0;
}

int snapshot_receive(struct snapshots *snapshots, const struct snapshot_meta *meta, int fd, snapshot_done_fn done, void *arg,
                     char *id)
{
    char its_id[SNAPSHOT_ID_CHARS];
    struct reception *reception = NULL;
    int error = pipe_check(fd);
    if (!error) {
        reception = reception_new(meta, fd, done, arg);
        error = reception ? reception_hand(snapshots, reception, meta, its_id) : -ENOMEM;
    }
    if (error) {
        close(fd);
        free(reception);
        return error;
    }
    receiver_wake(snapshots);
    memcpy(id, its_id, sizeof its_id);
    return 0;
}
