/* artifact: what a snapshot holds; and snapshot, which makes one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tallyctl/artifact.h"
#include "tallyctl/columns.h"
#include "tallyctl/operation.h"
#include "tallyctl/request.h"
#include "tallyctl/save.h"
#include "tallyctl/show.h"
#include "tallyctl/text.h"
#include "tallyctl/wake.h"

#define SNAPSHOT_WAIT_MS 3600000u /* its deadline ends it before */
#define DOWNLOAD_WAIT_MS 3600000u
#define STEP_MS 500u
#define FORMAT_STANDARD "heapsnapshot"

/* ---- looking at one */

/* "/v1/artifacts/ID", and "/LEAF", and "/OBJECT" of the second argument. */
static void artifact_path(char path[REQUEST_PATH_MAX], const char *id, const char *leaf)
{
    snprintf(path, REQUEST_PATH_MAX, "/v1/artifacts");
    request_add_segment(path, id);
    if (leaf)
        request_add_segment(path, leaf);
}

/* A line on the terminal that the next one replaces. */
static void progress_line(const char *text)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s", text);
}

enum ctl_exit artifact_until_ready(struct client *client, const char *id)
{
    char path[REQUEST_PATH_MAX], line[160], eta[TEXT_FIGURE_MAX];
    enum ctl_exit status = CTL_DONE;
    bool over = false;
    artifact_path(path, id, NULL);
    while (status == CTL_DONE && !over) {
        struct client_reply reply;
        status = client_call(client, "GET", path, NULL, 0, &reply);
        if (status != CTL_DONE)
            break;
        const char *state = client_text(reply.json, "state");
        bool failed = strcmp(state, "failed") == 0;
        over = failed || strcmp(state, "ready") == 0;
        if (failed)
            status = ctl_fail(CTL_FAILED, "artifact %s failed: %s", id, client_text(reply.json, "problem"));
        snprintf(line, sizeof line, "artifact %.40s: %.20s %.0f %%, %s left", id, state,
                 100 * json_number_value(json_object_get(reply.json, "progress")),
                 text_duration(eta, client_number(reply.json, "eta_ms") * 1000000));
        progress_line(over ? "" : line);
        client_reply_fini(&reply);
        if (!over)
            client_run(client, -1, STEP_MS);
    }
    return status;
}

/* What the artifact shows at `path`, once it is ready to. */
static enum ctl_exit ready_get(const struct ctl *ctl, const char *path, show_fn show)
{
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = artifact_until_ready(client, ctl->arguments[0]);
    if (status == CTL_DONE)
        status = answer_call(ctl, client, "GET", path, NULL, 0, show);
    client_close(client);
    return status;
}

static enum ctl_exit look(const struct ctl *ctl, char path[REQUEST_PATH_MAX], show_fn show)
{
    request_add(path, "sort", ctl->sort);
    request_add_number(path, "limit", &ctl->limit);
    return ready_get(ctl, path, show);
}

enum ctl_exit command_artifacts(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX] = "/v1/artifacts", process[REQUEST_PATH_MAX] = "";
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE && ctl->argument_count)
        status = request_path_past(ctl, client, ctl->arguments[0], "", process);
    request_add(path, "process", *process ? strrchr(process, '/') + 1 : NULL);
    request_add_number(path, "limit", &ctl->limit);
    if (status == CTL_DONE)
        status = answer_call(ctl, client, "GET", path, NULL, 0, show_artifacts);
    client_close(client);
    return status;
}

enum ctl_exit command_artifact(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    artifact_path(path, ctl->arguments[0], NULL);
    return answer_get(ctl, path, show_artifact);
}

enum ctl_exit command_artifact_types(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    artifact_path(path, ctl->arguments[0], "types");
    return look(ctl, path, show_artifact_types);
}

enum ctl_exit command_artifact_objects(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    artifact_path(path, ctl->arguments[0], "objects");
    request_add(path, "type", ctl->argument_count > 1 ? ctl->arguments[1] : NULL);
    return look(ctl, path, show_artifact_objects);
}

/* The number of an object, which is the second argument; said where it is none. */
static bool object_is_number(const struct ctl *ctl)
{
    uint64_t number;
    if (text_parse_count(ctl->arguments[1], &number))
        return true;
    ctl_fail(CTL_USAGE, "an object is a number, as `artifact ARTIFACT objects` shows it, not '%s'", ctl->arguments[1]);
    return false;
}

/* "/v1/artifacts/ID/objects/OBJECT/LEAF". False, which is said: there is no such path. */
static bool object_path(const struct ctl *ctl, char path[REQUEST_PATH_MAX], const char *leaf)
{
    artifact_path(path, ctl->arguments[0], "objects");
    request_add_segment(path, ctl->arguments[1]);
    if (leaf)
        request_add_segment(path, leaf);
    return object_is_number(ctl) && request_fits(path);
}

