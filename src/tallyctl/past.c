/* The commands about what was asked for and what was: operations, history, audit. */
#include <string.h>

#include "tallyctl/operation.h"
#include "tallyctl/request.h"
#include "tallyctl/save.h"
#include "tallyctl/show.h"

#define POINTS "60"
#define PATIENCE_MS 10000u /* history is read from disk */
#define TRACE_WAIT_MS 60000u

/* A list of the daemon's own. */
static enum ctl_exit list(const struct ctl *ctl, const char *path_, show_fn show)
{
    char path[REQUEST_PATH_MAX];
    struct client *client = NULL;
    snprintf(path, sizeof path, "%s", path_);
    request_add_number(path, "limit", &ctl->limit);
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = answer_call(ctl, client, "GET", path, NULL, PATIENCE_MS, show);
    client_close(client);
    return status;
}

/* Digits and a unit. */
static bool is_age(const char *word)
{
    size_t digits = strspn(word, "0123456789");
    return digits && digits < 8 && strlen(word) == digits + 1 && strchr("smhd", word[digits]);
}

/* The argument AGO, where it is given. */
static enum ctl_exit ago_get(const struct ctl *ctl, int at, const char **ago)
{
    *ago = ctl->argument_count > at ? ctl->arguments[at] : "1h";
    return is_age(*ago) ? CTL_DONE : ctl_fail(CTL_USAGE, "AGO is a time such as 90s, 30m, 12h or 31d, not '%s'", *ago);
}

/* "-AGO" as ?from= takes it. */
static void add_from(char path[REQUEST_PATH_MAX], const char *ago)
{
    char from[16];
    snprintf(from, sizeof from, "-%s", ago);
    request_add(path, "from", from);
}

enum ctl_exit command_history(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    const char *ago;
    struct client *client = NULL;
    enum ctl_exit status = ago_get(ctl, 2, &ago);
    if (status == CTL_DONE)
        status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path_past(ctl, client, ctl->arguments[0], "history", path);
    if (status == CTL_DONE) {
        request_add(path, "points", POINTS);
        add_from(path, ago);
        request_add(path, "series", ctl->argument_count > 1 ? ctl->arguments[1] : "live_bytes,live_objects");
        status = answer_call(ctl, client, "GET", path, NULL, PATIENCE_MS, show_history);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_trace(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    const char *ago;
    struct client *client = NULL;
    enum ctl_exit status = ago_get(ctl, 1, &ago);
    if (status == CTL_DONE)
        status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path_past(ctl, client, ctl->arguments[0], "history", path);
    if (status == CTL_DONE) {
        request_add(path, "format", "trace");
        add_from(path, ago);
        status = save_get(ctl, client, path, TRACE_WAIT_MS);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_past_processes(const struct ctl *ctl)
{
    return list(ctl, "/v1/history/processes", show_known_processes);
}

enum ctl_exit command_past_alerts(const struct ctl *ctl)
{
    return list(ctl, "/v1/history/alerts", show_known_alerts);
}

enum ctl_exit command_past_collections(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    struct ctl whole = *ctl;
    struct client *client = NULL;
    whole.heap = (struct ctl_number){0}; /* one heap is asked for by the query here */
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path_past(&whole, client, ctl->arguments[0], "history/collections", path);
    if (status == CTL_DONE) {
        request_add_number(path, "heap", &ctl->heap);
        request_add_number(path, "limit", &ctl->limit);
        status = answer_call(ctl, client, "GET", path, NULL, PATIENCE_MS, show_collections);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_audit(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX] = "/v1/audit";
    request_add(path, "who", ctl->who);
    request_add(path, "kind", ctl->kind);
    request_add(path, "target", ctl->target);
    request_add_number(path, "limit", &ctl->limit);
    return answer_get(ctl, path, show_audit);
}

/* The body of a purge: of all that is older than an age, or of one process. */
enum ctl_exit command_purge(const struct ctl *ctl)
{
    const char *word = ctl->arguments[0];
    struct client *client = NULL;
    char path[REQUEST_PATH_MAX], body[64] = "{\"all\":true}";
    bool age = is_age(word);
    enum ctl_exit status = client_open(ctl, &client);
    if (age)
        snprintf(body, sizeof body, "{\"before\":\"-%s\"}", word);
    if (status == CTL_DONE && (age || !strcmp(word, "all")))
        status = answer_call(ctl, client, "POST", "/v1/history/purge", body, PATIENCE_MS, show_purged);
    else if (status == CTL_DONE && (status = request_path_past(ctl, client, word, "history", path)) == CTL_DONE)
        status = answer_call(ctl, client, "DELETE", path, NULL, PATIENCE_MS, show_purged);
    client_close(client);
    return status;
}

/* ---- operations */

enum ctl_exit command_operations(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX] = "/v1/operations", process[REQUEST_PATH_MAX] = "";
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE && ctl->argument_count)
        status = request_path_past(ctl, client, ctl->arguments[0], "", process);
    if (status == CTL_DONE) {
        request_add(path, "process", *process ? strrchr(process, '/') + 1 : NULL);
        request_add(path, "state", ctl->state);
        request_add(path, "kind", ctl->kind);
        request_add_number(path, "limit", &ctl->limit);
        status = answer_call(ctl, client, "GET", path, NULL, PATIENCE_MS, show_operations);
    }
    client_close(client);
    return status;
}

static enum ctl_exit one(const struct ctl *ctl, const char *method)
{
    char path[REQUEST_PATH_MAX] = "/v1/operations", wait[24];
    struct client *client = NULL;
    uint64_t wait_ms = ctl->wait_ms.given ? ctl->wait_ms.value : *method == 'D' ? OPERATION_WAIT_MS : 0;
    struct client_reply reply;
    request_add_segment(path, ctl->arguments[0]);
    snprintf(wait, sizeof wait, "%llums", (unsigned long long)wait_ms);
    request_add(path, "wait", wait);
    enum ctl_exit status = request_fits(path) ? client_open(ctl, &client) : CTL_USAGE;
    if (status == CTL_DONE)
        status = client_call(client, method, path, NULL, (unsigned)wait_ms, &reply);
    if (status == CTL_DONE) {
        bool cancelled = strcmp(client_text(reply.json, "state"), "cancelled") == 0;
        answer_print(ctl, &reply, show_operations);
        if (*method == 'D' && !cancelled)
            status = ctl_fail(CTL_FAILED, "operation %s is %s: it can no longer be cancelled",
                              client_text(reply.json, "id"), client_text(reply.json, "state"));
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_operation(const struct ctl *ctl)
{
    return one(ctl, "GET");
}

enum ctl_exit command_operation_cancel(const struct ctl *ctl)
{
    return one(ctl, "DELETE");
}
