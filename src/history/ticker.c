/* The ticker's thread: gives the sampler a view and the clocks several times a second, once there is a file, and looks
 * whether the disk has room left. */
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "history/sampler.h"

#define TICK_NS 250000000u
#define DISK_LEAST ((uint64_t)1 << 20) /* bytes: with less, no commit is sure */

static bool disk_is_full(const struct history *history)
{
    struct statvfs status;
    return !history->in_memory && !statvfs(history->folder, &status) &&
           (uint64_t)status.f_bavail * status.f_frsize < DISK_LEAST;
}

/* Waits for the next tick. false: it is the end. */
static bool wait_tick(struct history *history, uint64_t until_ns, struct base *base)
{
    const struct timespec until = clock_timespec(until_ns);
    bool full = disk_is_full(history);
    pthread_mutex_lock(&history->lock);
    history->full = full;
    if (!history->stopping)
        pthread_cond_timedwait(&history->ticked, &history->lock, &until);
    *base = history->base;
    history->sampler->broken |= history->breaks != history->sampler->breaks;
    history->sampler->breaks = history->breaks;
    bool on = !history->stopping;
    pthread_mutex_unlock(&history->lock);
    return on;
}

void *ticker_run(void *arg)
{
    struct history *history = arg;
    struct base base;
    uint64_t next_ns = clock_mono_ns();
    while (wait_tick(history, next_ns, &base)) {
        if (base.epoch) {
            const struct stats_view *view = stats_view_get_new(history->options.stats);
            sampler_tick(history->sampler, &base, view, clock_mono_ns(), clock_wall_ns());
            stats_view_unref(view);
            pthread_mutex_lock(&history->lock);
            history->now = history->sampler->at;
            pthread_mutex_unlock(&history->lock);
        }
        uint64_t now_ns = clock_mono_ns();
        next_ns = next_ns + TICK_NS > now_ns ? next_ns + TICK_NS : now_ns + TICK_NS;
    }
    sampler_end(history->sampler);
    return NULL;
}
