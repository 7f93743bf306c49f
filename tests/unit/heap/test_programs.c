/* Random programs with everything that moves references, between the slices of paused runs: nothing that the
 * program can reach is ever freed, and after a full collection nothing else lives. The model is a naive one:
 * an array of nodes and the search from what the program holds; weak maps by iteration to a fixed point. */
#include "support.h"

enum { NODES = 40, SLOTS = 3, MAPS = 2, STEPS = 3000, PROGRAMS = 40 };

struct node {
    void *slots[SLOTS];
    int64_t number;
};

static uint64_t random_state;
static int pick(int below) /* splitmix64 */
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (int)((z ^ z >> 31) % (uint64_t)below);
}

static struct {
    struct node *object; /* NULL: freed */
    int slots[SLOTS];    /* node, or -1 */
    int roots;
    void *weak; /* held by the program */
} model[NODES];
static struct {
    void *map;
    int values[NODES]; /* of the key; -1: no entry */
} maps[MAPS];
static bool reached[NODES];

static void on_dispose(void *object)
{
    int64_t number = ((struct node *)object)->number;
    assert_ptr_equal(model[number].object, object);
    model[number].object = NULL;
}

static const struct tally_type *node_type(void)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"a", 0}, {"b", 8}, {"c", 16}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "program-node",
                                                                       .size = sizeof(struct node),
                                                                       .refs = refs,
                                                                       .ref_count = SLOTS,
                                                                       .dispose = on_dispose},
                                             &type),
                         0);
    return type;
}

static void reach(int node)
{
    if (node < 0 || reached[node])
        return;
    reached[node] = true;
    for (int i = 0; i < SLOTS; i++)
        reach(model[node].slots[i]);
}

static void reach_all(void)
{
    memset(reached, 0, sizeof reached);
    for (int i = 0; i < NODES; i++)
        if (model[i].roots)
            reach(i);
    for (bool more = true; more;) {
        more = false;
        for (int m = 0; m < MAPS; m++)
            for (int i = 0; i < NODES; i++)
                if (reached[i] && maps[m].values[i] >= 0 && !reached[maps[m].values[i]]) {
                    reach(maps[m].values[i]);
                    more = true;
                }
    }
}

static void forget_the_dead(void)
{
    for (int i = 0; i < NODES; i++)
        for (int m = 0; m < MAPS && !model[i].object; m++)
            maps[m].values[i] = -1;
}

static void compare(struct tally_heap *heap, bool collected)
{
    reach_all();
    for (int i = 0; i < NODES; i++) {
        if (reached[i])
            assert_non_null(model[i].object);
        else if (collected)
            assert_null(model[i].object);
        if (!reached[i] || !model[i].weak)
            continue;
        void *found = tally_weak_lock(model[i].weak);
        assert_ptr_equal(found, model[i].object);
        tally_decref(found);
    }
    heap_check(heap);
}

/* A node that the program holds, or -1. */
static int held(void)
{
    int node = pick(NODES);
    return model[node].roots ? node : -1;
}

static void make(struct tally_heap *heap)
{
    int node = pick(NODES);
    if (model[node].object)
        return;
    if (model[node].weak)
        tally_decref(model[node].weak);
    model[node].weak = NULL;
    bool hidden = !pick(4);
    struct node *made = hidden ? tally_construct(heap, node_type(), 0) : tally_new(heap, node_type());
    assert_non_null(made);
    made->number = node;
    model[node].object = made;
    model[node].roots = 1;
    for (int i = 0; i < SLOTS; i++)
        model[node].slots[i] = -1;
    for (int m = 0; m < MAPS; m++)
        maps[m].values[node] = -1;
    if (hidden) {
        int other = held();
        if (other >= 0) {
            model[node].slots[0] = other;
            tally_store(made, &made->slots[0], model[other].object);
        }
        if (pick(2))
            tally_step(heap, 0);
        tally_publish(made);
    }
}

static void store(bool steal)
{
    int holder = held(), value = held(), slot = pick(SLOTS);
    if (holder < 0 || value < 0)
        return;
    struct node *object = model[holder].object;
    void *stored = model[value].object;
    model[holder].slots[slot] = value;
    if (!steal) {
        tally_store(object, &object->slots[slot], stored);
        return;
    }
    model[value].roots--;
    tally_store_steal(object, &object->slots[slot], stored);
}

static void take(void)
{
    int holder = held(), slot = pick(SLOTS);
    if (holder < 0)
        return;
    int value = model[holder].slots[slot];
    void *taken = tally_take(model[holder].object, &model[holder].object->slots[slot]);
    assert_ptr_equal(taken, value < 0 ? NULL : model[value].object);
    model[holder].slots[slot] = -1;
    if (value >= 0)
        model[value].roots++;
}

static void move(void)
{
    int from = held(), to = held(), from_slot = pick(SLOTS), to_slot = pick(SLOTS);
    if (from < 0 || to < 0 || (from == to && from_slot == to_slot))
        return;
    model[to].slots[to_slot] = model[from].slots[from_slot];
    model[from].slots[from_slot] = -1;
    tally_move(model[to].object, &model[to].object->slots[to_slot], model[from].object,
               &model[from].object->slots[from_slot]);
}

