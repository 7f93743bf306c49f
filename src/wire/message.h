/* Messages between a program's agent and tallyd on agent.sock (SOCK_SEQPACKET): one struct a message, at most
 * WIRE_MESSAGE_MAX bytes, host byte order (both ends run on one machine), at most one file descriptor.
 *
 *   agent                                       tallyd
 *   HELLO  ---------------------------------->          within 10 s of connecting, else dropped
 *          <---------------------------------- WELCOME
 *   HEAP_COUNTERS + fd, HEAP_RING + fd ------>          for each heap, new or known from before
 *          <---------------------------------- COMMAND
 *   ACK WAITING (on receipt) ... ACK RUNNING ... ROWS ... ACK SUCCEEDED | FAILED | EXPIRED
 *   SNAPSHOT + fd -------------------------->          after the RUNNING of its command: the pipe to read it from
 *   HEAP_GONE ------------------------------->          after its counters are final (state CLOSED)
 *   BYE ------------------------------------->          orderly end; a lost socket or pidfd is the other kind
 *
 * A receiver skips kinds that it does not know; it drops the peer for a message that is shorter than its
 * header says, longer than the maximum, or out of order. Longer messages of a known kind are read up to the
 * known part (later versions append); what was appended since the first version may be missing, and is zero
 * then. Identity (pid, uid) comes from the socket's credentials, never from a message.
 */
#ifndef TALLY_WIRE_MESSAGE_H
#define TALLY_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MESSAGE_MAX 8192u
#define WIRE_ID_BYTES 16u
#define WIRE_LABEL_MAX 16u
#define WIRE_TEXT_MAX 6144u

enum wire_kind {
    WIRE_HELLO = 1,
    WIRE_WELCOME,
    WIRE_HEAP_COUNTERS,
    WIRE_HEAP_RING,
    WIRE_HEAP_GONE,
    WIRE_COMMAND,
    WIRE_ACK,
    WIRE_BYE,
    WIRE_ROWS,
    WIRE_SNAPSHOT,
};

struct wire_head {
    uint16_t kind;
    uint16_t version; /* WIRE_VERSION of the sender */
    uint32_t bytes;   /* of the whole message */
};

/* text: name, then key and value of each label, back to back; lengths say where each ends. */
struct wire_hello {
    struct wire_head head;
    uint8_t id[WIRE_ID_BYTES];  /* random, made anew after fork */
    uint64_t clock_ns;          /* the sender's CLOCK_MONOTONIC now */
    char library[16];           /* TALLY_VERSION, NUL-padded */
    uint8_t name_bytes;
    uint8_t label_count;        /* <= WIRE_LABEL_MAX */
    uint8_t key_bytes[WIRE_LABEL_MAX];
    uint8_t value_bytes[WIRE_LABEL_MAX];
    uint8_t reserved[6];
    char text[];
};

struct wire_welcome {
    struct wire_head head;
    uint8_t daemon_id[WIRE_ID_BYTES]; /* made anew at each start of tallyd */
    uint64_t clock_ns;
    char daemon[16];
};

struct wire_heap { /* HEAP_COUNTERS and HEAP_RING (one fd each), HEAP_GONE (none) */
    struct wire_head head;
    uint32_t heap_number;
    uint32_t feed_generation;
    uint64_t bytes; /* of the memfd */
};

/* GROW is tallyd's own wish, of operation 0: a larger ring, which comes as a successor when the heap's owner has
 * switched to it. Its answer says only whether that will be tried. */
