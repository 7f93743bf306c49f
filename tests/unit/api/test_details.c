/* Rates, lifetimes and histograms of types, live tails by stream, and what is left of the gone, as JSON. */
#include "world.h"

#include <signal.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define P "/v1/processes/" PROCESS
#define OTHER "fedcba9876543210fedcba9876543210"

static json_t *get(const struct world *world, const char *request)
{
    const char *answer = ask_on(world, dial_unix(world), request);
    if (status_of(answer) != 200)
        fail_msg("%s%s", request, answer);
    json_t *json = json_of(answer);
    assert_non_null(json);
    return json;
}

/* Borrows it. The text is compared as it is sent: on one line, members in the order of their making. */
static void assert_json(json_t *json, const char *want)
{
    char *got = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (!got || strcmp(got, want))
        fail_msg("got  %s\nwant %s", got ? got : "nothing", want);
    free(got);
}

static void refuse(const struct world *world, const char *request, const char *what)
{
    const char *answer = ask_on(world, dial_unix(world), request);
    if (status_of(answer) != 422 || !strstr(answer, what))
        fail_msg("%swant 422 and %s, got:\n%s", request, what, answer);
}

static void tell(struct world *world, void *process, const uint64_t *words, size_t count, size_t records, uint64_t lost)
{
    struct wire_span span = {.words = words, .count = count, .records = records, .lost = lost, .clock_ns = 1234};
    world->sink.events(world->stats, process, 1, 1, &span);
}

/* The view that goes with what was told. */
static void show(struct world *world)
{
    world_sample(world, 1, 10, false);
}

static uint64_t word_of(enum wire_event kind, uint64_t bytes, uint64_t granule)
{
    return kind | bytes / 8 << 18 | granule << WIRE_GRANULE_SHIFT;
}

/* Two small ones, of which one dies, and one of 4096 bytes; a collection starts. */
static void tell_some(struct world *world, void *process, uint64_t lost)
{
    const uint64_t words[] = {word_of(WIRE_EVENT_ALLOC, 32, 5),
                              word_of(WIRE_EVENT_ALLOC, 32, 6),
                              word_of(WIRE_EVENT_FREE_CYCLE, 32, 5),
                              WIRE_EVENT_ALLOC | (uint64_t)WIRE_SIZE_CODE_LONG << 18 | (uint64_t)7 << WIRE_GRANULE_SHIFT,
                              4096,
                              WIRE_EVENT_RARE | WIRE_RARE_COLLECTION_START << 2 | 2 << 8 | 2 << 16,
                              99};
    tell(world, process, words, 7, 5, lost);
}

/* ---- types */

static void test_types_without_events(void **state)
{
    struct world *world = *state;
    json_t *json = get(world, GET(P "/types?histograms=true")), *type = json_array_get(json_object_get(json, "types"), 0);
    assert_json(json_object_get(type, "rates"), "{\"allocations_per_s\":0,\"frees_per_s\":{\"refcount\":0,\"cycle\":0}}");
    assert_json(json_object_get(type, "lifetimes"), "null");
    assert_json(json_object_get(type, "sizes"), "[]");
    assert_json(json_object_get(type, "lifetime_ns"), "[]");
    assert_json(json_object_get(type, "lifetime_bytes"), "[]");
    json_decref(json);
}

static void test_types_with_rates_and_lifetimes(void **state)
{
    struct world *world = *state;
    static const char *const paths[] = {GET(P "/types?histograms=true"), GET(P "/heaps/1/types?histograms=true")};
    tell_some(world, world->process, 0);
    usleep(1050000);
    world_sample(world, 1, 1010, false);
    uint64_t least = 990000000000u / (clock_mono_ns() - world->sampled_ns);
    for (size_t i = 0; i < 2; i++) {
        json_t *json = get(world, paths[i]), *type = json_array_get(json_object_get(json, "types"), 0);
        json_int_t rate = json_integer_value(json_object_get(json_object_get(type, "rates"), "allocations_per_s"));
        assert_in_range(rate, least, 1000);
        assert_json(json_object_get(type, "lifetimes"), "{\"known\":1,\"unknown\":4,\"short_lived\":1,"
                                                        "\"short_lived_below_bytes\":1048576,\"one_page_in\":1}");
        assert_json(json_object_get(type, "sizes"), "[{\"bytes\":32,\"or_more\":false,\"count\":2},"
                                                    "{\"bytes\":504,\"or_more\":true,\"count\":1}]");
        assert_json(json_object_get(type, "lifetime_ns"), "[{\"from\":0,\"count\":1}]");
        assert_json(json_object_get(type, "lifetime_bytes"), "[{\"from\":0,\"count\":1}]");
        json_decref(json);
    }
    json_t *json = get(world, GET(P "/stats"));
    assert_in_range(json_integer_value(json_object_get(json_object_get(json, "rates"), "allocations_per_s")), least, 1000);
    json_decref(json);
}

