/* Reading one heap: counters, types, summary, collections and events, each copied before it is believed. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mapped.h"
#include "intake/private.h"

#define SUMMARY_TRIES 64
#define RECORDS_A_TURN WIRE_RECORD_COUNT

static uint64_t load(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static uint32_t load32(const _Atomic uint32_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static const void *at(const struct heap_feed *heap, uint32_t offset)
{
    return (const char *)heap->counters + offset;
}

/* Frees before allocations, so that nothing shows negative. */
static void row_copy(const struct wire_row *from, struct intake_row *to)
{
    to->freed_cycle = atomic_load_explicit(&from->freed_cycle, memory_order_acquire);
    to->freed_cycle_bytes = atomic_load_explicit(&from->freed_cycle_bytes, memory_order_acquire);
    to->freed_refcount = atomic_load_explicit(&from->freed_refcount, memory_order_acquire);
    to->freed_refcount_bytes = atomic_load_explicit(&from->freed_refcount_bytes, memory_order_acquire);
    to->moved_out = atomic_load_explicit(&from->moved_out, memory_order_acquire);
    to->moved_in = load(&from->moved_in);
    to->allocated = load(&from->allocated);
    to->allocated_bytes = load(&from->allocated_bytes);
}

/* At level off the rows go on where the events stopped. Returns whether anything has changed. */
static bool rows_copy(struct heap_feed *heap)
{
    const struct wire_row *rows = at(heap, heap->row_offset);
    bool off = heap->summary.level == WIRE_LEVEL_OFF, changed = false;
    for (uint32_t i = 0; i < heap->type_count; i++) {
        struct intake_row row;
        const struct feed_base *base = &heap->bases[i];
        row_copy(&rows[i], &row);
        row.untold_allocated = base->allocated + (off ? row.allocated : 0);
        row.untold_freed_refcount = base->freed_refcount + (off ? row.freed_refcount : 0);
        row.untold_freed_cycle = base->freed_cycle + (off ? row.freed_cycle : 0);
        changed |= memcmp(&row, &heap->rows[i], sizeof row) != 0;
        heap->rows[i] = row;
    }
    return changed;
}

static bool grow(void **array, size_t each, uint32_t from, uint32_t to)
{
    char *grown = realloc(*array, each * to);
    if (!grown)
        return false;
    memset(grown + each * from, 0, each * (to - from));
    *array = grown;
    return true;
}

/* A little more than there are: most programs have few types, and some a feed with room for many. */
static bool rows_reserve(struct user *user, struct heap_feed *heap, uint32_t count)
{
    uint32_t from = heap->row_room, room = (count + count / 4 + 7) & ~7u;
    if (count <= from)
        return true;
    if ((uint64_t)(room - from) * TYPE_BYTES > MAPPED_PER_UID - user->mapped_bytes)
        return false;
    void *types = heap->types, *rows = heap->rows, *bases = heap->bases, *bases_next = heap->bases_next;
    bool grown = grow(&types, sizeof *heap->types, from, room) && grow(&rows, sizeof *heap->rows, from, room) &&
                 grow(&bases, sizeof *heap->bases, from, room) &&
                 grow(&bases_next, sizeof *heap->bases_next, from, room);
    heap->types = types;
    heap->rows = rows;
    heap->bases = bases;
    heap->bases_next = bases_next;
    if (!grown)
        return false;
    heap->row_room = room;
    user->mapped_bytes += (uint64_t)(room - from) * TYPE_BYTES;
    return true;
}

/* A description counts once type_count (acquire) is past it, and never changes then. */
static const char *types_take(struct user *user, struct heap_feed *heap)
{
    const struct wire_desc *descs = at(heap, heap->desc_offset);
    uint32_t count = atomic_load_explicit(&heap->counters->type_count, memory_order_acquire);
    if (count > heap->row_capacity || count < heap->type_count || count < heap->type_least)
        return "a feed counts types that it cannot have";
    if (!rows_reserve(user, heap, count))
        return "a user's feeds and types are too many, or memory is short";
    for (uint32_t i = heap->type_count; i < count; i++) {
        struct intake_type type = {.flags = descs[i].flags, .size_bytes = descs[i].size_bytes};
        char name[WIRE_NAME_MAX + 1];
        uint32_t offset = descs[i].name_offset, bytes = descs[i].name_bytes;
        atomic_signal_fence(memory_order_seq_cst); /* offset and bytes are ours from here on */
        if (offset > heap->string_bytes || bytes > heap->string_bytes - offset || bytes > WIRE_NAME_MAX ||
            !bytes)
            return "a feed's type has a name that leads out of it";
        memcpy(name, at(heap, heap->string_offset + offset), bytes);
        name[bytes] = '\0';
        if (strlen(name) != bytes || !wire_text_valid(name, bytes))
            return "a feed's type has a name that is not clean UTF-8";
        if (!heap->types[i].name || strcmp(heap->types[i].name, name)) {
            type.name = strdup(name);
            if (!type.name)
                return NULL; /* the next look takes it */
            free(heap->types[i].name);
        } else {
            type.name = heap->types[i].name; /* taken over from the predecessor */
        }
        heap->types[i] = type;
        heap->type_count = i + 1;
    }
    return NULL;
}

