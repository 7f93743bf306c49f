/* Streams: what comes first, news, operations, what happens to a slow reader, to the 65th, and at the end. */
#include "api/stream.h"
#include "world.h"

#include <signal.h>

#define STREAM(topics) "GET /v1/stream?topics=" topics " HTTP/1.1\r\nHost: x\r\n\r\n"
#define COLLECT                                                                                              \
    "POST /v1/processes/" PROCESS                                                                            \
    "/collect?wait=5s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

static int open_stream(const struct world *world, const char *request)
{
    int fd = dial_unix(world);
    say(world, fd, request);
    return fd;
}

static void test_hello_then_news(void **state)
{
    struct world *world = *state;
    int fd = open_stream(world, STREAM("fleet,stats:" PROCESS));
    const char *text = hear(fd, "event: stats");
    const char *hello = strstr(text, "event: hello\ndata: {\"start_id\":\"feedbeef\",\"seq\":");
    assert_non_null(strstr(text, "text/event-stream"));
    assert_non_null(strstr(text, "retry: 1000\nid: feedbeef-"));
    assert_non_null(hello);
    assert_ptr_equal(strstr(text, "event: "), hello);
    assert_non_null(strstr(hello, ",\"since\":null}\n\n"));
    if (!strstr(text, "event: fleet"))
        text = hear(fd, "event: fleet");
    assert_non_null(strstr(text, "event: fleet"));
    world_sample(world, 1, 12345, false);
    assert_non_null(strstr(hear(fd, "\"live_objects\":12345"), "\"live_objects\":12345"));
    close(fd);
}

/* Who comes again hears what it had heard of last, where that was from this daemon. */
static void test_last_event_id(void **state)
{
    static const char *const rows[][2] = {
        {"feedbeef-1", "1"}, {"feedbeef-0", "0"}, {"feedbeef-999999", "null"}, {"deadbeef-1", "null"}, {"feedbeef", "null"},
        {"feedbeef-", "null"}, {"feedbeef-1x", "null"}, {"feedbeef1", "null"}, {"", "null"}, {"-1", "null"}};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char request[256], wanted[32];
        snprintf(request, sizeof request, "GET /v1/stream?topics=operations HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n", rows[i][0]);
        snprintf(wanted, sizeof wanted, ",\"since\":%s}", rows[i][1]);
        int fd = open_stream(world, request);
        if (!strstr(hear(fd, "\n\n\r\n"), wanted))
            fail_msg("%s", rows[i][0]);
        close(fd);
    }
}

static void test_collections_come_once(void **state)
{
    struct world *world = *state;
    int fd = open_stream(world, STREAM("collections:4242"));
    assert_non_null(strstr(hear(fd, "event: collections"), "\"sequence\":1"));
    usleep(300000);
    world_sample(world, 1, 10, true);
    const char *text = hear(fd, "\"sequence\":2");
    assert_non_null(strstr(text, "\"sequence\":2"));
    assert_null(strstr(text, "\"sequence\":1,"));
    close(fd);
}

static void test_operations_are_told(void **state)
{
    struct world *world = *state;
    int fd = open_stream(world, STREAM("operations"));
    hear(fd, "event: hello");
    assert_int_equal(status_of(ask_on(world, dial_unix(world), COLLECT)), 200);
    const char *text = hear(fd, "\"state\":\"succeeded\"");
    assert_non_null(strstr(text, "event: operation\ndata: {\"id\":\"feedbeef-1\""));
    assert_non_null(strstr(text, "\"state\":\"succeeded\""));
    close(fd);
}

