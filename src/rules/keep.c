/* rules.json: {"version":1,"alerts": the last alert's number,"rules":[{"rule": as it was put,"revision","created_wall_ns",
 * "changed_wall_ns","acted_wall_ns":[…]}],"firing":[{"rule","throttled","process","name","alert","since_wall_ns","value","type"}]} */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "rules/private.h"

#define FILE_BYTES_MAX ((off_t)16 << 20)
#define FILE_VERSION 1

/* ---- writing */

static json_t *rule_keep(const struct rule *rule)
{
    json_t *acted = json_array();
    for (unsigned i = 0; i < rule->limit_per_hour; i++) {
        uint64_t wall_ns = rule->acted_wall_ns[(rule->acted_next + i) % rule->limit_per_hour];
        if (wall_ns)
            json_array_append_new(acted, json_integer((json_int_t)wall_ns));
    }
    return json_pack("{s:O, s:I, s:I, s:I, s:o}", "rule", rule->json, "revision", (json_int_t)rule->revision, "created_wall_ns",
                     (json_int_t)rule->created_wall_ns, "changed_wall_ns", (json_int_t)rule->changed_wall_ns, "acted_wall_ns", acted);
}

static json_t *firing_keep(const char *rule, const char *process, const struct alert *alert, uint64_t since_wall_ns, double value,
                           const char *type, bool throttled)
{
    return json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:f, s:s}", "rule", rule, "throttled", throttled, "process", process, "name", alert ? alert->name : "",
                     "alert", (json_int_t)(alert ? alert->number : 0), "since_wall_ns", (json_int_t)since_wall_ns, "value", value,
                     "type", type);
}

static json_t *all_firing(const struct rules *rules, unsigned without)
{
    json_t *list = json_array();
    uint64_t offset_ns = clock_wall_ns() - clock_mono_ns();
    for (const struct watch *watch = rules->watches; watch; watch = watch->next)
        for (unsigned slot = 0; slot < RULES_MAX; slot++) {
            const struct rule_entry *entry = watch->entries[slot];
            if (entry && entry->state >= FIRING && slot != without)
                json_array_append_new(list, firing_keep(rules->rules[slot]->name, watch->id, entry->alert,
                                                        entry->alert ? entry->alert->began_wall_ns : entry->since_ns + offset_ns,
                                                        entry->value, entry->type, entry->state == THROTTLED));
        }
    for (const struct restored *restored = rules->restored; restored; restored = restored->next)
        json_array_append_new(list, firing_keep(restored->rule, restored->process, restored->alert, restored->since_wall_ns,
                                                restored->value, restored->type, restored->throttled));
    return list;
}

json_t *keep_json(const struct rules *rules, unsigned slot, const struct rule *instead)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < RULES_MAX; i++) {
        const struct rule *rule = i == slot ? instead : rules->rules[i];
        if (rule)
            json_array_append_new(list, rule_keep(rule));
    }
    return json_pack("{s:i, s:I, s:o, s:o}", "version", FILE_VERSION, "alerts", (json_int_t)rules->alert_number, "rules", list,
                     "firing", all_firing(rules, slot));
}

int keep_write(const struct rules *rules, json_t *json)
{
    const char *path = rules->options.path;
    char *text = json && path ? json_dumps(json, JSON_INDENT(1)) : NULL;
    int error = text ? file_replace(path, text, strlen(text), 0600, true) : path ? -ENOMEM : 0;
    json_decref(json);
    free(text);
    return error;
}

/* ---- reading: anybody may have written it */

static char *file_read(const char *path, size_t *bytes)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = NULL;
    *bytes = 0;
    if (fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_size <= FILE_BYTES_MAX)
        text = malloc((size_t)status.st_size + 1);
    for (ssize_t some = 1; text && some > 0 && *bytes < (size_t)status.st_size; *bytes += (size_t)some)
        some = read(fd, text + *bytes, (size_t)status.st_size - *bytes);
    if (fd >= 0)
        close(fd);
    return text;
}

static uint64_t number_of(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}

static bool rule_load(struct rules *rules, unsigned slot, const json_t *kept, uint64_t *revision)
{
    char why[256] = "it is no rule";
    json_t *body = json_object_get(kept, "rule"), *acted = json_object_get(kept, "acted_wall_ns");
    const char *name = json_string_value(json_object_get(body, "name"));
    struct rule *rule = name && slot < RULES_MAX && rule_slot(rules, name) < 0
                            ? rule_parse(name, body, rules->options.command, why, sizeof why)
                            : NULL;
    if (!rule) {
        log_warn("%s: the rule after %u good ones is left out: %s", rules->options.path, slot, why);
        return false;
    }
    rule->revision = number_of(kept, "revision");
    rule->created_wall_ns = number_of(kept, "created_wall_ns");
    rule->changed_wall_ns = number_of(kept, "changed_wall_ns");
    size_t count = json_array_size(acted), skip = count > rule->limit_per_hour ? count - rule->limit_per_hour : 0;
    for (size_t i = skip; i < count; i++) {
        json_int_t wall_ns = json_integer_value(json_array_get(acted, i));
        rule->acted_wall_ns[rule->acted_next] = wall_ns > 0 ? (uint64_t)wall_ns : 0;
        rule->acted_next = (rule->acted_next + 1) % rule->limit_per_hour;
    }
    if (rule->revision > *revision)
        *revision = rule->revision;
    rules->rules[slot] = rule;
    return true;
}

