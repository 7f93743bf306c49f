/* Pages of metrics made from views that a test feeds: names, types, escapes, limits, ends. */
#include "../stats/world.h"

#include "api/metrics.h"
#include "wire/feed.h"

#define SECOND ((uint64_t)1000000000u)

static char *page_of(struct metrics *metrics, const struct stats_view *view, struct metrics_own *own, unsigned detail, bool open,
                     uint64_t later_ns)
{
    size_t bytes;
    *own = (struct metrics_own){.version = "1.2.3", .live = 1, .seq = view->seq};
    char *text = metrics_page_new(metrics, view, own, detail, open, clock_wall_ns() + later_ns, clock_mono_ns() + later_ns, &bytes);
    assert_non_null(text);
    text = realloc(text, bytes + 1);
    text[bytes] = '\0';
    return text;
}

/* Of the present view, with a memory of its own. */
static char *page(struct world *world, unsigned detail, bool open)
{
    struct metrics *metrics = metrics_new(0, 0);
    struct metrics_own own;
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    char *text = page_of(metrics, view, &own, detail, open, 0);
    stats_view_unref(view);
    metrics_free(metrics);
    return text;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}

#define HAS(text, word) assert_non_null(strstr(text, word))
#define LACKS(text, word) assert_null(strstr(text, word))

