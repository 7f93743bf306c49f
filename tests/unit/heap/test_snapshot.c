/* What a snapshot shows: objects with what is told of them, edges by their kinds; the same in one step and in many,
 * whose pipe has little room. */
#include <stdio.h>

#include "heap/internal.h"
#include "support.h"


#define OBJECTS_MAX 4096
#define EDGES_MAX 70000

struct told {
    struct snapshot_reader reader;
    struct snapshot_header header;
    struct snapshot_object objects[OBJECTS_MAX];
    char labels[OBJECTS_MAX][TALLY_LABEL_MAX];
    struct { uint64_t from; struct snapshot_edge edge; } edges[EDGES_MAX];
    size_t object_count, edge_count, type_count;
    char fields[8][32];
    uint32_t field_row;
};
static struct told told;

/* ---- types of all kinds */

struct odd {
    void *one, *slots;
    size_t length;
    void **external;
    size_t external_length;
};

static void odd_traverse(void *object, tally_slot_fn visit, void *arg)
{
    visit(&((struct odd *)object)->slots, arg);
}
static void odd_finalize(struct tally_heap *heap, void *object)
{
    (void)heap, (void)object;
}
static size_t odd_label(const void *object, char *text, size_t room)
{
    (void)object;
    memset(text, 'x', room);
    text[3] = '\n';
    text[room - 1] = (char)0xc3; /* half of a letter */
    return room + 9;
}

static const struct tally_type *odd_type(void)
{
    static const struct tally_type *type;
    const struct tally_type_info info = {
        .name = "odd", .size = sizeof(struct odd), .flags = TALLY_TYPE_LABEL,
        .refs = (struct tally_ref[]){{"one", offsetof(struct odd, one)}}, .ref_count = 1,
        .trailing = TALLY_TRAILING_SLOTS, .trailing_length_offset = offsetof(struct odd, length),
        .has_external = true, .external_pointer_offset = offsetof(struct odd, external),
        .external_length_offset = offsetof(struct odd, external_length),
        .traverse = odd_traverse, .finalize = odd_finalize, .label = odd_label};
    if (!type)
        assert_int_equal(tally_type_register(&info, &type), 0);
    return type;
}

/* ---- reading */

static void header_hear(void *arg, const struct snapshot_header *header)
{
    (void)arg;
    told.header = *header;
}
static void type_hear(void *arg, const struct snapshot_type *type)
{
    (void)arg, (void)type;
    told.type_count++;
}
static void field_hear(void *arg, uint32_t row, uint32_t field, struct snapshot_text name)
{
    (void)arg;
    if (row == told.field_row)
        snprintf(told.fields[field], sizeof *told.fields, "%.*s", (int)name.bytes, name.at);
}
static bool object_hear(void *arg, const struct snapshot_object *object, uint64_t offset)
{
    (void)arg, (void)offset;
    memcpy(told.labels[told.object_count], object->label.at, object->label.bytes);
    told.objects[told.object_count++] = *object;
    return true;
}
static bool edge_hear(void *arg, const struct snapshot_edge *edge)
{
    (void)arg;
    told.edges[told.edge_count].from = told.objects[told.object_count - 1].number;
    told.edges[told.edge_count++].edge = *edge;
    return true;
}
static const struct snapshot_sink sink = {.header = header_hear, .type = type_hear, .field = field_hear,
                                          .object = object_hear, .edge = edge_hear};

/* ---- a pipe with so much room, which is emptied between steps; time for so much in a step */

struct pipe {
    size_t room, most;
    unsigned patience, left;
};

static int pipe_flush(void *arg, const void *bytes, size_t count)
{
    struct pipe *pipe = arg;
    assert_true(count <= pipe->room || !pipe->most);
    pipe->room -= count;
    return snapshot_read(&told.reader, bytes, count);
}
static size_t pipe_room(void *arg)
{
    return ((struct pipe *)arg)->room;
}
static bool pipe_goes_on(void *arg)
{
    struct pipe *pipe = arg;
    return pipe->left-- > 0;
}

static struct tally__snapshot snapshot;
static struct map_entry declared[1024];
static unsigned char buffer[2048];

static void begin(struct tally_heap *heap, struct pipe *pipe)
{
    memset(&told, 0, sizeof told);
    told.field_row = odd_type()->index;
    memset(declared, 0, sizeof declared);
    memset(&snapshot, 0, sizeof snapshot);
    snapshot.heap = heap;
    snapshot.instant = !pipe->most;
    snapshot.room = pipe->most ? pipe_room : NULL;
    snapshot.room_most = pipe->most;
    snapshot.go_on = pipe->patience ? pipe_goes_on : NULL;
    snapshot.arg = pipe;
    map_init_fixed(&snapshot.declared, declared, 1024);
    snapshot_read_begin(&told.reader, &sink);
    tally__snapshot_begin(&snapshot, buffer, sizeof buffer, pipe_flush);
}

