/* A page of text that fits a screen: what is put on it never leaves its place, whatever it says. */
#ifndef TALLYCTL_CANVAS_H
#define TALLYCTL_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum canvas_look { CANVAS_PLAIN, CANVAS_BOLD, CANVAS_DIM, CANVAS_REVERSE, CANVAS_CHOSEN, CANVAS_WARNING };

struct canvas_run {
    unsigned row, column, columns; /* columns that it takes */
    enum canvas_look look;
    char *text;
};

struct canvas {
    unsigned rows, columns;
    bool ascii; /* other characters are escaped */
    struct canvas_run *runs; /* owned */
    size_t count, room;
};

/* Puts a text at a place, `width` columns wide at most, and within the canvas; escaped, cut with a mark, to the right where
 * `right`. What is left of the width stays blank, in reverse and chosen looks too. Where one lies on another is
 * the caller's to avoid. */
void canvas_put(struct canvas *canvas, unsigned row, unsigned column, unsigned width, enum canvas_look look, bool right,
                const char *text);
void canvas_printf(struct canvas *canvas, unsigned row, unsigned column, unsigned width, enum canvas_look look,
                   const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Puts a text from `row` on, folded at blanks, on `rows` lines at most. Returns how many it took. */
unsigned canvas_fold(struct canvas *canvas, unsigned row, unsigned rows, enum canvas_look look, const char *text);

/* Takes everything off; the size stays. */
void canvas_clear(struct canvas *canvas);
void canvas_fini(struct canvas *canvas);

/* Prints it as plain lines, without blanks at their ends and without empty lines at the end. */
void canvas_print(const struct canvas *canvas, FILE *to);

#endif
