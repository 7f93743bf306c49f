/* The kinds of values as tally types, and their making. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mal/mal.h"

#define SLOT(type, member) {#member, offsetof(struct type, member)}
#define SLOTS(...) \
    .refs = (struct tally_ref[]){__VA_ARGS__}, \
    .ref_count = sizeof((struct tally_ref[]){__VA_ARGS__}) / sizeof(struct tally_ref)
#define BYTES(type) \
    .size = sizeof(struct type), .trailing = TALLY_TRAILING_BYTES, .trailing_element_bytes = 1, \
    .trailing_length_offset = offsetof(struct type, length)

static const struct tally_type_info infos[MAL_KIND_COUNT] = {
    [MAL_NIL] = {.size = sizeof(struct value)},
    [MAL_BOOLEAN] = {.size = sizeof(struct value)},
    [MAL_INTEGER] = {.size = sizeof(struct integer)},
    [MAL_STRING] = {BYTES(string)},
    [MAL_KEYWORD] = {BYTES(string)},
    [MAL_SYMBOL] = {BYTES(symbol), SLOTS(SLOT(symbol, global))},
    [MAL_LIST] = {.size = sizeof(struct list), SLOTS(SLOT(list, first), SLOT(list, rest), SLOT(list, meta))},
    [MAL_VECTOR] = {.size = sizeof(struct vector), .trailing = TALLY_TRAILING_SLOTS,
                    .trailing_length_offset = offsetof(struct vector, length), SLOTS(SLOT(vector, meta))},
    [MAL_MAP] = {.size = sizeof(struct map), .trailing = TALLY_TRAILING_SLOTS,
                 .trailing_length_offset = offsetof(struct map, length), SLOTS(SLOT(map, meta))},
    [MAL_CLOSURE] = {.size = sizeof(struct closure), SLOTS(SLOT(closure, params), SLOT(closure, body),
                                                            SLOT(closure, env), SLOT(closure, meta))},
    [MAL_BUILTIN] = {.size = sizeof(struct builtin), SLOTS(SLOT(builtin, meta))},
    [MAL_ATOM] = {.size = sizeof(struct atom), SLOTS(SLOT(atom, content), SLOT(atom, meta))},
    [MAL_ENV] = {.size = sizeof(struct env), SLOTS(SLOT(env, outer), SLOT(env, names), SLOT(env, values))},
};

int mal_types_register(struct mal *mal)
{
    static const char *const names[] = {
#define KIND(name, type) type,
        MAL_KINDS(KIND)
#undef KIND
    };
    for (int i = 0; i < MAL_KIND_COUNT; i++) {
        struct tally_type_info info = infos[i];
        info.name = names[i];
        int error = tally_type_register(&info, &mal->types[i]);
        if (error)
            return error;
    }
    return 0;
}

/* The exception for want of memory was made beforehand. */
static void *out_of_memory(struct mal *mal)
{
    return mal_throw_value(mal, mal->out_of_memory);
}

void *mal_new(struct mal *mal, enum kind kind)
{
    struct value *value = tally_new(mal->heap, mal->types[kind]);
    if (!value)
        return out_of_memory(mal);
    value->kind = kind;
    return value;
}

void *mal_new_array(struct mal *mal, enum kind kind, size_t length)
{
    struct value *value = tally_new_array(mal->heap, mal->types[kind], length);
    if (!value)
        return out_of_memory(mal);
    value->kind = kind;
    return value;
}

#define SMALL_LOW (-128)
#define SMALL_COUNT 1152

static void *integer_new(struct mal *mal, int64_t number)
{
    struct integer *integer = mal_new(mal, MAL_INTEGER);
    if (integer)
        integer->number = number;
    return integer;
}

/* Small integers are shared, and made when first asked for. */
void *mal_integer(struct mal *mal, int64_t number)
{
    if (number < SMALL_LOW || number >= SMALL_LOW + SMALL_COUNT)
        return integer_new(mal, number);
    if (!mal->integers)
        mal->integers = mal_new_array(mal, MAL_VECTOR, SMALL_COUNT);
    if (!mal->integers)
        return NULL;
    struct vector *cache = mal->integers;
    void **slot = &cache->items[number - SMALL_LOW];
    if (!*slot)
        tally_store_steal(cache, slot, integer_new(mal, number));
    return tally_dup(*slot);
}

