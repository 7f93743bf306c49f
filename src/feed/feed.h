/* The heap's side of the feed (wire/feed.h): the pen with which a heap's owner writes its counters,
 * collection records and events. Memory only: no system call, no lock, no allocation; where the memory comes
 * from (private at first, sealed memfds once the heap is attached) is its caller's affair.
 *
 * What is always true
 *  - One writer, the heap's owner. The memory may be read by another process at any instant, and vanishes for
 *    none of them: a writer that dies between two stores leaves counters that are right to within one
 *    operation.
 *  - struct feed_pen holds every pointer that the fast paths use. It lies in memory that fork() and raw
 *    clone() give to the child as zeroes (MADV_WIPEONFORK): rows == NULL sends the child to its slow path, so it
 *    can never write into its parent's numbers.
 *  - At every level row = untold + events for every type (wire/feed.h says what untold is), over all
 *    memories that the pen ever had.
 */
#ifndef TALLY_FEED_FEED_H
#define TALLY_FEED_FEED_H

#include <stdbool.h>

#include "wire/feed.h"

struct feed_pen {
    struct wire_row *rows;  /* NULL: the process was forked, or feed_adopt() has not run */
    uint32_t row_limit;     /* types below it have rows of their own */
    uint32_t level;         /* enum wire_level; OFF where there is no ring */
    uintptr_t origin;       /* where position 0 would be, if all of the ring were as the block being written */
    uint64_t mask;          /* capacity_words - 1 */
    uint64_t block_end;     /* position behind the block being written; the position itself is the ring's head */
    uint64_t skip;          /* position - records written so far, over all rings: modulo 2^64 */
    struct wire_ring *ring; /* NULL: none */
    struct wire_counters *counters;
};

/* What feed_types_describe() needs of a type. */
struct feed_type {
    const char *name;
    uint64_t size_bytes; /* fixed part, rounded up to 8 */
    uint32_t ref_count;
    uint32_t flags;      /* WIRE_TYPE_* */
};

/* On x86 one instruction does what compilers make three of, load and store each being atomic by itself; its
 * store is a release like all there. */
#if defined(__SANITIZE_THREAD__)
#define FEED_SEEN 1 /* by ThreadSanitizer, which does not look into instructions */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FEED_SEEN 1
#endif
#endif
#if defined(__x86_64__) && !defined(FEED_SEEN)
#define FEED_ADD(counter, amount, order) \
    __asm__ volatile("addq %1, %0" : "+m"(*(counter)) : "er"(amount) : "cc")
#else
#define FEED_ADD(counter, amount, order) \
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + (amount), order)
#endif

/* A single-writer counter: a plain add that a reader elsewhere sees whole. */
static inline void feed_add(_Atomic uint64_t *counter, uint64_t amount)
{
    FEED_ADD(counter, amount, memory_order_relaxed);
}

/* For frees: readers load them (acquire) before allocations. */
static inline void feed_add_release(_Atomic uint64_t *counter, uint64_t amount)
{
    FEED_ADD(counter, amount, memory_order_release);
}

/* Enters the next block if the present one has less than `words` left. */
void feed__block_enter(struct feed_pen *pen, unsigned words);

/* The owner's own store: position of the next word. */
static inline uint64_t feed_position(const struct feed_pen *pen)
{
    return atomic_load_explicit(&pen->ring->head, memory_order_relaxed);
}

/* Where a position of the present block lies. */
static inline _Atomic uint64_t *feed_word_at(const struct feed_pen *pen, uint64_t position)
{
    return (_Atomic uint64_t *)(pen->origin + position * 8);
}

/* Records written so far, over all rings. */
static inline uint64_t feed_sequence(const struct feed_pen *pen)
{
    return (pen->ring ? feed_position(pen) : 0) - pen->skip;
}

