/* The same answers, for people and for programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/show.h"

/* What `show` prints of a body, or answer_print() with --json where it is NULL. Caller frees. */
static char *printed_new(show_fn show, const char *body)
{
    char *text = NULL, *copy = strdup(body);
    size_t bytes = 0;
    struct ctl ctl = {.json = !show, .paper.to = open_memstream(&text, &bytes)};
    struct client_reply reply = {.status = 200, .body = copy, .bytes = strlen(body), .json = json_loads(body, 0, NULL)};
    assert_non_null(ctl.paper.to);
    answer_print(&ctl, &reply, show);
    fclose(ctl.paper.to);
    client_reply_fini(&reply);
    return text;
}

static void check(show_fn show, const char *body, const char *expected)
{
    char *text = printed_new(show, body);
    assert_string_equal(text, expected);
    free(text);
}

static const char list_body[] =
    "{\"processes\":[{\"id\":\"0123456789abcdef0123456789abcdef\",\"pid\":42,\"name\":\"bak\\u001bery\","
    "\"state\":\"live\","
    "\"labels\":{\"team\":\"bread\"},\"live_objects\":7,\"live_bytes\":2048,\"allocations\":100,"
    "\"frees\":{\"refcount\":90,\"cycle\":3},\"collections\":2,\"enabled\":false},"
    "{\"id\":\"ff23456789abcdef0123456789abcdef\",\"pid\":null,\"name\":\"x\",\"state\":\"gone\",\"labels\":{"
    "},"
    "\"enabled\":null}],\"next_cursor\":null}";

static void test_output_text_processes(void **state)
{
    (void)state;
    check(show_processes, list_body,
          "ID        PID  NAME        STATE  OBJECTS    BYTES  ALLOCATED  BY COUNT  BY CYCLE  RUNS  "
          "AUTOMATIC  LABELS\n"
          "01234567   42  bak\\x1bery  live         7  2.0 KiB        100        90         3     2  off     "
          "   team=bread\n"
          "ff234567    -  x           gone         -        -          -         -         -     -  differs  "
          "  -\n");
    check(show_processes, "{\"processes\":[]}", "no processes\n");
}

static void test_output_text_config(void **state)
{
    (void)state;
    check(show_config,
          "{\"enabled\":true,\"manager\":\"generational\",\"thresholds\":[700,10,10],\"debug\":[\"saveall\"],"
          "\"events\":\"all\",\"max_pause_us\":500,\"memory_limit_bytes\":1048576}",
          "AUTOMATIC  MANAGER       THRESHOLDS  DEBUG    EVENTS  MAX PAUSE  MEMORY LIMIT\n"
          "on         generational  700,10,10   saveall  all     500 us     1.0 MiB\n");
    check(show_config,
          "{\"enabled\":null,\"manager\":null,\"thresholds\":null,\"debug\":null,\"events\":null,"
          "\"max_pause_us\":null,\"memory_limit_bytes\":null}",
          "AUTOMATIC  MANAGER  THRESHOLDS  DEBUG    EVENTS   MAX PAUSE  MEMORY LIMIT\n"
          "differs    differs  differs     differs  differs  differs    differs\n");
}

static void test_output_text_collections(void **state)
{
    (void)state;
    check(show_collections,
          "{\"collections\":[{\"heap\":1,\"sequence\":2,\"started_at\":\"T\",\"reason\":\"threshold\","
          "\"generation\":0,\"scope\":\"candidates\",\"pause_ns\":81000,\"slices\":3,\"examined\":9,"
          "\"collected\":4,\"freed_bytes\":96,\"live_bytes_after\":1024,\"safepoint_wait_ns\":0}]}",
          "HEAP  NO  STARTED  REASON     GEN    PAUSE  COLLECTED  FREED  EXAMINED  LIVE AFTER  WAITED  SLICES  SCOPE\n"
          "   1   2  T        threshold    0  81.0 us          4   96 B         9     1.0 KiB    0 ns       3  candidates\n");
}

