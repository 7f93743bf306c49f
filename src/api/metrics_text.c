/* The text of a metrics page, and what a request for one says. */
#include <stdio.h>
#include <string.h>

#include "api/metrics_page.h"
#include "api/respond.h"

void put_seconds(struct text *text, uint64_t ns)
{
    char digits[10];
    uint64_t rest = ns % 1000000000u;
    size_t count = sizeof digits;
    text_add_number(text, ns / 1000000000u);
    if (!rest)
        return;
    digits[0] = '.';
    for (size_t at = sizeof digits - 1; at; at--, rest /= 10)
        digits[at] = (char)('0' + rest % 10);
    while (digits[count - 1] == '0')
        count--;
    text_add(text, digits, count);
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
    text_add(text, "\"", 1);
    for (size_t at = 0; at < bytes; at++) {
        if (value[at] != '"' && value[at] != '\\' && value[at] != '\n')
            continue;
        text_add(text, value + from, at - from);
        text_add_string(text, value[at] == '\n' ? "\\n" : value[at] == '"' ? "\\\"" : "\\\\");
        from = at + 1;
    }
    text_add(text, value + from, bytes - from);
    text_add(text, "\"", 1);
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
            snprintf(why, why_bytes, "'%.*s' is none of app, process, heaps, own, histograms, more, types", (int)(bytes < 40 ? bytes : 40), at);
            return false;
        }
        *detail |= bit;
        at += bytes;
        if (!*at)
            break;
    }
    unsigned scope = *detail & METRICS_SCOPES;
    if (scope & (scope - 1))
        snprintf(why, why_bytes, "one of app, process, heaps and own, not several");
    else if (scope == METRICS_OWN && *detail != METRICS_OWN)
        snprintf(why, why_bytes, "own are tallyd's: alone");
    else if (scope == METRICS_APP && (*detail & METRICS_TYPES))
        snprintf(why, why_bytes, "types are those of a process: not with app");
    else
        return true;
    return false;
}

/* By name alone: who takes anything gets the older format. */
bool metrics_accept_open(const char *accept)
{
    double open = accept_weight(accept, "application/openmetrics-text");
    return open > 0 && open >= accept_weight(accept, "text/plain");
}
