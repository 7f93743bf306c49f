/* What tallyd says: one event a line on standard error, as text (`TIME LEVEL message key=value`) or as JSON, or an entry of
 * the journal. Control characters and what is no UTF-8 are escaped. Of one cause, which is the line of code unless
 * log_limited() says otherwise, at most LOG_LIMIT_LINES a second are said; the next that passes tells how many were not. Any
 * thread. */
#ifndef TALLY_BASE_LOG_H
#define TALLY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
    const char *key, *value; /* lower_case; NULL or "": left out */
};
/* LOG_FIELDS({"who", who}, {"from", from}) */
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {NULL, NULL}})

#define LOG_LIMIT_LINES 10u
struct log_limit { /* zero-initialised */
    uint64_t second;
    unsigned lines, left_out;
};

#define log_debug(...) LOG_HERE(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define log_info(...) LOG_HERE(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_warn(...) LOG_HERE(LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_limited(limit, ...) log_write(limit, LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_info_limited(limit, ...) log_write(limit, LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define LOG_HERE(level, fields, ...)                                                                                   \
    do {                                                                                                               \
        static struct log_limit log_limit_here;                                                                        \
        log_write(&log_limit_here, level, fields, __VA_ARGS__);                                                        \
    } while (0)

/* fields: LOG_FIELDS(...) or NULL. */
__attribute__((format(printf, 4, 5))) void log_write(struct log_limit *limit, enum log_level level,
                                                     const struct log_field *fields, const char *format, ...);

/* How many lines the limits have held back since the start. */
uint64_t log_left_out(void);
/* Whether lines of this level are said at all, for who would take pains over one. */
bool log_shows(enum log_level level);

/* From now on: level "warn", "info" (as at first) or "debug"; format "text" (as at first) or "json". */
void log_setup(const char *level, const char *format);
/* Whether entries go to the journal instead, whose fields are MESSAGE, PRIORITY and TALLY_<KEY>; where it takes one not, that
 * one goes to standard error. */
void log_to_journal(bool journal);
/* Whether standard error is the journal's own stream, as a service's is ($JOURNAL_STREAM). */
bool log_is_journal_stream(void);

#endif
