/* tally: reference counting plus a cycle collector, embedded in a C program and
 * observable from outside while it runs.
 *
 * This header is the embedder's whole API.
 *
 *     struct tally_heap *heap = NULL;
 *     if (tally_heap_new(TALLY_ABI, NULL, &heap)) ...
 *     const struct tally_type *pair = NULL;
 *     tally_type_register(&(struct tally_type_info){
 *         .name = "pair", .size = sizeof(struct pair),
 *         .refs = (struct tally_ref[]){{"car", offsetof(struct pair, car)},
 *                                      {"cdr", offsetof(struct pair, cdr)}},
 *         .ref_count = 2}, &pair);
 *     struct pair *p = tally_new(heap, pair);      // one reference, yours
 *     tally_store(p, &p->car, p);                  // a cycle
 *     tally_decref(p);                             // not freed: it holds itself
 *     tally_collect(heap, 2);                      // 1
 *     tally_heap_free(heap);
 *
 * Rules that hold everywhere
 *  - A heap, its objects and every call that takes them belong to ONE thread at a
 *    time, the heap's owner. Two heaps share no lock and no atomic. The calls that
 *    may come from any thread say so.
 *  - "New reference": the caller owns one count and must give it back with
 *    tally_decref() or hand it over. "Borrowed": valid while its owner holds it.
 *    "Steals": the call takes over the caller's count, also when it fails.
 *  - References that live inside objects ("slots": a void * inside the payload, at
 *    an offset that the type declares) are written with tally_store() and its
 *    siblings only; they may be read directly, which borrows.
 *  - Functions return 0 (or a count) on success and a negative TALLY_E* on failure;
 *    allocation returns NULL, and only for want of memory.
 *  - The library never prints, exits, aborts, installs a signal handler or changes
 *    errno, locale, umask or directory in release builds.
 *  - Callbacks (finalizers, weak-reference callbacks, traverse, dispose, hooks) run
 *    in the owner's thread; notify is the exception and may only wake. No longjmp and no
 *    C++ exception may leave a callback. A finalizer may call everything but
 *    tally_heap_free().
 *  - Bytes of an object are its payload rounded up to 8; the 8-byte header word in
 *    front of it is not counted.
 */
#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TALLY_VERSION "0.1.0"
#define TALLY_ABI 1u

#if defined(__GNUC__)
#define TALLY_API __attribute__((visibility("default")))
#else
#define TALLY_API
#endif

struct tally_heap;
struct tally_type;

/* ---- Errors ------------------------------------------------------------ */

/* X(NAME, value, sentence) */
#define TALLY_ERRORS(X) \
    X(TALLY_ENOMEM, -1, "out of memory") \
    X(TALLY_EINVAL, -2, "an argument is out of range") \
    X(TALLY_EABI, -3, "the program was built against another version of tally.h") \
    X(TALLY_ELIMIT, -4, "a limit of the library is reached") \
    X(TALLY_EBUSY, -5, "not possible while a collection runs") \
    X(TALLY_ESTATE, -6, "not possible in the present state") \
    X(TALLY_ESYS, -7, "the system refused a call that attaching needs") \
    X(TALLY_EDISABLED, -8, "attaching is disabled") \
    X(TALLY_EUNSUPPORTED, -9, "this manager does not have that") \
    X(TALLY_ETHREAD, -10, "the heap belongs to another thread") \
    X(TALLY_ENOTISOLATED, -11, "something outside refers to an object that should move") \
    X(TALLY_EVETO, -12, "the heap's access does not allow that")

enum tally_errno {
#define TALLY_X(name, value, sentence) name = (value),
    TALLY_ERRORS(TALLY_X)
#undef TALLY_X
};

/* The sentence for a TALLY_E* value ("no error" for 0, "unknown error" for others).
 * Static storage. Any thread. */
TALLY_API const char *tally_strerror(int error);

/* The library's version, TALLY_VERSION of its build. Any thread. */
TALLY_API const char *tally_version(void);

/* ---- Types ------------------------------------------------------------- */

#define TALLY_NAME_MAX 255u /* bytes of a type's, process's or label's name */

/* A slot of the fixed part: its field name (for reports) and offset in bytes. */
struct tally_ref {
    const char *name;
    size_t offset;
};

/* Called by traverse for every slot, NULL ones allowed; the slot may be cleared by it. */
typedef void (*tally_slot_fn)(void **slot, void *arg);
/* For containers that refs, trailing and external arrays cannot describe: calls visit
 * once for each slot that holds a counted reference. Must not allocate, free or recurse. */
typedef void (*tally_traverse_fn)(void *object, tally_slot_fn visit, void *arg);
/* Runs at most once for an object, before it dies, while it and all it refers to are
 * whole; may store the object somewhere and so resurrect it (PEP 442). */
typedef void (*tally_finalize_fn)(struct tally_heap *heap, void *object);
/* Runs when the object's slots have been released, just before its memory goes: frees
 * native memory that the object owns. Must not touch other objects or call the library. */
typedef void (*tally_dispose_fn)(void *object);
/* Names an object for people, where a snapshot shows it: writes at most `room` (TALLY_LABEL_MAX) bytes of UTF-8 to
 * `text`, without a NUL, and returns how many; 0: it has none. Control characters become blanks. It may read the object
 * and the native memory that it owns, and nothing else: it must not allocate, lock, wait, write, call the library or
 * rely on its thread, since it may run in the owner's thread, in the agent's while the owner is parked, or in a
 * cloned child of the process that has no other thread. What it does there is lost. */
#define TALLY_LABEL_MAX 64u
typedef size_t (*tally_label_fn)(const void *object, char *text, size_t room);

