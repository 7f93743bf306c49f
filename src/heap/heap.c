/* A heap's beginning and end, its figures, and its feed's memory. */
#include "heap/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/internal.h"

#define HEAP_BYTES ((sizeof(struct tally_heap) + 4095) & ~(size_t)4095)

_Static_assert(offsetof(struct tally_heap, feed) == 4096, "the hot page is wiped alone");

static _Atomic uint32_t heap_count;

static void thresholds_default(struct tally_heap *heap)
{
    heap->enabled = true;
    heap->thresholds[0] = 700;
    heap->thresholds[1] = heap->thresholds[2] = 10;
}

static void stress_from_environment(struct tally_heap *heap)
{
    const char *value = secure_getenv("TALLY_STRESS");
    if (value)
        heap->stress = (unsigned)strtoul(value, NULL, 10);
}

static void memory_free(struct tally_heap *heap)
{
    free(heap->pages);
    map_fini(&heap->weak_heads);
    free(heap->handles.objects);
    tally__unmap(heap->garbage, GARBAGE_ENTRIES * sizeof *heap->garbage);
    tally__unmap(heap->mark_stack, MARK_STACK_ENTRIES * sizeof *heap->mark_stack);
    tally__unmap(heap->hubs.entries, HUB_ENTRIES * sizeof *heap->hubs.entries);
    tally__unmap(heap->private_counters, WIRE_COUNTERS_BYTES);
    tally__unmap(heap->fork_counters, WIRE_COUNTERS_BYTES);
    if (heap->notify_fd >= 0)
        close(heap->notify_fd);
    pthread_mutex_destroy(&heap->notify_lock);
    tally__unmap(heap, HEAP_BYTES);
}

/* What collections and children need is there from the start. */
static bool memory_reserve(struct tally_heap *heap)
{
    heap->mark_stack = tally__reserve(MARK_STACK_ENTRIES * sizeof *heap->mark_stack);
    struct map_entry *hubs = tally__reserve(HUB_ENTRIES * sizeof *hubs);
    map_init_fixed(&heap->hubs, hubs, HUB_ENTRIES);
    heap->private_counters = tally__map(WIRE_COUNTERS_BYTES);
    heap->fork_counters = tally__map(WIRE_COUNTERS_BYTES);
    return heap->mark_stack && hubs && heap->private_counters && heap->fork_counters;
}

static bool options_ok(const struct tally_heap_options *options)
{
    return !options ||
           ((!options->manager || options->manager == TALLY_MANAGER_GENERATIONAL) &&
            (!options->hooks || (options->hooks->map && options->hooks->unmap)));
}

static void feed_start(struct tally_heap *heap)
{
    heap->feed.pen = &heap->hot.pen;
    heap->feed.heap_number = heap->number;
    feed_counters_format(heap->private_counters, heap->number, 1);
    feed_adopt(&heap->feed, heap->private_counters, NULL);
    tally__types_describe(heap);
    feed_safepoint(&heap->hot.pen, clock_mono_ns());
}

int tally_heap_new(unsigned abi, const struct tally_heap_options *options, struct tally_heap **out)
{
    if (abi != TALLY_ABI)
        return TALLY_EABI;
    if (!options_ok(options) || !out)
        return TALLY_EINVAL;
    int error = tally__types_init();
    if (error)
        return error;
    struct tally_heap *heap = tally__map(HEAP_BYTES);
    if (!heap)
        return TALLY_ENOMEM;
    heap->notify_fd = -1;
    pthread_mutex_init(&heap->notify_lock, NULL);
    int saved = errno;
    bool wiped = !madvise(heap, 4096, MADV_WIPEONFORK);
    errno = saved;
    if (!wiped || !memory_reserve(heap)) {
        memory_free(heap);
        return wiped ? TALLY_ENOMEM : TALLY_ESYS;
    }
    heap->manager = TALLY_MANAGER_GENERATIONAL;
    heap->number = atomic_fetch_add(&heap_count, 1) + 1;
    if (options) {
        heap->user = options->user;
        if (options->hooks)
            heap->hooks = *options->hooks;
    }
    thresholds_default(heap);
    stress_from_environment(heap);
    feed_start(heap);
    tally__limit_update(heap);
    tally__summary(heap);
    *out = heap;
    return 0;
}

static int finalize_left(void *object, void *arg)
{
    uint64_t *word = word_of(object);
    if ((*word & (FLAG_FINALIZER | FLAG_FINALIZED)) == FLAG_FINALIZER) {
        *word |= FLAG_FINALIZED;
        tally_incref(object);
        type_of(object)->info.finalize(arg, object);
        *word -= TALLY_COUNT_ONE; /* what it held to the last goes with the heap */
    }
    return 0;
}

