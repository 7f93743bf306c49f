/* Every way an operation can go, and that many threads may walk it at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "heard.h"
#include "operations/operations.h"
#include "tally.h"

#define PROCESS "0123456789abcdef0123456789abcdef"

struct world {
    struct heard heard; /* by the audit */
    struct operations *operations;
    int send_result;
    atomic_uint sent, cancelled, told;
    struct wire_command last;
};

static int send_command(void *arg, const char *process, const struct wire_command *command)
{
    struct world *world = arg;
    assert_string_equal(process, PROCESS);
    if (command->kind == WIRE_COMMAND_CANCEL)
        world->cancelled++;
    else if (!world->sent++)
        world->last = *command;
    return world->send_result;
}

static void changed(void *arg, const char *id)
{
    struct world *world = arg;
    world->told++;
    /* With no lock held: a listener may look. */
    operations_view_free(operations_get_new(world->operations, id));
}

static int start_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    heard_start(&world->heard);
    world->operations = operations_new("aabbccdd", send_command, world, world->heard.audit);
    operations_on_change(world->operations, changed, world);
    *state = world;
    return 0;
}

static int stop_world(void **state)
{
    struct world *world = *state;
    operations_free(world->operations);
    audit_free(world->heard.audit);
    free(world);
    return 0;
}

static int begin(struct world *world, size_t heaps, uint64_t deadline_ms, char *id)
{
    static const struct operation_target targets[] = {{0, 1}, {0, 2}, {0, 3}};
    static const char *const process = PROCESS;
    const struct audit_record asked = {.who = "uid 7", .from = "api.sock pid 8", .kind = "collect",
                                       .target = PROCESS, .detail = "{\"generation\":2}"};
    return operations_start(world->operations,
                            &(struct operation_request){
                                .processes = &process, .process_count = 1, .targets = targets,
                                .target_count = heaps, .asked = &asked,
                                .command = {.kind = WIRE_COMMAND_COLLECT, .generation = 2},
                                .deadline_ms = deadline_ms},
                            id);
}

static void ack(struct world *world, uint64_t number, uint32_t heap, uint32_t state, int64_t collected)
{
    operations_ack(world->operations, PROCESS,
                   &(struct wire_ack){.operation = number,
                                      .heap_number = heap,
                                      .state = state,
                                      .collected = collected,
                                      .freed_bytes = (uint64_t)(collected * 32),
                                      .pause_ns = (uint64_t)collected * 10,
                                      .safepoint_wait_ns = 7});
}

static enum operation_state state_of(struct world *world, const char *id, const char *code)
{
    struct operation_view *view = operations_get_new(world->operations, id);
    assert_non_null(view);
    enum operation_state state = view->state;
    if (code)
        assert_string_equal(view->code, code);
    else
        assert_null(view->code);
    assert_int_equal(operation_is_over(state), view->finished_wall_ns != 0);
    operations_view_free(view);
    return state;
}

static void test_every_state_in_order(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    assert_int_equal(begin(world, 1, 1000, id), 0);
    assert_string_equal(id, "aabbccdd-1");
    assert_int_equal(world->last.operation, 1);
    assert_int_equal(world->last.heap_number, 1);
    assert_int_equal(world->last.generation, 2);
    assert_int_equal(state_of(world, id, NULL), OPERATION_QUEUED);
    ack(world, 1, 1, WIRE_ACK_WAITING, 0);
    assert_int_equal(state_of(world, id, NULL), OPERATION_WAITING);
    ack(world, 1, 1, WIRE_ACK_RUNNING, 0);
    assert_int_equal(state_of(world, id, NULL), OPERATION_RUNNING);
    ack(world, 1, 1, WIRE_ACK_WAITING, 0);
    assert_int_equal(state_of(world, id, NULL), OPERATION_RUNNING);
    ack(world, 1, 1, WIRE_ACK_SUCCEEDED, 3);
    assert_int_equal(state_of(world, id, NULL), OPERATION_SUCCEEDED);
    unsigned told = world->told;
    ack(world, 1, 1, WIRE_ACK_FAILED, 9);
    ack(world, 1, 1, 99, 9);
    ack(world, 1, 0, WIRE_ACK_FAILED, 9);
    ack(world, 2, 1, WIRE_ACK_FAILED, 9);
    operations_process_gone(world->operations, PROCESS);
    assert_int_equal(state_of(world, id, NULL), OPERATION_SUCCEEDED);
    assert_int_equal(world->told, told);
}

