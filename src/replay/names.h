/* Every NAME that the script has used: how many objects it has named, which of them live, and its root.
 *
 *     names ── table of prefixes ("n") ──┐
 *           └─ table of names ("n", 17) ─┴▶ struct name: made, alive (a bit an object), root
 *
 * What is always true
 *  - A name is made once, never moves and stays until names_free(): the script may ask for it again at any
 *    time.
 *  - A label is a name and which of its objects it was; no text of it is kept, and no list of labels.
 *  - The bound names form a list in the order in which they became bound (roots.h).
 */
#ifndef TALLY_REPLAY_NAMES_H
#define TALLY_REPLAY_NAMES_H

#include "replay/lex.h"
#include "base/text.h"

struct prefix;

struct name {
    struct prefix *prefix;
    uint64_t index;  /* or INDEX_NONE */
    uint64_t made;   /* objects of this name so far */
    union {          /* bit k-1: the k-th of them lives */
        uint64_t word;   /* while made <= 64 */
        uint64_t *words; /* then, made rounded up to a power of two */
    } alive;
    void *object;    /* the root's, an owned reference; NULL: nil, or not bound */
    struct name *older, *newer;
    bool bound;
};

struct label {
    struct name *name; /* NULL: none yet */
    uint64_t ordinal;  /* k, from 1 */
};

struct table { /* open addressing, at most half full */
    void **slots;
    size_t mask, used;
};

struct names {
    struct table prefixes, names;
    struct name_chunk *chunks;
    struct name *oldest, *newest; /* of the bound ones */
    uint64_t live;                /* objects that have a label and are not freed */
};

/* After names_free(), *names is as good as new. */
void names_free(struct names *names);
/* Borrowed. NULL: no memory; never used. */
struct name *names_intern(struct names *names, const struct spelling *spelling);
struct name *names_find(const struct names *names, const struct spelling *spelling);
/* What lex_is_start() accepted begins the name. */
bool name_starts_with(const struct name *name, struct word start);

/* Gives the next label of the name to an object that now lives; false: no memory. */
bool label_take(struct label *label, struct name *name);
/* The object is freed. Needs nothing but the label. */
void label_end(const struct label *label);
/* A word as `alive` takes it: NAME, or NAME#k. False where it names no object, or a dead one. */
enum reason label_alive(const struct names *names, struct word word, bool *alive);
void label_write(struct text *text, const struct label *label);

#endif
