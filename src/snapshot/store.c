/* The artifacts there are: their list, their files, and the room that they may take. */
#include "snapshot/private.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define STREAM_SHARE 4u /* one stream is at most this part of all */
#define ID_RANDOM_BITS 20

static const char *const endings[] = {".json", ".stream", ".index"};

void artifact_path(const struct snapshots *snapshots, const char *id, const char *ending, char out[PATH_ROOM])
{
    snprintf(out, PATH_ROOM, "%s/%s%s", snapshots->folder, id, ending);
}

void artifact_state(struct artifact *artifact, enum snapshot_artifact_state state)
{
    artifact->view.state = state;
    artifact->began_ns = clock_mono_ns();
    artifact->view.progress = 0;
    artifact->view.eta_ns = 0;
}

/* ---- the list; all static functions with the lock held */

/* Greater than all there were: milliseconds since 1970, and chance. */
static void id_make(const struct snapshots *snapshots, char id[SNAPSHOT_ID_CHARS])
{
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        chance = 0;
    uint64_t number = clock_wall_ns() / 1000000u << ID_RANDOM_BITS | (chance & ((1u << ID_RANDOM_BITS) - 1));
    if (snapshots->count) {
        uint64_t last = strtoull(snapshots->artifacts[snapshots->count - 1]->view.id, NULL, 16);
        number = number > last ? number : last + 1;
    }
    snprintf(id, SNAPSHOT_ID_CHARS, "%016llx", (unsigned long long)number);
}

static size_t place_of(const struct snapshots *snapshots, const char *id)
{
    size_t at = 0;
    while (at < snapshots->count && strcmp(snapshots->artifacts[at]->view.id, id) != 0)
        at++;
    return at;
}

static void unref(struct artifact *artifact)
{
    if (!--artifact->refs)
        free(artifact);
}

/* Takes it off the list, and its files away. */
static void drop(struct snapshots *snapshots, size_t at)
{
    struct artifact *artifact = snapshots->artifacts[at];
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        artifact_path(snapshots, artifact->view.id, endings[i], path);
        unlink(path);
    }
    snapshots->stored -= artifact->stored;
    artifact->stored = 0;
    artifact->dropped = true;
    artifact->give_up = true;
    graph_forget(snapshots, artifact);
    snapshots->count--;
    memmove(&snapshots->artifacts[at], &snapshots->artifacts[at + 1], (snapshots->count - at) * sizeof *snapshots->artifacts);
    unref(artifact);
}

static bool same_process(const struct artifact *one, const struct artifact *other)
{
    return !strcmp(one->view.meta.process, other->view.meta.process);
}

/* What the artifact's process has in all. */
static uint64_t share_of(const struct snapshots *snapshots, const struct artifact *artifact, bool bytes)
{
    uint64_t share = 0;
    for (size_t at = 0; at < snapshots->count; at++)
        if (same_process(snapshots->artifacts[at], artifact))
            share += bytes ? snapshots->artifacts[at]->stored : 1;
    return share;
}

static bool is_newest(const struct snapshots *snapshots, const struct artifact *artifact)
{
    bool newest = true;
    for (size_t at = 0; at < snapshots->count; at++)
        newest &= !same_process(snapshots->artifacts[at], artifact) ||
                  strcmp(snapshots->artifacts[at]->view.id, artifact->view.id) <= 0;
    return newest;
}

/* One goes for another: the oldest of the process that has most (bytes, or artifacts), so that one that is snapshotted over and
 * over drives out its own. Of its own process only those go that are older. What has a newer one beside it, whose analysis
 * comes late, takes nothing from who has less. */
