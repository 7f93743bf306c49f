/* ID.json: what is known of an artifact beside its stream. */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/private.h"
#include "wire/message.h"

#define DESCRIPTION_VERSION 1
#define DESCRIPTION_BYTES 16384 /* ours have a tenth of it */

static const char *const state_words[] = {
#define SNAPSHOT_X(name, word) word,
    SNAPSHOT_STATES(SNAPSHOT_X)
#undef SNAPSHOT_X
};

char *describe_text(const struct snapshot_artifact *view)
{
    const struct snapshot_meta *meta = &view->meta;
    json_t *json = json_pack(
        "{s:i, s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:b, s:I, s:I, s:I, s:I, s:s}", "version", DESCRIPTION_VERSION, "process",
        meta->process, "name", meta->name, "heap", (json_int_t)meta->heap, "mode", meta->mode, "pause_ns",
        (json_int_t)meta->pause_ns, "taken_wall_ns", (json_int_t)view->taken_wall_ns, "state", state_words[view->state],
        "instant", view->instant, "objects", (json_int_t)view->objects, "edges", (json_int_t)view->edges, "bytes",
        (json_int_t)view->bytes, "stream_bytes", (json_int_t)view->size_bytes, "problem", view->problem);
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    json_decref(json);
    return text;
}

/* A text of ours that fits; else false. */
static bool text_read(const json_t *json, const char *name, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(json, name));
    size_t length = text ? strlen(text) : 0;
    if (!text || length >= room || !wire_text_valid(text, length))
        return false;
    memcpy(out, text, length + 1);
    return true;
}

static bool number_read(const json_t *json, const char *name, uint64_t *out)
{
    const json_t *number = json_object_get(json, name);
    *out = (uint64_t)json_integer_value(number);
    return json_is_integer(number) && json_integer_value(number) >= 0;
}

static bool view_read(const json_t *json, struct snapshot_artifact *view)
{
    struct snapshot_meta *meta = &view->meta;
    char state[16];
    uint64_t version, heap;
    bool good = number_read(json, "version", &version) && version == DESCRIPTION_VERSION &&
                text_read(json, "process", meta->process, sizeof meta->process) &&
                text_read(json, "name", meta->name, sizeof meta->name) && number_read(json, "heap", &heap) &&
                text_read(json, "mode", meta->mode, sizeof meta->mode) && number_read(json, "pause_ns", &meta->pause_ns) &&
                number_read(json, "taken_wall_ns", &view->taken_wall_ns) && text_read(json, "state", state, sizeof state) &&
                number_read(json, "objects", &view->objects) && number_read(json, "edges", &view->edges) &&
                number_read(json, "bytes", &view->bytes) && number_read(json, "stream_bytes", &view->size_bytes) &&
                text_read(json, "problem", view->problem, sizeof view->problem) &&
                json_is_boolean(json_object_get(json, "instant"));
    if (!good || heap > UINT32_MAX || view->objects > SNAPSHOT_OBJECTS_MAX || view->edges > SNAPSHOT_OBJECTS_MAX)
        return false;
    meta->heap = (uint32_t)heap;
    view->instant = json_is_true(json_object_get(json, "instant"));
    view->state = !strcmp(state, state_words[SNAPSHOT_FAILED]) ? SNAPSHOT_FAILED : SNAPSHOT_ANALYSING;
    return true;
}

bool describe_read(const char *path, struct snapshot_artifact *view)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* who has put a pipe there does not make us wait */
    bool fits = fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_size <= DESCRIPTION_BYTES;
    json_t *json = fits ? json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good = json && view_read(json, view);
    json_decref(json);
    if (fd >= 0)
        close(fd);
    return good;
}