enum tally_type_flags {
    TALLY_TYPE_ACYCLIC = 1u << 0, /* its references can never be part of a cycle: not tracked. A wrong
                                     claim leaks, nothing worse */
    TALLY_TYPE_WEAK = 1u << 1,    /* a weak-reference type: the payload begins with struct tally_weak */
    TALLY_TYPE_LABEL = 1u << 2,   /* tally_type_info.label is there: it was appended later, and is read with this flag
                                     alone */
};

enum tally_trailing { TALLY_TRAILING_NONE, TALLY_TRAILING_BYTES, TALLY_TRAILING_SLOTS };

/* Copied by tally_type_register(); zero what is not needed. A type is tracked (examined by the
 * cycle collector) if it describes references and is not acyclic. */
struct tally_type_info {
    const char *name;              /* UTF-8, 1..TALLY_NAME_MAX bytes, no control characters */
    size_t size;                   /* bytes of the fixed part of the payload, 0..2^31 */
    size_t align;                  /* 0 or 8, or 16 */
    unsigned flags;                /* enum tally_type_flags */
    const struct tally_ref *refs;  /* slots of the fixed part */
    size_t ref_count;
    enum tally_trailing trailing;  /* an array behind the fixed part, made by tally_new_array() */
    size_t trailing_element_bytes; /* BYTES: 1..2^20; SLOTS: 0 or sizeof(void *) */
    size_t trailing_length_offset; /* offset of a size_t that tally_new_array() sets and nobody changes */
    const char *trailing_name;     /* SLOTS: name of its edges in reports; NULL: "[]" */
    bool has_external;             /* an array of slots in native memory that the host owns and may */
    size_t external_pointer_offset; /*   reallocate: offset of a void ** and of a size_t, its length. */
    size_t external_length_offset;  /*   The host frees it in dispose */
    const char *external_name;
    tally_traverse_fn traverse;
    tally_finalize_fn finalize;
    tally_dispose_fn dispose;
    void *user; /* tally_type_user() */
    tally_label_fn label; /* with TALLY_TYPE_LABEL */
};

/* Registers a type for the whole process and every heap, for good; at most 65,000 of them.
 * *out is borrowed and valid until the process ends. Any thread (a lock orders registrations).
 * TALLY_EINVAL: an offset outside of size or unaligned, a bad name, a combination that makes no
 * sense; TALLY_ELIMIT; TALLY_ENOMEM. *out is left alone on failure. */
TALLY_API int tally_type_register(const struct tally_type_info *info, const struct tally_type **out);
TALLY_API const char *tally_type_name(const struct tally_type *type);
TALLY_API void *tally_type_user(const struct tally_type *type);
TALLY_API bool tally_type_is_tracked(const struct tally_type *type);

/* ---- Heaps ------------------------------------------------------------- */

/* How dead objects are found. Under all but none an object dies the moment its count reaches zero. What
 * differs is what is done about cycles, and what collect, thresholds and counts mean:
 *
 *   manager       cycles are found by             threshold 0              1, 2        tally_collect()
 *   none          nobody: nothing is freed until  an error                 an error    an error
 *                 the manager changes
 *   refcount      nobody, unless asked to look    an error                 an error    an error
 *                 (tally_find_cycles())
 *   cycle         the closures of candidates      candidates before a run, kept        generations 0..G
 *                                                 for each 4 MiB of heap
 *   generational  young, middle and full runs     net new objects before   runs before generations 0..G
 *                 (CPython 3.11)                  a young run              the next
 *   full          whole-heap runs                 net new objects before   kept        generations 0..G
 *                                                 a run, and a quarter of
 *                                                 what the last one left
 *
 * A candidate is an object that lost a reference and lived, or that became part of something in no other
 * visible way. An error here is TALLY_EUNSUPPORTED. Generations are kept under every manager.
 * X(NAME, value, word in JSON, the environment and configurations) */
#define TALLY_MANAGERS(X) \
    X(TALLY_MANAGER_NONE, 1, "none") \
    X(TALLY_MANAGER_REFCOUNT, 2, "refcount") \
    X(TALLY_MANAGER_GENERATIONAL, 3, "generational") \
    X(TALLY_MANAGER_CYCLE, 4, "cycle") \
    X(TALLY_MANAGER_FULL, 5, "full")
enum tally_manager {
#define TALLY_X(name, value, word) name = (value),
    TALLY_MANAGERS(TALLY_X)
#undef TALLY_X
};
/* Its word (static storage), or NULL. Any thread. */
TALLY_API const char *tally_manager_name(enum tally_manager manager);

/* Where pages come from: `bytes` is a multiple of 64 KiB, and so must the address be. */
struct tally_page_hooks {
    void *(*map)(size_t bytes, void *arg); /* zeroed memory, or NULL */
    void (*unmap)(void *memory, size_t bytes, void *arg);
    void *arg;
};

struct tally_heap_options {
    enum tally_manager manager; /* 0: what $TALLY_MANAGER names, else cycle */
    void *user;                 /* tally_heap_user() */
    const struct tally_page_hooks *hooks; /* NULL: anonymous mappings */
    uint64_t max_pause_us;        /* tally_set_max_pause(); 0: none */
    uint64_t memory_limit_bytes;  /* tally_set_memory_limit(); 0: none */
};

/* Makes a heap owned by the calling thread; automatic collection is enabled with thresholds
 * 700, 10, 10. `abi` is TALLY_ABI of the caller's build; options may be NULL.
 * TALLY_EABI, TALLY_EINVAL, TALLY_ENOMEM, TALLY_ESYS (the kernel lacks MADV_WIPEONFORK); *out is set on
 * success only. */
TALLY_API int tally_heap_new(unsigned abi, const struct tally_heap_options *options, struct tally_heap **out);

/* Runs a full collection (under every manager), then the finalizers that have not run (each once), reports
 * what was there by type (TALLY_REPORT_LEAK: under none and refcount garbage cycles; under all, objects that
 * are still referenced), detaches and returns all memory. NULL is allowed. From a callback it has no
 * effect but a report. */
