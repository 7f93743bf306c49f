/* The dominator tree downwards, the shortest ways, what is unreachable, and what the types come to. */
#include <errno.h>
#include <stdlib.h>

#include "snapshot/index.h"

#define NS_OBJECT 60.0
#define NS_EDGE 20.0

/* ---- kids: a counting sort by dominator, filled from the end, so that those of one are ascending */

static void kids_fill(struct index *index)
{
    uint32_t sum = 0, root = (uint32_t)index->objects;
    for (uint32_t i = 0; i <= root; i++)
        index->kid_start[i] = 0;
    for (uint32_t i = 0; i < root; i++)
        if (index->dominator[i] != NONE)
            index->kid_start[index->dominator[i]]++;
    for (uint32_t i = 0; i <= root; i++)
        index->kid_start[i] = sum += index->kid_start[i];
    index->kid_start[root + 1] = sum;
    for (uint32_t i = root; i-- > 0;)
        if (index->dominator[i] != NONE)
            index->kid[--index->kid_start[index->dominator[i]]] = i;
}

/* ---- distances, breadth first */

static int distances_fill(struct index *index, uint32_t *queue, struct work *work)
{
    uint32_t root = (uint32_t)index->objects, end = 0;
    for (uint32_t i = 0; i < root; i++) {
        bool held = index_held(index, i);
        index->distance[i] = held ? 0 : NONE;
        index->toward[i] = held ? root : NONE;
        if (held)
            queue[end++] = i;
    }
    for (uint32_t at = 0; at < end; at++) {
        uint32_t object = queue[at];
        for (uint32_t edge = index->out_start[object]; edge < index->out_start[object + 1]; edge++) {
            uint32_t target = index->out[edge];
            if (target == NONE || index->toward[target] != NONE)
                continue;
            index->distance[target] = index->distance[object] + 1;
            index->toward[target] = object;
            queue[end++] = target;
        }
        if (!(at % WORK_STEP) && !work_go(work, NS_OBJECT * WORK_STEP + NS_EDGE * (double)index->edges * WORK_STEP / root))
            return -ECANCELED;
    }
    return 0;
}

static void garbage_sum(struct index *index)
{
    for (uint64_t i = 0; i < index->objects; i++) {
        if (index->distance[i] != NONE)
            continue;
        struct index_type *type = &index->types[index->type[i]];
        type->garbage_objects++;
        type->garbage_bytes += index->bytes[i];
        index->totals.garbage_objects++;
        index->totals.garbage_bytes += index->bytes[i];
    }
}

/* ---- what a type retains: of the objects on a way down the tree the first of each type, which retains the others */

static int types_retain(struct index *index, uint32_t *cursor, struct work *work)
{
    uint32_t root = (uint32_t)index->objects, at = root, count = 0;
    uint32_t *open = calloc(index->type_count + 1, sizeof *open); /* of each type, on the way down */
    if (!open)
        return -ENOMEM;
    cursor[root] = index->kid_start[root];
    while (at != NONE) {
        if (cursor[at] == index->kid_start[at + 1]) {
            open[index->type[at]] -= at != root;
            at = at == root ? NONE : index->dominator[at];
            continue;
        }
        at = index->kid[cursor[at]++];
        cursor[at] = index->kid_start[at];
        if (!open[index->type[at]]++)
            index->types[index->type[at]].retained += index->retained[at];
        if (!(++count % WORK_STEP) && !work_go(work, 2 * NS_OBJECT * WORK_STEP))
            break;
    }
    free(open);
    return at == NONE ? 0 : -ECANCELED;
}

int index_reach(struct index *index, struct area *scratch, struct work *work)
{
    uint32_t *queue = area_take(scratch, index->objects + 1, sizeof *queue);
    kids_fill(index);
    int error = distances_fill(index, queue, work);
    if (error)
        return error;
    garbage_sum(index);
    return types_retain(index, queue, work);
}
