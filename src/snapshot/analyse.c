/* The analyser: one thread of low priority that makes the indexes of what has been received, the newest first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "snapshot/index.h"
#include "snapshot/private.h"

#define NICE 10

struct job {
    struct snapshots *snapshots;
    struct artifact *artifact;
    struct index index;
    struct area area, scratch;
    struct mapped stream;
    struct work work;
    char problem[SNAPSHOT_PROBLEM_CHARS];
};

static void progress_tell(void *arg, double part)
{
    struct job *job = arg;
    pthread_mutex_lock(&job->snapshots->lock);
    job->artifact->view.progress = part < 0.99 ? part : 0.99;
    pthread_mutex_unlock(&job->snapshots->lock);
}

int stream_map(const struct snapshots *snapshots, const char *id, struct mapped *out)
{
    char path[PATH_ROOM];
    struct stat status;
    artifact_path(snapshots, id, ".stream", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int error = fd < 0 || fstat(fd, &status) ? -errno : status.st_size <= 0 ? -EIO : 0;
    if (!error)
        error = mapped_open(out, fd, (size_t)status.st_size, false);
    if (fd >= 0)
        close(fd);
    return error;
}

/* Both files, of which the second has no name, and the quota's word for them. */
static int areas_open(struct job *job)
{
    const struct snapshot_artifact *view = &job->artifact->view;
    char path[PATH_ROOM];
    uint64_t columns = index_column_bytes(view->objects, view->edges);
    uint64_t scratch = index_scratch_bytes(view->objects);
    if (!artifact_grow(job->snapshots, job->artifact, columns + scratch)) {
        snprintf(job->problem, sizeof job->problem, "its analysis takes %llu MiB on the disk, which artifact-size does not allow",
                 (unsigned long long)((columns + scratch) >> 20));
        return -EDQUOT;
    }
    artifact_path(job->snapshots, view->id, ".index.part", path);
    int error = area_open(&job->area, path, columns, true);
    artifact_path(job->snapshots, view->id, ".scratch.part", path);
    if (!error)
        error = area_open(&job->scratch, path, scratch, false);
    return error;
}

/* ---- the file's end, and its beginning last */

static int tail_write(struct job *job)
{
    const struct index *index = &job->index;
    int fd = job->area.fd;
    size_t type_bytes = index->type_count * sizeof *index->types, field_bytes = index->field_count * sizeof *index->fields;
    int error = lseek(fd, (off_t)job->area.bytes, SEEK_SET) < 0 ? -errno : file_write(fd, index->types, type_bytes);
    if (!error)
        error = file_write(fd, index->fields, field_bytes);
    if (!error)
        error = file_write(fd, index->names, index->names_bytes);
    if (error)
        return error;
    const struct index_header header = {.magic = INDEX_MAGIC,
                                        .version = INDEX_VERSION,
                                        .file_bytes = job->area.bytes + type_bytes + field_bytes + index->names_bytes,
                                        .stream_bytes = job->stream.bytes,
                                        .objects = index->objects,
                                        .edges = job->artifact->view.edges,
                                        .types = index->type_count,
                                        .fields = index->field_count,
                                        .names_bytes = index->names_bytes,
                                        .totals = index->totals};
    error = lseek(fd, 0, SEEK_SET) ? -errno : file_write(fd, &header, sizeof header);
    return error ? error : fsync(fd) ? -errno : 0;
}

/* The index is in its place, and the artifact is ready. */
static int index_settle(struct job *job)
{
    struct snapshots *snapshots = job->snapshots;
    struct artifact *artifact = job->artifact;
    char from[PATH_ROOM], to[PATH_ROOM];
    artifact_path(snapshots, artifact->view.id, ".index.part", from);
    artifact_path(snapshots, artifact->view.id, ".index", to);
    pthread_mutex_lock(&snapshots->lock);
    int error = artifact->dropped ? -ECANCELED : rename(from, to) ? -errno : 0;
    if (!error)
        artifact_state(artifact, SNAPSHOT_READY);
    pthread_mutex_unlock(&snapshots->lock);
    return error;
}

static void job_close(struct job *job)
{
    char path[PATH_ROOM];
    index_types_free(&job->index);
    area_close(&job->area);
    area_close(&job->scratch);
    mapped_close(&job->stream);
    artifact_path(job->snapshots, job->artifact->view.id, ".index.part", path);
    unlink(path);
}

