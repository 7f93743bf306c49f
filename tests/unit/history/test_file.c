/* The file: made for its owner alone, written by one thread, and set aside when it is not ours to use. */
#include "world.h"

static void tell(struct world *world, const char *rule)
{
    struct history_alert alert = {.wall_ns = clock_wall_ns(), .value = 3.5, .threshold = 2, .state = "firing"};
    snprintf(alert.rule, sizeof alert.rule, "%s", rule);
    history_alert(world->history, &alert);
}

static void scribble(const struct world *world, size_t at, const char *text)
{
    FILE *file = fopen(world->path, "r+b");
    if (!file)
        file = fopen(world->path, "wb");
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    fputs(text, file);
    fclose(file);
}

static void sql(const struct world *world, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_file_is_its_owners_alone(void **state)
{
    struct world *world = *state;
    mode_t before = umask(0);
    struct stat status;
    char path[128];
    world_open(world);
    tell(world, "one");
    assert_true(history_flush(world->history, PATIENCE_NS));
    static const char *const parts[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", world->path, parts[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    world_close(world);
    chmod(world->path, 0644);
    world_open(world);
    assert_true(history_flush(world->history, PATIENCE_NS));
    assert_int_equal(stat(world->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    umask(before);
}

static void test_file_keeps_what_was_told_over_restarts(void **state)
{
    struct world *world = *state;
    for (int i = 1; i <= 3; i++) {
        world_open(world);
        tell(world, "one");
        history_audit(world->history, &(struct audit_record){.seq = 1, .wall_ns = 2, .who = "uid 1", .result = "done"});
        world_close(world); /* writes what waits */
        assert_int_equal(world_number(world, "SELECT count(*) FROM alerts WHERE rule = 'one' AND value = 3.5"), i);
        assert_int_equal(world_number(world, "SELECT count(*) FROM audit WHERE who = 'uid 1' AND result = 'done'"), i);
    }
    assert_int_equal(world_files(world, "history.db"), 1); /* no -wal is left behind */
    assert_true(world_is_whole(world));
}

static void test_file_in_memory_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct history_status status;
    assert_int_equal(history_start(&(struct history_options){.folder = NULL}, &world->history), 0);
    tell(world, "one");
    assert_true(history_flush(world->history, PATIENCE_NS));
    history_status_get(world->history, &status);
    assert_false(status.figures);
    assert_false(status.degraded);
    assert_int_equal(status.rows_written, 1);
    assert_int_equal(world_files(world, ""), 0);
}

static void test_file_that_is_none_is_set_aside(void **state)
{
    struct world *world = *state;
    scribble(world, 0, "this was never a database, whatever its name may say about that ...............................");
    world_open(world);
    tell(world, "one");
    assert_true(history_flush(world->history, PATIENCE_NS));
    assert_int_equal(world_files(world, "history.db.corrupt-"), 1);
    assert_int_equal(world_number(world, "SELECT count(*) FROM alerts"), 1);
}

static void test_file_of_another_program_is_set_aside_unchanged(void **state)
{
    struct world *world = *state;
    sql(world, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    world_open(world);
    assert_true(history_flush(world->history, PATIENCE_NS));
    assert_int_equal(world_files(world, "history.db.corrupt-"), 1);
}

static void test_file_of_a_newer_version_is_set_aside_unchanged(void **state)
{
    struct world *world = *state;
    world_open(world);
    tell(world, "one");
    world_close(world);
    sql(world, "CREATE TABLE future (a); PRAGMA user_version = 9; PRAGMA wal_checkpoint(TRUNCATE)");
    world_open(world);
    assert_true(history_flush(world->history, PATIENCE_NS));
    assert_int_equal(world_files(world, "history.db.newer-"), 1);
    world_close(world);
    DIR *folder = opendir(world->folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (strstr(entry->d_name, "newer-"))
            snprintf(world->path, sizeof world->path, "%s/%.30s", world->folder, entry->d_name);
    closedir(folder);
    assert_int_equal(world_number(world, "SELECT count(*) FROM future"), 0);
    assert_int_equal(world_number(world, "SELECT count(*) FROM alerts"), 1);
    assert_int_equal(world_number(world, "PRAGMA user_version"), 9);
}

/* Each is whole by SQLite's word. */
static void test_file_whose_tables_are_not_ours_is_set_aside(void **state)
{
    struct world *world = *state;
    static const char *const harms[] = {
        "DROP TABLE processes",
        "DROP TABLE audit",
        "ALTER TABLE alerts DROP COLUMN threshold",
        "DELETE FROM sizes WHERE name = 'tens'",
        "UPDATE runs SET until = 'never'",
        "UPDATE alerts SET value = x'00'",
        "INSERT INTO seconds VALUES (1, 'text')",
        "PRAGMA user_version = 1", /* it has not what that one had */
    };
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        struct history_status status;
        world_open(world);
        tell(world, "one");
        assert_true(history_flush(world->history, PATIENCE_NS));
        world_close(world);
        sql(world, "INSERT OR IGNORE INTO runs VALUES (1, 2, 3)");
        sql(world, harms[i]);
        world_open(world);
        tell(world, "two");
        assert_true(history_flush(world->history, PATIENCE_NS));
        history_status_get(world->history, &status);
        assert_false(status.degraded);
        assert_int_equal(world_files(world, "history.db.corrupt-"), i + 1);
        assert_int_equal(world_number(world, "SELECT count(*) FROM alerts WHERE rule = 'one'"), 0);
        world_close(world);
    }
}

static void test_file_that_loses_a_table_is_set_aside(void **state)
{
    struct world *world = *state;
    struct history_status status;
    world_open(world);
    tell(world, "one");
    assert_true(history_flush(world->history, PATIENCE_NS));
    sql(world, "DROP TABLE alerts");
    tell(world, "two"); /* lost with it, and counted */
    assert_true(history_flush(world->history, PATIENCE_NS));
    tell(world, "three");
    assert_true(history_flush(world->history, PATIENCE_NS));
    assert_int_equal(world_files(world, "history.db.corrupt-"), 1);
    history_status_get(world->history, &status);
    assert_false(status.degraded);
    assert_int_equal(status.rows_dropped, 1);
    assert_int_equal(world_number(world, "SELECT count(*) FROM alerts WHERE rule = 'three'"), 1);
}

static void test_file_that_cannot_be_is_tried_again(void **state)
{
    struct world *world = *state;
    struct history_status status;
    assert_int_equal(mkdir(world->path, 0700), 0);
    world_open(world);
    tell(world, "one");
    assert_false(history_flush(world->history, SECOND_NS / 2));
    history_status_get(world->history, &status);
    assert_true(status.degraded && !status.ready && status.why[0]);
    assert_int_equal(rmdir(world->path), 0);
    assert_true(history_flush(world->history, PATIENCE_NS));
    history_status_get(world->history, &status);
    assert_true(!status.degraded && status.ready);
    assert_int_equal(world_number(world, "SELECT count(*) FROM alerts"), 1);
}

static void test_file_behind_a_link_is_not_followed(void **state)
{
    struct world *world = *state;
    char target[128];
    struct stat status;
    snprintf(target, sizeof target, "%s/elsewhere", world->folder);
    assert_int_equal(symlink(target, world->path), 0);
    world_open(world);
    assert_false(history_flush(world->history, SECOND_NS / 2));
    assert_int_equal(stat(target, &status), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_file_is_its_owners_alone),
        WORLD_TEST(test_file_keeps_what_was_told_over_restarts),
        WORLD_TEST(test_file_in_memory_leaves_nothing),
        WORLD_TEST(test_file_that_is_none_is_set_aside),
        WORLD_TEST(test_file_of_another_program_is_set_aside_unchanged),
        WORLD_TEST(test_file_of_a_newer_version_is_set_aside_unchanged),
        WORLD_TEST(test_file_whose_tables_are_not_ours_is_set_aside),
        WORLD_TEST(test_file_that_loses_a_table_is_set_aside),
        WORLD_TEST(test_file_that_cannot_be_is_tried_again),
        WORLD_TEST(test_file_behind_a_link_is_not_followed),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
