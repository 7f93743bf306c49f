/* Listings: what they show, page by page, how long they may take, and that no object's memory is in them. */
#include <pthread.h>

#include "agent/agent.h"
#include "attached.h"
#include "heap/heap.h"

static const struct tally_type *leaf_type, *large_type, *link_type;

struct listed { /* one listing, put together */
    struct wire_ack ack;
    unsigned objects, cycles, messages;
    struct wire_object object[WIRE_ROWS_MAX];
    struct wire_candidates candidates[WIRE_ROWS_MAX]; /* their number is in objects */
    struct wire_cycle cycle[WIRE_ROWS_MAX];
    char text[WIRE_ROWS_MAX][WIRE_SHAPE_MAX + 1];
};

static void rows_take(struct listed *listed, const union fake_message *message, size_t bytes, uint64_t operation)
{
    struct wire_rows rows;
    const char *text;
    size_t at = 0;
    assert_int_equal(wire_rows_check(message, bytes, &rows), 0);
    assert_int_equal(rows.operation, operation);
    listed->messages++;
    if (rows.kind == WIRE_COMMAND_CANDIDATES) {
        while (wire_rows_candidates(message, &at, &listed->candidates[listed->objects]))
            listed->objects++;
        return;
    }
    if (rows.kind != WIRE_COMMAND_CYCLES) {
        while (wire_rows_object(message, &at, &listed->object[listed->objects]))
            listed->objects++;
        return;
    }
    for (; wire_rows_cycle(message, &at, &listed->cycle[listed->cycles], &text); listed->cycles++)
        snprintf(listed->text[listed->cycles], sizeof *listed->text, "%.*s",
                 (int)listed->cycle[listed->cycles].text_bytes, text);
}

/* Rows come before the answer that says how many they are. */
static struct listed *hear(struct world *world, uint64_t operation, enum wire_ack_state state)
{
    static struct listed listed;
    memset(&listed, 0, sizeof listed);
    for (unsigned i = 0; i < 1000; i++) {
        union fake_message message;
        size_t bytes = fake_receive(world->connection, &message, NULL);
        assert_true(bytes > 0);
        if (message.head.kind == WIRE_HEAP_COUNTERS)
            continue; /* more types: a successor */
        if (message.head.kind == WIRE_ROWS) {
            rows_take(&listed, &message, bytes, operation);
            continue;
        }
        assert_int_equal(wire_ack_check(&message, bytes, &listed.ack), 0);
        assert_int_equal(listed.ack.operation, operation);
        if (listed.ack.state >= WIRE_ACK_SUCCEEDED)
            break;
    }
    assert_int_equal(listed.ack.state, state);
    assert_int_equal(listed.ack.rows, listed.objects + listed.cycles);
    return &listed;
}

static uint64_t ask(struct world *world, const struct wire_command *what)
{
    static uint64_t operation;
    struct wire_command command = *what;
    command.operation = ++operation;
    command.heap_number = world->shown.number;
    command.deadline_ns = clock_mono_ns() + 20000000000u;
    fake_command(world->connection, &command);
    union fake_message message;
    do
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
    while (message.head.kind == WIRE_HEAP_COUNTERS); /* more types: a successor */
    assert_int_equal(message.ack.operation, operation);
    assert_int_equal(message.ack.state, WIRE_ACK_WAITING);
    return operation;
}

static struct listed *list(struct world *world, const struct wire_command *what)
{
    uint64_t operation = ask(world, what);
    come_by(world->heap);
    return hear(world, operation, WIRE_ACK_SUCCEEDED);
}

