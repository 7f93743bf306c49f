#include "wire/snapshot.h"

#include <string.h>

#include "base/utf8.h"
#include "wire/message.h"

#define VARINT_MAX 10u
#define KIND_MASK 3u
#define EDGE_SHIFT 3
#define EDGE_MASK 7u

_Static_assert(SNAPSHOT_EDGE_KINDS <= EDGE_MASK + 1, "an edge's kind fits its bits");
_Static_assert(4 * VARINT_MAX + 3 * (SNAPSHOT_TEXT_MAX + 2) + 1 <= SNAPSHOT_ITEM_MAX, "a type fits an item");

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t)((int64_t)difference >> 63);
}

static uint64_t unzigzag(uint64_t coded)
{
    return coded >> 1 ^ (0 - (coded & 1));
}

/* ---- writing */

static void flush(struct snapshot_writer *writer)
{
    if (!writer->error && writer->used)
        writer->error = writer->flush(writer->arg, writer->buffer, writer->used);
    writer->used = 0;
}

/* Room for one item. */
static unsigned char *room_make(struct snapshot_writer *writer, size_t bytes)
{
    if (writer->room - writer->used < bytes)
        flush(writer);
    return writer->buffer + writer->used;
}

static void room_take(struct snapshot_writer *writer, const unsigned char *end)
{
    writer->used = (size_t)(end - writer->buffer);
}

static unsigned char *put(unsigned char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    return at;
}

/* As much of the text as is allowed and whole. */
static unsigned char *put_text(unsigned char *at, struct snapshot_text text, size_t most)
{
    const unsigned char *from = (const unsigned char *)text.at;
    size_t bytes = 0, step = 0;
    for (; bytes < text.bytes; bytes += step) {
        step = utf8_bytes(from + bytes, text.bytes - bytes);
        if (!step || utf8_is_control(from + bytes, step)) {
            *at++ = 1;
            *at++ = '?';
            return at;
        }
        if (bytes + step > most)
            break;
    }
    at = put(at, bytes);
    for (size_t i = 0; i < bytes; i++)
        *at++ = from[i];
    return at;
}

void snapshot_write_begin(struct snapshot_writer *writer, void *buffer, size_t room, snapshot_flush_fn flush_fn, void *arg,
                          const struct snapshot_header *header)
{
    struct snapshot_header written = *header;
    written.magic = SNAPSHOT_MAGIC;
    written.version = SNAPSHOT_VERSION;
    *writer = (struct snapshot_writer){.buffer = buffer, .room = room, .used = sizeof written, .flush = flush_fn, .arg = arg};
    memcpy(buffer, &written, sizeof written);
}

static void object_close(struct snapshot_writer *writer)
{
    if (!writer->in_object)
        return;
    *room_make(writer, 1) = 0;
    writer->used++;
    writer->in_object = false;
}

void snapshot_write_type(struct snapshot_writer *writer, const struct snapshot_type *type)
{
    object_close(writer);
    unsigned char *at = room_make(writer, SNAPSHOT_ITEM_MAX);
    *at++ = SNAPSHOT_TYPE;
    at = put(at, type->row);
    at = put(at, type->flags);
    at = put(at, type->size_bytes);
    at = put_text(at, type->name, SNAPSHOT_TEXT_MAX);
    at = put_text(at, type->trailing, SNAPSHOT_TEXT_MAX);
    at = put_text(at, type->external, SNAPSHOT_TEXT_MAX);
    at = put(at, type->field_count);
    room_take(writer, at);
}

void snapshot_write_field(struct snapshot_writer *writer, struct snapshot_text name)
{
    room_take(writer, put_text(room_make(writer, SNAPSHOT_ITEM_MAX), name, SNAPSHOT_TEXT_MAX));
}

