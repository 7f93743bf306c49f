/* What asks the same shares one command, and what became of it is true for each who asked; listings; batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "operations/operations.h"
#include "tally.h"

#define SENT_MAX 4096

static const char *const processes[] = {"00000000000000000000000000000001", "00000000000000000000000000000002",
                                        "00000000000000000000000000000003"};

struct world {
    struct operations *operations;
    unsigned sent, cancels;
    void (*full)(struct world *world); /* there is no room for the next one; called then */
    struct wire_command commands[SENT_MAX]; /* without cancels */
    char to[SENT_MAX][33];
};

static int send_command(void *arg, const char *process, const struct wire_command *command)
{
    struct world *world = arg;
    assert_true(world->sent < SENT_MAX);
    if (command->kind == WIRE_COMMAND_CANCEL) {
        world->cancels++;
        return 0;
    }
    if (world->full) {
        void (*full)(struct world *) = world->full;
        world->full = NULL;
        full(world);
        return -ENOBUFS;
    }
    snprintf(world->to[world->sent], sizeof *world->to, "%s", process);
    world->commands[world->sent++] = *command;
    return 0;
}

static int start(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->operations = operations_new("aabbccdd", send_command, world, NULL);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;
    operations_free(world->operations);
    free(world);
    return 0;
}

/* Returns the number of an operation on heap 1 of the first process. */
static uint64_t begin(struct world *world, const struct wire_command *command, uint64_t deadline_ms)
{
    static const struct operation_target target = {0, 1};
    char id[OPERATION_ID_CHARS];
    assert_int_equal(operations_start(world->operations,
                                      &(struct operation_request){.processes = processes, .process_count = 1,
                                                                  .targets = &target, .target_count = 1,
                                                                  .command = *command, .deadline_ms = deadline_ms},
                                      id), 0);
    return strtoull(strchr(id, '-') + 1, NULL, 10);
}

static uint64_t collect(struct world *world, uint64_t deadline_ms)
{
    return begin(world, &(struct wire_command){.kind = WIRE_COMMAND_COLLECT, .generation = 2}, deadline_ms);
}

static struct operation_view *get(struct world *world, uint64_t number)
{
    char id[OPERATION_ID_CHARS];
    snprintf(id, sizeof id, "aabbccdd-%llu", (unsigned long long)number);
    struct operation_view *view = operations_get_new(world->operations, id);
    assert_non_null(view);
    return view;
}

static void expect(struct world *world, uint64_t number, enum operation_state state, const char *code)
{
    struct operation_view *view = get(world, number);
    assert_int_equal(view->state, state);
    if (code)
        assert_string_equal(view->code, code);
    else
        assert_null(view->code);
    operations_view_free(view);
}

static bool cancel(struct world *world, uint64_t number)
{
    char id[OPERATION_ID_CHARS];
    snprintf(id, sizeof id, "aabbccdd-%llu", (unsigned long long)number);
    return operations_cancel(world->operations, id);
}

static void ack(struct world *world, uint64_t number, uint32_t state, uint64_t started_ns)
{
    operations_ack(world->operations, processes[0],
                   &(struct wire_ack){.operation = number, .heap_number = 1, .state = state, .collected = 7,
                                      .started_ns = started_ns});
}

static void test_a_hundred_askers_share_one_collection(void **state)
{
    struct world *world = *state;
    uint64_t numbers[100];
    for (int i = 0; i < 100; i++) {
        numbers[i] = collect(world, 30000);
        if (i == 50)
            ack(world, numbers[0], WIRE_ACK_WAITING, 0);
    }
    assert_int_equal(world->sent, 1);
    expect(world, numbers[99], OPERATION_WAITING, NULL);
    ack(world, numbers[0], WIRE_ACK_RUNNING, clock_mono_ns());
    for (int i = 0; i < 100; i++)
        expect(world, numbers[i], OPERATION_RUNNING, NULL);
    ack(world, numbers[0], WIRE_ACK_SUCCEEDED, clock_mono_ns());
    for (int i = 0; i < 100; i++) {
        struct operation_view *view = get(world, numbers[i]);
        assert_int_equal(view->state, OPERATION_SUCCEEDED);
        assert_int_equal(view->collected, 7);
        operations_view_free(view);
    }
    assert_int_equal(world->sent, 1);
    collect(world, 30000);
    assert_int_equal(world->sent, 2);
}