static void test_objects_of_a_type_or_generation(void **state)
{
    struct world *world = *state;
    void *kept[6];
    for (int i = 0; i < 6; i++)
        kept[i] = tally_new(world->heap, i < 2 ? leaf_type : node_type);
    tally_incref(kept[5]);
    struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = 10,
                                                               .generation = WIRE_ANY_GENERATION});
    assert_int_equal(listed->objects, 6);
    assert_int_equal(listed->ack.after, 0);
    for (unsigned i = 0; i < 6; i++) {
        const struct wire_object *object = &listed->object[i];
        const void *at = tally_object_by_id(world->heap, object->object);
        assert_non_null(at);
        assert_int_equal(object->bytes, tally_size(at));
        assert_int_equal(object->references, at == kept[5] ? 2 : 1);
        assert_int_equal(object->flags & WIRE_OBJECT_GENERATION, tally_is_tracked(at) ? 0 : WIRE_OBJECT_UNTRACKED);
        assert_int_equal(object->type_row, tally__type_row(world->heap, at));
    }
    uint32_t leaf_row = tally__type_row(world->heap, kept[0]);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = 10, .type_row = leaf_row + 1,
                                                .generation = WIRE_ANY_GENERATION});
    assert_int_equal(listed->objects, 2);
    tally_collect(world->heap, 0);
    for (int generation = 0; generation <= WIRE_FROZEN_GENERATION; generation++) {
        listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = 10, .generation = generation});
        assert_int_equal(listed->objects, generation == 1 ? 4 : 0);
    }
    tally_decref(kept[5]);
    for (int i = 0; i < 6; i++)
        tally_decref(kept[i]);
}

/* Thousands of objects, a page of the listing at a time: each once, none left out, no message too long. */
static void test_a_listing_goes_on_where_it_ended(void **state)
{
    enum { COUNT = 10000, LIMIT = 999 };
    struct world *world = *state;
    static void *kept[COUNT];
    uint64_t after = 0, seen = 0, before = 0;
    for (int i = 0; i < COUNT; i++)
        kept[i] = tally_new(world->heap, i % 100 ? node_type : large_type);
    do {
        const struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = LIMIT,
                                                                         .after = after, .generation = WIRE_ANY_GENERATION});
        for (unsigned i = 0; i < listed->objects; i++, seen++) {
            assert_true(listed->object[i].object > before);
            before = listed->object[i].object;
        }
        assert_true(listed->messages <= LIMIT / 255 + 1);
        assert_true(listed->ack.after != after);
        after = listed->ack.after;
    } while (after);
    assert_int_equal(seen, COUNT);
    const struct listed *none = list(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = 1,
                                                                   .generation = WIRE_ANY_GENERATION, .after = UINT64_MAX});
    assert_int_equal(none->objects, 0);
    assert_int_equal(none->ack.after, 0);
    for (int i = 0; i < COUNT; i++)
        tally_decref(kept[i]);
}

/* An owner who wants short pauses is not held longer than for one: the listing ends early and says where. */
static void test_a_listing_takes_no_more_time_than_a_pause(void **state)
{
    enum { COUNT = 100000 };
    struct world *world = *state;
    void *head = NULL;
    for (int i = 0; i < COUNT; i++) {
        struct node *node = tally_new(world->heap, node_type);
        tally_store_steal(node, &node->next, head);
        head = node;
    }
    assert_int_equal(tally_set_max_pause(world->heap, 50), 0);
    const struct listed *listed = NULL;
    uint64_t after = 0, shortest_ns = UINT64_MAX;
    unsigned turns = 0;
    do {
        /* nobody has this type: all must be looked at */
        listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = 10, .type_row = 1,
                                                    .generation = WIRE_ANY_GENERATION, .after = after});
        assert_int_equal(listed->objects, 0);
        shortest_ns = listed->ack.pause_ns < shortest_ns ? listed->ack.pause_ns : shortest_ns;
        after = listed->ack.after;
        turns++;
    } while (after);
    assert_true(turns > 2);
    assert_true(shortest_ns < 1000000);
    tally_set_max_pause(world->heap, 0);
    tally_decref(head);
}

static void garbage_make(struct world *world, unsigned count)
{
    assert_int_equal(tally_set_debug(world->heap, TALLY_DEBUG_SAVEALL), 0);
    for (unsigned i = 0; i < count; i++)
        cycle_make(world->heap);
    tally_collect(world->heap, 2);
    tally_set_debug(world->heap, 0);
}

