/* The queue between those who tell and the writer: rows one behind the other in one block of memory, which the writer
 * takes whole. Rows of figures leave a little room for those that may not be lost with them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "history/private.h"

#define ROOM_FIRST ((size_t)65536)
#define ROOM_KEPT ((size_t)1 << 20) /* a batch that was larger is freed */

void queue_init(struct queue *queue)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, &monotonic);
    pthread_cond_init(&queue->written, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void queue_fini(struct queue *queue)
{
    free(queue->pending.memory);
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->changed);
    pthread_cond_destroy(&queue->written);
}

static bool room_make(struct batch *batch, size_t bytes)
{
    size_t room = batch->room ? batch->room : ROOM_FIRST;
    while (room < batch->used + bytes)
        room *= 2;
    if (room == batch->room)
        return true;
    char *memory = realloc(batch->memory, room);
    if (!memory)
        return false;
    batch->memory = memory;
    batch->room = room;
    return true;
}

bool queue_put(struct queue *queue, struct row *head, size_t head_bytes, const void *tail, size_t tail_bytes)
{
    size_t bytes = (head_bytes + tail_bytes + 7) & ~(size_t)7;
    head->bytes = (uint32_t)bytes;
    head->size = (uint32_t)tail_bytes;
    pthread_mutex_lock(&queue->lock);
    struct batch *batch = &queue->pending;
    bool fits = batch->rows + queue->taken_rows < HISTORY_QUEUE_ROWS &&
                batch->used + queue->taken_bytes + bytes <= HISTORY_QUEUE_BYTES && room_make(batch, bytes);
    if (fits) {
        memcpy(batch->memory + batch->used, head, head_bytes);
        if (tail_bytes)
            memcpy(batch->memory + batch->used + head_bytes, tail, tail_bytes);
        memset(batch->memory + batch->used + head_bytes + tail_bytes, 0, bytes - head_bytes - tail_bytes);
        batch->used += bytes;
        if (++batch->rows == HISTORY_QUEUE_ROWS / 4)
            pthread_cond_signal(&queue->changed);
    } else {
        queue->dropped++;
    }
    pthread_mutex_unlock(&queue->lock);
    return fits;
}

bool queue_has_room(struct queue *queue, unsigned rows)
{
    pthread_mutex_lock(&queue->lock);
    bool room = queue->pending.rows + queue->taken_rows + rows <= HISTORY_QUEUE_ROWS &&
                queue->pending.used + queue->taken_bytes + rows * (size_t)96 <= HISTORY_QUEUE_BYTES;
    pthread_mutex_unlock(&queue->lock);
    return room;
}

void queue_take(struct queue *queue, uint64_t until_ns, struct batch *batch, uint64_t *asked, bool *stopping)
{
    const struct timespec until = clock_timespec(until_ns);
    pthread_mutex_lock(&queue->lock);
    while (!queue->stopping && queue->asked == queue->done && queue->pending.rows < HISTORY_QUEUE_ROWS / 4)
        if (pthread_cond_timedwait(&queue->changed, &queue->lock, &until) == ETIMEDOUT)
            break;
    if (!batch->rows) { /* else it was not written, and comes first */
        struct batch empty = *batch;
        *batch = queue->pending;
        queue->pending = empty;
        queue->pending.used = queue->pending.rows = 0;
        *asked = queue->asked; /* of those who wait, these wait for no more than this batch */
    }
    queue->taken_rows = batch->rows;
    queue->taken_bytes = batch->used;
    *stopping = queue->stopping;
    pthread_mutex_unlock(&queue->lock);
}

void queue_rest(struct queue *queue, uint64_t until_ns, bool *stopping)
{
    const struct timespec until = clock_timespec(until_ns);
    pthread_mutex_lock(&queue->lock);
    while (!queue->stopping && pthread_cond_timedwait(&queue->changed, &queue->lock, &until) != ETIMEDOUT)
        ;
    *stopping = queue->stopping;
    pthread_mutex_unlock(&queue->lock);
}

void queue_stop(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

void queue_drop(struct queue *queue, unsigned rows)
{
    pthread_mutex_lock(&queue->lock);
    queue->dropped += rows;
    pthread_mutex_unlock(&queue->lock);
}

void queue_hurry(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->asked++;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

void queue_done(struct queue *queue, struct batch *batch, unsigned dropped, uint64_t asked)
{
    batch->used = batch->rows = 0;
    if (batch->room > ROOM_KEPT) {
        free(batch->memory);
        *batch = (struct batch){.memory = NULL};
    }
    pthread_mutex_lock(&queue->lock);
    queue->taken_rows = 0;
    queue->taken_bytes = 0;
    queue->dropped += dropped;
    queue->done = asked;
    pthread_cond_broadcast(&queue->written);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_flush(struct queue *queue, uint64_t wait_ns)
{
    const struct timespec until = clock_timespec(clock_mono_ns() + wait_ns);
    pthread_mutex_lock(&queue->lock);
    uint64_t wanted = ++queue->asked;
    pthread_cond_signal(&queue->changed);
    while (queue->done < wanted && !queue->stopping)
        if (pthread_cond_timedwait(&queue->written, &queue->lock, &until) == ETIMEDOUT)
            break;
    bool written = queue->done >= wanted;
    pthread_mutex_unlock(&queue->lock);
    return written;
}
