/* The routes of baselines: kept, listed, deleted. Their ids are good as long as this tallyd runs, as operations' are. */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"

void baseline_id(const struct api *api, uint64_t number, char id[BASELINE_ID_CHARS])
{
    snprintf(id, BASELINE_ID_CHARS, "%s-b%llu", api->start_id, (unsigned long long)number);
}

bool baseline_find(const struct api *api, const char *id, struct stats_baseline *out)
{
    size_t length = strlen(api->start_id);
    uint64_t number;
    return !strncmp(id, api->start_id, length) && !strncmp(id + length, "-b", 2) &&
           parse_number(id + length + 2, UINT64_MAX, &number) && stats_baseline_find(api->stats, number, out);
}

static json_t *baseline_json(const struct api *api, const struct stats_baseline *baseline)
{
    const struct stats_process_view *process = baseline->process;
    char id[BASELINE_ID_CHARS];
    baseline_id(api, baseline->number, id);
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "id", id, "process", process->id, "name", process->name,
                             "pid", process->pid ? json_integer(process->pid) : json_null(), "taken_at",
                             view_time(baseline->set_wall_ns), "live_objects", view_number(process->figures.live_objects),
                             "live_bytes", view_number(process->figures.live_bytes), "type_count",
                             view_number(process->type_count));
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}

static enum MHD_Result respond_list(struct request *request, const char *process)
{
    struct stats_baseline list[BASELINES_ALL];
    size_t count = stats_baselines_list(request->api->stats, process, list, BASELINES_ALL);
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(rows, baseline_json(request->api, &list[i]));
        stats_process_unref(list[i].process);
    }
    return respond_json(request, MHD_HTTP_OK, json_pack("{s:o}", "baselines", rows), 0, NULL);
}

enum MHD_Result api_all_baselines(struct request *request)
{
    return respond_list(request, NULL);
}

enum MHD_Result api_baselines(struct request *request)
{
    enum MHD_Result result = MHD_NO;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = request_process(request, view, &result);
    if (process)
        result = respond_list(request, process->id);
    stats_view_unref(view);
    return result;
}

enum MHD_Result api_baseline_delete(struct request *request)
{
    struct stats_baseline baseline;
    const char *id = request_segment(request, "{baseline}");
    bool found = baseline_find(request->api, id, &baseline);
    if (found)
        stats_process_unref(baseline.process);
    if (!found || !stats_baseline_delete(request->api->stats, baseline.number))
        return respond_problem(request, PROBLEM_no_such_baseline, NULL);
    asked_once(request, "baseline_delete", id, "done", "");
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    respond_headers(response, false);
    return respond_queue(request, MHD_HTTP_NO_CONTENT, response);
}

enum MHD_Result api_baseline(struct request *request)
{
    enum MHD_Result result = MHD_NO;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = request_process(request, view, &result);
    const char *id = process ? process->id : NULL;
    struct operation_request operation = {.processes = &id, .process_count = 1, .command = {.kind = OPERATION_BASELINE}};
    if (process && process->gone)
        result = respond_gone(request, PROBLEM_process_gone, process->id);
    else if (process && !(operation.command.index = stats_baseline_set(request->api->stats, process)))
        result = respond_problem(request, PROBLEM_internal, NULL);
    else if (process)
        result = controls_start(request, &operation, id, 0);
    stats_view_unref(view);
    return result;
}
