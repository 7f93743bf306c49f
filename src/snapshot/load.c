/* The stream as columns. One walk finds the objects, and whether they come in the order of their numbers, as they do from an
 * honest heap; else they are sorted, and a second walk puts each where it belongs. A last walk finds the edges. */
#include "snapshot/index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define RADIX_BITS 11
#define RADIX ((size_t)1 << RADIX_BITS)
#define WALK_NS_BYTE 12u /* of the stream */
#define PIECE ((size_t)WORK_LOOK_NS / WALK_NS_BYTE + 1)
#define SORT_NS 3u /* an object and digit */

struct load {
    struct index *index;
    struct work *work;
    uint64_t objects, edges; /* told so far */
    uint64_t previous;
    bool ascending, with_types, with_edges;
    const uint32_t *rank; /* of the object that comes as the n-th; NULL: n */
    uint32_t current;
    uint32_t slot; /* of its next edge */
    const char *problem;
    /* types */
    struct text types, fields, names;
    uint16_t *places; /* by row */
    /* look-up */
    uint32_t *buckets;
    unsigned shift;
};

/* ---- types */

static struct index_name name_add(struct load *load, struct snapshot_text text)
{
    struct index_name name = {.at = (uint32_t)load->names.length, .bytes = (uint32_t)text.bytes};
    text_add(&load->names, text.at, text.bytes);
    return name;
}

static void load_type(void *arg, const struct snapshot_type *from)
{
    struct load *load = arg;
    if (!load->with_types)
        return;
    struct index_type type = {.row = from->row, .flags = from->flags, .size_bytes = from->size_bytes};
    type.name = name_add(load, from->name);
    type.trailing = name_add(load, from->trailing);
    type.external_array = name_add(load, from->external);
    type.first_field = (uint32_t)(load->fields.length / sizeof(struct index_name));
    type.field_count = from->field_count;
    load->places[from->row] = (uint16_t)(load->types.length / sizeof type);
    text_add(&load->types, (const char *)&type, sizeof type);
}

static void load_field(void *arg, uint32_t row, uint32_t field, struct snapshot_text text)
{
    struct load *load = arg;
    (void)row, (void)field;
    if (!load->with_types)
        return;
    struct index_name name = name_add(load, text);
    text_add(&load->fields, (const char *)&name, sizeof name);
}

static struct index_type *type_at(struct load *load, uint32_t row)
{
    return (struct index_type *)(void *)load->types.data + load->places[row];
}

/* ---- objects */

