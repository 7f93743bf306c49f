/* Programs, their types, collections and objects, for people. */
#include "tallyctl/show.h"

#include <stdlib.h>
#include <string.h>

#include "tallyctl/columns.h"
#include "tallyctl/text.h"

void show_processes(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {
        {"ID", "id", COLUMN_ID, NULL}, {">PID", "pid", COLUMN_NUMBER, NULL}, {"NAME", "name", COLUMN_TEXT, ""},
        {"STATE", "state", COLUMN_STATE, ""}, {">OBJECTS", "live_objects", COLUMN_NUMBER, NULL},
        {">BYTES", "live_bytes", COLUMN_BYTES, NULL}, {">ALLOCATED", "allocations", COLUMN_NUMBER, NULL},
        {">BY COUNT", "frees.refcount", COLUMN_NUMBER, NULL}, {">BY CYCLE", "frees.cycle", COLUMN_NUMBER, NULL},
        {">RUNS", "collections", COLUMN_NUMBER, NULL}, {"AUTOMATIC", "enabled", COLUMN_SWITCH, NULL},
        {"LABELS", "labels", COLUMN_JOINED, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "processes"), "no processes");
}

/* ---- one of them */

static void say_exit(const struct paper *paper, const json_t *exit)
{
    if (!json_is_object(exit))
        return;
    if (strcmp(client_text(exit, "kind"), "exit") == 0)
        fprintf(paper->to, ", with status %llu", (unsigned long long)client_number(exit, "code"));
    else
        columns_say(paper, ", by ", *client_text(exit, "name") ? client_text(exit, "name") : "a signal", "");
}

static void show_post_mortem(const struct paper *paper, const json_t *mortem)
{
    static const struct column heaps[] = {{">HEAP", "n", COLUMN_NUMBER, NULL},
                                          {"WAS", "was", COLUMN_TEXT, NULL},
                                          {"ENDED BEFORE", "gone_before", COLUMN_YES, NULL}};
    COLUMNS_PRINT(paper, heaps, json_object_get(mortem, "heaps"), "It had no heap.");
    fputs("\nIts last collections:\n", paper->to);
    json_t *list = json_pack("{s:O?}", "collections", json_object_get(mortem, "last_collections"));
    show_collections(paper, list);
    json_decref(list);
}

void show_process(const struct paper *paper, const json_t *json)
{
    static const struct column rows[] = {{">HEAP", "n", COLUMN_NUMBER, NULL},
                                         {"STATE", "state", COLUMN_TEXT, NULL},
                                         {">OBJECTS", "live_objects", COLUMN_NUMBER, NULL},
                                         {">BYTES", "live_bytes", COLUMN_BYTES, NULL}};
    char age[TEXT_FIGURE_MAX];
    columns_say(paper, "", client_text(json, "name"), "");
    columns_say(paper, " (", client_text(json, "state"), ")");
    if (json_is_integer(json_object_get(json, "pid")))
        fprintf(paper->to, ", pid %llu", (unsigned long long)client_number(json, "pid"));
    fprintf(paper->to, ", uid %llu", (unsigned long long)client_number(json, "uid"));
    columns_say(paper, ", id ", client_text(json, "id"), "\n");
    columns_say(paper, "libtally ", client_text(json, "library"), "");
    columns_say(paper, ", attached to this tallyd since ", client_text(json, "attached_at"), "");
    fprintf(paper->to, ", last safepoint %s ago\n", text_duration(age, client_number(json, "safepoint_age_ns")));
    if (*client_text(json, "gone_at")) {
        columns_say(paper, "gone since ", client_text(json, "gone_at"), "");
        columns_say(paper, " (", client_text(json, "end"), ")");
        say_exit(paper, client_member(json, "post_mortem.exit"));
        putc('\n', paper->to);
    }
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(json, "labels"), key, value) {
        columns_say(paper, "label ", key, "=");
        columns_say(paper, "", json_is_string(value) ? json_string_value(value) : "", "\n");
    }
    putc('\n', paper->to);
    COLUMNS_PRINT(paper, rows, json_object_get(json, "heaps"), "no heaps");
    if (json_is_object(json_object_get(json, "post_mortem"))) {
        putc('\n', paper->to);
        show_post_mortem(paper, json_object_get(json, "post_mortem"));
    }
}

/* ---- figures and configuration */

/* A limit in units of `scale` of what `figure` prints; 0 is none. */
static void cell_limit(struct table *table, const json_t *value,
                       const char *(*figure)(char out[TEXT_FIGURE_MAX], uint64_t), uint64_t scale)
{
    char text[TEXT_FIGURE_MAX];
    uint64_t limit = (uint64_t)json_integer_value(value);
    if (!json_is_integer(value))
        table_cell(table, "differs");
    else
        table_cell(table, "%s", limit ? figure(text, limit * scale) : "none");
}

