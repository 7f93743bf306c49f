#include "tallyctl/screen.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NCURSES_WIDECHAR 1
#include <ncurses.h>
#include <termcap.h> /* not term.h, whose macros are words of ours */

#include "tallyctl/tallyctl.h"
#include "tallyctl/top.h"

struct screen {
    SCREEN *curses;
    attr_t looks[CANVAS_WARNING + 1];
};

static void looks_set(struct screen *screen, bool colour)
{
    screen->looks[CANVAS_BOLD] = A_BOLD;
    screen->looks[CANVAS_DIM] = A_DIM;
    screen->looks[CANVAS_REVERSE] = A_REVERSE;
    screen->looks[CANVAS_CHOSEN] = A_BOLD;
    screen->looks[CANVAS_WARNING] = A_BOLD;
    if (!colour || !has_colors() || start_color() == ERR || use_default_colors() == ERR)
        return;
    init_pair(1, COLOR_CYAN, -1);
    init_pair(2, COLOR_YELLOW, -1);
    screen->looks[CANVAS_CHOSEN] = A_BOLD | (attr_t)COLOR_PAIR(1);
    screen->looks[CANVAS_WARNING] = A_BOLD | (attr_t)COLOR_PAIR(2);
}

/* Whether $TERM is one that is known, and can put text anywhere. */
static bool terminal_fits(void)
{
    const char *term = getenv("TERM");
    char *area = NULL;
    const char *lacks = !term || !*term || tgetent(NULL, term) != 1           ? "is not known here"
                        : !tgetstr("cm", &area) || !tgetstr("cl", &area) ? "cannot show a screen"
                                                                         : NULL;
    if (lacks)
        ctl_fail(CTL_USAGE, "the terminal '%s' %s: set TERM (xterm, screen, vt100), or use --once", term ? term : "", lacks);
    return !lacks;
}

struct screen *screen_new(bool colour)
{
    if (!terminal_fits())
        return NULL;
    struct screen *screen = calloc(1, sizeof *screen);
    if (screen)
        screen->curses = newterm(NULL, stdout, stdin);
    if (!screen || !screen->curses) {
        free(screen);
        ctl_fail(CTL_FAILED, "the terminal cannot be taken over");
        return NULL;
    }
    looks_set(screen, colour);
    cbreak();
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    return screen;
}

void screen_free(struct screen *screen)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen->curses);
    free(screen);
}

/* The kernel's word: a change while the program was stopped comes with no signal. */
void screen_size(struct screen *screen, struct canvas *canvas)
{
    struct winsize size;
    (void)screen;
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col &&
        (size.ws_row != LINES || size.ws_col != COLS))
        resizeterm(size.ws_row, size.ws_col);
    canvas->rows = (unsigned)LINES;
    canvas->columns = (unsigned)COLS;
}

void screen_show(struct screen *screen, const struct canvas *canvas)
{
    erase();
    for (size_t i = 0; i < canvas->count; i++) {
        const struct canvas_run *run = &canvas->runs[i];
        attrset((int)screen->looks[run->look]);
        mvaddstr((int)run->row, (int)run->column, run->text);
    }
    attrset(A_NORMAL);
    refresh();
}

void screen_redraw(struct screen *screen)
{
    (void)screen;
    clearok(curscr, TRUE);
}

int screen_key(struct screen *screen)
{
    static const struct { wint_t code; int key;
    } keys[] = {{KEY_UP, TOP_KEY_UP},         {KEY_DOWN, TOP_KEY_DOWN},
                {KEY_LEFT, TOP_KEY_LEFT},     {KEY_RIGHT, TOP_KEY_RIGHT},
                {KEY_PPAGE, TOP_KEY_PAGE_UP}, {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
                {KEY_HOME, TOP_KEY_HOME},     {KEY_END, TOP_KEY_END},
                {KEY_ENTER, TOP_KEY_ENTER},   {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
                {KEY_F(1), TOP_KEY_HELP},     {KEY_RESIZE, TOP_KEY_RESIZE}};
    wint_t code;
    (void)screen;
    int kind = get_wch(&code);
    if (kind == ERR)
        return -1;
    if (kind == KEY_CODE_YES) {
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (keys[i].code == code)
                return keys[i].key;
        return TOP_KEY_RESIZE; /* one that means nothing */
    }
    return code == '\r' || code == '\n' ? TOP_KEY_ENTER
           : code == 27                 ? TOP_KEY_ESCAPE
           : code == 127 || code == 8   ? TOP_KEY_BACKSPACE
           : code == '\t'               ? TOP_KEY_TAB
                                        : (int)code;
}
