/* Rows of listings: handed on where somebody asked, with their times put right; and the end of who sends nonsense. */
#include "forged_host.h"

static size_t objects_make(char *to, uint32_t count, uint64_t operation)
{
    struct wire_rows rows = {.operation = operation, .heap_number = 1, .kind = WIRE_COMMAND_OBJECTS, .count = count};
    size_t bytes = sizeof rows + count * sizeof(struct wire_object);
    memset(to, 0, bytes);
    rows.head = wire_head_make(WIRE_ROWS, bytes);
    memcpy(to, &rows, sizeof rows);
    for (uint32_t i = 0; i < count; i++)
        memcpy(to + sizeof rows + i * sizeof(struct wire_object), &(struct wire_object){.object = i + 1},
               sizeof(struct wire_object));
    return bytes;
}

static void ask(struct world *world, uint8_t id, int host, uint32_t kind)
{
    struct wire_command command = {.operation = 5, .deadline_ns = clock_mono_ns() + 1000000000u, .heap_number = 1,
                                   .kind = kind, .limit = 1000}, got;
    char text[33];
    id_text(id, text);
    assert_int_equal(intake_command(world->intake, text, &command), 0);
    assert_int_equal(host_receive(host, &got, sizeof got), sizeof got);
    assert_int_equal(got.limit, 1000);
}

static void answer(struct world *world, int host, uint32_t state)
{
    struct wire_ack ack = {.head = wire_head_make(WIRE_ACK, sizeof ack), .operation = 5, .heap_number = 1, .state = state};
    unsigned acks = 0;
    host_send(host, &ack, sizeof ack, NULL, 0);
    for (unsigned i = 0; i < 15000 && !acks; i++, usleep(2000)) {
        pthread_mutex_lock(&world->lock);
        acks = world->acks;
        pthread_mutex_unlock(&world->lock);
    }
    assert_int_equal(acks, 1);
}

static void test_rows_come_before_their_answer(void **state)
{
    struct world *world = *state;
    static char message[WIRE_MESSAGE_MAX];
    int host = host_attach(world, 1);
    ask(world, 1, host, WIRE_COMMAND_OBJECTS);
    for (unsigned i = 0; i < 3; i++)
        host_send(host, message, objects_make(message, 255, 5), NULL, 0);
    answer(world, host, WIRE_ACK_SUCCEEDED);
    assert_int_equal(world->rows, 3);
    assert_int_equal(world->rows_objects, 3 * 255);
    assert_int_equal(world->rows_last, 255);
    close(host);
}

static void test_rows_that_nobody_asked_for_are_passed_over(void **state)
{
    struct world *world = *state;
    static char message[WIRE_MESSAGE_MAX];
    int host = host_attach(world, 1);
    host_send(host, message, objects_make(message, 10, 5), NULL, 0);
    answer(world, host, WIRE_ACK_RUNNING);
    assert_int_equal(world->rows, 0);
    close(host);
}

static void test_rows_that_lie_cost_their_process(void **state)
{
    struct world *world = *state;
    static char message[WIRE_MESSAGE_MAX];
    for (uint8_t id = 1; id <= 3; id++) {
        int host = host_attach(world, id);
        size_t bytes = objects_make(message, 2, 5);
        struct wire_rows rows;
        memcpy(&rows, message, sizeof rows);
        rows.count = id == 1 ? 3 : 2;
        rows.kind = id == 2 ? WIRE_COMMAND_CYCLES : id == 3 ? 55 : rows.kind;
        memcpy(message, &rows, sizeof rows);
        host_send(host, message, bytes, NULL, 0);
        assert_dropped(world, host, id == 3 ? "out of range" : "not as long as it says");
    }
}

/* A host in another time namespace: its clock is a day ahead. */
static void test_times_are_of_our_clock(void **state)
{
    const int64_t ahead_ns = 86400000000000;
    struct world *world = *state;
    _Alignas(8) char message[sizeof(struct wire_rows) + sizeof(struct wire_cycle) + 8] = {0};
    struct wire_hello_view hello = {.clock_ns = clock_mono_ns() + (uint64_t)ahead_ns, .name = "ahead"};
    char bytes[WIRE_MESSAGE_MAX];
    int host = host_connect(world);
    memset(hello.id, 9, sizeof hello.id);
    host_send(host, bytes, wire_hello_encode(&hello, bytes, sizeof bytes), NULL, 0);
    assert_true(host_receive(host, bytes, sizeof bytes) > 0);
    ask(world, 9, host, WIRE_COMMAND_CYCLES);
    uint64_t now_ns = clock_mono_ns();
    struct wire_rows rows = {.head = wire_head_make(WIRE_ROWS, sizeof message), .operation = 5, .heap_number = 1,
                             .kind = WIRE_COMMAND_CYCLES, .count = 1};
    memcpy(message, &rows, sizeof rows);
    memcpy(message + sizeof rows,
           &(struct wire_cycle){.last_ns = now_ns + (uint64_t)ahead_ns, .text_bytes = 8}, sizeof(struct wire_cycle));
    host_send(host, message, sizeof message, NULL, 0);
    answer(world, host, WIRE_ACK_SUCCEEDED);
    assert_true(world->rows_last >= now_ns && world->rows_last < now_ns + 5000000000u);
    close(host);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {TEST(test_rows_come_before_their_answer),
                                       TEST(test_rows_that_nobody_asked_for_are_passed_over),
                                       TEST(test_rows_that_lie_cost_their_process),
                                       TEST(test_times_are_of_our_clock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
