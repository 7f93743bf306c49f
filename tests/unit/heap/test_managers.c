/* Random programs under managers that change while runs are open: nothing that the program can reach is
 * ever freed, and in the end nothing else lives. Graphs are big enough for runs of many slices, and have
 * hubs whose slots a slice leaves in the middle. Each death is checked when it happens, against a naive
 * model. */
#include "rounds.h"

static uint64_t random_state;
static size_t pick(size_t below) /* splitmix64 */
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % below;
}

enum { NODES = 1500, HUBS = 6, HUB_SLOTS = 700, SLOTS = 3, STEPS = 12000, PROGRAMS = 20, BURST = 40 };

struct node { /* a hub, which lives to the end, has more slots in native memory that grows and shrinks */
    void *fixed[SLOTS];
    void **slots;
    size_t length;
    size_t number;
};

static struct {
    struct node *object; /* NULL: freed */
    int roots;
    size_t length; /* of slots */
    int *slots;    /* node, or -1: first those of the node's fixed part */
} model[NODES];
static bool reached[NODES], reached_known;
static size_t stack[NODES];

static void reach(int node, size_t *count)
{
    if (node < 0 || reached[node])
        return;
    reached[node] = true;
    stack[(*count)++] = (size_t)node;
}

static void reach_all(void)
{
    size_t count = 0;
    if (reached_known)
        return;
    reached_known = true;
    memset(reached, 0, sizeof reached);
    for (int i = 0; i < NODES; i++)
        if (model[i].roots)
            reach(i, &count);
    while (count) {
        size_t node = stack[--count];
        for (size_t i = 0; i < model[node].length; i++)
            reach(model[node].slots[i], &count);
    }
}

/* The moment of truth: the model is always ahead of the heap. */
static void on_dispose(void *object)
{
    struct node *node = object;
    reach_all();
    assert_false(reached[node->number]);
    assert_ptr_equal(model[node->number].object, node);
    model[node->number].object = NULL;
    free(node->slots);
}

static const struct tally_type *node_type(void)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"a", 0}, {"b", 8}, {"c", 16}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "managed", .size = sizeof(struct node), .refs = refs, .ref_count = SLOTS,
            .has_external = true, .external_pointer_offset = offsetof(struct node, slots),
            .external_length_offset = offsetof(struct node, length), .dispose = on_dispose}, &type), 0);
    return type;
}

static void **slot_at(size_t node, size_t at)
{
    struct node *object = model[node].object;
    return at < SLOTS ? &object->fixed[at] : &object->slots[at - SLOTS];
}

/* A node that the program can get at: it holds it, or gets there from one that it holds. */
static int walk_to(void)
{
    for (int tries = 0; tries < 30; tries++) {
        int node = (int)pick(pick(2) ? NODES : HUBS);
        if (!model[node].roots)
            continue;
        for (size_t steps = pick(6); steps; steps--) {
            int next = model[node].slots[pick(model[node].length)];
            if (next >= 0)
                node = next;
        }
        return node;
    }
    return -1;
}

static int held(void)
{
    for (int tries = 0; tries < 30; tries++) {
        int node = HUBS + (int)pick(NODES - HUBS);
        if (model[node].roots)
            return node;
    }
    return -1;
}

static void model_set(size_t node, size_t at, int value)
{
    reached_known = false;
    model[node].slots[at] = value;
}

static void make(struct tally_heap *heap, size_t node)
{
    if (model[node].object)
        return;
    struct node *made = tally_new(heap, node_type());
    assert_non_null(made);
    assert_null(model[node].object);
    made->number = node;
    reached_known = false;
    model[node].object = made;
    model[node].roots = 1;
    model[node].length = SLOTS;
    for (size_t i = 0; i < SLOTS; i++)
        model[node].slots[i] = -1;
    int parent = walk_to();
    if (parent < 0 || node < HUBS || !pick(3))
        return;
    size_t at = pick(model[parent].length); /* most are held by others */
    model_set((size_t)parent, at, (int)node);
    model[node].roots = 0;
    int back = pick(2) ? parent : (int)node; /* and in a cycle */
    model_set(node, 0, back);
    tally_store(made, slot_at(node, 0), model[back].object);
    tally_store_steal(model[parent].object, slot_at((size_t)parent, at), made);
}

