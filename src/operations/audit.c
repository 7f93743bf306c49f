#include "operations/audit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/message.h"

struct audit {
    pthread_mutex_t lock; /* everything below */
    uint64_t count;       /* of all records */
    audit_sink_fn sink;
    void *sink_arg;
    struct log_limit log;
    uint64_t refused_second, refused_count, left_out;
};

struct audit *audit_new(void)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (audit)
        pthread_mutex_init(&audit->lock, NULL);
    return audit;
}

void audit_free(struct audit *audit)
{
    pthread_mutex_destroy(&audit->lock);
    free(audit);
}

void audit_to(struct audit *audit, audit_sink_fn sink, void *arg)
{
    pthread_mutex_lock(&audit->lock);
    audit->sink = sink;
    audit->sink_arg = arg;
    pthread_mutex_unlock(&audit->lock);
}

/* Post-condition: a valid text. What was cut may end in half a character, which goes. */
static void text_clean(char *text, size_t room)
{
    text[room - 1] = '\0';
    size_t length = strlen(text);
    for (size_t cut = 0; cut <= 3 && cut <= length; cut++) {
        if (!wire_text_valid(text, length - cut))
            continue;
        text[length - cut] = '\0';
        return;
    }
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
            *at = '?';
}

/* Whether this refusal is one too many. Under the lock. */
static bool refused_too_often(struct audit *audit, const struct audit_record *record)
{
    uint64_t second = clock_mono_ns() / 1000000000u;
    if (strcmp(record->result, "refused") != 0)
        return false;
    if (second != audit->refused_second) {
        audit->refused_second = second;
        audit->refused_count = 0;
    }
    if (audit->refused_count++ < AUDIT_REFUSED_MAX)
        return false;
    audit->left_out++;
    return true;
}

static void log_record(struct audit *audit, const struct audit_record *record)
{
#define AUDIT_X(name, room) {#name, record->name},
    const struct log_field fields[] = {AUDIT_TEXTS(AUDIT_X) {NULL, NULL}};
#undef AUDIT_X
    log_write(&audit->log, LOG_LEVEL_INFO, fields, "audit: %s %s", record->kind, record->result);
}

void audit_record(struct audit *audit, const struct audit_record *record)
{
    if (!audit)
        return;
    pthread_mutex_lock(&audit->lock);
    if (!refused_too_often(audit, record)) {
        struct audit_record made = *record;
        made.seq = ++audit->count;
        made.wall_ns = clock_wall_ns();
        made.left_out = audit->left_out;
        audit->left_out = 0;
#define AUDIT_X(name, room) text_clean(made.name, room);
        AUDIT_TEXTS(AUDIT_X)
#undef AUDIT_X
        log_record(audit, &made);
        if (audit->sink)
            audit->sink(audit->sink_arg, &made);
    }
    pthread_mutex_unlock(&audit->lock);
}
