/* help: the tables, for people; folded to the terminal. */
#include <stdlib.h>
#include <string.h>

#include "tallyctl/form.h"
#include "tallyctl/option.h"
#include "tallyctl/setting.h"
#include "tallyctl/text.h"

#define INDENT 6
#define COLUMNS_STANDARD 80

static const struct {
    int status;
    const char *sentence;
} exits[] = {
#define CTL_EXIT(name, status, sentence) {status, sentence},
#include "tallyctl/exits.def"
#undef CTL_EXIT
};

/* Of the terminal, within what can be read well. */
static int width(void)
{
    int columns = (int)ctl_columns();
    return !columns ? COLUMNS_STANDARD : columns < 40 ? 40 : columns > 110 ? 110 : columns;
}

/* The text from column `indent` on, folded. */
static void fold(FILE *to, int indent, const char *text)
{
    const size_t limit = (size_t)(width() - indent);
    const char *before = "";
    for (size_t bytes; (bytes = text_fold(text, limit)); text += bytes + (text[bytes] == ' ')) {
        fprintf(to, "%s%*s%.*s", before, *before ? indent : 0, "", (int)bytes, text);
        before = "\n";
    }
    putc('\n', to);
}

static void print_row(const struct paper *paper, const char *head, const char *text)
{
    fprintf(paper->to, "  %s%s%s\n%*s", paper->colour ? "\033[1m" : "", head, paper->colour ? "\033[m" : "", INDENT, "");
    fold(paper->to, INDENT, text);
}

static void print_form(const struct paper *paper, const struct form *form)
{
    char head[128];
    snprintf(head, sizeof head, "%s%s%s", form->word, *form->arguments ? " " : "", form->arguments);
    print_row(paper, head, form->help);
}

static void print_option(const struct paper *paper, const struct option_row *row)
{
    char head[64], letter[8] = "";
    if (row->letter < 256)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(head, sizeof head, "%s--%s%s%s", letter, row->word, row->argument ? " " : "",
             row->argument ? row->argument : "");
    print_row(paper, head, row->help);
}

static void print_exits(FILE *to)
{
    fputs("\nExit status:\n", to);
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++) {
        fprintf(to, "  %-3d ", exits[i].status);
        fold(to, INDENT, exits[i].sentence);
    }
}

static void print_settings(const struct paper *paper)
{
    fputs("\nSettings:\n", paper->to);
    const char *values;
    for (size_t i = 0; setting_word(i, &values, NULL); i++)
        print_row(paper, setting_word(i, &values, NULL), values);
}

static void print_all(const struct paper *paper)
{
    fputs("usage: tallyctl [OPTION]... COMMAND [ARGUMENT]...\n\n", paper->to);
    fold(paper->to, 0,
         "Shows and steers the programs that tallyd watches. PROCESS is a name, a pid, an id or the beginning of one "
         "(6 digits or more). `tallyctl help COMMAND` says what options it takes.");
    for (size_t i = 0; i < form_count; i++) {
        if (forms[i].group)
            fprintf(paper->to, "\n%s:\n", forms[i].group);
        else
            print_form(paper, &forms[i]);
    }
    print_settings(paper);
    fputs("\nOptions:\n", paper->to);
    for (size_t i = 0; i < option_count; i++)
        print_option(paper, &option_rows[i]);
    print_exits(paper->to);
}

/* Its forms, its own options, and where the others are. */
static void print_command(const struct paper *paper, const char *word)
{
    for (size_t i = 0; i < form_count; i++)
        if (forms[i].word && strcmp(forms[i].word, word) == 0)
            print_form(paper, &forms[i]);
    if (strcmp(word, "set") == 0)
        print_settings(paper);
    fputs("\nOptions:\n", paper->to);
    for (size_t i = 0; i < option_count; i++)
        if (*option_rows[i].commands && option_is_of(&option_rows[i], word))
            print_option(paper, &option_rows[i]);
    char others[512] = "and those of every command:";
    size_t used = strlen(others);
    for (size_t i = 0; i < option_count && used < sizeof others; i++)
        if (!*option_rows[i].commands)
            used += (size_t)snprintf(others + used, sizeof others - used, " --%s", option_rows[i].word);
    fputs("  ", paper->to);
    fold(paper->to, 2, others);
}

enum ctl_exit command_help(const struct ctl *ctl)
{
    if (ctl->argument_count && !form_find(ctl->arguments[0]))
        return ctl_fail(CTL_USAGE, "unknown command '%s': tallyctl help lists them", ctl->arguments[0]);
    if (ctl->argument_count)
        print_command(&ctl->paper, ctl->arguments[0]);
    else
        print_all(&ctl->paper);
    return CTL_DONE;
}
