/* The dominator tree downwards, the shortest ways, what is unreachable, and what the types come to. */
#include <errno.h>

#include "snapshot/index.h"

#define NS_OBJECT 60u
#define NS_EDGE 20u
#define NS_PASSED 2u /* an object that a column is walked over */

/* ---- kids: a counting sort by dominator, filled from the end, so that those of one are ascending */

static int kids_fill(struct index *index, struct work *work)
{
    uint32_t sum = 0, root = (uint32_t)index->objects;
    for (uint32_t i = 0; i <= root; i++)
        index->kid_start[i] = 0;
    for (uint32_t i = 0; i < root; i++) {
        if (index->dominator[i] != NONE)
            index->kid_start[index->dominator[i]]++;
        if (!work_did(work, NS_PASSED))
            return -ECANCELED;
    }
    for (uint32_t i = 0; i <= root; i++)
        index->kid_start[i] = sum += index->kid_start[i];
    index->kid_start[root + 1] = sum;
    for (uint32_t i = root; i-- > 0;) {
        if (index->dominator[i] != NONE)
            index->kid[--index->kid_start[index->dominator[i]]] = i;
        if (!work_did(work, NS_PASSED))
            return -ECANCELED;
    }
    return 0;
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
            if (!work_did(work, NS_EDGE))
                return -ECANCELED;
            if (target == NONE || index->toward[target] != NONE)
                continue;
            index->distance[target] = index->distance[object] + 1;
            index->toward[target] = object;
            queue[end++] = target;
        }
        if (!work_did(work, NS_OBJECT))
            return -ECANCELED;
    }
    return 0;
}

static int garbage_sum(struct index *index, struct work *work)
{
    for (uint64_t i = 0; i < index->objects; i++) {
        if (!work_did(work, NS_PASSED))
            return -ECANCELED;
        if (index->distance[i] != NONE)
            continue;
        struct index_type *type = &index->types[index->type[i]];
        type->garbage_objects++;
        type->garbage_bytes += index->bytes[i];
        index->totals.garbage_objects++;
        index->totals.garbage_bytes += index->bytes[i];
    }
    return 0;
}

/* ---- what a type retains: of the objects on a way down the tree the first of each type, which retains the others; open: how
 * many of each type are on the way */

static int types_retain(struct index *index, uint32_t *cursor, uint32_t *open, struct work *work)
{
    uint32_t root = (uint32_t)index->objects, at = root;
    cursor[root] = index->kid_start[root];
    while (at != NONE) {
        if (!work_did(work, NS_OBJECT)) /* once on the way down, once on the way up */
            return -ECANCELED;
        if (cursor[at] == index->kid_start[at + 1]) {
            open[index->type[at]] -= at != root;
            at = at == root ? NONE : index->dominator[at];
            continue;
        }
        at = index->kid[cursor[at]++];
        cursor[at] = index->kid_start[at];
        if (!open[index->type[at]]++)
            index->types[index->type[at]].retained += index->retained[at];
    }
    return 0;
}

int index_reach(struct index *index, struct area *scratch, uint32_t *open, struct work *work)
{
    uint32_t *queue = area_take(scratch, index->objects + 1, sizeof *queue);
    int error = kids_fill(index, work);
    if (!error)
        error = distances_fill(index, queue, work);
    if (!error)
        error = garbage_sum(index, work);
    return error ? error : types_retain(index, queue, open, work);
}
