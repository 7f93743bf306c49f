/* The routes of an artifact's objects: the greatest of them, one, its edges, who refers to it, the way to it. A page takes one walk
 * over a column, whatever the snapshot's size is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/artifacts.h"
#include "api/views.h"

#define PAGE_DEFAULT 100u
#define PATH_MOST 200u

static const struct {
    const char *word;
    enum snapshot_sort sort;
} sorts[] = {{"retained_bytes", SNAPSHOT_BY_RETAINED},
             {"bytes", SNAPSHOT_BY_BYTES},
             {"references", SNAPSHOT_BY_REFERENCES},
             {"external", SNAPSHOT_BY_EXTERNAL}};

static const struct {
    const char *word;
    uint32_t bit;
} flags[] = {
#define SNAPSHOT_X(name, value, word) {word, value},
    SNAPSHOT_OBJECT_FLAGS(SNAPSHOT_X)
#undef SNAPSHOT_X
};

static const char *const kinds[] = {
#define SNAPSHOT_X(name, value, word) [name] = word,
    SNAPSHOT_EDGES(SNAPSHOT_X)
#undef SNAPSHOT_X
};

/* ---- rows */

static json_t *number_json(struct snapshot_graph *graph, uint32_t object)
{
    struct snapshot_row row;
    return snapshot_graph_row(graph, object, &row) ? view_number(row.number) : json_null();
}

static json_t *flags_json(uint32_t bits)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (bits & flags[i].bit)
            json_array_append_new(list, json_string(flags[i].word));
    return list;
}

/* Why the root holds it; null: it does not. */
static json_t *root_json(const struct snapshot_row *row)
{
    return row->declared                       ? json_string("declared")
           : row->external                     ? json_string("external")
           : row->flags & SNAPSHOT_IMMORTAL    ? json_string("immortal")
                                               : json_null();
}

static json_t *row_json(struct snapshot_graph *graph, const struct snapshot_row *row)
{
    bool reachable = row->distance != SNAPSHOT_NO_OBJECT;
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "object", view_number(row->number), "type", artifact_text(row->type_name), "label",
                             *row->label ? json_string(row->label) : json_null(), "root", root_json(row), "flags", flags_json(row->flags),
                             "garbage", !reachable);
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"bytes", row->bytes},           {"native_bytes", row->native_bytes}, {"retained_bytes", row->retained},
                   {"references", row->references}, {"declared", row->declared},         {"external", row->external},
                   {"edges", row->edges},           {"referrers", row->referrers},       {"dominated", row->dominated}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        json_object_set_new(json, figures[i].name, view_number(figures[i].value));
    json_object_set_new(json, "distance", reachable ? view_number(row->distance) : json_null());
    json_object_set_new(json, "dominator", number_json(graph, row->dominator));
    return json;
}

/* An object that an edge leads to or comes from. */
static json_t *link_json(struct snapshot_graph *graph, const struct snapshot_link *link)
{
    struct snapshot_row row;
    bool there = snapshot_graph_row(graph, link->object, &row);
    bool indexed = link->kind == SNAPSHOT_EDGE_TRAILING || link->kind == SNAPSHOT_EDGE_EXTERNAL || link->kind == SNAPSHOT_EDGE_VISITED;
    return json_pack("{s:o, s:o, s:o, s:o, s:s?, s:o, s:o}", "object", view_number(link->number), "type",
                     there ? artifact_text(row.type_name) : json_null(), "label", there && *row.label ? json_string(row.label) : json_null(),
                     "retained_bytes", there ? view_number(row.retained) : json_null(), "kind",
                     link->kind < SNAPSHOT_EDGE_KINDS ? kinds[link->kind] : NULL, "field", artifact_text(link->field), "index",
                     indexed ? view_number(link->place) : json_null());
}

/* ---- pages: the cursor is the order's word and the number of the last object */

static json_t *cursor_json(const char *word, uint64_t number)
{
    return json_sprintf("%s.%llu", word, (unsigned long long)number);
}

