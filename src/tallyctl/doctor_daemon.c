/* What tallyd itself says, for doctor: of itself, and of the programs that are attached. */
#include <string.h>
#include <time.h>

#include "tally.h"
#include "tallyctl/client.h"
#include "tallyctl/doctor.h"
#include "tallyctl/match.h"
#include "tallyctl/text.h"

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

/* Of many, the first ones are named. */
#define NAMED_MAX 16u
#define LOST_PER_CENT 1u /* of its events, from which on a process's tails and lifetimes say little */

void doctor_check_attached(json_t *findings, const json_t *process, const char *tallyd)
{
    char age[TEXT_FIGURE_MAX];
    const char *name = client_text(process, "name"), *library = client_text(process, "library");
    uint64_t lost = client_number(process, "events_lost");
    uint64_t all = client_number(process, "allocations") + client_number(process, "frees.refcount") +
                   client_number(process, "frees.cycle");
    doctor_add(findings, DOCTOR_OK, NULL, "%s is attached, pid %llu, heaps %zu, last safepoint %s ago", name,
               (unsigned long long)client_number(process, "pid"), json_array_size(json_object_get(process, "heaps")),
               text_duration(age, client_number(process, "safepoint_age_ns")));
    if (*library && strcmp(library, tallyd))
        doctor_add(findings, DOCTOR_WARN, "build it with the libtally of this tallyd", "%s has libtally %s, and tallyd is %s",
                   name, library, tallyd);
    if (lost > all / 100 * LOST_PER_CENT)
        doctor_add(findings, DOCTOR_WARN,
                   "counts are exact all the same, lifetimes and tails have gaps; where nobody needs them: tallyctl set "
                   "PROCESS events=off",
                   "%s has lost %llu events of about %llu, which were overwritten before tallyd read them, those from before its own "
                   "start among them", name, (unsigned long long)lost, (unsigned long long)all);
}

static void check_processes(json_t *findings, const json_t *list, const char *tallyd)
{
    size_t i, live = 0;
    json_t *process;
    json_array_foreach((json_t *)list, i, process) {
        if (strcmp(client_text(process, "state"), "live") == 0 && ++live <= NAMED_MAX)
            doctor_check_attached(findings, process, tallyd);
    }
    if (live > NAMED_MAX)
        doctor_add(findings, DOCTOR_OK, NULL, "%zu more are attached: tallyctl list", live - NAMED_MAX);
    if (live == 0)
        doctor_add(findings, DOCTOR_WARN,
                   "start a program that calls tally_attach(); tallyctl doctor PID says why one is missing",
                   "no process is attached");
}

/* The one process that was asked about: attached, gone, or a case for /proc, where tallyd is on this machine. */
static void check_process(json_t *findings, const json_t *list, const char *word, const char *directory, const char *tallyd)
{
    const json_t *candidate = NULL;
    unsigned pid = 0;
    size_t count = match_processes(list, word, &candidate, 1);
    bool live = count && strcmp(client_text(candidate, "state"), "live") == 0;
    if (count > 1)
        doctor_add(findings, DOCTOR_FAIL, "name one by its pid", "%zu processes go by %s", count, word);
    else if (live)
        doctor_check_attached(findings, candidate, tallyd);
    else if (directory && text_parse_number(word, 1, 0x7FFFFFFF, &pid))
        doctor_check_pid(findings, pid, directory, true);
    else if (count)
        doctor_add(findings, DOCTOR_FAIL, "start it again", "%s is gone since %s (%s)",
                   client_text(candidate, "name"), client_text(candidate, "gone_at"),
                   client_text(candidate, "end"));
    else
        doctor_add(findings, DOCTOR_FAIL,
                   directory ? "name it by its pid, so that it can be looked at" : "ask on its machine, by its pid",
                   "tallyd knows no process %s", word);
}

/* Where this cannot be had, nothing else can. */
static bool ask_info(struct client *client, json_t *findings, struct client_reply *info)
{
    char problem[CLIENT_PROBLEM_MAX];
    enum ctl_exit status = client_try(client, "GET", "/v1/info", NULL, 0, info, problem);
    if (status == CTL_DONE)
        return true;
    doctor_add(findings, DOCTOR_FAIL, status == CTL_NO_DAEMON ? "see whether it is stopped or overloaded, else restart it"
                                                              : "use a token that is good",
               "tallyd says nothing of itself: %s", problem);
    return false;
}

void doctor_ask(const struct ctl *ctl, json_t *findings, const char *directory)
{
    struct client *client = NULL;
    struct client_reply info, list;
    char problem[CLIENT_PROBLEM_MAX];
    if (client_open(ctl, &client) != CTL_DONE) {
        doctor_add(findings, DOCTOR_FAIL, "see standard error", "tallyd cannot be asked");
        return;
    }
    if (ask_info(client, findings, &info)) {
        const char *tallyd = client_text(info.json, "version");
        check_info(findings, info.json);
        check_sandbox(findings, info.json);
        check_service(findings, info.json);
        check_history(findings, info.json);
        check_refused(findings, info.json);
        if (client_try(client, "GET", "/v1/tokens", NULL, 0, &list, problem) == CTL_DONE) { /* it takes the scope admin */
            check_tokens(findings, list.json);
            client_reply_fini(&list);
        }
        if (client_processes(client, "", &list) == CTL_DONE) {
            const json_t *processes = json_object_get(list.json, "processes");
            if (ctl->argument_count)
                check_process(findings, processes, ctl->arguments[0], directory, tallyd);
            else
                check_processes(findings, processes, tallyd);
            client_reply_fini(&list);
        }
        client_reply_fini(&info);
    }
    client_close(client);
}
