/* The heap as the rest of the library sees it (the agent; embedders see tally.h). */
#ifndef TALLY_HEAP_HEAP_H
#define TALLY_HEAP_HEAP_H

#include <stdatomic.h>

#include "base/map.h"
#include "feed/feed.h"
#include "tally.h"
#include "wire/snapshot.h"

/* A request from another thread, run by the owner at its next safepoint, in the order of posting. The memory
 * is the poster's; run() is the last that touches it from the owner's side. */
struct tally__request {
    struct tally__request *next;
    void (*run)(struct tally_heap *heap, struct tally__request *request);
};

/* Posts a request and notifies the owner. Any thread, as long as the heap exists (the agent's lock sees to
 * it). */
void tally__heap_post(struct tally_heap *heap, struct tally__request *request);

/* Runs a collection for a remote request; operation and wait go to its record. */
int64_t tally__heap_collect_remote(struct tally_heap *heap, int generation, uint64_t operation,
                                   uint64_t safepoint_wait_ns, uint64_t *pause_ns, uint64_t *freed_bytes);

/* The agent's part of a remote collection: enter while the owner is parked (false: it is not), collect, leave.
 * In between the owner finds neither the heap nor the request half-way. It works for a while, in slices of some
 * 20 microseconds after which it gives way to an owner who unparks. */
enum tally__parked {
    PARKED_MORE,  /* it is not done yet: come again */
    PARKED_OWNER, /* code of the host's has to run: the owner goes on with what has been found */
    PARKED_DONE   /* the results are there */
};
bool tally__heap_guest_enter(struct tally_heap *heap);
enum tally__parked tally__heap_collect_parked(struct tally_heap *heap, int generation, uint64_t operation,
                                              uint64_t safepoint_wait_ns, int64_t *collected,
                                              uint64_t *pause_ns, uint64_t *freed_bytes);
void tally__heap_guest_leave(struct tally_heap *heap);

/* Looking from outside, which takes numbers and no reference. page: one of the heap's pages, which may be missing: fn
 * for each live object, in the order of their numbers, that is behind the number `after`; non-zero ends, and is
 * returned. Numbers of objects on page n begin at n << WIRE_PAGE_GRANULE_BITS. */
uint64_t tally__page_count(const struct tally_heap *heap);
int tally__page_look(struct tally_heap *heap, uint64_t serial, uint64_t after, tally_object_fn fn, void *arg);
/* fn for each candidate on one of the heap's pages, which may be missing, with the row of its type in the feed. survived:
 * some collection has found it alive. */
typedef void (*tally__candidate_fn)(void *arg, uint32_t type_row, bool survived);
void tally__page_candidates_look(const struct tally_heap *heap, uint64_t serial, tally__candidate_fn fn, void *arg);
/* Whether object, which is tracked and not frozen, owns a reference to target. May run its type's traverse. */
bool tally__refers(const void *object, const void *target);
/* The owner: whether it is in the middle of a collection or of a death, where the manager does not change and no cycles are
 * looked for. */
bool tally__heap_is_midway(const struct tally_heap *heap);
/* Whether an owner who has parked wants the heap back from the agent. */
bool tally__heap_wanted(const struct tally_heap *heap);
/* The row of an object's type in the heap's feed. */
uint32_t tally__type_row(const struct tally_heap *heap, const void *object);

/* A snapshot: what is live, as enumerations have it, and what it refers to, as the stream of wire/snapshot.h. begin takes
 * no time to speak of, by who may use the heap; step and what it calls by the same, or by a child that was cloned from
 * there: it takes no memory and no lock, writes to the snapshot alone, and runs no code of the host's but traverse and
 * label callbacks. */
#define TALLY__TYPES 65536u
struct tally__snapshot {
    /* The caller's, before begin. */
    struct tally_heap *heap;
    bool instant;              /* the heap does not change between steps: no edge leads to what is not told */
    struct map declared;       /* fixed and empty: of objects that variables, pins, scopes and lists hold, as many as fit */
    size_t (*room)(void *arg); /* how many bytes flush takes now; NULL: always all */
    size_t room_most;          /* that it takes at its best */
    bool (*go_on)(void *arg);  /* asked now and then; false: step is to return. NULL: never */
    void *arg;                 /* of these and of flush */
    struct snapshot_writer writer;
    /* Its own. */
    bool too_large;
    int credit;
    unsigned noting; /* enum holders: of whom the objects before `noted` are noted */
    size_t noted;
    uint64_t after; /* numbers up to here are done with */
    uint64_t open;  /* number of an object of which the slots below `at` are told; 0: none */
    size_t at;
    uint64_t told[TALLY__TYPES / 64]; /* types */
};
enum tally__snapshot_step {
    SNAPSHOT_STEP_MORE,  /* there is no room, or go_on said so */
    SNAPSHOT_STEP_DONE,  /* snapshot_write_end() is to come */
    SNAPSHOT_STEP_FAILED /* flush has failed, or an object is too large for room_most (too_large) */
};
void tally__snapshot_begin(struct tally__snapshot *snapshot, void *buffer, size_t buffer_bytes, snapshot_flush_fn flush);
enum tally__snapshot_step tally__snapshot_step(struct tally__snapshot *snapshot);
/* Whether a child's copy of the heap is its own, and stays as it is: its pages are ours, not a hook's. */
bool tally__heap_is_private(const struct tally_heap *heap);
/* Whether any type has a traverse callback, which in this process runs in its owner's thread alone. Any thread. */
bool tally__types_traverse(void);

/* The heap's feed, its number in this process (from 1, never reused), and its counters memory at the moment.
 */
struct feed_pen *tally__heap_feed(struct tally_heap *heap);
uint32_t tally__heap_number(const struct tally_heap *heap);

/* The agent's hooks of an attached heap: detach() runs first in tally_heap_free(), in the owner's thread, and
 * must give the heap private counters back; forked() runs in the child when the heap notices the fork, after
 * it has private counters of its own. NULL: not attached. `agent` is the agent's own pointer. */
struct tally__attachment {
    void (*detach)(struct tally_heap *heap, void *agent);
    void (*forked)(struct tally_heap *heap, void *agent);
    void (*veto)(struct tally_heap *heap); /* access has become none: detaches, now or when that is safe */
    void (*parked)(void *agent); /* the owner has parked while requests wait */
    void *agent;
};
struct tally__attachment *tally__heap_attachment(struct tally_heap *heap);

/* Swaps the feed's memory at a safepoint (owner): feed_adopt(), and the private counters' memory is released
 * or, with counters == NULL, made anew. TALLY_ENOMEM leaves all as it was. */
int tally__heap_feed_swap(struct tally_heap *heap, void *counters, void *ring);
/* Goes on in successors of the shared memory (owner, outside of collections); NULL: that one stays. */
void tally__heap_feed_succeed(struct tally_heap *heap, void *counters, void *ring);

/* What the types that are registered now want of a counters memory, with room for as many again by a third; never
 * less than `now` has. small: whether `now` is smaller than that. Any thread. */
struct feed_shape tally__feed_shape(const struct wire_counters *now);
bool tally__feed_small(const struct wire_counters *now, const struct feed_shape *shape);
/* Called after each registration of a type, in its thread. One watcher; NULL: none. */
void tally__types_watch(void (*watch)(void));

#endif
