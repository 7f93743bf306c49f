/* From words to a handler: the tables make the parser, the checks and the help. */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tally.h"
#include "tallyctl/output.h"
#include "tallyctl/setting.h"
#include "tallyctl/tallyctl.h"
#include "tallyctl/text.h"

#define WAIT_DEFAULT_MS 5000u

static const struct command {
    const char *word, *arguments;
    int fewest, most;
    ctl_command_fn run;
    const char *help;
} commands[] = {
#define CTL_COMMAND(word, arguments, fewest, most, handler, help) \
    {word, arguments, fewest, most, handler, help},
#include "tallyctl/commands.def"
#undef CTL_COMMAND
};

struct row {
    int value;
    const char *word, *argument, *help;
};

static const struct row options[] = {
#define CTL_OPTION(value, word, argument, help) {value, word, argument, help},
#include "tallyctl/options.def"
#undef CTL_OPTION
};

static const struct row exits[] = {
#define CTL_EXIT(name, status, sentence) {status, NULL, NULL, sentence},
#include "tallyctl/exits.def"
#undef CTL_EXIT
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

enum ctl_exit ctl_fail(enum ctl_exit status, const char *format, ...)
{
    char *raw = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&raw, format, arguments);
    va_end(arguments);
    char *escaped = length < 0 ? NULL : text_escape_dup(raw);
    fprintf(stderr, "tallyctl: %s\n", escaped ? escaped : "out of memory");
    free(escaped);
    if (length >= 0)
        free(raw);
    return status;
}

/* "  left       help", the help folded at 110 columns. */
static void print_help_row(int width, const char *left, const char *help)
{
    const int limit = 110 - width - 4;
    printf("  %-*s  ", width, left);
    int column = 0;
    while (*help) {
        int length = (int)strcspn(help, " ");
        if (column && column + length > limit) {
            printf("\n%*s", width + 4, "");
            column = 0;
        }
        printf("%s%.*s", column ? " " : "", length, help);
        column += length + (column != 0);
        help += length + (help[length] == ' ');
    }
    putchar('\n');
}

static void print_setting(const char *word, const char *values)
{
    print_help_row(30, word, values);
}

enum ctl_exit command_help(const struct ctl *ctl)
{
    (void)ctl;
    char left[64];
    puts("usage: tallyctl [OPTIONS] COMMAND [ARGUMENTS]\n\n"
         "Shows and steers the programs that tallyd watches. PROCESS is a name, a pid, an id or the "
         "beginning of one\n"
         "(6 digits or more).\n\nCommands:");
    for (size_t i = 0; i < ROWS(commands); i++) {
        snprintf(left, sizeof left, "%s %s", commands[i].word, commands[i].arguments);
        print_help_row(30, left, commands[i].help);
    }
    puts("\nSettings:");
    setting_each(print_setting);
    puts("\nOptions:");
    for (size_t i = 0; i < ROWS(options); i++) {
        snprintf(left, sizeof left, "--%s%s%s", options[i].word, options[i].argument ? " " : "",
                 options[i].argument ? options[i].argument : "");
        print_help_row(30, left, options[i].help);
    }
    puts("\nExit status:");
    for (size_t i = 0; i < ROWS(exits); i++) {
        snprintf(left, sizeof left, "%d", exits[i].value);
        print_help_row(2, left, exits[i].help);
    }
    return CTL_DONE;
}

static enum ctl_exit command_version(const struct ctl *ctl)
{
    (void)ctl;
    puts("tallyctl " TALLY_VERSION);
    return CTL_DONE;
}

