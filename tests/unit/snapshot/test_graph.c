/* What a ready artifact answers: rows, pages in an order, edges, referrers, ways; and what becomes of it when files are lost, wrong
 * or deleted under its readers. */
#include "world.h"

#include <errno.h>
#include <signal.h>

#define MIB ((uint64_t)1 << 20)

/* Waits until it is analysed. */
static struct snapshot_artifact settle(struct snapshots *snapshots, const char *id)
{
    struct snapshot_artifact artifact;
    for (unsigned i = 0; i < 5000; i++) {
        assert_true(snapshots_find(snapshots, id, &artifact));
        if (artifact.state == SNAPSHOT_READY || artifact.state == SNAPSHOT_FAILED)
            return artifact;
        usleep(2000);
    }
    fail_msg("it is not ready after 10 s");
    return artifact;
}

static struct snapshot_graph *graph_of(struct snapshots *snapshots, const char *id)
{
    struct snapshot_graph *graph = NULL;
    assert_int_equal(settle(snapshots, id).state, SNAPSHOT_READY);
    assert_int_equal(snapshot_graph_open(snapshots, id, &graph), 0);
    return graph;
}

/*  8 list "all" (declared) -> 16, 24, 24        16 node "a" -> left 32      24 node "b" -> left 32, right 40
 * 32 node -> left 40                            40 node (one reference that nothing explains)
 * 48 node <-> 56 node: garbage                  64 weakref -> weakly 40, holds 72, declared          72 list -> 999: gone */
static struct text example(void)
{
    static struct world_writer world;
    world_begin(&world, SNAPSHOT_INSTANT);
    struct snapshot_writer *writer = &world.writer;
    world_object(&world, 8, 2, 1, 1, "all");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_TRAILING, 0, 16);
    snapshot_write_edge(writer, SNAPSHOT_EDGE_TRAILING, 1, 24);
    snapshot_write_edge(writer, SNAPSHOT_EDGE_TRAILING, 7, 24);
    world_object(&world, 16, 1, 1, 0, "a");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_FIELD, 0, 32);
    world_object(&world, 24, 1, 2, 0, "b");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_FIELD, 0, 32);
    snapshot_write_edge(writer, SNAPSHOT_EDGE_FIELD, 1, 40);
    world_object(&world, 32, 1, 2, 0, "");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_FIELD, 0, 40);
    world_object(&world, 40, 1, 3, 0, "");
    world_object(&world, 48, 1, 1, 0, "");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_FIELD, 1, 56);
    world_object(&world, 56, 1, 1, 0, "");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_FIELD, 1, 48);
    world_object(&world, 64, 3, 1, 1, "");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_WEAK, 0, 40);
    snapshot_write_edge(writer, SNAPSHOT_EDGE_HOLD, 0, 72);
    world_object(&world, 72, 2, 1, 0, "");
    snapshot_write_edge(writer, SNAPSHOT_EDGE_TRAILING, 0, 999);
    assert_int_equal(snapshot_write_end(writer, SNAPSHOT_WHOLE, 0), 0);
    return world.text;
}

static bool is_text(struct snapshot_text text, const char *expected)
{
    return text.bytes == strlen(expected) && !memcmp(text.at, expected, text.bytes);
}

static void check_totals(struct snapshot_graph *graph)
{
    const struct snapshot_totals *totals = snapshot_graph_totals(graph);
    assert_int_equal(totals->objects, 9);
    assert_int_equal(totals->edges, 11);
    assert_int_equal(totals->weak_edges, 1);
    assert_int_equal(totals->roots, 3);
    assert_int_equal(totals->declared, 2);
    assert_int_equal(totals->external, 1);
    assert_int_equal(totals->external_references, 1);
    assert_int_equal(totals->gone, 1);
    assert_int_equal(totals->garbage_objects, 2);
    assert_int_equal(totals->garbage_bytes, 64);
    assert_int_equal(totals->types, 3);
    struct snapshot_type_row node = snapshot_graph_type(graph, 0);
    assert_true(is_text(node.name, "node"));
    assert_int_equal(node.objects, 7 - 1);
    assert_int_equal(node.roots, 1);
    assert_int_equal(node.external, 1);
    assert_int_equal(node.retained, 4 * 32);
    assert_int_equal(node.garbage_objects, 2);
}

