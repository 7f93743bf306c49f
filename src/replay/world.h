/* One run's state, and how commands find what their words name. */
#ifndef TALLY_REPLAY_WORLD_H
#define TALLY_REPLAY_WORLD_H

#include <stdio.h>

#include "replay/event.h"
#include "replay/names.h"
#include "replay/object.h"
#include "replay/reason.h"
#include "replay/replay.h"
#include "replay/roots.h"
#include "tally.h"

struct world {
    struct tally_heap *heap;
    struct names names;
    struct events events;
    FILE *out, *err;
    uint64_t work_left;  /* UINT64_MAX: without limit */
    enum reason fault;   /* what a finalizer or callback ran into; ends the run after the command */
    bool over;           /* finalizers and callbacks do nothing more */
};

/* A heap with automatic collection off. 0 or a TALLY_E*; after a failure too the world is to be finished. */
int world_init(struct world *world, const struct replay_options *options);
void world_fini(struct world *world);

/* REASON_WORK where the run has come to its limit. */
enum reason world_charge(struct world *world, uint64_t work);

/* The checks of an operand, in this order: bad name, unknown name, name is nil, not a node (or weak
 * reference). What they give is borrowed from the root. */
enum reason world_target(struct world *world, struct word word, struct name **name); /* bound or not */
enum reason world_root(struct world *world, struct word word, struct name **name);
enum reason world_object(struct world *world, struct word word, void **object);
enum reason world_node(struct world *world, struct word word, struct node **node);
enum reason world_weak(struct world *world, struct word word, struct weak **weak);
/* X.SLOT, X a node. */
enum reason world_place(struct world *world, struct word word, struct node **node, size_t *slot);

#endif