static void summary_read(const struct heap_feed *heap, struct intake_summary *to, struct feed_base *bases)
{
    const struct wire_counters *from = heap->counters;
    const struct wire_desc *descs = at(heap, heap->desc_offset);
    to->enabled = load32(&from->enabled);
    to->manager = load32(&from->manager);
    to->debug = load32(&from->debug);
    to->level = load32(&from->level);
    to->access = load32(&from->access);
    to->stress_nth = load32(&from->stress_nth);
    to->stress_every_decref = load32(&from->stress_every_decref);
    for (int i = 0; i < 3; i++) {
        to->thresholds[i] = load32(&from->thresholds[i]);
        to->collections[i] = load(&from->generations[i].collections);
        to->collected[i] = load(&from->generations[i].collected);
        to->uncollectable[i] = load(&from->generations[i].uncollectable);
        to->counts[i] = load(&from->counts[i]);
    }
    to->garbage = load(&from->garbage);
    to->frozen = load(&from->frozen);
    to->pause_ns = load(&from->pause_ns);
    to->max_pause_ns = load(&from->max_pause_ns);
    to->last_pause_ns = load(&from->last_pause_ns);
    to->max_pause_us = load(&from->max_pause_us);
    to->memory_limit_bytes = load(&from->memory_limit_bytes);
    to->extern_bytes = load(&from->extern_bytes);
    to->candidates = load(&from->candidates);
    to->pending_objects = load(&from->pending_objects);
    to->finalizers_pending = load(&from->finalizers_pending);
    to->slices = load(&from->slices);
    to->missed_slices = load(&from->missed_slices);
    to->longest_slice_ns = load(&from->longest_slice_ns);
    to->abandoned_runs = load(&from->abandoned_runs);
    to->refused_runs = load(&from->refused_runs);
    to->candidates_due = load(&from->candidates_due);
    to->settled = load(&from->settled) == 1;
    for (uint32_t i = 0; i < heap->type_count; i++) {
        bases[i].allocated = load(&descs[i].base_allocated);
        bases[i].freed_refcount = load(&descs[i].base_freed_refcount);
        bases[i].freed_cycle = load(&descs[i].base_freed_cycle);
    }
}

/* Under the writer's sequence lock. One that never lets go (it died inside) leaves what was read before. */
static void summary_copy(struct heap_feed *heap)
{
    const _Atomic uint64_t *seq = &heap->counters->seq;
    for (int i = 0; i < SUMMARY_TRIES; i++) {
        uint64_t before = atomic_load_explicit(seq, memory_order_acquire);
        if (before & 1)
            continue;
        struct intake_summary summary;
        summary_read(heap, &summary, heap->bases_next);
        atomic_thread_fence(memory_order_acquire);
        if (load(seq) != before)
            continue;
        summary.valid = true;
        heap->summary = summary;
        struct feed_base *read = heap->bases_next;
        heap->bases_next = heap->bases;
        heap->bases = read;
        return;
    }
}

static bool record_copy(const struct heap_feed *heap, uint64_t number, int64_t clock_offset_ns,
                        struct intake_record *to)
{
    const struct wire_record *records = at(heap, heap->record_offset);
    const struct wire_record *from = &records[(number - 1) % heap->record_capacity];
    if (atomic_load_explicit(&from->sequence, memory_order_acquire) != number)
        return false;
    to->sequence = number;
    to->start_ns = load(&from->start_ns) - (uint64_t)clock_offset_ns;
    to->pause_ns = load(&from->pause_ns);
    to->find_ns = load(&from->find_ns);
    to->callback_ns = load(&from->callback_ns);
    to->free_ns = load(&from->free_ns);
    to->examined = load(&from->examined);
    to->collected = load(&from->collected);
    to->freed_bytes = load(&from->freed_bytes);
    to->uncollectable = load(&from->uncollectable);
    to->live_bytes_before = load(&from->live_bytes_before);
    to->live_bytes_after = load(&from->live_bytes_after);
    to->safepoint_wait_ns = load(&from->safepoint_wait_ns);
    to->operation = load(&from->operation);
    to->reason = load32(&from->reason);
    to->generation = load32(&from->generation);
    to->manager = load32(&from->manager);
    uint32_t scope_slices = load32(&from->scope_slices);
    to->scope = scope_slices & ((1u << WIRE_SLICES_SHIFT) - 1);
    to->slices = scope_slices >> WIRE_SLICES_SHIFT;
    atomic_thread_fence(memory_order_acquire);
    return load(&from->sequence) == number;
}

