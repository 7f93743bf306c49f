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

bool tally__slot_is_external(const struct tally_type *type, const void *object, size_t at)
{
    return at >= type->ref_count + trailing_count(type, object);
}

const char *tally__slot_name(const struct tally_type *type, const void *object, size_t at)
{
    if (at < type->ref_count)
        return type->refs[at].name;
    const char *name = at - type->ref_count < trailing_count(type, object) ? type->info.trailing_name
                                                                           : type->info.external_name;
    return name ? name : "[]";
}

static void visit_all(void **slots, size_t from, size_t to, tally_slot_fn visit, void *arg)
{
    for (size_t i = from; i < to; i++)
        visit(&slots[i], arg);
}

static size_t clamp(size_t at, size_t base, size_t count)
{
    return at <= base ? 0 : at - base < count ? at - base : count;
}

void tally__slots_range(const struct tally_type *type, void *object, size_t from, size_t to,
                        tally_slot_fn visit, void *arg)
{
    size_t base = type->ref_count, count = trailing_count(type, object);
    for (size_t i = from; i < to && i < base; i++)
        visit((void **)((char *)object + type->refs[i].offset), arg);
    visit_all((void **)((char *)object + type->size), clamp(from, base, count), clamp(to, base, count), visit,
              arg);
    base += count;
    count = external_count(type, object);
    if (count)
        visit_all(*(void ***)((char *)object + type->info.external_pointer_offset), clamp(from, base, count),
                  clamp(to, base, count), visit, arg);
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

/* A store that would corrupt: debug builds find it, say so and leave the slot as it is. */
static bool fits(void *holder, const void *value)
{
    struct tally_heap *heap = page_of(holder)->heap;
    (void)heap, (void)value; /* without checks */
    return HEAP_CHECK(*word_of(holder), heap, TALLY_REPORT_DECREF, NULL,
                      "a store into an object that has been freed") &&
           HEAP_CHECK(!value || *word_of(value), heap, TALLY_REPORT_DECREF, NULL,
                      "a store of an object that has been freed") &&
           HEAP_CHECK(!value || page_of(value)->heap == heap, heap, TALLY_REPORT_HEAPS, type_of(value),
                      "a store of an object into one of another heap") &&
           HEAP_CHECK(tally__owned(heap), heap, TALLY_REPORT_THREAD, NULL,
                      "a store from a thread that does not own the heap");
}

/* A run that is finding may have read the value's count before this reference, and would take it off. A stolen
 * reference comes into the slot without a count having changed: that may have closed a cycle, if anything can
 * lead to the holder. */
static __attribute__((noinline)) void replace(struct tally_heap *heap, void **slot, void *value, bool suspect)
{
    void *old = *slot;
    if (heap->armed && value)
        tally__touch(heap, value);
    *slot = value;
    if (suspect)
        tally__candidate(value);
    if (old)
        tally_decref(old);
    tally__check_heap(heap, false);
}

static inline void put(void *holder, void **slot, void *value, bool suspect)
{
    struct tally_heap *heap = page_of(holder)->heap;
    if (*slot || suspect || heap->armed) {
        replace(heap, slot, value, suspect);
        return;
    }
    *slot = value;
    tally__check_heap(heap, false);
}

void tally_store_steal(void *holder, void **slot, void *value)
{
    if (!fits(holder, value))
        return;
    uint64_t word = value ? *word_of(value) : TALLY_FLAG_ACYCLIC;
    if (!(word & (TALLY_FLAG_ACYCLIC | FLAG_STORED)))
        *word_of(value) = word | FLAG_STORED;
    put(holder, slot, value,
        !(word & (TALLY_FLAG_ACYCLIC | TALLY_FLAG_BUFFERED)) && *word_of(holder) & FLAG_STORED);
}

void tally_store(void *holder, void **slot, void *value)
{
    if (!fits(holder, value))
        return;
    if (value)
        *word_of(value) = (*word_of(value) + TALLY_COUNT_ONE) | FLAG_STORED;
    put(holder, slot, value, false);
}

void tally_clear(void *holder, void **slot)
{
    tally_store(holder, slot, NULL);
}

void *tally_take(void *holder, void **slot)
{
    void *value = *slot;
    if (!fits(holder, value))
        return NULL;
    if (value && page_of(holder)->heap->armed)
        tally__touch(page_of(holder)->heap, value);
    *slot = NULL;
    return value;
}

void tally_move(void *to_holder, void **to, void *from_holder, void **from)
{
    if (to != from && fits(to_holder, *from))
        tally_store_steal(to_holder, to, tally_take(from_holder, from));
}