/* Grows by empty slots, or gives back what the last ones hold and shrinks. */
static void resize(size_t node)
{
    struct node *object = model[node].object;
    size_t target = pick(2) ? HUB_SLOTS : pick(HUB_SLOTS);
    while (object->length > target) {
        model_set(node, SLOTS + object->length - 1, -1);
        tally_clear(object, &object->slots[object->length - 1]);
        object->length--;
        model[node].length--;
    }
    void **slots = malloc(HUB_SLOTS * sizeof *slots); /* moves, as realloc() may */
    assert_non_null(slots);
    memset(slots, 0, HUB_SLOTS * sizeof *slots);
    if (object->length)
        memcpy(slots, object->slots, object->length * sizeof *slots);
    free(object->slots);
    object->slots = slots;
    while (object->length < target) {
        object->length++;
        model[node].slots[model[node].length++] = -1;
    }
}

static void store(bool steal)
{
    int holder = walk_to(), value = steal ? held() : walk_to();
    if (holder < 0 || value < 0)
        return;
    size_t at = pick(model[holder].length);
    void *stored = model[value].object;
    model_set((size_t)holder, at, value);
    model[value].roots -= steal;
    if (steal)
        tally_store_steal(model[holder].object, slot_at((size_t)holder, at), stored);
    else
        tally_store(model[holder].object, slot_at((size_t)holder, at), stored);
}

static void take(void)
{
    int holder = walk_to();
    if (holder < 0)
        return;
    size_t at = pick(model[holder].length);
    int value = model[holder].slots[at];
    model_set((size_t)holder, at, -1);
    if (value >= 0)
        model[value].roots++;
    void *taken = tally_take(model[holder].object, slot_at((size_t)holder, at));
    assert_ptr_equal(taken, value < 0 ? NULL : model[value].object);
}

static void move(void)
{
    int from = walk_to(), to = walk_to();
    if (from < 0 || to < 0)
        return;
    size_t from_at = pick(model[from].length), to_at = pick(model[to].length);
    if (from == to && from_at == to_at)
        return;
    model_set((size_t)to, to_at, model[from].slots[from_at]);
    model_set((size_t)from, from_at, -1);
    tally_incref(model[to].object); /* what the target slot held may have held the target */
    model[to].roots++;
    tally_move(model[to].object, slot_at((size_t)to, to_at), model[from].object,
               slot_at((size_t)from, from_at));
    reached_known = false;
    model[to].roots--;
    tally_decref(model[to].object);
}

static void clear(void)
{
    int holder = walk_to();
    if (holder < 0)
        return;
    size_t at = pick(model[holder].length);
    model_set((size_t)holder, at, -1);
    tally_clear(model[holder].object, slot_at((size_t)holder, at));
}

/* Borrowed from a slot and kept: no call of the library's sees it. */
static void borrow(void)
{
    int node = walk_to();
    if (node < 0)
        return;
    reached_known = false;
    model[node].roots++;
    tally_incref(model[node].object);
}

static void let_go(void)
{
    int node = held();
    if (node < 0)
        return;
    reached_known = false;
    model[node].roots--;
    tally_decref(model[node].object);
}

static void change_nothing_or_all(struct tally_heap *heap)
{
    switch (pick(40)) {
    case 0:
        assert_int_equal(tally_set_manager(heap, (enum tally_manager)(1 + pick(5))), 0);
        break;
    case 1:
        assert_int_equal(tally_set_max_pause(heap, pick(4) ? 1 + pick(50) : 0), 0);
        break;
    case 2:
        tally_freeze(heap);
        break;
    case 3:
    case 4:
        tally_unfreeze(heap);
        break;
    case 5:
        tally_collect(heap, (int)pick(3));
        break;
    case 6:
        tally_set_thresholds(heap, (uint32_t[]){(uint32_t)(1 + pick(300)), 3, 3});
        break;
    default:
        tally_step(heap, pick(8) ? 0 : 50);
    }
}