static int dispose_left(void *object, void *arg)
{
    (void)arg;
    const struct tally_type *type = type_of(object);
    if (type->info.dispose)
        type->info.dispose(object);
    return 0;
}

void tally_heap_free(struct tally_heap *heap)
{
    if (!heap || heap->collecting)
        return;
    HEAP_CHECK(!heap->handles.open, "a heap is freed while handle scopes are open");
    tally__collect(heap, &(struct collect_request){.generation = 2, .reason = TALLY_REASON_SHUTDOWN});
    tally_walk(heap, finalize_left, heap);
    if (heap->attachment.detach)
        heap->attachment.detach(heap, heap->attachment.agent);
    tally_walk(heap, dispose_left, NULL);
    tally__spare_free(heap);
    for (uint32_t i = 0; i < heap->page_count; i++)
        if (heap->pages[i]) {
            heap->pages[i]->class_index = CLASS_LARGE; /* past the spares */
            tally__page_free(heap, heap->pages[i]);
        }
    memory_free(heap);
}

void *tally_heap_user(const struct tally_heap *heap)
{
    return heap->user;
}

void tally_set_stress(struct tally_heap *heap, unsigned nth)
{
    heap->stress = nth;
    heap->stress_count = 0;
}

static void store(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

void tally__summary(struct tally_heap *heap)
{
    struct feed_pen *pen = &heap->hot.pen;
    struct wire_counters *to = pen->counters;
    if (!to)
        return;
    feed_summary_begin(pen);
    atomic_store_explicit(&to->enabled, heap->enabled, memory_order_relaxed);
    atomic_store_explicit(&to->manager, (uint32_t)heap->manager, memory_order_relaxed);
    atomic_store_explicit(&to->debug, heap->debug, memory_order_relaxed);
    for (int i = 0; i < 3; i++) {
        atomic_store_explicit(&to->thresholds[i], heap->thresholds[i], memory_order_relaxed);
        store(&to->generations[i].collections, heap->generations[i].collections);
        store(&to->generations[i].collected, heap->generations[i].collected);
        store(&to->generations[i].uncollectable, heap->generations[i].uncollectable);
        store(&to->counts[i], i ? heap->counts[i] : heap->hot.young_count);
    }
    store(&to->garbage, heap->garbage_count);
    store(&to->frozen, heap->frozen);
    store(&to->pause_ns, heap->pause_ns);
    store(&to->max_pause_ns, heap->max_pause_ns);
    store(&to->last_pause_ns, heap->last_pause_ns);
    store(&to->mapped_bytes, heap->mapped_bytes);
    feed_summary_end(pen);
}

void tally_get_stats(const struct tally_heap *heap, struct tally_stats *stats, size_t size)
{
    struct feed_totals totals = {.allocations = 0};
    if (heap->hot.pen.rows)
        feed_totals(&heap->hot.pen, &totals);
    struct tally_stats all = {
        .live_objects = totals.allocations - totals.frees_refcount - totals.frees_cycle,
        .live_bytes = totals.allocated_bytes - totals.freed_refcount_bytes - totals.freed_cycle_bytes,
        .allocations = totals.allocations,
        .allocated_bytes = totals.allocated_bytes,
        .frees_refcount = totals.frees_refcount,
        .frees_cycle = totals.frees_cycle,
        .mapped_bytes = heap->mapped_bytes,
        .garbage = heap->garbage_count,
        .frozen = heap->frozen ? tally__frozen_count(heap) : 0,
        .pause_ns = heap->pause_ns,
        .max_pause_ns = heap->max_pause_ns,
    };
    memcpy(all.generations, heap->generations, sizeof all.generations);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
}

struct feed *tally__heap_feed(struct tally_heap *heap)
{
    return &heap->feed;
}

uint32_t tally__heap_number(const struct tally_heap *heap)
{
    return heap->number;
}

struct tally__attachment *tally__heap_attachment(struct tally_heap *heap)
{
    return &heap->attachment;
}

int tally__heap_feed_swap(struct tally_heap *heap, void *counters, void *ring)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    void *private = NULL;
    if (!counters) {
        private = tally__map(WIRE_COUNTERS_BYTES);
        if (!private)
            return TALLY_ENOMEM;
        feed_counters_format(private, heap->number, 1);
    }
    void *old = heap->private_counters;
    feed_adopt(&heap->feed, counters ? counters : private, counters ? ring : NULL);
    heap->private_counters = private;
    tally__unmap(old, WIRE_COUNTERS_BYTES);
    return 0;
}
