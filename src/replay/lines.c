#include "replay/lines.h"

#include <stdlib.h>
#include <string.h>

static int compare_words(const void *left, const void *right)
{
    const struct word *a = left, *b = right;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = shorter ? memcmp(a->text, b->text, shorter) : 0;
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

struct word *text_sorted_lines(const struct text *text, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < text->length; i++)
        *count += text->data[i] == '\n';
    struct word *lines = *count ? calloc(*count, sizeof *lines) : NULL;
    if (!lines)
        return NULL;
    const char *start = text->data;
    for (size_t i = 0; i < *count; i++) {
        const char *end = memchr(start, '\n', text->length - (size_t)(start - text->data));
        lines[i] = (struct word){start, (size_t)(end - start)};
        start = end + 1;
    }
    qsort(lines, *count, sizeof *lines, compare_words);
    return lines;
}
