/* Two states beside each other, page by page, whatever the types are called. */
#include "world.h"

#define NAME_BYTES 255u

/* Three types whose names are as long as they may be, and twice as long in JSON. */
static void sample(struct world *world, char names[3][NAME_BYTES + 1])
{
    struct intake_row rows[3];
    struct intake_type types[3];
    for (int i = 0; i < 3; i++) {
        memset(names[i], '"', NAME_BYTES);
        names[i][NAME_BYTES] = '\0';
        names[i][NAME_BYTES - 1] = (char)('a' + i);
        rows[i] = (struct intake_row){.allocated = 7, .allocated_bytes = 7 * 16};
        types[i] = (struct intake_type){.name = names[i], .size_bytes = 16};
    }
    const struct intake_sample sample = {.heap_number = 1, .mono_ns = clock_mono_ns(), .safepoint_ns = clock_mono_ns(),
                                         .type_count = 3, .rows = rows, .types = types, .summary = {.valid = true}};
    void *process = world_attach(world, "fedcba9876543210fedcba9876543210", 4243, "quoted");
    world->sink.sample(world->stats, process, &sample);
    world->sink.swept(world->stats, true);
}

static json_t *page(struct world *world, const char *sort, const char *cursor)
{
    char request[4096];
    snprintf(request, sizeof request, "GET /v1/compare?a=now:4243&b=now:4243&sort=%s&limit=1%s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             sort, cursor ? "&cursor=" : "", cursor ? cursor : "");
    return json_of(ask_on(world, dial_unix(world), request));
}

static void test_every_name_is_on_a_page(void **state)
{
    struct world *world = *state;
    static const char *const sorts[] = {"name", "delta_bytes"};
    char names[3][NAME_BYTES + 1];
    sample(world, names);
    for (size_t s = 0; s < sizeof sorts / sizeof *sorts; s++) {
        json_t *json = page(world, sorts[s], NULL);
        for (int i = 0; i < 3; i++) {
            json_t *type = json_array_get(json_object_get(json, "types"), 0);
            assert_string_equal(json_string_value(json_object_get(type, "type")), names[i]);
            json_t *next = i < 2 ? page(world, sorts[s], json_string_value(json_object_get(json, "next_cursor"))) : NULL;
            assert_int_equal(i < 2, json_is_string(json_object_get(json, "next_cursor")));
            json_decref(json);
            json = next;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_every_name_is_on_a_page, world_start, world_stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