static void test_output_text_operation(void **state)
{
    (void)state;
    check(show_operation,
          "{\"state\":\"succeeded\",\"pause_ns\":81000,\"safepoint_wait_ns\":1500000,"
          "\"result\":{\"collected\":3,\"freed_bytes\":72}}",
          "collected 3 objects, 72 B, in 81.0 us after waiting 1.50 ms for a safepoint\n");
    check(show_operation, "{\"state\":\"expired\",\"result\":null}", "");
    check(show_operation, "{\"kind\":\"freeze\",\"state\":\"succeeded\",\"result\":{\"frozen\":7}}",
          "7 objects are frozen\n");
    check(show_operation, "{\"kind\":\"find_cycles\",\"state\":\"succeeded\",\"result\":{\"unreachable\":2}}",
          "2 objects are garbage that a full collection would find\n");
    check(show_operation, "{\"kind\":\"garbage_clear\",\"state\":\"succeeded\",\"result\":{\"cleared\":3}}",
          "3 references of the garbage list were given back\n");
    check(show_operation, "{\"kind\":\"baseline\",\"state\":\"succeeded\",\"result\":{\"baseline\":\"0-b1\"}}",
          "baseline 0-b1\n");
}

static void test_output_text_listing(void **state)
{
    (void)state;
    check(show_listing,
          "{\"garbage\":[{\"heap\":1,\"index\":4,\"object\":17,\"type\":\"no\\u001bde\",\"bytes\":32,\"references\":2,"
          "\"generation\":2},{\"heap\":1,\"index\":5,\"object\":18,\"type\":null,\"bytes\":8,\"references\":1,"
          "\"generation\":\"frozen\"}],\"complete\":true}",
          "HEAP  INDEX  OBJECT  TYPE      BYTES  REFERENCES  GENERATION\n"
          "   1      4      17  no\\x1bde   32 B           2  2\n"
          "   1      5      18  ?           8 B           1  frozen\n");
    check(show_listing,
          "{\"cycles\":[{\"heap\":1,\"count\":3,\"objects\":6,\"bytes\":96,\"shape\":\"a.b -> b.a\"}],\"complete\":false}",
          "HEAP  CYCLES  OBJECTS  BYTES  SHAPE\n"
          "   1       3        6   96 B  a.b -> b.a\n"
          "There are more, or a heap gave no answer: --json says where each goes on.\n");
    check(show_forecast,
          "{\"collect\":[],\"snapshot\":{\"mode\":\"clone\",\"pause_ns\":2000,\"objects\":7,\"bytes\":168,\"allowed\":false,"
          "\"reason\":\"vetoed\"}}",
          "no collection can be foreseen\n"
          "\na snapshot (clone) would pause it for 2.00 us and hold 7 objects, in about 168 B\n"
          "it would be refused: vetoed\n");
    check(show_types,
          "{\"baseline\":{},\"types\":[{\"name\":\"node\",\"since_baseline\":{\"live_objects\":-3,\"live_bytes\":48}}]}",
          "TYPE    SIZE  OBJECTS  BYTES  ALLOCATED  BY COUNT  BY CYCLE  TRACKED  OBJECTS SINCE  BYTES SINCE\n"
          "node  varies        -      -          -         -         -  no                  -3          +48\n");
}

static void test_output_text_stats_has_the_catalogues_words(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    struct paper paper = {.to = open_memstream(&text, &bytes)};
    json_t *json = json_loads("{\"name\":\"bakery\",\"state\":\"live\",\"complete\":false,\"safepoint_age_ns\":"
                           "1400000,\"live_bytes\":2048,"
                           "\"frees\":{\"cycle\":3},\"generations\":[{\"collections\":1,\"collected\":3,"
                           "\"uncollectable\":0}],"
                           "\"enabled\":true,\"manager\":\"generational\",\"thresholds\":[1,2,3],\"debug\":[]"
                           ",\"events\":{\"level\":\"off\"},\"max_pause_us\":0,\"memory_limit_bytes\":0}",
                           0, NULL);
    json_t *fields = json_loads("[{\"path\":\"live_bytes\",\"unit\":\"bytes\",\"label\":\"Live bytes\"},"
                                "{\"path\":\"frees.cycle\",\"unit\":\"objects\",\"label\":\"Freed\"},"
                                "{\"path\":\"not.there\",\"unit\":\"objects\",\"label\":\"Missing\"}]",
                                0, NULL);
    assert_non_null(json);
    show_stats(&paper, json, fields);
    fclose(paper.to);
    assert_string_equal(text,
                        "bakery (live), last safepoint 1.40 ms ago, incomplete: not every event was seen\n\n"
                        "FIGURE        VALUE  UNIT\n"
                        "Live bytes  2.0 KiB\n"
                        "Freed             3  objects\n\n"
                        "GENERATION  COLLECTIONS  COLLECTED  UNCOLLECTABLE\n"
                        "         0            1          3              0\n\n"
                        "AUTOMATIC  MANAGER       THRESHOLDS  DEBUG  EVENTS  MAX PAUSE  MEMORY LIMIT\n"
                        "on         generational  1,2,3       none   off     none       none\n");
    free(text);
    json_decref(fields);
    json_decref(json);
}