void snapshot_write_object(struct snapshot_writer *writer, const struct snapshot_object *object)
{
    object_close(writer);
    unsigned char *head = room_make(writer, SNAPSHOT_ITEM_MAX), *at = head + 1;
    uint64_t left = SNAPSHOT_BYTES_MAX - writer->native_bytes; /* what the program says of it, nobody has checked */
    uint64_t native_bytes = object->native_bytes < left ? object->native_bytes : left;
    uint32_t flags = object->flags | (native_bytes ? SNAPSHOT_NATIVE : 0);
    unsigned bits = SNAPSHOT_OBJECT;
    at = put(at, zigzag(object->number - writer->number));
    if (writer->objects && object->type_row == writer->type_row)
        bits |= SNAPSHOT_BIT_SAME_TYPE;
    else
        at = put(at, object->type_row);
    at = put(at, object->bytes);
    if (object->references != 1) {
        bits |= SNAPSHOT_BIT_REFERENCES;
        at = put(at, object->references);
    }
    if (flags) {
        bits |= SNAPSHOT_BIT_FLAGS;
        at = put(at, flags);
    }
    if (native_bytes)
        at = put(at, native_bytes);
    if (object->declared) {
        bits |= SNAPSHOT_BIT_DECLARED;
        at = put(at, object->declared);
    }
    if (object->label.bytes) {
        bits |= SNAPSHOT_BIT_LABEL;
        at = put_text(at, object->label, SNAPSHOT_LABEL_MAX);
    }
    *head = (unsigned char)bits;
    room_take(writer, at);
    writer->in_object = true;
    writer->number = object->number;
    writer->type_row = object->type_row;
    writer->objects++;
    writer->bytes += object->bytes;
    writer->native_bytes += native_bytes;
}

void snapshot_write_edge(struct snapshot_writer *writer, enum snapshot_edge_kind kind, uint64_t place, uint64_t target)
{
    unsigned char *at = put(room_make(writer, 2 * VARINT_MAX), 1 + (place << EDGE_SHIFT | (uint64_t)kind));
    room_take(writer, put(at, zigzag(target - writer->number)));
    writer->edges++;
}

int snapshot_write_end(struct snapshot_writer *writer, enum snapshot_end_status status, uint64_t pause_ns)
{
    object_close(writer);
    unsigned char *at = room_make(writer, SNAPSHOT_ITEM_MAX);
    *at++ = SNAPSHOT_END;
    at = put(at, status);
    at = put(at, writer->objects);
    at = put(at, writer->edges);
    at = put(at, writer->bytes);
    room_take(writer, put(at, pause_ns));
    flush(writer);
    return writer->error;
}

/* ---- reading: an item is parsed from bytes that lie together, or not at all */

struct cursor {
    const unsigned char *at, *end;
    int fault; /* the first; SNAPSHOT_FAULT_CUT: the item goes on behind the end */
};

static void cursor_fail(struct cursor *cursor, int fault)
{
    if (!cursor->fault)
        cursor->fault = fault;
}

static uint64_t take(struct cursor *cursor, uint64_t most)
{
    uint64_t value = 0;
    for (unsigned shift = 0; !cursor->fault; shift += 7) {
        if (cursor->at == cursor->end) {
            cursor_fail(cursor, SNAPSHOT_FAULT_CUT);
            break;
        }
        unsigned char byte = *cursor->at++;
        if (shift == 63 && byte > 1) {
            cursor_fail(cursor, SNAPSHOT_FAULT_VARINT);
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (value > most)
                cursor_fail(cursor, SNAPSHOT_FAULT_RANGE);
            break;
        }
    }
    return cursor->fault ? 0 : value;
}

static unsigned char take_byte(struct cursor *cursor)
{
    if (!cursor->fault && cursor->at < cursor->end)
        return *cursor->at++;
    cursor_fail(cursor, SNAPSHOT_FAULT_CUT);
    return 0;
}

static struct snapshot_text take_text(struct cursor *cursor, size_t most)
{
    struct snapshot_text text = {.bytes = take(cursor, UINT64_MAX)};
    if (text.bytes > most)
        cursor_fail(cursor, SNAPSHOT_FAULT_TEXT);
    if (!cursor->fault && (size_t)(cursor->end - cursor->at) < text.bytes)
        cursor_fail(cursor, SNAPSHOT_FAULT_CUT);
    text.at = (const char *)cursor->at;
    if (!cursor->fault && !wire_text_valid(text.at, text.bytes))
        cursor_fail(cursor, SNAPSHOT_FAULT_TEXT);
    if (cursor->fault)
        return (struct snapshot_text){.at = "", .bytes = 0};
    cursor->at += text.bytes;
    return text;
}

static void header_read(struct snapshot_reader *reader, struct cursor *cursor)
{
    struct snapshot_header header;
    if ((size_t)(cursor->end - cursor->at) < sizeof header) {
        cursor->fault = SNAPSHOT_FAULT_CUT;
        return;
    }
    memcpy(&header, cursor->at, sizeof header);
    cursor->at += sizeof header;
    if (header.magic != SNAPSHOT_MAGIC)
        cursor->fault = SNAPSHOT_FAULT_MAGIC;
    else if (header.version != SNAPSHOT_VERSION)
        cursor->fault = SNAPSHOT_FAULT_VERSION;
    else if (!header.heap_number)
        cursor->fault = SNAPSHOT_FAULT_RANGE;
    if (cursor->fault)
        return;
    reader->state = SNAPSHOT_AT_RECORD;
    if (reader->sink->header)
        reader->sink->header(reader->sink->arg, &header);
}

