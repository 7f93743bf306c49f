/* Who gets in, at whose expense, and for how long. */
#include "world.h"

#define HEALTH "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:$\r\n\r\n"
#define INFO "GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER
#define COLLECT "POST /v1/processes/" PROCESS "/collect?wait=5s HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER \
    "Content-Type: application/json\r\nContent-Length: "

/* Lets time pass for every connection. */
static void age(struct world *world, uint64_t ns)
{
    pthread_mutex_lock(&world->api->lock);
    for (struct connection *connection = world->api->connections; connection; connection = connection->next)
        connection->state -= ns & ~(uint64_t)7;
    pthread_mutex_unlock(&world->api->lock);
}

/* Waits until so many connections are where they should be. */
static void phase_expected(struct world *world, enum phase phase, unsigned count)
{
    unsigned found = count + 1;
    for (int i = 0; i < 3000 && found != count; i++, usleep(10000)) {
        found = 0;
        pthread_mutex_lock(&world->api->lock);
        for (struct connection *at = world->api->connections; at; at = at->next)
            found += phase_get(at) == phase;
        pthread_mutex_unlock(&world->api->lock);
    }
    assert_int_equal(found, count);
}

static void end_expected(int fd, bool ended)
{
    struct pollfd gone = {.fd = fd, .events = POLLIN};
    char byte;
    assert_int_equal(poll(&gone, 1, ended ? 30000 : 300), ended);
    if (ended)
        assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void test_deadlines_are_absolute(void **state)
{
    static const struct {
        const char *text;
        enum phase phase;
        uint64_t limit_ns;
    } rows[] = {
        {"", PHASE_OPENED, HEADER_NS},
        {"GET /v1/info HTTP/1.1\r\nHost: ", PHASE_OPENED, HEADER_NS},
        {COLLECT "10\r\n\r\n{", PHASE_REQUEST, REQUEST_NS},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int late = 0; late < 2; late++) {
            int fd = dial_tcp(world);
            say(world, fd, rows[i].text);
            phase_expected(world, rows[i].phase, 1);
            age(world, rows[i].limit_ns - (late ? 0 : 1000000000u));
            say(world, fd, "x");
            end_expected(fd, late);
        }
    int fd = dial_tcp(world);
    say(world, fd, HEALTH);
    assert_int_equal(status_of(hear(fd, "ok\"}")), 200);
    phase_expected(world, PHASE_IDLE, 1); /* a little after its answer */
    age(world, HEADER_NS);
    say(world, fd, HEALTH); /* kept alive for longer */
    assert_int_equal(status_of(hear(fd, "ok\"}")), 200);
    phase_expected(world, PHASE_IDLE, 1);
    age(world, IDLE_NS);
    end_expected(fd, true);
}

static void test_connections_that_stop_anywhere_leak_nothing(void **state)
{
    static const char whole[] = COLLECT "2\r\n\r\n{}";
    struct world *world = *state;
    for (size_t cut = 0; cut < sizeof whole; cut += 7) {
        char part[sizeof whole];
        int fd = dial_tcp(world);
        snprintf(part, sizeof part, "%.*s", (int)cut, whole);
        say(world, fd, part);
        close(fd);
    }
    assert_int_equal(status_of(ask_on(world, dial_tcp(world), INFO "Connection: close\r\n\r\n")), 200);
}

static bool has_ended(int fd)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return got == 0 || errno == ECONNRESET;
}

/* Dials until the listener holds so many, one after another, so that they are old in this order. */
static void dial_many(const struct world *world, int *fds, unsigned count, const char *request, const char *answer)
{
    for (unsigned i = 0; i < count; i++) {
        fds[i] = dial_tcp(world);
        say(world, fds[i], request);
        if (answer)
            assert_non_null(strstr(hear(fds[i], answer), answer));
    }
}

static void close_many(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
}

static void ended_expected(int fd)
{
    for (int i = 0; i < 3000 && !has_ended(fd); i++)
        usleep(10000);
    assert_true(has_ended(fd));
}

static void test_the_oldest_stranger_makes_room_for_the_next(void **state)
{
    struct world *world = *state;
    int trusted = dial_tcp(world), fds[TCP_STRANGERS + 3];
    say(world, trusted, INFO "\r\n");
    hear(trusted, "\"fields\"");
    dial_many(world, fds, TCP_STRANGERS, HEALTH, "ok\"}");
    assert_false(has_ended(fds[0]));
    dial_many(world, fds + TCP_STRANGERS, 3, HEALTH, "ok\"}");
    for (unsigned i = 0; i < 3; i++)
        ended_expected(fds[i]);
    for (unsigned i = 3; i < TCP_STRANGERS + 3; i++)
        assert_false(has_ended(fds[i]));
    say(world, trusted, INFO "\r\n"); /* whoever has shown a token stays */
    assert_int_equal(status_of(hear(trusted, "\"fields\"")), 200);
    assert_int_equal(status_of(ask_on(world, dial_unix(world), "GET /healthz HTTP/1.0\r\n\r\n")), 200);
    close_many(fds, TCP_STRANGERS + 3);
    close(trusted);
}

