/* The snapshot stream: what was written is read, in pieces of any size; whatever else comes is refused for its own
 * reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/snapshot.h"

#define ROOM 65536

struct bytes {
    unsigned char data[ROOM];
    size_t count, flushes;
    int fail;
};

static int bytes_take(void *arg, const void *from, size_t count)
{
    struct bytes *bytes = arg;
    bytes->flushes++;
    if (bytes->fail)
        return bytes->fail;
    assert_true(bytes->count + count <= ROOM);
    memcpy(bytes->data + bytes->count, from, count);
    bytes->count += count;
    return 0;
}

static struct snapshot_text text(const char *string)
{
    return (struct snapshot_text){string, strlen(string)};
}

/* What a reader tells, as a text. */
struct told {
    char text[ROOM];
    size_t used;
    unsigned stop_at; /* calls of object(), edge() and object_end() until it has enough; 0: never */
    uint64_t offsets[16];
    unsigned objects;
};

__attribute__((format(printf, 2, 3))) static void say(struct told *told, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(told->text + told->used, ROOM - told->used, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && (size_t)length < ROOM - told->used);
    told->used += (size_t)length;
}

static void hear_header(void *arg, const struct snapshot_header *header)
{
    say(arg, "heap %u flags %u types %u clock %llu expects %llu\n", header->heap_number, header->flags, header->type_count,
        (unsigned long long)header->clock_ns, (unsigned long long)header->objects);
}
static void hear_type(void *arg, const struct snapshot_type *type)
{
    say(arg, "type %u %.*s size %llu flags %u fields %u '%.*s' '%.*s'\n", type->row, (int)type->name.bytes, type->name.at,
        (unsigned long long)type->size_bytes, type->flags, type->field_count, (int)type->trailing.bytes, type->trailing.at,
        (int)type->external.bytes, type->external.at);
}
static void hear_field(void *arg, uint32_t row, uint32_t field, struct snapshot_text name)
{
    say(arg, "field %u.%u %.*s\n", row, field, (int)name.bytes, name.at);
}
static bool enough(struct told *told)
{
    return told->stop_at && !--told->stop_at;
}
static bool hear_object(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    struct told *told = arg;
    if (told->objects < 16)
        told->offsets[told->objects] = offset;
    told->objects++;
    say(told, "object %llu type %u bytes %llu native %llu references %llu declared %llu flags %u '%.*s'\n",
        (unsigned long long)object->number, object->type_row, (unsigned long long)object->bytes,
        (unsigned long long)object->native_bytes, (unsigned long long)object->references,
        (unsigned long long)object->declared, object->flags, (int)object->label.bytes, object->label.at);
    return !enough(told);
}
static bool hear_edge(void *arg, const struct snapshot_edge *edge)
{
    say(arg, "edge %u %llu -> %llu\n", (unsigned)edge->kind, (unsigned long long)edge->place, (unsigned long long)edge->target);
    return !enough(arg);
}
static bool hear_object_end(void *arg)
{
    say(arg, ".\n");
    return !enough(arg);
}

static struct snapshot_sink sink_of(struct told *told)
{
    return (struct snapshot_sink){told, hear_header, hear_type, hear_field, hear_object, hear_edge, hear_object_end};
}

static const char expected[] =
    "heap 3 flags 1 types 2 clock 42 expects 4\n"
    "type 7 node size 32 flags 5 fields 2 '' ''\n"
    "field 7.0 next\n"
    "field 7.1 h\xc3\xa4lfte\n"
    "type 65535 list size 16 flags 2 fields 0 '[]' 'item'\n"
    "object 8193 type 7 bytes 32 native 0 references 1 declared 0 flags 0 ''\n"
    "edge 0 0 -> 8193\n"
    "edge 0 1 -> 9223372036854775807\n"
    ".\n"
    "object 8197 type 7 bytes 32 native 4096 references 0 declared 0 flags 3 'K\xc3\xb6ln'\n"
    ".\n"
    "object 5 type 65535 bytes 281474976710000 native 0 references 1099511627776 declared 9 flags 127 ''\n"
    "edge 1 0 -> 8193\n"
    "edge 2 1099511627776 -> 8197\n"
    "edge 4 0 -> 5\n"
    "edge 5 0 -> 1\n"
    ".\n"
    "object 9223372036854775807 type 65535 bytes 0 native 0 references 1 declared 0 flags 64 ''\n"
    ".\n";

