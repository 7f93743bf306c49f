#include <errno.h>

#include "snapshot/index.h"

#define COUNT_NS 5u /* an edge */
#define FILL_NS 10u
#define EXPLAIN_NS 5u /* an object */

bool index_held(const struct index *index, uint32_t object)
{
    return index->external[object] || index->flags[object] & (INDEX_DECLARED | SNAPSHOT_IMMORTAL);
}

/* How many edges lead to each, in in_start. */
static int count_edges(struct index *index, struct work *work)
{
    for (uint64_t i = 0; i <= index->objects; i++)
        index->in_start[i] = 0;
    for (uint64_t i = 0; i < index->edges; i++) {
        if (index->out[i] != NONE)
            index->in_start[index->out[i]]++;
        if (!work_did(work, COUNT_NS))
            return -ECANCELED;
    }
    return 0;
}

/* What of the references no edge explains, and who is held by the root for which reason. */
static int explain(struct index *index, struct work *work)
{
    struct snapshot_totals *totals = &index->totals;
    for (uint64_t i = 0; i < index->objects; i++) {
        uint32_t edges = index->in_start[i], own = index->external[i];
        index->external[i] = own > edges ? own - edges : 0;
        totals->excess += own < edges ? edges - own : 0;
        totals->external_references += index->external[i];
        struct index_type *type = &index->types[index->type[i]];
        type->external += index->external[i];
        if (!work_did(work, EXPLAIN_NS))
            return -ECANCELED;
        if (!index_held(index, (uint32_t)i))
            continue;
        type->roots++;
        totals->roots++;
        totals->declared += (index->flags[i] & INDEX_DECLARED) != 0;
        totals->external += !(index->flags[i] & INDEX_DECLARED) && index->external[i];
        totals->immortal += !(index->flags[i] & INDEX_DECLARED) && !index->external[i];
    }
    return 0;
}

/* From the last object to the first, each edge to the place before the one that was filled last: in_start ends at where the
 * edges begin, and sources are ascending. */
static int sources_fill(struct index *index, struct work *work)
{
    uint32_t sum = 0;
    for (uint64_t i = 0; i <= index->objects; i++)
        index->in_start[i] = sum += i < index->objects ? index->in_start[i] : 0;
    for (uint64_t i = index->objects; i-- > 0;) {
        for (uint64_t edge = index->out_start[i + 1]; edge-- > index->out_start[i];) {
            if (index->out[edge] != NONE)
                index->in[--index->in_start[index->out[edge]]] = (uint32_t)i;
            if (!work_did(work, FILL_NS))
                return -ECANCELED;
        }
        if (!work_did(work, EXPLAIN_NS))
            return -ECANCELED;
    }
    return 0;
}

int index_turn(struct index *index, struct work *work)
{
    int error = count_edges(index, work);
    if (!error)
        error = explain(index, work);
    return error ? error : sources_fill(index, work);
}
