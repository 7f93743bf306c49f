/* Snapshots from a heap to the daemon that the test plays: cloned and in slices, whole and broken off; the host sees
 * nothing of the child. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "agent/capture.h"
#include "attached.h"
#include "heap/heap.h"

#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

static const struct tally_type *named_type;
static volatile sig_atomic_t children; /* SIGCHLDs */

static void on_child(int signal)
{
    (void)signal;
    children++;
}

static size_t label_of(const void *object, char *text, size_t room)
{
    (void)object;
    return (size_t)snprintf(text, room, "named\t\xc3\xa4");
}

/* ---- reading */

struct read_all {
    struct snapshot_reader reader;
    uint64_t objects, edges, labels, last;
    bool instant, label_right;
};

static void header_hear(void *arg, const struct snapshot_header *header)
{
    ((struct read_all *)arg)->instant = header->flags & SNAPSHOT_INSTANT;
}
static bool object_hear(void *arg, const struct snapshot_object *object, uint64_t offset)
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
static bool edge_hear(void *arg, const struct snapshot_edge *edge)
{
    (void)edge;
    ((struct read_all *)arg)->edges++;
    return true;
}

static struct snapshot_sink sink_of(struct read_all *all)
{
    return (struct snapshot_sink){.arg = all, .header = header_hear, .object = object_hear, .edge = edge_hear};
}

/* Reads what is there; false: the end. */
static bool pipe_read(int fd, struct read_all *all, int wait_ms)
{
    static char bytes[65536];
    ssize_t got = fake_readable(fd, wait_ms) ? read(fd, bytes, sizeof bytes) : -1;
    if (got > 0)
        snapshot_read(&all->reader, bytes, (size_t)got);
    return got != 0;
}

static void ask(struct world *world, uint64_t operation, enum wire_snapshot_mode mode, bool force)
{
    fake_command(world->connection, &(struct wire_command){.operation = operation, .heap_number = world->shown.number,
                                                           .deadline_ns = clock_mono_ns() + 20000000000u,
                                                           .kind = WIRE_COMMAND_SNAPSHOT, .mode = mode, .force = force});
}

struct outcome {
    struct wire_ack ack; /* the last one */
    int fd;
    struct wire_snapshot snapshot;
    struct read_all read;
};

/* Goes on with the host, the pipe and the socket until the operation has ended and, if the stream is read, it has, too. */
static void outcome_await(struct world *world, struct outcome *outcome, bool reads)
{
    struct snapshot_sink sink = sink_of(&outcome->read);
    uint64_t give_up_ns = clock_mono_ns() + 20000000000u;
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

static void *chain_make(struct tally_heap *heap, unsigned count)
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

static unsigned fds_open(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Processes whose parent is this one, zombies too. */
static unsigned own_children(void)
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
static void nothing_left(unsigned fds)
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

/* ---- whole ones */

static void whole(struct world *world, enum wire_snapshot_mode asked, enum wire_snapshot_mode taken, uint64_t objects)
{
    static struct outcome outcome;
    static uint64_t operation = 600;
    unsigned fds = fds_open();
    memset(&outcome, 0, sizeof outcome);
    ask(world, ++operation, asked, false);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(outcome.ack.operation, operation);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.snapshot.operation, operation);
    assert_int_equal(outcome.snapshot.mode, taken);
    assert_int_equal(outcome.ack.mode, taken);
    assert_int_equal(outcome.read.objects, objects);
    assert_int_equal(outcome.ack.total, objects);
    assert_int_equal(outcome.ack.stream_bytes, outcome.read.reader.offset);
    assert_int_equal(outcome.read.instant, taken == WIRE_SNAPSHOT_CLONE);
    assert_int_equal(outcome.ack.pause_ns > 0, world->heap || taken == WIRE_SNAPSHOT_CLONE); /* else parked */
    assert_true(outcome.ack.predicted_pause_ns > 0);
    assert_int_equal(outcome.ack.slices > 0, taken == WIRE_SNAPSHOT_SLICES);
    nothing_left(fds);
}

/* A handler and a wait of the host's find nothing. */
static void test_a_clone_is_whole_and_unseen(void **state)
{
    struct world *world = *state;
    struct sigaction action = {.sa_handler = on_child}, before;
    void *chain = chain_make(world->heap, 20000);
    sigaction(SIGCHLD, &action, &before);
    children = 0;
    whole(world, WIRE_SNAPSHOT_CLONE, WIRE_SNAPSHOT_CLONE, 20000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(children, 0);
    sigaction(SIGCHLD, &before, NULL);
    tally_decref(chain);
}

static void test_slices_are_whole(void **state)
{
    struct world *world = *state;
    void *chain = chain_make(world->heap, 20000);
    tally_set_max_pause(world->heap, 200);
    whole(world, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_SLICES, 20000);
    tally_set_max_pause(world->heap, 0);
    tally_decref(chain);
}

/* One that is foreseen to pause for longer than may be is taken in slices, and not at all where those were not asked for. */
static void test_the_way_is_chosen(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    void *chain = chain_make(world->heap, 1000);
    whole(world, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_CLONE, 1000);
    tally_set_max_pause(world->heap, 1);
    whole(world, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_SLICES, 1000);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 650, WIRE_SNAPSHOT_CLONE, false);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.state, WIRE_ACK_FAILED);
    assert_int_equal(outcome.ack.reason, WIRE_SNAPSHOT_PAUSE);
    assert_int_equal(outcome.fd, -1);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 651, WIRE_SNAPSHOT_CLONE, true);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(outcome.ack.mode, WIRE_SNAPSHOT_CLONE);
    tally_set_max_pause(world->heap, 0);
    tally_decref(chain);
}

