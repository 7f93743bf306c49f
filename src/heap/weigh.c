/* Weighing: where the counts of a set of objects add up to the references that they hold among themselves, nothing
 * outside holds any of them, and all are garbage. That is seen in one pass over the set, front to back; no trial
 * count is written, and nothing need be marked.
 *
 * It is tried where it is likely: of the pages that are dense with candidates their candidates, since what a
 * program makes and drops loses all its references from outside; and all members of a run over the whole heap
 * most of which are candidates. Where the sums differ, something lives, and the run goes on as find.c says: what
 * has been lost is that pass, so that after a failure some runs go without.
 *
 * Any set will do, as in find.c: an edge from outside leaves the sums apart. So does an edge that no traverse
 * reports; one that is reported twice can make up for a reference from outside, as it would there, which is why
 * sets with objects of such types are not weighed. A slot that was written past the library is an edge that nobody
 * counts, too: here it can make up for a reference to any member, in find.c for one to its own object alone. */
#include <string.h>

#include "heap/trace.h"

#define WEIGHED_LEAST 512u /* objects; fewer are not worth it */
#define SKIPPED_MOST  64u  /* runs */

struct scales {
    uint64_t run;
    uint64_t counts, inside; /* references counted by members; held by members, to members */
    uint64_t flags;          /* that some member has */
    bool outside;            /* members hold something else */
    bool flagged;            /* members are the objects that are flagged as candidates, in their pages */
};

typedef void (*visit_fn)(void *object, void *arg);

/* Mostly all 64 objects of a bitmap's word are members. */
static FORCE_INLINE void members_each(const struct page *page, visit_fn visit, void *arg)
{
    for (uint32_t at = 0; at < page->words; at++) {
        struct stretch stretch = stretch_of(page, at);
        uint64_t bits = bits_of(page, BIT_MEMBER)[at];
        if (bits == UINT64_MAX) {
            char *object = stretch.first;
            for (unsigned i = 0; i < 64; i++, object += stretch.bytes)
                visit(object, arg);
            continue;
        }
        for (; bits; bits &= bits - 1)
            visit(stretch_at(stretch, bits), arg);
    }
}

struct words {
    uint64_t counts, any, all; /* the sum; bits that some and that every one has */
};

static FORCE_INLINE void word_weigh(void *object, void *arg)
{
    struct words *words = arg;
    uint64_t word = *word_of(object);
    words->counts += word >> TALLY_COUNT_SHIFT;
    words->any |= word;
    words->all &= word;
}

static bool has_frozen(const struct page *page)
{
    uint64_t frozen = 0;
    for (uint32_t at = 0; at < page->words; at++)
        frozen |= bits_of(page, BIT_MEMBER)[at] & bits_of(page, BIT_FROZEN)[at];
    return frozen;
}

/* The counts of the page's members, and page->only. false: the sums would prove nothing, since a member is frozen, or apart, or of a type whose traverse might tell twice. */
static bool page_counts(struct scales *scales, struct page *page)
{
    struct words words = {0, 0, UINT64_MAX};
    members_each(page, word_weigh, &words);
    bool same = type_index_of(words.all) == type_index_of(words.any);
    page->only = same && type_of_word(words.all)->fixed ? type_of_word(words.all) : NULL;
    scales->counts += words.counts;
    scales->flags |= words.any;
    return !has_frozen(page) && !(words.any & (FLAG_APART | FLAG_ODD));
}

static FORCE_INLINE bool is_inside(uint64_t run, const void *child)
{
    const struct page *page = page_of(child);
    return page->run == run && (page->whole || bit_get(bits_of(page, BIT_MEMBER), slot_of(page, child)));
}

struct column { /* one slot of each member: they are of one type */
    uint64_t run, offset, edges, inside;
    const struct page *page;
    bool flagged;
};

/* Most neighbours are of the same page. */
static FORCE_INLINE void slot_weigh(void *object, void *arg)
{
    struct column *column = arg;
    const void *child = *(void **)((char *)object + column->offset);
    if (!child)
        return;
    column->edges++;
    if (column->flagged && ((uintptr_t)child ^ (uintptr_t)column->page) < PAGE_BYTES)
        column->inside += *word_of(child) / TALLY_FLAG_BUFFERED % 2;
    else
        column->inside += is_inside(column->run, child);
}

static void column_weigh(struct scales *scales, const struct page *page, uint32_t offset)
{
    struct column column = {scales->run, offset, 0, 0, page, scales->flagged};
    members_each(page, slot_weigh, &column);
    scales->inside += column.inside;
    scales->outside |= column.inside != column.edges;
}

static void edge_weigh(struct scales *scales, const void *child)
{
    if (!child)
        return;
    if (is_inside(scales->run, child))
        scales->inside++;
    else
        scales->outside = true;
}

