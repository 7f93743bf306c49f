/* The intake: accepts processes on agent.sock, checks them, maps their feeds read-only, and tells a sink
 * what they show. It has one thread; every callback of the sink runs in it.
 *
 * What is always true
 *  - Who a process is comes from the socket's credentials; its messages only name and label it.
 *  - A feed is mapped only sealed, of the size that was promised, on tmpfs, with its blocks allocated. What
 *    lies in it is copied first and checked then; a feed that lies costs its own process alone.
 *  - Each client has a budget: bytes mapped per user, clients per user, TURN_WORDS of events a turn, and after each
 *    look at it a rest of twice the time that took. A new silent socket evicts the oldest one where there are
 *    too many.
 *  - A client at rest is looked at 4 times a second, an active one as often as its ring fills by a quarter, at
 *    least each 20 ms; a ring that fills faster than that is asked to grow. What is overwritten all the same is
 *    counted, exactly.
 *  - When a command's last acknowledgement is handed on, the sink has seen counters that were read after it.
 */
#ifndef TALLY_INTAKE_INTAKE_H
#define TALLY_INTAKE_INTAKE_H

#include <stdbool.h>
#include <sys/types.h>

#include "wire/feed.h"
#include "wire/message.h"
#include "wire/ring_read.h"

struct intake;

#define INTAKE_ID_CHARS 33 /* 32 lower-case hex digits and NUL */

struct intake_process {
    char id[INTAKE_ID_CHARS];
    pid_t pid; /* 0: unknown here */
    uid_t uid;
    const struct wire_hello_view *hello; /* valid during the call */
};

struct intake_row { /* plain copies; frees were loaded before allocations */
    uint64_t allocated, freed_refcount, freed_cycle;
    uint64_t allocated_bytes, freed_refcount_bytes, freed_cycle_bytes;
    uint64_t moved_in, moved_out;
    uint64_t untold_allocated, untold_freed_refcount, untold_freed_cycle; /* of which no event tells */
};

struct intake_type {
    char *name; /* valid UTF-8, no control characters */
    uint32_t flags;
    uint64_t size_bytes;
};

struct intake_summary {
    bool valid; /* the writer let it be read whole, now or earlier */
    uint32_t enabled, manager, debug, level, thresholds[3], access, stress_nth, stress_every_decref;
    uint64_t collections[3], collected[3], uncollectable[3], counts[3];
    uint64_t garbage, frozen, pause_ns, max_pause_ns, last_pause_ns;
    uint64_t max_pause_us, memory_limit_bytes, extern_bytes;
    uint64_t candidates, pending_objects, finalizers_pending;
    uint64_t slices, missed_slices, longest_slice_ns, abandoned_runs, refused_runs, candidates_due;
    bool settled;
};

struct intake_record { /* struct wire_record as plain numbers */
    uint64_t sequence, start_ns, pause_ns, find_ns, callback_ns, free_ns;
    uint64_t examined, collected, freed_bytes, uncollectable;
    uint64_t live_bytes_before, live_bytes_after, safepoint_wait_ns, operation;
    uint32_t reason, generation, manager, scope, slices;
};

/* One heap as it was at mono_ns. All pointers are valid during the call. */
struct intake_sample {
    uint32_t heap_number;
    uint64_t mono_ns;
    uint32_t state, types_without_row;
    uint64_t safepoint_ns, mapped_bytes;
    uint64_t process_bytes; /* private memory of the process; 0: it did not say */
    uint32_t type_count;
    const struct intake_row *rows;   /* type_count of them */
    const struct intake_type *types; /* likewise; those below the count of an earlier sample never change */
    struct intake_summary summary;
    bool has_ring;
    uint64_t events_seen, events_lost, events_malformed;
    size_t record_count; /* new collections, oldest first */
    const struct intake_record *records;
};

struct intake_sink {
    void *arg;
    /* A process has attached, anew or again. Returns the sink's own handle for it, NULL to refuse. */
    void *(*attached)(void *arg, const struct intake_process *process);
    /* Events of a heap, in order; before the sample whose counters tell of them, the heap's first one too. The words are valid during the
     * call, and bounded by nothing: they are what the process wrote. type_limit: rows of its feed. */
    void (*events)(void *arg, void *process, uint32_t heap_number, uint32_t type_limit, const struct wire_span *span);
    void (*sample)(void *arg, void *process, const struct intake_sample *sample);
    void (*heap_gone)(void *arg, void *process, uint32_t heap_number);
    /* end: "bye", "closed" or "exited"; may be told a second time with a better word. */
    void (*gone)(void *arg, void *process, const char *end);
    /* How it exited, as waitpid(2) has it; after gone(), where the kernel tells at all. */
    void (*ended)(void *arg, void *process, int status);
    /* All of this turn is told; force: an answer waits for its publication. */
    void (*swept)(void *arg, bool force);
    void (*ack)(void *arg, const char *id, const struct wire_ack *ack);
    /* What a listing found, before its last acknowledgement; checked with wire_rows_check(), valid during the call. NULL:
     * not wanted. */
    void (*rows)(void *arg, const char *id, const struct wire_rows *rows);
    /* The reading end of a pipe, from which a snapshot is to be read; times are of our clock. fd is taken over. NULL: not
     * wanted. */
    void (*snapshot)(void *arg, const char *id, const struct wire_snapshot *snapshot, int fd);
    void (*refused)(void *arg, const char *reason, pid_t pid, uid_t uid);
    /* Nothing more will be said of the handle. */
    void (*released)(void *arg, void *process);
};

struct intake_options {
    const char *socket_path; /* agent.sock */
    int listen_fd;           /* 0, or a listening socket that takes its place: taken over, and its path left alone */
    bool system;             /* any user may attach, and the socket is 0666; else our own uid and root's */
};

/* Binds the socket (under another name, renamed into place with its mode) and starts the thread. 0 or
 * -errno. */
int intake_start(const struct intake_options *options, const struct intake_sink *sink, struct intake **out);
/* Ends the thread, removes the socket and frees everything; hosts notice a lost daemon. */
void intake_stop(struct intake *intake);

/* Sends a command to a heap of a process. deadline_ns is of our clock. Any thread. 0, -ESRCH (no such
 * process is attached) or -ENOBUFS (too many wait). What the process has no room for now is sent when it
 * has, or answered as EXPIRED at its deadline; what cannot be delivered, with a FAILED ack. */
int intake_command(struct intake *intake, const char *id, const struct wire_command *command);

#endif
