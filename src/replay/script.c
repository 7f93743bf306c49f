#include "replay/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/command.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word of *rest, which then starts behind it; an empty one at the end. */
static struct word next_word(struct word *rest)
{
    size_t start = 0;
    while (start < rest->length && is_blank(rest->text[start]))
        start++;
    size_t end = start;
    while (end < rest->length && !is_blank(rest->text[end]))
        end++;
    struct word word = {rest->text + start, end - start};
    *rest = (struct word){rest->text + end, rest->length - end};
    return word;
}

static struct word without_comment(struct word line)
{
    for (size_t i = 0; i < line.length; i++)
        if (line.text[i] == '#' && (i == 0 || is_blank(line.text[i - 1])))
            return (struct word){line.text, i};
    return line;
}

/* Cuts the first line off *rest. */
static struct word next_line(struct word *rest)
{
    size_t length = 0;
    while (length < rest->length && rest->text[length] != '\n' && rest->text[length] != '\r')
        length++;
    struct word line = {rest->text, length};
    size_t after = length + (length < rest->length);
    if (after < rest->length && rest->text[length] == '\r' && rest->text[after] == '\n')
        after++;
    *rest = (struct word){rest->text + after, rest->length - after};
    return line;
}

static struct line read_line(struct word text)
{
    struct line line = {.text = without_comment(text)};
    struct word rest = line.text;
    struct word first = next_word(&rest);
    line.counts = line.text.length && memchr(line.text.text, '$', line.text.length);
    if (!first.length) {
        line.kind = LINE_BLANK;
    } else if (word_is(first, "repeat")) {
        line.kind = LINE_REPEAT;
        line.end = NO_END;
    } else if (word_is(first, "end")) {
        line.kind = LINE_END;
    } else {
        line.kind = LINE_COMMAND;
        line.command = command_find(first); /* a digit in place of a `$` makes no command of it */
    }
    return line;
}

/* While open, a repeat's `end` is the index of the one around it. */
static void match_repeats(struct script *script)
{
    size_t open = NO_END;
    for (size_t i = 0; i < script->count; i++) {
        struct line *line = &script->lines[i];
        if (line->kind == LINE_REPEAT) {
            line->end = open;
            open = i;
        } else if (line->kind == LINE_END && open != NO_END) {
            struct line *repeat = &script->lines[open];
            open = repeat->end;
            repeat->end = i;
        }
    }
    while (open != NO_END) {
        struct line *repeat = &script->lines[open];
        open = repeat->end;
        repeat->end = NO_END;
    }
}

bool script_load(struct script *script, const char *text, size_t length)
{
    size_t room = 0;
    struct word rest = {text, length};
    *script = (struct script){.count = 0};
    while (rest.length) {
        if (script->count == room) {
            room = room ? 2 * room : 64;
            struct line *lines = realloc(script->lines, room * sizeof *lines);
            if (!lines) {
                script_free(script);
                return false;
            }
            script->lines = lines;
        }
        script->lines[script->count++] = read_line(next_line(&rest));
    }
    match_repeats(script);
    return true;
}

void script_free(struct script *script)
{
    free(script->lines);
    *script = (struct script){.count = 0};
}

/* ---- Words ------------------------------------------------------------- */

static bool replace_dollars(struct words *words, struct word *line, uint64_t iteration)
{
    char digits[24];
    size_t width = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, iteration);
    size_t length = 0;
    for (size_t i = 0; i < line->length; i++)
        length += line->text[i] == '$' ? width : 1;
    if (length > words->text_room) {
        char *text = realloc(words->text, length);
        if (!text)
            return false;
        words->text = text;
        words->text_room = length;
    }
    char *to = words->text;
    for (size_t i = 0; i < line->length; i++) {
        if (line->text[i] != '$') {
            *to++ = line->text[i];
            continue;
        }
        memcpy(to, digits, width);
        to += width;
    }
    *line = (struct word){words->text, length};
    return true;
}

static bool words_add(struct words *words, struct word word)
{
    if (words->count == words->room) {
        size_t room = words->room ? 2 * words->room : 16;
        struct word *list = realloc(words->list, room * sizeof *list);
        if (!list)
            return false;
        words->list = list;
        words->room = room;
    }
    words->list[words->count++] = word;
    return true;
}

bool words_split(struct words *words, const struct line *line, const uint64_t *iteration)
{
    struct word rest = line->text;
    words->count = 0;
    if (iteration && line->counts && !replace_dollars(words, &rest, *iteration))
        return false;
    for (struct word word = next_word(&rest); word.length; word = next_word(&rest))
        if (!words_add(words, word))
            return false;
    return true;
}

void words_free(struct words *words)
{
    free(words->list);
    free(words->text);
    *words = (struct words){.count = 0};
}
