/* Snapshots: the live objects, page by page, in the order of their numbers, each with its slots. A step goes as far as
 * there is time and room for, and the next one on from there, in the middle of an object where that is large. Nothing of
 * the page that a child finds wiped is read once the snapshot has begun. */
#include <string.h>

#include "base/utf8.h"
#include "heap/internal.h"

#define LOOK_EVERY 64     /* objects and slots, between two questions whether to go on */
#define PAGE_CREDIT 4     /* what a page without objects counts for */
#define EDGE_BYTES 16u    /* of the stream, at most: a place below 2^40 and the difference of two numbers */
#define DECLARED_GARBAGE ((uint64_t)1 << 63) /* in the map: it is on the garbage list */

_Static_assert(TYPE_MAX <= TALLY__TYPES, "every type has its bit");
_Static_assert(TALLY_LABEL_MAX == SNAPSHOT_LABEL_MAX, "a label fits the stream");

bool tally__heap_is_private(const struct tally_heap *heap)
{
    return !heap->hooks.map;
}

bool tally__types_traverse(void)
{
    uint32_t count = tally__type_count();
    for (uint32_t i = 0; i < count; i++)
        if (atomic_load_explicit(&tally__types[i], memory_order_relaxed)->info.traverse)
            return true;
    return false;
}

void tally__snapshot_begin(struct tally__snapshot *snapshot, void *buffer, size_t buffer_bytes, snapshot_flush_fn flush)
{
    struct feed_totals totals;
    tally__totals(snapshot->heap, &totals);
    const struct snapshot_header header = {
        .flags = snapshot->instant ? SNAPSHOT_INSTANT : 0,
        .heap_number = snapshot->heap->number,
        .type_count = tally__type_count(),
        .clock_ns = clock_mono_ns(),
        .objects = totals.allocations + totals.moved_in - totals.frees_refcount - totals.frees_cycle - totals.moved_out,
        .bytes = tally__live_bytes(snapshot->heap)};
    snapshot_write_begin(&snapshot->writer, buffer, buffer_bytes, flush, snapshot->arg, &header);
    snapshot->too_large = false;
    snapshot->noting = 0;
    snapshot->noted = 0;
    snapshot->after = snapshot->open = 0;
    memset(snapshot->told, 0, sizeof snapshot->told);
}

/* ---- who holds an object, but objects */

static void declare(struct tally__snapshot *snapshot, const void *object, uint64_t times)
{
    uint64_t *known = object ? map_get(&snapshot->declared, (uintptr_t)object) : NULL;
    if (known)
        *known += times & ~DECLARED_GARBAGE, *known |= times & DECLARED_GARBAGE;
    else if (object)
        map_put(&snapshot->declared, (uintptr_t)object, times);
}

/* As many of each as there are places to look at. */
enum holders { HOLD_ROOTS, HOLD_PINS, HOLD_HANDLES, HOLD_GARBAGE, HOLD_DUE, HOLDERS };

static size_t holders_count(const struct tally_heap *heap, unsigned which)
{
    switch (which) {
    case HOLD_ROOTS: return heap->roots.capacity;
    case HOLD_PINS: return heap->pins.capacity;
    case HOLD_HANDLES: return heap->handles.count;
    case HOLD_GARBAGE: return heap->garbage.count;
    default: return heap->due.count;
    }
}

static void holder_note(struct tally__snapshot *snapshot, unsigned which, size_t i)
{
    const struct tally_heap *heap = snapshot->heap;
    switch (which) {
    case HOLD_ROOTS:
        if (heap->roots.entries[i].key)
            declare(snapshot, *(void **)(uintptr_t)heap->roots.entries[i].key, 1);
        break;
    case HOLD_PINS:
        if (heap->pins.entries[i].key)
            declare(snapshot, (void *)(uintptr_t)heap->pins.entries[i].key, heap->pins.entries[i].value);
        break;
    case HOLD_HANDLES: declare(snapshot, heap->handles.objects[i], 1); break;
    case HOLD_GARBAGE: declare(snapshot, heap->garbage.items[i], 1 | DECLARED_GARBAGE); break;
    default: declare(snapshot, heap->due.items[heap->due.first + i], 1);
    }
}

/* ---- time and room */

static bool spend(struct tally__snapshot *snapshot, size_t units)
{
    snapshot->credit -= (int)units;
    if (snapshot->credit > 0 || !snapshot->go_on)
        return true;
    snapshot->credit = LOOK_EVERY;
    return snapshot->go_on(snapshot->arg);
}

/* Whether all are noted. What is put elsewhere between two steps may be missed, or noted twice. */
static bool declared_note(struct tally__snapshot *snapshot)
{
    for (; snapshot->noting < HOLDERS; snapshot->noting++, snapshot->noted = 0)
        while (snapshot->noted < holders_count(snapshot->heap, snapshot->noting)) {
            holder_note(snapshot, snapshot->noting, snapshot->noted++);
            if (!spend(snapshot, 1))
                return false;
        }
    return true;
}

