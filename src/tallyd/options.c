#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyd/tallyd.h"

static const struct {
    const char *name, *argument, *help;
} rows[] = {
#define OPTION(name, argument, member, kind, help) {name, argument, help},
#include "tallyd/options.def"
#undef OPTION
};
#define ROWS (sizeof rows / sizeof *rows)

#define NUMBER_MAX 604800L

static bool number_parse(const char *text, long *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || text[digits] || digits > 9 || strtol(text, NULL, 10) > NUMBER_MAX)
        return false;
    *out = strtol(text, NULL, 10);
    return true;
}

/* Before the first is set. */
static void options_clear(struct options *options)
{
#define FLAG(member) options->member = false;
#define TEXT(member) options->member = NULL;
#define NUMBER(member) options->member = -1;
#define OPTION(name, argument, member, kind, help) kind(member)
#include "tallyd/options.def"
#undef OPTION
#undef FLAG
#undef TEXT
#undef NUMBER
}

/* false: the value is not one for it. */
static bool option_set(struct options *options, size_t row, const char *value)
{
    size_t at = 0;
    bool valid = true;
#define FLAG(member) options->member = true;
#define TEXT(member) options->member = value;
#define NUMBER(member) valid = number_parse(value, &options->member);
#define OPTION(name, argument, member, kind, help) \
    if (at++ == row) { \
        kind(member) \
    }
#include "tallyd/options.def"
#undef OPTION
#undef FLAG
#undef TEXT
#undef NUMBER
    return valid;
}

bool options_parse(struct options *options, int argc, char **argv, char *why, size_t why_bytes)
{
    struct option table[ROWS + 1] = {{.name = NULL}};
    bool seen[ROWS] = {false};
    for (size_t i = 0; i < ROWS; i++)
        table[i] =
            (struct option){rows[i].name, rows[i].argument ? required_argument : no_argument, NULL, (int)i};
    opterr = 0;
    options_clear(options);
    optind = 1;
    for (;;) {
        int row = getopt_long(argc, argv, "+:", table, NULL);
        if (row == -1)
            break;
        if (row == '?' || row == ':') {
            snprintf(why, why_bytes, "%s: %s", argv[optind - 1],
                     row == ':' ? "needs a value" : "is no option");
            return false;
        }
        if (seen[row]) {
            snprintf(why, why_bytes, "--%s: stands twice", rows[row].name);
            return false;
        }
        seen[row] = true;
        if (!option_set(options, (size_t)row, optarg)) {
            snprintf(why, why_bytes, "--%s: must be a number from 0 to %ld", rows[row].name, NUMBER_MAX);
            return false;
        }
    }
    if (optind < argc) {
        snprintf(why, why_bytes, "%s: is no option", argv[optind]);
        return false;
    }
    return true;
}

void options_print_help(void)
{
    printf("tallyd: serves the heaps of programs that embed libtally\n\nusage: tallyd [OPTION]...\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        printf("  %-28s %s\n", left, rows[i].help);
    }
    printf("\nexit status: 0 ended by a signal, 1 an address could not be used, 2 refused to start, 3 it "
           "runs already\n");
}

bool address_split(const char *text, char *host, size_t host_bytes, char *port, size_t port_bytes)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = *text == '[';
    if (!colon || colon == text || (bracketed && colon[-1] != ']'))
        return false;
    const char *start = text + bracketed, *end = colon - bracketed;
    size_t port_length = strlen(colon + 1);
    if ((size_t)(end - start) >= host_bytes || end <= start || !port_length || port_length >= port_bytes ||
        port_length > 5 || strspn(colon + 1, "0123456789") != port_length ||
        strtoul(colon + 1, NULL, 10) > 65535 ||
        (!bracketed && memchr(start, ':', (size_t)(end - start))))
        return false;
    snprintf(host, host_bytes, "%.*s", (int)(end - start), start);
    snprintf(port, port_bytes, "%s", colon + 1);
    return true;
}