/* Garbage of the time between would be in none: who asks while it runs gets a run of his own. */
static void test_what_has_begun_is_no_answer_to_who_asks_later(void **state)
{
    struct world *world = *state;
    uint64_t first = collect(world, 30000), started_ns = clock_mono_ns();
    usleep(1000);
    uint64_t between = collect(world, 30000), third; /* the word of its beginning is still on its way */
    assert_int_equal(world->sent, 1);
    ack(world, first, WIRE_ACK_RUNNING, started_ns);
    expect(world, first, OPERATION_RUNNING, NULL);
    assert_int_equal(world->sent, 2);
    assert_int_equal(world->commands[1].operation, between);
    third = collect(world, 30000);
    assert_int_equal(world->sent, 2); /* that one has not begun */
    ack(world, first, WIRE_ACK_SUCCEEDED, started_ns);
    expect(world, first, OPERATION_SUCCEEDED, NULL);
    expect(world, between, OPERATION_QUEUED, NULL);
    ack(world, between, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    expect(world, between, OPERATION_SUCCEEDED, NULL);
    expect(world, third, OPERATION_SUCCEEDED, NULL);
}

static void collect_meanwhile(struct world *world)
{
    assert_int_equal(collect(world, 30000), 2);
}

/* Who gets on to a command that then finds no room is sent itself, whatever becomes of that one. */
static void test_riders_of_what_found_no_room(void **state)
{
    struct world *world = *state;
    world->full = collect_meanwhile;
    uint64_t first = collect(world, 30000), rider = 2;
    assert_int_equal(world->sent, 0);
    assert_true(cancel(world, first));
    expect(world, first, OPERATION_CANCELLED, NULL);
    operations_tick(world->operations);
    assert_int_equal(world->sent, 1);
    assert_int_equal(world->commands[0].operation, rider);
    ack(world, rider, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    expect(world, rider, OPERATION_SUCCEEDED, NULL);
}

/* One that says it runs and never ends leaves room for others. */
static void test_a_process_that_never_ends_takes_not_all_there_is(void **state)
{
    struct world *world = *state;
    static const struct operation_target targets[] = {{0, 1}, {1, 1}};
    char id[OPERATION_ID_CHARS];
    struct operation_request request = {.processes = processes, .process_count = 1, .targets = targets, .target_count = 1,
                                        .command = {.kind = WIRE_COMMAND_COLLECT, .generation = 2}, .deadline_ms = 60000};
    for (unsigned i = 0; i < OPERATIONS_OPEN_EACH; i++) {
        assert_int_equal(operations_start(world->operations, &request, id), 0);
        ack(world, i + 1, WIRE_ACK_RUNNING, clock_mono_ns());
    }
    assert_int_equal(operations_start(world->operations, &request, id), -EBUSY);
    request.batch = true;
    request.process_count = request.target_count = 2;
    assert_int_equal(operations_start(world->operations, &request, id), 0);
    request.batch = false;
    request.processes = &processes[1];
    request.process_count = request.target_count = 1;
    assert_int_equal(operations_start(world->operations, &request, id), 0);
    operations_process_gone(world->operations, processes[0]);
    request.processes = processes;
    assert_int_equal(operations_start(world->operations, &request, id), 0);
}

/* What hosts say is added up: it never overflows. */
static void test_figures_that_no_host_can_have(void **state)
{
    struct world *world = *state;
    static const struct operation_target targets[] = {{0, 1}, {0, 2}};
    char id[OPERATION_ID_CHARS];
    struct operation_request request = {.processes = processes, .process_count = 1, .targets = targets, .target_count = 2,
                                        .command = {.kind = WIRE_COMMAND_COLLECT, .generation = 2}, .deadline_ms = 60000};
    assert_int_equal(operations_start(world->operations, &request, id), 0);
    for (uint32_t n = 1; n <= 2; n++)
        operations_ack(world->operations, processes[0],
                       &(struct wire_ack){.operation = 1, .heap_number = n, .state = WIRE_ACK_SUCCEEDED, .collected = INT64_MAX,
                                          .freed_bytes = UINT64_MAX, .total = UINT64_MAX});
    struct operation_view *view = get(world, 1);
    assert_true(view->collected >= view->heaps[0].collected && view->freed_bytes >= view->heaps[0].freed_bytes);
    assert_true(view->total >= view->heaps[0].total && view->freed_bytes <= INT64_MAX);
    operations_view_free(view);
}

/* A library of before says not when it began. */
static void test_old_libraries_are_believed(void **state)
{
    struct world *world = *state;
    uint64_t first = collect(world, 30000), second = collect(world, 30000);
    ack(world, first, WIRE_ACK_SUCCEEDED, 0);
    expect(world, second, OPERATION_SUCCEEDED, NULL);
}

static void test_different_wishes_do_not_ride(void **state)
{
    static const struct wire_command commands[] = {
        {.kind = WIRE_COMMAND_COLLECT, .generation = 2}, {.kind = WIRE_COMMAND_COLLECT, .generation = 1},
        {.kind = WIRE_COMMAND_FIND},                     {.kind = WIRE_COMMAND_CONFIG, .mask = 1},
        {.kind = WIRE_COMMAND_CONFIG, .mask = 1},        {.kind = WIRE_COMMAND_FREEZE},
        {.kind = WIRE_COMMAND_FREEZE},                   {.kind = WIRE_COMMAND_GARBAGE_CLEAR},
        {.kind = WIRE_COMMAND_GARBAGE_CLEAR}};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        begin(world, &commands[i], 30000);
    assert_int_equal(world->sent, sizeof commands / sizeof *commands);
    begin(world, &(struct wire_command){.kind = WIRE_COMMAND_FIND}, 30000);
    assert_int_equal(world->sent, sizeof commands / sizeof *commands);
    collect(world, 20000); /* a shorter patience than the one that waits */
    assert_int_equal(world->sent, sizeof commands / sizeof *commands + 1);
}

static void test_cancelling_one_leaves_the_others(void **state)
{
    struct world *world = *state;
    uint64_t first = collect(world, 30000), second = collect(world, 30000), third = collect(world, 30000);
    assert_true(cancel(world, second)); /* nothing of it was sent */
    assert_int_equal(world->cancels, 0);
    expect(world, second, OPERATION_CANCELLED, NULL);
    assert_true(cancel(world, first));
    assert_int_equal(world->cancels, 1);
    ack(world, first, WIRE_ACK_CANCELLED, 0);
    expect(world, first, OPERATION_CANCELLED, NULL);
    assert_int_equal(world->sent, 2);
    assert_int_equal(world->commands[1].operation, third);
    ack(world, third, WIRE_ACK_RUNNING, clock_mono_ns());
    assert_true(cancel(world, third)); /* the host decides */
    assert_int_equal(world->cancels, 2);
    ack(world, third, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    expect(world, third, OPERATION_SUCCEEDED, NULL);
}

static void test_a_rider_outlives_the_one_it_rode_on(void **state)
{
    struct world *world = *state;
    uint64_t first = collect(world, 300), soon = collect(world, 400), later = collect(world, 30000);
    assert_int_equal(world->sent, 1);
    usleep(420000);
    ack(world, first, WIRE_ACK_EXPIRED, 0);
    expect(world, first, OPERATION_EXPIRED, NULL);
    expect(world, soon, OPERATION_EXPIRED, NULL); /* the host's word for the first is one for it */
    expect(world, later, OPERATION_QUEUED, NULL);
    assert_int_equal(world->sent, 2);
    assert_int_equal(world->commands[1].operation, later);
    assert_true(world->commands[1].deadline_ns > clock_mono_ns() + 20000000000u);
}

static void test_failures_are_those_of_all(void **state)
{
    struct world *world = *state;
    uint64_t first = collect(world, 30000), second = collect(world, 30000);
    operations_ack(world->operations, processes[0],
                   &(struct wire_ack){.operation = first, .heap_number = 1, .state = WIRE_ACK_FAILED, .error = TALLY_EVETO});
    expect(world, first, OPERATION_FAILED, "vetoed");
    expect(world, second, OPERATION_FAILED, "vetoed");
    first = collect(world, 30000);
    second = collect(world, 30000);
    operations_process_gone(world->operations, processes[0]);
    expect(world, first, OPERATION_FAILED, "process_gone");
    expect(world, second, OPERATION_FAILED, "process_gone");
}

static void test_a_silent_host_leaves_all_unconfirmed(void **state)
{
    struct world *world = *state;
    uint64_t first = collect(world, 1), second = collect(world, 10);
    usleep(30000);
    operations_tick(world->operations);
    expect(world, second, OPERATION_QUEUED, NULL);
    usleep(OPERATION_GRACE_NS / 1000);
    operations_tick(world->operations);
    expect(world, first, OPERATION_FAILED, "unconfirmed");
    expect(world, second, OPERATION_FAILED, "unconfirmed");
}

/* An older library refuses what it does not know as out of range. */
static void test_what_a_library_does_not_know_is_unsupported(void **state)
{
    struct world *world = *state;
    uint64_t number = begin(world, &(struct wire_command){.kind = WIRE_COMMAND_FREEZE}, 30000);
    operations_ack(world->operations, processes[0],
                   &(struct wire_ack){.operation = number, .heap_number = 1, .state = WIRE_ACK_FAILED, .error = TALLY_EINVAL});
    expect(world, number, OPERATION_FAILED, "unsupported");
}

/* ---- listings */

static struct wire_command listing(uint32_t kind, uint64_t index)
{
    return (struct wire_command){.kind = kind, .limit = 100, .index = index};
}

static void rows(struct world *world, uint64_t number, uint32_t kind, uint32_t count, uint64_t first)
{
    static _Alignas(8) char message[WIRE_MESSAGE_MAX];
    size_t bytes = sizeof(struct wire_rows) + count * sizeof(struct wire_object);
    *(struct wire_rows *)(void *)message = (struct wire_rows){.head = wire_head_make(WIRE_ROWS, bytes), .operation = number,
                                                              .heap_number = 1, .kind = kind, .count = count};
    for (uint32_t i = 0; i < count; i++)
        memcpy(message + sizeof(struct wire_rows) + i * sizeof(struct wire_object),
               &(struct wire_object){.object = first + i}, sizeof(struct wire_object));
    operations_rows(world->operations, processes[0], (const struct wire_rows *)(const void *)message);
}

static unsigned rows_of(struct world *world, uint64_t number, uint64_t first)
{
    struct operation_view *view = get(world, number);
    struct wire_object object;
    unsigned count = 0;
    for (size_t at = 0; view->heaps[0].rows && wire_rows_object(operation_rows_get(view->heaps[0].rows), &at, &object); count++)
        assert_int_equal(object.object, first + count);
    operations_view_free(view);
    return count;
}

static void test_rows_are_kept_for_all_who_asked(void **state)
{
    struct world *world = *state;
    const struct wire_command objects = listing(WIRE_COMMAND_OBJECTS, 0);
    uint64_t first = begin(world, &objects, 30000), second = begin(world, &objects, 30000);
    assert_int_equal(world->sent, 1);
    rows(world, first, WIRE_COMMAND_OBJECTS, 255, 1);
    rows(world, first, WIRE_COMMAND_GARBAGE, 5, 1); /* of another kind: not asked for */
    rows(world, second, WIRE_COMMAND_OBJECTS, 5, 1); /* not the command that was sent */
    rows(world, first, WIRE_COMMAND_OBJECTS, 45, 256);
    assert_int_equal(rows_of(world, first, 1), 0); /* until it has ended */
    ack(world, first, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    assert_int_equal(rows_of(world, first, 1), 300);
    assert_int_equal(rows_of(world, second, 1), 300);
    rows(world, first, WIRE_COMMAND_OBJECTS, 45, 256);
    assert_int_equal(rows_of(world, first, 1), 300);
}

static void test_a_heap_lists_one_thing_at_a_time(void **state)
{
    struct world *world = *state;
    const struct wire_command commands[] = {listing(WIRE_COMMAND_OBJECTS, 0), listing(WIRE_COMMAND_GARBAGE, 0),
                                            listing(WIRE_COMMAND_REFERRERS, 4), listing(WIRE_COMMAND_GARBAGE, 0)};
    uint64_t numbers[4];
    for (int i = 0; i < 4; i++)
        numbers[i] = begin(world, &commands[i], 30000);
    assert_int_equal(world->sent, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(world->sent, i + 1);
        assert_int_equal(world->commands[i].kind, commands[i].kind);
        ack(world, numbers[i], WIRE_ACK_SUCCEEDED, clock_mono_ns());
        expect(world, numbers[i], OPERATION_SUCCEEDED, NULL);
    }
    expect(world, numbers[3], OPERATION_SUCCEEDED, NULL); /* rode on the second */
    assert_int_equal(world->sent, 3);
}

/* A host may send what it likes: so much of it is taken, and no more. */
static void test_rows_are_bounded(void **state)
{
    struct world *world = *state;
    const struct wire_command objects = listing(WIRE_COMMAND_OBJECTS, 0);
    uint64_t number = begin(world, &objects, 30000), kept = 0, last = 0;
    for (unsigned i = 0; i < 100; i++)
        rows(world, number, WIRE_COMMAND_OBJECTS, 250, 1 + 250 * i);
    ack(world, number, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    assert_int_equal(rows_of(world, number, 1), WIRE_ROWS_MAX);
    for (unsigned i = 0; i < 700; i++) { /* the oldest go */
        last = begin(world, &objects, 30000);
        for (unsigned k = 0; k < 4; k++)
            rows(world, last, WIRE_COMMAND_OBJECTS, 250, 1 + 250 * k);
        ack(world, last, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    }
    assert_int_equal(rows_of(world, number, 1), 0);
    assert_int_equal(rows_of(world, last, 1), WIRE_ROWS_MAX);
    for (uint64_t at = number; at <= last; at++)
        kept += rows_of(world, at, 1);
    assert_true(kept * sizeof(struct wire_object) <= OPERATIONS_ROWS_KEPT);
    assert_true(kept * sizeof(struct wire_object) > OPERATIONS_ROWS_KEPT / 2);
}

/* ---- batches */

static void test_a_batch_is_one_operation_with_many_ends(void **state)
{
    static const struct operation_target targets[] = {{0, 1}, {0, 2}, {1, 1}, {2, 1}};
    struct world *world = *state;
    struct operation_request request = {.processes = processes, .process_count = 3, .batch = true, .targets = targets,
                                        .target_count = 4, .deadline_ms = 30000,
                                        .command = {.kind = WIRE_COMMAND_COLLECT, .generation = 2}};
    char id[OPERATION_ID_CHARS];
    assert_int_equal(operations_start(world->operations, &request, id), 0);
    assert_int_equal(world->sent, 4);
    assert_string_equal(world->to[3], processes[2]);
    ack(world, 1, WIRE_ACK_SUCCEEDED, clock_mono_ns());
    expect(world, 1, OPERATION_QUEUED, NULL);
    operations_process_gone(world->operations, processes[1]);
    operations_ack(world->operations, processes[2],
                   &(struct wire_ack){.operation = 1, .heap_number = 1, .state = WIRE_ACK_SUCCEEDED, .collected = 1});
    expect(world, 1, OPERATION_QUEUED, "process_gone");
    operations_ack(world->operations, processes[0],
                   &(struct wire_ack){.operation = 1, .heap_number = 2, .state = WIRE_ACK_SUCCEEDED, .collected = 2});
    struct operation_view *view = get(world, 1);
    assert_int_equal(view->state, OPERATION_FAILED);
    assert_int_equal(view->collected, 10);
    assert_true(view->batch);
    assert_int_equal(view->heaps[2].state, OPERATION_FAILED);
    assert_int_equal(view->heaps[3].state, OPERATION_SUCCEEDED);
    assert_string_equal(view->processes[view->heaps[3].process], processes[2]);
    operations_view_free(view);
    request.target_count = OPERATION_TARGETS_MAX + 1;
    assert_int_equal(operations_start(world->operations, &request, id), -E2BIG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {TEST(test_a_hundred_askers_share_one_collection),
                                       TEST(test_what_has_begun_is_no_answer_to_who_asks_later),
                                       TEST(test_riders_of_what_found_no_room),
                                       TEST(test_a_process_that_never_ends_takes_not_all_there_is),
                                       TEST(test_figures_that_no_host_can_have),
                                       TEST(test_old_libraries_are_believed),
                                       TEST(test_different_wishes_do_not_ride),
                                       TEST(test_cancelling_one_leaves_the_others),
                                       TEST(test_a_rider_outlives_the_one_it_rode_on),
                                       TEST(test_failures_are_those_of_all),
                                       TEST(test_a_silent_host_leaves_all_unconfirmed),
                                       TEST(test_what_a_library_does_not_know_is_unsupported),
                                       TEST(test_rows_are_kept_for_all_who_asked),
                                       TEST(test_a_heap_lists_one_thing_at_a_time),
                                       TEST(test_rows_are_bounded),
                                       TEST(test_a_batch_is_one_operation_with_many_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
