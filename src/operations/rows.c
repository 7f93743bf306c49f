/* What heaps have listed: collected while it comes, then shared by all who asked, and dropped when there is too much. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "operations/private.h"

struct operation_rows {
    _Atomic unsigned references; /* 1 while it is coming */
    size_t room;
    struct wire_rows message; /* and its rows behind it */
};

const struct wire_rows *operation_rows_get(const struct operation_rows *rows)
{
    return &rows->message;
}

size_t operations__rows_bytes(const struct operation_rows *rows)
{
    return rows->message.head.bytes;
}

void operations__rows_hold(const struct operation_rows *rows)
{
    atomic_fetch_add(&((struct operation_rows *)(uintptr_t)rows)->references, 1);
}

void operations__rows_drop(const struct operation_rows *rows)
{
    struct operation_rows *own = (struct operation_rows *)(uintptr_t)rows;
    if (own && atomic_fetch_sub(&own->references, 1) == 1)
        free(own);
}

/* With `bytes` more behind what it has; NULL: out of memory, and the old is as it was. */
static struct operation_rows *grown(struct operation_rows *rows, const struct wire_rows *from, size_t bytes)
{
    size_t used = rows ? rows->message.head.bytes : sizeof rows->message;
    size_t need = used + bytes, room = rows ? rows->room : 0;
    if (need > room) {
        room = need < 2 * room ? 2 * room : need;
        struct operation_rows *larger = realloc(rows, offsetof(struct operation_rows, message) + room);
        if (!larger)
            return NULL;
        if (!rows)
            *larger = (struct operation_rows){.references = 1, .message = {.head = wire_head_make(WIRE_ROWS, used),
                                                                           .heap_number = from->heap_number,
                                                                           .kind = from->kind}};
        larger->room = room;
        rows = larger;
    }
    memcpy((char *)&rows->message + used, from + 1, bytes);
    rows->message.head.bytes += (uint32_t)bytes;
    rows->message.count += from->count;
    return rows;
}

static void take(struct operation *operation, size_t heap, const struct wire_rows *from)
{
    struct ride *ride = &operation->rides[heap];
    const struct operation_rows *now = ride->coming;
    size_t bytes = from->head.bytes - sizeof *from;
    bool many = now && (now->message.count + from->count > WIRE_ROWS_MAX ||
                        now->message.head.bytes + bytes > sizeof *from + WIRE_ROWS_BYTES_MAX);
    if (many || operation->rows_bytes + bytes > OPERATION_ROWS_MAX)
        return; /* more than anybody asked for, or than one may have: the count says that some are missing */
    struct operation_rows *rows = grown(ride->coming, from, bytes);
    if (!rows)
        return;
    ride->coming = rows;
    operation->rows_bytes += bytes;
}

void operations_rows(struct operations *operations, const char *process, const struct wire_rows *rows)
{
    pthread_mutex_lock(&operations->lock);
    for (struct operation *operation = operations->newest; operation; operation = operation->next) {
        if (operation->view->number != rows->operation || operation->view->kind != rows->kind)
            continue;
        for (size_t i = 0; i < operation->view->heap_count; i++)
            if (operations__is_of(operation, i, process, rows->heap_number) &&
                !operation_is_over(operation->view->heaps[i].state))
                take(operation, i, rows);
    }
    pthread_mutex_unlock(&operations->lock);
}

/* The oldest listings go, where all of them are too much. */
static void prune(struct operations *operations)
{
    while (operations->rows_bytes > OPERATIONS_ROWS_KEPT) {
        const struct operation_rows **oldest = NULL;
        for (struct operation *operation = operations->newest; operation; operation = operation->next)
            for (size_t i = 0; i < operation->view->heap_count; i++)
                if (operation->view->heaps[i].rows)
                    oldest = &operation->view->heaps[i].rows;
        if (!oldest)
            return;
        operations->rows_bytes -= operations__rows_bytes(*oldest);
        operations__rows_drop(*oldest);
        *oldest = NULL;
    }
}

void operations__rows_give(struct operations *operations, struct operation *to, size_t heap,
                           const struct operation_rows *rows)
{
    if (!rows)
        return;
    operations__rows_hold(rows);
    to->view->heaps[heap].rows = rows;
    operations->rows_bytes += operations__rows_bytes(rows);
    prune(operations);
}