/* 0, -ECANCELED, or why not, which `problem` says where it says something. */
static int job_run(struct job *job)
{
    const struct snapshot_artifact *view = &job->artifact->view; /* its counts do not change any more */
    uint64_t start_ns = clock_mono_ns();
    int error = stream_map(job->snapshots, view->id, &job->stream);
    if (!error)
        error = areas_open(job);
    if (error)
        return error;
    job->work = (struct work){.give_up = &job->artifact->give_up,
                              .ending = &job->snapshots->analyser_ends,
                              .total = index_work_ns(job->stream.bytes, view->objects, view->edges),
                              .tell = progress_tell,
                              .arg = job};
    index_lay(&job->index, job->area.memory, view->objects, view->edges);
    error = index_analyse(&job->index, job->stream.at, job->stream.bytes, &job->scratch, &job->work, job->problem,
                          sizeof job->problem);
    if (error == -EIO)
        snprintf(job->problem, sizeof job->problem, "a file of it could not be read back: it was cut short, or the disk failed");
    job->index.totals.analysis_ns = clock_mono_ns() - start_ns;
    if (!error)
        error = tail_write(job);
    return error ? error : index_settle(job);
}

static void analyse_one(struct snapshots *snapshots, struct artifact *artifact)
{
    struct job job = {.snapshots = snapshots, .artifact = artifact, .area = {.fd = -1}, .scratch = {.fd = -1}};
    int error = job_run(&job);
    uint64_t kept = artifact->view.size_bytes;
    if (!error) {
        kept += job.area.bytes + job.index.type_count * sizeof *job.index.types +
                job.index.field_count * sizeof *job.index.fields + job.index.names_bytes;
        log_info("artifact %s of %s, heap %u: %llu objects analysed in %llu ms", artifact->view.id, artifact->view.meta.name,
                 artifact->view.meta.heap, (unsigned long long)job.index.objects,
                 (unsigned long long)(job.index.totals.analysis_ns / 1000000u));
    }
    job_close(&job);
    artifact_shrink(snapshots, artifact, kept);
    if (error && error != -ECANCELED)
        artifact_fail(snapshots, artifact, "the analysis: %s", *job.problem ? job.problem : strerror(-error));
}

/* ---- the thread */

/* The newest that waits, with a reference; NULL: the daemon ends. */
static struct artifact *next_take(struct snapshots *snapshots)
{
    struct artifact *found = NULL;
    pthread_mutex_lock(&snapshots->lock);
    while (!found && !snapshots->analyser_ends) {
        for (size_t at = snapshots->count; at-- > 0 && !found;)
            if (snapshots->artifacts[at]->view.state == SNAPSHOT_ANALYSING && !snapshots->artifacts[at]->busy)
                found = snapshots->artifacts[at];
        if (!found)
            pthread_cond_wait(&snapshots->analyser_wakes, &snapshots->lock);
    }
    if (found) {
        found->refs++;
        found->busy = true;
        found->began_ns = clock_mono_ns();
    }
    pthread_mutex_unlock(&snapshots->lock);
    return found;
}

static void *analyse(void *arg)
{
    struct snapshots *snapshots = arg;
    struct artifact *artifact;
    if (setpriority(PRIO_PROCESS, 0, NICE)) /* Linux: of the thread that asks */
        log_info("the analyser of snapshots runs with the priority of the others: %s", strerror(errno));
    while ((artifact = next_take(snapshots))) {
        analyse_one(snapshots, artifact);
        pthread_mutex_lock(&snapshots->lock);
        artifact->busy = false;
        pthread_mutex_unlock(&snapshots->lock);
        artifact_unref(snapshots, artifact);
    }
    return NULL;
}

int analyser_start(struct snapshots *snapshots)
{
    return -pthread_create(&snapshots->analyser, NULL, analyse, snapshots);
}

void analyser_stop(struct snapshots *snapshots)
{
    pthread_mutex_lock(&snapshots->lock);
    snapshots->analyser_ends = true;
    pthread_cond_broadcast(&snapshots->analyser_wakes);
    pthread_mutex_unlock(&snapshots->lock);
    pthread_join(snapshots->analyser, NULL);
}
