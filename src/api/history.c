/* The routes of history: figures of a process over time, and the lists of what happened. All of them aside. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/utf8.h"
#include "history/history.h"

#define POINTS_STANDARD 600u
#define CSV_POINTS 50000u
#define TRACE_POINTS 3600u
#define TRACE_SERIES "live_bytes,live_objects,allocations,frees.refcount,frees.cycle,candidates,pause_ns"
#define LIST_LIMIT 100u
#define PURGE_WAIT_NS 10000000000u

static enum MHD_Result respond_error(struct request *request, int error)
{
    switch (error) {
    case -ENOENT:
        return respond_problem(request, PROBLEM_no_such_process, NULL);
    case -ENODATA:
        return respond_problem(request, PROBLEM_history_off, NULL);
    case -E2BIG:
        return respond_fault(request, "step", NULL, "step: too many points; a larger one, fewer series or a shorter time");
    case -EBUSY:
        return respond_problem(request, PROBLEM_busy, "another purge goes on");
    case -EAGAIN:
    case -ETIMEDOUT:
        return respond_problem(request, PROBLEM_history_unavailable, NULL);
    default:
        return respond_problem(request, PROBLEM_internal, "the history could not be read");
    }
}

/* Which of the columns is none, and what there is. */
static enum MHD_Result respond_unknown_column(struct request *request, const struct history_query *query)
{
#define STATS_FIELD(member, path, kind, unit, label, help) " " path
#define HISTORY_TYPE(member, path, kind, unit, label) " " path
    static const char known[] =
#include "stats/fields.def"
        "; and of a type as type:NAME.PATH, of those that are not among the largest as rest.PATH, with PATH one of:"
#include "history/types.def"
        ;
#undef HISTORY_TYPE
#undef STATS_FIELD
    char detail[DETAIL_BYTES];
    size_t at = 0;
    while (at + 1 < query->column_count && history_column_known(query->columns[at]))
        at++;
    snprintf(detail, sizeof detail, "series: there is no \"%.*s\"; there are:%s", utf8_cut(query->columns[at], 80),
             query->columns[at], known);
    return respond_fault(request, "series", NULL, detail);
}

/* The id that the path means, of a process that the view has, or of one of long ago. lives: it does, whether or not the
 * history has heard of it yet. */
static bool subject_id(struct request *request, char *id, bool *lives, enum MHD_Result *answered)
{
    const char *segment = request_segment(request, "{id}");
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    bool ambiguous;
    const struct stats_process_view *process = stats_find(view, segment, &ambiguous);
    snprintf(id, 33, "%s", process ? process->id : segment);
    *lives = process && !process->gone;
    stats_view_unref(view);
    if (!request->api->history)
        *answered = respond_problem(request, PROBLEM_history_off, NULL);
    else if (ambiguous)
        *answered = respond_problem(request, PROBLEM_ambiguous_process, NULL);
    else if (strlen(id) != 32)
        *answered = respond_problem(request, PROBLEM_no_such_process, NULL);
    else
        return true;
    return false;
}

/* A time of the query; false: answered. */
static bool time_read(struct request *request, const char *name, uint64_t now_ns, uint64_t otherwise, uint64_t *wall_ns,
                      enum MHD_Result *answered)
{
    const char *text = request_parameter(request, name);
    char detail[96];
    *wall_ns = otherwise;
    if (!text || parse_time(text, now_ns, wall_ns))
        return true;
    snprintf(detail, sizeof detail, "%s must be a time like 2026-01-31T12:00:00Z, now, or -1h", name);
    *answered = respond_fault(request, name, NULL, detail);
    return false;
}

/* ---- figures */

struct asking {
    struct history_query query;
    char id[33], names[VALUE_BYTES];
    bool csv, trace;
};

/* Cuts the list at its commas; a type's name may hold some, so that a column begins only where one can. */
static bool columns_cut(struct asking *asking)
{
    char *at = asking->names;
    asking->query.column_count = 0;
    while (at && *at) {
        if (asking->query.column_count == HISTORY_COLUMNS_MAX)
            return false;
        asking->query.columns[asking->query.column_count++] = at;
        char *comma = strchr(at, ',');
        while (comma && !strncmp(at, "type:", 5) && !history_column_is_type(at, (size_t)(comma - at)))
            comma = strchr(comma + 1, ',');
        if (comma)
            *comma++ = '\0';
        at = comma;
    }
    return asking->query.column_count;
}

