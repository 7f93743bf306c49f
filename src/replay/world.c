#include "replay/world.h"

/* What the library has to say about this program is a fault of one of the two. */
static void on_report(struct tally_heap *heap, const struct tally_report *report, void *arg)
{
    (void)heap;
    struct world *world = arg;
    if (report->kind < TALLY_REPORT_DECREF)
        return;
    fprintf(world->err, "tally-replay: %s\n", report->sentence);
    world->fault = REASON_HEAP;
}

int world_init(struct world *world, const struct replay_options *options)
{
    *world = (struct world){
        .out = options->out, .err = options->err, .work_left = options->work ? options->work : UINT64_MAX};
    int error = object_types_init();
    if (!error)
        error =
            tally_heap_new(TALLY_ABI,
                           &(struct tally_heap_options){
                               .user = world,
                               .manager = options->manager ? options->manager : TALLY_MANAGER_GENERATIONAL,
                               .max_pause_us = options->max_pause_us},
                           &world->heap);
    if (!error) {
        tally_set_report(world->heap, on_report, world);
        tally_disable(world->heap);
    }
    return error;
}

void world_fini(struct world *world)
{
    world->over = true;
    if (world->heap) {
        while (world->names.newest)
            root_drop(&world->names, world->names.newest);
    }
    tally_heap_free(world->heap);
    text_free(&world->events.text);
    names_free(&world->names);
}

enum reason world_charge(struct world *world, uint64_t work)
{
    if (world->work_left == UINT64_MAX)
        return REASON_NONE;
    if (work > world->work_left)
        return REASON_WORK;
    world->work_left -= work;
    return REASON_NONE;
}

enum reason world_target(struct world *world, struct word word, struct name **name)
{
    struct spelling spelling;
    enum reason reason = lex_name(word, &spelling);
    if (reason)
        return reason;
    *name = names_intern(&world->names, &spelling);
    return *name ? REASON_NONE : REASON_MEMORY;
}

enum reason world_root(struct world *world, struct word word, struct name **name)
{
    struct spelling spelling;
    enum reason reason = lex_name(word, &spelling);
    if (reason)
        return reason;
    *name = names_find(&world->names, &spelling);
    return *name && (*name)->bound ? REASON_NONE : REASON_UNKNOWN_NAME;
}

enum reason world_object(struct world *world, struct word word, void **object)
{
    struct name *name;
    enum reason reason = world_root(world, word, &name);
    if (reason)
        return reason;
    *object = name->object;
    return *object ? REASON_NONE : REASON_NIL;
}

enum reason world_node(struct world *world, struct word word, struct node **node)
{
    void *object;
    enum reason reason = world_object(world, word, &object);
    if (reason)
        return reason;
    *node = as_node(object);
    return *node ? REASON_NONE : REASON_NOT_A_NODE;
}

enum reason world_weak(struct world *world, struct word word, struct weak **weak)
{
    void *object;
    enum reason reason = world_object(world, word, &object);
    if (reason)
        return reason;
    *weak = as_weak(object);
    return *weak ? REASON_NONE : REASON_NOT_A_WEAK;
}

enum reason world_place(struct world *world, struct word word, struct node **node, size_t *slot)
{
    struct place place;
    enum reason reason = lex_place(word, &place);
    if (reason)
        return reason;
    *slot = place.slot;
    return world_node(world, place.head, node);
}