TALLY_API void tally_heap_free(struct tally_heap *heap);
/* Changes the manager while the program runs; nothing is lost: what waited under none dies now, by the rules
 * of reference counting. TALLY_EINVAL, TALLY_EBUSY: from inside a collection. */
TALLY_API int tally_set_manager(struct tally_heap *heap, enum tally_manager manager);
TALLY_API enum tally_manager tally_get_manager(const struct tally_heap *heap);
TALLY_API void *tally_heap_user(const struct tally_heap *heap);
/* The heap and the type of an object: borrowed. */
TALLY_API struct tally_heap *tally_heap_of(const void *object);
TALLY_API const struct tally_type *tally_type_of(const void *object);

/* ---- Objects ----------------------------------------------------------- */

/* A new object with a zeroed payload, one reference, the caller's. May run a collection and finalizers
 * first. NULL: out of memory or over the memory limit (after a collection was tried and the out-of-memory
 * hook asked). */
TALLY_API void *tally_new(struct tally_heap *heap, const struct tally_type *type);
/* The same for a type with a trailing array of `length` elements. NULL also where the size passes 2^40. */
TALLY_API void *tally_new_array(struct tally_heap *heap, const struct tally_type *type, size_t length);
/* The same (length 0 for types without an array), but the object is under construction: no collection
 * examines it, no enumeration shows it, its finalizer does not run, and what it refers to is alive, until
 * tally_publish() says that it is whole. To publish twice has no effect. */
TALLY_API void *tally_construct(struct tally_heap *heap, const struct tally_type *type, size_t length);
TALLY_API void tally_publish(void *object);

/* The header word in front of each payload: flags in bits 0..11, type in bits 12..27, count in bits
 * 28..63. These positions and the two functions below are the inline ABI, and all of it. */
#define TALLY_COUNT_SHIFT 28
#define TALLY_TYPE_SHIFT 12
#define TALLY_COUNT_ONE ((uint64_t)1 << TALLY_COUNT_SHIFT)
#define TALLY_FLAG_ACYCLIC ((uint64_t)1 << 0)  /* never a candidate */
#define TALLY_FLAG_BUFFERED ((uint64_t)1 << 1) /* is a candidate already */

TALLY_API void tally__release(void *object);   /* the count fell to zero */
TALLY_API void tally__candidate(void *object); /* decremented to non-zero for the first time */

/* Adds a reference; object must not be NULL. */
static inline void tally_incref(void *object)
{
    ((uint64_t *)object)[-1] += TALLY_COUNT_ONE;
}

/* Gives a reference back; the last one runs the finalizer and frees the object and what only it holds,
 * with constant C stack. object must not be NULL. */
static inline void tally_decref(void *object)
{
    uint64_t word = ((uint64_t *)object)[-1] -= TALLY_COUNT_ONE;
    if (word < TALLY_COUNT_ONE)
        tally__release(object);
    else if (!(word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)))
        tally__candidate(object);
}

/* A new reference to the same object; NULL gives NULL. */
static inline void *tally_dup(void *object)
{
    if (object)
        tally_incref(object);
    return object;
}

/* Strong references to the object, counted bare (sys.getrefcount adds one). Immortal ones: as if mortal. */
TALLY_API uint64_t tally_refcount(const void *object);
TALLY_API bool tally_is_tracked(const void *object);
/* The object's finalizer has run or has been started. */
TALLY_API bool tally_is_finalized(const void *object);
#define TALLY_GENERATION_FROZEN 3
/* 0, 1 or 2, TALLY_GENERATION_FROZEN, or TALLY_EINVAL where the object is not tracked. */
TALLY_API int tally_generation(const void *object);
/* Bytes of the payload, rounded up to 8. */
TALLY_API size_t tally_size(const void *object);

/* An immortal object is never freed before its heap, whatever its count; collections take it for alive and do
 * not examine it. For good. */
TALLY_API void tally_immortalize(void *object);
TALLY_API bool tally_is_immortal(const void *object);

/* Pins are references that the heap knows to be the host's (Nim's GC_ref): n pins need n unpins. The last
 * unpin may free the object. pin: TALLY_ENOMEM; unpin: TALLY_ESTATE where there is no pin. */
TALLY_API int tally_pin(void *object);
TALLY_API int tally_unpin(void *object);
/* Declares a C variable (or member of a struct of the host's) that owns a reference, or NULL, so that
 * tally_unexplained() can explain it. It stays the host's: assign it as ever. The variable must stay valid
 * until it is removed. add: TALLY_ENOMEM, TALLY_EINVAL (NULL); remove: TALLY_ESTATE where it was not added. */
TALLY_API int tally_root_add(struct tally_heap *heap, void **variable);
TALLY_API int tally_root_remove(struct tally_heap *heap, void **variable);

/* Native memory that lives and dies with the object: adds `delta` bytes to what is known of it. The sum is in
 * stats, counts towards the memory limit and makes collections come sooner. Ends with the object by itself.
 * TALLY_EINVAL: the sum would be negative or pass 2^62; TALLY_ENOMEM. Nothing changes on failure. */
TALLY_API int tally_extern_bytes(void *object, int64_t delta);

/* The number that names an object in the feed, in reports and in shapes: unique among the live objects of its
 * heap, reused after its death, no address. by_id: borrowed, or NULL where no live object has it. */
TALLY_API uint64_t tally_object_id(const void *object);
TALLY_API void *tally_object_by_id(struct tally_heap *heap, uint64_t id);
/* The live object of the heap in whose payload or header `address` lies (Boehm's GC_base): borrowed, or NULL.
 * Any address will do, none is read. Takes time in proportion to the number of pages. */
