/* Looking at objects without changing them. What is dying is not shown. */
#include "heap/internal.h"

struct enumeration {
    struct tally_heap *heap;
    tally_object_fn fn;
    void *arg;
    int result;
    int generation;
    const void *target; /* referrers */
    bool found;
};

static void referent(void **slot, void *arg)
{
    struct enumeration *enumeration = arg;
    void *found = *slot && type_of(*slot)->index == TYPE_ENTRY ? tally__entry_value(*slot) : *slot;
    if (found && !enumeration->result)
        enumeration->result = enumeration->fn(found, enumeration->arg);
}

int tally_referents(void *object, tally_object_fn fn, void *arg)
{
    struct enumeration enumeration = {.fn = fn, .arg = arg};
    tally__slots_visit(type_of(object), object, referent, &enumeration);
    return enumeration.result;
}

/* What is shown to the host is the host's: a run that is finding must not take it for garbage. */
static int show(struct tally_heap *heap, void *object, tally_object_fn fn, void *arg)
{
    if (heap->armed)
        tally__touch(heap, object);
    return fn(object, arg);
}

bool tally__is_shown(const struct tally_heap *heap, const void *object)
{
    uint64_t word = *word_of(object);
    return word && !(word & (FLAG_GONE | FLAG_CONSTRUCTION)) && !tally__is_trash(heap, object) &&
           type_of_word(word)->index != TYPE_ENTRY;
}

static int page_walk(struct tally_heap *heap, const struct page *page, const char *after, tally_object_fn fn,
                     void *arg)
{
    int result = 0;
    for (uint32_t slot = 0; slot < page->slot_count && !result; slot++) {
        char *object = object_at(page, slot);
        if (object >= page->bump)
            break;
        if (object > after && tally__is_shown(heap, object))
            result = fn(object, arg);
    }
    return result;
}

static int walk(struct tally_heap *heap, tally_object_fn fn, void *arg)
{
    int result = 0;
    for (uint32_t i = 0; i < heap->page_count && !result; i++)
        if (heap->pages[i])
            result = page_walk(heap, heap->pages[i], NULL, fn, arg);
    return result;
}

static int walked(void *object, void *arg)
{
    struct enumeration *enumeration = arg;
    return show(enumeration->heap, object, enumeration->fn, enumeration->arg);
}

int tally_walk(struct tally_heap *heap, tally_object_fn fn, void *arg)
{
    return walk(heap, walked, &(struct enumeration){.heap = heap, .fn = fn, .arg = arg});
}

static int in_generation(void *object, void *arg)
{
    struct enumeration *enumeration = arg;
    int generation = tally_generation(object), wanted = enumeration->generation;
    bool match = wanted < 0 ? generation < TALLY_GENERATION_FROZEN : generation == wanted;
    return generation >= 0 && match ? walked(object, arg) : 0;
}

int tally_objects(struct tally_heap *heap, int generation, tally_object_fn fn, void *arg)
{
    if (generation < -1 || generation > TALLY_GENERATION_FROZEN)
        return TALLY_EINVAL;
    return walk(heap, in_generation,
                &(struct enumeration){.heap = heap, .fn = fn, .arg = arg, .generation = generation});
}

/* The slot of the page in which the address lies; NULL: none, or no live object's. */
static void *page_object_at(const struct tally_heap *heap, const struct page *page, uintptr_t address)
{
    uintptr_t first = (uintptr_t)base_of(page) + page->first;
    if (address < first || address >= (uintptr_t)page->bump)
        return NULL;
    uint32_t slot = page->class_index == CLASS_LARGE ? 0 : (uint32_t)((address - first) / page->slot_bytes);
    void *object = object_at(page, slot);
    if (!tally__is_shown(heap, object))
        return NULL;
    return address < (uintptr_t)object + tally_size(object) ? object : NULL;
}

void *tally_object_at(struct tally_heap *heap, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (uint32_t i = 0; i < heap->page_count; i++) {
        const struct page *page = heap->pages[i];
        if (!page || at < (uintptr_t)base_of(page) || at - (uintptr_t)base_of(page) >= page->bytes)
            continue;
        void *object = page_object_at(heap, page, at);
        if (object && heap->armed)
            tally__touch(heap, object);
        return object;
    }
    return NULL;
}

void *tally__object_look(const struct tally_heap *heap, uint64_t id)
{
    uint64_t serial = id >> WIRE_PAGE_GRANULE_BITS;
    if (serial >= heap->page_count || !heap->pages[serial])
        return NULL;
    char *address = expand(heap, id);
    void *object = page_object_at(heap, heap->pages[serial], (uintptr_t)address - 1);
    return object == address ? object : NULL;
}

void *tally_object_by_id(struct tally_heap *heap, uint64_t id)
{
    void *object = tally__object_look(heap, id);
    if (object && heap->armed)
        tally__touch(heap, object);
    return object;
}

static void refers(void **slot, void *arg)
{
    struct enumeration *enumeration = arg;
    enumeration->found |= *slot == enumeration->target;
}

bool tally__refers(const void *object, const void *target)
{
    struct enumeration enumeration = {.target = target};
    const struct page *page = page_of(object);
    if (!page->tracked || bit_get(bits_of(page, BIT_FROZEN), slot_of(page, object)))
        return false;
    tally__slots_visit(type_of(object), (void *)(uintptr_t)object, refers, &enumeration);
    return enumeration.found;
}

static int referrer(void *object, void *arg)
{
    const struct enumeration *enumeration = arg;
    return tally__refers(object, enumeration->target) ? walked(object, arg) : 0;
}

int tally_referrers(struct tally_heap *heap, const void *target, tally_object_fn fn, void *arg)
{
    struct enumeration enumeration = {.heap = heap, .fn = fn, .arg = arg, .target = target};
    return walk(heap, referrer, &enumeration);
}

uint64_t tally__page_count(const struct tally_heap *heap)
{
    return heap->page_count;
}

int tally__page_look(struct tally_heap *heap, uint64_t serial, uint64_t after, tally_object_fn fn, void *arg)
{
    const struct page *page = heap->pages[serial];
    bool inside = after >> WIRE_PAGE_GRANULE_BITS == serial;
    return page ? page_walk(heap, page, inside ? expand(heap, after) : NULL, fn, arg) : 0;
}

uint32_t tally__type_row(const struct tally_heap *heap, const void *object)
{
    uint32_t index = type_of(object)->index;
    return index < heap->hot.pen.row_limit ? index : TYPE_OTHER;
}

void tally__page_candidates_look(const struct tally_heap *heap, uint64_t serial, tally__candidate_fn fn, void *arg)
{
    struct page *page = heap->pages[serial];
    if (!page || !(page->odd & ODD_CANDIDATES))
        return;
    for (uint32_t word = 0; word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        uint64_t old = bits_of(page, BIT_OLD)[word];
        for (uint64_t bits = bits_of(page, BIT_CANDIDATE)[word]; bits; bits &= bits - 1)
            fn(arg, tally__type_row(heap, stretch_at(stretch, bits)), old & bits & -bits);
    }
}
