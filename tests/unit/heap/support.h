/* What the heap's tests share: a type of pair, with and without a finalizer, and a heap that is verified when it
 * goes. */
#ifndef TALLY_TEST_HEAP_SUPPORT_H
#define TALLY_TEST_HEAP_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap/heap.h"

#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

struct pair {
    void *first, *second;
    uint64_t number;
};

static inline const struct tally_type *pair_type_make(const char *name, tally_finalize_fn finalize)
{
    const struct tally_type *type = NULL;
    struct tally_ref refs[] = {{"first", offsetof(struct pair, first)}, {"second", offsetof(struct pair, second)}};
    assert_int_equal(tally_type_register(&(struct tally_type_info){.name = name, .size = sizeof(struct pair),
                                                                   .refs = refs, .ref_count = 2,
                                                                   .finalize = finalize}, &type), 0);
    return type;
}

static inline const struct tally_type *pair_type(void)
{
    static const struct tally_type *type;
    if (!type)
        type = pair_type_make("pair", NULL);
    return type;
}

/* Objects of any number of bytes, without references. */
static inline const struct tally_type *bytes_type(void)
{
    static const struct tally_type *type;
    if (!type)
        assert_int_equal(tally_type_register(&(struct tally_type_info){
            .name = "bytes", .size = 8, .trailing = TALLY_TRAILING_BYTES, .trailing_element_bytes = 1}, &type), 0);
    return type;
}

static inline struct tally_heap *heap_make(void)
{
    struct tally_heap *heap = NULL;
    assert_int_equal(tally_heap_new(TALLY_ABI, NULL, &heap), 0);
    tally_disable(heap);
    return heap;
}

static inline void heap_check(struct tally_heap *heap)
{
    char message[256] = "";
    if (tally_verify(heap, message, sizeof message))
        fail_msg("%s", message);
}

static inline uint64_t heap_live(const struct tally_heap *heap)
{
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    return stats.live_objects;
}

static inline struct pair *pair_make(struct tally_heap *heap, void *first, void *second)
{
    struct pair *pair = tally_new(heap, pair_type());
    assert_non_null(pair);
    tally_store(pair, &pair->first, first);
    tally_store(pair, &pair->second, second);
    return pair;
}

#endif
