/* Moving an isolated graph to another heap: objects are copied, their slots rewritten, the originals freed.
 *
 *   reach    all that the object reaches is listed; each is checked
 *   count    every reference to them comes from among them, but the caller's one
 *   make     their copies-to-be are allocated: the last that can fail
 *   move     payloads are copied, slots rewritten, weak references and native bytes follow, the old go */
#include <stdlib.h>
#include <string.h>

#include "heap/internal.h"

struct transfer {
    struct tally_heap *from, *to;
    void **objects, **copies;
    size_t count, room;
    struct map index; /* object -> position + 1 */
    uint64_t *inside; /* references to it from the graph */
    const void *obstacle;
    int error;
};

static void list_object(struct transfer *transfer, void *object)
{
    if (transfer->error || !object || map_get(&transfer->index, (uintptr_t)object))
        return;
    if (transfer->count == transfer->room) {
        size_t room = transfer->room ? 2 * transfer->room : 64;
        void **objects = realloc(transfer->objects, room * sizeof *objects);
        if (!objects) {
            transfer->error = TALLY_ENOMEM;
            return;
        }
        transfer->objects = objects;
        transfer->room = room;
    }
    if (!map_put(&transfer->index, (uintptr_t)object, transfer->count + 1)) {
        transfer->error = TALLY_ENOMEM;
        return;
    }
    transfer->objects[transfer->count++] = object;
}

static void list_slot(void **slot, void *arg)
{
    list_object(arg, *slot);
}

static bool may_move(const void *object)
{
    const struct tally_type *type = type_of(object);
    const uint64_t never = FLAG_APART | FLAG_PINNED | FLAG_DUE;
    return !(*word_of(object) & never) && !type->info.traverse && type->index != TYPE_WEAKMAP;
}

static void reach(struct transfer *transfer, void *object)
{
    list_object(transfer, object);
    for (size_t i = 0; i < transfer->count && !transfer->error; i++) {
        void *at = transfer->objects[i];
        if (may_move(at)) {
            tally__slots_visit(type_of(at), at, list_slot, transfer);
        } else {
            transfer->obstacle = at;
            transfer->error = TALLY_ENOTISOLATED;
        }
    }
}

static size_t position_of(const struct transfer *transfer, const void *object)
{
    const uint64_t *position = map_get(&transfer->index, (uintptr_t)object);
    return position ? (size_t)*position - 1 : SIZE_MAX;
}

static void count_slot(void **slot, void *arg)
{
    struct transfer *transfer = arg;
    if (*slot)
        transfer->inside[position_of(transfer, *slot)]++;
}

/* Weak references to and from the graph must be of it. */
static bool weak_isolated(const struct transfer *transfer, const void *object)
{
    for (const struct tally_weak *weak = tally__weak_first(transfer->from, object); weak;
         weak = weak->next_private)
        if (position_of(transfer, weak) == SIZE_MAX)
            return false;
    const void *target = type_of(object)->weak ? ((const struct tally_weak *)object)->referent_private : NULL;
    return !target || position_of(transfer, target) != SIZE_MAX;
}

static void check_isolated(struct transfer *transfer)
{
    transfer->inside = calloc(transfer->count, sizeof *transfer->inside);
    if (!transfer->inside) {
        transfer->error = TALLY_ENOMEM;
        return;
    }
    transfer->inside[0] = 1; /* the caller's */
    for (size_t i = 0; i < transfer->count; i++)
        tally__slots_visit(type_of(transfer->objects[i]), transfer->objects[i], count_slot, transfer);
    for (size_t i = 0; i < transfer->count && !transfer->error; i++)
        if (tally_refcount(transfer->objects[i]) != transfer->inside[i] ||
            !weak_isolated(transfer, transfer->objects[i])) {
            transfer->obstacle = transfer->objects[i];
            transfer->error = TALLY_ENOTISOLATED;
        }
}

/* No collection runs meanwhile in the target: nothing of it changes where this fails. Rows come first: with a row that
 * comes late, objects move that have been counted, which the copies are not yet. */
static void make(struct transfer *transfer)
{
    if (tally__type_count() > transfer->to->hot.types_known)
        tally__types_describe(transfer->to);
    transfer->copies = calloc(transfer->count, sizeof *transfer->copies);
    if (!transfer->copies)
        transfer->error = TALLY_ENOMEM;
    for (size_t i = 0; i < transfer->count && !transfer->error; i++) {
        const struct tally_type *type = type_of(transfer->objects[i]);
        bool weak = *word_of(transfer->objects[i]) & FLAG_WEAK,
             extern_ = *word_of(transfer->objects[i]) & FLAG_EXTERN;
        void *copy = tally__new_moved(transfer->to, type, tally__size_of(type, transfer->objects[i]));
        transfer->copies[i] = copy;
        if (!copy || (weak && !map_put(&transfer->to->weak_heads, (uintptr_t)copy, 0)) ||
            (extern_ && !map_put(&transfer->to->extern_table, (uintptr_t)copy, 0)))
            transfer->error = TALLY_ENOMEM;
    }
}

