/* What was asked of programs, and what was, for people. */
#include "tallyctl/show.h"

#include <string.h>

#include "tallyctl/columns.h"
#include "tallyctl/text.h"

/* What a finished operation came to; what became of the others is the command's to say. */
void show_operation(const struct paper *paper, const json_t *json)
{
    static const struct { const char *kind, *path, *sentence; } counts[] = {
        {"freeze", "result.frozen", "objects are frozen"},
        {"unfreeze", "result.frozen", "objects are frozen"},
        {"garbage_clear", "result.cleared", "references of the garbage list were given back"},
        {"find_cycles", "result.unreachable", "objects are garbage that a full collection would find"}};
    const char *kind = client_text(json, "kind");
    char pause[TEXT_FIGURE_MAX], wait[TEXT_FIGURE_MAX], freed[TEXT_FIGURE_MAX];
    if (strcmp(client_text(json, "state"), "succeeded") != 0)
        return;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(kind, counts[i].kind))
            fprintf(paper->to, "%llu %s\n", (unsigned long long)client_number(json, counts[i].path), counts[i].sentence);
    if (!strcmp(kind, "baseline"))
        columns_say(paper, "baseline ", client_text(json, "result.baseline"), "\n");
    if (!json_is_integer(client_member(json, "result.collected")))
        return;
    fprintf(paper->to, "collected %llu objects, %s, in %s after waiting %s for a safepoint\n",
            (unsigned long long)client_number(json, "result.collected"),
            text_bytes(freed, client_number(json, "result.freed_bytes")),
            text_duration(pause, client_number(json, "pause_ns")),
            text_duration(wait, client_number(json, "safepoint_wait_ns")));
}

void show_operations(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {
        {"OPERATION", "id", COLUMN_TEXT, NULL},       {"KIND", "kind", COLUMN_TEXT, NULL},
        {"PROCESS", "process", COLUMN_ID, "batch"},   {"STATE", "state", COLUMN_STATE, NULL},
        {"CREATED", "created_at", COLUMN_TEXT, NULL}, {">WAITED", "safepoint_wait_ns", COLUMN_NS, NULL},
        {">PAUSE", "pause_ns", COLUMN_NS, NULL},      {"DETAIL", "detail", COLUMN_TEXT, ""}};
    const json_t *list = json_object_get(json, "operations");
    json_t *one = list ? NULL : json_pack("[O]", json);
    COLUMNS_PRINT(paper, columns, list ? list : one, "no operations");
    json_decref(one);
}

/* A batch: what each process came to. */
void show_batch(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"PROCESS", "id", COLUMN_ID, NULL},
                                            {"STATE", "state", COLUMN_STATE, NULL},
                                            {">COLLECTED", "result.collected", COLUMN_NUMBER, ""},
                                            {">FREED", "result.freed_bytes", COLUMN_BYTES, ""},
                                            {">FROZEN", "result.frozen", COLUMN_NUMBER, ""},
                                            {">CLEARED", "result.cleared", COLUMN_NUMBER, ""},
                                            {"DETAIL", "detail", COLUMN_TEXT, ""}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "processes"), "no processes: the selector fits none");
}

/* A point of a series: its last value, and what it ranged over where it did. */
static void cell_point(struct table *table, const json_t *series, size_t at)
{
    char last[TEXT_FIGURE_MAX], least[TEXT_FIGURE_MAX], most[TEXT_FIGURE_MAX];
    const char *unit = client_text(series, "unit");
    const json_t *value = json_array_get(json_object_get(series, "last"), at);
    uint64_t low = (uint64_t)json_integer_value(json_array_get(json_object_get(series, "min"), at));
    uint64_t high = (uint64_t)json_integer_value(json_array_get(json_object_get(series, "max"), at));
    if (!json_is_integer(value))
        table_cell(table, "-");
    else if (json_is_array(json_object_get(series, "min")) && low != high)
        table_cell(table, "%s (%s..%s)", columns_figure(last, (uint64_t)json_integer_value(value), unit),
                   columns_figure(least, low, unit), columns_figure(most, high, unit));
    else
        table_cell(table, "%s", columns_figure(last, (uint64_t)json_integer_value(value), unit));
}

