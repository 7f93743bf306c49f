/* Memories that follow one another: larger counters that keep all that the smaller ones held, rings over which
 * the sequence goes on, and row = untold + events over all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed/feed.h"
#include "wire/ring_read.h"

enum { ROWS = 128, PAYLOAD = WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS };

struct world {
    struct feed_pen pen;
    struct feed_shape shape;
    void *counters, *ring;
    uint32_t generation, named;
    struct wire_ring_reader reader;
    uint64_t told[ROWS][4]; /* by events: row, kind */
};

static void *memory(size_t bytes)
{
    void *at = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
    assert_non_null(at);
    memset(at, 0, (bytes + 4095) & ~(size_t)4095);
    return at;
}

static void *counters_new(struct world *world, uint32_t rows, uint32_t string_bytes)
{
    world->shape = (struct feed_shape){rows, string_bytes};
    void *at = memory(feed_counters_bytes(&world->shape));
    feed_counters_format(at, &world->shape, 9, ++world->generation);
    return at;
}

static void *ring_new(struct world *world, uint64_t words)
{
    void *at = memory(feed_ring_bytes(words));
    feed_ring_format(at, words, 9, ++world->generation);
    return at;
}

/* Gives types up to `end` rows, as far as they last; the name says the number, every third is variable. */
static void types_name(struct world *world, uint32_t end)
{
    struct feed_type types[ROWS];
    char names[ROWS][16];
    uint32_t first = world->pen.row_limit;
    for (uint32_t i = first; i < end; i++) {
        snprintf(names[i], sizeof names[i], "type %u", i);
        types[i - first] = (struct feed_type){.name = names[i], .size_bytes = 8 * i, .ref_count = i,
                                              .flags = i % 3 ? WIRE_TYPE_TRACKED : WIRE_TYPE_VARIABLE};
    }
    feed_types_describe(&world->pen, types, end, end);
    world->named = world->pen.row_limit;
}

static const struct wire_desc *desc_of(const struct world *world, uint32_t row)
{
    const struct wire_counters *counters = world->counters;
    return (const struct wire_desc *)((const char *)counters + counters->desc_offset) + row;
}

static void types_check(const struct world *world)
{
    const struct wire_counters *counters = world->counters;
    assert_int_equal(atomic_load(&counters->type_count), world->named);
    for (uint32_t i = 0; i < world->named; i++) {
        char name[16];
        const struct wire_desc *desc = desc_of(world, i);
        snprintf(name, sizeof name, "type %u", i);
        assert_int_equal(desc->name_bytes, strlen(name));
        assert_true(desc->name_offset + desc->name_bytes <= counters->string_bytes);
        assert_memory_equal((const char *)counters + counters->string_offset + desc->name_offset, name,
                            strlen(name));
        assert_int_equal(desc->size_bytes, 8 * i);
        assert_int_equal(desc->ref_count, i);
        assert_int_equal(desc->flags, i % 3 ? WIRE_TYPE_TRACKED : WIRE_TYPE_VARIABLE);
    }
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->counters = counters_new(world, 8, 64);
    world->ring = ring_new(world, WIRE_RING_WORDS);
    feed_adopt(&world->pen, world->counters, world->ring);
    types_name(world, 6);
    feed_level_set(&world->pen, WIRE_LEVEL_ALL);
    assert_int_equal(wire_ring_reader_init(&world->reader, world->ring, WIRE_RING_BYTES), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    free(world->counters);
    free(world->ring);
    free(world);
    return 0;
}

static void tell(const struct wire_span *span, void *arg)
{
    struct world *world = arg;
    for (size_t at = 0; at < span->count;) {
        struct wire_event_view event;
        at += wire_event_decode(&span->words[at], &event);
        if (event.kind != WIRE_EVENT_RARE)
            world->told[event.row][event.kind]++;
    }
}

/* Objects of all types, of one and of two words, with and without a row. */
static void some_objects(struct world *world, uint32_t seed)
{
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t type = (seed + i) % (world->named + 1), row = type < world->pen.row_limit ? type : 0;
        uint64_t bytes = i % 7 ? 8 : 4096;
        feed_object(&world->pen, WIRE_EVENT_ALLOC, row, row % 3 == 0, bytes, i);
        if (i % 3)
            feed_object(&world->pen, i % 3 == 1 ? WIRE_EVENT_FREE_REFCOUNT : WIRE_EVENT_FREE_CYCLE, row, row % 3 == 0,
                        bytes, i);
    }
    if (world->ring)
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, tell, world) >= 0);
    assert_int_equal(world->reader.lost + world->reader.malformed, 0);
}

