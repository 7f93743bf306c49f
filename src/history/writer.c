/* The writer: the only thread that changes the file. It opens it, takes what waits every few seconds in one
 * transaction, and what it could not write it keeps and tries again, while the queue fills up behind it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"
#include "history/private.h"

struct writer {
    struct history *history;
    struct file file;
    bool loaded; /* the sampler knows this file */
    struct batch batch; /* taken, not written yet */
    uint64_t asked;
    int64_t rows[TABLES], bytes[TABLES]; /* that this transaction adds */
    uint64_t newest; /* key of the seconds, of this transaction; 0: none */
    struct log_limit limit;
};

static void degraded_set(struct history *history, bool degraded, const char *why)
{
    pthread_mutex_lock(&history->lock);
    bool before = history->degraded;
    history->degraded = degraded;
    snprintf(history->why, sizeof history->why, "%s", why);
    pthread_mutex_unlock(&history->lock);
    if (degraded && !before)
        log_warn("history: %s; live figures go on without it", why);
    if (!degraded && before)
        log_info("history: written again");
}

/* ---- opening */

static void announce(struct history *history, const struct base *base)
{
    pthread_mutex_lock(&history->lock);
    uint32_t epoch = history->base.epoch + 1;
    history->base = *base;
    history->base.epoch = epoch;
    pthread_cond_broadcast(&history->ticked);
    pthread_mutex_unlock(&history->lock);
}

/* A file that cannot be used makes way for a new one. false: it cannot, or may be usable later. */
static bool set_aside(struct writer *writer, int code, const char *why)
{
    struct history *history = writer->history;
    bool newer = code == SQLITE_SCHEMA;
    char name[340];
    if (history->in_memory || (!newer && !file_is_damaged(code)))
        return false;
    file_close(&writer->file);
    writer->loaded = false;
    if (!file_set_aside(history->path, newer ? "newer" : "corrupt", name, sizeof name))
        return false;
    log_warn("history: %s: %s; it is kept as %s, and a new one begins", history->path, why, name);
    return true;
}

static bool open_file(struct writer *writer)
{
    struct history *history = writer->history;
    char why[128] = "";
    for (int attempt = 0; attempt < 2; attempt++) {
        struct base base = {.epoch = 0};
        bool made;
        int code = file_open(&writer->file, history->path, &made, why, sizeof why);
        if (!code && writer->loaded && !made)
            return true; /* the one that we had before */
        if (!code) {
            code = base_load(&writer->file, &base);
            if (!code) {
                writer->loaded = true;
                announce(history, &base);
                return true;
            }
            snprintf(why, sizeof why, "%s", sqlite3_errstr(code));
        }
        if (!set_aside(writer, code, why))
            break;
    }
    file_close(&writer->file);
    degraded_set(history, true, why);
    return false;
}

/* ---- rows */

static int apply_sample(struct writer *writer, const struct row *row)
{
    static const enum statement inserts[] = {STATEMENT_INSERT_SECONDS, STATEMENT_INSERT_TENS, STATEMENT_INSERT_MINUTES};
    const struct row_sample *sample = (const struct row_sample *)row;
    int code = SQLITE_OK;
    sqlite3_stmt *insert = file_statement(&writer->file, inserts[row->level], &code);
    if (!insert)
        return code;
    sqlite3_bind_int64(insert, 1, (sqlite3_int64)sample->key);
    sqlite3_bind_blob(insert, 2, row->size ? (const void *)(sample + 1) : "", (int)row->size, SQLITE_STATIC);
    if (row->level == LEVEL_SECONDS && row->size && sample->key > writer->newest)
        writer->newest = sample->key;
    writer->rows[row->level]++;
    writer->bytes[row->level] += row->size + ROW_OVERHEAD;
    return file_run(insert);
}

/* Binds what a table of members names, in its order; texts stay where they are. */
static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}
static void bind_number(sqlite3_stmt *statement, int at, uint64_t number)
{
    sqlite3_bind_int64(statement, at, number > INT64_MAX ? INT64_MAX : (sqlite3_int64)number);
}

static void bind_run(sqlite3_stmt *statement, const struct row *row)
{
    const struct row_run *run = (const struct row_run *)row;
    bind_number(statement, 1, run->at);
    sqlite3_bind_int64(statement, 2, run->wall_s);
}
static void bind_until(sqlite3_stmt *statement, const struct row *row)
{
    bind_number(statement, 1, ((const struct row_run *)row)->at);
}

