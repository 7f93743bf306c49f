/* watch: a command that looks, again and again. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tallyctl/changes.h"
#include "tallyctl/complain.h"
#include "tallyctl/tallyctl.h"
#include "tallyctl/wake.h"

#define INTERVAL_MS 1000u

struct watch {
    const struct ctl *ctl;
    bool screen; /* a terminal that can be written over */
    char *before;
};

/* The command's answer, and what it complains of. Caller frees. */
static char *look_dup(const struct watch *watch, enum ctl_exit *status)
{
    char *text = NULL;
    size_t bytes = 0;
    struct ctl once = *watch->ctl;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return NULL;
    once.paper = (struct paper){.to = to, .columns = watch->screen ? ctl_columns() : 0};
    FILE *complaints = complain_to(watch->screen ? to : stderr);
    *status = ctl_run(&once, once.arguments, once.argument_count, true);
    complain_to(complaints);
    fclose(to);
    return text;
}

static unsigned rows(void)
{
    struct winsize size = {.ws_row = 24};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_row < 4 ? 24 : size.ws_row;
}

/* What fits, from the top; the last line says when that was. */
static void draw(const struct watch *watch, const char *text)
{
    FILE *to = watch->ctl->paper.to;
    char clock[32];
    time_t now = time(NULL);
    struct tm local;
    unsigned lines = 0, room = rows() - 2;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &local));
    fputs("\033[H", to);
    changes_print(to, watch->before, text, room, true, "\033[K\n");
    fprintf(to, "\033[J\n%s", clock);
    if (lines > room)
        fprintf(to, "  %u lines more", lines - room);
    fputs("  Ctrl-C ends\033[K", to);
}

static void print(const struct watch *watch, const char *text)
{
    FILE *to = watch->ctl->paper.to;
    if (watch->screen) {
        draw(watch, text);
    } else if (watch->ctl->json) {
        fputs(text, to);
    } else {
        if (watch->before)
            putc('\n', to);
        changes_print(to, watch->before, text, 0, watch->ctl->paper.colour, "\n");
    }
    fflush(to);
}

/* Until the next look is due, or the program is to end; drawn again where the size has changed, or it goes on after a stop. */
static void rest(const struct watch *watch, uint64_t until_ns)
{
    uint64_t now;
    while (!wake_interrupted() && (now = clock_mono_ns()) < until_ns) {
        struct pollfd wait = {.fd = wake_fd(), .events = POLLIN};
        bool woken = poll(&wait, 1, (int)((until_ns - now) / 1000000u) + 1) != 0; /* by a signal, too */
        wake_clear();
        if (woken && watch->screen && !wake_interrupted())
            print(watch, watch->before);
    }
}

/* ---- the screen, which is the shell's while we are stopped */

#define TAKE_OVER "\033[?1049h\033[?25l\033[?7l"
#define GIVE_BACK "\033[?7h\033[?25h\033[?1049l"

static void write_now(const char *text)
{
    int kept = errno;
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        errno = kept;
    errno = kept;
}

static void on_stop(int number)
{
    write_now(GIVE_BACK);
    signal(number, SIG_DFL);
    raise(number); /* when this has returned */
}

static void on_continue(int number)
{
    (void)number;
    signal(SIGTSTP, on_stop);
    write_now(TAKE_OVER);
    raise(SIGWINCH); /* wakes rest() */
}

static void screen_take(const struct watch *watch)
{
    fputs(TAKE_OVER, watch->ctl->paper.to);
    fflush(watch->ctl->paper.to);
    signal(SIGCONT, on_continue);
    signal(SIGTSTP, on_stop);
}

static void screen_give(const struct watch *watch)
{
    signal(SIGTSTP, SIG_DFL);
    signal(SIGCONT, SIG_DFL);
    fputs(GIVE_BACK, watch->ctl->paper.to);
}

/* The first look must succeed; later ones may not, and the next one does again. */
static enum ctl_exit repeat(struct watch *watch)
{
    uint64_t interval_ms = watch->ctl->interval_ms.given ? watch->ctl->interval_ms.value : INTERVAL_MS;
    enum ctl_exit status = CTL_DONE;
    for (uint64_t done = 0; !wake_interrupted();) {
        uint64_t next_ns = clock_mono_ns() + interval_ms * 1000000u;
        char *text = look_dup(watch, &status);
        if (!text)
            return ctl_fail(CTL_FAILED, "out of memory");
        if (status != CTL_DONE && (!watch->before || status == CTL_USAGE)) {
            if (watch->screen)
                fprintf(stderr, "%s", text);
            free(text);
            return status;
        }
        print(watch, text);
        free(watch->before);
        watch->before = text;
        if (ferror(watch->ctl->paper.to) || ++done == watch->ctl->count.value)
            break;
        rest(watch, next_ns);
    }
    return status == CTL_INTERRUPTED ? CTL_DONE : status;
}

enum ctl_exit command_watch(const struct ctl *ctl)
{
    const char *term = getenv("TERM");
    struct watch watch = {.ctl = ctl, .screen = !ctl->json && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb")};
    enum ctl_exit first = CTL_DONE;
    wake_catch();
    if (watch.screen) { /* where it cannot be done at all is said on the screen that was there */
        watch.screen = false;
        FILE *complaints = complain_to(stderr);
        char *text = look_dup(&watch, &first);
        complain_to(complaints);
        watch.screen = true;
        watch.before = text;
        if (first != CTL_DONE || !text) {
            free(text);
            return first;
        }
        screen_take(&watch);
    }
    enum ctl_exit status = repeat(&watch);
    if (watch.screen)
        screen_give(&watch);
    fflush(ctl->paper.to);
    free(watch.before);
    return status;
}
