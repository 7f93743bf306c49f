/* A writer that is stopped after every machine instruction. A child writes a feed under PTRACE_SINGLESTEP, and
 * after each step the parent reads what a reader of another process would find at that instant: nothing torn,
 * nothing negative, nothing uncounted. Some children are killed at a step instead, and what they leave is read
 * the same way.
 *
 * Readers, too, take their time: some see the head of an earlier step than the words, and the words of an
 * earlier one than the reserve, as a reader does that the writer overtakes (see struct reading). */
#include <stdlib.h>
#include <string.h>

#include "traced.h"
#include "writer.h"

#define HISTORY 64u    /* steps that the slowest reader may take */
#define LATE_WORDS (CAPACITY + 300u) /* between two readings of the late reader */
#define STEPS_MAX 2000000u
#define KILLS 48u

struct shared { /* between child and parent, besides the feed */
    atomic_bool stepping;
    _Atomic uint64_t sequence; /* at the start of a phase */
};

struct instant { /* a ring after a step */
    uint64_t head, reserve;
    uint64_t words[CAPACITY];
};

/* A reader that begins with the head of `older + old` steps ago, copies the words of `old` steps ago, and looks
 * at the reserve now. */
struct reading {
    unsigned old, older;
    struct wire_ring_reader reader;
    uint64_t shown, next; /* events, and the least number that the next one may have */
    void *memory;         /* a ring of that moment's making, or the writer's own */
};

struct oracle { /* follows the head word by word, and so knows what has been published */
    uint64_t head, published;
    uint64_t events[ROWS][3];
    bool complete; /* it was there all the time */
};

struct world {
    struct writer writer; /* the child's, but for the memory that its pointers lead to */
    struct shared *shared;
    pid_t child;
    struct oracle oracle;
    struct instant *history;
    struct reading fresh, steady, late, slow[2];
    uint64_t late_head; /* when the late reader read last */
    char before[WIRE_HEADER_BYTES]; /* the counters' header, one step ago */
    uint64_t steps;
};

static void reading_open(struct reading *reading, void *ring)
{
    reading->memory = ring;
    reading->shown = reading->next = 0;
    assert_int_equal(wire_ring_reader_init(&reading->reader, ring, RING_BYTES), 0);
}

static const void *at_offset(const struct world *world, uint32_t offset)
{
    return (const char *)world->writer.counters + offset;
}

static void event_check(const struct wire_event_view *event, void *arg)
{
    struct reading *reading = arg;
    assert_true(event_is_right(event));
    assert_true(event_number(event) >= reading->next);
    reading->next = event_number(event) + 1;
    reading->shown++;
}

/* ---- what the child does: a phase's first half runs freely, its second step by step */

static void fill_until(struct writer *writer, uint64_t left)
{
    while (writer->pen.block_end - feed_position(&writer->pen) != left)
        event_write(writer, false);
}

static void fill_0(struct writer *writer)
{
    fill_until(writer, 0);
}

static void fill_1(struct writer *writer)
{
    fill_until(writer, 1);
}

static void fill_2(struct writer *writer)
{
    fill_until(writer, 2);
}

static void fill_20(struct writer *writer)
{
    fill_until(writer, 20);
}

static void nothing(struct writer *writer)
{
    (void)writer;
}

static void ones_and_twos(struct writer *writer)
{
    for (unsigned i = 0; i < 12; i++)
        event_write(writer, i % 3 == 1);
}

static void one_two_one(struct writer *writer)
{
    event_write(writer, false);
    event_write(writer, true);
    event_write(writer, false);
}

static void two_one(struct writer *writer)
{
    event_write(writer, true);
    event_write(writer, false);
}

static void level_cycle(struct writer *writer)
{
    feed_level_set(&writer->pen, WIRE_LEVEL_OFF);
    for (unsigned i = 0; i < 4; i++)
        feed_object(&writer->pen, i < 3 ? WIRE_EVENT_ALLOC : WIRE_EVENT_FREE_CYCLE, i % ROWS, true, 8, 0);
    feed_level_set(&writer->pen, WIRE_LEVEL_ALL);
    one_two_one(writer);
}

static void summaries(struct writer *writer)
{
    for (unsigned i = 0; i < 4; i++)
        summary_write(writer, 0);
}

static void records(struct writer *writer)
{
    for (unsigned i = 0; i < 4; i++)
        record_write(writer);
}

/* All slots but two have been used; without events, which would fill the ring. */
static void records_nearly_all(struct writer *writer)
{
    feed_level_set(&writer->pen, WIRE_LEVEL_OFF);
    while (atomic_load(&writer->counters->record_head) < writer->counters->record_capacity - 2)
        record_write(writer);
    feed_level_set(&writer->pen, WIRE_LEVEL_ALL);
}

