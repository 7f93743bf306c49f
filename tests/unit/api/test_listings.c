/* What a host lists and how that is shown, whatever the host says; what its refusals are; events; batches. */
#include "listed.h"
#include "tally.h"

#define OTHER "ffffffffffffffffffffffffffffffff"

static void test_rows_of_objects(void **state)
{
    struct world *world = *state;
    const struct wire_object rows[] = {
        {.object = 5, .bytes = 32, .references = 2, .type_row = 0, .flags = 1},
        {.object = UINT64_MAX, .bytes = UINT64_MAX, .references = UINT64_MAX, .type_row = UINT32_MAX, .flags = UINT32_MAX},
        {.object = 7, .flags = WIRE_FROZEN_GENERATION | WIRE_OBJECT_FINALIZED}};
    json_t *result = listed(world, P "/garbage?wait=0s&limit=7&cursor=20", rows, sizeof rows, 3, 23);
    assert_int_equal(world->last.kind, WIRE_COMMAND_GARBAGE);
    assert_int_equal(world->last.limit, 7);
    assert_int_equal(world->last.after, 20);
    json_t *list = json_object_get(result, "garbage");
    assert_int_equal(json_array_size(list), 3);
    json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1), *third = json_array_get(list, 2);
    assert_string_equal(json_string_value(json_object_get(first, "type")), "node");
    assert_int_equal(json_integer_value(json_object_get(first, "index")), 20);
    assert_int_equal(json_integer_value(json_object_get(first, "generation")), 1);
    assert_true(json_is_null(json_object_get(second, "type")));
    assert_true(json_is_null(json_object_get(second, "generation")));
    assert_int_equal(json_integer_value(json_object_get(second, "object")), INT64_MAX);
    assert_string_equal(json_string_value(json_object_get(third, "generation")), "frozen");
    assert_true(json_is_true(json_object_get(third, "finalized")));
    assert_string_equal(json_string_value(json_object_get(result, "next_cursor")), "23");
    assert_true(json_is_false(json_object_get(result, "complete")));
    json_decref(result);
}

static void test_filters_become_a_command(void **state)
{
    struct world *world = *state;
    json_decref(listed(world, P "/objects?wait=0s&type=node&generation=2", NULL, 0, 0, 0));
    assert_int_equal(world->last.kind, WIRE_COMMAND_OBJECTS);
    assert_int_equal(world->last.type_row, 1);
    assert_int_equal(world->last.generation, 2);
    assert_int_equal(world->last.limit, 100);
    json_decref(listed(world, P "/objects?wait=0s&generation=frozen", NULL, 0, 0, 0));
    assert_int_equal(world->last.generation, WIRE_FROZEN_GENERATION);
    assert_int_equal(world->last.type_row, 0);
    json_decref(listed(world, P "/heaps/1/garbage/42/referrers?wait=0s", NULL, 0, 0, 0));
    assert_int_equal(world->last.kind, WIRE_COMMAND_REFERRERS);
    assert_int_equal(world->last.index, 42);
    assert_int_equal(world->last.generation, WIRE_ANY_GENERATION);
}

/* A tag of types beside a baseline tells which one that was. */
static void test_another_baseline_is_another_tag(void **state)
{
    struct world *world = *state;
    static const char path[] = P "/types?baseline=true";
    char request[512], tag[64];
    world_sample(world, 1, 10, false);
    assert_int_equal(status_of(ask(world, "POST", P "/baseline", "{}")), 200);
    world_sample(world, 1, 20, false);
    const char *answer = ask(world, "GET", path, "");
    assert_int_equal(status_of(answer), 200);
    assert_int_equal(sscanf(strstr(answer, "ETag: "), "ETag: %63[^\r]", tag), 1);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: %s\r\n\r\n", path, tag);
    assert_int_equal(status_of(ask_on(world, dial_unix(world), request)), 304);
    assert_int_equal(status_of(ask(world, "POST", P "/baseline", "{}")), 200);
    assert_int_equal(status_of(ask_on(world, dial_unix(world), request)), 200);
}

