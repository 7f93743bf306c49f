/* Start and stop, and the way of a request through its checks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/patience.h"
#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"

/* ---- waiting */

/* Whether it has waited long enough, whatever its operation does. */
static bool wait_is_over(const struct request *request, uint64_t now_ns)
{
    return now_ns >= request->wait_until_ns || request->api->draining ||
           (request->tail && stats_tail_ready(request->api->stats, request->tail) >= request->tail_enough);
}

/* operation: NULL: whose time is up. */
static void waiting_resume(struct api *api, const char *operation)
{
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&api->lock);
    for (struct request **link = &api->waiting; *link;) {
        struct request *request = *link;
        if (operation ? strcmp(request->operation, operation) != 0 : !wait_is_over(request, now)) {
            link = &request->next_waiting;
            continue;
        }
        *link = request->next_waiting;
        request->suspended = false;
        MHD_resume_connection(request->mhd);
    }
    pthread_mutex_unlock(&api->lock);
}

#define LONG_S 86400u /* our own deadlines are shorter */

void request_suspend(struct request *request)
{
    MHD_set_connection_option(request->mhd, MHD_CONNECTION_OPTION_TIMEOUT, LONG_S);
    MHD_suspend_connection(request->mhd);
}

/* Suspends the request until its operation changes or its time is up; then it is handled again. */
void request_wait(struct request *request)
{
    struct api *api = request->api;
    phase_set(request->connection, PHASE_WAITING);
    request->waiting = true;
    pthread_mutex_lock(&api->lock);
    request->suspended = true;
    request->next_waiting = api->waiting;
    api->waiting = request;
    request_suspend(request);
    pthread_mutex_unlock(&api->lock);
    /* It may have ended between the look and the suspension. */
    if (!*request->operation)
        return;
    struct operation_view *operation = operations_get_new(api->operations, request->operation);
    if (!operation || operation_is_over(operation->state) || api->draining)
        waiting_resume(api, request->operation);
    operations_view_free(operation);
}

/* Of the newest state: the number in every event's id. */
static uint64_t view_seq(struct api *api)
{
    const struct stats_view *view = stats_view_get_new(api->stats);
    uint64_t seq = view->seq;
    stats_view_unref(view);
    return seq;
}

static void operation_changed(void *arg, const char *id)
{
    struct api *api = arg;
    struct operation_view *operation = operations_get_new(api->operations, id);
    if (operation)
        streams_tell(api, TOPIC_OPERATIONS, view_seq(api), view_operation(api, operation, false));
    operations_view_free(operation);
    waiting_resume(api, id);
}

/* ---- requests */

/* libmicrohttpd makes a record of each parameter before it asks us, and forgets to answer where its memory ends. Those that
 * are too many for us, and no more than these, are told so. */
#define PARAMETERS_RECORDED 32u
_Static_assert(PARAMETERS_RECORDED > PARAMETERS_MAX, "there is room to say so");

static bool parameters_overflow(const char *target)
{
    unsigned count = 0;
    for (const char *at = strchr(target, '?'); at; at = strchr(at + 1, '&'))
        count++;
    return count > PARAMETERS_RECORDED;
}

/* In one piece, with room for a target of so many bytes and what it decodes to: a NUL for each piece of it. */
static struct request *request_allocate(size_t target_bytes)
{
    size_t room = 2 * (target_bytes + 1);
    struct request *request = malloc(sizeof *request + target_bytes + 1 + room);
    if (!request)
        return NULL;
    memset(request, 0, offsetof(struct request, fault));
    request->fault.detail[0] = request->fault.parameter[0] = request->fault.pointer[0] = '\0';
    request->target = (char *)(request + 1);
    request->target[target_bytes] = '\0';
    request->decoded = request->target + target_bytes + 1;
    request->decoded_bytes = 0;
    request->decoded_room = room;
    return request;
}

