/* The reader's half of the event ring (wire/feed.h): takes what is new out of a mapping that its writer
 * changes at the same time, or that a liar filled. Pure: no system call, no memory of its own, no global.
 *
 * What is always true
 *  - Nothing torn is shown: words are copied, the reserve is read again, and only what was whole is decoded.
 *  - seen + lost = the records written up to the last one read, exactly, as long as the writer keeps the
 *    protocol.
 *  - One call reads at most one capacity of words, whatever the mapping says, and touches no byte outside of
 *    it.
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
    uint64_t seen;     /* decoded and shown, since init */
    uint64_t lost;     /* written, and overwritten or garbled before they were read */
    uint64_t malformed; /* words that no honest writer writes; the rest of their block is skipped */
    uint64_t clock_ns; /* of the newest block's header or clock record */
    uint32_t level;    /* enum wire_level of the newest block */
};

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
typedef void (*wire_event_fn)(const struct wire_event_view *event, void *arg);

/* Checks the header of a mapping of `bytes` (the sealed size, from fstat) and points the reader at its first
 * block. The mapping must stay until the reader is no longer used. Returns 0 or -1: not a ring of this
 * version. */
int wire_ring_reader_init(struct wire_ring_reader *reader, const void *mapping, size_t bytes);

/* heap_number and feed_generation of a mapping that init has accepted; read once, compare with the message's.
 */
void wire_ring_identity(const void *mapping, uint32_t *heap_number, uint32_t *feed_generation);

/* Shows every whole record that is new, in order. Returns the number shown, or -1 when head or reserve are
 * impossible: the writer lies, or its memory is broken; drop it. fn may be NULL (counts only). */
int64_t wire_ring_read(struct wire_ring_reader *reader, wire_event_fn fn, void *arg);

#endif
