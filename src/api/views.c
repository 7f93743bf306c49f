/* Views as JSON. Integers are exact up to 2^63 - 1, and saturate there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/private.h"
#include "api/views.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/feed.h"

json_t *view_number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

struct word {
    uint32_t value;
    const char *word;
};
#define WIRE_X(name, value, word) {value, word},
static const struct word managers[] = {WIRE_MANAGERS(WIRE_X)};
static const struct word levels[] = {WIRE_LEVELS(WIRE_X)};
static const struct word reasons[] = {WIRE_REASONS(WIRE_X)};
static const struct word scopes[] = {WIRE_SCOPES(WIRE_X)};
static const struct word states[] = {WIRE_STATES(WIRE_X)};
static const struct word accesses[] = {WIRE_ACCESSES(WIRE_X)};
static const struct word debug_flags[] = {WIRE_DEBUG_FLAGS(WIRE_X)};
#undef WIRE_X
#define WORD(table, value) word_of(table, sizeof table / sizeof *table, value)

static const char *word_of(const struct word *table, size_t count, uint32_t value)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].value == value)
            return table[i].word;
    return "unknown";
}

const char *view_reason(uint32_t reason)
{
    return WORD(reasons, reason);
}

const char *view_scope(uint32_t scope)
{
    return WORD(scopes, scope);
}

json_t *view_state(uint32_t state)
{
    return json_string(WORD(states, state));
}

json_t *view_time(uint64_t wall_ns)
{
    char text[TEXT_TIME];
    if (!wall_ns)
        return json_null();
    text_time(text, wall_ns);
    return json_string(text);
}

void view_stamp(json_t *json, uint64_t wall_ns, uint64_t mono_ns, uint64_t seq)
{
    json_object_set_new(json, "as_of", view_time(wall_ns));
    json_object_set_new(json, "as_of_mono_ns", view_number(mono_ns));
    json_object_set_new(json, "seq", view_number(seq));
}

/* Sets "a" or, below an object that is made where it is missing, "a.b". */
static void path_set(json_t *json, const char *path, json_t *value)
{
    char parent[32];
    const char *dot = strchr(path, '.');
    if (!dot) {
        json_object_set_new(json, path, value);
        return;
    }
    snprintf(parent, sizeof parent, "%.*s", (int)(dot - path), path);
    json_t *object = json_object_get(json, parent);
    if (!object) {
        json_object_set_new(json, parent, json_object());
        object = json_object_get(json, parent);
    }
    json_object_set_new(object, dot + 1, value);
}

static void figures_set(json_t *json, const struct stats_figures *figures)
{
#define STATS_FIELD(member, path, kind, unit, label, help) path_set(json, path, view_number(figures->member));
#include "stats/fields.def"
#undef STATS_FIELD
}

static json_t *thresholds_of(const struct stats_config *config)
{
    return json_pack("[o, o, o]", view_number(config->thresholds[0]), view_number(config->thresholds[1]),
                     view_number(config->thresholds[2]));
}

static json_t *debug_of(uint32_t flags)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof debug_flags / sizeof *debug_flags; i++)
        if (flags & debug_flags[i].value)
            json_array_append_new(list, json_string(debug_flags[i].word));
    return list;
}

static json_t *stress_of(const struct stats_config *config)
{
    return json_pack("{s:I, s:b}", "nth", (json_int_t)config->stress_nth, "every_decref",
                     config->stress_every_decref);
}

json_t *view_managers(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof managers / sizeof *managers; i++)
        json_array_append_new(list, json_string(managers[i].word));
    return list;
}

