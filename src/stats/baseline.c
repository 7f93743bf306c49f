/* Baselines: views of single processes that somebody wants to compare with. */
#include <stdlib.h>
#include <string.h>

#include "stats/model.h"

struct baseline {
    struct baseline *next;
    const struct stats_process_view *process; /* a reference */
};

static void drop(struct baseline **link)
{
    struct baseline *gone = *link;
    *link = gone->next;
    stats_process_unref(gone->process);
    free(gone);
}

bool stats_baseline_set(struct stats *stats, const struct stats_process_view *process)
{
    struct baseline *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return false;
    fresh->process = stats_process_ref(process);
    stats_baseline_drop(stats, process->id);
    pthread_mutex_lock(&stats->baselines_lock);
    fresh->next = stats->baselines;
    stats->baselines = fresh;
    pthread_mutex_unlock(&stats->baselines_lock);
    return true;
}

const struct stats_process_view *stats_baseline_get_new(struct stats *stats, const char *id)
{
    const struct stats_process_view *found = NULL;
    pthread_mutex_lock(&stats->baselines_lock);
    for (const struct baseline *baseline = stats->baselines; baseline && !found; baseline = baseline->next)
        if (!strcmp(baseline->process->id, id))
            found = stats_process_ref(baseline->process);
    pthread_mutex_unlock(&stats->baselines_lock);
    return found;
}

void stats_baseline_drop(struct stats *stats, const char *id)
{
    pthread_mutex_lock(&stats->baselines_lock);
    for (struct baseline **link = &stats->baselines; *link;) {
        if (!id || !strcmp((*link)->process->id, id))
            drop(link);
        else
            link = &(*link)->next;
    }
    pthread_mutex_unlock(&stats->baselines_lock);
}
