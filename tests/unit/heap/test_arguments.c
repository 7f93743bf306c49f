/* What each call says to arguments that are out of range, one wrong thing at a time. */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/internal.h"
#include "support.h"

/* ---- types */

static struct tally_ref refs[] = {{"first", 0}, {"second", 8}};

static struct tally_type_info good_info(void)
{
    return (struct tally_type_info){.name = "good", .size = 64, .refs = refs, .ref_count = 2};
}

static int registered(struct tally_type_info info)
{
    const struct tally_type *type = NULL;
    int error = tally_type_register(&info, &type);
    assert_int_equal(!error, type != NULL);
    return error;
}

#define WITH(...)                                                                                            \
    ({                                                                                                       \
        struct tally_type_info info = good_info();                                                           \
        __VA_ARGS__;                                                                                         \
        registered(info);                                                                                    \
    })
#define WRONG(...) assert_int_equal(WITH(__VA_ARGS__), TALLY_EINVAL)
#define RIGHT(...) assert_int_equal(WITH(__VA_ARGS__), 0)

static void test_names_of_types(void **state)
{
    (void)state;
    char name[TALLY_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    WRONG(info.name = NULL);
    WRONG(info.name = "");
    WRONG(info.name = name);
    WRONG(info.name = "\xff\xfe");
    WRONG(info.refs = (struct tally_ref[]){{NULL, 0}}; info.ref_count = 1);
    RIGHT(info.name = name + 1);
}

static void test_sizes_and_slots_of_types(void **state)
{
    (void)state;
    WRONG(info.size = ((size_t)1 << 31) + 1);
    WRONG(info.align = 4);
    WRONG(info.align = 32);
    RIGHT(info.align = 8);
    RIGHT(info.align = 16);
    WRONG(info.flags = 1u << 30);
    WRONG(info.refs = NULL);
    WRONG(info.size = 15);
    WRONG(info.size = 8);
    RIGHT(info.size = 16);
    WRONG(info.refs = (struct tally_ref[]){{"odd", 4}}; info.ref_count = 1);
    WRONG(info.refs = (struct tally_ref[]){{"far", 64}}; info.ref_count = 1);
    WRONG(info.refs = (struct tally_ref[]){{"far", 60}}; info.ref_count = 1);
    WRONG(info.refs = (struct tally_ref[]){{"far", SIZE_MAX - 7}}; info.ref_count = 1);
    RIGHT(info.refs = (struct tally_ref[]){{"last", 56}}; info.ref_count = 1);
    RIGHT(info.refs = NULL; info.ref_count = 0; info.size = 0);
    assert_int_equal(tally_type_register(NULL, &(const struct tally_type *){NULL}), TALLY_EINVAL);
    struct tally_type_info info = good_info();
    assert_int_equal(tally_type_register(&info, NULL), TALLY_EINVAL);
}

static void test_variable_parts_of_types(void **state)
{
    (void)state;
    WRONG(info.trailing = 9);
    WRONG(info.trailing = TALLY_TRAILING_BYTES; info.trailing_element_bytes = 0;
          info.trailing_length_offset = 16);
    WRONG(info.trailing = TALLY_TRAILING_BYTES; info.trailing_element_bytes = (1u << 20) + 1;
          info.trailing_length_offset = 16);
    RIGHT(info.trailing = TALLY_TRAILING_BYTES; info.trailing_element_bytes = 1u << 20;
          info.trailing_length_offset = 16);
    RIGHT(info.trailing = TALLY_TRAILING_BYTES; info.trailing_element_bytes = 1;
          info.trailing_length_offset = 16);
    WRONG(info.trailing = TALLY_TRAILING_SLOTS; info.trailing_element_bytes = 4;
          info.trailing_length_offset = 16);
    WRONG(info.trailing = TALLY_TRAILING_SLOTS; info.trailing_length_offset = 64);
    WRONG(info.trailing = TALLY_TRAILING_SLOTS; info.trailing_length_offset = 20);
    RIGHT(info.trailing = TALLY_TRAILING_SLOTS; info.trailing_length_offset = 16);
    RIGHT(info.trailing = TALLY_TRAILING_SLOTS; info.trailing_element_bytes = 8;
          info.trailing_length_offset = 16);
    WRONG(info.has_external = true; info.external_pointer_offset = 64; info.external_length_offset = 16);
    WRONG(info.has_external = true; info.external_pointer_offset = 16; info.external_length_offset = 64);
    WRONG(info.has_external = true; info.external_pointer_offset = 16; info.external_length_offset = 16);
    RIGHT(info.has_external = true; info.external_pointer_offset = 16; info.external_length_offset = 24);
    WRONG(info.flags = TALLY_TYPE_WEAK; info.ref_count = 0; info.size = sizeof(struct tally_weak) - 8);
    WRONG(info.flags = TALLY_TYPE_WEAK | TALLY_TYPE_ACYCLIC; info.ref_count = 0);
    RIGHT(info.flags = TALLY_TYPE_WEAK; info.ref_count = 0; info.size = sizeof(struct tally_weak));
}

static size_t label_of(const void *object, char *text, size_t room)
{
    (void)object, (void)text;
    return room;
}

/* A program of before there were labels has a shorter struct: what lies behind it is not read. */
static void test_labels_of_types(void **state)
{
    (void)state;
    const struct tally_type *type;
    struct tally_type_info labelled = good_info();
    WRONG(info.flags = TALLY_TYPE_LABEL);
    RIGHT(info.flags = TALLY_TYPE_LABEL; info.label = label_of);
    labelled.label = label_of;
    assert_int_equal(tally_type_register(&labelled, &type), 0);
    assert_null(type->info.label);
    labelled.flags = TALLY_TYPE_LABEL;
    assert_int_equal(tally_type_register(&labelled, &type), 0);
    assert_ptr_equal(type->info.label, label_of);
}

/* What a type's members make of it. */
static void test_which_types_are_tracked(void **state)
{
    (void)state;
    const struct tally_type *type;
    struct tally_type_info info = {.name = "t", .size = 64};
    assert_int_equal(tally_type_register(&info, &type), 0);
    assert_false(tally_type_is_tracked(type));
    info.has_external = true;
    info.external_pointer_offset = 8;
    info.external_length_offset = 16;
    info.user = &info;
    assert_int_equal(tally_type_register(&info, &type), 0);
    assert_true(tally_type_is_tracked(type));
    assert_ptr_equal(tally_type_user(type), &info);
    assert_ptr_equal(type->info.refs, type->refs); /* none of the caller's */
    info.flags = TALLY_TYPE_ACYCLIC;
    assert_int_equal(tally_type_register(&info, &type), 0);
    assert_false(tally_type_is_tracked(type));
    info = (struct tally_type_info){.name = "t", .size = 64, .trailing = TALLY_TRAILING_SLOTS};
    assert_int_equal(tally_type_register(&info, &type), 0);
    assert_true(tally_type_is_tracked(type));
    info.trailing = TALLY_TRAILING_BYTES;
    info.trailing_element_bytes = 1;
    assert_int_equal(tally_type_register(&info, &type), 0);
    assert_false(tally_type_is_tracked(type));
}

/* ---- words */

static void test_every_error_has_a_sentence(void **state)
{
    (void)state;
#define TALLY_X(name, value, sentence) assert_string_equal(tally_strerror(value), sentence);
    TALLY_ERRORS(TALLY_X)
#undef TALLY_X
    assert_string_equal(tally_strerror(0), "no error");
    assert_string_equal(tally_strerror(1), "unknown error");
    assert_string_equal(tally_strerror(-13), "unknown error");
    assert_string_equal(tally_version(), TALLY_VERSION);
}

/* What a report writes to stderr, in a file. */
static void stderr_of(const struct tally_report *report, char *text, size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    errno = 42;
    tally_report_stderr(NULL, report, NULL);
    assert_int_equal(errno, 42);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t read = fread(text, 1, size - 1, file);
    text[read] = '\0';
    fclose(file);
}

static void test_every_report_has_a_word(void **state)
{
    (void)state;
    char text[512], wanted[512];
#define TALLY_X(name, value, word)                                                                           \
    stderr_of(&(struct tally_report){.kind = (name), .sentence = "so it is"}, text, sizeof text);            \
    snprintf(wanted, sizeof wanted, "tally: %s: so it is\n", word);                                          \
    assert_string_equal(text, wanted);
    TALLY_REPORTS(TALLY_X)
#undef TALLY_X
    struct tally_report report = {.kind = TALLY_REPORT_LEAK, .sentence = "so", .type = pair_type()};
    stderr_of(&report, text, sizeof text);
    snprintf(wanted, sizeof wanted, "tally: %s: pair: so\n", "leak");
    assert_string_equal(text, wanted);
    stderr_of(&(struct tally_report){.kind = (enum tally_report_kind)99, .sentence = "so"}, text,
              sizeof text);
    assert_string_equal(text, "tally: unknown: so\n");
}

/* ---- heaps */

static void *no_map(size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    return NULL;
}
static void no_unmap(void *memory, size_t bytes, void *arg)
{
    (void)memory, (void)bytes, (void)arg;
}

static void test_options_of_heaps(void **state)
{
    (void)state;
    struct tally_heap *heap = NULL;
    struct tally_page_hooks hooks = {.map = no_map, .unmap = no_unmap}, no_way_in = {.unmap = no_unmap},
                            no_way_out = {.map = no_map};
    struct tally_heap_options options = {.hooks = &hooks, .max_pause_us = 10000000};
    assert_int_equal(tally_heap_new(TALLY_ABI + 1, NULL, &heap), TALLY_EABI);
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, NULL), TALLY_EINVAL);
    options.max_pause_us++;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), TALLY_EINVAL);
    options.max_pause_us = 0;
    options.manager = (enum tally_manager)99;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), TALLY_EINVAL);
    options.manager = TALLY_MANAGER_FULL;
    options.hooks = &no_way_in;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), TALLY_EINVAL);
    options.hooks = &no_way_out;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), TALLY_EINVAL);
    assert_null(heap);
    options = (struct tally_heap_options){.max_pause_us = 10000000, .manager = TALLY_MANAGER_FULL};
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    assert_int_equal(tally_get_max_pause(heap), 10000000);
    tally_heap_free(heap);
    options.hooks = &hooks;
    options.user = &options;
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    assert_ptr_equal(tally_heap_user(heap), &options);
    assert_int_equal(tally_get_manager(heap), TALLY_MANAGER_FULL);
    assert_null(tally_new(heap, pair_type())); /* no pages */
    heap_check(heap);
    tally_heap_free(heap);
    tally_heap_free(NULL);
}

