#include "tallyctl/top_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/text.h"

#define AT_REST_NS 750000000u /* tallyd publishes four times a second where something changes */

const struct top_column_row top_columns[TOP_COLUMNS] = {
#define TOP_COLUMN(name, heading, width, path, help) {heading, width, path, help},
#include "tallyctl/top.def"
#undef TOP_COLUMN
};

void top_model_fini(struct top_model *model)
{
    json_decref(model->frame);
    json_decref(model->marks);
    free(model->rows);
    *model = (struct top_model){0};
}

/* ---- figures of a row */

static const char *const counters[] = {"allocations", "frees.refcount", "frees.cycle", "pause_ns"};

static double number(const json_t *process, const char *path)
{
    const json_t *value = client_member(process, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* How much a counter has grown in a second, by the mark of the frame before; a counter that fell is another's. */
static double rate(const json_t *mark, const json_t *process, size_t counter, double now_ns)
{
    double then_ns = json_number_value(json_array_get(mark, 0));
    double grown = number(process, counters[counter]) - json_number_value(json_array_get(mark, counter + 1));
    return now_ns > then_ns && grown >= 0 ? grown * 1e9 / (now_ns - then_ns) : 0;
}

static void row_fill(struct top_row *row, const json_t *process, const json_t *mark, double now_ns)
{
    *row = (struct top_row){.process = process, .id = client_text(process, "id"), .name = client_text(process, "name"),
                            .gone = strcmp(client_text(process, "state"), "live") != 0, .known = json_is_array(mark)};
    double *values = row->values;
    for (size_t i = 0; i < TOP_COLUMNS; i++)
        values[i] = top_columns[i].path ? number(process, top_columns[i].path) : NAN;
    values[TOP_PID] = number(process, "pid");
    values[TOP_P99] = number(process, "p99_pause_ns");
    values[TOP_FORECAST] = number(process, "predicted_pause_ns");
    values[TOP_AGE] = number(process, "safepoint_age_ns");
    values[TOP_HEAPS] = (double)json_array_size(json_object_get(process, "heaps"));
    const json_t *enabled = json_object_get(process, "enabled");
    values[TOP_AUTOMATIC] = json_is_true(enabled) ? 2 : json_is_false(enabled) ? 0 : 1;
    if (!row->known)
        return;
    values[TOP_ALLOCATED] = rate(mark, process, 0, now_ns);
    values[TOP_FREED] = rate(mark, process, 1, now_ns);
    values[TOP_CYCLES] = rate(mark, process, 2, now_ns);
    values[TOP_SHARE] = rate(mark, process, 3, now_ns) / 1e7; /* nanoseconds a second, as per cent */
}

static json_t *mark_new(const json_t *process, double now_ns)
{
    json_t *mark = json_pack("[f]", now_ns);
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        double value = number(process, counters[i]);
        json_array_append_new(mark, json_real(isnan(value) ? 0 : value));
    }
    return mark;
}

/* ---- order and filter */

static int compare(const void *a, const void *b, void *arg)
{
    const struct top_row *one = a, *two = b;
    const struct top_model *model = arg;
    double x = one->values[model->sort], y = two->values[model->sort];
    int order = model->sort == TOP_NAME ? strcasecmp(one->name, two->name) : 0;
    if (model->sort != TOP_NAME && isnan(x) != isnan(y))
        return isnan(x) ? 1 : -1; /* what is not known is last, however it is sorted */
    if (model->sort != TOP_NAME && !isnan(x))
        order = x > y ? -1 : x < y;
    if (order)
        return model->reverse ? -order : order;
    order = strcasecmp(one->name, two->name);
    return order ? order : strcmp(one->id, two->id);
}

static bool label_holds(const json_t *labels, const char *filter)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)labels, key, value) {
        char pair[512];
        snprintf(pair, sizeof pair, "%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
        if (strcasestr(pair, filter))
            return true;
    }
    return false;
}

