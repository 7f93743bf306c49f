/* Lists, vectors and maps. */
#include <string.h>

#include "mal/mal.h"

static void *needs(struct mal *mal, const char *word, const char *what)
{
    return mal_throw(mal, "%s: %s is needed", word, what);
}

void *mal_list(struct mal *mal, void **args, size_t count)
{
    return mal_list_of(mal, args, count);
}

void *mal_vector(struct mal *mal, void **args, size_t count)
{
    struct vector *vector = mal_new_array(mal, MAL_VECTOR, count);
    for (size_t i = 0; i < count && vector; i++)
        tally_store(vector, &vector->items[i], args[i]);
    return vector;
}

void *mal_vec(struct mal *mal, void **args, size_t count)
{
    (void)count;
    if (!mal_is_sequence(args[0]) && args[0] != mal->nil)
        return needs(mal, "vec", "a sequence");
    return mal_vector_of(mal, args[0]);
}

/* A list with the items of a sequence or nil; throws for anything else. */
static void *as_list(struct mal *mal, void *sequence, const char *word)
{
    if (mal_is_list(sequence))
        return tally_dup(sequence);
    if (sequence == mal->nil)
        return tally_dup(mal->empty);
    if (mal_kind(sequence) != MAL_VECTOR)
        return needs(mal, word, "a sequence");
    return mal_list_of(mal, ((struct vector *)sequence)->items, ((struct vector *)sequence)->length);
}

void *mal_cons(struct mal *mal, void **args, size_t count)
{
    (void)count;
    void *rest = as_list(mal, args[1], "cons");
    return rest ? mal_cons_steal(mal, tally_dup(args[0]), rest) : NULL;
}

/* Items of a sequence in front of a list, which is stolen. */
static void *in_front(struct mal *mal, void *sequence, void *list)
{
    MAL_ARGS items;
    if (!mal_args_open(mal, &items, mal_length(sequence))) {
        tally_decref(list);
        return NULL;
    }
    struct walk walk = mal_walk(sequence);
    for (void *item; (item = mal_next(&walk));)
        mal_args_push_steal(&items, tally_dup(item));
    return mal_args_list(mal, &items, list);
}

void *mal_concat(struct mal *mal, void **args, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!mal_is_sequence(args[i]) && args[i] != mal->nil)
            return needs(mal, "concat", "a sequence");
    void *list = count ? as_list(mal, args[count - 1], "concat") : tally_dup(mal->empty);
    for (size_t i = count ? count - 1 : 0; i-- > 0 && list;)
        list = in_front(mal, args[i], list);
    return list;
}

/* The n-th item, borrowed; NULL: there is none, or value is no sequence. */
static void *nth(void *value, int64_t n)
{
    if (n < 0)
        return NULL;
    if (mal_kind(value) == MAL_VECTOR) {
        struct vector *vector = value;
        return (uint64_t)n < vector->length ? vector->items[n] : NULL;
    }
    if (!mal_is_list(value))
        return NULL;
    const struct list *list = value;
    for (; n > 0 && !mal_is_empty(list); n--)
        list = list->rest;
    return mal_is_empty(list) ? NULL : list->first;
}

void *mal_nth(struct mal *mal, void **args, size_t count)
{
    (void)count;
    if (!mal_is_sequence(args[0]) || mal_kind(args[1]) != MAL_INTEGER)
        return needs(mal, "nth", "a sequence and a number");
    void *item = nth(args[0], ((struct integer *)args[1])->number);
    return item ? tally_dup(item) : mal_throw(mal, "nth: index out of range");
}

void *mal_first(struct mal *mal, void **args, size_t count)
{
    (void)count;
    if (!mal_is_sequence(args[0]) && args[0] != mal->nil)
        return needs(mal, "first", "a sequence");
    void *item = nth(args[0], 0);
    return tally_dup(item ? item : mal->nil);
}

void *mal_rest(struct mal *mal, void **args, size_t count)
{
    (void)count;
    struct list *list = args[0];
    struct vector *vector = args[0];
    if (mal_is_list(list))
        return tally_dup(mal_is_empty(list) ? mal->empty : list->rest);
    if (mal_kind(vector) == MAL_VECTOR && vector->length)
        return mal_list_of(mal, &vector->items[1], vector->length - 1);
    return as_list(mal, vector, "rest");
}

static bool length_of(struct mal *mal, void *value, int64_t *length)
{
    *length = 0;
    if (mal_is_sequence(value) || value == mal->nil)
        *length = (int64_t)mal_length(value);
    else if (mal_kind(value) == MAL_MAP)
        *length = (int64_t)((struct map *)value)->count;
    else if (mal_kind(value) == MAL_STRING)
        *length = (int64_t)((struct string *)value)->length;
    else
        return needs(mal, "count", "a collection");
    return true;
}

void *mal_is_empty_value(struct mal *mal, void **args, size_t count)
{
    (void)count;
    int64_t length = 1;
    if (mal_is_list(args[0]))
        return mal_boolean(mal, mal_is_empty(args[0]));
    return length_of(mal, args[0], &length) ? mal_boolean(mal, !length) : NULL;
}

