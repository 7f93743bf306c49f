/* Tokens, sessions and the daemon's own: what they allow and until when, and what their files hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/private.h"

#define OWN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct world {
    char folder[40], sessions[64], tokens[64], own[64];
    struct credentials *credentials;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/tally-credentials-XXXXXX");
    *state = world;
    if (!mkdtemp(world->folder))
        return -1;
    snprintf(world->sessions, sizeof world->sessions, "%s/sessions", world->folder);
    snprintf(world->tokens, sizeof world->tokens, "%s/tokens", world->folder);
    snprintf(world->own, sizeof world->own, "%s/token", world->folder);
    world->credentials = credentials_new(world->folder, world->folder, world->sessions, OWN);
    return !world->credentials;
}

static int stop(void **state)
{
    struct world *world = *state;
    credentials_free(world->credentials);
    unlink(world->sessions);
    unlink(world->tokens);
    unlink(world->own);
    int left = rmdir(world->folder);
    free(world);
    return left;
}

static void restart(struct world *world)
{
    credentials_free(world->credentials);
    world->credentials = credentials_new(world->folder, world->folder, world->sessions, OWN);
    assert_non_null(world->credentials);
}

static unsigned allows(struct world *world, const char *secret, char who[64], uint64_t *serial)
{
    *who = '\0';
    return credentials_check(world->credentials, secret, who, 64, serial);
}

static void read_all(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, room - 1, file)] = '\0';
    fclose(file);
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_the_own_token(void **state)
{
    char who[64];
    uint64_t serial;
    assert_int_equal(allows(*state, OWN, who, &serial), READ | CONTROL | ADMIN);
    assert_string_equal(who, "token");
    static const char *const bad[] = {"", "0", OWN "0", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeefe",
                                      "10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(allows(*state, bad[i], who, &serial), 0);
}

/* They are good over a restart, and the file tells nobody what they are. */
static void test_named_tokens(void **state)
{
    struct world *world = *state;
    char secret[SECRET_CHARS], other[SECRET_CHARS], who[64], text[1024];
    struct credential added;
    struct stat status;
    uint64_t serial;
    assert_int_equal(credentials_add(world->credentials, "prom", READ, 0, secret, &added), 0);
    assert_int_equal(credentials_add(world->credentials, "prom", READ, 0, other, &added), -EEXIST);
    assert_int_equal(credentials_add(world->credentials, "ops", READ | CONTROL | ADMIN, 0, other, &added), 0);
    assert_int_equal(strspn(secret, "0123456789abcdef"), 64);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(allows(world, secret, who, &serial), READ);
        assert_string_equal(who, "token prom");
        assert_int_equal(allows(world, other, who, &serial), READ | CONTROL | ADMIN);
        assert_true(credentials_stand(world->credentials, serial));
        restart(world);
    }
    read_all(world->tokens, text, sizeof text);
    assert_null(strstr(text, secret));
    assert_null(strstr(text, other));
    assert_int_equal(stat(world->tokens, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    struct credential tokens[TOKENS_MAX];
    size_t sessions;
    assert_int_equal(credentials_list(world->credentials, tokens, &sessions), 2);
    assert_string_equal(tokens[0].name, "prom");
    assert_string_equal(tokens[1].name, "ops");
}

static void test_revoking(void **state)
{
    struct world *world = *state;
    char secret[SECRET_CHARS], who[64];
    struct credential added;
    uint64_t serial;
    assert_int_equal(credentials_add(world->credentials, "a", READ, 0, secret, &added), 0);
    assert_int_equal(allows(world, secret, who, &serial), READ);
    assert_int_equal(credentials_remove(world->credentials, "a", &added), 0);
    assert_false(credentials_stand(world->credentials, serial));
    assert_int_equal(credentials_remove(world->credentials, "a", &added), -ENOENT);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(allows(world, secret, who, &serial), 0);
        restart(world);
    }
}

static void test_expiry(void **state)
{
    struct world *world = *state;
    char secret[SECRET_CHARS], who[64];
    struct credential added;
    uint64_t serial;
    assert_int_equal(credentials_add(world->credentials, "short", READ, time(NULL) + 2, secret, &added), 0);
    assert_int_equal(allows(world, secret, who, &serial), READ);
    for (int i = 0; i < 40 && credentials_stand(world->credentials, serial); i++)
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    assert_false(credentials_stand(world->credentials, serial));
    assert_int_equal(allows(world, secret, who, &serial), 0);
}

static void test_there_are_only_so_many(void **state)
{
    struct world *world = *state;
    char secret[SECRET_CHARS], name[16];
    struct credential added;
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        snprintf(name, sizeof name, "t%u", i);
        assert_int_equal(credentials_add(world->credentials, name, READ, 0, secret, &added), 0);
    }
    assert_int_equal(credentials_add(world->credentials, "more", READ, 0, secret, &added), -EDQUOT);
    assert_int_equal(credentials_remove(world->credentials, "t7", &added), 0);
    assert_int_equal(credentials_add(world->credentials, "more", READ, 0, secret, &added), 0);
}

