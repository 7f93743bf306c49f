#include "history/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void history_alert(struct history *history, const struct history_alert *alert)
{
    struct row_alert row = {.row = {.kind = ROW_ALERT}, .alert = *alert};
    if (history)
        queue_put(&history->queue, &row.row, sizeof row, NULL, 0);
}

void history_audit(void *history, const struct audit_record *record)
{
    struct row_audit row = {.row = {.kind = ROW_AUDIT}, .record = *record};
    queue_put(&((struct history *)history)->queue, &row.row, sizeof row, NULL, 0);
}

void history_status_get(struct history *history, struct history_status *status)
{
    pthread_mutex_lock(&history->lock);
    *status = (struct history_status){.figures = !history->in_memory, .ready = history->base.epoch,
                                      .degraded = history->degraded || history->full,
                                      .rows_written = history->rows_written, .bytes = history->bytes,
                                      .size_bytes = history->options.size_bytes};
    snprintf(status->why, sizeof status->why, "%s", history->degraded || !history->full ? history->why : "the disk is full");
    pthread_mutex_unlock(&history->lock);
    pthread_mutex_lock(&history->queue.lock);
    status->rows_dropped = history->queue.dropped;
    pthread_mutex_unlock(&history->queue.lock);
}

bool history_flush(struct history *history, uint64_t wait_ns)
{
    return queue_flush(&history->queue, wait_ns);
}

static void free_all(struct history *history)
{
    file_close(&history->reader);
    queue_fini(&history->queue);
    pthread_mutex_destroy(&history->lock);
    pthread_mutex_destroy(&history->reader_lock);
    pthread_cond_destroy(&history->ticked);
    free(history);
}

static struct history *make(const struct history_options *options)
{
    static atomic_uint memories; /* each has its own */
    struct history *history = calloc(1, sizeof *history);
    pthread_condattr_t monotonic;
    if (!history)
        return NULL;
    history->options = *options;
    history->options.folder = NULL; /* its path is ours */
    if (!options->size_bytes)
        history->options.size_bytes = HISTORY_SIZE_DEFAULT;
    if (!options->keep_days)
        history->options.keep_days = HISTORY_KEEP_DAYS_DEFAULT;
    history->in_memory = !options->folder;
    if (options->folder)
        snprintf(history->path, sizeof history->path, "%s/history.db", options->folder);
    else
        snprintf(history->path, sizeof history->path, "file:/tally-%u?vfs=memdb", atomic_fetch_add(&memories, 1));
    queue_init(&history->queue);
    pthread_mutex_init(&history->lock, NULL);
    pthread_mutex_init(&history->reader_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&history->ticked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return history;
}

int history_start(const struct history_options *options, struct history **out)
{
    struct history *history = make(options);
    if (!history)
        return -ENOMEM;
    int error = pthread_create(&history->writer, NULL, writer_run, history);
    if (error) {
        free_all(history);
        return -error;
    }
    *out = history;
    return 0;
}

void history_stop(struct history *history)
{
    queue_stop(&history->queue);
    pthread_join(history->writer, NULL);
    free_all(history);
}
