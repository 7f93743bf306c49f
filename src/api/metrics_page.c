/* A page: the families of metrics.def in their order, each with the series of all subjects. */
#include <stdlib.h>
#include <string.h>

#include "api/metrics_page.h"
#include "wire/feed.h"
#include "wire/message.h"

#define METRICS_MORE_THAN_BASE (METRICS_HEAPS | METRICS_HISTOGRAMS | METRICS_MORE | METRICS_TYPES)

enum type { GAUGE, COUNTER, HISTOGRAM, INFO };
enum group { BASE, HISTOGRAMS, MORE, TYPES, DAEMON };
enum when { ALWAYS, SOME, EVER };

struct page;
struct row { /* of metrics.def */
    const char *name;                       /* a family */
    enum type type;
    const char *unit;
    enum group group;
    const char *help;
    const char *label;                      /* a series: of the values, or of the daemon's own */
    size_t offset;
    enum when when;
    bool own;
    void (*write)(struct page *page);       /* else */
};

struct page {
    struct text text;
    bool open;
    struct subjects subjects;
    const struct stats_view *view;
    const struct metrics_own *own;
    const struct row *family;
    bool begun;               /* the family's header is written */
    struct typed_list {       /* of each subject, where types are asked for */
        size_t count;
        struct typed *rows;
    } *types;
};

static void infos_write(struct page *page);
static void pauses_write(struct page *page);
static void type_bytes_write(struct page *page);
static void type_objects_write(struct page *page);
static void build_write(struct page *page);
static void refusals_write(struct page *page);
static void requests_write(struct page *page);

static const struct row rows[] = {
#define FAMILY(family, family_type, family_unit, family_group, family_help) \
    {.name = #family, .type = family_type, .unit = #family_unit, .group = family_group, .help = family_help},
#define SERIES(series_label, member, fold, series_when) \
    {.label = series_label, .offset = offsetof(struct metrics_values, member), .when = series_when},
#define OWN(series_label, member, series_when) \
    {.label = series_label, .offset = offsetof(struct metrics_own, member), .when = series_when, .own = true},
#define SPECIAL(function) {.write = function},
#include "api/metrics.def"
#undef FAMILY
#undef SERIES
#undef OWN
#undef SPECIAL
};
#define ROWS (sizeof rows / sizeof *rows)

/* ---- lines */

static const char *const suffixes[] = {[GAUGE] = "", [COUNTER] = "_total", [HISTOGRAM] = "", [INFO] = "_info"};
static const char *const words[] = {[GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram", [INFO] = "info"};

static void comment(struct page *page, const char *keyword, const char *value)
{
    text_add_string(&page->text, keyword);
    text_add_string(&page->text, page->family->name);
    if (!page->open)
        text_add_string(&page->text, suffixes[page->family->type]);
    text_add_string(&page->text, " ");
    text_add_string(&page->text, value);
    text_add_string(&page->text, "\n");
}

/* Once a family, with its first series. */
static void family_begin(struct page *page)
{
    const struct row *family = page->family;
    if (page->begun)
        return;
    page->begun = true;
    comment(page, "# HELP ", family->help);
    comment(page, "# TYPE ", !page->open && family->type == INFO ? "gauge" : words[family->type]);
    if (page->open && *family->unit)
        comment(page, "# UNIT ", family->unit);
}

/* NAME{LABELS,LABEL: the value is to follow. */
static void line_begin(struct page *page, const struct subject *subject, const char *suffix, const char *label)
{
    struct text *text = &page->text;
    family_begin(page);
    text_add_string(text, page->family->name);
    text_add_string(text, suffix);
    if (!subject && !*label)
        return;
    text_add_string(text, "{");
    if (subject)
        text_add(text, subject->labels, subject->label_bytes);
    if (subject && *label)
        text_add_string(text, ",");
    text_add_string(text, label);
    text_add_string(text, "}");
}

static void line_end(struct page *page, uint64_t value)
{
    text_add_string(&page->text, " ");
    if (strcmp(page->family->unit, "seconds"))
        text_add_number(&page->text, value);
    else
        put_seconds(&page->text, value);
    text_add_string(&page->text, "\n");
}

/* ---- whose and which */

static bool shows(const struct row *family, const struct row *row, const struct subject *subject, uint64_t value)
{
    return (!subject->gone || family->type != GAUGE || row->when == EVER) && (value || row->when != SOME);
}

static uint64_t value_of(const void *values, const struct row *row)
{
    uint64_t value;
    memcpy(&value, (const char *)values + row->offset, sizeof value);
    return value;
}

static bool group_shows(enum group group, unsigned detail)
{
    return group == BASE || group == DAEMON || (group == MORE && (detail & METRICS_MORE)) ||
           (group == HISTOGRAMS && (detail & METRICS_HISTOGRAMS)) || (group == TYPES && (detail & METRICS_TYPES));
}

/* Series of a subject but for its types. */
static size_t series_count(const struct subject *subject, unsigned detail)
{
    const struct row *family = NULL;
    size_t count = subject->process && subject->first; /* its info */
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].name)
            family = &rows[i];
        else if (rows[i].label && !rows[i].own && family && group_shows(family->group, detail))
            count += shows(family, &rows[i], subject, value_of(&subject->values, &rows[i]));
    }
    return count + (detail & METRICS_HISTOGRAMS ? STATS_PAUSE_BUCKETS + 2 : 0);
}

