/* The request's target: split while it is raw, decoded piece by piece, so that no %2f makes a segment and no
 * %00 ends one. */
#include <stdio.h>
#include <string.h>

#include "api/private.h"

static int hex(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* Decodes [from, end) into `room` bytes. false: malformed, a NUL, or too long. */
static bool decode(const char *from, const char *end, char *out, size_t room)
{
    size_t at = 0;
    for (; from < end; from++) {
        int byte = (unsigned char)*from;
        if (byte == '%') {
            if (end - from < 3 || hex(from[1]) < 0 || hex(from[2]) < 0)
                return false;
            byte = hex(from[1]) * 16 + hex(from[2]);
            from += 2;
        }
        if (byte == 0 || at + 1 >= room)
            return false;
        out[at++] = (char)byte;
    }
    out[at] = '\0';
    return true;
}

bool target_parse(struct request *request, const char **detail)
{
    const char *at = request->target;
    *detail = "the target must be a path";
    if (*at != '/')
        return false;
    const char *path_end = at + strcspn(at, "?");
    while (at < path_end) {
        const char *start = ++at;
        while (at < path_end && *at != '/')
            at++;
        *detail = "the path is malformed or too long";
        if (request->segment_count == SEGMENTS_MAX ||
            !decode(start, at, request->segments[request->segment_count], SEGMENT_BYTES))
            return false;
        request->segment_count++;
    }
    return true;
}

static const struct route routes[] = {
#define ROUTE(method, path, scope, handler, parameters, summary)                                             \
    {method, path, scope, handler, parameters, summary},
#include "api/routes.def"
#undef ROUTE
};
#define ROUTE_COUNT (sizeof routes / sizeof *routes)

/* Whether the path's segments fit; a {x} fits any that is not empty. */
static bool path_fits(const struct request *request, const char *path)
{
    for (unsigned i = 0; i < request->segment_count; i++) {
        const char *segment = request->segments[i];
        if (*path++ != '/')
            return false;
        size_t length = strcspn(path, "/");
        if (*path == '{' ? !*segment : strncmp(path, segment, length) || segment[length])
            return false;
        path += length;
    }
    return !*path;
}

const struct route *route_find(const struct request *request, const char *method, bool *path_known,
                               char *allow, size_t allow_bytes)
{
    const struct route *found = NULL;
    size_t used = 0;
    *path_known = false;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!path_fits(request, routes[i].path))
            continue;
        bool get = !strcmp(routes[i].method, "GET");
        int wrote = snprintf(allow + used, allow_bytes - used, "%s%s%s", *path_known ? ", " : "",
                             routes[i].method, get ? ", HEAD" : "");
        used += wrote > 0 ? (size_t)wrote : 0;
        *path_known = true;
        if (!strcmp(routes[i].method, method) || (get && !strcmp(method, "HEAD")))
            found = &routes[i];
    }
    if (*path_known)
        snprintf(allow + used, allow_bytes - used, ", OPTIONS");
    return found;
}

/* The whitelist's word that a raw name stands for, or NULL. */
static const char *parameter_word(const char *whitelist, const char *name, size_t bytes)
{
    for (const char *word = whitelist; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (length == bytes && !strncmp(word, name, bytes))
            return word;
        word += length;
    }
    return NULL;
}

bool target_parameters(struct request *request, char *detail, size_t detail_bytes)
{
    const char *at = strchr(request->target, '?');
    while (at && at[1]) {
        const char *name = at + 1;
        at = name + strcspn(name, "&");
        const char *equals = memchr(name, '=', (size_t)(at - name));
        size_t name_bytes = (size_t)((equals ? equals : at) - name);
        struct parameter *parameter = &request->parameters[request->parameter_count];
        const char *word = parameter_word(request->route->parameters, name, name_bytes);
        snprintf(detail, detail_bytes, "query parameter %.*s", name_bytes < 32 ? (int)name_bytes : 32, name);
        if (!word || !name_bytes || !equals || request->parameter_count == PARAMETERS_MAX ||
            !decode(equals + 1, at, parameter->value, sizeof parameter->value))
            return false;
        parameter->name = word;
        parameter->name_bytes = name_bytes;
        for (unsigned i = 0; i < request->parameter_count; i++)
            if (request->parameters[i].name == word && strncmp(word, "label", 5))
                return false;
        request->parameter_count++;
        if (!*at)
            break;
    }
    return true;
}

const char *request_parameter(const struct request *request, const char *name)
{
    for (unsigned i = 0; i < request->parameter_count; i++)
        if (request->parameters[i].name_bytes == strlen(name) &&
            !strncmp(request->parameters[i].name, name, request->parameters[i].name_bytes))
            return request->parameters[i].value;
    return NULL;
}

const char *request_segment(const struct request *request, const char *pattern)
{
    const char *path = request->route->path;
    for (unsigned i = 0; i < request->segment_count; i++) {
        path++;
        size_t length = strcspn(path, "/");
        if (length == strlen(pattern) && !strncmp(path, pattern, length))
            return request->segments[i];
        path += length;
    }
    return NULL;
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

/* 250ms or 5s, at most a minute. */
bool parse_duration(const char *text, uint64_t *out_ns)
{
    char digits[16];
    size_t length = strspn(text, "0123456789");
    uint64_t unit = !strcmp(text + length, "ms") ? 1000000u : !strcmp(text + length, "s") ? 1000000000u : 0;
    if (!unit || !length || length >= sizeof digits)
        return false;
    snprintf(digits, sizeof digits, "%.*s", (int)length, text);
    uint64_t value;
    if (!parse_number(digits, WAIT_MAX_NS / unit, &value))
        return false;
    *out_ns = value * unit;
    return true;
}
