/* The audit: who has asked for what, from where, and what came of it: a line in the log, and a sink that
 * may keep it for good.
 *
 * What is always true
 *  - A record never changes. What ends at once leaves one; an operation leaves two with its id: `accepted` when it
 *    starts, and one of its end, whose result and code are the operation's.
 *  - What was refused leaves one, `refused` with the problem's code, where the asker was not allowed to. Of those
 *    at most AUDIT_REFUSED_MAX are made a second, lest they push out what was done; the next one says how many were
 *    left out.
 *  - The sink hears every record once, in the order of seq.
 *  Any thread. */
#ifndef TALLY_OPERATIONS_AUDIT_H
#define TALLY_OPERATIONS_AUDIT_H

#include <stdint.h>

#define AUDIT_REFUSED_MAX 10u

/* X(NAME, room with the NUL). Texts are UTF-8 without control characters: what is too long is cut, what is neither
 * is replaced by '?'.
 *   who       "uid 1000", "token NAME", "session 1a2b3c4d", "rule NAME", "tallyd"
 *   from      "api.sock pid 4242", "127.0.0.1:53122"; "": from within
 *   kind      a stable word: collect, config, freeze, cancel, batch, login, token_create, rule_put ...
 *   target    a process's id, "ID/heaps/N", the name of a rule or token, or ""
 *   detail    what was asked, as compact JSON (which may be cut), or ""
 *   operation its id, or ""
 *   result    accepted, refused, done, or the state in which the operation has ended
 *   code      why not: of OPERATION_CODES or api/problems.def, or "" */
#define AUDIT_TEXTS(X) \
    X(who, 64) X(from, 64) X(kind, 24) X(target, 96) X(detail, 256) X(operation, 32) X(result, 24) X(code, 32)
struct audit_record {
    uint64_t seq;      /* counts records from 1 since the start; set by audit_record() */
    uint64_t wall_ns;  /* set by audit_record() */
    uint64_t left_out; /* refused ones before this one that have no record; set by audit_record() */
#define AUDIT_X(name, room) char name[room];
    AUDIT_TEXTS(AUDIT_X)
#undef AUDIT_X
};

struct audit;

/* NULL: out of memory. */
struct audit *audit_new(void);
void audit_free(struct audit *audit);

/* Where records go from now on; NULL: nowhere. Called by whoever records, in order and under the audit's lock: it
 * may queue, and must neither wait nor record. When this returns, the sink before is not running any more. */
typedef void (*audit_sink_fn)(void *arg, const struct audit_record *record);
void audit_to(struct audit *audit, audit_sink_fn sink, void *arg);

/* Says it in the log (at most LOG_LIMIT_LINES a second) and to the sink. audit may be NULL: no effect. */
void audit_record(struct audit *audit, const struct audit_record *record);

#endif