static void *request_new(void *arg, const char *target, struct MHD_Connection *mhd)
{
    struct listener *listener = arg;
    pulse_beat(listener->is_unix ? PULSE_UNIX : PULSE_TCP);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info ? info->socket_context : NULL;
    if (connection && parameters_overflow(target)) {
        connection_refuse(connection);
        return NULL;
    }
    size_t bytes = strlen(target);
    struct request *request = request_allocate(bytes < TARGET_MAX ? bytes : 0);
    if (!request)
        return NULL;
    if (connection && phase_get(connection) == PHASE_IDLE) /* a further request: its header has a deadline too */
        phase_set(connection, PHASE_OPENED);
    request->api = listener->api;
    request->mhd = mhd;
    request->pending = PROBLEM_NONE;
    request->line = target;
    request->line_bytes = bytes;
    request->target_long = bytes >= TARGET_MAX;
    for (size_t i = 0; i < bytes && !request->target_long; i++) {
        request->target_bad |= (unsigned char)target[i] <= ' ' || (unsigned char)target[i] >= 0x7f || target[i] == '#';
        request->target[i] = target[i];
    }
    return request;
}

static void request_over(void *arg, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;
    (void)arg, (void)mhd, (void)code;
    if (!request)
        return;
    struct api *api = request->api;
    pthread_mutex_lock(&api->lock);
    for (struct request **link = &api->waiting; *link; link = &(*link)->next_waiting)
        if (*link == request) {
            *link = request->next_waiting;
            break;
        }
    pthread_mutex_unlock(&api->lock);
    if (request->stream)
        stream_detach(api, request->stream);
    if (request->download)
        download_detach(api, request->download);
    if (request->tail)
        stats_tail_close(api->stats, request->tail);
    if (request->connection)
        connection_idle(request->connection);
    repeat_note(request);
    answer_drop(&request->answer);
    json_decref(request->json);
    free(request->body);
    free(request);
    *context = NULL;
}

static bool is_page(const struct request *request)
{
    const char *first = request->segments[0];
    return strcmp(first, "v1") && strcmp(first, "healthz") && strcmp(first, "metrics");
}

static bool type_is_json(const struct request *request)
{
    const char *type = request->headers[HEADER_TYPE];
    size_t length = type ? strcspn(type, "; \t") : 0;
    return length == strlen("application/json") && !strncasecmp(type, "application/json", length);
}

static size_t body_most(const struct request *request)
{
    return request->connection->trusted ? BODY_MAX : STRANGER_BODY_MAX;
}

static bool has_body(const struct request *request)
{
    const char *length = request->headers[HEADER_LENGTH];
    const char *encoding = request->headers[HEADER_ENCODING];
    return (length && strcmp(length, "0")) || encoding;
}

/* What the route asks of the rest of the header. */
static enum problem route_check(struct request *request)
{
    struct fault *fault = &request->fault;
    if (!parameters_read(request))
        return PROBLEM_bad_value;
    if (!has_body(request))
        return PROBLEM_NONE;
    if (!request->route->body) {
        snprintf(fault->detail, sizeof fault->detail, "no body is taken here");
        return PROBLEM_bad_request;
    }
    const char *length = request->headers[HEADER_LENGTH];
    uint64_t body_bytes;
    if (length && !parse_number(length, body_most(request), &body_bytes)) {
        snprintf(fault->detail, sizeof fault->detail, "it may have %u bytes", (unsigned)body_most(request));
        return PROBLEM_body_too_large;
    }
    return type_is_json(request) ? PROBLEM_NONE : PROBLEM_bad_content_type;
}

/* Who asks, and whether they may. */
static enum problem asker_check(struct request *request)
{
    struct fault *fault = &request->fault;
    enum problem problem =
        guard_token(request, request->page ? OPEN : request->route ? request->route->scope : READ);
    if (problem == PROBLEM_NONE)
        problem = guard_origin(request, fault->detail, sizeof fault->detail);
    return problem == PROBLEM_NONE && request->api->draining ? PROBLEM_draining : problem;
}

