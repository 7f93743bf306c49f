/* Server-sent events, as the HTML standard has them (9.2.6), out of bytes that come in any pieces. Pure. */
#ifndef TALLYCTL_SSE_H
#define TALLYCTL_SSE_H

#include <stdbool.h>
#include <stddef.h>

#define SSE_FRAME_MAX ((size_t)64 << 20) /* more than any frame of tallyd */
#define SSE_WORD_MAX 128

/* One event: its name, its data ('\n' between lines; NUL-terminated, NULs in it dropped) and the last id. False: no
 * more are wanted. */
typedef bool (*sse_event_fn)(void *arg, const char *event, const char *data, const char *id);

struct sse {
    sse_event_fn event;
    void *arg;
    char *line, *data; /* owned */
    size_t line_bytes, line_room, data_bytes, data_room;
    char name[SSE_WORD_MAX], id[SSE_WORD_MAX];
    bool after_cr; /* a line feed that follows belongs to the same end of a line */
};

void sse_init(struct sse *sse, sse_event_fn event, void *arg);
void sse_fini(struct sse *sse);

/* Takes bytes. False: the reader wants no more, a frame is too long, or memory is short. */
bool sse_take(struct sse *sse, const char *bytes, size_t count);

#endif
