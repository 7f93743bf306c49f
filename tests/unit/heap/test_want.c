/* Want of memory: in every entry point that takes some, the n-th request to the system fails, for every n,
 * once and from then on. The call says so, the heap verifies, and a retry works. The linker sends the
 * library's requests here (see the Makefile). */
#include <errno.h>
#include <sys/mman.h>

#include "heap/internal.h"
#include "support.h"

static struct {
    uint64_t at;  /* the request that fails; 0: none */
    bool lasting; /* and all that follow */
    uint64_t count;
    bool failed;
    const struct tally_heap *heap; /* whose own checks, in debug builds, get what they want */
} want;

static bool fails(void)
{
    if (!want.at)
        return false;
#ifdef TALLY_DEBUG
    if (want.heap && want.heap->checking)
        return false;
#endif
    want.count++;
    bool now = want.count == want.at || (want.lasting && want.count > want.at);
    want.failed |= now;
    if (now)
        errno = ENOMEM;
    return now;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
char *__real_strdup(const char *text);
void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}
void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}
void *__wrap_realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __real_realloc(memory, bytes);
}
char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}
/* Pages are never aligned by themselves. */
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    enum { PAGE = 65536, OFF = 4096 };
    if (fails())
        return MAP_FAILED;
    if (!want.at || bytes % PAGE)
        return __real_mmap(address, bytes, protection, flags, fd, offset);
    char *memory = __real_mmap(address, bytes + PAGE, protection, flags, fd, offset);
    assert_ptr_not_equal(memory, MAP_FAILED);
    size_t before = (PAGE - (uintptr_t)memory % PAGE) % PAGE + OFF;
    munmap(memory, before);
    if (before < PAGE)
        munmap(memory + before + bytes, PAGE - before);
    return memory + before;
}

int __real_madvise(void *address, size_t bytes, int advice);
int __wrap_madvise(void *address, size_t bytes, int advice)
{
    return fails() ? -1 : __real_madvise(address, bytes, advice);
}

/* Pages are asked for one by one of hooks, and many at a time without. */
static bool hooked;

static void *page_map(size_t bytes, void *arg)
{
    void *memory = NULL;
    (void)arg;
    if (fails() || posix_memalign(&memory, 65536, bytes))
        return NULL;
    memset(memory, 0, bytes);
    return memory;
}

static void page_unmap(void *memory, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    free(memory);
}

static struct tally_heap *heap_wanting(void *user)
{
    static const struct tally_page_hooks hooks = {page_map, page_unmap, NULL};
    struct tally_heap *heap = NULL;
    const struct tally_heap_options options = {.hooks = hooked ? &hooks : NULL, .user = user};
    assert_int_equal(tally_heap_new(TALLY_ABI, &options, &heap), 0);
    tally_disable(heap);
    return heap;
}

/* A scenario prepares (nothing fails), acts (which may), and says whether it went well. What it made is
 * undone. */
struct scenario {
    const char *name;
    bool (*act)(struct tally_heap *heap);
};

static bool act_heap(struct tally_heap *heap)
{
    (void)heap;
    struct tally_heap *made = NULL;
    int error = tally_heap_new(TALLY_ABI, NULL, &made);
    if (error)
        assert_true(error == TALLY_ENOMEM || error == TALLY_ESYS); /* a kernel that refuses to wipe on fork */
    if (made && tally__heap_feed_swap(made, NULL, NULL))
        error = TALLY_ENOMEM;
    uint64_t at = want.at;
    want.at = 0;
    tally_heap_free(made);
    want.at = at;
    return !error;
}

static bool act_type(struct tally_heap *heap)
{
    (void)heap;
    const struct tally_type *type = NULL;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    int error = tally_type_register(&(struct tally_type_info){.name = "wanting",
                                                              .size = 32,
                                                              .refs = refs,
                                                              .ref_count = 2,
                                                              .has_external = true,
                                                              .external_pointer_offset = 16,
                                                              .external_length_offset = 24,
                                                              .external_name = "more",
                                                              .trailing = TALLY_TRAILING_SLOTS,
                                                              .trailing_length_offset = 24,
                                                              .trailing_name = "rest"},
                                    &type);
    assert_true(error == 0 || error == TALLY_ENOMEM);
    assert_true(!error == !!type);
    return !error;
}

