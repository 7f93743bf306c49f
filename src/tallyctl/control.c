/* The commands that ask a process to do something, and what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/output.h"
#include "tallyctl/request.h"
#include "tallyctl/setting.h"
#include "tallyctl/text.h"

/* Says what became of an operation that did not succeed. */
static enum ctl_exit outcome(const json_t *operation)
{
    const char *state = client_text(operation, "state");
    const char *id = client_text(operation, "id");
    const char *code = client_text(operation, "code");
    const char *detail = client_text(operation, "detail");
    unsigned long long deadline = client_number(operation, "deadline_ms");
    if (strcmp(state, "succeeded") == 0)
        return CTL_DONE;
    if (strcmp(state, "expired") == 0)
        return ctl_fail(CTL_LATE, "operation %s expired: no safepoint within its deadline of %llu ms", id,
                        deadline);
    if (strcmp(state, "failed") == 0 && strcmp(code, "process_gone") == 0)
        return ctl_fail(CTL_GONE, "operation %s failed: the process has ended", id);
    if (strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0)
        return ctl_fail(CTL_FAILED, "operation %s %s: %s", id, state, *detail ? detail : code);
    return ctl_fail(CTL_LATE, "operation %s is still %s: it may run until its deadline, %llu ms after %s", id,
                    state, deadline, client_text(operation, "created_at"));
}

/* Shows an answer: an operation, or what `show` is for. */
static enum ctl_exit answer(const struct ctl *ctl, const struct client_reply *reply,
                            void (*show)(const struct client_reply *reply))
{
    bool is_operation = json_object_get(reply->json, "state") && json_object_get(reply->json, "deadline_ms");
    (is_operation ? ctl->output->operation : show)(reply);
    fflush(stdout);
    return is_operation ? outcome(reply->json) : CTL_DONE;
}

/* Sends the request to the process and shows the answer. more: further words of the query, each behind an &. */
static enum ctl_exit ask(const struct ctl *ctl, const char *method, const char *leaf, const char *more, const char *body,
                         void (*show)(const struct client_reply *reply))
{
    char query[REQUEST_PATH_MAX], path[REQUEST_PATH_MAX];
    struct client *client = NULL;
    struct client_reply reply;
    int length = snprintf(query, sizeof query, "%s?wait=%ums%s", leaf, ctl->wait_ms, more);
    enum ctl_exit status = length > 0 && (size_t)length < sizeof query ? client_open(ctl, &client)
                                                                       : ctl_fail(CTL_USAGE, "that is too long");
    if (status == CTL_DONE)
        status = request_path(ctl, client, query, path);
    if (status == CTL_DONE)
        status = client_call(client, method, path, body, ctl->wait_ms, &reply);
    if (status == CTL_DONE) {
        status = answer(ctl, &reply, show);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

static enum ctl_exit control(const struct ctl *ctl, const char *method, const char *leaf, const char *body)
{
    return ask(ctl, method, leaf, "", body, ctl->output->config);
}

static enum ctl_exit list(const struct ctl *ctl, const char *leaf, const char *more)
{
    return ask(ctl, "GET", leaf, more, NULL, ctl->output->listing);
}

enum ctl_exit command_collect(const struct ctl *ctl)
{
    unsigned generation = 2;
    if (ctl->argument_count == 2 && !text_parse_number(ctl->arguments[1], 0, 2, &generation))
        return ctl_fail(CTL_USAGE, "a generation is 0, 1 or 2, not '%s'", ctl->arguments[1]);
    char body[32];
    snprintf(body, sizeof body, "{\"generation\":%u}", generation);
    return control(ctl, "POST", "collect", body);
}

enum ctl_exit command_set(const struct ctl *ctl)
{
    json_t *json = setting_body_new(ctl->arguments + 1, ctl->argument_count - 1);
    char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
    enum ctl_exit status = body ? control(ctl, "PATCH", "config", body) : CTL_USAGE;
    free(body);
    json_decref(json);
    return status;
}

enum ctl_exit command_enable(const struct ctl *ctl)
{
    return control(ctl, "PATCH", "config", "{\"enabled\":true}");
}

enum ctl_exit command_disable(const struct ctl *ctl)
{
    return control(ctl, "PATCH", "config", "{\"enabled\":false}");
}

enum ctl_exit command_freeze(const struct ctl *ctl)
{
    return control(ctl, "POST", "freeze", "{}");
}

enum ctl_exit command_unfreeze(const struct ctl *ctl)
{
    return control(ctl, "POST", "unfreeze", "{}");
}

enum ctl_exit command_baseline(const struct ctl *ctl)
{
    if (ctl->heap)
        return ctl_fail(CTL_USAGE, "a baseline is of a whole process");
    return control(ctl, "POST", "baseline", "{}");
}

enum ctl_exit command_garbage(const struct ctl *ctl)
{
    if (ctl->argument_count == 1)
        return list(ctl, "garbage", "&limit=1000");
    if (strcmp(ctl->arguments[1], "clear") != 0)
        return ctl_fail(CTL_USAGE, "garbage takes `clear` or nothing, not '%s'", ctl->arguments[1]);
    return control(ctl, "POST", "garbage/clear", "{}");
}

enum ctl_exit command_referrers(const struct ctl *ctl)
{
    unsigned index;
    char leaf[48];
    if (!text_parse_number(ctl->arguments[1], 0, INT32_MAX, &index))
        return ctl_fail(CTL_USAGE, "an index is a number from 0, not '%s'", ctl->arguments[1]);
    snprintf(leaf, sizeof leaf, "garbage/%u/referrers", index);
    return list(ctl, leaf, "&limit=1000");
}

enum ctl_exit command_objects(const struct ctl *ctl)
{
    char more[3 * 256 + 16] = "";
    size_t used = 0;
    for (const char *at = ctl->argument_count == 2 ? ctl->arguments[1] : ""; *at && used + 4 < sizeof more; at++)
        used += (size_t)snprintf(more + used, sizeof more - used, "%s%%%02X", used ? "" : "&type=", (unsigned char)*at);
    return list(ctl, "objects", more);
}

enum ctl_exit command_cycles(const struct ctl *ctl)
{
    enum ctl_exit status = CTL_DONE;
    if (ctl->argument_count == 2 && strcmp(ctl->arguments[1], "find") != 0)
        return ctl_fail(CTL_USAGE, "cycles takes `find` or nothing, not '%s'", ctl->arguments[1]);
    if (ctl->argument_count == 2)
        status = control(ctl, "POST", "collect", "{\"dry_run\":true}");
    return status == CTL_DONE ? list(ctl, "cycles", "&limit=1000") : status;
}