static void *attach_as(struct world *world, unsigned number, const char *name, const char *key, const char *value)
{
    static struct wire_hello_view hello;
    hello = (struct wire_hello_view){.library = "0.1.0", .label_count = key ? 1 : 0};
    snprintf(hello.name, sizeof hello.name, "%s", name);
    if (key) {
        snprintf(hello.labels[0].key, sizeof hello.labels[0].key, "%s", key);
        snprintf(hello.labels[0].value, sizeof hello.labels[0].value, "%s", value);
    }
    struct intake_process process = {.pid = 4242, .hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", number);
    return world->sink.attached(world->stats, &process);
}

static void end(struct world *world, void *process)
{
    world->sink.gone(world->stats, process, "bye");
    world->sink.released(world->stats, process);
}

/* Everything that a process can say: each reason, each generation, a limit. */
static void tell_all(struct world *world, void *process, uint32_t heap)
{
    static struct intake_type types[2] = {{.name = "other"}, {.name = "pair", .size_bytes = 16}};
    struct intake_row rows[2] = {{.allocated = 0}, {.allocated = 10, .freed_refcount = 3, .freed_cycle = 1}};
    struct intake_record records[9];
    for (unsigned i = 0; i < 9; i++)
        records[i] = (struct intake_record){.sequence = i + 5, .start_ns = clock_mono_ns(), .pause_ns = 20000 * (i + 1),
                                            .find_ns = 1000, .reason = i, .live_bytes_after = 64};
    struct intake_sample sample = {.heap_number = heap, .mono_ns = clock_mono_ns(), .type_count = 2, .rows = rows,
                                   .types = types, .record_count = 9, .records = records, .mapped_bytes = 65536,
                                   .safepoint_ns = clock_mono_ns(), .events_seen = 5, .events_lost = 2,
                                   .summary = {.valid = true, .enabled = 1, .collections = {7, 5, 3}, .collected = {70, 50, 30},
                                               .uncollectable = {1, 2, 3}, .pause_ns = 1500000001, .max_pause_ns = 250000000,
                                               .memory_limit_bytes = 1 << 20, .thresholds = {700, 10, 5}, .candidates = 9}};
    world->sink.sample(world->stats, process, &sample);
}

static void test_a_process_tells_all_in_forty_series(void **state)
{
    struct world *world = *state;
    tell_all(world, attach_as(world, 1, "shop", NULL, NULL), 1);
    char *text = page(world, 0, false);
    assert_in_range(count_of(text, "uid=\"00000000000000000000000000000001\""), 35, 40);
    HAS(text, "# HELP tally_heap_live_bytes Payload bytes of the live objects, each rounded up to 8.\n"
              "# TYPE tally_heap_live_bytes gauge\n"
              "tally_heap_live_bytes{app=\"shop\",uid=\"00000000000000000000000000000001\"} 96\n");
    HAS(text, "# TYPE tally_heap_allocations_total counter\n");
    HAS(text, "tally_heap_frees_total{app=\"shop\",uid=\"00000000000000000000000000000001\",by=\"cycle\"} 1\n");
    HAS(text, "tally_gc_cpu_seconds_total{app=\"shop\",uid=\"00000000000000000000000000000001\"} 1.500000001\n");
    HAS(text, "tally_gc_longest_pause_seconds{app=\"shop\",uid=\"00000000000000000000000000000001\"} 0.25\n");
    HAS(text, "01\",generation=\"1\"} 50\n");
    HAS(text, "01\",reason=\"unknown\"} 4\n");
    HAS(text, "01\",cause=\"overrun\"} 2\n");
    HAS(text, "tallyd_build_info{version=\"1.2.3\"} 1\n");
    HAS(text, "\ntallyd_series_dropped_total{guard=\"process\"} 0\n");
    LACKS(text, "\"4242\""); /* the pid */
    LACKS(text, "UNIT");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    free(text);
}

static void test_openmetrics_has_families_and_units(void **state)
{
    struct world *world = *state;
    tell_all(world, attach_as(world, 1, "shop", NULL, NULL), 1);
    char *text = page(world, METRICS_HISTOGRAMS, true);
    HAS(text, "# TYPE tally_process info\ntally_process_info{");
    HAS(text, "# TYPE tally_heap_allocated_bytes counter\n# UNIT tally_heap_allocated_bytes bytes\ntally_heap_allocated_bytes_total{");
    HAS(text, "# TYPE tally_gc_pause_seconds histogram\n# UNIT tally_gc_pause_seconds seconds\ntally_gc_pause_seconds_bucket{");
    LACKS(text, "# TYPE tally_heap_allocated_bytes_total");
    free(text);
}

/* Pauses of 20, 40 ... 180 us. */
static void test_histograms_are_cumulative(void **state)
{
    struct world *world = *state;
    tell_all(world, attach_as(world, 1, "shop", NULL, NULL), 1);
    char *text = page(world, METRICS_HISTOGRAMS, false);
    HAS(text, "le=\"1e-05\"} 0\n");
    HAS(text, "le=\"2.5e-05\"} 1\n");
    HAS(text, "le=\"5e-05\"} 2\n");
    HAS(text, "le=\"0.0001\"} 5\n");
    HAS(text, "le=\"0.00025\"} 9\n");
    HAS(text, "le=\"+Inf\"} 9\n");
    HAS(text, "tally_gc_pause_seconds_count{app=\"shop\",uid=\"00000000000000000000000000000001\"} 9\n");
    HAS(text, "tally_gc_pause_seconds_sum{app=\"shop\",uid=\"00000000000000000000000000000001\"} 0.0009\n");
    free(text);
}

static void test_heaps_have_series_of_their_own(void **state)
{
    struct world *world = *state;
    void *process = attach_as(world, 1, "shop", NULL, NULL);
    tell_all(world, process, 1);
    tell_all(world, process, 2);
    char *text = page(world, METRICS_HEAPS, false), *whole = page(world, METRICS_PROCESS, false);
    HAS(text, "tally_heap_live_bytes{app=\"shop\",uid=\"00000000000000000000000000000001\",heap=\"1\"} 96\n");
    HAS(text, "tally_heap_live_bytes{app=\"shop\",uid=\"00000000000000000000000000000001\",heap=\"2\"} 96\n");
    HAS(whole, "tally_heap_live_bytes{app=\"shop\",uid=\"00000000000000000000000000000001\"} 192\n");
    HAS(whole, "tally_heap_limit_bytes{app=\"shop\",uid=\"00000000000000000000000000000001\"} 2097152\n");
    assert_int_equal(count_of(text, "tally_process_info{"), 1);
    free(text);
    free(whole);
}

static void test_hostile_text_is_escaped_and_cut(void **state)
{
    struct world *world = *state;
    char name[256];
    memset(name, 'x', 119);
    snprintf(name + 119, 8, "%s", "\xc3\xa9tail"); /* the character would straddle the limit */
    attach_as(world, 1, name, "app", "a\"b\\c} 1 {");
    attach_as(world, 2, name, "a.b-c_d", "v\"");
    char *text = page(world, 0, false);
    HAS(text, "tally_process_up{app=\"a\\\"b\\\\c} 1 {\",uid=\"00000000000000000000000000000001\"} 1\n");
    HAS(text, ",label_a_b_c_d=\"v\\\"\"} 1\n");
    name[119] = '\0';
    char expected[400];
    snprintf(expected, sizeof expected, "tally_process_up{app=\"%s\",uid=\"00000000000000000000000000000002\"} 1\n", name);
    HAS(text, expected);
    free(text);
}

static void test_keys_that_give_one_label_name_give_one_label(void **state)
{
    struct world *world = *state;
    static struct wire_hello_view hello = {.name = "shop", .library = "0.1.0", .label_count = 3,
                                           .labels = {{"a.b", "first"}, {"a_b", "second"}, {"a-b", "third"}}};
    struct intake_process process = {.hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", 1);
    world->sink.attached(world->stats, &process);
    char *text = page(world, 0, false);
    assert_int_equal(count_of(text, "label_a_b="), 1);
    HAS(text, "label_a_b=\"first\"");
    free(text);
}

static void test_of_the_gone_counters_stay_for_five_minutes(void **state)
{
    struct world *world = *state;
    struct metrics *metrics = metrics_new(0, 0);
    struct metrics_own own;
    void *process = attach_as(world, 1, "shop", NULL, NULL);
    tell_all(world, process, 1);
    end(world, process);
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    char *text = page_of(metrics, view, &own, 0, false, 0);
    HAS(text, "tally_process_up{app=\"shop\",uid=\"00000000000000000000000000000001\"} 0\n");
    HAS(text, "tally_heap_allocations_total{app=\"shop\"");
    LACKS(text, "tally_heap_live_bytes{");
    LACKS(text, "tally_gc_enabled{");
    free(text);
    text = page_of(metrics, view, &own, 0, false, 301 * SECOND);
    LACKS(text, "uid=");
    free(text);
    stats_view_unref(view);
    metrics_free(metrics);
}

static uint64_t value(const char *text, const char *series)
{
    const char *at = strstr(text, series);
    assert_non_null(at);
    return strtoull(at + strlen(series), NULL, 10);
}

/* Counters of an app do not fall when a process ends, nor when it leaves the views. */
static void test_an_apps_counters_never_fall(void **state)
{
    struct world *world = *state;
    stats_gone_keep(world->stats, 600 * SECOND, 1);
    void *processes[4];
    for (unsigned i = 0; i < 4; i++) {
        processes[i] = attach_as(world, i + 1, "worker", "app", "shop");
        tell_all(world, processes[i], 1);
    }
    for (unsigned gone = 0; gone <= 4; gone++) {
        char *text = page(world, METRICS_APP, false);
        assert_int_equal(value(text, "tally_heap_allocations_total{app=\"shop\"} "), 40);
        assert_int_equal(value(text, "tally_gc_collections_total{app=\"shop\",generation=\"0\"} "), 28);
        if (gone < 4) {
            assert_int_equal(value(text, "tally_heap_live_bytes{app=\"shop\"} "), 96 * (4 - gone));
            assert_int_equal(value(text, "tally_heap_peak_live_bytes{app=\"shop\"} "), 96);
            assert_int_equal(value(text, "tally_gc_enabled{app=\"shop\"} "), 1);
        }
        assert_int_equal(value(text, "tally_process_up{app=\"shop\"} "), 4 - gone);
        LACKS(text, "uid=");
        free(text);
        if (gone < 4)
            end(world, processes[gone]);
    }
    char *text = page(world, METRICS_APP | METRICS_HISTOGRAMS, false);
    assert_int_equal(value(text, "tally_gc_pause_seconds_count{app=\"shop\"} "), 36);
    LACKS(text, "tally_heap_live_bytes{");
    free(text);
}

static void test_apps_that_are_cut_to_one_name_are_one(void **state)
{
    struct world *world = *state;
    char name[160];
    memset(name, 'y', 150);
    snprintf(name + 150, 8, "%s", "1");
    tell_all(world, attach_as(world, 1, name, NULL, NULL), 1);
    snprintf(name + 150, 8, "%s", "2");
    tell_all(world, attach_as(world, 2, name, NULL, NULL), 1);
    char *text = page(world, METRICS_APP, false);
    assert_int_equal(count_of(text, "\ntally_process_up{"), 1);
    free(text);
}

static void test_many_processes_are_shown_by_app_by_themselves(void **state)
{
    struct world *world = *state;
    struct metrics *metrics = metrics_new(0, 0);
    struct metrics_own own;
    void *processes[METRICS_APP_ABOVE + 1];
    const struct { size_t count; bool by_app; } steps[] = {
        {METRICS_APP_ABOVE, false}, {METRICS_APP_ABOVE + 1, true}, {METRICS_APP_UNTIL, true}, {METRICS_APP_UNTIL - 1, false}};
    size_t now = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (; now < steps[i].count; now++)
            processes[now] = attach_as(world, (unsigned)now + 1, "worker", "app", "shop");
        for (; now > steps[i].count; now--)
            end(world, processes[now - 1]);
        publish(world);
        const struct stats_view *view = stats_view_get_new(world->stats);
        char *text = page_of(metrics, view, &own, 0, false, 0), *asked = page_of(metrics, view, &own, METRICS_PROCESS, false, 0);
        assert_int_equal(!strstr(text, "uid="), steps[i].by_app);
        HAS(asked, "uid=");
        free(text);
        free(asked);
        stats_view_unref(view);
    }
    metrics_free(metrics);
}

static void test_what_exceeds_a_limit_is_left_out_whole_and_counted(void **state)
{
    struct world *world = *state;
    struct metrics *metrics = metrics_new(0, 100), *narrow = metrics_new(20, 0);
    struct metrics_own own;
    for (unsigned i = 0; i < 5; i++)
        tell_all(world, attach_as(world, i + 1, "shop", NULL, NULL), 1);
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    char *text = page_of(metrics, view, &own, 0, false, 0);
    size_t each = count_of(text, "uid=\"00000000000000000000000000000001\"");
    assert_int_equal(count_of(text, "\ntally_process_up{"), 2);
    assert_int_equal(own.series, 2 * each);
    assert_int_equal(own.dropped_daemon, 3 * each);
    assert_int_equal(own.dropped_process, 0);
    free(text);
    free(page_of(metrics, view, &own, 0, false, 0));
    assert_int_equal(own.dropped_daemon, 6 * each);
    text = page_of(narrow, view, &own, 0, false, 0);
    assert_int_equal(count_of(text, "uid="), 0);
    assert_int_equal(own.dropped_process, 5 * each);
    HAS(text, "tallyd_series 0\n");
    free(text);
    stats_view_unref(view);
    metrics_free(metrics);
    metrics_free(narrow);
}

/* `count` types "t0" and so on, with as many objects each as objects() says. */
static void tell_types(struct world *world, void *process, unsigned count, uint64_t (*objects)(unsigned), unsigned copies)
{
    struct intake_type types[201] = {{.name = "other"}};
    struct intake_row rows[201] = {{.allocated = 3, .allocated_bytes = 24}};
    char names[200][16];
    for (unsigned i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "t%u", i / copies);
        types[i + 1] = (struct intake_type){.name = names[i], .size_bytes = 8 + 8 * (i % copies)};
        rows[i + 1].allocated = objects(i);
    }
    struct intake_sample sample = {.heap_number = 1, .mono_ns = clock_mono_ns(), .type_count = count + 1, .rows = rows, .types = types};
    world->sink.sample(world->stats, process, &sample);
}