/* Many pages, a large object, and garbage that the last resort finds. */
static bool act_objects(struct tally_heap *heap)
{
    static const struct tally_type *large;
    if (!large) {
        uint64_t at = want.at;
        want.at = 0;
        assert_int_equal(
            tally_type_register(&(struct tally_type_info){.name = "large", .size = 300000}, &large), 0);
        want.at = at;
    }
    struct pair *head = NULL;
    bool all = true;
    for (int i = 0; i < 3000 && all; i++) {
        struct pair *pair = tally_new(heap, pair_type());
        all = pair;
        if (!pair)
            break;
        tally_store_steal(pair, &pair->first, head);
        head = pair;
    }
    void *big = all ? tally_new(heap, large) : NULL;
    all &= big != NULL;
    if (big)
        tally_decref(big);
    if (head)
        tally_decref(head);
    return all;
}

static bool act_weak(struct tally_heap *heap)
{
    bool all = true;
    struct pair *targets[40] = {NULL};
    void *weak[40] = {NULL};
    for (int i = 0; i < 40 && all; i++) {
        targets[i] = tally_new(heap, pair_type());
        weak[i] = targets[i] ? tally_weak_new(heap, NULL, targets[i], NULL, NULL) : NULL;
        all = weak[i];
    }
    for (int i = 0; i < 40; i++) {
        if (weak[i])
            tally_decref(weak[i]);
        if (targets[i])
            tally_decref(targets[i]);
    }
    return all;
}

static bool act_weakmap(struct tally_heap *heap)
{
    void *map = tally_weakmap_new(heap);
    bool all = map;
    struct pair *keys[40] = {NULL};
    for (int i = 0; i < 40 && all; i++) {
        keys[i] = tally_new(heap, pair_type());
        int error = keys[i] ? tally_weakmap_set(map, keys[i], keys[i]) : TALLY_ENOMEM;
        if (error)
            assert_int_equal(error, TALLY_ENOMEM);
        all = !error;
        assert_int_equal(tally_weakmap_count(map), all ? i + 1 : i);
    }
    for (int i = 0; i < 40; i++)
        if (keys[i])
            tally_decref(keys[i]);
    if (map)
        tally_decref(map);
    return all;
}

static bool act_sides(struct tally_heap *heap)
{
    bool all = true;
    void *variables[40];
    struct pair *pairs[40] = {NULL};
    int pinned = 0, rooted = 0;
    for (int i = 0; i < 40 && all; i++) {
        pairs[i] = tally_new(heap, pair_type());
        variables[i] = pairs[i];
        all = pairs[i] && !tally_extern_bytes(pairs[i], 100);
        if (all && (all = !tally_pin(pairs[i])))
            pinned++;
        if (all && (all = !tally_root_add(heap, &variables[i])))
            rooted++;
    }
    for (int i = 0; i < rooted; i++)
        assert_int_equal(tally_root_remove(heap, &variables[i]), 0);
    for (int i = 0; i < pinned; i++)
        assert_int_equal(tally_unpin(pairs[i]), 0);
    for (int i = 0; i < 40; i++)
        if (pairs[i])
            tally_decref(pairs[i]);
    return all;
}

static bool act_scope(struct tally_heap *heap)
{
    struct tally_scope scope = tally_scope_open(heap);
    bool all = true;
    for (int i = 0; i < 200 && all; i++)
        all = tally_keep(heap, tally_new(heap, pair_type()));
    tally_scope_close(&scope);
    return all;
}

static bool act_switches(struct tally_heap *heap)
{
    int debug = tally_set_debug(heap, TALLY_DEBUG_SAVEALL),
        queue = tally_set_finalizer_queue(heap, true, NULL, NULL);
    assert_true(debug == 0 || debug == TALLY_ENOMEM);
    assert_true(queue == 0 || queue == TALLY_ENOMEM);
    assert_int_equal(tally_get_debug(heap), debug ? 0 : TALLY_DEBUG_SAVEALL);
    tally_set_debug(heap, 0);
    tally_set_finalizer_queue(heap, false, NULL, NULL);
    return !debug && !queue;
}

