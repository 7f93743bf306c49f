/* History: what was, in one SQLite file (`history.db` in the state folder), and the queries that read it.
 *
 *   stats ─▶ sampler ─▶┐                            ┌─▶ reader (one connection, read-only) ─▶ api
 *   audit, alerts ────▶┴─ queue ─▶ writer ─▶ file ──┘
 *
 * What is kept: figures of each process, heap and top type at 1 s for an hour, at 10 s for a day and at 1 min for
 * `keep_days`; every collection that the views showed, the end of each process, alerts, and the audit.
 *
 * What is always true
 *  - Nobody but the writer's thread waits for the disk. What comes goes into a bounded queue; what finds no room there
 *    is counted, and the figures have a gap there, never a wrong value.
 *  - A figure that did not change is not written; a reader carries it on, but never over a gap.
 *  - Rows are ordered by a time line of our own, in seconds, that follows CLOCK_MONOTONIC and no setting of the wall
 *    clock; what the wall clock said is a label, kept once a run.
 *  - Whatever is wrong with the file, tallyd goes on: the status says degraded and why, and the writer tries again.
 *    A file that is damaged, or of a version that we do not know, is set aside under another name, never changed.
 *  - The file is read as untrusted input: limits, checks, and every row decoded within its bounds.
 */
#ifndef TALLY_HISTORY_HISTORY_H
#define TALLY_HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "operations/operations.h"
#include "stats/stats.h"

#define HISTORY_SIZE_DEFAULT ((uint64_t)1 << 30)
#define HISTORY_SIZE_MIN ((uint64_t)16 << 20)
#define HISTORY_KEEP_DAYS_DEFAULT 31u
#define HISTORY_QUEUE_ROWS 65536u /* and HISTORY_QUEUE_BYTES, of what waits for the writer */
#define HISTORY_QUEUE_BYTES ((size_t)16 << 20)

struct history;

struct history_options {
    const char *folder;   /* where history.db lies; NULL: in memory, records alone and no figures */
    uint64_t size_bytes;  /* that the file may have; 0: the default */
    unsigned keep_days;   /* 0: the default */
    struct stats *stats;  /* whose views are sampled; NULL: none */
};

/* Starts the threads; opening and checking the file is the writer's, so that a start never waits for it. 0 or -errno:
 * out of memory or threads. */
int history_start(const struct history_options *options, struct history **out);
/* Writes what waits, for a second at most, and ends. */
void history_stop(struct history *history);

/* An alert has changed its state. Any thread, never waits; history may be NULL: no effect.
 *   rule      its name          process   an id, or "": the fleet's
 *   type      a type's name, or ""        state     "pending", "firing" or "resolved"
 *   detail    a sentence, or compact JSON */
#define HISTORY_ALERT_TEXTS(X) X(rule, 64) X(process, 36) X(type, 256) X(state, 16) X(detail, 256)
struct history_alert {
    uint64_t wall_ns;
    uint32_t heap; /* 0: the process's */
    double value, threshold;
#define HISTORY_X(name, room) char name[room];
    HISTORY_ALERT_TEXTS(HISTORY_X)
#undef HISTORY_X
};
void history_alert(struct history *history, const struct history_alert *alert);

/* An audit_sink_fn: the history that arg is keeps the record. */
void history_audit(void *history, const struct audit_record *record);

struct history_status {
    bool figures;  /* kept at all: not in memory */
    bool ready;    /* the file is open */
    bool degraded; /* rows wait, or are dropped, because of: */
    char why[128];
    uint64_t rows_written, rows_dropped, bytes, size_bytes;
};
void history_status_get(struct history *history, struct history_status *status);
/* Waits until all that was told before is written, for so long at most; false: it is not. */
bool history_flush(struct history *history, uint64_t wait_ns);

#endif
