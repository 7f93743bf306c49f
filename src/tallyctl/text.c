#include "tallyctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

/* The code point at `text` and the bytes it takes, or 0 bytes where that is not well-formed UTF-8. */
static size_t decode(const unsigned char *text, uint32_t *point)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = text[0] < 0x80       ? 1
                   : text[0] >> 5 == 6  ? 2
                   : text[0] >> 4 == 14 ? 3
                   : text[0] >> 3 == 30 ? 4
                                        : 0;
    if (bytes == 0)
        return 0;
    uint32_t value = bytes == 1 ? text[0] : text[0] & (0x7Fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        value = value << 6 | (text[i] & 0x3Fu);
    }
    if (value < lowest[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *point = value;
    return bytes;
}

/* Characters that steer a terminal or the direction of what follows, or hide. */
static bool is_steering(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x61C || (point >= 0x200B && point <= 0x200F) ||
           (point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF;
}

/* What stands for the beginning of a text: it is taken over or escaped. */
struct piece {
    size_t taken; /* bytes of the text */
    unsigned columns;
    char text[TEXT_PIECE_MAX];
};

/* A character of no width joins the one before it: two of them may, behind one that there is. */
static bool may_join(unsigned *joined, int columns)
{
    *joined = columns ? 0 : *joined + 1;
    return *joined <= 2;
}

/* joined: how many of no width stand before; at the text's beginning so many that none may. */
static void piece_take(struct piece *piece, const char *text, bool ascii, unsigned *joined)
{
    uint32_t point = 0;
    size_t bytes = decode((const unsigned char *)text, &point);
    int columns = bytes ? point < 0x80 ? 1 : wcwidth((wchar_t)point) : -1;
    piece->taken = bytes ? bytes : 1;
    bool plain = bytes && point != '\\' && !is_steering(point) && columns >= 0 && !(ascii && point >= 0x80);
    if (plain && may_join(joined, columns)) {
        memcpy(piece->text, text, bytes);
        piece->text[bytes] = '\0';
        piece->columns = (unsigned)columns;
        return;
    }
    if (point == '\\')
        snprintf(piece->text, sizeof piece->text, "\\\\");
    else if (bytes == 0 || point < 0x80)
        snprintf(piece->text, sizeof piece->text, "\\x%02x", (unsigned)(unsigned char)*text);
    else
        snprintf(piece->text, sizeof piece->text, "\\u{%x}", (unsigned)point);
    piece->columns = (unsigned)strlen(piece->text);
    *joined = 0;
}

char *text_escape_dup(const char *text)
{
    char *escaped = malloc(strlen(text) * (TEXT_PIECE_MAX - 1) + 1);
    if (!escaped)
        return NULL;
    char *out = escaped;
    unsigned joined = 2;
    struct piece piece;
    for (*out = '\0'; *text; text += piece.taken) {
        piece_take(&piece, text, false, &joined);
        out = stpcpy(out, piece.text);
    }
    return escaped;
}

/* Bytes of one character of an escaped text, and the columns that it takes. */
static size_t character(const char *text, size_t *columns)
{
    uint32_t point = 0;
    size_t bytes = decode((const unsigned char *)text, &point);
    int width = bytes ? wcwidth((wchar_t)point) : 1;
    *columns = width < 0 ? 1 : (size_t)width;
    return bytes ? bytes : 1;
}

size_t text_columns(const char *text)
{
    size_t columns = 0, width;
    for (; *text; columns += width)
        text += character(text, &width);
    return columns;
}

size_t text_fold(const char *text, size_t columns)
{
    size_t bytes = 0, blank = 0, used = 0, width, next;
    for (; text[bytes]; bytes += next, used += width) {
        next = character(text + bytes, &width);
        if (text[bytes] == ' ')
            blank = bytes;
        if (bytes && used + width > columns)
            return blank ? blank : bytes;
    }
    return bytes;
}

size_t text_fit(char *out, size_t room, const char *text, size_t columns, bool ascii)
{
    unsigned joined = 2;
    struct piece piece;
    size_t used = 0, cut = 0, cut_used = 0, bytes = 0, cut_bytes = 0;
    *out = '\0';
    for (; *text; text += piece.taken) {
        piece_take(&piece, text, ascii, &joined);
        size_t length = strlen(piece.text);
        if (used + 1 <= columns && bytes + 4 < room) /* so far there is room for the mark of a cut */
            cut = 1, cut_used = used, cut_bytes = bytes;
        if (used + piece.columns > columns || bytes + length + 1 > room)
            break;
        memcpy(out + bytes, piece.text, length + 1);
        used += piece.columns;
        bytes += length;
    }
    if (!*text || !cut)
        return used;
    memcpy(out + cut_bytes, ascii ? "~" : "…", ascii ? 2 : 4);
    return cut_used + 1;
}

bool text_has_word(const char *words, char between, const char *word)
{
    size_t length = strlen(word);
    while (length && *words) {
        const char *end = strchrnul(words, between);
        if ((size_t)(end - words) == length && memcmp(words, word, length) == 0)
            return true;
        words = *end ? end + 1 : end;
    }
    return false;
}

/* Three significant digits: 1.23, 12.3, 123. */
static int precision(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

const char *text_bytes(char out[TEXT_FIGURE_MAX], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(out, TEXT_FIGURE_MAX, "%u B", (unsigned)bytes);
        return out;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    snprintf(out, TEXT_FIGURE_MAX, "%.1f %s", value, units[unit]);
    return out;
}

const char *text_duration(char out[TEXT_FIGURE_MAX], uint64_t ns)
{
    if (ns < 1000) {
        snprintf(out, TEXT_FIGURE_MAX, "%u ns", (unsigned)ns);
        return out;
    }
    const char *unit = ns < 1000000 ? "us" : ns < 1000000000 ? "ms" : "s";
    double value = (double)ns / (ns < 1000000 ? 1e3 : ns < 1000000000 ? 1e6 : 1e9);
    snprintf(out, TEXT_FIGURE_MAX, "%.*f %s", precision(value), value, unit);
    return out;
}

const char *text_number(char out[TEXT_FIGURE_MAX], uint64_t number)
{
    snprintf(out, TEXT_FIGURE_MAX, "%llu", (unsigned long long)number);
    return out;
}

const char *text_moment(char out[TEXT_FIGURE_MAX], int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm utc;
    if (!gmtime_r(&time, &utc) || !strftime(out, TEXT_FIGURE_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc))
        snprintf(out, TEXT_FIGURE_MAX, "?");
    return out;
}

struct unit {
    const char *word;
    uint64_t size;
};

/* Digits and the word of a unit; *out is their product, at most `most`, and left alone on failure. */
static bool parse_scaled(const char *text, const struct unit *units, size_t count, uint64_t most,
                         uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 19)
        return false;
    uint64_t number = strtoull(text, NULL, 10);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text + digits, units[i].word) == 0 && number <= most / units[i].size) {
            *out = number * units[i].size;
            return true;
        }
    }
    return false;
}
#define PARSE_SCALED(text, units, most, out) \
    parse_scaled(text, units, sizeof(units) / sizeof((units)[0]), most, out)

bool text_parse_duration(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
    return PARSE_SCALED(text, units, INT64_MAX, ms);
}

bool text_parse_count(const char *text, uint64_t *count)
{
    static const struct unit none[] = {{"", 1}};
    return PARSE_SCALED(text, none, INT64_MAX, count);
}

bool text_parse_pause(const char *text, uint64_t *us)
{
    static const struct unit units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    static const struct unit none[] = {{"", 1}};
    return PARSE_SCALED(text, units, 10000000, us) || PARSE_SCALED(text, none, 0, us);
}

bool text_parse_bytes(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"KiB", (uint64_t)1 << 10},
                                        {"MiB", (uint64_t)1 << 20},
                                        {"GiB", (uint64_t)1 << 30},
                                        {"TiB", (uint64_t)1 << 40}};
    return PARSE_SCALED(text, units, INT64_MAX, bytes);
}

bool text_parse_number(const char *text, unsigned long lowest, unsigned long highest, unsigned *number)
{
    if (*text < '0' || *text > '9' || strlen(text) > 10)
        return false;
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value < lowest || value > highest)
        return false;
    *number = (unsigned)value;
    return true;
}
