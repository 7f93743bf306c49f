/* doctor: what may be wrong, seen from outside. It goes on after a failure, since the next line often
 * explains it. */
#include "tallyctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tallyctl/client.h"
#include "tallyctl/place.h"
#include "tallyctl/show.h"
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

/* Files and sockets first; then what tallyd says, else at least what can be seen of the process. */
static void look_here(const struct ctl *ctl, json_t *findings)
{
    struct places places;
    char path[PLACE_PATH_MAX];
    unsigned pid = 0;
    place_list(&places, ctl->runtime_dir);
    if (places.count == 0) {
        doctor_add(findings, DOCTOR_FAIL, "name a shorter one", "the path of the runtime directory is too long");
        return;
    }
    const char *directory = choose_directory(&places);
    doctor_check_directory(findings, directory);
    struct ctl there = *ctl;
    there.runtime_dir = directory;
    if (place_join(path, directory, "api.sock") && place_probe(path) == 0)
        doctor_ask(&there, findings, directory);
    else if (ctl->argument_count && text_parse_number(ctl->arguments[0], 1, 0x7FFFFFFF, &pid))
        doctor_check_pid(findings, pid, directory, false);
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
    json_t *findings = json_array();
    if (!findings)
        return ctl_fail(CTL_FAILED, "out of memory");
    if (ctl->host)
        doctor_ask(ctl, findings, NULL);
    else
        look_here(ctl, findings);
    if (ctl->json)
        answer_json(ctl->paper.to, findings);
    else
        show_findings(&ctl->paper, findings);
    enum ctl_exit status = all_well(findings) ? CTL_DONE : CTL_FAILED;
    json_decref(findings);
    return status;
}
