/* The options in force: a flag before an environment variable, that before the config file, that before the standard. */
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "tallyd/tallyd.h"

#define VARIABLE_PREFIX "TALLYD_"

bool settings_give(struct settings *settings, enum option_id option, enum origin from, unsigned line, const char *text,
                   const char *where, char *why, size_t why_bytes)
{
    struct given *given = &settings->given[option];
    struct options scratch;
    if (!option_set(&option_rows[option], &scratch, text)) {
        char allowed[128];
        option_allowed(&option_rows[option], allowed, sizeof allowed);
        snprintf(why, why_bytes, "%s: %s", where, allowed);
        return false;
    }
    if (given->text && given->from >= from)
        return true;
    free(given->text);
    *given = (struct given){from, line, strdup(text)};
    if (!given->text)
        snprintf(why, why_bytes, "out of memory");
    return given->text;
}

/* One option of the command line, as getopt found it. */
static bool flag_give(struct settings *settings, int found, char **argv, bool *seen, char *why, size_t why_bytes)
{
    char where[64];
    if (found == '?' || found == ':') {
        snprintf(where, sizeof where, "-%c", optopt); /* one letter of several has not brought us on */
        snprintf(why, why_bytes, "%s: %s", found == '?' && optopt ? where : argv[optind - 1],
                 found == ':' ? "needs a value" : "is no option");
        return false;
    }
    snprintf(where, sizeof where, "--%s", option_rows[found].name);
    if (seen[found]) {
        snprintf(why, why_bytes, "%s: stands twice", where);
        return false;
    }
    seen[found] = true;
    return settings_give(settings, (enum option_id)found, FROM_FLAG, 0, optarg ? optarg : "yes", where, why,
                         why_bytes);
}

static bool flags_read(struct settings *settings, int argc, char **argv, char *why, size_t why_bytes)
{
    struct option table[OPTIONS + 1] = {{.name = NULL}};
    bool seen[OPTIONS] = {false};
    for (int i = 0; i < OPTIONS; i++)
        table[i] = (struct option){option_rows[i].name,
                                   option_rows[i].kind == OPTION_FLAG ? optional_argument : required_argument, NULL, i};
    opterr = 0;
    optind = 0; /* from the start, when it is called again, too */
    for (int found; (found = getopt_long(argc, argv, "+:", table, NULL)) != -1;)
        if (!flag_give(settings, found, argv, seen, why, why_bytes))
            return false;
    if (optind < argc)
        snprintf(why, why_bytes, "%s: is no option", argv[optind]);
    return optind >= argc;
}

/* The row of a variable's name without its prefix; OPTIONS: none. */
static int variable_row(const char *name, size_t length)
{
    for (int i = 0; i < OPTIONS; i++) {
        const char *row = option_rows[i].name;
        size_t at = 0;
        while (at < length && row[at] && name[at] == (row[at] == '-' ? '_' : toupper((unsigned char)row[at])))
            at++;
        if (at == length && !row[at] && option_rows[i].section)
            return i;
    }
    return OPTIONS;
}

static bool environment_read(struct settings *settings, char *why, size_t why_bytes)
{
    for (char **at = environ; *at; at++) {
        if (strncmp(*at, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0)
            continue;
        char where[64];
        size_t length = strcspn(*at, "=");
        snprintf(where, sizeof where, "%.*s", (int)length, *at);
        int row = variable_row(*at + strlen(VARIABLE_PREFIX), length - strlen(VARIABLE_PREFIX));
        if (row == OPTIONS) {
            snprintf(why, why_bytes, "%s: is no variable of tallyd's; see tallyd --help", where);
            return false;
        }
        if ((*at)[length] && !settings_give(settings, (enum option_id)row, FROM_ENVIRONMENT, 0, *at + length + 1, where,
                                            why, why_bytes))
            return false;
    }
    return true;
}

/* Where the config file is: as --config says, else at the mode's own place, where it may be absent. */
static bool file_find(struct settings *settings)
{
    const char *asked = settings->given[OPTION_OF_config].text, *system = settings->given[OPTION_OF_system].text;
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int length = 0;
    if (asked)
        length = snprintf(settings->file, sizeof settings->file, "%s", asked);
    else if (system && !strcmp(system, "yes"))
        length = snprintf(settings->file, sizeof settings->file, "/etc/tally/tallyd.conf");
    else if (xdg && *xdg == '/')
        length = snprintf(settings->file, sizeof settings->file, "%s/tally/tallyd.conf", xdg);
    else if (home && *home == '/')
        length = snprintf(settings->file, sizeof settings->file, "%s/.config/tally/tallyd.conf", home);
    if ((size_t)length >= sizeof settings->file)
        settings->file[0] = '\0';
    return asked;
}

/* All are checked by now. */
static void options_apply(struct settings *settings)
{
    memset(&settings->options, 0, sizeof settings->options);
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *text = settings->given[i].text ? settings->given[i].text : option_rows[i].standard;
        if (text)
            option_set(&option_rows[i], &settings->options, text);
    }
}