static uint64_t age(uint64_t now_ns, uint64_t then_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

const struct stats_heap_view *view_heap_find(const struct stats_process_view *process, uint32_t n)
{
    for (size_t i = 0; i < process->heap_count; i++)
        if (process->heaps[i].n == n)
            return &process->heaps[i];
    return NULL;
}

/* Sets a member from the heaps: the value they agree on, null where they differ or there is none. Heaps that
 * are gone have no say while others live. */
static void agreed_set(json_t *json, const char *path, const struct stats_process_view *process,
                       json_t *(*of)(const struct stats_heap_view *heap))
{
    json_t *agreed = NULL;
    bool any_live = false, differ = false;
    for (size_t i = 0; i < process->heap_count; i++)
        any_live |= !process->heaps[i].gone;
    for (size_t i = 0; i < process->heap_count; i++) {
        if (any_live && process->heaps[i].gone)
            continue;
        json_t *value = of(&process->heaps[i]);
        if (agreed && !json_equal(agreed, value))
            differ = true;
        if (agreed)
            json_decref(value);
        else
            agreed = value;
    }
    if (differ)
        json_decref(agreed);
    path_set(json, path, agreed && !differ ? agreed : json_null());
}

static json_t *enabled_of_heap(const struct stats_heap_view *heap)
{
    return json_boolean(heap->config.enabled);
}
static json_t *manager_of_heap(const struct stats_heap_view *heap)
{
    return json_string(WORD(managers, heap->config.manager));
}
static json_t *thresholds_of_heap(const struct stats_heap_view *heap)
{
    return thresholds_of(&heap->config);
}
static json_t *debug_of_heap(const struct stats_heap_view *heap)
{
    return debug_of(heap->config.debug);
}
static json_t *max_pause_of_heap(const struct stats_heap_view *heap)
{
    return view_number(heap->config.max_pause_us);
}
static json_t *memory_limit_of_heap(const struct stats_heap_view *heap)
{
    return view_number(heap->config.memory_limit_bytes);
}
static json_t *access_of_heap(const struct stats_heap_view *heap)
{
    return json_string(WORD(accesses, heap->config.access));
}
static json_t *stress_of_heap(const struct stats_heap_view *heap)
{
    return stress_of(&heap->config);
}
static json_t *level_of_heap(const struct stats_heap_view *heap)
{
    return json_string(WORD(levels, heap->config.level));
}

/* What a configuration says, but for the level of events, which views put in different places. */
static const struct config_member {
    const char *name;
    json_t *(*of)(const struct stats_heap_view *heap);
} config_members[] = {{"enabled", enabled_of_heap},
                      {"manager", manager_of_heap},
                      {"thresholds", thresholds_of_heap},
                      {"debug", debug_of_heap},
                      {"max_pause_us", max_pause_of_heap},
                      {"memory_limit_bytes", memory_limit_of_heap},
                      {"stress", stress_of_heap},
                      {"access", access_of_heap}};
#define CONFIG_MEMBERS (sizeof config_members / sizeof *config_members)

static void config_set(json_t *json, const struct stats_heap_view *heap)
{
    for (size_t i = 0; i < CONFIG_MEMBERS; i++)
        json_object_set_new(json, config_members[i].name, config_members[i].of(heap));
}

static void config_agreed_set(json_t *json, const struct stats_process_view *process)
{
    for (size_t i = 0; i < CONFIG_MEMBERS; i++)
        agreed_set(json, config_members[i].name, process, config_members[i].of);
}

/* When the owner of the heap that is longest away last came by. */
static uint64_t safepoint_age(const struct stats_process_view *process, uint64_t now_ns)
{
    uint64_t oldest = 0;
    for (size_t i = 0; i < process->heap_count; i++) {
        uint64_t heap_age = age(now_ns, process->heaps[i].safepoint_mono_ns);
        if (!process->heaps[i].gone && heap_age > oldest)
            oldest = heap_age;
    }
    return oldest;
}

static json_t *labels_of(const struct stats_process_view *process)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < process->label_count; i++)
        json_object_set_new(labels, process->labels[i].key, json_string(process->labels[i].value));
    return labels;
}

void view_identity(json_t *json, const struct stats_process_view *process)
{
    json_object_set_new(json, "id", json_string(process->id));
    json_object_set_new(json, "pid", process->pid ? json_integer(process->pid) : json_null());
    json_object_set_new(json, "name", json_string(process->name));
    json_object_set_new(json, "state", json_string(process->gone ? "gone" : "live"));
    json_object_set_new(json, "complete", json_boolean(process->complete));
}

/* How fast it allocates, what its collections have cost, and what the next full one would. */
static void costs_set(json_t *json, const struct stats_process_view *process)
{
    struct stats_forecast full;
    struct stats_rates rates = details_rates(process, 0);
    bool any = process->collection_count;
    stats_forecast_full(process, &full);
    json_object_set_new(json, "predicted_pause_ns", full.unknown ? json_null() : view_number(full.pause_ns));
    json_object_set_new(json, "allocations_per_s", view_number(rates.allocations));
    json_object_set_new(json, "pause_ns_per_s", view_number(rates.pause_ns));
    json_object_set_new(json, "last_pause_ns", any ? view_number(process->collections[0].pause_ns) : json_null());
    json_object_set_new(json, "last_reason", any ? json_string(view_reason(process->collections[0].reason)) : json_null());
}

