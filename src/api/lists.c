/* The routes that list: what passes the filters, in an order, a page at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"

#define TREND_LEAST 6u /* parts of a level, of at most twelve */

/* One answer: its rows, their order, and what else it says. */
struct listing {
    const struct stats_view *view;
    const struct stats_process_view *process; /* of types and collections */
    uint32_t heap;
    const char *sort;
    bool down;
    const struct stats_process_view *baseline; /* of types: to compare with, a reference, or NULL */
};

/* What a word of `sort` makes of an item. */
#define ORDER(list, name, value) \
    if (!strcmp((list)->word, name)) \
        return (value)

static uint64_t since_of(const struct listing *listing)
{
    return listing->baseline ? listing->baseline->seq : 0;
}

/* A key for what depends on the query, and on one process or all. */
static const char *key_of(const struct request *request, const struct listing *listing, char *key, size_t bytes)
{
    const char *query = strchr(request->target, '?');
    int length = snprintf(key, bytes, "%s %s %u %llu%s", strrchr(request->route->path, '/'),
                          listing->process ? listing->process->id : "", (unsigned)listing->heap,
                          (unsigned long long)since_of(listing), query ? query : "");
    return length > 0 && (size_t)length < bytes ? key : NULL;
}

/* ---- processes */

/* label=key:value, any number of them, all of which must fit. */
static bool labels_fit(const struct request *request, const struct stats_process_view *process)
{
    for (unsigned i = 0; i < request->parameter_count; i++) {
        const char *value = request->parameters[i].value, *colon = strchr(value, ':');
        bool fits = false;
        if (request->parameters[i].row->kind != PAIR)
            continue;
        for (size_t l = 0; l < process->label_count && colon; l++)
            fits |= strlen(process->labels[l].key) == (size_t)(colon - value) &&
                    !strncmp(process->labels[l].key, value, (size_t)(colon - value)) &&
                    !strcmp(process->labels[l].value, colon + 1);
        if (!fits)
            return false;
    }
    return true;
}

/* Without a sort: live ones, then those that are gone, each in order of attaching. */
static uint64_t process_number(const struct list *list, const struct stats_process_view *process)
{
    ORDER(list, "live_bytes", process->figures.live_bytes);
    ORDER(list, "live_objects", process->figures.live_objects);
    ORDER(list, "allocations", process->figures.allocations);
    ORDER(list, "collections", process->figures.collections);
    ORDER(list, "attached_at", process->attached_wall_ns);
    ORDER(list, "name", 0);
    return (uint64_t)process->gone << 63 | process->attached_wall_ns;
}

static json_t *processes_make(struct request *request, const void *arg)
{
    const struct listing *listing = arg;
    const struct stats_view *view = listing->view;
    const char *state = request_parameter(request, "state");
    struct list list = {.rows = malloc((view->process_count + 1) * sizeof *list.rows), .word = listing->sort, .down = listing->down};
    json_t *json = json_object(), *rows = json_array();
    size_t from, to;
    for (size_t i = 0; list.rows && i < view->process_count; i++) {
        const struct stats_process_view *process = view->processes[i];
        if ((!state || process->gone == !strcmp(state, "gone")) && labels_fit(request, process))
            list.rows[list.count++] = (struct list_row){process, process_number(&list, process),
                                                        !strcmp(list.word, "name") ? process->name : NULL, process->id, 0};
    }
    json_t *next = list_page(request, &list, PAGE_LIMIT, &from, &to);
    uint64_t now = clock_mono_ns();
    for (size_t i = from; i < to; i++)
        json_array_append_new(rows, view_process(list.rows[i].item, now));
    json_object_set_new(json, "processes", rows);
    json_object_set_new(json, "next_cursor", next);
    view_stamp(json, view->as_of_wall_ns, view->as_of_mono_ns, view->seq);
    free(list.rows);
    return json;
}

json_t *processes_json(const struct stats_view *view)
{
    struct request any = {.parameter_count = 0};
    return processes_make(&any, &(struct listing){.view = view, .sort = ""});
}

enum MHD_Result api_processes(struct request *request)
{
    struct listing listing = {.down = false};
    char key[BODY_KEY_BYTES];
    enum MHD_Result result = MHD_NO;
    listing.sort = list_sort(request, "", &listing.down);
    listing.down &= *listing.sort != '\0';
    if (!list_cursor_check(request, listing.sort, listing.down, &result))
        return result;
    listing.view = stats_view_get_new(request->api->stats);
    result = respond_body(request, key_of(request, &listing, key, sizeof key), listing.view->seq, 0, processes_make, &listing);
    stats_view_unref(listing.view);
    return result;
}

/* ---- types and collections of a process */