static void test_output_text_survives_strange_answers(void **state)
{
    (void)state;
    static const char *const strange[] = {
        "{}",
        "{\"processes\":[{}],\"types\":[{}],\"collections\":[{}],\"result\":7,\"state\":\"succeeded\","
        "\"debug\":7}",
        "{\"processes\":[7,null],\"types\":[7],\"collections\":[[]],\"url\":5,\"thresholds\":[null,\"x\"],"
        "\"events\":{}}",
        "{\"cycles\":7,\"objects\":[7,{},{\"generation\":[]}],\"garbage\":{},\"referrers\":[[]],\"kind\":\"freeze\","
        "\"state\":\"succeeded\",\"baseline\":7,\"types\":[{}]}",
        "{\"series\":[7,{\"last\":7}],\"at\":[1,\"x\"],\"records\":[7],\"alerts\":[[]],\"operations\":{},\"rules\":[{"
        "\"when\":7},7],"
        "\"collect\":[7],\"snapshot\":{\"mode\":7},\"growing\":[{}],\"path\":[7,{}],\"heaps\":[7,{}],\"post_mortem\":{"
        "\"exit\":{}},"
        "\"gone_at\":\"T\",\"labels\":{\"a\":7},\"limits\":{\"a\":[]},\"tokens\":[{\"scopes\":[7]}],\"artifacts\":[7],"
        "\"edges\":{},"
        "\"dominator\":7,\"degraded\":[7],\"refused\":[7]}",
        "{\"processes\":7,\"types\":{},\"collections\":null,\"state\":{}}",
    };
    static const show_fn shows[] = {show_processes,
                                    show_process,
                                    show_types,
                                    show_collections,
                                    show_config,
                                    show_events,
                                    show_listing,
                                    show_operation,
                                    show_operations,
                                    show_batch,
                                    show_history,
                                    show_known_processes,
                                    show_known_alerts,
                                    show_audit,
                                    show_purged,
                                    show_info,
                                    show_health,
                                    show_link,
                                    show_tokens,
                                    show_token,
                                    show_secret,
                                    show_findings,
                                    show_rules,
                                    show_rule_series,
                                    show_rule_states,
                                    show_alerts,
                                    show_suspects,
                                    show_forecast,
                                    show_baselines,
                                    show_compared,
                                    show_artifacts,
                                    show_artifact,
                                    show_artifact_types,
                                    show_artifact_objects,
                                    show_artifact_object,
                                    show_artifact_links,
                                    show_path};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        for (size_t j = 0; j < sizeof shows / sizeof shows[0]; j++)
            free(printed_new(shows[j], strange[i]));
}

static void test_output_json_is_the_body_on_one_line(void **state)
{
    (void)state;
    check(NULL, "{\"processes\":[]}", "{\"processes\":[]}\n");
    check(NULL, "{\n\"a\":\"\x7f\xc2\x9b\xc3\xbc\"\r\n}\n",
          "{\"a\":\"\\u007f\\u009b\xc3\xbc\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_text_processes),
        cmocka_unit_test(test_output_text_config),
        cmocka_unit_test(test_output_text_collections),
        cmocka_unit_test(test_output_text_operation),
        cmocka_unit_test(test_output_text_listing),
        cmocka_unit_test(test_output_text_stats_has_the_catalogues_words),
        cmocka_unit_test(test_output_text_survives_strange_answers),
        cmocka_unit_test(test_output_json_is_the_body_on_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
