/* Weak maps: tables from keys that they do not own to values that they do, while both the map and the key
 * live (ephemerons, Hayes 1997).
 *
 *   map ──slots──▶ entry ──hold──▶ value        map->index: key -> position in the slots
 *                    ┆
 *                    └┄┄weak┄┄▶ key
 *
 * An entry is a weak reference to the key whose hold is the value. For the count, its reference to the value
 * is like any other. A run follows it only where the key is alive as well (find.c), so that a value that
 * leads to its key, or to the map, keeps neither. When the key dies the entry leaves the map. */
#include <stdlib.h>

#include "heap/internal.h"

struct weakmap {
    void **entries; /* external slots */
    size_t count, room;
    struct map *index;
};

struct entry {
    struct tally_weak weak; /* hold: the value */
    struct weakmap *map;    /* NULL: it has left */
    uint64_t key;           /* in the index; the referent itself may have been cleared */
    size_t position;
};

static void map_dispose(void *object)
{
    struct weakmap *map = object;
    free(map->entries);
    map_fini(map->index);
    free(map->index);
}

int tally__weakmap_types(uint32_t from, int (*add)(const struct tally_type_info *info))
{
    int error = 0;
    if (!from)
        error = add(&(struct tally_type_info){.name = "weakmap",
                                              .size = sizeof(struct weakmap),
                                              .has_external = true,
                                              .external_pointer_offset = offsetof(struct weakmap, entries),
                                              .external_length_offset = offsetof(struct weakmap, count),
                                              .external_name = "entry",
                                              .dispose = map_dispose});
    return error ? error
                 : add(&(struct tally_type_info){
                       .name = "weakmap-entry", .size = sizeof(struct entry), .flags = TALLY_TYPE_WEAK});
}

void *tally__entry_value(const void *entry)
{
    return ((const struct entry *)entry)->weak.hold_private;
}

void *tally__entry_key(const void *entry)
{
    return ((const struct entry *)entry)->weak.referent_private;
}

void *tally_weakmap_new(struct tally_heap *heap)
{
    struct map *index = calloc(1, sizeof *index);
    struct weakmap *map =
        index ? tally_new(heap, atomic_load_explicit(&tally__types[TYPE_WEAKMAP], memory_order_acquire))
              : NULL;
    if (map)
        map->index = index;
    else
        free(index);
    return map;
}

static bool is_map(const void *map)
{
    return map && type_of(map)->index == TYPE_WEAKMAP;
}

/* The entry leaves the map's slots and index; its reference is the caller's. */
static void entry_unlink(struct entry *entry)
{
    struct weakmap *map = entry->map;
    struct entry *last = map->entries[--map->count];
    map->entries[map->count] = NULL;
    map_remove(map->index, entry->key);
    if (last != entry) {
        map->entries[entry->position] = last;
        last->position = entry->position;
        *map_get(map->index, last->key) = last->position;
    }
    entry->map = NULL;
}

/* An entry that was cleared with its map as trash, before a finalizer brought the map back, is none. */
static struct entry *entry_find(const struct weakmap *map, const void *key)
{
    const uint64_t *position = map_get(map->index, (uintptr_t)key);
    struct entry *entry = position ? map->entries[*position] : NULL;
    if (!entry || entry->weak.referent_private == key)
        return entry;
    entry_unlink(entry);
    tally_decref(entry);
    return NULL;
}

/* In the trash, an entry whose map lives joins it: so its value is cleared with the rest, neither earlier nor
 * later. */
void tally__entry_expire(struct tally_heap *heap, void *object, bool key_is_trash)
{
    struct entry *entry = object;
    if (*word_of(entry->map) & FLAG_GONE || tally__is_trash(heap, entry))
        return; /* it goes with its map */
    entry_unlink(entry);
    if (!key_is_trash) {
        tally_decref(entry);
        return;
    }
    *word_of(entry) -= TALLY_COUNT_ONE;
    tally__member_add(heap, entry);
}

static bool room_make(struct weakmap *map)
{
    if (map->count < map->room)
        return true;
    size_t room = map->room ? 2 * map->room : 8;
    void **entries = realloc(map->entries, room * sizeof *entries);
    if (!entries)
        return false;
    map->entries = entries;
    map->room = room;
    return true;
}

/* In the map, without a value if it is new; NULL: out of memory, and the map is as it was. */
static struct entry *entry_make(struct tally_heap *heap, struct weakmap *map, void *key)
{
    struct entry *entry =
        tally_new(heap, atomic_load_explicit(&tally__types[TYPE_ENTRY], memory_order_acquire));
    if (!entry)
        return NULL;
    /* The allocation may have run finalizers: room is made afterwards, and the key may be there. */
    struct entry *made = entry_find(map, key);
    if (made) {
        tally_decref(entry);
        return made;
    }
    if (!room_make(map) || !map_put(map->index, (uintptr_t)key, map->count)) {
        tally_decref(entry);
        return NULL;
    }
    if (!tally__weak_attach(heap, &entry->weak, key)) {
        map_remove(map->index, (uintptr_t)key);
        tally_decref(entry);
        return NULL;
    }
    entry->map = map;
    entry->key = (uintptr_t)key;
    entry->position = map->count;
    map->entries[map->count++] = entry;
    return entry;
}

int tally_weakmap_set(void *object, void *key, void *value)
{
    if (!is_map(object) || !key || !value || page_of(key)->heap != page_of(object)->heap ||
        page_of(value)->heap != page_of(object)->heap || *word_of(key) & FLAG_GONE)
        return TALLY_EINVAL;
    struct weakmap *map = object;
    struct entry *entry = entry_find(map, key);
    if (!entry) {
        entry = entry_make(page_of(object)->heap, map, key);
        if (!entry)
            return TALLY_ENOMEM;
    }
    tally_store(entry, &entry->weak.hold_private, value);
    return 0;
}

void *tally_weakmap_get(void *object, const void *key)
{
    struct entry *entry = is_map(object) && key ? entry_find(object, key) : NULL;
    struct tally_heap *heap = entry ? page_of(object)->heap : NULL;
    if (!entry)
        return NULL;
    void *value = entry->weak.hold_private;
    if (heap->armed) {
        tally__touch(heap, entry);
        tally__touch(heap, value);
    }
    return tally_dup(value);
}

bool tally_weakmap_remove(void *object, const void *key)
{
    struct entry *entry = is_map(object) && key ? entry_find(object, key) : NULL;
    if (!entry)
        return false;
    tally__weak_detach(page_of(object)->heap, entry);
    entry_unlink(entry);
    tally_decref(entry);
    return true;
}

size_t tally_weakmap_count(const void *object)
{
    const struct weakmap *map = object;
    size_t count = 0;
    for (size_t i = 0; is_map(object) && i < map->count; i++)
        count += ((struct entry *)map->entries[i])->weak.referent_private != NULL;
    return count;
}