/* A collection takes none but for shapes, and goes without: it always does all of its work. */
static bool act_collect(struct tally_heap *heap)
{
    uint64_t at = want.at;
    want.at = 0;
    for (int i = 0; i < 10; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->second, pair);
    }
    want.at = at;
    bool before = want.failed;
    assert_int_equal(tally_find_cycles(heap), 10);
    assert_int_equal(tally_collect(heap, 2), 10);
    bool went_without = want.failed && !before;
    tally_cycles_clear(heap);
    return !went_without;
}

static int ignore_unexplained(const struct tally_unexplained *found, void *arg)
{
    (void)found, (void)arg;
    return 0;
}

static bool act_questions(struct tally_heap *heap)
{
    static const struct tally_type *tree;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    uint64_t at = want.at;
    want.at = 0;
    if (!tree)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "tree",
                                                                       .size = sizeof(struct pair),
                                                                       .refs = refs,
                                                                       .ref_count = 2,
                                                                       .flags = TALLY_TYPE_ACYCLIC},
                                             &tree),
                         0);
    struct pair *pair = pair_make(heap, NULL, NULL), *root = tally_new(heap, tree);
    tally_store(pair, &pair->first, pair);
    tally_store_steal(pair, &pair->second, root);
    for (int i = 0; i < 50; i++) { /* a tree that the verifier's tables grow on */
        struct pair *next = tally_new(heap, tree);
        tally_store_steal(next, &next->first, root->first ? tally_take(root, &root->first) : NULL);
        if (i % 15) /* tables grow at either slot */
            tally_store_steal(next, &next->second, pair_make(heap, NULL, NULL));
        tally_store_steal(root, &root->first, next);
    }
    want.at = at;
    bool before = want.failed;
    int unexplained = tally_unexplained(heap, ignore_unexplained, NULL),
        verified = tally_verify(heap, NULL, 0);
    assert_true(unexplained == 0 || unexplained == TALLY_ENOMEM);
    assert_true(verified == 0 || verified == TALLY_ENOMEM);
    assert_true(before || !want.failed || unexplained || verified);
    tally_clear(pair, &pair->first);
    tally_decref(pair);
    return !unexplained && !verified;
}

static bool act_transfer(struct tally_heap *heap)
{
    uint64_t at = want.at;
    want.at = 0;
    struct tally_heap *to = heap_wanting(NULL);
    struct pair *head = NULL;
    static const struct tally_type *large;
    if (!large)
        assert_int_equal(
            tally_type_register(&(struct tally_type_info){.name = "large", .size = 300000}, &large), 0);
    for (int i = 0; i < 100; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, head);
        if (!i)
            tally_store_steal(pair, &pair->second, tally_new(heap, large));
        assert_int_equal(tally_extern_bytes(pair, 1), 0);
        head = pair;
    }
    void *weak = tally_weak_new(heap, NULL, head, NULL, NULL), *moved = NULL;
    tally_store_steal(head, &head->second, weak);
    want.at = at;
    int error = tally_transfer(to, head, &moved, NULL);
    want.at = 0;
    assert_true(error == 0 || error == TALLY_ENOMEM);
    heap_check(heap);
    heap_check(to);
    assert_int_equal(heap_live(to), error ? 0 : 102);
    assert_int_equal(heap_live(heap), error ? 102 : 0);
    tally_decref(error ? (void *)head : moved);
    tally_heap_free(to);
    want.at = at;
    return !error;
}

static void count_leaks(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap, (void)report;
    ++*(unsigned *)arg;
}

/* A heap's end needs none; without, what has leaked goes unsaid. */
static bool act_leaks(struct tally_heap *heap)
{
    uint64_t at = want.at;
    unsigned leaks = 0;
    want.at = 0;
    (void)heap;
    struct tally_heap *other = heap_wanting(NULL);
    assert_int_equal(tally_set_manager(other, TALLY_MANAGER_REFCOUNT), 0);
    tally_set_report(other, count_leaks, &leaks);
    struct pair *pair = pair_make(other, NULL, NULL);
    tally_store_steal(pair, &pair->first, pair);
    pair_make(other, NULL, NULL);
    bool before = want.failed;
    want.at = at;
    tally_heap_free(other);
    bool went_without = want.failed && !before;
    assert_true(leaks == 2 || (went_without && leaks < 2));
    return !went_without;
}

/* Collections that are already running, and what their finalizers ask for. */
static bool finalizer_got;
static void ask_in_finalizer(struct tally_heap *heap, void *object)
{
    (void)object;
    void *got = tally_new_array(heap, tally_heap_user(heap), 1 << 20);
    finalizer_got = got;
    if (got)
        tally_decref(got);
}

