/* The commands that ask a process to do something, and what became of it. */
#include <stdlib.h>
#include <string.h>

#include "tallyctl/match.h"
#include "tallyctl/operation.h"
#include "tallyctl/request.h"
#include "tallyctl/setting.h"
#include "tallyctl/show.h"
#include "tallyctl/text.h"
#include "tallyctl/wake.h"

static uint64_t wait_of(const struct ctl *ctl)
{
    return ctl->wait_ms.given ? ctl->wait_ms.value : OPERATION_WAIT_MS;
}

/* Shows an answer: an operation, or what `show` is for. */
static enum ctl_exit answer(const struct ctl *ctl, const struct client_reply *reply, show_fn show)
{
    bool is_operation = operation_is(reply->json);
    answer_print(ctl, reply, is_operation ? show_operation : show);
    return is_operation ? operation_outcome(reply->json) : CTL_DONE;
}

/* The configuration in force now is what a change of it is answered with. */
static enum ctl_exit config_again(struct client *client, const char *path, struct client_reply *reply)
{
    client_reply_fini(reply);
    return client_call(client, "GET", path, NULL, 0, reply);
}

/* Sends `body`, which is taken over, with the deadline, waits and shows what came of it. */
static enum ctl_exit send_free(const struct ctl *ctl, struct client *client, const char *method, const char *path,
                               json_t *body, show_fn show)
{
    struct client_reply reply;
    if (body && ctl->deadline_ms.given)
        json_object_set_new(body, "deadline_ms", json_integer((json_int_t)ctl->deadline_ms.value));
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return ctl_fail(CTL_FAILED, "out of memory");
    enum ctl_exit status = operation_run(client, method, path, text, wait_of(ctl), NULL, NULL, &reply);
    if (status == CTL_DONE && !strcmp(method, "PATCH") && !strcmp(client_text(reply.json, "state"), "succeeded"))
        status = config_again(client, path, &reply);
    if (status == CTL_DONE) {
        status = answer(ctl, &reply, show);
        client_reply_fini(&reply);
    }
    free(text);
    return status;
}

/* `body` is taken over. */
static enum ctl_exit control_free(const struct ctl *ctl, const char *method, const char *leaf, json_t *body)
{
    char path[REQUEST_PATH_MAX];
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path(ctl, client, ctl->arguments[0], leaf, path);
    if (status == CTL_DONE)
        status = send_free(ctl, client, method, path, body, show_config);
    else
        json_decref(body);
    client_close(client);
    return status;
}

enum ctl_exit command_collect(const struct ctl *ctl)
{
    unsigned generation = 2;
    if (ctl->argument_count == 2 && !text_parse_number(ctl->arguments[1], 0, 2, &generation))
        return ctl_fail(CTL_USAGE, "a generation is 0, 1 or 2, not '%s'", ctl->arguments[1]);
    return control_free(ctl, "POST", "collect", json_pack("{s:i}", "generation", (int)generation));
}

enum ctl_exit command_set(const struct ctl *ctl)
{
    json_t *body = setting_body_new(ctl->arguments + 1, ctl->argument_count - 1);
    return body ? control_free(ctl, "PATCH", "config", body) : CTL_USAGE;
}

enum ctl_exit command_enable(const struct ctl *ctl)
{
    return control_free(ctl, "PATCH", "config", json_pack("{s:b}", "enabled", true));
}

enum ctl_exit command_disable(const struct ctl *ctl)
{
    return control_free(ctl, "PATCH", "config", json_pack("{s:b}", "enabled", false));
}

enum ctl_exit command_freeze(const struct ctl *ctl)
{
    return control_free(ctl, "POST", "freeze", json_object());
}

enum ctl_exit command_unfreeze(const struct ctl *ctl)
{
    return control_free(ctl, "POST", "unfreeze", json_object());
}

enum ctl_exit command_baseline(const struct ctl *ctl)
{
    return control_free(ctl, "POST", "baseline", json_object());
}

enum ctl_exit command_garbage_clear(const struct ctl *ctl)
{
    return control_free(ctl, "POST", "garbage/clear", json_object());
}

enum ctl_exit command_cycles_find(const struct ctl *ctl)
{
    enum ctl_exit status = control_free(ctl, "POST", "collect", json_pack("{s:b}", "dry_run", true));
    return status == CTL_DONE ? command_cycles(ctl) : status;
}

/* ---- lists that a program is asked for */

