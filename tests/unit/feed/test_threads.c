/* One writer and its readers as threads on one mapping, which is what ThreadSanitizer can look into: blocks that
 * are overwritten under the reader's hands, summaries, collections, descriptions and level switches. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

#if defined(FEED_SEEN)
#define ROUNDS 2000000u
#else
#define ROUNDS 12000000u
#endif
#define TRIES 1000

/* A thread counts what is wrong; assertions are the main thread's. */
struct reading {
    struct writer *writer;
    pthread_barrier_t begin;
    atomic_bool written;
    struct wire_ring_reader reader;
    uint64_t shown, next;
    uint64_t events_wrong, order_wrong, sums_wrong;
    uint64_t rows_wrong, summaries, summaries_wrong, records, records_wrong, types_wrong;
    uint64_t record_head;
    uint64_t rows_before[ROWS][3];
    pthread_t ring_thread, counters_thread;
};

static void event_note(const struct wire_event_view *event, void *arg)
{
    struct reading *reading = arg;
    reading->events_wrong += !event_is_right(event);
    reading->order_wrong += event_number(event) < reading->next;
    reading->next = event_number(event) + 1;
    reading->shown++;
}

static void *ring_run(void *arg)
{
    struct reading *reading = arg;
    bool last = false;
    pthread_barrier_wait(&reading->begin);
    while (!last) {
        uint64_t accounted = reading->reader.seen + reading->reader.lost;
        last = atomic_load(&reading->written);
        reading->sums_wrong += events_read(&reading->reader, event_note, reading) < 0;
        reading->sums_wrong += reading->reader.seen + reading->reader.lost < accounted;
        reading->sums_wrong += reading->reader.seen != reading->shown;
    }
    return NULL;
}

static uint64_t load(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static uint64_t acquire(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_acquire);
}

/* Frees first; nothing goes back. */
static void rows_read(struct reading *reading)
{
    const struct wire_counters *counters = reading->writer->counters;
    const struct wire_row *rows = (const void *)((const char *)counters + counters->row_offset);
    for (unsigned i = 0; i < ROWS; i++) {
        uint64_t *before = reading->rows_before[i];
        uint64_t cycle = acquire(&rows[i].freed_cycle), refcount = acquire(&rows[i].freed_refcount);
        uint64_t allocated = load(&rows[i].allocated);
        reading->rows_wrong += refcount + cycle > allocated || refcount < before[0] || cycle < before[1] ||
                               allocated < before[2];
        before[0] = refcount;
        before[1] = cycle;
        before[2] = allocated;
    }
}

static void summary_read(struct reading *reading)
{
    const struct wire_counters *from = reading->writer->counters;
    static _Thread_local struct wire_counters copy;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = acquire(&from->seq);
        for (unsigned g = 0; g < 3; g++) {
            atomic_store_explicit(&copy.generations[g].collections, load(&from->generations[g].collections),
                                  memory_order_relaxed);
            atomic_store_explicit(&copy.counts[g], load(&from->counts[g]), memory_order_relaxed);
        }
        atomic_store_explicit(&copy.garbage, load(&from->garbage), memory_order_relaxed);
        atomic_store_explicit(&copy.refused_runs, load(&from->refused_runs), memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 || load(&from->seq) != before)
            continue;
        reading->summaries++;
        reading->summaries_wrong += !summary_is_right(&copy);
        return;
    }
}

