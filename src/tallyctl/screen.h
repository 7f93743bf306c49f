/* The terminal, as long as top has it (ncurses). */
#ifndef TALLYCTL_SCREEN_H
#define TALLYCTL_SCREEN_H

#include "tallyctl/canvas.h"

struct screen;

/* Takes the terminal. NULL, which is said with what to do: it cannot show a screen. */
struct screen *screen_new(bool colour);
/* Gives it back as it was. */
void screen_free(struct screen *screen);

/* Its size now, in canvas->rows and columns. */
void screen_size(struct screen *screen, struct canvas *canvas);
void screen_show(struct screen *screen, const struct canvas *canvas);
/* Draws all anew with the next frame. */
void screen_redraw(struct screen *screen);

/* The next key, a character or enum top_key; -1: none is there. */
int screen_key(struct screen *screen);

#endif
