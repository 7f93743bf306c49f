/* What doctor finds: a list that grows, each entry "ok", "warn" or "fail" and, unless ok, what to do. */
#ifndef TALLYCTL_DOCTOR_H
#define TALLYCTL_DOCTOR_H

#include <jansson.h>

#include "tallyctl/tallyctl.h"

#define DOCTOR_OK "ok"
#define DOCTOR_WARN "warn"
#define DOCTOR_FAIL "fail"

/* Adds a finding; `advice` is borrowed, NULL for ok. */
void doctor_add(json_t *findings, const char *level, const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The runtime directory and the files in it, as far as they can be seen without asking tallyd. */
void doctor_check_directory(json_t *findings, const char *directory);

/* What tallyd says, of itself and of the process that `ctl` names, else of all; `directory` is its own, NULL: it is asked
 * over TCP. */
void doctor_ask(const struct ctl *ctl, json_t *findings, const char *directory);

/* One process of the list that is live; tallyd: its version. */
void doctor_check_attached(json_t *findings, const json_t *process, const char *tallyd);

/* Why the process of that pid is not attached to the tallyd of `directory`: looks in /proc. asked: tallyd has said that it
 * is not; else there was none to ask. */
void doctor_check_pid(json_t *findings, unsigned pid, const char *directory, bool asked);

#endif
