/* Whether a file of our version is what it says: it has our tables and columns, and in them what we put there. A file
 * that was mended by hand, or by a tool that leaves out what it cannot read, is whole by SQLite's word and useless all
 * the same. */
#include <stdio.h>

#include "history/private.h"

/* Of each table of ours: finds a row in which a column is of another type than the schema says. CASE, since a chain of OR
 * is too deep an expression for the limits of the file's connection. */
static const char KINDS[] =
    "SELECT t.name, 'SELECT 1 FROM ' || t.name || ' WHERE CASE ' || group_concat('WHEN typeof(' || c.name || ') NOT IN (''' "
    "|| lower(c.type) || iif(c.\"notnull\" OR c.pk, '', ''',''null') || ''') THEN 1', ' ') || ' END LIMIT 1' "
    "FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' GROUP BY t.name";
static const char SIZES[] =
    "SELECT 1 WHERE (SELECT count(*) FROM sizes WHERE name IN "
    "('seconds', 'tens', 'minutes', 'collections', 'processes')) <> 5";

/* SQLITE_OK: it gives no row. */
static int finds_nothing(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (code)
        return code == SQLITE_ERROR ? SQLITE_CORRUPT : code;
    code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code == SQLITE_ROW ? SQLITE_CORRUPT : code;
}

static int kinds_check(sqlite3 *db, char *why, size_t why_bytes)
{
    sqlite3 *ours = NULL;
    sqlite3_stmt *tables = NULL;
    int code = sqlite3_open_v2(":memory:", &ours, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);
    if (!code)
        code = sqlite3_exec(ours, file_schema, NULL, NULL, NULL);
    if (!code)
        code = sqlite3_prepare_v2(ours, KINDS, -1, &tables, NULL);
    while (!code && (code = sqlite3_step(tables)) == SQLITE_ROW) {
        code = finds_nothing(db, (const char *)sqlite3_column_text(tables, 1));
        if (code == SQLITE_CORRUPT)
            snprintf(why, why_bytes, "what is in the table '%.40s' is not ours", (const char *)sqlite3_column_text(tables, 0));
    }
    sqlite3_finalize(tables);
    sqlite3_close(ours);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int file_check(sqlite3 *db, bool rows, char *why, size_t why_bytes)
{
    static const char *const texts[] = {
#define STATEMENT(name, sql) sql,
#include "history/statements.def"
#undef STATEMENT
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !code; i++) {
        sqlite3_stmt *statement = NULL;
        if (*texts[i] != 'P') /* a PRAGMA needs no table, and some act as soon as they are prepared */
            code = sqlite3_prepare_v2(db, texts[i], -1, &statement, NULL);
        if (code)
            snprintf(why, why_bytes, "%.100s", sqlite3_errmsg(db));
        sqlite3_finalize(statement);
    }
    if (!code && (code = finds_nothing(db, SIZES)) == SQLITE_CORRUPT)
        snprintf(why, why_bytes, "it does not know its sizes");
    if (!code && rows)
        code = kinds_check(db, why, why_bytes);
    return code == SQLITE_ERROR ? SQLITE_CORRUPT : code;
}
