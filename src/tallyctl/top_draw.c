/* What top looks like. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "tallyctl/text.h"
#include "tallyctl/top.h"

#define STALE_NS 3000000000u /* beyond the interval: something is wrong */

const struct top_row *top_chosen(struct top *top)
{
    size_t at = top_model_chosen(&top->model);
    return at < top->model.count ? &top->model.rows[at] : NULL;
}

/* ---- the frame: who is asked, how old it is, sums; and the last line */

static void draw_title(const struct top *top, struct canvas *canvas)
{
    char age[TEXT_FIGURE_MAX];
    uint64_t now = clock_mono_ns(), old = top->last_ns && now > top->last_ns ? now - top->last_ns : 0;
    bool stale = *top->problem || (!top->paused && old > top_interval_ns(top) + STALE_NS);
    canvas_printf(canvas, 0, 0, canvas->columns, CANVAS_BOLD, "tally  %s", client_place(top->client));
    if (stale)
        canvas_printf(canvas, 1, 0, canvas->columns, CANVAS_WARNING, "STALE: as it was %s ago; trying again%s%s",
                      text_duration(age, old - old % 1000000000u), *top->problem ? ": " : "", top->problem);
    else if (top->paused)
        canvas_printf(canvas, 1, 0, canvas->columns, CANVAS_WARNING, "PAUSED: as it was %s ago; space goes on",
                      text_duration(age, old - old % 1000000000u));
}

static void draw_sums(const struct top *top, struct canvas *canvas)
{
    const double *sum = top->model.totals;
    char objects[16], bytes[16], allocated[16], freed[16], cycles[16], line[TOP_TEXT_MAX];
    snprintf(line, sizeof line, "%zu live %zu gone  %s objects %s  per s: %s new %s by count %s by cycle", top->model.live,
             top->model.gone, top_short(objects, sizeof objects, sum[TOP_OBJECTS], 1000),
             top_short(bytes, sizeof bytes, sum[TOP_BYTES], 1024),
             top_short(allocated, sizeof allocated, sum[TOP_ALLOCATED], 1000),
             top_short(freed, sizeof freed, sum[TOP_FREED], 1000), top_short(cycles, sizeof cycles, sum[TOP_CYCLES], 1000));
    canvas_put(canvas, 1, 0, canvas->columns, CANVAS_PLAIN, false, line);
}

/* The pause that a control costs, as far as it is foreseen; NaN: not known. */
static double predicted_ns(const struct top *top, const struct top_row *row)
{
    const json_t *snapshot = client_member(top->page[TOP_ASK_FORECAST], "snapshot.pause_ns");
    if (top->control == TOP_SNAPSHOT)
        return json_is_integer(snapshot) ? (double)json_integer_value(snapshot) : NAN;
    return row ? row->values[TOP_FORECAST] : NAN;
}

/* What it costs is foreseen from what collections, and snapshots, took. */
static void draw_confirm(const struct top *top, struct canvas *canvas)
{
    static const struct {
        const char *verb, *cost;
    } words[] = {[TOP_COLLECT] = {"Collect", "Predicted pause: "},
                 [TOP_ENABLE] = {"Enable", "A full collection pauses for "},
                 [TOP_DISABLE] = {"Disable", "Cycles will stay; a full collection: "},
                 [TOP_SNAPSHOT] = {"Snapshot of", "Predicted pause: "}};
    char pause[TEXT_FIGURE_MAX], name[64];
    const struct top_row *row = top_chosen((struct top *)top);
    double predicted = predicted_ns(top, row);
    text_fit(name, sizeof name, row ? row->name : "it", 16, canvas->ascii);
    canvas_printf(canvas, canvas->rows - 1, 0, canvas->columns, CANVAS_WARNING, "%s %s? %s%s. y: yes, else no",
                  words[top->control].verb, name, words[top->control].cost,
                  isnan(predicted) ? "not known yet" : text_duration(pause, (uint64_t)predicted));
}

