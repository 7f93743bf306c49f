/* Faults of the disk and of the file, by their number in the fault table. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "faulty.h"
#include "simulation.h"

#define ID "00000000000000000000000000000001"

/* How many times more than in the suite, for a long run. */
static int times(int in_suite)
{
    const char *more = getenv("TALLY_FAULT_TIMES");
    return in_suite * (more ? atoi(more) : 1);
}

static void second_pass(struct simulation *simulation, void *process, uint64_t value)
{
    simulation_tell(simulation, process, 1, 1, &value, &value);
    simulation_tick(simulation);
}

/* Every write, truncation and sync in turn is the first of three that fail: the status says so meanwhile, the writer goes
 * on when there is room again, nothing that waited is lost, and the file is whole. */
static void test_F5_full_disk_at_every_write(void **state)
{
    struct world *world = *state;
    unsigned hits = 0, degraded = 0;
    for (uint64_t n = 1;; n += n < 60 ? 1 : 7) {
        struct simulation simulation = {.world = world, .mono_s = 1000, .wall_s = WALL_S};
        struct history_status status;
        world_remove(world);
        faulty_begin();
        faulty_fail(n, n + 3);
        assert_int_equal(history_start(&(struct history_options){.folder = world->folder, .retry_ns = 1000000}, &world->history), 0);
        simulation.history = world->history;
        simulation.stats = stats_new();
        stats_sink_init(simulation.stats, &simulation.sink);
        assert_true(history_flush(world->history, PATIENCE_NS));
        simulation.base = world->history->base;
        simulation.sampler = calloc(1, sizeof *simulation.sampler);
        simulation.sampler->queue = &world->history->queue;
        void *process = simulation_attach(&simulation, 1);
        for (uint64_t at = 1; at <= 12; at++) {
            second_pass(&simulation, process, at);
            for (int i = 0; i < 40 && at % 4 == 0 && !history_flush(world->history, 5 * SECOND_NS / 100); i++) {
                history_status_get(world->history, &status);
                degraded += status.degraded && status.why[0];
            }
        }
        assert_true(history_flush(world->history, PATIENCE_NS));
        history_status_get(world->history, &status);
        assert_true(status.ready && !status.degraded);
        assert_int_equal(status.rows_dropped, 0);
        assert_int_equal(simulation_last(&simulation, ID, 0, "live_objects"), 12);
        simulation_close(&simulation, false);
        bool hit = faulty.failed;
        faulty_end();
        assert_true(world_is_whole(world));
        assert_int_equal(world_number(world, "SELECT count(*) FROM seconds"), 12 * 2);
        simulation_free(&simulation, &process, 1);
        if (!hit)
            break;
        hits++;
    }
    assert_true(hits > 40);
    print_message("F5: %u places, %u times seen degraded\n", hits, degraded);
}

/* While nothing can be written rows wait, up to the queue's bound; then they are counted, and there is a gap. */
static void test_F5_what_finds_no_room_is_counted(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.retry_ns = 10000000};
    struct history_status status;
    enum { PROCESSES = 400 };
    static void *processes[PROCESSES];
    uint64_t value = 0;
    faulty_begin();
    simulation_open(&simulation, world);
    for (unsigned i = 0; i < PROCESSES; i++)
        processes[i] = simulation_attach(&simulation, i + 1);
    for (int at = 0; at < 240; at++) {
        faulty_fail(1, at < 20 || at > 200 ? 1 : UINT64_MAX);
        value++;
        for (unsigned i = 0; i < PROCESSES; i++)
            simulation_tell(&simulation, processes[i], 1, 1, &value, &value);
        simulation.mono_s++, simulation.wall_s++;
        simulation.sink.swept(simulation.stats, true);
        const struct stats_view *view = stats_view_get_new(simulation.stats);
        sampler_tick(simulation.sampler, &simulation.base, view, simulation.mono_s * SECOND_NS, (uint64_t)simulation.wall_s * SECOND_NS);
        stats_view_unref(view);
        if (at == 10 || at == 201)
            assert_true(history_flush(simulation.history, PATIENCE_NS));
        if (at == 200) {
            history_flush(simulation.history, SECOND_NS / 10);
            history_status_get(simulation.history, &status);
            assert_true(status.degraded);
        }
    }
    assert_true(history_flush(simulation.history, PATIENCE_NS));
    history_status_get(simulation.history, &status);
    assert_true(status.rows_dropped > 0 && !status.degraded);
    simulation.history->now = simulation.sampler->at;
    struct history_answer *answer = simulation_ask(&simulation, ID, 0, "live_objects", WALL_S, simulation.wall_s, 1);
    assert_int_equal(answer->gap_count, 1);
    for (size_t i = 0; i < answer->point_count; i++) /* what is known is right */
        assert_true(!answer->columns[0].points[i].known || answer->columns[0].points[i].last == i + 1);
    assert_true(answer->columns[0].points[239].known);
    history_answer_free(answer);
    simulation_close(&simulation, false);
    faulty_end();
    assert_true(world_is_whole(world));
    simulation_free(&simulation, processes, PROCESSES);
}

/* ---- F7 */

struct cutting {
    const struct world *world;
    char folder[64], path[96];
    uint64_t every;
    unsigned cuts;
    _Atomic uint64_t kept; /* seconds whose commit was acknowledged */
};

