/* A snapshot on its way from a heap to tallyd: one a process. Two ways:
 *
 *   cloned    the heap's holder (its owner at a safepoint, or the agent while he is parked) clones the process by a raw
 *             system call. The child has the heap as it was then, walks it, writes the stream to the pipe and ends:
 *             without exit signal, all signals blocked, with no descriptor but the pipe. The agent reaps it.
 *   in slices the holder walks the heap for max_pause (or SNAPSHOT_SLICE_NS) at each safepoint, no more than 5 % of the time,
 *             and writes to a buffer that does not grow; the agent empties that into the pipe.
 *
 * tallyd gets the pipe's read end with WIRE_SNAPSHOT, once it has begun.
 *
 * What is always true
 *  - While its slot waits or runs, whoever has claimed that has the part that is marked as the holder's; the rest is the
 *    agent's, under its lock. What is cloned, or written whole, goes on without its slot, and without its heap.
 *  - The child takes no lock and no memory, and calls the system raw: it may be cloned while other threads hold any lock
 *    there is. It ends when nobody reads, when its parent ends or runs another program, and at its limit; the agent ends
 *    it where it moves no more.
 *  - Nothing waits for tallyd but the child. The agent's lock is held while it clones for a parked owner, as the system's
 *    own lock of the address space is.
 */
#ifndef TALLY_AGENT_CAPTURE_H
#define TALLY_AGENT_CAPTURE_H

#include "agent/agent.h"
#include "wire/snapshot.h"

#define AGENT_CAPTURE_STALL_NS 5000000000u   /* tallyd may read nothing for so long, */
#define AGENT_CAPTURE_STUCK_NS 10000000000u  /* and a child move nothing */
#define AGENT_CAPTURE_LIMIT_NS 300000000000u /* all of one */
#define AGENT_CAPTURE_RING ((size_t)1 << 20)
#define AGENT_CAPTURE_BUFFER ((size_t)32768)
#define AGENT_CAPTURE_DECLARED ((size_t)1 << 18) /* entries, untouched until they are used */

enum child_end { CHILD_RUNS, CHILD_WHOLE, CHILD_UNREAD, CHILD_LATE, CHILD_ORPHAN };

struct capture_shared { /* with the child: a mapping of its own */
    _Atomic uint64_t objects, bytes, pause_ns; /* written by now; pause_ns: the parent's word */
    _Atomic uint32_t end;                      /* enum child_end */
};

struct agent_capture {
    /* The agent's. */
    struct agent_slot *slot;      /* NULL: it goes on without */
    struct wire_ack result;       /* then */
    uint64_t connection;
    uint32_t heap_number;
    bool cancelled, failed;       /* the agent's verdict, reason: */
    enum wire_snapshot_reason why;
    int pipe_read, pipe_write;    /* -1: sent; closed */
    uint64_t limit_ns, moved_ns, moved; /* moved: bytes and objects, when moved_ns was */
    bool blocked, watched;        /* the pipe is full; something is waited for since moved_ns */

    /* Made by the agent, read by the holder. */
    struct wire_command command;
    uint64_t resident_bytes, predicted_ns; /* of a clone */
    bool filtered, traced;                 /* some thread has a seccomp filter; the process is traced */
    int lifeline; /* ends, for the child, when its parent does */
    pid_t parent;
    struct capture_shared *shared;

    /* The holder's. */
    _Atomic uint32_t mode; /* enum wire_snapshot_mode; stored last of what follows as it begins, AUTO before that */
    enum wire_snapshot_reason reason; /* why not cloned, or why it failed */
    uint64_t started_ns;
    int pidfd; /* -1: no child */
    uint64_t clone_cpu_ns; /* the pause, but for what others had of the processor meanwhile */
    /* Changes from slice to slice. */
    uint64_t objects, longest_ns, last_began_ns, last_took_ns, until_ns;
    uint32_t slices;
    bool guest; /* the agent is the holder */
    struct tally__snapshot snapshot;
    unsigned char buffer[AGENT_CAPTURE_BUFFER];

    /* In slices: the holder writes, the agent takes. */
    _Atomic uint64_t written, taken;
    unsigned char ring[AGENT_CAPTURE_RING];
    struct map_entry declared[AGENT_CAPTURE_DECLARED];
};

/* capture.c, under the lock but for run. make: for a slot that is HELD: 0 or a TALLY_E*, with why in its result. */
int agent_capture_make(struct agent *agent, struct agent_slot *slot);
/* Its slot is not in a holder's hands. */
void agent_capture_drop(struct agent *agent);
/* Whether the agent has given up the slot's; how that is to be answered, where the slot is HELD. */
bool agent_capture_over(const struct agent_slot *slot);
struct wire_ack agent_capture_answer(const struct agent_slot *slot);
/* When a slot that is HELD may go on: 0: now; UINT64_MAX: when something else has happened. */
uint64_t agent_capture_let(const struct agent *agent, const struct agent_slot *slot, uint64_t now_ns);
/* The slot has done its part. */
void agent_capture_release(struct agent *agent);
/* false: it is none of that operation. */
bool agent_capture_cancel(struct agent *agent, const struct wire_command *command);
/* The holder: goes on with it. 0: its part is done; CAPTURE_MORE: in a further slice; TALLY_EBUSY: the agent cannot, or not
 * now; or a TALLY_E*, with why in the result. */
#define CAPTURE_MORE 1
int agent_capture_run(struct tally_heap *heap, struct agent_slot *slot, bool guest);

/* process.c: the process's private memory in bytes, 0: unknown; whether a thread of it has a seccomp filter; whether it is
 * traced; whether children of this thread are to be of other namespaces: the first would be that one's init, with whose end
 * no other can be. */
uint64_t agent_process_resident(void);
bool agent_process_filtered(void);
bool agent_process_traced(void);
bool agent_thread_unshared(void);

/* child.c. clone: the holder; 0 or an errno; sets pidfd and longest_ns. reap: whether it has ended. */
int agent_child_clone(struct agent_capture *capture);
bool agent_child_reap(struct agent_capture *capture);
void agent_child_kill(struct agent_capture *capture); /* it is yet to be reaped */

#endif
