/* Messages: what is valid goes through unchanged, and every other one is refused for its own reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/message.h"

static struct wire_hello_view view_make(void)
{
    struct wire_hello_view view = {.id = {1, 2, 3}, .clock_ns = 42, .version = 1, .library = "0.1.0",
                                   .name = "n\xc3\xa4me", .label_count = 2,
                                   .labels = {{"tier", "gold"}, {"a.b-c_9", ""}}};
    return view;
}

/* Checks a copy that ends where the message ends, so that a sanitizer sees a read behind it. */
static int check_exact(const void *data, size_t bytes, struct wire_hello_view *out)
{
    void *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, data, bytes);
    int fault = wire_hello_check(copy, bytes, out);
    free(copy);
    return fault;
}

static void test_hello_round_trip(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX];
    struct wire_hello_view view = view_make(), out;
    size_t length = wire_hello_encode(&view, bytes, sizeof bytes);
    assert_true(length > sizeof(struct wire_hello));
    assert_int_equal(check_exact(bytes, length, &out), 0);
    assert_memory_equal(out.id, view.id, sizeof view.id);
    assert_string_equal(out.name, view.name);
    assert_string_equal(out.library, "0.1.0");
    assert_int_equal(out.label_count, 2);
    assert_string_equal(out.labels[0].value, "gold");
    assert_string_equal(out.labels[1].key, "a.b-c_9");
    assert_string_equal(out.labels[1].value, "");
    assert_int_equal(out.clock_ns, 42);
    assert_int_equal(wire_hello_encode(&view, bytes, length - 1), 0);
}

static void test_largest_hello_fits(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX];
    struct wire_hello_view view = {.label_count = WIRE_LABEL_MAX}, out;
    memset(view.name, 'n', WIRE_NAME_MAX);
    for (unsigned i = 0; i < WIRE_LABEL_MAX; i++) {
        memset(view.labels[i].key, 'k', WIRE_KEY_MAX - 1);
        view.labels[i].key[WIRE_KEY_MAX - 1] = (char)('a' + i);
        memset(view.labels[i].value, 'v', WIRE_NAME_MAX);
    }
    size_t length = wire_hello_encode(&view, bytes, sizeof bytes);
    assert_true(length > 0 && length <= sizeof(struct wire_hello) + WIRE_TEXT_MAX);
    assert_int_equal(check_exact(bytes, length, &out), 0);
    assert_memory_equal(&out.labels, &view.labels, sizeof view.labels);
}

static void test_encode_refuses_what_the_check_would(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX];
    struct wire_hello_view view = view_make();
    view.name[0] = '\0';
    assert_int_equal(wire_hello_encode(&view, bytes, sizeof bytes), 0);
    view = view_make();
    snprintf(view.labels[0].key, sizeof view.labels[0].key, "%s", "Tier");
    assert_int_equal(wire_hello_encode(&view, bytes, sizeof bytes), 0);
    view = view_make();
    snprintf(view.labels[0].value, sizeof view.labels[0].value, "%s", "a\nb");
    assert_int_equal(wire_hello_encode(&view, bytes, sizeof bytes), 0);
    view = view_make();
    view.label_count = 17;
    assert_int_equal(wire_hello_encode(&view, bytes, sizeof bytes), 0);
}

