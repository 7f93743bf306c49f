/* Bringing an older file up, a version at a time, each in one transaction: a file is of one version or of the next, and
 * never in between. What a version was stands here for good. */
#include "history/private.h"

/* Version 1 had ends in a table of their own, alerts without a heap and a threshold, audit records without a code, counted
 * its sizes at each start, and could write a collection twice. */
static const char FROM_1[] =
    "ALTER TABLE processes ADD COLUMN until INTEGER;"
    "ALTER TABLE processes ADD COLUMN gone_ns INTEGER;"
    "ALTER TABLE processes ADD COLUMN ending TEXT;"
    "ALTER TABLE processes ADD COLUMN status INTEGER;"
    "UPDATE processes SET (until, gone_ns, ending, status) = "
    "(SELECT at, gone_ns, ending, status FROM exits WHERE process = processes.no);"
    "DROP TABLE exits;"
    "ALTER TABLE alerts ADD COLUMN heap INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE alerts ADD COLUMN threshold REAL NOT NULL DEFAULT 0;"
    "ALTER TABLE audit ADD COLUMN code TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE seen (process INTEGER, heap INTEGER, sequence INTEGER NOT NULL, PRIMARY KEY (process, heap)) "
    "WITHOUT ROWID;"
    "CREATE TABLE sizes (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO sizes SELECT 'seconds', count(*), coalesce(sum(length(data) + 14), 0) FROM seconds;"
    "INSERT INTO sizes SELECT 'tens', count(*), coalesce(sum(length(data) + 14), 0) FROM tens;"
    "INSERT INTO sizes SELECT 'minutes', count(*), coalesce(sum(length(data) + 14), 0) FROM minutes;"
    "INSERT INTO sizes SELECT 'collections', count(*), 128 * count(*) FROM collections;"
    "INSERT INTO sizes SELECT 'processes', (SELECT count(*) FROM processes) + (SELECT count(*) FROM series), "
    "200 * (SELECT count(*) FROM processes) + 80 * (SELECT count(*) FROM series);"
    "PRAGMA user_version = 2;";

static const char *const steps[FORMAT_VERSION] = {[1] = FROM_1};

int file_migrate(struct file *file, int version)
{
    int code = SQLITE_OK;
    for (; version < FORMAT_VERSION && !code; version++) {
        code = sqlite3_exec(file->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        if (!code)
            code = sqlite3_exec(file->db, steps[version], NULL, NULL, NULL);
        if (!code)
            code = sqlite3_exec(file->db, "COMMIT", NULL, NULL, NULL);
        file_rollback(file);
    }
    return code == SQLITE_ERROR ? SQLITE_CORRUPT : code; /* no such table or column */
}