TALLY_API void *tally_object_at(struct tally_heap *heap, const void *address);

/* Slots. `slot` lies in `holder`, which must be of the value's heap; value may be NULL. First the new
 * reference stands in the slot, then the old one is released: what a finalizer that this sets off stores
 * in the same slot stays. */
TALLY_API void tally_store(void *holder, void **slot, void *value);       /* takes a reference of its own */
TALLY_API void tally_store_steal(void *holder, void **slot, void *value); /* steals the caller's reference */
TALLY_API void tally_clear(void *holder, void **slot);                    /* stores NULL */
/* The slot's reference becomes the caller's (new reference or NULL) and the slot NULL. */
TALLY_API void *tally_take(void *holder, void **slot);
/* Moves the reference of slot `from` to slot `to`, both maybe in different holders; `from` is NULL then. */
TALLY_API void tally_move(void *to_holder, void **to, void *from_holder, void **from);

/* ---- Locals ------------------------------------------------------------ */

/* A scope holds references for the locals of a C function; scopes nest strictly.
 *     struct tally_scope scope = tally_scope_open(heap);
 *     struct pair *p = tally_keep(heap, tally_new(heap, pair));
 *     ...
 *     tally_scope_close(&scope);   // p's reference is given back
 * One that is still open when the heap goes is reported (TALLY_REPORT_SCOPE). */
struct tally_scope {
    struct tally_heap *heap;
    size_t base;
};
TALLY_API struct tally_scope tally_scope_open(struct tally_heap *heap);
/* Steals a reference into the innermost scope and returns the object, borrowed. NULL gives NULL. When the
 * scope cannot grow, or none is open, the reference is given back and NULL returned. */
TALLY_API void *tally_keep(struct tally_heap *heap, void *object);
TALLY_API void tally_scope_close(struct tally_scope *scope);
/* Scopes that are open and references that they hold: for checks at places where both should be 0. */
TALLY_API size_t tally_scopes_open(const struct tally_heap *heap, size_t *references);

/* TALLY_LOCAL struct pair *p = tally_new(heap, pair);   // given back where the block ends */
static inline void tally__local_release(void *local)
{
    void *object = *(void **)local;
    if (object)
        tally_decref(object);
}
#define TALLY_LOCAL __attribute__((cleanup(tally__local_release)))

/* ---- Weak references --------------------------------------------------- */

/* A weak reference is an object of its own: tracked, counted, may stand in slots. It does not own its
 * referent; it owns `hold`, which stays at least until the callback has run. Weak types of the host's own
 * begin their payload with this struct and may add fields (and slots) behind it. All members private. */
struct tally_weak {
    void *referent_private;
    void *hold_private;
    void *callback_private;
    void *next_private, *previous_private;
};
/* Runs once after the weak reference has been cleared because its referent died; not if the weak
 * reference is trash itself or gone before (weakref.ref). hold is the one given to tally_weak_new(). */
typedef void (*tally_weak_fn)(struct tally_heap *heap, void *weak, void *hold);

/* New reference to a new weak reference to target, or NULL: out of memory. type NULL: the library's own
 * type "weakref", else one with TALLY_TYPE_WEAK. callback and hold may be NULL (hold needs a callback). */
TALLY_API void *tally_weak_new(struct tally_heap *heap, const struct tally_type *type, void *target,
                               tally_weak_fn callback, void *hold);
/* New reference to the referent, or NULL once it has been cleared. */
TALLY_API void *tally_weak_lock(void *weak);
/* Weak references to the object that are not cleared. */
TALLY_API size_t tally_weak_count(const void *object);

/* A weak map holds a value for each of its keys: an ephemeron table. An entry goes with its key, and with the
 * map; its value lives (as far as the entry is concerned) only while both do, so that a value that refers to
 * its key, or to the map, keeps nothing alive. Keys are compared by identity. The map is an object, of the
 * library's type "weakmap"; so is each entry ("weakmap-entry"). */
/* New reference, or NULL: out of memory. */
TALLY_API void *tally_weakmap_new(struct tally_heap *heap);
/* Takes a reference of its own to value (not NULL), none to key, and releases the value that was there.
 * TALLY_ENOMEM: the map is as it was; TALLY_EINVAL: not a weak map, NULL, or a key of another heap. */
TALLY_API int tally_weakmap_set(void *map, void *key, void *value);
/* New reference to the value, or NULL. */
TALLY_API void *tally_weakmap_get(void *map, const void *key);
/* The entry goes, and its reference. Returns whether there was one. */
TALLY_API bool tally_weakmap_remove(void *map, const void *key);
TALLY_API size_t tally_weakmap_count(const void *map);

/* ---- Collection -------------------------------------------------------- */

/* Collects generations 0..generation and returns the number of objects collected (CPython 3.11's rules:
 * resurrected and uncollectable ones do not count, members of the garbage list under SAVEALL do).
 * Takes no memory. Works while automatic collection is disabled, and whatever max_pause is; pending deaths and
 * a run in progress are completed or abandoned first. 0, without effect, from inside a collection.
 * TALLY_EINVAL: generation outside of 0..2; TALLY_EUNSUPPORTED: under none and refcount. */
TALLY_API int64_t tally_collect(struct tally_heap *heap, int generation);

TALLY_API void tally_enable(struct tally_heap *heap);
TALLY_API void tally_disable(struct tally_heap *heap);
TALLY_API bool tally_is_enabled(const struct tally_heap *heap);

/* What they mean stands in the table of managers; threshold 0 = 0: no automatic collection. Under
 * generational 1 and 2 are the younger collections before the next older one; generation 2 also waits until
 * what is pending passes a quarter of what the last full run left alive (gc.set_threshold). Each 0..2^31-1,
 * else TALLY_EINVAL; TALLY_EUNSUPPORTED under none and refcount; nothing changes on failure. */