static void test_no_more_streams_than_the_limit(void **state)
{
    struct world *world = *state;
    int fds[STREAMS_MAX];
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        fds[i] = dial_tcp(world);
        say(world, fds[i],
            "GET /v1/stream?topics=operations HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER "\r\n");
        assert_int_equal(status_of(hear(fds[i], "event: hello")), 200);
    }
    const char *text =
        ask_on(world, dial_unix(world),
               "GET /v1/stream?topics=operations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_int_equal(status_of(text), 503);
    assert_non_null(strstr(text, "Retry-After: "));
    for (size_t i = 0; i < STREAMS_MAX; i++)
        close(fds[i]);
}

static void collect(const struct world *world)
{
    const struct operation_target heap = {0, 1};
    const char *const process = PROCESS;
    char id[OPERATION_ID_CHARS];
    operations_start(world->operations,
                     &(struct operation_request){.processes = &process, .process_count = 1, .targets = &heap, .target_count = 1,
                                                 .command = {.kind = WIRE_COMMAND_COLLECT}, .deadline_ms = 1000},
                     id);
}

/* A reader that lags too far behind hears what was in its queue, of the gap, and no more. */
static void test_slow_reader_hears_of_a_gap_and_comes_again(void **state)
{
    struct world *world = *state;
    int fd = open_stream(world, STREAM("operations"));
    hear(fd, "event: hello");
    for (int i = 0; i < 3000; i++) /* over a megabyte: more than the sockets and the queue hold */
        collect(world);
    const char *text = hear(fd, "event: gap\ndata: {\"missed\":"), *gap = strstr(text, "event: gap\ndata: {\"missed\":");
    assert_non_null(gap);
    assert_null(strstr(gap, "event: operation"));
    assert_true(strlen(text) > STREAM_QUEUE_BYTES / 2 && strlen(text) < 1000000);
    assert_null(strstr(hear_for(fd, NULL, 1000000000u), "event: operation"));
    close(fd);
    fd = open_stream(world, STREAM("operations"));
    hear(fd, "event: hello");
    collect(world);
    assert_non_null(strstr(hear(fd, "event: operation"), "event: operation"));
    close(fd);
}

static size_t queued_of_all(struct world *world, size_t *count)
{
    size_t queued = 0;
    *count = 0;
    pthread_mutex_lock(&world->api->streams_lock);
    for (const struct stream *stream = world->api->streams; stream; stream = stream->next, ++*count)
        queued += stream->queued_bytes;
    pthread_mutex_unlock(&world->api->streams_lock);
    return queued;
}

/* What waits for eight readers is kept once. */
static void test_frames_are_shared(void **state)
{
    struct world *world = *state;
    int fds[8];
    size_t count, queued;
    for (size_t i = 0; i < 8; i++) {
        fds[i] = open_stream(world, STREAM("operations"));
        hear(fds[i], "event: hello");
    }
    for (int i = 0; i < 3000; i++)
        collect(world);
    for (int turn = 0; turn < 3000 && queued_of_all(world, &count) <= 4 * STREAM_QUEUE_BYTES; turn++)
        usleep(10000);
    queued = queued_of_all(world, &count);
    assert_int_equal(count, 8);
    assert_true(queued > 4 * STREAM_QUEUE_BYTES && queued <= 8 * STREAM_QUEUE_BYTES);
    assert_true(world->api->frame_bytes < queued / 3);
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
}

/* Of figures the newest wins: a reader that sleeps finds what its socket holds and one frame, not all of them. */
static void test_the_newest_figures_win(void **state)
{
    struct world *world = *state;
    char id[33];
    size_t count;
    for (int i = 0; i < 400; i++) { /* a fleet whose frame is larger than the socket's buffer and the bound */
        snprintf(id, sizeof id, "%032x", i + 1);
        world_attach(world, id, 5000 + i, "crowd");
    }
    world_sample(world, 1, 1, false);
    int fd = open_stream(world, STREAM("fleet"));
    hear(fd, "event: hello");
    for (uint64_t i = 0; i < 12 || (i < 300 && !queued_of_all(world, &count)); i++) {
        world_sample(world, 1, 2000 + i, false);
        usleep(100000);
    }
    world_sample(world, 1, 1011, false);
    size_t queued = queued_of_all(world, &count);
    assert_int_equal(count, 1); /* it is not cut off */
    assert_true(queued > 0 && queued < 1500000);
    assert_non_null(strstr(hear(fd, "\"live_objects\":1011,"), "\"live_objects\":1011,"));
    close(fd);
}

static void test_bye_at_the_end(void **state)
{
    struct world *world = *state;
    int fd = open_stream(world, STREAM("fleet"));
    int bad = open_stream(world, STREAM("fleet,operations"));
    hear(fd, "event: fleet");
    hear(bad, "event: fleet");
    close(bad); /* gone without a word */
    world_stop(state);
    assert_non_null(strstr(hear(fd, NULL), "event: bye\ndata: {}\n\n"));
    close(fd);
}

/* Streams, waits, changes and samples at once; a sanitizer sees what is wrong. */
static void *come_and_go(void *arg)
{
    const struct world *world = arg;
    for (int i = 0; i < 30; i++) {
        int fd = open_stream(world, STREAM("fleet,stats:4242,collections:4242,operations"));
        char byte[512];
        assert_true(recv(fd, byte, sizeof byte, 0) > 0);
        close(fd);
    }
    return NULL;
}

static void *control(void *arg)
{
    const struct world *world = arg;
    for (int i = 0; i < 30; i++) {
        int fd = dial_unix(world);
        char bytes[512];
        say(world, fd, COLLECT);
        assert_true(recv(fd, bytes, sizeof bytes, 0) > 0);
        close(fd);
    }
    return NULL;
}

static void test_all_at_once(void **state)
{
    struct world *world = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i % 2 ? control : come_and_go, world);
    for (uint64_t i = 0; i < 100; i++) {
        world_sample(world, 1, i, i % 8 == 0);
        operations_tick(world->operations);
        usleep(2000);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_hello_then_news), TEST(test_last_event_id), TEST(test_collections_come_once), TEST(test_operations_are_told),
        TEST(test_no_more_streams_than_the_limit), TEST(test_slow_reader_hears_of_a_gap_and_comes_again),
        TEST(test_frames_are_shared), TEST(test_the_newest_figures_win),
        cmocka_unit_test_setup(test_bye_at_the_end, world_start), TEST(test_all_at_once)};
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
