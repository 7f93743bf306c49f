/* What garbage cycles look like: "type.field -> type.field", counted by shape.
 *
 * A depth-first search over the trash, each object entered once, its path on the mark stack, which is free at
 * this point of a run. Where an edge leads back to an object on the path, the path from there on is a cycle.
 * Its steps (type and slot) are reduced to their smallest period and begun where they sort first, so that a
 * ring of a thousand nodes and one of two have the same shape.
 *
 * Bounded: OBJECTS_MOST objects are entered in a run, a shape has STEPS_MOST steps, a heap SHAPES_MOST
 * shapes. A path of OBJECTS_MOST that has not come back, but repeats itself, is taken for a part of a longer
 * cycle. Marks: pending = entered, trial 1 = on the path.
 *
 * Cheap where it is done often: automatic runs share a credit of objects to enter, to which each adds one in
 * CREDIT_SHARE of those that it found; and a shape is known by the numbers of its steps, its text made once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/internal.h"

#define OBJECTS_MOST 4096u
#define STEPS_MOST   16u
#define SHAPES_MOST  256u
#define TEXT_MOST    512u
#define KEYS_MOST    512u
#define CREDIT_SHARE 256u

struct shape {
    char text[TEXT_MOST];
    struct tally_cycle sums;
};
struct key { /* the steps of a shape, from the lowest rotation on; several may have the same text */
    uint64_t steps[STEPS_MOST];
    size_t count;
    struct shape *shape;
};
struct shapes {
    size_t count, key_count;
    struct shape *list[SHAPES_MOST];
    struct key keys[KEYS_MOST];
};

struct step { /* of the path, two entries of the mark stack */
    void *object;
    size_t slot; /* the next to look at; that one less is the edge followed */
};

static struct step *path_at(struct tally_heap *heap, size_t at)
{
    return (struct step *)(void *)heap->mark_stack + at;
}

/* ---- a shape's key */

/* A step's type and slot in one number; the elements of an array are one slot. */
static uint64_t step_number(const struct step *step)
{
    const struct tally_type *type = type_of(step->object);
    size_t slot = step->slot - 1;
    if (slot >= type->ref_count)
        slot = type->ref_count + (slot >= tally__slot_count(type, step->object) ? 2
                                  : tally__slot_is_external(type, step->object, slot));
    return (uint64_t)type->index << 32 | (uint32_t)slot;
}

/* The smallest period of the steps [from, from + length), which goes into a cycle without a rest. */
static size_t period_of(struct tally_heap *heap, size_t from, size_t length, bool cycle)
{
    for (size_t period = 1; period <= STEPS_MOST && period < length; period++) {
        size_t at = period;
        if (cycle && length % period)
            continue;
        while (at < length &&
               step_number(path_at(heap, from + at)) == step_number(path_at(heap, from + at - period)))
            at++;
        if (at == length)
            return period;
    }
    return length;
}

/* Where the numbers begin so that they are the lowest. */
static size_t first_rotation(const uint64_t *numbers, size_t count)
{
    size_t best = 0;
    for (size_t start = 1; start < count; start++) {
        size_t same = 0; /* ends: no two rotations of a smallest period are equal */
        while (numbers[(start + same) % count] == numbers[(best + same) % count])
            same++;
        if (numbers[(start + same) % count] < numbers[(best + same) % count])
            best = start;
    }
    return best;
}

/* A period that is too long keeps its first steps, and has no other begin. */
static void key_make(struct tally_heap *heap, size_t from, size_t period, struct key *key)
{
    uint64_t numbers[STEPS_MOST];
    size_t count = period < STEPS_MOST ? period : STEPS_MOST;
    for (size_t i = 0; i < count; i++)
        numbers[i] = step_number(path_at(heap, from + i));
    size_t start = period <= STEPS_MOST ? first_rotation(numbers, count) : 0;
    for (size_t i = 0; i < count; i++)
        key->steps[i] = numbers[(start + i) % count];
    key->count = period;
}

/* ---- a shape's text */

struct name {
    char text[128];
};