/* For every row and kind: what it counts is what no event tells of, and what events have told. */
static void rows_check(const struct world *world)
{
    bool off = atomic_load(&world->pen.counters->level) == WIRE_LEVEL_OFF;
    for (uint32_t i = 0; i < world->named; i++) {
        const struct wire_row *row = &world->pen.rows[i];
        const struct wire_desc *desc = desc_of(world, i);
        const uint64_t counts[] = {row->allocated, row->freed_refcount, row->freed_cycle};
        const uint64_t bases[] = {desc->base_allocated, desc->base_freed_refcount, desc->base_freed_cycle};
        for (unsigned kind = WIRE_EVENT_ALLOC; kind <= WIRE_EVENT_FREE_CYCLE; kind++)
            assert_int_equal(counts[kind - 1],
                             bases[kind - 1] + (off ? counts[kind - 1] : 0) + world->told[i][kind]);
    }
}

static void counters_grow(struct world *world, uint32_t rows, uint32_t string_bytes)
{
    void *old = world->counters;
    world->counters = counters_new(world, rows, string_bytes);
    feed_counters_adopt(&world->pen, world->counters);
    free(old);
}

/* What the reader does as well: reads the old one to its end, goes on in the new one. */
static void ring_change(struct world *world, uint64_t words)
{
    struct wire_ring_reader next;
    void *old = world->ring;
    world->ring = words ? ring_new(world, words) : NULL;
    feed_ring_adopt(&world->pen, world->ring);
    if (old)
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, tell, world) >= 0);
    if (words) {
        assert_int_equal(wire_ring_reader_init(&next, world->ring, feed_ring_bytes(words)), 0);
        wire_ring_reader_follow(&world->reader, &next, false);
    }
    free(old);
}

static void test_formats_lie_inside_their_shapes(void **state)
{
    static const struct feed_shape shapes[] = {{8, 64}, {64, 3072}, {128, 3072}, {1024, 49152}, {65536, WIRE_STRING_MAX}};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct wire_counters counters;
        memset(&counters, 0, sizeof counters);
        feed_counters_format(&counters, &shapes[i], 3, 4);
        assert_int_equal(counters.row_offset, WIRE_HEADER_BYTES);
        assert_int_equal(counters.row_capacity, shapes[i].rows);
        assert_int_equal(counters.desc_offset, counters.row_offset + shapes[i].rows * sizeof(struct wire_row));
        assert_int_equal(counters.string_offset, counters.desc_offset + shapes[i].rows * sizeof(struct wire_desc));
        assert_int_equal(counters.string_bytes, shapes[i].string_bytes);
        assert_int_equal(counters.record_offset, counters.string_offset + shapes[i].string_bytes);
        assert_int_equal(counters.record_offset + WIRE_RECORD_COUNT * sizeof(struct wire_record),
                         counters.total_bytes);
        assert_int_equal(counters.total_bytes, feed_counters_bytes(&shapes[i]));
        assert_true(counters.total_bytes <= WIRE_FEED_BYTES_MAX);
        assert_true(counters.heap_number == 3 && counters.feed_generation == 4);
    }
}

