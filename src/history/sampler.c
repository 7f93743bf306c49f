#include "history/sampler.h"

#include <jansson.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define STALL_S 5u     /* a second that was not seen is carried over; more of them are a gap */
#define WALL_STEP_S 2  /* the wall clock was set */
#define IDLE_S 30u     /* between two words that there was nothing to tell */
#define LEAP_S 86400u  /* the time line advances at most so far from one tallyd to the next */

static int id_order(const void *a, const void *b)
{
    return strcmp(((const struct process_state *)a)->view->id, ((const struct process_state *)b)->view->id);
}

static void process_free(struct sampler *sampler, struct process_state *process)
{
    for (size_t i = 0; i < process->heap_count; i++)
        if (process->heaps[i].subject) {
            subject_fini(sampler, process->heaps[i].subject);
            free(process->heaps[i].subject);
        }
    subject_fini(sampler, &process->all);
    free(process->heaps);
    stats_process_unref(process->view);
    free(process);
}

static void node_leave(void *process)
{
    (void)process; /* in its list */
}

static void forget_all(struct sampler *sampler)
{
    tdestroy(sampler->by_id, node_leave);
    sampler->by_id = NULL;
    while (sampler->processes) {
        struct process_state *process = sampler->processes;
        sampler->processes = process->next;
        process_free(sampler, process);
    }
}

void sampler_free(struct sampler *sampler)
{
    forget_all(sampler);
    free(sampler);
}

static void each_series(struct sampler *sampler, struct process_state *process, series_fn each, const void *arg)
{
    subject_each(sampler, &process->all, each, arg);
    for (size_t i = 0; i < process->heap_count; i++)
        if (process->heaps[i].subject)
            subject_each(sampler, process->heaps[i].subject, each, arg);
}

/* ---- processes */

/* Name, library and labels, each with its NUL. NULL: out of memory. */
static char *texts_new(const struct stats_process_view *view, size_t *bytes)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < view->label_count; i++)
        json_object_set_new(labels, view->labels[i].key, json_string(view->labels[i].value));
    char *json = json_dumps(labels, JSON_COMPACT);
    json_decref(labels);
    const char *const parts[] = {view->name, view->library, json ? json : "{}"};
    char *texts = NULL;
    *bytes = 0;
    for (int pass = 0; pass < 2 && (!pass || texts); pass++) {
        size_t at = 0;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; at += strlen(parts[i++]) + 1)
            if (texts)
                memcpy(texts + at, parts[i], strlen(parts[i]) + 1);
        if (!pass)
            texts = malloc(*bytes = at);
    }
    free(json);
    return texts;
}

static void process_tell(struct sampler *sampler, const struct process_state *process)
{
    const struct stats_process_view *view = process->view;
    struct row_process row = {.row = {.kind = ROW_PROCESS, .epoch = sampler->base.epoch}, .no = process->no,
                              .first_heap = view->heap_count ? view->heaps[0].n : 0, .pid = (uint32_t)view->pid,
                              .uid = view->uid, .at = sampler->at, .attached_wall_ns = view->attached_wall_ns};
    size_t bytes;
    char *texts = texts_new(view, &bytes);
    memcpy(row.id, view->id, sizeof view->id);
    sampler->broken |= !texts || !queue_put(sampler->queue, &row.row, sizeof row, texts, bytes);
    free(texts);
}

static struct process_state *process_new(struct sampler *sampler, const struct stats_process_view *view)
{
    struct process_state *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process->view = stats_process_ref(view);
    process->no = sampler->base.next_process++;
    if (!tsearch(process, &sampler->by_id, id_order)) {
        process_free(sampler, process);
        return NULL;
    }
    process->next = sampler->processes;
    sampler->processes = process;
    process_tell(sampler, process);
    return process;
}

/* That it has ended, how, or that it came back. */
static void end_tell(struct sampler *sampler, struct process_state *process, const struct stats_process_view *view)
{
    struct row_end row = {.row = {.kind = ROW_END, .epoch = sampler->base.epoch}, .process = process->no, .at = sampler->at,
                          .wall_ns = view->gone ? view->gone_wall_ns : 0, .ended = view->ended, .status = view->status};
    if (view->end)
        strncpy(row.end, view->end, sizeof row.end - 1);
    sampler->broken |= !queue_put(sampler->queue, &row.row, sizeof row, NULL, 0);
    process->gone = view->gone;
    process->ended = view->ended;
}

static void end_series(struct sampler *sampler, struct series *series, const void *arg)
{
    series_end(sampler, series, *(const uint64_t *)arg);
}