/* The records since the last turn that are still there; what was overwritten shows in the totals only. */
static size_t records_copy(struct heap_feed *heap, int64_t clock_offset_ns, struct intake_record *records)
{
    uint64_t head = atomic_load_explicit(&heap->counters->record_head, memory_order_acquire);
    uint64_t fresh = head > heap->record_head ? head - heap->record_head : 0; /* only a liar's goes back */
    size_t count = 0;
    if (fresh > heap->record_capacity)
        fresh = heap->record_capacity;
    if (fresh > RECORDS_A_TURN)
        fresh = RECORDS_A_TURN;
    for (; fresh; fresh--) /* counted down: a liar's head may be any number, the last one too */
        count += record_copy(heap, head - fresh + 1, clock_offset_ns, &records[count]);
    heap->record_head = head;
    return count;
}

/* Whether any of the fields has moved that nearly every write moves. They are read before what they tell of,
 * so that a write in between shows at the next turn. */
static bool marks_moved(struct heap_feed *heap)
{
    const struct wire_counters *counters = heap->counters;
    struct feed_marks now = {.safepoint_ns = load(&counters->safepoint_ns), .seq = load(&counters->seq),
                             .record_head = load(&counters->record_head), .state = load32(&counters->state),
                             .process_bytes = load(&counters->process_bytes),
                             .head = heap->ring ? load(heap->reader.head) : 0};
    bool moved = memcmp(&now, &heap->marks, sizeof now) || !heap->told ||
                 (heap->ring && wire_ring_waiting(&heap->reader));
    heap->marks = now;
    return moved;
}

/* With events on, nothing happens that the marks do not show. */
static bool marks_tell_all(const struct heap_feed *heap)
{
    return heap->ring && heap->summary.valid && heap->summary.level == WIRE_LEVEL_ALL;
}

static void tell(struct client *client, const struct heap_feed *heap, const struct intake_record *records,
                 size_t count)
{
    const struct wire_counters *counters = heap->counters;
    struct intake_sample sample = {
        .heap_number = heap->number,
        .mono_ns = clock_mono_ns(),
        .state = load32(&counters->state),
        .types_without_row = load32(&counters->types_without_row),
        .safepoint_ns = load(&counters->safepoint_ns) - (uint64_t)client->clock_offset_ns,
        .mapped_bytes = load(&counters->mapped_bytes),
        .process_bytes = load(&counters->process_bytes),
        .type_count = heap->type_count,
        .rows = heap->rows,
        .types = heap->types,
        .summary = heap->summary,
        .has_ring = heap->ring,
        .events_seen = heap->reader.seen,
        .events_lost = heap->reader.lost,
        .events_malformed = heap->reader.malformed,
        .record_count = count,
        .records = records,
    };
    client->intake->sink.sample(client->intake->sink.arg, client->handle, &sample);
}

struct reading {
    const struct client *client;
    const struct heap_feed *heap;
    uint64_t since_ns; /* nothing that is read is older than that */
};

/* An honest writer describes a type before its first event. */
static uint32_t types_described(const struct heap_feed *heap)
{
    uint32_t count = atomic_load_explicit(&heap->counters->type_count, memory_order_acquire);
    return count < heap->row_capacity ? count : heap->row_capacity;
}

static void span_tell(const struct wire_span *span, void *arg)
{
    const struct reading *reading = arg;
    const struct client *client = reading->client;
    const struct intake_sink *sink = &client->intake->sink;
    struct wire_span dated = *span; /* of our clock, and as narrowly as we know */
    dated.clock_ns -= (uint64_t)client->clock_offset_ns;
    if (dated.clock_ns < reading->since_ns)
        dated.clock_ns = reading->since_ns;
    dated.before_us = reading->heap->reader.position < reading->heap->known_from;
    sink->events(sink->arg, client->handle, reading->heap->number, types_described(reading->heap), &dated);
}

static const char *ring_read(struct client *client, struct heap_feed *heap, uint64_t limit)
{
    struct reading reading = {client, heap, heap->drained ? heap->read_ns : 0};
    return wire_ring_read(&heap->reader, limit, span_tell, &reading) < 0 ? "a ring's positions are impossible" : NULL;
}