TALLY_API int tally_set_thresholds(struct tally_heap *heap, const uint32_t thresholds[3]);
TALLY_API void tally_get_thresholds(const struct tally_heap *heap, uint32_t thresholds[3]);
/* gc.get_count(): net new tracked objects since the last collection (never below 0), young runs since the
 * last middle one, middle runs since the last full one. */
TALLY_API void tally_counts(const struct tally_heap *heap, uint64_t counts[3]);

struct tally_generation_stats {
    uint64_t collections, collected, uncollectable;
};
struct tally_stats {
    uint64_t live_objects, live_bytes;
    uint64_t allocations, allocated_bytes;
    uint64_t frees_refcount, frees_cycle;
    uint64_t mapped_bytes;      /* pages taken from the system */
    uint64_t garbage;           /* length of the garbage list */
    uint64_t frozen;            /* objects in the permanent generation */
    uint64_t pause_ns, max_pause_ns; /* time in collections: sum, longest */
    struct tally_generation_stats generations[3]; /* gc.get_stats() */
    uint64_t extern_bytes;      /* tally_extern_bytes(), sum */
    uint64_t candidates;        /* objects that wait to be looked at */
    uint64_t pending_objects;   /* dead, not yet destroyed: under none, or cut off by max_pause */
    uint64_t finalizers_pending; /* in the finalizer queue */
    uint64_t refused;           /* collections asked for from inside a collection */
    uint64_t abandoned;         /* runs given up before they decided */
    uint64_t slices, missed;    /* of paused runs and cascades: all, and those that took longer than max_pause */
    uint64_t longest_slice_ns;  /* thread CPU time */
    const struct tally_type *missed_type; /* whose callbacks or destruction took the longest missed slice;
                                             NULL: none did */
};
/* Fills *stats up to `size` = sizeof *stats of the caller's build. */
TALLY_API void tally_get_stats(const struct tally_heap *heap, struct tally_stats *stats, size_t size);

/* gc.DEBUG_*; the text goes to the report callback (TALLY_REPORT_DEBUG). */
enum tally_debug {
    TALLY_DEBUG_STATS = 1,         /* a line at the start and at the end of each collection */
    TALLY_DEBUG_COLLECTABLE = 2,   /* a line for each object that is freed as garbage */
    TALLY_DEBUG_UNCOLLECTABLE = 4, /* a line for each object that could not be */
    TALLY_DEBUG_SAVEALL = 32,      /* what would be freed goes to the garbage list */
    TALLY_DEBUG_LEAK = 38          /* collectable, uncollectable, saveall */
};
/* TALLY_EINVAL where a flag is unknown, TALLY_ENOMEM; nothing changes then. */
TALLY_API int tally_set_debug(struct tally_heap *heap, unsigned flags);
TALLY_API unsigned tally_get_debug(const struct tally_heap *heap);

/* The garbage list owns one reference per entry. get: borrowed, NULL beyond the end. take: new reference,
 * and the entry leaves the list (order of the rest is kept). */
TALLY_API size_t tally_garbage_count(const struct tally_heap *heap);
TALLY_API void *tally_garbage_get(const struct tally_heap *heap, size_t index);
TALLY_API void *tally_garbage_take(struct tally_heap *heap, size_t index);
TALLY_API void tally_garbage_clear(struct tally_heap *heap);

/* gc.freeze(): all tracked objects leave the generations and are never examined; what they hold is alive. */
TALLY_API void tally_freeze(struct tally_heap *heap);
TALLY_API void tally_unfreeze(struct tally_heap *heap);
TALLY_API uint64_t tally_freeze_count(const struct tally_heap *heap); /* walks the heap */

/* X(NAME, value, word in JSON) */
#define TALLY_REASONS(X) \
    X(TALLY_REASON_THRESHOLD, 1, "threshold") \
    X(TALLY_REASON_EXPLICIT, 2, "explicit") \
    X(TALLY_REASON_REMOTE, 3, "remote") \
    X(TALLY_REASON_MEMORY, 4, "out_of_memory") \
    X(TALLY_REASON_SHUTDOWN, 5, "shutdown") \
    X(TALLY_REASON_STRESS, 6, "stress")
enum tally_reason {
#define TALLY_X(name, value, word) name = (value),
    TALLY_REASONS(TALLY_X)
#undef TALLY_X
};
/* X(NAME, value, word in JSON) */
#define TALLY_SCOPES(X) \
    X(TALLY_SCOPE_GENERATIONS, 0, "generations") /* generations 0..generation */ \
    X(TALLY_SCOPE_CANDIDATES, 1, "candidates")   /* what candidates reach */ \
    X(TALLY_SCOPE_HEAP, 2, "heap")               /* every tracked object, frozen ones apart */
enum tally_scope_kind {
#define TALLY_X(name, value, word) name = (value),
    TALLY_SCOPES(TALLY_X)
#undef TALLY_X
};
struct tally_collection {
    bool stop; /* false: about to start; only generation, reason and scope are set */
    bool abandoned; /* it decided nothing; all else is 0 */
    int generation; /* a run over candidates counts as generation 0 */
    enum tally_reason reason;
    enum tally_scope_kind scope;
    uint64_t collected, uncollectable;
    uint64_t duration_ns;    /* from start to stop */
    uint64_t examined;       /* objects */
    uint64_t freed_bytes;
    uint64_t find_ns, callback_ns, free_ns; /* in phases; the pauses between slices in none of them */
    uint64_t slices;
};
typedef void (*tally_collection_fn)(struct tally_heap *heap, const struct tally_collection *info, void *arg);
/* gc.callbacks: called at start and stop of every collection that is not refused, in the order in which they
 * were added; a start is always followed by its stop. At most 8. add: TALLY_ELIMIT, TALLY_EINVAL (NULL, or the
 * same pair twice); remove: TALLY_ESTATE where the pair was not added. Both may be called from a hook. */
