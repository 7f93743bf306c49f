/* The routes of artifacts: which there are, what is in one by type, and its end. All of them aside. */
#include "api/artifacts.h"
#include "api/views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LIST_LIMIT 100u

static const char *const states[] = {
#define SNAPSHOT_X(name, word) word,
    SNAPSHOT_STATES(SNAPSHOT_X)
#undef SNAPSHOT_X
};

static json_t *artifact_json(const struct snapshot_artifact *artifact)
{
    const struct snapshot_meta *meta = &artifact->meta;
    bool going = artifact->state == SNAPSHOT_RECEIVING_IT || artifact->state == SNAPSHOT_ANALYSING;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b, s:s, s:s?, s:o}", "id", artifact->id, "kind", "snapshot", "process", meta->process,
        "name", meta->name, "heap", view_number(meta->heap), "taken_at", view_time(artifact->taken_wall_ns), "mode", meta->mode,
        "instant", artifact->instant, "state", states[artifact->state], "problem", *artifact->problem ? artifact->problem : NULL,
        "progress", json_real((double)(int)(artifact->progress * 1000) / 1000));
    json_object_set_new(json, "eta_ms", going && artifact->eta_ns ? view_number(artifact->eta_ns / 1000000u) : json_null());
    json_object_set_new(json, "objects", view_number(artifact->objects));
    json_object_set_new(json, "edges", view_number(artifact->edges));
    json_object_set_new(json, "bytes", view_number(artifact->bytes));
    json_object_set_new(json, "size_bytes", view_number(artifact->size_bytes));
    json_object_set_new(json, "pause_ns", meta->pause_ns ? view_number(meta->pause_ns) : json_null());
    return json;
}

static json_t *totals_json(const struct snapshot_totals *totals)
{
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"types", totals->types},
                   {"native_bytes", totals->native_bytes},
                   {"weak_edges", totals->weak_edges},
                   {"roots", totals->roots},
                   {"declared_roots", totals->declared},
                   {"external_roots", totals->external},
                   {"immortal_roots", totals->immortal},
                   {"external_references", totals->external_references},
                   {"gone_edges", totals->gone},
                   {"excess_edges", totals->excess},
                   {"garbage_objects", totals->garbage_objects},
                   {"garbage_bytes", totals->garbage_bytes},
                   {"analysis_ns", totals->analysis_ns}};
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_object_set_new(json, figures[i].name, view_number(figures[i].value));
    return json;
}

/* ---- which there are */

bool artifact_is_id(const char *text)
{
    return strlen(text) == SNAPSHOT_ID_CHARS - 1 && strspn(text, "0123456789abcdef") == SNAPSHOT_ID_CHARS - 1;
}

enum MHD_Result api_artifacts(struct request *request)
{
    const char *process = request_parameter(request, "process"), *before = request_parameter(request, "cursor");
    size_t limit = (size_t)request_integer(request, "limit", LIST_LIMIT);
    if (before && !artifact_is_id(before))
        return respond_fault(request, "cursor", NULL, "cursor must be the next_cursor of a page");
    struct snapshot_artifact *found = calloc(limit + 1, sizeof *found);
    if (!found)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    struct snapshots *snapshots = request->api->snapshots;
    size_t count = snapshots ? snapshots_list(snapshots, process, before, found, limit + 1) : 0;
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(list, artifact_json(&found[i]));
    json_t *next = count > limit ? json_string(found[limit - 1].id) : json_null();
    free(found);
    return respond_json(request, MHD_HTTP_OK, json_pack("{s:o, s:o}", "artifacts", list, "next_cursor", next), 0, NULL);
}

/* The one that the path names. false: answered. */
bool artifact_find(struct request *request, const char *id, struct snapshot_artifact *artifact, enum MHD_Result *answered)
{
    struct snapshots *snapshots = request->api->snapshots;
    if (snapshots && snapshots_find(snapshots, id, artifact))
        return true;
    bool dropped = snapshots && snapshots_dropped(snapshots, id);
    *answered = respond_problem(request, PROBLEM_no_such_artifact, dropped ? "it was dropped to make room for another, as the oldest "
                                                                             "of the process that had most (artifact-size)" : NULL);
    return false;
}