json_t *view_process(const struct stats_process_view *process, uint64_t now_mono_ns)
{
    json_t *json = json_object(), *heaps = json_array();
    view_identity(json, process);
    json_object_set_new(json, "uid", json_integer(process->uid));
    json_object_set_new(json, "labels", labels_of(process));
    json_object_set_new(json, "library", json_string(process->library));
    json_object_set_new(json, "attached_at", view_time(process->attached_wall_ns));
    json_object_set_new(json, "gone_at", view_time(process->gone_wall_ns));
    json_object_set_new(json, "end", process->end ? json_string(process->end) : json_null());
    json_object_set_new(json, "exit", process->ended ? details_exit(process->status) : json_null());
    json_object_set_new(json, "safepoint_age_ns", view_number(safepoint_age(process, now_mono_ns)));
    json_object_set_new(json, "live_objects", view_number(process->figures.live_objects));
    json_object_set_new(json, "live_bytes", view_number(process->figures.live_bytes));
    json_object_set_new(json, "allocations", view_number(process->figures.allocations));
    path_set(json, "frees.refcount", view_number(process->figures.frees_refcount));
    path_set(json, "frees.cycle", view_number(process->figures.frees_cycle));
    json_object_set_new(json, "collections", view_number(process->figures.collections));
    json_object_set_new(json, "pause_ns", view_number(process->figures.pause_ns));
    json_object_set_new(json, "max_pause_ns", view_number(process->figures.max_pause_ns));
    json_object_set_new(json, "p99_pause_ns", view_number(stats_pause_quantile(&process->runs, 99, process->figures.max_pause_ns)));
    costs_set(json, process);
    json_object_set_new(json, "events_lost", view_number(process->figures.events_lost));
    agreed_set(json, "enabled", process, enabled_of_heap);
    agreed_set(json, "manager", process, manager_of_heap);
    for (size_t i = 0; i < process->heap_count; i++) {
        const struct stats_heap_view *heap = &process->heaps[i];
        json_array_append_new(heaps, json_pack("{s:o, s:o, s:o, s:o}", "n", view_number(heap->n), "live_objects",
                                               view_number(heap->figures.live_objects), "live_bytes",
                                               view_number(heap->figures.live_bytes), "state",
                                               json_string(WORD(states, heap->state))));
    }
    json_object_set_new(json, "heaps", heaps);
    return json;
}

static json_t *generations_of(const struct stats_heap_view *heap)
{
    json_t *list = json_array();
    for (int i = 0; i < 3; i++)
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "collections",
                                              view_number(heap->generations[i].collections), "collected",
                                              view_number(heap->generations[i].collected), "uncollectable",
                                              view_number(heap->generations[i].uncollectable)));
    return list;
}

static json_t *heap_stats(const struct stats_heap_view *heap, uint64_t now_ns)
{
    json_t *json = json_object(), *counts = json_array();
    json_object_set_new(json, "n", json_integer(heap->n));
    json_object_set_new(json, "state", json_string(WORD(states, heap->state)));
    json_object_set_new(json, "gone", json_boolean(heap->gone));
    json_object_set_new(json, "complete", json_boolean(heap->complete));
    json_object_set_new(json, "inconsistent", json_boolean(heap->inconsistent));
    json_object_set_new(json, "types_without_row", view_number(heap->types_without_row));
    figures_set(json, &heap->figures);
    path_set(json, "events.level", level_of_heap(heap));
    config_set(json, heap);
    for (int i = 0; i < 3; i++)
        json_array_append_new(counts, view_number(heap->counts[i]));
    json_object_set_new(json, "counts", counts);
    json_object_set_new(json, "generations", generations_of(heap));
    json_object_set_new(json, "last_pause_ns", view_number(heap->last_pause_ns));
    json_object_set_new(json, "safepoint_age_ns", view_number(age(now_ns, heap->safepoint_mono_ns)));
    return json;
}

/* The sums of what is per generation, and the newest of what is per run. */
static void sums_set(json_t *json, const struct stats_process_view *process)
{
    struct stats_heap_view sum = {.n = 0};
    json_t *counts = json_array();
    for (size_t i = 0; i < process->heap_count; i++)
        for (int g = 0; g < 3; g++) {
            sum.counts[g] += process->heaps[i].counts[g];
            sum.generations[g].collections += process->heaps[i].generations[g].collections;
            sum.generations[g].collected += process->heaps[i].generations[g].collected;
            sum.generations[g].uncollectable += process->heaps[i].generations[g].uncollectable;
        }
    for (int g = 0; g < 3; g++)
        json_array_append_new(counts, view_number(sum.counts[g]));
    json_object_set_new(json, "counts", counts);
    json_object_set_new(json, "generations", generations_of(&sum));
    json_object_set_new(json, "last_pause_ns",
                        view_number(process->collection_count ? process->collections[0].pause_ns : 0));
}

