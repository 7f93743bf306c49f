/* History: a day of 1,000 processes through the real sampler and writer, by a clock of our own, beside the same number
 * of rows into bare SQLite; and a month of one series out of ten million rows.
 *
 * Of the processes BUSY change all their figures and eight types every second, as many every ten seconds a few of
 * them, and the others rest. Rows are handed to the writer 40,000 at a time, as the bare table gets them. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "history/sampler.h"
#include "intake/intake.h"

#define PROCESSES 1000u
#define TYPES 9u /* the first is that of what has no row */
#define BATCH_ROWS 40000u
#define BARE_ROWS 2000000u
#define BARE_SERIES 231u
#define MONTH_MINUTES 43200u
#define DAY_S 86400u
#define WALL_S 1800000000u
#define NS 1000000000u

static char folder[64], path[96];

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "/var/tmp/tally-bench-XXXXXX");
    if (!mkdtemp(folder))
        give_up("%s: cannot be made", folder);
    snprintf(path, sizeof path, "%s/history.db", folder);
}

static void folder_remove(void)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char name[128];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, parts[i]);
        unlink(name);
    }
    rmdir(folder);
}

/* ---- bare SQLite */

static void must(int code, sqlite3 *db)
{
    if (code != SQLITE_OK && code != SQLITE_DONE)
        give_up("SQLite: %s", sqlite3_errmsg(db));
}

/* Rows of 8 integers, key (series, ts), WITHOUT ROWID. Returns ns a row. */
static double bare(void)
{
    sqlite3 *db;
    sqlite3_stmt *insert;
    folder_make();
    must(sqlite3_open(path, &db), NULL);
    must(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;"
                          "CREATE TABLE rows (series, ts, a, b, c, d, e, f, PRIMARY KEY (series, ts)) WITHOUT ROWID",
                      NULL, NULL, NULL), db);
    must(sqlite3_prepare_v2(db, "INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", -1, &insert, NULL), db);
    double start = now_ns();
    for (uint32_t row = 0; row < BARE_ROWS; row++) {
        if (row % BATCH_ROWS == 0)
            must(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), db);
        sqlite3_bind_int64(insert, 1, row % BARE_SERIES);
        sqlite3_bind_int64(insert, 2, WALL_S + row / BARE_SERIES);
        for (int i = 3; i <= 8; i++)
            sqlite3_bind_int64(insert, i, (sqlite3_int64)row * 1000 * i + random_next() % 1000);
        sqlite3_step(insert);
        must(sqlite3_reset(insert), db);
        if (row % BATCH_ROWS == BATCH_ROWS - 1)
            must(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db);
    }
    double ns = (now_ns() - start) / BARE_ROWS;
    sqlite3_finalize(insert);
    sqlite3_close(db);
    put("HISTORY bare insert", "SQLite", 1e9 / ns, "rows/s");
    folder_remove();
    return ns;
}

/* ---- the simulation */

struct simulation {
    struct history *history;
    struct sampler sampler;
    struct queue staging; /* the sampler's; handed over whole */
    struct stats *stats;
    struct intake_sink sink;
    void *processes[PROCESSES];
    uint64_t now_s;
    double written_ns;
    uint64_t rows, handed;
};

static void hand_over(struct simulation *simulation)
{
    struct queue *queue = &simulation->history->queue;
    double start = now_ns();
    simulation->rows += simulation->staging.pending.rows;
    pthread_mutex_lock(&queue->lock);
    struct batch batch = queue->pending;
    queue->pending = simulation->staging.pending;
    simulation->staging.pending = batch;
    pthread_mutex_unlock(&queue->lock);
    if (!queue_flush(queue, 60ull * NS))
        give_up("the history was not written");
    simulation->written_ns += now_ns() - start;
    simulation->staging.pending.used = simulation->staging.pending.rows = 0;
}