bool settings_read(struct settings *settings, int argc, char **argv, char *why, size_t why_bytes)
{
    memset(settings, 0, sizeof *settings);
    bool good = flags_read(settings, argc, argv, why, why_bytes);
    options_apply(settings);
    if (good && (settings->options.help || settings->options.version))
        return true; /* whatever else is wrong */
    good = good && environment_read(settings, why, why_bytes);
    if (good) {
        bool asked = file_find(settings);
        good = !*settings->file || config_read(settings, settings->file, !asked, why, why_bytes);
    }
    options_apply(settings);
    if (!good)
        settings_free(settings);
    return good;
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < OPTIONS; i++)
        free(settings->given[i].text);
    memset(settings, 0, sizeof *settings);
}

static const char *value_of(const struct settings *settings, size_t option)
{
    const char *text = settings->given[option].text;
    return text ? text : option_rows[option].standard ? option_rows[option].standard : "";
}

void settings_reload(struct settings *settings, int argc, char **argv)
{
    struct settings next;
    char why[768];
    if (!settings_read(&next, argc, argv, why, sizeof why)) {
        log_warn("reload: %s; all stays as it is", why);
        return;
    }
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *name = option_rows[i].name, *was = value_of(settings, i), *is = value_of(&next, i);
        if (!strcmp(was, is))
            continue;
        if (option_rows[i].reload == AT_START) {
            log_warn("reload: %s = %s: needs a restart; in force is '%s'", name, is, was);
            continue;
        }
        log_info("reload: %s = %s; was '%s'", name, is, was);
        struct given given = settings->given[i];
        settings->given[i] = next.given[i];
        next.given[i] = given;
    }
    options_apply(settings);
    settings_free(&next);
    log_info("reload: done");
}

/* ---- what is printed */

static void origin_print(const struct settings *settings, size_t option, FILE *out)
{
    const struct given *given = &settings->given[option];
    const char *name = option_rows[option].name;
    if (!given->text) {
        fprintf(out, " ; default\n");
    } else if (given->from == FROM_FILE) {
        fprintf(out, " ; line %u of the file\n", given->line);
    } else if (given->from == FROM_FLAG) {
        fprintf(out, " ; --%s\n", name);
    } else {
        fprintf(out, " ; " VARIABLE_PREFIX);
        for (; *name; name++)
            fputc(*name == '-' ? '_' : toupper((unsigned char)*name), out);
        fputc('\n', out);
    }
}

void settings_print(const struct settings *settings, FILE *out)
{
    const char *section = NULL;
    if (*settings->file)
        fprintf(out, "# config file %s%s\n", settings->file, settings->file_missing ? ": there is none" : "");
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        const char *text = value_of(settings, i);
        if (!row->section)
            continue;
        if (!section || strcmp(section, row->section) != 0)
            fprintf(out, "%s[%s]\n", section ? "\n" : "", row->section);
        section = row->section;
        if (*text)
            fprintf(out, "%s = %s", row->name, text);
        else
            fprintf(out, "; %s: not set", row->name);
        origin_print(settings, i, out);
    }
}

static void row_print_help(const struct option_row *row, FILE *out)
{
    char left[48];
    snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    fprintf(out, "  %-28s %s", left, row->help);
    bool range = row->allowed, standard = row->standard && row->kind != OPTION_FLAG;
    if (range || standard)
        fprintf(out, " (%s%s%s%s)", range ? row->allowed : "", range && standard ? ", " : "",
                standard ? "default " : "", standard ? row->standard : "");
    fputc('\n', out);
}

void settings_print_help(FILE *out)
{
    fprintf(out, "tallyd: serves the heaps of programs that embed libtally\n\nusage: tallyd [OPTION]...\n");
    for (size_t i = 0; i < OPTIONS; i++)
        row_print_help(&option_rows[i], out);
    fprintf(out, "\nAn option is a flag, --gone-keep 5m, a variable, TALLYD_GONE_KEEP=5m, or a line of the config file,\n"
                 "gone-keep = 5m; the first of these wins. Those that are yes or no: --system, or --system=no.\n"
                 "\nexit status:\n");
#define EXIT(name, status, sentence) fprintf(out, "  %d  %s\n", status, sentence);
#include "tallyd/exits.def"
#undef EXIT
}
