/* Bytes that grow, and how numbers and times are written. Zeroes are an empty text. Want of memory sets `failed`: what was there
 * stays, and nothing is added any more. */
#ifndef TALLY_BASE_TEXT_H
#define TALLY_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data;
    size_t length, room;
    bool failed;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_add_string(struct text *text, const char *string);
void text_add_number(struct text *text, uint64_t number);
/* Its decimal digits, not terminated; returns how many. */
#define TEXT_DIGITS 20u
size_t text_digits(char out[TEXT_DIGITS], uint64_t number);
/* Wall time in nanoseconds since 1970 as RFC 3339 writes it, in UTC and to the millisecond. */
#define TEXT_TIME 25u
void text_time(char out[TEXT_TIME], uint64_t wall_ns);
/* Forgets the content; keeps the memory unless there is much of it. */
void text_clear(struct text *text);
void text_free(struct text *text);

#endif
