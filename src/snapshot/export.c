/* Exports, and the plainest of them: NDJSON. */
#include "snapshot/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* ---- bytes */

static void out_flush(struct out *out)
{
    if (!out->error && out->used)
        out->error = out->write(out->arg, out->bytes, out->used);
    out->used = 0;
}

bool out_go(struct out *out)
{
    if (!out->error)
        out->error = out->write(out->arg, NULL, 0);
    return !out->error;
}

void out_bytes(struct out *out, const void *bytes, size_t count)
{
    const char *from = bytes;
    while (count) {
        size_t room = sizeof out->bytes - out->used, some = count < room ? count : room;
        memcpy(out->bytes + out->used, from, some);
        out->used += some;
        from += some;
        count -= some;
        if (out->used == sizeof out->bytes)
            out_flush(out);
    }
}

void out_string(struct out *out, const char *string)
{
    out_bytes(out, string, strlen(string));
}

void out_number(struct out *out, uint64_t number)
{
    char digits[TEXT_DIGITS];
    out_bytes(out, digits, text_digits(digits, number));
}

/* Texts have no control characters, and are UTF-8; what an index with faults may have is written as it comes. */
void out_text(struct out *out, struct snapshot_text text)
{
    out_bytes(out, "\"", 1);
    for (size_t from = 0, at = 0; at <= text.bytes; at++)
        if (at == text.bytes || text.at[at] == '"' || text.at[at] == '\\') {
            out_bytes(out, text.at + from, at - from);
            if (at < text.bytes)
                out_bytes(out, "\\", 1);
            from = at;
        }
    out_bytes(out, "\"", 1);
}

/* ---- all objects */

struct walking {
    struct snapshot_graph *graph;
    const struct export_walk *walk;
    struct out *out;
    uint32_t at, edge, edge_end; /* its next counted edge */
    uint64_t told;               /* edges */
};

static bool walk_object(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    struct walking *walking = arg;
    (void)offset;
    walking->walk->object(walking->walk->arg, walking->at, object);
    return true;
}

static bool walk_edge(void *arg, const struct snapshot_edge *edge)
{
    struct walking *walking = arg;
    const struct index *index = &walking->graph->index;
    uint32_t target = NONE;
    if (edge->kind == SNAPSHOT_EDGE_WEAK)
        target = snapshot_graph_find(walking->graph, edge->target);
    else if (walking->edge < walking->edge_end && index->out[walking->edge++] < index->objects)
        target = index->out[walking->edge - 1];
    if (walking->walk->edge)
        walking->walk->edge(walking->walk->arg, walking->at, edge, target);
    return ++walking->told % OUT_STEP ? !walking->out->error : out_go(walking->out);
}

int export_walk(struct snapshot_graph *graph, struct out *out, const struct export_walk *walk)
{
    const struct index *index = &graph->index;
    struct walking walking = {.graph = graph, .walk = walk, .out = out};
    const struct snapshot_sink sink = {.arg = &walking, .object = walk_object, .edge = walk_edge};
    struct snapshot_reader *reader = graph_reader_take(graph);
    int error = reader ? 0 : -ENOMEM;
    for (uint32_t at = 0; at < index->objects && !error; at++) {
        walking.at = at;
        graph_range(index->out_start, at, index->edges, &walking.edge, &walking.edge_end);
        if (!graph_read(graph, reader, at, &sink))
            error = -EIO;
        if (!error && walk->object_end)
            walk->object_end(walk->arg);
        if (!error && (at % OUT_STEP || out_go(out)))
            error = out->error;
    }
    if (!error)
        error = out->error;
    graph_reader_give(graph, reader);
    return error;
}

/* ---- NDJSON */

static const char *const kinds[] = {
#define SNAPSHOT_X(name, value, word) [name] = word,
    SNAPSHOT_EDGES(SNAPSHOT_X)
#undef SNAPSHOT_X
};

struct ndjson {
    struct out *out;
    const struct index *index;
    bool edges; /* one has been written */
};