static void unmake(struct transfer *transfer)
{
    for (size_t i = 0; transfer->copies && i < transfer->count; i++)
        if (transfer->copies[i]) {
            map_remove(&transfer->to->weak_heads, (uintptr_t)transfer->copies[i]);
            map_remove(&transfer->to->extern_table, (uintptr_t)transfer->copies[i]);
            tally__free_moved(transfer->to, transfer->copies[i]);
        }
}

static void *copy_of(const struct transfer *transfer, const void *object)
{
    return object ? transfer->copies[position_of(transfer, object)] : NULL;
}

static void rewrite_slot(void **slot, void *arg)
{
    *slot = copy_of(arg, *slot);
}

static void move_weak(struct transfer *transfer, void *copy)
{
    struct tally_weak *weak = copy;
    weak->referent_private = copy_of(transfer, weak->referent_private);
    weak->next_private = copy_of(transfer, weak->next_private);
    weak->previous_private = copy_of(transfer, weak->previous_private);
}

static void move_sides(struct transfer *transfer, void *object, void *copy)
{
    if (*word_of(object) & FLAG_WEAK) {
        map_put(&transfer->to->weak_heads, (uintptr_t)copy,
                (uintptr_t)copy_of(transfer, tally__weak_first(transfer->from, object)));
        map_remove(&transfer->from->weak_heads, (uintptr_t)object);
    }
    if (*word_of(object) & FLAG_EXTERN) {
        uint64_t bytes = *map_get(&transfer->from->extern_table, (uintptr_t)object);
        map_put(&transfer->to->extern_table, (uintptr_t)copy, bytes);
        transfer->to->extern_bytes += bytes;
        tally__extern_end(transfer->from, object);
    }
}

/* Cannot fail. What the new heap knows of the graph it has not seen decrements of: it looks at all of it. */
static void move(struct transfer *transfer)
{
    const uint64_t kept = ~(TALLY_FLAG_BUFFERED);
    for (size_t i = 0; i < transfer->count; i++) {
        void *object = transfer->objects[i], *copy = transfer->copies[i];
        const struct tally_type *type = type_of(object);
        memcpy(copy, object, tally__size_of(type, object));
        *word_of(copy) = *word_of(object) & kept;
        move_sides(transfer, object, copy);
    }
    for (size_t i = 0; i < transfer->count; i++) {
        void *copy = transfer->copies[i];
        tally__slots_visit(type_of(copy), copy, rewrite_slot, transfer);
        if (type_of(copy)->weak)
            move_weak(transfer, copy);
    }
    for (size_t i = 0; i < transfer->count; i++) {
        tally__count_moved(transfer->to, transfer->copies[i], true);
        tally__count_moved(transfer->from, transfer->objects[i], false);
        tally__free_moved(transfer->from, transfer->objects[i]);
    }
    transfer->to->complete = false;
    tally__limit_update(transfer->to);
}

static bool is_busy(const struct tally_heap *heap)
{
    return heap->collecting || heap->release_depth;
}

int tally_transfer(struct tally_heap *to, void *object, void **out, const void **obstacle)
{
    struct tally_heap *from = object ? page_of(object)->heap : NULL;
    if (!from || from == to || !out)
        return TALLY_EINVAL;
    if (!tally__owned(from) || !tally__owned(to))
        return TALLY_ETHREAD;
    if (is_busy(from) || is_busy(to))
        return TALLY_EBUSY;
    tally_step(from, UINT64_MAX); /* nothing pending, no run open in either */
    tally_step(to, UINT64_MAX);
    struct transfer transfer = {.from = from, .to = to};
    reach(&transfer, object);
    if (!transfer.error)
        check_isolated(&transfer);
    if (!transfer.error)
        make(&transfer);
    if (!transfer.error) {
        move(&transfer);
        *out = transfer.copies[0];
    } else {
        unmake(&transfer);
    }
    if (transfer.obstacle && obstacle)
        *obstacle = transfer.obstacle;
    map_fini(&transfer.index);
    free(transfer.objects);
    free(transfer.copies);
    free(transfer.inside);
    return transfer.error;
}
