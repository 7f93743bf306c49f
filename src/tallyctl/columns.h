/* Tables of JSON rows: what stands in which column is a list of these. */
#ifndef TALLYCTL_COLUMNS_H
#define TALLYCTL_COLUMNS_H

#include "tallyctl/client.h"
#include "tallyctl/table.h"

enum column_kind {
    COLUMN_TEXT,
    COLUMN_STATE,  /* coloured by what it means */
    COLUMN_ID,     /* the beginning of a process's id, by which it may be named */
    COLUMN_NUMBER,
    COLUMN_BYTES,
    COLUMN_NS,
    COLUMN_SIGNED, /* a difference */
    COLUMN_SHARE,  /* 0 to 1, as per cent */
    COLUMN_SWITCH, /* on, off, or "differs" where heaps do */
    COLUMN_YES,    /* yes or no */
    COLUMN_JOINED, /* "k=v k=v" of an object, "a,b" of an array */
};

struct column {
    const char *heading; /* one that begins with '>' is of figures */
    const char *path;    /* of the member */
    enum column_kind kind;
    const char *none; /* where it is null or not there; NULL: "-" */
};

/* Adds the cells of one row. */
void columns_row(struct table *table, const struct column *columns, size_t count, const json_t *row);

/* Prints all rows of an array; `nothing`, a sentence, where there is none. */
void columns_print(const struct paper *paper, const struct column *columns, size_t count, const json_t *rows,
                   const char *nothing);
#define COLUMNS_PRINT(paper, columns, rows, nothing) \
    columns_print(paper, columns, sizeof(columns) / sizeof((columns)[0]), rows, nothing)

/* A figure in a unit of the catalogue (/v1/info): "bytes", "nanoseconds" or others. Returns `out`. */
const char *columns_figure(char out[], uint64_t value, const char *unit);

/* Prints `before`, the text escaped, and `after`. */
void columns_say(const struct paper *paper, const char *before, const char *text, const char *after);

#endif
