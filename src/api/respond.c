/* Answers: problem documents, JSON, and bodies that are built once per view and reused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "base/log.h"
#include "base/clock.h"
#include "wire/message.h"

static const struct {
    const char *code;
    unsigned status;
    const char *title;
} problems[] = {
#define PROBLEM(code, status, title) {#code, status, title},
#include "api/problems.def"
#undef PROBLEM
};

const char *problem_code(enum problem problem)
{
    return problems[problem].code;
}

#define POLICY \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

void respond_headers(struct MHD_Response *response, bool cacheable)
{
    MHD_add_response_header(response, "Cache-Control", cacheable ? "no-cache" : "no-store");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
}

/* The log leaves the query out, which is the client's own affair. */
static enum MHD_Result queue(const struct request *request, unsigned status, struct MHD_Response *response)
{
    log_debug("%u to %s: %.*s", status, request->who, (int)strcspn(request->target, "?"), request->target);
    answers_count(request, status);
    return MHD_queue_response(request->mhd, status, response);
}

enum MHD_Result respond_queue(struct request *request, unsigned status, struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    if (!request->connection->trusted && request->connection->requests >= STRANGER_REQUESTS)
        MHD_add_response_header(response, "Connection", "close");
    if (request->aside) {
        answer_drop(&request->answer);
        request->answer = (struct answer){.response = response, .status = status};
        return MHD_YES;
    }
    enum MHD_Result result = queue(request, status, response);
    MHD_destroy_response(response);
    return result;
}

static void body_unref(struct body *body)
{
    if (!body || atomic_fetch_sub(&body->references, 1) != 1)
        return;
    MHD_destroy_response(body->response);
    free(body);
}

/* Takes the reference over. */
static enum MHD_Result body_queue(struct request *request, struct body *body)
{
    if (request->aside) {
        answer_drop(&request->answer);
        request->answer = (struct answer){.body = body, .status = MHD_HTTP_OK};
        return MHD_YES;
    }
    enum MHD_Result result = queue(request, MHD_HTTP_OK, body->response);
    body_unref(body);
    return result;
}

void answer_drop(struct answer *answer)
{
    if (answer->response)
        MHD_destroy_response(answer->response);
    body_unref(answer->body);
    *answer = (struct answer){.response = NULL};
}

enum MHD_Result respond_answer(struct request *request)
{
    const struct answer *answer = &request->answer;
    struct MHD_Response *response = answer->body ? answer->body->response : answer->response;
    enum MHD_Result result = response ? queue(request, answer->status, response) : MHD_NO;
    answer_drop(&request->answer);
    return result;
}

static struct MHD_Response *response_of(json_t *json, const char *type)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return NULL;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return NULL;
    }
    MHD_add_response_header(response, "Content-Type", type);
    respond_headers(response, false);
    return response;
}

/* The document as RFC 9457 has it; instance is the path that was asked for. */
static struct MHD_Response *problem_response(const struct request *request, enum problem problem,
                                             const char *detail)
{
    char type[96], path[256];
    snprintf(type, sizeof type, "/problems/%s", problems[problem].code);
    snprintf(path, sizeof path, "%.*s", (int)strcspn(request->target, "?"), request->target);
    for (char *at = path; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
            *at = '?';
    if (!detail || !*detail || !wire_text_valid(detail, strlen(detail)))
        detail = problems[problem].title;
    return response_of(json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type, "title",
                                 problems[problem].title, "status", (int)problems[problem].status, "detail",
                                 detail, "instance", path, "code", problems[problem].code),
                       "application/problem+json");
}

enum MHD_Result respond_problem(struct request *request, enum problem problem, const char *detail)
{
    struct MHD_Response *response = problem_response(request, problem, detail);
    if (!response)
        return MHD_NO;
    if (problem == PROBLEM_unauthorized)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"tally\"");
    if (problems[problem].status == 503 || problems[problem].status == 429)
        MHD_add_response_header(response, "Retry-After", "1");
    return respond_queue(request, problems[problem].status, response);
}

