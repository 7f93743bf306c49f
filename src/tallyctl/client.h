/* Requests to tallyd, over api.sock or TCP. */
#ifndef TALLYCTL_CLIENT_H
#define TALLYCTL_CLIENT_H

#include <jansson.h>

#include "tallyctl/tallyctl.h"

struct client;

/* Finds tallyd: --host, else the first runtime directory that answers. Says why on stderr and returns CTL_NO_DAEMON where
 * there is none. */
enum ctl_exit client_open(const struct ctl *ctl, struct client **out);
void client_close(struct client *client);
/* The runtime directory that answered, or --host; borrowed. */
const char *client_place(const struct client *client);

/* What addresses begin with where it is asked over TCP: "http://HOST:PORT"; borrowed, NULL: over the socket. */
const char *client_base(const struct client *client);

/* Gives up on an answer after so many milliseconds, instead of the 10 s that one has otherwise. */
void client_be_brief(struct client *client, unsigned patience_ms);

struct client_reply {
    long status;
    char *body; /* as it came, NUL-terminated */
    size_t bytes;
    json_t *json; /* the same, read; NULL where it was not to be, or is none */
};
void client_reply_fini(struct client_reply *reply);

/* ---- one at a time, waited for */

/* Sends the request (`body` NULL: none) and waits up to `wait_ms` longer than an answer normally takes.
 * CTL_DONE with *reply filled for every 2xx; else what the problem document says is on stderr and the matching status
 * comes back, with nothing to free. CTL_INTERRUPTED, without a word: see wake.h. */
enum ctl_exit client_call(struct client *client, const char *method, const char *path, const char *body,
                          unsigned wait_ms, struct client_reply *reply);

#define CLIENT_PROBLEM_MAX 1100 /* as long as a detail of tallyd's may be, and a little */

/* The same, and what is wrong stands in `problem` instead of on stderr. */
enum ctl_exit client_try(struct client *client, const char *method, const char *path, const char *body, unsigned wait_ms,
                         struct client_reply *reply, char problem[CLIENT_PROBLEM_MAX]);

/* The whole list of processes that `query` ("label=a:b&", or "") selects: pages are joined into one reply. */
enum ctl_exit client_processes(struct client *client, const char *query, struct client_reply *reply);

/* ---- several at once, between which the caller does other things */

/* Bytes of an answer that succeeds, as they come. False: no more are wanted. */
typedef bool (*client_data_fn)(void *arg, const char *bytes, size_t count);

struct client_request {
    const char *method, *path;
    const char *body;     /* NULL: none */
    const char *last_id;  /* of a stream: goes on behind it; NULL: from now */
    unsigned patience_ms; /* 0: for ever, once it is connected */
    client_data_fn data;  /* NULL: the answer is JSON, and kept */
    void *arg;
};

struct client_call;

/* Begins; strings of the request but its body's need not outlive the call. NULL: no memory. */
struct client_call *client_begin(struct client *client, const struct client_request *request);
/* Moves all that has begun until something has come, `fd` (-1: none) or wake_fd() is readable, or the time is up. */
void client_run(struct client *client, int fd, unsigned timeout_ms);
bool client_over(const struct client_call *call);
/* Ends it, whether it is over or not, and frees it. As client_try(). */
enum ctl_exit client_end(struct client *client, struct client_call *call, struct client_reply *reply,
                         char problem[CLIENT_PROBLEM_MAX]);

/* ---- members of answers whose shape nobody has checked: a missing or strange one is "" or 0 */

const char *client_text(const json_t *object, const char *path);
uint64_t client_number(const json_t *object, const char *path);
/* The member at a path like "frees.cycle", borrowed, or NULL. */
const json_t *client_member(const json_t *object, const char *path);

#endif
