/* Every check of wire/message.h on every input. What is accepted must be what it promises: text that is
 * valid, and a hello that encodes to one which reads the same. */
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hello_check(const uint8_t *data, size_t size)
{
    static struct wire_hello_view view, again;
    static char bytes[WIRE_MESSAGE_MAX];
    memset(&view, 0, sizeof view);
    if (wire_hello_check(data, size, &view))
        return;
    size_t length = wire_hello_encode(&view, bytes, sizeof bytes);
    if (!length || wire_hello_check(bytes, length, &again))
        abort();
    again.version = view.version;
    if (memcmp(&view, &again, sizeof view))
        abort();
}

static volatile uint32_t read_all;

/* Rows that were accepted are as many as they say, and lie in the message. */
static void rows_check(const uint8_t *data, size_t size)
{
    struct wire_rows rows;
    struct wire_object object;
    struct wire_cycle cycle;
    const char *text;
    size_t at = 0;
    uint32_t count = 0, sum = 0;
    if (wire_rows_check(data, size, &rows))
        return;
    if (rows.kind == WIRE_COMMAND_CANDIDATES)
        for (struct wire_candidates row; wire_rows_candidates(data, &at, &row); count++)
            sum += row.type_row;
    else if (rows.kind != WIRE_COMMAND_CYCLES)
        for (; wire_rows_object(data, &at, &object); count++)
            sum += object.type_row;
    else
        for (; wire_rows_cycle(data, &at, &cycle, &text); count++)
            for (uint32_t i = 0; i < cycle.text_bytes; i++)
                sum += (unsigned char)text[i];
    read_all = sum;
    if (count != rows.count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_head head;
    struct wire_welcome welcome;
    struct wire_heap heap;
    struct wire_command command;
    struct wire_ack ack;
    struct wire_snapshot snapshot;
    hello_check(data, size);
    wire_head_check(data, size, &head);
    if (!wire_welcome_check(data, size, &welcome) &&
        !wire_text_valid(welcome.daemon, strnlen(welcome.daemon, sizeof welcome.daemon)))
        abort();
    if (!wire_heap_check(data, size, &heap) && !heap.heap_number)
        abort();
    if (!wire_command_check(data, size, &command) && command.ring_words &&
        size <= offsetof(struct wire_command, ring_words))
        abort(); /* what did not come is zero */
    wire_ack_check(data, size, &ack);
    if (!wire_snapshot_check(data, size, &snapshot) && !snapshot.operation)
        abort();
    rows_check(data, size);
    return 0;
}