/* HEAD looks whether there is something to ask, and asks nothing. */
static void test_head_costs_no_pause(void **state)
{
    struct world *world = *state;
    static const char *const words[] = {"garbage", "objects", "cycles", "garbage/0/referrers"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char path[128];
        snprintf(path, sizeof path, P "/%s", words[i]);
        const char *answer = ask(world, "HEAD", path, "");
        assert_int_equal(status_of(answer), 200);
        assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
        assert_null(strstr(answer, "Content-Length:"));
        assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    }
    assert_int_equal(world->last.kind, 0);
    assert_int_equal(status_of(ask(world, "HEAD", P "/objects?type=nothing", "")), 422);
    assert_int_equal(status_of(ask(world, "HEAD", "/v1/processes/" OTHER "/garbage", "")), 404);
    assert_int_equal(status_of(ask(world, "HEAD", P "/heaps/9/cycles", "")), 404);
    json_t *operations = json_of(ask(world, "GET", "/v1/operations", ""));
    assert_int_equal(json_array_size(json_object_get(operations, "operations")), 0);
    json_decref(operations);
}

/* Names are the program's: one that is no text is not shown. */
static void test_shapes_are_text_or_null(void **state)
{
    struct world *world = *state;
    struct { struct wire_cycle row; char text[16]; } rows[2] = {
        {{.count = 3, .text_bytes = 9}, "node.next"}, {{.count = 4, .text_bytes = 9}, "node.\xff\x01xx"}};
    json_t *result = listed(world, P "/cycles?wait=0s", rows, sizeof rows, 2, 0), *list = json_object_get(result, "cycles");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "shape")), "node.next");
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "shape")));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "count")), 4);
    assert_true(json_is_true(json_object_get(result, "complete")));
    json_decref(result);
}

static void test_refusals_are_problems(void **state)
{
    static const struct {
        int32_t error;
        const char *path;
        int status;
        const char *code;
    } rows[] = {{TALLY_EVETO, P "/objects", 409, "vetoed"},
                {TALLY_EUNSUPPORTED, P "/cycles", 409, "unsupported"},
                {TALLY_EBUSY, P "/objects", 503, "busy"},
                {TALLY_ESTATE, P "/objects", 410, "heap_gone"},
                {TALLY_EINVAL, P "/garbage/9/referrers", 404, "no_such_entry"},
                {TALLY_ENOMEM, P "/garbage", 409, "refused_by_host"}};
    struct world *world = *state;
    char code[64];
    world->host = HOST_REFUSES;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world->error = rows[i].error;
        const char *answer = ask(world, "GET", rows[i].path, "");
        snprintf(code, sizeof code, "\"code\":\"%s\"", rows[i].code);
        if (status_of(answer) != rows[i].status || !strstr(answer, code))
            fail_msg("%s: want %d %s, got:\n%s", rows[i].path, rows[i].status, rows[i].code, answer);
    }
    world->host = HOST_IS_GONE;
    assert_int_equal(status_of(ask(world, "GET", P "/objects", "")), 410);
    world->host = HOST_SILENT;
    const char *answer = ask(world, "GET", P "/objects?deadline_ms=1", "");
    assert_int_equal(status_of(answer), 504);
    assert_non_null(strstr(answer, "\"code\":\"no_answer\""));
}

/* A cursor is one heap's. What one heap refuses the other may show. */
static void test_several_heaps(void **state)
{
    struct world *world = *state;
    world_sample(world, 2, 4, false);
    const char *answer = ask(world, "GET", P "/objects?cursor=5", "");
    assert_int_equal(status_of(answer), 422);
    assert_non_null(strstr(answer, "heaps"));
    world->host = HOST_SILENT;
    json_t *asked = json_of(ask(world, "GET", P "/objects?wait=0s", ""));
    const char *id = json_string_value(json_object_get(asked, "id"));
    uint64_t number = strtoull(strchr(id, '-') + 1, NULL, 10);
    operations_ack(world->operations, PROCESS,
                   &(struct wire_ack){.operation = number, .heap_number = 1, .state = WIRE_ACK_FAILED, .error = TALLY_EVETO});
    world->last.heap_number = 2;
    answer_rows(world, &(struct wire_object){.object = 1}, sizeof(struct wire_object), 1, 0);
    char target[64];
    snprintf(target, sizeof target, "/v1/operations/%s", id);
    answer = ask(world, "GET", target, "");
    assert_non_null(strstr(answer, "\"state\":\"failed\",\"code\":\"vetoed\""));
    json_decref(asked);
}

/* Until a connection waits for what it has asked for. */
static void waiting_expected(struct world *world)
{
    bool waits = false;
    for (int i = 0; i < 3000 && !waits; i++, usleep(10000)) {
        pthread_mutex_lock(&world->api->lock);
        for (struct connection *at = world->api->connections; at; at = at->next)
            waits |= phase_get(at) == PHASE_WAITING;
        pthread_mutex_unlock(&world->api->lock);
    }
    assert_true(waits);
}