static void names_count(struct snapshot_reader *reader, struct cursor *cursor, size_t bytes)
{
    if (cursor->fault)
        return;
    reader->names_bytes += bytes + 8;
    if (reader->names_bytes > SNAPSHOT_NAMES_MAX)
        cursor->fault = SNAPSHOT_FAULT_NAMES;
}

static void type_read(struct snapshot_reader *reader, struct cursor *cursor)
{
    struct snapshot_type type = {.row = (uint32_t)take(cursor, SNAPSHOT_ROWS - 1)};
    type.flags = (uint32_t)take(cursor, UINT32_MAX);
    type.size_bytes = take(cursor, SNAPSHOT_BYTES_MAX);
    type.name = take_text(cursor, SNAPSHOT_TEXT_MAX);
    type.trailing = take_text(cursor, SNAPSHOT_TEXT_MAX);
    type.external = take_text(cursor, SNAPSHOT_TEXT_MAX);
    type.field_count = (uint32_t)take(cursor, SNAPSHOT_FIELDS_MAX);
    if (!cursor->fault && reader->rows[type.row])
        cursor->fault = SNAPSHOT_FAULT_TWICE;
    if (!cursor->fault && !type.name.bytes)
        cursor->fault = SNAPSHOT_FAULT_TEXT;
    names_count(reader, cursor, 16 + type.name.bytes + type.trailing.bytes + type.external.bytes);
    if (cursor->fault)
        return;
    reader->rows[type.row] = type.field_count + 1;
    reader->fields_left = type.field_count;
    reader->type_row = type.row;
    reader->types++;
    reader->state = type.field_count ? SNAPSHOT_AT_FIELD : SNAPSHOT_AT_RECORD;
    if (reader->sink->type)
        reader->sink->type(reader->sink->arg, &type);
}

static void field_read(struct snapshot_reader *reader, struct cursor *cursor)
{
    struct snapshot_text name = take_text(cursor, SNAPSHOT_TEXT_MAX);
    names_count(reader, cursor, name.bytes);
    if (cursor->fault)
        return;
    uint32_t field = reader->rows[reader->type_row] - 1 - reader->fields_left;
    if (reader->sink->field)
        reader->sink->field(reader->sink->arg, reader->type_row, field, name);
    if (!--reader->fields_left)
        reader->state = SNAPSHOT_AT_RECORD;
}

static void object_take(const struct snapshot_reader *reader, struct cursor *cursor, unsigned bits,
                        struct snapshot_object *object)
{
    bool same = bits & SNAPSHOT_BIT_SAME_TYPE;
    object->number = reader->number + unzigzag(take(cursor, UINT64_MAX));
    object->type_row = same ? reader->object_row : (uint32_t)take(cursor, SNAPSHOT_ROWS - 1);
    object->bytes = take(cursor, SNAPSHOT_BYTES_MAX);
    object->references = bits & SNAPSHOT_BIT_REFERENCES ? take(cursor, SNAPSHOT_COUNT_MAX) : 1;
    object->flags = bits & SNAPSHOT_BIT_FLAGS ? (uint32_t)take(cursor, 2 * SNAPSHOT_NATIVE - 1) : 0;
    object->native_bytes = object->flags & SNAPSHOT_NATIVE ? take(cursor, SNAPSHOT_BYTES_MAX) : 0;
    object->flags &= ~(uint32_t)SNAPSHOT_NATIVE;
    object->declared = bits & SNAPSHOT_BIT_DECLARED ? take(cursor, SNAPSHOT_COUNT_MAX) : 0;
    object->label = bits & SNAPSHOT_BIT_LABEL ? take_text(cursor, SNAPSHOT_LABEL_MAX)
                                              : (struct snapshot_text){.at = "", .bytes = 0};
    if (!cursor->fault && bits & SNAPSHOT_BITS_UNUSED)
        cursor->fault = SNAPSHOT_FAULT_RECORD;
}

