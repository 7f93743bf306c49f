/* Copy, then check, then decode: the words of one block at a time go into a buffer on the stack, the reserve
 * tells whether they were whole, and only the buffer is looked at from there on. */
#include "wire/ring_read.h"

#include <string.h>

static uint64_t load(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

int wire_ring_reader_init(struct wire_ring_reader *reader, const void *mapping, size_t bytes)
{
    struct wire_ring header;
    if (bytes < WIRE_RING_HEADER_BYTES)
        return -1;
    memcpy(&header, mapping, offsetof(struct wire_ring, reserve));
    uint64_t capacity = header.capacity_words;
    bool power = capacity && (capacity & (capacity - 1)) == 0;
    if (header.magic != WIRE_RING_MAGIC || header.version != WIRE_VERSION || header.total_bytes != bytes ||
        header.header_bytes != WIRE_RING_HEADER_BYTES || header.block_words != WIRE_BLOCK_SIZE || !power ||
        capacity < 2 * WIRE_BLOCK_SIZE || capacity > (bytes - WIRE_RING_HEADER_BYTES) / 8)
        return -1;
    const struct wire_ring *ring = mapping;
    *reader = (struct wire_ring_reader){
        .reserve = &ring->reserve,
        .head = &ring->head,
        .words = (const _Atomic uint64_t *)((const char *)mapping + WIRE_RING_HEADER_BYTES),
        .capacity_words = capacity,
    };
    return 0;
}

void wire_ring_identity(const void *mapping, uint32_t *heap_number, uint32_t *feed_generation)
{
    const volatile struct wire_ring *ring = mapping;
    *heap_number = ring->heap_number;
    *feed_generation = ring->feed_generation;
}

void wire_ring_reader_follow(struct wire_ring_reader *reader, const struct wire_ring_reader *next, bool same)
{
    uint64_t position = same ? reader->position : 0;
    bool in_block = same && reader->in_block;
    struct wire_ring_reader old = *reader;
    *reader = *next;
    reader->position = position;
    reader->in_block = in_block;
    reader->sequence = old.sequence;
    reader->seen = old.seen;
    reader->lost = old.lost;
    reader->lost_told = old.lost_told;
    reader->malformed = old.malformed;
    reader->clock_ns = old.clock_ns;
    reader->level = old.level;
}

static uint64_t block_up(uint64_t position)
{
    return (position + WIRE_BLOCK_SIZE - 1) & ~(uint64_t)(WIRE_BLOCK_SIZE - 1);
}

/* Goes on at a block's start. What is passed over is counted there: the header's sequence says it exactly. */
static void resume_at(struct wire_ring_reader *reader, uint64_t position)
{
    reader->position = block_up(position);
    reader->in_block = false;
}

/* The first position that the reserve leaves whole. */
static uint64_t whole_from(const struct wire_ring_reader *reader)
{
    uint64_t reserve = load(reader->reserve);
    return reserve > reader->capacity_words ? reserve - reader->capacity_words : 0;
}

/* Copies [position, position + count), which lies in one block. False: the writer came by meanwhile; the
 * reader has been moved on, away from the edge where it would happen again. */
static bool words_copy(struct wire_ring_reader *reader, uint64_t count, uint64_t *to)
{
    const _Atomic uint64_t *from = &reader->words[reader->position & (reader->capacity_words - 1)];
    for (uint64_t i = 0; i < count; i++)
        to[i] = load(&from[i]);
    atomic_thread_fence(memory_order_acquire);
    uint64_t whole = whole_from(reader);
    if (reader->position >= whole)
        return true;
    uint64_t newest = whole + reader->capacity_words - WIRE_BLOCK_SIZE, half = whole + reader->capacity_words / 2;
    resume_at(reader, half < newest ? half : newest);
    return false;
}

/* The header of a block: what stands between the records accounted for and its sequence was lost. A sequence
 * that goes backwards is a lie, which costs the liar its own figures only. */
static void block_header(struct wire_ring_reader *reader, const uint64_t *words)
{
    uint64_t sequence = words[0];
    if (sequence >= reader->sequence)
        reader->lost += sequence - reader->sequence;
    else
        reader->malformed++;
    reader->sequence = sequence;
    reader->clock_ns = words[1];
    reader->level = (uint32_t)(words[2] & 0xff);
    reader->in_block = true;
}

unsigned wire_event_decode(const uint64_t *words, struct wire_event_view *event)
{
    uint64_t word = words[0];
    unsigned length = wire_record_words(word);
    *event = (struct wire_event_view){.kind = (enum wire_event)(word & 3)};
    if (event->kind == WIRE_EVENT_RARE) {
        event->rare = (enum wire_rare)(word >> 2 & 0x3f);
        event->argument = word >> 16;
        event->value = length > 1 ? words[1] : 0;
    } else {
        event->row = (uint32_t)(word >> 2 & 0xffff);
        event->granule = word >> WIRE_GRANULE_SHIFT;
        event->bytes = length == 2 ? words[1] : (word >> 18 & WIRE_SIZE_CODE_LONG) * 8;
    }
    return length;
}

static bool is_pad(uint64_t word) /* of any length: not a record */
{
    return (word & 0xff) == (WIRE_EVENT_RARE | WIRE_RARE_PAD << 2);
}

/* Whether all of them are records of one word: then there are `count`. No branches: compilers vectorise it. */
static bool all_plain(const uint64_t *words, uint64_t count)
{
    uint64_t special = 0;
    for (uint64_t i = 0; i < count; i++)
        special |= (uint64_t)((words[i] & 3) == WIRE_EVENT_RARE) |
                   (uint64_t)((words[i] >> 18 & WIRE_SIZE_CODE_LONG) == WIRE_SIZE_CODE_LONG);
    return !special;
}

static void show(struct wire_ring_reader *reader, struct wire_span *span, wire_span_fn fn, void *arg)
{
    if (!span->records)
        return;
    span->lost = reader->lost - reader->lost_told;
    span->clock_ns = reader->clock_ns;
    reader->lost_told = reader->lost;
    reader->sequence += span->records;
    reader->seen += span->records;
    if (fn)
        fn(span, arg);
}

/* Walks the records of words[0..count), of which the last may be the pad. Returns whether the block goes on behind
 * them. Pads inside of a block are skipped by their length, and end a span. */
static bool records_show(struct wire_ring_reader *reader, const uint64_t *words, uint64_t count, wire_span_fn fn,
                         void *arg)
{
    struct wire_span span = {.words = words};
    uint64_t at = 0;
    bool goes_on = true;
    while (at < count && goes_on) {
        unsigned length = wire_record_words(words[at]);
        bool pad = is_pad(words[at]), broken = length > count - at || (!length && !pad);
        reader->malformed += broken;
        goes_on = length && !broken;
        if (pad || broken) {
            show(reader, &span, fn, arg);
            span = (struct wire_span){.words = words + at + length};
        } else {
            span.records++;
            span.count += length;
        }
        at += length;
    }
    show(reader, &span, fn, arg);
    return goes_on;
}

/* Shows a block's whole words; `count` of them, from the reader's position. */
static void block_show(struct wire_ring_reader *reader, const uint64_t *words, uint64_t count, wire_span_fn fn,
                       void *arg)
{
    uint64_t end = reader->position + count;
    uint64_t next_block = (reader->position & ~(uint64_t)(WIRE_BLOCK_SIZE - 1)) + WIRE_BLOCK_SIZE;
    if (!reader->in_block) {
        block_header(reader, words);
        words += WIRE_BLOCK_WORDS;
        count -= WIRE_BLOCK_WORDS;
    }
    bool goes_on = true;
    if (all_plain(words, count)) {
        struct wire_span span = {.words = words, .count = count, .records = count, .plain = true};
        show(reader, &span, fn, arg);
    } else {
        goes_on = records_show(reader, words, count, fn, arg);
    }
    if (!goes_on || end == next_block)
        resume_at(reader, next_block);
    else
        reader->position = end;
}

uint64_t wire_ring_waiting(const struct wire_ring_reader *reader)
{
    uint64_t head = load(reader->head);
    return head > reader->position ? head - reader->position : 0;
}

void wire_ring_skip(struct wire_ring_reader *reader, uint64_t words)
{
    uint64_t waiting = wire_ring_waiting(reader);
    if (waiting > words && waiting > WIRE_BLOCK_SIZE)
        resume_at(reader, reader->position + waiting - (words > WIRE_BLOCK_SIZE ? words : WIRE_BLOCK_SIZE));
}

int64_t wire_ring_read(struct wire_ring_reader *reader, uint64_t limit, wire_span_fn fn, void *arg)
{
    uint64_t words[WIRE_BLOCK_SIZE];
    uint64_t seen = reader->seen;
    uint64_t head = atomic_load_explicit(reader->head, memory_order_acquire);
    if (head < reader->position) /* resuming ahead of the head lasts for a few stores of the writer only */
        return reader->position - head <= reader->capacity_words ? 0 : -1;
    if (head > UINT64_MAX / 2)
        return -1;
    uint64_t whole = whole_from(reader), oldest = head > reader->capacity_words ? head - reader->capacity_words : 0;
    if (whole < oldest) /* only a liar's; no reading is longer than a capacity */
        whole = oldest;
    if (reader->position < whole)
        resume_at(reader, whole);
    if (reader->position >= head) /* the writer went round since we looked at its head: the next reading finds more */
        return 0;
    uint64_t end = limit < head - reader->position ? reader->position + limit : head;
    while (reader->position < end) {
        uint64_t block_end = (reader->position & ~(uint64_t)(WIRE_BLOCK_SIZE - 1)) + WIRE_BLOCK_SIZE;
        uint64_t count = (head < block_end ? head : block_end) - reader->position;
        if (!reader->in_block && count < WIRE_BLOCK_WORDS)
            break;
        if (words_copy(reader, count, words))
            block_show(reader, words, count, fn, arg);
    }
    return (int64_t)(reader->seen - seen);
}
