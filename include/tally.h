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
 *  - Callbacks (finalizers, weak-reference callbacks, traverse, hooks) run in the
 *    owner's thread; notify is the exception and may only wake. No longjmp and no
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
    X(TALLY_EDISABLED, -8, "attaching is disabled by TALLY_DISABLE") \
    X(TALLY_EUNSUPPORTED, -9, "this manager does not have that")

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

enum tally_type_flags {
    TALLY_TYPE_ACYCLIC = 1u << 0, /* its references can never be part of a cycle: not tracked. A wrong
                                     claim leaks, nothing worse */
    TALLY_TYPE_WEAK = 1u << 1,    /* a weak-reference type: the payload begins with struct tally_weak */
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

enum tally_manager {
    TALLY_MANAGER_GENERATIONAL = 3
}; /* reference counts and three generations, as CPython 3.11 */

/* Where pages come from: `bytes` is a multiple of 64 KiB, and so must the address be. */
struct tally_page_hooks {
    void *(*map)(size_t bytes, void *arg); /* zeroed memory, or NULL */
    void (*unmap)(void *memory, size_t bytes, void *arg);
    void *arg;
};

struct tally_heap_options {
    enum tally_manager manager; /* 0: the default, generational */
    void *user;                 /* tally_heap_user() */
    const struct tally_page_hooks *hooks; /* NULL: anonymous mappings */
};

/* Makes a heap owned by the calling thread; automatic collection is enabled with thresholds
 * 700, 10, 10. `abi` is TALLY_ABI of the caller's build; options may be NULL.
 * TALLY_EABI, TALLY_EINVAL, TALLY_ENOMEM; *out is set on success only. */
TALLY_API int tally_heap_new(unsigned abi, const struct tally_heap_options *options, struct tally_heap **out);

/* Runs a full collection, then the finalizers that have not run (each once), detaches and returns all
 * memory; objects that are still referenced go without further ado. NULL is allowed. Must not be called
 * from a callback. */
TALLY_API void tally_heap_free(struct tally_heap *heap);
TALLY_API void *tally_heap_user(const struct tally_heap *heap);
/* The heap and the type of an object: borrowed. */
TALLY_API struct tally_heap *tally_heap_of(const void *object);
TALLY_API const struct tally_type *tally_type_of(const void *object);

/* ---- Objects ----------------------------------------------------------- */

/* A new object with a zeroed payload, one reference, the caller's. May run a collection and finalizers
 * first. NULL: out of memory (after a collection was tried). */
TALLY_API void *tally_new(struct tally_heap *heap, const struct tally_type *type);
/* The same for a type with a trailing array of `length` elements. NULL also where the size passes 2^40. */
TALLY_API void *tally_new_array(struct tally_heap *heap, const struct tally_type *type, size_t length);

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

/* Strong references to the object, counted bare (sys.getrefcount adds one). */
TALLY_API uint64_t tally_refcount(const void *object);
TALLY_API bool tally_is_tracked(const void *object);
/* The object's finalizer has run or has been started. */
TALLY_API bool tally_is_finalized(const void *object);
#define TALLY_GENERATION_FROZEN 3
/* 0, 1 or 2, TALLY_GENERATION_FROZEN, or TALLY_EINVAL where the object is not tracked. */
TALLY_API int tally_generation(const void *object);
/* Bytes of the payload, rounded up to 8. */
TALLY_API size_t tally_size(const void *object);

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
 * Debug builds of the library (TALLY_DEBUG) say so and abort where one is still open when the heap goes. */
struct tally_scope {
    struct tally_heap *heap;
    size_t base;
};
TALLY_API struct tally_scope tally_scope_open(struct tally_heap *heap);
/* Steals a reference into the innermost scope and returns the object, borrowed. NULL gives NULL. When the
 * scope cannot grow the reference is given back and NULL returned. */
TALLY_API void *tally_keep(struct tally_heap *heap, void *object);
TALLY_API void tally_scope_close(struct tally_scope *scope);

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

/* ---- Collection -------------------------------------------------------- */

/* Collects generations 0..generation and returns the number of objects collected (CPython 3.11's rules:
 * resurrected and uncollectable ones do not count, members of the garbage list under SAVEALL do).
 * Takes no memory. Works while automatic collection is disabled. 0, without effect, from inside a
 * collection. TALLY_EINVAL: generation outside of 0..2. */
TALLY_API int64_t tally_collect(struct tally_heap *heap, int generation);

TALLY_API void tally_enable(struct tally_heap *heap);
TALLY_API void tally_disable(struct tally_heap *heap);
TALLY_API bool tally_is_enabled(const struct tally_heap *heap);

/* Threshold 0: net new tracked objects before a young collection (0: never); 1 and 2: younger collections
 * before the next older one; generation 2 also waits until what is pending passes a quarter of what the
 * last full run left alive (gc.set_threshold). Each 0..2^31-1, else TALLY_EINVAL and nothing changes. */
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
};
/* Fills *stats up to `size` = sizeof *stats of the caller's build. */
TALLY_API void tally_get_stats(const struct tally_heap *heap, struct tally_stats *stats, size_t size);