static bool drop_one(struct snapshots *snapshots, const struct artifact *asker, bool bytes)
{
    bool newest = is_newest(snapshots, asker);
    size_t place = snapshots->count;
    uint64_t own = share_of(snapshots, asker, bytes), most = 0;
    for (size_t at = 0; at < snapshots->count; at++) {
        const struct artifact *artifact = snapshots->artifacts[at];
        if (artifact == asker || artifact->busy || (bytes && !artifact->stored))
            continue;
        bool same = same_process(artifact, asker), older = strcmp(artifact->view.id, asker->view.id) < 0;
        uint64_t share = same ? own : share_of(snapshots, artifact, bytes);
        if ((same ? older : newest || share >= own) && share > most) {
            place = at;
            most = share;
        }
    }
    if (!most)
        return false;
    const struct artifact *artifact = snapshots->artifacts[place];
    log_info("artifact %s of %s was dropped for another: its process had most, and there is no more room", artifact->view.id,
             artifact->view.meta.name);
    memcpy(snapshots->dropped[snapshots->drops++ % DROPPED_KEPT], artifact->view.id, SNAPSHOT_ID_CHARS);
    drop(snapshots, place);
    return true;
}

struct artifact *artifact_new(struct snapshots *snapshots, const struct snapshot_meta *meta)
{
    struct artifact *artifact = calloc(1, sizeof *artifact);
    if (!artifact)
        return NULL;
    artifact->view.meta = *meta;
    artifact->view.taken_wall_ns = clock_wall_ns();
    artifact->refs = 2;
    artifact->busy = true;
    artifact_state(artifact, SNAPSHOT_RECEIVING_IT);
    id_make(snapshots, artifact->view.id);
    if (snapshots->count >= SNAPSHOT_ARTIFACTS)
        drop_one(snapshots, artifact, false); /* there is one: SNAPSHOT_RECEIVING are busy at most, and one that is analysed */
    snapshots->artifacts[snapshots->count++] = artifact;
    return artifact;
}

void artifact_unref(struct snapshots *snapshots, struct artifact *artifact)
{
    pthread_mutex_lock(&snapshots->lock);
    unref(artifact);
    pthread_mutex_unlock(&snapshots->lock);
}

bool artifact_grow(struct snapshots *snapshots, struct artifact *artifact, uint64_t bytes)
{
    pthread_mutex_lock(&snapshots->lock);
    bool fits = !artifact->dropped && artifact->stored + bytes <= snapshots->bytes_max;
    while (fits && snapshots->stored + bytes > snapshots->bytes_max)
        fits = drop_one(snapshots, artifact, true);
    if (fits) {
        artifact->stored += bytes;
        snapshots->stored += bytes;
    }
    pthread_mutex_unlock(&snapshots->lock);
    return fits;
}

void artifact_shrink(struct snapshots *snapshots, struct artifact *artifact, uint64_t bytes)
{
    pthread_mutex_lock(&snapshots->lock);
    if (!artifact->dropped && artifact->stored > bytes) {
        snapshots->stored -= artifact->stored - bytes;
        artifact->stored = bytes;
    }
    pthread_mutex_unlock(&snapshots->lock);
}

int artifact_write(struct snapshots *snapshots, struct artifact *artifact)
{
    char path[PATH_ROOM];
    pthread_mutex_lock(&snapshots->lock);
    struct snapshot_artifact view = artifact->view;
    bool dropped = artifact->dropped;
    pthread_mutex_unlock(&snapshots->lock);
    char *text = dropped ? NULL : describe_text(&view);
    artifact_path(snapshots, view.id, ".json", path);
    int error = text ? file_replace(path, text, strlen(text), 0600, true) : dropped ? 0 : -ENOMEM;
    free(text);
    pthread_mutex_lock(&snapshots->lock);
    if (artifact->dropped)
        unlink(path);
    pthread_mutex_unlock(&snapshots->lock);
    return error;
}

void artifact_fail(struct snapshots *snapshots, struct artifact *artifact, const char *format, ...)
{
    char path[PATH_ROOM];
    va_list arguments;
    for (size_t i = 1; i < sizeof endings / sizeof *endings; i++) {
        artifact_path(snapshots, artifact->view.id, endings[i], path);
        unlink(path);
    }
    artifact_shrink(snapshots, artifact, 0);
    pthread_mutex_lock(&snapshots->lock);
    artifact_state(artifact, SNAPSHOT_FAILED);
    artifact->view.size_bytes = 0;
    va_start(arguments, format);
    vsnprintf(artifact->view.problem, sizeof artifact->view.problem, format, arguments);
    va_end(arguments);
    bool dropped = artifact->dropped;
    pthread_mutex_unlock(&snapshots->lock);
    if (!dropped)
        log_warn("artifact %s of %s, heap %u, failed: %s", artifact->view.id, artifact->view.meta.name,
                 artifact->view.meta.heap, artifact->view.problem);
    artifact_write(snapshots, artifact);
}

