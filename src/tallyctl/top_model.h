/* What top shows: the processes of the newest frame, with rates, sorted and filtered. Pure. */
#ifndef TALLYCTL_TOP_MODEL_H
#define TALLYCTL_TOP_MODEL_H

#include <jansson.h>

#include "tallyctl/tallyctl.h"

enum top_column {
#define TOP_COLUMN(name, heading, width, path, help) TOP_##name,
#include "tallyctl/top.def"
#undef TOP_COLUMN
    TOP_COLUMNS
};

struct top_column_row {
    const char *heading;
    unsigned width;
    const char *path, *help; /* one of them */
};
extern const struct top_column_row top_columns[TOP_COLUMNS];

struct top_row {
    const json_t *process; /* of the frame; a Summary of the API */
    const char *id, *name; /* likewise */
    bool gone, known; /* known: there are rates */
    double values[TOP_COLUMNS]; /* of figures; NaN: not known */
};

#define TOP_FILTER_MAX 64

struct top_model {
    json_t *frame; /* the list's answer, owned */
    json_t *marks; /* by id: [time, allocations, frees.refcount, frees.cycle, pause_ns] of the frame before, owned */
    struct top_row *rows; /* shown ones, in order */
    size_t count, live, gone;
    double totals[TOP_COLUMNS]; /* over all live ones */
    uint64_t changed_ns; /* when a frame came that tallyd had published anew */
    enum top_column sort;
    bool reverse, show_gone;
    char filter[TOP_FILTER_MAX];
    char chosen[33]; /* id of the row that is chosen; it stays so wherever it goes */
};

void top_model_fini(struct top_model *model);

/* Takes over a frame that came at `came_ns` (CLOCK_MONOTONIC). What is none is ignored. */
void top_model_take(struct top_model *model, json_t *frame, uint64_t came_ns);

/* Sorts and filters anew, after one of the members above has changed. */
void top_model_order(struct top_model *model);

/* Where the chosen one stands; where it is gone, the first becomes the chosen one. */
size_t top_model_chosen(struct top_model *model);
/* Chooses another one, `by` rows further on; as far as there are. */
void top_model_move(struct top_model *model, long by);

/* The rows that are shown, as the API has them, with what top reckons; caller owns it. */
json_t *top_model_json(const struct top_model *model);

/* A column by its heading or its word ("live_bytes", "bytes"), whatever the case; TOP_COLUMNS: there is none. */
enum top_column top_column_find(const char *word);

/* What stands in a column. */
void top_cell(const struct top_row *row, enum top_column column, char *out, size_t room);
/* "12.3k", "512M", "1.20G": in seven columns at most; thousand is 1000 or 1024. */
const char *top_short(char *out, size_t room, double value, unsigned thousand);

#endif
