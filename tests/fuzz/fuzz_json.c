/* Bodies: what is accepted is an object, and no deeper than the limit. */
#include <stdlib.h>

#include "api/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned depth_of(const json_t *json)
{
    unsigned deepest = 0;
    size_t at;
    const char *name;
    json_t *value;
    json_array_foreach((json_t *)(uintptr_t)json, at, value) {
        unsigned depth = depth_of(value);
        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach((json_t *)(uintptr_t)json, name, value) {
        unsigned depth = depth_of(value);
        deepest = depth > deepest ? depth : deepest;
    }
    return json_is_array(json) || json_is_object(json) ? deepest + 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char detail[160];
    struct request request = {.body = (char *)(uintptr_t)data, .body_bytes = size};
    json_t *json = body_parse(&request, detail, sizeof detail);
    if (json && (!json_is_object(json) || depth_of(json) > 16))
        abort();
    json_decref(json);
    return 0;
}