static void object_read(struct snapshot_reader *reader, struct cursor *cursor, unsigned bits)
{
    struct snapshot_object object;
    object_take(reader, cursor, bits, &object);
    if (cursor->fault)
        return;
    if (!object.number || object.number > SNAPSHOT_NUMBER_MAX)
        cursor->fault = SNAPSHOT_FAULT_RANGE;
    else if (!reader->rows[object.type_row] || (!reader->objects && bits & SNAPSHOT_BIT_SAME_TYPE))
        cursor->fault = SNAPSHOT_FAULT_TYPE;
    else if (reader->objects == SNAPSHOT_OBJECTS_MAX)
        cursor->fault = SNAPSHOT_FAULT_OBJECTS;
    else if ((reader->bytes += object.bytes) > SNAPSHOT_BYTES_MAX ||
             (reader->native_bytes += object.native_bytes) > SNAPSHOT_BYTES_MAX) /* neither is more before this one */
        cursor->fault = SNAPSHOT_FAULT_RANGE;
    else if (reader->sink->object && !reader->sink->object(reader->sink->arg, &object, reader->offset))
        cursor->fault = SNAPSHOT_FAULT_SINK;
    reader->number = object.number;
    reader->object_row = object.type_row;
    reader->objects++;
    reader->state = SNAPSHOT_AT_EDGE;
}

/* An edge, or the end of an object's edges. */
static void edge_read(struct snapshot_reader *reader, struct cursor *cursor)
{
    uint64_t coded = take(cursor, (SNAPSHOT_PLACE_MAX << EDGE_SHIFT) + EDGE_MASK + 1);
    const struct snapshot_sink *sink = reader->sink;
    if (!coded) {
        if (!cursor->fault && sink->object_end && !sink->object_end(sink->arg))
            cursor->fault = SNAPSHOT_FAULT_SINK;
        if (!cursor->fault)
            reader->state = SNAPSHOT_AT_RECORD;
        return;
    }
    struct snapshot_edge edge = {.kind = (enum snapshot_edge_kind)((coded - 1) & EDGE_MASK), .place = (coded - 1) >> EDGE_SHIFT};
    edge.target = reader->number + unzigzag(take(cursor, UINT64_MAX));
    if (cursor->fault)
        return;
    if ((unsigned)edge.kind >= SNAPSHOT_EDGE_KINDS || !edge.target || edge.target > SNAPSHOT_NUMBER_MAX)
        cursor->fault = SNAPSHOT_FAULT_RANGE;
    else if (edge.kind == SNAPSHOT_EDGE_FIELD && edge.place >= reader->rows[reader->object_row] - 1)
        cursor->fault = SNAPSHOT_FAULT_FIELD;
    else if (reader->edges == SNAPSHOT_OBJECTS_MAX)
        cursor->fault = SNAPSHOT_FAULT_OBJECTS;
    else if (sink->edge && !sink->edge(sink->arg, &edge))
        cursor->fault = SNAPSHOT_FAULT_SINK;
    reader->edges++;
}

static void end_read(struct snapshot_reader *reader, struct cursor *cursor, unsigned bits)
{
    struct snapshot_end end = {.status = (unsigned)take(cursor, SNAPSHOT_END_STATUSES - 1)};
    end.objects = take(cursor, UINT64_MAX);
    end.edges = take(cursor, UINT64_MAX);
    end.bytes = take(cursor, UINT64_MAX);
    end.pause_ns = take(cursor, INT64_MAX);
    if (cursor->fault)
        return;
    reader->end = end;
    reader->state = SNAPSHOT_AT_END;
    if (bits & ~KIND_MASK)
        cursor->fault = SNAPSHOT_FAULT_RECORD;
    else if (end.status != SNAPSHOT_WHOLE)
        cursor->fault = SNAPSHOT_FAULT_GIVEN_UP;
    else if (end.objects != reader->objects || end.edges != reader->edges || end.bytes != reader->bytes)
        cursor->fault = SNAPSHOT_FAULT_COUNTS;
}

static void record_read(struct snapshot_reader *reader, struct cursor *cursor)
{
    unsigned bits = take_byte(cursor);
    if (cursor->fault)
        return;
    switch (bits & KIND_MASK) {
    case SNAPSHOT_OBJECT: object_read(reader, cursor, bits); break;
    case SNAPSHOT_END: end_read(reader, cursor, bits); break;
    case SNAPSHOT_TYPE:
        if (bits == SNAPSHOT_TYPE) {
            type_read(reader, cursor);
            break;
        } /* fall through */
    default: cursor->fault = SNAPSHOT_FAULT_RECORD;
    }
}