static int example_write(struct bytes *bytes, size_t room, enum snapshot_end_status status)
{
    static unsigned char buffer[4096];
    struct snapshot_writer writer;
    bytes->count = bytes->flushes = 0;
    snapshot_write_begin(&writer, buffer, room, bytes_take, bytes,
                         &(struct snapshot_header){.flags = SNAPSHOT_INSTANT, .heap_number = 3, .type_count = 2,
                                                   .clock_ns = 42, .objects = 4});
    snapshot_write_type(&writer, &(struct snapshot_type){7, 5, 32, 2, text("node"), text(""), text("")});
    snapshot_write_field(&writer, text("next"));
    snapshot_write_field(&writer, text("h\xc3\xa4lfte"));
    snapshot_write_type(&writer, &(struct snapshot_type){65535, 2, 16, 0, text("list"), text("[]"), text("item")});
    snapshot_write_object(&writer, &(struct snapshot_object){.number = 8193, .type_row = 7, .bytes = 32, .references = 1});
    snapshot_write_edge(&writer, SNAPSHOT_EDGE_FIELD, 0, 8193);
    snapshot_write_edge(&writer, SNAPSHOT_EDGE_FIELD, 1, SNAPSHOT_NUMBER_MAX);
    snapshot_write_object(&writer, &(struct snapshot_object){.number = 8197, .type_row = 7, .bytes = 32, .native_bytes = 4096,
                                                             .flags = SNAPSHOT_IMMORTAL | SNAPSHOT_FROZEN,
                                                             .label = text("K\xc3\xb6ln")});
    snapshot_write_object(&writer, &(struct snapshot_object){.number = 5, .type_row = 65535, .bytes = SNAPSHOT_BYTES_MAX - 656,
                                                             .references = SNAPSHOT_COUNT_MAX, .declared = 9, .flags = 127});
    snapshot_write_edge(&writer, SNAPSHOT_EDGE_TRAILING, 0, 8193);
    snapshot_write_edge(&writer, SNAPSHOT_EDGE_EXTERNAL, SNAPSHOT_PLACE_MAX, 8197);
    snapshot_write_edge(&writer, SNAPSHOT_EDGE_HOLD, 0, 5);
    snapshot_write_edge(&writer, SNAPSHOT_EDGE_WEAK, 0, 1);
    snapshot_write_object(&writer, &(struct snapshot_object){.number = SNAPSHOT_NUMBER_MAX, .type_row = 65535, .references = 1,
                                                             .flags = SNAPSHOT_UNTRACKED});
    return snapshot_write_end(&writer, status, 77);
}

static struct snapshot_reader reader;
static struct told told;

/* Reads copies that end where the pieces end, so that a sanitizer sees a read behind them. */
static int read_in_pieces(const unsigned char *data, size_t count, size_t piece)
{
    struct snapshot_sink sink = sink_of(&told);
    told.used = told.objects = 0;
    told.text[0] = '\0';
    snapshot_read_begin(&reader, &sink);
    for (size_t at = 0; at < count; at += piece) {
        size_t some = count - at < piece ? count - at : piece;
        unsigned char *copy = malloc(some);
        memcpy(copy, data + at, some);
        snapshot_read(&reader, copy, some);
        free(copy);
    }
    int fault = snapshot_read_finish(&reader);
    reader.sink = NULL;
    return fault;
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static struct bytes bytes;
    assert_int_equal(example_write(&bytes, 4096, SNAPSHOT_WHOLE), 0);
    assert_int_equal(bytes.flushes, 1);
    for (size_t piece = 1; piece <= bytes.count; piece++) {
        assert_int_equal(read_in_pieces(bytes.data, bytes.count, piece), 0);
        assert_string_equal(told.text, expected);
        assert_int_equal(reader.objects, 4);
        assert_int_equal(reader.edges, 6);
        assert_int_equal(reader.end.pause_ns, 77);
    }
}

