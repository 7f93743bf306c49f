/* history.db: opened as if it came from a stranger, made where there is none, brought up where it is older, set aside
 * where it is damaged or newer than we are. */
#include "history/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define CHECK_BYTES ((off_t)256 << 20) /* larger files are not read whole before they are used */
#define HEAP_BYTES ((sqlite3_int64)256 << 20)
#define BUSY_MS 5000
#define TEXT_BYTES 65536 /* of one row or one statement */

static const char *const statement_texts[STATEMENTS] = {
#define STATEMENT(name, sql) sql,
#include "history/statements.def"
#undef STATEMENT
};

/* Version 2. Columns that follow may be added; what they mean stands in history.h and record.c. */
const char file_schema[] =
    "CREATE TABLE sizes (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO sizes VALUES ('seconds', 0, 0), ('tens', 0, 0), ('minutes', 0, 0), ('collections', 0, 0), "
    "('processes', 0, 0);"
    "CREATE TABLE runs (at INTEGER PRIMARY KEY, until INTEGER NOT NULL, wall_s INTEGER NOT NULL);"
    "CREATE TABLE figures (subject INTEGER, bit INTEGER, path TEXT NOT NULL, gauge INTEGER NOT NULL, "
    "PRIMARY KEY (subject, bit)) WITHOUT ROWID;"
    "CREATE TABLE processes (no INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, library TEXT NOT NULL, "
    "labels TEXT NOT NULL, pid INTEGER NOT NULL, uid INTEGER NOT NULL, at INTEGER NOT NULL, "
    "attached_ns INTEGER NOT NULL, first_heap INTEGER NOT NULL, until INTEGER, gone_ns INTEGER, ending TEXT, "
    "status INTEGER);"
    "CREATE INDEX processes_id ON processes (id);"
    "CREATE TABLE series (no INTEGER PRIMARY KEY, process INTEGER NOT NULL, heap INTEGER NOT NULL, "
    "subject INTEGER NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL);"
    "CREATE INDEX series_process ON series (process, heap, subject, type);"
    "CREATE TABLE seconds (key INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE tens (key INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE minutes (key INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE collections (no INTEGER PRIMARY KEY, process INTEGER NOT NULL, heap INTEGER NOT NULL, "
    "sequence INTEGER NOT NULL, at INTEGER NOT NULL, start_ns INTEGER NOT NULL, start_mono_ns INTEGER NOT NULL, reason INTEGER NOT NULL, "
    "generation INTEGER NOT NULL, manager INTEGER NOT NULL, scope INTEGER NOT NULL, slices INTEGER NOT NULL, "
    "pause_ns INTEGER NOT NULL, find_ns INTEGER NOT NULL, callback_ns INTEGER NOT NULL, free_ns INTEGER NOT NULL, "
    "examined INTEGER NOT NULL, collected INTEGER NOT NULL, freed_bytes INTEGER NOT NULL, "
    "uncollectable INTEGER NOT NULL, live_bytes_before INTEGER NOT NULL, live_bytes_after INTEGER NOT NULL, "
    "safepoint_wait_ns INTEGER NOT NULL, operation INTEGER NOT NULL, missed INTEGER NOT NULL);"
    "CREATE TABLE seen (process INTEGER, heap INTEGER, sequence INTEGER NOT NULL, PRIMARY KEY (process, heap)) "
    "WITHOUT ROWID;"
    "CREATE INDEX collections_process ON collections (process);"
    "CREATE TABLE alerts (no INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, rule TEXT NOT NULL, process TEXT NOT NULL, "
    "type TEXT NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL, heap INTEGER NOT NULL, value REAL NOT NULL, "
    "threshold REAL NOT NULL);"
    "CREATE TABLE audit (no INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, seq INTEGER NOT NULL, "
    "left_out INTEGER NOT NULL, who TEXT NOT NULL, origin TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, "
    "detail TEXT NOT NULL, operation TEXT NOT NULL, result TEXT NOT NULL, code TEXT NOT NULL);"
    "PRAGMA user_version = 2;";

bool file_is_damaged(int code)
{
    return (code & 255) == SQLITE_CORRUPT || (code & 255) == SQLITE_NOTADB;
}

