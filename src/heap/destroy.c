/* What happens to the trash of a run that has decided, in CPython 3.11's order.
 *
 *   weak        weak references to trash read NULL, and so do those that are trash
 *   callbacks   of the former run
 *   finalize    finalizers of trash run, each once
 *   (rest, subtract, mark, promote: what they made reachable again leaves the trash, find.c)
 *   keep        under SAVEALL the trash goes to the garbage list and is none any more
 *   weak rest   weak references that finalizers made
 *   hold        each object of the trash is held
 *   clear       its slots are released; not what they hold in the trash itself
 *   free        each is freed that nobody but the hold keeps
 *
 * A reference that no traverse reports, or that one reports twice, leaves a count that differs from the hold:
 * the object is kept, whole in memory, and reported.
 *
 * Where nobody can see it, the way is shorter: trash of light types alone (fast.h), freed in one piece, is not
 * held nor cleared, as it has no slot that was not seen. It lets go of what it holds outside, and is freed. */
#include "heap/fast.h"

/* What dies with the trash may be the host's to finalize, or set off what is. */
static void guest_edge(void **slot, void *arg)
{
    struct tally_heap *heap = arg;
    if (!*slot || tally__is_trash(heap, *slot))
        return;
    const struct tally_type *type = type_of(*slot);
    heap->run.refused |= !type->plain || type->info.finalize || type->info.dispose ||
                         *word_of(*slot) & (FLAG_WEAK | FLAG_EXTERN | FLAG_PINNED);
}

static bool guest_one(struct tally_heap *heap, void *object)
{
    const struct tally_type *type = type_of(object);
    heap->run.refused |= type->info.finalize || type->info.dispose || type->info.traverse || type->weak ||
                         *word_of(object) & (FLAG_WEAK | FLAG_EXTERN | FLAG_PINNED);
    if (!heap->run.refused)
        tally__slots_visit(type, object, guest_edge, heap);
    return true;
}

/* The agent frees for a parked owner only where no code of the host's can have to run; else it stops here. */
bool tally__trash_guest(struct tally_heap *heap)
{
    if (!heap->run.guest || !pthread_equal(heap->run.runner, pthread_self()))
        return true;
    return tally__trash_each(heap, guest_one) && !heap->run.refused;
}

static bool weak_one(struct tally_heap *heap, void *object)
{
    uint64_t word = *word_of(object);
    if (!(word & FLAGS_HEAVY))
        return true;
    heap->run.heavy = true;
    if (word & FLAG_WEAK)
        tally__weak_clear_all(heap, object, &heap->run.queue);
    if (type_of_word(word)->weak)
        tally__weak_detach(heap, object);
    return true;
}

bool tally__trash_weak(struct tally_heap *heap)
{
    heap->run.heavy |= !tally__slice_fits(heap, heap->run.found, &heap->trash_cost) || heap->debug || heap->hot.types_known > heap->hot.pen.row_limit;
    return !heap->run.mixed || tally__trash_each(heap, weak_one);
}

bool tally__trash_callbacks(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    while (run->queue.first) {
        run->host_ran = true;
        run->collected += tally__weak_callback(heap, &run->queue, true, tally__generation_after(run));
        if (!slice_spend(heap, 1))
            return !run->queue.first;
    }
    return true;
}

static bool finalize_one(struct tally_heap *heap, void *object)
{
    heap->run.host_ran |= tally__finalize(heap, object, type_of(object));
    return true;
}

bool tally__trash_finalize(struct tally_heap *heap)
{
    return !heap->run.heavy || tally__trash_each(heap, finalize_one);
}

static void debug_line(struct tally_heap *heap, enum tally_debug flag, const char *word, const void *object)
{
    if (heap->debug & flag)
        tally__report(heap, TALLY_REPORT_DEBUG, type_of(object), "%s <%s %llu>", word,
                      type_of(object)->info.name, (unsigned long long)tally_object_id(object));
}

static bool keep_one(struct tally_heap *heap, void *object)
{
    *word_of(object) &= ~TALLY_FLAG_BUFFERED;
    tally__generation_set(object, tally__generation_after(&heap->run));
    if (tally__garbage_push(heap, object))
        heap->run.collected++;
    else
        heap->complete = false; /* no run has to find it otherwise */
    debug_line(heap, TALLY_DEBUG_COLLECTABLE, "collectable", object);
    tally__member_drop(heap, object);
    return true;
}

bool tally__trash_keep(struct tally_heap *heap)
{
    return !(heap->debug & TALLY_DEBUG_SAVEALL) || tally__trash_each(heap, keep_one);
}

bool tally__trash_weak_rest(struct tally_heap *heap)
{
    return !heap->run.host_ran || tally__trash_each(heap, weak_one);
}

