#include "tallyctl/canvas.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

#define RUN_BYTES(width) ((size_t)(width) * 16 + 16) /* of wide characters with what joins them */

void canvas_put(struct canvas *canvas, unsigned row, unsigned column, unsigned width, enum canvas_look look, bool right,
                const char *text)
{
    if (row >= canvas->rows || column >= canvas->columns || !width)
        return;
    if (width > canvas->columns - column)
        width = canvas->columns - column;
    if (canvas->count == canvas->room) {
        size_t room = canvas->room ? 2 * canvas->room : 128;
        struct canvas_run *runs = realloc(canvas->runs, room * sizeof *runs);
        if (!runs)
            return;
        canvas->runs = runs;
        canvas->room = room;
    }
    char *out = malloc(RUN_BYTES(width) + width + 1);
    if (!out)
        return;
    unsigned used = (unsigned)text_fit(out, RUN_BYTES(width), text, width, canvas->ascii);
    unsigned pad = width - used;
    size_t bytes = strlen(out);
    if (right) {
        memmove(out + pad, out, bytes + 1);
        memset(out, ' ', pad);
    } else {
        memset(out + bytes, ' ', pad);
        out[bytes + pad] = '\0';
    }
    canvas->runs[canvas->count++] = (struct canvas_run){row, column, width, look, out};
}

void canvas_printf(struct canvas *canvas, unsigned row, unsigned column, unsigned width, enum canvas_look look,
                   const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    canvas_put(canvas, row, column, width, look, false, text);
    free(text);
}

unsigned canvas_fold(struct canvas *canvas, unsigned row, unsigned rows, enum canvas_look look, const char *text)
{
    unsigned used = 0;
    while (*text && used < rows) {
        size_t fits = used + 1 < rows ? text_fold(text, canvas->columns) : strlen(text);
        canvas_printf(canvas, row + used++, 0, canvas->columns, look, "%.*s", (int)fits, text);
        text += fits;
        text += *text == ' ';
    }
    return used;
}

void canvas_clear(struct canvas *canvas)
{
    for (size_t i = 0; i < canvas->count; i++)
        free(canvas->runs[i].text);
    canvas->count = 0;
}

void canvas_fini(struct canvas *canvas)
{
    canvas_clear(canvas);
    free(canvas->runs);
    *canvas = (struct canvas){0};
}

static int by_place(const void *a, const void *b)
{
    const struct canvas_run *one = *(const struct canvas_run *const *)a, *two = *(const struct canvas_run *const *)b;
    return one->row != two->row ? (one->row < two->row ? -1 : 1) : one->column < two->column ? -1 : one->column > two->column;
}

void canvas_print(const struct canvas *canvas, FILE *to)
{
    const struct canvas_run **sorted = calloc(canvas->count + 1, sizeof *sorted);
    unsigned row = 0, column = 0, blanks = 0;
    for (size_t i = 0; sorted && i < canvas->count; i++)
        sorted[i] = &canvas->runs[i];
    if (sorted)
        qsort(sorted, canvas->count, sizeof *sorted, by_place);
    for (size_t i = 0; sorted && i < canvas->count; i++) {
        const char *text = sorted[i]->text;
        size_t bytes = strlen(text), shown = bytes;
        while (shown && text[shown - 1] == ' ')
            shown--;
        for (; row < sorted[i]->row; row++, column = blanks = 0)
            putc('\n', to);
        blanks += sorted[i]->column - column;
        if (shown)
            fprintf(to, "%*s%.*s", (int)blanks, "", (int)shown, text);
        blanks = (shown ? 0 : blanks) + (unsigned)(bytes - shown);
        column = sorted[i]->column + sorted[i]->columns;
    }
    if (canvas->count)
        putc('\n', to);
    free(sorted);
}
