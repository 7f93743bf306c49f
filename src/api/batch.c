/* One control for many processes, picked by labels or by id: one operation, with a result for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"

#define BATCH_MAX 1000u /* processes */

static bool labels_fit(const struct stats_process_view *process, const json_t *labels)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < process->label_count && !found; i++)
            found = !strcmp(process->labels[i].key, key) &&
                    !strcmp(process->labels[i].value, json_string_value(value));
        if (!found)
            return false;
    }
    return true;
}

/* ids: a member for each id that may be, or NULL: any may. */
static bool selected(const struct stats_process_view *process, const json_t *selector, const json_t *ids)
{
    const char *name = json_string_value(json_object_get(selector, "name"));
    return !process->gone && (!name || !strcmp(process->name, name)) && (!ids || json_object_get(ids, process->id)) &&
           labels_fit(process, json_object_get(selector, "label"));
}

/* The selector's list of ids as an object, whose members are found at once; NULL: it has none. */
static json_t *ids_of(const json_t *selector)
{
    const json_t *list = json_object_get(selector, "ids");
    json_t *ids = list ? json_object() : NULL;
    for (size_t i = 0; i < json_array_size(list); i++)
        json_object_set_new(ids, json_string_value(json_array_get(list, i)), json_true());
    return ids;
}

/* What a selection comes to; freed with batch_free(). */
struct batch {
    size_t process_count, target_count;
    const struct stats_process_view **views;
    const char **processes;
    struct operation_target *targets;
};

static void batch_free(struct batch *batch)
{
    free(batch->views);
    free(batch->processes);
    free(batch->targets);
}

/* false: out of memory. */
static bool batch_select(struct batch *batch, const struct stats_view *view, const json_t *selector)
{
    size_t heaps = 0;
    json_t *ids = ids_of(selector);
    batch->views = malloc((view->process_count + 1) * sizeof *batch->views);
    batch->processes = malloc((view->process_count + 1) * sizeof *batch->processes);
    for (size_t i = 0; batch->views && batch->processes && i < view->process_count; i++) {
        if (!selected(view->processes[i], selector, ids))
            continue;
        heaps += view->processes[i]->heap_count;
        batch->processes[batch->process_count] = view->processes[i]->id;
        batch->views[batch->process_count++] = view->processes[i];
    }
    json_decref(ids);
    batch->targets = malloc((heaps + 1) * sizeof *batch->targets);
    if (!batch->views || !batch->processes || !batch->targets)
        return false;
    for (size_t p = 0; p < batch->process_count; p++)
        for (size_t i = 0; i < batch->views[p]->heap_count; i++)
            if (!batch->views[p]->heaps[i].gone)
                batch->targets[batch->target_count++] =
                    (struct operation_target){(uint32_t)p, batch->views[p]->heaps[i].n};
    return true;
}

static uint32_t kind_of(const char *word)
{
#define WIRE_X(name, value, text) \
    if (!strcmp(word, text)) \
        return name;
    WIRE_COMMANDS(WIRE_X)
#undef WIRE_X
    return OPERATION_BASELINE;
}

static enum MHD_Result batch_start(struct request *request, struct batch *batch, const struct wire_command *command)
{
    char target[64];
    bool baseline = command->kind == OPERATION_BASELINE;
    for (size_t i = 0; baseline && i < batch->process_count; i++)
        if (!stats_baseline_set(request->api->stats, batch->views[i]))
            return respond_problem(request, PROBLEM_internal, NULL);
    snprintf(target, sizeof target, "%zu processes", batch->process_count);
    return controls_start(request,
                          &(struct operation_request){.processes = batch->processes,
                                                      .process_count = batch->process_count,
                                                      .batch = true,
                                                      .targets = batch->targets,
                                                      .target_count = baseline ? 0 : batch->target_count,
                                                      .command = *command},
                          target, 0);
}

enum MHD_Result api_batch(struct request *request)
{
    if (*request->operation) /* a worker shows what has come of it */
        return controls_resume(request);
    struct wire_command command = {.kind = kind_of(json_string_value(json_object_get(request->json, "kind")))};
    const char *stray = controls_fill(request->json, &command);
    struct batch batch = {.process_count = 0};
    char detail[96];
    enum MHD_Result result;
    const struct stats_view *view = stats_view_get_new(request->api->stats);
    if (stray) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/%s", stray);
        snprintf(detail, sizeof detail, "%s: is no member of a batch of this kind", stray);
        result = respond_fault(request, NULL, pointer, detail);
    } else if (!batch_select(&batch, view, json_object_get(request->json, "selector"))) {
        result = respond_problem(request, PROBLEM_internal, NULL);
    } else if (batch.process_count > BATCH_MAX) {
        snprintf(detail, sizeof detail, "selector: %zu processes fit, at most %u may", batch.process_count, BATCH_MAX);
        result = respond_fault(request, NULL, "/selector", detail);
    } else {
        result = batch_start(request, &batch, &command);
    }
    batch_free(&batch);
    stats_view_unref(view);
    return result;
}
