/* Figures as they are read back, held against what was told second by second. */
#include "simulation.h"

#define ID "00000000000000000000000000000001"
#define HOURS 5
#define SECONDS (HOURS * 3600)

struct truth { /* of each second from WALL_S on; -1: nobody looked */
    int64_t live[SECONDS + 1], born[SECONDS + 1];
};

/* A program that is busy, idle or in between for a time, by chance. */
struct program {
    void *handle;
    uint64_t born, live;
    unsigned left, quiet; /* seconds of its mood; one in `quiet` + 1 of them changes something */
};

static void live_on(struct simulation *simulation, struct program *program)
{
    if (!program->left--) {
        static const unsigned moods[] = {0, 0, 5, 70, 4000};
        program->quiet = moods[rand() % 5];
        program->left = (unsigned)rand() % 2500;
    }
    if (rand() % (int)(program->quiet + 1))
        return;
    program->live = (unsigned)rand() % 1000;
    program->born += program->live + (unsigned)rand() % 100;
    simulation_tell(simulation, program->handle, 1, 1, &program->born, &program->live);
}

static void expect(const struct history_answer *answer, const struct truth *truth, bool gauge)
{
    for (size_t i = 0; i < answer->point_count; i++) {
        const struct history_point *point = &answer->columns[0].points[i];
        int64_t end = answer->start_s + (int64_t)(i + 1) * answer->step_s - WALL_S, last = -1, low = INT64_MAX, high = -1;
        const int64_t *told = gauge ? truth->live : truth->born;
        for (int64_t at = end - answer->step_s + 1; at <= end && at <= answer->to_s - WALL_S; at++)
            if (at > 0 && at <= SECONDS && told[at] >= 0) {
                last = told[at];
                low = last < low ? last : low;
                high = last > high ? last : high;
            }
        if (point->known != (last >= 0) || (point->known && (int64_t)point->last != last))
            fail_msg("step %u, point %zu of %zu, second %lld: %d %llu, not %lld", answer->step_s, i, answer->point_count,
                     (long long)end, point->known, (unsigned long long)point->last, (long long)last);
        if (gauge && point->known && ((int64_t)point->low != low || (int64_t)point->high != high))
            fail_msg("step %u, second %lld: %llu..%llu, not %lld..%lld", answer->step_s, (long long)end,
                     (unsigned long long)point->low, (unsigned long long)point->high, (long long)low, (long long)high);
    }
}

static void ask(struct simulation *simulation, const struct truth *truth, int64_t from, int64_t to, uint32_t step, bool gauge)
{
    assert_true(history_flush(simulation->history, PATIENCE_NS)); /* the writer may be behind */
    struct history_answer *answer = simulation_ask(simulation, ID, 0, gauge ? "live_objects" : "type:type0.allocations",
                                                   WALL_S + from, WALL_S + to, step);
    expect(answer, truth, gauge);
    history_answer_free(answer);
}

/* Questions that all levels can answer exactly: from a multiple of a minute on; the seconds of the last hour. */
static void ask_any(struct simulation *simulation, const struct truth *truth, int64_t now)
{
    int64_t from = rand() % (now + 1) / 60 * 60, to = now - rand() % 100 * (rand() % 2);
    uint32_t step = now - from < 3500 && rand() % 2 ? 1u + (unsigned)rand() % 100 : 60u * (1u + (unsigned)rand() % 30);
    if (to > from)
        ask(simulation, truth, from, to, step, rand() % 2);
}

/* Times of which no one looked are nowhere; all others everywhere exact, over restarts and kills. */
static void test_query_is_exact_at_every_step(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    struct truth *truth = malloc(sizeof *truth);
    memset(truth, 0xff, sizeof *truth);
    srand(4711);
    simulation_open(&simulation, world);
    struct program program = {.handle = simulation_attach(&simulation, 1), .born = 10, .live = 5};
    simulation_tell(&simulation, program.handle, 1, 1, &program.born, &program.live);
    for (int64_t at = 1; at <= SECONDS; at++) {
        live_on(&simulation, &program);
        simulation_tick(&simulation);
        truth->live[at] = (int64_t)program.live;
        truth->born[at] = (int64_t)program.born;
        if (at % 997 == 0)
            ask_any(&simulation, truth, at);
        if (at % 5000 == 0) { /* a restart, and 100 seconds without us */
            simulation_close(&simulation, at % 10000 == 0);
            simulation.mono_s += 100;
            simulation.wall_s += 100;
            at += 100;
            simulation_open(&simulation, world);
        }
    }
    for (int i = 0; i < 300; i++)
        ask_any(&simulation, truth, SECONDS);
    ask(&simulation, truth, 0, SECONDS, 60, true);
    ask(&simulation, truth, 0, SECONDS, 60, false);
    simulation_close(&simulation, false);
    assert_true(world_is_whole(world));
    simulation_free(&simulation, &program.handle, 1);
    free(truth);
}

