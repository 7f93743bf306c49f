/* Purging: rows go for good, overwritten with zeroes, and their pages back to the system. In transactions of a bounded
 * number of rows; between two of them the writer writes what waits. */
#include <string.h>

#include "history/private.h"

#define CHUNK_ROWS 4096
#define CHUNK_RANGES 512

struct purging {
    struct file *file;
    const struct purge *purge;
    bool (*between)(void *arg);
    void *arg;
    int64_t cut; /* on the time line: what is before it goes */
    int64_t rows[TABLES], bytes[TABLES];
    unsigned ranges; /* in this transaction */
    int code;
};

static void run(struct purging *purging, enum statement which)
{
    sqlite3_stmt *statement = purging->code ? NULL : file_statement(purging->file, which, &purging->code);
    if (!statement)
        return;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        ;
    sqlite3_reset(statement);
    purging->code = code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Deletes what a prepared statement says, of a table (TABLES: of one whose size is not counted); returns how many. */
static int64_t forget(struct purging *purging, sqlite3_stmt *statement, enum table table)
{
    int64_t rows = 0, bytes = 0;
    int code;
    for (; (code = sqlite3_step(statement)) == SQLITE_ROW; rows++)
        bytes += sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    purging->code = code == SQLITE_DONE ? SQLITE_OK : code;
    *purging->purge->forgotten += (uint64_t)rows;
    if (table < TABLES) {
        purging->rows[table] -= rows;
        purging->bytes[table] -= bytes;
    }
    return rows;
}

static void begin(struct purging *purging)
{
    run(purging, STATEMENT_BEGIN);
    purging->ranges = 0;
    memset(purging->rows, 0, sizeof purging->rows);
    memset(purging->bytes, 0, sizeof purging->bytes);
}

static void commit(struct purging *purging)
{
    if (!purging->code)
        purging->code = sizes_change(purging->file, purging->rows, purging->bytes);
    run(purging, STATEMENT_COMMIT);
    file_rollback(purging->file);
    if (!purging->code && !purging->between(purging->arg))
        purging->code = SQLITE_INTERRUPT;
}

/* Where a time of the wall clock lies on the time line: behind all runs that ended before it. */
static void cut_find(struct purging *purging)
{
    int64_t before_s = (int64_t)(purging->purge->before_ns / 1000000000u);
    purging->cut = AT_MAX;
    if (!purging->purge->before_ns)
        return;
    purging->cut = 0;
    sqlite3_stmt *list = file_statement(purging->file, STATEMENT_LIST_RUNS, &purging->code);
    int code;
    while (list && (code = sqlite3_step(list)) == SQLITE_ROW) {
        int64_t at = sqlite3_column_int64(list, 0), until = sqlite3_column_int64(list, 1);
        int64_t cut = at + (before_s - sqlite3_column_int64(list, 2));
        if (cut > until)
            cut = until + 1;
        if (cut > at && cut > purging->cut)
            purging->cut = cut;
    }
    if (list)
        sqlite3_reset(list);
}

/* A statement that deletes at most CHUNK_ROWS of what is before ?1, until nothing is left. */
static void drain(struct purging *purging, enum statement which, int64_t before, enum table table)
{
    for (int64_t rows = CHUNK_ROWS; rows == CHUNK_ROWS && !purging->code;) {
        begin(purging);
        sqlite3_stmt *statement = purging->code ? NULL : file_statement(purging->file, which, &purging->code);
        if (statement) {
            sqlite3_bind_int64(statement, 1, before);
            sqlite3_bind_int64(statement, 2, CHUNK_ROWS);
            rows = forget(purging, statement, table);
        }
        commit(purging);
    }
}

static void all_purge(struct purging *purging)
{
    static const enum statement levels[LEVELS] = {STATEMENT_PURGE_SECONDS, STATEMENT_PURGE_TENS, STATEMENT_PURGE_MINUTES};
    int64_t before_ns = purging->purge->before_ns ? (int64_t)purging->purge->before_ns : INT64_MAX;
    for (enum level level = 0; level < LEVELS; level++)
        drain(purging, levels[level], (int64_t)key_of(level, 0, (uint64_t)purging->cut), (enum table)level);
    drain(purging, STATEMENT_PURGE_COLLECTIONS, purging->cut, TABLE_COLLECTIONS);
    drain(purging, STATEMENT_PURGE_AUDIT, before_ns, TABLES);
    drain(purging, STATEMENT_PURGE_ALERTS, before_ns, TABLES);
}

/* One series' rows of a block; those of later blocks than the cut stay. */
static void range_purge(struct purging *purging, enum level level, uint64_t block, uint32_t series)
{
    static const enum statement ranges[LEVELS] = {STATEMENT_PURGE_RANGE_SECONDS, STATEMENT_PURGE_RANGE_TENS,
                                                  STATEMENT_PURGE_RANGE_MINUTES};
    unsigned bits = level_shapes[level].bits;
    int64_t first = (int64_t)(block << (SERIES_BITS + bits) | (uint64_t)series << bits);
    sqlite3_stmt *statement = file_statement(purging->file, ranges[level], &purging->code);
    if (!statement)
        return;
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, first + (1 << bits) - 1);
    forget(purging, statement, (enum table)level);
    if (++purging->ranges >= CHUNK_RANGES) {
        commit(purging);
        begin(purging);
    }
}

