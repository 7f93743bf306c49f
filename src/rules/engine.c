/* The evaluation: each rule at each live process that it selects, and the states that follow. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "rules/private.h"

struct moment {
    uint64_t mono_ns, wall_ns;
};

/* ---- watches */

static int watch_order(const void *a, const void *b)
{
    return strcmp(((const struct watch *)a)->id, ((const struct watch *)b)->id);
}

static void window_free(struct rules *rules, struct rule_entry *entry)
{
    rules->window_bytes -= (entry->window ? sizeof *entry->window : 0) + entry->type_room * sizeof *entry->types;
    free(entry->window);
    free(entry->types);
}

static void entry_drop(struct rules *rules, struct watch *watch, unsigned slot)
{
    struct rule_entry *entry = watch->entries[slot];
    watch->entries[slot] = NULL;
    if (!entry)
        return;
    rules->unsaved |= entry->state >= FIRING;
    window_free(rules, entry);
    free(entry);
}

static void entry_end(struct rules *rules, struct watch *watch, unsigned slot, const char *reason, uint64_t now_wall_ns)
{
    struct rule_entry *entry = watch->entries[slot];
    if (entry && entry->alert)
        alert_end(rules, entry->alert, reason, now_wall_ns);
    entry_drop(rules, watch, slot);
}

static void restored_end(struct rules *rules, const char *rule, const char *reason, uint64_t now_wall_ns)
{
    for (struct restored **link = &rules->restored; *link;) {
        struct restored *restored = *link;
        if (rule && strcmp(restored->rule, rule) != 0) {
            link = &restored->next;
            continue;
        }
        *link = restored->next;
        if (restored->alert)
            alert_end(rules, restored->alert, reason, now_wall_ns);
        free(restored);
        rules->unsaved = true;
    }
}

void slot_reset(struct rules *rules, unsigned slot, const char *reason, uint64_t now_wall_ns)
{
    for (struct watch *watch = rules->watches; watch; watch = watch->next)
        entry_end(rules, watch, slot, reason, now_wall_ns);
    restored_end(rules, rules->rules[slot]->name, reason, now_wall_ns);
}

static void watch_end(struct rules *rules, struct watch **link, const char *reason, uint64_t now_wall_ns)
{
    struct watch *watch = *link;
    *link = watch->next;
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        if (reason)
            entry_end(rules, watch, slot, reason, now_wall_ns);
        else
            entry_drop(rules, watch, slot);
    tdelete(watch, &rules->by_id, watch_order);
    free(watch);
}

void watches_free(struct rules *rules)
{
    while (rules->watches)
        watch_end(rules, &rules->watches, NULL, 0);
    while (rules->restored) {
        struct restored *restored = rules->restored;
        rules->restored = restored->next;
        free(restored);
    }
}

static struct watch *watch_get(struct rules *rules, const struct stats_process_view *process)
{
    struct watch key, *made;
    memcpy(key.id, process->id, sizeof key.id);
    struct watch *const *known = tfind(&key, &rules->by_id, watch_order);
    if (known)
        return *known;
    made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    memcpy(made->id, process->id, sizeof made->id);
    if (!tsearch(made, &rules->by_id, watch_order)) {
        free(made);
        return NULL;
    }
    made->next = rules->watches;
    return rules->watches = made;
}

static bool selects(const struct rule *rule, const struct stats_process_view *process)
{
    const char *key;
    json_t *value;
    if (rule->process_name && strcmp(rule->process_name, process->name) != 0)
        return false;
    json_object_foreach(rule->labels, key, value)
    {
        size_t i = 0;
        while (i < process->label_count && strcmp(process->labels[i].key, key) != 0)
            i++;
        if (i == process->label_count || strcmp(process->labels[i].value, json_string_value(value)) != 0)
            return false;
    }
    return true;
}

/* What fired before a restart goes on where the process is the same. */
static void entries_restore(struct rules *rules, struct watch *watch, const struct moment *now)
{
    for (struct restored **link = &rules->restored; *link;) {
        struct restored *restored = *link;
        int slot = strcmp(restored->process, watch->id) ? -1 : rule_slot(rules, restored->rule);
        struct rule_entry *entry = slot >= 0 && watch->matches[slot] && !watch->entries[slot] ? calloc(1, sizeof *entry) : NULL;
        if (!entry) {
            link = &restored->next;
            continue;
        }
        uint64_t ago_ns = now->wall_ns > restored->since_wall_ns ? now->wall_ns - restored->since_wall_ns : 0;
        entry->state = restored->throttled ? THROTTLED : FIRING;
        entry->holds = entry->restored = true;
        entry->since_ns = ago_ns < now->mono_ns ? now->mono_ns - ago_ns : 1;
        entry->turned_ns = entry->acted_ns = now->mono_ns;
        entry->value = restored->value;
        entry->alert = restored->alert;
        memcpy(entry->type, restored->type, sizeof entry->type);
        watch->entries[slot] = entry;
        *link = restored->next;
        free(restored);
    }
}

