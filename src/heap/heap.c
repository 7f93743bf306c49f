/* A heap's beginning and end, its figures, and its feed's memory. */
#include "heap/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/internal.h"

#define HEAP_BYTES ((sizeof(struct tally_heap) + 4095) & ~(size_t)4095)

_Static_assert(offsetof(struct tally_heap, hooks) == 4096, "the hot page is wiped alone");

static _Atomic uint32_t heap_count;

static void thresholds_default(struct tally_heap *heap)
{
    heap->enabled = true;
    heap->thresholds[0] = 700;
    heap->candidate_limit = 700;
    heap->old_stride = 1;
    heap->candidate_cost.object_ns = heap->trash_cost.object_ns = 20;
    heap->follow = FOLLOW_MOST;
    heap->thresholds[1] = heap->thresholds[2] = 10;
}

/* For a program that was not changed. 0: the word is none. */
static enum tally_manager manager_of_word(const char *word)
{
    for (enum tally_manager manager = TALLY_MANAGER_NONE; manager <= TALLY_MANAGER_FULL; manager++)
        if (!strcmp(word, tally_manager_name(manager)))
            return manager;
    return 0;
}

static void environment_read(struct tally_heap *heap)
{
    const char *stress = secure_getenv("TALLY_STRESS"), *manager = secure_getenv("TALLY_MANAGER");
    if (stress)
        heap->stress = (unsigned)strtoul(stress, NULL, 10);
    heap->manager = manager ? manager_of_word(manager) : 0;
    if (!heap->manager)
        heap->manager = TALLY_MANAGER_CYCLE;
}

static void memory_free(struct tally_heap *heap)
{
    free(heap->pages);
    map_fini(&heap->weak_heads);
    free(heap->handles.objects);
    map_fini(&heap->pins);
    map_fini(&heap->roots);
    map_fini(&heap->extern_table);
    tally__shapes_free(heap);
    tally__unmap(heap->garbage.items, RESERVE_ENTRIES * sizeof *heap->garbage.items);
    tally__unmap(heap->due.items, RESERVE_ENTRIES * sizeof *heap->due.items);
    tally__unmap(heap->mark_stack, MARK_STACK_ENTRIES * sizeof *heap->mark_stack);
    tally__unmap(heap->hubs.entries, HUB_ENTRIES * sizeof *heap->hubs.entries);
    tally__counters_unmap(heap->private_counters);
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
    heap->private_counters = tally__counters_map(heap, FEED_SHAPE_START);
    heap->fork_counters = tally__map(WIRE_COUNTERS_BYTES);
    return heap->mark_stack && hubs && heap->private_counters && heap->fork_counters;
}

static bool options_ok(const struct tally_heap_options *options)
{
    return !options || ((!options->manager || tally_manager_name(options->manager)) &&
                        options->max_pause_us <= 10000000 &&
                        (!options->hooks || (options->hooks->map && options->hooks->unmap)));
}

static void feed_start(struct tally_heap *heap)
{
    feed_adopt(&heap->hot.pen, heap->private_counters, NULL);
    tally__types_describe(heap);
    feed_safepoint(&heap->hot.pen, clock_mono_ns());
}

static void options_take(struct tally_heap *heap, const struct tally_heap_options *options)
{
    heap->user = options->user;
    heap->budget_ns = options->max_pause_us * 1000;
    heap->memory_limit = options->memory_limit_bytes;
    if (options->manager)
        heap->manager = options->manager;
    if (options->hooks)
        heap->hooks = *options->hooks;
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
    heap->number = atomic_fetch_add(&heap_count, 1) + 1;
    int saved = errno;
    bool wiped = !madvise(heap, 4096, MADV_WIPEONFORK);
    errno = saved;
    if (!wiped || !memory_reserve(heap)) {
        memory_free(heap);
        return wiped ? TALLY_ENOMEM : TALLY_ESYS;
    }
    heap->run_number = (uint64_t)heap->number << 40; /* no two heaps ever have the same one */
    heap->owner = pthread_self();
    heap->complete = true;
    thresholds_default(heap);
    environment_read(heap);
    if (options)
        options_take(heap, options);
    feed_start(heap);
    tally__triggers_reset(heap);
    tally__limit_update(heap);
    tally__summary(heap);
    *out = heap;
    return 0;
}

static int mark_left(void *object, void *arg)
{
    (void)arg;
    uint64_t *word = word_of(object);
    if (type_of(object)->info.finalize && !(*word & FLAG_FINALIZED))
        *word |= FLAG_DUE;
    return 0;
}