static void test_the_environment_of_heaps(void **state)
{
    (void)state;
    struct tally_heap *heap;
#define TALLY_X(name, value, word)                                                                           \
    setenv("TALLY_MANAGER", word, 1);                                                                        \
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &heap), 0);                                             \
    assert_int_equal(tally_get_manager(heap), name);                                                         \
    tally_heap_free(heap);
    TALLY_MANAGERS(TALLY_X)
#undef TALLY_X
    setenv("TALLY_MANAGER", "nonsense", 1);
    heap = heap_make();
    assert_int_equal(tally_get_manager(heap), TALLY_MANAGER_CYCLE);
    tally_heap_free(heap);
    unsetenv("TALLY_MANAGER");
    setenv("TALLY_STRESS", "3", 1);
    heap = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL);
    tally_store_steal(pair, &pair->first, pair);
    assert_int_equal(heap_live(heap), 1);
    for (int i = 0; i < 3; i++)
        tally_decref(tally_new(heap, pair_type()));
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
    unsetenv("TALLY_STRESS");
    assert_string_equal(tally_manager_name(TALLY_MANAGER_NONE), "none");
    assert_null(tally_manager_name((enum tally_manager)0));
    assert_null(tally_manager_name((enum tally_manager)99));
}

static void test_settings_of_heaps(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    uint32_t thresholds[3] = {7, 8, 9};
    assert_int_equal(tally_set_thresholds(heap, thresholds), 0);
    for (int i = 0; i < 3; i++) {
        uint32_t wrong[3] = {1, 1, 1}, kept[3];
        wrong[i] = (uint32_t)INT32_MAX + 1;
        assert_int_equal(tally_set_thresholds(heap, wrong), TALLY_EINVAL);
        tally_get_thresholds(heap, kept);
        assert_memory_equal(kept, thresholds, sizeof kept);
        wrong[i]--;
        assert_int_equal(tally_set_thresholds(heap, wrong), 0);
        assert_int_equal(tally_set_thresholds(heap, thresholds), 0);
    }
    assert_int_equal(tally_set_max_pause(heap, 10000001), TALLY_EINVAL);
    assert_int_equal(tally_set_max_pause(heap, 10000000), 0);
    assert_int_equal(tally_get_max_pause(heap), 10000000);
    assert_int_equal(tally_set_max_pause(heap, 0), 0);
    assert_int_equal(tally_set_debug(heap, 1u << 31), TALLY_EINVAL);
    assert_int_equal(tally_set_manager(heap, (enum tally_manager)99), TALLY_EINVAL);
    assert_int_equal(tally_set_manager(heap, (enum tally_manager)0), TALLY_EINVAL);
    assert_int_equal(tally_collect(heap, -1), TALLY_EINVAL);
    assert_int_equal(tally_collect(heap, 3), TALLY_EINVAL);
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_REFCOUNT), 0);
    assert_int_equal(tally_collect(heap, 2), TALLY_EUNSUPPORTED);
    assert_int_equal(tally_set_thresholds(heap, thresholds), TALLY_EUNSUPPORTED);
    tally_heap_free(heap);
}