/* As many types of a process as the limits leave room for, chosen once a page. */
static void types_take(struct page *page, struct metrics *metrics, size_t at, size_t *used, size_t limit)
{
    struct typed found[METRICS_TYPES_LEAVE + 1];
    size_t room = limit > *used ? (limit - *used) / 2 : 0;
    if (!room)
        return;
    size_t most = room - 1 < METRICS_TYPES_LEAVE ? room - 1 : METRICS_TYPES_LEAVE;
    size_t count = types_choose(metrics->types, page->subjects.list[at].process, most, found);
    struct typed *copy = malloc(count * sizeof *copy);
    page->text.failed |= !copy;
    if (!copy)
        return;
    memcpy(copy, found, count * sizeof *copy);
    page->types[at] = (struct typed_list){count, copy};
    *used += 2 * count;
}

/* Post-condition: what is shown keeps to the limits, and the rest is counted. */
static void limits_keep(struct page *page, struct metrics *metrics, struct metrics_own *own, unsigned detail)
{
    size_t limit = metrics->process_series * (detail & METRICS_MORE_THAN_BASE ? METRICS_DETAILED : 1), used = 0;
    for (size_t i = 0; i < page->subjects.count; i++) {
        struct subject *subject = &page->subjects.list[i];
        size_t count = series_count(subject, detail), before = subject->first ? 0 : used;
        if (before + count > limit) {
            metrics->dropped_process += count;
        } else if (own->series + count > metrics->daemon_series) {
            metrics->dropped_daemon += count;
        } else {
            subject->shown = true;
            own->series += count;
            used = before + count;
        }
        if (!subject->shown || !page->types || !subject->first || subject->process->gone)
            continue;
        size_t here = used;
        size_t most = metrics->daemon_series - own->series + used;
        types_take(page, metrics, i, &used, most < limit ? most : limit);
        own->series += used - here;
    }
    own->dropped_process = metrics->dropped_process;
    own->dropped_daemon = metrics->dropped_daemon;
}

/* ---- series that are more than a row */

/* A label's name is made of a key's letters; of two keys that give the same name the first counts. */
static void label_name(char *to, const char *key)
{
    size_t at = 0;
    for (; key[at] && at < WIRE_KEY_MAX; at++)
        to[at] = strchr("-.", key[at]) ? '_' : key[at];
    to[at] = '\0';
}

static bool label_known(const struct stats_process_view *process, size_t count, const char *name)
{
    char other[WIRE_KEY_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        label_name(other, process->labels[i].key);
        if (!strcmp(other, name))
            return true;
    }
    return false;
}

