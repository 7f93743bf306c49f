#include "base/map.h"

#include <stdlib.h>
#include <string.h>

/* Fibonacci hashing: the high bits of the product spread keys that differ in their middle bits only, as
 * addresses do. */
static size_t home(const struct map *map, uint64_t key)
{
    return (size_t)((key * 0x9E3779B97F4A7C15u) >> 20) & (map->capacity - 1);
}

void map_init_fixed(struct map *map, struct map_entry *memory, size_t capacity)
{
    *map = (struct map){.entries = memory, .capacity = capacity, .fixed = true};
}

void map_fini(struct map *map)
{
    if (!map->fixed)
        free(map->entries);
    *map = (struct map){.entries = NULL};
}

/* The key's entry, or the empty one where it would stand. */
static struct map_entry *find(const struct map *map, uint64_t key)
{
    size_t at = home(map, key);
    while (map->entries[at].key && map->entries[at].key != key)
        at = (at + 1) & (map->capacity - 1);
    return &map->entries[at];
}

uint64_t *map_get(const struct map *map, uint64_t key)
{
    if (!map->count)
        return NULL;
    struct map_entry *entry = find(map, key);
    return entry->key ? &entry->value : NULL;
}

static bool grow(struct map *map)
{
    struct map bigger = {.capacity = map->capacity ? 2 * map->capacity : 16, .count = map->count};
    bigger.entries = calloc(bigger.capacity, sizeof *bigger.entries);
    if (!bigger.entries)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key)
            *find(&bigger, map->entries[i].key) = map->entries[i];
    free(map->entries);
    *map = bigger;
    return true;
}

bool map_put(struct map *map, uint64_t key, uint64_t value)
{
    uint64_t *present = map_get(map, key);
    if (present) {
        *present = value;
        return true;
    }
    if ((map->count + 1) * 4 > map->capacity * 3 && (map->fixed || !grow(map)))
        return false;
    *find(map, key) = (struct map_entry){key, value};
    map->count++;
    return true;
}

void map_remove(struct map *map, uint64_t key)
{
    if (!map_get(map, key))
        return;
    size_t hole = (size_t)(find(map, key) - map->entries);
    size_t mask = map->capacity - 1;
    for (size_t at = (hole + 1) & mask; map->entries[at].key; at = (at + 1) & mask) {
        size_t from_home = (at - home(map, map->entries[at].key)) & mask;
        if (from_home >= ((at - hole) & mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole].key = 0;
    map->count--;
}

void map_clear(struct map *map)
{
    if (map->count)
        memset(map->entries, 0, map->capacity * sizeof *map->entries);
    map->count = 0;
}
