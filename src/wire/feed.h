/* The feed: what one heap shows in shared memory. Written by the heap's owner only, mapped read-only by
 * tallyd. Little-endian (x86-64, arm64); every field naturally aligned; all fields that change are loaded and
 * stored whole, with relaxed atomics at least. No field ever holds an address. All times are ns of CLOCK_MONOTONIC.
 * This comment and the structs below it, whose offsets are asserted at the end, are all that a reader needs;
 * tests/scenario/feed_reader.py is one that was written from them. What it reads may be a liar's: any number may stand
 * anywhere, so it checks offsets once, when it maps a memory, and counts its loops.
 *
 * Two sealed memfds a heap, "tally-counters" and "tally-ring", 64 KiB together at the start; either may be replaced by
 * a larger successor. Both begin with magic and version, and say with header_bytes where the rest may begin:
 *
 *   counters memfd, 44 KiB at the start                 ring memfd, 20 KiB at the start, up to 4 MiB + 4 KiB
 *   +--------------------------------+ 0                +--------------------------------+ 0
 *   | struct wire_counters, 1 KiB    |                  | struct wire_ring, 4 KiB        |
 *   +--------------------------------+ row_offset       |   reserve, head                |
 *   | row_capacity x struct wire_row |                  +--------------------------------+ 4096
 *   +--------------------------------+ desc_offset      | block 0: 512 words of 8 bytes  |
 *   | row_capacity x struct wire_desc|                  | block 1                        |
 *   +--------------------------------+ string_offset    | ...                            |
 *   | names, not terminated          |                  | capacity_words / 512 blocks    |
 *   +--------------------------------+ record_offset    +--------------------------------+
 *   | 256 x struct wire_record       |
 *   +--------------------------------+ <= total_bytes
 *
 * The parts follow one another in this order.
 *
 * Successors. Both memories carry the heap's number; feed_generation grows with each memory that is made for it, and
 * of those of one kind the highest counts.
 * A counters memory starts with a copy of all that its predecessor held. A ring starts empty, at position 0, and
 * its first block's sequence goes on where the old ring's ended: read the old one to its end first, and nothing
 * is missed. A predecessor is not written any more once its successor has been announced.
 *
 * Counters. Row t counts type t, row 0 ("other") the types that found no row. The writer adds to `allocated`
 * before the object is seen and stores frees with release order; the reader loads frees (acquire) before
 * allocations, so that nothing ever shows negative. Bytes of a fixed-size type are count x size_bytes; the byte
 * columns are written for types flagged WIRE_TYPE_VARIABLE and for row 0 only. Bytes are payloads rounded up to
 * 8. Live objects = allocated + moved_in - freed_refcount - freed_cycle - moved_out; with a fixed size, bytes
 * allocated = (allocated + moved_in) x size_bytes, and bytes freed by count = (freed_refcount + moved_out) x size_bytes.
 * Names are UTF-8 of 1 to 255 bytes without control characters; type 0 is "other". Descriptions below type_count
 * (acquire) never change, but for their base.
 * Objects of a type that gets its row late move there from row 0, as objects move between heaps: moved_in,
 * moved_out, and byte columns in which moved-in bytes count as allocated, moved-out ones as freed by count.
 *
 * Which operations no event tells of: base_* of the row's description, plus, while the level is OFF, the row itself
 * (modulo 2^64: at OFF base is what the events have told, negated). So at every level, and over all rings of the
 * heap: row = untold + events, where no event was lost.
 *
 * Summary and configuration, and the base, stand under `seq`: odd while the writer changes them; the reader copies
 * between two equal even loads: seq (acquire), all fields and the base of every row (relaxed), fence (acquire), seq. One
 * that stays odd belongs to a writer that died inside; what was read before stands.
 *
 * Records. Record number n (from 1) stands in slot (n - 1) % record_capacity with sequence = n, stored last with
 * release; while it is being written sequence is 0. record_head is the number of the newest one. The reader loads
 * sequence (acquire), copies, fence (acquire), sequence again: both are n, or the record is not there any more.
 *
 * Ring. Positions count words from 0 and never wrap; position p stands in word p % capacity_words. The ring
 * overwrites the oldest; there is no consumer index. It is divided into blocks of 512 words:
 *   writer, before entering the block that starts at p: reserve = p + 512 (relaxed), then a full fence; then its
 *   words (relaxed); then head = position behind the last whole record (release).
 *   reader: h = head (acquire); copies words [from, h) relaxed; fence (acquire); r = reserve (relaxed); what lies
 *   below r - capacity_words may be torn and is discarded; it resumes at the first block start that is not.
 *   Why that is enough stands at the top of feed/feed.c, fence by fence. A fresh reader begins at the block that starts
 *   at or behind max(0, reserve - capacity_words); where head does not lie behind that block's header yet, there is
 *   nothing to read yet, and where head is 0, nothing was ever written.
 * A block starts with WIRE_BLOCK_WORDS words of header: [0] sequence: records written before this block (what the
 * reader misses is this minus what it has counted: exact), [1] the owner's last safepoint, [2] level in bits 0..7, rest
 * 0. No record straddles a block; the tail is filled with a PAD record of length 0, which reaches to the block's end and
 * is not counted in the sequence.
 * Records written in all = the newest block's sequence + the records behind its header, up to head.
 *
 * Event words. Kind in bits 0..1:
 *   WIRE_EVENT_ALLOC, _FREE_REFCOUNT, _FREE_CYCLE: bits 2..17 type, 18..23 size code, 24..63 granule.
 *     size code 0..62: bytes / 8; 63: a second word follows with the bytes. granule names the object while it
 *     lives: page serial << 13 | (offset in its 64 KiB page / 8); page serials are not reused while mapped.
 *     The type is the one counted: a type without a row is 0 here too.
 *   WIRE_EVENT_RARE: bits 2..7 subkind (enum wire_rare), 8..15 words in all (0: pad to the block's end), 16..63
 *     argument; further words as the subkind says. Unknown subkinds are skipped by their length.
 */