static void check_rows(struct snapshot_graph *graph)
{
    struct snapshot_row row;
    assert_int_equal(snapshot_graph_find(graph, 7), SNAPSHOT_NO_OBJECT);
    assert_int_equal(snapshot_graph_find(graph, 80), SNAPSHOT_NO_OBJECT);
    assert_true(snapshot_graph_row(graph, snapshot_graph_find(graph, 8), &row));
    assert_true(is_text(row.type_name, "list"));
    assert_string_equal(row.label, "all");
    assert_int_equal(row.retained, 48 + 3 * 32); /* 40 is held from elsewhere, too */
    assert_int_equal(row.declared, 1);
    assert_int_equal(row.dominator, 9);
    assert_int_equal(row.dominated, 3);
    assert_int_equal(row.edges, 3);
    assert_true(snapshot_graph_row(graph, snapshot_graph_find(graph, 32), &row));
    assert_int_equal(row.distance, 2);
    assert_int_equal(row.dominator, 0);
    assert_int_equal(row.referrers, 2);
    assert_true(snapshot_graph_row(graph, snapshot_graph_find(graph, 40), &row));
    assert_int_equal(row.external, 1);
    assert_int_equal(row.distance, 0);
    assert_true(snapshot_graph_row(graph, snapshot_graph_find(graph, 48), &row));
    assert_int_equal(row.distance, SNAPSHOT_NO_OBJECT);
    assert_int_equal(row.dominator, SNAPSHOT_NO_OBJECT);
    assert_false(snapshot_graph_row(graph, 9, &row));
}

static void check_links(struct snapshot_graph *graph)
{
    struct snapshot_link links[8];
    uint32_t omitted;
    assert_int_equal(snapshot_graph_edges(graph, 7, 0, links, 8), 2);
    assert_int_equal(links[0].kind, SNAPSHOT_EDGE_WEAK);
    assert_int_equal(links[0].number, 40);
    assert_int_equal(links[1].kind, SNAPSHOT_EDGE_HOLD);
    assert_int_equal(snapshot_graph_edges(graph, 0, 1, links, 1), 1);
    assert_int_equal(links[0].object, 2);
    assert_true(is_text(links[0].field, "item"));
    assert_int_equal(snapshot_graph_edges(graph, 8, 0, links, 8), 1);
    assert_int_equal(links[0].object, SNAPSHOT_NO_OBJECT);
    assert_int_equal(links[0].number, 999);
    assert_int_equal(snapshot_graph_referrers(graph, 2, SNAPSHOT_NO_OBJECT, links, 8), 1);
    assert_int_equal(links[0].times, 2);
    assert_int_equal(links[0].place, 1);
    assert_int_equal(snapshot_graph_referrers(graph, 4, SNAPSHOT_NO_OBJECT, links, 1), 1);
    assert_int_equal(links[0].object, 2);
    assert_true(is_text(links[0].field, "right"));
    assert_int_equal(snapshot_graph_referrers(graph, 4, 2, links, 8), 1);
    assert_int_equal(links[0].object, 3);
    assert_int_equal(snapshot_graph_path(graph, 3, links, 8, &omitted), 3);
    assert_int_equal(links[0].number, 8);
    assert_int_equal(links[0].kind, SNAPSHOT_EDGE_KINDS);
    assert_true(is_text(links[1].field, "item"));
    assert_true(is_text(links[2].field, "left"));
    assert_int_equal(links[2].number, 32);
    assert_int_equal(omitted, 0);
    assert_int_equal(snapshot_graph_path(graph, 3, links, 2, &omitted), 2);
    assert_int_equal(omitted, 1);
    assert_int_equal(links[0].number, 8);
    assert_int_equal(links[1].number, 32);
    assert_true(is_text(links[1].field, "left"));
    assert_int_equal(snapshot_graph_path(graph, 5, links, 8, &omitted), 0);
}