static void test_hello_faults(void **state)
{
    (void)state;
    char good[WIRE_MESSAGE_MAX], bad[WIRE_MESSAGE_MAX];
    struct wire_hello_view view = view_make(), out;
    size_t length = wire_hello_encode(&view, good, sizeof good);
    struct wire_hello *hello = (void *)bad;
    for (size_t cut = 0; cut < length; cut++) /* the head says more than arrived */
        assert_int_not_equal(check_exact(good, cut, &out), 0);
    for (size_t cut = sizeof(struct wire_head); cut < length; cut++) { /* and where it does not */
        memcpy(bad, good, length);
        hello->head.bytes = (uint32_t)cut;
        assert_int_not_equal(check_exact(bad, cut, &out), 0);
    }
#define FAULT(change, fault) \
    do { \
        memcpy(bad, good, length); \
        change; \
        assert_int_equal(check_exact(bad, length, &out), fault); \
    } while (0)
    FAULT(hello->head.kind = WIRE_ACK, WIRE_FAULT_KIND);
    FAULT(hello->label_count = 17, WIRE_FAULT_LABEL);
    FAULT(hello->key_bytes[0] = 0, WIRE_FAULT_LABEL);
    FAULT(hello->key_bytes[0] = 64, WIRE_FAULT_LABEL);
    FAULT(hello->value_bytes[1] = 255, WIRE_FAULT_TEXT);
    FAULT(hello->name_bytes = 0, WIRE_FAULT_TEXT);
    FAULT(hello->name_bytes = 255, WIRE_FAULT_TEXT);
    FAULT(hello->name_bytes = 2, WIRE_FAULT_TEXT); /* cuts a sequence */
    FAULT(hello->text[0] = 0x1b, WIRE_FAULT_TEXT);
    FAULT(hello->library[0] = '\n', WIRE_FAULT_TEXT);
    FAULT(hello->text[5] = 'T', WIRE_FAULT_LABEL);
#undef FAULT
}

static void test_hello_refuses_two_labels_of_one_key(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX];
    struct wire_hello_view view = view_make(), out;
    snprintf(view.labels[1].key, sizeof view.labels[1].key, "%s", "tier");
    size_t length = wire_hello_encode(&view, bytes, sizeof bytes);
    assert_int_equal(check_exact(bytes, length, &out), WIRE_FAULT_LABEL);
}

