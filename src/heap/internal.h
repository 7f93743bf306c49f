/* What the files of this folder share. See heap.h for the folder's promises, collect.c for the collector.
 *
 * A page is 64 KiB, aligned to it, and holds slots of one size; `object & ~0xffff` finds its head.
 *
 *   +-----------+----------------------------------------------+------+--------+------+--------+---
 *   | page head | side data, tracked pages only:               | word | payload| word | payload| ...
 *   |           | 6 bitmaps and a 16-bit trial count per slot  |      |        |      |        |
 *   +-----------+----------------------------------------------+------+--------+------+--------+---
 *
 * The header word stands in front of each payload. A word of 0 is a free slot, whose payload begins with the
 * next free one's address. Live words are never 0, since types count from 1.
 *
 * Generations are bits beside the objects: young objects have none, so that allocation writes no bitmap; the
 * bits of a freed slot are cleared when the slow path takes the page's second free list over. Large objects
 * have a mapping of their own with the same head and one slot.
 */
#ifndef TALLY_HEAP_INTERNAL_H
#define TALLY_HEAP_INTERNAL_H

#include <pthread.h>

#include "base/clock.h"
#include "base/map.h"
#include "heap/heap.h"

#define PAGE_BYTES ((size_t)65536)
#define PAGE_MASK (PAGE_BYTES - 1)
#define WORD_BYTES ((size_t)8)

/* Flags of the header word beside TALLY_FLAG_ACYCLIC and _BUFFERED. */
#define FLAG_FINALIZER ((uint64_t)1 << 2)
#define FLAG_FINALIZED ((uint64_t)1 << 3)
#define FLAG_WEAK ((uint64_t)1 << 4) /* weak references to it exist */
#define FLAG_DYING ((uint64_t)1 << 5)
#define FLAG_QUEUED ((uint64_t)1 << 6) /* at zero, on the heap's zero list */
#define FLAG_GONE (FLAG_DYING | FLAG_QUEUED) /* the count is not a count */
#define FLAGS_MASK (((uint64_t)1 << TALLY_TYPE_SHIFT) - 1)
#define COUNT_MASK (~(TALLY_COUNT_ONE - 1))

#define CLASS_SMALL_BYTES 512u /* up to it a class for each multiple of 8, above 8 for each doubling */
#define CLASS_LARGEST_BYTES 16384u
#define CLASS_COUNT 104u
#define CLASS_KINDS (2u * CLASS_COUNT) /* leaf classes, then tracked ones */
#define CLASS_LARGE UINT32_MAX

#define TYPE_MAX 65000u
#define TYPE_OTHER 0u
#define TYPE_WEAKREF 1u

struct tally_type {
    uint64_t word;        /* header word of a new object: flags, index, count 1 */
    uint64_t size;        /* fixed payload, rounded up to 8 */
    uint32_t class_index; /* of a fixed-size object, CLASS_LARGE: too big for a page */
    uint32_t index;
    bool tracked, weak, variable;
    size_t align;
    struct tally_ref *refs; /* a weak type's hold is the first */
    size_t ref_count;
    struct tally_type_info info; /* refs, ref_count: as above; names: the library's copies */
};

enum { BIT_MIDDLE, BIT_OLD, BIT_FROZEN, BIT_MEMBER, BIT_ALIVE, BIT_PENDING, BITMAPS };
#define TRIAL_HUB 0xffffu /* the count stands in the heap's hub table */

struct page {
    struct tally_heap *heap;
    uint64_t run;         /* member, alive, pending and trial are of this run */
    void *free;           /* handed to the fast path */
    void *freed;          /* second list: what was freed since */
    char *bump, *end;     /* slots never used yet: [bump, end) */
    uint32_t slot_bytes, slot_count;
    uint32_t reciprocal;  /* ceil(2^32 / slot_bytes) */
    uint32_t first;       /* offset of slot 0's word */
    uint32_t words;       /* 64-bit words of one bitmap */
    uint32_t used;        /* slots handed to the fast path and not freed */
    uint32_t serial;      /* index in the heap's page table; 23 bits */
    uint32_t class_index;
    bool tracked, listed; /* listed: current, or in the class's list of pages with room */
    bool young, middle;   /* in the list of pages that hold such objects (or did) */
    bool flagged;         /* some pending bit is set */
    bool candidates;
    size_t bytes;         /* of the mapping */
    struct page *next_room, *next_young, *next_middle, *next_scope;
    uint64_t *bits[BITMAPS];
    uint16_t *trial;
};