static void matches_update(struct rules *rules, struct watch *watch, const struct stats_process_view *process, const struct moment *now)
{
    if (watch->matched_revision == rules->revision)
        return;
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        watch->matches[slot] = rules->rules[slot] && rules->rules[slot]->enabled && selects(rules->rules[slot], process);
    watch->matched_revision = rules->revision;
    entries_restore(rules, watch, now);
}

/* ---- conditions */

struct finding {
    bool holds, known; /* known: a window is full, or none is needed */
    double value;
    const char *type;
};

/* Room for windows, within the limit of all. */
static bool window_room(struct rules *rules, size_t bytes)
{
    if (rules->window_bytes + bytes > RULES_WINDOW_BYTES) {
        rules->windows_left_out++;
        return false;
    }
    rules->window_bytes += bytes;
    return true;
}

static bool grows(const struct rule *rule, const struct window *window, double *growth)
{
    double from;
    if (!window_growth(window, growth, &from) || (rule->steadily && !window_rises(window)))
        return false;
    return *growth > 0 && *growth >= (rule->percent ? from * rule->bound / 100 : rule->bound);
}

static bool compares(const struct rule *rule, double value)
{
    return rule->condition == ABOVE ? value > rule->bound : value < rule->bound;
}

static bool window_holds(const struct rule *rule, const struct window *window, uint64_t now_ns, double *value)
{
    if (rule->condition == GROWS)
        return grows(rule, window, value);
    return window_rate(window, now_ns, value) && compares(rule, *value);
}

static double figure_of(const struct rule *rule, const struct stats_type_view *type)
{
    return (double)(rule->series->source == TYPE_BYTES ? type->live_bytes : type->live_objects);
}

/* The window of a type: mostly where it was at the last look. NULL: no room. */
static struct window *typed_get(struct rules *rules, struct rule_entry *entry, const struct stats_type_view *type, size_t hint)
{
    for (size_t i = 0; i < entry->type_count; i++) {
        struct typed *typed = &entry->types[(hint + i) % entry->type_count];
        if (typed->name == type->name && typed->size_bytes == type->size_bytes)
            return &typed->window;
    }
    if (entry->type_count == entry->type_room) {
        size_t room = entry->type_room ? 2 * entry->type_room : 8;
        struct typed *grown = room <= TYPES_MAX && window_room(rules, (room - entry->type_room) * sizeof *grown)
                                  ? realloc(entry->types, room * sizeof *grown)
                                  : NULL;
        if (!grown)
            return NULL;
        entry->types = grown;
        entry->type_room = room;
    }
    struct typed *typed = &entry->types[entry->type_count++];
    *typed = (struct typed){.name = type->name, .size_bytes = type->size_bytes};
    return &typed->window;
}

/* Of all types that fit, the one that does most. */
static void finding_better(const struct rule *rule, struct finding *finding, double value, const char *type)
{
    bool better = rule->condition == BELOW ? value < finding->value : value > finding->value;
    if (!finding->holds || better)
        *finding = (struct finding){true, true, value, type};
}

static struct finding types_find(struct rules *rules, const struct rule *rule, struct rule_entry *entry,
                                 const struct stats_process_view *process, uint64_t now_ns)
{
    struct finding finding = {.known = rule->condition != GROWS};
    for (size_t i = 0; i < process->type_count; i++) {
        const struct stats_type_view *type = &process->types[i];
        double value = figure_of(rule, type);
        if (rule->condition == GROWS) {
            struct window *window = typed_get(rules, entry, type, i);
            if (!window)
                continue;
            window_add(window, rule->over_ns / WINDOW_STEPS, now_ns, value);
            finding.known |= window_full(window);
            if (window_holds(rule, window, now_ns, &value))
                finding_better(rule, &finding, value, type->name);
        } else if (compares(rule, value)) {
            finding_better(rule, &finding, value, type->name);
        }
    }
    return finding;
}