static void test_text_is_utf8_without_controls(void **state)
{
    (void)state;
    const char *valid[] = {"", "abc", "\xc2\xa0", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    const char *invalid[] = {"\x01",
                             "a\tb",
                             "\x7f",
                             "\xc2\x80",
                             "\xc2\x9f",
                             "\x80",
                             "\xc0\x80",
                             "\xc1\xbf",
                             "\xc2",
                             "\xe0\x9f\xbf",
                             "\xe0\xa0",
                             "\xed\xa0\x80",
                             "\xed\xbf\xbf",
                             "\xf0\x8f\xbf\xbf",
                             "\xf4\x90\x80\x80",
                             "\xf5\x80\x80\x80",
                             "\xff",
                             "\xe2\x28\xa1",
                             "\xf0\x9f\x92"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        assert_true(wire_text_valid(valid[i], strlen(valid[i])));
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        assert_false(wire_text_valid(invalid[i], strlen(invalid[i])));
    assert_false(wire_text_valid("a\0b", 3));
}

static void test_fixed_messages(void **state)
{
    (void)state;
    struct wire_heap heap = {.head = wire_head_make(WIRE_HEAP_GONE, sizeof heap), .heap_number = 3}, heap_out;
    struct wire_ack ack = {.head = wire_head_make(WIRE_ACK, sizeof ack), .state = WIRE_ACK_RUNNING}, ack_out;
    struct wire_command command = {.head = wire_head_make(WIRE_COMMAND, sizeof command), .kind = 77},
                        command_out;
    struct wire_welcome welcome = {.head = wire_head_make(WIRE_WELCOME, sizeof welcome), .daemon = "0.1.0"};
    struct wire_welcome welcome_out;
    assert_int_equal(wire_heap_check(&heap, sizeof heap, &heap_out), 0);
    assert_int_equal(wire_ack_check(&ack, sizeof ack, &ack_out), 0);
    assert_int_equal(wire_command_check(&command, sizeof command, &command_out), 0);
    assert_int_equal(wire_welcome_check(&welcome, sizeof welcome, &welcome_out), 0);
    assert_int_equal(wire_heap_check(&ack, sizeof ack, &heap_out), WIRE_FAULT_KIND);
    assert_int_equal(wire_ack_check(&heap, sizeof heap, &ack_out), WIRE_FAULT_KIND);
    heap.heap_number = 0;
    assert_int_equal(wire_heap_check(&heap, sizeof heap, &heap_out), WIRE_FAULT_VALUE);
    ack.state = 7;
    assert_int_equal(wire_ack_check(&ack, sizeof ack, &ack_out), WIRE_FAULT_VALUE);
    ack.state = WIRE_ACK_SUCCEEDED;
    ack.collected = -1;
    assert_int_equal(wire_ack_check(&ack, sizeof ack, &ack_out), WIRE_FAULT_VALUE);
    welcome.head.version++;
    assert_int_equal(wire_welcome_check(&welcome, sizeof welcome, &welcome_out), WIRE_FAULT_VERSION);
    welcome.head.version--;
    welcome.daemon[2] = '\x1b';
    assert_int_equal(wire_welcome_check(&welcome, sizeof welcome, &welcome_out), WIRE_FAULT_TEXT);
}

/* A later version's message is longer; the part that is known is read. */
static void test_longer_messages_are_read_up_to_the_known_part(void **state)
{
    (void)state;
    char bytes[sizeof(struct wire_ack) + 16] = {0};
    struct wire_ack ack = {.head = wire_head_make(WIRE_ACK, sizeof bytes), .operation = 5,
                           .state = WIRE_ACK_FAILED}, out;
    ack.head.version = 2;
    memcpy(bytes, &ack, sizeof ack);
    assert_int_equal(wire_ack_check(bytes, sizeof bytes, &out), 0);
    assert_int_equal(out.operation, 5);
}

/* What was appended to the first version's command may be missing: it is zero then. */
static void test_commands_may_end_before_what_was_appended(void **state)
{
    (void)state;
    const size_t first = offsetof(struct wire_command, manager);
    struct wire_command command = {.operation = 5, .thresholds = {1, 2, 3}, .manager = 4, .max_pause_us = 500,
                                   .memory_limit_bytes = (uint64_t)1 << 56};
    for (size_t bytes = first - 1; bytes <= sizeof command; bytes++) {
        struct wire_command out;
        char *copy = malloc(bytes); /* so that a sanitizer sees a read behind it */
        memset(&out, 0xaa, sizeof out);
        command.head = wire_head_make(WIRE_COMMAND, bytes);
        memcpy(copy, &command, bytes);
        assert_int_equal(wire_command_check(copy, bytes, &out), bytes < first ? WIRE_FAULT_SHORT : 0);
        free(copy);
        if (bytes < first)
            continue;
        assert_int_equal(out.thresholds[2], 3);
        assert_int_equal(out.manager, bytes < first + 8 ? 0 : 4);
        assert_int_equal(out.memory_limit_bytes, bytes >= offsetof(struct wire_command, ring_words) ? (uint64_t)1 << 56 : 0);
    }
}

static void test_lengths_are_what_arrived(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX + 1] = {0};
    struct wire_head head = wire_head_make((enum wire_kind)300, 100), out;
    memcpy(bytes, &head, sizeof head);
    assert_int_equal(wire_head_check(bytes, 100, &out), 0);
    assert_int_equal(wire_head_check(bytes, 99, &out), WIRE_FAULT_LENGTH);
    assert_int_equal(wire_head_check(bytes, 101, &out), WIRE_FAULT_LENGTH);
    assert_int_equal(wire_head_check(bytes, 7, &out), WIRE_FAULT_SHORT);
    assert_int_equal(wire_head_check(bytes, WIRE_MESSAGE_MAX + 1, &out), WIRE_FAULT_LONG);
    assert_string_equal(wire_fault_sentence(WIRE_FAULT_LONG), "the message is longer than any may be");
    assert_string_equal(wire_fault_sentence(-99), "unknown fault");
}

/* What was appended to an answer is zero where it did not come, as an older library's does not. */
static void test_answers_may_end_before_what_was_appended(void **state)
{
    (void)state;
    const size_t first = offsetof(struct wire_ack, started_ns);
    struct wire_ack ack = {.state = WIRE_ACK_SUCCEEDED, .started_ns = 7, .total = 8}, out;
    ack.head = wire_head_make(WIRE_ACK, first - 1);
    assert_int_equal(wire_ack_check(&ack, first - 1, &out), WIRE_FAULT_SHORT);
    ack.head = wire_head_make(WIRE_ACK, first);
    assert_int_equal(wire_ack_check(&ack, first, &out), 0);
    assert_int_equal(out.started_ns, 0);
    ack.head = wire_head_make(WIRE_ACK, sizeof ack);
    assert_int_equal(wire_ack_check(&ack, sizeof ack, &out), 0);
    assert_int_equal(out.total, 8);
}

static void test_snapshots_name_what_they_are_of(void **state)
{
    (void)state;
    const struct wire_snapshot good = {.head = wire_head_make(WIRE_SNAPSHOT, sizeof good), .operation = 5,
                                       .heap_number = 1, .mode = WIRE_SNAPSHOT_CLONE};
    struct wire_snapshot out, bad[] = {good, good, good, good};
    assert_int_equal(wire_snapshot_check(&good, sizeof good, &out), 0);
    assert_int_equal(out.operation, 5);
    bad[0].operation = 0;
    bad[1].heap_number = 0;
    bad[2].mode = WIRE_SNAPSHOT_AUTO;
    bad[3].mode = WIRE_SNAPSHOT_SLICES + 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(wire_snapshot_check(&bad[i], sizeof *bad, &out), WIRE_FAULT_VALUE);
    bad[0].head = wire_head_make(WIRE_SNAPSHOT, sizeof good - 8);
    assert_int_equal(wire_snapshot_check(&bad[0], sizeof good - 8, &out), WIRE_FAULT_SHORT);
}

/* A message of rows, as the library sends it; returns its length. */
static size_t objects_make(char *to, uint32_t count)
{
    struct wire_rows rows = {.heap_number = 3, .kind = WIRE_COMMAND_OBJECTS, .count = count};
    size_t bytes = sizeof rows + count * sizeof(struct wire_object);
    rows.head = wire_head_make(WIRE_ROWS, bytes);
    memcpy(to, &rows, sizeof rows);
    for (uint32_t i = 0; i < count; i++)
        memcpy(to + sizeof rows + i * sizeof(struct wire_object),
               &(struct wire_object){.object = i + 1, .type_row = i}, sizeof(struct wire_object));
    return bytes;
}

static size_t cycles_make(char *to, uint32_t count, uint32_t text_bytes)
{
    struct wire_rows rows = {.heap_number = 3, .kind = WIRE_COMMAND_CYCLES, .count = count};
    size_t bytes = sizeof rows;
    for (uint32_t i = 0; i < count; i++, bytes += wire_cycle_bytes(text_bytes)) {
        memcpy(to + bytes, &(struct wire_cycle){.count = i + 1, .text_bytes = text_bytes}, sizeof(struct wire_cycle));
        memset(to + bytes + sizeof(struct wire_cycle), 'x', text_bytes);
    }
    rows.head = wire_head_make(WIRE_ROWS, bytes);
    memcpy(to, &rows, sizeof rows);
    return bytes;
}

static void test_rows_are_walked_one_by_one(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX] = {0};
    const char *text;
    struct wire_rows rows;
    struct wire_object object;
    struct wire_cycle cycle;
    size_t length = objects_make(bytes, 255), at = 0;
    assert_int_equal(length, WIRE_MESSAGE_MAX);
    assert_int_equal(wire_rows_check(bytes, length, &rows), 0);
    assert_int_equal(rows.count, 255);
    for (uint32_t i = 0; i < 255; i++) {
        assert_true(wire_rows_object(bytes, &at, &object));
        assert_int_equal(object.object, i + 1);
    }
    assert_false(wire_rows_object(bytes, &at, &object));
    struct wire_candidates candidates;
    rows.kind = WIRE_COMMAND_CANDIDATES;
    memcpy(bytes, &rows, sizeof rows);
    assert_int_equal(wire_rows_check(bytes, length, &rows), 0);
    at = 0;
    for (uint32_t i = 0; i < 255; i++) {
        assert_true(wire_rows_candidates(bytes, &at, &candidates));
        assert_int_equal(candidates.candidates, i + 1); /* as long as an object's, and its first number */
    }
    assert_false(wire_rows_candidates(bytes, &at, &candidates));
    length = cycles_make(bytes, 3, 13);
    assert_int_equal(wire_rows_check(bytes, length, &rows), 0);
    at = 0;
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(wire_rows_cycle(bytes, &at, &cycle, &text));
        assert_int_equal(cycle.count, i + 1);
        assert_memory_equal(text, "xxxxxxxxxxxxx", 13);
    }
    assert_false(wire_rows_cycle(bytes, &at, &cycle, &text));
}