/* Appends one record of one or two words; the level must not be OFF. */
static inline bool feed_has_room(const struct feed_pen *pen) /* for one word in the present block */
{
    return feed_position(pen) != pen->block_end;
}
static inline void feed_event_put(struct feed_pen *pen, uint64_t word) /* it has */
{
    uint64_t position = feed_position(pen);
    atomic_store_explicit(feed_word_at(pen, position), word, memory_order_relaxed);
    atomic_store_explicit(&pen->ring->head, position + 1, memory_order_release);
}
static inline void feed_event(struct feed_pen *pen, uint64_t word)
{
    if (!feed_has_room(pen))
        feed__block_enter(pen, 1);
    feed_event_put(pen, word);
}
void feed_event2(struct feed_pen *pen, uint64_t word, uint64_t second);

/* The word of an event. bytes: the payload rounded up to 8. */
static inline uint64_t feed_word(enum wire_event kind, uint32_t row, uint64_t bytes, uint64_t granule)
{
    uint64_t code = bytes / 8 < WIRE_SIZE_CODE_LONG ? bytes / 8 : WIRE_SIZE_CODE_LONG;
    return (uint64_t)kind | (uint64_t)row << 2 | code << 18 | granule << WIRE_GRANULE_SHIFT;
}

/* Counts one object allocated or freed. row: the type, or 0 from row_limit on; variable: whether byte columns are
 * kept (true for row 0). pen->rows is not NULL. */
static inline void feed_count(struct feed_pen *pen, enum wire_event kind, uint32_t row, bool variable,
                              uint64_t bytes)
{
    struct wire_row *counters = &pen->rows[row];
    if (kind == WIRE_EVENT_ALLOC) {
        feed_add(&counters->allocated, 1);
        if (variable)
            feed_add(&counters->allocated_bytes, bytes);
    } else if (kind == WIRE_EVENT_FREE_REFCOUNT) {
        if (variable)
            feed_add_release(&counters->freed_refcount_bytes, bytes);
        feed_add_release(&counters->freed_refcount, 1);
    } else {
        if (variable)
            feed_add_release(&counters->freed_cycle_bytes, bytes);
        feed_add_release(&counters->freed_cycle, 1);
    }
}

/* Writes its event; the level is not OFF. */
static inline void feed_object_event(struct feed_pen *pen, enum wire_event kind, uint32_t row, uint64_t bytes,
                                     uint64_t granule)
{
    uint64_t word = feed_word(kind, row, bytes, granule);
    if (bytes / 8 < WIRE_SIZE_CODE_LONG)
        feed_event(pen, word);
    else
        feed_event2(pen, word, bytes);
}

/* Both, as the level says. */
static inline void feed_object(struct feed_pen *pen, enum wire_event kind, uint32_t row, bool variable,
                               uint64_t bytes, uint64_t granule)
{
    feed_count(pen, kind, row, variable, bytes);
    if (pen->level != WIRE_LEVEL_OFF)
        feed_object_event(pen, kind, row, bytes, granule);
}

/* An object that came from, or went to, another heap. Bytes of variable rows move between the byte columns of
 * allocations and frees, which no count goes with. */
static inline void feed_moved(struct feed_pen *pen, uint32_t row, bool variable, uint64_t bytes, bool in)
{
    struct wire_row *counters = &pen->rows[row];
    if (variable && in)
        feed_add(&counters->allocated_bytes, bytes);
    else if (variable)
        feed_add_release(&counters->freed_refcount_bytes, bytes);
    if (in)
        feed_add(&counters->moved_in, 1);
    else
        feed_add_release(&counters->moved_out, 1);
}

