/* GET /metrics and GET /metrics/sd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include "tally.h"

static void history_fill(const struct api *api, struct metrics_own *own)
{
    struct history_status status;
    if (!api->history)
        return;
    history_status_get(api->history, &status);
    own->history_written = status.rows_written;
    own->history_dropped = status.rows_dropped;
    own->history_bytes = status.bytes;
    own->history_degraded = status.degraded;
}

static void own_fill(struct api *api, const struct stats_view *view, struct metrics_own *own)
{
    *own = (struct metrics_own){.version = TALLY_VERSION, .seq = view->seq, .started_wall_ns = api->started_wall_ns};
    for (size_t i = 0; i < view->process_count; i++)
        *(view->processes[i]->gone ? &own->gone : &own->live) += 1;
    pthread_mutex_lock(&api->streams_lock);
    own->streams = api->stream_count;
    pthread_mutex_unlock(&api->streams_lock);
    rules_figures_get(api->rules, &own->rules);
    history_fill(api, own);
    own->log_left_out = log_left_out();
    for (int i = 0; i < PULSES; i++)
        own->work[i] = pulse_work_get((enum pulse)i);
    metrics_own_read(own);
}

static enum MHD_Result page_respond(struct request *request, char *text, size_t bytes, bool open)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        free(text);
        return respond_problem(request, PROBLEM_internal, "out of memory");
    }
    MHD_add_response_header(response, "Content-Type", open ? METRICS_TYPE_OPEN : METRICS_TYPE_TEXT);
    MHD_add_response_header(response, "Vary", "Accept");
    respond_headers(response, false);
    return respond_queue(request, MHD_HTTP_OK, response);
}

/* In a worker's thread. No body is kept: two that scrape at the same state are rarer than a state. */
enum MHD_Result api_metrics(struct request *request)
{
    struct api *api = request->api;
    const char *asked = request_parameter(request, "detail");
    bool open = metrics_accept_open(request->headers[HEADER_ACCEPT]);
    unsigned detail = 0;
    char why[DETAIL_BYTES], text_why[DETAIL_BYTES + 16];
    struct metrics_own own;
    size_t bytes;
    if (asked && !metrics_detail_parse(asked, &detail, why, sizeof why)) {
        snprintf(text_why, sizeof text_why, "detail: %s", why);
        return respond_fault(request, "detail", NULL, text_why);
    }
    if (!(detail & METRICS_SCOPES))
        detail |= detail & METRICS_TYPES && api->metrics_scope == METRICS_APP ? METRICS_PROCESS : api->metrics_scope;
    const struct stats_view *view = stats_view_get_new(api->stats);
    own_fill(api, view, &own);
    struct metrics_request *answers = answers_list_new(api, &own.request_count);
    own.requests = answers;
    char *text = metrics_page_new(api->metrics, view, &own, detail, open, clock_wall_ns(), clock_mono_ns(), &bytes);
    stats_view_unref(view);
    free(answers);
    return page_respond(request, text, bytes, open);
}

/* The one target that we are, as "Writing HTTP service discovery" of Prometheus has it. */
enum MHD_Result api_metrics_sd(struct request *request)
{
    const struct api *api = request->api;
    bool proxied = *api->public_host;
    return respond_json(request, MHD_HTTP_OK,
                        json_pack("[{s:[s], s:{s:s, s:s}}]", "targets", proxied ? api->public_host : api->tcp_address,
                                  "labels", "__metrics_path__", "/metrics", "__scheme__", proxied ? "https" : "http"),
                        0, NULL);
}
