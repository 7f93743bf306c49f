/* Rules over views that a test feeds, at times that it says; what they tell and send is noted. */
#ifndef TESTS_UNIT_RULES_WORLD_H
#define TESTS_UNIT_RULES_WORLD_H

#include "../operations/heard.h"
#include "../stats/world.h"

#include <sys/stat.h>

#include "rules/private.h"

#define MONO ((uint64_t)5000 * SECOND_NS)
#define WALL ((uint64_t)1800000000 * SECOND_NS)

struct rules_world {
    struct world *world;
    struct heard heard; /* by the audit */
    struct operations *operations;
    struct rules *rules;
    char folder[64], path[96];
    unsigned begun, ended, sent;
    char reason[32], type[64], alerted[64];
    uint64_t number;
    struct wire_command last;
    char asked[33]; /* whom */
    int refuse; /* -errno of what is sent */
    double now_s;
};

static inline void hear_alert(void *arg, const struct rule_alert *alert)
{
    struct rules_world *world = arg;
    *(alert->firing ? &world->begun : &world->ended) += 1;
    world->number = alert->number;
    snprintf(world->reason, sizeof world->reason, "%s", alert->reason);
    snprintf(world->type, sizeof world->type, "%.60s", alert->type);
    snprintf(world->alerted, sizeof world->alerted, "%.60s", alert->rule);
}

static inline int take_command(void *arg, const char *process, const struct wire_command *command)
{
    struct rules_world *world = arg;
    snprintf(world->asked, sizeof world->asked, "%s", process);
    world->sent++;
    world->last = *command;
    return world->refuse;
}

static inline bool read_command(const char *kind, json_t *body, struct wire_command *command, char *why, size_t why_bytes)
{
    json_t *generation = json_object_get(body, "generation");
    snprintf(why, why_bytes, "member \"generation\" is wrong");
    *command = (struct wire_command){.kind = strcmp(kind, "collect") ? WIRE_COMMAND_CONFIG : WIRE_COMMAND_COLLECT,
                                     .generation = (int32_t)json_integer_value(generation)};
    return !generation || json_is_integer(generation);
}

static inline struct rules *rules_open(struct rules_world *world)
{
    return rules_new(&(struct rules_options){.operations = world->operations, .path = world->path, .command = read_command,
                                             .alert = hear_alert, .arg = world});
}

static inline int rules_setup(void **state)
{
    void *inner;
    struct rules_world *world = calloc(1, sizeof *world);
    setup(&inner);
    world->world = inner;
    snprintf(world->folder, sizeof world->folder, "/tmp/tally-rules-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->path, sizeof world->path, "%s/rules.json", world->folder);
    heard_start(&world->heard);
    world->operations = operations_new("00000000", take_command, world, world->heard.audit);
    world->rules = rules_open(world);
    *state = world;
    return 0;
}

static inline int rules_teardown(void **state)
{
    struct rules_world *world = *state;
    void *inner = world->world;
    char command[128];
    rules_free(world->rules);
    operations_free(world->operations);
    audit_free(world->heard.audit);
    snprintf(command, sizeof command, "rm -rf %s", world->folder);
    assert_int_equal(system(command), 0);
    teardown(&inner);
    free(world);
    return 0;
}

static inline enum rules_result put_rule(struct rules_world *world, const char *name, const char *text)
{
    char why[256];
    json_t *body = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(body);
    enum rules_result result = rules_put(world->rules, name, body, 0, why, sizeof why);
    if (result == RULES_WRONG)
        print_message("%s\n", why);
    json_decref(body);
    return result;
}

/* Evaluates what is published now, so many seconds after the start. */
static inline void at(struct rules_world *world, double seconds)
{
    publish(world->world);
    const struct stats_view *view = stats_view_get_new(world->world->stats);
    world->now_s = seconds;
    rules_evaluate(world->rules, view, MONO + (uint64_t)(seconds * 1e9), WALL + (uint64_t)(seconds * 1e9));
    stats_view_unref(view);
    const struct wire_ack ack = {.state = WIRE_ACK_SUCCEEDED, .operation = world->last.operation, .heap_number = world->last.heap_number};
    operations_ack(world->operations, world->asked, &ack); /* the host has done the last that it was asked */
}

static inline void tell_live(struct rules_world *world, void *process, uint64_t objects)
{
    const struct intake_row row = {.allocated = objects};
    tell(world->world, process, 1, &row);
}

static inline const char *state_word(struct rules_world *world, const char *name)
{
    static char word[32];
    json_t *json = rules_states_json(world->rules, name);
    snprintf(word, sizeof word, "%s", json ? json_string_value(json_object_get(json, "state")) : "none");
    json_decref(json);
    return word;
}

#define RULES_TEST(test) cmocka_unit_test_setup_teardown(test, rules_setup, rules_teardown)

#endif
