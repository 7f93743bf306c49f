/* Rules: their table, its changes, and the thread that evaluates. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/pulse.h"
#include "rules/private.h"

int rule_slot(const struct rules *rules, const char *name)
{
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        if (rules->rules[slot] && !strcmp(rules->rules[slot]->name, name))
            return (int)slot;
    return -1;
}

static unsigned free_slot(const struct rules *rules)
{
    unsigned slot = 0;
    while (slot < RULES_MAX && rules->rules[slot])
        slot++;
    return slot;
}

/* ---- changes: under file_lock, so that only states change meanwhile */

/* Writes the file as it will be, then makes it so. rule: NULL: the slot is to be free. */
static enum rules_result change(struct rules *rules, unsigned slot, struct rule *rule, const char *reason)
{
    size_t count;
    pthread_mutex_lock(&rules->lock);
    json_t *json = keep_json(rules, slot, rule);
    pthread_mutex_unlock(&rules->lock);
    if (keep_write(rules, json))
        return RULES_UNKEPT;
    pthread_mutex_lock(&rules->lock);
    struct rule *old = rules->rules[slot];
    if (old)
        slot_reset(rules, slot, reason, clock_wall_ns());
    rules->rules[slot] = rule;
    rules->revision++;
    struct told *told = told_take(rules, &count);
    pthread_mutex_unlock(&rules->lock);
    rule_free(old);
    told_carry_out(rules, told, count);
    return old ? RULES_DONE : RULES_MADE;
}

/* What stays of a rule that is put anew: its age, and what counts for the limit. */
static void rule_inherit(struct rule *rule, const struct rule *old)
{
    unsigned from = old->limit_per_hour;
    rule->created_wall_ns = old->created_wall_ns;
    rule->controls = old->controls;
    rule->controls_failed = old->controls_failed;
    for (unsigned i = from > rule->limit_per_hour ? from - rule->limit_per_hour : 0; i < from; i++) {
        rule->acted_wall_ns[rule->acted_next] = old->acted_wall_ns[(old->acted_next + i) % from];
        rule->acted_next = (rule->acted_next + 1) % rule->limit_per_hour;
    }
}

static enum rules_result put(struct rules *rules, struct rule *rule, uint64_t expected)
{
    int known = rule_slot(rules, rule->name);
    const struct rule *old = known < 0 ? NULL : rules->rules[known];
    unsigned slot = known < 0 ? free_slot(rules) : (unsigned)known;
    if (expected != RULES_ANY && (old ? old->revision : RULES_ABSENT) != expected)
        return RULES_CHANGED;
    if (slot == RULES_MAX)
        return RULES_FULL;
    if (old && json_equal(old->json, rule->json))
        return RULES_DONE;
    rule->revision = rules->revision + 1;
    rule->created_wall_ns = rule->changed_wall_ns = clock_wall_ns();
    if (old) {
        pthread_mutex_lock(&rules->lock);
        rule_inherit(rule, old);
        pthread_mutex_unlock(&rules->lock);
    }
    return change(rules, slot, rule, rule->enabled ? "rule_changed" : "rule_disabled");
}

enum rules_result rules_put(struct rules *rules, const char *name, json_t *body, uint64_t expected, char *why, size_t why_bytes)
{
    struct rule *rule = rule_parse(name, body, rules->options.command, why, why_bytes);
    if (!rule)
        return RULES_WRONG;
    pthread_mutex_lock(&rules->file_lock);
    enum rules_result result = put(rules, rule, expected);
    int slot = rule_slot(rules, name);
    bool taken = slot >= 0 && rules->rules[slot] == rule;
    pthread_mutex_unlock(&rules->file_lock);
    if (!taken)
        rule_free(rule);
    return result;
}

enum rules_result rules_delete(struct rules *rules, const char *name, uint64_t expected)
{
    enum rules_result result = RULES_UNKNOWN;
    pthread_mutex_lock(&rules->file_lock);
    int slot = rule_slot(rules, name);
    if (slot >= 0 && expected != RULES_ANY && rules->rules[slot]->revision != expected)
        result = RULES_CHANGED;
    else if (slot >= 0)
        result = change(rules, (unsigned)slot, NULL, "rule_deleted");
    pthread_mutex_unlock(&rules->file_lock);
    return result;
}

/* ---- views */

static const char *const state_words[] = {"inactive", "pending", "firing", "throttled"};

static json_t *states_json(const struct rules *rules, unsigned slot)
{
    json_t *list = json_array();
    uint64_t mono_ns = clock_mono_ns(), wall_ns = clock_wall_ns();
    for (const struct watch *watch = rules->watches; watch && json_array_size(list) < STATES_SHOWN; watch = watch->next) {
        const struct rule_entry *entry = watch->entries[slot];
        if (!entry || entry->state == INACTIVE)
            continue;
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:s?}", "process", watch->id, "state", state_words[entry->state],
                                              "since", time_json(wall_ns - (mono_ns - entry->since_ns)), "value",
                                              number_json(entry->value), "type", *entry->type ? entry->type : NULL));
    }
    return list;
}

/* The worst of its processes. */
static const char *state_of(const struct rule *rule)
{
    if (!rule->enabled)
        return "disabled";
    return state_words[rule->states[THROTTLED] ? THROTTLED : rule->states[FIRING] ? FIRING : rule->states[PENDING] ? PENDING : INACTIVE];
}

