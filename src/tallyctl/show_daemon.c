/* tallyd itself, its tokens and rules, for people. */
#include "tallyctl/show.h"

#include <stdlib.h>
#include <string.h>

#include "tallyctl/columns.h"
#include "tallyctl/text.h"

static void line(const struct paper *paper, const char *name, const char *text)
{
    fprintf(paper->to, "%-12s", name);
    columns_say(paper, "", text, "\n");
}

static void show_refused(const struct paper *paper, const json_t *refused)
{
    static const struct column columns[] = {{"REFUSED BECAUSE", "reason", COLUMN_TEXT, NULL},
                                            {">TIMES", "count", COLUMN_NUMBER, NULL},
                                            {"LAST", "last_at", COLUMN_TEXT, NULL},
                                            {">PID", "last_pid", COLUMN_NUMBER, NULL},
                                            {">UID", "last_uid", COLUMN_NUMBER, NULL}};
    if (json_array_size(refused) == 0)
        return;
    putc('\n', paper->to);
    COLUMNS_PRINT(paper, columns, refused, "");
}

void show_info(const struct paper *paper, const json_t *json)
{
    char figure[TEXT_FIGURE_MAX], size[TEXT_FIGURE_MAX];
    const json_t *history = json_object_get(json, "history");
    fprintf(paper->to, "%-12s", "tallyd");
    columns_say(paper, "", client_text(json, "version"), "");
    fprintf(paper->to, ", pid %llu, up %s", (unsigned long long)client_number(json, "pid"),
            text_duration(figure, client_number(json, "uptime_ns")));
    columns_say(paper, ", since ", client_text(json, "started_at"), "\n");
    line(paper, "mode", client_text(json, "mode"));
    line(paper, "http", client_text(json, "http"));
    line(paper, "runtime", client_text(json, "runtime_dir"));
    line(paper, "state", client_text(json, "state_dir"));
    fprintf(paper->to, "%-12s%llu live, %llu gone\n", "processes",
            (unsigned long long)client_number(json, "processes.live"),
            (unsigned long long)client_number(json, "processes.gone"));
    if (json_is_false(json_object_get(history, "figures")))
        line(paper, "history", "off");
    else if (json_is_true(json_object_get(history, "degraded")))
        line(paper, "history", client_text(history, "why"));
    else
        fprintf(paper->to, "%-12s%s of %s\n", "history", text_bytes(figure, client_number(history, "bytes")),
                text_bytes(size, client_number(history, "size_bytes")));
    line(paper, "service", *client_text(json, "service") ? client_text(json, "service") : "none looks after it");
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(json, "limits"), key, value) {
        columns_say(paper, "limit       ", key, ": ");
        fprintf(paper->to, "%lld\n", (long long)json_integer_value(value));
    }
    show_refused(paper, json_object_get(json, "refused"));
}

void show_health(const struct paper *paper, const json_t *json)
{
    size_t i;
    json_t *what;
    columns_say(paper, "", client_text(json, "status"), "");
    json_array_foreach(json_object_get(json, "degraded"), i, what)
        columns_say(paper, i ? ", " : ": ", json_is_string(what) ? json_string_value(what) : "", "");
    putc('\n', paper->to);
}

void show_session(const struct paper *paper, const json_t *json)
{
    size_t i;
    json_t *scope;
    columns_say(paper, "", client_text(json, "who"), " may: ");
    json_array_foreach(json_object_get(json, "scopes"), i, scope)
        columns_say(paper, i ? ", " : "", json_is_string(scope) ? json_string_value(scope) : "", "");
    fputs(json_is_true(json_object_get(json, "remote_control_off")) ? " (tallyd runs without --remote-control)\n" : "\n",
          paper->to);
}

void show_link(const struct paper *paper, const json_t *json)
{
    columns_say(paper, "", client_text(json, "url"), "\n");
}

static void print_tokens(const struct paper *paper, const json_t *tokens)
{
    static const char *const headings[] = {"NAME", "SCOPES", "CREATED", "EXPIRES", "USED"};
    static const struct column first[] = {
        {"", "name", COLUMN_TEXT, NULL}, {"", "scopes", COLUMN_JOINED, ""}, {"", "created_at", COLUMN_TEXT, ""}};
    static const struct column last[] = {{"", "used_at", COLUMN_TEXT, "not since the start"}};
    struct table *table = table_new(headings, sizeof headings / sizeof *headings);
    size_t i;
    json_t *token;
    json_array_foreach((json_t *)tokens, i, token) {
        const char *expires = client_text(token, "expires_at");
        columns_row(table, first, sizeof first / sizeof *first, token);
        table_cell(table, "%s%s", *expires ? expires : "never",
                   json_is_true(json_object_get(token, "expired")) ? " (it has)" : "");
        columns_row(table, last, 1, token);
    }
    table_print_free(table, paper);
}