static bool is_csv(const struct request *request)
{
    const char *format = request_parameter(request, "format");
    const char *accept = request->headers[HEADER_ACCEPT];
    return format ? !strcmp(format, "csv") : accept && !strncmp(accept, "text/csv", 8);
}

static bool is_trace(const struct request *request)
{
    const char *format = request_parameter(request, "format");
    return format && !strcmp(format, "trace");
}

static bool asking_read(struct request *request, struct asking *asking, enum MHD_Result *answered)
{
    uint64_t now_ns = clock_wall_ns(), from_ns, to_ns, heap = 0, step_ns = 0;
    const char *series = request_parameter(request, "series"), *n = request_segment(request, "{n}");
    const char *step = request_parameter(request, "step");
    if (!subject_id(request, asking->id, &asking->query.lives, answered) || !time_read(request, "to", now_ns, now_ns, &to_ns, answered) ||
        !time_read(request, "from", now_ns, to_ns > 3600000000000u ? to_ns - 3600000000000u : 0, &from_ns, answered))
        return false;
    asking->csv = is_csv(request);
    asking->trace = is_trace(request);
    const char *standard = asking->trace ? TRACE_SERIES : "live_bytes,live_objects";
    snprintf(asking->names, sizeof asking->names, "%s", series ? series : standard);
    asking->query.process = asking->id;
    asking->query.from_s = (int64_t)(from_ns / 1000000000u);
    asking->query.to_s = (int64_t)((to_ns + 999999999u) / 1000000000u);
    uint64_t points = request_integer(request, "points", asking->trace ? TRACE_POINTS : POINTS_STANDARD);
    asking->query.points_max = asking->csv ? CSV_POINTS : (size_t)points;
    const char *wrong = NULL, *which = NULL;
    if (asking->query.from_s >= asking->query.to_s)
        which = "from", wrong = "from must be before to";
    else if (step && (!parse_duration(step, &step_ns) || !step_ns || step_ns % 1000000000u))
        which = "step", wrong = "step must be whole seconds, 1s or more";
    else if (!columns_cut(asking))
        which = "series", wrong = "series must name 1 to 16 figures";
    if (wrong) {
        *answered = respond_fault(request, which, NULL, wrong);
        return false;
    }
    if (n && (!parse_number(n, UINT32_MAX, &heap) || !heap)) {
        *answered = respond_problem(request, PROBLEM_no_such_heap, NULL);
        return false;
    }
    asking->query.heap = (uint32_t)heap;
    asking->query.step_s = (uint32_t)(step_ns / 1000000000u);
    return true;
}

static json_t *numbers(const struct history_column *column, size_t count, size_t member)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct history_point *point = &column->points[i];
        const uint64_t *value = (const uint64_t *)(const void *)((const char *)point + member);
        json_array_append_new(list, point->known ? view_number(*value) : json_null());
    }
    return list;
}

static json_t *columns_json(const struct asking *asking, const struct history_answer *answer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < answer->column_count; i++) {
        const struct history_column *column = &answer->columns[i];
        json_t *json = json_pack("{s:s, s:s, s:s, s:o}", "name", asking->query.columns[i], "kind",
                                 column->gauge ? "gauge" : "counter", "unit", column->unit, "last",
                                 numbers(column, answer->point_count, offsetof(struct history_point, last)));
        json_t *low = column->gauge ? numbers(column, answer->point_count, offsetof(struct history_point, low)) : json_null();
        json_t *high = column->gauge ? numbers(column, answer->point_count, offsetof(struct history_point, high)) : json_null();
        json_object_set_new(json, "min", low);
        json_object_set_new(json, "max", high);
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *seconds(int64_t wall_s)
{
    return view_time(wall_s > 0 ? (uint64_t)wall_s * 1000000000u : 0);
}

static json_t *answer_json(const struct asking *asking, const struct history_answer *answer)
{
    json_t *at = json_array(), *gaps = json_array();
    for (size_t i = 0; i < answer->point_count; i++)
        json_array_append_new(at, json_integer(answer->start_s + (int64_t)(i + 1) * answer->step_s));
    for (size_t i = 0; i < answer->gap_count; i++)
        json_array_append_new(gaps, json_pack("{s:o, s:o}", "from", seconds(answer->gaps[i].from_s), "to",
                                              seconds(answer->gaps[i].to_s)));
    bool whole = !answer->gap_count && (!answer->oldest_s || answer->oldest_s <= asking->query.from_s);
    json_t *json = json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:b, s:o, s:o, s:o, s:o}", "id", asking->id, "heap",
                             asking->query.heap ? json_integer(asking->query.heap) : json_null(), "from",
                             seconds(asking->query.from_s), "to", seconds(answer->to_s), "step_s",
                             (json_int_t)answer->step_s, "resolution_s", (json_int_t)answer->resolution_s, "complete", whole,
                             "oldest", seconds(answer->oldest_s), "gaps", gaps, "at", at, "series",
                             columns_json(asking, answer));
    return json;
}

