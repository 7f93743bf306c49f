/* Commands that steer the collector or print its state. */
#include <inttypes.h>
#include <stdlib.h>

#include "replay/command.h"
#include "replay/print.h"

static enum reason parse_switch(struct word word, bool *on)
{
    *on = word_is(word, "on");
    return *on || word_is(word, "off") ? REASON_NONE : REASON_BAD_SYNTAX;
}

enum reason command_collect(struct world *world, const struct word *args, size_t count)
{
    uint64_t generation = 2;
    enum reason reason = count ? lex_number(args[0], 0, 2, &generation) : REASON_NONE;
    if (reason)
        return reason;
    int64_t collected = tally_collect(world->heap, (int)generation);
    if (!events_flush(&world->events, world->out))
        return REASON_MEMORY;
    if (collected < 0)
        return REASON_UNSUPPORTED;
    fprintf(world->out, "collected %" PRId64 "\n", collected);
    return REASON_NONE;
}

enum reason command_enable(struct world *world, const struct word *args, size_t count)
{
    (void)args, (void)count;
    tally_enable(world->heap);
    return REASON_NONE;
}

enum reason command_disable(struct world *world, const struct word *args, size_t count)
{
    (void)args, (void)count;
    tally_disable(world->heap);
    return REASON_NONE;
}

enum reason command_isenabled(struct world *world, const struct word *args, size_t count)
{
    (void)args, (void)count;
    fprintf(world->out, "isenabled %s\n", yes_no(tally_is_enabled(world->heap)));
    return REASON_NONE;
}

enum reason command_threshold(struct world *world, const struct word *args, size_t count)
{
    uint32_t thresholds[3];
    if (!count) {
        tally_get_thresholds(world->heap, thresholds);
        fprintf(world->out, "threshold %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", thresholds[0], thresholds[1],
                thresholds[2]);
        return REASON_NONE;
    }
    if (count != 3)
        return REASON_BAD_SYNTAX;
    for (size_t i = 0; i < 3; i++) {
        uint64_t number;
        enum reason reason = lex_number(args[i], 0, COUNT_MAX, &number);
        if (reason)
            return reason;
        thresholds[i] = (uint32_t)number;
    }
    return tally_set_thresholds(world->heap, thresholds) ? REASON_UNSUPPORTED : REASON_NONE;
}

enum reason command_saveall(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    bool on;
    enum reason reason = parse_switch(args[0], &on);
    if (!reason && tally_set_debug(world->heap, on ? TALLY_DEBUG_SAVEALL : 0))
        return REASON_MEMORY;
    return reason;
}

enum reason command_garbage(struct world *world, const struct word *args, size_t count)
{
    if (!count) {
        struct text labels = {.length = 0};
        size_t entries = tally_garbage_count(world->heap);
        for (size_t i = 0; i < entries; i++)
            labels_add(tally_garbage_get(world->heap, i), &labels);
        return print_labels(world, "garbage", NULL, &labels);
    }
    if (!word_is(args[0], "clear"))
        return REASON_BAD_SYNTAX;
    tally_garbage_clear(world->heap);
    return REASON_NONE;
}

static void on_collection(struct tally_heap *heap, const struct tally_collection *info, void *arg)
{
    struct world *world = arg;
    (void)heap;
    if (!world->over)
        event_collection(&world->events, info);
}

enum reason command_hooks(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    bool on;
    enum reason reason = parse_switch(args[0], &on);
    if (!reason)
        (on ? tally_add_collection_hook : tally_remove_collection_hook)(world->heap, on_collection, world);
    return reason;
}

enum reason command_freeze(struct world *world, const struct word *args, size_t count)
{
    (void)args, (void)count;
    tally_freeze(world->heap);
    return REASON_NONE;
}

enum reason command_unfreeze(struct world *world, const struct word *args, size_t count)
{
    (void)args, (void)count;
    tally_unfreeze(world->heap);
    return REASON_NONE;
}

enum reason command_events(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    if (word_is(args[0], "sorted"))
        world->events.mode = EVENTS_SORTED;
    else if (word_is(args[0], "exact"))
        world->events.mode = EVENTS_EXACT;
    else if (word_is(args[0], "count"))
        world->events.mode = EVENTS_COUNT;
    else
        return REASON_BAD_SYNTAX;
    return REASON_NONE;
}

enum reason command_counts(struct world *world, const struct word *args, size_t count)
{
    (void)args, (void)count;
    uint64_t counts[3];
    tally_counts(world->heap, counts);
    fprintf(world->out, "counts %" PRIu64 " %" PRIu64 "\n", counts[1], counts[2]);
    return REASON_NONE;
}

enum reason command_stats(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    uint64_t generation;
    enum reason reason = lex_number(args[0], 0, 2, &generation);
    if (reason)
        return reason;
    struct tally_stats stats;
    tally_get_stats(world->heap, &stats, sizeof stats);
    const struct tally_generation_stats *row = &stats.generations[generation];
    fprintf(world->out,
            "stats %" PRIu64 " collections %" PRIu64 " collected %" PRIu64 " uncollectable %" PRIu64 "\n",
            generation, row->collections, row->collected, row->uncollectable);
    return REASON_NONE;
}