static void test_a_small_buffer_flushes_often(void **state)
{
    (void)state;
    static struct bytes bytes, small;
    example_write(&bytes, 4096, SNAPSHOT_WHOLE);
    assert_int_equal(example_write(&small, SNAPSHOT_ITEM_MAX, SNAPSHOT_WHOLE), 0);
    assert_true(small.flushes > 3);
    assert_int_equal(small.count, bytes.count);
    assert_memory_equal(small.data, bytes.data, bytes.count);
    small.fail = -32;
    assert_int_equal(example_write(&small, SNAPSHOT_ITEM_MAX, SNAPSHOT_WHOLE), -32);
    assert_int_equal(small.flushes, 1); /* none after the one that failed */
}

static void test_every_cut_is_one(void **state)
{
    (void)state;
    static struct bytes bytes;
    example_write(&bytes, 4096, SNAPSHOT_WHOLE);
    for (size_t count = 0; count < bytes.count; count++)
        assert_int_equal(read_in_pieces(bytes.data, count, 7), SNAPSHOT_FAULT_CUT);
    bytes.data[bytes.count] = 0;
    assert_int_equal(read_in_pieces(bytes.data, bytes.count + 1, 1), SNAPSHOT_FAULT_BEHIND);
    assert_int_equal(read_in_pieces(bytes.data, bytes.count + 1, ROOM), SNAPSHOT_FAULT_BEHIND);
}

/* No byte may be turned so that something is read which must not be; most are noticed. */
static void test_no_flipped_byte_does_harm(void **state)
{
    (void)state;
    static struct bytes bytes;
    example_write(&bytes, 4096, SNAPSHOT_WHOLE);
    for (size_t at = 0; at < bytes.count; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.data[at] ^= (unsigned char)(1u << bit);
            int whole = read_in_pieces(bytes.data, bytes.count, ROOM);
            static char text_whole[ROOM];
            memcpy(text_whole, told.text, told.used + 1);
            assert_int_equal(read_in_pieces(bytes.data, bytes.count, 1), whole);
            assert_string_equal(told.text, text_whole);
            bytes.data[at] ^= (unsigned char)(1u << bit);
        }
}

static void test_an_end_that_is_none_is_told(void **state)
{
    (void)state;
    static struct bytes bytes;
    example_write(&bytes, 4096, SNAPSHOT_LATE);
    assert_int_equal(read_in_pieces(bytes.data, bytes.count, 100), SNAPSHOT_FAULT_GIVEN_UP);
    assert_int_equal(reader.end.status, SNAPSHOT_LATE);
    assert_string_equal(snapshot_end_sentence(reader.end.status), "it was not done by its deadline");
    assert_string_equal(snapshot_end_sentence(99), "for a reason that is not known");
    assert_string_equal(snapshot_fault_sentence(SNAPSHOT_FAULT_CUT), "the stream ends before its end record");
    assert_string_equal(snapshot_fault_sentence(3), "unknown fault");
}

static void test_the_sink_may_have_enough(void **state)
{
    (void)state;
    static struct bytes bytes;
    example_write(&bytes, 4096, SNAPSHOT_WHOLE);
    for (unsigned stop = 1; stop <= 14; stop++) {
        told.stop_at = stop;
        assert_int_equal(read_in_pieces(bytes.data, bytes.count, 50), SNAPSHOT_FAULT_SINK);
    }
    told.stop_at = 0;
}

