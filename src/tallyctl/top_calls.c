/* What top asks tallyd, while it obeys keys. */
#include <string.h>

#include "base/clock.h"
#include "tallyctl/operation.h"
#include "tallyctl/request.h"
#include "tallyctl/text.h"
#include "tallyctl/top.h"

#define INTERVAL_MS 1000u
#define WAIT_MS 250u
#define PATIENCE_MS 10000u

uint64_t top_interval_ns(const struct top *top)
{
    return (top->ctl->interval_ms.given ? top->ctl->interval_ms.value : INTERVAL_MS) * 1000000u;
}

static void say(struct top *top, bool warning, const char *text)
{
    snprintf(top->message, sizeof top->message, "%.*s", TOP_TEXT_MAX - 1, text);
    top->warning = warning;
}

static void begin(struct top *top, enum top_ask ask, const char *method, const char *path, const char *body)
{
    if (!top->calls[ask] && strlen(path) + 1 < REQUEST_PATH_MAX)
        top->calls[ask] = client_begin(
            top->client,
            &(struct client_request){.method = method, .path = path, .body = body, .patience_ms = PATIENCE_MS});
}

/* ---- the list, page by page */

static void begin_list(struct top *top, const char *cursor)
{
    char path[REQUEST_PATH_MAX];
    snprintf(path, sizeof path, "/v1/processes?%slimit=1000", top->query);
    request_add(path, "cursor", *cursor ? cursor : NULL);
    begin(top, TOP_ASK_LIST, "GET", path, NULL);
}

/* Takes over a page's JSON. */
static void take_list(struct top *top, json_t *json)
{
    char cursor[1024];
    snprintf(cursor, sizeof cursor, "%s", client_text(json, "next_cursor"));
    if (top->pages) {
        json_array_extend(json_object_get(top->pages, "processes"), json_object_get(json, "processes"));
        json_decref(json);
    } else {
        top->pages = json;
    }
    if (*cursor) {
        begin_list(top, cursor);
        return;
    }
    top->last_ns = clock_mono_ns();
    top_model_take(&top->model, top->pages, top->last_ns);
    top->pages = NULL;
    *top->problem = '\0';
}

/* ---- the page */

static const char *const leaves[TOP_ASKS] = {[TOP_ASK_STATS] = "stats",
                                             [TOP_ASK_TYPES] = "types?limit=500",
                                             [TOP_ASK_COLLECTIONS] = "collections?limit=200",
                                             [TOP_ASK_FORECAST] = "forecast"};

static void begin_page(struct top *top)
{
    char path[REQUEST_PATH_MAX];
    const struct top_row *row = top_chosen(top);
    enum top_mode behind = top->mode == TOP_MODE_LIST || top->mode == TOP_MODE_PAGE ? top->mode : top->back;
    for (unsigned ask = 0; ask < TOP_ASKS && row && behind == TOP_MODE_PAGE; ask++) {
        if (!leaves[ask] || (ask == TOP_ASK_FORECAST && row->gone))
            continue;
        snprintf(path, sizeof path, "/v1/processes/%.32s/%s", row->id, leaves[ask]);
        begin(top, (enum top_ask)ask, "GET", path, NULL);
    }
}

void top_calls_page(struct top *top)
{
    for (unsigned ask = 0; ask < TOP_ASKS; ask++) {
        struct client_reply reply;
        char problem[CLIENT_PROBLEM_MAX];
        json_decref(top->page[ask]);
        top->page[ask] = NULL;
        if (leaves[ask] && top->calls[ask]) {
            client_end(top->client, top->calls[ask], &reply, problem);
            client_reply_fini(&reply);
            top->calls[ask] = NULL;
        }
    }
    memset(top->line, 0, sizeof top->line);
    top->due_ns = 0;
}

/* ---- controls */

void top_calls_control(struct top *top)
{
    static const struct {
        const char *method, *leaf, *body;
    } requests[] = {[TOP_COLLECT] = {"POST", "collect", "{\"generation\":2}"},
                    [TOP_ENABLE] = {"PATCH", "config", "{\"enabled\":true}"},
                    [TOP_DISABLE] = {"PATCH", "config", "{\"enabled\":false}"},
                    [TOP_SNAPSHOT] = {"POST", "snapshot", "{}"}};
    char path[REQUEST_PATH_MAX];
    const struct top_row *row = top_chosen(top);
    if (!row)
        return;
    snprintf(path, sizeof path, "/v1/processes/%.32s/%s?wait=0ms", row->id, requests[top->control].leaf);
    begin(top, TOP_ASK_CONTROL, requests[top->control].method, path, requests[top->control].body);
    say(top, false, "asked");
}

