#include "api/credentials.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <nettle/version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/private.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define HASH_BYTES SHA256_DIGEST_SIZE
#define LINE_CHARS 192

struct kept {
    struct credential is; /* serial 0: free */
    uint8_t hash[HASH_BYTES];
};

struct credentials {
    pthread_mutex_t tokens_file_lock, sessions_file_lock; /* taken before `lock`, for a file is written without that */
    pthread_mutex_t lock; /* all below */
    char tokens_path[512], own_paths[2][512], sessions_path[512];
    char own[SECRET_CHARS], before[SECRET_CHARS]; /* before: until before_until_s */
    uint64_t own_serial, before_serial, last_serial;
    int64_t before_until_s;
    struct kept tokens[TOKENS_MAX], sessions[SESSIONS_MAX];
    uint64_t bad_second;
    unsigned bad_count;
};

static int64_t now_s(void)
{
    return (int64_t)(clock_wall_ns() / 1000000000u);
}

bool secret_make(char secret[SECRET_CHARS])
{
    unsigned char bytes[(SECRET_CHARS - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

bool secret_same(const char *known, const char *given)
{
    return strlen(given) == SECRET_CHARS - 1 && strlen(known) == SECRET_CHARS - 1 &&
           nettle_memeql_sec(known, given, SECRET_CHARS - 1);
}

static void hash_of(const char *secret, uint8_t hash[HASH_BYTES])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, strlen(secret), (const uint8_t *)secret);
    sha256_digest(&context, HASH_BYTES, hash);
}

static bool stands(const struct credential *credential)
{
    return credential->serial && (!credential->expires_s || credential->expires_s > now_s());
}

/* ---- files: a line each, NAME SCOPE HASH CREATED EXPIRES; a session's name is a part of its hash */

static const char *scope_word(unsigned scopes)
{
    return scopes & ADMIN ? "admin" : scopes & CONTROL ? "control" : "read";
}

unsigned credential_scopes(const char *word)
{
    return !strcmp(word, "admin")     ? READ | CONTROL | ADMIN
           : !strcmp(word, "control") ? READ | CONTROL
           : !strcmp(word, "read")    ? READ
                                      : 0;
}

/* Under the lock; returns the bytes. */
static size_t lines_make(const struct kept *kept, size_t count, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!kept[i].is.serial)
            continue;
        char hash[2 * HASH_BYTES + 1];
        for (size_t b = 0; b < HASH_BYTES; b++)
            snprintf(hash + 2 * b, 3, "%02x", kept[i].hash[b]);
        at += (size_t)snprintf(out + at, LINE_CHARS, "%s %s %s %lld %lld\n", kept[i].is.name,
                               scope_word(kept[i].is.scopes), hash, (long long)kept[i].is.created_s,
                               (long long)kept[i].is.expires_s);
    }
    return at;
}