static void types_describe(struct writer *writer)
{
    struct feed_type types[3];
    for (unsigned i = 0; i < 3; i++)
        types[i] = (struct feed_type){.name = "more", .size_bytes = 8 * (ROWS + i)};
    feed_types_describe(&writer->pen, types, ROWS + 3, ROWS + 3);
}

static void many(struct writer *writer)
{
    for (unsigned i = 0; i < 60; i++)
        event_write(writer, i % 7 == 3);
}

static const struct {
    void (*freely)(struct writer *writer), (*stepped)(struct writer *writer);
} phases[] = {
    {nothing, ones_and_twos}, {fill_2, one_two_one}, {fill_2, two_one},   {fill_1, two_one},
    {fill_0, two_one},        {fill_1, level_cycle}, {fill_0, level_cycle}, {nothing, summaries},
    {nothing, records},       {records_nearly_all, records}, {nothing, types_describe},
    {fill_20, many},          {fill_20, many},       {fill_20, many},     {fill_20, many},
    {fill_20, many},          {nothing, level_cycle},
};
#define PHASES (sizeof phases / sizeof *phases)

static void writer_run(struct writer *writer, struct shared *shared)
{
    for (size_t i = 0; i < PHASES; i++) {
        phases[i].freely(writer);
        atomic_store(&shared->sequence, feed_sequence(&writer->pen));
        atomic_store(&shared->stepping, true);
        raise(SIGTRAP);
        phases[i].stepped(writer);
        atomic_store(&shared->stepping, false);
    }
}

/* ---- what the parent checks */

static uint64_t word_at(const struct world *world, uint64_t position)
{
    const _Atomic uint64_t *words = (const void *)((const char *)world->writer.ring + WIRE_RING_HEADER_BYTES);
    return atomic_load_explicit(&words[position % CAPACITY], memory_order_relaxed);
}

/* Length of the record at a position. */
static uint64_t oracle_record(struct world *world, uint64_t position)
{
    struct oracle *oracle = &world->oracle;
    uint64_t word = word_at(world, position);
    if ((word & 3) == WIRE_EVENT_RARE && (word >> 2 & 63) == WIRE_RARE_PAD)
        return WIRE_BLOCK_SIZE - position % WIRE_BLOCK_SIZE;
    oracle->published++;
    if ((word & 3) == WIRE_EVENT_RARE) {
        if ((word >> 2 & 63) == WIRE_RARE_COLLECTION_STOP)
            assert_true(word >> 16 <= atomic_load(&world->writer.counters->record_head));
        return word >> 8 & 255;
    }
    oracle->events[word >> 2 & 3][(word & 3) - 1]++;
    return (word >> 18 & 63) == WIRE_SIZE_CODE_LONG ? 2 : 1;
}

static void oracle_follow(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    uint64_t head = atomic_load(&world->writer.ring->head);
    assert_true(head >= oracle->head);
    while (oracle->head < head) {
        if (oracle->head % WIRE_BLOCK_SIZE == 0) {
            assert_int_equal(word_at(world, oracle->head), oracle->published);
            assert_int_equal(word_at(world, oracle->head + 2), WIRE_LEVEL_ALL);
            oracle->head += WIRE_BLOCK_WORDS;
        } else {
            oracle->head += oracle_record(world, oracle->head);
        }
    }
    assert_int_equal(oracle->head, head);
}

/* At the start of a phase the child says how far it is; what it did freely may be overwritten already. */
static void oracle_resume(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    uint64_t reserve = atomic_load(&world->writer.ring->reserve);
    if (reserve <= CAPACITY || oracle->head >= reserve - CAPACITY) {
        oracle_follow(world);
    } else {
        oracle->head = atomic_load(&world->writer.ring->head);
        oracle->published = atomic_load(&world->shared->sequence);
        oracle->complete = false;
    }
    assert_int_equal(oracle->published, atomic_load(&world->shared->sequence));
}

static void reading_read(struct reading *reading)
{
    uint64_t shown = reading->shown;
    int64_t got = events_read(&reading->reader, event_check, reading);
    assert_true(got >= 0);
    assert_int_equal(got, reading->shown - shown);
    assert_int_equal(reading->reader.seen, reading->shown);
    assert_int_equal(reading->reader.malformed, 0);
}

/* At one instant: what is seen and what is lost are what has been published. */
static void reading_at_once(const struct world *world, struct reading *reading)
{
    reading_read(reading);
    assert_int_equal(reading->reader.seen + reading->reader.lost, world->oracle.published);
    assert_true(reading->next <= world->oracle.published);
}

