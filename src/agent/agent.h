/* The agent: the library's helper thread. It shows attached heaps to tallyd and brings tallyd's commands to
 * the heaps' owners. The host pays for it at attach, at detach, and at a safepoint that finds a request.
 *
 *   attach.c    gives the heap two sealed memfds (memory.c) to write its feed to
 *   grow.c      makes larger ones, which the owner goes on in
 *   thread.c    poll, from the first attach on; link.c finds and checks a daemon
 *   session.c   speaks wire/message.h with it; request.c asks the heaps' owners, who do what command.c and
 *               listing.c say
 *   capture.h   how a snapshot gets from a heap to tallyd; child.c clones the process for it, process.c says how much
 *               that copies
 *
 * What is always true
 *  - struct agent lies in memory that fork() and raw clone() give to the child as zeroes, and zeroes are its
 *    valid first state, the mutex's too: a child has no thread, no connection and no heap, and waits for no
 *    lock of its parent's.
 *  - The helper thread takes no memory from malloc and holds no lock of libc's, so that a child cloned at any
 *    instant can go on.
 *  - Nothing blocks while `lock` is held: sockets are non-blocking, a full socket leaves messages in the
 *    bounded outbox. While that is half full no commands are read, and while it is full no answers are made; a daemon
 *    that takes none for AGENT_STUCK_NS loses the connection, and never a heap its time.
 *  - Lock order: agent->lock, then a heap's notify lock. An owner takes agent->lock in attach and detach
 *    only.
 *  - A command runs at most once, and never after the agent claimed its slot (expired, cancelled, detached).
 */
#ifndef TALLY_AGENT_AGENT_H
#define TALLY_AGENT_AGENT_H

#include <pthread.h>
#include <sys/types.h>

#include "heap/heap.h"
#include "wire/message.h"

#define AGENT_SLOTS 16u       /* commands that wait or run, a heap */
#define AGENT_COLLECTS 10u    /* collections that daemons may have begun in a second, a heap */
#define AGENT_REST 19u /* times what another command took of the owner, before the next: 5 % of his time at most */
#define AGENT_REST_MAX_NS 1000000000u
#define AGENT_LIST_NS 10000000u /* that a listing may take of the owner, or the heap's max_pause */
#define AGENT_LIST_PARKED_NS 2000000u /* and of the agent */
#define AGENT_OUTBOX 256u     /* messages that wait for room in the socket */
#define AGENT_STUCK_NS 2000000000u /* a daemon that takes no answers for longer is left */
#define AGENT_PATH_MAX 256u
#define AGENT_BACKOFF_MIN_NS 50000000u
#define AGENT_BACKOFF_MAX_NS 1000000000u
#define AGENT_WELCOME_NS 10000000000u /* a daemon that is silent for longer is left */
#define AGENT_MEMORY_NS 1000000000u /* between two looks at how much memory the process has */
#define AGENT_FEED_BYTES ((uint64_t)64 << 20) /* of all heaps together, from which on none grows */

enum slot_state { SLOT_FREE, SLOT_HELD, SLOT_POSTED, SLOT_RUNNING, SLOT_DONE };
#define SLOT_STATE_BITS 3

struct agent_capture;

/* One command. tag = order << SLOT_STATE_BITS | state decides who may touch the rest: FREE, HELD (too many come) and DONE the agent (under its lock), POSTED nobody, RUNNING the owner. Orders are not reused, so a tag that is unchanged means an
 * unchanged command. */
struct agent_slot {
    _Atomic uint64_t tag;
    _Atomic uint64_t what; /* kind << 32 | generation: read by the owner before it claims */
    uint64_t connection;   /* that it came by; answers go to no other */
    uint64_t received_ns;
    _Atomic uint64_t begun_ns; /* when the owner, or the agent in a parked heap, began; 0: not yet */
    bool running_told;     /* the agent has sent RUNNING */
    bool cancel_asked;     /* while it was the owner's: should he give it back with nothing begun, it is cancelled. The agent's */
    struct wire_command command;
    struct wire_ack result;
    struct agent_capture *capture; /* SNAPSHOT, once it is let through; NULL: none */
};

/* A successor: IDLE -> READY by the agent, when it is made and touched; READY -> TAKEN by the owner at a safepoint,
 * who writes to it from then on; TAKEN -> IDLE by the agent, which announces it and drops its predecessor. */
enum growth { GROWTH_IDLE, GROWTH_READY, GROWTH_TAKEN };

struct agent_memory { /* a sealed memfd and its mapping; at == NULL: none */
    void *at;
    size_t bytes;
    int fd;
    uint32_t generation; /* of this memory: feed_generation */
    dev_t device; /* tell whether fd is still ours after a fork */
    ino_t inode;
};

