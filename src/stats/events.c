/* See events.h. The loop over plain spans is where tallyd spends its time: births are fetched ahead of their use. */
#include "stats/events.h"

#include <stdlib.h>
#include <string.h>

#include "stats/births.h"

#define AHEAD 16u /* words */
#define TURN_EVENTS 16384u
#define TURN_NS 1000000u

struct row {
    uint64_t freed[4]; /* by kind */
    uint64_t known;
    uint64_t sizes[STATS_SIZES];
    uint64_t ns[STATS_LIFETIMES], bytes[STATS_LIFETIMES];
};

struct events {
    struct births births;
    struct row **rows;
    uint32_t room;
    uint64_t sequence;  /* records folded */
    uint64_t turned;    /* sequence at the last turn of the clocks */
    uint64_t turned_ns; /* and their time */
    uint64_t bytes;     /* allocated */
    size_t tail_count, tail_next;
    struct events_last tail[EVENTS_TAIL];
};

struct events *events_new(struct events_budget *budget)
{
    struct events *events = calloc(1, sizeof *events);
    if (events)
        births_init(&events->births, budget);
    return events;
}

void events_free(struct events *events)
{
    if (!events)
        return;
    births_fini(&events->births);
    for (uint32_t i = 0; i < events->room; i++)
        free(events->rows[i]);
    free(events->rows);
    free(events);
}

static struct row *row_make(struct events *events, uint32_t at)
{
    if (at >= events->room) {
        uint32_t room = at + at / 2 + 8;
        struct row **rows = realloc(events->rows, room * sizeof *rows);
        if (!rows)
            return NULL;
        memset(rows + events->room, 0, (room - events->room) * sizeof *rows);
        events->rows = rows;
        events->room = room;
    }
    if (!events->rows[at])
        events->rows[at] = calloc(1, sizeof *events->rows[at]);
    return events->rows[at];
}

static inline struct row *row_get(struct events *events, uint32_t at, uint32_t limit)
{
    if (__builtin_expect(at < events->room && events->rows[at] != NULL, 1))
        return events->rows[at];
    return at < limit ? row_make(events, at) : NULL;
}

static inline void fold_birth(struct events *events, struct row *row, uint64_t granule, unsigned code, uint64_t bytes)
{
    struct births *births = &events->births;
    row->sizes[code]++;
    events->bytes += bytes;
    uint64_t index = births_index(births, granule);
    if (__builtin_expect(index >= births->granules, 0)) {
        if (index == BIRTHS_NONE || !births_reach(births, granule))
            return;
        index = births_index(births, granule);
    }
    births->table[index] = births->stamp;
}

static inline void fold_death(struct events *events, struct row *row, uint64_t granule, enum wire_event kind)
{
    struct births *births = &events->births;
    row->freed[kind]++;
    uint64_t index = births_index(births, granule);
    if (index >= births->granules)
        return;
    uint32_t birth = births->table[index], age = births->stamp - birth;
    births->table[index] = 0;
    if (!birth || age > births->stamp - births->floor)
        return;
    unsigned at = births_age(age);
    row->known++;
    row->ns[births->in_ns[at]]++;
    row->bytes[births->in_bytes[at]]++;
}

static inline void fetch(const struct births *births, uint64_t word)
{
    uint64_t index = births_index(births, word >> WIRE_GRANULE_SHIFT);
    if (index < births->granules)
        __builtin_prefetch(&births->table[index], 1);
}

static void fold_plain(struct events *events, const struct wire_span *span, uint32_t limit)
{
    for (size_t i = 0; i < span->count; i++) {
        uint64_t word = span->words[i];
        if (i + AHEAD < span->count)
            fetch(&events->births, span->words[i + AHEAD]);
        struct row *row = row_get(events, word >> 2 & 0xffff, limit);
        if (__builtin_expect(!row, 0))
            continue;
        unsigned code = word >> 18 & WIRE_SIZE_CODE_LONG;
        if ((word & 3) == WIRE_EVENT_ALLOC)
            fold_birth(events, row, word >> WIRE_GRANULE_SHIFT, code, code * 8);
        else
            fold_death(events, row, word >> WIRE_GRANULE_SHIFT, (enum wire_event)(word & 3));
    }
}

