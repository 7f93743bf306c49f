/* Folding what the intake tells into the model. */
#include "stats/model.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SETTLE_NS 1500000000u
#define PROCESS_BYTES_MAX ((uint64_t)1 << 48) /* more no process has */

static void touch(struct model_process *process)
{
    process->dirty = process->stats->dirty = true;
}

static int id_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct model_process *process_find(struct stats *stats, const char *id)
{
    char *const *known = tfind(id, &stats->by_id, id_order);
    return known ? (struct model_process *)(*known - offsetof(struct model_process, view.id)) : NULL;
}

static void *attached(void *arg, const struct intake_process *from)
{
    struct stats *stats = arg;
    struct model_process *process = process_find(stats, from->id);
    if (process && process->view.uid != from->uid)
        return NULL; /* ids are no secret: one user cannot go on as another's process */
    if (!process) {
        process = calloc(1, sizeof *process);
        if (!process)
            return NULL;
        process->texts = stats_texts_new(from->hello);
        if (!process->texts) {
            free(process);
            return NULL;
        }
        process->stats = stats;
        process->births = (struct events_budget){.limit = BIRTHS_A_PROCESS, .whole = &stats->births};
        process->retired.view.complete = true;
        memcpy(process->view.id, from->id, sizeof process->view.id);
        if (!tsearch(process->view.id, &stats->by_id, id_order)) {
            stats_texts_unref(process->texts);
            free(process);
            return NULL;
        }
        process->view.name = process->texts->name;
        process->view.library = process->texts->library;
        process->view.label_count = process->texts->label_count;
        process->view.labels = process->texts->labels;
        process->view.attached_wall_ns = clock_wall_ns();
        *stats->processes_end = process;
        stats->processes_end = &process->next;
    }
    process->view.pid = from->pid;
    process->view.uid = from->uid;
    process->view.gone = process->view.ended = false;
    process->view.end = NULL;
    process->view.gone_wall_ns = 0;
    process->attachments++;
    touch(process);
    return process;
}

static struct model_heap *heap_get(struct model_process *process, uint32_t number)
{
    struct model_heap **link = &process->heaps;
    if (process->last && process->last->view.n == number)
        return process->last;
    while (*link && (*link)->view.n < number)
        link = &(*link)->next;
    if (*link && (*link)->view.n == number)
        return process->last = *link;
    struct model_heap *heap = calloc(1, sizeof *heap);
    if (!heap)
        return NULL;
    heap->view.n = number;
    heap->next = *link;
    *link = heap;
    return heap;
}

/* Bytes of one type: reckoned where its size is fixed, counted where it varies and in row 0. */
static uint64_t bytes_of(const struct intake_type *type, bool other, uint64_t count, uint64_t counted)
{
    return other || type->flags & WIRE_TYPE_VARIABLE ? counted : count * type->size_bytes;
}

/* What is left; nothing where a liar took more than there was. */
static uint64_t rest_of(uint64_t whole, uint64_t taken)
{
    return whole > taken ? whole - taken : 0;
}

/* Objects from and to other heaps are neither allocated nor freed here; their bytes, though, are in those
 * sums, as the writer has them for types of variable size. */
static void type_fold(struct stats_type_view *to, const struct intake_type *type, const struct intake_row *row,
                      bool other)
{
    to->tracked = type->flags & WIRE_TYPE_TRACKED;
    to->variable = other || type->flags & WIRE_TYPE_VARIABLE;
    to->size_bytes = type->size_bytes;
    to->allocations = row->allocated;
    to->moved_in = row->moved_in;
    to->moved_out = row->moved_out;
    to->frees_refcount = row->freed_refcount;
    to->frees_cycle = row->freed_cycle;
    to->allocated_bytes = bytes_of(type, other, row->allocated + row->moved_in, row->allocated_bytes);
    to->freed_refcount_bytes =
        bytes_of(type, other, row->freed_refcount + row->moved_out, row->freed_refcount_bytes);
    to->freed_cycle_bytes = bytes_of(type, other, row->freed_cycle, row->freed_cycle_bytes);
    to->live_objects =
        rest_of(to->allocations + to->moved_in, to->frees_refcount + to->frees_cycle + to->moved_out);
    to->live_bytes = rest_of(to->allocated_bytes, to->freed_refcount_bytes + to->freed_cycle_bytes);
}