static uint64_t type_number(const struct list *list, const struct stats_type_view *type)
{
    ORDER(list, "live_objects", type->live_objects);
    ORDER(list, "allocations", type->allocations);
    ORDER(list, "allocated_bytes", type->allocated_bytes);
    ORDER(list, "name", 0);
    return type->live_bytes;
}

static void baseline_set(json_t *json, const struct stats_process_view *baseline)
{
    json_t *stamp = json_object();
    view_stamp(stamp, baseline->as_of_wall_ns, baseline->as_of_mono_ns, baseline->seq);
    json_object_set_new(json, "baseline", stamp);
}

/* The growth of the one heap that is shown, whose rows are the types'; NULL: there are several, or it has none yet. */
static struct stats_growth_copy *growth_of(const struct listing *listing)
{
    const struct stats_heap_view *only = NULL;
    for (size_t i = 0; i < listing->process->heap_count; i++) {
        const struct stats_heap_view *heap = &listing->process->heaps[i];
        if (listing->heap ? heap->n != listing->heap : heap->gone)
            continue;
        if (only)
            return NULL;
        only = heap;
    }
    return only ? stats_growth_copy_new(only->growth) : NULL;
}

/* Of the longest level that is filled. */
static json_t *trend_json(const struct stats_growth_copy *copy, const struct stats_type_view *type)
{
    unsigned at = copy ? copy->level_count - 1 : 0;
    if (!copy || type->row >= copy->type_count)
        return json_null();
    while (at && copy->levels[at].count < TREND_LEAST)
        at--;
    const struct stats_growth_level *level = &copy->levels[at];
    json_t *values = json_array();
    for (unsigned i = 0; i < level->count; i++)
        json_array_append_new(values, view_number((uint64_t)level->low[type->row][i] * GROWTH_UNIT));
    double window_s = (double)(level->end_ns[level->count - 1] - level->start_ns) / level->count / 1e9;
    return json_pack("{s:f, s:o, s:o}", "window_s", round(window_s * 1000) / 1000, "end_mono_ns",
                     view_number(level->end_ns[level->count - 1]), "live_bytes", values);
}

static json_t *types_make(struct request *request, const void *arg)
{
    const struct listing *listing = arg;
    const struct stats_process_view *process = listing->process;
    const struct stats_heap_view *heap = listing->heap ? view_heap_find(process, listing->heap) : NULL;
    const struct stats_type_view *types = heap ? heap->types : process->types;
    size_t count = heap ? heap->type_count : process->type_count, from, to;
    bool by_name = !strcmp(listing->sort, "name");
    struct list list = {.rows = malloc((count + 1) * sizeof *list.rows), .word = listing->sort, .down = listing->down};
    struct details *details = details_new(process, listing->heap);
    bool trend = request_flag(request, "trend");
    struct stats_growth_copy *growth = trend ? growth_of(listing) : NULL;
    const char *name = request_parameter(request, "type");
    json_t *json = json_object(), *rows = json_array();
    for (size_t i = 0; list.rows && details && i < count; i++)
        if (!name || !strcmp(types[i].name, name))
            list.rows[list.count++] = (struct list_row){
                &types[i], type_number(&list, &types[i]), by_name ? types[i].name : NULL, by_name ? "" : types[i].name,
                types[i].size_bytes << 2 | (uint64_t)types[i].tracked << 1 | types[i].variable};
    json_t *next = list_page(request, &list, PAGE_LIMIT, &from, &to);
    for (size_t i = from; i < to; i++) {
        json_t *type = view_type(list.rows[i].item);
        details_type_set(type, details, list.rows[i].item, request_flag(request, "histograms"));
        if (trend)
            json_object_set_new(type, "trend", trend_json(growth, list.rows[i].item));
        if (listing->baseline)
            view_since(type, list.rows[i].item, listing->baseline, listing->heap);
        json_array_append_new(rows, type);
    }
    free(growth);
    free(details);
    free(list.rows);
    view_identity(json, process);
    json_object_set_new(json, "types", rows);
    json_object_set_new(json, "next_cursor", next);
    if (listing->baseline)
        baseline_set(json, listing->baseline);
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}

static uint64_t collection_number(const struct list *list, const struct stats_collection_view *collection)
{
    ORDER(list, "pause_ns", collection->pause_ns);
    ORDER(list, "examined", collection->examined);
    ORDER(list, "collected", collection->collected);
    ORDER(list, "freed_bytes", collection->freed_bytes);
    return collection->start_mono_ns;
}

static bool collection_fits(const struct request *request, const struct listing *listing,
                            const struct stats_collection_view *collection)
{
    return (!listing->heap || collection->heap == listing->heap) &&
           request_integer(request, "generation", collection->generation) == collection->generation &&
           collection->pause_ns >= request_integer(request, "min_pause_us", 0) * 1000 &&
           list_among(request_parameter(request, "reason"), view_reason(collection->reason));
}

