/* The text of a metrics page, and what a request for one says. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/metrics_page.h"

static void room_make(struct text *text, size_t more)
{
    size_t room = text->room ? text->room : 65536;
    if (text->failed || more <= text->room - text->count)
        return;
    while (room - text->count < more)
        room *= 2;
    char *grown = realloc(text->bytes, room);
    if (!grown) {
        text->failed = true;
        return;
    }
    text->bytes = grown;
    text->room = room;
}

void put_bytes(struct text *text, const char *bytes, size_t count)
{
    room_make(text, count);
    if (text->failed)
        return;
    memcpy(text->bytes + text->count, bytes, count);
    text->count += count;
}

void put_string(struct text *text, const char *string)
{
    put_bytes(text, string, strlen(string));
}

void put_number(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    put_bytes(text, digits + at, sizeof digits - at);
}

void put_seconds(struct text *text, uint64_t ns)
{
    char digits[10];
    uint64_t rest = ns % 1000000000u;
    size_t count = sizeof digits;
    put_number(text, ns / 1000000000u);
    if (!rest)
        return;
    digits[0] = '.';
    for (size_t at = sizeof digits - 1; at; at--, rest /= 10)
        digits[at] = (char)('0' + rest % 10);
    while (digits[count - 1] == '0')
        count--;
    put_bytes(text, digits, count);
}

/* The longest part of whole characters within the limit. */
static size_t value_bytes(const char *value)
{
    size_t bytes = strnlen(value, METRICS_VALUE_BYTES + 1);
    if (bytes <= METRICS_VALUE_BYTES)
        return bytes;
    for (bytes = METRICS_VALUE_BYTES; bytes && ((unsigned char)value[bytes] & 0xc0) == 0x80;)
        bytes--;
    return bytes;
}

int value_order(const char *a, const char *b)
{
    size_t bytes = value_bytes(a), others = value_bytes(b);
    int order = memcmp(a, b, bytes < others ? bytes : others);
    return order ? order : (bytes > others) - (bytes < others);
}

void put_value(struct text *text, const char *value)
{
    size_t bytes = value_bytes(value), from = 0;
    put_bytes(text, "\"", 1);
    for (size_t at = 0; at < bytes; at++) {
        if (value[at] != '"' && value[at] != '\\' && value[at] != '\n')
            continue;
        put_bytes(text, value + from, at - from);
        put_string(text, value[at] == '\n' ? "\\n" : value[at] == '"' ? "\\\"" : "\\\\");
        from = at + 1;
    }
    put_bytes(text, value + from, bytes - from);
    put_bytes(text, "\"", 1);
}

/* ---- ?detail= */

static const struct {
    const char *word;
    unsigned bit;
} details[] = {
#define DETAIL(name, bit, word) {word, bit},
    METRICS_DETAILS(DETAIL)
#undef DETAIL
};

static unsigned detail_bit(const char *word, size_t bytes)
{
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        if (strlen(details[i].word) == bytes && !strncmp(details[i].word, word, bytes))
            return details[i].bit;
    return 0;
}

bool metrics_detail_parse(const char *text, unsigned *detail, char *why, size_t why_bytes)
{
    *detail = 0;
    for (const char *at = text; *text; at++) {
        size_t bytes = strcspn(at, ",");
        unsigned bit = detail_bit(at, bytes);
        if (!bit) {
            snprintf(why, why_bytes, "'%.*s' is none of app, process, heaps, histograms, more, types", (int)(bytes < 40 ? bytes : 40), at);
            return false;
        }
        *detail |= bit;
        at += bytes;
        if (!*at)
            break;
    }
    unsigned scope = *detail & METRICS_SCOPES;
    if (scope & (scope - 1))
        snprintf(why, why_bytes, "one of app, process and heaps, not several");
    else if (scope == METRICS_APP && (*detail & METRICS_TYPES))
        snprintf(why, why_bytes, "types are those of a process: not with app");
    else
        return true;
    return false;
}

/* ---- Accept */

/* Thousandths of the q of an element; malformed: 0. */
static unsigned quality(const char *element, size_t bytes)
{
    for (const char *at = element; (at = memchr(at, ';', bytes - (size_t)(at - element)));) {
        at++;
        while (at < element + bytes && (*at == ' ' || *at == '\t'))
            at++;
        if (at + 2 > element + bytes || (*at != 'q' && *at != 'Q') || at[1] != '=')
            continue;
        char digits[8] = "";
        snprintf(digits, sizeof digits, "%.*s", (int)(element + bytes - at - 2), at + 2);
        double q = isdigit((unsigned char)*digits) ? strtod(digits, NULL) : 0;
        return q > 1 ? 0 : (unsigned)(q * 1000 + 0.5);
    }
    return 1000;
}

static bool is_type(const char *element, size_t bytes, const char *type)
{
    size_t length = strlen(type);
    return bytes >= length && !strncasecmp(element, type, length) &&
           (bytes == length || strchr("; \t", element[length]));
}

/* By name alone: who takes anything gets the older format. */
bool metrics_accept_open(const char *accept)
{
    unsigned open = 0, text = 0;
    while (accept && *accept) {
        accept += strspn(accept, " \t,");
        size_t bytes = strcspn(accept, ",");
        unsigned q = bytes ? quality(accept, bytes) : 0;
        if (is_type(accept, bytes, "application/openmetrics-text") && q > open)
            open = q;
        if (is_type(accept, bytes, "text/plain") && q > text)
            text = q;
        accept += bytes;
    }
    return open && open >= text;
}