/* X(NAME, value, word in JSON). A program that does not know a kind answers FAILED. */
#define WIRE_COMMANDS(X) \
    X(WIRE_COMMAND_COLLECT, 1, "collect") X(WIRE_COMMAND_CONFIG, 2, "config") \
    X(WIRE_COMMAND_CANCEL, 3, "cancel") X(WIRE_COMMAND_GROW, 4, "grow") \
    X(WIRE_COMMAND_FREEZE, 5, "freeze") X(WIRE_COMMAND_UNFREEZE, 6, "unfreeze") \
    X(WIRE_COMMAND_GARBAGE, 7, "garbage") X(WIRE_COMMAND_GARBAGE_CLEAR, 8, "garbage_clear") \
    X(WIRE_COMMAND_OBJECTS, 9, "objects") X(WIRE_COMMAND_REFERRERS, 10, "referrers") \
    X(WIRE_COMMAND_CYCLES, 11, "cycles") X(WIRE_COMMAND_FIND, 12, "find_cycles") \
    X(WIRE_COMMAND_CANDIDATES, 13, "candidates") X(WIRE_COMMAND_SNAPSHOT, 14, "snapshot")
enum wire_command_kind {
#define WIRE_X(name, value, word) name = (value),
    WIRE_COMMANDS(WIRE_X)
#undef WIRE_X
};
/* Whether it is answered by ROWS. */
static inline bool wire_command_lists(uint32_t kind)
{
    return kind == WIRE_COMMAND_GARBAGE || kind == WIRE_COMMAND_OBJECTS || kind == WIRE_COMMAND_REFERRERS ||
           kind == WIRE_COMMAND_CYCLES || kind == WIRE_COMMAND_CANDIDATES;
}
enum wire_config_mask {
    WIRE_CONFIG_ENABLED = 1u, WIRE_CONFIG_THRESHOLDS = 2u, WIRE_CONFIG_DEBUG = 4u, WIRE_CONFIG_LEVEL = 8u,
    WIRE_CONFIG_MANAGER = 16u, WIRE_CONFIG_MAX_PAUSE = 32u, WIRE_CONFIG_MEMORY_LIMIT = 64u,
    WIRE_CONFIG_STRESS = 128u, WIRE_CONFIG_ALL = 255u,
};
/* How a snapshot is taken. X(NAME, value, word in JSON) */
#define WIRE_SNAPSHOT_MODES(X) \
    X(WIRE_SNAPSHOT_AUTO, 0, "auto")    /* cloned, where its pause is foreseen to stay below max_pause; else in slices */ \
    X(WIRE_SNAPSHOT_CLONE, 1, "clone")  /* by a cloned child: of one instant */ \
    X(WIRE_SNAPSHOT_SLICES, 2, "slices") /* at safepoints, between which the program goes on */
enum wire_snapshot_mode {
#define WIRE_X(name, value, word) name = (value),
    WIRE_SNAPSHOT_MODES(WIRE_X)
#undef WIRE_X
};
/* Why a snapshot was not cloned, or how it failed. X(NAME, value, code in JSON, sentence) */
#define WIRE_SNAPSHOT_REASONS(X) \
    X(WIRE_SNAPSHOT_FINE, 0, "", "") \
    X(WIRE_SNAPSHOT_PAUSE, 1, "pause_too_long", "the pause of cloning the process is foreseen to be longer than max_pause") \
    X(WIRE_SNAPSHOT_HOOKS, 2, "page_hooks", "the heap's pages come from the program, and may be shared with a child") \
    X(WIRE_SNAPSHOT_FILTER, 3, "seccomp", "a seccomp filter may end a program that clones itself") \
    X(WIRE_SNAPSHOT_SYSTEM, 4, "no_child", "the system refused a child (a limit of processes or memory, or a filter)") \
    X(WIRE_SNAPSHOT_STALLED, 5, "stalled", "tallyd did not read") \
    X(WIRE_SNAPSHOT_LATE, 6, "too_slow", "it took longer than a snapshot may") \
    X(WIRE_SNAPSHOT_DIED, 7, "child_died", "the child ended before it had written all") \
    X(WIRE_SNAPSHOT_OBJECT, 8, "object_too_large", "an object with a traverse callback has more references than fit a slice") \
    X(WIRE_SNAPSHOT_MEMORY, 9, "no_memory", "the program had no memory or descriptors for it") \
    X(WIRE_SNAPSHOT_TRACED, 10, "traced", "a debugger or tracer would stop a program that clones itself") \
    X(WIRE_SNAPSHOT_NAMESPACE, 11, "namespace", "a child would be the first process of another namespace")
