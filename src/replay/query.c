/* Commands that print something about objects and change nothing. */
#include "replay/command.h"
#include "replay/print.h"

enum reason command_refcount(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    void *object;
    enum reason reason = world_object(world, args[0], &object);
    if (!reason)
        print_number(world, "refcount", args[0], tally_refcount(object));
    return reason;
}

enum reason command_weakcount(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    enum reason reason = world_node(world, args[0], &node);
    if (!reason)
        print_number(world, "weakcount", args[0], tally_weak_count(node));
    return reason;
}

enum reason command_label(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct name *name;
    enum reason reason = world_root(world, args[0], &name);
    return reason ? reason : print_label(world, "label", args[0], name->object);
}

enum reason command_show(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    size_t slot;
    enum reason reason = world_place(world, args[0], &node, &slot);
    return reason ? reason : print_label(world, "show", args[0], node_get(node, slot));
}

enum reason command_slots(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    enum reason reason = world_node(world, args[0], &node);
    if (!reason)
        print_number(world, "slots", args[0], node->length);
    return reason;
}

enum reason command_deref(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct weak *weak;
    enum reason reason = world_weak(world, args[0], &weak);
    if (reason)
        return reason;
    void *found = tally_weak_lock(weak);
    reason = print_label(world, "deref", args[0], found);
    if (found)
        tally_decref(found);
    return reason;
}

enum reason command_alive(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    bool alive;
    enum reason reason = label_alive(&world->names, args[0], &alive);
    if (!reason)
        print_string(world, "alive", args[0], yes_no(alive));
    return reason;
}

enum reason command_live(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    (void)args;
    fprintf(world->out, "live %llu\n", (unsigned long long)world->names.live);
    return REASON_NONE;
}

enum reason command_livebelow(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    uint64_t bound;
    enum reason reason = lex_number(args[0], 0, COUNT_MAX, &bound);
    if (!reason)
        print_string(world, "livebelow", args[0], yes_no(world->names.live < bound));
    return reason;
}

enum reason command_tracked(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    void *object;
    enum reason reason = world_object(world, args[0], &object);
    if (!reason)
        print_string(world, "tracked", args[0], yes_no(tally_is_tracked(object)));
    return reason;
}

enum reason command_finalized(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    enum reason reason = world_node(world, args[0], &node);
    if (!reason)
        print_string(world, "finalized", args[0], yes_no(tally_is_finalized(node)));
    return reason;
}

enum reason command_referents(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    void *object;
    enum reason reason = world_object(world, args[0], &object);
    if (reason)
        return reason;
    struct text labels = {.length = 0};
    tally_referents(object, labels_add, &labels);
    return print_labels(world, "referents", &args[0], &labels);
}

enum reason command_referrers(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    void *object;
    enum reason reason = world_object(world, args[0], &object);
    if (reason)
        return reason;
    struct text labels = {.length = 0};
    tally_referrers(world->heap, object, labels_add, &labels);
    return print_labels(world, "referrers", &args[0], &labels);
}

enum reason command_generation(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct node *node;
    enum reason reason = world_node(world, args[0], &node);
    if (reason)
        return reason;
    int generation = tally_generation(node);
    if (generation == TALLY_GENERATION_FROZEN)
        print_string(world, "generation", args[0], "frozen");
    else
        print_number(world, "generation", args[0], (uint64_t)generation);
    return REASON_NONE;
}