static void info_write(struct page *page, const struct subject *subject)
{
    const struct stats_process_view *process = subject->process;
    struct text *text = &page->text;
    char name[WIRE_KEY_MAX + 1];
    family_begin(page);
    text_add_string(text, "tally_process_info{app=");
    put_value(text, stats_app_name(process));
    text_add_string(text, ",uid=");
    put_value(text, process->id);
    text_add_string(text, ",exe=");
    put_value(text, process->name);
    text_add_string(text, ",lib_version=");
    put_value(text, process->library);
    for (size_t i = 0; i < process->label_count; i++) {
        label_name(name, process->labels[i].key);
        if (label_known(process, i, name))
            continue;
        text_add_string(text, ",label_");
        text_add_string(text, name);
        text_add_string(text, "=");
        put_value(text, process->labels[i].value);
    }
    text_add_string(text, "} 1\n");
}

static void infos_write(struct page *page)
{
    for (size_t i = 0; i < page->subjects.count; i++) {
        const struct subject *subject = &page->subjects.list[i];
        if (subject->shown && subject->first && subject->process)
            info_write(page, subject);
    }
}

static const char *const bounds[] = {
#define BOUND(ns, seconds) "le=\"" seconds "\"",
    STATS_PAUSES(BOUND)
#undef BOUND
    "le=\"+Inf\"",
};

static void pause_write(struct page *page, const struct subject *subject)
{
    const struct stats_runs *runs = &subject->values.runs;
    uint64_t count = 0;
    for (unsigned i = 0; i < STATS_PAUSE_BUCKETS; i++) {
        count += runs->pauses[i];
        line_begin(page, subject, "_bucket", bounds[i]);
        text_add_string(&page->text, " ");
        text_add_number(&page->text, count);
        text_add_string(&page->text, "\n");
    }
    line_begin(page, subject, "_count", "");
    text_add_string(&page->text, " ");
    text_add_number(&page->text, count);
    text_add_string(&page->text, "\n");
    line_begin(page, subject, "_sum", "");
    line_end(page, runs->pause_ns);
}

static void pauses_write(struct page *page)
{
    for (size_t i = 0; i < page->subjects.count; i++)
        if (page->subjects.list[i].shown)
            pause_write(page, &page->subjects.list[i]);
}

static void types_write(struct page *page, bool objects)
{
    for (size_t i = 0; page->types && i < page->subjects.count; i++) {
        const struct subject *subject = &page->subjects.list[i];
        for (size_t t = 0; t < page->types[i].count; t++) {
            const struct typed *type = &page->types[i].rows[t];
            family_begin(page);
            text_add_string(&page->text, page->family->name);
            text_add_string(&page->text, "{app=");
            put_value(&page->text, stats_app_name(subject->process));
            text_add_string(&page->text, ",uid=");
            put_value(&page->text, subject->process->id);
            text_add_string(&page->text, ",type=");
            put_value(&page->text, type->name);
            text_add_string(&page->text, "}");
            line_end(page, objects ? type->live_objects : type->live_bytes);
        }
    }
}

static void type_bytes_write(struct page *page)
{
    types_write(page, false);
}

static void type_objects_write(struct page *page)
{
    types_write(page, true);
}

static void build_write(struct page *page)
{
    family_begin(page);
    text_add_string(&page->text, "tallyd_build_info{version=");
    put_value(&page->text, page->own->version);
    text_add_string(&page->text, "} 1\n");
}

static void refusals_write(struct page *page)
{
    for (size_t i = 0; i < page->view->refusal_count; i++) {
        family_begin(page);
        text_add_string(&page->text, "tallyd_attach_refused_total{reason=");
        put_value(&page->text, page->view->refusals[i].reason);
        text_add_string(&page->text, "}");
        line_end(page, page->view->refusals[i].count);
    }
}