static uint32_t clipped(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static void object_put(struct load *load, const struct snapshot_object *object, uint64_t offset)
{
    struct index *index = load->index;
    uint32_t at = load->current;
    uint64_t own = object->references > object->declared ? object->references - object->declared : 0;
    index->number[at] = object->number;
    index->offset[at] = offset;
    index->bytes[at] = object->bytes + object->native_bytes;
    index->references[at] = clipped(object->references);
    index->external[at] = clipped(own);
    index->type[at] = load->places[object->type_row];
    index->flags[at] = (uint8_t)(object->flags | (object->declared ? INDEX_DECLARED : 0));
    index->out_start[at] = 0;
}

static void object_sum(struct load *load, const struct snapshot_object *object)
{
    struct index_type *type = type_at(load, object->type_row);
    struct snapshot_totals *totals = &load->index->totals;
    type->objects++;
    type->bytes += object->bytes;
    type->native_bytes += object->native_bytes;
    totals->bytes += object->bytes;
    totals->native_bytes += object->native_bytes;
    load->ascending &= object->number > load->previous;
    load->previous = object->number;
}

static bool load_object(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    struct load *load = arg;
    struct index *index = load->index;
    if (load->types.failed || load->fields.failed || load->names.failed || load->objects == index->objects) {
        load->problem = load->objects == index->objects ? "it has more objects than when it was received" : "out of memory";
        return false;
    }
    load->current = load->rank ? load->rank[load->objects] : (uint32_t)load->objects;
    load->objects++;
    if (load->with_edges)
        load->slot = index->out_start[load->current];
    else
        object_put(load, object, offset);
    if (load->with_types)
        object_sum(load, object);
    return true;
}

/* ---- edges */

static uint32_t find_number(const struct load *load, uint64_t number)
{
    const struct index *index = load->index;
    if (!index->objects || number < index->number[0] || number > index->number[index->objects - 1])
        return NONE;
    uint64_t bucket = (number - index->number[0]) >> load->shift;
    uint32_t low = load->buckets[bucket], high = load->buckets[bucket + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->number[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < index->objects && index->number[low] == number ? low : NONE;
}

static bool load_edge(void *arg, const struct snapshot_edge *edge)
{
    struct load *load = arg;
    struct index *index = load->index;
    if (edge->kind == SNAPSHOT_EDGE_WEAK) {
        index->totals.weak_edges += load->with_types;
        return true;
    }
    if (load->edges == index->edges) {
        load->problem = "it has more edges than when it was received";
        return false;
    }
    load->edges++;
    if (!load->with_edges) {
        index->out_start[load->current]++;
        return true;
    }
    uint32_t target = find_number(load, edge->target);
    index->out[load->slot++] = target;
    index->totals.gone += target == NONE;
    return true;
}

/* Buckets of equal span, about as many as objects: a page's numbers are close together, so that most look-ups touch one. */
static int buckets_fill(struct load *load)
{
    const struct index *index = load->index;
    uint64_t span = index->objects ? index->number[index->objects - 1] - index->number[0] : 0, at = 0;
    for (load->shift = 0; span >> load->shift >= 2 * index->objects && load->shift < 63;)
        load->shift++;
    for (uint64_t i = 0; i <= index->objects; i++) {
        uint64_t bucket = i == index->objects ? 2 * i : (index->number[i] - index->number[0]) >> load->shift;
        for (; at <= bucket; at++) {
            load->buckets[at] = (uint32_t)i;
            if (!work_did(load->work, 1))
                return -ECANCELED;
        }
    }
    return 0;
}

/* ---- walks */

/* Over the whole stream. 0, -ECANCELED or -EINVAL. */
static int walk(struct load *load, struct snapshot_reader *reader, const char *stream, size_t bytes, char *problem, size_t room)
{
    const struct snapshot_sink sink = {
        .arg = load, .type = load_type, .field = load_field, .object = load_object, .edge = load_edge};
    load->objects = load->edges = 0;
    load->problem = NULL;
    snapshot_read_begin(reader, &sink);
    bool going = true;
    for (size_t at = 0; at < bytes && going && !reader->fault; at += PIECE) {
        size_t some = bytes - at < PIECE ? bytes - at : PIECE;
        snapshot_read(reader, stream + at, some);
        going = work_did(load->work, WALK_NS_BYTE * some);
    }
    if (!going)
        return -ECANCELED;
    if (!snapshot_read_finish(reader))
        return 0;
    snprintf(problem, room, "%s", load->problem ? load->problem : snapshot_fault_sentence(reader->fault));
    return -EINVAL;
}

/* Numbers, and the place in the stream of each. */
struct keys {
    uint64_t *number;
    uint32_t *nth;
};

/* By 11 bits at a time, from the lowest on; a digit that all share is passed over. Post-condition: keys are where the sorted ones are. */
static int radix_sort(struct keys *keys, struct keys to, uint64_t count, struct work *work)
{
    struct keys from = *keys;
    static const unsigned digits = (64 + RADIX_BITS - 1) / RADIX_BITS;
    uint32_t starts[RADIX];
    for (unsigned digit = 0; digit < digits; digit++) {
        unsigned shift = digit * RADIX_BITS;
        memset(starts, 0, sizeof starts);
        for (uint64_t i = 0; i < count; i++) {
            starts[from.number[i] >> shift & (RADIX - 1)]++;
            if (!work_did(work, SORT_NS))
                return -ECANCELED;
        }
        if (starts[from.number[0] >> shift & (RADIX - 1)] == count)
            continue;
        uint32_t sum = 0;
        for (size_t i = 0; i < RADIX; i++) {
            uint32_t here = starts[i];
            starts[i] = sum;
            sum += here;
        }
        for (uint64_t i = 0; i < count; i++) {
            uint32_t place = starts[from.number[i] >> shift & (RADIX - 1)]++;
            to.number[place] = from.number[i];
            to.nth[place] = from.nth[i];
            if (!work_did(work, SORT_NS))
                return -ECANCELED;
        }
        struct keys swap = from;
        from = to;
        to = swap;
    }
    *keys = from;
    return 0;
}

/* The rank of each object, by its number; in columns that are filled later. -EINVAL: two have the same. */
static int rank_all(struct load *load, char *problem, size_t room)
{
    struct index *index = load->index;
    uint64_t count = index->objects;
    struct keys sorted = {index->number, index->distance}, spare = {index->retained, index->toward};
    for (uint64_t i = 0; i < count; i++)
        sorted.nth[i] = (uint32_t)i;
    if (radix_sort(&sorted, spare, count, load->work))
        return -ECANCELED;
    for (uint64_t i = 0; i < count; i++) {
        if (!work_did(load->work, SORT_NS))
            return -ECANCELED;
        if (i && sorted.number[i] == sorted.number[i - 1]) {
            snprintf(problem, room, "object %llu stands twice in it", (unsigned long long)sorted.number[i]);
            return -EINVAL;
        }
        index->dominator[sorted.nth[i]] = (uint32_t)i;
    }
    load->rank = index->dominator;
    return 0;
}

/* From how many edges each has to where they begin. */
static void starts_sum(struct index *index)
{
    uint32_t sum = 0;
    for (uint64_t i = 0; i <= index->objects; i++) {
        uint32_t here = i < index->objects ? index->out_start[i] : 0;
        index->out_start[i] = sum;
        sum += here;
    }
}

struct walks {
    struct load *load;
    struct snapshot_reader *reader;
    const char *stream;
    size_t bytes, room;
    char *problem;
};

static int all_walks(void *arg)
{
    const struct walks *walks = arg;
    struct load *load = walks->load;
    struct snapshot_reader *reader = walks->reader;
    const char *stream = walks->stream;
    size_t bytes = walks->bytes, room = walks->room;
    char *problem = walks->problem;
    struct index *index = load->index;
    load->ascending = load->with_types = true;
    int error = walk(load, reader, stream, bytes, problem, room);
    load->with_types = false;
    if (!error && load->objects != index->objects) {
        snprintf(problem, room, "it has fewer objects than when it was received");
        error = -EINVAL;
    }
    if (!error && !load->ascending) {
        load->work->total += WALK_NS_BYTE * (double)bytes;
        error = rank_all(load, problem, room);
        if (!error)
            error = walk(load, reader, stream, bytes, problem, room);
    }
    if (error)
        return error;
    starts_sum(index);
    index->edges = index->totals.edges = load->edges;
    load->buckets = (uint32_t *)index->retained; /* two for each object, and one */
    load->with_edges = true;
    error = buckets_fill(load);
    return error ? error : walk(load, reader, stream, bytes, problem, room);
}

int index_load(struct index *index, const void *stream, size_t bytes, struct work *work, char *problem, size_t room)
{
    struct load load = {.index = index, .work = work};
    struct snapshot_reader *reader = malloc(sizeof *reader);
    load.places = calloc(SNAPSHOT_ROWS, sizeof *load.places);
    int error = -EINVAL;
    snprintf(problem, room, "out of memory");
    if (reader && load.places)
        error = mapped_try(all_walks, &(struct walks){&load, reader, stream, bytes, room, problem});
    free(reader);
    free(load.places);
    index->types = (struct index_type *)(void *)load.types.data;
    index->fields = (struct index_name *)(void *)load.fields.data;
    index->names = load.names.data;
    index->type_count = load.types.length / sizeof(struct index_type);
    index->field_count = load.fields.length / sizeof(struct index_name);
    index->names_bytes = load.names.length;
    return error;
}

void index_types_free(struct index *index)
{
    free(index->types);
    free(index->fields);
    free(index->names);
    index->types = NULL;
    index->fields = NULL;
    index->names = NULL;
}
