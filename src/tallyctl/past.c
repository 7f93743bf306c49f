/* The commands about what was: history, audit, purge. */
#include <stdio.h>
#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/output.h"
#include "tallyctl/request.h"

#define POINTS "60"

/* Appends a text as a query may hold it; false: there is no room. */
static bool append_escaped(char *path, size_t bytes, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~,:";
    size_t at = strlen(path);
    for (; *text && at + 4 < bytes; text++)
        at += (size_t)snprintf(path + at, bytes - at, strchr(plain, *text) ? "%c" : "%%%02X", (unsigned char)*text);
    return !*text;
}

/* A process of long ago is known by its whole id alone. */
static enum ctl_exit path_of(const struct ctl *ctl, struct client *client, char path[REQUEST_PATH_MAX])
{
    const char *id = ctl->arguments[0];
    if (strlen(id) != 32 || id[strspn(id, "0123456789abcdef")])
        return request_path(ctl, client, "history", path);
    if (ctl->heap)
        snprintf(path, REQUEST_PATH_MAX, "/v1/processes/%s/heaps/%u/history", id, ctl->heap);
    else
        snprintf(path, REQUEST_PATH_MAX, "/v1/processes/%s/history", id);
    return CTL_DONE;
}

static enum ctl_exit call(struct client *client, const char *method, const char *path, const char *body,
                          void (*print)(const struct client_reply *reply))
{
    struct client_reply reply;
    enum ctl_exit status = client_call(client, method, path, body, 10000, &reply);
    if (status == CTL_DONE) {
        print(&reply);
        client_reply_fini(&reply);
    }
    return status;
}

enum ctl_exit command_history(const struct ctl *ctl)
{
    char path[4 * REQUEST_PATH_MAX];
    struct client *client = NULL;
    const char *ago = ctl->argument_count > 2 ? ctl->arguments[2] : "1h";
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = path_of(ctl, client, path);
    if (status == CTL_DONE) {
        strncat(path, "?points=" POINTS "&from=-", sizeof path - strlen(path) - 1);
        bool fits = append_escaped(path, sizeof path, ago);
        strncat(path, "&series=", sizeof path - strlen(path) - 1);
        fits = append_escaped(path, sizeof path, ctl->argument_count > 1 ? ctl->arguments[1] : "live_bytes,live_objects") && fits;
        status = fits ? call(client, "GET", path, NULL, ctl->output->history) : ctl_fail(CTL_USAGE, "that is too long");
    }
    client_close(client);
    return status;
}

enum ctl_exit command_audit(const struct ctl *ctl)
{
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = call(client, "GET", "/v1/audit", NULL, ctl->output->audit);
    client_close(client);
    return status;
}

/* The body of a purge: of all that is older than an age, or of one process. */
enum ctl_exit command_purge(const struct ctl *ctl)
{
    const char *word = ctl->arguments[0];
    struct client *client = NULL;
    char path[REQUEST_PATH_MAX], body[64] = "{\"all\":true}";
    size_t digits = strspn(word, "0123456789");
    bool age = digits && digits < 8 && strlen(word) == digits + 1 && strchr("smhd", word[digits]);
    enum ctl_exit status = client_open(ctl, &client);
    if (age)
        snprintf(body, sizeof body, "{\"before\":\"-%s\"}", word);
    if (status == CTL_DONE && (age || !strcmp(word, "all")))
        status = call(client, "POST", "/v1/history/purge", body, ctl->output->purged);
    else if (status == CTL_DONE && (status = path_of(ctl, client, path)) == CTL_DONE)
        status = call(client, "DELETE", path, NULL, ctl->output->purged);
    client_close(client);
    return status;
}