static void bind_process(sqlite3_stmt *statement, const struct row *row)
{
    const struct row_process *process = (const struct row_process *)row;
    const char *name = (const char *)(process + 1), *library = name + strlen(name) + 1;
    bind_number(statement, 1, process->no);
    bind_text(statement, 2, process->id);
    bind_text(statement, 3, name);
    bind_text(statement, 4, library);
    bind_text(statement, 5, library + strlen(library) + 1);
    bind_number(statement, 6, process->pid);
    bind_number(statement, 7, process->uid);
    bind_number(statement, 8, process->at);
    bind_number(statement, 9, process->attached_wall_ns);
    bind_number(statement, 10, process->first_heap);
}

static void bind_series(sqlite3_stmt *statement, const struct row *row)
{
    const struct row_series *series = (const struct row_series *)row;
    bind_number(statement, 1, series->no);
    bind_number(statement, 2, series->process);
    bind_number(statement, 3, series->heap);
    bind_number(statement, 4, series->subject);
    bind_text(statement, 5, (const char *)(series + 1));
    bind_number(statement, 6, series->at);
}

static void bind_end(sqlite3_stmt *statement, const struct row *row)
{
    const struct row_end *end = (const struct row_end *)row;
    bind_number(statement, 1, end->process);
    if (!end->wall_ns)
        return; /* it came back: all the others stay NULL */
    bind_number(statement, 2, end->at);
    bind_number(statement, 3, end->wall_ns);
    bind_text(statement, 4, end->end);
    if (end->ended)
        sqlite3_bind_int(statement, 5, end->status);
}

static void bind_collection(sqlite3_stmt *statement, const struct row *row)
{
    const struct row_collection *collection = (const struct row_collection *)row;
    int at = 1;
    bind_number(statement, at++, collection->process);
    bind_number(statement, at++, collection->at);
    bind_number(statement, at++, collection->missed);
#define HISTORY_X(member) bind_number(statement, at++, collection->view.member);
    COLLECTION_MEMBERS(HISTORY_X)
#undef HISTORY_X
}

static void bind_alert(sqlite3_stmt *statement, const struct row *row)
{
    const struct history_alert *alert = &((const struct row_alert *)row)->alert;
    int at = 1;
    bind_number(statement, at++, alert->wall_ns);
#define HISTORY_X(name, room) bind_text(statement, at++, alert->name);
    HISTORY_ALERT_TEXTS(HISTORY_X)
#undef HISTORY_X
    bind_number(statement, at++, alert->heap);
    sqlite3_bind_double(statement, at++, alert->value);
    sqlite3_bind_double(statement, at, alert->threshold);
}

static void bind_audit(sqlite3_stmt *statement, const struct row *row)
{
    const struct audit_record *record = &((const struct row_audit *)row)->record;
    int at = 1;
    bind_number(statement, at++, record->wall_ns);
    bind_number(statement, at++, record->seq);
    bind_number(statement, at++, record->left_out);
#define HISTORY_X(name, room) bind_text(statement, at++, record->name);
    AUDIT_TEXTS(HISTORY_X)
#undef HISTORY_X
}

struct counted { /* against the size of a table */
    enum table table;
    int bytes;
};
static const struct {
    enum statement statement;
    void (*bind)(sqlite3_stmt *statement, const struct row *row);
    struct counted counted;
} kinds[] = {
    [ROW_RUN] = {STATEMENT_INSERT_RUN, bind_run, {0}},
    [ROW_UNTIL] = {STATEMENT_EXTEND_RUN, bind_until, {0}},
    [ROW_PROCESS] = {STATEMENT_INSERT_PROCESS, bind_process, {TABLE_PROCESSES, PROCESS_BYTES}},
    [ROW_SERIES] = {STATEMENT_INSERT_SERIES, bind_series, {TABLE_PROCESSES, SERIES_BYTES}},
    [ROW_END] = {STATEMENT_END_PROCESS, bind_end, {0}},
    [ROW_COLLECTION] = {STATEMENT_INSERT_COLLECTION, bind_collection, {TABLE_COLLECTIONS, COLLECTION_BYTES}},
    [ROW_ALERT] = {STATEMENT_INSERT_ALERT, bind_alert, {0}},
    [ROW_AUDIT] = {STATEMENT_INSERT_AUDIT, bind_audit, {0}},
};