json_t *view_stats(const struct api *api, const struct stats_process_view *process, uint32_t n)
{
    (void)api;
    uint64_t now_ns = process->gone ? process->as_of_mono_ns : clock_mono_ns();
    json_t *json;
    if (n) {
        json = heap_stats(view_heap_find(process, n), now_ns);
        json_t *own = json_string(json_string_value(json_object_get(json, "state")));
        view_identity(json, process);
        json_object_set_new(json, "heap_state", own);
        json_object_set_new(json, "complete", json_boolean(view_heap_find(process, n)->complete));
        json_object_set_new(json, "rates", details_rates_json(process, n));
    } else {
        json_t *heaps = json_array();
        json = json_object();
        view_identity(json, process);
        figures_set(json, &process->figures);
        json_object_set_new(json, "rates", details_rates_json(process, 0));
        agreed_set(json, "events.level", process, level_of_heap);
        config_agreed_set(json, process);
        sums_set(json, process);
        json_object_set_new(json, "safepoint_age_ns", view_number(safepoint_age(process, now_ns)));
        for (size_t i = 0; i < process->heap_count; i++)
            json_array_append_new(heaps, heap_stats(&process->heaps[i], now_ns));
        json_object_set_new(json, "heaps", heaps);
    }
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}

json_t *view_type(const struct stats_type_view *type)
{
    return json_pack(
        "{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:{s:o, s:o}, s:{s:o, s:o}, "
        "s:{s:o, s:{s:o, s:o}}}",
        "name", type->name, "tracked", type->tracked, "size_bytes",
        type->variable ? json_null() : view_number(type->size_bytes), "live_objects", view_number(type->live_objects),
        "live_bytes", view_number(type->live_bytes), "allocations", view_number(type->allocations), "allocated_bytes",
        view_number(type->allocated_bytes), "moved", "in", view_number(type->moved_in), "out",
        view_number(type->moved_out), "frees", "refcount", view_number(type->frees_refcount), "cycle",
        view_number(type->frees_cycle), "freed_bytes", "refcount", view_number(type->freed_refcount_bytes), "cycle",
        view_number(type->freed_cycle_bytes), "events", "allocations", view_number(type->event_allocations), "frees",
        "refcount", view_number(type->event_frees_refcount), "cycle", view_number(type->event_frees_cycle));
}

/* The same type in an earlier view of the process, or of its heap n. */
static const struct stats_type_view *type_then(const struct stats_process_view *then, uint32_t n,
                                               const struct stats_type_view *type)
{
    static const struct stats_type_view none;
    const struct stats_heap_view *heap = n ? view_heap_find(then, n) : NULL;
    const struct stats_type_view *types = n ? (heap ? heap->types : NULL) : then->types;
    size_t count = n ? (heap ? heap->type_count : 0) : then->type_count;
    for (size_t i = 0; i < count; i++)
        if (!stats_type_order(&types[i], type))
            return &types[i];
    return &none;
}

/* Live ones may have become fewer; all else only grows. */
void view_since(json_t *json, const struct stats_type_view *type, const struct stats_process_view *baseline, uint32_t n)
{
    const struct stats_type_view *then = type_then(baseline, n, type);
    json_object_set_new(json, "since_baseline",
                        json_pack("{s:I, s:I, s:o, s:o, s:{s:o, s:o}}", "live_objects",
                                  (json_int_t)(type->live_objects - then->live_objects), "live_bytes",
                                  (json_int_t)(type->live_bytes - then->live_bytes), "allocations",
                                  view_number(type->allocations - then->allocations), "allocated_bytes",
                                  view_number(type->allocated_bytes - then->allocated_bytes), "frees", "refcount",
                                  view_number(type->frees_refcount - then->frees_refcount), "cycle",
                                  view_number(type->frees_cycle - then->frees_cycle)));
}

