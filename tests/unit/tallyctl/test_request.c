/* Paths and queries: nothing of a value is more than a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tallyctl/complain.h"
#include "tallyctl/request.h"

static void test_request_add_escapes_what_means_something(void **state)
{
    (void)state;
    char path[REQUEST_PATH_MAX] = "/v1/x";
    request_add(path, "type", NULL);
    assert_string_equal(path, "/v1/x");
    request_add(path, "type", "a&b=c d/?#%");
    request_add(path, "wait", "5s");
    request_add_number(path, "limit", &(struct ctl_number){true, 0});
    request_add_number(path, "heap", &(struct ctl_number){false, 7});
    assert_string_equal(path, "/v1/x?type=a%26b%3Dc%20d%2F%3F%23%25&wait=5s&limit=0");
    assert_true(request_fits(path));
}

static void test_request_add_segment_stays_one(void **state)
{
    (void)state;
    char path[REQUEST_PATH_MAX] = "/v1/rules";
    request_add_segment(path, "a/../b?c");
    assert_string_equal(path, "/v1/rules/a%2F..%2Fb%3Fc");
    request_add_segment(path, "\xc3\xbc");
    assert_string_equal(path, "/v1/rules/a%2F..%2Fb%3Fc/%C3%BC");
}

static void test_request_add_labels_splits_at_the_first_sign(void **state)
{
    (void)state;
    char path[REQUEST_PATH_MAX] = "";
    request_add_labels(path, &(struct ctl_words){2, {"team=bread", "a=b=c"}});
    assert_string_equal(path, "?label=team:bread&label=a:b%3Dc");
}

static void test_request_fits_says_what_is_too_long(void **state)
{
    (void)state;
    char path[REQUEST_PATH_MAX] = "/v1/x", much[REQUEST_PATH_MAX];
    memset(much, '/', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    FILE *nowhere = fopen("/dev/null", "w"), *before = complain_to(nowhere);
    request_add(path, "type", much);
    assert_int_equal(strlen(path), REQUEST_PATH_MAX - 1);
    assert_false(request_fits(path));
    request_add(path, "more", "x");
    assert_false(request_fits(path));
    complain_to(before);
    fclose(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_add_escapes_what_means_something),
        cmocka_unit_test(test_request_add_segment_stays_one),
        cmocka_unit_test(test_request_add_labels_splits_at_the_first_sign),
        cmocka_unit_test(test_request_fits_says_what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
