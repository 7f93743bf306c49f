/* What goes: rows by their age, and by the size that the file may have, each table within its share of it. A step takes
 * a bounded number of rows, oldest first, and ends; freed pages are used again, and where there are many, given back
 * to the system a few at a time. */
#include <string.h>

#include "history/private.h"

#define STEP_ROWS 4096
#define FREE_PAGES_KEPT 1024 /* for what comes */
#define RECORD_BYTES 400     /* of an alert or an audit record, about */

struct table_shape {
    const char *name;
    unsigned share; /* of the size, in % */
    enum statement oldest; /* (number, bytes, time it is of) from the oldest on, at most ?1 */
    enum statement forget; /* those up to number ?1 */
};
static const struct table_shape tables[TABLES] = {
    [TABLE_SECONDS] = {"seconds", 35, STATEMENT_OLDEST_SECONDS, STATEMENT_FORGET_SECONDS},
    [TABLE_TENS] = {"tens", 25, STATEMENT_OLDEST_TENS, STATEMENT_FORGET_TENS},
    [TABLE_MINUTES] = {"minutes", 25, STATEMENT_OLDEST_MINUTES, STATEMENT_FORGET_MINUTES},
    [TABLE_COLLECTIONS] = {"collections", 8, STATEMENT_OLDEST_COLLECTIONS, STATEMENT_FORGET_COLLECTIONS},
    [TABLE_PROCESSES] = {"processes", 5, STATEMENT_OLDEST_PROCESSES, STATEMENT_FORGET_PROCESSES},
};

