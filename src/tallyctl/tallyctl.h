/* tallyctl: tallyd's API for people and scripts at a terminal.
 *
 * What is always true
 *  - It speaks the public HTTP API over api.sock and nothing else; doctor alone looks at files and /proc too.
 *  - stdout carries the answer, stderr one line when something is wrong; the exit status is a row of
 *    exits.def.
 *  - What processes call themselves is untrusted text: it reaches the terminal through text.h only, which
 *    escapes control characters; --json prints the API's bytes, with DEL and C1 controls escaped as JSON
 *    allows.
 *
 * Reading order: commands.def, main.c and cli.c (words to handlers), place.h (where tallyd is), client.h (one
 * request), match.h (which process a word means), inspect.c and control.c (the handlers), setting.h (what set
 * takes), output.h (text or JSON), doctor.c.
 */
#ifndef TALLYCTL_TALLYCTL_H
#define TALLYCTL_TALLYCTL_H

#include <stdbool.h>

enum ctl_exit {
#define CTL_EXIT(name, status, sentence) name = (status),
#include "tallyctl/exits.def"
#undef CTL_EXIT
};

struct output;

/* One run: what the command line asked for. All strings are borrowed from argv. */
struct ctl {
    const struct output *output;
    const char *runtime_dir; /* NULL: look for it */
    const char *scope, *expires, *out; /* of token create; NULL: not said */
    unsigned wait_ms;
    unsigned heap; /* from 1; 0: the whole process */
    int argument_count;
    char **arguments; /* behind the command's word */
};

typedef enum ctl_exit (*ctl_command_fn)(const struct ctl *ctl);

#define CTL_COMMAND(word, arguments, fewest, most, handler, help) \
    enum ctl_exit handler(const struct ctl *ctl);
#include "tallyctl/commands.def"
#undef CTL_COMMAND

/* Prints "tallyctl: " and the sentence, escaped, on stderr; returns `status`, with which handlers may end. */
enum ctl_exit ctl_fail(enum ctl_exit status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads the whole command line and runs it. */
enum ctl_exit ctl_main(int argc, char **argv);

#endif
