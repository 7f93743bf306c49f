#include "tallyctl/answer.h"

#include <stdlib.h>

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
    if (!ctl->json)
        show(&ctl->paper, reply->json);
    else if (reply->body)
        answer_line(ctl->paper.to, reply->body);
    fflush(ctl->paper.to);
}

enum ctl_exit answer_get(const struct ctl *ctl, const char *path, show_fn show)
{
    struct client *client = NULL;
    struct client_reply reply;
    enum ctl_exit status = client_open(ctl, &client);
    if (status == CTL_DONE)
        status = client_call(client, "GET", path, NULL, 0, &reply);
    if (status == CTL_DONE) {
        answer_print(ctl, &reply, show);
        client_reply_fini(&reply);
    }
    client_close(client);
    return status;
}
