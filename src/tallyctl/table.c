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

static void print_cell(const struct paper *paper, const struct cell *cell)
{
    if (paper->colour && cell->paint)
        fprintf(paper->to, "\033[%sm%s\033[m", cell->paint, cell->text);
    else
        fputs(cell->text, paper->to);
}

/* A row ends with its last text, not with blanks. */
static void print_row(const struct table *table, const size_t *widths, const struct cell *cells, const struct paper *paper)
{
    size_t last = table->columns;
    while (last > 1 && !*cells[last - 1].text)
        last--;
    for (size_t column = 0; column < last; column++) {
        int pad = (int)(widths[column] - text_columns(cells[column].text));
        bool right = table->headings[column][0] == '>';
        fprintf(paper->to, "%s%*s", column ? "  " : "", right ? pad : 0, "");
        print_cell(paper, &cells[column]);
        fprintf(paper->to, "%*s", right || column + 1 == last ? 0 : pad, "");
    }
    putc('\n', paper->to);
}

void table_print_free(struct table *table, const struct paper *paper)
{
    if (!table)
        return;
    size_t *widths = calloc(table->columns, sizeof *widths);
    struct cell *names = calloc(table->columns, sizeof *names);
    if (widths && names) {
        for (size_t column = 0; column < table->columns; column++) {
            widths[column] = width_of(table, column);
            names[column] = (struct cell){(char *)table->headings[column] + (table->headings[column][0] == '>'), "1"};
        }
        print_row(table, widths, names, paper);
        for (size_t row = 0; row + table->columns <= table->count; row += table->columns)
            print_row(table, widths, table->cells + row, paper);
    }
    free(widths);
    free(names);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}
