/* doctor: what may be wrong, seen from outside. It goes on after a failure, since the next line often
 * explains it. */
#include "tallyctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tally.h"
#include "tallyctl/client.h"
#include "tallyctl/match.h"
#include "tallyctl/show.h"
#include "tallyctl/place.h"
#include "tallyctl/text.h"

void doctor_add(json_t *findings, const char *level, const char *advice, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    json_t *finding = json_pack("{s:s, s:s, s:s?}", "level", level, "finding", text, "advice", advice);
    if (!finding) { /* a path or a name that is not UTF-8 */
        char *escaped = text_escape_dup(text);
        finding = escaped
                      ? json_pack("{s:s, s:s, s:s?}", "level", level, "finding", escaped, "advice", advice)
                      : NULL;
        free(escaped);
    }
    if (finding)
        json_array_append_new(findings, finding);
    free(text);
}

/* The directory that answers, else the first that is there, else the first. */
static const char *choose_directory(const struct places *places)
{
    char path[PLACE_PATH_MAX];
    const char *present = NULL;
    for (size_t i = 0; i < places->count; i++) {
        if (place_join(path, places->paths[i], "api.sock") && place_probe(path) == 0)
            return places->paths[i];
        if (!present && access(places->paths[i], F_OK) == 0)
            present = places->paths[i];
    }
    return present ? present : places->paths[0];
}

static void check_info(json_t *findings, const json_t *info)
{
    const char *version = client_text(info, "version");
    doctor_add(findings, DOCTOR_OK, NULL, "tallyd %s answers, pid %llu, http %s", version,
               (unsigned long long)client_number(info, "pid"), client_text(info, "http"));
    if (strcmp(version, TALLY_VERSION) != 0)
        doctor_add(findings, DOCTOR_WARN, "use the tallyctl that came with it", "this is tallyctl %s",
                   TALLY_VERSION);
}

/* Less than all of it is a matter of the kernel, none of it the operator's. */
static void check_sandbox(json_t *findings, const json_t *info)
{
    const json_t *sandbox = json_object_get(info, "sandbox");
    const char *detail = client_text(sandbox, "detail");
    bool none = !json_is_true(json_object_get(sandbox, "no_new_privileges"));
    char landlock[32] = "";
    if (client_number(sandbox, "landlock"))
        snprintf(landlock, sizeof landlock, ", Landlock %u", (unsigned)client_number(sandbox, "landlock"));
    if (none)
        doctor_add(findings, DOCTOR_WARN, "start tallyd without --no-sandbox", "tallyd runs without its sandbox (%s)",
                   detail);
    else
        doctor_add(findings, DOCTOR_OK, NULL, "sandbox: no new privileges%s%s%s%s%s",
                   json_is_true(json_object_get(sandbox, "undumpable")) ? ", memory hidden" : "",
                   json_is_true(json_object_get(sandbox, "system_calls")) ? ", system calls filtered" : "", landlock,
                   *detail ? "; " : "", detail);
}

#define EXPIRES_SOON_S (7 * 86400)

/* A token that is no good any more, or soon will not be, is what a scraper stops for. */
static void check_tokens(json_t *findings, const json_t *list)
{
    size_t i;
    json_t *token;
    char soon[32];
    time_t then = time(NULL) + EXPIRES_SOON_S;
    struct tm utc;
    strftime(soon, sizeof soon, "%Y-%m-%dT%H:%M:%S", gmtime_r(&then, &utc));
    json_array_foreach(json_object_get(list, "tokens"), i, token) {
        const char *expires = client_text(token, "expires_at");
        bool expired = json_is_true(json_object_get(token, "expired"));
        if (*expires && strcmp(expires, soon) < 0)
            doctor_add(findings, DOCTOR_WARN, "tallyctl token revoke, then create another one", "token %s %s at %s",
                       client_text(token, "name"), expired ? "has expired" : "expires", expires);
    }
}

static void check_service(json_t *findings, const json_t *info)
{
    const char *service = client_text(info, "service");
    if (*service)
        doctor_add(findings, DOCTOR_OK, NULL, "service: %s", service);
    else
        doctor_add(findings, DOCTOR_OK, NULL, "no service manager looks after tallyd");
}

static void check_history(json_t *findings, const json_t *info)
{
    char bytes[TEXT_FIGURE_MAX], size[TEXT_FIGURE_MAX];
    const json_t *history = json_object_get(info, "history");
    if (json_is_true(json_object_get(history, "degraded")))
        doctor_add(findings, DOCTOR_WARN, "see the state folder and its disk",
                   "history is degraded: %s; %llu rows were dropped", client_text(history, "why"),
                   (unsigned long long)client_number(history, "rows_dropped"));
    else if (json_is_false(json_object_get(history, "figures")))
        doctor_add(findings, DOCTOR_OK, NULL, "history: off");
    else
        doctor_add(findings, DOCTOR_OK, NULL, "history: %s of %s", text_bytes(bytes, client_number(history, "bytes")),
                   text_bytes(size, client_number(history, "size_bytes")));
}