void show_tokens(const struct paper *paper, const json_t *json)
{
    const json_t *tokens = json_object_get(json, "tokens");
    if (json_array_size(tokens))
        print_tokens(paper, tokens);
    else
        fputs("no tokens but tallyd's own\n", paper->to);
}

void show_token(const struct paper *paper, const json_t *json)
{
    json_t *one = json_pack("[O]", json);
    print_tokens(paper, one);
    json_decref(one);
}

void show_secret(const struct paper *paper, const json_t *json)
{
    columns_say(paper, "", client_text(json, "token"), "\n");
}

void show_findings(const struct paper *paper, const json_t *json)
{
    size_t i;
    json_t *finding;
    json_array_foreach((json_t *)json, i, finding) {
        const char *advice = client_text(finding, "advice"), *level = client_text(finding, "level");
        const char *paint = strcmp(level, "ok") == 0 ? "32" : strcmp(level, "warn") == 0 ? "33" : "31";
        fprintf(paper->to, paper->colour ? "\033[%sm%-4s\033[m  " : "%.0s%-4s  ", paint, level);
        columns_say(paper, "", client_text(finding, "finding"), *advice ? ": " : "");
        columns_say(paper, "", advice, "\n");
    }
}

/* ---- rules */

/* "live_bytes grows by 20% over 10s": what a rule watches. Caller frees. */
static char *condition(const json_t *when)
{
    static const char *const words[] = {"above", "below", "grows_by"};
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return NULL;
    fputs(client_text(when, "series"), to);
    if (*client_text(when, "type"))
        fprintf(to, " of %s", client_text(when, "type"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const json_t *value = json_object_get(when, words[i]);
        if (json_is_string(value))
            fprintf(to, " %s %s", i == 2 ? "grows by" : words[i], json_string_value(value));
        else if (json_is_number(value))
            fprintf(to, " %s %.15g", i == 2 ? "grows by" : words[i], json_number_value(value));
    }
    if (json_is_true(json_object_get(when, "grows_steadily")))
        fputs(" grows steadily", to);
    if (*client_text(when, "over"))
        fprintf(to, " over %s", client_text(when, "over"));
    fclose(to);
    return text;
}

void show_rules(const struct paper *paper, const json_t *json)
{
    static const char *const headings[] = {"RULE", "STATE", ">FIRING", ">CONTROLS", "ON", "CONDITION", "LAST ERROR"};
    static const struct column columns[] = {{"", "name", COLUMN_TEXT, NULL},
                                            {"", "status.state", COLUMN_STATE, NULL},
                                            {"", "status.processes.firing", COLUMN_NUMBER, "0"},
                                            {"", "status.controls", COLUMN_NUMBER, "0"},
                                            {"", "enabled", COLUMN_YES, NULL}};
    size_t i;
    json_t *rule;
    if (json_array_size(json_object_get(json, "rules")) == 0) {
        fputs("no rules: tallyctl rules put makes one\n", paper->to);
        return;
    }
    struct table *table = table_new(headings, sizeof headings / sizeof *headings);
    json_array_foreach(json_object_get(json, "rules"), i, rule) {
        char *when = condition(json_object_get(rule, "when"));
        columns_row(table, columns, sizeof columns / sizeof *columns, rule);
        table_cell(table, "%s", when ? when : "");
        table_cell(table, "%s", client_text(rule, "status.last_error"));
        free(when);
    }
    table_print_free(table, paper);
}

void show_rule_series(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {
        {"SERIES", "name", COLUMN_TEXT, NULL}, {"UNIT", "unit", COLUMN_TEXT, ""}, {"WHAT IT IS", "help", COLUMN_TEXT, ""}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "series"), "none");
}

void show_rule_states(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"PROCESS", "process", COLUMN_ID, NULL},
                                            {"STATE", "state", COLUMN_STATE, NULL},
                                            {"SINCE", "since", COLUMN_TEXT, NULL},
                                            {">VALUE", "value", COLUMN_NUMBER, NULL},
                                            {"TYPE", "type", COLUMN_TEXT, NULL}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "states"), "it holds of no process");
}

void show_alerts(const struct paper *paper, const json_t *json)
{
    static const struct column columns[] = {{"STATE", "state", COLUMN_STATE, NULL},
                                            {"RULE", "rule", COLUMN_TEXT, NULL},
                                            {"PROCESS", "process", COLUMN_ID, NULL},
                                            {"NAME", "name", COLUMN_TEXT, NULL},
                                            {"TYPE", "type", COLUMN_TEXT, NULL},
                                            {"CONDITION", "condition", COLUMN_TEXT, NULL},
                                            {">VALUE", "value", COLUMN_NUMBER, NULL},
                                            {"BEGAN", "began_at", COLUMN_TEXT, NULL},
                                            {"RESOLVED", "resolved_at", COLUMN_TEXT, NULL},
                                            {"BECAUSE", "reason", COLUMN_TEXT, ""}};
    COLUMNS_PRINT(paper, columns, json_object_get(json, "alerts"), "no alerts");
}
