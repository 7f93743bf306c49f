/* Checking and encoding of messages. Every check copies the fixed part out first, so that no field is read
 * twice, and compares lengths with what really arrived before it follows them. */
#include "wire/message.h"

#include <string.h>

#include "base/utf8.h"
#include "wire/feed.h"

_Static_assert(sizeof(struct wire_hello) + WIRE_TEXT_MAX <= WIRE_MESSAGE_MAX, "a hello fits a message");
_Static_assert(WIRE_NAME_MAX + WIRE_LABEL_MAX * (WIRE_KEY_MAX + WIRE_NAME_MAX) <= WIRE_TEXT_MAX,
               "every valid name and set of labels fits a hello");

const char *wire_fault_sentence(int fault)
{
    switch (fault) {
#define WIRE_X(name, value, sentence) \
    case name: \
        return sentence;
        WIRE_FAULTS(WIRE_X)
#undef WIRE_X
    default:
        return "unknown fault";
    }
}

bool wire_text_valid(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    while (bytes) {
        size_t step = utf8_bytes(at, bytes);
        if (!step || utf8_is_control(at, step))
            return false;
        at += step;
        bytes -= step;
    }
    return true;
}

bool wire_key_valid(const char *key, size_t bytes)
{
    if (bytes < 1 || bytes > WIRE_KEY_MAX)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        char c = key[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
        if (!plain)
            return false;
    }
    return true;
}

int wire_head_check(const void *data, size_t bytes, struct wire_head *out)
{
    struct wire_head head;
    if (bytes < sizeof head)
        return WIRE_FAULT_SHORT;
    if (bytes > WIRE_MESSAGE_MAX)
        return WIRE_FAULT_LONG;
    memcpy(&head, data, sizeof head);
    if (head.bytes != bytes)
        return WIRE_FAULT_LENGTH;
    *out = head;
    return 0;
}

/* Copies the part of a message that this version knows; later versions append to it. What lies behind `least`
 * bytes has been appended, 8 bytes at a time: it is zero where it did not come whole. */
static int known_part_from(const void *data, size_t bytes, enum wire_kind first, enum wire_kind last,
                           size_t least, void *out, size_t out_bytes)
{
    struct wire_head head;
    int fault = wire_head_check(data, bytes, &head);
    if (fault)
        return fault;
    if (head.kind < first || head.kind > last)
        return WIRE_FAULT_KIND;
    if (bytes < least)
        return WIRE_FAULT_SHORT;
    bytes = least + ((bytes - least) & ~(size_t)7);
    memset(out, 0, out_bytes);
    memcpy(out, data, bytes < out_bytes ? bytes : out_bytes);
    return 0;
}

/* The same where nothing has been appended yet. */
static int known_part(const void *data, size_t bytes, enum wire_kind first, enum wire_kind last, void *out,
                      size_t out_bytes)
{
    return known_part_from(data, bytes, first, last, out_bytes, out, out_bytes);
}

/* A cursor over the text of a HELLO. */
struct text_cursor {
    const char *at;
    size_t left;
};

/* Takes the next `bytes` as a NUL-terminated copy; out has room for WIRE_NAME_MAX + 1, and bytes is a
 * uint8_t's. */
static bool text_take(struct text_cursor *cursor, size_t bytes, char *out)
{
    if (bytes > cursor->left || !wire_text_valid(cursor->at, bytes))
        return false;
    memcpy(out, cursor->at, bytes);
    out[bytes] = '\0';
    cursor->at += bytes;
    cursor->left -= bytes;
    return true;
}

static int labels_take(const struct wire_hello *hello, struct text_cursor *cursor,
                       struct wire_hello_view *view)
{
    for (unsigned i = 0; i < view->label_count; i++) {
        struct wire_label *label = &view->labels[i];
        if (hello->key_bytes[i] > WIRE_KEY_MAX || hello->key_bytes[i] > cursor->left ||
            !wire_key_valid(cursor->at, hello->key_bytes[i]))
            return WIRE_FAULT_LABEL;
        if (!text_take(cursor, hello->key_bytes[i], label->key) ||
            !text_take(cursor, hello->value_bytes[i], label->value))
            return WIRE_FAULT_TEXT;
        for (unsigned j = 0; j < i; j++) {
            if (!strcmp(view->labels[j].key, label->key))
                return WIRE_FAULT_LABEL;
        }
    }
    return 0;
}

