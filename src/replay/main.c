/* tally-replay: reads a script and runs it. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "replay/lex.h"
#include "replay/replay.h"
#include "tally.h"

static const char usage[] =
    "usage: tally-replay [OPTIONS] SCRIPT\n"
    "Runs a tally script (\"-\": from standard input) and prints what it asks for.\n"
    "\n"
    "  --attach     show the heap to tallyd\n"
    "  --name NAME  how it is shown (default: tally-replay)\n"
    "  --manager M  none, refcount, cycle, generational (default) or full\n"
    "  --max-pause US  work in slices of so many microseconds; pending work is done after each command\n"
    "  --stress N   after every N-th command, search for cycles and verify the heap\n"
    "  --version    print the version\n"
    "  --help       print this\n"
    "\n"
    "Exit status: 0 done, 1 a fault or wrong usage, 2 the script has an error (on standard error).\n";

struct input {
    char *text;
    size_t length;
};

/* 0 or an errno. */
static int read_all(FILE *file, struct input *input)
{
    size_t room = 0;
    *input = (struct input){.length = 0};
    for (;;) {
        if (input->length == room) {
            room = room ? 2 * room : 65536;
            char *text = realloc(input->text, room);
            if (!text)
                return ENOMEM;
            input->text = text;
        }
        size_t got = fread(input->text + input->length, 1, room - input->length, file);
        if (!got)
            return ferror(file) ? errno : 0;
        input->length += got;
    }
}

static int read_script(const char *path, struct input *input)
{
    *input = (struct input){.length = 0};
    if (strcmp(path, "-") == 0)
        return read_all(stdin, input);
    FILE *file = fopen(path, "rb");
    if (!file)
        return errno;
    int error = read_all(file, input);
    fclose(file);
    return error;
}

/* The manager of that name; 0: there is none. */
static enum tally_manager manager_named(const char *name)
{
    enum tally_manager manager = TALLY_MANAGER_FULL;
    while (manager && strcmp(name, tally_manager_name(manager)))
        manager--;
    return manager;
}

/* 1..10^7; 0: it is none. */
static uint64_t number_of(const char *text)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && number <= COUNT_MAX ? number : 0;
}

static int wrong(const char *option, const char *value)
{
    fprintf(stderr, "tally-replay: %s: not a value that it takes: %s\n", option, value);
    return 1 + REPLAY_FAULT;
}

/* 0: *options and *path are set; else the exit status plus 1. */
static int parse_options(int argc, char **argv, struct replay_options *options, const char **path)
{
    static const struct option longs[] = {
        {"attach", no_argument, NULL, 'a'},        {"name", required_argument, NULL, 'n'},
        {"version", no_argument, NULL, 'v'},       {"help", no_argument, NULL, 'h'},
        {"manager", required_argument, NULL, 'm'}, {"max-pause", required_argument, NULL, 'p'},
        {"stress", required_argument, NULL, 's'},  {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        int error = 0;
        switch (option) {
        case 'a':
            options->attach = true;
            break;
        case 'n':
            error = tally_set_name(optarg);
            break;
        case 'm':
            if (!(options->manager = manager_named(optarg)))
                return wrong("--manager", optarg);
            break;
        case 'p':
            if (!(options->max_pause_us = number_of(optarg)))
                return wrong("--max-pause", optarg);
            break;
        case 's':
            if (!(options->stress = number_of(optarg)))
                return wrong("--stress", optarg);
            break;
        case 'v':
            printf("tally-replay %s (libtally %s)\n", TALLY_VERSION, tally_version());
            return 1 + REPLAY_DONE;
        case 'h':
            fputs(usage, stdout);
            return 1 + REPLAY_DONE;
        default:
            fputs(usage, stderr);
            return 1 + REPLAY_FAULT;
        }
        if (error) {
            fprintf(stderr, "tally-replay: --name: %s\n", tally_strerror(error));
            return 1 + REPLAY_FAULT;
        }
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return 1 + REPLAY_FAULT;
    }
    *path = argv[optind];
    return 0;
}

int main(int argc, char **argv)
{
    struct replay_options options = {.out = stdout, .err = stderr};
    const char *path;
    int status = parse_options(argc, argv, &options, &path);
    if (status)
        return status - 1;
    struct input input;
    int error = read_script(path, &input);
    if (error) {
        fprintf(stderr, "tally-replay: cannot read %s: %s\n", path, strerror(error));
        free(input.text);
        return REPLAY_FAULT;
    }
    enum replay_status done = replay_run(input.text, input.length, &options);
    free(input.text);
    return (int)done;
}
