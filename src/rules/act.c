/* What rules do: within the hourly limit, and once the lock is free. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "rules/private.h"

static bool within_hour(uint64_t acted_wall_ns, uint64_t now_wall_ns)
{
    return acted_wall_ns && now_wall_ns < acted_wall_ns + HOUR_NS;
}

/* What seems to lie in the future was before the clock was set back: it counts as of now. */
static void clock_follow(struct rule *rule, uint64_t now_wall_ns)
{
    unsigned newest = (rule->acted_next + rule->limit_per_hour - 1) % rule->limit_per_hour;
    for (unsigned i = 0; rule->acted_wall_ns[newest] > now_wall_ns && i < rule->limit_per_hour; i++)
        if (i != newest && rule->acted_wall_ns[i] > now_wall_ns)
            rule->acted_wall_ns[i] = now_wall_ns;
    if (rule->acted_wall_ns[newest] > now_wall_ns)
        rule->acted_wall_ns[newest] = now_wall_ns;
}

bool limit_take(struct rule *rule, uint64_t now_wall_ns)
{
    uint64_t *oldest = &rule->acted_wall_ns[rule->acted_next];
    clock_follow(rule, now_wall_ns);
    if (within_hour(*oldest, now_wall_ns))
        return false;
    *oldest = now_wall_ns;
    rule->acted_next = (rule->acted_next + 1) % rule->limit_per_hour;
    return true;
}

unsigned limit_used(const struct rule *rule, uint64_t now_wall_ns)
{
    unsigned used = 0;
    for (unsigned i = 0; i < rule->limit_per_hour; i++)
        used += within_hour(rule->acted_wall_ns[i], now_wall_ns);
    return used;
}

/* The heaps that are there, and a copy of what to do. */
static void action_tell(struct rules *rules, const struct rule *rule, const struct action *action,
                        const struct stats_process_view *process)
{
    struct told *told = told_add(rules);
    struct operation_target *targets = told ? calloc(process->heap_count + 1, sizeof *targets) : NULL;
    char *detail = targets ? strdup(action->detail) : NULL;
    if (!detail) {
        free(targets);
        rules->told_count -= told != NULL;
        return;
    }
    told->kind = TELL_ACT;
    told->action = *action;
    told->action.detail = detail;
    told->targets = targets;
    for (size_t i = 0; i < process->heap_count; i++)
        if (!process->heaps[i].gone)
            targets[told->target_count++].heap = process->heaps[i].n;
    snprintf(told->alert.rule, sizeof told->alert.rule, "%s", rule->name);
    snprintf(told->alert.process, sizeof told->alert.process, "%s", process->id);
}

void actions_tell(struct rules *rules, struct rule *rule, const struct stats_process_view *process)
{
    for (size_t i = 0; i < rule->action_count; i++)
        action_tell(rules, rule, &rule->actions[i], process);
}

static int control_start(struct rules *rules, const struct told *told)
{
    char id[OPERATION_ID_CHARS];
    struct audit_record asked = {.seq = 0};
    snprintf(asked.who, sizeof asked.who, "rule %.58s", told->alert.rule);
    snprintf(asked.kind, sizeof asked.kind, "%s", told->action.kind);
    snprintf(asked.target, sizeof asked.target, "%s", told->alert.process);
    snprintf(asked.detail, sizeof asked.detail, "%s", told->action.detail);
    const char *process = told->alert.process;
    if (!told->target_count)
        return -ESRCH;
    return operations_start(rules->options.operations,
                            &(struct operation_request){.processes = &process,
                                                        .process_count = 1,
                                                        .targets = told->targets,
                                                        .target_count = told->target_count,
                                                        .command = told->action.command,
                                                        .deadline_ms = told->action.deadline_ms,
                                                        .asked = &asked},
                            id);
}

static void control_carry_out(struct rules *rules, const struct told *told)
{
    int error = rules->options.operations ? control_start(rules, told) : -ENOSYS;
    pthread_mutex_lock(&rules->lock);
    int slot = rule_slot(rules, told->alert.rule);
    struct rule *rule = slot < 0 ? NULL : rules->rules[slot];
    rules->controls += !error;
    rules->controls_failed += error != 0;
    if (rule) {
        rule->controls += !error;
        rule->controls_failed += error != 0;
    }
    if (rule && error)
        snprintf(rule->last_error, sizeof rule->last_error, "%s of %s: %s", told->action.kind, told->alert.process,
                 error == -EBUSY ? "too many operations go on" : error == -ESRCH ? "it has no heap" : strerror(-error));
    pthread_mutex_unlock(&rules->lock);
}

static void log_carry_out(const struct alert *alert)
{
    log_info("rule %s %s: %s (%s): %s%s%s %s (%.16g)", alert->rule, alert->firing ? "fires" : "has cleared", alert->name,
             alert->process, alert->series, *alert->type ? " of " : "", alert->type, alert->condition, alert->value);
}

struct told *told_take(struct rules *rules, size_t *count)
{
    struct told *told = rules->told;
    *count = rules->told_count;
    rules->told = NULL;
    rules->told_count = rules->told_room = 0;
    return told;
}

void told_carry_out(struct rules *rules, struct told *told, size_t count)
{
    struct rule_alert view;
    for (size_t i = 0; i < count; i++) {
        alert_view(&told[i].alert, &view);
        if (told[i].kind == TELL_ALERT && rules->options.alert)
            rules->options.alert(rules->options.arg, &view);
        else if (told[i].kind == TELL_LOG)
            log_carry_out(&told[i].alert);
        else if (told[i].kind == TELL_ACT)
            control_carry_out(rules, &told[i]);
        free(told[i].targets);
        free(told[i].action.detail);
    }
    free(told);
}
