/* .heapsnapshot, as Chromium's DevTools read it: one JSON document whose parts come in the order in which their loader looks for
 * them, of unsigned integers of 32 bits; edges in the order of their nodes, leading to places in the array of nodes; strings last.
 *
 *   node 0 ""  ──▶ 1 "(GC roots)" ──▶ 2 "(declared)", 3 "(references that nothing explains)", 4 "(immortal)"  ──▶ objects
 *      │  └──────▶ 5 "(unreachable)" ──▶ objects
 *      └─ shortcuts to what the roots hold, from which DevTools count distances
 *
 * An object is of the class that its type names; its label is a string that it has. Strings are: fixed ones, types, arrays and fields,
 * then labels in the order of objects, so that they can be written at the end without having been kept. */
#include <errno.h>
#include <string.h>

#include "snapshot/export.h"

#define META \
    "{\"snapshot\":{\"meta\":{" \
    "\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_count\",\"trace_node_id\",\"detachedness\"]," \
    "\"node_types\":[[\"hidden\",\"array\",\"string\",\"object\",\"code\",\"closure\",\"regexp\",\"number\",\"native\"," \
    "\"synthetic\",\"concatenated string\",\"sliced string\",\"symbol\",\"bigint\",\"object shape\"],\"string\",\"number\"," \
    "\"number\",\"number\",\"number\",\"number\"]," \
    "\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"]," \
    "\"edge_types\":[[\"context\",\"element\",\"property\",\"internal\",\"hidden\",\"shortcut\",\"weak\"],\"string_or_number\"," \
    "\"node\"],\"trace_function_info_fields\":[],\"trace_node_fields\":[],\"sample_fields\":[],\"location_fields\":[]}"
#define NODE_FIELDS 7u
#define FIRST_OBJECT 6u
#define FIRST_ID 7u /* of object number 0; below it those of the fixed nodes */

enum node_type { NODE_STRING = 2, NODE_OBJECT = 3, NODE_SYNTHETIC = 9 };
enum edge_type { EDGE_ELEMENT = 1, EDGE_PROPERTY = 2, EDGE_INTERNAL = 3, EDGE_SHORTCUT = 5, EDGE_WEAK = 6 };
enum fixed_string { S_EMPTY, S_ROOTS, S_DECLARED, S_EXTERNAL, S_IMMORTAL, S_GARBAGE, S_LABEL, S_HOLD, S_WEAK, FIXED_STRINGS };
static const char *const fixed_strings[] = {"", "(GC roots)", "(declared)", "(references that nothing explains)", "(immortal)",
                                            "(unreachable)", "label", "hold", "weak"};

enum holder { BY_DECLARED, BY_EXTERNAL, BY_IMMORTAL, BY_NOBODY, BY_OBJECTS, HOLDERS };

struct writing {
    struct out *out;
    const struct index *index;
    bool first;         /* of an array: no comma before it */
    bool ids_by_number; /* which are the same in another snapshot of the heap */
    uint64_t labels;    /* so far, then in all */
    uint64_t edges;     /* of an object, and of all objects */
    uint64_t all_edges;
    uint64_t held[HOLDERS];
    struct snapshot_object object;
    uint32_t at;
};

static enum holder holder_of(const struct index *index, uint32_t at)
{
    return index->distance[at] == NONE             ? BY_NOBODY
           : index->flags[at] & INDEX_DECLARED     ? BY_DECLARED
           : index->external[at]                   ? BY_EXTERNAL
           : index->flags[at] & SNAPSHOT_IMMORTAL  ? BY_IMMORTAL
                                                   : BY_OBJECTS;
}

static uint32_t clipped(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* ---- strings' numbers */

static uint64_t type_string(uint32_t type)
{
    return FIXED_STRINGS + 3 * (uint64_t)type;
}

static uint64_t field_string(const struct index *index, uint32_t at, const struct snapshot_edge *edge)
{
    uint32_t type = index->type[at];
    if (type >= index->type_count)
        return S_EMPTY;
    return FIXED_STRINGS + 3 * index->type_count + index->types[type].first_field + edge->place;
}

static uint64_t label_string(const struct writing *writing, uint64_t label)
{
    return FIXED_STRINGS + 3 * writing->index->type_count + writing->index->field_count + label;
}

/* ---- first what is counted */

static void count_object(void *arg, uint32_t at, const struct snapshot_object *object)
{
    struct writing *writing = arg;
    (void)at;
    writing->labels += object->label.bytes > 0;
    writing->all_edges += object->label.bytes > 0;
}

static void count_edge(void *arg, uint32_t at, const struct snapshot_edge *edge, uint32_t target)
{
    struct writing *writing = arg;
    (void)at, (void)edge;
    writing->all_edges += target != NONE;
}

/* ---- nodes */

static void numbers_write(struct writing *writing, const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!writing->first)
            out_bytes(writing->out, i ? "," : ",\n", i ? 1 : 2);
        writing->first = false;
        out_number(writing->out, numbers[i]);
    }
}

