/* What finalizers, callbacks and collections have done since the last command ended. */
#ifndef TALLY_REPLAY_EVENT_H
#define TALLY_REPLAY_EVENT_H

#include <stdio.h>

#include "replay/names.h"
#include "tally.h"

enum event_mode { EVENTS_SORTED, EVENTS_EXACT, EVENTS_COUNT };

struct events {
    enum event_mode mode;
    bool any;
    uint64_t finalizers, callbacks;
    struct text text; /* a line an event; empty in mode COUNT */
};

void event_finalize(struct events *events, const struct label *label);
void event_callback(struct events *events, const struct label *label);
/* An action of `self` asked what the weak reference bound to `asked` refers to (NULL: nil). */
void event_deref(struct events *events, const struct label *self, struct name *asked,
                 const struct label *found);
void event_collected(struct events *events, const struct label *self, uint64_t collected);
void event_collection(struct events *events, const struct tally_collection *info);

/* Prints them as the mode says and forgets them; false: no memory. */
bool events_flush(struct events *events, FILE *out);

#endif