static void check_refused(json_t *findings, const json_t *info)
{
    size_t i;
    json_t *refusal;
    json_array_foreach(json_object_get(info, "refused"), i, refusal)
        doctor_add(findings, DOCTOR_WARN,
                   "see tallyd's log; a program of another tally version needs to be rebuilt",
                   "tallyd refused %llu connections (%s), the last one at %s from pid %llu of uid %llu",
                   (unsigned long long)client_number(refusal, "count"), client_text(refusal, "reason"),
                   client_text(refusal, "last_at"), (unsigned long long)client_number(refusal, "last_pid"),
                   (unsigned long long)client_number(refusal, "last_uid"));
}

static void check_processes(json_t *findings, const json_t *list)
{
    size_t i, live = 0;
    json_t *process;
    json_array_foreach((json_t *)list, i, process) {
        if (strcmp(client_text(process, "state"), "live") != 0)
            continue;
        live++;
        doctor_add(findings, DOCTOR_OK, NULL, "%s is attached, pid %llu, heaps %zu",
                   client_text(process, "name"), (unsigned long long)client_number(process, "pid"),
                   json_array_size(json_object_get(process, "heaps")));
    }
    if (live == 0)
        doctor_add(findings, DOCTOR_WARN,
                   "start a program that calls tally_attach(); tallyctl doctor PID says why one is missing",
                   "no process is attached");
}

/* The one process that was asked about: attached, gone, or a case for /proc. */
static void check_process(json_t *findings, const json_t *list, const char *word, const char *directory)
{
    const json_t *candidate = NULL;
    unsigned pid = 0;
    size_t count = match_processes(list, word, &candidate, 1);
    bool live = count && strcmp(client_text(candidate, "state"), "live") == 0;
    if (count > 1)
        doctor_add(findings, DOCTOR_FAIL, "name one by its pid", "%zu processes go by %s", count, word);
    else if (live)
        doctor_add(findings, DOCTOR_OK, NULL, "%s is attached since %s", client_text(candidate, "name"),
                   client_text(candidate, "attached_at"));
    else if (text_parse_number(word, 1, 0x7FFFFFFF, &pid))
        doctor_check_pid(findings, pid, directory);
    else if (count)
        doctor_add(findings, DOCTOR_FAIL, "start it again", "%s is gone since %s (%s)",
                   client_text(candidate, "name"), client_text(candidate, "gone_at"),
                   client_text(candidate, "end"));
    else
        doctor_add(findings, DOCTOR_FAIL, "name it by its pid, so that it can be looked at",
                   "tallyd knows no process %s", word);
}

/* What tallyd itself says. No more is added where it does not answer. */
static void ask(const struct ctl *ctl, json_t *findings, const char *directory)
{
    struct ctl there = *ctl;
    struct client *client = NULL;
    struct client_reply info, list;
    there.runtime_dir = directory;
    if (client_open(&there, &client) != CTL_DONE)
        return;
    if (client_call(client, "GET", "/v1/info", NULL, 0, &info) == CTL_DONE) {
        check_info(findings, info.json);
        check_sandbox(findings, info.json);
        check_service(findings, info.json);
        check_history(findings, info.json);
        check_refused(findings, info.json);
        client_reply_fini(&info);
    } else {
        doctor_add(findings, DOCTOR_FAIL, "restart tallyd", "tallyd accepts connections and does not answer");
    }
    if (client_call(client, "GET", "/v1/tokens", NULL, 0, &list) == CTL_DONE) {
        check_tokens(findings, list.json);
        client_reply_fini(&list);
    }
    if (client_processes(client, "", &list) == CTL_DONE) {
        const json_t *processes = json_object_get(list.json, "processes");
        if (ctl->argument_count)
            check_process(findings, processes, ctl->arguments[0], directory);
        else
            check_processes(findings, processes);
        client_reply_fini(&list);
    }
    client_close(client);
}

static bool all_well(const json_t *findings)
{
    size_t i;
    json_t *finding;
    json_array_foreach((json_t *)findings, i, finding) {
        if (strcmp(client_text(finding, "level"), DOCTOR_OK) != 0)
            return false;
    }
    return true;
}

enum ctl_exit command_doctor(const struct ctl *ctl)
{
    struct places places;
    json_t *findings = json_array();
    if (!findings)
        return ctl_fail(CTL_FAILED, "out of memory");
    place_list(&places, ctl->runtime_dir);
    if (places.count == 0) {
        doctor_add(findings, DOCTOR_FAIL, "name a shorter one",
                   "the path of the runtime directory is too long");
    } else {
        const char *directory = choose_directory(&places);
        doctor_check_directory(findings, directory);
        char path[PLACE_PATH_MAX];
        unsigned pid = 0;
        if (place_join(path, directory, "api.sock") && place_probe(path) == 0)
            ask(ctl, findings, directory);
        else if (ctl->argument_count && text_parse_number(ctl->arguments[0], 1, 0x7FFFFFFF, &pid))
            doctor_check_pid(findings, pid, directory);
    }
    if (ctl->json)
        answer_json(ctl->paper.to, findings);
    else
        show_findings(&ctl->paper, findings);
    enum ctl_exit status = all_well(findings) ? CTL_DONE : CTL_FAILED;
    json_decref(findings);
    return status;
}
