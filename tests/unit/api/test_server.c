/* Raw requests and what is answered: who may, what is malformed, methods, limits, caching, waiting. */
#include "world.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER "Connection: close\r\n\r\n"
#define HEAD_OF(method, path)                                                                                \
    method " " path " HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER "Connection: close\r\n"
#define BODY(method, path, body) \
    HEAD_OF(method, path) "Content-Type: application/json\r\nContent-Length: #\r\n\r\n" body
#define AS(headers) "GET /v1/info HTTP/1.1\r\nConnection: close\r\n" headers "\r\n"
#define P "/v1/processes/" PROCESS

struct row {
    const char *request;
    int status;
    const char *has; /* NULL: anything */
};

static void check(void **state, const struct row *rows, size_t count, bool local)
{
    struct world *world = *state;
    for (size_t i = 0; i < count; i++) {
        const char *answer = ask_on(world, local ? dial_unix(world) : dial_tcp(world), rows[i].request);
        if (status_of(answer) != rows[i].status || (rows[i].has && !strstr(answer, rows[i].has)))
            fail_msg("%s\nwant %d %s, got:\n%s", rows[i].request, rows[i].status,
                     rows[i].has ? rows[i].has : "", answer);
    }
}
#define CHECK(rows, local) check(state, rows, sizeof(rows) / sizeof *(rows), local)

static void test_who_may(void **state)
{
    static const struct row rows[] = {
        {AS("Host: 127.0.0.1:$\r\n" BEARER), 200, "\"version\""},
        {AS("Host: localhost:$\r\n" BEARER), 200, NULL},
        {AS("Host: [::1]:$\r\n" BEARER), 200, NULL},
        {AS("Host: 127.0.0.1:$\r\n"), 401, "WWW-Authenticate: Bearer"},
        {AS("Host: 127.0.0.1:$\r\nAuthorization: Bearer " TOKEN "0\r\n"), 401, "\"code\":\"unauthorized\""},
        {AS("Host: 127.0.0.1:$\r\nAuthorization: Bearer \r\n"), 401, NULL},
        {AS("Host: 127.0.0.1:$\r\nAuthorization: Basic " TOKEN "\r\n"), 401, NULL},
        {AS("Host: evil.example\r\n" BEARER), 421, "\"code\":\"wrong_host\""},
        {AS("Host: evil.example\r\n"), 421, NULL}, /* Host before token */
        {AS("Host: 127.0.0.1:1\r\n" BEARER), 421, NULL},
        {AS(BEARER), 400, NULL},
        {"GET /v1/info HTTP/1.0\r\n" BEARER "\r\n", 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Origin: http://127.0.0.1:$\r\n"), 200, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Origin: http://evil.example\r\n"), 403,
         "\"code\":\"bad_origin\""},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Origin: null\r\n"), 403, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Sec-Fetch-Site: cross-site\r\n"), 403, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Sec-Fetch-Site: same-site\r\n"), 403, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Sec-Fetch-Site: same-origin\r\n"), 200, NULL},
        {AS("Host: 127.0.0.1:$\r\nOrigin: http://evil.example\r\n"), 401, NULL}, /* token before Origin */
        {"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n\r\n", 404, NULL},
        {"GET /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n\r\n", 401, NULL},
        {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n\r\n", 200,
         "{\"status\":\"ok\"}"},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n\r\n", 200,
         "Content-Security-Policy: default-src 'none'"},
        {"POST " P "/collect HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
         401, NULL},
    };
    static const struct row local[] = {
        {AS("Host: anything\r\n"), 200, "\"start_id\":\"feedbeef\""},
        {"GET /v1/info HTTP/1.0\r\n\r\n", 200, NULL},
        {AS("Host: a\r\nHost: b\r\n"), 400, NULL},
    };
    CHECK(rows, false);
    CHECK(local, true);
}