/* ---- objects */

static int count_one(void *object, void *arg)
{
    (void)object;
    return ++*(int *)arg;
}

static int unexplained_one(const struct tally_unexplained *found, void *arg)
{
    (void)found, (void)arg;
    return 5;
}

static void test_lengths_of_arrays(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    const struct tally_type *bytes = bytes_type();
    assert_null(tally_new_array(heap, pair_type(), 1));
    assert_null(tally_new_array(heap, bytes, SIZE_MAX));
    assert_null(tally_new_array(heap, bytes, (size_t)1 << 40));
    void *none = tally_new(heap, bytes), *some = tally_new_array(heap, bytes, 9),
         *fixed = tally_new_array(heap, pair_type(), 0);
    assert_int_equal(tally_size(none), 8);
    assert_int_equal(tally_size(some), 24);
    assert_int_equal(tally_size(fixed), sizeof(struct pair));
    assert_null(tally_construct(heap, pair_type(), 1));
    tally_publish(none); /* was never under construction */
    tally_decref(none);
    tally_decref(some);
    tally_decref(fixed);
    tally_heap_free(heap);
}

static void test_places_that_are_none(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make(), *other = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL), *freed = pair_make(heap, NULL, NULL);
    uint64_t id = tally_object_id(pair), freed_id = tally_object_id(freed);
    tally_decref(freed);
    assert_ptr_equal(tally_object_by_id(heap, id), pair);
    assert_null(tally_object_by_id(heap, freed_id));
    assert_null(tally_object_by_id(heap, id + 1)); /* inside it */
    assert_null(tally_object_by_id(heap, (uint64_t)7 << WIRE_PAGE_GRANULE_BITS));
    assert_null(tally_object_by_id(heap, UINT64_MAX));
    assert_ptr_equal(tally_object_at(heap, (char *)pair + sizeof *pair - 1), pair);
    assert_null(tally_object_at(heap, (char *)pair + sizeof *pair)); /* a word, or the slot's unused end */
    assert_null(tally_object_at(heap, freed));
    assert_null(tally_object_at(heap, page_of(pair)));
    assert_null(tally_object_at(heap, page_of(pair)->end - 1));
    assert_null(tally_object_at(heap, &heap));
    assert_null(tally_object_at(heap, NULL));
    assert_null(tally_object_at(other, pair));
    int seen = 0;
    assert_int_equal(tally_objects(heap, -2, count_one, &seen), TALLY_EINVAL);
    assert_int_equal(tally_objects(heap, TALLY_GENERATION_FROZEN + 1, count_one, &seen), TALLY_EINVAL);
    assert_int_equal(tally_objects(heap, TALLY_GENERATION_FROZEN, count_one, &seen), 0);
    assert_int_equal(seen, 0);
    tally_decref(pair);
    tally_heap_free(other);
    tally_heap_free(heap);
}

