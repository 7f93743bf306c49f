/* Hash maps: persistent by copying, keys are strings and keywords. */
#include <string.h>

#include "mal/mal.h"

bool mal_is_key(const void *value)
{
    return mal_kind(value) == MAL_STRING || mal_kind(value) == MAL_KEYWORD;
}

bool mal_same_text(const void *one, const void *two)
{
    const struct string *a = one, *b = two;
    return a->value.kind == b->value.kind && a->length == b->length && !memcmp(a->bytes, b->bytes, a->length);
}

static uint64_t hash(const struct string *key)
{
    uint64_t value = 14695981039346656037u + key->value.kind; /* FNV-1a */
    for (size_t i = 0; i < key->length; i++)
        value = (value ^ (unsigned char)key->bytes[i]) * 1099511628211u;
    return value ^ value >> 29;
}

/* The key's slot pair, or the empty one where it would stand; the map has an empty one. */
static size_t place(const struct map *map, const void *key)
{
    size_t pairs = map->length / 2, at = hash(key) & (pairs - 1);
    while (map->items[2 * at] && !mal_same_text(map->items[2 * at], key))
        at = (at + 1) & (pairs - 1);
    return 2 * at;
}

void *mal_map_get(const struct map *map, void *key)
{
    return map->count && mal_is_key(key) ? map->items[place(map, key) + 1] : NULL;
}

static struct map *map_new(struct mal *mal, size_t count)
{
    size_t pairs = 2;
    while (pairs < 2 * count)
        pairs *= 2;
    return mal_new_array(mal, MAL_MAP, 2 * pairs);
}

static void put(struct map *map, void *key, void *value)
{
    size_t at = place(map, key);
    if (!map->items[at]) {
        tally_store(map, &map->items[at], key);
        map->count++;
    }
    tally_store(map, &map->items[at + 1], value);
}

static bool keys_ok(struct mal *mal, void **items, size_t count, size_t step)
{
    if (count % step)
        return mal_throw(mal, "a map needs a value for each key");
    for (size_t i = 0; i < count; i += step)
        if (!mal_is_key(items[i]))
            return mal_throw(mal, "a key must be a string or a keyword");
    return true;
}

void *mal_map_of(struct mal *mal, void **items, size_t count)
{
    struct map *map = keys_ok(mal, items, count, 2) ? map_new(mal, count / 2) : NULL;
    for (size_t i = 0; i < count && map; i += 2)
        put(map, items[i], items[i + 1]);
    return map;
}

void *mal_map_with(struct mal *mal, struct map *from, void **items, size_t count)
{
    struct map *map = keys_ok(mal, items, count, 2) ? map_new(mal, from->count + count / 2) : NULL;
    for (size_t i = 0; i < from->length && map; i += 2)
        if (from->items[i])
            put(map, from->items[i], from->items[i + 1]);
    for (size_t i = 0; i < count && map; i += 2)
        put(map, items[i], items[i + 1]);
    return map;
}

static bool among(void **keys, size_t count, const void *key)
{
    for (size_t i = 0; i < count; i++)
        if (mal_same_text(keys[i], key))
            return true;
    return false;
}

void *mal_map_without(struct mal *mal, struct map *from, void **keys, size_t count)
{
    struct map *map = keys_ok(mal, keys, count, 1) ? map_new(mal, from->count) : NULL;
    for (size_t i = 0; i < from->length && map; i += 2)
        if (from->items[i] && !among(keys, count, from->items[i]))
            put(map, from->items[i], from->items[i + 1]);
    return map;
}
