/* Names that programs give themselves, as labels of metrics: in quotes, on one line, nothing left to be read as more. */
#include <stdlib.h>
#include <string.h>

#include "api/metrics_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1);
    struct text text = {.bytes = NULL};
    if (!name)
        abort();
    memcpy(name, data, size);
    name[size] = '\0';
    put_value(&text, name);
    if (text.failed || text.count < 2 || text.count > 2 * METRICS_VALUE_BYTES + 2 || text.bytes[0] != '"' ||
        text.bytes[text.count - 1] != '"')
        abort();
    for (size_t i = 1; i < text.count - 1; i++) {
        if (text.bytes[i] == '"' || text.bytes[i] == '\n')
            abort();
        if (text.bytes[i] == '\\' && (++i == text.count - 1 || !strchr("\\\"n", text.bytes[i])))
            abort();
    }
    if (value_order(name, name))
        abort();
    free(text.bytes);
    free(name);
    return 0;
}
