/* tail: what happens, line by line, from the stream. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tallyctl/columns.h"
#include "tallyctl/request.h"
#include "tallyctl/show.h"
#include "tallyctl/sse.h"
#include "tallyctl/text.h"
#include "tallyctl/wake.h"

#define AGAIN_MS 1000u    /* after a connection was lost */
#define SILENCE_NS 30000000000u /* tallyd breaks its own every 10 s: longer, and it is gone */
#define SHOWN_AT_FIRST 10 /* of what was before */

struct tail {
    const struct ctl *ctl;
    const char *process; /* its id, of things that are told of all; NULL: of any */
    const char *list;    /* the member of a frame's data that holds the things; NULL: the data are one thing */
    void (*line)(const struct paper *paper, const json_t *thing);
    uint64_t left; /* things to show yet; 0: for ever */
    bool over, begun;
    uint64_t heard_ns; /* when something came last */
    struct sse sse;
    json_t *seen; /* what was shown: by heap the last collection, by process its last state */
    char last_id[SSE_WORD_MAX];
};

/* ---- a line for each kind of thing */

static void say(const struct paper *paper, const json_t *thing, const char *path, const char *after)
{
    columns_say(paper, "", client_text(thing, path), after);
}

static void figure(const struct paper *paper, const json_t *thing, const char *path, const char *unit, const char *after)
{
    char text[TEXT_FIGURE_MAX];
    fprintf(paper->to, "%s%s", columns_figure(text, client_number(thing, path), unit), after);
}

static void line_process(const struct paper *paper, const json_t *thing)
{
    fprintf(paper->to, "%.8s ", client_text(thing, "id"));
    say(paper, thing, "name", " ");
    say(paper, thing, "state", ": ");
    figure(paper, thing, "live_objects", "", " objects, ");
    figure(paper, thing, "live_bytes", "bytes", ", ");
    figure(paper, thing, "collections", "", " collections\n");
}

static void line_stats(const struct paper *paper, const json_t *thing)
{
    say(paper, thing, "as_of", " ");
    figure(paper, thing, "live_objects", "", " objects, ");
    figure(paper, thing, "live_bytes", "bytes", ", ");
    figure(paper, thing, "rates.allocations_per_s", "", " allocated, ");
    figure(paper, thing, "rates.frees_per_s.refcount", "", " freed by count, ");
    figure(paper, thing, "rates.frees_per_s.cycle", "", " by cycle a second\n");
}

static void line_event(const struct paper *paper, const json_t *thing)
{
    fprintf(paper->to, "heap %llu ", (unsigned long long)client_number(thing, "heap"));
    say(paper, thing, "kind", "");
    if (json_is_string(json_object_get(thing, "type")))
        columns_say(paper, " ", client_text(thing, "type"), "");
    if (json_is_integer(json_object_get(thing, "object")))
        fprintf(paper->to, " #%llu", (unsigned long long)client_number(thing, "object"));
    if (json_is_integer(json_object_get(thing, "bytes"))) {
        fputs(", ", paper->to);
        figure(paper, thing, "bytes", "bytes", "");
    }
    putc('\n', paper->to);
}

static void line_collection(const struct paper *paper, const json_t *thing)
{
    say(paper, thing, "started_at", " ");
    fprintf(paper->to, "heap %llu #%llu ", (unsigned long long)client_number(thing, "heap"),
            (unsigned long long)client_number(thing, "sequence"));
    say(paper, thing, "reason", "");
    fprintf(paper->to, " generation %llu: ", (unsigned long long)client_number(thing, "generation"));
    figure(paper, thing, "pause_ns", "nanoseconds", ", examined ");
    figure(paper, thing, "examined", "", ", collected ");
    figure(paper, thing, "collected", "", ", freed ");
    figure(paper, thing, "freed_bytes", "bytes", "\n");
}

static void line_operation(const struct paper *paper, const json_t *thing)
{
    say(paper, thing, "id", " ");
    say(paper, thing, "kind", " ");
    fprintf(paper->to, "%.8s ", client_text(thing, "process"));
    say(paper, thing, "state", "");
    if (json_is_integer(json_object_get(thing, "pause_ns"))) {
        fputs(", paused for ", paper->to);
        figure(paper, thing, "pause_ns", "nanoseconds", "");
    }
    columns_say(paper, *client_text(thing, "detail") ? ": " : "", client_text(thing, "detail"), "\n");
}