/* What no event tells of, and what events have told. */
static void told_fold(struct stats_type_view *to, const struct intake_row *row, const struct events *events)
{
    to->event_allocations = row->untold_allocated + events_count(events, to->row, WIRE_EVENT_ALLOC);
    to->event_frees_refcount = row->untold_freed_refcount + events_count(events, to->row, WIRE_EVENT_FREE_REFCOUNT);
    to->event_frees_cycle = row->untold_freed_cycle + events_count(events, to->row, WIRE_EVENT_FREE_CYCLE);
}

/* Events are read before counters: with none lost there are never more of them. Modulo 2^64, as what is untold. */
static bool told_impossible(const struct stats_type_view *type)
{
    return (int64_t)(type->event_allocations - type->allocations) > 0 ||
           (int64_t)(type->event_frees_refcount - type->frees_refcount) > 0 ||
           (int64_t)(type->event_frees_cycle - type->frees_cycle) > 0;
}

/* Frees are read before allocations, so honest counters never show more freed than allocated, nor go back. */
static bool type_impossible(const struct stats_type_view *before, const struct stats_type_view *now)
{
    return now->frees_refcount + now->frees_cycle + now->moved_out > now->allocations + now->moved_in ||
           now->allocations < before->allocations ||
           now->frees_refcount < before->frees_refcount || now->frees_cycle < before->frees_cycle ||
           now->freed_refcount_bytes + now->freed_cycle_bytes > now->allocated_bytes;
}

static void figures_add(struct stats_figures *sum, const struct stats_type_view *type)
{
    sum->live_objects += type->live_objects;
    sum->live_bytes += type->live_bytes;
    sum->allocations += type->allocations;
    sum->allocated_bytes += type->allocated_bytes;
    sum->moved_in += type->moved_in;
    sum->moved_out += type->moved_out;
    sum->frees_refcount += type->frees_refcount;
    sum->frees_cycle += type->frees_cycle;
    sum->freed_refcount_bytes += type->freed_refcount_bytes;
    sum->freed_cycle_bytes += type->freed_cycle_bytes;
}

static bool types_reserve(struct model_heap *heap, uint32_t room)
{
    if (room <= heap->type_room)
        return true;
    struct stats_type_view *types = realloc(heap->types, room * sizeof *types);
    if (types)
        heap->types = types;
    struct model_rated *rated = types ? realloc(heap->rated, room * sizeof *rated) : NULL;
    if (!rated)
        return false;
    heap->rated = rated;
    memset(&heap->types[heap->type_room], 0, (room - heap->type_room) * sizeof *types);
    memset(&heap->rated[heap->type_room], 0, (room - heap->type_room) * sizeof *rated);
    heap->type_room = room;
    return true;
}

static void heap_empty(struct model_heap *heap)
{
    stats_detail_unref(heap->view.detail);
    stats_growth_unref(heap->view.growth);
    events_free(heap->events);
    free(heap->types);
    free(heap->rated);
}

static void heap_free(struct model_heap *heap)
{
    heap_empty(heap);
    free(heap);
}

static void types_fold(struct model_process *process, struct model_heap *heap,
                       const struct intake_sample *sample)
{
    if (!types_reserve(heap, sample->type_count))
        return;
    for (uint32_t i = heap->type_count; i < sample->type_count; i++) {
        heap->types[i].name = stats_texts_type(process->texts, sample->types[i].name);
        if (!heap->types[i].name)
            break;
        heap->type_count = i + 1;
    }
    struct stats_figures figures = {.live_objects = 0};
    uint64_t tracked = 0;
    for (uint32_t i = 0; i < heap->type_count && i < sample->type_count; i++) {
        struct stats_type_view before = heap->types[i];
        type_fold(&heap->types[i], &sample->types[i], &sample->rows[i], i == 0);
        heap->types[i].row = i;
        told_fold(&heap->types[i], &sample->rows[i], heap->events);
        heap->view.inconsistent |= type_impossible(&before, &heap->types[i]) ||
                                   (sample->has_ring && !sample->events_lost && told_impossible(&heap->types[i]));
        figures_add(&figures, &heap->types[i]);
        tracked += heap->types[i].tracked ? heap->types[i].live_objects : 0;
    }
    heap->view.figures = figures;
    heap->view.tracked_objects = tracked;
}

