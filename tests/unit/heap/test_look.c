/* Looking from outside: page by page, in the order of numbers, and who refers to whom. */
#include "corners.h"

struct seen {
    unsigned count;
    uint64_t last, end_at; /* end_at: fn ends there; 0: never */
};

static int see(void *object, void *arg)
{
    struct seen *seen = arg;
    uint64_t number = tally_object_id(object);
    assert_true(number > seen->last);
    seen->last = number;
    seen->count++;
    return number == seen->end_at ? 7 : 0;
}

static int look(struct tally_heap *heap, uint64_t after, struct seen *seen)
{
    int result = 0;
    for (uint64_t page = after >> WIRE_PAGE_GRANULE_BITS; page < tally__page_count(heap) && !result; page++)
        result = tally__page_look(heap, page, after, see, seen);
    return result;
}

static void test_objects_come_in_the_order_of_their_numbers(void **state)
{
    enum { COUNT = 9000 };
    (void)state;
    static struct pair *pairs[COUNT];
    struct tally_heap *heap = heap_make();
    for (unsigned i = 0; i < COUNT; i++)
        pairs[i] = pair_make(heap, NULL, NULL);
    for (unsigned i = 2000; i < 6000; i++) /* a page or more of them goes back */
        tally_decref(pairs[i]);
    tally_trim(heap);
    struct seen all = {.count = 0};
    assert_int_equal(look(heap, 0, &all), 0);
    assert_int_equal(all.count, COUNT - 4000);
    struct seen some = {.end_at = tally_object_id(pairs[1000])}, rest = {.last = some.end_at};
    assert_int_equal(look(heap, 0, &some), 7);
    assert_int_equal(look(heap, some.last, &rest), 0);
    assert_int_equal(some.count + rest.count, all.count);
    unsigned missing = 0;
    for (uint64_t page = 0; page < tally__page_count(heap); page++) {
        missing += !heap->pages[page];
        assert_int_equal(tally__page_look(heap, page, UINT64_MAX, see, &(struct seen){.count = 0}), 0);
    }
    assert_true(missing > 0);
    for (unsigned i = 0; i < COUNT; i++)
        if (i < 2000 || i >= 6000)
            tally_decref(pairs[i]);
    tally_heap_free(heap);
}

static void test_who_refers_to_whom(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *target = pair_make(heap, NULL, NULL), *other = pair_make(heap, target, target);
    void *bytes = tally_new_array(heap, bytes_type(), 64);
    assert_true(tally__refers(other, target));
    assert_false(tally__refers(target, other));
    assert_false(tally__refers(bytes, target)); /* a leaf, whatever it holds */
    tally_freeze(heap);
    assert_false(tally__refers(other, target));
    tally_unfreeze(heap);
    assert_true(tally__refers(other, target));
    tally_decref(bytes);
    tally_decref(other);
    tally_decref(target);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_objects_come_in_the_order_of_their_numbers),
                                       cmocka_unit_test(test_who_refers_to_whom)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
