/* Who asked for what, and from where: what a control leaves in the audit, and what a refused one does. */
#include "tally.h"
#include "world.h"

#define P "/v1/processes/" PROCESS

static void expect(struct world *world, size_t back, const char *kind, const char *result, const char *code)
{
    struct audit_record records[8];
    assert_true(heard_list(&world->heard, records, 8) > back);
    assert_string_equal(records[back].kind, kind);
    assert_string_equal(records[back].result, result);
    assert_string_equal(records[back].code, code);
}

static void test_a_control_is_audited_from_asked_to_done(void **state)
{
    struct world *world = *state;
    struct audit_record record;
    char who[32], from[48];
    ask_on(world, dial_unix(world),
           "POST " P "/heaps/1/collect?wait=5s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
           "Content-Type: application/json\r\nContent-Length: #\r\n\r\n{ \"generation\": 1 }");
    expect(world, 1, "collect", "accepted", "");
    expect(world, 0, "collect", "succeeded", "");
    assert_int_equal(heard_list(&world->heard, &record, 1), 1);
    snprintf(who, sizeof who, "uid %u", (unsigned)getuid());
    snprintf(from, sizeof from, "api.sock pid %d", (int)getpid());
    assert_string_equal(record.who, who);
    assert_string_equal(record.from, from);
    assert_string_equal(record.target, PROCESS "/heaps/1");
    assert_string_equal(record.detail, "{\"generation\":1}");
    assert_string_equal(record.operation, "feedbeef-1");
    ask_on(world, dial_unix(world), "DELETE /v1/operations/feedbeef-1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(world, 0, "cancel", "done", "");
}

static void test_what_the_host_forbids_is_audited(void **state)
{
    struct world *world = *state;
    world->host = HOST_REFUSES;
    world->error = TALLY_EVETO;
    const char *answer = ask_on(world, dial_unix(world),
                                "POST " P "/collect?wait=5s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "\"code\":\"vetoed\",\"detail\":\"the host does not let"));
    expect(world, 0, "collect", "failed", "vetoed");
}

static void test_who_may_not_is_audited_with_his_address(void **state)
{
    struct world *world = *state;
    struct audit_record records[4];
    ask_on(world, dial_tcp(world), "POST " P "/collect HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n\r\n");
    expect(world, 0, "collect", "refused", "unauthorized");
    assert_int_equal(heard_list(&world->heard, records, 4), 1);
    assert_string_equal(records[0].who, "nobody");
    assert_int_equal(strncmp(records[0].from, "127.0.0.1:", 10), 0);
    ask_on(world, dial_tcp(world), "GET " P " HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n\r\n");
    ask_on(world, dial_tcp(world),
           "GET " P " HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n" BEARER "\r\n");
    assert_int_equal(heard_list(&world->heard, records, 4), 1); /* reading leaves nothing */
    ask_on(world, dial_tcp(world),
           "POST " P "/collect HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n" BEARER "\r\n");
    expect(world, 1, "collect", "accepted", "");
    assert_int_equal(heard_list(&world->heard, records, 1), 1);
    assert_string_equal(records[0].who, "token");
}

static void test_logins_are_audited(void **state)
{
    struct world *world = *state;
    char request[400];
    json_t *minted = json_of(ask_on(world, dial_unix(world),
                                    "POST /v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                    "Content-Type: application/json\r\nContent-Length: #\r\n\r\n{}"));
    expect(world, 0, "login_code", "done", "");
    snprintf(request, sizeof request,
             "POST /v1/session HTTP/1.1\r\nHost: 127.0.0.1:$\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: #\r\n\r\n{\"code\":\"%s\"}",
             json_string_value(json_object_get(minted, "code")));
    json_decref(minted);
    ask_on(world, dial_tcp(world), request);
    expect(world, 0, "login", "done", "");
    ask_on(world, dial_tcp(world), request); /* once */
    expect(world, 0, "login", "refused", "unauthorized");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)
    const struct CMUnitTest tests[] = {TEST(test_a_control_is_audited_from_asked_to_done),
                                       TEST(test_what_the_host_forbids_is_audited),
                                       TEST(test_who_may_not_is_audited_with_his_address),
                                       TEST(test_logins_are_audited)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