/* How much a counters memory holds: types with rows of their own (row 0 included), and bytes of their names. */
struct feed_shape {
    uint32_t rows, string_bytes; /* at most WIRE_ROW_MAX, WIRE_STRING_MAX; multiples of 8 */
};
#define FEED_SHAPE_START (&(const struct feed_shape){WIRE_ROW_COUNT, WIRE_STRING_BYTES})
static inline size_t feed_counters_bytes(const struct feed_shape *shape)
{
    return WIRE_HEADER_BYTES + (size_t)shape->rows * (sizeof(struct wire_row) + sizeof(struct wire_desc)) +
           shape->string_bytes + WIRE_RECORD_COUNT * sizeof(struct wire_record);
}
static inline size_t feed_ring_bytes(uint64_t words) /* a power of two from WIRE_RING_WORDS to .._MAX */
{
    return WIRE_RING_HEADER_BYTES + words * 8;
}

/* Writes the header of a fresh, zeroed counters memory (feed_counters_bytes) or ring (feed_ring_bytes). */
void feed_counters_format(void *memory, const struct feed_shape *shape, uint32_t heap_number,
                          uint32_t feed_generation);
void feed_ring_format(void *memory, uint64_t words, uint32_t heap_number, uint32_t feed_generation);

/* Points the pen to new, formatted memory that is as large as the old one at least. The old memory is the
 * caller's again, and not written any more. Owner only, outside of collections.
 * counters: takes over all that the old ones held.
 * ring: events go on in it, at the level there was; NULL: there is none, the level becomes OFF, and what was told
 *   by then counts as untold.
 * adopt: both. */
void feed_counters_adopt(struct feed_pen *pen, void *counters);
void feed_ring_adopt(struct feed_pen *pen, void *ring);
void feed_adopt(struct feed_pen *pen, void *counters, void *ring);

/* After a fork, in the child: the pen was wiped. Takes formatted private counters; rows are all zero, and the
 * heap counts its live objects into them. */
void feed_restart(struct feed_pen *pen, void *counters);

/* Gives rows to types [pen->row_limit, end), the first of which is types[0], as long as rows and name space last.
 * count: how many types there are by now; those without a row are counted. */
void feed_types_describe(struct feed_pen *pen, const struct feed_type *types, uint32_t end, uint32_t count);

/* Switches events on or off. Without a ring only OFF takes effect. */
void feed_level_set(struct feed_pen *pen, enum wire_level level);

/* Configuration and summary change between these two (seq odd). They do not nest. */
void feed_summary_begin(struct feed_pen *pen);
void feed_summary_end(struct feed_pen *pen);

/* The state marker, and the owner's coming by a safepoint at now_ns. */
static inline void feed_state_set(struct feed_pen *pen, enum wire_state state)
{
    atomic_store_explicit(&pen->counters->state, (uint32_t)state, memory_order_relaxed);
}
static inline void feed_safepoint(struct feed_pen *pen, uint64_t now_ns)
{
    atomic_store_explicit(&pen->counters->safepoint_ns, now_ns, memory_order_relaxed);
}

/* What a collection record says; the members of struct wire_record without its sequence. */
struct feed_record {
    uint64_t start_ns, pause_ns, find_ns, callback_ns, free_ns;
    uint64_t examined, collected, freed_bytes, uncollectable;
    uint64_t live_bytes_before, live_bytes_after;
    uint64_t safepoint_wait_ns, operation;
    uint32_t reason, generation, manager;
    uint32_t scope, slices; /* more slices than WIRE_SLICES_MAX show as so many */
};
/* Rare events around a collection (nothing at level OFF), and the record, which is always written. */
void feed_collection_start(struct feed_pen *pen, uint32_t generation, uint64_t now_ns);
void feed_collection_stop(struct feed_pen *pen, const struct feed_record *record, uint64_t now_ns);

/* Sums over all rows, by the owner itself: exact. */
struct feed_totals {
    uint64_t allocations, allocated_bytes;
    uint64_t frees_refcount, frees_cycle;
    uint64_t moved_in, moved_out; /* their bytes are in the bytes of the others */
    uint64_t freed_refcount_bytes, freed_cycle_bytes;
};
void feed_totals(const struct feed_pen *pen, struct feed_totals *totals);

#endif