static void test_an_example_is_answered(void **state)
{
    (void)state;
    struct text stream = example();
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    struct snapshot_graph *graph = graph_of(snapshots, artifact.id);
    check_totals(graph);
    check_rows(graph);
    check_links(graph);
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    text_free(&stream);
}

/* ---- pages: put together they are the whole order */

static int64_t value_of(const struct snapshot_row *row, enum snapshot_sort sort)
{
    return (int64_t)(sort == SNAPSHOT_BY_RETAINED     ? row->retained
                     : sort == SNAPSHOT_BY_BYTES      ? row->bytes + row->native_bytes
                     : sort == SNAPSHOT_BY_REFERENCES ? row->references
                                                      : row->external);
}

static size_t pages_check(struct snapshot_graph *graph, struct snapshot_query query, size_t page)
{
    uint32_t found[64], last = SNAPSHOT_NO_OBJECT;
    int64_t last_value = INT64_MAX;
    size_t count, all = 0;
    query.after = SNAPSHOT_NO_OBJECT;
    while ((count = snapshot_graph_select(graph, &query, found, page))) {
        for (size_t i = 0; i < count; i++, all++) {
            struct snapshot_row row;
            assert_true(snapshot_graph_row(graph, found[i], &row));
            int64_t value = value_of(&row, query.sort);
            assert_true(value < last_value || (value == last_value && found[i] > last));
            assert_true(query.type == SNAPSHOT_NO_OBJECT || row.type == query.type);
            assert_true(query.dominator == SNAPSHOT_NO_OBJECT || row.dominator == query.dominator);
            last_value = value;
            last = found[i];
        }
        query.after = last;
    }
    return all;
}

static struct text many(unsigned count)
{
    static struct world_writer world;
    uint64_t seed = 7;
    world_begin(&world, SNAPSHOT_INSTANT);
    for (unsigned i = 1; i <= count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        snapshot_write_object(&world.writer, &(struct snapshot_object){.number = i, .type_row = 1 + i % 3, .bytes = seed >> 60,
                                                                       .native_bytes = (seed >> 50 & 3) == 3 ? 5 : 0,
                                                                       .references = seed >> 40 & 7, .declared = seed >> 45 & 1});
        if (i > 1 && i % 3 == 0)
            snapshot_write_edge(&world.writer, SNAPSHOT_EDGE_VISITED, 0, 1 + (seed >> 20) % i);
    }
    assert_int_equal(snapshot_write_end(&world.writer, SNAPSHOT_WHOLE, 0), 0);
    return world.text;
}

static void test_pages_are_the_whole_order(void **state)
{
    (void)state;
    struct text stream = many(500);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    struct snapshot_graph *graph = graph_of(snapshots, artifact.id);
    for (unsigned sort = 0; sort < 4; sort++)
        for (size_t page = 1; page <= 64; page = 3 * page + 1) {
            struct snapshot_query query = {.sort = (enum snapshot_sort)sort, .type = SNAPSHOT_NO_OBJECT, .dominator = SNAPSHOT_NO_OBJECT};
            assert_int_equal(pages_check(graph, query, page), 500);
            query.type = 1;
            assert_int_equal(pages_check(graph, query, page), snapshot_graph_type(graph, 1).objects);
            query.held = true;
            assert_int_equal(pages_check(graph, query, page), snapshot_graph_type(graph, 1).roots);
        }
    size_t dominated = 0;
    struct snapshot_query query = {.type = SNAPSHOT_NO_OBJECT};
    for (query.dominator = 0; query.dominator <= 500; query.dominator++)
        dominated += pages_check(graph, query, 10);
    assert_int_equal(dominated, 500 - snapshot_graph_totals(graph)->garbage_objects);
    query.dominator = 501;
    assert_int_equal(pages_check(graph, query, 10), 0);
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    text_free(&stream);
}

/* ---- files that go, or are not what they were */