static bool hash_read(const char *text, uint8_t hash[HASH_BYTES])
{
    if (strspn(text, "0123456789abcdef") != 2 * HASH_BYTES || text[2 * HASH_BYTES])
        return false;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        hash[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static bool line_read(const char *line, struct kept *kept)
{
    char scope[8], hash[2 * HASH_BYTES + 2];
    long long created, expires;
    int end = 0;
    _Static_assert(TOKEN_NAME_CHARS == 33 && HASH_BYTES == 32, "the widths below");
    if (sscanf(line, "%32[A-Za-z0-9._-] %7[a-z] %65[0-9a-f] %lld %lld%n", kept->is.name, scope, hash, &created, &expires,
               &end) != 5 || line[end] != '\n' || created < 0 || expires < 0)
        return false;
    kept->is.scopes = credential_scopes(scope);
    kept->is.created_s = created;
    kept->is.expires_s = expires;
    return kept->is.scopes && hash_read(hash, kept->hash);
}

static void file_load(struct credentials *credentials, const char *path, struct kept *table, size_t room, bool all)
{
    FILE *file = fopen(path, "re");
    char line[LINE_CHARS];
    size_t count = 0, wrong = 0;
    if (!file && errno != ENOENT)
        log_warn("%s: %s", path, strerror(errno));
    while (file && fgets(line, sizeof line, file)) {
        struct kept kept = {.is = {.serial = credentials->last_serial + 1}};
        if (!line_read(line, &kept) || count == room) {
            wrong++;
        } else if (all || stands(&kept.is)) {
            credentials->last_serial++;
            table[count++] = kept;
        }
    }
    if (wrong)
        log_warn("%s: %zu lines are none of ours", path, wrong);
    if (file)
        fclose(file);
}

static int file_save(struct credentials *credentials, const char *path, const struct kept *table, size_t count, bool sync)
{
    char *text = malloc(count * LINE_CHARS + 1);
    if (!text)
        return -ENOMEM;
    pthread_mutex_lock(&credentials->lock);
    size_t bytes = lines_make(table, count, text);
    pthread_mutex_unlock(&credentials->lock);
    int error = file_replace(path, text, bytes, 0600, sync);
    free(text);
    return error;
}

static int tokens_save(struct credentials *credentials)
{
    return file_save(credentials, credentials->tokens_path, credentials->tokens, TOKENS_MAX, true);
}

static void sessions_save(struct credentials *credentials)
{
    pthread_mutex_lock(&credentials->sessions_file_lock);
    int error = file_save(credentials, credentials->sessions_path, credentials->sessions, SESSIONS_MAX, false);
    pthread_mutex_unlock(&credentials->sessions_file_lock);
    if (error)
        log_warn("sessions are not kept over a restart: %s: %s", credentials->sessions_path, strerror(-error));
}

struct credentials *credentials_new(const char *state_dir, const char *runtime_dir, const char *sessions_path,
                                    const char *own)
{
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (!credentials)
        return NULL;
    pthread_mutex_init(&credentials->lock, NULL);
    pthread_mutex_init(&credentials->tokens_file_lock, NULL);
    pthread_mutex_init(&credentials->sessions_file_lock, NULL);
    snprintf(credentials->tokens_path, sizeof credentials->tokens_path, "%s/tokens", state_dir);
    snprintf(credentials->own_paths[0], sizeof credentials->own_paths[0], "%s/token", state_dir);
    snprintf(credentials->own_paths[1], sizeof credentials->own_paths[1], "%s/token", runtime_dir);
    snprintf(credentials->sessions_path, sizeof credentials->sessions_path, "%s", sessions_path);
    snprintf(credentials->own, sizeof credentials->own, "%s", own);
    credentials->own_serial = credentials->last_serial = 1;
    file_load(credentials, credentials->tokens_path, credentials->tokens, TOKENS_MAX, true);
    file_load(credentials, credentials->sessions_path, credentials->sessions, SESSIONS_MAX, false);
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials)
        return;
    pthread_mutex_destroy(&credentials->lock);
    pthread_mutex_destroy(&credentials->tokens_file_lock);
    pthread_mutex_destroy(&credentials->sessions_file_lock);
    explicit_bzero(credentials, sizeof *credentials);
    free(credentials);
}

/* ---- looking */

/* Every row is compared, so that the time tells nothing of which one it is. */
static struct kept *find(struct kept *table, size_t count, const uint8_t hash[HASH_BYTES])
{
    struct kept *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (nettle_memeql_sec(table[i].hash, hash, HASH_BYTES) && stands(&table[i].is))
            found = &table[i];
    return found;
}

static unsigned own_check(const struct credentials *credentials, const char *secret, uint64_t *serial)
{
    bool is = secret_same(credentials->own, secret);
    bool was = credentials->before_until_s && secret_same(credentials->before, secret) && now_s() < credentials->before_until_s;
    *serial = is ? credentials->own_serial : credentials->before_serial;
    return is || was ? READ | CONTROL | ADMIN : 0;
}

unsigned credentials_check(struct credentials *credentials, const char *secret, char *who, size_t who_bytes,
                           uint64_t *serial)
{
    uint8_t hash[HASH_BYTES];
    if (strlen(secret) != SECRET_CHARS - 1)
        return 0;
    pthread_mutex_lock(&credentials->lock);
    unsigned scopes = own_check(credentials, secret, serial);
    if (scopes) {
        memcpy(who, "token", sizeof "token");
    } else {
        hash_of(secret, hash);
        struct kept *token = find(credentials->tokens, TOKENS_MAX, hash);
        struct kept *session = find(credentials->sessions, SESSIONS_MAX, hash), *found = token ? token : session;
        if (found) {
            snprintf(who, who_bytes, "%s %s", token ? "token" : "session", found->is.name);
            found->is.used_s = now_s();
            *serial = found->is.serial;
            scopes = found->is.scopes;
        }
    }
    pthread_mutex_unlock(&credentials->lock);
    return scopes;
}

static bool table_stands(const struct kept *table, size_t count, uint64_t serial)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].is.serial == serial)
            return stands(&table[i].is);
    return false;
}

