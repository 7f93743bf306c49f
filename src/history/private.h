/* What the files of history share.
 *
 * The figures lie in three tables of one shape, one for each level: `key INTEGER PRIMARY KEY, data BLOB`. The key is
 *
 *      block of time │ series (28 bits) │ row within the block
 *
 * so that what is written together lies together: a commit touches a few pages, not one of each series, and old rows
 * are one range at the table's start. A reader of one series seeks once a block. The first row of a series in a block
 * is whole, the others hold what changed since the one before, as differences: see record.c. */
#ifndef TALLY_HISTORY_PRIVATE_H
#define TALLY_HISTORY_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "history/history.h"

#define SERIES_BITS 28
#define SERIES_MAX ((1u << SERIES_BITS) - 1)
#define FIGURES_MAX 62u
#define TYPE_FIGURES_MAX 16u /* of a type's */
#define RECORD_MAX 2048u /* bytes of a row */
#define KEYFRAME_MINUTES 256u /* a series that lives has a row a minute table at least so often */
#define COMMIT_NS 4000000000u /* of the seconds' blocks */
#define AT_MAX ((int64_t)1 << 34) /* seconds: five hundred years */
#define RETRY_NS 1000000000u
#define TYPES_TRACKED 20u
#define FORMAT_VERSION 2
#define APPLICATION_ID 0x74616c79 /* "taly" */

/* X(NAME, seconds a row, rows a block as a power of 2, seconds kept or 0: keep_days) */
#define HISTORY_LEVELS(X) X(SECONDS, 1u, 2u, 3600u) X(TENS, 10u, 3u, 86400u) X(MINUTES, 60u, 5u, 0u)
enum level {
#define HISTORY_X(name, step, bits, keep) LEVEL_##name,
    HISTORY_LEVELS(HISTORY_X)
#undef HISTORY_X
    LEVELS
};
struct level_shape {
    uint32_t step_s;
    unsigned bits;
    uint32_t keep_s;
};
/* What grows, and has a share of the size. */
enum table { TABLE_SECONDS, TABLE_TENS, TABLE_MINUTES, TABLE_COLLECTIONS, TABLE_PROCESSES, TABLES };
#define ROW_OVERHEAD 14 /* bytes of a row beside its data, about; statements.def has them too */
#define COLLECTION_BYTES 128
#define PROCESS_BYTES 200
#define SERIES_BYTES 80
extern const struct level_shape level_shapes[LEVELS];

/* record.c: keys and rows */
static inline uint64_t level_block(enum level level, uint64_t at)
{
    return at / level_shapes[level].step_s >> level_shapes[level].bits;
}
/* The end of the window that `at` is in. */
static inline uint64_t level_label(enum level level, uint64_t at)
{
    uint64_t step = level_shapes[level].step_s;
    return (at + step - 1) / step * step;
}
uint64_t key_of(enum level level, uint32_t series, uint64_t at);
uint64_t key_at(enum level level, uint64_t key); /* the time it is of */

/* What a series is of: the sums of a process or heap, or a type's. */
enum subject { SUBJECT_TOTALS, SUBJECT_TYPE, SUBJECTS };
struct shape { /* of a series' rows: bit n is figure n, by the number that the file gave it */
    unsigned count;
    uint64_t gauges; /* bits */
};
struct figures { /* of one series at one time */
    uint64_t value[FIGURES_MAX], low[FIGURES_MAX], high[FIGURES_MAX];
    bool known; /* false: there was no row yet, or its subject is gone */
};
/* One row. before: the values of the row before it in its block, NULL: the first, which is whole. low, high: of a
 * roll-up, the extremes of the gauges, else NULL. Returns its bytes, at most RECORD_MAX. */
size_t record_pack(unsigned char *out, const struct shape *shape, const uint64_t *value, const uint64_t *before,
                   const uint64_t *low, const uint64_t *high);
/* Brings *figures from the row before in its block to this one. false: it is no row. No bytes: the subject is gone. A
 * part of what is not known changes nothing. */
bool record_unpack(const unsigned char *data, size_t bytes, const struct shape *shape, bool rollup,
                   struct figures *figures);

