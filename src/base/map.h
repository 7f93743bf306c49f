/* A hash map from non-zero 64-bit keys to 64-bit values: open addressing, linear probing, deletion by
 * shifting back, so that no tombstone ever slows a look-up. Capacity is a power of two; at most 3/4 of it are
 * used. */
#ifndef TALLY_BASE_MAP_H
#define TALLY_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t key, value;
};
struct map {
    struct map_entry *entries; /* NULL: empty, no memory yet */
    size_t capacity, count;
    bool fixed; /* the memory is the caller's: never grows */
};

/* Starts a map on zeroed memory of `capacity` entries (a power of two) that it neither grows nor frees. */
void map_init_fixed(struct map *map, struct map_entry *memory, size_t capacity);
void map_fini(struct map *map);

/* The value's place, valid until the next change, or NULL. */
uint64_t *map_get(const struct map *map, uint64_t key);
/* Sets key to value. false: out of memory, or a fixed map is full; the map is as it was. */
bool map_put(struct map *map, uint64_t key, uint64_t value);
void map_remove(struct map *map, uint64_t key);
/* Empties the map and keeps its memory. */
void map_clear(struct map *map);

#endif
