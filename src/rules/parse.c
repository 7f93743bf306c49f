/* A rule from its JSON: from the API and from our own file, which anybody may have written. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "rules/private.h"

#define OVER_LEAST (10 * SECOND_NS)
#define OVER_MOST (7 * 24 * HOUR_NS)
#define FOR_MOST (24 * HOUR_NS)
#define EVERY_LEAST (10 * SECOND_NS)
#define OVER_DEFAULT "60s"
#define RATE_OVER_DEFAULT "10s"
#define LIMIT_DEFAULT 6
#define DEADLINE_DEFAULT_MS 30000u
#define SERIES_NAMES_BYTES 1024u
#define BOUND_MOST 9007199254740992.0 /* 2^53 */

struct parsing {
    struct rule *rule;
    rules_command_fn command;
    char *why;
    size_t why_bytes;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct parsing *parsing, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parsing->why, parsing->why_bytes, format, arguments);
    va_end(arguments);
    return false;
}

/* Whether an object has no members but these, which are separated by blanks. */
static bool members_known(struct parsing *parsing, const char *where, json_t *object, const char *known)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return wrong(parsing, "%s must be an object", where);
    json_object_foreach(object, name, value)
    {
        const char *at = strstr(known, name);
        size_t bytes = strlen(name);
        while (at && ((at != known && at[-1] != ' ') || !strchr(" ", at[bytes])))
            at = strstr(at + 1, name);
        if (!at || !bytes)
            return wrong(parsing, "member \"%.*s\" of %s is unknown; there are: %s", utf8_cut(name, 60), name, where, known);
    }
    return true;
}

/* Digits and a unit. */
static bool duration_read(const char *text, uint64_t *ns)
{
    static const struct { const char *word; uint64_t ns; } units[] = {
        {"ms", SECOND_NS / 1000}, {"s", SECOND_NS}, {"m", 60 * SECOND_NS}, {"h", HOUR_NS}, {"d", 24 * HOUR_NS}};
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 9)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(text + digits, units[i].word)) {
            *ns = strtoull(text, NULL, 10) * units[i].ns;
            return true;
        }
    return false;
}

/* A member of `object` that may be missing: then it is set to `otherwise`, where that is not NULL. */
static bool duration_take(struct parsing *parsing, const char *where, json_t *object, const char *name, const char *otherwise,
                          uint64_t least, uint64_t most, uint64_t *ns)
{
    json_t *value = json_object_get(object, name);
    if (!value && !otherwise)
        return true;
    if (!value)
        json_object_set_new(object, name, value = json_string(otherwise));
    if (!json_is_string(value) || !duration_read(json_string_value(value), ns) || *ns < least || *ns > most)
        return wrong(parsing, "member \"%s\" of %s must be a time such as \"90s\" (ms, s, m, h, d), from %llus to %llus", name,
                     where, (unsigned long long)(least / SECOND_NS), (unsigned long long)(most / SECOND_NS));
    return true;
}

static bool selector_take(struct parsing *parsing, json_t *json)
{
    struct rule *rule = parsing->rule;
    const char *key;
    json_t *value, *selector = json_object_get(json, "selector");
    if (!selector)
        json_object_set_new(json, "selector", selector = json_object());
    if (!members_known(parsing, "selector", selector, "name label state"))
        return false;
    json_t *name = json_object_get(selector, "name"), *labels = json_object_get(selector, "label");
    if (name && (!json_is_string(name) || !*json_string_value(name) || json_string_length(name) > 255))
        return wrong(parsing, "member \"name\" of selector must be a text of 1 to 255 bytes");
    if (labels && (!json_is_object(labels) || json_object_size(labels) > WIRE_LABEL_MAX))
        return wrong(parsing, "member \"label\" of selector must be an object of at most %u labels", WIRE_LABEL_MAX);
    json_object_foreach(labels, key, value)
        if (!json_is_string(value))
            return wrong(parsing, "label \"%.*s\" of selector must be a text", utf8_cut(key, 60), key);
    const json_t *state = json_object_get(selector, "state");
    if (state && (!json_is_string(state) || strcmp(json_string_value(state), "live") != 0))
        return wrong(parsing, "member \"state\" of selector must be \"live\", where it is there");
    rule->process_name = json_string_value(name);
    rule->labels = labels;
    return true;
}