static void member(struct out *out, const char *name, uint64_t number)
{
    out_string(out, ",\"");
    out_string(out, name);
    out_string(out, "\":");
    out_number(out, number);
}

static void flags_write(struct out *out, uint32_t flags)
{
    bool first = true;
    out_string(out, ",\"flags\":[");
#define SNAPSHOT_X(name, bit, word)                          \
    if (flags & (bit)) {                                     \
        out_string(out, first ? "\"" word "\"" : ",\"" word "\""); \
        first = false;                                       \
    }
    SNAPSHOT_OBJECT_FLAGS(SNAPSHOT_X)
#undef SNAPSHOT_X
    out_string(out, "]");
}

static void ndjson_object(void *arg, uint32_t at, const struct snapshot_object *object)
{
    struct ndjson *all = arg;
    struct out *out = all->out;
    const struct index *index = all->index;
    out_string(out, "{\"object\":");
    out_number(out, object->number);
    out_string(out, ",\"type\":");
    out_text(out, graph_type_name(index, at));
    if (object->label.bytes) {
        out_string(out, ",\"label\":");
        out_text(out, object->label);
    }
    member(out, "bytes", object->bytes);
    if (object->native_bytes)
        member(out, "native_bytes", object->native_bytes);
    member(out, "retained_bytes", index->retained[at]);
    member(out, "references", object->references);
    if (object->declared)
        member(out, "declared", object->declared);
    if (index->external[at])
        member(out, "external", index->external[at]);
    if (index->distance[at] != NONE)
        member(out, "distance", index->distance[at]);
    if (index->dominator[at] < index->objects)
        member(out, "dominator", index->number[index->dominator[at]]);
    flags_write(out, object->flags);
    out_string(out, ",\"edges\":[");
    all->edges = false;
}

static void ndjson_edge(void *arg, uint32_t at, const struct snapshot_edge *edge, uint32_t target)
{
    struct ndjson *all = arg;
    struct out *out = all->out;
    struct snapshot_text field = graph_field(all->index, at, edge);
    (void)target;
    out_string(out, all->edges ? ",{\"to\":" : "{\"to\":");
    out_number(out, edge->target);
    out_string(out, ",\"kind\":\"");
    out_string(out, kinds[edge->kind]);
    out_string(out, "\"");
    if (field.bytes) {
        out_string(out, ",\"field\":");
        out_text(out, field);
    }
    if (edge->kind != SNAPSHOT_EDGE_FIELD && edge->kind < SNAPSHOT_EDGE_HOLD)
        member(out, "index", edge->place);
    out_string(out, "}");
    all->edges = true;
}

static void ndjson_end(void *arg)
{
    const struct ndjson *all = arg;
    out_string(all->out, "]}\n");
}

static int export_ndjson(struct snapshot_graph *graph, struct out *out)
{
    struct ndjson all = {.out = out, .index = &graph->index};
    const struct export_walk walk = {.arg = &all, .object = ndjson_object, .edge = ndjson_edge, .object_end = ndjson_end};
    return export_walk(graph, out, &walk);
}

int snapshot_graph_export(struct snapshot_graph *graph, enum snapshot_format format, snapshot_write_fn write, void *arg)
{
    static int (*const exports[])(struct snapshot_graph * graph, struct out * out) = {
        [SNAPSHOT_HEAPSNAPSHOT] = export_heapsnapshot, [SNAPSHOT_PPROF] = export_pprof, [SNAPSHOT_NDJSON] = export_ndjson};
    struct out *out = malloc(sizeof *out);
    if (!out)
        return -ENOMEM;
    out->write = write;
    out->arg = arg;
    out->error = 0;
    out->used = 0;
    int error = exports[format](graph, out);
    if (!error) {
        out_flush(out);
        error = out->error;
    }
    if (!error && !snapshot_graph_sound(graph))
        error = -EIO;
    free(out);
    return error;
}