static json_t *collections_make(struct request *request, const void *arg)
{
    const struct listing *listing = arg;
    const struct stats_process_view *process = listing->process;
    size_t count = process->collection_count, from, to;
    struct list list = {.rows = malloc((count + 1) * sizeof *list.rows), .word = listing->sort, .down = listing->down};
    json_t *json = json_object(), *rows = json_array();
    for (size_t i = 0; list.rows && i < count; i++) {
        const struct stats_collection_view *collection = &process->collections[i];
        if (collection_fits(request, listing, collection))
            list.rows[list.count++] =
                (struct list_row){collection, collection_number(&list, collection), NULL, "",
                                  (uint64_t)collection->heap << 40 | (~collection->sequence & 0xffffffffffu)};
    }
    json_t *next = list_page(request, &list, PAGE_LIMIT, &from, &to);
    for (size_t i = from; i < to; i++)
        json_array_append_new(rows, view_collection(request->api, list.rows[i].item));
    free(list.rows);
    view_identity(json, process);
    json_object_set_new(json, "collections", rows);
    json_object_set_new(json, "next_cursor", next);
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}

/* The state to compare with, where the request asks for one; false: there is none. */
static bool baseline_asked(struct request *request, struct listing *listing)
{
    const char *which = request_parameter(request, "baseline");
    struct stats_baseline baseline;
    if (!which || !strcmp(which, "false"))
        return true;
    bool found = strcmp(which, "true") ? baseline_find(request->api, which, &baseline)
                                       : stats_baseline_newest(request->api->stats, listing->process->id, &baseline);
    if (found && strcmp(baseline.process->id, listing->process->id) != 0) {
        stats_process_unref(baseline.process);
        found = false;
    }
    if (found)
        listing->baseline = baseline.process;
    return found;
}

static enum MHD_Result process_list(struct request *request, const char *sort, body_fn make)
{
    struct listing listing = {.heap = 0};
    char key[BODY_KEY_BYTES];
    enum MHD_Result result = MHD_NO;
    listing.sort = list_sort(request, sort, &listing.down);
    if (!list_cursor_check(request, listing.sort, listing.down, &result))
        return result;
    listing.view = stats_view_get_new(request->api->stats);
    listing.process = request_process(request, listing.view, &result);
    bool there = listing.process && request_heap(request, listing.process, &listing.heap, &result);
    if (there && !baseline_asked(request, &listing))
        result = respond_problem(request, PROBLEM_no_baseline, NULL);
    else if (there)
        result = respond_body(request, key_of(request, &listing, key, sizeof key), listing.process->seq, since_of(&listing), make, &listing);
    if (listing.baseline)
        stats_process_unref(listing.baseline);
    stats_view_unref(listing.view);
    return result;
}

enum MHD_Result api_types(struct request *request)
{
    return process_list(request, "live_bytes", types_make);
}

enum MHD_Result api_collections(struct request *request)
{
    return process_list(request, "start", collections_make);
}

/* ---- operations */

/* Whether it is one of the process's, alone or among others; true where none was named. */
static bool operation_concerns(const struct operation_view *operation, const char *process)
{
    for (size_t i = 0; process && i < operation->process_count; i++)
        if (!strcmp(operation->processes[i], process))
            return true;
    return !process;
}

static bool operation_fits(const struct request *request, const struct operation_view *operation)
{
    const char *kind = request_parameter(request, "kind");
    return operation_concerns(operation, request_parameter(request, "process")) &&
           (!kind || !strcmp(kind, operation_kind_word(operation->kind))) &&
           list_among(request_parameter(request, "state"), operation_state_word(operation->state));
}

/* Newest first. */
enum MHD_Result api_operations(struct request *request)
{
    struct operation_view *views[OPERATIONS_KEPT];
    struct list_row rows[OPERATIONS_KEPT];
    struct list list = {.rows = rows, .word = "created", .down = true};
    enum MHD_Result result = MHD_NO;
    size_t from, to;
    if (!list_cursor_check(request, list.word, list.down, &result))
        return result;
    size_t count = operations_list_new(request->api->operations, views, OPERATIONS_KEPT);
    for (size_t i = 0; i < count; i++)
        if (operation_fits(request, views[i]))
            rows[list.count++] = (struct list_row){views[i], views[i]->number, NULL, views[i]->id, 0};
    json_t *next = list_page(request, &list, OPERATIONS_KEPT, &from, &to), *json = json_array();
    for (size_t i = from; i < to; i++)
        json_array_append_new(json, view_operation(request->api, rows[i].item, false));
    for (size_t i = 0; i < count; i++)
        operations_view_free(views[i]);
    return respond_json(request, MHD_HTTP_OK, json_pack("{s:o, s:o}", "operations", json, "next_cursor", next), 0, NULL);
}