static void file_spoil(const char *id, const char *ending, long at, size_t count)
{
    char path[256];
    snprintf(path, sizeof path, "%s/artifacts/%.16s%s", world_folder, id, ending);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    while (count--)
        fputc(0xee, file);
    fclose(file);
}

static void test_an_index_that_is_wrong_is_made_again(void **state)
{
    (void)state;
    struct text stream = example();
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    struct snapshot_graph *graph;
    assert_int_equal(settle(snapshots, artifact.id).state, SNAPSHOT_READY);
    file_spoil(artifact.id, ".index", 0, 1); /* while nobody has looked yet */
    assert_int_equal(snapshot_graph_open(snapshots, artifact.id, &graph), -EAGAIN);
    graph = graph_of(snapshots, artifact.id);
    check_totals(graph);
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    snapshots = world_open(64 * MIB); /* ready at once, from the file */
    assert_true(snapshots_find(snapshots, artifact.id, &artifact));
    assert_int_equal(artifact.state, SNAPSHOT_READY);
    snapshots_close(snapshots);
    char path[256];
    snprintf(path, sizeof path, "%s/artifacts/%.16s.index", world_folder, artifact.id);
    assert_int_equal(truncate(path, 5000), 0);
    snapshots = world_open(64 * MIB);
    graph = graph_of(snapshots, artifact.id);
    check_rows(graph);
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    text_free(&stream);
}

