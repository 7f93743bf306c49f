/* Commands that make or change whole graphs. A graph's nodes are P[0], P[1], ... in the order of making. */
#include <stdlib.h>

#include "replay/command.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static struct name *name_at(struct world *world, struct word prefix, uint64_t index)
{
    return names_intern(&world->names, &(struct spelling){prefix, index});
}

static struct node *new_at(struct world *world, struct word prefix, uint64_t index, bool final)
{
    struct name *name = name_at(world, prefix, index);
    return name ? object_new_node(world, name, &(struct object_options){.final = final}) : NULL;
}

/* Binds P[0] to the graph's first node and gives up the caller's reference; NULL: the making has failed. */
static enum reason bind_first(struct world *world, struct word prefix, struct node *first)
{
    struct name *name = first ? name_at(world, prefix, 0) : NULL;
    if (name)
        root_bind_steal(&world->names, name, first);
    else if (first)
        tally_decref(first);
    return name ? REASON_NONE : REASON_MEMORY;
}

/* P N */
static enum reason parse_graph(const struct word *args, struct word *prefix, uint64_t *nodes)
{
    enum reason reason = lex_prefix(args[0], prefix);
    return reason ? reason : lex_number(args[1], 1, COUNT_MAX, nodes);
}

/* ---- chain, ring, dlist ------------------------------------------------ */

enum shape { SHAPE_CHAIN, SHAPE_RING, SHAPE_DLIST };

/* New reference to the first node, or NULL. */
static struct node *make_line(struct world *world, struct word prefix, uint64_t nodes, bool final,
                              enum shape shape)
{
    struct node *first = new_at(world, prefix, 0, final);
    struct node *last = first;
    bool done = first;
    for (uint64_t i = 1; i < nodes && done; i++) {
        struct node *next = new_at(world, prefix, i, final);
        done = next && node_append_steal(last, next);
        if (done && shape == SHAPE_DLIST)
            done = node_append(next, last);
        last = next;
    }
    if (done && shape == SHAPE_RING)
        done = node_append(last, first);
    if (done)
        return first;
    if (first)
        tally_decref(first);
    return NULL;
}

static enum reason command_line(struct world *world, const struct word *args, size_t count, enum shape shape)
{
    struct word prefix;
    uint64_t nodes;
    enum reason reason = parse_graph(args, &prefix, &nodes);
    if (!reason && count > 2 && !word_is(args[2], "fin"))
        reason = REASON_BAD_SYNTAX;
    if (!reason)
        reason = world_charge(world, nodes);
    return reason ? reason : bind_first(world, prefix, make_line(world, prefix, nodes, count > 2, shape));
}

enum reason command_chain(struct world *world, const struct word *args, size_t count)
{
    return command_line(world, args, count, SHAPE_CHAIN);
}

enum reason command_ring(struct world *world, const struct word *args, size_t count)
{
    return command_line(world, args, count, SHAPE_RING);
}

enum reason command_dlist(struct world *world, const struct word *args, size_t count)
{
    return command_line(world, args, count, SHAPE_DLIST);
}

/* ---- tree, random ------------------------------------------------------ */

/* An array of N new nodes, one reference each; NULL: no memory. */
static struct node **make_nodes(struct world *world, struct word prefix, uint64_t count)
{
    struct node **nodes = calloc(count, sizeof(struct node *));
    for (uint64_t i = 0; nodes && i < count; i++) {
        nodes[i] = new_at(world, prefix, i, false);
        if (nodes[i])
            continue;
        while (i-- > 0)
            tally_decref(nodes[i]);
        free(nodes);
        return NULL;
    }
    return nodes;
}

static void release_nodes(struct node **nodes, uint64_t count)
{
    while (count-- > 0)
        tally_decref(nodes[count]);
    free(nodes);
}

