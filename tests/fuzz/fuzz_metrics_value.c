/* Names that programs give themselves, as labels of metrics: in quotes, on one line, nothing left to be read as more. */
#include <stdlib.h>
#include <string.h>

#include "api/metrics_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1);
    struct text text = {.data = NULL};
    if (!name)
        abort();
    memcpy(name, data, size);
    name[size] = '\0';
    put_value(&text, name);
    if (text.failed || text.length < 2 || text.length > 2 * METRICS_VALUE_BYTES + 2 || text.data[0] != '"' ||
        text.data[text.length - 1] != '"')
        abort();
    for (size_t i = 1; i < text.length - 1; i++) {
        if (text.data[i] == '"' || text.data[i] == '\n')
            abort();
        if (text.data[i] == '\\' && (++i == text.length - 1 || !strchr("\\\"n", text.data[i])))
            abort();
    }
    if (value_order(name, name))
        abort();
    free(text.data);
    free(name);
    return 0;
}