static void test_events_are_a_moment(void **state)
{
    struct world *world = *state;
    uint64_t start_ns = clock_mono_ns();
    json_t *json = json_of(ask(world, "GET", P "/events?wait=200ms&kind=alloc&type=node&heap=1", ""));
    assert_true(clock_mono_ns() - start_ns >= 200000000u);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "lost")), 0);
    json_decref(json);
    const uint64_t words[] = {WIRE_EVENT_ALLOC | (uint64_t)4 << 18 | (uint64_t)9 << 24};
    const struct wire_span span = {.words = words, .count = 1, .lost = 5};
    int fd = dial_unix(world);
    say(world, fd, "GET " P "/events?wait=60s&limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    waiting_expected(world);
    start_ns = clock_mono_ns();
    world->sink.events(world->stats, world->process, 1, 64, &span);
    world_sample(world, 1, 11, false);
    json = json_of(hear(fd, NULL));
    close(fd);
    assert_true(clock_mono_ns() - start_ns < 20000000000u); /* enough has come */
    assert_int_equal(json_array_size(json_object_get(json, "events")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "lost")), 5);
    json_decref(json);
    fd = dial_unix(world); /* one who hangs up leaves no tail behind */
    for (int i = 0; i < 2 * (int)STATS_TAILS_MAX; i++) {
        say(world, fd, "GET " P "/events?wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
        close(fd);
        fd = dial_unix(world);
    }
    close(fd);
    for (int i = 0; i < 100 && status_of(ask(world, "GET", P "/events?wait=0s", "")) != 200; i++)
        usleep(50000);
    assert_int_equal(status_of(ask(world, "GET", P "/events?wait=0s", "")), 200);
}

static void test_batches_take_what_fits(void **state)
{
    struct world *world = *state;
    void *other = world_attach(world, OTHER, 4243, "second");
    world->sink.swept(world->stats, true);
    static const struct { const char *selector; int count; } rows[] = {
        {"{}", 2}, {"{\"name\":\"second\"}", 1}, {"{\"label\":{\"tier\":\"gold\"}}", 2}, {"{\"label\":{\"tier\":\"lead\"}}", 0},
        {"{\"label\":{\"tier\":\"gold\",\"a\":\"b\"}}", 0}, {"{\"name\":\"host\",\"label\":{\"tier\":\"gold\"},\"state\":\"live\"}", 1},
        {"{\"ids\":[]}", 0}, {"{\"ids\":[\"00000000000000000000000000000000\",\"" OTHER "\"]}", 1}, {"{\"ids\":[\"" OTHER "\"],\"name\":\"host\"}", 0},
        {"{\"ids\":[\"" OTHER "\",\"" OTHER "\"]}", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[200];
        snprintf(body, sizeof body, "{\"selector\":%s,\"kind\":\"freeze\"}", rows[i].selector);
        json_t *json = json_of(ask(world, "POST", "/v1/batch?wait=5s", body));
        assert_int_equal(json_array_size(json_object_get(json, "processes")), rows[i].count);
        assert_string_equal(json_string_value(json_object_get(json, "state")), "succeeded");
        json_decref(json);
    }
    assert_int_equal(status_of(ask(world, "POST", "/v1/batch", "{\"selector\":{\"ids\":[\"4243\"]},\"kind\":\"freeze\"}")), 422);
    struct audit_record record;
    assert_int_equal(heard_list(&world->heard, &record, 1), 1);
    assert_string_equal(record.kind, "freeze");
    assert_string_equal(record.target, "1 processes");
    world->host = HOST_REFUSES;
    world->error = TALLY_EVETO;
    json_t *json = json_of(ask(world, "POST", "/v1/batch?wait=5s", "{\"selector\":{},\"kind\":\"config\",\"enabled\":false}"));
    assert_string_equal(json_string_value(json_object_get(json, "code")), "vetoed");
    json_t *first = json_array_get(json_object_get(json, "processes"), 0), *second = json_array_get(json_object_get(json, "processes"), 1);
    assert_string_equal(json_string_value(json_object_get(first, "code")), "vetoed");
    assert_string_equal(json_string_value(json_object_get(second, "state")), "succeeded"); /* it has no heap */
    json_decref(json);
    world->sink.gone(world->stats, other, "bye");
    world->sink.released(world->stats, other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_rows_of_objects),
                                       TEST(test_filters_become_a_command), TEST(test_head_costs_no_pause), TEST(test_another_baseline_is_another_tag),
                                       TEST(test_shapes_are_text_or_null),
                                       TEST(test_refusals_are_problems),
                                       TEST(test_several_heaps),
                                       TEST(test_events_are_a_moment),
                                       TEST(test_batches_take_what_fits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