/* queue.c */
enum row_kind { ROW_SAMPLE, ROW_RUN, ROW_UNTIL, ROW_PROCESS, ROW_SERIES, ROW_END, ROW_COLLECTION, ROW_ALERT, ROW_AUDIT };
struct row {
    uint32_t bytes; /* of it all, a multiple of 8 */
    uint16_t kind;  /* enum row_kind */
    uint16_t level;
    uint32_t size;  /* of what follows the struct that begins with this one */
    uint32_t epoch; /* of the file that it is for */
};
struct row_sample {
    struct row row;
    uint64_t key;
}; /* data */
struct row_run {
    struct row row;
    uint64_t at;
    int64_t wall_s; /* the wall clock's seconds at `at` */
}; /* ROW_UNTIL: at alone */
struct row_process {
    struct row row;
    uint32_t no, first_heap, pid, uid;
    uint64_t at, attached_wall_ns;
    char id[40];
}; /* name, library, labels as a JSON object: each with its NUL */
struct row_series {
    struct row row;
    uint32_t no, process, heap, subject;
    uint64_t at;
}; /* the type's name and its NUL */
struct row_end {
    struct row row;
    uint32_t process;
    int32_t status;
    uint64_t at, wall_ns; /* wall_ns 0: it came back */
    bool ended;
    char end[16];
};
struct row_collection {
    struct row row;
    uint32_t process;
    uint64_t at, missed; /* missed: before it, of its heap */
    struct stats_collection_view view;
};
struct row_alert {
    struct row row;
    struct history_alert alert;
};
struct row_audit {
    struct row row;
    struct audit_record record;
};

#define COLLECTION_MEMBERS(X) \
    X(heap) X(sequence) X(start_wall_ns) X(start_mono_ns) X(reason) X(generation) X(manager) X(scope) X(slices) \
    X(pause_ns) X(find_ns) X(callback_ns) X(free_ns) X(examined) X(collected) X(freed_bytes) X(uncollectable) \
    X(live_bytes_before) X(live_bytes_after) X(safepoint_wait_ns) X(operation)

struct batch {
    char *memory;
    size_t used, room;
    unsigned rows;
};
struct queue {
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed, written; /* changed: for the writer; written: for those who wait for it */
    struct batch pending;
    size_t taken_bytes;
    unsigned taken_rows; /* of the batch that the writer has */
    uint64_t dropped;
    uint64_t asked, done; /* flushes */
    bool stopping;
};
void queue_init(struct queue *queue);
void queue_fini(struct queue *queue);
/* Copies a row whose struct has head_bytes, with `tail` behind it. false: there is no room, and it is counted. */
bool queue_put(struct queue *queue, struct row *head, size_t head_bytes, const void *tail, size_t tail_bytes);
/* Whether so many more rows of figures would fit. */
bool queue_has_room(struct queue *queue, unsigned rows);
/* For the writer: waits until `until_ns`, a flush or the end; then takes what there is. */
void queue_take(struct queue *queue, uint64_t until_ns, struct batch *batch, uint64_t *asked, bool *stopping);
/* What was taken is written (dropped: rows of it that were not); flushes up to `asked` are answered. */
void queue_done(struct queue *queue, struct batch *batch, unsigned dropped, uint64_t asked);
/* For the writer, after it failed: waits until then, or for the end. */
void queue_rest(struct queue *queue, uint64_t until_ns, bool *stopping);
void queue_stop(struct queue *queue);
/* Counts rows that were not even made, for want of room. */
void queue_drop(struct queue *queue, unsigned rows);
/* Has what waits written soon. */
void queue_hurry(struct queue *queue);
/* Has all that came before written, for a moment at most. false: it was not. */
bool queue_flush(struct queue *queue, uint64_t wait_ns);

/* What the sampler has to know of the file. */
struct figure_map { /* of one subject */
    struct shape shape;
    uint8_t bit[FIGURES_MAX]; /* by the row of the figure's table */
};
struct base {
    uint32_t epoch; /* counts the files that were opened; 0: none yet */
    uint32_t next_process, next_series;
    uint64_t at;    /* the time line goes on behind this */
    int64_t wall_s; /* that the wall clock would say at `at`, by the last run; 0: there was none */
    struct figure_map figures[SUBJECTS];
};
/* file.c: the file itself. Answers are SQLite's codes. */
enum statement {
#define STATEMENT(name, sql) STATEMENT_##name,
#include "history/statements.def"
#undef STATEMENT
    STATEMENTS
};
struct file {
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *statements[STATEMENTS]; /* prepared when they are first used */
};
/* Opens what the writer writes: makes it where there is none, checks it, and brings an older version up. path: of the
 * file, or file:/NAME?vfs=memdb, which is memory. made: it is new. why: what is wrong. SQLITE_OK; SQLITE_CORRUPT or SQLITE_NOTADB: it is damaged, or not
 * ours; SQLITE_SCHEMA: its version is newer than we are; others may pass. */
