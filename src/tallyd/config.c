/* The config file: inih reads it line by line; what it would take in silence (a line too long, a value on two lines, bytes
 * that are no text) is refused before it sees it. */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyd/tallyd.h"
#include "wire/message.h"

#define CONFIG_BYTES 65536u

struct config {
    struct settings *settings;
    const char *path;
    const char *at, *end; /* what is still to be read */
    unsigned line;        /* that inih has, from 1 */
    unsigned seen[OPTIONS];
    bool failed;
    char *why;
    size_t why_bytes;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct config *config, const char *format, ...)
{
    va_list arguments;
    if (config->failed) /* the first is told */
        return;
    config->failed = true;
    int length = snprintf(config->why, config->why_bytes, "%s:%u: ", config->path, config->line);
    if (length < 0 || (size_t)length >= config->why_bytes)
        return;
    va_start(arguments, format);
    vsnprintf(config->why + length, config->why_bytes - (size_t)length, format, arguments);
    va_end(arguments);
}

/* inih's fgets: the next line without what may stand before it, for it takes an indented line for more of a value. */
static char *line_read(char *out, int bytes, void *arg)
{
    struct config *config = arg;
    if (config->failed || config->at == config->end)
        return NULL;
    config->line++;
    const char *newline = memchr(config->at, '\n', (size_t)(config->end - config->at));
    const char *end = newline ? newline : config->end, *from = config->at;
    config->at = newline ? newline + 1 : config->end;
    if (end > from && end[-1] == '\r')
        end--;
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    size_t length = (size_t)(end - from);
    if (length > (size_t)bytes - 3) {
        refuse(config, "the line is longer than %d bytes", bytes - 3);
        return NULL;
    }
    for (size_t i = 0; i < length; i++)
        out[i] = from[i] == '\t' ? ' ' : from[i];
    if (!wire_text_valid(out, length)) {
        refuse(config, "the line holds control characters, or is not UTF-8");
        return NULL;
    }
    snprintf(out + length, 2, "\n");
    return out;
}

static int key_hear(void *arg, const char *section, const char *key, const char *value)
{
    struct config *config = arg;
    int row = 0;
    if (config->failed)
        return 1;
    while (row < OPTIONS && (!option_rows[row].section || strcmp(key, option_rows[row].name) != 0))
        row++;
    if (row == OPTIONS) {
        refuse(config, "%s: is no key of tallyd's; config/tallyd.conf shows all", key);
    } else if (strcmp(section, option_rows[row].section) != 0) {
        refuse(config, "%s: stands in section [%s], not in [%s]", key, option_rows[row].section, section);
    } else if (config->seen[row]) {
        refuse(config, "%s: stands twice, in line %u too", key, config->seen[row]);
    } else {
        char where[512];
        config->seen[row] = config->line;
        snprintf(where, sizeof where, "%s:%u: %s", config->path, config->line, key);
        config->failed = !settings_give(config->settings, (enum option_id)row, FROM_FILE, config->line, value, where,
                                        config->why, config->why_bytes);
    }
    return 1;
}

/* The whole of a regular file of bounded size, for free(3); NULL and errno. */
static char *file_read(const char *path, size_t *bytes)
{
    struct stat status;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode))
        error = EINVAL;
    else if (status.st_size > CONFIG_BYTES)
        error = EFBIG;
    else if (!(text = malloc(CONFIG_BYTES + 1)))
        error = ENOMEM;
    ssize_t got = error ? 0 : read(fd, text, CONFIG_BYTES + 1);
    if (!error && (got < 0 || got > (ssize_t)CONFIG_BYTES))
        error = got < 0 ? errno : EFBIG;
    close(fd);
    if (!error) {
        *bytes = (size_t)got;
        return text;
    }
    free(text);
    errno = error;
    return NULL;
}

bool config_read(struct settings *settings, const char *path, bool optional, char *why, size_t why_bytes)
{
    size_t bytes = 0;
    char *text = file_read(path, &bytes);
    if (!text) {
        settings->file_missing = errno == ENOENT || errno == ENOTDIR;
        if (optional && settings->file_missing)
            return true;
        snprintf(why, why_bytes, "%s: %s", path,
                 errno == EFBIG    ? "is larger than 64 KiB"
                 : errno == EINVAL ? "is no file"
                                   : strerror(errno));
        return false;
    }
    struct config config = {.settings = settings, .path = path, .at = text, .end = text + bytes, .why = why,
                            .why_bytes = why_bytes};
    int broken = ini_parse_stream(line_read, &config, key_hear, &config);
    if (broken > 0 && (unsigned)broken < config.line)
        config.failed = false; /* that is the first, and may be why the later line is wrong */
    if (!config.failed && broken) {
        config.line = broken > 0 ? (unsigned)broken : config.line;
        refuse(&config, "is neither a comment, nor [SECTION], nor KEY = VALUE");
    }
    free(text);
    return !config.failed;
}
