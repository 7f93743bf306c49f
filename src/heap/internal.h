/* What the files of this folder share. See heap.h for the folder's promises, page.h for how memory is laid out,
 * run.c for the collector. */
#ifndef TALLY_HEAP_INTERNAL_H
#define TALLY_HEAP_INTERNAL_H

#include <pthread.h>

#include "base/clock.h"
#include "base/map.h"
#include "heap/heap.h"
#include "heap/page.h"
#include "heap/shadow.h"

/* Flags of the header word beside TALLY_FLAG_ACYCLIC and _BUFFERED. */
#define FLAG_STORED ((uint64_t)1 << 2) /* has been in a slot: others may lead to it */
#define FLAG_FINALIZED ((uint64_t)1 << 3)
#define FLAG_WEAK ((uint64_t)1 << 4) /* weak references to it exist */
#define FLAG_DYING ((uint64_t)1 << 5)
#define FLAG_QUEUED ((uint64_t)1 << 6) /* at zero, on the heap's zero list */
#define FLAG_ODD ((uint64_t)1 << 7) /* its type is not light: see struct tally_type */
#define FLAG_CONSTRUCTION ((uint64_t)1 << 8)
#define FLAG_EXTERN ((uint64_t)1 << 9) /* has an entry in the heap's table of native bytes */
#define FLAG_PINNED ((uint64_t)1 << 10)
#define FLAG_DUE ((uint64_t)1 << 11) /* in the finalizer queue, which holds a reference */
#define FLAG_IMMORTAL ((uint64_t)1 << 63) /* the count's top bit, set for good */
#define FLAG_GONE (FLAG_DYING | FLAG_QUEUED) /* the count is not a count */
/* Never examined: their edges count as external. */
#define FLAG_APART (FLAG_GONE | FLAG_IMMORTAL | FLAG_CONSTRUCTION)
#define FLAGS_MASK (((uint64_t)1 << TALLY_TYPE_SHIFT) - 1)
#define COUNT_MASK (~(TALLY_COUNT_ONE - 1))

#define TYPE_MAX 65000u
#define TYPE_OTHER 0u
#define TYPE_WEAKREF 1u
#define TYPE_WEAKMAP 2u
#define TYPE_ENTRY 3u /* of a weak map */

struct tally_type {
    uint64_t word;        /* header word of a new object: flags, index, count 1 */
    uint64_t size;        /* fixed payload, rounded up to 8 */
    uint64_t event;       /* word of an object's event, without its kind and granule; 0: it takes two */
    uint32_t class_index; /* of a fixed-size object, CLASS_LARGE: too big for a page */
    uint32_t fast_class;  /* the same, or CLASS_KINDS, of which there is never a page: variable, or not small */
    uint32_t index;
    bool tracked, weak, variable;
    bool plain; /* no references at all; a weak type has its hold */
    bool light; /* fixed and trailing slots at most, and nothing of the host's to run at its death */
    bool fixed; /* light, and of fixed size */
    bool open;  /* fixed and trailing slots at most */
    size_t align;
    struct tally_ref *refs; /* a weak type's hold is the first */
    size_t ref_count;
    struct tally_type_info info; /* refs, ref_count: as above; names: the library's copies */
    uint32_t offsets[];          /* of refs, once more */
};

/* The fast paths' fields: in a page that a forked child finds zeroed. */
struct hot {
    struct feed_pen pen;
    uint64_t young_count; /* count 0 of tally_counts(): net new tracked objects */
    uint64_t young_limit; /* the slow path is taken where young_count would pass it; 0: something is due */
    uint32_t types_known; /* types below it have been offered rows */
    uint32_t direct_limit; /* light objects of types 1 to it die on the spot; 0: nothing may go unseen */
    void *free[CLASS_KINDS + 1];         /* slots of the current page; in the end none, for fast_class */
    struct page *current[CLASS_KINDS];
};

struct handles {
    void **objects;
    size_t count, room;
    size_t open; /* scopes */
};

/* Object references on address space that is reserved when it is wanted, so that pushing never needs memory. */
struct reserve {
    void **items; /* NULL: not reserved */
    size_t first, count;
};

