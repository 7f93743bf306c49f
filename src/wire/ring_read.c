/* Copy, then check, then decode: the words of one block at a time go into a buffer on the stack, the reserve
 * tells whether they were whole, and only the buffer is looked at from there on. */
#include "wire/ring_read.h"

#include <string.h>

struct rare_word {
    enum wire_rare kind;
    unsigned words;
    uint64_t argument;
};

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
 * reader has been moved on. */
static bool words_copy(struct wire_ring_reader *reader, uint64_t count, uint64_t *to)
{
    for (uint64_t i = 0; i < count; i++)
        to[i] = load(&reader->words[(reader->position + i) & (reader->capacity_words - 1)]);
    atomic_thread_fence(memory_order_acquire);
    uint64_t from = whole_from(reader);
    if (reader->position >= from)
        return true;
    resume_at(reader, from);
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

static void show(struct wire_ring_reader *reader, const struct wire_event_view *event, wire_event_fn fn,
                 void *arg)
{
    reader->sequence++;
    reader->seen++;
    if (fn)
        fn(event, arg);
}

/* Decodes the record at words[0]; `left` are whole words to the head or the block's end. Returns its length,
 * or 0 where the words make no sense. */
static unsigned record_decode(struct wire_ring_reader *reader, const uint64_t *words, uint64_t left,
                              wire_event_fn fn, void *arg)
{
    uint64_t word = words[0];
    struct wire_event_view event = {.kind = (enum wire_event)(word & 3)};
    unsigned length = 1;
    if (event.kind == WIRE_EVENT_RARE) {
        event.rare = (enum wire_rare)(word >> 2 & 0x3f);
        event.argument = word >> 16;
        length = (unsigned)(word >> 8 & 0xff);
        if (length == 0 || length > left)
            return 0;
        event.value = length > 1 ? words[1] : 0;
        if (event.rare == WIRE_RARE_PAD)
            return length;
        if (event.rare == WIRE_RARE_CLOCK)
            reader->clock_ns = event.value;
    } else {
        uint64_t code = word >> 18 & WIRE_SIZE_CODE_LONG;
        event.row = (uint32_t)(word >> 2 & 0xffff);
        event.granule = word >> WIRE_GRANULE_SHIFT;
        event.bytes = code * 8;
        if (code == WIRE_SIZE_CODE_LONG) {
            length = 2;
            if (length > left)
                return 0;
            event.bytes = words[1];
        }
    }
    show(reader, &event, fn, arg);
    return length;
}

static bool is_pad(uint64_t word)
{
    return (word & 0xff) == (WIRE_EVENT_RARE | WIRE_RARE_PAD << 2) && (word >> 8 & 0xff) == 0;
}

/* Decodes a block's whole words; `count` of them, from the reader's position. */
static void block_decode(struct wire_ring_reader *reader, const uint64_t *words, uint64_t count,
                         wire_event_fn fn, void *arg)
{
    uint64_t end = reader->position + count, i = 0;
    uint64_t next_block = (reader->position & ~(uint64_t)(WIRE_BLOCK_SIZE - 1)) + WIRE_BLOCK_SIZE;
    if (!reader->in_block) {
        block_header(reader, words);
        i = WIRE_BLOCK_WORDS;
    }
    while (i < count && !is_pad(words[i])) {
        unsigned length = record_decode(reader, &words[i], count - i, fn, arg);
        if (!length) {
            reader->malformed++;
            break;
        }
        i += length;
    }
    if (i < count || end == next_block)
        resume_at(reader, next_block);
    else
        reader->position = end;
}

int64_t wire_ring_read(struct wire_ring_reader *reader, wire_event_fn fn, void *arg)
{
    uint64_t words[WIRE_BLOCK_SIZE];
    uint64_t seen = reader->seen;
    uint64_t head = atomic_load_explicit(reader->head, memory_order_acquire);
    if (head < reader->position) /* resuming ahead of the head lasts for a few stores of the writer only */
        return reader->position - head <= reader->capacity_words ? 0 : -1;
    if (head > UINT64_MAX / 2)
        return -1;
    if (head - reader->position > reader->capacity_words)
        resume_at(reader, head - reader->capacity_words);
    while (reader->position < head) {
        uint64_t block_end = (reader->position & ~(uint64_t)(WIRE_BLOCK_SIZE - 1)) + WIRE_BLOCK_SIZE;
        uint64_t count = (head < block_end ? head : block_end) - reader->position;
        if (!reader->in_block && count < WIRE_BLOCK_WORDS)
            break;
        if (words_copy(reader, count, words))
            block_decode(reader, words, count, fn, arg);
    }
    return (int64_t)(reader->seen - seen);
}