/* The order of the checks is the contract. */
static enum problem header_check(struct request *request, const char *method, const char *version)
{
    struct fault *fault = &request->fault;
    bool known = false;
    const char *why;
    enum problem problem = guard_form(request, method, version, fault->detail, sizeof fault->detail);
    if (problem == PROBLEM_NONE && !target_parse(request, &why)) {
        snprintf(fault->detail, sizeof fault->detail, "%s", why);
        problem = PROBLEM_bad_request;
    }
    if (problem == PROBLEM_NONE)
        problem = guard_host(request, fault->detail, sizeof fault->detail);
    if (problem != PROBLEM_NONE)
        return problem;
    memcpy(request->allow, "GET, HEAD, OPTIONS", sizeof "GET, HEAD, OPTIONS");
    request->page = is_page(request);
    request->head = !strcmp(method, "HEAD");
    request->options = !strcmp(method, "OPTIONS");
    request->route =
        request->page ? NULL : route_find(request, method, &known, request->allow, sizeof request->allow);
    problem = asker_check(request);
    if (problem != PROBLEM_NONE)
        return problem;
    *fault->detail = '\0';
    if (!request->page && !known)
        return PROBLEM_not_found;
    if (request->options)
        return PROBLEM_NONE;
    if (request->page)
        return request->head || !strcmp(method, "GET") ? PROBLEM_NONE : PROBLEM_method_not_allowed;
    return request->route ? route_check(request) : PROBLEM_method_not_allowed;
}

static enum MHD_Result pending_respond(struct request *request)
{
    return request->pending == PROBLEM_method_not_allowed ? respond_allow(request, false, request->allow)
                                                          : respond_problem(request, request->pending, request->fault.detail);
}

/* What is malformed or comes with a body is refused at once, which costs the connection; the rest with its end. */
static enum MHD_Result header_handle(struct request *request, const char *method, const char *version)
{
    request->checked = true;
    request->connection =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (!request->connection)
        return MHD_NO;
    request->connection->requests++;
    phase_set(request->connection, PHASE_REQUEST);
    request->pending = header_check(request, method, version);
    asked_refused(request, request->pending);
    /* Before the request's end an answer costs the connection. That is meant where it was malformed or a stranger's. */
    bool now = request->pending == PROBLEM_bad_request || request->pending == PROBLEM_wrong_host ||
               request->pending == PROBLEM_header_too_large ||
               (request->pending != PROBLEM_NONE && (has_body(request) || !request->connection->trusted));
    return now ? pending_respond(request) : MHD_YES;
}

static enum MHD_Result body_take(struct request *request, const char *data, size_t *bytes)
{
    if (request->pending == PROBLEM_NONE && request->body_bytes + *bytes > body_most(request))
        request->pending = PROBLEM_body_too_large;
    if (request->pending == PROBLEM_NONE) {
        char *body = realloc(request->body, request->body_bytes + *bytes);
        if (!body)
            return MHD_NO;
        memcpy(body + request->body_bytes, data, *bytes);
        request->body = body;
        request->body_bytes += *bytes;
    } else {
        request->skipped_bytes += *bytes;
    }
    *bytes = 0;
    return request->skipped_bytes <= BODY_SKIP_MAX ? MHD_YES : MHD_NO; /* no: the connection ends */
}

/* The body of a route that has one: {} where none was sent. */
static enum problem body_check(struct request *request)
{
    struct fault *fault = &request->fault;
    request->json = request->body_bytes ? body_parse(request, fault->detail, sizeof fault->detail) : json_object();
    if (!request->json)
        return PROBLEM_bad_json;
    return schema_check(request->api->schemas, request->route->body, request->json, fault) ? PROBLEM_NONE
                                                                                           : PROBLEM_bad_value;
}

static enum MHD_Result page_handle(struct request *request)
{
    bool found;
    enum MHD_Result result = files_serve(request, &found);
    return found ? result : respond_problem(request, PROBLEM_not_found, NULL);
}

