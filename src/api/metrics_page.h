/* What the files of the metrics page share. */
#ifndef TALLY_API_METRICS_PAGE_H
#define TALLY_API_METRICS_PAGE_H

#include <pthread.h>

#include "api/metrics.h"
#include "base/text.h"

/* ---- metrics_text.c: what only metrics write */
void put_seconds(struct text *text, uint64_t ns); /* exactly */
/* A label's value in its quotes: escaped, and cut at METRICS_VALUE_BYTES. */
#define METRICS_VALUE_BYTES 120u
void put_value(struct text *text, const char *value);
/* The order of values as they are shown: 0 where both are cut to the same. */
int value_order(const char *a, const char *b);

/* ---- metrics_subject.c: whose series they are */
struct metrics_values { /* what rows of metrics.def point to */
    struct stats_figures figures;
    struct stats_generation generations[3];
    struct stats_runs runs;
    uint64_t up, attached_wall_ns, safepoint_age_ns, peak_live_bytes, memory_limit_bytes, thresholds[3], enabled;
};

struct subject {
    const struct stats_process_view *process; /* NULL: an app */
    char *labels;                             /* app="…",uid="…",heap="1" */
    size_t label_bytes;
    bool gone, first;                         /* first: of its process */
    bool shown;                               /* within the limits */
    struct metrics_values values;
};

struct subjects {
    struct subject *list;
    size_t count, room;
    bool failed; /* out of memory */
};
/* The subjects of a view in a scope: of METRICS_SCOPES, one. */
void subjects_collect(struct subjects *subjects, const struct stats_view *view, unsigned scope, uint64_t now_wall_ns,
                      uint64_t now_mono_ns);
void subjects_free(struct subjects *subjects);

/* ---- metrics_types.c: the types that are shown of each process, from page to page */
struct typed { /* one row of a process */
    const char *name; /* METRICS_OTHER for the rest */
    uint64_t live_bytes, live_objects;
};
#define METRICS_OTHER "other"
struct type_memory;
struct type_memory *type_memory_new(void); /* NULL: out of memory */
void type_memory_free(struct type_memory *memory);
void type_memory_begin(struct type_memory *memory); /* a page */
/* At most `most` types, and the rest behind them, into rows (of most + 1); returns how many. */
size_t types_choose(struct type_memory *memory, const struct stats_process_view *process, size_t most, struct typed *rows);
void type_memory_end(struct type_memory *memory); /* forgets processes that this page did not ask for */

struct metrics {
    size_t process_series, daemon_series;
    pthread_mutex_t lock; /* all below, and the making of a page */
    bool by_app;
    uint64_t dropped_process, dropped_daemon;
    struct type_memory *types;
};

#endif