static struct finding find(struct rules *rules, const struct rule *rule, struct rule_entry *entry,
                           const struct stats_process_view *process, uint64_t now_ns)
{
    struct finding finding = {.known = !rule_has_window(rule), .type = rule->type};
    if (series_of_types(rule->series) && !rule->type)
        return types_find(rules, rule, entry, process, now_ns);
    if (!series_value(rule->series, process, rule->type, rule->over_ns, now_ns, &finding.value))
        return finding;
    if (!rule_has_window(rule)) {
        finding.holds = compares(rule, finding.value);
        return finding;
    }
    if (!entry->window && window_room(rules, sizeof *entry->window))
        entry->window = calloc(1, sizeof *entry->window);
    if (entry->window) {
        window_add(entry->window, rule->over_ns / WINDOW_STEPS, now_ns, finding.value);
        finding.holds = window_holds(rule, entry->window, now_ns, &finding.value);
        finding.known = window_full(entry->window);
    }
    return finding;
}

/* ---- states */

static void log_tell(struct rules *rules, const struct rule *rule, const struct stats_process_view *process,
                     const struct rule_entry *entry, bool firing)
{
    struct told *told = rule->log ? told_add(rules) : NULL;
    if (!told)
        return;
    told->kind = TELL_LOG;
    told->alert = (struct alert){.firing = firing, .series = rule->series->name, .value = entry->value};
    snprintf(told->alert.rule, sizeof told->alert.rule, "%s", rule->name);
    snprintf(told->alert.process, sizeof told->alert.process, "%s", process->id);
    snprintf(told->alert.name, sizeof told->alert.name, "%s", process->name);
    memcpy(told->alert.type, entry->type, sizeof told->alert.type);
    rule_condition(rule, told->alert.condition, sizeof told->alert.condition);
}

static void act(struct rules *rules, struct rule *rule, const struct stats_process_view *process, struct rule_entry *entry,
                const struct moment *now)
{
    if (!rule->action_count)
        return;
    if (!limit_take(rule, now->wall_ns)) {
        rules->throttled += entry->state != THROTTLED;
        entry->state = THROTTLED;
        return;
    }
    entry->state = FIRING;
    entry->acted_ns = now->mono_ns;
    rules->unsaved = true;
    actions_tell(rules, rule, process);
}

static void fire(struct rules *rules, struct rule *rule, const struct stats_process_view *process, struct rule_entry *entry,
                 const struct moment *now)
{
    entry->state = FIRING;
    entry->since_ns = now->mono_ns;
    rules->unsaved = true;
    if (rule->alert)
        entry->alert = alert_begin(rules, rule, process, entry, now->wall_ns);
    log_tell(rules, rule, process, entry, true);
    act(rules, rule, process, entry, now);
}

static void clear(struct rules *rules, const struct rule *rule, const struct stats_process_view *process, struct rule_entry *entry,
                  const struct moment *now)
{
    if (entry->alert)
        alert_end(rules, entry->alert, "cleared", now->wall_ns);
    entry->alert = NULL;
    log_tell(rules, rule, process, entry, false);
    entry->state = INACTIVE;
    entry->since_ns = now->mono_ns;
    rules->unsaved = true;
}

static void state_follow(struct rules *rules, struct rule *rule, const struct stats_process_view *process, struct rule_entry *entry,
                         const struct moment *now)
{
    bool long_enough = now->mono_ns - entry->turned_ns >= rule->for_ns;
    if (entry->state < FIRING && !entry->holds) {
        entry->state = INACTIVE;
    } else if (entry->state < FIRING && long_enough) {
        fire(rules, rule, process, entry, now);
    } else if (entry->state == INACTIVE) {
        entry->state = PENDING;
        entry->since_ns = now->mono_ns;
    } else if (entry->state >= FIRING && !entry->holds && long_enough) {
        clear(rules, rule, process, entry, now);
    } else if (entry->state >= FIRING && entry->holds &&
               (entry->state == THROTTLED || (rule->every_ns && now->mono_ns - entry->acted_ns >= rule->every_ns))) {
        act(rules, rule, process, entry, now);
    }
}

/* Every second, or eight times a slot where slots are long. */
static uint64_t sample_rest(const struct rule *rule)
{
    uint64_t rest_ns = rule->over_ns / WINDOW_STEPS / 8;
    return rest_ns > SECOND_NS ? rest_ns - SECOND_NS / 2 : 0;
}

static bool depends_on_time(const struct rule *rule)
{
    return rule_has_window(rule) || rule->series->source == PAUSE_P99 || rule->series->source == FREE_NOTHING ||
           rule->series->source == SAFEPOINT_AGE;
}

