/* What `set` sends for its words, and which words it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tallyctl/setting.h"

static void test_settings_become_a_body(void **state)
{
    (void)state;
    static const struct {
        const char *words[3], *body;
    } rows[] = {
        {{"automatic=on"}, "{\"enabled\":true}"},
        {{"automatic=off"}, "{\"enabled\":false}"},
        {{"manager=cycle"}, "{\"manager\":\"cycle\"}"},
        {{"thresholds=700,10,10"}, "{\"thresholds\":[700,10,10]}"},
        {{"debug=none"}, "{\"debug\":[]}"},
        {{"debug=stats,leak"}, "{\"debug\":[\"stats\",\"leak\"]}"},
        {{"events=off"}, "{\"events\":\"off\"}"},
        {{"stress=none"}, "{\"stress\":{\"nth\":0,\"every_decref\":false}}"},
        {{"stress=100"}, "{\"stress\":{\"nth\":100,\"every_decref\":false}}"},
        {{"stress=decref"}, "{\"stress\":{\"nth\":0,\"every_decref\":true}}"},
        {{"stress=7,decref"}, "{\"stress\":{\"nth\":7,\"every_decref\":true}}"},
        {{"max-pause=2ms"}, "{\"max_pause_us\":2000}"},
        {{"max-pause=none"}, "{\"max_pause_us\":0}"},
        {{"memory-limit=64KiB"}, "{\"memory_limit_bytes\":65536}"},
        {{"memory-limit=none", "manager=none"}, "{\"memory_limit_bytes\":0,\"manager\":\"none\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int count = rows[i].words[1] ? 2 : 1;
        json_t *body = setting_body_new((char **)(uintptr_t)rows[i].words, count);
        char *text = json_dumps(body, JSON_COMPACT);
        assert_non_null(text);
        assert_string_equal(text, rows[i].body);
        free(text);
        json_decref(body);
    }
}

static void test_wrong_settings_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "=",
                                        "manager",
                                        "manager=",
                                        "Manager=cycle",
                                        "managers=cycle",
                                        "automatic=yes",
                                        "thresholds=",
                                        "thresholds=1,,2",
                                        "thresholds=1,x",
                                        "thresholds=2147483648",
                                        "debug=",
                                        "debug=stats,",
                                        "max-pause=5",
                                        "max-pause=11s",
                                        "stress=",
                                        "stress=0",
                                        "stress=1,",
                                        "stress=,decref",
                                        "stress=1,decre",
                                        "stress=decref,1",
                                        "stress=99999999999999999999",
                                        "memory-limit=1KB",
                                        "memory-limit=",
                                        "manager=\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_null(setting_body_new((char **)(uintptr_t)&wrong[i], 1));
    const char *const twice[] = {"manager=cycle", "events=off", "manager=full"};
    assert_null(setting_body_new((char **)(uintptr_t)twice, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_become_a_body),
        cmocka_unit_test(test_wrong_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