static void test_malformed(void **state)
{
    static const struct row rows[] = {
        {AS("Host: 127.0.0.1:$\r\nHost: 127.0.0.1:$\r\n" BEARER), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER BEARER), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Origin: http://127.0.0.1:$\r\nOrigin: http://127.0.0.1:$\r\n"),
         400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Content-Length: 0\r\nContent-Length: 0\r\n"), 400, NULL},
        {HEAD_OF("POST", P "/collect") "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400, NULL},
        {HEAD_OF("POST", P "/collect") "Transfer-Encoding: gzip\r\n\r\n", 400, NULL},
        {HEAD_OF("POST", P "/collect") "Content-Length: -1\r\n\r\n", 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Bad(name): x\r\n"), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "Space : x\r\n"), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: a\x01\r\n"), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: aaa\x1f" "aaaaaaaa\r\n"), 400, NULL}, /* of the first eight */
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: aaaaaaaaaaaaaaa\x7f\r\n"), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: aaaaaaaa\ta\x01" "aaaaa\r\n"), 400, NULL},
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: aaaaaaaaaaa\x0b\r\n"), 400, NULL}, /* of what is left */
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: a\ta ~~a\ta\x80\xff\xa0\x9f !~\xfe\xff\tz\r\n"), 200, NULL},
        {AS("Host: 127.0.0.1:$\r\n evil.example\r\n" BEARER), 400, NULL}, /* folded */
        {AS("Host: 127.0.0.1:$\r\n" BEARER "X: a\r\n Host: evil.example\r\n"), 400, NULL},
        {"GET http://127.0.0.1:$/v1/info HTTP/1.1\r\nHost: 127.0.0.1:$\r\n" BEARER
         "Connection: close\r\n\r\n",
         400, NULL},
        {GET("*"), 400, NULL},
        {GET("/v1/info%00"), 400, NULL},
        {GET("/v1/info%zz"), 400, NULL},
        {GET("/v1%2finfo"), 404, NULL},
        {GET("/v1/info?x=1"), 422, "x"},
        {GET("/v1/processes?limit=0"), 422, NULL},
        {GET("/v1/processes?limit=1&limit=2"), 422, NULL},
        {GET("/v1/processes?state=dead"), 422, NULL},
        {GET("/v1/processes?label=x"), 422, NULL},
        {GET("/v1/processes/77"), 404, "\"code\":\"no_such_process\""},
        {GET(P "/heaps/9"), 404, "\"code\":\"no_such_heap\""},
        {GET(P "/heaps/x/stats"), 404, NULL},
        {GET("/v1/operations/feedbeef-99"), 404, "\"code\":\"no_such_operation\""},
        {GET("/v1/operations/x?wait=5"), 422, NULL},
        {GET("/v1/operations/x?wait=61s"), 422, NULL},
        {GET("/v1/stream"), 422, NULL},
        {GET("/v1/stream?topics=all"), 422, NULL},
    };
    CHECK(rows, false);
}