/* Heaps have series of their own from when there is a second one; before, the process's are theirs too. */
static void heaps_sample(struct sampler *sampler, struct process_state *process, const struct stats_process_view *view)
{
    process->several |= view->heap_count > 1;
    for (size_t i = 0; i < view->heap_count && process->several; i++) {
        const struct stats_heap_view *from = &view->heaps[i];
        struct heap_state *heap = NULL;
        for (size_t h = 0; h < process->heap_count && !heap; h++)
            heap = process->heaps[h].n == from->n ? &process->heaps[h] : NULL;
        if (!heap) {
            struct heap_state *heaps = realloc(process->heaps, (process->heap_count + 1) * sizeof *heaps);
            if (!heaps)
                return;
            process->heaps = heaps;
            heap = &heaps[process->heap_count++];
            *heap = (struct heap_state){.n = from->n};
        }
        if (!heap->subject && !from->gone && (heap->subject = calloc(1, sizeof *heap->subject)))
            heap->subject->heap = from->n;
        if (heap->subject && !from->gone)
            subject_sample(sampler, process->no, heap->subject, &from->figures, from->types, from->type_count);
        else if (heap->subject)
            subject_each(sampler, heap->subject, end_series, &(uint64_t){sampler->at - 1});
    }
}

static void process_sample(struct sampler *sampler, struct process_state *process, const struct stats_process_view *view)
{
    if (view->gone != process->gone || view->ended != process->ended) {
        if (view->gone && !process->gone) { /* its last figures, once */
            subject_sample(sampler, process->no, &process->all, &view->figures, view->types, view->type_count);
            heaps_sample(sampler, process, view);
            each_series(sampler, process, end_series, &sampler->at);
        }
        end_tell(sampler, process, view);
    }
    if (!view->gone) {
        subject_sample(sampler, process->no, &process->all, &view->figures, view->types, view->type_count);
        heaps_sample(sampler, process, view);
    }
    process->seq = view->seq;
}

/* The view's process as we know it; one that left and came back is another. */
static struct process_state *process_of(struct sampler *sampler, const struct stats_process_view *view, bool add)
{
    struct process_state key = {.view = view};
    struct process_state *const *known = tfind(&key, &sampler->by_id, id_order);
    struct process_state *process = known ? *known : NULL;
    if (!process)
        return add && (view->heap_count || view->gone) ? process_new(sampler, view) : NULL;
    if (process->view != view) {
        if (process->view->attached_wall_ns != view->attached_wall_ns)
            return NULL; /* forgotten at the end of this tick, as nobody sees it */
        stats_process_unref(process->view);
        process->view = stats_process_ref(view);
    }
    return process;
}

/* Those that left the view. */
static void processes_prune(struct sampler *sampler)
{
    for (struct process_state **link = &sampler->processes; *link;) {
        struct process_state *process = *link;
        if (process->seen == sampler->tick) {
            link = &process->next;
            continue;
        }
        if (!process->gone) { /* another has its id now */
            struct row_end row = {.row = {.kind = ROW_END, .epoch = sampler->base.epoch}, .process = process->no,
                                  .at = sampler->at, .wall_ns = process->view->as_of_wall_ns, .end = "replaced"};
            sampler->broken |= !queue_put(sampler->queue, &row.row, sizeof row, NULL, 0);
        }
        *link = process->next;
        tdelete(process, &sampler->by_id, id_order);
        process_free(sampler, process);
    }
}

/* ---- time */

static void break_series(struct sampler *sampler, struct series *series, const void *arg)
{
    (void)sampler, (void)arg;
    series_break(series);
}

static void run_begin(struct sampler *sampler, int64_t wall_s)
{
    struct row_run row = {.row = {.kind = ROW_RUN, .epoch = sampler->base.epoch}, .at = sampler->at, .wall_s = wall_s};
    sampler->wall_s = wall_s - (int64_t)sampler->at;
    sampler->broken = !queue_put(sampler->queue, &row.row, sizeof row, NULL, 0);
    for (struct process_state *process = sampler->processes; process; process = process->next) {
        process->seq = 0;
        each_series(sampler, process, break_series, NULL);
    }
}

/* A file was opened: the time line goes on behind its last run, as far as the wall clock has come since, by a day at
 * most; a new one's begins at the wall clock's time. Its seconds turn with those of the wall clock, so that the figures
 * of a second are read at its label, not somewhere in the second behind it. */