void *mal_count(struct mal *mal, void **args, size_t count)
{
    (void)count;
    int64_t length;
    return length_of(mal, args[0], &length) ? mal_integer(mal, length) : NULL;
}

void *mal_conj(struct mal *mal, void **args, size_t count)
{
    if (mal_kind(args[0]) == MAL_VECTOR) {
        struct vector *from = args[0];
        struct vector *to = mal_new_array(mal, MAL_VECTOR, from->length + count - 1);
        for (size_t i = 0; to && i < to->length; i++)
            tally_store(to, &to->items[i], i < from->length ? from->items[i] : args[1 + i - from->length]);
        return to;
    }
    void *list = as_list(mal, args[0], "conj");
    for (size_t i = 1; i < count && list; i++)
        list = mal_cons_steal(mal, tally_dup(args[i]), list);
    return list;
}

static void *string_seq(struct mal *mal, const struct string *text)
{
    void *list = tally_dup(mal->empty);
    for (size_t i = text->length; i-- > 0 && list;) {
        void *item = mal_string(mal, &text->bytes[i], 1);
        list = mal_cons_steal(mal, item, list);
    }
    return list;
}

void *mal_seq(struct mal *mal, void **args, size_t count)
{
    (void)count;
    int64_t length;
    if (mal_kind(args[0]) == MAL_MAP || !length_of(mal, args[0], &length))
        return needs(mal, "seq", "a sequence or a string");
    if (!length)
        return tally_dup(mal->nil);
    return mal_kind(args[0]) == MAL_STRING ? string_seq(mal, args[0]) : as_list(mal, args[0], "seq");
}

void *mal_apply_to(struct mal *mal, void **args, size_t count)
{
    if (!mal_is_sequence(args[count - 1]) && args[count - 1] != mal->nil)
        return needs(mal, "apply", "a sequence");
    MAL_ARGS all;
    if (!mal_args_open(mal, &all, count - 2 + mal_length(args[count - 1])))
        return NULL;
    for (size_t i = 1; i + 1 < count; i++)
        mal_args_push_steal(&all, tally_dup(args[i]));
    struct walk walk = mal_walk(args[count - 1]);
    for (void *item; (item = mal_next(&walk));)
        mal_args_push_steal(&all, tally_dup(item));
    return mal_apply(mal, args[0], all.items, all.count);
}

void *mal_map_over(struct mal *mal, void **args, size_t count)
{
    (void)count;
    if (!mal_is_sequence(args[1]) && args[1] != mal->nil)
        return needs(mal, "map", "a sequence");
    MAL_ARGS results;
    if (!mal_args_open(mal, &results, mal_length(args[1])))
        return NULL;
    struct walk walk = mal_walk(args[1]);
    for (void *item; (item = mal_next(&walk));) {
        void *value = mal_apply(mal, args[0], &item, 1);
        if (!value)
            return NULL;
        mal_args_push_steal(&results, value);
    }
    return mal_args_list(mal, &results, tally_dup(mal->empty));
}

void *mal_hash_map(struct mal *mal, void **args, size_t count)
{
    return mal_map_of(mal, args, count);
}

void *mal_assoc(struct mal *mal, void **args, size_t count)
{
    if (mal_kind(args[0]) != MAL_MAP)
        return needs(mal, "assoc", "a map");
    return mal_map_with(mal, args[0], args + 1, count - 1);
}

void *mal_dissoc(struct mal *mal, void **args, size_t count)
{
    if (mal_kind(args[0]) != MAL_MAP)
        return needs(mal, "dissoc", "a map");
    return mal_map_without(mal, args[0], args + 1, count - 1);
}

void *mal_get(struct mal *mal, void **args, size_t count)
{
    (void)count;
    if (mal_kind(args[0]) != MAL_MAP && args[0] != mal->nil)
        return needs(mal, "get", "a map");
    void *value = mal_kind(args[0]) == MAL_MAP ? mal_map_get(args[0], args[1]) : NULL;
    return tally_dup(value ? value : mal->nil);
}

void *mal_contains(struct mal *mal, void **args, size_t count)
{
    (void)count;
    if (mal_kind(args[0]) != MAL_MAP && args[0] != mal->nil)
        return needs(mal, "contains?", "a map");
    return mal_boolean(mal, mal_kind(args[0]) == MAL_MAP && mal_map_get(args[0], args[1]));
}

static void *map_side(struct mal *mal, struct map *map, size_t side, const char *word)
{
    if (mal_kind(map) != MAL_MAP)
        return needs(mal, word, "a map");
    void *list = tally_dup(mal->empty);
    for (size_t i = map->length; i > 0 && list; i -= 2)
        if (map->items[i - 2])
            list = mal_cons_steal(mal, tally_dup(map->items[i - 2 + side]), list);
    return list;
}

void *mal_keys(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return map_side(mal, args[0], 0, "keys");
}

void *mal_vals(struct mal *mal, void **args, size_t count)
{
    (void)count;
    return map_side(mal, args[0], 1, "vals");
}
