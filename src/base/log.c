#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_BYTES 1024

/* One write a line, so that lines of several threads do not mix. */
static void say(const char *level, const char *format, va_list arguments)
{
    char text[LINE_BYTES / 2], line[LINE_BYTES + 64];
    vsnprintf(text, sizeof text, format, arguments);
    uint64_t now = clock_wall_ns();
    time_t seconds = (time_t)(now / 1000000000u);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t at = strftime(line, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    at += (size_t)snprintf(line + at, sizeof line - at, ".%03uZ %s ", (unsigned)(now / 1000000u % 1000u),
                           level);
    for (const char *from = text; *from && at < sizeof line - 8; from++) {
        unsigned char byte = (unsigned char)*from;
        if (byte < 0x20 || byte == 0x7f)
            at += (size_t)snprintf(line + at, sizeof line - at, "\\x%02x", byte);
        else
            line[at++] = *from;
    }
    line[at++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, at);
    (void)written;
}

void log_info(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("info", format, arguments);
    va_end(arguments);
}

void log_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("warn", format, arguments);
    va_end(arguments);
}

void fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("fatal", format, arguments);
    va_end(arguments);
    abort();
}

static bool limit_passes(struct log_limit *limit)
{
    uint64_t second = clock_mono_ns() / 1000000000u;
    if (second != limit->second) {
        if (limit->left_out)
            log_warn("%u more lines like the one before were left out", limit->left_out);
        *limit = (struct log_limit){.second = second};
    }
    if (limit->lines == LOG_LIMIT_LINES) {
        limit->left_out++;
        return false;
    }
    limit->lines++;
    return true;
}

void log_limited(struct log_limit *limit, const char *format, ...)
{
    if (!limit_passes(limit))
        return;
    va_list arguments;
    va_start(arguments, format);
    say("warn", format, arguments);
    va_end(arguments);
}

void log_info_limited(struct log_limit *limit, const char *format, ...)
{
    if (!limit_passes(limit))
        return;
    va_list arguments;
    va_start(arguments, format);
    say("info", format, arguments);
    va_end(arguments);
}
