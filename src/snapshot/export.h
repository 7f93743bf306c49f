/* What the writers of exports share: bytes on their way out, and one walk over all objects. */
#ifndef TALLY_SNAPSHOT_EXPORT_H
#define TALLY_SNAPSHOT_EXPORT_H

#include "snapshot/graph.h"

struct out {
    snapshot_write_fn write;
    void *arg;
    int error; /* the first; nothing is written after it */
    size_t used;
    char bytes[65536];
};

void out_bytes(struct out *out, const void *bytes, size_t count);
void out_string(struct out *out, const char *string);
void out_number(struct out *out, uint64_t number);
void out_text(struct out *out, struct snapshot_text text); /* as a JSON string */
/* Whether to go on: asked each OUT_STEP turns of a loop, over objects or edges. */
#define OUT_STEP 4096u
bool out_go(struct out *out);

/* Tells every object, in the order of numbers, and each of its edges; target: NONE for what is gone. 0, the out's error, or
 * -EIO where the stream is not as it was. */
struct export_walk {
    void *arg;
    void (*object)(void *arg, uint32_t at, const struct snapshot_object *object);
    void (*edge)(void *arg, uint32_t at, const struct snapshot_edge *edge, uint32_t target);
    void (*object_end)(void *arg);
};
int export_walk(struct snapshot_graph *graph, struct out *out, const struct export_walk *walk);

int export_heapsnapshot(struct snapshot_graph *graph, struct out *out);
int export_pprof(struct snapshot_graph *graph, struct out *out);

#endif
