/* Bodies: JSON objects of at most BODY_MAX bytes and DEPTH_MAX levels, no member twice. */
#include <stdio.h>
#include <string.h>

#include "api/private.h"

#define DEPTH_MAX 16

/* The parser recurses, so what is deep is refused before it runs. */
static bool too_deep(const char *text, size_t bytes)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++; /* what is escaped ends no string */
            else
                in_string = text[i] != '"';
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if (text[i] == '}' || text[i] == ']') {
            depth -= depth > 0;
        }
    }
    return false;
}

json_t *body_parse(const struct request *request, char *detail, size_t bytes)
{
    json_error_t error;
    if (too_deep(request->body, request->body_bytes)) {
        snprintf(detail, bytes, "it nests deeper than %d levels", DEPTH_MAX);
        return NULL;
    }
    json_t *json =
        json_loadb(request->body ? request->body : "", request->body_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        snprintf(detail, bytes, "line %d, column %d: %s", error.line, error.column, error.text);
    } else if (!json_is_object(json)) {
        snprintf(detail, bytes, "it must be an object");
        json_decref(json);
        json = NULL;
    }
    return json;
}
