/* What is kept over restarts, and what becomes of a file that is not ours. */
#include "rules_world.h"

#include <fcntl.h>

#define LEAK "{\"when\":{\"series\":\"live_bytes\",\"grows_by\":160,\"over\":\"16s\"},\"do\":[\"alert\"]}"
#define BIG "{\"when\":{\"series\":\"live_objects\",\"above\":100},\"limit_per_hour\":2,\"do\":[\"alert\",{\"collect\":{}}]}"

static void restart(struct rules_world *world)
{
    rules_free(world->rules);
    world->rules = rules_open(world);
    assert_non_null(world->rules);
}

static size_t alerts_count(struct rules_world *world, const char *state)
{
    json_t *list = rules_alerts_json(world->rules, &(struct rules_filter){.state = state});
    size_t count = json_array_size(list);
    json_decref(list);
    return count;
}

static void file_put(struct rules_world *world, const char *text)
{
    FILE *file = fopen(world->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static unsigned set_aside_count(struct rules_world *world)
{
    char command[160];
    unsigned count = 0;
    snprintf(command, sizeof command, "ls %s | grep -c 'rules.json.bad-'", world->folder);
    FILE *pipe = popen(command, "r");
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

static void test_rules_and_what_fires_outlive_a_restart(void **state)
{
    struct rules_world *world = *state;
    struct stat status;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "big", BIG);
    put_rule(world, "leak", LEAK);
    for (int i = 0; i <= 30; i++) {
        tell_live(world, process, 500 + 10 * (uint64_t)i);
        at(world, i);
    }
    assert_string_equal(state_word(world, "big"), "firing");
    assert_string_equal(state_word(world, "leak"), "firing");
    uint64_t number = world->number;
    assert_int_equal(stat(world->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    restart(world);
    assert_int_equal(alerts_count(world, "firing"), 2);
    at(world, 31);
    assert_string_equal(state_word(world, "big"), "firing");
    assert_string_equal(state_word(world, "leak"), "firing"); /* though its window is empty */
    assert_int_equal(world->begun, 2); /* nobody is told twice, */
    assert_int_equal(world->sent, 1);  /* and nothing done twice */
    for (int i = 32; i <= 80; i++)
        at(world, i); /* at rest */
    assert_string_equal(state_word(world, "leak"), "inactive");
    assert_string_equal(world->reason, "cleared");
    tell_live(world, process, 50);
    at(world, 81);
    tell_live(world, process, 500);
    at(world, 82);
    assert_int_equal(world->number, number + 1);
    assert_int_equal(world->sent, 2);
    restart(world);
    tell_live(world, process, 50);
    at(world, 83);
    tell_live(world, process, 500);
    at(world, 84);
    assert_string_equal(state_word(world, "big"), "throttled"); /* the limit is not made new by a restart */
    restart(world);
    at(world, 85);
    assert_string_equal(state_word(world, "big"), "throttled");
    assert_int_equal(world->sent, 2);
}

/* A tallyd that starts anew sees the process before it sees its figures. */
static void test_a_process_without_figures_yet_goes_on_firing(void **state)
{
    struct rules_world *world = *state;
    void *old = world->world, *inner;
    tell_live(world, attach(world->world, 1, 10, 0), 500);
    put_rule(world, "big", BIG);
    at(world, 1);
    assert_int_equal(alerts_count(world, "firing"), 1);
    restart(world);
    setup(&inner);
    world->world = inner;
    void *process = attach(world->world, 1, 10, 0);
    for (int i = 2; i < 6; i++)
        at(world, i);
    assert_int_equal(alerts_count(world, "firing"), 1);
    tell_live(world, process, 500);
    at(world, 6);
    assert_string_equal(state_word(world, "big"), "firing");
    assert_int_equal(alerts_count(world, "resolved"), 0);
    tell_live(world, process, 50);
    at(world, 7);
    assert_int_equal(alerts_count(world, "resolved"), 1);
    teardown(&old);
}

static void test_what_does_not_come_back_resolves(void **state)
{
    struct rules_world *world = *state;
    void *process = attach(world->world, 1, 10, 0);
    put_rule(world, "big", BIG);
    tell_live(world, process, 500);
    at(world, 1);
    world->world->sink.gone(world->world->stats, process, "exited");
    restart(world);
    for (int i = 2; i < 62; i++)
        at(world, i);
    assert_int_equal(alerts_count(world, "firing"), 1); /* it is waited for */
    at(world, 63);
    assert_int_equal(alerts_count(world, "firing"), 0);
    assert_string_equal(world->reason, "process_gone");
    restart(world);
    assert_int_equal(alerts_count(world, "firing"), 0);
}

static void test_a_rule_that_is_deleted_takes_its_restored_states_along(void **state)
{
    struct rules_world *world = *state;
    put_rule(world, "big", BIG);
    tell_live(world, attach(world->world, 1, 10, 0), 500);
    at(world, 1);
    restart(world);
    assert_int_equal(rules_delete(world->rules, "big", 0), RULES_DONE);
    assert_int_equal(alerts_count(world, "firing"), 0);
    assert_string_equal(world->reason, "rule_deleted");
}

static void test_a_corrupt_file_is_set_aside(void **state)
{
    struct rules_world *world = *state;
    static const char *const texts[] = {"", "{", "[]", "null", "{\"version\":1}", "{\"version\":2,\"rules\":[],\"firing\":[]}",
                                        "{\"version\":1,\"version\":1,\"rules\":[],\"firing\":[]}", "\xff\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char command[160];
        snprintf(command, sizeof command, "rm -f %s/*", world->folder);
        assert_int_equal(system(command), 0);
        file_put(world, texts[i]);
        restart(world);
        assert_int_equal(set_aside_count(world), 1);
        assert_int_equal(put_rule(world, "big", BIG), RULES_MADE);
    }
}

/* What can be read of it stands. */
static void test_wrong_parts_are_left_out(void **state)
{
    struct rules_world *world = *state;
    file_put(world, "{\"version\":1,\"alerts\":-5,\"rules\":[{\"rule\":{\"name\":\"good\",\"when\":{\"series\":\"live_bytes\",\"above\":1},\"do\":[\"alert\"]},"
                    "\"revision\":7,\"acted_wall_ns\":[-1,\"x\",99999999999999999]},{\"rule\":{\"name\":\"bad\"}},{\"rule\":3},"
                    "{\"rule\":{\"name\":\"good\",\"when\":{\"series\":\"live_bytes\",\"above\":1},\"do\":[\"log\"]}}],"
                    "\"firing\":[3,{\"rule\":\"none\",\"process\":\"x\"},{\"rule\":\"good\",\"process\":\"short\"}]}");
    restart(world);
    assert_int_equal(set_aside_count(world), 1);
    json_t *list = rules_list_json(world->rules);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "good");
    json_decref(list);
    at(world, 1);
    restart(world);
    assert_string_equal(state_word(world, "good"), "inactive");
    assert_int_equal(set_aside_count(world), 1); /* it has been written anew */
}

/* A rule that cannot be kept is not in force either. */
static void test_without_a_file_nothing_changes(void **state)
{
    struct rules_world *world = *state;
    char folder[80];
    put_rule(world, "big", BIG);
    snprintf(folder, sizeof folder, "%s.away", world->folder);
    assert_int_equal(rename(world->folder, folder), 0);
    assert_int_equal(put_rule(world, "new", BIG), RULES_UNKEPT);
    assert_int_equal(rules_delete(world->rules, "big", 0), RULES_UNKEPT);
    assert_string_equal(state_word(world, "new"), "none");
    tell_live(world, attach(world->world, 1, 10, 0), 500);
    at(world, 1); /* states are not kept, and go on */
    assert_string_equal(state_word(world, "big"), "firing");
    assert_int_equal(rename(folder, world->folder), 0);
    at(world, 2);
    restart(world);
    assert_int_equal(alerts_count(world, "firing"), 1);
}

static void test_a_link_is_not_followed(void **state)
{
    struct rules_world *world = *state;
    char target[128];
    struct stat status;
    put_rule(world, "big", BIG);
    snprintf(target, sizeof target, "%s/target", world->folder);
    snprintf(world->path + strlen(world->path), 5, ".new");
    assert_int_equal(symlink(target, world->path), 0);
    world->path[strlen(world->path) - 4] = '\0';
    assert_int_equal(put_rule(world, "big2", BIG), RULES_MADE);
    assert_int_equal(stat(target, &status), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULES_TEST(test_rules_and_what_fires_outlive_a_restart),
        RULES_TEST(test_a_process_without_figures_yet_goes_on_firing),
        RULES_TEST(test_what_does_not_come_back_resolves),
        RULES_TEST(test_a_rule_that_is_deleted_takes_its_restored_states_along),
        RULES_TEST(test_a_corrupt_file_is_set_aside),
        RULES_TEST(test_wrong_parts_are_left_out),
        RULES_TEST(test_without_a_file_nothing_changes),
        RULES_TEST(test_a_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