bool credentials_stand(struct credentials *credentials, uint64_t serial)
{
    pthread_mutex_lock(&credentials->lock);
    bool still = serial == credentials->own_serial ||
                 (serial == credentials->before_serial && now_s() < credentials->before_until_s) ||
                 table_stands(credentials->tokens, TOKENS_MAX, serial) ||
                 table_stands(credentials->sessions, SESSIONS_MAX, serial);
    pthread_mutex_unlock(&credentials->lock);
    return still;
}

bool credentials_bad(struct credentials *credentials)
{
    uint64_t second = clock_mono_ns() / 1000000000u;
    pthread_mutex_lock(&credentials->lock);
    if (second != credentials->bad_second)
        credentials->bad_count = 0;
    credentials->bad_second = second;
    bool many = ++credentials->bad_count > BAD_TOKENS_A_SECOND;
    pthread_mutex_unlock(&credentials->lock);
    return many;
}

size_t credentials_list(struct credentials *credentials, struct credential tokens[TOKENS_MAX], size_t *sessions)
{
    size_t count = 0;
    *sessions = 0;
    pthread_mutex_lock(&credentials->lock);
    for (size_t i = 0; i < TOKENS_MAX; i++)
        if (credentials->tokens[i].is.serial)
            tokens[count++] = credentials->tokens[i].is;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        *sessions += stands(&credentials->sessions[i].is);
    pthread_mutex_unlock(&credentials->lock);
    return count;
}

/* ---- changing */

static struct kept *by_name(struct credentials *credentials, const char *name)
{
    for (size_t i = 0; i < TOKENS_MAX; i++)
        if (credentials->tokens[i].is.serial && !strcmp(credentials->tokens[i].is.name, name))
            return &credentials->tokens[i];
    return NULL;
}

/* Rows stand in the order in which they were made, without gaps. */
static void take_out(struct credentials *credentials, struct kept *token)
{
    struct kept *last = &credentials->tokens[TOKENS_MAX - 1];
    memmove(token, token + 1, (size_t)((char *)last - (char *)token));
    *last = (struct kept){.is = {.serial = 0}};
}

static int put_in(struct credentials *credentials, struct kept *kept)
{
    int error = 0;
    size_t at = 0;
    pthread_mutex_lock(&credentials->lock);
    while (at < TOKENS_MAX && credentials->tokens[at].is.serial)
        at++;
    if (by_name(credentials, kept->is.name))
        error = -EEXIST;
    else if (at == TOKENS_MAX)
        error = -EDQUOT;
    kept->is.serial = ++credentials->last_serial;
    if (!error)
        credentials->tokens[at] = *kept;
    pthread_mutex_unlock(&credentials->lock);
    return error;
}