/* A run: a collection from its start to its end, slices and what lies between them included. */
enum phase {
    RUN_NONE,
    RUN_UNFLAG, RUN_GUESS, RUN_MERGE, RUN_EXPLORE, RUN_SUBTRACT, RUN_MARK, RUN_PROMOTE, /* finding */
    RUN_GUEST,                                                       /* may the agent go on? */
    RUN_WEAK, RUN_CALLBACKS, RUN_FINALIZE,                           /* decided: the host's code */
    RUN_REST, RUN_SUBTRACT_REST, RUN_MARK_REST, RUN_PROMOTE_REST,    /* finding again, in the trash */
    RUN_SHAPES, RUN_KEEP, RUN_WEAK_REST, RUN_HOLD, RUN_CLEAR, RUN_FREE, RUN_CALLBACKS_REST, RUN_END
};
struct weak_queue { /* cleared weak references whose callbacks are due, each held */
    void *first, **last;
};
struct run {
    enum phase phase;
    bool decided;      /* members that are not alive are trash, which nobody can reach */
    bool look;         /* tally_find_cycles(): frees nothing */
    bool host_ran;     /* a callback or finalizer, so that trash may have changed */
    bool mixed;        /* members are of other than light types, or something stands beside them (fast.h) */
    bool outside;      /* members refer to what is no member */
    bool guessed;      /* what is alive was guessed first, and rightly */
    bool weighed;      /* all members have been seen to be trash at once */
    bool apart;        /* and some of that is no member */
    bool heavy;        /* freeing the trash takes more than giving its slots back: see destroy.c */
    bool sliced;
    pthread_t runner;    /* of a guest's */
    bool guest, refused; /* the agent runs it for a parked owner; and may not go on */
    bool nothing;      /* candidates complete and none, nothing young: there is nothing to walk */
    int generation;    /* survivors go to the next */
    enum tally_scope_kind scope;
    enum { EXPLORE_BEGIN, EXPLORE_TAKE, EXPLORE_FOLLOW } step;
    uint64_t candidates; /* when it began */
    uint64_t old_entered, old_found; /* candidates that were old, of sparse pages; trash that was */
    uint32_t follow;     /* old objects that may still be entered from the present one */
    uint64_t survivors, found; /* when it decided: members that live, and trash */
    uint64_t collected, uncollectable, freed_bytes;
    struct feed_record record;
    struct weak_queue queue;
    /* Where the phase stands */
    uint32_t index;      /* page table */
    struct page *page;   /* scope list, then word of its bitmaps, then objects passed */
    uint32_t word;
    uint64_t passed;
    void *open;          /* an object whose slots are being gone through, at */
    size_t at;
};

/* The dying, as release.c leaves them where a slice ends: see there. */
struct cascade {
    void *object, *parent; /* object NULL: none */
};

struct slice {
    int64_t credit;       /* units of work before the clock is read again */
    uint64_t budget_ns;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    bool brief;           /* over with its first credit */
    bool timed;           /* since: */
    uint64_t cpu_ns, start_ns;
    const struct tally_type *type; /* whose callback took longest in it */
    uint64_t type_ns;
    bool open;
};

struct cost { /* of an object among many: the worst that was seen, fading */
    uint64_t object_ns;
};

#define HOOKS_MAX 8u
struct hook {
    tally_collection_fn fn;
    void *arg;
};

struct tally_heap {
    struct hot hot;
    _Alignas(4096) struct tally_page_hooks hooks; /* behind the page that is wiped */
    void *user;
    void *private_counters; /* NULL while shared memory is in use */
    void *fork_counters;    /* for a child, made beforehand */
    uint32_t number;
    _Atomic uint32_t access; /* enum tally_access; read by the agent */
    struct page **pages; /* by serial; NULL: free index */
    uint32_t page_count, page_room, page_hint;
    struct page *room[CLASS_KINDS];
    struct page *lists[LISTS]; /* but LIST_ROOM */
    struct arena *arenas;      /* that have free pages */
    struct page *spare;        /* empty pages kept, linked by next_scope */
    uint32_t spare_count, spare_unused; /* unused: the fewest there were since the last look, */
    uint32_t spare_old;                 /* which found so many too many, */
    uint64_t spare_ns;                  /* and is due again then */
    uint64_t mapped_bytes;

