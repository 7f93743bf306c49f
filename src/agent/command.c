/* What commands may ask for, and what they do to a heap, in its owner's hands. Collections are request.c's, since many commands share one. */
#include "agent/agent.h"

/* Members of a CONFIG in the order in which they are set: the manager decides what thresholds mean, and the
 * last three cannot fail. */
static const uint32_t members[] = {WIRE_CONFIG_MANAGER,   WIRE_CONFIG_THRESHOLDS,   WIRE_CONFIG_DEBUG,
                                   WIRE_CONFIG_MAX_PAUSE, WIRE_CONFIG_MEMORY_LIMIT, WIRE_CONFIG_ENABLED,
                                   WIRE_CONFIG_STRESS,    WIRE_CONFIG_LEVEL};
#define MEMBER_COUNT (sizeof members / sizeof *members)

static int member_set(struct tally_heap *heap, uint32_t member, const struct wire_command *to)
{
    switch (member) {
    case WIRE_CONFIG_MANAGER:
        return tally_set_manager(heap, (enum tally_manager)to->manager);
    case WIRE_CONFIG_THRESHOLDS:
        return tally_set_thresholds(heap, to->thresholds);
    case WIRE_CONFIG_DEBUG:
        return tally_set_debug(heap, to->debug);
    case WIRE_CONFIG_MAX_PAUSE:
        return tally_set_max_pause(heap, to->max_pause_us);
    case WIRE_CONFIG_MEMORY_LIMIT:
        tally_set_memory_limit(heap, to->memory_limit_bytes);
        return 0;
    case WIRE_CONFIG_ENABLED:
        (to->enabled ? tally_enable : tally_disable)(heap);
        return 0;
    case WIRE_CONFIG_STRESS:
        tally_set_stress(heap, to->stress_nth, to->stress_every_decref);
        return 0;
    default:
        feed_level_set(tally__heap_feed(heap), (enum wire_level)to->level);
        return 0;
    }
}

/* All of it or nothing: what was set before a member that the heap refuses is set back, the last one first.
 * Returns 0 or the heap's error. */
static int config_apply(struct tally_heap *heap, const struct wire_command *command)
{
    struct wire_command before = {.manager = (uint32_t)tally_get_manager(heap),
                                  .debug = tally_get_debug(heap),
                                  .max_pause_us = tally_get_max_pause(heap),
                                  .memory_limit_bytes = tally_get_memory_limit(heap)};
    tally_get_thresholds(heap, before.thresholds);
    int error = 0;
    size_t at = 0;
    for (; at < MEMBER_COUNT && !error; at++)
        if (command->mask & members[at])
            error = member_set(heap, members[at], command);
    if (!error)
        return 0;
    for (at--; at-- > 0;)
        if (command->mask & members[at])
            member_set(heap, members[at], &before);
    return error;
}

static uint64_t frozen(const struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats.frozen;
}

static uint64_t garbage_clear(struct tally_heap *heap)
{
    size_t before = tally_garbage_count(heap);
    tally_garbage_clear(heap);
    size_t after = tally_garbage_count(heap); /* finalizers may add */
    return before > after ? before - after : 0;
}

int agent_command_run(struct tally_heap *heap, struct agent_heap *shown, struct agent_slot *slot)
{
    struct wire_ack *result = &slot->result;
    int64_t found;
    switch (slot->command.kind) {
    case WIRE_COMMAND_CONFIG:
        return config_apply(heap, &slot->command);
    case WIRE_COMMAND_FREEZE:
        tally_freeze(heap);
        result->total = frozen(heap);
        return 0;
    case WIRE_COMMAND_UNFREEZE:
        tally_unfreeze(heap);
        result->total = frozen(heap);
        return 0;
    case WIRE_COMMAND_GARBAGE_CLEAR:
        result->total = garbage_clear(heap);
        return 0;
    case WIRE_COMMAND_FIND:
        found = tally_find_cycles(heap);
        result->collected = found < 0 ? 0 : found;
        return found < 0 ? (int)found : 0;
    default:
        return agent_list_run(heap, shown, slot, false);
    }
}

/* ---- before it waits for its heap */

static bool config_valid(const struct wire_command *command)
{
    if (command->mask & ~(uint32_t)WIRE_CONFIG_ALL)
        return false;
    if (command->mask & WIRE_CONFIG_ENABLED && command->enabled > 1)
        return false;
    if (command->mask & WIRE_CONFIG_DEBUG &&
        command->debug & ~(uint32_t)(TALLY_DEBUG_STATS | TALLY_DEBUG_LEAK))
        return false;
    if (command->mask & WIRE_CONFIG_LEVEL && command->level > WIRE_LEVEL_ALL)
        return false;
    if (command->mask & WIRE_CONFIG_MANAGER && !tally_manager_name((enum tally_manager)command->manager))
        return false;
    if (command->mask & WIRE_CONFIG_STRESS && command->stress_every_decref > 1)
        return false;
    if (command->mask & WIRE_CONFIG_MAX_PAUSE && command->max_pause_us > WIRE_MAX_PAUSE_US)
        return false;
    for (unsigned i = 0; i < 3; i++)
        if (command->mask & WIRE_CONFIG_THRESHOLDS && command->thresholds[i] > INT32_MAX)
            return false;
    return true;
}

int agent_command_fault(const struct wire_command *command)
{
    bool valid;
    switch (command->kind) {
    case WIRE_COMMAND_COLLECT:
        valid = command->generation >= 0 && command->generation <= 2;
        break;
    case WIRE_COMMAND_CONFIG:
        valid = config_valid(command);
        break;
    case WIRE_COMMAND_OBJECTS:
        valid = command->generation >= WIRE_ANY_GENERATION && command->generation <= WIRE_FROZEN_GENERATION;
        break;
    case WIRE_COMMAND_SNAPSHOT:
        valid = command->mode <= WIRE_SNAPSHOT_SLICES && command->force <= 1;
        break;
    case WIRE_COMMAND_FREEZE:
    case WIRE_COMMAND_UNFREEZE:
    case WIRE_COMMAND_GARBAGE:
    case WIRE_COMMAND_GARBAGE_CLEAR:
    case WIRE_COMMAND_REFERRERS:
    case WIRE_COMMAND_CYCLES:
    case WIRE_COMMAND_CANDIDATES:
    case WIRE_COMMAND_FIND:
        valid = true;
        break;
    default:
        return TALLY_EUNSUPPORTED;
    }
    if (wire_command_lists(command->kind))
        valid &= command->limit >= 1 && command->limit <= WIRE_ROWS_MAX;
    return valid ? 0 : TALLY_EINVAL;
}
