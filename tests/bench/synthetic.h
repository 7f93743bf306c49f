/* Heaps that never were: streams of wire/snapshot.h of any number of objects, the same for the same arguments, whose counts
 * are right. Used by tally-bench and by hosts/artifact, which makes artifacts without a program.
 *
 *   app    a cache with entries, sessions and users that refer to each other in cycles, texts; some entries that a
 *          missing decref keeps (unexplained references), some garbage cycles
 *   web    a tree with two more edges from each object, one near and one anywhere
 *   chain  a linked list */
#ifndef TALLY_BENCH_SYNTHETIC_H
#define TALLY_BENCH_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/snapshot.h"

#define SYNTHETIC_EDGES 4u /* of one object, but for the cache's array */
#define SYNTHETIC_UNIT 5u  /* objects of the app that belong together: entry, session, user, two texts */

enum synthetic_type { SYNTHETIC_CACHE = 1, SYNTHETIC_ENTRY, SYNTHETIC_SESSION, SYNTHETIC_USER, SYNTHETIC_TEXT, SYNTHETIC_NODE };

struct synthetic {
    const char *shape;
    uint64_t objects;
    uint32_t *counts; /* edges to each */
    uint64_t edges;
};

static inline uint64_t synthetic_mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* As an honest heap numbers: a page has 64 KiB, an object of ours 48 bytes with its word. */
static inline uint64_t synthetic_number(uint64_t object)
{
    const uint64_t in_page = 1360;
    return ((object / in_page + 1) << 13) + 6 * (object % in_page) + 2;
}

static inline enum synthetic_type synthetic_type_of(const struct synthetic *made, uint64_t object)
{
    if (strcmp(made->shape, "app") != 0)
        return SYNTHETIC_NODE;
    static const enum synthetic_type unit[SYNTHETIC_UNIT] = {SYNTHETIC_ENTRY, SYNTHETIC_SESSION, SYNTHETIC_USER, SYNTHETIC_TEXT,
                                                             SYNTHETIC_TEXT};
    return object ? unit[(object - 1) % SYNTHETIC_UNIT] : SYNTHETIC_CACHE;
}

/* Whether the unit is garbage: a cycle that nothing refers to; or lost: a reference too many keeps it. */
static inline bool synthetic_garbage(uint64_t unit) { return unit % 50 == 7; }
static inline bool synthetic_lost(uint64_t unit) { return unit % 50 == 9; }

static inline unsigned synthetic_app_edges(const struct synthetic *made, uint64_t object, uint64_t *to)
{
    uint64_t unit = (object - 1) / SYNTHETIC_UNIT, first = unit * SYNTHETIC_UNIT + 1;
    unsigned count = 0;
    switch ((object - 1) % SYNTHETIC_UNIT) {
    case 0: to[count++] = first + 1; break;
    case 1: to[count++] = first + 2, to[count++] = first + 3; break;
    case 2: to[count++] = first + 1, to[count++] = first + 4; break;
    default: break;
    }
    for (unsigned i = 0; i < count; i++)
        if (to[i] >= made->objects)
            count = i;
    return count;
}

/* The targets; the cache's are the entries that are neither garbage nor lost, and not among these. */
static inline unsigned synthetic_edges(const struct synthetic *made, uint64_t object, uint64_t *to)
{
    unsigned count = 0;
    if (!strcmp(made->shape, "chain")) {
        to[count] = object + 1;
        return count + (object + 1 < made->objects);
    }
    if (!strcmp(made->shape, "app"))
        return object ? synthetic_app_edges(made, object, to) : 0;
    for (uint64_t kid = 2 * object + 1; kid <= 2 * object + 2 && kid < made->objects; kid++)
        to[count++] = kid;
    uint64_t random = synthetic_mix(object);
    to[count++] = (object + random % 1000) % made->objects;
    to[count++] = (random >> 20) % made->objects;
    return count;
}

static inline bool synthetic_cached(const struct synthetic *made, uint64_t object)
{
    uint64_t unit = (object - 1) / SYNTHETIC_UNIT;
    return object && synthetic_type_of(made, object) == SYNTHETIC_ENTRY && !synthetic_garbage(unit) && !synthetic_lost(unit);
}

static inline bool synthetic_init(struct synthetic *made, const char *shape, uint64_t objects)
{
    *made = (struct synthetic){.shape = shape, .objects = objects};
    made->counts = calloc(objects + 1, sizeof *made->counts);
    bool app = !strcmp(shape, "app");
    for (uint64_t i = 0; made->counts && i < objects; i++) {
        uint64_t to[SYNTHETIC_EDGES];
        unsigned count = synthetic_edges(made, i, to);
        for (unsigned e = 0; e < count; e++)
            made->counts[to[e]]++;
        made->edges += count;
        if (app && synthetic_cached(made, i)) {
            made->counts[i]++;
            made->edges++;
        }
    }
    return made->counts;
}

