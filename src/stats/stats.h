/* What is known of all processes, and the immutable views of it that everybody else reads.
 *
 * The model is fed by the intake's thread alone, through the sink of stats_sink_init(); readers take views.
 * What is always true
 *  - A view and all that it points to never changes; it is reference-counted and freed with its last reader.
 *  - seq grows with every published view; a process view that did not change keeps its own seq and its
 *    memory, so that bodies made from it can be reused.
 *  - Figures are read from counters, never summed from events; `complete` says whether every event was seen.
 *  - Gone processes stay for a time and up to a number; then they leave the view.
 */
#ifndef TALLY_STATS_STATS_H
#define TALLY_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/ring_read.h"

struct stats;

struct stats_figures { /* the rows of fields.def, in order */
#define STATS_FIELD(member, path, kind, unit, label, help) uint64_t member;
#include "stats/fields.def"
#undef STATS_FIELD
};

struct stats_config {
    bool enabled;
    uint32_t manager, debug, level; /* enum wire_manager, wire_debug flags, wire_level */
    uint32_t thresholds[3];
    uint64_t max_pause_us, memory_limit_bytes; /* 0: none */
    uint32_t access; /* enum wire_access: what the host allows */
    uint32_t stress_nth; /* a collection at every n-th allocation; 0: none */
    bool stress_every_decref;
};

/* What events tell of a type, beside its counters. Bucket b of the lifetimes holds those from 2^b on (0: from 0),
 * the last all that are longer. */
#define STATS_LIFETIMES 48
#define STATS_SIZES 64
#define STATS_SHORT_BYTES ((uint64_t)1 << 20)
struct stats_histograms {
    uint64_t sizes[STATS_SIZES]; /* allocations by bytes / 8; the last: 504 bytes and more */
    uint64_t known;              /* deaths of objects whose birth was seen, too: what follows is about these */
    uint64_t short_lived;        /* less than STATS_SHORT_BYTES were allocated in their heap during their life */
    uint64_t ns[STATS_LIFETIMES], bytes[STATS_LIFETIMES]; /* of life, and allocated in the heap during it */
};

struct stats_type_detail { /* of the last second */
    uint64_t allocations_per_s, frees_refcount_per_s, frees_cycle_per_s;
    uint64_t deaths; /* counted when this was made: what lifetimes are known of is a part of them */
    const struct stats_histograms *histograms; /* NULL: no event of it was seen */
};

struct stats_event {
    enum wire_event kind;
    enum wire_rare rare;
    const char *type; /* NULL: not one object's, or of a type that is not known */
    uint64_t bytes, object; /* object: a number of its own while it lives */
    uint64_t value, mono_ns; /* mono_ns: of the heap's last safepoint before it */
};

struct stats_rates { /* of a heap, of the last second */
    uint64_t allocations, allocated_bytes, frees_refcount, frees_cycle, collections, pause_ns;
};

/* Made anew once a second while the heap works, and when it ends. */
struct stats_heap_detail {
    uint64_t mono_ns;
    struct stats_rates per_s;
    uint32_t type_count; /* by row */
    const struct stats_type_detail *types;
    unsigned sample_shift; /* lifetimes are those of objects on one in 2^shift pages */
    size_t event_count;    /* once it is gone: its last events, oldest first */
    const struct stats_event *events;
};

struct stats_type_view {
    const char *name; /* valid UTF-8 without control characters */
    uint32_t row;     /* of its heap */
    bool tracked, variable;
    uint64_t size_bytes; /* fixed part */
    uint64_t allocations, allocated_bytes;
    uint64_t moved_in, moved_out; /* from and to other heaps; their bytes count as allocated and freed */
    uint64_t frees_refcount, frees_cycle, freed_refcount_bytes, freed_cycle_bytes;
    uint64_t live_objects, live_bytes;
    /* Sums of the events seen, plus what no event tells of: equal to the counters while nothing is lost. */
    uint64_t event_allocations, event_frees_refcount, event_frees_cycle;
};

struct stats_collection_view {
    uint32_t heap;
    uint64_t sequence;
    uint64_t start_mono_ns, start_wall_ns;
    uint32_t reason, generation, manager, scope, slices;
    uint64_t pause_ns, find_ns, callback_ns, free_ns;
    uint64_t examined, collected, freed_bytes, uncollectable;
    uint64_t live_bytes_before, live_bytes_after, safepoint_wait_ns, operation;
};

