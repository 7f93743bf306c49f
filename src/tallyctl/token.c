/* token: bearer tokens for TCP, which tallyd makes and only their hashes are kept of. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tallyctl/client.h"
#include "tallyctl/output.h"
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
    snprintf(path, sizeof path, "/v1/tokens/%s", ctl->arguments[1]);
    if (status != CTL_DONE) { /* nobody will ever know it */
        if (client_call(client, "DELETE", path, NULL, 0, &ignored) == CTL_DONE)
            client_reply_fini(&ignored);
        return status;
    }
    json_object_del(reply->json, "token");
    char *body = json_dumps(reply->json, JSON_COMPACT);
    if (!body)
        return ctl_fail(CTL_FAILED, "out of memory");
    free(reply->body);
    reply->body = body;
    ctl->output->token(reply, "written to", ctl->out);
    return CTL_DONE;
}

static enum ctl_exit create(const struct ctl *ctl, struct client *client)
{
    unsigned expires = 0;
    struct client_reply reply;
    if (!ctl->scope)
        return ctl_fail(CTL_USAGE, "usage: tallyctl token create NAME --scope read|control|admin [--expires 30d] [--out FILE]");
    if (ctl->expires && !parse_expiry(ctl->expires, &expires))
        return ctl_fail(CTL_USAGE, "--expires takes a time up to 3650d, such as 12h or 30d, not '%s'", ctl->expires);
    json_t *json = json_pack("{s:s, s:s}", "name", ctl->arguments[1], "scope", ctl->scope);
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
        ctl->output->secret(&reply);
    client_reply_fini(&reply);
    return status;
}

static enum ctl_exit list(const struct ctl *ctl, struct client *client)
{
    struct client_reply reply;
    enum ctl_exit status = client_call(client, "GET", "/v1/tokens", NULL, 0, &reply);
    if (status != CTL_DONE)
        return status;
    ctl->output->tokens(&reply);
    client_reply_fini(&reply);
    return CTL_DONE;
}

static enum ctl_exit withdraw(const struct ctl *ctl, struct client *client)
{
    char path[TOKEN_PATH_MAX];
    struct client_reply reply;
    snprintf(path, sizeof path, "/v1/tokens/%s", ctl->arguments[1]);
    enum ctl_exit status = client_call(client, "DELETE", path, NULL, 0, &reply);
    if (status != CTL_DONE) /* 404 is no process of its own here */
        return status == CTL_NO_PROCESS ? CTL_FAILED : status;
    ctl->output->token(&reply, "revoked", "");
    client_reply_fini(&reply);
    return CTL_DONE;
}

static enum ctl_exit rotate(const struct ctl *ctl, struct client *client)
{
    struct client_reply reply;
    enum ctl_exit status = client_call(client, "POST", "/v1/tokens/rotate", NULL, 0, &reply);
    if (status != CTL_DONE)
        return status;
    ctl->output->rotation(&reply, client_directory(client));
    client_reply_fini(&reply);
    return CTL_DONE;
}

enum ctl_exit command_token(const struct ctl *ctl)
{
    static const struct {
        const char *word;
        int words;
        enum ctl_exit (*run)(const struct ctl *ctl, struct client *client);
    } actions[] = {{"create", 2, create}, {"list", 1, list}, {"revoke", 2, withdraw}, {"rotate", 1, rotate}};
    struct client *client;
    size_t at = 0;
    while (at < sizeof actions / sizeof *actions && strcmp(ctl->arguments[0], actions[at].word) != 0)
        at++;
    if (at == sizeof actions / sizeof *actions || ctl->argument_count != actions[at].words)
        return ctl_fail(CTL_USAGE, "usage: tallyctl token create NAME|list|revoke NAME|rotate");
    if (actions[at].words == 2 && !is_name(ctl->arguments[1]))
        return ctl_fail(CTL_USAGE, "a token's name is 1 to 32 letters, digits, dots, dashes and underscores, not '%s'",
                        ctl->arguments[1]);
    enum ctl_exit status = client_open(ctl, &client);
    if (status != CTL_DONE)
        return status;
    status = actions[at].run(ctl, client);
    client_close(client);
    return status;
}
