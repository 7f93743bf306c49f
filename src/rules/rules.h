/* Rules: what tallyd watches by itself, and what it does about it.
 *
 *   stats ──▶ evaluation, once a second ──▶ states ──▶ alerts (list, stream, history), log
 *                                              └─────▶ operations: collect, config
 *
 * A rule holds a selector of processes, a condition on one series (series.def), and what to do. Of each rule and
 * process there is one state:
 *
 *   inactive ──holds──▶ pending ──for `for`──▶ firing ◀──▶ throttled: firing, and controls wait for the hourly limit
 *       ▲                  │                     │
 *       └─────does not─────┴── not for `for` ────┘    (and `disabled`, of a whole rule)
 *
 * Conditions.  above, below: the figure as it is.
 *   grows_by: the window of `over` is cut into 8 slots, and in each the least figure is taken, its floor: what a
 *     collection does not free. The floor of the newest whole slot is `grows_by` or more above that of the slot `over`
 *     before it: bytes, objects ..., or "20%" of the older floor.
 *   grows_steadily: of these 8 steps from floor to floor none falls, and at least 6 rise.
 *   A figure that is not known yet (a window that is not full, no collection within it) does not hold.
 *
 * What is always true
 *  - Evaluation is in a thread of its own, on views; neither the intake nor a listener ever waits for it.
 *  - A control that a rule wants is an operation like anybody's, audited as "rule NAME"; of one rule there are at most
 *    `limit_per_hour` within any hour.
 *  - Rules, states that fire, and what counts for the limit are kept over restarts: one file, written whole and renamed.
 *    One that is not readable is set aside, never changed.
 *  - All is bounded: RULES_MAX rules, RULES_WINDOW_BYTES for windows, lists of alerts.
 */
#ifndef TALLY_RULES_RULES_H
#define TALLY_RULES_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "operations/operations.h"
#include "stats/stats.h"

#define RULES_MAX 100u
#define RULES_NAME_MAX 63u
#define RULES_ALERTS_FIRING 10000u /* in the list; further ones fire all the same */
#define RULES_ALERTS_RESOLVED 1000u
#define RULES_WINDOW_BYTES ((size_t)64 << 20)

struct rules;

struct rule_alert { /* it has begun or has ended; valid during the call */
    uint64_t number; /* counts alerts, over restarts too */
    bool firing;
    const char *rule, *process, *name; /* of the process: its id and its name */
    const char *type;                  /* or "" */
    const char *series, *condition;    /* "live_bytes", "above 1000000" */
    const char *reason;                /* ended: cleared, process_gone, rule_changed, rule_disabled, rule_deleted; else "" */
    double value, bound;
    uint64_t began_wall_ns, ended_wall_ns;
};
/* In the thread of whoever evaluates or changes a rule, in order, with no lock held. It must not call us. */
typedef void (*rules_alert_fn)(void *arg, const struct rule_alert *alert);
/* Reads the body of a control ("collect", "config") into a command; false: *why says what is wrong with it. */
typedef bool (*rules_command_fn)(const char *kind, json_t *body, struct wire_command *command, char *why, size_t why_bytes);

struct rules_options {
    struct operations *operations; /* NULL: rules control nothing */
    const char *path;              /* of the file; NULL: nothing is kept */
    rules_command_fn command;
    rules_alert_fn alert; /* NULL: nobody is told */
    void *arg;
};

/* Reads the file, where there is one. NULL: out of memory. */
struct rules *rules_new(const struct rules_options *options);
/* A thread that evaluates the present view once a second, until rules_stop(). 0 or -errno. */
int rules_start(struct rules *rules, struct stats *stats);
void rules_stop(struct rules *rules);
/* After the stop; states that fire stay in the file. NULL is allowed. */
void rules_free(struct rules *rules);

/* One evaluation: what rules_start()'s thread does. Times are of now. */
void rules_evaluate(struct rules *rules, const struct stats_view *view, uint64_t now_mono_ns, uint64_t now_wall_ns);

enum rules_result {
    RULES_DONE, RULES_MADE, /* PUT: it was there, or is new */
    RULES_UNKNOWN,          /* there is no such rule */
    RULES_WRONG,            /* *why names the member */
    RULES_CHANGED,          /* the revision is not the one that was expected */
    RULES_FULL,             /* RULES_MAX */
    RULES_UNKEPT,           /* the file could not be written; all is as it was */
};
/* Any thread but a listener's: they write the file. expected: the revision that is to be changed, or one of these. body
 * is borrowed. What is put again as it is changes nothing. */
#define RULES_ANY ((uint64_t)0)
#define RULES_ABSENT UINT64_MAX /* there is no such rule */
enum rules_result rules_put(struct rules *rules, const char *name, json_t *body, uint64_t expected, char *why, size_t why_bytes);
enum rules_result rules_delete(struct rules *rules, const char *name, uint64_t expected);

/* Any thread. New references; NULL: out of memory, or no such rule. get: the definition, of a revision. states: what
 * it comes to, and the states of at most 100 processes that are not inactive. list: definitions, each with a "status". */
json_t *rules_get_json(struct rules *rules, const char *name, uint64_t *revision);
json_t *rules_states_json(struct rules *rules, const char *name);
json_t *rules_list_json(struct rules *rules);
/* Alerts, newest first; filters are NULL where they filter nothing. state: "firing" or "resolved". */
struct rules_filter {
    const char *state, *rule, *process;
};
json_t *rules_alerts_json(struct rules *rules, const struct rules_filter *filter);
json_t *rule_alert_json(const struct rule_alert *alert);
/* {"name","unit","help"} of every series. */
json_t *rules_series_json(void);

struct rules_figures {
    uint64_t rules, firing, controls, controls_failed, throttled, alerts_left_out, windows_left_out;
};
void rules_figures_get(struct rules *rules, struct rules_figures *out);

#endif
