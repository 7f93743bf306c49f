/* The commands about tallyd itself. */
#include <string.h>

#include "tallyctl/request.h"
#include "tallyctl/save.h"
#include "tallyctl/show.h"

#define PATIENCE_MS 30000u

enum ctl_exit command_info(const struct ctl *ctl)
{
    return answer_get(ctl, "/v1/info", show_info);
}

enum ctl_exit command_health(const struct ctl *ctl)
{
    struct client *client = NULL;
    struct client_reply reply;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = client_call(client, "GET", "/healthz", NULL, 0, &reply);
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, show_health);
        status = strcmp(client_text(reply.json, "status"), "ok") ? CTL_FAILED : CTL_DONE;
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}

enum ctl_exit command_whoami(const struct ctl *ctl)
{
    return answer_get(ctl, "/v1/session", show_session);
}

/* A body that is shown as it is. */
static enum ctl_exit plain(const struct ctl *ctl, const char *path)
{
    struct client *client = NULL;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = save_get(ctl, client, path, PATIENCE_MS);
    client_close(client);
    return status;
}

enum ctl_exit command_metrics(const struct ctl *ctl)
{
    return plain(ctl, "/metrics");
}

enum ctl_exit command_metrics_targets(const struct ctl *ctl)
{
    return plain(ctl, "/metrics/sd");
}

enum ctl_exit command_openapi(const struct ctl *ctl)
{
    return plain(ctl, "/v1/openapi.json");
}

enum ctl_exit command_login(const struct ctl *ctl)
{
    if (ctl->host)
        return ctl_fail(CTL_USAGE, "login is asked over the socket alone: on tallyd's machine, without --host");
    return answer_send(ctl, "POST", "/v1/session", "{}", show_link);
}