/* ---- single faults, by hand: a header and these bytes */

static int hand_read(const void *record, size_t count)
{
    static unsigned char data[ROOM];
    struct snapshot_header header = {.magic = SNAPSHOT_MAGIC, .version = 1, .heap_number = 1};
    memcpy(data, &header, sizeof header);
    memcpy(data + sizeof header, record, count);
    int fault = read_in_pieces(data, sizeof header + count, ROOM);
    assert_int_equal(read_in_pieces(data, sizeof header + count, 1), fault);
    return fault;
}
#define HAND(...) hand_read((unsigned char[]){__VA_ARGS__}, sizeof(unsigned char[]){__VA_ARGS__})
#define NODE 1, 7, 0, 8, 1, 'n', 0, 0, 1, 1, 'f' /* TYPE 7 "n" with field "f" */

static void test_each_fault_has_its_reason(void **state)
{
    (void)state;
    assert_int_equal(HAND(3), SNAPSHOT_FAULT_RECORD);
    assert_int_equal(HAND(5), SNAPSHOT_FAULT_RECORD);           /* a TYPE with bits */
    assert_int_equal(HAND(4, 0, 0, 0, 0, 0), SNAPSHOT_FAULT_RECORD); /* an END with bits */
    assert_int_equal(HAND(1, 0x80, 0x80, 4), SNAPSHOT_FAULT_RANGE);  /* row 65536 */
    assert_int_equal(HAND(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2), SNAPSHOT_FAULT_VARINT);
    assert_int_equal(HAND(1, 7, 0, 8, 0, 0, 0, 0), SNAPSHOT_FAULT_TEXT); /* no name */
    assert_int_equal(HAND(1, 7, 0, 8, 1, 0xff, 0, 0, 0), SNAPSHOT_FAULT_TEXT);
    assert_int_equal(HAND(1, 7, 0, 8, 0x80, 2), SNAPSHOT_FAULT_TEXT); /* 256 bytes */
    assert_int_equal(HAND(NODE, NODE), SNAPSHOT_FAULT_TWICE);
    assert_int_equal(HAND(2, 2, 7, 8, 0), SNAPSHOT_FAULT_TYPE);       /* before its type */
    assert_int_equal(HAND(NODE, 6, 2, 8, 0), SNAPSHOT_FAULT_TYPE);    /* the same as none */
    assert_int_equal(HAND(NODE, 2, 0, 7, 8, 0), SNAPSHOT_FAULT_RANGE); /* number 0 */
    assert_int_equal(HAND(NODE, 2, 1, 7, 8, 0), SNAPSHOT_FAULT_RANGE); /* number -1 */
    assert_int_equal(HAND(NODE, 0x82, 2, 7, 8, 0), SNAPSHOT_FAULT_RECORD);
    assert_int_equal(HAND(NODE, 2, 2, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40 + 1, 0), SNAPSHOT_FAULT_RANGE);
    assert_int_equal(HAND(NODE, 0x12, 2, 7, 8, 0x80, 2, 0), SNAPSHOT_FAULT_RANGE); /* flags */
    assert_int_equal(HAND(NODE, 0x42, 2, 7, 8, 65), SNAPSHOT_FAULT_TEXT);          /* a long label */
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 1, 0, 0, 0, 0, 1, 1, 8, 0), 0);        /* an edge to itself, and the end */
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 9, 0, 0), SNAPSHOT_FAULT_FIELD);       /* field 1 of 1 */
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 7, 0, 0), SNAPSHOT_FAULT_RANGE);       /* kind 6 */
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 1, 1, 0), SNAPSHOT_FAULT_RANGE);       /* to 0 */
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 0, 0, 0, 2, 0, 8, 0), SNAPSHOT_FAULT_COUNTS);
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 0, 0, 0, 1, 1, 8, 0), SNAPSHOT_FAULT_COUNTS);
    assert_int_equal(HAND(NODE, 2, 2, 7, 8, 0, 0, 0, 1, 0, 9, 0), SNAPSHOT_FAULT_COUNTS);
    assert_int_equal(HAND(0, 99, 0, 0, 0, 0), SNAPSHOT_FAULT_RANGE); /* no such end */
    assert_int_equal(HAND(0, 0, 0, 0, 0, 0), 0);                     /* an empty heap */
}