static void step_name(const struct step *step, struct name *name)
{
    const struct tally_type *type = type_of(step->object);
    size_t count = tally__slot_count(type, step->object);
    snprintf(name->text, sizeof name->text, "%s.%s", type->info.name,
             step->slot <= count ? tally__slot_name(type, step->object, step->slot - 1) : "(traverse)");
}

/* Where the names begin so that they sort first. */
static size_t first_name(const struct name *names, size_t count)
{
    size_t best = 0;
    for (size_t start = 1; start < count; start++)
        for (size_t i = 0; i < count; i++) {
            int order = strcmp(names[(start + i) % count].text, names[(best + i) % count].text);
            if (order < 0)
                best = start;
            if (order)
                break;
        }
    return best;
}

static void shape_text(struct tally_heap *heap, size_t from, size_t period, char *text)
{
    struct name names[STEPS_MOST];
    size_t count = period < STEPS_MOST ? period : STEPS_MOST, used = 0;
    for (size_t i = 0; i < count; i++)
        step_name(path_at(heap, from + i), &names[i]);
    size_t start = period <= STEPS_MOST ? first_name(names, count) : 0;
    for (size_t i = 0; i < count && used < TEXT_MOST; i++)
        used += (size_t)snprintf(text + used, TEXT_MOST - used, "%s%s", i ? " -> " : "",
                                 names[(start + i) % count].text);
    if (period > STEPS_MOST && used < TEXT_MOST)
        snprintf(text + used, TEXT_MOST - used, " -> (more)");
}

/* ---- counting */

static struct shape *shape_of_text(struct shapes *shapes, const char *text)
{
    for (size_t i = 0; i < shapes->count; i++)
        if (!strcmp(shapes->list[i]->text, text))
            return shapes->list[i];
    if (shapes->count == SHAPES_MOST)
        return shapes->list[SHAPES_MOST - 1];
    struct shape *shape = calloc(1, sizeof *shape);
    if (!shape)
        return NULL;
    snprintf(shape->text, sizeof shape->text, "%s", shapes->count == SHAPES_MOST - 1 ? "(other)" : text);
    shapes->list[shapes->count++] = shape;
    return shape;
}

static bool same_key(const struct key *one, const struct key *other)
{
    size_t count = one->count < STEPS_MOST ? one->count : STEPS_MOST;
    return one->count == other->count && !memcmp(one->steps, other->steps, count * sizeof *one->steps);
}

static struct shape *shape_find(struct tally_heap *heap, size_t from, size_t period)
{
    struct shapes *shapes = heap->shapes;
    if (!shapes)
        shapes = heap->shapes = calloc(1, sizeof *shapes);
    if (!shapes)
        return NULL;
    struct key key;
    key_make(heap, from, period, &key);
    for (size_t i = 0; i < shapes->key_count; i++)
        if (same_key(&shapes->keys[i], &key))
            return shapes->keys[i].shape;
    char text[TEXT_MOST];
    shape_text(heap, from, period, text);
    key.shape = shape_of_text(shapes, text);
    if (key.shape && shapes->key_count < KEYS_MOST)
        shapes->keys[shapes->key_count++] = key;
    return key.shape;
}

/* The steps [from, from + length) are a cycle, or part of one, that repeats after `period`. */
static void cycle_found(struct tally_heap *heap, size_t from, size_t length, size_t period)
{
    struct shape *shape = shape_find(heap, from, period);
    if (!shape)
        return;
    if (!shape->sums.count++)
        shape->sums.sample_id = tally_object_id(path_at(heap, from)->object);
    shape->sums.objects += length;
    for (size_t i = 0; i < length; i++) {
        const void *object = path_at(heap, from + i)->object;
        shape->sums.bytes += tally__size_of(type_of(object), object);
    }
    shape->sums.last_ns = heap->run.record.start_ns;
}

/* ---- the search */

static void enter(struct tally_heap *heap, void *object)
{
    struct page *page = page_of(object);
    uint32_t slot = slot_of(page, object);
    bit_set(bits_of(page, BIT_PENDING), slot);
    trial_of(page)[slot] = 1;
    *path_at(heap, heap->mark_count++) = (struct step){object, 0};
    heap->shape_spent++;
}

static void cycle_closed(struct tally_heap *heap, const void *child)
{
    size_t from = heap->mark_count;
    while (path_at(heap, --from)->object != child)
        ;
    size_t length = heap->mark_count - from;
    cycle_found(heap, from, length, period_of(heap, from, length, true));
}