static void late_read(struct world *world)
{
    reading_at_once(world, &world->late);
    world->late_head = world->oracle.head;
}

/* Over some steps: never more. */
static void reading_over_time(const struct world *world, struct reading *reading)
{
    if (world->steps < reading->old + reading->older)
        return;
    const struct instant *words = &world->history[(world->steps - reading->old) % HISTORY];
    const struct instant *first = &world->history[(world->steps - reading->old - reading->older) % HISTORY];
    struct wire_ring *ring = reading->memory;
    memcpy((char *)ring + WIRE_RING_HEADER_BYTES, words->words, sizeof words->words);
    atomic_store(&ring->head, first->head);
    atomic_store(&ring->reserve, world->history[world->steps % HISTORY].reserve);
    reading_read(reading);
    assert_true(reading->reader.seen + reading->reader.lost <= world->oracle.published);
}

static void instant_keep(struct world *world)
{
    struct instant *now = &world->history[world->steps % HISTORY];
    now->head = atomic_load(&world->writer.ring->head);
    now->reserve = atomic_load(&world->writer.ring->reserve);
    memcpy(now->words, (const char *)world->writer.ring + WIRE_RING_HEADER_BYTES, sizeof now->words);
}

/* Where the summary is whole and says that events are on, they and the base make the row, or will with the next
 * event. */
static void rows_check(const struct world *world, bool whole)
{
    const struct wire_row *rows = at_offset(world, world->writer.counters->row_offset);
    const struct wire_desc *descs = at_offset(world, world->writer.counters->desc_offset);
    bool told = whole && world->oracle.complete && atomic_load(&world->writer.counters->level) == WIRE_LEVEL_ALL;
    for (unsigned i = 0; i < ROWS; i++) {
        uint64_t freed[2] = {atomic_load(&rows[i].freed_refcount), atomic_load(&rows[i].freed_cycle)};
        uint64_t allocated = atomic_load(&rows[i].allocated);
        assert_true(freed[0] + freed[1] <= allocated);
        if (!told)
            continue;
        const uint64_t *events = world->oracle.events[i];
        assert_in_range(allocated - atomic_load(&descs[i].base_allocated) - events[0], 0, 1);
        assert_in_range(freed[0] - atomic_load(&descs[i].base_freed_refcount) - events[1], 0, 1);
        assert_in_range(freed[1] - atomic_load(&descs[i].base_freed_cycle) - events[2], 0, 1);
    }
}

/* Whole, or the sequence lock says that it is not: now, and from the last step to this. */
static bool summary_check(struct world *world)
{
    const struct wire_counters *now = world->writer.counters, *before = (const void *)world->before;
    size_t from = offsetof(struct wire_counters, enabled);
    uint64_t seq = atomic_load(&now->seq);
    if (seq % 2 == 0) {
        assert_true(summary_is_right(now));
        if (atomic_load(&before->seq) == seq)
            assert_memory_equal((const char *)now + from, (const char *)before + from, sizeof *now - from);
    }
    memcpy(world->before, now, sizeof world->before);
    return seq % 2 == 0;
}

/* A slot that bears a number holds all of that record, and the newest number's is there. */
static void records_check(const struct world *world)
{
    const struct wire_record *slots = at_offset(world, world->writer.counters->record_offset);
    uint64_t head = atomic_load(&world->writer.counters->record_head), capacity = world->writer.counters->record_capacity;
    for (uint64_t number = head ? head : 1; number <= head + 1; number++) {
        const struct wire_record *slot = &slots[(number - 1) % capacity];
        uint64_t n = atomic_load(&slot->sequence);
        assert_true(n == number || (number > head && (n == 0 || n + capacity == number)));
        assert_true(!n || record_is_right(slot, n));
    }
}

static void types_check(const struct world *world)
{
    static const char *const names[] = {"other", "pair", "text", "more", "more", "more"};
    const struct wire_desc *descs = at_offset(world, world->writer.counters->desc_offset);
    for (uint32_t i = 0; i < atomic_load(&world->writer.counters->type_count); i++) {
        const char *name = at_offset(world, world->writer.counters->string_offset + descs[i].name_offset);
        assert_int_equal(descs[i].name_bytes, strlen(names[i]));
        assert_memory_equal(name, names[i], descs[i].name_bytes);
        assert_true(i < ROWS || descs[i].size_bytes == 8 * i);
    }
}

static void counters_check(struct world *world)
{
    rows_check(world, summary_check(world));
    records_check(world);
    types_check(world);
}

