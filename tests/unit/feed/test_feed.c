/* The pen against a reference reader that decodes the ring from its description alone, and the reader of
 * wire/ring_read.h in a second thread on the same mapping. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "feed/feed.h"
#include "wire/ring_read.h"

struct world {
    struct feed_pen pen;
    void *counters, *ring;
};

static void *memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    return at;
}

static void *counters_new(uint32_t generation)
{
    void *at = memory(WIRE_COUNTERS_BYTES);
    feed_counters_format(at, FEED_SHAPE_START, 7, generation);
    return at;
}

static void *ring_new(uint32_t generation)
{
    void *at = memory(WIRE_RING_BYTES);
    feed_ring_format(at, WIRE_RING_WORDS, 7, generation);
    return at;
}

static const struct feed_type three_types[] = {
    {.name = "other"},
    {.name = "pair", .size_bytes = 16, .ref_count = 2, .flags = WIRE_TYPE_TRACKED},
    {.name = "text", .size_bytes = 8, .flags = WIRE_TYPE_VARIABLE},
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->counters = counters_new(1);
    world->ring = ring_new(1);
    feed_adopt(&world->pen, world->counters, world->ring);
    feed_types_describe(&world->pen, three_types, 3, 3);
    feed_level_set(&world->pen, WIRE_LEVEL_ALL);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    munmap(world->counters, WIRE_COUNTERS_BYTES);
    munmap(world->ring, WIRE_RING_BYTES);
    free(world);
    return 0;
}

/* ---- the reference reader: a quiet ring, decoded word by word from its oldest whole block */

struct tally_of {
    uint64_t records, bytes;
    uint64_t kinds[4];
    uint64_t per_row[4][3]; /* row; ALLOC, FREE_REFCOUNT, FREE_CYCLE */
    uint64_t rare[8];
    uint64_t first_sequence; /* of the oldest block */
    uint64_t blocks;
};

static uint64_t ring_word(const struct world *world, uint64_t position)
{
    const _Atomic uint64_t *words = (const void *)((const char *)world->ring + WIRE_RING_HEADER_BYTES);
    return atomic_load(&words[position % WIRE_RING_WORDS]);
}

static uint64_t reference_record(const struct world *world, uint64_t position, struct tally_of *sum)
{
    uint64_t word = ring_word(world, position), kind = word & 3, code = word >> 18 & 63;
    if (kind == WIRE_EVENT_RARE) {
        uint64_t sub = word >> 2 & 63, length = word >> 8 & 255;
        if (sub == WIRE_RARE_PAD && length == 0)
            return WIRE_BLOCK_SIZE - position % WIRE_BLOCK_SIZE;
        sum->records++;
        sum->kinds[0]++;
        sum->rare[sub]++;
        return length;
    }
    sum->records++;
    sum->kinds[kind]++;
    sum->per_row[word >> 2 & 3][kind - 1]++;
    sum->bytes += code == 63 ? ring_word(world, position + 1) : code * 8;
    return code == 63 ? 2 : 1;
}

static struct tally_of reference_read(const struct world *world)
{
    const struct wire_ring *ring = world->ring;
    uint64_t head = atomic_load(&ring->head), reserve = atomic_load(&ring->reserve);
    struct tally_of sum = {.records = 0};
    uint64_t position = reserve > WIRE_RING_WORDS ? reserve - WIRE_RING_WORDS : 0;
    assert_int_equal(position % WIRE_BLOCK_SIZE, 0);
    sum.first_sequence = head > position ? ring_word(world, position) : 0;
    while (position < head) {
        if (position % WIRE_BLOCK_SIZE == 0) {
            assert_int_equal(ring_word(world, position), sum.first_sequence + sum.records);
            assert_int_equal(ring_word(world, position + 2), WIRE_LEVEL_ALL);
            position += WIRE_BLOCK_WORDS;
            sum.blocks++;
            continue;
        }
        uint64_t step = reference_record(world, position, &sum);
        assert_true(step > 0);
        assert_true(position % WIRE_BLOCK_SIZE + step <= WIRE_BLOCK_SIZE);
        position += step;
    }
    assert_int_equal(position, head);
    assert_int_equal(sum.first_sequence + sum.records, feed_sequence(&world->pen));
    return sum;
}

