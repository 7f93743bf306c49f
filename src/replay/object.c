#include "replay/object.h"

#include <stdlib.h>

#include "replay/world.h"

enum kind { KIND_NODE, KIND_FINAL_NODE, KIND_ATOM, KIND_FINAL_ATOM, KIND_WEAK, KIND_COUNT };

static const struct tally_type *types[KIND_COUNT]; /* set once, before the first heap */

static bool is_of(const void *object, enum kind kind)
{
    return tally_type_of(object) == types[kind];
}

struct node *as_node(void *object)
{
    return object && (is_of(object, KIND_NODE) || is_of(object, KIND_FINAL_NODE)) ? object : NULL;
}

struct weak *as_weak(void *object)
{
    return object && is_of(object, KIND_WEAK) ? object : NULL;
}

const struct label *label_of(const void *object)
{
    if (is_of(object, KIND_WEAK))
        return &((const struct weak *)object)->label;
    return object; /* nodes and atoms begin with theirs */
}

_Static_assert(offsetof(struct node, label) == 0 && offsetof(struct final_node, node) == 0 &&
                   offsetof(struct atom, label) == 0 && offsetof(struct weak, weak) == 0,
               "label_of(), the casts between nodes, and libtally rely on it");

/* ---- What libtally calls ----------------------------------------------- */

static void finalize_node(struct tally_heap *heap, void *object)
{
    struct world *world = tally_heap_user(heap);
    struct final_node *node = object;
    if (world->over || !node->node.label.name)
        return;
    event_finalize(&world->events, &node->node.label);
    actions_run(node->actions, world, node);
}

static void finalize_atom(struct tally_heap *heap, void *object)
{
    struct world *world = tally_heap_user(heap);
    const struct atom *atom = object;
    if (!world->over && atom->label.name)
        event_finalize(&world->events, &atom->label);
}

static void call_back(struct tally_heap *heap, void *object, void *hold)
{
    struct world *world = tally_heap_user(heap);
    struct weak *weak = object;
    (void)hold;
    if (world->over || !weak->label.name)
        return;
    event_callback(&world->events, &weak->label);
    actions_run(weak->actions, world, weak);
}

static void dispose_node(void *object)
{
    struct node *node = object;
    free(node->slots);
    label_end(&node->label);
}

static void dispose_final_node(void *object)
{
    actions_free(((struct final_node *)object)->actions);
    dispose_node(object);
}

static void dispose_atom(void *object)
{
    label_end(&((struct atom *)object)->label);
}

static void dispose_weak(void *object)
{
    struct weak *weak = object;
    actions_free(weak->actions);
    label_end(&weak->label);
}

#define NODE_LAYOUT \
    .trailing = TALLY_TRAILING_BYTES, .trailing_element_bytes = 1, \
    .trailing_length_offset = offsetof(struct node, payload_bytes), .has_external = true, \
    .external_pointer_offset = offsetof(struct node, slots), \
    .external_length_offset = offsetof(struct node, length), .external_name = "slot"
#define ATOM_LAYOUT \
    .size = sizeof(struct atom), .trailing = TALLY_TRAILING_BYTES, .trailing_element_bytes = 1, \
    .trailing_length_offset = offsetof(struct atom, payload_bytes), .dispose = dispose_atom

int object_types_init(void)
{
    static const struct tally_type_info infos[KIND_COUNT] = {
        [KIND_NODE] = {.name = "node", .size = sizeof(struct node), NODE_LAYOUT, .dispose = dispose_node},
        [KIND_FINAL_NODE] = {.name = "node with finalizer", .size = sizeof(struct final_node), NODE_LAYOUT,
                             .finalize = finalize_node, .dispose = dispose_final_node},
        [KIND_ATOM] = {.name = "atom", ATOM_LAYOUT},
        [KIND_FINAL_ATOM] = {.name = "atom with finalizer", ATOM_LAYOUT, .finalize = finalize_atom},
        [KIND_WEAK] = {.name = "weak reference", .size = sizeof(struct weak), .flags = TALLY_TYPE_WEAK,
                       .dispose = dispose_weak},
    };
    for (size_t i = 0; i < KIND_COUNT; i++) {
        int error = types[i] ? 0 : tally_type_register(&infos[i], &types[i]);
        if (error)
            return error;
    }
    return 0;
}