#ifndef TALLY_WIRE_FEED_H
#define TALLY_WIRE_FEED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_COUNTERS_MAGIC 0x3154435f594c4154ull /* "TALY_CT1" */
#define WIRE_RING_MAGIC 0x3147525f594c4154ull     /* "TALY_RG1" */
#define WIRE_VERSION 1u

#define WIRE_HEADER_BYTES 1024u
#define WIRE_ROW_COUNT 64u       /* at the start */
#define WIRE_ROW_MAX 65536u      /* a type is 16 bits of an event */
#define WIRE_STRING_BYTES 3072u  /* at the start */
#define WIRE_STRING_MAX ((uint32_t)1 << 22)
#define WIRE_RECORD_COUNT 256u
#define WIRE_COUNTERS_BYTES 45056u /* at the start */
#define WIRE_RING_HEADER_BYTES 4096u
#define WIRE_RING_WORDS 2048u    /* at the start */
#define WIRE_RING_WORDS_MAX 524288u
#define WIRE_RING_BYTES (WIRE_RING_HEADER_BYTES + WIRE_RING_WORDS * 8u)
#define WIRE_FEED_BYTES_MAX ((uint64_t)13 << 20) /* of one memory, as large as it can get */
#define WIRE_BLOCK_SIZE 512u /* words */
#define WIRE_BLOCK_WORDS 3u  /* words of a block's header */

#define WIRE_GRANULE_SHIFT 24
#define WIRE_PAGE_GRANULE_BITS 13
#define WIRE_SIZE_CODE_LONG 63u