static void test_query_tells_its_resolution(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    for (uint64_t at = 1; at <= 2 * 3600; at++) {
        simulation_tell(&simulation, process, 1, 1, &at, &at);
        simulation_tick(&simulation);
        if (at % 60 == 0)
            assert_true(history_flush(simulation.history, PATIENCE_NS));
    }
    static const struct { int64_t ago; uint32_t step, step_is, resolution; } cases[] = {
        {600, 0, 1, 1}, {600, 7, 7, 1}, {600, 15, 20, 10}, {600, 60, 60, 60}, {7000, 1, 10, 10}, {7000, 90, 120, 60}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct history_answer *answer = simulation_ask(&simulation, ID, 0, "live_bytes", simulation.wall_s - cases[i].ago,
                                                       simulation.wall_s, cases[i].step);
        assert_int_equal(answer->step_s, cases[i].step_is);
        assert_int_equal(answer->resolution_s, cases[i].resolution);
        assert_true(answer->columns[0].gauge);
        assert_string_equal(answer->columns[0].unit, "bytes");
        history_answer_free(answer);
    }
    struct history_query query = {.process = ID, .columns = {"weather"}, .column_count = 1, .to_s = 1, .points_max = 1};
    struct history_answer *answer;
    assert_int_equal(history_query(simulation.history, &query, &answer), -EINVAL);
    query.columns[0] = "type:type0.collections";
    assert_int_equal(history_query(simulation.history, &query, &answer), -EINVAL);
    query.process = "00000000000000000000000000000002";
    assert_int_equal(history_query(simulation.history, &query, &answer), -ENOENT);
    query.lives = true; /* a process so young that nothing of it is there */
    assert_int_equal(history_query(simulation.history, &query, &answer), -EINVAL);
    query.columns[0] = "live_bytes";
    assert_int_equal(history_query(simulation.history, &query, &answer), 0);
    for (size_t i = 0; i < answer->point_count; i++)
        assert_false(answer->columns[0].points[i].known);
    history_answer_free(answer);
    static const char *const known[] = {"live_bytes", "type:a,b.live_bytes", "rest.frees.cycle"},
                      *const unknown[] = {"weather", "", "rest.", "rest.collections", "type:", "type:type0", "type:type0.collections"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(history_column_known(known[i]));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_false(history_column_known(unknown[i]));
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

/* F16: ten years forwards and back again, and a restart in between. */
static void test_F16_no_clock_loses_or_reorders_rows(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    const int64_t decade = 315360000;
    uint64_t value = 0;
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    static const int64_t steps[] = {0, 1, -1, -1, 1, 0, 1};
    for (size_t era = 0; era < sizeof steps / sizeof *steps; era++) {
        simulation.wall_s += steps[era] * decade;
        if (era == 3) {
            simulation_close(&simulation, false);
            simulation_open(&simulation, world);
        }
        for (int i = 0; i < 40; i++) {
            value++;
            simulation_tell(&simulation, process, 1, 1, &value, &value);
            simulation_tick(&simulation);
        }
        struct history_answer *answer = simulation_ask(&simulation, ID, 0, "allocations", simulation.wall_s - 40, simulation.wall_s, 1);
        for (size_t i = 1; i < answer->point_count; i++) {
            assert_true(answer->columns[0].points[i].known);
            assert_int_equal(answer->columns[0].points[i].last, value - (answer->point_count - 1 - i));
        }
        history_answer_free(answer);
    }
    simulation_close(&simulation, false);
    assert_int_equal(world_number(world, "SELECT count(*) FROM runs a JOIN runs b ON b.at > a.at AND b.at <= a.until"), 0);
    simulation_free(&simulation, &process, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_query_is_exact_at_every_step),
        WORLD_TEST(test_query_tells_its_resolution),
        WORLD_TEST(test_F16_no_clock_loses_or_reorders_rows),
    };
    return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
