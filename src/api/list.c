#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"

/* ---- cursors: where a page ended, as the JSON array [word, down, number, text, id, part] in base64url (RFC 4648, 5) */

static json_t *cursor_encode(const char *text)
{
    size_t length = strlen(text);
    struct base64_encode_ctx context;
    char out[BASE64_ENCODE_LENGTH(CURSOR_BYTES) + BASE64_ENCODE_FINAL_LENGTH];
    if (length > CURSOR_BYTES)
        return json_null();
    base64url_encode_init(&context);
    size_t used = base64_encode_update(&context, out, length, (const uint8_t *)text);
    used += base64_encode_final(&context, out + used);
    while (used && out[used - 1] == '=') /* for the URL's sake */
        used--;
    return json_stringn(out, used);
}

/* false: it is none, or too long. */
static bool cursor_decode(const char *cursor, char out[CURSOR_BYTES])
{
    struct base64_decode_ctx context;
    uint8_t bytes[BASE64_DECODE_LENGTH(CURSOR_BYTES)];
    size_t length = strlen(cursor), used = sizeof bytes;
    base64url_decode_init(&context);
    if (length > CURSOR_BYTES || !base64_decode_update(&context, &used, bytes, length, cursor))
        return false;
    memcpy(out, bytes, used);
    out[used] = '\0';
    return strlen(out) == used;
}

static json_t *cursor_make(const struct list *list, const struct list_row *row)
{
    json_t *json = json_pack("[s, b, I, s, s, I]", list->word, list->down, (json_int_t)row->number, row->text ? row->text : "", row->id,
                             (json_int_t)row->part);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_t *cursor = text ? cursor_encode(text) : json_null();
    free(text);
    json_decref(json);
    return cursor;
}

/* The row where the last page ended, whose texts live as long as *json, a new reference; NULL: it is not one of ours. */
static json_t *cursor_read(const char *cursor, const char *word, bool down, struct list_row *row)
{
    char text[CURSOR_BYTES];
    const char *its_word, *its_text, *id;
    json_int_t number, part;
    int its_down;
    json_t *json = cursor_decode(cursor, text) ? json_loads(text, 0, NULL) : NULL;
    if (json && !json_unpack(json, "[s, b, I, s, s, I!]", &its_word, &its_down, &number, &its_text, &id, &part) &&
        !strcmp(word, its_word) && down == its_down) {
        *row = (struct list_row){.number = (uint64_t)number, .text = its_text, .id = id, .part = (uint64_t)part};
        return json;
    }
    json_decref(json);
    return NULL;
}

bool list_cursor_check(struct request *request, const char *word, bool down, enum MHD_Result *answered)
{
    const char *cursor = request_parameter(request, "cursor");
    struct list_row row;
    json_t *json = cursor ? cursor_read(cursor, word, down, &row) : NULL;
    if (cursor && !json)
        *answered = respond_fault(request, "cursor", NULL, "cursor must be the next_cursor of a page of the same sort");
    json_decref(json);
    return !cursor || json;
}

/* ---- pages */

const char *list_sort(const struct request *request, const char *otherwise, bool *down)
{
    const char *sort = request_parameter(request, "sort");
    *down = true;
    if (!sort)
        return otherwise;
    bool sign = *sort == '+' || *sort == '-';
    *down = sign ? *sort == '-' : strcmp(sort, "name") != 0;
    return sort + sign;
}

static int row_order(const void *a, const void *b, void *arg)
{
    const struct list_row *one = a, *two = b;
    const struct list *list = arg;
    int order = one->number < two->number ? -1 : one->number > two->number;
    if (!order && one->text && two->text)
        order = strcmp(one->text, two->text);
    if (order)
        return list->down ? -order : order;
    order = strcmp(one->id, two->id);
    return order ? order : one->part < two->part ? -1 : one->part > two->part;
}

json_t *list_page(struct request *request, struct list *list, size_t most, size_t *from, size_t *to)
{
    const char *cursor = request_parameter(request, "cursor");
    uint64_t limit = request_integer(request, "limit", most);
    struct list_row last;
    json_t *read = cursor ? cursor_read(cursor, list->word, list->down, &last) : NULL;
    qsort_r(list->rows, list->count, sizeof *list->rows, row_order, list);
    *from = 0;
    while (read && *from < list->count && row_order(&list->rows[*from], &last, list) <= 0)
        (*from)++;
    *to = limit < list->count - *from ? *from + (size_t)limit : list->count;
    json_decref(read);
    return *to < list->count && *to > *from ? cursor_make(list, &list->rows[*to - 1]) : json_null();
}

bool list_among(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; at && *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
        if (strcspn(at, ",") == length && !strncmp(at, word, length))
            return true;
    return !words;
}