/* ---- what is there at the start */

static bool is_id(const char *name)
{
    return strspn(name, "0123456789abcdef") >= SNAPSHOT_ID_CHARS - 1;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), its = strlen(ending);
    return length >= its && !strcmp(name + length - its, ending);
}

/* Whether it has a name of ours, and belongs to no description that is there. A stranger's files are left alone. */
static bool is_half(const struct snapshots *snapshots, const char *name)
{
    char id[SNAPSHOT_ID_CHARS];
    snprintf(id, sizeof id, "%.16s", name);
    const char *ending = name + strlen(id);
    if (!is_id(name))
        return !strncmp(name, SNAPSHOT_SCRATCH, strlen(SNAPSHOT_SCRATCH)) && ends_with(name, ".part");
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (!strcmp(ending, endings[i]))
            return place_of(snapshots, id) == snapshots->count;
    return *ending == '.' && (ends_with(ending, ".part") || !strcmp(ending, ".json.new"));
}

/* What ID.json tells, where the stream is as it says. */
static struct artifact *artifact_found(const struct snapshots *snapshots, const char *name)
{
    char path[PATH_ROOM];
    struct stat status;
    struct artifact *artifact = calloc(1, sizeof *artifact);
    if (!artifact)
        return NULL;
    struct snapshot_artifact *view = &artifact->view;
    snprintf(view->id, sizeof view->id, "%.16s", name);
    artifact_path(snapshots, view->id, ".json", path);
    bool good = describe_read(path, view);
    artifact_path(snapshots, view->id, ".stream", path);
    if (good && view->state != SNAPSHOT_FAILED)
        good = !stat(path, &status) && S_ISREG(status.st_mode) && (uint64_t)status.st_size == view->size_bytes;
    if (!good) {
        free(artifact);
        return NULL;
    }
    uint64_t index_bytes = view->state == SNAPSHOT_FAILED ? 0 : graph_file_bytes(snapshots, view);
    artifact->refs = 1;
    artifact->stored = view->size_bytes + index_bytes;
    artifact_state(artifact, index_bytes ? SNAPSHOT_READY : view->state);
    return artifact;
}

static int by_id(const void *a, const void *b)
{
    const struct artifact *const *one = a, *const *two = b;
    return strcmp((*one)->view.id, (*two)->view.id);
}

/* Every file of the folder for which `take` says so; names of ours have no more than NAME_MAX bytes. */
static int folder_walk(struct snapshots *snapshots, void (*take)(struct snapshots *snapshots, const char *name))
{
    DIR *folder = opendir(snapshots->folder);
    if (!folder)
        return -errno;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            take(snapshots, entry->d_name);
    closedir(folder);
    return 0;
}

static void take_description(struct snapshots *snapshots, const char *name)
{
    if (!is_id(name) || strcmp(name + SNAPSHOT_ID_CHARS - 1, ".json") != 0 || snapshots->count == SNAPSHOT_ARTIFACTS)
        return;
    struct artifact *artifact = artifact_found(snapshots, name);
    if (!artifact)
        return;
    snapshots->artifacts[snapshots->count++] = artifact;
    snapshots->stored += artifact->stored;
}

static void remove_half(struct snapshots *snapshots, const char *name)
{
    char path[PATH_ROOM + 256];
    if (!is_half(snapshots, name))
        return;
    snprintf(path, sizeof path, "%s/%s", snapshots->folder, name);
    if (!unlink(path))
        log_info("artifacts: %s was half of something and is removed", name);
}

static int folder_read(struct snapshots *snapshots)
{
    if (mkdir(snapshots->folder, 0700) && errno != EEXIST)
        return -errno;
    int error = folder_walk(snapshots, take_description);
    if (error)
        return error;
    qsort(snapshots->artifacts, snapshots->count, sizeof *snapshots->artifacts, by_id);
    return folder_walk(snapshots, remove_half);
}

