/* Alerts: those that fire and the last that do not any more, and what is told of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rules/private.h"

void alert_list(struct alerts *alerts, struct alert *alert)
{
    alert->previous = NULL;
    alert->next = alerts->newest;
    *(alerts->newest ? &alerts->newest->previous : &alerts->oldest) = alert;
    alerts->newest = alert;
    alerts->count++;
}

static void alert_unlist(struct alerts *alerts, struct alert *alert)
{
    *(alert->previous ? &alert->previous->next : &alerts->newest) = alert->next;
    *(alert->next ? &alert->next->previous : &alerts->oldest) = alert->previous;
    alerts->count--;
}

void alerts_free(struct alerts *alerts)
{
    while (alerts->newest) {
        struct alert *alert = alerts->newest;
        alert_unlist(alerts, alert);
        free(alert);
    }
}

struct told *told_add(struct rules *rules)
{
    if (rules->told_count == rules->told_room) {
        size_t room = rules->told_room ? 2 * rules->told_room : 16;
        struct told *grown = realloc(rules->told, room * sizeof *grown);
        if (!grown)
            return NULL;
        rules->told = grown;
        rules->told_room = room;
    }
    struct told *told = &rules->told[rules->told_count++];
    memset(told, 0, sizeof *told);
    return told;
}

static void alert_tell(struct rules *rules, const struct alert *alert)
{
    struct told *told = told_add(rules);
    if (told)
        *told = (struct told){.kind = TELL_ALERT, .alert = *alert};
}

struct alert *alert_begin(struct rules *rules, const struct rule *rule, const struct stats_process_view *process,
                          const struct rule_entry *entry, uint64_t now_wall_ns)
{
    struct alert *alert = rules->firing.count < RULES_ALERTS_FIRING ? calloc(1, sizeof *alert) : NULL;
    if (!alert) {
        rules->alerts_left_out++;
        return NULL;
    }
    alert->number = ++rules->alert_number;
    alert->firing = true;
    alert->series = rule->series->name;
    alert->reason = "";
    alert->value = entry->value;
    alert->bound = rule->bound;
    alert->began_wall_ns = now_wall_ns;
    snprintf(alert->rule, sizeof alert->rule, "%s", rule->name);
    snprintf(alert->process, sizeof alert->process, "%s", process->id);
    snprintf(alert->name, sizeof alert->name, "%s", process->name);
    snprintf(alert->type, sizeof alert->type, "%s", entry->type);
    rule_condition(rule, alert->condition, sizeof alert->condition);
    alert_list(&rules->firing, alert);
    alert_tell(rules, alert);
    return alert;
}

void alert_end(struct rules *rules, struct alert *alert, const char *reason, uint64_t now_wall_ns)
{
    alert->firing = false;
    alert->reason = reason;
    alert->ended_wall_ns = now_wall_ns;
    alert_unlist(&rules->firing, alert);
    alert_list(&rules->resolved, alert);
    alert_tell(rules, alert);
    if (rules->resolved.count <= RULES_ALERTS_RESOLVED)
        return;
    struct alert *oldest = rules->resolved.oldest;
    alert_unlist(&rules->resolved, oldest);
    free(oldest);
}

void alert_view(const struct alert *alert, struct rule_alert *view)
{
    *view = (struct rule_alert){.number = alert->number,
                                .firing = alert->firing,
                                .rule = alert->rule,
                                .process = alert->process,
                                .name = alert->name,
                                .type = alert->type,
                                .series = alert->series,
                                .condition = alert->condition,
                                .reason = alert->reason,
                                .value = alert->value,
                                .bound = alert->bound,
                                .began_wall_ns = alert->began_wall_ns,
                                .ended_wall_ns = alert->ended_wall_ns};
}

/* Whole numbers as such. */
json_t *number_json(double value)
{
    if (value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *time_json(uint64_t wall_ns)
{
    char text[TEXT_TIME];
    if (!wall_ns)
        return json_null();
    text_time(text, wall_ns);
    return json_string(text);
}

json_t *rule_alert_json(const struct rule_alert *alert)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s?, s:s, s:s, s:o, s:o, s:o, s:s?}", "id", (json_int_t)alert->number, "state",
                     alert->firing ? "firing" : "resolved", "rule", alert->rule, "process", alert->process, "name", alert->name,
                     "type", *alert->type ? alert->type : NULL, "series", alert->series, "condition", alert->condition, "value",
                     number_json(alert->value), "began_at", time_json(alert->began_wall_ns), "resolved_at",
                     time_json(alert->ended_wall_ns), "reason", *alert->reason ? alert->reason : NULL);
}

static bool alert_fits(const struct alert *alert, const struct rules_filter *filter)
{
    return (!filter->rule || !strcmp(alert->rule, filter->rule)) && (!filter->process || !strcmp(alert->process, filter->process)) &&
           (!filter->state || !strcmp(filter->state, alert->firing ? "firing" : "resolved"));
}

static int newest_first(const void *a, const void *b)
{
    uint64_t one = (*(const struct alert *const *)a)->number, two = (*(const struct alert *const *)b)->number;
    return (one < two) - (one > two);
}

/* Both lists in one order: that in which alerts began. */
static json_t *alerts_json(const struct alert **found, size_t count)
{
    json_t *list = json_array();
    struct rule_alert view;
    qsort(found, count, sizeof *found, newest_first);
    for (size_t i = 0; i < count; i++) {
        alert_view(found[i], &view);
        json_array_append_new(list, rule_alert_json(&view));
    }
    return list;
}

json_t *rules_alerts_json(struct rules *rules, const struct rules_filter *filter)
{
    size_t count = 0;
    json_t *list = NULL;
    pthread_mutex_lock(&rules->lock);
    const struct alert **found = calloc(rules->firing.count + rules->resolved.count + 1, sizeof *found);
    for (const struct alert *alert = rules->firing.newest; found && alert; alert = alert->next)
        if (alert_fits(alert, filter))
            found[count++] = alert;
    for (const struct alert *alert = rules->resolved.newest; found && alert; alert = alert->next)
        if (alert_fits(alert, filter))
            found[count++] = alert;
    if (found)
        list = alerts_json(found, count);
    pthread_mutex_unlock(&rules->lock);
    free(found);
    return list;
}
