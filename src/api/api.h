/* The daemon's whole interface: HTTP on two listeners, TCP (`http.addr`) and the Unix socket `api.sock`.
 *
 * What it is made of stands in tables: routes.def (routes, where each runs, what it takes and answers), parameters.def,
 * problems.def, topics.def, and schemas/ (JSON Schema of all bodies and answers). GET /v1/openapi.json and API.md, which
 * has the conventions too, are made of them; so are the checks that a request passes before its handler sees it.
 *
 * The way of a request: connections.c lets its socket in; server.c takes its header through the checks (guard.c who may,
 * target.c the path and its route, parameters.c the query), its body through json.c and schema.c, repeat.c knows it by its
 * Idempotency-Key, and the route's handler (reads.c, lists.c, controls.c, artifacts.c, …) makes JSON of views (views.h)
 * and answers by respond.h. What takes long goes through worker.c; what waits for an operation, or is a stream
 * (stream.c), is suspended.
 *
 * What is always true
 *  - GET never changes anything. Requests are checked in one order: form, Host, token, Origin, route and method,
 *    parameters, content type, JSON, schema.
 *  - A body is built once per view and reused. Handlers in the listeners' threads never wait and touch no file: a client
 *    that waits is suspended, and resumed by what it waits for or by the ticker.
 *  - Every connection has an absolute deadline for its header, its request and its idleness, and every stream a bound on
 *    what may wait for its reader.
 */
#ifndef TALLY_API_API_H
#define TALLY_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "history/history.h"
#include "operations/operations.h"
#include "rules/rules.h"
#include "sandbox/sandbox.h"
#include "snapshot/snapshot.h"
#include "stats/stats.h"

struct api;

struct api_options {
    struct stats *stats;
    struct operations *operations;
    struct rules *rules;
    struct audit *audit;       /* of operations, too; NULL: none */
    struct history *history;   /* NULL: none */
    struct snapshots *snapshots; /* NULL: none */
    int tcp_fd, unix_fd;       /* listening sockets, taken over */
    const char *tcp_address;   /* HOST:PORT as bound, for the Host check and links */
    const char *public_host;   /* NULL, or a further Host that a proxy sends */
    bool remote_control;       /* off loopback: scopes beyond READ are good on TCP */
    bool loopback;
    const char *start_id;      /* 8 hex digits, new at each start */
    const char *token;         /* the bearer token of all scopes */
    const char *sessions_path; /* file of the page's session tokens */
    const char *runtime_dir, *state_dir;
    const char *service; /* who looks after us, in a phrase; NULL or "": nobody */
    const struct sandbox *sandbox; /* what is in force; NULL: nothing */
    bool system;
    const char *metrics_detail; /* app, process or heaps; NULL or "auto": by the number of processes */
    size_t metrics_process_series, metrics_series; /* most of a process, and in all; 0: the defaults of api/metrics.h */
};

/* Tells each library that says its version; inih and libsystemd do not. */
void api_libraries(void (*tell)(void *arg, const char *name, const char *version), void *arg);

/* Starts both listeners and the ticker. The strings are copied. *out is set before the first request is heard. 0 or
 * -errno. */
int api_start(const struct api_options *options, struct api **out);
/* Says goodbye to streams, answers what still comes with 503, ends in less than a second. */
void api_stop(struct api *api);
/* Tells the streams of an alert. Any thread, until api_stop(). */
void api_alert(struct api *api, const struct rule_alert *alert);
/* A rules_command_fn: bodies are held against the schemas of the controls' own routes. Any thread, at any time. */
bool api_command_read(const char *kind, json_t *body, struct wire_command *command, char *why, size_t why_bytes);

#endif