/* What is unknown is of the same moment as what is known, and not of the newest counters. */
static void test_unknown_deaths_are_as_old_as_the_known(void **state)
{
    struct world *world = *state;
    const struct intake_row row = {.allocated = 900, .freed_refcount = 500};
    const struct intake_type type = {.name = "node", .size_bytes = 32};
    struct intake_sample sample = {.heap_number = 1, .type_count = 1, .rows = &row, .types = &type};
    usleep(1050000);
    tell_some(world, world->process, 0);
    show(world);
    sample.mono_ns = clock_mono_ns();
    world->sink.sample(world->stats, world->process, &sample);
    world->sink.swept(world->stats, true);
    json_t *json = get(world, GET(P "/types")), *of = json_array_get(json_object_get(json, "types"), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(of, "frees"), "refcount")), 500);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(of, "lifetimes"), "unknown")), 4);
    json_decref(json);
}

/* The sum of a process's heaps, where they have the type. */
static void test_types_over_heaps(void **state)
{
    struct world *world = *state;
    const uint64_t words[] = {word_of(WIRE_EVENT_ALLOC, 32, 5), word_of(WIRE_EVENT_FREE_REFCOUNT, 32, 5)};
    struct wire_span span = {.words = words, .count = 2, .records = 2, .plain = true};
    for (uint32_t heap = 2; heap <= 4; heap++) {
        world->sink.events(world->stats, world->process, heap, 1, &span);
        world_sample(world, heap, 0, false);
    }
    json_t *json = get(world, GET(P "/types?histograms=true")), *type = json_array_get(json_object_get(json, "types"), 0);
    assert_json(json_object_get(type, "sizes"), "[{\"bytes\":32,\"or_more\":false,\"count\":3}]");
    json_decref(json);
    json = get(world, GET(P "/heaps/3/types?histograms=true"));
    type = json_array_get(json_object_get(json, "types"), 0);
    assert_json(json_object_get(type, "sizes"), "[{\"bytes\":32,\"or_more\":false,\"count\":1}]");
    json_decref(json);
}

static void test_histograms_parameter(void **state)
{
    struct world *world = *state;
    static const char *const without[] = {GET(P "/types"), GET(P "/types?histograms=false"),
                                          GET(P "/types?sort=name&limit=1")};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        json_t *json = get(world, without[i]), *type = json_array_get(json_object_get(json, "types"), 0);
        assert_non_null(json_object_get(type, "rates"));
        assert_non_null(json_object_get(type, "lifetimes"));
        assert_null(json_object_get(type, "sizes"));
        json_decref(json);
        json = get(world, GET(P "/types?histograms=true")); /* bodies are kept apart */
        type = json_array_get(json_object_get(json, "types"), 0);
        assert_non_null(json_object_get(type, "sizes"));
        json_decref(json);
    }
    refuse(world, GET(P "/types?histograms=yes"), "histograms must be true or false");
    refuse(world, GET(P "/types?histograms="), "histograms");
    refuse(world, GET(P "/heaps/1/types?histograms=1"), "histograms");
    refuse(world, GET(P "/stats?histograms=true"), "histograms");
    refuse(world, GET(P "/types?histograms=true&histograms=true"), "histograms");
}

/* ---- post-mortem */

static void test_no_post_mortem_of_the_living(void **state)
{
    struct world *world = *state;
    json_t *json = get(world, GET(P));
    assert_json(json_object_get(json, "post_mortem"), "null");
    json_decref(json);
}

static json_t *post_mortem_of(struct world *world, json_t **whole)
{
    *whole = get(world, GET(P));
    assert_string_equal(json_string_value(json_object_get(*whole, "state")), "gone");
    return json_object_get(*whole, "post_mortem");
}