static void line_alert(const struct paper *paper, const json_t *thing)
{
    bool firing = strcmp(client_text(thing, "state"), "firing") == 0;
    say(paper, thing, firing ? "began_at" : "resolved_at", " ");
    columns_say(paper, paper->colour ? (firing ? "\033[31m" : "\033[32m") : "", client_text(thing, "state"),
                paper->colour ? "\033[m " : " ");
    say(paper, thing, "rule", " ");
    say(paper, thing, "name", "");
    columns_say(paper, ": ", client_text(thing, "series"), " ");
    say(paper, thing, "condition", "");
    if (*client_text(thing, "type"))
        columns_say(paper, " (", client_text(thing, "type"), ")");
    columns_say(paper, *client_text(thing, "reason") ? ": " : "", client_text(thing, "reason"), "\n");
}

/* ---- things out of frames */

/* Whether it is another one than was shown of its kind: a stream that begins again tells what is. */
static bool is_new(struct tail *tail, const json_t *thing)
{
    char key[64];
    json_t *now = NULL;
    if (json_is_integer(json_object_get(thing, "sequence"))) {
        snprintf(key, sizeof key, "%llu", (unsigned long long)client_number(thing, "heap"));
        now = json_integer((json_int_t)client_number(thing, "sequence"));
        if (json_integer_value(now) <= json_integer_value(json_object_get(tail->seen, key))) {
            json_decref(now);
            return false;
        }
    } else if (tail->list && strcmp(tail->list, "processes") == 0) {
        snprintf(key, sizeof key, "%.40s", client_text(thing, "id"));
        now = json_pack("[O?, O?, O?, O?]", json_object_get(thing, "state"), json_object_get(thing, "live_objects"),
                        json_object_get(thing, "allocations"), json_object_get(thing, "collections"));
        if (json_equal(now, json_object_get(tail->seen, key))) {
            json_decref(now);
            return false;
        }
    }
    if (now)
        json_object_set_new(tail->seen, key, now);
    return true;
}

static bool is_wanted(const struct tail *tail, const json_t *thing)
{
    const char *kind = client_text(thing, "kind");
    if (tail->process && strcmp(client_text(thing, "process"), tail->process) != 0)
        return false;
    const struct ctl_number *heap = &tail->ctl->heap;
    if (heap->given && client_number(thing, "heap") != heap->value)
        return false;
    return !(tail->line == line_operation && tail->ctl->kind) || text_has_word(tail->ctl->kind, ',', kind);
}

static void show(struct tail *tail, const json_t *thing)
{
    if (tail->over || !is_new(tail, thing) || !is_wanted(tail, thing))
        return;
    if (tail->ctl->json)
        answer_json(tail->ctl->paper.to, thing);
    else
        tail->line(&tail->ctl->paper, thing);
    tail->over = tail->left && !--tail->left;
}

/* What is wrong with a frame of events: some were lost on the way. */
static void show_lost(struct tail *tail, const json_t *data)
{
    unsigned long long missed = client_number(data, "missed"), lost = client_number(data, "lost");
    if (!missed && !lost)
        return;
    if (tail->ctl->json)
        fprintf(tail->ctl->paper.to, "{\"missed\":%llu,\"lost\":%llu}\n", missed, lost);
    else
        fprintf(tail->ctl->paper.to, "(%llu more came too fast, %llu were overwritten before they were read)\n", missed,
                lost);
}

/* Collections come newest first; a tail ends with the newest. */
static void show_list(struct tail *tail, const json_t *list)
{
    bool newest_first = tail->line == line_collection;
    size_t count = json_array_size(list);
    size_t from = newest_first && !tail->begun && count > SHOWN_AT_FIRST ? count - SHOWN_AT_FIRST : 0;
    for (size_t i = from; i < count; i++)
        show(tail, json_array_get(list, newest_first ? count - 1 - i : i));
}

static bool take_event(void *arg, const char *event, const char *data, const char *id)
{
    struct tail *tail = arg;
    json_t *json = json_loads(data, 0, NULL);
    snprintf(tail->last_id, sizeof tail->last_id, "%s", id);
    if (strcmp(event, "gap") == 0)
        ctl_fail(CTL_DONE, "tallyd dropped frames, because they were read too slowly");
    else if (strcmp(event, "bye") == 0)
        ctl_fail(CTL_DONE, "tallyd shuts down");
    else if (strcmp(event, "hello") != 0 && tail->list) {
        show_list(tail, json_object_get(json, tail->list));
        show_lost(tail, json);
        tail->begun = true;
    } else if (strcmp(event, "hello") != 0 && json) {
        show(tail, json);
    }
    json_decref(json);
    return !tail->over && !fflush(tail->ctl->paper.to) && !ferror(tail->ctl->paper.to);
}

/* ---- the stream, again and again */

static bool take_bytes(void *arg, const char *bytes, size_t count)
{
    struct tail *tail = arg;
    tail->heard_ns = clock_mono_ns();
    return sse_take(&tail->sse, bytes, count);
}

