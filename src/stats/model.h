/* The model behind the views: what the intake has told. Private to this folder but for the functions that
 * the wiring gives to the intake as its sink; all of them run in the intake's thread. */
#ifndef TALLY_STATS_MODEL_H
#define TALLY_STATS_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "intake/intake.h"
#include "stats/events.h"
#include "stats/stats.h"

#define GONE_HEAPS_KEPT 64u
#define PUBLISH_NS 50000000u
#define PUBLISH_REST 3u /* times what a publication has taken, at least, between two */
#define REFUSALS_KEPT 32u
#define RETIRED_TYPES 1024u
#define BIRTHS_A_PROCESS ((uint64_t)256 << 20)
#define BIRTHS_IN_ALL ((uint64_t)1 << 30)

/* Texts that views point to: freed with the last view of their process. */
struct texts {
    _Atomic unsigned references;
    char *name, *library;
    size_t label_count;
    struct stats_label labels[WIRE_LABEL_MAX];
    void *types; /* names, a tree of tsearch(3): the model's, read by nobody else */
};

struct model_rated { /* when rates were reckoned last */
    uint64_t allocations, frees_refcount, frees_cycle;
};

struct model_heap {
    struct model_heap *next;
    struct stats_heap_view view; /* types: filled at publication */
    uint32_t type_count, type_room;
    struct stats_type_view *types;
    struct model_rated *rated; /* by row */
    struct stats_rates rated_sums; /* likewise, of the heap */
    uint64_t rated_ns;
    uint64_t last_record; /* sequence of its newest collection */
    bool moving; /* some rate is not 0, or the detail is older than the last sample */
    uint32_t row_limit; /* types that its feed has room for */
    struct events *events; /* NULL: there were none */
    uint64_t told_ns;      /* when it was told of first */
};

struct model_process {
    struct model_process *next;
    struct stats *stats;
    struct texts *texts;
    unsigned attachments; /* intake handles that are not released */
    bool dirty;
    struct stats_process_view view;
    struct model_heap *heaps;
    struct model_heap *last; /* that was told of: the next word is mostly of the same; NULL: none */
    struct model_heap retired; /* sums of the gone heaps that the view shows no longer */
    uint64_t gone_mono_ns;
    struct events_budget births; /* of its heaps */
    size_t collection_count; /* ring of the newest, by model_process.collection_next */
    size_t collection_next;
    size_t collection_room;  /* a power of two, STATS_COLLECTIONS_KEPT at most */
    struct stats_collection_view *collections;
    const struct stats_process_view *published;
};

struct stats {
    struct model_process *processes; /* in order of attaching */
    struct model_process **processes_end;
    void *by_id; /* their ids, a tree of tsearch(3) */
    struct events_budget births; /* of all processes */
    _Atomic uint64_t gone_kept_ns; /* any thread may set them */
    _Atomic size_t gone_kept_count;
    size_t refusal_count;
    struct stats_refusal refusals[REFUSALS_KEPT];
    const struct apps *apps; /* of the processes that have left; NULL: none */
    bool dirty;
    uint64_t published_ns, publish_every_ns;
    uint64_t seq;
    pthread_mutex_t baselines_lock; /* what follows; taken alone */
    struct baseline *baselines;
    uint64_t baseline_number; /* of the newest */
    size_t baseline_bytes;
    pthread_mutex_t tails_lock; /* the tails and what is in them; taken alone */
    _Atomic unsigned tail_count;
    struct stats_tail *tails;
    pthread_mutex_t lock; /* view */
    const struct stats_view *view;
};

/* texts.c. NULL: out of memory. type: the process's one copy of a type's name. */
struct texts *stats_texts_new(const struct wire_hello_view *hello);
const char *stats_texts_type(struct texts *texts, const char *name);
void stats_texts_unref(struct texts *texts);

/* runs.c */
void stats_records_take(struct model_process *process, struct model_heap *heap, const struct intake_sample *sample);

/* apps.c. A list never changes once made: leave() gives a new one, and the old one where memory is short. */
struct apps {
    _Atomic unsigned references;
    size_t count;
    struct stats_app_view views[];
};
const struct apps *stats_apps_leave(const struct apps *apps, const struct stats_process_view *process);
const struct apps *stats_apps_ref(const struct apps *apps); /* NULL is allowed */
void stats_apps_unref(const struct apps *apps);

/* detail.c. make: gives the heap's view a new one; last: with its last events. */
bool stats_detail_due(const struct model_heap *heap, uint64_t now_ns);
void stats_detail_make(struct model_heap *heap, bool last);
const struct stats_heap_detail *stats_detail_ref(const struct stats_heap_detail *detail); /* NULL is allowed */
void stats_detail_unref(const struct stats_heap_detail *detail);

/* baseline.c */
void stats_baselines_free(struct stats *stats);

/* tail.c */
void stats_tails_feed(struct model_process *process, const struct model_heap *heap, const struct wire_span *span);
void stats_tails_publish(struct stats *stats); /* what was fed is in a view now */

/* publish.c */
bool stats_publish(struct stats *stats);
/* Brings a process's published view up to the model; false: out of memory, it is as it was. */
bool stats_process_build(struct model_process *process, uint64_t seq);
void stats_type_add(struct stats_type_view *to, const struct stats_type_view *from);
/* Adds a type to its like among `count` merged ones, which are few: false where there is none. */
bool stats_type_merge_known(struct stats_type_view *merged, size_t count, const struct stats_type_view *type);
/* Likewise, or appends it; returns the new count. */
size_t stats_type_merge(struct stats_type_view *merged, size_t count, const struct stats_type_view *type);

#endif
