/* Snapshots on their way from the intake to where they are kept, and what came of them to the operation that asked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tallyd/wiring.h"

#define CAPTURE_NS 330000000000u /* a little more than the library takes for one at most */

struct capture { /* what is known when its artifact ends */
    struct operations *operations;
    uint64_t operation;
    char process[33];
    uint32_t heap;
};

static void ends(const struct capture *capture, const char *artifact, bool whole, uint64_t objects, uint64_t bytes)
{
    operations_snapshot_ends(capture->operations, &(struct operation_artifact){.operation = capture->operation,
                                                                               .process = capture->process,
                                                                               .heap = capture->heap,
                                                                               .artifact = artifact,
                                                                               .whole = whole,
                                                                               .objects = objects,
                                                                               .bytes = bytes});
}

static void received(void *arg, const struct snapshot_artifact *artifact)
{
    struct capture *capture = arg;
    bool whole = artifact->state == SNAPSHOT_ANALYSING || artifact->state == SNAPSHOT_READY;
    if (!whole)
        log_warn("a snapshot of process %s: %s", capture->process, artifact->problem);
    ends(capture, artifact->id, whole, artifact->objects, artifact->bytes);
    free(capture);
}

static void meta_fill(struct stats *stats, const struct capture *capture, uint32_t mode, struct snapshot_meta *meta)
{
    bool ambiguous;
    const struct stats_view *view = stats_view_get_new(stats);
    const struct stats_process_view *process = stats_find(view, capture->process, &ambiguous);
    snprintf(meta->process, sizeof meta->process, "%s", capture->process);
    snprintf(meta->name, sizeof meta->name, "%s", process ? process->name : "");
    snprintf(meta->mode, sizeof meta->mode, "%s", mode == WIRE_SNAPSHOT_CLONE ? "clone" : "slices");
    meta->heap = capture->heap;
    meta->deadline_ns = clock_mono_ns() + CAPTURE_NS;
    stats_view_unref(view);
}

void capture_hear(void *arg, const char *id, const struct wire_snapshot *snapshot, int fd)
{
    struct daemon *daemon = arg;
    struct snapshot_meta meta = {.heap = 0};
    char artifact[SNAPSHOT_ID_CHARS];
    if (!operations_snapshot_comes(daemon->operations, id, snapshot)) { /* nobody asked, or it came before */
        close(fd);
        return;
    }
    struct capture *capture = calloc(1, sizeof *capture), lost = {.heap = 0};
    struct capture *known = capture ? capture : &lost;
    known->operations = daemon->operations;
    known->operation = snapshot->operation;
    known->heap = snapshot->heap_number;
    snprintf(known->process, sizeof known->process, "%s", id);
    meta_fill(daemon->stats, known, snapshot->mode, &meta);
    int error = -ENOMEM;
    if (capture)
        error = snapshot_receive(daemon->snapshots, &meta, fd, received, capture, artifact);
    else
        close(fd);
    if (!error)
        return;
    log_warn("a snapshot of process %s: %s", id, strerror(-error));
    ends(known, "", false, 0, 0);
    free(capture);
}