static bool is_shown(const struct top_model *model, const struct top_row *row)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%llu", (unsigned long long)client_number(row->process, "pid"));
    if (row->gone && !model->show_gone)
        return false;
    return !*model->filter || strcasestr(row->name, model->filter) || !strncmp(pid, model->filter, strlen(model->filter)) ||
           !strncasecmp(row->id, model->filter, strlen(model->filter)) ||
           label_holds(json_object_get(row->process, "labels"), model->filter);
}

static void total_add(struct top_model *model, const struct top_row *row)
{
    static const enum top_column sums[] = {TOP_OBJECTS, TOP_BYTES, TOP_ALLOCATED, TOP_FREED, TOP_CYCLES};
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        if (!isnan(row->values[sums[i]]))
            model->totals[sums[i]] += row->values[sums[i]];
}

/* Rows of the frame, with rates by `marks`. */
static void rows_make(struct top_model *model, const json_t *marks)
{
    const json_t *list = json_object_get(model->frame, "processes");
    double now_ns = number(model->frame, "as_of_mono_ns");
    struct top_row *rows = realloc(model->rows, (json_array_size(list) + 1) * sizeof *rows);
    size_t i;
    json_t *process;
    if (!rows)
        return;
    model->rows = rows;
    model->count = model->live = model->gone = 0;
    memset(model->totals, 0, sizeof model->totals);
    json_array_foreach((json_t *)list, i, process) {
        struct top_row *row = &rows[model->count];
        row_fill(row, process, json_object_get(marks, client_text(process, "id")), now_ns);
        model->live += !row->gone;
        model->gone += row->gone;
        if (!row->gone)
            total_add(model, row);
        model->count += is_shown(model, row);
    }
    qsort_r(rows, model->count, sizeof *rows, compare, model);
}

void top_model_order(struct top_model *model)
{
    rows_make(model, model->marks);
}

/* Of all processes of the frame, as it is now. */
static void marks_make(struct top_model *model)
{
    json_t *marks = json_object(), *process;
    double at_ns = number(model->frame, "as_of_mono_ns");
    size_t i;
    json_array_foreach(json_object_get(model->frame, "processes"), i, process)
        json_object_set_new(marks, client_text(process, "id"), mark_new(process, at_ns));
    json_decref(model->marks);
    model->marks = marks;
}

/* Rates are over the time between two frames that tallyd has published; where it publishes none, nothing happens. */
void top_model_take(struct top_model *model, json_t *frame, uint64_t came_ns)
{
    double now_ns = number(frame, "as_of_mono_ns");
    if (!json_is_array(json_object_get(frame, "processes")) || isnan(now_ns)) {
        json_decref(frame);
        return;
    }
    bool first = !model->frame, newer = !first && now_ns > number(model->frame, "as_of_mono_ns");
    if (newer)
        marks_make(model);
    if (newer || first)
        model->changed_ns = came_ns;
    json_decref(model->frame);
    model->frame = frame;
    if (!newer && came_ns - model->changed_ns > AT_REST_NS)
        marks_make(model);
    rows_make(model, model->marks);
}

/* ---- the chosen one */

size_t top_model_chosen(struct top_model *model)
{
    for (size_t i = 0; i < model->count; i++)
        if (strcmp(model->rows[i].id, model->chosen) == 0)
            return i;
    snprintf(model->chosen, sizeof model->chosen, "%s", model->count ? model->rows[0].id : "");
    return 0;
}

void top_model_move(struct top_model *model, long by)
{
    long at = (long)top_model_chosen(model) + by, last = (long)model->count - 1;
    at = at > last ? last : at;
    at = at < 0 ? 0 : at;
    if (model->count)
        snprintf(model->chosen, sizeof model->chosen, "%s", model->rows[at].id);
}