/* The fast paths' fields: in a page that a forked child finds zeroed. */
struct hot {
    struct feed_pen pen;
    uint64_t young_count; /* count 0 of tally_counts(): net new tracked objects */
    uint64_t young_limit; /* the slow path is taken where young_count would pass it */
    uint32_t types_known; /* types below it have been offered rows */
    struct page *current[CLASS_KINDS];
};

struct handles {
    void **objects;
    size_t count, room;
    size_t open; /* scopes */
};

struct tally_heap {
    struct hot hot;
    _Alignas(4096) struct feed feed;
    struct tally_page_hooks hooks;
    void *user;
    void *private_counters; /* NULL while shared memory is in use */
    void *fork_counters;    /* for a child, made beforehand */
    uint32_t number;
    struct page **pages; /* by serial; NULL: free index */
    uint32_t page_count, page_room, page_hint;
    struct page *room[CLASS_KINDS];
    struct page *young_pages, *middle_pages;
    struct page *spare; /* empty pages kept, linked by next_room */
    uint32_t spare_count;
    uint64_t mapped_bytes;

    bool enabled, collecting;
    bool emptied; /* a page lost its last object while a collection ran */
    enum tally_manager manager;
    unsigned debug;
    uint32_t thresholds[3];
    uint64_t counts[3]; /* [0] lives in hot.young_count */
    uint64_t long_lived_total, long_lived_pending;
    struct tally_generation_stats generations[3];
    uint64_t pause_ns, max_pause_ns, last_pause_ns;
    uint64_t frozen; /* as of the last freeze, unfreeze or collection */
    unsigned stress, stress_count;
    tally_collection_fn hook;
    void *hook_arg;

    uint64_t run;
    struct page *scope; /* pages whose side data is of this run */
    bool flagged;       /* some page of them is */
    void **mark_stack; /* reserved address space, untouched until needed */
    size_t mark_count;
    struct map hubs; /* trial counts that 16 bits do not hold, on reserved address space */

    uint64_t zero_list; /* compressed references of objects at zero that wait; 0: none */
    unsigned release_depth;
    struct map weak_heads; /* target -> newest weak reference */

    void **garbage; /* reserved address space */
    size_t garbage_count;
    struct handles handles;

    _Atomic(struct tally__request *) mailbox;
    pthread_mutex_t notify_lock; /* notify, notify_arg, notify_fd */
    tally_notify_fn notify;
    void *notify_arg;
    int notify_fd;
    struct tally__attachment attachment;
};

static inline uint64_t *word_of(const void *object)
{
    return &((uint64_t *)(uintptr_t)object)[-1];
}
static inline struct page *page_of(const void *object)
{
    return (struct page *)((uintptr_t)object & ~PAGE_MASK);
}
static inline uint32_t slot_of(const struct page *page, const void *object)
{
    uint64_t offset = ((uintptr_t)object & PAGE_MASK) - WORD_BYTES - page->first;
    return (uint32_t)((offset * page->reciprocal) >> 32);
}
static inline void *object_at(const struct page *page, uint32_t slot)
{
    return (char *)(uintptr_t)page + page->first + WORD_BYTES + (size_t)slot * page->slot_bytes;
}
static inline bool bit_get(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}
static inline void bit_set(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= (uint64_t)1 << (at % 64);
}
static inline void bit_clear(uint64_t *bits, uint32_t at)
{
    bits[at / 64] &= ~((uint64_t)1 << (at % 64));
}
/* Names an object in 36 bits, for links in the count of a word that is at zero. 0 names none: page heads. */
static inline uint64_t compress(const void *object)
{
    return (uint64_t)page_of(object)->serial << 13 | ((uintptr_t)object & PAGE_MASK) >> 3;
}
static inline void *expand(const struct tally_heap *heap, uint64_t reference)
{
    return (char *)heap->pages[reference >> 13] + ((reference & 0x1fff) << 3);
}
static inline uint64_t granule_of(const struct page *page, const void *object)
{
    return (uint64_t)page->serial << WIRE_PAGE_GRANULE_BITS | ((uintptr_t)object & PAGE_MASK) >> 3;
}

extern _Atomic(struct tally_type *) tally__types[TYPE_MAX];
static inline const struct tally_type *type_of_word(uint64_t word)
{
    return atomic_load_explicit(&tally__types[word >> TALLY_TYPE_SHIFT & 0xffff], memory_order_relaxed);
}
static inline const struct tally_type *type_of(const void *object)
{
    return type_of_word(*word_of(object));
}