static void test_methods(void **state)
{
    static const struct row rows[] = {
        {HEAD_OF("HEAD", "/v1/info") "\r\n", 200, "Content-Type: application/json"},
        {HEAD_OF("HEAD", "/v1/stream?topics=fleet") "\r\n", 200, "text/event-stream"},
        {HEAD_OF("OPTIONS", P "/config") "\r\n", 204, "Allow: GET, HEAD, PATCH, OPTIONS"},
        {HEAD_OF("DELETE", P "/config") "\r\n", 405, "Allow: GET, HEAD, PATCH, OPTIONS"},
        {HEAD_OF("POST", "/v1/info") "Content-Length: 0\r\n\r\n", 405, "\"code\":\"method_not_allowed\""},
        {HEAD_OF("POST", "/") "Content-Length: 0\r\n\r\n", 405, "Allow: GET, HEAD, OPTIONS"},
        {HEAD_OF("GET", P "/collect") "\r\n", 405, "Allow: POST, OPTIONS"},
        {HEAD_OF("HEAD", "/") "\r\n", 200, "text/html"},
    };
    struct world *world = *state;
    CHECK(rows, false);
    const char *answer = ask_on(world, dial_tcp(world), rows[0].request);
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void test_bodies(void **state)
{
    static const struct row rows[] = {
        {BODY("POST", P "/collect?wait=5s", "{\"generation\":1}"), 200,
         "\"result\":{\"collected\":3,\"freed_bytes\":96}"},
        {BODY("POST", P "/collect?wait=5s", "{}"), 200, "\"state\":\"succeeded\""},
        {HEAD_OF("POST", P "/collect?wait=5s") "Content-Length: 0\r\n\r\n", 200,
         "Location: /v1/operations/feedbeef-"},
        {BODY("POST", P "/heaps/1/collect?wait=5s", "{}"), 200, "\"heaps\":[{\"n\":1"},
        {BODY("POST", P "/collect", "{\"generation\":3}"), 422, "generation"},
        {BODY("POST", P "/collect", "{\"generation\":\"2\"}"), 422, "generation"},
        {BODY("POST", P "/collect", "{\"generation\":true}"), 422, "generation"},
        {BODY("POST", P "/collect", "{\"gen\":  1}"), 422, "gen"},
        {BODY("POST", P "/collect", "{\"deadline_ms\":0}"), 422, "deadline_ms"},
        {BODY("POST", P "/collect", "{x}"), 400, "line 1, column 2"},
        {BODY("POST", P "/collect", "[]"), 400, "\"code\":\"bad_json\""},
        {BODY("POST", P "/collect", "{\"generation\":1,\"generation\":2}"), 400, "duplicate"},
        {BODY("POST", P "/collect", "{\"a\":[[[[[[[[[[[[[[[[["), 400, "deeper"},
        {HEAD_OF("POST", P "/collect") "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415, NULL},
        {HEAD_OF("POST", P "/collect") "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n{}", 415,
         NULL},
        {HEAD_OF("POST", P "/collect?wait=5s") "Content-Type: application/json; "
                                               "charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
         200, NULL},
        {HEAD_OF("POST", P "/collect?wait=5s") "Content-Type: application/json\r\nTransfer-Encoding: "
                                               "chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
         200, NULL},
        {HEAD_OF("POST", P "/collect") "Content-Type: application/json\r\nContent-Length: 65537\r\n\r\n", 413,
         NULL},
        {BODY("PATCH", P "/config", "{\"enabled\":false}"), 200, "\"heaps\":[{\"n\":1"},
        {BODY("PATCH", P "/config", "{\"thresholds\":[700,10,10]}"), 200, NULL},
        {BODY("PATCH", P "/config", "{\"thresholds\":[1,10]}"), 422, "thresholds"},
        {BODY("PATCH", P "/config", "{\"debug\":[\"saveall\"]}"), 200, NULL},
        {BODY("PATCH", P "/config", "{\"events\":\"sampled\"}"), 422, "events"},
        {BODY("PATCH", P "/config", "{\"enabled\":1}"), 422, "enabled"},
    };
    CHECK(rows, false);
}

static void test_huge_bodies(void **state)
{
    struct world *world = *state;
    static char text[200000];
    int head = snprintf(text, sizeof text,
                        "POST " P "/collect HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n");
    memset(text + head, ' ', 0x20000);
    memcpy(text + head + 0x20000, "\r\n0\r\n\r\n", 8);
    assert_int_equal(status_of(ask_on(world, dial_unix(world), text)), 413);
    char *slash = strchr(text, '/');
    memset(slash, 'a', 50000);
    int status = status_of(ask_on(world, dial_unix(world), text));
    assert_true(status == 414 || status == 431 || status == 0);
}

static void test_views(void **state)
{
    static const struct row rows[] = {
        {GET("/v1/processes"), 200,
         "\"id\":\"" PROCESS "\",\"pid\":4242,\"name\":\"host\",\"state\":\"live\""},
        {GET("/v1/processes?state=gone"), 200, "\"processes\":[]"},
        {GET("/v1/processes?label=tier:gold"), 200, "\"pid\":4242"},
        {GET("/v1/processes?label=tier%3Agold"), 200, "\"pid\":4242"},
        {GET("/v1/processes?label=tier:silver"), 200, "\"processes\":[]"},
        {GET("/v1/processes/4242"), 200, "\"labels\":{\"tier\":\"gold\"}"},
        {GET(P "/stats"), 200, "\"live_objects\":10,\"live_bytes\":320,\"allocations\":15"},
        {GET(P "/stats"), 200, "\"frees\":{\"refcount\":3,\"cycle\":2}"},
        {GET(P "/types"), 200, "\"types\":[{\"name\":\"node\""},
        {GET(P "/collections"), 200,
         "\"reason\":\"threshold\",\"generation\":2,\"manager\":\"generational\""},
        {GET(P "/config"), 200,
         "\"enabled\":true,\"manager\":\"generational\",\"thresholds\":[700,10,10],\"debug\":[],"
         "\"max_pause_us\":0,\"memory_limit_bytes\":0,\"stress\":{\"nth\":0,\"every_decref\":false},\"access\":\"control\",\"events\":\"all\""},
        {GET(P "/heaps/1"), 200, "\"live_objects\":10"},
        {GET(P "/heaps/1/types"), 200, "node"},
        {GET("/v1/info"), 200, "\"path\":\"frees.cycle\""},
    };
    CHECK(rows, false);
}

static void test_etag_gives_304_until_the_view_changes(void **state)
{
    struct world *world = *state;
    char request[512], etag[64];
    const char *answer = ask_on(world, dial_tcp(world), GET(P "/stats"));
    const char *line = strstr(answer, "ETag: \"");
    assert_non_null(line);
    snprintf(etag, sizeof etag, "%.*s", (int)strcspn(line + 6, "\r"), line + 6);
    assert_int_equal(strncmp(etag, "\"feedbeef-", 10), 0);
    snprintf(request, sizeof request, HEAD_OF("GET", P "/stats") "If-None-Match: %s\r\n\r\n", etag);
    answer = ask_on(world, dial_tcp(world), request);
    assert_int_equal(status_of(answer), 304);
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    world_sample(world, 1, 11, false);
    answer = ask_on(world, dial_tcp(world), request);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"live_objects\":11"));
}