/* All of the request is here. */
static enum MHD_Result request_handle(struct request *request)
{
    const struct route *route = request->route;
    if (request->pending == PROBLEM_NONE && route && route->body && !request->json)
        request->pending = body_check(request);
    if (request->pending != PROBLEM_NONE)
        return pending_respond(request);
    if (request->options)
        return respond_allow(request, true, request->allow);
    if (request->page)
        return page_handle(request);
    enum MHD_Result result;
    if (route_repeats(route) && repeat_check(request, &result))
        return result;
    return route->place == ASIDE ? worker_take(request) : route->handler(request); /* it may be a worker's from here on */
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
                              const char *version, const char *data, size_t *data_bytes, void **context)
{
    struct request *request = *context;
    (void)arg, (void)mhd, (void)url;
    if (!request)
        return MHD_NO;
    if (!request->checked)
        return header_handle(request, method, version);
    if (*data_bytes)
        return body_take(request, data, data_bytes);
    if (!request->made && !request->waiting)
        return request_handle(request);
    MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    phase_set(request->connection, PHASE_REQUEST);
    if (request->made)
        return respond_answer(request);
    request->waiting = false;
    return request->resume(request);
}

/* Targets are decoded by target.c, from the raw text. */
static size_t no_unescape(void *arg, struct MHD_Connection *mhd, char *text)
{
    (void)arg, (void)mhd;
    return strlen(text);
}

/* libmicrohttpd's limit is never met: connections.c has its own, and counts those that are being closed. */
static bool listener_start(struct listener *listener)
{
    listener->mhd = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
        handle, listener, MHD_OPTION_CONNECTION_LIMIT, 3 * listener->limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_URI_LOG_CALLBACK, request_new, listener,
        MHD_OPTION_NOTIFY_COMPLETED, request_over, listener, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, listener,
        MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_END);
    pulse_beat(listener->is_unix ? PULSE_UNIX : PULSE_TCP); /* from here on it is missed */
    return listener->mhd && !listener_wakeable(listener);
}

static void *tick(void *arg)
{
    struct api *api = arg;
    for (unsigned turn = 1; !api->stopping; turn++) {
        struct timespec pause = {0, TICK_NS};
        nanosleep(&pause, NULL);
        uint64_t start = clock_mono_ns();
        pulse_beat(PULSE_TICKER);
        operations_tick(api->operations);
        waiting_resume(api, NULL);
        streams_tick(api);
        if (turn % (1000000000u / TICK_NS) == 0) {
            streams_judge(api);
            downloads_judge(api);
        }
        pulse_worked(PULSE_TICKER, start);
    }
    return NULL;
}

static void options_copy(struct api *api, const struct api_options *options)
{
    api->stats = options->stats;
    api->operations = options->operations;
    api->audit = options->audit;
    api->history = options->history;
    api->snapshots = options->snapshots;
    api->rules = options->rules;
    snprintf(api->tcp_address, sizeof api->tcp_address, "%s", options->tcp_address);
    snprintf(api->public_host, sizeof api->public_host, "%s",
             options->public_host ? options->public_host : "");
    snprintf(api->start_id, sizeof api->start_id, "%s", options->start_id);
    snprintf(api->runtime_dir, sizeof api->runtime_dir, "%s", options->runtime_dir);
    snprintf(api->state_dir, sizeof api->state_dir, "%s", options->state_dir);
    const char *colon = strrchr(api->tcp_address, ':');
    api->tcp_port = (uint16_t)(colon ? strtoul(colon + 1, NULL, 10) : 0);
    api->remote_control = options->remote_control;
    api->loopback = options->loopback;
    if (options->metrics_detail && strcmp(options->metrics_detail, "auto") != 0)
        metrics_detail_parse(options->metrics_detail, &api->metrics_scope, NULL, 0);
    api->system = options->system;
    snprintf(api->service, sizeof api->service, "%s", options->service ? options->service : "");
    if (options->sandbox)
        api->sandbox = *options->sandbox;
    api->started_ns = clock_mono_ns();
    api->started_wall_ns = clock_wall_ns();
}