static void step(struct tally_heap *heap)
{
    size_t kind = pick(20);
    if (kind < 6)
        make(heap, pick(NODES));
    else if (kind < 8)
        store(false);
    else if (kind < 10)
        store(true);
    else if (kind < 12)
        take();
    else if (kind < 14)
        move();
    else if (kind == 14)
        clear();
    else if (kind == 15)
        borrow();
    else if (kind == 16 && !pick(8))
        resize(pick(HUBS));
    else
        let_go();
}

static void compare(struct tally_heap *heap, bool collected)
{
    heap_check(heap);
    reach_all();
    for (size_t i = 0; i < NODES; i++) {
        if (collected && !reached[i])
            assert_null(model[i].object);
        if (!reached[i])
            continue;
        assert_non_null(model[i].object);
        for (size_t at = 0; at < model[i].length; at++) {
            int value = model[i].slots[at];
            assert_ptr_equal(*slot_at(i, at), value < 0 ? NULL : model[value].object);
        }
    }
}

static void back_to_cycle(struct tally_heap *heap)
{
    assert_int_equal(tally_set_manager(heap, TALLY_MANAGER_CYCLE), 0);
    tally_unfreeze(heap);
    settle(heap);
    assert_true(tally_collect(heap, 2) >= 0);
    compare(heap, true);
}

static void no_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap;
    fail_msg("program %llu: %s", *(unsigned long long *)arg, report->sentence);
}

static void run_program(uint64_t seed)
{
    struct tally_heap *heap = heap_make();
    tally_set_report(heap, no_report, &seed);
    random_state = seed;
    reached_known = false;
    for (size_t i = 0; i < NODES; i++) {
        model[i].slots = malloc((i < HUBS ? SLOTS + HUB_SLOTS : (size_t)SLOTS) * sizeof *model[i].slots);
        model[i].object = NULL;
        model[i].roots = 0;
    }
    for (size_t i = 0; i < HUBS; i++)
        make(heap, i);
    tally_enable(heap);
    for (size_t i = 0; i < STEPS; i++) {
        step(heap);
        if (i % BURST == 0 || pick(3) == 0)
            change_nothing_or_all(heap);
        if (i % 997 == 0)
            compare(heap, false);
        if (i % 3989 == 3988)
            back_to_cycle(heap);
    }
    for (size_t i = 0; i < NODES; i++)
        for (reached_known = false; model[i].roots; reached_known = false) {
            model[i].roots--;
            tally_decref(model[i].object);
        }
    reached_known = false;
    back_to_cycle(heap);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
    for (size_t i = 0; i < NODES; i++)
        free(model[i].slots);
}

static void test_random_programs_under_managers_that_change(void **state)
{
    (void)state;
    const char *first = getenv("TALLY_TEST_SEED"), *count = getenv("TALLY_TEST_PROGRAMS");
    uint64_t seed = first ? strtoull(first, NULL, 10) : 1;
    uint64_t programs = count ? strtoull(count, NULL, 10) : PROGRAMS;
    for (uint64_t i = 0; i < programs; i++)
        run_program(seed + i);
}

/* Pages count towards what is due, however few the objects. */
static void test_memory_alone_makes_runs_due(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = heap_make();
        assert_int_equal(tally_set_manager(heap, manager), 0);
        tally_enable(heap);
        for (int i = 0; i < 100; i++) {
            struct wide *loop = wide_make(heap, (size_t)1 << 17);
            tally_store_steal(loop, &loop->slots[0], loop);
            if (manager != TALLY_MANAGER_GENERATIONAL) /* there pages have no say, as in CPython */
                assert_in_range(heap_stats(heap).mapped_bytes, 0, 64 << 20);
        }
        tally_collect(heap, 2);
        assert_int_equal(heap_live(heap), 0);
        tally_heap_free(heap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_alone_makes_runs_due),
        cmocka_unit_test(test_random_programs_under_managers_that_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