static void test_how_heaps_add_up(void **state)
{
    static const struct {
        uint32_t acks[3];
        enum operation_state state;
    } rows[] = {
        {{0, 0, 0}, OPERATION_QUEUED},
        {{WIRE_ACK_SUCCEEDED, WIRE_ACK_RUNNING, 0}, OPERATION_QUEUED},
        {{WIRE_ACK_SUCCEEDED, WIRE_ACK_RUNNING, WIRE_ACK_WAITING}, OPERATION_WAITING},
        {{WIRE_ACK_SUCCEEDED, WIRE_ACK_RUNNING, WIRE_ACK_FAILED}, OPERATION_RUNNING},
        {{WIRE_ACK_SUCCEEDED, WIRE_ACK_SUCCEEDED, WIRE_ACK_SUCCEEDED}, OPERATION_SUCCEEDED},
        {{WIRE_ACK_SUCCEEDED, WIRE_ACK_CANCELLED, WIRE_ACK_SUCCEEDED}, OPERATION_CANCELLED},
        {{WIRE_ACK_EXPIRED, WIRE_ACK_CANCELLED, WIRE_ACK_SUCCEEDED}, OPERATION_EXPIRED},
        {{WIRE_ACK_EXPIRED, WIRE_ACK_CANCELLED, WIRE_ACK_FAILED}, OPERATION_FAILED},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[OPERATION_ID_CHARS];
        begin(world, 3, 60000 - 5000 * i, id); /* the earlier deadline rides on no later one */
        for (uint32_t heap = 1; heap <= 3; heap++)
            if (rows[i].acks[heap - 1])
                ack(world, i + 1, heap, rows[i].acks[heap - 1], heap);
        struct operation_view *view = operations_get_new(world->operations, id);
        assert_int_equal(view->state, rows[i].state);
        if (rows[i].state == OPERATION_SUCCEEDED) {
            assert_int_equal(view->collected, 6);
            assert_int_equal(view->freed_bytes, 192);
            assert_int_equal(view->pause_ns, 30); /* the longest */
            assert_int_equal(view->safepoint_wait_ns, 7);
        }
        operations_view_free(view);
    }
}

static void test_sums_of_hosts_that_lie_are_no_nonsense(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    begin(world, 3, 60000, id);
    for (uint32_t heap = 1; heap <= 3; heap++)
        operations_ack(world->operations, PROCESS,
                       &(struct wire_ack){.operation = 1, .heap_number = heap, .state = WIRE_ACK_SUCCEEDED, .collected = INT64_MAX});
    struct operation_view *view = operations_get_new(world->operations, id);
    assert_true(view->collected > 0 && view->collected == 3 * view->heaps[0].collected);
    operations_view_free(view);
}

static void test_the_hosts_reasons(void **state)
{
    static const struct {
        int32_t error;
        const char *code, *sentence;
    } rows[] = {{TALLY_EBUSY, "busy", "too many requests wait for this heap"},
                {TALLY_ESTATE, "heap_gone", "the heap is no longer attached"},
                {TALLY_EUNSUPPORTED, "unsupported", "this manager does not have that"},
                {TALLY_ENOMEM, "refused_by_host", "out of memory"},
                {-77, "refused_by_host", "the library refused the request"},
                {0, "refused_by_host", "the library refused the request"}};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[OPERATION_ID_CHARS];
        begin(world, 1, 1000, id);
        operations_ack(world->operations, PROCESS,
                       &(struct wire_ack){.operation = i + 1, .heap_number = 1, .state = WIRE_ACK_FAILED,
                                          .error = rows[i].error});
        assert_int_equal(state_of(world, id, rows[i].code), OPERATION_FAILED);
        struct operation_view *view = operations_get_new(world->operations, id);
        assert_string_equal(operation_sentence(view->code, view->error), rows[i].sentence);
        operations_view_free(view);
    }
    assert_null(operation_sentence(NULL, TALLY_ENOMEM));
}

/* The operation's reason is the first one that a heap gave. */
static void test_heaps_fail_for_reasons_of_their_own(void **state)
{
    static const int32_t errors[] = {TALLY_EUNSUPPORTED, TALLY_EINVAL};
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    begin(world, 2, 1000, id);
    for (uint32_t i = 0; i < 2; i++)
        operations_ack(world->operations, PROCESS,
                       &(struct wire_ack){.operation = 1, .heap_number = i + 1, .state = WIRE_ACK_FAILED,
                                          .error = errors[i]});
    struct operation_view *view = operations_get_new(world->operations, id);
    assert_string_equal(operation_sentence(view->code, view->error), "this manager does not have that");
    assert_string_equal(operation_sentence(view->heaps[1].code, view->heaps[1].error),
                        "an argument is out of range");
    operations_view_free(view);
}