/* A number, or "20%" where that makes sense. */
static bool bound_take(struct parsing *parsing, const char *name, const json_t *value)
{
    struct rule *rule = parsing->rule;
    const char *text = json_string_value(value);
    char *end;
    rule->bound = json_is_number(value) ? json_number_value(value) : -1;
    if (rule->condition == GROWS && text && *text >= '0' && *text <= '9') {
        double percent = strtod(text, &end);
        rule->percent = strspn(text, "0123456789.") == (size_t)(end - text) && !strcmp(end, "%");
        rule->bound = rule->percent ? percent : -1;
    }
    if (rule->bound >= 0 && rule->bound <= BOUND_MOST)
        return true;
    return wrong(parsing, "member \"%s\" of when must be a number from 0 to 2^53%s", name,
                 rule->condition == GROWS ? ", or a text such as \"20%\"" : "");
}

static bool condition_take(struct parsing *parsing, json_t *when)
{
    static const char *const names[] = {[ABOVE] = "above", [BELOW] = "below", [GROWS] = "grows_by"};
    struct rule *rule = parsing->rule;
    json_t *steadily = json_object_get(when, "grows_steadily");
    size_t count = 0;
    if (steadily && !json_is_true(steadily))
        return wrong(parsing, "member \"grows_steadily\" of when must be true, where it is there");
    rule->steadily = steadily;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *value = json_object_get(when, names[i]);
        if (!value)
            continue;
        count++;
        rule->condition = (enum condition)i;
        if (!bound_take(parsing, names[i], value))
            return false;
    }
    if (count > 1 || (!count && !steadily) || (count && steadily && rule->condition != GROWS))
        return wrong(parsing, "when needs one of \"above\", \"below\", \"grows_by\", or \"grows_steadily\" (with \"grows_by\" if you like)");
    if (steadily)
        rule->condition = GROWS;
    if (rule->condition == GROWS && rule->series->source == RATE)
        return wrong(parsing, "when: a rate has no growth; watch \"above\" or \"below\"");
    return true;
}

static bool series_wrong(struct parsing *parsing, const char *name)
{
    char names[SERIES_NAMES_BYTES], given[96] = "";
    if (name)
        snprintf(given, sizeof given, ", not \"%.*s\"", utf8_cut(name, 80), name);
    series_names(names, sizeof names);
    return wrong(parsing, "member \"series\" of when must be one of these%s:%s", given, names);
}

static bool when_take(struct parsing *parsing, json_t *json)
{
    struct rule *rule = parsing->rule;
    json_t *when = json_object_get(json, "when");
    if (!when)
        return wrong(parsing, "member \"when\" is missing");
    if (!members_known(parsing, "when", when, "series type above below grows_by grows_steadily over for"))
        return false;
    const char *name = json_string_value(json_object_get(when, "series"));
    rule->series = name ? series_find(name) : NULL;
    if (!rule->series)
        return series_wrong(parsing, name);
    json_t *type = json_object_get(when, "type");
    if (type && (!series_of_types(rule->series) || !json_is_string(type) || !*json_string_value(type) || json_string_length(type) >= TYPE_BYTES_MAX))
        return wrong(parsing, "member \"type\" of when must be a text of 1 to 255 bytes, with series of types alone");
    rule->type = json_string_value(type);
    if (!condition_take(parsing, when))
        return false;
    if (json_object_get(when, "over") && !rule_has_window(rule) && rule->series->source != PAUSE_P99 && rule->series->source != FREE_NOTHING)
        return wrong(parsing, "member \"over\" of when has no meaning for \"%s\" %s", name, rule->condition == ABOVE ? "above" : "below");
    bool needs = rule_has_window(rule) || rule->series->source == PAUSE_P99 || rule->series->source == FREE_NOTHING;
    return duration_take(parsing, "when", when, "over", !needs ? NULL : rule->series->source == RATE ? RATE_OVER_DEFAULT : OVER_DEFAULT,
                         OVER_LEAST, OVER_MOST, &rule->over_ns) &&
           duration_take(parsing, "when", when, "for", "0s", 0, FOR_MOST, &rule->for_ns);
}

static bool action_take(struct parsing *parsing, json_t *object)
{
    struct rule *rule = parsing->rule;
    struct action *action = &rule->actions[rule->action_count];
    const char *kind = json_object_iter_key(json_object_iter(object));
    char why[160] = "it cannot be used here";
    if (!kind || json_object_size(object) != 1 || (strcmp(kind, "collect") != 0 && strcmp(kind, "config") != 0))
        return wrong(parsing, "an object of do must be {\"collect\": …} or {\"config\": …}");
    if (rule->action_count == ACTIONS_MAX)
        return wrong(parsing, "do may have at most %u controls", ACTIONS_MAX);
    json_t *body = json_object_get(object, kind), *deadline = json_object_get(body, "deadline_ms");
    if (!json_is_object(body) || !parsing->command || !parsing->command(kind, body, &action->command, why, sizeof why))
        return wrong(parsing, "\"%s\" of do: %s", kind, json_is_object(body) ? why : "must be an object");
    action->kind = action->command.kind == WIRE_COMMAND_COLLECT ? "collect" : "config";
    action->deadline_ms = deadline ? (uint64_t)json_integer_value(deadline) : DEADLINE_DEFAULT_MS;
    action->detail = json_dumps(body, JSON_COMPACT);
    if (!action->detail)
        return wrong(parsing, "out of memory");
    rule->action_count++;
    return true;
}

