/* Symbols: one of each name. The table holds them, but lets go of those that nobody else knows when it has no
 * room left: programs make names for one use (gensym). */
#include <string.h>

#include "mal/mal.h"

#define TABLE_LEAST 256

static uint64_t hash(const char *bytes, size_t length)
{
    uint64_t value = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)bytes[i]) * 1099511628211u;
    return value ^ value >> 29;
}

static void **place(struct vector *table, const char *bytes, size_t length)
{
    size_t at = hash(bytes, length) & (table->length - 1);
    for (;; at = (at + 1) & (table->length - 1)) {
        struct symbol *symbol = table->items[at];
        if (!symbol || (symbol->length == length && !memcmp(symbol->bytes, bytes, length)))
            return &table->items[at];
    }
}

/* Its only reference is the table's, and it has no value there. */
static bool is_forgotten(const struct symbol *symbol)
{
    return !symbol->global && tally_refcount(symbol) == 1;
}

static size_t remembered(const struct vector *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->length; i++)
        count += table->items[i] && !is_forgotten(table->items[i]);
    return count;
}

/* At most a quarter is in use afterwards. */
static bool renew(struct mal *mal)
{
    struct vector *old = mal->symbols;
    size_t count = old ? remembered(old) : 0, length = TABLE_LEAST;
    while (length < 4 * count)
        length *= 2;
    struct vector *table = mal_new_array(mal, MAL_VECTOR, length);
    if (!table)
        return false;
    for (size_t i = 0; old && i < old->length; i++) {
        struct symbol *symbol = old->items[i];
        if (symbol && !is_forgotten(symbol))
            tally_store(table, place(table, symbol->bytes, symbol->length), symbol);
    }
    if (old)
        tally_decref(old);
    mal->symbols = table;
    mal->symbol_count = count;
    return true;
}

void *mal_symbol(struct mal *mal, const char *bytes, size_t length)
{
    if ((!mal->symbols || mal->symbol_count * 2 >= mal->symbols->length) && !renew(mal))
        return NULL;
    void **slot = place(mal->symbols, bytes, length);
    if (!*slot) {
        struct symbol *symbol = mal_new_array(mal, MAL_SYMBOL, length);
        if (!symbol)
            return NULL;
        memcpy(symbol->bytes, bytes, length);
        tally_store_steal(mal->symbols, slot, symbol);
        mal->symbol_count++;
    }
    return tally_dup(*slot);
}

bool mal_words_make(struct mal *mal)
{
    static const char *const texts[MAL_WORD_COUNT] = {
#define WORD(name, text) [MAL_WORD_##name] = text,
        MAL_WORDS(WORD)
#undef WORD
    };
    for (uint32_t i = MAL_WORD_NONE + 1; i < MAL_WORD_COUNT; i++) {
        mal->words[i] = mal_symbol(mal, texts[i], strlen(texts[i]));
        if (!mal->words[i])
            return false;
        mal->words[i]->value.number = i;
    }
    return true;
}