static void test_post_mortem_of_a_signal(void **state)
{
    struct world *world = *state;
    json_t *whole, *json;
    tell_some(world, world->process, 0);
    for (unsigned i = 0; i < 20; i++)
        world_sample(world, 1, 10, true);
    world_sample(world, 2, 0, false);
    world->sink.heap_gone(world->stats, world->process, 2);
    world->sink.gone(world->stats, world->process, "exited");
    world->sink.ended(world->stats, world->process, SIGSEGV | 0x80);
    world->sink.swept(world->stats, true);
    json = post_mortem_of(world, &whole);
    assert_json(json_object_get(json, "exit"), "{\"kind\":\"signal\",\"signal\":11,\"name\":\"SIGSEGV\",\"core\":true}");
    json_t *runs = json_object_get(json, "last_collections"), *heaps = json_object_get(json, "heaps");
    assert_int_equal(json_array_size(runs), 16);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(runs, 0), "sequence")), 21);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "stats"), "live_objects")), 10);
    assert_json(json_array_get(heaps, 0),
                "{\"n\":1,\"was\":\"running\",\"gone_before\":false,\"last_events\":["
                "{\"kind\":\"alloc\",\"type\":\"node\",\"bytes\":32,\"object\":5,\"at_mono_ns\":null,\"after_mono_ns\":1234},"
                "{\"kind\":\"alloc\",\"type\":\"node\",\"bytes\":32,\"object\":6,\"at_mono_ns\":null,\"after_mono_ns\":1234},"
                "{\"kind\":\"free_cycle\",\"type\":\"node\",\"bytes\":32,\"object\":5,\"at_mono_ns\":null,\"after_mono_ns\":1234},"
                "{\"kind\":\"alloc\",\"type\":\"node\",\"bytes\":4096,\"object\":7,\"at_mono_ns\":null,\"after_mono_ns\":1234},"
                "{\"kind\":\"collection_start\",\"type\":null,\"bytes\":null,\"object\":null,\"at_mono_ns\":99,"
                "\"after_mono_ns\":1234}]}");
    assert_json(json_array_get(heaps, 1), "{\"n\":2,\"was\":\"running\",\"gone_before\":true,\"last_events\":[]}");
    json_decref(whole);
}

