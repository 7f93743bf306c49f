/* Which edge of a cycle to make weak: advice from its names and from how many there are of each type. A shape's text is
 * what the program's names made of it, "type.field -> type.field", and may be anything. */
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"

#define EDGES_MOST 16u /* as many as a shape has */

struct edge { /* borrowed from the shape */
    const char *text;
    size_t bytes, type_bytes; /* of "type.field", and of the type */
};

/* Fields that lead back, by their names' beginnings. */
static const char *const backward[] = {"parent", "owner", "prev", "back", "outer", "up", "container", "enclosing",
                                       "observer", "listener", "delegate", "creator", "host", "master"};

static bool leads_back(const struct edge *edge)
{
    const char *field = edge->text + edge->type_bytes + 1;
    size_t bytes = edge->bytes - edge->type_bytes - 1;
    for (size_t i = 0; i < sizeof backward / sizeof *backward; i++)
        if (strlen(backward[i]) <= bytes && !strncmp(field, backward[i], strlen(backward[i])))
            return true;
    return false;
}

/* false: it is no edge, as behind one that was cut off. */
static bool edge_read(const char *text, size_t bytes, struct edge *edge)
{
    const char *dot = memrchr(text, '.', bytes);
    if (!dot || dot == text || dot == text + bytes - 1)
        return false;
    *edge = (struct edge){text, bytes, (size_t)(dot - text)};
    return true;
}

static size_t shape_read(const char *shape, size_t bytes, struct edge edges[EDGES_MOST])
{
    size_t count = 0;
    for (const char *at = shape, *end = shape + bytes; at < end && count < EDGES_MOST;) {
        const char *arrow = memmem(at, (size_t)(end - at), " -> ", 4), *stop = arrow ? arrow : end;
        if (!edge_read(at, (size_t)(stop - at), &edges[count]))
            return 0;
        count++;
        at = arrow ? arrow + 4 : end;
    }
    return count;
}

static uint64_t made(const struct stats_heap_view *heap, const struct edge *edge)
{
    for (size_t i = 0; heap && i < heap->type_count; i++)
        if (strlen(heap->types[i].name) == edge->type_bytes && !strncmp(heap->types[i].name, edge->text, edge->type_bytes))
            return heap->types[i].allocations;
    return 0;
}

static json_t *advice(const struct edge *edge, const char *reason)
{
    return json_pack("{s:s%, s:s}", "edge", edge->text, edge->bytes, "reason", reason);
}

/* From the many to the few: a child that holds its parent. */
static json_t *many_to_few(const struct stats_heap_view *heap, const struct edge *edges, size_t count)
{
    const struct edge *best = NULL;
    double most = 1.5;
    for (size_t i = 0; i < count; i++) {
        uint64_t from = made(heap, &edges[i]), to = made(heap, &edges[(i + 1) % count]);
        double ratio = to ? (double)from / (double)to : 0;
        if (ratio > most) {
            most = ratio;
            best = &edges[i];
        }
    }
    return best ? advice(best, "many of its type hold few of the next: the few can be found otherwise, or outlive the many")
                : json_null();
}

json_t *weaken_json(const struct stats_heap_view *heap, const char *shape, size_t bytes)
{
    struct edge edges[EDGES_MOST];
    size_t count = shape_read(shape, bytes, edges);
    for (size_t i = 0; i < count; i++)
        if (leads_back(&edges[i]))
            return advice(&edges[i], "its name says that it leads back to what holds it");
    return count == 1 ? advice(&edges[0], "it alone closes the cycle") : many_to_few(heap, edges, count);
}

bool weaken_mentions(const char *shape, size_t bytes, const char *type)
{
    struct edge edges[EDGES_MOST];
    size_t count = shape_read(shape, bytes, edges);
    for (size_t i = 0; i < count; i++)
        if (strlen(type) == edges[i].type_bytes && !strncmp(type, edges[i].text, edges[i].type_bytes))
            return true;
    return false;
}