static uint64_t falling(unsigned i)
{
    return 1000 - i;
}
static uint64_t thirty_first(unsigned i) /* those from 15 on swap places with those before */
{
    return i < 15 ? 1000 - i - 15 : i < 30 ? 1100 - i : 1000 - i;
}
static uint64_t far_behind(unsigned i) /* the first ten fall behind all others */
{
    return i < 10 ? 10 - i : 1000 - i;
}

static void test_types_enter_and_leave_with_some_way_between(void **state)
{
    struct world *world = *state;
    struct metrics *metrics = metrics_new(0, 0);
    struct metrics_own own;
    void *process = attach_as(world, 1, "shop", NULL, NULL);
    const struct { uint64_t (*objects)(unsigned); bool first, fourteenth, nineteenth, twentieth; } steps[] = {
        {falling, true, true, true, false}, {thirty_first, true, true, true, true}, {far_behind, false, true, true, true}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        static uint64_t told;
        tell_types(world, process, 100, steps[i].objects, 1);
        publish(world);
        const struct stats_view *view = stats_view_get_new(world->stats);
        char *text = page_of(metrics, view, &own, METRICS_TYPES, false, 0);
        assert_int_equal(strstr(text, "type=\"t0\"") != NULL, steps[i].first);
        assert_int_equal(strstr(text, "type=\"t14\"") != NULL, steps[i].fourteenth);
        assert_int_equal(strstr(text, "type=\"t19\"") != NULL, steps[i].nineteenth);
        assert_int_equal(strstr(text, "type=\"t20\"") != NULL, steps[i].twentieth);
        told = 0;
        for (const char *at = text; (at = strstr(at, "\ntally_type_live_bytes{")); at++)
            told += strtoull(strstr(at, "} ") + 2, NULL, 10);
        assert_int_equal(told, view->processes[0]->figures.live_bytes); /* sums stay true */
        free(text);
        stats_view_unref(view);
    }
    metrics_free(metrics);
}

