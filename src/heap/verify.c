/* Checks a whole heap against itself: slots against lists, counts against edges, bits against generations,
 * weak references against their lists, counters against objects. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/internal.h"

struct check {
    struct tally_heap *heap;
    char *message;
    size_t size;
    bool failed, no_memory;
    struct map edges; /* object -> references to it from objects */
    uint64_t *live; /* by row */
    size_t weak_references;
};

__attribute__((format(printf, 2, 3))) static void fail(struct check *check, const char *format, ...)
{
    if (check->failed)
        return;
    check->failed = true;
    va_list arguments;
    va_start(arguments, format);
    if (check->message && check->size)
        vsnprintf(check->message, check->size, format, arguments);
    va_end(arguments);
}

static bool is_object(const struct check *check, const void *object)
{
    const struct page *page = page_of(object);
    return page->heap == check->heap && page->serial < check->heap->page_count &&
           check->heap->pages[page->serial] == page && (const char *)object < page->bump &&
           object_at(page, slot_of(page, object)) == object && *word_of(object);
}

/* Every object that is not dying, those that enumerations hide too. */
static void each(struct check *check, void (*fn)(struct check *check, void *object))
{
    struct tally_heap *heap = check->heap;
    for (uint32_t i = 0; i < heap->page_count && !check->failed; i++) {
        const struct page *page = heap->pages[i];
        for (uint32_t slot = 0; page && slot < page->slot_count && !check->failed; slot++) {
            char *object = object_at(page, slot);
            if (object >= page->bump)
                break;
            if (*word_of(object) && !(*word_of(object) & FLAG_GONE))
                fn(check, object);
        }
    }
}

static void count_edge(void **slot, void *arg)
{
    struct check *check = arg;
    if (!*slot || check->failed)
        return;
    if (!is_object(check, *slot)) {
        fail(check, "a slot holds what is no live object of this heap");
        return;
    }
    uint64_t *count = map_get(&check->edges, (uintptr_t)*slot);
    if (count)
        ++*count;
    else if (!map_put(&check->edges, (uintptr_t)*slot, 1))
        check->failed = check->no_memory = true;
}

static void check_edges(struct check *check, void *object)
{
    const struct tally_type *type = type_of(object);
    uint32_t row = type->index < check->heap->hot.pen.row_limit ? type->index : TYPE_OTHER;
    check->live[row]++;
    check->weak_references += type->weak && ((struct tally_weak *)object)->referent_private;
    tally__slots_visit(type, object, count_edge, check);
}

static void check_counts(struct check *check, void *object)
{
    uint64_t *edges = map_get(&check->edges, (uintptr_t)object);
    if (edges && *edges > tally_refcount(object))
        fail(check, "%s: %llu references to an object whose count is %llu", type_of(object)->info.name,
             (unsigned long long)*edges, (unsigned long long)tally_refcount(object));
    if (*word_of(object) < TALLY_COUNT_ONE && !check->heap->run.phase) /* an entry may, in the trash */
        fail(check, "%s: a live object whose count is 0", type_of(object)->info.name);
    bool listed = map_get(&check->heap->weak_heads, (uintptr_t)object);
    if (listed != !!(*word_of(object) & FLAG_WEAK))
        fail(check, "%s: the weak flag and the list of weak references differ", type_of(object)->info.name);
    for (const struct tally_weak *weak =
             listed ? *(void **)map_get(&check->heap->weak_heads, (uintptr_t)object) : NULL;
         weak; weak = weak->next_private) {
        if (weak->referent_private != object)
            fail(check, "weakref: stands in the list of another object");
        check->weak_references--;
    }
    bool buffered = *word_of(object) & TALLY_FLAG_BUFFERED;
    const struct page *page = page_of(object);
    if (buffered && (!page->tracked || !bit_get(bits_of(page, BIT_CANDIDATE), slot_of(page, object))))
        fail(check, "%s: flagged as a candidate, and is none", type_of(object)->info.name);
}

static void check_list(struct check *check, const struct page *page, const void *slot, uint32_t *free_count)
{
    for (; slot; slot = *(void *const *)slot) {
        if (page_of(slot) != page || object_at(page, slot_of(page, slot)) != slot || *word_of(slot)) {
            fail(check, "a free list leads to what is no free slot");
            return;
        }
        if (++*free_count > page->slot_count) {
            fail(check, "a free list does not end");
            return;
        }
    }
}

