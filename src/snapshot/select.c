/* The greatest of millions: one walk over a column, with a heap of as many as are wanted. */
#include "snapshot/graph.h"

#define MOST 1001u

struct picking {
    const struct index *index;
    const struct snapshot_query *query;
    uint64_t least; /* the value behind which the page begins */
    size_t most, count;
    uint32_t *heap; /* the last of those picked on top */
    uint64_t values[MOST];
};

static uint64_t value_of(const struct index *index, enum snapshot_sort sort, uint32_t object)
{
    switch (sort) {
    case SNAPSHOT_BY_RETAINED: return index->retained[object];
    case SNAPSHOT_BY_BYTES: return index->bytes[object];
    case SNAPSHOT_BY_REFERENCES: return index->references[object];
    default: return index->external[object];
    }
}

/* Whether the one comes behind the other. */
static bool behind(uint64_t value, uint32_t object, uint64_t other_value, uint32_t other)
{
    return value != other_value ? value < other_value : object > other;
}

static void place(struct picking *picking, size_t at, uint64_t value, uint32_t object)
{
    picking->values[at] = value;
    picking->heap[at] = object;
}

static void sift_down(struct picking *picking, uint64_t value, uint32_t object)
{
    size_t at = 0;
    for (;;) {
        size_t kid = 2 * at + 1;
        if (kid + 1 < picking->count &&
            behind(picking->values[kid + 1], picking->heap[kid + 1], picking->values[kid], picking->heap[kid]))
            kid++;
        if (kid >= picking->count || !behind(picking->values[kid], picking->heap[kid], value, object))
            break;
        place(picking, at, picking->values[kid], picking->heap[kid]);
        at = kid;
    }
    place(picking, at, value, object);
}

static void sift_up(struct picking *picking, uint64_t value, uint32_t object)
{
    size_t at = picking->count++;
    while (at) {
        size_t above = (at - 1) / 2;
        if (!behind(value, object, picking->values[above], picking->heap[above]))
            break;
        place(picking, at, picking->values[above], picking->heap[above]);
        at = above;
    }
    place(picking, at, value, object);
}

static inline void pick(struct picking *picking, uint32_t object)
{
    const struct snapshot_query *query = picking->query;
    uint64_t value = value_of(picking->index, query->sort, object);
    if (picking->count == picking->most && !behind(picking->values[0], picking->heap[0], value, object))
        return;
    if ((query->type != NONE && picking->index->type[object] != query->type) ||
        (query->held && !index_held(picking->index, object)) ||
        (query->after != NONE && !behind(value, object, picking->least, query->after)))
        return;
    if (picking->count < picking->most)
        sift_up(picking, value, object);
    else
        sift_down(picking, value, object);
}

/* Takes the last one off again and again. */
static void sort_picked(struct picking *picking)
{
    while (picking->count > 1) {
        uint32_t last = picking->heap[0], moved = picking->heap[picking->count - 1];
        uint64_t moved_value = picking->values[picking->count - 1];
        picking->count--;
        sift_down(picking, moved_value, moved);
        picking->heap[picking->count] = last;
    }
}

size_t snapshot_graph_select(const struct snapshot_graph *graph, const struct snapshot_query *query, uint32_t *out, size_t most)
{
    const struct index *index = &graph->index;
    struct picking picking = {.index = index, .query = query, .most = most < MOST ? most : MOST, .heap = out};
    if (!most || (query->after != NONE && query->after >= index->objects))
        return 0;
    if (query->after != NONE)
        picking.least = value_of(index, query->sort, query->after);
    if (query->dominator == NONE) {
        for (uint32_t object = 0; object < index->objects; object++)
            pick(&picking, object);
    } else if (query->dominator <= index->objects) {
        uint32_t from, to;
        graph_range(index->kid_start, query->dominator, index->objects, &from, &to);
        for (uint32_t kid = from; kid < to; kid++)
            if (index->kid[kid] < index->objects)
                pick(&picking, index->kid[kid]);
    }
    size_t count = picking.count;
    sort_picked(&picking);
    return count;
}
