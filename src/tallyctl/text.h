/* Text for a terminal: nothing untrusted gets by without being escaped, and figures carry their unit. */
#ifndef TALLYCTL_TEXT_H
#define TALLYCTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for every text_bytes() and text_duration(). */
#define TEXT_FIGURE_MAX 32

/* The longest that stands for one character, with its NUL: "\\u{10FFFF}". */
#define TEXT_PIECE_MAX 12

/* A copy of `text` in which control characters (C0, DEL, C1), what steers directions or hides, what the locale has no
 * width for, a third character of no width in a row (and any at the beginning) and bytes that are not UTF-8 stand as \xHH or
 * \u{H}, and a backslash as \\. Caller frees; NULL only for want of memory. */
char *text_escape_dup(const char *text);

/* Columns of a terminal that an escaped text takes. */
size_t text_columns(const char *text);

/* The same as text_escape_dup(), into `out` of `room` bytes (8 or more), of at most `columns` columns: what is longer is
 * cut, and ends with a mark. ascii: other characters are escaped, too. Returns the columns. */
size_t text_fit(char *out, size_t room, const char *text, size_t columns, bool ascii);

/* Bytes of the first line of an escaped text that is folded at blanks to so many columns (1 or more); what has no blank is
 * cut, and a character that is wider stays whole. 0: the text is empty. */
size_t text_fold(const char *text, size_t columns);

/* Whether `word` is one of those that `between` stands between. */
bool text_has_word(const char *words, char between, const char *word);

/* "317 B", "12.4 KiB", "3.0 GiB". Returns `out`. */
const char *text_bytes(char out[TEXT_FIGURE_MAX], uint64_t bytes);
/* "840 ns", "12.4 us", "3.02 ms", "61.0 s". Returns `out`. */
const char *text_duration(char out[TEXT_FIGURE_MAX], uint64_t ns);
const char *text_number(char out[TEXT_FIGURE_MAX], uint64_t number);
/* Seconds since 1970 as RFC 3339 has them, UTC. */
const char *text_moment(char out[TEXT_FIGURE_MAX], int64_t seconds);

/* Reads "500ms", "5s", "1m", "2h" or "5" (seconds). False: it is none of these. */
bool text_parse_duration(const char *text, uint64_t *ms);
/* Reads a decimal number below 2^63, nothing around it. */
bool text_parse_count(const char *text, uint64_t *count);
/* Reads "500us", "2ms", "1s" or "0" up to ten seconds. False: it is none of these. */
bool text_parse_pause(const char *text, uint64_t *us);
/* Reads "65536", "64KiB", "512MiB", "2GiB" or "1TiB", below 2^63 bytes. False: it is none of these. */
bool text_parse_bytes(const char *text, uint64_t *bytes);
/* Reads a decimal number from `lowest` to `highest`, nothing around it. */
bool text_parse_number(const char *text, unsigned long lowest, unsigned long highest, unsigned *number);

#endif
