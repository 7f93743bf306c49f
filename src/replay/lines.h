/* The lines of a text, sorted. */
#ifndef TALLY_REPLAY_LINES_H
#define TALLY_REPLAY_LINES_H

#include "base/text.h"
#include "replay/lex.h"

/* Cuts the content at each '\n' (the last line ends with one too) and returns the lines, without it, sorted
 * by bytes: the caller's to free(). NULL: no line, or no memory (*count tells). They point into the text. */
struct word *text_sorted_lines(const struct text *text, size_t *count);

#endif