int wire_hello_check(const void *data, size_t bytes, struct wire_hello_view *out)
{
    struct wire_hello hello;
    int fault = known_part(data, bytes, WIRE_HELLO, WIRE_HELLO, &hello, sizeof hello);
    if (fault)
        return fault;
    if (hello.label_count > WIRE_LABEL_MAX)
        return WIRE_FAULT_LABEL;
    struct wire_hello_view view = {.clock_ns = hello.clock_ns, .version = hello.head.version,
                                   .label_count = hello.label_count};
    memcpy(view.id, hello.id, sizeof view.id);
    memcpy(view.library, hello.library, sizeof hello.library);
    if (!wire_text_valid(view.library, strlen(view.library)))
        return WIRE_FAULT_TEXT;
    struct text_cursor cursor = {(const char *)data + sizeof hello, bytes - sizeof hello};
    if (hello.name_bytes == 0 || !text_take(&cursor, hello.name_bytes, view.name))
        return WIRE_FAULT_TEXT;
    fault = labels_take(&hello, &cursor, &view);
    if (!fault)
        *out = view;
    return fault;
}

int wire_welcome_check(const void *data, size_t bytes, struct wire_welcome *out)
{
    struct wire_welcome welcome;
    int fault = known_part(data, bytes, WIRE_WELCOME, WIRE_WELCOME, &welcome, sizeof welcome);
    if (fault)
        return fault;
    if (welcome.head.version != WIRE_VERSION)
        return WIRE_FAULT_VERSION;
    if (!wire_text_valid(welcome.daemon, strnlen(welcome.daemon, sizeof welcome.daemon)))
        return WIRE_FAULT_TEXT;
    *out = welcome;
    return 0;
}

int wire_heap_check(const void *data, size_t bytes, struct wire_heap *out)
{
    struct wire_heap heap;
    int fault = known_part(data, bytes, WIRE_HEAP_COUNTERS, WIRE_HEAP_GONE, &heap, sizeof heap);
    if (fault)
        return fault;
    if (heap.heap_number == 0)
        return WIRE_FAULT_VALUE;
    *out = heap;
    return 0;
}

int wire_command_check(const void *data, size_t bytes, struct wire_command *out)
{
    return known_part_from(data, bytes, WIRE_COMMAND, WIRE_COMMAND, offsetof(struct wire_command, manager),
                           out, sizeof *out);
}

int wire_ack_check(const void *data, size_t bytes, struct wire_ack *out)
{
    struct wire_ack ack;
    int fault = known_part_from(data, bytes, WIRE_ACK, WIRE_ACK, offsetof(struct wire_ack, started_ns), &ack,
                                sizeof ack);
    if (fault)
        return fault;
    if (ack.state < WIRE_ACK_WAITING || ack.state > WIRE_ACK_EXPIRED || ack.collected < 0)
        return WIRE_FAULT_VALUE;
    *out = ack;
    return 0;
}

int wire_snapshot_check(const void *data, size_t bytes, struct wire_snapshot *out)
{
    struct wire_snapshot snapshot;
    int fault = known_part(data, bytes, WIRE_SNAPSHOT, WIRE_SNAPSHOT, &snapshot, sizeof snapshot);
    if (fault)
        return fault;
    if (!snapshot.operation || !snapshot.heap_number || snapshot.mode < WIRE_SNAPSHOT_CLONE ||
        snapshot.mode > WIRE_SNAPSHOT_SLICES)
        return WIRE_FAULT_VALUE;
    *out = snapshot;
    return 0;
}

/* The row that begins at `at` of a message of cycles, and where it ends; 0: it does not lie in the message. */
static size_t cycle_end(const void *data, size_t bytes, size_t at, struct wire_cycle *row)
{
    if (bytes - at < sizeof *row)
        return 0;
    memcpy(row, (const char *)data + at, sizeof *row);
    size_t end = row->text_bytes <= WIRE_SHAPE_MAX ? at + wire_cycle_bytes(row->text_bytes) : bytes + 1;
    return end <= bytes ? end : 0;
}

