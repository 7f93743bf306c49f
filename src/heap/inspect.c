/* Looking at objects without changing them. What is dying is not shown. */
#include "heap/internal.h"

struct enumeration {
    tally_object_fn fn;
    void *arg;
    int result;
    const void *target; /* referrers */
    bool found;
};

static void referent(void **slot, void *arg)
{
    struct enumeration *enumeration = arg;
    if (*slot && !enumeration->result)
        enumeration->result = enumeration->fn(*slot, enumeration->arg);
}

int tally_referents(void *object, tally_object_fn fn, void *arg)
{
    struct enumeration enumeration = {.fn = fn, .arg = arg};
    tally__slots_visit(type_of(object), object, referent, &enumeration);
    return enumeration.result;
}

static int page_walk(const struct page *page, tally_object_fn fn, void *arg)
{
    for (uint32_t slot = 0; slot < page->slot_count; slot++) {
        char *object = object_at(page, slot);
        if (object >= page->bump)
            break;
        uint64_t word = *word_of(object);
        int result = word && !(word & FLAG_GONE) ? fn(object, arg) : 0;
        if (result)
            return result;
    }
    return 0;
}

int tally_walk(struct tally_heap *heap, tally_object_fn fn, void *arg)
{
    int result = 0;
    for (uint32_t i = 0; i < heap->page_count && !result; i++)
        if (heap->pages[i])
            result = page_walk(heap->pages[i], fn, arg);
    return result;
}

static void refers(void **slot, void *arg)
{
    struct enumeration *enumeration = arg;
    enumeration->found |= *slot == enumeration->target;
}

static int referrer(void *object, void *arg)
{
    struct enumeration *enumeration = arg;
    const struct page *page = page_of(object);
    if (!page->tracked || bit_get(page->bits[BIT_FROZEN], slot_of(page, object)))
        return 0;
    enumeration->found = false;
    tally__slots_visit(type_of(object), object, refers, enumeration);
    return enumeration->found ? enumeration->fn(object, enumeration->arg) : 0;
}

int tally_referrers(struct tally_heap *heap, const void *target, tally_object_fn fn, void *arg)
{
    struct enumeration enumeration = {.fn = fn, .arg = arg, .target = target};
    return tally_walk(heap, referrer, &enumeration);
}