/* Nothing where it is off, as it is but for those who look for a fault. */
static void print_stress(const struct paper *paper, const json_t *stress)
{
    unsigned long long nth = client_number(stress, "nth");
    if (nth)
        fprintf(paper->to, "stress: a collection at every allocation, or every so many: %llu\n", nth);
    if (json_is_true(json_object_get(stress, "every_decref")))
        fputs("stress: a collection at every reference given back that leaves a count\n", paper->to);
}

void show_config(const struct paper *paper, const json_t *json)
{
    static const char *const headings[] = {"AUTOMATIC", "MANAGER",   "THRESHOLDS",  "DEBUG",
                                           "EVENTS",    "MAX PAUSE", "MEMORY LIMIT"};
    const json_t *events = json_object_get(json, "events");
    const json_t *level = json_is_object(events) ? json_object_get(events, "level") : events;
    const struct column columns[] = {
        {"", "enabled", COLUMN_SWITCH, NULL},
        {"", "manager", COLUMN_TEXT, "differs"},
        {"", "thresholds", COLUMN_JOINED, "differs"},
        {"", "debug", COLUMN_JOINED, json_is_array(json_object_get(json, "debug")) ? "none" : "differs"}};
    struct table *table = table_new(headings, sizeof headings / sizeof *headings);
    columns_row(table, columns, sizeof columns / sizeof *columns, json);
    table_cell(table, "%s", json_is_string(level) ? json_string_value(level) : "differs");
    cell_limit(table, json_object_get(json, "max_pause_us"), text_duration, 1000);
    cell_limit(table, json_object_get(json, "memory_limit_bytes"), text_bytes, 1);
    table_print_free(table, paper);
    print_stress(paper, json_object_get(json, "stress"));
}

static void print_generations(const struct paper *paper, const json_t *generations)
{
    static const char *const headings[] = {">GENERATION", ">COLLECTIONS", ">COLLECTED", ">UNCOLLECTABLE"};
    static const struct column columns[] = {{"", "collections", COLUMN_NUMBER, NULL},
                                            {"", "collected", COLUMN_NUMBER, NULL},
                                            {"", "uncollectable", COLUMN_NUMBER, NULL}};
    struct table *table = table_new(headings, 4);
    size_t i;
    json_t *generation;
    json_array_foreach((json_t *)generations, i, generation) {
        table_cell(table, "%zu", i);
        columns_row(table, columns, 3, generation);
    }
    table_print_free(table, paper);
}

/* The catalogue's figures, with the unit where it is not part of the figure. */
static void print_figures(const struct paper *paper, const json_t *json, const json_t *fields)
{
    static const char *const headings[] = {"FIGURE", ">VALUE", "UNIT"};
    char figure[TEXT_FIGURE_MAX];
    struct table *table = table_new(headings, 3);
    size_t i;
    json_t *field;
    json_array_foreach((json_t *)fields, i, field) {
        const char *path = client_text(field, "path"), *unit = client_text(field, "unit");
        if (!json_is_integer(client_member(json, path)))
            continue;
        table_cell(table, "%s", client_text(field, "label"));
        table_cell(table, "%s", columns_figure(figure, client_number(json, path), unit));
        table_cell(table, "%s", text_has_word("bytes nanoseconds", ' ', unit) ? "" : unit);
    }
    table_print_free(table, paper);
}

void show_stats(const struct paper *paper, const json_t *json, const json_t *fields)
{
    char age[TEXT_FIGURE_MAX];
    columns_say(paper, "", client_text(json, "name"), "");
    columns_say(paper, " (", client_text(json, "state"), ")");
    if (json_object_get(json, "n"))
        fprintf(paper->to, ", heap %llu", (unsigned long long)client_number(json, "n"));
    fprintf(paper->to, ", last safepoint %s ago%s\n\n", text_duration(age, client_number(json, "safepoint_age_ns")),
            json_is_false(json_object_get(json, "complete")) ? ", incomplete: not every event was seen" : "");
    print_figures(paper, json, fields);
    putc('\n', paper->to);
    print_generations(paper, json_object_get(json, "generations"));
    putc('\n', paper->to);
    show_config(paper, json);
}

/* ---- types, collections, events */

