/* The query: each parameter by its row of parameters.def, so that handlers see what is allowed and nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"

static const struct parameter_row rows[] = {
#define SEGMENT(name, allowed, help)
#define PARAMETER(word, name, kind, allowed, help) {#word, name, allowed, help, kind},
#include "api/parameters.def"
#undef PARAMETER
#undef SEGMENT
};

const struct parameter_row *parameter_row(const char *word, size_t bytes)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].word) == bytes && !strncmp(rows[i].word, word, bytes))
            return &rows[i];
    return NULL;
}

/* The row of a whitelist's word whose name this is. */
static const struct parameter_row *row_of(const char *whitelist, const char *name, size_t bytes)
{
    for (const char *word = whitelist; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        const struct parameter_row *row = parameter_row(word, length);
        if (row && strlen(row->name) == bytes && !strncmp(row->name, name, bytes))
            return row;
        word += length;
    }
    return NULL;
}

/* Whether `bytes` of the text are one of the words. */
static bool word_among(const char *words, const char *text, size_t bytes)
{
    for (const char *word = words; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (length == bytes && !strncmp(word, text, bytes))
            return true;
        word += length;
    }
    return false;
}

static bool list_good(const char *words, const char *value)
{
    size_t bytes = strcspn(value, ",");
    while (word_among(words, value, bytes)) {
        if (!value[bytes])
            return true;
        value += bytes + 1;
        bytes = strcspn(value, ",");
    }
    return false;
}

/* The two numbers of "LOW..HIGH". */
static void range_of(const char *allowed, uint64_t *low, uint64_t *high)
{
    char *end;
    *low = strtoull(allowed, &end, 10);
    *high = strtoull(end + 2, NULL, 10);
}

static bool value_good(const struct parameter_row *row, const char *value)
{
    uint64_t number, low = 0, high = 0;
    switch (row->kind) {
    case INTEGER:
        range_of(row->allowed, &low, &high);
        return parse_number(value, high, &number) && number >= low;
    case BOOLEAN:
        return !strcmp(value, "true") || !strcmp(value, "false");
    case WORD:
        return word_among(row->allowed, value, strlen(value));
    case SORT:
        value += *value == '+' || *value == '-';
        return word_among(row->allowed, value, strlen(value));
    case LIST:
        return list_good(row->allowed, value);
    case DURATION:
        return parse_duration(row->allowed, &high) && parse_duration(value, &number) && number <= high;
    case TEXT:
        range_of(row->allowed, &low, &high);
        return strlen(value) >= low && strlen(value) <= high;
    case PAIR:
        return strchr(value, ':') && *value != ':';
    }
    return false;
}

bool parameter_check(const struct parameter_row *row, const char *value, struct fault *fault)
{
    static const char *const musts[] = {
        [INTEGER] = "must be an integer, ", [BOOLEAN] = "must be true or false", [WORD] = "must be one of: ",
        [SORT] = "must be one of these, with + or - before it if you like: ",
        [LIST] = "must be some of these, separated by commas: ",
        [DURATION] = "must be digits and ms, s, m, h or d, like 5s; at most ", [TEXT] = "must be a text of so many bytes: ",
        [PAIR] = "must be key:value"};
    if (value_good(row, value))
        return true;
    snprintf(fault->detail, sizeof fault->detail, "%s %s%s", row->name, musts[row->kind], row->allowed);
    return false;
}

/* Says which parameters there are. Returns false. */
static bool unknown(const struct request *request, const char *name, size_t name_bytes, struct fault *fault)
{
    const char *whitelist = request->route->parameters;
    size_t bytes = sizeof fault->detail;
    size_t used = (size_t)snprintf(fault->detail, bytes, "query parameter %.*s is not known here; there %s",
                                   name_bytes < 32 ? (int)name_bytes : 32, name, *whitelist ? "are:" : "is none");
    for (const char *word = whitelist; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (used < bytes)
            used += (size_t)snprintf(fault->detail + used, bytes - used, " %s", parameter_row(word, length)->name);
        word += length;
    }
    return false;
}

/* One "name=value" of the query. bigint is known wherever JSON is answered. */
static bool parameter_read(struct request *request, const char *name, const char *end)
{
    struct fault *fault = &request->fault;
    const char *equals = memchr(name, '=', (size_t)(end - name));
    size_t name_bytes = (size_t)((equals ? equals : end) - name);
    const struct parameter_row *row = row_of(request->route->parameters, name, name_bytes);
    if (!row && route_json(request->route))
        row = row_of("bigint", name, name_bytes);
    snprintf(fault->parameter, sizeof fault->parameter, "%.*s", name_bytes < 31 ? (int)name_bytes : 31, name);
    if (!row)
        return unknown(request, name, name_bytes, fault);
    snprintf(fault->detail, sizeof fault->detail, "query parameter %s has no value, or stands twice", row->name);
    for (unsigned i = 0; i < request->parameter_count; i++)
        if (request->parameters[i].row == row && row->kind != PAIR)
            return false;
    if (!equals)
        return false;
    if (request->parameter_count == PARAMETERS_MAX) {
        snprintf(fault->detail, sizeof fault->detail, "the query has more than %u parameters", PARAMETERS_MAX);
        return false;
    }
    const char *value = target_decode(request, equals + 1, end, VALUE_BYTES);
    snprintf(fault->detail, sizeof fault->detail, "query parameter %s is malformed or too long", row->name);
    if (!value || !parameter_check(row, value, fault))
        return false;
    request->parameters[request->parameter_count++] = (struct parameter){row, value};
    fault->detail[0] = fault->parameter[0] = '\0';
    return true;
}

bool parameters_read(struct request *request)
{
    const char *at = strchr(request->target, '?');
    while (at && at[1]) {
        const char *name = at + 1;
        at = name + strcspn(name, "&");
        if (!parameter_read(request, name, at))
            return false;
        if (!*at)
            break;
    }
    return true;
}

const char *request_parameter(const struct request *request, const char *name)
{
    for (unsigned i = 0; i < request->parameter_count; i++)
        if (!strcmp(request->parameters[i].row->name, name))
            return request->parameters[i].value;
    return NULL;
}

uint64_t request_integer(const struct request *request, const char *name, uint64_t otherwise)
{
    const char *value = request_parameter(request, name);
    return value ? strtoull(value, NULL, 10) : otherwise;
}

bool request_flag(const struct request *request, const char *name)
{
    const char *value = request_parameter(request, name);
    return value && !strcmp(value, "true");
}

bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return value <= max;
}

bool parse_duration(const char *text, uint64_t *out_ns)
{
    static const struct { const char *word; uint64_t ns; } units[] = {
        {"ms", 1000000u}, {"s", 1000000000u}, {"m", 60000000000u}, {"h", 3600000000000u}, {"d", 86400000000000u}};
    char digits[16];
    size_t length = strspn(text, "0123456789");
    uint64_t value;
    if (!length || length >= sizeof digits)
        return false;
    snprintf(digits, sizeof digits, "%.*s", (int)length, text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(text + length, units[i].word) && parse_number(digits, UINT64_MAX / units[i].ns, &value)) {
            *out_ns = value * units[i].ns;
            return true;
        }
    return false;
}