enum wire_event { WIRE_EVENT_RARE, WIRE_EVENT_ALLOC, WIRE_EVENT_FREE_REFCOUNT, WIRE_EVENT_FREE_CYCLE };
enum wire_rare {
    WIRE_RARE_PAD,              /* not an event */
    WIRE_RARE_CLOCK,            /* 2 words: ns */
    WIRE_RARE_COLLECTION_START, /* 2 words: ns; argument: generation */
    WIRE_RARE_COLLECTION_STOP,  /* 2 words: ns; argument: low 48 bits of the record's number */
};

/* X(NAME, value, word in JSON) */
#define WIRE_LEVELS(X) X(WIRE_LEVEL_OFF, 0, "off") X(WIRE_LEVEL_ALL, 1, "all")
/* These three as in tally.h. */
#define WIRE_MANAGERS(X) \
    X(WIRE_MANAGER_NONE, 1, "none") X(WIRE_MANAGER_REFCOUNT, 2, "refcount") \
    X(WIRE_MANAGER_GENERATIONAL, 3, "generational") X(WIRE_MANAGER_CYCLE, 4, "cycle") \
    X(WIRE_MANAGER_FULL, 5, "full")
#define WIRE_DEBUG_FLAGS(X) \
    X(WIRE_DEBUG_STATS, 1, "stats") X(WIRE_DEBUG_COLLECTABLE, 2, "collectable") \
    X(WIRE_DEBUG_UNCOLLECTABLE, 4, "uncollectable") X(WIRE_DEBUG_SAVEALL, 32, "saveall")
/* What a collection examined. */
#define WIRE_SCOPES(X) \
    X(WIRE_SCOPE_GENERATIONS, 0, "generations") X(WIRE_SCOPE_CANDIDATES, 1, "candidates") \
    X(WIRE_SCOPE_HEAP, 2, "heap")
#define WIRE_REASONS(X) \
    X(WIRE_REASON_THRESHOLD, 1, "threshold") X(WIRE_REASON_EXPLICIT, 2, "explicit") \
    X(WIRE_REASON_REMOTE, 3, "remote") X(WIRE_REASON_MEMORY, 4, "out_of_memory") \
    X(WIRE_REASON_SHUTDOWN, 5, "shutdown") X(WIRE_REASON_STRESS, 6, "stress")
/* What the heap was doing: the marker that is left behind by a crash. */
#define WIRE_STATES(X) \
    X(WIRE_STATE_RUNNING, 0, "running") X(WIRE_STATE_FINDING, 1, "finding_garbage") \
    X(WIRE_STATE_CALLBACKS, 2, "running_callbacks") X(WIRE_STATE_FREEING, 3, "freeing_garbage") \
    X(WIRE_STATE_CLOSED, 4, "closed")
/* What the host lets tallyd do with the heap. */
#define WIRE_ACCESSES(X) X(WIRE_ACCESS_CONTROL, 0, "control") X(WIRE_ACCESS_OBSERVE, 1, "observe")
#define WIRE_X(name, value, word) name = (value),
enum wire_access { WIRE_ACCESSES(WIRE_X) };
enum wire_level { WIRE_LEVELS(WIRE_X) };
enum wire_manager { WIRE_MANAGERS(WIRE_X) };
enum wire_debug { WIRE_DEBUG_FLAGS(WIRE_X) };
enum wire_scope { WIRE_SCOPES(WIRE_X) };
enum wire_reason { WIRE_REASONS(WIRE_X) };
enum wire_state { WIRE_STATES(WIRE_X) };
#undef WIRE_X
/* A sum, and no flag of its own: "leak" in requests. */
#define WIRE_DEBUG_LEAK (WIRE_DEBUG_COLLECTABLE | WIRE_DEBUG_UNCOLLECTABLE | WIRE_DEBUG_SAVEALL)

#define WIRE_TYPE_TRACKED 1u
#define WIRE_TYPE_VARIABLE 2u
#define WIRE_SLICES_SHIFT 8
#define WIRE_SLICES_MAX 0xffffffu

