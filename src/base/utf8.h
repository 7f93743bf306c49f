/* Which bytes are UTF-8. */
#ifndef TALLY_BASE_UTF8_H
#define TALLY_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the sequence at `at`, of which `left` (at least 1) may be read; 0 where it is malformed, overlong, a surrogate
 * or beyond U+10FFFF. */
static inline size_t utf8_bytes(const unsigned char *at, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned first = at[0];
    size_t bytes = first < 0x80   ? 1
                   : first < 0xc2 ? 0
                   : first < 0xe0 ? 2
                   : first < 0xf0 ? 3
                   : first < 0xf5 ? 4
                                  : 0;
    if (bytes < 2 || bytes > left)
        return bytes > left ? 0 : bytes;
    uint32_t code = at[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[bytes] || code > 0x10ffff || surrogate ? 0 : bytes;
}

/* Whether the sequence is a control character, C1 among them. */
static inline bool utf8_is_control(const unsigned char *at, size_t bytes)
{
    return at[0] < 0x20 || at[0] == 0x7f || (bytes == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

/* Of a text: how many bytes of it, `most` at most, end with a whole sequence; for "%.*s". */
static inline int utf8_cut(const char *text, size_t most)
{
    size_t bytes = strnlen(text, most + 1);
    if (bytes > most)
        for (bytes = most; bytes && ((unsigned char)text[bytes] & 0xc0) == 0x80;)
            bytes--;
    return (int)bytes;
}

#endif
