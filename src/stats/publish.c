/* Views: built whole from the model in the intake's thread, then only read and counted. A process that did
 * not change is shared with the view before. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "stats/model.h"

struct process_box {
    _Atomic unsigned references;
    struct texts *texts;
    size_t bytes;
    struct stats_process_view view; /* all arrays behind it in the same allocation */
};

struct view_box {
    _Atomic unsigned references;
    struct stats_view view;
    struct stats_refusal refusals[REFUSALS_KEPT];
    const struct apps *apps;
    const struct stats_process_view *processes[];
};

static struct process_box *box_of(const struct stats_process_view *view)
{
    return (struct process_box *)((char *)(uintptr_t)view - offsetof(struct process_box, view));
}

const struct stats_process_view *stats_process_ref(const struct stats_process_view *process)
{
    atomic_fetch_add(&box_of(process)->references, 1);
    return process;
}

void stats_process_unref(const struct stats_process_view *process)
{
    struct process_box *box = box_of(process);
    if (atomic_fetch_sub(&box->references, 1) > 1)
        return;
    stats_texts_unref(box->texts);
    for (size_t i = 0; i < process->heap_count; i++) {
        stats_detail_unref(process->heaps[i].detail);
        stats_growth_unref(process->heaps[i].growth);
    }
    free(box);
}

size_t stats_process_bytes(const struct stats_process_view *process)
{
    return box_of(process)->bytes;
}

static struct view_box *view_box_of(const struct stats_view *view)
{
    return (struct view_box *)((char *)(uintptr_t)view - offsetof(struct view_box, view));
}

void stats_view_unref(const struct stats_view *view)
{
    struct view_box *box = view_box_of(view);
    if (atomic_fetch_sub(&box->references, 1) > 1)
        return;
    for (size_t i = 0; i < box->view.process_count; i++)
        stats_process_unref(box->processes[i]);
    stats_apps_unref(box->apps);
    free(box);
}

static bool type_used(const struct stats_type_view *type)
{
    return type->allocations || type->moved_in || type->event_allocations;
}

static size_t types_used(const struct model_heap *heap)
{
    size_t count = 0;
    for (uint32_t i = 0; i < heap->type_count; i++)
        count += type_used(&heap->types[i]);
    return count;
}

static int number_order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int stats_type_order(const void *first, const void *second)
{
    const struct stats_type_view *a = first, *b = second;
    int order = number_order((uintptr_t)a->name, (uintptr_t)b->name);
    if (!order)
        order = number_order(a->size_bytes, b->size_bytes);
    return order ? order : (a->tracked * 2 + a->variable) - (b->tracked * 2 + b->variable);
}

void stats_type_add(struct stats_type_view *to, const struct stats_type_view *from)
{
    to->allocations += from->allocations;
    to->allocated_bytes += from->allocated_bytes;
    to->moved_in += from->moved_in;
    to->moved_out += from->moved_out;
    to->frees_refcount += from->frees_refcount;
    to->frees_cycle += from->frees_cycle;
    to->freed_refcount_bytes += from->freed_refcount_bytes;
    to->freed_cycle_bytes += from->freed_cycle_bytes;
    to->live_objects += from->live_objects;
    to->live_bytes += from->live_bytes;
    to->event_allocations += from->event_allocations;
    to->event_frees_refcount += from->event_frees_refcount;
    to->event_frees_cycle += from->event_frees_cycle;
}

/* Merges one type into the process's table by name (one text each, so its address), size and kind. */
bool stats_type_merge_known(struct stats_type_view *merged, size_t count, const struct stats_type_view *type)
{
    for (size_t i = 0; i < count; i++)
        if (!stats_type_order(&merged[i], type)) {
            stats_type_add(&merged[i], type);
            return true;
        }
    return false;
}

size_t stats_type_merge(struct stats_type_view *merged, size_t count, const struct stats_type_view *type)
{
    if (stats_type_merge_known(merged, count, type))
        return count;
    merged[count] = *type;
    return count + 1;
}

/* The types of all heaps of a process, merged: in the order in which they came, and found by a tree. */
struct merging {
    struct stats_type_view *types;
    size_t count;
    void *tree;
    bool failed; /* out of memory */
};

static void merge(struct merging *to, const struct stats_type_view *type)
{
    struct stats_type_view *const *known = tfind(type, &to->tree, stats_type_order);
    if (known) {
        stats_type_add(*known, type);
        return;
    }
    to->types[to->count] = *type;
    to->failed |= !tsearch(&to->types[to->count], &to->tree, stats_type_order);
    to->count++;
}

static void node_leave(void *type)
{
    (void)type; /* in its table */
}

/* false: out of memory. */
static bool heaps_fill(struct stats_process_view *view, const struct model_process *process,
                       struct stats_heap_view *heaps, struct stats_type_view *types,
                       struct stats_type_view *merged)
{
    const struct model_heap *retired = &process->retired;
    struct merging all = {.types = merged};
    view->figures = retired->view.figures;
    view->runs = retired->view.runs;
    memcpy(view->generations, retired->view.generations, sizeof view->generations);
    view->complete = retired->view.complete;
    view->heap_count = 0;
    for (uint32_t i = 0; i < retired->type_count; i++)
        if (type_used(&retired->types[i]))
            merge(&all, &retired->types[i]);
    for (const struct model_heap *heap = process->heaps; heap; heap = heap->next) {
        struct stats_heap_view *to = &heaps[view->heap_count++];
        *to = heap->view;
        to->detail = stats_detail_ref(heap->view.detail);
        stats_growth_ref(to->growth);
        to->types = types;
        to->type_count = 0;
        for (uint32_t i = 0; i < heap->type_count; i++)
            if (type_used(&heap->types[i])) {
                types[to->type_count++] = heap->types[i];
                merge(&all, &heap->types[i]);
            }
        types += to->type_count;
        stats_figures_add(&view->figures, &heap->view.figures);
        stats_generations_add(view->generations, heap->view.generations);
        stats_runs_add(&view->runs, &heap->view.runs);
        view->complete &= heap->view.complete;
    }
    tdestroy(all.tree, node_leave);
    view->heaps = heaps;
    view->types = merged;
    view->type_count = all.count;
    return !all.failed;
}

