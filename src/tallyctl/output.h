/* How answers are shown: for people (output_text.c) or for programs (output_json.c). */
#ifndef TALLYCTL_OUTPUT_H
#define TALLYCTL_OUTPUT_H

#include "tallyctl/client.h"

struct output {
    void (*processes)(const struct client_reply *reply);
    /* fields: the catalogue of /v1/info, from which labels and units come. */
    void (*stats)(const struct client_reply *reply, const json_t *fields);
    void (*types)(const struct client_reply *reply);
    void (*collections)(const struct client_reply *reply);
    void (*config)(const struct client_reply *reply);
    void (*operation)(const struct client_reply *reply);
    /* Objects or shapes of cycles, whichever the answer lists. */
    void (*listing)(const struct client_reply *reply);
    void (*history)(const struct client_reply *reply);
    void (*audit)(const struct client_reply *reply);
    void (*purged)(const struct client_reply *reply);
    void (*link)(const struct client_reply *reply);
    void (*tokens)(const struct client_reply *reply);
    /* A new token's secret, which is shown this once. */
    void (*secret)(const struct client_reply *reply);
    /* What was done with a token, "written to" a path or "revoked". */
    void (*token)(const struct client_reply *reply, const char *done, const char *path);
    /* directory: where the new one lies. */
    void (*rotation)(const struct client_reply *reply, const char *directory);
    /* findings: [{"level","finding","advice"|null}] */
    void (*findings)(const json_t *findings);
};

extern const struct output output_text, output_json;

#endif