/* Obeys one option; *instead is set by those that stand for a command. */
static enum ctl_exit take_option(struct ctl *ctl, int value, ctl_command_fn *instead)
{
    switch (value) {
    case 'j':
        ctl->output = &output_json;
        return CTL_DONE;
    case 'r':
        ctl->runtime_dir = optarg;
        return *optarg ? CTL_DONE : ctl_fail(CTL_USAGE, "--runtime-dir needs a directory");
    case 'w':
        if (text_parse_duration(optarg, &ctl->wait_ms))
            return CTL_DONE;
        return ctl_fail(CTL_USAGE, "--wait takes a duration up to 1m, such as 500ms or 5s, not '%s'",
                        optarg);
    case 'n':
        if (text_parse_number(optarg, 1, UINT32_MAX, &ctl->heap))
            return CTL_DONE;
        return ctl_fail(CTL_USAGE, "--heap takes a heap's number, from 1, not '%s'", optarg);
    case 's':
        ctl->scope = optarg;
        if (!strcmp(optarg, "read") || !strcmp(optarg, "control") || !strcmp(optarg, "admin"))
            return CTL_DONE;
        return ctl_fail(CTL_USAGE, "--scope takes read, control or admin, not '%s'", optarg);
    case 'e':
        ctl->expires = optarg;
        return CTL_DONE;
    case 'o':
        ctl->out = optarg;
        return CTL_DONE;
    case 'V':
        *instead = command_version;
        return CTL_DONE;
    case 'h':
        *instead = command_help;
        return CTL_DONE;
    default:
        return CTL_USAGE;
    }
}

static enum ctl_exit parse_options(struct ctl *ctl, int argc, char **argv, ctl_command_fn *instead)
{
    struct option longs[ROWS(options) + 1] = {{0}};
    for (size_t i = 0; i < ROWS(options); i++)
        longs[i] = (struct option){.name = options[i].word,
                                   .val = options[i].value,
                                   .has_arg = options[i].argument ? required_argument : no_argument};
    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        int value = getopt_long(argc, argv, ":", longs, NULL);
        if (value == -1)
            return CTL_DONE;
        if (value == ':')
            return ctl_fail(CTL_USAGE, "option '%s' needs a value", argv[optind - 1]);
        if (value == '?')
            return ctl_fail(CTL_USAGE, "unknown option '%s': tallyctl help lists them",
                            argv[optind > at ? optind - 1 : at]);
        enum ctl_exit status = take_option(ctl, value, instead);
        if (status != CTL_DONE)
            return status;
    }
}

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < ROWS(commands); i++)
        if (strcmp(commands[i].word, word) == 0)
            return &commands[i];
    return NULL;
}

static enum ctl_exit run_command(struct ctl *ctl, char **words, int count)
{
    if (count == 0)
        return ctl_fail(CTL_USAGE, "no command: tallyctl help lists them");
    const struct command *command = find_command(words[0]);
    if (!command)
        return ctl_fail(CTL_USAGE, "unknown command '%s': tallyctl help lists them", words[0]);
    ctl->arguments = words + 1;
    ctl->argument_count = count - 1;
    if (ctl->argument_count < command->fewest || ctl->argument_count > command->most)
        return ctl_fail(CTL_USAGE, "usage: tallyctl %s%s%s", command->word, *command->arguments ? " " : "",
                        command->arguments);
    return command->run(ctl);
}

/* A pipe or socket that nobody reads any more. */
static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

enum ctl_exit ctl_main(int argc, char **argv)
{
    struct ctl ctl = {.output = &output_text, .wait_ms = WAIT_DEFAULT_MS};
    ctl_command_fn instead = NULL;
    /* A reader that has seen enough (`| head -1`) is not a failure. */
    signal(SIGPIPE, SIG_IGN);
    enum ctl_exit status = parse_options(&ctl, argc, argv, &instead);
    if (status == CTL_DONE)
        status = instead ? instead(&ctl) : run_command(&ctl, argv + optind, argc - optind);
    if ((fflush(stdout) || ferror(stdout)) && !reader_is_gone() && status == CTL_DONE)
        status = ctl_fail(CTL_FAILED, "cannot write the answer");
    return status;
}
