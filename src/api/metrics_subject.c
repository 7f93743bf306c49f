/* Whose series a page has: processes, or their heaps, or apps; each with all values that rows of metrics.def name. */
#include <stdlib.h>
#include <string.h>

#include "api/metrics_page.h"
#include "wire/feed.h"

#define SUM(to, from) ((to) + (from))
#define MAX(to, from) ((to) > (from) ? (to) : (from))
#define LEAST(to, from) ((to) < (from) ? (to) : (from))

/* Folds a further heap or process into one that has been begun; of one that is gone, its counters alone. */
static void values_fold(struct metrics_values *to, const struct metrics_values *from, bool gone)
{
    enum { GAUGE, COUNTER, HISTOGRAM, INFO } type = GAUGE;
#define FAMILY(name, family_type, unit, group, help) type = family_type;
#define SERIES(label, member, fold, when) \
    if (!gone || type == COUNTER) \
        to->member = fold(to->member, from->member);
#define OWN(label, member, when)
#define SPECIAL(write)
#include "api/metrics.def"
#undef FAMILY
#undef SERIES
#undef OWN
#undef SPECIAL
    for (unsigned i = 0; i < STATS_PAUSE_BUCKETS; i++)
        to->runs.pauses[i] += from->runs.pauses[i];
    to->runs.pause_ns += from->runs.pause_ns;
}

static uint64_t age(uint64_t now_ns, uint64_t then_ns)
{
    return then_ns && now_ns > then_ns ? now_ns - then_ns : 0;
}

static void heap_values(struct metrics_values *to, const struct stats_heap_view *heap, uint64_t now_mono_ns)
{
    *to = (struct metrics_values){.figures = heap->figures,
                                  .runs = heap->runs,
                                  .up = !heap->gone,
                                  .safepoint_age_ns = age(now_mono_ns, heap->safepoint_mono_ns),
                                  .peak_live_bytes = heap->peak_live_bytes,
                                  .memory_limit_bytes = heap->config.memory_limit_bytes,
                                  .enabled = heap->config.enabled};
    memcpy(to->generations, heap->generations, sizeof to->generations);
    for (int i = 0; i < 3; i++)
        to->thresholds[i] = heap->config.thresholds[i];
}

/* What only heaps tell comes from them; what was counted, from the process, which knows heaps that have left. */
static void process_values(struct metrics_values *to, const struct stats_process_view *process, uint64_t now_mono_ns)
{
    struct metrics_values heap, all = {.enabled = 1};
    bool any = false;
    for (size_t i = 0; i < process->heap_count; i++) {
        if (process->heaps[i].gone)
            continue;
        heap_values(&heap, &process->heaps[i], now_mono_ns);
        values_fold(&all, &heap, false);
        any = true;
    }
    *to = (struct metrics_values){.figures = process->figures,
                                  .runs = process->runs,
                                  .up = !process->gone,
                                  .attached_wall_ns = process->attached_wall_ns,
                                  .safepoint_age_ns = all.safepoint_age_ns,
                                  .peak_live_bytes = process->peak_live_bytes,
                                  .memory_limit_bytes = all.memory_limit_bytes,
                                  .enabled = any && all.enabled};
    memcpy(to->generations, process->generations, sizeof to->generations);
    memcpy(to->thresholds, all.thresholds, sizeof to->thresholds);
}

/* A new one at the end of the list, or NULL. */
static struct subject *subject_add(struct subjects *subjects, const struct stats_process_view *process)
{
    if (subjects->count == subjects->room) {
        size_t room = subjects->room ? 2 * subjects->room : 64;
        struct subject *grown = realloc(subjects->list, room * sizeof *grown);
        if (!grown) {
            subjects->failed = true;
            return NULL;
        }
        subjects->list = grown;
        subjects->room = room;
    }
    struct subject *subject = &subjects->list[subjects->count++];
    *subject = (struct subject){.process = process, .gone = process && process->gone, .first = true};
    return subject;
}

