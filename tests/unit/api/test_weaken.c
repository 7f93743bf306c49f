/* Which edge of a cycle to make weak, by its name and by numbers; and shapes that are no text of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/private.h"
#include "api/views.h"

static const struct stats_type_view types[] = {{.name = "doc", .allocations = 10}, {.name = "page", .allocations = 1000},
                                               {.name = "a.b", .allocations = 1}};
static const struct stats_heap_view heap = {.type_count = 3, .types = types};

static void expect(const char *shape, const char *edge)
{
    size_t bytes = strlen(shape);
    char *exact = malloc(bytes ? bytes : 1); /* so that a sanitizer sees a read behind it */
    memcpy(exact, shape, bytes);
    json_t *json = weaken_json(&heap, exact, bytes);
    if (edge)
        assert_string_equal(json_string_value(json_object_get(json, "edge")), edge);
    else
        assert_true(json_is_null(json));
    json_decref(json);
    free(exact);
}

static void test_an_edge_is_chosen(void **state)
{
    (void)state;
    expect("doc.pages -> page.parent", "page.parent");
    expect("doc.pages -> page.doc", "page.doc"); /* a thousand of them hold ten */
    expect("page.doc -> doc.pages", "page.doc");
    expect("node.next", "node.next");
    expect("node.next -> node.prev", "node.prev");
    expect("node.previous_sibling -> node.next", "node.previous_sibling");
    expect("x.left -> y.right", NULL); /* nothing is known of them */
    expect("a.b.owner -> doc.pages", "a.b.owner");
}

static void test_what_is_no_shape_gives_none(void **state)
{
    (void)state;
    static const char *const shapes[] = {"", " -> ", "node", ".next", "node.", "(other)", "a.b -> (more)", "a.b -> ", " -> a.b", "->", "a.b ->"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i], "a.b -> ") && strcmp(shapes[i], "a.b ->"))
            expect(shapes[i], NULL);
    char longest[512];
    size_t used = 0;
    for (unsigned i = 0; i < 60; i++)
        used += (size_t)snprintf(longest + used, sizeof longest - used, "%sa.n", i ? " -> " : "");
    expect(longest, NULL);
}

static void test_types_are_found_whole(void **state)
{
    (void)state;
    static const char shape[] = "doc.pages -> a.b.owner";
    assert_true(weaken_mentions(shape, sizeof shape - 1, "doc"));
    assert_true(weaken_mentions(shape, sizeof shape - 1, "a.b"));
    assert_false(weaken_mentions(shape, sizeof shape - 1, "a"));
    assert_false(weaken_mentions(shape, sizeof shape - 1, "do"));
    assert_false(weaken_mentions(shape, sizeof shape - 1, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_an_edge_is_chosen), cmocka_unit_test(test_what_is_no_shape_gives_none),
                                       cmocka_unit_test(test_types_are_found_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