static void test_another_process_cannot_speak_for_it(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    begin(world, 1, 1000, id);
    operations_ack(world->operations, "ffffffffffffffffffffffffffffffff",
                   &(struct wire_ack){.operation = 1, .heap_number = 1, .state = WIRE_ACK_SUCCEEDED});
    operations_process_gone(world->operations, "ffffffffffffffffffffffffffffffff");
    assert_int_equal(state_of(world, id, NULL), OPERATION_QUEUED);
    operations_process_gone(world->operations, PROCESS);
    assert_int_equal(state_of(world, id, "process_gone"), OPERATION_FAILED);
}

static void test_what_cannot_be_sent_fails(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    world->send_result = -ESRCH;
    assert_int_equal(begin(world, 2, 1000, id), 0);
    assert_int_equal(state_of(world, id, "process_gone"), OPERATION_FAILED);
    world->send_result = -EIO;
    begin(world, 2, 1000, id);
    assert_int_equal(state_of(world, id, "undeliverable"), OPERATION_FAILED);
    world->send_result = 0;
    begin(world, 0, 1000, id);
    assert_int_equal(state_of(world, id, NULL), OPERATION_SUCCEEDED);
}

/* No room on the way is no failure: it is sent when there is some, or has expired, by our own word. */
static void test_what_finds_no_room_waits_for_it(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS], late[OPERATION_ID_CHARS];
    world->send_result = -ENOBUFS;
    begin(world, 2, 10000, id);
    begin(world, 1, 1, late);
    assert_int_equal(state_of(world, id, NULL), OPERATION_QUEUED);
    usleep(5000);
    operations_tick(world->operations);
    assert_int_equal(state_of(world, id, NULL), OPERATION_QUEUED);
    assert_int_equal(state_of(world, late, NULL), OPERATION_EXPIRED);
    world->send_result = 0;
    world->sent = 0;
    operations_tick(world->operations);
    assert_int_equal(world->sent, 2);
    ack(world, 1, 1, WIRE_ACK_SUCCEEDED, 1);
    ack(world, 1, 2, WIRE_ACK_SUCCEEDED, 1);
    assert_int_equal(state_of(world, id, NULL), OPERATION_SUCCEEDED);
}

static void test_silence_is_unconfirmed_after_the_grace(void **state)
{
    struct world *world = *state;
    char silent[OPERATION_ID_CHARS], mixed[OPERATION_ID_CHARS];
    begin(world, 1, 200, silent);
    begin(world, 2, 10, mixed); /* does not ride: its deadline is the earlier one */
    ack(world, 2, 1, WIRE_ACK_RUNNING, 0);
    usleep(220000);
    operations_tick(world->operations); /* past the deadline, within the grace */
    assert_int_equal(state_of(world, silent, NULL), OPERATION_QUEUED);
    usleep(OPERATION_GRACE_NS / 1000);
    operations_tick(world->operations);
    assert_int_equal(state_of(world, silent, "unconfirmed"), OPERATION_FAILED);
    assert_int_equal(state_of(world, mixed, "unconfirmed"), OPERATION_RUNNING);
    ack(world, 2, 1, WIRE_ACK_SUCCEEDED, 3);
    assert_int_equal(state_of(world, mixed, "unconfirmed"), OPERATION_FAILED);
    ack(world, 1, 1, WIRE_ACK_SUCCEEDED, 3);
    assert_int_equal(state_of(world, silent, "unconfirmed"), OPERATION_FAILED);
}

static void test_cancel_asks_the_host(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    begin(world, 3, 1000, id);
    ack(world, 1, 2, WIRE_ACK_SUCCEEDED, 1);
    assert_true(operations_cancel(world->operations, id));
    assert_int_equal(world->cancelled, 2);
    assert_int_equal(state_of(world, id, NULL), OPERATION_QUEUED);
    ack(world, 1, 1, WIRE_ACK_CANCELLED, 0);
    ack(world, 1, 3, WIRE_ACK_CANCELLED, 0);
    assert_int_equal(state_of(world, id, NULL), OPERATION_CANCELLED);
    assert_true(operations_cancel(world->operations, id));
    assert_int_equal(world->cancelled, 2);
    begin(world, 0, 1000, id);
    assert_true(operations_cancel(world->operations, id));
    assert_false(operations_cancel(world->operations, "aabbccdd-99"));
}