static int pragma(sqlite3 *db, const char *text)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL);
}

/* The first column of a statement's first row, -1: there is none. */
static sqlite3_int64 number_of(sqlite3 *db, const char *text, int *code)
{
    sqlite3_stmt *statement;
    sqlite3_int64 number = -1;
    *code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (*code)
        return number;
    *code = sqlite3_step(statement);
    if (*code == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    int end = sqlite3_finalize(statement);
    *code = *code == SQLITE_ROW || *code == SQLITE_DONE ? end : *code;
    return number;
}

/* What a file's schema could do to us, it cannot. */
static void connection_bound(sqlite3 *db)
{
    static const int off[] = {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                              SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL};
    static const int limits[][2] = {{SQLITE_LIMIT_LENGTH, TEXT_BYTES}, {SQLITE_LIMIT_SQL_LENGTH, TEXT_BYTES},
                                    {SQLITE_LIMIT_COLUMN, 100}, {SQLITE_LIMIT_EXPR_DEPTH, 20},
                                    {SQLITE_LIMIT_COMPOUND_SELECT, 4}, {SQLITE_LIMIT_VDBE_OP, 10000},
                                    {SQLITE_LIMIT_ATTACHED, 0}, {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                                    {SQLITE_LIMIT_VARIABLE_NUMBER, 40}, {SQLITE_LIMIT_WORKER_THREADS, 0}};
    sqlite3_hard_heap_limit64(HEAP_BYTES);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        sqlite3_db_config(db, off[i], 0, NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(db, limits[i][0], limits[i][1]);
    sqlite3_busy_timeout(db, BUSY_MS);
    pragma(db, "PRAGMA cell_size_check = ON");
    pragma(db, "PRAGMA mmap_size = 0");
    pragma(db, "PRAGMA temp_store = MEMORY");
}

static int open_with(struct file *file, const char *path, int flags)
{
    memset(file, 0, sizeof *file);
    int code = sqlite3_open_v2(path, &file->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (!code)
        connection_bound(file->db);
    return code;
}

/* SQLite gives -wal and -shm the mode of the file itself, which is ours from its first byte on. */
static int file_make(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &status)            ? -errno
                : !S_ISREG(status.st_mode)     ? -EINVAL
                : status.st_uid != geteuid()   ? -EPERM
                : status.st_mode & 077 && fchmod(fd, 0600) ? -errno
                                               : 0;
    close(fd);
    return error;
}

static int new_schema(sqlite3 *db)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA application_id = %d", APPLICATION_ID);
    int code = pragma(db, "BEGIN IMMEDIATE");
    if (!code)
        code = pragma(db, text);
    if (!code)
        code = pragma(db, file_schema);
    if (!code)
        code = pragma(db, "COMMIT");
    if (code)
        pragma(db, "ROLLBACK");
    return code;
}

/* The file's own word that it is whole. */
static int quick_check(sqlite3 *db, char *why, size_t why_bytes)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code)
        return code;
    code = sqlite3_step(statement);
    const char *word = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool whole = word && !strcmp(word, "ok");
    if (word && !whole)
        snprintf(why, why_bytes, "%.100s", word);
    sqlite3_finalize(statement);
    return whole ? SQLITE_OK : code == SQLITE_ROW ? SQLITE_CORRUPT : code;
}

/* Whether it is read whole before it is used. */
static bool is_small(const char *path)
{
    struct stat status;
    return !stat(path, &status) && status.st_size <= CHECK_BYTES;
}

/* Which file it is, and whether it is one that we can use; nothing is written to it before that. */
static int recognise(sqlite3 *db, const char *path, sqlite3_int64 *is_version, char *why, size_t why_bytes)
{
    int code;
    sqlite3_int64 version = *is_version = number_of(db, "PRAGMA user_version", &code);
    sqlite3_int64 application = code ? -1 : number_of(db, "PRAGMA application_id", &code);
    sqlite3_int64 objects = code ? -1 : number_of(db, "SELECT count(*) FROM sqlite_schema", &code);
    if (code)
        return code;
    if (!version && !application && !objects)
        return SQLITE_OK; /* empty */
    if (application != APPLICATION_ID || version < 1) {
        snprintf(why, why_bytes, "it is no history of tallyd");
        return SQLITE_NOTADB;
    }
    if (version > FORMAT_VERSION) {
        snprintf(why, why_bytes, "it is of version %lld, and we know %d", (long long)version, FORMAT_VERSION);
        return SQLITE_SCHEMA;
    }
    return is_small(path) ? quick_check(db, why, why_bytes) : SQLITE_OK;
}

