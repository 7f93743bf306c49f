#include "tallyctl/operation.h"

#include <string.h>

#include "base/clock.h"
#include "tallyctl/request.h"
#include "tallyctl/wake.h"

#define STEP_MS 1000u    /* of the wait, where there is something to show meanwhile */
#define LONGEST_MS 50000u /* that tallyd is asked to wait in one request */

bool operation_is(const json_t *json)
{
    return json_object_get(json, "state") && json_object_get(json, "deadline_ms");
}

bool operation_is_over(const json_t *operation)
{
    const char *state = client_text(operation, "state");
    return strcmp(state, "queued") && strcmp(state, "waiting_for_safepoint") && strcmp(state, "running");
}

enum ctl_exit operation_outcome(const json_t *operation)
{
    const char *state = client_text(operation, "state");
    const char *id = client_text(operation, "id");
    const char *code = client_text(operation, "code");
    const char *detail = client_text(operation, "detail");
    unsigned long long deadline = client_number(operation, "deadline_ms");
    if (strcmp(state, "succeeded") == 0)
        return CTL_DONE;
    if (strcmp(state, "expired") == 0)
        return ctl_fail(CTL_LATE, "operation %s expired: no safepoint within its deadline of %llu ms", id, deadline);
    if (strcmp(state, "failed") == 0 && strcmp(code, "process_gone") == 0)
        return ctl_fail(CTL_GONE, "operation %s failed: the process has ended", id);
    if (operation_is_over(operation))
        return ctl_fail(CTL_FAILED, "operation %s %s: %s", id, state, *detail ? detail : code);
    return ctl_fail(CTL_LATE, "operation %s is still %s: it may run until its deadline, %llu ms after %s", id, state,
                    deadline, client_text(operation, "created_at"));
}

static void path_of(const json_t *operation, char path[REQUEST_PATH_MAX])
{
    snprintf(path, REQUEST_PATH_MAX, "/v1/operations");
    request_add_segment(path, client_text(operation, "id"));
}

/* Puts what it is now into *reply. */
static enum ctl_exit ask_again(struct client *client, const char *method, unsigned wait_ms, struct client_reply *reply)
{
    char path[REQUEST_PATH_MAX], wait[24];
    struct client_reply newer;
    path_of(reply->json, path);
    snprintf(wait, sizeof wait, "%ums", wait_ms);
    request_add(path, "wait", wait);
    enum ctl_exit status = client_call(client, method, path, NULL, wait_ms, &newer);
    if (status == CTL_DONE) {
        client_reply_fini(reply);
        *reply = newer;
    }
    return status;
}

/* Nobody waits any more: what has not begun need not begin. */
static enum ctl_exit give_up(struct client *client, struct client_reply *reply)
{
    char path[REQUEST_PATH_MAX], problem[CLIENT_PROBLEM_MAX];
    struct client_reply last = {0};
    path_of(reply->json, path);
    request_add(path, "wait", "500ms");
    struct client_call *call =
        client_begin(client, &(struct client_request){.method = "DELETE", .path = path, .patience_ms = 2000});
    uint64_t until = clock_mono_ns() + 2000000000u;
    wake_clear();
    while (call && !client_over(call) && clock_mono_ns() < until)
        client_run(client, -1, 100);
    if (call)
        client_end(client, call, &last, problem);
    const char *state = client_text(last.json, "state");
    if (!strcmp(state, "cancelled"))
        ctl_fail(CTL_INTERRUPTED, "interrupted: operation %s was cancelled", client_text(reply->json, "id"));
    else if (*state && operation_is_over(last.json))
        ctl_fail(CTL_INTERRUPTED, "interrupted: operation %s has %s already", client_text(reply->json, "id"), state);
    else
        ctl_fail(CTL_INTERRUPTED, "interrupted: operation %s goes on; it may run until its deadline, %llu ms after %s",
                 client_text(reply->json, "id"), (unsigned long long)client_number(reply->json, "deadline_ms"),
                 client_text(reply->json, "created_at"));
    client_reply_fini(&last);
    return CTL_INTERRUPTED;
}

static enum ctl_exit follow(struct client *client, uint64_t wait_ms, operation_progress_fn progress, void *arg,
                            struct client_reply *reply)
{
    uint64_t begun = clock_mono_ns(), gone = 0;
    enum ctl_exit status = CTL_DONE;
    while (status == CTL_DONE && !operation_is_over(reply->json) && gone < wait_ms) {
        uint64_t left = wait_ms - gone, step = progress ? STEP_MS : LONGEST_MS;
        if (progress)
            progress(arg, reply->json);
        status = ask_again(client, "GET", (unsigned)(left < step ? left : step), reply);
        gone = (clock_mono_ns() - begun) / 1000000;
    }
    return status == CTL_INTERRUPTED ? give_up(client, reply) : status;
}

enum ctl_exit operation_run(struct client *client, const char *method, const char *path, const char *body, uint64_t wait_ms,
                            operation_progress_fn progress, void *arg, struct client_reply *reply)
{
    char at_once[REQUEST_PATH_MAX];
    snprintf(at_once, sizeof at_once, "%s", path);
    request_add(at_once, "wait", "0ms");
    if (!request_fits(at_once))
        return CTL_USAGE;
    wake_catch();
    enum ctl_exit status = client_call(client, method, at_once, body, 0, reply);
    if (status == CTL_DONE && operation_is(reply->json))
        status = follow(client, wait_ms, progress, arg, reply);
    if (status != CTL_DONE)
        client_reply_fini(reply);
    return status;
}