static inline struct snapshot_text synthetic_text(const char *string)
{
    return (struct snapshot_text){string, strlen(string)};
}

static inline void synthetic_types(struct snapshot_writer *writer)
{
    static const struct {
        const char *name, *fields[3];
        unsigned size, flags;
    } types[] = {{NULL, {NULL}, 0, 0},
                 {"cache", {NULL}, 16, SNAPSHOT_TYPE_TRACKED | SNAPSHOT_TYPE_VARIABLE},
                 {"entry", {"session"}, 24, SNAPSHOT_TYPE_TRACKED},
                 {"session", {"user", "agent"}, 64, SNAPSHOT_TYPE_TRACKED},
                 {"user", {"session", "name"}, 48, SNAPSHOT_TYPE_TRACKED},
                 {"text", {NULL}, 16, SNAPSHOT_TYPE_VARIABLE},
                 {"node", {"near", "far", "left"}, 40, SNAPSHOT_TYPE_TRACKED}};
    for (uint32_t row = 1; row < sizeof types / sizeof *types; row++) {
        uint32_t fields = 0;
        while (fields < 3 && types[row].fields[fields])
            fields++;
        snapshot_write_type(writer, &(struct snapshot_type){row, types[row].flags, types[row].size, fields,
                                                            synthetic_text(types[row].name),
                                                            synthetic_text(row == SYNTHETIC_CACHE ? "entries" : row == SYNTHETIC_NODE ? "more" : ""),
                                                            synthetic_text("")});
        for (uint32_t i = 0; i < fields; i++)
            snapshot_write_field(writer, synthetic_text(types[row].fields[i]));
    }
}

static inline void synthetic_object(const struct synthetic *made, struct snapshot_writer *writer, uint64_t i)
{
    static const unsigned sizes[] = {0, 16, 24, 64, 48, 16, 40};
    enum synthetic_type type = synthetic_type_of(made, i);
    bool lost = type == SYNTHETIC_ENTRY && synthetic_lost((i - 1) / SYNTHETIC_UNIT);
    char label[SNAPSHOT_LABEL_MAX];
    struct snapshot_object object = {.number = synthetic_number(i), .type_row = (uint32_t)type, .bytes = sizes[type],
                                     .references = made->counts[i] + (lost || !i), .declared = !i};
    if (type == SYNTHETIC_TEXT) {
        object.bytes += synthetic_mix(i) % 100;
        object.flags = SNAPSHOT_UNTRACKED;
        if (i % 2)
            object.label = (struct snapshot_text){label, (size_t)snprintf(label, sizeof label, "name of user %llu", (unsigned long long)i)};
    }
    if (type == SYNTHETIC_SESSION && i % 100 == 2)
        object.native_bytes = 4096;
    snapshot_write_object(writer, &object);
}

/* The whole stream; *bytes: of all payload. 0, or what flush returned. */
static inline int synthetic_write(const struct synthetic *made, snapshot_flush_fn flush, void *arg, uint64_t *bytes)
{
    static unsigned char buffer[1 << 16];
    struct snapshot_writer writer;
    bool app = !strcmp(made->shape, "app");
    snapshot_write_begin(&writer, buffer, sizeof buffer, flush, arg,
                         &(struct snapshot_header){.heap_number = 1, .flags = SNAPSHOT_INSTANT, .type_count = 6, .clock_ns = 1,
                                                   .objects = made->objects, .edges = made->edges});
    synthetic_types(&writer);
    for (uint64_t i = 0; i < made->objects && !writer.error; i++) {
        uint64_t to[SYNTHETIC_EDGES], place = 0;
        synthetic_object(made, &writer, i);
        unsigned count = synthetic_edges(made, i, to);
        for (unsigned e = 0; e < count; e++)
            snapshot_write_edge(&writer, e < 3 && (e < 2 || !app) ? SNAPSHOT_EDGE_FIELD : SNAPSHOT_EDGE_TRAILING, e, synthetic_number(to[e]));
        for (uint64_t entry = 1; app && !i && entry < made->objects; entry += SYNTHETIC_UNIT)
            if (synthetic_cached(made, entry))
                snapshot_write_edge(&writer, SNAPSHOT_EDGE_TRAILING, place++, synthetic_number(entry));
    }
    *bytes = writer.bytes;
    return snapshot_write_end(&writer, SNAPSHOT_WHOLE, 0);
}

#endif