/* ---- CSV, by RFC 4180 */

static void csv_name(struct text *csv, const char *name, const char *behind)
{
    text_add_string(csv, ",\"");
    for (; *name; name++)
        text_add(csv, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    text_add_string(csv, behind);
    text_add_string(csv, "\"");
}

static void csv_number(struct text *csv, bool known, uint64_t number)
{
    text_add_string(csv, ",");
    if (known)
        text_add_number(csv, number);
}

static void csv_row(struct text *csv, const struct history_answer *answer, size_t row)
{
    char time[TEXT_TIME];
    text_time(time, (uint64_t)(answer->start_s + (int64_t)(row + 1) * answer->step_s) * 1000000000u);
    text_add_string(csv, time);
    for (size_t i = 0; i < answer->column_count; i++) {
        const struct history_point *point = &answer->columns[i].points[row];
        csv_number(csv, point->known, point->last);
        if (answer->columns[i].gauge) {
            csv_number(csv, point->known, point->low);
            csv_number(csv, point->known, point->high);
        }
    }
    text_add_string(csv, "\r\n");
}

static enum MHD_Result respond_csv(struct request *request, const struct asking *asking, const struct history_answer *answer)
{
    struct text csv = {.data = NULL};
    text_add_string(&csv, "time");
    for (size_t i = 0; i < answer->column_count; i++) {
        csv_name(&csv, asking->query.columns[i], "");
        if (answer->columns[i].gauge) {
            csv_name(&csv, asking->query.columns[i], " min");
            csv_name(&csv, asking->query.columns[i], " max");
        }
    }
    text_add_string(&csv, "\r\n");
    for (size_t row = 0; row < answer->point_count; row++)
        csv_row(&csv, answer, row);
    struct MHD_Response *response =
        csv.failed ? NULL : MHD_create_response_from_buffer(csv.length, csv.data, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        text_free(&csv);
        return respond_problem(request, PROBLEM_internal, "out of memory");
    }
    respond_headers(response, false);
    MHD_add_response_header(response, "Content-Type", "text/csv; charset=utf-8; header=present");
    MHD_add_response_header(response, "Content-Disposition", "attachment; filename=\"history.csv\"");
    return respond_queue(request, MHD_HTTP_OK, response);
}

static int respond_trace(struct request *request, const struct asking *asking, const struct history_answer *answer,
                         enum MHD_Result *answered)
{
    const struct history_query *query = &asking->query;
    const struct trace_source source = {.process = asking->id,
                                        .heap = query->heap,
                                        .from_ns = query->from_s > 0 ? (uint64_t)query->from_s * 1000000000u : 0,
                                        .to_ns = (uint64_t)query->to_s * 1000000000u,
                                        .columns = query->columns,
                                        .answer = answer};
    return trace_respond(request, &source, answered);
}

enum MHD_Result api_history(struct request *request)
{
    struct asking asking = {.csv = false};
    struct history_answer *answer;
    enum MHD_Result result;
    if (!asking_read(request, &asking, &result))
        return result;
    int error = history_query(request->api->history, &asking.query, &answer);
    if (error == -EINVAL)
        return respond_unknown_column(request, &asking.query);
    if (error)
        return respond_error(request, error);
    if (asking.trace)
        error = respond_trace(request, &asking, answer, &result);
    else
        result = asking.csv ? respond_csv(request, &asking, answer)
                            : respond_json(request, MHD_HTTP_OK, answer_json(&asking, answer), 0, NULL);
    history_answer_free(answer);
    return error ? respond_error(request, error) : result;
}

/* ---- lists */

struct listing {
    struct api *api;
    json_t *list;
    struct history_range range;
    uint64_t last;
};

/* from, to, limit and cursor; false: answered. */
static bool listing_read(struct request *request, struct listing *listing, enum MHD_Result *answered)
{
    uint64_t now_ns = clock_wall_ns();
    const char *cursor = request_parameter(request, "cursor");
    *listing = (struct listing){.api = request->api};
    if (!request->api->history) {
        *answered = respond_problem(request, PROBLEM_history_off, NULL);
        return false;
    }
    if (cursor && (!parse_number(cursor, INT64_MAX, &listing->range.before) || !listing->range.before)) {
        *answered = respond_fault(request, "cursor", NULL, "cursor must be the next_cursor of a page of the same list");
        return false;
    }
    listing->range.limit = (size_t)request_integer(request, "limit", LIST_LIMIT);
    if (!time_read(request, "from", now_ns, 0, &listing->range.from_ns, answered) ||
        !time_read(request, "to", now_ns, 0, &listing->range.to_ns, answered))
        return false;
    listing->list = json_array();
    return true;
}

static void listing_add(struct listing *listing, uint64_t number, json_t *row)
{
    listing->last = number;
    json_array_append_new(listing->list, row);
}

static enum MHD_Result listing_respond(struct request *request, struct listing *listing, const char *name, int error)
{
    if (error) {
        json_decref(listing->list);
        return respond_error(request, error);
    }
    bool more = json_array_size(listing->list) == listing->range.limit && listing->last > 1;
    return respond_json(request, MHD_HTTP_OK,
                        json_pack("{s:o, s:o}", name, listing->list, "next_cursor",
                                  more ? json_sprintf("%llu", (unsigned long long)listing->last) : json_null()),
                        0, NULL);
}

static void audit_add(void *arg, uint64_t number, const struct audit_record *record)
{
    json_t *json = json_pack("{s:o, s:o, s:o}", "at", view_time(record->wall_ns), "seq", view_number(record->seq), "left_out",
                             view_number(record->left_out));
#define AUDIT_X(name, room) json_object_set_new(json, #name, *record->name ? json_string(record->name) : json_null());
    AUDIT_TEXTS(AUDIT_X)
#undef AUDIT_X
    listing_add(arg, number, json);
}

enum MHD_Result api_audit(struct request *request)
{
    struct listing listing;
    enum MHD_Result result;
    if (!listing_read(request, &listing, &result))
        return result;
    const struct history_audit_filter filter = {.who = request_parameter(request, "who"),
                                                .kind = request_parameter(request, "kind"),
                                                .target = request_parameter(request, "target"),
                                                .result = request_parameter(request, "result")};
    return listing_respond(request, &listing, "records",
                           history_audit_list(request->api->history, &listing.range, &filter, audit_add, &listing));
}

static void alert_add(void *arg, uint64_t number, const struct history_alert *alert)
{
    json_t *json = json_pack("{s:o, s:o, s:f, s:f}", "at", view_time(alert->wall_ns), "heap",
                             alert->heap ? json_integer(alert->heap) : json_null(), "value", alert->value, "threshold",
                             alert->threshold);
#define HISTORY_X(name, room) json_object_set_new(json, #name, *alert->name ? json_string(alert->name) : json_null());
    HISTORY_ALERT_TEXTS(HISTORY_X)
#undef HISTORY_X
    listing_add(arg, number, json);
}

enum MHD_Result api_history_alerts(struct request *request)
{
    struct listing listing;
    enum MHD_Result result;
    if (!listing_read(request, &listing, &result))
        return result;
    return listing_respond(request, &listing, "alerts",
                           history_alert_list(request->api->history, &listing.range, alert_add, &listing));
}

static void collection_add(void *arg, uint64_t number, const struct stats_collection_view *collection, uint64_t missed)
{
    struct listing *listing = arg;
    struct stats_collection_view copy = *collection;
    if (copy.start_wall_ns < listing->api->started_wall_ns)
        copy.operation = 0; /* an earlier tallyd's, whose numbers mean something else */
    json_t *json = view_collection(listing->api, &copy);
    json_object_set_new(json, "missed", view_number(missed));
    listing_add(listing, number, json);
}

enum MHD_Result api_history_collections(struct request *request)
{
    struct listing listing;
    char id[33];
    bool lives;
    enum MHD_Result result;
    if (!subject_id(request, id, &lives, &result) || !listing_read(request, &listing, &result))
        return result;
    uint32_t heap = (uint32_t)request_integer(request, "heap", 0);
    int error = history_collection_list(request->api->history, id, heap, &listing.range, collection_add, &listing);
    return listing_respond(request, &listing, "collections", error == -ENOENT && lives ? 0 : error);
}

static void process_add(void *arg, uint64_t number, const struct history_process *process)
{
    json_t *labels = json_loads(process->labels, 0, NULL);
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s?, s:b, s:o}", "id", process->id, "name",
                             process->name, "library", process->library, "labels", labels ? labels : json_object(), "pid",
                             process->pid ? json_integer(process->pid) : json_null(), "uid", json_integer(process->uid),
                             "attached_at", view_time(process->attached_ns), "gone_at", view_time(process->gone_ns), "end",
                             process->end, "watched", process->watched, "exit",
                             process->ended ? details_exit(process->status) : json_null());
    listing_add(arg, number, json);
}

