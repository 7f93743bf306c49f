/* Streams: what comes out of bytes is the same, whatever pieces they come in (the first byte says how large). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sum over all events that have come. */
static bool note(void *arg, const char *event, const char *data, const char *id)
{
    uint64_t *sum = arg;
    const char *const texts[] = {event, data, id};
    if (strlen(event) >= SSE_WORD_MAX || strlen(id) >= SSE_WORD_MAX)
        abort();
    for (size_t i = 0; i < 3; i++)
        for (const char *at = texts[i];; at++) {
            *sum = (*sum ^ (unsigned char)*at) * 1099511628211u;
            if (!*at)
                break;
        }
    return true;
}

static uint64_t sum_of(const char *bytes, size_t count, size_t piece)
{
    uint64_t sum = 14695981039346656037u;
    struct sse sse;
    sse_init(&sse, note, &sum);
    for (size_t at = 0; at < count; at += piece)
        if (!sse_take(&sse, bytes + at, at + piece < count ? piece : count - at))
            abort(); /* nobody has had enough, and no input is that long */
    sse_fini(&sse);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    if (sum_of(bytes, size - 1, size) != sum_of(bytes, size - 1, data[0] % 7u + 1u))
        abort();
    return 0;
}
