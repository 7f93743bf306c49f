/* The page of one process: who it is, what is in force, and its types, collections or figures. */
#include <string.h>

#include "tallyctl/columns.h"
#include "tallyctl/text.h"
#include "tallyctl/top.h"

#define BODY_ROW 5u /* its headings */
#define WHO_COLUMNS 52u
#define FOOT_ROWS 3u /* two of description, and the keys */

struct page_column {
    const char *heading, *path;
    unsigned width; /* 0: what is left over */
    char kind;      /* t text, u unit, c clock, n number, b bytes, d duration, v varies where null */
};

static const struct page_column type_columns[] = {{"TYPE", "name", 0, 't'},
                                                  {"SIZE", "size_bytes", 9, 'v'},
                                                  {"OBJECTS", "live_objects", 9, 'n'},
                                                  {"BYTES", "live_bytes", 10, 'b'},
                                                  {"ALLOC/S", "rates.allocations_per_s", 8, 'n'},
                                                  {"BY COUNT", "frees.refcount", 9, 'n'},
                                                  {"BY CYCLE", "frees.cycle", 9, 'n'}};
static const struct page_column run_columns[] = {
    {"STARTED", "started_at", 12, 'c'}, {"REASON", "reason", 0, 't'},          {"GEN", "generation", 3, 'n'},
    {"PAUSE", "pause_ns", 8, 'd'},      {"EXAMINED", "examined", 9, 'n'},      {"TAKEN", "collected", 9, 'n'},
    {"FREED", "freed_bytes", 10, 'b'},  {"AFTER", "live_bytes_after", 10, 'b'}};
static const struct page_column figure_columns[] = {
    {"FIGURE", "label", 30, 't'}, {"VALUE", NULL, 16, 'n'}, {"UNIT", "unit", 0, 'u'}};

static const struct {
    const char *word;
    const struct page_column *columns;
    size_t count;
} tabs[TOP_TABS] = {{"1 Types", type_columns, sizeof type_columns / sizeof *type_columns},
                    {"2 Collections", run_columns, sizeof run_columns / sizeof *run_columns},
                    {"3 Figures", figure_columns, sizeof figure_columns / sizeof *figure_columns}};

/* The lines of a tab, as an array. */
static const json_t *lines_of(const struct top *top)
{
    switch (top->tab) {
    case TOP_TAB_TYPES:
        return json_object_get(top->page[TOP_ASK_TYPES], "types");
    case TOP_TAB_COLLECTIONS:
        return json_object_get(top->page[TOP_ASK_COLLECTIONS], "collections");
    default:
        return top->fields;
    }
}

size_t top_page_lines(const struct top *top)
{
    return json_array_size(lines_of(top));
}

/* ---- above the tabs */

static void draw_who(struct top *top, struct canvas *canvas, const struct top_row *row)
{
    char pid[24], age[TEXT_FIGURE_MAX], labels[TOP_TEXT_MAX];
    top_cell(row, TOP_PID, pid, sizeof pid);
    top_cell(row, TOP_LABELS, labels, sizeof labels);
    unsigned right = canvas->columns > WHO_COLUMNS + 10 ? canvas->columns - WHO_COLUMNS : 10;
    canvas_put(canvas, 0, 0, right, CANVAS_BOLD, false, row->name);
    canvas_printf(canvas, 0, right, WHO_COLUMNS, CANVAS_PLAIN, " pid %s  %.8s  %s  safepoint %s ago", pid, row->id,
                  row->gone ? "gone" : "live", text_duration(age, client_number(row->process, "safepoint_age_ns")));
    if (*top->problem)
        canvas_printf(canvas, 1, 0, canvas->columns, CANVAS_WARNING, "STALE; trying again: %s", top->problem);
    else
        canvas_put(canvas, 1, 0, canvas->columns, CANVAS_DIM, false, *labels ? labels : client_text(row->process, "id"));
}

