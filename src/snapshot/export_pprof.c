/* pprof's profile.proto, gzip within: what is alive by the types on the way down the dominator tree, which is who would have to
 * go for it to go. A sample is such a way, its innermost type first; runs of one type, as in lists, are one frame.
 *   objects, bytes   of the objects that end it, native bytes too
 *   retained         of those that have none of their own type above them: per type what tallyd says; it is no figure to be added up
 *                    along a way
 * Written by hand: the message is 6 kinds of fields, and protobuf-c would hold all of it in memory. What needs memory is the tree of ways,
 * which has at most WAYS_MAX; what is deeper than DEPTH_MAX, or comes when that is full, hangs on a shorter way. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/map.h"
#include "base/text.h"
#include "snapshot/export.h"
#include "snapshot/private.h"

#define WAYS_MAX 262144u
#define DEPTH_MAX 64u
#define GARBAGE_TYPE (SNAPSHOT_ROWS) /* what is not reachable, as a frame */

struct way {
    uint32_t above, type;
    uint32_t depth;
    uint64_t objects, bytes, retained;
};

struct profile {
    const struct index *index;
    struct way *ways; /* 0: the root's, of no type */
    uint32_t way_count;
    struct map by_step; /* way above and type to way */
    bool failed;
    struct out *out;
    z_stream deflate;
    struct text message;
};

/* ---- ways */

static uint32_t way_add(struct profile *profile, uint32_t above, uint32_t type, uint64_t key)
{
    if (profile->way_count == WAYS_MAX + SNAPSHOT_ROWS + 2 || !map_put(&profile->by_step, key, profile->way_count)) {
        profile->failed = true;
        return above;
    }
    profile->ways[profile->way_count] = (struct way){.above = above, .type = type, .depth = profile->ways[above].depth + 1};
    return profile->way_count++;
}

/* One step further down. */
static uint32_t way_of(struct profile *profile, uint32_t above, uint32_t type)
{
    const struct way *ways = profile->ways;
    if (above && ways[above].type == type)
        return above;
    while (ways[above].depth >= DEPTH_MAX)
        above = ways[above].above;
    for (;;) {
        uint64_t key = (uint64_t)above * (GARBAGE_TYPE + 1) + type + 1;
        const uint64_t *known = map_get(&profile->by_step, key);
        if (known)
            return (uint32_t)*known;
        if (!above || profile->way_count < WAYS_MAX)
            return way_add(profile, above, type, key);
        above = 0; /* full: a way of one step */
    }
}

static void way_count(struct profile *profile, uint32_t way, uint32_t object, bool first)
{
    profile->ways[way].objects++;
    profile->ways[way].bytes += profile->index->bytes[object];
    profile->ways[way].retained += first ? profile->index->retained[object] : 0;
}

static uint32_t type_of(const struct index *index, uint32_t object)
{
    return index->type[object] < index->type_count ? index->type[object] : 0;
}

/* Down the dominator tree and up again; cursor and at: scratch, one an object and one for the root. */
static int tree_walk(struct profile *profile, uint32_t *cursor, uint32_t *at)
{
    const struct index *index = profile->index;
    uint32_t root = (uint32_t)index->objects, object = root, steps = 0;
    uint32_t *open = calloc(index->type_count + 1, sizeof *open);
    if (!open)
        return -ENOMEM;
    cursor[root] = index->kid_start[root];
    at[root] = 0;
    while (!profile->failed && (steps % OUT_STEP || out_go(profile->out))) {
        uint32_t from, to;
        graph_range(index->kid_start, object, root, &from, &to);
        if (cursor[object] < to) {
            uint32_t kid = index->kid[cursor[object]++], type;
            if (kid >= root || index->dominator[kid] != object || ++steps > root)
                break; /* the index is wrong */
            type = type_of(index, kid);
            at[kid] = way_of(profile, at[object], type);
            way_count(profile, at[kid], kid, !open[type]++);
            cursor[kid] = index->kid_start[kid];
            object = kid;
        } else if (object == root) {
            free(open);
            return 0;
        } else {
            open[type_of(index, object)]--;
            object = index->dominator[object];
        }
    }
    free(open);
    return profile->failed ? -ENOMEM : profile->out->error ? profile->out->error : -EIO;
}

static void garbage_count(struct profile *profile)
{
    for (uint32_t i = 0; i < profile->index->objects; i++)
        if (profile->index->distance[i] == NONE)
            way_count(profile, way_of(profile, way_of(profile, 0, GARBAGE_TYPE), type_of(profile->index, i)), i, true);
}

/* ---- protobuf: fields of a message, then the message as a field of the profile */

static void varint(struct text *text, uint64_t value)
{
    char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (char)(value | 0x80);
    bytes[count++] = (char)value;
    text_add(text, bytes, count);
}

static void field_number(struct text *text, unsigned field, uint64_t value)
{
    varint(text, field << 3);
    varint(text, value);
}

static void gzip_write(struct profile *profile, const void *bytes, size_t count, int flush)
{
    unsigned char piece[16384];
    profile->deflate.next_in = (unsigned char *)(uintptr_t)bytes;
    profile->deflate.avail_in = (unsigned)count;
    do {
        profile->deflate.next_out = piece;
        profile->deflate.avail_out = sizeof piece;
        deflate(&profile->deflate, flush);
        out_bytes(profile->out, piece, sizeof piece - profile->deflate.avail_out);
    } while (!profile->deflate.avail_out);
}

