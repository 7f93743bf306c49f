/* The rows of options.def, and what the text of a value means. */
#include <stdlib.h>
#include <string.h>

#include "tallyd/tallyd.h"
#include "wire/message.h"

#define TEXT_MAX 255u

const struct option_row option_rows[OPTIONS] = {
#define OPTION(section, name, kind, argument, member, allowed, standard, reload, help)                                 \
    {section, name, OPTION_##kind, argument, offsetof(struct options, member), allowed, standard, reload, help},
#include "tallyd/options.def"
#undef OPTION
};

struct unit {
    const char *word;
    int64_t factor;
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1},          {"B", 1},          {"KiB", 1 << 10},
                                         {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", (int64_t)1 << 40},
                                         {NULL, 0}};
static const struct unit time_units[] = {{"", 1000000000},
                                         {"ms", 1000000},
                                         {"s", 1000000000},
                                         {"m", 60 * (int64_t)1000000000},
                                         {"h", 3600 * (int64_t)1000000000},
                                         {"d", 86400 * (int64_t)1000000000},
                                         {NULL, 0}};

/* Digits and a unit, nothing before, between or behind. */
static bool quantity_parse(const char *text, size_t bytes, const struct unit *units, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 18 || digits > bytes)
        return false;
    for (; units->word; units++)
        if (strlen(units->word) == bytes - digits && !memcmp(text + digits, units->word, bytes - digits))
            return !__builtin_mul_overflow(strtoll(text, NULL, 10), units->factor, out);
    return false;
}

static const struct unit *units_of(enum option_kind kind)
{
    return kind == OPTION_SIZE ? size_units : kind == OPTION_DURATION ? time_units : no_units;
}

/* allowed is "LEAST..MOST", in the row's own units. */
static bool quantity_set(const struct option_row *row, const char *text, int64_t *out)
{
    const struct unit *units = units_of(row->kind);
    const char *dots = strstr(row->allowed, "..");
    int64_t least, most, value;
    if (!quantity_parse(row->allowed, (size_t)(dots - row->allowed), units, &least) ||
        !quantity_parse(dots + 2, strlen(dots + 2), units, &most) ||
        !quantity_parse(text, strlen(text), units, &value) || value < least || value > most)
        return false;
    *out = value;
    return true;
}

static bool flag_parse(const char *text, bool *out)
{
    *out = !strcmp(text, "yes");
    return *out || !strcmp(text, "no");
}

static bool is_word(const char *words, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = words; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (length && strcspn(at, "|") == length && !memcmp(at, text, length))
            return true;
    return false;
}

/* A name as a Host header has it: no scheme, path or user. */
static bool is_host(const char *text)
{
    char host[TEXT_MAX + 1], port[8];
    size_t length = strlen(text);
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:") != length)
        return false;
    return !strchr(text, ':') || address_split(text, host, sizeof host, port, sizeof port) ||
           (*text == '[' && text[length - 1] == ']');
}

static bool text_is_allowed(const struct option_row *row, const char *text)
{
    char host[64], port[8];
    if (!*text || strlen(text) > TEXT_MAX || !wire_text_valid(text, strlen(text)))
        return false;
    switch (row->kind) {
    case OPTION_WORD: return is_word(row->allowed, text);
    case OPTION_ADDRESS: return address_split(text, host, sizeof host, port, sizeof port);
    case OPTION_HOST: return is_host(text);
    default: return true;
    }
}

bool option_set(const struct option_row *row, struct options *options, const char *text)
{
    void *member = (char *)options + row->offset;
    switch (row->kind) {
    case OPTION_FLAG: return flag_parse(text, member);
    case OPTION_NUMBER:
    case OPTION_SIZE:
    case OPTION_DURATION: return quantity_set(row, text, member);
    default:
        if (!text_is_allowed(row, text))
            return false;
        *(const char **)member = text;
        return true;
    }
}

void option_allowed(const struct option_row *row, char *out, size_t bytes)
{
    const char *dots = row->allowed ? strstr(row->allowed, "..") : NULL;
    int least = dots ? (int)(dots - row->allowed) : 0;
    const char *most = dots ? dots + 2 : "";
    switch (row->kind) {
    case OPTION_FLAG: snprintf(out, bytes, "must be yes or no"); break;
    case OPTION_NUMBER: snprintf(out, bytes, "must be a number from %.*s to %s", least, row->allowed, most); break;
    case OPTION_SIZE:
        snprintf(out, bytes, "must be a size from %.*s to %s, such as 64MiB (B, KiB, MiB, GiB, TiB)", least,
                 row->allowed, most);
        break;
    case OPTION_DURATION:
        snprintf(out, bytes, "must be a time from %.*s to %s, such as 90s (ms, s, m, h, d)", least, row->allowed,
                 most);
        break;
    case OPTION_WORD: snprintf(out, bytes, "must be one of %s", row->allowed); break;
    case OPTION_TEXT: snprintf(out, bytes, "must be a text of 1 to %u bytes", TEXT_MAX); break;
    case OPTION_PATH: snprintf(out, bytes, "must be a path of 1 to %u bytes", TEXT_MAX); break;
    case OPTION_ADDRESS: snprintf(out, bytes, "must be HOST:PORT, such as 127.0.0.1:7717 or [::1]:0"); break;
    case OPTION_HOST: snprintf(out, bytes, "must be HOST or HOST:PORT, such as tally.example.org"); break;
    }
}

bool address_split(const char *text, char *host, size_t host_bytes, char *port, size_t port_bytes)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = *text == '[';
    if (!colon || colon == text || (bracketed && colon[-1] != ']'))
        return false;
    const char *start = text + bracketed, *end = colon - bracketed;
    size_t port_length = strlen(colon + 1);
    if ((size_t)(end - start) >= host_bytes || end <= start || !port_length || port_length >= port_bytes ||
        port_length > 5 || strspn(colon + 1, "0123456789") != port_length || strtoul(colon + 1, NULL, 10) > 65535 ||
        (!bracketed && memchr(start, ':', (size_t)(end - start))))
        return false;
    snprintf(host, host_bytes, "%.*s", (int)(end - start), start);
    snprintf(port, port_bytes, "%s", colon + 1);
    return true;
}
