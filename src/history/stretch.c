/* The rows of one series over a stretch of time. What was before its first row is looked for in the last row of the
 * minutes, of which there is one every KEYFRAME_MINUTES, then in the tens and seconds since; what is after the last
 * whole window of a level, in the finer ones. */
#include "history/reader.h"

static const enum statement reads[LEVELS] = {STATEMENT_READ_SECONDS, STATEMENT_READ_TENS, STATEMENT_READ_MINUTES};

struct reading {
    struct file *file;
    const struct stretch *stretch;
    const struct shape *shape;
    stretch_fn row;
    void *arg;
    struct figures last; /* as of the last row */
    struct figures now;
    int code;
};

static uint64_t block_start(enum level level, uint64_t block)
{
    return (block << level_shapes[level].bits) * level_shapes[level].step_s;
}

/* The rows of a block that are of from..to, each told where `tell`, else only remembered, and then also that of the window
 * that `to` is in, where it says that there is nothing. false: there was none. */
static bool block_read(struct reading *reading, enum level level, uint64_t block, uint64_t from, uint64_t to, bool tell)
{
    uint32_t series = reading->stretch->series;
    uint64_t start = block_start(level, block), end = block_start(level, block + 1) - 1;
    bool found = false;
    sqlite3_stmt *read = file_statement(reading->file, reads[level], &reading->code);
    if (!read)
        return false;
    sqlite3_bind_int64(read, 1, (sqlite3_int64)key_of(level, series, start));
    sqlite3_bind_int64(read, 2, (sqlite3_int64)key_of(level, series, end));
    reading->now.known = false;
    int code;
    while ((code = sqlite3_step(read)) == SQLITE_ROW) {
        uint64_t at = key_at(level, (uint64_t)sqlite3_column_int64(read, 0));
        if (!record_unpack(sqlite3_column_blob(read, 1), (size_t)sqlite3_column_bytes(read, 1), reading->shape,
                           level != LEVEL_SECONDS, &reading->now)) {
            code = SQLITE_CORRUPT;
            break;
        }
        if (at < from || (at > to && (tell || reading->now.known || at > level_label(level, to))))
            continue;
        if (tell)
            reading->row(reading->arg, reading->stretch, at, level_shapes[level].step_s, &reading->now);
        reading->last = reading->now;
        found = true;
    }
    sqlite3_reset(read);
    reading->code = code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
    return found;
}

static void levels_read(struct reading *reading, enum level level, uint64_t from, uint64_t to, bool tell)
{
    uint64_t last = level_block(level, level_label(level, to));
    for (uint64_t block = level_block(level, from); block <= last && !reading->code; block++)
        block_read(reading, level, block, from, to, tell);
}

/* What the figures were at `at`, a time of the stretch's run. */
static void look_back(struct reading *reading, uint64_t at)
{
    uint64_t least = reading->stretch->least, block = level_block(LEVEL_MINUTES, level_label(LEVEL_MINUTES, at));
    unsigned blocks = (KEYFRAME_MINUTES >> level_shapes[LEVEL_MINUTES].bits) + 1;
    for (unsigned i = 0; i < blocks && block >= level_block(LEVEL_MINUTES, least) && !reading->code; i++, block--)
        if (block_read(reading, LEVEL_MINUTES, block, least, at, false) || !block)
            break;
    for (enum level level = LEVEL_MINUTES; level-- > LEVEL_SECONDS && !reading->code;) {
        uint64_t since = at / level_shapes[level + 1].step_s * level_shapes[level + 1].step_s + 1;
        levels_read(reading, level, since > least ? since : least, at, false);
    }
}

/* Windows of the level, and the last one, which may not be closed, from the finer levels, where these have not forgotten
 * it. */
static void read_down(struct reading *reading, enum level level, uint64_t from, uint64_t to, const uint64_t *oldest)
{
    for (;; level--) {
        uint64_t whole = (to - 1) / level_shapes[level].step_s * level_shapes[level].step_s;
        bool last = level == LEVEL_SECONDS || oldest[level - 1] > whole + level_shapes[level - 1].step_s;
        uint64_t end = last ? level_label(level, to) : whole;
        if (end >= from)
            levels_read(reading, level, from, end, true);
        if (reading->code || last)
            return;
        from = whole + 1 > from ? whole + 1 : from;
    }
}

int stretch_read(struct file *file, enum level level, const struct stretch *stretch, const struct shape *shape,
                 const uint64_t *oldest, stretch_fn row, void *arg)
{
    struct reading reading = {.file = file, .stretch = stretch, .shape = shape, .row = row, .arg = arg};
    if (stretch->from > stretch->least)
        look_back(&reading, stretch->from - 1);
    if (!reading.code && reading.last.known)
        row(arg, stretch, stretch->from - 1, 0, &reading.last);
    if (!reading.code)
        read_down(&reading, level, stretch->from, stretch->to, oldest);
    return reading.code;
}