static void tell(struct simulation *simulation, unsigned process, uint64_t work)
{
    struct intake_row rows[TYPES] = {{.allocated = 0}};
    static struct intake_type types[TYPES] = {{.name = "other"}, {.name = "pair", .size_bytes = 16}, {.name = "node", .size_bytes = 32},
        {.name = "string", .size_bytes = 48}, {.name = "list", .size_bytes = 64}, {.name = "map", .size_bytes = 96},
        {.name = "symbol", .size_bytes = 24}, {.name = "closure", .size_bytes = 56}, {.name = "buffer", .size_bytes = 4096}};
    for (unsigned type = 1; type < TYPES; type++) {
        uint64_t born = work * 1000 * type + process, live = 500 * type + random_next() % 300;
        rows[type] = (struct intake_row){.allocated = born + live, .freed_refcount = born - born / 10, .freed_cycle = born / 10};
    }
    struct intake_sample sample = {.heap_number = 1, .type_count = TYPES, .rows = rows, .types = types,
                                   .mapped_bytes = 65536 * (10 + work % 3), .events_seen = work * 80000,
                                   .summary = {.valid = true, .collections = {work, work / 10, work / 100}, .collected = {work * 5},
                                               .pause_ns = work * 123456, .max_pause_ns = 900000, .candidates = random_next() % 500}};
    simulation->sink.sample(simulation->stats, simulation->processes[process], &sample);
}

static void attach(struct simulation *simulation, unsigned number)
{
    static struct wire_hello_view hello = {.name = "program", .library = "0.1.0"};
    struct intake_process process = {.pid = (pid_t)(1000 + number), .uid = 1000, .hello = &hello};
    snprintf(process.id, sizeof process.id, "%032x", number);
    simulation->processes[number] = simulation->sink.attached(simulation->stats, &process);
    tell(simulation, number, 1);
}

/* Until the writer has opened its file. */
static struct base base_of(struct history *history)
{
    struct base base;
    queue_flush(&history->queue, 10ull * NS);
    pthread_mutex_lock(&history->lock);
    base = history->base;
    pthread_mutex_unlock(&history->lock);
    if (!base.epoch)
        give_up("the history's file could not be opened");
    return base;
}

static struct simulation *simulation_new(void)
{
    struct simulation *simulation = wanted(calloc(1, sizeof *simulation));
    folder_make();
    if (history_start(&(struct history_options){.folder = folder}, &simulation->history))
        give_up("no history");
    queue_init(&simulation->staging);
    simulation->sampler.queue = &simulation->staging;
    simulation->stats = wanted(stats_new());
    stats_sink_init(simulation->stats, &simulation->sink);
    return simulation;
}

static void simulation_free(struct simulation *simulation)
{
    history_stop(simulation->history);
    folder_remove();
    for (unsigned i = 0; i < PROCESSES && simulation->processes[i]; i++)
        simulation->sink.released(simulation->stats, simulation->processes[i]);
    free(simulation);
}

static void day(double bare_ns, long busy, long hours)
{
    struct simulation *simulation = simulation_new();
    struct base base = base_of(simulation->history);
    uint64_t seconds = (uint64_t)hours * 3600, sampled = 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        attach(simulation, i);
    double ticked = 0;
    for (uint64_t now = 1; now <= seconds; now++) {
        for (unsigned i = 0; i < (unsigned)busy; i++)
            tell(simulation, i, now);
        for (unsigned i = (unsigned)busy + (unsigned)(now % 10); i < 2 * (unsigned)busy && i < PROCESSES; i += 10)
            tell(simulation, i, now / 10);
        simulation->sink.swept(simulation->stats, true);
        const struct stats_view *view = stats_view_get_new(simulation->stats);
        double start = now_ns();
        sampler_tick(&simulation->sampler, &base, view, now * NS, (WALL_S + now) * NS);
        ticked += now_ns() - start;
        stats_view_unref(view);
        sampled += (uint64_t)busy + (uint64_t)busy / 10;
        if (simulation->staging.pending.rows >= BATCH_ROWS)
            hand_over(simulation);
    }
    hand_over(simulation);
    struct history_status status;
    history_status_get(simulation->history, &status);
    int64_t kept = 0, bytes = 0;
    sqlite3 *db;
    sqlite3_stmt *sum;
    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), NULL);
    must(sqlite3_prepare_v2(db, "SELECT (SELECT count(*) FROM seconds) + (SELECT count(*) FROM tens) + (SELECT count(*) FROM minutes),"
                                "(SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, "
                                "pragma_page_size)", -1, &sum, NULL), db);
    if (sqlite3_step(sum) == SQLITE_ROW) {
        kept = sqlite3_column_int64(sum, 0);
        bytes = sqlite3_column_int64(sum, 1);
    }
    sqlite3_finalize(sum);
    sqlite3_close(db);
    double row_ns = simulation->written_ns / (double)simulation->rows;
    put("HISTORY day rows written", "tally", (double)simulation->rows, "rows");
    put("HISTORY insert", "tally", 1e9 / row_ns, "rows/s");
    put("HISTORY insert / bare", "tally", row_ns / bare_ns, "ratio");
    put("HISTORY sampler", "tally", ticked / (double)sampled, "ns/busy process");
    put("HISTORY day rows kept", "tally", (double)kept, "rows");
    put("HISTORY day bytes/row", "tally", (double)bytes / (double)kept, "bytes");
    put("HISTORY day size", "tally", (double)status.bytes / (1 << 20), "MiB");
    simulation_free(simulation);
}

