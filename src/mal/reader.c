/* Text to forms. */
#include <stdlib.h>
#include <string.h>

#include "mal/mal.h"

struct reader {
    struct mal *mal;
    const char *at, *end;
    const char *counted; /* up to here, */
    uint32_t line;       /* this is the line */
};

static void *read_form(struct reader *reader);

static void skip_blank(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (*reader->at == ';')
            while (reader->at < reader->end && *reader->at != '\n')
                reader->at++;
        else if (*reader->at && strchr(" \t\r\n,", *reader->at))
            reader->at++;
        else
            return;
    }
}

static bool ends_word(char byte)
{
    return byte && strchr(" \t\r\n,[]{}()'\"`;", byte);
}

/* Items up to `close`, as a vector; throws at the end of input. */
static void *read_items(struct reader *reader, char close)
{
    struct mal *mal = reader->mal;
    TALLY_LOCAL struct vector *items = mal_new_array(mal, MAL_VECTOR, 8);
    size_t count = 0;
    reader->at++;
    for (;;) {
        skip_blank(reader);
        if (!items)
            return NULL;
        if (reader->at == reader->end)
            return mal_throw(mal, "expected '%c', got EOF", close);
        if (*reader->at == close)
            break;
        TALLY_LOCAL void *item = read_form(reader);
        if (!item)
            return NULL;
        if (count == items->length) {
            struct vector *more = mal_new_array(mal, MAL_VECTOR, 2 * count);
            for (size_t i = 0; i < count && more; i++)
                tally_store_steal(more, &more->items[i], tally_take(items, &items->items[i]));
            tally_decref(items);
            items = more;
            if (!items)
                return NULL;
        }
        tally_store(items, &items->items[count++], item);
    }
    reader->at++;
    struct vector *exact = mal_new_array(mal, MAL_VECTOR, count);
    for (size_t i = 0; i < count && exact; i++)
        tally_store(exact, &exact->items[i], items->items[i]);
    return exact;
}

/* The line of a place that is not before an earlier one. */
static uint32_t line_of(struct reader *reader, const char *place)
{
    for (; reader->counted < place; reader->counted++)
        reader->line += *reader->counted == '\n';
    return reader->line;
}

/* Forms whose values a snapshot shows with their line. */
static bool has_line(const struct list *form)
{
    const struct value *head = form->first;
    if (!head || mal_kind(head) != MAL_SYMBOL)
        return false;
    return head->number == MAL_WORD_DEF || head->number == MAL_WORD_DEFMACRO || head->number == MAL_WORD_LET ||
           head->number == MAL_WORD_FN;
}

static void *read_list(struct reader *reader, struct vector *items, uint32_t line)
{
    struct list *list = mal_list_of(reader->mal, items->items, items->length);
    if (list && has_line(list))
        list->value.number = line;
    return list;
}

static void *read_sequence(struct reader *reader, char open)
{
    uint32_t line = line_of(reader, reader->at);
    TALLY_LOCAL struct vector *items = read_items(reader, open == '(' ? ')' : open == '[' ? ']' : '}');
    if (!items)
        return NULL;
    if (open == '(')
        return read_list(reader, items, line);
    if (open == '{')
        return mal_map_of(reader->mal, items->items, items->length);
    return tally_dup(items);
}

static void *read_string(struct reader *reader)
{
    struct mal *mal = reader->mal;
    const char *start = ++reader->at;
    size_t length = 0;
    while (reader->at < reader->end && *reader->at != '"') {
        reader->at += *reader->at == '\\' ? 2 : 1;
        length++;
    }
    if (reader->at >= reader->end) {
        reader->at = reader->end;
        return mal_throw(mal, "expected '\"', got EOF");
    }
    struct string *string = mal_new_array(mal, MAL_STRING, length);
    for (size_t i = 0; i < length && string; i++, start++) {
        bool escaped = *start == '\\';
        start += escaped;
        string->bytes[i] = escaped && *start == 'n' ? '\n' : *start;
    }
    reader->at++;
    return string;
}

