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
    size_t at = 0, left = request->decoded_room - request->decoded_bytes;
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

/* The routes' paths cut into segments, once. */
static struct cut {
    bool lists; /* it can answer a row a line */
    bool json;  /* it answers by a schema */
    unsigned count;
    struct { const char *text; size_t bytes; } segments[SEGMENTS_MAX];
} cuts[sizeof routes / sizeof *routes];
static pthread_once_t cut_once = PTHREAD_ONCE_INIT;

static void cut_all(void)
{
    for (size_t i = 0; i < route_count; i++) {
        struct cut *cut = &cuts[i];
        cut->lists = strstr(routes[i].answers, "application/x-ndjson");
        for (const char *at = routes[i].answers; (at = strchr(at, ' ')); at++)
            cut->json |= at[1] >= 'A' && at[1] <= 'Z';
        for (const char *at = routes[i].path; *at && cut->count < SEGMENTS_MAX; cut->count++) {
            cut->segments[cut->count].text = ++at;
            cut->segments[cut->count].bytes = strcspn(at, "/");
            at += cut->segments[cut->count].bytes;
        }
    }
}

/* Whether the path's segments fit; a {x} fits any that is not empty. */
static bool path_fits(const struct request *request, const struct cut *cut)
{
    if (cut->count != request->segment_count)
        return false;
    for (unsigned i = cut->count; i-- > 0;) { /* most differ in the last one */
        const char *segment = request->segments[i], *text = cut->segments[i].text;
        size_t bytes = cut->segments[i].bytes;
        if (*text == '{' ? !*segment : strncmp(text, segment, bytes) || segment[bytes])
            return false;
    }
    return true;
}

/* All methods of the path; "" where there is none. */
static void allow_list(const struct request *request, char *allow, size_t bytes)
{
    size_t used = 0;
    *allow = '\0';
    for (size_t i = 0; i < route_count; i++)
        if (path_fits(request, &cuts[i]))
            used += (size_t)snprintf(allow + used, bytes - used, "%s%s%s", used ? ", " : "", routes[i].method,
                                     strcmp(routes[i].method, "GET") ? "" : ", HEAD");
    if (used)
        snprintf(allow + used, bytes - used, ", OPTIONS");
}

const struct route *route_find(const struct request *request, const char *method, bool *path_known,
                               char *allow, size_t allow_bytes)
{
    const char *sought = strcmp(method, "HEAD") ? method : "GET";
    pthread_once(&cut_once, cut_all);
    for (size_t i = 0; i < route_count; i++)
        if (path_fits(request, &cuts[i]) && !strcmp(routes[i].method, sought)) {
            *path_known = true;
            return &routes[i];
        }
    allow_list(request, allow, allow_bytes);
    *path_known = *allow;
    return NULL;
}

bool route_json(const struct route *route)
{
    pthread_once(&cut_once, cut_all);
    return cuts[route - routes].json;
}

/* Controls. What an administrator asks for may be answered with a secret, which is not to be kept. */
bool route_repeats(const struct route *route)
{
    return route->scope == CONTROL && !strcmp(route->method, "POST");
}

bool route_lists(const struct route *route)
{
    return cuts[route - routes].lists;
}

const char *request_segment(const struct request *request, const char *pattern)
{
    const struct cut *cut = &cuts[request->route - routes];
    size_t bytes = strlen(pattern);
    for (unsigned i = 0; i < cut->count; i++)
        if (cut->segments[i].bytes == bytes && !strncmp(cut->segments[i].text, pattern, bytes))
            return request->segments[i];
    return NULL;
}
