/* Targets: the first byte picks a route, whose path is filled in, and what follows is its query; or (0) what follows is the
 * whole target. Whatever is accepted has the values that parameters.def allows, each once, and is text. */
#include <stdlib.h>
#include <string.h>

#include "api/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "/v1/processes/{id}" with a 1 for each {…}. */
static size_t path_fill(const char *pattern, char *out)
{
    size_t at = 0;
    for (; *pattern; pattern++) {
        out[at++] = *pattern == '{' ? '1' : *pattern;
        if (*pattern == '{')
            pattern = strchr(pattern, '}');
    }
    return at;
}

static void values_check(const struct request *request)
{
    for (unsigned i = 0; i < request->parameter_count; i++) {
        const char *value = request->parameters[i].value;
        if (!value || strlen(value) >= VALUE_BYTES || request->parameter_count > PARAMETERS_MAX)
            abort();
    }
    request_integer(request, "limit", 0);
    request_flag(request, "histograms");
}

static void target_try(char *target, size_t bytes)
{
    char allow[64], *decoded = malloc(2 * bytes + 2);
    const char *why = NULL;
    bool known;
    struct request request = {.target = target, .decoded = decoded, .decoded_room = 2 * bytes + 2};
    if (!decoded)
        abort();
    if (target_parse(&request, &why)) {
        request.route = route_find(&request, "GET", &known, allow, sizeof allow);
        if (request.route && parameters_read(&request))
            values_check(&request);
        else if (request.route && !*request.fault.detail)
            abort(); /* what is wrong is named */
    } else if (!why) {
        abort();
    }
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 3000)
        return 0;
    char *target = calloc(1, size + 256);
    if (!target)
        abort();
    size_t bytes = data[0] ? path_fill(routes[data[0] % route_count].path, target) : 0;
    if (data[0])
        target[bytes++] = '?';
    memcpy(target + bytes, data + 1, size - 1);
    target_try(target, strlen(target));
    free(target);
    return 0;
}