const char *intake_ring_drain(struct client *client, struct heap_feed *heap)
{
    mapped_watch(heap->counters, heap->counters_bytes, heap->ring, heap->ring_bytes);
    return ring_read(client, heap, UINT64_MAX);
}

/* A ring that cannot hold what is written in GROW_HOLDS_NS, or twice what came since the last look, as bursts do, is
 * asked to become one that can; a few words do not make a rate. */
static void ring_grow(struct client *client, struct heap_feed *heap, uint64_t written, uint64_t rate, uint64_t now_ns)
{
    uint64_t words = heap->reader.capacity_words, most = rate > GROW_RATE ? GROW_SMALL : WIRE_RING_WORDS_MAX;
    uint64_t held = rate < UINT64_MAX / GROW_HOLDS_NS ? rate * (GROW_HOLDS_NS / 1000) / 1000000 : most;
    uint64_t wanted = written > held / 2 ? (written < most ? written * 2 : most) : held;
    while (written > WIRE_RING_WORDS / 8 && words < most && words < wanted)
        words *= 2;
    if (words <= heap->reader.capacity_words || now_ns - heap->asked_ns < GROW_AGAIN_NS)
        return;
    struct wire_command command = {.kind = WIRE_COMMAND_GROW, .heap_number = heap->number, .ring_words = words};
    heap->asked_ns = now_ns;
    intake_client_ask(client, &command);
}

/* The time in which a quarter of the ring is written at that rate. */
static uint64_t quarter_ns(const struct heap_feed *heap, uint64_t rate)
{
    uint64_t ns = rate ? heap->reader.capacity_words / 4 * 1000000 / (rate / 1000 + 1) : POLL_IDLE_NS;
    return ns < POLL_MIN_NS ? POLL_MIN_NS : ns < POLL_IDLE_NS ? ns : POLL_IDLE_NS;
}

/* When to come again: before a quarter of the ring is written, at the rate of the time since the last look; and at
 * rest, soon enough for the rate that there was not long ago. */
static void ring_pace(struct client *client, struct heap_feed *heap, uint64_t *again_ns)
{
    uint64_t now_ns = clock_mono_ns(), waiting = wire_ring_waiting(&heap->reader); /* in this order */
    uint64_t written = heap->reader.position + waiting;
    uint64_t words = written > heap->written ? written - heap->written : 0;
    uint64_t passed_ns = heap->read_ns && now_ns > heap->read_ns ? now_ns - heap->read_ns : POLL_IDLE_NS;
    uint64_t rate = words < UINT64_MAX / 1000000 ? words * 1000000 / (passed_ns / 1000 + 1) : 0; /* a second */
    heap->drained = !waiting;
    heap->read_ns = now_ns;
    heap->written = written;
    if (rate > heap->peak && words > WIRE_RING_WORDS / 8)
        heap->peak = rate;
    ring_grow(client, heap, words, rate, now_ns);
    uint64_t next_ns = waiting > heap->reader.capacity_words / 8 ? POLL_MIN_NS : quarter_ns(heap, rate);
    if (words && next_ns < *again_ns)
        *again_ns = next_ns;
}

uint64_t intake_heap_rest(struct heap_feed *heap)
{
    uint64_t most = heap->ring ? quarter_ns(heap, heap->peak) : POLL_IDLE_NS;
    heap->peak -= heap->peak / PEAK_LOOKS;
    return most;
}

/* Events before counters: while the heap runs on, counters may be ahead of the events, never behind. */
bool intake_heap_sample(struct client *client, struct heap_feed *heap, uint64_t words, bool last, uint64_t *again_ns,
                        const char **fault)
{
    if (!heap->counters)
        return false;
    mapped_watch(heap->counters, heap->counters_bytes, heap->ring, heap->ring_bytes);
    bool moved = marks_moved(heap);
    if (!moved && marks_tell_all(heap))
        return false;
    struct intake_record records[RECORDS_A_TURN];
    *fault = types_take(client->user, heap);
    if (last && heap->ring)
        wire_ring_skip(&heap->reader, words);
    if (!*fault && heap->ring)
        *fault = ring_read(client, heap, words);
    if (*fault)
        return false;
    if (heap->ring)
        ring_pace(client, heap, again_ns);
    summary_copy(heap);
    bool changed = rows_copy(heap);
    size_t count = records_copy(heap, client->clock_offset_ns, records);
    heap->told = true;
    if (!moved && !count && !changed)
        return false; /* it is at rest, and what was told last stands */
    tell(client, heap, records, count);
    return true;
}
