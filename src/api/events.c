/* GET …/events: what a process allocates and frees from now on, for a moment. The program notices nothing of it. */
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"

#define EVENTS_DEFAULT 256u
#define EVENTS_WAIT_NS 1000000000u

/* Answers where there is enough, or the time is up. */
static enum MHD_Result resume(struct request *request)
{
    struct api *api = request->api;
    bool enough = stats_tail_ready(api->stats, request->tail) >= request->tail_enough;
    if (!enough && clock_mono_ns() < request->wait_until_ns && !api->draining) {
        request_wait(request);
        return MHD_YES;
    }
    return respond_json(request, MHD_HTTP_OK, tail_json(api, request->tail, request->tail_process, request->tail_enough), 0,
                        NULL);
}

static enum MHD_Result open_tail(struct request *request, const struct stats_process_view *process, uint32_t heap)
{
    const char *wait = request_parameter(request, "wait");
    struct stats_tail_filter filter = tail_filter(request);
    uint64_t wait_ns = EVENTS_WAIT_NS;
    if (heap)
        filter.heap = heap;
    if (wait)
        parse_duration(wait, &wait_ns);
    memcpy(filter.process, process->id, sizeof filter.process);
    memcpy(request->tail_process, process->id, sizeof request->tail_process);
    request->tail_enough = (size_t)request_integer(request, "limit", EVENTS_DEFAULT);
    request->tail = stats_tail_open(request->api->stats, &filter);
    request->wait_until_ns = clock_mono_ns() + wait_ns;
    request->resume = resume;
    return request->tail ? resume(request) : respond_problem(request, PROBLEM_too_many_streams, NULL);
}

enum MHD_Result api_events(struct request *request)
{
    uint32_t heap;
    enum MHD_Result result = MHD_NO;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    const struct stats_process_view *process = request_process(request, view, &result);
    if (process && process->gone)
        result = respond_gone(request, PROBLEM_process_gone, process->id);
    else if (process && request_heap(request, process, &heap, &result))
        result = heap && view_heap_find(process, heap)->gone ? respond_gone(request, PROBLEM_heap_gone, process->id)
                                                             : open_tail(request, process, heap);
    stats_view_unref(view);
    return result;
}