static void test_format_describes_both_memories(void **state)
{
    struct world *world = *state;
    const struct wire_counters *counters = world->counters;
    assert_int_equal(counters->magic, WIRE_COUNTERS_MAGIC);
    assert_int_equal(counters->total_bytes, WIRE_COUNTERS_BYTES);
    assert_int_equal(counters->record_offset + counters->record_capacity * sizeof(struct wire_record),
                     WIRE_COUNTERS_BYTES);
    assert_int_equal(counters->heap_number, 7);
    assert_int_equal(atomic_load(&counters->type_count), 3);
    const struct wire_desc *desc = (const void *)((const char *)world->counters + counters->desc_offset);
    assert_memory_equal((const char *)world->counters + counters->string_offset + desc[2].name_offset, "text",
                        4);
    assert_int_equal(desc[2].name_bytes, 4);
    assert_int_equal(desc[1].size_bytes, 16);
}

static void test_events_of_one_word_fill_a_block_exactly(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS; i++)
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, i);
    assert_int_equal(feed_position(&world->pen), WIRE_BLOCK_SIZE);
    assert_int_equal(reference_read(world).blocks, 1);
    feed_object(&world->pen, WIRE_EVENT_FREE_REFCOUNT, 1, false, 16, 3);
    struct tally_of sum = reference_read(world);
    assert_int_equal(sum.blocks, 2);
    assert_int_equal(sum.per_row[1][0], WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS);
    assert_int_equal(sum.per_row[1][1], 1);
}

/* A record of two words finds one left: that one is padding, which no sequence counts. */
static void test_records_of_two_words_do_not_straddle(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS - 1; i++)
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, i);
    feed_object(&world->pen, WIRE_EVENT_ALLOC, 2, true, 504, 9);
    assert_int_equal(ring_word(world, WIRE_BLOCK_SIZE - 1), WIRE_EVENT_RARE);
    assert_int_equal(feed_position(&world->pen), WIRE_BLOCK_SIZE + WIRE_BLOCK_WORDS + 2);
    struct tally_of sum = reference_read(world);
    assert_int_equal(sum.records, WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS);
    assert_int_equal(sum.bytes, (WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS - 1) * 16 + 504);
}

static void test_sizes_around_the_long_code(void **state)
{
    struct world *world = *state;
    const uint64_t sizes[] = {0, 8, 488, 496, 504, 512, (uint64_t)1 << 40};
    uint64_t expected = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 2, true, sizes[i], i);
        expected += sizes[i];
        assert_int_equal(reference_read(world).bytes, expected);
    }
    assert_int_equal(atomic_load(&world->pen.rows[2].allocated_bytes), expected);
}

static void test_the_oldest_is_overwritten(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 10 * WIRE_RING_WORDS; i++) {
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, i);
        if (i % 97 == 0)
            feed_object(&world->pen, WIRE_EVENT_ALLOC, 2, true, 4096, i);
        if (i % 1009 == 0)
            reference_read(world);
    }
    struct tally_of sum = reference_read(world);
    assert_true(sum.first_sequence > 8 * WIRE_RING_WORDS);
    assert_true(sum.records > 3 * (WIRE_BLOCK_SIZE - WIRE_BLOCK_WORDS - 20));
}

static void base_check(struct world *world, const struct tally_of *events)
{
    const struct wire_counters *counters = world->counters;
    const struct wire_desc *descs = (const void *)((const char *)world->counters + counters->desc_offset);
    bool off = atomic_load(&counters->level) == WIRE_LEVEL_OFF;
    for (unsigned row = 0; row < 3; row++) {
        const struct wire_row *is = &world->pen.rows[row];
        const uint64_t values[] = {is->allocated, is->freed_refcount, is->freed_cycle};
        const uint64_t bases[] = {descs[row].base_allocated, descs[row].base_freed_refcount,
                                  descs[row].base_freed_cycle};
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(values[i], bases[i] + (off ? values[i] : 0) + events->per_row[row][i]);
    }
}

