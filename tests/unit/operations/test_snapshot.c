/* A snapshot's operation ends with its host and its artifact, in whichever order they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "operations/operations.h"
#include "tally.h"

#define PROCESS "0123456789abcdef0123456789abcdef"

static struct operations *operations;
static struct wire_command sent[8];
static unsigned sent_count;

static int send_command(void *arg, const char *process, const struct wire_command *command)
{
    (void)arg, (void)process;
    sent[sent_count++ % 8] = *command;
    return 0;
}

static int start(void **state)
{
    (void)state;
    sent_count = 0;
    operations = operations_new("aabbccdd", send_command, NULL, NULL);
    return operations ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    operations_free(operations);
    return 0;
}

/* Of both heaps or one; returns the operation's number. */
static uint64_t ask(size_t heaps, char *id)
{
    static const struct operation_target targets[] = {{0, 1}, {0, 2}};
    static const char *const process = PROCESS;
    assert_int_equal(operations_start(operations, &(struct operation_request){.processes = &process,
                                                                              .process_count = 1,
                                                                              .targets = targets,
                                                                              .target_count = heaps,
                                                                              .command = {.kind = WIRE_COMMAND_SNAPSHOT},
                                                                              .deadline_ms = 60000}, id), 0);
    return sent[sent_count - 1].operation;
}

static void ack(uint64_t number, uint32_t heap, enum wire_ack_state state, enum wire_snapshot_reason reason)
{
    operations_ack(operations, PROCESS,
                   &(struct wire_ack){.operation = number, .heap_number = heap, .state = state,
                                      .error = state == WIRE_ACK_FAILED ? TALLY_ESYS : 0, .reason = reason,
                                      .mode = WIRE_SNAPSHOT_CLONE, .pause_ns = 7000, .predicted_pause_ns = 8000,
                                      .resident_bytes = 1 << 20, .total = 5});
}

static bool comes(uint64_t number, uint32_t heap)
{
    return operations_snapshot_comes(operations, PROCESS, &(struct wire_snapshot){.operation = number, .heap_number = heap,
                                                                                  .mode = WIRE_SNAPSHOT_CLONE});
}

static void ends(uint64_t number, uint32_t heap, bool whole)
{
    operations_snapshot_ends(operations, &(struct operation_artifact){.operation = number, .process = PROCESS, .heap = heap,
                                                                      .artifact = "0011223344556677", .whole = whole,
                                                                      .objects = 6, .bytes = 96});
}

static void is(const char *id, enum operation_state state, const char *code)
{
    struct operation_view *view = operations_get_new(operations, id);
    assert_non_null(view);
    assert_int_equal(view->state, state);
    if (code)
        assert_string_equal(view->code, code);
    else
        assert_null(view->code);
    if (code)
        assert_non_null(operation_sentence(view->code, view->error));
    operations_view_free(view);
}

static void test_both_ends_in_either_order(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        char id[OPERATION_ID_CHARS];
        uint64_t number = ask(1, id);
        ack(number, 1, WIRE_ACK_RUNNING, WIRE_SNAPSHOT_FINE);
        assert_true(comes(number, 1));
        if (first)
            ack(number, 1, WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_FINE);
        else
            ends(number, 1, true);
        is(id, OPERATION_RUNNING, NULL);
        if (first)
            ends(number, 1, true);
        else
            ack(number, 1, WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_FINE);
        is(id, OPERATION_SUCCEEDED, NULL);
        struct operation_view *view = operations_get_new(operations, id);
        assert_string_equal(view->heaps[0].snapshot.artifact, "0011223344556677");
        assert_int_equal(view->heaps[0].snapshot.bytes, 96);
        assert_int_equal(view->heaps[0].snapshot.mode, WIRE_SNAPSHOT_CLONE);
        assert_int_equal(view->pause_ns, 7000);
        operations_view_free(view);
    }
    uint64_t pause_ns, resident_bytes;
    assert_true(operations_last_clone(operations, PROCESS, &pause_ns, &resident_bytes));
    assert_int_equal(pause_ns, 7000);
    assert_int_equal(resident_bytes, 1 << 20);
    assert_false(operations_last_clone(operations, "nobody", &pause_ns, &resident_bytes));
}