/* All slots of a light object. */
static void object_weigh(void *object, void *arg)
{
    const struct tally_type *type = type_of(object);
    void **slots = NULL;
    for (size_t at = 0; at < type->ref_count; at++)
        edge_weigh(arg, *light_slot(type, object, at));
    for (size_t at = trailing_slots(type, object, &slots); at > 0; at--)
        edge_weigh(arg, slots[at - 1]);
}

static void page_edges(struct scales *scales, const struct page *page)
{
    const struct tally_type *type = page->only;
    if (!type)
        members_each(page, object_weigh, scales);
    for (size_t at = 0; type && at < type->ref_count; at++)
        column_weigh(scales, page, type->offsets[at]);
}

/* Weighs the members of the pages in the run's scope. */
static bool weigh(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    struct scales scales = {.run = heap->run_number, .flagged = run->scope == TALLY_SCOPE_CANDIDATES};
    for (struct page *page = heap->scope; page; page = page->next_scope) {
        if (!page_counts(&scales, page))
            return false;
        page_edges(&scales, page);
    }
    if (scales.counts != scales.inside)
        return false;
    run->mixed |= (scales.flags & FLAGS_HEAVY) != 0;
    run->outside |= scales.outside;
    return true;
}

/* After a failure the next tries are further apart. */
static bool is_time(struct tally_heap *heap)
{
    return !heap->weigh_wait || !--heap->weigh_wait;
}

static bool judged(struct tally_heap *heap, bool dead)
{
    uint32_t more = 2 * heap->weigh_skip + 1;
    heap->weigh_skip = dead ? 0 : more < SKIPPED_MOST ? more : SKIPPED_MOST;
    heap->weigh_wait = heap->weigh_skip;
    return dead;
}

/* Some of its slots are in use because the fast path has them. */
static bool is_current(const struct tally_heap *heap, const struct page *page)
{
    return page->class_index != CLASS_LARGE && heap->hot.current[page->class_index] == page;
}

static uint64_t page_enter_candidates(struct tally_heap *heap, struct page *page)
{
    uint64_t count = 0;
    tally__page_enter(heap, page);
    memcpy(bits_of(page, BIT_MEMBER), bits_of(page, BIT_CANDIDATE), (size_t)page->words * 8);
    for (uint32_t word = 0; word < page->words; word++)
        count += (uint64_t)__builtin_popcountll(bits_of(page, BIT_MEMBER)[word]);
    page->whole = count == page->used && !is_current(heap, page);
    return count;
}

/* Their flags go with them, but where the program may get at them first: in callbacks, or before the run has decided,
 * which it does in this slice if no other candidates are left. */
static void pages_take_candidates(struct tally_heap *heap)
{
    for (struct page *page = heap->scope; page; page = page->next_scope)
        tally__list_remove(page, LIST_CANDIDATES);
    heap->run.weighed = !heap->lists[LIST_CANDIDATES];
    for (struct page *page = heap->scope; page; page = page->next_scope) {
        if (heap->run.mixed || !heap->run.weighed)
            tally__page_unflag(page);
        memset(bits_of(page, BIT_CANDIDATE), 0, (size_t)page->words * 8);
        memset(trial_of(page), 0, (size_t)page->slot_count * sizeof(uint16_t));
    }
}

/* Post-condition where true: the candidates of all dense pages are none any more, but members, and trash. */
bool tally__weigh_candidates(struct tally_heap *heap)
{
    uint64_t count = 0;
    if (heap->run.sliced || heap->candidate_count < WEIGHED_LEAST || !is_time(heap))
        return false;
    for (struct page *page = heap->lists[LIST_CANDIDATES]; page; page = page->links[LIST_CANDIDATES].next)
        if (tally__page_is_dense(page))
            count += page_enter_candidates(heap, page);
    if (!judged(heap, count && weigh(heap))) {
        tally__scope_clear(heap);
        return false;
    }
    pages_take_candidates(heap);
    heap->candidate_count -= count;
    heap->run.record.examined += count;
    return true;
}

/* Whether all members of a run over the heap, of which so many were candidates, are trash. */
bool tally__weigh_members(struct tally_heap *heap)
{
    const struct run *run = &heap->run;
    uint64_t members = run->record.examined;
    if (run->sliced || run->scope != TALLY_SCOPE_HEAP || members < WEIGHED_LEAST ||
        run->candidates < members - members / 8)
        return false;
    if (!weigh(heap))
        return false;
    for (struct page *page = heap->scope; page; page = page->next_scope)
        memset(trial_of(page), 0, (size_t)page->slot_count * sizeof(uint16_t));
    map_clear(&heap->hubs);
    return true;
}