/* The last two columns stand beside a baseline alone. */
void show_types(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"TYPE", "name", COLUMN_TEXT, NULL},
                                            {">SIZE", "size_bytes", COLUMN_BYTES, "varies"},
                                            {">OBJECTS", "live_objects", COLUMN_NUMBER, NULL},
                                            {">BYTES", "live_bytes", COLUMN_BYTES, NULL},
                                            {">ALLOCATED", "allocations", COLUMN_NUMBER, NULL},
                                            {">BY COUNT", "frees.refcount", COLUMN_NUMBER, NULL},
                                            {">BY CYCLE", "frees.cycle", COLUMN_NUMBER, NULL},
                                            {"TRACKED", "tracked", COLUMN_YES, NULL},
                                            {">OBJECTS SINCE", "since_baseline.live_objects", COLUMN_SIGNED, NULL},
                                            {">BYTES SINCE", "since_baseline.live_bytes", COLUMN_SIGNED, NULL}};
    bool since = json_object_get(json, "baseline");
    columns_print(paper, columns, sizeof columns / sizeof *columns - (since ? 0 : 2), json_object_get(json, "types"),
                  "no types yet");
}

void show_collections(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {
        {">HEAP", "heap", COLUMN_NUMBER, NULL},           {">NO", "sequence", COLUMN_NUMBER, NULL},
        {"STARTED", "started_at", COLUMN_TEXT, NULL},     {"REASON", "reason", COLUMN_TEXT, NULL},
        {">GEN", "generation", COLUMN_NUMBER, NULL},      {">PAUSE", "pause_ns", COLUMN_NS, NULL},
        {">COLLECTED", "collected", COLUMN_NUMBER, NULL}, {">FREED", "freed_bytes", COLUMN_BYTES, NULL},
        {">EXAMINED", "examined", COLUMN_NUMBER, NULL},   {">LIVE AFTER", "live_bytes_after", COLUMN_BYTES, NULL},
        {">WAITED", "safepoint_wait_ns", COLUMN_NS, NULL}, {">SLICES", "slices", COLUMN_NUMBER, NULL},
        {"SCOPE", "scope", COLUMN_TEXT, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "collections"), "no collections yet");
}

void show_events(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{">HEAP", "heap", COLUMN_NUMBER, NULL},
                                            {"KIND", "kind", COLUMN_TEXT, NULL},
                                            {"TYPE", "type", COLUMN_TEXT, NULL},
                                            {">BYTES", "bytes", COLUMN_BYTES, NULL},
                                            {">OBJECT", "object", COLUMN_NUMBER, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "events"), "no events");
    if (client_number(json, "missed") || client_number(json, "lost"))
        fprintf(paper->to, "%llu more came too fast, %llu were overwritten before they were read\n",
                (unsigned long long)client_number(json, "missed"), (unsigned long long)client_number(json, "lost"));
}

/* ---- what heaps list */

void show_listing(const struct paper *paper, const json_t *json)
{
    static const struct column cycles[] = {{">HEAP", "heap", COLUMN_NUMBER, NULL},
                                           {">CYCLES", "count", COLUMN_NUMBER, NULL},
                                           {">OBJECTS", "objects", COLUMN_NUMBER, NULL},
                                           {">BYTES", "bytes", COLUMN_BYTES, NULL},
                                           {"SHAPE", "shape", COLUMN_TEXT, "?"}};
    static const struct column objects[] = {
        {">HEAP", "heap", COLUMN_NUMBER, NULL},         {">INDEX", "index", COLUMN_NUMBER, NULL},
        {">OBJECT", "object", COLUMN_NUMBER, NULL},     {"TYPE", "type", COLUMN_TEXT, "?"},
        {">BYTES", "bytes", COLUMN_BYTES, NULL},        {">REFERENCES", "references", COLUMN_NUMBER, NULL},
        {"GENERATION", "generation", COLUMN_TEXT, NULL}};
    static const struct column candidates[] = {{">HEAP", "heap", COLUMN_NUMBER, NULL},
                                               {"TYPE", "type", COLUMN_TEXT, "?"},
                                               {">CANDIDATES", "candidates", COLUMN_NUMBER, NULL},
                                               {">SURVIVED", "survived", COLUMN_NUMBER, NULL}};
    static const char *const names[] = {"objects", "garbage", "referrers"};
    if (json_object_get(json, "candidates"))
        COLUMNS_PRINT(paper, candidates, json_object_get(json, "candidates"), "nobody waits");
    if (json_object_get(json, "cycles"))
        COLUMNS_PRINT(paper, cycles, json_object_get(json, "cycles"), "no garbage cycles were found yet");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(json, names[i]))
            COLUMNS_PRINT(paper, objects, json_object_get(json, names[i]), "none");
    if (json_is_false(json_object_get(json, "complete")))
        fputs("There are more, or a heap gave no answer: --json says where each goes on.\n", paper->to);
}
