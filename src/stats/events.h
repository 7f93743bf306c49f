/* What one heap's events tell: how many of each type and kind were seen, the sizes of what was allocated, and how
 * long objects lived, in time and in bytes that were allocated meanwhile.
 *
 * The words are what a process wrote, and may be anything: none of them leads out of a table or past a budget.
 *
 * What is always true
 *  - A lifetime is known where both birth and death were seen and nothing was lost in between; what is not known is
 *    counted by its absence: known deaths are never more than deaths.
 *  - Births take 4 bytes a granule of the heap's pages, as far as these are touched; where the budget ends, the pages
 *    whose serial is a multiple of 2^shift are followed alone, and every birth before that is forgotten.
 *  - Lifetimes are right to within an eighth and 10 events, at a steady pace; before a heap has told of some hundred
 *    events there is no pace, and they are 0.
 *  - One thread.
 */
#ifndef TALLY_STATS_EVENTS_H
#define TALLY_STATS_EVENTS_H

#include "stats/stats.h"
#include "wire/ring_read.h"

#define EVENTS_TAIL 64u

struct events; /* of one heap */

struct events_budget { /* bytes of address space for births: of all heaps that share it */
    uint64_t limit, used;
    struct events_budget *whole; /* that it is a part of, and bound by, too; NULL: of none */
};

struct events_last {
    uint64_t words[2]; /* the record, as far as it goes */
    uint64_t clock_ns;
};

/* NULL: out of memory. The budget outlives it. */
struct events *events_new(struct events_budget *budget);
void events_free(struct events *events); /* NULL is allowed */

/* Takes a span in. row_limit: types that the heap can have; events of others count for nothing. Where there is no
 * memory for a type's figures its events are not counted. */
void events_fold(struct events *events, const struct wire_span *span, uint32_t row_limit);

/* Gives births back: what lives is unknown from here on. Counts stay. */
void events_rest(struct events *events);

/* Events were off: births of before are not known any more. `events` may be NULL. */
void events_forget(struct events *events);

/* What the heap says that it has of pages: a granule far beyond that is a lie, and would make the table reach for
 * it. `events` may be NULL. */
void events_bound(struct events *events, uint64_t mapped_bytes);

/* Seen so far. 0 for rows that had none, and where `events` is NULL, as below. */
uint64_t events_count(const struct events *events, uint32_t row, enum wire_event kind);
/* Whether any was. */
bool events_any(const struct events *events, uint32_t row);
void events_histograms(const struct events *events, uint32_t row, struct stats_histograms *out);
unsigned events_sample_shift(const struct events *events);
/* The last records, oldest first; `out` has room for EVENTS_TAIL. Returns how many. */
size_t events_tail(const struct events *events, struct events_last *out);

#endif