static void some_objects(struct world *world, unsigned seed)
{
    for (unsigned i = 0; i < 20 + seed; i++) {
        uint32_t row = (seed + i) % 3;
        feed_object(&world->pen, WIRE_EVENT_ALLOC, row, row != 1, 16, i);
        if (i % 2)
            feed_object(&world->pen, (seed + i) % 4 == 1 ? WIRE_EVENT_FREE_CYCLE : WIRE_EVENT_FREE_REFCOUNT,
                        row, row != 1, 16, i);
    }
}

static void test_level_switches_keep_row_equal_to_untold_and_events(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 3; i++) {
        some_objects(world, 3 * i);
        struct tally_of sum = reference_read(world);
        base_check(world, &sum);
        feed_level_set(&world->pen, WIRE_LEVEL_OFF);
        feed_level_set(&world->pen, WIRE_LEVEL_OFF);
        base_check(world, &sum);
        some_objects(world, 5 * i);
        base_check(world, &sum);
        assert_int_equal(reference_read(world).records, sum.records);
        feed_level_set(&world->pen, WIRE_LEVEL_ALL);
        sum = reference_read(world);
        base_check(world, &sum);
    }
}

/* In a ring that has gone round, what is left of the block that a level switch leaves holds old words. */
static void test_level_switches_pad_what_they_leave(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 3 * WIRE_RING_WORDS + 100; i++)
        feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, i);
    uint64_t records = feed_sequence(&world->pen);
    feed_level_set(&world->pen, WIRE_LEVEL_OFF);
    feed_level_set(&world->pen, WIRE_LEVEL_ALL);
    feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, 0);
    reference_read(world);
    assert_int_equal(feed_sequence(&world->pen), records + 1);
}

static void test_successors_go_on_where_their_predecessors_ended(void **state)
{
    struct world *world = *state;
    some_objects(world, 11);
    feed_collection_stop(&world->pen, &(struct feed_record){.collected = 5, .reason = WIRE_REASON_REMOTE}, 1);
    void *old_counters = world->counters, *old_ring = world->ring;
    uint64_t allocated = atomic_load(&world->pen.rows[1].allocated);
    struct tally_of old = reference_read(world);
    world->counters = counters_new(2);
    world->ring = ring_new(2);
    feed_adopt(&world->pen, world->counters, world->ring);
    assert_int_equal(atomic_load(&world->pen.rows[1].allocated), allocated);
    assert_ptr_equal(world->pen.counters, world->counters);
    assert_int_equal(world->pen.level, WIRE_LEVEL_ALL);
    assert_int_equal(atomic_load(&world->pen.counters->record_head), 1);
    assert_int_equal(world->pen.counters->feed_generation, 2);
    assert_int_equal(atomic_load(&world->pen.counters->seq) % 2, 0);
    struct tally_of sum = reference_read(world);
    assert_int_equal(sum.records, 0);
    assert_int_equal(sum.first_sequence, old.records);
    base_check(world, &old);
    some_objects(world, 4);
    sum = reference_read(world);
    for (unsigned i = 0; i < 9; i++)
        sum.per_row[i / 3][i % 3] += old.per_row[i / 3][i % 3];
    base_check(world, &sum);
    assert_int_equal(
        atomic_load(&((struct wire_row *)((char *)old_counters + WIRE_HEADER_BYTES))[1].allocated),
        allocated);
    munmap(old_counters, WIRE_COUNTERS_BYTES);
    munmap(old_ring, WIRE_RING_BYTES);
}

static void test_without_a_ring_the_level_is_off(void **state)
{
    struct world *world = *state;
    void *old = world->counters;
    world->counters = counters_new(3);
    feed_adopt(&world->pen, world->counters, NULL);
    assert_int_equal(world->pen.level, WIRE_LEVEL_OFF);
    feed_level_set(&world->pen, WIRE_LEVEL_ALL);
    assert_int_equal(world->pen.level, WIRE_LEVEL_OFF);
    some_objects(world, 1);
    feed_collection_start(&world->pen, 2, 1);
    munmap(old, WIRE_COUNTERS_BYTES);
}

