#include "tallyctl/answer.h"

#include <stdlib.h>

#include "tallyctl/request.h"

void answer_line(FILE *to, const char *json)
{
    for (const unsigned char *at = (const unsigned char *)json; *at; at++) {
        if (*at == 0x7F)
            fputs("\\u007f", to);
        else if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F)
            fprintf(to, "\\u00%02x", (unsigned)*++at);
        else if (*at != '\n' && *at != '\r')
            putc(*at, to);
    }
    putc('\n', to);
}

void answer_json(FILE *to, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (text)
        answer_line(to, text);
    free(text);
}

void answer_print(const struct ctl *ctl, const struct client_reply *reply, show_fn show)
{
    if (!ctl->json && show)
        show(&ctl->paper, reply->json);
    else if (ctl->json && reply->body)
        answer_line(ctl->paper.to, reply->body);
    fflush(ctl->paper.to);
}

enum ctl_exit answer_call(const struct ctl *ctl, struct client *client, const char *method, const char *path,
                          const char *body, unsigned wait_ms, show_fn show)
{
    struct client_reply reply;
    enum ctl_exit status = request_fits(path) ? client_call(client, method, path, body, wait_ms, &reply) : CTL_USAGE;
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, show);
        client_reply_fini(&reply);
    }
    return status;
}

enum ctl_exit answer_send(const struct ctl *ctl, const char *method, const char *path, const char *body, show_fn show)
{
    struct client *client = NULL;
    enum ctl_exit status = request_fits(path) ? client_open(ctl, &client) : CTL_USAGE;
    if (status == CTL_DONE)
        status = answer_call(ctl, client, method, path, body, 0, show);
    client_close(client);
    return status;
}

enum ctl_exit answer_get(const struct ctl *ctl, const char *path, show_fn show)
{
    return answer_send(ctl, "GET", path, NULL, show);
}
