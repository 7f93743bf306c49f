#include "tallyctl/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sse_init(struct sse *sse, sse_event_fn event, void *arg)
{
    *sse = (struct sse){.event = event, .arg = arg};
}

void sse_fini(struct sse *sse)
{
    free(sse->line);
    free(sse->data);
    *sse = (struct sse){.event = NULL};
}

/* Appends and ends with a NUL; false: too long, or memory is short. */
static bool append(char **text, size_t *bytes, size_t *room, const char *more, size_t count)
{
    if (count >= SSE_FRAME_MAX - *bytes)
        return false;
    if (*bytes + count + 1 > *room) {
        size_t wanted = *bytes + count + 1 > 2 * *room ? *bytes + count + 256 : 2 * *room;
        char *grown = realloc(*text, wanted);
        if (!grown)
            return false;
        *text = grown;
        *room = wanted;
    }
    memcpy(*text + *bytes, more, count);
    *bytes += count;
    (*text)[*bytes] = '\0';
    return true;
}

/* An empty line: what was gathered is one event. */
static bool dispatch(struct sse *sse)
{
    bool more = true;
    if (sse->data_bytes) {
        sse->data[sse->data_bytes - 1] = '\0'; /* the last line's end */
        more = sse->event(sse->arg, *sse->name ? sse->name : "message", sse->data, sse->id);
    }
    sse->data_bytes = 0;
    *sse->name = '\0';
    return more;
}

static void keep_word(char word[SSE_WORD_MAX], const char *value)
{
    if (strlen(value) < SSE_WORD_MAX)
        snprintf(word, SSE_WORD_MAX, "%s", value);
}

/* One line without its end. */
static bool take_line(struct sse *sse)
{
    char *line = sse->line ? sse->line : "";
    size_t bytes = sse->line_bytes;
    sse->line_bytes = 0;
    if (!bytes)
        return dispatch(sse);
    size_t name = strcspn(line, ":");
    const char *value = line[name] ? line + name + 1 : "";
    value += *value == ' ';
    if (name == 4 && memcmp(line, "data", 4) == 0)
        return append(&sse->data, &sse->data_bytes, &sse->data_room, value, strlen(value)) &&
               append(&sse->data, &sse->data_bytes, &sse->data_room, "\n", 1);
    if (name == 5 && memcmp(line, "event", 5) == 0)
        keep_word(sse->name, value);
    else if (name == 2 && memcmp(line, "id", 2) == 0)
        keep_word(sse->id, value);
    return true;
}

bool sse_take(struct sse *sse, const char *bytes, size_t count)
{
    while (count) {
        if (sse->after_cr && *bytes == '\n') {
            sse->after_cr = false;
            bytes++;
            count--;
            continue;
        }
        sse->after_cr = false;
        size_t plain = 0;
        while (plain < count && bytes[plain] != '\n' && bytes[plain] != '\r' && bytes[plain])
            plain++;
        if (!append(&sse->line, &sse->line_bytes, &sse->line_room, bytes, plain))
            return false;
        if (plain == count)
            return true;
        char end = bytes[plain];
        bytes += plain + 1;
        count -= plain + 1;
        sse->after_cr = end == '\r';
        if (end && !take_line(sse))
            return false;
    }
    return true;
}