int file_number(struct file *file, enum statement which, int64_t *number)
{
    int code = SQLITE_OK;
    sqlite3_stmt *statement = file_statement(file, which, &code);
    *number = 0;
    if (!statement)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int sizes_change(struct file *file, const int64_t *rows, const int64_t *bytes)
{
    int code = SQLITE_OK;
    for (int table = 0; table < TABLES && !code; table++) {
        sqlite3_stmt *change = rows[table] ? file_statement(file, STATEMENT_SIZE_CHANGE, &code) : NULL;
        if (!change)
            continue;
        sqlite3_bind_text(change, 1, tables[table].name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(change, 2, rows[table]);
        sqlite3_bind_int64(change, 3, bytes[table]);
        code = file_run(change);
    }
    return code;
}

static int size_get(struct file *file, const char *name, int64_t *bytes)
{
    int code = SQLITE_OK;
    sqlite3_stmt *statement = file_statement(file, STATEMENT_SIZE_GET, &code);
    if (statement)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    return statement ? file_number(file, STATEMENT_SIZE_GET, bytes) : code;
}

uint64_t file_bytes(struct file *file)
{
    int64_t pages, size;
    return file_number(file, STATEMENT_PAGES, &pages) || file_number(file, STATEMENT_PAGE_SIZE, &size)
               ? 0
               : (uint64_t)(pages * size);
}

/* The oldest rows that are too old (of a time before `cut`), or too many by `over` bytes; 0: none. */
static int oldest_find(struct file *file, const struct table_shape *table, int64_t cut, int64_t over, int64_t most,
                       int64_t *last, int64_t *rows, int64_t *bytes)
{
    int code = SQLITE_OK;
    sqlite3_stmt *oldest = file_statement(file, table->oldest, &code);
    *rows = *bytes = 0;
    if (!oldest)
        return code;
    sqlite3_bind_int64(oldest, 1, most);
    while ((code = sqlite3_step(oldest)) == SQLITE_ROW) {
        if (sqlite3_column_int64(oldest, 2) >= cut && *bytes >= over)
            break;
        *last = sqlite3_column_int64(oldest, 0);
        *bytes += sqlite3_column_int64(oldest, 1);
        ++*rows;
    }
    sqlite3_reset(oldest);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int forget_series(struct file *file, int64_t last)
{
    int code = SQLITE_OK;
    sqlite3_stmt *forget = file_statement(file, STATEMENT_FORGET_SERIES, &code);
    if (!forget)
        return code;
    sqlite3_bind_int64(forget, 1, last);
    return file_run(forget);
}

static int table_step(struct file *file, enum table which, int64_t cut, int64_t allowed, int64_t most)
{
    const struct table_shape *table = &tables[which];
    int64_t have, last = 0, rows[TABLES] = {0}, bytes[TABLES] = {0};
    int code = size_get(file, table->name, &have);
    if (!code)
        code = oldest_find(file, table, cut, have - allowed, most, &last, &rows[which], &bytes[which]);
    if (!code && rows[which] && which == TABLE_PROCESSES)
        code = forget_series(file, last);
    if (code || !rows[which])
        return code;
    sqlite3_stmt *forget = file_statement(file, table->forget, &code);
    if (!forget)
        return code;
    sqlite3_bind_int64(forget, 1, last);
    code = file_run(forget);
    rows[which] = -rows[which];
    bytes[which] = -bytes[which];
    return code ? code : sizes_change(file, rows, bytes);
}

/* What the oldest row of a level may be: the first key of the block that is just kept. */
static int64_t cut_of(enum table table, int64_t now, int64_t keep_s)
{
    if (table >= (enum table)LEVELS)
        return now - keep_s;
    const struct level_shape *shape = &level_shapes[table];
    int64_t kept = shape->keep_s ? (int64_t)shape->keep_s : keep_s;
    return now > kept ? (int64_t)key_of((enum level)table, 0, (uint64_t)(now - kept)) : 0;
}

static int records_step(struct file *file, int64_t now, const struct history_options *options)
{
    static const enum statement forgets[] = {STATEMENT_FORGET_ALERTS, STATEMENT_FORGET_AUDIT};
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof forgets / sizeof *forgets && !code; i++) {
        sqlite3_stmt *forget = file_statement(file, forgets[i], &code);
        if (!forget)
            return code;
        sqlite3_bind_int64(forget, 1, (int64_t)(options->size_bytes / 100 / RECORD_BYTES));
        code = file_run(forget);
    }
    sqlite3_stmt *runs = code ? NULL : file_statement(file, STATEMENT_FORGET_RUNS, &code);
    if (!runs)
        return code;
    sqlite3_bind_int64(runs, 1, now - (int64_t)options->keep_days * 86400);
    return file_run(runs);
}

static int steps(struct file *file, const struct history_options *options, int64_t most)
{
    int64_t now, pages, unused, page_size, size = (int64_t)options->size_bytes;
    int code = file_number(file, STATEMENT_LAST_UNTIL, &now);
    if (code || (code = file_number(file, STATEMENT_PAGES, &pages)) ||
        (code = file_number(file, STATEMENT_FREE_PAGES, &unused)) ||
        (code = file_number(file, STATEMENT_PAGE_SIZE, &page_size)))
        return code;
    /* Bytes of rows are reckoned, those of the file are not: where it is larger than it may be, so are the shares. */
    int64_t used = (pages - unused) * page_size;
    double scale = used > size ? (double)size / (double)used : 1;
    for (enum table table = 0; table < TABLES && !code; table++)
        code = table_step(file, table, cut_of(table, now, (int64_t)options->keep_days * 86400),
                          (int64_t)((double)size * scale * tables[table].share / 100), most);
    if (!code)
        code = records_step(file, now, options);
    if (!code && unused > FREE_PAGES_KEPT && unused > pages / 4) {
        sqlite3_stmt *vacuum = file_statement(file, STATEMENT_VACUUM, &code);
        while (vacuum && (code = sqlite3_step(vacuum)) == SQLITE_ROW)
            ;
        code = code == SQLITE_DONE ? sqlite3_reset(vacuum) : code;
    }
    return code;
}

int retain_step(struct file *file, const struct history_options *options, int64_t inserted)
{
    int code = file_run(file_statement(file, STATEMENT_BEGIN, &(int){0}));
    if (code)
        return code;
    code = steps(file, options, inserted > STEP_ROWS / 2 ? 2 * inserted : STEP_ROWS);
    if (!code)
        code = file_run(file_statement(file, STATEMENT_COMMIT, &(int){0}));
    file_rollback(file);
    return code;
}
