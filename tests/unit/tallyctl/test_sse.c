/* Events out of bytes, whatever pieces they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/sse.h"

struct seen {
    char text[1024];
    int wanted; /* events until the reader has enough; 0: all */
};

static bool note(void *arg, const char *event, const char *data, const char *id)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s|%s|%s;", event, data, id);
    return !seen->wanted || --seen->wanted;
}

/* Feeds the bytes in pieces of `piece`. */
static bool feed(struct seen *seen, const char *bytes, size_t count, size_t piece)
{
    struct sse sse;
    bool more = true;
    seen->text[0] = '\0';
    sse_init(&sse, note, seen);
    for (size_t at = 0; at < count && more; at += piece)
        more = sse_take(&sse, bytes + at, at + piece < count ? piece : count - at);
    sse_fini(&sse);
    return more;
}

static void check(const char *bytes, const char *expected)
{
    struct seen seen = {.wanted = 0};
    for (size_t piece = 1; piece <= strlen(bytes) + 1; piece++) {
        assert_true(feed(&seen, bytes, strlen(bytes), piece));
        assert_string_equal(seen.text, expected);
    }
}

static void test_sse_events_have_names_data_and_ids(void **state)
{
    (void)state;
    check("event: fleet\nid: a-1\ndata: {}\n\n", "fleet|{}|a-1;");
    check("data:x\n\ndata: y\n\n", "message|x|;message|y|;");
    check("id: 7\n\nevent: e\ndata: z\n\n", "e|z|7;");
    check("data: a\ndata: b\n\n", "message|a\nb|;");
    check(": a comment\n\nretry: 5\nnonsense\ndata: x\n\n", "message|x|;");
}

static void test_sse_lines_end_as_they_like(void **state)
{
    (void)state;
    check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "message|a|;message|b|;message|c|;");
    check("data: a\r\ndata: b\r\n\r\n", "message|a\nb|;"); /* one end of a line, not two */
    check("data: cut", "");
    check("event: e\n\ndata: x\n\n", "message|x|;");
}

static void test_sse_is_bounded(void **state)
{
    (void)state;
    struct seen seen = {.wanted = 1};
    struct sse sse;
    assert_false(feed(&seen, "data: a\n\ndata: b\n\n", 18, 3));
    assert_string_equal(seen.text, "message|a|;");
    char *much = malloc(SSE_FRAME_MAX);
    assert_non_null(much);
    memset(much, 'x', SSE_FRAME_MAX);
    sse_init(&sse, note, &seen);
    assert_true(sse_take(&sse, much, SSE_FRAME_MAX / 2));
    assert_false(sse_take(&sse, much, SSE_FRAME_MAX));
    sse_fini(&sse);
    free(much);
    char name[400] = "event: ";
    memset(name + 7, 'n', 200);
    memcpy(name + 207, "\ndata: x\n\n", 11);
    seen.wanted = 0;
    assert_true(feed(&seen, name, strlen(name), 50));
    assert_string_equal(seen.text, "message|x|;");
    assert_true(feed(&seen, "da\0ta: x\n\n", 10, 10));
    assert_string_equal(seen.text, "message|x|;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sse_events_have_names_data_and_ids),
        cmocka_unit_test(test_sse_lines_end_as_they_like),
        cmocka_unit_test(test_sse_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
