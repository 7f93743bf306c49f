/* What tallyd says, on standard error: one line an event, `TIME LEVEL text`, control characters escaped. The
 * world's faults are warnings; fatal() is for broken invariants of our own. Any thread. */
#ifndef TALLY_BASE_LOG_H
#define TALLY_BASE_LOG_H

#include <stdint.h>

__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warn(const char *format, ...);
__attribute__((format(printf, 1, 2), noreturn)) void fatal(const char *format, ...);

/* At most LOG_LIMIT_LINES lines a second of one cause; what was left out is said with the next line that
 * passes. Zero-initialised; one thread a limit. */
#define LOG_LIMIT_LINES 10u
struct log_limit {
    uint64_t second;
    unsigned lines, left_out;
};
__attribute__((format(printf, 2, 3))) void log_limited(struct log_limit *limit, const char *format, ...);
__attribute__((format(printf, 2, 3))) void log_info_limited(struct log_limit *limit, const char *format, ...);

#endif