/* Whatever a disk makes of the columns, nobody is led out of them. */
static void test_wrong_columns_do_no_harm(void **state)
{
    (void)state;
    struct text stream = many(300);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    settle(snapshots, artifact.id);
    for (long page = 4096; page < 4096 * 18; page += 4096) {
        file_spoil(artifact.id, ".index", page, 1000);
        struct snapshot_graph *graph = graph_of(snapshots, artifact.id);
        struct snapshot_link links[16];
        struct snapshot_row row;
        uint32_t found[16], omitted;
        for (uint32_t object = 0; object < 300; object++) {
            snapshot_graph_row(graph, object, &row);
            snapshot_graph_edges(graph, object, 0, links, 16);
            snapshot_graph_referrers(graph, object, SNAPSHOT_NO_OBJECT, links, 16);
            snapshot_graph_path(graph, object, links, 16, &omitted);
            struct snapshot_query query = {.type = SNAPSHOT_NO_OBJECT, .dominator = object, .after = SNAPSHOT_NO_OBJECT};
            size_t count = snapshot_graph_select(graph, &query, found, 16);
            for (size_t i = 0; i < count; i++)
                assert_true(found[i] < 300);
        }
        snapshot_graph_close(graph);
    }
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_a_stream_that_was_spoiled_fails(void **state)
{
    (void)state;
    struct text stream = example();
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    settle(snapshots, artifact.id);
    snapshots_close(snapshots);
    file_spoil(artifact.id, ".index", 0, 1);
    file_spoil(artifact.id, ".stream", 100, 4);
    snapshots = world_open(64 * MIB);
    artifact = settle(snapshots, artifact.id);
    assert_int_equal(artifact.state, SNAPSHOT_FAILED);
    assert_non_null(strstr(artifact.problem, "the analysis: "));
    struct snapshot_graph *graph;
    assert_int_equal(snapshot_graph_open(snapshots, artifact.id, &graph), -EAGAIN);
    assert_int_equal(snapshot_graph_open(snapshots, "0000000000000000", &graph), -ENOENT);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void file_cut(const char *id, const char *ending)
{
    char path[256];
    snprintf(path, sizeof path, "%s/artifacts/%s%s", world_folder, id, ending);
    assert_int_equal(truncate(path, 4096), 0);
}

static int swallow(void *arg, const void *bytes, size_t count)
{
    (void)arg, (void)bytes, (void)count;
    return 0;
}

struct giving_up { /* at that call, of those that ask whether to go on */
    unsigned asked, at;
};

static int ask(void *arg, const void *bytes, size_t count)
{
    struct giving_up *giving_up = arg;
    (void)bytes;
    return !count && ++giving_up->asked == giving_up->at ? -ECANCELED : 0;
}

/* Two objects with many edges keep nobody waiting who is not wanted any more. */
static void test_an_export_ends_within_an_object(void **state)
{
    (void)state;
    static struct world_writer world;
    const unsigned edges = 50000;
    world_begin(&world, SNAPSHOT_INSTANT);
    world_object(&world, 8, 2, 1, 1, "");
    for (unsigned i = 0; i < edges; i++)
        snapshot_write_edge(&world.writer, SNAPSHOT_EDGE_TRAILING, i, 16);
    world_object(&world, 16, 1, edges, 0, "");
    assert_int_equal(snapshot_write_end(&world.writer, SNAPSHOT_WHOLE, 0), 0);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_graph *graph = graph_of(snapshots, world_receive(snapshots, &world.text).id);
    for (unsigned at = 1; at < edges / 4096; at++) {
        struct giving_up ndjson = {.at = at}, counting = {.at = at};
        assert_int_equal(snapshot_graph_export(graph, SNAPSHOT_NDJSON, ask, &ndjson), -ECANCELED);
        assert_int_equal(snapshot_graph_export(graph, SNAPSHOT_HEAPSNAPSHOT, ask, &counting), -ECANCELED);
        assert_int_equal(ndjson.asked, at);
        assert_int_equal(counting.asked, at);
    }
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    text_free(&world.text);
}

/* Asks for all there is, whatever it gets. */
static void read_all(struct snapshot_graph *graph)
{
    struct snapshot_link links[16];
    struct snapshot_row row;
    uint32_t found[16], omitted;
    for (uint32_t object = 0; object < snapshot_graph_totals(graph)->objects; object += 7) {
        snapshot_graph_row(graph, object, &row);
        snapshot_graph_edges(graph, object, 0, links, 16);
        snapshot_graph_referrers(graph, object, SNAPSHOT_NO_OBJECT, links, 16);
        snapshot_graph_path(graph, object, links, 16, &omitted);
        snapshot_graph_find(graph, 8 * (uint64_t)object);
    }
    const struct snapshot_query query = {.type = SNAPSHOT_NO_OBJECT, .dominator = SNAPSHOT_NO_OBJECT, .after = SNAPSHOT_NO_OBJECT};
    snapshot_graph_select(graph, &query, found, 16);
    for (uint32_t type = 0; type < snapshot_graph_totals(graph)->types; type++)
        snapshot_graph_type(graph, type);
}

/* An index that is cut short under its reader: what he read is not sound, and it is made again. */
static void test_an_index_that_is_cut_short_is_made_again(void **state)
{
    (void)state;
    struct text stream = many(5000);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    for (unsigned format = 0; format <= SNAPSHOT_NDJSON; format++) {
        struct snapshot_graph *graph = graph_of(snapshots, artifact.id), *again;
        assert_true(snapshot_graph_sound(graph));
        file_cut(artifact.id, ".index");
        assert_int_equal(snapshot_graph_export(graph, (enum snapshot_format)format, swallow, NULL), -EIO);
        read_all(graph);
        assert_false(snapshot_graph_sound(graph));
        assert_int_equal(snapshot_graph_open(snapshots, artifact.id, &again), 0);
        snapshot_graph_close(graph);
        snapshot_graph_close(again);
        assert_true(snapshots_find(snapshots, artifact.id, &artifact));
        assert_int_not_equal(artifact.state, SNAPSHOT_FAILED);
    }
    struct snapshot_graph *graph = graph_of(snapshots, artifact.id);
    assert_int_equal(snapshot_graph_export(graph, SNAPSHOT_PPROF, swallow, NULL), 0);
    read_all(graph);
    assert_true(snapshot_graph_sound(graph));
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_a_stream_that_is_cut_short_fails(void **state)
{
    (void)state;
    struct text stream = many(5000);
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    struct snapshot_graph *graph = graph_of(snapshots, artifact.id);
    file_cut(artifact.id, ".stream");
    read_all(graph);
    assert_false(snapshot_graph_sound(graph));
    assert_int_equal(snapshot_graph_export(graph, SNAPSHOT_NDJSON, swallow, NULL), -EIO);
    snapshot_graph_close(graph);
    assert_int_equal(settle(snapshots, artifact.id).state, SNAPSHOT_FAILED);
    snapshots_close(snapshots);
    text_free(&stream);
}

/* More than are kept open at once: who was asked for longest ago is opened again. */
static void test_graphs_that_nobody_asks_for_are_closed(void **state)
{
    (void)state;
    struct text stream = example();
    struct snapshots *snapshots = world_open(64 * MIB);
    char ids[40][SNAPSHOT_ID_CHARS];
    for (size_t i = 0; i < 40; i++)
        memcpy(ids[i], world_receive(snapshots, &stream).id, SNAPSHOT_ID_CHARS);
    for (size_t turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < 40; i++) {
            struct snapshot_graph *graph = graph_of(snapshots, ids[i]);
            check_totals(graph);
            snapshot_graph_close(graph);
        }
    char command[160];
    snprintf(command, sizeof command, "test $(grep -c '%s' /proc/%d/maps) -le %u", world_folder, (int)getpid(), 2 * 16 + 2);
    assert_int_equal(system(command), 0);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_who_reads_goes_on_when_it_is_deleted(void **state)
{
    (void)state;
    struct text stream = example();
    struct snapshots *snapshots = world_open(64 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    struct snapshot_graph *graph = graph_of(snapshots, artifact.id), *again;
    assert_true(snapshots_delete(snapshots, artifact.id));
    check_rows(graph);
    check_links(graph);
    assert_int_equal(snapshot_graph_open(snapshots, artifact.id, &again), -ENOENT);
    snapshot_graph_close(graph);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_what_is_analysed_may_be_deleted_or_stopped(void **state)
{
    (void)state;
    struct text stream = world_chain(600000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(512 * MIB);
    struct snapshot_artifact first = world_receive(snapshots, &stream), found;
    usleep(20000);
    assert_true(snapshots_delete(snapshots, first.id));
    struct snapshot_artifact second = world_receive(snapshots, &stream);
    usleep(20000);
    snapshots_close(snapshots);
    snapshots = world_open(512 * MIB);
    assert_false(snapshots_find(snapshots, first.id, &found));
    struct snapshot_graph *graph = graph_of(snapshots, second.id);
    assert_int_equal(snapshot_graph_totals(graph)->objects, 600000);
    snapshot_graph_close(graph);
    char command[128];
    snprintf(command, sizeof command, "test $(ls '%s/artifacts' | wc -l) = 3", world_folder);
    assert_int_equal(system(command), 0);
    snapshots_close(snapshots);
    text_free(&stream);
}

static void test_an_analysis_without_room_says_so(void **state)
{
    (void)state;
    struct text stream = world_chain(500000, SNAPSHOT_WHOLE);
    struct snapshots *snapshots = world_open(16 * MIB);
    struct snapshot_artifact artifact = world_receive(snapshots, &stream);
    artifact = settle(snapshots, artifact.id);
    assert_int_equal(artifact.state, SNAPSHOT_FAILED);
    assert_non_null(strstr(artifact.problem, "artifact-size does not allow"));
    snapshots_close(snapshots);
    text_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        TEST(test_an_example_is_answered),
        TEST(test_pages_are_the_whole_order),
        TEST(test_an_index_that_is_wrong_is_made_again),
        TEST(test_wrong_columns_do_no_harm),
        TEST(test_a_stream_that_was_spoiled_fails),
        TEST(test_an_export_ends_within_an_object),
        TEST(test_an_index_that_is_cut_short_is_made_again),
        TEST(test_a_stream_that_is_cut_short_fails),
        TEST(test_graphs_that_nobody_asks_for_are_closed),
        TEST(test_who_reads_goes_on_when_it_is_deleted),
        TEST(test_what_is_analysed_may_be_deleted_or_stopped),
        TEST(test_an_analysis_without_room_says_so),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