/* Every length of a message, each in memory of its own, so that a sanitizer sees a read behind it. */
static void test_rows_lie_in_their_message(void **state)
{
    (void)state;
    char bytes[WIRE_MESSAGE_MAX] = {0};
    struct wire_rows rows;
    for (int kind = 0; kind < 2; kind++) {
        size_t whole = kind ? cycles_make(bytes, 2, 9) : objects_make(bytes, 2);
        for (size_t length = sizeof rows; length <= whole + 8; length++) {
            char *copy = malloc(length);
            struct wire_head head = wire_head_make(WIRE_ROWS, length);
            memcpy(copy, bytes, length);
            memcpy(copy, &head, sizeof head);
            assert_int_equal(wire_rows_check(copy, length, &rows), length == whole ? 0 : WIRE_FAULT_LENGTH);
            free(copy);
        }
    }
}

static void test_rows_that_make_no_sense(void **state)
{
    (void)state;
    static const struct wire_rows bad[] = {
        {.heap_number = 3, .kind = WIRE_COMMAND_COLLECT, .count = 2},
        {.heap_number = 3, .kind = 99, .count = 2},
        {.heap_number = 0, .kind = WIRE_COMMAND_OBJECTS, .count = 2},
        {.heap_number = 3, .kind = WIRE_COMMAND_OBJECTS, .count = 0},
        {.heap_number = 3, .kind = WIRE_COMMAND_OBJECTS, .count = WIRE_ROWS_MAX + 1},
        {.heap_number = 3, .kind = WIRE_COMMAND_OBJECTS, .count = UINT32_MAX},
    };
    char bytes[WIRE_MESSAGE_MAX] = {0};
    size_t length = objects_make(bytes, 2);
    struct wire_rows out;
    struct wire_cycle cycle = {.text_bytes = WIRE_SHAPE_MAX + 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire_rows rows = bad[i];
        rows.head = wire_head_make(WIRE_ROWS, length);
        memcpy(bytes, &rows, sizeof rows);
        assert_int_equal(wire_rows_check(bytes, length, &out), WIRE_FAULT_VALUE);
    }
    assert_int_equal(wire_rows_check(bytes, sizeof out - 1, &out), WIRE_FAULT_LENGTH);
    length = cycles_make(bytes, 1, 512 - 8); /* there is room for what it says, and it says too much */
    memcpy(bytes + sizeof out, &cycle, sizeof cycle);
    assert_int_equal(wire_rows_check(bytes, length, &out), WIRE_FAULT_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_round_trip),
        cmocka_unit_test(test_largest_hello_fits),
        cmocka_unit_test(test_encode_refuses_what_the_check_would),
        cmocka_unit_test(test_hello_faults),
        cmocka_unit_test(test_hello_refuses_two_labels_of_one_key),
        cmocka_unit_test(test_text_is_utf8_without_controls),
        cmocka_unit_test(test_fixed_messages),
        cmocka_unit_test(test_longer_messages_are_read_up_to_the_known_part),
        cmocka_unit_test(test_commands_may_end_before_what_was_appended),
        cmocka_unit_test(test_lengths_are_what_arrived),
        cmocka_unit_test(test_answers_may_end_before_what_was_appended),
        cmocka_unit_test(test_snapshots_name_what_they_are_of),
        cmocka_unit_test(test_rows_are_walked_one_by_one),
        cmocka_unit_test(test_rows_lie_in_their_message),
        cmocka_unit_test(test_rows_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
