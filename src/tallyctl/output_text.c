/* Answers for people: aligned, with units, escaped. */
#include "tallyctl/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/table.h"
#include "tallyctl/text.h"

#define COLUMNS(headings) (sizeof(headings) / sizeof((headings)[0]))

static void cell_number(struct table *table, const json_t *object, const char *path)
{
    table_cell(table, "%llu", (unsigned long long)client_number(object, path));
}

static void cell_bytes(struct table *table, const json_t *object, const char *path)
{
    char figure[TEXT_FIGURE_MAX];
    table_cell(table, "%s", text_bytes(figure, client_number(object, path)));
}

static void cell_duration(struct table *table, const json_t *object, const char *path)
{
    char figure[TEXT_FIGURE_MAX];
    table_cell(table, "%s", text_duration(figure, client_number(object, path)));
}

static void cell_text(struct table *table, const json_t *object, const char *path)
{
    table_cell(table, "%s", client_text(object, path));
}

/* Where the heaps of a process differ, the API shows null. */
static const char *word_of(const json_t *value, const char *on, const char *off)
{
    return json_is_true(value) ? on : json_is_false(value) ? off : "differs";
}

/* "k=v k=v" of an object, "a,b" of an array; caller frees, NULL for want of memory. */
static char *joined(const json_t *value)
{
    char *text = NULL;
    size_t bytes = 0, i;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return NULL;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
        fprintf(to, "%s%s=%s", ftell(to) ? " " : "", key, client_text(value, key));
    json_array_foreach((json_t *)value, i, member) {
        if (json_is_integer(member))
            fprintf(to, "%s%lld", i ? "," : "", (long long)json_integer_value(member));
        else
            fprintf(to, "%s%s", i ? "," : "", json_is_string(member) ? json_string_value(member) : "?");
    }
    fclose(to);
    return text;
}

static void cell_joined(struct table *table, const json_t *value, const char *none)
{
    char *text = joined(value);
    table_cell(table, "%s", text && *text ? text : none);
    free(text);
}

static void print_processes(const struct client_reply *reply)
{
    static const char *const headings[] = {"ID",        ">PID",   "NAME",       "STATE",
                                           ">OBJECTS",  ">BYTES", ">ALLOCATED", ">BY COUNT",
                                           ">BY CYCLE", ">RUNS",  "AUTOMATIC",  "LABELS"};
    const json_t *list = json_object_get(reply->json, "processes");
    if (json_array_size(list) == 0) {
        puts("no processes");
        return;
    }
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *process;
    json_array_foreach((json_t *)list, i, process) {
        table_cell(table, "%.8s", client_text(process, "id"));
        if (client_number(process, "pid"))
            cell_number(table, process, "pid");
        else
            table_cell(table, "-");
        cell_text(table, process, "name");
        cell_text(table, process, "state");
        cell_number(table, process, "live_objects");
        cell_bytes(table, process, "live_bytes");
        cell_number(table, process, "allocations");
        cell_number(table, process, "frees.refcount");
        cell_number(table, process, "frees.cycle");
        cell_number(table, process, "collections");
        table_cell(table, "%s", word_of(json_object_get(process, "enabled"), "on", "off"));
        cell_joined(table, json_object_get(process, "labels"), "-");
    }
    table_print_free(table, stdout);
}

/* A figure with the unit that the catalogue gives it. */
static void cell_figure(struct table *table, uint64_t value, const char *unit)
{
    char figure[TEXT_FIGURE_MAX];
    if (strcmp(unit, "bytes") == 0)
        table_cell(table, "%s", text_bytes(figure, value));
    else if (strcmp(unit, "nanoseconds") == 0)
        table_cell(table, "%s", text_duration(figure, value));
    else
        table_cell(table, "%llu", (unsigned long long)value);
    table_cell(table, "%s", strcmp(unit, "bytes") == 0 || strcmp(unit, "nanoseconds") == 0 ? "" : unit);
}

static void print_escaped(const char *before, const char *text, const char *after)
{
    char *escaped = text_escape_dup(text);
    printf("%s%s%s", before, escaped ? escaped : "", after);
    free(escaped);
}

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
static void print_stress(const json_t *stress)
{
    unsigned long long nth = client_number(stress, "nth");
    bool decref = json_is_true(json_object_get(stress, "every_decref"));
    if (nth)
        printf("stress: a collection at every allocation, or every so many: %llu\n", nth);
    if (decref)
        puts("stress: a collection at every reference given back that leaves a count");
}