static void test_the_last_ones_are_kept(void **state)
{
    struct world *world = *state;
    static struct operation_view *views[OPERATIONS_KEPT + 10];
    char first[OPERATION_ID_CHARS], id[OPERATION_ID_CHARS];
    begin(world, 1, 60000, first); /* goes on: never dropped */
    for (uint64_t i = 2; i < OPERATIONS_KEPT + 100; i++) {
        assert_int_equal(begin(world, 1, 1000, id), 0);
        ack(world, i, 1, WIRE_ACK_SUCCEEDED, 0);
    }
    size_t count = operations_list_new(world->operations, views, OPERATIONS_KEPT + 10);
    assert_int_equal(count, OPERATIONS_KEPT);
    assert_string_equal(views[0]->id, id);
    assert_string_equal(views[count - 1]->id, first);
    for (size_t i = 0; i < count; i++)
        operations_view_free(views[i]);
    assert_null(operations_get_new(world->operations, "aabbccdd-2"));
    assert_true(operations_id(world->operations, 1, id));
    assert_false(operations_id(world->operations, 2, id));
    assert_false(operations_id(world->operations, 0, id));
}

static void test_no_more_open_ones_than_the_limit(void **state)
{
    struct world *world = *state;
    char id[OPERATION_ID_CHARS];
    for (unsigned i = 0; i < OPERATIONS_OPEN_EACH; i++)
        assert_int_equal(begin(world, 1, 60000, id), 0);
    assert_int_equal(begin(world, 1, 60000, id), -EBUSY);
    ack(world, 1, 1, WIRE_ACK_SUCCEEDED, 0);
    assert_int_equal(begin(world, 1, 60000, id), 0);
}

/* Two records each, the second of them as the operation ended. */
static void test_every_operation_is_audited(void **state)
{
    struct world *world = *state;
    struct audit_record records[8];
    char one[OPERATION_ID_CHARS], two[OPERATION_ID_CHARS];
    begin(world, 1, 1000, one);
    begin(world, 2, 1000, two);
    ack(world, 1, 1, WIRE_ACK_SUCCEEDED, 3);
    operations_process_gone(world->operations, PROCESS);
    assert_int_equal(heard_list(&world->heard, records, 8), 4);
    assert_string_equal(records[3].result, "accepted");
    assert_string_equal(records[2].result, "accepted");
    assert_string_equal(records[1].result, "succeeded");
    assert_string_equal(records[0].result, "failed");
    assert_string_equal(records[0].code, "process_gone");
    assert_string_equal(records[0].operation, two);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(records[i].who, "uid 7");
        assert_string_equal(records[i].from, "api.sock pid 8");
        assert_string_equal(records[i].kind, "collect");
        assert_string_equal(records[i].target, PROCESS);
        assert_string_equal(records[i].detail, "{\"generation\":2}");
    }
    assert_string_equal(records[3].operation, one);
    assert_string_equal(records[1].operation, one);
}

static void *acknowledge(void *arg)
{
    struct world *world = arg;
    for (uint64_t i = 1; i <= 200; i++)
        for (uint32_t heap = 1; heap <= 3; heap++)
            ack(world, i, heap, WIRE_ACK_SUCCEEDED, 1);
    return NULL;
}

static void *look(void *arg)
{
    struct world *world = arg;
    struct operation_view *views[20];
    for (int i = 0; i < 100; i++) {
        size_t count = operations_list_new(world->operations, views, 20);
        for (size_t at = 0; at < count; at++) {
            operations_cancel(world->operations, views[at]->id);
            operations_view_free(views[at]);
        }
        operations_tick(world->operations);
    }
    return NULL;
}

/* The listener may go at any moment, and is not called afterwards. */
static void test_many_threads(void **state)
{
    struct world *world = *state;
    pthread_t threads[4];
    char id[OPERATION_ID_CHARS];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i % 2 ? acknowledge : look, world);
    for (int i = 0; i < 200; i++)
        begin(world, 3, 1000, id); /* -EBUSY where the others are slow */
    operations_on_change(world->operations, NULL, NULL);
    unsigned told = world->told;
    acknowledge(world);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(world->told, told);
    assert_true(operation_is_over(state_of(world, id, NULL))); /* succeeded, or was cancelled before it was sent */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_world, stop_world)
    const struct CMUnitTest tests[] = {TEST(test_every_state_in_order),
                                       TEST(test_how_heaps_add_up),
                                       TEST(test_sums_of_hosts_that_lie_are_no_nonsense),
                                       TEST(test_the_hosts_reasons),
                                       TEST(test_heaps_fail_for_reasons_of_their_own),
                                       TEST(test_another_process_cannot_speak_for_it),
                                       TEST(test_what_cannot_be_sent_fails),
                                       TEST(test_silence_is_unconfirmed_after_the_grace),
                                       TEST(test_cancel_asks_the_host),
                                       TEST(test_the_last_ones_are_kept),
                                       TEST(test_no_more_open_ones_than_the_limit),
                                       TEST(test_what_finds_no_room_waits_for_it),
                                       TEST(test_every_operation_is_audited),
                                       TEST(test_many_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
