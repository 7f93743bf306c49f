/* ACTIONS: what a finalizer or callback does after its event. A list is made by `new` or `weak`, belongs to
 * the object and goes with it. */
#ifndef TALLY_REPLAY_ACTION_H
#define TALLY_REPLAY_ACTION_H

#include "replay/names.h"

struct world;
struct actions;

/* Parses `keep:k+collect`; finalizers know verbs that callbacks do not. *out is new, set on success only. */
enum reason actions_parse(struct names *names, struct word word, bool callback, struct actions **out);
void actions_free(struct actions *actions);
/* Runs them (NULL: none) in order for self, which is held by the caller. */
void actions_run(const struct actions *actions, struct world *world, void *self);

#endif