static int apply_row(struct writer *writer, const struct row *row)
{
    int code = SQLITE_OK;
    sqlite3_stmt *statement = file_statement(&writer->file, kinds[row->kind].statement, &code);
    if (!statement)
        return code;
    sqlite3_clear_bindings(statement);
    kinds[row->kind].bind(statement, row);
    code = file_run(statement);
    int changes = code ? 0 : sqlite3_changes(writer->file.db);
    const struct counted counted = kinds[row->kind].counted;
    writer->rows[counted.table] += counted.bytes ? changes : 0;
    writer->bytes[counted.table] += changes * counted.bytes;
    if (code || row->kind != ROW_PROCESS || !(statement = file_statement(&writer->file, STATEMENT_INSERT_SEEN, &code)))
        return code;
    bind_number(statement, 1, ((const struct row_process *)row)->no);
    bind_text(statement, 2, ((const struct row_process *)row)->id);
    return file_run(statement);
}

static int sample_order(const void *a, const void *b)
{
    const struct row_sample *one = *(const struct row_sample *const *)a, *two = *(const struct row_sample *const *)b;
    if (one->row.level != two->row.level)
        return one->row.level < two->row.level ? -1 : 1;
    if (one->key != two->key)
        return one->key < two->key ? -1 : 1;
    return one < two ? -1 : 1; /* as they were told */
}

/* Rows of figures in the order of their keys: they fill pages one behind the other. */
static int apply_samples(struct writer *writer, uint32_t epoch, unsigned *stale)
{
    const struct row **samples = malloc((writer->batch.rows + 1) * sizeof *samples);
    size_t count = 0;
    int code = samples ? SQLITE_OK : SQLITE_NOMEM;
    if (samples)
        BATCH_EACH(&writer->batch, row)
            if (row->kind == ROW_SAMPLE && row->epoch == epoch)
                samples[count++] = row;
    if (count)
        qsort(samples, count, sizeof *samples, sample_order);
    for (size_t i = 0; i < count && !code; i++)
        code = apply_sample(writer, samples[i]);
    free(samples);
    *stale = 0;
    BATCH_EACH(&writer->batch, row)
        *stale += row->epoch && row->epoch != epoch;
    return code;
}

/* A second of which there are figures is one that was watched. */
static int run_extend(struct writer *writer)
{
    int code = SQLITE_OK;
    sqlite3_stmt *extend = file_statement(&writer->file, STATEMENT_EXTEND_RUN, &code);
    if (!extend)
        return code;
    sqlite3_bind_int64(extend, 1, (sqlite3_int64)key_at(LEVEL_SECONDS, writer->newest));
    return file_run(extend);
}

static int batch_apply(struct writer *writer, unsigned *stale)
{
    uint32_t epoch = writer->history->base.epoch; /* set by this thread */
    int code = apply_samples(writer, epoch, stale);
    BATCH_EACH(&writer->batch, row)
        if (!code && row->kind != ROW_SAMPLE && (!row->epoch || row->epoch == epoch))
            code = apply_row(writer, row);
    if (!code && writer->newest)
        code = run_extend(writer);
    return code ? code : sizes_change(&writer->file, writer->rows, writer->bytes);
}

static int batch_write(struct writer *writer, unsigned *stale)
{
    memset(writer->rows, 0, sizeof writer->rows);
    memset(writer->bytes, 0, sizeof writer->bytes);
    writer->newest = 0;
    int code = SQLITE_OK;
    sqlite3_stmt *begin = file_statement(&writer->file, STATEMENT_BEGIN, &code);
    sqlite3_stmt *commit = begin ? file_statement(&writer->file, STATEMENT_COMMIT, &code) : NULL;
    if (commit)
        code = file_run(begin);
    if (code)
        return code;
    code = batch_apply(writer, stale);
    if (!code)
        code = file_run(commit);
    file_rollback(&writer->file);
    return code;
}

/* ---- the thread */

