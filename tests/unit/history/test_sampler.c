/* What the sampler makes of views: types that come and go, heaps, ends, and what it leaves out. */
#include "simulation.h"

#define ID "00000000000000000000000000000001"

/* Sixty types of which those around a peak that wanders are the largest: the tracked ones and the rest are always all. */
static void test_types_and_the_rest_are_the_whole(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    enum { TYPES = 60 };
    uint64_t born[TYPES], live[TYPES];
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    for (int at = 1; at <= 600; at++) {
        for (int i = 0; i < TYPES; i++) {
            int distance = abs(i - at / 10);
            live[i] = distance < 40 ? (uint64_t)((40 - distance) * 100) : 0;
            born[i] = 100000 + live[i] + (uint64_t)at;
        }
        simulation_tell(&simulation, process, 1, TYPES, born, live);
        simulation_tick(&simulation);
        if (at % 150)
            continue;
        int64_t sum = simulation_last(&simulation, ID, 0, "rest.live_objects"), tracked = 0;
        for (int i = 0; i < TYPES; i++) {
            char name[40];
            snprintf(name, sizeof name, "type:type%d.live_objects", i);
            struct history_answer *answer = simulation_ask(&simulation, ID, 0, name, simulation.wall_s - 1, simulation.wall_s, 1);
            tracked += answer->columns[0].points[0].known;
            sum += answer->columns[0].points[0].known ? (int64_t)answer->columns[0].points[0].last : 0;
            history_answer_free(answer);
        }
        assert_int_equal(tracked, TYPES_TRACKED);
        assert_int_equal(sum, simulation_last(&simulation, ID, 0, "live_objects"));
    }
    struct history_answer *answer = simulation_ask(&simulation, ID, 0, "type:type59.live_objects", simulation.wall_s - 1, simulation.wall_s, 1);
    assert_true(answer->columns[0].points[0].known); /* now the largest */
    history_answer_free(answer);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

/* A type that is not a quarter larger than the smallest that is in waits outside: no taking turns. */
static void test_types_of_one_size_do_not_take_turns(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    enum { TYPES = 24 };
    uint64_t born[TYPES], live[TYPES];
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    for (int at = 1; at <= 300; at++) {
        for (int i = 0; i < TYPES; i++)
            born[i] = live[i] = 1000 + (unsigned)(at / 10 * 7 + i * 13) % 200;
        simulation_tell(&simulation, process, 1, TYPES, born, live);
        simulation_tick(&simulation);
    }
    assert_true(history_flush(simulation.history, PATIENCE_NS));
    assert_int_equal(world_number(world, "SELECT count(*) FROM series WHERE subject = 1 AND type <> ''"), TYPES_TRACKED);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

static void test_heaps_have_their_own_from_the_second_on(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    for (uint64_t at = 1; at <= 60; at++) {
        uint64_t one = at, two = 1000 + at;
        simulation_tell(&simulation, process, 1, 1, &one, &one);
        if (at > 30 && at <= 50)
            simulation_tell(&simulation, process, 2, 1, &two, &two);
        if (at == 50)
            simulation.sink.heap_gone(simulation.stats, process, 2);
        simulation_tick(&simulation);
    }
    struct history_answer *answer = simulation_ask(&simulation, ID, 1, "live_objects", WALL_S, simulation.wall_s, 1);
    for (size_t i = 0; i < 60; i++) /* before and after the second one came */
        assert_int_equal(answer->columns[0].points[i].last, i + 1);
    history_answer_free(answer);
    answer = simulation_ask(&simulation, ID, 2, "type:type0.live_objects", WALL_S, simulation.wall_s, 1);
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(answer->columns[0].points[i].known, i >= 30 && i < 49);
    history_answer_free(answer);
    answer = simulation_ask(&simulation, ID, 0, "allocations", WALL_S, simulation.wall_s, 1);
    assert_int_equal(answer->columns[0].points[39].last, 40 + 1040);
    history_answer_free(answer);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

/* Four looks a second, the first at `phase`: what is told of second S was so when the wall clock came to S, whatever the
 * phase and wherever the monotonic clock's seconds turn. The program counts quarters of seconds. */
static void check_labels(struct world *world, uint64_t phase_ns, uint64_t mono_ns)
{
    struct simulation simulation = {.mono_s = 0};
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    for (uint64_t quarter = 0; quarter < 80; quarter++) {
        uint64_t wall_ns = phase_ns + quarter * SECOND_NS / 4, value = wall_ns / (SECOND_NS / 4) + 1;
        simulation_tell(&simulation, process, 1, 1, &value, &value);
        simulation_look(&simulation, mono_ns + quarter * SECOND_NS / 4, wall_ns);
    }
    simulation.wall_s += 21;
    struct history_answer *answer = simulation_ask(&simulation, ID, 0, "live_objects", WALL_S, WALL_S + 19, 1);
    assert_int_equal(answer->start_s, WALL_S);
    for (size_t i = 0; i < 19; i++)
        assert_int_equal(answer->columns[0].points[i].last, (i + 1) * 4 + 1); /* of second WALL_S + i + 1 */
    history_answer_free(answer);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

static void test_a_row_says_what_was_at_its_second(void **state)
{
    check_labels(*state, 0, 0);
}
static void test_a_row_says_what_was_at_its_second_whenever_we_began(void **state)
{
    check_labels(*state, 850000000, 300000000);
}
static void test_a_row_says_what_was_at_its_second_early_in_one(void **state)
{
    check_labels(*state, 100000000, 999000000);
}

/* The clock is set by half a minute and a fraction: labels follow it to the nearest second. */
static void test_labels_follow_a_clock_that_is_set(void **state)
{
    struct simulation simulation = {.mono_s = 0};
    uint64_t value = 1;
    simulation_open(&simulation, *state);
    void *process = simulation_attach(&simulation, 1);
    for (uint64_t quarter = 0; quarter < 80; quarter++, value = quarter + 1) {
        simulation_tell(&simulation, process, 1, 1, &value, &value);
        simulation_look(&simulation, quarter * SECOND_NS / 4, quarter * SECOND_NS / 4 + (quarter < 40 ? 0 : 30400000000u));
    }
    simulation.wall_s += 60;
    struct history_answer *answer = simulation_ask(&simulation, ID, 0, "live_objects", WALL_S, WALL_S + 49, 1);
    assert_int_equal(answer->point_count, 49);
    for (size_t i = 41; i < 49; i++) /* at WALL_S + i + 1.4 of the clock as it is now, second i - 29 of the program */
        assert_int_equal(answer->columns[0].points[i].last, (i - 29) * 4 + 1);
    history_answer_free(answer);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

struct told {
    unsigned count;
    bool watched, ended;
    int status;
    char end[16];
};
static void hear_process(void *arg, uint64_t number, const struct history_process *process)
{
    struct told *told = arg;
    (void)number;
    told->count++;
    told->watched = process->watched;
    told->ended = process->ended;
    told->status = process->status;
    snprintf(told->end, sizeof told->end, "%s", process->end ? process->end : "");
}

static void test_ends_are_kept_with_the_last_figures(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    const struct history_range range = {.limit = 10};
    uint64_t value = 7;
    struct told told = {.count = 0};
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    simulation_tell(&simulation, process, 1, 1, &value, &value);
    simulation_tick(&simulation);
    value = 77; /* its very last figures come with its end */
    simulation_tell(&simulation, process, 1, 1, &value, &value);
    simulation.sink.gone(simulation.stats, process, "exited");
    simulation_tick(&simulation);
    simulation.sink.ended(simulation.stats, process, 0x0b);
    for (int i = 0; i < 100; i++)
        simulation_tick(&simulation);
    assert_int_equal(simulation_last(&simulation, ID, 0, "live_objects"), 77);
    assert_int_equal(history_process_list(simulation.history, ID, &range, hear_process, &told), 0);
    assert_true(told.count == 1 && !told.watched && told.ended && told.status == 0x0b && !strcmp(told.end, "exited"));
    struct history_answer *answer = simulation_ask(&simulation, ID, 0, "live_objects", WALL_S, simulation.wall_s, 1);
    for (size_t i = 0; i < answer->point_count; i++)
        assert_int_equal(answer->columns[0].points[i].known, i < 2); /* nothing is carried on behind the end */
    history_answer_free(answer);
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

/* 1,000 programs at rest cost nothing but a word now and then that nothing happened. */
static void test_rest_is_not_written(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    enum { COUNT = 1000 };
    static void *processes[COUNT];
    uint64_t value = 5;
    simulation_open(&simulation, world);
    for (unsigned i = 0; i < COUNT; i++) {
        processes[i] = simulation_attach(&simulation, i + 1);
        simulation_tell(&simulation, processes[i], 1, 1, &value, &value);
    }
    for (int i = 0; i < 70; i++)
        simulation_tick(&simulation);
    assert_true(history_flush(simulation.history, PATIENCE_NS));
    struct history_status before, after;
    history_status_get(simulation.history, &before);
    assert_true(before.rows_written >= 3 * 2 * COUNT); /* of sums and a type, at each level */
    for (int i = 0; i < 600; i++)
        simulation_tick(&simulation);
    assert_true(history_flush(simulation.history, PATIENCE_NS));
    history_status_get(simulation.history, &after);
    assert_in_range(after.rows_written - before.rows_written, 1, 2 * COUNT * 10 / KEYFRAME_MINUTES + 2 * COUNT / 100 + 40);
    assert_int_equal(simulation_last(&simulation, ID, 0, "live_objects"), 5);
    simulation_close(&simulation, false);
    simulation_free(&simulation, processes, COUNT);
}

static void hear_collection(void *arg, uint64_t number, const struct stats_collection_view *collection, uint64_t missed)
{
    uint64_t *sums = arg;
    (void)number;
    sums[0]++;
    sums[1] += collection->sequence;
    sums[2] += missed;
}

static void tell_collections(struct simulation *simulation, void *process, uint64_t from, uint64_t to)
{
    struct intake_record records[400];
    struct intake_row row = {.allocated = 1};
    struct intake_type type = {.name = "other"};
    size_t count = 0;
    for (uint64_t sequence = from; sequence <= to; sequence++)
        records[count++] = (struct intake_record){.sequence = sequence, .start_ns = clock_mono_ns(), .reason = 1};
    struct intake_sample sample = {.heap_number = 1, .mono_ns = simulation->mono_s * SECOND_NS, .type_count = 1, .rows = &row,
                                   .types = &type, .record_count = count, .records = records};
    simulation->sink.sample(simulation->stats, process, &sample);
    simulation_tick(simulation);
}

/* Once each, over a restart too, and what came faster than anybody looked is counted. */
static void test_collections_are_kept_once_and_missed_ones_counted(void **state)
{
    struct world *world = *state;
    struct simulation simulation = {.mono_s = 0};
    const struct history_range range = {.limit = 1000};
    uint64_t sums[3] = {0};
    simulation_open(&simulation, world);
    void *process = simulation_attach(&simulation, 1);
    tell_collections(&simulation, process, 1, 10);
    tell_collections(&simulation, process, 11, 20);
    tell_collections(&simulation, process, 21, 21 + 299); /* a view holds 256 of these */
    assert_int_equal(history_collection_list(simulation.history, ID, 0, &range, hear_collection, sums), 0);
    assert_int_equal(sums[0], 20 + 256);
    assert_int_equal(sums[2], 300 - 256);
    simulation_close(&simulation, true);
    simulation_open(&simulation, world); /* the view still has the last 256 */
    simulation_tick(&simulation);
    tell_collections(&simulation, process, 321, 322);
    memset(sums, 0, sizeof sums);
    assert_int_equal(history_collection_list(simulation.history, ID, 0, &range, hear_collection, sums), 0);
    assert_int_equal(sums[0], 20 + 256 + 2);
    assert_int_equal(history_collection_list(simulation.history, ID, 2, &range, hear_collection, sums), 0);
    assert_int_equal(sums[0], 20 + 256 + 2); /* another heap had none */
    simulation_close(&simulation, false);
    simulation_free(&simulation, &process, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_types_and_the_rest_are_the_whole),
        WORLD_TEST(test_types_of_one_size_do_not_take_turns),
        WORLD_TEST(test_a_row_says_what_was_at_its_second),
        WORLD_TEST(test_a_row_says_what_was_at_its_second_whenever_we_began),
        WORLD_TEST(test_a_row_says_what_was_at_its_second_early_in_one),
        WORLD_TEST(test_labels_follow_a_clock_that_is_set),
        WORLD_TEST(test_heaps_have_their_own_from_the_second_on),
        WORLD_TEST(test_ends_are_kept_with_the_last_figures),
        WORLD_TEST(test_rest_is_not_written),
        WORLD_TEST(test_collections_are_kept_once_and_missed_ones_counted),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