/* Borrows from a slot and keeps: no call of the library sees it but the incref. */
static void borrow(void)
{
    int holder = held(), slot = pick(SLOTS);
    if (holder < 0 || model[holder].slots[slot] < 0)
        return;
    tally_incref(model[holder].object->slots[slot]);
    model[model[holder].slots[slot]].roots++;
}

static void drop(void)
{
    int node = held();
    if (node < 0)
        return;
    model[node].roots--;
    tally_decref(model[node].object);
}

static void weak(struct tally_heap *heap)
{
    int node = pick(NODES);
    if (model[node].weak && model[node].object) {
        void *found = tally_weak_lock(model[node].weak);
        if (found) {
            assert_ptr_equal(found, model[node].object);
            model[node].roots++;
        }
    } else if (model[node].roots && !model[node].weak) {
        model[node].weak = tally_weak_new(heap, NULL, model[node].object, NULL, NULL);
    }
}

static void map(void)
{
    int m = pick(MAPS), key = held(), value = held();
    if (key < 0)
        return;
    if (value >= 0 && pick(2)) {
        assert_int_equal(tally_weakmap_set(maps[m].map, model[key].object, model[value].object), 0);
        maps[m].values[key] = value;
    } else if (pick(2)) {
        void *found = tally_weakmap_get(maps[m].map, model[key].object);
        assert_ptr_equal(found, maps[m].values[key] < 0 ? NULL : model[maps[m].values[key]].object);
        if (found)
            model[maps[m].values[key]].roots++;
    } else {
        bool there = maps[m].values[key] >= 0;
        maps[m].values[key] = -1;
        assert_int_equal(tally_weakmap_remove(maps[m].map, model[key].object), there);
    }
}

static int take_hold(void *object, void *arg)
{
    if (tally_type_of(object) != node_type() || pick(10))
        return 0;
    tally_incref(object);
    model[((struct node *)object)->number].roots++;
    *(bool *)arg = true;
    return 1;
}

static void control(struct tally_heap *heap)
{
    bool taken = false;
    switch (pick(12)) {
    case 0:
        tally_freeze(heap);
        break;
    case 1:
        tally_unfreeze(heap);
        break;
    case 2:
        tally_set_manager(heap, (enum tally_manager)(1 + pick(5)));
        break;
    case 3:
        tally_set_max_pause(heap, pick(3) ? 1 : 0);
        break;
    case 4:
        tally_collect(heap, pick(3));
        break;
    case 5:
        tally_walk(heap, take_hold, &taken);
        break;
    case 6:
        assert_true(tally_find_cycles(heap) >= 0);
        break;
    default:
        tally_step(heap, 0);
    }
}

static void step(struct tally_heap *heap)
{
    switch (pick(16)) {
    case 0:
    case 1:
    case 2:
        make(heap);
        break;
    case 3:
    case 4:
        store(false);
        break;
    case 5:
        store(true);
        break;
    case 6:
        take();
        break;
    case 7:
        move();
        break;
    case 8:
        borrow();
        break;
    case 9:
        weak(heap);
        break;
    case 10:
        map();
        break;
    case 11:
    case 12:
        control(heap);
        break;
    default:
        drop();
    }
    forget_the_dead();
}

static void settle(struct tally_heap *heap)
{
    tally_set_manager(heap, TALLY_MANAGER_CYCLE);
    tally_unfreeze(heap);
    while (tally_step(heap, UINT64_MAX))
        ;
    assert_true(tally_collect(heap, 2) >= 0);
}

static void run_program(uint64_t seed)
{
    struct tally_heap *heap = heap_make();
    random_state = seed;
    memset(model, 0, sizeof model);
    for (int m = 0; m < MAPS; m++) {
        maps[m].map = tally_weakmap_new(heap);
        for (int i = 0; i < NODES; i++)
            maps[m].values[i] = -1;
    }
    tally_enable(heap);
    assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){(uint32_t)(1 + seed % 7), 3, 3}), 0);
    for (int i = 0; i < STEPS; i++) {
        step(heap);
        if (i % 13 == 0)
            compare(heap, false);
        if (i % 301 == 300) {
            settle(heap);
            forget_the_dead();
            compare(heap, true);
        }
    }
    for (int i = 0; i < NODES; i++) {
        while (model[i].roots) {
            model[i].roots--;
            tally_decref(model[i].object);
        }
        if (model[i].weak)
            tally_decref(model[i].weak);
        model[i].weak = NULL;
    }
    for (int m = 0; m < MAPS; m++)
        tally_decref(maps[m].map);
    settle(heap);
    assert_int_equal(heap_live(heap), 0);
    tally_heap_free(heap);
}

static void test_random_programs_between_slices(void **state)
{
    (void)state;
    const char *first = getenv("TALLY_TEST_SEED"), *count = getenv("TALLY_TEST_PROGRAMS");
    uint64_t seed = first ? strtoull(first, NULL, 10) : 1,
             programs = count ? strtoull(count, NULL, 10) : PROGRAMS;
    for (uint64_t i = 0; i < programs; i++)
        run_program(seed + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_programs_between_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