static bool is_number(const char *word, size_t length)
{
    size_t sign = *word == '-' || *word == '+';
    if (length == sign)
        return false;
    for (size_t i = sign; i < length; i++)
        if (word[i] < '0' || word[i] > '9')
            return false;
    return true;
}

/* Wraps at 64 bits, as arithmetic does. */
static int64_t number_of(const char *word, size_t length)
{
    uint64_t number = 0;
    for (size_t i = *word == '-' || *word == '+'; i < length; i++)
        number = number * 10 + (uint64_t)(word[i] - '0');
    return (int64_t)(*word == '-' ? 0 - number : number);
}

static void *read_word(struct reader *reader)
{
    struct mal *mal = reader->mal;
    const char *word = reader->at;
    while (reader->at < reader->end && !ends_word(*reader->at))
        reader->at++;
    size_t length = (size_t)(reader->at - word);
    if (is_number(word, length))
        return mal_integer(mal, number_of(word, length));
    if (*word == ':')
        return mal_keyword(mal, word + 1, length - 1);
    if (length == 3 && !memcmp(word, "nil", 3))
        return tally_dup(mal->nil);
    if (length == 4 && !memcmp(word, "true", 4))
        return tally_dup(mal->yes);
    if (length == 5 && !memcmp(word, "false", 5))
        return tally_dup(mal->no);
    return mal_symbol(mal, word, length);
}

/* 'x and its like: (symbol x). */
static void *read_prefixed(struct reader *reader, struct symbol *symbol, size_t bytes)
{
    reader->at += bytes;
    TALLY_LOCAL void *form = read_form(reader);
    return form ? mal_list_of(reader->mal, (void *[]){symbol, form}, 2) : NULL;
}

static void *read_template(struct reader *reader)
{
    reader->at++;
    TALLY_LOCAL void *form = read_form(reader);
    return form ? mal_template(reader->mal, form) : NULL;
}

/* ^meta x: (with-meta x meta). */
static void *read_meta(struct reader *reader)
{
    reader->at++;
    TALLY_LOCAL void *meta = read_form(reader);
    TALLY_LOCAL void *form = meta ? read_form(reader) : NULL;
    return form ? mal_list_of(reader->mal, (void *[]){reader->mal->words[MAL_WORD_META], form, meta}, 3) : NULL;
}

static void *read_form(struct reader *reader)
{
    struct mal *mal = reader->mal;
    if (!mal_stack_ok(mal))
        return NULL;
    skip_blank(reader);
    if (reader->at == reader->end)
        return mal_throw(mal, "expected a form, got EOF");
    switch (*reader->at) {
    case '(':
    case '[':
    case '{':
        return read_sequence(reader, *reader->at);
    case ')':
    case ']':
    case '}':
        return mal_throw(mal, "unexpected '%c'", *reader->at++);
    case '\'':
        return read_prefixed(reader, mal->words[MAL_WORD_QUOTE], 1);
    case '`':
        return read_template(reader);
    case '@':
        return read_prefixed(reader, mal->words[MAL_WORD_DEREF], 1);
    case '~':
        if (reader->end - reader->at > 1 && reader->at[1] == '@')
            return read_prefixed(reader, mal->words[MAL_WORD_SPLICE], 2);
        return read_prefixed(reader, mal->words[MAL_WORD_UNQUOTE], 1);
    case '^':
        return read_meta(reader);
    case '"':
        return read_string(reader);
    default:
        return read_word(reader);
    }
}

/* The first form of the text; *nothing: there is none, and nothing was thrown. */
void *mal_read(struct mal *mal, const char *text, size_t length, bool *nothing)
{
    struct reader reader = {.mal = mal, .at = text, .end = text + length, .counted = text, .line = 1};
    skip_blank(&reader);
    *nothing = reader.at == reader.end;
    return *nothing ? NULL : read_form(&reader);
}