void *mal_boolean(struct mal *mal, bool truth)
{
    return tally_dup(truth ? mal->yes : mal->no);
}

static void *text_new(struct mal *mal, enum kind kind, const char *bytes, size_t length)
{
    struct string *string = mal_new_array(mal, kind, length);
    if (string && length)
        memcpy(string->bytes, bytes, length);
    return string;
}

void *mal_string(struct mal *mal, const char *bytes, size_t length)
{
    return text_new(mal, MAL_STRING, bytes, length);
}

void *mal_keyword(struct mal *mal, const char *bytes, size_t length)
{
    return text_new(mal, MAL_KEYWORD, bytes, length);
}

static uint64_t hash(const char *bytes, size_t length)
{
    uint64_t value = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)bytes[i]) * 1099511628211u;
    return value ^ value >> 29;
}

static void **symbol_place(struct vector *table, const char *bytes, size_t length)
{
    size_t at = hash(bytes, length) & (table->length - 1);
    for (;; at = (at + 1) & (table->length - 1)) {
        struct symbol *symbol = table->items[at];
        if (!symbol || (symbol->length == length && !memcmp(symbol->bytes, bytes, length)))
            return &table->items[at];
    }
}

static bool symbols_grow(struct mal *mal)
{
    struct vector *old = mal->symbols;
    if (old && mal->symbol_count * 2 < old->length)
        return true;
    struct vector *table = mal_new_array(mal, MAL_VECTOR, old ? 2 * old->length : 256);
    if (!table)
        return false;
    for (size_t i = 0; old && i < old->length; i++) {
        struct symbol *symbol = old->items[i];
        if (symbol)
            tally_store(table, symbol_place(table, symbol->bytes, symbol->length), symbol);
    }
    if (old)
        tally_decref(old);
    mal->symbols = table;
    return true;
}

/* There is one symbol of each name, so that symbols are compared by address. */
void *mal_symbol(struct mal *mal, const char *bytes, size_t length)
{
    if (!symbols_grow(mal))
        return NULL;
    void **place = symbol_place(mal->symbols, bytes, length);
    if (!*place) {
        struct symbol *symbol = mal_new_array(mal, MAL_SYMBOL, length);
        if (!symbol)
            return NULL;
        memcpy(symbol->bytes, bytes, length);
        tally_store_steal(mal->symbols, place, symbol);
        mal->symbol_count++;
    }
    return tally_dup(*place);
}

void *mal_cons_steal(struct mal *mal, void *first, void *rest)
{
    TALLY_LOCAL void *head = first;
    TALLY_LOCAL void *tail = rest;
    struct list *list = head && tail ? mal_new(mal, MAL_LIST) : NULL;
    if (!list)
        return NULL;
    tally_store(list, &list->first, head);
    tally_store(list, &list->rest, tail);
    return list;
}

void *mal_atom(struct mal *mal, void *content)
{
    struct atom *atom = mal_new(mal, MAL_ATOM);
    if (atom)
        tally_store(atom, &atom->content, content);
    return atom;
}

void *mal_list_of(struct mal *mal, void **items, size_t count)
{
    void *list = tally_dup(mal->empty);
    while (count > 0 && list)
        list = mal_cons_steal(mal, tally_dup(items[--count]), list);
    return list;
}

static size_t list_length(const struct list *list)
{
    size_t length = 0;
    for (; !mal_is_empty(list); list = list->rest)
        length++;
    return length;
}

void *mal_vector_of(struct mal *mal, void *sequence)
{
    if (mal_kind(sequence) == MAL_VECTOR)
        return tally_dup(sequence);
    size_t length = mal_is_list(sequence) ? list_length(sequence) : 0;
    struct vector *vector = mal_new_array(mal, MAL_VECTOR, length);
    struct list *list = sequence;
    for (size_t i = 0; i < length && vector; i++, list = list->rest)
        tally_store(vector, &vector->items[i], list->first);
    return vector;
}

static void copy_slots(void *to, void **to_slots, void *const *from_slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tally_store(to, &to_slots[i], from_slots[i]);
}