enum tally_debug { TALLY_DEBUG_SAVEALL = 32 }; /* what would be freed goes to the garbage list */
/* TALLY_EINVAL where a flag is unknown. */
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
struct tally_collection {
    bool stop; /* false: about to start, only generation and reason are set */
    int generation;
    enum tally_reason reason;
    uint64_t collected, uncollectable;
    uint64_t duration_ns;
};
typedef void (*tally_collection_fn)(struct tally_heap *heap, const struct tally_collection *info, void *arg);
/* gc.callbacks: one hook per heap, called at start and stop of every collection that is not refused.
 * NULL removes it. */
TALLY_API void tally_set_collection_hook(struct tally_heap *heap, tally_collection_fn hook, void *arg);

/* ---- Looking ----------------------------------------------------------- */

/* Return non-zero to end the enumeration; its value is returned. Callbacks must not allocate, store or
 * decref to zero. */
typedef int (*tally_object_fn)(void *object, void *arg);
/* The strong references that object owns, in slot order, with repetition (gc.get_referents). */
TALLY_API int tally_referents(void *object, tally_object_fn fn, void *arg);
/* Tracked, unfrozen objects that own a reference to target, once each (gc.get_referrers). Walks the heap. */
TALLY_API int tally_referrers(struct tally_heap *heap, const void *target, tally_object_fn fn, void *arg);
/* Every live object, leaf or tracked. */
TALLY_API int tally_walk(struct tally_heap *heap, tally_object_fn fn, void *arg);

/* Checks the whole heap: counts against edges, free lists, side tables, counters. 0, or TALLY_ESTATE with a
 * sentence in `message` (at most `size` bytes with its NUL; may be NULL). For tests: takes memory and time.
 */
TALLY_API int tally_verify(struct tally_heap *heap, char *message, size_t size);
/* Collects generation 2 at every n-th allocation (0: off). TALLY_STRESS=n in the environment sets it. */
TALLY_API void tally_set_stress(struct tally_heap *heap, unsigned nth);

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
 * then /run/tally, and again after each loss. 64 KiB of shared memory a heap are charged to this process.
 * TALLY_EDISABLED: TALLY_DISABLE=1 is set. TALLY_ESYS, TALLY_ENOMEM, TALLY_ESTATE (attached already); the
 * heap works on unattached in every case. */
TALLY_API int tally_attach(struct tally_heap *heap);
/* Takes the heap off the daemon's list; its counters go on in private memory. No effect if not attached. */
TALLY_API void tally_detach(struct tally_heap *heap);
/* Says in one sentence whether the process is attached, and if not, why. Writes at most `size` bytes with
 * the NUL; returns true if attached. Any thread. */
TALLY_API bool tally_agent_status(char *sentence, size_t size);

#ifdef __cplusplus
}
#endif
#endif