/* The upper bounds of the buckets that pauses are counted in, a last one for longer ones, and in words. X(ns, seconds) */
#define STATS_PAUSES(X) \
    X(10000, "1e-05") X(25000, "2.5e-05") X(50000, "5e-05") X(100000, "0.0001") X(250000, "0.00025") \
    X(500000, "0.0005") X(1000000, "0.001") X(2500000, "0.0025") X(5000000, "0.005") X(10000000, "0.01") \
    X(25000000, "0.025") X(50000000, "0.05") X(100000000, "0.1") X(250000000, "0.25") X(500000000, "0.5") \
    X(1000000000, "1.0") X(2500000000, "2.5") X(5000000000, "5.0") X(10000000000, "10.0")
#define STATS_PAUSE_BUCKETS 20u
#define STATS_REASONS 8u /* enum wire_reason; 0: a word that we do not know */

/* Sums over the collection records that were read. */
struct stats_runs {
    uint64_t missed; /* collections whose records were overwritten before we came: in nothing below */
    uint64_t reasons[STATS_REASONS];
    uint64_t pauses[STATS_PAUSE_BUCKETS], pause_ns;
    uint64_t find_ns, callback_ns, free_ns, examined;
    uint64_t last_wall_ns;     /* when the newest began; 0: there was none */
    uint64_t live_bytes_after; /* the newest; of several heaps: the sum, of those that are not gone */
};

struct stats_generation {
    uint64_t collections, collected, uncollectable;
};

/* What a collection took for each object that it examined, in picoseconds, callbacks and freeing included: the middle,
 * the least and the most of so many runs. */
struct stats_pace {
    unsigned runs; /* 0: nothing is known */
    uint64_t object_ps, least_ps, most_ps;
};

struct stats_heap_view {
    uint32_t n; /* from 1, never reused in its process */
    bool gone;
    bool complete;     /* no event lost, no type without a row, nothing inconsistent */
    bool inconsistent; /* the feed said something impossible */
    uint32_t state;    /* enum wire_state */
    uint64_t safepoint_mono_ns;
    uint32_t types_without_row;
    struct stats_config config;
    struct stats_figures figures;
    uint64_t counts[3];
    struct stats_generation generations[3];
    struct stats_runs runs;
    uint64_t last_pause_ns;
    uint64_t tracked_objects; /* live ones that the collector looks at */
    bool settled; /* a full collection had nothing to look at, as of the last safepoint */
    uint64_t process_bytes; /* private memory of the process, as it was some time ago; 0: unknown */
    struct stats_pace full_pace; /* of its runs over the whole heap: forecast.h */
    uint64_t peak_live_bytes; /* the most that any look saw */
    const struct stats_heap_detail *detail; /* NULL: nothing yet */
    struct stats_growth *growth; /* goes on while the view stands: growth.h; NULL: nothing yet */
    size_t type_count;
    const struct stats_type_view *types; /* row order; without rows that never counted anything */
};

struct stats_label {
    const char *key, *value;
};

struct stats_process_view {
    uint64_t seq; /* of the view that first showed this state */
    uint64_t as_of_mono_ns, as_of_wall_ns; /* when the counters were read */
    char id[33]; /* 32 lower-case hex digits */
    pid_t pid;   /* 0: unknown (another pid namespace) */
    uid_t uid;
    const char *name, *library;
    bool gone;
    const char *end; /* gone: "bye", "closed" (socket lost, process lives) or "exited"; else NULL */
    bool ended;      /* the kernel told how it exited: */
    int status;      /* waitpid(2)'s */
    uint64_t attached_wall_ns, gone_wall_ns;
    bool complete;
    size_t label_count;
    const struct stats_label *labels;
    struct stats_figures figures; /* sums over the heaps; the longest pause and slice: the maximum */
    struct stats_generation generations[3]; /* likewise */
    struct stats_runs runs;
    uint64_t peak_live_bytes; /* the most that any view showed */
    size_t heap_count;
    const struct stats_heap_view *heaps;
    size_t collection_count; /* newest first, all heaps, at most STATS_COLLECTIONS_KEPT */
    const struct stats_collection_view *collections;
    size_t type_count; /* merged over the heaps by name, size and flags */
    const struct stats_type_view *types;
};
#define STATS_COLLECTIONS_KEPT 256u

/* What the processes of an app have counted that no view shows any longer. An app is what a process's label `app`
 * says, else its name. */
struct stats_app_view {
    const char *name;
    uint64_t processes;
    struct stats_figures figures; /* counters; gauges are 0, maxima are kept */
    struct stats_generation generations[3];
    struct stats_runs runs;
};
#define STATS_APPS_MAX 256u /* then all others go to the one named "other" */

/* Whom the intake refused, for doctor: by reason. */
struct stats_refusal {
    const char *reason;
    uint64_t count;
    uint64_t last_wall_ns;
    pid_t last_pid;
    uid_t last_uid;
};

