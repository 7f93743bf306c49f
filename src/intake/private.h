/* What the files of the intake share. All of it belongs to the intake's thread but the command queue. */
#ifndef TALLY_INTAKE_PRIVATE_H
#define TALLY_INTAKE_PRIVATE_H

#include <pthread.h>

#include "base/log.h"
#include "intake/intake.h"
#include "wire/ring_read.h"

#define CLIENTS_MAX 4096u
#define CLIENTS_PER_UID 2000u
#define SILENT_MAX 64u
#define HELLO_DEADLINE_NS 10000000000u
#define HEAPS_PER_CLIENT 1024u
#define MAPPED_PER_UID ((uint64_t)1 << 30) /* with what types cost here */
#define TYPE_BYTES 2048u /* of ours that a described type can take, in intake, model, events and views */
#define FEED_BYTES_MIN 16384u
#define TURN_WORDS 65536u /* of one client's events */
#define HEAP_WORDS 2048u  /* of one heap, at least, however many the client has */
#define ENDING_EVERY_NS 50000000u
#define ENDING_NS 5000000000u /* how long a parent is waited for */
#define UNHEARD_NS 5000000000u /* a heap that is not told of again for so long is gone */
#define LOOK_NS 2000000u       /* of one client; what is left then comes at its next one */
#define LAST_WORDS ((uint64_t)1 << 22) /* of all its events, when it has ended */
#define REST 2u           /* times what a look has taken */
#define COMMANDS_MAX 1024u
#define WAITING_MAX 4096u /* commands that one client's socket has no room for */
#define MESSAGES_A_TURN 64u
#define MESSAGES_NS 2000000u /* or so long, if that is over first */
#define LAST_TURNS 64u       /* for what has been sent by one that has ended; others may hold its socket open */

#define POLL_MIN_NS 1000000u
#define POLL_ACTIVE_NS 20000000u
#define POLL_IDLE_NS 250000000u
#define GROW_HOLDS_NS 100000000u /* a ring is to hold what is written in so long */
#define GROW_AGAIN_NS 1000000000u
#define GROW_RATE 25000000u   /* words a second beyond which we skip anyway: a ring then stays within */
#define PEAK_LOOKS 64u        /* a peak is halved in about so many looks without one */
#define GROW_SMALL 32768u     /* what lies in the writer's cache, and is an unbroken stretch to look at */

struct feed_base { /* what stands under the sequence lock, of each row */
    uint64_t allocated, freed_refcount, freed_cycle;
};

struct feed_marks { /* as of the last turn; no padding, since they are compared as bytes */
    uint64_t safepoint_ns, seq, head, record_head, state, process_bytes;
};

struct heap_feed {
    struct heap_feed *next;
    uint32_t number;
    const struct wire_counters *counters; /* in the mapping */
    uint64_t counters_bytes;
    const void *ring;
    uint64_t ring_bytes, ring_inode;
    struct wire_ring_reader reader;
    uint64_t known_from; /* the position of the first word of the ring that was written since we know of the heap */
    uint32_t row_capacity, row_offset, desc_offset, string_offset, string_bytes;
    uint32_t record_offset, record_capacity;
    uint32_t type_count; /* descs that have been taken over */
    uint32_t type_least; /* as many as a predecessor had */
    struct intake_type *types; /* row_room of each */
    struct intake_row *rows;
    struct feed_base *bases, *bases_next; /* next: while it is being read */
    uint32_t row_room;
    struct intake_summary summary;
    uint64_t record_head; /* newest record that has been told */
    struct feed_marks marks;
    bool told;
    unsigned turn;       /* the client's, when it was looked at last */
    uint64_t unheard_ns; /* since its process came back without telling of it; 0: it has */
    uint64_t read_ns, written; /* when the ring was read last, and the writer's position then */
    bool drained;              /* nothing was left then: what is there now came after it */
    uint64_t asked_ns;         /* to grow */
    uint64_t peak;             /* rate, words a second: halved in about PEAK_LOOKS looks */
};

struct client_event { /* what epoll gives back */
    struct client *client;
    bool pid; /* its pidfd */
};

struct user { /* of one or more clients */
    struct user *next;
    uid_t uid;
    unsigned client_count;
    uint64_t mapped_bytes;
};