/* A file that cannot be written makes no token, and changes none. */
static void test_a_file_that_cannot_be_written(void **state)
{
    struct world *world = *state;
    char secret[SECRET_CHARS], who[64];
    struct credential added, tokens[TOKENS_MAX];
    size_t sessions;
    uint64_t serial;
    char blocked[80];
    snprintf(blocked, sizeof blocked, "%s.new", world->tokens);
    assert_int_equal(mkdir(blocked, 0700), 0);
    assert_true(credentials_add(world->credentials, "a", READ, 0, secret, &added) < 0);
    assert_int_equal(credentials_list(world->credentials, tokens, &sessions), 0);
    rmdir(blocked);
    snprintf(blocked, sizeof blocked, "%s.new", world->own);
    assert_int_equal(mkdir(blocked, 0700), 0);
    assert_true(credentials_rotate(world->credentials) < 0);
    assert_int_equal(allows(world, OWN, who, &serial), READ | CONTROL | ADMIN);
    rmdir(blocked);
}

static void test_rotation(void **state)
{
    struct world *world = *state;
    char secret[SECRET_CHARS], text[128], who[64];
    struct credential added;
    uint64_t old, new, session;
    assert_int_equal(credentials_session(world->credentials, secret, &added), 0);
    assert_int_equal(allows(world, secret, who, &session), READ | CONTROL);
    assert_int_equal(allows(world, OWN, who, &old), READ | CONTROL | ADMIN);
    assert_int_equal(credentials_rotate(world->credentials), 0);
    read_all(world->own, text, sizeof text);
    assert_int_equal(text[64], '\n');
    text[64] = '\0';
    assert_string_not_equal(text, OWN);
    assert_int_equal(allows(world, text, who, &new), READ | CONTROL | ADMIN);
    assert_int_equal(allows(world, OWN, who, &old), READ | CONTROL | ADMIN); /* for a while */
    assert_true(credentials_stand(world->credentials, old));
    assert_int_not_equal(old, new);
    assert_false(credentials_stand(world->credentials, session));
    assert_int_equal(allows(world, secret, who, &session), 0);
    assert_int_equal(credentials_rotate(world->credentials), 0); /* two turns on, it is none */
    assert_int_equal(allows(world, OWN, who, &old), 0);
}

static void test_sessions(void **state)
{
    struct world *world = *state;
    char first[SECRET_CHARS], secret[SECRET_CHARS], who[64], text[16384];
    struct credential added;
    uint64_t serial;
    assert_int_equal(credentials_session(world->credentials, first, &added), 0);
    restart(world);
    assert_int_equal(allows(world, first, who, &serial), READ | CONTROL);
    assert_memory_equal(who, "session ", 8);
    assert_null(strstr(first, who + 8)); /* of its hash, not of itself */
    read_all(world->sessions, text, sizeof text);
    assert_null(strstr(text, first));
    for (unsigned i = 0; i < SESSIONS_MAX + 8; i++)
        assert_int_equal(credentials_session(world->credentials, secret, &added), 0);
    assert_int_equal(allows(world, secret, who, &serial), READ | CONTROL);
}

/* What is no line of ours is passed over; what is, counts. */
static void test_files_of_others(void **state)
{
    static const char *const lines[] = {
        "", "\n", "x", "name read 00 0 0\n", "name read " OWN " 0\n", "name write " OWN " 0 0\n",
        "na/me read " OWN " 0 0\n", "name read " OWN "0 0 0\n", "name read " OWN " -1 0\n", "name read " OWN " 0 0 0\n",
        "name read " OWN " 0 0", "longer-than-a-name-may-ever-be-at-all read " OWN " 0 0\n",
        "name read zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff 0 0\n"};
    struct world *world = *state;
    struct credential tokens[TOKENS_MAX];
    size_t sessions;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        put(world->tokens, lines[i]);
        restart(world);
        if (credentials_list(world->credentials, tokens, &sessions))
            fail_msg("line %zu", i);
    }
    put(world->tokens, "nonsense\nname control " OWN " 5 0\n");
    restart(world);
    assert_int_equal(credentials_list(world->credentials, tokens, &sessions), 1);
    assert_string_equal(tokens[0].name, "name");
    assert_int_equal(tokens[0].scopes, READ | CONTROL);
    assert_int_equal(tokens[0].created_s, 5);
}

static void test_bad_ones_are_counted(void **state)
{
    struct world *world = *state;
    struct timespec now, then;
    bool bad;
    do { /* until all of it falls into one second */
        clock_gettime(CLOCK_MONOTONIC, &now);
        nanosleep(&(struct timespec){0, 1000000000 - now.tv_nsec}, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        for (unsigned i = 0; i < BAD_TOKENS_A_SECOND; i++)
            assert_false(credentials_bad(world->credentials));
        bad = credentials_bad(world->credentials);
        clock_gettime(CLOCK_MONOTONIC, &then);
    } while (now.tv_sec != then.tv_sec);
    assert_true(bad);
    nanosleep(&(struct timespec){1, 0}, NULL);
    assert_false(credentials_bad(world->credentials));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_the_own_token), TEST(test_named_tokens), TEST(test_revoking), TEST(test_expiry),
        TEST(test_there_are_only_so_many), TEST(test_a_file_that_cannot_be_written), TEST(test_rotation),
        TEST(test_sessions), TEST(test_files_of_others), TEST(test_bad_ones_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
