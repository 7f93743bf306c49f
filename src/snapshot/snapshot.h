/* Snapshots of heaps, as artifacts: what wire/snapshot.h describes comes through a pipe, is kept in the state folder,
 * analysed there, and answers from there.
 *
 *   pipe ──▶ receiver ──▶ ID.stream ──▶ analyser ──▶ ID.index ──▶ graph: types, objects, paths, dominators, exports
 *            (a thread)                 (a thread of low priority)
 *   ID.json says what it is of. Files with such names and no ID.json are half of something, and go at the start.
 *
 * What is always true
 *  - A stream is a stranger's: the receiver checks all of it while it comes, within a deadline and a size; what is not whole
 *    and right is a failed artifact, which says why. What the analysis and the graph read afterwards is this file.
 *  - Memory does not grow with a snapshot: streams, indexes and the analysis' own arrays are files that are mapped, whose
 *    blocks are reserved before. What is larger than the options allow is refused; for a new one the oldest of the process that
 *    has most go; a full disk is a failed artifact, and so is one whose stream is cut short or cannot be read any more
 *    (mapped.h).
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
#define SNAPSHOT_ARTIFACTS 1000u /* at most */
#define SNAPSHOT_RECEIVING 64u   /* at once */
#define SNAPSHOT_DEADLINE_NS 3600000000000u /* the latest */
#define SNAPSHOT_GRACE_NS 2000000000u       /* once its process has gone */

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
    uint64_t pause_ns; /* as the stream's end says; 0: not known */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC: it is whole by then, or failed; 0: SNAPSHOT_DEADLINE_NS from now */
};