struct wire_row { /* owner-written, plain adds stored atomically */
    _Atomic uint64_t allocated;
    _Atomic uint64_t freed_refcount;
    _Atomic uint64_t freed_cycle;
    _Atomic uint64_t allocated_bytes;
    _Atomic uint64_t freed_refcount_bytes;
    _Atomic uint64_t freed_cycle_bytes;
    _Atomic uint64_t moved_in; /* objects handed over from and to other heaps */
    _Atomic uint64_t moved_out;
};

struct wire_desc { /* written once, before type_count is raised past it (release); base_* under seq */
    uint32_t name_offset; /* from string_offset */
    uint32_t name_bytes;
    uint32_t flags;      /* WIRE_TYPE_* */
    uint32_t ref_count;  /* slots of the fixed part */
    uint64_t size_bytes; /* fixed part of the payload, rounded up to 8 */
    uint64_t reserved;
    /* Operations that no event tells of: at OFF, plus the row. */
    _Atomic uint64_t base_allocated;
    _Atomic uint64_t base_freed_refcount;
    _Atomic uint64_t base_freed_cycle;
    uint64_t reserved2;
};

struct wire_generation {
    _Atomic uint64_t collections, collected, uncollectable;
};

struct wire_counters {
    uint64_t magic;
    uint32_t version, header_bytes;
    uint64_t total_bytes;
    uint32_t heap_number, feed_generation; /* both from 1 */
    uint32_t row_offset, row_capacity;
    uint32_t desc_offset, desc_bytes; /* desc_bytes: of one */
    uint32_t string_offset, string_bytes;
    uint32_t record_offset, record_capacity;
    _Atomic uint32_t type_count; /* descs that are valid, row 0 included */
    _Atomic uint32_t string_used;
    _Atomic uint32_t types_without_row;
    _Atomic uint32_t state;         /* enum wire_state */
    _Atomic uint64_t record_head;
    _Atomic uint64_t safepoint_ns;  /* when the owner last came by, CLOCK_MONOTONIC */
    _Atomic uint64_t mapped_bytes;  /* pages taken from the system */
    _Atomic uint32_t stress_nth, stress_every_decref; /* under seq, as what follows */
    _Atomic uint64_t process_bytes; /* private memory of the process, as its agent, who alone writes this, read it last; 0: unknown */
    _Atomic uint64_t settled; /* under seq, as of the last safepoint or collection: 1: a full collection has nothing to look at */
    /* under seq */
    _Atomic uint64_t seq;
    _Atomic uint32_t enabled, manager, debug, level;
    _Atomic uint32_t thresholds[3];
    _Atomic uint32_t access; /* enum wire_access */
    struct wire_generation generations[3];
    _Atomic uint64_t counts[3]; /* as of the last safepoint or collection */
    _Atomic uint64_t garbage;   /* length of the garbage list */
    _Atomic uint64_t frozen;
    _Atomic uint64_t pause_ns, max_pause_ns, last_pause_ns;
    _Atomic uint64_t max_pause_us, memory_limit_bytes; /* 0: none */
    /* as of the last safepoint or collection */
    _Atomic uint64_t extern_bytes;                     /* native memory that objects own */
    _Atomic uint64_t candidates;                       /* objects that wait to be looked at */
    _Atomic uint64_t pending_objects;                  /* dead, not yet destroyed */
    _Atomic uint64_t finalizers_pending;               /* in the finalizer queue */
    _Atomic uint64_t slices, missed_slices, longest_slice_ns;
    _Atomic uint64_t abandoned_runs, refused_runs;
    _Atomic uint64_t candidates_due; /* so many make a run over them due; 0: none is due by them */
};