/* An attached heap, in a mapping of its own. Lock: the agent's, but where a field says owner. */
struct agent_heap {
    struct tally__request doorbell; /* first; in the heap's mailbox while rung */
    struct agent_heap *next;
    struct tally_heap *heap;
    uint32_t number;
    uint32_t attachment; /* the first generation: never twice in a process */
    struct agent_memory counters, ring;
    bool known;                    /* to tallyd: on this connection a memory of it was sent, perhaps a predecessor, */
    bool counters_sent, ring_sent; /* or these */
    uint64_t ring_wanted;          /* words that tallyd has asked for */
    uint64_t grow_ns;              /* not before: there was no memory, or no more is allowed */
    _Atomic uint32_t growth;       /* enum growth */
    struct agent_memory next_counters, next_ring; /* READY: the owner's, else the agent's; at == NULL: that one stays */
    _Atomic bool rung;
    bool running; /* owner: the doorbell runs */
    bool again;   /* owner: the doorbell was to run inside itself */
    bool leaving; /* owner: detach when it is safe */
    bool orphan;  /* owner: nobody else knows this memory; whoever ends with it releases it */
    uint64_t collects_ns[AGENT_COLLECTS]; /* when the last collections were let through; a ring */
    unsigned collects_next;               /* the oldest of them */
    uint64_t rest_ns; /* no other command but a configuration before this */
    struct agent_slot *listing; /* the one slot that lists: its rows are whose the slot is */
    uint32_t list_count, list_bytes, list_sent; /* rows; bytes in all, and sent */
    struct agent_slot slots[AGENT_SLOTS];
    char list[WIRE_ROWS_BYTES_MAX]; /* untouched until something is listed, and given back then */
};

union agent_message {
    struct wire_head head;
    struct wire_ack ack;
    struct wire_heap heap;
};

enum link_state { LINK_DOWN, LINK_GREETING, LINK_UP };
enum agent_reason { /* why LINK_DOWN */
    REASON_NEVER,     /* no attempt was made yet */
    REASON_NO_DAEMON, /* error says why connect() failed */
    REASON_STRANGER,  /* the socket belongs to uid */
    REASON_LOST,      /* the connection ended */
    REASON_NONSENSE,  /* error is a WIRE_FAULT_* */
    REASON_SILENT,
    REASON_FULL, /* the daemon does not read */
};

struct agent {
    pthread_mutex_t lock;
    _Atomic bool started; /* all below is set up, until the process ends */
    bool stopping;
    int wake_read, wake_write;
    uint8_t id[WIRE_ID_BYTES];
    uint32_t generation; /* of the newest feed */
    uint64_t order;      /* of the newest command */
    struct agent_heap *heaps;
    struct agent_capture *capture; /* the one snapshot; NULL: none */
    uint64_t clone_ns_a_mib;       /* measured; 0: never */
    uint64_t memory_ns; /* not before, the process's memory is read again */
    char directories[2][AGENT_PATH_MAX]; /* where a daemon may be; "": none */

    enum link_state link;
    int socket;          /* -1 unless GREETING or UP */
    uint64_t connection; /* counts them */
    uint64_t retry_ns, backoff_ns, welcome_by_ns;
    uint64_t window_ns; /* messages are read at a bounded rate: in this window, */
    unsigned window_count; /* so many */
    bool room;     /* the socket took the last message */
    bool overflow; /* the outbox did not: the connection goes */
    uint64_t stuck_ns; /* since when half the outbox waits and nothing was taken; 0: it moves */
    union agent_message outbox[AGENT_OUTBOX];
    unsigned outbox_first, outbox_count;

    enum agent_reason reason;
    int error;
    uid_t uid;
    unsigned directory; /* index of the one that reason or link is about */
    char daemon[17];    /* its version, once welcomed */
    int attach_error;   /* errno of the last tally_attach() that failed, 0 */
};

/* thread.c. agent_get: NULL only for want of memory. start: under the lock. wake: any thread. */
struct agent *agent_get(void);
int agent_start(struct agent *agent);
void agent_wake(void);
enum agent_fd {
    AGENT_FD_WAKE_READ, AGENT_FD_WAKE_WRITE, AGENT_FD_SOCKET, AGENT_FD_PIPE_READ, AGENT_FD_PIPE_WRITE, AGENT_FDS
};
void agent_fd_note(enum agent_fd which, int fd); /* a forked child closes what was noted */