/* The path is as long as any may be; its last object has not been looked at. */
static void path_ended(struct tally_heap *heap)
{
    size_t length = heap->mark_count - 1, period = period_of(heap, 0, length, false);
    if (period <= STEPS_MOST)
        cycle_found(heap, 0, length, period);
}

static void follow(struct tally_heap *heap, void *child)
{
    if (!child || !tally__is_trash(heap, child))
        return;
    const struct page *page = page_of(child);
    uint32_t slot = slot_of(page, child);
    if (!bit_get(bits_of(page, BIT_PENDING), slot)) {
        if (heap->shape_spent < OBJECTS_MOST)
            enter(heap, child);
        if (heap->mark_count == OBJECTS_MOST && path_at(heap, OBJECTS_MOST - 1)->object == child)
            path_ended(heap);
    } else if (trial_of(page)[slot] == 1) {
        cycle_closed(heap, child);
    }
}

struct pick { /* the n-th slot that a traverse reports */
    size_t wanted, seen;
    void *child;
};

static void pick_slot(void **slot, void *arg)
{
    struct pick *pick = arg;
    if (pick->seen++ == pick->wanted)
        pick->child = *slot;
}

/* Looks at the next slot of the path's last object. false: it has no more. */
static bool look_on(struct tally_heap *heap, struct step *step)
{
    const struct tally_type *type = type_of(step->object);
    size_t count = tally__slot_count(type, step->object), at = step->slot++;
    if (at < count) {
        follow(heap, *tally__slot_at(type, step->object, at));
        return true;
    }
    if (!type->info.traverse)
        return false;
    struct pick pick = {.wanted = at - count};
    type->info.traverse(step->object, pick_slot, &pick);
    follow(heap, pick.child);
    return pick.seen > pick.wanted;
}

static void leave(struct tally_heap *heap)
{
    const void *object = path_at(heap, --heap->mark_count)->object;
    const struct page *page = page_of(object);
    trial_of(page)[slot_of(page, object)] = 0;
}

/* Goes on until the path is empty; false: the slice is over. No memory of the trash changes between slices.
 */
static bool search(struct tally_heap *heap)
{
    while (heap->mark_count) {
        if (!slice_spend(heap, 1))
            return false;
        if (!look_on(heap, path_at(heap, heap->mark_count - 1)))
            leave(heap);
    }
    return true;
}

static bool search_from(struct tally_heap *heap, void *object)
{
    const struct page *page = page_of(object);
    uint32_t slot = slot_of(page, object);
    if (!heap->mark_count) {
        if (heap->shape_spent == OBJECTS_MOST)
            return false;
        if (bit_get(bits_of(page, BIT_PENDING), slot))
            return true;
        enter(heap, object);
    }
    return search(heap);
}

void tally__shapes_allow(struct tally_heap *heap)
{
    const struct run *run = &heap->run;
    bool asked = run->look || run->record.reason != TALLY_REASON_THRESHOLD;
    uint64_t share = asked ? OBJECTS_MOST : run->found / CREDIT_SHARE;
    heap->shape_spent -= share < heap->shape_spent ? share : heap->shape_spent;
}

bool tally__trash_shapes(struct tally_heap *heap)
{
    return tally__trash_each(heap, search_from) || (heap->shape_spent == OBJECTS_MOST && !heap->mark_count);
}

void tally__shapes_free(struct tally_heap *heap)
{
    for (size_t i = 0; heap->shapes && i < heap->shapes->count; i++)
        free(heap->shapes->list[i]);
    free(heap->shapes);
    heap->shapes = NULL;
}

int tally_cycles(const struct tally_heap *heap, tally_cycle_fn fn, void *arg)
{
    int result = 0;
    for (size_t i = 0; heap->shapes && i < heap->shapes->count && !result; i++) {
        struct tally_cycle cycle = heap->shapes->list[i]->sums;
        cycle.shape = heap->shapes->list[i]->text;
        result = fn(&cycle, arg);
    }
    return result;
}

void tally_cycles_clear(struct tally_heap *heap)
{
    tally__shapes_free(heap);
}
