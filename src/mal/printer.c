/* Values to text, built in a string on the heap that doubles as it fills. */
#include <stdio.h>
#include <string.h>

#include "mal/mal.h"

struct printer {
    struct mal *mal;
    struct string *text; /* owned */
    size_t used;
    bool readably, failed;
};

static void put(struct printer *printer, const char *bytes, size_t length)
{
    struct string *text = printer->text;
    if (printer->failed)
        return;
    if (length > text->length - printer->used) {
        size_t room = 2 * (printer->used + length);
        struct string *bigger = mal_new_array(printer->mal, MAL_STRING, room);
        if (!bigger) {
            printer->failed = true;
            return;
        }
        memcpy(bigger->bytes, text->bytes, printer->used);
        tally_decref(text);
        printer->text = text = bigger;
    }
    memcpy(text->bytes + printer->used, bytes, length);
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
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)integer->number);
    put_text(printer, digits);
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
    struct printer printer = {.mal = mal, .readably = readably, .text = mal_new_array(mal, MAL_STRING, 64)};
    if (!printer.text)
        return NULL;
    for (size_t i = 0; i < count && !printer.failed; i++) {
        if (i)
            put_text(&printer, between);
        print(&printer, values[i]);
    }
    void *result = printer.failed ? NULL : mal_string(mal, printer.text->bytes, printer.used);
    tally_decref(printer.text);
    return result;
}