static void *succeed_later(void *arg)
{
    struct world *world = arg;
    struct operation_view *asked;
    while (!(asked = operations_get_new(world->operations, "feedbeef-1")))
        usleep(1000);
    operations_view_free(asked);
    usleep(150000);
    struct wire_ack ack = {.state = WIRE_ACK_SUCCEEDED, .operation = 1, .heap_number = 1, .collected = 7};
    operations_ack(world->operations, PROCESS, &ack);
    return NULL;
}

static void test_wait_ends_with_the_operation(void **state)
{
    struct world *world = *state;
    pthread_t host;
    world->host = HOST_SILENT;
    pthread_create(&host, NULL, succeed_later, world);
    uint64_t start = clock_mono_ns();
    const char *answer = ask_on(world, dial_tcp(world), BODY("POST", P "/collect?wait=60s", "{}"));
    assert_true(clock_mono_ns() - start > 100000000u);
    assert_true(clock_mono_ns() - start < 20000000000u);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"collected\":7"));
    pthread_join(host, NULL);
}

static void test_wait_ends_with_its_time(void **state)
{
    struct world *world = *state;
    world->host = HOST_SILENT;
    uint64_t start = clock_mono_ns();
    const char *answer = ask_on(world, dial_tcp(world), BODY("POST", P "/collect?wait=200ms", "{}"));
    assert_true(clock_mono_ns() - start > 150000000u);
    assert_int_equal(status_of(answer), 202);
    assert_non_null(strstr(answer, "\"state\":\"queued\""));
    answer = ask_on(world, dial_tcp(world), GET("/v1/operations/feedbeef-1?wait=50ms"));
    assert_int_equal(status_of(answer), 200);
    answer = ask_on(world, dial_tcp(world), HEAD_OF("DELETE", "/v1/operations/feedbeef-1?wait=5s") "\r\n");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"state\":\"cancelled\""));
    answer = ask_on(world, dial_tcp(world), GET("/v1/operations"));
    assert_non_null(strstr(answer, "feedbeef-1"));
}

static void test_a_gone_process_answers_410(void **state)
{
    struct world *world = *state;
    world->host = HOST_IS_GONE;
    const char *answer = ask_on(world, dial_tcp(world), BODY("POST", P "/collect?wait=5s", "{}"));
    assert_non_null(strstr(answer, "\"code\":\"process_gone\""));
    world->sink.gone(world->stats, world->process, "exited");
    world->sink.swept(world->stats, true);
    assert_int_equal(status_of(ask_on(world, dial_tcp(world), BODY("POST", P "/collect", "{}"))), 410);
    answer = ask_on(world, dial_tcp(world), GET(P "/stats"));
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "\"state\":\"gone\""));
}

/* Clients that wait are let go when the daemon drains. */
static void test_drain_with_a_waiting_client(void **state)
{
    struct world *world = *state;
    world->host = HOST_SILENT;
    int fd = dial_tcp(world);
    say(world, fd, BODY("POST", P "/collect?wait=60s", "{}"));
    usleep(100000);
    (void)fd; /* left open: the teardown stops the daemon, and is timed */
}

static void test_pages_keep_the_connection(void **state)
{
    struct world *world = *state;
    int fd = dial_tcp(world);
    for (int i = 0; i < 2; i++) {
        say(world, fd, "GET / HTTP/1.1\r\nHost: 127.0.0.1:$\r\n\r\n");
        assert_int_equal(status_of(hear(fd, "</html>")), 200);
        say(world, fd, "GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:$\r\n\r\n");
        assert_int_equal(status_of(hear(fd, "\"not_found\"}")), 404);
    }
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_who_may),
                                       TEST(test_malformed),
                                       TEST(test_methods),
                                       TEST(test_bodies),
                                       TEST(test_huge_bodies),
                                       TEST(test_views),
                                       TEST(test_etag_gives_304_until_the_view_changes),
                                       TEST(test_wait_ends_with_the_operation),
                                       TEST(test_wait_ends_with_its_time),
                                       TEST(test_a_gone_process_answers_410),
                                       TEST(test_drain_with_a_waiting_client),
                                       TEST(test_pages_keep_the_connection)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
