/* Events of two heaps that share small budgets: spans as the ring's reader makes them, of words that are the input's.
 * Each span opens with 4 bytes: heap and whether there was a gap, log2 of the clock, records at most, rows. Bounds and
 * sums must hold after each. */
#include <stdlib.h>
#include <string.h>

#include "stats/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPAN_WORDS 509u
#define HEAPS 2u

static void demand(int right)
{
    if (!right)
        abort();
}

static void row_check(const struct events *events, uint32_t row)
{
    struct stats_histograms got;
    uint64_t ns = 0, bytes = 0, sizes = 0;
    events_histograms(events, row, &got);
    for (unsigned i = 0; i < STATS_SIZES; i++)
        sizes += got.sizes[i];
    for (unsigned i = 0; i < STATS_LIFETIMES; i++) {
        ns += got.ns[i];
        bytes += got.bytes[i];
    }
    demand(ns == got.known && bytes == got.known && got.short_lived <= got.known);
    demand(sizes == events_count(events, row, WIRE_EVENT_ALLOC));
    demand(got.known <= events_count(events, row, WIRE_EVENT_FREE_REFCOUNT) +
                            events_count(events, row, WIRE_EVENT_FREE_CYCLE));
}

static void tail_check(const struct events *events)
{
    struct events_last last[EVENTS_TAIL];
    size_t count = events_tail(events, last);
    demand(count <= EVENTS_TAIL);
    for (size_t i = 0; i < count; i++) {
        struct wire_event_view event;
        wire_event_decode(last[i].words, &event);
        demand(event.row < WIRE_ROW_MAX);
    }
}

/* Whole records out of the input, at most `most` of them. Returns the words taken. */
static size_t records_take(struct wire_span *span, uint64_t *words, const uint8_t *data, size_t size, size_t most)
{
    size_t taken = size / 8 < SPAN_WORDS ? size / 8 : SPAN_WORDS;
    memcpy(words, data, taken * 8);
    while (span->count < taken && span->records < most) {
        unsigned length = wire_record_words(words[span->count]);
        if (!length || length > taken - span->count)
            break;
        span->plain &= length == 1 && (words[span->count] & 3) != WIRE_EVENT_RARE;
        span->count += length;
        span->records++;
    }
    return span->count ? span->count : taken ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct events_budget whole = {.limit = 1 << 20}, part = {.limit = 3 << 18, .whole = &whole};
    struct events *heaps[HEAPS] = {events_new(&part), events_new(&whole)};
    uint64_t words[SPAN_WORDS];
    demand(heaps[0] && heaps[1]);
    while (size >= 4) {
        struct events *events = heaps[data[0] & 1];
        struct wire_span span = {.words = words, .plain = true, .lost = data[0] >> 1 & 7,
                                 .clock_ns = (uint64_t)(data[1] | 1) << data[1] % 64};
        if (data[0] == 0xff)
            events_rest(events);
        size_t most = data[2] + 1u;
        uint32_t limit = data[3] ? data[3] * 8u : WIRE_ROW_MAX;
        data += 4;
        size -= 4;
        size_t used = 8 * records_take(&span, words, data, size, most);
        if (span.records)
            events_fold(events, &span, limit);
        data += used;
        size -= used;
        demand(part.used <= part.limit && whole.used <= whole.limit && part.used <= whole.used);
        tail_check(events);
    }
    for (unsigned heap = 0; heap < HEAPS; heap++) {
        for (uint32_t row = 0; row < 600; row++)
            row_check(heaps[heap], row);
        events_free(heaps[heap]);
    }
    demand(!part.used && !whole.used);
    return 0;
}