static bool do_take(struct parsing *parsing, json_t *json)
{
    struct rule *rule = parsing->rule;
    json_t *list = json_object_get(json, "do"), *each;
    size_t at;
    if (!json_array_size(list) || json_array_size(list) > ACTIONS_MAX + 2)
        return wrong(parsing, "member \"do\" must be an array of 1 to %u", ACTIONS_MAX + 2);
    json_array_foreach(list, at, each)
    {
        const char *word = json_string_value(each);
        bool *flag = !word ? NULL : !strcmp(word, "log") ? &rule->log : !strcmp(word, "alert") ? &rule->alert : NULL;
        if (word && (!flag || *flag))
            return wrong(parsing, "a text of do must be \"log\" or \"alert\", each once");
        if (flag)
            *flag = true;
        else if (!action_take(parsing, each))
            return false;
    }
    return true;
}

static bool rest_take(struct parsing *parsing, json_t *json)
{
    struct rule *rule = parsing->rule;
    json_t *enabled = json_object_get(json, "enabled"), *limit = json_object_get(json, "limit_per_hour");
    json_t *name = json_object_get(json, "name");
    if (!enabled)
        json_object_set_new(json, "enabled", enabled = json_true());
    if (!limit)
        json_object_set_new(json, "limit_per_hour", limit = json_integer(LIMIT_DEFAULT));
    if (name && (!json_is_string(name) || strcmp(json_string_value(name), rule->name) != 0))
        return wrong(parsing, "member \"name\" must be the one of the path, where it is there");
    if (!json_is_boolean(enabled))
        return wrong(parsing, "member \"enabled\" must be true or false");
    if (!json_is_integer(limit) || json_integer_value(limit) < 1 || json_integer_value(limit) > LIMIT_MAX)
        return wrong(parsing, "member \"limit_per_hour\" must be an integer from 1 to %u", LIMIT_MAX);
    rule->enabled = json_is_true(enabled);
    rule->limit_per_hour = (unsigned)json_integer_value(limit);
    json_object_set_new(json, "name", json_string(rule->name));
    return duration_take(parsing, "the rule", json, "every", NULL, EVERY_LEAST, FOR_MOST, &rule->every_ns);
}

struct rule *rule_parse(const char *name, json_t *body, rules_command_fn command, char *why, size_t why_bytes)
{
    struct rule *rule = calloc(1, sizeof *rule);
    struct parsing parsing = {rule, command, why, why_bytes};
    snprintf(why, why_bytes, "out of memory");
    if (!rule)
        return NULL;
    bool named = wire_key_valid(name, strlen(name));
    snprintf(rule->name, sizeof rule->name, "%s", named ? name : "");
    rule->json = json_deep_copy(body);
    if (!named)
        wrong(&parsing, "a rule's name has 1 to %u of a to z, 0 to 9, _, . and -", RULES_NAME_MAX);
    if (named && rule->json && members_known(&parsing, "the rule", rule->json, "name enabled selector when do every limit_per_hour") &&
        selector_take(&parsing, rule->json) && when_take(&parsing, rule->json) && do_take(&parsing, rule->json) &&
        rest_take(&parsing, rule->json))
        return rule;
    rule_free(rule);
    return NULL;
}

void rule_free(struct rule *rule)
{
    if (!rule)
        return;
    for (size_t i = 0; i < rule->action_count; i++)
        free(rule->actions[i].detail);
    json_decref(rule->json);
    free(rule);
}

void rule_condition(const struct rule *rule, char *text, size_t bytes)
{
    static const char *const words[] = {[ABOVE] = "above", [BELOW] = "below", [GROWS] = "grows by"};
    const char *over = json_string_value(json_object_get(json_object_get(rule->json, "when"), "over"));
    char bound[32] = "";
    if (rule->bound != 0 || !rule->steadily)
        snprintf(bound, sizeof bound, " %.16g%s", rule->bound, rule->percent ? "%" : "");
    snprintf(text, bytes, "%s%s%s%s%s", rule->steadily && !*bound ? "grows" : words[rule->condition], bound,
             rule->steadily ? " steadily" : "", over ? " over " : "", over ? over : "");
}
