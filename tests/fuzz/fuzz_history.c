/* history.db as a stranger may have made it: a file that holds the input is opened as tallyd opens its own, checked, brought
 * up or refused, and then read in every way there is. The first two bytes of the input say how: where a good file is changed
 * by what follows, so that more than its header is reached, or the whole file is what follows. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char *good; /* a file with something in it */
static size_t good_size;
static char folder[64], path[96];

static void folder_leave(void)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char name[128];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, parts[i]);
        unlink(name);
    }
    rmdir(folder);
}

static void fill(sqlite3 *db)
{
    static const char rows[] =
        "INSERT INTO runs VALUES (1000, 1900, 1000), (2000, 9000, 2000);"
        "INSERT INTO figures VALUES (0, 0, 'live_objects', 1), (0, 1, 'live_bytes', 1), (0, 2, 'allocations', 0), "
        "(1, 0, 'live_bytes', 1);"
        "INSERT INTO processes VALUES (1, '00000000000000000000000000000001', 'a', 'b', '{}', 1, 2, 1000, 4, 1, 8000, 9, 'bye', 0);"
        "INSERT INTO series VALUES (1, 1, 0, 0, '', 1000), (2, 1, 0, 1, 'node', 1000), (3, 1, 1, 0, '', 5000);"
        "WITH RECURSIVE n(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM n WHERE n < 1400) INSERT INTO seconds "
        "SELECT ((n >> 2) << 30) | (1 << 2) | (n & 3), x'0f050607' FROM n;"
        "WITH RECURSIVE n(n) AS (SELECT 20 UNION ALL SELECT n + 1 FROM n WHERE n < 140) INSERT INTO minutes "
        "SELECT ((n >> 5) << 33) | (1 << 5) | (n & 31), x'0f0500010601020700' FROM n;"
        "INSERT INTO collections VALUES (1, 1, 1, 44, 1002, 5, 9, 2, 2, 3, 1, 0, 1000, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 0, 0);"
        "INSERT INTO alerts VALUES (1, 5, 'leak', '', '', 'firing', 'grows', 0, 1.5, 1);"
        "INSERT INTO audit VALUES (1, 6, 1, 0, 'uid 0', '', 'collect', '', '', '', 'done', '');";
    if (sqlite3_exec(db, rows, NULL, NULL, NULL))
        abort();
}

static void good_make(void)
{
    struct file file;
    char why[128];
    bool made;
    snprintf(folder, sizeof folder, "%s/tally-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm"); /* no disk to sync */
    if (!mkdtemp(folder))
        abort();
    atexit(folder_leave);
    snprintf(path, sizeof path, "%s/history.db", folder);
    if (file_open(&file, path, &made, why, sizeof why))
        abort();
    fill(file.db);
    file_close(&file);
    FILE *in = fopen(path, "rb");
    good = malloc(1 << 20);
    good_size = fread(good, 1, 1 << 20, in);
    fclose(in);
}

/* The input as a file: as it is, or 3 bytes each (place, value) laid over the good one. */
static void lay(const uint8_t *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool over = size > 2 && data[0] & 1;
    unsigned char *bytes = malloc(good_size);
    memcpy(bytes, good, good_size);
    for (size_t at = 2; over && at + 4 <= size; at += 4)
        bytes[(data[at] | (size_t)data[at + 1] << 8 | (size_t)data[at + 2] << 16) % good_size] = data[at + 3];
    const void *from = over ? bytes : size > 2 ? data + 2 : data;
    size_t length = over ? good_size : size > 2 ? size - 2 : size;
    if (fd < 0 || write(fd, from, length) != (ssize_t)length)
        abort();
    close(fd);
    free(bytes);
}

static void hear_audit(void *arg, uint64_t number, const struct audit_record *record)
{
    (void)number;
    *(size_t *)arg += strlen(record->who) + strlen(record->code);
}
static void hear_alert(void *arg, uint64_t number, const struct history_alert *alert)
{
    (void)number;
    *(size_t *)arg += strlen(alert->detail);
}
static void hear_collection(void *arg, uint64_t number, const struct stats_collection_view *collection, uint64_t missed)
{
    (void)number, (void)collection, (void)missed;
    ++*(size_t *)arg;
}
static void hear_process(void *arg, uint64_t number, const struct history_process *process)
{
    (void)number;
    *(size_t *)arg += strlen(process->name) + strlen(process->labels) + (process->end ? strlen(process->end) : 0);
}

static void read_all(struct history *history)
{
    static const char id[] = "00000000000000000000000000000001";
    static const char *const columns[] = {"live_objects", "allocations", "type:node.live_bytes"};
    const struct history_range range = {.limit = 100};
    size_t sum = 0;
    for (int i = 0; i < 6; i++) {
        struct history_query query = {.process = id, .heap = (uint32_t)i & 1, .columns = {columns[i / 2]}, .column_count = 1,
                                      .from_s = i % 3 ? 900 : 1000, .to_s = 10000, .step_s = i % 3 ? 1 : 60, .points_max = 1000};
        struct history_answer *answer;
        if (!history_query(history, &query, &answer))
            history_answer_free(answer);
    }
    history_audit_list(history, &range, &(struct history_audit_filter){.target = "x"}, hear_audit, &sum);
    history_alert_list(history, &range, hear_alert, &sum);
    history_process_list(history, NULL, &range, hear_process, &sum);
    history_collection_list(history, id, 0, &range, hear_collection, &sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history history = {.options = {.size_bytes = HISTORY_SIZE_MIN, .keep_days = 1}, .now = 9000};
    struct file file;
    struct base base = {.epoch = 1};
    char why[128];
    bool made;
    if (!good)
        good_make();
    lay(data, size);
    if (!file_open(&file, path, &made, why, sizeof why)) {
        if (!base_load(&file, &base)) {
            snprintf(history.path, sizeof history.path, "%s", path);
            queue_init(&history.queue);
            history.queue.stopping = true; /* nobody writes: do not wait */
            pthread_mutex_init(&history.lock, NULL);
            pthread_mutex_init(&history.reader_lock, NULL);
            history.base.epoch = 1;
            read_all(&history);
            file_close(&history.reader);
            queue_fini(&history.queue);
            retain_step(&file, &history.options, 0);
        }
        file_close(&file);
    }
    return 0;
}
