#include "replay/lex.h"

#include <string.h>

#define NUMBER_DIGITS 20u

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool word_is(struct word word, const char *literal)
{
    return word.length == strlen(literal) && memcmp(word.text, literal, word.length) == 0;
}

bool word_cut(struct word *word, char mark, struct word *rest)
{
    const char *at = word->length ? memchr(word->text, mark, word->length) : NULL;
    if (!at) {
        *rest = (struct word){word->text + word->length, 0};
        return false;
    }
    size_t before = (size_t)(at - word->text);
    *rest = (struct word){at + 1, word->length - before - 1};
    word->length = before;
    return true;
}

/* Length of the identifier that the word begins with. */
static size_t identifier(struct word word)
{
    if (!word.length || !is_letter(word.text[0]))
        return 0;
    size_t length = 1;
    while (length < word.length && (is_letter(word.text[length]) || is_digit(word.text[length])))
        length++;
    return length;
}

enum digits { DIGITS_NONE, DIGITS_TOO_MANY, DIGITS_FIT };

/* The whole word as a decimal number; *value is set where it fits. */
static enum digits digits(struct word word, uint64_t *value)
{
    bool fits = true;
    uint64_t sum = 0;
    for (size_t i = 0; i < word.length; i++) {
        if (!is_digit(word.text[i]))
            return DIGITS_NONE;
        fits = fits && !__builtin_mul_overflow(sum, (uint64_t)10, &sum) &&
               !__builtin_add_overflow(sum, (uint64_t)(word.text[i] - '0'), &sum);
    }
    *value = sum;
    return !word.length ? DIGITS_NONE : fits ? DIGITS_FIT : DIGITS_TOO_MANY;
}

enum reason lex_name(struct word word, struct spelling *name)
{
    size_t length = identifier(word);
    *name = (struct spelling){word, INDEX_NONE};
    if (!length)
        return REASON_BAD_NAME;
    if (length == word.length)
        return REASON_NONE;
    struct word inner = {word.text + length + 1, word.length - length - 1};
    if (word.text[length] != '[' || inner.length < 2 || inner.text[inner.length - 1] != ']')
        return REASON_BAD_NAME;
    inner.length--;
    if (inner.text[0] == '0' && inner.length > 1)
        return REASON_BAD_NAME;
    uint64_t index = INDEX_NONE;
    enum digits found = digits(inner, &index);
    if (found == DIGITS_NONE)
        return REASON_BAD_NAME;
    if (found == DIGITS_FIT && index != INDEX_NONE)
        *name = (struct spelling){{word.text, length}, index};
    return REASON_NONE;
}

enum reason lex_prefix(struct word word, struct word *prefix)
{
    *prefix = word;
    return word.length && identifier(word) == word.length ? REASON_NONE : REASON_BAD_NAME;
}

bool lex_is_start(struct word word)
{
    size_t length = identifier(word);
    return length && (length == word.length || (length + 1 == word.length && word.text[length] == '['));
}

enum reason lex_number(struct word word, uint64_t low, uint64_t high, uint64_t *number)
{
    if (word.length > NUMBER_DIGITS || digits(word, number) != DIGITS_FIT)
        return REASON_BAD_NUMBER;
    return *number >= low && *number <= high ? REASON_NONE : REASON_BAD_NUMBER;
}

enum reason lex_place(struct word word, struct place *place)
{
    const char *dot = word.length ? memrchr(word.text, '.', word.length) : NULL;
    if (!dot)
        return REASON_BAD_SYNTAX;
    size_t before = (size_t)(dot - word.text);
    place->head = (struct word){word.text, before};
    enum reason reason = lex_name(place->head, &place->name);
    uint64_t slot = 0;
    if (!reason)
        reason = lex_number((struct word){dot + 1, word.length - before - 1}, 0, SLOT_MAX, &slot);
    place->slot = (size_t)slot;
    return reason;
}