/* With --json the object alone: its edges and referrers are lists of their own. */
enum ctl_exit command_artifact_object(const struct ctl *ctl)
{
    static const struct { const char *leaf, *title; show_fn show;
    } parts[] = {{NULL, NULL, show_artifact_object},
                 {"edges", "It refers to", show_artifact_links},
                 {"referrers", "What refers to it", show_artifact_links}};
    char path[REQUEST_PATH_MAX];
    enum ctl_exit status = CTL_DONE;
    for (size_t i = 0; i < (ctl->json ? 1 : sizeof parts / sizeof *parts) && status == CTL_DONE; i++) {
        if (!object_path(ctl, path, parts[i].leaf))
            return CTL_USAGE;
        if (parts[i].title)
            fprintf(ctl->paper.to, "\n%s:\n", parts[i].title);
        status = ready_get(ctl, path, parts[i].show);
    }
    return status;
}

static enum ctl_exit links(const struct ctl *ctl, const char *leaf)
{
    char path[REQUEST_PATH_MAX];
    return object_path(ctl, path, leaf) ? look(ctl, path, show_artifact_links) : CTL_USAGE;
}

enum ctl_exit command_artifact_edges(const struct ctl *ctl)
{
    return links(ctl, "edges");
}

enum ctl_exit command_artifact_referrers(const struct ctl *ctl)
{
    return links(ctl, "referrers");
}

enum ctl_exit command_artifact_path(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    return object_path(ctl, path, "path") ? ready_get(ctl, path, show_path) : CTL_USAGE;
}

enum ctl_exit command_artifact_dominators(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    artifact_path(path, ctl->arguments[0], "dominators");
    if (ctl->argument_count > 1 && !object_is_number(ctl))
        return CTL_USAGE;
    request_add(path, "object", ctl->argument_count > 1 ? ctl->arguments[1] : NULL);
    return look(ctl, path, show_artifact_objects);
}

static enum ctl_exit download(const struct ctl *ctl, struct client *client, const char *id)
{
    char path[REQUEST_PATH_MAX];
    artifact_path(path, id, NULL);
    request_add(path, "format", ctl->format ? ctl->format : FORMAT_STANDARD);
    return save_get(ctl, client, path, DOWNLOAD_WAIT_MS);
}

enum ctl_exit command_artifact_download(const struct ctl *ctl)
{
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = artifact_until_ready(client, ctl->arguments[0]);
    if (status == CTL_DONE)
        status = download(ctl, client, ctl->arguments[0]);
    client_close(client);
    return status;
}

/* The path of a ticket behind the address where tallyd is asked, else where it listens. */
static enum ctl_exit link_print(const struct ctl *ctl, struct client *client, const struct client_reply *ticket)
{
    struct client_reply info;
    const char *base = client_base(client), *url = client_text(ticket->json, "url");
    if (base) {
        columns_say(&ctl->paper, base, url, "\n");
        return CTL_DONE;
    }
    enum ctl_exit status = client_call(client, "GET", "/v1/info", NULL, 0, &info);
    if (status == CTL_DONE) {
        columns_say(&ctl->paper, "http://", client_text(info.json, "http"), "");
        columns_say(&ctl->paper, "", url, "\n");
        client_reply_fini(&info);
    }
    return status;
}