static void begin(struct sampler *sampler, const struct base *base, uint64_t mono_ns, uint64_t wall_ns)
{
    int64_t wall_s = (int64_t)(wall_ns / 1000000000u), passed = wall_s - base->wall_s;
    forget_all(sampler);
    sampler->base = *base;
    sampler->first_at = base->at + (passed < 1 ? 1 : passed > LEAP_S ? LEAP_S : (uint64_t)passed);
    if (!base->at)
        sampler->first_at = wall_s > 0 && wall_s < AT_MAX ? (uint64_t)wall_s : 1;
    sampler->first_mono_ns = mono_ns - wall_ns % 1000000000u;
    sampler->at = 0;
    sampler->broken = true;
}

struct closing {
    enum level level;
    uint64_t label;
};
static void close_series(struct sampler *sampler, struct series *series, const void *arg)
{
    const struct closing *closing = arg;
    series_close(sampler, series, closing->level, closing->label);
}

static void windows_close(struct sampler *sampler, enum level level, uint64_t label)
{
    const struct closing closing = {level, label};
    for (struct process_state *process = sampler->processes; process; process = process->next)
        if (!process->gone)
            each_series(sampler, process, close_series, &closing);
}

/* How far we watched, when a block of seconds is whole; more rarely where nothing happens. */
static void until_tell(struct sampler *sampler, bool now)
{
    struct row_run row = {.row = {.kind = ROW_UNTIL, .epoch = sampler->base.epoch}, .at = sampler->at};
    bool whole = (sampler->at + 1) % (1u << level_shapes[LEVEL_SECONDS].bits) == 0;
    if (!now && !(whole && sampler->wrote) && sampler->at < sampler->told_at + IDLE_S)
        return;
    sampler->broken |= !queue_put(sampler->queue, &row.row, sizeof row, NULL, 0);
    sampler->told_at = sampler->at;
    sampler->wrote = false;
    queue_hurry(sampler->queue);
}

/* Advances the time line to now, whose second began at wall_s; false: this second is not told. */
static bool second_begin(struct sampler *sampler, uint64_t now, int64_t wall_s)
{
    int64_t step = wall_s - (int64_t)now - sampler->wall_s;
    bool gap = sampler->broken || now > sampler->at + STALL_S || step > WALL_STEP_S || step < -WALL_STEP_S;
    unsigned needed = (unsigned)sampler->series_count + 64;
    if (!queue_has_room(sampler->queue, needed < HISTORY_QUEUE_ROWS / 2 ? needed : HISTORY_QUEUE_ROWS / 2)) {
        if (now != sampler->dropped_at)
            queue_drop(sampler->queue, (unsigned)sampler->series_count);
        sampler->dropped_at = now;
        sampler->broken = true;
        return false;
    }
    for (enum level level = LEVEL_TENS; level < LEVELS && sampler->at && !sampler->broken; level++)
        if (level_label(level, now) != level_label(level, sampler->at)) /* a window ended since the last tick */
            windows_close(sampler, level, level_label(level, sampler->at));
    if (gap && sampler->at && !sampler->broken)
        until_tell(sampler, true);
    sampler->at = now;
    if (gap)
        run_begin(sampler, wall_s);
    return true;
}

void sampler_end(struct sampler *sampler)
{
    if (!sampler->at || sampler->broken)
        return;
    for (enum level level = LEVEL_TENS; level < LEVELS; level++)
        windows_close(sampler, level, level_label(level, sampler->at));
    until_tell(sampler, true);
}

void sampler_tick(struct sampler *sampler, const struct base *base, const struct stats_view *view, uint64_t mono_ns,
                  uint64_t wall_ns)
{
    if (base->epoch != sampler->base.epoch)
        begin(sampler, base, mono_ns, wall_ns);
    uint64_t since_ns = mono_ns - sampler->first_mono_ns, now = sampler->first_at + since_ns / 1000000000u;
    int64_t begun_ns = (int64_t)(wall_ns - since_ns % 1000000000u); /* a whole second, unless the clock was set */
    bool second = now != sampler->at && second_begin(sampler, now, (begun_ns + 500000000) / 1000000000);
    if (!second && view->seq == sampler->seq)
        return;
    sampler->tick++;
    sampler->seq = view->seq;
    for (size_t i = 0; i < view->process_count && sampler->at; i++) {
        struct process_state *process = process_of(sampler, view->processes[i], second);
        if (!process)
            continue;
        process->seen = sampler->tick;
        if (second && process->seq != view->processes[i]->seq)
            process_sample(sampler, process, view->processes[i]);
        if (process->collections_seq != view->processes[i]->seq)
            collections_take(sampler, process, view->processes[i]);
    }
    if (!second)
        return;
    processes_prune(sampler);
    until_tell(sampler, false);
}