/* The object behind which the page begins, SNAPSHOT_NO_OBJECT: with the first. false: answered. */
static bool cursor_read(struct request *request, struct snapshot_graph *graph, const char *word, uint32_t *after,
                        enum MHD_Result *answered)
{
    const char *cursor = request_parameter(request, "cursor");
    size_t length = strlen(word);
    uint64_t number = 0;
    *after = SNAPSHOT_NO_OBJECT;
    if (!cursor)
        return true;
    if (!strncmp(cursor, word, length) && cursor[length] == '.' && parse_number(cursor + length + 1, UINT64_MAX, &number))
        *after = snapshot_graph_find(graph, number);
    if (*after == SNAPSHOT_NO_OBJECT)
        *answered = respond_fault(request, "cursor", NULL, "cursor must be the next_cursor of a page of the same sort");
    return *after != SNAPSHOT_NO_OBJECT;
}

/* Closes the graph. */
static enum MHD_Result select_respond(struct request *request, struct snapshot_graph *graph, struct snapshot_query *query,
                                      const char *word, const char *member)
{
    enum MHD_Result answered;
    size_t limit = (size_t)request_integer(request, "limit", PAGE_DEFAULT);
    uint32_t *found = malloc((limit + 1) * sizeof *found);
    json_t *list = json_array(), *next = json_null();
    if (!found || !cursor_read(request, graph, word, &query->after, &answered)) {
        json_decref(list);
        json_decref(next);
        answered = found ? answered : respond_problem(request, PROBLEM_internal, "out of memory");
        free(found);
        snapshot_graph_close(graph);
        return answered;
    }
    size_t count = snapshot_graph_select(graph, query, found, limit + 1);
    struct snapshot_row row = {.number = 0};
    for (size_t i = 0; i < count && i < limit; i++)
        if (snapshot_graph_row(graph, found[i], &row))
            json_array_append_new(list, row_json(graph, &row));
    if (count > limit)
        next = cursor_json(word, row.number);
    free(found);
    return artifact_respond(request, graph, json_pack("{s:s, s:o, s:o}", "artifact", request_segment(request, "{a}"), member, list,
                                                      "next_cursor", next));
}

enum MHD_Result api_artifact_objects(struct request *request)
{
    enum MHD_Result answered;
    struct snapshot_query query = {.dominator = SNAPSHOT_NO_OBJECT, .held = request_flag(request, "roots")};
    const char *word = request_parameter(request, "sort");
    size_t sort = 0;
    struct snapshot_graph *graph = artifact_graph(request, &answered);
    if (!graph)
        return answered;
    while (word && strcmp(word, sorts[sort].word) != 0)
        sort++;
    query.sort = sorts[sort].sort;
    if (artifact_type(request, graph, &query.type, &answered))
        return select_respond(request, graph, &query, sorts[sort].word, "objects");
    snapshot_graph_close(graph);
    return answered;
}

/* The object that a text names. false: answered. */
static bool object_read(struct request *request, struct snapshot_graph *graph, const char *text, uint32_t *object,
                        enum MHD_Result *answered)
{
    uint64_t number;
    *object = parse_number(text, UINT64_MAX, &number) ? snapshot_graph_find(graph, number) : SNAPSHOT_NO_OBJECT;
    if (*object == SNAPSHOT_NO_OBJECT)
        *answered = respond_unknown(request, PROBLEM_no_such_object, text);
    return *object != SNAPSHOT_NO_OBJECT;
}

enum MHD_Result api_artifact_dominators(struct request *request)
{
    enum MHD_Result answered;
    const char *above = request_parameter(request, "object");
    struct snapshot_query query = {.sort = SNAPSHOT_BY_RETAINED, .type = SNAPSHOT_NO_OBJECT};
    struct snapshot_graph *graph = artifact_graph(request, &answered);
    if (!graph)
        return answered;
    query.dominator = (uint32_t)snapshot_graph_totals(graph)->objects;
    if (!above || object_read(request, graph, above, &query.dominator, &answered))
        return select_respond(request, graph, &query, "dominated", "dominators");
    snapshot_graph_close(graph);
    return answered;
}

