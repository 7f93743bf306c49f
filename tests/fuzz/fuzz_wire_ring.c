/* The ring's reader on a mapping made of the input: the first words are head and reserve for a few readings,
 * the rest fills the ring over and over. The reader must stay inside, end, and never show a record twice. */
#include <stdlib.h>
#include <string.h>

#include "wire/ring_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define READINGS 4u

static void span_touch(const struct wire_span *span, void *arg)
{
    uint64_t *shown = arg;
    size_t records = 0, at = 0;
    while (at < span->count) {
        struct wire_event_view event;
        unsigned words = wire_event_decode(&span->words[at], &event);
        if (!words || event.row > 65535 || event.granule >> 40)
            abort();
        at += words;
        records++;
    }
    if (at != span->count || records != span->records || (span->plain && records != span->count))
        abort();
    *shown += records;
}

static void header_make(struct wire_ring *ring)
{
    ring->magic = WIRE_RING_MAGIC;
    ring->version = WIRE_VERSION;
    ring->header_bytes = WIRE_RING_HEADER_BYTES;
    ring->total_bytes = WIRE_RING_BYTES;
    ring->capacity_words = WIRE_RING_WORDS;
    ring->block_words = WIRE_BLOCK_SIZE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t places[READINGS][2];
    struct wire_ring_reader reader;
    if (size < sizeof places + 8)
        return 0;
    struct wire_ring *ring = aligned_alloc(4096, WIRE_RING_BYTES);
    if (!ring)
        abort();
    memset(ring, 0, WIRE_RING_HEADER_BYTES);
    memcpy(places, data, sizeof places);
    data += sizeof places;
    size -= sizeof places;
    char *words = (char *)ring + WIRE_RING_HEADER_BYTES;
    for (size_t at = 0; at < WIRE_RING_BYTES - WIRE_RING_HEADER_BYTES; at++)
        words[at] = (char)data[at % size];
    memcpy(ring, data, size < 64 ? size : 64); /* a header of the input's making, or else a good one */
    if (wire_ring_reader_init(&reader, ring, WIRE_RING_BYTES)) {
        header_make(ring);
        if (wire_ring_reader_init(&reader, ring, WIRE_RING_BYTES))
            abort();
    }
    for (unsigned i = 0; i < READINGS; i++) {
        uint64_t shown = 0;
        atomic_store(&ring->head, places[i][0]);
        atomic_store(&ring->reserve, places[i][1]);
        int64_t got = wire_ring_read(&reader, UINT64_MAX, span_touch, &shown);
        if (got > (int64_t)WIRE_RING_WORDS || (got >= 0 && (uint64_t)got != shown))
            abort();
    }
    free(ring);
    return 0;
}
