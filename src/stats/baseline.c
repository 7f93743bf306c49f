/* Newest first, in one list; so what goes first is last. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "stats/model.h"

struct baseline {
    struct baseline *next;
    struct stats_baseline is;
    size_t bytes;
};

static void drop(struct stats *stats, struct baseline **link)
{
    struct baseline *gone = *link;
    *link = gone->next;
    stats->baseline_bytes -= gone->bytes;
    stats_process_unref(gone->is.process);
    free(gone);
}

static bool is_of(const struct baseline *baseline, const char *id)
{
    return !id || !strcmp(baseline->is.process->id, id);
}

/* The last of a process, or of all; how many there are. */
static struct baseline **oldest_of(struct stats *stats, const char *id, size_t *count)
{
    struct baseline **oldest = NULL;
    *count = 0;
    for (struct baseline **link = &stats->baselines; *link; link = &(*link)->next)
        if (is_of(*link, id)) {
            oldest = link;
            ++*count;
        }
    return oldest;
}

static void prune(struct stats *stats, const char *id)
{
    size_t count;
    struct baseline **oldest = oldest_of(stats, id, &count);
    if (count > BASELINES_EACH)
        drop(stats, oldest);
    while ((oldest = oldest_of(stats, NULL, &count)),
           count > BASELINES_ALL || (count > 1 && stats->baseline_bytes > BASELINES_BYTES))
        drop(stats, oldest);
}

uint64_t stats_baseline_set(struct stats *stats, const struct stats_process_view *process)
{
    struct baseline *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return 0;
    pthread_mutex_lock(&stats->baselines_lock);
    uint64_t number = ++stats->baseline_number;
    *fresh = (struct baseline){.next = stats->baselines,
                               .is = {number, clock_wall_ns(), stats_process_ref(process)},
                               .bytes = stats_process_bytes(process)};
    stats->baselines = fresh;
    stats->baseline_bytes += fresh->bytes;
    prune(stats, process->id);
    pthread_mutex_unlock(&stats->baselines_lock);
    return number;
}

/* number 0: any. Under the lock. */
static struct baseline **link_find(struct stats *stats, const char *id, uint64_t number)
{
    struct baseline **link = &stats->baselines;
    while (*link && !(is_of(*link, id) && (!number || (*link)->is.number == number)))
        link = &(*link)->next;
    return *link ? link : NULL;
}

static bool find(struct stats *stats, const char *id, uint64_t number, struct stats_baseline *out)
{
    pthread_mutex_lock(&stats->baselines_lock);
    struct baseline **link = link_find(stats, id, number);
    if (link) {
        *out = (*link)->is;
        stats_process_ref(out->process);
    }
    pthread_mutex_unlock(&stats->baselines_lock);
    return link;
}

bool stats_baseline_newest(struct stats *stats, const char *id, struct stats_baseline *out)
{
    return find(stats, id, 0, out);
}

bool stats_baseline_find(struct stats *stats, uint64_t number, struct stats_baseline *out)
{
    return number && find(stats, NULL, number, out);
}

size_t stats_baselines_list(struct stats *stats, const char *id, struct stats_baseline *out, size_t most)
{
    size_t count = 0;
    pthread_mutex_lock(&stats->baselines_lock);
    for (const struct baseline *baseline = stats->baselines; baseline && count < most; baseline = baseline->next)
        if (is_of(baseline, id)) {
            out[count] = baseline->is;
            stats_process_ref(out[count++].process);
        }
    pthread_mutex_unlock(&stats->baselines_lock);
    return count;
}

bool stats_baseline_delete(struct stats *stats, uint64_t number)
{
    pthread_mutex_lock(&stats->baselines_lock);
    struct baseline **link = number ? link_find(stats, NULL, number) : NULL;
    if (link)
        drop(stats, link);
    pthread_mutex_unlock(&stats->baselines_lock);
    return link;
}

void stats_baselines_free(struct stats *stats)
{
    while (stats->baselines)
        drop(stats, &stats->baselines);
}
