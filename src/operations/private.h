/* What the files of the operations share. All of it under the lock of struct operations. */
#ifndef TALLY_OPERATIONS_PRIVATE_H
#define TALLY_OPERATIONS_PRIVATE_H

#include <pthread.h>

#include "operations/operations.h"

struct ride { /* how a heap of an operation is asked */
    uint64_t number; /* of the operation whose command it goes by; its own, or one before it; 0: of none yet */
    struct operation_rows *coming; /* own number: rows until the answer */
    enum artifact_state { ARTIFACT_NONE, ARTIFACT_COMES, ARTIFACT_WHOLE, ARTIFACT_BROKEN } artifact; /* SNAPSHOT */
    uint64_t broken_ns; /* when it was found to be */
    bool answered;      /* the host says that it has succeeded */
};

struct operation {
    struct operation *next; /* older */
    uint64_t created_ns, deadline_ns;
    struct audit_record asked; /* kind "": not audited */
    size_t rows_bytes;         /* of its heaps */
    size_t unasked;            /* the heaps before it ride on some command */
    struct operation_view *view;
    struct ride rides[]; /* by heap */
};

struct operations {
    operations_send_fn send;
    void *send_arg;
    struct audit *audit;
    char start[16];
    pthread_mutex_t lock; /* everything below */
    struct operation *newest;
    unsigned count, open;
    uint64_t numbers;
    size_t rows_bytes; /* of all */
    operations_changed_fn changed;
    void *changed_arg;
    unsigned telling; /* calls to the listener that go on */
    pthread_cond_t told;
};

/* operations.c */
bool operations__is_of(const struct operation *operation, size_t heap, const char *process, uint32_t n);
/* Ends a heap that goes on. */
void operations__heap_end(struct operations *operations, struct operation *operation, size_t heap,
                          enum operation_state state, const char *code);
/* Post-condition: the operation's state and sums are those of its heaps. */
void operations__reckon(struct operations *operations, struct operation *operation);
/* Without the lock. */
void operations__tell(struct operations *operations, uint64_t number);

/* ride.c. send: without the lock; what waits to be sent, as far as there is room. */
void operations__send(struct operations *operations);

/* snapshot.c. settle: the end of a heap's snapshot, once host and artifact have said all; whether it ended.
 * host: what its answer says of it. */
bool operations__snapshot_settle(struct operation *operation, size_t heap);
void operations__snapshot_host(struct operation *operation, size_t heap, const struct wire_ack *ack);

/* rows.c. give: what has come to an own heap, to it and to another that rides along. */
void operations__rows_give(struct operations *operations, struct operation *to, size_t heap,
                           const struct operation_rows *rows);
void operations__rows_hold(const struct operation_rows *rows);
void operations__rows_drop(const struct operation_rows *rows); /* NULL is fine */
size_t operations__rows_bytes(const struct operation_rows *rows);

#endif
