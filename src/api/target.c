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

const char *target_decode(struct request *request, const char *from, const char *end, size_t room)
{
    char *out = request->decoded + request->decoded_bytes;
    size_t at = 0, left = sizeof request->decoded - request->decoded_bytes;
    for (; from < end; from++) {
        int byte = (unsigned char)*from;
        if (byte == '%') {
            if (end - from < 3 || hex(from[1]) < 0 || hex(from[2]) < 0)
                return NULL;
            byte = hex(from[1]) * 16 + hex(from[2]);
            from += 2;
        }
        if (byte == 0 || at + 1 >= room || at + 1 >= left)
            return NULL;
        out[at++] = (char)byte;
    }
    if (!left)
        return NULL;
    out[at] = '\0';
    request->decoded_bytes += at + 1;
    return out;
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
        const char *segment =
            request->segment_count < SEGMENTS_MAX ? target_decode(request, start, at, SEGMENT_BYTES) : NULL;
        if (!segment)
            return false;
        request->segments[request->segment_count++] = segment;
    }
    return true;
}

const struct route routes[] = {
#define ROUTE(method, path, scope, place, handler, parameters, body, answers, summary)                       \
    {method, path, scope, place, handler, parameters, body, answers, summary},
#include "api/routes.def"
#undef ROUTE
};
const size_t route_count = sizeof routes / sizeof *routes;

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
    for (size_t i = 0; i < route_count; i++) {
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
