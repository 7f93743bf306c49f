/* What a file that was just opened tells the sampler: where numbers and the time line go on, and by which bit the file
 * knows each figure. A figure that is new gets the next bit; one that is no longer ours keeps its own, so that what
 * was written of it can be read. */
#include <string.h>

#include "history/private.h"

const struct figure_row figure_rows[] = {
#define counter false
#define gauge true
#define STATS_FIELD(member, path, kind, unit, label, help) {SUBJECT_TOTALS, path, kind, unit, label},
#include "stats/fields.def"
#undef STATS_FIELD
#define HISTORY_TYPE(member, path, kind, unit, label) {SUBJECT_TYPE, path, kind, unit, label},
#include "history/types.def"
#undef HISTORY_TYPE
#undef counter
#undef gauge
};
const size_t figure_row_count = sizeof figure_rows / sizeof *figure_rows;

int figures_load(struct file *file, enum subject subject, struct shape *shape, figure_seen_fn seen, void *arg)
{
    int code = SQLITE_OK;
    sqlite3_stmt *statement = file_statement(file, STATEMENT_LIST_FIGURES, &code);
    *shape = (struct shape){.count = 0};
    if (!statement)
        return code;
    sqlite3_bind_int(statement, 1, (int)subject);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        sqlite3_int64 bit = sqlite3_column_int64(statement, 0);
        const char *path = (const char *)sqlite3_column_text(statement, 1);
        if (bit != shape->count || bit >= (sqlite3_int64)FIGURES_MAX || !path) {
            code = SQLITE_CORRUPT;
            break;
        }
        shape->gauges |= (uint64_t)(sqlite3_column_int(statement, 2) != 0) << bit;
        shape->count++;
        if (seen)
            seen(arg, (unsigned)bit, path);
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

struct mapping {
    enum subject subject;
    uint8_t *bit;
    uint64_t found; /* by row of this subject */
};

static void map_figure(void *arg, unsigned bit, const char *path)
{
    struct mapping *mapping = arg;
    unsigned row = 0;
    for (size_t i = 0; i < figure_row_count; i++) {
        if (figure_rows[i].subject != mapping->subject)
            continue;
        if (!strcmp(figure_rows[i].path, path)) {
            mapping->bit[row] = (uint8_t)bit;
            mapping->found |= (uint64_t)1 << row;
        }
        row++;
    }
}

static int figure_add(struct file *file, const struct figure_row *row, unsigned bit)
{
    int code = SQLITE_OK;
    sqlite3_stmt *statement = file_statement(file, STATEMENT_INSERT_FIGURE, &code);
    if (!statement)
        return code;
    sqlite3_bind_int(statement, 1, (int)row->subject);
    sqlite3_bind_int(statement, 2, (int)bit);
    sqlite3_bind_text(statement, 3, row->path, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 4, row->gauge);
    return file_run(statement);
}

static int map_load(struct file *file, enum subject subject, struct figure_map *map)
{
    struct mapping mapping = {.subject = subject, .bit = map->bit};
    int code = figures_load(file, subject, &map->shape, map_figure, &mapping);
    unsigned row = 0, most = subject == SUBJECT_TYPE ? TYPE_FIGURES_MAX : FIGURES_MAX;
    if (!code && map->shape.count > most)
        return SQLITE_CORRUPT;
    for (size_t i = 0; i < figure_row_count && !code; i++) {
        if (figure_rows[i].subject != subject)
            continue;
        if (!(mapping.found >> row & 1)) {
            if (map->shape.count == most)
                return SQLITE_FULL;
            map->bit[row] = (uint8_t)map->shape.count;
            map->shape.gauges |= (uint64_t)figure_rows[i].gauge << map->shape.count;
            code = figure_add(file, &figure_rows[i], map->shape.count++);
        }
        row++;
    }
    return code;
}

int base_load(struct file *file, struct base *base)
{
    int64_t process = 0, series = 0, at = 0, wall_s = 0;
    int code = file_run(file_statement(file, STATEMENT_BEGIN, &(int){0}));
    if (code)
        return code;
    code = file_run(file_statement(file, STATEMENT_LEAVE_PROCESSES, &(int){0}));
    if (!code)
        code = file_run(file_statement(file, STATEMENT_FORGET_SEEN, &(int){0}));
    if (!code)
        code = file_number(file, STATEMENT_LAST_PROCESS, &process);
    if (!code)
        code = file_number(file, STATEMENT_LAST_SERIES, &series);
    if (!code)
        code = file_number(file, STATEMENT_LAST_UNTIL, &at);
    if (!code)
        code = file_number(file, STATEMENT_LAST_WALL, &wall_s);
    for (int subject = 0; subject < SUBJECTS && !code; subject++)
        code = map_load(file, (enum subject)subject, &base->figures[subject]);
    if (!code && (process < 0 || process >= UINT32_MAX - 1 || series < 0 || series >= (int64_t)SERIES_MAX ||
                  at < 0 || at > AT_MAX))
        code = SQLITE_CORRUPT;
    base->next_process = (uint32_t)process + 1;
    base->next_series = (uint32_t)series + 1;
    base->at = (uint64_t)at;
    base->wall_s = wall_s;
    if (!code)
        code = file_run(file_statement(file, STATEMENT_COMMIT, &(int){0}));
    file_rollback(file);
    return code;
}