static void test_restart_begins_at_zero(void **state)
{
    struct world *world = *state;
    some_objects(world, 8);
    memset(&world->pen, 0, sizeof world->pen); /* what a child finds */
    void *private = counters_new(1);
    feed_restart(&world->pen, private);
    assert_int_equal(atomic_load(&world->pen.rows[1].allocated), 0);
    assert_int_equal(world->pen.row_limit, 0);
    assert_int_equal(world->pen.level, WIRE_LEVEL_OFF);
    feed_types_describe(&world->pen, three_types, 3, 3);
    assert_int_equal(world->pen.row_limit, 3);
    munmap(private, WIRE_COUNTERS_BYTES);
}

static void test_types_are_described_until_rows_run_out(void **state)
{
    struct world *world = *state;
    struct feed_type types[100];
    for (unsigned i = 0; i < 100; i++)
        types[i] = (struct feed_type){.name = "a type", .size_bytes = 8 * i};
    feed_types_describe(&world->pen, types, 100, 100);
    assert_int_equal(world->pen.row_limit, WIRE_ROW_COUNT);
    assert_int_equal(atomic_load(&world->pen.counters->type_count), WIRE_ROW_COUNT);
    assert_int_equal(atomic_load(&world->pen.counters->types_without_row), 100 - WIRE_ROW_COUNT);
}

static void test_types_are_described_until_names_run_out(void **state)
{
    struct world *world = *state;
    char longest[256];
    struct feed_type types[40];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    for (unsigned i = 0; i < 40; i++)
        types[i] = (struct feed_type){.name = longest};
    feed_types_describe(&world->pen, types, 40, 40);
    assert_int_equal(world->pen.row_limit, 3 + (WIRE_STRING_BYTES - 13) / 255);
    assert_true(atomic_load(&world->pen.counters->string_used) <= WIRE_STRING_BYTES);
    assert_int_equal(atomic_load(&world->pen.counters->types_without_row), 40 - world->pen.row_limit);
}

static void test_records_of_collections_keep_the_newest(void **state)
{
    struct world *world = *state;
    const struct wire_counters *counters = world->counters;
    const struct wire_record *records =
        (const void *)((const char *)world->counters + counters->record_offset);
    for (uint64_t i = 1; i <= 300; i++) {
        feed_collection_start(&world->pen, 2, i);
        feed_collection_stop(&world->pen, &(struct feed_record){.collected = i, .pause_ns = 2 * i}, i);
    }
    assert_int_equal(atomic_load(&counters->record_head), 300);
    assert_int_equal(atomic_load(&records[299 % 256].sequence), 300);
    assert_int_equal(atomic_load(&records[299 % 256].collected), 300);
    assert_int_equal(atomic_load(&records[44].sequence), 45);
    struct tally_of sum = reference_read(world);
    assert_int_equal(sum.rare[WIRE_RARE_COLLECTION_START], 300);
    assert_int_equal(sum.rare[WIRE_RARE_COLLECTION_STOP], 300);
}

static void test_records_tell_scope_and_slices(void **state)
{
    static const struct {
        uint32_t scope, slices, shown;
    } rows[] = {{WIRE_SCOPE_GENERATIONS, 0, 0},
                {WIRE_SCOPE_CANDIDATES, 3, 0x301},
                {WIRE_SCOPE_HEAP, WIRE_SLICES_MAX, 0xffffff02},
                {WIRE_SCOPE_HEAP, UINT32_MAX, 0xffffff02}};
    struct world *world = *state;
    const struct wire_counters *counters = world->counters;
    const struct wire_record *records =
        (const void *)((const char *)world->counters + counters->record_offset);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        feed_collection_stop(&world->pen,
                             &(struct feed_record){.scope = rows[i].scope, .slices = rows[i].slices}, i);
        assert_int_equal(atomic_load(&records[i].scope_slices), rows[i].shown);
    }
}