static void test_types_of_one_name_are_one_series(void **state)
{
    struct world *world = *state;
    tell_types(world, attach_as(world, 1, "shop", NULL, NULL), 10, falling, 2);
    char *text = page(world, METRICS_TYPES, false);
    assert_int_equal(count_of(text, "type=\"t0\""), 2); /* bytes and objects */
    HAS(text, ",type=\"t0\"} 1999\n");
    assert_int_equal(count_of(text, "type=\"other\""), 2);
    free(text);
}

static void test_details_are_words(void **state)
{
    (void)state;
    char why[160];
    unsigned detail;
    assert_true(metrics_detail_parse("", &detail, why, sizeof why));
    assert_int_equal(detail, 0);
    assert_true(metrics_detail_parse("heaps,types,more", &detail, why, sizeof why));
    assert_int_equal(detail, METRICS_HEAPS | METRICS_TYPES | METRICS_MORE);
    assert_false(metrics_detail_parse("typ", &detail, why, sizeof why));
    assert_string_equal(why, "'typ' is none of app, process, heaps, own, histograms, more, types");
    assert_false(metrics_detail_parse("app,,more", &detail, why, sizeof why));
    assert_false(metrics_detail_parse("app,heaps", &detail, why, sizeof why));
    assert_false(metrics_detail_parse("app,types", &detail, why, sizeof why));
    assert_false(metrics_detail_parse("own,more", &detail, why, sizeof why));
    assert_string_equal(why, "own are tallyd's: alone");
}

