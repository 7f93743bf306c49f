/* The API's bytes as they are, one line an answer. */
#include "tallyctl/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* DEL and C1 controls can stand in JSON strings as they are; a terminal would obey them. */
static void print_line(const char *json)
{
    for (const unsigned char *at = (const unsigned char *)json; *at; at++) {
        if (*at == 0x7F)
            fputs("\\u007f", stdout);
        else if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F)
            printf("\\u00%02x", (unsigned)*++at);
        else if (*at != '\n' && *at != '\r')
            putchar(*at);
    }
    putchar('\n');
}

static void print_body(const struct client_reply *reply)
{
    print_line(reply->body);
}

static void print_stats(const struct client_reply *reply, const json_t *fields)
{
    (void)fields;
    print_body(reply);
}

static void print_findings(const json_t *findings)
{
    char *text = json_dumps(findings, JSON_COMPACT);
    if (text)
        print_line(text);
    free(text);
}

static void print_token(const struct client_reply *reply, const char *done, const char *path)
{
    (void)done, (void)path;
    print_body(reply);
}

static void print_rotation(const struct client_reply *reply, const char *directory)
{
    (void)directory;
    print_body(reply);
}

const struct output output_json = {
    .processes = print_body,
    .stats = print_stats,
    .types = print_body,
    .collections = print_body,
    .config = print_body,
    .operation = print_body,
    .listing = print_body,
    .history = print_body,
    .audit = print_body,
    .purged = print_body,
    .link = print_body,
    .tokens = print_body,
    .secret = print_body,
    .token = print_token,
    .rotation = print_rotation,
    .findings = print_findings,
};
