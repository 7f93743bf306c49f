/* Named tokens, and the daemon's own. */
#include <errno.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"

static json_t *time_or_null(int64_t seconds)
{
    return seconds ? view_time((uint64_t)seconds * 1000000000u) : json_null();
}

json_t *scopes_view(unsigned scopes)
{
    json_t *list = json_array();
    static const struct { unsigned bit; const char *word; } rows[] = {{READ, "read"}, {CONTROL, "control"}, {ADMIN, "admin"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (scopes & rows[i].bit)
            json_array_append_new(list, json_string(rows[i].word));
    return list;
}

static json_t *token_view(const struct credential *token)
{
    int64_t now = (int64_t)(clock_wall_ns() / 1000000000u);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "name", token->name, "scopes", scopes_view(token->scopes),
                     "created_at", time_or_null(token->created_s), "expires_at", time_or_null(token->expires_s),
                     "used_at", time_or_null(token->used_s), "expired", token->expires_s && token->expires_s <= now);
}

enum MHD_Result api_tokens(struct request *request)
{
    struct credential tokens[TOKENS_MAX];
    size_t sessions, count = credentials_list(request->api->credentials, tokens, &sessions);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, token_view(&tokens[i]));
    return respond_json(request, MHD_HTTP_OK, json_pack("{s:o, s:I}", "tokens", list, "sessions", (json_int_t)sessions), 0,
                        NULL);
}

enum MHD_Result api_token(struct request *request)
{
    struct credential tokens[TOKENS_MAX];
    size_t sessions, count = credentials_list(request->api->credentials, tokens, &sessions);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(tokens[i].name, request_segment(request, "{token}")))
            return respond_json(request, MHD_HTTP_OK, token_view(&tokens[i]), 0, NULL);
    return respond_problem(request, PROBLEM_no_such_token, NULL);
}

static enum MHD_Result refuse(struct request *request, const char *kind, const char *name, enum problem problem,
                              const char *detail)
{
    asked_once(request, kind, name, "refused", problem_code(problem));
    return respond_problem(request, problem, detail);
}

enum MHD_Result api_token_create(struct request *request)
{
    const char *name = json_string_value(json_object_get(request->json, "name"));
    const char *scope = json_string_value(json_object_get(request->json, "scope"));
    json_int_t expires = json_integer_value(json_object_get(request->json, "expires_in_s"));
    char secret[SECRET_CHARS], location[64];
    struct credential added;
    int error = credentials_add(request->api->credentials, name, credential_scopes(scope),
                                expires ? (int64_t)(clock_wall_ns() / 1000000000u) + expires : 0, secret, &added);
    if (error)
        return refuse(request, "token_create", name,
                      error == -EEXIST   ? PROBLEM_token_exists
                      : error == -EDQUOT ? PROBLEM_too_many_tokens
                                         : PROBLEM_internal,
                      error == -EEXIST || error == -EDQUOT ? NULL : strerror(-error));
    asked_once(request, "token_create", name, "done", "");
    json_t *json = token_view(&added);
    if (json)
        json_object_set_new(json, "token", json_string(secret));
    explicit_bzero(secret, sizeof secret);
    snprintf(location, sizeof location, "/v1/tokens/%s", name);
    return respond_json(request, MHD_HTTP_CREATED, json, 0, location);
}

enum MHD_Result api_token_revoke(struct request *request)
{
    const char *name = request_segment(request, "{token}");
    struct credential removed;
    int error = credentials_remove(request->api->credentials, name, &removed);
    if (error == -ENOENT)
        return refuse(request, "token_revoke", name, PROBLEM_no_such_token, NULL);
    streams_judge(request->api);
    downloads_judge(request->api);
    asked_once(request, "token_revoke", name, "done", "");
    if (error)
        return respond_problem(request, PROBLEM_internal, "revoked until a restart: the file could not be written");
    return respond_json(request, MHD_HTTP_OK, token_view(&removed), 0, NULL);
}

enum MHD_Result api_token_rotate(struct request *request)
{
    int error = credentials_rotate(request->api->credentials);
    if (error)
        return refuse(request, "token_rotate", "", PROBLEM_internal, strerror(-error));
    streams_judge(request->api);
    downloads_judge(request->api);
    asked_once(request, "token_rotate", "", "done", "");
    return respond_json(request, MHD_HTTP_OK, json_pack("{s:i}", "old_valid_s", ROTATION_GRACE_S), 0, NULL);
}