static void test_garbage_and_who_refers_to_it(void **state)
{
    struct world *world = *state;
    garbage_make(world, 5);
    struct node *holder = tally_new(world->heap, node_type);
    tally_store(holder, &holder->next, tally_garbage_get(world->heap, 3));
    const struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_GARBAGE, .limit = 3});
    assert_int_equal(listed->objects, 3);
    assert_int_equal(listed->ack.total, 5);
    assert_int_equal(listed->ack.after, 3);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_GARBAGE, .limit = 3, .after = 3});
    assert_int_equal(listed->objects, 2);
    assert_int_equal(listed->ack.after, 0);
    assert_int_equal(listed->object[0].object, tally_object_id(tally_garbage_get(world->heap, 3)));
    assert_int_equal(listed->object[0].references, 3); /* itself, the holder, the list */
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_GARBAGE, .limit = 3, .after = UINT64_MAX});
    assert_int_equal(listed->objects, 0);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_REFERRERS, .limit = 10, .index = 3});
    assert_int_equal(listed->objects, 2);
    assert_int_equal(listed->ack.total, tally_object_id(tally_garbage_get(world->heap, 3)));
    assert_true(listed->object[0].object == tally_object_id(holder) || listed->object[1].object == tally_object_id(holder));
    uint64_t operation = ask(world, &(struct wire_command){.kind = WIRE_COMMAND_REFERRERS, .limit = 10, .index = 5});
    come_by(world->heap);
    assert_int_equal(hear(world, operation, WIRE_ACK_FAILED)->ack.error, TALLY_EINVAL);
    tally_decref(holder);
    tally_garbage_clear(world->heap);
}

/* Lost a reference, and lives. */
static void candidate_make(void *object)
{
    tally_incref(object);
    tally_decref(object);
}

static void test_candidates_by_type(void **state)
{
    enum { OLD = 300, NEW = 20 };
    struct world *world = *state;
    void *old[OLD], *fresh[NEW];
    const struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CANDIDATES, .limit = 10});
    assert_int_equal(listed->objects, 0);
    assert_int_equal(listed->ack.total, 0);
    for (int i = 0; i < OLD; i++)
        old[i] = tally_new(world->heap, node_type);
    tally_collect(world->heap, 2);
    for (int i = 0; i < NEW; i++)
        candidate_make(fresh[i] = tally_new(world->heap, i % 2 ? node_type : link_type));
    for (int i = 0; i < OLD; i++)
        candidate_make(old[i]);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CANDIDATES, .limit = 10});
    assert_int_equal(listed->ack.total, OLD + NEW);
    assert_int_equal(listed->ack.after, 0);
    assert_int_equal(listed->objects, 2);
    const struct wire_candidates *nodes = &listed->candidates[listed->candidates[0].candidates < OLD];
    assert_int_equal(nodes->candidates, OLD + NEW / 2);
    assert_int_equal(nodes->survived, OLD);
    assert_int_equal(nodes->type_row, tally__type_row(world->heap, old[0]));
    const struct wire_candidates *links = &listed->candidates[nodes == &listed->candidates[0]];
    assert_int_equal(links->candidates, NEW / 2);
    assert_int_equal(links->survived, 0);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CANDIDATES, .limit = 1});
    assert_int_equal(listed->objects, 1);
    assert_int_equal(listed->ack.total, OLD + NEW); /* so that it is seen what is missing */
    for (int i = 0; i < OLD; i++)
        tally_decref(old[i]);
    for (int i = 0; i < NEW; i++)
        tally_decref(fresh[i]);
}

static void candidate_count(void *arg, uint32_t type_row, bool survived)
{
    (void)type_row, (void)survived;
    ++*(uint64_t *)arg;
}

/* Parts of the heap add up to it. */
static void test_candidates_go_on_by_the_page(void **state)
{
    enum { COUNT = 200000 };
    struct world *world = *state;
    void **kept = malloc(COUNT * sizeof *kept);
    for (int i = 0; i < COUNT; i++)
        candidate_make(kept[i] = tally_new(world->heap, node_type));
    tally_set_max_pause(world->heap, 1);
    uint64_t after = 0, sum = 0, expected = 0;
    unsigned turns = 0;
    for (uint64_t page = 0; page < tally__page_count(world->heap); page++)
        tally__page_candidates_look(world->heap, page, candidate_count, &expected);
    tally_disable(world->heap);
    do {
        const struct listed *listed =
            list(world, &(struct wire_command){.kind = WIRE_COMMAND_CANDIDATES, .limit = 10, .after = after});
        sum += listed->objects ? listed->candidates[0].candidates : 0;
        assert_int_equal(listed->ack.total, listed->objects ? listed->candidates[0].candidates : 0);
        after = listed->ack.after;
        turns++;
    } while (after);
    assert_int_equal(sum, expected);
    assert_true(expected > 0);
    assert_true(turns > 1);
    const struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CANDIDATES, .limit = 10, .after = UINT64_MAX});
    assert_int_equal(listed->objects, 0);
    for (int i = 0; i < COUNT; i++)
        tally_decref(kept[i]);
    free(kept);
}

