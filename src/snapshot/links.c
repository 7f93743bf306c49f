/* One object: its row, its edges, who refers to it, and the shortest way to it. Columns say who, the stream says how. */
#include <stdlib.h>
#include <string.h>

#include "snapshot/graph.h"

#define LOOK_MAX 100000u /* edges of a referrer that are looked at */

/* ---- the row */

static bool row_hear(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    struct snapshot_row *row = arg;
    (void)offset;
    memcpy(row->label, object->label.at, object->label.bytes);
    row->label[object->label.bytes] = '\0';
    row->bytes = object->bytes;
    row->native_bytes = object->native_bytes;
    row->references = object->references;
    row->declared = object->declared;
    return true;
}

static bool stop(void *arg, const struct snapshot_edge *edge)
{
    (void)arg, (void)edge;
    return false;
}

static uint32_t range_count(const uint32_t *starts, uint32_t object, uint64_t most)
{
    uint32_t from, to;
    graph_range(starts, object, most, &from, &to);
    return to - from;
}

bool snapshot_graph_row(struct snapshot_graph *graph, uint32_t object, struct snapshot_row *out)
{
    const struct index *index = &graph->index;
    if (object >= index->objects)
        return false;
    *out = (struct snapshot_row){.object = object,
                                 .type = index->type[object],
                                 .number = index->number[object],
                                 .type_name = graph_type_name(index, object),
                                 .retained = index->retained[object],
                                 .external = index->external[object],
                                 .flags = index->flags[object] & ~INDEX_DECLARED,
                                 .distance = index->distance[object],
                                 .dominator = index->dominator[object] <= index->objects ? index->dominator[object] : NONE,
                                 .edges = range_count(index->out_start, object, index->edges),
                                 .referrers = range_count(index->in_start, object, index->edges),
                                 .dominated = range_count(index->kid_start, object, index->objects)};
    const struct snapshot_sink sink = {.arg = out, .object = row_hear, .edge = stop};
    struct snapshot_reader *reader = graph_reader_take(graph);
    bool read = reader && graph_read(graph, reader, object, &sink);
    graph_reader_give(graph, reader);
    return read;
}

/* ---- its edges */

struct listing {
    const struct snapshot_graph *graph;
    uint32_t object;
    uint64_t from; /* edges to pass over yet */
    struct snapshot_link *out;
    size_t count, most;
};

static bool edge_list(void *arg, const struct snapshot_edge *edge)
{
    struct listing *listing = arg;
    if (listing->from) {
        listing->from--;
        return true;
    }
    if (listing->count == listing->most)
        return false;
    listing->out[listing->count++] = (struct snapshot_link){.object = snapshot_graph_find(listing->graph, edge->target),
                                                            .number = edge->target,
                                                            .kind = edge->kind,
                                                            .place = edge->place,
                                                            .field = graph_field(&listing->graph->index, listing->object, edge),
                                                            .times = 1};
    return true;
}

size_t snapshot_graph_edges(struct snapshot_graph *graph, uint32_t object, uint64_t from, struct snapshot_link *out,
                            size_t most)
{
    struct listing listing = {.graph = graph, .object = object, .from = from, .out = out, .most = most};
    const struct snapshot_sink sink = {.arg = &listing, .edge = edge_list};
    struct snapshot_reader *reader = object < graph->index.objects ? graph_reader_take(graph) : NULL;
    if (reader)
        graph_read(graph, reader, object, &sink);
    graph_reader_give(graph, reader);
    return listing.count;
}

/* ---- which edge it is */

struct looking {
    const struct snapshot_graph *graph;
    uint64_t number; /* of the target */
    unsigned left;
    struct snapshot_link *link;
    uint32_t source;
};

static bool edge_look(void *arg, const struct snapshot_edge *edge)
{
    struct looking *looking = arg;
    if (edge->target == looking->number && edge->kind != SNAPSHOT_EDGE_WEAK) {
        looking->link->kind = edge->kind;
        looking->link->place = edge->place;
        looking->link->field = graph_field(&looking->graph->index, looking->source, edge);
        return false;
    }
    return --looking->left;
}

/* The first counted edge from source to target, into *link. */
static void edge_find(const struct snapshot_graph *graph, struct snapshot_reader *reader, uint32_t source, uint32_t target,
                      struct snapshot_link *link)
{
    struct looking looking = {
        .graph = graph, .number = graph->index.number[target], .left = LOOK_MAX, .link = link, .source = source};
    const struct snapshot_sink sink = {.arg = &looking, .edge = edge_look};
    link->kind = SNAPSHOT_EDGE_KINDS;
    link->field = (struct snapshot_text){"", 0};
    graph_read(graph, reader, source, &sink);
}

size_t snapshot_graph_referrers(struct snapshot_graph *graph, uint32_t object, uint32_t after, struct snapshot_link *out,
                                size_t most)
{
    const struct index *index = &graph->index;
    struct snapshot_reader *reader = object < index->objects ? graph_reader_take(graph) : NULL;
    size_t count = 0;
    uint32_t from = 0, to = 0;
    if (reader)
        graph_range(index->in_start, object, index->edges, &from, &to);
    for (uint32_t at = from; at < to; at++) {
        uint32_t source = index->in[at];
        if (source >= index->objects || (after != NONE && source <= after))
            continue;
        if (count && out[count - 1].object == source) {
            out[count - 1].times++;
            continue;
        }
        if (count == most)
            break;
        out[count] = (struct snapshot_link){.object = source, .number = index->number[source], .times = 1};
        edge_find(graph, reader, source, object, &out[count++]);
    }
    graph_reader_give(graph, reader);
    return count;
}

/* ---- the way to it */

/* From the object on, as far as `most` halves of it allow, into the end and the beginning of out; the middle is passed over. */
static size_t way_collect(const struct index *index, uint32_t object, struct snapshot_link *out, size_t most, uint32_t *omitted)
{
    uint32_t length = index->distance[object] + 1;
    size_t kept = length < most ? length : most, near = kept - kept / 2;
    *omitted = length - (uint32_t)kept;
    uint32_t at = object;
    for (uint32_t step = 0; step < length; step++) { /* distance bounds it, whatever toward says */
        if (at >= index->objects)
            return 0;
        bool end = step < near || step >= length - kept / 2;
        size_t place = step < near ? kept - 1 - step : length - 1 - step;
        if (end)
            out[place] = (struct snapshot_link){.object = at, .number = index->number[at], .kind = SNAPSHOT_EDGE_KINDS};
        at = index->toward[at];
    }
    return at == index->objects ? kept : 0;
}

size_t snapshot_graph_path(struct snapshot_graph *graph, uint32_t object, struct snapshot_link *out, size_t most,
                           uint32_t *omitted)
{
    const struct index *index = &graph->index;
    *omitted = 0;
    if (object >= index->objects || index->distance[object] >= index->objects)
        return 0;
    size_t count = way_collect(index, object, out, most, omitted);
    struct snapshot_reader *reader = graph_reader_take(graph);
    for (size_t i = 0; reader && i < count; i++)
        if (i && index->toward[out[i].object] < index->objects)
            edge_find(graph, reader, index->toward[out[i].object], out[i].object, &out[i]);
    graph_reader_give(graph, reader);
    return count;
}