struct stats_view {
    uint64_t seq;
    uint64_t as_of_mono_ns, as_of_wall_ns;
    size_t process_count; /* live ones first, each in order of attaching */
    const struct stats_process_view *const *processes;
    size_t refusal_count;
    const struct stats_refusal *refusals;
    size_t app_count; /* by name */
    const struct stats_app_view *apps;
};

/* The app that a process belongs to; borrowed from it. */
const char *stats_app_name(const struct stats_process_view *process);

/* Adds up what processes and heaps have counted: sums, and maxima where a sum says nothing. */
void stats_figures_add(struct stats_figures *sum, const struct stats_figures *add);
void stats_generations_add(struct stats_generation sum[3], const struct stats_generation add[3]);
void stats_runs_add(struct stats_runs *sum, const struct stats_runs *add);
/* What `percent` of the pauses (1 to 100) did not exceed, in nanoseconds: the upper bound of the bucket that it falls
 * into, or `longest_ns`, the longest of all, where that is less; 0 where there was none. */
uint64_t stats_pause_quantile(const struct stats_runs *runs, unsigned percent, uint64_t longest_ns);

/* An empty model with an empty view, or NULL: out of memory. Gone processes stay for 600 s, the newest 256 of
 * them. */
struct stats *stats_new(void);
/* For so long, and so many, instead, from now on. Any thread. */
void stats_gone_keep(struct stats *stats, uint64_t ns, size_t count);
/* After the intake has stopped; views that are still held stay valid. */
void stats_free(struct stats *stats);
/* What the intake tells goes in through these (arg: the struct stats); acknowledgements are not for us. */
struct intake_sink;
void stats_sink_init(struct stats *stats, struct intake_sink *sink);

/* The id behind the handle that the sink's attached() gave; borrowed. Intake's thread. */
const char *stats_process_id(const void *process);

/* The present view: never NULL once stats_new() has succeeded; the reference is the caller's. Any thread. */
const struct stats_view *stats_view_get_new(struct stats *stats);
void stats_view_unref(const struct stats_view *view);
/* A further reference on one process view, so that a body's owner may outlive the view. Any thread. */
const struct stats_process_view *stats_process_ref(const struct stats_process_view *process);
void stats_process_unref(const struct stats_process_view *process);

/* Memory that it takes, but for texts and what details it shares. */
size_t stats_process_bytes(const struct stats_process_view *process);

/* Finds a process by its id (32 hex digits) or, where it is unambiguous among live processes (else among gone
 * ones), its pid in decimal. Borrowed from the view. NULL: none; *ambiguous tells the two cases apart. */
const struct stats_process_view *stats_find(const struct stats_view *view, const char *id, bool *ambiguous);

/* A live tail: events of one process that pass a filter, once a view is published that was read after them (one taken
 * after them knows their types). The process may have yet to come; of one that comes back to another tallyd, what it wrote
 * before is no part of the tail. Any thread; `open` gives NULL where memory is short, or STATS_TAILS_MAX are open: each
 * costs its ring, and every event some time. The ring holds STATS_TAIL_EVENTS: what is not taken in time is
 * overwritten, oldest first, and `missed`;
 * `lost` was so before it came here. Both count since the last take. */
#define STATS_TAIL_EVENTS 2048u
#define STATS_TAILS_MAX 64u
#define STATS_TAIL_RARE 1u /* collections */
struct stats_tail;
struct stats_tail_filter {
    char process[33]; /* its id */
    uint32_t heap;    /* 0: any */
    unsigned kinds;   /* bits 1 << enum wire_event, STATS_TAIL_RARE; 0: any */
    char type[256];   /* "": any */
    uint64_t least_bytes;
};
struct stats_tail_event {
    uint32_t heap;
    struct wire_event_view event;
    uint64_t mono_ns;
    uint64_t missed_before, lost_before; /* between the one before it and it: where in the tail the gap is */
};
struct stats_tail *stats_tail_open(struct stats *stats, const struct stats_tail_filter *filter);
void stats_tail_close(struct stats *stats, struct stats_tail *tail);
/* How many wait to be taken; at least 1 where some were missed or lost. */
size_t stats_tail_ready(struct stats *stats, const struct stats_tail *tail);
size_t stats_tail_take(struct stats *stats, struct stats_tail *tail, struct stats_tail_event *out, size_t most,
                       uint64_t *missed, uint64_t *lost);

/* An order of types, of one process's views (struct stats_type_view), in which 0 means: the same. For qsort(3) and its
 * like. */
int stats_type_order(const void *first, const void *second);

/* The rest of the door: what is kept of views, and reckoned from them. */
#include "stats/baseline.h"
#include "stats/forecast.h"
#include "stats/growth.h"
#include "stats/suspects.h"

#endif