TALLY_API int tally_add_collection_hook(struct tally_heap *heap, tally_collection_fn hook, void *arg);
TALLY_API int tally_remove_collection_hook(struct tally_heap *heap, tally_collection_fn hook, void *arg);
/* The last collection that ended, as its stop showed it; all zero before the first. Fills *info up to `size`. */
TALLY_API void tally_last_collection(const struct tally_heap *heap, struct tally_collection *info, size_t size);

/* ---- Pauses and memory ------------------------------------------------- */

/* Automatic collections, and the deaths that a last decref sets off, run in slices of at most so many
 * microseconds of the owner's CPU time (0: no limit, at most 10^7). Between slices the program runs. What is
 * dead and waits counts as live, and its weak references give NULL. The clock cannot stop a host's callback:
 * such slices are counted as missed (tally_get_stats()) and name the type. While what is dead and waits passes
 * an eighth of what was live, slices follow each other more closely. Explicit collections run in one piece.
 * Without a limit deaths are not cut, nor are collections; but those that the manager cycle starts by itself in a
 * heap of 32 MiB or more go in slices of about 10 ms (10^7 keeps them in one piece).
 * TALLY_EINVAL; ends what is pending where the limit goes away. */
TALLY_API int tally_set_max_pause(struct tally_heap *heap, uint64_t microseconds);
TALLY_API uint64_t tally_get_max_pause(const struct tally_heap *heap);
/* Nim's GC_step: pending deaths, the run in progress, and one that is due, for about `microseconds` (at least
 * a little; UINT64_MAX: to the end). Returns whether work remains. No effect from a callback (true). */
TALLY_API bool tally_step(struct tally_heap *heap, uint64_t microseconds);

/* Pages and extern bytes together stay below `bytes` (0: no limit): an allocation that would pass it collects
 * first, then asks the hook, then fails. A limit below what is in use fails the next page, and frees nothing. */
TALLY_API void tally_set_memory_limit(struct tally_heap *heap, uint64_t bytes);
TALLY_API uint64_t tally_get_memory_limit(const struct tally_heap *heap);
/* Asked when an allocation has failed for want of memory or because of the limit, after a collection: returns
 * whether to try once more, since it has released something. Not asked again from within. NULL: fail. */
typedef bool (*tally_memory_fn)(struct tally_heap *heap, size_t bytes, void *arg);
TALLY_API void tally_set_memory_hook(struct tally_heap *heap, tally_memory_fn hook, void *arg);
/* Returns empty pages to the system, and how many bytes those were. Without it a heap keeps no more empty pages than
 * it has others; those that nobody has wanted for a tenth of a second go back as its owner comes by safepoints. */
TALLY_API uint64_t tally_trim(struct tally_heap *heap);

/* ---- Finalizers at a place of the host's choosing ----------------------- */

/* on: a finalizer that is due is queued instead of run, and its object is kept, whole, until
 * tally_run_finalizers() has run it (Boehm's GC_finalize_on_demand). notify, which may be NULL, is called when
 * the queue was empty and is not any more; it may only wake. Off: what is queued stays until it is run.
 * TALLY_ENOMEM. */
typedef void (*tally_finalizers_fn)(struct tally_heap *heap, void *arg);
TALLY_API int tally_set_finalizer_queue(struct tally_heap *heap, bool on, tally_finalizers_fn notify, void *arg);
/* Runs at most `most` queued finalizers, the oldest first, and releases their objects; returns how many. */
TALLY_API size_t tally_run_finalizers(struct tally_heap *heap, size_t most);

/* ---- Looking ----------------------------------------------------------- */

/* Return non-zero to end the enumeration; its value is returned. Callbacks must not allocate, store or
 * decref to zero. */
typedef int (*tally_object_fn)(void *object, void *arg);
/* The strong references that object owns, in slot order, with repetition (gc.get_referents). */
TALLY_API int tally_referents(void *object, tally_object_fn fn, void *arg);
/* Tracked, unfrozen objects that own a reference to target, once each (gc.get_referrers). Walks the heap. */
TALLY_API int tally_referrers(struct tally_heap *heap, const void *target, tally_object_fn fn, void *arg);
/* Every live object, leaf or tracked. What is dying, being collected or under construction is not shown. */
TALLY_API int tally_walk(struct tally_heap *heap, tally_object_fn fn, void *arg);
/* gc.get_objects(): the tracked ones of a generation (0..2, TALLY_GENERATION_FROZEN), or of 0..2: -1.
 * TALLY_EINVAL for another number. */
TALLY_API int tally_objects(struct tally_heap *heap, int generation, tally_object_fn fn, void *arg);

/* ---- Cycles ------------------------------------------------------------ */

/* A shape is what a garbage cycle looks like: "type.field -> type.field", starting where it sorts first, a
 * part that repeats said once. Each run that finds cycles counts them by shape: at most 4,096 objects a run
 * are looked at, in automatic runs no more than one in 256 of those that they have found so far; at most 256
 * shapes are kept a heap; what is beyond is counted under the last one, "(other)". */
struct tally_cycle {
    const char *shape; /* borrowed until the next run */
    uint64_t count;    /* cycles */
    uint64_t objects, bytes; /* in them, all together */
    uint64_t sample_id; /* tally_object_id() of a member of the first one; in a heap that frees, gone */
    uint64_t last_ns;   /* CLOCK_MONOTONIC of the last run that found one */
};
typedef int (*tally_cycle_fn)(const struct tally_cycle *cycle, void *arg);
/* The shapes, in the order in which they were first seen; non-zero ends, and is returned. */
TALLY_API int tally_cycles(const struct tally_heap *heap, tally_cycle_fn fn, void *arg);
/* Forgets them. */
TALLY_API void tally_cycles_clear(struct tally_heap *heap);
/* Looks at the whole heap for garbage cycles, under every manager, counts their shapes, and frees, finalizes
 * and promotes nothing. Returns how many objects a full collection would find unreachable, or TALLY_EBUSY:
 * from inside a collection. */
