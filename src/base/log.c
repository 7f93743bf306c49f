#include "base/log.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/utf8.h"

#define MESSAGE_BYTES 512
#define LINE_BYTES 4096
#define LINE_ENDS 512 /* kept free for keys and brackets by what is long */
#define FIELDS_MAX 16

static const char *const level_words[] = {"warn", "info", "debug"};
static atomic_int most = LOG_LEVEL_INFO;
static atomic_bool as_json, to_journal;
static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- a line, which ends where it is full */

struct line {
    size_t at;
    char bytes[LINE_BYTES];
};

static void put(struct line *line, const char *text, size_t bytes)
{
    if (line->at + bytes >= sizeof line->bytes)
        return;
    memcpy(line->bytes + line->at, text, bytes);
    line->at += bytes;
}

/* Of one character, `bytes` long, or of one byte that begins none. */
static void put_escaped(struct line *line, const unsigned char *at, size_t bytes, bool json)
{
    char text[16];
    unsigned code = bytes == 2 ? 0x80u + (at[1] & 0x3fu) : at[0]; /* C1, or a byte */
    int length = bytes && json ? snprintf(text, sizeof text, "\\u%04x", code)
                 : json        ? snprintf(text, sizeof text, "\\ufffd")
                               : snprintf(text, sizeof text, "\\x%02x", code);
    put(line, text, (size_t)length);
}

static void put_text(struct line *line, const char *text, bool quoted, bool json)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t left = strlen(text), step; left && line->at < sizeof line->bytes - LINE_ENDS; at += step, left -= step) {
        size_t bytes = utf8_bytes(at, left);
        step = bytes ? bytes : 1;
        if (quoted && (*at == '"' || *at == '\\'))
            put(line, "\\", 1);
        if (!bytes || utf8_is_control(at, bytes))
            put_escaped(line, at, bytes, json);
        else
            put(line, (const char *)at, bytes);
    }
}

static void put_time(struct line *line)
{
    char text[TEXT_TIME];
    text_time(text, clock_wall_ns());
    put(line, text, strlen(text));
}

static void put_word(struct line *line, const char *word)
{
    put(line, word, strlen(word));
}

static void put_quoted(struct line *line, const char *text, bool json)
{
    put(line, "\"", 1);
    put_text(line, text, true, json);
    put(line, "\"", 1);
}

static void line_as_text(struct line *line, enum log_level level, const struct log_field *fields, const char *message)
{
    put_time(line);
    put_word(line, " ");
    put_word(line, level_words[level]);
    put_word(line, " ");
    put_text(line, message, false, false);
    for (; fields && fields->key; fields++) {
        if (!fields->value || !*fields->value)
            continue;
        put_word(line, " ");
        put_word(line, fields->key);
        put_word(line, "=");
        if (strpbrk(fields->value, " \"\\="))
            put_quoted(line, fields->value, false);
        else
            put_text(line, fields->value, false, false);
    }
}

static void line_as_json(struct line *line, enum log_level level, const struct log_field *fields, const char *message)
{
    put_word(line, "{\"time\":\"");
    put_time(line);
    put_word(line, "\",\"level\":\"");
    put_word(line, level_words[level]);
    put_word(line, "\",\"message\":");
    put_quoted(line, message, true);
    for (; fields && fields->key; fields++) {
        if (!fields->value || !*fields->value)
            continue;
        put_word(line, ",");
        put_quoted(line, fields->key, true);
        put_word(line, ":");
        put_quoted(line, fields->value, true);
    }
    put_word(line, "}");
}

/* ---- where it goes */

/* false: nobody took it. */
static bool journal_write(enum log_level level, const struct log_field *fields, const char *message)
{
    static const char priorities[] = {[LOG_LEVEL_WARN] = '4', [LOG_LEVEL_INFO] = '6', [LOG_LEVEL_DEBUG] = '7'};
    struct line lines[FIELDS_MAX + 2];
    struct iovec parts[FIELDS_MAX + 2];
    int count = 0;
    for (; count < FIELDS_MAX + 2; count++) {
        struct line *line = &lines[count];
        line->at = 0;
        if (count == 0) {
            put_word(line, "MESSAGE=");
            put_text(line, message, false, false);
        } else if (count == 1) {
            put_word(line, "PRIORITY=");
            put(line, &priorities[level], 1);
        } else if (fields && fields->key) {
            put_word(line, "TALLY_");
            for (const char *key = fields->key; *key; key++)
                put(line, &(char){(char)toupper((unsigned char)*key)}, 1);
            put_word(line, "=");
            put_text(line, fields->value ? fields->value : "", false, false);
            fields++;
        } else {
            break;
        }
        parts[count] = (struct iovec){line->bytes, line->at};
    }
    return sd_journal_sendv(parts, count) >= 0;
}

/* One write a line, so that lines of several threads do not mix. */
static void stderr_write(enum log_level level, const struct log_field *fields, const char *message)
{
    struct line line = {.at = 0};
    if (as_json)
        line_as_json(&line, level, fields, message);
    else
        line_as_text(&line, level, fields, message);
    line.bytes[line.at++] = '\n'; /* put() leaves room for one */
    ssize_t written = write(STDERR_FILENO, line.bytes, line.at);
    (void)written;
}

static void say(enum log_level level, const struct log_field *fields, const char *message)
{
    if (!to_journal || !journal_write(level, fields, message))
        stderr_write(level, fields, message);
}

static uint64_t all_left_out; /* under limits_lock */

uint64_t log_left_out(void)
{
    pthread_mutex_lock(&limits_lock);
    uint64_t count = all_left_out;
    pthread_mutex_unlock(&limits_lock);
    return count;
}

/* Whether one more may be said this second, and how many were left out before. */
static bool limit_passes(struct log_limit *limit, unsigned *left_out)
{
    uint64_t second = clock_mono_ns() / 1000000000u;
    pthread_mutex_lock(&limits_lock);
    *left_out = 0;
    if (second != limit->second) {
        *left_out = limit->left_out;
        *limit = (struct log_limit){.second = second};
    }
    bool passes = limit->lines < LOG_LIMIT_LINES;
    if (passes) {
        limit->lines++;
    } else {
        limit->left_out++;
        all_left_out++;
    }
    pthread_mutex_unlock(&limits_lock);
    return passes;
}

void log_write(struct log_limit *limit, enum log_level level, const struct log_field *fields, const char *format, ...)
{
    char message[MESSAGE_BYTES], number[16];
    unsigned left_out;
    if ((int)level > most || !limit_passes(limit, &left_out))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (left_out) {
        snprintf(number, sizeof number, "%u", left_out);
        say(level, LOG_FIELDS({"left_out", number}), "lines like the next were left out");
    }
    say(level, fields, message);
}

/* ---- how */

bool log_shows(enum log_level level)
{
    return (int)level <= most;
}

void log_setup(const char *level, const char *format)
{
    for (int i = 0; i < (int)(sizeof level_words / sizeof *level_words); i++)
        if (!strcmp(level, level_words[i]))
            most = i;
    as_json = !strcmp(format, "json");
}

void log_to_journal(bool journal)
{
    to_journal = journal;
}

bool log_is_journal_stream(void)
{
    unsigned long long device, inode;
    struct stat status;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && !fstat(STDERR_FILENO, &status) &&
           status.st_dev == device && status.st_ino == inode;
}