static void draw_last_line(const struct top *top, struct canvas *canvas)
{
    unsigned row = canvas->rows - 1;
    if (top->mode == TOP_MODE_CONFIRM)
        draw_confirm(top, canvas);
    else if (top->mode == TOP_MODE_FILTER)
        canvas_printf(canvas, row, 0, canvas->columns, CANVAS_REVERSE, "Filter: %s_  (Enter keeps it, Esc drops it)",
                      top->model.filter);
    else if (*top->message)
        canvas_put(canvas, row, 0, canvas->columns, top->warning ? CANVAS_WARNING : CANVAS_BOLD, false, top->message);
    else if (top->mode == TOP_MODE_PAGE)
        canvas_put(canvas, row, 0, canvas->columns, CANVAS_DIM, false,
                   "q back  Tab types/collections/figures  c collect  e/d on/off  s snapshot  ? help");
    else
        canvas_put(canvas, row, 0, canvas->columns, CANVAS_DIM, false,
                   "? help  / filter  <- -> sort  r reverse  Enter open  c collect  e/d on/off  q");
}

void top_draw_frame(const struct top *top, struct canvas *canvas)
{
    uint64_t now = clock_mono_ns(), old = top->last_ns && now > top->last_ns ? now - top->last_ns : 0;
    draw_title(top, canvas);
    if (!*top->problem && !top->paused && old <= top_interval_ns(top) + STALE_NS)
        draw_sums(top, canvas);
    if (*top->model.filter && top->mode != TOP_MODE_FILTER)
        canvas_printf(canvas, 2, 0, canvas->columns, CANVAS_BOLD, "only what fits: %s", top->model.filter);
}

/* ---- the list */

/* The name takes what is left over, up to a width at which everything can be read. */
static unsigned name_width(const struct canvas *canvas, enum top_column last)
{
    unsigned used = 0;
    for (unsigned i = 1; i <= last; i++)
        used += top_columns[i].width + 1;
    return canvas->columns > used + 4 ? canvas->columns - used : 4;
}

/* The last column that there is room for. */
static enum top_column last_column(const struct canvas *canvas)
{
    unsigned used = top_columns[TOP_NAME].width, last = TOP_NAME;
    while (last + 1 < TOP_COLUMNS && used + top_columns[last + 1].width + 1 <= canvas->columns)
        used += top_columns[++last].width + 1;
    return (enum top_column)last;
}

static bool is_left(unsigned column)
{
    return column == TOP_NAME || column == TOP_LABELS || column == TOP_AUTOMATIC;
}

static void draw_headings(const struct top *top, struct canvas *canvas, unsigned row, enum top_column last)
{
    unsigned at = 0;
    for (unsigned i = 0; i <= last; i++) {
        unsigned width = i ? top_columns[i].width : name_width(canvas, last);
        char heading[32];
        bool sorted = top->model.sort == i;
        snprintf(heading, sizeof heading, "%s%s", top_columns[i].heading,
                 sorted && strlen(top_columns[i].heading) < width ? (top->model.reverse ? "^" : "v") : "");
        canvas_put(canvas, row, at, width, sorted ? CANVAS_CHOSEN : CANVAS_REVERSE, !is_left(i), heading);
        canvas_put(canvas, row, at + width, i < last ? 1 : canvas->columns, CANVAS_REVERSE, false, "");
        at += width + 1;
    }
}

static void draw_row(const struct top *top, struct canvas *canvas, unsigned line, const struct top_row *row,
                     enum top_column last)
{
    char cell[512];
    bool chosen = strcmp(row->id, top->model.chosen) == 0;
    enum canvas_look look = chosen ? CANVAS_REVERSE : row->gone ? CANVAS_DIM : CANVAS_PLAIN;
    unsigned at = 0;
    for (unsigned i = 0; i <= last; i++) {
        unsigned width = i ? top_columns[i].width : name_width(canvas, last);
        top_cell(row, (enum top_column)i, cell, sizeof cell);
        canvas_put(canvas, line, at, width, look, !is_left(i), cell);
        canvas_put(canvas, line, at + width, i < last ? 1 : canvas->columns, look, false, "");
        at += width + 1;
    }
}

