#include "tallyctl/columns.h"

#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

#define ID_SHOWN 8
#define GOOD "32"
#define BAD "31"
#define ODD "33"

/* "k=v k=v" or "a,b"; caller frees, NULL for want of memory. */
static char *joined(const json_t *value)
{
    char *text = NULL;
    size_t bytes = 0, i;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return NULL;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
        fprintf(to, "%s%s=%s", ftell(to) ? " " : "", key, json_is_string(member) ? json_string_value(member) : "?");
    json_array_foreach((json_t *)value, i, member) {
        if (json_is_integer(member))
            fprintf(to, "%s%lld", i ? "," : "", (long long)json_integer_value(member));
        else
            fprintf(to, "%s%s", i ? "," : "", json_is_string(member) ? json_string_value(member) : "?");
    }
    fclose(to);
    return text;
}

static void cell_joined(struct table *table, const json_t *value, const char *none)
{
    char *text = joined(value);
    table_cell(table, "%s", text && *text ? text : none);
    free(text);
}

/* Beside the words, never alone. */
static void cell_state(struct table *table, const char *word)
{
    static const struct { const char *words, *paint; } paints[] = {
        {"live ok succeeded ready resolved same inactive done", GOOD},
        {"failed firing fail violated new grown", BAD},
        {"gone expired cancelled pending throttled warn queued waiting_for_safepoint running receiving analysing", ODD}};
    table_cell(table, "%s", word);
    for (size_t i = 0; i < sizeof paints / sizeof *paints; i++)
        if (text_has_word(paints[i].words, ' ', word))
            table_paint(table, paints[i].paint);
}

static uint64_t number_of(const json_t *value)
{
    json_int_t number = json_is_real(value) ? (json_int_t)json_real_value(value) : json_integer_value(value);
    return number > 0 ? (uint64_t)number : 0;
}

static void cell(struct table *table, const struct column *column, const json_t *value)
{
    char figure[TEXT_FIGURE_MAX];
    const char *none = column->none ? column->none : "-";
    switch (column->kind) {
    case COLUMN_SWITCH:
        table_cell(table, "%s", json_is_true(value) ? "on" : json_is_false(value) ? "off" : "differs");
        return;
    case COLUMN_YES:
        table_cell(table, "%s", json_is_true(value) ? "yes" : "no");
        return;
    case COLUMN_JOINED:
        cell_joined(table, value, none);
        return;
    default:
        break;
    }
    if (!value || json_is_null(value)) {
        table_cell(table, "%s", none);
        return;
    }
    switch (column->kind) {
    case COLUMN_STATE:
        cell_state(table, json_is_string(value) ? json_string_value(value) : none);
        break;
    case COLUMN_ID:
        table_cell(table, "%.*s", ID_SHOWN, json_is_string(value) ? json_string_value(value) : none);
        break;
    case COLUMN_BYTES:
        table_cell(table, "%s", text_bytes(figure, number_of(value)));
        break;
    case COLUMN_NS:
        table_cell(table, "%s", text_duration(figure, number_of(value)));
        break;
    case COLUMN_SIGNED:
        table_cell(table, "%+lld",
                   json_is_real(value) ? (long long)json_real_value(value) : (long long)json_integer_value(value));
        break;
    case COLUMN_SHARE:
        table_cell(table, "%.1f %%", 100 * json_number_value(value));
        break;
    default:
        if (json_is_string(value))
            table_cell(table, "%s", json_string_value(value));
        else if (json_is_real(value))
            table_cell(table, "%.6g", json_real_value(value));
        else
            table_cell(table, "%lld", (long long)json_integer_value(value));
    }
}

void columns_row(struct table *table, const struct column *columns, size_t count, const json_t *row)
{
    for (size_t i = 0; i < count; i++)
        cell(table, &columns[i], client_member(row, columns[i].path));
}

void columns_print(const struct paper *paper, const struct column *columns, size_t count, const json_t *rows,
                   const char *nothing)
{
    const char *headings[24];
    size_t i;
    json_t *row;
    if (json_array_size(rows) == 0) {
        fprintf(paper->to, "%s\n", nothing);
        return;
    }
    for (i = 0; i < count && i < sizeof headings / sizeof *headings; i++)
        headings[i] = columns[i].heading;
    struct table *table = table_new(headings, i);
    json_array_foreach((json_t *)rows, i, row)
        columns_row(table, columns, count, row);
    table_print_free(table, paper);
}

const char *columns_figure(char out[], uint64_t value, const char *unit)
{
    return strcmp(unit, "bytes") == 0         ? text_bytes(out, value)
           : strcmp(unit, "nanoseconds") == 0 ? text_duration(out, value)
                                              : text_number(out, value);
}

void columns_say(const struct paper *paper, const char *before, const char *text, const char *after)
{
    char *escaped = text_escape_dup(text);
    fprintf(paper->to, "%s%s%s", before, escaped ? escaped : "", after);
    free(escaped);
}