static int pull_out(struct credentials *credentials, const char *name, struct credential *removed)
{
    pthread_mutex_lock(&credentials->lock);
    struct kept *token = by_name(credentials, name);
    if (token && removed)
        *removed = token->is;
    if (token)
        take_out(credentials, token);
    pthread_mutex_unlock(&credentials->lock);
    return token ? 0 : -ENOENT;
}

int credentials_add(struct credentials *credentials, const char *name, unsigned scopes, int64_t expires_s,
                    char secret[SECRET_CHARS], struct credential *added)
{
    struct kept kept = {.is = {.scopes = scopes, .created_s = now_s(), .expires_s = expires_s}};
    snprintf(kept.is.name, sizeof kept.is.name, "%s", name);
    if (!secret_make(secret))
        return -EIO;
    hash_of(secret, kept.hash);
    pthread_mutex_lock(&credentials->tokens_file_lock);
    int error = put_in(credentials, &kept);
    if (!error && (error = tokens_save(credentials)))
        pull_out(credentials, name, NULL);
    pthread_mutex_unlock(&credentials->tokens_file_lock);
    *added = kept.is;
    return error;
}

int credentials_remove(struct credentials *credentials, const char *name, struct credential *removed)
{
    pthread_mutex_lock(&credentials->tokens_file_lock);
    int error = pull_out(credentials, name, removed);
    if (!error)
        error = tokens_save(credentials);
    pthread_mutex_unlock(&credentials->tokens_file_lock);
    return error;
}

static int own_write(const char *path, const char *secret)
{
    char line[SECRET_CHARS + 1];
    int length = snprintf(line, sizeof line, "%s\n", secret);
    return file_replace(path, line, (size_t)length, 0600, true);
}

int credentials_rotate(struct credentials *credentials)
{
    char secret[SECRET_CHARS];
    if (!secret_make(secret))
        return -EIO;
    pthread_mutex_lock(&credentials->tokens_file_lock);
    int error = own_write(credentials->own_paths[0], secret);
    if (!error && (error = own_write(credentials->own_paths[1], secret)))
        own_write(credentials->own_paths[0], credentials->own); /* as well as it goes */
    pthread_mutex_lock(&credentials->lock);
    if (!error) {
        memcpy(credentials->before, credentials->own, SECRET_CHARS);
        memcpy(credentials->own, secret, SECRET_CHARS);
        credentials->before_serial = credentials->own_serial;
        credentials->before_until_s = now_s() + ROTATION_GRACE_S;
        credentials->own_serial = ++credentials->last_serial;
        memset(credentials->sessions, 0, sizeof credentials->sessions);
    }
    pthread_mutex_unlock(&credentials->lock);
    pthread_mutex_unlock(&credentials->tokens_file_lock);
    if (!error)
        sessions_save(credentials);
    return error;
}

int credentials_session(struct credentials *credentials, char secret[SECRET_CHARS], struct credential *added)
{
    struct kept kept = {.is = {.scopes = READ | CONTROL, .created_s = now_s(), .expires_s = now_s() + SESSION_S}};
    if (!secret_make(secret))
        return -EIO;
    hash_of(secret, kept.hash);
    for (size_t i = 0; i < 4; i++)
        snprintf(kept.is.name + 2 * i, 3, "%02x", kept.hash[i]);
    pthread_mutex_lock(&credentials->lock);
    struct kept *oldest = &credentials->sessions[0];
    for (size_t i = 1; i < SESSIONS_MAX; i++)
        if (credentials->sessions[i].is.expires_s < oldest->is.expires_s)
            oldest = &credentials->sessions[i];
    kept.is.serial = ++credentials->last_serial;
    *oldest = kept;
    pthread_mutex_unlock(&credentials->lock);
    sessions_save(credentials);
    *added = kept.is;
    return 0;
}

const char *credentials_library(void)
{
    static _Thread_local char text[16];
    snprintf(text, sizeof text, "%d.%d", nettle_version_major(), nettle_version_minor());
    return text;
}
