/* Listings: numbers, sizes and types of objects, and the shapes of cycles, never what lies in an object nor where.
 * What one may take of the owner's time is bounded: it ends where it has come to by then, and says so, and the next
 * one goes on behind that. Rows wait in the heap's own memory until the socket has taken them all. */
#include <string.h>
#include <sys/mman.h>

#include "agent/agent.h"
#include "base/clock.h"

#define LOOK_EVERY 64u /* objects, between two looks at the clock */

struct listing {
    struct tally_heap *heap;
    struct agent_heap *shown;
    const struct wire_command *command;
    struct wire_ack *result;
    const void *target; /* REFERRERS */
    bool guest, wanted; /* wanted: by the owner, from a guest */
    uint64_t until_ns;
    unsigned looks;
    uint64_t seen; /* number of the last object, or entries, that it is done with */
};

static void *row_add(struct agent_heap *shown, size_t bytes)
{
    if (shown->list_bytes + bytes > sizeof shown->list)
        return NULL;
    void *row = shown->list + shown->list_bytes;
    shown->list_bytes += (uint32_t)bytes;
    shown->list_count++;
    return row;
}

static bool is_full(const struct listing *listing)
{
    return listing->shown->list_count == listing->command->limit;
}

static bool time_is_up(struct listing *listing)
{
    listing->wanted |= listing->guest && tally__heap_wanted(listing->heap);
    return listing->wanted || clock_mono_ns() >= listing->until_ns;
}

/* Rows of objects are few enough to fit. */
static void object_add(const struct listing *listing, const void *object)
{
    int generation = tally_generation(object);
    *(struct wire_object *)row_add(listing->shown, sizeof(struct wire_object)) = (struct wire_object){
        .object = tally_object_id(object),
        .bytes = tally_size(object),
        .references = tally_refcount(object),
        .type_row = tally__type_row(listing->heap, object),
        .flags = (generation < 0 ? WIRE_OBJECT_UNTRACKED : (uint32_t)generation) |
                 (tally_is_finalized(object) ? WIRE_OBJECT_FINALIZED : 0)};
}
_Static_assert(WIRE_ROWS_MAX * sizeof(struct wire_object) <= WIRE_ROWS_BYTES_MAX, "rows of objects fit");

static bool is_wanted(const struct listing *listing, const void *object)
{
    const struct wire_command *command = listing->command;
    if (command->kind == WIRE_COMMAND_REFERRERS)
        return tally__refers(object, listing->target);
    if (command->type_row && tally__type_row(listing->heap, object) != command->type_row - 1)
        return false;
    return command->generation == WIRE_ANY_GENERATION || tally_generation(object) == command->generation;
}

static int look(void *object, void *arg)
{
    struct listing *listing = arg;
    if (is_full(listing) || (++listing->looks % LOOK_EVERY == 0 && time_is_up(listing)))
        return 1;
    if (is_wanted(listing, object))
        object_add(listing, object);
    listing->seen = tally_object_id(object);
    return 0;
}

/* Page by page, so that one that holds nothing is looked at once. */
static void objects_list(struct listing *listing)
{
    uint64_t pages = tally__page_count(listing->heap);
    listing->seen = listing->command->after;
    for (uint64_t page = listing->seen >> WIRE_PAGE_GRANULE_BITS; page < pages; page++) {
        uint64_t first = page << WIRE_PAGE_GRANULE_BITS;
        if (first > listing->seen)
            listing->seen = first;
        bool ended = tally__page_look(listing->heap, page, listing->seen, look, listing);
        if (ended || (page + 1 < pages && time_is_up(listing))) {
            listing->result->after = ended ? listing->seen : (page + 1) << WIRE_PAGE_GRANULE_BITS;
            return;
        }
    }
}

static void garbage_list(struct listing *listing)
{
    uint64_t count = tally_garbage_count(listing->heap);
    listing->result->total = count;
    listing->seen = listing->command->after;
    for (; listing->seen < count && !is_full(listing); listing->seen++)
        object_add(listing, tally_garbage_get(listing->heap, listing->seen));
    listing->result->after = listing->seen < count ? listing->seen : 0;
}

/* ---- candidates, added up by type: in a table of open places, that ends as rows */

#define PLACES (WIRE_ROWS_BYTES_MAX / sizeof(struct wire_candidates))
_Static_assert(2 * WIRE_ROWS_MAX < PLACES, "half of the places are open");

/* The row's place, or the open one that it could have. */
static struct wire_candidates *place_of(struct agent_heap *shown, uint32_t type_row)
{
    struct wire_candidates *places = (struct wire_candidates *)(void *)shown->list;
    size_t at = type_row % PLACES;
    while (places[at].candidates && places[at].type_row != type_row)
        at = (at + 1) % PLACES;
    return &places[at];
}

static void candidate_add(void *arg, uint32_t type_row, bool survived)
{
    struct listing *listing = arg;
    struct wire_candidates *place = place_of(listing->shown, type_row);
    listing->result->total++;
    if (!place->candidates && is_full(listing))
        return;
    listing->shown->list_count += !place->candidates;
    place->type_row = type_row;
    place->candidates++;
    place->survived += survived;
}