static void level_purge(struct purging *purging, enum level level, const uint32_t *series, size_t count)
{
    static const enum statement firsts[LEVELS] = {STATEMENT_FIRST_SECONDS, STATEMENT_FIRST_TENS, STATEMENT_FIRST_MINUTES};
    static const enum statement lasts[LEVELS] = {STATEMENT_LAST_SECONDS, STATEMENT_LAST_TENS, STATEMENT_LAST_MINUTES};
    int64_t first, last;
    if (purging->code || (purging->code = file_number(purging->file, firsts[level], &first)) ||
        (purging->code = file_number(purging->file, lasts[level], &last)) || !first)
        return;
    uint64_t block = level_block(level, key_at(level, (uint64_t)first)), end = level_block(level, key_at(level, (uint64_t)last));
    uint64_t cut = level_block(level, (uint64_t)purging->cut);
    begin(purging);
    for (; block <= end && (block < cut || !purging->purge->before_ns) && !purging->code; block++)
        for (size_t i = 0; i < count && !purging->code; i++)
            range_purge(purging, level, block, series[i]);
    commit(purging);
}

#define SERIES_AT_ONCE 1024u

/* The series of the process in the order of their numbers, some at a time. */
static size_t series_list(struct purging *purging, uint32_t after, uint32_t *series)
{
    size_t count = 0;
    int code = SQLITE_OK;
    sqlite3_stmt *list = file_statement(purging->file, STATEMENT_LIST_SERIES, &purging->code);
    if (!list)
        return 0;
    sqlite3_bind_text(list, 1, purging->purge->process, -1, SQLITE_STATIC);
    sqlite3_bind_int64(list, 2, after);
    while (count < SERIES_AT_ONCE && (code = sqlite3_step(list)) == SQLITE_ROW)
        series[count++] = (uint32_t)sqlite3_column_int64(list, 0) & SERIES_MAX;
    sqlite3_reset(list);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        purging->code = code;
    return count;
}

static void bound_run(struct purging *purging, enum statement which, enum table table)
{
    sqlite3_stmt *statement = purging->code ? NULL : file_statement(purging->file, which, &purging->code);
    if (!statement)
        return;
    sqlite3_bind_text(statement, 1, purging->purge->process, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, purging->cut);
    forget(purging, statement, table);
}

static void process_purge(struct purging *purging)
{
    uint32_t series[SERIES_AT_ONCE], after = 0;
    for (size_t count = SERIES_AT_ONCE; count == SERIES_AT_ONCE && !purging->code; after = count ? series[count - 1] : 0) {
        count = series_list(purging, after, series);
        for (enum level level = 0; level < LEVELS; level++)
            level_purge(purging, level, series, count);
    }
    begin(purging);
    bound_run(purging, STATEMENT_PURGE_PROCESS_COLLECTIONS, TABLE_COLLECTIONS);
    commit(purging);
}

/* Processes of which nothing is left, and the runs before. */
static void rest_purge(struct purging *purging)
{
    begin(purging);
    bound_run(purging, STATEMENT_PURGE_SERIES, TABLE_PROCESSES);
    bound_run(purging, STATEMENT_PURGE_PROCESSES, TABLE_PROCESSES);
    commit(purging);
}

int purge_run(struct file *file, struct purge *purge, bool (*between)(void *arg), void *arg)
{
    struct purging purging = {.file = file, .purge = purge, .between = between, .arg = arg};
    cut_find(&purging);
    run(&purging, STATEMENT_SECURE_ON);
    purge->process[0] ? process_purge(&purging) : all_purge(&purging);
    rest_purge(&purging);
    run(&purging, STATEMENT_VACUUM_ALL);
    run(&purging, STATEMENT_TRUNCATE);
    int code = purging.code;
    purging.code = SQLITE_OK;
    run(&purging, STATEMENT_SECURE_OFF);
    return code;
}