int file_open(struct file *file, const char *path, bool *made, char *why, size_t why_bytes);
/* The same for those who only read; the file must have been opened by file_open() before. */
int file_open_reading(struct file *file, const char *path);
void file_close(struct file *file);
/* Renames a file that is closed, and what belongs to it, to PATH.word-TIME. false: it cannot. */
bool file_set_aside(const char *path, const char *word, char *name, size_t name_bytes);
sqlite3_stmt *file_statement(struct file *file, enum statement statement, int *code);
/* Runs a statement that gives no row; it is reset. */
int file_run(sqlite3_stmt *statement);
extern const char file_schema[]; /* of a file of our version */
/* migrate.c: brings a file of an older version up. SQLITE_CORRUPT: it is not what its version says. */
int file_migrate(struct file *file, int version);
/* check.c: whether a file of our version has our tables. rows: and in each column what belongs there, which reads all of
 * it. SQLITE_CORRUPT: no, and why. */
int file_check(sqlite3 *db, bool rows, char *why, size_t why_bytes);
/* Ends a transaction that did not commit, if there is one; the file may have been closed. */
void file_rollback(struct file *file);
bool file_is_damaged(int code);

/* base.c. A new figure is added to the file. */
int base_load(struct file *file, struct base *base);
struct figure_row {
    enum subject subject;
    const char *path;
    bool gauge;
    const char *unit, *label;
};
extern const struct figure_row figure_rows[]; /* of each subject in the order of its table */
extern const size_t figure_row_count;
/* The figures that the file knows of a subject, each told to `seen` (NULL: to nobody). */
typedef void (*figure_seen_fn)(void *arg, unsigned bit, const char *path);
int figures_load(struct file *file, enum subject subject, struct shape *shape, figure_seen_fn seen, void *arg);

/* purge.c: forgets for good. between: called between transactions; false: no more, and the file may be closed. */
struct purge {
    uint64_t before_ns;  /* 0: of any age */
    char process[40];    /* "": all */
    uint64_t *forgotten; /* rows */
};
int purge_run(struct file *file, struct purge *purge, bool (*between)(void *arg), void *arg);

struct sampler;
struct history {
    struct history_options options;
    char folder[256], path[300];
    bool in_memory;
    struct queue queue;
    pthread_t writer, ticker;
    struct sampler *sampler; /* the ticker's; NULL: no figures are taken */

    pthread_mutex_t lock; /* all below; taken alone or before the queue's */
    pthread_cond_t ticked;
    struct base base;
    /* A purge: asked for, under way, and how it went (-errno). */
    enum { PURGE_NONE, PURGE_ASKED, PURGE_RUNS, PURGE_DONE } purge_state;
    struct purge purge;
    uint64_t purge_forgotten;
    int purge_error;
    pthread_cond_t purged;
    unsigned breaks; /* counts what makes rows to come be whole */
    bool stopping, degraded, full; /* full: the disk has no room left */
    char why[128];
    uint64_t rows_written, bytes, now; /* now: on the time line */

    pthread_mutex_t reader_lock; /* the reader; taken before `lock` */
    struct file reader;
    uint32_t reader_epoch;
    uint64_t reader_until_ns;
};

/* writer.c: the thread. */
void *writer_run(void *history);
/* ticker.c: likewise. */
void *ticker_run(void *history);

/* retain.c */
int sizes_change(struct file *file, const int64_t *rows, const int64_t *bytes);
/* Forgets what is too old or too much, a bounded part of it: after a commit that inserted so many rows. */
int retain_step(struct file *file, const struct history_options *options, int64_t inserted);
uint64_t file_bytes(struct file *file);
/* The first column of a statement's first row; 0: there is none, or it is NULL. */
int file_number(struct file *file, enum statement which, int64_t *number);

#define BATCH_EACH(batch, row) \
    for (const struct row *row = (const struct row *)(const void *)(batch)->memory; \
         (const char *)row < (batch)->memory + (batch)->used; \
         row = (const struct row *)(const void *)((const char *)row + row->bytes))

#endif