static enum ctl_exit list(const struct ctl *ctl, const char *leaf, const char *type)
{
    char path[REQUEST_PATH_MAX], wait[24];
    struct client *client = NULL;
    struct client_reply reply;
    wake_catch();
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path(ctl, client, ctl->arguments[0], leaf, path);
    if (status == CTL_DONE) {
        struct ctl_number limit = ctl->limit.given ? ctl->limit : (struct ctl_number){true, type ? 100 : 1000};
        snprintf(wait, sizeof wait, "%llums", (unsigned long long)wait_of(ctl));
        request_add(path, "wait", wait);
        request_add_number(path, "deadline_ms", &ctl->deadline_ms);
        request_add_number(path, "limit", &limit);
        request_add(path, "type", type && *type ? type : NULL);
        status = request_fits(path) ? client_call(client, "GET", path, NULL, (unsigned)wait_of(ctl), &reply) : CTL_USAGE;
    }
    if (status == CTL_INTERRUPTED)
        ctl_fail(status, "interrupted: what the program was asked for goes on, until its deadline");
    if (status == CTL_DONE) {
        status = answer(ctl, &reply, show_listing);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_garbage(const struct ctl *ctl)
{
    return list(ctl, "garbage", NULL);
}

enum ctl_exit command_referrers(const struct ctl *ctl)
{
    unsigned index;
    char leaf[48];
    if (!text_parse_number(ctl->arguments[1], 0, INT32_MAX, &index))
        return ctl_fail(CTL_USAGE, "an index is a number from 0, not '%s'", ctl->arguments[1]);
    snprintf(leaf, sizeof leaf, "garbage/%u/referrers", index);
    return list(ctl, leaf, NULL);
}

enum ctl_exit command_objects(const struct ctl *ctl)
{
    return list(ctl, "objects", ctl->argument_count == 2 ? ctl->arguments[1] : "");
}

enum ctl_exit command_candidates(const struct ctl *ctl)
{
    return list(ctl, "candidates", NULL);
}

enum ctl_exit command_cycles(const struct ctl *ctl)
{
    return list(ctl, "cycles", NULL);
}

enum ctl_exit command_events(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX], wait[24];
    uint64_t wait_ms = ctl->wait_ms.given ? ctl->wait_ms.value : 1000;
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path(ctl, client, ctl->arguments[0], "events", path);
    if (status == CTL_DONE) {
        snprintf(wait, sizeof wait, "%llums", (unsigned long long)wait_ms);
        request_add(path, "wait", wait);
        request_add_number(path, "limit", &ctl->limit);
        request_add(path, "kind", ctl->kind);
        request_add(path, "type", ctl->type);
        request_add_number(path, "min_bytes", &ctl->min_bytes);
        status = answer_call(ctl, client, "GET", path, NULL, (unsigned)wait_ms, show_events);
    }
    client_close(client);
    return status;
}

/* ---- many programs */

/* A selector with less in it than was asked for would select more: whatever cannot be put into it is said, and ends it. */
static enum ctl_exit select_labels(const struct ctl_words *labels, json_t *selector)
{
    json_t *set = json_object();
    enum ctl_exit status = CTL_DONE;
    for (unsigned i = 0; i < labels->count && status == CTL_DONE; i++) {
        char key[CTL_LABEL_MAX + 1];
        const char *equals = strchr(labels->words[i], '=');
        snprintf(key, sizeof key, "%.*s", (int)(equals - labels->words[i]), labels->words[i]);
        if (json_object_get(set, key))
            status = ctl_fail(CTL_USAGE, "--label %s is given twice: no process fits both", key);
        else if (json_object_set_new(set, key, json_string(equals + 1)))
            status = ctl_fail(CTL_USAGE, "--label takes UTF-8, not '%s'", labels->words[i]);
    }
    json_object_set_new(selector, "label", set);
    return status;
}

static enum ctl_exit select_processes(const struct ctl *ctl, struct client *client, json_t *selector)
{
    enum ctl_exit status = ctl->labels.count ? select_labels(&ctl->labels, selector) : CTL_DONE;
    if (status == CTL_DONE && ctl->name && json_object_set_new(selector, "name", json_string(ctl->name)))
        status = ctl_fail(CTL_USAGE, "--name takes UTF-8, not '%s'", ctl->name);
    if (status == CTL_DONE && ctl->processes.count) {
        json_t *ids = json_array();
        status = match_ids(client, &ctl->processes, ids);
        json_object_set_new(selector, "ids", ids);
    }
    return status;
}

static enum ctl_exit batch_send(const struct ctl *ctl, struct client *client, const json_t *body)
{
    struct client_reply reply;
    char *text = json_dumps(body, JSON_COMPACT);
    enum ctl_exit status = text ? operation_run(client, "POST", "/v1/batch", text, wait_of(ctl), NULL, NULL, &reply)
                                : ctl_fail(CTL_FAILED, "out of memory");
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, show_batch);
        status = operation_outcome(reply.json);
        client_reply_fini(&reply);
    }
    free(text);
    return status;
}

/* `body` is taken over: kind and members of the control. */
static enum ctl_exit batch_free(const struct ctl *ctl, json_t *body)
{
    json_t *selector = json_object();
    struct client *client = NULL;
    bool selects = ctl->processes.count || ctl->labels.count || ctl->name;
    json_object_set_new(body, "selector", selector);
    if (ctl->deadline_ms.given)
        json_object_set_new(body, "deadline_ms", json_integer((json_int_t)ctl->deadline_ms.value));
    enum ctl_exit status =
        selects ? client_open(ctl, &client)
                : ctl_fail(CTL_USAGE, "batch needs --process PROCESS, --label KEY=VALUE or --name NAME: which processes");
    if (status == CTL_DONE)
        status = select_processes(ctl, client, selector);
    if (status == CTL_DONE)
        status = batch_send(ctl, client, body);
    json_decref(body);
    client_close(client);
    return status;
}

enum ctl_exit command_batch(const struct ctl *ctl)
{
    const char *word = ctl->arguments[0];
    bool enable = strcmp(word, "enable") == 0;
    if (enable || strcmp(word, "disable") == 0)
        return batch_free(ctl, json_pack("{s:s, s:b}", "kind", "config", "enabled", enable));
    return batch_free(ctl, json_pack("{s:s}", "kind", strcmp(word, "clear") ? word : "garbage_clear"));
}

enum ctl_exit command_batch_set(const struct ctl *ctl)
{
    json_t *body = setting_body_new(ctl->arguments, ctl->argument_count);
    if (!body)
        return CTL_USAGE;
    json_object_set_new(body, "kind", json_string("config"));
    return batch_free(ctl, body);
}