/* type.c */
uint32_t tally__type_count(void);
int tally__types_init(void); /* registers the library's own */
void tally__types_describe(struct tally_heap *heap);
size_t tally__size_of(const struct tally_type *type, const void *object); /* rounded up to 8 */

/* page.c: NULL: out of memory */
uint32_t tally__class_of(size_t slot_bytes, size_t align);
struct page *tally__page_new(struct tally_heap *heap, uint32_t class_index, bool tracked, size_t large_bytes);
void tally__page_free(struct tally_heap *heap, struct page *page);
void tally__page_room(struct tally_heap *heap,
                      struct page *page); /* first slot freed in a page without room */
void tally__page_empty(struct tally_heap *heap, struct page *page);    /* last slot freed */
void tally__pages_sweep(struct tally_heap *heap);                      /* what a collection emptied */
bool tally__page_refill(struct tally_heap *heap,
                        uint32_t class_index); /* makes a page with free slots current */
void tally__pages_relist(struct tally_heap *heap);                     /* after a fork: no page is current */
void tally__spare_free(struct tally_heap *heap);

/* release.c */
void tally__destroy(struct tally_heap *heap, void *object);
void tally__object_free(struct tally_heap *heap, void *object,
                        enum wire_event kind); /* memory and counts only */

/* Slots in the order fixed, trailing, external; traverse is beside them. */
size_t tally__slot_count(const struct tally_type *type, const void *object);
void **tally__slot_at(const struct tally_type *type, void *object, size_t at);
void tally__slots_visit(const struct tally_type *type, void *object, tally_slot_fn visit, void *arg);

/* weak.c */
struct weak_queue { /* cleared weak references whose callbacks are due, each held */
    void *first, **last;
};
void tally__weak_clear_all(struct tally_heap *heap, void *target, struct weak_queue *queue);
void tally__weak_detach(struct tally_heap *heap, void *weak); /* from its referent, which it loses */
/* Runs the callbacks; returns how many weak references went as theirs returned. keep_hold: what CPython's
 * collector does, against what death by count does. */
uint64_t tally__weak_callbacks(struct tally_heap *heap, struct weak_queue *queue, bool keep_hold,
                               int generation_after);

/* generation.c */
void tally__limit_update(struct tally_heap *heap);
void tally__generation_set(void *object, int generation);
void tally__summary(struct tally_heap *heap);
void tally__young_page(struct tally_heap *heap, struct page *page);
uint64_t tally__frozen_count(const struct tally_heap *heap);
void tally__collect_automatic(struct tally_heap *heap);

/* trial.c: finding garbage in the merged generations */
uint64_t tally__members_merge(struct tally_heap *heap, int generation); /* returns how many */
uint64_t tally__members_rest(struct tally_heap *heap);                  /* members = what is not alive */
void tally__trial(struct tally_heap *heap);                             /* alive = reachable from outside */
typedef bool (*member_fn)(struct tally_heap *heap, void *object, void *arg); /* false: stop */
void tally__trash_each(struct tally_heap *heap, member_fn fn, void *arg);
void tally__survivors_promote(struct tally_heap *heap, int generation);
bool tally__is_trash(const struct tally_heap *heap, const void *object);

/* collect.c */
struct collect_request {
    int generation;
    enum tally_reason reason;
    uint64_t operation, safepoint_wait_ns;
    uint64_t pause_ns, freed_bytes; /* out */
};
int64_t tally__collect(struct tally_heap *heap, struct collect_request *request);

/* safepoint.c, fork.c, garbage.c, heap.c */
int tally__safepoint(struct tally_heap *heap);
void tally__forked(struct tally_heap *heap);
bool tally__garbage_push(struct tally_heap *heap, void *object);
void *tally__map(size_t bytes);     /* zeroed, NULL: out of memory; errno kept */
void *tally__reserve(size_t bytes); /* address space that costs nothing until touched */
void tally__unmap(void *memory, size_t bytes);

/* Checks of debug builds (TALLY_DEBUG), which say what is wrong and abort; release builds have none of this.
 */
#ifdef TALLY_DEBUG
__attribute__((noreturn)) void tally__broken(const char *sentence);
#define HEAP_CHECK(condition, sentence) ((condition) ? (void)0 : tally__broken(sentence))
void tally__check_heap(struct tally_heap *heap); /* tally_verify() */
#else
#define HEAP_CHECK(condition, sentence) ((void)0)
#define tally__check_heap(heap) ((void)(heap))
#endif

#define MARK_STACK_ENTRIES ((size_t)65536)
#define HUB_ENTRIES ((size_t)65536)
#define GARBAGE_ENTRIES ((size_t)1 << 27)

#endif