TALLY_API int64_t tally_find_cycles(struct tally_heap *heap);

/* ---- Finding faults ---------------------------------------------------- */

/* X(NAME, value, word) */
#define TALLY_REPORTS(X) \
    X(TALLY_REPORT_DEBUG, 0, "debug")   /* a line that a debug flag asked for */ \
    X(TALLY_REPORT_LEAK, 1, "leak")     /* objects of a type that were there when the heap went */ \
    X(TALLY_REPORT_DECREF, 2, "decref") /* a reference given back that there was not */ \
    X(TALLY_REPORT_HEAPS, 3, "heaps")   /* a reference from one heap's object to another's */ \
    X(TALLY_REPORT_EDGES, 4, "edges")   /* more references found in objects than were counted */ \
    X(TALLY_REPORT_MISSED, 5, "missed") /* garbage that something which no traverse reports refers to */ \
    X(TALLY_REPORT_ACYCLIC, 6, "acyclic") /* an object of an acyclic type in a cycle */ \
    X(TALLY_REPORT_THREAD, 7, "thread") /* a call from a thread that does not own the heap */ \
    X(TALLY_REPORT_SCOPE, 8, "scope")   /* handle scopes left open, or closed out of order */ \
    X(TALLY_REPORT_CALLBACK, 9, "callback") /* a callback did what callbacks may not */ \
    X(TALLY_REPORT_CORRUPT, 10, "corrupt") /* the verifier found the heap inconsistent */
enum tally_report_kind {
#define TALLY_X(name, value, word) name = (value),
    TALLY_REPORTS(TALLY_X)
#undef TALLY_X
};
struct tally_report {
    enum tally_report_kind kind;
    const char *sentence;         /* without a newline; borrowed, for the call */
    const struct tally_type *type; /* whose objects it is about, or NULL */
    uint64_t objects, bytes;      /* LEAK; else 1 and 0, or 0 */
};
typedef void (*tally_report_fn)(struct tally_heap *heap, const struct tally_report *report, void *arg);
/* Where reports go; NULL (at first): nowhere, but that builds with TALLY_DEBUG print them to standard error,
 * and abort for DECREF and all below it. It must not allocate, store or release. In the owner's thread, THREAD
 * reports in the caller's. A fault never frees a live object, in no build: the call has no effect, or the
 * object is kept; but references written into slots past the library are not counted, and may let a collection
 * take what they or others refer to for garbage. */
TALLY_API void tally_set_report(struct tally_heap *heap, tally_report_fn report, void *arg);
/* A report function that prints "tally: KIND: SENTENCE" to standard error, for those who ask for it. */
TALLY_API void tally_report_stderr(struct tally_heap *heap, const struct tally_report *report, void *arg);


/* Checks the whole heap: counts against edges, free lists, side tables, counters, claims of being acyclic. 0,
 * or TALLY_ESTATE with a sentence in `message` (at most `size` bytes with its NUL; may be NULL), or
 * TALLY_ENOMEM. Takes memory (about 16 bytes an object) and time, and constant stack. */
TALLY_API int tally_verify(struct tally_heap *heap, char *message, size_t size);
/* Collects generation 2 at every n-th allocation (0: off), and, if every_decref, at every decref that leaves a
 * count (which finds who uses an object without owning it). TALLY_STRESS=n in the environment sets the first. */
TALLY_API void tally_set_stress(struct tally_heap *heap, unsigned nth, bool every_decref);

/* The C programmer's missing decref: for each type with some, how many of its objects have counts above the
 * references that objects, weak maps, declared roots, pins, handle scopes, the garbage list and the finalizer
 * queue explain, and by how many in all. Local variables of C functions count as unexplained: ask where there
 * are none. Walks the heap. Non-zero from fn ends it, and is returned. TALLY_ENOMEM. */
struct tally_unexplained {
    const struct tally_type *type;
    uint64_t objects, references;
    uint64_t sample_id; /* tally_object_id() of one */
};
typedef int (*tally_unexplained_fn)(const struct tally_unexplained *found, void *arg);
TALLY_API int tally_unexplained(struct tally_heap *heap, tally_unexplained_fn fn, void *arg);

/* ---- Threads ----------------------------------------------------------- */

/* Hands a heap over: the owner disowns it, another thread adopts it. Between the two nobody may use it, and
 * requests wait. The threads order the two themselves (a queue, a join). disown: TALLY_EBUSY from a callback;
 * adopt: TALLY_ETHREAD while it has an owner. */
TALLY_API int tally_heap_disown(struct tally_heap *heap);
TALLY_API int tally_heap_adopt(struct tally_heap *heap);
/* Brackets work that does not touch the heap and may take long (as Python releases its GIL): meanwhile the
 * agent runs the collections that the daemon asks for, as far as no code of the host's has to run; the rest
 * waits for the next safepoint, of which park is one. unpark takes the heap back at once: it waits for a slice
 * of the agent's, at most about 50 microseconds. Pairs do not nest: TALLY_ESTATE. park: TALLY_EBUSY from a callback. */
