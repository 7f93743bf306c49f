/* What goes, by age, by size and by order, and that it does not come back. */
#include "simulation.h"

#define ID "00000000000000000000000000000001"

static void busy(struct simulation *simulation, void *process, uint64_t seconds)
{
    static uint64_t value[20];
    for (uint64_t at = 0; at < seconds; at++) {
        for (unsigned i = 0; i < 20; i++)
            value[i] += (unsigned)rand() % 100000;
        simulation_tell(simulation, process, 1, 20, value, value);
        simulation_tick(simulation);
        if (at % 60 == 0) /* what is forgotten goes step by step, with what comes */
            assert_true(history_flush(simulation->history, PATIENCE_NS));
    }
}

static void test_retain_forgets_by_age(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    busy(&simulation, process, 90000);
    int64_t now = (int64_t)simulation.sampler->at;
    simulation_close(&simulation, false);
    assert_in_range(key_at(LEVEL_SECONDS, (uint64_t)world_number(world, "SELECT min(key) FROM seconds")), now - 3600 - 150, now - 3500);
    assert_in_range(key_at(LEVEL_TENS, (uint64_t)world_number(world, "SELECT min(key) FROM tens")), now - 86400 - 300, now - 86300);
    assert_in_range(key_at(LEVEL_MINUTES, (uint64_t)world_number(world, "SELECT min(key) FROM minutes")), WALL_S, WALL_S + 61);
    assert_int_equal(world_number(world, "SELECT rows FROM sizes WHERE name = 'seconds'"), world_number(world, "SELECT count(*) FROM seconds"));
    assert_int_equal(world_number(world, "SELECT bytes FROM sizes WHERE name = 'tens'"),
                     world_number(world, "SELECT sum(length(data) + 14) FROM tens"));
    assert_true(world_is_whole(world));
    simulation_free(&simulation, &process, 1);
}

static void test_retain_stays_within_the_size(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    struct stat status;
    enum { PROCESSES = 60 };
    void *processes[PROCESSES];
    static uint64_t value[20];
    uint64_t largest = 0;
    simulation_open_sized(&simulation, world, HISTORY_SIZE_MIN);
    for (unsigned i = 0; i < PROCESSES; i++)
        processes[i] = simulation_attach(&simulation, i + 1);
    for (int at = 0; at < 1500; at++) {
        for (unsigned i = 0; i < 20; i++)
            value[i] += (unsigned)rand() % 1000000;
        for (unsigned i = 0; i < PROCESSES; i++)
            simulation_tell(&simulation, processes[i], 1, 20, value, value);
        simulation_tick(&simulation);
        if (at % 4 == 3)
            assert_true(history_flush(simulation.history, PATIENCE_NS));
        if (at % 4 == 3 && !stat(world->path, &status))
            largest = (uint64_t)status.st_size > largest ? (uint64_t)status.st_size : largest;
    }
    assert_in_range(largest, HISTORY_SIZE_MIN / 4, HISTORY_SIZE_MIN + HISTORY_SIZE_MIN / 10);
    assert_int_not_equal(simulation_last(&simulation, ID, 0, "live_bytes"), -1);
    simulation_close(&simulation, false);
    assert_true(world_is_whole(world));
    simulation_free(&simulation, processes, PROCESSES);
}

static void alert(struct history *history, int64_t wall_s)
{
    history_alert(history, &(struct history_alert){.wall_ns = (uint64_t)wall_s * SECOND_NS, .rule = "r", .state = "firing"});
}

static void test_purge_forgets_what_is_older(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    uint64_t forgotten;
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    busy(&simulation, process, 300);
    alert(simulation.history, WALL_S + 10);
    alert(simulation.history, WALL_S + 290);
    assert_int_equal(history_purge(simulation.history, (WALL_S + 200ull) * SECOND_NS, NULL, PATIENCE_NS, &forgotten), 0);
    assert_true(forgotten > 200);
    assert_int_equal(world_number(world, "SELECT count(*) FROM alerts"), 1);
    uint64_t first = key_at(LEVEL_SECONDS, (uint64_t)world_number(world, "SELECT min(key) FROM seconds"));
    assert_in_range(first, WALL_S + 196, WALL_S + 200);
    assert_int_not_equal(simulation_last(&simulation, ID, 0, "live_bytes"), -1);
    assert_int_equal(world_number(world, "SELECT bytes FROM sizes WHERE name = 'seconds'"),
                     world_number(world, "SELECT sum(length(data) + 14) FROM seconds"));
    assert_int_equal(history_purge(simulation.history, 0, NULL, PATIENCE_NS, &forgotten), 0);
    assert_int_equal(world_number(world, "SELECT (SELECT count(*) FROM seconds) + (SELECT count(*) FROM tens) + "
                                         "(SELECT count(*) FROM minutes) + (SELECT count(*) FROM alerts)"), 0);
    assert_int_equal(world_number(world, "PRAGMA freelist_count"), 0); /* given back to the system */
    simulation_close(&simulation, false);
    assert_true(world_is_whole(world));
    simulation_free(&simulation, &process, 1);
}

static void test_purge_of_one_process_leaves_the_others(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    uint64_t forgotten, value = 0;
    void *processes[2];
    simulation_open(&simulation, world);
    for (unsigned i = 0; i < 2; i++)
        processes[i] = simulation_attach(&simulation, i + 1);
    for (int at = 0; at < 200; at++, value++) {
        for (unsigned i = 0; i < 2; i++)
            simulation_tell(&simulation, processes[i], 1, 1, &value, &value);
        simulation_tick(&simulation);
    }
    assert_true(history_flush(simulation.history, PATIENCE_NS));
    int64_t rows = world_number(world, "SELECT count(*) FROM seconds");
    assert_int_equal(history_purge(simulation.history, 0, ID, PATIENCE_NS, &forgotten), 0);
    assert_int_equal(world_number(world, "SELECT count(*) FROM seconds"), rows / 2);
    assert_int_equal(simulation_last(&simulation, "00000000000000000000000000000002", 0, "live_objects"), 199);
    assert_int_equal(simulation_last(&simulation, ID, 0, "live_objects"), -1);
    simulation.sampler->broken = true; /* as the ticker does: what comes is whole again */
    simulation_tick(&simulation);
    assert_int_equal(simulation_last(&simulation, ID, 0, "live_objects"), 199);
    simulation_close(&simulation, false);
    simulation_free(&simulation, processes, 2);
}

/* What the writer finds between two transactions may be that the file is damaged. */
static bool between_closes(void *file)
{
    file_close(file);
    return false;
}

static void test_purge_of_a_file_that_is_set_aside_ends(void **state)
{
    struct world *world = *state;
    struct file file;
    bool made;
    char why[128];
    uint64_t forgotten = 0;
    struct purge purge = {.forgotten = &forgotten};
    assert_int_equal(file_open(&file, world->path, &made, why, sizeof why), SQLITE_OK);
    assert_int_equal(purge_run(&file, &purge, between_closes, &file), SQLITE_INTERRUPT);
    assert_null(file.db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_retain_forgets_by_age),
        WORLD_TEST(test_retain_stays_within_the_size),
        WORLD_TEST(test_purge_forgets_what_is_older),
        WORLD_TEST(test_purge_of_one_process_leaves_the_others),
        WORLD_TEST(test_purge_of_a_file_that_is_set_aside_ends),
    };
    return cmocka_run_group_tests_name("retain", tests, NULL, NULL);
}