static enum tally__snapshot_step step(struct pipe *pipe)
{
    pipe->room = pipe->most;
    pipe->left = pipe->patience;
    return tally__snapshot_step(&snapshot);
}

static void end(struct pipe *pipe)
{
    pipe->room = pipe->most;
    assert_int_equal(snapshot_write_end(&snapshot.writer, SNAPSHOT_WHOLE, 0), 0);
    assert_int_equal(snapshot_read_finish(&told.reader), 0);
}

/* In one step, or in steps; returns how many. */
static unsigned take(struct tally_heap *heap, struct pipe *pipe)
{
    enum tally__snapshot_step state;
    unsigned steps = 0;
    begin(heap, pipe);
    do {
        state = step(pipe);
        assert_true(++steps < 100000);
    } while (state == SNAPSHOT_STEP_MORE);
    assert_int_equal(state, SNAPSHOT_STEP_DONE);
    end(pipe);
    return steps;
}

static struct snapshot_object *object_of(const void *object)
{
    for (size_t i = 0; i < told.object_count; i++)
        if (told.objects[i].number == tally_object_id(object))
            return &told.objects[i];
    return NULL;
}

static unsigned edges_between(const void *from, const void *to, enum snapshot_edge_kind kind, uint64_t place)
{
    unsigned count = 0;
    for (size_t i = 0; i < told.edge_count; i++)
        count += told.edges[i].from == tally_object_id(from) && told.edges[i].edge.target == tally_object_id(to) &&
                 told.edges[i].edge.kind == kind && told.edges[i].edge.place == place;
    return count;
}

/* ---- what is told */

static void test_edges_have_their_kinds_and_places(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *target = pair_make(heap, NULL, NULL);
    struct odd *odd = tally_new_array(heap, odd_type(), 3);
    void *external[2] = {NULL, NULL};
    odd->external = external;
    odd->external_length = 2;
    tally_store(odd, &odd->one, target);
    tally_store(odd, &odd->slots, target);
    tally_store(odd, (void **)(odd + 1) + 2, target);
    tally_store(odd, &external[1], target);
    struct pair *pair = pair_make(heap, NULL, odd);
    struct tally_weak *weak = tally_weak_new(heap, NULL, target, NULL, NULL);
    void *map = tally_weakmap_new(heap);
    assert_int_equal(tally_weakmap_set(map, pair, target), 0);
    take(heap, &(struct pipe){.most = 0});
    assert_int_equal(told.object_count, 5); /* no entry of the map */
    assert_int_equal(edges_between(odd, target, SNAPSHOT_EDGE_FIELD, 0), 1);
    assert_int_equal(edges_between(odd, target, SNAPSHOT_EDGE_TRAILING, 2), 1);
    assert_int_equal(edges_between(odd, target, SNAPSHOT_EDGE_EXTERNAL, 1), 1);
    assert_int_equal(edges_between(odd, target, SNAPSHOT_EDGE_VISITED, 0), 1);
    assert_int_equal(edges_between(pair, odd, SNAPSHOT_EDGE_FIELD, 1), 1);
    assert_int_equal(edges_between(weak, target, SNAPSHOT_EDGE_WEAK, 0), 1);
    assert_int_equal(edges_between(map, target, SNAPSHOT_EDGE_HOLD, 0), 1);
    assert_int_equal(edges_between(map, pair, SNAPSHOT_EDGE_WEAK, 0), 1);
    assert_int_equal(told.edge_count, 8);
    assert_string_equal(told.fields[0], "one");
    struct snapshot_object *seen = object_of(odd);
    assert_int_equal(seen->label.bytes, TALLY_LABEL_MAX - 1);
    assert_memory_equal(told.labels[seen - told.objects], "xxx xxx", 7);
    assert_int_equal(seen->bytes, sizeof *odd + 3 * sizeof(void *));
    assert_int_equal(seen->flags, SNAPSHOT_FINALIZER);
    assert_int_equal(object_of(target)->references, 6);
    assert_int_equal(object_of(target)->flags, SNAPSHOT_REFERENT);
    tally_clear(odd, &external[1]);
    tally_decref(map);
    tally_decref(weak);
    tally_decref(odd);
    tally_decref(pair);
    tally_decref(target);
    tally_heap_free(heap);
}