static void field_bytes(struct profile *profile, unsigned field, const void *bytes, size_t count)
{
    char head[20];
    struct text text = {.data = head, .room = sizeof head};
    varint(&text, field << 3 | 2);
    varint(&text, count);
    gzip_write(profile, head, text.length, Z_NO_FLUSH);
    gzip_write(profile, bytes, count, Z_NO_FLUSH);
}

/* The message that was put together, as a field of the profile. */
static void message_write(struct profile *profile, unsigned field)
{
    field_bytes(profile, field, profile->message.data, profile->message.length);
    profile->failed |= profile->message.failed;
    text_clear(&profile->message);
}

enum profile_field { SAMPLE_TYPE = 1, SAMPLE = 2, LOCATION = 4, FUNCTION = 5, STRING_TABLE = 6, DEFAULT_SAMPLE_TYPE = 14 };
static const char *const strings[] = {"", "objects", "count", "bytes", "retained", "(unreachable)"};
enum { STRINGS = sizeof strings / sizeof *strings, S_OBJECTS = 1, S_COUNT, S_BYTES, S_RETAINED, S_GARBAGE };

static void sample_types_write(struct profile *profile)
{
    static const unsigned types[][2] = {{S_OBJECTS, S_COUNT}, {S_BYTES, S_BYTES}, {S_RETAINED, S_BYTES}};
    for (size_t i = 0; i < 3; i++) {
        field_number(&profile->message, 1, types[i][0]);
        field_number(&profile->message, 2, types[i][1]);
        message_write(profile, SAMPLE_TYPE);
    }
}

/* Repeated numbers, packed: readers must know both forms, and not all do. */
static void field_packed(struct text *text, unsigned field, const uint64_t *values, size_t count)
{
    char line[10 * (DEPTH_MAX + 2)];
    struct text packed = {.data = line, .room = sizeof line};
    for (size_t i = 0; i < count; i++)
        varint(&packed, values[i]);
    varint(text, field << 3 | 2);
    varint(text, packed.length);
    text_add(text, line, packed.length);
}

/* Frames have the number of their type, and 1. */
static void sample_write(struct profile *profile, const struct way *way)
{
    const uint64_t values[] = {way->objects, way->bytes, way->retained};
    uint64_t frames[DEPTH_MAX + 2];
    size_t count = 0;
    for (const struct way *at = way; at->depth && count < DEPTH_MAX + 2; at = &profile->ways[at->above])
        frames[count++] = (uint64_t)at->type + 1;
    field_packed(&profile->message, 1, frames, count);
    field_packed(&profile->message, 2, values, 3);
    message_write(profile, SAMPLE);
}

static void frame_write(struct profile *profile, uint64_t id, uint64_t name)
{
    char line[12];
    struct text text = {.data = line, .room = sizeof line};
    field_number(&text, 1, id);
    field_number(&profile->message, 1, id);
    varint(&profile->message, 4 << 3 | 2);
    varint(&profile->message, text.length);
    text_add(&profile->message, line, text.length);
    message_write(profile, LOCATION);
    field_number(&profile->message, 1, id);
    field_number(&profile->message, 2, name);
    message_write(profile, FUNCTION);
}

static void profile_write(struct profile *profile)
{
    const struct index *index = profile->index;
    char last[16];
    struct text text = {.data = last, .room = sizeof last};
    sample_types_write(profile);
    for (uint32_t i = 1; i < profile->way_count; i++)
        if (profile->ways[i].objects)
            sample_write(profile, &profile->ways[i]);
    for (uint64_t i = 0; i < index->type_count; i++)
        frame_write(profile, i + 1, STRINGS + i);
    frame_write(profile, GARBAGE_TYPE + 1, S_GARBAGE);
    for (size_t i = 0; i < STRINGS; i++)
        field_bytes(profile, STRING_TABLE, strings[i], strlen(strings[i]));
    for (uint64_t i = 0; i < index->type_count; i++) {
        struct snapshot_text name = graph_name(index, index->types[i].name);
        field_bytes(profile, STRING_TABLE, name.at, name.bytes);
    }
    field_number(&text, DEFAULT_SAMPLE_TYPE, S_BYTES);
    gzip_write(profile, last, text.length, Z_FINISH);
}

static int ways_make(struct snapshot_graph *graph, struct profile *profile)
{
    uint64_t room = profile->index->objects + 1;
    char path[PATH_ROOM], name[24];
    struct area scratch;
    snprintf(name, sizeof name, SNAPSHOT_SCRATCH "%d", (int)gettid());
    artifact_path(graph->snapshots, name, ".part", path);
    int error = area_open(&scratch, path, 2 * room * sizeof(uint32_t) + INDEX_PAGE, false);
    if (error)
        return error;
    uint32_t *cursor = area_take(&scratch, room, sizeof *cursor), *at = area_take(&scratch, room, sizeof *at);
    error = tree_walk(profile, cursor, at);
    area_close(&scratch);
    if (!error)
        garbage_count(profile);
    return profile->failed ? -ENOMEM : error;
}

int export_pprof(struct snapshot_graph *graph, struct out *out)
{
    struct profile profile = {.index = &graph->index, .out = out, .way_count = 1};
    profile.ways = calloc(WAYS_MAX + SNAPSHOT_ROWS + 2, sizeof *profile.ways);
    int error = profile.ways ? ways_make(graph, &profile) : -ENOMEM;
    if (!error && deflateInit2(&profile.deflate, 5, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        error = -ENOMEM;
    if (!error) {
        profile_write(&profile);
        deflateEnd(&profile.deflate);
        error = profile.failed ? -ENOMEM : out->error;
    }
    text_free(&profile.message);
    map_fini(&profile.by_step);
    free(profile.ways);
    return error;
}
