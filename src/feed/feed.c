/* The pen. Everything here is slow-path: entering a block, changing memory, describing types, summaries and
 * records; what runs for each object is inline in feed.h. */
#include "feed/feed.h"

#include <string.h>

static struct wire_desc *descs(const struct feed_pen *pen)
{
    return (struct wire_desc *)((char *)pen->counters + pen->counters->desc_offset);
}

static struct wire_record *records(const struct feed_pen *pen)
{
    return (struct wire_record *)((char *)pen->counters + pen->counters->record_offset);
}

static uint64_t load(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void store(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

void feed_counters_format(void *memory, uint32_t heap_number, uint32_t feed_generation)
{
    struct wire_counters *counters = memory;
    counters->magic = WIRE_COUNTERS_MAGIC;
    counters->version = WIRE_VERSION;
    counters->header_bytes = WIRE_HEADER_BYTES;
    counters->total_bytes = WIRE_COUNTERS_BYTES;
    counters->heap_number = heap_number;
    counters->feed_generation = feed_generation;
    counters->row_offset = WIRE_HEADER_BYTES;
    counters->row_capacity = WIRE_ROW_COUNT;
    counters->desc_offset = counters->row_offset + WIRE_ROW_COUNT * (uint32_t)sizeof(struct wire_row);
    counters->desc_bytes = sizeof(struct wire_desc);
    counters->string_offset = counters->desc_offset + WIRE_ROW_COUNT * counters->desc_bytes;
    counters->string_bytes = WIRE_STRING_BYTES;
    counters->record_offset = counters->string_offset + WIRE_STRING_BYTES;
    counters->record_capacity = WIRE_RECORD_COUNT;
}

void feed_ring_format(void *memory, uint32_t heap_number, uint32_t feed_generation)
{
    struct wire_ring *ring = memory;
    ring->magic = WIRE_RING_MAGIC;
    ring->version = WIRE_VERSION;
    ring->header_bytes = WIRE_RING_HEADER_BYTES;
    ring->total_bytes = WIRE_RING_BYTES;
    ring->capacity_words = WIRE_RING_WORDS;
    ring->block_words = WIRE_BLOCK_SIZE;
    ring->heap_number = heap_number;
    ring->feed_generation = feed_generation;
}

/* The clock of a block's header comes from the pen's last safepoint: reading the clock is the heap's affair,
 * and the feed makes no system call. */
static uint64_t block_clock(const struct feed_pen *pen)
{
    return load(&pen->counters->safepoint_ns);
}

static void put(struct feed_pen *pen, uint64_t word)
{
    store(&pen->words[pen->position++ & pen->mask], word);
}

static void publish(struct feed_pen *pen)
{
    atomic_store_explicit(&pen->ring->head, pen->position, memory_order_release);
}

/* Pads what is left of the block, and starts the next. The reserve is visible before any word of the block it
 * covers is overwritten: that is what the full fence is for, and what lets the reader discard torn words
 * after its copy. */
static void block_next(struct feed_pen *pen)
{
    if (pen->position != pen->block_end)
        put(pen, WIRE_EVENT_RARE | (uint64_t)WIRE_RARE_PAD << 2);
    pen->position = pen->block_end;
    pen->block_end = pen->position + WIRE_BLOCK_SIZE;
    store(&pen->ring->reserve, pen->block_end);
    atomic_thread_fence(memory_order_seq_cst);
    put(pen, pen->sequence);
    put(pen, block_clock(pen));
    put(pen, pen->level);
    publish(pen);
}

void feed__block_enter(struct feed_pen *pen, unsigned words)
{
    if (pen->block_end - pen->position < words)
        block_next(pen);
}

void feed_event2(struct feed_pen *pen, uint64_t word, uint64_t second)
{
    feed__block_enter(pen, 2);
    put(pen, word);
    put(pen, second);
    pen->sequence++;
    publish(pen);
}

/* Rows, descriptions, names, records and summary go over whole; the header's identity stays that of the new
 * memory. */
static void contents_copy(struct wire_counters *to, const struct wire_counters *from)
{
    size_t head = offsetof(struct wire_counters, type_count);
    memcpy((char *)to + head, (const char *)from + head, sizeof *to - head);
    memcpy((char *)to + WIRE_HEADER_BYTES, (const char *)from + WIRE_HEADER_BYTES,
           WIRE_COUNTERS_BYTES - WIRE_HEADER_BYTES);
}

/* A new ring tells of nothing that was before: the base begins at zero, and the switch to a level that has
 * events adds all that the rows hold. */
static void base_restart(struct feed *feed)
{
    for (uint32_t row = 0; row < WIRE_ROW_COUNT; row++) {
        struct wire_desc *desc = &descs(feed->pen)[row];
        store(&desc->base_allocated, 0);
        store(&desc->base_freed_refcount, 0);
        store(&desc->base_freed_cycle, 0);
    }
    memset(feed->mark, 0, sizeof feed->mark);
}

void feed_adopt(struct feed *feed, void *counters, void *ring)
{
    struct feed_pen *pen = feed->pen;
    enum wire_level level = (enum wire_level)pen->level;
    feed_level_set(feed, WIRE_LEVEL_OFF);
    if (pen->counters)
        contents_copy(counters, pen->counters);
    pen->counters = counters;
    pen->ring = ring;
    pen->words = ring ? (_Atomic uint64_t *)((char *)ring + WIRE_RING_HEADER_BYTES) : NULL;
    pen->mask = WIRE_RING_WORDS - 1;
    pen->position = 0;
    pen->block_end = 0;
    pen->sequence = 0;
    pen->rows = (struct wire_row *)((char *)counters + WIRE_HEADER_BYTES);
    base_restart(feed);
    feed_level_set(feed, level);
}

void feed_restart(struct feed *feed, void *counters)
{
    memset(feed->pen, 0, sizeof *feed->pen);
    memset(feed->mark, 0, sizeof feed->mark);
    feed_adopt(feed, counters, NULL);
}

/* Returns whether the type found a row. */
static bool describe(struct feed_pen *pen, uint32_t row, const struct feed_type *type)
{
    struct wire_counters *counters = pen->counters;
    uint32_t used = atomic_load_explicit(&counters->string_used, memory_order_relaxed);
    size_t name_bytes = strlen(type->name);
    if (row >= counters->row_capacity || name_bytes > counters->string_bytes - used)
        return false;
    struct wire_desc *desc = &descs(pen)[row];
    memcpy((char *)counters + counters->string_offset + used, type->name, name_bytes);
    desc->name_offset = used;
    desc->name_bytes = (uint32_t)name_bytes;
    desc->flags = type->flags;
    desc->ref_count = type->ref_count;
    desc->size_bytes = type->size_bytes;
    atomic_store_explicit(&counters->string_used, used + (uint32_t)name_bytes, memory_order_relaxed);
    atomic_store_explicit(&counters->type_count, row + 1, memory_order_release);
    pen->row_limit = row + 1;
    return true;
}

void feed_types_describe(struct feed *feed, const struct feed_type *types, uint32_t count)
{
    struct feed_pen *pen = feed->pen;
    uint32_t row = pen->row_limit;
    while (row < count && describe(pen, row, &types[row]))
        row++;
    if (row < count)
        atomic_store_explicit(&pen->counters->types_without_row, count - row, memory_order_relaxed);
}

/* Leaving ALL remembers where the rows stood; coming back adds what passed unseen to the base. */
void feed_level_set(struct feed *feed, enum wire_level level)
{
    struct feed_pen *pen = feed->pen;
    if (!pen->counters)
        return;
    if (!pen->ring)
        level = WIRE_LEVEL_OFF;
    if (level != (enum wire_level)pen->level) {
        bool on = level != WIRE_LEVEL_OFF;
        feed_summary_begin(pen);
        for (uint32_t row = 0; row < WIRE_ROW_COUNT; row++) {
            struct wire_row *counters = &pen->rows[row];
            struct wire_desc *desc = &descs(pen)[row];
            uint64_t now[3] = {load(&counters->allocated), load(&counters->freed_refcount),
                               load(&counters->freed_cycle)};
            if (on) {
                feed_add(&desc->base_allocated, now[0] - feed->mark[row][0]);
                feed_add(&desc->base_freed_refcount, now[1] - feed->mark[row][1]);
                feed_add(&desc->base_freed_cycle, now[2] - feed->mark[row][2]);
            }
            memcpy(feed->mark[row], now, sizeof now);
        }
        feed_summary_end(pen);
        pen->level = level;
        if (on) /* a block of its own says the level and the clock */
            feed__block_enter(pen, WIRE_BLOCK_SIZE + 1);
    }
    feed_summary_begin(pen);
    atomic_store_explicit(&pen->counters->level, (uint32_t)level, memory_order_relaxed);
    feed_summary_end(pen);
}

void feed_summary_begin(struct feed_pen *pen)
{
    store(&pen->counters->seq, load(&pen->counters->seq) + 1);
    atomic_thread_fence(memory_order_release);
}

void feed_summary_end(struct feed_pen *pen)
{
    atomic_store_explicit(&pen->counters->seq, load(&pen->counters->seq) + 1, memory_order_release);
}

static void rare_event(struct feed_pen *pen, enum wire_rare kind, uint64_t argument, uint64_t now_ns)
{
    if (pen->level == WIRE_LEVEL_OFF)
        return;
    uint64_t word = WIRE_EVENT_RARE | (uint64_t)kind << 2 | (uint64_t)2 << 8 | argument << 16;
    feed_event2(pen, word, now_ns);
}

void feed_collection_start(struct feed_pen *pen, uint32_t generation, uint64_t now_ns)
{
    rare_event(pen, WIRE_RARE_COLLECTION_START, generation, now_ns);
}

static uint32_t scope_slices(const struct feed_record *record)
{
    uint32_t slices = record->slices < WIRE_SLICES_MAX ? record->slices : WIRE_SLICES_MAX;
    return (record->scope & ((1u << WIRE_SLICES_SHIFT) - 1)) | slices << WIRE_SLICES_SHIFT;
}

void feed_collection_stop(struct feed_pen *pen, const struct feed_record *from, uint64_t now_ns)
{
    uint64_t number = load(&pen->counters->record_head) + 1;
    struct wire_record *to = &records(pen)[(number - 1) % pen->counters->record_capacity];
    store(&to->sequence, 0);
    atomic_thread_fence(memory_order_release);
    store(&to->start_ns, from->start_ns);
    store(&to->pause_ns, from->pause_ns);
    store(&to->find_ns, from->find_ns);
    store(&to->callback_ns, from->callback_ns);
    store(&to->free_ns, from->free_ns);
    store(&to->examined, from->examined);
    store(&to->collected, from->collected);
    store(&to->freed_bytes, from->freed_bytes);
    store(&to->uncollectable, from->uncollectable);
    store(&to->live_bytes_before, from->live_bytes_before);
    store(&to->live_bytes_after, from->live_bytes_after);
    store(&to->safepoint_wait_ns, from->safepoint_wait_ns);
    store(&to->operation, from->operation);
    atomic_store_explicit(&to->reason, from->reason, memory_order_relaxed);
    atomic_store_explicit(&to->generation, from->generation, memory_order_relaxed);
    atomic_store_explicit(&to->manager, from->manager, memory_order_relaxed);
    atomic_store_explicit(&to->scope_slices, scope_slices(from), memory_order_relaxed);
    atomic_store_explicit(&to->sequence, number, memory_order_release);
    atomic_store_explicit(&pen->counters->record_head, number, memory_order_release);
    rare_event(pen, WIRE_RARE_COLLECTION_STOP, number & 0xffffffffffffu, now_ns);
}

void feed_totals(const struct feed_pen *pen, struct feed_totals *totals)
{
    memset(totals, 0, sizeof *totals);
    for (uint32_t row = 0; !row || row < pen->row_limit; row++) {
        const struct wire_row *counters = &pen->rows[row];
        const struct wire_desc *desc = &descs(pen)[row];
        uint64_t allocated = load(&counters->allocated);
        uint64_t refcount = load(&counters->freed_refcount), cycle = load(&counters->freed_cycle);
        uint64_t in = load(&counters->moved_in), out = load(&counters->moved_out);
        totals->allocations += allocated;
        totals->frees_refcount += refcount;
        totals->frees_cycle += cycle;
        totals->moved_in += in;
        totals->moved_out += out;
        if (row == 0 || desc->flags & WIRE_TYPE_VARIABLE) {
            totals->allocated_bytes += load(&counters->allocated_bytes);
            totals->freed_refcount_bytes += load(&counters->freed_refcount_bytes);
            totals->freed_cycle_bytes += load(&counters->freed_cycle_bytes);
        } else {
            totals->allocated_bytes += (allocated + in) * desc->size_bytes;
            totals->freed_refcount_bytes += (refcount + out) * desc->size_bytes;
            totals->freed_cycle_bytes += cycle * desc->size_bytes;
        }
    }
}