static void test_what_holds_an_object_is_declared(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *root = pair_make(heap, NULL, NULL), *pinned = pair_make(heap, NULL, NULL);
    void *leaf = tally_new_array(heap, bytes_type(), 5), *variable = root, *other = NULL;
    assert_int_equal(tally_root_add(heap, &variable), 0);
    assert_int_equal(tally_root_add(heap, &other), 0);
    assert_int_equal(tally_pin(pinned) | tally_pin(pinned) | tally_pin(root), 0);
    struct tally_scope scope = tally_scope_open(heap);
    tally_keep(heap, tally_dup(root));
    tally_immortalize(leaf);
    assert_int_equal(tally_extern_bytes(leaf, 4000), 0);
    tally_freeze(heap);
    take(heap, &(struct pipe){.most = 0});
    assert_int_equal(object_of(root)->declared, 3);
    assert_int_equal(object_of(root)->references, 3);
    assert_int_equal(object_of(pinned)->declared, 2);
    assert_int_equal(object_of(pinned)->references, 3);
    assert_int_equal(object_of(root)->flags, SNAPSHOT_FROZEN);
    assert_int_equal(object_of(leaf)->declared, 0);
    assert_int_equal(object_of(leaf)->native_bytes, 4000);
    assert_int_equal(object_of(leaf)->flags & ~(uint32_t)SNAPSHOT_NATIVE, SNAPSHOT_IMMORTAL | SNAPSHOT_UNTRACKED);
    assert_int_equal(told.header.objects, 3);
    assert_int_equal(told.header.flags, SNAPSHOT_INSTANT);
    tally_scope_close(&scope);
    tally_unfreeze(heap);
    tally_root_remove(heap, &variable);
    tally_root_remove(heap, &other);
    tally_unpin(pinned);
    tally_unpin(pinned);
    tally_unpin(root);
    tally_decref(pinned);
    tally_decref(root);
    tally_heap_free(heap);
}

/* However many hold something: a step looks at no more of them than there is time for. */
static void test_a_step_notes_no_more_than_it_may(void **state)
{
    (void)state;
    static void *variables[5000];
    struct tally_heap *heap = heap_make();
    struct pair *root = pair_make(heap, NULL, NULL);
    for (unsigned i = 0; i < 5000; i++) {
        variables[i] = root;
        assert_int_equal(tally_root_add(heap, &variables[i]), 0);
    }
    for (unsigned i = 0; i < 3000; i++)
        assert_int_equal(tally_pin(root), 0);
    unsigned steps = take(heap, &(struct pipe){.most = 8192, .patience = 1});
    assert_int_equal(object_of(root)->declared, 8000);
    assert_true(steps >= 5000 / 128);
    for (unsigned i = 0; i < 5000; i++)
        tally_root_remove(heap, &variables[i]);
    for (unsigned i = 0; i < 3000; i++)
        tally_unpin(root);
    tally_decref(root);
    tally_heap_free(heap);
}

static void test_the_garbage_list_shows(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_store(pair, &pair->first, pair);
    tally_decref(pair);
    assert_int_equal(tally_set_debug(heap, TALLY_DEBUG_SAVEALL), 0);
    assert_int_equal(tally_collect(heap, 2), 1);
    take(heap, &(struct pipe){.most = 0});
    assert_int_equal(object_of(pair)->declared, 1);
    assert_int_equal(object_of(pair)->flags & SNAPSHOT_GARBAGE, SNAPSHOT_GARBAGE);
    tally_set_debug(heap, 0);
    tally_garbage_clear(heap);
    tally_heap_free(heap);
}

/* What is under construction is not shown, and no edge leads to it, in one of an instant. */
static void test_what_is_hidden_stays_so(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *hidden = tally_construct(heap, pair_type(), 0), *pair = pair_make(heap, hidden, NULL);
    take(heap, &(struct pipe){.most = 0});
    assert_int_equal(told.object_count, 1);
    assert_int_equal(told.edge_count, 0);
    take(heap, &(struct pipe){.most = 16384});
    assert_int_equal(told.edge_count, 1);
    tally_decref(pair);
    tally_publish(hidden);
    tally_decref(hidden);
    tally_heap_free(heap);
}

/* ---- steps */

/* One array of many slots, and pairs: whatever the room and the time, the same is told. */
static void test_steps_tell_the_same(void **state)
{
    (void)state;
    static const struct pipe pipes[] = {
        {.most = 0}, {.most = 0, .patience = 1}, {.most = 8192}, {.most = 8192, .patience = 1}, {.most = 1 << 20, .patience = 2}};
    struct tally_heap *heap = heap_make();
    struct odd *array = tally_new_array(heap, odd_type(), 20000);
    for (unsigned i = 0; i < 20000; i++)
        tally_store_steal(array, (void **)(array + 1) + i, i < 2000 ? pair_make(heap, NULL, NULL) : tally_dup(array));
    for (size_t i = 0; i < sizeof pipes / sizeof *pipes; i++) {
        struct pipe pipe = pipes[i];
        unsigned steps = take(heap, &pipe);
        assert_int_equal(told.object_count, 2001);
        assert_int_equal(told.edge_count, 20000);
        assert_int_equal(told.type_count, 2);
        assert_int_equal(edges_between(array, array, SNAPSHOT_EDGE_TRAILING, 19999), 1);
        assert_int_equal(steps > 1, i > 0);
        assert_int_equal(told.header.flags, pipe.most ? 0 : SNAPSHOT_INSTANT);
    }
    heap_check(heap);
    tally_collect(heap, 2);
    tally_clear(array, (void **)(array + 1));
    tally_decref(array);
    tally_heap_free(heap);
}

