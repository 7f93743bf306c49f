/* The pipes of snapshots: what is none is refused, what nobody asked for is closed, and no descriptor stays. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "forged_host.h"

static void send_snapshot(int host, const struct wire_snapshot *snapshot, const int *fds, unsigned count)
{
    host_send(host, snapshot, sizeof *snapshot, fds, count);
}

static struct wire_snapshot message(void)
{
    return (struct wire_snapshot){.head = wire_head_make(WIRE_SNAPSHOT, sizeof(struct wire_snapshot)), .operation = 7,
                                  .heap_number = 1, .mode = WIRE_SNAPSHOT_CLONE, .started_ns = 5};
}

/* A command to the process, so that it has something to answer. */
static void ask(struct world *world, int host, uint8_t id)
{
    char text[33];
    struct wire_command command = {.kind = WIRE_COMMAND_SNAPSHOT, .operation = 7, .heap_number = 1,
                                   .deadline_ns = clock_mono_ns() + 10000000000u}, got;
    id_text(id, text);
    assert_int_equal(intake_command(world->intake, text, &command), 0);
    assert_int_equal(host_receive(host, &got, sizeof got), sizeof got);
    assert_int_equal(got.kind, WIRE_COMMAND_SNAPSHOT);
}

static unsigned snapshots_wait(struct world *world, unsigned count)
{
    unsigned seen = 0;
    for (int tries = 0; tries < 500 && seen < count; tries++) {
        usleep(2000);
        pthread_mutex_lock(&world->lock);
        seen = world->snapshots;
        pthread_mutex_unlock(&world->lock);
    }
    return seen;
}

static void fds_settle(unsigned fds)
{
    for (int tries = 0; tries < 500 && fds_open() != fds; tries++)
        usleep(2000);
    assert_int_equal(fds_open(), fds);
}

/* Waits until the intake has taken everything that the host sent. */
static void all_read(int host)
{
    int unread = 1;
    for (int tries = 0; tries < 2500 && unread; tries++) {
        usleep(2000);
        assert_int_equal(ioctl(host, SIOCOUTQ, &unread), 0);
    }
    assert_int_equal(unread, 0);
}

static void test_a_pipe_is_handed_on(void **state)
{
    struct world *world = *state;
    int ends[2], host = host_attach(world, 1);
    char byte = 0;
    assert_int_equal(pipe(ends), 0);
    ask(world, host, 1);
    struct wire_snapshot snapshot = message();
    send_snapshot(host, &snapshot, ends, 1);
    assert_int_equal(snapshots_wait(world, 1), 1);
    assert_int_equal(world->snapshot.operation, 7);
    assert_int_equal(world->snapshot.started_ns, 5);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(world->snapshot_fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(world->snapshot_fd);
    close(ends[0]);
    close(ends[1]);
    close(host);
}

/* The peer lives on: a late one, of an operation that has ended, is no crime. */
static void test_one_that_nobody_asked_for_is_closed(void **state)
{
    struct world *world = *state;
    int ends[2], host = host_attach(world, 2);
    assert_int_equal(pipe(ends), 0);
    unsigned fds = fds_open();
    struct wire_snapshot snapshot = message();
    for (int i = 0; i < 100; i++)
        send_snapshot(host, &snapshot, ends, 1);
    all_read(host);
    fds_settle(fds);
    ask(world, host, 2);
    assert_int_equal(snapshots_wait(world, 1), 0);
    close(ends[0]);
    close(ends[1]);
    close(host);
}

enum bad { WRITING_END, A_FILE, A_SOCKET, A_MEMFD, A_FOLDER, NOTHING, TWO, MANY, BADS };

static unsigned bad_make(enum bad bad, int fds[8], int ends[2])
{
    int pair[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 8; i++)
        fds[i] = dup(ends[0]);
    switch (bad) {
    case WRITING_END:
        return dup2(ends[1], fds[0]) >= 0;
    case A_FILE:
        return dup2(open("/proc/self/status", O_RDONLY | O_CLOEXEC), fds[0]) >= 0;
    case A_SOCKET:
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        dup2(pair[0], fds[0]);
        dup2(pair[1], fds[1]);
        close(pair[0]);
        close(pair[1]);
        return 1;
    case A_MEMFD:
        return dup2(memfd_create("x", 0), fds[0]) >= 0;
    case A_FOLDER:
        return dup2(open("/", O_RDONLY | O_DIRECTORY), fds[0]) >= 0;
    case NOTHING:
        return 0;
    case TWO:
        return 2;
    default:
        return 8;
    }
}

static void test_what_is_no_pipe_to_read_costs_the_connection(void **state)
{
    struct world *world = *state;
    for (enum bad bad = 0; bad < BADS; bad++) {
        int fds[8], ends[2], host = host_attach(world, (uint8_t)(10 + bad));
        ask(world, host, (uint8_t)(10 + bad));
        unsigned count = bad_make(bad, fds, ends);
        struct wire_snapshot snapshot = message();
        send_snapshot(host, &snapshot, fds, count);
        assert_dropped(world, host, bad < TWO ? "without a pipe" : "more than one descriptor");
        for (int i = 0; i < 8; i++)
            close(fds[i]);
        close(ends[0]);
        close(ends[1]);
    }
    assert_int_equal(world->snapshots, 0);
}

static void test_messages_that_make_no_sense_cost_the_connection(void **state)
{
    struct world *world = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 3; i++) {
        int host = host_attach(world, (uint8_t)(30 + i));
        struct wire_snapshot snapshot = message();
        if (i == 0)
            snapshot.mode = 9;
        else if (i == 1)
            snapshot.operation = 0;
        else
            snapshot.head.bytes--;
        send_snapshot(host, &snapshot, ends, 1);
        assert_dropped(world, host, i < 2 ? "out of range" : "as long as it says");
    }
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
        WORLD_TEST(test_a_pipe_is_handed_on),
        WORLD_TEST(test_one_that_nobody_asked_for_is_closed),
        WORLD_TEST(test_what_is_no_pipe_to_read_costs_the_connection),
        WORLD_TEST(test_messages_that_make_no_sense_cost_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