/* Why nothing can be read of it. */
static enum MHD_Result respond_unready(struct request *request, const struct snapshot_artifact *artifact)
{
    char detail[DETAIL_BYTES];
    if (artifact->state == SNAPSHOT_FAILED)
        snprintf(detail, sizeof detail, "it failed: %s", artifact->problem);
    else if (artifact->eta_ns)
        snprintf(detail, sizeof detail, "it is %s, %u %% done, and ready in about %llu s", states[artifact->state],
                 (unsigned)(artifact->progress * 100), (unsigned long long)(artifact->eta_ns / 1000000000u + 1));
    else
        snprintf(detail, sizeof detail, "it is %s", states[artifact->state]);
    return respond_problem(request, PROBLEM_artifact_not_ready, detail);
}

struct snapshot_graph *artifact_graph(struct request *request, enum MHD_Result *answered)
{
    struct snapshot_artifact artifact;
    struct snapshot_graph *graph = NULL;
    if (!artifact_find(request, request_segment(request, "{a}"), &artifact, answered))
        return NULL;
    int error = snapshot_graph_open(request->api->snapshots, artifact.id, &graph);
    if (error)
        *answered = artifact_refuse(request, artifact.id, error);
    return error ? NULL : graph;
}

enum MHD_Result artifact_refuse(struct request *request, const char *id, int error)
{
    struct snapshot_artifact artifact;
    if (error == -EAGAIN && snapshots_find(request->api->snapshots, id, &artifact))
        return respond_unready(request, &artifact);
    if (error == -EAGAIN || error == -ENOENT)
        return respond_unknown(request, PROBLEM_no_such_artifact, id);
    return respond_problem(request, PROBLEM_internal, strerror(-error));
}

enum MHD_Result artifact_respond(struct request *request, struct snapshot_graph *graph, json_t *json)
{
    bool sound = snapshot_graph_sound(graph);
    snapshot_graph_close(graph);
    if (sound)
        return respond_json(request, MHD_HTTP_OK, json, 0, NULL);
    json_decref(json);
    return respond_problem(request, PROBLEM_artifact_not_ready, "a file of it was cut short or cannot be read: ask again, and it is "
                                                                "made anew where that can be");
}

enum MHD_Result artifact_download(struct request *request, const struct snapshot_artifact *artifact, const char *format)
{
    if (artifact->state != SNAPSHOT_READY)
        return respond_unready(request, artifact);
    return download_start(request, artifact, format);
}

enum MHD_Result api_artifact(struct request *request)
{
    const char *format = request_parameter(request, "format");
    struct snapshot_artifact artifact;
    struct snapshot_graph *graph = NULL;
    enum MHD_Result answered;
    if (!artifact_find(request, request_segment(request, "{a}"), &artifact, &answered))
        return answered;
    bool whole = format && strcmp(format, "json") != 0;
    if (whole && !(request->scopes & CONTROL))
        return respond_problem(request, PROBLEM_forbidden, "a download tells what is in the heap: it takes a token of scope control");
    if (whole && guard_read_only(request))
        return respond_problem(request, PROBLEM_remote_control_off, NULL);
    if (whole)
        return artifact_download(request, &artifact, format);
    json_t *json = artifact_json(&artifact);
    if (!snapshot_graph_open(request->api->snapshots, artifact.id, &graph)) {
        json_object_set_new(json, "summary", totals_json(snapshot_graph_totals(graph)));
        return artifact_respond(request, graph, json);
    }
    json_object_set_new(json, "summary", json_null());
    return respond_json(request, MHD_HTTP_OK, json, 0, NULL);
}

enum MHD_Result api_artifact_delete(struct request *request)
{
    struct snapshots *snapshots = request->api->snapshots;
    const char *id = request_segment(request, "{a}");
    if (!snapshots || !snapshots_delete(snapshots, id))
        return respond_problem(request, PROBLEM_no_such_artifact, NULL);
    asked_once(request, "artifact_delete", id, "done", "");
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    respond_headers(response, false);
    return respond_queue(request, MHD_HTTP_NO_CONTENT, response);
}

/* ---- by type */

json_t *artifact_text(struct snapshot_text text)
{
    return text.bytes ? json_stringn(text.at, text.bytes) : json_null();
}

