/* What doctor finds: a list that grows, each entry "ok", "warn" or "fail" and, unless ok, what to do. */
#ifndef TALLYCTL_DOCTOR_H
#define TALLYCTL_DOCTOR_H

#include <jansson.h>

#define DOCTOR_OK "ok"
#define DOCTOR_WARN "warn"
#define DOCTOR_FAIL "fail"

/* Adds a finding; `advice` is borrowed, NULL for ok. */
void doctor_add(json_t *findings, const char *level, const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The runtime directory and the files in it, as far as they can be seen without asking tallyd. */
void doctor_check_directory(json_t *findings, const char *directory);

/* Why the process of that pid is not attached to the tallyd of `directory`: looks in /proc. */
void doctor_check_pid(json_t *findings, unsigned pid, const char *directory);

#endif
