/* The pen. Everything here is slow-path: entering a block, changing memory, describing types, summaries and
 * records; what runs for each object is inline in feed.h.
 *
 * Why a reader in another process is never shown a torn word, and no lock is needed (C11's memory model; on x86
 * the relaxed and ordered accesses are plain loads and stores, and the one full fence is a locked instruction;
 * on arm64 they are ldr/str, ldar/stlr, dmb ish and dmb ishld):
 *
 *   writer, block at p:                       reader:
 *     W1  reserve = p + 512     relaxed         R1  h = head                  acquire
 *     W2  fence                 seq_cst         R2  copies words [from, h)    relaxed
 *     W3  words of the block    relaxed         R3  fence                     acquire
 *     W4  head                  release         R4  r = reserve               relaxed
 *
 *  1. What is below h was whole when h was stored: R1 reads a store W4, so all of W3 before it happens before R2.
 *     A word that R2 reads is therefore that one, or one that came later.
 *  2. A later one stood in the same place, a capacity ahead: position q + capacity, in a block whose W1 stored at
 *     least q + capacity + 1. If R2 read that word, then the fence W2 (a release fence, too) before the store W3
 *     and the fence R3 (acquire) after the load R2 synchronise, so W1 happens before R4, which reads a reserve
 *     of at least q + capacity + 1: q lies below r - capacity and is discarded. Without W2 the store of the word could
 *     be seen before that of reserve; arm64 really reorders two plain stores. Without R3 the load of
 *     reserve could be done before that of the words; arm64 does that too, and compilers on either.
 *  3. What is not discarded was therefore read as it was written, once, and is whole.
 *
 * That W2 is a full fence and not just a release one costs nothing (once in 512 words), and keeps W1 from being
 * overtaken by the head of an earlier block on its way to a reader that looks at reserve alone.
 *
 * The summary's sequence lock is the same argument: seq odd, fence (release), fields relaxed, seq even (release);
 * reader: seq (acquire), fields relaxed, fence (acquire), seq again. Rows need none: each counter is loaded whole,
 * and frees (stored with release) are loaded (acquire) before the allocations that happened before them. */
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

