/* What the program does between the slices of a run: edges that move while no count changes, and references
 * that are taken where no call of the library sees it. What the program can reach then is never freed. */
#include "rounds.h"

/* ---- moves between objects that have been examined and ones that have not */

enum { CELLS = 3000 / ROUND_SCALE, HELD = 16 };

static unsigned ends;
static void count_end(void *object)
{
    (void)object;
    ends++;
}

/* A value holds itself, so that its cell's reference decides. */
static struct pair *value_make(struct tally_heap *heap)
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "value", .size = sizeof(struct pair), .refs = refs, .ref_count = 2, .dispose = count_end},
            &type), 0);
    struct pair *value = tally_new(heap, type);
    tally_store(value, &value->first, value);
    return value;
}

static uint64_t random_state;
static size_t pick(size_t below) /* splitmix64 */
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % below;
}

/* Cells in the order of their addresses, which is about the order in which runs examine them; half of them
 * hold a value. */
static struct {
    struct wide *root;
    struct pair *cells[CELLS];
    void *held[HELD]; /* taken out, and in C's hands over a slice */
} board;

static void board_make(struct tally_heap *heap)
{
    ends = 0;
    board.root = wide_make(heap, CELLS);
    memset(board.held, 0, sizeof board.held);
    for (size_t i = 0; i < CELLS; i++) {
        board.cells[i] = pair_make(heap, NULL, NULL);
        tally_store_steal(board.root, &board.root->slots[i], board.cells[i]);
    }
    for (size_t i = 0; i < CELLS; i += 2)
        tally_store_steal(board.cells[i], &board.cells[i]->first, value_make(heap));
}

/* From a cell with a value to an empty one: forward, to where the run has yet to come, or back. */
static bool cells_pick(bool forward, struct pair **from, struct pair **to)
{
    for (int tries = 0; tries < 20; tries++) {
        size_t low = pick(CELLS / 2), high = CELLS / 2 + pick(CELLS / 2);
        *from = board.cells[forward ? low : high];
        *to = board.cells[forward ? high : low];
        if ((*from)->first && !(*to)->first)
            return true;
    }
    return false;
}

enum way { MOVE, TAKE_AND_STEAL, SWAP_OWN_SLOTS, HOLD, WAYS };
static void shift(enum way way, bool forward)
{
    struct pair *from, *to;
    if (!cells_pick(forward, &from, &to))
        return;
    void **held = &board.held[pick(HELD)];
    switch (way) {
    case MOVE:
        tally_move(to, &to->first, from, &from->first);
        break;
    case TAKE_AND_STEAL:
        tally_store_steal(to, &to->first, tally_take(from, &from->first));
        break;
    case SWAP_OWN_SLOTS:
        tally_move(from, &from->second, from, &from->first);
        tally_move(to, &to->first, from, &from->second);
        break;
    default:
        if (*held) {
            tally_store_steal(to, &to->first, *held);
            *held = NULL;
        } else {
            *held = tally_take(from, &from->first);
        }
    }
}

static void board_check(struct tally_heap *heap)
{
    size_t values = 0;
    heap_check(heap);
    assert_int_equal(ends, 0);
    for (size_t i = 0; i < CELLS + HELD; i++) {
        const struct pair *value = i < CELLS ? board.cells[i]->first : board.held[i - CELLS];
        if (!value)
            continue;
        values++;
        assert_ptr_equal(value->first, value);
        assert_int_equal(tally_refcount(value), 2);
    }
    assert_int_equal(values, CELLS / 2);
}

