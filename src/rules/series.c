/* The series that rules watch, and their figures in a view. */
#include <stdio.h>
#include <string.h>

#include "rules/private.h"

enum { gauge, counter };

static const struct series all[] = {
#define STATS_FIELD(member, path, kind, unit, label, help) \
    {path, unit, help, FIGURE, offsetof(struct stats_figures, member)},
#include "stats/fields.def"
#undef STATS_FIELD
#define RULE_SERIES(name, unit, source, help) {name, unit, help, source, 0},
#include "rules/series.def"
#undef RULE_SERIES
};
static const struct series rates[] = { /* a gauge's has no name */
#define STATS_FIELD(member, path, kind, unit, label, help) \
    {(kind) == counter ? path "_per_s" : "", unit " a second", help, RATE, offsetof(struct stats_figures, member)},
#include "stats/fields.def"
#undef STATS_FIELD
};

const struct series *series_find(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, name))
            return &all[i];
    for (size_t i = 0; *name && i < sizeof rates / sizeof *rates; i++)
        if (!strcmp(rates[i].name, name))
            return &rates[i];
    return NULL;
}

void series_names(char *text, size_t bytes)
{
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < sizeof all / sizeof *all && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, " %s", all[i].name);
    for (size_t i = 0; i < sizeof rates / sizeof *rates && used < bytes; i++)
        if (*rates[i].name)
            used += (size_t)snprintf(text + used, bytes - used, " %s", rates[i].name);
}

static void series_add(json_t *list, const struct series *series)
{
    if (*series->name)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", series->name, "unit", series->unit, "help", series->help));
}

json_t *rules_series_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        series_add(list, &all[i]);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        series_add(list, &rates[i]);
    return list;
}

/* How many of the collections, newest first, began within `over`. */
static size_t collections_within(const struct stats_process_view *process, uint64_t over_ns, uint64_t now_ns)
{
    uint64_t since_ns = now_ns > over_ns ? now_ns - over_ns : 0;
    size_t count = 0;
    while (count < process->collection_count && process->collections[count].start_mono_ns >= since_ns)
        count++;
    return count;
}

/* Of at most 256 pauses the 99th percentile is one of the three longest. */
static bool pause_p99(const struct stats_process_view *process, uint64_t over_ns, uint64_t now_ns, double *value)
{
    uint64_t longest[4] = {0};
    size_t count = collections_within(process, over_ns, now_ns), rank = count / 100 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t at = 3;
        for (longest[3] = process->collections[i].pause_ns; at && longest[at] > longest[at - 1]; at--) {
            uint64_t shorter = longest[at - 1];
            longest[at - 1] = longest[at];
            longest[at] = shorter;
        }
    }
    *value = (double)longest[rank - 1];
    return count;
}

static double free_nothing(const struct stats_process_view *process, uint64_t over_ns, uint64_t now_ns)
{
    size_t within = collections_within(process, over_ns, now_ns), count = 0;
    while (count < within && !process->collections[count].collected)
        count++;
    return (double)count;
}

static bool safepoint_age(const struct stats_process_view *process, uint64_t now_ns, double *value)
{
    bool any = false;
    *value = 0;
    for (size_t i = 0; i < process->heap_count; i++) {
        const struct stats_heap_view *heap = &process->heaps[i];
        double age = now_ns > heap->safepoint_mono_ns ? (double)(now_ns - heap->safepoint_mono_ns) : 0;
        if (heap->gone || !heap->safepoint_mono_ns)
            continue;
        any = true;
        *value = age > *value ? age : *value;
    }
    return any;
}

static bool type_value(enum source source, const struct stats_process_view *process, const char *type, double *value)
{
    bool any = false;
    *value = 0;
    for (size_t i = 0; i < process->type_count; i++) {
        if (strcmp(process->types[i].name, type) != 0)
            continue;
        any = true;
        *value += (double)(source == TYPE_BYTES ? process->types[i].live_bytes : process->types[i].live_objects);
    }
    return any;
}

bool series_value(const struct series *series, const struct stats_process_view *process, const char *type, uint64_t over_ns,
                  uint64_t now_ns, double *value)
{
    uint64_t figure;
    switch (series->source) {
    case FIGURE:
    case RATE:
        memcpy(&figure, (const char *)&process->figures + series->offset, sizeof figure);
        *value = (double)figure;
        return true;
    case PAUSE_P99:
        return pause_p99(process, over_ns, now_ns, value);
    case FREE_NOTHING:
        *value = free_nothing(process, over_ns, now_ns);
        return true;
    case SAFEPOINT_AGE:
        return safepoint_age(process, now_ns, value);
    case TYPE_BYTES:
    case TYPE_OBJECTS:
        return type && type_value(series->source, process, type, value);
    }
    return false;
}
