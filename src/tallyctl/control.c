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

/* Sends the request to the process and shows the answer: an operation, or the configuration now in force. */
static enum ctl_exit control(const struct ctl *ctl, const char *method, const char *leaf, const char *body)
{
    char query[REQUEST_PATH_MAX], path[REQUEST_PATH_MAX];
    struct client *client = NULL;
    struct client_reply reply;
    snprintf(query, sizeof query, "%s?wait=%ums", leaf, ctl->wait_ms);
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path(ctl, client, query, path);
    if (status == CTL_DONE)
        status = client_call(client, method, path, body, ctl->wait_ms, &reply);
    if (status == CTL_DONE) {
        bool is_operation =
            json_object_get(reply.json, "state") && json_object_get(reply.json, "deadline_ms");
        if (is_operation)
            ctl->output->operation(&reply);
        else
            ctl->output->config(&reply);
        fflush(stdout);
        status = is_operation ? outcome(reply.json) : CTL_DONE;
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
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
