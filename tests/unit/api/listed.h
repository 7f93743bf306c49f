/* Asking a host that lists what a test says. */
#ifndef TESTS_UNIT_API_LISTED_H
#define TESTS_UNIT_API_LISTED_H

#include "world.h"

#define P "/v1/processes/" PROCESS

static inline const char *ask(struct world *world, const char *method, const char *path, const char *body)
{
    char request[1024];
    snprintf(request, sizeof request,
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
             "Content-Length: #\r\n\r\n%s",
             method, path, body);
    return ask_on(world, dial_unix(world), request);
}

/* The host's answer to the command that it was sent last: its rows and its last word. */
static inline void answer_rows(struct world *world, const void *rows, size_t bytes, uint32_t count, uint64_t after)
{
    static _Alignas(8) char message[WIRE_MESSAGE_MAX];
    const struct wire_command *command = &world->last;
    size_t length = sizeof(struct wire_rows) + bytes;
    if (count) {
        *(struct wire_rows *)(void *)message =
            (struct wire_rows){.head = wire_head_make(WIRE_ROWS, length), .operation = command->operation,
                               .heap_number = command->heap_number, .kind = command->kind, .count = count};
        memcpy(message + sizeof(struct wire_rows), rows, bytes);
        operations_rows(world->operations, PROCESS, (const struct wire_rows *)(const void *)message);
    }
    operations_ack(world->operations, PROCESS,
                   &(struct wire_ack){.operation = command->operation, .heap_number = command->heap_number,
                                      .state = WIRE_ACK_SUCCEEDED, .total = 77, .after = after, .rows = count});
}

/* Asks without waiting, lets the host answer, and looks at the operation. */
static inline json_t *listed(struct world *world, const char *path, const void *rows, size_t bytes, uint32_t count, uint64_t after)
{
    char target[64];
    world->host = HOST_SILENT;
    json_t *asked = json_of(ask(world, "GET", path, ""));
    assert_string_equal(json_string_value(json_object_get(asked, "state")), "queued");
    answer_rows(world, rows, bytes, count, after);
    snprintf(target, sizeof target, "/v1/operations/%s", json_string_value(json_object_get(asked, "id")));
    json_decref(asked);
    json_t *operation = json_of(ask(world, "GET", target, ""));
    json_t *result = json_incref(json_object_get(operation, "result"));
    json_decref(operation);
    assert_true(json_is_object(result));
    return result;
}

#endif
