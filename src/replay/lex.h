/* The words of a line, and what FORMAT.md calls NAME, PREFIX, N, SLOT and X.SLOT. No look-ups. */
#ifndef TALLY_REPLAY_LEX_H
#define TALLY_REPLAY_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay/reason.h"

#define COUNT_MAX 10000000u /* the N that commands take */
#define SLOT_MAX 1048575u

/* Not NUL-terminated, and may contain NULs. */
struct word {
    const char *text;
    size_t length;
};

/* A NAME: `n[17]` is the prefix `n` and the index 17. An index of 2^64-1 or more stays text. */
#define INDEX_NONE UINT64_MAX
struct spelling {
    struct word prefix;
    uint64_t index;
};

struct place { /* X.SLOT */
    struct word head;
    struct spelling name; /* of the head */
    size_t slot;
};

bool word_is(struct word word, const char *literal);
/* Cuts `word` at the first `mark`: *word is what stands before it. False: there is none, *rest is empty. */
bool word_cut(struct word *word, char mark, struct word *rest);

enum reason lex_name(struct word word, struct spelling *name);
/* A NAME without [ ]. */
enum reason lex_prefix(struct word word, struct word *prefix);
/* What `drop P*` takes in front of its star: a PREFIX, maybe with a `[` behind it. */
bool lex_is_start(struct word word);
enum reason lex_number(struct word word, uint64_t low, uint64_t high, uint64_t *number);
enum reason lex_place(struct word word, struct place *place);

#endif
