/* A file of version 1 becomes one of today's, whole and with all it had, whenever it is interrupted. */
#include "faulty.h"
#include "simulation.h"
#include "version1.h"

static void version1_make(const struct world *world)
{
    sqlite3 *db;
    world_remove(world);
    assert_int_equal(sqlite3_open_v2(world->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, VERSION_1, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

struct seen {
    unsigned processes, ended, alerts, audits, collections;
};
static void hear_process(void *arg, uint64_t number, const struct history_process *process)
{
    struct seen *seen = arg;
    (void)number;
    seen->processes++;
    seen->ended += process->ended && process->status == 9 && !strcmp(process->end, "exited") && !strcmp(process->name, "two");
}
static void hear_alert(void *arg, uint64_t number, const struct history_alert *alert)
{
    ((struct seen *)arg)->alerts += number == 1 && !strcmp(alert->rule, "leak") && alert->value == 1.5 && alert->threshold == 0;
}
static void hear_audit(void *arg, uint64_t number, const struct audit_record *record)
{
    ((struct seen *)arg)->audits += number == 1 && !strcmp(record->kind, "collect") && !strcmp(record->code, "");
}
static void hear_collection(void *arg, uint64_t number, const struct stats_collection_view *collection, uint64_t missed)
{
    ((struct seen *)arg)->collections += number == 1 && collection->sequence == 44 && collection->safepoint_wait_ns == 9 && !missed;
}

static int64_t known(struct history *history, const char *id, const char *column, unsigned *count)
{
    struct history_query query = {.process = id, .columns = {column}, .column_count = 1, .from_s = WALL_S, .to_s = WALL_S + 60,
                                  .points_max = 100};
    struct history_answer *answer;
    int64_t value = -1;
    *count = 0;
    assert_int_equal(history_query(history, &query, &answer), 0);
    for (size_t i = 0; i < answer->point_count; i++)
        if (answer->columns[0].points[i].known) {
            value = (int64_t)answer->columns[0].points[i].last;
            ++*count;
        }
    history_answer_free(answer);
    return value;
}

static void expect_all(const struct world *world)
{
    const struct history_range range = {.limit = 10};
    struct seen seen = {.processes = 0};
    unsigned count;
    assert_int_equal(history_process_list(world->history, NULL, &range, hear_process, &seen), 0);
    assert_int_equal(history_alert_list(world->history, &range, hear_alert, &seen), 0);
    assert_int_equal(history_audit_list(world->history, &range, &(struct history_audit_filter){.who = NULL}, hear_audit, &seen), 0);
    assert_int_equal(history_collection_list(world->history, "00000000000000000000000000000001", 0, &range, hear_collection, &seen), 0);
    assert_true(seen.processes == 2 && seen.ended == 1 && seen.alerts == 1 && seen.audits == 1 && seen.collections == 1);
    assert_int_equal(known(world->history, "00000000000000000000000000000001", "live_objects", &count), 5);
    assert_int_equal(count, 60);
    assert_int_equal(known(world->history, "00000000000000000000000000000002", "live_objects", &count), 6);
    assert_int_equal(count, 30); /* until its end */
    assert_int_equal(known(world->history, "00000000000000000000000000000001", "a_figure_of_old", &count), 7);
    assert_int_equal(known(world->history, "00000000000000000000000000000001", "frees.cycle", &count), -1 + 1);
}

static void test_migrate_keeps_all_that_version_1_had(void **state)
{
    struct world *world = *state;
    version1_make(world);
    world_open(world);
    assert_true(history_flush(world->history, PATIENCE_NS));
    assert_int_equal(world_number(world, "PRAGMA user_version"), FORMAT_VERSION);
    expect_all(world);
    world_close(world);
    assert_true(world_is_whole(world));
    assert_int_equal(world_files(world, "history.db"), 1); /* nothing was set aside */
    assert_int_equal(world_number(world, "SELECT rows FROM sizes WHERE name = 'seconds'"), 2);
}

static void test_migrate_survives_a_failure_at_every_write(void **state)
{
    struct world *world = *state;
    for (uint64_t n = 1, hit = 1; hit; n++) {
        version1_make(world);
        faulty_begin();
        faulty_fail(n, n + 2);
        assert_int_equal(history_start(&(struct history_options){.folder = world->folder, .retry_ns = 1000000}, &world->history), 0);
        assert_true(history_flush(world->history, PATIENCE_NS));
        expect_all(world);
        world_close(world);
        hit = faulty.failed;
        faulty_end();
        assert_int_equal(world_files(world, "corrupt-") + world_files(world, "newer-"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_migrate_keeps_all_that_version_1_had),
        WORLD_TEST(test_migrate_survives_a_failure_at_every_write),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
