/* What the files of the store share. */
#ifndef TALLY_SNAPSHOT_PRIVATE_H
#define TALLY_SNAPSHOT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/mapped.h"
#include "snapshot/snapshot.h"

#define PATH_ROOM 384u
#define FOLDER_ROOM 320u
#define GRAPHS_KEPT 16u /* open for who asks next */
#define DROPPED_KEPT 64u /* ids of what went for others */
#define SNAPSHOT_SCRATCH "pprof-" /* files of exports begin so, which have no id */

struct artifact {
    struct snapshot_artifact view;
    unsigned refs;       /* the list's, the receiver's, the analyser's, each graph's */
    bool dropped;        /* it is in the list no more */
    bool busy;           /* it is received or analysed: it is not dropped for another */
    uint64_t stored;     /* bytes that count against the options */
    uint64_t began_ns;   /* its state, CLOCK_MONOTONIC */
    struct snapshot_graph *graph; /* a reference, while it is one of those asked for last; else NULL */
    uint64_t asked;      /* when the graph was, as a count */
    atomic_bool give_up; /* said once, without the lock: whatever goes on with it ends */
    _Atomic uint64_t gone_ns; /* likewise: its process is gone, and nothing comes from then on; 0: it is there */
};

struct reception;

struct snapshots {
    char folder[FOLDER_ROOM]; /* "artifacts" itself */
    uint64_t bytes_max, stream_bytes_max;

    pthread_mutex_t lock; /* all artifacts but their give_up, the list, and the receptions that are handed over */
    struct artifact **artifacts; /* by id, the oldest first; SNAPSHOT_ARTIFACTS + SNAPSHOT_RECEIVING */
    size_t count;
    uint64_t stored;
    char dropped[DROPPED_KEPT][SNAPSHOT_ID_CHARS]; /* the last of them */
    size_t drops;
    uint64_t asked;    /* how often graphs were asked for */
    unsigned graphs;   /* that artifacts hold, GRAPHS_KEPT at most */
    struct reception *handed; /* not yet the receiver's */
    unsigned receptions;      /* handed over, or the receiver's */
    bool ending;

    pthread_t analyser;
    pthread_cond_t analyser_wakes; /* something waits for it, or it is to end */
    atomic_bool analyser_ends;

    pthread_t receiver;
    int wake_fd; /* an eventfd: look at what is handed over, at give_up, at ending */
};

/* ---- store.c; `lock` is held where it says so */
void artifact_path(const struct snapshots *snapshots, const char *id, const char *ending, char out[PATH_ROOM]);
/* A new one, the newest, whose reference is the caller's beside the list's; under the lock. NULL: out of memory. */
struct artifact *artifact_new(struct snapshots *snapshots, const struct snapshot_meta *meta);
void artifact_unref(struct snapshots *snapshots, struct artifact *artifact);
/* Takes so many bytes more for it, for which others go. false: there is no room all the same. */
bool artifact_grow(struct snapshots *snapshots, struct artifact *artifact, uint64_t bytes);
/* Gives back what it has beyond `bytes`. */
void artifact_shrink(struct snapshots *snapshots, struct artifact *artifact, uint64_t bytes);
/* It is failed, for this reason; its files but the description go. */
__attribute__((format(printf, 3, 4))) void artifact_fail(struct snapshots *snapshots, struct artifact *artifact,
                                                         const char *format, ...);
/* Writes ID.json, unless it has been dropped. 0 or -errno. */
int artifact_write(struct snapshots *snapshots, struct artifact *artifact);
/* The state and when it began; under the lock. */
void artifact_state(struct artifact *artifact, enum snapshot_artifact_state state);

/* ---- describe.c: ID.json */
/* For free(3); NULL: out of memory. */
char *describe_text(const struct snapshot_artifact *view);
/* false: it is none of ours. The id is not among what is read. */
bool describe_read(const char *path, struct snapshot_artifact *view);

/* ---- receive.c */
int receiver_start(struct snapshots *snapshots); /* 0 or -errno */
void receiver_stop(struct snapshots *snapshots);
void receiver_wake(struct snapshots *snapshots);
/* What a stranger's pipe has, through an empty one of ours, of O_NONBLOCK. As read(2), and EAGAIN where that would wait. */
ssize_t pipe_take(int fd, const int own[2], void *bytes, size_t room);

/* ---- analyse.c */
int analyser_start(struct snapshots *snapshots); /* 0 or -errno */
void analyser_stop(struct snapshots *snapshots);
/* The artifact's stream, for mapped_close(). 0 or -errno. */
int stream_map(const struct snapshots *snapshots, const char *id, struct mapped *out);

/* ---- graph.c */
/* Bytes of the artifact's index; 0: it has none that fits it. */
uint64_t graph_file_bytes(const struct snapshots *snapshots, const struct snapshot_artifact *view);
void graph_forget(struct snapshots *snapshots, struct artifact *artifact); /* under the lock: its graph, if it has one */

#endif
