/* Lists of tags and of what a client accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "api/private.h"

static void test_lists_of_tags(void **state)
{
    static const struct {
        const char *list;
        bool listed;
    } rows[] = {
        {"\"a-1\"", true}, {"W/\"a-1\"", true}, {"*", true}, {"\"b\", \"a-1\"", true}, {"\"b\",W/\"a-1\" , \"c\"", true},
        {",, \"a-1\"", true}, {"\"a,\", \"a-1\"", true}, {"\"a-1\" x", true}, {NULL, false}, {"", false}, {"a-1", false},
        {"\"a-1", false}, {"\"a-11\"", false}, {"\"a-\"", false}, {"w/\"a-1\"", false}, {"* , \"b\"", false},
        {"\"b\", a-1", false}, {"\"b", false}, {"W/", false}, {"\"\"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (etag_listed(rows[i].list, "\"a-1\"") != rows[i].listed)
            fail_msg("%s", rows[i].list);
}

static void test_what_is_accepted(void **state)
{
    static const struct {
        const char *header;
        bool named;
    } rows[] = {
        {"gzip", true}, {"GZip", true}, {"br, gzip", true}, {"gzip;q=0.1", true}, {"gzip ; q=1", true}, {"br;q=1.0,gzip;q=0.5", true},
        {"gzip;q=0", false}, {"gzip; q=0.000", false}, {"gzip; Q=0", false}, {"", false}, {NULL, false}, {"gzipp", false}, {"x-gzip", false},
        {"*", false}, {"br;gzip", false}, {",", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (accept_names(rows[i].header, "gzip") != rows[i].named)
            fail_msg("%s", rows[i].header);
}

static void test_lines_for_who_likes_them_no_less(void **state)
{
    static const struct {
        const char *header;
        bool lines;
    } rows[] = {
        {"application/x-ndjson", true}, {"application/x-ndjson;q=0.1, */*", true}, {"application/json;q=0.9, application/x-ndjson", true},
        {"application/json, application/x-ndjson", true}, {"application/json, application/x-ndjson;q=0.5", false},
        {"application/x-ndjson;q=0", false}, {"application/json", false}, {"*/*", false}, {NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (accept_lines(rows[i].header) != rows[i].lines)
            fail_msg("%s", rows[i].header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists_of_tags), cmocka_unit_test(test_what_is_accepted),
                                       cmocka_unit_test(test_lines_for_who_likes_them_no_less)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