/* Between steps the host frees what was begun, and puts another thing in its place, and whole pages go. */
static void test_the_heap_changes_between_steps(void **state)
{
    (void)state;
    for (unsigned after = 0; after < 12; after++) {
        struct tally_heap *heap = heap_make();
        struct pipe pipe = {.most = 8192, .patience = 1};
        struct odd *array = tally_new_array(heap, odd_type(), 1000);
        struct pair *chain = NULL;
        for (unsigned i = 0; i < 1000; i++)
            tally_store_steal(array, (void **)(array + 1) + i, pair_make(heap, NULL, NULL));
        for (unsigned i = 0; i < 1000; i++) {
            struct pair *pair = pair_make(heap, chain, NULL);
            if (chain)
                tally_decref(chain);
            chain = pair;
        }
        begin(heap, &pipe);
        for (unsigned i = 0; i <= after; i++)
            assert_int_equal(step(&pipe), SNAPSHOT_STEP_MORE);
        tally_decref(array);
        if (after % 2)
            array = tally_new_array(heap, odd_type(), 900);
        tally_decref(chain);
        tally_trim(heap);
        unsigned steps = 0;
        while (step(&pipe) == SNAPSHOT_STEP_MORE)
            assert_true(++steps < 100000);
        end(&pipe);
        if (after % 2)
            tally_decref(array);
        tally_heap_free(heap);
    }
}

/* ---- what cannot be */

static unsigned visits;
static void many_traverse(void *object, tally_slot_fn visit, void *arg)
{
    for (unsigned i = 0; i < visits; i++)
        visit(object, arg);
}

static void test_a_traverse_that_fits_no_room(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pipe pipe = {.most = 16384};
    const struct tally_type *type;
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "many", .size = 8, .traverse = many_traverse}, &type), 0);
    assert_true(tally__types_traverse());
    void *object = tally_new(heap, type);
    visits = 800;
    take(heap, &pipe);
    visits = 1000;
    begin(heap, &pipe);
    assert_int_equal(step(&pipe), SNAPSHOT_STEP_FAILED);
    assert_true(snapshot.too_large);
    take(heap, &(struct pipe){.most = 0});
    visits = 0;
    tally_decref(object);
    tally_heap_free(heap);
}

static int flush_fail(void *arg, const void *bytes, size_t count)
{
    (void)arg, (void)bytes, (void)count;
    return -1;
}

static void test_a_flush_that_fails_ends_it(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pairs[1000];
    for (unsigned i = 0; i < 1000; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    begin(heap, &(struct pipe){.most = 0});
    tally__snapshot_begin(&snapshot, buffer, sizeof buffer, flush_fail);
    assert_int_equal(tally__snapshot_step(&snapshot), SNAPSHOT_STEP_FAILED);
    assert_true(snapshot.writer.objects < 1000);
    for (unsigned i = 0; i < 1000; i++)
        tally_decref(pairs[i]);
    tally_heap_free(heap);
}

static void *page_map(size_t bytes, void *arg)
{
    (void)arg;
    (void)bytes;
    return NULL;
}
static void page_unmap(void *memory, size_t bytes, void *arg)
{
    (void)memory, (void)bytes, (void)arg;
}

static void test_pages_of_the_host_are_not_private(void **state)
{
    (void)state;
    struct tally_heap *heap = NULL, *own = heap_make();
    struct tally_page_hooks hooks = {.map = page_map, .unmap = page_unmap};
    assert_int_equal(tally_heap_new(TALLY_ABI, &(struct tally_heap_options){.hooks = &hooks}, &heap), 0);
    assert_false(tally__heap_is_private(heap));
    assert_true(tally__heap_is_private(own));
    tally_heap_free(heap);
    tally_heap_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges_have_their_kinds_and_places),
        cmocka_unit_test(test_what_holds_an_object_is_declared),
        cmocka_unit_test(test_a_step_notes_no_more_than_it_may),
        cmocka_unit_test(test_the_garbage_list_shows),
        cmocka_unit_test(test_what_is_hidden_stays_so),
        cmocka_unit_test(test_steps_tell_the_same),
        cmocka_unit_test(test_the_heap_changes_between_steps),
        cmocka_unit_test(test_a_traverse_that_fits_no_room),
        cmocka_unit_test(test_a_flush_that_fails_ends_it),
        cmocka_unit_test(test_pages_of_the_host_are_not_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