static void summary_fold(struct stats_heap_view *view, const struct intake_summary *summary)
{
    view->config = (struct stats_config){.enabled = summary->enabled, .manager = summary->manager,
                                         .debug = summary->debug, .level = summary->level,
                                         .max_pause_us = summary->max_pause_us,
                                         .memory_limit_bytes = summary->memory_limit_bytes,
                                         .access = summary->access,
                                         .stress_nth = summary->stress_nth,
                                         .stress_every_decref = summary->stress_every_decref};
    memcpy(view->config.thresholds, summary->thresholds, sizeof summary->thresholds);
    memcpy(view->counts, summary->counts, sizeof view->counts);
    for (int i = 0; i < 3; i++) {
        view->generations[i].collections = summary->collections[i];
        view->generations[i].collected = summary->collected[i];
        view->generations[i].uncollectable = summary->uncollectable[i];
        view->figures.collections += summary->collections[i];
        view->figures.collected += summary->collected[i];
        view->figures.uncollectable += summary->uncollectable[i];
    }
    view->figures.garbage = summary->garbage;
    view->figures.frozen = summary->frozen;
    view->figures.pause_ns = summary->pause_ns;
    view->figures.max_pause_ns = summary->max_pause_ns;
    view->figures.candidates = summary->candidates;
    view->figures.pending_objects = summary->pending_objects;
    view->figures.finalizers_pending = summary->finalizers_pending;
    view->figures.slices = summary->slices;
    view->figures.missed_slices = summary->missed_slices;
    view->figures.longest_slice_ns = summary->longest_slice_ns;
    view->figures.abandoned_runs = summary->abandoned_runs;
    view->figures.refused_runs = summary->refused_runs;
    view->figures.candidates_due = summary->candidates_due;
    view->settled = summary->settled;
    view->figures.extern_bytes = summary->extern_bytes;
    view->last_pause_ns = summary->last_pause_ns;
}

static void events_take(void *arg, void *handle, uint32_t number, uint32_t type_limit, const struct wire_span *span)
{
    struct model_process *process = handle;
    struct model_heap *heap = heap_get(process, number);
    (void)arg;
    if (heap && !heap->events)
        heap->events = events_new(&process->births);
    if (heap && heap->events)
        events_fold(heap->events, span, type_limit);
    if (heap)
        stats_tails_feed(process, heap, span);
}

/* Of a heap that is told of once, and then rests, nothing is kept. */
static void growth_take(struct model_heap *heap, uint64_t now_ns)
{
    if (!heap->told_ns)
        heap->told_ns = now_ns;
    if (!heap->view.growth && now_ns - heap->told_ns >= GROWTH_PART_NS)
        heap->view.growth = stats_growth_new(now_ns);
    if (heap->view.growth)
        stats_growth_take(heap->view.growth, heap->types, heap->type_count, heap->view.figures.collections, now_ns);
}

static void sample_take(void *arg, void *handle, const struct intake_sample *sample)
{
    struct model_process *process = handle;
    (void)arg;
    struct model_heap *heap = heap_get(process, sample->heap_number);
    if (!heap)
        return;
    struct stats_heap_view *view = &heap->view;
    types_fold(process, heap, sample);
    if (sample->summary.valid)
        summary_fold(view, &sample->summary);
    view->gone = false;
    view->state = sample->state;
    view->safepoint_mono_ns = sample->safepoint_ns;
    view->types_without_row = sample->types_without_row;
    view->figures.mapped_bytes = sample->mapped_bytes;
    view->process_bytes = sample->process_bytes < PROCESS_BYTES_MAX ? sample->process_bytes : 0;
    events_bound(heap->events, sample->mapped_bytes);
    if (sample->summary.valid && sample->summary.level == WIRE_LEVEL_OFF)
        events_forget(heap->events);
    view->figures.events_seen = sample->events_seen;
    view->figures.events_lost = sample->events_lost;
    view->figures.events_written = sample->events_seen + sample->events_lost;
    view->inconsistent |= sample->events_malformed > 0;
    view->complete = !sample->events_lost && !sample->types_without_row && !view->inconsistent;
    if (view->figures.live_bytes > view->peak_live_bytes)
        view->peak_live_bytes = view->figures.live_bytes;
    stats_records_take(process, heap, sample);
    growth_take(heap, sample->mono_ns);
    if (stats_detail_due(heap, sample->mono_ns))
        stats_detail_make(heap, false);
    else
        heap->moving = true; /* and has moved since the last detail */
    process->view.as_of_mono_ns = sample->mono_ns;
    process->view.as_of_wall_ns = clock_wall_ns();
    touch(process);
}

