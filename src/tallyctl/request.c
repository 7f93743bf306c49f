#include "tallyctl/request.h"

#include <stdio.h>
#include <string.h>

#include "tallyctl/match.h"

/* What stands in a path must need no escaping. */
static bool is_plain(const char *id)
{
    return *id && id[strspn(id, "0123456789abcdef")] == '\0';
}

enum ctl_exit request_path(const struct ctl *ctl, struct client *client, const char *leaf,
                           char path[REQUEST_PATH_MAX])
{
    json_t *process = NULL;
    enum ctl_exit status = match_one(client, ctl->arguments[0], &process);
    if (status != CTL_DONE)
        return status;
    const char *id = client_text(process, "id");
    int length = 0;
    if (is_plain(id) && ctl->heap)
        length = snprintf(path, REQUEST_PATH_MAX, "/v1/processes/%s/heaps/%u/%s", id, ctl->heap, leaf);
    else if (is_plain(id))
        length = snprintf(path, REQUEST_PATH_MAX, "/v1/processes/%s/%s", id, leaf);
    json_decref(process);
    if (length <= 0 || length >= REQUEST_PATH_MAX)
        return ctl_fail(CTL_FAILED, "the daemon lists a process without a proper id");
    return CTL_DONE;
}
