/* Downloads: how long their reader is waited for, and that his place is free afterwards. */
#include "world.h"

#include "api/patience.h"
#include "snapshot/snapshot.h"

#define SECOND ((uint64_t)1000000000u)
#define OBJECTS 40000u

/* ---- in simulated time */

static uint64_t lasts(size_t bytes, uint64_t every_ns, uint64_t at_most_ns)
{
    struct patience patience = patience_of(PATIENCE_NS);
    uint64_t spent_ns = 0;
    for (; patience.left_ns && spent_ns < at_most_ns; spent_ns += every_ns) {
        patience_spend(&patience, every_ns);
        if (patience.left_ns)
            patience_earn(&patience, bytes);
    }
    return spent_ns;
}

static void test_patience_ends_with_who_is_too_slow(void **state)
{
    (void)state;
    assert_int_equal(lasts(0, SECOND, 1000 * SECOND), 60 * SECOND);
    assert_int_equal(lasts(1, 59 * SECOND, 1000 * SECOND), 118 * SECOND); /* a byte now and then */
    assert_in_range(lasts(PATIENCE_BYTES_S / 2, SECOND, 1000 * SECOND), 110 * SECOND, 125 * SECOND);
    assert_int_equal(lasts(PATIENCE_BYTES_S + 100, SECOND, 1000 * SECOND), 1000 * SECOND);
    struct patience patience = patience_of(PATIENCE_NS);
    patience_earn(&patience, (size_t)1 << 40); /* speed is not saved up */
    patience_spend(&patience, PATIENCE_NS);
    assert_int_equal(patience.left_ns, 0);
    patience_spend(&patience, 1);
    assert_int_equal(patience.left_ns, 0);
}

/* ---- with a daemon */

static char folder[] = "/tmp/tally-downloads-XXXXXX";

static int pipe_put(void *arg, const void *bytes, size_t count)
{
    const char *at = bytes;
    for (ssize_t wrote; count; at += wrote, count -= (size_t)wrote)
        if ((wrote = write(*(int *)arg, at, count)) <= 0)
            return -1;
    return 0;
}

/* An artifact of OBJECTS in a list, some 5 MB as NDJSON. */
static void artifact_make(struct snapshots *snapshots, char id[SNAPSHOT_ID_CHARS])
{
    static unsigned char buffer[65536];
    const struct snapshot_meta meta = {.process = PROCESS, .name = "host", .heap = 1, .mode = "clone"};
    struct snapshot_writer writer;
    struct snapshot_artifact artifact = {.state = SNAPSHOT_ANALYSING};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(snapshot_receive(snapshots, &meta, ends[0], NULL, NULL, id), 0);
    snapshot_write_begin(&writer, buffer, sizeof buffer, pipe_put, &ends[1], &(struct snapshot_header){.heap_number = 1});
    snapshot_write_type(&writer, &(struct snapshot_type){.row = 1, .size_bytes = 32, .field_count = 0, .name = {"node", 4},
                                                         .trailing = {"", 0}, .external = {"", 0}});
    for (uint64_t i = 1; i <= OBJECTS; i++) {
        snapshot_write_object(&writer, &(struct snapshot_object){.number = i, .type_row = 1, .bytes = 32, .references = 1,
                                                                 .declared = i == 1, .label = {"", 0}});
        if (i < OBJECTS)
            snapshot_write_edge(&writer, SNAPSHOT_EDGE_TRAILING, 0, i + 1);
    }
    assert_int_equal(snapshot_write_end(&writer, SNAPSHOT_WHOLE, 0), 0);
    close(ends[1]);
    while (artifact.state != SNAPSHOT_READY) {
        assert_true(snapshots_find(snapshots, id, &artifact));
        assert_int_not_equal(artifact.state, SNAPSHOT_FAILED);
        usleep(2000);
    }
}

static int begin(const struct world *world, const char *id)
{
    char text[160];
    int fd = dial_unix(world);
    snprintf(text, sizeof text, "GET /v1/artifacts/%s?format=ndjson HTTP/1.1\r\nHost: x\r\n\r\n", id);
    say(world, fd, text);
    return fd;
}

/* Four who take nothing have the four places until there is no more patience with them. */
static void test_who_takes_nothing_loses_his_place(void **state)
{
    struct world *world = *state;
    struct snapshots *snapshots;
    char id[SNAPSHOT_ID_CHARS];
    int fds[4], status = 503;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(snapshots_open(&(struct snapshots_options){.folder = folder, .bytes_max = 256u << 20}, &snapshots), 0);
    artifact_make(snapshots, id);
    world->api->snapshots = snapshots;
    world->api->download_patience_ns = 2 * SECOND;
    for (unsigned i = 0; i < 4; i++) {
        fds[i] = begin(world, id);
        assert_true(poll(&(struct pollfd){.fd = fds[i], .events = POLLIN}, 1, 20000) > 0); /* it has its place */
    }
    while (status == 503) {
        int fd = begin(world, id);
        const char *answer = hear(fd, "\r\n\r\n");
        status = status_of(answer);
        if (status == 503)
            assert_non_null(strstr(answer, "Retry-After: 1"));
        close(fd);
        usleep(20000);
    }
    assert_int_equal(status, 200);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
}

static int stop(void **state)
{
    struct snapshots *snapshots = ((struct world *)*state)->api->snapshots;
    int error = world_stop(state);
    char command[96];
    snapshots_close(snapshots);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return error ? error : system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patience_ends_with_who_is_too_slow),
        cmocka_unit_test_setup_teardown(test_who_takes_nothing_loses_his_place, world_start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