static void draw_config(const struct top *top, struct canvas *canvas, const struct top_row *row)
{
    const json_t *stats = top->page[TOP_ASK_STATS];
    const json_t *thresholds = json_object_get(stats, "thresholds");
    char cell[16], pause[TEXT_FIGURE_MAX], limit[TEXT_FIGURE_MAX], line[TOP_TEXT_MAX];
    uint64_t max_pause = client_number(stats, "max_pause_us"), max_bytes = client_number(stats, "memory_limit_bytes");
    top_cell(row, TOP_AUTOMATIC, cell, sizeof cell);
    size_t used = (size_t)snprintf(line, sizeof line, "automatic %s  %.16s", cell,
                                   *client_text(stats, "manager") ? client_text(stats, "manager") : "differs");
    if (json_is_array(thresholds))
        used += (size_t)snprintf(line + used, sizeof line - used, " %lld,%lld,%lld",
                                 (long long)json_integer_value(json_array_get(thresholds, 0)),
                                 (long long)json_integer_value(json_array_get(thresholds, 1)),
                                 (long long)json_integer_value(json_array_get(thresholds, 2)));
    snprintf(line + used, sizeof line - used, "  max-pause %s  memory-limit %s",
             max_pause ? text_duration(pause, max_pause * 1000) : "none",
             max_bytes ? text_bytes(limit, max_bytes) : "none");
    canvas_put(canvas, 2, 0, canvas->columns, CANVAS_PLAIN, false, stats ? line : "");
}

static void draw_sums(struct canvas *canvas, const struct top_row *row)
{
    static const struct { enum top_column column; const char *word;
    } shown[] = {{TOP_OBJECTS, "live"}, {TOP_BYTES, ""},          {TOP_ALLOCATED, "new/s"}, {TOP_SHARE, "gc%"},
                 {TOP_P99, "p99"},      {TOP_LONGEST, "longest"}, {TOP_FORECAST, "next"}};
    char line[TOP_TEXT_MAX];
    size_t used = 0;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        char cell[32];
        top_cell(row, shown[i].column, cell, sizeof cell);
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s%s%s", i ? "  " : "", shown[i].word,
                                 *shown[i].word ? " " : "", cell);
    }
    canvas_put(canvas, 3, 0, canvas->columns, CANVAS_PLAIN, false, line);
}

static void draw_tabs(const struct top *top, struct canvas *canvas)
{
    unsigned at = 0;
    for (unsigned i = 0; i < TOP_TABS; i++) {
        unsigned width = (unsigned)strlen(tabs[i].word) + 2;
        canvas_printf(canvas, 4, at, width, i == top->tab ? CANVAS_CHOSEN : CANVAS_DIM, i == top->tab ? "[%s]" : " %s ",
                      tabs[i].word);
        at += width + 1;
    }
}

/* ---- a tab */

static void cell_write(const struct top *top, const struct page_column *column, const json_t *line, char *out, size_t room)
{
    char figure[TEXT_FIGURE_MAX];
    const json_t *value = column->path ? client_member(line, column->path)
                                       : client_member(top->page[TOP_ASK_STATS], client_text(line, "path"));
    if (!column->path)
        snprintf(out, room, "%s",
                 json_is_integer(value)
                     ? columns_figure(figure, (uint64_t)json_integer_value(value), client_text(line, "unit"))
                     : "-");
    else if (column->kind == 't' || column->kind == 'u') /* a unit that the figure does not carry */
        snprintf(out, room, "%s",
                 !json_is_string(value) ||
                         (column->kind == 'u' && text_has_word("bytes nanoseconds", ' ', json_string_value(value)))
                     ? ""
                     : json_string_value(value));
    else if (column->kind == 'c') /* the time of a day */
        snprintf(out, room, "%.12s",
                 json_is_string(value) && json_string_length(value) > 11 ? json_string_value(value) + 11 : "");
    else if (!json_is_integer(value))
        snprintf(out, room, "%s", column->kind == 'v' ? "varies" : "-");
    else if (column->kind == 'n')
        top_short(out, room, (double)json_integer_value(value), 1000);
    else
        snprintf(out, room, "%s",
                 column->kind == 'd' ? text_duration(figure, (uint64_t)json_integer_value(value))
                                     : text_bytes(figure, (uint64_t)json_integer_value(value)));
}