static bool act_finalizers(struct tally_heap *heap)
{
    static const struct tally_type *asking;
    uint64_t at = want.at;
    (void)heap;
    want.at = 0;
    if (!asking)
        asking = pair_type_make("asking", ask_in_finalizer);
    struct tally_heap *other = heap_wanting((void *)(uintptr_t)bytes_type());
    struct pair *pair = tally_new(other, asking);
    tally_store_steal(pair, &pair->first, pair);
    bool before = want.failed;
    want.at = at;
    int64_t collected = tally_collect(other, 2);
    want.at = 0;
    assert_int_equal(collected, 1);
    assert_true(finalizer_got || (want.failed && !before));
    bool got = finalizer_got;
    tally_heap_free(other);
    want.at = at;
    return got;
}

/* A guess goes without its shadow. */
static bool act_guess(struct tally_heap *heap)
{
    struct pair *root = tally_new(heap, pair_type());
    bool before = want.failed;
    if (!root)
        return false;
    assert_int_equal(tally_collect(heap, 2), 0);
    tally_decref(tally_dup(root));
    assert_int_equal(tally_collect(heap, 2), 0);
    bool went_without = want.failed && !before;
    assert_int_equal(heap->run.guessed, !went_without);
    tally_decref(root);
    return !went_without;
}

static const struct scenario scenarios[] = {
    {"heap", act_heap},
    {"type", act_type},
    {"objects", act_objects},
    {"weak", act_weak},
    {"weakmap", act_weakmap},
    {"sides", act_sides},
    {"scope", act_scope},
    {"switches", act_switches},
    {"collect", act_collect},
    {"guess", act_guess},
    {"questions", act_questions},
    {"transfer", act_transfer},
    {"leaks", act_leaks},
    {"finalizers", act_finalizers},
};

static void sweep(const struct scenario *scenario, bool lasting)
{
    uint64_t failures = 0;
    for (uint64_t n = 1; n < 10000; n++) {
        want.at = 0;
        struct tally_heap *heap = heap_wanting(NULL);
        pair_type();
        want.heap = heap;
        want.at = n;
        want.lasting = lasting;
        want.count = 0;
        want.failed = false;
        bool well = scenario->act(heap);
        bool failed = want.failed;
        want.at = 0;
        heap_check(heap);
        assert_true(well || failed);
        assert_true(scenario->act(heap));
        heap_check(heap);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
        failures += failed;
        if (!failed) {
            assert_true(n > 1);
            print_message("# %s, %s: %llu requests\n", scenario->name, lasting ? "from then on" : "once",
                          (unsigned long long)failures);
            return;
        }
    }
    fail_msg("%s does not end", scenario->name);
}

static void sweep_all(bool lasting)
{
    for (int with = 0; with < 2; with++) {
        hooked = with;
        for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
            sweep(&scenarios[i], lasting);
    }
    hooked = false;
}

static void test_the_nth_request_fails_once(void **state)
{
    (void)state;
    sweep_all(false);
}

static void test_the_nth_request_fails_and_all_that_follow(void **state)
{
    (void)state;
    sweep_all(true);
}

/* The library's own types are made by the first heap: a failure in between is made up for by the next. */
static void test_the_first_heap_can_fail_anywhere(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 100; n++) {
        struct tally_heap *heap = NULL;
        want.at = n;
        want.lasting = true;
        want.count = 0;
        want.failed = false;
        const struct tally_type *type = NULL;
        int error = n % 2 ? tally_heap_new(TALLY_ABI, NULL, &heap)
                          : tally_type_register(&(struct tally_type_info){.name = "first", .size = 8}, &type);
        want.at = 0;
        if (!error && type)
            continue;
        if (!error) {
            assert_true(n > 5);
            void *map = tally_weakmap_new(heap);
            assert_string_equal(tally_type_name(tally_type_of(map)), "weakmap");
            tally_decref(map);
            tally_heap_free(heap);
            return;
        }
        assert_true(error == TALLY_ENOMEM || error == TALLY_ESYS);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_heap_can_fail_anywhere),
        cmocka_unit_test(test_the_nth_request_fails_once),
        cmocka_unit_test(test_the_nth_request_fails_and_all_that_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
