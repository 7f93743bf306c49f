/* What the api tells the audit: who has asked for what, and from where. */
#include <stdio.h>
#include <string.h>

#include "api/private.h"

void asked_fill(const struct request *request, const char *kind, const char *target, const char *detail,
                struct audit_record *asked)
{
    *asked = (struct audit_record){.seq = 0};
    snprintf(asked->who, sizeof asked->who, "%s", request->who);
    snprintf(asked->from, sizeof asked->from, "%s", request->connection->from);
    snprintf(asked->kind, sizeof asked->kind, "%s", kind);
    snprintf(asked->target, sizeof asked->target, "%s", target);
    snprintf(asked->detail, sizeof asked->detail, "%s", detail ? detail : "");
}

void asked_once(const struct request *request, const char *kind, const char *target, const char *result,
                const char *code)
{
    struct audit_record asked;
    asked_fill(request, kind, target, NULL, &asked);
    snprintf(asked.result, sizeof asked.result, "%s", result);
    snprintf(asked.code, sizeof asked.code, "%s", code);
    audit_record(request->api->audit, &asked);
}

/* The last segment of a route's path that is a word. */
static const char *last_word(const char *path, char *word, size_t room)
{
    *word = '\0';
    while (*path == '/') {
        size_t length = strcspn(++path, "/");
        if (*path != '{')
            snprintf(word, room, "%.*s", (int)length, path);
        path += length;
    }
    return word;
}

/* What is as long as a secret, and looks like one, is left out. */
const char *asked_path(const struct request *request, char *path, size_t room)
{
    size_t used = 0;
    for (const char *at = request->target; *at && *at != '?' && used + 1 < room;) {
        size_t digits = strspn(at, "0123456789abcdef"), step = digits ? digits : 1;
        if (digits < SECRET_CHARS - 1)
            for (size_t i = 0; i < step && used + 1 < room; i++)
                path[used++] = at[i];
        at += step;
    }
    path[used] = '\0';
    return path;
}

void asked_refused(const struct request *request, enum problem problem)
{
    char word[24], path[96];
    bool control = request->route && request->route->scope & (CONTROL | ADMIN);
    bool authority = problem == PROBLEM_unauthorized || problem == PROBLEM_forbidden ||
                     problem == PROBLEM_bad_origin || problem == PROBLEM_remote_control_off;
    if (control && authority)
        asked_once(request, last_word(request->route->path, word, sizeof word), asked_path(request, path, sizeof path),
                   "refused", problem_code(problem));
}
