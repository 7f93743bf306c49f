/* The sampler: views in, rows out. It has no clock and no file, so that a test can give it any; its thread is the
 * ticker's. */
#ifndef TALLY_HISTORY_SAMPLER_H
#define TALLY_HISTORY_SAMPLER_H

#include "history/private.h"

struct series {
    uint32_t no;
    enum subject subject;
    bool moved[LEVELS];     /* something was not written at the level */
    uint64_t block[LEVELS]; /* of its last row; none: the next one is whole */
    uint64_t figures[];
};

struct type_state {
    const char *name; /* the view's one copy */
    struct series *series;
    bool chosen;
    uint64_t figures[TYPE_FIGURES_MAX];
};
struct subject_state { /* a process or a heap of one */
    uint32_t heap; /* 0: the process */
    struct series *totals;
    struct series *rest; /* of the types that are not chosen; NULL: there never were any */
    size_t type_count, type_room, chosen_count;
    struct type_state *types;
};
struct heap_state {
    uint32_t n;
    bool known; /* sequence is */
    uint64_t sequence; /* of its newest collection */
    struct subject_state *subject; /* NULL while the process has no other heap */
};
struct process_state {
    struct process_state *next;
    const struct stats_process_view *view; /* a reference: its texts' addresses stand for names */
    uint32_t no;
    uint64_t seq, collections_seq;
    bool gone, ended, several; /* several: heaps have series of their own */
    uint64_t seen; /* number of the tick that saw it */
    struct subject_state all;
    size_t heap_count;
    struct heap_state *heaps;
};

struct sampler {
    struct queue *queue;
    struct base base;
    uint64_t at;             /* of the last tick that took figures; 0: none since the file was opened */
    uint64_t first_at, first_mono_ns; /* of the time line since then */
    int64_t wall_s;          /* that the wall clock says at time 0 of the time line */
    bool broken;             /* something could not be told, or was forgotten: a new run begins */
    unsigned breaks;         /* of the history's */
    uint64_t tick, seq;
    uint64_t dropped_at, told_at; /* told: how far the file knows that we watched */
    bool wrote;              /* rows of figures, since then */
    size_t series_count;
    struct process_state *processes;
    void *by_id;
};

/* Figures of a view, once a second of the time line; collections whenever it is called. base: of the file as it is now;
 * one of a new epoch begins everything anew. */
void sampler_tick(struct sampler *sampler, const struct base *base, const struct stats_view *view, uint64_t mono_ns,
                  uint64_t wall_ns);
/* Closes what is open, as well as the time allows. */
void sampler_end(struct sampler *sampler);
void sampler_free(struct sampler *sampler);

#define SERIES_LIVE_MAX (HISTORY_QUEUE_ROWS / 8 * 5) /* beyond it no more types: a run begins with a row of each */

/* series.c. new: NULL: out of memory. break: what comes next is written whole. close: the window that ends at label.
 * end: there is nothing more to tell of it after the second `last`, for now. */
struct series *series_new(struct sampler *sampler, uint32_t process, uint32_t heap, enum subject subject, const char *type);
void series_free(struct sampler *sampler, struct series *series); /* NULL is allowed */
void series_break(struct series *series);
void series_sample(struct sampler *sampler, struct series *series, const uint64_t *now);
void series_close(struct sampler *sampler, struct series *series, enum level level, uint64_t label);
void series_end(struct sampler *sampler, struct series *series, uint64_t last);

/* subject.c. types: of the view, which may be of several heaps' merged. */
void subject_sample(struct sampler *sampler, uint32_t process, struct subject_state *subject,
                    const struct stats_figures *figures, const struct stats_type_view *types, size_t type_count);
typedef void (*series_fn)(struct sampler *sampler, struct series *series, const void *arg);
void subject_each(struct sampler *sampler, struct subject_state *subject, series_fn each, const void *arg);
void subject_fini(struct sampler *sampler, struct subject_state *subject);

/* collected.c: collections that the view has and we had not. */
void collections_take(struct sampler *sampler, struct process_state *process, const struct stats_process_view *view);

#endif