/* false: what was taken stays, for another attempt. */
static bool batch_finish(struct writer *writer)
{
    struct history *history = writer->history;
    unsigned rows = writer->batch.rows, stale = 0;
    int code = rows ? batch_write(writer, &stale) : SQLITE_OK;
    if (code) {
        char why[128];
        snprintf(why, sizeof why, "%s", sqlite3_errstr(code));
        degraded_set(history, true, why);
        if (set_aside(writer, code, why))
            return false; /* a new file is opened; its epoch makes these rows stale */
        if ((code & 255) != SQLITE_CONSTRAINT && (code & 255) != SQLITE_ERROR && (code & 255) != SQLITE_TOOBIG)
            return false;
        stale = rows; /* it would be the same again */
        log_warn("history: %u rows are dropped: %s", rows, why);
    } else {
        degraded_set(history, false, "");
    }
    pthread_mutex_lock(&history->lock);
    history->rows_written += rows - stale;
    history->bytes = file_bytes(&writer->file);
    pthread_mutex_unlock(&history->lock);
    queue_done(&history->queue, &writer->batch, stale, writer->asked);
    if ((code & 255) == SQLITE_ERROR) /* a table may be gone: it is looked at when it is opened again */
        file_close(&writer->file);
    return true;
}

/* Its failure is not the writer's: what was written stays, and the next step tries again. */
static void retain(struct writer *writer)
{
    int64_t inserted = 0;
    for (int table = 0; table < TABLES; table++)
        inserted += writer->rows[table];
    int code = retain_step(&writer->file, &writer->history->options, inserted);
    if (!code)
        return;
    char why[128];
    snprintf(why, sizeof why, "%s", sqlite3_errstr(code));
    log_warn("history: old rows could not be removed: %s", why);
    set_aside(writer, code, why);
}

/* Between two transactions of a purge; false: the end has come. */
static bool between(void *arg)
{
    struct writer *writer = arg;
    bool stopping;
    pulse_beat(PULSE_HISTORY);
    queue_take(&writer->history->queue, clock_mono_ns(), &writer->batch, &writer->asked, &stopping);
    return batch_finish(writer) && !stopping && writer->file.db;
}

static void purge(struct writer *writer)
{
    struct history *history = writer->history;
    pthread_mutex_lock(&history->lock);
    struct purge purge = history->purge;
    uint64_t forgotten = 0;
    bool asked = history->purge_state == PURGE_ASKED && writer->file.db; /* else of the file that comes */
    if (asked)
        history->purge_state = PURGE_RUNS;
    pthread_mutex_unlock(&history->lock);
    if (!asked)
        return;
    purge.forgotten = &forgotten;
    int code = purge_run(&writer->file, &purge, between, writer);
    if (code)
        log_warn("history: purging failed: %s", sqlite3_errstr(code));
    pthread_mutex_lock(&history->lock);
    history->purge_forgotten = forgotten;
    history->purge_error = code ? -EIO : 0;
    history->purge_state = PURGE_DONE;
    history->breaks++;
    pthread_cond_broadcast(&history->purged);
    pthread_mutex_unlock(&history->lock);
}

void *writer_run(void *arg)
{
    struct history *history = arg;
    struct writer writer = {.history = history};
    uint64_t due_ns = clock_mono_ns();
    bool stopping = false;
    unsigned failures = 0;
    while (!stopping || (writer.batch.rows && failures < 2)) {
        pulse_beat(PULSE_HISTORY);
        if (!writer.file.db && !open_file(&writer)) {
            failures++;
            queue_rest(&history->queue, clock_mono_ns() + history->options.retry_ns, &stopping);
            continue;
        }
        due_ns += COMMIT_NS;
        queue_take(&history->queue, due_ns, &writer.batch, &writer.asked, &stopping);
        uint64_t start = clock_mono_ns();
        if (batch_finish(&writer)) {
            pulse_worked(PULSE_HISTORY, start);
            failures = 0;
            if (writer.file.db)
                retain(&writer);
            purge(&writer);
        } else {
            if (++failures % 8 == 0) /* a connection may be worn out too */
                file_close(&writer.file);
            queue_rest(&history->queue, clock_mono_ns() + history->options.retry_ns, &stopping);
        }
        due_ns = clock_mono_ns();
    }
    free(writer.batch.memory);
    file_close(&writer.file);
    pulse_end(PULSE_HISTORY);
    return NULL;
}