static void labels_set(struct subjects *subjects, struct subject *subject, const char *app, const char *uid, uint32_t heap)
{
    struct text text = {.data = NULL};
    text_add_string(&text, "app=");
    put_value(&text, app);
    if (uid) {
        text_add_string(&text, ",uid=");
        put_value(&text, uid);
    }
    if (heap) {
        text_add_string(&text, ",heap=\"");
        text_add_number(&text, heap);
        text_add_string(&text, "\"");
    }
    subject->label_bytes = text.length;
    subject->labels = text.failed ? NULL : realloc(text.data, text.length);
    if (!subject->labels)
        free(text.data);
    subjects->failed |= !subject->labels;
}

static void process_collect(struct subjects *subjects, const struct stats_process_view *process, uint64_t now_mono_ns)
{
    struct subject *subject = subject_add(subjects, process);
    if (!subject)
        return;
    process_values(&subject->values, process, now_mono_ns);
    labels_set(subjects, subject, stats_app_name(process), process->id, 0);
}

static void heaps_collect(struct subjects *subjects, const struct stats_process_view *process, uint64_t now_mono_ns)
{
    for (size_t i = 0; i < process->heap_count; i++) {
        const struct stats_heap_view *heap = &process->heaps[i];
        struct subject *subject = subject_add(subjects, process);
        if (!subject)
            return;
        heap_values(&subject->values, heap, now_mono_ns);
        subject->values.attached_wall_ns = process->attached_wall_ns;
        subject->gone |= heap->gone;
        subject->first = i == 0;
        labels_set(subjects, subject, stats_app_name(process), process->id, heap->n);
    }
}

/* ---- apps: what has left the views, and the processes in them */

struct member { /* of an app */
    const char *app;
    const struct stats_process_view *process; /* NULL: those that have left */
    const struct stats_app_view *left;
};

static int member_order(const void *a, const void *b)
{
    return value_order(((const struct member *)a)->app, ((const struct member *)b)->app);
}

static void member_fold(struct subject *subject, const struct member *member, uint64_t now_mono_ns)
{
    struct metrics_values values = {.enabled = 1};
    if (member->process) {
        process_values(&values, member->process, now_mono_ns);
    } else {
        values.figures = member->left->figures;
        values.runs = member->left->runs;
        memcpy(values.generations, member->left->generations, sizeof values.generations);
    }
    values_fold(&subject->values, &values, !member->process || member->process->gone);
}

static void apps_collect(struct subjects *subjects, const struct stats_view *view, uint64_t now_mono_ns)
{
    size_t count = 0;
    struct member *members = calloc(view->process_count + view->app_count + 1, sizeof *members);
    if (!members) {
        subjects->failed = true;
        return;
    }
    for (size_t i = 0; i < view->app_count; i++)
        members[count++] = (struct member){view->apps[i].name, NULL, &view->apps[i]};
    for (size_t i = 0; i < view->process_count; i++)
        members[count++] = (struct member){stats_app_name(view->processes[i]), view->processes[i], NULL};
    qsort(members, count, sizeof *members, member_order);
    struct subject *subject = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!i || member_order(&members[i], &members[i - 1])) {
            subject = subject_add(subjects, NULL);
            if (!subject)
                break;
            subject->values.enabled = 1;
            labels_set(subjects, subject, members[i].app, NULL, 0);
        }
        member_fold(subject, &members[i], now_mono_ns);
    }
    for (size_t i = 0; i < subjects->count; i++)
        subjects->list[i].gone = !subjects->list[i].values.up;
    free(members);
}

void subjects_collect(struct subjects *subjects, const struct stats_view *view, unsigned scope, uint64_t now_wall_ns,
                      uint64_t now_mono_ns)
{
    if (scope == METRICS_OWN)
        return;
    if (scope == METRICS_APP) {
        apps_collect(subjects, view, now_mono_ns);
        return;
    }
    for (size_t i = 0; i < view->process_count && !subjects->failed; i++) {
        const struct stats_process_view *process = view->processes[i];
        if (process->gone && age(now_wall_ns, process->gone_wall_ns) > METRICS_GONE_NS)
            continue;
        if (scope == METRICS_HEAPS)
            heaps_collect(subjects, process, now_mono_ns);
        else
            process_collect(subjects, process, now_mono_ns);
    }
}

void subjects_free(struct subjects *subjects)
{
    for (size_t i = 0; i < subjects->count; i++)
        free(subjects->list[i].labels);
    free(subjects->list);
}