static void test_headers_are_checked(void **state)
{
    (void)state;
    struct snapshot_header header = {.magic = SNAPSHOT_MAGIC, .version = 2, .heap_number = 1};
    assert_int_equal(read_in_pieces((unsigned char *)&header, sizeof header, 64), SNAPSHOT_FAULT_VERSION);
    header.version = 1;
    header.heap_number = 0;
    assert_int_equal(read_in_pieces((unsigned char *)&header, sizeof header, 1), SNAPSHOT_FAULT_RANGE);
    header.magic++;
    assert_int_equal(read_in_pieces((unsigned char *)&header, sizeof header, 64), SNAPSHOT_FAULT_MAGIC);
}

/* What programs say of their native memory is cut by the writer, and its sum checked by the reader. */
static void test_native_bytes_are_bounded_in_all(void **state)
{
    (void)state;
    static struct bytes bytes;
    unsigned char buffer[2048];
    struct snapshot_writer writer;
    bytes.count = bytes.flushes = 0;
    snapshot_write_begin(&writer, buffer, sizeof buffer, bytes_take, &bytes, &(struct snapshot_header){.heap_number = 3});
    snapshot_write_type(&writer, &(struct snapshot_type){7, 5, 32, 0, text("node"), text(""), text("")});
    for (uint64_t i = 1; i < 4; i++)
        snapshot_write_object(&writer, &(struct snapshot_object){.number = 8 * i, .type_row = 7, .bytes = 32, .references = 1,
                                                                 .native_bytes = SNAPSHOT_BYTES_MAX / 2 + 1});
    assert_int_equal(snapshot_write_end(&writer, SNAPSHOT_WHOLE, 0), 0);
    assert_int_equal(read_in_pieces(bytes.data, bytes.count, 7), 0);
    assert_int_equal(reader.native_bytes, SNAPSHOT_BYTES_MAX);
    const unsigned char most[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f};
    unsigned char *at = bytes.data + sizeof(struct snapshot_header);
    while (memcmp(at, "\x81\x80\x80\x80\x80\x80\x20", 7) != 0)
        at++;
    memcpy(at, most, sizeof most); /* one less than all there may be, and there is another */
    assert_int_equal(read_in_pieces(bytes.data, bytes.count, 7), SNAPSHOT_FAULT_RANGE);
}

/* Sums beyond what memory has are refused, names likewise: nothing that a reader stores grows without bound. */
static void test_sums_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(HAND(NODE, 2, 2, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0, 6, 2, 1, 0), SNAPSHOT_FAULT_RANGE);
    struct snapshot_sink sink = {.arg = NULL};
    static unsigned char type[SNAPSHOT_ITEM_MAX];
    struct snapshot_header header = {.magic = SNAPSHOT_MAGIC, .version = 1, .heap_number = 1};
    snapshot_read_begin(&reader, &sink);
    snapshot_read(&reader, &header, sizeof header);
    int fault = 0;
    for (unsigned row = 0; row < 65536 && !fault; row++) {
        unsigned char head[] = {1, (unsigned char)(row | 0x80), (unsigned char)(row >> 7 | 0x80), (unsigned char)(row >> 14), 0, 0,
                                0xff, 1};
        memcpy(type, head, sizeof head);
        memset(type + sizeof head, 'x', 255);
        memcpy(type + sizeof head + 255, "\1x\0", 4); /* a name of the trailing array, none of the other, no fields */
        fault = snapshot_read(&reader, type, sizeof head + 259);
    }
    assert_int_equal(fault, SNAPSHOT_FAULT_NAMES);
    assert_true(reader.names_bytes <= SNAPSHOT_NAMES_MAX + 1000);
}

