/* .tgraph files: heap graphs of real programs, zstd-compressed or not. All numbers are little-endian:
 *
 *   "TLYGRAF1", u32 objects, edges, types, 0
 *   types times  u16 length, name
 *   u16[objects] type     u32[objects] bytes     u8[objects] tracked     u32[objects] degree
 *   u32[edges]   target - source modulo 2^32, of object 0, then of object 1, ...
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "bench.h"

#define BYTES_MOST ((size_t)1 << 32)

struct text {
    unsigned char *bytes;
    size_t length, at;
    const char *path;
};

static struct text file_read(const char *path)
{
    struct text text = {.path = path};
    FILE *file = fopen(path, "rb");
    if (!file)
        give_up("%s: cannot be opened", path);
    size_t room = 1 << 20;
    text.bytes = wanted(malloc(room));
    for (size_t got; (got = fread(text.bytes + text.length, 1, room - text.length, file)) > 0;) {
        text.length += got;
        if (text.length < room)
            continue;
        if (room >= BYTES_MOST)
            give_up("%s: larger than %zu bytes", path, BYTES_MOST);
        text.bytes = wanted(realloc(text.bytes, room *= 2));
    }
    if (ferror(file))
        give_up("%s: cannot be read", path);
    fclose(file);
    return text;
}

static void decompress(struct text *text)
{
    unsigned long long whole = ZSTD_getFrameContentSize(text->bytes, text->length);
    if (whole == ZSTD_CONTENTSIZE_ERROR)
        return; /* not compressed */
    if (whole == ZSTD_CONTENTSIZE_UNKNOWN || whole > BYTES_MOST)
        give_up("%s: a zstd frame that does not say its size, or too large a one", text->path);
    unsigned char *bytes = wanted(malloc(whole + 1));
    size_t got = ZSTD_decompress(bytes, whole, text->bytes, text->length);
    if (ZSTD_isError(got) || got != whole)
        give_up("%s: %s", text->path, ZSTD_isError(got) ? ZSTD_getErrorName(got) : "the frame is cut short");
    free(text->bytes);
    text->bytes = bytes;
    text->length = whole;
}

static const void *take(struct text *text, size_t bytes)
{
    if (bytes > text->length - text->at)
        give_up("%s: cut short", text->path);
    const void *at = text->bytes + text->at;
    text->at += bytes;
    return at;
}

static uint32_t take_u32(struct text *text)
{
    uint32_t value;
    memcpy(&value, take(text, sizeof value), sizeof value);
    return le32toh(value);
}

static uint32_t *take_u32s(struct text *text, size_t count)
{
    const void *from = take(text, count * sizeof(uint32_t));
    uint32_t *values = wanted(malloc(count * sizeof *values + 1));
    memcpy(values, from, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = le32toh(values[i]);
    return values;
}

/* Differences become targets. */
static void targets_resolve(struct graph *graph, const char *path)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < graph->objects; i++) {
        if (graph->degree[i] > graph->edges - at)
            give_up("%s: the degrees are more than the edges", path);
        for (uint64_t end = at + graph->degree[i]; at < end; at++) {
            graph->targets[at] += i;
            if (graph->targets[at] >= graph->objects)
                give_up("%s: object %u refers to one that is not there", path, i);
        }
    }
    if (at != graph->edges)
        give_up("%s: the degrees are fewer than the edges", path);
}

void graph_load(struct graph *graph, const char *path)
{
    struct text text = file_read(path);
    decompress(&text);
    if (memcmp(take(&text, 8), "TLYGRAF1", 8) != 0)
        give_up("%s: not a .tgraph file", path);
    graph->objects = take_u32(&text);
    graph->edges = take_u32(&text);
    uint32_t types = take_u32(&text);
    take_u32(&text);
    for (uint32_t i = 0; i < types; i++) {
        const unsigned char *length = take(&text, 2);
        take(&text, (size_t)length[0] | (size_t)length[1] << 8);
    }
    take(&text, (size_t)graph->objects * 2);
    graph->size = take_u32s(&text, graph->objects);
    graph->tracked = wanted(malloc((size_t)graph->objects + 1));
    memcpy(graph->tracked, take(&text, graph->objects), graph->objects);
    graph->degree = take_u32s(&text, graph->objects);
    graph->targets = take_u32s(&text, graph->edges);
    targets_resolve(graph, path);
    free(text.bytes);
}

void graph_free(struct graph *graph)
{
    free(graph->size);
    free(graph->tracked);
    free(graph->degree);
    free(graph->targets);
}