static void test_larger_counters_keep_all(void **state)
{
    struct world *world = *state;
    struct wire_counters *counters = world->pen.counters;
    some_objects(world, 1);
    feed_moved(&world->pen, 2, false, 16, true);
    feed_moved(&world->pen, 2, false, 16, false);
    feed_collection_start(&world->pen, 2, 5);
    feed_collection_stop(&world->pen, &(struct feed_record){.collected = 77, .reason = WIRE_REASON_EXPLICIT}, 6);
    feed_safepoint(&world->pen, 4711);
    feed_state_set(&world->pen, WIRE_STATE_CALLBACKS);
    feed_summary_begin(&world->pen);
    atomic_store(&counters->garbage, 42);
    atomic_store(&counters->access, WIRE_ACCESS_OBSERVE);
    atomic_store(&counters->refused_runs, 43);
    feed_summary_end(&world->pen);
    struct wire_row rows[8];
    uint64_t seq = atomic_load(&counters->seq);
    memcpy(rows, (const void *)world->pen.rows, sizeof rows);
    counters_grow(world, 64, 3072);
    counters = world->pen.counters;
    assert_ptr_equal(counters, world->counters);
    assert_memory_equal((const void *)world->pen.rows, rows, sizeof rows);
    assert_int_equal(atomic_load(&counters->seq), seq);
    assert_int_equal(atomic_load(&counters->garbage), 42);
    assert_int_equal(atomic_load(&counters->access), WIRE_ACCESS_OBSERVE);
    assert_int_equal(atomic_load(&counters->refused_runs), 43);
    assert_int_equal(atomic_load(&counters->safepoint_ns), 4711);
    assert_int_equal(atomic_load(&counters->state), WIRE_STATE_CALLBACKS);
    assert_int_equal(atomic_load(&counters->level), WIRE_LEVEL_ALL);
    assert_int_equal(atomic_load(&counters->record_head), 1);
    const struct wire_record *records = (const void *)((const char *)counters + counters->record_offset);
    assert_int_equal(atomic_load(&records[0].collected), 77);
    assert_true(counters->row_capacity == 64 && counters->string_bytes == 3072); /* the layout is its own */
    assert_int_equal(counters->feed_generation, world->generation);
    types_check(world);
    rows_check(world);
    feed_collection_stop(&world->pen, &(struct feed_record){.collected = 78}, 7);
    assert_int_equal(atomic_load(&records[1].collected), 78);
}

/* The new rows and the new room for names are used; what had none is not counted any more. */
static void test_types_find_rows_in_larger_counters(void **state)
{
    struct world *world = *state;
    types_name(world, 20);
    assert_int_equal(world->named, 8);
    assert_int_equal(atomic_load(&world->pen.counters->types_without_row), 12);
    some_objects(world, 3);
    counters_grow(world, 16, 64); /* rows, but "type 8" is the ninth name of six or more bytes, and 64 bytes are few */
    types_name(world, 20);
    assert_in_range(world->named, 9, 11);
    assert_int_equal(atomic_load(&world->pen.counters->types_without_row), 20 - world->named);
    some_objects(world, 5);
    counters_grow(world, 16, 1024);
    types_name(world, 20);
    assert_int_equal(world->named, 16);
    counters_grow(world, 128, 1024);
    types_name(world, 20);
    assert_int_equal(world->named, 20);
    assert_int_equal(atomic_load(&world->pen.counters->types_without_row), 0);
    types_check(world);
    some_objects(world, 7);
    rows_check(world);
    types_name(world, ROWS);
    assert_int_equal(world->named, ROWS);
    types_check(world);
    some_objects(world, 9);
    rows_check(world);
}

static void test_counters_change_while_events_are_on(void **state)
{
    struct world *world = *state;
    for (uint32_t round = 0; round < 5; round++) {
        uint64_t sequence = feed_sequence(&world->pen), position = feed_position(&world->pen);
        counters_grow(world, 8u << round, 64u << round);
        assert_int_equal(world->pen.level, WIRE_LEVEL_ALL);
        assert_int_equal(feed_sequence(&world->pen), sequence); /* the ring does not notice */
        assert_int_equal(feed_position(&world->pen), position);
        types_name(world, 6 + round * 10);
        some_objects(world, round);
        rows_check(world);
    }
    types_check(world);
}