enum MHD_Result respond_allow(struct request *request, bool allowed, const char *allow)
{
    struct MHD_Response *response = allowed ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                                            : problem_response(request, PROBLEM_method_not_allowed, allow);
    if (!response)
        return MHD_NO;
    if (allowed)
        respond_headers(response, false);
    MHD_add_response_header(response, "Allow", allow);
    return respond_queue(request, allowed ? MHD_HTTP_NO_CONTENT : MHD_HTTP_METHOD_NOT_ALLOWED, response);
}

static void etag_add(const struct request *request, struct MHD_Response *response, uint64_t seq)
{
    char etag[64];
    snprintf(etag, sizeof etag, "\"%s-%llu\"", request->api->start_id, (unsigned long long)seq);
    MHD_add_response_header(response, "ETag", etag);
}

enum MHD_Result respond_json(struct request *request, unsigned status, json_t *json, uint64_t etag_seq,
                             const char *location)
{
    struct MHD_Response *response = response_of(json, "application/json");
    if (!response)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    if (etag_seq)
        etag_add(request, response, etag_seq);
    if (location)
        MHD_add_response_header(response, "Location", location);
    return respond_queue(request, status, response);
}

/* The place of the key's body, or that of the one unused longest. Under bodies_lock. */
static struct body **body_place(struct api *api, const char *key)
{
    struct body **oldest = &api->bodies[0];
    for (size_t i = 0; i < BODIES_MAX; i++) {
        struct body **place = &api->bodies[i];
        if (!*place || !strcmp((*place)->key, key))
            return place;
        if ((*place)->used_ns < (*oldest)->used_ns)
            oldest = place;
    }
    return oldest;
}

/* A reference on the body for key and seq, where it is fresh enough. */
static struct body *body_find(struct api *api, const char *key, uint64_t seq)
{
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&api->bodies_lock);
    struct body *body = *body_place(api, key);
    if (body && (strcmp(body->key, key) || body->seq != seq || now - body->built_ns >= BODY_FRESH_NS))
        body = NULL;
    if (body) {
        body->used_ns = now;
        atomic_fetch_add(&body->references, 1);
    }
    pthread_mutex_unlock(&api->bodies_lock);
    return body;
}

/* Builds it and puts it in place of the older one; a reference, or NULL. */
static struct body *body_build(struct request *request, const char *key, uint64_t seq, body_fn make,
                               const void *arg)
{
    struct api *api = request->api;
    struct body *body = calloc(1, sizeof *body);
    if (!body)
        return NULL;
    body->response = response_of(make(request, arg), "application/json");
    if (!body->response) {
        free(body);
        return NULL;
    }
    etag_add(request, body->response, seq);
    body->seq = seq;
    body->built_ns = body->used_ns = clock_mono_ns();
    body->references = 2;
    snprintf(body->key, sizeof body->key, "%s", key);
    pthread_mutex_lock(&api->bodies_lock);
    struct body **place = body_place(api, key), *old = *place;
    *place = body;
    pthread_mutex_unlock(&api->bodies_lock);
    body_unref(old);
    return body;
}

static bool not_modified(const struct request *request, uint64_t seq)
{
    char etag[64];
    const char *given = MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, "If-None-Match");
    snprintf(etag, sizeof etag, "\"%s-%llu\"", request->api->start_id, (unsigned long long)seq);
    return given && (!strcmp(given, etag) || !strcmp(given, "*") ||
                     (!strncmp(given, "W/", 2) && !strcmp(given + 2, etag)));
}

enum MHD_Result respond_body(struct request *request, const char *key, uint64_t seq, body_fn make,
                             const void *arg)
{
    if (not_modified(request, seq)) {
        struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        if (!response)
            return MHD_NO;
        respond_headers(response, false);
        etag_add(request, response, seq);
        return respond_queue(request, MHD_HTTP_NOT_MODIFIED, response);
    }
    struct body *body = body_find(request->api, key, seq);
    if (!body && request->route->place == KEPT && !request->aside)
        return worker_take(request);
    if (!body)
        body = body_build(request, key, seq, make, arg);
    return body ? body_queue(request, body) : respond_problem(request, PROBLEM_internal, "out of memory");
}

void bodies_free(struct api *api)
{
    for (size_t i = 0; i < BODIES_MAX; i++)
        body_unref(api->bodies[i]);
}