static bool hold_one(struct tally_heap *heap, void *object)
{
    debug_line(heap, TALLY_DEBUG_COLLECTABLE, "collectable", object);
    *word_of(object) = (*word_of(object) | FLAG_DYING) + TALLY_COUNT_ONE;
    return true;
}

bool tally__trash_hold(struct tally_heap *heap)
{
    return !heap->run.heavy || tally__trash_each(heap, hold_one);
}

static void clear_slot(void **slot, void *arg)
{
    void *child = *slot;
    *slot = NULL;
    if (!child)
        return;
    if (tally__is_trash(arg, child))
        *word_of(child) -= TALLY_COUNT_ONE; /* held: never the last */
    else
        tally_decref(child);
}

/* Last slot first, a chunk at a time. */
static bool clear_one(struct tally_heap *heap, void *object)
{
    struct run *run = &heap->run;
    const struct tally_type *type = type_of(object);
    if (run->open != object) {
        run->open = object;
        run->at = tally__slot_count(type, object);
    }
    for (size_t chunk = SLOTS_CHUNK; run->at > 0;) {
        clear_slot(tally__slot_at(type, object, --run->at), heap);
        if (!--chunk) {
            chunk = SLOTS_CHUNK;
            if (!slice_spend(heap, SLOTS_CHUNK))
                return false;
        }
    }
    run->open = NULL;
    if (type->info.traverse)
        type->info.traverse(object, clear_slot, heap);
    return true;
}

/* The last slot first, as clear_one() does it. */
static bool clear_light(struct tally_heap *heap, void *object)
{
    const struct tally_type *type = type_of(object);
    for (size_t at = tally__slot_count(type, object); at > 0; at--) {
        void **slot = tally__slot_at(type, object, at - 1), *child = *slot;
        if (!child || tally__is_trash(heap, child))
            continue;
        *slot = NULL;
        tally_decref(child);
    }
    return true;
}

bool tally__trash_clear(struct tally_heap *heap)
{
    const struct run *run = &heap->run;
    if (!run->heavy && !run->outside && !run->survivors)
        return true; /* what it refers to is trash, all of it */
    return tally__trash_each(heap, heap->run.heavy ? clear_one : clear_light);
}

static void uncollectable(struct tally_heap *heap, void *object)
{
    heap->run.uncollectable++;
    *word_of(object) = (*word_of(object) - TALLY_COUNT_ONE) & ~(FLAG_DYING | TALLY_FLAG_BUFFERED);
    tally__generation_set(object, tally__generation_after(&heap->run));
    tally__member_drop(heap, object);
    debug_line(heap, TALLY_DEBUG_UNCOLLECTABLE, "uncollectable", object);
    tally__report(
        heap, TALLY_REPORT_MISSED, type_of(object),
        "garbage is still referred to after all of it was cleared: a traverse misses that reference, or "
        "reports one twice; the object is kept, cleared");
}

static bool free_one(struct tally_heap *heap, void *object)
{
    struct run *run = &heap->run;
    if (*word_of(object) >> TALLY_COUNT_SHIFT != 1) {
        uncollectable(heap, object);
        return true;
    }
    run->collected += type_of(object)->index != TYPE_ENTRY;
    run->freed_bytes += tally__size_of(type_of(object), object);
    tally__object_free(heap, object, WIRE_EVENT_FREE_CYCLE);
    return true;
}

/* Frees of one type after another, counted together. */
struct same {
    const struct tally_type *type;
    uint64_t objects, bytes;
};

static void same_count(struct tally_heap *heap, const struct same *same)
{
    if (!same->objects)
        return;
    struct wire_row *row = &heap->hot.pen.rows[same->type->index];
    if (same->type->variable)
        feed_add_release(&row->freed_cycle_bytes, same->bytes);
    feed_add_release(&row->freed_cycle, same->objects);
    heap->run.freed_bytes += same->bytes;
}

/* Trash goes: it is no member any more, and its slots start anew as young ones. */
static void word_forget(struct page *page, uint32_t word, uint64_t trash)
{
    bits_of(page, BIT_MEMBER)[word] &= ~trash;
    for (unsigned i = BIT_HELD; i <= BIT_FROZEN; i++)
        bits_of(page, i)[word] &= ~trash;
    page->cleaned += (uint32_t)__builtin_popcountll(trash);
}

static FORCE_INLINE void word_link(struct page *page, struct stretch stretch, uint64_t trash, void **list)
{
    if (trash == UINT64_MAX) {
        char *object = stretch.first;
        for (unsigned i = 0; i < 64; i++, object += stretch.bytes)
            slot_link(page, object, list);
        return;
    }
    for (; trash; trash &= trash - 1)
        slot_link(page, stretch_at(stretch, trash), list);
}