void top_draw_list(struct top *top, struct canvas *canvas, unsigned row, unsigned rows)
{
    enum top_column last = last_column(canvas);
    size_t chosen = top_model_chosen(&top->model);
    top->shown = rows;
    if (chosen < top->first)
        top->first = chosen;
    if (rows && chosen >= top->first + rows)
        top->first = chosen - rows + 1;
    if (top->first + rows > top->model.count)
        top->first = top->model.count > rows ? top->model.count - rows : 0;
    draw_headings(top, canvas, row, last);
    for (unsigned i = 0; i < rows && top->first + i < top->model.count; i++)
        draw_row(top, canvas, row + 1 + i, &top->model.rows[top->first + i], last);
    if (top->model.count == 0)
        canvas_put(canvas, row + 1, 0, canvas->columns, CANVAS_PLAIN, false,
                   !top->model.frame    ? "Waiting for the first answer."
                   : *top->model.filter ? "No process fits the filter: / changes it."
                   : top->model.gone    ? "No process lives; a shows those that are gone."
                   : top->ctl->labels.count ? "No process carries the labels that --label asks for."
                                     : "No process is attached: start one that calls tally_attach(); tallyctl doctor PID "
                                       "says why one is missing.");
}

/* What a column says, by the catalogue or by the table. */
static void draw_description(const struct top *top, struct canvas *canvas, unsigned row, unsigned rows)
{
    const struct top_column_row *column = &top_columns[top->model.sort];
    char text[TOP_TEXT_MAX * 2];
    const char *label = column->heading, *help = column->help ? column->help : "";
    size_t i;
    json_t *field;
    json_array_foreach(top->fields, i, field)
        if (column->path && strcmp(client_text(field, "path"), column->path) == 0) {
            label = client_text(field, "label");
            help = client_text(field, "help");
        }
    snprintf(text, sizeof text, "%s: %s", label, help);
    canvas_fold(canvas, row, rows, CANVAS_DIM, text);
}

/* ---- help */

static const struct { const char *keys, *what; } help_lines[] = {
#define TOP_HELP(keys, what) {keys, what},
#include "tallyctl/top_help.def"
#undef TOP_HELP
};

#define HELP_LINES ((unsigned)(sizeof help_lines / sizeof *help_lines))

/* Where not all of it fits, keys scroll. */
static void draw_help(struct top *top, struct canvas *canvas)
{
    unsigned room = canvas->rows - 3, most = HELP_LINES > room ? HELP_LINES - room : 0;
    top->shown = room;
    top->help_first = top->help_first < most ? top->help_first : most;
    canvas_put(canvas, 0, 0, canvas->columns, CANVAS_BOLD, false, "tallyctl top: keys");
    for (unsigned i = 0; i < room && top->help_first + i < HELP_LINES; i++) {
        canvas_put(canvas, i + 2, 0, 26, CANVAS_BOLD, false, help_lines[top->help_first + i].keys);
        canvas_put(canvas, i + 2, 28, canvas->columns, CANVAS_PLAIN, false, help_lines[top->help_first + i].what);
    }
    canvas_printf(canvas, canvas->rows - 1, 0, canvas->columns, CANVAS_DIM, "%sany %skey goes back",
                  !most                       ? ""
                  : top->help_first < most    ? "Down PgDn: more; "
                                              : "Up PgUp: what was before; ",
                  most ? "other " : "");
}

/* Rows: title, sums, filter, headings; below the list two of description and the last line. */
void top_draw(struct top *top, struct canvas *canvas)
{
    enum top_mode behind = top->mode == TOP_MODE_CONFIRM ? top->back : top->mode;
    if (canvas->rows < 8 || canvas->columns < 20) {
        canvas_put(canvas, 0, 0, canvas->columns, CANVAS_PLAIN, false, "too small");
        return;
    }
    if (behind == TOP_MODE_HELP) {
        draw_help(top, canvas);
        return;
    }
    if (behind == TOP_MODE_PAGE) {
        top_draw_page(top, canvas);
        draw_last_line(top, canvas);
        return;
    }
    top_draw_frame(top, canvas);
    top_draw_list(top, canvas, 3, canvas->rows - 7);
    draw_description(top, canvas, canvas->rows - 3, 2);
    draw_last_line(top, canvas);
}