static void rule_evaluate(struct rules *rules, unsigned slot, struct watch *watch, const struct stats_process_view *process,
                          bool changed, const struct moment *now)
{
    struct rule *rule = rules->rules[slot];
    struct rule_entry *entry = watch->entries[slot], fresh = {.turned_ns = now->mono_ns};
    bool resting = entry && now->mono_ns < entry->sample_ns;
    if (!entry && !changed && !depends_on_time(rule)) {
        rule->states[INACTIVE]++;
        return;
    }
    if (!entry)
        entry = &fresh;
    struct finding finding = {.holds = entry->holds, .value = entry->value, .type = NULL};
    if (!resting) {
        finding = find(rules, rule, entry, process, now->mono_ns);
        entry->restored &= !finding.known;
        finding.holds |= entry->restored;
        entry->sample_ns = now->mono_ns + sample_rest(rule);
        if (finding.holds != entry->holds)
            entry->turned_ns = now->mono_ns;
        entry->holds = finding.holds;
    }
    if (finding.holds && !resting && !entry->restored) {
        entry->value = finding.value;
        snprintf(entry->type, sizeof entry->type, "%s", finding.type ? finding.type : "");
    }
    if (entry->holds || entry->state != INACTIVE)
        state_follow(rules, rule, process, entry, now);
    rule->states[entry->state]++;
    if (entry == &fresh && (fresh.state != INACTIVE || fresh.window || fresh.types)) {
        watch->entries[slot] = malloc(sizeof fresh);
        if (watch->entries[slot])
            *watch->entries[slot] = fresh;
        else
            window_free(rules, &fresh);
    } else if (entry != &fresh && entry->state == INACTIVE && !entry->window && !entry->types) {
        entry_drop(rules, watch, slot);
    }
}

static void process_evaluate(struct rules *rules, const struct stats_process_view *process, const struct moment *now)
{
    struct watch *watch = watch_get(rules, process);
    if (!watch)
        return;
    watch->turn = rules->turn;
    if (!process->heap_count) /* it has just attached, perhaps to a tallyd that has started anew: nothing is known yet */
        return;
    bool changed = watch->seq != process->seq || watch->matched_revision != rules->revision;
    watch->seq = process->seq;
    matches_update(rules, watch, process, now);
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        if (watch->matches[slot])
            rule_evaluate(rules, slot, watch, process, changed, now);
}

static void begin(struct rules *rules)
{
    rules->turn++;
    rules->windows_left_out = 0;
    for (unsigned slot = 0; slot < RULES_MAX; slot++)
        if (rules->rules[slot])
            memset(rules->rules[slot]->states, 0, sizeof rules->rules[slot]->states);
}

/* Post-condition: only processes of this view have states. */
static void gone_end(struct rules *rules, const struct moment *now)
{
    for (struct watch **link = &rules->watches; *link;)
        if ((*link)->turn != rules->turn)
            watch_end(rules, link, "process_gone", now->wall_ns);
        else
            link = &(*link)->next;
    if (!rules->restored_until_ns)
        rules->restored_until_ns = now->mono_ns + RESTORED_NS;
    if (now->mono_ns > rules->restored_until_ns)
        restored_end(rules, NULL, "process_gone", now->wall_ns);
}

static void save(struct rules *rules)
{
    pthread_mutex_lock(&rules->file_lock);
    pthread_mutex_lock(&rules->lock);
    bool unsaved = rules->unsaved;
    json_t *json = unsaved ? keep_json(rules, RULES_MAX, NULL) : NULL;
    rules->unsaved = false;
    pthread_mutex_unlock(&rules->lock);
    int error = unsaved ? keep_write(rules, json) : 0;
    if (error) {
        pthread_mutex_lock(&rules->lock);
        rules->unsaved = true;
        pthread_mutex_unlock(&rules->lock);
        log_limited(&rules->unsaved_limit, "%s: %s; states of rules are not kept", rules->options.path, strerror(-error));
    }
    pthread_mutex_unlock(&rules->file_lock);
}

void rules_evaluate(struct rules *rules, const struct stats_view *view, uint64_t now_mono_ns, uint64_t now_wall_ns)
{
    const struct moment now = {now_mono_ns, now_wall_ns};
    size_t count;
    pthread_mutex_lock(&rules->lock);
    begin(rules);
    for (size_t i = 0; i < view->process_count && !view->processes[i]->gone; i++)
        process_evaluate(rules, view->processes[i], &now);
    gone_end(rules, &now);
    struct told *told = told_take(rules, &count);
    bool unsaved = rules->unsaved;
    pthread_mutex_unlock(&rules->lock);
    told_carry_out(rules, told, count);
    if (unsaved)
        save(rules);
}