static void print_configuration(const json_t *json)
{
    static const char *const headings[] = {"AUTOMATIC", "MANAGER",   "THRESHOLDS",  "DEBUG",
                                           "EVENTS",    "MAX PAUSE", "MEMORY LIMIT"};
    const json_t *manager = json_object_get(json, "manager");
    const json_t *events = json_object_get(json, "events");
    const json_t *level = json_is_object(events) ? json_object_get(events, "level") : events;
    struct table *table = table_new(headings, COLUMNS(headings));
    table_cell(table, "%s", word_of(json_object_get(json, "enabled"), "on", "off"));
    table_cell(table, "%s", json_is_string(manager) ? json_string_value(manager) : "differs");
    cell_joined(table, json_object_get(json, "thresholds"), "differs");
    cell_joined(table, json_object_get(json, "debug"),
                json_is_array(json_object_get(json, "debug")) ? "none" : "differs");
    table_cell(table, "%s", json_is_string(level) ? json_string_value(level) : "differs");
    cell_limit(table, json_object_get(json, "max_pause_us"), text_duration, 1000);
    cell_limit(table, json_object_get(json, "memory_limit_bytes"), text_bytes, 1);
    table_print_free(table, stdout);
    print_stress(json_object_get(json, "stress"));
}

static void print_generations(const json_t *generations)
{
    static const char *const headings[] = {">GENERATION", ">COLLECTIONS", ">COLLECTED", ">UNCOLLECTABLE"};
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *generation;
    json_array_foreach((json_t *)generations, i, generation) {
        table_cell(table, "%zu", i);
        cell_number(table, generation, "collections");
        cell_number(table, generation, "collected");
        cell_number(table, generation, "uncollectable");
    }
    table_print_free(table, stdout);
}

static void print_stats(const struct client_reply *reply, const json_t *fields)
{
    static const char *const headings[] = {"FIGURE", ">VALUE", "UNIT"};
    char age[TEXT_FIGURE_MAX];
    print_escaped("", client_text(reply->json, "name"), "");
    print_escaped(" (", client_text(reply->json, "state"), ")");
    if (json_object_get(reply->json, "n"))
        printf(", heap %llu", (unsigned long long)client_number(reply->json, "n"));
    printf(", last safepoint %s ago%s\n\n",
           text_duration(age, client_number(reply->json, "safepoint_age_ns")),
           json_is_false(json_object_get(reply->json, "complete")) ? ", incomplete: not every event was seen"
                                                                   : "");
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *field;
    json_array_foreach((json_t *)fields, i, field) {
        const char *path = client_text(field, "path");
        if (!json_is_integer(client_member(reply->json, path)))
            continue;
        cell_text(table, field, "label");
        cell_figure(table, client_number(reply->json, path), client_text(field, "unit"));
    }
    table_print_free(table, stdout);
    putchar('\n');
    print_generations(json_object_get(reply->json, "generations"));
    putchar('\n');
    print_configuration(reply->json);
}

static void cell_difference(struct table *table, const json_t *object, const char *path)
{
    table_cell(table, "%+lld", (long long)json_integer_value(client_member(object, path)));
}

/* The last two columns stand beside a baseline alone. */
static void print_types(const struct client_reply *reply)
{
    static const char *const headings[] = {"TYPE",       ">SIZE",     ">OBJECTS",  ">BYTES",        ">ALLOCATED",
                                           ">BY COUNT", ">BY CYCLE", "TRACKED", ">OBJECTS SINCE", ">BYTES SINCE"};
    bool since = json_object_get(reply->json, "baseline");
    struct table *table = table_new(headings, COLUMNS(headings) - (since ? 0 : 2));
    size_t i;
    json_t *type;
    json_array_foreach(json_object_get(reply->json, "types"), i, type) {
        cell_text(table, type, "name");
        if (json_is_integer(json_object_get(type, "size_bytes")))
            cell_bytes(table, type, "size_bytes");
        else
            table_cell(table, "varies");
        cell_number(table, type, "live_objects");
        cell_bytes(table, type, "live_bytes");
        cell_number(table, type, "allocations");
        cell_number(table, type, "frees.refcount");
        cell_number(table, type, "frees.cycle");
        table_cell(table, "%s", json_is_true(json_object_get(type, "tracked")) ? "yes" : "no");
        if (since) {
            cell_difference(table, type, "since_baseline.live_objects");
            cell_difference(table, type, "since_baseline.live_bytes");
        }
    }
    table_print_free(table, stdout);
}

static void print_collections(const struct client_reply *reply)
{
    static const char *const headings[] = {">HEAP",  ">NO",         "STARTED",   "REASON",
                                           ">GEN",   "SCOPE",       ">PAUSE",    ">SLICES",
                                           ">EXAMINED", ">COLLECTED", ">FREED",  ">LIVE AFTER",
                                           ">WAITED"};
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *run;
    json_array_foreach(json_object_get(reply->json, "collections"), i, run) {
        cell_number(table, run, "heap");
        cell_number(table, run, "sequence");
        cell_text(table, run, "started_at");
        cell_text(table, run, "reason");
        cell_number(table, run, "generation");
        cell_text(table, run, "scope");
        cell_duration(table, run, "pause_ns");
        cell_number(table, run, "slices");
        cell_number(table, run, "examined");
        cell_number(table, run, "collected");
        cell_bytes(table, run, "freed_bytes");
        cell_bytes(table, run, "live_bytes_after");
        cell_duration(table, run, "safepoint_wait_ns");
    }
    table_print_free(table, stdout);
}

