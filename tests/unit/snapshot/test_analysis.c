/* The analysis, against one that takes an object away and looks what cannot be reached any more. */
#include "world.h"

#include <errno.h>

#include "snapshot/index.h"

#define MOST 40u
#define EDGES_MOST 400u

struct graph { /* objects 0 .. count - 1 */
    unsigned count, edge_count;
    uint64_t number[MOST];
    unsigned row[MOST], references[MOST], declared[MOST];
    bool immortal[MOST];
    unsigned from[EDGES_MOST], to[EDGES_MOST]; /* to == count: gone */
    bool weak[EDGES_MOST];
    unsigned order[MOST]; /* in the stream */
};

static uint64_t seed;
static unsigned chance(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* ---- the analysis under test, out of a stream */

struct analysed {
    struct index index;
    struct area area, scratch;
};

static uint64_t object_bytes(const struct graph *graph, unsigned i)
{
    return (graph->row[i] == 2 ? 48 : 32) + (i % 5 == 0 ? 100u : 0);
}

static struct text stream_of(const struct graph *graph)
{
    static struct world_writer world;
    world_begin(&world, SNAPSHOT_INSTANT);
    for (unsigned n = 0; n < graph->count; n++) {
        unsigned i = graph->order[n], place = 0;
        snapshot_write_object(&world.writer, &(struct snapshot_object){.number = graph->number[i], .type_row = graph->row[i],
                                                                       .bytes = graph->row[i] == 2 ? 48 : 32,
                                                                       .native_bytes = i % 5 == 0 ? 100 : 0,
                                                                       .flags = graph->immortal[i] ? SNAPSHOT_IMMORTAL : 0,
                                                                       .references = graph->references[i],
                                                                       .declared = graph->declared[i]});
        for (unsigned e = 0; e < graph->edge_count; e++)
            if (graph->from[e] == i)
                snapshot_write_edge(&world.writer, graph->weak[e] ? SNAPSHOT_EDGE_WEAK : SNAPSHOT_EDGE_TRAILING, place++,
                                    graph->to[e] < graph->count ? graph->number[graph->to[e]] : SNAPSHOT_NUMBER_MAX - 5);
    }
    assert_int_equal(snapshot_write_end(&world.writer, SNAPSHOT_WHOLE, 0), 0);
    return world.text;
}

static int analyse_stream(struct analysed *analysed, const struct text *stream, uint64_t objects, uint64_t edges, char *problem,
                          struct work *work)
{
    char path[96], scratch[96];
    snprintf(path, sizeof path, "%s/index", world_folder);
    snprintf(scratch, sizeof scratch, "%s/scratch", world_folder);
    assert_int_equal(area_open(&analysed->area, path, index_column_bytes(objects, edges), false), 0);
    assert_int_equal(area_open(&analysed->scratch, scratch, index_scratch_bytes(objects), false), 0);
    index_lay(&analysed->index, analysed->area.memory, objects, edges);
    int error = index_analyse(&analysed->index, stream->data, stream->length, &analysed->scratch, work, problem, 160);
    assert_true(analysed->scratch.used <= analysed->scratch.bytes);
    return error;
}

static void analysed_free(struct analysed *analysed)
{
    index_types_free(&analysed->index);
    area_close(&analysed->area);
    area_close(&analysed->scratch);
}

/* ---- the naive one */

struct naive {
    bool held[MOST], reachable[MOST], dominates[MOST][MOST]; /* [a][b]: a is on all ways to b, itself included */
    unsigned distance[MOST], external[MOST];
    uint64_t retained[MOST];
};

static void flood(const struct graph *graph, const bool *held, unsigned without, bool *seen)
{
    bool again = true;
    for (unsigned i = 0; i < graph->count; i++)
        seen[i] = held[i] && i != without;
    while (again) {
        again = false;
        for (unsigned e = 0; e < graph->edge_count; e++) {
            unsigned to = graph->to[e];
            if (graph->weak[e] || to >= graph->count || to == without || !seen[graph->from[e]] || seen[to])
                continue;
            seen[to] = again = true;
        }
    }
}

static void naive_distances(const struct graph *graph, struct naive *naive)
{
    for (unsigned i = 0; i < graph->count; i++)
        naive->distance[i] = naive->held[i] ? 0 : NONE;
    for (unsigned round = 0; round < graph->count; round++)
        for (unsigned e = 0; e < graph->edge_count; e++) {
            unsigned from = graph->from[e], to = graph->to[e];
            if (!graph->weak[e] && to < graph->count && naive->distance[from] == round && naive->distance[to] == NONE)
                naive->distance[to] = round + 1;
        }
}

static void naive_analyse(const struct graph *graph, struct naive *naive)
{
    memset(naive, 0, sizeof *naive);
    for (unsigned i = 0; i < graph->count; i++) {
        unsigned explained = graph->declared[i];
        for (unsigned e = 0; e < graph->edge_count; e++)
            explained += graph->to[e] == i && !graph->weak[e];
        naive->external[i] = graph->references[i] > explained ? graph->references[i] - explained : 0;
        naive->held[i] = naive->external[i] || graph->declared[i] || graph->immortal[i];
    }
    flood(graph, naive->held, MOST, naive->reachable);
    for (unsigned a = 0; a < graph->count; a++) {
        bool without[MOST];
        flood(graph, naive->held, a, without);
        for (unsigned b = 0; b < graph->count; b++) {
            naive->dominates[a][b] = naive->reachable[b] && !without[b];
            naive->retained[a] += naive->dominates[a][b] ? object_bytes(graph, b) : 0;
        }
        if (!naive->reachable[a])
            naive->retained[a] = object_bytes(graph, a);
    }
    naive_distances(graph, naive);
}

/* The one that all others of its dominators dominate; count: the root. */
static unsigned naive_dominator(const struct graph *graph, const struct naive *naive, unsigned i)
{
    for (unsigned a = 0; a < graph->count; a++) {
        bool nearest = a != i && naive->dominates[a][i];
        for (unsigned b = 0; b < graph->count && nearest; b++)
            nearest = b == i || !naive->dominates[b][i] || naive->dominates[b][a];
        if (nearest)
            return a;
    }
    return graph->count;
}

/* ---- random graphs */

/* Some long and thin, some dense, some with a hub; numbers with gaps, in the stream in order or not. */
static void graph_make(struct graph *graph)
{
    memset(graph, 0, sizeof *graph);
    graph->count = 1 + chance(MOST);
    unsigned shape = chance(4), most = shape == 0 ? graph->count : shape == 1 ? 3 * graph->count : 2 * graph->count;
    for (unsigned i = 0; i < graph->count; i++) {
        graph->number[i] = 1000 + (chance(2) ? 7u : 1u) + (i ? graph->number[i - 1] - 1000 : 0) + (chance(20) ? 0u : (uint64_t)chance(1000000) << 20);
        graph->row[i] = 1 + (chance(4) != 0);
        graph->order[i] = i;
    }
    for (unsigned e = 0; e < most && e < EDGES_MOST; e++) {
        graph->from[e] = shape == 3 && !chance(2) ? 0 : chance(graph->count);
        graph->to[e] = shape == 0 ? (graph->from[e] + 1) % graph->count : chance(20) ? chance(graph->count) : graph->count;
        graph->weak[e] = !chance(15);
        graph->edge_count++;
    }
    for (unsigned i = 0; i < graph->count; i++) {
        unsigned in = 0;
        for (unsigned e = 0; e < graph->edge_count; e++)
            in += graph->to[e] == i && !graph->weak[e];
        graph->declared[i] = !chance(12);
        graph->references[i] = in + graph->declared[i] + (!chance(10) ? 1 + chance(3) : 0);
        graph->references[i] -= graph->references[i] && !chance(40);
        graph->immortal[i] = !chance(40);
    }
    for (unsigned i = graph->count; chance(2) && i-- > 1;) {
        unsigned j = chance(i + 1), swap = graph->order[i];
        graph->order[i] = graph->order[j];
        graph->order[j] = swap;
    }
}

static void compare(const struct graph *graph, const struct naive *naive, const struct index *index)
{
    uint64_t garbage = 0, retained_by_row[4] = {0};
    for (unsigned i = 0; i < graph->count; i++) {
        assert_int_equal(index->number[i], graph->number[i]);
        assert_int_equal(index->external[i], naive->external[i]);
        assert_int_equal(index_held(index, i), naive->held[i]);
        assert_int_equal(index->distance[i], naive->distance[i]);
        assert_int_equal(index->retained[i], naive->retained[i]);
        assert_int_equal(index->dominator[i], naive->reachable[i] ? naive_dominator(graph, naive, i) : NONE);
        garbage += !naive->reachable[i];
        if (naive->distance[i] != NONE && naive->distance[i])
            assert_int_equal(naive->distance[index->toward[i]] + 1, naive->distance[i]);
        bool first = naive->reachable[i];
        for (unsigned a = 0; a < graph->count; a++)
            first = first && (a == i || !naive->dominates[a][i] || graph->row[a] != graph->row[i]);
        retained_by_row[graph->row[i]] += first ? naive->retained[i] : 0;
    }
    assert_int_equal(index->totals.garbage_objects, garbage);
    for (uint64_t t = 0; t < index->type_count; t++)
        assert_int_equal(index->types[t].retained, retained_by_row[index->types[t].row]);
}

/* Each counted edge is there in both directions, and the dominator's kids are those whose dominator it is. */
static void compare_edges(const struct graph *graph, const struct index *index)
{
    unsigned strong = 0, gone = 0, kids = 0;
    for (unsigned e = 0; e < graph->edge_count; e++) {
        strong += !graph->weak[e];
        gone += !graph->weak[e] && graph->to[e] == graph->count;
    }
    assert_int_equal(index->out_start[graph->count], strong);
    assert_int_equal(index->in_start[graph->count], strong - gone);
    assert_int_equal(index->totals.gone, gone);
    for (unsigned i = 0; i < graph->count; i++) {
        for (uint32_t e = index->in_start[i], e_end = index->in_start[i + 1]; e < e_end; e++) {
            bool found = false;
            for (uint32_t o = index->out_start[index->in[e]]; o < index->out_start[index->in[e] + 1]; o++)
                found |= index->out[o] == i;
            assert_true(found);
        }
    }
    for (unsigned i = 0; i <= graph->count; i++)
        for (uint32_t k = index->kid_start[i]; k < index->kid_start[i + 1]; k++, kids++)
            assert_int_equal(index->dominator[index->kid[k]], i);
    assert_int_equal(kids, graph->count - index->totals.garbage_objects);
}

static void test_random_graphs_are_as_the_naive_one_says(void **state)
{
    (void)state;
    seed = 20240607;
    for (unsigned round = 0; round < 3000; round++) {
        static struct graph graph;
        static struct naive naive;
        struct analysed analysed;
        char problem[160];
        struct work work = {.total = 1};
        graph_make(&graph);
        naive_analyse(&graph, &naive);
        struct text stream = stream_of(&graph);
        assert_int_equal(analyse_stream(&analysed, &stream, graph.count, graph.edge_count, problem, &work), 0);
        compare(&graph, &naive, &analysed.index);
        compare_edges(&graph, &analysed.index);
        analysed_free(&analysed);
        text_free(&stream);
    }
}

/* A chain as long as this would end a stack that recursed. */
static void test_a_long_chain_is_no_deep_one(void **state)
{
    (void)state;
    const uint64_t count = 300000;
    struct text stream = world_chain(count, SNAPSHOT_WHOLE);
    struct analysed analysed;
    char problem[160];
    struct work work = {.total = 1};
    assert_int_equal(analyse_stream(&analysed, &stream, count, count - 1, problem, &work), 0);
    assert_int_equal(analysed.index.retained[0], 32 * count);
    assert_int_equal(analysed.index.distance[count - 1], count - 1);
    assert_int_equal(analysed.index.totals.roots, 1);
    assert_int_equal(analysed.index.totals.declared, 1);
    analysed_free(&analysed);
    text_free(&stream);
}

static void test_an_empty_heap_is_one(void **state)
{
    (void)state;
    struct text stream = world_chain(0, SNAPSHOT_WHOLE);
    struct analysed analysed;
    char problem[160];
    struct work work = {.total = 1};
    assert_int_equal(analyse_stream(&analysed, &stream, 0, 0, problem, &work), 0);
    assert_int_equal(analysed.index.totals.roots, 0);
    assert_int_equal(analysed.index.type_count, 3);
    analysed_free(&analysed);
    text_free(&stream);
}

static void test_a_stream_that_is_not_as_it_was_is_told(void **state)
{
    (void)state;
    struct text stream = world_chain(10, SNAPSHOT_WHOLE);
    static const struct {
        uint64_t objects, edges;
        const char *problem;
    } cases[] = {{9, 9, "it has more objects than when it was received"}, {11, 9, "it has fewer objects than when it was received"},
                 {10, 8, "it has more edges than when it was received"}};
    for (unsigned i = 0; i < 3; i++) {
        struct analysed analysed;
        char problem[160];
        struct work work = {.total = 1};
        assert_int_equal(analyse_stream(&analysed, &stream, cases[i].objects, cases[i].edges, problem, &work), -EINVAL);
        assert_string_equal(problem, cases[i].problem);
        analysed_free(&analysed);
    }
    text_free(&stream);
}

static void test_a_number_that_stands_twice_is_told(void **state)
{
    (void)state;
    static struct world_writer world;
    struct analysed analysed;
    char problem[160];
    struct work work = {.total = 1};
    world_begin(&world, SNAPSHOT_INSTANT);
    world_object(&world, 8, 1, 1, 1, "");
    world_object(&world, 16, 1, 1, 1, "");
    world_object(&world, 8, 1, 1, 1, "");
    snapshot_write_end(&world.writer, SNAPSHOT_WHOLE, 0);
    assert_int_equal(analyse_stream(&analysed, &world.text, 3, 0, problem, &work), -EINVAL);
    assert_string_equal(problem, "object 8 stands twice in it");
    analysed_free(&analysed);
    text_free(&world.text);
}

static void progress_hear(void *arg, double part)
{
    *(double *)arg = part;
}

/* Every point at which it may be given up is one. */
static void test_it_ends_when_it_is_given_up(void **state)
{
    (void)state;
    const uint64_t count = 150000;
    struct text stream = world_chain(count, SNAPSHOT_WHOLE);
    struct analysed analysed;
    char problem[160];
    double part = 0;
    atomic_bool ending = true;
    struct work work = {.total = index_work_ns(stream.length, count, count), .ending = &ending, .tell = progress_hear, .arg = &part};
    assert_int_equal(analyse_stream(&analysed, &stream, count, count, problem, &work), -ECANCELED);
    assert_true(part < 0.2);
    analysed_free(&analysed);
    ending = false;
    work.done = 0;
    assert_int_equal(analyse_stream(&analysed, &stream, count, count, problem, &work), 0);
    assert_true(part > 0.5 && part <= 1);
    analysed_free(&analysed);
    text_free(&stream);
}

struct looks { /* how often it was asked, and at which time it is given up */
    unsigned count, last;
    atomic_bool ending;
};

static void look_hear(void *arg, double part)
{
    struct looks *looks = arg;
    (void)part;
    looks->ending = ++looks->count == looks->last;
}

/* Two objects, of which the one refers to the other so often. */
static struct text fan(uint64_t edges)
{
    static struct world_writer world;
    world_begin(&world, SNAPSHOT_INSTANT);
    world_object(&world, 8, 2, 1, 1, "");
    for (uint64_t i = 0; i < edges; i++)
        snapshot_write_edge(&world.writer, SNAPSHOT_EDGE_TRAILING, i, 16);
    world_object(&world, 16, 1, edges, 0, "");
    assert_int_equal(snapshot_write_end(&world.writer, SNAPSHOT_WHOLE, 1000), 0);
    return world.text;
}

/* The time between two looks depends on what was done, not on how many objects that was done for. */
static void test_few_objects_of_many_edges_do_not_keep_it(void **state)
{
    (void)state;
    const uint64_t edges = 60000;
    struct text stream = fan(edges);
    struct looks looks = {.last = 0};
    char problem[160];
    struct analysed analysed;
    struct work work = {.total = 1, .ending = &looks.ending, .tell = look_hear, .arg = &looks};
    assert_int_equal(analyse_stream(&analysed, &stream, 2, edges, problem, &work), 0);
    index_types_free(&analysed.index);
    unsigned all = looks.count;
    assert_true(all >= (unsigned)(index_work_ns(stream.length, 2, edges) / WORK_LOOK_NS) - 2);
    for (unsigned last = 1; last <= all; last++) {
        looks.count = 0;
        looks.last = last;
        looks.ending = false;
        work.since_ns = analysed.scratch.used = 0;
        memset(analysed.area.memory, 0, analysed.area.bytes);
        index_lay(&analysed.index, analysed.area.memory, 2, edges);
        int error = index_analyse(&analysed.index, stream.data, stream.length, &analysed.scratch, &work, problem, sizeof problem);
        assert_int_equal(error, -ECANCELED);
        assert_int_equal(looks.count, last);
        index_types_free(&analysed.index);
    }
    analysed_free(&analysed);
    text_free(&stream);
}

struct cut { /* a file, at the time of that look */
    const struct area *area;
    unsigned count, last;
};

static void cut_hear(void *arg, double part)
{
    struct cut *cut = arg;
    (void)part;
    if (++cut->count == cut->last)
        assert_int_equal(ftruncate(cut->area->fd, 0), 0);
}

/* A file that is cut short while its pages are written and read. */
static void test_a_file_that_breaks_off_ends_it(void **state)
{
    (void)state;
    const uint64_t count = 200000;
    struct text stream = world_chain(count, SNAPSHOT_WHOLE);
    char problem[160];
    mapped_start();
    for (unsigned which = 0; which < 2; which++) {
        struct analysed analysed;
        struct cut cut = {.last = 4};
        struct work work = {.total = 1, .tell = cut_hear, .arg = &cut};
        cut.area = which ? &analysed.area : &analysed.scratch;
        assert_int_equal(analyse_stream(&analysed, &stream, count, count, problem, &work), -EIO);
        assert_true(mapped_broken(&cut.area->mapped));
        analysed_free(&analysed);
    }
    text_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        TEST(test_random_graphs_are_as_the_naive_one_says), TEST(test_a_long_chain_is_no_deep_one),
        TEST(test_an_empty_heap_is_one),                    TEST(test_a_stream_that_is_not_as_it_was_is_told),
        TEST(test_a_number_that_stands_twice_is_told),      TEST(test_it_ends_when_it_is_given_up),
        TEST(test_few_objects_of_many_edges_do_not_keep_it), TEST(test_a_file_that_breaks_off_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
