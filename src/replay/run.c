/* Goes through the lines: loops, events, errors. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay/command.h"
#include "replay/replay.h"
#include "replay/script.h"

struct loop {
    size_t repeat; /* the line */
    uint64_t times, iteration;
};

struct run {
    struct world world;
    struct script script;
    struct words words;
    struct loop *loops; /* outermost first */
    size_t depth, room;
    size_t at; /* the line that is next, or bad */
    bool attached;
    uint64_t commands, stress;
};

static enum reason push_loop(struct run *run, uint64_t times)
{
    if (run->depth == run->room) {
        size_t room = run->room ? 2 * run->room : 16;
        struct loop *loops = realloc(run->loops, room * sizeof *loops);
        if (!loops)
            return REASON_MEMORY;
        run->loops = loops;
        run->room = room;
    }
    run->loops[run->depth++] = (struct loop){run->at, times, 0};
    run->at++;
    return REASON_NONE;
}

static enum reason run_repeat(struct run *run)
{
    uint64_t times;
    if (run->words.count != 2)
        return REASON_BAD_SYNTAX;
    enum reason reason = lex_number(run->words.list[1], 0, COUNT_MAX, &times);
    if (reason)
        return reason;
    size_t end = run->script.lines[run->at].end;
    if (end == NO_END)
        return REASON_NO_END;
    if (times)
        return push_loop(run, times);
    run->at = end + 1;
    return REASON_NONE;
}

static enum reason run_end(struct run *run)
{
    if (run->words.count != 1)
        return REASON_BAD_SYNTAX;
    if (!run->depth)
        return REASON_NO_REPEAT;
    if (run->attached)
        tally_safepoint(run->world.heap);
    struct loop *loop = &run->loops[run->depth - 1];
    if (++loop->iteration < loop->times) {
        run->at = loop->repeat + 1;
        return REASON_NONE;
    }
    run->depth--;
    run->at++;
    return REASON_NONE;
}

/* Nothing that the script can see: a search for garbage that frees none, and the verifier. */
static void stress(struct run *run)
{
    struct world *world = &run->world;
    char message[256] = "out of memory";
    if (!run->stress || ++run->commands % run->stress)
        return;
    tally_find_cycles(world->heap);
    if (!tally_verify(world->heap, message, sizeof message))
        return;
    fprintf(world->err, "tally-replay: %s\n", message);
    world->fault = REASON_HEAP;
}

static enum reason run_command(struct run *run)
{
    struct world *world = &run->world;
    const struct command *command = run->script.lines[run->at].command;
    if (!command)
        return REASON_UNKNOWN_COMMAND;
    enum reason reason = command_run(command, world, run->words.list + 1, run->words.count - 1);
    if (reason)
        return reason;
    while (tally_get_max_pause(world->heap) && tally_step(world->heap, UINT64_MAX))
        continue; /* what the command has set off shows with it */
    stress(run);
    if (!events_flush(&world->events, world->out))
        return REASON_MEMORY;
    if (world->fault)
        return world->fault;
    run->at++;
    return REASON_NONE;
}

static enum reason run_line(struct run *run)
{
    const struct line *line = &run->script.lines[run->at];
    if (line->kind == LINE_BLANK) {
        run->at++;
        return REASON_NONE;
    }
    enum reason reason = world_charge(&run->world, 1 + line->text.length / 64);
    if (reason)
        return reason;
    const uint64_t *iteration = run->depth ? &run->loops[run->depth - 1].iteration : NULL;
    if (!words_split(&run->words, line, iteration))
        return REASON_MEMORY;
    switch (line->kind) {
    case LINE_REPEAT:
        return run_repeat(run);
    case LINE_END:
        return run_end(run);
    default:
        return run_command(run);
    }
}

static enum replay_status fault(FILE *err, const char *sentence)
{
    fprintf(err, "tally-replay: %s\n", sentence);
    return REPLAY_FAULT;
}

/* Says why the run ended; REASON_NONE: at the end of the script, or because the output failed. */
static enum replay_status verdict(const struct run *run, enum reason reason, FILE *err)
{
    static const char *const sentences[] = {
#define REASON_X(name, sentence) [name] = sentence,
        REASONS(REASON_X)
#undef REASON_X
    };
    if (fflush(run->world.out) || ferror(run->world.out)) {
        fprintf(err, "tally-replay: cannot write the output: %s\n", strerror(errno));
        return REPLAY_FAULT;
    }
    if (reason == REASON_NONE)
        return REPLAY_DONE;
    if (reason == REASON_MEMORY)
        return fault(err, "out of memory");
    if (reason == REASON_WORK)
        return fault(err, "the run has come to its limit");
    if (reason == REASON_HEAP)
        return REPLAY_FAULT;
    if (reason == REASON_UNSUPPORTED) {
        fprintf(err, "tally-replay: line %zu: %s\n", run->at + 1, tally_strerror(TALLY_EUNSUPPORTED));
        return REPLAY_FAULT;
    }
    fprintf(err, "error %zu: %s\n", run->at + 1, sentences[reason]);
    return REPLAY_BAD_SCRIPT;
}

static enum replay_status run_all(struct run *run, const struct replay_options *options)
{
    int error = world_init(&run->world, options);
    if (error)
        return fault(options->err, tally_strerror(error));
    if (options->attach) {
        error = tally_attach(run->world.heap);
        run->attached = !error;
        if (error)
            fprintf(options->err, "tally-replay: not attached: %s\n", tally_strerror(error));
    }
    enum reason reason = REASON_NONE;
    while (run->at < run->script.count && !reason && !ferror(options->out))
        reason = run_line(run);
    return verdict(run, reason, options->err);
}

enum replay_status replay_run(const char *text, size_t length, const struct replay_options *options)
{
    struct run run = {.stress = options->stress};
    if (!script_load(&run.script, text, length))
        return fault(options->err, "out of memory");
    enum replay_status status = run_all(&run, options);
    world_fini(&run.world);
    words_free(&run.words);
    script_free(&run.script);
    free(run.loops);
    return status;
}
