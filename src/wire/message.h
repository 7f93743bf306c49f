/* Messages between a program's agent and tallyd on agent.sock (SOCK_SEQPACKET): one struct a message, at most
 * WIRE_MESSAGE_MAX bytes, host byte order (both ends run on one machine), at most one file descriptor.
 *
 *   agent                                       tallyd
 *   HELLO  ---------------------------------->          within 10 s of connecting, else dropped
 *          <---------------------------------- WELCOME
 *   HEAP_COUNTERS + fd, HEAP_RING + fd ------>          for each heap, new or known from before
 *          <---------------------------------- COMMAND
 *   ACK WAITING (on receipt) ... ACK RUNNING ... ACK SUCCEEDED | FAILED | EXPIRED
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
/* X(NAME, value, word in JSON) */
#define WIRE_COMMANDS(X) \
    X(WIRE_COMMAND_COLLECT, 1, "collect") X(WIRE_COMMAND_CONFIG, 2, "config") \
    X(WIRE_COMMAND_CANCEL, 3, "cancel") X(WIRE_COMMAND_GROW, 4, "grow")
enum wire_command_kind {
#define WIRE_X(name, value, word) name = (value),
    WIRE_COMMANDS(WIRE_X)
#undef WIRE_X
};
enum wire_config_mask {
    WIRE_CONFIG_ENABLED = 1u, WIRE_CONFIG_THRESHOLDS = 2u, WIRE_CONFIG_DEBUG = 4u, WIRE_CONFIG_LEVEL = 8u,
    WIRE_CONFIG_MANAGER = 16u, WIRE_CONFIG_MAX_PAUSE = 32u, WIRE_CONFIG_MEMORY_LIMIT = 64u,
    WIRE_CONFIG_ALL = 127u,
};
#define WIRE_MAX_PAUSE_US 10000000u /* the longest limit of a pause */
struct wire_command {
    struct wire_head head;
    uint64_t operation;    /* tallyd's number, echoed in acks; CANCEL: the one to cancel */
    uint64_t deadline_ns;  /* host's CLOCK_MONOTONIC: what has not started by then must not start */
    uint32_t heap_number;
    uint32_t kind;         /* enum wire_command_kind */
    int32_t generation;    /* COLLECT */
    uint32_t mask;         /* CONFIG: which of the members below */
    uint32_t enabled, debug, level;
    uint32_t thresholds[3];
    /* appended: a message that ends before them has zeroes here */
    uint32_t manager; /* enum wire_manager */
    uint32_t reserved;
    uint64_t max_pause_us, memory_limit_bytes; /* 0: none */
    uint64_t ring_words; /* GROW: a power of two, at most WIRE_RING_WORDS_MAX */
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
    int64_t collected;     /* COLLECT */
    uint64_t freed_bytes;
    uint64_t pause_ns;
    uint64_t safepoint_wait_ns;
};

_Static_assert(sizeof(struct wire_head) == 8, "head layout");
_Static_assert(sizeof(struct wire_hello) == 88, "hello layout");
_Static_assert(sizeof(struct wire_welcome) == 48, "welcome layout");
_Static_assert(sizeof(struct wire_heap) == 24, "heap layout");
_Static_assert(offsetof(struct wire_command, manager) == 64, "command layout");
_Static_assert(sizeof(struct wire_command) == 96, "command layout");
_Static_assert(sizeof(struct wire_ack) == 64, "ack layout");

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

/* The head of a message that is `bytes` long in all. */
struct wire_head wire_head_make(enum wire_kind kind, size_t bytes);
/* Writes a HELLO into `room` bytes; returns its length, or 0 where the view is not valid or does not fit. */
size_t wire_hello_encode(const struct wire_hello_view *view, void *out, size_t room);

#endif
