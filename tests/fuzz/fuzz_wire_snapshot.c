/* Any stream, read whole and byte by byte: both tell the same. One that is whole is written again from what was told, and
 * then reads the same; each of its objects can be read alone. */
#include <stdlib.h>
#include <string.h>

#include "wire/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct telling {
    uint64_t hash, last;
    struct snapshot_writer *writer;
    struct snapshot_object object; /* the last one */
    uint64_t offset;
    bool again; /* reads each object again */
};

static struct snapshot_reader reader, alone;
static const uint8_t *whole;
static size_t whole_bytes;

static void mix(struct telling *telling, uint64_t value)
{
    telling->hash = (telling->hash ^ value) * 1099511628211u;
}
static void mix_text(struct telling *telling, struct snapshot_text text)
{
    mix(telling, text.bytes);
    for (size_t i = 0; i < text.bytes; i++)
        mix(telling, (unsigned char)text.at[i]);
}
static void hear_type(void *arg, const struct snapshot_type *type)
{
    struct telling *telling = arg;
    mix(telling, type->row);
    mix(telling, type->size_bytes);
    mix_text(telling, type->name);
    mix_text(telling, type->trailing);
    mix_text(telling, type->external);
    if (telling->writer)
        snapshot_write_type(telling->writer, type);
}
static void hear_field(void *arg, uint32_t row, uint32_t field, struct snapshot_text name)
{
    struct telling *telling = arg;
    mix(telling, row);
    mix(telling, field);
    mix_text(telling, name);
    if (telling->writer)
        snapshot_write_field(telling->writer, name);
}
static bool hear_object(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    struct telling *telling = arg;
    const uint64_t said[] = {object->number,     object->type_row, object->flags,        object->bytes,
                             object->references, object->declared, object->native_bytes, object->label.bytes};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        mix(telling, said[i]);
    mix_text(telling, object->label);
    telling->object = *object;
    telling->offset = offset;
    if (telling->writer)
        snapshot_write_object(telling->writer, object);
    return true;
}
static bool hear_edge(void *arg, const struct snapshot_edge *edge)
{
    struct telling *telling = arg;
    mix(telling, (uint64_t)edge->kind);
    mix(telling, edge->place);
    mix(telling, edge->target);
    if (telling->writer)
        snapshot_write_edge(telling->writer, edge->kind, edge->place, edge->target);
    return true;
}

static bool hear_again(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    const struct telling *telling = arg;
    if (offset > SNAPSHOT_ITEM_MAX || object->number != telling->object.number ||
        object->type_row != telling->object.type_row || object->references != telling->object.references)
        abort();
    return true;
}

static bool hear_end(void *arg)
{
    struct telling *telling = arg;
    const struct snapshot_sink sink = {.arg = telling, .object = hear_again};
    size_t used;
    if (!telling->again)
        return true;
    alone.sink = &sink;
    alone.offset = 0;
    memcpy(alone.rows, reader.rows, sizeof alone.rows);
    if (snapshot_read_object(&alone, whole + telling->offset, whole_bytes - telling->offset, telling->object.number,
                             telling->object.type_row, &used) ||
        !used)
        abort();
    return true;
}

static int read_it(struct telling *telling, const uint8_t *data, size_t size, size_t piece)
{
    const struct snapshot_sink sink = {telling, NULL, hear_type, hear_field, hear_object, hear_edge, hear_end};
    snapshot_read_begin(&reader, &sink);
    for (size_t at = 0; at < size; at += piece)
        snapshot_read(&reader, data + at, size - at < piece ? size - at : piece);
    return snapshot_read_finish(&reader);
}

struct bytes {
    uint8_t *data;
    size_t count;
};
static int bytes_take(void *arg, const void *from, size_t count)
{
    struct bytes *bytes = arg;
    bytes->data = realloc(bytes->data, bytes->count + count);
    if (!bytes->data)
        abort();
    memcpy(bytes->data + bytes->count, from, count);
    bytes->count += count;
    return 0;
}

static void write_again(const uint8_t *data, size_t size, uint64_t hash)
{
    static uint8_t buffer[2 * SNAPSHOT_ITEM_MAX];
    struct snapshot_writer writer;
    struct bytes bytes = {.data = NULL};
    struct telling writing = {.writer = &writer}, reading = {.again = false};
    snapshot_write_begin(&writer, buffer, sizeof buffer, bytes_take, &bytes, &(struct snapshot_header){.heap_number = 1});
    read_it(&writing, data, size, size);
    if (snapshot_write_end(&writer, SNAPSHOT_WHOLE, 0) || read_it(&reading, bytes.data, bytes.count, bytes.count) ||
        reading.hash != hash)
        abort();
    free(bytes.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct telling at_once = {.again = true}, by_bytes = {.again = false}, by_pieces = {.again = false};
    if (!size)
        return 0;
    whole = data;
    whole_bytes = size;
    int fault = read_it(&at_once, data, size, size);
    if (read_it(&by_bytes, data, size, 1) != fault || by_bytes.hash != at_once.hash)
        abort();
    if (read_it(&by_pieces, data, size, 33) != fault || by_pieces.hash != at_once.hash)
        abort();
    if (!fault)
        write_again(data, size, at_once.hash);
    return 0;
}