/* A page is looked at whole. */
static void candidates_list(struct listing *listing)
{
    struct agent_heap *shown = listing->shown;
    struct wire_candidates *places = (struct wire_candidates *)(void *)shown->list;
    uint64_t pages = tally__page_count(listing->heap), page = listing->command->after >> WIRE_PAGE_GRANULE_BITS;
    memset(shown->list, 0, sizeof shown->list);
    for (bool on = true; on && page < pages; page++) {
        tally__page_candidates_look(listing->heap, page, candidate_add, listing);
        on = !time_is_up(listing);
    }
    listing->result->after = page < pages ? page << WIRE_PAGE_GRANULE_BITS : 0;
    for (size_t at = 0, row = 0; at < PLACES; at++)
        if (places[at].candidates)
            places[row++] = places[at];
    shown->list_bytes = (uint32_t)(shown->list_count * sizeof *places);
}

static int cycle_add(const struct tally_cycle *cycle, void *arg)
{
    struct listing *listing = arg;
    size_t text_bytes = strnlen(cycle->shape, WIRE_SHAPE_MAX), bytes = wire_cycle_bytes(text_bytes);
    if (listing->result->total++ < listing->seen || listing->result->after)
        return 0;
    struct wire_cycle *row = is_full(listing) ? NULL : row_add(listing->shown, bytes);
    if (!row) {
        listing->result->after = listing->result->total - 1;
        return 0;
    }
    memset(row, 0, bytes);
    *row = (struct wire_cycle){.count = cycle->count,
                               .objects = cycle->objects,
                               .bytes = cycle->bytes,
                               .object = cycle->sample_id,
                               .last_ns = cycle->last_ns,
                               .text_bytes = (uint32_t)text_bytes};
    memcpy(row + 1, cycle->shape, text_bytes);
    return 0;
}

/* An owner who wants short pauses gives no more time than for one of those. */
static uint64_t time_allowed(const struct tally_heap *heap, bool guest)
{
    uint64_t most_ns = guest ? AGENT_LIST_PARKED_NS : AGENT_LIST_NS;
    uint64_t pause_ns = tally_get_max_pause(heap) * 1000;
    return pause_ns && pause_ns < most_ns ? pause_ns : most_ns;
}

int agent_list_run(struct tally_heap *heap, struct agent_heap *shown, struct agent_slot *slot, bool guest)
{
    struct listing listing = {.heap = heap,
                              .shown = shown,
                              .command = &slot->command,
                              .result = &slot->result,
                              .guest = guest,
                              .until_ns = clock_mono_ns() + time_allowed(heap, guest),
                              .seen = slot->command.after};
    shown->list_count = shown->list_bytes = shown->list_sent = 0;
    slot->result.total = slot->result.after = 0;
    if (slot->command.kind == WIRE_COMMAND_REFERRERS) {
        listing.target = tally_garbage_get(heap, slot->command.index);
        if (!listing.target)
            return TALLY_EINVAL;
        if (guest) /* a type's traverse is the host's code */
            return TALLY_EBUSY;
        slot->result.total = tally_object_id(listing.target);
    }
    if (slot->command.kind == WIRE_COMMAND_GARBAGE)
        garbage_list(&listing);
    else if (slot->command.kind == WIRE_COMMAND_CYCLES)
        tally_cycles(heap, cycle_add, &listing);
    else if (slot->command.kind == WIRE_COMMAND_CANDIDATES)
        candidates_list(&listing);
    else
        objects_list(&listing);
    slot->result.rows = shown->list_count;
    return listing.wanted ? TALLY_EBUSY : 0;
}

/* Bytes of the row at `at`. */
static size_t row_bytes(const struct agent_heap *shown, uint32_t kind, size_t at)
{
    struct wire_cycle row;
    if (kind != WIRE_COMMAND_CYCLES)
        return sizeof(struct wire_object);
    memcpy(&row, shown->list + at, sizeof row);
    return wire_cycle_bytes(row.text_bytes);
}

bool agent_list_send(struct agent *agent, struct agent_heap *shown, const struct agent_slot *slot)
{
    _Alignas(8) char message[WIRE_MESSAGE_MAX];
    uint32_t kind = slot->command.kind;
    while (shown->list_sent < shown->list_bytes) {
        size_t end = shown->list_sent, step;
        uint32_t count = 0;
        for (; end < shown->list_bytes; end += step, count++) {
            step = row_bytes(shown, kind, end);
            if (sizeof(struct wire_rows) + end + step - shown->list_sent > sizeof message)
                break;
        }
        size_t bytes = sizeof(struct wire_rows) + end - shown->list_sent;
        *(struct wire_rows *)(void *)message = (struct wire_rows){.head = wire_head_make(WIRE_ROWS, bytes),
                                                                  .operation = slot->command.operation,
                                                                  .heap_number = shown->number,
                                                                  .kind = kind,
                                                                  .count = count};
        memcpy(message + sizeof(struct wire_rows), shown->list + shown->list_sent, end - shown->list_sent);
        if (!agent_session_send(agent, message, bytes, -1))
            return false;
        shown->list_sent = (uint32_t)end;
    }
    return true;
}

void agent_list_drop(struct agent_heap *shown)
{
    uintptr_t first = ((uintptr_t)shown->list + 4095) & ~(uintptr_t)4095;
    shown->list_count = shown->list_bytes = shown->list_sent = 0;
    madvise((void *)first, ((uintptr_t)(shown + 1) - first) & ~(uintptr_t)4095, MADV_DONTNEED);
}