/* `way` WAYS: all of them. Returns the slices of the run. */
static unsigned play(struct tally_heap *heap, unsigned way, unsigned direction)
{
    unsigned slices = 0;
    board_make(heap);
    tally_incref(board.root);
    tally_decref(board.root); /* a candidate */
    void *weight = run_due(heap);
    while (tally_step(heap, 0)) {
        slices++;
        for (int i = 0; i < 4; i++)
            shift(way < WAYS ? way : (enum way)pick(WAYS), direction < 2 ? direction : pick(2));
    }
    run_over(heap, weight);
    board_check(heap);
    assert_int_equal(tally_collect(heap, 2), 0);
    board_check(heap);
    for (size_t i = 0; i < HELD; i++)
        if (board.held[i])
            drop(heap, board.held[i]);
    drop(heap, board.root);
    collect_all(heap);
    assert_int_equal(ends, CELLS / 2);
    assert_int_equal(heap_live(heap), 0);
    return slices;
}

static void test_edges_moved_between_slices_keep_what_they_hold(void **state)
{
    (void)state;
    random_state = 1;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++) {
        struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
        for (unsigned way = 0; way <= WAYS; way++)
            for (unsigned direction = 0; direction < 3; direction++)
                assert_true(play(heap, way, direction) > 20);
        tally_heap_free(heap);
    }
}

/* ---- borrowed, kept, and the way to it let go of
 *
 * The program reads a reference from an object, counts it, and gives back what it came by. Had the run read
 * the count of the one before and that of the other after, it would miss the program's reference. */

enum { FILLERS = 6000 / ROUND_SCALE };

static void fillers_leave(struct tally_heap *heap)
{
    for (size_t i = 0; i < FILLERS; i++) {
        struct pair *filler = pair_make(heap, NULL, NULL);
        tally_store(filler, &filler->first, filler);
        tally_decref(filler);
    }
}

/* Two loops hold a value, one of them garbage; the program comes by the other one to the value, `slices`
 * slices after the run has begun. `up`: the latter has the highest address, else the lowest. Returns
 * whether the run was still open. */
static bool borrow_after(struct tally_heap *heap, unsigned slices, bool up, bool candidate)
{
    ends = 0;
    struct pair *way = up ? NULL : pair_make(heap, NULL, NULL);
    if (!up)
        fillers_leave(heap);
    struct pair *garbage = pair_make(heap, NULL, NULL), *value = value_make(heap);
    if (up) {
        fillers_leave(heap);
        way = pair_make(heap, NULL, NULL);
    }
    tally_store(garbage, &garbage->first, garbage);
    tally_store(garbage, &garbage->second, value);
    tally_store(way, &way->first, way);
    tally_store_steal(way, &way->second, value);
    tally_decref(garbage);
    if (candidate) {
        tally_incref(way);
        tally_decref(way);
    }
    void *weight = run_due(heap);
    bool open = true;
    for (unsigned i = 0; i < slices && open; i++)
        open = tally_step(heap, 0);
    struct pair *borrowed = way->second;
    tally_incref(borrowed);
    tally_decref(way);
    run_over(heap, weight);
    heap_check(heap);
    assert_int_equal(ends, 0);
    assert_ptr_equal(borrowed->first, borrowed);
    collect_all(heap);
    assert_int_equal(heap_live(heap), 1);
    assert_int_equal(tally_refcount(borrowed), 2);
    drop(heap, borrowed);
    assert_int_equal(collect_all(heap), 1);
    assert_int_equal(ends, 1);
    assert_int_equal(heap_live(heap), 0);
    return open;
}

static void test_reference_borrowed_between_slices_keeps_what_it_refers_to(void **state)
{
    (void)state;
    for (enum tally_manager manager = TALLY_MANAGER_GENERATIONAL; manager <= TALLY_MANAGER_FULL; manager++)
        for (int kind = 0; kind < 4; kind++) {
            struct tally_heap *heap = round_heap(manager, ROUND_SHORTEST_US);
            unsigned slices = 0;
            while (borrow_after(heap, slices, kind & 1, kind & 2))
                slices += 1 + slices / (ROUND_SCALE > 1 ? 4 : 16);
            assert_true(slices > 20);
            tally_heap_free(heap);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges_moved_between_slices_keep_what_they_hold),
        cmocka_unit_test(test_reference_borrowed_between_slices_keeps_what_it_refers_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
