/* Lists and vectors: making them, and walking along them. A list is made from its end: what is stored into an
 * object that nothing refers to yet cannot close a cycle, and the collector need not look at it. */
#include "mal/mal.h"

static void drop(void *value)
{
    if (value)
        tally_decref(value);
}

void *mal_cons_steal(struct mal *mal, void *first, void *rest)
{
    struct list *list = first && rest ? mal_new(mal, MAL_LIST) : NULL;
    if (!list) {
        drop(first);
        drop(rest);
        return NULL;
    }
    tally_store_steal(list, &list->first, first);
    tally_store_steal(list, &list->rest, rest);
    return list;
}

void *mal_list_of(struct mal *mal, void **items, size_t count)
{
    void *list = tally_dup(mal->empty);
    while (count > 0 && list)
        list = mal_cons_steal(mal, tally_dup(items[--count]), list);
    return list;
}

struct walk mal_walk(const void *sequence)
{
    const struct vector *vector = sequence;
    if (mal_is_list(sequence))
        return (struct walk){.list = sequence};
    if (mal_kind(sequence) == MAL_VECTOR)
        return (struct walk){.at = vector->items, .end = vector->items + vector->length};
    return (struct walk){.list = NULL};
}

size_t mal_length(const void *sequence)
{
    size_t length = 0;
    if (mal_kind(sequence) == MAL_VECTOR)
        return ((const struct vector *)sequence)->length;
    if (mal_is_list(sequence))
        for (const struct list *list = sequence; !mal_is_empty(list); list = list->rest)
            length++;
    return length;
}

void *mal_vector_of(struct mal *mal, void *sequence)
{
    if (mal_kind(sequence) == MAL_VECTOR)
        return tally_dup(sequence);
    struct vector *vector = mal_new_array(mal, MAL_VECTOR, mal_length(sequence));
    struct walk walk = mal_walk(sequence);
    for (size_t i = 0; vector && i < vector->length; i++)
        tally_store(vector, &vector->items[i], mal_next(&walk));
    return vector;
}

bool mal_args_open(struct mal *mal, struct args *args, size_t room)
{
    args->count = args->owned = 0;
    args->many = NULL;
    args->items = args->few;
    if (room <= MAL_ARGS_FEW)
        return true;
    args->many = mal_new_array(mal, MAL_VECTOR, room);
    if (args->many)
        args->items = args->many->items;
    return args->many;
}

void mal_args_close(struct args *args)
{
    if (args->many)
        tally_decref(args->many);
    else
        while (args->owned > 0)
            tally_decref(args->few[--args->owned]);
}

void mal_args_push_steal(struct args *args, void *value)
{
    if (args->many)
        tally_store_steal(args->many, &args->many->items[args->count], value);
    else
        args->few[args->count] = value;
    args->owned = ++args->count;
}

void *mal_args_list(struct mal *mal, struct args *args, void *rest)
{
    while (args->count > 0 && rest) {
        args->owned = --args->count;
        void *item = args->many ? tally_take(args->many, &args->many->items[args->count])
                                : args->few[args->count];
        rest = mal_cons_steal(mal, item, rest);
    }
    return rest;
}