static void test_each_heap_has_its_own(void **state)
{
    (void)state;
    char id[OPERATION_ID_CHARS];
    uint64_t number = ask(2, id);
    assert_int_equal(sent_count, 2);
    for (uint32_t heap = 1; heap <= 2; heap++) {
        assert_true(comes(number, heap));
        assert_false(comes(number, heap)); /* once */
        ack(number, heap, WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_FINE);
        assert_int_equal(operations_goes_on(operations, PROCESS, WIRE_COMMAND_SNAPSHOT), true);
        ends(number, heap, true);
    }
    is(id, OPERATION_SUCCEEDED, NULL);
    assert_false(operations_goes_on(operations, PROCESS, WIRE_COMMAND_SNAPSHOT));
}

static void test_what_nobody_asked_for_does_not_come(void **state)
{
    (void)state;
    char id[OPERATION_ID_CHARS];
    uint64_t number = ask(1, id);
    assert_false(comes(number + 1, 1));
    assert_false(comes(number, 2));
    ends(number, 1, true); /* of a pipe that did not come */
    ack(number, 1, WIRE_ACK_FAILED, WIRE_SNAPSHOT_PAUSE);
    is(id, OPERATION_FAILED, "pause_too_long");
    assert_false(comes(number, 1)); /* it is over */
}

static void test_a_host_that_says_so_without_a_pipe(void **state)
{
    (void)state;
    char id[OPERATION_ID_CHARS];
    ack(ask(1, id), 1, WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_FINE);
    is(id, OPERATION_FAILED, "refused_by_host");
}

/* What broke is the host's word, where it has one; what nobody read any more is the artifact's. */
static void test_what_breaks(void **state)
{
    (void)state;
    static const struct {
        enum wire_ack_state state;
        enum wire_snapshot_reason reason;
        const char *code;
    } cases[] = {{WIRE_ACK_FAILED, WIRE_SNAPSHOT_DIED, "child_died"},
                 {WIRE_ACK_FAILED, WIRE_SNAPSHOT_STALLED, "not_kept"},
                 {WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_FINE, "not_kept"},
                 {WIRE_ACK_FAILED, (enum wire_snapshot_reason)99, "refused_by_host"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[OPERATION_ID_CHARS];
        uint64_t number = ask(1, id);
        assert_true(comes(number, 1));
        ends(number, 1, false);
        is(id, OPERATION_QUEUED, NULL);
        ack(number, 1, cases[i].state, cases[i].reason);
        is(id, OPERATION_FAILED, cases[i].code);
    }
}

/* A host that has said its last word may go; one that says nothing of what is broken is not waited for. */
static void test_hosts_that_go_and_hosts_that_say_nothing(void **state)
{
    (void)state;
    char answered[OPERATION_ID_CHARS], silent[OPERATION_ID_CHARS], gone[OPERATION_ID_CHARS];
    uint64_t number = ask(1, answered);
    assert_true(comes(number, 1));
    ack(number, 1, WIRE_ACK_SUCCEEDED, WIRE_SNAPSHOT_FINE);
    uint64_t other = ask(1, silent);
    assert_true(comes(other, 1));
    ack(other, 1, WIRE_ACK_RUNNING, WIRE_SNAPSHOT_FINE);
    ends(other, 1, false);
    usleep(1100000);
    operations_tick(operations);
    is(silent, OPERATION_FAILED, "not_kept");
    ask(1, gone);
    operations_process_gone(operations, PROCESS);
    is(gone, OPERATION_FAILED, "process_gone");
    is(answered, OPERATION_RUNNING, NULL);
    ends(number, 1, true);
    is(answered, OPERATION_SUCCEEDED, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
        TEST(test_both_ends_in_either_order),
        TEST(test_each_heap_has_its_own),
        TEST(test_what_nobody_asked_for_does_not_come),
        TEST(test_a_host_that_says_so_without_a_pipe),
        TEST(test_what_breaks),
        TEST(test_hosts_that_go_and_hosts_that_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