enum ctl_exit command_artifact_link(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX], body[64];
    struct client *client = NULL;
    struct client_reply ticket;
    snprintf(body, sizeof body, "{\"format\":\"%.20s\"}", ctl->format ? ctl->format : FORMAT_STANDARD);
    artifact_path(path, ctl->arguments[0], "ticket");
    enum ctl_exit status = request_fits(path) ? client_open(ctl, &client) : CTL_USAGE;
    if (status == CTL_DONE)
        status = artifact_until_ready(client, ctl->arguments[0]);
    if (status == CTL_DONE)
        status = client_call(client, "POST", path, body, 0, &ticket);
    if (status == CTL_DONE) {
        if (ctl->json)
            answer_line(ctl->paper.to, ticket.body);
        else
            status = link_print(ctl, client, &ticket);
        client_reply_fini(&ticket);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_artifact_delete(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    artifact_path(path, ctl->arguments[0], NULL);
    enum ctl_exit status = answer_send(ctl, "DELETE", path, NULL, NULL);
    if (status == CTL_DONE && !ctl->json)
        columns_say(&ctl->paper, "artifact ", ctl->arguments[0], " deleted\n");
    return status;
}

/* ---- making one */

static void while_taken(void *arg, const json_t *operation)
{
    char text[128];
    (void)arg;
    snprintf(text, sizeof text, "snapshot: %.60s", client_text(operation, "state"));
    progress_line(text);
}

/* What it would cost, before it costs it; how it goes on without a forecast is tallyd's to say. */
static void say_forecast(const struct ctl *ctl, struct client *client)
{
    char path[REQUEST_PATH_MAX], problem[CLIENT_PROBLEM_MAX], pause[TEXT_FIGURE_MAX];
    struct client_reply reply;
    if (request_path(ctl, client, ctl->arguments[0], "forecast", path) != CTL_DONE)
        return;
    if (client_try(client, "GET", path, NULL, 0, &reply, problem) != CTL_DONE)
        return;
    const json_t *snapshot = json_object_get(reply.json, "snapshot");
    const char *mode = ctl->mode && strcmp(ctl->mode, "auto") ? ctl->mode : client_text(snapshot, "mode");
    const char *figure = strcmp(mode, "clone") ? "pause_ns" : "clone_pause_ns";
    bool known = json_is_integer(json_object_get(snapshot, figure)) && !strcmp(mode, client_text(snapshot, "mode"));
    if (json_is_object(snapshot))
        fprintf(stderr, "tallyctl: about %llu objects, by %s; predicted pause: %s\n",
                (unsigned long long)client_number(snapshot, "objects"), strcmp(mode, "clone") ? "slices" : "a clone",
                known || !strcmp(mode, "clone") ? text_duration(pause, client_number(snapshot, figure))
                                                : "as long as max-pause each");
    client_reply_fini(&reply);
}

static void show_snapshot(const struct paper *paper, const json_t *operation)
{
    char pause[TEXT_FIGURE_MAX], bytes[TEXT_FIGURE_MAX];
    const json_t *result = json_object_get(operation, "result");
    size_t i;
    json_t *heap;
    if (strcmp(client_text(operation, "state"), "succeeded") != 0)
        return;
    fprintf(paper->to, "%llu objects, %s", (unsigned long long)client_number(result, "objects"),
            text_bytes(bytes, client_number(result, "bytes")));
    fprintf(paper->to, ", paused for %s", text_duration(pause, client_number(result, "pause_ns")));
    columns_say(paper, ", ", client_text(result, "mode"),
                json_is_false(json_object_get(result, "instant")) ? ", not of one instant\n" : "\n");
    if (*client_text(result, "artifact"))
        columns_say(paper, "artifact ", client_text(result, "artifact"), "\n");
    else
        json_array_foreach(json_object_get(operation, "heaps"), i, heap) {
            fprintf(paper->to, "heap %llu: ", (unsigned long long)client_number(heap, "n"));
            columns_say(paper, "artifact ", client_text(heap, "artifact"), "\n");
        }
}

static enum ctl_exit keep_file(const struct ctl *ctl, struct client *client, const char *id)
{
    if (!*id)
        return ctl_fail(CTL_FAILED, "several heaps make several artifacts: --out needs --heap, or download them one by one");
    enum ctl_exit status = artifact_until_ready(client, id);
    if (status == CTL_INTERRUPTED)
        return ctl_fail(status, "interrupted: artifact %s is kept, and can be downloaded", id);
    return status == CTL_DONE ? download(ctl, client, id) : status;
}

enum ctl_exit command_snapshot(const struct ctl *ctl)
{
    char path[REQUEST_PATH_MAX];
    struct client *client = NULL;
    struct client_reply reply;
    if (ctl->format && !ctl->out)
        return ctl_fail(CTL_USAGE, "--format is of --out FILE");
    enum ctl_exit status = save_try(ctl->out);
    if (status == CTL_DONE)
        status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = request_path(ctl, client, ctl->arguments[0], "snapshot", path);
    if (status != CTL_DONE) {
        client_close(client);
        return status;
    }
    json_t *body = json_pack("{s:s, s:b}", "mode", ctl->mode ? ctl->mode : "auto", "force", ctl->force);
    if (body && ctl->deadline_ms.given)
        json_object_set_new(body, "deadline_ms", json_integer((json_int_t)ctl->deadline_ms.value));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (!ctl->json)
        say_forecast(ctl, client);
    status = operation_run(client, "POST", path, text, SNAPSHOT_WAIT_MS, while_taken, NULL, &reply);
    progress_line("");
    free(text);
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, show_snapshot);
        status = operation_outcome(reply.json);
        if (status == CTL_DONE && ctl->out)
            status = keep_file(ctl, client, client_text(reply.json, "result.artifact"));
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}
