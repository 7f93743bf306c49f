/* The audit's records as a sink hears them. */
#ifndef TESTS_UNIT_OPERATIONS_HEARD_H
#define TESTS_UNIT_OPERATIONS_HEARD_H

#include <pthread.h>
#include <string.h>

#include "operations/audit.h"

#define HEARD_MOST 1000u

struct heard { /* zero-initialised */
    struct audit *audit;
    pthread_mutex_t lock;
    size_t count;
    struct audit_record records[HEARD_MOST]; /* the first ones */
};

static inline void heard_take(void *arg, const struct audit_record *record)
{
    struct heard *heard = arg;
    pthread_mutex_lock(&heard->lock);
    if (heard->count < HEARD_MOST)
        heard->records[heard->count++] = *record;
    pthread_mutex_unlock(&heard->lock);
}

static inline struct audit *heard_start(struct heard *heard)
{
    pthread_mutex_init(&heard->lock, NULL);
    heard->audit = audit_new();
    audit_to(heard->audit, heard_take, heard);
    return heard->audit;
}

/* The newest first, at most `limit`; returns how many. */
static inline size_t heard_list(struct heard *heard, struct audit_record *records, size_t limit)
{
    size_t count = 0;
    pthread_mutex_lock(&heard->lock);
    for (; count < limit && count < heard->count; count++)
        records[count] = heard->records[heard->count - 1 - count];
    pthread_mutex_unlock(&heard->lock);
    return count;
}

#endif
