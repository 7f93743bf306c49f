/* Idempotency-Key: how many keys are known, and what becomes of one whose first request never ends. */
#include "world.h"

#define KEYS OPERATIONS_KEPT

static const char *post(const struct world *world, unsigned key, const char *query)
{
    char request[320];
    snprintf(request, sizeof request,
             "POST /v1/processes/" PROCESS "/collect%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: key-%u\r\n"
             "Content-Length: 0\r\n\r\n", query, key);
    return ask_on(world, dial_unix(world), request);
}

static unsigned long number_of(const char *answer)
{
    const char *id = strstr(answer, "\"id\":\"feedbeef-");
    if (!id)
        fail_msg("no operation: %s", answer);
    return strtoul(id + strlen("\"id\":\"feedbeef-"), NULL, 10);
}

static void test_so_many_keys_are_known(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(number_of(post(world, i, "")), i + 1);
    assert_int_equal(number_of(post(world, KEYS - 1, "")), KEYS); /* the newest */
    assert_int_equal(number_of(post(world, KEYS, "")), KEYS + 1); /* one more: the oldest is forgotten */
    assert_int_equal(number_of(post(world, 2, "")), 3);
    assert_int_equal(number_of(post(world, 0, "")), KEYS + 2);
}

/* A client that hangs up while it waits has begun the operation all the same. */
static void test_a_first_that_hangs_up(void **state)
{
    struct world *world = *state;
    char request[320];
    world->host = HOST_SILENT;
    int fd = dial_unix(world);
    snprintf(request, sizeof request,
             "POST /v1/processes/" PROCESS "/collect?wait=60s HTTP/1.1\r\nHost: x\r\nIdempotency-Key: key-7\r\nContent-Length: 0\r\n\r\n");
    say(world, fd, request);
    usleep(100000);
    close(fd);
    assert_int_equal(number_of(post(world, 7, "?wait=10ms")), 1);
    assert_int_equal(number_of(post(world, 7, "")), 1);
}

/* A request whose header came and whose body never did holds no key. */
static void test_a_first_without_its_body(void **state)
{
    struct world *world = *state;
    int fd = dial_unix(world);
    say(world, fd, "POST /v1/processes/" PROCESS "/collect HTTP/1.1\r\nHost: x\r\nIdempotency-Key: key-1\r\n"
                   "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
    usleep(50000);
    assert_int_equal(number_of(post(world, 1, "")), 1);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_so_many_keys_are_known), TEST(test_a_first_that_hangs_up),
                                       TEST(test_a_first_without_its_body)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
