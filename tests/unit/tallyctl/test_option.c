/* Options of the command line, as the table says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/complain.h"
#include "tallyctl/option.h"

/* Reads two words as a command line; what is complained of is dropped. */
static enum ctl_exit parse(struct ctl *ctl, const char *one, const char *two, bool *given)
{
    char *words[] = {"tallyctl", (char *)one, (char *)two, NULL};
    FILE *nowhere = fopen("/dev/null", "w"), *before = complain_to(nowhere);
    *ctl = (struct ctl){0};
    memset(given, 0, option_count * sizeof *given);
    enum ctl_exit status = option_parse(ctl, two ? 3 : 2, words, given);
    complain_to(before);
    fclose(nowhere);
    return status;
}

static void test_option_kinds_take_what_they_are_of(void **state)
{
    (void)state;
    static const struct { const char *one, *two; enum ctl_exit status;
    } lines[] = {{"--json", NULL, CTL_DONE},
                 {"-j", NULL, CTL_DONE},
                 {"--heap", "1", CTL_DONE},
                 {"--heap", "0", CTL_USAGE},
                 {"--heap", "4294967296", CTL_USAGE},
                 {"--heap", "x", CTL_USAGE},
                 {"--wait", "500ms", CTL_DONE},
                 {"--wait", "61s", CTL_USAGE},
                 {"-w", "1m", CTL_DONE},
                 {"--wait", "", CTL_USAGE},
                 {"--scope", "read", CTL_DONE},
                 {"--scope", "write", CTL_USAGE},
                 {"--scope", "read|control", CTL_USAGE},
                 {"--color", "never", CTL_DONE},
                 {"--max-live", "0", CTL_DONE},
                 {"--max-live", "-1", CTL_USAGE},
                 {"--max-live", "9223372036854775807", CTL_DONE},
                 {"--max-live", "9223372036854775808", CTL_USAGE},
                 {"--max-bytes", "2MiB", CTL_DONE},
                 {"--max-bytes", "2MB", CTL_USAGE},
                 {"--label", "a=b", CTL_DONE},
                 {"--label", "ab", CTL_USAGE},
                 {"--label", "=b", CTL_USAGE},
                 {"--out", "", CTL_USAGE},
                 {"--out", NULL, CTL_USAGE},
                 {"--nonsense", NULL, CTL_USAGE},
                 {"-x", NULL, CTL_USAGE},
                 {"--interval", "99ms", CTL_USAGE}};
    struct ctl ctl;
    bool *given = calloc(option_count, sizeof *given);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (parse(&ctl, lines[i].one, lines[i].two, given) != lines[i].status)
            fail_msg("%s %s", lines[i].one, lines[i].two ? lines[i].two : "");
    free(given);
}

static void test_option_values_arrive(void **state)
{
    (void)state;
    struct ctl ctl;
    bool *given = calloc(option_count, sizeof *given);
    assert_int_equal(parse(&ctl, "--max-bytes", "2KiB", given), CTL_DONE);
    assert_true(ctl.max_bytes.given);
    assert_int_equal(ctl.max_bytes.value, 2048);
    assert_int_equal(parse(&ctl, "--wait=250ms", NULL, given), CTL_DONE);
    assert_int_equal(ctl.wait_ms.value, 250);
    assert_int_equal(parse(&ctl, "--label", "team=a=b", given), CTL_DONE);
    assert_int_equal(ctl.labels.count, 1);
    assert_string_equal(ctl.labels.words[0], "team=a=b");
    char *many[2 * (CTL_WORDS_MAX + 1) + 2] = {"tallyctl"};
    for (size_t i = 0; i <= CTL_WORDS_MAX; i++)
        many[2 * i + 1] = "--label", many[2 * i + 2] = "a=b";
    ctl = (struct ctl){.paper = {0}};
    assert_int_equal(option_parse(&ctl, 2 * CTL_WORDS_MAX + 1, many, given), CTL_DONE);
    assert_int_equal(ctl.labels.count, CTL_WORDS_MAX);
    ctl = (struct ctl){.paper = {0}};
    assert_int_equal(option_parse(&ctl, 2 * (CTL_WORDS_MAX + 1) + 1, many, given), CTL_USAGE);
    assert_int_equal(parse(&ctl, "-1", NULL, given), CTL_DONE);
    assert_true(ctl.once);
    free(given);
}

static void test_option_letters_and_words_are_used_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++)
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(option_rows[i].letter, option_rows[j].letter);
            assert_string_not_equal(option_rows[i].word, option_rows[j].word);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_option_kinds_take_what_they_are_of),
        cmocka_unit_test(test_option_values_arrive),
        cmocka_unit_test(test_option_letters_and_words_are_used_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