static void test_openmetrics_is_for_those_who_name_it(void **state)
{
    (void)state;
    assert_false(metrics_accept_open(NULL));
    assert_false(metrics_accept_open(""));
    assert_false(metrics_accept_open("*/*"));
    assert_false(metrics_accept_open("text/plain;version=0.0.4"));
    assert_true(metrics_accept_open("application/openmetrics-text"));
    assert_true(metrics_accept_open("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                                    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    assert_false(metrics_accept_open("application/openmetrics-text;q=0.1, text/plain; q=0.5"));
    assert_false(metrics_accept_open("application/openmetrics-text;q=0"));
    assert_false(metrics_accept_open("application/openmetrics-text;q=,;;,=,q"));
    assert_false(metrics_accept_open("application/openmetrics-texts"));
}

static void test_a_thousand_processes_take_little_time(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 1000; i++)
        tell_all(world, attach_as(world, i + 1, "worker", "app", "shop"), 1);
    struct metrics *metrics = metrics_new(0, 100000);
    struct metrics_own own;
    publish(world);
    const struct stats_view *view = stats_view_get_new(world->stats);
    uint64_t start = clock_mono_ns();
    char *text = page_of(metrics, view, &own, METRICS_PROCESS, true, 0);
    uint64_t took = clock_mono_ns() - start;
    assert_int_equal(count_of(text, "\ntally_process_up{"), 1000);
    print_message("1,000 processes, %zu bytes: %.1f ms\n", strlen(text), (double)took / 1e6);
    assert_true(took < SECOND);
    free(text);
    stats_view_unref(view);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_process_tells_all_in_forty_series),
        WORLD_TEST(test_openmetrics_has_families_and_units),
        WORLD_TEST(test_histograms_are_cumulative),
        WORLD_TEST(test_heaps_have_series_of_their_own),
        WORLD_TEST(test_hostile_text_is_escaped_and_cut),
        WORLD_TEST(test_keys_that_give_one_label_name_give_one_label),
        WORLD_TEST(test_of_the_gone_counters_stay_for_five_minutes),
        WORLD_TEST(test_an_apps_counters_never_fall),
        WORLD_TEST(test_apps_that_are_cut_to_one_name_are_one),
        WORLD_TEST(test_many_processes_are_shown_by_app_by_themselves),
        WORLD_TEST(test_what_exceeds_a_limit_is_left_out_whole_and_counted),
        WORLD_TEST(test_types_enter_and_leave_with_some_way_between),
        WORLD_TEST(test_types_of_one_name_are_one_series),
        cmocka_unit_test(test_details_are_words),
        cmocka_unit_test(test_openmetrics_is_for_those_who_name_it),
        WORLD_TEST(test_a_thousand_processes_take_little_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