struct snapshot_artifact { /* a copy */
    char id[SNAPSHOT_ID_CHARS];
    struct snapshot_meta meta;
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

/* The process has gone, or its connection has: what it has left in the pipe is read, and what is not whole after
 * SNAPSHOT_GRACE_NS has failed, whoever else may hold the pipe's other end. Any thread, as all that follows. */
void snapshots_process_gone(struct snapshots *snapshots, const char *process);

/* The newest first, those of a process alone where it is not NULL, older than `before` where that is not NULL. Returns how
 * many there are in `out`, at most `most`. */
size_t snapshots_list(struct snapshots *snapshots, const char *process, const char *before, struct snapshot_artifact *out,
                      size_t most);
/* false: there is none. */
bool snapshots_find(struct snapshots *snapshots, const char *id, struct snapshot_artifact *out);
/* Whether it is one of those that went last to make room for others. */
bool snapshots_dropped(struct snapshots *snapshots, const char *id);
/* Deletes it, whatever its state: what is received or analysed is given up. false: there is none. */
bool snapshots_delete(struct snapshots *snapshots, const char *id);

/* ---- The graph of an artifact that is ready. An object is named by its place in the order of numbers, below
 * snapshot_graph_totals()->objects, which itself stands for the root: it holds the objects that are declared, immortal, or
 * have references that nothing explains. Texts live as long as the graph is held. */

#define SNAPSHOT_NO_OBJECT UINT32_MAX

struct snapshot_graph;
/* To be closed. 0, -ENOENT (no such artifact), -EAGAIN (it is not ready, or its index is made anew), -ENOMEM or another -errno:
 * not now. */
int snapshot_graph_open(struct snapshots *snapshots, const char *id, struct snapshot_graph **out);
void snapshot_graph_close(struct snapshot_graph *graph);
/* Whether all that was read of it so far is what its files had. false: a file was cut short or could not be read: what was
 * read is not to be told. As it is closed it begins to be made anew. */
bool snapshot_graph_sound(const struct snapshot_graph *graph);

struct snapshot_totals {
    uint64_t objects, types;
    uint64_t edges; /* that count, with those to what is gone */
    uint64_t weak_edges;
    uint64_t bytes, native_bytes; /* of payload; native memory that objects own */
    uint64_t roots, declared, external, immortal; /* objects that the root holds, and why: the first reason that fits */
    uint64_t external_references;
    uint64_t gone;   /* edges to objects that are not there */
    uint64_t excess; /* edges beyond what is counted as references */
    uint64_t garbage_objects, garbage_bytes; /* not reachable; bytes with native ones */
    uint64_t analysis_ns;
};
const struct snapshot_totals *snapshot_graph_totals(const struct snapshot_graph *graph);

struct snapshot_type_row {
    uint32_t row; /* as in the feed */
    struct snapshot_text name;
    uint64_t objects, bytes, native_bytes;
    uint64_t retained; /* by all of its objects together, what they retain of each other counted once */
    uint64_t roots;    /* objects that the root holds */
    uint64_t external; /* references that nothing explains */
    uint64_t garbage_objects, garbage_bytes;
};
/* type: below totals' types. */
struct snapshot_type_row snapshot_graph_type(const struct snapshot_graph *graph, uint32_t type);

struct snapshot_row {
    uint32_t object, type;
    uint64_t number;
    struct snapshot_text type_name;
    char label[SNAPSHOT_LABEL_MAX + 1];
    uint64_t bytes, native_bytes, retained; /* retained: with native ones */
    uint64_t references, declared, external;
    uint32_t flags;     /* enum snapshot_object_flags */
    uint32_t distance;  /* edges from the nearest object that the root holds; SNAPSHOT_NO_OBJECT: not reachable */
    uint32_t dominator; /* an object, the root, or SNAPSHOT_NO_OBJECT */
    uint32_t edges, referrers, dominated; /* counted edges; those to it; objects that it dominates next */
};
/* false: there is no such object, or the stream cannot be read. */
bool snapshot_graph_row(struct snapshot_graph *graph, uint32_t object, struct snapshot_row *out);
/* SNAPSHOT_NO_OBJECT: there is none. */
uint32_t snapshot_graph_find(const struct snapshot_graph *graph, uint64_t number);

enum snapshot_sort { SNAPSHOT_BY_RETAINED, SNAPSHOT_BY_BYTES, SNAPSHOT_BY_REFERENCES, SNAPSHOT_BY_EXTERNAL };
struct snapshot_query {
    enum snapshot_sort sort; /* the greatest first, then by number; BYTES with native ones */
    uint32_t type;           /* of these alone, or SNAPSHOT_NO_OBJECT */
    uint32_t dominator;      /* that this one, or the root, dominates next; or SNAPSHOT_NO_OBJECT: all */
    bool held;               /* by the root alone */
    uint32_t after;          /* behind this one in that order, or SNAPSHOT_NO_OBJECT */
};
/* The first `most` objects that fit. One walk over a column, whatever is asked. most: up to 1001. */
size_t snapshot_graph_select(const struct snapshot_graph *graph, const struct snapshot_query *query, uint32_t *out, size_t most);

struct snapshot_link { /* an edge, from the one that is asked for or to it */
    uint32_t object;     /* the other; SNAPSHOT_NO_OBJECT: gone, or weak and not in the snapshot */
    uint64_t number;     /* its number */
    enum snapshot_edge_kind kind;
    uint64_t place;
    struct snapshot_text field; /* or array; "": it has no name */
    uint32_t times;      /* as a referrer: how many such edges it has, of which this is the first */
};
/* Its edges from the `from`-th on, weak ones too, in the stream's order. Returns how many there are in `out`. */
size_t snapshot_graph_edges(struct snapshot_graph *graph, uint32_t object, uint64_t from, struct snapshot_link *out,
                            size_t most);
/* Objects that have counted edges to it, by number, behind the object `after` (SNAPSHOT_NO_OBJECT: from the first on). An edge that
 * is not among a referrer's first 100,000 has kind SNAPSHOT_EDGE_KINDS. */
size_t snapshot_graph_referrers(struct snapshot_graph *graph, uint32_t object, uint32_t after, struct snapshot_link *out,
                                size_t most);
/* A shortest way from an object that the root holds to this one: each step's object, and the edge of the step before that leads
 * there (of the first: kind SNAPSHOT_EDGE_KINDS). Of one longer than `most` (an even number) both ends; *omitted says how many are
 * between them. 0: it is not reachable. */
size_t snapshot_graph_path(struct snapshot_graph *graph, uint32_t object, struct snapshot_link *out, size_t most,
                           uint32_t *omitted);

/* ---- The whole of it, as others read it. X(NAME, word, ending of a file's name) */
#define SNAPSHOT_FORMATS(X) \
    X(SNAPSHOT_HEAPSNAPSHOT, "heapsnapshot", "heapsnapshot") /* Chromium's DevTools */ \
    X(SNAPSHOT_PPROF, "pprof", "pb.gz")                      /* pprof; compressed in itself */ \
    X(SNAPSHOT_NDJSON, "ndjson", "ndjson")                   /* an object a line, with its edges */
enum snapshot_format {
#define SNAPSHOT_X(name, word, ending) name,
    SNAPSHOT_FORMATS(SNAPSHOT_X)
#undef SNAPSHOT_X
};
/* Takes the next `count` bytes; 0 of them, now and then: whether to go on. 0, or anything else: give up. */
typedef int (*snapshot_write_fn)(void *arg, const void *bytes, size_t count);
/* Writes it in pieces of at most 64 KiB, with memory that does not grow with it. 0, what `write` returned, or -errno: then what was
 * written is not whole. */
int snapshot_graph_export(struct snapshot_graph *graph, enum snapshot_format format, snapshot_write_fn write, void *arg);

#endif
