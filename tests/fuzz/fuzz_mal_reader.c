/* Any bytes as mal's text: what can be read can be printed; what was printed is read again and printed the
 * same, maps excepted, whose order is their own. Nothing stays behind. */
#include <stdlib.h>
#include <string.h>

#include "mal/mal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void error_drop(struct mal *mal)
{
    if (mal->error)
        tally_decref(mal->error);
    mal->error = NULL;
}

static void read_and_print(struct mal *mal, const char *text, size_t length)
{
    bool nothing;
    TALLY_LOCAL void *form = mal_read(mal, text, length, &nothing);
    TALLY_LOCAL struct string *said = form ? mal_print(mal, &form, 1, true, "") : NULL;
    TALLY_LOCAL void *again = said ? mal_read(mal, said->bytes, said->length, &nothing) : NULL;
    TALLY_LOCAL struct string *echo = again ? mal_print(mal, &again, 1, true, "") : NULL;
    if (echo && !memchr(said->bytes, '{', said->length) && !mal_same_text(said, echo))
        abort();
    error_drop(mal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally_heap *heap;
    struct mal mal;
    struct tally_stats stats;
    if (tally_heap_new(TALLY_ABI, NULL, &heap))
        return 0;
    if (!mal_open(&mal, heap, 0, NULL)) {
        read_and_print(&mal, (const char *)data, size);
        mal_close(&mal);
    }
    tally_collect(heap, 2);
    tally_get_stats(heap, &stats, sizeof stats);
    if (stats.live_objects)
        abort();
    tally_heap_free(heap);
    return 0;
}
