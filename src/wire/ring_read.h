/* The reader's half of the event ring (wire/feed.h): takes what is new out of a mapping that its writer
 * changes at the same time, or that a liar filled. Pure: no system call, no memory of its own, no global.
 *
 * What is always true
 *  - Nothing torn is shown: words are copied, the reserve is read again, and only what was whole is decoded.
 *  - seen + lost = the records written up to the last one read, exactly, as long as the writer keeps the
 *    protocol; over a ring's successors, too.
 *  - One call reads at most `limit` words and one capacity, whatever the mapping says, and touches no byte outside
 *    of it.
 *  - A reader that the writer overtakes goes on half a capacity behind it: it loses more at once, says how much,
 *    and then sees an unbroken stretch, where one at the edge would lose a bit of everything.
 */
#ifndef TALLY_WIRE_RING_READ_H
#define TALLY_WIRE_RING_READ_H

#include <stdbool.h>

#include "wire/feed.h"

struct wire_ring_reader {
    const _Atomic uint64_t *reserve, *head; /* in the mapping */
    const _Atomic uint64_t *words;          /* in the mapping */
    uint64_t capacity_words;
    uint64_t position; /* of the next word */
    bool in_block;     /* position stands behind a block's header that was read; else at a block's start */
    uint64_t sequence; /* records accounted for: seen + lost */
    uint64_t seen;     /* whole and shown, since init */
    uint64_t lost;     /* written, and overwritten or garbled before they were read */
    uint64_t lost_told; /* of them, what spans have told */
    uint64_t malformed; /* words that no honest writer writes; the rest of their block is skipped */
    uint64_t clock_ns; /* of the newest block's header or clock record */
    uint32_t level;    /* enum wire_level of the newest block */
};

/* A run of whole records out of one block: copied, whole, and every record ends inside it. */
struct wire_span {
    const uint64_t *words;
    size_t count;      /* words */
    size_t records;
    bool plain;        /* all records are one word long, and none is RARE */
    uint64_t lost;     /* records that were lost right before the first */
    uint64_t clock_ns; /* the writer's CLOCK_MONOTONIC at the start of the block */
    bool before_us;    /* the intake's: written before this tallyd knew of the ring; an earlier one may have told of it */
};
typedef void (*wire_span_fn)(const struct wire_span *span, void *arg);

struct wire_event_view {
    enum wire_event kind;
    /* ALLOC, FREE_*: */
    uint32_t row;     /* below 65,536: the caller bounds it */
    uint64_t bytes;
    uint64_t granule;
    /* RARE: */
    enum wire_rare rare; /* may be a number that this version does not know */
    uint64_t argument;   /* 48 bits */
    uint64_t value;      /* the second word, 0 without one: ns */
};

/* Words of the record that begins with `word`; 0: the block's pad. */
static inline unsigned wire_record_words(uint64_t word)
{
    if ((word & 3) == WIRE_EVENT_RARE)
        return (unsigned)(word >> 8 & 0xff);
    return (word >> 18 & WIRE_SIZE_CODE_LONG) == WIRE_SIZE_CODE_LONG ? 2 : 1;
}

/* Decodes the record at words[0], all of whose words are there. Returns their number. */
unsigned wire_event_decode(const uint64_t *words, struct wire_event_view *event);

/* Checks the header of a mapping of `bytes` (the sealed size, from fstat) and points the reader at its first
 * block. The mapping must stay until the reader is no longer used. Returns 0 or -1: not a ring of this
 * version. */
int wire_ring_reader_init(struct wire_ring_reader *reader, const void *mapping, size_t bytes);

/* Goes on in another mapping: of the same ring (`same`: a process has come back), or of its successor, once the old
 * one was read to its end. What was counted stays. `next` is fresh from init. */
void wire_ring_reader_follow(struct wire_ring_reader *reader, const struct wire_ring_reader *next, bool same);

/* heap_number and feed_generation of a mapping that init has accepted; read once, compare with the message's.
 */
void wire_ring_identity(const void *mapping, uint32_t *heap_number, uint32_t *feed_generation);

/* Shows every whole record that is new, in order, in spans; stops after about `limit` words (block by block).
 * Returns the number shown, or -1 when head or reserve are impossible: the writer lies, or its memory is broken; drop
 * it. fn may be NULL (counts only). */
int64_t wire_ring_read(struct wire_ring_reader *reader, uint64_t limit, wire_span_fn fn, void *arg);

/* Leaves out what is older than the newest `words`, which the next reading counts as lost. */
void wire_ring_skip(struct wire_ring_reader *reader, uint64_t words);

/* Words written that are not read yet, as of now: more than a capacity means that some are lost. */
uint64_t wire_ring_waiting(const struct wire_ring_reader *reader);

#endif