static uint32_t load32(const _Atomic uint32_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void store(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

void feed_counters_format(void *memory, const struct feed_shape *shape, uint32_t heap_number,
                          uint32_t feed_generation)
{
    struct wire_counters *counters = memory;
    counters->magic = WIRE_COUNTERS_MAGIC;
    counters->version = WIRE_VERSION;
    counters->header_bytes = WIRE_HEADER_BYTES;
    counters->total_bytes = feed_counters_bytes(shape);
    counters->heap_number = heap_number;
    counters->feed_generation = feed_generation;
    counters->row_offset = WIRE_HEADER_BYTES;
    counters->row_capacity = shape->rows;
    counters->desc_offset = counters->row_offset + shape->rows * (uint32_t)sizeof(struct wire_row);
    counters->desc_bytes = sizeof(struct wire_desc);
    counters->string_offset = counters->desc_offset + shape->rows * counters->desc_bytes;
    counters->string_bytes = shape->string_bytes;
    counters->record_offset = counters->string_offset + shape->string_bytes;
    counters->record_capacity = WIRE_RECORD_COUNT;
}

void feed_ring_format(void *memory, uint64_t words, uint32_t heap_number, uint32_t feed_generation)
{
    struct wire_ring *ring = memory;
    ring->magic = WIRE_RING_MAGIC;
    ring->version = WIRE_VERSION;
    ring->header_bytes = WIRE_RING_HEADER_BYTES;
    ring->total_bytes = feed_ring_bytes(words);
    ring->capacity_words = words;
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

static void publish(struct feed_pen *pen, uint64_t position)
{
    atomic_store_explicit(&pen->ring->head, position, memory_order_release);
}

static void put(const struct feed_pen *pen, uint64_t position, uint64_t word)
{
    store(feed_word_at(pen, position), word);
}

/* Pads what is left of the block, and starts the next. */
static void block_next(struct feed_pen *pen)
{
    uint64_t position = feed_position(pen), block = pen->block_end, sequence = position - pen->skip;
    if (position != block)
        put(pen, position, WIRE_EVENT_RARE | (uint64_t)WIRE_RARE_PAD << 2);
    pen->origin = (uintptr_t)pen->ring + WIRE_RING_HEADER_BYTES + (block & pen->mask) * 8 - block * 8;
    pen->block_end = block + WIRE_BLOCK_SIZE;
    store(&pen->ring->reserve, pen->block_end);
    atomic_thread_fence(memory_order_seq_cst);
    put(pen, block, sequence);
    put(pen, block + 1, block_clock(pen));
    put(pen, block + 2, pen->level);
    pen->skip = block + WIRE_BLOCK_WORDS - sequence;
    publish(pen, block + WIRE_BLOCK_WORDS);
}

void feed__block_enter(struct feed_pen *pen, unsigned words)
{
    if (pen->block_end - feed_position(pen) < words)
        block_next(pen);
}

void feed_event2(struct feed_pen *pen, uint64_t word, uint64_t second)
{
    feed__block_enter(pen, 2);
    uint64_t position = feed_position(pen);
    put(pen, position, word);
    put(pen, position + 1, second);
    pen->skip++;
    publish(pen, position + 2);
}

/* All that has a place of its own in the header moves; the header's identity and layout stay those of the new
 * memory. */
static void contents_copy(struct wire_counters *to, const struct wire_counters *from)
{
    size_t head = offsetof(struct wire_counters, type_count);
    size_t rows = from->row_capacity;
    memcpy((char *)to + head, (const char *)from + head, sizeof *to - head);
    memcpy((char *)to + to->row_offset, (const char *)from + from->row_offset, rows * sizeof(struct wire_row));
    memcpy((char *)to + to->desc_offset, (const char *)from + from->desc_offset, rows * sizeof(struct wire_desc));
    memcpy((char *)to + to->string_offset, (const char *)from + from->string_offset, from->string_bytes);
    memcpy((char *)to + to->record_offset, (const char *)from + from->record_offset,
           WIRE_RECORD_COUNT * sizeof(struct wire_record));
}

void feed_counters_adopt(struct feed_pen *pen, void *counters)
{
    if (pen->counters)
        contents_copy(counters, pen->counters);
    pen->counters = counters;
    pen->rows = (struct wire_row *)((char *)counters + WIRE_HEADER_BYTES);
}

/* Nobody reads on: the next ring begins anew. The level is OFF. */
static void told_forget(struct feed_pen *pen)
{
    for (uint32_t row = 0; !row || row < pen->row_limit; row++) {
        struct wire_desc *desc = &descs(pen)[row];
        store(&desc->base_allocated, 0);
        store(&desc->base_freed_refcount, 0);
        store(&desc->base_freed_cycle, 0);
    }
}

/* Records go on being counted where they were; a block of its own says so. */
void feed_ring_adopt(struct feed_pen *pen, void *memory)
{
    struct wire_ring *ring = memory;
    if (!ring)
        feed_level_set(pen, WIRE_LEVEL_OFF);
    uint64_t sequence = ring ? feed_sequence(pen) : 0;
    if (!ring)
        told_forget(pen);
    pen->ring = ring;
    pen->mask = ring ? ring->capacity_words - 1 : 0;
    pen->block_end = 0;
    pen->skip = 0 - sequence;
    if (pen->level != WIRE_LEVEL_OFF)
        block_next(pen);
}

void feed_adopt(struct feed_pen *pen, void *counters, void *ring)
{
    feed_counters_adopt(pen, counters);
    feed_ring_adopt(pen, ring);
}

void feed_restart(struct feed_pen *pen, void *counters)
{
    memset(pen, 0, sizeof *pen);
    feed_adopt(pen, counters, NULL);
}

/* Returns whether the type found a row. */
static bool describe(struct feed_pen *pen, uint32_t row, const struct feed_type *type)
{
    struct wire_counters *counters = pen->counters;
    uint32_t used = load32(&counters->string_used);
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

void feed_types_describe(struct feed_pen *pen, const struct feed_type *types, uint32_t end, uint32_t count)
{
    uint32_t first = pen->row_limit, row = first;
    while (row < end && describe(pen, row, &types[row - first]))
        row++;
    if (row < count || load32(&pen->counters->types_without_row))
        atomic_store_explicit(&pen->counters->types_without_row, count - row, memory_order_relaxed);
}

/* The base at OFF is what the events have told, negated; the row is added to it when they go on. */
static void base_shift(struct feed_pen *pen, bool on)
{
    for (uint32_t row = 0; !row || row < pen->row_limit; row++) {
        const struct wire_row *from = &pen->rows[row];
        struct wire_desc *to = &descs(pen)[row];
        uint64_t sign = on ? 1 : UINT64_MAX;
        feed_add(&to->base_allocated, sign * load(&from->allocated));
        feed_add(&to->base_freed_refcount, sign * load(&from->freed_refcount));
        feed_add(&to->base_freed_cycle, sign * load(&from->freed_cycle));
    }
}

void feed_level_set(struct feed_pen *pen, enum wire_level level)
{
    if (!pen->counters || !pen->ring)
        level = WIRE_LEVEL_OFF;
    if (level == (enum wire_level)pen->level)
        return;
    feed_summary_begin(pen);
    base_shift(pen, level != WIRE_LEVEL_OFF);
    atomic_store_explicit(&pen->counters->level, (uint32_t)level, memory_order_relaxed);
    feed_summary_end(pen);
    pen->level = level;
    if (level != WIRE_LEVEL_OFF) /* a block of its own says the level and the clock */
        feed__block_enter(pen, WIRE_BLOCK_SIZE + 1);
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
