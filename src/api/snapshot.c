/* POST …/snapshot, what is foreseen of one, and how one that has ended is shown. */
#include <stdio.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "wire/snapshot.h"

#define MIB ((uint64_t)1 << 20)
#define SLICE_SHARE 20u   /* slices have this part of the time */
#define WALK_NS 120u      /* an object, in a child or in slices */
#define STREAM_BYTES 24u  /* an object */

struct foreseen {
    uint64_t objects, clone_ns, max_pause_ns; /* max_pause_ns: the shortest of the heaps'; 0: none */
    uint64_t bytes; /* of private memory */
    bool vetoed, measured;
};

static void heap_add(struct foreseen *foreseen, const struct stats_heap_view *heap)
{
    uint64_t max_pause_ns = heap->config.max_pause_us * 1000;
    foreseen->objects += heap->figures.live_objects;
    foreseen->vetoed |= heap->config.access != WIRE_ACCESS_CONTROL;
    if (max_pause_ns && (!foreseen->max_pause_ns || max_pause_ns < foreseen->max_pause_ns))
        foreseen->max_pause_ns = max_pause_ns;
}

/* What the process says of its memory is as old as its feeds, and its heaps have grown since. */
static uint64_t private_bytes(const struct stats_process_view *process)
{
    uint64_t bytes = process->figures.mapped_bytes + process->figures.extern_bytes;
    for (size_t i = 0; i < process->heap_count; i++)
        if (!process->heaps[i].gone && process->heaps[i].process_bytes > bytes)
            bytes = process->heaps[i].process_bytes;
    return bytes;
}

/* A clone copies the page tables of all private memory. How fast that goes the last clone tells. */
static struct foreseen foresee(const struct api *api, const struct stats_process_view *process, uint32_t n)
{
    struct foreseen foreseen = {.objects = 0};
    uint64_t pause_ns, resident_bytes, a_mib = SNAPSHOT_CLONE_NS_A_MIB;
    foreseen.bytes = private_bytes(process);
    for (size_t i = 0; i < process->heap_count; i++)
        if (!process->heaps[i].gone && (!n || process->heaps[i].n == n))
            heap_add(&foreseen, &process->heaps[i]);
    foreseen.measured = operations_last_clone(api->operations, process->id, &pause_ns, &resident_bytes);
    if (foreseen.measured && resident_bytes > foreseen.bytes)
        foreseen.bytes = resident_bytes;
    if (foreseen.measured && resident_bytes >= MIB && pause_ns > SNAPSHOT_CLONE_BASE_NS)
        a_mib = (pause_ns - SNAPSHOT_CLONE_BASE_NS) / (resident_bytes / MIB);
    foreseen.clone_ns = SNAPSHOT_CLONE_BASE_NS + foreseen.bytes / MIB * a_mib;
    return foreseen;
}

static bool is_too_long(const struct foreseen *foreseen)
{
    return foreseen->max_pause_ns && foreseen->clone_ns > foreseen->max_pause_ns;
}

json_t *forecast_snapshot(struct api *api, const struct stats_process_view *process, uint32_t n)
{
    const struct foreseen foreseen = foresee(api, process, n);
    bool sliced = is_too_long(&foreseen);
    uint64_t slice_ns = foreseen.max_pause_ns ? foreseen.max_pause_ns : SNAPSHOT_SLICE_NS;
    uint64_t walk_ns = foreseen.objects * WALK_NS;
    const char *reason = process->gone ? "process_gone" : foreseen.vetoed ? "vetoed" : sliced ? "pause_too_long" : NULL;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:s?}", "mode", sliced ? "slices" : "clone", "pause_ns",
                     view_number(sliced ? slice_ns : foreseen.clone_ns), "clone_pause_ns", view_number(foreseen.clone_ns),
                     "max_pause_ns", view_number(foreseen.max_pause_ns), "duration_ns",
                     view_number(sliced ? walk_ns * SLICE_SHARE : foreseen.clone_ns + walk_ns), "objects",
                     view_number(foreseen.objects), "bytes", view_number(foreseen.objects * STREAM_BYTES), "measured",
                     (int)foreseen.measured, "allowed", (int)(!process->gone && !foreseen.vetoed), "reason", reason);
}

/* ---- the route */

