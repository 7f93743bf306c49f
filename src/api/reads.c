/* The routes that read: each finds its view, and hands over a body that is made once. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/private.h"
#include "base/clock.h"
#include "tally.h"

enum MHD_Result api_healthz(struct request *request)
{
    return respond_json(request, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"), 0, NULL);
}

static json_t *refusals(const struct stats_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->refusal_count; i++) {
        const struct stats_refusal *refusal = &view->refusals[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:o, s:i, s:I}", "reason", refusal->reason, "count",
                                        (json_int_t)refusal->count, "last_at",
                                        view_time(refusal->last_wall_ns), "last_pid", (int)refusal->last_pid,
                                        "last_uid", (json_int_t)(int32_t)refusal->last_uid));
    }
    return list;
}

static json_t *fields(void)
{
    json_t *list = json_array();
#define STATS_FIELD(member, path, kind, unit, label, help)                                                   \
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "path", path, "kind", #kind, "unit",  \
                                          unit, "label", label, "help", help));
#include "stats/fields.def"
#undef STATS_FIELD
    return list;
}

static json_t *limits(void)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "body_bytes", (int)BODY_MAX, "tcp_connections",
                     (int)TCP_CONNECTIONS, "unix_connections", (int)UNIX_CONNECTIONS, "streams",
                     (int)STREAMS_MAX, "stream_queue_bytes", (int)STREAM_QUEUE_BYTES, "deadline_max_ms",
                     (int)DEADLINE_MAX_MS, "operations_kept", (int)OPERATIONS_KEPT);
}

static json_t *sandbox(const struct api *api)
{
    const struct sandbox *in = &api->sandbox;
    return json_pack("{s:b, s:b, s:b, s:i, s:s?}", "no_new_privileges", in->no_new_privs, "undumpable", in->undumpable,
                     "system_calls", in->syscalls, "landlock", in->landlock, "detail", *in->detail ? in->detail : NULL);
}

enum MHD_Result api_info(struct request *request)
{
    struct api *api = request->api;
    const struct stats_view *view = stats_view_get_new(api->stats);
    size_t live = 0;
    for (size_t i = 0; i < view->process_count; i++)
        live += !view->processes[i]->gone;
    json_t *json = json_pack(
        "{s:s, s:s, s:i, s:s, s:o, s:I, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:i, s:i}, s:o, s:o, s:o, s:o, s:o}",
        "version", TALLY_VERSION, "start_id", api->start_id, "pid", (int)getpid(), "mode",
        api->system ? "system" : "user", "started_at", view_time(api->started_wall_ns), "uptime_ns",
        (json_int_t)(clock_mono_ns() - api->started_ns), "http", api->tcp_address, "runtime_dir",
        api->runtime_dir, "state_dir", api->state_dir, "libraries", "libmicrohttpd", MHD_get_version(),
        "jansson", JANSSON_VERSION, "processes", "live", (int)live, "gone", (int)(view->process_count - live),
        "refused", refusals(view), "limits", limits(), "managers",
        view_managers(), "fields", fields(), "sandbox", sandbox(api));
    if (json)
        view_stamp(json, view->as_of_wall_ns, view->as_of_mono_ns, view->seq);
    stats_view_unref(view);
    return respond_json(request, MHD_HTTP_OK, json, 0, NULL);
}

struct listing {
    const struct stats_view *view;
    const char *state;
    uint64_t limit, start;
};

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

static int by_bytes(const void *a, const void *b)
{
    uint64_t one = (*(const struct stats_process_view *const *)a)->figures.live_bytes;
    uint64_t two = (*(const struct stats_process_view *const *)b)->figures.live_bytes;
    return one < two ? 1 : one > two ? -1 : 0;
}
static int by_process_name(const void *a, const void *b)
{
    return strcmp((*(const struct stats_process_view *const *)a)->name,
                  (*(const struct stats_process_view *const *)b)->name);
}

static json_t *list_make(struct request *request, const void *arg)
{
    const struct listing *listing = arg;
    const struct stats_view *view = listing->view;
    const struct stats_process_view **rows = malloc((view->process_count + 1) * sizeof *rows);
    const char *sort = request_parameter(request, "sort");
    size_t count = 0;
    if (!rows)
        return NULL;
    for (size_t i = 0; i < view->process_count; i++) {
        const struct stats_process_view *process = view->processes[i];
        if ((!listing->state || process->gone == !strcmp(listing->state, "gone")) &&
            labels_fit(request, process))
            rows[count++] = process;
    }
    if (sort)
        qsort(rows, count, sizeof *rows, !strcmp(sort, "name") ? by_process_name : by_bytes);
    json_t *json = json_object(), *list = json_array();
    uint64_t now = clock_mono_ns(), end = listing->start + listing->limit;
    for (uint64_t i = listing->start; i < count && i < end; i++)
        json_array_append_new(list, view_process(rows[i], now));
    json_object_set_new(json, "processes", list);
    json_object_set_new(json, "next_cursor",
                        end < count ? json_sprintf("%llu", (unsigned long long)end) : json_null());
    view_stamp(json, view->as_of_wall_ns, view->as_of_mono_ns, view->seq);
    free(rows);
    return json;
}

json_t *processes_json(struct request *request, const struct stats_view *view)
{
    return list_make(request, &(struct listing){.view = view, .limit = PAGE_LIMIT});
}

enum MHD_Result api_processes(struct request *request)
{
    struct listing listing = {.state = request_parameter(request, "state"),
                              .limit = request_integer(request, "limit", PAGE_LIMIT)};
    const char *cursor = request_parameter(request, "cursor");
    if (cursor && !parse_number(cursor, UINT32_MAX, &listing.start))
        return respond_problem(request, PROBLEM_bad_value, "the cursor is not one of ours");
    const char *query = strchr(request->target, '?');
    char key[96];
    listing.view = stats_view_get_new(request->api->stats);
    enum MHD_Result result;
    if (snprintf(key, sizeof key, "processes%s", query ? query : "") < (int)sizeof key)
        result = respond_body(request, key, listing.view->seq, list_make, &listing);
    else
        result = respond_json(request, MHD_HTTP_OK, list_make(request, &listing), listing.view->seq, NULL);
    stats_view_unref(listing.view);
    return result;
}

const struct stats_process_view *request_process(struct request *request, const struct stats_view *view,
                                                 enum MHD_Result *answered)
{
    bool ambiguous;
    const struct stats_process_view *process = stats_find(view, request_segment(request, "{id}"), &ambiguous);
    if (!process)
        *answered =
            respond_problem(request, ambiguous ? PROBLEM_ambiguous_process : PROBLEM_no_such_process, NULL);
    return process;
}

bool request_heap(struct request *request, const struct stats_process_view *process, uint32_t *heap,
                  enum MHD_Result *answered)
{
    const char *segment = request_segment(request, "{n}");
    uint64_t n = 0;
    *heap = 0;
    if (!segment)
        return true;
    if (!parse_number(segment, UINT32_MAX, &n) || !view_heap_find(process, (uint32_t)n)) {
        *answered = respond_problem(request, PROBLEM_no_such_heap, NULL);
        return false;
    }
    *heap = (uint32_t)n;
    return true;
}

struct subject {
    const struct stats_process_view *process;
    uint32_t heap;
    uint64_t limit;
    const char *sort;
    bool histograms;
};

static json_t *process_make(struct request *request, const void *arg)
{
    const struct subject *subject = arg;
    json_t *json = view_process(subject->process, clock_mono_ns());
    json_object_set_new(json, "post_mortem", details_post_mortem(request->api, subject->process));
    view_stamp(json, subject->process->as_of_wall_ns, subject->process->as_of_mono_ns, subject->process->seq);
    return json;
}
static json_t *stats_make(struct request *request, const void *arg)
{
    const struct subject *subject = arg;
    return view_stats(request->api, subject->process, subject->heap);
}
static json_t *types_make(struct request *request, const void *arg)
{
    const struct subject *subject = arg;
    (void)request;
    return view_types(subject->process, subject->heap, subject->sort, subject->limit, subject->histograms);
}
static json_t *collections_make(struct request *request, const void *arg)
{
    const struct subject *subject = arg;
    return view_collections(request->api, subject->process, subject->heap, subject->limit, NULL);
}
static json_t *config_make(struct request *request, const void *arg)
{
    const struct subject *subject = arg;
    (void)request;
    return view_config(subject->process, subject->heap);
}

/* One process's or heap's view, as `make` shows it. */
static enum MHD_Result show(struct request *request, const char *word, body_fn make)
{
    struct subject subject = {.limit = request_integer(request, "limit", PAGE_LIMIT),
                              .sort = request_parameter(request, "sort"),
                              .histograms = request_flag(request, "histograms")};
    enum MHD_Result result = MHD_NO;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    subject.process = request_process(request, view, &result);
    if (subject.process && request_heap(request, subject.process, &subject.heap, &result)) {
        char key[96];
        snprintf(key, sizeof key, "%s %s %u %u %d %s", word, subject.process->id, (unsigned)subject.heap,
                 (unsigned)subject.limit, subject.histograms, subject.sort ? subject.sort : "");
        result = respond_body(request, key, subject.process->seq, make, &subject);
    }
    stats_view_unref(view);
    return result;
}

enum MHD_Result api_process(struct request *request)
{
    return show(request, "process", process_make);
}
enum MHD_Result api_heap(struct request *request)
{
    return show(request, "stats", stats_make);
}
enum MHD_Result api_stats(struct request *request)
{
    return show(request, "stats", stats_make);
}
enum MHD_Result api_types(struct request *request)
{
    return show(request, "types", types_make);
}
enum MHD_Result api_collections(struct request *request)
{
    return show(request, "collections", collections_make);
}
enum MHD_Result api_config(struct request *request)
{
    return show(request, "config", config_make);
}
