/* The page of /metrics: every process's figures in the text formats that Prometheus reads, made of metrics.def.
 *
 * What is always true
 *  - A page is made in one pass from one view: its series agree with one another.
 *  - A process has at most `process_series` series, the page at most `daemon_series` of processes; a subject
 *    (process, heap or app) is shown whole or not at all, and what is left out is counted.
 *  - No pid, address or command line is on it. Text from outside is escaped, and cut where it is long.
 */
#ifndef TALLY_API_METRICS_H
#define TALLY_API_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pulse.h"
#include "rules/rules.h"
#include "stats/stats.h"

/* Bits of ?detail= and --metrics-detail. X(NAME, bit, word) */
#define METRICS_DETAILS(X) \
    X(METRICS_APP, 1, "app") X(METRICS_PROCESS, 2, "process") X(METRICS_HEAPS, 4, "heaps") \
    X(METRICS_HISTOGRAMS, 8, "histograms") X(METRICS_MORE, 16, "more") X(METRICS_TYPES, 32, "types") \
    X(METRICS_OWN, 64, "own")
enum metrics_detail {
#define METRICS_X(name, bit, word) name = (bit),
    METRICS_DETAILS(METRICS_X)
#undef METRICS_X
};
#define METRICS_SCOPES (METRICS_APP | METRICS_PROCESS | METRICS_HEAPS | METRICS_OWN)
/* Without a scope: processes, or apps while there are many processes, and until there are fewer again. */
#define METRICS_APP_ABOVE 300u
#define METRICS_APP_UNTIL 240u

#define METRICS_PROCESS_SERIES 64u   /* default limits; */
#define METRICS_DETAILED 4u          /* times as many where more than the base is asked for */
#define METRICS_DAEMON_SERIES 20000u
#define METRICS_GONE_NS 300000000000u /* so long a process that is gone is shown */
#define METRICS_TYPES_ENTER 20u       /* ranks by live bytes: a type comes at this one, */
#define METRICS_TYPES_LEAVE 40u       /* and goes behind that one */

/* Words separated by commas, at most one of app, process, heaps; types need one of the last two, or none. false: *why
 * says which word is wrong. "" gives 0. */
bool metrics_detail_parse(const char *text, unsigned *detail, char *why, size_t why_bytes);

struct metrics_request { /* an answer's count, for tallyd_http_requests_total */
    const char *method, *path; /* of the route's row */
    unsigned code;
    uint64_t count;
};

/* What the daemon tells of itself; the series of processes are filled in by the page. */
struct metrics_own {
    const char *version;
    uint64_t live, gone, seq, streams, series, dropped_process, dropped_daemon;
    uint64_t history_written, history_dropped, history_bytes, history_degraded, log_left_out;
    uint64_t cpu_ns, resident_bytes, virtual_bytes, open_fds, max_fds, started_wall_ns;
    size_t request_count;
    const struct metrics_request *requests;
    struct rules_figures rules;
    struct pulse_work work[PULSES];
};
/* Fills in the members from cpu_ns to max_fds, as far as the system tells. */
void metrics_own_read(struct metrics_own *own);

/* What is remembered between pages: which types are shown, whether apps are, what was left out. */
struct metrics;
/* Limits of series, 0: the defaults. NULL: out of memory. */
struct metrics *metrics_new(size_t process_series, size_t daemon_series);
void metrics_free(struct metrics *metrics);

/* The page in classic text, or as OpenMetrics 1.0 (open), of *bytes; free(3) it. NULL: out of memory. own is filled in
 * where the page knows. now_*: the time that ages are reckoned from. Any thread; one page at a time is made. */
char *metrics_page_new(struct metrics *metrics, const struct stats_view *view, struct metrics_own *own, unsigned detail,
                       bool open, uint64_t now_wall_ns, uint64_t now_mono_ns, size_t *bytes);

/* Whether an Accept header (NULL: none) prefers OpenMetrics. */
bool metrics_accept_open(const char *accept);
#define METRICS_TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"

#endif
