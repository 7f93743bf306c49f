/* Random programs against a naive model: an array of nodes, whose reachability is searched. The heap is
 * verified throughout. */
#include "support.h"

enum { NODES = 60, STEPS = 4000, PROGRAMS = 25 };

static uint64_t random_state;
static uint64_t random_next(void) /* splitmix64 */
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static struct {
    struct pair *object; /* NULL: freed */
    int slots[2];        /* node, or -1 */
    int roots;
} model[NODES];
static bool reached[NODES];

static void on_dispose(void *object)
{
    model[((struct pair *)object)->number].object = NULL;
}

static const struct tally_type *node_type(void)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "node",
                                                                       .size = sizeof(struct pair),
                                                                       .refs = refs,
                                                                       .ref_count = 2,
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
    reach(model[node].slots[0]);
    reach(model[node].slots[1]);
}

/* Nothing reachable is freed, ever; after a full collection nothing else lives. */
static void compare(struct tally_heap *heap, bool collected)
{
    uint64_t live = 0;
    memset(reached, 0, sizeof reached);
    for (int i = 0; i < NODES; i++)
        if (model[i].roots)
            reach(i);
    for (int i = 0; i < NODES; i++) {
        live += model[i].object != NULL;
        if (reached[i])
            assert_non_null(model[i].object);
        else if (collected)
            assert_null(model[i].object);
    }
    assert_int_equal(heap_live(heap), live);
    heap_check(heap);
}

static void step(struct tally_heap *heap)
{
    int node = (int)(random_next() % NODES), other = (int)(random_next() % NODES),
        slot = (int)(random_next() % 2);
    bool holds = model[node].roots > 0, other_holds = model[other].roots > 0;
    switch (random_next() % 8) {
    case 0:
    case 1:
        if (!model[node].object) {
            struct pair *made = tally_new(heap, node_type());
            made->number = (uint64_t)node;
            model[node].object = made;
            model[node].roots = 1;
            model[node].slots[0] = model[node].slots[1] = -1;
        }
        break;
    case 2:
    case 3:
    case 4:
        if (holds && other_holds) {
            struct pair *holder = model[node].object;
            model[node].slots[slot] = other;
            tally_store(holder, slot ? &holder->second : &holder->first, model[other].object);
        }
        break;
    case 5:
        if (holds) {
            struct pair *holder = model[node].object;
            model[node].slots[slot] = -1;
            tally_clear(holder, slot ? &holder->second : &holder->first);
        }
        break;
    default:
        if (holds) {
            model[node].roots = 0;
            tally_decref(model[node].object);
        }
    }
}

static void test_random_programs_free_what_is_unreachable_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
        struct tally_heap *heap = heap_make();
        random_state = seed;
        memset(model, 0, sizeof model);
        tally_set_stress(heap, seed % 3 ? 0 : (unsigned)seed, false);
        if (seed % 2) {
            tally_enable(heap);
            assert_int_equal(tally_set_thresholds(heap, (uint32_t[]){5, 3, 3}), 0);
        }
        for (int i = 0; i < STEPS; i++) {
            step(heap);
            if (i % 97 == 0) {
                tally_collect(heap, (int)(random_next() % 3));
                compare(heap, false);
            }
            if (i % 389 == 0) {
                tally_collect(heap, 2);
                compare(heap, true);
            }
        }
        for (int i = 0; i < NODES; i++)
            if (model[i].roots) {
                model[i].roots = 0;
                tally_decref(model[i].object);
            }
        tally_collect(heap, 2);
        compare(heap, true);
        tally_heap_free(heap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_programs_free_what_is_unreachable_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
