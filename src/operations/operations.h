/* Operations: every control that needs a program's cooperation, from its request to its end.
 *
 *   queued ──▶ waiting_for_safepoint ──▶ running ──▶ succeeded | failed | cancelled | expired
 *
 * What is always true
 *  - An operation ends once, and never changes afterwards. `expired` and `succeeded` are the host's word; a
 *    heap of which it says nothing by the deadline and a little more has failed, code `unconfirmed`. What runs
 *    may take its time. What was never sent to the host, and rides on no command that was, ends by our own word.
 *  - The state of an operation is that of its heaps: the earliest of those that go on, else the worst end.
 *  - What asks the same of a heap as a command that waits there already rides on that: there is at most one such
 *    command on its way, and whoever rides ends with it, and with the same result. It must have begun after the rider
 *    was asked for, and before its deadline; a rider for whom that is not so, or whose command was cancelled or has
 *    expired before its own time, gets one of its own.
 *  - A snapshot has succeeded when its host says so and its artifact is whole, and has failed when the artifact is
 *    not, whatever the host says.
 *  - A heap lists one thing at a time; what else is to be listed waits here.
 *  - The last OPERATIONS_KEPT are kept; those that go on are never dropped. Of what was listed the newest
 *    OPERATIONS_ROWS_KEPT bytes are.
 *    Any thread. The listener is called with no lock held.
 */
#ifndef TALLY_OPERATIONS_OPERATIONS_H
#define TALLY_OPERATIONS_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "operations/audit.h"
#include "wire/message.h"

#define OPERATIONS_KEPT 1000u
#define OPERATIONS_OPEN_MAX 256u
#define OPERATIONS_OPEN_EACH 128u /* of one process */
#define OPERATION_ID_CHARS 32
#define OPERATION_GRACE_NS 1000000000u
#define OPERATION_TARGETS_MAX 16384u /* heaps of one operation */
#define OPERATION_ROWS_MAX ((size_t)1 << 20) /* bytes listed by one, all its heaps together */
#define OPERATIONS_ROWS_KEPT ((size_t)16 << 20)
#define OPERATION_ARTIFACT_CHARS 24

/* X(NAME, word) */
#define OPERATION_STATES(X)                                                                                  \
    X(OPERATION_QUEUED, "queued")                                                                            \
    X(OPERATION_WAITING, "waiting_for_safepoint") X(OPERATION_RUNNING, "running")                            \
        X(OPERATION_SUCCEEDED, "succeeded") X(OPERATION_CANCELLED, "cancelled")                              \
            X(OPERATION_EXPIRED, "expired") X(OPERATION_FAILED, "failed")
enum operation_state {
#define OPERATIONS_X(name, word) name,
    OPERATION_STATES(OPERATIONS_X)
#undef OPERATIONS_X
};
const char *operation_state_word(enum operation_state state);

/* What is asked: a word of WIRE_COMMANDS, or one of those that need no host. */
#define OPERATION_BASELINE 1000u
const char *operation_kind_word(uint32_t kind);

/* Why an operation failed. X(code, sentence) */
#define OPERATION_CODES(X) \
    X("process_gone", "the process ended before it answered") \
    X("heap_gone", "the heap is no longer attached") \
    X("busy", "too many requests wait for this heap") \
    X("undeliverable", "the request could not be delivered") \
    X("unsupported", "the library or the heap's manager does not have that") \
    X("vetoed", "the host does not let its heap be controlled") \
    X("refused_by_host", "the library refused the request") \
    X("not_kept", "the snapshot did not come whole or could not be kept; its artifact says why") \
    X("unconfirmed", "the deadline passed, and the process did not say what became of it")
/* The sentence of a code, or of the library's error where it refused with one that we know (0: none); NULL
 * for a NULL code. Static storage. */
const char *operation_sentence(const char *code, int32_t error);

/* What a heap has listed: one message of wire/message.h, of any length. Never changes, and goes with its last holder. */
struct operation_rows;
const struct wire_rows *operation_rows_get(const struct operation_rows *rows);

struct operation_heap {
    uint32_t process; /* its index in the view */
    uint32_t n;
    enum operation_state state;
    const char *code; /* FAILED: why, static storage; else NULL */
    int32_t error;    /* FAILED: the library's TALLY_E*, or 0 */
    int64_t collected;
    uint64_t freed_bytes, pause_ns, safepoint_wait_ns;
    uint64_t total, after; /* as in struct wire_ack */
    const struct operation_rows *rows; /* listed; NULL: nothing, or not kept */
    struct operation_snapshot { /* SNAPSHOT: what the host says, and what has come of it; total: the objects in it */
        char artifact[OPERATION_ARTIFACT_CHARS]; /* "": none yet */
        enum wire_snapshot_mode mode; /* AUTO: it was not taken */
        uint32_t reason;              /* enum wire_snapshot_reason, or one that we do not know */
        uint32_t slices;
        uint64_t predicted_pause_ns, resident_bytes, stream_bytes;
        uint64_t bytes; /* of payload */
    } snapshot;
};