int wire_rows_check(const void *data, size_t bytes, struct wire_rows *out)
{
    struct wire_rows rows;
    struct wire_cycle row;
    int fault = known_part(data, bytes, WIRE_ROWS, WIRE_ROWS, &rows, sizeof rows);
    if (fault)
        return fault;
    if (!wire_command_lists(rows.kind) || !rows.heap_number || !rows.count || rows.count > WIRE_ROWS_MAX)
        return WIRE_FAULT_VALUE;
    size_t at = sizeof rows;
    if (rows.kind != WIRE_COMMAND_CYCLES) {
        at += rows.count * sizeof(struct wire_object);
    } else {
        for (uint32_t i = 0; i < rows.count; i++)
            if (!(at = cycle_end(data, bytes, at, &row)))
                return WIRE_FAULT_LENGTH;
    }
    if (at != bytes)
        return WIRE_FAULT_LENGTH;
    *out = rows;
    return 0;
}

/* Rows of one size. */
static bool row_next(const void *data, size_t *at, void *out, size_t bytes)
{
    struct wire_rows rows;
    memcpy(&rows, data, sizeof rows);
    if (*at == rows.count)
        return false;
    memcpy(out, (const char *)data + sizeof rows + *at * bytes, bytes);
    ++*at;
    return true;
}

bool wire_rows_object(const void *data, size_t *at, struct wire_object *out)
{
    return row_next(data, at, out, sizeof *out);
}

bool wire_rows_candidates(const void *data, size_t *at, struct wire_candidates *out)
{
    return row_next(data, at, out, sizeof *out);
}

bool wire_rows_cycle(const void *data, size_t *at, struct wire_cycle *out, const char **text)
{
    struct wire_head head;
    memcpy(&head, data, sizeof head);
    size_t from = *at ? *at : sizeof(struct wire_rows);
    if (from == head.bytes)
        return false;
    *text = (const char *)data + from + sizeof *out;
    *at = cycle_end(data, head.bytes, from, out);
    return true;
}

struct wire_head wire_head_make(enum wire_kind kind, size_t bytes)
{
    return (struct wire_head){.kind = (uint16_t)kind, .version = WIRE_VERSION, .bytes = (uint32_t)bytes};
}

/* Appends to `out` at *used; the caller has made sure of the room. */
static uint8_t text_put(char *out, size_t *used, const char *text)
{
    size_t bytes = strlen(text);
    memcpy(out + *used, text, bytes);
    *used += bytes;
    return (uint8_t)bytes;
}

static bool view_valid(const struct wire_hello_view *view)
{
    size_t name_bytes = strnlen(view->name, sizeof view->name);
    if (name_bytes < 1 || name_bytes > WIRE_NAME_MAX || view->label_count > WIRE_LABEL_MAX ||
        !wire_text_valid(view->name, name_bytes))
        return false;
    for (unsigned i = 0; i < view->label_count; i++) {
        const struct wire_label *label = &view->labels[i];
        size_t value_bytes = strnlen(label->value, sizeof label->value);
        if (!wire_key_valid(label->key, strnlen(label->key, sizeof label->key)) ||
            value_bytes > WIRE_NAME_MAX || !wire_text_valid(label->value, value_bytes))
            return false;
    }
    return true;
}

size_t wire_hello_encode(const struct wire_hello_view *view, void *out, size_t room)
{
    struct wire_hello hello = {.clock_ns = view->clock_ns};
    if (!view_valid(view))
        return 0;
    size_t bytes = sizeof hello + strlen(view->name);
    for (unsigned i = 0; i < view->label_count; i++)
        bytes += strlen(view->labels[i].key) + strlen(view->labels[i].value);
    if (bytes > room)
        return 0;
    char *text = (char *)out + sizeof hello;
    size_t used = 0;
    memcpy(hello.id, view->id, sizeof hello.id);
    memcpy(hello.library, view->library, sizeof hello.library);
    hello.head = wire_head_make(WIRE_HELLO, bytes);
    hello.name_bytes = text_put(text, &used, view->name);
    hello.label_count = (uint8_t)view->label_count;
    for (unsigned i = 0; i < view->label_count; i++) {
        hello.key_bytes[i] = text_put(text, &used, view->labels[i].key);
        hello.value_bytes[i] = text_put(text, &used, view->labels[i].value);
    }
    memcpy(out, &hello, sizeof hello);
    return bytes;
}