/* ---- the door */

static void snapshots_free(struct snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->count; i++) {
        graph_forget(snapshots, snapshots->artifacts[i]);
        unref(snapshots->artifacts[i]);
    }
    pthread_cond_destroy(&snapshots->analyser_wakes);
    pthread_mutex_destroy(&snapshots->lock);
    free(snapshots->artifacts);
    free(snapshots);
}

int snapshots_open(const struct snapshots_options *options, struct snapshots **out)
{
    struct snapshots *snapshots = calloc(1, sizeof *snapshots);
    if (!snapshots)
        return -ENOMEM;
    mapped_start();
    pthread_mutex_init(&snapshots->lock, NULL);
    pthread_cond_init(&snapshots->analyser_wakes, NULL);
    snprintf(snapshots->folder, sizeof snapshots->folder, "%s/artifacts", options->folder);
    snapshots->bytes_max = options->bytes_max;
    snapshots->stream_bytes_max = options->bytes_max / STREAM_SHARE;
    snapshots->artifacts = calloc(SNAPSHOT_ARTIFACTS + SNAPSHOT_RECEIVING, sizeof *snapshots->artifacts);
    int error = snapshots->artifacts ? folder_read(snapshots) : -ENOMEM;
    if (!error)
        error = receiver_start(snapshots);
    if (!error && (error = analyser_start(snapshots)))
        receiver_stop(snapshots);
    if (error) {
        snapshots_free(snapshots);
        return error;
    }
    *out = snapshots;
    return 0;
}

void snapshots_close(struct snapshots *snapshots)
{
    receiver_stop(snapshots);
    analyser_stop(snapshots);
    snapshots_free(snapshots);
}

/* The view, with what goes on with the time. */
static struct snapshot_artifact view_of(const struct artifact *artifact)
{
    struct snapshot_artifact view = artifact->view;
    uint64_t spent_ns = clock_mono_ns() - artifact->began_ns;
    if (view.progress > 0.01 && view.progress < 1)
        view.eta_ns = (uint64_t)((double)spent_ns * (1 - view.progress) / view.progress);
    if (view.state == SNAPSHOT_READY)
        view.progress = 1;
    return view;
}

size_t snapshots_list(struct snapshots *snapshots, const char *process, const char *before, struct snapshot_artifact *out,
                      size_t most)
{
    size_t found = 0;
    pthread_mutex_lock(&snapshots->lock);
    for (size_t at = snapshots->count; at-- > 0 && found < most;) {
        const struct artifact *artifact = snapshots->artifacts[at];
        if ((!process || !strcmp(artifact->view.meta.process, process)) && (!before || strcmp(artifact->view.id, before) < 0))
            out[found++] = view_of(artifact);
    }
    pthread_mutex_unlock(&snapshots->lock);
    return found;
}

bool snapshots_find(struct snapshots *snapshots, const char *id, struct snapshot_artifact *out)
{
    pthread_mutex_lock(&snapshots->lock);
    size_t at = place_of(snapshots, id);
    bool found = at < snapshots->count;
    if (found)
        *out = view_of(snapshots->artifacts[at]);
    pthread_mutex_unlock(&snapshots->lock);
    return found;
}

bool snapshots_dropped(struct snapshots *snapshots, const char *id)
{
    bool found = false;
    pthread_mutex_lock(&snapshots->lock);
    for (size_t i = 0; i < DROPPED_KEPT; i++)
        found |= !strcmp(snapshots->dropped[i], id);
    pthread_mutex_unlock(&snapshots->lock);
    return found && *id;
}

bool snapshots_delete(struct snapshots *snapshots, const char *id)
{
    pthread_mutex_lock(&snapshots->lock);
    size_t at = place_of(snapshots, id);
    bool found = at < snapshots->count;
    if (found)
        drop(snapshots, at);
    pthread_mutex_unlock(&snapshots->lock);
    if (found)
        receiver_wake(snapshots);
    return found;
}
