#include "tallyctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

struct table {
    const char *const *headings;
    size_t columns;
    char **cells; /* escaped */
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

static void append(struct table *table, char *cell)
{
    if (table->count == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        char **cells = realloc(table->cells, room * sizeof *cells);
        if (!cells) {
            free(cell);
            return;
        }
        table->cells = cells;
        table->room = room;
    }
    table->cells[table->count++] = cell;
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

static size_t width_of(const struct table *table, size_t column)
{
    size_t width = text_columns(table->headings[column]) - (table->headings[column][0] == '>');
    for (size_t i = column; i < table->count; i += table->columns) {
        size_t columns = text_columns(table->cells[i]);
        width = columns > width ? columns : width;
    }
    return width;
}

/* A row ends with its last text, not with blanks. */
static void print_row(const struct table *table, const size_t *widths, const char *const *cells, FILE *to)
{
    for (size_t column = 0; column < table->columns; column++) {
        const char *cell = cells[column];
        if (column + 1 == table->columns && !*cell)
            break;
        int pad = (int)(widths[column] - text_columns(cell));
        fputs(column ? "  " : "", to);
        if (table->headings[column][0] == '>')
            fprintf(to, "%*s%s", pad, "", cell);
        else
            fprintf(to, "%s%*s", cell, column + 1 < table->columns ? pad : 0, "");
    }
    fputc('\n', to);
}

void table_print_free(struct table *table, FILE *to)
{
    if (!table)
        return;
    size_t *widths = calloc(table->columns, sizeof *widths);
    const char **names = calloc(table->columns, sizeof *names);
    if (widths && names) {
        for (size_t column = 0; column < table->columns; column++) {
            widths[column] = width_of(table, column);
            names[column] = table->headings[column] + (table->headings[column][0] == '>');
        }
        print_row(table, widths, names, to);
        for (size_t row = 0; row + table->columns <= table->count; row += table->columns)
            print_row(table, widths, (const char *const *)table->cells + row, to);
    }
    free(widths);
    free(names);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}
