#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_BYTES ((size_t)1 << 16)

static bool text_reserve(struct text *text, size_t more)
{
    if (text->failed || more <= text->room - text->length)
        return !text->failed;
    size_t room = text->room ? text->room : 128;
    while (room - text->length < more)
        room *= 2;
    char *data = realloc(text->data, room);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

void text_add(struct text *text, const char *bytes, size_t length)
{
    if (!length || !text_reserve(text, length))
        return;
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

size_t text_digits(char out[TEXT_DIGITS], uint64_t number)
{
    char digits[TEXT_DIGITS];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

void text_add_number(struct text *text, uint64_t number)
{
    char digits[TEXT_DIGITS];
    text_add(text, digits, text_digits(digits, number));
}

void text_time(char out[TEXT_TIME], uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / 1000000000u);
    struct tm utc; /* its year has four digits: 2^64 ns end in 2554 */
    gmtime_r(&seconds, &utc);
    size_t at = strftime(out, TEXT_TIME, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + at, TEXT_TIME - at, ".%03uZ", (unsigned)(wall_ns / 1000000u % 1000u));
}

void text_clear(struct text *text)
{
    text->length = 0;
    if (text->room > KEPT_BYTES) {
        free(text->data);
        text->data = NULL;
        text->room = 0;
    }
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){.failed = text->failed};
}