static void print_config(const struct client_reply *reply)
{
    print_configuration(reply->json);
}

/* What a finished operation came to; what became of the others is the command's to say. */
static void print_operation(const struct client_reply *reply)
{
    static const struct { const char *kind, *path, *sentence; } counts[] = {
        {"freeze", "result.frozen", "objects are frozen"},
        {"unfreeze", "result.frozen", "objects are frozen"},
        {"garbage_clear", "result.cleared", "references of the garbage list were given back"},
        {"find_cycles", "result.unreachable", "objects are garbage that a full collection would find"}};
    const char *kind = client_text(reply->json, "kind");
    char pause[TEXT_FIGURE_MAX], wait[TEXT_FIGURE_MAX], freed[TEXT_FIGURE_MAX];
    if (strcmp(client_text(reply->json, "state"), "succeeded") != 0)
        return;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(kind, counts[i].kind))
            printf("%llu %s\n", (unsigned long long)client_number(reply->json, counts[i].path), counts[i].sentence);
    if (!strcmp(kind, "baseline"))
        print_escaped("the baseline is that of ", client_text(reply->json, "created_at"), "\n");
    if (!json_is_integer(client_member(reply->json, "result.collected")))
        return;
    printf("collected %llu objects, %s, in %s after waiting %s for a safepoint\n",
           (unsigned long long)client_number(reply->json, "result.collected"),
           text_bytes(freed, client_number(reply->json, "result.freed_bytes")),
           text_duration(pause, client_number(reply->json, "pause_ns")),
           text_duration(wait, client_number(reply->json, "safepoint_wait_ns")));
}

/* ---- what heaps list */

static void print_cycles(const json_t *list)
{
    static const char *const headings[] = {">HEAP", ">CYCLES", ">OBJECTS", ">BYTES", "SHAPE"};
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)list, i, row) {
        cell_number(table, row, "heap");
        cell_number(table, row, "count");
        cell_number(table, row, "objects");
        cell_bytes(table, row, "bytes");
        cell_text(table, row, "shape");
    }
    table_print_free(table, stdout);
}

static void print_objects(const json_t *list)
{
    static const char *const headings[] = {">HEAP", ">INDEX", ">OBJECT", "TYPE", ">BYTES", ">REFERENCES", "GENERATION"};
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)list, i, row) {
        const json_t *index = json_object_get(row, "index"), *generation = json_object_get(row, "generation");
        cell_number(table, row, "heap");
        if (index)
            cell_number(table, row, "index");
        else
            table_cell(table, "-");
        cell_number(table, row, "object");
        cell_text(table, row, "type");
        cell_bytes(table, row, "bytes");
        cell_number(table, row, "references");
        if (json_is_integer(generation))
            cell_number(table, row, "generation");
        else
            table_cell(table, "%s", json_is_string(generation) ? json_string_value(generation) : "-");
    }
    table_print_free(table, stdout);
}

static void print_listing(const struct client_reply *reply)
{
    static const char *const names[] = {"objects", "garbage", "referrers"};
    const json_t *cycles = json_object_get(reply->json, "cycles");
    if (cycles)
        print_cycles(cycles);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(reply->json, names[i]))
            print_objects(json_object_get(reply->json, names[i]));
    if (json_is_false(json_object_get(reply->json, "complete")))
        puts("There are more, or a heap gave no answer: --json says where each goes on.");
}

static void print_link(const struct client_reply *reply)
{
    print_escaped("", client_text(reply->json, "url"), "\n");
}

static const char *or_word(const json_t *token, const char *member, const char *word)
{
    const char *text = client_text(token, member);
    return *text ? text : word;
}

static void print_tokens(const struct client_reply *reply)
{
    static const char *const headings[] = {"NAME", "SCOPES", "CREATED", "EXPIRES", "USED"};
    const json_t *tokens = json_object_get(reply->json, "tokens");
    if (!json_array_size(tokens)) {
        puts("no tokens but tallyd's own");
        return;
    }
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *token;
    json_array_foreach((json_t *)tokens, i, token) {
        char *scopes = joined(json_object_get(token, "scopes"));
        cell_text(table, token, "name");
        table_cell(table, "%s", scopes ? scopes : "");
        cell_text(table, token, "created_at");
        table_cell(table, "%s%s", or_word(token, "expires_at", "never"),
                   json_is_true(json_object_get(token, "expired")) ? " (it has)" : "");
        table_cell(table, "%s", or_word(token, "used_at", "not since the start"));
        free(scopes);
    }
    table_print_free(table, stdout);
}

