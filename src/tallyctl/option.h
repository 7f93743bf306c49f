/* Options of the command line: the rows of options.def. */
#ifndef TALLYCTL_OPTION_H
#define TALLYCTL_OPTION_H

#include "tallyctl/tallyctl.h"

struct option_row {
    int letter;
    const char *word;
    const char *argument; /* NULL: it takes none */
    const char *allowed;
    const char *commands; /* "": every one */
    const char *help;
    size_t index;
};

extern const struct option_row option_rows[];
extern const size_t option_count;
#define OPTIONS_MAX 64 /* room for all of them */

/* Reads all options of argv into *ctl, which getopt then has moved behind `optind`; what is wrong is said. `given` has
 * a place for each row: whether it stood there. */
enum ctl_exit option_parse(struct ctl *ctl, int argc, char **argv, bool *given);

/* Whether a command takes the option, in one of its forms at least. */
bool option_is_of(const struct option_row *row, const char *command);
/* Whether the form of a command takes it in which `literal` stands for itself ("": none does). */
bool option_is_of_form(const struct option_row *row, const char *command, const char *literal);

#endif