/* ---- one object */

/* The graph and the object that the path names, the graph to be closed; false: answered, and closed. */
static bool subject(struct request *request, struct snapshot_graph **graph, uint32_t *object, enum MHD_Result *answered)
{
    *graph = artifact_graph(request, answered);
    if (!*graph)
        return false;
    if (object_read(request, *graph, request_segment(request, "{o}"), object, answered))
        return true;
    snapshot_graph_close(*graph);
    return false;
}

enum MHD_Result api_artifact_object(struct request *request)
{
    enum MHD_Result answered;
    struct snapshot_graph *graph;
    struct snapshot_row row;
    uint32_t object;
    if (!subject(request, &graph, &object, &answered))
        return answered;
    if (snapshot_graph_row(graph, object, &row))
        return artifact_respond(request, graph, row_json(graph, &row));
    snapshot_graph_close(graph);
    return respond_problem(request, PROBLEM_internal, "the snapshot cannot be read any more");
}

enum MHD_Result api_artifact_edges(struct request *request)
{
    enum MHD_Result answered;
    struct snapshot_graph *graph;
    uint32_t object;
    uint64_t from = 0;
    const char *cursor = request_parameter(request, "cursor");
    size_t limit = (size_t)request_integer(request, "limit", PAGE_DEFAULT);
    if (cursor && !parse_number(cursor, SNAPSHOT_OBJECTS_MAX, &from))
        return respond_fault(request, "cursor", NULL, "cursor must be the next_cursor of a page");
    if (!subject(request, &graph, &object, &answered))
        return answered;
    struct snapshot_link *links = calloc(limit + 1, sizeof *links);
    size_t count = links ? snapshot_graph_edges(graph, object, from, links, limit + 1) : 0;
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(list, link_json(graph, &links[i]));
    json_t *next = count > limit ? json_sprintf("%llu", (unsigned long long)(from + limit)) : json_null();
    free(links);
    return artifact_respond(request, graph, json_pack("{s:o, s:o}", "edges", list, "next_cursor", next));
}

enum MHD_Result api_artifact_referrers(struct request *request)
{
    enum MHD_Result answered;
    struct snapshot_graph *graph;
    uint32_t object, after;
    size_t limit = (size_t)request_integer(request, "limit", PAGE_DEFAULT);
    if (!subject(request, &graph, &object, &answered))
        return answered;
    if (!cursor_read(request, graph, "number", &after, &answered)) {
        snapshot_graph_close(graph);
        return answered;
    }
    struct snapshot_link *links = calloc(limit + 1, sizeof *links);
    size_t count = links ? snapshot_graph_referrers(graph, object, after, links, limit + 1) : 0;
    json_t *list = json_array(), *next = count > limit ? cursor_json("number", links[limit - 1].number) : json_null();
    for (size_t i = 0; i < count && i < limit; i++) {
        json_t *json = link_json(graph, &links[i]);
        json_object_set_new(json, "times", view_number(links[i].times));
        json_array_append_new(list, json);
    }
    free(links);
    return artifact_respond(request, graph, json_pack("{s:o, s:o}", "referrers", list, "next_cursor", next));
}

enum MHD_Result api_artifact_path(struct request *request)
{
    enum MHD_Result answered;
    struct snapshot_graph *graph;
    struct snapshot_link way[PATH_MOST];
    struct snapshot_row row;
    uint32_t object, omitted = 0;
    if (!subject(request, &graph, &object, &answered))
        return answered;
    size_t count = snapshot_graph_path(graph, object, way, PATH_MOST, &omitted);
    json_t *list = json_array(), *root = json_null();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, link_json(graph, &way[i]));
    if (count && snapshot_graph_row(graph, way[0].object, &row))
        root = root_json(&row);
    return artifact_respond(request, graph, json_pack("{s:o, s:o, s:o, s:o}", "path", list, "root", root, "omitted", view_number(omitted),
                                                      "omitted_after", omitted ? view_number(PATH_MOST / 2) : json_null()));
}
