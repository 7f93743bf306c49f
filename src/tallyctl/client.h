/* One request at a time to tallyd, over api.sock. */
#ifndef TALLYCTL_CLIENT_H
#define TALLYCTL_CLIENT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "tallyctl/tallyctl.h"

struct client;

/* Connects to the first tallyd there is. Says why on stderr and returns CTL_NO_DAEMON where there is none. */
enum ctl_exit client_open(const struct ctl *ctl, struct client **out);
void client_close(struct client *client);
/* The runtime directory that answered; borrowed. */
const char *client_directory(const struct client *client);

struct client_reply {
    long status;
    char *body; /* as it came, NUL-terminated */
    size_t bytes;
    json_t *json; /* the same, read; an object */
};

/* Sends the request (`body` NULL: none) and waits up to `wait_ms` longer than an answer normally takes.
 * CTL_DONE with *reply filled for every 2xx; else what the problem document says is on stderr and the
 * matching status comes back, with nothing to free. */
enum ctl_exit client_call(struct client *client, const char *method, const char *path, const char *body,
                          unsigned wait_ms, struct client_reply *reply);
void client_reply_fini(struct client_reply *reply);

/* The whole list of processes: pages are joined into one reply. */
enum ctl_exit client_processes(struct client *client, struct client_reply *reply);

/* Member access for answers whose shape nobody has checked: a missing or strange member is "" or 0. */
const char *client_text(const json_t *object, const char *path);
uint64_t client_number(const json_t *object, const char *path);
/* The member at a path like "frees.cycle", borrowed, or NULL. */
const json_t *client_member(const json_t *object, const char *path);

#endif
