#include "tallyctl/top.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tallyctl/answer.h"
#include "tallyctl/request.h"
#include "tallyctl/screen.h"
#include "tallyctl/wake.h"

#define CTRL_L 12
#define PLAIN_COLUMNS 80u

/* The terminal was closed, and no signal said so. */
static bool terminal_is_gone(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) == 1 && (in.revents & (POLLHUP | POLLERR));
}

/* Draws when something has come, and each time round, which is four times a second: ages grow. */
static enum ctl_exit run_screen(struct top *top)
{
    struct canvas canvas = {.ascii = top->ctl->paper.ascii};
    struct screen *screen = screen_new(top->ctl->paper.colour);
    int key;
    if (!screen)
        return CTL_USAGE;
    while (!top->quit && !wake_interrupted() && !terminal_is_gone()) {
        screen_size(screen, &canvas);
        canvas_clear(&canvas);
        top_draw(top, &canvas);
        screen_show(screen, &canvas);
        top_calls_run(top, STDIN_FILENO);
        wake_clear();
        for (int taken = 0; taken < 64 && (key = screen_key(screen)) >= 0; taken++) {
            if (key == CTRL_L)
                screen_redraw(screen);
            else
                top_key(top, key);
        }
    }
    screen_free(screen);
    canvas_fini(&canvas);
    return CTL_DONE;
}

/* All rows, on as many lines as it takes. */
static void print_frame(struct top *top)
{
    const char *columns = getenv("COLUMNS");
    struct canvas canvas = {.ascii = top->ctl->paper.ascii, .rows = (unsigned)top->model.count + 5};
    canvas.columns = columns && atoi(columns) >= 20 && atoi(columns) <= 1000 ? (unsigned)atoi(columns) : PLAIN_COLUMNS;
    top_draw_frame(top, &canvas);
    top_draw_list(top, &canvas, 3, (unsigned)top->model.count);
    canvas_print(&canvas, top->ctl->paper.to);
    canvas_fini(&canvas);
}

/* Two looks, between which rates are. */
static enum ctl_exit run_once(struct top *top)
{
    uint64_t until = clock_mono_ns() + 2 * top_interval_ns(top) + 10000000000u;
    while (!top->model.marks && clock_mono_ns() < until && !wake_interrupted() && !*top->problem)
        top_calls_run(top, -1);
    if (*top->problem)
        return ctl_fail(top->status, "%s", top->problem);
    json_t *json = top->ctl->json ? top_model_json(&top->model) : NULL;
    if (json)
        answer_json(top->ctl->paper.to, json);
    else
        print_frame(top);
    json_decref(json);
    return wake_interrupted() ? CTL_INTERRUPTED : CTL_DONE;
}

static enum ctl_exit fail_sort(const char *sort)
{
    char headings[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < TOP_COLUMNS && used < sizeof headings; i++)
        used += (size_t)snprintf(headings + used, sizeof headings - used, " %s", top_columns[i].heading);
    for (char *at = headings; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return ctl_fail(CTL_USAGE, "--sort takes one of these, with + or - before it if you like, not '%s':%s", sort, headings);
}

static enum ctl_exit set_up(struct top *top)
{
    char query[REQUEST_PATH_MAX] = "";
    const char *sort = top->ctl->sort;
    top->model.sort = TOP_BYTES;
    if (sort) {
        top->model.reverse = *sort == '+';
        top->model.sort = top_column_find(sort + (*sort == '+' || *sort == '-'));
    }
    if (top->model.sort == TOP_COLUMNS)
        return fail_sort(sort);
    request_add_labels(query, &top->ctl->labels);
    int length = snprintf(top->query, sizeof top->query, "%s%s", *query ? query + 1 : "", *query ? "&" : "");
    return length < (int)sizeof top->query ? CTL_DONE : ctl_fail(CTL_USAGE, "that is too long");
}

enum ctl_exit command_top(const struct ctl *ctl)
{
    struct top top = {.ctl = ctl};
    struct client_reply info;
    bool screen = !ctl->once && !ctl->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    enum ctl_exit status = set_up(&top);
    if (status == CTL_DONE)
        status = client_open(ctl, &top.client);
    if (status == CTL_DONE)
        status = client_call(top.client, "GET", "/v1/info", NULL, 0, &info);
    if (status != CTL_DONE) {
        client_close(top.client);
        return status;
    }
    top.fields = json_incref(json_object_get(info.json, "fields"));
    client_reply_fini(&info);
    wake_catch();
    status = screen ? run_screen(&top) : run_once(&top);
    top_calls_fini(&top);
    top_model_fini(&top.model);
    json_decref(top.fields);
    client_close(top.client);
    return status;
}