/* ---- a month of minutes */

static void month_row(struct simulation *simulation, const struct base *base, uint32_t series, uint64_t minute, uint64_t *before)
{
    const struct shape *shape = &base->figures[SUBJECT_TYPE].shape;
    uint64_t at = WALL_S + minute * 60, value[FIGURES_MAX] = {0}, low[FIGURES_MAX], high[FIGURES_MAX];
    unsigned char data[RECORD_MAX];
    for (unsigned i = 0; i < shape->count; i++) {
        value[i] = minute * 1000 * (i + 1) + random_next() % 1000;
        low[i] = value[i] - random_next() % 500;
        high[i] = value[i] + random_next() % 500;
    }
    bool first = level_block(LEVEL_MINUTES, at) != level_block(LEVEL_MINUTES, at - 60) || !minute;
    struct row_sample row = {.row = {.kind = ROW_SAMPLE, .level = LEVEL_MINUTES, .epoch = base->epoch},
                             .key = key_of(LEVEL_MINUTES, series, at)};
    size_t bytes = record_pack(data, shape, value, first ? NULL : before, low, high);
    memcpy(before, value, sizeof value);
    if (!queue_put(&simulation->staging, &row.row, sizeof row, data, bytes))
        give_up("the queue is full");
}

static void month(void)
{
    struct simulation *simulation = simulation_new();
    struct base base = base_of(simulation->history);
    uint64_t(*before)[FIGURES_MAX] = wanted(calloc(BARE_SERIES, sizeof *before));
    struct row_run run = {.row = {.kind = ROW_RUN, .epoch = base.epoch}, .at = WALL_S, .wall_s = WALL_S};
    struct row_run until = {.row = {.kind = ROW_UNTIL, .epoch = base.epoch}, .at = WALL_S + MONTH_MINUTES * 60u};
    struct row_process process = {.row = {.kind = ROW_PROCESS, .epoch = base.epoch}, .no = 1, .at = WALL_S, .id = "00"};
    queue_put(&simulation->staging, &run.row, sizeof run, NULL, 0);
    queue_put(&simulation->staging, &process.row, sizeof process, "a\0b\0{}", 7);
    for (uint32_t series = 1; series <= BARE_SERIES; series++) {
        char name[16];
        struct row_series row = {.row = {.kind = ROW_SERIES, .epoch = base.epoch}, .no = series, .process = 1,
                                 .subject = SUBJECT_TYPE, .at = WALL_S};
        snprintf(name, sizeof name, "type %u", series);
        queue_put(&simulation->staging, &row.row, sizeof row, name, strlen(name) + 1);
    }
    for (uint64_t minute = 0; minute < MONTH_MINUTES; minute++) {
        for (uint32_t series = 1; series <= BARE_SERIES; series++)
            month_row(simulation, &base, series, minute, before[series - 1]);
        if (simulation->staging.pending.rows >= BATCH_ROWS || minute + 1 == MONTH_MINUTES)
            hand_over(simulation);
    }
    queue_put(&simulation->staging, &until.row, sizeof until, NULL, 0);
    hand_over(simulation);
    struct history_query query = {.process = "00", .columns = {"type:type 77.live_bytes"}, .column_count = 1, .from_s = WALL_S,
                                  .to_s = WALL_S + MONTH_MINUTES * 60, .points_max = 50000};
    struct history_answer *answer;
    double best = 1e18;
    for (int i = 0; i < 9; i++) {
        double start = now_ns();
        if (history_query(simulation->history, &query, &answer) || answer->point_count != MONTH_MINUTES ||
            !answer->columns[0].points[MONTH_MINUTES / 2].known)
            give_up("the month could not be read");
        double took = now_ns() - start;
        best = took < best ? took : best;
        history_answer_free(answer);
    }
    put("HISTORY month insert", "tally", 1e9 * (double)simulation->rows / simulation->written_ns, "rows/s");
    put("HISTORY month query", "tally", best / 1e6, "ms");
    free(before);
    simulation_free(simulation);
}

void workload_history(long busy, long hours)
{
    double bare_ns = bare();
    day(bare_ns, busy, hours);
    month();
}