/* A callback's result other than 0 ends what asked it. */
static void test_callbacks_that_have_seen_enough(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *target = pair_make(heap, NULL, NULL);
    struct pair *pairs[3];
    for (int i = 0; i < 3; i++)
        pairs[i] = pair_make(heap, target, target);
    int seen = 0;
    assert_int_equal(tally_walk(heap, count_one, &seen), 1);
    seen = 0;
    assert_int_equal(tally_objects(heap, -1, count_one, &seen), 1);
    seen = 0;
    assert_int_equal(tally_referrers(heap, target, count_one, &seen), 1);
    seen = 0;
    assert_int_equal(tally_referents(pairs[0], count_one, &seen), 1);
    assert_int_equal(seen, 1);
    assert_int_equal(tally_unexplained(heap, unexplained_one, NULL), 5);
    for (int i = 0; i < 3; i++)
        tally_decref(pairs[i]);
    tally_decref(target);
    tally_heap_free(heap);
}

static void on_clear(struct tally_heap *heap, void *weak, void *hold)
{
    (void)heap, (void)weak, (void)hold;
}

static void test_weak_arguments(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL), *value = pair_make(heap, NULL, NULL);
    assert_null(tally_weak_new(heap, NULL, NULL, NULL, NULL));
    assert_null(tally_weak_new(heap, pair_type(), pair, NULL, NULL));
    assert_null(tally_weak_new(heap, NULL, pair, NULL, value));
    void *weak = tally_weak_new(heap, NULL, pair, on_clear, value), *map = tally_weakmap_new(heap);
    assert_int_equal(tally_weak_count(pair), 1);
    assert_int_equal(tally_weakmap_set(NULL, pair, value), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(pair, pair, value), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(map, NULL, value), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(map, pair, NULL), TALLY_EINVAL);
    struct tally_heap *other = heap_make();
    struct pair *stranger = pair_make(other, NULL, NULL);
    assert_int_equal(tally_weakmap_set(map, stranger, value), TALLY_EINVAL);
    assert_int_equal(tally_weakmap_set(map, pair, stranger), TALLY_EINVAL);
    assert_null(tally_weakmap_get(NULL, pair));
    assert_null(tally_weakmap_get(pair, pair));
    assert_null(tally_weakmap_get(map, NULL));
    assert_null(tally_weakmap_get(map, pair));
    assert_false(tally_weakmap_remove(map, pair));
    assert_false(tally_weakmap_remove(NULL, pair));
    assert_false(tally_weakmap_remove(map, NULL));
    assert_int_equal(tally_weakmap_count(map), 0);
    tally_decref(stranger);
    tally_heap_free(other);
    tally_decref(map);
    tally_decref(weak);
    tally_decref(pair);
    tally_decref(value);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_sides_that_are_none(void **state)
{
    (void)state;
    struct tally_heap *heap = heap_make(), *other = heap_make();
    struct pair *pair = pair_make(heap, NULL, NULL);
    void *variable = pair, *moved;
    assert_int_equal(tally_unpin(pair), TALLY_ESTATE);
    assert_int_equal(tally_root_add(heap, NULL), TALLY_EINVAL);
    assert_int_equal(tally_root_remove(heap, NULL), TALLY_ESTATE);
    assert_int_equal(tally_root_remove(heap, &variable), TALLY_ESTATE);
    assert_int_equal(tally_extern_bytes(pair, -1), TALLY_EINVAL);
    assert_int_equal(tally_extern_bytes(pair, INT64_MIN), TALLY_EINVAL);
    assert_int_equal(tally_extern_bytes(pair, INT64_MAX), TALLY_EINVAL);
    assert_int_equal(tally_extern_bytes(pair, 0), 0);
    assert_int_equal(tally_extern_bytes(pair, 5), 0);
    assert_int_equal(tally_extern_bytes(pair, -6), TALLY_EINVAL);
    assert_int_equal(tally_extern_bytes(pair, -5), 0);
    assert_null(tally_keep(heap, NULL));
    assert_null(tally_keep(heap, tally_dup(pair))); /* no scope is open: given back */
    assert_int_equal(tally_refcount(pair), 1);
    assert_int_equal(tally_scopes_open(heap, NULL), 0);
    assert_null(tally_garbage_get(heap, 0));
    assert_null(tally_garbage_take(heap, 0));
    assert_int_equal(tally_run_finalizers(heap, 9), 0);
    assert_int_equal(tally_transfer(other, NULL, &moved, NULL), TALLY_EINVAL);
    assert_int_equal(tally_transfer(heap, pair, &moved, NULL), TALLY_EINVAL);
    assert_int_equal(tally_transfer(other, pair, NULL, NULL), TALLY_EINVAL);
    assert_int_equal(tally_add_collection_hook(heap, NULL, NULL), TALLY_EINVAL);
    assert_int_equal(tally_remove_collection_hook(heap, NULL, NULL), TALLY_ESTATE);
    tally_decref(pair);
    tally_heap_free(other);
    tally_heap_free(heap);
}