enum MHD_Result api_history_processes(struct request *request)
{
    struct listing listing;
    enum MHD_Result result;
    if (!listing_read(request, &listing, &result))
        return result;
    return listing_respond(request, &listing, "processes",
                           history_process_list(request->api->history, request_parameter(request, "process"), &listing.range,
                                                process_add, &listing));
}

/* ---- purging */

static void process_seen(void *arg, uint64_t number, const struct history_process *process)
{
    (void)number, (void)process;
    *(bool *)arg = true;
}

static enum MHD_Result purge(struct request *request, uint64_t before_ns, const char *process)
{
    uint64_t forgotten = 0;
    bool known = !process;
    int unread = known ? 0 : history_process_list(request->api->history, process, &(struct history_range){.limit = 1},
                                                  process_seen, &known);
    if (unread || !known)
        return respond_error(request, unread ? unread : -ENOENT);
    int error = history_purge(request->api->history, before_ns, process, PURGE_WAIT_NS, &forgotten);
    if (error && error != -ETIMEDOUT)
        return respond_error(request, error);
    asked_once(request, "purge", process ? process : "", error ? "accepted" : "done", "");
    return respond_json(request, error ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK,
                        json_pack("{s:b, s:o}", "done", !error, "rows", view_number(forgotten)), 0, NULL);
}