struct wire_record { /* one collection */
    _Atomic uint64_t sequence;
    _Atomic uint64_t start_ns;
    _Atomic uint64_t pause_ns;    /* whole run, callbacks included */
    _Atomic uint64_t find_ns;     /* finding garbage */
    _Atomic uint64_t callback_ns; /* weak-reference callbacks and finalizers */
    _Atomic uint64_t free_ns;
    _Atomic uint64_t examined;    /* tracked objects in the generations merged */
    _Atomic uint64_t collected, freed_bytes, uncollectable;
    _Atomic uint64_t live_bytes_before, live_bytes_after;
    _Atomic uint64_t safepoint_wait_ns; /* remote runs: between request and start */
    _Atomic uint64_t operation;         /* remote runs: tallyd's number of it, else 0 */
    _Atomic uint32_t reason, generation;
    _Atomic uint32_t manager;
    _Atomic uint32_t scope_slices; /* enum wire_scope in bits 0..7, slices (at most WIRE_SLICES_MAX) above */
};

struct wire_ring {
    uint64_t magic;
    uint32_t version, header_bytes;
    uint64_t total_bytes;
    uint64_t capacity_words; /* a power of two */
    uint32_t block_words;
    uint32_t heap_number, feed_generation, reserved32;
    uint64_t reserved[2];
    _Alignas(64) _Atomic uint64_t reserve;
    _Atomic uint64_t head;
};

