/* Bodies of controls: the first byte picks a route that takes one, what follows is the body. Whatever its schema refuses is
 * named, and of one that it allows every member is one that the schema knows. */
#include <stdlib.h>
#include <string.h>

#include "api/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *schemas;

static const struct route *route_pick(unsigned n)
{
    size_t count = 0;
    for (size_t i = 0; i < route_count; i++)
        count += routes[i].body != NULL;
    n %= (unsigned)count;
    for (size_t i = 0;; i++)
        if (routes[i].body && !n--)
            return &routes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char detail[DETAIL_BYTES] = "";
    if (!schemas)
        schemas = schemas_load();
    if (!schemas || !size)
        return 0;
    const struct route *route = route_pick(data[0]);
    struct request request = {.route = route, .body = (char *)(uintptr_t)(data + 1), .body_bytes = size - 1};
    json_t *json = body_parse(&request, detail, sizeof detail);
    if (!json && !*detail)
        abort();
    if (json && !schema_check(schemas, route->body, json, &request.fault) && !*request.fault.detail)
        abort();
    json_decref(json);
    return 0;
}
