/* The routes of rules and alerts, in a worker's thread, since a change writes a file. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"

/* ---- the body of a control, as its own route would take it: for rules, those of the file too */

static json_t *schemas;

static void schemas_once(void)
{
    schemas = schemas_load();
}

bool api_command_read(const char *kind, json_t *body, struct wire_command *command, char *why, size_t why_bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool collect = !strcmp(kind, "collect");
    struct fault fault = {.detail = "out of memory"};
    pthread_once(&once, schemas_once);
    *command = (struct wire_command){.kind = collect ? WIRE_COMMAND_COLLECT : WIRE_COMMAND_CONFIG};
    if (!schemas || !schema_check(schemas, collect ? "Collect" : "ConfigChange", body, &fault)) {
        snprintf(why, why_bytes, "%s", fault.detail);
        return false;
    }
    controls_fill(body, command);
    return true;
}

/* ---- alerts on the stream */

void api_alert(struct api *api, const struct rule_alert *alert)
{
    streams_tell(api, TOPIC_ALERTS, alert->number, rule_alert_json(alert));
}

/* ---- rules */

static json_t *stamped(json_t *json)
{
    uint64_t wall_ns = clock_wall_ns();
    json_object_set_new(json, "as_of", view_time(wall_ns));
    json_object_set_new(json, "as_of_mono_ns", view_number(clock_mono_ns()));
    return json;
}

enum MHD_Result api_rules(struct request *request)
{
    struct rules *rules = request->api->rules;
    return respond_json(request, MHD_HTTP_OK,
                        stamped(json_pack("{s:o, s:o}", "rules", rules_list_json(rules), "series", rules_series_json())), 0, NULL);
}

static const char *name_of(const struct request *request)
{
    return request_segment(request, "{rule}");
}

enum MHD_Result api_rule(struct request *request)
{
    uint64_t revision;
    json_t *json = rules_get_json(request->api->rules, name_of(request), &revision);
    return json ? respond_json(request, MHD_HTTP_OK, json, revision, NULL) : respond_problem(request, PROBLEM_no_such_rule, NULL);
}

enum MHD_Result api_rule_states(struct request *request)
{
    json_t *json = rules_states_json(request->api->rules, name_of(request));
    return json ? respond_json(request, MHD_HTTP_OK, stamped(json), 0, NULL) : respond_problem(request, PROBLEM_no_such_rule, NULL);
}

/* Whether If-Match and If-None-Match let a change happen; *expected: the revision that it is of, for rules_put(). */
static bool condition_holds(const struct request *request, uint64_t *expected)
{
    const char *match = MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, "If-Match");
    const char *none = MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, "If-None-Match");
    char etag[ETAG_BYTES];
    uint64_t revision;
    json_t *json = rules_get_json(request->api->rules, name_of(request), &revision);
    bool known = json;
    json_decref(json);
    etag_write(etag, request->api->start_id, revision, 0, false);
    *expected = match || (none && known) ? revision : none ? RULES_ABSENT : RULES_ANY;
    return (!match || (known && etag_listed(match, etag))) && (!none || !known || !etag_listed(none, etag));
}

static void rule_asked(const struct request *request, const char *result, const char *code)
{
    struct audit_record asked;
    char *detail = request->json ? json_dumps(request->json, JSON_COMPACT) : NULL;
    asked_fill(request, strcmp(request->route->method, "PUT") ? "rule_delete" : "rule_put", name_of(request), detail, &asked);
    snprintf(asked.result, sizeof asked.result, "%s", result);
    snprintf(asked.code, sizeof asked.code, "%s", code);
    audit_record(request->api->audit, &asked);
    free(detail);
}

static enum MHD_Result refuse(struct request *request, enum rules_result result, const char *why)
{
    static const enum problem problems[] = {[RULES_UNKNOWN] = PROBLEM_no_such_rule,      [RULES_WRONG] = PROBLEM_bad_value,
                                            [RULES_CHANGED] = PROBLEM_precondition_failed, [RULES_FULL] = PROBLEM_too_many_rules,
                                            [RULES_UNKEPT] = PROBLEM_rule_not_kept};
    rule_asked(request, "refused", problem_code(problems[result]));
    return respond_problem(request, problems[result], why);
}

enum MHD_Result api_rule_put(struct request *request)
{
    char why[DETAIL_BYTES] = "", location[96];
    uint64_t expected, revision;
    if (!condition_holds(request, &expected))
        return refuse(request, RULES_CHANGED, NULL);
    enum rules_result result = rules_put(request->api->rules, name_of(request), request->json, expected, why, sizeof why);
    if (result != RULES_DONE && result != RULES_MADE)
        return refuse(request, result, result == RULES_WRONG ? why : NULL);
    rule_asked(request, "done", "");
    json_t *json = rules_get_json(request->api->rules, name_of(request), &revision);
    if (!json) /* deleted meanwhile */
        return respond_problem(request, PROBLEM_no_such_rule, NULL);
    snprintf(location, sizeof location, "/v1/rules/%s", name_of(request));
    bool made = result == RULES_MADE;
    return respond_json(request, made ? MHD_HTTP_CREATED : MHD_HTTP_OK, json, revision, made ? location : NULL);
}

enum MHD_Result api_rule_delete(struct request *request)
{
    uint64_t expected;
    if (!condition_holds(request, &expected))
        return refuse(request, RULES_CHANGED, NULL);
    enum rules_result result = rules_delete(request->api->rules, name_of(request), expected);
    if (result != RULES_DONE)
        return refuse(request, result, NULL);
    rule_asked(request, "done", "");
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    respond_headers(response, false);
    return respond_queue(request, MHD_HTTP_NO_CONTENT, response);
}

/* ---- alerts: a page of those that pass the filters */

enum MHD_Result api_alerts(struct request *request)
{
    const struct rules_filter filter = {.state = request_parameter(request, "state"),
                                        .rule = request_parameter(request, "rule"),
                                        .process = request_parameter(request, "process")};
    enum MHD_Result result;
    size_t from = 0, to = 0;
    if (!list_cursor_check(request, "id", true, &result))
        return result;
    json_t *all = rules_alerts_json(request->api->rules, &filter), *page = json_array(), *next = NULL;
    struct list list = {.rows = calloc(json_array_size(all) + 1, sizeof *list.rows), .word = "id", .down = true};
    for (; list.rows && list.count < json_array_size(all); list.count++) {
        json_t *alert = json_array_get(all, list.count);
        list.rows[list.count] = (struct list_row){.item = alert, .number = (uint64_t)json_integer_value(json_object_get(alert, "id")), .id = ""};
    }
    if (list.rows)
        next = list_page(request, &list, PAGE_LIMIT, &from, &to);
    for (; from < to; from++)
        json_array_append(page, (json_t *)(uintptr_t)list.rows[from].item);
    free(list.rows);
    json_decref(all);
    return respond_json(request, MHD_HTTP_OK, stamped(json_pack("{s:o, s:o}", "alerts", page, "next_cursor", next)), 0, NULL);
}
