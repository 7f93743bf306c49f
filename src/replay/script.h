/* A script's lines, and where each `repeat` ends. Pure: what a line means is found out when it is reached. */
#ifndef TALLY_REPLAY_SCRIPT_H
#define TALLY_REPLAY_SCRIPT_H

#include "replay/lex.h"

struct command;

enum line_kind { LINE_BLANK, LINE_COMMAND, LINE_REPEAT, LINE_END };
#define NO_END SIZE_MAX

struct line {
    struct word text; /* without its comment */
    enum line_kind kind;
    bool counts;      /* has a `$` */
    union {
        size_t end;                    /* REPEAT: index of its `end`, or NO_END */
        const struct command *command; /* COMMAND: NULL: unknown */
    };
};

struct script {
    struct line *lines; /* their text is the caller's */
    size_t count;
};

/* Lines end with LF, CR LF or CR. False: no memory; nothing to free then. */
bool script_load(struct script *script, const char *text, size_t length);
void script_free(struct script *script);

struct words {
    struct word *list;
    size_t count, room;
    char *text; /* of the line with `$` replaced */
    size_t text_room;
};

/* Splits a line into words; each `$` of a line in a loop is replaced by *iteration first (NULL: not in a
 * loop). They are valid until the next call. False: no memory. */
bool words_split(struct words *words, const struct line *line, const uint64_t *iteration);
void words_free(struct words *words);

#endif
