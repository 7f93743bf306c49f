#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/utf8.h"
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

#define BARE_POLICY "default-src 'none'; frame-ancestors 'none'"
#define PAGE_POLICY \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

void respond_headers(struct MHD_Response *response, bool page)
{
    MHD_add_response_header(response, "Cache-Control", page ? "no-cache" : "no-store");
    MHD_add_response_header(response, "Content-Security-Policy", page ? PAGE_POLICY : BARE_POLICY);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
}

static enum MHD_Result queue(struct request *request, unsigned status, struct MHD_Response *response)
{
    char path[256];
    if (log_shows(LOG_LEVEL_DEBUG))
        log_debug("%u to %s: %s", status, request->who, asked_path(request, path, sizeof path));
    answers_count(request, status);
    repeat_note(request);
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

void answer_drop(struct answer *answer)
{
    if (answer->response)
        MHD_destroy_response(answer->response);
    body_unref(answer->body);
    *answer = (struct answer){.response = NULL};
}

enum MHD_Result respond_answer(struct request *request)
{
    struct answer *answer = &request->answer;
    struct MHD_Response *response = answer->body ? body_response(answer->body, answer->status) : answer->response;
    enum MHD_Result result = response ? queue(request, answer->status, response) : MHD_NO;
    answer_drop(answer);
    return result;
}

/* ---- problems */

#define SUBJECT_BYTES 100 /* of what is named in a sentence */

/* How long until it is worth while to ask again; 0: it says nothing of that. */
static unsigned retry_ms(enum problem problem)
{
    unsigned status = problems[problem].status;
    return status == 429 || status == 503 ? 1000 : 0;
}

/* What the path names that a problem is about; NULL: nothing, or it names none such. */
static const char *subject_of(const struct request *request, enum problem problem)
{
    static const struct { enum problem problem; const char *segment; } subjects[] = {
        {PROBLEM_no_such_process, "{id}"},   {PROBLEM_ambiguous_process, "{id}"},      {PROBLEM_no_such_heap, "{n}"},
        {PROBLEM_no_such_entry, "{index}"},  {PROBLEM_no_such_operation, "{op}"},      {PROBLEM_no_such_artifact, "{a}"},
        {PROBLEM_no_such_object, "{o}"},     {PROBLEM_no_such_baseline, "{baseline}"}, {PROBLEM_no_such_rule, "{rule}"},
        {PROBLEM_no_such_token, "{token}"}};
    for (size_t i = 0; request->route && i < sizeof subjects / sizeof *subjects; i++)
        if (subjects[i].problem == problem)
            return request_segment(request, subjects[i].segment);
    return NULL;
}

/* The document as RFC 9457 has it, and our own members; instance is the path that was asked for. */
static json_t *problem_json(const struct request *request, enum problem problem, const char *detail)
{
    char path[256], named[DETAIL_BYTES];
    const char *subject = detail ? NULL : subject_of(request, problem);
    if (subject) {
        snprintf(named, sizeof named, "%s: %.*s", problems[problem].title, utf8_cut(subject, SUBJECT_BYTES), subject);
        detail = named;
    }
    snprintf(path, sizeof path, "%.*s", (int)strcspn(request->target, "?"), request->target);
    for (char *at = path; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
            *at = '?';
    if (!detail || !*detail || !wire_text_valid(detail, strlen(detail)))
        detail = problems[problem].title;
    json_t *json = json_pack("{s:s+, s:s, s:i, s:s, s:s, s:s}", "type", "/problems/", problems[problem].code, "title",
                             problems[problem].title, "status", (int)problems[problem].status, "detail", detail,
                             "instance", path, "code", problems[problem].code);
    if (json && retry_ms(problem))
        json_object_set_new(json, "retry_after_ms", json_integer(retry_ms(problem)));
    if (json && problem == PROBLEM_bad_value && *request->fault.parameter)
        json_object_set_new(json, "parameter", json_string(request->fault.parameter));
    if (json && problem == PROBLEM_bad_value && *request->fault.pointer)
        json_object_set_new(json, "pointer", json_string(request->fault.pointer));
    return json;
}

/* Steals json. */
static struct MHD_Response *problem_response(const struct request *request, enum problem problem, json_t *json)
{
    char seconds[16];
    struct MHD_Response *response =
        represent(request, json, (struct form){.lines = false}, "application/problem+json", NULL, NULL);
    if (response && problem == PROBLEM_unauthorized)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"tally\"");
    snprintf(seconds, sizeof seconds, "%u", (retry_ms(problem) + 999) / 1000);
    if (response && retry_ms(problem))
        MHD_add_response_header(response, "Retry-After", seconds);
    return response;
}

enum MHD_Result respond_problem(struct request *request, enum problem problem, const char *detail)
{
    return respond_problem_with(request, problem, detail, NULL);
}

enum MHD_Result respond_problem_with(struct request *request, enum problem problem, const char *detail, json_t *members)
{
    json_t *json = problem_json(request, problem, detail);
    if (members)
        json_object_update(json, members);
    json_decref(members);
    return respond_queue(request, problems[problem].status, problem_response(request, problem, json));
}

enum MHD_Result respond_unknown(struct request *request, enum problem problem, const char *what)
{
    char detail[DETAIL_BYTES];
    snprintf(detail, sizeof detail, "%s: %.*s", problems[problem].title, utf8_cut(what, SUBJECT_BYTES), what);
    return respond_problem(request, problem, detail);
}

enum MHD_Result respond_fault(struct request *request, const char *parameter, const char *pointer, const char *detail)
{
    snprintf(request->fault.parameter, sizeof request->fault.parameter, "%s", parameter ? parameter : "");
    snprintf(request->fault.pointer, sizeof request->fault.pointer, "%s", pointer ? pointer : "");
    return respond_problem(request, PROBLEM_bad_value, detail);
}

enum MHD_Result respond_gone(struct request *request, enum problem problem, const char *process)
{
    char path[64], link[96], detail[DETAIL_BYTES];
    snprintf(path, sizeof path, "/v1/processes/%s", process);
    snprintf(link, sizeof link, "<%s>; rel=\"related\"", path);
    snprintf(detail, sizeof detail, "what is still known of it, and how it ended, is at GET %s", path);
    json_t *json = problem_json(request, problem, detail);
    json_object_set_new(json, "post_mortem", json_string(path));
    struct MHD_Response *response = problem_response(request, problem, json);
    if (response)
        MHD_add_response_header(response, "Link", link);
    return respond_queue(request, problems[problem].status, response);
}

enum MHD_Result respond_allow(struct request *request, bool allowed, const char *allow)
{
    enum problem problem = PROBLEM_method_not_allowed;
    char detail[DETAIL_BYTES];
    snprintf(detail, sizeof detail, "allowed here: %s", allow);
    struct MHD_Response *response =
        allowed ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
                : problem_response(request, problem, problem_json(request, problem, detail));
    if (!response)
        return MHD_NO;
    if (allowed)
        respond_headers(response, false);
    MHD_add_response_header(response, "Allow", allow);
    return respond_queue(request, allowed ? MHD_HTTP_NO_CONTENT : MHD_HTTP_METHOD_NOT_ALLOWED, response);
}

/* ---- answers that are made for one request */

static ssize_t no_body(void *arg, uint64_t position, char *out, size_t room)
{
    (void)arg, (void)position, (void)out, (void)room;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

struct MHD_Response *head_new(void)
{
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, no_body, NULL, NULL);
    /* Else libmicrohttpd 0.9.75 sends the last chunk behind the header, where the next answer has to begin. */
    if (response && MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END) != MHD_YES) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

enum MHD_Result respond_head(struct request *request, const char *type)
{
    struct MHD_Response *response = head_new();
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", form_of(request).lines ? "application/x-ndjson" : type);
    respond_headers(response, false);
    return respond_queue(request, MHD_HTTP_OK, response);
}

struct MHD_Response *unmodified_new(const char *etag)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return NULL;
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Vary", "Accept, Accept-Encoding"); /* as the 200 (RFC 9110, 15.4.5) */
    MHD_add_response_header(response, "ETag", etag);
    return response;
}

