/* Scripts that drive libtally (the language: tests/replay/FORMAT.md), run line by line, printing what they
 * ask for.
 *
 * What is always true
 *  - libtally is reached through tally.h alone, as by any host.
 *  - A command checks all its words before it changes anything; the first bad one stops the run.
 *  - Nothing here recurses over objects, lines or loops: depth costs memory, never stack.
 *  - Whatever releases a reference, collects or allocates may run finalizers and callbacks, and those bind
 *    and drop roots at will: what is needed behind such a call has a reference of its own.
 *
 * Reading order: script (text to lines), lex (words to names and numbers), names (names, labels), roots,
 * object (what the script's objects are to libtally), action and event (what their finalizers do), world
 * (all of them together), commands.def (what there is to run), run.
 */
#ifndef TALLY_REPLAY_REPLAY_H
#define TALLY_REPLAY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tally.h"

enum replay_status {
    REPLAY_DONE = 0,
    REPLAY_FAULT = 1,      /* out of memory, output not writable, limit reached: a sentence is on err */
    REPLAY_BAD_SCRIPT = 2, /* `error LINE: REASON` is on err */
};

struct replay_options {
    FILE *out, *err; /* borrowed */
    bool attach;     /* shows the heap to the daemon */
    enum tally_manager manager; /* 0: generational, the collector that FORMAT.md describes */
    uint64_t max_pause_us; /* not 0: what it leaves pending is done after each command */
    uint64_t stress;       /* not 0: after every so many commands the heap is searched and verified */
    uint64_t work;   /* lines, objects, edges, slots and bytes that the run may come to; 0: without limit */
};

/* Runs a script that is in memory, in a heap of its own that is gone when it returns. */
enum replay_status replay_run(const char *text, size_t length, const struct replay_options *options);

#endif
