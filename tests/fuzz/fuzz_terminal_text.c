/* Names for a terminal: whatever they are, they take the columns that they are given, and nothing of them is obeyed. */
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No control character, and where only ASCII is known, nothing else. */
static void check_plain(const char *text, int ascii)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < ' ' || *at == 0x7F || (ascii && *at > 0x7F) || (at[0] == 0xC2 && at[1] < 0xA0))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[256];
    if (size < 2)
        return 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    char *text = calloc(1, size);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    size_t columns = data[0] % 40u, room = 8u + data[0] % 248u;
    for (int ascii = 0; ascii < 2; ascii++) {
        size_t used = text_fit(out, room, text, columns, ascii);
        if (used > columns || strlen(out) >= room || text_columns(out) != used)
            abort();
        check_plain(out, ascii);
    }
    char *escaped = text_escape_dup(text);
    if (!escaped)
        abort();
    check_plain(escaped, 0);
    free(escaped);
    free(text);
    return 0;
}