static void test_shapes_of_cycles(void **state)
{
    struct world *world = *state;
    const struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CYCLES, .limit = 10});
    assert_int_equal(listed->cycles, 0);
    for (int i = 0; i < 3; i++)
        cycle_make(world->heap);
    tally_collect(world->heap, 2);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CYCLES, .limit = 10});
    assert_int_equal(listed->cycles, 1);
    assert_string_equal(listed->text[0], "node.next");
    assert_int_equal(listed->cycle[0].count, 3);
    assert_int_equal(listed->cycle[0].bytes, 3 * sizeof(struct node));
    assert_int_equal(listed->ack.total, 1);
    listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CYCLES, .limit = 10, .after = 1});
    assert_int_equal(listed->cycles, 0);
    assert_int_equal(listed->ack.after, 0);
}

/* Many long shapes: more than one listing holds. */
static void test_shapes_go_on_where_they_ended(void **state)
{
    enum { TYPES = 200, RING = 5 };
    struct world *world = *state;
    const struct tally_type *types[TYPES + RING];
    for (unsigned i = 0; i < TYPES + RING; i++) {
        char name[120];
        snprintf(name, sizeof name, "t%03u-%0100u", i, 0u);
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = name, .size = 8, .ref_count = 1,
                                                                       .refs = (struct tally_ref[]){{"next", 0}}},
                                             &types[i]), 0);
    }
    for (unsigned i = 0; i < TYPES; i++) { /* each with the same RING - 1 others */
        struct node *first = tally_new(world->heap, types[i]), *last = first;
        for (unsigned k = 1; k < RING; k++) {
            struct node *node = tally_new(world->heap, types[TYPES + k]);
            tally_store_steal(last, &last->next, node);
            last = node;
        }
        tally_store_steal(last, &last->next, first);
    }
    tally_collect(world->heap, 2);
    uint64_t after = 0, count = 0;
    unsigned turns = 0;
    do {
        const struct listed *listed = list(world, &(struct wire_command){.kind = WIRE_COMMAND_CYCLES, .limit = 1000, .after = after});
        count += listed->cycles;
        assert_true(listed->messages > 1);
        after = listed->ack.after;
        assert_int_equal(after ? after : TYPES, count);
        turns++;
    } while (after);
    assert_int_equal(count, TYPES);
    assert_true(turns > 1);
}

/* One at a time: the rows lie in one place. */
static void test_a_second_listing_is_refused_until_the_first_is_over(void **state)
{
    struct world *world = *state;
    const struct wire_command what = {.kind = WIRE_COMMAND_OBJECTS, .limit = 5, .generation = WIRE_ANY_GENERATION};
    void *kept = tally_new(world->heap, node_type);
    uint64_t first = ask(world, &what);
    struct wire_command second = what;
    second.operation = 777;
    second.heap_number = world->shown.number;
    second.deadline_ns = clock_mono_ns() + 20000000000u;
    fake_command(world->connection, &second);
    assert_int_equal(fake_ack(world->connection, 777, WIRE_ACK_FAILED).error, TALLY_EBUSY);
    fake_command(world->connection, &(struct wire_command){.kind = WIRE_COMMAND_CANCEL, .operation = first,
                                                           .heap_number = world->shown.number});
    fake_ack(world->connection, first, WIRE_ACK_CANCELLED);
    assert_int_equal(list(world, &what)->objects, 1);
    assert_int_equal(list(world, &what)->objects, 1);
    tally_decref(kept);
}

