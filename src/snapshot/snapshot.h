/* Snapshots of heaps, as artifacts: what wire/snapshot.h describes comes through a pipe, is kept in the state folder,
 * analysed there, and answers from there.
 *
 *   pipe ──▶ receiver ──▶ ID.stream ──▶ analyser ──▶ ID.index ──▶ graph: types, objects, paths, dominators, exports
 *            (a thread)                 (a thread of low priority)
 *   ID.json says what it is of. Whatever else lies in the folder is half of something, and goes at the start.
 *
 * What is always true
 *  - A stream is a stranger's: the receiver checks all of it while it comes, within a deadline and a size; what is not whole
 *    and right is a failed artifact, which says why. What the analysis and the graph read afterwards is this file.
 *  - Memory does not grow with a snapshot: streams, indexes and the analysis' own arrays are files that are mapped, whose
 *    blocks are reserved before. What is larger than the options allow is refused, or the oldest artifacts go for it; a full
 *    disk is a failed artifact.
 *  - An artifact that is deleted is gone from the list at once; who reads it goes on with what he has, the files are gone
 *    when he is done.
 *  - Files are made under another name and renamed when they are whole and on the disk: after a crash an artifact is there, or
 *    it is not. An index that is missing is made again.
 */
#ifndef TALLY_SNAPSHOT_SNAPSHOT_H
#define TALLY_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/snapshot.h"

struct snapshots;

#define SNAPSHOT_ID_CHARS 17 /* 16 lower-case hex digits, in the order of time, and NUL */
#define SNAPSHOT_PROBLEM_CHARS 160
#define SNAPSHOT_ARTIFACTS 1000u /* at most; the oldest go */
#define SNAPSHOT_RECEIVING 64u   /* at once */
#define SNAPSHOT_DEADLINE_NS 3600000000000u /* the latest */

/* X(NAME, word in JSON) */
#define SNAPSHOT_STATES(X) \
    X(SNAPSHOT_RECEIVING_IT, "receiving") X(SNAPSHOT_ANALYSING, "analysing") X(SNAPSHOT_READY, "ready") X(SNAPSHOT_FAILED, "failed")
enum snapshot_artifact_state {
#define SNAPSHOT_X(name, word) name,
    SNAPSHOT_STATES(SNAPSHOT_X)
#undef SNAPSHOT_X
};

/* What a snapshot is of, as its asker knows it. */
struct snapshot_meta {
    char process[33];  /* the process's id */
    char name[256];    /* and its name */
    uint32_t heap;
    char mode[8];      /* "clone" or "slices" */
    uint64_t pause_ns, predicted_pause_ns; /* 0: not known */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC: it is whole by then, or failed; 0: SNAPSHOT_DEADLINE_NS from now */
};

struct snapshot_artifact { /* a copy */
    char id[SNAPSHOT_ID_CHARS];
    struct snapshot_meta meta; /* pause_ns: the greater one of what the asker and the stream's end say */
    uint64_t taken_wall_ns;
    enum snapshot_artifact_state state;
    bool instant;
    uint64_t objects, edges, bytes; /* told so far, then in all; bytes: of payload */
    uint64_t size_bytes;            /* of its files */
    double progress;                /* 0 to 1, of what its state says; of a failed one 0 */
    uint64_t eta_ns;                /* until that is done; 0: nobody knows, or it is done */
    char problem[SNAPSHOT_PROBLEM_CHARS]; /* a sentence; "": none */
};

struct snapshots_options {
    const char *folder;  /* the state folder; "artifacts" is made below it */
    uint64_t bytes_max;  /* all artifacts, with their indexes; one stream: a quarter of it */
};

/* Finds what there is and starts both threads, with the caller's mask of signals. 0 or -errno. */
int snapshots_open(const struct snapshots_options *options, struct snapshots **out);
/* Ends them: what is being received is broken, what is being analysed begins anew at the next start. No graph may be held
 * any more. */
void snapshots_close(struct snapshots *snapshots);

/* Takes fd over, the reading end of a pipe, in any case, and receives a snapshot from it. id: filled in, SNAPSHOT_ID_CHARS.
 * done: called once, in the receiver's thread, with the artifact as it is then: ANALYSING (or READY) where the stream was
 * whole, else FAILED; by snapshots_close() at the latest. Any thread. 0, or -errno and nothing is called: -EINVAL (fd is no
 * pipe), -EBUSY (SNAPSHOT_RECEIVING of them go on), -ENOMEM. */
typedef void (*snapshot_done_fn)(void *arg, const struct snapshot_artifact *artifact);
int snapshot_receive(struct snapshots *snapshots, const struct snapshot_meta *meta, int fd, snapshot_done_fn done, void *arg,
                     char *id);

/* The newest first, those of a process alone where it is not NULL, older than `before` where that is not NULL. Returns how
 * many there are in `out`, at most `most`. Any thread, as all that follows. */
size_t snapshots_list(struct snapshots *snapshots, const char *process, const char *before, struct snapshot_artifact *out,
                      size_t most);
/* false: there is none. */
bool snapshots_find(struct snapshots *snapshots, const char *id, struct snapshot_artifact *out);
/* Deletes it, whatever its state: what is received or analysed is given up. false: there is none. */
bool snapshots_delete(struct snapshots *snapshots, const char *id);

#endif