struct operation_view { /* a copy, freed with operations_view_free() */
    char id[OPERATION_ID_CHARS];
    uint64_t number;
    uint32_t kind; /* enum wire_command_kind, or OPERATION_BASELINE */
    struct wire_command command; /* what was asked: generation, or mask and the members it names */
    enum operation_state state;
    const char *code; /* FAILED: why, as of the first heap that failed */
    int32_t error;    /* likewise */
    uint64_t deadline_ms; /* from receipt */
    uint64_t created_wall_ns, finished_wall_ns;
    /* sums over the heaps; pauses and waits: the longest */
    int64_t collected;
    uint64_t freed_bytes, total, pause_ns, safepoint_wait_ns;
    bool batch; /* of a selection of processes */
    size_t process_count;
    const char (*processes)[33]; /* their ids */
    size_t heap_count; /* those of a process stand together */
    struct operation_heap heaps[];
};

/* Delivers one command; 0 or -errno (-ESRCH: the process is gone; -ENOBUFS: there is no room now). deadline_ns is of
 * our clock. */
typedef int (*operations_send_fn)(void *arg, const char *process, const struct wire_command *command);
/* An operation has changed. */
typedef void (*operations_changed_fn)(void *arg, const char *id);

struct operations;

/* `start` prefixes ids, so that those of an earlier daemon are not taken for ours. audit: borrowed, or NULL: nobody
 * writes down who asked. NULL: out of memory. */
struct operations *operations_new(const char *start, operations_send_fn send, void *send_arg, struct audit *audit);
void operations_free(struct operations *operations);
/* Returns when no call to the listener before goes on; so not from a listener. */
void operations_on_change(struct operations *operations, operations_changed_fn changed, void *arg);

struct operation_target {
    uint32_t process; /* index */
    uint32_t heap;    /* number */
};
struct operation_request { /* borrowed for the call */
    const char *const *processes; /* ids; at least one, and but for a batch one alone */
    size_t process_count;
    bool batch;
    const struct operation_target *targets; /* those of a process stand together */
    size_t target_count;
    struct wire_command command; /* what: kind and its members; heap_number, operation and deadline are filled in */
    uint64_t deadline_ms;        /* from now */
    const struct audit_record *asked; /* who, from, kind, target, detail; NULL: not audited */
};
/* id: of at least OPERATION_ID_CHARS. One without targets has succeeded. 0, -ENOMEM, -E2BIG: more than
 * OPERATION_TARGETS_MAX, or -EBUSY: too many go on, in all or of that process; then nothing is audited. */
int operations_start(struct operations *operations, const struct operation_request *request, char *id);
/* The operation, or NULL: unknown. */
struct operation_view *operations_get_new(struct operations *operations, const char *id);
/* The id behind a number that a collection record carries; false: no longer known. */
bool operations_id(struct operations *operations, uint64_t number, char *id);
/* The newest first, at most `limit`, into views; returns how many. */
size_t operations_list_new(struct operations *operations, struct operation_view **views, size_t limit);
/* The newest of the kind that has succeeded, in this heap of the process or (0) in any; NULL: there is none. */
struct operation_view *operations_newest_new(struct operations *operations, const char *process, uint32_t kind, uint32_t heap);
void operations_view_free(struct operation_view *view);
/* Asks the host to drop it. It ends when the host confirms; what has not been sent, at once. false: unknown. */
bool operations_cancel(struct operations *operations, const char *id);

/* What the intake hears. */
void operations_ack(struct operations *operations, const char *process, const struct wire_ack *ack);
void operations_rows(struct operations *operations, const char *process, const struct wire_rows *rows);
/* A snapshot's pipe has come. Whether it was asked for, and is the first one; then its end is to be told, once: the artifact
 * that came of it (""; none), and whether that is whole. */
bool operations_snapshot_comes(struct operations *operations, const char *process, const struct wire_snapshot *snapshot);
struct operation_artifact {
    uint64_t operation; /* as in the message */
    const char *process, *artifact;
    uint32_t heap;
    bool whole;
    uint64_t objects, bytes;
};
void operations_snapshot_ends(struct operations *operations, const struct operation_artifact *artifact);
/* Whether an operation of this kind goes on, of this process. */
bool operations_goes_on(struct operations *operations, const char *process, uint32_t kind);
/* The last snapshot of the process that was cloned: what its pause was, and by how much private memory; false: none is
 * known. */
bool operations_last_clone(struct operations *operations, const char *process, uint64_t *pause_ns, uint64_t *resident_bytes);
/* A host's reason, as JSON has it; NULL: it gives none, or a later library's. */
const char *operations_snapshot_code(uint32_t reason);
void operations_process_gone(struct operations *operations, const char *process);
/* Ends what nobody confirmed, and sends what found no room; called several times a second. */
void operations_tick(struct operations *operations);

static inline bool operation_is_over(enum operation_state state)
{
    return state >= OPERATION_SUCCEEDED;
}

#endif
