#include "replay/action.h"

#include <stdlib.h>

#include "replay/world.h"

enum verb { VERB_KEEP, VERB_DROP, VERB_PUT, VERB_CLEAR, VERB_NEW, VERB_CYCLE, VERB_DEREF, VERB_COLLECT };
enum operand { OPERAND_NAME, OPERAND_PLACE, OPERAND_SLOT, OPERAND_NONE };

static const struct {
    const char *word;
    enum operand operand;
} verbs[] = {
    [VERB_KEEP] = {"keep", OPERAND_NAME},     [VERB_DROP] = {"drop", OPERAND_NAME},
    [VERB_PUT] = {"put", OPERAND_PLACE},      [VERB_CLEAR] = {"clear", OPERAND_SLOT},
    [VERB_NEW] = {"new", OPERAND_NAME},       [VERB_CYCLE] = {"cycle", OPERAND_NAME},
    [VERB_DEREF] = {"deref", OPERAND_NAME},   [VERB_COLLECT] = {"collect", OPERAND_NONE},
};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

struct action {
    enum verb verb;
    struct name *name;
    size_t slot;
};

struct actions {
    size_t count;
    struct action list[];
};

static enum reason parse_operand(struct names *names, enum operand kind, struct word word,
                                 struct action *action)
{
    struct place place = {.slot = 0};
    uint64_t slot = 0;
    enum reason reason = REASON_NONE;
    if (kind == OPERAND_SLOT)
        reason = lex_number(word, 0, SLOT_MAX, &slot);
    else if (kind == OPERAND_PLACE)
        reason = lex_place(word, &place);
    else if (kind == OPERAND_NAME)
        reason = lex_name(word, &place.name);
    action->slot = kind == OPERAND_SLOT ? (size_t)slot : place.slot;
    if (reason || kind == OPERAND_SLOT || kind == OPERAND_NONE)
        return reason;
    action->name = names_intern(names, &place.name);
    return action->name ? REASON_NONE : REASON_MEMORY;
}

static enum reason parse_action(struct names *names, struct word word, bool callback, struct action *action)
{
    struct word operand;
    bool colon = word_cut(&word, ':', &operand);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (!word_is(word, verbs[i].word))
            continue;
        if (colon != (verbs[i].operand != OPERAND_NONE) || (callback && i == VERB_CLEAR))
            return REASON_BAD_SYNTAX;
        *action = (struct action){.verb = (enum verb)i};
        return parse_operand(names, verbs[i].operand, operand, action);
    }
    return REASON_BAD_SYNTAX;
}

enum reason actions_parse(struct names *names, struct word word, bool callback, struct actions **out)
{
    size_t count = 1;
    for (size_t i = 0; i < word.length; i++)
        count += word.text[i] == '+';
    struct actions *actions = malloc(sizeof *actions + count * sizeof actions->list[0]);
    if (!actions)
        return REASON_MEMORY;
    actions->count = count;
    for (size_t i = 0; i < count; i++) {
        struct word rest;
        word_cut(&word, '+', &rest);
        enum reason reason = parse_action(names, word, callback, &actions->list[i]);
        if (reason) {
            free(actions);
            return reason;
        }
        word = rest;
    }
    *out = actions;
    return REASON_NONE;
}

void actions_free(struct actions *actions)
{
    free(actions);
}

/* ---- Running ----------------------------------------------------------- */

static bool act_put(struct name *name, size_t slot, void *self)
{
    struct node *home = as_node(name->object);
    return !home || node_set(home, slot, self);
}

static bool act_new(struct world *world, struct name *name)
{
    struct node *node = object_new_node(world, name, NULL);
    if (node)
        root_bind_steal(&world->names, name, node);
    return node;
}

static bool act_cycle(struct world *world, struct name *name)
{
    struct node *node = object_new_node(world, name, NULL);
    bool done = node && node_append(node, node);
    if (node)
        tally_decref(node);
    return done;
}

static void act_deref(struct world *world, struct name *name, void *self)
{
    struct weak *weak = as_weak(name->object);
    if (!weak)
        return;
    void *found = tally_weak_lock(weak);
    event_deref(&world->events, label_of(self), name, found ? label_of(found) : NULL);
    if (found)
        tally_decref(found);
}

static void act(const struct action *action, struct world *world, void *self)
{
    struct name *name = action->name;
    bool done = true;
    switch (action->verb) {
    case VERB_KEEP:
        root_bind(&world->names, name, self);
        break;
    case VERB_DROP:
        if (name->bound)
            root_drop(&world->names, name);
        break;
    case VERB_PUT:
        done = act_put(name, action->slot, self);
        break;
    case VERB_CLEAR:
        node_clear(self, action->slot);
        break;
    case VERB_NEW:
        done = act_new(world, name);
        break;
    case VERB_CYCLE:
        done = act_cycle(world, name);
        break;
    case VERB_DEREF:
        act_deref(world, name, self);
        break;
    case VERB_COLLECT:
        event_collected(&world->events, label_of(self), (uint64_t)tally_collect(world->heap, 2));
        break;
    }
    if (!done)
        world->fault = REASON_MEMORY;
}

void actions_run(const struct actions *actions, struct world *world, void *self)
{
    for (size_t i = 0; actions && i < actions->count; i++)
        act(&actions->list[i], world, self);
}