static void tell_end(struct top *top, const json_t *operation)
{
    char text[TOP_TEXT_MAX], freed[TEXT_FIGURE_MAX], pause[TEXT_FIGURE_MAX];
    const json_t *enabled = client_member(operation, "result.enabled");
    const char *artifact = client_text(operation, "result.artifact");
    const char *state = client_text(operation, "state"), *kind = client_text(operation, "kind"),
               *detail = client_text(operation, "detail");
    bool good = strcmp(state, "succeeded") == 0;
    if (good && json_is_integer(client_member(operation, "result.collected")))
        snprintf(text, sizeof text, "collected %llu objects, %s; it paused for %s",
                 (unsigned long long)client_number(operation, "result.collected"),
                 text_bytes(freed, client_number(operation, "result.freed_bytes")),
                 text_duration(pause, client_number(operation, "pause_ns")));
    else if (good && strcmp(kind, "snapshot") == 0)
        snprintf(text, sizeof text, "snapshot %.20s: %llu objects; it paused for %s", *artifact ? artifact : "of each heap",
                 (unsigned long long)client_number(operation, "result.objects"),
                 text_duration(pause, client_number(operation, "pause_ns")));
    else if (good && json_is_boolean(enabled))
        snprintf(text, sizeof text, "automatic collections are %s", json_is_true(enabled) ? "on" : "off");
    else
        snprintf(text, sizeof text, "%.20s: %.24s%s%.160s", kind, good ? "done" : state, *detail ? ": " : "", detail);
    say(top, !good, text);
    top->due_ns = 0;
}

static void take_control(struct top *top, const json_t *json)
{
    char text[TOP_TEXT_MAX], path[REQUEST_PATH_MAX] = "/v1/operations";
    *top->operation = '\0';
    if (!operation_is(json)) { /* a configuration, which is in force */
        json_t *done =
            json_pack("{s:s, s:{s:O?}}", "state", "succeeded", "result", "enabled", json_object_get(json, "enabled"));
        tell_end(top, done);
        json_decref(done);
    } else if (operation_is_over(json)) {
        tell_end(top, json);
    } else {
        snprintf(top->operation, sizeof top->operation, "%s", client_text(json, "id"));
        snprintf(text, sizeof text, "%.20s: %.40s ...", client_text(json, "kind"), client_text(json, "state"));
        say(top, false, text);
        request_add_segment(path, top->operation);
        request_add(path, "wait", "1s");
        begin(top, TOP_ASK_CONTROL, "GET", path, NULL);
    }
}

/* ---- all of them */

static void take(struct top *top, enum top_ask ask, json_t *json)
{
    if (ask == TOP_ASK_LIST) {
        take_list(top, json);
    } else if (ask == TOP_ASK_CONTROL) {
        take_control(top, json);
        json_decref(json);
    } else {
        json_decref(top->page[ask]);
        top->page[ask] = json;
    }
}

static void fail(struct top *top, enum top_ask ask, enum ctl_exit status, const char *problem)
{
    if (ask == TOP_ASK_CONTROL) {
        say(top, true, problem);
        *top->operation = '\0';
    } else if (ask == TOP_ASK_LIST) {
        snprintf(top->problem, sizeof top->problem, "%s", problem);
        top->status = status;
        json_decref(top->pages);
        top->pages = NULL;
    } /* a page without one of its answers shows the one before */
}

void top_calls_run(struct top *top, int fd)
{
    uint64_t now = clock_mono_ns();
    if (now >= top->due_ns && !top->paused) {
        top->due_ns = now + top_interval_ns(top);
        if (!top->pages)
            begin_list(top, "");
        begin_page(top);
    }
    client_run(top->client, fd, WAIT_MS);
    for (unsigned ask = 0; ask < TOP_ASKS; ask++) {
        struct client_call *call = top->calls[ask];
        struct client_reply reply;
        char problem[CLIENT_PROBLEM_MAX];
        if (!call || !client_over(call))
            continue;
        top->calls[ask] = NULL;
        enum ctl_exit status = client_end(top->client, call, &reply, problem);
        if (status == CTL_DONE)
            take(top, (enum top_ask)ask, json_incref(reply.json));
        else
            fail(top, (enum top_ask)ask, status, problem);
        client_reply_fini(&reply);
    }
}

void top_calls_fini(struct top *top)
{
    struct client_reply reply;
    char problem[CLIENT_PROBLEM_MAX];
    for (unsigned ask = 0; ask < TOP_ASKS; ask++) {
        if (top->calls[ask]) {
            client_end(top->client, top->calls[ask], &reply, problem);
            client_reply_fini(&reply);
        }
        json_decref(top->page[ask]);
    }
    json_decref(top->pages);
}