TALLY_API int tally_park(struct tally_heap *heap);
TALLY_API int tally_unpark(struct tally_heap *heap);
/* Moves object and all that it reaches to another heap of the calling thread. The graph must be isolated: one
 * reference from outside, the caller's, to object; no weak references from outside; nothing of it dying, being
 * collected, immortal, pinned, queued, or of a type with traverse. The objects get new addresses: slots are
 * rewritten, other pointers into them are the host's affair; dispose does not run. *out is the new object, to
 * which the caller's reference has gone. Counters show them as moved, not as allocated and freed.
 * TALLY_ENOTISOLATED: *obstacle (if not NULL) is an object that is in the way, borrowed; TALLY_ENOMEM,
 * TALLY_EINVAL (the same heap), TALLY_EBUSY. Nothing has changed then. */
TALLY_API int tally_transfer(struct tally_heap *to, void *object, void **out, const void **obstacle);

/* ---- Requests from outside --------------------------------------------- */

/* Runs what the daemon asks for. tally_new() comes here by itself at least once per page's worth of
 * allocations; a host that does not allocate for a while calls it where it suits. Returns the number of
 * requests that ran. */
TALLY_API int tally_safepoint(struct tally_heap *heap);
/* Called, in the agent's thread, when a request waits: may only wake the owner (write to a pipe, post a
 * semaphore), which then calls tally_safepoint(). NULL removes it; the call returns only when no notify is
 * running, so that arg may go. */
typedef void (*tally_notify_fn)(void *arg);
TALLY_API void tally_set_notify(struct tally_heap *heap, tally_notify_fn notify, void *arg);
/* For poll(): an eventfd, owned by the heap, that turns readable when a request waits and is drained by
 * tally_safepoint(). It takes the place of a notify callback. TALLY_ESYS. After fork() the child asks anew.
 */
TALLY_API int tally_notify_fd(struct tally_heap *heap);

/* ---- The daemon -------------------------------------------------------- */

/* How the process is shown: its name (default: the program's) and labels, at most 16, key [a-z0-9_.-]{1,63},
 * value UTF-8 of at most TALLY_NAME_MAX bytes. Before the first tally_attach(), else TALLY_ESTATE; any
 * thread. TALLY_EINVAL, TALLY_ELIMIT, TALLY_ENOMEM. */
TALLY_API int tally_set_name(const char *name);
TALLY_API int tally_set_label(const char *key, const char *value);

/* Shows the heap to the daemon, now or whenever one is found: moves its counters to shared memory and starts
 * the process's helper thread (small stack, all signals blocked) with the first heap. Waits for nothing.
 * The thread looks for a daemon in $TALLY_RUNTIME_DIR alone, where it is set, else in $XDG_RUNTIME_DIR/tally,
 * then /run/tally, and again after each loss.
 * Charged to this process: 64 KiB of shared memory a heap, and 8 KiB of its own, up to 64 KiB more while its objects are
 * listed; with more than 48 types 176 bytes
 * for each further one, doubled at most; on a daemon's request, where many events are written, a ring of up to 4 MiB
 * a heap, but 64 MiB for all heaps together; while a snapshot is taken 1 MiB, and a pipe of as much. 64 KiB once, and a
 * thread's stack of 256 KiB, little of it touched.
 * TALLY_EDISABLED: TALLY_DISABLE=1 is set, the program is setuid, setgid or has file capabilities (AT_SECURE), which
 * never attaches, or the library was built with AGENT=no. TALLY_EVETO: the heap's access is none. TALLY_ESYS,
 * TALLY_ENOMEM, TALLY_ESTATE (attached already),
 * TALLY_EBUSY (from inside a collection); the heap works on unattached in every case. */
TALLY_API int tally_attach(struct tally_heap *heap);
/* Takes the heap off the daemon's list; its counters go on in private memory. No effect if not attached. */
TALLY_API void tally_detach(struct tally_heap *heap);

/* What the daemon may do with the heap, whoever asks it: the host has the last word.
 *   control   watch it, collect, freeze and configure it, list its objects by number, type and size, and take
 *             snapshots of them, with references and labels (the default); collections begin at most ten times a
 *             second, all else takes 5 % of the owner's time at most
 *   observe   watch it; every command fails with TALLY_EVETO, those that wait already, too
 *   none      nothing: the heap is detached, and tally_attach() returns TALLY_EVETO
 * X(NAME, value, word in JSON) */
#define TALLY_ACCESSES(X) \
    X(TALLY_ACCESS_CONTROL, 0, "control") \
    X(TALLY_ACCESS_OBSERVE, 1, "observe") \
    X(TALLY_ACCESS_NONE, 2, "none")
enum tally_access {
#define TALLY_X(name, value, word) name = (value),
    TALLY_ACCESSES(TALLY_X)
#undef TALLY_X
};
/* A snapshot is taken by a child that is cloned at a safepoint, or while the heap is parked (one at a time, for as long as
 * the program's page tables take to copy), or in slices of max_pause (1 ms, where there is none) at safepoints: by the
 * latter where a clone is foreseen to take longer than max_pause, and unless it is forced where a thread has a seccomp
 * filter, or always where the pages come from hooks. The child has no exit signal: wait() and handlers do not see it, but
 * with __WALL or __WCLONE. It has none of the program's descriptors, blocks all signals, is the first to go where memory
 * is short, and ends with the program, when that runs another one by exec(), when nobody reads, or after five minutes;
 * meanwhile the pages that the program writes to exist twice. A program that calls exec() while it is there becomes one
 * that gets a SIGCHLD, once and at once (the kernel's way with children of what ran before), of a child that no wait()
 * finds, but with __WALL or __WCLONE. */
/* The owner. set: TALLY_EINVAL. */
TALLY_API int tally_set_access(struct tally_heap *heap, enum tally_access access);
TALLY_API enum tally_access tally_get_access(const struct tally_heap *heap);
/* Says in one sentence whether the process is attached, and if not, why. Writes at most `size` bytes with
 * the NUL; returns true if attached. Any thread. */
TALLY_API bool tally_agent_status(char *sentence, size_t size);

#ifdef __cplusplus
}
#endif
#endif
