/* The commands that only look. */
#include <stdio.h>
#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/match.h"
#include "tallyctl/output.h"
#include "tallyctl/request.h"

enum ctl_exit command_list(const struct ctl *ctl)
{
    struct client *client = NULL;
    struct client_reply reply;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = client_processes(client, &reply);
    if (status == CTL_DONE) {
        ctl->output->processes(&reply);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

/* GET of one leaf of the process that the first argument names. */
static enum ctl_exit look(const struct ctl *ctl, const char *leaf, struct client **client,
                          struct client_reply *reply)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit status = client_open(ctl, client);
    if (status == CTL_DONE)
        status = request_path(ctl, *client, leaf, path);
    if (status == CTL_DONE)
        status = client_call(*client, "GET", path, NULL, 0, reply);
    return status;
}

static enum ctl_exit show(const struct ctl *ctl, const char *leaf,
                          void (*print)(const struct client_reply *reply))
{
    struct client *client = NULL;
    struct client_reply reply;
    enum ctl_exit status = look(ctl, leaf, &client, &reply);
    if (status == CTL_DONE) {
        print(&reply);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_stats(const struct ctl *ctl)
{
    struct client *client = NULL;
    struct client_reply reply, info;
    enum ctl_exit status = look(ctl, "stats", &client, &reply);
    if (status == CTL_DONE) {
        status = client_call(client, "GET", "/v1/info", NULL, 0, &info);
        if (status == CTL_DONE) {
            ctl->output->stats(&reply, json_object_get(info.json, "fields"));
            client_reply_fini(&info);
        }
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_types(const struct ctl *ctl)
{
    if (ctl->argument_count == 2 && strcmp(ctl->arguments[1], "since") != 0)
        return ctl_fail(CTL_USAGE, "types takes `since` or nothing, not '%s'", ctl->arguments[1]);
    return show(ctl, ctl->argument_count == 2 ? "types?baseline=true" : "types", ctl->output->types);
}

enum ctl_exit command_collections(const struct ctl *ctl)
{
    return show(ctl, "collections", ctl->output->collections);
}

enum ctl_exit command_config(const struct ctl *ctl)
{
    return show(ctl, "config", ctl->output->config);
}

enum ctl_exit command_login(const struct ctl *ctl)
{
    struct client *client = NULL;
    struct client_reply reply;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = client_call(client, "POST", "/v1/session", "{}", 0, &reply);
    if (status == CTL_DONE) {
        ctl->output->link(&reply);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}
