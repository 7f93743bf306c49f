/* Values to text, built on the C stack and, where that is too small, in a string on the heap that doubles as it
 * fills. */
#include <string.h>

#include "mal/mal.h"

struct printer {
    struct mal *mal;
    char *bytes; /* few, or those of text */
    size_t used, room;
    bool readably, failed;
    struct string *text; /* owned, or NULL */
    char few[128];
};

static bool grow(struct printer *printer, size_t room)
{
    struct string *text = mal_new_array(printer->mal, MAL_STRING, room);
    if (!text)
        return false;
    memcpy(text->bytes, printer->bytes, printer->used);
    if (printer->text)
        tally_decref(printer->text);
    printer->text = text;
    printer->bytes = text->bytes;
    printer->room = room;
    return true;
}

static void put(struct printer *printer, const char *bytes, size_t length)
{
    if (!printer->failed && length > printer->room - printer->used)
        printer->failed = !grow(printer, 2 * (printer->used + length));
    if (printer->failed)
        return;
    memcpy(printer->bytes + printer->used, bytes, length);
    printer->used += length;
}

static void put_text(struct printer *printer, const char *text)
{
    put(printer, text, strlen(text));
}

static void put_escaped(struct printer *printer, const struct string *string)
{
    put(printer, "\"", 1);
    for (size_t i = 0; i < string->length; i++) {
        char byte = string->bytes[i];
        if (byte == '\n')
            put(printer, "\\n", 2);
        else if (byte == '"' || byte == '\\')
            put(printer, (char[]){'\\', byte}, 2);
        else
            put(printer, &byte, 1);
    }
    put(printer, "\"", 1);
}

static void print(struct printer *printer, void *value);

static void print_list(struct printer *printer, const struct list *list)
{
    put(printer, "(", 1);
    for (bool first = true; !mal_is_empty(list) && !printer->failed; list = list->rest, first = false) {
        if (!first)
            put(printer, " ", 1);
        print(printer, list->first);
    }
    put(printer, ")", 1);
}

static void print_vector(struct printer *printer, const struct vector *vector)
{
    put(printer, "[", 1);
    for (size_t i = 0; i < vector->length && !printer->failed; i++) {
        if (i)
            put(printer, " ", 1);
        print(printer, vector->items[i]);
    }
    put(printer, "]", 1);
}

static void print_map(struct printer *printer, const struct map *map)
{
    bool first = true;
    put(printer, "{", 1);
    for (size_t i = 0; i < map->length && !printer->failed; i += 2) {
        if (!map->items[i])
            continue;
        if (!first)
            put(printer, " ", 1);
        first = false;
        print(printer, map->items[i]);
        put(printer, " ", 1);
        print(printer, map->items[i + 1]);
    }
    put(printer, "}", 1);
}

static void print_integer(struct printer *printer, const struct integer *integer)
{
    char digits[20], *first = digits + sizeof digits;
    uint64_t rest = integer->number < 0 ? 0 - (uint64_t)integer->number : (uint64_t)integer->number;
    do
        *--first = (char)('0' + rest % 10);
    while (rest /= 10);
    if (integer->number < 0)
        *--first = '-';
    put(printer, first, (size_t)(digits + sizeof digits - first));
}

static void print(struct printer *printer, void *value)
{
    if (!mal_stack_ok(printer->mal)) {
        printer->failed = true;
        return;
    }
    const struct string *string = value;
    const struct symbol *symbol = value;
    switch (mal_kind(value)) {
    case MAL_NIL:
        put_text(printer, "nil");
        break;
    case MAL_BOOLEAN:
        put_text(printer, value == printer->mal->yes ? "true" : "false");
        break;
    case MAL_INTEGER:
        print_integer(printer, value);
        break;
    case MAL_STRING:
        if (printer->readably)
            put_escaped(printer, string);
        else
            put(printer, string->bytes, string->length);
        break;
    case MAL_KEYWORD:
        put(printer, ":", 1);
        put(printer, string->bytes, string->length);
        break;
    case MAL_SYMBOL:
        put(printer, symbol->bytes, symbol->length);
        break;
    case MAL_LIST:
        print_list(printer, value);
        break;
    case MAL_VECTOR:
        print_vector(printer, value);
        break;
    case MAL_MAP:
        print_map(printer, value);
        break;
    case MAL_ATOM:
        put_text(printer, "(atom ");
        print(printer, ((struct atom *)value)->content);
        put(printer, ")", 1);
        break;
    default:
        put_text(printer, ((struct value *)value)->flag ? "#<macro>" : "#<function>");
    }
}

void *mal_print(struct mal *mal, void **values, size_t count, bool readably, const char *between)
{
    struct printer printer;
    printer.mal = mal;
    printer.bytes = printer.few;
    printer.used = 0;
    printer.room = sizeof printer.few;
    printer.readably = readably;
    printer.failed = false;
    printer.text = NULL;
    for (size_t i = 0; i < count && !printer.failed; i++) {
        if (i)
            put_text(&printer, between);
        print(&printer, values[i]);
    }
    void *result = printer.failed ? NULL : mal_string(mal, printer.bytes, printer.used);
    if (printer.text)
        tally_decref(printer.text);
    return result;
}
