/* The store of artifacts and its receiver: what is whole is kept and found again, what is not says why, and nothing that a
 * writer does keeps anybody waiting for ever. */
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "snapshot/private.h"

#define MIB ((uint64_t)1 << 20)

static bool file_is_there(const char *id, const char *ending)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof path, "%s/artifacts/%.16s%s", world_folder, id, ending);
    return !stat(path, &status);
}

static void file_make(const char *name, const char *content)
{
    char path[128];
    snprintf(path, sizeof path, "%s/artifacts/%s", world_folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void fifo_make(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/artifacts/%s", world_folder, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void test_what_is_whole_is_kept_and_found_again(void **state)
{
    (void)state;
    struct text stream = world_chain(1000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream), found;
    assert_true(artifact.state == SNAPSHOT_ANALYSING || artifact.state == SNAPSHOT_READY);
    assert_int_equal(artifact.objects, 1000);
    assert_int_equal(artifact.edges, 999);
    assert_int_equal(artifact.bytes, 32000);
    assert_int_equal(artifact.size_bytes, stream.length);
    assert_int_equal(artifact.meta.pause_ns, 1000);
    assert_true(artifact.instant);
    assert_true(file_is_there(artifact.id, ".stream"));
    snapshots_close(snapshots);
    file_make("0000000000000001.part", "half");
    file_make("0000000000000002.stream", "of nothing");
    file_make("0000000000000003.json", "{\"version\": 1");
    file_make("pprof-17.part", "half");
    file_make("0000000000000004.json.new", "half");
    file_make("0000000000000005.heapsnapshot", "");
    file_make("notes", "");
    fifo_make("0000000000000006.json");
    snapshots = world_open(64 * MIB);
    assert_true(snapshots_find(snapshots, artifact.id, &found));
    assert_string_equal(found.meta.name, "app");
    assert_string_equal(found.meta.mode, "clone");
    assert_int_equal(found.objects, 1000);
    assert_int_equal(found.taken_wall_ns, artifact.taken_wall_ns);
    assert_false(file_is_there("0000000000000001", ".part"));
    assert_false(file_is_there("0000000000000002", ".stream"));
    assert_false(file_is_there("0000000000000003", ".json"));
    assert_false(file_is_there("0000000000000006", ".json")); /* and nobody waited for its writer */
    assert_false(file_is_there("pprof-17.part", ""));
    assert_false(file_is_there("0000000000000004", ".json.new"));
    assert_true(file_is_there("0000000000000005", ".heapsnapshot")); /* a stranger's */
    assert_true(file_is_there("notes", ""));
    assert_true(snapshots_delete(snapshots, artifact.id));
    assert_false(snapshots_delete(snapshots, artifact.id));
    assert_false(file_is_there(artifact.id, ".stream"));
    assert_false(file_is_there(artifact.id, ".json"));
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_the_newest_are_listed_first(void **state)
{
    (void)state;
    struct text stream = world_chain(3, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact all[8], sent[3];
    for (unsigned i = 0; i < 3; i++)
        sent[i] = world_receive(snapshots, &stream);
    assert_int_equal(snapshots_list(snapshots, NULL, NULL, all, 8), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(all[i].id, sent[2 - i].id);
    assert_int_equal(snapshots_list(snapshots, world_meta.process, sent[2].id, all, 8), 2);
    assert_string_equal(all[0].id, sent[1].id);
    assert_int_equal(snapshots_list(snapshots, "another", NULL, all, 8), 0);
    assert_int_equal(snapshots_list(snapshots, NULL, NULL, all, 2), 2);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void failed_with(struct snapshots *snapshots, const struct text *stream, const char *problem)
{
    struct snapshot_artifact artifact = world_receive(snapshots, stream);
    assert_int_equal(artifact.state, SNAPSHOT_FAILED);
    if (!strstr(artifact.problem, problem))
        fail_msg("'%s' is not in '%s'", problem, artifact.problem);
    assert_false(file_is_there(artifact.id, ".part"));
    assert_false(file_is_there(artifact.id, ".stream"));
    assert_true(file_is_there(artifact.id, ".json"));
}

static void test_what_is_not_whole_says_why(void **state)
{
    (void)state;
    struct snapshots *snapshots = world_open(64 * MIB);
    struct text stream = world_chain(10, SNAPSHOT_WHOLE), late = world_chain(10, SNAPSHOT_LATE);
    struct text cut = {.data = stream.data, .length = stream.length - 3}, nothing = {.data = stream.data};
    failed_with(snapshots, &cut, "the program ended it early, after ");
    failed_with(snapshots, &nothing, "the program ended it early, after 0 bytes and 0 objects");
    failed_with(snapshots, &late, "the program gave it up: it was not done by its deadline");
    stream.data[0] ^= 1;
    failed_with(snapshots, &stream, "the stream is malformed at byte 0: it is no snapshot stream");
    snapshots_close(snapshots);
    snapshots = world_open(64 * MIB); /* they are remembered */
    struct snapshot_artifact all[8];
    assert_int_equal(snapshots_list(snapshots, NULL, NULL, all, 8), 4);
    assert_int_equal(all[0].state, SNAPSHOT_FAILED);
    assert_non_null(strstr(all[0].problem, "malformed"));
    snapshots_close(snapshots);
    text_free(&stream);
    text_free(&late);
}

static void test_one_that_trickles_or_hangs_has_a_deadline(void **state)
{
    (void)state;
    struct text stream = world_chain(1000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct world_sending trickle = {.piece = 1, .pause_ms = 20}, silent = {.hang = true}, swift = {.piece = 0};
    struct text nothing = {.data = stream.data};
    world_start(snapshots, &trickle, &stream, 3000000000);
    world_start(snapshots, &silent, &nothing, 3000000000);
    world_start(snapshots, &swift, &stream, 0);
    world_await(&swift); /* the others do not hold it up */
    assert_int_not_equal(swift.artifact.state, SNAPSHOT_FAILED);
    pthread_mutex_lock(&trickle.lock);
    assert_false(trickle.done);
    pthread_mutex_unlock(&trickle.lock);
    world_await(&trickle);
    world_await(&silent);
    assert_string_equal(trickle.artifact.problem, "it was not whole by its deadline");
    assert_string_equal(silent.artifact.problem, "it was not whole by its deadline");
    snapshots_close(snapshots);
    text_free(&stream);
}

/* Somebody else holds the pipe's other end; what had been written whole is kept all the same. */
static void test_a_process_that_goes_has_a_grace(void **state)
{
    (void)state;
    struct snapshots *snapshots = world_open(64 * MIB);
    struct text stream = world_chain(1000, SNAPSHOT_WHOLE);
    struct world_sending half = {.hang = true}, whole = {.hang = true};
    struct text cut = stream;
    cut.length /= 2;
    world_start(snapshots, &half, &cut, 0);
    snapshots_process_gone(snapshots, "ffffffffffffffffffffffffffffffff");
    world_start(snapshots, &whole, &stream, 0);
    uint64_t start_ns = clock_mono_ns();
    snapshots_process_gone(snapshots, world_meta.process);
    world_await(&whole);
    world_await(&half);
    assert_int_not_equal(whole.artifact.state, SNAPSHOT_FAILED);
    assert_int_equal(half.artifact.state, SNAPSHOT_FAILED);
    assert_string_equal(half.artifact.problem, "the program went while it came");
    assert_true(clock_mono_ns() - start_ns >= SNAPSHOT_GRACE_NS);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_delete_and_close_end_what_comes(void **state)
{
    (void)state;
    struct text stream = world_chain(10, SNAPSHOT_WHOLE), half = {.data = stream.data, .length = stream.length / 2};
    struct snapshots *snapshots = world_open(64 * MIB);
    struct world_sending one = {.hang = true}, other = {.hang = true};
    struct snapshot_artifact artifact;
    world_start(snapshots, &one, &half, 0);
    world_start(snapshots, &other, &half, 0);
    assert_true(snapshots_find(snapshots, one.id, &artifact));
    assert_int_equal(artifact.state, SNAPSHOT_RECEIVING_IT);
    assert_true(snapshots_delete(snapshots, one.id));
    world_await(&one);
    assert_string_equal(one.artifact.problem, "it was deleted");
    assert_false(file_is_there(one.id, ".json"));
    assert_false(file_is_there(one.id, ".part"));
    snapshots_close(snapshots);
    world_await(&other);
    assert_string_equal(other.artifact.problem, "tallyd was stopped while it came");
    text_free(&stream);
}

static void test_the_oldest_go_for_new_ones(void **state)
{
    (void)state;
    struct text stream = world_chain(100000, SNAPSHOT_WHOLE), large = world_chain(1000000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(16 * MIB);
    struct snapshot_artifact all[64];
    assert_true(stream.length < 4 * MIB && large.length > 4 * MIB);
    failed_with(snapshots, &large, "artifact-size leaves for one");
    for (unsigned i = 0; i < 40; i++)
        assert_int_not_equal(world_receive(snapshots, &stream).state, SNAPSHOT_FAILED);
    size_t count = snapshots_list(snapshots, NULL, NULL, all, 64), with_stream = 0;
    for (size_t i = 0; i < count; i++)
        with_stream += file_is_there(all[i].id, ".stream");
    assert_true(with_stream >= 1 && with_stream * stream.length <= 16 * MIB);
    assert_true(with_stream < 40);
    snapshots_close(snapshots);
    text_free(&stream);
    text_free(&large);
}

static struct snapshot_artifact receive_of(struct snapshots *snapshots, const struct text *stream, const char *process)
{
    struct world_sending sending = {.process = process};
    world_start(snapshots, &sending, stream, 0);
    world_await(&sending);
    return sending.artifact;
}

/* One process is snapshotted over and over: what others have stays, and only its own go. The streams alone are more than there
 * may be, however far the analysis of them comes. */
static void test_a_process_drives_out_its_own(void **state)
{
    (void)state;
    static const char quiet[] = "11111111111111111111111111111111", often[] = "22222222222222222222222222222222";
    struct text small = world_chain(10, SNAPSHOT_WHOLE), stream = world_chain(60000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(16 * MIB);
    struct snapshot_artifact kept[2], taken[60], found;
    assert_true(60 * stream.length > 20 * MIB);
    for (size_t i = 0; i < 2; i++)
        kept[i] = receive_of(snapshots, &small, quiet);
    for (size_t i = 0; i < 60; i++)
        taken[i] = receive_of(snapshots, &stream, often);
    for (size_t i = 0; i < 2; i++)
        assert_true(snapshots_find(snapshots, kept[i].id, &found));
    assert_true(snapshots_find(snapshots, taken[59].id, &found));
    unsigned gone = 0;
    for (size_t i = 0; i < 60; i++) {
        bool there = snapshots_find(snapshots, taken[i].id, &found);
        assert_true(there || snapshots_dropped(snapshots, taken[i].id)); /* it may go between the two questions */
        gone += !there;
    }
    assert_true(gone >= 10);
    assert_false(snapshots_dropped(snapshots, ""));
    snapshots_close(snapshots);
    text_free(&small);
    text_free(&stream);
}

/* Many small ones of others keep no large program from being snapshotted. */
static void test_one_that_has_more_takes_from_those_with_less(void **state)
{
    (void)state;
    struct text small = world_chain(10000, SNAPSHOT_WHOLE), large = world_chain(500000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(16 * MIB);
    char process[33];
    assert_true(large.length > 2 * MIB && large.length < 4 * MIB);
    for (unsigned i = 0; !snapshots->drops; i++) { /* until it is full of them */
        snprintf(process, sizeof process, "%032x", i);
        receive_of(snapshots, &small, process);
    }
    assert_int_not_equal(receive_of(snapshots, &large, "22222222222222222222222222222222").state, SNAPSHOT_FAILED);
    snapshots_close(snapshots);
    text_free(&small);
    text_free(&large);
}

/* artifact-size was larger when it came. What has no room for an index any more takes nothing from others for it. */
static void test_one_that_is_too_large_by_now_fails_alone(void **state)
{
    (void)state;
    struct text small = world_chain(10, SNAPSHOT_WHOLE), large = world_chain(500000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact little = world_receive(snapshots, &small), much = world_receive(snapshots, &large), found;
    char path[128];
    snapshots_close(snapshots);
    snprintf(path, sizeof path, "%s/artifacts/%s.index", world_folder, much.id);
    unlink(path);
    snapshots = world_open(MIB);
    assert_true(large.length > MIB);
    for (unsigned i = 0; i < 30000 && snapshots_find(snapshots, much.id, &found) && found.state != SNAPSHOT_FAILED; i++)
        usleep(1000);
    assert_int_equal(found.state, SNAPSHOT_FAILED);
    assert_true(snapshots_find(snapshots, little.id, &found));
    snapshots_close(snapshots);
    text_free(&small);
    text_free(&large);
}

/* A thousand are kept, and one program has as many on the way as may be: each finds a place. */
static void test_there_are_never_more_than_a_thousand(void **state)
{
    (void)state;
    struct text none = {.length = 0};
    struct snapshots *snapshots = world_open(64 * MIB);
    struct world_sending coming[SNAPSHOT_RECEIVING];
    char process[33];
    for (unsigned i = 0; i < SNAPSHOT_ARTIFACTS; i++) {
        snprintf(process, sizeof process, "%032x", i);
        receive_of(snapshots, &none, process);
    }
    assert_int_equal(snapshots->count, SNAPSHOT_ARTIFACTS);
    memset(coming, 0, sizeof coming);
    for (unsigned i = 0; i < SNAPSHOT_RECEIVING; i++) {
        coming[i].hang = true;
        world_start(snapshots, &coming[i], &none, 0);
        assert_int_equal(snapshots->count, SNAPSHOT_ARTIFACTS);
    }
    for (unsigned i = 0; i < SNAPSHOT_RECEIVING; i++) {
        assert_true(snapshots_delete(snapshots, coming[i].id));
        world_await(&coming[i]);
    }
    snapshots_close(snapshots);
}

/* A file that may not grow stands for a full disk, which needs a file system of its own. */
static void test_a_full_disk_is_a_failed_artifact(void **state)
{
    (void)state;
    struct text stream = world_chain(100000, SNAPSHOT_WHOLE), small = world_chain(10, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct rlimit was, tight;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    tight = was;
    tight.rlim_cur = 65536;
    setrlimit(RLIMIT_FSIZE, &tight);
    failed_with(snapshots, &stream, "the state folder: File too large");
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_not_equal(world_receive(snapshots, &small).state, SNAPSHOT_FAILED);
    snapshots_close(snapshots);
    text_free(&stream);
    text_free(&small);
}

/* It has this end of the pipe as well, and may make it one that waits. */
static void test_a_pipe_that_waits_is_not_waited_for(void **state)
{
    (void)state;
    int theirs[2], own[2];
    char bytes[70000];
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(pipe2(theirs, O_CLOEXEC), 0);
    assert_int_equal(pipe2(own, O_CLOEXEC | O_NONBLOCK), 0);
    alarm(120); /* which ends it where it waits */
    assert_int_equal(pipe_take(theirs[0], own, bytes, sizeof bytes), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(write(theirs[1], bytes, 65536), 65536);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(pipe_take(theirs[0], own, bytes, sizeof bytes), 65536);
    assert_true(bytes[0] == 'x' && bytes[65535] == 'x' && !bytes[65536]);
    assert_int_equal(pipe_take(theirs[0], own, bytes, sizeof bytes), -1);
    close(theirs[1]);
    assert_int_equal(pipe_take(theirs[0], own, bytes, sizeof bytes), 0);
    alarm(0);
    close(theirs[0]);
    close(own[0]);
    close(own[1]);
}

static void test_only_pipes_are_taken(void **state)
{
    (void)state;
    struct snapshots *snapshots = world_open(64 * MIB);
    int ends[2];
    char id[SNAPSHOT_ID_CHARS];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(snapshot_receive(snapshots, &world_meta, open("/dev/zero", O_RDONLY | O_CLOEXEC), NULL, NULL, id), -EINVAL);
    assert_int_equal(snapshot_receive(snapshots, &world_meta, -1, NULL, NULL, id), -EINVAL);
    assert_int_equal(snapshot_receive(snapshots, &world_meta, dup(ends[1]), NULL, NULL, id), -EINVAL);
    for (unsigned i = 0; i < SNAPSHOT_RECEIVING; i++)
        assert_int_equal(snapshot_receive(snapshots, &world_meta, dup(ends[0]), NULL, NULL, id), 0);
    assert_int_equal(snapshot_receive(snapshots, &world_meta, dup(ends[0]), NULL, NULL, id), -EBUSY);
    close(ends[0]);
    close(ends[1]);
    snapshots_close(snapshots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        TEST(test_what_is_whole_is_kept_and_found_again),
        TEST(test_the_newest_are_listed_first),
        TEST(test_what_is_not_whole_says_why),
        TEST(test_one_that_trickles_or_hangs_has_a_deadline),
        TEST(test_a_process_that_goes_has_a_grace),
        TEST(test_delete_and_close_end_what_comes),
        TEST(test_the_oldest_go_for_new_ones),
        TEST(test_a_process_drives_out_its_own), TEST(test_one_that_has_more_takes_from_those_with_less),
        TEST(test_one_that_is_too_large_by_now_fails_alone),
        TEST(test_there_are_never_more_than_a_thousand),
        TEST(test_a_full_disk_is_a_failed_artifact),
        TEST(test_a_pipe_that_waits_is_not_waited_for),
        TEST(test_only_pipes_are_taken),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
