/* What the tests of corners share: disposers, chains, and runs over candidates. */
#ifndef TALLY_TEST_HEAP_CORNERS_H
#define TALLY_TEST_HEAP_CORNERS_H

#include "rounds.h"

/* Disposers: pairs that call the test's function of the moment when they go. */
static void (*disposing)(void *object);
static unsigned disposed;

static inline void on_dispose(void *object)
{
    disposed++;
    if (disposing)
        disposing(object);
}

static inline struct pair *disposer_make(struct tally_heap *heap, void (*fn)(void *object))
{
    static const struct tally_type *type;
    struct tally_ref refs[] = {{"first", 0}, {"second", 8}};
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){.name = "disposer",
                                                                       .size = sizeof(struct pair),
                                                                       .refs = refs,
                                                                       .ref_count = 2,
                                                                       .dispose = on_dispose},
                                             &type),
                         0);
    disposing = fn;
    disposed = 0;
    return tally_new(heap, type);
}

static inline struct pair *chain_make(struct tally_heap *heap, size_t length)
{
    struct pair *head = NULL;
    for (size_t i = 0; i < length; i++) {
        struct pair *pair = pair_make(heap, NULL, NULL);
        tally_store_steal(pair, &pair->first, head);
        head = pair;
    }
    return head;
}

/* Each slot holds a pair that holds it. */
static inline struct wide *wide_full(struct tally_heap *heap, size_t length)
{
    struct wide *wide = wide_make(heap, length);
    for (size_t i = 0; i < length; i++)
        tally_store_steal(wide, &wide->slots[i], pair_make(heap, wide, NULL));
    return wide;
}

/* As an automatic run does it. */
static inline void candidates_run(struct tally_heap *heap)
{
    tally__collect(
        heap, &(struct collect_request){.reason = TALLY_REASON_THRESHOLD, .scope = TALLY_SCOPE_CANDIDATES});
    heap_check(heap);
}

#endif