/* The agent takes both kinds while the owner is parked, labels too. */
static void test_a_parked_heap(void **state)
{
    struct world *world = *state;
    struct tally_heap *heap = world->heap;
    void *chain = chain_make(heap, 5000), *named = tally_new(heap, named_type);
    assert_int_equal(tally_park(heap), 0);
    world->heap = NULL;
    whole(world, WIRE_SNAPSHOT_CLONE, WIRE_SNAPSHOT_CLONE, 5001);
    whole(world, WIRE_SNAPSHOT_SLICES, WIRE_SNAPSHOT_SLICES, 5001);
    world->heap = heap;
    assert_int_equal(tally_unpark(heap), 0);
    tally_decref(named);
    tally_decref(chain);
}

static void test_labels_are_told(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    void *named = tally_new(world->heap, named_type);
    for (enum wire_snapshot_mode mode = WIRE_SNAPSHOT_CLONE; mode <= WIRE_SNAPSHOT_SLICES; mode++) {
        memset(&outcome, 0, sizeof outcome);
        ask(world, 660 + mode, mode, false);
        outcome_await(world, &outcome, true);
        assert_int_equal(outcome.read.labels, 1);
        assert_true(outcome.read.label_right);
    }
    tally_decref(named);
}

/* ---- broken off */