bool artifact_type(struct request *request, const struct snapshot_graph *graph, uint32_t *type, enum MHD_Result *answered)
{
    const char *name = request_parameter(request, "type");
    uint64_t count = snapshot_graph_totals(graph)->types;
    *type = SNAPSHOT_NO_OBJECT;
    for (uint32_t i = 0; name && i < count && *type == SNAPSHOT_NO_OBJECT; i++) {
        struct snapshot_text its = snapshot_graph_type(graph, i).name;
        if (its.bytes == strlen(name) && !memcmp(its.at, name, its.bytes))
            *type = i;
    }
    if (name && *type == SNAPSHOT_NO_OBJECT) {
        *answered = respond_fault(request, "type", NULL, "type: the snapshot has no type of this name");
        return false;
    }
    return true;
}

static json_t *type_json(const struct snapshot_type_row *type)
{
    json_t *json = json_pack("{s:o, s:o}", "type", artifact_text(type->name), "type_row", view_number(type->row));
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"objects", type->objects},
                   {"bytes", type->bytes},
                   {"native_bytes", type->native_bytes},
                   {"retained_bytes", type->retained},
                   {"roots", type->roots},
                   {"external", type->external},
                   {"garbage_objects", type->garbage_objects},
                   {"garbage_bytes", type->garbage_bytes}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_object_set_new(json, figures[i].name, view_number(figures[i].value));
    return json;
}

static uint64_t type_number(const char *word, const struct snapshot_type_row *type)
{
    return !strcmp(word, "retained_bytes") ? type->retained
           : !strcmp(word, "bytes")        ? type->bytes
           : !strcmp(word, "objects")      ? type->objects
           : !strcmp(word, "external")     ? type->external
           : !strcmp(word, "roots")        ? type->roots
                                           : 0;
}

/* The types that have objects, as rows of a list, whose ids are the rows' numbers. */
static size_t types_collect(const struct snapshot_graph *graph, const char *word, struct snapshot_type_row *types,
                            struct list_row *rows, char (*texts)[SNAPSHOT_TEXT_MAX + 1], bool by_name)
{
    size_t count = 0;
    for (uint32_t i = 0; i < snapshot_graph_totals(graph)->types; i++) {
        struct snapshot_type_row type = snapshot_graph_type(graph, i);
        if (!type.objects)
            continue;
        types[count] = type;
        snprintf(texts[count], sizeof texts[count], "%.*s", (int)type.name.bytes, type.name.at);
        rows[count] = (struct list_row){
            .item = &types[count], .number = type_number(word, &type), .text = by_name ? texts[count] : NULL, .id = "", .part = type.row};
        count++;
    }
    return count;
}

static json_t *types_page(struct request *request, const struct snapshot_graph *graph, const char *word, bool down)
{
    size_t room = snapshot_graph_totals(graph)->types + 1, from = 0, to = 0;
    struct snapshot_type_row *types = calloc(room, sizeof *types);
    char(*texts)[SNAPSHOT_TEXT_MAX + 1] = calloc(room, sizeof *texts);
    struct list list = {.rows = calloc(room, sizeof *list.rows), .word = word, .down = down};
    json_t *page = json_array(), *next = json_null();
    if (types && texts && list.rows) {
        list.count = types_collect(graph, word, types, list.rows, texts, !strcmp(word, "name"));
        next = list_page(request, &list, LIST_LIMIT, &from, &to);
    }
    for (; from < to; from++)
        json_array_append_new(page, type_json(list.rows[from].item));
    free(types);
    free(texts);
    free(list.rows);
    return json_pack("{s:s, s:o, s:o}", "artifact", request_segment(request, "{a}"), "types", page, "next_cursor", next);
}

enum MHD_Result api_artifact_types(struct request *request)
{
    enum MHD_Result answered;
    bool down;
    const char *word = list_sort(request, "retained_bytes", &down);
    if (!list_cursor_check(request, word, down, &answered))
        return answered;
    struct snapshot_graph *graph = artifact_graph(request, &answered);
    if (!graph)
        return answered;
    return artifact_respond(request, graph, types_page(request, graph, word, down));
}
