/* Live tails: whoever follows a process's events has a filter and a bounded ring of what passed it. The intake's
 * thread fills it, its owner takes from it; what the owner does not take in time is overwritten, oldest first, and
 * counted. What came is handed out once a view is published that knows of it: the names of types come with counters,
 * which are read after the events. Without a tail an event costs one load for each span. */
#include <stdlib.h>
#include <string.h>

#include "stats/model.h"

struct stats_tail {
    struct stats_tail *next;
    struct stats_tail_filter filter;
    uint64_t missed, lost; /* since the last take */
    uint64_t lost_before;  /* the next event */
    size_t first, count;
    size_t ready; /* of them: published */
    struct stats_tail_event ring[STATS_TAIL_EVENTS];
};

struct stats_tail *stats_tail_open(struct stats *stats, const struct stats_tail_filter *filter)
{
    struct stats_tail *tail = calloc(1, sizeof *tail);
    if (!tail)
        return NULL;
    tail->filter = *filter;
    pthread_mutex_lock(&stats->tails_lock);
    bool room = stats->tail_count < STATS_TAILS_MAX;
    if (room) {
        tail->next = stats->tails;
        stats->tails = tail;
        atomic_fetch_add(&stats->tail_count, 1);
    }
    pthread_mutex_unlock(&stats->tails_lock);
    if (room)
        return tail;
    free(tail);
    return NULL;
}

void stats_tail_close(struct stats *stats, struct stats_tail *tail)
{
    pthread_mutex_lock(&stats->tails_lock);
    struct stats_tail **link = &stats->tails;
    while (*link != tail)
        link = &(*link)->next;
    *link = tail->next;
    atomic_fetch_sub(&stats->tail_count, 1);
    pthread_mutex_unlock(&stats->tails_lock);
    free(tail);
}

size_t stats_tail_take(struct stats *stats, struct stats_tail *tail, struct stats_tail_event *out, size_t most,
                       uint64_t *missed, uint64_t *lost)
{
    pthread_mutex_lock(&stats->tails_lock);
    size_t count = tail->ready < most ? tail->ready : most;
    for (size_t i = 0; i < count; i++)
        out[i] = tail->ring[(tail->first + i) % STATS_TAIL_EVENTS];
    tail->first = (tail->first + count) % STATS_TAIL_EVENTS;
    tail->count -= count;
    tail->ready -= count;
    *missed = tail->missed;
    *lost = tail->lost;
    tail->missed = tail->lost = 0;
    pthread_mutex_unlock(&stats->tails_lock);
    return count;
}

size_t stats_tail_ready(struct stats *stats, const struct stats_tail *tail)
{
    pthread_mutex_lock(&stats->tails_lock);
    size_t ready = tail->ready ? tail->ready : tail->missed || tail->lost;
    pthread_mutex_unlock(&stats->tails_lock);
    return ready;
}

static unsigned kind_bit(const struct wire_event_view *event)
{
    return event->kind == WIRE_EVENT_RARE ? STATS_TAIL_RARE : 1u << event->kind;
}

static bool passes(const struct stats_tail_filter *filter, const struct model_heap *heap,
                   const struct wire_event_view *event)
{
    if (filter->kinds && !(filter->kinds & kind_bit(event)))
        return false;
    if (event->kind == WIRE_EVENT_RARE)
        return !filter->type[0] && !filter->least_bytes;
    return event->bytes >= filter->least_bytes &&
           (!filter->type[0] ||
            (event->row < heap->type_count && !strcmp(heap->types[event->row].name, filter->type)));
}

/* The oldest goes; the one after it says that it and all that it spoke of are not there. */
static void overwrite(struct stats_tail *tail)
{
    const struct stats_tail_event *oldest = &tail->ring[tail->first];
    tail->first = (tail->first + 1) % STATS_TAIL_EVENTS;
    struct stats_tail_event *next = &tail->ring[tail->first];
    next->missed_before += oldest->missed_before + 1;
    next->lost_before += oldest->lost_before;
    tail->count--;
    tail->ready -= tail->ready > 0;
    tail->missed++;
}

static void append(struct stats_tail *tail, const struct stats_tail_event *event)
{
    if (tail->count == STATS_TAIL_EVENTS)
        overwrite(tail);
    tail->ring[(tail->first + tail->count++) % STATS_TAIL_EVENTS] = *event;
}

static void feed(struct stats_tail *tail, const struct model_heap *heap, const struct wire_span *span)
{
    tail->lost += span->lost;
    tail->lost_before += span->lost;
    for (size_t at = 0; at < span->count;) {
        struct wire_event_view event;
        const uint64_t *words = &span->words[at];
        unsigned length = wire_event_decode(words, &event);
        at += length;
        if (!passes(&tail->filter, heap, &event))
            continue;
        append(tail, &(struct stats_tail_event){.heap = heap->view.n,
                                                .event = event,
                                                .mono_ns = span->clock_ns,
                                                .lost_before = tail->lost_before});
        tail->lost_before = 0;
    }
}

void stats_tails_feed(struct model_process *process, const struct model_heap *heap, const struct wire_span *span)
{
    struct stats *stats = process->stats;
    if (span->before_us || !atomic_load_explicit(&stats->tail_count, memory_order_relaxed))
        return;
    pthread_mutex_lock(&stats->tails_lock);
    for (struct stats_tail *tail = stats->tails; tail; tail = tail->next)
        if (!strcmp(tail->filter.process, process->view.id) &&
            (!tail->filter.heap || tail->filter.heap == heap->view.n))
            feed(tail, heap, span);
    pthread_mutex_unlock(&stats->tails_lock);
}

void stats_tails_publish(struct stats *stats)
{
    if (!atomic_load_explicit(&stats->tail_count, memory_order_relaxed))
        return;
    pthread_mutex_lock(&stats->tails_lock);
    for (struct stats_tail *tail = stats->tails; tail; tail = tail->next)
        tail->ready = tail->count;
    pthread_mutex_unlock(&stats->tails_lock);
}