    bool enabled;
    bool collecting; /* in a slice of a run: callbacks may be running */
    bool armed;      /* a run is finding, and its next slice has yet to come: see candidate.c */
    bool closing;
    enum tally_manager manager;
    unsigned debug;
    uint32_t thresholds[3];
    uint64_t counts[3]; /* [0] lives in hot.young_count */
    uint64_t long_lived_total, long_lived_pending;
    struct tally_generation_stats generations[3];
    uint64_t pause_ns, max_pause_ns, last_pause_ns;
    uint64_t frozen; /* as of the last freeze, unfreeze or collection */
    unsigned stress, stress_count;
    bool stress_decref;
    struct hook collection_hooks[HOOKS_MAX];
    unsigned collection_hook_count;
    struct tally_collection last;
    uint64_t refused, abandoned;

    /* Candidates: bits in the pages of LIST_CANDIDATES. */
    uint64_t candidate_count, candidate_limit; /* limit: a run is due */
    bool complete; /* every garbage cycle has a candidate, or is deferred */
    bool deferred; /* some candidate was taken for alive because a barrier was met */
    bool held;     /* some object is marked as held from outside */
    uint32_t weigh_skip, weigh_wait; /* runs over candidates without weighing after the next failure; yet to come */
    uint32_t old_stride; /* of so many pages one has its old candidates explored, if it is sparse: */
    uint32_t old_turn;   /* which one */
    uint32_t follow; /* old objects entered from one candidate before the rest of them are barriers */
    uint64_t memory_trigger; /* mapped and extern bytes at which a run is due */

    struct run run;
    uint64_t run_number;
    struct page *scope, **scope_end; /* pages whose side data is of this run */
    bool flagged;                    /* some page of them is */
    void **mark_stack; /* reserved address space, untouched until needed */
    size_t mark_count;
    struct shadow shadow;
    struct map hubs; /* trial counts that 16 bits do not hold, on reserved address space */

    uint64_t budget_ns; /* tally_set_max_pause() */
    struct slice slice;
    uint64_t next_slice_ns; /* the program has its share until then */
    uint64_t held_base_bytes; /* live when the work began that is pending */
    uint64_t slices, missed, longest_slice_ns, longest_missed_ns;
    struct cost candidate_cost, trash_cost; /* found in runs over candidates; freed at once */
    const struct tally_type *missed_type;

    uint64_t zero_first, zero_last; /* compressed references of objects at zero that wait, linked; 0: none */
    uint64_t zero_count;
    struct cascade cascade;
    unsigned release_depth;
    struct map weak_heads; /* target -> newest weak reference */
    struct map pins;       /* object -> times */
    struct map roots;      /* address of a variable -> 1 */
    struct map extern_table; /* object -> native bytes */
    uint64_t extern_bytes;
    uint64_t memory_limit;
    tally_memory_fn memory_hook;
    void *memory_hook_arg;
    bool memory_asking;

    struct reserve garbage, due; /* due: the finalizer queue */
    bool finalizers_queued;
    tally_finalizers_fn finalizers_notify;
    void *finalizers_arg;
    struct handles handles;
    struct shapes *shapes; /* NULL: no cycle seen */
    uint64_t shape_spent; /* objects looked at, less what runs since have earned */
    tally_report_fn report;
    void *report_arg;
#ifdef TALLY_DEBUG
    void *callback_frame; /* of the innermost callback that is running; NULL: none */
    uint64_t check_credit;
    bool checking;
#endif

    pthread_t owner;
    _Atomic int hold;     /* enum hold: who may use the heap (thread.c) */
    _Atomic bool wanted;  /* the owner waits for the agent to give it back */
    _Atomic(struct tally__request *) mailbox;
    pthread_mutex_t notify_lock; /* notify, notify_arg, notify_fd */
    tally_notify_fn notify;
    void *notify_arg;
    int notify_fd;
    struct tally__attachment attachment;
};

