/* Keys of top. */
#include <string.h>

#include "tallyctl/top.h"

static void say(struct top *top, bool warning, const char *text)
{
    snprintf(top->message, sizeof top->message, "%s", text);
    top->warning = warning;
}

/* How far a key goes, in lines; 0: it is none of these. */
static long distance(const struct top *top, int key)
{
    switch (key) {
    case TOP_KEY_UP: case 'k': return -1;
    case TOP_KEY_DOWN: case 'j': return 1;
    case TOP_KEY_PAGE_UP: return -(long)top->shown;
    case TOP_KEY_PAGE_DOWN: return (long)top->shown;
    case TOP_KEY_HOME: case 'g': return -1000000000;
    case TOP_KEY_END: case 'G': return 1000000000;
    default: return 0;
    }
}

static void sort_by(struct top *top, int step)
{
    int column = (int)top->model.sort + step;
    if (column < 0 || column >= TOP_COLUMNS)
        return;
    top->model.sort = (enum top_column)column;
    top_model_order(&top->model);
}

/* Asks first: what it will cost stands in the last line. */
static void ask_for(struct top *top, enum top_control control)
{
    const struct top_row *row = top_chosen(top);
    if (!row)
        return;
    if (row->gone) {
        say(top, true, "it has ended: nothing can be asked of it any more");
        return;
    }
    if (top->calls[TOP_ASK_CONTROL] || *top->operation) {
        say(top, true, "the one before is not over yet");
        return;
    }
    top->control = control;
    top->back = top->mode;
    top->mode = TOP_MODE_CONFIRM;
}

/* What means the same in the list and on a page; false: it is none of these. */
static bool common(struct top *top, int key)
{
    switch (key) {
    case 'c': ask_for(top, TOP_COLLECT); return true;
    case 'e': ask_for(top, TOP_ENABLE); return true;
    case 'd': ask_for(top, TOP_DISABLE); return true;
    case ' ': top->paused = !top->paused; top->due_ns = 0; return true;
    case '?': case 'h': case TOP_KEY_HELP:
        top->back = top->mode;
        top->mode = TOP_MODE_HELP;
        top->help_first = 0;
        return true;
    default: return false;
    }
}

static void key_list(struct top *top, int key)
{
    if (common(top, key))
        return;
    if (distance(top, key))
        top_model_move(&top->model, distance(top, key));
    else if (key == TOP_KEY_LEFT || key == TOP_KEY_RIGHT)
        sort_by(top, key == TOP_KEY_LEFT ? -1 : 1);
    else if (key == 'r') {
        top->model.reverse = !top->model.reverse;
        top_model_order(&top->model);
    } else if (key == 'a') {
        top->model.show_gone = !top->model.show_gone;
        top_model_order(&top->model);
    } else if (key == '/') {
        top->mode = TOP_MODE_FILTER;
    } else if (key == TOP_KEY_ENTER && top_chosen(top)) {
        top_calls_page(top);
        top->mode = TOP_MODE_PAGE;
    } else if (key == 'q')
        top->quit = true;
}

static void key_page(struct top *top, int key)
{
    if (common(top, key))
        return;
    if (key == 's')
        ask_for(top, TOP_SNAPSHOT);
    long step = distance(top, key), lines = (long)top_page_lines(top), at = (long)top->line[top->tab] + step;
    if (step) {
        at = at >= lines ? lines - 1 : at;
        top->line[top->tab] = at < 0 ? 0 : (size_t)at;
    } else if (key == TOP_KEY_TAB || key == TOP_KEY_RIGHT)
        top->tab = (enum top_tab)((top->tab + 1) % TOP_TABS);
    else if (key == TOP_KEY_LEFT)
        top->tab = (enum top_tab)((top->tab + TOP_TABS - 1) % TOP_TABS);
    else if (key >= '1' && key < '1' + TOP_TABS)
        top->tab = (enum top_tab)(key - '1');
    else if (key == 'q' || key == TOP_KEY_ESCAPE || key == TOP_KEY_BACKSPACE)
        top->mode = TOP_MODE_LIST;
}

/* One character of UTF-8 off the end. */
static void cut_last(char *text)
{
    size_t length = strlen(text);
    while (length && ((unsigned char)text[length - 1] & 0xC0) == 0x80)
        length--;
    text[length ? length - 1 : 0] = '\0';
}

static void append_character(char *text, size_t room, unsigned point)
{
    char bytes[5] = "";
    size_t length = strlen(text), more = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (length + more >= room)
        return;
    for (size_t i = more; i-- > 1; point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3F));
    bytes[0] = (char)(more == 1 ? point : (0xF00u >> more & 0xFF) | point);
    memcpy(text + length, bytes, more + 1);
}

static void key_filter(struct top *top, int key)
{
    char *filter = top->model.filter;
    if (key == TOP_KEY_ENTER) {
        top->mode = TOP_MODE_LIST;
    } else if (key == TOP_KEY_ESCAPE) {
        *filter = '\0';
        top->mode = TOP_MODE_LIST;
    } else if (key == TOP_KEY_BACKSPACE) {
        cut_last(filter);
    } else if (key == 0x15) { /* Ctrl-U, as in a shell */
        *filter = '\0';
    } else if (key >= ' ' && key < TOP_KEY_UP && key != 0x7F) {
        append_character(filter, TOP_FILTER_MAX, (unsigned)key);
    }
    top->first = 0;
    top_model_order(&top->model);
}

/* What is beyond its end, drawing takes back. */
static void key_help(struct top *top, int key)
{
    long step = distance(top, key), at = (long)top->help_first + step;
    if (step)
        top->help_first = at < 0 ? 0 : (unsigned)at;
    else
        top->mode = top->back;
}

void top_key(struct top *top, int key)
{
    if (key == TOP_KEY_RESIZE)
        return;
    if (!*top->operation && !top->calls[TOP_ASK_CONTROL])
        say(top, false, "");
    switch (top->mode) {
    case TOP_MODE_LIST:
        key_list(top, key);
        break;
    case TOP_MODE_PAGE:
        key_page(top, key);
        break;
    case TOP_MODE_HELP:
        key_help(top, key);
        break;
    case TOP_MODE_FILTER:
        key_filter(top, key);
        break;
    case TOP_MODE_CONFIRM:
        top->mode = top->back;
        if (key == 'y' || key == 'Y')
            top_calls_control(top);
        else
            say(top, false, "not done");
    }
}
