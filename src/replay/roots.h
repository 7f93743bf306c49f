/* The script's variables: each bound name owns one reference, or stands for nil. */
#ifndef TALLY_REPLAY_ROOTS_H
#define TALLY_REPLAY_ROOTS_H

#include "replay/names.h"

/* Binds the name to the object (NULL: nil) and then releases what it had. The object outlives that release,
 * whatever it sets off. A name that was bound keeps its place in the order. */
void root_bind(struct names *names, struct name *name, void *object);
void root_bind_steal(struct names *names, struct name *name, void *object);
/* Unbinds a bound name, then releases what it had. */
void root_drop(struct names *names, struct name *name);
/* Drops those that begin with `start` and are bound now, oldest first. False: no memory, none is dropped. */
bool roots_drop_matching(struct names *names, struct word start);

#endif
