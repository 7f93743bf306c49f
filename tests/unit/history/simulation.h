/* Programs by a clock of our own: stats fed by hand, the real sampler, the real writer. */
#ifndef TESTS_UNIT_HISTORY_SIMULATION_H
#define TESTS_UNIT_HISTORY_SIMULATION_H

#include "history/sampler.h"
#include "intake/intake.h"
#include "world.h"

#define WALL_S 1800000000

struct simulation {
    struct world *world;
    struct history *history;
    struct sampler *sampler;
    struct base base;
    struct stats *stats;
    struct intake_sink sink;
    uint64_t mono_s;  /* the clocks */
    int64_t wall_s;
    uint64_t retry_ns; /* of the writer, as in its options */
};

static inline void simulation_open_sized(struct simulation *simulation, struct world *world, uint64_t size_bytes)
{
    simulation->world = world;
    assert_int_equal(history_start(&(struct history_options){.folder = world->folder, .size_bytes = size_bytes,
                                                              .retry_ns = simulation->retry_ns}, &world->history), 0);
    simulation->history = world->history;
    if (!simulation->stats) {
        simulation->stats = stats_new();
        stats_sink_init(simulation->stats, &simulation->sink);
        simulation->mono_s = 1000;
        simulation->wall_s = WALL_S;
    }
    assert_true(history_flush(simulation->history, PATIENCE_NS));
    simulation->base = simulation->history->base;
    simulation->sampler = calloc(1, sizeof *simulation->sampler);
    simulation->sampler->queue = &simulation->history->queue;
}

static inline void simulation_open(struct simulation *simulation, struct world *world)
{
    simulation_open_sized(simulation, world, 0);
}

/* As a daemon ends, or as one that is killed. */
static inline void simulation_close(struct simulation *simulation, bool killed)
{
    if (!killed)
        sampler_end(simulation->sampler);
    sampler_free(simulation->sampler);
    world_close(simulation->world);
}

/* The sampler is shown what is now, so much after the clocks' seconds. */
static inline void simulation_look(struct simulation *simulation, uint64_t mono_ns, uint64_t wall_ns)
{
    simulation->sink.swept(simulation->stats, true);
    const struct stats_view *view = stats_view_get_new(simulation->stats);
    sampler_tick(simulation->sampler, &simulation->base, view, simulation->mono_s * SECOND_NS + mono_ns,
                 (uint64_t)simulation->wall_s * SECOND_NS + wall_ns);
    stats_view_unref(view);
    pthread_mutex_lock(&simulation->history->lock);
    simulation->history->now = simulation->sampler->at;
    pthread_mutex_unlock(&simulation->history->lock);
    if (!queue_has_room(&simulation->history->queue, HISTORY_QUEUE_ROWS / 2))
        assert_true(history_flush(simulation->history, PATIENCE_NS));
}

/* A second passes. */
static inline void simulation_tick(struct simulation *simulation)
{
    simulation->mono_s++;
    simulation->wall_s++;
    simulation_look(simulation, 0, 0);
}

static inline void *simulation_attach(struct simulation *simulation, unsigned number)
{
    static struct wire_hello_view hello = {.name = "program", .library = "0.1.0"};
    struct intake_process process = {.pid = (pid_t)(1000 + number), .uid = 1000, .hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", number);
    return simulation->sink.attached(simulation->stats, &process);
}

/* A heap with `count` types type0.. of 16 bytes, of which `live[i]` live and `born[i]` were allocated. */
static inline void simulation_tell(struct simulation *simulation, void *process, uint32_t heap, unsigned count,
                                   const uint64_t *born, const uint64_t *live)
{
    struct intake_row *rows = calloc(count + 1, sizeof *rows);
    struct intake_type *types = calloc(count + 1, sizeof *types);
    static char names[100][16];
    types[0].name = names[99];
    snprintf(names[99], sizeof names[99], "other");
    for (unsigned i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "type%u", i);
        types[i + 1] = (struct intake_type){.name = names[i], .size_bytes = 16};
        rows[i + 1] = (struct intake_row){.allocated = born[i], .freed_refcount = born[i] - live[i]};
    }
    struct intake_sample sample = {.heap_number = heap, .mono_ns = simulation->mono_s * SECOND_NS, .type_count = count + 1,
                                   .rows = rows, .types = types, .mapped_bytes = 65536};
    simulation->sink.sample(simulation->stats, process, &sample);
    free(rows);
    free(types);
}

static inline struct history_answer *simulation_ask(struct simulation *simulation, const char *id, uint32_t heap,
                                                    const char *column, int64_t from_s, int64_t to_s, uint32_t step_s)
{
    struct history_query query = {.process = id, .heap = heap, .columns = {column}, .column_count = 1, .from_s = from_s,
                                  .to_s = to_s, .step_s = step_s, .points_max = 50000};
    struct history_answer *answer = NULL;
    assert_int_equal(history_query(simulation->history, &query, &answer), 0);
    return answer;
}

/* The newest value that is known, -1: none. */
static inline int64_t simulation_last(struct simulation *simulation, const char *id, uint32_t heap, const char *column)
{
    struct history_answer *answer = simulation_ask(simulation, id, heap, column, simulation->wall_s - 600, simulation->wall_s, 1);
    int64_t last = -1;
    for (size_t i = 0; i < answer->point_count; i++)
        if (answer->columns[0].points[i].known)
            last = (int64_t)answer->columns[0].points[i].last;
    history_answer_free(answer);
    return last;
}

static inline void simulation_free(struct simulation *simulation, void **processes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        simulation->sink.released(simulation->stats, processes[i]);
    stats_free(simulation->stats);
}

#endif