static void test_totals_reckon_fixed_sizes(void **state)
{
    struct world *world = *state;
    struct feed_totals totals;
    feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, 1);
    feed_object(&world->pen, WIRE_EVENT_ALLOC, 1, false, 16, 2);
    feed_object(&world->pen, WIRE_EVENT_ALLOC, 2, true, 1000, 3);
    feed_object(&world->pen, WIRE_EVENT_FREE_CYCLE, 1, false, 16, 1);
    feed_object(&world->pen, WIRE_EVENT_FREE_REFCOUNT, 2, true, 1000, 3);
    feed_totals(&world->pen, &totals);
    assert_int_equal(totals.allocations, 3);
    assert_int_equal(totals.allocated_bytes, 1032);
    assert_int_equal(totals.frees_cycle, 1);
    assert_int_equal(totals.freed_cycle_bytes, 16);
    assert_int_equal(totals.freed_refcount_bytes, 1000);
}

/* ---- one writer, one reader, one mapping */

#define WRITES 400000u

struct reading {
    struct wire_ring_reader reader;
    atomic_bool written;
    uint64_t sum, torn, lost;
};

/* The writer puts granule = (bytes / 8) * 7 + row into each event, so that a torn or stale word shows. */
static void span_check(const struct wire_span *span, void *arg)
{
    struct reading *reading = arg;
    size_t records = 0;
    for (size_t at = 0; at < span->count; records++) {
        struct wire_event_view event;
        at += wire_event_decode(&span->words[at], &event);
        if (event.kind == WIRE_EVENT_RARE || event.granule != ((event.bytes / 8) * 7 + event.row) % 1000003)
            reading->torn++;
    }
    reading->torn += records != span->records || (span->plain && records != span->count);
    reading->sum += records;
    reading->lost += span->lost;
}

static void *reading_run(void *arg)
{
    struct reading *reading = arg;
    bool last = false;
    while (!last) {
        last = atomic_load(&reading->written);
        if (wire_ring_read(&reading->reader, UINT64_MAX, span_check, reading) < 0)
            reading->torn += 1000000;
    }
    return NULL;
}

static void test_a_concurrent_reader_sees_whole_records_and_counts_the_rest(void **state)
{
    struct world *world = *state;
    struct reading *reading = calloc(1, sizeof *reading);
    pthread_t thread;
    assert_int_equal(wire_ring_reader_init(&reading->reader, world->ring, WIRE_RING_BYTES), 0);
    assert_int_equal(pthread_create(&thread, NULL, reading_run, reading), 0);
    for (uint64_t i = 0; i < WRITES; i++) {
        uint64_t bytes = i % 13 == 0 ? 504 + i % 4096 * 8 : i % 60 * 8;
        feed_object(&world->pen, (enum wire_event)(1 + i % 3), (uint32_t)(i % 3), true, bytes,
                    ((bytes / 8) * 7 + i % 3) % 1000003);
        if (i % 5000 == 0) {
            feed_level_set(&world->pen, WIRE_LEVEL_OFF);
            feed_level_set(&world->pen, WIRE_LEVEL_ALL);
        }
    }
    atomic_store(&reading->written, true);
    pthread_join(thread, NULL);
    assert_int_equal(reading->torn, 0);
    assert_int_equal(reading->reader.malformed, 0);
    assert_int_equal(reading->reader.seen, reading->sum);
    assert_int_equal(reading->reader.seen + reading->reader.lost, WRITES);
    assert_int_equal(feed_sequence(&world->pen), WRITES);
    assert_int_equal(reading->lost, reading->reader.lost_told);
    assert_true(reading->reader.seen > 0);
    free(reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(test_format_describes_both_memories),
        ROW(test_events_of_one_word_fill_a_block_exactly),
        ROW(test_records_of_two_words_do_not_straddle),
        ROW(test_sizes_around_the_long_code),
        ROW(test_the_oldest_is_overwritten),
        ROW(test_level_switches_keep_row_equal_to_untold_and_events),
        ROW(test_level_switches_pad_what_they_leave),
        ROW(test_successors_go_on_where_their_predecessors_ended),
        ROW(test_without_a_ring_the_level_is_off),
        ROW(test_restart_begins_at_zero),
        ROW(test_types_are_described_until_rows_run_out),
        ROW(test_types_are_described_until_names_run_out),
        ROW(test_records_of_collections_keep_the_newest),
        ROW(test_records_tell_scope_and_slices),
        ROW(test_totals_reckon_fixed_sizes),
        ROW(test_a_concurrent_reader_sees_whole_records_and_counts_the_rest),
#undef ROW
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
