/* Lists: rows newest first, within a range of the wall clock. */
#include <stdio.h>
#include <string.h>

#include "history/reader.h"

typedef void (*row_fn)(sqlite3_stmt *list, const void *to, void *arg);

static uint64_t number(sqlite3_stmt *list, int column)
{
    sqlite3_int64 value = sqlite3_column_int64(list, column);
    return value < 0 ? 0 : (uint64_t)value;
}
static const char *text(sqlite3_stmt *list, int column)
{
    const char *value = (const char *)sqlite3_column_text(list, column);
    return value ? value : "";
}

/* ?1 before, ?2 from, ?3 to, ?4 limit; what else is bound, the caller has. */
static int list_run(struct history *history, sqlite3_stmt *list, const struct history_range *range,
                    row_fn each, const void *to, void *arg, int code)
{
    if (list) {
        sqlite3_bind_int64(list, 1, range->before ? (sqlite3_int64)range->before : INT64_MAX);
        sqlite3_bind_int64(list, 2, range->from_ns < INT64_MAX ? (sqlite3_int64)range->from_ns : INT64_MAX);
        sqlite3_bind_int64(list, 3, range->to_ns && range->to_ns < INT64_MAX ? (sqlite3_int64)range->to_ns : INT64_MAX);
        sqlite3_bind_int64(list, 4, (sqlite3_int64)range->limit);
        while ((code = sqlite3_step(list)) == SQLITE_ROW)
            each(list, to, arg);
        sqlite3_reset(list);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    return reader_give(history, code);
}

struct audit_to { history_audit_fn each; };
static void audit_row(sqlite3_stmt *list, const void *to, void *arg)
{
    struct audit_record record = {.wall_ns = number(list, 1), .seq = number(list, 2), .left_out = number(list, 3)};
    int column = 4;
#define HISTORY_X(name, room) snprintf(record.name, sizeof record.name, "%s", text(list, column++));
    AUDIT_TEXTS(HISTORY_X)
#undef HISTORY_X
    ((const struct audit_to *)to)->each(arg, number(list, 0), &record);
}

int history_audit_list(struct history *history, const struct history_range *range, const struct history_audit_filter *filter,
                       history_audit_fn each, void *arg)
{
    struct file *file;
    int code = reader_take(history, &file);
    if (code)
        return code;
    sqlite3_stmt *list = file_statement(file, STATEMENT_LIST_AUDIT, &code);
    if (list) { /* NULL binds NULL */
        sqlite3_bind_text(list, 5, filter->who, -1, SQLITE_STATIC);
        sqlite3_bind_text(list, 6, filter->kind, -1, SQLITE_STATIC);
        sqlite3_bind_text(list, 7, filter->target, -1, SQLITE_STATIC);
        sqlite3_bind_text(list, 8, filter->result, -1, SQLITE_STATIC);
    }
    return list_run(history, list, range, audit_row, &(struct audit_to){each}, arg, code);
}

struct alert_to { history_alert_fn each; };
static void alert_row(sqlite3_stmt *list, const void *to, void *arg)
{
    struct history_alert alert = {.wall_ns = number(list, 1)};
    int column = 2;
#define HISTORY_X(name, room) snprintf(alert.name, sizeof alert.name, "%s", text(list, column++));
    HISTORY_ALERT_TEXTS(HISTORY_X)
#undef HISTORY_X
    alert.heap = (uint32_t)number(list, column++);
    alert.value = sqlite3_column_double(list, column++);
    alert.threshold = sqlite3_column_double(list, column);
    ((const struct alert_to *)to)->each(arg, number(list, 0), &alert);
}

int history_alert_list(struct history *history, const struct history_range *range, history_alert_fn each, void *arg)
{
    struct file *file;
    int code = reader_take(history, &file);
    if (code)
        return code;
    sqlite3_stmt *list = file_statement(file, STATEMENT_LIST_ALERTS, &code);
    return list_run(history, list, range, alert_row, &(struct alert_to){each}, arg, code);
}

struct collection_to { history_collection_fn each; };
static void collection_row(sqlite3_stmt *list, const void *to, void *arg)
{
    struct stats_collection_view collection = {.heap = 0};
    int column = 2;
#define HISTORY_X(member) collection.member = (typeof(collection.member))number(list, column++);
    COLLECTION_MEMBERS(HISTORY_X)
#undef HISTORY_X
    ((const struct collection_to *)to)->each(arg, number(list, 0), &collection, number(list, 1));
}

int history_collection_list(struct history *history, const char *process, uint32_t heap,
                            const struct history_range *range, history_collection_fn each, void *arg)
{
    struct file *file;
    int code = reader_take(history, &file);
    if (code)
        return code;
    code = process_find(file, process);
    if (code < 0) {
        reader_give(history, SQLITE_OK);
        return code;
    }
    sqlite3_stmt *list = code ? NULL : file_statement(file, STATEMENT_LIST_COLLECTIONS, &code);
    if (list) {
        sqlite3_bind_text(list, 5, process, -1, SQLITE_STATIC);
        sqlite3_bind_int64(list, 6, heap);
    }
    return list_run(history, list, range, collection_row, &(struct collection_to){each}, arg, code);
}

struct process_to { history_process_fn each; };
static void process_row(sqlite3_stmt *list, const void *to, void *arg)
{
    struct history_process process = {.id = text(list, 1), .name = text(list, 2), .library = text(list, 3),
                                      .labels = text(list, 4), .pid = (uint32_t)number(list, 5),
                                      .uid = (uint32_t)number(list, 6), .attached_ns = number(list, 7),
                                      .gone_ns = number(list, 8),
                                      .end = (const char *)sqlite3_column_text(list, 9),
                                      .ended = sqlite3_column_type(list, 10) != SQLITE_NULL,
                                      .status = sqlite3_column_int(list, 10),
                                      .watched = sqlite3_column_type(list, 11) == SQLITE_NULL};
    ((const struct process_to *)to)->each(arg, number(list, 0), &process);
}

int history_process_list(struct history *history, const char *id, const struct history_range *range,
                         history_process_fn each, void *arg)
{
    struct file *file;
    int code = reader_take(history, &file);
    if (code)
        return code;
    sqlite3_stmt *list = file_statement(file, id ? STATEMENT_LIST_PROCESS : STATEMENT_LIST_PROCESSES, &code);
    if (list && id)
        sqlite3_bind_text(list, 5, id, -1, SQLITE_STATIC);
    return list_run(history, list, range, process_row, &(struct process_to){each}, arg, code);
}
