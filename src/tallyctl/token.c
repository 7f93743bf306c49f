/* token: bearer tokens for TCP, which tallyd makes and only their hashes are kept of. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tallyctl/client.h"
#include "tallyctl/columns.h"
#include "tallyctl/show.h"
#include "tallyctl/tallyctl.h"
#include "tallyctl/text.h"

#define TOKEN_PATH_MAX 64

/* What stands in a path must need no escaping. */
static bool is_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= 32 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

/* Digits and s, m, h or d, up to ten years. */
static bool parse_expiry(const char *text, unsigned *seconds)
{
    static const struct { char letter; unsigned seconds; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char digits[16];
    size_t length = strlen(text);
    for (size_t i = 0; i < sizeof units / sizeof *units && length > 1 && length < sizeof digits; i++) {
        unsigned number;
        snprintf(digits, sizeof digits, "%.*s", (int)length - 1, text);
        if (text[length - 1] == units[i].letter && text_parse_number(digits, 1, 315360000u / units[i].seconds, &number)) {
            *seconds = number * units[i].seconds;
            return true;
        }
    }
    return false;
}

/* Ours alone to read; never over a file that is there. */
static enum ctl_exit secret_write(const char *path, const char *secret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ctl_fail(CTL_FAILED, "%s: %s", path, strerror(errno));
    bool written = dprintf(fd, "%s\n", secret) > 0 && !fsync(fd);
    if (close(fd) || !written) {
        unlink(path);
        return ctl_fail(CTL_FAILED, "%s: it could not be written", path);
    }
    return CTL_DONE;
}

/* The secret goes to its file and is nowhere else then. */
static enum ctl_exit secret_keep(const struct ctl *ctl, struct client *client, struct client_reply *reply)
{
    char path[TOKEN_PATH_MAX];
    struct client_reply ignored;
    enum ctl_exit status = secret_write(ctl->out, client_text(reply->json, "token"));
    snprintf(path, sizeof path, "/v1/tokens/%s", ctl->arguments[0]);
    if (status != CTL_DONE) { /* nobody will ever know it */
        if (client_call(client, "DELETE", path, NULL, 0, &ignored) == CTL_DONE)
            client_reply_fini(&ignored);
        return status;
    }
    json_object_del(reply->json, "token");
    if (ctl->json) {
        answer_json(ctl->paper.to, reply->json);
    } else {
        const char *expires = client_text(reply->json, "expires_at");
        columns_say(&ctl->paper, "token ", client_text(reply->json, "name"), " written to ");
        columns_say(&ctl->paper, "", ctl->out, *expires ? ", good until " : "\n");
        if (*expires)
            columns_say(&ctl->paper, "", expires, "\n");
    }
    return CTL_DONE;
}

static enum ctl_exit create(const struct ctl *ctl, struct client *client)
{
    unsigned expires = 0;
    struct client_reply reply;
    if (!ctl->scope)
        return ctl_fail(CTL_USAGE,
                        "usage: tallyctl token create NAME --scope read|control|admin [--expires 30d] [--out FILE]");
    if (ctl->expires && !parse_expiry(ctl->expires, &expires))
        return ctl_fail(CTL_USAGE, "--expires takes a time up to 3650d, such as 12h or 30d, not '%s'", ctl->expires);
    json_t *json = json_pack("{s:s, s:s}", "name", ctl->arguments[0], "scope", ctl->scope);
    if (json && expires)
        json_object_set_new(json, "expires_in_s", json_integer(expires));
    char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!body)
        return ctl_fail(CTL_FAILED, "out of memory");
    enum ctl_exit status = client_call(client, "POST", "/v1/tokens", body, 0, &reply);
    free(body);
    if (status != CTL_DONE)
        return status;
    if (ctl->out)
        status = secret_keep(ctl, client, &reply);
    else
        answer_print(ctl, &reply, show_secret);
    client_reply_fini(&reply);
    return status;
}

static void show_revoked(const struct paper *paper, const json_t *json)
{
    columns_say(paper, "token ", client_text(json, "name"), " revoked\n");
}

static bool name_is_good(const struct ctl *ctl)
{
    if (is_name(ctl->arguments[0]))
        return true;
    ctl_fail(CTL_USAGE, "a token's name is 1 to 32 letters, digits, dots, dashes and underscores, not '%s'", ctl->arguments[0]);
    return false;
}

static enum ctl_exit of_one(const struct ctl *ctl, const char *method, show_fn show)
{
    char path[TOKEN_PATH_MAX];
    if (!name_is_good(ctl))
        return CTL_USAGE;
    snprintf(path, sizeof path, "/v1/tokens/%s", ctl->arguments[0]);
    return answer_send(ctl, method, path, NULL, show);
}

static void show_rotated(const struct paper *paper, const json_t *json)
{
    fprintf(paper->to,
            "the new token is in tallyd's runtime directory; the one before is good for %llu s more, and the dashboard's "
            "sessions have ended\n",
            (unsigned long long)client_number(json, "old_valid_s"));
}

enum ctl_exit command_token_create(const struct ctl *ctl)
{
    struct client *client = NULL;
    enum ctl_exit status = name_is_good(ctl) ? client_open(ctl, &client) : CTL_USAGE;
    if (status == CTL_DONE)
        status = create(ctl, client);
    client_close(client);
    return status;
}

enum ctl_exit command_token_list(const struct ctl *ctl)
{
    return answer_get(ctl, "/v1/tokens", show_tokens);
}

enum ctl_exit command_token_show(const struct ctl *ctl)
{
    return of_one(ctl, "GET", show_token);
}

enum ctl_exit command_token_revoke(const struct ctl *ctl)
{
    return of_one(ctl, "DELETE", show_revoked);
}

enum ctl_exit command_token_rotate(const struct ctl *ctl)
{
    return answer_send(ctl, "POST", "/v1/tokens/rotate", NULL, show_rotated);
}