/* The connection goes while rows wait for a reader; the next daemon gets what it asks for, and nothing else. */
static void test_a_daemon_that_goes_in_the_middle(void **state)
{
    enum { COUNT = 1000 };
    struct world *world = *state;
    static void *kept[COUNT];
    const struct wire_command what = {.kind = WIRE_COMMAND_OBJECTS, .limit = 1000, .generation = WIRE_ANY_GENERATION};
    for (int i = 0; i < COUNT; i++)
        kept[i] = tally_new(world->heap, node_type);
    ask(world, &what);
    fake_heap_drop(&world->shown);
    close(world->connection);
    tally_safepoint(world->heap);
    world_connect(world);
    assert_int_equal(list(world, &what)->objects, COUNT);
    for (int i = 0; i < COUNT; i++)
        tally_decref(kept[i]);
}

/* The heap goes while rows wait for room: each question has an answer all the same. */
static void test_a_heap_that_goes_while_rows_wait(void **state)
{
    enum { ASKED = 20 };
    struct world *world = *state;
    struct wire_command command = {.kind = WIRE_COMMAND_OBJECTS, .limit = 1000, .generation = WIRE_ANY_GENERATION,
                                   .heap_number = world->shown.number};
    unsigned answers = 0;
    bool gone = false;
    for (int i = 0; i < 1000; i++)
        tally_new(world->heap, node_type);
    for (int i = 0; i < ASKED; i++) {
        command.operation = 6000 + (uint64_t)i;
        command.deadline_ns = clock_mono_ns() + 20000000000u;
        fake_command(world->connection, &command);
        for (int turn = 0; turn < 20; turn++, usleep(500))
            tally_safepoint(world->heap);
    }
    tally_heap_free(world->heap);
    world->heap = NULL;
    while (!gone) {
        union fake_message message;
        assert_true(fake_receive(world->connection, &message, NULL) > 0);
        answers += message.head.kind == WIRE_ACK && message.ack.state >= WIRE_ACK_SUCCEEDED;
        gone = message.head.kind == WIRE_HEAP_GONE;
    }
    assert_int_equal(answers, ASKED);
}

/* Rows that the socket does not take wait until it does, and what is asked meanwhile is told so. */
static void test_a_daemon_that_does_not_read_for_a_while(void **state)
{
    enum { ASKED = 40 };
    struct world *world = *state;
    struct wire_command command = {.kind = WIRE_COMMAND_OBJECTS, .limit = 1000, .generation = WIRE_ANY_GENERATION,
                                   .heap_number = world->shown.number};
    static void *kept[1000];
    unsigned succeeded = 0, busy = 0, rows = 0;
    for (int i = 0; i < 1000; i++)
        kept[i] = tally_new(world->heap, node_type);
    for (int i = 0; i < ASKED; i++) { /* four messages of 8 KiB each, and nobody reads them */
        command.operation = 5000 + (uint64_t)i;
        command.deadline_ns = clock_mono_ns() + 20000000000u;
        fake_command(world->connection, &command);
        for (int turn = 0; turn < 20; turn++, usleep(500))
            tally_safepoint(world->heap);
    }
    while (succeeded + busy < ASKED) {
        union fake_message message;
        struct wire_rows head;
        size_t bytes = fake_receive(world->connection, &message, NULL);
        if (message.head.kind == WIRE_ROWS) {
            assert_int_equal(wire_rows_check(&message, bytes, &head), 0);
            rows += head.count;
            continue;
        }
        succeeded += message.ack.state == WIRE_ACK_SUCCEEDED;
        busy += message.ack.state == WIRE_ACK_FAILED && message.ack.error == TALLY_EBUSY;
        assert_int_equal(rows >= succeeded * 1000, 1); /* before their answer */
        tally_safepoint(world->heap);
    }
    print_message("# %u listed, %u found the socket full\n", succeeded, busy);
    assert_true(busy > 0);
    assert_int_equal(rows, succeeded * 1000);
    command.heap_number = 0;
    assert_int_equal(list(world, &command)->objects, 1000);
    for (int i = 0; i < 1000; i++)
        tally_decref(kept[i]);
}

