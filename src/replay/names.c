#include "replay/names.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_NAMES 1024u
#define WORD_BITS 64u

/* Names that come in the order of their indexes, as graphs make them, are found by index; others, and those
 * that leave a gap, are in the table. A name that is in the table stays there. */
struct prefix {
    struct names *names;
    uint64_t hash;
    struct name **dense; /* indexes 0..dense_count-1 */
    size_t dense_count;  /* room for it rounded up to a power of two, at least 1 */
    size_t length;
    char text[];
};

struct name_chunk {
    struct name_chunk *next;
    size_t used;
    struct name names[CHUNK_NAMES];
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0x9FB21C651E98DF25u;
    return x ^ x >> 29;
}

static uint64_t hash_text(struct word word)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < word.length; i++)
        hash = (hash ^ (unsigned char)word.text[i]) * 0x100000001B3u;
    return mix(hash);
}

static uint64_t hash_name(const struct prefix *prefix, uint64_t index)
{
    return mix(prefix->hash + index * 0x9E3779B97F4A7C15u);
}

static uint64_t prefix_hash_of(const void *entry)
{
    return ((const struct prefix *)entry)->hash;
}

static uint64_t name_hash_of(const void *entry)
{
    const struct name *name = entry;
    return hash_name(name->prefix, name->index);
}

/* Where the entry is or belongs: the caller compares. */
static void table_place(void **slots, size_t mask, uint64_t hash, void *entry)
{
    size_t at = (size_t)hash & mask;
    while (slots[at])
        at = (at + 1) & mask;
    slots[at] = entry;
}

static bool table_put(struct table *table, void *entry, uint64_t (*hash_of)(const void *))
{
    if (!table->slots || table->used > table->mask / 2) {
        size_t size = table->slots ? 2 * (table->mask + 1) : 64;
        void **slots = calloc(size, sizeof *slots);
        if (!slots)
            return false;
        for (size_t i = 0; table->slots && i <= table->mask; i++)
            if (table->slots[i])
                table_place(slots, size - 1, hash_of(table->slots[i]), table->slots[i]);
        free(table->slots);
        table->slots = slots;
        table->mask = size - 1;
    }
    table_place(table->slots, table->mask, hash_of(entry), entry);
    table->used++;
    return true;
}

static struct prefix *find_prefix(const struct table *table, struct word word)
{
    if (!table->slots)
        return NULL;
    uint64_t hash = hash_text(word);
    for (size_t at = (size_t)hash & table->mask; table->slots[at]; at = (at + 1) & table->mask) {
        struct prefix *prefix = table->slots[at];
        if (prefix->hash == hash && prefix->length == word.length &&
            !memcmp(prefix->text, word.text, word.length))
            return prefix;
    }
    return NULL;
}

static struct name *find_name(const struct table *table, const struct prefix *prefix, uint64_t index)
{
    if (index < prefix->dense_count)
        return prefix->dense[index];
    if (!table->slots)
        return NULL;
    size_t at = (size_t)hash_name(prefix, index) & table->mask;
    for (; table->slots[at]; at = (at + 1) & table->mask) {
        struct name *name = table->slots[at];
        if (name->prefix == prefix && name->index == index)
            return name;
    }
    return NULL;
}

struct name *names_find(const struct names *names, const struct spelling *spelling)
{
    const struct prefix *prefix = find_prefix(&names->prefixes, spelling->prefix);
    return prefix ? find_name(&names->names, prefix, spelling->index) : NULL;
}

static struct prefix *new_prefix(struct names *names, struct word word)
{
    struct prefix *prefix = malloc(sizeof *prefix + word.length);
    if (!prefix)
        return NULL;
    *prefix = (struct prefix){.names = names, .hash = hash_text(word), .length = word.length};
    memcpy(prefix->text, word.text, word.length);
    if (!table_put(&names->prefixes, prefix, prefix_hash_of)) {
        free(prefix);
        return NULL;
    }
    return prefix;
}

/* Room for one more doubles where the count is a power of two. */
static bool put_dense(struct prefix *prefix, struct name *name)
{
    size_t count = prefix->dense_count;
    if ((count & (count - 1)) == 0) {
        struct name **dense = realloc(prefix->dense, (count ? 2 * count : 1) * sizeof(struct name *));
        if (!dense)
            return false;
        prefix->dense = dense;
    }
    prefix->dense[prefix->dense_count++] = name;
    return true;
}