/* What finalizers make at the very end is not finalized: that could go on for ever. */
static int finalize_left(void *object, void *arg)
{
    uint64_t *word = word_of(object);
    if ((*word & (FLAG_DUE | FLAG_FINALIZED)) == FLAG_DUE) {
        *word |= FLAG_FINALIZED;
        tally_incref(object);
        type_of(object)->info.finalize(arg, object); /* the reference goes with the heap */
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

/* What waits dies, what is garbage is found: under the managers that leave cycles alone it has leaked. */
static void die_out(struct tally_heap *heap)
{
    struct collect_request request = {
        .generation = 2, .reason = TALLY_REASON_SHUTDOWN, .scope = TALLY_SCOPE_HEAP};
    struct tally_leaks before = {.counts = NULL}, after = {.counts = NULL};
    heap->closing = true;
    heap->finalizers_queued = false;
    tally_step(heap, UINT64_MAX);
    tally_run_finalizers(heap, heap->due.count);
    if (heap->manager < TALLY_MANAGER_GENERATIONAL)
        tally__leaks_count(heap, &before);
    tally__collect(heap, &request);
    tally__leaks_count(heap, &after);
    tally__leaks_report(heap, &before, &after);
    tally_walk(heap, mark_left, NULL);
    tally_walk(heap, finalize_left, heap);
}

static void pages_free(struct tally_heap *heap)
{
    tally__shadow_free(heap);
    tally__spare_free(heap);
    for (uint32_t i = 0; i < heap->page_count; i++)
        if (heap->pages[i]) {
            heap->pages[i]->class_index = CLASS_LARGE; /* past the spares */
            tally__page_free(heap, heap->pages[i]);
        }
}

void tally_heap_free(struct tally_heap *heap)
{
    if (!heap || !tally__owned(heap))
        return;
    if (heap->collecting || heap->release_depth || heap->closing) {
        tally__report(heap, TALLY_REPORT_CALLBACK, NULL, "a callback frees its heap");
        return;
    }
    if (heap->handles.open)
        tally__report(heap, TALLY_REPORT_SCOPE, NULL, "a heap goes while handle scopes are open");
    die_out(heap);
    if (heap->attachment.detach)
        heap->attachment.detach(heap, heap->attachment.agent);
    tally_walk(heap, dispose_left, NULL);
    pages_free(heap);
    memory_free(heap);
}

void *tally_heap_user(const struct tally_heap *heap)
{
    return heap->user;
}

void tally_set_stress(struct tally_heap *heap, unsigned nth, bool every_decref)
{
    heap->stress = nth;
    heap->stress_count = 0;
    heap->stress_decref = every_decref;
    tally__limit_update(heap);
    tally__summary(heap);
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
    atomic_store_explicit(&to->access, heap->access, memory_order_relaxed);
    atomic_store_explicit(&to->stress_nth, heap->stress, memory_order_relaxed);
    atomic_store_explicit(&to->stress_every_decref, heap->stress_decref, memory_order_relaxed);
    for (int i = 0; i < 3; i++) {
        atomic_store_explicit(&to->thresholds[i], heap->thresholds[i], memory_order_relaxed);
        store(&to->generations[i].collections, heap->generations[i].collections);
        store(&to->generations[i].collected, heap->generations[i].collected);
        store(&to->generations[i].uncollectable, heap->generations[i].uncollectable);
        store(&to->counts[i], i ? heap->counts[i] : heap->hot.young_count);
    }
    store(&to->garbage, heap->garbage.count);
    store(&to->frozen, heap->frozen);
    store(&to->pause_ns, heap->pause_ns);
    store(&to->max_pause_ns, heap->max_pause_ns);
    store(&to->last_pause_ns, heap->last_pause_ns);
    store(&to->max_pause_us, heap->budget_ns / 1000);
    store(&to->memory_limit_bytes, heap->memory_limit);
    store(&to->extern_bytes, heap->extern_bytes);
    store(&to->candidates, heap->candidate_count);
    store(&to->pending_objects, heap->zero_count);
    store(&to->finalizers_pending, heap->due.count);
    store(&to->slices, heap->slices);
    store(&to->missed_slices, heap->missed);
    store(&to->longest_slice_ns, heap->longest_slice_ns);
    store(&to->abandoned_runs, heap->abandoned);
    store(&to->refused_runs, heap->refused);
    store(&to->candidates_due, tally__candidates_due(heap));
    store(&to->settled, tally__nothing_to_find(heap));
    store(&to->mapped_bytes, heap->mapped_bytes);
    feed_summary_end(pen);
}

void tally_get_stats(const struct tally_heap *heap, struct tally_stats *stats, size_t size)
{
    struct feed_totals totals;
    tally__totals(heap, &totals);
    struct tally_stats all = {
        .live_objects = totals.allocations + totals.moved_in - totals.frees_refcount - totals.frees_cycle -
                        totals.moved_out,
        .live_bytes = totals.allocated_bytes - totals.freed_refcount_bytes - totals.freed_cycle_bytes,
        .allocations = totals.allocations,
        .allocated_bytes = totals.allocated_bytes,
        .frees_refcount = totals.frees_refcount,
        .frees_cycle = totals.frees_cycle,
        .mapped_bytes = heap->mapped_bytes,
        .garbage = heap->garbage.count,
        .frozen = heap->frozen ? tally__frozen_count(heap) : 0,
        .pause_ns = heap->pause_ns,
        .max_pause_ns = heap->max_pause_ns,
        .extern_bytes = heap->extern_bytes,
        .candidates = heap->candidate_count,
        .pending_objects = heap->zero_count,
        .finalizers_pending = heap->due.count,
        .refused = heap->refused,
        .abandoned = heap->abandoned,
        .slices = heap->slices,
        .missed = heap->missed,
        .longest_slice_ns = heap->longest_slice_ns,
        .missed_type = heap->missed_type,
    };
    memcpy(all.generations, heap->generations, sizeof all.generations);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
}

struct feed_pen *tally__heap_feed(struct tally_heap *heap)
{
    return &heap->hot.pen;
}

int tally_set_access(struct tally_heap *heap, enum tally_access access)
{
    if ((unsigned)access > TALLY_ACCESS_NONE)
        return TALLY_EINVAL;
    atomic_store(&heap->access, (uint32_t)access);
    if (access == TALLY_ACCESS_NONE && heap->attachment.veto)
        heap->attachment.veto(heap);
    tally__summary(heap);
    return 0;
}

enum tally_access tally_get_access(const struct tally_heap *heap)
{
    return (enum tally_access)atomic_load(&heap->access);
}

uint32_t tally__heap_number(const struct tally_heap *heap)
{
    return heap->number;
}

struct tally__attachment *tally__heap_attachment(struct tally_heap *heap)
{
    return &heap->attachment;
}