static void fold_any(struct events *events, const struct wire_span *span, uint32_t limit)
{
    for (size_t at = 0; at < span->count;) {
        struct wire_event_view event;
        uint64_t code = span->words[at] >> 18 & WIRE_SIZE_CODE_LONG;
        at += wire_event_decode(&span->words[at], &event);
        struct row *row = event.kind == WIRE_EVENT_RARE ? NULL : row_get(events, event.row, limit);
        if (!row)
            continue;
        if (event.kind == WIRE_EVENT_ALLOC)
            fold_birth(events, row, event.granule, (unsigned)code, event.bytes);
        else
            fold_death(events, row, event.granule, event.kind);
    }
}

static void tail_add(struct events *events, const uint64_t *words, unsigned length, uint64_t clock_ns)
{
    struct events_last *last = &events->tail[events->tail_next];
    *last = (struct events_last){.words = {words[0], length > 1 ? words[1] : 0}, .clock_ns = clock_ns};
    events->tail_next = (events->tail_next + 1) % EVENTS_TAIL;
    if (events->tail_count < EVENTS_TAIL)
        events->tail_count++;
}

/* Of a span of many records the last ones. */
static void tail_keep(struct events *events, const struct wire_span *span)
{
    size_t skip = span->records > EVENTS_TAIL ? span->records - EVENTS_TAIL : 0, at = span->plain ? skip : 0;
    for (size_t record = span->plain ? skip : 0; at < span->count; record++) {
        unsigned length = wire_record_words(span->words[at]);
        if (record >= skip)
            tail_add(events, &span->words[at], length, span->clock_ns);
        at += length;
    }
}

/* Often at first, when there is little to reckon from. */
static bool turn_due(const struct events *events, const struct wire_span *span)
{
    uint64_t since = events->sequence - events->turned, often = 64 + events->sequence / 4;
    return since >= (often < TURN_EVENTS ? often : TURN_EVENTS) || span->lost ||
           span->clock_ns >= events->turned_ns + TURN_NS || !events->births.mark_count;
}

void events_fold(struct events *events, const struct wire_span *span, uint32_t row_limit)
{
    if (span->lost)
        events->sequence = (events->sequence | ((1u << BIRTHS_UNIT) - 1)) + 1; /* a stamp that nothing was born at */
    events->births.stamp = births_stamp(events->sequence);
    if (span->lost)
        births_forget(&events->births);
    if (turn_due(events, span)) {
        events->turned = events->sequence;
        events->turned_ns = span->clock_ns;
        births_turn(&events->births, events->sequence, span->clock_ns, events->bytes);
    }
    if (span->plain)
        fold_plain(events, span, row_limit);
    else
        fold_any(events, span, row_limit);
    tail_keep(events, span);
    events->sequence += span->records;
}

void events_rest(struct events *events)
{
    struct events_budget *budget = events ? events->births.budget : NULL;
    if (!events)
        return;
    births_fini(&events->births);
    births_init(&events->births, budget);
}

static const struct row *row_of(const struct events *events, uint32_t at)
{
    return events && at < events->room ? events->rows[at] : NULL;
}

uint64_t events_count(const struct events *events, uint32_t at, enum wire_event kind)
{
    const struct row *row = row_of(events, at);
    uint64_t count = 0;
    if (!row)
        return 0;
    for (unsigned i = 0; i < STATS_SIZES && kind == WIRE_EVENT_ALLOC; i++)
        count += row->sizes[i];
    return kind == WIRE_EVENT_ALLOC ? count : row->freed[kind];
}

bool events_any(const struct events *events, uint32_t at)
{
    return row_of(events, at) != NULL;
}

void events_histograms(const struct events *events, uint32_t at, struct stats_histograms *out)
{
    const struct row *row = row_of(events, at);
    *out = (struct stats_histograms){.known = 0};
    if (!row)
        return;
    out->known = row->known;
    memcpy(out->sizes, row->sizes, sizeof out->sizes);
    memcpy(out->ns, row->ns, sizeof out->ns);
    memcpy(out->bytes, row->bytes, sizeof out->bytes);
    for (unsigned i = 0; (uint64_t)1 << i < STATS_SHORT_BYTES; i++)
        out->short_lived += row->bytes[i];
}

unsigned events_sample_shift(const struct events *events)
{
    return events ? events->births.shift : 0;
}

size_t events_tail(const struct events *events, struct events_last *out)
{
    size_t count = events ? events->tail_count : 0;
    for (size_t i = 0; i < count; i++)
        out[i] = events->tail[(events->tail_next + EVENTS_TAIL - count + i) % EVENTS_TAIL];
    return count;
}
