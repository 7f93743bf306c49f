/* A graph that is held: index and stream, both mapped to be read. */
#ifndef TALLY_SNAPSHOT_GRAPH_H
#define TALLY_SNAPSHOT_GRAPH_H

#include "snapshot/index.h"

struct snapshot_graph {
    struct snapshots *snapshots;
    unsigned refs; /* the store's lock */
    struct index index;
    struct mapped file, stream; /* the index's; the stream's */
    _Atomic(struct snapshot_reader *) spare; /* one that nobody uses now */
};

/* The name of a type, a field or an array; "" where the index is wrong. */
struct snapshot_text graph_name(const struct index *index, struct index_name name);
struct snapshot_text graph_type_name(const struct index *index, uint32_t object);
struct snapshot_text graph_field(const struct index *index, uint32_t object, const struct snapshot_edge *edge);
/* [*from, *to) of a list whose starts are a column, cut to `most`. */
void graph_range(const uint32_t *starts, uint32_t object, uint64_t most, uint32_t *from, uint32_t *to);

/* A reader that knows the types, for one thread, to be given back; NULL: out of memory. */
struct snapshot_reader *graph_reader_take(struct snapshot_graph *graph);
void graph_reader_give(struct snapshot_graph *graph, struct snapshot_reader *reader);
/* Reads one object of the stream again: object() once, edge() for each edge until it says no. false: the stream is not as it
 * was. */
bool graph_read(const struct snapshot_graph *graph, struct snapshot_reader *reader, uint32_t object,
                const struct snapshot_sink *sink);

#endif