static json_t *rule_json(const struct rule *rule)
{
    json_t *json = json_copy(rule->json);
    json_object_set_new(json, "revision", json_integer((json_int_t)rule->revision));
    json_object_set_new(json, "created_at", time_json(rule->created_wall_ns));
    json_object_set_new(json, "changed_at", time_json(rule->changed_wall_ns));
    return json;
}

static json_t *status_json(const struct rule *rule)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < sizeof state_words / sizeof *state_words; i++)
        json_object_set_new(counts, state_words[i], json_integer((json_int_t)rule->states[i]));
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:s?}", "state", state_of(rule), "processes", counts, "controls_last_hour",
                     (json_int_t)limit_used(rule, clock_wall_ns()), "controls", (json_int_t)rule->controls, "controls_failed",
                     (json_int_t)rule->controls_failed, "last_error", *rule->last_error ? rule->last_error : NULL);
}

json_t *rules_get_json(struct rules *rules, const char *name, uint64_t *revision)
{
    pthread_mutex_lock(&rules->lock);
    int slot = rule_slot(rules, name);
    json_t *json = slot < 0 ? NULL : rule_json(rules->rules[slot]);
    *revision = slot < 0 ? 0 : rules->rules[slot]->revision;
    pthread_mutex_unlock(&rules->lock);
    return json;
}

json_t *rules_states_json(struct rules *rules, const char *name)
{
    pthread_mutex_lock(&rules->lock);
    int slot = rule_slot(rules, name);
    json_t *json = slot < 0 ? NULL : status_json(rules->rules[slot]);
    if (json)
        json_object_set_new(json, "states", states_json(rules, (unsigned)slot));
    pthread_mutex_unlock(&rules->lock);
    return json;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "name")),
                  json_string_value(json_object_get(*(json_t *const *)b, "name")));
}

json_t *rules_list_json(struct rules *rules)
{
    json_t *found[RULES_MAX], *list = json_array();
    size_t count = 0;
    pthread_mutex_lock(&rules->lock);
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        if (rules->rules[slot]) {
            found[count] = rule_json(rules->rules[slot]);
            json_object_set_new(found[count++], "status", status_json(rules->rules[slot]));
        }
    pthread_mutex_unlock(&rules->lock);
    qsort(found, count, sizeof *found, name_order);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, found[i]);
    return list;
}

void rules_figures_get(struct rules *rules, struct rules_figures *out)
{
    pthread_mutex_lock(&rules->lock);
    *out = (struct rules_figures){.throttled = rules->throttled,
                                  .alerts_left_out = rules->alerts_left_out,
                                  .windows_left_out = rules->windows_left_out};
    for (unsigned slot = 0; slot < RULES_MAX; slot++) {
        const struct rule *rule = rules->rules[slot];
        out->rules += rule != NULL;
        out->firing += rule ? rule->states[FIRING] + rule->states[THROTTLED] : 0;
    }
    out->controls = rules->controls;
    out->controls_failed = rules->controls_failed;
    pthread_mutex_unlock(&rules->lock);
}

/* ---- life */

struct rules *rules_new(const struct rules_options *options)
{
    struct rules *rules = calloc(1, sizeof *rules);
    pthread_condattr_t clock;
    if (!rules)
        return NULL;
    rules->options = *options;
    rules->options.path = options->path ? strdup(options->path) : NULL;
    if (options->path && !rules->options.path) {
        free(rules);
        return NULL;
    }
    pthread_mutex_init(&rules->lock, NULL);
    pthread_mutex_init(&rules->file_lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&rules->wake, &clock);
    pthread_condattr_destroy(&clock);
    keep_load(rules);
    rules->revision++; /* no watch has matched it yet */
    return rules;
}

static void *evaluate(void *arg)
{
    struct rules *rules = arg;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&rules->lock);
    while (!rules->ending) {
        pthread_mutex_unlock(&rules->lock);
        uint64_t start = clock_mono_ns();
        pulse_beat(PULSE_RULES);
        const struct stats_view *view = stats_view_get_new(rules->stats);
        rules_evaluate(rules, view, start, clock_wall_ns());
        stats_view_unref(view);
        pulse_worked(PULSE_RULES, start);
        pthread_mutex_lock(&rules->lock);
        clock_gettime(CLOCK_MONOTONIC, &next);
        next.tv_sec++;
        while (!rules->ending && pthread_cond_timedwait(&rules->wake, &rules->lock, &next) != ETIMEDOUT) {
        }
    }
    pthread_mutex_unlock(&rules->lock);
    pulse_end(PULSE_RULES);
    return NULL;
}

int rules_start(struct rules *rules, struct stats *stats)
{
    rules->stats = stats;
    int error = pthread_create(&rules->thread, NULL, evaluate, rules);
    rules->running = !error;
    return -error;
}

void rules_stop(struct rules *rules)
{
    if (!rules->running)
        return;
    pthread_mutex_lock(&rules->lock);
    rules->ending = true;
    pthread_cond_signal(&rules->wake);
    pthread_mutex_unlock(&rules->lock);
    pthread_join(rules->thread, NULL);
    rules->running = false;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    watches_free(rules);
    alerts_free(&rules->firing);
    alerts_free(&rules->resolved);
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        rule_free(rules->rules[slot]);
    free(rules->told);
    pthread_cond_destroy(&rules->wake);
    pthread_mutex_destroy(&rules->lock);
    pthread_mutex_destroy(&rules->file_lock);
    free((char *)(uintptr_t)rules->options.path);
    free(rules);
}
