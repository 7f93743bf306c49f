/* Where tallyctl looks for tallyd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/place.h"

static struct places places;

static void list(const char *asked, const char *named, const char *user)
{
    if (named)
        setenv("TALLY_RUNTIME_DIR", named, 1);
    else
        unsetenv("TALLY_RUNTIME_DIR");
    if (user)
        setenv("XDG_RUNTIME_DIR", user, 1);
    else
        unsetenv("XDG_RUNTIME_DIR");
    place_list(&places, asked);
}

static void test_place_list_has_the_named_one_alone(void **state)
{
    (void)state;
    list("/asked", "/named", "/user");
    assert_int_equal(places.count, 1);
    assert_string_equal(places.paths[0], "/asked");
    list(NULL, "/named", "/user");
    assert_int_equal(places.count, 1);
    assert_string_equal(places.paths[0], "/named");
}

static void test_place_list_has_the_users_before_the_systems(void **state)
{
    (void)state;
    list(NULL, "", "/user");
    assert_int_equal(places.count, 2);
    assert_string_equal(places.paths[0], "/user/tally");
    assert_string_equal(places.paths[1], "/run/tally");
    list(NULL, NULL, NULL);
    assert_int_equal(places.count, 1);
    assert_string_equal(places.paths[0], "/run/tally");
}

static void test_place_list_leaves_out_what_does_not_fit(void **state)
{
    (void)state;
    static char longest[2 * PLACE_PATH_MAX];
    memset(longest, 'x', sizeof longest - 1);
    list(longest, NULL, NULL);
    assert_int_equal(places.count, 0);
    char path[PLACE_PATH_MAX];
    assert_false(place_join(path, longest, "api.sock"));
    assert_true(place_join(path, "/run", "api.sock"));
    assert_string_equal(path, "/run/api.sock");
}

static void test_place_probe_says_why_not(void **state)
{
    (void)state;
    char longest[200] = {0};
    memset(longest, 'x', sizeof longest - 1);
    assert_int_equal(place_probe("/nonexistent/api.sock"), ENOENT);
    assert_int_equal(place_probe(longest), ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_list_has_the_named_one_alone),
        cmocka_unit_test(test_place_list_has_the_users_before_the_systems),
        cmocka_unit_test(test_place_list_leaves_out_what_does_not_fit),
        cmocka_unit_test(test_place_probe_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
