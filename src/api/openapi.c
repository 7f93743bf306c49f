/* GET /v1/openapi.json, made of the tables: routes.def, parameters.def, problems.def and the schemas. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "tally.h"

/* ---- parameters */

static json_t *words_array(const char *words)
{
    json_t *list = json_array();
    for (; *words; words += strspn(words, " ")) {
        size_t bytes = strcspn(words, " ");
        json_array_append_new(list, json_stringn(words, bytes));
        words += bytes;
    }
    return list;
}

/* A pattern of one of the words, between what may stand before it and what after. */
static json_t *words_pattern(const char *before, const char *words, const char *after)
{
    char text[400], *at = text, *end = text + sizeof text;
    at += snprintf(at, (size_t)(end - at), "^%s(", before);
    for (; *words; words++)
        at += snprintf(at, (size_t)(end - at), "%c", *words == ' ' ? '|' : *words);
    snprintf(at, (size_t)(end - at), ")%s$", after);
    return json_string(text);
}

static json_t *list_pattern(const char *words)
{
    json_t *one = words_pattern("", words, ""), *json;
    const char *text = json_string_value(one);
    json = json_sprintf("^%.*s(,%.*s)*$", (int)strlen(text) - 2, text + 1, (int)strlen(text) - 2, text + 1);
    json_decref(one);
    return json;
}

static json_t *range_schema(const char *type, const char *low_key, const char *high_key, const char *allowed)
{
    const char *dots = strstr(allowed, "..");
    return json_pack("{s:s, s:I, s:I}", "type", type, low_key, (json_int_t)strtoll(allowed, NULL, 10), high_key,
                     (json_int_t)strtoll(dots + 2, NULL, 10));
}

static json_t *parameter_schema(const struct parameter_row *row)
{
    switch (row->kind) {
    case INTEGER:
        return range_schema("integer", "minimum", "maximum", row->allowed);
    case BOOLEAN:
        return json_pack("{s:s}", "type", "boolean");
    case WORD:
        return json_pack("{s:s, s:o}", "type", "string", "enum", words_array(row->allowed));
    case SORT:
        return json_pack("{s:s, s:o}", "type", "string", "pattern", words_pattern("[+-]?", row->allowed, ""));
    case LIST:
        return json_pack("{s:s, s:o}", "type", "string", "pattern", list_pattern(row->allowed));
    case DURATION:
        return json_pack("{s:s, s:s, s:s+}", "type", "string", "pattern", "^[0-9]{1,15}(ms|s|m|h|d)$", "description",
                         "At most ", row->allowed);
    case TEXT:
        return range_schema("string", "minLength", "maxLength", row->allowed);
    case PAIR:
        return json_pack("{s:s, s:{s:s, s:s}}", "type", "array", "items", "type", "string", "pattern", "^[^:]+:");
    }
    return NULL;
}

static json_t *query_parameters(const char *whitelist, json_t *list)
{
    for (const char *word = whitelist; *word; word += strspn(word, " ")) {
        size_t bytes = strcspn(word, " ");
        const struct parameter_row *row = parameter_row(word, bytes);
        json_t *json = json_pack("{s:s, s:s, s:s, s:o}", "name", row->name, "in", "query", "description", row->help,
                                 "schema", parameter_schema(row));
        if (row->kind == PAIR)
            json_object_set_new(json, "explode", json_true());
        json_array_append_new(list, json);
        word += bytes;
    }
    return list;
}