enum wire_snapshot_reason {
#define WIRE_X(name, value, code, sentence) name = (value),
    WIRE_SNAPSHOT_REASONS(WIRE_X)
#undef WIRE_X
};
#define WIRE_MAX_PAUSE_US 10000000u /* the longest limit of a pause */
#define WIRE_ANY_GENERATION (-1)    /* OBJECTS: and leaves, which are in none */
#define WIRE_FROZEN_GENERATION 3
struct wire_command {
    struct wire_head head;
    uint64_t operation;    /* tallyd's number, echoed in acks; CANCEL: the one to cancel */
    uint64_t deadline_ns;  /* host's CLOCK_MONOTONIC: what has not started by then must not start */
    uint32_t heap_number;
    uint32_t kind;         /* enum wire_command_kind */
    int32_t generation;    /* COLLECT: 0..2; OBJECTS: those of 0..2, WIRE_FROZEN_GENERATION, WIRE_ANY_GENERATION */
    uint32_t mask;         /* CONFIG: which of the members below */
    uint32_t enabled, debug, level;
    uint32_t thresholds[3];
    /* appended: a message that ends before them has zeroes here */
    uint32_t manager; /* enum wire_manager */
    uint32_t reserved;
    uint64_t max_pause_us, memory_limit_bytes; /* 0: none */
    uint64_t ring_words; /* GROW: a power of two, at most WIRE_RING_WORDS_MAX */
    uint32_t stress_nth, stress_every_decref; /* CONFIG: a collection at every n-th allocation (0: none); 0 or 1 */
    uint64_t after;    /* what lists: goes on behind this object; GARBAGE, CYCLES: behind so many entries; CANDIDATES: from
                          the page on that it lies in */
    uint64_t index;    /* REFERRERS: of the entry of the garbage list that is referred to */
    uint32_t limit;    /* what lists: rows at most, 1..WIRE_ROWS_MAX */
    uint32_t type_row; /* OBJECTS: of this type alone: its row and 1; 0: of any */
    uint32_t mode;  /* SNAPSHOT: enum wire_snapshot_mode */
    uint32_t force; /* SNAPSHOT: 1: cloned whatever its pause may be */
};

/* X(NAME, value, word in JSON) */
#define WIRE_ACK_STATES(X) \
    X(WIRE_ACK_WAITING, 1, "waiting_for_safepoint") X(WIRE_ACK_RUNNING, 2, "running") \
    X(WIRE_ACK_SUCCEEDED, 3, "succeeded") X(WIRE_ACK_FAILED, 4, "failed") \
    X(WIRE_ACK_CANCELLED, 5, "cancelled") X(WIRE_ACK_EXPIRED, 6, "expired")
enum wire_ack_state {
#define WIRE_X(name, value, word) name = (value),
    WIRE_ACK_STATES(WIRE_X)
#undef WIRE_X
};
struct wire_ack {
    struct wire_head head;
    uint64_t operation;
    uint32_t heap_number;
    uint32_t state;
    int32_t error;         /* FAILED: a TALLY_E* value, or 0 */
    uint32_t reserved;
    int64_t collected;     /* COLLECT; FIND: that a full one would */
    uint64_t freed_bytes;
    uint64_t pause_ns;
    uint64_t safepoint_wait_ns;
    /* appended: a message that ends before them has zeroes here */
    uint64_t started_ns; /* RUNNING, SUCCEEDED, FAILED: when it began, host's CLOCK_MONOTONIC; 0: unknown, or never */
    uint64_t total;      /* FREEZE, UNFREEZE: objects frozen now; GARBAGE_CLEAR: entries given back; CANDIDATES: those seen,
                            of types without a row here, too; what else lists: entries in the list, 0: nobody counted */
    uint64_t after;      /* what lists: where to go on, as in the command; 0: that was all */
    uint32_t rows;       /* what lists: sent */
    uint32_t mode;       /* SNAPSHOT: enum wire_snapshot_mode: how it was taken; AUTO: it was not */
    uint64_t predicted_pause_ns; /* SNAPSHOT: the longest pause, as it was foreseen */
    uint64_t resident_bytes;     /* SNAPSHOT: memory of the program's own, by which a clone's pause is foreseen */
    uint64_t stream_bytes;       /* SNAPSHOT: written */
    uint32_t reason; /* SNAPSHOT: enum wire_snapshot_reason, or a later library's */
    uint32_t slices; /* SNAPSHOT */
};

