/* Requests that go aside: many at once, clients that hang up, a full queue, a daemon that stops. */
#include "world.h"

#include "base/pulse.h"
#include "rules/private.h"

#define MANY 24

static int ask_aside(const struct world *world, unsigned i)
{
    char request[256];
    int fd = dial_unix(world);
    snprintf(request, sizeof request, "GET /v1/processes/" PROCESS "/types?limit=%u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", i + 1);
    say(world, fd, request);
    return fd;
}

static void test_many_at_once_and_some_hang_up(void **state)
{
    struct world *world = *state;
    int fds[MANY];
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = ask_aside(world, i);
    for (unsigned i = 0; i < MANY; i += 3)
        close(fds[i]);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 3) {
            const char *answer = hear(fds[i], NULL);
            if (status_of(answer) != 200 || !strstr(answer, "\"types\":[{\"name\":\"node\""))
                fail_msg("%s", answer);
            close(fds[i]);
        }
    assert_int_equal(world->api->job_count, 0);
}

/* What the watchdog would miss in 601 s from now, once it has to do with a worker or nothing has any more. */
static bool worker_missed(bool missed)
{
    for (;;) {
        const char *silent = pulse_silent(clock_mono_ns() + UINT64_C(601000000000));
        if ((silent && strstr(silent, "worker")) == missed)
            return missed;
        usleep(1000);
    }
}

static void test_a_worker_is_missed_while_it_is_at_a_request(void **state)
{
    struct world *world = *state;
    worker_missed(false);
    pthread_mutex_lock(&world->rules->lock);
    int fd = dial_unix(world);
    say(world, fd, "GET /v1/rules/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    worker_missed(true);
    const char *now = pulse_silent(clock_mono_ns() + UINT64_C(300000000000));
    assert_true(!now || !strstr(now, "worker"));
    pthread_mutex_unlock(&world->rules->lock);
    assert_int_equal(status_of(hear(fd, NULL)), 404);
    close(fd);
    worker_missed(false);
}

/* As `nc -N` and some proxies do: nothing more is sent, and the answer is still awaited. */
static void test_who_has_said_all_is_no_hang_up(void **state)
{
    struct world *world = *state;
    struct connection connection = {.fd = -1};
    struct request request = {.api = world->api, .connection = &connection};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    connection.fd = pair[0];
    assert_false(request_unwanted(&request));
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    assert_false(request_unwanted(&request));
    close(pair[1]);
    assert_true(request_unwanted(&request));
    close(pair[0]);
}

/* Nor is it one while the answer is made, beside others that are open; and whoever has the answer is let go. */
static void test_who_has_said_all_hears_the_answer(void **state)
{
    struct world *world = *state;
    static const struct { const char *target; int status; } rows[] = {
        {"/v1/rules/none", 404}, {"/v1/processes/" PROCESS "/events?wait=50ms", 200}, {"/v1/info", 200}, {"/v1/processes", 200}};
    int (*const dials[])(const struct world *) = {dial_tcp, dial_unix};
    for (size_t dial = 0; dial < 2; dial++) {
        int other = dials[dial](world);
        say(world, other, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:$\r\n\r\n");
        hear(other, "}");
        for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
            char request[256];
            int fd = dials[dial](world);
            snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER "\r\n", rows[i / 2].target);
            pthread_mutex_lock(&world->rules->lock); /* so that the end is there before the answer */
            say(world, fd, request);
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
            pthread_mutex_unlock(&world->rules->lock);
            const char *answer = hear(fd, NULL);
            if (status_of(answer) != rows[i / 2].status)
                fail_msg("%s by %s: %s", rows[i / 2].target, dial ? "socket" : "TCP", answer);
            assert_int_equal(recv(fd, request, 1, MSG_DONTWAIT), 0); /* it has not waited for us to hang up */
            close(fd);
        }
        close(other);
    }
}

static void test_a_full_queue_is_503(void **state)
{
    struct world *world = *state;
    pthread_mutex_lock(&world->api->jobs_lock);
    world->api->job_count += JOBS_MAX;
    pthread_mutex_unlock(&world->api->jobs_lock);
    const char *answer = ask_on(world, ask_aside(world, 0), "");
    assert_int_equal(status_of(answer), 503);
    assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
    assert_non_null(strstr(answer, "\"code\":\"busy\",\"retry_after_ms\":1000"));
    pthread_mutex_lock(&world->api->jobs_lock);
    world->api->job_count -= JOBS_MAX;
    pthread_mutex_unlock(&world->api->jobs_lock);
    assert_int_equal(status_of(ask_on(world, ask_aside(world, 0), "")), 200);
}

/* A body that is fresh is answered where the request came in: no worker has to be free for it. */
static void test_kept_bodies_need_no_worker(void **state)
{
    struct world *world = *state;
    static const char ask[] = "GET /v1/processes/" PROCESS "/types HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    char request[512];
    for (int tries = 0; tries < 5; tries++) { /* it is fresh for a quarter of a second */
        snprintf(request, sizeof request, "%s\r\n", ask);
        assert_int_equal(status_of(ask_on(world, dial_unix(world), request)), 200);
        pthread_mutex_lock(&world->api->jobs_lock);
        world->api->job_count += JOBS_MAX;
        pthread_mutex_unlock(&world->api->jobs_lock);
        int kept = status_of(ask_on(world, dial_unix(world), request));
        snprintf(request, sizeof request, "%sIf-None-Match: *\r\n\r\n", ask);
        int known = status_of(ask_on(world, dial_unix(world), request));
        pthread_mutex_lock(&world->api->jobs_lock);
        world->api->job_count -= JOBS_MAX;
        pthread_mutex_unlock(&world->api->jobs_lock);
        assert_int_equal(known, 304);
        if (kept == 200)
            return;
    }
    fail_msg("no body was kept");
}

static void test_who_comes_while_it_drains_is_503(void **state)
{
    struct world *world = *state;
    static const char *const rows[] = {"GET /v1/info", "GET /v1/processes/" PROCESS "/types", "GET /healthz", "HEAD /v1/info"};
    world->api->draining = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char request[256];
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", rows[i]);
        const char *answer = ask_on(world, dial_unix(world), request);
        assert_int_equal(status_of(answer), 503);
        assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
        assert_true(strstr(answer, "\"code\":\"draining\"") || !strncmp(rows[i], "HEAD", 4));
    }
}

/* The teardown stops the daemon and is timed: nothing is left suspended. */
static void test_stop_with_requests_aside(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < MANY; i++)
        ask_aside(world, i); /* left open */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_many_at_once_and_some_hang_up), TEST(test_a_worker_is_missed_while_it_is_at_a_request),
                                       TEST(test_a_full_queue_is_503),
                                       TEST(test_who_has_said_all_is_no_hang_up), TEST(test_who_has_said_all_hears_the_answer),
                                       TEST(test_kept_bodies_need_no_worker), TEST(test_who_comes_while_it_drains_is_503), TEST(test_stop_with_requests_aside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
