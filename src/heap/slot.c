/* Slots: in which order an object's references stand, and the calls that write them. */
#include "heap/internal.h"

static size_t trailing_count(const struct tally_type *type, const void *object)
{
    return type->info.trailing == TALLY_TRAILING_SLOTS
               ? *(const size_t *)((const char *)object + type->info.trailing_length_offset)
               : 0;
}

static size_t external_count(const struct tally_type *type, const void *object)
{
    if (!type->info.has_external ||
        !*(void *const *)((const char *)object + type->info.external_pointer_offset))
        return 0;
    return *(const size_t *)((const char *)object + type->info.external_length_offset);
}

size_t tally__slot_count(const struct tally_type *type, const void *object)
{
    return type->ref_count + trailing_count(type, object) + external_count(type, object);
}

void **tally__slot_at(const struct tally_type *type, void *object, size_t at)
{
    if (at < type->ref_count)
        return (void **)((char *)object + type->refs[at].offset);
    at -= type->ref_count;
    size_t trailing = trailing_count(type, object);
    if (at < trailing)
        return (void **)((char *)object + type->size) + at;
    return *(void ***)((char *)object + type->info.external_pointer_offset) + (at - trailing);
}

void tally__slots_visit(const struct tally_type *type, void *object, tally_slot_fn visit, void *arg)
{
    for (size_t i = 0; i < type->ref_count; i++)
        visit((void **)((char *)object + type->refs[i].offset), arg);
    size_t count = trailing_count(type, object);
    for (size_t i = 0; i < count; i++)
        visit((void **)((char *)object + type->size) + i, arg);
    count = external_count(type, object);
    for (size_t i = 0; i < count; i++)
        visit(*(void ***)((char *)object + type->info.external_pointer_offset) + i, arg);
    if (type->info.traverse)
        type->info.traverse(object, visit, arg);
}

#ifdef TALLY_DEBUG
static bool fits(const void *holder, const void *value)
{
    return *word_of(holder) && (!value || (*word_of(value) && page_of(value)->heap == page_of(holder)->heap));
}
#endif

void tally_store_steal(void *holder, void **slot, void *value)
{
    (void)holder;
    HEAP_CHECK(fits(holder, value),
               "a store into a freed object, or of one that is freed or of another heap");
    void *old = *slot;
    *slot = value;
    if (old)
        tally_decref(old);
}

void tally_store(void *holder, void **slot, void *value)
{
    tally_store_steal(holder, slot, tally_dup(value));
}

void tally_clear(void *holder, void **slot)
{
    tally_store_steal(holder, slot, NULL);
}

void *tally_take(void *holder, void **slot)
{
    (void)holder;
    void *value = *slot;
    *slot = NULL;
    return value;
}

void tally_move(void *to_holder, void **to, void *from_holder, void **from)
{
    if (to != from)
        tally_store_steal(to_holder, to, tally_take(from_holder, from));
}
