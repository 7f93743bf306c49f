/* rules: what tallyd watches by itself; and the alerts that come of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/columns.h"
#include "tallyctl/request.h"
#include "tallyctl/show.h"

#define FILE_MAX 65536u /* more than any rule: tallyd takes less */

static void rule_path(char path[REQUEST_PATH_MAX], const char *name, const char *leaf)
{
    snprintf(path, REQUEST_PATH_MAX, "/v1/rules");
    request_add_segment(path, name);
    snprintf(path + strlen(path), REQUEST_PATH_MAX - strlen(path), "%s", leaf);
}

enum ctl_exit command_rules(const struct ctl *ctl)
{
    return answer_get(ctl, "/v1/rules", show_rules);
}

enum ctl_exit command_rules_series(const struct ctl *ctl)
{
    return answer_get(ctl, "/v1/rules", show_rule_series);
}

/* As put takes it again: without what tallyd has added. */
static void show_rule(const struct paper *paper, const json_t *json)
{
    static const char *const added[] = {"revision", "created_at", "changed_at"};
    json_t *rule = json_copy((json_t *)json);
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        json_object_del(rule, added[i]);
    char *text = json_dumps(rule, JSON_INDENT(2) | JSON_ENSURE_ASCII); /* a terminal obeys no ASCII of JSON but DEL */
    for (const char *at = text; at && *at; at++)
        fputs(*at == 0x7F ? "\\u007f" : (char[]){*at, '\0'}, paper->to);
    putc('\n', paper->to);
    free(text);
    json_decref(rule);
}

static enum ctl_exit get(const struct ctl *ctl, const char *leaf, show_fn show)
{
    char path[REQUEST_PATH_MAX];
    rule_path(path, ctl->arguments[0], leaf);
    return answer_get(ctl, path, show);
}

enum ctl_exit command_rules_show(const struct ctl *ctl)
{
    return get(ctl, "", show_rule);
}

enum ctl_exit command_rules_states(const struct ctl *ctl)
{
    return get(ctl, "/states", show_rule_states);
}

/* The file's JSON; what is wrong with it is said, with its place. */
static enum ctl_exit rule_read_new(const char *name, char **text)
{
    json_error_t error;
    FILE *file = strcmp(name, "-") ? fopen(name, "re") : stdin;
    char *bytes = malloc(FILE_MAX + 1);
    *text = NULL;
    if (!file || !bytes) {
        int why = file ? ENOMEM : errno;
        free(bytes);
        if (file && file != stdin)
            fclose(file);
        return ctl_fail(CTL_USAGE, "%s: %s", name, strerror(why));
    }
    size_t count = fread(bytes, 1, FILE_MAX + 1, file);
    bool bad = ferror(file);
    if (file != stdin)
        fclose(file);
    json_t *rule = bad || count > FILE_MAX ? NULL : json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);
    free(bytes);
    if (bad)
        return ctl_fail(CTL_USAGE, "%s: it cannot be read", name);
    if (count > FILE_MAX)
        return ctl_fail(CTL_USAGE, "%s: longer than any rule", name);
    if (!rule)
        return ctl_fail(CTL_USAGE, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    *text = json_dumps(rule, JSON_COMPACT);
    json_decref(rule);
    return *text ? CTL_DONE : ctl_fail(CTL_FAILED, "out of memory");
}

static void show_put(const struct paper *paper, const json_t *json)
{
    columns_say(paper, "rule ", client_text(json, "name"), " is in force");
    fprintf(paper->to, ", revision %llu\n", (unsigned long long)client_number(json, "revision"));
}

static enum ctl_exit send(const struct ctl *ctl, const char *method, const char *body)
{
    char path[REQUEST_PATH_MAX];
    rule_path(path, ctl->arguments[0], "");
    return answer_send(ctl, method, path, body, body ? show_put : NULL);
}

enum ctl_exit command_rules_put(const struct ctl *ctl)
{
    char *body;
    enum ctl_exit status = rule_read_new(ctl->arguments[1], &body);
    if (status == CTL_DONE)
        status = send(ctl, "PUT", body);
    free(body);
    return status;
}

enum ctl_exit command_rules_delete(const struct ctl *ctl)
{
    enum ctl_exit status = send(ctl, "DELETE", NULL);
    if (status == CTL_DONE && !ctl->json)
        columns_say(&ctl->paper, "rule ", ctl->arguments[0], " deleted\n");
    return status;
}

enum ctl_exit command_alerts(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX] = "/v1/alerts";
    request_add(path, "state", ctl->state);
    request_add_number(path, "limit", &ctl->limit);
    return answer_get(ctl, path, show_alerts);
}