/* Whether so many bytes more can be written. */
static bool has_room(struct tally__snapshot *snapshot, size_t bytes)
{
    if (!snapshot->room)
        return true;
    size_t waiting = snapshot->writer.used;
    snapshot->too_large |= bytes > snapshot->room_most - snapshot->writer.room;
    return !snapshot->too_large && snapshot->room(snapshot->arg) >= waiting + bytes;
}

/* ---- types */

static struct snapshot_text text_of(const char *text)
{
    return (struct snapshot_text){.at = text ? text : "", .bytes = text ? strlen(text) : 0};
}

static bool is_told(const struct tally__snapshot *snapshot, const struct tally_type *type)
{
    return bit_get(snapshot->told, type->index);
}

static void type_tell(struct tally__snapshot *snapshot, const struct tally_type *type)
{
    snapshot_write_type(&snapshot->writer,
                        &(struct snapshot_type){.row = type->index,
                                                .flags = (type->tracked ? SNAPSHOT_TYPE_TRACKED : 0u) |
                                                         (type->variable ? SNAPSHOT_TYPE_VARIABLE : 0u) |
                                                         (type->info.finalize ? SNAPSHOT_TYPE_FINALIZER : 0u) |
                                                         (type->weak ? SNAPSHOT_TYPE_WEAK : 0u),
                                                .size_bytes = type->size,
                                                .field_count = (uint32_t)type->ref_count,
                                                .name = text_of(type->info.name),
                                                .trailing = text_of(type->info.trailing_name),
                                                .external = text_of(type->info.external_name)});
    for (size_t i = 0; i < type->ref_count; i++)
        snapshot_write_field(&snapshot->writer, text_of(type->refs[i].name));
    bit_set(snapshot->told, type->index);
}

/* ---- objects */

static size_t label_of(const struct tally_type *type, const void *object, char *text)
{
    size_t bytes = type->info.label(object, text, TALLY_LABEL_MAX), whole = 0, step;
    unsigned char *at = (unsigned char *)text;
    for (bytes = bytes < TALLY_LABEL_MAX ? bytes : TALLY_LABEL_MAX; whole < bytes; whole += step) {
        step = utf8_bytes(at + whole, bytes - whole);
        if (!step)
            break;
        if (utf8_is_control(at + whole, step))
            memset(at + whole, ' ', step);
    }
    return whole;
}

static uint32_t flags_of(const void *object, uint64_t word, const struct tally_type *type)
{
    const struct page *page = page_of(object);
    bool frozen = page->tracked && bit_get(bits_of(page, BIT_FROZEN), slot_of(page, object));
    return (word & FLAG_IMMORTAL ? SNAPSHOT_IMMORTAL : 0u) | (frozen ? SNAPSHOT_FROZEN : 0u) |
           (type->info.finalize ? SNAPSHOT_FINALIZER : 0u) | (word & FLAG_FINALIZED ? SNAPSHOT_FINALIZED : 0u) |
           (word & FLAG_WEAK ? SNAPSHOT_REFERENT : 0u) | (page->tracked ? 0u : SNAPSHOT_UNTRACKED);
}

static void object_tell(struct tally__snapshot *snapshot, const void *object, const struct tally_type *type)
{
    char label[TALLY_LABEL_MAX];
    uint64_t word = *word_of(object);
    const uint64_t *declared = map_get(&snapshot->declared, (uintptr_t)object);
    const uint64_t *native = word & FLAG_EXTERN ? map_get(&snapshot->heap->extern_table, (uintptr_t)object) : NULL;
    bool garbage = declared && *declared & DECLARED_GARBAGE;
    snapshot_write_object(&snapshot->writer,
                          &(struct snapshot_object){.number = tally_object_id(object),
                                                    .type_row = type->index,
                                                    .flags = flags_of(object, word, type) | (garbage ? SNAPSHOT_GARBAGE : 0u),
                                                    .bytes = tally__size_of(type, object),
                                                    .native_bytes = native ? *native : 0,
                                                    .references = tally_refcount(object),
                                                    .declared = declared ? *declared & ~DECLARED_GARBAGE : 0,
                                                    .label = {.at = label,
                                                              .bytes = type->info.label ? label_of(type, object, label) : 0}});
}

/* ---- edges */

struct slots {
    struct tally__snapshot *snapshot;
    const struct tally_type *type;
    const void *object;
    size_t at; /* of the slot that comes */
};

static void edge_tell(struct tally__snapshot *snapshot, enum snapshot_edge_kind kind, uint64_t place, const void *target)
{
    if (target && (!snapshot->instant || tally__is_shown(snapshot->heap, target)))
        snapshot_write_edge(&snapshot->writer, kind, place, tally_object_id(target));
}

