/* See events.h. The loop over plain spans is where tallyd spends its time: births are fetched ahead of their use. */
#include "stats/events.h"

#include <stdlib.h>
#include <string.h>

#include "stats/births.h"

#define AHEAD 32u /* words */
#define TURN_EVENTS 16384u
#define TURN_NS 1000000u

struct row {
    uint64_t freed[4]; /* by kind */
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
    bool gap;           /* before what comes next */
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

/* The row is not there yet. */
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
    events->rows[at] = calloc(1, sizeof *events->rows[at]);
    return events->rows[at];
}

static inline struct row *row_get(struct events *events, uint32_t at, uint32_t limit)
{
    if (__builtin_expect(at < events->room && events->rows[at] != NULL, 1))
        return events->rows[at];
    return at < limit ? row_make(events, at) : NULL;
}

/* The entry of a granule, as far as the table reaches or can be made to; BIRTHS_NONE: it is not followed. */
static uint64_t entry_reach(struct births *births, uint64_t granule)
{
    return births_reach(births, granule) ? births_index(births, granule) : BIRTHS_NONE;
}

static void fold_birth(struct events *events, struct row *row, uint64_t granule, unsigned code, uint64_t bytes)
{
    struct births *births = &events->births;
    uint64_t index = entry_reach(births, granule);
    row->sizes[code]++;
    events->bytes += bytes;
    if (index != BIRTHS_NONE)
        births->table[index] = births->stamp;
}

static inline __attribute__((always_inline)) void row_death(const struct births *births, struct row *row,
                                                            uint32_t birth, uint32_t stamp, uint32_t since)
{
    uint32_t age = stamp - birth;
    if (!birth || age > since)
        return;
    unsigned at = births_age(age);
    row->ns[births->in_ns[at]]++;
    row->bytes[births->in_bytes[at]]++;
}

static void fold_death(struct events *events, struct row *row, uint64_t granule, enum wire_event kind)
{
    struct births *births = &events->births;
    uint64_t index = births_index(births, granule);
    row->freed[kind]++;
    if (index >= births->granules)
        return;
    row_death(births, row, births->table[index], births->stamp, births->stamp - births->floor);
    births->table[index] = 0;
}

/* Words from `at` on, until one needs the table to grow, or a row to be made: that one is the caller's. whole: every
 * page is followed. Returns where it stopped. All that the loop needs stands in registers. */
static inline __attribute__((always_inline)) size_t plain_loop(struct events *events, const uint64_t *words, size_t at,
                                                               size_t count, bool whole)
{
    const struct births *births = &events->births;
    struct row *const *rows = events->rows;
    uint32_t *table = births->table, floor = births->floor, room = events->room;
    uint64_t granules = births->granules, sequence = events->sequence, codes = 0;
    for (; at < count; at++) {
        uint64_t word = words[at], granule = word >> WIRE_GRANULE_SHIFT, type = word >> 2 & 0xffff;
        uint64_t index = whole ? granule : births_index(births, granule);
        if (at + AHEAD < count) { /* in here by force: compilers take a function that fetches for one that does nothing */
            uint64_t ahead = words[at + AHEAD] >> WIRE_GRANULE_SHIFT;
            uint64_t next = whole ? ahead : births_index(births, ahead);
            if (next < granules)
                __builtin_prefetch(&table[next], 1);
        }
        uint32_t stamp = births_stamp(sequence + at);
        struct row *row = type < room ? rows[type] : NULL;
        bool followed = whole || index != BIRTHS_NONE;
        if (__builtin_expect(!row || (followed && index >= granules), 0))
            break;
        uint64_t code = word >> 18 & WIRE_SIZE_CODE_LONG;
        if (!followed && (word & 3) == WIRE_EVENT_ALLOC) {
            row->sizes[code]++;
            codes += code;
        } else if (!followed) {
            row->freed[word & 3]++;
        } else if ((word & 3) == WIRE_EVENT_ALLOC) {
            row->sizes[code]++;
            codes += code;
            table[index] = stamp;
        } else {
            uint32_t birth = table[index];
            row->freed[word & 3]++;
            table[index] = 0;
            row_death(births, row, birth, stamp, stamp - floor);
        }
    }
    events->bytes += codes * 8;
    return at;
}

static void fold_word(struct events *events, uint64_t word, uint32_t limit)
{
    struct row *row = row_get(events, word >> 2 & 0xffff, limit);
    unsigned code = word >> 18 & WIRE_SIZE_CODE_LONG;
    if (row && (word & 3) == WIRE_EVENT_ALLOC)
        fold_birth(events, row, word >> WIRE_GRANULE_SHIFT, code, code * 8);
    else if (row)
        fold_death(events, row, word >> WIRE_GRANULE_SHIFT, (enum wire_event)(word & 3));
}

static void fold_plain(struct events *events, const struct wire_span *span, uint32_t limit)
{
    for (size_t at = 0; at < span->count; at++) {
        at = events->births.shift ? plain_loop(events, span->words, at, span->count, false)
                                  : plain_loop(events, span->words, at, span->count, true);
        events->births.stamp = births_stamp(events->sequence + at);
        if (at < span->count)
            fold_word(events, span->words[at], limit);
    }
}

static void fold_any(struct events *events, const struct wire_span *span, uint32_t limit)
{
    uint64_t sequence = events->sequence;
    for (size_t at = 0; at < span->count;) {
        struct wire_event_view event;
        uint64_t code = span->words[at] >> 18 & WIRE_SIZE_CODE_LONG;
        events->births.stamp = births_stamp(sequence++);
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
    if (skip && span->plain) { /* all of it, and in order */
        for (size_t i = 0; i < EVENTS_TAIL; i++)
            events->tail[i] = (struct events_last){.words = {span->words[skip + i]}, .clock_ns = span->clock_ns};
        events->tail_count = EVENTS_TAIL;
        events->tail_next = 0;
        return;
    }
    for (size_t record = at; at < span->count; record++) {
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
    bool gap = span->lost || events->gap;
    events->gap = false;
    if (gap)
        events->sequence = (events->sequence | ((1u << BIRTHS_UNIT) - 1)) + 1; /* a stamp that nothing was born at */
    events->births.stamp = births_stamp(events->sequence);
    if (gap)
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

void events_forget(struct events *events)
{
    if (events)
        events->gap = true;
}

void events_bound(struct events *events, uint64_t mapped_bytes)
{
    uint64_t granules = mapped_bytes / 8 * 2 + BIRTHS_BOUND; /* twice: it has grown since, and has holes */
    if (events && granules > events->births.bound)
        events->births.bound = granules;
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
    memcpy(out->sizes, row->sizes, sizeof out->sizes);
    memcpy(out->ns, row->ns, sizeof out->ns);
    memcpy(out->bytes, row->bytes, sizeof out->bytes);
    for (unsigned i = 0; i < STATS_LIFETIMES; i++) {
        out->known += row->bytes[i];
        out->short_lived += (uint64_t)1 << i < STATS_SHORT_BYTES ? row->bytes[i] : 0;
    }
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