/* The agent lists while the owner is away; what may run code of the host's waits for him. */
static void test_a_parked_heap_is_listed(void **state)
{
    struct world *world = *state;
    garbage_make(world, 2);
    assert_int_equal(tally_park(world->heap), 0);
    uint64_t operation = ask(world, &(struct wire_command){.kind = WIRE_COMMAND_GARBAGE, .limit = 5});
    assert_int_equal(hear(world, operation, WIRE_ACK_SUCCEEDED)->objects, 2);
    operation = ask(world, &(struct wire_command){.kind = WIRE_COMMAND_OBJECTS, .limit = 5, .generation = WIRE_ANY_GENERATION});
    assert_int_equal(hear(world, operation, WIRE_ACK_SUCCEEDED)->objects, 2);
    operation = ask(world, &(struct wire_command){.kind = WIRE_COMMAND_REFERRERS, .limit = 5, .index = 9});
    assert_int_equal(hear(world, operation, WIRE_ACK_FAILED)->ack.error, TALLY_EINVAL);
    operation = ask(world, &(struct wire_command){.kind = WIRE_COMMAND_REFERRERS, .limit = 5, .index = 1});
    assert_false(fake_readable(world->connection, 50));
    assert_int_equal(tally_unpark(world->heap), 0);
    come_by(world->heap);
    assert_int_equal(hear(world, operation, WIRE_ACK_SUCCEEDED)->objects, 1);
    tally_garbage_clear(world->heap);
}

/* An owner who comes back waits for a moment; the listing is then his. */
static void test_unpark_in_the_middle_of_a_listing(void **state)
{
    enum { COUNT = 200000 };
    struct world *world = *state;
    void *head = NULL;
    unsigned by_owner = 0;
    uint64_t longest_ns = 0;
    for (int i = 0; i < COUNT; i++) {
        struct node *node = tally_new(world->heap, node_type);
        tally_store_steal(node, &node->next, head);
        head = node;
    }
    for (unsigned i = 0; i < 30; i++) {
        struct wire_command command = {.operation = 9000 + i, .heap_number = world->shown.number, .limit = 1, .type_row = 1,
                                       .kind = WIRE_COMMAND_OBJECTS, .generation = WIRE_ANY_GENERATION,
                                       .deadline_ns = clock_mono_ns() + 20000000000u};
        assert_int_equal(tally_park(world->heap), 0);
        fake_command(world->connection, &command);
        usleep(i * 20); /* before it begins, in the middle, or when it is done */
        uint64_t before_ns = clock_thread_ns();
        assert_int_equal(tally_unpark(world->heap), 0);
        longest_ns = clock_thread_ns() - before_ns > longest_ns ? clock_thread_ns() - before_ns : longest_ns;
        union fake_message message = {.ack = {.state = 0}};
        for (unsigned turns = 0; message.ack.state < WIRE_ACK_SUCCEEDED; turns++) {
            by_owner += tally_safepoint(world->heap) > 0;
            if (fake_readable(world->connection, 1))
                assert_true(fake_receive(world->connection, &message, NULL) > 0);
            assert_true(turns < 5000);
        }
        assert_int_equal(message.ack.state, WIRE_ACK_SUCCEEDED);
    }
    print_message("# %u of 30 by the owner, longest unpark: %llu us of CPU time\n", by_owner,
                  (unsigned long long)longest_ns / 1000);
    assert_true(by_owner > 0);
    tally_decref(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_objects_of_a_type_or_generation),
        ROW(test_a_listing_goes_on_where_it_ended),
        ROW(test_a_listing_takes_no_more_time_than_a_pause),
        ROW(test_garbage_and_who_refers_to_it),
        ROW(test_candidates_by_type),
        ROW(test_candidates_go_on_by_the_page),
        ROW(test_shapes_of_cycles),
        ROW(test_a_second_listing_is_refused_until_the_first_is_over),
        ROW(test_a_daemon_that_goes_in_the_middle),
        ROW(test_a_daemon_that_does_not_read_for_a_while),
        ROW(test_a_heap_that_goes_while_rows_wait),
        ROW(test_a_parked_heap_is_listed),
        ROW(test_unpark_in_the_middle_of_a_listing),
        ROW(test_shapes_go_on_where_they_ended), /* last: it registers types */
#undef ROW
    };
    attached_prepare();
    if (tally_type_register(&(struct tally_type_info){.name = "leaf", .size = 24}, &leaf_type) ||
        tally_type_register(&(struct tally_type_info){.name = "large", .size = 100000}, &large_type) ||
        tally_type_register(&(struct tally_type_info){.name = "link", .size = 8, .ref_count = 1,
                                                      .refs = (struct tally_ref[]){{"next", 0}}}, &link_type))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_directory_remove();
    return failed;
}
