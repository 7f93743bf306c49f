#include "tallyctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

struct table {
    const char *const *headings;
    size_t columns;
    struct cell {
        char *text; /* escaped */
        const char *paint; /* NULL: none */
    } *cells;
    size_t count, room;
};

struct table *table_new(const char *const *headings, size_t columns)
{
    struct table *table = calloc(1, sizeof *table);
    if (table) {
        table->headings = headings;
        table->columns = columns;
    }
    return table;
}

static void append(struct table *table, char *text)
{
    if (table->count == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        struct cell *cells = realloc(table->cells, room * sizeof *cells);
        if (!cells) {
            free(text);
            return;
        }
        table->cells = cells;
        table->room = room;
    }
    table->cells[table->count++] = (struct cell){.text = text};
}

void table_cell(struct table *table, const char *format, ...)
{
    if (!table)
        return;
    char *raw = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&raw, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    char *cell = text_escape_dup(raw);
    free(raw);
    if (cell)
        append(table, cell);
}

void table_paint(struct table *table, const char *paint)
{
    if (table && table->count)
        table->cells[table->count - 1].paint = paint;
}

static size_t width_of(const struct table *table, size_t column)
{
    size_t width = text_columns(table->headings[column]) - (table->headings[column][0] == '>');
    for (size_t i = column; i < table->count; i += table->columns) {
        size_t columns = text_columns(table->cells[i].text);
        width = columns > width ? columns : width;
    }
    return width;
}

static void print_text(const struct paper *paper, const char *text, size_t bytes, const char *paint)
{
    if (paper->colour && paint)
        fprintf(paper->to, "\033[%sm%.*s\033[m", paint, (int)bytes, text);
    else
        fprintf(paper->to, "%.*s", (int)bytes, text);
}

/* What of a table is shown: where it is wider than the terminal, its first columns. */
struct layout {
    size_t shown; /* columns */
    size_t *widths;
    size_t start;       /* of the last of them, on the terminal */
    bool folded, cut;   /* the last of them does not fit: it goes on below itself, or is cut */
};

#define FOLDED_MIN 20u /* narrower, it cannot be read */
#define CUT_MIN 8u

/* Figures are whole or not there: the first ones of a longer one would be another one. */
static void lay_out(struct layout *layout, const struct table *table, size_t room)
{
    size_t used = 0, between = 0;
    for (; layout->shown < table->columns; layout->shown++, between = 2) {
        size_t column = layout->shown, width = layout->widths[column];
        bool last = column + 1 == table->columns, figures = table->headings[column][0] == '>';
        size_t left = room > used + between ? room - used - between : 0;
        if (room && width > left && (figures || left < (last ? FOLDED_MIN : CUT_MIN)) && column)
            return;
        layout->start = used + between;
        used += between + width;
        if (room && width > left) {
            layout->widths[column] = left ? left : 1;
            layout->folded = last && !figures;
            layout->cut = !layout->folded;
            layout->shown++;
            return;
        }
    }
}

/* Text on several lines, below one another. */
static void print_folded(const struct layout *layout, const struct paper *paper, const struct cell *cell)
{
    size_t width = layout->widths[layout->shown - 1];
    const char *text = cell->text;
    for (size_t bytes; (bytes = text_fold(text, width)); text += bytes + (text[bytes] == ' ')) {
        print_text(paper, text, bytes, cell->paint);
        if (text[bytes] && text[bytes + 1])
            fprintf(paper->to, "\n%*s", (int)layout->start, "");
    }
}

static void print_cut(const struct layout *layout, const struct paper *paper, const struct cell *cell)
{
    size_t width = layout->widths[layout->shown - 1];
    bool whole = text_columns(cell->text) <= width;
    size_t bytes = whole ? strlen(cell->text) : text_fold(cell->text, width - (width > 1));
    print_text(paper, cell->text, bytes, cell->paint);
    if (!whole)
        fputs(paper->ascii ? "~" : "…", paper->to);
}

/* A row ends with its last text, not with blanks. */
static void print_row(const struct table *table, const struct layout *layout, const struct cell *cells,
                      const struct paper *paper)
{
    size_t last = layout->shown;
    while (last > 1 && !*cells[last - 1].text)
        last--;
    for (size_t column = 0; column < last; column++) {
        size_t width = layout->widths[column], taken = text_columns(cells[column].text);
        int pad = (int)(width > taken ? width - taken : 0);
        bool right = table->headings[column][0] == '>';
        fprintf(paper->to, "%s%*s", column ? "  " : "", right ? pad : 0, "");
        if (layout->folded && column + 1 == layout->shown)
            print_folded(layout, paper, &cells[column]);
        else if (layout->cut && column + 1 == layout->shown)
            print_cut(layout, paper, &cells[column]);
        else
            print_text(paper, cells[column].text, strlen(cells[column].text), cells[column].paint);
        fprintf(paper->to, "%*s", right || column + 1 == last ? 0 : pad, "");
    }
    putc('\n', paper->to);
}

/* What there was no room for: nothing is left out silently. */
static void print_left_out(const struct table *table, const struct layout *layout, const struct paper *paper)
{
    if (layout->shown == table->columns)
        return;
    fputs("(a wider terminal, or `| cat`, shows", paper->to);
    for (size_t column = layout->shown; column < table->columns; column++) {
        const char *heading = table->headings[column];
        fprintf(paper->to, "%s %s", column == layout->shown ? "" : ",", heading + (*heading == '>'));
    }
    fputs(")\n", paper->to);
}

void table_print_free(struct table *table, const struct paper *paper)
{
    if (!table)
        return;
    struct layout layout = {.widths = calloc(table->columns, sizeof *layout.widths)};
    struct cell *names = calloc(table->columns, sizeof *names);
    if (layout.widths && names) {
        for (size_t column = 0; column < table->columns; column++) {
            layout.widths[column] = width_of(table, column);
            names[column] = (struct cell){(char *)table->headings[column] + (table->headings[column][0] == '>'), "1"};
        }
        lay_out(&layout, table, paper->columns);
        print_row(table, &layout, names, paper);
        for (size_t row = 0; row + table->columns <= table->count; row += table->columns)
            print_row(table, &layout, table->cells + row, paper);
        print_left_out(table, &layout, paper);
    }
    free(layout.widths);
    free(names);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}
