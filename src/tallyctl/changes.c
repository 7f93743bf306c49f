#include "tallyctl/changes.h"

#include <string.h>

struct cell {
    const char *at;
    size_t bytes;
};

/* The next cell of a line that ends at `end`; false: there is none. *at goes behind it. */
static bool next_cell(const char **at, const char *end, struct cell *cell)
{
    const char *from = *at;
    while (from < end && *from == ' ')
        from++;
    const char *to = from;
    while (to < end && !(to[0] == ' ' && (to + 1 == end || to[1] == ' ')))
        to++;
    *cell = (struct cell){from, (size_t)(to - from)};
    *at = to;
    return to > from;
}

static const char *line_end(const char *line)
{
    return line + strcspn(line, "\n");
}

static bool same(const struct cell *one, const struct cell *two)
{
    return one->bytes == two->bytes && memcmp(one->at, two->at, one->bytes) == 0;
}

/* The line that begins with the same cell: that of the same number, else the first. NULL: there is none. */
static const char *counterpart(const char *before, unsigned number, const struct cell *first)
{
    const char *found = NULL;
    unsigned at = 0;
    for (const char *line = before; line && *line; at++) {
        const char *cells = line, *end = line_end(line);
        struct cell cell;
        if (next_cell(&cells, end, &cell) && same(&cell, first)) {
            if (at == number)
                return line;
            found = found ? found : line;
        }
        line = *end ? end + 1 : end;
    }
    return found;
}

static void print_line(FILE *to, const char *before, const char *line, unsigned number, bool reverse)
{
    const char *end = line_end(line), *at = line, *shown = line, *old = NULL, *old_end = NULL;
    struct cell cell, was;
    for (bool first = true; next_cell(&at, end, &cell); first = false) {
        if (first && before) {
            old = counterpart(before, number, &cell);
            old_end = old ? line_end(old) : NULL;
        }
        bool there = old && next_cell(&old, old_end, &was);
        bool changed = before && !(there && same(&cell, &was));
        int gap = (int)(cell.at - shown);
        if (changed && reverse)
            fprintf(to, "%.*s\033[7m%.*s\033[m", gap, shown, (int)cell.bytes, cell.at);
        else if (changed && gap)
            fprintf(to, "%.*s*%.*s", gap - 1, shown, (int)cell.bytes, cell.at);
        else
            fprintf(to, "%.*s%.*s", gap, shown, (int)cell.bytes, cell.at);
        shown = at;
    }
}

void changes_print(FILE *to, const char *before, const char *now, unsigned lines, bool reverse, const char *end)
{
    unsigned number = 0;
    for (const char *line = now; *line && (!lines || number < lines); number++) {
        print_line(to, before, line, number, reverse);
        fputs(end, to);
        line = line_end(line);
        line += *line == '\n';
    }
}
