/* A question about figures: which rows can tell, and what they tell of each step. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "history/reader.h"

#define RUNS_MAX 20000u
#define INTERVALS_MAX 4096u
#define TYPE_NAME_BYTES 256u

struct run {
    uint64_t at, until;
    int64_t wall_s; /* to add to a time of the time line */
};
struct interval { /* in which a series is the one that we ask for */
    uint32_t series;
    uint64_t from, to;
};

struct question {
    const struct history_query *query;
    struct file *file;
    struct history_answer *answer;
    enum level level;
    uint64_t now, oldest[LEVELS];
    struct run *runs;
    size_t run_count;
    /* of the column at work */
    struct history_column *column;
    enum subject subject;
    char type[TYPE_NAME_BYTES];
    struct shape shape;
    int bit;
    const char *path;
    uint64_t filled; /* up to which time of the stretch; */
    uint64_t value;  /* the value that goes on from there */
    bool known;
};

/* ---- what there is */

static int runs_load(struct question *question)
{
    int code = SQLITE_OK;
    sqlite3_stmt *list = file_statement(question->file, STATEMENT_LIST_RUNS, &code);
    size_t room = 0;
    while (list && (code = sqlite3_step(list)) == SQLITE_ROW && question->run_count < RUNS_MAX) {
        if (question->run_count == room) {
            room = room ? 2 * room : 16;
            struct run *runs = realloc(question->runs, room * sizeof *runs);
            if (!runs) {
                code = SQLITE_NOMEM;
                break;
            }
            question->runs = runs;
        }
        struct run *run = &question->runs[question->run_count];
        int64_t at = sqlite3_column_int64(list, 0), until = sqlite3_column_int64(list, 1);
        if (at < 1 || until < at || until > AT_MAX || (question->run_count && (uint64_t)at <= run[-1].until)) {
            code = SQLITE_CORRUPT;
            break;
        }
        *run = (struct run){(uint64_t)at, (uint64_t)until, sqlite3_column_int64(list, 2) - at};
        if (run->wall_s > AT_MAX || run->wall_s < -AT_MAX) {
            code = SQLITE_CORRUPT;
            break;
        }
        question->run_count++;
    }
    if (list)
        sqlite3_reset(list);
    if (question->run_count && question->now > question->runs[question->run_count - 1].until)
        question->runs[question->run_count - 1].until = question->now;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The oldest time of the time line of which each level has rows; UINT64_MAX: it has none. */
static int oldest_load(struct question *question)
{
    static const enum statement firsts[LEVELS] = {STATEMENT_FIRST_SECONDS, STATEMENT_FIRST_TENS, STATEMENT_FIRST_MINUTES};
    int code = SQLITE_OK;
    for (enum level level = 0; level < LEVELS && !code; level++) {
        int64_t key = 0;
        code = file_number(question->file, firsts[level], &key);
        question->oldest[level] = key ? key_at(level, (uint64_t)key) : UINT64_MAX;
    }
    return code;
}

/* When the answer begins, on the time line. */
static uint64_t first_at(const struct question *question)
{
    for (size_t i = 0; i < question->run_count; i++)
        if ((int64_t)question->runs[i].until + question->runs[i].wall_s > question->query->from_s) {
            int64_t at = question->query->from_s - question->runs[i].wall_s;
            return at > (int64_t)question->runs[i].at ? (uint64_t)at : question->runs[i].at;
        }
    return question->now;
}

/* The coarsest level that is fine enough, or a coarser one where only that one goes back so far. */
static void level_choose(struct question *question)
{
    struct history_answer *answer = question->answer;
    const struct history_query *query = question->query;
    if (question->run_count) {
        const struct run *last = &question->runs[question->run_count - 1];
        int64_t recorded = (int64_t)last->until + last->wall_s;
        answer->to_s = recorded < answer->to_s && question->now == last->until ? recorded : answer->to_s;
    }
    if (answer->to_s < query->from_s)
        answer->to_s = query->from_s;
    uint64_t length = (uint64_t)(answer->to_s - query->from_s), least = (length + query->points_max - 1) / query->points_max;
    uint64_t step = query->step_s > least ? query->step_s : least, from = first_at(question);
    enum level level = LEVELS - 1;
    while (level > LEVEL_SECONDS && level_shapes[level].step_s > step)
        level--;
    const uint64_t *oldest = question->oldest;
    while (level + 1 < LEVELS && oldest[level] > from && oldest[level + 1] != UINT64_MAX &&
           oldest[level] > oldest[level + 1] + level_shapes[level + 1].step_s)
        level++;
    uint64_t start = oldest[level];
    uint32_t resolution = level_shapes[level].step_s;
    question->level = level;
    answer->resolution_s = resolution;
    answer->step_s = (uint32_t)((step + resolution - 1) / resolution * resolution);
    if (!answer->step_s)
        answer->step_s = resolution;
    answer->start_s = query->from_s / answer->step_s * answer->step_s;
    answer->point_count = (size_t)((answer->to_s - answer->start_s + answer->step_s - 1) / answer->step_s);
    if (question->run_count && start != UINT64_MAX && start > question->runs[0].at + resolution)
        answer->oldest_s = (int64_t)start + question->runs[0].wall_s;
}

/* The times between runs. */
static void gaps_fill(struct question *question)
{
    struct history_answer *answer = question->answer;
    for (size_t i = 1; i < question->run_count && answer->gap_count < HISTORY_GAPS_MAX; i++) {
        const struct run *before = &question->runs[i - 1], *run = &question->runs[i];
        int64_t from = (int64_t)before->until + before->wall_s, to = (int64_t)run->at + run->wall_s;
        if (to > from + 1 && to > question->query->from_s && from < question->query->to_s)
            answer->gaps[answer->gap_count++] = (struct history_gap){from, to};
    }
}

/* ---- what a column is of */

static void figure_seen(void *arg, unsigned bit, const char *path)
{
    struct question *question = arg;
    if (!strcmp(path, question->path))
        question->bit = (int)bit;
}

bool history_column_is_type(const char *name, size_t bytes)
{
    for (size_t i = 0; i < figure_row_count; i++) {
        size_t tail = strlen(figure_rows[i].path);
        if (figure_rows[i].subject == SUBJECT_TYPE && bytes > tail + 6 && name[bytes - tail - 1] == '.' &&
            !strncmp(name + bytes - tail, figure_rows[i].path, tail))
            return true;
    }
    return false;
}

/* "live_bytes", "type:NAME.live_bytes", "rest.live_bytes": the figure is what no type's name can be cut off from. NULL:
 * it is none of these; else its path, within `name`. */
static const char *column_split(const char *name, enum subject *subject, char type[TYPE_NAME_BYTES])
{
    const char *path = NULL;
    size_t length = strlen(name);
    *type = '\0';
    *subject = strncmp(name, "rest.", 5) && strncmp(name, "type:", 5) ? SUBJECT_TOTALS : SUBJECT_TYPE;
    if (*subject == SUBJECT_TOTALS)
        return name;
    if (*name == 'r')
        return name + 5;
    for (size_t i = 0; i < figure_row_count; i++) {
        size_t tail = strlen(figure_rows[i].path);
        const char *end = name + length - tail;
        if (figure_rows[i].subject == SUBJECT_TYPE && length > tail + 6 && end[-1] == '.' && !strcmp(end, figure_rows[i].path) &&
            (size_t)(end - name) - 6 < TYPE_NAME_BYTES && (!path || end < path))
            path = end;
    }
    if (path) {
        memcpy(type, name + 5, (size_t)(path - name) - 6);
        type[path - name - 6] = '\0';
    }
    return path;
}

bool history_column_known(const char *name)
{
    char type[TYPE_NAME_BYTES];
    enum subject subject;
    const char *path = column_split(name, &subject, type);
    for (size_t i = 0; path && i < figure_row_count; i++)
        if (figure_rows[i].subject == subject && !strcmp(figure_rows[i].path, path))
            return true;
    return false;
}

static int column_parse(struct question *question, const char *name)
{
    question->bit = -1;
    question->path = column_split(name, &question->subject, question->type);
    if (!question->path)
        return -EINVAL;
    int code = figures_load(question->file, question->subject, &question->shape, figure_seen, question);
    return code ? code : question->bit < 0 ? -EINVAL : 0;
}

static void column_describe(struct question *question)
{
    question->column->gauge = question->shape.gauges >> question->bit & 1;
    question->column->unit = "";
    for (size_t i = 0; i < figure_row_count; i++)
        if (figure_rows[i].subject == question->subject && !strcmp(figure_rows[i].path, question->path))
            question->column->unit = figure_rows[i].unit;
}

static int intervals_load(struct question *question, enum statement which, struct interval *intervals, size_t *count)
{
    int code = SQLITE_OK;
    sqlite3_stmt *find = file_statement(question->file, which, &code);
    if (!find)
        return code;
    sqlite3_bind_text(find, 1, question->query->process, -1, SQLITE_STATIC);
    sqlite3_bind_int64(find, 2, question->query->heap);
    sqlite3_bind_int(find, 3, (int)question->subject);
    sqlite3_bind_text(find, 4, question->type, -1, SQLITE_STATIC);
    while ((code = sqlite3_step(find)) == SQLITE_ROW && *count < INTERVALS_MAX) {
        int64_t series = sqlite3_column_int64(find, 0), from = sqlite3_column_int64(find, 1);
        int64_t to = sqlite3_column_type(find, 2) == SQLITE_NULL ? AT_MAX : sqlite3_column_int64(find, 2);
        if (series < 1 || series > (int64_t)SERIES_MAX || from < 0 || from > AT_MAX || to > AT_MAX) {
            code = SQLITE_CORRUPT;
            break;
        }
        if (to >= from)
            intervals[(*count)++] = (struct interval){(uint32_t)series, (uint64_t)from, (uint64_t)to};
    }
    sqlite3_reset(find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- what it was */

static void point_merge(struct history_point *point, uint64_t last, uint64_t low, uint64_t high)
{
    point->low = !point->known || low < point->low ? low : point->low;
    point->high = !point->known || high > point->high ? high : point->high;
    point->last = last;
    point->known = true;
}

/* The point that a time belongs to. */
static size_t point_of(const struct question *question, const struct stretch *stretch, uint64_t at)
{
    int64_t offset = (int64_t)at + stretch->wall_s - question->answer->start_s - 1;
    int64_t point = offset < 0 ? 0 : offset / question->answer->step_s;
    return (size_t)point < question->answer->point_count ? (size_t)point : question->answer->point_count - 1;
}

/* The value goes on up to `to`. */
static void fill(struct question *question, const struct stretch *stretch, uint64_t to)
{
    if (question->known && to > question->filled && question->answer->point_count)
        for (size_t i = point_of(question, stretch, question->filled + 1); i <= point_of(question, stretch, to); i++)
            point_merge(&question->column->points[i], question->value, question->value, question->value);
    question->filled = to > question->filled ? to : question->filled;
}

static void row_take(void *arg, const struct stretch *stretch, uint64_t at, uint32_t window, const struct figures *figures)
{
    struct question *question = arg;
    int bit = question->bit;
    if (at > window)
        fill(question, stretch, at - window < stretch->to ? at - window : stretch->to);
    question->known = figures->known;
    question->value = figures->value[bit];
    if (!window)
        return;
    at = at < stretch->to ? at : stretch->to;
    if (question->known && at > question->filled) {
        point_merge(&question->column->points[point_of(question, stretch, at)], figures->value[bit], figures->low[bit],
                    figures->high[bit]);
        question->filled = at;
    }
}

static int interval_read(struct question *question, const struct interval *interval)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < question->run_count && !code; i++) {
        const struct run *run = &question->runs[i];
        int64_t from = question->answer->start_s + 1 - run->wall_s, to = question->answer->to_s - run->wall_s;
        int64_t least = (int64_t)(interval->from > run->at ? interval->from : run->at);
        int64_t most = (int64_t)(interval->to < run->until ? interval->to : run->until);
        struct stretch stretch = {.series = interval->series, .least = (uint64_t)least, .wall_s = run->wall_s,
                                  .from = (uint64_t)(from > least ? from : least), .to = (uint64_t)(to < most ? to : most)};
        if ((from > least ? from : least) > (to < most ? to : most))
            continue;
        question->known = false;
        question->filled = stretch.from - 1;
        code = stretch_read(question->file, question->level, &stretch, &question->shape, question->oldest, row_take, question);
        if (!code)
            fill(question, &stretch, stretch.to);
    }
    return code;
}

static int column_read(struct question *question, const char *name)
{
    int code = column_parse(question, name);
    if (code)
        return code;
    column_describe(question);
    struct interval *intervals = malloc(INTERVALS_MAX * sizeof *intervals);
    size_t count = 0;
    if (!intervals)
        return SQLITE_NOMEM;
    if (question->query->heap)
        code = intervals_load(question, STATEMENT_FIND_FIRST_SERIES, intervals, &count);
    if (!code)
        code = intervals_load(question, STATEMENT_FIND_SERIES, intervals, &count);
    for (size_t i = 0; i < count && !code; i++)
        code = interval_read(question, &intervals[i]);
    free(intervals);
    return code;
}

static int points_make(struct history_answer *answer, size_t columns)
{
    answer->column_count = columns;
    if (answer->point_count * columns > HISTORY_CELLS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < columns; i++)
        if (!(answer->columns[i].points = calloc(answer->point_count + 1, sizeof *answer->columns[i].points)))
            return SQLITE_NOMEM;
    return SQLITE_OK;
}

/* SQLite's code, or -errno. */
static int ask(struct question *question)
{
    int code = question->query->lives ? SQLITE_OK : process_find(question->file, question->query->process);
    if (!code)
        code = runs_load(question);
    if (!code)
        code = oldest_load(question);
    if (!code)
        level_choose(question);
    if (!code)
        code = points_make(question->answer, question->query->column_count);
    if (!code)
        gaps_fill(question);
    for (size_t i = 0; i < question->query->column_count && !code; i++) {
        question->column = &question->answer->columns[i];
        code = column_read(question, question->query->columns[i]);
    }
    return code;
}

int history_query(struct history *history, const struct history_query *query, struct history_answer **out)
{
    struct question question = {.query = query};
    if (history->in_memory)
        return -ENODATA;
    question.answer = calloc(1, sizeof *question.answer);
    if (!question.answer)
        return -ENOMEM;
    question.answer->to_s = query->to_s;
    int code = reader_take(history, &question.file);
    if (!code) {
        pthread_mutex_lock(&history->lock);
        question.now = history->now;
        pthread_mutex_unlock(&history->lock);
        code = ask(&question);
        int error = reader_give(history, code > 0 ? code : SQLITE_OK);
        code = code > 0 ? error : code;
    }
    free(question.runs);
    if (code)
        history_answer_free(question.answer);
    else
        *out = question.answer;
    return code;
}

void history_answer_free(struct history_answer *answer)
{
    for (size_t i = 0; i < answer->column_count; i++)
        free(answer->columns[i].points);
    free(answer);
}