static json_t *path_parameters(const char *path)
{
    json_t *list = json_array();
#define SEGMENT(name, allowed, help) \
    if (strstr(path, "{" #name "}")) \
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:{s:s, s:s}}", "name", #name, "in", "path", \
                                              "required", 1, "description", help, "schema", "type", "string", \
                                              "pattern", allowed));
#define PARAMETER(word, name, kind, allowed, help)
#include "api/parameters.def"
#undef PARAMETER
#undef SEGMENT
    return list;
}

/* ---- answers */

static json_t *reference(const char *name)
{
    return json_pack("{s:s+}", "$ref", "#/components/schemas/", name);
}

/* Event to the topic that it belongs to (null: any), the schema of its data and what it tells. */
static json_t *events_new(void)
{
    json_t *events = json_object();
#define TOPIC(NAME, word, object, event, schema, help) \
    json_object_set_new(events, event, json_pack("{s:s, s:o, s:s}", "topic", word, "schema", reference(schema), "description", help));
#define EVENT(event, schema, help) \
    json_object_set_new(events, event, json_pack("{s:n, s:o, s:s}", "topic", "schema", reference(schema), "description", help));
#include "api/topics.def"
#undef EVENT
#undef TOPIC
    return events;
}

/* "STATUS WHAT": adds a status, or a further media type to it. */
static void answer_add(json_t *responses, const char *text, size_t bytes)
{
    char status[8] = "", what[64] = "";
    snprintf(status, sizeof status, "%.3s", text);
    if (bytes > 4)
        snprintf(what, sizeof what, "%.*s", (int)(bytes - 4), text + 4);
    json_t *response = json_object_get(responses, status);
    if (!response) {
        response = json_pack("{s:s}", "description", !strcmp(status, "304")   ? "What If-None-Match names is still so"
                                                     : !strcmp(status, "202") ? "Under way; Location tells where it is"
                                                                              : "Success");
        json_object_set_new(responses, status, response);
    }
    if (!*what)
        return;
    if (!json_object_get(response, "content"))
        json_object_set_new(response, "content", json_object());
    bool media = strchr(what, '/');
    char *schema = media ? strchr(what, ' ') : what;
    if (media && schema)
        *schema++ = '\0';
    json_object_set_new(json_object_get(response, "content"), media ? what : "application/json",
                        schema ? json_pack("{s:o}", "schema", reference(schema))
                               : json_pack("{s:{s:s}}", "schema", "type", "string"));
    if (!strcmp(what, "text/event-stream"))
        json_object_set_new(json_object_get(json_object_get(response, "content"), what), "x-events", events_new());
}

/* The statuses that a route of this kind refuses with; any other is as the last says. */
static void problems_add(const struct route *route, json_t *responses)
{
    bool process = strstr(route->path, "{id}"), control = strcmp(route->method, "GET") != 0;
    const struct { const char *status; bool there; } rows[] = {
        {"400", true}, {"401", route->scope != OPEN}, {"403", true}, {"404", strchr(route->path, '{')}, {"409", process},
        {"410", process && control}, {"413", route->body}, {"415", route->body}, {"421", true}, {"422", true},
        {"429", control}, {"503", true}, {"default", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].there)
            json_object_set_new(responses, rows[i].status, json_pack("{s:s}", "$ref", "#/components/responses/Problem"));
}

static json_t *responses_of(const struct route *route)
{
    json_t *responses = json_object();
    for (const char *at = route->answers; *at;) {
        size_t bytes = strcspn(at, ",");
        answer_add(responses, at, bytes);
        at += bytes;
        at += strspn(at, ", ");
    }
    if (!strcmp(route->method, "GET") && route_json(route))
        answer_add(responses, "304", 3);
    problems_add(route, responses);
    return responses;
}

/* "get_v1_processes_id_stats" */
static json_t *operation_id(const struct route *route)
{
    char text[160];
    size_t used = 0;
    for (const char *at = route->method; *at && used + 1 < sizeof text; at++)
        text[used++] = (char)tolower((unsigned char)*at);
    for (const char *at = route->path; *at && used + 1 < sizeof text; at++)
        if (isalnum((unsigned char)*at) || *at == '/' || *at == '.')
            text[used++] = isalnum((unsigned char)*at) ? *at : '_';
    text[used] = '\0';
    return json_string(text);
}

static json_t *operation_of(const struct route *route)
{
    static const char *const scopes[] = {[READ] = "read", [CONTROL] = "control", [ADMIN] = "admin"};
    json_t *json = json_pack("{s:o, s:s, s:o, s:o}", "operationId", operation_id(route), "summary", route->summary,
                             "parameters", query_parameters(route_json(route) ? "bigint" : "", query_parameters(route->parameters, path_parameters(route->path))),
                             "responses", responses_of(route));
    if (route_repeats(route))
        json_array_append_new(json_object_get(json, "parameters"), json_pack("{s:s}", "$ref", "#/components/parameters/IdempotencyKey"));
    if (!strcmp(route->method, "GET"))
        json_array_append_new(json_object_get(json, "parameters"), json_pack("{s:s}", "$ref", "#/components/parameters/IfNoneMatch"));
    if (route->body)
        json_object_set_new(json, "requestBody",
                            json_pack("{s:{s:{s:o}}}", "content", "application/json", "schema", reference(route->body)));
    json_object_set_new(json, "security", route->scope == OPEN ? json_array() : json_pack("[{s:[s]}]", "bearer", scopes[route->scope]));
    return json;
}

static json_t *paths_new(void)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        char method[16];
        size_t at;
        for (at = 0; route->method[at] && at + 1 < sizeof method; at++)
            method[at] = (char)tolower((unsigned char)route->method[at]);
        method[at] = '\0';
        if (!json_object_get(paths, route->path))
            json_object_set_new(paths, route->path, json_object());
        json_object_set_new(json_object_get(paths, route->path), method, operation_of(route));
    }
    return paths;
}

static json_t *header_parameter(const char *name, const char *pattern, const char *help)
{
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "name", name, "in", "header", "description", help, "schema", "type",
                     "string", "pattern", pattern);
}

static json_t *openapi_new(const struct api *api)
{
    json_t *components = json_pack(
        "{s:O, s:{s:o, s:o}, s:{s:{s:s, s:{s:{s:o}}}}, s:{s:{s:s, s:s, s:s}}}", "schemas", api->schemas, "parameters",
        "IdempotencyKey",
        header_parameter("Idempotency-Key", "^[!-~]{1,128}$", "What was asked for once with it is not done again for 10 minutes; the answer is the first one's"),
        "IfNoneMatch", header_parameter("If-None-Match", "", "Tags of what is known already; 304 where one is still right"), "responses", "Problem",
        "description", "What went wrong; code says it to programs", "content", "application/problem+json", "schema",
        reference("Problem"), "securitySchemes", "bearer", "type", "http", "scheme", "bearer", "description",
        "The file token of the runtime directory, or a session's. The Unix socket needs none");
    return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o, s:o}", "openapi", "3.1.0", "info", "title",
                     "tally", "version", TALLY_VERSION, "summary", "Reference counting and a cycle collector for C, watched and controlled from outside",
                     "servers", "url", "/", "security", "bearer", "paths", paths_new(), "components", components);
}

static json_t *openapi_make(struct request *request, const void *arg)
{
    (void)arg;
    return openapi_new(request->api);
}

enum MHD_Result api_openapi(struct request *request)
{
    return respond_body(request, "openapi", 0, 0, openapi_make, NULL);
}