/* profile.c: what HELLO says of the process. Under the lock. */
void agent_profile(struct wire_hello_view *view);
void agent_profile_freeze(void);
bool agent_secure(void);   /* the program is setuid, setgid or has file capabilities */
bool agent_disabled(void); /* for that, or by TALLY_DISABLE */
void agent_directories(struct agent *agent);

/* memory.c: formatted, touched and sealed. 0, or an errno. */
int agent_counters_make(struct agent_memory *memory, const struct feed_shape *shape, uint32_t heap_number,
                        uint32_t generation);
int agent_ring_make(struct agent_memory *memory, uint64_t words, uint32_t heap_number, uint32_t generation);
void agent_memory_drop(struct agent_memory *memory);

/* attach.c */
void agent_detach(struct tally_heap *heap, void *shown);
void agent_heap_release(struct agent_heap *shown);

/* grow.c. start: in the helper thread, under the lock, which it lets go of while it makes one successor; returns
 * whether it did. settle: under the lock; takes over what the owner has taken. take: the owner, at a safepoint.
 * ask: under the lock. */
bool agent_growth_start(struct agent *agent);
void agent_growth_settle(struct agent_heap *shown);
void agent_growth_take(struct tally_heap *heap, struct agent_heap *shown);
bool agent_growth_ask(struct agent *agent, struct agent_heap *shown, uint64_t words);
uint64_t agent_growth_next(struct agent *agent); /* when start is worth a try again */

/* link.c: finds a daemon and connects. Without the lock; result to be installed by the caller. */
struct link_result {
    int socket; /* -1: reason, error, uid say why */
    enum agent_reason reason;
    int error;
    uid_t uid;
    unsigned directory;
};
struct link_result agent_link_open(const struct agent *agent);

/* session.c, all under the lock. turn: does all that is due and returns when the next is (UINT64_MAX:
 * nothing). */
void agent_session_open(struct agent *agent, const struct link_result *link, uint64_t now_ns);
uint64_t agent_session_turn(struct agent *agent);
void agent_session_bye(struct agent *agent);
void agent_session_announce(struct agent *agent, struct agent_heap *shown); /* at once, where the socket has room */
/* Sends what waits, and behind it this, at once, with `fd` if it is not -1; false: there is no room now, or no
 * connection. */
bool agent_session_send(struct agent *agent, const void *message, size_t bytes, int fd);
/* Whether the outbox has room for so many messages, if need be after sending what the socket takes; true, too, where
 * nobody is connected. false: there will be, when the socket has. */
bool agent_session_room(struct agent *agent, unsigned messages);
bool agent_session_reads(const struct agent *agent, uint64_t now_ns); /* wants to be told of input */
void agent_send(struct agent *agent, const union agent_message *message); /* no effect unless UP */

/* command.c and listing.c: what a command does to the heap: the owner, in a slot that is RUNNING and has begun. Return
 * 0 or a TALLY_E*. list: guest: in the agent's thread, while the owner is parked; TALLY_EBUSY then: the owner wants the
 * heap back, or has to do it himself. */
int agent_command_run(struct tally_heap *heap, struct agent_heap *shown, struct agent_slot *slot);
int agent_list_run(struct tally_heap *heap, struct agent_heap *shown, struct agent_slot *slot, bool guest);
/* 0 or a TALLY_E*: what can be said of a command without its heap. */
int agent_command_fault(const struct wire_command *command);
/* Under the lock. Sends rows of the slot that has listed; true: all of them. */
bool agent_list_send(struct agent *agent, struct agent_heap *shown, const struct agent_slot *slot);
void agent_list_drop(struct agent_heap *shown);

/* request.c, under the lock but for agent_doorbell(), which the owner runs. */
void agent_doorbell(struct tally_heap *heap, struct tally__request *request);
void agent_ring(struct agent_heap *shown); /* the doorbell */
void agent_command(struct agent *agent, const struct wire_command *command, uint64_t now_ns);
uint64_t agent_requests_turn(struct agent *agent, struct agent_heap *shown, uint64_t now_ns);
void agent_requests_fail(struct agent *agent, struct agent_heap *shown);
void agent_requests_forget(struct agent *agent, struct agent_heap *shown); /* the connection they came by is gone */

/* capture.c, under the lock. turn: what is due of the snapshot; returns when more is. poll: a descriptor to wait for, too,
 * or -1. inherited: without the lock, in a forked child before it starts an agent. exit: the process ends. */
uint64_t agent_capture_turn(struct agent *agent, uint64_t now_ns);
int agent_capture_poll(const struct agent *agent, short *events);
void agent_capture_inherited(void);
void agent_capture_exit(struct agent *agent);

#endif
