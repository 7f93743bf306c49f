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
 *    clock; what the wall clock said is a label, kept once a run. The row of second S has what the newest view said
 *    when the wall clock came to S, or up to a quarter of a second later; the first one of a run says what was at its
 *    begin, and after a setting of the clock labels are off by half a second at most.
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
    uint64_t retry_ns;    /* between two attempts at a file that fails; 0: a second */
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

/* The version of the library that is used. */
const char *history_library(void);

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

/* ---- reading: from the api's workers, who may wait. All answer 0 or -errno: -EAGAIN, there is no file now;
 * -ENOENT, nothing of that name was ever kept; -ENODATA, figures are not kept; -ETIMEDOUT, it takes too long;
 * -EINVAL, no figure has this name; -EIO; -ENOMEM. Texts are the callback's during the call. */

#define HISTORY_COLUMNS_MAX 16u
#define HISTORY_CELLS_MAX 1000000u /* points of all columns */
#define HISTORY_GAPS_MAX 100u

struct history_query {
    const char *process; /* its id */
    bool lives;          /* it is there, if nothing of it has been written yet: then nothing is known, and no -ENOENT */
    uint32_t heap;       /* 0: all of it */
    /* "live_bytes", "type:NAME.live_bytes", "rest.live_bytes" (of the types that are not among the largest) */
    const char *columns[HISTORY_COLUMNS_MAX];
    size_t column_count;
    int64_t from_s, to_s; /* by the wall clock */
    uint32_t step_s;      /* 0: as points_max asks for */
    size_t points_max;
};
struct history_point { /* of one step */
    uint64_t last, low, high;
    bool known;
};
struct history_column {
    bool gauge;       /* else a counter, which has no extremes */
    const char *unit; /* "": of a figure that we know no longer */
    struct history_point *points;
};
struct history_answer {
    uint32_t step_s, resolution_s; /* resolution: of the rows that were read */
    int64_t start_s;               /* point i is of (start + i * step, start + (i + 1) * step] */
    int64_t to_s;                  /* as asked for, or the last second that was recorded */
    size_t point_count, column_count;
    struct history_column columns[HISTORY_COLUMNS_MAX];
    size_t gap_count; /* times in which nothing was recorded, oldest first; more than HISTORY_GAPS_MAX are not told */
    struct history_gap { int64_t from_s, to_s; } gaps[HISTORY_GAPS_MAX];
    int64_t oldest_s; /* what came before was forgotten; 0: nothing was */
};
/* The least step that it takes for so many points is taken where a smaller one was asked for; the step is a multiple of
 * the resolution. The answer is freed with history_answer_free(). */
int history_query(struct history *history, const struct history_query *query, struct history_answer **answer);
void history_answer_free(struct history_answer *answer);
/* Whether the first `bytes` of a name that begins with "type:" end with a type's figure: where, in a list that is
 * separated by commas, a type's name may hold some. */
bool history_column_is_type(const char *name, size_t bytes);
/* Whether a column may be called so, of a process or heap, a type or the rest of them: which one it was where
 * history_query() answers -EINVAL. Any thread. */
bool history_column_known(const char *name);

/* Rows newest first, numbered; before: 0, or the number of one that was seen. Times are of the wall clock, 0: any. */
struct history_range {
    uint64_t from_ns, to_ns, before;
    size_t limit;
};
struct history_audit_filter { /* NULL: any. target: this one, and what is below it ("ID" and "ID/heaps/1") */
    const char *who, *kind, *target, *result;
};
typedef void (*history_audit_fn)(void *arg, uint64_t number, const struct audit_record *record);
int history_audit_list(struct history *history, const struct history_range *range, const struct history_audit_filter *filter,
                       history_audit_fn each, void *arg);
typedef void (*history_alert_fn)(void *arg, uint64_t number, const struct history_alert *alert);
int history_alert_list(struct history *history, const struct history_range *range, history_alert_fn each, void *arg);
/* heap 0: all. missed: collections of its heap before it that were not recorded. */
typedef void (*history_collection_fn)(void *arg, uint64_t number, const struct stats_collection_view *collection,
                                      uint64_t missed);
int history_collection_list(struct history *history, const char *process, uint32_t heap,
                            const struct history_range *range, history_collection_fn each, void *arg);

struct history_process { /* once a process and tallyd that saw it */
    const char *id, *name, *library, *labels; /* labels: a JSON object */
    uint32_t pid, uid;
    uint64_t attached_ns, gone_ns; /* gone 0: it was not seen to end */
    const char *end; /* NULL: likewise */
    bool ended;
    int status;      /* ended: waitpid(2)'s */
    bool watched;    /* it is now */
};
/* id NULL: any. from and to: of when it attached. */
typedef void (*history_process_fn)(void *arg, uint64_t number, const struct history_process *process);
int history_process_list(struct history *history, const char *id, const struct history_range *range,
                         history_process_fn each, void *arg);

/* Forgets for good what is older than before_ns of the wall clock (0: of any age) of a process (NULL: of all, and
 * alerts and audit records too), and waits for so long at most. forgotten: rows. A record of who asked is the caller's.
 * -EBUSY: another purge goes on; -ETIMEDOUT: it goes on. */
int history_purge(struct history *history, uint64_t before_ns, const char *process, uint64_t wait_ns, uint64_t *forgotten);

#endif