static int64_t number_in(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    int64_t number = !code && sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* The power goes: what is left is whole, and holds all that was acknowledged. */
static void cut(void *arg)
{
    struct cutting *cutting = arg;
    char log[128];
    if (faulty.count % cutting->every)
        return;
    uint64_t kept = cutting->kept;
    snprintf(log, sizeof log, "%s-wal", cutting->path);
    image_leave(&faulty.images[0], cutting->path);
    image_leave(&faulty.images[1], log);
    if (number_in(cutting->path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") != 1)
        fail_msg("not whole after a power cut at operation %llu", (unsigned long long)faulty.count);
    if (kept && number_in(cutting->path, "SELECT count(*) FROM seconds") < (int64_t)kept * 2)
        fail_msg("lost what was acknowledged, at operation %llu", (unsigned long long)faulty.count);
    cutting->cuts++;
    unlink(cutting->path);
    unlink(log);
}

static void test_F7_power_cuts_at_any_write(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    struct cutting cutting = {.world = world, .every = 3};
    int wanted = times(300);
    snprintf(cutting.folder, sizeof cutting.folder, "/tmp/tally-cut-XXXXXX");
    assert_non_null(mkdtemp(cutting.folder));
    snprintf(cutting.path, sizeof cutting.path, "%s/history.db", cutting.folder);
    srand(7);
    faulty_begin();
    faulty.imaging = true;
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    pthread_mutex_lock(&faulty.lock);
    faulty.each = cut;
    faulty.arg = &cutting;
    pthread_mutex_unlock(&faulty.lock);
    for (uint64_t at = 1; cutting.cuts < (unsigned)wanted; at++) {
        second_pass(&simulation, process, at);
        assert_true(history_flush(simulation.history, PATIENCE_NS));
        cutting.kept = at < 3000 ? at : 0; /* then seconds are forgotten, too */
    }
    simulation_close(&simulation, false);
    faulty_end();
    rmdir(cutting.folder);
    simulation_free(&simulation, &process, 1);
    print_message("F7: %u power cuts\n", cutting.cuts);
}

/* kill -9 while it writes: what was acknowledged is there, and the file is whole. */
static void test_F7_killed_at_random_times(void **state)
{
    struct world *world = *state;
    _Atomic uint64_t *kept = mmap(NULL, sizeof *kept, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rounds_that_wrote = 0;
    srand(9);
    for (int round = 0; round < times(40); round++) {
        *kept = 0;
        pid_t child = fork();
        if (!child) {
            struct simulation simulation = {.mono_s = 0};
            simulation_open(&simulation, world);
            void *process = simulation_attach(&simulation, 1);
            for (uint64_t at = 1;; at++) {
                second_pass(&simulation, process, at);
                if (history_flush(simulation.history, PATIENCE_NS))
                    *kept = simulation.sampler->at;
            }
        }
        for (uint64_t end = clock_mono_ns() + PATIENCE_NS; round % 4 && !*kept && clock_mono_ns() < end;)
            usleep(100); /* three of four once it has written */
        usleep((unsigned)rand() % 40000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (access(world->path, F_OK))
            continue;
        assert_true(world_is_whole(world));
        assert_true(!*kept || key_at(LEVEL_SECONDS, (uint64_t)world_number(world, "SELECT max(key) FROM seconds")) >= *kept);
        rounds_that_wrote += *kept > 0;
    }
    assert_true(rounds_that_wrote >= times(30));
    munmap((void *)(uintptr_t)kept, sizeof *kept);
}

/* ---- F8 */

static void copy(const char *from, const char *to, int flips, size_t cut)
{
    static unsigned char bytes[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t size = fread(bytes, 1, sizeof bytes, in);
    for (int i = 0; i < flips; i++)
        bytes[(size_t)rand() % size] ^= (unsigned char)(1 << rand() % 8);
    assert_true(fwrite(bytes, 1, cut ? (size_t)rand() % size : size, out) > 0 || cut);
    fclose(in);
    fclose(out);
}

/* A file with flipped bits, or cut short: it works, or it is set aside and a new one begins; questions get answers or
 * errors; and all of it takes no time. */
static void test_F8_damaged_files_make_way(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    char good[128];
    unsigned aside = 0;
    uint64_t slowest = 0;
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    for (uint64_t at = 1; at <= 300; at++)
        second_pass(&simulation, process, at);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
    snprintf(good, sizeof good, "%s/good", world->folder);
    assert_int_equal(rename(world->path, good), 0);
    srand(8);
    int rounds = times(300);
    for (int i = 0; i < rounds; i++) {
        struct history_query query = {.process = ID, .columns = {"live_bytes"}, .column_count = 1, .from_s = WALL_S,
                                      .to_s = WALL_S + 300, .points_max = 1000};
        struct history_answer *answer;
        unsigned before = world_files(world, "corrupt-");
        copy(good, world->path, i % 4 ? 1 << rand() % 8 : 0, i % 4 == 0);
        uint64_t start = clock_mono_ns();
        world_open(world);
        assert_true(history_flush(world->history, 5ull * SECOND_NS));
        if (!history_query(world->history, &query, &answer))
            history_answer_free(answer);
        history_alert(world->history, &(struct history_alert){.wall_ns = 1, .rule = "r", .state = "firing"});
        assert_true(history_flush(world->history, 5ull * SECOND_NS));
        uint64_t took = clock_mono_ns() - start;
        slowest = took > slowest ? took : slowest;
        world_close(world);
        aside += world_files(world, "corrupt-") > before;
        world_remove(world);
    }
    print_message("F8: %d damaged files, %u set aside, %llu ms at most\n", rounds, aside, (unsigned long long)slowest / 1000000);
    assert_true(aside > (unsigned)rounds / 3 && slowest < 5ull * SECOND_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_F5_full_disk_at_every_write),
        WORLD_TEST(test_F5_what_finds_no_room_is_counted),
        WORLD_TEST(test_F7_power_cuts_at_any_write),
        WORLD_TEST(test_F7_killed_at_random_times),
        WORLD_TEST(test_F8_damaged_files_make_way),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