static void collections_fill(struct stats_process_view *view, const struct model_process *process,
                             struct stats_collection_view *to)
{
    view->collections = to;
    view->collection_count = process->collection_count;
    for (size_t i = 0; i < process->collection_count; i++) {
        size_t at = (process->collection_next + STATS_COLLECTIONS_KEPT - 1 - i) % STATS_COLLECTIONS_KEPT;
        to[i] = process->collections[at];
    }
}

static const struct stats_process_view *process_build(const struct model_process *process, uint64_t seq)
{
    size_t heap_count = 0, type_count = 0, merged_count = types_used(&process->retired);
    for (const struct model_heap *heap = process->heaps; heap; heap = heap->next) {
        heap_count++;
        type_count += types_used(heap);
    }
    size_t bytes = sizeof(struct process_box) + heap_count * sizeof(struct stats_heap_view) +
                   (2 * type_count + merged_count) * sizeof(struct stats_type_view) +
                   process->collection_count * sizeof(struct stats_collection_view);
    struct process_box *box = malloc(bytes);
    if (!box)
        return NULL;
    atomic_init(&box->references, 1);
    box->bytes = bytes;
    box->texts = process->texts;
    atomic_fetch_add(&box->texts->references, 1);
    box->view = process->view;
    box->view.seq = seq;
    struct stats_heap_view *heaps = (struct stats_heap_view *)(box + 1);
    struct stats_type_view *types = (struct stats_type_view *)(heaps + heap_count);
    bool whole = heaps_fill(&box->view, process, heaps, types, types + type_count);
    uint64_t peak = process->published ? process->published->peak_live_bytes : 0;
    box->view.peak_live_bytes = box->view.figures.live_bytes > peak ? box->view.figures.live_bytes : peak;
    collections_fill(&box->view, process,
                     (struct stats_collection_view *)(types + 2 * type_count + merged_count));
    if (whole)
        return &box->view;
    stats_process_unref(&box->view);
    return NULL;
}

bool stats_process_build(struct model_process *process, uint64_t seq)
{
    if (!process->dirty && process->published)
        return true;
    const struct stats_process_view *built = process_build(process, seq);
    if (!built)
        return false;
    if (process->published)
        stats_process_unref(process->published);
    process->published = built;
    process->dirty = false;
    return true;
}

/* Post-condition: every process has a published view; false: out of memory, some are older than the model. */
static bool processes_build(struct stats *stats, uint64_t seq, size_t *count)
{
    bool whole = true;
    for (struct model_process *process = stats->processes; process; process = process->next) {
        whole &= stats_process_build(process, seq);
        *count += process->published != NULL;
    }
    return whole;
}

static void processes_list(const struct stats *stats, struct view_box *box, bool gone)
{
    for (const struct model_process *process = stats->processes; process; process = process->next)
        if (process->published && process->published->gone == gone)
            box->processes[box->view.process_count++] = stats_process_ref(process->published);
}

bool stats_publish(struct stats *stats)
{
    size_t count = 0;
    uint64_t seq = stats->seq + 1;
    bool whole = processes_build(stats, seq, &count);
    struct view_box *box = malloc(sizeof *box + count * sizeof *box->processes);
    if (!box)
        return false;
    atomic_init(&box->references, 1);
    memcpy(box->refusals, stats->refusals, sizeof box->refusals);
    box->apps = stats_apps_ref(stats->apps);
    box->view = (struct stats_view){.seq = seq, .as_of_mono_ns = clock_mono_ns(),
                                    .as_of_wall_ns = clock_wall_ns(),
                                    .processes = box->processes, .refusal_count = stats->refusal_count,
                                    .refusals = box->refusals, .app_count = box->apps ? box->apps->count : 0,
                                    .apps = box->apps ? box->apps->views : NULL};
    processes_list(stats, box, false);
    processes_list(stats, box, true);
    stats->seq = seq;
    stats->dirty = !whole;
    pthread_mutex_lock(&stats->lock);
    const struct stats_view *old = stats->view;
    stats->view = &box->view;
    pthread_mutex_unlock(&stats->lock);
    stats_tails_publish(stats);
    if (old)
        stats_view_unref(old);
    return true;
}

const struct stats_view *stats_view_get_new(struct stats *stats)
{
    pthread_mutex_lock(&stats->lock);
    const struct stats_view *view = stats->view;
    atomic_fetch_add(&view_box_of(view)->references, 1);
    pthread_mutex_unlock(&stats->lock);
    return view;
}

static bool is_pid(const struct stats_process_view *process, const char *text)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)process->pid);
    return process->pid && !strcmp(pid, text);
}

const struct stats_process_view *stats_find(const struct stats_view *view, const char *id, bool *ambiguous)
{
    const struct stats_process_view *found = NULL;
    *ambiguous = false;
    for (size_t i = 0; i < view->process_count; i++)
        if (!strcmp(view->processes[i]->id, id))
            return view->processes[i];
    for (size_t i = 0; i < view->process_count; i++) { /* live ones come first */
        const struct stats_process_view *process = view->processes[i];
        if (!is_pid(process, id) || (found && !found->gone && process->gone))
            continue;
        *ambiguous = found != NULL;
        found = process;
    }
    return *ambiguous ? NULL : found;
}
