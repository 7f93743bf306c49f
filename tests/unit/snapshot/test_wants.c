/* Whatever call is the one that fails, of memory, of the state folder or of threads: an artifact is right, or it has failed and says
 * why, or it is told that there is none; and the store is there for the next one. */
#include "world.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "snapshot/private.h"

#define MIB ((uint64_t)1 << 20)
#define CALLS_MOST 2000u

static _Thread_local bool exempt; /* what the test itself does */
static atomic_int left;           /* until the one that fails; below 0: none does */

static const char *which; /* has failed */

static bool fails(int error, const char *name)
{
    if (exempt || atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0)
        return false;
    errno = error;
    which = name;
    return true;
}

#define WRAP(type, name, parameters, arguments, error, result) \
    type __real_##name parameters;                             \
    type __wrap_##name parameters;                             \
    type __wrap_##name parameters                              \
    {                                                          \
        return fails(error, #name) ? (result) : __real_##name arguments; \
    }

WRAP(void *, malloc, (size_t bytes), (bytes), ENOMEM, NULL)
WRAP(void *, calloc, (size_t count, size_t bytes), (count, bytes), ENOMEM, NULL)
WRAP(void *, realloc, (void *memory, size_t bytes), (memory, bytes), ENOMEM, NULL)
WRAP(void *, mmap, (void *at, size_t bytes, int how, int flags, int fd, off_t from), (at, bytes, how, flags, fd, from), ENOMEM,
     MAP_FAILED)
WRAP(ssize_t, pread, (int fd, void *bytes, size_t count, off_t at), (fd, bytes, count, at), EIO, -1)
WRAP(ssize_t, splice, (int from, off_t *at, int to, off_t *to_at, size_t count, unsigned flags),
     (from, at, to, to_at, count, flags), EIO, -1)
WRAP(int, posix_fallocate, (int fd, off_t at, off_t count), (fd, at, count), ENOSPC, ENOSPC)
WRAP(int, fsync, (int fd), (fd), EIO, -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), EIO, -1)
WRAP(int, eventfd, (unsigned start, int flags), (start, flags), EMFILE, -1)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), EMFILE, -1)
WRAP(int, pthread_create, (pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *arg), (thread, how, run, arg),
     EAGAIN, EAGAIN)

/* An eventfd, which is written 8 bytes at a time, takes them or is full of wakings. */
ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
    return count != sizeof(uint64_t) && fails(ENOSPC, "write") ? -1 : __real_write(fd, bytes, count);
}

int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
    return fails(EMFILE, "open") ? -1 : __real_open(path, flags, mode);
}

/* ---- what is done, of which each call fails once */

static int swallow(void *arg, const void *bytes, size_t count)
{
    (void)arg, (void)bytes, (void)count;
    return 0;
}

static void look(struct snapshots *snapshots, const char *id)
{
    struct snapshot_graph *graph;
    exempt = false;
    if (!snapshot_graph_open(snapshots, id, &graph)) {
        const struct snapshot_totals *totals = snapshot_graph_totals(graph);
        bool right = totals->objects == 50 && totals->edges == 49 && totals->garbage_objects == 0;
        struct snapshot_row row;
        for (unsigned format = 0; format <= SNAPSHOT_NDJSON; format++)
            snapshot_graph_export(graph, (enum snapshot_format)format, swallow, NULL);
        right &= !snapshot_graph_row(graph, 49, &row) || (row.distance == 49 && row.retained == 32);
        snapshot_graph_close(graph);
        exempt = true;
        assert_true(right);
    }
    exempt = true;
}

static bool settled(struct snapshots *snapshots, const char *id, struct snapshot_artifact *artifact)
{
    for (unsigned i = 0; i < 20000; i++) {
        assert_true(snapshots_find(snapshots, id, artifact));
        if (artifact->state == SNAPSHOT_READY || artifact->state == SNAPSHOT_FAILED)
            return true;
        usleep(1000);
    }
    return false;
}

static void take_one(struct snapshots *snapshots, const struct text *stream)
{
    int ends[2];
    char id[SNAPSHOT_ID_CHARS];
    struct snapshot_artifact artifact;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], stream->data, stream->length), stream->length); /* all of it fits */
    close(ends[1]);
    exempt = false;
    int error = snapshot_receive(snapshots, &world_meta, ends[0], NULL, NULL, id);
    exempt = true;
    if (error)
        return;
    if (!settled(snapshots, id, &artifact))
        fail_msg("a %s() that fails leaves it %s", which, artifact.state == SNAPSHOT_RECEIVING_IT ? "receiving" : "analysing");
    if (artifact.state == SNAPSHOT_FAILED)
        assert_true(*artifact.problem);
    else
        look(snapshots, id);
}

static void all_that_there_is(const struct text *stream)
{
    struct snapshots *snapshots;
    const struct snapshots_options options = {.folder = world_folder, .bytes_max = 64 * MIB};
    exempt = false;
    int error = snapshots_open(&options, &snapshots);
    exempt = true;
    if (error)
        return;
    take_one(snapshots, stream);
    snapshots_close(snapshots);
}

/* Without a want: what is there is whole or has failed, and another one succeeds. */
static void all_is_well(const struct text *stream)
{
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact all[8], artifact;
    size_t count = snapshots_list(snapshots, NULL, NULL, all, 8);
    for (size_t i = 0; i < count; i++) {
        assert_true(settled(snapshots, all[i].id, &artifact));
        look(snapshots, all[i].id);
        assert_true(snapshots_delete(snapshots, all[i].id));
    }
    artifact = world_receive(snapshots, stream);
    assert_true(settled(snapshots, artifact.id, &artifact));
    assert_int_equal(artifact.state, SNAPSHOT_READY);
    assert_true(snapshots_delete(snapshots, artifact.id));
    snapshots_close(snapshots);
}

static void test_each_call_may_fail(void **state)
{
    (void)state;
    exempt = true;
    struct text stream = world_chain(50, SNAPSHOT_WHOLE);
    unsigned nth = 0;
    for (; nth < CALLS_MOST; nth++) {
        atomic_store(&left, (int)nth);
        all_that_there_is(&stream);
        bool fired = atomic_exchange(&left, -1) < 0;
        all_is_well(&stream);
        if (!fired)
            break;
    }
    assert_in_range(nth, 40, CALLS_MOST - 1);
    print_message("# %u calls, each of which has failed\n", nth);
    text_free(&stream);
}

/* Where nothing waits for a disk. */
static int setup(void **state)
{
    (void)state;
    exempt = true;
    atomic_store(&left, -1);
    snprintf(world_folder, sizeof world_folder, "%s/tally-snapshot-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    return mkdtemp(world_folder) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_call_may_fail, setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
