/* A forked child, found by its zeroed pen: whatever made it (fork, raw clone), it must not write into its
 * parent's shared counters. It gets private ones, in which allocations are the live objects and frees are 0.
 */
#include <string.h>
#include <unistd.h>

#include "heap/internal.h"

static void count_live(struct tally_heap *heap, const void *object)
{
    const struct tally_type *type = type_of(object);
    struct feed_pen *pen = &heap->hot.pen;
    uint32_t row = type->index < pen->row_limit ? type->index : TYPE_OTHER;
    feed_object(pen, WIRE_EVENT_ALLOC, row, row == TYPE_OTHER || type->variable, tally__size_of(type, object),
                granule_of(page_of(object), object));
}

/* The dying as well: their frees will be counted. */
static void live_each(struct tally_heap *heap)
{
    for (uint32_t i = 0; i < heap->page_count; i++) {
        const struct page *page = heap->pages[i];
        for (uint32_t slot = 0; page && slot < page->slot_count; slot++) {
            const char *object = object_at(page, slot);
            if (object >= page->bump)
                break;
            if (*word_of(object))
                count_live(heap, object);
        }
    }
}

/* The counters of the parent's last safepoint are in memory that the child shares and must leave alone; it
 * makes its own in what was reserved for them, and reserves some for a child of its own. Where there was no memory
 * for that, the private counters were kept for it, which the child has a copy of. */
void tally__forked(struct tally_heap *heap)
{
    void *counters = heap->fork_counters;
    if (!counters) {
        counters = tally__counters_cut(heap->private_counters);
        heap->private_counters = NULL;
    }
    memset(counters, 0, WIRE_COUNTERS_BYTES);
    feed_counters_format(counters, FEED_SHAPE_START, heap->number, 1);
    feed_restart(&heap->hot.pen, counters);
    tally__counters_unmap(heap->private_counters);
    heap->private_counters = counters;
    heap->fork_counters = tally__map(WIRE_COUNTERS_BYTES);
    tally__types_describe(heap);
    tally__pages_relist(heap);
    live_each(heap);
    tally__limit_update(heap);
    atomic_store(&heap->mailbox, NULL); /* asked of the parent */
    pthread_mutex_init(&heap->notify_lock, NULL);
    if (heap->notify_fd >= 0) { /* shared with the parent */
        close(heap->notify_fd);
        heap->notify_fd = -1;
        heap->notify = NULL;
    }
    tally__summary(heap);
    struct tally__attachment attachment = heap->attachment;
    heap->attachment = (struct tally__attachment){.agent = NULL};
    if (attachment.forked)
        attachment.forked(heap, attachment.agent);
}