static void *list_copy(struct mal *mal, struct list *from)
{
    struct list *copy = mal_new(mal, MAL_LIST);
    if (copy) {
        tally_store(copy, &copy->first, from->first);
        tally_store(copy, &copy->rest, from->rest);
    }
    return copy;
}

static void *closure_copy(struct mal *mal, struct closure *from)
{
    struct closure *copy = mal_new(mal, MAL_CLOSURE);
    if (copy) {
        copy->value.flag = from->value.flag;
        copy->fixed = from->fixed;
        copy->variadic = from->variadic;
        tally_store(copy, &copy->params, from->params);
        tally_store(copy, &copy->body, from->body);
        tally_store(copy, &copy->env, from->env);
    }
    return copy;
}

static void *builtin_copy(struct mal *mal, const struct builtin *from)
{
    struct builtin *copy = mal_new(mal, MAL_BUILTIN);
    if (copy) {
        copy->name = from->name;
        copy->call = from->call;
        copy->least = from->least;
        copy->most = from->most;
    }
    return copy;
}

void *mal_with_meta(struct mal *mal, void *value, void *meta)
{
    void *copy = NULL, **slot = NULL;
    switch (mal_kind(value)) {
    case MAL_LIST:
        copy = list_copy(mal, value);
        slot = copy ? &((struct list *)copy)->meta : NULL;
        break;
    case MAL_VECTOR: {
        struct vector *from = value, *to = mal_new_array(mal, MAL_VECTOR, from->length);
        if (to)
            copy_slots(to, to->items, from->items, from->length);
        copy = to;
        slot = to ? &to->meta : NULL;
        break;
    }
    case MAL_MAP: {
        struct map *from = value, *to = mal_new_array(mal, MAL_MAP, from->length);
        if (to) {
            to->count = from->count;
            copy_slots(to, to->items, from->items, from->length);
        }
        copy = to;
        slot = to ? &to->meta : NULL;
        break;
    }
    case MAL_CLOSURE:
        copy = closure_copy(mal, value);
        slot = copy ? &((struct closure *)copy)->meta : NULL;
        break;
    case MAL_BUILTIN:
        copy = builtin_copy(mal, value);
        slot = copy ? &((struct builtin *)copy)->meta : NULL;
        break;
    default:
        return mal_throw(mal, "with-meta: a collection or a function is needed");
    }
    if (copy)
        tally_store(copy, slot, meta);
    return copy;
}

static bool sequences_equal(struct mal *mal, void *one, void *two)
{
    TALLY_LOCAL struct vector *a = mal_vector_of(mal, one);
    TALLY_LOCAL struct vector *b = mal_vector_of(mal, two);
    if (!a || !b || a->length != b->length)
        return false;
    for (size_t i = 0; i < a->length; i++)
        if (!mal_equal(mal, a->items[i], b->items[i]))
            return false;
    return true;
}

static bool maps_equal(struct mal *mal, const struct map *one, const struct map *two)
{
    if (one->count != two->count)
        return false;
    for (size_t i = 0; i < one->length; i += 2) {
        void *other = one->items[i] ? mal_map_get(two, one->items[i]) : NULL;
        if (one->items[i] && (!other || !mal_equal(mal, one->items[i + 1], other)))
            return false;
    }
    return true;
}

bool mal_equal(struct mal *mal, void *one, void *two)
{
    if (one == two)
        return true;
    if (mal_is_sequence(one) && mal_is_sequence(two))
        return mal_stack_ok(mal) && sequences_equal(mal, one, two);
    if (mal_kind(one) != mal_kind(two))
        return false;
    if (mal_kind(one) == MAL_INTEGER)
        return ((struct integer *)one)->number == ((struct integer *)two)->number;
    if (mal_is_key(one))
        return mal_same_text(one, two);
    return mal_kind(one) == MAL_MAP && mal_stack_ok(mal) && maps_equal(mal, one, two);
}

void *mal_throw_value(struct mal *mal, void *value)
{
    void *old = mal->error;
    mal->error = tally_dup(value);
    if (old)
        tally_decref(old);
    return NULL;
}

void *mal_throw(struct mal *mal, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t bytes = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    TALLY_LOCAL void *message = mal_string(mal, text, bytes);
    return message ? mal_throw_value(mal, message) : NULL;
}
