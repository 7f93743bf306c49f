#include "history/sampler.h"

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

const char *history_library(void)
{
    return sqlite3_libversion();
}

bool history_flush(struct history *history, uint64_t wait_ns)
{
    return queue_flush(&history->queue, wait_ns);
}

int history_purge(struct history *history, uint64_t before_ns, const char *process, uint64_t wait_ns, uint64_t *forgotten)
{
    uint64_t until_ns = clock_mono_ns() + wait_ns;
    const struct timespec until = clock_timespec(until_ns);
    int error = 0;
    pthread_mutex_lock(&history->lock);
    if (history->purge_state == PURGE_ASKED || history->purge_state == PURGE_RUNS) {
        pthread_mutex_unlock(&history->lock);
        return -EBUSY;
    }
    history->purge = (struct purge){.before_ns = before_ns};
    snprintf(history->purge.process, sizeof history->purge.process, "%s", process ? process : "");
    history->purge_state = PURGE_ASKED;
    queue_hurry(&history->queue);
    while (history->purge_state != PURGE_DONE && !error)
        error = -pthread_cond_timedwait(&history->purged, &history->lock, &until);
    if (history->purge_state == PURGE_DONE)
        error = history->purge_error;
    *forgotten = history->purge_state == PURGE_DONE ? history->purge_forgotten : 0;
    pthread_mutex_unlock(&history->lock);
    return error;
}

static void free_all(struct history *history)
{
    file_close(&history->reader);
    queue_fini(&history->queue);
    pthread_mutex_destroy(&history->lock);
    pthread_mutex_destroy(&history->reader_lock);
    pthread_cond_destroy(&history->ticked);
    pthread_cond_destroy(&history->purged);
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
    if (!options->retry_ns)
        history->options.retry_ns = RETRY_NS;
    history->in_memory = !options->folder;
    snprintf(history->folder, sizeof history->folder, "%s", options->folder ? options->folder : "");
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
    pthread_cond_init(&history->purged, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return history;
}

int history_start(const struct history_options *options, struct history **out)
{
    struct history *history = make(options);
    if (!history)
        return -ENOMEM;
    if (options->folder && options->stats) {
        history->sampler = calloc(1, sizeof *history->sampler);
        if (!history->sampler) {
            free_all(history);
            return -ENOMEM;
        }
        history->sampler->queue = &history->queue;
    }
    int error = pthread_create(&history->writer, NULL, writer_run, history);
    if (error) {
        free_all(history);
        return -error;
    }
    *out = history;
    if (!history->sampler)
        return 0;
    error = pthread_create(&history->ticker, NULL, ticker_run, history);
    if (error) {
        sampler_free(history->sampler);
        history->sampler = NULL;
        history_stop(history);
    }
    return -error;
}

void history_stop(struct history *history)
{
    pthread_mutex_lock(&history->reader_lock);
    file_close(&history->reader); /* who closes last takes the log back into the file: the writer, for the reader cannot */
    pthread_mutex_unlock(&history->reader_lock);
    pthread_mutex_lock(&history->lock);
    history->stopping = true;
    pthread_cond_broadcast(&history->ticked);
    pthread_mutex_unlock(&history->lock);
    if (history->sampler)
        pthread_join(history->ticker, NULL);
    queue_stop(&history->queue);
    pthread_join(history->writer, NULL);
    if (history->sampler)
        sampler_free(history->sampler);
    free_all(history);
}
