/* Bytes that grow, and lists of lines in them that can be sorted. Want of memory sets `failed` for good. */
#ifndef TALLY_REPLAY_TEXT_H
#define TALLY_REPLAY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay/lex.h"

struct text {
    char *data;
    size_t length, room;
    bool failed;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_add_string(struct text *text, const char *string);
void text_add_number(struct text *text, uint64_t number);
/* Forgets the content; keeps the memory unless there is much of it. */
void text_clear(struct text *text);
void text_free(struct text *text);

/* Cuts the content at each '\n' (the last line ends with one too) and returns the lines, without it, sorted
 * by bytes: the caller's to free(). NULL: no line, or no memory (*count tells). They point into the text. */
struct word *text_sorted_lines(const struct text *text, size_t *count);

#endif
