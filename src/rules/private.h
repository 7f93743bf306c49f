/* What the files of rules share. */
#ifndef TALLY_RULES_PRIVATE_H
#define TALLY_RULES_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "rules/rules.h"

#define SECOND_NS ((uint64_t)1000000000u)
#define HOUR_NS (3600 * SECOND_NS)
#define TYPE_BYTES_MAX 256u
#define TYPES_MAX 256u /* windows of types, of one rule at one process */
#define ACTIONS_MAX 4u
#define LIMIT_MAX 360u /* of limit_per_hour */
#define STATES_SHOWN 100u

/* ---- series.c */
enum source { FIGURE, RATE, PAUSE_P99, FREE_NOTHING, SAFEPOINT_AGE, TYPE_BYTES, TYPE_OBJECTS };
struct series {
    const char *name, *unit, *help;
    enum source source;
    size_t offset; /* in struct stats_figures */
};
const struct series *series_find(const char *name); /* NULL: none */
void series_names(char *text, size_t bytes); /* of all, a blank before each; cut where there is no room */
static inline bool series_of_types(const struct series *series)
{
    return series->source == TYPE_BYTES || series->source == TYPE_OBJECTS;
}
/* The figure now; false: not known. Of a series of types: of all that have the name `type`. */
bool series_value(const struct series *series, const struct stats_process_view *process, const char *type, uint64_t over_ns,
                  uint64_t now_ns, double *value);

/* ---- window.c: floors of the last slots, and the figure now */
#define WINDOW_STEPS 8u
struct window {
    uint64_t began_ns; /* the slot under way; 0: no figure yet */
    unsigned count;    /* whole slots */
    double last, least;
    uint64_t first_ns; /* when the slot's first figure was taken */
    struct { double least; uint64_t first_ns; } slots[WINDOW_STEPS + 1]; /* oldest first */
};
void window_add(struct window *window, uint64_t slot_ns, uint64_t now_ns, double value);
/* false: the window is not full. */
bool window_growth(const struct window *window, double *growth, double *from);
static inline bool window_full(const struct window *window)
{
    return window->count > WINDOW_STEPS;
}
bool window_rises(const struct window *window); /* steadily; full */
bool window_rate(const struct window *window, uint64_t now_ns, double *per_second);

/* ---- parse.c */
enum condition { ABOVE, BELOW, GROWS };
struct action {
    const char *kind; /* "collect", "config" */
    struct wire_command command;
    uint64_t deadline_ms;
    char *detail;     /* its body, for the audit */
};
struct rule {
    char name[RULES_NAME_MAX + 1];
    json_t *json; /* as it was put, with what it left out filled in */
    bool enabled;
    json_t *labels; /* of the selector, borrowed from json; NULL: any */
    const char *process_name; /* likewise */
    const struct series *series;
    const char *type; /* likewise; NULL: any */
    enum condition condition;
    bool percent, steadily;
    double bound;
    uint64_t over_ns, for_ns, every_ns;
    bool log, alert;
    size_t action_count;
    struct action actions[ACTIONS_MAX];
    unsigned limit_per_hour;
    /* engine */
    uint64_t revision, created_wall_ns, changed_wall_ns;
    uint64_t acted_wall_ns[LIMIT_MAX]; /* the last limit_per_hour controls, a ring */
    unsigned acted_next;
    uint64_t controls, controls_failed;
    char last_error[160];
    size_t states[4]; /* processes, by state; as of the last evaluation */
};
/* NULL: *why says which member is wrong, and what is allowed. */
struct rule *rule_parse(const char *name, json_t *body, rules_command_fn command, char *why, size_t why_bytes);
void rule_free(struct rule *rule);
/* "above 1000000", "grows by 20% over 60s" */
void rule_condition(const struct rule *rule, char *text, size_t bytes);
static inline bool rule_has_window(const struct rule *rule)
{
    return rule->condition == GROWS || rule->series->source == RATE;
}