/* The read end of a pipe comes with it: the stream of wire/snapshot.h. */
struct wire_snapshot {
    struct wire_head head;
    uint64_t operation;
    uint32_t heap_number;
    uint32_t mode;       /* enum wire_snapshot_mode, not AUTO */
    uint64_t started_ns; /* host's CLOCK_MONOTONIC */
    uint64_t objects;    /* live when it began; 0: unknown */
};

/* What a listing found, in order, before its last ACK: rows of wire_object or, of CANDIDATES, of wire_candidates or, of
 * CYCLES, of wire_cycle and its text, filled up to 8 bytes. Numbers of objects are theirs while they live, and no addresses; of what lies in an object
 * nothing is told. */
#define WIRE_ROWS_MAX 1000u        /* rows of one listing */
#define WIRE_ROWS_BYTES_MAX 65536u /* and their bytes */
struct wire_rows {
    struct wire_head head;
    uint64_t operation;
    uint32_t heap_number;
    uint32_t kind;  /* enum wire_command_kind: of the command */
    uint32_t count; /* rows in this message, at least 1 */
    uint32_t reserved;
};
#define WIRE_OBJECT_GENERATION 7u /* bits of flags: 0..2, WIRE_FROZEN_GENERATION, WIRE_OBJECT_UNTRACKED */
#define WIRE_OBJECT_UNTRACKED 7u
#define WIRE_OBJECT_FINALIZED 8u
struct wire_object {
    uint64_t object;     /* its number */
    uint64_t bytes;      /* of its payload */
    uint64_t references; /* counted, the garbage list's own one, too */
    uint32_t type_row;
    uint32_t flags;
};
struct wire_candidates { /* of one type, on the pages from the command's `after` to the answer's */
    uint64_t candidates; /* objects that wait to be looked at */
    uint64_t survived;   /* of them, those that a collection has found alive before */
    uint32_t type_row;
    uint32_t reserved[3];
};
struct wire_cycle {
    uint64_t count, objects, bytes; /* as in struct tally_cycle */
    uint64_t object;  /* a member of the first one */
    uint64_t last_ns; /* host's CLOCK_MONOTONIC */
    uint32_t text_bytes; /* without filling; at most WIRE_SHAPE_MAX */
    uint32_t reserved;
};
#define WIRE_SHAPE_MAX 511u

_Static_assert(sizeof(struct wire_head) == 8, "head layout");
_Static_assert(sizeof(struct wire_hello) == 88, "hello layout");
_Static_assert(sizeof(struct wire_welcome) == 48, "welcome layout");
_Static_assert(sizeof(struct wire_heap) == 24, "heap layout");
_Static_assert(offsetof(struct wire_command, manager) == 64, "command layout");
_Static_assert(offsetof(struct wire_command, stress_nth) == 96, "command layout");
_Static_assert(offsetof(struct wire_command, mode) == 128, "command layout");
_Static_assert(sizeof(struct wire_command) == 136, "command layout");
_Static_assert(offsetof(struct wire_ack, started_ns) == 64, "ack layout");
_Static_assert(offsetof(struct wire_ack, predicted_pause_ns) == 96, "ack layout");
_Static_assert(sizeof(struct wire_ack) == 128, "ack layout");
_Static_assert(sizeof(struct wire_snapshot) == 40, "snapshot layout");
_Static_assert(sizeof(struct wire_rows) == 32, "rows layout");
_Static_assert(sizeof(struct wire_object) == 32, "object layout");
_Static_assert(sizeof(struct wire_candidates) == sizeof(struct wire_object), "candidates layout");
_Static_assert(sizeof(struct wire_cycle) == 48, "cycle layout");