enum top_column top_column_find(const char *word)
{
    static const struct { const char *word; enum top_column column;
    } words[] = {{"rates", TOP_ALLOCATED},
                 {"allocations", TOP_ALLOCATED},
                 {"alloc", TOP_ALLOCATED},
                 {"gc", TOP_SHARE},
                 {"pause", TOP_P99},
                 {"p99_pause_ns", TOP_P99},
                 {"predicted_pause_ns", TOP_FORECAST}};
    for (size_t i = 0; i < TOP_COLUMNS; i++)
        if (!strcasecmp(top_columns[i].heading, word) || (top_columns[i].path && !strcasecmp(top_columns[i].path, word)))
            return (enum top_column)i;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(words[i].word, word))
            return words[i].column;
    return TOP_COLUMNS;
}

/* ---- rows for programs */

json_t *top_model_json(const struct top_model *model)
{
    static const struct { const char *name; enum top_column column;
    } added[] = {{"allocations_per_s", TOP_ALLOCATED},
                 {"frees_refcount_per_s", TOP_FREED},
                 {"frees_cycle_per_s", TOP_CYCLES},
                 {"gc_percent", TOP_SHARE}};
    json_t *rows = json_array();
    for (size_t i = 0; i < model->count; i++) {
        json_t *row = json_copy((json_t *)model->rows[i].process);
        for (size_t a = 0; a < sizeof added / sizeof *added; a++) {
            double value = model->rows[i].values[added[a].column];
            json_object_set_new(row, added[a].name, isnan(value) ? json_null() : json_real(value));
        }
        json_array_append_new(rows, row);
    }
    return json_pack("{s:O?, s:o}", "as_of", json_object_get(model->frame, "as_of"), "processes", rows);
}

/* ---- cells */

const char *top_short(char *out, size_t room, double value, unsigned thousand)
{
    static const char units[] = "\0kMGTPE";
    size_t unit = 0;
    while (value >= (thousand == 1000 && !unit ? 1e6 : thousand - 0.5) && unit < sizeof units - 2) {
        value /= thousand;
        unit++;
    }
    if (thousand == 1000 && unit == 1 && value >= 999.5) {
        value /= thousand;
        unit++;
    }
    if (unit == 0)
        snprintf(out, room, "%.0f", value);
    else
        snprintf(out, room, "%.*f%c",
                 value < 9.995   ? 2
                 : value < 99.95 ? 1
                                 : 0,
                 value, thousand == 1024 && unit == 1 ? 'K' : units[unit]);
    return out;
}

static void labels_write(const json_t *labels, char *out, size_t room)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    *out = '\0';
    json_object_foreach((json_t *)labels, key, value) if (used < room) used += (size_t)snprintf(
        out + used, room - used, "%s%s=%s", used ? " " : "", key, json_is_string(value) ? json_string_value(value) : "");
}

void top_cell(const struct top_row *row, enum top_column column, char *out, size_t room)
{
    double value = row->values[column];
    char figure[TEXT_FIGURE_MAX];
    switch (column) {
    case TOP_NAME:
        snprintf(out, room, row->gone ? "(%s)" : "%s", row->name);
        return;
    case TOP_LABELS:
        labels_write(json_object_get(row->process, "labels"), out, room);
        return;
    case TOP_AUTOMATIC:
        snprintf(out, room, "%s", value > 1 ? "on" : value < 1 ? "off" : "differs");
        return;
    default:
        break;
    }
    if (isnan(value))
        snprintf(out, room, "-");
    else if (column == TOP_PID || column == TOP_HEAPS)
        snprintf(out, room, "%.0f", value);
    else if (column == TOP_SHARE)
        snprintf(out, room, "%.*f", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
    else if (column == TOP_BYTES)
        top_short(out, room, value, 1024);
    else if (column == TOP_P99 || column == TOP_LONGEST || column == TOP_FORECAST || column == TOP_AGE)
        snprintf(out, room, "%s", text_duration(figure, (uint64_t)value));
    else
        top_short(out, room, value, 1000);
}