static struct alert *alert_load(const struct rule *rule, const json_t *kept)
{
    struct alert *alert = calloc(1, sizeof *alert);
    const char *name = json_string_value(json_object_get(kept, "name"));
    if (!alert)
        return NULL;
    alert->number = number_of(kept, "alert");
    alert->firing = true;
    alert->series = rule->series->name;
    alert->reason = "";
    alert->value = json_number_value(json_object_get(kept, "value"));
    alert->bound = rule->bound;
    alert->began_wall_ns = number_of(kept, "since_wall_ns");
    snprintf(alert->name, sizeof alert->name, "%s", name ? name : "");
    rule_condition(rule, alert->condition, sizeof alert->condition);
    return alert;
}

static bool firing_load(struct rules *rules, const json_t *kept)
{
    const char *name = json_string_value(json_object_get(kept, "rule"));
    const char *process = json_string_value(json_object_get(kept, "process"));
    const char *type = json_string_value(json_object_get(kept, "type"));
    int slot = name ? rule_slot(rules, name) : -1;
    struct restored *restored = slot >= 0 && process && strlen(process) == 32 ? calloc(1, sizeof *restored) : NULL;
    if (!restored)
        return false;
    const struct rule *rule = rules->rules[slot];
    restored->value = json_number_value(json_object_get(kept, "value"));
    restored->since_wall_ns = number_of(kept, "since_wall_ns");
    restored->throttled = json_is_true(json_object_get(kept, "throttled"));
    snprintf(restored->rule, sizeof restored->rule, "%s", rule->name);
    snprintf(restored->process, sizeof restored->process, "%s", process);
    snprintf(restored->type, sizeof restored->type, "%s", type ? type : "");
    if (rule->alert && number_of(kept, "alert") && rules->firing.count < RULES_ALERTS_FIRING)
        restored->alert = alert_load(rule, kept);
    if (restored->alert) {
        memcpy(restored->alert->rule, restored->rule, sizeof restored->alert->rule);
        memcpy(restored->alert->process, restored->process, sizeof restored->alert->process);
        memcpy(restored->alert->type, restored->type, sizeof restored->alert->type);
        alert_list(&rules->firing, restored->alert);
    }
    restored->next = rules->restored;
    rules->restored = restored;
    return true;
}

static bool all_load(struct rules *rules, const json_t *json)
{
    const json_t *list = json_object_get(json, "rules"), *firing = json_object_get(json, "firing");
    bool whole = json_integer_value(json_object_get(json, "version")) == FILE_VERSION && json_is_array(list) && json_is_array(firing);
    unsigned slot = 0;
    for (size_t i = 0; whole && i < json_array_size(list) && i <= RULES_MAX; i++)
        if (rule_load(rules, slot, json_array_get(list, i), &rules->revision))
            slot++;
    whole &= slot == json_array_size(list);
    for (size_t i = 0; i < json_array_size(firing) && i < RULES_ALERTS_FIRING; i++)
        whole &= firing_load(rules, json_array_get(firing, i));
    rules->alert_number = number_of(json, "alerts");
    return whole;
}

/* What could be read of it stands; the file itself waits under another name for whoever may mend it. */
static void set_aside(struct rules *rules, const char *why)
{
    char aside[560];
    snprintf(aside, sizeof aside, "%s.bad-%llu", rules->options.path, (unsigned long long)(clock_wall_ns() / SECOND_NS));
    int error = rename(rules->options.path, aside) ? errno : 0;
    log_warn("%s is not what we write (%s): %s %s", rules->options.path, why, error ? "and cannot be set aside:" : "set aside as",
             error ? strerror(error) : aside);
    rules->unsaved = true;
}

void keep_load(struct rules *rules)
{
    json_error_t error;
    size_t bytes;
    const char *path = rules->options.path;
    if (!path || access(path, F_OK))
        return;
    char *text = file_read(path, &bytes);
    json_t *json = text ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!json)
        set_aside(rules, text ? error.text : "not readable");
    else if (!all_load(rules, json))
        set_aside(rules, "a part of it is wrong");
    json_decref(json);
    free(text);
}