static void print_secret(const struct client_reply *reply)
{
    print_escaped("", client_text(reply->json, "token"), "\n");
}

static void print_token(const struct client_reply *reply, const char *done, const char *path)
{
    const char *expires = client_text(reply->json, "expires_at");
    print_escaped("token ", client_text(reply->json, "name"), " ");
    fputs(done, stdout);
    print_escaped(*path ? " " : "", path, "");
    if (*path && *expires)
        print_escaped(", good until ", expires, "");
    putchar('\n');
}

static void print_rotation(const struct client_reply *reply, const char *directory)
{
    print_escaped("the new token is in ", directory, "/token; ");
    printf("the one before is good for %llu s more, and the dashboard's sessions have ended\n",
           (unsigned long long)client_number(reply->json, "old_valid_s"));
}

static void print_findings(const json_t *findings)
{
    size_t i;
    json_t *finding;
    json_array_foreach((json_t *)findings, i, finding) {
        const char *advice = client_text(finding, "advice");
        printf("%-4s  ", client_text(finding, "level"));
        print_escaped("", client_text(finding, "finding"), *advice ? ": " : "");
        print_escaped("", advice, "\n");
    }
}

/* A point of a series: its last value, and what it ranged over where it did. */
static void cell_point(struct table *table, const json_t *series, size_t at)
{
    char last[TEXT_FIGURE_MAX], least[TEXT_FIGURE_MAX], most[TEXT_FIGURE_MAX];
    const char *unit = client_text(series, "unit");
    const char *(*figure)(char out[TEXT_FIGURE_MAX], uint64_t) = !strcmp(unit, "bytes")         ? text_bytes
                                                                 : !strcmp(unit, "nanoseconds") ? text_duration
                                                                                                : text_number;
    const json_t *value = json_array_get(json_object_get(series, "last"), at);
    uint64_t low = (uint64_t)json_integer_value(json_array_get(json_object_get(series, "min"), at));
    uint64_t high = (uint64_t)json_integer_value(json_array_get(json_object_get(series, "max"), at));
    if (!json_is_integer(value))
        table_cell(table, "-");
    else if (json_is_array(json_object_get(series, "min")) && low != high)
        table_cell(table, "%s (%s..%s)", figure(last, (uint64_t)json_integer_value(value)), figure(least, low), figure(most, high));
    else
        table_cell(table, "%s", figure(last, (uint64_t)json_integer_value(value)));
}

#define HISTORY_COLUMNS 16u
static void print_history(const struct client_reply *reply)
{
    const char *headings[HISTORY_COLUMNS + 1] = {"TIME"};
    char names[HISTORY_COLUMNS][80];
    const json_t *list = json_object_get(reply->json, "series"), *times = json_object_get(reply->json, "at");
    size_t columns = json_array_size(list) < HISTORY_COLUMNS ? json_array_size(list) : HISTORY_COLUMNS;
    for (size_t i = 0; i < columns; i++) {
        snprintf(names[i], sizeof names[i], ">%s", client_text(json_array_get(list, i), "name"));
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
        table_cell(table, "%s", text_time(text, json_integer_value(json_array_get(times, at))));
        for (size_t i = 0; i < columns; i++)
            cell_point(table, json_array_get(list, i), at);
    }
    table_print_free(table, stdout);
    if (json_is_false(json_object_get(reply->json, "complete")))
        printf("\nincomplete: tallyd did not watch all the time, or has forgotten the beginning\n");
}

static void print_audit(const struct client_reply *reply)
{
    static const char *const headings[] = {"TIME", "WHO", "FROM", "WHAT", "TARGET", "DETAIL", "RESULT", "CODE"};
    static const char *const members[] = {"at", "who", "from", "kind", "target", "detail", "result", "code"};
    struct table *table = table_new(headings, COLUMNS(headings));
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(reply->json, "records"), i, record)
        for (size_t m = 0; m < COLUMNS(members); m++)
            cell_text(table, record, members[m]);
    table_print_free(table, stdout);
}

static void print_purged(const struct client_reply *reply)
{
    printf("%llu rows were forgotten%s\n", (unsigned long long)client_number(reply->json, "rows"),
           json_is_false(json_object_get(reply->json, "done")) ? " so far; it goes on" : "");
}

const struct output output_text = {
    .processes = print_processes,
    .stats = print_stats,
    .types = print_types,
    .collections = print_collections,
    .config = print_config,
    .operation = print_operation,
    .listing = print_listing,
    .history = print_history,
    .audit = print_audit,
    .purged = print_purged,
    .link = print_link,
    .tokens = print_tokens,
    .secret = print_secret,
    .token = print_token,
    .rotation = print_rotation,
    .findings = print_findings,
};
