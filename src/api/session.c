/* Login: a code, minted on the Unix socket, is good once and for a minute; it buys a session token, which the
 * page sends with every request. Session tokens survive a restart in a file beside the daemon's own token. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"

static bool random_hex(char out[TOKEN_CHARS])
{
    unsigned char bytes[(TOKEN_CHARS - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* Takes the same time wherever the first difference stands. */
static bool same(const char *known, const char *given)
{
    unsigned char difference = strlen(known) != strlen(given);
    size_t length = strlen(given);
    for (size_t i = 0; i < TOKEN_CHARS - 1; i++)
        difference |= (unsigned char)(known[i] ^ (i < length ? given[i] : 0));
    return !difference;
}

static int64_t now_s(void)
{
    return (int64_t)(clock_wall_ns() / 1000000000u);
}

/* Written whole under another name, then renamed. Under the lock. */
static int sessions_save(const struct api *api)
{
    char path[sizeof api->sessions_path + 8];
    snprintf(path, sizeof path, "%s.new", api->sessions_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return -error;
    }
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (api->sessions[i].expires_s > now_s())
            fprintf(file, "%s %lld\n", api->sessions[i].token, (long long)api->sessions[i].expires_s);
    bool failed = ferror(file);
    failed |= fclose(file) != 0;
    return failed || rename(path, api->sessions_path) ? -EIO : 0;
}

/* A line that is none of ours is passed over: the worst is a new login. */
int sessions_load(struct api *api)
{
    FILE *file = fopen(api->sessions_path, "re");
    char line[256];
    size_t count = 0;
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    while (count < SESSIONS_MAX && fgets(line, sizeof line, file)) {
        size_t length = strspn(line, "0123456789abcdef");
        char *end;
        long long expires = strtoll(line + length, &end, 10);
        if (length != TOKEN_CHARS - 1 || line[length] != ' ' || expires <= now_s())
            continue;
        line[length] = '\0';
        memcpy(api->sessions[count].token, line, TOKEN_CHARS);
        api->sessions[count++].expires_s = expires;
    }
    fclose(file);
    return 0;
}

unsigned session_scopes(struct api *api, const char *token, char *who, size_t who_bytes)
{
    unsigned scopes = 0;
    if (same(api->token, token)) {
        snprintf(who, who_bytes, "token");
        return READ | CONTROL | ADMIN;
    }
    pthread_mutex_lock(&api->lock);
    for (size_t i = 0; i < SESSIONS_MAX && !scopes; i++)
        if (api->sessions[i].expires_s > now_s() && same(api->sessions[i].token, token)) {
            snprintf(who, who_bytes, "session %.8s", api->sessions[i].token);
            scopes = READ | CONTROL;
        }
    pthread_mutex_unlock(&api->lock);
    return scopes;
}

/* The session that ends first makes room, so that an old browser's leftovers never lock anybody out. */
static bool session_new(struct api *api, char token[TOKEN_CHARS])
{
    struct session *oldest = &api->sessions[0];
    for (size_t i = 1; i < SESSIONS_MAX; i++)
        if (api->sessions[i].expires_s < oldest->expires_s)
            oldest = &api->sessions[i];
    if (!random_hex(token))
        return false;
    memcpy(oldest->token, token, TOKEN_CHARS);
    oldest->expires_s = now_s() + SESSION_S;
    int error = sessions_save(api);
    if (error)
        log_warn("sessions are not kept over a restart: %s: %s", api->sessions_path, strerror(-error));
    return true;
}

static bool code_new(struct api *api, char code[TOKEN_CHARS])
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < CODES_MAX; i++) {
        if (api->codes[i].expires_ns > now)
            continue;
        if (!random_hex(code))
            return false;
        memcpy(api->codes[i].code, code, TOKEN_CHARS);
        api->codes[i].expires_ns = now + CODE_NS;
        return true;
    }
    return false;
}

static bool code_take(struct api *api, const char *code)
{
    uint64_t now = clock_mono_ns();
    for (size_t i = 0; i < CODES_MAX; i++)
        if (api->codes[i].expires_ns > now && same(api->codes[i].code, code)) {
            api->codes[i].expires_ns = 0;
            return true;
        }
    return false;
}

static enum MHD_Result mint(struct request *request)
{
    struct api *api = request->api;
    char code[TOKEN_CHARS], url[400];
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
    char token[TOKEN_CHARS];
    pthread_mutex_lock(&api->lock);
    bool known = code_take(api, code);
    bool made = known && session_new(api, token);
    pthread_mutex_unlock(&api->lock);
    if (!known)
        asked_once(request, "login", "", "refused", problem_code(PROBLEM_unauthorized));
    if (!known)
        return respond_problem(request, PROBLEM_unauthorized,
                               "the login code is unknown, used or older than 60 s");
    if (!made)
        return respond_problem(request, PROBLEM_internal, "no session could be made");
    char session[24];
    snprintf(session, sizeof session, "session %.8s", token);
    asked_once(request, "login", session, "done", "");
    return respond_json(request, MHD_HTTP_OK,
                        json_pack("{s:s, s:[s, s]}", "token", token, "scopes", "read", "control"), 0, NULL);
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