static void test_sequences_go_on_over_rings(void **state)
{
    struct world *world = *state;
    static const uint64_t words[] = {4096, 2048, 8192, 8192, 65536, 2048};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        some_objects(world, i);
        uint64_t sequence = feed_sequence(&world->pen);
        ring_change(world, words[i]);
        assert_int_equal(feed_sequence(&world->pen), sequence);
        assert_int_equal(world->pen.level, WIRE_LEVEL_ALL);
        assert_int_equal(world->pen.mask, words[i] - 1);
        assert_int_equal(feed_position(&world->pen), WIRE_BLOCK_WORDS); /* a block says where it begins */
        const _Atomic uint64_t *first = feed_word_at(&world->pen, 0);
        assert_int_equal(atomic_load(&first[0]), sequence);
        assert_int_equal(atomic_load(&first[2]), WIRE_LEVEL_ALL);
        rows_check(world);
    }
    assert_int_equal(world->reader.seen, feed_sequence(&world->pen));
}

/* Ring and counters change at any level, and levels between them, in every order. */
static void test_rows_are_untold_and_events_over_all_memories(void **state)
{
    struct world *world = *state;
    unsigned choice = 12345;
    for (uint32_t i = 0; i < 400; i++) {
        choice = choice * 1103515245 + 12345;
        switch (choice >> 16 & 7) {
        case 0:
            feed_level_set(&world->pen, WIRE_LEVEL_OFF);
            break;
        case 1:
        case 2:
            feed_level_set(&world->pen, WIRE_LEVEL_ALL);
            break;
        case 3:
            ring_change(world, choice >> 20 & 1 ? 2048 : 4096);
            break;
        case 5:
            counters_grow(world, world->named < 100 ? ROWS / 2 : ROWS, 2048);
            types_name(world, world->named < 40 ? world->named + 2 : world->named);
            break;
        default:
            some_objects(world, i);
        }
        rows_check(world);
    }
    types_check(world);
    assert_int_equal(world->reader.seen, feed_sequence(&world->pen));
    assert_int_equal(world->reader.lost + world->reader.malformed, 0);
}

/* A record of two words is the last before the change, the first after it, and finds one word left. */
static void test_long_events_and_pads_around_changes(void **state)
{
    struct world *world = *state;
    for (uint64_t left = 0; left <= 3; left++) { /* words of the block that stay free */
        uint64_t used = feed_position(&world->pen) % WIRE_BLOCK_SIZE;
        for (; used != WIRE_BLOCK_SIZE - 2 - left; used = feed_position(&world->pen) % WIRE_BLOCK_SIZE)
            feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 8, 1);
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 3, true, 4096, 2);
        assert_int_equal(world->pen.block_end - feed_position(&world->pen), left);
        uint64_t sequence = feed_sequence(&world->pen);
        ring_change(world, 2048);
        assert_int_equal(feed_sequence(&world->pen), sequence);
        feed_object(&world->pen, WIRE_EVENT_FREE_REFCOUNT, 3, true, 4096, 2);
        assert_int_equal(feed_sequence(&world->pen), sequence + 1);
        for (uint64_t i = 0; i < PAYLOAD - 2 - left; i++)
            feed_object(&world->pen, WIRE_EVENT_FREE_CYCLE, 1, false, 8, 1);
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 3, true, 4096, 2); /* pads what is left of 0 or 1 words */
        assert_int_equal(feed_sequence(&world->pen), sequence + PAYLOAD - left);
        assert_true(wire_ring_read(&world->reader, UINT64_MAX, tell, world) > 0);
        rows_check(world);
        assert_int_equal(world->reader.lost + world->reader.malformed, 0);
    }
    assert_int_equal(world->reader.seen, feed_sequence(&world->pen));
}