static void slot_tell(void **slot, void *arg)
{
    struct slots *slots = arg;
    const struct tally_type *type = slots->type;
    size_t at = slots->at++;
    bool external = *slot && at >= type->ref_count && tally__slot_is_external(type, slots->object, at);
    if (at < type->ref_count) {
        edge_tell(slots->snapshot, type->weak && !at ? SNAPSHOT_EDGE_HOLD : SNAPSHOT_EDGE_FIELD, at, *slot);
    } else if (external && type->index == TYPE_WEAKMAP) {
        edge_tell(slots->snapshot, SNAPSHOT_EDGE_HOLD, at, tally__entry_value(*slot));
        edge_tell(slots->snapshot, SNAPSHOT_EDGE_WEAK, at, tally__entry_key(*slot));
    } else if (external) {
        size_t before = type->info.trailing == TALLY_TRAILING_SLOTS
                            ? *(const size_t *)((const char *)slots->object + type->info.trailing_length_offset)
                            : 0;
        edge_tell(slots->snapshot, SNAPSHOT_EDGE_EXTERNAL, at - type->ref_count - before, *slot);
    } else {
        edge_tell(slots->snapshot, SNAPSHOT_EDGE_TRAILING, at - type->ref_count, *slot);
    }
}

static void visited_tell(void **slot, void *arg)
{
    struct slots *slots = arg;
    edge_tell(slots->snapshot, SNAPSHOT_EDGE_VISITED, slots->at++, *slot);
}

static void visited_count(void **slot, void *arg)
{
    (void)slot;
    ++*(size_t *)arg;
}

/* Goes on with an object's slots; what traverse tells comes in one piece. false: in the next step. */
static bool slots_tell(struct tally__snapshot *snapshot, void *object, const struct tally_type *type)
{
    struct slots slots = {.snapshot = snapshot, .type = type, .object = object};
    size_t count = tally__slot_count(type, object), visits = 0;
    while (snapshot->at < count) {
        size_t to = count - snapshot->at > LOOK_EVERY ? snapshot->at + LOOK_EVERY : count;
        if (!has_room(snapshot, 2 * EDGE_BYTES * (to - snapshot->at)))
            return false;
        slots.at = snapshot->at;
        tally__slots_range(type, object, snapshot->at, to, slot_tell, &slots);
        bool more = spend(snapshot, to - snapshot->at);
        snapshot->at = to;
        if (!more)
            return false;
    }
    if (type->info.traverse && snapshot->room)
        type->info.traverse(object, visited_count, &visits);
    if (!has_room(snapshot, EDGE_BYTES * (visits + 1)))
        return false;
    slots.at = 0;
    if (type->info.traverse)
        type->info.traverse(object, visited_tell, &slots);
    if (type->weak)
        edge_tell(snapshot, SNAPSHOT_EDGE_WEAK, 0, ((const struct tally_weak *)object)->referent_private);
    snapshot->open = 0;
    return true;
}

/* ---- the walk */

static int look(void *object, void *arg)
{
    struct tally__snapshot *snapshot = arg;
    const struct tally_type *type = type_of(object);
    size_t type_bytes = is_told(snapshot, type) ? 0 : SNAPSHOT_ITEM_MAX + type->ref_count * (SNAPSHOT_TEXT_MAX + 2);
    if (!has_room(snapshot, SNAPSHOT_ITEM_MAX + type_bytes) || !spend(snapshot, 1))
        return 1;
    if (type_bytes)
        type_tell(snapshot, type);
    object_tell(snapshot, object, type);
    snapshot->open = snapshot->after = tally_object_id(object);
    snapshot->at = 0;
    return !slots_tell(snapshot, object, type) || snapshot->writer.error;
}

/* What was begun is gone on with, if it is still there. */
static bool open_close(struct tally__snapshot *snapshot)
{
    void *object = snapshot->open ? tally__object_look(snapshot->heap, snapshot->open) : NULL;
    bool same = object && type_of(object)->index == snapshot->writer.type_row;
    if (same && !slots_tell(snapshot, object, type_of(object)))
        return false;
    snapshot->open = 0;
    return true;
}

/* Whether all pages are done with. */
static bool pages_tell(struct tally__snapshot *snapshot)
{
    struct tally_heap *heap = snapshot->heap;
    for (uint64_t serial = snapshot->after >> WIRE_PAGE_GRANULE_BITS; serial < heap->page_count; serial++) {
        if (tally__page_look(heap, serial, snapshot->after, look, snapshot))
            return false;
        snapshot->after = (serial + 1) << WIRE_PAGE_GRANULE_BITS;
        if (serial + 1 < heap->page_count && !spend(snapshot, PAGE_CREDIT))
            return false;
    }
    return true;
}

enum tally__snapshot_step tally__snapshot_step(struct tally__snapshot *snapshot)
{
    snapshot->credit = LOOK_EVERY;
    bool done = declared_note(snapshot) && open_close(snapshot) && pages_tell(snapshot);
    if (snapshot->too_large || snapshot->writer.error)
        return SNAPSHOT_STEP_FAILED;
    return done ? SNAPSHOT_STEP_DONE : SNAPSHOT_STEP_MORE;
}