/* By hand: every request for a view that did not change comes by here. */
static char *tag_add(char *at, uint64_t number)
{
    *at = '-';
    return at + 1 + text_digits(at + 1, number);
}

void etag_write(char out[ETAG_BYTES], const char *start, uint64_t seq, uint64_t since, bool lines)
{
    char *at = out;
    *at++ = '"';
    while (*start && at < out + ETAG_BYTES - 2 * sizeof "-18446744073709551615" - sizeof "-l\"")
        *at++ = *start++;
    at = tag_add(at, seq);
    if (since)
        at = tag_add(at, since);
    if (lines) {
        *at++ = '-';
        *at++ = 'l';
    }
    *at++ = '"';
    *at = '\0';
}

static int hash_add(const char *text, size_t bytes, void *context)
{
    sha256_update(context, bytes, (const uint8_t *)text);
    return 0;
}

/* Of all that it says, but for when it was said. */
static uint64_t content_hash(const json_t *json)
{
    struct sha256_ctx context;
    uint64_t hash;
    sha256_init(&context);
    json_t *rest = json_copy((json_t *)(uintptr_t)json);
    json_object_del(rest, "as_of");
    json_object_del(rest, "as_of_mono_ns");
    json_object_del(rest, "uptime_ns");
    json_dump_callback(rest, hash_add, &context, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(rest);
    sha256_digest(&context, sizeof hash, (uint8_t *)&hash);
    return hash;
}

/* The tag of what is asked for by GET; "" of other answers. */
static void etag_of(const struct request *request, unsigned status, const json_t *json, uint64_t seq, char etag[ETAG_BYTES])
{
    *etag = '\0';
    if (seq)
        etag_write(etag, request->api->start_id, seq, 0, form_of(request).lines);
    else if (json && status == MHD_HTTP_OK && request->route && !strcmp(request->route->method, "GET"))
        snprintf(etag, ETAG_BYTES, "\"%s-%016llx%s\"", request->api->start_id, (unsigned long long)content_hash(json),
                 form_of(request).lines ? "-l" : "");
}

enum MHD_Result respond_json(struct request *request, unsigned status, json_t *json, uint64_t etag_seq,
                             const char *location)
{
    char etag[ETAG_BYTES];
    etag_of(request, status, json, etag_seq, etag);
    bool asked = request->route && !strcmp(request->route->method, "GET"); /* a change that was made is no 304 */
    if (asked && *etag && etag_listed(request->headers[HEADER_KNOWN], etag)) {
        json_decref(json);
        return respond_queue(request, MHD_HTTP_NOT_MODIFIED, unmodified_new(etag));
    }
    struct MHD_Response *response =
        represent(request, json, form_of(request), "application/json", *etag ? etag : NULL, NULL);
    if (!response)
        return respond_problem(request, PROBLEM_internal, "out of memory");
    if (location)
        MHD_add_response_header(response, "Location", location);
    return respond_queue(request, status, response);
}