/* The whole row is untold where events begin late; a child's rows begin at zero, and so does its sequence. */
static void test_restarts_begin_the_sequence_anew(void **state)
{
    struct world *world = *state;
    some_objects(world, 4);
    struct wire_row before = world->pen.rows[1];
    struct world child = {.generation = 0};
    child.counters = counters_new(&child, 64, 3072);
    feed_restart(&child.pen, child.counters);
    assert_int_equal(feed_sequence(&child.pen), 0);
    types_name(&child, 6);
    rows_check(&child);
    child.ring = ring_new(&child, 2048);
    feed_ring_adopt(&child.pen, child.ring);
    feed_count(&child.pen, WIRE_EVENT_ALLOC, 1, false, 8);
    feed_level_set(&child.pen, WIRE_LEVEL_ALL);
    assert_int_equal(desc_of(&child, 1)->base_allocated, 1);
    rows_check(&child);
    assert_int_equal(atomic_load(feed_word_at(&child.pen, 0)), 0);
    assert_memory_equal(&before, &world->pen.rows[1], sizeof before);
    free(child.ring);
    free(child.counters);
}

static void totals_equal(const struct feed_totals *a, const struct feed_totals *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

static void test_totals_survive_changes(void **state)
{
    struct world *world = *state;
    struct feed_totals before, after;
    some_objects(world, 0);
    feed_moved(&world->pen, 3, true, 104, true);
    feed_moved(&world->pen, 3, true, 48, false);
    feed_moved(&world->pen, 2, false, 16, true);
    feed_totals(&world->pen, &before);
    assert_true(before.moved_in == 2 && before.moved_out == 1);
    counters_grow(world, 64, 3072);
    feed_totals(&world->pen, &after);
    totals_equal(&before, &after);
    ring_change(world, 0);
    feed_totals(&world->pen, &after);
    totals_equal(&before, &after);
    types_name(world, 40);
    feed_totals(&world->pen, &after);
    totals_equal(&before, &after);
}

/* Bytes of objects that move are in the byte columns where there are any; no count of births or deaths moves. */
static void test_moves_are_counted_apart(void **state)
{
    struct world *world = *state;
    struct feed_totals totals;
    feed_moved(&world->pen, 3, true, 104, true);
    feed_moved(&world->pen, 3, true, 40, false);
    feed_moved(&world->pen, 2, false, 16, true);
    feed_moved(&world->pen, 2, false, 16, true);
    feed_moved(&world->pen, 2, false, 16, false);
    const struct wire_row *variable = &world->pen.rows[3], *fixed = &world->pen.rows[2];
    assert_true(variable->allocated_bytes == 104 && variable->freed_refcount_bytes == 40);
    assert_true(variable->allocated == 0 && variable->freed_refcount == 0);
    assert_true(fixed->allocated_bytes == 0 && fixed->freed_refcount_bytes == 0);
    assert_true(fixed->moved_in == 2 && fixed->moved_out == 1);
    feed_totals(&world->pen, &totals);
    assert_int_equal(totals.allocations + totals.frees_refcount, 0);
    assert_int_equal(totals.allocated_bytes, 104 + 2 * 16);
    assert_int_equal(totals.freed_refcount_bytes, 40 + 16);
    assert_true(totals.moved_in == 3 && totals.moved_out == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_lie_inside_their_shapes),
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_larger_counters_keep_all),
        ROW(test_types_find_rows_in_larger_counters),
        ROW(test_counters_change_while_events_are_on),
        ROW(test_sequences_go_on_over_rings),
        ROW(test_rows_are_untold_and_events_over_all_memories),
        ROW(test_long_events_and_pads_around_changes),
        ROW(test_restarts_begin_the_sequence_anew),
        ROW(test_totals_survive_changes),
        ROW(test_moves_are_counted_apart),
#undef ROW
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