json_t *view_collection(struct api *api, const struct stats_collection_view *from)
{
    char operation[OPERATION_ID_CHARS];
    bool known = operations_id(api->operations, from->operation, operation);
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o}", "heap",
        view_number(from->heap), "sequence", view_number(from->sequence), "started_at", view_time(from->start_wall_ns),
        "start_mono_ns", view_number(from->start_mono_ns), "reason", json_string(view_reason(from->reason)), "generation",
        view_number(from->generation), "manager", json_string(WORD(managers, from->manager)), "pause_ns", view_number(from->pause_ns),
        "phases", "find_ns", view_number(from->find_ns), "callback_ns", view_number(from->callback_ns), "free_ns",
        view_number(from->free_ns), "examined", view_number(from->examined), "collected", view_number(from->collected),
        "freed_bytes", view_number(from->freed_bytes), "uncollectable", view_number(from->uncollectable));
    json_object_set_new(json, "scope", json_string(WORD(scopes, from->scope)));
    json_object_set_new(json, "slices", json_integer(from->slices));
    json_object_set_new(json, "live_bytes_before", view_number(from->live_bytes_before));
    json_object_set_new(json, "live_bytes_after", view_number(from->live_bytes_after));
    json_object_set_new(json, "safepoint_wait_ns", view_number(from->safepoint_wait_ns));
    json_object_set_new(json, "operation", known ? json_string(operation) : json_null());
    return json;
}

/* Whether an earlier view had it: the collections of one heap are numbered. */
static bool had(const struct stats_process_view *earlier, const struct stats_collection_view *collection)
{
    for (size_t i = 0; earlier && i < earlier->collection_count; i++)
        if (earlier->collections[i].heap == collection->heap)
            return collection->sequence <= earlier->collections[i].sequence;
    return false;
}

json_t *view_collections(struct api *api, const struct stats_process_view *process, size_t limit,
                         const struct stats_process_view *since)
{
    json_t *json = json_object(), *list = json_array();
    for (size_t i = 0; i < process->collection_count && json_array_size(list) < limit; i++) {
        const struct stats_collection_view *collection = &process->collections[i];
        if (!had(since, collection))
            json_array_append_new(list, view_collection(api, collection));
    }
    view_identity(json, process);
    json_object_set_new(json, "collections", list);
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}

json_t *view_config(const struct stats_process_view *process, uint32_t n)
{
    json_t *json = json_object(), *heaps = json_array();
    view_identity(json, process);
    if (n) {
        const struct stats_heap_view *heap = view_heap_find(process, n);
        config_set(json, heap);
        json_object_set_new(json, "events", level_of_heap(heap));
    } else {
        config_agreed_set(json, process);
        agreed_set(json, "events", process, level_of_heap);
    }
    for (size_t i = 0; i < process->heap_count; i++) {
        if (n && process->heaps[i].n != n)
            continue;
        json_t *heap = json_pack("{s:o}", "n", view_number(process->heaps[i].n));
        config_set(heap, &process->heaps[i]);
        json_object_set_new(heap, "events", level_of_heap(&process->heaps[i]));
        json_array_append_new(heaps, heap);
    }
    json_object_set_new(json, "heaps", heaps);
    view_stamp(json, process->as_of_wall_ns, process->as_of_mono_ns, process->seq);
    return json;
}

/* What a change of configuration has put into force. */
json_t *view_changed(const struct wire_command *command)
{
    json_t *json = json_object();
    const struct stats_config config = {.debug = command->debug, .level = command->level,
                                        .stress_nth = command->stress_nth,
                                        .stress_every_decref = command->stress_every_decref,
                                        .thresholds = {command->thresholds[0], command->thresholds[1],
                                                       command->thresholds[2]}};
    if (command->mask & WIRE_CONFIG_ENABLED)
        json_object_set_new(json, "enabled", json_boolean(command->enabled));
    if (command->mask & WIRE_CONFIG_THRESHOLDS)
        json_object_set_new(json, "thresholds", thresholds_of(&config));
    if (command->mask & WIRE_CONFIG_DEBUG)
        json_object_set_new(json, "debug", debug_of(config.debug));
    if (command->mask & WIRE_CONFIG_STRESS)
        json_object_set_new(json, "stress", stress_of(&config));
    if (command->mask & WIRE_CONFIG_LEVEL)
        json_object_set_new(json, "events", json_string(WORD(levels, config.level)));
    if (command->mask & WIRE_CONFIG_MANAGER)
        json_object_set_new(json, "manager", json_string(WORD(managers, command->manager)));
    if (command->mask & WIRE_CONFIG_MAX_PAUSE)
        json_object_set_new(json, "max_pause_us", view_number(command->max_pause_us));
    if (command->mask & WIRE_CONFIG_MEMORY_LIMIT)
        json_object_set_new(json, "memory_limit_bytes", view_number(command->memory_limit_bytes));
    return json;
}
