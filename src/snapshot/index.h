/* ID.index: what the analysis has found, a column a figure, and how it finds it.
 *
 *   +---------------------------+ 0
 *   | struct index_header       |  a page; written last
 *   +---------------------------+
 *   | columns, in the order of  |  each from a page of its own on
 *   | INDEX_COLUMNS             |
 *   +---------------------------+
 *   | struct index_type  types  |
 *   | struct index_name  fields |  a type's are together, its arrays' names in struct index_type
 *   | names                     |
 *   +---------------------------+ file_bytes
 *
 * An object is its place in the order of numbers, 0 .. objects - 1; `objects` stands for the root of all, which holds the
 * declared, the immortal and those with references that nothing explains. Edges are those that count; the weak ones, labels
 * and the places of edges are read in the stream. Each value may be wrong if a disk is: who follows one checks it. */
#ifndef TALLY_SNAPSHOT_INDEX_H
#define TALLY_SNAPSHOT_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mapped.h"
#include "snapshot/snapshot.h"

#define INDEX_MAGIC 0x31444e495f4c4154ull
#define INDEX_VERSION 1u
#define INDEX_PAGE ((size_t)4096)
#define NONE UINT32_MAX /* no object: not reachable, or gone */

#define INDEX_DECLARED 128u /* a bit of flags, beside those of the stream: declared references hold it */

/* X(name, type, how many, what). Two more of each are there for the analysis, which keeps arrays of its own in columns that
 * are filled in last. */
#define INDEX_COLUMNS(X) \
    X(number, uint64_t, objects)      /* ascending */ \
    X(offset, uint64_t, objects)      /* where the stream tells of it */ \
    X(bytes, uint64_t, objects)       /* payload and native */ \
    X(retained, uint64_t, objects)    /* what would go with it: its own and those of all that it dominates */ \
    X(references, uint32_t, objects)  /* saturating */ \
    X(external, uint32_t, objects)    /* of them, that no edge and no declaration explains */ \
    X(dominator, uint32_t, objects)   /* the nearest object, or root, on all ways from the root; NONE: unreachable */ \
    X(distance, uint32_t, objects)    /* edges from the nearest that the root holds, which has 0 */ \
    X(toward, uint32_t, objects)      /* the object before it on such a way, or the root */ \
    X(out_start, uint32_t, objects)   /* its edges: out[out_start[i]] .. out[out_start[i + 1] - 1] */ \
    X(in_start, uint32_t, objects)    /* and those to it */ \
    X(kid_start, uint32_t, objects)   /* and what it dominates next; the root's too */ \
    X(kid, uint32_t, objects) \
    X(out, uint32_t, edges)           /* targets, in the stream's order; NONE: gone */ \
    X(in, uint32_t, edges)            /* sources */ \
    X(type, uint16_t, objects)        /* place in types */ \
    X(flags, uint8_t, objects)

struct index_name {
    uint32_t at, bytes; /* in names */
};
struct index_type {
    uint32_t row, flags;
    uint64_t size_bytes;
    struct index_name name, trailing, external_array;
    uint32_t first_field, field_count;
    uint64_t objects, bytes, native_bytes;
    uint64_t retained; /* by all of its objects together, what they retain of each other counted once */
    uint64_t roots;    /* its objects that the root holds */
    uint64_t external; /* references to its objects that nothing explains */
    uint64_t garbage_objects, garbage_bytes; /* unreachable */
};

struct index_header {
    uint64_t magic;
    uint32_t version, reserved;
    uint64_t file_bytes, stream_bytes;
    uint64_t objects, edges; /* edges: that count, with those to what is gone */
    uint64_t types, fields, names_bytes;
    struct snapshot_totals totals;
};
_Static_assert(sizeof(struct index_header) <= INDEX_PAGE, "the header fits its page");

/* The columns of a graph, in memory or in a file. */
struct index {
    uint64_t objects, edges;
    struct snapshot_totals totals;
#define X(name, type, many) type *name;
    INDEX_COLUMNS(X)
#undef X
    struct index_type *types; /* type_count */
    struct index_name *fields;
    char *names;
    uint64_t type_count, field_count, names_bytes;
};

/* ---- index.c */
/* Bytes of header and columns; UINT64_MAX: more than there may be. */
uint64_t index_column_bytes(uint64_t objects, uint64_t edges);
/* Lays the columns over memory of that many bytes, which begins with the header. */
void index_lay(struct index *index, void *memory, uint64_t objects, uint64_t edges);

/* Memory in a file of its own, whose blocks are reserved: it is no anonymous memory, and a full disk is told here. */
struct area {
    char *memory;
    size_t bytes, used;
    int fd;
    struct mapped mapped;
};
/* keep: the file keeps its name; else it goes with the area. 0 or -errno. bytes: above 0. */
int area_open(struct area *area, const char *path, uint64_t bytes, bool keep);
void area_close(struct area *area);
/* The next `count` items of so many bytes; there is room, as the opener has reckoned. */
void *area_take(struct area *area, uint64_t count, size_t item);

/* ---- how far it is, and whether it goes on */
struct work {
    const atomic_bool *give_up, *ending; /* either may be NULL */
    double done, total; /* nanoseconds, as things went where they were measured */
    uint64_t since_ns;  /* likewise: since it was asked last */
    void (*tell)(void *arg, double part);
    void *arg;
};
#define WORK_LOOK_NS 2000000u
/* Every turn of every loop says about how long it took, above 0. Each WORK_LOOK_NS of that, whatever the graph is like, it is told how
 * far things are, and asked whether to go on. false: give up. */
bool work_look(struct work *work);
static inline bool work_did(struct work *work, uint64_t ns)
{
    work->since_ns += ns;
    return work->since_ns < WORK_LOOK_NS || work_look(work);
}

/* ---- the passes, in their order. Each returns 0, -ECANCELED, -EIO (the index's file, scratch's or the stream's broke off), or
 * what it says. */
/* load.c: from the stream the numbers, types, sizes, references and edges. index: laid, zeroes; its types are new, for
 * index_types_free(). -EINVAL: `problem` says what is wrong. */
int index_load(struct index *index, const void *stream, size_t bytes, struct work *work, char *problem, size_t room);
void index_types_free(struct index *index);
/* edges.c: the edges backwards, and what is external. */
int index_turn(struct index *index, struct work *work);
bool index_held(const struct index *index, uint32_t object); /* by the root */
/* dominators.c: dominators and retained bytes. */
int index_dominate(struct index *index, struct area *scratch, struct work *work);
/* reach.c: kids, distances, what is unreachable, and the types' sums. open: a zero for each type, and one. */
int index_reach(struct index *index, struct area *scratch, uint32_t *open, struct work *work);
/* All of them. scratch: of that many bytes. */
uint64_t index_scratch_bytes(uint64_t objects);
int index_analyse(struct index *index, const void *stream, size_t bytes, struct area *scratch, struct work *work, char *problem,
                  size_t room);
/* In nanoseconds as they were measured, for work->total. */
double index_work_ns(uint64_t stream_bytes, uint64_t objects, uint64_t edges);

#endif
