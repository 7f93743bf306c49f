/* What assert asserts, and the verdict. Pure. */
#ifndef TALLYCTL_JUDGE_H
#define TALLYCTL_JUDGE_H

#include <jansson.h>

#include "tallyctl/tallyctl.h"

#define JUDGE_CHECKS_MAX 3

struct judge_check {
    const char *figure; /* "live objects", "live bytes", "live objects more than at the baseline" */
    uint64_t limit;
    int64_t value;
    bool holds;
};

struct verdict {
    const char *of;   /* the type, or "all types" */
    bool known;       /* the type has been seen at all */
    bool understated; /* some types have no row of their own: there may be more of this one */
    bool gone;        /* the process has ended */
    bool holds;       /* every check does */
    unsigned count;
    struct judge_check checks[JUDGE_CHECKS_MAX];
};

/* Whether a process has ended before tallyd saw a heap of it: its figures say nothing then. */
bool judge_is_blind(const json_t *stats);

/* Judges by the process's stats and its types (all pages, in one array; with since_baseline where growth is asserted). */
struct verdict judge(const struct ctl *ctl, const json_t *stats, const json_t *types);

/* "Node: 12 live objects, at most 0; …". Caller frees; NULL: no memory. */
char *judge_sentence_dup(const struct verdict *verdict);

/* The same as JSON; caller owns it. */
json_t *judge_json(const struct verdict *verdict, const char *process);

/* As JUnit has it: a case a check, or one that has an error, where `error` says why nothing could be judged. */
void judge_junit(FILE *to, const struct verdict *verdict, const char *process, const char *error, double seconds);

#endif
