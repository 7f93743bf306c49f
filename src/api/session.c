/* Login: a code, minted on the Unix socket, is good once and for a minute; it buys a session token, which the
 * page sends with every request. */
#include <stdio.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"

static bool code_new(struct api *api, char code[SECRET_CHARS])
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < CODES_MAX; i++) {
        if (api->codes[i].expires_ns > now)
            continue;
        if (!secret_make(code))
            return false;
        memcpy(api->codes[i].code, code, SECRET_CHARS);
        api->codes[i].expires_ns = now + CODE_NS;
        return true;
    }
    return false;
}

static bool code_take(struct api *api, const char *code)
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < CODES_MAX; i++)
        if (api->codes[i].expires_ns > now && secret_same(api->codes[i].code, code)) {
            api->codes[i].expires_ns = 0;
            return true;
        }
    return false;
}

static enum MHD_Result mint(struct request *request)
{
    struct api *api = request->api;
    char code[SECRET_CHARS], url[400];
    pthread_mutex_lock(&api->lock);
    bool made = code_new(api, code);
    pthread_mutex_unlock(&api->lock);
    if (!made)
        return respond_problem(request, PROBLEM_too_many_sessions, NULL);
    snprintf(url, sizeof url, "http://%s/#login=%s", *api->public_host ? api->public_host : api->tcp_address,
             code);
    asked_once(request, "login_code", "", "done", "");
    return respond_json(request, MHD_HTTP_CREATED,
                        json_pack("{s:s, s:i, s:s}", "code", code, "expires_in_s", 60, "url", url), 0, NULL);
}

static enum MHD_Result exchange(struct request *request, const char *code)
{
    struct api *api = request->api;
    char secret[SECRET_CHARS], session[48];
    struct credential added;
    pthread_mutex_lock(&api->lock);
    bool known = code_take(api, code);
    pthread_mutex_unlock(&api->lock);
    if (!known) {
        asked_once(request, "login", "", "refused", problem_code(PROBLEM_unauthorized));
        if (credentials_bad(api->credentials))
            return respond_problem(request, PROBLEM_too_many_attempts, NULL);
        return respond_problem(request, PROBLEM_unauthorized, "the login code is unknown, used or older than 60 s");
    }
    if (credentials_session(api->credentials, secret, &added))
        return respond_problem(request, PROBLEM_internal, "no session could be made");
    snprintf(session, sizeof session, "session %s", added.name);
    asked_once(request, "login", session, "done", "");
    return respond_json(request, MHD_HTTP_OK,
                        json_pack("{s:s, s:[s, s]}", "token", secret, "scopes", "read", "control"), 0, NULL);
}

enum MHD_Result api_session(struct request *request)
{
    const char *code = json_string_value(json_object_get(request->json, "code"));
    if (code)
        return exchange(request, code);
    if (request->connection->is_unix)
        return mint(request);
    return respond_problem(request, PROBLEM_bad_value, "the body must be {\"code\": \"...\"}");
}

/* What every request is held against, so that a page need not try what it may not do. */
enum MHD_Result api_session_own(struct request *request)
{
    bool off = guard_read_only(request);
    return respond_json(request, MHD_HTTP_OK,
                        json_pack("{s:s, s:o, s:b}", "who", request->who, "scopes",
                                  scopes_view(off ? request->scopes & READ : request->scopes), "remote_control_off", off),
                        0, NULL);
}
