/* JSON trees as bytes: one document or a row a line, plain or compressed, with large integers as they were asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "api/private.h"
#include "base/text.h"

#define EXACT_MAX ((json_int_t)1 << 53) /* below it, and above its negative, doubles are exact */

/* Integers that a double does not hold become strings, everywhere below. */
static void bigint_weave(json_t *json)
{
    const char *name;
    json_t *part;
    void *next;
    size_t at;
    json_object_foreach_safe(json, next, name, part)
    {
        json_int_t value = json_integer_value(part);
        if (value >= EXACT_MAX || value <= -EXACT_MAX)
            json_object_set_new(json, name, json_sprintf("%lld", (long long)value));
        bigint_weave(part);
    }
    for (at = 0; at < json_array_size(json); at++) {
        json_int_t value = json_integer_value(part = json_array_get(json, at));
        if (value >= EXACT_MAX || value <= -EXACT_MAX)
            json_array_set_new(json, at, json_sprintf("%lld", (long long)value));
        bigint_weave(part);
    }
}

static int text_take(const char *bytes, size_t count, void *text)
{
    text_add(text, bytes, count);
    return ((struct text *)text)->failed ? -1 : 0;
}

/* The rows of a list are its first member that is an array. */
static void lines_dump(const json_t *json, struct text *text)
{
    const char *name;
    json_t *part, *rows = NULL;
    json_object_foreach((json_t *)(uintptr_t)json, name, part)
        if (!rows && json_is_array(part))
            rows = part;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_dump_callback(json_array_get(rows, i), text_take, text, JSON_COMPACT);
        text_add(text, "\n", 1);
    }
}

/* gzip, RFC 1952. false: out of memory, and the text is as it was. */
static bool text_compress(struct text *text)
{
    z_stream stream = {.next_in = (unsigned char *)text->data, .avail_in = (unsigned)text->length};
    if (text->length > UINT32_MAX / 2 || deflateInit2(&stream, 5, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t room = deflateBound(&stream, text->length);
    unsigned char *out = malloc(room);
    stream.next_out = out;
    stream.avail_out = (unsigned)room;
    bool done = out && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (done) {
        free(text->data);
        *text = (struct text){.data = (char *)out, .length = stream.total_out, .room = room};
    } else {
        free(out);
    }
    deflateEnd(&stream);
    return done;
}

/* What a target may hold raw and a Link may not. */
static size_t link_put(char *out, size_t room, const char *text, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes && used + 4 < room; i++)
        used += (size_t)snprintf(out + used, room - used, strchr("<>\"\\^`{|}", text[i]) ? "%%%02X" : "%c", (unsigned char)text[i]);
    return used;
}

/* Link: the same query with the next page's cursor in it. */
static void link_add(const struct request *request, struct MHD_Response *response, const char *cursor)
{
    char text[3 * TARGET_MAX + CURSOR_BYTES + 32];
    const char *query = strchr(request->target, '?');
    size_t used = (size_t)snprintf(text, sizeof text, "<%.*s?", (int)strcspn(request->target, "?"), request->target);
    while (query && query[1]) {
        const char *word = query + 1;
        size_t length = strcspn(word, "&");
        if (length && strncmp(word, "cursor=", 7)) {
            used += link_put(text + used, sizeof text - used, word, length);
            text[used++] = '&';
        }
        query = word[length] ? word + length : NULL;
    }
    snprintf(text + used, sizeof text - used, "cursor=%s>; rel=\"next\"", cursor);
    MHD_add_response_header(response, "Link", text);
}

static void headers_add(struct MHD_Response *response, struct form form, const char *type, const char *etag)
{
    char weak[96];
    MHD_add_response_header(response, "Content-Type", form.lines ? "application/x-ndjson" : type);
    MHD_add_response_header(response, "Vary", "Accept, Accept-Encoding");
    if (form.gzip)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    snprintf(weak, sizeof weak, "%s%s", form.gzip ? "W/" : "", etag ? etag : "");
    if (etag)
        MHD_add_response_header(response, "ETag", weak);
    respond_headers(response, false);
}

struct MHD_Response *represent(const struct request *request, json_t *json, struct form form, const char *type,
                               const char *etag, size_t *size)
{
    struct text text = {.length = 0};
    char cursor[CURSOR_BYTES] = "";
    const char *next = json_string_value(json_object_get(json, "next_cursor"));
    if (next)
        snprintf(cursor, sizeof cursor, "%s", next);
    if (form.bigint)
        bigint_weave(json);
    if (form.lines)
        lines_dump(json, &text);
    else
        text.failed = json_dump_callback(json, text_take, &text, JSON_COMPACT);
    bool made = json && !text.failed;
    json_decref(json);
    form.gzip = made && form.gzip && text.length >= GZIP_LEAST_BYTES && text_compress(&text);
    struct MHD_Response *response =
        made ? MHD_create_response_from_buffer(text.length, text.data, text.length ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT) : NULL;
    if (!response) {
        text_free(&text);
        return NULL;
    }
    if (size)
        *size = text.length;
    headers_add(response, form, type, etag);
    if (*cursor)
        link_add(request, response, cursor);
    return response;
}
