/* From words to a handler: the tables make the parser and the checks. */
#include <fcntl.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tally.h"
#include "tallyctl/complain.h"
#include "tallyctl/form.h"
#include "tallyctl/option.h"
#include "tallyctl/text.h"

static FILE *complaints; /* NULL: stderr */

FILE *complain_to(FILE *to)
{
    FILE *before = complaints ? complaints : stderr;
    complaints = to;
    return before;
}

enum ctl_exit ctl_fail(enum ctl_exit status, const char *format, ...)
{
    char *raw = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&raw, format, arguments);
    va_end(arguments);
    char *escaped = length < 0 ? NULL : text_escape_dup(raw);
    fprintf(complaints ? complaints : stderr, "tallyctl: %s\n", escaped ? escaped : "out of memory");
    free(escaped);
    if (length >= 0)
        free(raw);
    return status;
}

/* "usage: tallyctl WORD FORM | FORM": what a command's forms are. */
static enum ctl_exit usage(const char *word)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return ctl_fail(CTL_USAGE, "out of memory");
    fprintf(to, "usage: tallyctl %s", word);
    const char *between = " ";
    for (size_t i = 0; i < form_count; i++) {
        if (!forms[i].word || strcmp(forms[i].word, word))
            continue;
        fprintf(to, "%s%s", *forms[i].arguments || *between == ',' ? between : "",
                *forms[i].arguments || *between != ',' ? forms[i].arguments : "nothing");
        between = ", or ";
    }
    fclose(to);
    enum ctl_exit status = ctl_fail(CTL_USAGE, "%s", text);
    free(text);
    return status;
}

static const struct form *form_of(char *const *words, int count, char **values, int *value_count)
{
    for (size_t i = 0; i < form_count; i++)
        if (forms[i].word && strcmp(forms[i].word, words[0]) == 0 &&
            form_fits(forms[i].arguments, words + 1, count - 1, values, value_count))
            return &forms[i];
    return NULL;
}

/* An option that a form does not take would be one that does nothing. What is watched may have those of watch, too, and
 * watch itself those of what is watched, which are looked at there. */
static enum ctl_exit check_options(const struct ctl *ctl, const struct form *form, bool looking)
{
    char literal[FORM_WORD_MAX];
    form_literal(form->arguments, literal);
    for (size_t i = 0; i < option_count && strcmp(form->word, "watch"); i++) {
        const struct option_row *row = &option_rows[i];
        if (ctl->given[i] && !option_is_of_form(row, form->word, literal) && !(looking && option_is_of(row, "watch")))
            return ctl_fail(CTL_USAGE, "%s%s%s takes no --%s: tallyctl help %s", form->word, *literal ? " " : "", literal,
                            row->word, form->word);
    }
    return CTL_DONE;
}

enum ctl_exit ctl_run(const struct ctl *ctl, char **words, int count, bool looking)
{
    char *values[FORM_VALUES_MAX];
    struct ctl run = *ctl;
    run.arguments = values;
    if (!form_find(words[0]))
        return ctl_fail(CTL_USAGE, "unknown command '%s': tallyctl help lists them", words[0]);
    const struct form *form = form_of(words, count, values, &run.argument_count);
    if (!form)
        return usage(words[0]);
    if (looking && form->does != LOOKS)
        return ctl_fail(CTL_USAGE, "'%s' does not only look: it is not repeated", words[0]);
    for (int i = 0; i < run.argument_count && form->does != HERE; i++)
        if (!*values[i])
            return ctl_fail(CTL_USAGE, "an argument of %s is empty: is a variable not set?", words[0]);
    enum ctl_exit status = check_options(ctl, form, looking);
    return status == CTL_DONE ? form->run(&run) : status;
}

static enum ctl_exit run(struct ctl *ctl, char **words, int count)
{
    if (ctl->version) {
        puts("tallyctl " TALLY_VERSION);
        return CTL_DONE;
    }
    if (ctl->help) {
        ctl->arguments = words;
        ctl->argument_count = count ? 1 : 0;
        return command_help(ctl);
    }
    if (count == 0)
        return ctl_fail(CTL_USAGE, "no command: tallyctl help lists them");
    return ctl_run(ctl, words, count, false);
}

/* A pipe or socket that nobody reads any more. */
static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

unsigned ctl_columns(void)
{
    struct winsize size = {.ws_col = 0};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 0 : size.ws_col;
}

/* One of the three that is closed would become the number of a socket, and the answer would go there. One that can only be
 * read makes what is written fail, which is said. */
static void keep_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static bool colour_wanted(const struct ctl *ctl)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (ctl->color && strcmp(ctl->color, "auto"))
        return strcmp(ctl->color, "always") == 0;
    return isatty(STDOUT_FILENO) && !(no && *no) && term && *term && strcmp(term, "dumb");
}

enum ctl_exit ctl_main(int argc, char **argv)
{
    bool given[OPTIONS_MAX] = {false};
    keep_standard_descriptors();
    struct ctl ctl = {.paper = {.to = stdout, .columns = ctl_columns()}, .given = given};
    ctl.paper.ascii = !setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8");
    if (ctl.paper.ascii)
        setlocale(LC_CTYPE, "C.UTF-8"); /* what the API speaks, and columns are reckoned for */
    /* A reader that has seen enough (`| head -1`) is not a failure. */
    signal(SIGPIPE, SIG_IGN);
    enum ctl_exit status = option_parse(&ctl, argc, argv, given);
    ctl.paper.colour = colour_wanted(&ctl);
    if (status == CTL_DONE)
        status = run(&ctl, argv + optind, argc - optind);
    if ((fflush(stdout) || ferror(stdout)) && !reader_is_gone() && status == CTL_DONE)
        status = ctl_fail(CTL_FAILED, "cannot write the answer");
    return status;
}
