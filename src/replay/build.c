/* Commands that make objects and move references. */
#include "replay/command.h"

static enum reason memory_unless(bool done)
{
    return done ? REASON_NONE : REASON_MEMORY;
}

/* ---- new --------------------------------------------------------------- */

struct new_options {
    bool atom, seen_kind, seen_size, seen_fin;
    struct object_options object;
};

/* One of kind=node|atom, size=N, fin[=ACTIONS]. */
static enum reason parse_new_option(struct world *world, struct word word, struct new_options *options)
{
    struct word value;
    bool equals = word_cut(&word, '=', &value);
    if (word_is(word, "kind") && !options->seen_kind) {
        options->seen_kind = true;
        options->atom = word_is(value, "atom");
        return options->atom || word_is(value, "node") ? REASON_NONE : REASON_BAD_SYNTAX;
    }
    if (word_is(word, "size") && equals && !options->seen_size) {
        options->seen_size = true;
        uint64_t bytes = 0;
        enum reason reason = lex_number(value, 0, COUNT_MAX, &bytes);
        options->object.payload_bytes = (size_t)bytes;
        return reason;
    }
    if (word_is(word, "fin") && (value.length || !equals) && !options->seen_fin) {
        options->seen_fin = options->object.final = true;
        return equals ? actions_parse(&world->names, value, false, &options->object.actions) : REASON_NONE;
    }
    return REASON_BAD_SYNTAX;
}

enum reason command_new(struct world *world, const struct word *args, size_t count)
{
    struct name *name;
    struct new_options options = {.atom = false};
    enum reason reason = world_target(world, args[0], &name);
    for (size_t i = 1; i < count && !reason; i++)
        reason = parse_new_option(world, args[i], &options);
    if (!reason && options.atom && options.object.actions)
        reason = REASON_BAD_SYNTAX;
    if (!reason)
        reason = world_charge(world, options.object.payload_bytes / 16);
    if (reason) {
        actions_free(options.object.actions);
        return reason;
    }
    void *object = options.atom ? (void *)object_new_atom(world, name, &options.object)
                                : (void *)object_new_node(world, name, &options.object);
    if (!object)
        return REASON_MEMORY;
    root_bind_steal(&world->names, name, object);
    return REASON_NONE;
}

/* ---- weak -------------------------------------------------------------- */

struct weak_options {
    bool callback;
    struct actions *actions;
    struct node *hold;
};

static enum reason parse_weak_option(struct world *world, struct word word, struct weak_options *options)
{
    struct word value;
    bool equals = word_cut(&word, '=', &value);
    if (word_is(word, "callback") && !options->callback) {
        options->callback = true;
        return equals ? actions_parse(&world->names, value, true, &options->actions) : REASON_NONE;
    }
    if (word_is(word, "hold") && equals && options->callback && !options->hold)
        return world_node(world, value, &options->hold);
    return REASON_BAD_SYNTAX;
}

enum reason command_weak(struct world *world, const struct word *args, size_t count)
{
    struct name *name;
    struct node *target;
    struct weak_options options = {.callback = false};
    enum reason reason = world_target(world, args[0], &name);
    if (!reason)
        reason = world_node(world, args[2], &target);
    for (size_t i = 3; i < count && !reason; i++)
        reason = parse_weak_option(world, args[i], &options);
    if (reason) {
        actions_free(options.actions);
        return reason;
    }
    tally_incref(target);
    tally_dup(options.hold);
    struct weak *weak =
        object_new_weak(world, name, target, options.callback, options.actions, options.hold);
    if (weak)
        root_bind_steal(&world->names, name, weak);
    tally_decref(target);
    if (options.hold)
        tally_decref(options.hold);
    return memory_unless(weak);
}

/* ---- Roots ------------------------------------------------------------- */

enum reason command_let(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct name *name, *source;
    enum reason reason = world_target(world, args[0], &name);
    if (!reason)
        reason = world_root(world, args[2], &source);
    if (!reason)
        root_bind(&world->names, name, source->object);
    return reason;
}

enum reason command_drop(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct word word = args[0];
    if (word.text[word.length - 1] == '*') {
        word.length--;
        if (!lex_is_start(word))
            return REASON_BAD_NAME;
        return memory_unless(roots_drop_matching(&world->names, word));
    }
    struct name *name;
    enum reason reason = world_root(world, word, &name);
    if (!reason)
        root_drop(&world->names, name);
    return reason;
}

enum reason command_lock(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct name *name;
    struct weak *weak;
    enum reason reason = world_target(world, args[0], &name);
    if (!reason)
        reason = world_weak(world, args[2], &weak);
    if (!reason)
        root_bind_steal(&world->names, name, tally_weak_lock(weak));
    return reason;
}

/* ---- Slots ------------------------------------------------------------- */

static enum reason charge_growth(struct world *world, const struct node *node, size_t slot)
{
    return slot < node->length ? REASON_NONE : world_charge(world, (slot - node->length) / 2);
}

enum reason command_set(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    size_t slot;
    enum reason reason = world_place(world, args[0], &node, &slot);
    if (!reason && word_is(args[2], "nil")) {
        node_clear(node, slot);
        return REASON_NONE;
    }
    struct name *source;
    if (!reason)
        reason = world_root(world, args[2], &source);
    if (!reason)
        reason = charge_growth(world, node, slot);
    return reason ? reason : memory_unless(node_set(node, slot, source->object));
}

enum reason command_append(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    struct name *source;
    enum reason reason = world_node(world, args[0], &node);
    if (!reason)
        reason = world_root(world, args[2], &source);
    return reason ? reason : memory_unless(node_append(node, source->object));
}

enum reason command_empty(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    enum reason reason = world_node(world, args[0], &node);
    if (!reason)
        node_empty(node);
    return reason;
}

enum reason command_get(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct name *name;
    struct node *node;
    size_t slot;
    enum reason reason = world_target(world, args[0], &name);
    if (!reason)
        reason = world_place(world, args[2], &node, &slot);
    if (!reason)
        root_bind(&world->names, name, node_get(node, slot));
    return reason;
}