static void item_read(struct snapshot_reader *reader, struct cursor *cursor)
{
    switch (reader->state) {
    case SNAPSHOT_AT_HEADER: header_read(reader, cursor); break;
    case SNAPSHOT_AT_RECORD: record_read(reader, cursor); break;
    case SNAPSHOT_AT_FIELD: field_read(reader, cursor); break;
    case SNAPSHOT_AT_EDGE: edge_read(reader, cursor); break;
    case SNAPSHOT_AT_END: cursor->fault = SNAPSHOT_FAULT_BEHIND; break;
    }
}

/* Reads whole items; returns how many bytes they had. What a cut item has said so far is in no state. */
static size_t items_read(struct snapshot_reader *reader, const unsigned char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count && !reader->fault) {
        struct cursor cursor = {.at = bytes + done, .end = bytes + count};
        item_read(reader, &cursor);
        if (cursor.fault == SNAPSHOT_FAULT_CUT)
            break;
        reader->fault = cursor.fault;
        if (cursor.fault)
            break;
        reader->offset += (uint64_t)(cursor.at - (bytes + done));
        done = (size_t)(cursor.at - bytes);
    }
    return done;
}

void snapshot_read_begin(struct snapshot_reader *reader, const struct snapshot_sink *sink)
{
    memset(reader, 0, sizeof *reader);
    reader->sink = sink;
}

/* The first item that was cut is read out of what was kept and what comes; those behind it from where they lie. */
static size_t kept_read(struct snapshot_reader *reader, const unsigned char *bytes, size_t count)
{
    size_t before = reader->kept, room = sizeof reader->keep - before, more = count < room ? count : room;
    memcpy(reader->keep + before, bytes, more);
    size_t done = items_read(reader, reader->keep, before + more);
    if (done < before) { /* not even the first */
        reader->kept += more;
        return more;
    }
    reader->kept = 0;
    return done - before;
}

/* No item is longer than SNAPSHOT_ITEM_MAX: what is cut and has as much is none. */
int snapshot_read(struct snapshot_reader *reader, const void *data, size_t count)
{
    const unsigned char *bytes = data;
    while (count && !reader->fault) {
        size_t done = reader->kept ? kept_read(reader, bytes, count) : items_read(reader, bytes, count);
        bytes += done;
        count -= done;
        if (!reader->kept && count && count <= SNAPSHOT_ITEM_MAX && !reader->fault && !done) {
            memcpy(reader->keep, bytes, count);
            reader->kept = count;
            count = 0;
        } else if (!done && !reader->fault) {
            reader->fault = SNAPSHOT_FAULT_RANGE;
        }
    }
    return reader->fault;
}

int snapshot_read_finish(struct snapshot_reader *reader)
{
    if (!reader->fault && reader->state != SNAPSHOT_AT_END)
        reader->fault = SNAPSHOT_FAULT_CUT;
    return reader->fault;
}

int snapshot_read_object(struct snapshot_reader *reader, const void *bytes, size_t count, uint64_t number,
                         uint32_t type_row, size_t *used)
{
    const unsigned char *data = bytes;
    struct cursor cursor = {.at = data, .end = data + count};
    /* The difference to the object before is passed over, and what it would have led to put in its place. */
    *used = 0;
    if (count && (*data & KIND_MASK) != SNAPSHOT_OBJECT)
        return SNAPSHOT_FAULT_RECORD;
    take_byte(&cursor);
    uint64_t difference = unzigzag(take(&cursor, UINT64_MAX));
    if (cursor.fault)
        return cursor.fault;
    reader->fault = 0;
    reader->kept = 0;
    reader->number = number - difference;
    reader->object_row = type_row;
    reader->objects = 1;
    reader->edges = reader->bytes = reader->native_bytes = 0;
    reader->state = SNAPSHOT_AT_RECORD;
    cursor.at = data;
    do {
        item_read(reader, &cursor);
        if (!cursor.fault)
            *used = (size_t)(cursor.at - data);
    } while (!cursor.fault && reader->state != SNAPSHOT_AT_RECORD);
    return cursor.fault;
}

#define SNAPSHOT_X(name, value, sentence) \
    case name: \
        return sentence;

const char *snapshot_fault_sentence(int fault)
{
    switch (fault) {
        SNAPSHOT_FAULTS(SNAPSHOT_X)
    default: return "unknown fault";
    }
}

const char *snapshot_end_sentence(unsigned status)
{
    switch (status) {
        SNAPSHOT_ENDS(SNAPSHOT_X)
    default: return "for a reason that is not known";
    }
}
