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
    bool failed;
    struct map edges; /* object -> references to it from objects */
    uint64_t live[WIRE_ROW_COUNT];
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
        fail(check, "out of memory while verifying");
}

static int check_edges(void *object, void *arg)
{
    struct check *check = arg;
    const struct tally_type *type = type_of(object);
    uint32_t row = type->index < check->heap->hot.pen.row_limit ? type->index : TYPE_OTHER;
    check->live[row]++;
    check->weak_references += type->weak && ((struct tally_weak *)object)->referent_private;
    tally__slots_visit(type, object, count_edge, check);
    return check->failed;
}

static int check_counts(void *object, void *arg)
{
    struct check *check = arg;
    uint64_t *edges = map_get(&check->edges, (uintptr_t)object);
    if (edges && *edges > *word_of(object) >> TALLY_COUNT_SHIFT)
        fail(check, "%s: %llu references to an object whose count is %llu", type_of(object)->info.name,
             (unsigned long long)*edges, (unsigned long long)(*word_of(object) >> TALLY_COUNT_SHIFT));
    if (*word_of(object) < TALLY_COUNT_ONE)
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
    return check->failed;
}

static void check_list(struct check *check, const struct page *page, const void *slot, uint32_t *free_count)
{
    for (; slot && !check->failed; slot = *(void *const *)slot) {
        if (page_of(slot) != page || object_at(page, slot_of(page, slot)) != slot || *word_of(slot))
            fail(check, "a free list leads to what is no free slot");
        if (++*free_count > page->slot_count)
            fail(check, "a free list does not end");
    }
}

static void check_generations(struct check *check, const struct page *page, uint32_t slot)
{
    unsigned bits = bit_get(page->bits[BIT_MIDDLE], slot) + 0u + bit_get(page->bits[BIT_OLD], slot) +
                    bit_get(page->bits[BIT_FROZEN], slot);
    if (bits > 1)
        fail(check, "an object is in %u generations", bits);
    if (!bits && !page->young && page->heap->hot.current[page->class_index % CLASS_KINDS] != page)
        fail(check, "a young object stands in a page that no young collection visits");
    if (bit_get(page->bits[BIT_MIDDLE], slot) && !page->middle)
        fail(check, "a middle object stands in a page that no middle collection visits");
}

static void check_page(struct check *check, const struct page *page)
{
    uint32_t free_count = 0, live = 0, fresh = 0;
    check_list(check, page, page->free, &free_count);
    uint32_t handed = free_count; /* free, yet counted as used */
    check_list(check, page, page->freed, &free_count);
    for (uint32_t slot = 0; slot < page->slot_count && !check->failed; slot++) {
        char *object = object_at(page, slot);
        if (object >= page->bump)
            fresh++;
        else if (*word_of(object)) {
            live++;
            if (page->tracked)
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
    for (uint32_t row = 0; row < WIRE_ROW_COUNT && !check->failed; row++) {
        uint64_t live = pen->rows[row].allocated - pen->rows[row].freed_refcount - pen->rows[row].freed_cycle;
        if (live != check->live[row])
            fail(check, "row %u counts %llu live objects, and there are %llu", row, (unsigned long long)live,
                 (unsigned long long)check->live[row]);
    }
}

int tally_verify(struct tally_heap *heap, char *message, size_t size)
{
    if (!heap->hot.pen.rows)
        tally__forked(heap);
    struct check check = {.heap = heap, .message = message, .size = size};
    bool dying = heap->release_depth || heap->zero_list || heap->collecting;
    for (uint32_t i = 0; i < heap->page_count && !check.failed; i++)
        if (heap->pages[i])
            check_page(&check, heap->pages[i]);
    if (!check.failed)
        tally_walk(heap, check_edges, &check);
    if (!check.failed)
        tally_walk(heap, check_counts, &check);
    if (!dying) /* what is dying is counted in the rows, and not walked */
        check_rows(&check);
    if (!dying && check.weak_references)
        fail(&check, "%zu weak references stand in no list", check.weak_references);
    map_fini(&check.edges);
    return check.failed ? TALLY_ESTATE : 0;
}

#ifdef TALLY_DEBUG
void tally__broken(const char *sentence)
{
    fprintf(stderr, "tally: %s\n", sentence);
    abort();
}

void tally__check_heap(struct tally_heap *heap)
{
    char message[256];
    if (tally_verify(heap, message, sizeof message))
        tally__broken(message);
}
#endif
