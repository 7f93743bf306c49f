#include "tallyctl/form.h"

#include <string.h>

const struct form forms[] = {
#define CTL_GROUP(title) {.group = title},
#define CTL_COMMAND(word, arguments, does, handler, help) {word, arguments, does, handler, help, NULL},
#include "tallyctl/commands.def"
#undef CTL_COMMAND
#undef CTL_GROUP
};
const size_t form_count = sizeof forms / sizeof forms[0];

/* One argument of a form. */
struct slot {
    const char *name; /* without brackets and dots */
    size_t bytes;
    bool optional, repeated, literal;
};

/* Reads the argument at *at and moves behind it; false: there is none. */
static bool slot_next(const char **at, struct slot *slot)
{
    const char *from = *at + strspn(*at, " ");
    size_t bytes = strcspn(from, " ");
    if (!bytes)
        return false;
    *at = from + bytes;
    slot->optional = *from == '[';
    from += slot->optional;
    bytes -= slot->optional;
    while (bytes && from[bytes - 1] == ']')
        bytes--;
    slot->repeated = bytes > 3 && memcmp(from + bytes - 3, "...", 3) == 0 && from[bytes - 4] != ',';
    if (slot->repeated)
        bytes -= 3;
    slot->name = from;
    slot->bytes = bytes;
    slot->literal = *from >= 'a' && *from <= 'z' && !memchr(from, '|', bytes);
    return true;
}

/* Whether a word may stand at an argument: one that stands for itself, or is of a list of such, must be it. */
static bool slot_takes(const struct slot *slot, const char *word)
{
    const char *end = slot->name + slot->bytes;
    if (*slot->name < 'a' || *slot->name > 'z')
        return true;
    for (const char *part = slot->name; part < end;) {
        const char *bar = memchr(part, '|', (size_t)(end - part));
        size_t bytes = (size_t)((bar ? bar : end) - part);
        if (strlen(word) == bytes && memcmp(word, part, bytes) == 0)
            return true;
        part += bytes + 1;
    }
    return false;
}

bool form_fits(const char *arguments, char *const *words, int count, char **values, int *value_count)
{
    struct slot slot;
    int at = 0, kept = 0;
    while (slot_next(&arguments, &slot)) {
        if (at == count)
            return slot.optional && (*value_count = kept, true);
        do {
            if (kept == FORM_VALUES_MAX || !slot_takes(&slot, words[at]))
                return false;
            if (!slot.literal)
                values[kept++] = words[at];
            at++;
        } while (slot.repeated && at < count);
    }
    *value_count = kept;
    return at == count;
}

size_t form_next(const char *arguments, char *const *words, int at, const char **name)
{
    struct slot slot;
    for (int i = 0; slot_next(&arguments, &slot); i++) {
        if (i == at || slot.repeated) {
            *name = slot.name;
            return slot.bytes;
        }
        if (!slot_takes(&slot, words[i]))
            return 0;
    }
    return 0;
}

void form_literal(const char *arguments, char word[FORM_WORD_MAX])
{
    struct slot slot;
    *word = '\0';
    while (!*word && slot_next(&arguments, &slot))
        if (slot.literal)
            snprintf(word, FORM_WORD_MAX, "%.*s", (int)slot.bytes, slot.name);
}

const struct form *form_find(const char *word)
{
    for (size_t i = 0; i < form_count; i++)
        if (forms[i].word && strcmp(forms[i].word, word) == 0)
            return &forms[i];
    return NULL;
}
