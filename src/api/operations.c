/* Operations as JSON, and the routes that show and cancel them. */
#include <stdio.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"

static json_t *heap_json(uint32_t kind, const struct operation_heap *heap)
{
    json_t *json = json_pack("{s:o, s:s, s:s?, s:s?, s:I, s:o, s:o, s:o}", "n", view_number(heap->n), "state",
                     operation_state_word(heap->state), "code", heap->code, "detail",
                     operation_sentence(heap->code, heap->error), "collected", (json_int_t)heap->collected,
                     "freed_bytes", view_number(heap->freed_bytes), "pause_ns", view_number(heap->pause_ns),
                     "safepoint_wait_ns", view_number(heap->safepoint_wait_ns));
    if (kind == WIRE_COMMAND_SNAPSHOT)
        snapshot_heap_set(json, heap);
    return json;
}

/* Of a batch each process has its own. */
static json_t *baseline_result(const struct api *api, const struct operation_view *operation)
{
    char id[BASELINE_ID_CHARS];
    if (operation->batch)
        return json_object();
    baseline_id(api, operation->command.index, id);
    return json_pack("{s:s}", "baseline", id);
}

/* What came of it, of sums over heaps. */
static json_t *sums_json(const struct operation_view *operation, int64_t collected, uint64_t freed_bytes,
                         uint64_t total)
{
    switch (operation->kind) {
    case WIRE_COMMAND_COLLECT:
        return json_pack("{s:I, s:o}", "collected", (json_int_t)collected, "freed_bytes", view_number(freed_bytes));
    case WIRE_COMMAND_FIND:
        return json_pack("{s:I}", "unreachable", (json_int_t)collected);
    case WIRE_COMMAND_FREEZE:
    case WIRE_COMMAND_UNFREEZE:
        return json_pack("{s:o}", "frozen", view_number(total));
    case WIRE_COMMAND_GARBAGE_CLEAR:
        return json_pack("{s:o}", "cleared", view_number(total));
    case WIRE_COMMAND_CONFIG:
        return view_changed(&operation->command);
    default:
        return json_object();
    }
}

/* A process of a batch: its heaps are those from *at on, which goes to the next one's. */
static json_t *process_json(const struct operation_view *operation, size_t process, size_t *at)
{
    struct operation_heap sum = {.state = OPERATION_SUCCEEDED};
    enum operation_state earliest = OPERATION_FAILED;
    json_t *heaps = json_array();
    for (; *at < operation->heap_count && operation->heaps[*at].process == process; ++*at) {
        const struct operation_heap *heap = &operation->heaps[*at];
        earliest = heap->state < earliest ? heap->state : earliest;
        sum.state = heap->state > sum.state ? heap->state : sum.state;
        if (heap->code && !sum.code) {
            sum.code = heap->code;
            sum.error = heap->error;
        }
        sum.collected += heap->collected;
        sum.freed_bytes += heap->freed_bytes;
        sum.total += heap->total;
        json_array_append_new(heaps, heap_json(operation->kind, heap));
    }
    if (!operation_is_over(earliest))
        sum.state = earliest;
    bool done = sum.state == OPERATION_SUCCEEDED;
    return json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:o}", "id", operation->processes[process], "state",
                     operation_state_word(sum.state), "code", sum.code, "detail", operation_sentence(sum.code, sum.error),
                     "result", done ? sums_json(operation, sum.collected, sum.freed_bytes, sum.total) : json_null(),
                     "heaps", heaps);
}

static json_t *result_json(struct api *api, const struct operation_view *operation, bool whole)
{
    if (operation->state != OPERATION_SUCCEEDED)
        return json_null();
    if (wire_command_lists(operation->kind))
        return whole ? listing_json(api, operation) : json_object();
    if (operation->kind == WIRE_COMMAND_SNAPSHOT)
        return snapshot_result(operation);
    if (operation->kind == OPERATION_BASELINE)
        return baseline_result(api, operation);
    return sums_json(operation, operation->collected, operation->freed_bytes, operation->total);
}

json_t *view_operation(struct api *api, const struct operation_view *operation, bool whole)
{
    bool over = operation_is_over(operation->state), batch = operation->batch;
    json_t *heaps = json_array(), *processes = json_array();
    for (size_t i = 0; !batch && i < operation->heap_count; i++)
        json_array_append_new(heaps, heap_json(operation->kind, &operation->heaps[i]));
    for (size_t process = 0, at = 0; batch && whole && process < operation->process_count; process++)
        json_array_append_new(processes, process_json(operation, process, &at));
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:s, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", operation->id, "kind",
        operation_kind_word(operation->kind), "process",
        batch ? json_null() : json_string(*operation->processes), "state", operation_state_word(operation->state),
        "code", operation->code, "detail", operation_sentence(operation->code, operation->error), "deadline_ms",
        view_number(operation->deadline_ms), "created_at", view_time(operation->created_wall_ns), "finished_at",
        view_time(operation->finished_wall_ns), "safepoint_wait_ns",
        over ? view_number(operation->safepoint_wait_ns) : json_null(), "pause_ns",
        over ? view_number(operation->pause_ns) : json_null(), "result", result_json(api, operation, whole), "heaps",
        heaps);
    if (operation->kind == WIRE_COMMAND_COLLECT)
        json_object_set_new(json, "generation", json_integer(operation->command.generation));
    if (batch)
        json_object_set_new(json, "process_count", json_integer((json_int_t)operation->process_count));
    if (batch && whole)
        json_object_set(json, "processes", processes);
    json_decref(processes);
    return json;
}

static enum MHD_Result known(struct request *request)
{
    if (!*request->operation) /* else a worker's turn, and the listener may be looking */
        snprintf(request->operation, sizeof request->operation, "%.31s", request_segment(request, "{op}"));
    return controls_await(request, 0);
}

enum MHD_Result api_operation(struct request *request)
{
    return known(request);
}

enum MHD_Result api_operation_cancel(struct request *request)
{
    const char *id = request_segment(request, "{op}");
    if (!*request->operation && operations_cancel(request->api->operations, id))
        asked_once(request, "cancel", id, "done", "");
    return known(request);
}