#define HISTORY_COLUMNS 16u
void show_history(const struct paper *paper, const json_t *json)
{
    const char *headings[HISTORY_COLUMNS + 1] = {"TIME"};
    char names[HISTORY_COLUMNS][80];
    const json_t *list = json_object_get(json, "series"), *times = json_object_get(json, "at");
    size_t columns = json_array_size(list) < HISTORY_COLUMNS ? json_array_size(list) : HISTORY_COLUMNS;
    for (size_t i = 0; i < columns; i++) {
        names[i][0] = '>';
        text_fit(names[i] + 1, sizeof names[i] - 1, client_text(json_array_get(list, i), "name"), 60, false);
        headings[i + 1] = names[i];
    }
    struct table *table = table_new(headings, columns + 1);
    bool begun = false; /* nothing is known before */
    for (size_t at = 0; at < json_array_size(times); at++) {
        for (size_t i = 0; i < columns; i++)
            begun |= json_is_integer(json_array_get(json_object_get(json_array_get(list, i), "last"), at));
        if (!begun)
            continue;
        char text[TEXT_FIGURE_MAX];
        table_cell(table, "%s", text_moment(text, json_integer_value(json_array_get(times, at))));
        for (size_t i = 0; i < columns; i++)
            cell_point(table, json_array_get(list, i), at);
    }
    table_print_free(table, paper);
    if (!begun)
        fputs("nothing is known of that time\n", paper->to);
    if (json_is_false(json_object_get(json, "complete")))
        fputs("\nincomplete: tallyd did not watch all the time, or has forgotten the beginning\n", paper->to);
}

void show_known_processes(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {
        {"ID", "id", COLUMN_TEXT, NULL},          {">PID", "pid", COLUMN_NUMBER, NULL},
        {"NAME", "name", COLUMN_TEXT, ""},        {"ATTACHED", "attached_at", COLUMN_TEXT, NULL},
        {"GONE", "gone_at", COLUMN_TEXT, NULL},   {"END", "end", COLUMN_TEXT, NULL},
        {"LABELS", "labels", COLUMN_JOINED, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "processes"), "history knows no process");
}

void show_known_alerts(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"TIME", "at", COLUMN_TEXT, NULL},
                                            {"RULE", "rule", COLUMN_TEXT, NULL},
                                            {"STATE", "state", COLUMN_STATE, NULL},
                                            {"PROCESS", "process", COLUMN_ID, NULL},
                                            {"TYPE", "type", COLUMN_TEXT, NULL},
                                            {">VALUE", "value", COLUMN_NUMBER, NULL},
                                            {">THRESHOLD", "threshold", COLUMN_NUMBER, NULL},
                                            {"DETAIL", "detail", COLUMN_TEXT, ""}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "alerts"), "no alerts were recorded");
}

void show_audit(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"TIME", "at", COLUMN_TEXT, ""},       {"WHO", "who", COLUMN_TEXT, ""},
                                            {"WHAT", "kind", COLUMN_TEXT, ""},     {"RESULT", "result", COLUMN_STATE, ""},
                                            {"TARGET", "target", COLUMN_TEXT, ""}, {"FROM", "from", COLUMN_TEXT, ""},
                                            {"CODE", "code", COLUMN_TEXT, ""},     {"DETAIL", "detail", COLUMN_TEXT, ""}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "records"), "no records");
}

void show_purged(const struct paper *paper, const json_t *json)
{
    fprintf(paper->to, "%llu rows were forgotten%s\n", (unsigned long long)client_number(json, "rows"),
            json_is_false(json_object_get(json, "done")) ? " so far; it goes on" : "");
}
