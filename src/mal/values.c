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

/* What a snapshot calls an object: names as they are, and of what has none the line that made it. What the program
 * computes with, its strings and numbers, is not shown. */
static size_t label_line(const void *object, char *text, size_t room)
{
    const struct value *value = object;
    char digits[10];
    size_t count = 0;
    for (uint32_t rest = value->number; rest; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    if (!count || room < 5 + count)
        return 0;
    memcpy(text, "line ", 5);
    for (size_t i = 0; i < count; i++)
        text[5 + i] = digits[count - 1 - i];
    return 5 + count;
}

static size_t label_bytes(const char *bytes, size_t length, char *text, size_t room)
{
    size_t count = length < room ? length : room;
    memcpy(text, bytes, count);
    return count;
}

static size_t label_symbol(const void *object, char *text, size_t room)
{
    const struct symbol *symbol = object;
    return label_bytes(symbol->bytes, symbol->length, text, room);
}

static size_t label_keyword(const void *object, char *text, size_t room)
{
    const struct string *keyword = object;
    return label_bytes(keyword->bytes, keyword->length, text, room);
}

static size_t label_builtin(const void *object, char *text, size_t room)
{
    const struct builtin *builtin = object;
    return builtin->routine ? label_bytes(builtin->routine->word, strlen(builtin->routine->word), text, room) : 0;
}

#define LABEL(by) .flags = TALLY_TYPE_LABEL, .label = label_##by
#define PAIR SLOT(list, first), SLOT(list, rest)
#define SCOPE SLOT(env, outer), SLOT(env, closure)
#define ITEM(index) {"items[" #index "]", offsetof(struct env, items) + (index) * sizeof(void *)}

static const struct tally_type_info infos[MAL_LAYOUT_COUNT] = {
    [MAL_NIL] = {.size = sizeof(struct value)},
    [MAL_BOOLEAN] = {.size = sizeof(struct value)},
    [MAL_INTEGER] = {.size = sizeof(struct integer)},
    [MAL_STRING] = {BYTES(string)},
    [MAL_KEYWORD] = {BYTES(string), LABEL(keyword)},
    [MAL_SYMBOL] = {BYTES(symbol), LABEL(symbol)},
    [MAL_LIST] = {.size = sizeof(struct list), SLOTS(PAIR)},
    [MAL_EMPTY] = {.size = sizeof(struct list)},
    [MAL_LIST_META] = {.size = sizeof(struct list_meta), SLOTS(PAIR, SLOT(list_meta, meta))},
    [MAL_TEMPLATE] = {.size = sizeof(struct template), SLOTS(PAIR, SLOT(template, expansion))},
    [MAL_VECTOR] = {.size = sizeof(struct vector), .trailing = TALLY_TRAILING_SLOTS, .trailing_name = "items",
                    .trailing_length_offset = offsetof(struct vector, length), SLOTS(SLOT(vector, meta))},
    [MAL_MAP] = {.size = sizeof(struct map), .trailing = TALLY_TRAILING_SLOTS, .trailing_name = "items",
                 .trailing_length_offset = offsetof(struct map, length), SLOTS(SLOT(map, meta))},
    [MAL_CLOSURE] = {.size = sizeof(struct closure), LABEL(line),
                     SLOTS(SLOT(closure, params), SLOT(closure, body), SLOT(closure, env), SLOT(closure, meta))},
    [MAL_BUILTIN] = {.size = sizeof(struct builtin), LABEL(builtin), SLOTS(SLOT(builtin, meta))},
    [MAL_ATOM] = {.size = sizeof(struct atom), LABEL(line), SLOTS(SLOT(atom, content))},
    [MAL_ENV] = {.size = sizeof(struct env), .trailing = TALLY_TRAILING_SLOTS, .trailing_name = "items",
                 .trailing_length_offset = offsetof(struct env, length), SLOTS(SCOPE)},
    [MAL_ENV_2] = {.size = sizeof(struct env) + 2 * sizeof(void *), SLOTS(SCOPE, ITEM(0), ITEM(1))},
    [MAL_ENV_4] = {.size = sizeof(struct env) + 4 * sizeof(void *),
                   SLOTS(SCOPE, ITEM(0), ITEM(1), ITEM(2), ITEM(3))},
};

int mal_types_register(struct mal *mal)
{
    static const char *const names[] = {
#define KIND(name, type) type,
#define LAYOUT KIND
        MAL_KINDS(KIND) MAL_LAYOUTS(LAYOUT)
#undef LAYOUT
#undef KIND
    };
    for (int i = 0; i < MAL_LAYOUT_COUNT; i++) {
        struct tally_type_info info = infos[i];
        info.name = names[i];
        int error = tally_type_register(&info, &mal->types[i]);
        if (error)
            return error;
    }
    return 0;
}

/* The exception for want of memory was made beforehand. */
void *mal_out_of_memory(struct mal *mal)
{
    return mal_throw_value(mal, mal->out_of_memory);
}

void *mal_new_array(struct mal *mal, enum kind kind, size_t length)
{
    struct value *value = tally_new_array(mal->heap, mal->types[kind], length);
    if (!value)
        return mal_out_of_memory(mal);
    value->kind = (uint8_t)kind;
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
    void **slot = &mal->integers->items[number - SMALL_LOW];
    if (!*slot)
        tally_store_steal(mal->integers, slot, integer_new(mal, number));
    return tally_dup(*slot);
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

void *mal_atom(struct mal *mal, void *content)
{
    struct atom *atom = mal_new(mal, MAL_ATOM);
    if (atom)
        tally_store(atom, &atom->content, content);
    return atom;
}

static void copy_slots(void *to, void **to_slots, void *const *from_slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tally_store(to, &to_slots[i], from_slots[i]);
}

static void *list_copy(struct mal *mal, const struct list *from)
{
    struct list *copy = mal_new_as(mal, MAL_LIST_META, MAL_LIST);
    if (copy) {
        copy->value.flag = true;
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
        copy->value.number = from->value.number;
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
        copy->routine = from->routine;
    }
    return copy;
}

static void *vector_copy(struct mal *mal, struct vector *from)
{
    struct vector *copy = mal_new_array(mal, MAL_VECTOR, from->length);
    if (copy)
        copy_slots(copy, copy->items, from->items, from->length);
    return copy;
}

static void *map_copy(struct mal *mal, struct map *from)
{
    struct map *copy = mal_new_array(mal, MAL_MAP, from->length);
    if (copy) {
        copy->count = from->count;
        copy_slots(copy, copy->items, from->items, from->length);
    }
    return copy;
}

/* NULL: it has none. */
static void **meta_slot(void *value)
{
    switch (mal_kind(value)) {
    case MAL_LIST:
        return ((struct value *)value)->flag ? &((struct list_meta *)value)->meta : NULL;
    case MAL_VECTOR:
        return &((struct vector *)value)->meta;
    case MAL_MAP:
        return &((struct map *)value)->meta;
    case MAL_CLOSURE:
        return &((struct closure *)value)->meta;
    case MAL_BUILTIN:
        return &((struct builtin *)value)->meta;
    default:
        return NULL;
    }
}

void *mal_meta_of(void *value)
{
    void **slot = meta_slot(value);
    return slot ? *slot : NULL;
}

static void *copy_of(struct mal *mal, void *value)
{
    switch (mal_kind(value)) {
    case MAL_LIST:
        return list_copy(mal, value);
    case MAL_VECTOR:
        return vector_copy(mal, value);
    case MAL_MAP:
        return map_copy(mal, value);
    case MAL_CLOSURE:
        return closure_copy(mal, value);
    case MAL_BUILTIN:
        return builtin_copy(mal, value);
    default:
        return mal_throw(mal, "with-meta: a collection or a function is needed");
    }
}

void *mal_with_meta(struct mal *mal, void *value, void *meta)
{
    void *copy = copy_of(mal, value);
    if (copy)
        tally_store(copy, meta_slot(copy), meta);
    return copy;
}

static bool sequences_equal(struct mal *mal, void *one, void *two)
{
    struct walk a = mal_walk(one), b = mal_walk(two);
    for (;;) {
        void *left = mal_next(&a), *right = mal_next(&b);
        if (!left || !right)
            return left == right;
        if (!mal_equal(mal, left, right))
            return false;
    }
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