enum MHD_Result api_history_delete(struct request *request)
{
    char id[33];
    bool lives;
    enum MHD_Result result;
    if (!subject_id(request, id, &lives, &result))
        return result;
    return purge(request, 0, id);
}

enum MHD_Result api_history_purge(struct request *request)
{
    const char *before = json_string_value(json_object_get(request->json, "before"));
    const char *process = json_string_value(json_object_get(request->json, "process"));
    uint64_t before_ns = 0;
    if (!request->api->history)
        return respond_problem(request, PROBLEM_history_off, NULL);
    bool all = json_object_get(request->json, "all");
    if (all == (before || process))
        return respond_fault(request, NULL, "/all", all ? "all stands alone" : "one of before, process and all must be there");
    if (before && !parse_time(before, clock_wall_ns(), &before_ns))
        return respond_fault(request, NULL, "/before", "before must be a time like 2026-01-31T12:00:00Z, now, or -30d");
    return purge(request, before_ns, process);
}

/* ---- what the daemon says of itself */

json_t *history_health(struct api *api)
{
    struct history_status status = {.degraded = false};
    if (api->history)
        history_status_get(api->history, &status);
    return status.degraded ? json_pack("{s:s, s:[s]}", "status", "degraded", "degraded", "history")
                           : json_pack("{s:s}", "status", "ok");
}

json_t *history_info(struct api *api)
{
    struct history_status status = {.degraded = false};
    if (!api->history)
        return json_null();
    history_status_get(api->history, &status);
    return json_pack("{s:b, s:b, s:b, s:s?, s:o, s:o, s:o, s:o}", "figures", status.figures, "ready", status.ready, "degraded",
                     status.degraded, "why", status.degraded ? status.why : NULL, "rows_written",
                     view_number(status.rows_written), "rows_dropped", view_number(status.rows_dropped), "bytes",
                     view_number(status.bytes), "size_bytes", view_number(status.size_bytes));
}
