/* Snapshots end in two places: with their host, and where the stream is kept. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "operations/private.h"

const char *operations_snapshot_code(uint32_t reason)
{
    switch (reason) {
#define WIRE_X(name, value, code, sentence) \
    case name: \
        return value ? code : NULL;
        WIRE_SNAPSHOT_REASONS(WIRE_X)
#undef WIRE_X
    default:
        return NULL;
    }
}

void operations__snapshot_host(struct operation *operation, size_t at, const struct wire_ack *ack)
{
    struct operation_snapshot *snapshot = &operation->view->heaps[at].snapshot;
    snapshot->mode = ack->mode <= WIRE_SNAPSHOT_SLICES ? (enum wire_snapshot_mode)ack->mode : WIRE_SNAPSHOT_AUTO;
    snapshot->reason = ack->reason;
    snapshot->slices = ack->slices;
    snapshot->predicted_pause_ns = ack->predicted_pause_ns;
    snapshot->resident_bytes = ack->resident_bytes;
    snapshot->stream_bytes = ack->stream_bytes;
}

bool operations__snapshot_settle(struct operation *operation, size_t at)
{
    struct operation_heap *heap = &operation->view->heaps[at];
    enum artifact_state artifact = operation->rides[at].artifact;
    if (operation->view->kind != WIRE_COMMAND_SNAPSHOT)
        return false;
    if (heap->state == OPERATION_FAILED && artifact == ARTIFACT_BROKEN && !strcmp(heap->code, "stalled"))
        heap->code = "not_kept"; /* nobody read any more, and the artifact knows why */
    if (operation_is_over(heap->state) || !operation->rides[at].answered || artifact == ARTIFACT_COMES)
        return false;
    heap->state = artifact == ARTIFACT_WHOLE ? OPERATION_SUCCEEDED : OPERATION_FAILED;
    heap->code = artifact == ARTIFACT_WHOLE ? NULL : artifact == ARTIFACT_BROKEN ? "not_kept" : "refused_by_host";
    return true;
}

/* The snapshot of that number, of that heap; NULL: there is none. */
static struct operation *snapshot_find(struct operations *operations, uint64_t number, const char *process, uint32_t heap,
                                       size_t *at)
{
    for (struct operation *operation = operations->newest; operation; operation = operation->next) {
        if (operation->view->number != number || operation->view->kind != WIRE_COMMAND_SNAPSHOT)
            continue;
        for (*at = 0; *at < operation->view->heap_count; ++*at)
            if (operations__is_of(operation, *at, process, heap))
                return operation;
    }
    return NULL;
}

bool operations_snapshot_comes(struct operations *operations, const char *process, const struct wire_snapshot *snapshot)
{
    size_t at;
    pthread_mutex_lock(&operations->lock);
    struct operation *operation =
        snapshot_find(operations, snapshot->operation, process, snapshot->heap_number, &at);
    bool first = operation && operation->rides[at].artifact == ARTIFACT_NONE &&
                 operation->rides[at].number == snapshot->operation &&
                 !operation_is_over(operation->view->heaps[at].state);
    if (first)
        operation->rides[at].artifact = ARTIFACT_COMES;
    pthread_mutex_unlock(&operations->lock);
    return first;
}

void operations_snapshot_ends(struct operations *operations, const struct operation_artifact *artifact)
{
    size_t at;
    pthread_mutex_lock(&operations->lock);
    struct operation *operation =
        snapshot_find(operations, artifact->operation, artifact->process, artifact->heap, &at);
    bool tells = operation && operation->rides[at].artifact == ARTIFACT_COMES;
    if (tells) {
        struct operation_heap *heap = &operation->view->heaps[at];
        operation->rides[at].artifact = artifact->whole ? ARTIFACT_WHOLE : ARTIFACT_BROKEN;
        operation->rides[at].broken_ns = clock_mono_ns();
        snprintf(heap->snapshot.artifact, sizeof heap->snapshot.artifact, "%s", artifact->artifact);
        heap->snapshot.bytes = artifact->bytes;
        heap->total = artifact->objects;
        operations__snapshot_settle(operation, at);
        operations__reckon(operations, operation);
    }
    pthread_mutex_unlock(&operations->lock);
    if (tells)
        operations__tell(operations, artifact->operation);
}

bool operations_goes_on(struct operations *operations, const char *process, uint32_t kind)
{
    bool found = false;
    pthread_mutex_lock(&operations->lock);
    for (const struct operation *operation = operations->newest; operation && !found; operation = operation->next) {
        const struct operation_view *view = operation->view;
        for (size_t i = 0; i < view->process_count && view->kind == kind && !operation_is_over(view->state); i++)
            found |= !strcmp(view->processes[i], process);
    }
    pthread_mutex_unlock(&operations->lock);
    return found;
}

bool operations_last_clone(struct operations *operations, const char *process, uint64_t *pause_ns, uint64_t *resident_bytes)
{
    bool found = false;
    pthread_mutex_lock(&operations->lock);
    for (const struct operation *operation = operations->newest; operation && !found; operation = operation->next) {
        const struct operation_view *view = operation->view;
        for (size_t i = 0; i < view->heap_count && view->kind == WIRE_COMMAND_SNAPSHOT && !found; i++) {
            const struct operation_heap *heap = &view->heaps[i];
            found = heap->snapshot.mode == WIRE_SNAPSHOT_CLONE && heap->snapshot.resident_bytes && heap->pause_ns &&
                    !strcmp(view->processes[heap->process], process);
            *pause_ns = heap->pause_ns;
            *resident_bytes = heap->snapshot.resident_bytes;
        }
    }
    pthread_mutex_unlock(&operations->lock);
    return found;
}