/* ---- Checking and encoding, for both ends. What a peer sent is hostile: these take the bytes that one
 * recvmsg() put into memory of the caller's own, believe no length in them, and fill *out only when all is
 * well. */

/* X(NAME, value, sentence) */
#define WIRE_FAULTS(X) \
    X(WIRE_FAULT_NONE, 0, "no fault") \
    X(WIRE_FAULT_SHORT, -1, "the message is shorter than its kind asks for") \
    X(WIRE_FAULT_LONG, -2, "the message is longer than any may be") \
    X(WIRE_FAULT_LENGTH, -3, "the message is not as long as it says") \
    X(WIRE_FAULT_KIND, -4, "the message is not of the kind that is due") \
    X(WIRE_FAULT_TEXT, -5, "a text is empty, too long, not UTF-8 or holds control characters") \
    X(WIRE_FAULT_LABEL, -6, "a label has a bad key, or there are too many or two of one key") \
    X(WIRE_FAULT_VALUE, -7, "a number is out of range") \
    X(WIRE_FAULT_VERSION, -8, "the peer speaks another wire version")
enum wire_fault {
#define WIRE_X(name, value, sentence) name = (value),
    WIRE_FAULTS(WIRE_X)
#undef WIRE_X
};
/* Static storage. */
const char *wire_fault_sentence(int fault);

#define WIRE_NAME_MAX 255u
#define WIRE_KEY_MAX 63u

struct wire_label {
    char key[WIRE_KEY_MAX + 1];
    char value[WIRE_NAME_MAX + 1];
};
struct wire_hello_view { /* NUL-terminated copies of everything */
    uint8_t id[WIRE_ID_BYTES];
    uint64_t clock_ns;
    uint16_t version;
    char library[17];
    char name[WIRE_NAME_MAX + 1];
    unsigned label_count;
    struct wire_label labels[WIRE_LABEL_MAX];
};

/* Well-formed UTF-8 without control characters (C0, DEL, C1). Empty is valid. */
bool wire_text_valid(const char *text, size_t bytes);
/* [a-z0-9_.-]{1,63} */
bool wire_key_valid(const char *key, size_t bytes);

/* Each returns 0 or a WIRE_FAULT_*. head: any kind, known or not; the others begin with the same check and
 * want their kind. heap: COUNTERS, RING and GONE. command: an unknown command is no fault here (it is
 * answered FAILED). */
int wire_head_check(const void *data, size_t bytes, struct wire_head *out);
int wire_hello_check(const void *data, size_t bytes, struct wire_hello_view *out);
int wire_welcome_check(const void *data, size_t bytes, struct wire_welcome *out);
int wire_heap_check(const void *data, size_t bytes, struct wire_heap *out);
int wire_command_check(const void *data, size_t bytes, struct wire_command *out);
int wire_ack_check(const void *data, size_t bytes, struct wire_ack *out);
int wire_snapshot_check(const void *data, size_t bytes, struct wire_snapshot *out);
/* rows: that every row lies in the message, whole; texts may be anything. The steps over one that has been checked
 * begin with *at = 0 and return false after the last row. */
int wire_rows_check(const void *data, size_t bytes, struct wire_rows *out);
bool wire_rows_object(const void *data, size_t *at, struct wire_object *out);
bool wire_rows_candidates(const void *data, size_t *at, struct wire_candidates *out);
bool wire_rows_cycle(const void *data, size_t *at, struct wire_cycle *out, const char **text);
/* Bytes of the row of a cycle whose text is so long. */
static inline size_t wire_cycle_bytes(size_t text_bytes)
{
    return sizeof(struct wire_cycle) + ((text_bytes + 7) & ~(size_t)7);
}

/* The head of a message that is `bytes` long in all. */
struct wire_head wire_head_make(enum wire_kind kind, size_t bytes);
/* Writes a HELLO into `room` bytes; returns its length, or 0 where the view is not valid or does not fit. */
size_t wire_hello_encode(const struct wire_hello_view *view, void *out, size_t room);

#endif