/* The trash of a page all of whose members are of one type, which is fixed. Its candidates have been taken. */
static uint64_t page_free_only(struct tally_heap *heap, struct page *page)
{
    struct same same = {page->only, 0, 0};
    void *list = page->freed;
    for (uint32_t word = 0; word < page->words; word++) {
        uint64_t trash = bits_of(page, BIT_MEMBER)[word] & ~bits_of(page, BIT_ALIVE)[word];
        if (!trash)
            continue;
        word_forget(page, word, trash);
        same.objects += (uint64_t)__builtin_popcountll(trash);
        word_link(page, stretch_of(page, word), trash, &list);
    }
    page->freed = list;
    page->used -= (uint32_t)same.objects;
    same.bytes = same.objects * same.type->size;
    same_count(heap, &same);
    page_settle(heap, page);
    return same.objects;
}

/* The trash among 64 slots; returns how many there were. */
static unsigned word_free_light(struct tally_heap *heap, struct page *page, uint32_t word)
{
    uint64_t trash = bits_of(page, BIT_MEMBER)[word] & ~bits_of(page, BIT_ALIVE)[word];
    uint64_t candidates = trash & bits_of(page, BIT_CANDIDATE)[word];
    unsigned count = (unsigned)__builtin_popcountll(trash);
    word_forget(page, word, trash);
    bits_of(page, BIT_CANDIDATE)[word] &= ~candidates;
    heap->candidate_count -= (uint64_t)__builtin_popcountll(candidates);
    struct stretch stretch = stretch_of(page, word);
    for (; trash; trash &= trash - 1) {
        void *object = stretch_at(stretch, trash);
        const struct tally_type *type = type_of(object);
        heap->run.freed_bytes += light_bytes(type, object);
        count_light(heap, object, type, WIRE_EVENT_FREE_CYCLE);
        slot_free(page, object);
    }
    return count;
}

static uint64_t page_free_light(struct tally_heap *heap, struct page *page)
{
    if (page->only && heap->hot.pen.level == WIRE_LEVEL_OFF)
        return page_free_only(heap, page);
    uint64_t count = 0;
    for (uint32_t word = 0; word < page->words; word++)
        count += word_free_light(heap, page, word);
    page_settle(heap, page);
    return count;
}

/* A page of trash and nothing else. */
static uint64_t page_free_whole(struct tally_heap *heap, struct page *page)
{
    struct same same = {NULL, 0, 0};
    uint64_t count = 0;
    for (uint32_t word = 0; word < page->words; word++) {
        struct stretch stretch = stretch_of(page, word);
        uint64_t *candidates = &bits_of(page, BIT_CANDIDATE)[word]; /* a young run has left them */
        heap->candidate_count -= (uint64_t)__builtin_popcountll(*candidates);
        *candidates = 0;
        for (uint64_t trash = bits_of(page, BIT_MEMBER)[word]; trash; trash &= trash - 1) {
            void *object = stretch_at(stretch, trash);
            const struct tally_type *type = type_of(object);
            *word_of(object) = 0;
            if (type != same.type) {
                same_count(heap, &same);
                same = (struct same){type, 0, 0};
            }
            same.objects++;
            same.bytes += light_bytes(type, object);
            count++;
        }
    }
    same_count(heap, &same);
    tally__page_reset(heap, page);
    return count;
}

/* Where nothing lives on, and the program has not run, nor anything outside been let go of, which might have run code
 * of the host's, a page that was whole is trash through and through. */
static bool free_light_all(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    bool all = !run->sliced && !run->outside && !run->survivors && heap->hot.pen.level == WIRE_LEVEL_OFF;
    for (struct page *page = run->page; page; page = page->next_scope) {
        if (page->next_scope && page->next_scope->doomed)
            tally__trash_fetch(page->next_scope);
        if (!page->doomed)
            continue;
        uint64_t count = all && page->whole && page->class_index != CLASS_LARGE ? page_free_whole(heap, page)
                                                                                : page_free_light(heap, page);
        run->collected += count;
        heap->hot.young_count -= count < heap->hot.young_count ? count : heap->hot.young_count;
    }
    return true;
}

bool tally__trash_free(struct tally_heap *heap)
{
    return heap->run.heavy ? tally__trash_each(heap, free_one) : free_light_all(heap);
}

bool tally__trash_callbacks_rest(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    while (run->queue.first) {
        tally__weak_callback(heap, &run->queue, true, -1);
        if (!slice_spend(heap, 1))
            return !run->queue.first;
    }
    return true;
}
