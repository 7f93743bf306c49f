/* The folders: where they are, their modes, who holds them, what an earlier daemon left, the token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyd/tallyd.h"

struct world {
    char root[40], runtime[60], state[60];
    struct options options;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->root, sizeof world->root, "/tmp/tally-folders-XXXXXX");
    *state = world;
    if (!mkdtemp(world->root))
        return -1;
    snprintf(world->runtime, sizeof world->runtime, "%s/a/run", world->root);
    snprintf(world->state, sizeof world->state, "%s/b/c/state", world->root);
    world->options.runtime_dir = world->runtime;
    world->options.state_dir = world->state;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"a/run/lock",
                                        "a/run/token",
                                        "a/run/api.sock",
                                        "a/run/http.addr",
                                        "a/run",
                                        "a",
                                        "b/c/state/lock",
                                        "b/c/state/token",
                                        "b/c/state",
                                        "b/c",
                                        "b",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", world->root, names[i]);
        remove(path);
    }
    assert_int_equal(access(world->root, F_OK), -1);
    free(world);
    return 0;
}

static mode_t mode_of(const char *folder, const char *name)
{
    struct stat status;
    char path[128];
    snprintf(path, sizeof path, "%s%s%s", folder, *name ? "/" : "", name);
    return stat(path, &status) ? 0 : status.st_mode & 0777;
}

static void test_modes_token_and_lock(void **state)
{
    struct world *world = *state;
    struct folders folders, second;
    char why[320], token[65];
    assert_int_equal(folders_open(&folders, &world->options, why, sizeof why), EXIT_OK);
    assert_int_equal(mode_of(world->runtime, ""), 0700);
    assert_int_equal(mode_of(world->state, ""), 0700);
    assert_int_equal(mode_of(world->runtime, "token"), 0600);
    assert_int_equal(mode_of(world->state, "token"), 0600);
    assert_int_equal(strlen(folders.token), 64);
    snprintf(token, sizeof token, "%s", folders.token);
    assert_int_equal(folders_open(&second, &world->options, why, sizeof why), EXIT_SECOND);
    assert_non_null(strstr(why, "another tallyd"));
    assert_int_equal(mode_of(world->runtime, "token"), 0600); /* the second has removed nothing */
    folders_close(&folders);
    assert_int_equal(mode_of(world->runtime, "token"), 0);
    assert_int_equal(folders_open(&folders, &world->options, why, sizeof why), EXIT_OK);
    assert_string_equal(folders.token, token);
    folders_close(&folders);
}

/* Two daemons may share neither folder. */
static void test_the_state_folder_is_locked_too(void **state)
{
    struct world *world = *state;
    struct folders folders, second;
    char why[320], other[80];
    snprintf(other, sizeof other, "%s/other", world->root);
    assert_int_equal(folders_open(&folders, &world->options, why, sizeof why), EXIT_OK);
    struct options options = {.runtime_dir = other, .state_dir = world->state};
    assert_int_equal(folders_open(&second, &options, why, sizeof why), EXIT_SECOND);
    folders_close(&folders);
    snprintf(why, sizeof why, "%s/lock", other);
    unlink(why);
    rmdir(other);
}

static void test_leftovers_and_bad_tokens(void **state)
{
    struct world *world = *state;
    struct folders folders;
    char why[320];
    assert_int_equal(folders_open(&folders, &world->options, why, sizeof why), EXIT_OK);
    folders_close(&folders);
    assert_int_equal(folder_write(world->runtime, "http.addr", "127.0.0.1:1", 0600), 0);
    assert_int_equal(folder_write(world->runtime, "api.sock", "", 0600), 0);
    assert_int_equal(folder_write(world->state, "token", "short", 0600), 0);
    assert_int_equal(folders_open(&folders, &world->options, why, sizeof why), EXIT_OK);
    assert_int_equal(mode_of(world->runtime, "http.addr"), 0);
    assert_int_equal(mode_of(world->runtime, "api.sock"), 0);
    assert_int_equal(strlen(folders.token), 64);
    folders_close(&folders);
}

static void test_places_that_are_refused(void **state)
{
    struct world *world = *state;
    struct folders folders;
    char why[320], deep[120];
    memset(deep, 'x', sizeof deep - 1);
    deep[0] = '/';
    deep[sizeof deep - 1] = '\0';
    struct options options = {.runtime_dir = deep, .state_dir = world->state};
    assert_int_equal(folders_open(&folders, &options, why, sizeof why), EXIT_REFUSAL); /* no socket fits in */
    options.runtime_dir = "";
    assert_int_equal(folders_open(&folders, &options, why, sizeof why), EXIT_REFUSAL);
    options.runtime_dir = "/dev/null/x";
    assert_int_equal(folders_open(&folders, &options, why, sizeof why), EXIT_REFUSAL);
    unsetenv("TALLY_RUNTIME_DIR");
    unsetenv("XDG_RUNTIME_DIR");
    options.runtime_dir = NULL;
    assert_int_equal(folders_open(&folders, &options, why, sizeof why), EXIT_REFUSAL);
    assert_non_null(strstr(why, "TALLY_RUNTIME_DIR"));
}

static void test_places_from_the_environment(void **state)
{
    struct world *world = *state;
    struct folders folders;
    char why[320], above[50];
    setenv("TALLY_RUNTIME_DIR", world->runtime, 1);
    setenv("TALLY_STATE_DIR", world->state, 1);
    setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
    struct options options = {.runtime_dir = NULL};
    assert_int_equal(folders_open(&folders, &options, why, sizeof why), EXIT_OK);
    assert_string_equal(folders.runtime, world->runtime);
    assert_string_equal(folders.state, world->state);
    folders_close(&folders);
    unsetenv("TALLY_RUNTIME_DIR");
    snprintf(above, sizeof above, "%s", world->root);
    setenv("XDG_RUNTIME_DIR", above, 1);
    assert_int_equal(folders_open(&folders, &options, why, sizeof why), EXIT_OK);
    assert_string_equal(folders.runtime + strlen(above), "/tally");
    folders_close(&folders);
    snprintf(why, sizeof why, "%s/tally", above);
    rmdir(why);
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("TALLY_STATE_DIR");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_modes_token_and_lock), TEST(test_the_state_folder_is_locked_too),
        TEST(test_leftovers_and_bad_tokens), TEST(test_places_that_are_refused),
        TEST(test_places_from_the_environment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
