/* Which types have series. A type that comes among the METRICS_TYPES_ENTER largest is shown until it falls behind
 * METRICS_TYPES_LEAVE, so that two of about the same size do not make each other's series come and go. */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "api/metrics_page.h"

struct type_process { /* what was shown of a process */
    char id[33];
    uint64_t page;
    size_t count;
    uint64_t names[METRICS_TYPES_LEAVE]; /* hashes: one that is wrong shows a type a little longer */
    struct type_process *next;
};

struct type_memory {
    void *by_id;
    struct type_process *list;
    uint64_t page;
};

struct type_memory *type_memory_new(void)
{
    return calloc(1, sizeof(struct type_memory));
}

static int id_order(const void *a, const void *b)
{
    return strcmp(((const struct type_process *)a)->id, ((const struct type_process *)b)->id);
}

void type_memory_begin(struct type_memory *memory)
{
    memory->page++;
}

static void forget(struct type_memory *memory, bool all)
{
    for (struct type_process **link = &memory->list; *link;) {
        struct type_process *process = *link;
        if (!all && process->page == memory->page) {
            link = &process->next;
            continue;
        }
        *link = process->next;
        tdelete(process, &memory->by_id, id_order);
        free(process);
    }
}

void type_memory_end(struct type_memory *memory)
{
    forget(memory, false);
}

void type_memory_free(struct type_memory *memory)
{
    if (memory)
        forget(memory, true);
    free(memory);
}

/* NULL: out of memory; what was shown before counts for nothing then. */
static struct type_process *process_get(struct type_memory *memory, const char *id)
{
    struct type_process key, *made;
    memcpy(key.id, id, sizeof key.id);
    struct type_process *const *known = tfind(&key, &memory->by_id, id_order);
    if (known) {
        (*known)->page = memory->page;
        return *known;
    }
    made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    memcpy(made->id, id, sizeof made->id);
    made->page = memory->page;
    if (!tsearch(made, &memory->by_id, id_order)) {
        free(made);
        return NULL;
    }
    made->next = memory->list;
    return memory->list = made;
}

/* Of two names with one hash the second is shown a place too early. */
static uint64_t name_hash(const char *name)
{
    return crc32_z(0, (const unsigned char *)name, strnlen(name, METRICS_VALUE_BYTES));
}

static bool was_shown(const struct type_process *process, uint64_t hash)
{
    for (size_t i = 0; process && i < process->count; i++)
        if (process->names[i] == hash)
            return true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    return value_order(((const struct typed *)a)->name, ((const struct typed *)b)->name);
}

/* Most bytes first. */
static int by_size(const void *a, const void *b)
{
    const struct typed *one = a, *two = b;
    int order = (one->live_bytes < two->live_bytes) - (one->live_bytes > two->live_bytes);
    return order ? order : by_name(a, b);
}

static void typed_add(struct typed *to, const struct typed *from)
{
    to->live_bytes += from->live_bytes;
    to->live_objects += from->live_objects;
}

/* The process's types with one row a name as it would be shown; those named "other" go to the rest at once. Largest
 * first. */
static size_t types_gather(const struct stats_process_view *process, struct typed *all, struct typed *rest)
{
    size_t count = 0;
    for (size_t i = 0; i < process->type_count; i++) {
        const struct stats_type_view *type = &process->types[i];
        all[i] = (struct typed){type->name, type->live_bytes, type->live_objects};
    }
    qsort(all, process->type_count, sizeof *all, by_name);
    for (size_t i = 0; i < process->type_count; i++) {
        if (!strcmp(all[i].name, METRICS_OTHER))
            typed_add(rest, &all[i]);
        else if (count && !by_name(&all[count - 1], &all[i]))
            typed_add(&all[count - 1], &all[i]);
        else
            all[count++] = all[i];
    }
    qsort(all, count, sizeof *all, by_size);
    return count;
}

size_t types_choose(struct type_memory *memory, const struct stats_process_view *process, size_t most, struct typed *rows)
{
    struct typed *all = calloc(process->type_count + 1, sizeof *all), rest = {.name = METRICS_OTHER};
    struct type_process *known = process_get(memory, process->id);
    struct type_process shown = {.count = 0};
    size_t count = all ? types_gather(process, all, &rest) : 0, chosen = 0;
    for (size_t rank = 0; rank < count; rank++) {
        uint64_t hash = name_hash(all[rank].name);
        bool shows = rank < METRICS_TYPES_ENTER || (rank < METRICS_TYPES_LEAVE && was_shown(known, hash));
        if (!shows || chosen == most) {
            typed_add(&rest, &all[rank]);
            continue;
        }
        shown.names[shown.count++] = hash;
        rows[chosen++] = all[rank];
    }
    if (known) {
        memcpy(known->names, shown.names, sizeof known->names);
        known->count = shown.count;
    }
    rows[chosen] = rest;
    free(all);
    return chosen + 1;
}