static struct name *new_name(struct names *names, struct prefix *prefix, uint64_t index)
{
    if (!names->chunks || names->chunks->used == CHUNK_NAMES) {
        struct name_chunk *chunk = malloc(sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = names->chunks;
        chunk->used = 0;
        names->chunks = chunk;
    }
    struct name *name = &names->chunks->names[names->chunks->used];
    *name = (struct name){.prefix = prefix, .index = index};
    bool placed = index == prefix->dense_count ? put_dense(prefix, name)
                                               : table_put(&names->names, name, name_hash_of);
    if (!placed)
        return NULL;
    names->chunks->used++;
    return name;
}

struct name *names_intern(struct names *names, const struct spelling *spelling)
{
    struct prefix *prefix = find_prefix(&names->prefixes, spelling->prefix);
    if (!prefix)
        prefix = new_prefix(names, spelling->prefix);
    if (!prefix)
        return NULL;
    struct name *name = find_name(&names->names, prefix, spelling->index);
    return name ? name : new_name(names, prefix, spelling->index);
}

bool name_starts_with(const struct name *name, struct word start)
{
    const struct prefix *prefix = name->prefix;
    size_t letters = start.text[start.length - 1] == '[' ? start.length - 1 : start.length;
    if (prefix->length < letters || memcmp(prefix->text, start.text, letters) != 0)
        return false;
    if (letters == start.length)
        return true;
    return prefix->length == letters ? name->index != INDEX_NONE : prefix->text[letters] == '[';
}

void names_free(struct names *names)
{
    while (names->chunks) {
        struct name_chunk *chunk = names->chunks;
        names->chunks = chunk->next;
        for (size_t i = 0; i < chunk->used; i++)
            if (chunk->names[i].made > WORD_BITS)
                free(chunk->names[i].alive.words);
        free(chunk);
    }
    for (size_t i = 0; names->prefixes.slots && i <= names->prefixes.mask; i++) {
        struct prefix *prefix = names->prefixes.slots[i];
        if (prefix)
            free(prefix->dense);
        free(prefix);
    }
    free(names->prefixes.slots);
    free(names->names.slots);
    *names = (struct names){0};
}

/* ---- Labels ------------------------------------------------------------ */

static uint64_t *alive_word(struct name *name, uint64_t ordinal)
{
    return name->made <= WORD_BITS ? &name->alive.word : &name->alive.words[(ordinal - 1) / WORD_BITS];
}

static uint64_t alive_bit(uint64_t ordinal)
{
    return (uint64_t)1 << (ordinal - 1) % WORD_BITS;
}

/* Room for twice as many bits, where all that there is are in use. */
static bool grow_alive(struct name *name)
{
    uint64_t made = name->made;
    if (made < WORD_BITS || (made & (made - 1)))
        return true;
    size_t words = made / WORD_BITS;
    uint64_t *grown = realloc(made > WORD_BITS ? name->alive.words : NULL, 2 * words * sizeof *grown);
    if (!grown)
        return false;
    if (made == WORD_BITS)
        grown[0] = name->alive.word;
    memset(grown + words, 0, words * sizeof *grown);
    name->alive.words = grown;
    return true;
}

bool label_take(struct label *label, struct name *name)
{
    if (!grow_alive(name))
        return false;
    name->made++;
    *label = (struct label){name, name->made};
    *alive_word(name, name->made) |= alive_bit(name->made);
    name->prefix->names->live++;
    return true;
}

void label_end(const struct label *label)
{
    if (!label->name)
        return;
    *alive_word(label->name, label->ordinal) &= ~alive_bit(label->ordinal);
    label->name->prefix->names->live--;
}

enum reason label_alive(const struct names *names, struct word word, bool *alive)
{
    struct word ordinal_word;
    bool numbered = word_cut(&word, '#', &ordinal_word);
    struct spelling spelling;
    enum reason reason = lex_name(word, &spelling);
    if (reason)
        return reason;
    *alive = false;
    uint64_t ordinal = 1;
    if (numbered && (lex_number(ordinal_word, 2, UINT64_MAX, &ordinal) || ordinal_word.text[0] == '0'))
        return REASON_NONE;
    struct name *name = names_find(names, &spelling);
    *alive = name && ordinal <= name->made && (*alive_word(name, ordinal) & alive_bit(ordinal));
    return REASON_NONE;
}

void label_write(struct text *text, const struct label *label)
{
    const struct name *name = label->name;
    text_add(text, name->prefix->text, name->prefix->length);
    if (name->index != INDEX_NONE) {
        text_add(text, "[", 1);
        text_add_number(text, name->index);
        text_add(text, "]", 1);
    }
    if (label->ordinal > 1) {
        text_add(text, "#", 1);
        text_add_number(text, label->ordinal);
    }
}