/* It may come back, where a connection was lost alone. */
static void heap_end(struct model_heap *heap)
{
    stats_detail_make(heap, true);
    events_rest(heap->events);
}

/* Sums that outlive their heap: its figures go to the process's rest, its types by name; where there is no
 * room, under the rest's first row. */
static void heap_retire(struct model_process *process, struct model_heap *heap)
{
    struct model_heap *rest = &process->retired;
    stats_figures_add(&rest->view.figures, &heap->view.figures);
    stats_generations_add(rest->view.generations, heap->view.generations);
    stats_runs_add(&rest->view.runs, &heap->view.runs);
    rest->view.inconsistent |= heap->view.inconsistent;
    rest->view.complete &= heap->view.complete;
    for (uint32_t i = 0; i < heap->type_count; i++) {
        if (stats_type_merge_known(rest->types, rest->type_count, &heap->types[i]))
            continue;
        uint32_t count = rest->type_count;
        if (count < RETIRED_TYPES && (count < rest->type_room || types_reserve(rest, 2 * count + 16)))
            rest->type_count = (uint32_t)stats_type_merge(rest->types, count, &heap->types[i]);
        else if (count)
            stats_type_add(&rest->types[0], &heap->types[i]);
    }
    heap_free(heap);
}

/* Gone heaps stay in the view up to a number; then the oldest go to the rest. */
static void heaps_prune(struct model_process *process)
{
    size_t count = 0;
    for (const struct model_heap *heap = process->heaps; heap; heap = heap->next)
        count += heap->view.gone;
    for (struct model_heap **link = &process->heaps; *link && count > GONE_HEAPS_KEPT;) {
        struct model_heap *heap = *link;
        if (heap->view.gone) {
            *link = heap->next;
            process->last = NULL;
            heap_retire(process, heap);
            count--;
        } else {
            link = &heap->next;
        }
    }
}

/* Its counters stay in the sums; what it held at the end it holds no more. */
static void heap_gone(void *arg, void *handle, uint32_t number)
{
    struct model_process *process = handle;
    (void)arg;
    for (struct model_heap *heap = process->heaps; heap; heap = heap->next) {
        struct stats_figures *figures = &heap->view.figures;
        if (heap->view.n != number)
            continue;
        heap->view.gone = true;
        heap->view.runs.live_bytes_after = 0;
        heap_end(heap);
        events_free(heap->events);
        heap->events = NULL;
        figures->mapped_bytes = figures->extern_bytes = figures->garbage = figures->frozen = 0;
        figures->candidates_due = figures->candidates = figures->pending_objects = figures->finalizers_pending = 0;
    }
    heaps_prune(process);
    touch(process);
}

static void gone(void *arg, void *handle, const char *end)
{
    struct model_process *process = handle;
    (void)arg;
    bool better = !process->view.end || strcmp(process->view.end, "bye");
    if (process->attachments > 1)
        return; /* an earlier connection of one that has come back */
    if (!process->view.gone) {
        process->view.gone_wall_ns = clock_wall_ns();
        process->gone_mono_ns = clock_mono_ns();
    }
    for (struct model_heap *heap = process->heaps; heap && !process->view.gone; heap = heap->next)
        if (!heap->view.gone) /* else it has had its end */
            heap_end(heap);
    process->view.gone = true;
    if (better)
        process->view.end = end;
    touch(process);
}

static void ended(void *arg, void *handle, int status)
{
    struct model_process *process = handle;
    (void)arg;
    process->view.ended = true;
    process->view.status = status;
    touch(process);
}

static void released(void *arg, void *handle)
{
    struct model_process *process = handle;
    (void)arg;
    process->attachments--;
    for (struct model_heap *heap = process->heaps; heap && !process->attachments; heap = heap->next) {
        events_free(heap->events);
        heap->events = NULL;
    }
}

static void refused(void *arg, const char *reason, pid_t pid, uid_t uid)
{
    struct stats *stats = arg;
    size_t at = 0;
    while (at < stats->refusal_count && strcmp(stats->refusals[at].reason, reason))
        at++;
    if (at == REFUSALS_KEPT)
        return;
    if (at == stats->refusal_count)
        stats->refusals[stats->refusal_count++] = (struct stats_refusal){.reason = reason};
    stats->refusals[at].count++;
    stats->refusals[at].last_wall_ns = clock_wall_ns();
    stats->refusals[at].last_pid = pid;
    stats->refusals[at].last_uid = uid;
    stats->dirty = true;
}

