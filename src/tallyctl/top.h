/* top: the screen of processes, and of one of them.
 *
 * What is always true
 *  - Keys change the state (top_keys.c), answers change the model (top_calls.c), and what is drawn (top_draw.c, top_page.c)
 *    follows from both: a canvas, which the terminal (screen.h) or plain lines (--once) show.
 *  - Nothing waits for tallyd: requests are under way while keys are obeyed.
 *  - What a lost connection leaves behind stays on the screen, marked with its age.
 */
#ifndef TALLYCTL_TOP_H
#define TALLYCTL_TOP_H

#include "tallyctl/canvas.h"
#include "tallyctl/client.h"
#include "tallyctl/top_model.h"

enum top_mode { TOP_MODE_LIST, TOP_MODE_PAGE, TOP_MODE_HELP, TOP_MODE_FILTER, TOP_MODE_CONFIRM };
enum top_tab { TOP_TAB_TYPES, TOP_TAB_COLLECTIONS, TOP_TAB_FIGURES, TOP_TABS };
enum top_control { TOP_COLLECT, TOP_ENABLE, TOP_DISABLE, TOP_SNAPSHOT };

/* Keys beyond characters; a character is its code. */
enum top_key {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_TAB,
    TOP_KEY_HELP,
    TOP_KEY_RESIZE
};

#define TOP_TEXT_MAX 256

/* What top asks for: each at most once at a time. */
enum top_ask { TOP_ASK_LIST, TOP_ASK_STATS, TOP_ASK_TYPES, TOP_ASK_COLLECTIONS, TOP_ASK_FORECAST, TOP_ASK_CONTROL, TOP_ASKS };

struct top {
    const struct ctl *ctl;
    struct client *client;
    struct top_model model;
    json_t *fields; /* the catalogue of /v1/info, owned */
    char query[1024]; /* "label=a:b&" of the list */

    enum top_mode mode, back; /* back: where help and confirm return to */
    size_t first;             /* row on top of the list */
    unsigned shown;           /* rows that the list, tab or help had room for when it was drawn last */
    unsigned help_first;      /* line on top of the help */
    bool paused, quit;
    char message[TOP_TEXT_MAX]; /* of the last line; "": the keys */
    bool warning;               /* it is one */

    enum top_control control; /* that is to be confirmed, of the chosen process */
    char operation[64];       /* that is followed; "": none */

    enum top_tab tab;
    size_t line[TOP_TABS]; /* that is chosen in a tab, from 0 */
    json_t *page[TOP_ASKS]; /* answers about the process of the page, owned */

    struct client_call *calls[TOP_ASKS];
    json_t *pages;           /* of the list: those that came so far, owned */
    uint64_t due_ns, last_ns; /* when to look again; when the newest frame came */
    char problem[CLIENT_PROBLEM_MAX]; /* why there is none since; "": all is well */
    enum ctl_exit status;             /* what that amounts to */
};

/* top_calls.c: moves what is under way, begins what is due. Waits until something happens, or `fd` is readable, 250 ms at
 * most. */
void top_calls_run(struct top *top, int fd);
void top_calls_fini(struct top *top);
/* Begins the control that was confirmed. */
void top_calls_control(struct top *top);
/* Forgets the page's answers, for another process. */
void top_calls_page(struct top *top);
uint64_t top_interval_ns(const struct top *top);

/* top_keys.c: obeys a key. */
void top_key(struct top *top, int key);

/* top_draw.c: puts all on the canvas, which is empty and has a size. */
void top_draw(struct top *top, struct canvas *canvas);
/* The lines above the list: who is asked, sums or what is wrong, the filter. */
void top_draw_frame(const struct top *top, struct canvas *canvas);
/* The list itself with `rows` lines for processes, from line `row` on (its headings). */
void top_draw_list(struct top *top, struct canvas *canvas, unsigned row, unsigned rows);

/* top_page.c */
void top_draw_page(struct top *top, struct canvas *canvas);
/* How many lines the tab has. */
size_t top_page_lines(const struct top *top);

/* The row that is chosen; NULL: there is none. */
const struct top_row *top_chosen(struct top *top);

#endif
