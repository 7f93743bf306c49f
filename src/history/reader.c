#include "history/reader.h"

#include <errno.h>

#include "base/clock.h"

#define FLUSH_NS 500000000u
#define READ_NS 3000000000u /* a question that takes longer is given up */
#define STEPS 10000

static int is_late(void *history)
{
    return clock_mono_ns() > ((const struct history *)history)->reader_until_ns;
}

/* After the writer has put another file in the place of the one that we know. */
static int open_again(struct history *history)
{
    pthread_mutex_lock(&history->lock);
    uint32_t epoch = history->base.epoch;
    pthread_mutex_unlock(&history->lock);
    if (history->reader.db && history->reader_epoch == epoch)
        return SQLITE_OK;
    file_close(&history->reader);
    history->reader_epoch = epoch;
    return epoch ? file_open_reading(&history->reader, history->path) : SQLITE_CANTOPEN;
}

static int error_of(int code)
{
    switch (code & 255) {
    case SQLITE_OK:
        return 0;
    case SQLITE_INTERRUPT:
        return -ETIMEDOUT;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

int reader_take(struct history *history, struct file **file)
{
    queue_flush(&history->queue, FLUSH_NS); /* where the disk is slow, the answer is a little older */
    pthread_mutex_lock(&history->reader_lock);
    history->reader_until_ns = clock_mono_ns() + READ_NS;
    int code = open_again(history);
    if (!code) {
        sqlite3_progress_handler(history->reader.db, STEPS, is_late, history);
        sqlite3_stmt *begin = file_statement(&history->reader, STATEMENT_BEGIN_READING, &code);
        code = begin ? file_run(begin) : code;
    }
    if (code)
        pthread_mutex_unlock(&history->reader_lock);
    *file = &history->reader;
    return error_of(code);
}

int reader_give(struct history *history, int code)
{
    struct file *file = &history->reader;
    sqlite3_progress_handler(file->db, 0, NULL, NULL);
    file_rollback(file);
    if (file_is_damaged(code)) /* the writer finds out, too */
        file_close(file);
    pthread_mutex_unlock(&history->reader_lock);
    return error_of(code);
}

int process_find(struct file *file, const char *id)
{
    int code = SQLITE_OK;
    int64_t no = 0;
    sqlite3_stmt *find = file_statement(file, STATEMENT_FIND_PROCESS, &code);
    if (!find)
        return code;
    sqlite3_bind_text(find, 1, id, -1, SQLITE_STATIC);
    code = file_number(file, STATEMENT_FIND_PROCESS, &no);
    return code ? code : no ? 0 : -ENOENT;
}
