/* assert: fails a job on a leak, by exact counters. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tallyctl/answer.h"
#include "tallyctl/columns.h"
#include "tallyctl/judge.h"
#include "tallyctl/match.h"
#include "tallyctl/operation.h"
#include "tallyctl/request.h"
#include "tallyctl/save.h"
#include "tallyctl/wake.h"

#define COLLECT_WAIT_MS 10000u
#define AGAIN_MS 200u          /* until it may hold */
#define COLLECTED_AGAIN_MS 1000u

static bool time_left(uint64_t until_ns)
{
    return clock_mono_ns() < until_ns && !wake_interrupted();
}

/* The process, once it is attached, or time is up, which is said. */
static enum ctl_exit await_process(const struct ctl *ctl, struct client *client, uint64_t until_ns)
{
    const char *word = ctl->arguments[0];
    const json_t *candidate;
    while (time_left(until_ns)) {
        struct client_reply list;
        enum ctl_exit status = client_processes(client, "", &list);
        if (status != CTL_DONE)
            return status;
        size_t count = match_processes(json_object_get(list.json, "processes"), word, &candidate, 1);
        client_reply_fini(&list);
        if (count)
            return CTL_DONE;
        client_run(client, -1, AGAIN_MS);
    }
    return CTL_DONE; /* request_path() says it */
}

static enum ctl_exit collect(const struct ctl *ctl, struct client *client)
{
    char path[REQUEST_PATH_MAX];
    struct client_reply reply;
    uint64_t wait_ms = ctl->timeout_ms.value ? ctl->timeout_ms.value : COLLECT_WAIT_MS;
    enum ctl_exit status = request_path(ctl, client, ctl->arguments[0], "collect", path);
    if (status == CTL_DONE)
        status = operation_run(client, "POST", path, "{\"generation\":2}", wait_ms, NULL, NULL, &reply);
    if (status == CTL_DONE) {
        status = operation_outcome(reply.json);
        client_reply_fini(&reply);
    }
    return status;
}

/* All types, page by page. */
static enum ctl_exit types_read(const struct ctl *ctl, struct client *client, json_t *types)
{
    char path[REQUEST_PATH_MAX], cursor[1024] = "";
    enum ctl_exit status = CTL_DONE;
    do {
        struct client_reply page;
        status = request_path(ctl, client, ctl->arguments[0], "types?limit=1000", path);
        request_add(path, "baseline", ctl->max_growth.given ? "true" : NULL);
        request_add(path, "cursor", *cursor ? cursor : NULL);
        if (status == CTL_DONE)
            status = client_call(client, "GET", path, NULL, 0, &page);
        if (status == CTL_DONE) {
            json_array_extend(types, json_object_get(page.json, "types"));
            snprintf(cursor, sizeof cursor, "%s", client_text(page.json, "next_cursor"));
            client_reply_fini(&page);
        }
    } while (status == CTL_DONE && *cursor);
    return status;
}

static enum ctl_exit look(const struct ctl *ctl, struct client *client, struct verdict *verdict)
{
    char path[REQUEST_PATH_MAX];
    struct client_reply stats;
    json_t *types = json_array();
    enum ctl_exit status = request_path(ctl, client, ctl->arguments[0], "stats", path);
    if (status == CTL_DONE)
        status = client_call(client, "GET", path, NULL, 0, &stats);
    if (status == CTL_DONE) {
        if (judge_is_blind(stats.json))
            status = ctl_fail(CTL_FAILED, "'%s' ended before tallyd saw a heap of it: nothing can be said", ctl->arguments[0]);
        else if (ctl->type || ctl->max_growth.given)
            status = types_read(ctl, client, types);
        if (status == CTL_DONE)
            *verdict = judge(ctl, stats.json, types);
        client_reply_fini(&stats);
    }
    json_decref(types);
    return status;
}

static enum ctl_exit decide(const struct ctl *ctl, struct client *client, struct verdict *verdict)
{
    uint64_t until_ns = clock_mono_ns() + ctl->timeout_ms.value * 1000000u;
    enum ctl_exit status = await_process(ctl, client, until_ns);
    while (status == CTL_DONE) {
        if (ctl->after_collect)
            status = collect(ctl, client);
        if (status == CTL_DONE)
            status = look(ctl, client, verdict);
        if (status != CTL_DONE || verdict->holds || verdict->gone || !time_left(until_ns))
            break;
        client_run(client, -1, ctl->after_collect ? COLLECTED_AGAIN_MS : AGAIN_MS);
    }
    return wake_interrupted() ? CTL_INTERRUPTED : status;
}

static enum ctl_exit write_junit(const struct ctl *ctl, const struct verdict *verdict, enum ctl_exit status, double seconds)
{
    char *text = NULL, error[64];
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    struct save *save = to ? save_begin(ctl->junit) : NULL;
    snprintf(error, sizeof error, "tallyctl ended with status %d", (int)status);
    if (to) {
        judge_junit(to, verdict, ctl->arguments[0], status == CTL_DONE ? NULL : error, seconds);
        fclose(to);
    }
    enum ctl_exit written = CTL_FAILED;
    if (save) {
        save_write(save, text, bytes);
        written = save_end(save, true);
    }
    free(text);
    return written;
}

static enum ctl_exit tell(const struct ctl *ctl, const struct verdict *verdict)
{
    json_t *json = ctl->json ? judge_json(verdict, ctl->arguments[0]) : NULL;
    char *sentence = judge_sentence_dup(verdict);
    enum ctl_exit status = CTL_DONE;
    if (json)
        answer_json(ctl->paper.to, json);
    else if (verdict->holds && sentence)
        columns_say(&ctl->paper, "holds: ", sentence, "\n");
    if (!verdict->holds)
        status = ctl_fail(CTL_VIOLATED, "it does not hold: %s", sentence ? sentence : "");
    free(sentence);
    json_decref(json);
    return status;
}

enum ctl_exit command_assert(const struct ctl *ctl)
{
    struct client *client = NULL;
    struct verdict verdict = {0};
    uint64_t begun = clock_mono_ns();
    if (!ctl->max_live.given && !ctl->max_bytes.given && !ctl->max_growth.given)
        return ctl_fail(CTL_USAGE, "assert needs --max-live, --max-bytes or --max-growth");
    wake_catch();
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = decide(ctl, client, &verdict);
    client_close(client);
    double seconds = (double)(clock_mono_ns() - begun) / 1e9;
    enum ctl_exit written = ctl->junit ? write_junit(ctl, &verdict, status, seconds) : CTL_DONE;
    if (status == CTL_DONE)
        status = tell(ctl, &verdict);
    return status == CTL_DONE ? written : status;
}