static void requests_write(struct page *page)
{
    for (size_t i = 0; i < page->own->request_count; i++) {
        const struct metrics_request *request = &page->own->requests[i];
        family_begin(page);
        text_add_string(&page->text, "tallyd_http_requests_total{route=");
        put_value(&page->text, request->path);
        text_add_string(&page->text, ",method=");
        put_value(&page->text, request->method);
        text_add_string(&page->text, ",code=\"");
        text_add_number(&page->text, request->code);
        text_add_string(&page->text, "\"}");
        line_end(page, request->count);
    }
}

/* ---- the whole */

static void series_write(struct page *page, const struct row *row, const struct subject *subject, const void *values)
{
    uint64_t value = value_of(values, row);
    if (subject ? !subject->shown || !shows(page->family, row, subject, value) : row->when == SOME && !value)
        return;
    line_begin(page, subject, suffixes[page->family->type], row->label);
    line_end(page, value);
}

/* A family's rows are next to one another; so are, in the text, the series of each subject. */
static void family_write(struct page *page, size_t at)
{
    size_t end = at + 1;
    page->family = &rows[at];
    page->begun = false;
    while (end < ROWS && !rows[end].name)
        end++;
    if (rows[at + 1].write) {
        rows[at + 1].write(page);
        return;
    }
    for (size_t row = at + 1; row < end && rows[row].own; row++)
        series_write(page, &rows[row], NULL, page->own);
    for (size_t i = 0; !rows[at + 1].own && i < page->subjects.count; i++)
        for (size_t row = at + 1; row < end; row++)
            series_write(page, &rows[row], &page->subjects.list[i], &page->subjects.list[i].values);
}

/* The scope of a page that names none follows the number of processes, with some way between to and fro. */
static unsigned scope_of(struct metrics *metrics, const struct stats_view *view, unsigned detail)
{
    size_t live = 0;
    for (size_t i = 0; i < view->process_count; i++)
        live += !view->processes[i]->gone;
    metrics->by_app = live > METRICS_APP_ABOVE || (metrics->by_app && live >= METRICS_APP_UNTIL);
    if (detail & METRICS_SCOPES)
        return detail & METRICS_SCOPES;
    return metrics->by_app ? METRICS_APP : METRICS_PROCESS;
}

static void page_fill(struct page *page, struct metrics *metrics, struct metrics_own *own, unsigned detail)
{
    type_memory_begin(metrics->types);
    limits_keep(page, metrics, own, detail);
    if (page->types)
        type_memory_end(metrics->types);
    page->own = own;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].name && group_shows(rows[i].group, detail))
            family_write(page, i);
    text_add_string(&page->text, "# EOF\n");
}

char *metrics_page_new(struct metrics *metrics, const struct stats_view *view, struct metrics_own *own, unsigned detail,
                       bool open, uint64_t now_wall_ns, uint64_t now_mono_ns, size_t *bytes)
{
    struct page page = {.open = open, .view = view};
    pthread_mutex_lock(&metrics->lock);
    unsigned scope = scope_of(metrics, view, detail);
    subjects_collect(&page.subjects, view, scope, now_wall_ns, now_mono_ns);
    if ((detail & METRICS_TYPES) && scope != METRICS_APP) {
        page.types = calloc(page.subjects.count + 1, sizeof *page.types);
        page.text.failed = !page.types;
    }
    page.text.failed |= page.subjects.failed;
    if (!page.text.failed)
        page_fill(&page, metrics, own, detail);
    pthread_mutex_unlock(&metrics->lock);
    for (size_t i = 0; page.types && i < page.subjects.count; i++)
        free(page.types[i].rows);
    free(page.types);
    subjects_free(&page.subjects);
    *bytes = page.text.length;
    if (!page.text.failed)
        return page.text.data;
    free(page.text.data);
    return NULL;
}

struct metrics *metrics_new(size_t process_series, size_t daemon_series)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    struct type_memory *types = metrics ? type_memory_new() : NULL;
    if (!types) {
        free(metrics);
        return NULL;
    }
    *metrics = (struct metrics){.process_series = process_series ? process_series : METRICS_PROCESS_SERIES,
                                .daemon_series = daemon_series ? daemon_series : METRICS_DAEMON_SERIES,
                                .types = types};
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    type_memory_free(metrics->types);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}
