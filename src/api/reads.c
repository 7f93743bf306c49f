/* The routes that read: each finds its view, and hands over a body that is made once. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"
#include "tally.h"

enum MHD_Result api_healthz(struct request *request)
{
    return respond_json(request, MHD_HTTP_OK, history_health(request->api), 0, NULL);
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
                                        "last_uid", refusal->last_uid == (uid_t)-1 ? -1 : (json_int_t)refusal->last_uid));
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

void api_libraries(void (*tell)(void *arg, const char *name, const char *version), void *arg)
{
    tell(arg, "libmicrohttpd", MHD_get_version());
    tell(arg, "jansson", jansson_version_str());
    tell(arg, "sqlite", history_library());
    tell(arg, "zlib", zlibVersion());
    tell(arg, "nettle", credentials_library());
    tell(arg, "libseccomp", sandbox_library());
}

static void library_add(void *arg, const char *name, const char *version)
{
    json_object_set_new(arg, name, json_string(version));
}

static json_t *libraries(void)
{
    json_t *json = json_object();
    api_libraries(library_add, json);
    return json;
}

enum MHD_Result api_info(struct request *request)
{
    struct api *api = request->api;
    const struct stats_view *view = stats_view_get_new(api->stats);
    size_t live = 0;
    for (size_t i = 0; i < view->process_count; i++)
        live += !view->processes[i]->gone;
    json_t *json = json_pack(
        "{s:s, s:s, s:i, s:s, s:o, s:I, s:s, s:s, s:s, s:o, s:{s:i, s:i}, s:o, s:o, s:o, s:o, s:o, s:s?, s:o}",
        "version", TALLY_VERSION, "start_id", api->start_id, "pid", (int)getpid(), "mode",
        api->system ? "system" : "user", "started_at", view_time(api->started_wall_ns), "uptime_ns",
        (json_int_t)(clock_mono_ns() - api->started_ns), "http", api->tcp_address, "runtime_dir",
        api->runtime_dir, "state_dir", api->state_dir, "libraries", libraries(),
        "processes", "live", (int)live, "gone", (int)(view->process_count - live),
        "refused", refusals(view), "limits", limits(), "managers",
        view_managers(), "fields", fields(), "sandbox", sandbox(api), "service", *api->service ? api->service : NULL, "history", history_info(api));
    if (json)
        view_stamp(json, view->as_of_wall_ns, view->as_of_mono_ns, view->seq);
    stats_view_unref(view);
    return respond_json(request, MHD_HTTP_OK, json, 0, NULL);
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
static json_t *forecast_make(struct request *request, const void *arg)
{
    const struct subject *subject = arg;
    return forecast_json(request->api, subject->process, subject->heap);
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
    struct subject subject = {.heap = 0};
    enum MHD_Result result = MHD_NO;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    subject.process = request_process(request, view, &result);
    if (subject.process && request_heap(request, subject.process, &subject.heap, &result)) {
        char key[BODY_KEY_BYTES];
        char *at = stpcpy(stpcpy(stpcpy(key, word), " "), subject.process->id); /* an id has 32 digits */
        if (subject.heap)
            snprintf(at, 16, " %u", (unsigned)subject.heap);
        result = respond_body(request, key, subject.process->seq, 0, make, &subject);
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
enum MHD_Result api_forecast(struct request *request)
{
    return show(request, "forecast", forecast_make);
}
enum MHD_Result api_config(struct request *request)
{
    return show(request, "config", config_make);
}