/* Types beyond those that have rows of their own in the feed, up to the last that there can be: counted,
 * moved, verified and left behind like others. */
static void test_as_many_types_as_there_can_be(void **state)
{
    (void)state;
    const struct tally_type *type = NULL, *last = NULL;
    int error = 0;
    for (uint32_t i = 0; i < TYPE_MAX && !error; i++) {
        last = type ? type : last;
        error = tally_type_register(
            &(struct tally_type_info){.name = "many", .size = 16, .refs = refs, .ref_count = 1}, &type);
    }
    assert_int_equal(error, TALLY_ELIMIT);
    assert_int_equal(tally__type_count(), TYPE_MAX);
    struct tally_heap *heap = heap_make(), *other = heap_make();
    void **object = tally_new(heap, last), *moved;
    tally_store(object, object, object);
    heap_check(heap);
    tally_clear(object, object);
    assert_int_equal(tally_transfer(other, object, &moved, NULL), 0);
    assert_int_equal(heap_live(heap), 0);
    assert_int_equal(heap_live(other), 1);
    heap_check(other);
    pid_t child = fork();
    if (!child)
        _exit(heap_live(other) != 1 || tally_verify(other, NULL, 0) || tally_collect(other, 2));
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    tally_decref(moved);
    tally_heap_free(other);
    tally_heap_free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_types),
        cmocka_unit_test(test_sizes_and_slots_of_types),
        cmocka_unit_test(test_variable_parts_of_types),
        cmocka_unit_test(test_labels_of_types),
        cmocka_unit_test(test_which_types_are_tracked),
        cmocka_unit_test(test_every_error_has_a_sentence),
        cmocka_unit_test(test_every_report_has_a_word),
        cmocka_unit_test(test_options_of_heaps),
        cmocka_unit_test(test_the_environment_of_heaps),
        cmocka_unit_test(test_settings_of_heaps),
        cmocka_unit_test(test_lengths_of_arrays),
        cmocka_unit_test(test_places_that_are_none),
        cmocka_unit_test(test_callbacks_that_have_seen_enough),
        cmocka_unit_test(test_weak_arguments),
        cmocka_unit_test(test_sides_that_are_none),
        cmocka_unit_test(test_as_many_types_as_there_can_be), /* the last: there are none left */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
