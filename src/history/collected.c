/* Collections: those of a view that we had not, oldest first. A view holds the newest STATS_COLLECTIONS_KEPT of a
 * process, so that of a heap which collects faster than we look some are missed; their numbers tell how many. */
#include <stdlib.h>

#include "history/sampler.h"

static struct heap_state *heap_find(struct process_state *process, uint32_t n)
{
    for (size_t i = 0; i < process->heap_count; i++)
        if (process->heaps[i].n == n)
            return &process->heaps[i];
    struct heap_state *heaps = realloc(process->heaps, (process->heap_count + 1) * sizeof *heaps);
    if (!heaps)
        return NULL;
    process->heaps = heaps;
    heaps[process->heap_count] = (struct heap_state){.n = n};
    return &heaps[process->heap_count++];
}

void collections_take(struct sampler *sampler, struct process_state *process, const struct stats_process_view *view)
{
    for (size_t i = view->collection_count; i-- > 0;) {
        const struct stats_collection_view *collection = &view->collections[i];
        struct heap_state *heap = heap_find(process, collection->heap);
        if (!heap || (heap->known && collection->sequence <= heap->sequence))
            continue;
        struct row_collection row = {.row = {.kind = ROW_COLLECTION, .epoch = sampler->base.epoch}, .process = process->no,
                                     .at = sampler->at, .view = *collection,
                                     .missed = heap->known ? collection->sequence - heap->sequence - 1 : 0};
        if (queue_put(sampler->queue, &row.row, sizeof row, NULL, 0)) {
            heap->sequence = collection->sequence; /* else the next one tells that it was missed */
            heap->known = true;
        }
    }
    process->collections_seq = view->seq;
}