static void test_full_of_idle_ones_the_longest_idle_goes(void **state)
{
    struct world *world = *state;
    int fds[TCP_CONNECTIONS + 2];
    dial_many(world, fds, TCP_CONNECTIONS, "HEAD /v1/info HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER "\r\n", "\r\n\r\n");
    phase_expected(world, PHASE_IDLE, TCP_CONNECTIONS);
    assert_false(has_ended(fds[0]));
    dial_many(world, fds + TCP_CONNECTIONS, 2, HEALTH, "ok\"}");
    ended_expected(fds[0]);
    assert_false(has_ended(fds[2])); /* the second newcomer replaced the first, a stranger */
    ended_expected(fds[TCP_CONNECTIONS]);
    close_many(fds, TCP_CONNECTIONS + 2);
}

static void test_full_of_busy_ones_the_next_hears_503(void **state)
{
    struct world *world = *state;
    int fds[TCP_CONNECTIONS];
    dial_many(world, fds, TCP_CONNECTIONS, INFO "\r\n", "\"fields\"");
    phase_expected(world, PHASE_IDLE, TCP_CONNECTIONS); /* who is heard may not be done yet, and be idle later */
    for (unsigned i = 0; i < TCP_CONNECTIONS; i++)
        say(world, fds[i], COLLECT "10\r\n\r\n{");
    phase_expected(world, PHASE_REQUEST, TCP_CONNECTIONS);
    const char *answer = ask_on(world, dial_tcp(world), HEALTH);
    assert_int_equal(status_of(answer), 503);
    assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
    assert_int_equal(status_of(ask_on(world, dial_unix(world), "GET /healthz HTTP/1.0\r\n\r\n")), 200);
    close_many(fds, TCP_CONNECTIONS);
}

/* F20: an answer that nobody takes waits in the kernel's buffer, not in ours, and not for ever. */
static void test_a_slow_reader_ends(void **state)
{
    struct world *world = *state;
    char id[33], byte;
    int small = 4096, fds[8];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "%032x", i + 1);
        world_attach(world, id, 5000 + i, "crowd");
    }
    world_sample(world, 1, 1, false);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = dial_tcp(world);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        say(world, fds[i], "GET /v1/processes HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER "\r\n");
        assert_int_equal(recv(fds[i], &byte, 1, 0), 1);
    }
    phase_expected(world, PHASE_REQUEST, 8);
    age(world, REQUEST_NS - 1000000000u);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(recv(fds[i], &byte, 1, 0), 1); /* a byte renews nothing */
    age(world, 1000000000u);
    phase_expected(world, PHASE_REQUEST, 0);
    close_many(fds, 8);
}

static void test_headers_have_a_limit(void **state)
{
    struct world *world = *state;
    char text[16000];
    for (int bytes = 7500; bytes <= 13000; bytes += 5500 / 2) {
        snprintf(text, sizeof text, INFO "X: %0*d\r\nConnection: close\r\n\r\n", bytes, 0);
        const char *answer = ask_on(world, dial_tcp(world), text);
        assert_int_equal(status_of(answer), bytes < 8000 ? 200 : 431);
        assert_true(bytes < 8000 || strstr(answer, "header_too_large"));
    }
}

static void test_strangers_get_little(void **state)
{
    struct world *world = *state;
    const char *session = "POST /v1/session HTTP/1.1\r\nHost: 127.0.0.1:$\r\nContent-Type: application/json\r\nContent-Length: ";
    char text[512];
    snprintf(text, sizeof text, "%s1025\r\n\r\n", session);
    assert_int_equal(status_of(ask_on(world, dial_tcp(world), text)), 413);
    const char *answer = ask_on(world, dial_tcp(world), "GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1:$\r\n\r\n");
    assert_int_equal(status_of(answer), 401); /* and the connection ends */
    assert_true(strlen(answer) <= 1024);
    int fd = dial_tcp(world);
    for (unsigned i = 1; i < STRANGER_REQUESTS; i++) {
        say(world, fd, HEALTH);
        assert_null(strstr(hear(fd, "ok\"}"), "Connection: close"));
    }
    say(world, fd, HEALTH);
    assert_non_null(strstr(hear(fd, NULL), "Connection: close"));
    ended_expected(fd);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_deadlines_are_absolute),
                                       TEST(test_connections_that_stop_anywhere_leak_nothing),
                                       TEST(test_the_oldest_stranger_makes_room_for_the_next),
                                       TEST(test_full_of_idle_ones_the_longest_idle_goes),
                                       TEST(test_full_of_busy_ones_the_next_hears_503),
                                       TEST(test_a_slow_reader_ends), TEST(test_headers_have_a_limit),
                                       TEST(test_strangers_get_little)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