static void check_generations(struct check *check, const struct page *page, uint32_t slot)
{
    unsigned bits = bit_get(bits_of(page, BIT_MIDDLE), slot) + 0u + bit_get(bits_of(page, BIT_OLD), slot) +
                    bit_get(bits_of(page, BIT_FROZEN), slot);
    if (bits > 1)
        fail(check, "an object is in %u generations", bits);
    if (!bits && !page->links[LIST_YOUNG].at && !page->heap->run.phase)
        fail(check, "a young object stands in a page that no young collection visits");
    if (bit_get(bits_of(page, BIT_MIDDLE), slot) && !page->links[LIST_MIDDLE].at && !page->heap->run.phase)
        fail(check, "a middle object stands in a page that no middle collection visits");
}

static void check_page(struct check *check, const struct page *page)
{
    uint32_t free_count = 0, live = 0, fresh = 0;
    if (page->class_index != CLASS_LARGE && check->heap->hot.current[page->class_index] == page)
        check_list(check, page, check->heap->hot.free[page->class_index], &free_count);
    uint32_t handed = free_count; /* free, yet counted as used */
    check_list(check, page, page->freed, &free_count);
    for (uint32_t slot = 0; slot < page->slot_count && !check->failed; slot++) {
        char *object = object_at(page, slot);
        if (object >= page->bump)
            fresh++;
        else if (*word_of(object)) {
            live++;
            if (page->tracked && !(*word_of(object) & FLAG_APART))
                check_generations(check, page, slot);
        }
    }
    if (!check->failed && live + free_count + fresh != page->slot_count)
        fail(check, "a page of %u slots has %u live, %u free and %u fresh ones", page->slot_count, live,
             free_count, fresh);
    if (!check->failed && page->used != live + handed)
        fail(check, "a page counts %u slots in use, and has %u", page->used, live + handed);
}

static void check_rows(struct check *check)
{
    const struct feed_pen *pen = &check->heap->hot.pen;
    for (uint32_t row = 0; row < pen->counters->row_capacity && !check->failed; row++) {
        uint64_t live = pen->rows[row].allocated - pen->rows[row].freed_refcount -
                        pen->rows[row].freed_cycle + pen->rows[row].moved_in - pen->rows[row].moved_out;
        if (live != check->live[row])
            fail(check, "row %u counts %llu live objects, and there are %llu", row, (unsigned long long)live,
                 (unsigned long long)check->live[row]);
    }
}

static void check_candidates(struct check *check)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < check->heap->page_count; i++) {
        const struct page *page = check->heap->pages[i];
        uint64_t here = 0;
        for (uint32_t word = 0; page && page->tracked && word < page->words; word++)
            here += (uint64_t)__builtin_popcountll(bits_of(page, BIT_CANDIDATE)[word]);
        if (here && !page->links[LIST_CANDIDATES].at)
            fail(check, "a page with candidates stands in no list of such");
        count += here;
    }
    if (count != check->heap->candidate_count)
        fail(check, "%llu candidates are counted, and there are %llu",
             (unsigned long long)check->heap->candidate_count, (unsigned long long)count);
}

/* ---- acyclic types: what nothing outside reaches, and is not tracked, leaks */

#define ACYCLIC_SEARCHES 64u

struct reach {
    struct check *check;
    struct map reached;
    void **stack;
    size_t count, room;
    unsigned searches; /* that are left: each may go through the whole garbage */
};

static void reach(void **slot, void *arg)
{
    struct reach *reach = arg;
    struct check *check = reach->check;
    if (!*slot || check->failed || map_get(&reach->reached, (uintptr_t)*slot))
        return;
    if (reach->count == reach->room) {
        size_t room = reach->room ? 2 * reach->room : 256;
        void **stack = realloc(reach->stack, room * sizeof *stack);
        if (!stack) {
            check->failed = check->no_memory = true;
            return;
        }
        reach->stack = stack;
        reach->room = room;
    }
    check->failed = check->no_memory = !map_put(&reach->reached, (uintptr_t)*slot, 1);
    reach->stack[reach->count++] = *slot;
}

static bool claims_acyclic(const struct tally_type *type)
{
    return type->info.flags & TALLY_TYPE_ACYCLIC && !type->plain;
}