/* Names an object in 36 bits, for links in the count of a word that is at zero. 0 names none: page heads. */
static inline uint64_t compress(const void *object)
{
    return (uint64_t)page_of(object)->serial << 13 | ((uintptr_t)object & PAGE_MASK) >> 3;
}
static inline void *expand(const struct tally_heap *heap, uint64_t reference)
{
    return base_of(heap->pages[reference >> 13]) + ((reference & 0x1fff) << 3);
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
uint64_t tally__type_name_bytes(void); /* of all names */
int tally__types_init(void); /* registers the library's own */
/* counters.c. types_describe: rows for all types there are, as far as they last. */
void *tally__counters_map(const struct tally_heap *heap, const struct feed_shape *shape);
void tally__counters_unmap(void *memory);
void *tally__counters_cut(void *memory); /* to the size at the start, for a child */
void tally__types_describe(struct tally_heap *heap);
size_t tally__size_of(const struct tally_type *type, const void *object); /* rounded up to 8 */

/* arena.c: NULL: out of memory */
void *tally__map(size_t bytes);     /* zeroed; errno kept */
void *tally__reserve(size_t bytes); /* address space that costs nothing until touched */
void tally__unmap(void *memory, size_t bytes);
/* Memory for a page, zeroed where it has not been used before; *arena: where it is from. */
void *tally__page_map(struct tally_heap *heap, size_t bytes, struct arena **arena);
void tally__page_unmap(struct tally_heap *heap, void *memory, size_t bytes, struct arena *arena);
void tally__page_unneed(const struct tally_heap *heap, void *memory, size_t bytes); /* its contents */

/* page.c: NULL: out of memory */
uint32_t tally__class_of(size_t slot_bytes, size_t align);
struct page *tally__page_new(struct tally_heap *heap, uint32_t class_index, bool tracked, size_t large_bytes);
void tally__page_free(struct tally_heap *heap, struct page *page);
void tally__page_room(struct tally_heap *heap,
                      struct page *page); /* first slot freed in a page without room */
void tally__page_empty(struct tally_heap *heap, struct page *page);    /* last slot freed */
void tally__page_reset(struct tally_heap *heap, struct page *page);    /* all slots freed: their words are 0 */
void tally__pages_sweep(struct tally_heap *heap);                      /* what a run emptied */
bool tally__page_refill(struct tally_heap *heap,
                        uint32_t class_index); /* makes a page with free slots current */
void tally__pages_relist(struct tally_heap *heap);                     /* after a fork: no page is current */
uint64_t tally__spare_free(struct tally_heap *heap);                   /* returns bytes */
void tally__spare_age(struct tally_heap *heap, uint64_t now_ns);       /* now and then */
void tally__list_add(struct page **head, struct page *page, unsigned list); /* no effect where it is in it */
void tally__list_remove(struct page *page, unsigned list);

/* candidate.c */
void tally__candidate_drop(struct tally_heap *heap, struct page *page, uint32_t slot);
void tally__candidate_take(struct tally_heap *heap, struct page *page, uint32_t slot); /* a run examines it */
bool tally__is_gone(struct tally_heap *heap, void *object); /* a decref of the dead: undone and reported */
void tally__stress(struct tally_heap *heap); /* a collection, where one may run */
void tally__touch(struct tally_heap *heap, void *object); /* armed: the host has got hold of it */

/* release.c */
void tally__destroy(struct tally_heap *heap, void *object);
void tally__object_free(struct tally_heap *heap, void *object,
                        enum wire_event kind); /* memory and counts only */
/* The way on from the middle of light deaths, to the end of all: the cascade's object waits for the child, which has
 * lost its last reference and is not light. */
void tally__cascade_whole(struct tally_heap *heap, struct cascade cascade, void *child);
bool tally__deaths_pending(const struct tally_heap *heap);
bool tally__deaths_run(struct tally_heap *heap); /* within the slice; whether all are done */

/* light.c: the object is light and has lost its last reference; nothing need go in slices */
void tally__release_light(struct tally_heap *heap, void *object, const struct tally_type *type);

/* slot.c: slots in the order fixed, trailing, external; traverse is beside them. */
size_t tally__slot_count(const struct tally_type *type, const void *object);
void **tally__slot_at(const struct tally_type *type, void *object, size_t at);
void tally__slots_range(const struct tally_type *type, void *object, size_t from, size_t to,
                        tally_slot_fn visit, void *arg);
void tally__slots_visit(const struct tally_type *type, void *object, tally_slot_fn visit, void *arg);
const char *tally__slot_name(const struct tally_type *type, const void *object, size_t at);
bool tally__slot_is_external(const struct tally_type *type, const void *object, size_t at);

/* weak.c */
void tally__weak_clear_all(struct tally_heap *heap, void *target, struct weak_queue *queue);
void tally__weak_detach(struct tally_heap *heap, void *weak); /* from its referent, which it loses */
void *tally__weak_first(const struct tally_heap *heap, const void *target); /* the newest; NULL: none */
/* Runs the first callback due. keep_hold: what CPython's collector does, against what death by count does.
 * Returns whether the weak reference went as it returned. */
bool tally__weak_callback(struct tally_heap *heap, struct weak_queue *queue, bool keep_hold,
                          int generation_after);
/* A fresh weak reference becomes the newest of its target's. false: out of memory. */
bool tally__weak_attach(struct tally_heap *heap, struct tally_weak *weak, void *target);

/* weakmap.c */
/* Adds the types from `from` (0 or 1) on, where an earlier try ran out of memory. */
int tally__weakmap_types(uint32_t from, int (*add)(const struct tally_type_info *info));
/* The entry's key is dying: it leaves its map, and goes, or in a run joins the trash. */
void tally__entry_expire(struct tally_heap *heap, void *entry, bool key_is_trash);
void *tally__entry_value(const void *entry);
void *tally__entry_key(const void *entry);

/* finalizers.c */
/* Runs the finalizer if it is due, or queues it. Returns whether the object may be alive because of that. */
bool tally__finalize(struct tally_heap *heap, void *object, const struct tally_type *type);

/* generation.c */
void tally__generation_set(void *object, int generation);
void tally__summary(struct tally_heap *heap);
uint64_t tally__frozen_count(const struct tally_heap *heap);
bool tally__nothing_young(const struct tally_heap *heap);

/* manager.c */
void tally__limit_update(struct tally_heap *heap); /* when the slow path is due, and for deaths too */
void tally__direct_update(struct tally_heap *heap); /* the latter alone */
void tally__triggers_reset(struct tally_heap *heap); /* after a run */
void tally__candidates_adapt(struct tally_heap *heap, uint64_t examined, uint64_t collected);
bool tally__is_due(const struct tally_heap *heap);
/* Candidates that make a run due: 0 where none is due by their number. */
uint64_t tally__candidates_due(const struct tally_heap *heap);
void tally__run_due(struct tally_heap *heap); /* starts the run that is due */

/* guess.c, merge.c, explore.c, find.c: the phases that find; each returns whether it is done, false where the
 * slice is */
bool tally__find_unflag(struct tally_heap *heap);
bool tally__find_guess(struct tally_heap *heap);
bool tally__find_merge(struct tally_heap *heap);
bool tally__page_is_dense(const struct page *page);
uint64_t tally__page_unflag(const struct page *page); /* returns candidates */
void tally__page_candidates(struct tally_heap *heap, struct page *page, int generation); /* taken, or unflagged */
#define MERGE_CANDIDATES 3 /* not a generation: the page's candidates */
uint64_t tally__page_merge(struct tally_heap *heap, struct page *page, int generation); /* returns members */
bool tally__find_explore(struct tally_heap *heap);
bool tally__weigh_candidates(struct tally_heap *heap); /* weigh.c */
bool tally__weigh_members(struct tally_heap *heap);
bool tally__find_subtract(struct tally_heap *heap);
bool tally__find_mark(struct tally_heap *heap);
void tally__members_subtract(struct tally_heap *heap); /* not in slices */
bool tally__held_outside(const struct tally_heap *heap, const struct page *page, const void *object);
void tally__scope_clear(struct tally_heap *heap); /* no page's side data is of this run */
void tally__subtract_member(struct tally_heap *heap, struct page *page, uint32_t slot, const void *child);
void tally__subtract_rare(struct tally_heap *heap, void *child); /* an edge to what is perhaps no member */
bool tally__find_early(struct tally_heap *heap, void *object); /* it is touched: whether it is a member now */

/* member.c: the set that a run is about */
bool tally__find_rest(struct tally_heap *heap); /* members = what is not alive */
bool tally__find_promote(struct tally_heap *heap);
bool tally__find_spare(struct tally_heap *heap, void *object); /* it is touched: whether it left the trash */
void tally__find_restart(struct tally_heap *heap);             /* cursors to the scope's begin */
bool tally__is_trash(const struct tally_heap *heap, const void *object);
void tally__page_enter(struct tally_heap *heap, struct page *page);
void tally__trial_hub(struct tally_heap *heap, const void *object, uint64_t count); /* for all of the run */
static inline void trial_set(struct tally_heap *heap, struct page *page, uint32_t slot, const void *object)
{
    uint64_t count = *word_of(object) >> TALLY_COUNT_SHIFT;
    trial_of(page)[slot] = (uint16_t)(count < TRIAL_HUB ? count : TRIAL_HUB);
    if (count >= TRIAL_HUB)
        tally__trial_hub(heap, object, count);
}
int tally__generation_after(const struct run *run); /* where survivors go */
void tally__member_add(struct tally_heap *heap, void *object);        /* to the trash of a decided run */
void tally__member_drop(struct tally_heap *heap, const void *object); /* dies while a run is open */
typedef bool (*member_fn)(struct tally_heap *heap, void *object); /* false: comes again in the next slice */
bool tally__trash_each(struct tally_heap *heap, member_fn fn);
void tally__trash_fetch(const struct page *page); /* into the cache; NULL: nothing */
static inline bool is_member(const struct tally_heap *heap, const struct page *page, uint32_t slot)
{
    return page->run == heap->run_number && bit_get(bits_of(page, BIT_MEMBER), slot);
}

/* destroy.c: the phases that follow */
bool tally__trash_guest(struct tally_heap *heap);
bool tally__trash_weak(struct tally_heap *heap);
bool tally__trash_callbacks(struct tally_heap *heap);
bool tally__trash_finalize(struct tally_heap *heap);
bool tally__trash_keep(struct tally_heap *heap);
bool tally__trash_weak_rest(struct tally_heap *heap);
bool tally__trash_hold(struct tally_heap *heap);
bool tally__trash_clear(struct tally_heap *heap);
bool tally__trash_free(struct tally_heap *heap);
bool tally__trash_callbacks_rest(struct tally_heap *heap);

/* shapes.c */
void tally__shapes_allow(struct tally_heap *heap); /* what the run's share is */
bool tally__trash_shapes(struct tally_heap *heap);
void tally__shapes_free(struct tally_heap *heap);

/* run.c */
struct collect_request {
    int generation;
    enum tally_reason reason;
    enum tally_scope_kind scope;
    bool look;
    uint64_t operation, safepoint_wait_ns;
    uint64_t pause_ns, freed_bytes; /* out */
};
void tally__run_start(struct tally_heap *heap, const struct collect_request *request);
bool tally__run_advance(struct tally_heap *heap); /* within the slice; whether it ended */
bool tally__nothing_to_find(const struct tally_heap *heap); /* by a run over the whole heap */
void tally__run_settle(struct tally_heap *heap);  /* ends the open run: completes or abandons it */
int64_t tally__collect(struct tally_heap *heap, struct collect_request *request); /* in one piece */

/* pace.c */
bool tally__slice_more(struct tally_heap *heap);
static inline bool slice_spend(struct tally_heap *heap, size_t units)
{
    heap->slice.credit -= (int64_t)units;
    return heap->slice.credit > 0 || tally__slice_more(heap);
}
bool tally__slice_begin(struct tally_heap *heap, uint64_t budget_ns); /* false: within another */
void tally__slice_end(struct tally_heap *heap);
/* Whether so many objects can be dealt with at once, in a slice, by what has been seen of their like. */
bool tally__slice_fits(const struct tally_heap *heap, uint64_t objects, const struct cost *cost);
void tally__cost_learn(struct cost *cost, uint64_t objects, uint64_t spent_ns);
bool tally__slice_brief(struct tally_heap *heap); /* begins one of a few units; false: within another */
bool tally__work_remains(const struct tally_heap *heap); /* a run is open, or deaths wait that need not */
void tally__work(struct tally_heap *heap); /* what is due: a slice of what is pending, or the start of a run */
/* Around a callback of the host's, for the blame: host_enter() .. host_leave(). */
uint64_t tally__host_enter(struct tally_heap *heap);
#ifdef TALLY_DEBUG
/* Debug builds: a callback that is left by longjmp or an exception is found where the host calls next. */
void *tally__callback_enter(struct tally_heap *heap, void *frame);
void tally__callback_check(struct tally_heap *heap, void *frame);
#endif
void tally__host_leave(struct tally_heap *heap, uint64_t entered, const struct tally_type *type);

/* inspect.c. object_look: the live object that has the number, NULL: none; nobody is shown it. */
bool tally__is_shown(const struct tally_heap *heap, const void *object);
void *tally__object_look(const struct tally_heap *heap, uint64_t id);

/* garbage.c */
bool tally__reserve_open(struct reserve *reserve); /* false: out of memory */
bool tally__reserve_push(struct reserve *reserve, void *object); /* false: full */
bool tally__garbage_push(struct tally_heap *heap, void *object);

/* report.c */
__attribute__((format(printf, 4, 5))) void tally__report(struct tally_heap *heap, enum tally_report_kind kind,
                                                         const struct tally_type *type, const char *format,
                                                         ...);
struct tally_count { /* of a type's objects */
    uint64_t objects, bytes;
};
struct tally_leaks {
    uint32_t types;
    struct tally_count *counts; /* NULL: not counted */
};
void tally__leaks_count(struct tally_heap *heap, struct tally_leaks *leaks);
void tally__leaks_report(struct tally_heap *heap, struct tally_leaks *before, struct tally_leaks *after); /* frees */

void tally__debug_stats(struct tally_heap *heap, const struct tally_collection *info);

/* object.c: what count_light() leaves to it; places for objects that move between heaps (transfer.c) */
void tally__event(struct tally_heap *heap, const void *object, const struct tally_type *type, enum wire_event kind);
void tally__count_variable(struct tally_heap *heap, const void *object, const struct tally_type *type,
                           enum wire_event kind);
void *tally__new_moved(struct tally_heap *heap, const struct tally_type *type, size_t bytes);
void tally__free_moved(struct tally_heap *heap, void *object);
void tally__count_moved(struct tally_heap *heap, const void *object, bool in);

/* memory.c */
void tally__totals(const struct tally_heap *heap, struct feed_totals *totals);
uint64_t tally__live_bytes(const struct tally_heap *heap);
bool tally__memory_allows(const struct tally_heap *heap, size_t bytes);
bool tally__memory_ask(struct tally_heap *heap, size_t bytes); /* after a failure: whether to try again */
void tally__extern_end(struct tally_heap *heap, void *object);

/* thread.c */
enum hold { HOLD_OWNER, HOLD_NOBODY, HOLD_PARKED, HOLD_AGENT };
bool tally__owned(struct tally_heap *heap); /* reports a wrong thread */

/* safepoint.c, fork.c */
int tally__safepoint(struct tally_heap *heap);
void tally__forked(struct tally_heap *heap);

/* Checks of debug builds (TALLY_DEBUG); release builds have none of this. check_heap: tally_verify(), after every
 * operation while the heap is small, then as often as its size allows. */
#ifdef TALLY_DEBUG
#define HEAP_CHECK(condition, heap, kind, type, sentence) \
    ((condition) ? true : (tally__report(heap, kind, type, sentence), false))
void tally__check_heap(struct tally_heap *heap, bool now);
#else
#define HEAP_CHECK(condition, heap, kind, type, sentence) true
#define tally__check_heap(heap, now) ((void)(heap))
#endif

#define FOLLOW_MOST        512u
#define MARK_STACK_ENTRIES ((size_t)65536)
#define HUB_ENTRIES ((size_t)65536)
#define RESERVE_ENTRIES ((size_t)1 << 27)
#define SLOTS_CHUNK 256u /* slots of one object between two looks at the slice */

#endif