static bool in_memory(const char *path)
{
    return !strncmp(path, "file:", 5);
}

int file_open(struct file *file, const char *path, bool *made, char *why, size_t why_bytes)
{
    bool memory = in_memory(path);
    int error = memory ? 0 : file_make(path);
    snprintf(why, why_bytes, "%s", error ? strerror(-error) : "");
    memset(file, 0, sizeof *file);
    if (error)
        return SQLITE_CANTOPEN;
    int code = open_with(file, path, SQLITE_OPEN_READWRITE | (memory ? SQLITE_OPEN_CREATE | SQLITE_OPEN_URI : 0));
    sqlite3_int64 version = 0;
    if (!code)
        code = recognise(file->db, path, &version, why, why_bytes);
    *made = !code && !version;
    if (!code)
        code = pragma(file->db, "PRAGMA auto_vacuum = INCREMENTAL");
    if (!code)
        code = pragma(file->db, memory ? "PRAGMA journal_mode = MEMORY" : "PRAGMA journal_mode = WAL");
    if (!code)
        code = pragma(file->db, "PRAGMA synchronous = FULL");
    if (!code)
        code = pragma(file->db, "PRAGMA journal_size_limit = 16777216");
    if (!code)
        code = pragma(file->db, "PRAGMA cache_size = -16384");
    if (!code && *made)
        code = new_schema(file->db);
    else if (!code && version < FORMAT_VERSION) {
        code = file_migrate(file, (int)version);
        if (!code)
            log_info("history: %s is of version %d now, and was of %lld", path, FORMAT_VERSION, (long long)version);
    }
    if (!code && !*made)
        code = file_check(file->db, is_small(path), why, why_bytes);
    if (code && !*why)
        snprintf(why, why_bytes, "%s", file->db ? sqlite3_errmsg(file->db) : sqlite3_errstr(code));
    if (code)
        file_close(file);
    return code;
}

int file_open_reading(struct file *file, const char *path)
{
    int code = open_with(file, path, SQLITE_OPEN_READONLY | (in_memory(path) ? SQLITE_OPEN_URI : 0));
    if (!code)
        code = pragma(file->db, "PRAGMA query_only = ON");
    if (code)
        file_close(file);
    return code;
}

void file_close(struct file *file)
{
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(file->statements[i]);
    sqlite3_close(file->db);
    memset(file, 0, sizeof *file);
}

bool file_set_aside(const char *path, const char *word, char *name, size_t name_bytes)
{
    static const char *const parts[] = {"-wal", "-shm", ""}; /* the file itself last: while it is there, all are */
    uint64_t seconds = clock_wall_ns() / 1000000000u;
    bool moved = false;
    for (; snprintf(name, name_bytes, "%s.%s-%llu", path, word, (unsigned long long)seconds) < (int)name_bytes; seconds++)
        if (access(name, F_OK))
            break;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char from[320], to[352];
        snprintf(from, sizeof from, "%s%s", path, parts[i]);
        snprintf(to, sizeof to, "%s%s", name, parts[i]);
        moved = !rename(from, to);
    }
    return moved;
}

sqlite3_stmt *file_statement(struct file *file, enum statement statement, int *code)
{
    if (!file->statements[statement])
        *code = sqlite3_prepare_v3(file->db, statement_texts[statement], -1, SQLITE_PREPARE_PERSISTENT,
                                   &file->statements[statement], NULL);
    return file->statements[statement];
}

void file_rollback(struct file *file)
{
    if (file->db && !sqlite3_get_autocommit(file->db))
        file_run(file_statement(file, STATEMENT_ROLLBACK, &(int){0}));
}

int file_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    int end = sqlite3_reset(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : end ? end : code;
}
