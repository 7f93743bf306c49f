/* Weak references: when they clear, whom they call, in which order. */
#include "support.h"

static char calls[16];
static void note_call(struct tally_heap *heap, void *weak, void *hold)
{
    (void)heap;
    assert_null(tally_weak_lock(weak));
    size_t used = strlen(calls);
    calls[used] = (char)('a' + (hold ? ((struct pair *)hold)->number : 0));
    calls[used + 1] = '\0';
}

static void test_weak_lock_gives_the_referent_until_it_dies(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *target = pair_make(heap, NULL, NULL);
    void *weak = tally_weak_new(heap, NULL, target, NULL, NULL);
    assert_int_equal(tally_refcount(target), 1);
    assert_int_equal(tally_weak_count(target), 1);
    void *locked = tally_weak_lock(weak);
    assert_ptr_equal(locked, target);
    tally_decref(locked);
    tally_decref(target);
    assert_null(tally_weak_lock(weak));
    heap_check(heap);
    tally_decref(weak);
    assert_null(tally_weak_new(heap, NULL, NULL, NULL, NULL));
    assert_null(tally_weak_new(heap, pair_type(), weak, NULL, NULL));
    tally_heap_free(heap);
}

static void test_weak_callbacks_run_newest_first(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    for (int cycle = 0; cycle < 2; cycle++) {
        struct pair *target = pair_make(heap, NULL, NULL), *names[4];
        void *weak[4];
        for (uint64_t i = 0; i < 4; i++) {
            names[i] = pair_make(heap, NULL, NULL);
            names[i]->number = i;
            weak[i] = tally_weak_new(heap, NULL, target, note_call, names[i]);
            tally_decref(names[i]);
        }
        if (cycle)
            tally_store(target, &target->first, target);
        tally_decref(weak[2]);
        calls[0] = '\0';
        tally_decref(target);
        if (cycle)
            assert_int_equal(tally_collect(heap, 2), 1);
        assert_string_equal(calls, "dba");
        for (int i = 0; i < 4; i++)
            if (i != 2)
                tally_decref(weak[i]);
        assert_int_equal(heap_live(heap), 0);
        heap_check(heap);
    }
    tally_heap_free(heap);
}

static void test_weak_references_that_are_trash_do_not_call(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *target = pair_make(heap, NULL, NULL);
    void *weak = tally_weak_new(heap, NULL, target, note_call, target);
    tally_store_steal(target, &target->first, target);
    tally_store_steal(target, &target->second, weak);
    calls[0] = '\0';
    assert_int_equal(tally_collect(heap, 2), 2);
    assert_string_equal(calls, "");
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

struct named_weak {
    struct tally_weak weak;
    void *label;
};

static void test_weak_types_of_the_host_carry_slots_of_their_own(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *type = NULL;
    struct tally_ref refs[] = {{"label", offsetof(struct named_weak, label)}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){
        .name = "named weak", .size = sizeof(struct named_weak), .flags = TALLY_TYPE_WEAK, .refs = refs,
        .ref_count = 1}, &type), 0);
    struct pair *target = pair_make(heap, NULL, NULL), *label = pair_make(heap, NULL, NULL);
    struct named_weak *weak = tally_weak_new(heap, type, target, note_call, label);
    tally_store(weak, &weak->label, label);
    assert_int_equal(tally_refcount(label), 3);
    tally_decref(weak);
    assert_int_equal(tally_refcount(label), 1);
    assert_int_equal(tally_weak_count(target), 0);
    tally_decref(label);
    tally_decref(target);
    heap_check(heap);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weak_lock_gives_the_referent_until_it_dies),
        cmocka_unit_test(test_weak_callbacks_run_newest_first),
        cmocka_unit_test(test_weak_references_that_are_trash_do_not_call),
        cmocka_unit_test(test_weak_types_of_the_host_carry_slots_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
