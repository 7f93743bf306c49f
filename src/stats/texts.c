/* A process's texts: its name and labels, and the names of its types, one copy of each. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "stats/model.h"

static char *text_dup(const char *text, bool *failed)
{
    char *copy = strdup(text);
    *failed |= !copy;
    return copy;
}

void stats_texts_unref(struct texts *texts)
{
    if (!texts || atomic_fetch_sub(&texts->references, 1) > 1)
        return;
    free(texts->name);
    free(texts->library);
    for (size_t i = 0; i < texts->label_count; i++) {
        free((char *)(uintptr_t)texts->labels[i].key);
        free((char *)(uintptr_t)texts->labels[i].value);
    }
    tdestroy(texts->types, free);
    free(texts);
}

struct texts *stats_texts_new(const struct wire_hello_view *hello)
{
    struct texts *texts = calloc(1, sizeof *texts);
    if (!texts)
        return NULL;
    bool failed = false;
    atomic_init(&texts->references, 1);
    texts->name = text_dup(hello->name, &failed);
    texts->library = text_dup(hello->library, &failed);
    for (; texts->label_count < hello->label_count && !failed; texts->label_count++) {
        struct stats_label *label = &texts->labels[texts->label_count];
        label->key = text_dup(hello->labels[texts->label_count].key, &failed);
        label->value = text_dup(hello->labels[texts->label_count].value, &failed);
    }
    if (failed) {
        stats_texts_unref(texts);
        return NULL;
    }
    return texts;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The process's one copy of a type's name; NULL: out of memory. A tree: no choice of names makes it slow. */
const char *stats_texts_type(struct texts *texts, const char *name)
{
    char *const *known = tfind(name, &texts->types, name_order);
    if (known)
        return *known;
    char *copy = strdup(name);
    if (copy && !tsearch(copy, &texts->types, name_order)) {
        free(copy);
        return NULL;
    }
    return copy;
}