static void test_long_and_wrong_names_are_cut(void **state)
{
    (void)state;
    static struct bytes bytes;
    static unsigned char buffer[4096];
    static char name[400];
    struct snapshot_writer writer;
    memset(name, 'a', sizeof name);
    memcpy(name + 254, "\xc3\xa4", 2); /* would be bytes 255 and 256 */
    bytes.count = 0;
    snapshot_write_begin(&writer, buffer, sizeof buffer, bytes_take, &bytes, &(struct snapshot_header){.heap_number = 1});
    snapshot_write_type(&writer, &(struct snapshot_type){1, 0, 8, 0, {name, sizeof name}, text("\xff"), text("a\nb")});
    name[63] = '\xc3', name[64] = '\xa4';
    snapshot_write_object(&writer, &(struct snapshot_object){.number = 1, .type_row = 1, .label = {name, 100}});
    assert_int_equal(snapshot_write_end(&writer, SNAPSHOT_WHOLE, 0), 0);
    assert_int_equal(read_in_pieces(bytes.data, bytes.count, ROOM), 0);
    char *at = strstr(told.text, "type 1 ") + 7;
    assert_int_equal(strspn(at, "a"), 254);
    assert_non_null(strstr(told.text, "'?' '?'"));
    assert_int_equal(strspn(strstr(told.text, "flags 0 'a") + 9, "a"), 63);
}

static void test_one_object_is_read_again(void **state)
{
    (void)state;
    static struct bytes bytes;
    static const uint64_t numbers[] = {8193, 8197, 5, SNAPSHOT_NUMBER_MAX};
    static const uint32_t rows[] = {7, 7, 65535, 65535};
    example_write(&bytes, 4096, SNAPSHOT_WHOLE);
    assert_int_equal(read_in_pieces(bytes.data, bytes.count, ROOM), 0);
    static char whole[ROOM];
    memcpy(whole, told.text, told.used + 1);
    uint64_t offsets[4];
    memcpy(offsets, told.offsets, sizeof offsets);
    struct snapshot_sink sink = sink_of(&told);
    reader.sink = &sink;
    for (unsigned i = 4; i-- > 0;) {
        size_t used;
        told.used = told.objects = 0;
        assert_int_equal(snapshot_read_object(&reader, bytes.data + offsets[i], bytes.count - offsets[i], numbers[i], rows[i], &used), 0);
        assert_true(strncmp(strstr(whole, told.text), told.text, told.used) == 0);
        if (i < 3)
            assert_int_equal(offsets[i] + used, offsets[i + 1]);
        assert_int_equal(snapshot_read_object(&reader, bytes.data + offsets[i], used - 1, numbers[i], rows[i], &used), SNAPSHOT_FAULT_CUT);
    }
    size_t used;
    assert_int_equal(snapshot_read_object(&reader, "", 1, 1, 1, &used), SNAPSHOT_FAULT_RECORD);
    assert_int_equal(snapshot_read_object(&reader, "", 0, 1, 1, &used), SNAPSHOT_FAULT_CUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),     cmocka_unit_test(test_a_small_buffer_flushes_often),
        cmocka_unit_test(test_every_cut_is_one),            cmocka_unit_test(test_no_flipped_byte_does_harm),
        cmocka_unit_test(test_an_end_that_is_none_is_told), cmocka_unit_test(test_the_sink_may_have_enough),
        cmocka_unit_test(test_each_fault_has_its_reason),   cmocka_unit_test(test_headers_are_checked),
        cmocka_unit_test(test_native_bytes_are_bounded_in_all),
        cmocka_unit_test(test_sums_are_bounded),            cmocka_unit_test(test_long_and_wrong_names_are_cut),
        cmocka_unit_test(test_one_object_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
