/* The memory of a heap's counters: private, and grown here as types come, until it is shown to tallyd; from then
 * on the agent's, which makes each successor. */
#include "heap/internal.h"

void *tally__counters_map(const struct tally_heap *heap, const struct feed_shape *shape)
{
    void *memory = tally__map(feed_counters_bytes(shape));
    if (memory)
        feed_counters_format(memory, shape, heap->number, 1);
    return memory;
}

void tally__counters_unmap(void *memory)
{
    const struct wire_counters *counters = memory;
    if (memory)
        tally__unmap(memory, counters->total_bytes);
}

void *tally__counters_cut(void *memory)
{
    const struct wire_counters *counters = memory;
    if (counters->total_bytes > WIRE_COUNTERS_BYTES)
        tally__unmap((char *)memory + WIRE_COUNTERS_BYTES, counters->total_bytes - WIRE_COUNTERS_BYTES);
    return memory;
}

struct feed_shape tally__feed_shape(const struct wire_counters *now)
{
    uint64_t count = tally__type_count(), name_bytes = tally__type_name_bytes();
    struct feed_shape shape = {WIRE_ROW_COUNT, WIRE_STRING_BYTES};
    while (shape.rows < now->row_capacity || (shape.rows < WIRE_ROW_MAX && shape.rows * 3 / 4 < count))
        shape.rows *= 2;
    while (shape.string_bytes < now->string_bytes ||
           (shape.string_bytes < WIRE_STRING_MAX && shape.string_bytes / 4 * 3 < name_bytes))
        shape.string_bytes *= 2;
    if (shape.string_bytes > WIRE_STRING_MAX)
        shape.string_bytes = WIRE_STRING_MAX;
    return shape;
}

bool tally__feed_small(const struct wire_counters *now, const struct feed_shape *shape)
{
    return shape->rows > now->row_capacity || shape->string_bytes > now->string_bytes;
}

/* No memory: what finds no row goes on being counted under `other`. */
static bool private_grow(struct tally_heap *heap)
{
    struct feed_shape shape = tally__feed_shape(heap->hot.pen.counters);
    void *old = heap->private_counters, *memory = NULL;
    if (old && tally__feed_small(heap->hot.pen.counters, &shape))
        memory = tally__counters_map(heap, &shape);
    if (!memory)
        return false;
    heap->private_counters = memory;
    feed_counters_adopt(&heap->hot.pen, memory);
    tally__counters_unmap(old);
    return true;
}

static void describe(struct tally_heap *heap, uint32_t count)
{
    struct feed_pen *pen = &heap->hot.pen;
    uint32_t described;
    do { /* chunks bound the stack */
        struct feed_type types[WIRE_ROW_COUNT];
        uint32_t first = pen->row_limit, end = count < first + WIRE_ROW_COUNT ? count : first + WIRE_ROW_COUNT;
        for (uint32_t i = first; i < end; i++) {
            const struct tally_type *type = atomic_load_explicit(&tally__types[i], memory_order_acquire);
            types[i - first] = (struct feed_type){.name = type->info.name,
                                                  .size_bytes = type->size,
                                                  .ref_count = (uint32_t)type->ref_count,
                                                  .flags = (type->tracked ? WIRE_TYPE_TRACKED : 0) |
                                                           (type->variable ? WIRE_TYPE_VARIABLE : 0)};
        }
        feed_types_describe(pen, types, end, count);
        described = pen->row_limit - first;
    } while (described == WIRE_ROW_COUNT);
}

static void move_from_other(struct tally_heap *heap, const struct tally_type *type, const void *object)
{
    struct feed_pen *pen = &heap->hot.pen;
    uint64_t bytes = tally__size_of(type, object);
    feed_moved(pen, type->index, type->variable, bytes, true);
    feed_moved(pen, TYPE_OTHER, true, bytes, false);
}

/* Objects that were counted under `other` have a row now, under which their deaths will be counted. The dying
 * have theirs still before them. */
static void others_move(struct tally_heap *heap, uint32_t first)
{
    for (uint32_t i = 0; i < heap->page_count; i++) {
        const struct page *page = heap->pages[i];
        for (uint32_t slot = 0; page && slot < page->slot_count; slot++) {
            const char *object = object_at(page, slot);
            if (object >= page->bump)
                break;
            const struct tally_type *type = *word_of(object) ? type_of(object) : NULL;
            if (type && type->index >= first && type->index < heap->hot.pen.row_limit)
                move_from_other(heap, type, object);
        }
    }
}

static bool other_lives(const struct feed_pen *pen)
{
    const struct wire_row *row = &pen->rows[TYPE_OTHER];
    return row->allocated + row->moved_in != row->freed_refcount + row->freed_cycle + row->moved_out;
}

void tally__types_describe(struct tally_heap *heap)
{
    uint32_t count = tally__type_count(), before = heap->hot.pen.row_limit;
    heap->hot.types_known = count;
    describe(heap, count);
    if (heap->hot.pen.row_limit < count && private_grow(heap))
        describe(heap, count);
    if (before && heap->hot.pen.row_limit > before && other_lives(&heap->hot.pen))
        others_move(heap, before);
    tally__direct_update(heap);
}

int tally__heap_feed_swap(struct tally_heap *heap, void *counters, void *ring)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    void *private = NULL, *old = heap->private_counters;
    if (!counters) {
        struct feed_shape shape = tally__feed_shape(heap->hot.pen.counters);
        private = tally__counters_map(heap, &shape);
        if (!private)
            return TALLY_ENOMEM;
    }
    feed_adopt(&heap->hot.pen, counters ? counters : private, counters ? ring : NULL);
    heap->private_counters = private;
    if (!heap->fork_counters) /* no fork is ever without */
        heap->fork_counters = tally__counters_cut(old);
    else
        tally__counters_unmap(old);
    tally__types_describe(heap);
    return 0;
}

void tally__heap_feed_succeed(struct tally_heap *heap, void *counters, void *ring)
{
    if (ring)
        feed_ring_adopt(&heap->hot.pen, ring);
    if (counters) {
        feed_counters_adopt(&heap->hot.pen, counters);
        tally__types_describe(heap);
    }
}