/* What nobody reads fills the pipe, and the host gives up; it goes on meanwhile. */
static void unread(struct world *world, enum wire_snapshot_mode mode)
{
    static struct outcome outcome;
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 670, mode, false);
    outcome_await(world, &outcome, false);
    assert_int_equal(outcome.ack.state, WIRE_ACK_FAILED);
    assert_int_equal(outcome.ack.reason, WIRE_SNAPSHOT_STALLED);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_that_nobody_reads(void **state)
{
    unread(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_that_nobody_reads(void **state)
{
    unread(*state, WIRE_SNAPSHOT_SLICES);
}

/* Begins one that cannot end, since the pipe is not read, and comes back when the daemon has that. */
static int begin_unread(struct world *world, uint64_t operation, enum wire_snapshot_mode mode)
{
    ask(world, operation, mode, false);
    for (int tries = 0; tries < 5000; tries++) {
        union fake_message message;
        int fd = -1;
        tally_safepoint(world->heap);
        if (!fake_readable(world->connection, 1))
            continue;
        fake_receive(world->connection, &message, &fd);
        if (message.head.kind == WIRE_SNAPSHOT)
            return fd;
    }
    fail_msg("no snapshot comes");
    return -1;
}

static void cancelled(struct world *world, enum wire_snapshot_mode mode)
{
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    int fd = begin_unread(world, 680, mode);
    fake_command(world->connection, &(struct wire_command){.operation = 680, .heap_number = world->shown.number,
                                                           .kind = WIRE_COMMAND_CANCEL});
    for (int tries = 0; tries < 100 && !fake_readable(world->connection, 10); tries++)
        tally_safepoint(world->heap);
    fake_ack(world->connection, 680, WIRE_ACK_CANCELLED);
    close(fd);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_is_cancelled(void **state)
{
    cancelled(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_are_cancelled(void **state)
{
    cancelled(*state, WIRE_SNAPSHOT_SLICES);
}

/* A second one waits for the first; a reader that goes ends the first at once. */
static void reader_gone(struct world *world, enum wire_snapshot_mode mode)
{
    static struct outcome outcome;
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    int fd = begin_unread(world, 690, mode);
    ask(world, 691, WIRE_SNAPSHOT_CLONE, false);
    for (int i = 0; i < 20; i++) {
        tally_safepoint(world->heap);
        usleep(5000);
    }
    fake_ack(world->connection, 691, WIRE_ACK_WAITING);
    close(fd);
    memset(&outcome, 0, sizeof outcome);
    outcome_await(world, &outcome, false);
    assert_int_equal(outcome.ack.operation, 690);
    assert_int_equal(outcome.ack.state, WIRE_ACK_FAILED);
    memset(&outcome, 0, sizeof outcome);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.operation, 691);
    assert_int_equal(outcome.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(outcome.read.objects, 400000);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_loses_its_reader(void **state)
{
    reader_gone(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_lose_their_reader(void **state)
{
    reader_gone(*state, WIRE_SNAPSHOT_SLICES);
}

/* A heap that goes takes its slices with it; what was cloned is whole all the same. */
static void test_the_heap_goes(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    unsigned fds = fds_open();
    void *chain = chain_make(world->heap, 400000);
    int fd = begin_unread(world, 700, WIRE_SNAPSHOT_SLICES);
    tally_detach(world->heap);
    fake_ack(world->connection, 700, WIRE_ACK_FAILED);
    close(fd);
    assert_int_equal(tally_attach(world->heap), 0);
    union fake_message message;
    while (fake_receive(world->connection, &message, NULL) && message.head.kind != WIRE_HEAP_GONE)
        continue;
    fake_heap_drop(&world->shown);
    world->shown = fake_heap_receive(world->connection);
    nothing_left(fds);
    fd = begin_unread(world, 701, WIRE_SNAPSHOT_CLONE);
    tally_decref(chain);
    tally_heap_free(world->heap);
    world->heap = NULL;
    struct snapshot_sink sink = sink_of(&outcome.read);
    memset(&outcome, 0, sizeof outcome);
    snapshot_read_begin(&outcome.read.reader, &sink);
    while (pipe_read(fd, &outcome.read, SECONDS(5)))
        continue;
    close(fd);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.read.objects, 400000);
    while (fake_receive(world->connection, &message, NULL) && message.head.kind != WIRE_ACK)
        continue;
    assert_int_equal(message.ack.state, WIRE_ACK_SUCCEEDED);
    assert_int_equal(message.ack.total, 400000);
    nothing_left(fds - 2); /* the heap's two memories */
}

/* Another thread goes on with what the owner before has begun. */
static void *second_owner(void *arg)
{
    struct world *world = arg;
    assert_int_equal(tally_heap_adopt(world->heap), 0);
    for (int i = 0; i < 2000 && !fake_readable(world->connection, 0); i++) {
        tally_safepoint(world->heap);
        usleep(1000);
    }
    assert_int_equal(tally_heap_disown(world->heap), 0);
    return NULL;
}

static void test_the_heap_is_handed_over(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    pthread_t second;
    void *chain = chain_make(world->heap, 20000);
    tally_set_max_pause(world->heap, 200);
    int fd = begin_unread(world, 705, WIRE_SNAPSHOT_SLICES);
    assert_int_equal(tally_heap_disown(world->heap), 0);
    assert_int_equal(pthread_create(&second, NULL, second_owner, world), 0);
    struct snapshot_sink sink = sink_of(&outcome.read);
    memset(&outcome, 0, sizeof outcome);
    snapshot_read_begin(&outcome.read.reader, &sink);
    while (pipe_read(fd, &outcome.read, SECONDS(5)))
        continue;
    close(fd);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.read.objects, 20000);
    pthread_join(second, NULL);
    assert_int_equal(tally_heap_adopt(world->heap), 0);
    assert_int_equal(fake_ack(world->connection, 705, WIRE_ACK_SUCCEEDED).total, 20000);
    tally_set_max_pause(world->heap, 0);
    tally_decref(chain);
}

static void connection_lost(struct world *world, enum wire_snapshot_mode mode)
{
    void *chain = chain_make(world->heap, 400000);
    unsigned fds = fds_open();
    int fd = begin_unread(world, 710, mode);
    close(world->connection);
    fake_heap_drop(&world->shown);
    world_connect(world);
    for (int i = 0; i < 20; i++) {
        tally_safepoint(world->heap);
        usleep(5000);
    }
    close(fd);
    nothing_left(fds);
    tally_decref(chain);
}
static void test_a_clone_loses_its_connection(void **state)
{
    connection_lost(*state, WIRE_SNAPSHOT_CLONE);
}
static void test_slices_lose_their_connection(void **state)
{
    connection_lost(*state, WIRE_SNAPSHOT_SLICES);
}

/* A host that may have no child is asked in slices, or told so. */
static void test_the_system_refuses_a_child(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    struct rlimit before, none;
    void *chain = chain_make(world->heap, 1000);
    getrlimit(RLIMIT_NPROC, &before);
    none = before;
    none.rlim_cur = 0;
    uid_t uid = geteuid();
    if (!uid) { /* whom no limit holds */
        tally_decref(chain);
        return;
    }
    setrlimit(RLIMIT_NPROC, &none);
    whole(world, WIRE_SNAPSHOT_AUTO, WIRE_SNAPSHOT_SLICES, 1000);
    memset(&outcome, 0, sizeof outcome);
    ask(world, 720, WIRE_SNAPSHOT_CLONE, false);
    outcome_await(world, &outcome, true);
    assert_int_equal(outcome.ack.reason, WIRE_SNAPSHOT_SYSTEM);
    setrlimit(RLIMIT_NPROC, &before);
    tally_decref(chain);
}

/* Nor is one let through that the host has forbidden. */
static void test_what_is_wrong_is_refused(void **state)
{
    struct world *world = *state;
    fake_command(world->connection, &(struct wire_command){.operation = 730, .heap_number = world->shown.number,
                                                           .deadline_ns = UINT64_MAX,
                                                           .kind = WIRE_COMMAND_SNAPSHOT, .mode = 3});
    assert_int_equal(fake_ack(world->connection, 730, WIRE_ACK_FAILED).error, TALLY_EINVAL);
    tally_set_access(world->heap, TALLY_ACCESS_OBSERVE);
    ask(world, 731, WIRE_SNAPSHOT_AUTO, false);
    assert_int_equal(fake_ack(world->connection, 731, WIRE_ACK_FAILED).error, TALLY_EVETO);
}

/* A child that the host forks meanwhile holds nothing of it once it attaches. */
static void test_the_host_forks_meanwhile(void **state)
{
    struct world *world = *state;
    static struct outcome outcome;
    void *chain = chain_make(world->heap, 400000);
    int status = -1, fd = begin_unread(world, 740, WIRE_SNAPSHOT_SLICES);
    pid_t child = fork();
    if (!child) {
        tally_safepoint(world->heap); /* notices, and attaches */
        _exit(tally_verify(world->heap, NULL, 0) ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct snapshot_sink sink = sink_of(&outcome.read);
    memset(&outcome, 0, sizeof outcome);
    snapshot_read_begin(&outcome.read.reader, &sink);
    for (uint64_t end = clock_mono_ns() + 20000000000u; clock_mono_ns() < end && pipe_read(fd, &outcome.read, 1);)
        tally_safepoint(world->heap);
    close(fd);
    assert_int_equal(snapshot_read_finish(&outcome.read.reader), 0);
    assert_int_equal(outcome.read.objects, 400000);
    assert_int_equal(fake_ack(world->connection, 740, WIRE_ACK_SUCCEEDED).total, 400000);
    tally_decref(chain);
}

int main(void)
{
    attached_prepare();
    if (tally_type_register(&(struct tally_type_info){.name = "named", .size = 8, .flags = TALLY_TYPE_LABEL,
                                                      .label = label_of}, &named_type))
        abort();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_clone_is_whole_and_unseen),
        TEST(test_slices_are_whole),
        TEST(test_the_way_is_chosen),
        TEST(test_a_parked_heap),
        TEST(test_labels_are_told),
        TEST(test_a_clone_that_nobody_reads),
        TEST(test_slices_that_nobody_reads),
        TEST(test_a_clone_is_cancelled),
        TEST(test_slices_are_cancelled),
        TEST(test_a_clone_loses_its_reader),
        TEST(test_slices_lose_their_reader),
        TEST(test_the_heap_is_handed_over),
        TEST(test_a_clone_loses_its_connection),
        TEST(test_slices_lose_their_connection),
        TEST(test_the_system_refuses_a_child),
        TEST(test_what_is_wrong_is_refused),
#ifndef THREAD_SANITIZER /* which lets no child that was forked start a thread */
        TEST(test_the_host_forks_meanwhile),
#endif
        TEST(test_the_heap_goes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
