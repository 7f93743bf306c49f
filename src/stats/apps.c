/* What processes have counted that have left the views, by app: so that sums over an app never fall. A list is
 * immutable and shared by the views that show it; a process that leaves makes a new one. */
#include <stdlib.h>
#include <string.h>

#include "stats/model.h"

#define APP_LABEL "app"
#define OTHER "other"

const char *stats_app_name(const struct stats_process_view *process)
{
    for (size_t i = 0; i < process->label_count; i++)
        if (!strcmp(process->labels[i].key, APP_LABEL) && *process->labels[i].value)
            return process->labels[i].value;
    return process->name;
}

const struct apps *stats_apps_ref(const struct apps *apps)
{
    if (apps)
        atomic_fetch_add(&((struct apps *)(uintptr_t)apps)->references, 1);
    return apps;
}

static void apps_free(struct apps *apps)
{
    for (size_t i = 0; i < apps->count; i++)
        free((char *)(uintptr_t)apps->views[i].name);
    free(apps);
}

void stats_apps_unref(const struct apps *apps)
{
    struct apps *own = (struct apps *)(uintptr_t)apps;
    if (own && atomic_fetch_sub(&own->references, 1) == 1)
        apps_free(own);
}

/* A copy with room for one more; NULL: out of memory. */
static struct apps *apps_dup(const struct apps *from)
{
    size_t count = from ? from->count : 0;
    struct apps *copy = malloc(sizeof *copy + (count + 1) * sizeof *copy->views);
    if (!copy)
        return NULL;
    atomic_init(&copy->references, 1);
    for (copy->count = 0; copy->count < count; copy->count++) {
        copy->views[copy->count] = from->views[copy->count];
        copy->views[copy->count].name = strdup(from->views[copy->count].name);
        if (!copy->views[copy->count].name) {
            apps_free(copy);
            return NULL;
        }
    }
    return copy;
}

static int name_order(const void *key, const void *view)
{
    return strcmp(key, ((const struct stats_app_view *)view)->name);
}

static struct stats_app_view *app_find(struct apps *apps, const char *name)
{
    return bsearch(name, apps->views, apps->count, sizeof apps->views[0], name_order);
}

/* Its place, kept in order; NULL: out of memory. There is room for it. */
static struct stats_app_view *app_get(struct apps *apps, const char *name)
{
    struct stats_app_view *known = app_find(apps, name);
    if (!known && apps->count >= STATS_APPS_MAX - 1)
        known = app_find(apps, name = OTHER);
    if (known)
        return known;
    size_t at = 0;
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    while (at < apps->count && strcmp(apps->views[at].name, name) < 0)
        at++;
    memmove(&apps->views[at + 1], &apps->views[at], (apps->count++ - at) * sizeof apps->views[0]);
    apps->views[at] = (struct stats_app_view){.name = copy};
    return &apps->views[at];
}

static void counters_add(struct stats_app_view *app, const struct stats_process_view *process)
{
    enum { counter, gauge };
    struct stats_figures counted = process->figures;
#define STATS_FIELD(member, path, kind, unit, label, help) counted.member = (kind) == counter ? counted.member : 0;
#include "stats/fields.def"
#undef STATS_FIELD
    counted.max_pause_ns = process->figures.max_pause_ns;
    counted.longest_slice_ns = process->figures.longest_slice_ns;
    app->processes++;
    stats_figures_add(&app->figures, &counted);
    stats_generations_add(app->generations, process->generations);
    stats_runs_add(&app->runs, &process->runs);
    app->runs.live_bytes_after = 0;
}

const struct apps *stats_apps_leave(const struct apps *apps, const struct stats_process_view *process)
{
    struct apps *made = apps_dup(apps);
    struct stats_app_view *app = made ? app_get(made, stats_app_name(process)) : NULL;
    if (!app) {
        stats_apps_unref(made);
        return apps;
    }
    counters_add(app, process);
    stats_apps_unref(apps);
    return made;
}
