/* What the files that read share: one connection, taken by one worker at a time. */
#ifndef TALLY_HISTORY_READER_H
#define TALLY_HISTORY_READER_H

#include "history/private.h"

/* Has what was told written, takes the connection and begins to read one state of the file. 0 or -errno; then nothing
 * is taken. */
int reader_take(struct history *history, struct file **file);
/* Ends it. code: SQLite's, as it came; turned into -errno. */
int reader_give(struct history *history, int code);

/* SQLITE_OK, another code, or -ENOENT: no process of this id was ever seen. */
int process_find(struct file *file, const char *id);

/* Where a series can be read: in the seconds from..to of the time line, of a run in which it was watched. */
struct stretch {
    uint32_t series;
    uint64_t least;    /* it was not watched before, or in another run */
    uint64_t from, to;
    int64_t wall_s;    /* to add, for the wall clock's */
};
/* Each row's figures in the order of time, and before the first what they were then. `at`: the end of the row's window,
 * `window` seconds long; 0 seconds: as they were at `at`. */
typedef void (*stretch_fn)(void *arg, const struct stretch *stretch, uint64_t at, uint32_t window,
                           const struct figures *figures);
/* oldest: of each level, the time of its first row. */
int stretch_read(struct file *file, enum level level, const struct stretch *stretch, const struct shape *shape,
                 const uint64_t *oldest, stretch_fn row, void *arg);

#endif