enum reason command_tree(struct world *world, const struct word *args, size_t count)
{
    struct word prefix;
    uint64_t total, fan;
    enum reason reason = parse_graph(args, &prefix, &total);
    if (!reason)
        reason = lex_number(args[2], 1, COUNT_MAX, &fan);
    if (!reason && count > 3 && !word_is(args[3], "parents"))
        reason = REASON_BAD_SYNTAX;
    if (!reason)
        reason = world_charge(world, total);
    if (reason)
        return reason;
    struct node **nodes = make_nodes(world, prefix, total);
    if (!nodes)
        return REASON_MEMORY;
    bool done = true;
    for (uint64_t i = 1; i < total && done; i++)
        done = node_append(nodes[(i - 1) / fan], nodes[i]);
    for (uint64_t i = 1; i < total && done && count > 3; i++)
        done = node_append(nodes[i], nodes[(i - 1) / fan]);
    if (done)
        reason = bind_first(world, prefix, tally_dup(nodes[0]));
    release_nodes(nodes, total);
    return done ? reason : REASON_MEMORY;
}

struct random_graph {
    struct word prefix;
    uint64_t total, edges, seed, roots;
};

static enum reason parse_random(struct world *world, const struct word *args, size_t count,
                                struct random_graph *graph)
{
    enum reason reason = parse_graph(args, &graph->prefix, &graph->total);
    if (!reason)
        reason = lex_number(args[2], 0, COUNT_MAX, &graph->edges);
    if (!reason)
        reason = lex_number(args[3], 0, UINT64_MAX, &graph->seed);
    graph->roots = graph->total;
    if (!reason && count > 4)
        reason = lex_number(args[4], 0, graph->total, &graph->roots);
    return reason ? reason : world_charge(world, graph->total + graph->edges);
}

enum reason command_random(struct world *world, const struct word *args, size_t count)
{
    struct random_graph graph = {.total = 0};
    enum reason reason = parse_random(world, args, count, &graph);
    if (reason)
        return reason;
    struct node **nodes = make_nodes(world, graph.prefix, graph.total);
    if (!nodes)
        return REASON_MEMORY;
    bool done = true;
    for (uint64_t i = 0; i < graph.edges && done; i++) {
        struct node *from = nodes[splitmix64(&graph.seed) % graph.total];
        done = node_append(from, nodes[splitmix64(&graph.seed) % graph.total]);
    }
    for (uint64_t i = 0; i < graph.roots && done; i++) {
        struct name *name = name_at(world, graph.prefix, i);
        done = name;
        if (done)
            root_bind(&world->names, name, nodes[i]);
    }
    release_nodes(nodes, graph.total);
    return done ? REASON_NONE : REASON_MEMORY;
}

/* ---- rewire ------------------------------------------------------------ */

/* Finalizers may have bound a root to something else by now: then there is nothing to rewire. */
static bool rewire_once(struct name **names, uint64_t total, uint64_t *state)
{
    struct node *node = as_node(names[splitmix64(state) % total]->object);
    size_t slot = (size_t)(splitmix64(state) % 4);
    uint64_t target = splitmix64(state) % (total + 1);
    if (!node)
        return true;
    if (target < total)
        return node_set(node, slot, names[target]->object);
    node_clear(node, slot);
    return true;
}

/* P[0]..P[N-1], each bound to a node; *names is the caller's to free, also on failure. */
static enum reason find_roots(struct world *world, struct word prefix, uint64_t total, struct name ***names)
{
    *names = NULL;
    for (uint64_t i = 0; i < total; i++) {
        struct name *name = names_find(&world->names, &(struct spelling){prefix, i});
        if (!name || !name->bound)
            return REASON_UNKNOWN_NAME;
        if (!name->object)
            return REASON_NIL;
        if (!as_node(name->object))
            return REASON_NOT_A_NODE;
        if (!*names)
            *names = malloc(total * sizeof(struct name *));
        if (!*names)
            return REASON_MEMORY;
        (*names)[i] = name;
    }
    return REASON_NONE;
}

enum reason command_rewire(struct world *world, const struct word *args, size_t count)
{
    (void)count;
    struct word prefix;
    uint64_t total, times, state;
    enum reason reason = parse_graph(args, &prefix, &total);
    if (!reason)
        reason = lex_number(args[2], 0, COUNT_MAX, &times);
    if (!reason)
        reason = lex_number(args[3], 0, UINT64_MAX, &state);
    if (reason)
        return reason;
    struct name **names;
    reason = find_roots(world, prefix, total, &names);
    if (!reason)
        reason = world_charge(world, times);
    for (uint64_t i = 0; i < times && !reason; i++)
        reason = rewire_once(names, total, &state) ? REASON_NONE : REASON_MEMORY;
    free(names);
    return reason;
}
