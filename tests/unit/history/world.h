/* A folder of its own for each test, a history in it, and SQLite beside it to look. */
#ifndef TESTS_UNIT_HISTORY_WORLD_H
#define TESTS_UNIT_HISTORY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "history/private.h"

#define SECOND_NS 1000000000u
#define PATIENCE_NS 20000000000u

struct world {
    char folder[64], path[96];
    struct history *history;
};

static inline int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/tally-history-XXXXXX");
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->path, sizeof world->path, "%s/history.db", world->folder);
    *state = world;
    return 0;
}

static inline void world_open(struct world *world)
{
    assert_int_equal(history_start(&(struct history_options){.folder = world->folder}, &world->history), 0);
}

static inline void world_close(struct world *world)
{
    if (world->history)
        history_stop(world->history);
    world->history = NULL;
}

/* How many files of the folder hold `part` in their names. */
static inline unsigned world_files(const struct world *world, const char *part)
{
    unsigned count = 0;
    DIR *folder = opendir(world->folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        count += entry->d_name[0] != '.' && strstr(entry->d_name, part);
    closedir(folder);
    return count;
}

static inline int world_teardown(void **state)
{
    struct world *world = *state;
    char path[400];
    world_close(world);
    DIR *folder = opendir(world->folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        snprintf(path, sizeof path, "%s/%s", world->folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(folder);
    rmdir(world->folder);
    free(world);
    return 0;
}

/* The file, and what belongs to it. */
static inline void world_remove(const struct world *world)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", world->path, parts[i]);
        unlink(path);
    }
}

/* The first column of a query's first row, by a connection of its own. */
static inline int64_t world_number(const struct world *world, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    int64_t number = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static inline bool world_is_whole(const struct world *world)
{
    return world_number(world, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1;
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

#endif