static void test_post_mortem_of_other_ends(void **state)
{
    static const struct { int status; const char *exit; } ends[] = {
        {-1, "null"}, /* nobody told */
        {3 << 8, "{\"kind\":\"exit\",\"code\":3}"},
        {0, "{\"kind\":\"exit\",\"code\":0}"},
        {SIGKILL, "{\"kind\":\"signal\",\"signal\":9,\"name\":\"SIGKILL\",\"core\":false}"},
        {40, "{\"kind\":\"signal\",\"signal\":40,\"name\":null,\"core\":false}"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        json_t *whole;
        world->sink.gone(world->stats, world->process, "exited");
        if (ends[i].status >= 0)
            world->sink.ended(world->stats, world->process, ends[i].status);
        world->sink.swept(world->stats, true);
        assert_json(json_object_get(post_mortem_of(world, &whole), "exit"), ends[i].exit);
        json_decref(whole);
        world_attach(world, PROCESS, 4242, "host"); /* it is back: no word of its end is left */
        world->sink.released(world->stats, world->process);
        world_sample(world, 1, 10, false);
        test_no_post_mortem_of_the_living(state);
    }
}

/* ---- live tails */

static int follow(const struct world *world, const char *query)
{
    char request[600];
    int fd = dial_unix(world);
    snprintf(request, sizeof request, "GET /v1/stream?%s HTTP/1.1\r\nHost: x\r\n\r\n", query);
    say(world, fd, request);
    assert_int_equal(status_of(hear(fd, "event: hello")), 200);
    return fd;
}

/* Takes out where one chunk ends and the next begins: no frame has a carriage return of its own. */
static char *unchunk(const char *text)
{
    char *all = strdup(text), *out = all;
    for (const char *at = text; *at;) {
        size_t digits = strncmp(at, "\r\n", 2) ? 0 : strspn(at + 2, "0123456789ABCDEFabcdef");
        if (digits && !strncmp(at + 2 + digits, "\r\n", 2))
            at += digits + 4;
        else
            *out++ = *at++;
    }
    *out = '\0';
    return all;
}

/* The data of the next frame of events. */
static json_t *frame_of(int fd)
{
    char *text = unchunk(hear(fd, "\"lost\":")), *data = strstr(text, "event: events\ndata: ");
    if (!data)
        fail_msg("no events: %s", text);
    const char *start = data + strlen("event: events\ndata: ");
    json_t *json = json_loadb(start, strcspn(start, "\n"), 0, NULL);
    if (!json)
        fail_msg("no JSON: %s", start);
    free(text);
    return json;
}

static void test_stream_of_events_and_its_filters(void **state)
{
    static const struct { const char *query, *kinds; } rows[] = {
        {"topics=events:" PROCESS, "alloc alloc free_cycle alloc collection_start "},
        {"topics=events:4242&heap=1", "alloc alloc free_cycle alloc collection_start "},
        {"topics=events:4242&kind=alloc", "alloc alloc alloc "},
        {"topics=events:4242&kind=free_cycle,collection", "free_cycle collection_start "},
        {"topics=events:4242&kind=free_refcount", ""},
        {"topics=events:4242&type=node", "alloc alloc free_cycle alloc "},
        {"topics=events:4242&type=nod", ""},
        {"topics=events:4242&min_bytes=33", "alloc "},
        {"topics=events:4242&heap=2", NULL},
        {"topics=fleet,events:4242&type=node&kind=alloc&min_bytes=32&heap=1", "alloc alloc alloc "},
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    struct world *world = *state;
    int fds[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        fds[i] = follow(world, rows[i].query);
    tell_some(world, world->process, 17);
    show(world);
    for (size_t i = 0; i < ROWS; i++) {
        char kinds[128] = "";
        if (rows[i].kinds) {
            json_t *json = frame_of(fds[i]), *event;
            size_t at;
            json_array_foreach (json_object_get(json, "events"), at, event) {
                strncat(kinds, json_string_value(json_object_get(event, "kind")), 30);
                strncat(kinds, " ", 2);
                assert_int_equal(json_integer_value(json_object_get(event, "heap")), 1);
            }
            assert_string_equal(kinds, rows[i].kinds);
            assert_string_equal(json_string_value(json_object_get(json, "id")), PROCESS);
            assert_json(json_object_get(json, "lost"), "17");
            assert_json(json_object_get(json, "missed"), "0");
            event = json_array_get(json_object_get(json, "events"), 0);
            assert_true(!event || json_integer_value(json_object_get(event, "lost_before")) == 17);
            assert_null(json_object_get(event, "missed_before"));
            json_decref(json);
        }
        close(fds[i]);
    }
}

/* Events told and missed in all whole frames; a read may hold several, and end anywhere. */
static uint64_t events_sum(const char *chunks)
{
    static const char head[] = "event: events\ndata: ";
    char *text = unchunk(chunks);
    uint64_t sum = 0;
    for (const char *at = text, *end; (at = strstr(at, head)) && (end = strstr(at, "\n\n")); at = end) {
        const char *data = at + sizeof head - 1;
        json_t *json = json_loadb(data, (size_t)(end - data), 0, NULL);
        assert_true(json_array_size(json_object_get(json, "events")) <= 256);
        sum += json_array_size(json_object_get(json, "events")) + (uint64_t)json_integer_value(json_object_get(json, "missed"));
        json_decref(json);
    }
    free(text);
    return sum;
}

static void test_frames_of_events_have_this_shape(void **state)
{
    struct world *world = *state;
    int fd = follow(world, "topics=events:4242");
    uint64_t word = word_of(WIRE_EVENT_ALLOC, 32, 5);
    tell(world, world->process, &word, 1, 1, 0);
    show(world);
    json_t *json = frame_of(fd);
    assert_json(json, "{\"id\":\"" PROCESS "\",\"events\":[{\"kind\":\"alloc\",\"type\":\"node\",\"bytes\":32,\"object\":5,"
                      "\"at_mono_ns\":null,\"after_mono_ns\":1234,\"heap\":1}],\"missed\":0,\"lost\":0}");
    json_decref(json);
    for (unsigned i = 0; i < 3000; i++) /* faster than anybody reads */
        tell(world, world->process, &word, 1, 1, 0);
    show(world);
    static char all[1 << 20];
    uint64_t sum = 0, end = clock_mono_ns() + 10000000000u;
    for (size_t used = 0; sum < 3000 && clock_mono_ns() < end;) {
        used += (size_t)snprintf(all + used, sizeof all - used, "%s", hear(fd, "\n\n"));
        sum = events_sum(all);
    }
    assert_int_equal(sum, 3000);
    close(fd);
}

static void test_bad_filters_and_topics(void **state)
{
    static const struct { const char *query, *what; } rows[] = {
        {"topics=events:4242&heap=0", "heap must be"},       {"topics=events:4242&heap=x", "heap must be"},
        {"topics=events:4242&heap=-1", "heap must be"},      {"topics=events:4242&heap=4294967296", "heap must be"},
        {"topics=events:4242&kind=birth", "kind must be"},   {"topics=events:4242&kind=alloc,x", "kind must be"},
        {"topics=events:4242&kind=,alloc", "kind must be"},  {"topics=events:4242&type=", "type must be"},
        {"topics=events:4242&min_bytes=big", "min_bytes"},   {"topics=events:4242&min_bytes=-1", "min_bytes"},
        {"topics=events:4242&min_bytes=999999999999999999999", "min_bytes"},
        {"topics=events:77", "no such process"},             {"topics=events:", "topics must be"},
        {"topics=events:0123456789abcdef", "no such process"},
        {"topics=events:FEDCBA9876543210FEDCBA9876543210", "no such process"},
        {"topics=events", "topics must be"},                 {"topics=events:4242&since=1", "since"},
        {"topics=events:4242&kind=alloc&kind=alloc", "kind"},
    };
    struct world *world = *state;
    char request[800], type[300];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(request, sizeof request, "GET /v1/stream?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", rows[i].query);
        refuse(world, request, rows[i].what);
    }
    memset(type, 'x', sizeof type - 1);
    type[sizeof type - 1] = '\0';
    snprintf(request, sizeof request, "GET /v1/stream?topics=events:4242&type=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", type);
    refuse(world, request, "bad_value");
}

/* As many topics as a stream may have are all told; one more is refused, and the tails of both are closed. */
static void test_sixteen_topics(void **state)
{
    struct world *world = *state;
    char query[400] = "topics=events:4242";
    for (unsigned i = 1; i < STREAM_TOPICS; i++)
        strncat(query, ",events:4242", sizeof query - strlen(query) - 1);
    int fd = follow(world, query);
    tell_some(world, world->process, 0);
    show(world);
    for (unsigned i = 0; i < STREAM_TOPICS;) {
        const char *text = hear(fd, "\"lost\":0}\n\n");
        for (const char *at = text; (at = strstr(at, "event: events")); at++)
            i++;
        assert_true(*text);
    }
    close(fd);
    strncat(query, ",fleet", sizeof query - strlen(query) - 1);
    char request[600];
    snprintf(request, sizeof request, "GET /v1/stream?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", query);
    refuse(world, request, "topics must be");
}

/* Readers that go, without a word or after a HEAD, leave no tail behind: a sanitizer sees one that is left, or one that
 * is used after it. */
static void test_a_tail_ends_with_its_stream(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 20; i++) {
        int fd = follow(world, "topics=events:4242,events:4242");
        tell_some(world, world->process, 0);
        close(fd);
        const char *answer = ask_on(world, dial_unix(world),
                                    "HEAD /v1/stream?topics=events:4242 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_int_equal(status_of(answer), 200);
        tell_some(world, world->process, 0);
    }
}

/* By whose pid it was asked for is settled when it is: another program that gets the pid later is not it. */
static void test_events_by_pid_are_one_process_s(void **state)
{
    struct world *world = *state;
    int fd = follow(world, "topics=events:4242");
    tell_some(world, world->process, 0);
    world->sink.gone(world->stats, world->process, "exited");
    world_attach(world, OTHER, 4242, "next");
    world->sink.swept(world->stats, true);
    json_t *json = frame_of(fd);
    assert_json(json_object_get(json, "id"), "\"" PROCESS "\"");
    json_decref(json);
    tell_some(world, world->process, 0); /* a late word of the first's */
    show(world);
    json = frame_of(fd);
    assert_json(json_object_get(json, "id"), "\"" PROCESS "\"");
    json_decref(json);
    close(fd);
}

/* Whoever followed it before a restart of tallyd is there when it attaches anew. */
static void test_events_of_a_process_that_has_yet_to_come(void **state)
{
    struct world *world = *state;
    int fd = follow(world, "topics=stats:" OTHER ",events:" OTHER "&kind=alloc");
    tell_some(world, world->process, 0);
    show(world);
    void *other = world_attach(world, OTHER, 77, "late");
    tell_some(world, other, 0);
    world->sink.swept(world->stats, true);
    json_t *json = frame_of(fd);
    assert_json(json_object_get(json, "id"), "\"" OTHER "\"");
    assert_int_equal(json_array_size(json_object_get(json, "events")), 3);
    json_decref(json);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_types_without_events), TEST(test_types_with_rates_and_lifetimes), TEST(test_types_over_heaps),
        TEST(test_unknown_deaths_are_as_old_as_the_known),
        TEST(test_histograms_parameter), TEST(test_no_post_mortem_of_the_living), TEST(test_post_mortem_of_a_signal),
        TEST(test_post_mortem_of_other_ends), TEST(test_stream_of_events_and_its_filters),
        TEST(test_frames_of_events_have_this_shape), TEST(test_bad_filters_and_topics), TEST(test_sixteen_topics),
        TEST(test_a_tail_ends_with_its_stream), TEST(test_events_by_pid_are_one_process_s),
        TEST(test_events_of_a_process_that_has_yet_to_come)};
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