const char *stats_process_id(const void *handle)
{
    const struct model_process *process = handle;
    return process->view.id;
}

static void process_free(struct model_process *process)
{
    tdelete(process->view.id, &process->stats->by_id, id_order);
    free(process->collections);
    while (process->heaps) {
        struct model_heap *heap = process->heaps;
        process->heaps = heap->next;
        heap_free(heap);
    }
    heap_empty(&process->retired);
    if (process->published)
        stats_process_unref(process->published);
    stats_texts_unref(process->texts);
    free(process);
}

static bool is_over(const struct model_process *process)
{
    return process->view.gone && !process->attachments;
}

/* The link to the one that went first; count: of all that are over. */
static struct model_process **gone_first(struct stats *stats, size_t *count)
{
    struct model_process **first = NULL;
    *count = 0;
    for (struct model_process **link = &stats->processes; *link; link = &(*link)->next) {
        *count += is_over(*link);
        if (is_over(*link) && (!first || (*link)->gone_mono_ns < (*first)->gone_mono_ns))
            first = link;
    }
    return first;
}

/* Gone processes leave after a time, and those that went first where there are many. */
static void gone_prune(struct stats *stats)
{
    uint64_t now = clock_mono_ns();
    size_t count;
    for (struct model_process **link; (link = gone_first(stats, &count));) {
        struct model_process *process = *link;
        if (count <= stats->gone_kept_count && now - process->gone_mono_ns <= stats->gone_kept_ns)
            return;
        *link = process->next;
        if (!*link)
            stats->processes_end = link;
        if (stats_process_build(process, stats->seq + 1) || process->published)
            stats->apps = stats_apps_leave(stats->apps, process->published);
        process_free(process);
        stats->dirty = true;
    }
}

/* A heap at rest is not told of any more: its rates go to 0 all the same. */
static void rates_settle(struct stats *stats, uint64_t now_ns)
{
    for (struct model_process *process = stats->processes; process; process = process->next)
        for (struct model_heap *heap = process->heaps; heap && !process->view.gone; heap = heap->next)
            if (heap->moving && now_ns - heap->rated_ns > SETTLE_NS) {
                stats_detail_make(heap, false);
                touch(process);
            }
}

static void swept(void *arg, bool force)
{
    struct stats *stats = arg;
    uint64_t now = clock_mono_ns();
    if (!force && now - stats->published_ns < stats->publish_every_ns)
        return;
    gone_prune(stats);
    rates_settle(stats, now);
    if (!stats->dirty || !stats_publish(stats))
        return;
    uint64_t rest_ns = PUBLISH_REST * (clock_mono_ns() - now);
    stats->published_ns = now;
    stats->publish_every_ns = rest_ns > PUBLISH_NS ? rest_ns : PUBLISH_NS;
}

void stats_sink_init(struct stats *stats, struct intake_sink *sink)
{
    *sink = (struct intake_sink){.arg = stats, .attached = attached, .events = events_take, .sample = sample_take,
                                 .heap_gone = heap_gone, .gone = gone, .ended = ended, .swept = swept,
                                 .refused = refused, .released = released};
}

void stats_gone_keep(struct stats *stats, uint64_t ns, size_t count)
{
    stats->gone_kept_ns = ns;
    stats->gone_kept_count = count;
}

struct stats *stats_new(void)
{
    struct stats *stats = calloc(1, sizeof *stats);
    if (!stats)
        return NULL;
    pthread_mutex_init(&stats->lock, NULL);
    pthread_mutex_init(&stats->tails_lock, NULL);
    pthread_mutex_init(&stats->baselines_lock, NULL);
    stats->processes_end = &stats->processes;
    stats->births.limit = BIRTHS_IN_ALL;
    stats_gone_keep(stats, 600000000000u, 256);
    if (!stats_publish(stats)) {
        stats_free(stats);
        return NULL;
    }
    return stats;
}

void stats_free(struct stats *stats)
{
    while (stats->processes) {
        struct model_process *process = stats->processes;
        stats->processes = process->next;
        process_free(process);
    }
    if (stats->view)
        stats_view_unref(stats->view);
    stats_apps_unref(stats->apps);
    stats_baselines_free(stats);
    pthread_mutex_destroy(&stats->lock);
    pthread_mutex_destroy(&stats->baselines_lock);
    pthread_mutex_destroy(&stats->tails_lock);
    free(stats);
}
