/* tallyctl: tallyd's API for people and scripts at a terminal.
 *
 * What is always true
 *  - It speaks the public HTTP API and nothing else, over api.sock or over TCP; doctor alone looks at files and /proc too.
 *  - The answer goes to stdout, to stderr one line when something is wrong; the exit status is a row of exits.def.
 *  - What processes call themselves is untrusted text: it reaches the terminal through text.h only, which escapes
 *    control characters; --json prints the API's bytes, with DEL and C1 controls escaped as JSON allows.
 *  - A command is a row of commands.def, an option one of options.def: parser, checks, help, manual page and completion
 *    are made of them.
 *
 * Reading order: commands.def and options.def; form.h, cli.c, help.c (words to handlers); place.h (where tallyd is),
 * client.h (requests), sse.h (streams), match.h (which process a word means), request.h (paths); then the handlers:
 * inspect.c, control.c and operation.h, past.c, rules.c, artifact.c, assert.c, tail.c, watch.c, doctor.c; show.h and
 * columns.h (answers for people); top.h.
 */
#ifndef TALLYCTL_TALLYCTL_H
#define TALLYCTL_TALLYCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum ctl_exit {
#define CTL_EXIT(name, status, sentence) name = (status),
#include "tallyctl/exits.def"
#undef CTL_EXIT
};

struct ctl_number {
    bool given;
    uint64_t value; /* 0 where it is not given */
};

/* Of an option that may stand often. */
#define CTL_WORDS_MAX 16u /* as many labels as tallyd takes in a query */
#define CTL_LABEL_MAX 511u /* bytes */
struct ctl_words {
    unsigned count;
    const char *words[CTL_WORDS_MAX];
};

/* What an option of a kind is kept as. */
typedef bool ctl_FLAG;
typedef const char *ctl_TEXT; /* NULL: not given; borrowed from argv, as all strings here */
typedef const char *ctl_WORD;
typedef struct ctl_number ctl_NUMBER;
typedef struct ctl_number ctl_DURATION; /* milliseconds */
typedef struct ctl_number ctl_SIZE;     /* bytes */
typedef struct ctl_words ctl_LABELS; /* "KEY=VALUE" each */
typedef struct ctl_words ctl_WORDS;

/* Where an answer for people is written. */
struct paper {
    FILE *to;
    bool colour;
    bool ascii;       /* the locale has no other characters */
    unsigned columns; /* of the terminal, within which tables stay; 0: it is none, and nothing is left out */
};

/* One run: what the command line asked for. */
struct ctl {
    struct paper paper;
#define CTL_OPTION(letter, word, kind, member, argument, allowed, commands, help) ctl_##kind member;
#include "tallyctl/options.def"
#undef CTL_OPTION
    const bool *given; /* of each option, whether it stood there; by its row */
    int argument_count; /* values of the form, without the words that stand for themselves */
    char **arguments;
};

typedef enum ctl_exit (*ctl_command_fn)(const struct ctl *ctl);

#define CTL_GROUP(title)
#define CTL_COMMAND(word, arguments, does, handler, help) enum ctl_exit handler(const struct ctl *ctl);
#include "tallyctl/commands.def"
#undef CTL_COMMAND
#undef CTL_GROUP

/* Prints "tallyctl: " and the sentence, escaped, on stderr; returns `status`, with which handlers may end. */
enum ctl_exit ctl_fail(enum ctl_exit status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Columns of the terminal that stdout is; 0: it is none. */
unsigned ctl_columns(void);

/* Finds the command of `count` words and runs it with the options of `ctl`. It must be one that looks where `looking`. */
enum ctl_exit ctl_run(const struct ctl *ctl, char **words, int count, bool looking);

/* Reads the whole command line and runs it. */
enum ctl_exit ctl_main(int argc, char **argv);

#endif
