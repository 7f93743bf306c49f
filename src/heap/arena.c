/* Memory from the system, and back to it. Pages are cut from arenas of 2 MiB, aligned to that, so that one
 * huge page may lie beneath 32 of them: a random access to a large heap costs a walk of the page tables less.
 * Pages of a host's own (hooks), and of large objects, are mapped one by one. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "heap/internal.h"
#include "heap/poison.h"

#define ARENA_BYTES ((size_t)2 << 20)
#define ARENA_ALL   UINT32_MAX /* of its pages */
#define HUGE_FROM   (16 * ARENA_BYTES) /* mapped: what a huge page may waste is little beside that */
_Static_assert(ARENA_BYTES / PAGE_BYTES == 32, "a bit for each page");

struct arena {
    char *base;
    uint32_t free; /* pages that are not in use: their memory has gone back */
    struct arena *next, **at; /* of those that have some; at NULL: it has none */
};

void *tally__map(size_t bytes)
{
    int saved = errno;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved;
    return memory == MAP_FAILED ? NULL : memory;
}

void *tally__reserve(size_t bytes)
{
    int saved = errno;
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    return memory == MAP_FAILED ? NULL : memory;
}

void tally__unmap(void *memory, size_t bytes)
{
    int saved = errno;
    if (memory)
        munmap(memory, bytes); /* of no bytes at all: refused, and no matter */
    errno = saved;
}

static void advise(void *memory, size_t bytes, int advice)
{
    int saved = errno;
    madvise(memory, bytes, advice); /* only ever a matter of speed, or of when memory goes back */
    errno = saved;
}

/* A mapping aligned to a power of two: neighbours of an aligned one mostly are, else the overhang goes back. */
static void *map_aligned(size_t bytes, size_t align)
{
    char *memory = tally__map(bytes);
    if (!memory || !((uintptr_t)memory & (align - 1)))
        return memory;
    tally__unmap(memory, bytes);
    memory = tally__map(bytes + align);
    if (!memory)
        return NULL;
    size_t before = (align - ((uintptr_t)memory & (align - 1))) & (align - 1);
    tally__unmap(memory, before);
    tally__unmap(memory + before + bytes, align - before);
    return memory + before;
}

static void arena_link(struct tally_heap *heap, struct arena *arena)
{
    arena->next = heap->arenas;
    arena->at = &heap->arenas;
    if (arena->next)
        arena->next->at = &arena->next;
    heap->arenas = arena;
}

static void arena_unlink(struct arena *arena)
{
    *arena->at = arena->next;
    if (arena->next)
        arena->next->at = arena->at;
    arena->at = NULL;
}

static struct arena *arena_new(struct tally_heap *heap)
{
    struct arena *arena = malloc(sizeof *arena);
    char *base = arena ? map_aligned(ARENA_BYTES, ARENA_BYTES) : NULL;
    if (!base) {
        free(arena);
        return NULL;
    }
    if (heap->mapped_bytes >= HUGE_FROM)
        advise(base, ARENA_BYTES, MADV_HUGEPAGE);
    *arena = (struct arena){.base = base, .free = ARENA_ALL};
    arena_link(heap, arena);
    return arena;
}

static void *arena_take(struct tally_heap *heap, struct arena **from)
{
    struct arena *arena = heap->arenas ? heap->arenas : arena_new(heap);
    if (!arena)
        return NULL;
    unsigned at = (unsigned)__builtin_ctz(arena->free);
    arena->free &= arena->free - 1;
    if (!arena->free)
        arena_unlink(arena);
    *from = arena;
    return arena->base + at * PAGE_BYTES;
}

static void arena_give(struct tally_heap *heap, struct arena *arena, char *page)
{
    if (!arena->free)
        arena_link(heap, arena);
    arena->free |= (uint32_t)1 << (size_t)(page - arena->base) / PAGE_BYTES;
    if (arena->free != ARENA_ALL) {
        advise(page, PAGE_BYTES, MADV_DONTNEED);
        return;
    }
    arena_unlink(arena);
    tally__unmap(arena->base, ARENA_BYTES);
    free(arena);
}

static void *hook_map(struct tally_heap *heap, size_t bytes)
{
    void *memory = heap->hooks.map(bytes, heap->hooks.arg);
    if (memory && (uintptr_t)memory & PAGE_MASK) { /* a hook's fault: unusable */
        heap->hooks.unmap(memory, bytes, heap->hooks.arg);
        return NULL;
    }
    return memory;
}

static void mapped_add(struct tally_heap *heap, size_t bytes)
{
    heap->mapped_bytes += bytes;
    if (heap->hot.pen.counters)
        atomic_store_explicit(&heap->hot.pen.counters->mapped_bytes, heap->mapped_bytes, memory_order_relaxed);
}

void *tally__page_map(struct tally_heap *heap, size_t bytes, struct arena **arena)
{
    void *memory = NULL;
    *arena = NULL;
    if (!tally__memory_allows(heap, bytes))
        return NULL;
    if (heap->hooks.map)
        memory = hook_map(heap, bytes);
    else
        memory = bytes == PAGE_BYTES ? arena_take(heap, arena) : map_aligned(bytes, PAGE_BYTES);
    if (memory)
        mapped_add(heap, bytes);
    return memory;
}

void tally__page_unmap(struct tally_heap *heap, void *memory, size_t bytes, struct arena *arena)
{
    tally__unpoison(memory, bytes);
    mapped_add(heap, -bytes);
    if (heap->hooks.unmap)
        heap->hooks.unmap(memory, bytes, heap->hooks.arg);
    else if (arena)
        arena_give(heap, arena, memory);
    else
        tally__unmap(memory, bytes);
}

void tally__page_unneed(const struct tally_heap *heap, void *memory, size_t bytes)
{
    if (!heap->hooks.unmap)
        advise(memory, bytes, MADV_DONTNEED);
}