static void step_check(struct world *world)
{
    world->steps++;
    oracle_follow(world);
    instant_keep(world);
    reading_open(&world->fresh, world->writer.ring);
    reading_at_once(world, &world->fresh);
    reading_at_once(world, &world->steady);
    if (world->oracle.head - world->late_head >= LATE_WORDS)
        late_read(world);
    reading_over_time(world, &world->slow[0]);
    reading_over_time(world, &world->slow[1]);
    counters_check(world);
}

/* ---- the child's steps */

static void child_run(void *arg)
{
    struct world *world = arg;
    raise(SIGTRAP);
    writer_run(&world->writer, world->shared);
}

static void child_kill(struct world *world)
{
    int status = 0;
    assert_int_equal(kill(world->child, SIGKILL), 0);
    assert_int_equal(waitpid(world->child, &status, 0), world->child);
    assert_true(WIFSIGNALED(status));
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    writer_make(&world->writer);
    world->shared = memory(sizeof *world->shared);
    world->history = calloc(HISTORY, sizeof *world->history);
    assert_non_null(world->history);
    world->oracle.complete = true;
    world->slow[0] = (struct reading){.old = 1, .older = 1};
    world->slow[1] = (struct reading){.old = 17, .older = HISTORY - 18};
    for (struct reading *reading = world->slow; reading < world->slow + 2; reading++) {
        void *ring = memory(RING_BYTES);
        memcpy(ring, world->writer.ring, RING_BYTES);
        reading_open(reading, ring);
    }
    reading_open(&world->steady, world->writer.ring);
    reading_open(&world->late, world->writer.ring);
    memcpy(world->before, world->writer.counters, sizeof world->before);
    return world;
}

static void world_free(struct world *world)
{
    munmap(world->slow[0].memory, RING_BYTES);
    munmap(world->slow[1].memory, RING_BYTES);
    munmap(world->writer.counters, WIRE_COUNTERS_BYTES);
    munmap(world->writer.ring, RING_BYTES);
    munmap(world->shared, sizeof *world->shared);
    free(world->history);
    free(world);
}

static void test_every_instruction_leaves_a_feed_that_reads_right(void **state)
{
    (void)state;
#if defined(FEED_SEEN)
    skip(); /* the sanitizer stores through functions of its own */
#endif
    struct world *world = world_new();
    world->child = traced_start(child_run, world);
    while (traced_continue(world->child, PTRACE_CONT)) {
        oracle_resume(world);
        assert_true(atomic_load(&world->shared->stepping));
        while (atomic_load(&world->shared->stepping) && world->steps < STEPS_MAX) {
            assert_true(traced_continue(world->child, PTRACE_SINGLESTEP));
            step_check(world);
        }
        assert_true(world->steps < STEPS_MAX);
    }
    oracle_follow(world);
    reading_at_once(world, &world->late);
    world->slow[1].old = world->slow[1].older = 0;
    instant_keep(world);
    reading_over_time(world, &world->slow[1]);
    assert_int_equal(world->slow[1].reader.seen + world->slow[1].reader.lost, world->oracle.published);
    assert_true(world->oracle.complete && world->late.reader.lost > 0 && world->steady.reader.lost == 0);
    assert_true(world->oracle.head > 5 * CAPACITY);
    print_message("%llu steps, %llu records\n", (unsigned long long)world->steps,
                  (unsigned long long)world->oracle.published);
    world_free(world);
}

/* Death anywhere in a phase: what the child published is read, and its counters are right. */
static void test_death_at_a_step_leaves_what_was_published(void **state)
{
    (void)state;
#if defined(FEED_SEEN)
    skip();
#endif
    for (unsigned i = 0; i < KILLS; i++) {
        struct world *world = world_new();
        unsigned steps = i * i * 7 % 211; /* within the shortest phase's, or its end */
        world->child = traced_start(child_run, world);
        for (unsigned phase = 0; phase <= i % PHASES; phase++) {
            assert_true(traced_continue(world->child, PTRACE_CONT));
            oracle_resume(world);
        }
        for (unsigned step = 0; step < steps && atomic_load(&world->shared->stepping); step++) {
            assert_true(traced_continue(world->child, PTRACE_SINGLESTEP));
            oracle_follow(world);
        }
        child_kill(world);
        memcpy(world->before, world->writer.counters, sizeof world->before);
        reading_at_once(world, &world->steady);
        reading_at_once(world, &world->late);
        counters_check(world);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_instruction_leaves_a_feed_that_reads_right),
        cmocka_unit_test(test_death_at_a_step_leaves_what_was_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