static void node_write(struct writing *writing, enum node_type type, uint64_t name, uint32_t id, uint64_t bytes, uint64_t edges)
{
    const uint32_t node[NODE_FIELDS] = {type, clipped(name), id, clipped(bytes), clipped(edges)};
    numbers_write(writing, node, NODE_FIELDS);
}

static uint32_t id_of(const struct writing *writing, uint32_t at)
{
    return FIRST_ID + 2 * (writing->ids_by_number ? (uint32_t)writing->index->number[at] : at);
}

static void node_object(void *arg, uint32_t at, const struct snapshot_object *object)
{
    struct writing *writing = arg;
    writing->object = *object;
    writing->at = at;
    writing->edges = object->label.bytes > 0;
}

static void node_edge(void *arg, uint32_t at, const struct snapshot_edge *edge, uint32_t target)
{
    struct writing *writing = arg;
    (void)at, (void)edge;
    writing->edges += target != NONE;
}

static void node_end(void *arg)
{
    struct writing *writing = arg;
    node_write(writing, NODE_OBJECT, type_string(writing->index->type[writing->at]), id_of(writing, writing->at),
               writing->object.bytes + writing->object.native_bytes, writing->edges);
}

static void label_node(void *arg, uint32_t at, const struct snapshot_object *object)
{
    struct writing *writing = arg;
    if (object->label.bytes)
        node_write(writing, NODE_STRING, label_string(writing, writing->labels++), id_of(writing, at) + 1, 0, 0);
}

static void fixed_nodes(struct writing *writing)
{
    const uint64_t *held = writing->held;
    uint64_t shortcuts = held[BY_DECLARED] + held[BY_EXTERNAL] + held[BY_IMMORTAL];
    node_write(writing, NODE_SYNTHETIC, S_EMPTY, 1, 0, 2 + shortcuts);
    node_write(writing, NODE_SYNTHETIC, S_ROOTS, 2, 0, 3);
    for (unsigned i = 0; i <= BY_NOBODY; i++)
        node_write(writing, NODE_SYNTHETIC, S_DECLARED + i, 3 + i, 0, held[i]);
}

static int nodes_write(struct snapshot_graph *graph, struct writing *writing)
{
    struct export_walk walk = {.arg = writing, .object = node_object, .edge = node_edge, .object_end = node_end};
    out_string(writing->out, ",\"nodes\":[");
    writing->first = true;
    fixed_nodes(writing);
    int error = export_walk(graph, writing->out, &walk);
    walk = (struct export_walk){.arg = writing, .object = label_node};
    writing->labels = 0;
    if (!error)
        error = export_walk(graph, writing->out, &walk);
    out_string(writing->out, "],\n");
    return error;
}

/* ---- edges */

static void edge_write(struct writing *writing, enum edge_type type, uint64_t name_or_index, uint64_t node)
{
    const uint32_t edge[] = {type, clipped(name_or_index), clipped(NODE_FIELDS * node)};
    numbers_write(writing, edge, 3);
}

static void edges_of_holder(struct writing *writing, enum holder holder)
{
    uint64_t place = 0;
    for (uint32_t at = 0; at < writing->index->objects; at++)
        if (holder_of(writing->index, at) == holder)
            edge_write(writing, EDGE_ELEMENT, ++place, FIRST_OBJECT + at);
}

static void fixed_edges(struct writing *writing)
{
    edge_write(writing, EDGE_ELEMENT, 1, 1);
    edge_write(writing, EDGE_ELEMENT, 2, 5);
    for (uint32_t at = 0; at < writing->index->objects; at++)
        if (holder_of(writing->index, at) < BY_NOBODY)
            edge_write(writing, EDGE_SHORTCUT, type_string(writing->index->type[at]), FIRST_OBJECT + at);
    for (unsigned i = 0; i < BY_NOBODY; i++)
        edge_write(writing, EDGE_ELEMENT, i + 1, 2 + i);
    for (unsigned i = 0; i <= BY_NOBODY; i++)
        edges_of_holder(writing, (enum holder)i);
}

