/* The script's objects as libtally's: four types for the two kinds with and without a finalizer, and one for
 * weak references.
 *
 *     node   label, slots ──▶ array that grows (external slots), payload bytes   tracked
 *     atom   label, payload bytes                                               a leaf
 *     weak   struct tally_weak, label                                           tracked
 *
 * A type with a finalizer is another type, so that objects without one are freed without a call. */
#ifndef TALLY_REPLAY_OBJECT_H
#define TALLY_REPLAY_OBJECT_H

#include "replay/action.h"
#include "replay/names.h"
#include "tally.h"

struct world;

struct node {
    struct label label;
    void **slots;        /* room for `length` rounded up to a power of two, at least 2; NULL: none */
    size_t length;
    size_t payload_bytes;
};

struct final_node {
    struct node node;
    struct actions *actions;
};

struct atom {
    struct label label;
    size_t payload_bytes;
};

struct weak {
    struct tally_weak weak;
    struct label label;
    struct actions *actions; /* of its callback */
};

struct object_options {
    bool final;
    struct actions *actions; /* stolen, also on failure; needs final */
    size_t payload_bytes;
};

/* Registers the types, once for the process. 0 or a TALLY_E*. */
int object_types_init(void);

/* New references; NULL: no memory. options may be NULL. Atoms have no actions. */
struct node *object_new_node(struct world *world, struct name *name, const struct object_options *options);
struct atom *object_new_atom(struct world *world, struct name *name, const struct object_options *options);
/* With `callback` it calls back: runs the actions (stolen, also on failure) and owns `hold` (or NULL). */
struct weak *object_new_weak(struct world *world, struct name *name, struct node *target, bool callback,
                             struct actions *actions, struct node *hold);

/* The object itself, or NULL where it is of another kind or NULL. */
struct node *as_node(void *object);
struct weak *as_weak(void *object);
const struct label *label_of(const void *object);

/* Slots. Node and incoming value are held while the old value is released; false: no memory. */
void *node_get(const struct node *node, size_t slot); /* borrowed; NULL beyond the end */
bool node_set(struct node *node, size_t slot, void *value); /* grows the node; value may be NULL */
void node_clear(struct node *node, size_t slot); /* never grows it */
bool node_append(struct node *node, void *value);
bool node_append_steal(struct node *node, void *value); /* steals also on failure */
void node_empty(struct node *node);

#endif
