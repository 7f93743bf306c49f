#include "tallyctl/option.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

const struct option_row option_rows[] = {
#define CTL_OPTION(letter, word, kind, member, argument, allowed, commands, help)                                          \
    {letter, word, argument, allowed, commands, help, 0},
#include "tallyctl/options.def"
#undef CTL_OPTION
};
const size_t option_count = sizeof option_rows / sizeof option_rows[0];
_Static_assert(sizeof option_rows / sizeof option_rows[0] <= OPTIONS_MAX, "the room is enough");
#define ROWS (sizeof option_rows / sizeof option_rows[0])

bool option_is_of(const struct option_row *row, const char *command)
{
    char form[64];
    snprintf(form, sizeof form, "%s/", command);
    const char *at = strstr(row->commands, form);
    return option_is_of_form(row, command, "") || (at && (at == row->commands || at[-1] == ' '));
}

bool option_is_of_form(const struct option_row *row, const char *command, const char *literal)
{
    char form[64];
    snprintf(form, sizeof form, "%s/%s", command, literal);
    return !*row->commands || text_has_word(row->commands, ' ', command) || (*literal && text_has_word(row->commands, ' ', form));
}

/* ---- a reader a kind: false, what the value must be has been said */

static bool refuse(const struct option_row *row, const char *value, const char *takes)
{
    ctl_fail(CTL_USAGE, "--%s takes %s, not '%s'", row->word, takes, value);
    return false;
}

static bool read_FLAG(const struct option_row *row, const char *value, ctl_FLAG *out)
{
    (void)row, (void)value;
    return *out = true;
}

static bool read_TEXT(const struct option_row *row, const char *value, ctl_TEXT *out)
{
    *out = value;
    return *value || refuse(row, value, row->argument);
}

static bool read_WORD(const struct option_row *row, const char *value, ctl_WORD *out)
{
    char words[128] = "";
    size_t used = 0;
    *out = value;
    if (text_has_word(row->allowed, '|', value))
        return true;
    for (const char *at = row->allowed; *at && used < sizeof words; at++) /* "a|b|c" as "a, b or c" */
        used += (size_t)snprintf(words + used, sizeof words - used,
                                 *at != '|'            ? "%c"
                                 : strchr(at + 1, '|') ? ", "
                                                       : " or ",
                                 *at);
    return refuse(row, value, words);
}

/* LOW..HIGH of a row. */
static bool is_allowed(const struct option_row *row, uint64_t value)
{
    const char *dots = row->allowed ? strstr(row->allowed, "..") : NULL;
    return !dots || (value >= strtoull(row->allowed, NULL, 10) && value <= strtoull(dots + 2, NULL, 10));
}

static bool read_NUMBER(const struct option_row *row, const char *value, ctl_NUMBER *out)
{
    out->given = true;
    if (text_parse_count(value, &out->value) && is_allowed(row, out->value))
        return true;
    ctl_fail(CTL_USAGE, "--%s takes a number, %s, not '%s'", row->word, row->allowed, value);
    return false;
}

static bool read_DURATION(const struct option_row *row, const char *value, ctl_DURATION *out)
{
    char takes[128], least[TEXT_FIGURE_MAX], most[TEXT_FIGURE_MAX];
    out->given = true;
    if (text_parse_duration(value, &out->value) && is_allowed(row, out->value))
        return true;
    snprintf(takes, sizeof takes, "a duration such as 500ms or 5s, from %s to %s",
             text_duration(least, strtoull(row->allowed, NULL, 10) * 1000000u),
             text_duration(most, strtoull(strstr(row->allowed, "..") + 2, NULL, 10) * 1000000u));
    return refuse(row, value, takes);
}

static bool read_SIZE(const struct option_row *row, const char *value, ctl_SIZE *out)
{
    out->given = true;
    return text_parse_bytes(value, &out->value) || refuse(row, value, "bytes, such as 65536, 64KiB or 2MiB");
}

static bool read_WORDS(const struct option_row *row, const char *value, ctl_WORDS *out)
{
    if (!*value)
        return refuse(row, value, row->argument);
    if (out->count == CTL_WORDS_MAX) {
        ctl_fail(CTL_USAGE, "--%s may stand %u times at most", row->word, CTL_WORDS_MAX);
        return false;
    }
    out->words[out->count++] = value;
    return true;
}

static bool read_LABELS(const struct option_row *row, const char *value, ctl_LABELS *out)
{
    if (!strchr(value, '=') || *value == '=' || strlen(value) > CTL_LABEL_MAX)
        return refuse(row, value, row->argument);
    return read_WORDS(row, value, out);
}

/* Obeys one option. */
static bool take(struct ctl *ctl, size_t at, const char *value)
{
    enum {
#define CTL_OPTION(letter, word, kind, member, argument, allowed, commands, help) AT_##member,
#include "tallyctl/options.def"
#undef CTL_OPTION
    };
    switch (at) {
#define CTL_OPTION(letter, word, kind, member, argument, allowed, commands, help) \
    case AT_##member: \
        return read_##kind(&option_rows[at], value, &ctl->member);
#include "tallyctl/options.def"
#undef CTL_OPTION
    default:
        return false;
    }
}

/* What getopt_long() is to know; short ones only as the letters that they are. */
static void fill(struct option longs[ROWS + 1], char shorts[2 * ROWS + 2])
{
    *shorts++ = ':';
    for (size_t i = 0; i < ROWS; i++) {
        const struct option_row *row = &option_rows[i];
        longs[i] = (struct option){
            .name = row->word, .val = row->letter, .has_arg = row->argument ? required_argument : no_argument};
        if (row->letter > 255)
            continue;
        *shorts++ = (char)row->letter;
        if (row->argument)
            *shorts++ = ':';
    }
    longs[ROWS] = (struct option){.name = NULL};
    *shorts = '\0';
}

static size_t row_of(int letter)
{
    size_t at = 0;
    while (at < ROWS && option_rows[at].letter != letter)
        at++;
    return at;
}

enum ctl_exit option_parse(struct ctl *ctl, int argc, char **argv, bool *given)
{
    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 2];
    fill(longs, shorts);
    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        int value = getopt_long(argc, argv, shorts, longs, NULL);
        if (value == -1)
            return CTL_DONE;
        if (value == ':')
            return ctl_fail(CTL_USAGE, "option '%s' needs a value", argv[optind - 1]);
        const char *word = argv[optind > at ? optind - 1 : at];
        if (value == '?')
            return optopt && strncmp(word, "--", 2) == 0 ? ctl_fail(CTL_USAGE, "an option takes no value: '%s'", word)
                                                         : ctl_fail(CTL_USAGE, "unknown option '%s': tallyctl help lists them", word);
        size_t row = row_of(value);
        if (row == ROWS || !take(ctl, row, optarg))
            return CTL_USAGE;
        given[row] = true;
    }
}
