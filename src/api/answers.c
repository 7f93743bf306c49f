/* How many answers there were, by route and status: counted where they are handed to libmicrohttpd. */
#include <stdlib.h>

#include "api/private.h"

/* What we answer; anything else counts as the last. */
static const unsigned codes[] = {200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 409, 410, 412,
                                 413, 415, 421, 422, 429, 431, 500, 501, 503, 507, 0};
#define CODES (sizeof codes / sizeof *codes)

/* A row a route, then one for files of the page and one for what is at no route. */
bool answers_init(struct api *api)
{
    api->answers = calloc((route_count + 2) * CODES, sizeof *api->answers);
    return api->answers;
}

void answers_count(const struct request *request, unsigned status)
{
    size_t row = request->route ? (size_t)(request->route - routes) : route_count + !request->page, code = 0;
    while (codes[code] && codes[code] != status)
        code++;
    atomic_fetch_add_explicit(&request->api->answers[row * CODES + code], 1, memory_order_relaxed);
}

static void answer_list(const struct api *api, size_t row, struct metrics_request *list, size_t *count)
{
    struct metrics_request each = {.method = "", .path = row == route_count ? "page" : "none"};
    if (row < route_count)
        each = (struct metrics_request){.method = routes[row].method, .path = routes[row].path};
    for (size_t code = 0; code < CODES; code++) {
        each.code = codes[code];
        each.count = atomic_load_explicit(&api->answers[row * CODES + code], memory_order_relaxed);
        if (each.count)
            list[(*count)++] = each;
    }
}

struct metrics_request *answers_list_new(const struct api *api, size_t *count)
{
    struct metrics_request *list = malloc((route_count + 2) * CODES * sizeof *list);
    *count = 0;
    for (size_t row = 0; list && row < route_count + 2; row++)
        answer_list(api, row, list, count);
    return list;
}