/* Every offset that a reader may rely on. */
#define WIRE_AT(type, member, offset) \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member " is at " #offset)
_Static_assert(sizeof(struct wire_row) == 64, "a row is one cache line");
WIRE_AT(wire_row, allocated, 0);
WIRE_AT(wire_row, freed_refcount, 8);
WIRE_AT(wire_row, freed_cycle, 16);
WIRE_AT(wire_row, allocated_bytes, 24);
WIRE_AT(wire_row, freed_refcount_bytes, 32);
WIRE_AT(wire_row, freed_cycle_bytes, 40);
WIRE_AT(wire_row, moved_in, 48);
WIRE_AT(wire_row, moved_out, 56);
_Static_assert(sizeof(struct wire_desc) == 64, "desc layout");
WIRE_AT(wire_desc, name_offset, 0);
WIRE_AT(wire_desc, name_bytes, 4);
WIRE_AT(wire_desc, flags, 8);
WIRE_AT(wire_desc, ref_count, 12);
WIRE_AT(wire_desc, size_bytes, 16);
WIRE_AT(wire_desc, base_allocated, 32);
WIRE_AT(wire_desc, base_freed_refcount, 40);
WIRE_AT(wire_desc, base_freed_cycle, 48);
_Static_assert(sizeof(struct wire_generation) == 24, "generation layout");
_Static_assert(sizeof(struct wire_counters) <= WIRE_HEADER_BYTES, "header fits");
WIRE_AT(wire_counters, magic, 0);
WIRE_AT(wire_counters, version, 8);
WIRE_AT(wire_counters, header_bytes, 12);
WIRE_AT(wire_counters, total_bytes, 16);
WIRE_AT(wire_counters, heap_number, 24);
WIRE_AT(wire_counters, feed_generation, 28);
WIRE_AT(wire_counters, row_offset, 32);
WIRE_AT(wire_counters, row_capacity, 36);
WIRE_AT(wire_counters, desc_offset, 40);
WIRE_AT(wire_counters, desc_bytes, 44);
WIRE_AT(wire_counters, string_offset, 48);
WIRE_AT(wire_counters, string_bytes, 52);
WIRE_AT(wire_counters, record_offset, 56);
WIRE_AT(wire_counters, record_capacity, 60);
WIRE_AT(wire_counters, type_count, 64);
WIRE_AT(wire_counters, string_used, 68);
WIRE_AT(wire_counters, types_without_row, 72);
WIRE_AT(wire_counters, state, 76);
WIRE_AT(wire_counters, record_head, 80);
WIRE_AT(wire_counters, safepoint_ns, 88);
WIRE_AT(wire_counters, mapped_bytes, 96);
WIRE_AT(wire_counters, process_bytes, 112);
WIRE_AT(wire_counters, settled, 120);
WIRE_AT(wire_counters, seq, 128);
WIRE_AT(wire_counters, enabled, 136);
WIRE_AT(wire_counters, manager, 140);
WIRE_AT(wire_counters, debug, 144);
WIRE_AT(wire_counters, level, 148);
WIRE_AT(wire_counters, thresholds, 152);
WIRE_AT(wire_counters, access, 164);
WIRE_AT(wire_counters, generations, 168);
WIRE_AT(wire_counters, counts, 240);
WIRE_AT(wire_counters, garbage, 264);
WIRE_AT(wire_counters, frozen, 272);
WIRE_AT(wire_counters, pause_ns, 280);
WIRE_AT(wire_counters, max_pause_ns, 288);
WIRE_AT(wire_counters, last_pause_ns, 296);
WIRE_AT(wire_counters, max_pause_us, 304);
WIRE_AT(wire_counters, memory_limit_bytes, 312);
WIRE_AT(wire_counters, extern_bytes, 320);
WIRE_AT(wire_counters, candidates, 328);
WIRE_AT(wire_counters, pending_objects, 336);
WIRE_AT(wire_counters, finalizers_pending, 344);
WIRE_AT(wire_counters, slices, 352);
WIRE_AT(wire_counters, missed_slices, 360);
WIRE_AT(wire_counters, longest_slice_ns, 368);
WIRE_AT(wire_counters, abandoned_runs, 376);
WIRE_AT(wire_counters, refused_runs, 384);
WIRE_AT(wire_counters, candidates_due, 392);
_Static_assert(sizeof(struct wire_record) == 128, "record layout");
WIRE_AT(wire_record, sequence, 0);
WIRE_AT(wire_record, start_ns, 8);
WIRE_AT(wire_record, pause_ns, 16);
WIRE_AT(wire_record, find_ns, 24);
WIRE_AT(wire_record, callback_ns, 32);
WIRE_AT(wire_record, free_ns, 40);
WIRE_AT(wire_record, examined, 48);
WIRE_AT(wire_record, collected, 56);
WIRE_AT(wire_record, freed_bytes, 64);
WIRE_AT(wire_record, uncollectable, 72);
WIRE_AT(wire_record, live_bytes_before, 80);
WIRE_AT(wire_record, live_bytes_after, 88);
WIRE_AT(wire_record, safepoint_wait_ns, 96);
WIRE_AT(wire_record, operation, 104);
WIRE_AT(wire_record, reason, 112);
WIRE_AT(wire_record, generation, 116);
WIRE_AT(wire_record, manager, 120);
WIRE_AT(wire_record, scope_slices, 124);
WIRE_AT(wire_ring, magic, 0);
WIRE_AT(wire_ring, version, 8);
WIRE_AT(wire_ring, header_bytes, 12);
WIRE_AT(wire_ring, total_bytes, 16);
WIRE_AT(wire_ring, capacity_words, 24);
WIRE_AT(wire_ring, block_words, 32);
WIRE_AT(wire_ring, heap_number, 36);
WIRE_AT(wire_ring, feed_generation, 40);
WIRE_AT(wire_ring, reserve, 64);
WIRE_AT(wire_ring, head, 72);
#undef WIRE_AT
_Static_assert(WIRE_HEADER_BYTES + WIRE_ROW_COUNT * 128u + WIRE_STRING_BYTES + WIRE_RECORD_COUNT * 128u ==
                   WIRE_COUNTERS_BYTES, "counters memfd");
_Static_assert(WIRE_COUNTERS_BYTES + WIRE_RING_BYTES == 65536, "64 KiB a heap");
_Static_assert(WIRE_HEADER_BYTES + WIRE_ROW_MAX * 128u + WIRE_STRING_MAX + WIRE_RECORD_COUNT * 128u <=
                   WIRE_FEED_BYTES_MAX, "the largest counters");

#endif