static void edge_of_label(void *arg, uint32_t at, const struct snapshot_object *object)
{
    struct writing *writing = arg;
    (void)at;
    if (object->label.bytes)
        edge_write(writing, EDGE_PROPERTY, S_LABEL, FIRST_OBJECT + writing->index->objects + writing->labels++);
}

static void edge_of_object(void *arg, uint32_t at, const struct snapshot_edge *edge, uint32_t target)
{
    struct writing *writing = arg;
    uint64_t node = FIRST_OBJECT + (uint64_t)target;
    if (target == NONE)
        return;
    switch (edge->kind) {
    case SNAPSHOT_EDGE_FIELD: edge_write(writing, EDGE_PROPERTY, field_string(writing->index, at, edge), node); break;
    case SNAPSHOT_EDGE_HOLD: edge_write(writing, EDGE_INTERNAL, S_HOLD, node); break;
    case SNAPSHOT_EDGE_WEAK: edge_write(writing, EDGE_WEAK, S_WEAK, node); break;
    default: edge_write(writing, EDGE_ELEMENT, edge->place, node); break;
    }
}

static int edges_write(struct snapshot_graph *graph, struct writing *writing)
{
    const struct export_walk walk = {.arg = writing, .object = edge_of_label, .edge = edge_of_object};
    out_string(writing->out, "\"edges\":[");
    writing->first = true;
    writing->labels = 0;
    fixed_edges(writing);
    int error = export_walk(graph, writing->out, &walk);
    out_string(writing->out, "],\n");
    return error;
}

/* ---- strings */

static void string_write(struct writing *writing, struct snapshot_text text)
{
    if (!writing->first)
        out_string(writing->out, ",\n");
    writing->first = false;
    out_text(writing->out, text);
}

static void string_of_label(void *arg, uint32_t at, const struct snapshot_object *object)
{
    (void)at;
    if (object->label.bytes)
        string_write(arg, object->label);
}

static int strings_write(struct snapshot_graph *graph, struct writing *writing)
{
    const struct index *index = writing->index;
    const struct export_walk walk = {.arg = writing, .object = string_of_label};
    out_string(writing->out, "\"samples\":[],\"locations\":[],\"strings\":[");
    writing->first = true;
    for (size_t i = 0; i < FIXED_STRINGS; i++)
        string_write(writing, (struct snapshot_text){fixed_strings[i], strlen(fixed_strings[i])});
    for (uint64_t i = 0; i < index->type_count; i++) {
        string_write(writing, graph_name(index, index->types[i].name));
        string_write(writing, graph_name(index, index->types[i].trailing));
        string_write(writing, graph_name(index, index->types[i].external_array));
    }
    for (uint64_t i = 0; i < index->field_count; i++)
        string_write(writing, graph_name(index, index->fields[i]));
    int error = export_walk(graph, writing->out, &walk);
    out_string(writing->out, "]}\n");
    return error;
}

static void head_write(const struct writing *writing)
{
    const uint64_t *held = writing->held;
    uint64_t shortcuts = held[BY_DECLARED] + held[BY_EXTERNAL] + held[BY_IMMORTAL];
    out_string(writing->out, META ",\"node_count\":");
    out_number(writing->out, FIRST_OBJECT + writing->index->objects + writing->labels);
    out_string(writing->out, ",\"edge_count\":");
    out_number(writing->out, 5 + 2 * shortcuts + held[BY_NOBODY] + writing->all_edges);
    out_string(writing->out, ",\"trace_function_count\":0}");
}

int export_heapsnapshot(struct snapshot_graph *graph, struct out *out)
{
    const struct index *index = &graph->index;
    struct writing writing = {.out = out, .index = index};
    const struct export_walk counting = {.arg = &writing, .object = count_object, .edge = count_edge};
    for (uint32_t at = 0; at < index->objects; at++)
        writing.held[holder_of(index, at)]++;
    writing.ids_by_number = !index->objects || index->number[index->objects - 1] < (UINT32_MAX - FIRST_ID) / 2 - 1;
    int error = export_walk(graph, out, &counting);
    if (error)
        return error;
    head_write(&writing);
    error = nodes_write(graph, &writing);
    if (!error)
        error = edges_write(graph, &writing);
    return error ? error : strings_write(graph, &writing);
}