static bool record_read(const struct wire_record *from, uint64_t number, struct wire_record *copy)
{
    if (acquire(&from->sequence) != number)
        return false;
    const _Atomic uint64_t *members = &from->start_ns;
    _Atomic uint64_t *to = &copy->start_ns;
    for (unsigned i = 0; i < 13; i++)
        atomic_store_explicit(&to[i], load(&members[i]), memory_order_relaxed);
    const _Atomic uint32_t *words = &from->reason;
    _Atomic uint32_t *words_to = &copy->reason;
    for (unsigned i = 0; i < 4; i++)
        atomic_store_explicit(&words_to[i], atomic_load_explicit(&words[i], memory_order_relaxed),
                              memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return load(&from->sequence) == number;
}

/* Whether it was there; if not, then only because the writer has gone round. */
static void record_try(struct reading *reading, uint64_t number)
{
    const struct wire_counters *counters = reading->writer->counters;
    const struct wire_record *slots = (const void *)((const char *)counters + counters->record_offset);
    struct wire_record copy;
    if (record_read(&slots[(number - 1) % counters->record_capacity], number, &copy)) {
        reading->records++;
        reading->records_wrong += !record_is_right(&copy, number);
    } else {
        uint64_t head = acquire(&counters->record_head);
        reading->records_wrong += head + 1 < number + counters->record_capacity;
    }
}

/* The newest, and the oldest, whose slots are the next to be used anew. */
static void records_read(struct reading *reading)
{
    uint64_t head = acquire(&reading->writer->counters->record_head);
    uint64_t capacity = reading->writer->counters->record_capacity;
    reading->records_wrong += head < reading->record_head;
    reading->record_head = head;
    for (unsigned i = 0; i < 3; i++) {
        if (head > i)
            record_try(reading, head - i);
        if (head >= capacity)
            record_try(reading, head - capacity + 1 + i);
    }
}

static void types_read(struct reading *reading)
{
    const struct wire_counters *counters = reading->writer->counters;
    const struct wire_desc *descs = (const void *)((const char *)counters + counters->desc_offset);
    uint32_t count = atomic_load_explicit(&counters->type_count, memory_order_acquire);
    for (uint32_t i = ROWS; i < count; i++) {
        const char *name = (const char *)counters + counters->string_offset + descs[i].name_offset;
        reading->types_wrong +=
            descs[i].name_bytes != 4 || memcmp(name, "more", 4) != 0 || descs[i].size_bytes != 8 * i;
    }
}

static void *counters_run(void *arg)
{
    struct reading *reading = arg;
    pthread_barrier_wait(&reading->begin);
    while (!atomic_load(&reading->written)) {
        rows_read(reading);
        summary_read(reading);
        records_read(reading);
        types_read(reading);
    }
    return NULL;
}

/* Both rare events of a collection in the places of frees, so that allocations stay ahead of them. */
static void collection_write(struct writer *writer)
{
    while (feed_sequence(&writer->pen) % 4 != 2)
        event_write(writer, false);
    record_write(writer);
}

static void type_describe(struct writer *writer)
{
    uint32_t next = writer->pen.row_limit;
    if (next == WIRE_ROW_COUNT)
        return;
    const struct feed_type type = {.name = "more", .size_bytes = 8 * next};
    feed_types_describe(&writer->pen, &type, next + 1, next + 1);
}

static void write_all(struct writer *writer)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        event_write(writer, i % 13 == 5);
        if (i % 61 == 0)
            summary_write(writer, 100);
        if (i % 97 == 0)
            collection_write(writer);
        if (i % 5003 == 0)
            type_describe(writer);
        if (i % 1009 == 0) {
            feed_level_set(&writer->pen, WIRE_LEVEL_OFF);
            feed_object(&writer->pen, WIRE_EVENT_ALLOC, i % ROWS, true, 8, i);
            feed_level_set(&writer->pen, WIRE_LEVEL_ALL);
        }
        if (i % 20011 == 0) /* lets a reader catch up, so that not all is lost */
            usleep(200);
    }
}

static void test_readers_beside_a_writer_see_whole_things(void **state)
{
    (void)state;
    struct writer writer = {.summaries = 0};
    struct reading *reading = calloc(1, sizeof *reading);
    assert_non_null(reading);
    writer_make(&writer);
    reading->writer = &writer;
    pthread_barrier_init(&reading->begin, NULL, 3);
    assert_int_equal(wire_ring_reader_init(&reading->reader, writer.ring, RING_BYTES), 0);
    assert_int_equal(pthread_create(&reading->ring_thread, NULL, ring_run, reading), 0);
    assert_int_equal(pthread_create(&reading->counters_thread, NULL, counters_run, reading), 0);
    pthread_barrier_wait(&reading->begin);
    write_all(&writer);
    atomic_store(&reading->written, true);
    pthread_join(reading->ring_thread, NULL);
    pthread_join(reading->counters_thread, NULL);
    assert_int_equal(reading->events_wrong, 0);
    assert_int_equal(reading->order_wrong, 0);
    assert_int_equal(reading->sums_wrong, 0);
    assert_int_equal(reading->reader.malformed, 0);
    assert_int_equal(reading->reader.seen + reading->reader.lost, feed_sequence(&writer.pen));
    assert_true(reading->shown > 0);
    assert_int_equal(reading->rows_wrong, 0);
    assert_int_equal(reading->summaries_wrong, 0);
    assert_int_equal(reading->records_wrong, 0);
    assert_int_equal(reading->types_wrong, 0);
    assert_true(reading->summaries > 0 && reading->records > 0);
    print_message("%llu events seen, %llu lost; %llu summaries, %llu collections\n",
                  (unsigned long long)reading->reader.seen, (unsigned long long)reading->reader.lost,
                  (unsigned long long)reading->summaries, (unsigned long long)reading->records);
    pthread_barrier_destroy(&reading->begin);
    free(reading);
    munmap(writer.counters, WIRE_COUNTERS_BYTES);
    munmap(writer.ring, RING_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_beside_a_writer_see_whole_things),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
