/* The commands that only look at programs. */
#include <string.h>

#include "tallyctl/answer.h"
#include "tallyctl/artifact.h"
#include "tallyctl/columns.h"
#include "tallyctl/match.h"
#include "tallyctl/request.h"
#include "tallyctl/show.h"

enum ctl_exit command_list(const struct ctl *ctl)
{
    char query[REQUEST_PATH_MAX] = "";
    struct client *client = NULL;
    struct client_reply reply;
    request_add_labels(query, &ctl->labels);
    request_add(query, "state", ctl->state);
    request_add(query, "sort", ctl->sort);
    if (!request_fits(query))
        return CTL_USAGE;
    size_t length = strlen(query);
    snprintf(query + length, sizeof query - length, "%s", length ? "&" : "");
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = client_processes(client, *query ? query + 1 : query, &reply);
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, show_processes);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

/* GET of one leaf of the process that the first argument names, with what options add to the query. */
static enum ctl_exit look(const struct ctl *ctl, const char *leaf, struct client **client, struct client_reply *reply)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit status = client_open(ctl, client);
    if (status == CTL_DONE)
        status = request_path(ctl, *client, ctl->arguments[0], leaf, path);
    if (status == CTL_DONE) {
        request_add(path, "sort", ctl->sort);
        request_add_number(path, "limit", &ctl->limit);
        status = request_fits(path) ? client_call(*client, "GET", path, NULL, 0, reply) : CTL_USAGE;
    }
    return status;
}

static enum ctl_exit show(const struct ctl *ctl, const char *leaf, show_fn print)
{
    struct client *client = NULL;
    struct client_reply reply;
    enum ctl_exit status = look(ctl, leaf, &client, &reply);
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, print);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

/* A heap by itself is its figures. */
enum ctl_exit command_show(const struct ctl *ctl)
{
    return ctl->heap.given && !ctl->json ? command_stats(ctl) : show(ctl, "", show_process);
}

enum ctl_exit command_stats(const struct ctl *ctl)
{
    struct client *client = NULL;
    struct client_reply reply, info;
    enum ctl_exit status = look(ctl, "stats", &client, &reply);
    if (status == CTL_DONE && ctl->json) {
        answer_line(ctl->paper.to, reply.body);
        client_reply_fini(&reply);
    } else if (status == CTL_DONE) {
        status = client_call(client, "GET", "/v1/info", NULL, 0, &info);
        if (status == CTL_DONE) {
            show_stats(&ctl->paper, reply.json, json_object_get(info.json, "fields"));
            client_reply_fini(&info);
        }
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_types(const struct ctl *ctl)
{
    return show(ctl, "types", show_types);
}

/* What stands in a query must need no escaping. */
static bool is_baseline(const char *id)
{
    size_t length = strlen(id);
    return length && length <= 64 && strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz-") == length;
}

enum ctl_exit command_types_since(const struct ctl *ctl)
{
    char leaf[128] = "types?baseline=true";
    if (ctl->argument_count == 2)
        snprintf(leaf, sizeof leaf, "types?baseline=%s", ctl->arguments[1]);
    if (ctl->argument_count == 2 && !is_baseline(ctl->arguments[1]))
        return ctl_fail(CTL_USAGE, "a baseline is one of `tallyctl baselines`, not '%s'", ctl->arguments[1]);
    return show(ctl, leaf, show_types);
}

enum ctl_exit command_collections(const struct ctl *ctl)
{
    return show(ctl, "collections", show_collections);
}

enum ctl_exit command_config(const struct ctl *ctl)
{
    return show(ctl, "config", show_config);
}

enum ctl_exit command_suspects(const struct ctl *ctl)
{
    return show(ctl, "suspects", show_suspects);
}

enum ctl_exit command_forecast(const struct ctl *ctl)
{
    return show(ctl, "forecast", show_forecast);
}

enum ctl_exit command_baselines(const struct ctl *ctl)
{
    return ctl->argument_count ? show(ctl, "baselines", show_baselines) : answer_get(ctl, "/v1/baselines", show_baselines);
}

enum ctl_exit command_baselines_delete(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX] = "/v1/baselines";
    request_add_segment(path, ctl->arguments[0]);
    enum ctl_exit status = answer_send(ctl, "DELETE", path, NULL, NULL);
    if (status == CTL_DONE && !ctl->json)
        columns_say(&ctl->paper, "baseline ", ctl->arguments[0], " forgotten\n");
    return status;
}

/* Their ids are 16 hex digits; others' have a dash. */
static bool is_artifact(const char *word)
{
    return strlen(word) == 16 && strspn(word, "0123456789abcdef") == 16;
}

/* now:NAME means the process of that name; an artifact may have been taken just now, and is waited for. */
static enum ctl_exit side(struct client *client, const char *word, const char *name, char path[REQUEST_PATH_MAX])
{
    char value[64];
    json_t *process = NULL;
    if (strncmp(word, "now:", 4) != 0) {
        request_add(path, name, word);
        return is_artifact(word) ? artifact_until_ready(client, word) : CTL_DONE;
    }
    enum ctl_exit status = match_one(client, word + 4, &process);
    if (status == CTL_DONE) {
        snprintf(value, sizeof value, "now:%.32s", client_text(process, "id"));
        request_add(path, name, value);
        json_decref(process);
    }
    return status;
}

enum ctl_exit command_compare(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX] = "/v1/compare";
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = side(client, ctl->arguments[0], "a", path);
    if (status == CTL_DONE)
        status = side(client, ctl->arguments[1], "b", path);
    request_add(path, "state", ctl->state);
    request_add(path, "sort", ctl->sort);
    request_add_number(path, "limit", &ctl->limit);
    if (status == CTL_DONE)
        status = answer_call(ctl, client, "GET", path, NULL, 0, show_compared);
    client_close(client);
    return status;
}