/* ---- engine.c */
enum state { INACTIVE, PENDING, FIRING, THROTTLED };
struct alert { /* in one of the two lists, or told of only */
    struct alert *next, *previous;
    uint64_t number;
    bool firing;
    char rule[RULES_NAME_MAX + 1], process[33], name[256], type[TYPE_BYTES_MAX], condition[96];
    const char *series, *reason;
    double value, bound;
    uint64_t began_wall_ns, ended_wall_ns;
};
struct alerts {
    struct alert *newest, *oldest;
    size_t count;
};
struct typed {
    const char *name; /* the process's own copy: its address is its name */
    uint64_t size_bytes;
    struct window window;
};
struct rule_entry { /* one rule at one process; NULL: inactive, and no window */
    enum state state;
    bool holds;
    bool restored; /* from before a restart, and its window is not full again */
    uint64_t since_ns; /* of the state; */
    uint64_t turned_ns; /* since when it holds, or does not */
    uint64_t acted_ns, sample_ns;
    double value;
    char type[TYPE_BYTES_MAX];
    struct alert *alert;
    struct window *window;
    struct typed *types;
    size_t type_count, type_room;
};
struct watch { /* a live process */
    struct watch *next;
    char id[33];
    uint64_t seq, turn; /* of its view; of the last evaluation that saw it */
    uint64_t matched_revision; /* `matches` are as of this state of the rules */
    bool matches[RULES_MAX];
    struct rule_entry *entries[RULES_MAX];
};
struct restored { /* it fired when tallyd ended; its process has not come back yet */
    struct restored *next;
    char rule[RULES_NAME_MAX + 1], process[33];
    struct alert *alert; /* NULL: the rule does not alert */
    bool throttled;
    uint64_t since_wall_ns;
    double value;
    char type[TYPE_BYTES_MAX];
};
#define RESTORED_NS (60 * SECOND_NS) /* so long it is waited for */

struct told { /* what is to be done once the lock is free */
    enum { TELL_ALERT, TELL_LOG, TELL_ACT } kind;
    struct alert alert; /* and of the rule: what, at whom */
    struct action action;
    size_t target_count;
    struct operation_target *targets;
};

struct rules {
    struct rules_options options;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    bool running, ending;
    struct stats *stats;
    struct rule *rules[RULES_MAX];
    uint64_t revision, alert_number, turn;
    void *by_id; /* watches, by tsearch(3) */
    struct watch *watches;
    struct restored *restored;
    uint64_t restored_until_ns;
    struct alerts firing, resolved;
    size_t window_bytes;
    uint64_t windows_left_out, alerts_left_out, throttled, controls, controls_failed;
    bool unsaved;
    struct log_limit unsaved_limit; /* under file_lock */
    struct told *told;
    size_t told_count, told_room;
    pthread_mutex_t file_lock; /* taken before lock, never after it: changes of rules, and the file */
};

int rule_slot(const struct rules *rules, const char *name); /* -1: none */
/* Ends what a rule's slot has going on at all processes. Under the lock. */
void slot_reset(struct rules *rules, unsigned slot, const char *reason, uint64_t now_wall_ns);
/* Does what waits, and empties the list. Not under the lock. */
void told_carry_out(struct rules *rules, struct told *told, size_t count);
struct told *told_take(struct rules *rules, size_t *count); /* under the lock */
void watches_free(struct rules *rules);

/* ---- alerts.c; under the lock */
struct alert *alert_begin(struct rules *rules, const struct rule *rule, const struct stats_process_view *process,
                          const struct rule_entry *entry, uint64_t now_wall_ns);
void alert_end(struct rules *rules, struct alert *alert, const char *reason, uint64_t now_wall_ns);
void alert_list(struct alerts *alerts, struct alert *alert); /* as the newest */
void alerts_free(struct alerts *alerts);
struct told *told_add(struct rules *rules); /* zeroed; NULL: out of memory */
void alert_view(const struct alert *alert, struct rule_alert *view);
json_t *number_json(double value);
json_t *time_json(uint64_t wall_ns);

/* ---- act.c */
/* Whether the hourly limit leaves room, and takes it. */
bool limit_take(struct rule *rule, uint64_t now_wall_ns);
unsigned limit_used(const struct rule *rule, uint64_t now_wall_ns);
/* Lists the controls of a rule for a process. Under the lock. */
void actions_tell(struct rules *rules, struct rule *rule, const struct stats_process_view *process);

/* ---- keep.c */
void keep_load(struct rules *rules);
/* As it is, but for a slot (RULES_MAX: none) that holds `instead`. Under the lock. */
json_t *keep_json(const struct rules *rules, unsigned slot, const struct rule *instead);
int keep_write(const struct rules *rules, json_t *json); /* steals json; 0 or -errno */

#endif