/* ---- Making ------------------------------------------------------------ */

static const struct object_options no_options;

struct node *object_new_node(struct world *world, struct name *name, const struct object_options *options)
{
    options = options ? options : &no_options;
    enum kind kind = options->final ? KIND_FINAL_NODE : KIND_NODE;
    struct node *node = tally_new_array(world->heap, types[kind], options->payload_bytes);
    if (!node) {
        actions_free(options->actions);
        return NULL;
    }
    if (options->final)
        ((struct final_node *)node)->actions = options->actions;
    if (label_take(&node->label, name))
        return node;
    tally_decref(node);
    return NULL;
}

struct atom *object_new_atom(struct world *world, struct name *name, const struct object_options *options)
{
    enum kind kind = options->final ? KIND_FINAL_ATOM : KIND_ATOM;
    struct atom *atom = tally_new_array(world->heap, types[kind], options->payload_bytes);
    if (!atom || label_take(&atom->label, name))
        return atom;
    tally_decref(atom);
    return NULL;
}

struct weak *object_new_weak(struct world *world, struct name *name, struct node *target, bool callback,
                             struct actions *actions, struct node *hold)
{
    tally_weak_fn fn = callback ? call_back : NULL;
    struct weak *weak = tally_weak_new(world->heap, types[KIND_WEAK], target, fn, hold);
    if (!weak) {
        actions_free(actions);
        return NULL;
    }
    weak->actions = actions;
    if (label_take(&weak->label, name))
        return weak;
    tally_decref(weak);
    return NULL;
}

/* ---- Slots ------------------------------------------------------------- */

static size_t room_for(size_t length)
{
    return length <= 2 ? 2 * (length > 0) : (size_t)1 << (64 - __builtin_clzll(length - 1));
}

static bool grow(struct node *node, size_t length)
{
    size_t room = room_for(length);
    if (room > room_for(node->length)) {
        void **slots = realloc(node->slots, room * sizeof *slots);
        if (!slots)
            return false;
        node->slots = slots;
    }
    for (size_t i = node->length; i < length; i++)
        node->slots[i] = NULL;
    node->length = length;
    return true;
}

/* Whatever the release of the old value sets off may move or drop this very slot and drop the node. */
static void replace(struct node *node, size_t slot, void *value)
{
    if (!node->slots[slot]) {
        tally_store(node, &node->slots[slot], value);
        return;
    }
    tally_incref(node);
    tally_dup(value);
    tally_store(node, &node->slots[slot], value);
    if (value)
        tally_decref(value);
    tally_decref(node);
}

void *node_get(const struct node *node, size_t slot)
{
    return slot < node->length ? node->slots[slot] : NULL;
}

bool node_set(struct node *node, size_t slot, void *value)
{
    if (slot >= node->length && !grow(node, slot + 1))
        return false;
    replace(node, slot, value);
    return true;
}

void node_clear(struct node *node, size_t slot)
{
    if (slot < node->length)
        replace(node, slot, NULL);
}

bool node_append(struct node *node, void *value)
{
    return node_append_steal(node, tally_dup(value));
}

bool node_append_steal(struct node *node, void *value)
{
    if (grow(node, node->length + 1)) {
        tally_store_steal(node, &node->slots[node->length - 1], value);
        return true;
    }
    if (value)
        tally_decref(value);
    return false;
}

/* The references leave the slots all at once, and are released from the last to the first, as CPython's
 * list.clear() does; what that sets off finds an empty node. */
void node_empty(struct node *node)
{
    void **held = node->slots;
    size_t length = node->length;
    for (size_t i = 0; i < length; i++)
        held[i] = tally_take(node, &held[i]);
    node->slots = NULL;
    node->length = 0;
    tally_incref(node);
    while (length-- > 0)
        if (held[length])
            tally_decref(held[length]);
    free(held);
    tally_decref(node);
}