/* `| head -1` has seen enough, though nothing more comes that could not be written. */
static bool reader_is_gone(FILE *to)
{
    struct pollfd out = {.fd = fileno(to), .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

/* One connection, to its end. */
static enum ctl_exit stream(struct tail *tail, struct client *client, const char *path, char problem[CLIENT_PROBLEM_MAX])
{
    struct client_reply reply;
    struct client_call *call = client_begin(
        client,
        &(struct client_request){.method = "GET", .path = path, .last_id = tail->last_id, .data = take_bytes, .arg = tail});
    if (!call) {
        snprintf(problem, CLIENT_PROBLEM_MAX, "out of memory");
        return CTL_FAILED;
    }
    tail->heard_ns = clock_mono_ns();
    while (!client_over(call) && !wake_interrupted() && clock_mono_ns() - tail->heard_ns < SILENCE_NS) {
        client_run(client, -1, 1000);
        if (reader_is_gone(tail->ctl->paper.to))
            tail->over = true;
        if (tail->over)
            break;
    }
    bool silent = !client_over(call) && !wake_interrupted();
    enum ctl_exit status = client_end(client, call, &reply, problem);
    client_reply_fini(&reply);
    return silent ? CTL_DONE : status;
}

/* What is refused stays refused; what was lost may come again. */
static enum ctl_exit follow(struct tail *tail, struct client *client, const char *path)
{
    char problem[CLIENT_PROBLEM_MAX];
    bool connected = false, told = false;
    while (!wake_interrupted()) {
        sse_init(&tail->sse, take_event, tail);
        enum ctl_exit status = stream(tail, client, path, problem);
        sse_fini(&tail->sse);
        if (tail->over || ferror(tail->ctl->paper.to))
            return CTL_DONE;
        if (status == CTL_INTERRUPTED)
            break;
        if (status != CTL_DONE && (status != CTL_NO_DAEMON || !connected) && !*tail->last_id)
            return ctl_fail(status, "%s", problem);
        if (status != CTL_DONE && status != CTL_NO_DAEMON)
            return ctl_fail(status, "%s", problem);
        if (status == CTL_DONE || !told)
            ctl_fail(CTL_DONE, "the connection was lost; trying again");
        told = status != CTL_DONE;
        connected = true;
        client_run(client, -1, AGAIN_MS);
    }
    return CTL_DONE;
}

/* topic: a word of the stream, with the process's id behind it where `of_process`. */
static enum ctl_exit tail_run(const struct ctl *ctl, const char *topic, bool of_process, const char *list,
                              void (*line)(const struct paper *paper, const json_t *thing))
{
    char path[REQUEST_PATH_MAX] = "/v1/stream", process[REQUEST_PATH_MAX] = "", word[128];
    struct ctl whole = *ctl;
    struct client *client = NULL;
    struct tail tail = {.ctl = ctl, .list = list, .line = line, .left = ctl->count.value, .seen = json_object()};
    whole.heap = (struct ctl_number){0};
    wake_catch();
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE && ctl->argument_count)
        status = request_path_past(&whole, client, ctl->arguments[0], "", process);
    const char *id = *process ? strrchr(process, '/') + 1 : "";
    snprintf(word, sizeof word, "%s%s%s", topic, of_process ? ":" : "", of_process ? id : "");
    tail.process = of_process || !*id ? NULL : id;
    request_add(path, "topics", word);
    if (!strcmp(topic, "events")) {
        request_add_number(path, "heap", &ctl->heap);
        request_add(path, "kind", ctl->kind);
        request_add(path, "type", ctl->type);
        request_add_number(path, "min_bytes", &ctl->min_bytes);
    }
    if (status == CTL_DONE)
        status = request_fits(path) ? follow(&tail, client, path) : CTL_USAGE;
    json_decref(tail.seen);
    client_close(client);
    return status;
}

enum ctl_exit command_tail_fleet(const struct ctl *ctl)
{
    return tail_run(ctl, "fleet", false, "processes", line_process);
}

enum ctl_exit command_tail_stats(const struct ctl *ctl)
{
    return tail_run(ctl, "stats", true, NULL, line_stats);
}

enum ctl_exit command_tail_events(const struct ctl *ctl)
{
    return tail_run(ctl, "events", true, "events", line_event);
}

enum ctl_exit command_tail_collections(const struct ctl *ctl)
{
    return tail_run(ctl, "collections", true, "collections", line_collection);
}

enum ctl_exit command_tail_operations(const struct ctl *ctl)
{
    return tail_run(ctl, "operations", false, NULL, line_operation);
}

enum ctl_exit command_tail_alerts(const struct ctl *ctl)
{
    return tail_run(ctl, "alerts", false, NULL, line_alert);
}