static unsigned width_of(const struct canvas *canvas, enum top_tab tab, size_t at)
{
    unsigned used = 0;
    for (size_t i = 0; i < tabs[tab].count; i++)
        used += tabs[tab].columns[i].width + (i != 0);
    return tabs[tab].columns[at].width  ? tabs[tab].columns[at].width
           : canvas->columns > used + 6 ? canvas->columns - used
                                        : 6;
}

static void draw_line(const struct top *top, struct canvas *canvas, unsigned row, const json_t *line, bool chosen)
{
    unsigned at = 0;
    for (size_t i = 0; i < tabs[top->tab].count; i++) {
        const struct page_column *column = &tabs[top->tab].columns[i];
        unsigned width = width_of(canvas, top->tab, i);
        char cell[320];
        if (line)
            cell_write(top, column, line, cell, sizeof cell);
        enum canvas_look look = !line || chosen ? CANVAS_REVERSE : CANVAS_PLAIN;
        canvas_put(canvas, row, at, width, look, !strchr("tuc", column->kind), line ? cell : column->heading);
        canvas_put(canvas, row, at + width, i + 1 < tabs[top->tab].count ? 1 : canvas->columns, look, false, "");
        at += width + 1;
    }
}

/* What is said of the chosen line, in full. */
static void draw_description(const struct top *top, struct canvas *canvas, const json_t *line)
{
    char text[2 * TOP_TEXT_MAX] = "";
    double count = (double)client_number(line, "frees.refcount"), cycle = (double)client_number(line, "frees.cycle");
    if (top->tab == TOP_TAB_TYPES && line)
        snprintf(text, sizeof text, "%.255s: %s; %.1f %% of those that are gone were freed by the cycle collector",
                 client_text(line, "name"),
                 json_is_true(json_object_get(line, "tracked")) ? "tracked" : "not tracked (no references)",
                 count + cycle > 0 ? 100 * cycle / (count + cycle) : 0);
    else if (top->tab == TOP_TAB_COLLECTIONS && line)
        snprintf(text, sizeof text, "heap %llu, number %llu, of %s, %llu slices, waited %llu us for a safepoint",
                 (unsigned long long)client_number(line, "heap"), (unsigned long long)client_number(line, "sequence"),
                 client_text(line, "scope"), (unsigned long long)client_number(line, "slices"),
                 (unsigned long long)client_number(line, "safepoint_wait_ns") / 1000);
    else if (line)
        snprintf(text, sizeof text, "%s: %s", client_text(line, "label"), client_text(line, "help"));
    canvas_fold(canvas, canvas->rows - FOOT_ROWS, 2, CANVAS_DIM, text);
}

void top_draw_page(struct top *top, struct canvas *canvas)
{
    const struct top_row *row = top_chosen(top);
    const json_t *lines = lines_of(top);
    size_t count = json_array_size(lines),
           room = canvas->rows > BODY_ROW + 1 + FOOT_ROWS ? canvas->rows - BODY_ROW - 1 - FOOT_ROWS : 1;
    size_t *chosen = &top->line[top->tab];
    if (!row) {
        canvas_put(canvas, 0, 0, canvas->columns, CANVAS_WARNING, false,
                   "tallyd does not know this process any more: q goes back");
        return;
    }
    *chosen = *chosen < count ? *chosen : count ? count - 1 : 0;
    size_t first = *chosen < room ? 0 : *chosen - room + 1;
    draw_who(top, canvas, row);
    draw_config(top, canvas, row);
    draw_sums(canvas, row);
    draw_tabs(top, canvas);
    draw_line(top, canvas, BODY_ROW, NULL, false);
    for (size_t i = 0; i < room && first + i < count; i++)
        draw_line(top, canvas, BODY_ROW + 1 + (unsigned)i, json_array_get(lines, first + i), first + i == *chosen);
    if (!count)
        canvas_put(canvas, BODY_ROW + 1, 0, canvas->columns, CANVAS_PLAIN, false,
                   lines ? "none yet" : "waiting for the answer");
    top->shown = (unsigned)room;
    draw_description(top, canvas, json_array_get(lines, *chosen));
}
