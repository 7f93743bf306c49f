/* Commands and their forms: whether words of a command line are of a form, and what may stand where. Pure. */
#ifndef TALLYCTL_FORM_H
#define TALLYCTL_FORM_H

#include "tallyctl/tallyctl.h"

enum form_does { LOOKS, ACTS, STREAMS, HERE };

struct form {
    const char *word, *arguments; /* as commands.def has them */
    enum form_does does;
    ctl_command_fn run;
    const char *help;
    const char *group; /* of the first row of a group; else NULL */
};

extern const struct form forms[];
extern const size_t form_count;

#define FORM_VALUES_MAX 64

/* Whether `words` are the arguments of a form; `values` are then those of them that do not stand for themselves, as
 * many as `value_count` says. At most FORM_VALUES_MAX. */
bool form_fits(const char *arguments, char *const *words, int count, char **values, int *value_count);

/* The argument of a form at which a word `at` (from 0) would stand behind `words`, which must fit so far: without its
 * brackets and dots. Returns its bytes, and where it begins in *name; 0: none may stand there. */
size_t form_next(const char *arguments, char *const *words, int at, const char **name);

/* The first argument of a form that stands for itself, copied into `word`; "" where there is none. */
#define FORM_WORD_MAX 32
void form_literal(const char *arguments, char word[FORM_WORD_MAX]);

/* The first form of a command; NULL: there is no such command. */
const struct form *form_find(const char *word);

#endif
