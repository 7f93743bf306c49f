/* The commands, by their word: build.c (objects, roots, slots), generate.c (whole graphs), control.c (the
 * collector), query.c (what prints about objects). */
#ifndef TALLY_REPLAY_COMMAND_H
#define TALLY_REPLAY_COMMAND_H

#include "replay/world.h"

/* args are the words behind the command's own; their number and the `=` have been checked. Changes nothing
 * where it returns one of the script's reasons. */
typedef enum reason (*command_fn)(struct world *world, const struct word *args, size_t count);

struct command {
    const char *word;
    command_fn run;
    size_t fewest, most;
    bool equals;
};

/* NULL: unknown. */
const struct command *command_find(struct word word);
/* Checks the number of words and the `=`, then runs it. */
enum reason command_run(const struct command *command, struct world *world, const struct word *args,
                        size_t count);

#define COMMAND(verb, fewest, most, equals) \
    enum reason command_##verb(struct world *world, const struct word *args, size_t count);
#include "replay/commands.def"
#undef COMMAND

#endif