/* References from outside: counts above the edges. */
static bool is_root(const struct check *check, const void *object)
{
    const uint64_t *edges = map_get(&check->edges, (uintptr_t)object);
    return tally_refcount(object) > (edges ? *edges : 0);
}

static void drain(struct reach *reach_)
{
    while (reach_->count && !reach_->check->failed) {
        void *object = reach_->stack[--reach_->count];
        tally__slots_visit(type_of(object), object, reach, reach_);
    }
}

static int reach_from_root(void *object, void *arg)
{
    struct reach *reach_ = arg;
    if (is_root(reach_->check, object))
        reach(&object, reach_);
    drain(reach_);
    return reach_->check->failed;
}

/* Whether the object, which nothing outside reaches, reaches itself; not only hangs on a cycle. */
static bool reaches_itself(struct reach *outer, void *object)
{
    struct reach inner = {.check = outer->check};
    tally__slots_visit(type_of(object), object, reach, &inner);
    drain(&inner);
    bool itself = map_get(&inner.reached, (uintptr_t)object);
    map_fini(&inner.reached);
    free(inner.stack);
    return itself;
}

static int unreached(void *object, void *arg)
{
    struct reach *reach_ = arg;
    const struct tally_type *type = type_of(object);
    if (!claims_acyclic(type) || !reach_->searches || map_get(&reach_->reached, (uintptr_t)object))
        return 0;
    reach_->searches--;
    if (reaches_itself(reach_, object)) {
        tally__report(
            reach_->check->heap, TALLY_REPORT_ACYCLIC, type,
            "an object of a type that claims to be acyclic is in a cycle that nothing else refers to");
        fail(reach_->check, "%s: claims to be acyclic, and is part of a garbage cycle", type->info.name);
    }
    return reach_->check->failed;
}

static void check_acyclic(struct check *check)
{
    bool any = false;
    for (uint32_t i = 0; i < tally__type_count(); i++)
        any |= claims_acyclic(atomic_load(&tally__types[i]));
    if (!any)
        return;
    struct reach reach_ = {.check = check, .searches = ACYCLIC_SEARCHES};
    tally_walk(check->heap, reach_from_root, &reach_);
    if (!check->failed)
        tally_walk(check->heap, unreached, &reach_);
    map_fini(&reach_.reached);
    free(reach_.stack);
}

int tally_verify(struct tally_heap *heap, char *message, size_t size)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    struct check check = {.heap = heap, .message = message, .size = size};
    bool dying = heap->release_depth || tally__deaths_pending(heap) || heap->run.phase;
    check.live = calloc(heap->hot.pen.counters->row_capacity, sizeof *check.live);
    if (!check.live)
        return TALLY_ENOMEM;
    for (uint32_t i = 0; i < heap->page_count && !check.failed; i++)
        if (heap->pages[i])
            check_page(&check, heap->pages[i]);
    if (!check.failed)
        each(&check, check_edges);
    if (!check.failed)
        each(&check, check_counts);
    if (!check.failed)
        check_candidates(&check);
    if (!check.failed && !dying) /* what is dying is counted in the rows, and not walked */
        check_rows(&check);
    if (!check.failed && !dying && check.weak_references)
        fail(&check, "%zu weak references stand in no list", check.weak_references);
    if (!check.failed && !dying)
        check_acyclic(&check);
    map_fini(&check.edges);
    free(check.live);
    return check.no_memory ? TALLY_ENOMEM : check.failed ? TALLY_ESTATE : 0;
}

#ifdef TALLY_DEBUG
#define CHECK_CREDIT 64u /* objects' worth of checking that an operation pays for */

void tally__check_heap(struct tally_heap *heap, bool now)
{
    char message[256] = "";
    struct feed_totals totals = {.allocations = 0};
    if (heap->checking || heap->release_depth || heap->collecting || !heap->hot.pen.rows)
        return;
    feed_totals(&heap->hot.pen, &totals);
    heap->check_credit += CHECK_CREDIT;
    if (!now && heap->check_credit < totals.allocations - totals.frees_refcount - totals.frees_cycle)
        return;
    heap->check_credit = 0;
    heap->checking = true;
    if (tally_verify(heap, message, sizeof message) == TALLY_ESTATE)
        tally__report(heap, TALLY_REPORT_CORRUPT, NULL, "%s", message);
    heap->checking = false;
}
#endif