/* In the unit that fits: limits are set in microseconds. */
static const char *pause_text(char text[32], uint64_t ns)
{
    if (ns < 1000000)
        snprintf(text, 32, "%llu us", (unsigned long long)((ns + 999) / 1000));
    else
        snprintf(text, 32, "%.1f ms", (double)ns / 1e6);
    return text;
}

static enum MHD_Result too_long(struct request *request, const struct foreseen *foreseen)
{
    char detail[DETAIL_BYTES], clone[32], limit[32];
    snprintf(detail, sizeof detail,
             "cloning the process is foreseen to stop it for %s, and its max_pause is %s: ask for mode auto or slices, or "
             "force it",
             pause_text(clone, foreseen->clone_ns), pause_text(limit, foreseen->max_pause_ns));
    return respond_problem_with(request, PROBLEM_pause_too_long, detail,
                                json_pack("{s:o, s:o}", "predicted_pause_ns", view_number(foreseen->clone_ns),
                                          "max_pause_ns", view_number(foreseen->max_pause_ns)));
}

static bool snapshot_fit(struct request *request, const struct stats_process_view *process, uint32_t heap,
                         struct wire_command *command, enum MHD_Result *answered)
{
    const struct foreseen foreseen = foresee(request->api, process, heap);
    bool refused = command->mode == WIRE_SNAPSHOT_CLONE && !command->force && is_too_long(&foreseen);
    bool busy = operations_goes_on(request->api->operations, process->id, WIRE_COMMAND_SNAPSHOT);
    if (refused)
        *answered = too_long(request, &foreseen);
    else if (busy)
        *answered = respond_problem(request, PROBLEM_snapshot_running, NULL);
    return !refused && !busy;
}

enum MHD_Result api_snapshot(struct request *request)
{
    struct wire_command command = {.kind = WIRE_COMMAND_SNAPSHOT};
    controls_fill(request->json, &command);
    return controls_run(request, &command, 0, snapshot_fit);
}

/* ---- what came of it */

static const char *mode_word(enum wire_snapshot_mode mode)
{
    static const char *const words[] = {
#define WIRE_X(name, value, word) [value] = word,
        WIRE_SNAPSHOT_MODES(WIRE_X)
#undef WIRE_X
    };
    return mode ? words[mode] : NULL;
}

static json_t *snapshot_json(const struct operation_heap *heap)
{
    const struct operation_snapshot *snapshot = &heap->snapshot;
    bool cloned = snapshot->mode == WIRE_SNAPSHOT_CLONE;
    return json_pack("{s:s?, s:o, s:o, s:s?, s:o, s:o, s:o, s:o, s:s?}", "artifact",
                     *snapshot->artifact ? snapshot->artifact : NULL, "objects", view_number(heap->total), "bytes",
                     view_number(snapshot->bytes), "mode", mode_word(snapshot->mode), "instant",
                     snapshot->mode ? json_boolean(cloned) : json_null(), "slices", view_number(snapshot->slices),
                     "predicted_pause_ns", view_number(snapshot->predicted_pause_ns), "resident_bytes",
                     view_number(snapshot->resident_bytes), "reason", operations_snapshot_code(snapshot->reason));
}

void snapshot_heap_set(json_t *json, const struct operation_heap *heap)
{
    json_t *more = snapshot_json(heap);
    json_object_update(json, more);
    json_decref(more);
}

/* Of several heaps: sums, the longest pauses, and the mode that all have. */
json_t *snapshot_result(const struct operation_view *operation)
{
    struct operation_heap sum = operation->heap_count ? operation->heaps[0] : (struct operation_heap){.n = 0};
    for (size_t i = 1; i < operation->heap_count; i++) {
        const struct operation_snapshot *one = &operation->heaps[i].snapshot;
        *sum.snapshot.artifact = '\0';
        sum.total += operation->heaps[i].total;
        sum.snapshot.bytes += one->bytes;
        sum.snapshot.slices += one->slices;
        sum.snapshot.mode = one->mode == sum.snapshot.mode ? one->mode : WIRE_SNAPSHOT_AUTO;
        sum.snapshot.reason = one->reason ? one->reason : sum.snapshot.reason;
        if (one->predicted_pause_ns > sum.snapshot.predicted_pause_ns)
            sum.snapshot.predicted_pause_ns = one->predicted_pause_ns;
    }
    json_t *json = snapshot_json(&sum);
    json_object_set_new(json, "pause_ns", view_number(operation->pause_ns));
    return json;
}
