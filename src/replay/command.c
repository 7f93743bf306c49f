#include "replay/command.h"

static const struct command commands[] = {
#define COMMAND(verb, fewest, most, equals) {#verb, command_##verb, fewest, most, equals},
#include "replay/commands.def"
#undef COMMAND
};

const struct command *command_find(struct word word)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (word_is(word, commands[i].word))
            return &commands[i];
    return NULL;
}

enum reason command_run(const struct command *command, struct world *world, const struct word *args,
                        size_t count)
{
    if (count < command->fewest || count > command->most)
        return REASON_BAD_SYNTAX;
    if (command->equals && !word_is(args[1], "="))
        return REASON_BAD_SYNTAX;
    return command->run(world, args, count);
}
