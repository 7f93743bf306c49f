/* A reader that is overtaken in the middle. A child reads a ring under PTRACE_SINGLESTEP; after k instructions of
 * a reading the parent writes (a little, a block, several times round), and the reading goes on to its end. For
 * many k, and a few lengths of what is written: nothing torn is shown, and nothing is uncounted. */
#include <stdlib.h>

#include "traced.h"
#include "writer.h"

#ifdef __SANITIZE_ADDRESS__
#define EVERY 37u /* there are more instructions, and not for the ring's sake */
#else
#define EVERY 11u
#endif
#define BEHIND 12u /* records that are new when a reading begins */
#define STEPS_MAX 20000u

struct shared { /* what the child tells of its readings */
    atomic_bool reading, enough;
    uint64_t shown, next, wrong, malformed, accounted;
    int64_t got;
};

struct world {
    struct writer writer;
    struct shared *shared;
    pid_t child;
};

static void event_note(const struct wire_event_view *event, void *arg)
{
    struct shared *shared = arg;
    shared->wrong += !event_is_right(event) || event_number(event) < shared->next;
    shared->next = event_number(event) + 1;
    shared->shown++;
}

/* Each reading begins with a stop, and so does what comes after it. */
static void child_run(void *arg)
{
    struct world *world = arg;
    struct wire_ring_reader reader;
    struct shared *shared = world->shared;
    if (wire_ring_reader_init(&reader, world->writer.ring, RING_BYTES))
        _exit(1);
    while (!atomic_load(&shared->enough)) {
        atomic_store(&shared->reading, true);
        raise(SIGTRAP);
        shared->got = events_read(&reader, event_note, shared);
        shared->accounted = reader.seen + reader.lost;
        shared->malformed = reader.malformed;
        atomic_store(&shared->reading, false);
    }
}

static void write_some(struct world *world, unsigned words)
{
    uint64_t end = feed_position(&world->writer.pen) + words;
    while (feed_position(&world->writer.pen) < end)
        event_write(&world->writer, feed_sequence(&world->writer.pen) % 5 == 2);
}

static void fill_until(struct world *world, uint64_t left)
{
    while (world->writer.pen.block_end - feed_position(&world->writer.pen) != left)
        event_write(&world->writer, false);
}

static void reading_check(const struct world *world)
{
    assert_true(world->shared->got >= 0);
    assert_int_equal(world->shared->wrong, 0);
    assert_int_equal(world->shared->malformed, 0);
    assert_true(world->shared->accounted <= feed_sequence(&world->writer.pen));
}

/* Interrupts one reading after k instructions; false: it has no more than those. Every other reading begins at
 * the last word of a block, and is overtaken up to the last word of one. */
static bool interrupt_at(struct world *world, unsigned k, unsigned words)
{
    bool inside = true;
    write_some(world, BEHIND);
    for (unsigned i = 0; i < k && inside; i++) {
        assert_true(traced_continue(world->child, PTRACE_SINGLESTEP));
        inside = atomic_load(&world->shared->reading);
    }
    write_some(world, words);
    if (k % 2)
        fill_until(world, 0);
    assert_true(traced_continue(world->child, PTRACE_CONT));
    reading_check(world);
    if (k % 2)
        fill_until(world, 1);
    assert_true(traced_continue(world->child, PTRACE_CONT)); /* undisturbed */
    reading_check(world);
    assert_int_equal(world->shared->accounted, feed_sequence(&world->writer.pen));
    return inside;
}

static void test_a_reading_may_be_overtaken_at_any_instruction(void **state)
{
    (void)state;
#if defined(FEED_SEEN)
    skip(); /* the sanitizer loads through functions of its own */
#endif
    static const unsigned lengths[] = {CAPACITY - WIRE_BLOCK_SIZE, 1, CAPACITY + 100, CAPACITY - 4,
                                       WIRE_BLOCK_SIZE + 7, 5 * CAPACITY, CAPACITY - WIRE_BLOCK_SIZE / 2};
    struct world *world = calloc(1, sizeof *world);
    unsigned k = 0, trials = 0;
    assert_non_null(world);
    writer_make(&world->writer);
    world->shared = memory(sizeof *world->shared);
    write_some(world, 3 * CAPACITY);
    world->child = traced_start(child_run, world);
    while (interrupt_at(world, k, lengths[trials++ % (sizeof lengths / sizeof *lengths)])) {
        k += EVERY;
        assert_true(k < STEPS_MAX);
    }
    assert_true(k > 100 && world->shared->shown > trials);
    atomic_store(&world->shared->enough, true);
    assert_false(traced_continue(world->child, PTRACE_CONT));
    print_message("%u readings of up to %u instructions\n", trials, k);
    munmap(world->writer.counters, WIRE_COUNTERS_BYTES);
    munmap(world->writer.ring, RING_BYTES);
    munmap(world->shared, sizeof *world->shared);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reading_may_be_overtaken_at_any_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