struct client {
    struct client *next;
    struct intake *intake;
    struct user *user;
    int fd, pidfd; /* -1: none */
    pid_t pid;
    uid_t uid;
    uint64_t connected_ns;
    bool hello, over; /* over: gone, waits for its pidfd */
    uint64_t exited_ns; /* its parent is waited for, so that we learn how; 0: it runs */
    char id[INTAKE_ID_CHARS];
    int64_t clock_offset_ns; /* theirs minus ours, where they differ by more than a second */
    unsigned commands_open; /* sent, and not answered for good */
    struct waiting *waiting, **waiting_last; /* command.c: to be sent; last: its link, where there are any */
    unsigned waiting_count;
    unsigned turn; /* of looks at all of its heaps */
    uint64_t interval_ns, due_ns; /* of the looks at its feeds */
    uint64_t rested_ns; /* not before: the last look is paid for by then */
    void *handle; /* the sink's */
    struct heap_feed *heaps;
    struct client_event fd_event, pid_event;
};

struct command {
    char id[INTAKE_ID_CHARS];
    struct wire_command wire;
};

struct intake {
    struct intake_sink sink;
    bool system, path_is_ours;
    char path[108];
    int listen_fd, epoll_fd, wake_fd, spare_fd;
    pthread_t thread;
    uint8_t daemon_id[WIRE_ID_BYTES];
    struct client *clients;
    struct user *users;
    unsigned client_count, silent_count, over_count; /* silent: no hello yet */
    unsigned waiting_clients; /* whose sockets are full */
    uint64_t due_ns; /* the earliest look at any client */
    bool paused; /* the listener is out of epoll: no fd was left */
    uint64_t resume_ns;
    struct log_limit refused_log;

    pthread_mutex_t lock; /* the fields below */
    struct command commands[COMMANDS_MAX];
    unsigned command_first, command_count; /* a ring */
    bool stopping;
    /* ids that are attached, for intake_command() */
    char (*ids)[INTAKE_ID_CHARS];
    unsigned id_count;
};

/* feed.c: each returns NULL, or the reason to drop the client (static storage) */
const char *intake_feed_open(struct client *client, const struct wire_heap *message, int fd);
void intake_feed_close(struct client *client, struct heap_feed *heap);
/* Closes it and takes it out of the client's list: the heap is gone, and its number does not come back. */
void intake_feed_free(struct client *client, struct heap_feed *heap);
struct heap_feed *intake_feed_find(const struct client *client, uint32_t number);

/* sample.c: reads what is new of a heap, at most `words` of events (last: the newest, and those before
 * are lost), and tells the sink; returns
 * whether anything was. A feed that lies gives the reason to drop its client. Lowers *again_ns to the time after which
 * the heap's ring wants to be read again. */
bool intake_heap_sample(struct client *client, struct heap_feed *heap, uint64_t words, bool last, uint64_t *again_ns,
                        const char **fault);
/* After each look: how long the heap may go without another if it is at rest, ns. Its peak fades. */
uint64_t intake_heap_rest(struct heap_feed *heap);
/* Reads what is left of a ring that its writer has left. */
const char *intake_ring_drain(struct client *client, struct heap_feed *heap);


/* client.c */
void intake_client_receive(struct client *client); /* a turn's messages */
void intake_client_receive_last(struct client *client); /* all that its process has sent: that has ended */
void intake_client_drop(struct client *client, const char *reason); /* misbehaved */
void intake_client_end(struct client *client, const char *end);     /* ended; samples a last time */
/* Looks at its feeds, and decides when to come again. whole: takes all the events that there are. */
bool intake_client_sweep(struct client *client, bool whole);
void intake_client_ask(struct client *client, struct wire_command *command); /* of our own: nobody waits for it */

/* command.c. send: what was asked for since. again: what waits for room, each turn. forget: its client ends, of which
 * all hear who wait. */
void intake_commands_send(struct intake *intake);
void intake_commands_again(struct intake *intake);
void intake_commands_forget(struct client *client);

/* ending.c: the status of waitpid(2), once it is there. */
bool intake_ending(int pidfd, int *status);

/* intake.c */
void intake_refuse(struct intake *intake, const char *reason, pid_t pid, uid_t uid);
bool intake_id_known(const struct intake *intake, const char *id);
void intake_id_add(struct intake *intake, const char *id); /* at most CLIENTS_MAX */
void intake_id_remove(struct intake *intake, const char *id);
void intake_client_close(struct client *client);   /* its connection */
void intake_client_unwatch(struct client *client); /* its pidfd */

#endif