static void api_free(struct api *api)
{
    bodies_free(api->bodies);
    repeats_free(api->repeats);
    connections_free(api);
    json_decref(api->schemas);
    credentials_free(api->credentials);
    metrics_free(api->metrics);
    free(api->answers);
    pthread_cond_destroy(&api->jobs_come);
    pthread_mutex_destroy(&api->jobs_lock);
    pthread_mutex_destroy(&api->lock);
    pthread_mutex_destroy(&api->streams_lock);
    pthread_cond_destroy(&api->downloads_end);
    pthread_mutex_destroy(&api->downloads_lock);
    free(api);
}

static void listener_stop(struct listener *listener)
{
    if (listener->mhd)
        MHD_stop_daemon(listener->mhd);
    if (listener->wake_fd >= 0)
        close(listener->wake_fd);
    close(listener->fd);
}

/* Where it fails, none of our threads but workers runs. */
static int threads_start(struct api *api)
{
    if (!listener_start(&api->tcp) || !listener_start(&api->unix_))
        return -EIO;
    int error = workers_start(api);
    if (!error)
        error = -pthread_create(&api->ticker, NULL, tick, api);
    if (error)
        return error;
    error = door_open(api);
    if (error) {
        api->stopping = true;
        pthread_join(api->ticker, NULL);
    }
    return error;
}

int api_start(const struct api_options *options, struct api **out)
{
    struct api *api = calloc(1, sizeof *api);
    if (!api)
        return -ENOMEM;
    json_object_seed(0);
    pthread_mutex_init(&api->lock, NULL);
    pthread_mutex_init(&api->streams_lock, NULL);
    pthread_mutex_init(&api->downloads_lock, NULL);
    pthread_cond_init(&api->downloads_end, NULL);
    pthread_mutex_init(&api->jobs_lock, NULL);
    pthread_cond_init(&api->jobs_come, NULL);
    api->jobs_tail = &api->jobs;
    api->download_patience_ns = PATIENCE_NS;
    api->schemas = schemas_load();
    api->bodies = bodies_new();
    api->repeats = repeats_new();
    options_copy(api, options);
    api->credentials = credentials_new(options->state_dir, options->runtime_dir, options->sessions_path, options->token);
    api->tcp = (struct listener){.api = api, .fd = options->tcp_fd, .wake_fd = -1, .limit = TCP_CONNECTIONS, .strangers = TCP_STRANGERS};
    api->unix_ = (struct listener){.api = api, .is_unix = true, .fd = options->unix_fd, .wake_fd = -1, .limit = UNIX_CONNECTIONS,
                                   .strangers = UNIX_CONNECTIONS};
    operations_on_change(api->operations, operation_changed, api);
    api->metrics = metrics_new(options->metrics_process_series, options->metrics_series);
    *out = api; /* whom a handler makes call us finds it */
    int error = api->schemas && api->credentials && api->bodies && api->repeats && api->metrics && answers_init(api) ? threads_start(api) : -ENOMEM;
    if (error) {
        *out = NULL;
        operations_on_change(api->operations, NULL, NULL);
        workers_stop(api);
        listener_stop(&api->tcp);
        listener_stop(&api->unix_);
        api_free(api);
        return error;
    }
    return 0;
}

/* Streams get a moment to carry their last word out; nothing may be suspended when the listeners stop. */
void api_stop(struct api *api)
{
    api->draining = true;
    waiting_resume(api, NULL);
    streams_end(api);
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&api->streams_lock);
        bool any = api->streams;
        pthread_mutex_unlock(&api->streams_lock);
        if (!any)
            break;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    api->stopping = true;
    pthread_join(api->ticker, NULL);
    door_close(api);
    operations_on_change(api->operations, NULL, NULL);
    waiting_resume(api, NULL);
    streams_end(api);
    workers_stop(api);
    downloads_break(api);
    listener_stop(&api->tcp);
    listener_stop(&api->unix_);
    downloads_await(api);
    api_free(api);
}
